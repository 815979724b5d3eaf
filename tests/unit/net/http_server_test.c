/* The server and its listeners: timeouts, limits, drain, close, and what is left afterwards. Short times stand in the
 * limits; a test waits for what must happen, never for a time. */
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"

#define HOST      "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

enum { SHORT_MS = 30, LONG_MS = 3600 * 1000 };

/* All limits long but what the test is about. */
static struct http_limits limits_long(void)
{
    return (struct http_limits){ .head_timeout_ms = LONG_MS,
                                 .body_stall_timeout_ms = LONG_MS,
                                 .write_stall_timeout_ms = LONG_MS,
                                 .idle_timeout_ms = LONG_MS };
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* ---- timeouts ---- */

static void a_head_that_does_not_end_is_answered_408(void **state)
{
    (void)state;
    struct http_limits limits = limits_long();
    limits.head_timeout_ms = SHORT_MS;
    struct world *world = world_new(limits);
    static const char *heads[] = { "G", "\r", "GET / HTTP/1.1\r\n" HOST, "GET / HTTP/1.1\r\n" HOST "X: 1" };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct client *client = client_new(world);
        client_send(client, slice_of(heads[i]), false);
        client_wait_for_end(client);
        assert_int_equal(client_times(client, "HTTP/1.1 408 Request Timeout"), 1);
        client_free(client);
    }
    assert_int_equal(world->requests, 0);
    world_free(world);
}

static void a_head_that_trickles_gets_no_more_time_with_each_byte(void **state)
{
    (void)state;
    struct http_limits limits = limits_long();
    limits.head_timeout_ms = SHORT_MS;
    struct world *world = world_new(limits);
    struct client *client = client_new(world);
    client_send(client, SLICE("GET / HTTP/1.1\r\n" HOST "X: "), false);
    while (!client->ended) { /* without the bound this would go on until the watchdog barks */
        client_send(client, SLICE("x"), false);
        if (!client->ended)
            uv_run(&world->loop, UV_RUN_NOWAIT);
        if (client->got.len > 0)
            break;
    }
    client_wait_for(client, "HTTP/1.1 4"); /* 408, or 431 should 64 KB have trickled in so short a time */
    client_free(client);
    world_free(world);
}

static void a_body_that_stalls_is_answered_408_and_the_handler_is_told(void **state)
{
    (void)state;
    struct http_limits limits = limits_long();
    limits.body_stall_timeout_ms = SHORT_MS;
    struct world *world = world_new(limits);
    struct client *client = client_new(world);
    client_send(client, SLICE("POST /count HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc"), false);
    client_wait_for(client, "HTTP/1.1 408 Request Timeout");
    assert_int_equal(world->gone, 1);
    client_wait_for_end(client);
    client_free(client);

    client = client_new(world);
    client_send(client, SLICE("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc"), false);
    client_wait_for(client, "HTTP/1.1 408 Request Timeout");
    assert_int_equal(world->body_error, ERROR_UNAVAILABLE);
    client_free(client);
    world_free(world);
}

/* Lets more time pass than all the short limits, as seen by the loop: a timer beside the server's. */
static void on_passed(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void let_limits_pass(struct world *world)
{
    uv_timer_t timer;
    bool passed = false;
    uv_timer_init(&world->loop, &timer);
    timer.data = &passed;
    uv_timer_start(&timer, on_passed, 4 * SHORT_MS, 0);
    world_run_until(world, passed);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&world->loop, UV_RUN_NOWAIT);
}

static void no_timeout_cuts_a_handler_that_works(void **state)
{
    (void)state;
    struct world *world = world_new((struct http_limits){ .head_timeout_ms = SHORT_MS,
                                                          .body_stall_timeout_ms = SHORT_MS,
                                                          .write_stall_timeout_ms = SHORT_MS,
                                                          .idle_timeout_ms = SHORT_MS });
    struct client *client = client_new(world), *reader = client_new(world), *writer = client_new(world);
    client_send(client, SLICE(GET("/hold")), false);
    world->pause_reading = true; /* it does not ask for more: the body's stall is ours, not the client's */
    client_send(reader, SLICE("POST /count HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc"), false);
    world_run_until(world, world->held_count == 2 && world->pieces == 1);
    client_send(writer, SLICE(GET("/hold")), false); /* this one has begun its answer, and says nothing for long */
    world_run_until(world, world->held_count == 3);
    http_start(world->held[2], 200, -1);
    http_write(world->held[2], SLICE("begun"));
    let_limits_pass(world);
    assert_int_equal(world->gone, 0);
    assert_int_equal(http_server_connections(world->server), 3);
    http_respond(world->held[0], 200, SLICE("late"));
    client_wait_for(client, "late");
    client_wait_for_end(client); /* and idling ends it */
    http_finish(world->held[2]);
    client_wait_for(writer, "0\r\n\r\n");
    client_free(client);
    client_free(reader);
    client_free(writer);
    world_free(world);
}

static void a_client_that_takes_nothing_of_an_answer_is_cut(void **state)
{
    (void)state;
    struct http_limits limits = limits_long();
    limits.write_stall_timeout_ms = SHORT_MS;
    struct world *world = world_new(limits);
    struct client *client = client_new(world);
    world->left_to_write = UINT32_MAX;
    uv_poll_stop(&client->poll);
    client_send(client, SLICE(GET("/download")), false);
    world_run_until(world, world->gone == 1);
    assert_true(world->left_to_write > 0);
    client_free(client);
    world_free(world);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    (void)state;
    struct http_limits limits = limits_long();
    limits.idle_timeout_ms = SHORT_MS;
    struct world *world = world_new(limits);
    struct client *fresh = client_new(world), *used = client_new(world);
    client_send(used, SLICE(GET("/measured")), false);
    client_wait_for(used, "onethree");
    client_wait_for_end(fresh);
    client_wait_for_end(used);
    assert_false(fresh->cut || used->cut);
    assert_int_equal(fresh->got.len, 0);
    assert_int_equal(client_times(used, "HTTP/1.1"), 1);
    client_free(fresh);
    client_free(used);
    world_free(world);
}

static void a_server_without_connections_has_no_timer(void **state)
{
    struct world *world = *state;
    world_turn(world);
    assert_int_equal(uv_backend_timeout(&world->loop), -1); /* epoll would wait for ever */
    struct client *client = client_new(world);
    client_send(client, SLICE(GET("/")), false);
    client_wait_for(client, "[GET|/|");
    world_turn(world);
    assert_true(uv_backend_timeout(&world->loop) > 0);
    client_free(client);
    world_run_until(world, http_server_connections(world->server) == 0);
    world_turn(world);
    assert_int_equal(uv_backend_timeout(&world->loop), -1);
}

/* ---- limits ---- */

static void more_connections_than_allowed_wait_for_their_turn(void **state)
{
    (void)state;
    struct http_limits limits = limits_long();
    limits.connections_max = 2;
    struct world *world = world_new(limits);
    struct client *clients[5];
    for (size_t i = 0; i < 5; i++) {
        clients[i] = client_new(world);
        client_send(clients[i], SLICE(GET("/measured")), false);
    }
    client_wait_for(clients[0], "onethree");
    client_wait_for(clients[1], "onethree");
    for (size_t i = 2; i < 5; i++) {
        world_turn(world);
        assert_int_equal(http_server_connections(world->server), 2);
        assert_int_equal(clients[i]->got.len, 0);
        client_free(clients[i - 2]);
        client_wait_for(clients[i], "onethree");
    }
    client_free(clients[3]);
    client_free(clients[4]);
    world_free(world);
}

static void a_listener_that_is_full_leaves_the_others_room(void **state)
{
    (void)state;
    struct http_limits limits = limits_long();
    limits.connections_max = 1;
    struct world *world = world_new(limits);
    struct http_listener *other;
    struct error err;
    char address[128];
    int fd = -1, first_port = world->port;
    assert_int_equal(http_bind("localhost:0", &fd, &err), OK);
    assert_int_equal(http_listen(world->server, &fd, NULL, &other, &err), OK);
    http_listener_address(other, address);
    struct client *full = client_new(world);
    client_send(full, SLICE(GET("/measured")), false);
    client_wait_for(full, "onethree");
    world->port = atoi(strrchr(address, ':') + 1);
    struct client *client = client_new(world);
    client_send(client, SLICE(GET("/measured")), false);
    client_wait_for(client, "onethree");
    http_listener_close(other); /* closes its idle connection, and only that */
    client_wait_for_end(client);
    world->port = first_port;
    client_send(full, SLICE(GET("/")), false);
    client_wait_for(full, "[GET|/|");
    client_free(full);
    client_free(client);
    world_free(world);
}

static void all_listeners_together_have_a_limit_and_idle_connections_make_room(void **state)
{
    (void)state;
    struct http_limits limits = limits_long();
    limits.connections_all_max = 2;
    struct world *world = world_new(limits);
    struct http_listener *other;
    struct error err;
    char address[128];
    int fd = -1, first_port = world->port;
    assert_int_equal(http_bind("localhost:0", &fd, &err), OK);
    assert_int_equal(http_listen(world->server, &fd, NULL, &other, &err), OK);
    http_listener_address(other, address);
    int other_port = atoi(strrchr(address, ':') + 1);
    struct client *idle = client_new(world), *busy = client_new(world);
    client_send(busy, SLICE(GET("/hold")), false);
    world_run_until(world, world->held_count == 1 && http_server_connections(world->server) == 2);
    world->port = other_port;
    struct client *late = client_new(world), *later = client_new(world);
    client_send(late, SLICE(GET("/hold")), false);
    client_wait_for_end(idle); /* long before its own time is up */
    assert_int_equal(idle->got.len, 0);
    world_run_until(world, world->held_count == 2);
    world->port = first_port;
    struct client *last = client_new(world);
    client_send(later, SLICE(GET("/measured")), false);
    client_send(last, SLICE(GET("/measured")), false);
    world_turn(world);
    assert_int_equal(http_server_connections(world->server), 2); /* those at work are not cut */
    client_free(busy);
    /* The listener that had no turn comes first; while others wait nobody stays for more. */
    client_wait_for(last, "onethree");
    client_wait_for(later, "onethree");
    client_wait_for_end(last);
    client_free(idle);
    client_free(late);
    client_free(later);
    client_free(last);
    world_free(world);
}

static void an_idle_connection_costs_at_most_8_KB(void **state)
{
    struct world *world = *state;
    enum { COUNT = 300, BYTES_MAX = 8 * 1024 };
    struct client *clients[COUNT];
    struct mallinfo2 before = mallinfo2();
    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_new(world); /* whose own memory is counted too */
        client_send(clients[i], SLICE("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"), false);
        client_wait_for(clients[i], "hello");
    }
    struct mallinfo2 after = mallinfo2(); /* a memory checker's malloc tells zeros */
    assert_true(after.uordblks + after.hblkhd < before.uordblks + before.hblkhd + (size_t)COUNT * BYTES_MAX);
    for (size_t i = 0; i < COUNT; i++)
        client_free(clients[i]);
}

static void a_server_out_of_descriptors_goes_on_when_there_are_some_again(void **state)
{
    struct world *world = *state;
    struct rlimit old, low;
    int taken[256];
    size_t count = 0;
    struct client *before = client_new(world), *during = client_new(world);
    client_send(before, SLICE(GET("/measured")), false);
    client_wait_for(before, "onethree");
    client_wait_for(before, "onethree");
    struct client *late = client_new(world); /* connected, not yet accepted */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)open_descriptors() + 8;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (count < 256 && (taken[count] = dup(0)) >= 0)
        count++;
    assert_int_equal(errno, EMFILE);
    client_send(before, SLICE(GET("/")), false); /* who is in is served */
    client_wait_for(before, "[GET|/|");
    client_wait_for_end(late); /* who comes is turned away, not left waiting */
    while (count > 0)
        close(taken[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    struct client *after = client_new(world);
    client_send(after, SLICE(GET("/measured")), false);
    client_wait_for(after, "onethree");
    client_free(before);
    client_free(during);
    client_free(late);
    client_free(after);
}

static void a_thousand_connections_leave_no_descriptor(void **state)
{
    struct world *world = *state;
    enum { ROUND = 50, ROUNDS = 20 };
    struct client *clients[ROUND];
    struct client *first = client_new(world); /* what the loop opens lazily is open after it */
    client_send(first, SLICE(GET("/measured")), false);
    client_wait_for(first, "onethree");
    client_free(first);
    world_run_until(world, http_server_connections(world->server) == 0);
    size_t before = open_descriptors();
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < ROUND; i++) {
            clients[i] = client_new(world);
            switch (i % 5) { /* dropped at each stage of their lives */
            case 0:
                client_send(clients[i], SLICE(GET("/measured")), false);
                break;
            case 1:
                client_send(clients[i], SLICE("GET / HT"), false);
                break;
            case 2:
                client_send(clients[i], SLICE("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nab"), false);
                break;
            case 3:
                client_send(clients[i], SLICE("nonsense\r\n\r\n"), false);
                break;
            default:
                break;
            }
        }
        for (size_t i = 0; i < ROUND; i++)
            client_free(clients[i]);
    }
    world_run_until(world, http_server_connections(world->server) == 0);
    assert_int_equal(open_descriptors(), before);
}

/* ---- ends ---- */

static void on_drained(void *arg)
{
    ((struct world *)arg)->drained = true;
}

static void a_drain_answers_what_runs_closes_what_idles_and_accepts_no_more(void **state)
{
    struct world *world = *state;
    struct client *idle = client_new(world), *busy = client_new(world), *partial = client_new(world);
    client_send(idle, SLICE(GET("/measured")), false);
    client_wait_for(idle, "onethree");
    client_send(partial, SLICE("GET /measured HTTP/1.1\r\n"), false);
    client_send(busy, SLICE(GET("/hold") GET("/never")), false);
    world_run_until(world, world->held_count == 1);
    http_server_drain(world->server, on_drained, world);
    assert_false(world->drained);
    client_wait_for_end(idle);
    client_send(partial, SLICE(HOST "\r\n"), false);
    client_wait_for(partial, "Connection: close\r\n");
    client_wait_for_end(partial);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)world->port) };
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), -1);
    close(fd);
    assert_false(world->drained);
    http_respond(world->held[0], 200, SLICE("done"));
    client_wait_for_end(busy);
    assert_int_equal(client_times(busy, "Connection: close\r\n"), 1);
    assert_int_equal(client_times(busy, "done"), 1);
    assert_null(strstr(buffer_text(&world->seen), "never"));
    client_free(idle);
    client_free(busy);
    client_free(partial);
    world_run_until(world, world->drained);
}

static void a_drain_without_connections_is_done_later_but_done(void **state)
{
    struct world *world = *state;
    http_server_drain(world->server, on_drained, world);
    assert_false(world->drained);
    world_run_until(world, world->drained);
}

static void a_close_cuts_everything_and_tells_each_handler_once(void **state)
{
    struct world *world = *state;
    struct client *clients[4];
    static const char *streams[] = { GET("/hold"), "POST /count HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nab",
                                     GET("/x"), "GET /partial" };
    for (size_t i = 0; i < 4; i++) {
        clients[i] = client_new(world);
        client_send(clients[i], slice_of(streams[i]), false);
    }
    client_wait_for(clients[2], "[GET|/x|");
    world_run_until(world, world->held_count == 2 && world->pieces == 1);
    http_server_close(world->server, on_drained, world);
    assert_int_equal(world->gone, 0);
    world_run_until(world, world->drained);
    assert_int_equal(world->gone, 2);
    world->server = NULL;
    for (size_t i = 0; i < 4; i++) {
        client_wait_for_end(clients[i]);
        client_free(clients[i]);
    }
}

/* ---- addresses ---- */

static void addresses_that_are_none_are_refused_with_a_hint(void **state)
{
    static const char *addresses[] = { "",
                                       ":",
                                       "127.0.0.1",
                                       "127.0.0.1:",
                                       "127.0.0.1:65536",
                                       "127.0.0.1:-1",
                                       "127.0.0.1:8 ",
                                       "example.com:80",
                                       "[::1:80",
                                       "::1:80",
                                       "[127.0.0.1]:80",
                                       "1.2.3.4.5:80",
                                       "[]:80",
                                       "111111111111111111111111111111111111111111111111111111111111:1" };
    struct error err;
    int fd = -1;
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        memset(&err, 0, sizeof err);
        assert_int_equal(http_bind(addresses[i], &fd, &err), FAILED);
        assert_int_equal(err.kind, ERROR_INVALID);
        assert_true(err.hint[0] && err.message[0]);
        assert_int_equal(fd, -1);
    }
}

static void a_listener_on_IPv6_says_its_address_so_that_it_can_be_used_again(void **state)
{
    struct world *world = *state;
    struct http_listener *listener;
    struct error err;
    char address[128];
    int fd = -1;
    if (http_bind("[::1]:0", &fd, &err) != OK)
        skip(); /* this machine has no IPv6 */
    assert_int_equal(http_listen(world->server, &fd, NULL, &listener, &err), OK);
    http_listener_address(listener, address);
    assert_true(slice_starts(slice_of(address), SLICE("[::1]:")));
    assert_int_equal(http_bind(address, &fd, &err), FAILED);
    assert_int_equal(err.sys, EADDRINUSE);
}

static void an_address_in_use_is_refused_and_says_so(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    int fd = -1;
    assert_int_equal(http_bind(world->address, &fd, &err), FAILED);
    assert_int_equal(err.sys, EADDRINUSE);
    assert_non_null(strstr(err.message, world->address));
    assert_int_equal(http_bind("203.0.113.1:0", &fd, &err), FAILED); /* TEST-NET-3: nobody has it */
    assert_int_equal(err.sys, EADDRNOTAVAIL);
}

#define ROOM(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_that_does_not_end_is_answered_408),
        cmocka_unit_test(a_head_that_trickles_gets_no_more_time_with_each_byte),
        cmocka_unit_test(a_body_that_stalls_is_answered_408_and_the_handler_is_told),
        cmocka_unit_test(no_timeout_cuts_a_handler_that_works),
        cmocka_unit_test(a_client_that_takes_nothing_of_an_answer_is_cut),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        ROOM(a_server_without_connections_has_no_timer),
        cmocka_unit_test(more_connections_than_allowed_wait_for_their_turn),
        cmocka_unit_test(a_listener_that_is_full_leaves_the_others_room),
        cmocka_unit_test(all_listeners_together_have_a_limit_and_idle_connections_make_room),
        ROOM(an_idle_connection_costs_at_most_8_KB),
        ROOM(a_server_out_of_descriptors_goes_on_when_there_are_some_again),
        ROOM(a_thousand_connections_leave_no_descriptor),
        ROOM(a_drain_answers_what_runs_closes_what_idles_and_accepts_no_more),
        ROOM(a_drain_without_connections_is_done_later_but_done),
        ROOM(a_close_cuts_everything_and_tells_each_handler_once),
        cmocka_unit_test(addresses_that_are_none_are_refused_with_a_hint),
        ROOM(a_listener_on_IPv6_says_its_address_so_that_it_can_be_used_again),
        ROOM(an_address_in_use_is_refused_and_says_so),
    };
    return cmocka_run_group_tests_name("net/http_server", tests, NULL, NULL);
}
