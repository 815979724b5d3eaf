#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "services/api_private.h"

/* The life of a call. What costs us something comes after what costs the client something:
 *
 * 1. From the head alone: claim, scope, skew, access key, session token, operation, Content-Length. Whoever does not
 *    know a key is refused here, having cost one scan of the head.
 * 2. The body, bounded by its operation's row, by what one instance's key may have in flight and by the budget of all
 *    bodies together, hashed as it comes. Who may not call the operation at all gets no large body read.
 * 3. The signature, over head and body. The key is looked up again: its instance may have ended meanwhile.
 * 4. May this principal do this? Then, and only then, the handler.
 *
 * A call is freed by its answer (api_reply.c), or with its exchange while no handler has it. After a handler was called,
 * nothing here touches the call again: it may have answered already. */

static const char hint_credentials[] = "Use credentials of this server: eval \"$(hearth env)\".";

/* ---- the api ---- */

struct api *api_new(uv_loop_t *loop, const struct api_config *config)
{
    (void)loop; /* no timers or handles of our own: net and the rooms below have them */
    struct api *api = memory_new(sizeof(*api));
    api->config = *config;
    if (api->config.bodies_bytes_max == 0)
        api->config.bodies_bytes_max = API_BODIES_BYTES_MAX;
    if (api->config.instance_bodies_bytes_max == 0)
        api->config.instance_bodies_bytes_max = API_INSTANCE_BODIES_BYTES_MAX;
    api->cache = sigv4_cache_new(SIGV4_CACHE_ENTRIES);
    return api;
}

static void api_release(struct api *api)
{
    if (!api->freed || api->calls > 0)
        return;
    sigv4_cache_free(api->cache);
    free(api);
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    api->freed = true;
    api_release(api);
}

/* ---- the budget of bodies: each piece is counted until its call ends ---- */

static struct api_share *share_of(struct api *api, const char *access_key)
{
    struct api_share *share = NULL;
    HASH_FIND_STR(api->shares, access_key, share);
    if (share == NULL) {
        share = memory_new(sizeof(*share));
        (void)snprintf(share->access_key, sizeof(share->access_key), "%s", access_key);
        HASH_ADD_STR(api->shares, access_key, share);
    }
    share->calls++;
    return share;
}

static enum outcome budget_take(struct api_call *c, size_t len, struct error *err)
{
    struct api *api = c->call.api;
    if (c->share != NULL && len > api->config.instance_bodies_bytes_max - c->share->bytes)
        return error_set(err, ERROR_THROTTLED, "Send fewer large requests at once.",
                         "This function sends too many large requests at once.");
    size_t max = api->config.bodies_bytes_max;
    if (c->body.len + len > API_SMALL_BODY_BYTES)
        max -= max / API_SMALL_BODIES_SHARE;
    if (api->bodies_bytes > max || len > max - api->bodies_bytes || !buffer_try_reserve(&c->body, len))
        return error_set(err, ERROR_UNAVAILABLE, "Send it again in a while.",
                         "The server is reading too many large requests. Please reduce your request rate.");
    api->bodies_bytes += len;
    c->body_counted += len;
    if (c->share != NULL)
        c->share->bytes += len;
    return OK;
}

static void budget_give_back(struct api_call *c)
{
    struct api *api = c->call.api;
    assert(api->bodies_bytes >= c->body_counted);
    api->bodies_bytes -= c->body_counted;
    if (c->share == NULL)
        return;
    c->share->bytes -= c->body_counted;
    if (--c->share->calls > 0)
        return;
    HASH_DEL(api->shares, c->share);
    free(c->share);
}

/* ---- a call ---- */

enum {
    BODY_WIPED_BYTES_MAX = 256 * 1024
}; /* environment variables and keys are in small bodies; packages are not secret */

void api_call_free(struct api_call *c)
{
    struct api *api = c->call.api;
    if (c->body.at != NULL && c->body.cap <= BODY_WIPED_BYTES_MAX)
        buffer_wipe(&c->body);
    buffer_drop(&c->body);
    yyjson_doc_free(c->call.json.doc);
    sha256_stream_free(c->hash);
    sigv4_claim_drop(&c->claim);
    arena_drop(&c->call.arena);
    budget_give_back(c);
    assert(api->calls > 0);
    api->calls--;
    free(c);
    api_release(api);
}

static void client_is_gone(struct http_exchange *x, void *arg)
{
    struct api_call *c = arg;
    (void)x;
    c->call.client_gone = true;
    c->call.exchange = NULL;
    if (c->state == CALL_READING)
        api_call_free(c);
    else if (c->call.on_gone != NULL)
        c->call.on_gone(&c->call);
}

static struct api_call *call_new(struct api *api, struct http_exchange *x)
{
    struct api_call *c = memory_new(sizeof(*c));
    struct call *call = &c->call;
    call->api = api;
    call->engine = api->config.engine;
    call->async_queue = api->config.async_queue;
    call->logs = api->config.logs;
    call->code_links = api->config.code_links;
    call->gateway_url = api->config.gateway_url;
    call->exchange = x;
    call->body = &c->body;
    uuid_make(call->request_id);
    arena_init(&call->arena);
    api->calls++;
    size_t count = http_header_count(x);
    struct sigv4_header *headers = arena_take(&call->arena, (count + 1) * sizeof(*headers));
    for (size_t i = 0; i < count; i++) {
        struct http_header header = http_header_at(x, i);
        headers[i] = (struct sigv4_header){ header.name, header.value };
    }
    c->request = (struct sigv4_request){ http_method(x), http_path(x), http_query(x), headers, count };
    http_on_gone(x, client_is_gone, c);
    return c;
}

/* ---- 1. the head ---- */

static enum outcome unknown_key(struct error *err)
{
    return error_set_code(err, ERROR_DENIED, "UnrecognizedClientException", hint_credentials,
                          "The security token included in the request is invalid.");
}

static enum outcome too_large(const struct api_call *c, struct error *err)
{
    const struct operation *operation = c->call.operation;
    const char *action = operation == NULL ? NULL : operation->action;
    const char *name = operation == NULL                               ? "this"
                       : action != NULL && strchr(action, ':') != NULL ? strchr(action, ':') + 1
                                                                       : operation->name;
    /* AWS names the permission here: "for the InvokeFunction operation". */
    return error_set_code(err, ERROR_TOO_LARGE, "RequestEntityTooLargeException", "Send less.",
                          "Request must be smaller than %zu bytes for the %s operation", c->body_max, name);
}

/* Would the permission check refuse whatever the resource is? Only a hint before the signature was checked: nothing is
 * granted by it. (Once policies name resources, this asks whether any could be allowed.) */
static bool surely_denied(const struct operation *operation, const struct principal *principal)
{
    return operation != NULL && authorize(principal, operation->action, SLICE("*"), NULL) != OK;
}

static enum outcome check_length(struct api_call *c, const struct principal *principal, struct error *err)
{
    const struct operation *operation = c->call.operation;
    size_t allowed = operation == NULL         ? API_FORM_BYTES_MAX
                     : operation->body_max > 0 ? operation->body_max
                                               : API_BODY_BYTES_MAX;
    bool denied = surely_denied(operation, principal) && allowed > API_DENIED_BODY_BYTES_MAX;
    c->body_max = denied ? API_DENIED_BODY_BYTES_MAX : allowed;
    int64_t length = http_content_length(c->call.exchange);
    if (length > 0 && (uint64_t)length > c->body_max)
        return denied ? authorize(principal, operation->action, SLICE("*"), err) : too_large(c, err);
    if (principal->kind == PRINCIPAL_INSTANCE && http_has_body(c->call.exchange))
        c->share = share_of(c->call.api, principal->access_key);
    return OK;
}

static enum outcome check_head(struct api_call *c, struct error *err)
{
    int64_t now_ms = clock_wall_ms();
    enum outcome outcome = sigv4_read(&c->request, now_ms / 1000, &c->claim, err);
    c->family = api_guess_family(c->call.exchange, c->claim.service);
    struct error ignored;
    bool known = c->claim.service.len > 0 && api_find_service(c, outcome == OK ? err : &ignored) == OK;
    if (outcome != OK)
        return FAILED; /* told in the form of the service, where there is one */
    const struct principal *principal = keyring_find(c->call.api->config.keyring, c->claim.access_key);
    if (principal == NULL)
        return unknown_key(err);
    TRY(keyring_check_token(principal, c->claim.security_token, now_ms, err));
    if (!known)
        return FAILED; /* only who has a key learns which services are here */
    TRY(api_find_operation(c, err));
    return check_length(c, principal, err);
}

/* ---- 3. the signature, 4. the permission ---- */

static enum outcome check_signature(struct api_call *c, struct error *err)
{
    const struct principal *principal = keyring_find(c->call.api->config.keyring, c->claim.access_key);
    if (principal == NULL)
        return unknown_key(err); /* ended while the body came in */
    char hash[65];
    if (c->hash != NULL)
        sha256_stream_hex(c->hash, hash);
    else
        sha256_hex(buffer_slice(&c->body), hash);
    bool s3 = slice_is(c->claim.service, "s3");
    TRY(sigv4_check(&c->request, &c->claim, slice_of(principal->secret), slice_of(hash), s3 || c->claim.presigned,
                    !s3, c->call.api->cache, err));
    c->principal = *principal;
    memory_wipe(c->principal.secret, sizeof(c->principal.secret));
    memory_wipe(c->principal.token, sizeof(c->principal.token));
    c->call.principal = &c->principal;
    return OK;
}

static enum outcome check_permission(struct api_call *c, struct error *err)
{
    const struct operation *operation = c->call.operation;
    if (operation->action == NULL)
        return OK;
    AUTO(buffer)
    struct buffer resource = BUFFER_EMPTY;
    if (operation->resource != NULL)
        operation->resource(&c->call, &resource);
    else
        buffer_append_byte(&resource, '*');
    return authorize(c->call.principal, operation->action, buffer_slice(&resource), err);
}

static void body_is_complete(struct api_call *c)
{
    struct error err = { 0 };
    c->state = CALL_HANDLING;
    if (check_signature(c, &err) == OK && (c->call.operation != NULL || api_find_action(c, &err) == OK) &&
        check_permission(c, &err) == OK)
        c->call.operation->handler(&c->call);
    else
        call_fail(&c->call, &err);
}

/* ---- 2. the body ---- */

static enum outcome take_piece(struct api_call *c, struct slice piece, struct error *err)
{
    if (piece.len > c->body_max - c->body.len)
        return too_large(c, err);
    TRY(budget_take(c, piece.len, err));
    buffer_append_slice(&c->body, piece);
    if (c->hash == NULL && c->body.len > API_HASH_AT_ONCE_BYTES) {
        c->hash = sha256_stream_new();
        piece = buffer_slice(&c->body); /* what came before, too */
    }
    if (c->hash != NULL)
        sha256_stream_add(c->hash, piece);
    return OK;
}

static void body_piece(struct http_exchange *x, struct slice piece, void *arg)
{
    struct api_call *c = arg;
    struct error err = { 0 };
    if (piece.len == 0) {
        body_is_complete(c);
        return;
    }
    if (take_piece(c, piece, &err) == OK) {
        http_read_more(x);
        return;
    }
    c->state = CALL_HANDLING;
    call_fail(&c->call, &err);
}

/* ---- the beginning ---- */

/* Is the server there? The one answer that needs no signature: no body, no word about who we are. */
static bool health(struct http_exchange *x)
{
    if (!slice_is(http_path(x), "/healthz") ||
        (!slice_is(http_method(x), "GET") && !slice_is(http_method(x), "HEAD")))
        return false;
    http_respond(x, 200, SLICE_EMPTY);
    return true;
}

void api_request(struct http_exchange *x, void *arg)
{
    struct api *api = arg;
    if (health(x) || (api->config.direct != NULL && api->config.direct(x, api->config.direct_arg)))
        return;
    struct api_call *c = call_new(api, x);
    struct error err = { 0 };
    if (check_head(c, &err) != OK) {
        c->state = CALL_HANDLING;
        call_fail(&c->call, &err);
    } else if (http_has_body(x))
        http_read_pieces(x, body_piece, c);
    else
        body_is_complete(c);
}

/* ---- what handlers ask ---- */

static struct slice parameter_named(const struct parameter *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(list[i].name, name))
            return list[i].value;
    return SLICE_EMPTY;
}

struct slice call_path(const struct call *call, const char *name)
{
    return parameter_named(call->path, call->path_count, name);
}

struct slice call_query(const struct call *call, const char *name)
{
    return parameter_named(call->query, call->query_count, name);
}

struct slice call_header(struct call *call, const char *name)
{
    if (call->exchange == NULL)
        return SLICE_EMPTY;
    return call_copy(call, http_header(call->exchange, name)); /* the exchange may end before the call does */
}

enum outcome call_json(struct call *call, yyjson_val **root, struct error *err)
{
    if (call->json.doc == NULL) {
        struct error why = { 0 };
        bool rest = call->service->family == FAMILY_REST_JSON;
        const char *code = rest ? "InvalidRequestContentException" : "SerializationException";
        const char *hint = "Send a JSON object as the request's body.";
        struct slice text = buffer_slice(call->body);
        if (json_parse(text.len == 0 ? SLICE("{}") : text, &call->json.doc, &why) != OK)
            return error_set_code(err, why.kind == ERROR_UNAVAILABLE ? ERROR_UNAVAILABLE : ERROR_INVALID,
                                  why.kind == ERROR_UNAVAILABLE ? "" : code, hint,
                                  "Could not parse request body into json: %s", why.message);
        if (!yyjson_is_obj(yyjson_doc_get_root(call->json.doc))) {
            json_doc_drop(&call->json.doc);
            return error_set_code(err, ERROR_INVALID, code, hint,
                                  "Could not parse request body into json: it is not a JSON object");
        }
    }
    *root = yyjson_doc_get_root(call->json.doc);
    return OK;
}
