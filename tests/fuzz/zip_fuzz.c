/* Any bytes as a code package. Beyond not crashing: what is refused by a check is refused by unpacking; what unpacks stays within the limits, makes
 * exactly what the figures say, nothing beside the directory, and no link that the kernel would follow out of it. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/package_zip.h"

enum {
    WRITTEN_BYTES_MAX = 1024 * 1024,
    WRITTEN_FILES_MAX = 200
}; /* larger ones are only checked: the disk is slow */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* EXDEV is the kernel's word for "leads out". That something is not there, or goes round in a circle, is harmless. */
static void assert_stays_beneath(int tree, const char *path)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    int fd = (int)syscall(SYS_openat2, tree, path, &how, sizeof(how));
    assert(fd >= 0 || errno != EXDEV);
    fd_drop(&fd);
}

static void walk(int tree, const char *path, struct package_figures *seen)
{
    DIR *dir = fdopendir(openat(tree, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    assert(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char below[PACKAGE_PATH_BYTES_MAX * 2];
        struct stat st;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        int found = fstatat(tree, below, &st, AT_SYMLINK_NOFOLLOW);
        assert(found == 0);
        if (S_ISDIR(st.st_mode)) {
            assert((st.st_mode & 07777) == 0755);
            walk(tree, below, seen);
            continue;
        }
        assert(S_ISREG(st.st_mode) || S_ISLNK(st.st_mode));
        if (S_ISLNK(st.st_mode)) {
            assert_stays_beneath(tree, below);
        } else {
            assert((st.st_mode & 07777) == 0644 || (st.st_mode & 07777) == 0755);
            seen->bytes += (uint64_t)st.st_size;
        }
        seen->files++;
    }
    closedir(dir);
}

static size_t count_entries(int base)
{
    size_t count = 0;
    DIR *dir = fdopendir(openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    assert(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void unpack_for_real(struct slice zip, const struct package_figures *expected)
{
    char path[] = "/tmp/hearth-zip-XXXXXX";
    struct package_figures figures = { 0 }, seen = { 0 };
    struct error err = { 0 };
    int base = -1, tree = -1;
    umask(022);
    bool made = mkdtemp(path) && dir_open(AT_FDCWD, path, false, 0, &base, &err) == OK &&
                dir_open(base, "tree", true, 0755, &tree, &err) == OK;
    assert(made);
    enum outcome outcome = package_zip_read(zip, tree, &figures, &err);
    assert(count_entries(base) == 3); /* ".", "..", "tree" */
    if (outcome == OK) {
        walk(tree, ".", &seen);
        assert(figures.files == expected->files && figures.bytes == expected->bytes);
        assert(figures.files == seen.files && figures.bytes == seen.bytes);
    } else {
        assert(err.kind == ERROR_INTERNAL ||
               err.kind == ERROR_DISK_FULL); /* the file system's no, not the reader's */
    }
    fd_drop(&tree);
    fd_drop(&base);
    enum outcome removed = dir_remove(AT_FDCWD, path, &err);
    assert(removed == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice zip = slice_from(data, size);
    struct package_figures figures = { 0 };
    struct error err = { 0 };
    if (package_zip_read(zip, -1, &figures, &err) != OK) {
        assert(err.kind == ERROR_INVALID || err.kind == ERROR_TOO_LARGE);
        assert(err.message[0] && err.hint[0] && !strcmp(err.code, "InvalidParameterValueException"));
        return 0;
    }
    assert(figures.bytes < PACKAGE_TREE_BYTES_MAX && figures.files <= PACKAGE_FILES_MAX);
    if (figures.bytes <= WRITTEN_BYTES_MAX && figures.files <= WRITTEN_FILES_MAX)
        unpack_for_real(zip, &figures);
    return 0;
}
