/* Appending. A group's files are 00000001.log and so on, the highest is written to. Once a file is full its time of modification is set to
 * its newest event's: so that retention knows, without reading it, when it is over. */
#include "observe/log_group.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "observe/log_line.h"

static enum outcome failed(struct error *err)
{
    return error_set_sys(err, errno, log_hint_disk, "could not write a log file");
}

enum { LOG_COMPLAIN_S = 10 }; /* a full disk is told so often, not ten times a second */

/* A crash may have torn the last line: it is closed so that it ends inside of an escape, which makes it a line that readers drop, and keeps
 * the next one whole. Nothing is cut off: who follows the file reads on. */
static enum outcome mend_torn_line(int fd, struct log_group *group, struct error *err)
{
    char tail[64];
    size_t len = group->last_bytes < sizeof(tail) ? group->last_bytes : sizeof(tail), escapes = 0;
    if (len == 0 || pread(fd, tail, len, (off_t)(group->last_bytes - len)) != (ssize_t)len || tail[len - 1] == '\n')
        return OK;
    while (escapes < len && tail[len - 1 - escapes] == '\\')
        escapes++;
    struct slice end = escapes % 2 == 1 ? SLICE("\n") : SLICE("\\\n");
    TRY(fd_write_all(fd, end, err));
    group->last_bytes += end.len;
    return OK;
}

/* A group that comes to be by its function's first line, or that the first format left. */
static enum outcome keep_info(struct function_logs *logs, struct log_group *group, int dir, bool made,
                              struct error *err)
{
    struct log_group_info info;
    bool cut = strlen(group->name) == LOG_DIRECTORY_BYTES_MAX; /* only its file may know its name */
    if (!made && faccessat(dir, "group", F_OK, 0) == 0)
        return OK;
    TRY(log_info_read(dir, slice_of(group->group), &info, err));
    log_info_new_id(&info);
    if (made) {
        info.created_ms = clock_wall_ms();
        (void)__atomic_add_fetch(&logs->group_count, 1, __ATOMIC_RELAXED);
    }
    enum outcome outcome = log_info_write(dir, &info, cut, err);
    log_group_info_drop(&info);
    return outcome;
}

static enum outcome open_dir(struct function_logs *logs, struct log_group *group, int *dir, struct error *err)
{
    bool made = !group->known && faccessat(logs->dir, group->name, F_OK, 0) < 0;
    AUTO(fd)
    int fd = -1;
    TRY(dir_open(logs->dir, group->name, true, 0700, &fd, err));
    if (!group->known) {
        TRY(keep_info(logs, group, fd, made, err));
        log_files_scan(fd, &group->first, &group->last);
        if (group->last == 0)
            group->first = group->last = 1;
    }
    *dir = fd_take(&fd);
    return OK;
}

static enum outcome open_last(int dir, struct log_group *group, int *out, struct error *err)
{
    char name[LOG_FILE_NAME_BYTES];
    struct stat info;
    log_file_name(group->last, name);
    AUTO(fd)
    int fd = openat(dir, name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed(err);
    if (!group->known) {
        if (fstat(fd, &info) < 0)
            return failed(err);
        group->last_bytes = (size_t)info.st_size;
        TRY(mend_torn_line(fd, group, err));
        group->last_newest_ms = 0;
        group->last_is_whole = group->last_bytes == 0;
        group->known = true;
    }
    *out = fd_take(&fd);
    return OK;
}

static void seal(int fd, const struct log_group *group)
{
    if (!group->last_is_whole)
        return; /* its time stays that of the last line, which is not older by more than a clock's step */
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
                                 { .tv_sec = group->last_newest_ms / 1000,
                                   .tv_nsec = group->last_newest_ms % 1000 * 1000000 } };
    (void)futimens(fd, times);
}

static void start_next(int dir, int fd, struct log_group *group)
{
    seal(fd, group);
    group->last++;
    group->last_bytes = 0;
    group->last_newest_ms = 0;
    group->last_is_whole = true;
    while (group->last - group->first >= LOGS_GROUP_BYTES_MAX / LOGS_FILE_BYTES_MAX) {
        char name[LOG_FILE_NAME_BYTES];
        log_file_name(group->first++, name);
        (void)unlinkat(dir, name, 0);
    }
}

/* Writes to the open last file; what a full disk left of it is cut off again, so that nothing is half there. */
static enum outcome write_part(int fd, struct log_group *group, struct slice part, struct error *err)
{
    if (fd_write_all(fd, part, err) == OK) {
        group->last_bytes += part.len;
        return OK;
    }
    (void)__atomic_add_fetch(&group->truncations, 1, __ATOMIC_RELEASE);
    if (ftruncate(fd, (off_t)group->last_bytes) < 0)
        group->known = false; /* how much is there is not known: look again */
    return FAILED;
}

/* As many whole lines as fit into `room`. */
static struct slice whole_lines(struct slice lines, size_t room)
{
    if (lines.len <= room)
        return lines;
    const char *newline = room == 0 ? NULL : memrchr(lines.at, '\n', room);
    return slice_sub(lines, 0, newline == NULL ? 0 : (size_t)(newline - lines.at) + 1);
}

static enum outcome write_lines(struct function_logs *logs, struct log_group *group, struct slice lines, bool whole,
                                int64_t newest_ms, struct error *err)
{
    AUTO(fd)
    int dir = -1;
    TRY(open_dir(logs, group, &dir, err));
    while (lines.len > 0) {
        AUTO(fd)
        int fd = -1;
        TRY(open_last(dir, group, &fd, err));
        size_t room = group->last_bytes < LOGS_FILE_BYTES_MAX ? LOGS_FILE_BYTES_MAX - group->last_bytes : 0;
        struct slice part = whole_lines(lines, room);
        if (whole && part.len < lines.len)
            part = SLICE_EMPTY;
        if (part.len == 0 && group->last_bytes == 0)
            part = lines; /* larger than a file: one there is */
        if (part.len == 0) {
            start_next(dir, fd, group);
            continue;
        }
        TRY(write_part(fd, group, part, err));
        if (newest_ms > group->last_newest_ms)
            group->last_newest_ms = newest_ms;
        lines = slice_sub(lines, part.len, lines.len);
    }
    return OK;
}

enum outcome log_group_append(struct function_logs *logs, struct log_group *group, struct slice lines,
                              int64_t newest_ms, struct error *err)
{
    return write_lines(logs, group, lines, true, newest_ms, err);
}

enum outcome log_group_flush(struct function_logs *logs, struct log_group *group, struct error *err)
{
    (void)pthread_mutex_lock(&logs->shared.lock);
    struct buffer lines = buffer_take(&group->pending);
    logs->shared.bytes -= lines.len;
    (void)pthread_mutex_unlock(&logs->shared.lock);
    enum outcome outcome =
        lines.len == 0 ? OK : write_lines(logs, group, buffer_slice(&lines), false, clock_wall_ms(), err);
    buffer_drop(&lines);
    return outcome;
}

void log_group_flush_or_tell(struct function_logs *logs, struct log_group *group)
{
    struct error err = { 0 };
    if (log_group_flush(logs, group, &err) == OK)
        return;
    uint64_t now = clock_mono_us(), told = __atomic_load_n(&logs->complained_us, __ATOMIC_RELAXED);
    if (told != 0 && now - told < LOG_COMPLAIN_S * 1000000ULL)
        return;
    __atomic_store_n(&logs->complained_us, now, __ATOMIC_RELAXED);
    log_error("logs", &err, "could not keep a function's log lines");
}

enum outcome log_group_end(struct function_logs *logs, struct log_group *group, unsigned long *serial,
                           uint32_t *offset, struct error *err)
{
    AUTO(fd)
    int dir = -1;
    AUTO(fd)
    int fd = -1;
    TRY(open_dir(logs, group, &dir, err));
    TRY(open_last(dir, group, &fd, err));
    *serial = group->last;
    *offset = (uint32_t)group->last_bytes;
    return OK;
}

/* ---- retention ---- */

/* The newest event of a file, by reading it; INT64_MAX when it cannot be read. */
static int64_t newest_of(int dir, unsigned long serial)
{
    char name[LOG_FILE_NAME_BYTES];
    struct error err;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    int64_t newest = 0;
    log_file_name(serial, name);
    if (file_read(dir, name, 2 * (size_t)LOGS_FILE_BYTES_MAX, &text, &err) != OK)
        return INT64_MAX;
    struct slice rest = buffer_slice(&text);
    while (rest.len > 0) {
        struct log_line line;
        if (log_line_split(slice_split(&rest, '\n'), &line) && line.time_ms > newest)
            newest = line.time_ms;
    }
    return newest;
}

static bool is_over(int dir, unsigned long serial, int64_t oldest_ms, bool exact)
{
    char name[LOG_FILE_NAME_BYTES];
    struct stat info;
    log_file_name(serial, name);
    if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0 || info.st_size == 0)
        return false;
    /* Nothing in it is younger than when it was written, but for what PutLogEvents may have dated ahead. */
    int64_t written_ms = (int64_t)info.st_mtim.tv_sec * 1000 + 1000;
    return written_ms + LOGS_FUTURE_MS < oldest_ms || (exact && newest_of(dir, serial) < oldest_ms);
}

void log_group_expire(struct function_logs *logs, struct log_group *group, int dir, int64_t oldest_ms, bool exact)
{
    unsigned long first = 0, last = 0;
    char name[LOG_FILE_NAME_BYTES];
    (void)logs;
    log_files_scan(dir, &first, &last);
    if (last == 0)
        return;
    if (is_over(dir, last, oldest_ms, exact)) { /* its number stays taken: positions must not come twice */
        log_file_name(last + 1, name);
        int next = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (next < 0)
            return;
        fd_drop(&next);
        last++;
    }
    for (unsigned long serial = first; serial < last; serial++)
        if (is_over(dir, serial, oldest_ms, exact)) {
            log_file_name(serial, name);
            (void)unlinkat(dir, name, 0);
        }
    group->known = false; /* what the first and last are is read again */
}
