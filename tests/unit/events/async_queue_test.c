/* Asynchronous invocations over the real store: what is accepted is kept, run in order, and run again when it was not run to its end. The
 * engine is the test's: it notes what it is asked to run, and answers when it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "events/async_queue.h"
#include "store/async_events.h"
#include "store/functions.h"

enum { CALLS_MAX = 4096, FUNCTIONS_MAX = 4 };

struct run {
    char function[32], qualifier[32], payload[32], request_id[40];
    size_t payload_len;
    invocation_done_fn *done; /* NULL: answered */
    void *arg;
};

struct engine {
    struct function functions[FUNCTIONS_MAX];
    const char *gone; /* a function that is not there */
    int64_t reserved[FUNCTIONS_MAX];
    uint32_t unreserved;
    size_t function_count;
    struct run runs[CALLS_MAX];
    size_t run_count, most_at_once, at_once;
};

struct world {
    uv_loop_t loop;
    char path[64];
    int dir;
    struct store *store;
    struct async_queue *queue;
    struct engine engine;
    uint64_t queued_bytes_max; /* 0: as it is by itself */
    size_t accepted, refused;
    enum error_kind kind;
    size_t puts;
};

/* ---- the engine ---- */

static size_t index_of(const struct engine *engine, struct slice name)
{
    for (size_t i = 0; i < engine->function_count; i++)
        if (slice_is(name, engine->functions[i].name))
            return i;
    fail_msg("no function %.*s", SLICE_PRINT(name));
    return 0;
}

struct function *engine_route(struct engine *engine, struct slice name, struct slice qualifier)
{
    if ((engine->gone != NULL && slice_is(name, engine->gone)) || slice_is(qualifier, "gone"))
        return NULL;
    return &engine->functions[index_of(engine, name)];
}

int64_t engine_reserved(const struct engine *engine, struct slice name)
{
    return engine->reserved[index_of(engine, name)];
}

uint32_t engine_unreserved(const struct engine *engine)
{
    return engine->unreserved;
}

struct invocation *engine_invoke(struct engine *engine, const struct invocation_input *input,
                                 invocation_done_fn *done, void *arg)
{
    assert_true(engine->run_count < CALLS_MAX);
    struct run *run = &engine->runs[engine->run_count++];
    (void)snprintf(run->function, sizeof(run->function), "%s", input->function->name);
    (void)snprintf(run->qualifier, sizeof(run->qualifier), "%.*s", SLICE_PRINT(input->qualifier));
    (void)snprintf(run->payload, sizeof(run->payload), "%.*s",
                   SLICE_PRINT(slice_sub(buffer_slice(input->payload), 0, 31)));
    (void)snprintf(run->request_id, sizeof(run->request_id), "%.*s", SLICE_PRINT(input->request_id));
    run->payload_len = input->payload->len;
    buffer_drop(input->payload);
    run->done = done;
    run->arg = arg;
    if (++engine->at_once > engine->most_at_once)
        engine->most_at_once = engine->at_once;
    return NULL;
}

static void answer(struct world *world, size_t at, enum invocation_status status, enum error_kind kind)
{
    struct run *run = &world->engine.runs[at];
    struct error err = { .kind = kind };
    struct invocation_result result = { .status = status, .error = &err };
    invocation_done_fn *done = run->done;
    assert_non_null(done);
    run->done = NULL;
    world->engine.at_once--;
    done(&result, run->arg);
}

static void succeed(struct world *world, size_t at)
{
    answer(world, at, INVOCATION_SUCCEEDED, ERROR_NONE);
}

static void throttle(struct world *world, size_t at)
{
    answer(world, at, INVOCATION_REFUSED, ERROR_THROTTLED);
}

/* ---- the world ---- */

static void world_open(struct world *world)
{
    struct error err = { 0 };
    assert_int_equal(uv_loop_init(&world->loop), 0);
    if (store_open(&world->loop, world->dir, "hearth.db", &world->store, &err) != OK)
        fail_msg("%s", err.message);
    struct async_queue_config config = { .engine = &world->engine,
                                         .store = world->store,
                                         .queued_bytes_max = world->queued_bytes_max };
    if (async_queue_open(&world->loop, &config, &world->queue, &err) != OK)
        fail_msg("%s", err.message);
}

static void world_closed(void *arg)
{
    ((struct world *)arg)->store = NULL;
}

/* As the server does it: stop, drain (what runs is cut), free, close. */
static void world_close(struct world *world)
{
    async_queue_stop(world->queue);
    for (size_t i = 0; i < world->engine.run_count; i++)
        if (world->engine.runs[i].done != NULL)
            answer(world, i, INVOCATION_REFUSED, ERROR_UNAVAILABLE);
    async_queue_free(world->queue);
    world->queue = NULL;
    store_close(world->store, world_closed, world);
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    assert_null(world->store);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    world->engine.run_count = world->engine.at_once = 0;
}

static void world_restart(struct world *world)
{
    world_close(world);
    world_open(world);
}

static int set_up(void **state)
{
    static char names[][2] = { "a", "b", "c", "d" };
    struct world *world = memory_new(sizeof(*world));
    strcpy(world->path, "/tmp/hearth-queue-XXXXXX");
    assert_non_null(mkdtemp(world->path));
    world->dir = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    world->engine.unreserved = 1000;
    for (size_t i = 0; i < FUNCTIONS_MAX; i++) {
        world->engine.functions[i].name = names[i];
        world->engine.reserved[i] = -1;
    }
    world->engine.function_count = FUNCTIONS_MAX;
    world_open(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    world_close(world);
    fd_drop(&world->dir);
    assert_int_equal(dir_remove(AT_FDCWD, world->path, &err), OK);
    free(world);
    return 0;
}

static void on_accepted(enum outcome outcome, const struct error *err, void *arg)
{
    struct world *world = arg;
    world->accepted += outcome == OK;
    world->refused += outcome != OK;
    world->kind = outcome == OK ? ERROR_NONE : err->kind;
}

static void put_bytes(struct world *world, const char *function, const char *qualifier, struct buffer *payload)
{
    char id[40];
    (void)snprintf(id, sizeof(id), "%08zu-0000-4000-8000-000000000000", world->puts++);
    struct invocation_input input = {
        .function = &world->engine.functions[index_of(&world->engine, slice_of(function))],
        .qualifier = slice_of(qualifier),
        .request_id = slice_of(id),
        .trace = SLICE("Root=1-2-3"),
        .payload = payload,
    };
    async_queue_put(world->queue, &input, on_accepted, world);
    assert_int_equal(payload->len, 0);
}

static void put(struct world *world, const char *function, const char *text)
{
    struct buffer payload = BUFFER_EMPTY;
    buffer_append_text(&payload, text);
    put_bytes(world, function, "", &payload);
}

static void put_many(struct world *world, const char *function, int from, int count)
{
    for (int i = from; i < from + count; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "%d", i);
        put(world, function, text);
    }
}

/* Turns the loop until the condition holds; it must come to hold: a test that waits for ever is cut by its runner. */
#define WORLD_UNTIL(world, condition)                                                                              \
    while (!(condition))                                                                                           \
    (void)uv_run(&(world)->loop, UV_RUN_ONCE)

static struct async_queue_figures figures(const struct world *world)
{
    struct async_queue_figures out;
    async_queue_figures(world->queue, &out);
    return out;
}

/* What the table says, by a connection of our own. */
static int64_t asked(struct world *world, const char *sql)
{
    char file[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    (void)snprintf(file, sizeof(file), "%s/hearth.db", world->path);
    assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return value;
}

static int64_t rows(struct world *world)
{
    return asked(world, "SELECT count(*) FROM async_events");
}

/* Answers all that the engine is asked, until `total` runs were answered well. */
static void world_serve(struct world *world, size_t total)
{
    for (size_t served = 0; served < total;) {
        WORLD_UNTIL(world, world->engine.run_count > served);
        for (; served < world->engine.run_count; served++)
            succeed(world, served);
    }
}

/* ---- what is promised ---- */

static void an_event_is_on_disk_before_it_is_accepted_and_gone_once_it_has_run(void **state)
{
    struct world *world = *state;
    put(world, "a", "{\"n\":1}");
    assert_int_equal(world->accepted, 0); /* never from inside the call */
    WORLD_UNTIL(world, world->accepted == 1);
    assert_int_equal(rows(world), 1);
    WORLD_UNTIL(world, world->engine.run_count == 1);
    assert_string_equal(world->engine.runs[0].payload, "{\"n\":1}");
    assert_string_equal(world->engine.runs[0].request_id, "00000000-0000-4000-8000-000000000000");
    assert_int_equal(figures(world).running, 1);
    succeed(world, 0);
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(rows(world), 0);
    assert_int_equal(figures(world).finished, 1);
}

static void what_one_function_may_have_waiting_is_bounded_in_bytes_too(void **state)
{
    struct world *world = *state;
    world->queued_bytes_max = 10;
    world_restart(world);
    put(world, "a", "12345");
    put(world, "a", "67890");
    put(world, "a", "x"); /* not a byte more of this one, whoever sends it: it may be the function itself */
    put(world, "b", "1234567890");
    WORLD_UNTIL(world, world->accepted + world->refused == 4);
    assert_int_equal(world->accepted, 3);
    assert_int_equal(world->refused, 1);
    WORLD_UNTIL(world, world->engine.run_count == 3);
    for (size_t i = 0; i < 3; i++)
        succeed(world, i);
    WORLD_UNTIL(world, figures(world).queued == 0);
    put(world, "a", "1234567890"); /* what has run is given back, to the byte */
    WORLD_UNTIL(world, world->accepted == 4);
    WORLD_UNTIL(world, world->engine.run_count == 4);
    succeed(world, 3);
    WORLD_UNTIL(world, figures(world).queued == 0);
}

static void an_event_whose_function_fails_has_run(void **state)
{
    struct world *world = *state;
    put(world, "a", "1");
    WORLD_UNTIL(world, world->engine.run_count == 1);
    answer(world, 0, INVOCATION_FUNCTION_ERROR, ERROR_NONE);
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(rows(world), 0);
    assert_int_equal(world->engine.run_count, 1);
}

static void what_was_cut_runs_again_with_one_attempt_more(void **state)
{
    struct world *world = *state;
    put(world, "a", "\"cut\"");
    WORLD_UNTIL(world, world->engine.run_count == 1);
    assert_int_equal(asked(world, "SELECT attempts FROM async_events"), 1); /* written with the event itself */
    world_restart(world);
    WORLD_UNTIL(world, world->engine.run_count == 1);
    assert_string_equal(world->engine.runs[0].payload, "\"cut\"");
    assert_string_equal(world->engine.runs[0].request_id, "00000000-0000-4000-8000-000000000000");
    assert_int_equal(asked(world, "SELECT attempts FROM async_events"), 2);
    succeed(world, 0);
    WORLD_UNTIL(world, figures(world).queued == 0);
}

static void what_only_waited_has_no_attempt(void **state)
{
    struct world *world = *state;
    world->engine.reserved[0] = 1;
    put_many(world, "a", 0, 3);
    WORLD_UNTIL(world, world->accepted == 3);
    WORLD_UNTIL(world, world->engine.run_count == 1);
    assert_int_equal(asked(world, "SELECT sum(attempts) FROM async_events"), 1);
    world_restart(world);
    world->engine.reserved[0] = 1;
    for (size_t i = 0; i < 3; i++) {
        WORLD_UNTIL(world, world->engine.run_count == i + 1);
        assert_int_equal(asked(world, "SELECT attempts FROM async_events ORDER BY id LIMIT 1"), i == 0 ? 2 : 1);
        succeed(world, i);
        WORLD_UNTIL(world, figures(world).queued == 2 - i);
    }
}

static void events_of_one_function_begin_in_order_of_acceptance(void **state)
{
    struct world *world = *state;
    world->engine.reserved[0] = 7;
    put_many(world, "a", 0, 1000);
    world_serve(world, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(atoi(world->engine.runs[i].payload), i);
    assert_true(world->engine.most_at_once <= 7);
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(rows(world), 0);
}

static void no_more_run_at_once_than_the_bounds_allow(void **state)
{
    struct world *world = *state;
    world->engine.unreserved = 20;
    put_many(world, "a", 0, 50);
    WORLD_UNTIL(world, world->accepted == 50);
    WORLD_UNTIL(world, world->engine.run_count == 10); /* half of them for one function */
    put_many(world, "b", 0, 50);
    WORLD_UNTIL(world, world->accepted == 100);
    WORLD_UNTIL(world, world->engine.run_count == 18); /* a tenth stays for those who wait for an answer */
    world->engine.reserved[2] = 2;
    put_many(world, "c", 0, 5); /* has its own */
    WORLD_UNTIL(world, world->engine.run_count == 20);
    WORLD_UNTIL(world, world->accepted == 105);
    assert_int_equal(world->engine.most_at_once, 20);
    world_serve(world, 105);
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(world->engine.most_at_once, 20);
}

static void a_throttled_function_waits_and_holds_up_nobody_else(void **state)
{
    struct world *world = *state;
    put_many(world, "a", 0, 3);
    WORLD_UNTIL(world, world->engine.run_count == 3);
    for (size_t i = 0; i < 3; i++)
        throttle(world, i);
    put(world, "b", "\"free\"");
    WORLD_UNTIL(world, world->engine.run_count == 4);
    assert_string_equal(world->engine.runs[3].function, "b");
    succeed(world, 3);
    WORLD_UNTIL(world, asked(world, "SELECT sum(attempts) FROM async_events") == 0); /* not one has begun */
    WORLD_UNTIL(world, world->engine.run_count == 5); /* after the pause: one, to see whether the way is free */
    assert_string_equal(world->engine.runs[4].payload, "0");
    throttle(world, 4);
    WORLD_UNTIL(world, world->engine.run_count == 6);
    succeed(world, 5);
    WORLD_UNTIL(world, world->engine.run_count == 8);
    assert_string_equal(world->engine.runs[6].payload, "1");
    assert_string_equal(world->engine.runs[7].payload, "2");
    succeed(world, 6);
    succeed(world, 7);
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(figures(world).throttled, 4);
    assert_int_equal(rows(world), 0);
}

static void a_long_run_that_was_not_refused_lets_the_others_follow(void **state)
{
    struct world *world = *state;
    put_many(world, "a", 0, 5);
    WORLD_UNTIL(world, world->engine.run_count == 5);
    for (size_t i = 0; i < 5; i++)
        throttle(world, i);
    WORLD_UNTIL(world, world->engine.run_count == 10); /* the first of these has not answered yet */
    for (size_t i = 5; i < 10; i++)
        succeed(world, i);
    WORLD_UNTIL(world, figures(world).queued == 0);
}

static void a_function_whose_reservation_is_0_runs_nothing_until_it_changes(void **state)
{
    struct world *world = *state;
    world->engine.reserved[0] = 0;
    put_many(world, "a", 0, 3);
    put(world, "b", "1");
    WORLD_UNTIL(world, world->accepted == 4);
    WORLD_UNTIL(world, world->engine.run_count == 1);
    assert_string_equal(world->engine.runs[0].function, "b");
    assert_int_equal(asked(world, "SELECT sum(attempts) FROM async_events WHERE name = 'a'"), 0);
    world->engine.reserved[0] = 2;
    world_serve(world, 4);
    WORLD_UNTIL(world, figures(world).queued == 0);
}

static void an_event_whose_function_or_alias_is_gone_is_dropped(void **state)
{
    struct world *world = *state;
    struct buffer payload = BUFFER_EMPTY;
    buffer_append_text(&payload, "1");
    log_set_level(LOG_LEVEL_ERROR);
    put_bytes(world, "a", "gone", &payload);
    put_many(world, "a", 0, 2);
    WORLD_UNTIL(world, world->engine.run_count == 2);
    succeed(world, 0);
    succeed(world, 1);
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(figures(world).dropped, 1);
    world->engine.gone = "b";
    put_many(world, "b", 0, 300);
    WORLD_UNTIL(world, world->accepted == 303);
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(rows(world), 0);
    assert_int_equal(world->engine.run_count, 2);
    log_set_level(LOG_LEVEL_INFO);
}

static enum outcome delete_all_job(struct store_tx *tx, void *arg, struct error *err)
{
    struct store_stmt *stmt;
    (void)arg;
    TRY(store_sql(tx, "DELETE FROM async_events WHERE name = 'a'", &stmt, err));
    return store_run(stmt, NULL, err);
}

static void what_is_forgotten_does_not_run_and_what_comes_later_does(void **state)
{
    struct world *world = *state;
    struct error err;
    world->engine.reserved[0] = 2;
    put_many(world, "a", 0, 500);
    WORLD_UNTIL(world, world->accepted == 500);
    WORLD_UNTIL(world, world->engine.run_count == 2);
    assert_int_equal(store_now(world->store, delete_all_job, NULL, &err), OK);
    async_queue_forget(world->queue, SLICE("a"));
    assert_int_equal(figures(world).queued, 2);
    put(world, "a", "\"new\"");
    WORLD_UNTIL(world, world->accepted == 501);
    throttle(world, 0); /* of the old function: it is not found again */
    succeed(world, 1);
    WORLD_UNTIL(world, world->engine.run_count == 3);
    assert_string_equal(world->engine.runs[2].payload, "\"new\"");
    succeed(world, 2);
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(rows(world), 0);
}

static void on_function(enum outcome outcome, const struct error *err, void *arg)
{
    (void)err;
    assert_int_equal(outcome, OK);
    *(size_t *)arg += 1;
}

static void create_row(struct world *world, const char *name)
{
    struct function_row row = { slice_of(name), SLICE("$LATEST"), SLICE("r"), SLICE("d"),
                                SLICE("{}"),    SLICE_EMPTY,      0 };
    size_t done = 0;
    store_function_create(world->store, &row, on_function, &done);
    WORLD_UNTIL(world, done == 1);
}

static void delete_row(struct world *world, const char *name)
{
    size_t done = 0;
    store_function_delete(world->store, slice_of(name), on_function, &done);
    WORLD_UNTIL(world, done == 1);
}

static void a_long_backlog_of_a_deleted_function_is_swept_away_while_its_successor_runs(void **state)
{
    struct world *world = *state;
    create_row(world, "a");
    world->engine.reserved[0] = 0; /* nothing of it begins */
    put_many(world, "a", 0, 3000);
    WORLD_UNTIL(world, world->accepted == 3000);
    delete_row(world, "a");
    async_queue_forget(world->queue, SLICE("a"));
    create_row(world, "a");
    world->engine.reserved[0] = -1;
    put(world, "a", "\"new\"");
    WORLD_UNTIL(world, world->engine.run_count == 1);
    assert_string_equal(world->engine.runs[0].payload, "\"new\"");
    succeed(world, 0);
    WORLD_UNTIL(world, rows(world) == 0);
    assert_int_equal(world->engine.run_count, 1);
    assert_int_equal(figures(world).queued, 0);
}

static void what_a_restart_left_of_a_deleted_function_never_runs_nor_takes_new_events_with_it(void **state)
{
    struct world *world = *state;
    create_row(world, "a");
    world->engine.reserved[0] = 0;
    put_many(world, "a", 0, 3000);
    WORLD_UNTIL(world, world->accepted == 3000);
    delete_row(world, "a"); /* and the server dies before the queue hears of it */
    world_close(world);
    assert_true(rows(world) > 2000);
    world_open(world);
    create_row(world, "a");
    world->engine.reserved[0] = -1;
    assert_int_equal(figures(world).queued, 0);
    put(world, "a", "\"new\"");
    WORLD_UNTIL(world, world->engine.run_count == 1);
    assert_string_equal(world->engine.runs[0].payload, "\"new\"");
    WORLD_UNTIL(world, asked(world, "SELECT count(*) FROM async_leftovers") == 0);
    assert_int_equal(rows(world), 1);
    succeed(world, 0);
    WORLD_UNTIL(world, rows(world) == 0);
}

static void the_window_is_bounded_and_the_rest_is_read_back(void **state)
{
    struct world *world = *state;
    enum { EVENTS = 60, BYTES = 1000 * 1000 };
    world->engine.reserved[0] = world->engine.reserved[1] = 1;
    for (int i = 0; i < EVENTS; i++) {
        struct buffer payload = BUFFER_EMPTY;
        buffer_appendf(&payload, "%d ", i);
        buffer_reserve(&payload, BYTES);
        memset(payload.at + payload.len, ' ', BYTES - payload.len);
        payload.len = BYTES;
        put_bytes(world, "a", "", &payload);
    }
    WORLD_UNTIL(world, world->accepted == EVENTS);
    assert_true(figures(world).window_bytes <= ASYNC_WINDOW_BYTES_MAX);
    put(world, "b", "1"); /* the window is full of another's: it runs all the same */
    WORLD_UNTIL(world, world->engine.run_count == 2);
    assert_string_equal(world->engine.runs[1].function, "b");
    succeed(world, 1);
    for (size_t k = 0, at = 0; k < EVENTS; k++) {
        WORLD_UNTIL(world, world->engine.run_count > at);
        assert_int_equal(atoi(world->engine.runs[at].payload), k);
        assert_int_equal(world->engine.runs[at].payload_len, BYTES);
        assert_true(figures(world).window_bytes <= ASYNC_WINDOW_BYTES_MAX + BYTES);
        succeed(world, at);
        at = at == 0 ? 2 : at + 1;
    }
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(figures(world).window_bytes, 0);
}

static void a_long_backlog_survives_a_restart_whole(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < FUNCTIONS_MAX; i++)
        world->engine.reserved[i] = 0;
    put_many(world, "a", 0, 900);
    put_many(world, "b", 0, 300);
    WORLD_UNTIL(world, world->accepted == 1200);
    world_restart(world);
    assert_int_equal(figures(world).queued, 1200);
    world->engine.reserved[0] = 5;
    world->engine.reserved[1] = 50;
    world_serve(world, 1200);
    int next[2] = { 0, 0 };
    for (int i = 0; i < 1200; i++)
        assert_int_equal(atoi(world->engine.runs[i].payload), next[world->engine.runs[i].function[0] - 'a']++);
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(rows(world), 0);
}

static void once_stopped_it_accepts_and_keeps_but_begins_nothing(void **state)
{
    struct world *world = *state;
    async_queue_stop(world->queue);
    put(world, "a", "\"late\"");
    WORLD_UNTIL(world, world->accepted == 1);
    assert_int_equal(rows(world), 1);
    assert_int_equal(asked(world, "SELECT attempts FROM async_events"), 0);
    world_restart(world);
    WORLD_UNTIL(world, world->engine.run_count == 1);
    assert_string_equal(world->engine.runs[0].payload, "\"late\"");
}

static void a_qualifier_is_kept_and_resolved_when_it_runs(void **state)
{
    struct world *world = *state;
    struct buffer payload = BUFFER_EMPTY;
    world->engine.reserved[0] = 0;
    put_bytes(world, "a", "live", &payload);
    WORLD_UNTIL(world, world->accepted == 1);
    world->engine.reserved[0] = 1;
    WORLD_UNTIL(world, world->engine.run_count == 1);
    assert_string_equal(world->engine.runs[0].qualifier, "live");
    assert_int_equal(world->engine.runs[0].payload_len, 0);
}

static enum outcome break_deletes_job(struct store_tx *tx, void *arg, struct error *err)
{
    struct store_stmt *stmt;
    (void)arg;
    TRY(store_sql(tx, "CREATE TRIGGER no_delete BEFORE DELETE ON async_events BEGIN SELECT RAISE(ABORT, 'no'); END",
                  &stmt, err));
    return store_run(stmt, NULL, err);
}

static enum outcome mend_deletes_job(struct store_tx *tx, void *arg, struct error *err)
{
    struct store_stmt *stmt;
    (void)arg;
    TRY(store_sql(tx, "DROP TRIGGER no_delete", &stmt, err));
    return store_run(stmt, NULL, err);
}

static void what_cannot_be_deleted_does_not_run_twice_and_is_deleted_later(void **state)
{
    struct world *world = *state;
    struct error err;
    log_set_level(LOG_LEVEL_ERROR + 1);
    put_many(world, "a", 0, 3);
    WORLD_UNTIL(world, world->engine.run_count == 3);
    assert_int_equal(store_now(world->store, break_deletes_job, NULL, &err), OK);
    for (size_t i = 0; i < 3; i++)
        succeed(world, i);
    put(world, "a", "3"); /* accepted, and waits for the disk */
    WORLD_UNTIL(world, world->accepted == 4);
    assert_int_equal(rows(world), 4);
    assert_int_equal(store_now(world->store, mend_deletes_job, NULL, &err), OK);
    WORLD_UNTIL(world, world->engine.run_count == 4);
    assert_string_equal(world->engine.runs[3].payload, "3");
    succeed(world, 3);
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(rows(world), 0);
    log_set_level(LOG_LEVEL_INFO);
}

static uint32_t chance(uint32_t *seed) /* xorshift: the same lives each time */
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Puts, answers, throttles, cuts and restarts by chance: each event has run to its end once, and none twice in one life unless it was refused. */
static void lives_by_chance(void **state)
{
    struct world *world = *state;
    enum { EVENTS = 1500 };
    uint32_t seed = 7;
    static int ends[EVENTS];
    int put_count = 0, over = 0;
    memset(ends, 0, sizeof(ends));
    world->engine.unreserved = 12;
    world->engine.reserved[1] = 3;
    for (int step = 0; over < EVENTS; step++) {
        uint32_t draw = chance(&seed) % 100;
        if (draw < 30 && put_count < EVENTS) {
            static const char *const names[] = { "a", "b", "c", "d" };
            put_many(world, names[chance(&seed) % 4], put_count++, 1);
        } else if (draw < 60 || put_count == EVENTS) {
            (void)uv_run(&world->loop, step % 7 == 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
        }
        if (draw == 99 && chance(&seed) % 20 == 0)
            world_restart(world);
        for (size_t i = world->engine.run_count > 60 ? world->engine.run_count - 60 : 0;
             i < world->engine.run_count; i++) {
            if (world->engine.runs[i].done == NULL || chance(&seed) % 4 != 0)
                continue;
            if (chance(&seed) % 40 == 0) {
                throttle(world, i);
            } else {
                ends[atoi(world->engine.runs[i].payload)]++;
                over++;
                succeed(world, i);
            }
        }
        if (world->engine.run_count > CALLS_MAX - 200)
            world_restart(world);
    }
    WORLD_UNTIL(world, figures(world).queued == 0);
    assert_int_equal(world->accepted, EVENTS);
    assert_int_equal(rows(world), 0);
    for (int i = 0; i < EVENTS; i++)
        assert_int_equal(ends[i], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_is_on_disk_before_it_is_accepted_and_gone_once_it_has_run),
        TEST(an_event_whose_function_fails_has_run),
        TEST(what_was_cut_runs_again_with_one_attempt_more),
        TEST(what_only_waited_has_no_attempt),
        TEST(events_of_one_function_begin_in_order_of_acceptance),
        TEST(no_more_run_at_once_than_the_bounds_allow),
        TEST(a_throttled_function_waits_and_holds_up_nobody_else),
        TEST(what_one_function_may_have_waiting_is_bounded_in_bytes_too),
        TEST(a_long_run_that_was_not_refused_lets_the_others_follow),
        TEST(a_function_whose_reservation_is_0_runs_nothing_until_it_changes),
        TEST(an_event_whose_function_or_alias_is_gone_is_dropped),
        TEST(what_is_forgotten_does_not_run_and_what_comes_later_does),
        TEST(a_long_backlog_of_a_deleted_function_is_swept_away_while_its_successor_runs),
        TEST(what_a_restart_left_of_a_deleted_function_never_runs_nor_takes_new_events_with_it),
        TEST(the_window_is_bounded_and_the_rest_is_read_back),
        TEST(a_long_backlog_survives_a_restart_whole),
        TEST(once_stopped_it_accepts_and_keeps_but_begins_nothing),
        TEST(a_qualifier_is_kept_and_resolved_when_it_runs),
        TEST(what_cannot_be_deleted_does_not_run_twice_and_is_deleted_later),
        TEST(lives_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
