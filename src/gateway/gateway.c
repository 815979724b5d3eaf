#include "gateway/gateway.h"

#include <stdlib.h>

#include "base/memory.h"
#include "gateway/private.h"

struct gateway *gateway_new(const struct gateway_config *config)
{
    struct gateway *gateway = memory_new(sizeof(*gateway));
    gateway->config = *config;
    if (gateway->config.bodies_bytes_max == 0)
        gateway->config.bodies_bytes_max = GATEWAY_BODIES_BYTES_MAX;
    gateway->cache = sigv4_cache_new(SIGV4_CACHE_ENTRIES);
    return gateway;
}

void gateway_release(struct gateway *gateway)
{
    if (!gateway->freed || gateway->calls > 0)
        return;
    sigv4_cache_free(gateway->cache);
    free(gateway);
}

void gateway_free(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    gateway->freed = true;
    gateway_release(gateway);
}

/* ---- whose request is it? ---- */

bool gateway_url_of_host(struct slice host, struct slice *id, struct slice *domain)
{
    static const char label[] = "lambda-url";
    struct slice rest = host, name = slice_split(&rest, ':'); /* an IPv6 address has no such label either */
    rest = name;
    struct slice first = slice_split(&rest, '.'), second = slice_split(&rest, '.');
    if (first.len == 0 || !slice_equal_nocase(second, slice_of(label)))
        return false;
    *id = first;
    *domain = name;
    return true;
}

bool gateway_url_of_path(struct slice target_path, struct slice *id, struct slice *path)
{
    const struct slice prefix = SLICE("/lambda-url/");
    size_t slash = 0;
    if (!slice_starts(target_path, prefix))
        return false;
    struct slice rest = slice_sub(target_path, prefix.len, target_path.len);
    bool more = slice_find(rest, '/', &slash);
    *id = more ? slice_sub(rest, 0, slash) : rest;
    *path = more ? slice_sub(rest, slash, rest.len) : SLICE("/");
    return true;
}

void gateway_request(struct http_exchange *x, void *arg)
{
    struct slice id = SLICE_EMPTY, domain = SLICE_EMPTY, path = http_path(x);
    if (gateway_url_of_host(http_header(x, "host"), &id, &domain) ||
        gateway_url_of_path(http_path(x), &id, &path)) {
        function_url_request(arg, x, id, path, domain);
        return;
    }
    http_add_header(x, "Content-Type", SLICE("application/json"));
    http_respond(x, 404, SLICE("{\"message\":\"Not Found\"}"));
}
