/* Events out of the files, in order of time, then of place. The blocks that may hold some are gone through in the order of their first
 * times; the best of what was found stand in a heap of at most the page's size; once it is full, and the next block begins behind its last,
 * the page is found. So lines that were written in their order are read once, and any order is right.
 * Nothing is allocated for a line: terms are looked for in the bytes of the file (memmem), and only a line that may match is taken apart. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "observe/log_group.h"
#include "observe/log_line.h"

struct found {
    struct log_position at;
    uint32_t len; /* of its line, without the newline */
};

struct candidate {
    const struct log_index_file *file;
    const struct log_block *block;
    bool latest; /* the order that they are sorted in: qsort has no argument for it */
};

struct search {
    struct log_index *index;
    int dir;
    const struct log_query *query;
    struct found *heap; /* the worst of the best first: the last one of the page, as asked */
    size_t count, bytes;
    bool more; /* something was left out */
    unsigned long open_serial;
    int fd;
    struct buffer bytes_read, message;
    struct slice *streams; /* escaped, as query->streams */
    struct slice prefix;
    struct buffer names; /* memory of these */
};

static void search_drop(struct search *s)
{
    free(s->heap);
    free(s->streams);
    buffer_drop(&s->names);
    buffer_drop(&s->bytes_read);
    buffer_drop(&s->message);
    fd_drop(&s->fd);
}

int log_position_compare(const struct log_position *a, const struct log_position *b)
{
    if (a->ms != b->ms)
        return a->ms < b->ms ? -1 : 1;
    if (a->serial != b->serial)
        return a->serial < b->serial ? -1 : 1;
    return a->offset == b->offset ? 0 : a->offset < b->offset ? -1 : 1;
}

/* ---- the heap ---- */

/* Does `a` stand behind `b` on the page, in the direction that is asked for? */
static bool is_worse(const struct search *s, const struct log_position *a, const struct log_position *b)
{
    int order = log_position_compare(a, b);
    return s->query->latest ? order < 0 : order > 0;
}

static void swap(struct found *a, struct found *b)
{
    struct found kept = *a;
    *a = *b;
    *b = kept;
}

static void heap_drop_worst(struct search *s)
{
    s->bytes -= s->heap[0].len;
    s->heap[0] = s->heap[--s->count];
    for (size_t i = 0;;) {
        size_t worst = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < s->count; child++)
            if (is_worse(s, &s->heap[child].at, &s->heap[worst].at))
                worst = child;
        if (worst == i)
            return;
        swap(&s->heap[i], &s->heap[worst]);
        i = worst;
    }
}

static void heap_add(struct search *s, struct log_position at, uint32_t len)
{
    size_t i = s->count++;
    s->heap[i] = (struct found){ at, len };
    s->bytes += len;
    for (; i > 0 && is_worse(s, &s->heap[i].at, &s->heap[(i - 1) / 2].at); i = (i - 1) / 2)
        swap(&s->heap[i], &s->heap[(i - 1) / 2]);
    while (s->count > s->query->limit || (s->bytes > LOGS_PAGE_BYTES_MAX && s->count > 1)) {
        heap_drop_worst(s);
        s->more = true;
    }
}

/* ---- lines ---- */

static bool stream_is_wanted(const struct search *s, struct slice stream)
{
    if (s->prefix.len > 0 && !slice_starts(stream, s->prefix))
        return false;
    for (size_t i = 0; i < s->query->stream_count; i++)
        if (slice_equal(stream, s->streams[i]))
            return true;
    return s->query->stream_count == 0;
}

static bool message_is_wanted(struct search *s, struct slice escaped)
{
    if (s->query->filter == NULL || s->query->filter->count == 0)
        return true;
    if (escaped.len > 0 && memchr(escaped.at, '\\', escaped.len) != NULL) {
        buffer_reset(&s->message);
        if (!log_unescape(&s->message, escaped))
            return false;
        escaped = buffer_slice(&s->message);
    }
    return log_filter_matches(s->query->filter, escaped);
}

static void take_line(struct search *s, struct slice text, unsigned long serial, uint32_t offset)
{
    const struct log_query *q = s->query;
    struct log_line line;
    if (!log_line_split(text, &line) || line.time_ms < q->from_ms || line.time_ms > q->to_ms)
        return;
    struct log_position at = { line.time_ms, serial, offset };
    if ((q->after != NULL && log_position_compare(&at, q->after) <= 0) ||
        (q->before != NULL && log_position_compare(&at, q->before) >= 0))
        return;
    if (s->more && is_worse(s, &at, &s->heap[0].at))
        return;
    if (!stream_is_wanted(s, line.stream) || !message_is_wanted(s, line.message) ||
        log_index_is_dead(s->index, line.stream, serial, offset))
        return;
    heap_add(s, at, (uint32_t)text.len);
}

/* All lines of the bytes; with a needle only those that hold it. */
static void take_lines(struct search *s, struct slice bytes, unsigned long serial, uint32_t offset)
{
    struct slice needle = s->query->filter == NULL ? SLICE_EMPTY : s->query->filter->needle;
    const char *at = bytes.at, *end = bytes.at + bytes.len;
    while (at < end) {
        if (needle.len > 0) {
            const char *hit = memmem(at, (size_t)(end - at), needle.at, needle.len);
            if (hit == NULL)
                return;
            const char *before = memrchr(at, '\n', (size_t)(hit - at));
            at = before == NULL ? at : before + 1;
        }
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            return;
        take_line(s, slice_from(at, (size_t)(newline - at)), serial, offset + (uint32_t)(at - bytes.at));
        at = newline + 1;
    }
}

/* ---- files ---- */

/* false: the file is gone. */
static enum outcome read_at(struct search *s, unsigned long serial, uint32_t offset, size_t len, char *out,
                            bool *there, struct error *err)
{
    char name[LOG_FILE_NAME_BYTES];
    *there = true;
    if (s->open_serial != serial || s->fd < 0) {
        fd_drop(&s->fd);
        log_file_name(serial, name);
        s->fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        s->open_serial = serial;
        if (s->fd < 0 && errno == ENOENT) {
            *there = false;
            return OK;
        }
    }
    while (s->fd >= 0 && len > 0) {
        ssize_t got = pread(s->fd, out, len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        if (got == 0) { /* cut off meanwhile: half a batch */
            *there = false;
            return OK;
        }
        out += got;
        offset += (uint32_t)got;
        len -= (size_t)got;
    }
    if (s->fd >= 0 && len == 0)
        return OK;
    return error_set_sys(err, errno, log_hint_disk, "could not read a log file");
}

static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    struct log_position x = { a->latest ? a->block->newest_ms : a->block->oldest_ms, a->file->serial,
                              a->block->start };
    struct log_position y = { b->latest ? b->block->newest_ms : b->block->oldest_ms, b->file->serial,
                              b->block->start };
    int order = log_position_compare(&x, &y);
    return a->latest ? -order : order;
}

static bool may_hold(const struct log_query *q, const struct log_block *block)
{
    return block->newest_ms >= q->from_ms && block->oldest_ms <= q->to_ms &&
           (q->after == NULL || block->newest_ms >= q->after->ms) &&
           (q->before == NULL || block->oldest_ms <= q->before->ms);
}

static size_t find_candidates(const struct search *s, struct candidate **out)
{
    size_t count = 0, all = 0;
    for (size_t f = 0; f < s->index->file_count; f++)
        all += s->index->files[f].count;
    struct candidate *list = memory_new_array(all + 1, sizeof(*list));
    for (size_t f = 0; f < s->index->file_count; f++)
        for (size_t b = 0; b < s->index->files[f].count; b++)
            if (may_hold(s->query, &s->index->files[f].blocks[b]))
                list[count++] =
                    (struct candidate){ &s->index->files[f], &s->index->files[f].blocks[b], s->query->latest };
    qsort(list, count, sizeof(*list), compare_candidates);
    *out = list;
    return count;
}

static bool nothing_better(const struct search *s, const struct candidate *next)
{
    if (!s->more)
        return false;
    return s->query->latest ? next->block->newest_ms < s->heap[0].at.ms : next->block->oldest_ms > s->heap[0].at.ms;
}

static enum outcome search_blocks(struct search *s, struct error *err)
{
    struct candidate *list = NULL;
    size_t count = find_candidates(s, &list);
    enum outcome outcome = OK;
    for (size_t i = 0; i < count && outcome == OK && !nothing_better(s, &list[i]); i++) {
        if (s->query->cancelled != NULL && __atomic_load_n(s->query->cancelled, __ATOMIC_RELAXED))
            break;
        bool there = false;
        const struct log_block *block = list[i].block;
        size_t len = block->end - block->start;
        buffer_reset(&s->bytes_read);
        buffer_reserve(&s->bytes_read, len);
        outcome = read_at(s, list[i].file->serial, block->start, len, s->bytes_read.at, &there, err);
        if (outcome == OK && there)
            take_lines(s, slice_from(s->bytes_read.at, len), list[i].file->serial, block->start);
    }
    free(list);
    return outcome;
}

/* ---- the page ---- */

static int compare_found(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    return log_position_compare(&a->at, &b->at);
}

void log_page_drop(struct log_page *page)
{
    free(page->events);
    buffer_drop(&page->text);
    *page = (struct log_page){ .events = NULL };
}

/* Reads the lines of what was found once more, to the page's text. */
static enum outcome make_page(struct search *s, struct log_page *page, struct error *err)
{
    struct buffer line_text = BUFFER_EMPTY;
    struct log_page made = { .more = s->more };
    enum outcome outcome = OK;
    qsort(s->heap, s->count, sizeof(*s->heap), compare_found);
    made.events = memory_new_array(s->count + 1, sizeof(*made.events));
    buffer_reserve(&made.text, s->bytes + 1); /* unescaping makes nothing longer: the slices stay where they are */
    for (size_t i = 0; i < s->count && outcome == OK; i++) {
        struct log_line line;
        bool there = false;
        buffer_reset(&line_text);
        buffer_reserve(&line_text, s->heap[i].len);
        outcome = read_at(s, s->heap[i].at.serial, s->heap[i].at.offset, s->heap[i].len, line_text.at, &there, err);
        if (outcome != OK || !there || !log_line_split(slice_from(line_text.at, s->heap[i].len), &line))
            continue;
        size_t from = made.text.len;
        bool good = log_unescape(&made.text, line.stream);
        size_t middle = made.text.len;
        good = good && log_unescape(&made.text, line.message);
        if (!good) {
            made.text.len = from;
            continue;
        }
        made.events[made.count++] =
            (struct log_page_event){ s->heap[i].at, line.ingested_ms,
                                     slice_from(made.text.at + from, middle - from),
                                     slice_from(made.text.at + middle, made.text.len - middle) };
    }
    buffer_drop(&line_text);
    if (outcome == OK)
        *page = made;
    else
        log_page_drop(&made);
    return outcome;
}

static void escape_names(struct search *s)
{
    const struct log_query *q = s->query;
    size_t *ends = memory_new_array(q->stream_count + 1, sizeof(*ends));
    for (size_t i = 0; i < q->stream_count; i++) {
        log_escape(&s->names, q->streams[i]);
        ends[i] = s->names.len;
    }
    size_t names_end = s->names.len;
    log_escape(&s->names, q->prefix);
    s->streams = memory_new_array(q->stream_count + 1, sizeof(*s->streams));
    for (size_t i = 0; i < q->stream_count; i++)
        s->streams[i] =
            slice_sub(buffer_slice(&s->names), i == 0 ? 0 : ends[i - 1], ends[i] - (i == 0 ? 0 : ends[i - 1]));
    s->prefix = slice_sub(buffer_slice(&s->names), names_end, s->names.len);
    free(ends);
}

/* Only the times of a lone stream: its blocks are few among those of a busy group. */
static void narrow(const struct search *s, struct log_query *q)
{
    const struct log_stream *stream = q->stream_count == 1 ? log_index_stream(s->index, s->streams[0]) : NULL;
    if (stream == NULL || !stream->has_events)
        return;
    if (q->from_ms < stream->first_ms)
        q->from_ms = stream->first_ms;
    if (q->to_ms > stream->last_ms)
        q->to_ms = stream->last_ms;
}

enum outcome log_query_run(struct log_index *index, int dir, const struct log_query *query, struct log_page *out,
                           struct error *err)
{
    struct log_query q = *query;
    AUTO(search)
    struct search s = { .index = index, .dir = dir, .query = &q, .fd = -1 };
    escape_names(&s);
    if (q.must_exist && (q.stream_count != 1 || log_index_stream(index, s.streams[0]) == NULL))
        return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException", "Create it first.",
                              "The specified log stream does not exist.");
    narrow(&s, &q);
    s.heap = memory_new_array(q.limit + 1, sizeof(*s.heap));
    TRY(search_blocks(&s, err));
    return make_page(&s, out, err);
}
