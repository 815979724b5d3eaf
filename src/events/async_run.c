/* Whose turn it is, and what becomes of an event that was begun. The picture is in async_private.h. */
#include <assert.h>

#include "events/async_private.h"

/* ---- how much may run ---- */

uint32_t lane_slots(const struct lane *lane, bool *shared)
{
    struct engine *engine = lane->queue->engine;
    int64_t reserved = engine_reserved(engine, slice_of(lane->name));
    uint32_t most = reserved >= 0 ? (uint32_t)reserved : engine_unreserved(engine) / 2;
    *shared = reserved < 0;
    if (*shared && most == 0)
        most = 1;
    return most < ASYNC_RUNNING_MAX ? most : ASYNC_RUNNING_MAX;
}

/* A tenth stays free of events, for those who wait for an answer. */
uint32_t queue_shared_max(const struct async_queue *queue)
{
    uint32_t all = engine_unreserved(queue->engine), kept = all / 10 > 0 ? all / 10 : 1;
    return all > kept ? all - kept : 1;
}

/* ---- pauses ---- */

static void lane_wait(struct lane *lane, uint64_t ms)
{
    struct async_queue *queue = lane->queue;
    lane->due_ms = uv_now(queue->loop) + ms;
    if (ms >= ASYNC_LOOK_MS)
        lane->due_ms += ASYNC_LONG_STEP_MS - lane->due_ms % ASYNC_LONG_STEP_MS;
    if (!lane->paused)
        DL_APPEND2(queue->paused, lane, pause_prev, pause_next);
    lane->paused = true;
    queue_arm(queue, lane->due_ms);
}

void lane_unpause(struct lane *lane)
{
    if (!lane->paused)
        return;
    lane->paused = false;
    DL_DELETE2(lane->queue->paused, lane, pause_prev, pause_next);
}

void lane_pause(struct lane *lane, uint64_t epoch)
{
    if (epoch != lane->epoch || lane->queue->closed)
        return; /* of several that were refused together, one counts */
    lane->epoch++;
    lane->probing = false;
    lane->pause_ms = lane->pause_ms == 0                       ? ASYNC_PAUSE_MS_MIN
                     : lane->pause_ms < ASYNC_PAUSE_MS_MAX / 2 ? lane->pause_ms * 2
                                                               : ASYNC_PAUSE_MS_MAX;
    lane_wait(lane, lane->pause_ms);
    lane_rewind(lane, lane->after);
}

static void event_delete(struct event *event);

static void put_in_turn(struct lane *lane)
{
    if (lane->where != LANE_NOWHERE)
        return;
    lane->where = LANE_TURN;
    DL_APPEND(lane->queue->turn, lane);
}

void lane_pause_over(struct lane *lane)
{
    struct event *event;
    if (lane->probing) { /* it has not been refused: the way is free */
        lane->probing = false;
        lane->pause_ms = 0;
    }
    DL_FOREACH (lane->active, event) {
        if (event->state == EVENT_OVER) {
            lane->over--;
            event_delete(event);
        }
    }
    put_in_turn(lane);
}

/* ---- the ends of an event ---- */

static void event_to_disk(struct event *event)
{
    struct lane *lane = event->lane;
    int64_t id = event->id;
    size_t bytes = event->payload_bytes;
    lane_forget_active(event);
    event_free(event);
    if (id > lane->forgotten)
        lane_rewind(lane, id - 1);
    else if (lane->queued > 0) { /* deleted with its function */
        lane_give_back(lane, bytes);
        lane->queued--;
        lane->queue->queued--;
    }
    lane_wake(lane);
}

static void on_released(enum outcome outcome, const struct error *err, void *arg)
{
    struct event *event = arg;
    struct async_queue *queue = event->lane->queue;
    (void)outcome; /* at worst its row counts one run too many */
    (void)err;
    queue->outstanding--;
    if (queue->closed)
        queue_maybe_free(queue);
    else
        event_to_disk(event);
}

/* In `active` until its row says so: a page that is read meanwhile would bring the old figure. */
void event_release(struct event *event, bool uncount)
{
    struct lane *lane = event->lane;
    struct async_queue *queue = lane->queue;
    if (event->state == EVENT_READY || event->state == EVENT_ACCEPTING) {
        DL_APPEND(lane->active, event);
        lane->active_count++;
    }
    event->state = EVENT_RELEASING;
    buffer_drop(&event->payload);
    if (!uncount || !event->counted) {
        event_to_disk(event);
        return;
    }
    queue->outstanding++;
    store_async_event_attempt(queue->store, event->id, event->attempts - 1, on_released, event);
}

static void on_deleted(enum outcome outcome, const struct error *err, void *arg)
{
    struct event *event = arg;
    struct lane *lane = event->lane;
    struct async_queue *queue = lane->queue;
    queue->outstanding--;
    if (queue->closed) {
        if (outcome != OK)
            log_error("events", err,
                      "an asynchronous invocation that is over stays on disk and will run once more");
        queue_maybe_free(queue);
        return;
    }
    if (outcome != OK) {
        event->state = EVENT_OVER;
        lane->over++;
        if (event->epoch == lane->epoch)
            log_error("events", err, "could not delete an asynchronous invocation that is over; trying again");
        lane_pause(lane, event->epoch);
        if (!lane->paused)
            lane_wait(lane, ASYNC_PAUSE_MS_MIN);
        return;
    }
    if (lane->page.under_way && event->id > lane->page.from)
        lane->generation++; /* that page may still show it: it is thrown away, since nothing else says that this one has run */
    lane_give_back(lane, event->payload_bytes);
    lane_forget_active(event);
    event_free(event);
    if (lane->queued > 0) {
        lane->queued--;
        queue->queued--;
    }
    lane_wake(lane);
}

static void event_delete(struct event *event)
{
    struct async_queue *queue = event->lane->queue;
    event->state = EVENT_DELETING;
    event->epoch = event->lane->epoch;
    buffer_drop(&event->payload);
    queue->outstanding++;
    store_async_event_delete(queue->store, event->id, on_deleted, event);
}

static void event_end_run(struct event *event)
{
    struct lane *lane = event->lane;
    lane->begun--;
    lane->queue->running--;
    if (event->shared)
        lane->queue->shared--;
}

/* Its function, or what its qualifier named, is gone. A backlog of such events must not fill the log: powers of two. */
static void event_drop(struct event *event)
{
    struct lane *lane = event->lane;
    lane->queue->dropped++;
    lane->dropped++;
    if ((lane->dropped & (lane->dropped - 1)) == 0)
        log_warn(
            "events",
            "asynchronous invocation %.*s of \"%s%s%.*s\" was dropped: there is no such function (%llu so far)",
            SLICE_PRINT(event->request_id), lane->name, event->qualifier.len > 0 ? ":" : "",
            SLICE_PRINT(event->qualifier), (unsigned long long)lane->dropped);
    event_end_run(event);
    if (lane->probing && !lane->paused)
        lane->probing = false; /* it told nothing */
    event_delete(event);
}

/* ---- running ---- */

static void on_invoked(const struct invocation_result *result, void *arg)
{
    struct event *event = arg;
    struct lane *lane = event->lane;
    struct async_queue *queue = lane->queue;
    event_end_run(event);
    if (result->status != INVOCATION_REFUSED) { /* it has run to its end, well or not */
        queue->finished++;
        lane->pause_ms = 0;
        lane->probing = false;
        if (lane->over == 0) /* else the pause is the disk's */
            lane_unpause(lane);
        event_delete(event);
        lane_wake(lane);
        return;
    }
    /* ERROR_UNAVAILABLE: it was cut, perhaps in the middle, and that run counts. Everything else did not begin. */
    bool cut = result->error->kind == ERROR_UNAVAILABLE;
    if (result->error->kind == ERROR_THROTTLED)
        queue->throttled++;
    lane_pause(lane, event->epoch);
    event_release(event, !cut);
}

static void event_run(struct event *event)
{
    struct lane *lane = event->lane;
    struct async_queue *queue = lane->queue;
    struct function *function = engine_route(queue->engine, slice_of(lane->name), event->qualifier);
    if (function == NULL) {
        event_drop(event);
        return;
    }
    struct invocation_input input = {
        .function = function,
        .qualifier = event->qualifier,
        .request_id = event->request_id,
        .trace = event->trace,
        .client_context = event->client_context,
        .payload = &event->payload,
    };
    event->state = EVENT_RUNNING;
    event->epoch = lane->epoch;
    if (lane->probing)
        lane_wait(lane, ASYNC_PAUSE_MS_MIN);
    (void)engine_invoke(queue->engine, &input, on_invoked, event);
}

static void on_marked(enum outcome outcome, const struct error *err, void *arg)
{
    struct event *event = arg;
    struct lane *lane = event->lane;
    struct async_queue *queue = lane->queue;
    queue->outstanding--;
    if (queue->closed) {
        queue_maybe_free(queue);
        return;
    }
    if (outcome == OK && !queue->stopping && event->epoch == lane->epoch) {
        event->counted = true;
        event_run(event);
        lane_wake(lane);
        return;
    }
    event_end_run(event);
    event->counted = outcome == OK;
    if (outcome != OK) {
        event->attempts--;
        log_error("events", err, "could not begin an asynchronous invocation; trying again");
        lane_pause(lane, event->epoch);
    }
    event_release(event, true);
}

static void event_begin(struct event *event, bool shared)
{
    struct lane *lane = event->lane;
    struct async_queue *queue = lane->queue;
    DL_APPEND(lane->active, event);
    lane->active_count++;
    lane->begun++;
    queue->running++;
    event->shared = shared;
    queue->shared += shared ? 1 : 0;
    event->epoch = lane->epoch;
    if (event->counted) {
        event_run(event);
        return;
    }
    event->state = EVENT_MARKING;
    event->attempts++;
    queue->outstanding++;
    store_async_event_attempt(queue->store, event->id, event->attempts, on_marked, event);
}

/* ---- whose turn ---- */

enum step { STEP_BEGAN, STEP_NOTHING, STEP_FULL };

static enum step lane_step(struct lane *lane)
{
    struct async_queue *queue = lane->queue;
    bool shared = false;
    if (queue->stopping || lane->paused || lane->probing || (lane->ready == NULL && lane->after >= lane->last))
        return STEP_NOTHING;
    uint32_t slots = lane_slots(lane, &shared);
    if (slots == 0) {
        lane_wait(lane, ASYNC_LOOK_MS); /* nobody says when the reservation changes */
        lane_rewind(lane, lane->after);
        return STEP_NOTHING;
    }
    if (lane->begun >= slots || lane->active_count >= ASYNC_ACTIVE_MAX)
        return STEP_NOTHING;
    if (shared && queue->shared >= queue_shared_max(queue))
        return STEP_FULL;
    if (lane->ready_count <= ASYNC_PAGE_EVENTS / 2)
        lane_read(lane);
    struct event *event = lane_take_ready(lane);
    if (event == NULL)
        return STEP_NOTHING; /* the page wakes it */
    lane->probing = lane->pause_ms > 0;
    event_begin(event, shared);
    return STEP_BEGAN;
}

/* One event a lane in turn. Nothing here calls back at once: neither engine nor store does. */
static void pump(struct async_queue *queue)
{
    for (;;) {
        struct lane *lane = queue->turn;
        if (lane != NULL) {
            DL_DELETE(queue->turn, lane);
        } else if (queue->held != NULL && queue->shared < queue_shared_max(queue)) {
            lane = queue->held;
            DL_DELETE(queue->held, lane);
        } else {
            return;
        }
        lane->where = LANE_NOWHERE;
        enum step step = lane_step(lane);
        if (step == STEP_BEGAN) {
            put_in_turn(lane);
        } else if (step == STEP_FULL) {
            lane->where = LANE_HELD;
            DL_APPEND(queue->held, lane);
        } else {
            lane_maybe_free(lane);
        }
    }
}

void lane_wake(struct lane *lane)
{
    struct async_queue *queue = lane->queue;
    if (queue->closed)
        return;
    put_in_turn(lane);
    pump(queue);
}
