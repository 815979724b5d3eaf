/* gateway: what the web sees. Today function URLs, found by Host ("<id>.lambda-url.<anything>", case and port ignored) or by path
 * ("/lambda-url/<id>/rest", for clients that cannot resolve such names: the function then sees "/rest"). Everything else is answered as API
 * Gateway answers a route that is not there.
 * Callers: server. Below: net, auth, engine.   Thread: the loop's.
 * Promise: a call costs memory only within the budget of bodies; a client that goes does not end its invocation. */
#pragma once

#include "net/http.h"

enum {
    GATEWAY_BODY_BYTES_MAX = 6 * 1024 * 1024,     /* AWS Lambda: function URL request payload (413) */
    GATEWAY_BODIES_BYTES_MAX = 256 * 1024 * 1024, /* ours: bodies and events of all calls now (503) */
    GATEWAY_SMALL_BODY_BYTES = 64 * 1024,         /* bodies up to here may use all of that budget */
    GATEWAY_SMALL_BODIES_SHARE = 8,               /* larger ones leave one of so many parts of it to them */
    GATEWAY_BODY_GRACE_MS =
        2000, /* while there is no room a body that takes longer gives way, the longest first (503) */
};

struct engine;
struct keyring;
struct gateway;

struct gateway_config {
    const char *region;
    struct engine *engine;
    struct keyring *keyring;
    const char *gateway_url; /* borrowed; "http://127.0.0.1:8080", filled before the first request */
    size_t bodies_bytes_max; /* 0: GATEWAY_BODIES_BYTES_MAX */
};
struct gateway *gateway_new(const struct gateway_config *config);
void gateway_free(
    struct gateway *gateway); /* NULL allowed; calls that still run keep what they need until they are answered */
void gateway_request(struct http_exchange *x, void *arg); /* an http_handler's request; `arg` is the gateway */
