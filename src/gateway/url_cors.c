#include "gateway/url_cors.h"

#include <stdio.h>

#include "base/memory.h"

/* An allowed origin is named back, also where the configuration says "*": AWS does so (aws-powertools/powertools-lambda-python#4163), and with
 * credentials a browser takes nothing else. For the same reason "*" among methods or headers becomes what was asked for when credentials are
 * allowed: there a browser reads it as a name (Fetch, "CORS-preflight fetch"). */

static bool stands_in(const struct url_list *list, struct slice item)
{
    for (size_t i = 0; i < list->count; i++)
        if (slice_equal_nocase(slice_of(list->items[i]), item))
            return true;
    return false;
}

static bool origin_allowed(const struct url_cors *cors, struct slice origin)
{
    return origin.at != NULL && origin.len > 0 &&
           (stands_in(&cors->origins, origin) || stands_in(&cors->origins, SLICE("*")));
}

static void add_list(const char *name, const struct url_list *list, url_cors_field_fn *add, void *arg)
{
    if (list->count == 0)
        return;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buffer_append_byte(&text, ',');
        buffer_append_text(&text, list->items[i]);
    }
    add(name, buffer_slice(&text), arg);
}

static void add_origin(const struct url_cors *cors, struct slice origin, url_cors_field_fn *add, void *arg)
{
    add("Access-Control-Allow-Origin", origin, arg);
    if (cors->credentials)
        add("Access-Control-Allow-Credentials", SLICE("true"), arg);
}

/* `asked` stands in for "*" where that would be read as a name. */
static void add_allowed(const struct url_cors *cors, const char *name, const struct url_list *list,
                        struct slice asked, url_cors_field_fn *add, void *arg)
{
    if (cors->credentials && stands_in(list, SLICE("*")) && asked.at != NULL && asked.len > 0)
        add(name, asked, arg);
    else
        add_list(name, list, add, arg);
}

bool url_cors_is_preflight(struct slice method, struct slice origin, struct slice request_method)
{
    return slice_is(method, "OPTIONS") && origin.at != NULL && request_method.at != NULL;
}

void url_cors_preflight(const struct url_cors *cors, struct slice origin, struct slice request_method,
                        struct slice request_headers, url_cors_field_fn *add, void *arg)
{
    add("Vary", SLICE("Origin,Access-Control-Request-Method,Access-Control-Request-Headers"), arg);
    if (!origin_allowed(cors, origin))
        return;
    add_origin(cors, origin, add, arg);
    add_allowed(cors, "Access-Control-Allow-Methods", &cors->methods, request_method, add, arg);
    add_allowed(cors, "Access-Control-Allow-Headers", &cors->headers, request_headers, add, arg);
    if (cors->max_age_s >= 0) {
        char seconds[24];
        int len = snprintf(seconds, sizeof(seconds), "%lld", (long long)cors->max_age_s);
        add("Access-Control-Max-Age", slice_from(seconds, (size_t)len), arg);
    }
}

void url_cors_answer(const struct url_cors *cors, struct slice origin, url_cors_field_fn *add, void *arg)
{
    if (origin.at == NULL)
        return;
    add("Vary", SLICE("Origin"), arg);
    if (!origin_allowed(cors, origin))
        return;
    add_origin(cors, origin, add, arg);
    add_list("Access-Control-Expose-Headers", &cors->exposed, add, arg);
}
