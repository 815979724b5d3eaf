/* Who gets which instance, what is started and what is not, who is refused, what an update does to those that run. */
#include "world.h"

static void ends(struct world *world, struct sandbox *sandbox, struct call *call, const char *payload)
{
    world_takes(world, sandbox);
    world_answers(sandbox, payload);
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, payload);
}

static void boots_and_ends(struct world *world, struct sandbox *sandbox, struct call *call, const char *payload)
{
    world_boots(world, sandbox);
    ends(world, sandbox, call, payload);
}

/* ---- who gets which ---- */

static void a_warm_instance_is_taken_most_recently_used_first(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *a = world_invoke(world, hello, "{}"), *b = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1), *second = world_sandbox(world, 2);
    world_boots(world, first);
    world_takes(world, first);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(second, "2");
    world_wait(world, b);
    world_answers(first, "1"); /* the last to become idle */
    world_wait(world, a);
    world_settle(world);
    for (int k = 0; k < 3; k++)
        ends(world, first, world_invoke(world, hello, "{}"), "1");
    assert_false(world_has_invoke(world, second));
    assert_int_equal(world->sandbox_count, 2);
}

static void the_oldest_waiter_gets_the_instance_that_is_free_first(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *first = world_warm(world, hello);
    struct call *running = world_invoke(world, hello, "{}");
    world_takes(world, first);
    struct call *older = world_invoke(world, hello, "\"older\""),
                *younger = world_invoke(world, hello, "\"younger\"");
    struct sandbox *second = world_sandbox(world, 2), *third = world_sandbox(world, 3);
    world_answers(first, "0");
    world_wait(world, running);
    world_takes(world, first); /* not what boots for it is faster but what has answered */
    assert_string_equal(buffer_text(&first->payload), "\"older\"");
    boots_and_ends(world, third, younger, "2"); /* any that boots: the younger one is the oldest now */
    assert_string_equal(buffer_text(&third->payload), "\"younger\"");
    world_answers(first, "1");
    world_wait(world, older);
    world_boots(world, second); /* nobody needs it any more: it waits for the next */
    world_run_until(world, world_instance(world, second)->state == INSTANCE_IDLE);
    ends(world, second, world_invoke(world, hello, "{}"), "3");
}

static void waiters_are_answered_in_the_order_in_which_they_came(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->engine->instances_max = 1;
    struct call *calls[20];
    for (size_t k = 0; k < 20; k++)
        calls[k] = world_invoke(world, hello, "{}");
    struct sandbox *only = world_sandbox(world, 1);
    world_boots(world, only);
    for (size_t k = 0; k < 20; k++) {
        ends(world, only, calls[k], "1");
        assert_int_equal(calls[k]->order, k + 1);
    }
    assert_int_equal(world->sandbox_count, 1);
}

static void calls_again(struct call *call)
{
    static const char again[] = "{\"again\":true}";
    struct world *world = call->world;
    call->then = NULL;
    (void)world_invoke(world, engine_find(world->engine, SLICE("hello")), again);
}

/* Invariant 5: whoever is called back may call the engine. */
static void a_caller_may_call_again_from_its_answer_and_stands_behind_who_waits(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->engine->instances_max = 1;
    struct call *first = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    first->then = calls_again;
    struct sandbox *only = world_sandbox(world, 1);
    boots_and_ends(world, only, first, "1");
    ends(world, only, waiting, "2");
    world_takes(world, only);
    assert_string_equal(buffer_text(&only->payload), "{\"again\":true}");
    world_answers(only, "3");
    world_wait(world, &world->calls[2]);
}

static void a_caller_may_call_again_from_a_failure(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}");
    call->then = calls_again;
    world_exits(world, world_sandbox(world, 1), 0, false);
    world_wait(world, call);
    struct sandbox *second = world_sandbox(world, 2);
    world->calls[1].then = calls_again;
    world_frame_error(second, FRAME_INIT_FAILED, 0, "E", "{}");
    world_wait(world, &world->calls[1]);
    struct sandbox *third = world_sandbox(world, 3);
    world->calls[2].then = calls_again;
    world_frame(third, FRAME_DONE, 0, SLICE("nonsense"));
    world_wait(world, &world->calls[2]);
    boots_and_ends(world, world_sandbox(world, 4), &world->calls[3], "4");
}

/* ---- what is started ---- */

static void a_burst_starts_no_more_than_the_bound_at_once(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *calls[10];
    for (size_t k = 0; k < 10; k++)
        calls[k] = world_invoke(world, hello, "{}");
    world_settle(world);
    assert_int_equal(world->sandbox_count, 4);
    for (size_t k = 0; k < 10; k++) { /* each that has booted lets one more boot, until all have their own */
        world_boots(world, &world->sandboxes[k]);
        world_takes(world, &world->sandboxes[k]);
        assert_int_equal(world->sandbox_count, k + 5 < 10 ? k + 5 : 10);
    }
    for (size_t k = 0; k < 10; k++) {
        world_answers(&world->sandboxes[k], "1");
        world_wait(world, calls[k]);
    }
    world_settle(world);
    assert_int_equal(world->sandbox_count, 10);
}

static void a_burst_of_one_function_does_not_starve_another(void **state)
{
    struct world *world = *state;
    struct function *many = world_function(world, "many"), *one = world_function(world, "one");
    for (size_t k = 0; k < 20; k++)
        (void)world_invoke(world, many, "{}");
    struct call *call = world_invoke(world, one, "{}");
    world_settle(world);
    assert_int_equal(world->sandbox_count, 4);
    world_boots(world, world_sandbox(world, 1));
    world_boots(
        world, world_sandbox(world, 2)); /* the second that may start next is the other function's, at the latest */
    struct sandbox *fifth = world_sandbox(world, 5), *sixth = world_sandbox(world, 6);
    struct sandbox *its = strcmp(fifth->digest, one->digest) == 0 ? fifth : sixth;
    assert_string_equal(its->digest, one->digest);
    boots_and_ends(world, its, call, "1");
}

static void more_is_not_started_than_is_waited_for(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *first = world_warm(world, hello);
    struct call *running = world_invoke(world, hello, "{}");
    world_takes(world, first);
    world->engine->starts_max = 0; /* for the moment */
    struct call *waiting = world_invoke(world, hello, "{}");
    world_answers(first, "1");
    world_wait(world, running);
    ends(world, first, waiting, "2");
    world->engine->starts_max = 4;
    dispatch_pump(world->engine);
    world_settle(world);
    assert_int_equal(world->sandbox_count, 1);
}

static void a_start_that_fails_is_retried_and_the_waiter_told_after_three(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}");
    for (size_t k = 1; k <= 3; k++) {
        assert_int_equal(call->answers, 0);
        world_start_fails(world, world_sandbox(world, k), "no namespace left");
    }
    world_wait(world, call);
    world_call_refused(call, ERROR_INTERNAL);
    world_settle(world);
    assert_int_equal(world->sandbox_count, 3); /* nobody waits any more */
    (void)world_warm(world, hello);
}

static void a_start_that_succeeds_ends_a_row_of_failures(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}");
    world_start_fails(world, world_sandbox(world, 1), "busy");
    world_start_fails(world, world_sandbox(world, 2), "busy");
    struct sandbox *third = world_sandbox(world, 3);
    world_starts(world, third);
    world_frame_error(third, FRAME_INIT_FAILED, 0, "E", "{}");
    world_wait(world, call);
    call = world_invoke(world, hello, "{}");
    world_start_fails(world, world_sandbox(world, 4), "busy");
    boots_and_ends(world, world_sandbox(world, 5), call, "1");
}

static void a_start_that_the_keeper_cannot_take_now_is_tried_again(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->starts_behind = 3; /* and the keeper has nothing to say meanwhile */
    struct call *call = world_invoke(world, hello, "{}");
    boots_and_ends(world, world_sandbox(world, 1), call, "1");
}

static void a_start_that_cannot_be_asked_for_refuses_the_waiter(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->starts_broken = 1;
    struct call *call = world_invoke(world, hello, "{}");
    world_wait(world, call);
    world_call_refused(call, ERROR_INTERNAL);
    (void)world_warm(world, hello);
}

static void a_replaced_function_whose_start_cannot_be_asked_for_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct function *old = function_hold(world_function(world, "hello"));
    package_hold(NULL, old->digest);
    assert_int_equal(world_update_code(world, "hello").outcome, OK);
    world->starts_broken = 1;
    struct call *call = world_invoke(world, old, "{}");
    world_wait(world, call);
    world_call_refused(call, ERROR_INTERNAL);
    assert_null(old->pool);
    package_release(NULL, old->digest);
    function_release(old);
}

/* ---- the limits ---- */

static void an_idle_instance_of_another_function_gives_way_the_longest_idle_first(void **state)
{
    struct world *world = *state;
    world->engine->instances_max = 3;
    struct function *names[] = { world_function(world, "a"), world_function(world, "b"), world_function(world, "c"),
                                 world_function(world, "d") };
    for (size_t k = 0; k < 3; k++)
        (void)world_warm(world, names[k]);
    struct call *call = world_invoke(world, names[3], "{}");
    boots_and_ends(world, world_sandbox(world, 4), call, "1");
    assert_int_equal(world->sandboxes[0].kills, 1);
    assert_int_equal(world->sandboxes[1].kills + world->sandboxes[2].kills, 0);
}

/* Room takes a moment to come: what happens meanwhile must not cost further warm instances. */
static void no_more_idle_instances_give_way_than_are_needed(void **state)
{
    struct world *world = *state;
    world->engine->instances_max = 4;
    struct function *a = world_function(world, "a"), *b = world_function(world, "b");
    for (size_t k = 0; k < 4; k++)
        (void)world_invoke(world, a, "{}");
    for (size_t k = 0; k < 4; k++) {
        world_boots(world, world_sandbox(world, k + 1));
        world_takes(world, &world->sandboxes[k]);
    }
    for (size_t k = 0; k < 4; k++)
        world_answers(&world->sandboxes[k], "1");
    world_run_until(world, world->engine->idle_count == 4);
    world->kills_wait = true;
    struct call *call = world_invoke(world, b, "{}");
    for (int k = 0; k < 5; k++)
        dispatch_pump(world->engine); /* as any event does */
    assert_int_equal(world->engine->idle_count, 3);
    for (size_t k = 0; k < 4; k++)
        if (world->sandboxes[k].kills > 0)
            world_exits(world, &world->sandboxes[k], 9, false);
    boots_and_ends(world, world_sandbox(world, 5), call, "2");
    world->kills_wait = false;
}

static void a_full_box_serves_another_function_as_soon_as_one_is_free(void **state)
{
    struct world *world = *state;
    world->engine->instances_max = 1;
    struct function *a = world_function(world, "a"), *b = world_function(world, "b");
    struct call *first = world_invoke(world, a, "{}"), *second = world_invoke(world, b, "{}");
    struct sandbox *busy = world_sandbox(world, 1);
    world_boots(world, busy);
    world_takes(world, busy);
    world_settle(world);
    assert_int_equal(world->sandbox_count, 1);
    world_answers(busy, "1");
    world_wait(world, first);
    boots_and_ends(world, world_sandbox(world, 2), second, "2");
}

static void above_the_limit_a_call_is_throttled_and_never_from_inside(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->engine->limit = 2;
    struct call *a = world_invoke(world, hello, "{}"), *b = world_invoke(world, hello, "{}");
    struct call *third = world_invoke(world, hello, "{}"); /* world_invoke asserts: not answered yet */
    world_wait(world, third);
    world_call_refused(third, ERROR_THROTTLED);
    assert_string_equal(third->code, "TooManyRequestsException");
    assert_string_equal(third->reason, "ConcurrentInvocationLimitExceeded");
    assert_int_equal(world->engine->throttles, 1);
    boots_and_ends(world, world_sandbox(world, 1), a, "1");
    ends(world, &world->sandboxes[0], b, "2");
    ends(world, &world->sandboxes[0], world_invoke(world, hello, "{}"), "3");
}

static void calls_twice_again(struct call *call)
{
    struct function *hello = engine_find(call->world->engine, SLICE("hello"));
    (void)world_invoke(call->world, hello, "{}");
    (void)world_invoke(call->world, hello, "{}");
}

/* A refusal is told one turn of the loop later; until then it must not count as a call that runs. */
static void a_call_that_is_being_refused_takes_nobody_elses_place(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->engine->limit = 2;
    struct call *calls[] = { world_invoke(world, hello, "{}"), world_invoke(world, hello, "{}") };
    for (size_t k = 0; k < 2; k++) {
        world_boots(world, world_sandbox(world, k + 1));
        world_takes(world, &world->sandboxes[k]);
        calls[k]->then = calls_twice_again;
    }
    for (size_t k = 0; k < 2; k++)
        world_answers(&world->sandboxes[k], "1"); /* both are found in one turn of the loop */
    world_wait(world, calls[0]);
    world_wait(world, calls[1]);
    assert_int_equal(world->call_count, 6);
    assert_int_equal(world->engine->throttles, 2); /* each place that came free was filled once */
}

static void a_caller_that_is_gone_is_not_called_and_its_call_runs_on(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *running = world_invoke(world, hello, "{\"n\":1}"),
                *waiting = world_invoke(world, hello, "{\"n\":2}");
    struct sandbox *first = world_sandbox(world, 1), *second = world_sandbox(world, 2);
    world_abandon(waiting);
    world_boots(world, first);
    world_takes(world, first);
    world_abandon(running);
    world_answers(first, "1");
    world_boots(world, second);
    world_run_until(world, world_has_invoke(world, first) || world_has_invoke(world, second));
    struct sandbox *its = world_has_invoke(world, first) ? first : second;
    world_takes(world, its);
    assert_string_equal(buffer_text(&its->payload), "{\"n\":2}");
    world_answers(its, "2");
    world_run_until(world, world->engine->in_flight == 0);
    assert_int_equal(running->answers + waiting->answers, 0);
}

static void a_caller_that_is_gone_is_not_called_with_a_refusal(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->engine->limit = 0;
    world_abandon(world_invoke(world, hello, "{}"));
    world_run_until(world, world->engine->in_flight == 0);
}

/* ---- idling ---- */

static void an_instance_that_is_idle_for_long_is_retired(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->engine->config.idle_ms = 1;
    struct sandbox *sandbox = world_warm(world, hello);
    world_gone(world, sandbox);
    assert_int_equal(sandbox->kills, 1);
    assert_int_equal(world->engine->idle_count, 0);
    world->engine->config.idle_ms = 3600 * 1000;
    (void)world_warm(world, hello);
}

/* Its key ends some hours after its start; a call must be able to use it until the end of its timeout. */
static void an_instance_whose_key_ends_soon_gets_no_further_call(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->key_life_ms = FUNCTION_TIMEOUT_S_MAX * 1000; /* less than a call may take, and a moment */
    struct call *call = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1), *second = world_sandbox(world, 2);
    boots_and_ends(world, first, call,
                   "1"); /* the first is served whatever its key says: else nobody ever would be */
    world_gone(world, first);
    assert_int_equal(first->kills, 1);
    world->key_life_ms = 0;
    boots_and_ends(world, second, waiting, "2");
    world_gone(world, second);
    struct sandbox *third = world_warm(world, hello);
    assert_int_equal(world_instance(world, third)->state, INSTANCE_IDLE);
    world_instance(world, third)->principal.expires_ms = clock_wall_ms(); /* hours later */
    call = world_invoke(world, hello, "{}");
    boots_and_ends(world, world_sandbox(world, 4), call, "4");
    assert_int_equal(third->kills, 1);
}

/* ---- changes ---- */

static void an_update_retires_idle_ones_at_once_and_lets_the_busy_one_finish(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    char digest[65];
    memcpy(digest, hello->digest, sizeof(digest));
    struct call *a = world_invoke(world, hello, "{}"), *b = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1), *second = world_sandbox(world, 2);
    world_boots(world, first);
    world_takes(world, first);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(first, "1");
    world_wait(world, a);
    assert_int_equal(world_update_code(world, "hello").outcome, OK);
    world_gone(world, first);
    assert_int_equal(first->kills, 1);
    assert_int_equal(second->kills, 0);
    struct function *now = engine_find(world->engine, SLICE("hello"));
    struct call *c = world_invoke(world, now, "{}"); /* does not wait for the old code */
    struct sandbox *third = world_sandbox(world, 3);
    assert_string_equal(third->digest, now->digest);
    assert_string_not_equal(third->digest, digest);
    boots_and_ends(world, third, c, "3");
    assert_int_equal(world_package_references(world, digest), 1); /* the busy one's pool */
    world_answers(second, "2");
    world_wait(world, b);
    world_call_ended(b, INVOCATION_SUCCEEDED, "2");
    world_gone(world, second);
    assert_int_equal(second->kills, 1);
    assert_int_equal(world_package_references(world, digest), 0);
}

static void one_that_boots_for_an_old_configuration_serves_who_waits_for_it_and_goes(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1);
    struct saved saved;
    world_begin_update_configuration(world, "hello", &saved);
    world_run_until(world, saved.answers > 0);
    assert_int_equal(saved.outcome, OK);
    boots_and_ends(world, first, call, "1");
    world_gone(world, first);
    assert_int_equal(first->kills, 1);
}

static void one_that_boots_for_an_old_configuration_and_nobody_goes_when_it_is_ready(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *first = world_warm(world, hello);
    struct call *a = world_invoke(world, hello, "{}");
    world_takes(world, first);
    struct call *b = world_invoke(world, hello, "{}");
    struct sandbox *second = world_sandbox(world, 2);
    world_answers(first, "1");
    world_wait(world, a);
    ends(world, first, b, "2");
    assert_int_equal(world_update_code(world, "hello").outcome, OK);
    world_gone(world, first);
    world_boots(world, second);
    world_gone(world, second);
    assert_int_equal(second->kills, 1);
    assert_false(world_has_invoke(world, second));
}

static void waiters_of_a_deleted_function_are_still_served(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->engine->instances_max = 1;
    struct call *a = world_invoke(world, hello, "{}"), *b = world_invoke(world, hello, "{}"),
                *c = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1);
    world_boots(world, first);
    world_takes(world, first);
    assert_int_equal(world_delete(world, "hello").outcome, OK);
    assert_null(engine_find(world->engine, SLICE("hello")));
    world_answers(first, "1");
    world_wait(world, a);
    world_takes(world, first);
    world_exits(world, first, 0, false); /* and also when it must start anew for them */
    world_wait(world, b);
    boots_and_ends(world, world_sandbox(world, 2), c, "3");
    world_run_until(world, world->engine->instance_count == 0);
    assert_int_equal(world->packages[0].references, 0);
}

static void a_waiter_of_a_deleted_function_that_starts_nothing_yet_is_not_forgotten(void **state)
{
    struct world *world = *state;
    struct function *other = world_function(world, "other"), *hello = world_function(world, "hello");
    world->engine->instances_max = 1;
    struct call *a = world_invoke(world, other, "{}"), *b = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1);
    assert_int_equal(world_delete(world, "hello").outcome, OK);
    boots_and_ends(world, first, a, "1");
    boots_and_ends(world, world_sandbox(world, 2), b, "2");
}

static void a_second_change_while_one_is_under_way_is_refused(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    struct saved first, second;
    world->packages_wait = true;
    world_begin_update_code(world, "hello", &first);
    world_begin_update_configuration(world, "hello", &second);
    world_run_until(world, second.answers > 0);
    assert_int_equal(second.outcome, FAILED);
    assert_string_equal(second.code, "ResourceConflictException");
    world->packages_wait = false;
    world_packages_answer(world);
    world_run_until(world, first.answers > 0);
    assert_int_equal(first.outcome, OK);
    world_begin_update_configuration(world, "hello", &second);
    world_run_until(world, second.answers > 0);
    assert_int_equal(second.outcome, OK);
}

static void a_change_that_the_store_refuses_leaves_the_function_as_it_was(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    world->row_error = ERROR_DISK_FULL;
    struct saved saved = world_update_code(world, "hello");
    assert_int_equal(saved.outcome, FAILED);
    assert_int_equal(saved.kind, ERROR_DISK_FULL);
    assert_ptr_equal(engine_find(world->engine, SLICE("hello")), hello);
    assert_int_equal(world->packages[1].references, 0);
    assert_int_equal(sandbox->kills, 0);
    assert_int_equal(world_update_code(world, "hello").outcome, OK); /* and may be changed again */
}

/* The row may name the new package after all: its tree must be there at the next start, which sweeps what nobody names. */
static void a_change_whose_commit_is_unknown_keeps_its_package(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    world->row_error = ERROR_UNKNOWN;
    assert_int_equal(world_update_code(world, "hello").outcome, FAILED);
    assert_int_equal(world->packages[1].references, 1);
    world->packages[1].references = 0; /* for the account at the end */
    world->row_error = ERROR_UNKNOWN;
    assert_int_equal(world_delete(world, "hello").outcome, FAILED);
    assert_non_null(engine_find(world->engine, SLICE("hello")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_warm_instance_is_taken_most_recently_used_first),
        TEST(the_oldest_waiter_gets_the_instance_that_is_free_first),
        TEST(waiters_are_answered_in_the_order_in_which_they_came),
        TEST(a_caller_may_call_again_from_its_answer_and_stands_behind_who_waits),
        TEST(a_caller_may_call_again_from_a_failure),
        TEST(a_burst_starts_no_more_than_the_bound_at_once),
        TEST(a_burst_of_one_function_does_not_starve_another),
        TEST(more_is_not_started_than_is_waited_for),
        TEST(a_start_that_fails_is_retried_and_the_waiter_told_after_three),
        TEST(a_start_that_succeeds_ends_a_row_of_failures),
        TEST(a_start_that_the_keeper_cannot_take_now_is_tried_again),
        TEST(a_start_that_cannot_be_asked_for_refuses_the_waiter),
        TEST(a_replaced_function_whose_start_cannot_be_asked_for_leaves_nothing),
        TEST(an_idle_instance_of_another_function_gives_way_the_longest_idle_first),
        TEST(no_more_idle_instances_give_way_than_are_needed),
        TEST(a_full_box_serves_another_function_as_soon_as_one_is_free),
        TEST(above_the_limit_a_call_is_throttled_and_never_from_inside),
        TEST(a_call_that_is_being_refused_takes_nobody_elses_place),
        TEST(a_caller_that_is_gone_is_not_called_and_its_call_runs_on),
        TEST(a_caller_that_is_gone_is_not_called_with_a_refusal),
        TEST(an_instance_that_is_idle_for_long_is_retired),
        TEST(an_instance_whose_key_ends_soon_gets_no_further_call),
        TEST(an_update_retires_idle_ones_at_once_and_lets_the_busy_one_finish),
        TEST(one_that_boots_for_an_old_configuration_serves_who_waits_for_it_and_goes),
        TEST(one_that_boots_for_an_old_configuration_and_nobody_goes_when_it_is_ready),
        TEST(waiters_of_a_deleted_function_are_still_served),
        TEST(a_waiter_of_a_deleted_function_that_starts_nothing_yet_is_not_forgotten),
        TEST(a_second_change_while_one_is_under_way_is_refused),
        TEST(a_change_that_the_store_refuses_leaves_the_function_as_it_was),
        TEST(a_change_whose_commit_is_unknown_keeps_its_package),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
