/* gateway/private: what gateway.c and function_url.c share. For them alone. */
#pragma once

#include "auth/sigv4.h"
#include "engine/engine.h"
#include "gateway/gateway.h"

struct url_call;
struct gateway {
    struct gateway_config config; /* texts borrowed from the server, which outlives us */
    struct sigv4_cache *cache;
    size_t bodies_bytes;     /* of all calls now */
    struct url_call *bodies; /* those whose bodies come in, the longest first */
    size_t calls;
    bool freed; /* gateway_free was called; the last call frees us */
};
void gateway_release(struct gateway *gateway); /* a call ended */

/* A request for the function URL `id` (as the client wrote it, of any length); `path` is what the function will see, a part of the target;
 * `domain` is the Host without its port, empty when the URL was named by path. */
void function_url_request(struct gateway *gateway, struct http_exchange *x, struct slice id, struct slice path,
                          struct slice domain);

/* Which function URL does this name? Pure. False when it is none's. */
bool gateway_url_of_host(struct slice host, struct slice *id, struct slice *domain);
bool gateway_url_of_path(struct slice target_path, struct slice *id, struct slice *path);
