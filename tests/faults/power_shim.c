/* power_shim: what a disk would surely hold, noted while a server runs. Preloaded (LD_PRELOAD) into `hearth serve` by test_power.py.
 *
 * kill -9 does not show power loss: the kernel keeps what a killed process wrote. This stands before fsync, fdatasync and syncfs. Before each of them
 * really runs it notes the bytes of the file (or the names in the directory) as they are then; only when it has succeeded the note counts. Whatever has
 * no note was never promised by the disk: a file that was not synced is empty, a name whose directory was not synced is not there. test_power.py makes
 * the directory of each moment from the notes and starts a server on it.
 *
 *   POWER_DIR    the data directory: only what lies below it is noted
 *   POWER_NOTES  an existing directory, one file a note: "<kind> <inode> <born> <monotonic ns>\n" and the bytes, or "<name>\0<type> <inode> <born>\n" each */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NAME_BYTES = PATH_MAX + 64, COPY_BYTES = 64 * 1024 };

static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; /* a preloaded library has no argument that could carry it */
static unsigned long serial;

/* An inode's number returns after its file is gone; with the time of its birth it does not. */
static unsigned long long born(const struct statx *st)
{
    return (unsigned long long)st->stx_btime.tv_sec * 1000000000ULL + st->stx_btime.tv_nsec;
}

static int is_ours(int fd)
{
    char link[64], path[NAME_BYTES];
    const char *top = getenv("POWER_DIR");
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = top == NULL ? -1 : readlink(link, path, sizeof(path) - 1);
    if (n < 0)
        return 0;
    path[n] = '\0';
    size_t len = strlen(top);
    return strncmp(path, top, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static void note_names(int fd, FILE *out)
{
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again < 0 ? NULL : fdopendir(again);
    if (dir == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct statx st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            statx(fd, entry->d_name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
            continue;
        char target[PATH_MAX] = "";
        char type = S_ISDIR(st.stx_mode) ? 'd' : S_ISLNK(st.stx_mode) ? 'l' : 'f';
        if (type == 'l' && readlinkat(fd, entry->d_name, target, sizeof(target) - 1) < 0)
            continue;
        fprintf(out, "%s%c%c %llu %llu %o %s%c", entry->d_name, '\0', type, (unsigned long long)st.stx_ino,
                born(&st), st.stx_mode & 07777, target, '\n');
    }
    closedir(dir);
}

static void note_bytes(int fd, FILE *out)
{
    char link[64], bytes[COPY_BYTES];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    int again = open(link, O_RDONLY | O_CLOEXEC); /* it may be open for writing alone */
    for (ssize_t n; again >= 0 && (n = read(again, bytes, sizeof(bytes))) > 0;)
        fwrite(bytes, 1, (size_t)n, out);
    if (again >= 0)
        close(again);
}

/* A note that does not count yet; "" when there is none to be made. */
static void note_begin(int fd, char *name)
{
    struct statx st;
    const char *notes = getenv("POWER_NOTES");
    name[0] = '\0';
    if (notes == NULL || !is_ours(fd) || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
        return;
    pthread_mutex_lock(&lock);
    unsigned long mine = ++serial;
    pthread_mutex_unlock(&lock);
    snprintf(name, NAME_BYTES, "%s/.%d-%06lu", notes, (int)getpid(), mine);
    FILE *out = fopen(name, "we");
    if (out == NULL)
        abort(); /* a test that sees half would say that all is well */
    int directory = S_ISDIR(st.stx_mode);
    fprintf(out, "%c %llu %llu\n", directory ? 'd' : 'f', (unsigned long long)st.stx_ino, born(&st));
    if (directory)
        note_names(fd, out);
    else
        note_bytes(fd, out);
    if (fclose(out) != 0)
        abort();
}

/* From now on it counts: the moment is in its name. */
static void note_end(const char *name, int good)
{
    if (name[0] == '\0')
        return;
    char counted[NAME_BYTES + 32];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const char *file = strrchr(name, '/') + 2;
    snprintf(counted, sizeof(counted), "%.*s%020llu-%s", (int)(file - 1 - name), name,
             (unsigned long long)now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec, file);
    int failed = good ? rename(name, counted) : unlink(name);
    if (failed)
        abort();
}

static int sync_noted(int fd, int (*real)(int))
{
    char name[NAME_BYTES];
    note_begin(fd, name);
    int result = real(fd), why = errno;
    note_end(name, result == 0);
    errno = why;
    return result;
}

/* syncfs writes the whole file system; noted is the tree that it is called for. */
struct tree {
    char (*notes)[NAME_BYTES];
    size_t count, cap;
};

static void note_tree(int fd, struct tree *tree)
{
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again < 0 ? NULL : fdopendir(again);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        int child = -1;
        struct stat st;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)))
            child = openat(fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (child < 0)
            continue;
        if (S_ISDIR(st.st_mode))
            note_tree(child, tree);
        if (tree->count == tree->cap) {
            tree->cap = tree->cap == 0 ? 64 : tree->cap * 2;
            tree->notes = realloc(tree->notes, tree->cap * sizeof(*tree->notes));
        }
        note_begin(child, tree->notes[tree->count++]);
        close(child);
    }
    if (dir != NULL)
        closedir(dir);
}

#define REAL(name) ((int (*)(int))(uintptr_t)dlsym(RTLD_NEXT, name))

int fsync(int fd)
{
    return sync_noted(fd, REAL("fsync"));
}

int fdatasync(int fd)
{
    return sync_noted(fd, REAL("fdatasync"));
}

int syncfs(int fd)
{
    struct tree tree = { NULL, 0, 0 };
    char self[NAME_BYTES];
    note_tree(fd, &tree);
    note_begin(fd, self);
    int result = REAL("syncfs")(fd), why = errno;
    for (size_t i = 0; i < tree.count; i++)
        note_end(tree.notes[i], result == 0);
    note_end(self, result == 0);
    free(tree.notes);
    errno = why;
    return result;
}
