/* net, for the room (and its fuzz target) alone: bytes in, requests out. No sockets, no callbacks to the outside.
 *
 * The idea: a connection's bytes land in one block of fixed size that never moves while a request is open, so a request is
 * offsets into it and nothing is copied. llhttp (strict, no lenient flag) finds the borders; our own checks, in its
 * callbacks and over the finished head, refuse what it takes and we do not want.
 *   1  [0, pos) is parsed, [pos, len) is not yet, [len, INPUT_BYTES) is free.
 *   2  The head of the open request stays at [head_at, head_end) until input_next.
 *   3  A body with Content-Length is counted here; llhttp only sees heads and chunked bodies.
 *   4  A chunked body is decoded in place, leftwards: decoded bytes are never more than the raw ones before them.
 *   5  However the bytes are cut into reads, the outcome is the same. */
#pragma once

#include <assert.h>
#include <llhttp.h>

#include "net/http.h"

enum {
    INPUT_BYTES = HTTP_HEAD_BYTES_MAX + HTTP_READ_AHEAD_BYTES,
    INPUT_SHIFT_BYTES = HTTP_READ_AHEAD_BYTES / 2, /* a request that begins behind this is moved to the front */
    INPUT_KEPT_BYTES = 64 * 1024, /* a buffer that grew beyond this is not kept for the next request */
};
static_assert(INPUT_BYTES - INPUT_SHIFT_BYTES > HTTP_HEAD_BYTES_MAX,
              "the largest head always fits, with room for its body");
static_assert(HTTP_TARGET_BYTES_MAX < HTTP_HEAD_BYTES_MAX, "a target that is too long is a 414, not a 431");

struct field {
    uint32_t name_at, value_at; /* offsets into work->input */
    uint32_t name_len, value_len;
};

/* What a connection needs only while it has a request; an idle one gives it back to the server's pool. */
struct work {
    struct work *next;   /* in the pool */
    struct buffer body;  /* http_read_whole */
    struct buffer added; /* http_add_header */
    struct buffer out;   /* the answer being composed */
    struct field fields[HTTP_HEADERS_MAX];
    char input[INPUT_BYTES];
};

struct work *work_new(void);
void work_free(struct work *work);
void work_reset(struct work *work); /* forgets what a request left, keeps the memory of usual sizes */

/* Why a request is answered by the server itself. status 0: it is not. The text goes to the client. */
struct refusal {
    int status;
    const char *text;
};

enum parsed {
    PARSED_MORE,    /* all bytes used; more are needed */
    PARSED_DONE,    /* the head, or the body, is complete */
    PARSED_REFUSED, /* input->refusal says why; nothing more may be parsed */
};

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED };

struct input {
    llhttp_t parser;
    struct work *work; /* NULL while the connection is idle */
    uint32_t pos, len;
    struct refusal refusal;

    /* the head; offsets into work->input */
    uint32_t head_at, head_end;
    uint32_t method_len;
    uint32_t target_at, target_len;
    uint32_t field_count;
    bool started;    /* the first byte of the request line is there */
    bool empty_line; /* the one CRLF before it that RFC 9112 2.2 lets pass was seen */
    bool in_value;   /* the last thing of a field that llhttp told was (a part of) its value */
    bool target_complete, version_complete, head_complete;
    uint8_t hosts, expects;
    bool keep_alive, expect_continue;
    struct slice host;

    /* the body */
    enum framing framing;
    bool body_complete;
    int64_t content_length; /* -1: none, or chunked */
    uint64_t body_left;     /* of a Content-Length */
    uint32_t decoded_at, decoded_end;
    uint32_t extension_bytes, trailer_bytes;
    uint64_t raw_bytes, body_bytes; /* of a chunked body */
};

void input_init(struct input *in);
/* Where the next read goes: `*at`, the room there. 0: full, something must be consumed first. Needs in->work.
 * What input_body lent is no longer valid after it. */
size_t input_room(struct input *in, char **at);
void input_added(struct input *in, size_t count);
static inline size_t input_unparsed(const struct input *in)
{
    return in->len - in->pos;
}

/* Parses on. PARSED_DONE: the head is complete and judged good; its body, if any, has not been looked at. */
MUST_CHECK enum parsed input_head(struct input *in);
/* Decodes what is there; `piece` is lent until input_room is asked (it may be non-empty with each result but PARSED_REFUSED). */
MUST_CHECK enum parsed input_body(struct input *in, struct slice *piece);
/* Body bytes of a Content-Length that were read past the input, straight to where they belong. */
void input_body_bypassed(struct input *in, size_t count);
/* The request is over (its body complete): makes ready for the next one. */
void input_next(struct input *in);

static inline struct slice input_slice(const struct input *in, uint32_t at, uint32_t len)
{
    return (struct slice){ in->work->input + at, len };
}

/* The judgement over a complete head: http_refuse.c. Fills keep_alive, framing, target and the like, or the refusal. */
MUST_CHECK bool input_judge(struct input *in);
/* One field is complete: counts and checks those that decide framing or routing. */
MUST_CHECK bool input_judge_field(struct input *in, struct slice name, struct slice value);
bool input_refuse(struct input *in, int status, const char *text); /* false, always; the first refusal stays */
void input_refuse_llhttp(struct input *in, llhttp_errno_t code);   /* what llhttp found wrong, as status and text */
