/* A full disk: a tmpfs of 2 MB in a mount namespace of our own. Whatever had been acknowledged is there, what fails says ERROR_DISK_FULL and
 * leaves nothing, and once there is room it works again without a restart. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/fd.h"
#include "store_writes.h"

enum {
    DISK_BYTES = 2 * 1024 * 1024,
    BALLAST_BYTES = 1024 * 1024,
    BODY_BYTES = 6000,
    WRITES_AT_ONCE = 64,
    ROUNDS_MAX = 200,
};

struct disk {
    uv_loop_t loop;
    struct store *store;
    int dir;
    char path[64];
    int64_t next;
    int64_t acknowledged;
    int64_t refused;
    enum error_kind wrong; /* an error that was not ERROR_DISK_FULL */
    struct error last;
    bool closed;
    char body[BODY_BYTES];
};
struct write {
    struct pair pair;
    struct disk *disk;
};

#define EXPECT(condition)                                                                                          \
    do {                                                                                                           \
        if (!(condition)) {                                                                                        \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition);                                        \
            return 1;                                                                                              \
        }                                                                                                          \
    } while (0)

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    fd_drop(&fd);
    return ok;
}

/* Root needs a mount namespace alone; anybody else makes a user namespace around it. */
static bool own_mounts(void)
{
    char map[64];
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    if (uid != 0) {
        snprintf(map, sizeof(map), "0 %u 1", uid);
        if (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/uid_map", map))
            return false;
        snprintf(map, sizeof(map), "0 %u 1", gid);
        if (!write_file("/proc/self/gid_map", map))
            return false;
    }
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool ballast(struct disk *disk)
{
    int fd = openat(disk->dir, "ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && posix_fallocate(fd, 0, BALLAST_BYTES) == 0;
    fd_drop(&fd);
    return ok;
}

static void on_written(enum outcome outcome, const struct error *err, void *arg)
{
    struct disk *disk = ((struct write *)arg)->disk;
    if (outcome == OK) {
        disk->acknowledged++;
        return;
    }
    disk->refused++;
    disk->last = *err;
    if (err->kind != ERROR_DISK_FULL)
        disk->wrong = err->kind;
}

/* Many at once, so that they share transactions. */
static void write_some(struct disk *disk, size_t count)
{
    struct write writes[WRITES_AT_ONCE];
    for (size_t i = 0; i < count; i++) {
        writes[i] = (struct write){ { .id = ++disk->next, .body = slice_from(disk->body, BODY_BYTES) }, disk };
        store_write(disk->store, writes_put_pair, on_written, &writes[i]);
    }
    uv_run(&disk->loop, UV_RUN_DEFAULT);
}

static void on_closed(void *arg)
{
    ((struct disk *)arg)->closed = true;
}

static bool reopen(struct disk *disk, struct error *err)
{
    if (disk->store) {
        store_close(disk->store, on_closed, disk);
        uv_run(&disk->loop, UV_RUN_DEFAULT);
        disk->store = NULL;
    }
    return store_open(&disk->loop, disk->dir, "hearth.db", &disk->store, err) == OK;
}

/* Exactly what was acknowledged is there. */
static bool agrees(struct disk *disk)
{
    struct tally tally = { 0 };
    struct error err = { 0 };
    if (store_now(disk->store, writes_tally, &tally, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    if (tally.halves || tally.count != disk->acknowledged)
        fprintf(stderr, "%" PRId64 " there, %" PRId64 " acknowledged, %" PRId64 " halves\n", tally.count,
                disk->acknowledged, tally.halves);
    return !tally.halves && tally.count == disk->acknowledged;
}

static enum outcome job_read(struct store_tx *tx, void *arg, struct error *err)
{
    return writes_tally(tx, arg, err);
}

static void on_read(enum outcome outcome, const struct error *err, void *arg)
{
    (void)err;
    ((struct tally *)arg)->count = outcome == OK ? ((struct tally *)arg)->count : -1;
}

static int fill(struct disk *disk, size_t at_once)
{
    disk->refused = 0;
    for (int round = 0; round < ROUNDS_MAX && disk->refused == 0; round++)
        write_some(disk, at_once);
    EXPECT(disk->refused > 0);
    EXPECT(disk->wrong == ERROR_NONE);
    EXPECT(strlen(disk->last.hint) > 0);
    return 0;
}

static int scenario(struct disk *disk)
{
    struct error err = { 0 };
    struct tally read = { 0 };
    EXPECT(ballast(disk));
    EXPECT(reopen(disk, &err) && writes_prepare(disk->store, &err) == OK);
    EXPECT(fill(disk, 1) == 0); /* one by one */
    EXPECT(agrees(disk));
    write_some(disk, WRITES_AT_ONCE); /* while it is full: each gets its answer, some small ones may still fit */
    EXPECT(disk->wrong == ERROR_NONE && agrees(disk));
    store_read(disk->store, job_read, on_read, &read); /* reading goes on */
    uv_run(&disk->loop, UV_RUN_DEFAULT);
    EXPECT(read.count == disk->acknowledged);

    EXPECT(unlinkat(disk->dir, "ballast", 0) == 0);
    int64_t before = disk->acknowledged;
    write_some(disk, 1);
    EXPECT(disk->acknowledged == before + 1); /* there is room: it works, without a restart */
    EXPECT(fill(disk, WRITES_AT_ONCE) == 0);  /* full again, in the middle of batches */
    EXPECT(disk->acknowledged > before + 1);
    EXPECT(agrees(disk));

    bool opened = reopen(disk, &err); /* a start on a full disk works, or says why */
    EXPECT(opened || err.kind == ERROR_DISK_FULL);
    EXPECT(!opened || agrees(disk));
    printf("a start on the full disk: %s\n", opened ? "works" : err.message);
    if (!opened) {
        char bigger[32];
        snprintf(bigger, sizeof(bigger), "size=%d", 2 * DISK_BYTES);
        EXPECT(mount(NULL, disk->path, NULL, MS_REMOUNT, bigger) == 0);
        EXPECT(reopen(disk, &err));
        EXPECT(agrees(disk));
    }
    EXPECT(store_now(disk->store, writes_check, NULL, &err) == OK);
    store_close(disk->store, on_closed, disk);
    uv_run(&disk->loop, UV_RUN_DEFAULT);
    EXPECT(disk->closed);
    return 0;
}

int main(void)
{
    static struct disk disk;
    char size[32];
    memset(disk.body, 'x', sizeof(disk.body));
    strcpy(disk.path, "/tmp/hearth-full-XXXXXX");
    snprintf(size, sizeof(size), "size=%d", DISK_BYTES);
    if (!mkdtemp(disk.path))
        return 1;
    if (!own_mounts() || mount("tmpfs", disk.path, "tmpfs", 0, size) < 0) {
        fprintf(stderr, "could not mount a small tmpfs (%s): this needs root or user namespaces\n",
                strerror(errno));
        rmdir(disk.path);
        return 1;
    }
    uv_loop_init(&disk.loop);
    disk.dir = open(disk.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = scenario(&disk);
    uv_loop_close(&disk.loop);
    close(disk.dir);
    umount2(disk.path, MNT_DETACH);
    rmdir(disk.path);
    printf("%" PRId64 " writes acknowledged, %s\n", disk.acknowledged, failed ? "FAILED" : "all there");
    return failed;
}
