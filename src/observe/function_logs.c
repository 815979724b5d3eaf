/* One writer thread appends what the loop has put. The loop formats a line into its group's buffer under a lock that is held
 * for a copy; the writer swaps the buffers out LOGS_FLUSH_MS after the first line and writes without the lock. At rest it
 * waits on a condition: no wake-ups. Files: logs/<group>/<8 digits>.log, the highest is written to. */
#include "observe/function_logs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "observe/log_line.h"

enum { NAME_BYTES = 32 };

struct log_group {
    char *group;           /* its key */
    char *name;            /* as its directory is called */
    struct buffer pending; /* lines to write; under the lock */
    bool dirty;            /* in the dirty list; under the lock */
    struct log_group *next_dirty;
    /* the writer's alone */
    bool known; /* the three below have been read from the directory */
    unsigned long first, last;
    size_t last_bytes;
    UT_hash_handle hh;
};

struct function_logs {
    int dir; /* DATA/logs */
    struct log_group *groups;
    pthread_t writer;
    struct { /* shared by the loop and the writer */
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct log_group *dirty;
        size_t bytes;
        uint64_t dropped;
        bool closing;
    } shared;
};

static void file_name(unsigned long serial, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%08lu.log", serial);
}

/* A crash may have torn the last line: closing it makes it a line that readers drop, and keeps the next one whole. */
static void mend_torn_line(int fd, struct log_group *group)
{
    char last = '\n';
    if (group->last_bytes > 0 && pread(fd, &last, 1, (off_t)group->last_bytes - 1) == 1 && last != '\n' &&
        write(fd, "\n", 1) == 1)
        group->last_bytes++;
}

static int open_last(int dir, struct log_group *group)
{
    char name[NAME_BYTES];
    file_name(group->last, name);
    int fd = openat(dir, name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat info;
    if (fd >= 0 && !group->known && fstat(fd, &info) == 0) {
        group->last_bytes = (size_t)info.st_size;
        mend_torn_line(fd, group);
        group->known = true;
    }
    return fd;
}

static void drop_oldest(int dir, struct log_group *group)
{
    while (group->last - group->first >= LOGS_GROUP_BYTES_MAX / LOGS_FILE_BYTES_MAX) {
        char name[NAME_BYTES];
        file_name(group->first++, name);
        (void)unlinkat(dir, name, 0);
    }
}

static void write_group(struct function_logs *logs, struct log_group *group, struct slice lines)
{
    struct error err;
    AUTO(fd)
    int dir = -1;
    if (dir_open(logs->dir, group->name, true, 0700, &dir, &err) != OK) {
        log_error("logs", &err, "could not keep a function's log lines");
        return;
    }
    if (!group->known) {
        log_files_scan(dir, &group->first, &group->last);
        if (group->last == 0)
            group->first = group->last = 1;
    }
    while (lines.len > 0) {
        AUTO(fd)
        int fd = open_last(dir, group);
        size_t room = group->last_bytes < LOGS_FILE_BYTES_MAX ? LOGS_FILE_BYTES_MAX - group->last_bytes : 0;
        struct slice part = lines;
        if (part.len > room) { /* as many whole lines as fit; one at least in an empty file */
            size_t end = room;
            while (end > 0 && lines.at[end - 1] != '\n')
                end--;
            if (end == 0 && group->last_bytes == 0)
                end = lines.len;
            part = slice_sub(lines, 0, end);
        }
        if (fd < 0 || fd_write_all(fd, part, &err) != OK) {
            if (fd < 0)
                (void)error_set_sys(&err, errno, "Check the disk that holds the data directory.",
                                    "could not open a log file");
            log_error("logs", &err, "could not keep a function's log lines");
            group->known = false; /* how much was written is not known: look again */
            return;
        }
        group->last_bytes += part.len;
        lines = slice_sub(lines, part.len, lines.len);
        if (lines.len > 0) {
            group->last++;
            group->last_bytes = 0;
            drop_oldest(dir, group);
        }
    }
}

static void wait_for_lines(struct function_logs *logs)
{
    while (logs->shared.dirty == NULL && !logs->shared.closing)
        (void)pthread_cond_wait(&logs->shared.wake, &logs->shared.lock);
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOGS_FLUSH_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    while (!logs->shared.closing &&
           pthread_cond_timedwait(&logs->shared.wake, &logs->shared.lock, &until) != ETIMEDOUT)
        continue;
}

static void *writer_main(void *arg)
{
    struct function_logs *logs = arg;
    (void)pthread_mutex_lock(&logs->shared.lock);
    for (;;) {
        wait_for_lines(logs);
        if (logs->shared.dirty == NULL && logs->shared.closing)
            break;
        struct log_group *round =
            logs->shared.dirty; /* what comes meanwhile waits for the next round: no busy writer */
        logs->shared.dirty = NULL;
        while (round != NULL) {
            struct log_group *group = round;
            round = group->next_dirty;
            group->dirty = false;
            struct buffer lines = buffer_take(&group->pending);
            logs->shared.bytes -= lines.len;
            (void)pthread_mutex_unlock(&logs->shared.lock);
            write_group(logs, group, buffer_slice(&lines));
            buffer_drop(&lines);
            (void)pthread_mutex_lock(&logs->shared.lock);
        }
        uint64_t dropped = logs->shared.dropped;
        logs->shared.dropped = 0;
        if (dropped > 0)
            log_warn("logs", "%llu log lines were dropped: functions print faster than the disk takes",
                     (unsigned long long)dropped);
    }
    (void)pthread_mutex_unlock(&logs->shared.lock);
    return NULL;
}

enum outcome function_logs_open(uv_loop_t *loop, int data_dir, struct function_logs **out, struct error *err)
{
    (void)loop;
    int dir = -1;
    TRY(dir_open(data_dir, "logs", true, 0700, &dir, err));
    struct function_logs *logs = memory_new(sizeof(*logs));
    logs->dir = dir;
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

static struct log_group *find_group(struct function_logs *logs, struct slice group)
{
    struct log_group *found = NULL;
    HASH_FIND(hh, logs->groups, group.at, group.len, found);
    if (found != NULL)
        return found;
    struct buffer directory = BUFFER_EMPTY;
    log_group_directory(&directory, group);
    found = memory_new(sizeof(*found));
    found->group = slice_dup(group);
    found->name = slice_dup(buffer_slice(&directory));
    HASH_ADD_KEYPTR(hh, logs->groups, found->group, group.len, found);
    buffer_drop(&directory);
    return found;
}

void function_logs_put(struct function_logs *logs, struct slice group, struct slice stream, int64_t time_ms,
                       struct slice message)
{
    struct log_group *to = find_group(logs, group);
    (void)pthread_mutex_lock(&logs->shared.lock);
    if (logs->shared.bytes > LOGS_BUFFER_BYTES_MAX) {
        logs->shared.dropped++;
        (void)pthread_mutex_unlock(&logs->shared.lock);
        return;
    }
    size_t before = to->pending.len;
    log_line_write(&to->pending, time_ms, stream, message);
    logs->shared.bytes += to->pending.len - before;
    bool first = logs->shared.dirty == NULL;
    if (!to->dirty) {
        to->dirty = true;
        to->next_dirty = logs->shared.dirty;
        logs->shared.dirty = to;
    }
    if (first)
        (void)pthread_cond_signal(&logs->shared.wake);
    (void)pthread_mutex_unlock(&logs->shared.lock);
}

void function_logs_close(struct function_logs *logs)
{
    if (logs == NULL)
        return;
    (void)pthread_mutex_lock(&logs->shared.lock);
    logs->shared.closing = true;
    (void)pthread_cond_signal(&logs->shared.wake);
    (void)pthread_mutex_unlock(&logs->shared.lock);
    (void)pthread_join(logs->writer, NULL);
    struct log_group *group, *next;
    HASH_ITER (hh, logs->groups, group, next) {
        HASH_DEL(logs->groups, group);
        buffer_drop(&group->pending);
        free(group->group);
        free(group->name);
        free(group);
    }
    (void)pthread_mutex_destroy(&logs->shared.lock);
    (void)pthread_cond_destroy(&logs->shared.wake);
    fd_drop(&logs->dir);
    free(logs);
}
