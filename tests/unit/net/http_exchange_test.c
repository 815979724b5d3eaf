/* One request and its answer: order, framing, bodies both ways, backpressure, and who learns what when one side ends. */
#include "world.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"

#define HOST                "Host: a\r\n"
#define GET(path)           "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define GET_AND_CLOSE(path) "GET " path " HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"

enum { MEGABYTE = 1 << 20, LARGE_BODY_BYTES = 250 * MEGABYTE, LARGE_RESIDENT_BYTES_MAX = 32 * MEGABYTE };

/* 0 where memory checkers keep what was freed: there only the counters speak. */
static size_t resident_bytes(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return 0;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return 0;
#endif
#endif
    size_t pages = 0, ignored;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu %zu", &ignored, &pages), 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void expect_talk(struct world *world, const char *stream, const char *expected)
{
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        AUTO(text)
        char *answers = talk(world, slice_of(stream), bytewise);
        assert_string_equal(answers, expected);
    }
}

/* ---- framing of answers ---- */

static void answers_say_how_long_they_are(void **state)
{
    expect_talk(*state, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nConnection: close\r\n\r\nhi",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    expect_talk(*state, GET_AND_CLOSE("/pieces"),
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nX-Kind: pieces\r\n\r\n"
                "3\r\none\r\n5\r\nthree\r\n0\r\n\r\n");
    expect_talk(*state, GET_AND_CLOSE("/measured"),
                "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\nX-Kind: pieces\r\n\r\nonethree");
}

static void answers_without_a_body_have_none(void **state)
{
    expect_talk(*state, "HEAD /measured HTTP/1.1\r\n" HOST "\r\n" GET_AND_CLOSE("/status?204"),
                "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nX-Kind: pieces\r\n\r\n"
                "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    expect_talk(*state, "HEAD /pieces HTTP/1.1\r\n" HOST "\r\n" GET_AND_CLOSE("/status?304"),
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Kind: pieces\r\n\r\n"
                "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
    expect_talk(*state, "HEAD /status?200 HTTP/1.1\r\n" HOST "\r\n" GET_AND_CLOSE("/status?599"),
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
                "HTTP/1.1 599 \r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
}

static void a_client_of_HTTP_1_0_is_closed_unless_it_asks_to_stay(void **state)
{
    expect_talk(*state, "GET /measured HTTP/1.0\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\nX-Kind: pieces\r\n\r\nonethree");
    expect_talk(*state,
                "GET /measured HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /pieces HTTP/1.0\r\nConnection: "
                "keep-alive\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: keep-alive\r\nX-Kind: pieces\r\n\r\nonethree"
                "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Kind: pieces\r\n\r\nonethree");
}

static void an_answer_that_breaks_off_is_cut_and_not_ended(void **state)
{
    struct world *world = *state;
    static const char *paths[] = { GET("/short"), GET("/abort") };
    for (size_t i = 0; i < 2; i++) {
        struct client *client = client_new(world);
        client_send(client, slice_of(paths[i]), false);
        client_wait_for_end(client);
        assert_true(client->cut);
        client_free(client);
    }
}

static void every_answer_has_a_date_of_29_characters(void **state)
{
    struct client *client = client_new(*state);
    client_send(client, SLICE(GET_AND_CLOSE("/")), false);
    client_wait_for_end(client);
    const char *date = strstr(buffer_text(&client->got), "\r\nDate: ");
    assert_non_null(date);
    assert_memory_equal(date + 8 + 25, " GMT\r\n", 6);
    client_free(client);
}

/* ---- order ---- */

static void pipelined_requests_are_handed_out_one_after_the_other(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    client_send(client, SLICE(GET("/hold?1") GET("/hold?2") GET("/3")), false);
    world_run_until(world, world->held_count == 1);
    world_turn(world);
    assert_int_equal(world->requests, 1);
    http_respond(world->held[0], 200, SLICE("first"));
    assert_int_equal(world->requests, 1); /* nobody is called from inside */
    world_run_until(world, world->held_count == 2);
    assert_int_equal(world->requests, 2);
    http_start(world->held[1], 200, 6);
    http_write(world->held[1], SLICE("sec"));
    world_turn(world);
    assert_int_equal(world->requests, 2);
    http_write(world->held[1], SLICE("ond"));
    http_finish(world->held[1]);
    client_wait_for(client, "[GET|/3|");
    assert_string_equal(buffer_text(&world->seen), "/hold?1\n/hold?2\n/3\n");
    const char *got = buffer_text(&client->got);
    assert_true(strstr(got, "first") < strstr(got, "second") && strstr(got, "second") < strstr(got, "[GET|/3|"));
    client_free(client);
}

static void pipelined_bodies_do_not_mix(void **state)
{
    expect_talk(*state,
                "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\na"
                "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"
                "POST /measured HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"
                "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nConnection: close\r\n\r\nde",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nbc"
                "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nX-Kind: pieces\r\n\r\nonethree"
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nde");
}

static void a_client_that_pipelines_without_end_is_read_only_so_far(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    static const char request[] = GET("/x");
    size_t sent = 0, count;
    client_send(client, SLICE(GET("/hold")), false);
    world_run_until(world, world->held_count == 1);
    /* The socket's buffers are full when nothing can be sent although the loop turned again and again. */
    for (int full = 0; full < 20;) {
        full = client_try_send(client, slice_sub(slice_of(request), sent % (sizeof request - 1), sizeof request),
                               &count)
                   ? 0
                   : full + 1;
        sent += count;
        world_turn(world);
    }
    assert_true(sent > HTTP_READ_AHEAD_BYTES);
    assert_int_equal(world->requests, 1);
    http_respond(world->held[0], 200, SLICE_EMPTY); /* and then all of them are answered */
    size_t whole = sent / (sizeof request - 1);
    world_run_until(world, world->requests == 1 + whole);
    client_free(client);
}

/* ---- bodies in ---- */

static void a_body_that_is_too_large_is_told_and_the_connection_ends_behind_the_answer(void **state)
{
    struct world *world = *state;
    expect_talk(world,
                "POST /echo-tiny HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nfour" GET_AND_CLOSE("/measured"),
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour"
                "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\nX-Kind: pieces\r\n\r\nonethree");
    expect_talk(world, "POST /echo-tiny HTTP/1.1\r\n" HOST "Content-Length: 500\r\n\r\nfive!",
                "HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused");
    assert_int_equal(world->body_error, ERROR_TOO_LARGE);
    expect_talk(world, "POST /echo-tiny HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\n",
                "HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused");
}

static void a_body_that_nobody_reads_is_not_taken_for_the_next_request(void **state)
{
    expect_talk(*state, "POST /status?403 HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n" GET("/smuggled"),
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
    expect_talk(
        *state, "POST /measured HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n" GET("/smuggled"),
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nX-Kind: pieces\r\n\r\nonethree"); /* it could have read on */
    assert_null(strstr(buffer_text(&((struct world *)*state)->seen), "smuggled"));
    /* One that is there already is dropped, and the connection goes on. */
    AUTO(text)
    char *answers = talk(*state,
                         SLICE("POST /measured HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                               "POST /measured HTTP/1.1\r\n" HOST
                               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" GET_AND_CLOSE("/last")),
                         false);
    assert_non_null(strstr(answers, "[GET|/last|"));
}

static void continue_is_sent_when_the_handler_starts_to_read(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    client_send(client, SLICE("POST /count HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-Continue\r\n\r\n"),
                true);
    client_wait_for(client, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(client->got.len, strlen("HTTP/1.1 100 Continue\r\n\r\n"));
    client_send(client, SLICE("abc"), true);
    client_wait_for(client, "\r\n\r\n3");
    assert_int_equal(client_times(client, "100 Continue"), 1);
    client_free(client);
}

static void continue_is_not_sent_when_the_answer_is_no_or_the_client_is_of_HTTP_1_0(void **state)
{
    expect_talk(*state, "POST /measured HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\nX-Kind: pieces\r\n\r\nonethree");
    expect_talk(*state, "POST /echo-tiny HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
                "HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused");
    expect_talk(*state, "POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
}

/* Sends `size` zeros without holding them. */
static void send_zeros(struct client *client, uint64_t size)
{
    static const char zeros[MEGABYTE];
    while (size > 0) {
        size_t count = size < sizeof zeros ? (size_t)size : sizeof zeros;
        client_send(client, slice_from(zeros, count), false);
        assert_false(client->ended);
        size -= count;
    }
}

static void an_upload_of_250_MB_is_never_in_memory_whole(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    char head[200];
    size_t before = resident_bytes();
    snprintf(head, sizeof head, "POST /count HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", LARGE_BODY_BYTES);
    client_send(client, slice_of(head), false);
    send_zeros(client, LARGE_BODY_BYTES);
    client_wait_for(client, "\r\n\r\n262144000");
    assert_true(world->body_ended);
    assert_true(world->largest_piece <= HTTP_HEAD_BYTES_MAX + HTTP_READ_AHEAD_BYTES);
    assert_true(resident_bytes() < before + LARGE_RESIDENT_BYTES_MAX);
    client_free(client);
}

static void nothing_more_is_read_while_the_handler_has_not_asked(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    static const char zeros[65536];
    size_t sent = 0, count;
    world->pause_reading = true;
    client_send(client, SLICE("POST /count HTTP/1.1\r\n" HOST "Content-Length: 100000000\r\n\r\n"), false);
    for (int full = 0; full < 20;) {
        full = client_try_send(client, slice_from(zeros, sizeof zeros), &count) ? 0 : full + 1;
        sent += count;
        world_turn(world);
    }
    assert_int_equal(world->pieces, 1);
    assert_true(sent < 100000000);
    for (size_t pieces = 1; pieces < 5; pieces++) { /* one for each asking */
        http_read_more(world->held[0]);
        assert_int_equal(world->pieces, pieces);
        world_run_until(world, world->pieces == pieces + 1);
        world_turn(world);
        assert_int_equal(world->pieces, pieces + 1);
    }
    client_free(client);
    world->pause_reading = false; /* its end is behind what it sent: it is seen when that is taken */
    http_read_more(world->held[0]);
    world_run_until(world, world->gone == 1);
}

static void a_large_body_is_read_whole_and_is_what_was_sent(void **state)
{
    struct world *world = *state;
    enum { SIZE = 3 * MEGABYTE + 17 };
    for (int chunked = 0; chunked < 2; chunked++) {
        struct client *client = client_new(world);
        AUTO(buffer)
        struct buffer sent = BUFFER_EMPTY;
        char head[200], chunk[32];
        for (size_t i = 0; sent.len < SIZE; i++)
            buffer_append_byte(&sent, (char)(i * 7 + i / 251));
        snprintf(head, sizeof head, "POST /huge HTTP/1.1\r\n" HOST "Connection: close\r\n%s%.0d\r\n\r\n",
                 chunked ? "Transfer-Encoding: chunked" : "Content-Length: ", chunked ? 0 : SIZE);
        client_send(client, slice_of(head), false);
        for (size_t at = 0; at < SIZE;) {
            struct slice piece = slice_sub(buffer_slice(&sent), at, 100000);
            snprintf(chunk, sizeof chunk, "%zx\r\n", piece.len);
            if (chunked)
                client_send(client, slice_of(chunk), false);
            client_send(client, piece, false);
            if (chunked)
                client_send(client, SLICE("\r\n"), false);
            at += piece.len;
        }
        if (chunked)
            client_send(client, SLICE("0\r\n\r\n"), false);
        client_wait_for_end(client);
        assert_false(client->cut);
        assert_true(client->got.len > SIZE);
        assert_memory_equal(client->got.at + client->got.len - SIZE, sent.at, SIZE);
        client_free(client);
    }
}

static void a_handler_may_answer_while_it_reads(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    client_send(client, SLICE("POST /duplex HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"), false);
    client_wait_for(client, "\r\n\r\n");
    client_send(client, SLICE("3\r\nabc\r\n"), false);
    client_wait_for(client, "3\r\nabc\r\n");
    client_send(client, SLICE("2\r\nde\r\n0\r\n\r\n" GET("/after")), false);
    client_wait_for(client, "2\r\nde\r\n0\r\n\r\nHTTP/1.1 200 OK"); /* and the connection goes on */
    client_wait_for(client, "[GET|/after|");
    client_free(client);
}

/* ---- bodies out ---- */

static void a_download_of_250_MB_waits_for_its_reader(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    size_t before = resident_bytes(), received = 0;
    world->left_to_write = LARGE_BODY_BYTES;
    uv_poll_stop(&client->poll); /* this client reads nothing yet */
    client_send(client, SLICE(GET_AND_CLOSE("/download")), false);
    world_run_until(world, world->requests == 1);
    for (int i = 0; i < 100; i++)
        world_turn(world);
    assert_true(world->left_to_write > LARGE_BODY_BYTES / 2);
    uint64_t left = world->left_to_write;
    world_turn(world);
    assert_int_equal(world->left_to_write, left);
    while (!client->ended) {
        client_receive(client);
        received += client->got.len;
        buffer_reset(&client->got);
        world_turn(world);
    }
    assert_true(received > LARGE_BODY_BYTES && received < LARGE_BODY_BYTES + 1000);
    assert_true(world->ready > 100);
    assert_true(resident_bytes() < before + LARGE_RESIDENT_BYTES_MAX);
    client_free(client);
}

static void a_large_answer_is_taken_without_a_copy_and_arrives(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    struct buffer body = BUFFER_EMPTY;
    enum { SIZE = 8 * MEGABYTE };
    for (size_t i = 0; body.len < SIZE; i++)
        buffer_append_byte(&body, (char)(i % 253));
    AUTO(buffer)
    struct buffer copy = BUFFER_EMPTY;
    buffer_append_slice(&copy, buffer_slice(&body));
    client_send(client, SLICE(GET("/hold")), false);
    world_run_until(world, world->held_count == 1);
    http_respond_take(world->held[0], 200, &body);
    assert_null(body.at);
    world_run_until(world, client->got.len > SIZE);
    assert_memory_equal(client->got.at + client->got.len - SIZE, copy.at, SIZE);
    client_send(client, SLICE(GET("/after")), false);
    client_wait_for(client, "[GET|/after|");
    client_free(client);
}

/* ---- ends ---- */

static void a_handler_is_told_when_its_client_is_gone(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    client_send(client, SLICE(GET("/hold")), false);
    world_run_until(world, world->held_count == 1);
    client_free(client);
    world_run_until(world, world->gone == 1);
    assert_null(world->held[0]);
    world_run_until(world, http_server_connections(world->server) == 0);
}

static void a_handler_is_told_when_its_client_goes_in_the_middle_of_a_body_either_way(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    client_send(client, SLICE("POST /count HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc"), false);
    world_run_until(world, world->pieces == 1);
    client_free(client);
    world_run_until(world, world->gone == 1);
    assert_false(world->body_ended);

    client = client_new(world);
    world->left_to_write = LARGE_BODY_BYTES;
    client_send(client, SLICE(GET("/download")), false);
    world_run_until(world, client->got.len > 0);
    client_free(client);
    world_run_until(world, world->gone == 2);
    assert_true(world->left_to_write > 0);
}

static void a_handler_is_told_when_its_client_breaks_the_rules(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    client_send(client, SLICE("POST /count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nz"),
                false);
    client_wait_for_end(client);
    assert_int_equal(world->gone, 1);
    assert_int_equal(client_times(client, "HTTP/1.1 400 Bad Request"), 1);
    client_free(client);
}

static void a_handler_that_did_not_ask_to_be_told_answers_into_nothing(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 3; i++) {
        struct client *client = client_new(world);
        client_send(client, SLICE(GET("/keep")), false);
        world_run_until(world, world->held_count == i + 1);
        client_free(client);
    }
    world_run_until(world, http_server_connections(world->server) == 0);
    assert_string_equal(slice_is(http_path(world->held[0]), "/keep") ? "/keep" : "", "/keep"); /* still readable */
    assert_null(http_tag(world->held[0]));
    http_add_header(world->held[0], "X", SLICE("y"));
    http_respond(world->held[0], 200, SLICE("nobody reads this"));
    http_start(world->held[1], 200, -1);
    assert_true(http_write(world->held[1], SLICE("nor this")));
    http_finish(world->held[1]);
    /* The third outlives the server. */
    http_server_close(world->server, NULL, NULL);
    world_turn(world);
    world_turn(world);
    http_respond(world->held[2], 200, SLICE("nor that"));
    world->server = NULL;
}

static void an_answer_that_is_complete_reaches_a_client_that_has_shut_down_its_side(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    struct buffer body = BUFFER_EMPTY;
    enum { SIZE = 16 * MEGABYTE };
    uv_poll_stop(&client->poll);
    client_send(client, SLICE(GET("/hold")), false);
    world_run_until(world, world->held_count == 1);
    buffer_reserve(&body, SIZE);
    memset(body.at, 'x', SIZE);
    body.len = SIZE;
    http_respond_take(world->held[0], 200, &body);
    shutdown(client->fd, SHUT_WR);
    world_turn(world);
    while (!client->ended) {
        client_receive(client);
        world_turn(world);
    }
    assert_false(client->cut);
    assert_true(client->got.len > SIZE);
    assert_int_equal(world->gone, 0);
    client_free(client);
}

static void a_client_may_leave_after_any_byte(void **state)
{
    struct world *world = *state;
    static const char stream[] =
        "\r\nPOST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
        "POST /count HTTP/1.1\r\n" HOST
        "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"
        "POST /duplex HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc" GET("/download") GET("/pieces") GET("/x")
            GET("/hold");
    for (size_t count = 0; count < sizeof stream; count++) {
        for (int how = 0; how < 4; how++) { /* closed or reset, with what came still unread by the server or not */
            struct client *client = client_new(world);
            world->left_to_write = MEGABYTE;
            client_send(client, slice_from(stream, count), false);
            if (how & 1)
                world_turn(world);
            if (how & 2)
                assert_int_equal(
                    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)),
                    0);
            client_free(client);
        }
        world_run_until(world, http_server_connections(world->server) == 0);
    }
    assert_true(world->gone > 0);
    struct client *client = client_new(world);
    client_send(client, SLICE(GET("/after")), false);
    client_wait_for(client, "[GET|/after|");
    client_free(client);
}

static void requests_know_their_peer_and_their_tag(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    char peer[64];
    client_send(client, SLICE("POST /hold HTTP/1.1\r\n" HOST "A: 1\r\na: 2\r\nContent-Length: 7\r\n\r\n"), false);
    world_run_until(world, world->held_count == 1);
    struct http_exchange *x = world->held[0];
    http_peer(x, peer);
    assert_string_equal(peer, "127.0.0.1");
    assert_ptr_equal(http_tag(x), world);
    assert_true(slice_is(http_header(x, "A"), "1"));
    assert_int_equal(http_header_times(x, "A"), 2);
    assert_null(http_header(x, "B").at);
    assert_true(http_has_body(x));
    assert_int_equal(http_content_length(x), 7);
    http_set_data(x, &peer);
    assert_ptr_equal(http_data(x), &peer);
    http_listener_close(world->listener);
    assert_null(http_tag(x));
    http_respond(x, 200, SLICE_EMPTY);
    client_wait_for_end(client);
    client_free(client);
}

#define ROOM(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM(answers_say_how_long_they_are),
        ROOM(answers_without_a_body_have_none),
        ROOM(a_client_of_HTTP_1_0_is_closed_unless_it_asks_to_stay),
        ROOM(an_answer_that_breaks_off_is_cut_and_not_ended),
        ROOM(every_answer_has_a_date_of_29_characters),
        ROOM(pipelined_requests_are_handed_out_one_after_the_other),
        ROOM(pipelined_bodies_do_not_mix),
        ROOM(a_client_that_pipelines_without_end_is_read_only_so_far),
        ROOM(a_body_that_is_too_large_is_told_and_the_connection_ends_behind_the_answer),
        ROOM(a_body_that_nobody_reads_is_not_taken_for_the_next_request),
        ROOM(continue_is_sent_when_the_handler_starts_to_read),
        ROOM(continue_is_not_sent_when_the_answer_is_no_or_the_client_is_of_HTTP_1_0),
        ROOM(an_upload_of_250_MB_is_never_in_memory_whole),
        ROOM(nothing_more_is_read_while_the_handler_has_not_asked),
        ROOM(a_large_body_is_read_whole_and_is_what_was_sent),
        ROOM(a_handler_may_answer_while_it_reads),
        ROOM(a_download_of_250_MB_waits_for_its_reader),
        ROOM(a_large_answer_is_taken_without_a_copy_and_arrives),
        ROOM(a_handler_is_told_when_its_client_is_gone),
        ROOM(a_handler_is_told_when_its_client_goes_in_the_middle_of_a_body_either_way),
        ROOM(a_handler_is_told_when_its_client_breaks_the_rules),
        ROOM(a_handler_that_did_not_ask_to_be_told_answers_into_nothing),
        ROOM(an_answer_that_is_complete_reaches_a_client_that_has_shut_down_its_side),
        ROOM(a_client_may_leave_after_any_byte),
        ROOM(requests_know_their_peer_and_their_tag),
    };
    return cmocka_run_group_tests_name("net/http_exchange", tests, NULL, NULL);
}
