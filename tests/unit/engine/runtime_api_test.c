/* The Runtime API over real sockets: the test is the runtime (it sends requests) and the instance (it gets frames and gives invocations). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "engine/runtime_api.h"

#define ID    "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
#define OTHER "00000000-0000-4000-8000-000000000000"
#define NEXT  "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n"

enum { SECONDS_MAX = 60 };

struct world {
    uv_loop_t loop;
    uv_timer_t pulse; /* lets a client be looked at */
    struct runtime_api *api;
    struct runtime_endpoint *endpoint;
    int port;
    size_t frames, idles;
    enum frame_type type; /* of the last frame */
    uint32_t sequence;
    struct buffer error_type, payload;
    bool close_at_frame, invoke_at_event;
    bool closed;
};

struct client {
    int fd;
    struct buffer in;
    int status;
    struct buffer head, body;
};

static void invoke(struct world *w);

static void on_event(struct world *w)
{
    if (w->invoke_at_event)
        invoke(w);
    if (!w->close_at_frame)
        return;
    runtime_endpoint_close(w->endpoint);
    w->endpoint = NULL;
}

static void on_frame(const struct frame *frame, void *arg)
{
    struct world *w = arg;
    w->frames++;
    w->type = frame->type;
    w->sequence = frame->sequence;
    buffer_reset(&w->error_type);
    buffer_append_slice(&w->error_type, frame->error_type);
    buffer_reset(&w->payload);
    buffer_append_slice(&w->payload, frame->payload);
    if (frame->type == FRAME_READY || w->close_at_frame)
        on_event(w);
}

static void on_idle(void *arg)
{
    struct world *w = arg;
    w->idles++;
    on_event(w);
}

static void on_pulse(uv_timer_t *timer)
{
    (void)timer;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error err;
    int fd = -1;
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->pulse);
    uv_timer_start(&w->pulse, on_pulse, 1, 1);
    w->api = runtime_api_new(&w->loop);
    assert_int_equal(http_bind("127.0.0.1:0", &fd, &err), OK);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    w->port = ntohs(at.sin_port);
    struct runtime_events events = { on_frame, on_idle, w };
    assert_int_equal(runtime_endpoint_open(w->api, &fd, &events, &w->endpoint, &err), OK);
    assert_int_equal(fd, -1);
    alarm(SECONDS_MAX);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    runtime_endpoint_close(w->endpoint);
    runtime_api_close(w->api, on_closed, &w->closed);
    uv_close((uv_handle_t *)&w->pulse, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_true(w->closed);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    buffer_drop(&w->error_type);
    buffer_drop(&w->payload);
    free(w);
    return 0;
}

static void invoke(struct world *w)
{
    static char payload[] = "{\"a\":1}";
    struct frame_invoke frame = {
        .sequence = 7,
        .deadline_ms = 1542409706888,
        .request_id = SLICE(ID),
        .function_arn = SLICE("arn:aws:lambda:us-east-1:000000000000:function:f:live"),
        .trace = SLICE("Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"),
        .client_context = SLICE("{\n\t\"client\": {}\r\n}"),
        .payload = slice_of(payload),
    };
    runtime_endpoint_invoke(w->endpoint, &frame);
}

/* ---- a client ---- */

static struct client *dial(struct world *w)
{
    struct client *c = calloc(1, sizeof(*c));
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)w->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
    return c;
}

static void hang_up(struct client *c)
{
    close(c->fd);
    buffer_drop(&c->in);
    buffer_drop(&c->head);
    buffer_drop(&c->body);
    free(c);
}

static void turn(struct world *w)
{
    (void)uv_run(&w->loop, UV_RUN_ONCE);
}

static void send_bytes(struct world *w, struct client *c, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(c->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
        if (sent > 0)
            bytes = slice_sub(bytes, (size_t)sent, bytes.len);
        else if (errno != EAGAIN)
            return; /* refused already: the answer tells */
        turn(w);
    }
}

static void send_text(struct world *w, struct client *c, const char *text)
{
    send_bytes(w, c, slice_of(text));
}

static bool take_answer(struct client *c)
{
    char *end = c->in.len == 0 ? NULL : memmem(c->in.at, c->in.len, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    size_t head = (size_t)(end + 4 - c->in.at);
    buffer_reset(&c->head);
    buffer_append(&c->head, c->in.at, head);
    const char *length = strstr(buffer_text(&c->head), "Content-Length: ");
    assert_non_null(length);
    size_t body = strtoul(length + strlen("Content-Length: "), NULL, 10);
    if (c->in.len < head + body)
        return false;
    buffer_reset(&c->body);
    buffer_append(&c->body, c->in.at + head, body);
    c->status = atoi(buffer_text(&c->head) + strlen("HTTP/1.1 "));
    buffer_consume(&c->in, head + body);
    return true;
}

/* false: the connection ended without one. */
static bool answered(struct world *w, struct client *c)
{
    for (;;) {
        char block[65536];
        if (take_answer(c))
            return true;
        ssize_t got = recv(c->fd, block, sizeof(block), 0);
        if (got > 0)
            buffer_append(&c->in, block, (size_t)got);
        else if (got == 0 || errno != EAGAIN)
            return false;
        else
            turn(w);
    }
}

static void must_answer(struct world *w, struct client *c, int status, const char *in_body)
{
    assert_true(answered(w, c));
    if (c->status != status || strstr(buffer_text(&c->body), in_body) == NULL)
        fail_msg("answered %d %s", c->status, buffer_text(&c->body));
}

static void must_have(struct client *c, const char *field)
{
    if (strstr(buffer_text(&c->head), field) == NULL)
        fail_msg("no \"%s\" in %s", field, buffer_text(&c->head));
}

static void post(struct world *w, struct client *c, const char *path, const char *fields, const char *body)
{
    char text[2048];
    (void)snprintf(
        text, sizeof(text),
        "POST /2018-06-01/runtime/%s HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n%sContent-Length: %zu\r\n\r\n%s", path,
        fields, strlen(body), body);
    send_text(w, c, text);
}

#define turn_until(w, condition)                                                                                   \
    do {                                                                                                           \
        while (!(condition))                                                                                       \
            turn(w);                                                                                               \
    } while (0)

/* Has asked for its first call and got it. */
static struct client *running(struct world *w)
{
    struct client *c = dial(w);
    w->invoke_at_event = true;
    send_text(w, c, NEXT);
    must_answer(w, c, 200, "{\"a\":1}");
    assert_int_equal(w->frames, 1);
    assert_int_equal(w->type, FRAME_READY);
    w->invoke_at_event = false;
    return c;
}

static void the_last_frame_is(struct world *w, enum frame_type type, const char *error_type, const char *payload)
{
    assert_int_equal(w->type, type);
    assert_int_equal(w->sequence, type == FRAME_INIT_FAILED ? 0 : 7);
    assert_string_equal(buffer_text(&w->error_type), error_type);
    if (strstr(buffer_text(&w->payload), payload) == NULL)
        fail_msg("\"%s\" is not in %s", payload, buffer_text(&w->payload));
}

/* ---- in turn ---- */

static void the_first_next_is_READY_and_waits_for_an_invocation(void **state)
{
    struct world *w = *state;
    struct client *c = dial(w);
    send_text(w, c, NEXT);
    turn_until(w, w->frames == 1);
    assert_int_equal(w->type, FRAME_READY);
    assert_int_equal(w->idles, 0);
    invoke(w);
    must_answer(w, c, 200, "{\"a\":1}");
    must_have(c, "Lambda-Runtime-Aws-Request-Id: " ID "\r\n");
    must_have(c, "Lambda-Runtime-Deadline-Ms: 1542409706888\r\n");
    must_have(c, "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:f:live\r\n");
    must_have(c, "Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;");
    must_have(c, "Lambda-Runtime-Client-Context: {  \"client\": {}  }\r\n");
    must_have(c, "Content-Type: application/json\r\n");
    assert_null(strstr(buffer_text(&c->head), "Cognito"));
    hang_up(c);
}

static void an_answer_is_DONE_and_the_next_next_says_idle(void **state)
{
    struct world *w = *state;
    struct client *c = running(w);
    for (int k = 0; k < 3; k++) {
        post(w, c, "invocation/" ID "/response", "", "{\"answer\":42}");
        must_answer(w, c, 202, "{\"status\":\"OK\"}");
        the_last_frame_is(w, FRAME_DONE, "", "{\"answer\":42}");
        assert_int_equal(w->idles, k);
        send_text(w, c, NEXT);
        turn_until(w, w->idles == (size_t)k + 1);
        invoke(w);
        must_answer(w, c, 200, "{\"a\":1}");
    }
    hang_up(c);
}

static void an_error_is_FAILED_with_its_type_and_its_body(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *sent, *said;
    } types[] = {
        { "Function.NoSuchThing", "Function.NoSuchThing" },
        { "Runtime.ExitError", "Runtime.ExitError" },
        { "Function.", "Function.Unknown" },
        { "Function.lower", "Function.Unknown" },
        { "nonsense \"quoted\"", "Runtime.Unknown" },
        { "", "Runtime.Unknown" },
    };
    struct client *c = running(w);
    for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
        char field[128];
        (void)snprintf(field, sizeof(field), "Lambda-Runtime-Function-Error-Type: %s\r\n", types[k].sent);
        post(w, c, "invocation/" ID "/error", field, "{\"errorMessage\":\"no\",\"errorType\":\"T\"}");
        must_answer(w, c, 202, "OK");
        the_last_frame_is(w, FRAME_FAILED, types[k].said, "\"errorType\":\"T\"");
        send_text(w, c, NEXT);
        turn_until(w, w->idles == k + 1);
        invoke(w);
        must_answer(w, c, 200, "");
    }
    hang_up(c);
}

static void an_invocation_waits_for_a_runtime_whose_connection_broke(void **state)
{
    struct world *w = *state;
    struct client *c = dial(w);
    send_text(w, c, NEXT);
    turn_until(w, w->frames == 1);
    hang_up(c);
    for (int k = 0; k < 20; k++)
        turn(w);
    invoke(w);
    c = dial(w);
    send_text(w, c, NEXT);
    must_answer(w, c, 200, "{\"a\":1}");
    send_text(w, c, NEXT); /* its answer was lost: the same again */
    must_answer(w, c, 200, "{\"a\":1}");
    must_have(c, "Lambda-Runtime-Aws-Request-Id: " ID);
    assert_int_equal(w->frames, 1);
    hang_up(c);
}

static void the_newest_of_two_that_wait_gets_the_invocation(void **state)
{
    struct world *w = *state;
    struct client *first = dial(w), *second = dial(w);
    send_text(w, first, NEXT);
    turn_until(w, w->frames == 1);
    send_text(w, second, NEXT);
    must_answer(w, first, 403, "InvalidStateTransition");
    invoke(w);
    must_answer(w, second, 200, "{\"a\":1}");
    hang_up(first);
    hang_up(second);
}

static void bodies_may_come_in_chunks_and_in_single_bytes(void **state)
{
    struct world *w = *state;
    struct client *c = running(w);
    static const char text[] =
        "POST /2018-06-01/runtime/invocation/" ID "/response HTTP/1.1\r\nHost: h\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\n{\"a\r\n5;x=y\r\n\":12}\r\n0\r\n\r\n";
    for (size_t k = 0; k < strlen(text); k++)
        send_bytes(w, c, slice_from(text + k, 1));
    must_answer(w, c, 202, "OK");
    the_last_frame_is(w, FRAME_DONE, "", "{\"a\":12}");
    hang_up(c);
}

static void an_init_error_is_INIT_FAILED(void **state)
{
    struct world *w = *state;
    struct client *c = dial(w);
    post(w, c, "init/error", "Lambda-Runtime-Function-Error-Type: Runtime.NoSuchHandler\r\n",
         "{\"errorMessage\":\"none\",\"errorType\":\"Runtime.NoSuchHandler\"}");
    must_answer(w, c, 202, "OK");
    the_last_frame_is(w, FRAME_INIT_FAILED, "Runtime.NoSuchHandler", "\"errorMessage\":\"none\"");
    send_text(w, c, NEXT);
    must_answer(w, c, 403, "State transition from InitError to Ready failed for runtime.");
    post(w, c, "init/error", "", "{}");
    must_answer(w, c, 403, "InvalidStateTransition");
    assert_int_equal(w->frames, 1);
    hang_up(c);
}

static void an_init_error_without_words_still_says_its_type(void **state)
{
    struct world *w = *state;
    struct client *c = dial(w);
    post(w, c, "init/error", "Lambda-Runtime-Function-Error-Type: Function.Broken\r\n", "");
    must_answer(w, c, 202, "OK");
    the_last_frame_is(w, FRAME_INIT_FAILED, "Function.Broken", "\"errorType\":\"Function.Broken\"");
    hang_up(c);
}

/* ---- out of turn ---- */

static void an_unknown_id_is_refused_and_changes_nothing(void **state)
{
    struct world *w = *state;
    struct client *c = dial(w);
    post(w, c, "invocation/" ID "/response", "", "{}"); /* before there was any */
    must_answer(w, c, 400, "\"errorType\":\"InvalidRequestID\"");
    assert_int_equal(w->frames, 0);
    hang_up(c);
    c = running(w);
    static const char *const paths[] = { "invocation/" OTHER "/response", "invocation/" OTHER "/error",
                                         "invocation//response", "invocation/" ID "x/response",
                                         "invocation/%38476a536/response" };
    for (size_t k = 0; k < sizeof(paths) / sizeof(paths[0]); k++) {
        post(w, c, paths[k], "", "{}");
        must_answer(w, c, 400, "\"errorMessage\":\"Invalid request ID\"");
    }
    assert_int_equal(w->frames, 1);
    post(w, c, "invocation/" ID "/response", "", "1");
    must_answer(w, c, 202, "OK");
    hang_up(c);
}

static void a_second_answer_is_refused(void **state)
{
    struct world *w = *state;
    struct client *c = running(w);
    post(w, c, "invocation/" ID "/response", "", "1");
    must_answer(w, c, 202, "OK");
    post(w, c, "invocation/" ID "/response", "", "2");
    must_answer(w, c, 403,
                "State transition from RuntimeResponseSentState to InvocationResponse failed for runtime. Error: "
                "State transition is not allowed");
    post(w, c, "invocation/" ID "/error", "", "{}");
    must_answer(w, c, 403, "to InvocationErrorResponse failed");
    post(w, c, "init/error", "", "{}");
    must_answer(w, c, 403, "to InitError failed");
    assert_int_equal(w->frames, 2);
    the_last_frame_is(w, FRAME_DONE, "", "1");
    hang_up(c);
}

static void while_one_answer_is_read_there_is_no_other(void **state)
{
    struct world *w = *state;
    struct client *c = running(w), *other = dial(w);
    send_text(w, c,
              "POST /2018-06-01/runtime/invocation/" ID
              "/response HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n12");
    for (int k = 0; k < 20; k++)
        turn(w);
    post(w, other, "invocation/" ID "/response", "", "other");
    must_answer(w, other, 403, "State transition from InvocationResponse to InvocationResponse");
    send_text(w, other, NEXT);
    must_answer(w, other, 403, "State transition from InvocationResponse to Ready");
    send_text(w, c, "34");
    must_answer(w, c, 202, "OK");
    the_last_frame_is(w, FRAME_DONE, "", "1234");
    hang_up(c);
    hang_up(other);
}

static void an_answer_that_breaks_off_fails_the_call(void **state)
{
    struct world *w = *state;
    struct client *c = running(w);
    send_text(w, c,
              "POST /2018-06-01/runtime/invocation/" ID
              "/response HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n12");
    hang_up(c);
    turn_until(w, w->frames == 2);
    the_last_frame_is(w, FRAME_FAILED, "Runtime.TruncatedResponse", "truncated");
}

static void an_answer_beyond_6_MB_is_413_and_the_caller_is_told(void **state)
{
    struct world *w = *state;
    char *large = malloc(INVOKE_RESPONSE_BYTES_MAX + 1);
    memset(large, '7', INVOKE_RESPONSE_BYTES_MAX + 1);
    struct client *c = running(w);
    char head[256];
    for (size_t extra = 0; extra < 2; extra++) {
        (void)snprintf(head, sizeof(head),
                       "POST /2018-06-01/runtime/invocation/" ID "/response HTTP/1.1\r\nHost: h\r\nContent-Length: "
                       "%zu\r\n\r\n",
                       (size_t)INVOKE_RESPONSE_BYTES_MAX + extra);
        send_text(w, c, head);
        send_bytes(w, c, slice_from(large, INVOKE_RESPONSE_BYTES_MAX + extra));
        if (extra == 0) {
            must_answer(w, c, 202, "OK");
            assert_int_equal(w->payload.len, INVOKE_RESPONSE_BYTES_MAX);
            send_text(w, c, NEXT);
            turn_until(w, w->idles == 1);
            invoke(w);
            must_answer(w, c, 200, "");
        } else {
            must_answer(w, c, 413, "\"errorType\":\"RequestEntityTooLarge\"");
        }
    }
    the_last_frame_is(w, FRAME_FAILED, "Function.ResponseSizeTooLarge",
                      "Response payload size exceeded maximum allowed payload size (6291556 bytes).");
    hang_up(c);
    c = dial(w); /* it lives on */
    w->invoke_at_event = true;
    send_text(w, c, NEXT);
    must_answer(w, c, 200, "{\"a\":1}");
    hang_up(c);
    free(large);
}

static void an_unknown_mode_of_response_is_refused(void **state)
{
    struct world *w = *state;
    struct client *c = running(w);
    post(w, c, "invocation/" ID "/response", "Lambda-Runtime-Function-Response-Mode: sideways\r\n", "1");
    must_answer(w, c, 400, "\"errorType\":\"InvalidFunctionResponseMode\"");
    the_last_frame_is(w, FRAME_FAILED, "Runtime.InvalidResponseModeHeader", "Invalid function response mode");
    hang_up(c);
}

static void what_is_no_request_of_the_api_is_refused(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *line;
        int status;
    } cases[] = {
        { "GET /", 404 },
        { "GET /2018-06-01/runtime/invocation", 404 },
        { "GET /2018-06-01/runtime/invocation/next/", 404 },
        { "GET /2018-06-02/runtime/invocation/next", 404 },
        { "GET /2018-06-01//runtime/invocation/next", 404 },
        { "GET /2018-06-01/runtime/invocation/" ID "/response/x", 404 },
        { "POST /2020-01-01/extension/register", 404 },
        { "POST /2018-06-01/runtime/invocation/next", 405 },
        { "GET /2018-06-01/runtime/init/error", 405 },
        { "DELETE /2018-06-01/runtime/invocation/" ID "/response", 405 },
        { "GET /2018-06-01/ping", 200 },
    };
    struct client *c = dial(w);
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: h\r\n\r\n", cases[k].line);
        send_text(w, c, text);
        must_answer(w, c, cases[k].status, cases[k].status == 200 ? "pong" : "errorType");
    }
    assert_int_equal(w->frames, 0);
    hang_up(c);
}

static void nonsense_ends_its_connection_alone(void **state)
{
    struct world *w = *state;
    struct client *c = running(w), *other = dial(w);
    send_text(w, other, "\x16\x03\x01 nonsense\r\n\r\n");
    must_answer(w, other, 400, "");
    hang_up(other);
    post(w, c, "invocation/" ID "/response", "", "1");
    must_answer(w, c, 202, "OK");
    hang_up(c);
}

static void more_connections_than_allowed_wait_and_the_working_one_goes_on(void **state)
{
    struct world *w = *state;
    struct client *c = running(w), *many[4 * RUNTIME_API_CONNECTIONS_MAX];
    for (size_t k = 0; k < sizeof(many) / sizeof(many[0]); k++) {
        many[k] = dial(w);
        turn(w);
    }
    post(w, c, "invocation/" ID "/response", "", "1");
    must_answer(w, c, 202, "OK");
    for (size_t k = 0; k < sizeof(many) / sizeof(many[0]); k++)
        hang_up(many[k]);
    struct client *last = dial(w);
    send_text(w, last, NEXT);
    turn_until(w, w->idles == 1);
    hang_up(last);
    hang_up(c);
}

/* ---- the end ---- */

static void closing_cuts_who_waits_and_who_answers(void **state)
{
    struct world *w = *state;
    struct client *c = dial(w);
    send_text(w, c, NEXT);
    turn_until(w, w->frames == 1);
    runtime_endpoint_close(w->endpoint);
    w->endpoint = NULL;
    assert_false(answered(w, c));
    assert_int_equal(w->frames, 1);
    hang_up(c);
}

static void it_may_be_closed_from_within_each_of_its_events(void **state)
{
    struct world *w = *state;
    w->close_at_frame = true;
    struct client *c = dial(w);
    send_text(w, c, NEXT);
    turn_until(w, w->frames == 1);
    assert_null(w->endpoint);
    assert_false(answered(w, c));
    hang_up(c);
}

static void it_may_be_closed_while_it_tells_of_an_answer(void **state)
{
    struct world *w = *state;
    struct client *c = running(w);
    w->close_at_frame = true;
    post(w, c, "invocation/" ID "/response", "", "1");
    must_answer(w, c, 202, "OK");
    assert_null(w->endpoint);
    hang_up(c);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(the_first_next_is_READY_and_waits_for_an_invocation),
        test(an_answer_is_DONE_and_the_next_next_says_idle),
        test(an_error_is_FAILED_with_its_type_and_its_body),
        test(an_invocation_waits_for_a_runtime_whose_connection_broke),
        test(the_newest_of_two_that_wait_gets_the_invocation),
        test(bodies_may_come_in_chunks_and_in_single_bytes),
        test(an_init_error_is_INIT_FAILED),
        test(an_init_error_without_words_still_says_its_type),
        test(an_unknown_id_is_refused_and_changes_nothing),
        test(a_second_answer_is_refused),
        test(while_one_answer_is_read_there_is_no_other),
        test(an_answer_that_breaks_off_fails_the_call),
        test(an_answer_beyond_6_MB_is_413_and_the_caller_is_told),
        test(an_unknown_mode_of_response_is_refused),
        test(what_is_no_request_of_the_api_is_refused),
        test(nonsense_ends_its_connection_alone),
        test(more_connections_than_allowed_wait_and_the_working_one_goes_on),
        test(closing_cuts_who_waits_and_who_answers),
        test(it_may_be_closed_from_within_each_of_its_events),
        test(it_may_be_closed_while_it_tells_of_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
