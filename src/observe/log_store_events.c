/* Streams and events: readers renew the group's index, then ask it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/memory.h"
#include "observe/log_group.h"
#include "observe/log_line.h"

/* What was put before is to be seen: the group's lines that wait are written first. When the disk takes none, what is there is read. */
static void flush(struct function_logs *logs, struct log_group *group)
{
    (void)pthread_mutex_lock(&logs->shared.lock);
    bool waits = group->pending.len > 0;
    (void)pthread_mutex_unlock(&logs->shared.lock);
    if (!waits)
        return;
    (void)pthread_mutex_lock(&group->disk);
    log_group_flush_or_tell(logs, group);
    (void)pthread_mutex_unlock(&group->disk);
}

/* Under index_lock: an index as new as the files. */
static enum outcome renew(struct function_logs *logs, struct log_group *group, int *dir, int64_t *oldest_ms,
                          struct error *err)
{
    struct log_group_info info;
    flush(logs, group);
    TRY(log_group_open(logs, group, dir, err));
    TRY(log_info_read(*dir, slice_of(group->group), &info, err));
    enum outcome outcome = log_index_renew(group, *dir, &info, err);
    *oldest_ms = log_info_oldest_ms(&info, clock_wall_ms());
    log_group_info_drop(&info);
    return outcome;
}

/* ---- streams ---- */

static enum outcome no_such_stream(struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException", "Create it first.",
                          "The specified log stream does not exist.");
}

/* The journal with only what still means something. */
static enum outcome compact_journal(struct log_group *group, int dir, size_t *bytes, struct error *err)
{
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    struct log_stream *stream, *next;
    unsigned long first = group->index->file_count == 0 ? 0 : group->index->files[0].serial;
    HASH_ITER (hh, group->index->streams, stream, next) {
        struct slice name = slice_of(stream->name);
        if (stream->dead_serial >= first && stream->dead_serial > 0)
            log_journal_print(&(struct log_journal_entry){ .serial = stream->dead_serial,
                                                           .offset = stream->dead_offset,
                                                           .stream = name },
                              &text);
        if (stream->created)
            log_journal_print(
                &(struct log_journal_entry){ .created = true, .created_ms = stream->created_ms, .stream = name },
                &text);
    }
    *bytes = text.len;
    return log_journal_replace(dir, buffer_slice(&text), err);
}

/* Under index_lock and disk. */
static enum outcome add_to_journal(struct log_group *group, int dir, const struct log_journal_entry *entry,
                                   struct error *err)
{
    size_t bytes = group->index->journal_bytes;
    if (bytes > LOGS_JOURNAL_BYTES_MAX)
        TRY(compact_journal(group, dir, &bytes, err));
    if (bytes > LOGS_JOURNAL_BYTES_MAX / 2 && bytes != group->index->journal_bytes && entry->created)
        return error_set_code(err, ERROR_INVALID, "LimitExceededException", "Delete streams that nobody needs.",
                              "Resource limit exceeded.");
    return log_journal_append(dir, entry, &bytes, err);
}

static enum outcome change_stream(struct function_logs *logs, struct log_group *group, struct slice stream,
                                  bool create, struct error *err)
{
    AUTO(fd)
    int dir = -1;
    int64_t oldest_ms = 0;
    AUTO(buffer)
    struct buffer escaped = BUFFER_EMPTY;
    struct log_journal_entry entry = { .created = create, .created_ms = clock_wall_ms() };
    log_escape(&escaped, stream);
    entry.stream = buffer_slice(&escaped);
    TRY(renew(logs, group, &dir, &oldest_ms, err));
    bool exists = log_index_stream(group->index, entry.stream) != NULL;
    if (create && exists)
        return error_set_code(err, ERROR_EXISTS, "ResourceAlreadyExistsException", "Use the one that is there.",
                              "The specified log stream already exists");
    if (!create && !exists)
        return no_such_stream(err);
    (void)pthread_mutex_lock(&group->disk);
    fd_drop(&dir);
    enum outcome outcome = log_group_open(logs, group, &dir, err); /* deleted since we looked? */
    if (outcome == OK && !create)
        outcome = log_group_end(logs, group, &entry.serial, &entry.offset, err);
    if (outcome == OK)
        outcome = add_to_journal(group, dir, &entry, err);
    (void)pthread_mutex_unlock(&group->disk);
    return outcome;
}

enum outcome log_store_create_stream(struct function_logs *logs, struct log_group *group, struct slice stream,
                                     struct error *err)
{
    (void)pthread_mutex_lock(&group->index_lock);
    enum outcome outcome = change_stream(logs, group, stream, true, err);
    (void)pthread_mutex_unlock(&group->index_lock);
    return outcome;
}

enum outcome log_store_delete_stream(struct function_logs *logs, struct log_group *group, struct slice stream,
                                     struct error *err)
{
    (void)pthread_mutex_lock(&group->index_lock);
    enum outcome outcome = change_stream(logs, group, stream, false, err);
    (void)pthread_mutex_unlock(&group->index_lock);
    return outcome;
}

/* ---- the list of streams ---- */

struct choice {
    const struct log_stream_query *query;
    const struct log_stream *best[LOGS_PAGE_NAMES_MAX + 1];
    size_t count;
};

static int compare_names(const struct log_stream *a, struct slice b)
{
    return slice_compare(slice_from(a->name, a->hh.keylen), b);
}

/* In the order that was asked for; streams without events are the oldest. */
static int compare_to(const struct log_stream_query *q, const struct log_stream *a, int64_t ms, struct slice name)
{
    int64_t own = a->has_events ? a->last_ms : -1;
    int order = q->by_time && own != ms ? (own < ms ? -1 : 1) : compare_names(a, name);
    return q->descending ? -order : order;
}

static void consider(struct choice *choice, const struct log_stream *stream)
{
    size_t at = choice->count, max = choice->query->max + 1;
    while (at > 0 && compare_to(choice->query, choice->best[at - 1], stream->has_events ? stream->last_ms : -1,
                                slice_from(stream->name, stream->hh.keylen)) > 0)
        at--;
    if (at >= max)
        return;
    if (choice->count == max)
        choice->count--;
    memmove(choice->best + at + 1, choice->best + at, (choice->count - at) * sizeof(choice->best[0]));
    choice->best[at] = stream;
    choice->count++;
}

static struct log_stream_info describe(const struct log_stream *stream)
{
    struct buffer name = BUFFER_EMPTY;
    if (!log_unescape(&name, slice_of(stream->name)))
        buffer_reset(&name); /* nothing that we wrote ends inside of an escape */
    struct log_stream_info info = { slice_dup(buffer_slice(&name)),
                                    stream->created_ms,
                                    stream->first_ms,
                                    stream->last_ms,
                                    stream->ingested_ms,
                                    stream->has_events };
    buffer_drop(&name);
    return info;
}

void log_stream_infos_free(struct log_stream_info *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

static void choose(const struct log_index *index, struct slice prefix, struct slice after, struct choice *choice)
{
    const struct log_stream_query *q = choice->query;
    struct log_stream *stream, *next;
    HASH_ITER (hh, index->streams, stream, next) {
        if ((!stream->created && !stream->has_events) || !slice_starts(slice_of(stream->name), prefix) ||
            (q->has_after && compare_to(q, stream, q->after_ms, after) <= 0))
            continue;
        if (choice->count <= q->max ||
            compare_to(q, choice->best[choice->count - 1], stream->has_events ? stream->last_ms : -1,
                       slice_of(stream->name)) > 0)
            consider(choice, stream);
    }
}

enum outcome log_store_streams(struct function_logs *logs, struct log_group *group,
                               const struct log_stream_query *query, struct log_stream_info **out, size_t *count,
                               bool *more, struct error *err)
{
    AUTO(fd)
    int dir = -1;
    int64_t oldest_ms = 0;
    AUTO(buffer)
    struct buffer prefix = BUFFER_EMPTY;
    AUTO(buffer)
    struct buffer after = BUFFER_EMPTY;
    struct choice choice = { .query = query };
    log_escape(&prefix, query->prefix);
    log_escape(&after, query->after_name);
    (void)pthread_mutex_lock(&group->index_lock);
    enum outcome outcome = renew(logs, group, &dir, &oldest_ms, err);
    if (outcome == OK) {
        choose(group->index, buffer_slice(&prefix), buffer_slice(&after), &choice);
        *more = choice.count > query->max;
        *count = *more ? query->max : choice.count;
        *out = memory_new_array(*count + 1, sizeof(**out));
        for (size_t i = 0; i < *count; i++)
            (*out)[i] = describe(choice.best[i]);
    }
    (void)pthread_mutex_unlock(&group->index_lock);
    return outcome;
}

/* ---- events ---- */

enum { MS_DIGITS = 20, SERIAL_DIGITS = 12, OFFSET_DIGITS = 24 };

void log_position_write(const struct log_position *position, char out[LOGS_POSITION_TEXT_BYTES])
{
    (void)snprintf(out, LOGS_POSITION_TEXT_BYTES, "%0*llu%0*lu%0*u", MS_DIGITS, (unsigned long long)position->ms,
                   SERIAL_DIGITS, position->serial, OFFSET_DIGITS, position->offset);
}

static bool take_digits(struct slice digits, uint64_t max, uint64_t *out)
{
    while (digits.len > 1 && digits.at[0] == '0')
        digits = slice_sub(digits, 1, digits.len);
    return slice_to_u64(digits, max, out);
}

bool log_position_read(struct slice text, struct log_position *out)
{
    uint64_t ms = 0, serial = 0, offset = 0;
    if (text.len != LOGS_POSITION_TEXT_BYTES - 1 || !take_digits(slice_sub(text, 0, MS_DIGITS), INT64_MAX, &ms) ||
        !take_digits(slice_sub(text, MS_DIGITS, SERIAL_DIGITS), 999999999999, &serial) ||
        !take_digits(slice_sub(text, MS_DIGITS + SERIAL_DIGITS, OFFSET_DIGITS), UINT32_MAX, &offset))
        return false;
    *out = (struct log_position){ (int64_t)ms, (unsigned long)serial, (uint32_t)offset };
    return true;
}

enum outcome log_store_events(struct function_logs *logs, struct log_group *group, const struct log_query *query,
                              struct log_page *out, struct error *err)
{
    AUTO(fd)
    int dir = -1;
    int64_t oldest_ms = 0;
    struct log_query q = *query;
    (void)pthread_mutex_lock(&group->index_lock);
    enum outcome outcome = renew(logs, group, &dir, &oldest_ms, err);
    if (outcome == OK) {
        if (q.from_ms < oldest_ms)
            q.from_ms = oldest_ms; /* retention: at once, whatever files are still there */
        outcome = log_query_run(group->index, dir, &q, out, err);
    }
    (void)pthread_mutex_unlock(&group->index_lock);
    return outcome;
}

static enum outcome check_stream(struct function_logs *logs, struct log_group *group, struct slice stream,
                                 struct error *err)
{
    AUTO(fd)
    int dir = -1;
    int64_t oldest_ms = 0;
    AUTO(buffer)
    struct buffer escaped = BUFFER_EMPTY;
    log_escape(&escaped, stream);
    (void)pthread_mutex_lock(&group->index_lock);
    enum outcome outcome = renew(logs, group, &dir, &oldest_ms, err);
    if (outcome == OK && log_index_stream(group->index, buffer_slice(&escaped)) == NULL)
        outcome = no_such_stream(err);
    (void)pthread_mutex_unlock(&group->index_lock);
    return outcome;
}

enum outcome log_store_put(struct function_logs *logs, struct log_group *group, struct slice stream,
                           const struct log_new_event *events, size_t count, int64_t now_ms, struct error *err)
{
    AUTO(buffer)
    struct buffer lines = BUFFER_EMPTY;
    AUTO(fd)
    int dir = -1;
    int64_t newest_ms = 0;
    TRY(check_stream(logs, group, stream, err));
    for (size_t i = 0; i < count; i++) {
        log_line_write(&lines, events[i].time_ms, now_ms, stream, events[i].message);
        if (events[i].time_ms > newest_ms)
            newest_ms = events[i].time_ms;
    }
    if (count == 0)
        return OK;
    (void)pthread_mutex_lock(&group->disk);
    /* It may have been deleted since we looked: appending would make it again. */
    enum outcome outcome = log_group_open(logs, group, &dir, err);
    if (outcome == OK) {
        log_group_flush_or_tell(logs, group); /* in the order that they came in */
        outcome = log_group_append(logs, group, buffer_slice(&lines), newest_ms, err);
    }
    (void)pthread_mutex_unlock(&group->disk);
    return outcome;
}
