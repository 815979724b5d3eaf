/* services/lambda: Invoke, and whether a payload is JSON. */
#include "world.h"

#include <stdio.h>

#include "events/async_queue.h"

/* "live" is an alias of each function; other qualifiers than $LATEST are nothing. */
struct function *engine_route(struct engine *engine, struct slice name, struct slice qualifier)
{
    if (qualifier.len > 0 && !slice_is(qualifier, "$LATEST") && !slice_is(qualifier, "live"))
        return NULL;
    return engine_find(engine, name);
}

/* What the queue of events was given, until event_answered. */
static struct {
    int count;
    struct function *function;
    char qualifier[32], request_id[40], context[64], trace[LAMBDA_TRACE_BYTES_MAX];
    struct buffer payload;
    async_accepted_fn *done;
    void *arg;
} event;

void async_queue_put(struct async_queue *queue, const struct invocation_input *input, async_accepted_fn *done,
                     void *arg)
{
    (void)queue;
    event.count++;
    event.function = input->function;
    (void)snprintf(event.qualifier, sizeof(event.qualifier), "%.*s", SLICE_PRINT(input->qualifier));
    (void)snprintf(event.request_id, sizeof(event.request_id), "%.*s", SLICE_PRINT(input->request_id));
    (void)snprintf(event.context, sizeof(event.context), "%.*s", SLICE_PRINT(input->client_context));
    (void)snprintf(event.trace, sizeof(event.trace), "%.*s", SLICE_PRINT(input->trace));
    buffer_drop(&event.payload);
    event.payload = buffer_take(input->payload);
    event.done = done;
    event.arg = arg;
}

static void event_answered(enum outcome outcome, const struct error *err)
{
    event.done(outcome, err, event.arg);
    buffer_drop(&event.payload);
}

static int make_world(void **state)
{
    struct world *world = memory_new(sizeof(*world));
    world_init(world);
    world_add_function(world, "hello");
    *state = world;
    return 0;
}

static int drop_world(void **state)
{
    world_done(*state);
    free(*state);
    return 0;
}

static void prepare(struct world *world, const char *name, const char *payload)
{
    world_call(world, "POST", payload);
    world_path(world, name);
}

static void invoke(struct world *world, const char *name, const char *payload)
{
    prepare(world, name, payload);
    lambda_invoke(&world->call);
}

static void invoke_with(struct world *world, const char *header, const char *value)
{
    prepare(world, "hello", "{}");
    world_header(world, header, value);
    lambda_invoke(&world->call);
}

static const char INVALID[] = "InvalidParameterValueException", CONTENT[] = "InvalidRequestContentException";

/* ---- the way in ---- */

static void a_payload_is_handed_on_without_a_copy(void **state)
{
    struct world *world = *state;
    prepare(world, "hello", " {\"a\": [1, 2.5e3, \"\\u00e9\xC3\xA9\"]} ");
    const char *at = world->body.at;
    lambda_invoke(&world->call);
    assert_int_equal(world->engine.asked, ASKED_INVOKE);
    assert_ptr_equal(world->engine.payload.at, at);
    assert_ptr_equal(world->engine.invocation.function, world->engine.functions[0]);
    assert_true(slice_is(world->engine.invocation.request_id, "11111111-2222-4333-8444-555555555555"));
    assert_int_equal(world->engine.invocation.client_context.len, 0);
    assert_false(world->engine.invocation.log_tail);
}

static void an_empty_payload_is_passed_on_empty(void **state)
{
    struct world *world = *state;
    invoke(world, "hello", "");
    assert_int_equal(world->engine.asked, ASKED_INVOKE);
    assert_int_equal(world->engine.payload.len, 0);
}

static void names_and_qualifiers_are_those_of_every_operation_but_not_found_names_LATEST(void **state)
{
    struct world *world = *state;
    invoke(world, "arn:aws:lambda:us-east-1:000000000000:function:hello:$LATEST", "{}");
    assert_int_equal(world->engine.asked, ASKED_INVOKE);
    invoke(world, "nobody", "{}");
    assert_failed(world, "ResourceNotFoundException",
                  "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody:$LATEST");
    invoke(world, "hello:nope", "{}");
    assert_failed(world, "ResourceNotFoundException",
                  "Function not found: arn:aws:lambda:us-east-1:000000000000:function:hello:nope");
    invoke(world, "arn:aws:lambda:us-east-1:123400000000@function:myfn", "{}");
    assert_failed(world, "ValidationException", "at 'functionName' failed to satisfy constraint");
}

static void a_qualifier_is_handed_on_when_the_caller_gave_one(void **state)
{
    struct world *world = *state;
    invoke(world, "hello:live", "{}");
    assert_int_equal(world->engine.asked, ASKED_INVOKE);
    assert_true(slice_is(world->engine.invocation.qualifier, "live"));
    invoke(world, "hello", "{}");
    assert_int_equal(world->engine.invocation.qualifier.len, 0);
    prepare(world, "hello", "{}");
    world_query(world, "Qualifier", "$LATEST");
    lambda_invoke(&world->call);
    assert_true(slice_is(world->engine.invocation.qualifier, "$LATEST"));
}

static void a_dry_run_answers_204_and_runs_nothing(void **state)
{
    struct world *world = *state;
    invoke_with(world, "X-Amz-Invocation-Type", "DryRun");
    assert_int_equal(world->engine.asked, ASKED_NOTHING);
    assert_answer(world, 204, "");
}

static void invocation_types_are_known_or_refused(void **state)
{
    struct world *world = *state;
    invoke_with(world, "x-amz-invocation-type", "RequestResponse");
    assert_int_equal(world->engine.asked, ASKED_INVOKE);
    invoke_with(world, "X-Amz-Invocation-Type", "Later");
    assert_failed(world, "ValidationException",
                  "Value 'Later' at 'invocationType' failed to satisfy constraint: Member must satisfy "
                  "enum value set: [Event, RequestResponse, DryRun]");
    invoke_with(world, "X-Amz-Log-Type", "All");
    assert_failed(world, "ValidationException", "Value 'All' at 'logType'");
    invoke_with(world, "X-Amz-Tenant-Id", "blue");
    assert_failed(world, INVALID, "The invoked function is not enabled with tenancy configuration.");
    invoke_with(world, "X-Amz-Durable-Execution-Name", "one");
    assert_failed(world, INVALID, "Durable executions are not supported by this server yet.");
}

static void a_client_context_is_decoded(void **state)
{
    struct world *world = *state;
    invoke_with(world, "X-Amz-Client-Context", "eyJjdXN0b20iOnsiYSI6MX19");
    assert_int_equal(world->engine.asked, ASKED_INVOKE);
    assert_true(slice_is(world->engine.invocation.client_context, "{\"custom\":{\"a\":1}}"));
}

static void a_client_context_that_is_no_small_JSON_object_is_refused(void **state)
{
    static const char *const bad[] = { "%", "eyJh", "W10=", "MQ==", "IiI=", "IA==", "e30", "e31=" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        invoke_with(*state, "X-Amz-Client-Context", bad[i]);
        assert_failed((struct world *)*state, CONTENT,
                      "Client context must be a valid Base64-encoded JSON object.");
    }
    char text[LAMBDA_CLIENT_CONTEXT_BYTES_MAX + 2];
    memset(text, 'A', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    invoke_with(*state, "X-Amz-Client-Context", text);
    assert_failed((struct world *)*state, CONTENT, "Client context must be no more than 3583 bytes.");
}

static void a_payload_may_have_6_MB_and_not_a_byte_more(void **state)
{
    struct world *world = *state;
    for (int more = 0; more <= 1; more++) {
        prepare(world, "hello", "");
        size_t len = (size_t)INVOKE_PAYLOAD_BYTES_MAX + (size_t)more;
        buffer_reserve(&world->body, len);
        memset(world->body.at, 'x', len);
        world->body.at[0] = world->body.at[len - 1] = '"';
        world->body.len = len;
        lambda_invoke(&world->call);
        if (more == 0)
            assert_int_equal(world->engine.asked, ASKED_INVOKE);
        else
            assert_failed(world, "RequestEntityTooLargeException",
                          "Request must be smaller than 6291456 bytes for the InvokeFunction operation");
    }
}

/* ---- events ---- */

static void an_event_is_answered_with_an_empty_202_once_the_queue_has_it(void **state)
{
    struct world *world = *state;
    prepare(world, "hello:live", "{\"n\":1}");
    world_header(world, "X-Amz-Invocation-Type", "Event");
    world_header(world, "X-Amz-Client-Context", "eyJjdXN0b20iOnsiYSI6MX19");
    const char *at = world->body.at;
    lambda_invoke(&world->call);
    assert_int_equal(world->engine.asked, ASKED_NOTHING);
    assert_int_equal(world->replies, 0);
    assert_ptr_equal(event.payload.at, at);
    assert_string_equal(event.qualifier, "live");
    assert_string_equal(event.request_id, "11111111-2222-4333-8444-555555555555");
    assert_string_equal(event.context, "{\"custom\":{\"a\":1}}");
    assert_text(event.trace, "Root=1-");
    event_answered(OK, NULL);
    assert_answer(world, 202, "");
    assert_int_equal(world->answer.len, 0);
    assert_null(world_added(world, "X-Amz-Executed-Version"));
    assert_null(world_added(world, "X-Amz-Function-Error"));
    assert_string_equal(world_added(world, "X-Amzn-Trace-Id"), event.trace);
}

static void an_event_that_is_not_on_disk_was_not_accepted(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    invoke_with(world, "X-Amz-Invocation-Type", "Event");
    (void)error_set_code(&err, ERROR_DISK_FULL, "ServiceException", "Make room.", "the disk is full");
    event_answered(FAILED, &err);
    assert_failed(world, "ServiceException", "the disk is full");
    invoke_with(world, "X-Amz-Invocation-Type", "Event");
    (void)error_set(&err, ERROR_THROTTLED, "Send less.", "too much waits");
    event_answered(FAILED, &err);
    world->error.kind = ERROR_NONE;
    assert_answer(world, 429, "\"Reason\":\"FunctionInvocationRateLimitExceeded\"");
}

static void what_is_wrong_with_an_event_is_told_before_it_is_taken(void **state)
{
    struct world *world = *state;
    int before = event.count;
    invoke_with(world, "X-Amz-Invocation-Type", "Event");
    assert_int_equal(event.count, before + 1);
    prepare(world, "nobody", "{}");
    world_header(world, "X-Amz-Invocation-Type", "Event");
    lambda_invoke(&world->call);
    assert_failed(world, "ResourceNotFoundException", "function:nobody:$LATEST");
    prepare(world, "hello", "{");
    world_header(world, "X-Amz-Invocation-Type", "Event");
    lambda_invoke(&world->call);
    assert_failed(world, CONTENT, "Could not parse request body into json");
    assert_int_equal(event.count, before + 1);
    buffer_drop(&event.payload);
}

static void an_event_may_have_1_MB_and_not_a_byte_more(void **state)
{
    struct world *world = *state;
    for (int more = 0; more <= 1; more++) {
        int before = event.count;
        prepare(world, "hello", "");
        world_header(world, "X-Amz-Invocation-Type", "Event");
        size_t len = (size_t)ASYNC_PAYLOAD_BYTES_MAX + (size_t)more;
        buffer_reserve(&world->body, len);
        memset(world->body.at, 'x', len);
        world->body.at[0] = world->body.at[len - 1] = '"';
        world->body.len = len;
        lambda_invoke(&world->call);
        assert_int_equal(event.count, before + 1 - more);
        if (more == 1)
            assert_failed(world, "RequestEntityTooLargeException",
                          "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)");
    }
    buffer_drop(&event.payload);
}

static void InvokeAsync_says_its_status_in_its_body(void **state)
{
    struct world *world = *state;
    prepare(world, "hello", "{\"n\":1}");
    lambda_invoke_async(&world->call);
    assert_true(slice_is(buffer_slice(&event.payload), "{\"n\":1}"));
    event_answered(OK, NULL);
    assert_answer(world, 202, "{\"Status\":202}");
    prepare(world, "nobody", "{}");
    lambda_invoke_async(&world->call);
    assert_failed(world, "ResourceNotFoundException", "function:nobody:$LATEST");
}

/* ---- the way out ---- */

static struct invocation_result success(struct buffer *payload)
{
    return (struct invocation_result){ .status = INVOCATION_SUCCEEDED,
                                       .payload = buffer_slice(payload),
                                       .payload_buffer = payload,
                                       .log_tail = SLICE_EMPTY,
                                       .executed_version = SLICE("$LATEST") };
}

static void an_answer_is_taken_without_a_copy(void **state)
{
    struct world *world = *state;
    invoke(world, "hello", "{}");
    struct buffer payload = BUFFER_EMPTY;
    buffer_append_text(&payload, "{\"ok\":true}");
    const char *at = payload.at;
    struct invocation_result result = success(&payload);
    world_invoked(world, &result);
    assert_answer(world, 200, "{\"ok\":true}");
    assert_ptr_equal(world->answer_at, at);
    assert_null(payload.at);
    assert_string_equal(world_added(world, "Content-Type"), "application/json");
    assert_string_equal(world_added(world, "X-Amz-Executed-Version"), "$LATEST");
    assert_string_equal(world_added(world, "x-amzn-Remapped-Content-Length"), "0");
    assert_null(world_added(world, "X-Amz-Function-Error"));
    assert_null(world_added(world, "X-Amz-Log-Result"));
}

static void an_answer_that_cannot_be_taken_is_copied(void **state)
{
    struct world *world = *state;
    invoke(world, "hello", "{}");
    struct invocation_result result = { .status = INVOCATION_SUCCEEDED,
                                        .payload = SLICE("null"),
                                        .executed_version = SLICE("$LATEST") };
    world_invoked(world, &result);
    assert_answer(world, 200, "null");
}

static void an_error_of_the_function_is_a_200_that_says_Unhandled(void **state)
{
    struct world *world = *state;
    invoke(world, "hello", "{}");
    struct buffer payload = BUFFER_EMPTY;
    buffer_append_text(&payload, "{\"errorType\":\"Error\"}");
    struct invocation_result result = success(&payload);
    result.status = INVOCATION_FUNCTION_ERROR;
    world_invoked(world, &result);
    assert_answer(world, 200, "{\"errorType\":\"Error\"}");
    assert_string_equal(world_added(world, "X-Amz-Function-Error"), "Unhandled");
}

static void a_log_tail_is_asked_for_and_given_in_base64(void **state)
{
    struct world *world = *state;
    invoke_with(world, "X-Amz-Log-Type", "Tail");
    assert_true(world->engine.invocation.log_tail);
    struct buffer payload = BUFFER_EMPTY;
    buffer_append_text(&payload, "1");
    struct invocation_result result = success(&payload);
    result.log_tail = SLICE("START\nEND\n");
    world_invoked(world, &result);
    assert_string_equal(world_added(world, "X-Amz-Log-Result"), "U1RBUlQKRU5ECg==");
    invoke_with(world, "X-Amz-Log-Type", "None");
    assert_false(world->engine.invocation.log_tail);
}

static void throttling_tells_its_reason(void **state)
{
    struct world *world = *state;
    invoke(world, "hello", "{}");
    struct error err = { 0 };
    (void)error_set_code(&err, ERROR_THROTTLED, "TooManyRequestsException", "Retry later.", "Rate Exceeded.");
    struct invocation_result result = { .status = INVOCATION_REFUSED,
                                        .error = &err,
                                        .reason = "ConcurrentInvocationLimitExceeded" };
    world_invoked(world, &result);
    assert_answer(world, 429, "{");
    assert_string_equal(
        buffer_text(&world->answer),
        "{\"Reason\":\"ConcurrentInvocationLimitExceeded\",\"Type\":\"User\",\"message\":\"Rate Exceeded.\"}");
    assert_string_equal(world_added(world, "x-amzn-ErrorType"), "TooManyRequestsException");
}

static void other_refusals_are_passed_on(void **state)
{
    struct world *world = *state;
    invoke(world, "hello", "{}");
    struct error err = { 0 };
    (void)error_set_code(&err, ERROR_UNAVAILABLE, "ServiceException", "Retry later.", "the server is ending");
    struct invocation_result result = { .status = INVOCATION_REFUSED, .error = &err };
    world_invoked(world, &result);
    assert_failed(world, "ServiceException", "the server is ending");
}

static void a_client_that_has_gone_is_not_written_to(void **state)
{
    struct world *world = *state;
    invoke(world, "hello", "{}");
    world->call.client_gone = true;
    struct invocation_result result = { .status = INVOCATION_SUCCEEDED,
                                        .payload = SLICE("1"),
                                        .executed_version = SLICE("$LATEST") };
    world_invoked(world, &result);
    assert_int_equal(world->replies, 1); /* the call is given back all the same */
    assert_null(world_added(world, "X-Amz-Executed-Version"));
}

/* ---- tracing ---- */

#define ID SLICE("01234567-89ab-4cde-8f01-23456789abcd")

static void a_trace_header_is_passed_on_and_completed(void **state)
{
    (void)state;
    char out[LAMBDA_TRACE_BYTES_MAX];
    static const char whole[] = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    lambda_trace(slice_of(whole), ID, false, out);
    assert_string_equal(out, whole);
    lambda_trace(SLICE("Root=1-5759e988-bd862e3fe1be46a994272793; Parent=53995c3f42cd8ad8"), ID, false, out);
    assert_text(out, "Parent=53995c3f42cd8ad8;Sampled=0");
    lambda_trace(SLICE("Root=1-5759e988-bd862e3fe1be46a994272793"), ID, true, out);
    assert_text(out, "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=");
    assert_text(out, ";Sampled=1");
    assert_int_equal(strlen(out), strlen(whole));
    char longest[LAMBDA_TRACE_BYTES_MAX / 2];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "Root=", 5);
    lambda_trace(slice_from(longest, sizeof(longest)), ID, true, out);
    assert_int_equal(strlen(out), sizeof(longest) + strlen(";Parent=8f0123456789abcd;Sampled=1"));
}

static void a_trace_header_that_cannot_be_passed_on_is_made_anew(void **state)
{
    (void)state;
    char out[LAMBDA_TRACE_BYTES_MAX], again[LAMBDA_TRACE_BYTES_MAX], longest[400];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "Root=", 5);
    const struct slice bad[] = { SLICE(""),          SLICE("Parent=1"),      SLICE("Root="),
                                 SLICE("Root=1\n2"), SLICE("Root=\xC3\xA9"), slice_from(longest, sizeof(longest)) };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unsigned seconds = 0;
        char root[25], parent[17];
        int sampled = -1;
        lambda_trace(bad[i], ID, false, out);
        assert_int_equal(
            sscanf(out, "Root=1-%8x-%24[0-9a-f];Parent=%16[0-9a-f];Sampled=%d", &seconds, root, parent, &sampled),
            4);
        assert_int_equal(strlen(root), 24);
        assert_int_equal(strlen(parent), 16);
        assert_int_equal(sampled, 0);
        lambda_trace(bad[i], SLICE("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"), false, again);
        assert_string_not_equal(out, again);
        assert_string_equal(root, "0123456789ab4cde8f012345");
        assert_string_equal(parent, "8f0123456789abcd");
    }
}

static void the_trace_of_an_invocation_is_in_its_answer(void **state)
{
    struct world *world = *state;
    static const char whole[] = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    invoke_with(world, "X-Amzn-Trace-Id", whole);
    assert_true(slice_is(world->engine.invocation.trace, whole));
    struct invocation_result result = { .status = INVOCATION_SUCCEEDED,
                                        .payload = SLICE("1"),
                                        .executed_version = SLICE("$LATEST") };
    world_invoked(world, &result);
    assert_string_equal(world_added(world, "X-Amzn-Trace-Id"), whole);
}

/* ---- is it JSON? ---- */

static void JSON_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "{}",
        "[]",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.5",
        "1e9",
        "1E+9",
        "0.1e-9",
        "\"\"",
        "\"a\"",
        " 1 ",
        "\t\r\n[ ]\n",
        "{\"a\":1}",
        "{\"a\":{\"b\":[1,[2,{}],\"c\"]},\"d\":null}",
        "[1,2,3]",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
        "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x94\xA5\"",
        "\"\x7F\"",
        "1e999",
        "\"\\ud800\"",
        "{\"a\":1,\"a\":2}",
        "[[],{},[{}]]",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct error err = { 0 };
        if (lambda_payload_check(slice_of(good[i]), &err) != OK)
            fail_msg("refused: %s: %s", good[i], err.message);
    }
}

static void what_is_not_JSON_is_refused_in_Jacksons_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
        int line, column;
    } cases[] = {
        /* recorded from AWS */
        { "n\x87r\x9E\xE9\xB5\xD7I\xEE\x9Bmt", "Invalid UTF-8 start byte 0x87", 1, 3 },
        { "\x99\xEB,j\x07\xA1zYh",
          "Unexpected character ((CTRL-CHAR, code 153)): expected a valid value (JSON String, Number, Array, "
          "Object or token 'null', 'true' or 'false')",
          1, 1 },
        /* ours, by Jackson's sources of words */
        { "hello",
          "Unrecognized token 'hello': was expecting (JSON String, Number, Array, Object or token 'null', 'true' "
          "or 'false')",
          1, 6 },
        { "nul", "Unrecognized token 'nul'", 1, 4 },
        { "nulls", "Unrecognized token 'nulls'", 1, 6 },
        { "True", "Unrecognized token 'True'", 1, 5 },
        { "NaN", "Unrecognized token 'NaN'", 1, 4 },
        { "'a'", "Unexpected character (''' (code 39))", 1, 1 },
        { "{a:1}", "Unexpected character ('a' (code 97)): was expecting double-quote to start field name", 1, 2 },
        { "{\"a\" 1}", "was expecting a colon to separate field name and value", 1, 6 },
        { "{\"a\":1,}", "Unexpected character ('}' (code 125)): was expecting double-quote to start field name", 1,
          8 },
        { "[1,]", "Unexpected character (']' (code 93)): expected a valid value", 1, 4 },
        { "[1 2]", "was expecting comma to separate Array entries", 1, 4 },
        { "[1}", "was expecting comma to separate Array entries", 1, 3 },
        { "{\"a\":1]", "was expecting comma to separate Object entries", 1, 7 },
        { "[1,\n2,\n  x]", "Unrecognized token 'x'", 3, 4 },
        { "{", "Unexpected character", 0, 0 },
        { "[1", "Unexpected end-of-input: expected close marker for Array", 1, 3 },
        { "{\"a\":1", "Unexpected end-of-input: expected close marker for Object", 1, 7 },
        { "[{}", "expected close marker for Array", 1, 4 },
        { "{\"a\":[]", "expected close marker for Object", 1, 8 },
        { "\"abc", "Unexpected end-of-input: was expecting closing quote for a string value", 1, 5 },
        { "\"a\nb\"",
          "Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using backslash to be included in "
          "string value",
          1, 3 },
        { "\"\\x\"", "Unrecognized character escape 'x' (code 120)", 1, 3 },
        { "\"\\u12g4\"", "expected a hex-digit for character escape sequence", 1, 6 },
        { "\"\\", "character escape sequence", 1, 3 },
        { "\"\xC0\xAF\"", "Invalid UTF-8 start byte 0xc0", 1, 3 },
        { "\"\xED\xA0\x80\"", "Invalid UTF-8 middle byte 0xa0", 1, 4 },
        { "\"\xF4\x90\x80\x80\"", "Invalid UTF-8 middle byte 0x90", 1, 4 },
        { "\"\xE2\x82", "Unexpected end-of-input", 1, 4 },
        { "01", "Leading zeroes not allowed", 1, 2 },
        { "-", "Unexpected end-of-input in a Number value", 1, 2 },
        { "-a", "expected digit (0-9) to follow minus sign", 1, 2 },
        { "1.", "Unexpected end-of-input", 1, 3 },
        { "1.x", "Decimal point not followed by a digit", 1, 3 },
        { "1e", "Unexpected end-of-input", 1, 3 },
        { "1e+x", "Exponent indicator not followed by a digit", 1, 4 },
        { ".5", "Unexpected character ('.' (code 46))", 1, 1 },
        { "+1", "Unexpected character ('+' (code 43))", 1, 1 },
        { " ", "No content to map due to end-of-input", 1, 2 },
        { "1 2", "Trailing token found after value", 1, 3 },
        { "{}}", "Trailing token found after value", 1, 3 },
        { "\xEF\xBB\xBF{}", "Unexpected character", 1, 1 },
        { "[1]/*c*/", "Trailing token", 1, 4 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = { 0 };
        char place[64];
        if (lambda_payload_check(slice_of(cases[i].text), &err) == OK)
            fail_msg("accepted: %s", cases[i].text);
        if (cases[i].line == 0)
            continue;
        assert_string_equal(err.code, CONTENT);
        assert_text(err.message, "Could not parse request body into json: Could not parse payload into json: ");
        assert_text(err.message, cases[i].wanted);
        snprintf(place, sizeof(place), "disabled); line: %d, column: %d]", cases[i].line, cases[i].column);
        assert_text(err.message, place);
    }
}

static void a_special_byte_is_seen_wherever_it_stands_in_a_text(void **state)
{
    (void)state;
    static const unsigned char special[] = { 0x00, 0x1F, 0x80, 0xFF };
    for (size_t len = 1; len < 40; len++)
        for (size_t place = 0; place < len; place++) {
            unsigned char *text = memory_new(len + 2);
            memset(text, 'x', len + 2);
            text[0] = text[len + 1] = '"';
            assert_int_equal(lambda_payload_check(slice_from(text, len + 2), NULL), OK);
            for (size_t i = 0; i < sizeof(special); i++) {
                text[1 + place] = special[i];
                assert_int_equal(lambda_payload_check(slice_from(text, len + 2), NULL), FAILED);
            }
            for (unsigned char plain = 0x20; plain < 0x80; plain++) {
                text[1 + place] = plain;
                bool wrong = plain == '"' || plain == '\\'; /* "\x" is no escape, and "\"" has no end */
                assert_int_equal(lambda_payload_check(slice_from(text, len + 2), NULL), wrong ? FAILED : OK);
            }
            free(text);
        }
}

static void depth_is_bounded_as_AWS_bounds_it(void **state)
{
    (void)state;
    struct buffer text = BUFFER_EMPTY;
    for (int levels = 1000; levels <= 1001; levels++) {
        struct error err = { 0 };
        buffer_reset(&text);
        for (int i = 0; i < levels; i++)
            buffer_append_text(&text, i % 3 == 0 ? "[" : "{\"a\":");
        buffer_append_text(&text, "1");
        for (int i = levels; i-- > 0;)
            buffer_append_text(&text, i % 3 == 0 ? "]" : "}");
        enum outcome outcome = lambda_payload_check(buffer_slice(&text), &err);
        assert_int_equal(outcome, levels == 1000 ? OK : FAILED);
        if (outcome != OK)
            assert_text(err.message, "Document nesting depth (1001) exceeds the maximum allowed (1000");
    }
    buffer_drop(&text);
}

static void a_document_cut_anywhere_is_no_document(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1.5,true,{\"b\":\"\xC3\xA9\\n\\u00e9\"}],\"c\":null}";
    for (size_t len = 1; len < sizeof(text) - 1; len++) {
        char *copy = memory_new(len); /* exactly as long: the sanitizer sees a step too far */
        memcpy(copy, text, len);
        assert_int_equal(lambda_payload_check(slice_from(copy, len), NULL), FAILED);
        free(copy);
    }
    assert_int_equal(lambda_payload_check(slice_of(text), NULL), OK);
}

int main(void)
{
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, make_world, drop_world)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_payload_is_handed_on_without_a_copy),
        WORLD_TEST(an_empty_payload_is_passed_on_empty),
        WORLD_TEST(names_and_qualifiers_are_those_of_every_operation_but_not_found_names_LATEST),
        WORLD_TEST(a_qualifier_is_handed_on_when_the_caller_gave_one),
        WORLD_TEST(a_dry_run_answers_204_and_runs_nothing),
        WORLD_TEST(an_event_is_answered_with_an_empty_202_once_the_queue_has_it),
        WORLD_TEST(an_event_that_is_not_on_disk_was_not_accepted),
        WORLD_TEST(what_is_wrong_with_an_event_is_told_before_it_is_taken),
        WORLD_TEST(an_event_may_have_1_MB_and_not_a_byte_more),
        WORLD_TEST(InvokeAsync_says_its_status_in_its_body),
        WORLD_TEST(invocation_types_are_known_or_refused),
        WORLD_TEST(a_client_context_is_decoded),
        WORLD_TEST(a_client_context_that_is_no_small_JSON_object_is_refused),
        WORLD_TEST(a_payload_may_have_6_MB_and_not_a_byte_more),
        WORLD_TEST(an_answer_is_taken_without_a_copy),
        WORLD_TEST(an_answer_that_cannot_be_taken_is_copied),
        WORLD_TEST(an_error_of_the_function_is_a_200_that_says_Unhandled),
        WORLD_TEST(a_log_tail_is_asked_for_and_given_in_base64),
        WORLD_TEST(throttling_tells_its_reason),
        WORLD_TEST(other_refusals_are_passed_on),
        WORLD_TEST(a_client_that_has_gone_is_not_written_to),
        WORLD_TEST(the_trace_of_an_invocation_is_in_its_answer),
        cmocka_unit_test(a_trace_header_is_passed_on_and_completed),
        cmocka_unit_test(a_trace_header_that_cannot_be_passed_on_is_made_anew),
        cmocka_unit_test(JSON_is_accepted),
        cmocka_unit_test(what_is_not_JSON_is_refused_in_Jacksons_words),
        cmocka_unit_test(a_special_byte_is_seen_wherever_it_stands_in_a_text),
        cmocka_unit_test(depth_is_bounded_as_AWS_bounds_it),
        cmocka_unit_test(a_document_cut_anywhere_is_no_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
