#include <stdio.h>

#include "base/clock.h"
#include "services/logs/logs.h"

static const char bad_token[] = "The specified nextToken is invalid.";

static struct slice group_name(struct logs_call *l)
{
    return logs_text(l, "logGroupName", true, 1, LOGS_GROUP_NAME_BYTES_MAX, LOGS_TEXT_GROUP);
}

static void open_event(struct buffer *out, const struct log_page_event *event, bool first)
{
    buffer_append_text(out, first ? "{\"message\":" : ",{\"message\":");
    json_append_string(out, event->message);
    logs_append_number(out, "timestamp", event->at.ms);
    logs_append_number(out, "ingestionTime", event->ingested_ms);
}

/* ---- PutLogEvents ---- */

static void take_event(struct logs_call *l, yyjson_val *each, size_t number, size_t *bytes)
{
    char at[64];
    yyjson_val *time = yyjson_obj_get(each, "timestamp"), *message = yyjson_obj_get(each, "message");
    if (!yyjson_is_obj(each)) {
        logs_refuse(l, "SerializationException", "Unexpected field type");
        return;
    }
    (void)snprintf(at, sizeof(at), "logEvents.%zu.member.timestamp", number);
    if (time == NULL || yyjson_is_null(time))
        logs_check_failed(l, at, (struct slice){ NULL, 0 }, "Member must not be null");
    else if (!yyjson_is_int(time))
        logs_refuse(l, "SerializationException", "STRING_VALUE can not be converted to a Long");
    else if (yyjson_is_sint(time) && yyjson_get_sint(time) < 0)
        logs_check_failed(l, at, SLICE("-1"), "Member must have value greater than or equal to 0");
    (void)snprintf(at, sizeof(at), "logEvents.%zu.member.message", number);
    struct slice text = json_slice(message);
    if (message == NULL || yyjson_is_null(message))
        logs_check_failed(l, at, (struct slice){ NULL, 0 }, "Member must not be null");
    else if (logs_is_string(l, message) && text.len == 0)
        logs_check_failed(l, at, SLICE(""), "Member must have length greater than or equal to 1");
    if (text.len + LOGS_EVENT_EXTRA_BYTES > LOGS_EVENT_BYTES_MAX)
        logs_refuse(l, "InvalidParameterException", "Log event too large: %zu bytes exceeds limit of %d",
                    text.len + LOGS_EVENT_EXTRA_BYTES, LOGS_EVENT_BYTES_MAX);
    *bytes += text.len + LOGS_EVENT_EXTRA_BYTES;
    uint64_t ms = yyjson_is_uint(time) ? yyjson_get_uint(time) : 0;
    l->events[l->event_count++] = (struct log_new_event){ ms > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)ms, text };
}

static void check_order(struct logs_call *l)
{
    for (size_t i = 1; i < l->event_count; i++)
        if (l->events[i].time_ms < l->events[i - 1].time_ms) {
            logs_refuse(l, "InvalidParameterException",
                        "Log events in a single PutLogEvents request must be in chronological order.");
            return;
        }
    if (l->event_count > 0 && l->events[l->event_count - 1].time_ms - l->events[0].time_ms > LOGS_PUT_SPAN_MS)
        logs_refuse(l, "InvalidParameterException",
                    "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.");
}

static void take_events(struct logs_call *l)
{
    yyjson_val *list = logs_list(l, "logEvents", true, LOGS_PUT_EVENTS_MAX), *each = NULL;
    size_t index = 0, max = 0, bytes = 0;
    if (list == NULL || yyjson_arr_size(list) > LOGS_PUT_EVENTS_MAX)
        return;
    l->events = logs_take(l, yyjson_arr_size(list), sizeof(*l->events));
    yyjson_arr_foreach(list, index, max, each)
    {
        if (l->violations < 8 && !l->failed)
            take_event(l, each, index + 1, &bytes);
    }
    if (l->failed || l->violations > 0)
        return;
    if (bytes > LOGS_PUT_BYTES_MAX)
        logs_refuse(l, "InvalidParameterException", "Upload too large: %zu bytes exceeds limit of %d", bytes,
                    LOGS_PUT_BYTES_MAX);
    check_order(l);
}

/* How many at the beginning are older than that. */
static size_t older_than(const struct logs_call *l, int64_t ms)
{
    size_t count = 0;
    while (count < l->event_count && l->events[count].time_ms < ms)
        count++;
    return count;
}

static void append_rejected(struct buffer *out, const char *member, size_t index, bool *first)
{
    buffer_appendf(out, "%s\"%s\":%zu", *first ? ",\"rejectedLogEventsInfo\":{" : ",", member, index);
    *first = false;
}

static enum outcome put_events(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                               struct error *err)
{
    enum { DAY_MS = 24 * 60 * 60 * 1000 };
    struct log_group_info info = { .name = NULL };
    TRY(log_store_group_info(logs, group, &info, err));
    int64_t now_ms = clock_wall_ms(), kept_ms = (int64_t)info.retention_days * DAY_MS;
    bool expires = info.retention_days > 0;
    log_group_info_drop(&info);
    size_t old = older_than(l, now_ms - LOGS_PUT_OLDEST_MS), end = older_than(l, now_ms + LOGS_FUTURE_MS + 1);
    size_t expired = expires ? older_than(l, now_ms - kept_ms) : 0, from = expired > old ? expired : old;
    TRY(log_store_put(logs, group, l->stream, l->events + from, end > from ? end - from : 0, now_ms, err));
    char token[LOGS_POSITION_TEXT_BYTES];
    log_position_write(&(struct log_position){ .ms = now_ms }, token);
    buffer_appendf(&l->answer, "{\"nextSequenceToken\":\"%s\"", token);
    bool first = true;
    if (end < l->event_count)
        append_rejected(&l->answer, "tooNewLogEventStartIndex", end, &first);
    if (old > 0)
        append_rejected(&l->answer, "tooOldLogEventEndIndex", old, &first);
    if (expired > old)
        append_rejected(&l->answer, "expiredLogEventEndIndex", expired, &first);
    buffer_append_text(&l->answer, first ? "" : "}");
    if (l->flag) /* as AWS says of a group that takes none */
        buffer_append_text(&l->answer, ",\"rejectedEntityInfo\":{\"errorType\":\"UnsupportedLogGroupType\"}");
    buffer_append_byte(&l->answer, '}');
    return OK;
}

void logs_put_log_events(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l == NULL)
        return;
    struct slice group = group_name(l);
    l->stream = logs_text(l, "logStreamName", true, 1, LOGS_STREAM_NAME_BYTES_MAX, LOGS_TEXT_STREAM);
    (void)logs_text(l, "sequenceToken", false, 1, LOGS_TOKEN_BYTES_MAX, LOGS_TEXT_ANY); /* ignored, as AWS does */
    l->flag = logs_structure(l, "entity");
    take_events(l);
    logs_run(l, group, put_events);
}

/* ---- GetLogEvents ----
 * Tokens are "f/<position>/s" and "b/<position>/s": what stands behind it, or before. At an end the same one is answered again. */

enum { DIGITS = LOGS_POSITION_TEXT_BYTES - 1 };

static bool read_event_token(struct slice token, bool *forward, struct log_position *at)
{
    *forward = slice_starts(token, SLICE("f/"));
    if (!*forward && !slice_starts(token, SLICE("b/")))
        return false;
    struct slice rest = slice_sub(token, 2 + DIGITS, token.len);
    return (rest.len == 0 || slice_is(rest, "/s")) && log_position_read(slice_sub(token, 2, DIGITS), at);
}

static void append_event_token(struct buffer *out, const char *member, char direction,
                               const struct log_position *at)
{
    char text[LOGS_POSITION_TEXT_BYTES];
    log_position_write(at, text);
    buffer_appendf(out, ",\"%s\":\"%c/%s/s\"", member, direction, text);
}

static enum outcome get_events(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                               struct error *err)
{
    AUTO(log_page)
    struct log_page page = { .events = NULL };
    struct log_position at = { 0, 0, 0 };
    bool forward = false, token = l->token.len > 0 && read_event_token(l->token, &forward, &at);
    struct log_query query = {
        .from_ms = l->start_ms,
        .to_ms = l->end_ms,
        .after = token && forward ? &at : NULL,
        .before = token && !forward ? &at : NULL,
        .latest = token ? !forward : !l->flag,
        .limit = (size_t)l->limit,
        .streams = &l->stream,
        .stream_count = 1,
        .must_exist = true,
        .cancelled = &l->cancelled,
    };
    TRY(log_store_events(logs, group, &query, &page, err));
    buffer_append_text(&l->answer, "{\"events\":[");
    for (size_t i = 0; i < page.count; i++) {
        open_event(&l->answer, &page.events[i], i == 0);
        buffer_append_byte(&l->answer, '}');
    }
    buffer_append_byte(&l->answer, ']');
    append_event_token(&l->answer, "nextForwardToken", 'f', page.count > 0 ? &page.events[page.count - 1].at : &at);
    append_event_token(&l->answer, "nextBackwardToken", 'b', page.count > 0 ? &page.events[0].at : &at);
    buffer_append_byte(&l->answer, '}');
    return OK;
}

void logs_get_log_events(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    struct log_position at;
    if (l == NULL)
        return;
    struct slice group = logs_group_member(l);
    bool forward = false;
    l->stream = logs_text(l, "logStreamName", true, 1, LOGS_STREAM_NAME_BYTES_MAX, LOGS_TEXT_STREAM);
    l->start_ms = logs_number(l, "startTime", false, 0, INT64_MAX, 0);
    l->end_ms = logs_number(l, "endTime", false, 0, INT64_MAX, INT64_MAX) - 1; /* that time is not included */
    l->limit = logs_number(l, "limit", false, 1, LOGS_PAGE_EVENTS_MAX, LOGS_PAGE_EVENTS_MAX);
    l->flag = logs_flag(l, "startFromHead");
    l->token = logs_text(l, "nextToken", false, 1, LOGS_TOKEN_BYTES_MAX, LOGS_TEXT_ANY);
    if (logs_flag(l, "unmask"))
        logs_refuse(l, "InvalidParameterException", "unmask is not supported by this server.");
    if (l->token.len > 0 && !read_event_token(l->token, &forward, &at))
        logs_refuse(l, "InvalidParameterException", "%s", bad_token);
    logs_run(l, group, get_events);
}

/* ---- FilterLogEvents ---- */

static enum outcome filter_events(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                                  struct error *err)
{
    AUTO(log_page)
    struct log_page page = { .events = NULL };
    struct log_position after = { 0, 0, 0 };
    char id[LOGS_POSITION_TEXT_BYTES];
    struct log_query query = {
        .from_ms = l->start_ms,
        .to_ms = l->end_ms,
        .after = l->token.len > 0 && log_position_read(l->token, &after) ? &after : NULL,
        .limit = (size_t)l->limit,
        .streams = l->names,
        .stream_count = l->name_count,
        .prefix = l->prefix,
        .filter = &l->filter,
        .cancelled = &l->cancelled,
    };
    TRY(log_store_events(logs, group, &query, &page, err));
    buffer_append_text(&l->answer, "{\"events\":[");
    for (size_t i = 0; i < page.count; i++) {
        open_event(&l->answer, &page.events[i], i == 0);
        log_position_write(&page.events[i].at, id);
        logs_append_text(&l->answer, "logStreamName", page.events[i].stream);
        logs_append_text(&l->answer, "eventId", slice_of(id));
        buffer_append_byte(&l->answer, '}');
    }
    buffer_append_text(&l->answer, "],\"searchedLogStreams\":[]"); /* AWS lists none any more */
    if (page.more && page.count > 0) {
        log_position_write(&page.events[page.count - 1].at, id);
        logs_append_text(&l->answer, "nextToken", slice_of(id));
    }
    buffer_append_byte(&l->answer, '}');
    return OK;
}

static void take_streams(struct logs_call *l)
{
    char at[64];
    yyjson_val *list = logs_list(l, "logStreamNames", false, LOGS_FILTER_STREAMS_MAX), *each = NULL;
    size_t index = 0, max = 0;
    if (list == NULL || yyjson_arr_size(list) > LOGS_FILTER_STREAMS_MAX)
        return;
    l->names = logs_take(l, yyjson_arr_size(list), sizeof(*l->names));
    yyjson_arr_foreach(list, index, max, each)
    {
        if (!logs_is_string(l, each))
            return;
        (void)snprintf(at, sizeof(at), "logStreamNames.%zu.member", index + 1);
        logs_check_text(l, at, json_slice(each), 1, LOGS_STREAM_NAME_BYTES_MAX, LOGS_TEXT_STREAM);
        l->names[l->name_count++] = json_slice(each);
    }
}

void logs_filter_log_events(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    struct log_position after;
    if (l == NULL)
        return;
    struct slice group = logs_group_member(l);
    take_streams(l);
    l->prefix = logs_text(l, "logStreamNamePrefix", false, 1, LOGS_STREAM_NAME_BYTES_MAX, LOGS_TEXT_STREAM);
    l->start_ms = logs_number(l, "startTime", false, 0, INT64_MAX, 0);
    l->end_ms = logs_number(l, "endTime", false, 0, INT64_MAX, INT64_MAX);
    l->pattern = logs_text(l, "filterPattern", false, 0, LOG_FILTER_BYTES_MAX, LOGS_TEXT_ANY);
    l->token = logs_text(l, "nextToken", false, 1, LOGS_TOKEN_BYTES_MAX, LOGS_TEXT_ANY);
    l->limit = logs_number(l, "limit", false, 1, LOGS_PAGE_EVENTS_MAX, LOGS_PAGE_EVENTS_MAX);
    (void)logs_flag(l, "interleaved"); /* always so, as on AWS since 2019 */
    if (logs_flag(l, "unmask"))
        logs_refuse(l, "InvalidParameterException", "unmask is not supported by this server.");
    if (l->name_count > 0 && l->prefix.len > 0)
        logs_refuse(l, "InvalidParameterException",
                    "LogStreamNames and LogStreamNamePrefix are mutually exclusive parameters.");
    if (l->token.len > 0 && !log_position_read(l->token, &after))
        logs_refuse(l, "InvalidParameterException", "%s", bad_token);
    if (!l->failed)
        l->failed = log_filter_parse(l->pattern, &l->filter, &l->err) != OK;
    logs_run(l, group, filter_events);
}
