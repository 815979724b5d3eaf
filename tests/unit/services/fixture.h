/* For the tests of the API front: a real server on a free port with a small table-defined service, in a thread of its own.
 * The test's thread is the client, with plain blocking sockets. */
#pragma once

#include <stdatomic.h>

#include "services/service.h"

#define TEST_KEY    "AKIAIOSFODNN7EXAMPLE"
#define TEST_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

struct fixture {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t stop;
    struct http_server *server;
    struct keyring *keyring;
    struct api *api;
    char instance_key[ACCESS_KEY_BYTES], instance_secret[SECRET_KEY_BYTES], instance_token[SESSION_TOKEN_BYTES];
    char address[128];
    int port;
};

enum { ECHO_BYTES_MAX = 300 * 1024, BODIES_BYTES_MAX = 400 * 1024, INSTANCE_BODIES_BYTES_MAX = 150 * 1024 };

/* What the handlers saw, for the test's thread. */
extern atomic_int handlers_called, waiting_calls, gone_calls;

struct fixture *fixture_start(void);
void fixture_stop(struct fixture *fixture);

/* One exchange on a connection of its own: sends `request` as it is, returns all that came back until the end. */
struct buffer fixture_talk(const struct fixture *fixture, struct slice request);
int fixture_connect(const struct fixture *fixture);
