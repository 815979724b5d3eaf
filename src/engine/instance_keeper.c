/* What the keeper says of an instance: it has started, it could not, it is gone. */
#include <fcntl.h>
#include <sys/socket.h>

#include "engine/private.h"

enum { READ_BYTES = 16 * 1024 };

/* A sandbox that could not be made, for no fault of the function's: another is tried, then the oldest waiter is told. */
static void fail_to_start(struct instance *i, const char *message)
{
    struct pool *pool = i->pool;
    instance_kill(i);
    if (++pool->start_failures >= ENGINE_START_FAILURES_MAX) {
        struct error err;
        pool->start_failures = 0;
        (void)error_set_code(&err, ERROR_INTERNAL, "ServiceException", "Run `hearth doctor` on the server.",
                             "could not make a sandbox for the function: %s", message);
        dispatch_refuse_oldest(pool, &err);
    }
    dispatch_start_over(pool);
}

static void take_started(struct instance *i, struct keeper_event *event)
{
    i->meters = event->meters;
    i->keeper_started = true;
    if (i->meters.memory_peak < 0) { /* no memory cgroup: what the kernel says of the runtime's own process */
        char path[32];
        (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)event->pid);
        i->proc_status = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (i->state == INSTANCE_STOPPING) { /* killed before it was there */
        fd_drop(&event->api_listener);
        fd_drop(&event->runtime_listener);
        return;
    }
    if (event->api_listener >= 0) /* none without a sandbox: there it calls the server's own address */
        i->api = i->engine->config.api_open(&event->api_listener, &i->principal, i->engine->config.arg);
    fd_drop(&event->api_listener);
    struct error err;
    if (event->runtime_listener >= 0 && instance_open_endpoint(i, &event->runtime_listener, &err) != OK) {
        log_error("engine", &err, "an instance cannot have the Runtime API");
        fail_to_start(i, err.message);
        return;
    }
    i->pool->start_failures = 0;
    if (i->ready && i->channel_open) /* else it is on its way out */
        instance_begin_serving(i);
}

static void close_all(struct instance *i)
{
    bool timer = i->deadline.data != NULL;
    instance_close_handle(i, (uv_handle_t *)&i->channel, &i->channel_open);
    instance_close_handle(i, (uv_handle_t *)&i->out.pipe, &i->out.open);
    instance_close_handle(i, (uv_handle_t *)&i->deadline, &timer);
}

/* Its process is gone, and its last frame may lie unread: an answer that was sent counts, whichever of the two the loop
 * happens to see first. */
static void drain_channel(struct instance *i)
{
    uv_os_fd_t fd = -1;
    for (size_t total = 0; total <= CHANNEL_HEAD_BYTES + (size_t)CHANNEL_BODY_BYTES_MAX;) {
        if (!i->channel_open || uv_fileno((uv_handle_t *)&i->channel, &fd) != 0)
            return;
        buffer_reserve(&i->in, READ_BYTES);
        ssize_t got = recv(fd, i->in.at + i->in.len, READ_BYTES, MSG_DONTWAIT);
        if (got <= 0)
            return;
        total += (size_t)got;
        i->in.len += (size_t)got;
        instance_take_frames(i);
    }
}

/* The oldest waiter is told, as Lambda tells the call that waited for an init. */
static void fail_init(struct instance *i, const char *type, const char *message)
{
    struct pool *pool = i->pool;
    char text[512];
    i->init_us = (uint32_t)(clock_mono_us() - i->start_us);
    (void)snprintf(text, sizeof(text),
                   "INIT_REPORT Init Duration: %.2f ms\tPhase: init\tStatus: error\tError Type: %s\n",
                   (double)i->init_us / 1000.0, type);
    report_log(i, NULL, slice_of(text));
    if (pool->waiting != NULL) {
        pool->waiting->started_wall_ms = clock_wall_ms();
        (void)snprintf(text, sizeof(text), "RequestId: %s Error: %s\n%s\n", pool->waiting->request_id, message,
                       type);
        report_log(i, pool->waiting, slice_of(text));
    }
    struct buffer json = BUFFER_EMPTY;
    report_error_json(&json, type, pool->waiting == NULL ? "-" : pool->waiting->request_id, message);
    dispatch_fail_oldest(pool, slice_of(type), buffer_slice(&json), i);
    buffer_drop(&json);
}

/* It died while it started. */
static void died_starting(struct instance *i)
{
    char message[128];
    report_exit_text(i->exit_event.wait_status, message);
    if (i->exit_event.oom_killed)
        (void)snprintf(message, sizeof(message), "Runtime exited with error: signal: killed");
    fail_init(i, i->exit_event.oom_killed ? "Runtime.OutOfMemory" : "Runtime.ExitError", message);
}

static void take_exited(struct instance *i, const struct keeper_event *event)
{
    struct pool *pool = i->pool;
    i->exit_event = *event;
    i->exited = true;
    pool->instances++; /* keeps the pool while callbacks run */
    drain_channel(i);
    instance_drain_output(i);
    report_output_flush(i, &i->out);
    bool starting = i->state == INSTANCE_STARTING;
    if (i->state == INSTANCE_BUSY)
        instance_fail_exited(i);
    else if (starting)
        died_starting(i);
    instance_kill(i);
    close_all(i);
    dispatch_start_over(pool);
    pool->instances--;
    pool_maybe_free(pool);
}

static void take_start_failed(struct instance *i, struct keeper_event *event)
{
    struct pool *pool = i->pool;
    i->exited = true;
    bool starting = i->state == INSTANCE_STARTING;
    pool->instances++;                      /* keeps the pool while callbacks run */
    if (starting && event->entry_refused) { /* the function's own fault: no other sandbox will do better */
        fail_init(i, "Runtime.InvalidEntrypoint", event->message);
        instance_kill(i);
        dispatch_start_over(pool);
    } else {
        log_warn("engine", "could not make a sandbox for function \"%s\": %s", pool->function->name,
                 event->message);
        if (starting)
            fail_to_start(i, event->message);
        else
            instance_kill(i);
    }
    close_all(i);
    pool->instances--;
    pool_maybe_free(pool);
}

void instance_event(struct instance *i, struct keeper_event *event)
{
    switch (event->type) {
    case KEEPER_STARTED:
        take_started(i, event);
        break;
    case KEEPER_START_FAILED:
        take_start_failed(i, event);
        break;
    case KEEPER_EXITED:
        take_exited(i, event);
        break;
    }
}

void instance_abandon(struct instance *i)
{
    struct pool *pool = i->pool;
    instance_kill(i);
    i->exited = true; /* whatever the keeper says, nobody listens any more */
    i->pool = NULL;
    pool->instances--;
    pool_maybe_free(pool);
    close_all(i);
}
