/* What readers remember: of each file the times of its blocks, of the group its streams. Made by reading the files once, then only what
 * was appended since; made anew when a file went, when streams were deleted or half a batch was cut off. Cost: 32 bytes a block of
 * LOGS_BLOCK_BYTES, and about 200 a stream; 120 MB of lines take 0.2 s. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "observe/log_group.h"
#include "observe/log_line.h"

enum { READ_BYTES = 4 * 1024 * 1024 };

void log_index_free(struct log_index *index)
{
    if (index == NULL)
        return;
    struct log_stream *stream, *next;
    HASH_ITER (hh, index->streams, stream, next) {
        HASH_DEL(index->streams, stream);
        free(stream->name);
        free(stream);
    }
    for (size_t i = 0; i < index->file_count; i++)
        free(index->files[i].blocks);
    free(index->files);
    free(index);
}

size_t log_index_size(const struct log_index *index)
{
    size_t size = sizeof(*index) + index->file_cap * sizeof(*index->files) + index->stream_bytes;
    for (size_t i = 0; i < index->file_count; i++)
        size += index->files[i].cap * sizeof(*index->files[i].blocks);
    return size;
}

/* ---- streams ---- */

static struct log_stream *find_stream(struct log_index *index, struct slice escaped)
{
    struct log_stream *found = NULL;
    HASH_FIND(hh, index->streams, escaped.at, escaped.len, found);
    return found;
}

struct log_stream *log_index_stream(struct log_index *index, struct slice escaped)
{
    struct log_stream *stream = find_stream(index, escaped);
    return stream == NULL || (!stream->created && !stream->has_events) ? NULL : stream;
}

static struct log_stream *have_stream(struct log_index *index, struct slice escaped)
{
    struct log_stream *stream = find_stream(index, escaped);
    if (stream != NULL)
        return stream;
    stream = memory_new(sizeof(*stream));
    stream->name = slice_dup(escaped);
    HASH_ADD_KEYPTR(hh, index->streams, stream->name, escaped.len, stream);
    index->stream_bytes += sizeof(*stream) + escaped.len + 32;
    return stream;
}

static bool is_before(unsigned long serial, uint32_t offset, unsigned long other, uint32_t other_offset)
{
    return serial < other || (serial == other && offset < other_offset);
}

bool log_index_is_dead(struct log_index *index, struct slice escaped, unsigned long serial, uint32_t offset)
{
    if (index->dead_count == 0)
        return false;
    const struct log_stream *stream = find_stream(index, escaped);
    return stream != NULL && is_before(serial, offset, stream->dead_serial, stream->dead_offset);
}

/* The stream of a line: mostly one of the last few. */
static struct log_stream *stream_of_line(struct log_index *index, struct slice name)
{
    unsigned hash = (unsigned)name.len;
    for (size_t i = name.len > 4 ? name.len - 4 : 0; i < name.len; i++)
        hash = hash * 31 + (unsigned char)name.at[i];
    struct log_stream **recent = &index->recent[hash % (sizeof(index->recent) / sizeof(index->recent[0]))];
    if (*recent != NULL && (*recent)->hh.keylen == name.len && memcmp((*recent)->name, name.at, name.len) == 0)
        return *recent;
    return *recent = have_stream(index, name);
}

static void note_event(struct log_index *index, const struct log_line *line, unsigned long serial, uint32_t offset)
{
    struct log_stream *stream = stream_of_line(index, line->stream);
    if (is_before(serial, offset, stream->dead_serial, stream->dead_offset))
        return;
    if (!stream->has_events) {
        stream->first_ms = stream->last_ms = line->time_ms;
        stream->ingested_ms = line->ingested_ms;
        if (!stream->created)
            stream->created_ms = line->ingested_ms;
        stream->has_events = true;
        return;
    }
    if (line->time_ms < stream->first_ms)
        stream->first_ms = line->time_ms;
    if (line->time_ms > stream->last_ms)
        stream->last_ms = line->time_ms;
    if (line->ingested_ms > stream->ingested_ms)
        stream->ingested_ms = line->ingested_ms;
}

struct journal_reader {
    struct log_index *index;
    bool deleted; /* lines that are in the index already may be meant */
};

static void take_change(const struct log_journal_entry *entry, void *arg)
{
    struct journal_reader *reader = arg;
    struct log_stream *stream = have_stream(reader->index, entry->stream);
    if (entry->created) {
        stream->created = true;
        stream->created_ms = entry->created_ms;
        return;
    }
    stream->created = false;
    reader->index->dead_count += stream->dead_serial == 0;
    stream->dead_serial = entry->serial;
    stream->dead_offset = entry->offset;
    reader->deleted = true;
}

/* ---- files ---- */

static struct log_block *block_for(struct log_index_file *file, uint32_t offset, int64_t time_ms)
{
    struct log_block *last = file->count == 0 ? NULL : &file->blocks[file->count - 1];
    if (last != NULL && last->end - last->start < LOGS_BLOCK_BYTES)
        return last;
    if (file->count == file->cap) {
        file->cap = file->cap == 0 ? 4 : 2 * file->cap;
        file->blocks = memory_grow(file->blocks, file->cap, sizeof(*file->blocks));
    }
    assert(file->blocks != NULL); /* it has room for one at least */
    last = &file->blocks[file->count++];
    *last = (struct log_block){ offset, offset, time_ms, time_ms };
    return last;
}

/* Whole lines that stand at `offset` of the file; returns how many bytes they are. */
static size_t take_lines(struct log_index *index, struct log_index_file *file, struct slice bytes, size_t offset)
{
    const char *at = bytes.at, *end = bytes.at + bytes.len, *newline;
    while (at < end && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        struct log_line line;
        uint32_t start = (uint32_t)(offset + (size_t)(at - bytes.at));
        if (log_line_split(slice_from(at, (size_t)(newline - at)), &line)) {
            struct log_block *block = block_for(file, start, line.time_ms);
            block->end = start + (uint32_t)(newline + 1 - at);
            if (line.time_ms < block->oldest_ms)
                block->oldest_ms = line.time_ms;
            if (line.time_ms > block->newest_ms)
                block->newest_ms = line.time_ms;
            note_event(index, &line, file->serial, start);
        }
        at = newline + 1;
    }
    return (size_t)(at - bytes.at);
}

static enum outcome scan_file(struct log_index *index, struct log_index_file *file, int dir, struct buffer *buffer,
                              struct error *err)
{
    char name[LOG_FILE_NAME_BYTES];
    struct stat info;
    log_file_name(file->serial, name);
    if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && (size_t)info.st_size == file->scanned)
        return OK;
    AUTO(fd)
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return OK; /* went meanwhile; or retention took it out of the middle */
    if (fd < 0)
        return error_set_sys(err, errno, log_hint_disk, "could not open a log file");
    for (;;) {
        buffer_reserve(buffer, READ_BYTES);
        ssize_t got = pread(fd, buffer->at, buffer->cap, (off_t)file->scanned);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_sys(err, errno, log_hint_disk, "could not read a log file");
        size_t taken = got == 0 ? 0 : take_lines(index, file, slice_from(buffer->at, (size_t)got), file->scanned);
        file->scanned += taken;
        if (taken == 0 && (size_t)got == buffer->cap) { /* a damaged file: no line of ours is so long */
            file->scanned += (size_t)got;
            continue;
        }
        if (taken == 0 || (size_t)got < buffer->cap)
            return OK;
    }
}

static struct log_index *index_new(const struct log_group *group, const struct log_group_info *info)
{
    struct log_index *index = memory_new(sizeof(*index));
    memcpy(index->id, info->id, sizeof(index->id));
    index->truncations = __atomic_load_n(&group->truncations, __ATOMIC_ACQUIRE);
    return index;
}

static bool is_stale(const struct log_group *group, const struct log_group_info *info, unsigned long first,
                     unsigned long last)
{
    const struct log_index *index = group->index;
    if (index == NULL || strcmp(index->id, info->id) != 0 ||
        index->truncations != __atomic_load_n(&group->truncations, __ATOMIC_ACQUIRE))
        return true;
    return index->file_count > 0 &&
           (index->files[0].serial != first || last < index->files[index->file_count - 1].serial);
}

/* The journal first: it tells which lines are gone. One that names streams anew goes through the lines again. */
static enum outcome renew_streams(struct log_group *group, int dir, const struct log_group_info *info,
                                  struct error *err)
{
    for (int round = 0;; round++) {
        bool other = false;
        struct journal_reader reader = { group->index, false };
        uint64_t inode = group->index->journal_inode;
        enum outcome outcome = log_journal_read(dir, &group->index->journal_inode, &group->index->journal_bytes,
                                                &other, take_change, &reader, err);
        if (outcome != OK)
            return FAILED;
        bool again = group->index->file_count > 0 && (reader.deleted || (other && inode != 0));
        if (!again || round > 0)
            return OK;
        log_index_free(group->index);
        group->index = index_new(group, info);
    }
}

enum outcome log_index_renew(struct log_group *group, int dir, const struct log_group_info *info, struct error *err)
{
    unsigned long first = 0, last = 0;
    AUTO(buffer)
    struct buffer buffer = BUFFER_EMPTY;
    log_files_scan(dir, &first, &last);
    if (is_stale(group, info, first, last)) {
        log_index_free(group->index);
        group->index = index_new(group, info);
    }
    TRY(renew_streams(group, dir, info, err));
    struct log_index *index = group->index;
    unsigned long next = index->file_count == 0 ? first : index->files[index->file_count - 1].serial + 1;
    for (; next != 0 && next <= last; next++) {
        if (index->file_count == index->file_cap) {
            index->file_cap += LOGS_GROUP_BYTES_MAX / LOGS_FILE_BYTES_MAX + 1;
            index->files = memory_grow(index->files, index->file_cap, sizeof(*index->files));
        }
        index->files[index->file_count++] = (struct log_index_file){ .serial = next };
    }
    for (size_t i = 0; i < index->file_count; i++)
        TRY(scan_file(index, &index->files[i], dir, &buffer, err));
    return OK;
}
