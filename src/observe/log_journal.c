/* DATA/logs/<group>/streams: appended to and synced, one line a change:
 *     "+\t<Unix ms>\t<stream>\n"            created without a line
 *     "-\t<serial>\t<offset>\t<stream>\n"   deleted: what stands before that place is not seen any more
 * A torn last line was not acknowledged; the next change begins on a line of its own. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "observe/log_group.h"
#include "observe/log_line.h"

static const char journal_file[] = "streams";
static const char could_not[] = "could not keep a log stream";

void log_journal_print(const struct log_journal_entry *entry, struct buffer *out)
{
    if (entry->created)
        buffer_appendf(out, "+\t%lld\t", (long long)entry->created_ms);
    else
        buffer_appendf(out, "-\t%lu\t%u\t", entry->serial, entry->offset);
    buffer_append_slice(out, entry->stream);
    buffer_append_byte(out, '\n');
}

static bool parse(struct slice line, struct log_journal_entry *entry)
{
    uint64_t number = 0, offset = 0;
    struct slice kind = slice_split(&line, '\t');
    if (!slice_to_u64(slice_split(&line, '\t'), INT64_MAX, &number))
        return false;
    *entry = (struct log_journal_entry){ .created = slice_is(kind, "+"), .created_ms = (int64_t)number };
    if (slice_is(kind, "-")) {
        if (!slice_to_u64(slice_split(&line, '\t'), UINT32_MAX, &offset))
            return false;
        entry->serial = (unsigned long)number;
        entry->offset = (uint32_t)offset;
    } else if (!entry->created)
        return false;
    entry->stream = line;
    return line.len > 0 && memchr(line.at, '\t', line.len) == NULL;
}

enum outcome log_journal_read(int dir, uint64_t *inode, size_t *offset, bool *other, log_journal_fn *each,
                              void *arg, struct error *err)
{
    struct stat info = { 0 };
    AUTO(fd)
    int fd = openat(dir, journal_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT)
        return error_set_sys(err, errno, log_hint_disk, "could not read the streams of a log group");
    if (fd >= 0 && fstat(fd, &info) < 0)
        return error_set_sys(err, errno, log_hint_disk, "could not read the streams of a log group");
    *other = *inode != (uint64_t)info.st_ino || (size_t)info.st_size < *offset;
    if (*other) {
        *inode = (uint64_t)info.st_ino;
        *offset = 0;
    }
    if (fd < 0 || (size_t)info.st_size == *offset)
        return OK;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    if (lseek(fd, (off_t)*offset, SEEK_SET) < 0)
        return error_set_sys(err, errno, log_hint_disk, "could not read the streams of a log group");
    TRY(fd_read_all(fd, 2 * (size_t)LOGS_JOURNAL_BYTES_MAX, &text, err));
    struct slice rest = buffer_slice(&text);
    size_t end = 0;
    while (slice_find(rest, '\n', &end)) {
        struct log_journal_entry entry;
        if (parse(slice_sub(rest, 0, end), &entry))
            each(&entry, arg);
        rest = slice_sub(rest, end + 1, rest.len);
        *offset += end + 1;
    }
    return OK;
}

enum outcome log_journal_append(int dir, const struct log_journal_entry *entry, size_t *bytes, struct error *err)
{
    struct stat info = { 0 };
    char last = '\n';
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    AUTO(fd)
    int fd = openat(dir, journal_file, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fstat(fd, &info) < 0)
        return error_set_sys(err, errno, log_hint_disk, "%s", could_not);
    if (info.st_size > 0 && pread(fd, &last, 1, info.st_size - 1) == 1 && last != '\n')
        buffer_append_byte(&text, '\n');
    log_journal_print(entry, &text);
    enum outcome outcome = fd_write_all(fd, buffer_slice(&text), err);
    if (outcome == OK && fdatasync(fd) < 0)
        outcome = error_set_sys(err, errno, log_hint_disk, "%s", could_not);
    if (outcome == OK && info.st_size == 0 && fsync(dir) < 0)
        outcome = error_set_sys(err, errno, log_hint_disk, "%s", could_not);
    if (outcome != OK && ftruncate(fd, info.st_size) < 0)
        return FAILED; /* the torn line is no change */
    *bytes = (size_t)info.st_size + text.len;
    return outcome;
}

enum outcome log_journal_replace(int dir, struct slice text, struct error *err)
{
    return file_replace(dir, journal_file, text, 0600, err);
}
