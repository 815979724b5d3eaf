/* One instance: what it may say and when, how it begins and ends, and who is told. */
#include "world.h"

static const int exit_status_1 = 1 << 8, killed = 9;

/* ---- frames ---- */

static void a_call_gets_its_payload_and_the_answer_comes_back(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct buffer payload = BUFFER_EMPTY;
    buffer_append_text(&payload, "{\"a\":1}");
    struct invocation_input input = { .function = hello,
                                      .request_id = SLICE("11111111-2222-3333-4444-555555555555"),
                                      .trace = SLICE("Root=1"),
                                      .client_context = SLICE("{\"c\":2}"),
                                      .payload = &payload };
    struct call *call = world_invoke_with(world, &input);
    assert_int_equal(payload.len, 0); /* taken */
    struct sandbox *sandbox = world_sandbox(world, 1);
    assert_non_null(strstr(sandbox->environment, "AWS_LAMBDA_FUNCTION_NAME=hello\n"));
    world_boots(world, sandbox);
    world_takes(world, sandbox);
    assert_int_equal(sandbox->sequence, 1);
    assert_string_equal(buffer_text(&sandbox->payload), "{\"a\":1}");
    assert_string_equal(buffer_text(&sandbox->trace), "Root=1");
    assert_string_equal(buffer_text(&sandbox->context), "{\"c\":2}");
    assert_true((int64_t)sandbox->deadline_ms > clock_wall_ms());
    world_answers(sandbox, "[2]");
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "[2]");
    assert_int_equal(call->tail.len, 0); /* nobody asked for it */
    assert_int_equal(sandbox->readies, 1);
}

static void a_call_without_a_payload_gets_an_empty_object(void **state)
{
    struct world *world = *state;
    struct call *call = world_invoke(world, world_function(world, "hello"), "");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_boots(world, sandbox);
    world_takes(world, sandbox);
    assert_string_equal(buffer_text(&sandbox->payload), "{}");
    world_answers(sandbox, "1");
    world_wait(world, call);
}

static void frames_may_come_one_byte_at_a_time(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_starts(world, sandbox);
    world_frame_bytewise(world, sandbox, FRAME_READY, 0, SLICE("\x10\x27\x00\x00"));
    world_takes(world, sandbox);
    world_frame_bytewise(world, sandbox, FRAME_DONE, sandbox->sequence, SLICE("\"slow\""));
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "\"slow\"");
    call = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    world_frame_bytewise(world, sandbox, FRAME_FAILED, sandbox->sequence,
                         SLICE("\x01\x00"
                               "E{}"));
    world_wait(world, call);
    world_call_ended(call, INVOCATION_FUNCTION_ERROR, "{}");
}

static struct buffer many(size_t len)
{
    struct buffer text = BUFFER_EMPTY;
    buffer_reserve(&text, len + 1);
    memset(text.at, '7', len);
    text.len = len;
    return text;
}

/* More than a socket holds: the rest waits for the instance to read, and the answer comes in many pieces. */
static void the_largest_payload_goes_in_and_the_largest_answer_comes_out(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct buffer in = many(INVOKE_PAYLOAD_BYTES_MAX), out = many(INVOKE_RESPONSE_BYTES_MAX);
    struct call *call = world_invoke(world, hello, buffer_text(&in));
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_boots(world, sandbox);
    world_takes(world, sandbox);
    assert_true(slice_equal(buffer_slice(&sandbox->payload), buffer_slice(&in)));
    struct buffer head = BUFFER_EMPTY;
    buffer_append_u32(&head, (uint32_t)out.len);
    buffer_append_u32(&head, sandbox->sequence);
    buffer_append(&head, "\x13\x01\x00\x00", 4);
    world_send(sandbox, buffer_slice(&head));
    for (size_t at = 0; at < out.len; at += 64 * 1024) { /* no more than the socket takes at once */
        world_send(sandbox, slice_sub(buffer_slice(&out), at, 64 * 1024));
        world_settle(world);
    }
    world_wait(world, call);
    assert_int_equal(call->status, INVOCATION_SUCCEEDED);
    assert_true(slice_equal(buffer_slice(&call->payload), buffer_slice(&out)));
    buffer_drop(&in);
    buffer_drop(&out);
    buffer_drop(&head);
}

static void too_large(struct world *world, enum frame_type type)
{
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    struct buffer out = many(INVOKE_RESPONSE_BYTES_MAX + 3), head = BUFFER_EMPTY;
    out.at[0] = out.at[1] = '\0'; /* FAILED: a type of no letters */
    buffer_append_u32(&head, (uint32_t)out.len);
    buffer_append_u32(&head, sandbox->sequence);
    buffer_append_byte(&head, (char)type);
    buffer_append(&head, "\x01\x00\x00", 3);
    world_send(sandbox, buffer_slice(&head));
    for (size_t at = 0; at < out.len; at += 64 * 1024) {
        world_send(sandbox, slice_sub(buffer_slice(&out), at, 64 * 1024));
        world_settle(world);
    }
    world_wait(world, call);
    world_call_failed(call, "Function.ResponseSizeTooLarge");
    assert_int_equal(world_instance(world, sandbox)->state, INSTANCE_IDLE); /* warm state is kept */
    buffer_drop(&out);
    buffer_drop(&head);
}

static void an_answer_above_the_limit_is_an_error_of_the_function(void **state)
{
    too_large(*state, FRAME_DONE);
}

static void an_error_above_the_limit_is_cut_as_well(void **state)
{
    too_large(*state, FRAME_FAILED);
}

static void FAILED_answers_and_the_instance_stays(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    world_frame_error(sandbox, FRAME_FAILED, sandbox->sequence, "E", "{\"errorType\":\"E\"}");
    world_wait(world, call);
    world_call_failed(call, "E");
    call = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    assert_int_equal(sandbox->sequence, 3);
    world_answers(sandbox, "3");
    world_wait(world, call);
    assert_int_equal(world->sandbox_count, 1);
}

static void FATAL_answers_and_the_instance_gets_no_further_call(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}"), *next = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    world_frame_error(sandbox, FRAME_FATAL, sandbox->sequence, "E", "{\"errorType\":\"E\"}");
    world_wait(world, call);
    world_call_failed(call, "E");
    assert_int_equal(sandbox->kills, 1);
    struct sandbox *second = world_sandbox(world, 2);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(second, "2");
    world_wait(world, next);
    world_call_ended(next, INVOCATION_SUCCEEDED, "2");
}

/* ---- nonsense ---- */

static void an_idle_instance_that_sends_DONE_is_killed_and_nobody_else_pays(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *first = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}");
    world_takes(world, first);
    struct call *other = world_invoke(world, hello, "{}");
    struct sandbox *second = world_sandbox(world, 2);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(second, "2");
    world_wait(world, other);
    world_frame(second, FRAME_DONE, second->sequence, SLICE("3")); /* idle now */
    world_gone(world, second);
    assert_int_equal(second->kills, 1);
    assert_int_equal(call->answers, 0);
    world_answers(first, "1");
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "1");
    assert_int_equal(first->kills, 0);
}

static void out_of_turn(struct world *world, enum frame_type type, uint32_t off, struct slice body)
{
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    world_frame(sandbox, type, sandbox->sequence + off, body);
    world_wait(world, call);
    world_call_failed(call, "Runtime.ProtocolError");
    assert_int_equal(sandbox->kills, 1);
    assert_int_equal(waiting->answers, 0);
    struct sandbox *second = world_sandbox(world, 2);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(second, "2");
    world_wait(world, waiting);
    world_call_ended(waiting, INVOCATION_SUCCEEDED, "2");
}

static void a_DONE_with_the_wrong_sequence_costs_its_own_call_alone(void **state)
{
    out_of_turn(*state, FRAME_DONE, 1, SLICE("1"));
}

static void a_second_READY_during_a_call_costs_its_own_call_alone(void **state)
{
    out_of_turn(*state, FRAME_READY, 0, SLICE("\0\0\0\0"));
}

static void a_CHUNK_costs_its_own_call_alone(void **state)
{
    out_of_turn(*state, FRAME_CHUNK, 0, SLICE("x"));
}

static void an_error_without_its_type_costs_its_own_call_alone(void **state)
{
    out_of_turn(*state, FRAME_FAILED, 0, SLICE("\xff\xff"));
}

static void a_frame_that_is_too_long_is_refused_at_its_head(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    world_send(sandbox, SLICE("\x01\x00\x80\x00\x02\x00\x00\x00\x13\x01\x00\x00"));
    world_wait(world, call);
    world_call_failed(call, "Runtime.ProtocolError");
}

static void two_answers_to_one_call_cost_the_instance_but_not_the_next_call(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    struct buffer both = BUFFER_EMPTY;
    for (int k = 0; k < 2; k++) {
        buffer_append_u32(&both, 1);
        buffer_append_u32(&both, sandbox->sequence);
        buffer_append(&both,
                      "\x13\x01\x00\x00"
                      "1",
                      5);
    }
    world_send(sandbox, buffer_slice(&both));
    buffer_drop(&both);
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "1");
    world_gone(world, sandbox);
    assert_int_equal(sandbox->kills, 1);
}

static void nonsense_before_READY_answers_the_oldest_waiter_alone(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1), *second = world_sandbox(world, 2);
    world_starts(world, first);
    world_send(first, SLICE("GET / HTTP/1.1\r\n\r\n"));
    world_wait(world, call);
    world_call_failed(call, "Runtime.ProtocolError");
    assert_int_equal(waiting->answers, 0);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(second, "2");
    world_wait(world, waiting);
    world_call_ended(waiting, INVOCATION_SUCCEEDED, "2");
}

static void what_a_stopped_instance_still_says_means_nothing(void **state)
{
    struct world *world = *state;
    world->kills_wait = true;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    world_frame(sandbox, FRAME_DONE, 1, SLICE("1"));
    world_run_until(world, sandbox->kills == 1);
    if (world_instance(world, sandbox)->channel_open)
        world_send(sandbox, SLICE("more nonsense, which is not even read"));
    world_settle(world);
    world_exits(world, sandbox, killed, false);
    world_gone(world, sandbox);
    assert_int_equal(sandbox->kills, 1);
}

/* ---- the beginning ---- */

static void READY_may_come_before_STARTED(void **state)
{
    struct world *world = *state;
    struct call *call = world_invoke(world, world_function(world, "hello"), "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_ready(sandbox);
    world_run_until(world, world_instance(world, sandbox)->ready);
    assert_int_equal(world_instance(world, sandbox)->state, INSTANCE_STARTING);
    assert_false(world_has_invoke(world, sandbox));
    world_starts(world, sandbox);
    world_takes(world, sandbox);
    world_answers(sandbox, "1");
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "1");
}

static void READY_may_come_after_STARTED(void **state)
{
    struct world *world = *state;
    struct call *call = world_invoke(world, world_function(world, "hello"), "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_starts(world, sandbox);
    world_run_until(world, world_instance(world, sandbox)->keeper_started);
    assert_int_equal(world_instance(world, sandbox)->state, INSTANCE_STARTING);
    assert_false(world_has_invoke(world, sandbox));
    world_ready(sandbox);
    world_takes(world, sandbox);
    world_answers(sandbox, "1");
    world_wait(world, call);
}

static void INIT_FAILED_answers_the_oldest_waiter_alone(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1), *second = world_sandbox(world, 2);
    world_starts(world, second); /* the younger waiter's own, not that it belongs to it */
    world_prints(second, "Traceback");
    world_frame_error(second, FRAME_INIT_FAILED, 0, "E\"\n", "{\"errorType\":\"E\"}");
    world_wait(world, call);
    world_call_failed(call, "E");
    assert_int_equal(waiting->answers, 0);
    assert_non_null(strstr(buffer_text(&call->tail), "Traceback\n")); /* also a line that was not ended */
    assert_non_null(strstr(buffer_text(&call->tail), "Error Type: E??\n"));
    world_boots(world, first);
    world_takes(world, first);
    world_answers(first, "1");
    world_wait(world, waiting);
    world_call_ended(waiting, INVOCATION_SUCCEEDED, "1");
}

/* The process exits right behind it: the engine may find both in one turn of its loop, in either order. */
static void INIT_FAILED_counts_although_the_end_is_seen_first(void **state)
{
    struct world *world = *state;
    struct call *call = world_invoke(world, world_function(world, "hello"), "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_starts(world, sandbox);
    world_settle(world);
    world_frame_error(sandbox, FRAME_INIT_FAILED, 0, "E", "{\"errorType\":\"E\"}");
    world_exits(world, sandbox, exit_status_1, false);
    struct keeper_event event;
    bool got = false;
    struct error err;
    assert_int_equal(keeper_receive(&world->link, &event, &got, &err), OK); /* before the loop reads the channel */
    instance_event(world_instance(world, sandbox), &event);
    world_wait(world, call);
    world_call_failed(call, "E");
}

static void DONE_counts_although_the_end_is_seen_first(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    world_prints(sandbox, "before the end\n");
    world_answers(sandbox, "\"last words\"");
    world_exits(world, sandbox, 0, false);
    struct keeper_event event;
    bool got = false;
    struct error err;
    assert_int_equal(keeper_receive(&world->link, &event, &got, &err), OK);
    instance_event(world_instance(world, sandbox), &event);
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "\"last words\"");
    assert_non_null(strstr(buffer_text(&call->tail), "before the end\n"));
    assert_int_equal(waiting->answers, 0); /* it does not get an instance that is dead */
    struct sandbox *second = world_sandbox(world, 2);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(second, "2");
    world_wait(world, waiting);
    world_call_ended(waiting, INVOCATION_SUCCEEDED, "2");
}

static void READY_of_a_dead_instance_serves_nobody(void **state)
{
    struct world *world = *state;
    struct call *call = world_invoke(world, world_function(world, "hello"), "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_starts(world, sandbox);
    world_settle(world);
    world_ready(sandbox);
    world_exits(world, sandbox, exit_status_1, false);
    struct keeper_event event;
    bool got = false;
    struct error err;
    assert_int_equal(keeper_receive(&world->link, &event, &got, &err), OK);
    instance_event(world_instance(world, sandbox), &event);
    world_wait(world, call);
    world_call_failed(call, "Runtime.ExitError");
}

static void an_init_that_takes_too_long_answers_the_oldest_waiter_alone(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1), *second = world_sandbox(world, 2);
    world_starts(world, first);
    world_starts(world, second);
    world_settle(world);
    struct instance *slow = world_instance(world, second);
    (void)uv_timer_start(&slow->deadline, slow->deadline.timer_cb, 0, 0); /* its hour is over */
    world_wait(world, call);
    world_call_failed(call, "Sandbox.Timedout");
    assert_int_equal(second->kills, 1);
    assert_int_equal(waiting->answers, 0);
    world_ready(first);
    world_takes(world, first);
    world_answers(first, "1");
    world_wait(world, waiting);
    world_call_ended(waiting, INVOCATION_SUCCEEDED, "1");
}

static void a_channel_that_ends_between_READY_and_STARTED_serves_nobody(void **state)
{
    struct world *world = *state;
    struct call *call = world_invoke(world, world_function(world, "hello"), "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_ready(sandbox);
    world_run_until(world, world_instance(world, sandbox)->ready);
    fd_drop(&sandbox->channel);
    world_run_until(world, !world_instance(world, sandbox)->channel_open);
    world_starts(world, sandbox);
    world_wait(world, call); /* it hides: killed a moment later, long before the function's timeout */
    world_call_failed(call, "Runtime.ExitError");
    assert_int_equal(sandbox->kills, 1);
}

/* ---- the end ---- */

static void an_exit_during_init_answers_the_oldest_waiter_alone(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    struct sandbox *first = world_sandbox(world, 1), *second = world_sandbox(world, 2);
    world_starts(world, first);
    world_prints(first, "half a line");
    world_exits(world, first, exit_status_1, false);
    world_wait(world, call);
    world_call_failed(call, "Runtime.ExitError");
    assert_non_null(strstr(buffer_text(&call->tail), "half a line\n"));
    assert_non_null(strstr(buffer_text(&call->payload), "exit status 1"));
    assert_int_equal(waiting->answers, 0);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(second, "2");
    world_wait(world, waiting);
}

static void an_exit_during_a_call_fails_it_and_the_next_call_works(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    world_prints(sandbox, "last line");
    world_exits(world, sandbox, killed, false);
    world_wait(world, call);
    world_call_failed(call, "Runtime.ExitError");
    assert_non_null(strstr(buffer_text(&call->payload), "signal: killed"));
    assert_non_null(strstr(buffer_text(&call->tail), "last line\n"));
    struct sandbox *second = world_sandbox(world, 2);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(second, "2");
    world_wait(world, waiting);
    world_call_ended(waiting, INVOCATION_SUCCEEDED, "2");
}

static void out_of_memory_has_its_own_name(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    world_exits(world, sandbox, exit_status_1, true);
    world_wait(world, call);
    world_call_failed(call, "Runtime.OutOfMemory");
}

static void an_exit_while_idle_costs_nobody_anything(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    world_exits(world, sandbox, 0, false);
    world_gone(world, sandbox);
    struct sandbox *second = world_warm(world, hello);
    assert_ptr_equal(second, &world->sandboxes[1]);
}

/* The loop has not heard of its end yet when the call comes: nothing was delivered, so another instance can have it. */
static void a_call_that_meets_a_dead_idle_instance_goes_to_another(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *first = world_warm(world, hello);
    world_exits(world, first, 0, false);
    struct call *call = world_invoke(world, hello, "{\"again\":1}");
    struct sandbox *second = world_sandbox(world, 2);
    world_boots(world, second);
    world_takes(world, second);
    assert_string_equal(buffer_text(&second->payload), "{\"again\":1}");
    world_answers(second, "2");
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "2");
}

static void a_call_for_an_instance_that_cannot_be_woken_goes_to_another(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *first = world_warm(world, hello);
    fd_drop(&world_instance(world, first)->meters.freeze); /* no freezer: it is stopped by signal */
    instance_freeze(world_instance(world, first));
    assert_true(first->stopped);
    world->stops_behind = 2; /* the call's, and the kill's */
    struct call *call = world_invoke(world, hello, "{}");
    struct sandbox *second = world_sandbox(world, 2);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(second, "2");
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "2");
    assert_int_equal(first->kills, 1);
}

static void a_waiter_that_meets_an_instance_dead_after_its_answer_goes_to_another(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *first = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    world_takes(world, first);
    world_answers(first, "1");
    fd_drop(&first->channel); /* and no EXITED yet */
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "1");
    struct sandbox *second = world_sandbox(world, 2);
    world_boots(world, second);
    world_takes(world, second);
    world_answers(second, "2");
    world_wait(world, waiting);
    world_call_ended(waiting, INVOCATION_SUCCEEDED, "2");
}

static void an_instance_that_closes_its_channel_and_lives_on_is_killed(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    fd_drop(&sandbox->channel);
    world_wait(world, call);
    world_call_failed(call, "Runtime.ExitError");
    assert_int_equal(sandbox->kills, 1);
}

static void an_idle_instance_that_closes_its_channel_is_killed(void **state)
{
    struct world *world = *state;
    struct sandbox *sandbox = world_warm(world, world_function(world, "hello"));
    fd_drop(&sandbox->channel);
    world_gone(world, sandbox);
    assert_int_equal(sandbox->kills, 1);
}

static void a_timeout_kills_and_the_next_waiter_gets_a_new_instance(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function_of(world, "hello", 0); /* its time is over at once */
    world->engine->starts_max = 1;
    struct call *call = world_invoke(world, hello, "{}"), *waiting = world_invoke(world, hello, "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_boots(world, sandbox);
    world_wait(world, call);
    world_call_failed(call, "Sandbox.Timedout");
    assert_non_null(strstr(buffer_text(&call->tail), "Task timed out after 0.00 seconds"));
    assert_non_null(strstr(buffer_text(&call->tail), "Status: timeout"));
    assert_int_equal(sandbox->kills, 1);
    struct sandbox *second = world_sandbox(world, 2);
    world_boots(world, second);
    world_wait(world, waiting);
    world_call_failed(waiting, "Sandbox.Timedout");
}

static void an_instance_killed_before_it_had_started_is_cleaned_up_when_it_has(void **state)
{
    struct world *world = *state;
    world->kills_wait = true;
    struct function *hello = world_function(world, "hello");
    struct call *call = world_invoke(world, hello, "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_frame(sandbox, FRAME_DONE, 0, SLICE("1")); /* nonsense: killed */
    world_wait(world, call);
    world_starts(world, sandbox); /* had been on its way */
    world_settle(world);
    assert_int_equal(world->api_open, 0);
    world_exits(world, sandbox, killed, false);
    world_gone(world, sandbox);
}

static void a_kill_that_the_keeper_cannot_take_now_is_sent_later(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    world->kills_behind = 3; /* and the keeper has nothing to say meanwhile */
    world_frame(sandbox, FRAME_DONE, 1, SLICE("1"));
    world_gone(world, sandbox);
    assert_int_equal(sandbox->kills, 1);
    assert_int_equal(world->engine->unsent_count, 0);
}

static void the_end_of_its_init_that_the_keeper_cannot_take_now_is_sent_later(void **state)
{
    struct world *world = *state;
    world->readies_behind = 3;
    struct sandbox *sandbox = world_warm(world, world_function(world, "hello"));
    world_run_until(world, sandbox->readies == 1);
    assert_int_equal(world->engine->unsent_count, 0);
}

static void an_instance_that_goes_while_its_kill_is_unsent_is_forgotten(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    world->kills_behind = 1;
    world_frame(sandbox, FRAME_DONE, 1, SLICE("1"));
    world_run_until(world, world_instance(world, sandbox)->state == INSTANCE_STOPPING);
    world_exits(world, sandbox, 0, false);
    world_gone(world, sandbox);
    assert_int_equal(sandbox->kills, 0);
    assert_int_equal(world->engine->unsent_count, 0);
}

/* ---- what it prints ---- */

static void what_was_printed_before_the_answer_is_in_its_log(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, hello);
    struct call *call = world_invoke(world, hello, "{}");
    world_takes(world, sandbox);
    world_prints(sandbox, "one\ntwo");
    world_answers(sandbox, "1");
    world_wait(world, call);
    const char *log = buffer_text(&call->tail);
    const char *start = strstr(log, "START RequestId: "), *one = strstr(log, "one\n"), *two = strstr(log, "two\n"),
               *end = strstr(log, "END RequestId: ");
    assert_true(start != NULL && one > start && two > one && end > two);
    assert_null(strstr(log, "Init Duration")); /* warm */
}

static void the_first_call_on_an_instance_tells_its_init(void **state)
{
    struct world *world = *state;
    struct call *call = world_invoke(world, world_function(world, "hello"), "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_prints(sandbox, "loading\n");
    world_boots(world, sandbox);
    world_takes(world, sandbox);
    world_answers(sandbox, "1");
    world_wait(world, call);
    assert_non_null(strstr(buffer_text(&call->tail), "loading\n"));
    assert_non_null(strstr(buffer_text(&call->tail), "Init Duration: "));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_gets_its_payload_and_the_answer_comes_back),
        TEST(a_call_without_a_payload_gets_an_empty_object),
        TEST(frames_may_come_one_byte_at_a_time),
        TEST(the_largest_payload_goes_in_and_the_largest_answer_comes_out),
        TEST(an_answer_above_the_limit_is_an_error_of_the_function),
        TEST(an_error_above_the_limit_is_cut_as_well),
        TEST(FAILED_answers_and_the_instance_stays),
        TEST(FATAL_answers_and_the_instance_gets_no_further_call),
        TEST(an_idle_instance_that_sends_DONE_is_killed_and_nobody_else_pays),
        TEST(a_DONE_with_the_wrong_sequence_costs_its_own_call_alone),
        TEST(a_second_READY_during_a_call_costs_its_own_call_alone),
        TEST(a_CHUNK_costs_its_own_call_alone),
        TEST(an_error_without_its_type_costs_its_own_call_alone),
        TEST(a_frame_that_is_too_long_is_refused_at_its_head),
        TEST(two_answers_to_one_call_cost_the_instance_but_not_the_next_call),
        TEST(nonsense_before_READY_answers_the_oldest_waiter_alone),
        TEST(what_a_stopped_instance_still_says_means_nothing),
        TEST(READY_may_come_before_STARTED),
        TEST(READY_may_come_after_STARTED),
        TEST(INIT_FAILED_answers_the_oldest_waiter_alone),
        TEST(INIT_FAILED_counts_although_the_end_is_seen_first),
        TEST(DONE_counts_although_the_end_is_seen_first),
        TEST(READY_of_a_dead_instance_serves_nobody),
        TEST(an_init_that_takes_too_long_answers_the_oldest_waiter_alone),
        TEST(a_channel_that_ends_between_READY_and_STARTED_serves_nobody),
        TEST(an_exit_during_init_answers_the_oldest_waiter_alone),
        TEST(an_exit_during_a_call_fails_it_and_the_next_call_works),
        TEST(out_of_memory_has_its_own_name),
        TEST(an_exit_while_idle_costs_nobody_anything),
        TEST(a_call_that_meets_a_dead_idle_instance_goes_to_another),
        TEST(a_call_for_an_instance_that_cannot_be_woken_goes_to_another),
        TEST(a_waiter_that_meets_an_instance_dead_after_its_answer_goes_to_another),
        TEST(an_instance_that_closes_its_channel_and_lives_on_is_killed),
        TEST(an_idle_instance_that_closes_its_channel_is_killed),
        TEST(a_timeout_kills_and_the_next_waiter_gets_a_new_instance),
        TEST(an_instance_killed_before_it_had_started_is_cleaned_up_when_it_has),
        TEST(a_kill_that_the_keeper_cannot_take_now_is_sent_later),
        TEST(the_end_of_its_init_that_the_keeper_cannot_take_now_is_sent_later),
        TEST(an_instance_that_goes_while_its_kill_is_unsent_is_forgotten),
        TEST(what_was_printed_before_the_answer_is_in_its_log),
        TEST(the_first_call_on_an_instance_tells_its_init),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
