/* gateway/function_url: the life of a call, between the real HTTP server and an engine that the test holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/private.h"

#define ID "abcdefghijklmnopqrstuvwxyz012345"
enum { HELD_MAX = 8, SECONDS_MAX = 60, BUDGET = 256 * 1024 };

/* ---- the engine ---- */

struct held {
    struct buffer payload;
    char qualifier[32], trace[128], request_id[40];
    invocation_done_fn *done;
    void *arg;
};
struct engine {
    struct function function;
    struct function_url *url; /* NULL: there is none */
    struct setting setting;
    bool no_route;
    struct held held[HELD_MAX];
    size_t count;
};

const struct setting *engine_url_find(const struct engine *engine, struct slice url_id, struct slice *name)
{
    if (engine->url == NULL || !slice_is(url_id, engine->url->id))
        return NULL;
    *name = SLICE("hello");
    return &engine->setting;
}

struct function *engine_find(const struct engine *engine, struct slice name)
{
    (void)name;
    return (struct function *)(uintptr_t)&engine->function;
}

struct function *engine_route(struct engine *engine, struct slice name, struct slice qualifier)
{
    (void)name;
    (void)qualifier;
    return engine->no_route ? NULL : &engine->function;
}

struct invocation *engine_invoke(struct engine *engine, const struct invocation_input *input,
                                 invocation_done_fn *done, void *arg)
{
    assert_true(engine->count < HELD_MAX);
    struct held *held = &engine->held[engine->count++];
    held->payload = buffer_take(input->payload);
    (void)snprintf(held->qualifier, sizeof(held->qualifier), "%.*s", SLICE_PRINT(input->qualifier));
    (void)snprintf(held->trace, sizeof(held->trace), "%.*s", SLICE_PRINT(input->trace));
    (void)snprintf(held->request_id, sizeof(held->request_id), "%.*s", SLICE_PRINT(input->request_id));
    held->done = done;
    held->arg = arg;
    return NULL;
}

/* ---- the world ---- */

struct world {
    uv_loop_t loop;
    struct http_server *server;
    struct http_listener *listener;
    struct keyring *keyring;
    struct gateway *gateway;
    struct engine engine;
    int port;
    bool closed;
};

static int setup(void **state)
{
    struct world *w = memory_new(sizeof(*w));
    char address[128];
    int fd = -1;
    alarm(SECONDS_MAX);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->keyring = keyring_new("000000000000");
    w->engine.url = function_url_new();
    (void)snprintf(w->engine.url->id, sizeof(w->engine.url->id), "%s", ID);
    w->engine.url->iam = false;
    w->engine.setting = (struct setting){ .qualifier = memory_text("$LATEST"), .url = w->engine.url };
    w->engine.function.tracing_mode = memory_text("PassThrough");
    struct gateway_config config = { .region = "us-east-1",
                                     .engine = &w->engine,
                                     .keyring = w->keyring,
                                     .gateway_url = "http://127.0.0.1:8080",
                                     .bodies_bytes_max = BUDGET };
    w->gateway = gateway_new(&config);
    struct http_handler handler = { gateway_request, w->gateway };
    w->server = http_server_new(&w->loop, NULL, &handler);
    assert_int_equal(http_bind("127.0.0.1:0", &fd, NULL), OK);
    assert_int_equal(http_listen(w->server, &fd, NULL, &w->listener, NULL), OK);
    http_listener_address(w->listener, address);
    w->port = atoi(strchr(address, ':') + 1);
    *state = w;
    return 0;
}

static void closed(void *arg)
{
    *(bool *)arg = true;
}

/* `done` as the engine calls it; the result lives during the call. */
static void finish(struct world *w, size_t index, struct invocation_result result)
{
    struct held *held = &w->engine.held[index];
    invocation_done_fn *done = held->done;
    assert_non_null(done);
    held->done = NULL;
    buffer_drop(&held->payload);
    done(&result, held->arg);
}

static void answer(struct world *w, size_t index, const char *payload)
{
    finish(w, index, (struct invocation_result){ .status = INVOCATION_SUCCEEDED, .payload = slice_of(payload) });
}

static int teardown(void **state)
{
    struct world *w = *state;
    if (w->server != NULL)
        http_server_close(w->server, closed, &w->closed);
    gateway_free(w->gateway); /* before its calls end */
    while (w->server != NULL && !w->closed)
        uv_run(&w->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < w->engine.count; i++)
        if (w->engine.held[i].done != NULL)
            answer(w, i, "1");
    function_url_free(w->engine.url);
    free(w->engine.setting.qualifier);
    free(w->engine.function.tracing_mode);
    keyring_free(w->keyring);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
    alarm(0);
    return 0;
}

/* ---- a client on the same thread ---- */

static int client_open(const struct world *w)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)w->port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void client_send(struct world *w, int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);
        if (sent > 0)
            bytes = slice_sub(bytes, (size_t)sent, bytes.len);
        else if (errno == EPIPE || errno == ECONNRESET)
            return; /* it has answered already */
        (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    }
}

static void client_post(struct world *w, int fd, size_t body)
{
    struct buffer text = BUFFER_EMPTY;
    buffer_appendf(&text, "POST /a HTTP/1.1\r\nHost: " ID ".lambda-url.x\r\nContent-Length: %zu\r\n\r\n", body);
    for (size_t i = 0; i < body; i++)
        buffer_append_byte(&text, 'x');
    client_send(w, fd, buffer_slice(&text));
    buffer_drop(&text);
}

/* All that came until `text` was in it; owned. */
static char *client_wait(struct world *w, int fd, const char *text)
{
    struct buffer got = BUFFER_EMPTY;
    while (got.len == 0 || strstr(buffer_text(&got), text) == NULL) {
        char piece[4096];
        ssize_t len = recv(fd, piece, sizeof(piece), 0);
        if (len > 0)
            buffer_append(&got, piece, (size_t)len);
        else if (len == 0)
            fail_msg("ended before \"%s\": %s", text, buffer_text(&got));
        (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    return got.at;
}

static void assert_answered(struct world *w, int fd, const char *status, const char *body)
{
    char *got = client_wait(w, fd, body);
    assert_non_null(strstr(got, status));
    free(got);
}

#define run_until(w, condition)                                                                                    \
    while (!(condition))                                                                                           \
    (void)uv_run(&(w)->loop, UV_RUN_NOWAIT)

/* ---- the tests ---- */

static void a_call_is_invoked_with_its_event_and_answered(void **state)
{
    struct world *w = *state;
    int fd = client_open(w);
    client_post(w, fd, 5);
    run_until(w, w->engine.count == 1);
    struct held *held = &w->engine.held[0];
    assert_non_null(strstr(buffer_text(&held->payload), "\"rawPath\":\"/a\""));
    assert_non_null(strstr(held->payload.at, held->request_id));
    assert_string_equal(held->qualifier, "");
    assert_non_null(strstr(held->trace, ";Sampled=0"));
    assert_int_equal(w->gateway->bodies_bytes, held->payload.len);
    answer(w, 0, "\"hello\"");
    assert_answered(w, fd, "HTTP/1.1 200", "\r\n\r\nhello");
    assert_int_equal(w->gateway->calls, 0);
    assert_int_equal(w->gateway->bodies_bytes, 0);
    close(fd);
}

static void an_alias_and_active_tracing_are_told_to_the_engine(void **state)
{
    struct world *w = *state;
    int fd = client_open(w);
    free(w->engine.setting.qualifier);
    w->engine.setting.qualifier = memory_text("live");
    free(w->engine.function.tracing_mode);
    w->engine.function.tracing_mode = memory_text("Active");
    client_post(w, fd, 0);
    run_until(w, w->engine.count == 1);
    assert_string_equal(w->engine.held[0].qualifier, "live");
    assert_non_null(strstr(w->engine.held[0].trace, ";Sampled=1"));
    close(fd);
}

static void each_way_to_fail_has_its_answer(void **state)
{
    static const struct {
        enum error_kind kind;
        const char *status, *body;
    } cases[] = {
        { ERROR_THROTTLED, "HTTP/1.1 429", "\"message\":\"Rate Exceeded.\"}" },
        { ERROR_UNAVAILABLE, "HTTP/1.1 503", "Service Unavailable\"}" },
        { ERROR_NOT_FOUND, "HTTP/1.1 403", "{\"Message\":null}" },
        { ERROR_INTERNAL, "HTTP/1.1 502", "\r\n\r\nInternal Server Error" },
    };
    struct world *w = *state;
    int fd = client_open(w);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = { .kind = cases[i].kind };
        client_post(w, fd, 1);
        run_until(w, w->engine.count == i + 1);
        finish(w, i, (struct invocation_result){ .status = INVOCATION_REFUSED, .error = &err });
        assert_answered(w, fd, cases[i].status, cases[i].body);
    }
    client_post(w, fd, 1);
    run_until(w, w->engine.count == 5);
    finish(w, 4, (struct invocation_result){ .status = INVOCATION_FUNCTION_ERROR, .payload = SLICE("{\"a\":1}") });
    assert_answered(w, fd, "HTTP/1.1 502", "\r\n\r\nInternal Server Error");
    w->engine.no_route = true;
    client_post(w, fd, 1);
    assert_answered(w, fd, "HTTP/1.1 403", "{\"Message\":null}");
    close(fd);
}

static void bodies_have_one_budget_and_small_ones_always_a_part_of_it(void **state)
{
    struct world *w = *state;
    int first = client_open(w), second = client_open(w), third = client_open(w);
    client_post(w, first, 130 * 1024); /* as base64 174 KB */
    run_until(w, w->engine.count == 1);
    client_post(w, second, 100 * 1024);
    assert_answered(w, second, "HTTP/1.1 503", "Service Unavailable");
    client_post(w, third, 1000);
    run_until(w, w->engine.count == 2);
    answer(w, 0, "1");
    answer(w, 1, "1");
    run_until(w, w->gateway->calls == 0);
    assert_int_equal(w->gateway->bodies_bytes, 0);
    client_post(w, third, 100 * 1024);
    run_until(w, w->engine.count == 3);
    close(first);
    close(second);
    close(third);
}

static void a_client_that_goes_while_it_sends_leaves_nothing(void **state)
{
    struct world *w = *state;
    int fd = client_open(w);
    client_send(w, fd, SLICE("POST / HTTP/1.1\r\nHost: " ID ".lambda-url.x\r\nContent-Length: 10\r\n\r\nhello"));
    run_until(w, w->gateway->bodies_bytes == 5);
    close(fd);
    run_until(w, w->gateway->calls == 0);
    assert_int_equal(w->gateway->bodies_bytes, 0);
    assert_int_equal(w->engine.count, 0);
}

static void a_client_that_goes_while_the_function_runs_changes_nothing_for_it(void **state)
{
    struct world *w = *state;
    int fd = client_open(w);
    client_post(w, fd, 5);
    run_until(w, w->engine.count == 1);
    close(fd);
    run_until(w, http_server_connections(w->server) == 0);
    assert_int_equal(w->gateway->calls, 1);
    answer(w, 0, "\"nobody hears it\"");
    assert_int_equal(w->gateway->calls, 0);
}

static void a_url_that_goes_while_its_body_comes_in_runs_nothing(void **state)
{
    struct world *w = *state;
    int fd = client_open(w);
    client_send(w, fd, SLICE("POST / HTTP/1.1\r\nHost: " ID ".lambda-url.x\r\nContent-Length: 10\r\n\r\nhello"));
    run_until(w, w->gateway->bodies_bytes == 5);
    function_url_free(w->engine.url);
    w->engine.url = w->engine.setting.url = NULL;
    client_send(w, fd, SLICE("world"));
    assert_answered(w, fd, "HTTP/1.1 403", "{\"Message\":null}");
    assert_int_equal(w->engine.count, 0);
    close(fd);
}

static void a_url_that_is_closed_while_its_body_comes_in_asks_for_a_signature(void **state)
{
    struct world *w = *state;
    int fd = client_open(w);
    client_send(w, fd, SLICE("POST / HTTP/1.1\r\nHost: " ID ".lambda-url.x\r\nContent-Length: 10\r\n\r\nhello"));
    run_until(w, w->gateway->bodies_bytes == 5);
    w->engine.url->iam = true;
    client_send(w, fd, SLICE("world"));
    assert_answered(w, fd, "HTTP/1.1 403", "urls-auth.html\"}");
    assert_int_equal(w->engine.count, 0);
    close(fd);
}

static void a_gateway_that_is_freed_lives_until_its_last_call(void **state)
{
    struct world *w = *state;
    int fd = client_open(w);
    client_post(w, fd, 5);
    run_until(w, w->engine.count == 1);
    close(fd); /* teardown frees the gateway, then lets the engine answer */
}

static void names_are_found_by_host_and_by_path(void **state)
{
    static const struct {
        const char *host, *id; /* NULL: none */
    } hosts[] = {
        { "abc.lambda-url.us-east-1.on.aws", "abc" },
        { "ABC.LAMBDA-URL.x:8080", "ABC" },
        { "abc.lambda-url", "abc" },
        { "abc.lambda-url:80", "abc" },
        { "abc.lambda-urls.x", NULL },
        { "lambda-url.x", NULL },
        { ".lambda-url.x", NULL },
        { "a.b.lambda-url.x", NULL },
        { "", NULL },
        { "[::1]:80", NULL },
        { "localhost", NULL },
        { "a..lambda-url", NULL },
    };
    static const struct {
        const char *target, *id, *path;
    } paths[] = {
        { "/lambda-url/abc", "abc", "/" },
        { "/lambda-url/abc/", "abc", "/" },
        { "/lambda-url/abc//x", "abc", "//x" },
        { "/lambda-url/abc/%2F", "abc", "/%2F" },
        { "/lambda-url/", "", "/" },
        { "/lambda-url//x", "", "/x" },
        { "/lambda-url", NULL, NULL },
        { "/lambda-urls/abc", NULL, NULL },
        { "/x/lambda-url/abc", NULL, NULL },
    };
    struct slice id = SLICE_EMPTY, rest = SLICE_EMPTY;
    (void)state;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        assert_int_equal(gateway_url_of_host(slice_of(hosts[i].host), &id, &rest), hosts[i].id != NULL);
        if (hosts[i].id != NULL)
            assert_true(slice_is(id, hosts[i].id));
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(gateway_url_of_path(slice_of(paths[i].target), &id, &rest), paths[i].id != NULL);
        if (paths[i].id != NULL)
            assert_true(slice_is(id, paths[i].id) && slice_is(rest, paths[i].path));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_invoked_with_its_event_and_answered),
        TEST(an_alias_and_active_tracing_are_told_to_the_engine),
        TEST(each_way_to_fail_has_its_answer),
        TEST(bodies_have_one_budget_and_small_ones_always_a_part_of_it),
        TEST(a_client_that_goes_while_it_sends_leaves_nothing),
        TEST(a_client_that_goes_while_the_function_runs_changes_nothing_for_it),
        TEST(a_url_that_goes_while_its_body_comes_in_runs_nothing),
        TEST(a_url_that_is_closed_while_its_body_comes_in_asks_for_a_signature),
        TEST(a_gateway_that_is_freed_lives_until_its_last_call),
        cmocka_unit_test(names_are_found_by_host_and_by_path),
    };
    return cmocka_run_group_tests_name("gateway/function_url", tests, NULL, NULL);
}
