#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/codec.h"
#include "base/memory.h"

enum { READ_STEP_BYTES = 16 * 1024, TREE_DEPTH_MAX = 1024 };

void fd_drop(int *fd)
{
    if (fd == NULL || *fd < 0)
        return;
    int saved = errno;
    (void)close(*fd);
    errno = saved;
    *fd = -1;
}

int fd_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

enum outcome fd_write_all(int fd, struct slice bytes, struct error *err)
{
    while (bytes.len > 0) {
        ssize_t done = write(fd, bytes.at, bytes.len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_set_sys(err, errno, "Check the disk that holds the data directory.", "could not write");
        bytes = slice_sub(bytes, (size_t)done, bytes.len);
    }
    return OK;
}

enum outcome fd_read_all(int fd, size_t max, struct buffer *out, struct error *err)
{
    for (;;) {
        buffer_reserve(out, READ_STEP_BYTES);
        ssize_t got = read(fd, out->at + out->len, out->cap - out->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_sys(err, errno, "Check the file and its rights.", "could not read");
        if (got == 0)
            return OK;
        out->len += (size_t)got;
        if (out->len > max)
            return error_set(err, ERROR_TOO_LARGE, "Give a smaller file.", "what is read is larger than %zu bytes",
                             max);
    }
}

enum outcome file_read(int dir, const char *path, size_t max, struct buffer *out, struct error *err)
{
    AUTO(fd)
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        bool missing = errno == ENOENT;
        (void)error_set_sys(err, errno, "Check that the file is there and may be read.", "could not open \"%s\"",
                            path);
        if (missing && err != NULL)
            err->kind = ERROR_NOT_FOUND;
        return FAILED;
    }
    return fd_read_all(fd, max, out, err);
}

/* The directory that `path` (relative to `dir`) lies in, so that a rename in it can be made durable. */
static int open_parent(int dir, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO(text)
    char *parent = slice_dup((struct slice){ path, slash == path ? 1 : (size_t)(slash - path) });
    return openat(dir, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

enum outcome file_replace(int dir, const char *path, struct slice bytes, unsigned mode, struct error *err)
{
    static const char hint[] = "Check the disk that holds the data directory.";
    unsigned char noise[8];
    random_bytes(noise, sizeof(noise));
    struct buffer aside = BUFFER_EMPTY;
    buffer_append_text(&aside, path);
    buffer_append_text(&aside, ".new-");
    codec_hex(&aside, slice_from(noise, sizeof(noise)));
    AUTO(text)
    char *name = slice_dup(buffer_slice(&aside));
    buffer_drop(&aside);

    AUTO(fd)
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return error_set_sys(err, errno, hint, "could not create \"%s\"", name);
    if (fchmod(fd, mode) < 0 || fd_write_all(fd, bytes, err) != OK || fsync(fd) < 0 ||
        renameat(dir, name, dir, path) < 0) {
        (void)error_set_sys(err, errno, hint, "could not write \"%s\"", path);
        (void)unlinkat(dir, name, 0);
        return FAILED;
    }
    AUTO(fd)
    int parent = open_parent(dir, path);
    if (parent < 0 || fsync(parent) < 0)
        return error_set_sys(err, errno, hint, "could not make \"%s\" durable", path);
    return OK;
}

enum outcome dir_open(int dir, const char *path, bool create, unsigned mode, int *out, struct error *err)
{
    if (create && mkdirat(dir, path, mode) < 0 && errno != EEXIST)
        return error_set_sys(err, errno, "Check the parent directory and its rights.",
                             "could not make directory \"%s\"", path);
    int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        bool missing = errno == ENOENT;
        (void)error_set_sys(err, errno, "Check that the directory is there and may be read.",
                            "could not open directory \"%s\"", path);
        if (missing && err != NULL)
            err->kind = ERROR_NOT_FOUND;
        return FAILED;
    }
    *out = fd;
    return OK;
}

static int remove_tree(int dir, const char *path, int depth);

/* Removes what is in an open directory (taken). A directory that its owner may not write is opened up first. */
static int remove_entries(int fd, int depth)
{
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        (void)close(fd);
        return -1;
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(stream), entry->d_name, 0) == 0 || errno == ENOENT)
            continue;
        result = errno == EISDIR || errno == EPERM ? remove_tree(dirfd(stream), entry->d_name, depth + 1) : -1;
    }
    int saved = errno;
    (void)closedir(stream);
    errno = saved;
    return result;
}

static int remove_tree(int dir, const char *path, int depth)
{
    if (depth > TREE_DEPTH_MAX) {
        errno = ELOOP;
        return -1;
    }
    int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(dir, path, 0700, 0) == 0)
        fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    (void)fchmod(fd, 0700);
    if (remove_entries(fd, depth) < 0)
        return -1;
    return unlinkat(dir, path, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

enum outcome dir_remove(int dir, const char *path, struct error *err)
{
    if (unlinkat(dir, path, 0) == 0 || errno == ENOENT)
        return OK;
    if (errno != EISDIR && errno != EPERM)
        return error_set_sys(err, errno, "Check the directory's rights.", "could not remove \"%s\"", path);
    if (remove_tree(dir, path, 0) < 0)
        return error_set_sys(err, errno, "Check the directory's rights.", "could not remove \"%s\"", path);
    return OK;
}
