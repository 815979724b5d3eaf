/* A server on a loop of its own, and raw clients on the same thread: what a client sends is bytes, cut as the test likes.
 * Nothing waits for a time: world_run_until turns the loop until something is true (a watchdog ends a test that hangs). */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"
#include "net/http.h"

enum { WORLD_SECONDS_MAX = 60, WORLD_HELD_MAX = 64, WORLD_TALK_BYTES_MAX = 1 << 20 };

struct world {
    uv_loop_t loop;
    struct http_server *server;
    struct http_listener *listener;
    struct http_limits limits;
    char address[128];
    int port;
    bool closed, drained;

    /* what the handler saw and holds; see the paths in world.c */
    struct http_exchange *held[WORLD_HELD_MAX];
    size_t held_count, requests, gone, ready;
    struct buffer seen; /* the targets, a line each */
    uint64_t body_bytes, left_to_write;
    size_t pieces, largest_piece;
    bool body_ended, pause_reading;
    enum error_kind body_error;
};

int world_setup(void **state); /* with the default limits */
int world_teardown(void **state);
struct world *world_new(struct http_limits limits);
void world_free(struct world *world);

/* Turns the loop until `condition`, an expression over what the loop changes. */
#define world_run_until(world, condition)                                                                          \
    do {                                                                                                           \
        while (!(condition))                                                                                       \
            uv_run(&(world)->loop, UV_RUN_ONCE);                                                                   \
    } while (0)
void world_turn(struct world *world); /* handles all that is there now, waits for nothing */

struct client {
    struct world *world;
    int fd;
    uv_poll_t poll; /* wakes the loop when the server has sent something */
    struct buffer got;
    bool ended; /* the server shut its side down */
    bool cut;   /* or reset the connection */
};

struct client *client_new(struct world *world);
void client_free(struct client *client); /* closes */
void client_send(struct client *client, struct slice bytes, bool bytewise);
bool client_try_send(struct client *client, struct slice bytes, size_t *sent); /* false: the socket is full */
void client_receive(struct client *client);                                    /* what is there now, into `got` */
void client_wait_for(struct client *client, const char *text);
void client_wait_for_end(struct client *client);
size_t client_times(struct client *client, const char *text); /* how often `text` is in what it got */

/* Sends a stream on a connection of its own, and returns all that comes until the server closes, without Date lines.
 * The text is owned by the caller. */
char *talk(struct world *world, struct slice stream, bool bytewise);
