/* unit/engine/world: the engine on a real loop between fakes that the test holds. The test is the keeper (it gets what would
 * be sent to it, and says what happened), the sandbox (the other ends of the channel and the pipes), the store, the packages,
 * the keys and the log. Nothing waits for a time: world_run_until turns the loop until something is true, and after each turn
 * looks whether the invariants of engine/private.h hold. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/private.h"
#include "store/functions.h"
#include "store/settings.h"

enum {
    WORLD_SECONDS_MAX = 60, /* a test that hangs is ended */
    WORLD_PULSE_MS = 2,
    WORLD_SANDBOXES_MAX = 256,
    WORLD_CALLS_MAX = 256,
    WORLD_EVENTS_MAX = 512,
    WORLD_PACKAGES_MAX = 64,
    WORLD_KEYS_MAX = 256,
};

struct sandbox { /* what keeper_send_start was given, and what was asked for it since */
    uint64_t id;
    int channel, out, err; /* the sandbox's ends; -1 once it has ended */
    char digest[KEEPER_DIGEST_BYTES];
    char *environment;
    size_t kills, readies;
    bool started, ended, stopped;
    bool provided;
    int runtime_port; /* `provided`: where its Runtime API is, once it has started */
    struct buffer in; /* what came on its channel */
    /* the INVOKE that was taken last */
    uint32_t sequence;
    uint64_t deadline_ms;
    struct buffer payload, arn, trace, context;
};

struct call {                      /* an invocation, and how it ended */
    struct invocation *invocation; /* NULL once answered */
    size_t answers;
    size_t order; /* 1: the first of all that was answered */
    enum invocation_status status;
    enum error_kind kind;
    char code[ERROR_CODE_BYTES], reason[64], version[16];
    struct buffer payload, tail;
    bool abandoned;
    void (*then)(struct call *call); /* what its caller does in its callback */
    struct world *world;
};

struct saved { /* how a create, update or delete ended */
    size_t answers;
    enum outcome outcome;
    enum error_kind kind;
    char code[ERROR_CODE_BYTES];
};

struct world {
    uv_loop_t loop;
    uv_timer_t
        pulse; /* UV_RUN_ONCE runs timers, then sleeps: this wakes it, so that what they changed is looked at */
    struct engine_config config;
    struct engine *engine;
    struct keeper_link link;
    struct keeper_config keeper_config;
    size_t descriptors_before;

    struct sandbox sandboxes[WORLD_SANDBOXES_MAX];
    size_t sandbox_count;
    struct keeper_event events[WORLD_EVENTS_MAX];
    size_t event_first, event_count;
    size_t starts_behind, starts_broken, kills_behind, readies_behind,
        stops_behind; /* so many of the next ones fail */
    bool kills_wait;  /* a killed sandbox does not end by itself: the test says world_exits */
    size_t meters_open;

    struct call calls[WORLD_CALLS_MAX];
    size_t call_count, answered;

    struct package {
        char digest[65];
        size_t references;
    } packages[WORLD_PACKAGES_MAX];
    size_t package_count, package_serial;
    bool packages_wait, rows_wait; /* they answer when the test says world_packages_answer, world_rows_answer */
    bool packages_closed;
    bool rows_loaded;          /* at start: who holds what is the test's own matter then */
    enum error_kind row_error; /* the next row's answer */
    uint64_t version_serial;
    uint64_t pointed_to[2]; /* the versions of the setting that was written last */
    struct job *jobs;
    struct principal keys[WORLD_KEYS_MAX];
    size_t key_count;
    int64_t key_life_ms; /* 0: as long as the engine asks for */
    size_t api_open;
    struct buffer log;
    bool drained, keeper_lost;
    bool provided; /* functions that are made have a runtime of their own */
};

/* What the next world's engine finds when it opens, up to a row without a name; NULL: nothing. */
extern const struct function_row *world_function_rows;
extern const struct setting_row *world_setting_rows;
int world_setup(
    void **state); /* an engine with room for 100 calls and instances, a core of two: four starts at once */
int world_teardown(void **state); /* drains, frees, and asserts that nothing is left */

#define world_run_until(world, condition)                                                                          \
    do {                                                                                                           \
        while (!(condition))                                                                                       \
            world_turn_once(world, UV_RUN_ONCE);                                                                   \
    } while (0)
void world_turn_once(struct world *world, uv_run_mode mode);
void world_settle(struct world *world); /* handles all that is there now, waits for nothing */
void world_check(struct world *world);  /* the invariants */
void world_drain(struct world *world, uint32_t grace_ms);
void world_end(struct world *world); /* what teardown asserts; for a test that has drained by itself */

/* ---- functions ---- */
struct function *world_function(struct world *world, const char *name); /* created, with a package of its own */
struct function *world_function_of(struct world *world, const char *name, uint32_t timeout_s);
struct saved world_update_code(struct world *world, const char *name); /* until it is answered */
struct saved world_delete(struct world *world, const char *name);
void world_begin_update_code(struct world *world, const char *name, struct saved *saved); /* not waiting */
void world_begin_update_configuration(struct world *world, const char *name, struct saved *saved);
void world_begin_create(struct world *world, const char *name, uint32_t timeout_s, struct saved *saved);
void world_packages_answer(struct world *world);
void world_rows_answer(struct world *world);
size_t world_package_references(const struct world *world, const char *digest);

/* ---- calls ---- */
struct call *world_invoke(struct world *world, struct function *function, const char *payload);
struct call *world_invoke_with(struct world *world, const struct invocation_input *input);
void world_wait(struct world *world, struct call *call); /* until it is answered */
void world_abandon(struct call *call);
void world_call_ended(struct call *call, enum invocation_status status, const char *payload);
void world_call_failed(struct call *call, const char *error_type); /* FUNCTION_ERROR whose JSON names that type */
void world_call_refused(struct call *call, enum error_kind kind);

/* ---- being the keeper and the sandbox ---- */
struct sandbox *world_sandbox(struct world *world, size_t number); /* waits until so many have been asked for */
struct instance *world_instance(struct world *world, const struct sandbox *sandbox); /* NULL once it is freed */
void world_starts(struct world *world, struct sandbox *sandbox);                     /* STARTED */
void world_entry_refused(struct world *world, struct sandbox *sandbox, const char *message);
void world_start_fails(struct world *world, struct sandbox *sandbox, const char *message);
void world_exits(struct world *world, struct sandbox *sandbox, int wait_status, bool out_of_memory);
void world_gone(struct world *world, struct sandbox *sandbox); /* waits until the engine has freed it */
void world_frame(struct sandbox *sandbox, enum frame_type type, uint32_t sequence, struct slice body);
void world_frame_bytewise(struct world *world, struct sandbox *sandbox, enum frame_type type, uint32_t sequence,
                          struct slice body);
void world_frame_error(struct sandbox *sandbox, enum frame_type type, uint32_t sequence, const char *error_type,
                       const char *json);
void world_send(struct sandbox *sandbox, struct slice bytes);
void world_ready(struct sandbox *sandbox);
void world_boots(struct world *world, struct sandbox *sandbox);      /* STARTED and READY */
void world_takes(struct world *world, struct sandbox *sandbox);      /* waits for an INVOKE */
bool world_has_invoke(struct world *world, struct sandbox *sandbox); /* a whole one is there now */
void world_answers(struct sandbox *sandbox, const char *payload);    /* DONE to the INVOKE that was taken */
void world_prints(struct sandbox *sandbox, const char *text);
/* A whole cold call: the instance is idle afterwards. */
struct sandbox *world_warm(struct world *world, struct function *function);

/* ---- between world.c and world_fakes.c ---- */
extern struct world *the_world; /* the fakes have no argument of ours */
extern const struct runtime_id the_runtime, the_provided;
void world_says(struct world *world, const struct keeper_event *event);
void *world_api_open(int *fd, const struct principal *principal, void *arg);
void world_api_close(void *handle, void *arg);
void world_keeper_lost(const struct error *err, void *arg);
