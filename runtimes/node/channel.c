/* hearth_channel.node: the instance's end of the channel (docs/channel.md), for Node.
 *
 * The idea: an instance that waits for work needs no event loop. receive() blocks the main thread in recv(), and that is the
 * freeze between two invocations: no timer, no promise, no callback of the user's runs meanwhile, at the cost of no system
 * call at all. One recv() takes a whole frame, one send() gives one back.
 *
 * Invariants
 *   1. Descriptor 3 is a unix stream socket, blocking, close-on-exec, and ours alone; the addon loads once a process.
 *   2. Nothing the server sent is trusted to be of any length: each field is cut from a cursor that cannot overrun.
 *   3. receive() comes back on each signal (SO_RCVTIMEO makes the kernel answer EINTR even for handlers installed with
 *      SA_RESTART, as libuv's are), so that JavaScript's own handlers run.
 *   4. What is printed is written before print() returns, also when somebody made the pipe non-blocking (libuv does, for
 *      process.stdout): the server reads both pipes empty before it passes DONE on.
 *
 * Only Node-API 8 is used: the one build runs on Node 18, 20, 22 and 24. */
#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    CHANNEL_FD = 3,
    CHANNEL_VERSION = 1,
    CHANNEL_HEAD_BYTES = 12,
    CHANNEL_BODY_BYTES_MAX = 8 * 1024 * 1024,
    CHANNEL_ANSWER_BYTES_MAX = 6291556, /* AWS Lambda: 6 MB and 100 bytes; its error message names the number */
    CHANNEL_ERROR_TYPE_BYTES_MAX = 256, /* a name; a class may carry any string as its name, we cut it */
    CHANNEL_BUFFER_BYTES = 64 * 1024,   /* kept; a larger frame's buffer is given back after it */
    CHANNEL_WAIT_SECONDS = 30 * 24 * 60 * 60, /* only there to turn SA_RESTART off, see invariant 3 */
    CHANNEL_ARGUMENTS_MAX = 4,
};
enum { FRAME_INVOKE = 0x01, FRAME_STOP = 0x02 };
enum received {
    RECEIVED_END = -1,
    RECEIVED_SIGNAL = 0,
    RECEIVED_ALL = 1
}; /* receive() gives the first two to JavaScript */

/* What receive() writes into the array that it is given. */
enum field {
    FIELD_SEQUENCE,
    FIELD_DEADLINE_MS,
    FIELD_REQUEST_ID,
    FIELD_FUNCTION_ARN,
    FIELD_TRACE,
    FIELD_CLIENT_CONTEXT,
    FIELD_IDENTITY,
    FIELD_PAYLOAD,
};

/* One of these a process: Node-API hands no pointer through that would be cheaper, and descriptor 3 is one as well. */
static struct {
    bool loaded;
    char *in;
    size_t in_capacity, in_start, in_end; /* what was read and not yet handed out: [in_start, in_end) */
    char *out;
    size_t out_capacity;
} channel;

struct cursor {
    const char *at;
    size_t left;
    bool overrun;
};

static napi_value fail(napi_env env, const char *message)
{
    napi_throw_error(env, NULL, message);
    return NULL;
}

static void *grown(void *memory, size_t size)
{
    void *larger = realloc(memory, size);
    if (larger == NULL)
        abort(); /* an instance that cannot have 8 MB is over its memory limit: it ends as if killed for that */
    return larger;
}

static const char *cursor_take(struct cursor *cursor, size_t count)
{
    const char *at = cursor->at;
    if (cursor->overrun || count > cursor->left) {
        cursor->overrun = true;
        return NULL;
    }
    cursor->at += count;
    cursor->left -= count;
    return at;
}

static uint64_t cursor_number(struct cursor *cursor, size_t count)
{
    const char *at = cursor_take(cursor, count);
    uint64_t value = 0;
    for (size_t i = 0; at != NULL && i < count; i++)
        value |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return value;
}

static bool is_ascii(const char *at, size_t count)
{
    uint64_t seen = 0, word;
    for (; count >= sizeof word; at += sizeof word, count -= sizeof word) {
        memcpy(&word, at, sizeof word);
        seen |= word;
    }
    for (; count > 0; at++, count--)
        seen |= (unsigned char)*at;
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

/* V8 copies a one-byte string with memcpy but decodes UTF-8 character by character: nearly all JSON is ASCII. */
static bool set_text(napi_env env, napi_value fields, enum field field, const char *at, size_t count)
{
    napi_value text;
    napi_status status = is_ascii(at, count) ? napi_create_string_latin1(env, at, count, &text)
                                             : napi_create_string_utf8(env, at, count, &text);
    return status == napi_ok && napi_set_element(env, fields, field, text) == napi_ok;
}

static bool set_number(napi_env env, napi_value fields, enum field field, double number)
{
    napi_value value;
    return napi_create_double(env, number, &value) == napi_ok &&
           napi_set_element(env, fields, field, value) == napi_ok;
}

static bool set_text_of(napi_env env, napi_value fields, enum field field, struct cursor *cursor, size_t width)
{
    size_t count = cursor_number(cursor, width);
    const char *at = cursor_take(cursor, count);
    return at != NULL && set_text(env, fields, field, at, count);
}

/* INVOKE, as docs/channel.md has it. False: nonsense, or an exception of V8's is pending. */
static bool set_invocation(napi_env env, napi_value fields, uint32_t sequence, struct cursor body)
{
    double deadline_ms = (double)cursor_number(&body, 8);
    return set_number(env, fields, FIELD_SEQUENCE, sequence) &&
           set_number(env, fields, FIELD_DEADLINE_MS, deadline_ms) &&
           set_text_of(env, fields, FIELD_REQUEST_ID, &body, 2) &&
           set_text_of(env, fields, FIELD_FUNCTION_ARN, &body, 2) &&
           set_text_of(env, fields, FIELD_TRACE, &body, 2) &&
           set_text_of(env, fields, FIELD_CLIENT_CONTEXT, &body, 4) &&
           set_text_of(env, fields, FIELD_IDENTITY, &body, 2) &&
           set_text(env, fields, FIELD_PAYLOAD, body.at, body.left);
}

/* Reads until `wanted` bytes lie in the buffer. */
static enum received fill(size_t wanted)
{
    if (channel.in_end == channel.in_start)
        channel.in_start = channel.in_end = 0;
    if (channel.in_start > 0 && channel.in_start + wanted > channel.in_capacity) {
        memmove(channel.in, channel.in + channel.in_start, channel.in_end - channel.in_start);
        channel.in_end -= channel.in_start;
        channel.in_start = 0;
    }
    if (wanted > channel.in_capacity) {
        channel.in = grown(channel.in, wanted);
        channel.in_capacity = wanted;
    }
    while (channel.in_end - channel.in_start < wanted) {
        ssize_t got = recv(CHANNEL_FD, channel.in + channel.in_end, channel.in_capacity - channel.in_end, 0);
        if (got > 0)
            channel.in_end += (size_t)got;
        else if (got < 0 && errno == EINTR)
            return RECEIVED_SIGNAL;
        else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) /* EAGAIN: CHANNEL_WAIT_SECONDS are over */
            return RECEIVED_END;
    }
    return RECEIVED_ALL;
}

static void consumed(size_t count)
{
    channel.in_start += count;
    if (channel.in_capacity > CHANNEL_BUFFER_BYTES && channel.in_start == channel.in_end) {
        free(channel.in);
        channel.in = grown(NULL, CHANNEL_BUFFER_BYTES);
        channel.in_capacity = CHANNEL_BUFFER_BYTES;
        channel.in_start = channel.in_end = 0;
    }
}

static napi_value number_of(napi_env env, int32_t number)
{
    napi_value value = NULL;
    napi_create_int32(env, number, &value);
    return value;
}

/* receive(fields): the type of the frame, 0 when a signal came, -1 when the server is gone. Throws on nonsense. */
static napi_value receive(napi_env env, napi_callback_info info)
{
    napi_value fields;
    size_t count = 1;
    if (napi_get_cb_info(env, info, &count, &fields, NULL, NULL) != napi_ok || count < 1)
        return fail(env, "receive takes an array");
    enum received came = fill(CHANNEL_HEAD_BYTES);
    if (came != RECEIVED_ALL)
        return number_of(env, (int32_t)came);

    struct cursor head = { .at = channel.in + channel.in_start, .left = CHANNEL_HEAD_BYTES };
    size_t length = cursor_number(&head, 4);
    uint32_t sequence = (uint32_t)cursor_number(&head, 4);
    int type = (int)cursor_number(&head, 1);
    uint64_t version = cursor_number(&head, 1), reserved = cursor_number(&head, 2);
    if (length > CHANNEL_BODY_BYTES_MAX || version != CHANNEL_VERSION || reserved != 0)
        return fail(env, "the server sent a frame that is none of protocol version 1");
    came = fill(CHANNEL_HEAD_BYTES + length);
    if (came != RECEIVED_ALL) /* a signal in the middle of a frame: what has come stays in the buffer */
        return number_of(env, (int32_t)came);

    struct cursor body = { .at = channel.in + channel.in_start + CHANNEL_HEAD_BYTES, .left = length };
    bool right = (type == FRAME_STOP && length == 0) ||
                 (type == FRAME_INVOKE && set_invocation(env, fields, sequence, body));
    consumed(CHANNEL_HEAD_BYTES + length);
    if (!right) {
        bool pending = false;
        napi_is_exception_pending(env, &pending); /* a string too long for V8: its own exception says it better */
        return pending ? NULL : fail(env, "the server sent a frame that makes no sense here");
    }
    return number_of(env, type);
}

static void put_number(char *at, uint64_t number, size_t count)
{
    for (size_t i = 0; i < count; i++)
        at[i] = (char)(number >> (8 * i));
}

static bool send_all(const char *at, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(CHANNEL_FD, at, count, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        if (sent > 0) {
            at += sent;
            count -= (size_t)sent;
        }
    }
    return true;
}

/* Writes `text` as UTF-8 at channel.out + offset, growing it; the bytes written, or -1 when it is no string. The first try
 * spares V8 from measuring a text that fits anyway. */
static ssize_t out_text(napi_env env, napi_value text, size_t offset)
{
    size_t room = channel.out_capacity - offset, count = 0;
    if (napi_get_value_string_utf8(env, text, channel.out + offset, room, &count) != napi_ok)
        return -1;
    if (count + 4 < room) /* V8 stops before a character that does not fit whole: up to three bytes may stay free */
        return (ssize_t)count;
    if (napi_get_value_string_utf8(env, text, NULL, 0, &count) != napi_ok)
        return -1;
    channel.out_capacity = offset + count + 1;
    channel.out = grown(channel.out, channel.out_capacity);
    if (napi_get_value_string_utf8(env, text, channel.out + offset, count + 1, &count) != napi_ok)
        return -1;
    return (ssize_t)count;
}

static void out_shrink(void)
{
    if (channel.out_capacity <= CHANNEL_BUFFER_BYTES)
        return;
    free(channel.out);
    channel.out = grown(NULL, CHANNEL_BUFFER_BYTES);
    channel.out_capacity = CHANNEL_BUFFER_BYTES;
}

/* send(type, sequence, body [, error type]): 1 sent, 0 not sent since it is larger than an answer may be, -1 the server is gone.
 * A number as body is READY's u32. */
static napi_value send_frame(napi_env env, napi_callback_info info)
{
    napi_value argument[CHANNEL_ARGUMENTS_MAX];
    size_t count = CHANNEL_ARGUMENTS_MAX, length = 0;
    uint32_t type, sequence, number;
    if (napi_get_cb_info(env, info, &count, argument, NULL, NULL) != napi_ok || count < 3 ||
        napi_get_value_uint32(env, argument[0], &type) != napi_ok ||
        napi_get_value_uint32(env, argument[1], &sequence) != napi_ok)
        return fail(env, "send takes a type, a sequence and a body");
    if (count > 3) {
        char *name = channel.out + CHANNEL_HEAD_BYTES + 2;
        size_t named = 0;
        if (napi_get_value_string_utf8(env, argument[3], name, CHANNEL_ERROR_TYPE_BYTES_MAX + 1, &named) != napi_ok)
            return fail(env, "an error type is a string");
        put_number(channel.out + CHANNEL_HEAD_BYTES, named, 2);
        length = 2 + named;
    }
    if (napi_get_value_uint32(env, argument[2], &number) == napi_ok) {
        put_number(channel.out + CHANNEL_HEAD_BYTES, number, 4);
        length = 4;
    } else {
        ssize_t written = out_text(env, argument[2], CHANNEL_HEAD_BYTES + length);
        if (written < 0)
            return fail(env, "a body is a string or a number");
        if (written > CHANNEL_ANSWER_BYTES_MAX) {
            out_shrink();
            return number_of(env, 0);
        }
        length += (size_t)written;
    }
    put_number(channel.out, length, 4);
    put_number(channel.out + 4, sequence, 4);
    put_number(channel.out + 8, type, 1);
    put_number(channel.out + 9, CHANNEL_VERSION, 1);
    put_number(channel.out + 10, 0, 2);
    bool sent = send_all(channel.out, CHANNEL_HEAD_BYTES + length);
    out_shrink();
    return number_of(env, sent ? 1 : -1);
}

/* print(descriptor, text): all of it, before this returns. A reader that has gone away is nobody's error. */
static napi_value print(napi_env env, napi_callback_info info)
{
    napi_value argument[2];
    size_t count = 2;
    int32_t descriptor;
    ssize_t left;
    if (napi_get_cb_info(env, info, &count, argument, NULL, NULL) != napi_ok || count < 2 ||
        napi_get_value_int32(env, argument[0], &descriptor) != napi_ok ||
        (left = out_text(env, argument[1], 0)) < 0)
        return fail(env, "print takes a descriptor and a text");
    for (const char *at = channel.out; left > 0;) {
        ssize_t written = write(descriptor, at, (size_t)left);
        if (written > 0) {
            at += written;
            left -= written;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd full = { .fd = descriptor, .events = POLLOUT };
            poll(&full, 1, -1);
        } else if (errno != EINTR) {
            break;
        }
    }
    out_shrink();
    return NULL;
}

/* refuse(): this process is about to end and takes no further invocation. From now on the server's write of one fails with
 * EPIPE, so that it knows that it never ran here, instead of finding a process that ended with it unread. */
static napi_value refuse(napi_env env, napi_callback_info info)
{
    (void)env;
    (void)info;
    shutdown(CHANNEL_FD, SHUT_RD);
    return NULL;
}

/* Makes descriptor 3 ours. NULL, or what is wrong with it. */
static const char *take_descriptor(void)
{
    int domain = 0, type = 0;
    socklen_t size = sizeof domain;
    if (getsockopt(CHANNEL_FD, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX)
        return "descriptor 3 is not Hearth's channel: a bootstrap is started by the server, not by hand";
    size = sizeof type;
    if (getsockopt(CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
        return "descriptor 3 is not a stream";
    int flags = fcntl(CHANNEL_FD, F_GETFL);
    struct timeval wait = { .tv_sec = CHANNEL_WAIT_SECONDS };
    if (fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) < 0 || flags < 0 ||
        fcntl(CHANNEL_FD, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
        setsockopt(CHANNEL_FD, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0)
        return "descriptor 3 could not be set up";
    return NULL;
}

NAPI_MODULE_INIT()
{
    static const napi_property_descriptor functions[] = {
        { .utf8name = "receive", .method = receive, .attributes = napi_enumerable },
        { .utf8name = "send", .method = send_frame, .attributes = napi_enumerable },
        { .utf8name = "print", .method = print, .attributes = napi_enumerable },
        { .utf8name = "refuse", .method = refuse, .attributes = napi_enumerable },
    };
    if (channel.loaded) /* by the user's code, or in a worker thread */
        return fail(env, "the channel belongs to the runtime");
    const char *wrong = take_descriptor();
    if (wrong != NULL)
        return fail(env, wrong);
    channel.loaded = true;
    channel.in_capacity = channel.out_capacity = CHANNEL_BUFFER_BYTES;
    channel.in = grown(NULL, CHANNEL_BUFFER_BYTES);
    channel.out = grown(NULL, CHANNEL_BUFFER_BYTES);
    if (napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions) != napi_ok)
        return NULL;
    return exports;
}
