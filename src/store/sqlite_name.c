/* SQLite's calls that take a path, made relative to an open directory (see sqlite.h).
 *
 * The "unix" VFS looks its system calls up in a table that xSetSystemCall changes. Replacing six of them is all it takes: the database, its
 * -wal and -shm, and the fsync of the directory behind a new file go the same way. A VFS of our own around "unix" would not do:
 * shared memory and the directory's fsync call open() from inside. The process's working directory stays out of it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/sqlite.h"

#define NAME_PREFIX "/.hearth-directory/"

/* Is this one of our names? Then which directory, and what in it ("." for itself). */
static bool name_place(const char *path, int *dir, const char **file)
{
    if (strncmp(path, NAME_PREFIX, sizeof(NAME_PREFIX) - 1) != 0)
        return false;
    char *end = NULL;
    *dir = (int)strtol(path + sizeof(NAME_PREFIX) - 1, &end, 10);
    *file = *end == '/' ? end + 1 : ".";
    return true;
}

static int call_open(const char *path, int flags, int mode)
{
    int dir;
    const char *file;
    if (!name_place(path, &dir, &file))
        return open(path, flags | O_CLOEXEC, mode);
    /* Nobody but the server has any business with these files, whatever the umask says. */
    return openat(dir, file, flags | O_CLOEXEC | O_NOFOLLOW, mode & 0600);
}

static int call_access(const char *path, int how)
{
    int dir;
    const char *file;
    return name_place(path, &dir, &file) ? faccessat(dir, file, how, 0) : access(path, how);
}

static int call_stat(const char *path, struct stat *out)
{
    int dir;
    const char *file;
    return name_place(path, &dir, &file) ? fstatat(dir, file, out, 0) : stat(path, out);
}

static int call_lstat(const char *path, struct stat *out)
{
    int dir;
    const char *file;
    return name_place(path, &dir, &file) ? fstatat(dir, file, out, AT_SYMLINK_NOFOLLOW) : lstat(path, out);
}

static int call_unlink(const char *path)
{
    int dir;
    const char *file;
    return name_place(path, &dir, &file) ? unlinkat(dir, file, 0) : unlink(path);
}

static ssize_t call_readlink(const char *path, char *out, size_t size)
{
    int dir;
    const char *file;
    return name_place(path, &dir, &file) ? readlinkat(dir, file, out, size) : readlink(path, out, size);
}

static const struct {
    const char *name;
    sqlite3_syscall_ptr call;
} name_calls[] = {
    { "open", (sqlite3_syscall_ptr)call_open },     { "access", (sqlite3_syscall_ptr)call_access },
    { "stat", (sqlite3_syscall_ptr)call_stat },     { "lstat", (sqlite3_syscall_ptr)call_lstat },
    { "unlink", (sqlite3_syscall_ptr)call_unlink }, { "readlink", (sqlite3_syscall_ptr)call_readlink },
};

/* SQLite's table is the process's, so it is changed once, to functions without state. */
static pthread_once_t name_once = PTHREAD_ONCE_INIT;
static bool name_ready;

static void name_prepare(void)
{
    sqlite3_vfs *unix_vfs = sqlite3_vfs_find("unix");
    if (!unix_vfs || unix_vfs->iVersion < 3 || !unix_vfs->xSetSystemCall)
        return;
    for (size_t i = 0; i < sizeof(name_calls) / sizeof(name_calls[0]); i++) {
        if (unix_vfs->xSetSystemCall(unix_vfs, name_calls[i].name, name_calls[i].call) != SQLITE_OK)
            return;
    }
    name_ready = true;
}

enum outcome sqlite_name(int dir, const char *file, char out[SQLITE_NAME_BYTES], struct error *err)
{
    pthread_once(&name_once, name_prepare);
    if (!name_ready)
        return error_set(err, ERROR_INTERNAL, "Use the SQLite of Debian 12 or later.",
                         "this SQLite (%s) cannot be told how to open files", sqlite3_libversion());
    int len = snprintf(out, SQLITE_NAME_BYTES, NAME_PREFIX "%d/%s", dir, file);
    if (len >= SQLITE_NAME_BYTES || strchr(file, '/'))
        return error_set(err, ERROR_INVALID, "Choose a plain, shorter name.",
                         "the database's name \"%s\" cannot be used", file);
    return OK;
}
