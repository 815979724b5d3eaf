/* The API front, through a real server: what is signed is served, all else is told why not, in its family's form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "auth/sigv4.h"
#include "base/clock.h"
#include "base/fd.h"
#include "fixture.h"
#include "services/api_private.h"

static int start(void **state)
{
    *state = fixture_start();
    return 0;
}

static int stop(void **state)
{
    fixture_stop(*state);
    return 0;
}

/* ---- signed requests ---- */

struct signer {
    const char *key, *secret, *token, *service;
};
static const struct signer root = { TEST_KEY, TEST_SECRET, "", "lambda" };

/* "GET /path" with headers ("Name: value\r\n"...) and a body, signed now. */
static struct buffer compose(const struct signer *who, const char *method, const char *target, const char *headers,
                             struct slice body)
{
    struct sigv4_header list[16] = { { SLICE("Host"), SLICE("hearth.test") } };
    size_t count = 1;
    struct slice rest = slice_of(headers), target_rest = slice_of(target);
    while (rest.len > 0) {
        struct slice line = slice_split(&rest, '\n'), value = line;
        list[count].name = slice_split(&value, ':');
        list[count++].value = slice_trim(slice_sub(value, 0, value.len - 1));
    }
    struct sigv4_request request = { slice_of(method), slice_split(&target_rest, '?'), target_rest, list, count };
    AUTO(buffer)
    struct buffer lines = BUFFER_EMPTY;
    struct error err = { 0 };
    if (sigv4_sign(&request, body, slice_of(who->key), slice_of(who->secret), slice_of(who->token),
                   SLICE("us-east-1"), slice_of(who->service), clock_wall_ms() / 1000, &lines, &err) != OK)
        fail_msg("%s", err.message);
    struct buffer out = BUFFER_EMPTY;
    buffer_appendf(&out, "%s %s HTTP/1.1\r\nHost: hearth.test\r\nConnection: close\r\n%s%.*s", method, target,
                   headers, SLICE_PRINT(buffer_slice(&lines)));
    if (body.len > 0)
        buffer_appendf(&out, "Content-Length: %zu\r\n", body.len);
    buffer_append_text(&out, "\r\n");
    buffer_append_slice(&out, body);
    return out;
}

static struct buffer ask(const struct fixture *f, const struct signer *who, const char *method, const char *target,
                         const char *headers, struct slice body)
{
    struct buffer request = compose(who, method, target, headers, body);
    struct buffer answer = fixture_talk(f, buffer_slice(&request));
    buffer_drop(&request);
    return answer;
}

static void must_contain(struct buffer *answer, const char *text)
{
    if (strcasestr(buffer_text(answer), text) == NULL)
        fail_msg("\"%s\" is not in:\n%s", text, buffer_text(answer));
}

static void must_be(struct buffer *answer, const char *status, const char *text)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "HTTP/1.1 %s", status);
    if (strncmp(buffer_text(answer), line, strlen(line)) != 0)
        fail_msg("no \"%s\":\n%s", line, buffer_text(answer));
    must_contain(answer, text);
    buffer_drop(answer);
}

static void plain(const struct fixture *f, const char *request, const char *status, const char *text)
{
    struct buffer answer = fixture_talk(f, slice_of(request));
    must_be(&answer, status, text);
}

/* ---- health ---- */

static void healthz_answers_200_and_nothing_else(void **state)
{
    struct buffer answer =
        fixture_talk(*state, SLICE("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    must_contain(&answer, "HTTP/1.1 200");
    must_contain(&answer, "Content-Length: 0");
    assert_null(strcasestr(buffer_text(&answer), "server"));
    assert_null(strcasestr(buffer_text(&answer), "requestid"));
    buffer_drop(&answer);
    plain(*state, "HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200", "");
    plain(*state, "POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "403",
          "Missing Authentication Token");
}

/* ---- who may ---- */

static void an_unsigned_request_is_refused_in_its_familys_form(void **state)
{
    plain(*state, "GET /2015-03-31/functions/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "403",
          "\r\n\r\n{\"message\":\"Missing Authentication Token\"}");
    plain(*state, "GET /2015-03-31/functions/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "403",
          "x-amzn-ErrorType: MissingAuthenticationTokenException\r\n");
    plain(*state, "GET /?Action=GetCallerIdentity HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "403",
          "<Code>MissingAuthenticationToken</Code><Message>Missing Authentication Token</Message>");
    plain(*state,
          "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\nConnection: close\r\n\r\n",
          "400",
          "{\"__type\":\"MissingAuthenticationTokenException\",\"message\":\"Missing Authentication Token\"}");
    plain(*state, "OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "403",
          "Missing Authentication Token");
    assert_int_equal(handlers_called, 0);
}

static void a_signed_request_reaches_its_handler(void **state)
{
    struct buffer answer = ask(*state, &root, "POST", "/2015-03-31/functions/hello/invocations?q=a%20b+c%26d",
                               "Content-Type: application/json\r\n", SLICE("{\"a\":1}"));
    must_contain(&answer, "x-amzn-RequestId: ");
    must_contain(&answer, "X-Echo: yes");
    assert_null(strcasestr(buffer_text(&answer), "X-Bad"));
    must_be(&answer, "201",
            "{\"operation\":\"Invoke\",\"name\":\"hello\",\"q\":\"a b c&d\",\"type\":\"application/json\",\"who\":"
            "\"arn:aws:iam::000000000000:root\",\"bytes\":7}");
}

static void an_unknown_key_and_a_wrong_secret_are_refused_alike_in_status(void **state)
{
    struct signer who = { "AKIAIOSFODNN7EXAMPLF", TEST_SECRET, "", "lambda" };
    struct buffer answer = ask(*state, &who, "GET", "/2015-03-31/functions/", "", SLICE_EMPTY);
    must_contain(&answer, "x-amzn-ErrorType: UnrecognizedClientException");
    must_be(&answer, "403", "{\"message\":\"The security token included in the request is invalid.\"}");
    who = (struct signer){ TEST_KEY, "another", "", "lambda" };
    answer = ask(*state, &who, "GET", "/2015-03-31/functions/", "", SLICE_EMPTY);
    must_contain(&answer, "x-amzn-ErrorType: InvalidSignatureException");
    must_be(&answer, "403", "The request signature we calculated does not match");
    who = (struct signer){ TEST_KEY, "another", "", "sts" };
    answer = ask(*state, &who, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", SLICE_EMPTY);
    must_be(&answer, "403", "<Code>SignatureDoesNotMatch</Code>");
    who = (struct signer){ "AKIAIOSFODNN7EXAMPLF", "another", "", "sts" };
    answer = ask(*state, &who, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", SLICE_EMPTY);
    must_be(&answer, "403", "<Code>InvalidClientTokenId</Code>");
    who = (struct signer){ TEST_KEY, "another", "", "dynamodb" };
    answer = ask(*state, &who, "POST", "/", "X-Amz-Target: DynamoDB_20120810.ListTables\r\n", SLICE("{}"));
    must_be(&answer, "400", "{\"__type\":\"InvalidSignatureException\",");
    assert_int_equal(handlers_called, 0);
}

static void a_changed_body_is_refused(void **state)
{
    struct buffer request =
        compose(&root, "POST", "/2015-03-31/functions/hello/invocations", "", SLICE("{\"a\":1}"));
    request.at[request.len - 2] = '2';
    struct buffer answer = fixture_talk(*state, buffer_slice(&request));
    must_be(&answer, "400", "x-amzn-ErrorType: XAmzContentSHA256Mismatch");
    buffer_drop(&request);
    assert_int_equal(handlers_called, 0);
}

static void an_instances_key_needs_its_token_and_may_do_little(void **state)
{
    struct fixture *f = *state;
    struct signer who = { f->instance_key, f->instance_secret, f->instance_token, "lambda" };
    struct buffer answer = ask(f, &who, "POST", "/2015-03-31/functions/hello/invocations", "", SLICE_EMPTY);
    must_be(&answer, "201", "arn:aws:sts::000000000000:assumed-role/hearth-basic/hello");
    answer = ask(f, &who, "GET", "/2015-03-31/functions/other", "", SLICE_EMPTY);
    must_contain(&answer, "x-amzn-ErrorType: AccessDeniedException");
    must_be(&answer, "403",
            "\"Message\":\"User: arn:aws:sts::000000000000:assumed-role/hearth-basic/hello is not authorized to "
            "perform: "
            "lambda:GetFunction on resource: arn:test:other because no identity-based policy allows the "
            "lambda:GetFunction action\"}");
    who.token = "";
    answer = ask(f, &who, "POST", "/2015-03-31/functions/hello/invocations", "", SLICE_EMPTY);
    must_be(&answer, "403", "UnrecognizedClientException");
    assert_int_equal(handlers_called, 1);
}

/* ---- routing ---- */

static void a_trailing_slash_makes_no_difference(void **state)
{
    static const char *const paths[] = { "/2015-03-31/functions/", "/2015-03-31/functions" };
    for (int i = 0; i < 2; i++) {
        struct buffer answer = ask(*state, &root, "GET", paths[i], "", SLICE_EMPTY);
        must_be(&answer, "201", "\"operation\":\"ListFunctions\"");
        answer = ask(*state, &root, "POST", paths[i], "", SLICE("{\"a\":1}"));
        must_be(&answer, "200", "{\"members\":1}");
    }
}

static void path_parameters_are_decoded_after_they_are_split(void **state)
{
    struct buffer answer =
        ask(*state, &root, "POST",
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A0%3Afunction%3Ah%2Fx+y/invocations", "",
            SLICE_EMPTY);
    must_be(&answer, "201", "\"name\":\"arn:aws:lambda:us-east-1:0:function:h/x+y\"");
}

static void what_stands_in_no_row_is_an_unknown_operation(void **state)
{
    static const char *const targets[][2] = {
        { "GET", "/2015-03-31/functions/hello/invocations" },
        { "PUT", "/2015-03-31/functions/" },
        { "POST", "/2015-03-31/functions//invocations" },
        { "GET", "/" },
        { "GET", "/2015-03-31" },
        { "GET", "/2015-03-31/functions/a/b/c" },
        { "GET", "//2015-03-31/functions" },
        { "HEAD", "/2015-03-31/functions" },
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct buffer answer = ask(*state, &root, targets[i][0], targets[i][1], "", SLICE_EMPTY);
        must_be(&answer, "404", "x-amzn-ErrorType: UnknownOperationException");
    }
    assert_int_equal(handlers_called, 0);
}

static void a_path_with_a_broken_escape_is_refused(void **state)
{
    struct buffer answer = ask(*state, &root, "GET", "/2015-03-31/functions/a%zz", "", SLICE_EMPTY);
    must_be(&answer, "400", "not percent-encoded");
}

static void a_service_that_is_not_here_is_named(void **state)
{
    struct signer who = { TEST_KEY, TEST_SECRET, "", "ec2" };
    struct buffer answer = ask(*state, &who, "POST", "/", "Content-Type: application/x-www-form-urlencoded\r\n",
                               SLICE("Action=DescribeInstances"));
    must_be(&answer, "400", "<Code>InvalidAction</Code><Message>The service 'ec2' is not provided by this server.");
    who.service = "s3";
    answer = ask(*state, &who, "GET", "/", "", SLICE_EMPTY);
    must_be(&answer, "404",
            "<Error><Code>UnknownOperationException</Code><Message>The service 's3' is not provided");
    who.service = "apigateway";
    answer = ask(*state, &who, "GET", "/", "", SLICE_EMPTY);
    must_be(&answer, "404",
            "{\"message\":\"The service 'apigateway' is not provided by this server. docs/compatibility.md lists "
            "what this server has.\"}");
}

static void a_json_service_is_found_by_its_target(void **state)
{
    struct signer who = { TEST_KEY, TEST_SECRET, "", "dynamodb" };
    struct buffer answer = ask(*state, &who, "POST", "/", "X-Amz-Target: DynamoDB_20120810.Echo\r\n", SLICE("{}"));
    must_contain(&answer, "Content-Type: application/x-amz-json-1.0");
    must_be(&answer, "201", "\"operation\":\"Echo\"");
    static const char *const wrong[] = { "X-Amz-Target: DynamoDB_20120810.Nothing\r\n",
                                         "X-Amz-Target: Other.Echo\r\n", "X-Amz-Target: Echo\r\n",
                                         "X-Other: a\r\n" };
    for (size_t i = 0; i < 4; i++) {
        answer = ask(*state, &who, "POST", "/", wrong[i], SLICE("{}"));
        must_be(&answer, "400", "{\"__type\":\"UnknownOperationException\"");
    }
    answer = ask(*state, &who, "POST", "/", "X-Amz-Target: DynamoDB_20120810.ListTables\r\n", SLICE("{"));
    must_be(&answer, "400", "{\"__type\":\"SerializationException\"");
}

/* ---- sts, the query family ---- */

static const struct signer sts = { TEST_KEY, TEST_SECRET, "", "sts" };
#define FORM "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"

static void GetCallerIdentity_answers_by_GET_and_by_POST(void **state)
{
    struct buffer answer =
        ask(*state, &sts, "POST", "/", FORM, SLICE("Action=GetCallerIdentity&Version=2011-06-15"));
    must_contain(&answer, "Content-Type: text/xml");
    must_contain(
        &answer,
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>"
        "<Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId><Account>000000000000</Account>"
        "</GetCallerIdentityResult><ResponseMetadata><RequestId>");
    must_be(&answer, "200", "</RequestId></ResponseMetadata></GetCallerIdentityResponse>");
    answer = ask(*state, &sts, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", SLICE_EMPTY);
    must_be(&answer, "200", "<Account>000000000000</Account>");
}

static void other_actions_are_InvalidAction(void **state)
{
    static const struct {
        const char *form, *status, *text;
    } cases[] = {
        { "Action=AssumeRole&Version=2011-06-15", "400",
          "<Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation AssumeRole for version "
          "2011-06-15" },
        { "Action=GetCallerIdentity", "400", "for version NO_VERSION_SPECIFIED" },
        { "Action=GetCallerIdentity&Version=2010-05-08", "400", "for version 2010-05-08" },
        { "Action=%3Cb%3E%01&Version=1", "400", "operation &lt;b&gt;? for version 1" },
        { "Version=2011-06-15", "400", "<Code>MissingAction</Code>" },
        { "Action=GetCallerIdentity&Action=AssumeRole&Version=2011-06-15", "400",
          "<Code>MalformedQueryString</Code>" },
        { "Action=%zz", "400", "<Code>MalformedQueryString</Code>" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer answer = ask(*state, &sts, "POST", "/", FORM, slice_of(cases[i].form));
        must_be(&answer, cases[i].status, cases[i].text);
    }
    struct buffer answer = ask(*state, &sts, "PUT", "/", "", SLICE_EMPTY);
    must_be(&answer, "400", "<Code>InvalidAction</Code>");
}

static void an_action_in_the_query_and_another_in_the_form_are_refused(void **state)
{
    struct buffer answer = ask(*state, &sts, "POST", "/?Action=AssumeRole", FORM,
                               SLICE("Action=GetCallerIdentity&Version=2011-06-15"));
    must_be(&answer, "400", "<Code>MalformedQueryString</Code>");
}

static void too_many_parameters_are_refused(void **state)
{
    AUTO(buffer)
    struct buffer form = BUFFER_EMPTY;
    for (int i = 0; i <= CALL_QUERY_MAX; i++)
        buffer_appendf(&form, "p%d=1&", i);
    struct buffer answer = ask(*state, &sts, "POST", "/", FORM, buffer_slice(&form));
    must_be(&answer, "400", "more than 64 parameters");
}

/* ---- bodies ---- */

static struct buffer filled(size_t len)
{
    struct buffer b = BUFFER_EMPTY;
    buffer_reserve(&b, len);
    memset(b.at, 'x', len);
    b.len = len;
    return b;
}

static void a_body_may_have_what_its_row_allows_and_no_byte_more(void **state)
{
    static const size_t sizes[] = { 1, 65535, 65536, 65537, 200000, ECHO_BYTES_MAX };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        AUTO(buffer)
        struct buffer body = filled(sizes[i]);
        char expected[32];
        (void)snprintf(expected, sizeof(expected), "\"bytes\":%zu}", sizes[i]);
        struct buffer answer =
            ask(*state, &root, "POST", "/2015-03-31/functions/hello/invocations", "", buffer_slice(&body));
        must_be(&answer, "201", expected);
    }
    AUTO(buffer)
    struct buffer body = filled(ECHO_BYTES_MAX + 1);
    struct buffer answer =
        ask(*state, &root, "POST", "/2015-03-31/functions/hello/invocations", "", buffer_slice(&body));
    must_be(&answer, "413",
            "{\"message\":\"Request must be smaller than 307200 bytes for the InvokeFunction operation\"}");
}

static void a_chunked_body_is_bounded_too(void **state)
{
    for (int too_much = 0; too_much < 2; too_much++) {
        AUTO(buffer)
        struct buffer body = filled(ECHO_BYTES_MAX + (size_t)too_much);
        struct buffer request =
            compose(&root, "POST", "/2015-03-31/functions/hello/invocations", "", buffer_slice(&body));
        char *head_end = memmem(request.at, request.len, "Content-Length", 14);
        struct buffer chunked = BUFFER_EMPTY;
        buffer_append(&chunked, request.at, (size_t)(head_end - request.at));
        buffer_append_text(&chunked, "Transfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0; at < body.len; at += 50000) {
            struct slice piece = slice_sub(buffer_slice(&body), at, 50000);
            buffer_appendf(&chunked, "%zx\r\n%.*s\r\n", piece.len, SLICE_PRINT(piece));
        }
        buffer_append_text(&chunked, "0\r\n\r\n");
        struct buffer answer = fixture_talk(*state, buffer_slice(&chunked));
        must_be(&answer, too_much ? "413" : "201",
                too_much ? "RequestEntityTooLargeException" : "\"bytes\":307200");
        buffer_drop(&request);
        buffer_drop(&chunked);
    }
}

static void whoever_has_no_key_is_refused_before_the_body(void **state)
{
    /* Expect: 100-continue with a body that never comes: the refusal does not wait for it, and asks for nothing. */
    struct buffer answer = fixture_talk(*state, SLICE("POST /2015-03-31/functions/ HTTP/1.1\r\nHost: x\r\n"
                                                      "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"));
    assert_null(strstr(buffer_text(&answer), "100 Continue"));
    must_be(&answer, "403", "Missing Authentication Token");
}

static void a_body_one_byte_at_a_time_is_the_same_body(void **state)
{
    struct buffer request =
        compose(&root, "POST", "/2015-03-31/functions/hello/invocations", "", SLICE("{\"a\":1}"));
    AUTO(fd)
    int fd = fixture_connect(*state);
    for (size_t i = 0; i < request.len; i++)
        assert_int_equal(send(fd, request.at + i, 1, MSG_NOSIGNAL), 1);
    struct buffer answer = filled(4096);
    size_t len = 0;
    for (ssize_t got = 1; got > 0 && len < 4000; len += (size_t)(got > 0 ? got : 0))
        got = recv(fd, answer.at + len, 4000 - len, 0);
    answer.len = len;
    must_be(&answer, "201", "\"bytes\":7");
    buffer_drop(&request);
}

static void a_body_that_is_no_JSON_object_is_refused(void **state)
{
    static const char *const bodies[] = { "{", "[1]", "\"x\"", "nul", "{\"a\":1}}" };
    for (size_t i = 0; i < 5; i++) {
        struct buffer answer = ask(*state, &root, "POST", "/2015-03-31/functions", "", slice_of(bodies[i]));
        must_contain(&answer, "x-amzn-ErrorType: InvalidRequestContentException");
        must_be(&answer, "400", "{\"Type\":\"User\",\"message\":\"Could not parse request body into json: ");
    }
    struct buffer answer = ask(*state, &root, "POST", "/2015-03-31/functions", "", SLICE_EMPTY);
    must_be(&answer, "200", "{\"members\":0}");
}

/* ---- errors ---- */

static void each_kind_of_error_has_its_status_and_code(void **state)
{
    static const struct {
        const char *kind, *status, *code;
    } cases[] = {
        { "invalid", "400", "InvalidParameterValueException" },
        { "not%20found", "404", "ResourceNotFoundException" },
        { "exists", "409", "ResourceConflictException" },
        { "conflict", "409", "ResourceConflictException" },
        { "precondition", "412", "PreconditionFailedException" },
        { "too%20large", "413", "RequestTooLargeException" },
        { "denied", "403", "AccessDeniedException" },
        { "throttled", "429", "TooManyRequestsException" },
        { "unsupported", "400", "InvalidParameterValueException" },
        { "unavailable", "503", "ServiceException" },
        { "disk%20full", "507", "ServiceException" },
        { "timeout", "504", "ServiceException" },
        { "unknown", "500", "ServiceException" },
        { "internal", "500", "ServiceException" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char target[128], header[128];
        (void)snprintf(target, sizeof(target), "/2015-03-31/functions/%s", cases[i].kind);
        (void)snprintf(header, sizeof(header), "x-amzn-ErrorType: %s\r\n", cases[i].code);
        struct buffer answer = ask(*state, &root, "GET", target, "", SLICE_EMPTY);
        must_contain(&answer, cases[i].status[0] == '5' ? "\"Type\":\"Service\"" : "\"Type\":\"User\"");
        must_be(&answer, cases[i].status, header);
    }
}

static void a_code_of_its_own_wins_over_the_kind(void **state)
{
    struct buffer answer =
        ask(*state, &root, "GET", "/2015-03-31/functions/invalid?code=CodeVerificationFailedException", "",
            SLICE_EMPTY);
    must_contain(&answer, "x-amzn-ErrorType: CodeVerificationFailedException");
    must_be(&answer, "400", "{\"Type\":\"User\",\"Message\":\"what \\\"was\\\" tried <here>\"}");
}

static void our_own_failures_tell_nothing_of_our_inside(void **state)
{
    struct buffer answer = ask(*state, &root, "GET", "/2015-03-31/functions/internal?code=Secret", "", SLICE_EMPTY);
    assert_null(strstr(buffer_text(&answer), "tried"));
    assert_null(strstr(buffer_text(&answer), "Secret"));
    must_be(&answer, "500",
            "{\"Type\":\"Service\",\"Message\":\"An error occurred and the request cannot be processed.\"}");
}

static void an_answer_without_a_body_has_none(void **state)
{
    struct buffer answer = ask(*state, &root, "DELETE", "/2015-03-31/functions/hello", "", SLICE_EMPTY);
    assert_null(strcasestr(buffer_text(&answer), "content-type"));
    must_be(&answer, "204", "x-amzn-RequestId: ");
}

/* ---- clients that go away ---- */

static void await(atomic_int *what, int value)
{
    while (atomic_load(what) != value)
        (void)usleep(
            1000); /* the server's thread will get there; the test's own timeout ends a wait that is in vain */
}

static void a_handler_may_answer_when_its_client_is_gone(void **state)
{
    struct buffer request = compose(&root, "POST", "/wait", "", SLICE("{}"));
    AUTO(fd)
    int fd = fixture_connect(*state);
    assert_int_equal(send(fd, request.at, request.len, MSG_NOSIGNAL), request.len);
    await(&waiting_calls, 1);
    fd_drop(&fd);
    await(&gone_calls, 1);
    buffer_drop(&request);
    plain(*state, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200", "");
}

static void a_client_that_leaves_in_its_body_costs_nothing(void **state)
{
    struct buffer request =
        compose(&root, "POST", "/2015-03-31/functions/hello/invocations", "", SLICE("{\"a\":1}"));
    for (size_t cut = 1; cut < 8; cut++) {
        AUTO(fd)
        int fd = fixture_connect(*state);
        assert_int_equal(send(fd, request.at, request.len - cut, MSG_NOSIGNAL), request.len - cut);
    }
    buffer_drop(&request);
    plain(*state, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200", "");
    assert_int_equal(handlers_called, 0);
}

static void all_bodies_together_have_a_budget(void **state)
{
    AUTO(buffer)
    struct buffer body = filled(200000);
    struct buffer held = compose(&root, "POST", "/wait", "", buffer_slice(&body));
    AUTO(fd)
    int fd = fixture_connect(*state);
    assert_int_equal(fd_write_all(fd, buffer_slice(&held), NULL), OK);
    await(&waiting_calls, 1);
    AUTO(buffer)
    struct buffer more = filled(BODIES_BYTES_MAX - BODIES_BYTES_MAX / API_SMALL_BODIES_SHARE - 200000);
    const char *target = "/2015-03-31/functions/hello/invocations";
    struct buffer answer = ask(*state, &root, "POST", target, "", buffer_slice(&more));
    must_be(&answer, "201", "\"bytes\":158400}"); /* just fits beside what is kept for small ones */
    buffer_append_byte(&more, 'x');
    answer = ask(*state, &root, "POST", target, "", buffer_slice(&more));
    must_contain(&answer, "x-amzn-ErrorType: ServiceException");
    must_be(&answer, "503", "too many large requests");
    fd_drop(&fd);
    await(&gone_calls, 1);
    answer = ask(*state, &root, "POST", target, "", buffer_slice(&more)); /* there is room again */
    must_be(&answer, "201", "\"bytes\":158401}");
    buffer_drop(&held);
}

static void large_bodies_leave_room_for_small_ones(void **state)
{
    AUTO(buffer)
    struct buffer body = filled(BODIES_BYTES_MAX / 2 - BODIES_BYTES_MAX / API_SMALL_BODIES_SHARE / 2);
    struct buffer held = compose(&root, "POST", "/wait", "", buffer_slice(&body));
    AUTO(fd)
    int one = fixture_connect(*state);
    AUTO(fd)
    int two = fixture_connect(*state);
    assert_int_equal(fd_write_all(one, buffer_slice(&held), NULL), OK);
    assert_int_equal(fd_write_all(two, buffer_slice(&held), NULL), OK);
    await(&waiting_calls, 2);
    const char *target = "/2015-03-31/functions/hello/invocations";
    AUTO(buffer)
    struct buffer large = filled(API_SMALL_BODY_BYTES + 1), small = filled(50000);
    struct buffer answer = ask(*state, &root, "POST", target, "", buffer_slice(&large));
    must_be(&answer, "503", "too many large requests");
    answer = ask(*state, &root, "POST", target, "", buffer_slice(&small));
    must_be(&answer, "201", "\"bytes\":50000}");
    fd_drop(&one);
    fd_drop(&two);
    await(&gone_calls, 2);
    buffer_drop(&held);
    buffer_drop(&small);
}

static void no_instance_takes_the_budget_of_all(void **state)
{
    struct fixture *f = *state;
    const struct signer instance = { f->instance_key, f->instance_secret, f->instance_token, "lambda" };
    const char *target = "/2015-03-31/functions/hello/invocations";
    AUTO(buffer)
    struct buffer body = filled(100000);
    struct buffer held = compose(&instance, "POST", "/wait", "", buffer_slice(&body));
    AUTO(fd)
    int fd = fixture_connect(f);
    assert_int_equal(fd_write_all(fd, buffer_slice(&held), NULL), OK);
    await(&waiting_calls, 1);
    struct buffer answer = ask(f, &instance, "POST", target, "", buffer_slice(&body));
    must_be(&answer, "429", "x-amzn-ErrorType: TooManyRequestsException");
    answer = ask(f, &instance, "POST", target, "", SLICE("{}"));
    must_be(&answer, "201", "\"bytes\":2}");
    answer = ask(f, &root, "POST", target, "", buffer_slice(&body)); /* nobody else notices */
    must_be(&answer, "201", "\"bytes\":100000}");
    fd_drop(&fd);
    await(&gone_calls, 1);
    answer = ask(f, &instance, "POST", target, "", buffer_slice(&body));
    must_be(&answer, "201", "\"bytes\":100000}");
    buffer_drop(&held);
}

static void who_may_not_call_it_gets_no_large_body_read(void **state)
{
    struct fixture *f = *state;
    const struct signer instance = { f->instance_key, f->instance_secret, f->instance_token, "lambda" };
    AUTO(buffer)
    struct buffer body = filled(API_DENIED_BODY_BYTES_MAX + 1);
    struct buffer answer = ask(f, &instance, "POST", "/2015-03-31/functions", "", buffer_slice(&body));
    must_contain(&answer, "Connection: close"); /* the rest was not read */
    must_be(&answer, "403", "not authorized to perform: lambda:CreateFunction");
    body.len = API_DENIED_BODY_BYTES_MAX;
    answer = ask(f, &instance, "POST", "/2015-03-31/functions", "", buffer_slice(&body));
    must_be(&answer, "403", "not authorized to perform: lambda:CreateFunction");
    assert_int_equal(handlers_called, 0);
}

static void a_server_that_closes_under_a_waiting_call_frees_it(void **state)
{
    struct buffer request = compose(&root, "POST", "/wait", "", SLICE("{}"));
    AUTO(fd)
    int fd = fixture_connect(*state);
    assert_int_equal(send(fd, request.at, request.len, MSG_NOSIGNAL), request.len);
    await(&waiting_calls, 1);
    buffer_drop(&request); /* the teardown closes the server; the leak checker looks at the rest */
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start, stop)
int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(healthz_answers_200_and_nothing_else),
        SERVED(an_unsigned_request_is_refused_in_its_familys_form),
        SERVED(a_signed_request_reaches_its_handler),
        SERVED(an_unknown_key_and_a_wrong_secret_are_refused_alike_in_status),
        SERVED(a_changed_body_is_refused),
        SERVED(an_instances_key_needs_its_token_and_may_do_little),
        SERVED(a_trailing_slash_makes_no_difference),
        SERVED(path_parameters_are_decoded_after_they_are_split),
        SERVED(what_stands_in_no_row_is_an_unknown_operation),
        SERVED(a_path_with_a_broken_escape_is_refused),
        SERVED(a_service_that_is_not_here_is_named),
        SERVED(a_json_service_is_found_by_its_target),
        SERVED(GetCallerIdentity_answers_by_GET_and_by_POST),
        SERVED(other_actions_are_InvalidAction),
        SERVED(an_action_in_the_query_and_another_in_the_form_are_refused),
        SERVED(too_many_parameters_are_refused),
        SERVED(a_body_may_have_what_its_row_allows_and_no_byte_more),
        SERVED(a_chunked_body_is_bounded_too),
        SERVED(whoever_has_no_key_is_refused_before_the_body),
        SERVED(a_body_one_byte_at_a_time_is_the_same_body),
        SERVED(a_body_that_is_no_JSON_object_is_refused),
        SERVED(each_kind_of_error_has_its_status_and_code),
        SERVED(a_code_of_its_own_wins_over_the_kind),
        SERVED(our_own_failures_tell_nothing_of_our_inside),
        SERVED(an_answer_without_a_body_has_none),
        SERVED(a_handler_may_answer_when_its_client_is_gone),
        SERVED(a_client_that_leaves_in_its_body_costs_nothing),
        SERVED(all_bodies_together_have_a_budget),
        SERVED(large_bodies_leave_room_for_small_ones),
        SERVED(no_instance_takes_the_budget_of_all),
        SERVED(who_may_not_call_it_gets_no_large_body_read),
        SERVED(a_server_that_closes_under_a_waiting_call_frees_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
