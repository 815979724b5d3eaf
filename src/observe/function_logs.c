/* One writer thread appends what the loop has put. The loop formats a line into its group's buffer under a lock that is held
 * for a copy; the writer takes the buffers LOGS_FLUSH_MS after the first line, group by group, and writes without that lock. At rest it
 * waits on a condition: no wake-ups, but once an hour for retention.
 * The API's questions run on libuv's worker threads. Who changes a group's files holds its lock `disk`; the writer does not wait for
 * it, but comes back to that group in its next round. Who only reads takes no lock of the writer's.
 * Groups stay in memory while they have lines that wait, an index, or a worker; and those that functions write to, for good. */
#include "observe/function_logs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "observe/log_group.h"
#include "observe/log_line.h"

/* ---- groups: all under shared.lock ---- */

static struct log_group *find_group(struct function_logs *logs, struct slice group)
{
    struct log_group *found = NULL;
    HASH_FIND(hh, logs->shared.groups, group.at, group.len, found);
    if (found != NULL)
        return found;
    struct buffer directory = BUFFER_EMPTY;
    log_group_directory(&directory, group);
    found = memory_new(sizeof(*found));
    found->group = slice_dup(group);
    found->name = slice_dup(buffer_slice(&directory));
    (void)pthread_mutex_init(&found->disk, NULL);
    (void)pthread_mutex_init(&found->index_lock, NULL);
    HASH_ADD_KEYPTR(hh, logs->shared.groups, found->group, group.len, found);
    buffer_drop(&directory);
    return found;
}

/* Puts the group's index in front of `forgotten`: one of a hundred thousand streams takes long to free, which nobody waits for under the lock. */
static void forget_index(struct function_logs *logs, struct log_group *group, struct log_index **forgotten)
{
    if (group->in_lru)
        DL_DELETE2(logs->shared.lru, group, lru_prev, lru_next);
    group->in_lru = false;
    logs->shared.index_bytes -= group->index_bytes;
    group->index_bytes = 0;
    if (group->index != NULL)
        LL_PREPEND2(*forgotten, group->index, next_forgotten);
    group->index = NULL;
}

static void free_forgotten(struct log_index *forgotten)
{
    struct log_index *index, *next;
    LL_FOREACH_SAFE2(forgotten, index, next, next_forgotten)
    log_index_free(index);
}

static void group_free(struct function_logs *logs, struct log_group *group, struct log_index **forgotten)
{
    HASH_DEL(logs->shared.groups, group);
    forget_index(logs, group, forgotten);
    buffer_drop(&group->pending);
    (void)pthread_mutex_destroy(&group->disk);
    (void)pthread_mutex_destroy(&group->index_lock);
    free(group->group);
    free(group->name);
    free(group);
}

/* Nobody has it (pins 0): its index is as the last one left it. The oldest ones go when they are too large together. */
static void count_index(struct function_logs *logs, struct log_group *group, struct log_index **forgotten)
{
    if (group->in_lru)
        DL_DELETE2(logs->shared.lru, group, lru_prev, lru_next);
    group->in_lru = group->index != NULL;
    logs->shared.index_bytes -= group->index_bytes;
    group->index_bytes = group->index == NULL ? 0 : log_index_size(group->index);
    logs->shared.index_bytes += group->index_bytes;
    if (group->in_lru)
        DL_PREPEND2(logs->shared.lru, group, lru_prev, lru_next);
    while (logs->shared.index_bytes > LOGS_INDEX_BYTES_MAX && logs->shared.lru != NULL) {
        struct log_group *oldest = logs->shared.lru->lru_prev;
        while (oldest->pins > 0 && oldest != logs->shared.lru)
            oldest = oldest->lru_prev;
        if (oldest->pins > 0)
            break;
        forget_index(logs, oldest, forgotten);
    }
}

struct log_group *function_logs_pin(struct function_logs *logs, struct slice group)
{
    (void)pthread_mutex_lock(&logs->shared.lock);
    struct log_group *found = find_group(logs, group);
    found->pins++;
    (void)pthread_mutex_unlock(&logs->shared.lock);
    return found;
}

void function_logs_unpin(struct function_logs *logs, struct log_group *group)
{
    struct log_index *forgotten = NULL;
    (void)pthread_mutex_lock(&logs->shared.lock);
    if (--group->pins == 0) {
        count_index(logs, group, &forgotten);
        if (!group->dirty && group->pending.len == 0 && !group->known && group->index == NULL)
            group_free(logs, group, &forgotten); /* asked for, and not there or at rest */
    }
    (void)pthread_mutex_unlock(&logs->shared.lock);
    free_forgotten(forgotten);
}

static void put_in_dirty(struct function_logs *logs, struct log_group *group)
{
    if (group->dirty)
        return;
    group->dirty = true;
    group->next_dirty = logs->shared.dirty;
    logs->shared.dirty = group;
}

void function_logs_put(struct function_logs *logs, struct slice group, struct slice stream, int64_t time_ms,
                       struct slice message)
{
    (void)pthread_mutex_lock(&logs->shared.lock);
    if (logs->shared.bytes > LOGS_BUFFER_BYTES_MAX) {
        logs->shared.dropped++;
        (void)pthread_mutex_unlock(&logs->shared.lock);
        return;
    }
    struct log_group *to = find_group(logs, group);
    size_t before = to->pending.len;
    log_line_write(&to->pending, time_ms, time_ms, stream, message);
    logs->shared.bytes += to->pending.len - before;
    bool first = logs->shared.dirty == NULL;
    put_in_dirty(logs, to);
    if (first)
        (void)pthread_cond_signal(&logs->shared.wake);
    (void)pthread_mutex_unlock(&logs->shared.lock);
}

/* ---- retention: an hourly round over all groups, on the writer's thread ---- */

static void sweep_group(struct function_logs *logs, const char *directory)
{
    struct log_group_info info;
    struct error err;
    AUTO(fd)
    int dir = -1;
    AUTO(buffer)
    struct buffer name = BUFFER_EMPTY;
    if (dir_open(logs->dir, directory, false, 0, &dir, &err) != OK)
        return;
    if (!log_group_of_directory(slice_of(directory), &name))
        buffer_reset(&name); /* its file knows it */
    if (log_info_read(dir, buffer_slice(&name), &info, &err) != OK)
        return;
    int64_t oldest_ms = log_info_oldest_ms(&info, clock_wall_ms());
    if (oldest_ms > 0) {
        struct log_group *group = function_logs_pin(logs, slice_of(info.name));
        (void)pthread_mutex_lock(&group->disk);
        log_group_expire(logs, group, dir, oldest_ms, false);
        (void)pthread_mutex_unlock(&group->disk);
        function_logs_unpin(logs, group);
    }
    log_group_info_drop(&info);
}

static void sweep(struct function_logs *logs)
{
    int fd = openat(logs->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        fd_drop(&fd);
        return;
    }
    struct dirent *entry;
    while (!__atomic_load_n(&logs->shared.closing, __ATOMIC_RELAXED) && (entry = readdir(stream)) != NULL)
        if (entry->d_name[0] != '.')
            sweep_group(logs, entry->d_name);
    (void)closedir(stream);
}

/* ---- the writer ---- */

static struct timespec in_ms(uint64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    return until;
}

/* Returns with lines that are LOGS_FLUSH_MS old, at the end, or when it is time to sweep. */
static void wait_for_lines(struct function_logs *logs, uint64_t sweep_us)
{
    uint64_t now = clock_mono_us();
    struct timespec until = in_ms(sweep_us > now ? (sweep_us - now) / 1000 : 0);
    while (logs->shared.dirty == NULL && !logs->shared.closing)
        if (pthread_cond_timedwait(&logs->shared.wake, &logs->shared.lock, &until) == ETIMEDOUT)
            break;
    if (logs->shared.dirty == NULL)
        return;
    until = in_ms(LOGS_FLUSH_MS);
    while (!logs->shared.closing &&
           pthread_cond_timedwait(&logs->shared.wake, &logs->shared.lock, &until) != ETIMEDOUT)
        continue;
}

static void write_group(struct function_logs *logs, struct log_group *group, bool closing)
{
    if (closing)
        (void)pthread_mutex_lock(&group->disk);
    else if (pthread_mutex_trylock(&group->disk) != 0) { /* the API changes it: the others do not wait for that */
        (void)pthread_mutex_lock(&logs->shared.lock);
        put_in_dirty(logs, group);
        (void)pthread_mutex_unlock(&logs->shared.lock);
        return;
    }
    log_group_flush_or_tell(logs, group);
    (void)pthread_mutex_unlock(&group->disk);
}

static void *writer_main(void *arg)
{
    struct function_logs *logs = arg;
    uint64_t sweep_us = clock_mono_us() + LOGS_SWEEP_FIRST_S * 1000000ULL;
    (void)pthread_mutex_lock(&logs->shared.lock);
    for (;;) {
        wait_for_lines(logs, sweep_us);
        bool closing = logs->shared.closing;
        if (logs->shared.dirty == NULL && closing)
            break;
        /* What comes meanwhile waits for the next round: no busy writer. Those of this round are pinned: their lines may be
         * written by a worker, and they be forgotten then. */
        struct log_group *round = logs->shared.dirty, *group;
        logs->shared.dirty = NULL;
        for (group = round; group != NULL; group = group->next_dirty)
            group->pins++;
        while (round != NULL) {
            group = round;
            round = group->next_dirty;
            group->dirty = false;
            (void)pthread_mutex_unlock(&logs->shared.lock);
            write_group(logs, group, closing);
            function_logs_unpin(logs, group);
            (void)pthread_mutex_lock(&logs->shared.lock);
        }
        uint64_t dropped = logs->shared.dropped;
        logs->shared.dropped = 0;
        if (dropped > 0)
            log_warn("logs", "%llu log lines were dropped: functions print faster than the disk takes",
                     (unsigned long long)dropped);
        if (!closing && clock_mono_us() >= sweep_us) {
            (void)pthread_mutex_unlock(&logs->shared.lock);
            sweep(logs);
            sweep_us = clock_mono_us() + LOGS_SWEEP_S * 1000000ULL;
            (void)pthread_mutex_lock(&logs->shared.lock);
        }
    }
    (void)pthread_mutex_unlock(&logs->shared.lock);
    return NULL;
}

/* ---- opening and closing ---- */

/* Counts the groups; what was being deleted when a server ended goes now. */
static void look_at_groups(struct function_logs *logs)
{
    int fd = openat(logs->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        fd_drop(&fd);
        return;
    }
    struct dirent *entry;
    struct error err;
    while ((entry = readdir(stream)) != NULL) {
        if (strncmp(entry->d_name, ".deleted-", 9) == 0) {
            if (dir_remove(logs->dir, entry->d_name, &err) != OK)
                log_error("logs", &err, "what is left of a deleted log group stays");
        } else if (entry->d_name[0] != '.')
            logs->group_count++;
    }
    (void)closedir(stream);
}

enum outcome function_logs_open(uv_loop_t *loop, int data_dir, struct function_logs **out, struct error *err)
{
    int dir = -1;
    TRY(dir_open(data_dir, "logs", true, 0700, &dir, err));
    struct function_logs *logs = memory_new(sizeof(*logs));
    logs->loop = loop;
    logs->dir = dir;
    look_at_groups(logs);
    (void)pthread_mutex_init(&logs->shared.lock, NULL);
    (void)pthread_cond_init(&logs->shared.wake, NULL);
    int failure = pthread_create(&logs->writer, NULL, writer_main, logs);
    if (failure != 0) {
        fd_drop(&dir);
        free(logs);
        return error_set_sys(err, failure, "Raise the limit of threads.", "could not start the log writer");
    }
    *out = logs;
    return OK;
}

void function_logs_close(struct function_logs *logs)
{
    if (logs == NULL)
        return;
    (void)pthread_mutex_lock(&logs->shared.lock);
    __atomic_store_n(&logs->shared.closing, true, __ATOMIC_RELAXED);
    (void)pthread_cond_signal(&logs->shared.wake);
    (void)pthread_mutex_unlock(&logs->shared.lock);
    (void)pthread_join(logs->writer, NULL);
    if (logs->works.running_count > 0)
        return; /* the loop was stopped under them, at the process's end: theirs stays until then */
    struct log_group *group, *next;
    struct log_index *forgotten = NULL;
    HASH_ITER (hh, logs->shared.groups, group, next)
        group_free(logs, group, &forgotten);
    free_forgotten(forgotten);
    (void)pthread_mutex_destroy(&logs->shared.lock);
    (void)pthread_cond_destroy(&logs->shared.wake);
    fd_drop(&logs->dir);
    free(logs);
}

/* ---- work on other threads ---- */

struct log_work {
    struct log_work *prev, *next; /* works.waiting, or works.running */
    uv_work_t request;
    struct function_logs *logs;
    struct log_group *group;
    log_work_fn *work;
    log_work_done_fn *done;
    void *arg;
};

static void run_work(uv_work_t *request)
{
    struct log_work *w = request->data;
    w->work(w->logs, w->group, w->arg);
    function_logs_unpin(w->logs, w->group); /* here: it may free an index, and the loop must not wait for that */
    w->group = NULL;
}

static void start_works(struct function_logs *logs);

static void work_ended(uv_work_t *request, int status)
{
    struct log_work *w = request->data;
    struct function_logs *logs = w->logs;
    log_work_done_fn *done = w->done;
    void *arg = w->arg;
    assert(status == 0); /* nobody cancels */
    DL_DELETE(logs->works.running, w);
    logs->works.running_count--;
    free(w);
    start_works(logs);
    done(arg);
}

static void start_works(struct function_logs *logs)
{
    while (logs->works.waiting != NULL && logs->works.running_count < LOGS_WORKS_AT_ONCE) {
        struct log_work *w = logs->works.waiting;
        DL_DELETE(logs->works.waiting, w);
        DL_APPEND(logs->works.running, w);
        logs->works.running_count++;
        int failure = uv_queue_work(logs->loop, &w->request, run_work, work_ended);
        assert(failure == 0); /* only for a NULL callback */
        (void)failure;
    }
}

void function_logs_work(struct function_logs *logs, struct slice group, log_work_fn *work, log_work_done_fn *done,
                        void *arg)
{
    struct log_work *w = memory_new(sizeof(*w));
    *w = (struct log_work){ .logs = logs, .work = work, .done = done, .arg = arg };
    w->request.data = w;
    w->group = function_logs_pin(logs, group);
    DL_APPEND(logs->works.waiting, w);
    start_works(logs);
}
