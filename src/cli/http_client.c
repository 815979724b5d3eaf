#include "cli/http_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/memory.h"

/* ---- the answer ---- */

void reply_drop(struct reply *reply)
{
    if (reply == NULL)
        return;
    buffer_drop(&reply->headers);
    buffer_drop(&reply->body);
    reply->status = 0;
}

struct slice reply_header(const struct reply *reply, const char *name)
{
    struct slice rest = buffer_slice(&reply->headers);
    while (rest.len > 0) {
        struct slice field = slice_split(&rest, '\n');
        struct slice value = slice_split(&rest, '\n');
        if (slice_is(field, name))
            return value;
    }
    return SLICE_EMPTY;
}

static struct reply_reader *reader_of(llhttp_t *parser)
{
    return parser->data;
}

static int reader_stop(struct reply_reader *reader, const char *problem)
{
    reader->problem = problem;
    return -1;
}

static int reader_head_grows(struct reply_reader *reader, struct buffer *at, const char *bytes, size_t length)
{
    reader->head_bytes += length;
    if (reader->head_bytes > CLIENT_HEAD_BYTES_MAX)
        return reader_stop(reader, "its head is too long");
    buffer_append(at, bytes, length);
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t length)
{
    return reader_head_grows(reader_of(parser), &reader_of(parser)->name, at, length);
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
    return reader_head_grows(reader_of(parser), &reader_of(parser)->value, at, length);
}

static int on_value_complete(llhttp_t *parser)
{
    struct reply_reader *reader = reader_of(parser);
    for (size_t i = 0; i < reader->name.len; i++) {
        char *c = &reader->name.at[i];
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    }
    buffer_append_slice(&reader->reply->headers, buffer_slice(&reader->name));
    buffer_append_byte(&reader->reply->headers, '\n');
    buffer_append_slice(&reader->reply->headers, slice_trim(buffer_slice(&reader->value)));
    buffer_append_byte(&reader->reply->headers, '\n');
    buffer_reset(&reader->name);
    buffer_reset(&reader->value);
    return 0;
}

static int on_status(llhttp_t *parser, const char *at, size_t length)
{
    (void)at;
    reader_of(parser)->head_bytes += length;
    return reader_of(parser)->head_bytes > CLIENT_HEAD_BYTES_MAX
               ? reader_stop(reader_of(parser), "its head is too long")
               : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    struct reply_reader *reader = reader_of(parser);
    if (reader->reply->body.len + length > CLIENT_BODY_BYTES_MAX)
        return reader_stop(reader, "it is too long");
    if (!buffer_try_reserve(&reader->reply->body, length))
        return reader_stop(reader, "there is no memory for it");
    buffer_append(&reader->reply->body, at, length);
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    struct reply_reader *reader = reader_of(parser);
    int status = llhttp_get_status_code(parser);
    if (status >= 100 && status < 200) { /* RFC 9110 15.2: a client must be able to pass over any number of them */
        buffer_reset(&reader->reply->headers);
        return 0;
    }
    reader->reply->status = status;
    reader->complete = true;
    return HPE_PAUSED; /* what comes behind it is not ours */
}

void reply_reader_init(struct reply_reader *reader, struct reply *reply)
{
    memset(reader, 0, sizeof(*reader));
    memset(reply, 0, sizeof(*reply));
    llhttp_settings_init(&reader->settings);
    reader->settings.on_status = on_status;
    reader->settings.on_header_field = on_field;
    reader->settings.on_header_value = on_value;
    reader->settings.on_header_value_complete = on_value_complete;
    reader->settings.on_body = on_body;
    reader->settings.on_message_complete = on_complete;
    llhttp_init(&reader->parser, HTTP_RESPONSE, &reader->settings);
    reader->parser.data = reader;
    reader->reply = reply;
}

void reply_reader_drop(struct reply_reader *reader)
{
    buffer_drop(&reader->name);
    buffer_drop(&reader->value);
}

static enum outcome reader_refuse(struct reply_reader *reader, struct error *err)
{
    const char *reason = reader->problem != NULL ? reader->problem : llhttp_get_error_reason(&reader->parser);
    return error_set(err, ERROR_INVALID, "Is it really Hearth that listens there?",
                     "could not read the server's answer: %s", reason != NULL ? reason : "not HTTP");
}

enum outcome reply_reader_feed(struct reply_reader *reader, struct slice bytes, struct error *err)
{
    if (reader->complete || bytes.len == 0)
        return OK;
    llhttp_errno_t result = llhttp_execute(&reader->parser, bytes.at, bytes.len);
    return result == HPE_OK || (result == HPE_PAUSED && reader->complete) ? OK : reader_refuse(reader, err);
}

enum outcome reply_reader_end(struct reply_reader *reader, struct error *err)
{
    if (reader->complete)
        return OK;
    llhttp_errno_t result = llhttp_finish(&reader->parser);
    if ((result == HPE_OK || result == HPE_PAUSED) && reader->complete)
        return OK;
    return error_set(err, ERROR_UNKNOWN, "Look at the server's own output; what was asked may have been done.",
                     "the server closed the connection before its answer was complete");
}

/* ---- the connection ---- */

enum outcome client_address_read(struct slice url, struct client_address *out, struct error *err)
{
    static const char hint[] = "Write it as http://127.0.0.1:4566.";
    struct slice rest = url, host, port = SLICE("80");
    size_t colon;
    uint64_t number;
    if (!slice_starts(rest, SLICE("http://")))
        return error_set(err, ERROR_INVALID, hint,
                         "the endpoint \"%.*s\" cannot be used: this client speaks plain HTTP only",
                         SLICE_PRINT(url));
    rest = slice_sub(rest, 7, rest.len - 7);
    if (slice_ends(rest, SLICE("/")))
        rest.len--;
    host = rest;
    if (rest.len > 0 && rest.at[0] == '[') {
        size_t close;
        if (!slice_find(rest, ']', &close))
            return error_set(err, ERROR_INVALID, hint, "the endpoint \"%.*s\" cannot be used", SLICE_PRINT(url));
        host = slice_sub(rest, 1, close - 1);
        if (close + 1 < rest.len && rest.at[close + 1] == ':')
            port = slice_sub(rest, close + 2, rest.len - close - 2);
    } else if (slice_find(rest, ':', &colon)) {
        host = slice_sub(rest, 0, colon);
        port = slice_sub(rest, colon + 1, rest.len - colon - 1);
    }
    if (host.len == 0 || host.len >= sizeof(out->host) || !slice_to_u64(port, 65535, &number) ||
        port.len >= sizeof(out->port) || memchr(host.at, '/', host.len) != NULL ||
        memchr(host.at, '@', host.len) != NULL)
        return error_set(err, ERROR_INVALID, hint, "the endpoint \"%.*s\" cannot be used", SLICE_PRINT(url));
    (void)snprintf(out->host, sizeof(out->host), "%.*s", SLICE_PRINT(host));
    (void)snprintf(out->port, sizeof(out->port), "%.*s", SLICE_PRINT(port));
    (void)snprintf(out->authority, sizeof(out->authority), "%.*s", SLICE_PRINT(rest));
    return OK;
}

/* Waits for `events`; the time left is taken off *left_ms. */
static enum outcome wait_for(int fd, short events, int timeout_ms, short *got, struct error *err)
{
    struct pollfd poller = { .fd = fd, .events = events };
    uint64_t until = clock_mono_us() + (uint64_t)timeout_ms * 1000;
    for (;;) {
        uint64_t now = clock_mono_us();
        int n = poll(&poller, 1, now < until ? (int)((until - now) / 1000) + 1 : 0);
        if (n > 0) {
            *got = poller.revents;
            return OK;
        }
        if (n == 0)
            return error_set(err, ERROR_TIMEOUT,
                             "Look at the server's own output; what was asked may have been done.",
                             "the server did not answer in %d s", timeout_ms / 1000);
        if (errno != EINTR)
            return error_set_sys(err, errno, "Try again.", "could not wait for the server");
    }
}

static enum outcome connect_one(const struct addrinfo *info, int *out, struct error *err)
{
    AUTO(fd)
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);
    short got;
    int problem = 0;
    socklen_t length = sizeof(problem);
    if (fd < 0)
        return error_set_sys(err, errno, "Raise the limit of open files.", "could not make a socket");
    if (connect(fd, info->ai_addr, info->ai_addrlen) != 0) {
        problem = errno;
        if (problem == EINPROGRESS) {
            TRY(wait_for(fd, POLLOUT, CLIENT_CONNECT_TIMEOUT_MS, &got, err));
            if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &length) != 0)
                problem = errno;
        }
    }
    if (problem != 0)
        return error_set_sys(err, problem, "Start the server.", "could not connect");
    *out = fd_take(&fd);
    return OK;
}

enum outcome client_connect(const struct client_address *address, int *fd, struct error *err)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *list = NULL;
    struct error why = { 0 };
    int found = getaddrinfo(address->host, address->port, &hints, &list);
    if (found != 0)
        return error_set(err, ERROR_UNAVAILABLE, "Check the name in AWS_ENDPOINT_URL.", "could not find \"%s\": %s",
                         address->host, gai_strerror(found));
    enum outcome outcome = FAILED;
    for (const struct addrinfo *info = list; info != NULL && outcome != OK; info = info->ai_next)
        outcome = connect_one(info, fd, &why);
    freeaddrinfo(list);
    if (outcome != OK)
        return error_set(err, ERROR_UNAVAILABLE, "Start the server with `hearth serve`.",
                         "nobody answers on %s: %s", address->authority, why.message);
    return OK;
}

/* Writes head and body while it reads: a server that refuses a large body answers before it has read it. */
static enum outcome exchange_on(int fd, struct slice head, struct slice body, int timeout_ms,
                                struct reply_reader *reader, struct error *err)
{
    char bytes[64 * 1024];
    while (!reader->complete) {
        short got = 0;
        TRY(wait_for(fd, (short)(POLLIN | (head.len + body.len > 0 ? POLLOUT : 0)), timeout_ms, &got, err));
        if ((got & POLLOUT) != 0 && head.len + body.len > 0) {
            struct slice *now = head.len > 0 ? &head : &body;
            ssize_t sent = send(fd, now->at, now->len, MSG_NOSIGNAL);
            if (sent > 0)
                *now = slice_sub(*now, (size_t)sent, now->len - (size_t)sent);
            else if (errno != EAGAIN && errno != EINTR)
                head.len = body.len = 0; /* it takes no more; perhaps it has said why */
        }
        if ((got & (POLLIN | POLLHUP | POLLERR)) == 0)
            continue;
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n > 0)
            TRY(reply_reader_feed(reader, slice_from(bytes, (size_t)n), err));
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return reply_reader_end(reader, err);
    }
    return OK;
}

enum outcome client_exchange(const struct client_address *address, struct slice head, struct slice body,
                             int timeout_ms, struct reply *out, struct error *err)
{
    AUTO(fd)
    int fd = -1;
    struct reply reply;
    struct reply_reader reader;
    TRY(client_connect(address, &fd, err));
    reply_reader_init(&reader, &reply);
    enum outcome outcome = exchange_on(fd, head, body, timeout_ms, &reader, err);
    reply_reader_drop(&reader);
    if (outcome != OK)
        reply_drop(&reply);
    else
        *out = reply;
    return outcome;
}
