/* Power loss, which kill -9 does not show: the kernel keeps what a killed process wrote, a dead machine does not.
 *
 * This program's own fsync and fdatasync stand before the C library's (SQLite calls them by name). They note what a disk would surely hold:
 * a file's bytes as they were when it was last synced, a directory's names as they were when that was. At random moments the "disk" is
 * written into another directory, in two ways: all that was never synced is gone; or, sector by sector, some of it had reached the disk after
 * all. A store opened there must have every write that had been acknowledged, no halves, and an intact database. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/fd.h"
#include "store_writes.h"

enum { CUTS = 60, WRITES_A_CUT = 120, WRITES_UNDER_WAY = 6, BODY_BYTES = 900, FILES_MAX = 64, SECTOR_BYTES = 512 };

struct synced {
    ino_t inode;
    struct buffer bytes;
};
struct named {
    ino_t inode;
    char name[64];
};

/* What the interposed calls note: they have no argument to carry it. */
static struct {
    pthread_mutex_t lock;
    dev_t device;
    ino_t directory; /* the one that is watched; 0 for none */
    struct synced files[FILES_MAX];
    size_t file_count;
    struct named names[FILES_MAX];
    size_t name_count;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct synced *disk_find(ino_t inode)
{
    for (size_t i = 0; i < disk.file_count; i++) {
        if (disk.files[i].inode == inode)
            return &disk.files[i];
    }
    return NULL;
}

static void read_whole(int fd, size_t size, struct buffer *out)
{
    buffer_reset(out);
    buffer_reserve(out, size + 1);
    ssize_t n = pread(fd, out->at, size, 0);
    out->len = n > 0 ? (size_t)n : 0;
}

static void disk_note_names(int fd)
{
    DIR *dir = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    disk.name_count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL && disk.name_count < FILES_MAX;) {
        if (entry->d_type != DT_REG)
            continue;
        struct named *named = &disk.names[disk.name_count++];
        named->inode = entry->d_ino;
        snprintf(named->name, sizeof(named->name), "%.63s", entry->d_name);
    }
    closedir(dir);
}

static int disk_sync(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    pthread_mutex_lock(&disk.lock);
    if (disk.directory && S_ISDIR(st.st_mode) && st.st_ino == disk.directory) {
        disk_note_names(fd);
    } else if (disk.directory && S_ISREG(st.st_mode)) {
        struct synced *file = disk_find(st.st_ino);
        if (!file && disk.file_count < FILES_MAX) {
            file = &disk.files[disk.file_count++];
            file->inode = st.st_ino;
        }
        if (file)
            read_whole(fd, (size_t)st.st_size, &file->bytes);
    }
    pthread_mutex_unlock(&disk.lock);
    return 0;
}

int fsync(int fd)
{
    return disk_sync(fd);
}

int fdatasync(int fd)
{
    return disk_sync(fd);
}

/* Some sectors of what is in the file now, the others as they were synced. */
static void mix_sectors(struct buffer *synced, const struct buffer *now)
{
    for (size_t at = 0; at < now->len; at += SECTOR_BYTES) {
        uint8_t coin;
        size_t len = now->len - at < SECTOR_BYTES ? now->len - at : SECTOR_BYTES;
        random_bytes(&coin, 1);
        if (coin & 1)
            continue;
        while (synced->len < at + len)
            buffer_append_byte(synced, 0);
        memcpy(synced->at + at, now->at + at, len);
    }
}

/* Writes what would be left into `to`. */
static bool cut_power(int from, int to, bool some_more)
{
    bool ok = true;
    pthread_mutex_lock(&disk.lock);
    for (size_t i = 0; i < disk.name_count && ok; i++) {
        const struct named *named = &disk.names[i];
        const struct synced *file = disk_find(named->inode);
        struct buffer bytes = BUFFER_EMPTY, now = BUFFER_EMPTY;
        struct stat st;
        struct error err;
        if (file)
            buffer_append_slice(&bytes, buffer_slice(&file->bytes));
        int fd = openat(from, named->name, O_RDONLY | O_CLOEXEC);
        bool shared_memory = slice_ends(slice_of(named->name), SLICE("-shm"));
        /* Closing a second descriptor drops the process's locks on the file; nobody else wants them here. */
        if (some_more && fd >= 0 && !shared_memory && fstat(fd, &st) == 0) {
            read_whole(fd, (size_t)st.st_size, &now);
            mix_sectors(&bytes, &now);
        }
        fd_drop(&fd);
        fd = openat(to, named->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ok = fd >= 0 && fd_write_all(fd, buffer_slice(&bytes), &err) == OK;
        fd_drop(&fd);
        buffer_drop(&bytes);
        buffer_drop(&now);
    }
    pthread_mutex_unlock(&disk.lock);
    return ok;
}

/* ---- the writes ---- */

struct world {
    uv_loop_t loop;
    struct store *store;
    int dir;
    int64_t next, target;
    int64_t acknowledged;
    char body[BODY_BYTES];
};
struct write {
    struct pair pair;
    struct world *world;
};

static void on_written(enum outcome outcome, const struct error *err, void *arg);

static void write_next(struct write *write)
{
    struct world *world = write->world;
    write->pair = (struct pair){ .id = ++world->next, .body = slice_from(world->body, BODY_BYTES) };
    store_write(world->store, writes_put_pair, on_written, write);
}

static void on_written(enum outcome outcome, const struct error *err, void *arg)
{
    struct write *write = arg;
    struct world *world = write->world;
    if (outcome != OK) {
        fprintf(stderr, "%s\n", err->message);
        exit(1);
    }
    world->acknowledged++;
    if (world->acknowledged == world->target)
        uv_stop(&world->loop); /* the other writes are still under way: power goes now */
    write_next(write);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static bool is_intact(int dir, int64_t acknowledged)
{
    uv_loop_t loop;
    struct store *store = NULL;
    struct tally tally = { 0 };
    struct error err = { 0 };
    bool closed = false;
    uv_loop_init(&loop);
    if (store_open(&loop, dir, "hearth.db", &store, &err) != OK ||
        store_now(store, writes_tally, &tally, &err) != OK || store_now(store, writes_check, NULL, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    store_close(store, on_closed, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    /* Ids count up and are committed in order, so the newest and the number tell all. */
    if (tally.halves || tally.count < acknowledged || tally.newest != tally.count) {
        fprintf(stderr, "%" PRId64 " there of %" PRId64 " acknowledged, %" PRId64 " halves\n", tally.count,
                acknowledged, tally.halves);
        return false;
    }
    return closed;
}

static bool cut_and_look(struct world *world, int base, int cut)
{
    char name[32];
    struct error err;
    int left = -1;
    snprintf(name, sizeof(name), "cut%d", cut);
    bool ok = dir_open(base, name, true, 0700, &left, &err) == OK && cut_power(world->dir, left, cut & 1) &&
              is_intact(left, world->acknowledged);
    fd_drop(&left);
    return dir_remove(base, name, &err) == OK && ok;
}

static bool run(struct world *world, int base)
{
    struct error err = { 0 };
    struct write writes[WRITES_UNDER_WAY];
    struct stat st;
    uv_loop_init(&world->loop);
    memset(world->body, 'p', sizeof(world->body));
    if (dir_open(base, "data", true, 0700, &world->dir, &err) != OK || fstat(world->dir, &st) < 0)
        return false;
    disk.directory = st.st_ino;
    if (store_open(&world->loop, world->dir, "hearth.db", &world->store, &err) != OK ||
        writes_prepare(world->store, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    for (int i = 0; i < WRITES_UNDER_WAY; i++) {
        writes[i].world = world;
        write_next(&writes[i]);
    }
    for (int cut = 0; cut < CUTS; cut++) {
        world->target = world->acknowledged + WRITES_A_CUT;
        uv_run(&world->loop, UV_RUN_DEFAULT);
        if (!cut_and_look(world, base, cut)) {
            fprintf(stderr, "after cut %d (%s)\n", cut,
                    cut & 1 ? "some unsynced sectors kept" : "all unsynced lost");
            return false;
        }
    }
    return true;
}

int main(void)
{
    static struct world world;
    char path[] = "/tmp/hearth-power-XXXXXX";
    if (!mkdtemp(path))
        return 1;
    int base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = run(&world, base);
    printf("%d power cuts, %" PRId64 " acknowledged writes, %s\n", CUTS, world.acknowledged,
           ok ? "all there" : "FAILED");
    struct error err;
    if (dir_remove(AT_FDCWD, path, &err) != OK)
        ok = false;
    fflush(NULL);
    _exit(ok ? 0 : 1); /* writes are still under way, as they were when the power went */
}
