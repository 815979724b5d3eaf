/* The states of an endpoint and the requests that it holds.
 *   1. A request is held (in endpoint->held) while it waits for an invocation or for its body; at most one waits for an invocation.
 *   2. endpoint->invoke is valid in ENDPOINT_RUNNING alone; the request id stays, so that a second answer is told from one to nobody.
 *   3. `events` is the last thing a step does with the endpoint: it may close it. Its memory goes when no callback is under way. */
#include "engine/runtime_api.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/codec.h"
#include "base/fd.h"
#include "base/memory.h"

enum endpoint_state {
    ENDPOINT_STARTED,    /* nothing was asked for yet                              -> READY, INIT_ERROR */
    ENDPOINT_INIT_ERROR, /* it has reported, or reports, that it cannot start */
    ENDPOINT_READY,      /* it asks for its next call                              -> RUNNING */
    ENDPOINT_RUNNING,    /* it has a call, or gets it with its next request        -> RESPONSE, ERROR */
    ENDPOINT_RESPONSE,   /* its answer is being read                               -> SENT, RUNNING */
    ENDPOINT_ERROR,      /* the same for an error                                  -> SENT, RUNNING */
    ENDPOINT_SENT,       /* answered; it has not asked for more                    -> READY */
};
static const char *const state_names[] = { "Started",
                                           "InitError",
                                           "Ready",
                                           "Running",
                                           "InvocationResponse",
                                           "InvocationErrorResponse",
                                           "RuntimeResponseSentState" };

struct request {
    struct request *prev, *next;
    struct runtime_endpoint *endpoint;
    struct http_exchange *x;
    char error_type[RUNTIME_API_ERROR_TYPE_BYTES]; /* of an error report */
};

struct runtime_endpoint {
    struct runtime_api *api;
    struct http_listener *listener;
    struct runtime_events events;
    enum endpoint_state state;
    struct frame_invoke invoke;
    uint32_t sequence;
    char request_id[UUID_TEXT_BYTES]; /* of the last call; "" none yet */
    struct request *held;
    struct request *waiter; /* that asks for the next call; one of those held */
    unsigned depth;         /* callbacks under way */
    bool closed;
};

struct runtime_api {
    struct http_server *server;
    void (*done)(void *arg);
    void *arg;
};

/* ---- answers ---- */

static void answer_json(struct http_exchange *x, int status, const char *json)
{
    http_add_header(x, "Content-Type", SLICE("application/json"));
    http_respond(x, status, slice_of(json));
}

/* The texts are ours: nothing in them needs escaping. */
static void refuse(struct http_exchange *x, int status, const char *type, const char *message)
{
    char json[512];
    (void)snprintf(json, sizeof(json), "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}\n", message, type);
    answer_json(x, status, json);
}

static void refuse_transition(struct http_exchange *x, enum endpoint_state from, enum endpoint_state to)
{
    char message[256];
    (void)snprintf(message, sizeof(message),
                   "State transition from %s to %s failed for runtime. Error: State transition is not allowed",
                   state_names[from], state_names[to]);
    refuse(x, 403, "InvalidStateTransition", message);
}

static void accept_it(struct http_exchange *x)
{
    answer_json(x, 202, "{\"status\":\"OK\"}\n");
}

/* A stranger's text may break over lines, as JSON may: a header cannot. */
static void add_text(struct http_exchange *x, const char *name, struct slice text)
{
    char plain[RUNTIME_API_HEADER_TEXT_BYTES_MAX];
    if (text.len == 0 || text.len > sizeof(plain))
        return;
    for (size_t i = 0; i < text.len; i++)
        plain[i] = (unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f ? ' ' : text.at[i];
    http_add_header(x, name, slice_from(plain, text.len));
}

static void answer_next(struct http_exchange *x, const struct frame_invoke *invoke)
{
    char deadline[24];
    (void)snprintf(deadline, sizeof(deadline), "%llu", (unsigned long long)invoke->deadline_ms);
    add_text(x, "Lambda-Runtime-Aws-Request-Id", invoke->request_id);
    add_text(x, "Lambda-Runtime-Deadline-Ms", slice_of(deadline));
    add_text(x, "Lambda-Runtime-Invoked-Function-Arn", invoke->function_arn);
    add_text(x, "Lambda-Runtime-Trace-Id", invoke->trace);
    add_text(x, "Lambda-Runtime-Client-Context", invoke->client_context);
    add_text(x, "Lambda-Runtime-Cognito-Identity", invoke->identity);
    http_add_header(x, "Content-Type", SLICE("application/json"));
    http_respond(x, 200, invoke->payload);
}

/* ---- what is held ---- */

static struct request *hold(struct runtime_endpoint *e, struct http_exchange *x,
                            void (*gone)(struct http_exchange *x, void *arg))
{
    struct request *r = memory_new(sizeof(*r));
    r->endpoint = e;
    r->x = x;
    DL_APPEND(e->held, r);
    http_on_gone(x, gone, r);
    return r;
}

static void let_go(struct request *r)
{
    DL_DELETE(r->endpoint->held, r);
    if (r->endpoint->waiter == r)
        r->endpoint->waiter = NULL;
    free(r);
}

static void on_waiter_gone(struct http_exchange *x, void *arg)
{
    (void)x;
    let_go(arg);
}

/* ---- events ---- */

static void leave(struct runtime_endpoint *e)
{
    if (--e->depth == 0 && e->closed)
        free(e);
}

static void say_frame(struct runtime_endpoint *e, enum frame_type type, const char *error_type,
                      struct slice payload)
{
    struct frame frame = { .type = type, .error_type = slice_of(error_type), .payload = payload, .body = payload };
    if (type == FRAME_DONE || type == FRAME_FAILED) {
        frame.sequence = e->sequence;
        e->state = ENDPOINT_SENT;
    }
    e->depth++;
    e->events.frame(&frame, e->events.arg);
    leave(e);
}

static void say_failed(struct runtime_endpoint *e, const char *type, const char *message)
{
    char json[256];
    (void)snprintf(json, sizeof(json), "{\"errorType\":\"%s\",\"errorMessage\":\"%s\"}", type, message);
    say_frame(e, FRAME_FAILED, type, slice_of(json));
}

/* ---- /next ---- */

static void take_next(struct runtime_endpoint *e, struct http_exchange *x)
{
    enum endpoint_state before = e->state;
    switch (before) {
    case ENDPOINT_RUNNING: /* the answer to its last request was lost, or it asks twice */
        answer_next(x, &e->invoke);
        return;
    case ENDPOINT_INIT_ERROR:
    case ENDPOINT_RESPONSE:
    case ENDPOINT_ERROR:
        refuse_transition(x, before, ENDPOINT_READY);
        return;
    case ENDPOINT_READY: /* one who gave up and asks again may be here before the end of his old connection is */
        if (e->waiter != NULL) {
            struct http_exchange *old = e->waiter->x;
            let_go(e->waiter);
            refuse_transition(old, before, ENDPOINT_READY);
        }
        e->waiter = hold(e, x, on_waiter_gone);
        return;
    case ENDPOINT_STARTED:
    case ENDPOINT_SENT:
        e->waiter = hold(e, x, on_waiter_gone);
        e->state = ENDPOINT_READY;
        if (before == ENDPOINT_STARTED) {
            say_frame(e, FRAME_READY, "", SLICE_EMPTY);
        } else {
            e->depth++;
            e->events.idle(e->events.arg);
            leave(e);
        }
        return;
    }
}

void runtime_endpoint_invoke(struct runtime_endpoint *e, const struct frame_invoke *invoke)
{
    assert(e->state == ENDPOINT_READY);
    e->state = ENDPOINT_RUNNING;
    e->invoke = *invoke;
    e->sequence = invoke->sequence;
    (void)snprintf(e->request_id, sizeof(e->request_id), "%.*s", SLICE_PRINT(invoke->request_id));
    if (e->waiter == NULL)
        return;
    struct http_exchange *x = e->waiter->x;
    let_go(e->waiter);
    answer_next(x, invoke);
}

/* ---- /response, /error ---- */

/* It broke off: what is there is no answer. */
static void on_answer_gone(struct http_exchange *x, void *arg)
{
    struct request *r = arg;
    struct runtime_endpoint *e = r->endpoint;
    (void)x;
    let_go(r);
    say_failed(e, "Runtime.TruncatedResponse", "HTTP request detected as truncated");
}

static void take_too_large(struct runtime_endpoint *e, struct http_exchange *x)
{
    char message[96];
    (void)snprintf(message, sizeof(message), "Exceeded maximum allowed payload size (%d bytes).",
                   (int)INVOKE_RESPONSE_BYTES_MAX);
    refuse(x, 413, "RequestEntityTooLarge", message);
    (void)snprintf(message, sizeof(message),
                   "Response payload size exceeded maximum allowed payload size (%d bytes).",
                   (int)INVOKE_RESPONSE_BYTES_MAX);
    say_failed(e, "Function.ResponseSizeTooLarge", message);
}

static void on_answer(struct http_exchange *x, struct buffer *body, const struct error *err, void *arg)
{
    struct request *r = arg;
    struct runtime_endpoint *e = r->endpoint;
    bool failed = e->state == ENDPOINT_ERROR;
    char error_type[RUNTIME_API_ERROR_TYPE_BYTES];
    memcpy(error_type, r->error_type, sizeof(error_type));
    let_go(r);
    if (err != NULL && err->kind == ERROR_TOO_LARGE) {
        take_too_large(e, x);
        return;
    }
    if (err != NULL) { /* no memory: it may try again, its time runs */
        e->state = ENDPOINT_RUNNING;
        refuse(x, 500, "InternalServerError", "Internal Server Error");
        return;
    }
    say_frame(e, failed ? FRAME_FAILED : FRAME_DONE, error_type, buffer_slice(body));
    accept_it(x); /* the caller came first */
}

/* "Runtime.NoSuchHandler", "Function.Whatever"; anything else is not for a log line. */
static void read_error_type(struct http_exchange *x, char out[RUNTIME_API_ERROR_TYPE_BYTES])
{
    struct slice type = http_header(x, "Lambda-Runtime-Function-Error-Type");
    bool function = slice_starts(type, SLICE("Function.")), runtime = slice_starts(type, SLICE("Runtime."));
    size_t from = function ? strlen("Function.") : strlen("Runtime.");
    bool good = (function || runtime) && type.len > from + 1 && type.len < RUNTIME_API_ERROR_TYPE_BYTES &&
                type.at[from] >= 'A' && type.at[from] <= 'Z';
    for (size_t i = from; good && i < type.len; i++)
        good = (type.at[i] >= 'a' && type.at[i] <= 'z') || (type.at[i] >= 'A' && type.at[i] <= 'Z') ||
               (type.at[i] >= '0' && type.at[i] <= '9') || type.at[i] == '.' || type.at[i] == '_';
    if (good)
        (void)snprintf(out, RUNTIME_API_ERROR_TYPE_BYTES, "%.*s", SLICE_PRINT(type));
    else
        (void)snprintf(out, RUNTIME_API_ERROR_TYPE_BYTES, "%s", function ? "Function.Unknown" : "Runtime.Unknown");
}

static void take_answer(struct runtime_endpoint *e, struct http_exchange *x, struct slice id, bool failed)
{
    enum endpoint_state to = failed ? ENDPOINT_ERROR : ENDPOINT_RESPONSE;
    struct slice mode = http_header(x, "Lambda-Runtime-Function-Response-Mode");
    if (e->request_id[0] == '\0' || !slice_is(id, e->request_id)) {
        refuse(x, 400, "InvalidRequestID", "Invalid request ID");
        return;
    }
    if (e->state != ENDPOINT_RUNNING) {
        refuse_transition(x, e->state, to);
        return;
    }
    if (!failed && mode.len > 0 && !slice_is(mode, "streaming")) {
        refuse(x, 400, "InvalidFunctionResponseMode", "Invalid function response mode");
        say_failed(e, "Runtime.InvalidResponseModeHeader", "Invalid function response mode");
        return;
    }
    e->state = to;
    struct request *r = hold(e, x, on_answer_gone);
    if (failed)
        read_error_type(x, r->error_type);
    http_read_whole(x, INVOKE_RESPONSE_BYTES_MAX, on_answer, r);
}

/* ---- /init/error ---- */

static void on_init_error_gone(struct http_exchange *x, void *arg)
{
    struct request *r = arg;
    (void)x;
    r->endpoint->state = ENDPOINT_STARTED; /* it may say it again; else its exit will tell */
    let_go(r);
}

static void on_init_error(struct http_exchange *x, struct buffer *body, const struct error *err, void *arg)
{
    struct request *r = arg;
    struct runtime_endpoint *e = r->endpoint;
    char type[RUNTIME_API_ERROR_TYPE_BYTES], json[RUNTIME_API_ERROR_TYPE_BYTES + 96];
    memcpy(type, r->error_type, sizeof(type));
    let_go(r);
    (void)snprintf(json, sizeof(json), "{\"errorType\":\"%s\",\"errorMessage\":\"The runtime gave no reason.\"}",
                   type);
    struct slice words = err == NULL && body->len > 0 ? buffer_slice(body) : slice_of(json);
    say_frame(e, FRAME_INIT_FAILED, type, words);
    if (err == NULL)
        accept_it(x);
    else
        refuse(x, 413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size.");
}

static void take_init_error(struct runtime_endpoint *e, struct http_exchange *x)
{
    if (e->state != ENDPOINT_STARTED) {
        refuse_transition(x, e->state, ENDPOINT_INIT_ERROR);
        return;
    }
    e->state = ENDPOINT_INIT_ERROR;
    struct request *r = hold(e, x, on_init_error_gone);
    read_error_type(x, r->error_type);
    http_read_whole(x, INVOKE_RESPONSE_BYTES_MAX, on_init_error, r);
}

/* ---- which is it ---- */

enum route { ROUTE_NONE, ROUTE_NEXT, ROUTE_RESPONSE, ROUTE_ERROR, ROUTE_INIT_ERROR, ROUTE_PING };

static bool skip(struct slice *path, struct slice prefix)
{
    if (!slice_starts(*path, prefix))
        return false;
    *path = slice_sub(*path, prefix.len, path->len);
    return true;
}

static enum route route_of(struct slice path, struct slice *id)
{
    size_t slash = 0;
    if (!skip(&path, SLICE("/2018-06-01/")))
        return ROUTE_NONE;
    if (slice_is(path, "ping"))
        return ROUTE_PING;
    if (slice_is(path, "runtime/init/error"))
        return ROUTE_INIT_ERROR;
    if (slice_is(path, "runtime/invocation/next"))
        return ROUTE_NEXT;
    if (!skip(&path, SLICE("runtime/invocation/")) || !slice_find(path, '/', &slash))
        return ROUTE_NONE;
    *id = slice_sub(path, 0, slash);
    path = slice_sub(path, slash + 1, path.len);
    return slice_is(path, "response") ? ROUTE_RESPONSE : slice_is(path, "error") ? ROUTE_ERROR : ROUTE_NONE;
}

static void on_request(struct http_exchange *x, void *arg)
{
    struct runtime_endpoint *e = http_tag(x);
    struct slice id = SLICE_EMPTY;
    enum route route = route_of(http_path(x), &id);
    (void)arg;
    if (e == NULL) { /* closed since the connection came */
        http_abort(x);
        return;
    }
    if (route == ROUTE_NONE) {
        refuse(x, 404, "NotFound", "There is no such path in the Runtime API of 2018-06-01");
        return;
    }
    bool get = route == ROUTE_NEXT || route == ROUTE_PING;
    if (!slice_is(http_method(x), get ? "GET" : "POST")) {
        http_add_header(x, "Allow", get ? SLICE("GET") : SLICE("POST"));
        refuse(x, 405, "MethodNotAllowed", "Method Not Allowed");
        return;
    }
    switch (route) {
    case ROUTE_NONE:
        break;
    case ROUTE_PING:
        http_respond(x, 200, SLICE("pong"));
        break;
    case ROUTE_NEXT:
        take_next(e, x);
        break;
    case ROUTE_RESPONSE:
    case ROUTE_ERROR:
        take_answer(e, x, id, route == ROUTE_ERROR);
        break;
    case ROUTE_INIT_ERROR:
        take_init_error(e, x);
        break;
    }
}

/* ---- making and ending ---- */

struct runtime_api *runtime_api_new(uv_loop_t *loop)
{
    struct runtime_api *api = memory_new(sizeof(*api));
    /* An instance is frozen between calls and may compute for its whole time before it goes on with a body: the deadline of the call ends
     * it, not a timeout here. */
    struct http_limits limits = { .connections_max = RUNTIME_API_CONNECTIONS_MAX,
                                  .body_stall_timeout_ms = RUNTIME_API_STALL_MS,
                                  .write_stall_timeout_ms = RUNTIME_API_STALL_MS,
                                  .idle_timeout_ms = RUNTIME_API_STALL_MS };
    struct http_handler handler = { on_request, api };
    api->server = http_server_new(loop, &limits, &handler);
    return api;
}

static void on_server_closed(void *arg)
{
    struct runtime_api *api = arg;
    void (*done)(void *arg) = api->done;
    void *done_arg = api->arg;
    free(api);
    done(done_arg);
}

void runtime_api_close(struct runtime_api *api, void (*done)(void *arg), void *arg)
{
    api->done = done;
    api->arg = arg;
    http_server_close(api->server, on_server_closed, api);
}

enum outcome runtime_endpoint_open(struct runtime_api *api, int *listener, const struct runtime_events *events,
                                   struct runtime_endpoint **out, struct error *err)
{
    struct runtime_endpoint *e = memory_new(sizeof(*e));
    e->api = api;
    e->events = *events;
    if (http_listen(api->server, listener, e, &e->listener, err) != OK) {
        fd_drop(listener);
        free(e);
        return FAILED;
    }
    *out = e;
    return OK;
}

void runtime_endpoint_close(struct runtime_endpoint *e)
{
    if (e == NULL)
        return;
    http_listener_close(e->listener);
    while (e->held != NULL) {
        struct http_exchange *x = e->held->x;
        let_go(e->held);
        http_abort(x);
    }
    e->closed = true;
    if (e->depth == 0)
        free(e);
}
