#include <stdio.h>

#include "services/logs/logs.h"

static enum outcome create_stream(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                                  struct error *err)
{
    return log_store_create_stream(logs, group, l->stream, err);
}

static enum outcome delete_stream(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                                  struct error *err)
{
    return log_store_delete_stream(logs, group, l->stream, err);
}

static void change_stream(struct call *call, logs_work_fn *work)
{
    struct logs_call *l = logs_begin(call);
    if (l == NULL)
        return;
    struct slice group = logs_text(l, "logGroupName", true, 1, LOGS_GROUP_NAME_BYTES_MAX, LOGS_TEXT_GROUP);
    l->stream = logs_text(l, "logStreamName", true, 1, LOGS_STREAM_NAME_BYTES_MAX, LOGS_TEXT_STREAM);
    logs_run(l, group, work);
}

void logs_create_log_stream(struct call *call)
{
    change_stream(call, create_stream);
}

void logs_delete_log_stream(struct call *call)
{
    change_stream(call, delete_stream);
}

/* ---- the list ---- */

static void append_stream(struct logs_call *l, const struct log_stream_info *info)
{
    struct buffer *out = &l->answer;
    AUTO(buffer)
    struct buffer arn = BUFFER_EMPTY;
    char token[LOGS_POSITION_TEXT_BYTES];
    buffer_append_text(out, "{\"logStreamName\":");
    json_append_string(out, slice_of(info->name));
    logs_append_number(out, "creationTime", info->created_ms);
    if (info->has_events) {
        logs_append_number(out, "firstEventTimestamp", info->first_ms);
        logs_append_number(out, "lastEventTimestamp", info->last_ms);
        logs_append_number(out, "lastIngestionTime", info->ingested_ms);
        log_position_write(&(struct log_position){ .ms = info->ingested_ms }, token);
        logs_append_text(out, "uploadSequenceToken", slice_of(token));
    }
    logs_append_arn(&arn, l, l->group);
    buffer_appendf(&arn, ":log-stream:%s", info->name);
    logs_append_text(out, "arn", buffer_slice(&arn));
    buffer_append_text(out, ",\"storedBytes\":0}");
}

static void append_list(struct logs_call *l, const struct log_stream_info *list, size_t count, bool more)
{
    buffer_append_text(&l->answer, "{\"logStreams\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(&l->answer, ',');
        append_stream(l, &list[i]);
    }
    buffer_append_byte(&l->answer, ']');
    if (more && count > 0) {
        const struct log_stream_info *last = &list[count - 1];
        AUTO(buffer)
        struct buffer token = BUFFER_EMPTY;
        buffer_appendf(&token, "%lld %s", last->has_events ? (long long)last->last_ms : -1LL, last->name);
        logs_append_token(&l->answer, "nextToken", buffer_slice(&token));
    }
    buffer_append_byte(&l->answer, '}');
}

static enum outcome list_streams(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                                 struct error *err)
{
    struct log_stream_info *list = NULL;
    size_t count = 0;
    bool more = false;
    struct log_stream_query query = {
        .prefix = l->prefix,
        .by_time = l->by_time,
        .descending = l->flag,
        .has_after = l->token.len > 0,
        .after_name = l->token,
        .after_ms = l->start_ms,
        .max = (size_t)l->limit,
    };
    TRY(log_store_streams(logs, group, &query, &list, &count, &more, err));
    append_list(l, list, count, more);
    log_stream_infos_free(list, count);
    return OK;
}

/* "<ms> <name>" of the last one; -1 for one without events. */
static void read_token(struct logs_call *l)
{
    struct slice text = SLICE_EMPTY;
    uint64_t ms = 0;
    if (!logs_read_token(l, &text) || text.len == 0)
        return;
    struct slice time = slice_split(&text, ' ');
    bool none = slice_is(time, "-1");
    if ((!none && !slice_to_u64(time, INT64_MAX, &ms)) || text.len == 0) {
        logs_refuse(l, "InvalidParameterException", "The specified nextToken is invalid.");
        return;
    }
    l->start_ms = none ? -1 : (int64_t)ms;
    l->token = text;
}

void logs_describe_log_streams(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l == NULL)
        return;
    l->group = logs_group_member(l);
    l->prefix = logs_text(l, "logStreamNamePrefix", false, 1, LOGS_STREAM_NAME_BYTES_MAX, LOGS_TEXT_STREAM);
    struct slice order = logs_text(l, "orderBy", false, 0, 64, LOGS_TEXT_ANY);
    l->flag = logs_flag(l, "descending");
    l->limit = logs_number(l, "limit", false, 1, LOGS_PAGE_NAMES_MAX, LOGS_PAGE_NAMES_MAX);
    l->token = logs_text(l, "nextToken", false, 1, LOGS_TOKEN_BYTES_MAX, LOGS_TEXT_ANY);
    l->by_time = slice_is(order, "LastEventTime");
    if (order.len > 0 && !l->by_time && !slice_is(order, "LogStreamName"))
        logs_check_failed(l, "orderBy", order,
                          "Member must satisfy enum value set: [LogStreamName, LastEventTime]");
    if (l->by_time && l->prefix.len > 0)
        logs_refuse(l, "InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.");
    read_token(l);
    logs_run(l, l->group, list_streams);
}
