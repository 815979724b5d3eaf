/* The Runtime API of one instance, given whatever bytes a runtime may send over one connection. Whatever they are, the instance hears frames that are in
 * turn: READY once and first (or INIT_FAILED once and nothing else), one end for each invocation, idle only after an end. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/runtime_api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TURNS_MAX = 200, QUIET_TURNS = 4 };

struct heard {
    struct runtime_endpoint *endpoint;
    bool ready, failed, running;
    size_t events;
    uint32_t sequence;
};

static void invoke(struct heard *h)
{
    struct frame_invoke frame = { .sequence = ++h->sequence,
                                  .deadline_ms = 1,
                                  .request_id = SLICE("8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
                                  .function_arn = SLICE("arn"),
                                  .client_context = SLICE("{\n}"),
                                  .payload = SLICE("{}") };
    h->running = true;
    runtime_endpoint_invoke(h->endpoint, &frame);
}

static void on_frame(const struct frame *frame, void *arg)
{
    struct heard *h = arg;
    h->events++;
    assert(!h->failed);
    switch (frame->type) {
    case FRAME_READY:
        assert(!h->ready);
        h->ready = true;
        invoke(h);
        return;
    case FRAME_INIT_FAILED:
        assert(!h->ready && frame->error_type.len > 0 && frame->payload.len > 0);
        h->failed = true;
        return;
    default:
        assert(frame->type == FRAME_DONE || frame->type == FRAME_FAILED);
        assert(h->running && frame->sequence == h->sequence);
        assert(frame->payload.len <= INVOKE_RESPONSE_BYTES_MAX);
        h->running = false;
    }
}

static void on_idle(void *arg)
{
    struct heard *h = arg;
    h->events++;
    assert(h->ready && !h->running && !h->failed);
    invoke(h);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static int dial(int listener)
{
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct linger none = { 1, 0 }; /* thousands of runs leave no port behind */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    if (getsockname(listener, (struct sockaddr *)&at, &len) < 0 || connect(fd, (struct sockaddr *)&at, len) < 0)
        abort();
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uv_loop_t loop;
    struct heard h = { 0 };
    struct error err;
    int listener = -1;
    bool closed = false;
    (void)uv_loop_init(&loop);
    struct runtime_api *api = runtime_api_new(&loop);
    if (http_bind("127.0.0.1:0", &listener, &err) != OK || listen(listener, 4) < 0)
        abort();
    int client = dial(listener);
    struct runtime_events events = { on_frame, on_idle, &h };
    if (runtime_endpoint_open(api, &listener, &events, &h.endpoint, &err) != OK)
        abort();
    size_t sent = 0;
    for (int turn = 0, quiet = 0; turn < TURNS_MAX && quiet < QUIET_TURNS; turn++) {
        size_t before = h.events;
        ssize_t got = sent < size ? send(client, data + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        sent += got > 0 ? (size_t)got : 0;
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        quiet = got > 0 || h.events != before ? 0 : quiet + 1;
    }
    close(client);
    for (int turn = 0; turn < QUIET_TURNS; turn++)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    runtime_endpoint_close(h.endpoint);
    runtime_api_close(api, on_closed, &closed);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert(closed);
    if (uv_loop_close(&loop) != 0)
        abort();
    return 0;
}
