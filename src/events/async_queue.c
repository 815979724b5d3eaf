/* Accepting, the window of what is in memory, opening and closing. The picture is in async_private.h. */
#include <assert.h>
#include <stdio.h>

#include "events/async_private.h"

/* ---- events ---- */

void event_free(struct event *event)
{
    if (event == NULL)
        return;
    buffer_drop(&event->texts);
    buffer_drop(&event->payload);
    free(event->refusal);
    free(event);
}

/* Room for all texts is made first, so that the slices into it stay right. */
static struct slice event_copy(struct event *event, struct slice from)
{
    size_t at = event->texts.len;
    buffer_append_slice(&event->texts, from);
    return slice_from(event->texts.at + at, from.len);
}

static struct event *event_new(struct lane *lane, struct slice qualifier, struct slice request_id,
                               struct slice trace, struct slice client_context, struct buffer *payload)
{
    struct event *event = memory_new(sizeof(*event));
    event->lane = lane;
    buffer_reserve(&event->texts, qualifier.len + request_id.len + trace.len + client_context.len + 1);
    event->qualifier = event_copy(event, qualifier);
    event->request_id = event_copy(event, request_id);
    event->trace = event_copy(event, trace);
    event->client_context = event_copy(event, client_context);
    event->payload = buffer_take(payload);
    event->payload_bytes = event->payload.len;
    return event;
}

static size_t event_bytes(const struct event *event)
{
    return event->payload.cap + ASYNC_EVENT_BYTES;
}

/* ---- lanes ---- */

static struct lane *lane_find(struct async_queue *queue, struct slice name)
{
    struct lane *lane = NULL;
    HASH_FIND(hh, queue->lanes, name.at, name.len, lane);
    return lane;
}

static struct lane *lane_of(struct async_queue *queue, struct slice name)
{
    struct lane *lane = lane_find(queue, name);
    if (lane != NULL)
        return lane;
    lane = memory_new(sizeof(*lane));
    lane->queue = queue;
    lane->name = slice_dup(name);
    HASH_ADD_KEYPTR(hh, queue->lanes, lane->name, name.len, lane);
    return lane;
}

static void lane_free(struct lane *lane)
{
    struct async_queue *queue = lane->queue;
    struct event *event, *next;
    lane_unpause(lane);
    if (lane->where == LANE_TURN)
        DL_DELETE(queue->turn, lane);
    else if (lane->where == LANE_HELD)
        DL_DELETE(queue->held, lane);
    DL_FOREACH_SAFE (lane->ready, event, next)
        event_free(event);
    DL_FOREACH_SAFE (lane->active, event, next)
        event_free(event);
    queue->queued -= lane->queued;
    HASH_DEL(queue->lanes, lane);
    free(lane->name);
    free(lane);
}

void lane_maybe_free(struct lane *lane)
{
    if (lane->ready == NULL && lane->active == NULL && lane->accepting == 0 && lane->after >= lane->last &&
        !lane->page.under_way)
        lane_free(lane);
}

void lane_forget_active(struct event *event)
{
    DL_DELETE(event->lane->active, event);
    event->lane->active_count--;
}

static void lane_add_ready(struct lane *lane, struct event *event)
{
    event->state = EVENT_READY;
    DL_APPEND(lane->ready, event);
    lane->ready_count++;
    lane->queue->window_bytes += event_bytes(event);
}

struct event *lane_take_ready(struct lane *lane)
{
    struct event *event = lane->ready;
    if (event == NULL)
        return NULL;
    DL_DELETE(lane->ready, event);
    lane->ready_count--;
    lane->queue->window_bytes -= event_bytes(event);
    return event;
}

void lane_rewind(struct lane *lane, int64_t id)
{
    struct event *event;
    if (id <= lane->forgotten)
        id = lane->forgotten;
    lane->generation++;
    if (lane->after > id)
        lane->after = id;
    while ((event = lane_take_ready(lane)) != NULL) {
        if (event->id > lane->forgotten && lane->after >= event->id)
            lane->after = event->id - 1;
        if (event->counted) {
            event_release(event, true);
        } else {
            event_free(event);
        }
    }
}

/* ---- pages ---- */

static bool lane_is_active(const struct lane *lane, int64_t id)
{
    const struct event *event;
    DL_FOREACH (lane->active, event)
        if (event->id == id)
            return true;
    return false;
}

static void on_page_row(const struct async_event_row *row, struct buffer *payload, void *arg)
{
    struct lane *lane = arg;
    if (lane->queue->closed || lane->page.generation != lane->generation)
        return;
    lane->page.count++;
    lane->page.bytes += payload->len;
    lane->page.seen = row->id;
    if (lane_is_active(lane, row->id))
        return;
    struct event *event =
        event_new(lane, row->qualifier, row->request_id, row->trace, row->client_context, payload);
    event->id = row->id;
    event->received_ms = row->received_ms;
    event->attempts = row->attempts;
    lane_add_ready(lane, event);
}

static void on_page(enum outcome outcome, const struct error *err, void *arg)
{
    struct lane *lane = arg;
    struct async_queue *queue = lane->queue;
    lane->page.under_way = false;
    queue->outstanding--;
    queue->window_bytes -= lane->page.bytes_max; /* the rows count for themselves now */
    if (queue->closed) {
        queue_maybe_free(queue);
        return;
    }
    if (outcome != OK) {
        log_error("events", err, "could not read asynchronous invocations back; trying again");
        lane_pause(lane, lane->epoch);
    } else if (lane->page.generation == lane->generation) {
        bool whole = lane->page.count < lane->page.max && lane->page.bytes < lane->page.bytes_max;
        lane->after = whole ? lane->page.last : lane->page.seen;
    }
    lane_wake(lane);
}

void lane_read(struct lane *lane)
{
    struct async_queue *queue = lane->queue;
    if (lane->page.under_way || lane->after >= lane->last || queue->closed)
        return;
    bool alone = lane->pause_ms > 0 || queue->window_bytes + ASYNC_PAGE_BYTES > ASYNC_WINDOW_BYTES_MAX;
    if (alone && lane->ready != NULL)
        return; /* whoever can run gets one, however full the window is; no more */
    lane->page.under_way = true;
    lane->page.generation = lane->generation;
    lane->page.last = lane->last;
    lane->page.from = lane->page.seen = lane->after;
    lane->page.max = alone ? 1 : ASYNC_PAGE_EVENTS;
    lane->page.bytes_max = alone ? 1 : ASYNC_PAGE_BYTES;
    lane->page.count = lane->page.bytes = 0;
    queue->window_bytes += lane->page.bytes_max;
    queue->outstanding++;
    store_async_events_read(queue->store, slice_of(lane->name), lane->after, lane->last, lane->page.max,
                            lane->page.bytes_max, on_page_row, on_page, lane);
}

/* ---- accepting ---- */

/* Nothing stands before it and nothing holds it up: its row may say that it has begun. */
static bool lane_runs_at_once(const struct lane *lane)
{
    const struct async_queue *queue = lane->queue;
    bool shared = false;
    if (queue->stopping || lane->ready != NULL || lane->after < lane->last || lane->page.under_way ||
        lane->paused || lane->pause_ms > 0 || lane->accepting > lane->counted)
        return false;
    uint32_t slots = lane_slots(lane, &shared);
    return lane->begun + lane->counted < slots &&
           (!shared || queue->shared + queue->counted < queue_shared_max(queue));
}

static bool lane_may_hold(const struct lane *lane, const struct event *event)
{
    const struct async_queue *queue = lane->queue;
    return !queue->stopping && !lane->page.under_way && !lane->paused && lane->pause_ms == 0 &&
           lane->ready_count < ASYNC_READY_MAX &&
           (event->counted || queue->window_bytes + event_bytes(event) <= ASYNC_WINDOW_BYTES_MAX);
}

void lane_give_back(struct lane *lane, size_t bytes)
{
    lane->queued_bytes -= bytes < lane->queued_bytes ? bytes : lane->queued_bytes;
}

static void on_added(enum outcome outcome, const struct error *err, void *arg)
{
    struct event *event = arg;
    struct lane *lane = event->lane;
    struct async_queue *queue = lane->queue;
    async_accepted_fn *accepted = event->accepted;
    void *accepted_arg = event->arg;
    queue->outstanding--;
    if (event->counted) {
        lane->counted--;
        queue->counted--;
    }
    if (outcome == OK) {
        bool next = lane->after >= lane->last; /* nothing is on disk alone before it */
        lane->last = event->id;
        lane->queued++;
        queue->queued++;
        queue->accepted++;
        if (next && !queue->closed && lane_may_hold(lane, event)) {
            lane->after = event->id;
            lane_add_ready(lane, event);
        } else if (event->counted && !queue->closed) {
            event_release(event, true);
        } else {
            event_free(event);
        }
    } else {
        lane_give_back(lane, event->payload_bytes);
        event_free(event);
    }
    accepted(outcome, err, accepted_arg);
    lane->accepting--; /* until here it kept the lane */
    if (queue->closed)
        queue_maybe_free(queue);
    else
        lane_wake(lane);
}

/* Answered in another turn of the loop: `done` is never called from inside the call. */
static void refuse(struct event *event)
{
    struct error err;
    error_set_code(&err, ERROR_THROTTLED, "TooManyRequestsException",
                   "Let the function run what is queued, or give it more concurrency.", "Rate Exceeded.");
    event->refusal = memory_new(sizeof(err));
    *event->refusal = err;
    DL_APPEND(event->lane->queue->refused, event);
    queue_arm(event->lane->queue, 0);
}

static void answer_refused(struct async_queue *queue)
{
    struct event *all = queue->refused;
    queue->refused = NULL;
    while (all != NULL) {
        struct event *event = all;
        DL_DELETE(all, event);
        event->lane->accepting--;
        event->accepted(FAILED, event->refusal, event->arg);
        event_free(event);
    }
}

void async_queue_put(struct async_queue *queue, const struct invocation_input *input, async_accepted_fn *done,
                     void *arg)
{
    struct lane *lane = lane_of(queue, slice_of(input->function->name));
    struct event *event =
        event_new(lane, input->qualifier, input->request_id, input->trace, input->client_context, input->payload);
    event->accepted = done;
    event->arg = arg;
    if (lane->queued + lane->accepting >= ASYNC_QUEUED_MAX ||
        lane->queued_bytes + event->payload_bytes > queue->queued_bytes_max) {
        lane->accepting++; /* keeps the lane */
        refuse(event);
        return;
    }
    lane->queued_bytes += event->payload_bytes;
    event->counted = lane_runs_at_once(lane);
    event->id = ++queue->last_id;
    event->received_ms = clock_wall_ms();
    event->attempts = event->counted ? 1 : 0;
    lane->accepting++;
    if (event->counted) {
        lane->counted++;
        queue->counted++;
    }
    queue->outstanding++;
    struct async_event_row row = {
        .id = event->id,
        .name = slice_of(lane->name),
        .qualifier = event->qualifier,
        .request_id = event->request_id,
        .trace = event->trace,
        .client_context = event->client_context,
        .payload = buffer_slice(&event->payload),
        .received_ms = event->received_ms,
        .attempts = event->attempts,
    };
    store_async_event_add(queue->store, &row, on_added, event);
}

/* ---- the rows of functions that are gone ---- */

static void sweep(struct async_queue *queue);

static void on_swept(enum outcome outcome, const struct error *err, void *arg)
{
    struct async_queue *queue = arg;
    queue->outstanding--;
    queue->sweep.under_way = false;
    if (queue->closed) {
        queue_maybe_free(queue);
    } else if (outcome != OK) {
        log_error("events", err,
                  "could not delete the asynchronous invocations of a deleted function; trying again");
        queue->sweep.due_ms = uv_now(queue->loop) + ASYNC_PAUSE_MS_MAX;
        queue_arm(queue, queue->sweep.due_ms);
    } else if (queue->sweep.left || queue->sweep.again) {
        sweep(queue);
    }
}

/* Until nothing is left; what a stop interrupts goes on with the next start. */
static void sweep(struct async_queue *queue)
{
    queue->sweep.again = queue->sweep.under_way;
    if (queue->sweep.under_way || queue->stopping)
        return;
    queue->sweep.under_way = true;
    queue->sweep.due_ms = 0;
    queue->outstanding++;
    store_async_events_sweep(queue->store, &queue->sweep.left, on_swept, queue);
}

void async_queue_forget(struct async_queue *queue, struct slice name)
{
    struct lane *lane = lane_find(queue, name);
    struct event *event;
    sweep(queue);
    if (lane == NULL)
        return;
    while ((event = lane_take_ready(lane)) != NULL)
        event_free(event);
    lane->generation++;
    lane->forgotten = lane->after = lane->last;
    queue->queued -= lane->queued - lane->active_count;
    lane->queued = lane->active_count;
    lane->queued_bytes = 0;
    lane->pause_ms = 0;
    lane_unpause(lane);
    lane_wake(lane);
}

/* ---- opening and closing ---- */

static void on_timer(uv_timer_t *timer)
{
    struct async_queue *queue = timer->data;
    struct lane *lane, *next;
    uint64_t now = uv_now(queue->loop);
    queue->armed_ms = UINT64_MAX;
    answer_refused(queue);
    if (queue->sweep.due_ms != 0 && queue->sweep.due_ms <= now)
        sweep(queue);
    for (lane = queue->paused; lane != NULL; lane = next) {
        next = lane->pause_next;
        if (lane->due_ms <= now) {
            lane_unpause(lane);
            lane_pause_over(lane);
        } else {
            queue_arm(queue, lane->due_ms);
        }
    }
    if (queue->sweep.due_ms != 0 && !queue->stopping)
        queue_arm(queue, queue->sweep.due_ms);
    if (queue->turn != NULL)
        lane_wake(queue->turn);
}

void queue_arm(struct async_queue *queue, uint64_t due_ms)
{
    uint64_t now = uv_now(queue->loop);
    if (queue->closed || due_ms >= queue->armed_ms)
        return;
    queue->armed_ms = due_ms;
    (void)uv_timer_start(&queue->timer, on_timer, due_ms > now ? due_ms - now : 0, 0);
}

static enum outcome load_lane(struct slice name, int64_t count, int64_t first, int64_t last, void *arg,
                              struct error *err)
{
    struct async_queue *queue = arg;
    (void)err;
    if (queue->last_id < last)
        queue->last_id = last;
    if (count == 0) {
        queue->sweep.left = true;
        return OK;
    }
    struct lane *lane = lane_of(queue, name);
    lane->after = first - 1;
    lane->last = last;
    lane->queued = (size_t)count;
    queue->queued += (size_t)count;
    lane->where = LANE_TURN;
    DL_APPEND(queue->turn, lane);
    return OK;
}

enum outcome async_queue_open(uv_loop_t *loop, const struct async_queue_config *config, struct async_queue **out,
                              struct error *err)
{
    struct async_queue *queue = memory_new(sizeof(*queue));
    queue->loop = loop;
    queue->engine = config->engine;
    queue->store = config->store;
    queue->queued_bytes_max = config->queued_bytes_max > 0 ? config->queued_bytes_max : ASYNC_QUEUED_BYTES_MAX;
    if (store_async_events_summary(config->store, load_lane, queue, err) != OK) {
        struct lane *lane, *next;
        HASH_ITER (hh, queue->lanes, lane, next)
            lane_free(lane);
        free(queue);
        return FAILED;
    }
    (void)uv_timer_init(loop, &queue->timer);
    queue->timer.data = queue;
    queue->armed_ms = UINT64_MAX;
    queue_arm(queue, 0);
    if (queue->sweep.left)
        sweep(queue);
    if (queue->queued > 0)
        log_info("events", "%zu asynchronous invocations are left from before and run now", queue->queued);
    *out = queue;
    return OK;
}

void async_queue_stop(struct async_queue *queue)
{
    struct lane *lane, *next;
    if (queue == NULL || queue->stopping)
        return;
    queue->stopping = true;
    HASH_ITER (hh, queue->lanes, lane, next)
        lane_rewind(lane, lane->after);
}

void queue_maybe_free(struct async_queue *queue)
{
    struct lane *lane, *next;
    if (!queue->closed || !queue->timer_closed || queue->outstanding > 0)
        return;
    HASH_ITER (hh, queue->lanes, lane, next)
        lane_free(lane);
    free(queue);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct async_queue *queue = handle->data;
    queue->timer_closed = true;
    queue_maybe_free(queue);
}

void async_queue_free(struct async_queue *queue)
{
    if (queue == NULL)
        return;
    async_queue_stop(queue);
    answer_refused(queue);
    queue->closed = true;
    uv_close((uv_handle_t *)&queue->timer, on_timer_closed);
}

void async_queue_figures(const struct async_queue *queue, struct async_queue_figures *out)
{
    *out = (struct async_queue_figures){
        .queued = queue->queued,
        .running = queue->running,
        .accepted = queue->accepted,
        .finished = queue->finished,
        .throttled = queue->throttled,
        .dropped = queue->dropped,
        .window_bytes = queue->window_bytes,
    };
}
