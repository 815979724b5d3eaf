/* engine/channel: frames between server and instance (docs/channel.md), read and written on the server's side.
 * Thread: any; no state but the cursor. What comes from an instance is a stranger's input. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

enum {
    CHANNEL_VERSION = 1,
    CHANNEL_HEAD_BYTES = 12,
    CHANNEL_BODY_BYTES_MAX = 8 * 1024 * 1024,
    INVOKE_PAYLOAD_BYTES_MAX = 6 * 1024 * 1024, /* AWS Lambda quotas: synchronous request */
    INVOKE_RESPONSE_BYTES_MAX = 6291556,        /* AWS: "exceeded maximum allowed payload size (6291556 bytes)" */
};

enum frame_type {
    FRAME_INVOKE = 0x01,
    FRAME_STOP = 0x02,
    FRAME_READY = 0x11,
    FRAME_INIT_FAILED = 0x12,
    FRAME_DONE = 0x13,
    FRAME_FAILED = 0x14,
    FRAME_CHUNK = 0x15,
    FRAME_FATAL = 0x16,
};

struct frame {
    enum frame_type type;
    uint32_t sequence;
    struct slice body; /* borrowed from what was read */
    /* decoded by type */
    uint32_t init_us;        /* READY */
    struct slice error_type; /* FAILED, FATAL, INIT_FAILED */
    struct slice payload;    /* DONE: the answer; FAILED, FATAL, INIT_FAILED: the error as JSON */
};

struct frame_invoke {
    uint32_t sequence;
    uint64_t deadline_ms;
    struct slice request_id, function_arn, trace, client_context, identity, payload;
};
void frame_write_invoke(
    struct buffer *out,
    const struct frame_invoke *invoke); /* head and body but the payload: that is sent behind it without a copy */
void frame_write_stop(struct buffer *out);

/* One frame off the front of `bytes`: *used is how many bytes it took, 0 when more are needed (*need then says how many in all, once the head is there).
 *   err  ERROR_INVALID: nonsense; the instance is to be killed */
MUST_CHECK enum outcome frame_read(struct slice bytes, struct frame *out, size_t *used, size_t *need,
                                   struct error *err);
