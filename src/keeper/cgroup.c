#include "keeper/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/memory.h"

static const char hint[] = "Run \"hearth doctor\".";
enum { FIGURES_BYTES_MAX = 4096, CLEAN_TRIES = 200, CLEAN_PAUSE_MS = 5 };

static void slot_path(char out[64], unsigned slot, const char *file)
{
    snprintf(out, 64, "i%u%s%s", slot, *file ? "/" : "", file);
}

static enum outcome put(int dir, unsigned slot, const char *file, uint64_t value, struct error *err)
{
    char path[64], text[32];
    slot_path(path, slot, file);
    int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    AUTO(fd)
    int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)len) != len)
        return error_set_sys(err, errno, hint, "could not write %s to cgroup file \"%s\"", text, path);
    return OK;
}

static enum outcome put_text(int dir, unsigned slot, const char *file, const char *text, struct error *err)
{
    char path[64];
    slot_path(path, slot, file);
    AUTO(fd)
    int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return error_set_sys(err, errno, hint, "could not write \"%s\" to cgroup file \"%s\"", text, path);
    return OK;
}

static bool there(int dir, unsigned slot, const char *file)
{
    char path[64];
    slot_path(path, slot, file);
    return faccessat(dir, path, F_OK, 0) == 0;
}

uint64_t cgroup_quota_us(uint32_t memory_mb)
{
    uint64_t quota = (uint64_t)memory_mb * CGROUP_PERIOD_US / CGROUP_MB_PER_CPU;
    return quota < CGROUP_QUOTA_US_MIN ? CGROUP_QUOTA_US_MIN : quota;
}

/* What was not used in one period may be used in the next (burst), so that short calls of a small function do not wait. */
static enum outcome set_cpu(int version, const struct cgroup_tree *t, unsigned slot, uint64_t quota,
                            struct error *err)
{
    if (!(t->controllers & CG_CPU))
        return OK;
    if (version == 2) {
        char text[64];
        if (there(t->dir, slot, "cpu.max.burst")) /* never above the quota, in whichever direction that goes */
            TRY(put(t->dir, slot, "cpu.max.burst", 0, err));
        snprintf(text, sizeof(text), "%llu %d", (unsigned long long)quota, (int)CGROUP_PERIOD_US);
        TRY(put_text(t->dir, slot, "cpu.max", text, err));
        return there(t->dir, slot, "cpu.max.burst") ? put(t->dir, slot, "cpu.max.burst", quota, err) : OK;
    }
    if (there(t->dir, slot, "cpu.cfs_burst_us"))
        TRY(put(t->dir, slot, "cpu.cfs_burst_us", 0, err));
    TRY(put(t->dir, slot, "cpu.cfs_period_us", CGROUP_PERIOD_US, err));
    TRY(put(t->dir, slot, "cpu.cfs_quota_us", quota, err));
    return there(t->dir, slot, "cpu.cfs_burst_us") ? put(t->dir, slot, "cpu.cfs_burst_us", quota, err) : OK;
}

static uint64_t init_quota_us(uint32_t memory_mb)
{
    uint64_t quota = cgroup_quota_us(memory_mb);
    return quota < CGROUP_PERIOD_US ? CGROUP_PERIOD_US : quota;
}

enum outcome cgroup_settle(const struct cgroup_trees *trees, unsigned slot, uint32_t memory_mb, struct error *err)
{
    uint64_t quota = cgroup_quota_us(memory_mb);
    for (size_t i = 0; quota < CGROUP_PERIOD_US && i < trees->count; i++)
        TRY(set_cpu(trees->version, &trees->tree[i], slot, quota, err));
    return OK;
}

static enum outcome limit_version_1(const struct cgroup_tree *t, unsigned slot, const struct cgroup_limits *l,
                                    struct error *err)
{
    if (t->controllers & CG_MEMORY) {
        TRY(put(t->dir, slot, "memory.limit_in_bytes", l->memory_bytes, err));
        if (there(t->dir, slot, "memory.memsw.limit_in_bytes"))
            TRY(put(t->dir, slot, "memory.memsw.limit_in_bytes", l->memory_bytes, err));
        TRY(put(t->dir, slot, "memory.swappiness", 0, err));
        if (there(t->dir, slot,
                  "memory.kmem.tcp.limit_in_bytes")) /* version 1 counts socket buffers apart, if at all */
            TRY(put(t->dir, slot, "memory.kmem.tcp.limit_in_bytes", l->memory_bytes, err));
    }
    TRY(set_cpu(1, t, slot, init_quota_us(l->memory_mb), err));
    if (t->controllers & CG_PIDS)
        TRY(put(t->dir, slot, "pids.max", l->pids, err));
    return OK;
}

static enum outcome limit_version_2(const struct cgroup_tree *t, unsigned slot, const struct cgroup_limits *l,
                                    struct error *err)
{
    if (t->controllers & CG_MEMORY) {
        TRY(put(t->dir, slot, "memory.max", l->memory_bytes, err));
        if (there(t->dir, slot, "memory.swap.max"))
            TRY(put(t->dir, slot, "memory.swap.max", 0, err));
        TRY(put(t->dir, slot, "memory.oom.group", 1, err));
    }
    TRY(set_cpu(2, t, slot, init_quota_us(l->memory_mb), err));
    if (t->controllers & CG_PIDS)
        TRY(put(t->dir, slot, "pids.max", l->pids, err));
    return OK;
}

enum outcome cgroup_make(const struct cgroup_trees *trees, unsigned slot, const struct cgroup_limits *limits,
                         struct error *err)
{
    char path[64];
    slot_path(path, slot, "");
    for (size_t i = 0; i < trees->count; i++) {
        const struct cgroup_tree *t = &trees->tree[i];
        enum outcome outcome = OK;
        if (mkdirat(t->dir, path, 0755) < 0)
            outcome = error_set_sys(err, errno, hint, "could not make cgroup \"%s/%s\"", trees->name, path);
        if (outcome == OK)
            outcome =
                trees->version == 2 ? limit_version_2(t, slot, limits, err) : limit_version_1(t, slot, limits, err);
        if (outcome != OK) {
            cgroup_remove(trees, slot);
            return FAILED;
        }
    }
    return OK;
}

enum outcome cgroup_join(const struct cgroup_trees *trees, unsigned slot, struct error *err)
{
    for (size_t i = 0; trees->version == 1 && i < trees->count; i++)
        TRY(put_text(trees->tree[i].dir, slot, "cgroup.procs", "0", err));
    return OK;
}

int cgroup_open_dir(const struct cgroup_trees *trees, unsigned slot)
{
    char path[64];
    slot_path(path, slot, "");
    return trees->version == 2 ? openat(trees->tree[0].dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

static int meter(const struct cgroup_trees *trees, unsigned slot, unsigned controller, const char *v1,
                 const char *v2, int flags)
{
    char path[64];
    const char *file = trees->version == 2 ? v2 : v1;
    for (size_t i = 0; file != NULL && i < trees->count; i++)
        if (trees->tree[i].controllers & controller) {
            slot_path(path, slot, file);
            int fd = openat(trees->tree[i].dir, path, flags | O_CLOEXEC);
            /* memory.peak can be reset, hence written, only since Linux 6.12 */
            return fd < 0 && flags == O_RDWR ? openat(trees->tree[i].dir, path, O_RDONLY | O_CLOEXEC) : fd;
        }
    return -1;
}

void cgroup_open_meters(const struct cgroup_trees *trees, unsigned slot, struct keeper_meters *out)
{
    *out = (struct keeper_meters){
        .memory_peak = meter(trees, slot, CG_MEMORY, "memory.max_usage_in_bytes", "memory.peak", O_RDWR),
        .memory_now = meter(trees, slot, CG_MEMORY, "memory.usage_in_bytes", "memory.current", O_RDONLY),
        .cpu = meter(trees, slot, CG_CPUACCT, "cpuacct.usage", "cpu.stat", O_RDONLY),
        .tasks = meter(trees, slot, CG_PIDS, "pids.current", "pids.current", O_RDONLY),
        .freeze = meter(trees, slot, CG_FREEZER, "freezer.state", "cgroup.freeze", O_RDWR),
        .oom = meter(trees, slot, CG_MEMORY, "memory.oom_control", "memory.events", O_RDONLY),
        .cgroup_version = trees->version,
    };
}

int cgroup_open_thaw(const struct cgroup_trees *trees, unsigned slot)
{
    return meter(trees, slot, CG_FREEZER, "freezer.state", "cgroup.freeze", O_WRONLY);
}

/* Kills by list until nobody is left; a frozen process of version 1 dies only once it is thawed. */
static void kill_listed(int dir, const char *path)
{
    AUTO(fd)
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    char text[FIGURES_BYTES_MAX];
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text));
    for (struct slice rest = slice_from(text, got > 0 ? (size_t)got : 0); rest.len > 0;) {
        uint64_t pid;
        if (slice_to_u64(slice_split(&rest, '\n'), INT32_MAX, &pid) && pid > 1)
            kill((pid_t)pid, SIGKILL);
    }
}

void cgroup_thaw_and_kill(const struct cgroup_trees *trees, unsigned slot)
{
    struct error ignored;
    for (size_t i = 0; i < trees->count; i++) {
        const struct cgroup_tree *t = &trees->tree[i];
        if (trees->version == 2) {
            if (there(t->dir, slot, "cgroup.kill"))
                (void)!put(t->dir, slot, "cgroup.kill", 1, &ignored);
            (void)!put(t->dir, slot, "cgroup.freeze", 0, &ignored);
        } else if (t->controllers & CG_FREEZER) {
            (void)!put_text(t->dir, slot, "freezer.state", "THAWED", &ignored);
        }
    }
}

bool cgroup_remove(const struct cgroup_trees *trees, unsigned slot)
{
    char path[64];
    slot_path(path, slot, "");
    bool gone = true;
    for (size_t i = 0; i < trees->count; i++)
        if (unlinkat(trees->tree[i].dir, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
            gone = false;
    return gone;
}

static bool clean_tree(const struct cgroup_trees *trees, const struct cgroup_tree *t)
{
    bool gone = true;
    AUTO(fd)
    int copy = openat(t->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (list == NULL)
        return true;
    fd_take(&copy);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        uint64_t slot;
        if (entry->d_name[0] != 'i' || !slice_to_u64(slice_of(entry->d_name + 1), KEEPER_INSTANCES_MAX * 2, &slot))
            continue;
        char path[64];
        cgroup_thaw_and_kill(trees, (unsigned)slot);
        slot_path(path, (unsigned)slot, "cgroup.procs");
        kill_listed(t->dir, path);
        slot_path(path, (unsigned)slot, "");
        if (unlinkat(t->dir, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
            gone = false;
    }
    closedir(list);
    return gone;
}

void cgroup_clean(const struct cgroup_trees *trees)
{
    for (int tries = 0; tries < CLEAN_TRIES; tries++) {
        bool gone = true;
        for (size_t i = 0; i < trees->count; i++)
            gone = clean_tree(trees, &trees->tree[i]) && gone;
        if (gone)
            return;
        nanosleep(&(struct timespec){ .tv_nsec = CLEAN_PAUSE_MS * 1000000L }, NULL);
    }
}

/* ---- figures, also in the server ---- */

static ssize_t read_figures(int fd, char text[FIGURES_BYTES_MAX])
{
    ssize_t got = fd < 0 ? -1 : pread(fd, text, FIGURES_BYTES_MAX - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    return got;
}

static uint64_t read_number(int fd)
{
    char text[FIGURES_BYTES_MAX];
    return read_figures(fd, text) > 0 ? strtoull(text, NULL, 10) : 0;
}

static uint64_t read_named(int fd, const char *name)
{
    char text[FIGURES_BYTES_MAX];
    read_figures(fd, text);
    for (struct slice rest = slice_of(text); rest.len > 0;) {
        struct slice line = slice_split(&rest, '\n');
        if (slice_is(slice_split(&line, ' '), name))
            return strtoull(line.at, NULL, 10);
    }
    return 0;
}

uint64_t keeper_meter_memory_peak(const struct keeper_meters *m)
{
    uint64_t peak = read_number(m->memory_peak);
    return peak > 0 ? peak : read_number(m->memory_now); /* before Linux 5.19 version 2 has no peak */
}

uint64_t keeper_meter_cpu_us(const struct keeper_meters *m)
{
    return m->cgroup_version == 2 ? read_named(m->cpu, "usage_usec") : read_number(m->cpu) / 1000;
}

uint32_t keeper_meter_tasks(const struct keeper_meters *m)
{
    return (uint32_t)read_number(m->tasks);
}

void keeper_meter_peak_reset(const struct keeper_meters *m)
{
    if (m->memory_peak >= 0 && pwrite(m->memory_peak, "0", 1, 0) < 0)
        return; /* an older kernel: the figure is then of the instance's whole life, as Lambda's own is */
}

bool keeper_freeze(const struct keeper_meters *m, bool frozen)
{
    const char *text = m->cgroup_version == 2 ? (frozen ? "1" : "0") : frozen ? "FROZEN" : "THAWED";
    return m->freeze >= 0 && pwrite(m->freeze, text, strlen(text), 0) == (ssize_t)strlen(text);
}

uint64_t cgroup_oom_kills(const struct keeper_meters *m)
{
    return read_named(m->oom, "oom_kill");
}

void keeper_meters_drop(struct keeper_meters *m)
{
    fd_drop(&m->memory_peak);
    fd_drop(&m->memory_now);
    fd_drop(&m->cpu);
    fd_drop(&m->tasks);
    fd_drop(&m->freeze);
    fd_drop(&m->oom);
}
