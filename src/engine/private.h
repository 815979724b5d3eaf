/* engine/private: what the engine's own files share. Nobody else includes it.
 *
 *   registry.c   functions by name, their versions, loading;  changes.c  create, update, delete (package, then row, then memory)
 *   versions.c   publishing, versions, tags, which version a qualifier means
 *   settings.c   aliases, policies, URLs;  concurrency.c  who counts as whose call, reservations  (registry.h: what these five share)
 *   dispatch.c   pools, invocations, limits, which instance gets what, retiring
 *   instance_start.c  an instance's ends, key and environment, and the word to the keeper
 *   instance.c   one sandboxed process from then on: channel, output, end;  instance_keeper.c  what the keeper says of it
 *   runtime_api.c  what `provided` runtimes have for a channel
 *   report.c     log lines, error payloads: texts alone;  environment.c  an instance's environment
 *   engine.c     open, drain, free, the keeper's events
 *
 * Invariants:
 *   1. An instance in INSTANCE_BUSY has exactly one invocation, and that invocation names it; in no other state has it one.
 *   2. An invocation is in its pool's waiting list, or in an instance, or finished; `done` is called once when it leaves both.
 *   3. engine->in_flight counts invocations that are not finished; engine->instance_count the instances that are not freed.
 *   4. A pool lives while it is its function's current one, or has an instance or a waiter. It holds its function and its package.
 *   5. The in_flight of all tallies together are the engine's less those that were refused; unreserved_in_flight are those of tallies without a
 *      reservation.
 *   6. An instance of a `provided` runtime has no channel: runtime_api.c says its frames, always in order. What its invocation points to is lent
 *      to the endpoint until the frame of its end or the endpoint's; an invocation that ends before is followed by the latter in the same step.
 *   7. Callbacks to callers are the last thing a step does: they may call back into the engine. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/fd.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/runtime_api.h"

enum {
    ENGINE_STARTS_A_CORE = 2,  /* instances that boot at once; a boot is all CPU, more only make each slower */
    ENGINE_START_LINE_MS = 50, /* a call that prints nothing has its START in the log after this */
    ENGINE_WATCH_MS = 10,      /* between looks at an instance that has just become idle */
    ENGINE_WATCH_LOOKS = 16, /* looks in which it must stay quiet: longer than a period of its CPU quota (100 ms) */
    ENGINE_NOISY_TIMES = 3,  /* caught working so often: from then on it is frozen as soon as it has answered */
    ENGINE_WATCH_CPU_US = 100, /* more CPU than this between two looks is work: an instance that waits uses none */
    ENGINE_FREEZE_IDLE_MS = 1000, /* whatever is idle for that long is frozen by its cgroup */
    ENGINE_SETTLE_MS =
        50, /* a call waits so long for a `provided` instance that has answered and will soon ask for the next */
    ENGINE_EXIT_GRACE_MS = 200,    /* from the channel's end to the process's: then it is killed */
    ENGINE_END_MS = 5000,          /* draining: instances must be gone by then */
    ENGINE_DRAIN_LOOK_MS = 10,     /* while instances end: the keeper's events do not say "the last" */
    ENGINE_START_FAILURES_MAX = 3, /* sandboxes that cannot be made in a row before a waiter is told */
    ENGINE_RETRY_MS = 5,           /* until the keeper, whose socket was full, is asked again */
    LOG_EVENT_BYTES = 100,         /* what an event costs beside its text: an empty line is not for nothing */
    LOG_STREAM_BYTES = 160,
    ENGINE_QUALIFIER_BYTES_MAX = 128, /* AWS Lambda: of an alias's name */
};

enum instance_state {
    INSTANCE_STARTING, /* the keeper was asked; no READY yet; the init deadline runs       -> IDLE, BUSY, STOPPING */
    INSTANCE_IDLE,     /* in pool->idle and engine->idle; no invocation                    -> BUSY, STOPPING */
    INSTANCE_BUSY, /* instance->invocation is set; its deadline runs                   -> IDLE, SETTLING, STOPPING */
    INSTANCE_SETTLING, /* `provided`: answered, has not asked for the next call yet; that deadline runs on -> IDLE, BUSY, STOPPING */
    INSTANCE_STOPPING, /* in no list; the keeper was told to kill it, or it ends by itself -> freed after EXITED */
    INSTANCE_STATE_COUNT
};

/* The calls of all versions of one function. It outlives the function while calls run: whoever points to it holds it. */
struct tally {
    unsigned references;
    size_t in_flight;
    int64_t reserved; /* -1: none */
    int64_t
        claimed; /* what the account keeps free for it: `reserved`, or more while a larger reservation is being written */
    bool changing; /* a change of its reservation is under way */
};

struct invocation {
    struct invocation *prev, *next; /* pool->waiting, or engine->refused */
    struct engine *engine;
    struct pool *pool;         /* NULL once refused */
    struct instance *instance; /* NULL while it waits */
    char request_id[UUID_TEXT_BYTES];
    struct tally *tally;          /* that counts it, held; NULL: refused or answered */
    char *trace, *client_context; /* owned; NULL: none */
    char *invoked_arn;            /* with the qualifier that was asked for; NULL: the function's */
    struct buffer payload;
    uint32_t sequence;
    bool log_tail;
    bool cold;               /* first on its instance: REPORT tells the init time */
    int64_t started_wall_ms; /* of its START line */
    bool start_written;
    uint64_t started_us;   /* handed to its instance */
    struct buffer tail;    /* the end of its log, for X-Amz-Log-Result; bounded by trimming */
    struct error *refusal; /* set when it is in engine->refused */
    const char *reason;
    invocation_done_fn *done; /* NULL: abandoned */
    void *arg;
};

struct pool {
    struct engine *engine;
    struct function *function;                 /* held; its packages too */
    struct tally *tally;                       /* held */
    const struct runtime_id *actual;           /* the installed runtime that runs it */
    struct instance *idle;                     /* most recently used first */
    struct invocation *waiting;                /* oldest first */
    size_t waiting_count, starting, instances; /* starting: those that will soon take a waiter */
    unsigned start_failures;
    bool in_start_queue;
    struct pool *prev, *next; /* engine->start_queue */
    bool retired;             /* replaced or deleted: serves who waits, starts nothing for others */
};

struct output { /* stdout and stderr, one pipe */
    uv_pipe_t pipe;
    bool open;
    struct buffer line; /* an unfinished line */
};

struct instance {
    struct engine *engine;
    struct pool *pool;
    enum instance_state state;
    uint64_t id;
    UT_hash_handle hh;                      /* engine->instances */
    struct instance *prev, *next;           /* pool->idle */
    struct instance *idle_prev, *idle_next; /* engine->idle: longest idle first */
    struct invocation *invocation;
    uv_pipe_t channel;
    uv_timer_t deadline;
    struct output out;
    size_t log_bytes; /* its output since its call (or its start) began, with what each event costs us */
    bool log_cut;     /* that passed ENGINE_LOG_BYTES_A_CALL_MAX: the rest is dropped unread */
    unsigned handles; /* uv handles that are not closed yet */
    bool channel_open, ready, keeper_started, exited, killed;
    bool kill_owed, ready_owed; /* to be sent to the keeper */
    bool unsent;                /* in engine->unsent: its socket was full */
    bool nonsense;              /* killed for what it sent */
    bool served;                /* has answered once: the next call is warm */
    bool frozen, stopped;       /* by its cgroup; by signals, where there is no freezer */
    unsigned noisy;             /* how often it was caught working between calls */
    uint32_t sequence, init_us;
    uint64_t start_us, idle_since_us, watch_cpu_us;
    unsigned watch_looks;
    uint32_t tasks_at_ready;
    struct runtime_endpoint
        *endpoint;          /* `provided`: what it speaks to instead of a channel; from STARTED to STOPPING */
    uint64_t settle_due_ms; /* SETTLING: the loop's time when its deadline passes */
    bool settle_counts;     /* SETTLING, not for long: counted in pool->starting, for it will soon take a waiter */
    bool settle_works;      /* SETTLING, for longer: counted in pool->tally, as Lambda counts it */
    struct keeper_meters meters;
    int proc_status;            /* /proc/PID/status where there is no memory meter; -1 */
    void *api;                  /* the server's listener in its sandbox */
    struct principal principal; /* a copy; its key is removed at the end */
    bool has_key;
    char stream[LOG_STREAM_BYTES];
    struct buffer in;               /* bytes of frames that are not complete */
    struct buffer head;             /* of the INVOKE being written */
    struct buffer init_log;         /* what it printed before its first call; bounded like a tail */
    struct keeper_event exit_event; /* valid once exited */
};

struct setting_entry {
    struct setting setting; /* owned */
    struct function_entry *function;
    UT_hash_handle hh; /* engine->urls, when it is one */
};

struct function_entry {
    char *name;
    struct function
        *latest; /* held, and its packages; NULL when its row could not be read: then it is in no list */
    struct function **versions;      /* held too; ascending by number */
    struct setting_entry **settings; /* by kind, then qualifier */
    size_t version_count, version_cap, setting_count, setting_cap;
    size_t settings_pending; /* puts under way: each may add one */
    struct tally *tally;     /* held */
    bool changing;           /* an update, publication or delete is under way */
    bool deleting;
    UT_hash_handle hh;
};

struct engine {
    uv_loop_t *loop;
    struct engine_config config;
    struct layers *layers;
    struct function_entry *functions;
    struct function_entry **sorted; /* those with a $LATEST, by name */
    struct setting_entry *urls;     /* by the URL's id */
    size_t function_count, function_cap;
    uint64_t code_bytes; /* of all $LATEST and versions */
    size_t unreserved_in_flight;
    uint64_t reserved, claimed; /* sums of the functions' */
    uint64_t random_state;      /* draws between an alias's versions */
    struct instance *instances; /* by the keeper's id */
    struct instance *idle;
    struct pool *start_queue;
    size_t starting, idle_count, stopping, in_flight, instance_count, waiting_count;
    size_t refused_count; /* of those in flight: they only wait to be told */
    size_t starts_max, instances_max;
    uint32_t limit;
    uint64_t next_id;
    uint64_t invocations, cold_starts, throttles;
    uv_poll_t keeper_poll;
    bool keeper_open;
    uv_timer_t idle_timer, watch_timer, drain_timer, refuse_timer, start_timer, retry_timer;
    struct invocation *refused;
    unsigned open_handles;
    struct runtime_api *runtime_api;
    struct instance **unsent; /* those of whom the keeper's socket did not take something */
    size_t unsent_count, unsent_cap;
    uint64_t drain_due_ms; /* the loop's time */
    bool draining, cutting, ended;
    bool closed; /* engine_free was called: the rooms below are not to be touched any more */
    void (*drained)(void *arg);
    void *drained_arg;
    char output_bytes[16 * 1024]; /* what one read of an instance's pipe fills */
    size_t changes;               /* create/update/delete under way */
};

/* registry.c */
MUST_CHECK enum outcome registry_load(struct engine *engine, struct error *err);
void registry_free(struct engine *engine);
struct function_entry *registry_find(const struct engine *engine, struct slice name);
bool registry_serves(const struct engine *engine,
                     const struct function *function); /* is it one of the present ones? */
/* The packages of its code and of its layers. */
void function_hold_packages(struct engine *engine, const struct function *f);
void function_release_packages(struct engine *engine, const struct function *f);

/* concurrency.c */
struct tally *tally_new(void);
struct tally *tally_hold(struct tally *tally);
void tally_release(struct tally *tally);
struct tally *tally_of(const struct engine *engine, const struct function *function); /* held for the caller */
/* May one more call of it run?  err: ERROR_THROTTLED, with AWS's reason */
MUST_CHECK enum outcome tally_admit(struct engine *engine, const struct tally *tally, const char **reason,
                                    struct error *err);
void tally_enter(struct invocation *invocation, struct tally *tally);
void tally_leave(struct invocation *invocation); /* once; nothing when it is not counted */
/* What is no call but works as one: an instance that has answered and does not ask for more. */
void tally_take_place(struct engine *engine, struct tally *tally);
void tally_give_place(struct engine *engine, struct tally *tally);
void tally_set_reserved(struct engine *engine, struct tally *tally, int64_t reserved); /* -1: none */

/* dispatch.c */
struct pool *pool_of(struct engine *engine, struct function *function);
void pool_move(struct function *from, struct function *to); /* which differ in nothing that an instance sees */
void pool_retire(
    struct function *function); /* a replaced or deleted function: idle instances go, the rest drains */
void pool_maybe_free(struct pool *pool);
void dispatch_instance_ready(
    struct instance *instance);              /* READY, or an answer is in: gives it work, keeps or stops it */
void dispatch_start_over(struct pool *pool); /* one that was starting is no longer: perhaps another must */
void dispatch_fail_oldest(struct pool *pool, struct slice error_type, struct slice error_json,
                          struct instance *instance);
void dispatch_refuse_oldest(struct pool *pool, const struct error *err);
void dispatch_idle_remove(struct instance *instance);
void dispatch_pump(struct engine *engine); /* starts what may be started */
void invocation_answer(struct invocation *invocation, const struct invocation_result *result); /* calls done */
void invocation_free(struct invocation *invocation);
void invocation_finish(struct invocation *invocation, const struct invocation_result *result); /* both */
struct slice invocation_tail(const struct invocation *invocation);                             /* its last 4 KB */
void invocation_refuse(struct invocation *invocation, const struct error *err, const char *reason);
void dispatch_answer_refused(struct engine *engine);
void dispatch_timers_init(struct engine *engine);
void dispatch_start_lines_later(struct engine *engine); /* START of calls that are still silent then */

/* engine.c */
void engine_retry(
    struct engine *engine); /* the keeper is behind: asks again in a moment, whether it speaks or not */
void engine_maybe_free(struct engine *engine); /* once closed and nothing refers to it any more */
void engine_drain_step(uv_timer_t *timer);     /* looks whether the next step of the drain is due */

/* instance_start.c, instance.c, instance_keeper.c */
MUST_CHECK enum outcome instance_start(struct pool *pool, struct error *err);
void instance_listen(struct instance *instance, int *channel, int *out); /* taken: our ends */
MUST_CHECK enum outcome instance_open_endpoint(struct instance *instance, int *listener, struct error *err);
void instance_begin_serving(
    struct instance *instance); /* both have spoken, the keeper (STARTED) and the runtime (READY) */
void instance_take_frames(struct instance *instance); /* of what lies in instance->in */
void instance_drain_output(struct instance *instance);
void instance_fail_exited(struct instance *instance); /* its call, for instance->exit_event */
void instance_close_handle(struct instance *instance, uv_handle_t *handle, bool *open);
void instance_forget_key(struct instance *instance);
/* false when the instance turned out to be dead: it is stopped, and the invocation, of which it has seen nothing, is the
 * caller's again. */
MUST_CHECK bool instance_invoke(struct instance *instance, struct invocation *invocation);
void instance_kill(struct instance *instance); /* any state -> STOPPING; its invocation must have been finished */
void instance_event(struct instance *instance, struct keeper_event *event);
MUST_CHECK bool instance_tell_keeper(struct instance *instance); /* what is owed; false: it is behind */
bool instance_key_ends(const struct instance *instance); /* before a call that began now would have to be over */
void instance_abandon(struct instance *instance); /* the engine goes, and the keeper has not ended it in time */
void instance_thaw(struct instance *instance);
void instance_freeze(struct instance *instance);
void instance_cut(struct instance *instance,
                  const struct error *err); /* shutdown: its call is refused, it is killed */

/* report.c */
void report_log(struct instance *instance, struct invocation *invocation,
                struct slice text); /* one event: file and tail */
void report_start(struct instance *instance, struct invocation *invocation);
/* END and REPORT. status and error_type NULL on success. */
void report_end(struct instance *instance, struct invocation *invocation, uint64_t duration_us, const char *status,
                const char *error_type);
void report_output(struct instance *instance, struct output *output, struct slice bytes);
void report_output_flush(struct instance *instance, struct output *output);
/* {"errorType":...,"errorMessage":"RequestId: ... Error: ..."} */
void report_error_json(struct buffer *out, const char *type, const char *request_id, const char *message);
void report_exit_text(int wait_status, char out[128]); /* "Runtime exited with error: exit status 1" */

/* environment.c */
void environment_block(const struct instance *instance, struct buffer *out);
