/* The end: who may finish, who is cut, what is refused, and that nothing is left, whatever is still under way. */
#include <unistd.h>

#include "world.h"

static void drain_waits_for_calls_that_run_that_wait_and_whose_instance_boots(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->engine->instances_max = 2;
    struct call *a = world_invoke(world, hello, "{}"), *b = world_invoke(world, hello, "{}"),
                *c = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1), *second = world_sandbox(world, 2);
    world_boots(world, first);
    world_takes(world, first);
    world_drain(world, 3600 * 1000);
    world_settle(world);
    assert_false(world->drained);
    world_answers(first, "1");
    world_wait(world, a);
    world_takes(world, first); /* the second call */
    world_boots(world, second);
    world_takes(world, second); /* the third */
    world_answers(second, "3");
    world_wait(world, c);
    world_settle(world);
    assert_false(world->drained);
    world_answers(first, "2");
    world_wait(world, b);
    world_run_until(world, world->drained); /* at once: not after its hour */
}

static void drain_with_nothing_to_do_ends_idle_instances_at_once(void **state)
{
    struct world *world = *state;
    struct sandbox *sandbox = world_warm(world, world_function(world, "hello"));
    world_drain(world, 3600 * 1000);
    world_run_until(world, world->drained);
    assert_int_equal(sandbox->kills, 1);
}

static void what_runs_waits_or_boots_is_cut_after_the_grace(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello"), *other = world_function(world, "other");
    world->engine->instances_max = 2;
    struct call *calls[] = { world_invoke(world, hello, "{}"), world_invoke(world, hello, "{}"),
                             world_invoke(world, hello, "{}"), world_invoke(world, other, "{}") };
    struct sandbox *first = world_sandbox(world, 1), *second = world_sandbox(world, 2);
    world_boots(world, first);
    world_takes(world, first);
    world_starts(world, second);
    world_drain(world, 1);
    world_run_until(world, world->drained);
    for (size_t k = 0; k < 4; k++) {
        world_call_refused(calls[k], ERROR_UNAVAILABLE);
        assert_string_equal(calls[k]->code, "ServiceException");
    }
    assert_int_equal(first->kills, 1);
    assert_int_equal(second->kills, 1);
    assert_int_equal(world->sandbox_count, 2); /* nothing was started for those that were cut */
}

static void waiters_of_a_deleted_function_are_cut_as_well(void **state)
{
    struct world *world = *state;
    struct function *other = world_function(world, "other"), *hello = world_function(world, "hello");
    world->engine->instances_max = 1;
    struct call *a = world_invoke(world, other, "{}"), *b = world_invoke(world, hello, "{}");
    assert_int_equal(world_delete(world, "hello").outcome, OK);
    world_drain(world, 1);
    world_run_until(world, world->drained);
    world_call_refused(a, ERROR_UNAVAILABLE);
    world_call_refused(b, ERROR_UNAVAILABLE);
}

static void a_second_drain_cuts_at_once(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}");
    world_boots(world, world_sandbox(world, 1));
    world_takes(world, &world->sandboxes[0]);
    world_drain(world, 3600 * 1000);
    world_settle(world);
    assert_int_equal(call->answers, 0);
    world_drain(world, 0);
    world_run_until(world, world->drained);
    world_call_refused(call, ERROR_UNAVAILABLE);
}

static void no_call_and_no_change_is_taken_while_it_drains(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *running = world_invoke(world, hello, "{}");
    world_boots(world, world_sandbox(world, 1));
    world_takes(world, &world->sandboxes[0]);
    world_drain(world, 3600 * 1000);
    struct call *late = world_invoke(world, hello, "{}");
    struct saved saved;
    world_begin_create(world, "late", 3, &saved);
    world_wait(world, late);
    world_call_refused(late, ERROR_UNAVAILABLE);
    world_run_until(world, saved.answers > 0);
    assert_int_equal(saved.kind, ERROR_UNAVAILABLE);
    world_answers(&world->sandboxes[0], "1");
    world_wait(world, running);
    world_run_until(world, world->drained);
}

static void drain_waits_for_a_change_that_is_under_way(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    struct saved saved;
    world->rows_wait = true;
    world_begin_update_code(world, "hello", &saved);
    world_settle(world);
    world_drain(world, 0);
    world_settle(world);
    assert_false(world->drained);
    world_rows_answer(world);
    world_run_until(world, world->drained);
    assert_int_equal(saved.outcome, OK);
}

static void an_exit_of_each_kind_while_all_is_cut_is_taken(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->kills_wait = true;
    for (size_t k = 0; k < 4; k++)
        (void)world_invoke(world, hello, "{}");
    world_boots(world, world_sandbox(world, 1));
    world_takes(world, &world->sandboxes[0]);
    world_starts(world, world_sandbox(world, 2));
    world_drain(world, 0);
    world_run_until(world, world->sandboxes[3].kills == 1);
    world_start_fails(world, &world->sandboxes[2], "too late");
    world_starts(world, &world->sandboxes[3]);
    world_exits(world, &world->sandboxes[3], 9, false);
    world_exits(world, &world->sandboxes[0], 9, false);
    world_settle(world);
    assert_false(world->drained); /* one is left */
    world_exits(world, &world->sandboxes[1], 9, false);
    world_run_until(world, world->drained);
}

/* ---- what does not end in time ---- */

static void end_late(struct world *world)
{
    world_drain(world, 0);
    world_settle(world);
    assert_false(world->drained);
    world_drain(world, 0); /* the second signal: waits for nobody any more */
    world_run_until(world, world->drained);
}

static void forget_rows(struct world *world)
{
    for (size_t k = 0; k < world->package_count; k++)
        world->packages[k].references = 0;
}

static void instances_that_do_not_end_in_time_are_left_behind_without_a_trace(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *idle = world_warm(world, hello);
    world->kills_wait = true;
    struct call *running = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    world_takes(world, idle);
    struct sandbox *second = world_sandbox(world, 2);
    world_starts(world, second);
    end_late(world);
    world_call_refused(running, ERROR_UNAVAILABLE);
    world_call_refused(waiting, ERROR_UNAVAILABLE);
    assert_int_equal(world->engine->instance_count, 2);
    engine_free(world->engine);
    world->engine = NULL;
    assert_int_equal(world->packages[0].references, 1); /* the row's; the pool gave its own back at once */
    world->packages_closed = true;
    assert_int_equal(write(second->out, "x", 1), -1); /* nobody listens to it any more */
    forget_rows(world);                               /* the loop ends, nothing is left: teardown */
}

static void a_change_that_does_not_end_in_time_is_answered_and_touches_nothing(void **state)
{
    struct world *world = *state;
    struct saved saved[3];
    (void)world_function(world, "hello");
    (void)world_function(world, "gone");
    world->packages_wait = world->rows_wait = true;
    world_begin_create(world, "new", 3, &saved[0]);              /* waits for its package */
    world_begin_update_configuration(world, "hello", &saved[1]); /* waits for its row */
    saved[2] = (struct saved){ 0 };
    world_settle(world);
    end_late(world);
    engine_free(world->engine);
    world->engine = NULL;
    world->packages_closed = true; /* the fakes assert that nobody uses them */
    world_packages_answer(world);
    world_rows_answer(world);
    world_run_until(world, saved[0].answers > 0 && saved[1].answers > 0);
    assert_int_equal(saved[0].kind, ERROR_UNAVAILABLE); /* it was not begun */
    assert_int_equal(saved[1].kind,
                     ERROR_UNKNOWN); /* it was made; whoever heard so would look for it in rooms that are gone */
    forget_rows(world);
}

static void on_deleted(enum outcome outcome, struct function *function, const struct error *err, void *arg)
{
    struct saved *saved = arg;
    assert_null(function);
    saved->answers++;
    saved->outcome = outcome;
    saved->kind = outcome == OK ? ERROR_NONE : err->kind;
}

static void on_alias(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    assert_null(setting);
    on_deleted(outcome, NULL, err, arg);
}

static void nobody_is_told_of_success_once_the_engine_is_gone(void **state)
{
    struct world *world = *state;
    struct saved deleted = { 0 }, put = { 0 };
    struct setting_change change = { .name = SLICE("other"),
                                     .qualifier = SLICE("live"),
                                     .kind = SETTING_ALIAS,
                                     .mode = SETTING_CREATE,
                                     .document = SLICE("{\"description\":\"\",\"version\":0}") };
    (void)world_function(world, "hello");
    (void)world_function(world, "other");
    world->rows_wait = true;
    engine_setting_put(world->engine, &change, on_alias, &put);
    engine_delete(world->engine, SLICE("hello"), on_deleted, &deleted);
    end_late(world);
    engine_free(world->engine);
    world->engine = NULL;
    world->packages_closed = true;
    world_rows_answer(world);
    world_run_until(world, put.answers > 0 && deleted.answers > 0);
    assert_int_equal(put.kind, ERROR_UNKNOWN);
    assert_int_equal(deleted.kind, ERROR_UNKNOWN);
    forget_rows(world);
}

static void a_call_that_comes_between_the_end_and_the_engines_is_answered(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world_drain(world, 0);
    world_run_until(world, world->drained);
    struct call *call = world_invoke(world, hello, "{}");
    engine_free(world->engine);
    world->engine = NULL;
    world_run_until(world, call->answers > 0 || !uv_loop_alive(&world->loop));
    world_call_refused(call, ERROR_UNAVAILABLE);
    forget_rows(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(drain_waits_for_calls_that_run_that_wait_and_whose_instance_boots),
        TEST(drain_with_nothing_to_do_ends_idle_instances_at_once),
        TEST(what_runs_waits_or_boots_is_cut_after_the_grace),
        TEST(waiters_of_a_deleted_function_are_cut_as_well),
        TEST(a_second_drain_cuts_at_once),
        TEST(no_call_and_no_change_is_taken_while_it_drains),
        TEST(drain_waits_for_a_change_that_is_under_way),
        TEST(an_exit_of_each_kind_while_all_is_cut_is_taken),
        TEST(instances_that_do_not_end_in_time_are_left_behind_without_a_trace),
        TEST(a_change_that_does_not_end_in_time_is_answered_and_touches_nothing),
        TEST(nobody_is_told_of_success_once_the_engine_is_gone),
        TEST(a_call_that_comes_between_the_end_and_the_engines_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
