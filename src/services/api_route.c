#include <assert.h>
#include <stdio.h>

#include "base/codec.h"
#include "services/api_private.h"

/* Which service: the credential scope says it, signed. Who has no readable credential gets an error only, in the form that
 * the request's own looks suggest: X-Amz-Target, a form, or neither.
 * Which operation: rest families by method and path, the others by a name. Segments are split before they are decoded,
 * so an encoded slash stays inside of its parameter. */

/* A stranger's text in a message. */
static struct slice shown(struct api_call *c, struct slice text)
{
    enum { SHOWN_BYTES_MAX = 200 };
    size_t len = text.len < SHOWN_BYTES_MAX ? text.len : SHOWN_BYTES_MAX;
    char *copy = arena_take(&c->call.arena, len + 1);
    for (size_t i = 0; i < len; i++)
        copy[i] = (char)(text.at[i] < 0x20 || text.at[i] > 0x7e ? '?' : text.at[i]);
    return slice_from(copy, len);
}

/* ---- the service ---- */

static bool looks_like_form(const struct http_exchange *x)
{
    struct slice type = http_header(x, "content-type"), form = SLICE("application/x-www-form-urlencoded");
    if (slice_equal_nocase(slice_sub(type, 0, form.len), form))
        return true;
    struct slice query = http_query(x), pair;
    while (query.len > 0) {
        pair = slice_split(&query, '&');
        if (slice_starts(pair, SLICE("Action=")))
            return true;
    }
    return false;
}

enum protocol_family api_guess_family(const struct http_exchange *x, struct slice signing_name)
{
    if (slice_is(signing_name, "s3"))
        return FAMILY_REST_XML;
    if (http_header(x, "x-amz-target").len > 0)
        return slice_starts(http_header(x, "content-type"), SLICE("application/x-amz-json-1.1")) ? FAMILY_JSON_1_1
                                                                                                 : FAMILY_JSON_1_0;
    return looks_like_form(x) ? FAMILY_QUERY : FAMILY_REST_JSON;
}

enum outcome api_find_service(struct api_call *c, struct error *err)
{
    const struct service *const *services = c->call.api->config.services;
    for (size_t i = 0; services[i] != NULL; i++)
        if (slice_is(c->claim.service, services[i]->name)) {
            c->call.service = services[i];
            c->family = services[i]->family;
            return OK;
        }
    return error_set_code(err, ERROR_UNSUPPORTED,
                          c->family == FAMILY_QUERY ? "InvalidAction" : "UnknownOperationException",
                          "docs/compatibility.md lists what this server has.",
                          "The service '%.*s' is not provided by this server.", SLICE_PRINT(c->claim.service));
}

/* ---- parameters ---- */

struct slice call_copy(struct call *call, struct slice text)
{
    if (text.len == 0)
        return SLICE_EMPTY;
    char *copy = arena_take(&call->arena, text.len);
    memcpy(copy, text.at, text.len);
    return slice_from(copy, text.len);
}

static bool decode(struct api_call *c, struct slice text, bool plus_is_space, struct slice *out)
{
    AUTO(buffer)
    struct buffer decoded = BUFFER_EMPTY;
    if (!codec_unpercent(&decoded, text, plus_is_space))
        return false;
    *out = call_copy(&c->call, buffer_slice(&decoded));
    return true;
}

/* Adds name=value pairs to call.query. Query-family names must be there once: two readers may take different ones. */
static enum outcome read_pairs(struct api_call *c, struct slice text, bool once, struct error *err)
{
    struct call *call = &c->call;
    while (text.len > 0) {
        struct slice value = slice_split(&text, '&'), name, decoded_name, decoded_value;
        if (value.len == 0)
            continue;
        name = slice_split(&value, '=');
        /* A presigned request's own parameters are no business of a handler. */
        if (slice_starts(name, SLICE("X-Amz-")))
            continue;
        if (!decode(c, name, true, &decoded_name) || !decode(c, value, true, &decoded_value))
            return error_set_code(err, ERROR_INVALID, "MalformedQueryString", "Percent-encode names and values.",
                                  "The query string contains a syntax error.");
        for (size_t i = 0; once && i < call->query_count; i++)
            if (slice_equal(call->query[i].name, decoded_name))
                return error_set_code(err, ERROR_INVALID, "MalformedQueryString", "Send each parameter once.",
                                      "The parameter '%.*s' is given more than once.",
                                      SLICE_PRINT(shown(c, decoded_name)));
        if (call->query_count == CALL_QUERY_MAX)
            return error_set_code(err, ERROR_INVALID, "MalformedQueryString", "Send fewer parameters.",
                                  "The request has more than %d parameters.", CALL_QUERY_MAX);
        call->query[call->query_count++] = (struct parameter){ decoded_name, decoded_value };
    }
    return OK;
}

/* ---- rest: method and path ---- */

static struct slice without_last_slash(struct slice path)
{
    if (path.len > 1 && path.at[path.len - 1] == '/')
        path.len--;
    return path;
}

static bool is_parameter(struct slice segment)
{
    return segment.len > 2 && segment.at[0] == '{' && segment.at[segment.len - 1] == '}';
}

/* Do both have the same segments, but for parameters? Those must not be empty. */
static bool same_path(struct slice template, struct slice path)
{
    while (template.len > 0 && path.len > 0) {
        struct slice wanted = slice_split(&template, '/'), given = slice_split(&path, '/');
        if (is_parameter(wanted) ? given.len == 0 : !slice_equal(wanted, given))
            return false;
    }
    return template.len == 0 && path.len == 0;
}

/* Slash by slash, with same_path having said yes. */
static bool take_path(struct api_call *c, struct slice template, struct slice path)
{
    struct call *call = &c->call;
    while (template.len > 0) {
        struct slice wanted = slice_split(&template, '/'), given = slice_split(&path, '/');
        if (!is_parameter(wanted))
            continue;
        assert(call->path_count < CALL_PARAMETERS_MAX);
        struct parameter *parameter = &call->path[call->path_count++];
        parameter->name = slice_sub(wanted, 1, wanted.len - 2);
        if (!decode(c, given, false, &parameter->value))
            return false;
    }
    return true;
}

/* A template may end in "?name=value", which then must be in the query: GetLayerVersionByArn has ListLayers' path. */
static bool has_query(struct slice wanted, struct slice query)
{
    while (wanted.len > 0 && query.len > 0)
        if (slice_equal(slice_split(&query, '&'), wanted))
            return true;
    return wanted.len == 0;
}

static enum outcome unknown_path(struct api_call *c, struct error *err)
{
    struct call *call = &c->call;
    struct slice method = shown(c, http_method(call->exchange)), path = shown(c, http_path(call->exchange));
    return error_set_code(err, ERROR_NOT_FOUND, "UnknownOperationException",
                          "docs/compatibility.md lists what this server has.",
                          "This server has no %s operation for %.*s %.*s", call->service->name, SLICE_PRINT(method),
                          SLICE_PRINT(path));
}

static enum outcome find_by_path(struct api_call *c, struct error *err)
{
    struct call *call = &c->call;
    struct slice method = http_method(call->exchange), path = without_last_slash(http_path(call->exchange));
    for (size_t i = 0; i < call->service->operation_count; i++) {
        const struct operation *operation = &call->service->operations[i];
        struct slice query = slice_of(operation->path);
        struct slice template = without_last_slash(slice_split(&query, '?'));
        if (!slice_is(method, operation->method) || !same_path(template, path) ||
            !has_query(query, http_query(call->exchange)))
            continue;
        if (!take_path(c, template, path))
            return error_set_code(err, ERROR_INVALID, "ValidationException", "Percent-encode the path.",
                                  "The path of the request is not percent-encoded correctly.");
        call->operation = operation;
        return read_pairs(c, http_query(call->exchange), false, err);
    }
    return unknown_path(c, err);
}

/* ---- by name: json's X-Amz-Target, query's Action ---- */

static const struct operation *operation_named(const struct service *service, struct slice name)
{
    for (size_t i = 0; i < service->operation_count; i++)
        if (slice_is(name, service->operations[i].name))
            return &service->operations[i];
    return NULL;
}

static enum outcome find_by_target(struct api_call *c, struct error *err)
{
    struct call *call = &c->call;
    struct slice target = http_header(call->exchange, "x-amz-target"), rest = target;
    struct slice prefix = slice_split(&rest, '.');
    if (call->service->target_prefix == NULL || slice_is(prefix, call->service->target_prefix))
        call->operation = operation_named(call->service, rest);
    if (call->operation != NULL)
        return OK;
    return error_set_code(
        err, ERROR_INVALID, "UnknownOperationException", "docs/compatibility.md lists what this server has.",
        "This server has no %s operation '%.*s'", call->service->name, SLICE_PRINT(shown(c, target)));
}

enum outcome api_find_action(struct api_call *c, struct error *err)
{
    struct call *call = &c->call;
    TRY(read_pairs(c, buffer_slice(&c->body), true, err));
    struct slice action = call_query(call, "Action"), version = call_query(call, "Version");
    if (action.len == 0)
        return error_set_code(err, ERROR_INVALID, "MissingAction", "Say which operation is meant: Action=...",
                              "The request must contain the parameter Action");
    call->operation = operation_named(call->service, action);
    if (call->operation == NULL || !slice_is(version, call->service->version)) {
        call->operation = NULL;
        struct slice none = SLICE("NO_VERSION_SPECIFIED");
        return error_set_code(err, ERROR_INVALID, "InvalidAction",
                              "docs/compatibility.md lists what this server has.",
                              "Could not find operation %.*s for version %.*s", SLICE_PRINT(shown(c, action)),
                              SLICE_PRINT(version.len == 0 ? none : shown(c, version)));
    }
    return OK;
}

enum outcome api_find_operation(struct api_call *c, struct error *err)
{
    switch (c->call.service->family) {
    case FAMILY_REST_JSON:
    case FAMILY_REST_XML:
        return find_by_path(c, err);
    case FAMILY_JSON_1_0:
    case FAMILY_JSON_1_1:
        return find_by_target(c, err);
    case FAMILY_QUERY:
        if (!slice_is(http_method(c->call.exchange), "GET") && !slice_is(http_method(c->call.exchange), "POST"))
            return error_set_code(err, ERROR_INVALID, "InvalidAction", "Use GET or POST.",
                                  "This method cannot call an operation.");
        return read_pairs(c, http_query(c->call.exchange), true, err);
    }
    return unknown_path(c, err);
}
