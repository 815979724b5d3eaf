/* events/async_private: what async_queue.c (accepting, the window, opening and closing) and async_run.c (whose turn it is, running, pauses) share.
 *
 * One lane a function. Its events, by id, lie like this:
 *
 *     active: begun, or being written    ready: in memory    on disk alone        accepted last
 *     ......x..x.....................|...................|..........................|
 *                                                      after                      last
 *
 * Invariants:
 *   1. `ready` is in order of id, all behind what was taken from it; each row behind `after`, up to `last`, is on disk alone.
 *   2. An event in `active` may have its row anywhere: pages that are read again pass over it. So no event runs twice in one life of the server.
 *   3. Going back (lane_rewind) empties `ready` and lowers `after`; a page that was asked for before that is thrown away (`generation`).
 *   4. A paused lane holds nothing ready: the window's memory is for those that can run.
 *   5. A lane is in at most one of queue->turn and queue->held; `paused` is apart from that.
 *
 * attempts: the row of an event that will run at once is inserted with 1, so the usual way costs one commit to accept it and (with others together)
 * one to delete it. An event that has to wait is inserted with 0 and written once more before it runs; one that the engine then refuses is
 * set back. So the figure is right unless the server dies in the moment between commit and run. */
#pragma once

#include <stdlib.h>
#include <utlist.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/memory.h"
#include "events/async_queue.h"
#include "store/async_events.h"

enum {
    ASYNC_PAGE_EVENTS = 128,        /* read at once */
    ASYNC_PAGE_BYTES = 1024 * 1024, /* of payloads */
    ASYNC_EVENT_BYTES = 512,        /* what an event costs in memory beside its payload */
    ASYNC_READY_MAX = 1024,         /* events of one function in memory */
    ASYNC_LONG_STEP_MS =
        100, /* long pauses end at multiples of this: thousands of paused functions cost few turns */
    ASYNC_ACTIVE_MAX =
        4 * ASYNC_RUNNING_MAX, /* begun, or over and not yet deleted: a slow disk slows the function */
};

enum event_state {
    EVENT_ACCEPTING, /* its row is being inserted; in no list                  -> READY, RELEASING, freed (refused; or on disk alone) */
    EVENT_READY, /* lane->ready                                            -> MARKING, RUNNING, RELEASING, DELETING, freed */
    EVENT_MARKING,   /* lane->active; the attempt is being written             -> RUNNING, RELEASING, freed */
    EVENT_RUNNING,   /* lane->active; the engine has it, and its payload       -> DELETING, RELEASING, freed */
    EVENT_RELEASING, /* lane->active; the attempt is being taken back          -> freed: on disk alone */
    EVENT_DELETING,  /* lane->active; it is over, its row is being deleted     -> freed, OVER */
    EVENT_OVER,      /* lane->active; deleting failed, and is tried again      -> DELETING */
};

struct event {
    struct event *prev, *next;
    struct lane *lane;
    enum event_state state;
    int64_t id, received_ms;
    int64_t attempts; /* as the row has it */
    bool counted;     /* the row counts the run to come already */
    bool shared;      /* begun: takes part of what all functions without a reservation share */
    uint64_t epoch;   /* begun: lane->epoch then */
    struct buffer texts;
    struct slice qualifier, request_id, trace, client_context; /* into `texts` */
    struct buffer payload;
    size_t payload_bytes; /* the engine may have it meanwhile */
    async_accepted_fn *accepted;
    void *arg;
    struct error *refusal; /* in queue->refused */
};

struct lane {
    struct async_queue *queue;
    char *name;
    UT_hash_handle hh;
    struct event *ready, *active;
    size_t ready_count, active_count;
    size_t begun;              /* of the active: MARKING, RUNNING */
    size_t over;               /* of the active: OVER */
    size_t accepting, counted; /* puts under way; those of them whose row counts a run */
    size_t queued;
    uint64_t
        queued_bytes; /* of payloads; those from before this start are not in it, so what they give back stops at 0 */
    int64_t after, last;
    int64_t forgotten; /* events up to this one were of a function that is gone */
    uint64_t generation, dropped;
    struct {
        bool under_way;
        uint64_t generation;
        int64_t from, last, seen; /* asked from behind, up to; the last row given */
        size_t max, bytes_max, count, bytes;
    } page;
    enum { LANE_NOWHERE, LANE_TURN, LANE_HELD } where;
    struct lane *prev, *next; /* queue->turn or queue->held */
    bool paused;              /* queue->paused, until due_ms of the loop's time */
    bool probing; /* after a pause one was begun: if it is not throttled for a moment, the others follow */
    uint64_t due_ms, epoch;
    uint32_t pause_ms; /* the last one's length; 0: not throttled of late */
    struct lane *pause_prev, *pause_next;
};

struct async_queue {
    uv_loop_t *loop;
    struct engine *engine;
    struct store *store;
    uv_timer_t timer; /* the first pause that ends; at once for refused puts and at the start */
    struct lane *lanes, *turn, *held, *paused;
    struct event *refused;
    int64_t last_id;
    size_t shared, counted; /* begun without a reservation; about to be */
    size_t window_bytes, outstanding;
    size_t queued, running;
    uint64_t queued_bytes_max; /* a lane */
    uint64_t armed_ms;         /* the timer's; UINT64_MAX: not running. It may come too early, never too late */
    uint64_t accepted, finished, throttled, dropped;
    struct {                         /* away with the rows of deleted functions, a few at a time */
        bool under_way, left, again; /* again: asked for meanwhile */
        uint64_t due_ms;             /* of the loop's time; 0: not waiting for one */
    } sweep;
    bool stopping, closed, timer_closed;
};

/* async_queue.c */
void event_free(struct event *event);
struct event *lane_take_ready(struct lane *lane);
void lane_read(struct lane *lane); /* asks for the next page */
/* Everything behind `id` is on disk alone from now on. */
void lane_rewind(struct lane *lane, int64_t id);
void lane_forget_active(struct event *event); /* out of lane->active */
void lane_maybe_free(struct lane *lane);
void lane_give_back(struct lane *lane, size_t bytes); /* an event's payload is no longer queued */
void queue_maybe_free(struct async_queue *queue);
void queue_arm(struct async_queue *queue, uint64_t due_ms); /* the timer comes at that time at the latest */

/* async_run.c */
uint32_t lane_slots(const struct lane *lane, bool *shared); /* how many may run at once, now */
uint32_t queue_shared_max(const struct async_queue *queue);
void lane_wake(
    struct lane *lane); /* something changed: lets run what may; the lane may be freed then, so this comes last */
void lane_pause(struct lane *lane, uint64_t epoch); /* unless it was paused since */
void lane_unpause(struct lane *lane);
void lane_pause_over(struct lane *lane);
/* It has not run (`uncount`: nor was it begun) and goes back to the disk; not in lane->ready any more. */
void event_release(struct event *event, bool uncount);
