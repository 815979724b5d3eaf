/* services/logs: CloudWatch Logs' API (2014-03-28) over what functions print and PutLogEvents brings. For the files of this folder alone.
 *   logs.c          the table, resources (ARNs) for the permission check
 *   logs_input.c    bodies' members with AWS's messages; off the loop and back
 *   logs_groups.c   groups, retention, tags
 *   logs_streams.c  streams
 *   logs_events.c   PutLogEvents, GetLogEvents, FilterLogEvents
 * Truth for shapes: botocore's model. Truth for texts: what AWS answers (recorded snapshots in LocalStack's tests, issues of SDK users).
 * Thread: handlers begin and end on the loop; what touches the disk runs by function_logs_work. */
#pragma once

#include "observe/log_store.h"
#include "services/service.h"

enum {
    LOGS_PUT_BYTES_MAX =
        1024 * 1024, /* CloudWatch Logs: messages of one PutLogEvents, each with LOGS_EVENT_EXTRA_BYTES */
    LOGS_PUT_EVENTS_MAX = 10000,            /* CloudWatch Logs */
    LOGS_EVENT_BYTES_MAX = 1024 * 1024,     /* CloudWatch Logs: one event, with its extra bytes */
    LOGS_EVENT_EXTRA_BYTES = 26,            /* CloudWatch Logs: what an event counts beside its message */
    LOGS_PUT_SPAN_MS = 24 * 60 * 60 * 1000, /* CloudWatch Logs: from the first event of a batch to its last */
    LOGS_PUT_OLDEST_MS = 14 * 24 * 60 * 60 * 1000, /* CloudWatch Logs: older events are rejected */
    LOGS_REQUEST_BYTES_MAX = 8 * 1024 * 1024,      /* ours: the JSON of the largest batch, with room for escapes */
    LOGS_SMALL_REQUEST_BYTES_MAX = 1024 * 1024,    /* ours: every other request */
    LOGS_ACCOUNTS_MAX = 20,                        /* CloudWatch Logs: accountIdentifiers */
    LOGS_FILTER_STREAMS_MAX = 100,                 /* CloudWatch Logs: logStreamNames */
    LOGS_TOKEN_BYTES_MAX = 4096                    /* ours: of a token that we made */
};

enum logs_text_kind { LOGS_TEXT_ANY, LOGS_TEXT_GROUP, LOGS_TEXT_STREAM, LOGS_TEXT_ARN };

struct logs_call;
/* On a worker; failure: `err` is told. Success: l->answer is the body, empty for none. */
typedef enum outcome logs_work_fn(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                                  struct error *err);

/* One call: from its arena, so it lives as long. */
struct logs_call {
    struct call *call;
    yyjson_val *body;
    const char *account, *region;
    unsigned violations;  /* of the model */
    struct buffer checks; /* their texts */
    bool failed;          /* `err` says why */
    struct error err;
    logs_work_fn *work;
    bool cancelled; /* the client is gone; atomic */
    struct buffer answer;
    /* what operations ask for */
    struct slice group, stream, prefix, pattern, token;
    int64_t start_ms, end_ms, limit, days;
    bool flag, by_time;
    struct slice *names; /* arena */
    size_t name_count;
    struct log_tag *tags; /* arena, texts too */
    size_t tag_count;
    struct log_new_event *events; /* arena */
    size_t event_count;
    struct log_filter filter;
};

/* Reads the body; NULL when that was answered already. */
struct logs_call *logs_begin(struct call *call);
/* Checks the members that were asked for, then runs `work` on a worker with that group and answers. */
void logs_run(struct logs_call *l, struct slice group, logs_work_fn *work);

/* Members of an object. A violation is kept, all are told together by logs_run; *out is empty, or the default, when there is none. */
struct slice logs_text(struct logs_call *l, const char *member, bool required, size_t min, size_t max,
                       enum logs_text_kind kind);
int64_t logs_number(struct logs_call *l, const char *member, bool required, int64_t min, int64_t max,
                    int64_t otherwise);
bool logs_flag(struct logs_call *l, const char *member);
bool logs_structure(struct logs_call *l, const char *member); /* is it there? */
yyjson_val *logs_list(struct logs_call *l, const char *member, bool required, size_t max);
void logs_check_text(struct logs_call *l, const char *member, struct slice value, size_t min, size_t max,
                     enum logs_text_kind kind);
void logs_check_failed(struct logs_call *l, const char *member, struct slice value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool logs_is_string(struct logs_call *l, yyjson_val *value); /* else a SerializationException is kept */
/* logGroupName, or logGroupIdentifier (a name or an ARN). */
struct slice logs_group_member(struct logs_call *l);
void logs_tags_member(struct logs_call *l, const char *member, bool required);
/* InvalidParameterException, or another code; the first one stays. */
void logs_refuse(struct logs_call *l, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The group of "arn:aws:logs:REGION:ACCOUNT:log-group:NAME[:*]"; empty: it is none. */
struct slice logs_group_of_arn(struct slice arn);
/* The same; one of another account or region is refused. */
struct slice logs_own_group_of_arn(struct logs_call *l, struct slice arn);
void logs_append_arn(struct buffer *out, const struct logs_call *l, struct slice group);
void logs_append_number(struct buffer *out, const char *member, int64_t value); /* ,"member":value */
void logs_append_text(struct buffer *out, const char *member, struct slice value);
/* nextToken of lists: what was last, in base64. */
void logs_append_token(struct buffer *out, const char *member, struct slice last);
MUST_CHECK bool logs_read_token(struct logs_call *l, struct slice *out); /* of l->token, when there is one */
void *logs_take(struct logs_call *l, size_t count, size_t size);         /* from the arena */

call_handler_fn logs_create_log_group, logs_delete_log_group, logs_describe_log_groups, logs_put_retention_policy,
    logs_delete_retention_policy, logs_list_tags_for_resource, logs_tag_resource, logs_untag_resource,
    logs_list_tags_log_group, logs_tag_log_group, logs_untag_log_group, logs_create_log_stream,
    logs_delete_log_stream, logs_describe_log_streams, logs_put_log_events, logs_get_log_events,
    logs_filter_log_events;
