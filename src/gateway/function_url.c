#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/memory.h"
#include "gateway/private.h"
#include "gateway/url_answer.h"
#include "gateway/url_cors.h"
#include "gateway/url_event.h"
#include "json/json.h"

/* The life of one call of a function URL.
 *
 * 1. From the head alone: is there such a URL; a preflight is answered; for AWS_IAM the claim, the key, the token; the length.
 * 2. The body, within GATEWAY_BODY_BYTES_MAX and the budget of all bodies.
 * 3. For AWS_IAM the signature, over head and body, and the permission.
 * 4. The event, the invocation, the answer.
 *
 * The URL is looked up again after the body: one that was deleted or closed meanwhile is gone at once. A call is freed by its answer, or with its
 * exchange while the body comes in. Once it is invoked the client may go: the function runs on, its answer goes nowhere.
 *
 * What the client is told, and its source:
 *   no such URL            403 {"Message":null}          AccessDeniedException (LocalStack's recording test_lambda_url_non_existing_url)
 *   not signed, not allowed 403 {"Message":"Forbidden. For troubleshooting ..."} AccessDeniedException (test_lambda_permission_url_invocation)
 *   wrong signature        403 {"message":"The request signature we calculated ..."} InvalidSignatureException
 *   the function failed, timed out, or answered nonsense  502 Internal Server Error (test_lambda_url_invocation_exception)
 *   throttled              429, Lambda's TooManyRequestsException ("Throttling function URLs") */

enum url_call_state {
    URL_CALL_READING, /* the body comes in; the exchange may go away -> INVOKED, freed */
    URL_CALL_INVOKED  /* the engine has it; it will call back        -> freed by the answer */
};

struct url_call {
    struct gateway *gateway;
    struct url_call *prev, *next;   /* gateway->bodies, while its body comes in */
    uint64_t body_since_us;         /* 0: it is not in there */
    struct http_exchange *exchange; /* NULL once the client is gone */
    enum url_call_state state;
    char id[URL_ID_BYTES];
    struct slice path, domain; /* borrowed from the exchange, until the event is made */
    struct buffer body;
    size_t counted; /* our part of gateway->bodies_bytes */
    struct sigv4_claim claim;
    char request_id[UUID_TEXT_BYTES];
    char trace[96];
    size_t trace_root_len;
    struct arena arena;
};

static const char forbidden[] =
    "{\"Message\":\"Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html\"}";

/* ---- a call ---- */

static void leave_bodies(struct url_call *c)
{
    if (c->body_since_us != 0)
        DL_DELETE(c->gateway->bodies, c);
    c->body_since_us = 0;
}

static void call_free(struct url_call *c)
{
    struct gateway *gateway = c->gateway;
    leave_bodies(c);
    assert(gateway->bodies_bytes >= c->counted && gateway->calls > 0);
    gateway->bodies_bytes -= c->counted;
    gateway->calls--;
    buffer_drop(&c->body);
    sigv4_claim_drop(&c->claim);
    arena_drop(&c->arena);
    free(c);
    gateway_release(gateway);
}

static void client_is_gone(struct http_exchange *x, void *arg)
{
    struct url_call *c = arg;
    (void)x;
    c->exchange = NULL;
    if (c->state == URL_CALL_READING)
        call_free(c);
}

/* X-Ray: Root=1-<8 hex: seconds>-<24 hex>;Parent=<16 hex>;Sampled=0|1. What is random is the request id's. The client's own is not taken over: it
 * could name another's trace. */
static void make_trace(struct url_call *c)
{
    char digits[33];
    size_t n = 0;
    for (const char *at = c->request_id; *at != '\0'; at++)
        if (*at != '-')
            digits[n++] = *at;
    digits[n] = '\0';
    int len = snprintf(c->trace, sizeof(c->trace), "Root=1-%08x-%.24s", (unsigned)(clock_wall_ms() / 1000), digits);
    c->trace_root_len = (size_t)len;
    (void)snprintf(c->trace + len, sizeof(c->trace) - (size_t)len, ";Parent=%.16s;Sampled=0", digits + 16);
}

static const struct setting *find_url(const struct url_call *c, struct slice *name)
{
    return engine_url_find(c->gateway->config.engine, slice_of(c->id), name);
}

/* ---- answers ---- */

static void add_cors_field(const char *name, struct slice value, void *arg)
{
    if (http_value_ok(value))
        http_add_header(arg, name, value);
}

static void add_common(struct url_call *c)
{
    struct slice name = SLICE_EMPTY;
    const struct setting *setting = find_url(c, &name);
    http_add_header(c->exchange, "x-amzn-RequestId", slice_of(c->request_id));
    if (setting != NULL && setting->url->has_cors)
        url_cors_answer(&setting->url->cors, http_header(c->exchange, "origin"), add_cors_field, c->exchange);
}

/* An answer of our own; the call ends. */
static void reply(struct url_call *c, int status, const char *error_type, struct slice body)
{
    if (c->exchange != NULL) {
        add_common(c);
        http_add_header(c->exchange, "Content-Type", SLICE("application/json"));
        if (error_type != NULL)
            http_add_header(c->exchange, "x-amzn-ErrorType", slice_of(error_type));
        http_respond(c->exchange, status, body);
    }
    call_free(c);
}

static void reply_no_url(struct url_call *c)
{
    reply(c, 403, "AccessDeniedException", SLICE("{\"Message\":null}"));
}

static void reply_forbidden(struct url_call *c)
{
    reply(c, 403, "AccessDeniedException", slice_of(forbidden));
}

static void reply_too_large(struct url_call *c)
{
    char body[128];
    int len = snprintf(body, sizeof(body),
                       "{\"message\":\"Request must be smaller than %d bytes for the InvokeFunction operation\"}",
                       GATEWAY_BODY_BYTES_MAX);
    reply(c, 413, "RequestEntityTooLargeException", slice_from(body, (size_t)len));
}

static void reply_bad_gateway(struct url_call *c)
{
    reply(c, 502, NULL, SLICE("Internal Server Error"));
}

static void reply_unavailable(struct url_call *c)
{
    reply(c, 503, "ServiceException", SLICE("{\"Message\":\"Service Unavailable\"}"));
}

static void reply_error(struct url_call *c, int status, const struct error *err)
{
    AUTO(buffer)
    struct buffer body = BUFFER_EMPTY;
    buffer_append_text(&body, "{\"message\":");
    json_append_string(&body, slice_of(err->message));
    buffer_append_byte(&body, '}');
    reply(c, status, err->code, buffer_slice(&body));
}

static void reply_refused(struct url_call *c, const struct invocation_result *result)
{
    char body[160];
    if (result->error->kind == ERROR_THROTTLED) {
        int len =
            snprintf(body, sizeof(body), "{\"Reason\":\"%s\",\"Type\":\"User\",\"message\":\"Rate Exceeded.\"}",
                     result->reason != NULL ? result->reason : "ConcurrentInvocationLimitExceeded");
        reply(c, 429, "TooManyRequestsException", slice_from(body, (size_t)len));
    } else if (result->error->kind == ERROR_NOT_FOUND) {
        reply_no_url(c);
    } else if (result->error->kind == ERROR_UNAVAILABLE) {
        reply_unavailable(c);
    } else {
        reply_bad_gateway(c);
    }
}

static void reply_answer(struct url_call *c, struct slice payload)
{
    AUTO(url_answer)
    struct url_answer answer = { 0 };
    if (c->exchange == NULL) {
        call_free(c);
        return;
    }
    if (url_answer_read(payload, &answer, NULL) != OK) {
        reply_bad_gateway(c);
        return;
    }
    add_common(c);
    http_add_header(c->exchange, "X-Amzn-Trace-Id", slice_of(c->trace));
    for (size_t i = 0; i < answer.field_count; i++)
        http_add_header(c->exchange, answer.fields[i].name, answer.fields[i].value);
    http_respond_take(c->exchange, answer.status, &answer.body);
    call_free(c);
}

static void invoked(const struct invocation_result *result, void *arg)
{
    struct url_call *c = arg;
    if (result->status == INVOCATION_REFUSED)
        reply_refused(c, result);
    else if (result->status == INVOCATION_FUNCTION_ERROR)
        reply_bad_gateway(c);
    else
        reply_answer(c, result->payload);
}

/* ---- who signed ---- */

static struct sigv4_request signed_request(struct url_call *c)
{
    size_t count = http_header_count(c->exchange);
    struct sigv4_header *headers = arena_take(&c->arena, (count + 1) * sizeof(*headers));
    for (size_t i = 0; i < count; i++) {
        struct http_header header = http_header_at(c->exchange, i);
        headers[i] = (struct sigv4_header){ header.name, header.value };
    }
    return (struct sigv4_request){ http_method(c->exchange), http_path(c->exchange), http_query(c->exchange),
                                   headers, count };
}

static enum outcome unknown_key(struct error *err)
{
    return error_set_code(err, ERROR_DENIED, "UnrecognizedClientException", "Use credentials of this server.",
                          "The security token included in the request is invalid.");
}

/* SigV4 signs "/a/../b" as "/b", but it is "/a/../b" that tells whose URL this is, and that the function sees: a signature for
 * one URL by its path would hold for each other one. */
static bool has_dot_segments(struct slice path)
{
    while (path.len > 0) {
        struct slice segment = slice_split(&path, '/');
        if (slice_is(segment, ".") || slice_is(segment, ".."))
            return true;
    }
    return false;
}

/* All that can be asked of a head. */
static enum outcome check_claim(struct url_call *c, struct error *err)
{
    struct sigv4_request request = signed_request(c);
    int64_t now_ms = clock_wall_ms();
    if (has_dot_segments(request.path))
        return error_set_code(err, ERROR_DENIED, "InvalidSignatureException", "Send the path that was signed.",
                              "A signed request's path must not contain the segments '.' and '..'.");
    TRY(sigv4_read(&request, now_ms / 1000, &c->claim, err));
    if (!slice_is(c->claim.service, "lambda"))
        return error_set_code(err, ERROR_DENIED, "InvalidSignatureException", "Sign for the service lambda.",
                              "Credential should be scoped to correct service: 'lambda'.");
    const struct principal *principal = keyring_find(c->gateway->config.keyring, c->claim.access_key);
    if (principal == NULL)
        return unknown_key(err);
    return keyring_check_token(principal, c->claim.security_token, now_ms, err);
}

/* CloudFront's guide on function URLs: "Lambda doesn't support unsigned payloads"; a query that is signed has no body's hash. */
static enum outcome check_signature(struct url_call *c, const struct principal **out, struct error *err)
{
    struct sigv4_request request = signed_request(c);
    const struct principal *principal = keyring_find(c->gateway->config.keyring, c->claim.access_key);
    char hash[65];
    if (principal == NULL)
        return unknown_key(err); /* ended while the body came in */
    sha256_hex(buffer_slice(&c->body), hash);
    TRY(sigv4_check(&request, &c->claim, slice_of(principal->secret), slice_of(hash), c->claim.presigned, true,
                    c->gateway->cache, err));
    *out = principal;
    return OK;
}

static void reply_unsigned(struct url_call *c, const struct error *err)
{
    if (strcmp(err->code, "MissingAuthenticationTokenException") == 0)
        reply_forbidden(c);
    else if (strcmp(err->code, "XAmzContentSHA256Mismatch") == 0 || strcmp(err->code, "MalformedQueryString") == 0)
        reply_error(c, 400, err);
    else
        reply_error(c, 403, err);
}

static void caller_of(const struct principal *principal, struct url_caller *out)
{
    struct slice rest = slice_of(principal->arn); /* arn:aws:iam::ACCOUNT:... */
    for (int i = 0; i < 4; i++)
        (void)slice_split(&rest, ':');
    *out = (struct url_caller){ slice_of(principal->access_key), slice_split(&rest, ':'), slice_of(principal->arn),
                                slice_of(principal->user_id) };
}

/* ---- the invocation ---- */

static void write_event(struct url_call *c, const struct url_caller *caller, struct buffer *out)
{
    const struct gateway_config *config = &c->gateway->config;
    struct http_exchange *x = c->exchange;
    char peer[64], domain[HTTP_TARGET_BYTES_MAX / 64];
    struct slice port = SLICE_EMPTY, url = slice_of(config->gateway_url);
    for (size_t colon = 0; slice_find(url, ':', &colon); url = slice_sub(url, colon + 1, url.len))
        port = slice_sub(url, colon + 1, url.len);
    http_peer(x, peer);
    int len = snprintf(domain, sizeof(domain), "%s.lambda-url.%s.on.localhost", c->id, config->region);
    size_t count = http_header_count(x);
    struct http_header *headers = arena_take(&c->arena, (count + 1) * sizeof(*headers));
    for (size_t i = 0; i < count; i++)
        headers[i] = http_header_at(x, i);
    struct url_event event = {
        .id = slice_of(c->id),
        .domain = c->domain.len > 0 ? c->domain : slice_from(domain, (size_t)len),
        .method = http_method(x),
        .path = c->path,
        .query = http_query(x),
        .headers = headers,
        .header_count = count,
        .body = buffer_slice(&c->body),
        .caller = caller,
        .source_ip = slice_of(peer),
        .port = port,
        .proto = slice_starts(slice_of(config->gateway_url), SLICE("https:")) ? SLICE("https") : SLICE("http"),
        .trace = slice_from(c->trace, c->trace_root_len),
        .request_id = slice_of(c->request_id),
        .time_ms = clock_wall_ms(),
    };
    url_event_write(&event, out);
}

/* From here on the call's memory is the event; the body has done its part. */
static void count_event(struct url_call *c, size_t len)
{
    buffer_drop(&c->body);
    c->gateway->bodies_bytes -= c->counted;
    c->gateway->bodies_bytes += len;
    c->counted = len;
}

static void invoke(struct url_call *c, const struct setting *setting, struct slice name,
                   const struct url_caller *caller)
{
    struct engine *engine = c->gateway->config.engine;
    struct slice qualifier = slice_of(setting->qualifier);
    bool latest = slice_is(qualifier, "$LATEST");
    struct function *function = engine_route(engine, name, qualifier);
    if (function == NULL) {
        reply_no_url(c); /* the alias or the function went with this very turn */
        return;
    }
    if (strcmp(function->tracing_mode, "Active") == 0)
        c->trace[strlen(c->trace) - 1] = '1';
    AUTO(buffer)
    struct buffer event = BUFFER_EMPTY;
    write_event(c, caller, &event);
    count_event(c, event.len);
    if (event.len > INVOKE_PAYLOAD_BYTES_MAX) {
        reply_too_large(c);
        return;
    }
    struct invocation_input input = {
        .function = function,
        .qualifier = latest ? SLICE_EMPTY : qualifier,
        .request_id = slice_of(c->request_id),
        .trace = slice_of(c->trace),
        .payload = &event,
    };
    c->state = URL_CALL_INVOKED;
    (void)engine_invoke(engine, &input, invoked, c);
}

static void body_is_complete(struct url_call *c)
{
    struct slice name = SLICE_EMPTY;
    const struct setting *setting = find_url(c, &name);
    if (setting == NULL) {
        reply_no_url(c);
        return;
    }
    if (!setting->url->iam) {
        invoke(c, setting, name, NULL);
        return;
    }
    struct error err = { 0 };
    const struct principal *principal = NULL;
    struct url_caller caller;
    struct function *function = engine_find(c->gateway->config.engine, name);
    /* A URL that was NONE while the head came in asks for a signature now. */
    if ((c->claim.signature.len == 0 && check_claim(c, &err) != OK) || check_signature(c, &principal, &err) != OK) {
        reply_unsigned(c, &err);
        return;
    }
    AUTO(buffer)
    struct buffer arn = BUFFER_EMPTY;
    buffer_append_text(&arn, function != NULL ? function->arn : "*");
    if (!slice_is(slice_of(setting->qualifier), "$LATEST"))
        buffer_appendf(&arn, ":%s", setting->qualifier);
    if (authorize(principal, "lambda:InvokeFunctionUrl", buffer_slice(&arn), &err) != OK) {
        reply_forbidden(c);
        return;
    }
    caller_of(principal, &caller);
    invoke(c, setting, name, &caller);
}

/* ---- the body ---- */

/* Who needs long for a body gives way when there is no room: else some slow strangers would have all of it for as long as they like. */
static bool budget_free_some(const struct url_call *c)
{
    struct url_call *oldest = c->gateway->bodies;
    if (oldest == NULL || oldest == c || clock_mono_us() - oldest->body_since_us < GATEWAY_BODY_GRACE_MS * 1000ULL)
        return false;
    reply_unavailable(oldest);
    return true;
}

static bool budget_take(struct url_call *c, size_t len)
{
    struct gateway *gateway = c->gateway;
    size_t max = gateway->config.bodies_bytes_max;
    if (c->body.len + len > GATEWAY_SMALL_BODY_BYTES)
        max -= max / GATEWAY_SMALL_BODIES_SHARE;
    while (gateway->bodies_bytes > max || len > max - gateway->bodies_bytes)
        if (!budget_free_some(c))
            return false;
    if (!buffer_try_reserve(&c->body, len))
        return false;
    gateway->bodies_bytes += len;
    c->counted += len;
    return true;
}

static void body_piece(struct http_exchange *x, struct slice piece, void *arg)
{
    struct url_call *c = arg;
    if (piece.len == 0) {
        leave_bodies(c);
        body_is_complete(c);
    } else if (piece.len > GATEWAY_BODY_BYTES_MAX - c->body.len)
        reply_too_large(c);
    else if (!budget_take(c, piece.len))
        reply_unavailable(c);
    else {
        buffer_append_slice(&c->body, piece);
        http_read_more(x);
    }
}

/* ---- the head ---- */

static void reply_preflight(struct url_call *c, const struct url_cors *cors)
{
    struct http_exchange *x = c->exchange;
    http_add_header(x, "x-amzn-RequestId", slice_of(c->request_id));
    http_add_header(x, "Content-Type", SLICE("application/json"));
    url_cors_preflight(cors, http_header(x, "origin"), http_header(x, "access-control-request-method"),
                       http_header(x, "access-control-request-headers"), add_cors_field, x);
    http_respond(x, 200, SLICE_EMPTY);
    call_free(c);
}

static struct url_call *call_new(struct gateway *gateway, struct http_exchange *x, struct slice id)
{
    struct url_call *c = memory_new(sizeof(*c));
    c->gateway = gateway;
    c->exchange = x;
    gateway->calls++;
    arena_init(&c->arena);
    uuid_make(c->request_id);
    make_trace(c);
    for (size_t i = 0; id.len == URL_ID_BYTES - 1 && i < id.len; i++) /* names of hosts have no case */
        c->id[i] = (char)(id.at[i] >= 'A' && id.at[i] <= 'Z' ? id.at[i] + 32 : id.at[i]);
    http_on_gone(x, client_is_gone, c);
    return c;
}

/* Into the call's arena, in lower case. */
static struct slice lower_copy(struct url_call *c, struct slice text)
{
    char *copy = arena_take(&c->arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        copy[i] = (char)(text.at[i] >= 'A' && text.at[i] <= 'Z' ? text.at[i] + 32 : text.at[i]);
    return slice_from(copy, text.len);
}

void function_url_request(struct gateway *gateway, struct http_exchange *x, struct slice id, struct slice path,
                          struct slice domain)
{
    struct url_call *c = call_new(gateway, x, id);
    struct slice name = SLICE_EMPTY;
    struct error err = { 0 };
    c->path = path;
    c->domain = lower_copy(c, domain);
    const struct setting *setting = url_id_ok(slice_of(c->id)) ? find_url(c, &name) : NULL;
    if (setting == NULL)
        reply_no_url(c);
    else if (setting->url->has_cors && url_cors_is_preflight(http_method(x), http_header(x, "origin"),
                                                             http_header(x, "access-control-request-method")))
        reply_preflight(c, &setting->url->cors);
    else if (setting->url->iam && check_claim(c, &err) != OK)
        reply_unsigned(c, &err);
    else if (http_content_length(x) > GATEWAY_BODY_BYTES_MAX)
        reply_too_large(c);
    else if (http_has_body(x)) {
        c->body_since_us = clock_mono_us();
        DL_APPEND(gateway->bodies, c);
        http_read_pieces(x, body_piece, c);
    } else
        body_is_complete(c);
}
