/* Instances of `provided` runtimes: what the Runtime API says of them, and when they are free. The test is the runtime, over a real socket. */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct runtime {
    struct world *world;
    struct sandbox *sandbox;
    int fd;
    struct buffer in;
    char request_id[UUID_TEXT_BYTES];
};

static int provided_setup(void **state)
{
    int failed = world_setup(state);
    ((struct world *)*state)->provided = true;
    return failed;
}

static void runtime_init(struct runtime *r, struct world *world, struct sandbox *sandbox)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)sandbox->runtime_port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    *r = (struct runtime){ .world = world, .sandbox = sandbox };
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(fcntl(r->fd, F_SETFL, O_NONBLOCK), 0);
}

static void runtime_done(struct runtime *r)
{
    fd_drop(&r->fd);
    buffer_drop(&r->in);
}

static void says(struct runtime *r, const char *text)
{
    assert_int_equal(write(r->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static bool heard(struct runtime *r, const char *text)
{
    char block[4096];
    ssize_t got = recv(r->fd, block, sizeof(block), 0);
    if (got > 0)
        buffer_append(&r->in, block, (size_t)got);
    return r->in.len > 0 && strstr(buffer_text(&r->in), text) != NULL;
}

static void asks(struct runtime *r)
{
    buffer_reset(&r->in);
    says(r, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: h\r\n\r\n");
}

static void gets_a_call(struct runtime *r)
{
    static const char name[] = "Lambda-Runtime-Aws-Request-Id: ";
    world_run_until(r->world, heard(r, "\r\n\r\n{"));
    const char *id = strstr(buffer_text(&r->in), name);
    assert_non_null(id);
    (void)snprintf(r->request_id, sizeof(r->request_id), "%.36s", id + strlen(name));
}

static void answers(struct runtime *r, const char *how, const char *body)
{
    char text[512];
    buffer_reset(&r->in);
    (void)snprintf(text, sizeof(text),
                   "POST /2018-06-01/runtime/invocation/%s/%s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n%s",
                   r->request_id, how, strlen(body), body);
    says(r, text);
    world_run_until(r->world, heard(r, "HTTP/1.1 202"));
}

/* A function with one instance, which has answered its first call and asked for no other. */
static struct function *settling(struct world *world, struct runtime *r, uint32_t timeout_s)
{
    struct function *f = world_function_of(world, "own", timeout_s);
    struct call *call = world_invoke(world, f, "{\"a\":1}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_starts(world, sandbox);
    runtime_init(r, world, sandbox);
    asks(r);
    gets_a_call(r);
    assert_int_equal(world_instance(world, sandbox)->state, INSTANCE_BUSY);
    answers(r, "response", "{\"b\":2}");
    world_call_ended(call, INVOCATION_SUCCEEDED, "{\"b\":2}");
    assert_int_equal(world_instance(world, sandbox)->state, INSTANCE_SETTLING);
    return f;
}

static void its_caller_is_answered_at_once_and_it_is_free_when_it_asks_again(void **state)
{
    struct world *world = *state;
    struct runtime r;
    struct function *f = settling(world, &r, FUNCTION_TIMEOUT_S_MAX);
    asks(&r);
    world_run_until(world, world_instance(world, r.sandbox)->state == INSTANCE_IDLE);
    struct call *call = world_invoke(world, f, "{\"a\":3}");
    assert_int_equal(world_instance(world, r.sandbox)->state, INSTANCE_BUSY);
    gets_a_call(&r);
    assert_non_null(strstr(buffer_text(&r.in), "{\"a\":3}"));
    answers(&r, "error", "{\"errorType\":\"T\"}");
    world_call_failed(call, "T");
    assert_int_equal(world->sandbox_count, 1);
    runtime_done(&r);
}

static void a_call_in_between_waits_a_moment_for_it(void **state)
{
    struct world *world = *state;
    struct runtime r;
    struct function *f = settling(world, &r, FUNCTION_TIMEOUT_S_MAX);
    struct call *call = world_invoke(world, f, "{\"a\":3}");
    assert_int_equal(world->sandbox_count, 1);
    asks(&r);
    gets_a_call(&r);
    answers(&r, "response", "3");
    world_call_ended(call, INVOCATION_SUCCEEDED, "3");
    runtime_done(&r);
}

static void a_call_does_not_wait_long_for_it(void **state)
{
    struct world *world = *state;
    struct runtime r, other;
    struct function *f = settling(world, &r, FUNCTION_TIMEOUT_S_MAX);
    struct call *call = world_invoke(world, f, "{\"a\":3}");
    struct sandbox *second = world_sandbox(world, 2);
    world_starts(world, second);
    runtime_init(&other, world, second);
    asks(&other);
    gets_a_call(&other);
    answers(&other, "response", "3");
    world_call_ended(call, INVOCATION_SUCCEEDED, "3");
    assert_int_equal(world_instance(world, r.sandbox)->state, INSTANCE_SETTLING);
    runtime_done(&r);
    runtime_done(&other);
}

static void what_it_does_for_long_after_its_answer_counts_as_a_call(void **state)
{
    struct world *world = *state;
    struct runtime r;
    (void)settling(world, &r, FUNCTION_TIMEOUT_S_MAX);
    assert_int_equal(world->engine->unreserved_in_flight, 0);
    world_run_until(world, world->engine->unreserved_in_flight == 1);
    asks(&r);
    world_run_until(world, world_instance(world, r.sandbox)->state == INSTANCE_IDLE);
    assert_int_equal(world->engine->unreserved_in_flight, 0);
    runtime_done(&r);
}

static void what_it_does_after_its_answer_ends_with_the_deadline_and_without_a_word(void **state)
{
    struct world *world = *state;
    struct runtime r;
    (void)settling(world, &r, 1);
    world_gone(world, r.sandbox);
    assert_int_equal(r.sandbox->kills, 1);
    assert_null(strstr(buffer_text(&world->log), "timed out"));
    runtime_done(&r);
}

static void a_call_that_is_not_answered_times_out(void **state)
{
    struct world *world = *state;
    struct runtime r;
    struct function *f = settling(world, &r, 1);
    struct call *call = world_invoke(world, f, "{}");
    asks(&r);
    gets_a_call(&r);
    world_wait(world, call);
    world_call_failed(call, "Sandbox.Timedout");
    world_gone(world, r.sandbox);
    runtime_done(&r);
}

static void the_instance_of_a_replaced_function_ends_when_it_asks_again(void **state)
{
    struct world *world = *state;
    struct runtime r;
    (void)settling(world, &r, FUNCTION_TIMEOUT_S_MAX);
    assert_int_equal(world_update_code(world, "own").outcome, OK);
    assert_int_equal(world_instance(world, r.sandbox)->state, INSTANCE_SETTLING);
    asks(&r);
    world_gone(world, r.sandbox);
    runtime_done(&r);
}

static void a_shutdown_does_not_wait_for_it(void **state)
{
    struct world *world = *state;
    struct runtime r;
    (void)settling(world, &r, FUNCTION_TIMEOUT_S_MAX);
    world_drain(world, 10 * 1000);
    runtime_done(&r);
}

static void an_end_after_its_answer_is_nobodys_failure(void **state)
{
    struct world *world = *state;
    struct runtime r;
    (void)settling(world, &r, FUNCTION_TIMEOUT_S_MAX);
    world_exits(world, r.sandbox, 0, false);
    world_gone(world, r.sandbox);
    runtime_done(&r);
}

static void an_init_error_answers_the_oldest_waiter(void **state)
{
    struct world *world = *state;
    struct runtime r;
    struct call *call = world_invoke(world, world_function(world, "own"), "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_starts(world, sandbox);
    runtime_init(&r, world, sandbox);
    says(&r, "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: h\r\nContent-Length: "
             "17\r\n\r\n{\"errorType\":\"I\"}");
    world_wait(world, call);
    world_call_failed(call, "I");
    world_gone(world, sandbox);
    runtime_done(&r);
}

static void a_bootstrap_that_cannot_be_executed_is_told_and_not_tried_again(void **state)
{
    struct world *world = *state;
    struct call *call = world_invoke(world, world_function(world, "own"), "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_entry_refused(world, sandbox, "fork/exec /var/task/bootstrap: permission denied");
    world_wait(world, call);
    world_call_failed(call, "Runtime.InvalidEntrypoint");
    assert_non_null(strstr(buffer_text(&call->payload), "Error: fork/exec /var/task/bootstrap: permission denied"));
    world_gone(world, sandbox);
    assert_int_equal(world->sandbox_count, 1);
}

static void an_end_before_it_has_asked_is_an_exit_error(void **state)
{
    struct world *world = *state;
    struct call *call = world_invoke(world, world_function(world, "own"), "{}");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_starts(world, sandbox);
    world_run_until(world, world_instance(world, sandbox)->keeper_started);
    world_exits(world, sandbox, 1 << 8, false);
    world_wait(world, call);
    world_call_failed(call, "Runtime.ExitError");
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, provided_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        test(its_caller_is_answered_at_once_and_it_is_free_when_it_asks_again),
        test(a_call_in_between_waits_a_moment_for_it),
        test(a_call_does_not_wait_long_for_it),
        test(what_it_does_for_long_after_its_answer_counts_as_a_call),
        test(what_it_does_after_its_answer_ends_with_the_deadline_and_without_a_word),
        test(a_call_that_is_not_answered_times_out),
        test(the_instance_of_a_replaced_function_ends_when_it_asks_again),
        test(a_shutdown_does_not_wait_for_it),
        test(an_end_after_its_answer_is_nobodys_failure),
        test(an_init_error_answers_the_oldest_waiter),
        test(a_bootstrap_that_cannot_be_executed_is_told_and_not_tried_again),
        test(an_end_before_it_has_asked_is_an_exit_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
