#include "services/lambda/lambda.h"

#include <assert.h>

#include "base/clock.h"
#include "base/codec.h"
#include "events/async_queue.h"

/* Invoke: the hot path. What it does for each call beyond the engine's work: one look at the header fields, one pass over the payload,
 * the payload's buffer handed on and the answer's taken, both without a copy. Allocations: the trace header, in the call's arena. */

struct invoke_headers {
    struct slice type, log_type, client_context, trace, tenant, durable;
};

/* One walk over the fields instead of six: they are compared by length first. */
static void read_headers(const struct call *call, struct invoke_headers *out)
{
    static const struct {
        struct slice name;
        size_t offset;
    } wanted[] = {
        { SLICE("x-amz-invocation-type"), offsetof(struct invoke_headers, type) },
        { SLICE("x-amz-log-type"), offsetof(struct invoke_headers, log_type) },
        { SLICE("x-amz-client-context"), offsetof(struct invoke_headers, client_context) },
        { SLICE("x-amzn-trace-id"), offsetof(struct invoke_headers, trace) },
        { SLICE("x-amz-tenant-id"), offsetof(struct invoke_headers, tenant) },
        { SLICE("x-amz-durable-execution-name"), offsetof(struct invoke_headers, durable) },
    };
    *out = (struct invoke_headers){ SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY };
    size_t count = http_header_count(call->exchange);
    for (size_t i = 0; i < count; i++) {
        struct http_header field = http_header_at(call->exchange, i);
        if (field.name.len < 14 || (field.name.at[0] | 0x20) != 'x')
            continue;
        for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++)
            if (field.name.len == wanted[k].name.len && slice_equal_nocase(field.name, wanted[k].name))
                memcpy((char *)out + wanted[k].offset, &field.value, sizeof(field.value));
    }
}

static enum outcome check_headers(const struct invoke_headers *headers, struct error *err)
{
    static const char code[] = "InvalidParameterValueException";
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    if (headers->type.len > 0 && !slice_is(headers->type, "Event") && !slice_is(headers->type, "RequestResponse") &&
        !slice_is(headers->type, "DryRun"))
        lambda_check_failed(&checks, "invocationType", headers->type,
                            "Member must satisfy enum value set: [Event, RequestResponse, DryRun]");
    if (headers->log_type.len > 0 && !slice_is(headers->log_type, "Tail") && !slice_is(headers->log_type, "None"))
        lambda_check_failed(&checks, "logType", headers->log_type,
                            "Member must satisfy enum value set: [None, Tail]");
    TRY(lambda_checks_result(&checks, err));
    if (headers->tenant.len > 0)
        return error_set_code(
            err, ERROR_INVALID, code, "Leave it out.",
            "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your "
            "request and try again.");
    if (headers->durable.len > 0)
        return error_set_code(err, ERROR_UNSUPPORTED, code, "Leave it out.",
                              "Durable executions are not supported by this server yet.");
    return OK;
}

/* Into the call's arena, where it lives as long as the invocation. */
static enum outcome read_client_context(struct call *call, struct slice text, struct slice *out, struct error *err)
{
    static const char code[] = "InvalidRequestContentException", hint[] = "Send a small JSON object in base64.";
    *out = SLICE_EMPTY;
    if (text.len == 0)
        return OK;
    if (text.len > LAMBDA_CLIENT_CONTEXT_BYTES_MAX)
        return error_set_code(err, ERROR_INVALID, code, hint, "Client context must be no more than %d bytes.",
                              LAMBDA_CLIENT_CONTEXT_BYTES_MAX);
    AUTO(buffer)
    struct buffer json = BUFFER_EMPTY;
    bool object = codec_unbase64(&json, text) && lambda_payload_check(buffer_slice(&json), NULL) == OK;
    size_t first = 0;
    while (object && first < json.len && strchr(" \t\r\n", json.at[first]) != NULL)
        first++;
    if (!object || first == json.len || json.at[first] != '{')
        return error_set_code(err, ERROR_INVALID, code, hint,
                              "Client context must be a valid Base64-encoded JSON object.");
    char *copy = arena_take(&call->arena, json.len);
    memcpy(copy, json.at, json.len);
    *out = slice_from(copy, json.len);
    return OK;
}

/* ---- the trace header ---- */

/* A field of "Root=...;Parent=...;Sampled=0". */
static bool trace_field(struct slice header, struct slice name, struct slice *value)
{
    for (struct slice rest = header; rest.len > 0;) {
        struct slice field = slice_trim(slice_split(&rest, ';'));
        if (slice_starts(field, name)) {
            *value = slice_sub(field, name.len, field.len);
            return value->len > 0;
        }
    }
    return false;
}

static bool trace_passes(struct slice header)
{
    if (header.len == 0 || header.len > LAMBDA_TRACE_BYTES_MAX / 2)
        return false;
    for (size_t i = 0; i < header.len; i++)
        if (header.at[i] < 0x20 || header.at[i] >= 0x7F)
            return false;
    struct slice root = SLICE_EMPTY;
    return trace_field(header, SLICE("Root="), &root);
}

/* Appends at `out`, which has room for all that lambda_trace can put together (see the assertion there). */
static char *put(char *out, struct slice text)
{
    memcpy(out, text.at, text.len);
    return out + text.len;
}

static char *put_hex(char *out, uint32_t value)
{
    for (int shift = 28; shift >= 0; shift -= 4)
        *out++ = "0123456789abcdef"[value >> shift & 15];
    return out;
}

/* The request id's digits without its dashes: 32, of which 122 bits are random. */
static void digits_of(struct slice request_id, char out[32])
{
    size_t n = 0;
    for (size_t i = 0; i < request_id.len && n < 32; i++)
        if (request_id.at[i] != '-')
            out[n++] = request_id.at[i];
    memset(out + n, '0', 32 - n);
}

void lambda_trace(struct slice given, struct slice request_id, bool sampled, char out[LAMBDA_TRACE_BYTES_MAX])
{
    /* X-Ray: Root=1-<8 hex: seconds>-<24 hex: random>;Parent=<16 hex>;Sampled=0|1. A missing Parent is ours: the segment would
     * have been the invocation's. What is random comes from the request id, which is so already: no system call stands here. */
    static_assert(LAMBDA_TRACE_BYTES_MAX / 2 + sizeof(";Parent=0123456789abcdef;Sampled=0") <
                      LAMBDA_TRACE_BYTES_MAX,
                  "the longest header that passes, completed, fits");
    char digits[32];
    struct slice field = SLICE_EMPTY;
    bool passes = trace_passes(given);
    digits_of(request_id, digits);
    if (passes)
        out = put(out, given);
    else {
        out = put(out, SLICE("Root=1-"));
        out = put_hex(out, (uint32_t)(clock_wall_ms() / 1000));
        *out++ = '-';
        out = put(out, slice_from(digits, 24));
    }
    if (!passes || !trace_field(given, SLICE("Parent="), &field))
        out = put(put(out, SLICE(";Parent=")), slice_from(digits + 16, 16));
    if (!passes || !trace_field(given, SLICE("Sampled="), &field))
        out = put(out, sampled ? SLICE(";Sampled=1") : SLICE(";Sampled=0"));
    *out = '\0';
}

/* ---- the answer ---- */

static void add_headers(struct call *call, const struct invocation_result *result)
{
    call_add_header(call, "X-Amz-Executed-Version", result->executed_version);
    call_add_header(call, "x-amzn-Remapped-Content-Length", SLICE("0"));
    call_add_header(call, "X-Amzn-Trace-Id", slice_of(call->data));
    if (result->status == INVOCATION_FUNCTION_ERROR)
        call_add_header(call, "X-Amz-Function-Error", SLICE("Unhandled"));
    if (result->log_tail.len > 0) {
        AUTO(buffer)
        struct buffer log = BUFFER_EMPTY;
        codec_base64(&log, result->log_tail);
        call_add_header(call, "X-Amz-Log-Result", buffer_slice(&log));
    }
}

/* TooManyRequestsException has a member of its own, which the common form of errors does not know. */
static void reply_throttled(struct call *call, const char *reason)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "Reason", reason);
    yyjson_mut_obj_add_str(doc, root, "Type", "User");
    yyjson_mut_obj_add_str(doc, root, "message", "Rate Exceeded.");
    call_add_header(call, "x-amzn-ErrorType", SLICE("TooManyRequestsException"));
    call_reply_json(call, 429, doc);
}

static void invoked(const struct invocation_result *result, void *arg)
{
    struct call *call = arg;
    if (result->status == INVOCATION_REFUSED) {
        if (result->error->kind == ERROR_THROTTLED && result->reason != NULL)
            reply_throttled(call, result->reason);
        else
            call_fail(call, result->error);
        return;
    }
    add_headers(call, result);
    AUTO(buffer)
    struct buffer payload = BUFFER_EMPTY;
    if (result->payload_buffer != NULL)
        payload = buffer_take(result->payload_buffer);
    else
        buffer_append_slice(&payload, result->payload);
    call_reply_bytes(call, 200, "application/json", &payload);
}

/* ---- asynchronous: answered when the event is on disk ---- */

/* AWS's answer has no body, and neither a version nor an error: nobody has run yet. */
static void accepted(enum outcome outcome, const struct error *err, void *arg)
{
    struct call *call = arg;
    if (outcome == OK) {
        call_add_header(call, "x-amzn-Remapped-Content-Length", SLICE("0"));
        call_add_header(call, "X-Amzn-Trace-Id", slice_of(call->data));
        call_reply_empty(call, 202);
    } else if (err->kind == ERROR_THROTTLED) {
        reply_throttled(call, "FunctionInvocationRateLimitExceeded");
    } else {
        call_fail(call, err);
    }
}

/* InvokeAsync, which AWS has kept since 2014, says so in its body. */
static void accepted_async(enum outcome outcome, const struct error *err, void *arg)
{
    if (outcome != OK) {
        accepted(outcome, err, arg);
        return;
    }
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_int(doc, root, "Status", 202);
    call_reply_json(arg, 202, doc);
}

/* ---- the call ---- */

enum invoke_type { INVOKE_WAIT, INVOKE_EVENT, INVOKE_DRY_RUN };

static enum outcome check_size(const struct call *call, enum invoke_type type, struct error *err)
{
    static const char code[] = "RequestEntityTooLargeException", hint[] = "Pass large data by reference.";
    if (call->body->len > INVOKE_PAYLOAD_BYTES_MAX)
        return error_set_code(err, ERROR_TOO_LARGE, code, hint,
                              "Request must be smaller than %d bytes for the InvokeFunction operation",
                              INVOKE_PAYLOAD_BYTES_MAX);
    if (type == INVOKE_EVENT && call->body->len > ASYNC_PAYLOAD_BYTES_MAX)
        return error_set_code(err, ERROR_TOO_LARGE, code, hint,
                              "%zu byte payload is too large for the Event invocation type (limit %d bytes)",
                              call->body->len, ASYNC_PAYLOAD_BYTES_MAX);
    return OK;
}

/* The function that runs now: of an alias with two versions the one that was drawn. A qualifier stands in the invoked ARN when it was given. */
static enum outcome find(struct call *call, const struct lambda_target *target, struct invocation_input *input,
                         struct error *err)
{
    input->qualifier = target->qualifier;
    input->function = engine_route(call->engine, target->name, target->qualifier);
    if (input->function == NULL) /* recorded: only Invoke names $LATEST when the function is not there */
        return lambda_not_found(call, target->name,
                                target->qualifier.len > 0 ? target->qualifier : SLICE("$LATEST"), err);
    return OK;
}

/* What all ways of calling have in common: the payload is right, and the invocation has its trace. */
static enum outcome prepare(struct call *call, enum invoke_type type, struct slice trace,
                            struct invocation_input *input, struct error *err)
{
    TRY(check_size(call, type, err));
    TRY(lambda_payload_check(buffer_slice(call->body), err));
    call->data = arena_take(&call->arena, LAMBDA_TRACE_BYTES_MAX);
    lambda_trace(trace, input->request_id, strcmp(input->function->tracing_mode, "Active") == 0, call->data);
    input->trace = slice_of(call->data);
    return OK;
}

static enum outcome invoke(struct call *call, bool *dry_run, struct error *err)
{
    struct invoke_headers headers;
    struct invocation_input input = { .payload = call->body, .request_id = slice_of(call->request_id) };
    read_headers(call, &headers);
    enum invoke_type type = slice_is(headers.type, "DryRun")  ? INVOKE_DRY_RUN
                            : slice_is(headers.type, "Event") ? INVOKE_EVENT
                                                              : INVOKE_WAIT;
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    TRY(lambda_target_of(call, LAMBDA_NAME_NAMESPACED, &target, err));
    TRY(check_headers(&headers, err));
    TRY(find(call, &target, &input, err));
    TRY(prepare(call, type, headers.trace, &input, err));
    TRY(read_client_context(call, headers.client_context, &input.client_context, err));
    input.log_tail = slice_is(headers.log_type, "Tail");
    *dry_run = type == INVOKE_DRY_RUN;
    if (type == INVOKE_EVENT)
        async_queue_put(call->async_queue, &input, accepted, call);
    else if (type == INVOKE_WAIT)
        /* The invocation is not abandoned when the client goes: it runs on, as on Lambda, and the call waits for it to be freed. */
        engine_invoke(call->engine, &input, invoked, call);
    return OK;
}

void lambda_invoke(struct call *call)
{
    struct error err = { 0 };
    bool dry_run = false;
    if (invoke(call, &dry_run, &err) != OK)
        call_fail(call, &err);
    else if (dry_run)
        call_reply_empty(call, 204);
}

void lambda_invoke_async(struct call *call)
{
    struct error err = { 0 };
    struct invoke_headers headers;
    struct invocation_input input = { .payload = call->body, .request_id = slice_of(call->request_id) };
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    read_headers(call, &headers);
    if (lambda_target_of(call, LAMBDA_NAME_NAMESPACED, &target, &err) != OK ||
        find(call, &target, &input, &err) != OK || prepare(call, INVOKE_EVENT, headers.trace, &input, &err) != OK)
        call_fail(call, &err);
    else
        async_queue_put(call->async_queue, &input, accepted_async, call);
}
