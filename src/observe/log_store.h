/* observe/log_store: what CloudWatch Logs' API asks of the files that function_logs.h writes: groups, streams, events.
 * Callers: services/logs, by function_logs_work. Thread: everything here but function_logs_work blocks on disk, and runs on a worker.
 * On disk, beside the files of lines: DATA/logs/<group>/group (name, creation, retention, tags) and streams (a journal of what was
 * created without a line, and of what was deleted). In memory: an index a group (blocks of its files with their times, its streams), made
 * from the files when it is first asked for, brought up to date by reading what was appended since, and dropped when LOGS_INDEX_BYTES_MAX
 * are passed. Readers never hold a lock that the writer waits for.
 * Promise: what log_store_* has answered is written; groups, streams, retention, tags and deletions are also synced. Events are not: a
 * crash of the server loses none, a power loss those of the last seconds. */
#pragma once

#include "observe/function_logs.h"
#include "observe/log_filter.h"

enum {
    LOGS_GROUPS_MAX = 100000,         /* ours: log groups that exist at once */
    LOGS_GROUP_NAME_BYTES_MAX = 512,  /* CloudWatch Logs */
    LOGS_STREAM_NAME_BYTES_MAX = 512, /* CloudWatch Logs */
    LOGS_JOURNAL_BYTES_MAX =
        32 * 1024 * 1024, /* ours: streams of one group that were created or deleted by the API */
    LOGS_INDEX_BYTES_MAX = 32 * 1024 * 1024, /* ours: indexes kept between two questions; the oldest ones go */
    LOGS_BLOCK_BYTES = 256 * 1024,           /* ours: what an index knows the times of */
    LOGS_WORKS_AT_ONCE = 2,                  /* ours: questions on worker threads; the others wait their turn */
    LOGS_PAGE_EVENTS_MAX = 10000,            /* CloudWatch Logs: events of one answer */
    LOGS_PAGE_BYTES_MAX = 1024 * 1024,       /* CloudWatch Logs: of their lines */
    LOGS_PAGE_NAMES_MAX = 50,                /* CloudWatch Logs: groups or streams of one answer */
    LOGS_TAGS_MAX = 50,                      /* CloudWatch Logs */
    LOGS_TAG_NAME_BYTES_MAX = 128 * 4,
    LOGS_TAG_VALUE_BYTES_MAX = 256 * 4,
    LOGS_SWEEP_S = 60 * 60,              /* between two looks for files that retention is over with */
    LOGS_SWEEP_FIRST_S = 2,              /* from the start to the first */
    LOGS_FUTURE_MS = 2 * 60 * 60 * 1000, /* CloudWatch Logs: how far ahead of the clock an event may be */
    LOGS_POSITION_TEXT_BYTES = 57,       /* 56 digits, as AWS's event ids have */
    LOGS_GROUP_ID_BYTES = 33
};

struct log_group; /* of function_logs; what a worker gets */

/* ---- the loop's side ---- */

/* Runs `work` on a worker thread with the group of that name pinned (whether it exists or not), then `done` on the loop. */
typedef void log_work_fn(struct function_logs *logs, struct log_group *group, void *arg);
typedef void log_work_done_fn(void *arg);
void function_logs_work(struct function_logs *logs, struct slice group, log_work_fn *work, log_work_done_fn *done,
                        void *arg);
/* For tests, and threads of their own: the same without the loop. Every pin needs its unpin. */
struct log_group *function_logs_pin(struct function_logs *logs, struct slice group);
void function_logs_unpin(struct function_logs *logs, struct log_group *group);

/* ---- groups ---- */

struct log_tag {
    char *name, *value; /* owned */
};
struct log_group_info {
    char *name;                   /* owned */
    char id[LOGS_GROUP_ID_BYTES]; /* another one when a group of that name is created again */
    int64_t created_ms;
    unsigned retention_days; /* 0: for ever */
    struct log_tag *tags;
    size_t tag_count;
    uint64_t stored_bytes; /* of all its files of lines; only from log_store_groups */
};
void log_group_info_drop(struct log_group_info *info);

/*   err  ERROR_EXISTS/ResourceAlreadyExistsException, LimitExceededException; tags are copied */
MUST_CHECK enum outcome log_store_create_group(struct function_logs *logs, struct log_group *group,
                                               const struct log_tag *tags, size_t tag_count, struct error *err);
/* All of these: ERROR_NOT_FOUND/ResourceNotFoundException when there is no such group. */
MUST_CHECK enum outcome log_store_delete_group(struct function_logs *logs, struct log_group *group,
                                               struct error *err);
/* `days` 0: for ever. Files with nothing younger than that are deleted before it returns. */
MUST_CHECK enum outcome log_store_set_retention(struct function_logs *logs, struct log_group *group, unsigned days,
                                                struct error *err);
MUST_CHECK enum outcome log_store_group_info(struct function_logs *logs, struct log_group *group,
                                             struct log_group_info *out, struct error *err);
/* Adds or replaces `add`, then takes `remove` away.  err: TooManyTagsException */
MUST_CHECK enum outcome log_store_change_tags(struct function_logs *logs, struct log_group *group,
                                              const struct log_tag *add, size_t add_count,
                                              const struct slice *remove, size_t remove_count, struct error *err);
/* In order of name, from behind `after`; those that begin with `prefix` and contain `pattern`. Owned: log_group_info_drop each, then free. */
MUST_CHECK enum outcome log_store_groups(struct function_logs *logs, struct slice prefix, struct slice pattern,
                                         struct slice after, size_t max, struct log_group_info **out, size_t *count,
                                         bool *more, struct error *err);

/* ---- streams ---- */

struct log_stream_info {
    char *name; /* owned */
    int64_t created_ms, first_ms, last_ms, ingested_ms;
    bool has_events;
};
void log_stream_infos_free(struct log_stream_info *list, size_t count);

MUST_CHECK enum outcome log_store_create_stream(struct function_logs *logs, struct log_group *group,
                                                struct slice stream, struct error *err);
/* What stands there now is not seen again; it comes back with its next line. */
MUST_CHECK enum outcome log_store_delete_stream(struct function_logs *logs, struct log_group *group,
                                                struct slice stream, struct error *err);
struct log_stream_query {
    struct slice prefix;
    bool by_time; /* of the last event; else by name */
    bool descending;
    bool has_after; /* from behind this one: */
    struct slice after_name;
    int64_t after_ms; /* by_time */
    size_t max;       /* at most LOGS_PAGE_NAMES_MAX */
};
MUST_CHECK enum outcome log_store_streams(struct function_logs *logs, struct log_group *group,
                                          const struct log_stream_query *query, struct log_stream_info **out,
                                          size_t *count, bool *more, struct error *err);

/* ---- events ---- */

/* Where a line stands, in the order that events are answered in; as 56 digits it is the event's id. */
struct log_position {
    int64_t ms;
    unsigned long serial;
    uint32_t offset;
};
int log_position_compare(const struct log_position *a, const struct log_position *b);
void log_position_write(const struct log_position *position, char out[LOGS_POSITION_TEXT_BYTES]);
MUST_CHECK bool log_position_read(struct slice text, struct log_position *out);

struct log_new_event {
    int64_t time_ms;
    struct slice message;
};
/* All of them, or none when the disk is full.  err: ERROR_NOT_FOUND of the group, or of the stream; ERROR_DISK_FULL */
MUST_CHECK enum outcome log_store_put(struct function_logs *logs, struct log_group *group, struct slice stream,
                                      const struct log_new_event *events, size_t count, int64_t now_ms,
                                      struct error *err);

struct log_query {
    int64_t from_ms, to_ms;            /* both inclusive */
    const struct log_position *after;  /* only what stands behind it; NULL: from the beginning */
    const struct log_position *before; /* only what stands before it */
    bool latest;                       /* the last `limit` of them; else the first */
    size_t limit;                      /* at most LOGS_PAGE_EVENTS_MAX */
    const struct slice *streams;       /* only these; NULL: all */
    size_t stream_count;
    struct slice prefix;             /* only streams that begin so */
    bool must_exist;                 /* the (one) stream: ERROR_NOT_FOUND when it is not there */
    const struct log_filter *filter; /* NULL: all */
    const bool *cancelled;           /* NULL, or looked at between blocks */
};
struct log_page_event {
    struct log_position at;
    int64_t ingested_ms;
    struct slice stream, message; /* as they were put; into the page's text */
};
struct log_page {
    struct log_page_event *events; /* in order of time, then of writing */
    size_t count;
    bool more; /* in the direction of the question */
    struct buffer text;
};
void log_page_drop(struct log_page *page);
MUST_CHECK enum outcome log_store_events(struct function_logs *logs, struct log_group *group,
                                         const struct log_query *query, struct log_page *out, struct error *err);
