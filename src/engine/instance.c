/* One sandboxed process of a function, once the keeper was asked for it: spoken to over its channel, listened to on its pipe.
 * Everything that comes from it is a stranger's input: a frame out of turn costs it its life and only its own call. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/private.h"

enum { READ_BYTES = 16 * 1024, PIPE_BYTES = 64 * 1024 };

/* Which frame may come in which state; what is not named is nonsense. */
static bool may_send(const struct instance *i, enum frame_type type)
{
    if (i->state == INSTANCE_STARTING)
        return !i->ready && (type == FRAME_READY || type == FRAME_INIT_FAILED);
    return i->state == INSTANCE_BUSY && (type == FRAME_DONE || type == FRAME_FAILED || type == FRAME_FATAL);
}

/* ---- the end ---- */

static void maybe_free(struct instance *i)
{
    if (!i->exited || i->handles > 0)
        return;
    struct engine *engine = i->engine;
    struct pool *pool = i->pool;
    assert(i->invocation == NULL && i->state == INSTANCE_STOPPING);
    HASH_DEL(engine->instances, i);
    for (size_t k = 0; i->unsent && k < engine->unsent_count; k++)
        if (engine->unsent[k] == i) {
            engine->unsent[k] = engine->unsent[--engine->unsent_count];
            break;
        }
    keeper_meters_drop(&i->meters);
    fd_drop(&i->proc_status);
    buffer_drop(&i->in);
    buffer_drop(&i->head);
    buffer_drop(&i->init_log);
    buffer_drop(&i->out.line);
    memory_wipe(&i->principal, sizeof(i->principal));
    free(i);
    engine->instance_count--;
    engine->stopping--;
    if (engine->closed) {
        engine_maybe_free(engine);
        return;
    }
    pool->instances--;
    pool_maybe_free(pool);
    dispatch_pump(engine);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct instance *i = handle->data;
    i->handles--;
    maybe_free(i);
}

void instance_close_handle(struct instance *i, uv_handle_t *handle, bool *open)
{
    if (!*open)
        return;
    *open = false;
    handle->data = i;
    uv_close(handle, on_handle_closed);
}

void instance_forget_key(struct instance *i)
{
    if (i->has_key)
        keyring_remove(i->engine->config.keyring, i->principal.access_key);
    i->has_key = false;
    if (i->api != NULL)
        i->engine->config.api_close(i->api, i->engine->config.arg);
    i->api = NULL;
}

/* Out of the lists of its state; the caller sets the next one. */
static void leave_state(struct instance *i)
{
    if (i->state == INSTANCE_STARTING) {
        i->engine->starting--;
        i->pool->starting--;
    } else if (i->state == INSTANCE_IDLE) {
        dispatch_idle_remove(i);
    } else if (i->state == INSTANCE_SETTLING && i->settle_counts) {
        i->settle_counts = false;
        i->pool->starting--;
    } else if (i->state == INSTANCE_SETTLING && i->settle_works) {
        i->settle_works = false;
        tally_give_place(i->engine, i->pool->tally);
    }
}

bool instance_tell_keeper(struct instance *i)
{
    struct keeper_link *link = i->engine->config.link;
    struct error err;
    if (i->exited)
        return true;
    if (i->kill_owed)
        return keeper_send_kill(link, i->id, &err) == OK;
    return !i->ready_owed || keeper_send_ready(link, i->id, &err) == OK;
}

/* Now, or when the keeper's socket has room again. Nothing follows a kill, and what was sent is not owed twice. */
static void tell_keeper(struct instance *i, bool *owed)
{
    struct engine *engine = i->engine;
    *owed = true;
    if (i->unsent)
        return;
    if (instance_tell_keeper(i)) {
        *owed = false;
        return;
    }
    i->unsent = true;
    engine_retry(engine);
    if (engine->unsent_count == engine->unsent_cap) {
        engine->unsent_cap = engine->unsent_cap == 0 ? 16 : engine->unsent_cap * 2;
        engine->unsent = memory_grow(engine->unsent, engine->unsent_cap, sizeof(struct instance *));
    }
    engine->unsent[engine->unsent_count++] = i;
}

static void tell_keeper_to_kill(struct instance *i)
{
    instance_thaw(i); /* a frozen process does not even die */
    i->killed = true;
    tell_keeper(i, &i->kill_owed);
}

void instance_kill(struct instance *i)
{
    assert(i->invocation == NULL);
    if (i->state != INSTANCE_STOPPING) {
        leave_state(i);
        i->state = INSTANCE_STOPPING;
        i->engine->stopping++;
        instance_forget_key(i);
        (void)uv_timer_stop(&i->deadline);
        runtime_endpoint_close(i->endpoint);
        i->endpoint = NULL;
    }
    /* Descriptors of its own that it sent us and nobody reads would keep its files alive after its end. */
    instance_close_handle(i, (uv_handle_t *)&i->channel, &i->channel_open);
    if (!i->killed && !i->exited)
        tell_keeper_to_kill(i);
}

/* ---- freezing ---- */

void instance_freeze(struct instance *i)
{
    struct error err;
    if (i->frozen)
        return;
    i->frozen = keeper_freeze(&i->meters, true);
    if (!i->frozen && keeper_send_stop(i->engine->config.link, i->id, true, &err) == OK)
        i->frozen = i->stopped = true;
}

void instance_thaw(struct instance *i)
{
    struct error err;
    if (!i->frozen)
        return;
    if (!i->stopped) {
        i->frozen = !keeper_freeze(&i->meters, false);
        return;
    }
    if (keeper_send_stop(i->engine->config.link, i->id, false, &err) == OK)
        i->frozen = i->stopped = false;
    else /* its call goes to another */
        log_error("engine", &err, "an instance could not be continued");
}

/* ---- what its call ends with ---- */

static uint64_t duration_us(const struct invocation *invocation)
{
    return clock_mono_us() - invocation->started_us;
}

static struct invocation *take_invocation(struct instance *i)
{
    struct invocation *invocation = i->invocation;
    i->invocation = NULL;
    invocation->instance = NULL;
    (void)uv_timer_stop(&i->deadline);
    return invocation;
}

/* The instance is lost with its call: logs what happened, answers with an error of Lambda's form. */
static void fail_call(struct instance *i, const char *type, const char *message, const char *log_text,
                      const char *status)
{
    struct invocation *invocation = i->invocation;
    struct buffer json = BUFFER_EMPTY;
    uint64_t took = duration_us(invocation);
    instance_drain_output(i);
    report_output_flush(i, &i->out);
    report_log(i, invocation, slice_of(log_text));
    report_end(i, invocation, took, status, strcmp(status, "error") == 0 ? type : NULL);
    report_error_json(&json, type, invocation->request_id, message);
    (void)take_invocation(i);
    struct invocation_result result = {
        .status = INVOCATION_FUNCTION_ERROR,
        .payload = buffer_slice(&json),
        .payload_buffer = &json,
        .log_tail = invocation_tail(invocation),
        .executed_version = slice_of(i->pool->function->version),
    };
    invocation_finish(invocation, &result);
    buffer_drop(&json);
}

static void fail_call_timed_out(struct instance *i)
{
    struct invocation *invocation = i->invocation;
    char now[CLOCK_TEXT_BYTES], text[256], message[96];
    clock_iso_ms(clock_wall_ms(), now);
    (void)snprintf(message, sizeof(message), "Task timed out after %u.00 seconds", i->pool->function->timeout_s);
    (void)snprintf(text, sizeof(text), "%s %s %s\n", now, invocation->request_id, message);
    fail_call(i, "Sandbox.Timedout", message, text, "timeout");
}

void instance_fail_exited(struct instance *i)
{
    char message[128], text[256];
    report_exit_text(i->exit_event.wait_status, message);
    const char *type = i->exit_event.oom_killed ? "Runtime.OutOfMemory" : "Runtime.ExitError";
    if (i->exit_event.oom_killed)
        (void)snprintf(message, sizeof(message), "Runtime exited with error: signal: killed");
    (void)snprintf(text, sizeof(text), "RequestId: %s Error: %s\n%s\n", i->invocation->request_id, message, type);
    fail_call(i, type, message, text, "error");
}

static void punish(struct instance *i, const struct error *why)
{
    log_warn("engine", "an instance of function \"%s\" was stopped: %s", i->pool->function->name, why->message);
    i->nonsense = true;
    if (i->state == INSTANCE_BUSY)
        fail_call(i, "Runtime.ProtocolError", "The runtime sent an invalid message and was stopped",
                  "hearth: the runtime sent an invalid message and was stopped\n", "error");
    struct pool *pool = i->pool;
    bool starting = i->state == INSTANCE_STARTING;
    instance_kill(i);
    if (starting) {
        struct buffer json = BUFFER_EMPTY;
        report_error_json(&json, "Runtime.ProtocolError", pool->waiting == NULL ? "-" : pool->waiting->request_id,
                          "The runtime sent an invalid message and was stopped");
        dispatch_fail_oldest(pool, SLICE("Runtime.ProtocolError"), buffer_slice(&json), i);
        buffer_drop(&json);
    }
    dispatch_start_over(pool);
}

/* ---- frames ---- */

/* Both have spoken, the keeper (STARTED) and the runtime (READY). */
void instance_begin_serving(struct instance *i)
{
    i->tasks_at_ready = keeper_meter_tasks(&i->meters);
    tell_keeper(i, &i->ready_owed);
    dispatch_instance_ready(i);
}

static void take_ready(struct instance *i, const struct frame *frame)
{
    i->ready = true;
    i->init_us = (uint32_t)(clock_mono_us() - i->start_us);
    (void)frame; /* its own figure leaves out the boot; Lambda's Init Duration has it in */
    if (!i->keeper_started || i->exited)
        return; /* the keeper's word is still on its way, see take_started; or it was its last */
    instance_begin_serving(i);
}

static void take_init_failed(struct instance *i, const struct frame *frame)
{
    struct pool *pool = i->pool;
    instance_drain_output(i);
    report_output_flush(i, &i->out);
    i->init_us = (uint32_t)(clock_mono_us() - i->start_us);
    dispatch_fail_oldest(pool, frame->error_type, frame->payload, i);
    instance_kill(i);
    dispatch_start_over(pool);
}

static void on_deadline(uv_timer_t *timer);

/* Its caller has the answer; the rest of its time is its own until it asks for the next call. */
static void begin_settling(struct instance *i, uint64_t left_ms)
{
    i->state = INSTANCE_SETTLING;
    i->settle_due_ms = uv_now(i->engine->loop) + left_ms;
    i->settle_counts = true;
    i->pool->starting++;
    (void)uv_timer_start(&i->deadline, on_deadline, left_ms < ENGINE_SETTLE_MS ? left_ms : ENGINE_SETTLE_MS, 0);
}

static void on_settle_timer(struct instance *i)
{
    struct pool *pool = i->pool;
    uint64_t now_ms = uv_now(i->engine->loop);
    if (now_ms < i->settle_due_ms) { /* it takes its time: whoever waits gets another */
        leave_state(i);
        /* Else each call could leave one behind that works on, as many as the machine holds. */
        i->settle_works = true;
        tally_take_place(i->engine, pool->tally);
        (void)uv_timer_start(&i->deadline, on_deadline, i->settle_due_ms - now_ms, 0);
    } else { /* nobody pays for what it does now, and nobody is told */
        instance_kill(i);
    }
    dispatch_start_over(pool);
}

static void take_answer(struct instance *i, const struct frame *frame)
{
    struct invocation *invocation = i->invocation;
    uint64_t took = duration_us(invocation), left_ms = uv_timer_get_due_in(&i->deadline);
    bool failed = frame->type != FRAME_DONE;
    struct buffer large = BUFFER_EMPTY;
    struct invocation_result result = {
        .status = failed ? INVOCATION_FUNCTION_ERROR : INVOCATION_SUCCEEDED,
        .payload = frame->payload,
        .executed_version = slice_of(i->pool->function->version),
    };
    if (frame->payload.len > INVOKE_RESPONSE_BYTES_MAX) {
        result.status = INVOCATION_FUNCTION_ERROR;
        buffer_append_text(&large,
                           "{\"errorType\":\"Function.ResponseSizeTooLarge\",\"errorMessage\":\"Response payload "
                           "size exceeded maximum allowed payload size (6291556 bytes).\"}");
        result.payload = buffer_slice(&large);
    }
    instance_drain_output(i);
    report_output_flush(i, &i->out);
    if (invocation->log_tail)
        report_end(i, invocation, took, NULL, NULL);
    result.log_tail = invocation_tail(invocation);
    (void)take_invocation(i);
    i->served = true;
    struct pool *pool = i->pool;
    if (i->endpoint != NULL)
        begin_settling(i, left_ms);
    pool->start_failures = 0;
    invocation_answer(invocation, &result); /* first of all: the caller waits for it, everything below can */
    if (!invocation->log_tail)
        report_end(i, invocation, took, NULL, NULL);
    invocation_free(invocation);
    if (frame->type == FRAME_FATAL || i->exited) {
        instance_kill(i); /* it is on its way out: no other call may meet that */
        dispatch_start_over(pool);
    } else if (i->state != INSTANCE_SETTLING && i->state != INSTANCE_STOPPING) {
        dispatch_instance_ready(i);
    }
    buffer_drop(&large);
}

/* false when the instance was stopped: its bytes mean nothing any more. */
static bool take_frame(struct instance *i, const struct frame *frame)
{
    struct error err;
    bool turn = may_send(i, frame->type);
    bool for_call = frame->type != FRAME_READY && frame->type != FRAME_INIT_FAILED;
    if (!turn || frame->sequence != (for_call ? i->sequence : 0)) {
        (void)error_set(&err, ERROR_INVALID, "", "it spoke out of turn (frame type 0x%02x)", frame->type);
        punish(i, &err);
        return false;
    }
    if (frame->type == FRAME_READY)
        take_ready(i, frame);
    else if (frame->type == FRAME_INIT_FAILED)
        take_init_failed(i, frame);
    else
        take_answer(i, frame);
    return i->state != INSTANCE_STOPPING;
}

void instance_take_frames(struct instance *i)
{
    struct buffer bytes =
        buffer_take(&i->in); /* ours while callbacks run: they may give the instance new work, not new bytes */
    size_t from = 0;
    bool alive = i->state != INSTANCE_STOPPING;
    while (alive && from < bytes.len) {
        struct frame frame;
        struct error err;
        size_t used = 0, need = 0;
        if (frame_read(slice_sub(buffer_slice(&bytes), from, bytes.len), &frame, &used, &need, &err) != OK) {
            punish(i, &err);
            break;
        }
        if (used == 0)
            break;
        from += used;
        alive = take_frame(i, &frame);
    }
    if (!alive || from == bytes.len) {
        if (bytes.cap > 4 * READ_BYTES)
            buffer_drop(&bytes);
        bytes.len = 0;
    } else if (from > 0) { /* else nothing moves: a large answer comes in many pieces */
        buffer_consume(&bytes, from);
    }
    i->in = bytes;
}

static void on_channel_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct instance *i = handle->data;
    (void)suggested;
    size_t need = READ_BYTES;
    if (i->in.len >= CHANNEL_HEAD_BYTES) { /* the whole of a large frame in one go */
        struct frame frame;
        size_t used = 0, whole = 0;
        struct error err;
        if (frame_read(buffer_slice(&i->in), &frame, &used, &whole, &err) == OK && whole > i->in.len)
            need = whole - i->in.len;
    }
    buffer_reserve(&i->in, need);
    *buf = uv_buf_init(i->in.at + i->in.len, (unsigned)(i->in.cap - i->in.len));
}

static void on_exit_grace(uv_timer_t *timer)
{
    struct instance *i = timer->data;
    if (!i->exited && !i->killed)
        tell_keeper_to_kill(i);
}

static void on_channel_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct instance *i = stream->data;
    (void)buf;
    if (got == 0)
        return;
    if (got < 0) { /* closed: it is exiting, or hides; EXITED tells with what, and comes soon or is made to come */
        instance_close_handle(i, (uv_handle_t *)&i->channel, &i->channel_open);
        if (i->state == INSTANCE_IDLE)
            instance_kill(i);
        else if (!i->exited)
            (void)uv_timer_start(&i->deadline, on_exit_grace, ENGINE_EXIT_GRACE_MS, 0);
        return;
    }
    i->in.len += (size_t)got;
    instance_take_frames(i);
}

/* ---- the same by the Runtime API ---- */

static void on_endpoint_frame(const struct frame *frame, void *arg)
{
    (void)take_frame(arg, frame);
}

static void on_endpoint_idle(void *arg)
{
    struct instance *i = arg;
    assert(i->state == INSTANCE_SETTLING);
    (void)uv_timer_stop(&i->deadline);
    leave_state(i);
    dispatch_instance_ready(i);
}

enum outcome instance_open_endpoint(struct instance *i, int *listener, struct error *err)
{
    struct runtime_events events = { on_endpoint_frame, on_endpoint_idle, i };
    return runtime_endpoint_open(i->engine->runtime_api, listener, &events, &i->endpoint, err);
}

/* ---- its output ---- */

static void on_output_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct instance *i = handle->data;
    (void)suggested;
    *buf = uv_buf_init(i->engine->output_bytes, sizeof(i->engine->output_bytes)); /* lent from alloc to read */
}

static void on_output_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct instance *i = stream->data;
    struct output *output = &i->out;
    if (got > 0)
        report_output(i, output, slice_from(buf->base, (size_t)got));
    else if (got < 0)
        instance_close_handle(i, (uv_handle_t *)&output->pipe, &output->open);
}

/* Reads the pipe empty, so that what was printed before the answer is in the log before it. Bounded by what a pipe holds:
 * a child process that floods it must not hold the loop. */
void instance_drain_output(struct instance *i)
{
    char bytes[16 * 1024];
    uv_os_fd_t fd = -1;
    if (!i->out.open || uv_fileno((uv_handle_t *)&i->out.pipe, &fd) != 0)
        return;
    for (size_t total = 0; total < 2 * (size_t)PIPE_BYTES;) {
        ssize_t got = read(fd, bytes, sizeof(bytes));
        if (got <= 0)
            break;
        report_output(i, &i->out, slice_from(bytes, (size_t)got));
        total += (size_t)got;
        if ((size_t)got < sizeof(bytes))
            break; /* a short read: it was all */
    }
}

/* ---- a call ---- */

static void on_deadline(uv_timer_t *timer)
{
    struct instance *i = timer->data;
    struct pool *pool = i->pool;
    uint64_t limit_us = (uint64_t)pool->function->timeout_s * 1000000;
    uint64_t took_us = i->state == INSTANCE_BUSY ? duration_us(i->invocation) : 0;
    if (i->state == INSTANCE_BUSY && took_us < limit_us) {
        /* The loop's clock stands still while it works, so the timer was early: nobody is cut before his time. */
        (void)uv_timer_start(&i->deadline, on_deadline, (limit_us - took_us) / 1000 + 1, 0);
    } else if (i->state == INSTANCE_BUSY) {
        fail_call_timed_out(i);
        instance_kill(i);
        dispatch_start_over(pool);
    } else if (i->state == INSTANCE_SETTLING) {
        on_settle_timer(i);
    } else if (i->state == INSTANCE_STARTING) {
        char text[160], message[96];
        uint32_t limit_ms = i->engine->config.init_timeout_ms;
        (void)snprintf(text, sizeof(text), "INIT_REPORT Init Duration: %u.00 ms\tPhase: init\tStatus: timeout\n",
                       limit_ms);
        (void)snprintf(message, sizeof(message), "Task timed out after %u.%02u seconds", limit_ms / 1000,
                       limit_ms % 1000 / 10);
        instance_drain_output(i);
        report_output_flush(i, &i->out);
        report_log(i, NULL, slice_of(text));
        struct buffer json = BUFFER_EMPTY;
        report_error_json(&json, "Sandbox.Timedout", pool->waiting == NULL ? "-" : pool->waiting->request_id,
                          message);
        i->init_us = limit_ms * 1000;
        dispatch_fail_oldest(pool, SLICE("Sandbox.Timedout"), buffer_slice(&json), i);
        buffer_drop(&json);
        instance_kill(i);
        dispatch_start_over(pool);
    }
}

struct write { /* what the socket did not take at once */
    uv_write_t request;
    struct buffer bytes;
};

static void on_written(uv_write_t *request, int status)
{
    struct write *write = request->data;
    (void)status; /* a broken channel shows itself by its end */
    buffer_drop(&write->bytes);
    free(write);
}

/* false when nobody is there to read it: not a byte was taken. */
static bool send_pieces(struct instance *i, struct slice head, struct slice payload)
{
    uv_buf_t bufs[2] = { uv_buf_init((char *)head.at, (unsigned)head.len),
                         uv_buf_init((char *)payload.at, (unsigned)payload.len) };
    int sent = uv_try_write((uv_stream_t *)&i->channel, bufs, payload.len > 0 ? 2 : 1);
    if (sent < 0 && sent != UV_EAGAIN)
        return false;
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == head.len + payload.len)
        return true;
    struct write *write = memory_new(sizeof(*write));
    write->request.data = write;
    if (done < head.len)
        buffer_append_slice(&write->bytes, slice_sub(head, done, head.len));
    buffer_append_slice(&write->bytes, slice_sub(payload, done < head.len ? 0 : done - head.len, payload.len));
    uv_buf_t rest = uv_buf_init(write->bytes.at, (unsigned)write->bytes.len);
    if (uv_write(&write->request, (uv_stream_t *)&i->channel, &rest, 1, on_written) != 0)
        on_written(&write->request, UV_EIO); /* a part is delivered: its channel's end will tell */
    return true;
}

/* false: not a byte was taken. */
static bool deliver(struct instance *i, const struct frame_invoke *frame)
{
    if (i->endpoint != NULL) {
        runtime_endpoint_invoke(i->endpoint, frame);
        return true;
    }
    buffer_reset(&i->head);
    frame_write_invoke(&i->head, frame);
    return i->channel_open && send_pieces(i, buffer_slice(&i->head), frame->payload);
}

bool instance_key_ends(const struct instance *i)
{
    int64_t call_ms = (int64_t)i->pool->function->timeout_s * 1000;
    return i->principal.expires_ms != 0 && clock_wall_ms() + call_ms >= i->principal.expires_ms;
}

bool instance_invoke(struct instance *i, struct invocation *invocation)
{
    struct function *f = i->pool->function;
    struct slice payload = invocation->payload.len > 0 ? buffer_slice(&invocation->payload) : SLICE("{}");
    leave_state(i);
    i->state = INSTANCE_BUSY;
    i->invocation = invocation;
    i->log_bytes = 0;
    i->log_cut = false;
    invocation->instance = i;
    invocation->cold = !i->served;
    i->sequence = i->sequence == UINT32_MAX ? 1 : i->sequence + 1;
    instance_thaw(i);
    uint64_t timeout_ms = (uint64_t)f->timeout_s * 1000;
    struct frame_invoke frame = {
        .sequence = i->sequence,
        .deadline_ms = (uint64_t)clock_wall_ms() + timeout_ms,
        .request_id = slice_of(invocation->request_id),
        .function_arn = slice_of(invocation->invoked_arn != NULL ? invocation->invoked_arn : f->arn),
        .trace = slice_of(invocation->trace),
        .client_context = slice_of(invocation->client_context),
        .identity = SLICE_EMPTY,
        .payload = payload,
    };
    invocation->started_us = clock_mono_us();
    if (i->frozen || !deliver(i, &frame)) {
        i->invocation = NULL; /* it died while it was idle and nobody has told us yet, or cannot be woken */
        invocation->instance = NULL;
        instance_kill(i);
        return false;
    }
    (void)uv_timer_start(&i->deadline, on_deadline, timeout_ms, 0);
    /* START is written with the first line it prints, with its answer, or soon: until the function works, nothing else does. */
    invocation->started_wall_ms = (int64_t)(frame.deadline_ms - timeout_ms);
    dispatch_start_lines_later(i->engine);
    if (i->endpoint == NULL) /* it may ask for it again until it has answered */
        buffer_drop(&invocation->payload);
    return true;
}

void instance_cut(struct instance *i, const struct error *err)
{
    if (i->state == INSTANCE_BUSY) {
        report_log(i, i->invocation, SLICE("hearth: the server is stopping; this call was cut\n"));
        report_end(i, i->invocation, duration_us(i->invocation), "error", "Sandbox.Shutdown");
        invocation_refuse(take_invocation(i), err, NULL);
    }
    instance_kill(i);
}

/* ---- the beginning ---- */

static void open_pipe(struct instance *i, uv_pipe_t *pipe, bool *open, int *fd, uv_alloc_cb alloc, uv_read_cb read)
{
    (void)uv_pipe_init(i->engine->loop, pipe, 0);
    pipe->data = i;
    i->handles++;
    *open = true;
    if (uv_pipe_open(pipe, *fd) == 0)
        (void)fd_take(fd);
    (void)uv_read_start((uv_stream_t *)pipe, alloc, read);
}

/* Takes our ends (a `provided` runtime has no channel); the init deadline runs from here. */
void instance_listen(struct instance *i, int *channel, int *out)
{
    (void)uv_timer_init(i->engine->loop, &i->deadline);
    i->deadline.data = i;
    i->handles++;
    if (i->pool->function->runtime->family != RUNTIME_PROVIDED)
        open_pipe(i, &i->channel, &i->channel_open, channel, on_channel_alloc, on_channel_read);
    open_pipe(i, &i->out.pipe, &i->out.open, out, on_output_alloc, on_output_read);
    (void)uv_timer_start(&i->deadline, on_deadline, i->engine->config.init_timeout_ms, 0);
}
