/* Reading what function_logs.c wrote, from any process that may open the files. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "base/clock.h"
#include "observe/function_logs.h"
#include "observe/log_group.h"
#include "observe/log_line.h"

enum { READ_BYTES = 64 * 1024, LINE_BYTES_MAX = 4 * 1024 * 1024, SERIAL_BYTES = 32 };

/* A stream that was deleted: what stands before that place is not told. */
struct dead_stream {
    char *name; /* escaped */
    unsigned long serial;
    uint32_t offset;
    UT_hash_handle hh;
};

struct reader {
    int dir;
    struct dead_stream *dead;
    uint64_t offset; /* in the file, of what stands in `rest` */
    int64_t since_ms;
    log_event_fn *each;
    void *arg;
    unsigned long serial; /* the file being read */
    int fd;
    struct buffer rest; /* an unfinished line */
    struct buffer stream, message;
    bool stopped;
};

static void reader_drop(struct reader *r)
{
    struct dead_stream *dead, *next;
    HASH_ITER (hh, r->dead, dead, next) {
        HASH_DEL(r->dead, dead);
        free(dead->name);
        free(dead);
    }
    fd_drop(&r->dir);
    fd_drop(&r->fd);
    buffer_drop(&r->rest);
    buffer_drop(&r->stream);
    buffer_drop(&r->message);
}

static void note_dead(const struct log_journal_entry *entry, void *arg)
{
    struct reader *r = arg;
    struct dead_stream *dead = NULL;
    if (entry->created)
        return;
    HASH_FIND(hh, r->dead, entry->stream.at, entry->stream.len, dead);
    if (dead == NULL) {
        dead = memory_new(sizeof(*dead));
        dead->name = slice_dup(entry->stream);
        HASH_ADD_KEYPTR(hh, r->dead, dead->name, entry->stream.len, dead);
    }
    dead->serial = entry->serial;
    dead->offset = entry->offset;
}

static bool is_dead(const struct reader *r, struct slice line, uint64_t offset)
{
    struct dead_stream *dead = NULL;
    struct log_line parts;
    if (r->dead == NULL || !log_line_split(line, &parts))
        return false;
    HASH_FIND(hh, r->dead, parts.stream.at, parts.stream.len, dead);
    return dead != NULL && (r->serial < dead->serial || (r->serial == dead->serial && offset < dead->offset));
}

static void take_line(struct reader *r, struct slice line, uint64_t offset)
{
    struct log_event event;
    if (is_dead(r, line, offset))
        return;
    buffer_reset(&r->stream);
    buffer_reset(&r->message);
    if (!log_line_read(line, &event.time_ms, &r->stream, &r->message) || event.time_ms < r->since_ms)
        return;
    event.stream = buffer_slice(&r->stream);
    event.message = buffer_slice(&r->message);
    r->stopped = !r->each(&event, r->arg);
}

static void take_bytes(struct reader *r)
{
    size_t from = 0;
    for (size_t i = 0; i < r->rest.len && !r->stopped; i++) {
        if (r->rest.at[i] != '\n')
            continue;
        take_line(r, slice_sub(buffer_slice(&r->rest), from, i - from), r->offset + from);
        from = i + 1;
    }
    if (r->rest.len - from > LINE_BYTES_MAX) /* no line of ours: a damaged file */
        from = r->rest.len;
    buffer_consume(&r->rest, from);
    r->offset += from;
}

/* Reads what is there of the current file. */
static enum outcome read_file(struct reader *r, struct error *err)
{
    while (!r->stopped) {
        buffer_reserve(&r->rest, READ_BYTES);
        ssize_t got = read(r->fd, r->rest.at + r->rest.len, READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_sys(err, errno, "Check the disk that holds the data directory.",
                                 "could not read a log file");
        if (got == 0)
            return OK;
        r->rest.len += (size_t)got;
        take_bytes(r);
    }
    return OK;
}

/* All files from the current one on; stays in the last. */
static enum outcome read_all(struct reader *r, struct error *err)
{
    while (!r->stopped) {
        if (r->fd >= 0)
            TRY(read_file(r, err));
        unsigned long first = 0, last = 0;
        log_files_scan(r->dir, &first, &last);
        unsigned long next = r->fd < 0 ? first : r->serial + 1;
        if (next < first)
            next = first; /* older ones went meanwhile */
        if (last == 0 || next > last)
            return OK;
        char name[SERIAL_BYTES];
        (void)snprintf(name, sizeof(name), "%08lu.log", next);
        fd_drop(&r->fd);
        buffer_reset(&r->rest);
        r->offset = 0;
        r->fd = openat(r->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        r->serial = next;
        if (r->fd < 0 && errno != ENOENT)
            return error_set_sys(err, errno, "Run as the user that the server's data belongs to.",
                                 "could not open a log file");
        if (r->fd < 0)
            continue;
    }
    return OK;
}

static enum outcome follow_changes(struct reader *r, struct error *err)
{
    AUTO(fd)
    int watch = inotify_init1(IN_CLOEXEC);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", r->dir);
    if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE) < 0)
        return error_set_sys(err, errno, "Raise fs.inotify.max_user_watches.", "could not watch the log files");
    TRY(read_all(r, err)); /* what came before the watch was set */
    while (!r->stopped) {
        char events[4096];
        ssize_t got = read(watch, events, sizeof(events));
        if (got < 0 && errno != EINTR)
            return error_set_sys(err, errno, "Try again.", "could not watch the log files");
        TRY(read_all(r, err));
    }
    return OK;
}

/* What was deleted, and what retention is over with, is not told, whatever files are still there. */
static enum outcome look_at_group(struct reader *r, struct slice group, struct error *err)
{
    struct log_group_info info;
    uint64_t inode = 0;
    size_t offset = 0;
    bool other = false;
    TRY(log_info_read(r->dir, group, &info, err));
    int64_t oldest_ms = log_info_oldest_ms(&info, clock_wall_ms());
    if (r->since_ms < oldest_ms)
        r->since_ms = oldest_ms;
    log_group_info_drop(&info);
    return log_journal_read(r->dir, &inode, &offset, &other, note_dead, r, err);
}

enum outcome function_logs_read(int data_dir, struct slice group, int64_t since_ms, bool follow, log_event_fn *each,
                                void *arg, struct error *err)
{
    AUTO(reader)
    struct reader r = { .dir = -1, .since_ms = since_ms, .each = each, .arg = arg, .fd = -1 };
    struct buffer name = BUFFER_EMPTY;
    buffer_append_text(&name, "logs/");
    log_group_directory(&name, group);
    enum outcome opened = dir_open(data_dir, buffer_text(&name), false, 0, &r.dir, err);
    buffer_drop(&name);
    TRY(opened);
    TRY(look_at_group(&r, group, err));
    TRY(read_all(&r, err));
    return follow && !r.stopped ? follow_changes(&r, err) : OK;
}
