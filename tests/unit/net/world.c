#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"

/* ---- the handler: what it does is told by the path ---- */

static void on_gone(struct http_exchange *x, void *arg)
{
    struct world *world = arg;
    world->gone++;
    for (size_t i = 0; i < WORLD_HELD_MAX; i++)
        if (world->held[i] == x)
            world->held[i] = NULL;
}

static void echo_whole(struct http_exchange *x, struct buffer *body, const struct error *err, void *arg)
{
    struct world *world = arg;
    if (err) {
        world->body_error = err->kind;
        http_respond(x, err->kind == ERROR_TOO_LARGE ? 413 : 500, SLICE("refused"));
        return;
    }
    world->body_bytes += body->len;
    http_respond(x, 200, buffer_slice(body));
}

static void count_piece(struct http_exchange *x, struct slice piece, void *arg)
{
    struct world *world = arg;
    world->body_bytes += piece.len;
    if (piece.len == 0) {
        world->body_ended = true;
        char text[32];
        snprintf(text, sizeof text, "%llu", (unsigned long long)world->body_bytes);
        http_respond(x, 200, slice_of(text));
        return;
    }
    world->pieces++;
    if (piece.len > world->largest_piece)
        world->largest_piece = piece.len;
    if (!world->pause_reading)
        http_read_more(x);
}

static void echo_piece(struct http_exchange *x, struct slice piece, void *arg)
{
    (void)arg;
    if (piece.len == 0) {
        http_finish(x);
        return;
    }
    http_write(x, piece);
    http_read_more(x);
}

static void write_on(struct http_exchange *x, void *arg)
{
    static const char zeros[16384];
    struct world *world = arg;
    world->ready++;
    while (world->left_to_write > 0) {
        size_t count = world->left_to_write < sizeof zeros ? (size_t)world->left_to_write : sizeof zeros;
        world->left_to_write -= count;
        if (!http_write(x, slice_from(zeros, count)))
            return;
    }
    http_finish(x);
}

static void describe(struct http_exchange *x)
{
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    buffer_appendf(&text, "[%.*s|%.*s|%.*s|%.*s", SLICE_PRINT(http_method(x)), SLICE_PRINT(http_target(x)),
                   SLICE_PRINT(http_path(x)), SLICE_PRINT(http_query(x)));
    for (size_t i = 0; i < http_header_count(x); i++) {
        struct http_header h = http_header_at(x, i);
        buffer_appendf(&text, "|%.*s=%.*s", SLICE_PRINT(h.name), SLICE_PRINT(h.value));
    }
    buffer_appendf(&text, "|%s %lld]", http_has_body(x) ? "body" : "none", (long long)http_content_length(x));
    http_respond(x, 200, buffer_slice(&text));
}

static void answer_in_pieces(struct http_exchange *x, int64_t length)
{
    http_add_header(x, "X-Kind", SLICE("pieces"));
    http_start(x, 200, length);
    http_write(x, SLICE("one"));
    http_write(x, SLICE(""));
    http_write(x, SLICE("three"));
    http_finish(x);
}

static void hold(struct world *world, struct http_exchange *x)
{
    world->held[world->held_count++ % WORLD_HELD_MAX] = x;
}

static void on_request(struct http_exchange *x, void *arg)
{
    struct world *world = arg;
    struct slice path = http_path(x);
    world->requests++;
    buffer_append_slice(&world->seen, http_target(x));
    buffer_append_text(&world->seen, "\n");
    if (slice_is(path, "/echo")) {
        http_read_whole(x, WORLD_TALK_BYTES_MAX, echo_whole, world);
    } else if (slice_is(path, "/echo-tiny")) {
        http_read_whole(x, 4, echo_whole, world);
    } else if (slice_is(path, "/huge")) {
        http_on_gone(x, on_gone, world);
        http_read_whole(x, 512 << 20, echo_whole, world);
    } else if (slice_is(path, "/count")) {
        http_on_gone(x, on_gone, world);
        http_read_pieces(x, count_piece, world);
        hold(world, x);
    } else if (slice_is(path, "/duplex")) {
        http_on_gone(x, on_gone, world);
        http_start(x, 200, -1);
        http_read_pieces(x, echo_piece, world);
    } else if (slice_is(path, "/download")) {
        http_on_gone(x, on_gone, world);
        http_on_ready(x, write_on, world);
        http_start(x, 200, (int64_t)world->left_to_write);
        write_on(x, world);
    } else if (slice_is(path, "/hold")) {
        http_on_gone(x, on_gone, world);
        hold(world, x);
    } else if (slice_is(path, "/keep")) { /* holds without asking to be told */
        hold(world, x);
    } else if (slice_is(path, "/pieces")) {
        answer_in_pieces(x, -1);
    } else if (slice_is(path, "/measured")) {
        answer_in_pieces(x, 8);
    } else if (slice_is(path, "/short")) {
        http_start(x, 200, 100);
        http_write(x, SLICE("less"));
        http_finish(x);
    } else if (slice_is(path, "/status")) {
        uint64_t status = 0;
        assert_true(slice_to_u64(http_query(x), 999, &status));
        http_respond(x, (int)status, SLICE("body"));
    } else if (slice_is(path, "/abort")) {
        http_abort(x);
    } else {
        describe(x);
    }
}

/* ---- the world ---- */

static void on_closed(void *arg)
{
    ((struct world *)arg)->closed = true;
}

struct world *world_new(struct http_limits limits)
{
    struct world *world = memory_new(sizeof *world);
    struct error err;
    int fd = -1;
    alarm(WORLD_SECONDS_MAX);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    world->server = http_server_new(&world->loop, &limits, &(struct http_handler){ on_request, world });
    assert_int_equal(http_bind("127.0.0.1:0", &fd, &err), OK);
    assert_int_equal(http_listen(world->server, &fd, world, &world->listener, &err), OK);
    assert_int_equal(fd, -1);
    http_listener_address(world->listener, world->address);
    world->port = atoi(strrchr(world->address, ':') + 1);
    return world;
}

void world_free(struct world *world)
{
    if (world->server) {
        http_server_close(world->server, on_closed, world);
        world_run_until(world, world->closed);
    }
    uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&world->loop), 0); /* no handle was forgotten */
    buffer_drop(&world->seen);
    free(world);
    alarm(0);
}

int world_setup(void **state)
{
    *state = world_new((struct http_limits){ 0 });
    return 0;
}

int world_teardown(void **state)
{
    world_free(*state);
    return 0;
}

void world_turn(struct world *world)
{
    /* Twice: what a callback left for a later turn is handled in it. */
    uv_run(&world->loop, UV_RUN_NOWAIT);
    uv_run(&world->loop, UV_RUN_NOWAIT);
}

/* ---- clients ---- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    client_receive(poll->data);
}

struct client *client_new(struct world *world)
{
    struct client *client = memory_new(sizeof *client);
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)world->port) };
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->world = world;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&addr, sizeof addr), 0);
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    uv_poll_init(&world->loop, &client->poll, client->fd);
    client->poll.data = client;
    uv_poll_start(&client->poll, UV_READABLE, on_poll);
    return client;
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    close(client->fd);
    buffer_drop(&client->got);
    client->fd = -1;
    client->world = NULL;
}

void client_free(struct client *client)
{
    struct world *world = client->world;
    uv_close((uv_handle_t *)&client->poll, on_client_closed);
    world_run_until(world, client->world == NULL);
    free(client);
}

void client_receive(struct client *client)
{
    char bytes[65536];
    ssize_t count;
    while ((count = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        buffer_append(&client->got, bytes, (size_t)count);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
        client->ended = true;
        client->cut = count < 0;
        uv_poll_stop(&client->poll);
    }
}

bool client_try_send(struct client *client, struct slice bytes, size_t *sent)
{
    ssize_t count = send(client->fd, bytes.at, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    *sent = count > 0 ? (size_t)count : 0;
    return count > 0 || errno != EAGAIN;
}

/* Gives up quietly when the server has ended the connection: what it answered is what counts. */
void client_send(struct client *client, struct slice bytes, bool bytewise)
{
    while (bytes.len > 0 && !client->ended) {
        size_t count = 0;
        errno = 0;
        if (client_try_send(client, slice_sub(bytes, 0, bytewise ? 1 : bytes.len), &count) && count == 0)
            return;
        bytes = slice_sub(bytes, count, bytes.len);
        if (bytewise || count == 0)
            world_turn(client->world);
    }
}

static bool got_text(struct client *client, const char *text)
{
    return client->got.len >= strlen(text) && memmem(client->got.at, client->got.len, text, strlen(text)) != NULL;
}

void client_wait_for(struct client *client, const char *text)
{
    world_run_until(client->world, client->ended || got_text(client, text));
    if (!got_text(client, text))
        fail_msg("\"%s\" is not in \"%s\"", text, buffer_text(&client->got));
}

void client_wait_for_end(struct client *client)
{
    world_run_until(client->world, client->ended);
}

size_t client_times(struct client *client, const char *text)
{
    size_t times = 0;
    for (const char *at = buffer_text(&client->got); (at = strstr(at, text)); at += strlen(text))
        times++;
    return times;
}

char *talk(struct world *world, struct slice stream, bool bytewise)
{
    struct client *client = client_new(world);
    client_send(client, stream, bytewise);
    client_wait_for_end(client);
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    struct slice rest = buffer_slice(&client->got);
    while (rest.len > 0) {
        struct slice line = slice_split(&rest, '\n');
        if (slice_starts(line, SLICE("Date: ")))
            continue;
        buffer_append_slice(&text, line);
        if (rest.len > 0 || client->got.at[client->got.len - 1] == '\n')
            buffer_append_byte(&text, '\n');
    }
    char *out = slice_dup(buffer_slice(&text));
    client_free(client);
    return out;
}
