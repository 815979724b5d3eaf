/* observe/function_logs: what functions print. Append-only files, size-bounded, a directory a group: DATA/logs/<group, percent-encoded>/<serial>.log.
 * Lines are "<Unix ms>\t<stream>\t<message, \\ \n \r \t escaped>\n"; a torn last line (a crash) is dropped when it is read.
 * Thread: function_logs_put on the loop; it buffers and a thread of its own writes at least every LOGS_FLUSH_MS: no disk on the invoke path.
 * The API over the same files (groups, streams, retention, searching) is log_store.h. */
#pragma once

#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"

enum {
    LOGS_FLUSH_MS = 100,
    LOGS_FILE_BYTES_MAX = 16 * 1024 * 1024,   /* then the next serial starts */
    LOGS_GROUP_BYTES_MAX = 128 * 1024 * 1024, /* then the oldest file goes */
    LOGS_BUFFER_BYTES_MAX =
        64 * 1024 * 1024, /* waiting to be written; above: lines are dropped, counted and told */
};

struct function_logs;
/* loop: where function_logs_work answers; NULL when nobody asks for that. */
MUST_CHECK enum outcome function_logs_open(uv_loop_t *loop, int data_dir, struct function_logs **out,
                                           struct error *err);
void function_logs_put(struct function_logs *logs, struct slice group, struct slice stream, int64_t time_ms,
                       struct slice message);
/* Writes what waits and frees; blocking, at the end. */
void function_logs_close(struct function_logs *logs);

/* Reading, for `hearth logs`: any process that may read the files. Calls `each` in order of time of writing, from `since_ms` on; follow: goes on until `each` returns false. */
struct log_event {
    int64_t time_ms;
    struct slice stream, message;
};
typedef bool log_event_fn(const struct log_event *event, void *arg);
MUST_CHECK enum outcome function_logs_read(int data_dir, struct slice group, int64_t since_ms, bool follow,
                                           log_event_fn *each, void *arg, struct error *err);
