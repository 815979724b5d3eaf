/* Asynchronous invocations in the store: kept in order of acceptance, read back in pages, counted at start. */
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
#include "base/memory.h"
#include "store/async_events.h"
#include "store/functions.h"

struct world {
    uv_loop_t loop;
    char path[64];
    int dir;
    struct store *store;
    size_t answers, failures;
    enum error_kind kind;
    char seen[4096]; /* what a page or the summary gave, as text */
    struct buffer taken;
};

static void world_open(struct world *world)
{
    struct error err = { 0 };
    assert_int_equal(uv_loop_init(&world->loop), 0);
    if (store_open(&world->loop, world->dir, "hearth.db", &world->store, &err) != OK)
        fail_msg("%s", err.message);
}

static void world_closed(void *arg)
{
    ((struct world *)arg)->store = NULL;
}

static void world_close(struct world *world)
{
    store_close(world->store, world_closed, world);
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    assert_null(world->store);
    assert_int_equal(uv_loop_close(&world->loop), 0);
}

static int set_up(void **state)
{
    struct world *world = memory_new(sizeof(*world));
    strcpy(world->path, "/tmp/hearth-events-XXXXXX");
    assert_non_null(mkdtemp(world->path));
    world->dir = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
    buffer_drop(&world->taken);
    free(world);
    return 0;
}

static void on_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct world *world = arg;
    world->answers++;
    world->failures += outcome != OK;
    world->kind = outcome == OK ? ERROR_NONE : err->kind;
}

static void world_run(struct world *world)
{
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
}

static struct async_event_row row_of(int64_t id, const char *name, const char *payload)
{
    return (struct async_event_row){
        .id = id,
        .name = slice_of(name),
        .qualifier = SLICE("live"),
        .request_id = SLICE("11111111-2222-4333-8444-555555555555"),
        .trace = SLICE("Root=1-2-3"),
        .client_context = SLICE("{\"custom\":1}"),
        .payload = slice_of(payload),
        .received_ms = 1700000000000,
        .attempts = 1,
    };
}

/* Whole batches at a time; the rows are literals, so nothing ends before `done`. */
static void world_add(struct world *world, int64_t id, const char *name, const char *payload)
{
    struct async_event_row row = row_of(id, name, payload);
    store_async_event_add(world->store, &row, on_done, world);
}

static void each(const struct async_event_row *row, struct buffer *payload, void *arg)
{
    struct world *world = arg;
    size_t at = strlen(world->seen);
    assert_true(slice_equal(row->payload, buffer_slice(payload)));
    (void)snprintf(world->seen + at, sizeof(world->seen) - at, "%s%lld:%.*s", at > 0 ? " " : "", (long long)row->id,
                   SLICE_PRINT(slice_sub(row->payload, 0, 8)));
}

static const char *world_read(struct world *world, const char *name, int64_t after, int64_t last, size_t max,
                              size_t bytes_max)
{
    world->seen[0] = '\0';
    store_async_events_read(world->store, slice_of(name), after, last, max, bytes_max, each, on_done, world);
    world_run(world);
    assert_int_equal(world->failures, 0);
    return world->seen;
}

static enum outcome each_function(struct slice name, int64_t count, int64_t first, int64_t last, void *arg,
                                  struct error *err)
{
    struct world *world = arg;
    size_t at = strlen(world->seen);
    (void)err;
    (void)snprintf(world->seen + at, sizeof(world->seen) - at, "%s%.*s:%lld:%lld-%lld", at > 0 ? " " : "",
                   SLICE_PRINT(name), (long long)count, (long long)first, (long long)last);
    return OK;
}

static const char *world_summary(struct world *world)
{
    struct error err = { 0 };
    world->seen[0] = '\0';
    assert_int_equal(store_async_events_summary(world->store, each_function, world, &err), OK);
    return world->seen;
}

static void events_come_back_in_order_of_acceptance_and_of_one_function_alone(void **state)
{
    struct world *world = *state;
    world_add(world, 1, "a", "\"1\"");
    world_add(world, 2, "b", "\"2\"");
    world_add(world, 3, "a", "\"3\"");
    world_run(world);
    assert_int_equal(world->answers, 3);
    assert_string_equal(world_read(world, "a", 0, 100, 10, 1000), "1:\"1\" 3:\"3\"");
    assert_string_equal(world_read(world, "b", 0, 100, 10, 1000), "2:\"2\"");
    assert_string_equal(world_read(world, "c", 0, 100, 10, 1000), "");
}

static void a_page_begins_behind_one_id_ends_with_another_and_has_its_bounds(void **state)
{
    struct world *world = *state;
    for (int64_t id = 1; id <= 6; id++)
        world_add(world, id, "a", "12345");
    world_run(world);
    assert_string_equal(world_read(world, "a", 2, 5, 10, 1000), "3:12345 4:12345 5:12345");
    assert_string_equal(world_read(world, "a", 0, 100, 2, 1000), "1:12345 2:12345");
    assert_string_equal(world_read(world, "a", 0, 100, 10, 11), "1:12345 2:12345 3:12345");
    assert_string_equal(world_read(world, "a", 4, 100, 10, 1), "5:12345");
    assert_string_equal(world_read(world, "a", 6, 100, 10, 1), "");
}

static void take(const struct async_event_row *row, struct buffer *payload, void *arg)
{
    struct world *world = arg;
    assert_true(slice_is(row->name, "a"));
    assert_true(slice_is(row->qualifier, "live"));
    assert_true(slice_is(row->request_id, "11111111-2222-4333-8444-555555555555"));
    assert_true(slice_is(row->trace, "Root=1-2-3"));
    assert_true(slice_is(row->client_context, "{\"custom\":1}"));
    assert_int_equal(row->received_ms, 1700000000000);
    assert_int_equal(row->attempts, 2);
    world->taken = buffer_take(payload);
}

static void all_of_an_event_is_kept_and_its_payload_may_be_taken(void **state)
{
    struct world *world = *state;
    struct async_event_row row = row_of(1, "a", "");
    row.payload = SLICE("\"\0\xC3\xA9\"");
    store_async_event_add(world->store, &row, on_done, world);
    store_async_event_attempt(world->store, 1, 2, on_done, world);
    world_run(world);
    store_async_events_read(world->store, SLICE("a"), 0, 100, 10, 1000, take, on_done, world);
    world_run(world);
    assert_int_equal(world->answers, 3);
    assert_int_equal(world->failures, 0);
    assert_true(slice_equal(buffer_slice(&world->taken), SLICE("\"\0\xC3\xA9\"")));
}

static void what_has_run_goes_and_going_twice_is_no_failure(void **state)
{
    struct world *world = *state;
    world_add(world, 1, "a", "1");
    world_add(world, 2, "a", "2");
    store_async_event_delete(world->store, 1, on_done, world);
    store_async_event_delete(world->store, 1, on_done, world);
    world_run(world);
    assert_int_equal(world->failures, 0);
    assert_string_equal(world_read(world, "a", 0, 100, 10, 1000), "2:2");
}

static void an_id_is_given_once(void **state)
{
    struct world *world = *state;
    world_add(world, 1, "a", "1");
    world_add(world, 1, "b", "2");
    world_run(world);
    assert_int_equal(world->failures, 1);
    assert_string_equal(world_summary(world), "a:1:1-1");
}

static void the_next_start_finds_what_is_left_counted_by_function(void **state)
{
    struct world *world = *state;
    assert_string_equal(world_summary(world), "");
    for (int64_t id = 1; id <= 9; id++)
        world_add(world, id, id % 3 == 0 ? "b" : "a", "{}");
    store_async_event_delete(world->store, 1, on_done, world);
    world_run(world);
    world_close(world);
    world_open(world);
    assert_string_equal(world_summary(world), "a:5:2-8 b:3:3-9");
}

/* ---- deleted functions ---- */

static void world_create(struct world *world, const char *name)
{
    struct function_row row = { slice_of(name), SLICE("$LATEST"), SLICE("r"), SLICE("d"),
                                SLICE("{}"),    SLICE_EMPTY,      0 };
    store_function_create(world->store, &row, on_done, world);
}

/* Returns how many sweeps it took. */
static size_t world_sweep(struct world *world)
{
    bool left = true;
    size_t sweeps = 0;
    for (; left; sweeps++) {
        store_async_events_sweep(world->store, &left, on_done, world);
        world_run(world);
        assert_int_equal(world->failures, 0);
    }
    return sweeps;
}

static int64_t world_rows(struct world *world)
{
    char file[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    (void)snprintf(file, sizeof(file), "%s/hearth.db", world->path);
    assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT (SELECT count(*) FROM async_events) + (SELECT count(*) FROM "
                                        "async_leftovers)",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t rows = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return rows;
}

static void a_few_events_go_with_their_function_at_once(void **state)
{
    struct world *world = *state;
    world_create(world, "a");
    for (int64_t id = 1; id <= 9; id++)
        world_add(world, id, id % 3 == 0 ? "b" : "a", "{}");
    store_function_delete(world->store, SLICE("a"), on_done, world);
    world_run(world);
    assert_int_equal(world->failures, 0);
    assert_int_equal(world_rows(world), 3);
    assert_string_equal(world_summary(world), "b:3:3-9");
    assert_int_equal(world_sweep(world), 1);
}

static void many_events_of_a_deleted_function_are_gone_for_all_at_once_and_from_the_disk_step_by_step(void **state)
{
    struct world *world = *state;
    world_create(world, "a");
    for (int64_t id = 1; id <= 2000; id++)
        world_add(world, id, "a", "old");
    world_add(world, 2001, "b", "other");
    store_function_delete(world->store, SLICE("a"), on_done, world);
    world_create(world, "a"); /* of the same name: nothing of the old one's turns up */
    world_add(world, 2002, "a", "new");
    world_run(world);
    assert_int_equal(world->failures, 0);
    assert_true(world_rows(world) > 1000); /* the delete did not take the time for them all */
    assert_string_equal(world_read(world, "a", 0, INT64_MAX, 10, 1000), "2002:new");
    world_close(world);
    world_open(world);
    assert_string_equal(world_summary(world), "a:0:0-2000 a:1:2002-2002 b:1:2001-2001");
    assert_true(world_sweep(world) > 4);
    assert_int_equal(world_rows(world), 2);
    assert_string_equal(world_summary(world), "a:1:2002-2002 b:1:2001-2001");
}

static void large_events_of_a_deleted_function_are_swept_fewer_at_a_time(void **state)
{
    struct world *world = *state;
    AUTO(buffer)
    struct buffer large = BUFFER_EMPTY;
    buffer_reserve(&large, 1024 * 1024);
    memset(large.at, 'x', large.len = 1024 * 1024);
    world_create(world, "a");
    for (int64_t id = 1; id <= 12; id++) {
        struct async_event_row row = row_of(id, "a", "");
        row.payload = buffer_slice(&large);
        store_async_event_add(world->store, &row, on_done, world);
    }
    world_run(world);
    store_function_delete(world->store, SLICE("a"), on_done, world);
    world_run(world);
    assert_int_equal(world_rows(world), 8 + 1);
    assert_int_equal(world_sweep(world), 2);
    assert_int_equal(world_rows(world), 0);
}

static void a_name_that_is_deleted_twice_before_the_sweep_is_swept_to_its_last_end(void **state)
{
    struct world *world = *state;
    for (int64_t life = 0; life < 2; life++) {
        world_create(world, "a");
        for (int64_t id = 1; id <= 600; id++)
            world_add(world, life * 1000 + id, "a", "old");
        store_function_delete(world->store, SLICE("a"), on_done, world);
    }
    world_add(world, 3000, "a", "late"); /* accepted while its function went: whoever runs it finds that out */
    world_run(world);
    assert_int_equal(world->failures, 0);
    assert_string_equal(world_summary(world), "a:0:0-1600 a:1:3000-3000");
    (void)world_sweep(world);
    assert_int_equal(world_rows(world), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_come_back_in_order_of_acceptance_and_of_one_function_alone),
        TEST(a_page_begins_behind_one_id_ends_with_another_and_has_its_bounds),
        TEST(all_of_an_event_is_kept_and_its_payload_may_be_taken),
        TEST(what_has_run_goes_and_going_twice_is_no_failure),
        TEST(a_few_events_go_with_their_function_at_once),
        TEST(many_events_of_a_deleted_function_are_gone_for_all_at_once_and_from_the_disk_step_by_step),
        TEST(large_events_of_a_deleted_function_are_swept_fewer_at_a_time),
        TEST(a_name_that_is_deleted_twice_before_the_sweep_is_swept_to_its_last_end),
        TEST(an_id_is_given_once),
        TEST(the_next_start_finds_what_is_left_counted_by_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
