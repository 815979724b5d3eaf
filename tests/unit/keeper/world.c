#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/memory.h"

static const char bootstrap[] = "import os\n"
                                "hostile = os.environ['LAMBDA_TASK_ROOT'] + '/hostile'\n"
                                "os.execv(hostile, ['hostile'] + os.environ.get('HOSTILE_ARGS', '').split())\n";

/* Version 2 alone, in a mount namespace of our own: on a machine whose controllers sit in version 1 it has none, but its files, freezing, killing
 * and cloning into it are the same. */
static bool only_version_2(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           umount2("/sys/fs/cgroup", MNT_DETACH) == 0 && mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL) == 0;
}

bool world_become(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "version-2") == 0)
        return only_version_2();
    if (argc < 2 || strcmp(argv[1], "ordinary") != 0) /* "root" says the same as nothing */
        return geteuid() == 0;
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(WORLD_USER, WORLD_USER, WORLD_USER) < 0 ||
                           setresuid(WORLD_USER, WORLD_USER, WORLD_USER) < 0))
        return false;
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

static void write_file(const char *dir, const char *name, const char *at, size_t len, mode_t mode)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, at, len), (ssize_t)len);
    close(fd);
}

static void make_dir(const char *dir, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

static void make_world(struct world *w);

struct world *world_new(void)
{
    struct world *w = memory_new(sizeof(*w));
    make_world(w);
    struct error err;
    if (keeper_fork(&w->config, &w->link, &w->report, &err) != OK)
        fail_msg("no keeper: %s. %s", err.message, err.hint);
    return w;
}

struct world *world_new_without_keeper(void)
{
    struct world *w = memory_new(sizeof(*w));
    make_world(w);
    return w;
}

static void make_world(struct world *w)
{
    snprintf(w->dir, sizeof(w->dir), "/tmp/hearth-keeper-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    chmod(w->dir, 0755);
    make_dir(w->dir, "data");
    make_dir(w->dir, "data/code");
    make_dir(w->dir, "share");
    make_dir(w->dir, "share/runtimes");
    make_dir(w->dir, "share/runtimes/python");
    write_file(w->dir, "share/runtimes/python/bootstrap.py", bootstrap, strlen(bootstrap), 0644);
    char path[128];
    snprintf(path, sizeof(path), "%s/data", w->dir);
    w->data_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    static char share[128];
    snprintf(share, sizeof(share), "%s/share", w->dir);
    w->config = (struct keeper_config){ .data_dir = w->data_dir,
                                        .share_dir = share,
                                        .privileged = geteuid() == 0,
                                        .uid_base = WORLD_UID_BASE,
                                        .name = strrchr(w->dir, '/') + 1 };
    char how[256];
    for (size_t i = 0; runtime_at(i) != NULL && w->runtime == NULL; i++)
        if (runtime_at(i)->family == RUNTIME_PYTHON && runtime_installed(&w->config, runtime_at(i), how))
            w->runtime = runtime_at(i)->id;
    assert_non_null(w->runtime);
}

void world_drop_keeper(struct world *w)
{
    keeper_close(&w->link, WORLD_WAIT_MS);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

void world_free(struct world *w)
{
    if (w->link.pid > 0)
        world_drop_keeper(w);
    assert_int_equal(world_count_cgroups(w), 0);
    assert_int_equal(world_count_loops(w), 0);
    char path[128];
    snprintf(path, sizeof(path), "%s/data/sandbox", w->dir);
    assert_int_equal(count_entries(path), 0);
    close(w->data_dir);
    nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
}

/* No digest of anything: a name of the right form, one a tree. Makes the tree. */
static void name_tree(struct world *w, const char *program, char digest[KEEPER_DIGEST_BYTES])
{
    memset(digest, '0', KEEPER_DIGEST_BYTES - 1);
    digest[KEEPER_DIGEST_BYTES - 1] = '\0';
    char number[20];
    unsigned long long sum = 5381;
    for (const char *c = program; *c; c++)
        sum = sum * 33 + (unsigned char)*c;
    int len = snprintf(number, sizeof(number), "%llx", sum);
    memcpy(digest, number, (size_t)len);
    char dir[256];
    snprintf(dir, sizeof(dir), "data/code/%s", digest);
    make_dir(w->dir, dir);
    snprintf(dir, sizeof(dir), "data/code/%s/tree", digest);
    make_dir(w->dir, dir);
}

void world_put(struct world *w, const char *tree, const char *file, const char *text, mode_t mode,
               char digest[KEEPER_DIGEST_BYTES])
{
    char path[256];
    name_tree(w, tree, digest);
    for (const char *slash = file; (slash = strchr(slash, '/')) != NULL; slash++) {
        snprintf(path, sizeof(path), "data/code/%s/tree/%.*s", digest, (int)(slash - file), file);
        make_dir(w->dir, path);
    }
    snprintf(path, sizeof(path), "data/code/%s/tree/%s", digest, file);
    write_file(w->dir, path, text, strlen(text), mode);
    snprintf(path, sizeof(path), "%s/data/code/%s/tree/%s", w->dir, digest, file);
    assert_int_equal(chmod(path, mode), 0);
}

void world_code(struct world *w, const char *program, char digest[KEEPER_DIGEST_BYTES])
{
    char dir[256], from[512];
    name_tree(w, program, digest);
    snprintf(from, sizeof(from), "%s/hostile_%s", HOSTILE_DIR, program);
    snprintf(dir, sizeof(dir), "%s/data/code/%s/tree/hostile", w->dir, digest);
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(dir, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    if (in < 0)
        fail_msg("%s is not built", from);
    char block[65536];
    for (ssize_t got; out >= 0 && (got = read(in, block, sizeof(block))) > 0;)
        assert_int_equal(write(out, block, (size_t)got), got);
    close(in);
    if (out >= 0)
        close(out);
}

struct keeper_start world_start_of(struct world *w, const char *program, const char *arguments, struct instance *i)
{
    static char environment[1024];
    int channel[2], out[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    struct keeper_start start = { .id = ++w->last_id,
                                  .memory_mb = 512,
                                  .tmp_mb = 512,
                                  .channel = channel[1],
                                  .out = out[1],
                                  .err = fcntl(out[1], F_DUPFD_CLOEXEC, 3) };
    snprintf(start.runtime, sizeof(start.runtime), "%s", w->runtime);
    snprintf(start.actual, sizeof(start.actual), "%s", w->runtime);
    if (program != NULL)
        world_code(w, program, start.digest);
    int len = snprintf(environment, sizeof(environment),
                       "PATH=/usr/bin:/bin%cLAMBDA_TASK_ROOT=/var/task%cHOSTILE_ARGS=%s", 0, 0, arguments);
    start.environment = slice_from(environment, (size_t)len + 1);
    *i = (struct instance){
        .id = start.id, .channel = channel[0], .out = out[0], .start.api_listener = -1, .start.runtime_listener = -1
    };
    fcntl(i->out, F_SETFL, O_NONBLOCK);
    return start;
}

struct instance *world_start(struct world *w, const char *program, const char *arguments, uint32_t memory_mb)
{
    struct instance *i = memory_new(sizeof(*i));
    struct keeper_start start = world_start_of(w, program, arguments, i);
    start.memory_mb = memory_mb;
    return world_send(w, &start, i);
}

struct instance *world_send(struct world *w, struct keeper_start *start, struct instance *i)
{
    struct error err;
    assert_int_equal(keeper_send_start(&w->link, start, &err), OK);
    return i;
}

void world_kill(struct world *w, struct instance *i)
{
    struct error err;
    assert_int_equal(keeper_send_kill(&w->link, i->id, &err), OK);
}

static void read_output(struct instance *i)
{
    char block[65536];
    if (i->out < 0)
        return;
    ssize_t got = read(i->out, block, sizeof(block));
    if (got == 0)
        fd_drop(&i->out);
    size_t room = sizeof(i->output) - 1 - i->output_len;
    if (got > 0) {
        memcpy(i->output + i->output_len, block, (size_t)got < room ? (size_t)got : room);
        i->output_len += (size_t)got < room ? (size_t)got : room;
    }
}

/* Events of other instances are kept on the side, since some tests run many. */
static struct keeper_event early[WORLD_INSTANCES_MAX];
static size_t early_count;

static void apply(struct instance *i, const struct keeper_event *e)
{
    if (e->type == KEEPER_STARTED) {
        i->started = true;
        i->start = *e;
    } else {
        i->ended = true;
        i->failed = e->type == KEEPER_START_FAILED;
        i->end = *e;
    }
}

static void step(struct world *w, struct instance *i)
{
    for (size_t k = 0; k < early_count;) {
        if (early[k].id != i->id) {
            k++;
            continue;
        }
        apply(i, &early[k]);
        memmove(&early[k], &early[k + 1], (--early_count - k) * sizeof(early[0]));
    }
    if (i->ended)
        return;
    struct pollfd polls[2] = { { w->link.fd, POLLIN, 0 }, { i->out, POLLIN, 0 } };
    poll(polls, 2, 100);
    read_output(i);
    struct keeper_event e;
    bool got = true;
    struct error err;
    while (got) {
        if (keeper_receive(&w->link, &e, &got, &err) != OK)
            fail_msg("the keeper is gone: %s", err.message);
        if (got && e.id == i->id)
            apply(i, &e);
        else if (got && early_count < WORLD_INSTANCES_MAX)
            early[early_count++] = e;
    }
}

#define WAIT_UNTIL(w, i, condition, what)                                                                          \
    do {                                                                                                           \
        uint64_t give_up = clock_mono_us() + WORLD_WAIT_MS * 1000ull;                                              \
        while (!(condition)) {                                                                                     \
            if (clock_mono_us() > give_up)                                                                         \
                fail_msg("instance %llu: %s did not come; its output: %s", (unsigned long long)(i)->id, what,      \
                         (i)->output);                                                                             \
            step(w, i);                                                                                            \
        }                                                                                                          \
    } while (0)

void world_wait_started(struct world *w, struct instance *i)
{
    WAIT_UNTIL(w, i, i->started || i->ended, "its start");
    if (i->failed)
        fail_msg("instance %llu did not start: %s", (unsigned long long)i->id, i->end.message);
}

void world_wait_refused(struct world *w, struct instance *i)
{
    WAIT_UNTIL(w, i, i->ended, "its refusal");
    assert_true(i->failed);
}

void world_wait_output(struct world *w, struct instance *i, const char *text)
{
    WAIT_UNTIL(w, i, strstr(i->output, text) != NULL, text);
}

void world_wait_ended(struct world *w, struct instance *i)
{
    WAIT_UNTIL(w, i, i->ended, "its end");
    for (size_t before = (size_t)-1; before != i->output_len;) {
        before = i->output_len;
        read_output(i);
    }
}

void instance_free(struct instance *i)
{
    if (i->started) {
        keeper_meters_drop(&i->start.meters);
        fd_drop(&i->start.api_listener);
        fd_drop(&i->start.runtime_listener);
    }
    fd_drop(&i->channel);
    fd_drop(&i->out);
    free(i);
}

void world_holds(struct world *w, const char *program, const char *arguments, uint32_t memory_mb)
{
    struct instance *i = world_start(w, program, arguments, memory_mb);
    world_wait_ended(w, i);
    if (i->failed)
        fail_msg("%s did not start: %s", program, i->end.message);
    if (i->end.wait_status != 0 || strstr(i->output, "BROKEN") != NULL)
        fail_msg("%s ended with 0x%x and said:\n%s", program, (unsigned)i->end.wait_status, i->output);
    instance_free(i);
}

/* ---- counting ---- */

int count_entries(const char *dir)
{
    DIR *list = opendir(dir);
    int count = 0;
    for (struct dirent *e; list != NULL && (e = readdir(list)) != NULL;)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (list != NULL)
        closedir(list);
    return count;
}

int count_descriptors(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    return count_entries(path);
}

int count_mounts(void)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    int lines = 0;
    for (int c; file != NULL && (c = fgetc(file)) != EOF;)
        lines += c == '\n';
    if (file != NULL)
        fclose(file);
    return lines;
}

static const char *cgroup_name;
static int cgroup_found;

static int see_cgroup(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    if (flag == FTW_D && strcmp(path + ftw->base, cgroup_name) == 0)
        cgroup_found++;
    return 0;
}

int world_count_cgroups(const struct world *w)
{
    cgroup_name = w->config.name;
    cgroup_found = 0;
    nftw("/sys/fs/cgroup", see_cgroup, 16, FTW_PHYS);
    return cgroup_found;
}

int world_count_loops(const struct world *w)
{
    DIR *list = opendir("/sys/block");
    int count = 0;
    for (struct dirent *e; list != NULL && (e = readdir(list)) != NULL;) {
        char path[300], text[256];
        snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", e->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
        text[got > 0 ? got : 0] = '\0';
        count += strstr(text, w->config.name) != NULL;
        if (fd >= 0)
            close(fd);
    }
    if (list != NULL)
        closedir(list);
    return count;
}
