#include "fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

atomic_int handlers_called, waiting_calls, gone_calls;

/* ---- a service ---- */

static void echo(struct call *call)
{
    atomic_fetch_add(&handlers_called, 1);
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_val(doc, root, "operation", json_from_slice(doc, slice_of(call->operation->name)));
    yyjson_mut_obj_add_val(doc, root, "name", json_from_slice(doc, call_path(call, "Name")));
    yyjson_mut_obj_add_val(doc, root, "q", json_from_slice(doc, call_query(call, "q")));
    yyjson_mut_obj_add_val(doc, root, "type", json_from_slice(doc, call_header(call, "Content-Type")));
    yyjson_mut_obj_add_val(doc, root, "who", json_from_slice(doc, slice_of(call->principal->arn)));
    yyjson_mut_obj_add_uint(doc, root, "bytes", call->body->len);
    call_add_header(call, "X-Echo", SLICE("yes"));
    call_add_header(call, "X-Bad", SLICE("a\r\nb"));
    call_reply_json(call, 201, doc);
}

static void fail_as_told(struct call *call)
{
    atomic_fetch_add(&handlers_called, 1);
    struct slice name = call_path(call, "Name"), code = call_query(call, "code");
    struct error err = { 0 };
    AUTO(text)
    char *text = slice_dup(code);
    for (int kind = ERROR_NONE + 1; kind < ERROR_KIND_COUNT; kind++)
        if (slice_is(name, error_kind_name((enum error_kind)kind)))
            (void)error_set_code(&err, (enum error_kind)kind, text, "A hint.", "what \"was\" tried <here>");
    call_fail(call, &err);
}

static void read_json(struct call *call)
{
    atomic_fetch_add(&handlers_called, 1);
    yyjson_val *root = NULL;
    struct error err = { 0 };
    if (call_json(call, &root, &err) != OK || call_json(call, &root, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    struct buffer body = BUFFER_EMPTY;
    buffer_appendf(&body, "{\"members\":%zu}", yyjson_obj_size(root));
    call_reply_bytes(call, 200, "application/json", &body);
}

static void answer_when_gone(struct call *call)
{
    struct buffer body = BUFFER_EMPTY;
    buffer_append_text(&body, "too late");
    atomic_fetch_add(&gone_calls, 1);
    call_add_header(call, "X-Late", SLICE("yes"));
    call_reply_bytes(call, 200, NULL, &body);
}

static void wait_for_the_end(struct call *call)
{
    atomic_fetch_add(&handlers_called, 1);
    call->on_gone = answer_when_gone;
    atomic_fetch_add(&waiting_calls, 1);
}

static void empty(struct call *call)
{
    atomic_fetch_add(&handlers_called, 1);
    call_reply_empty(call, 204);
}

static void any(const struct call *call, struct buffer *out)
{
    buffer_append_text(out, "arn:test:");
    buffer_append_slice(out, call_path(call, "Name"));
}

/* "lambda", so that unmodified clients speak to it; its handlers are ours. */
static const struct operation test_operations[] = {
    { "Invoke", "POST", "/2015-03-31/functions/{Name}/invocations", "lambda:InvokeFunction", any, echo,
      ECHO_BYTES_MAX },
    { "ListFunctions", "GET", "/2015-03-31/functions/", "lambda:ListFunctions", NULL, echo, 0 },
    { "CreateFunction", "POST", "/2015-03-31/functions", "lambda:CreateFunction", any, read_json, 0 },
    { "GetFunction", "GET", "/2015-03-31/functions/{Name}", "lambda:GetFunction", any, fail_as_told, 0 },
    { "DeleteFunction", "DELETE", "/2015-03-31/functions/{Name}", "lambda:DeleteFunction", any, empty, 0 },
    { "Wait", "POST", "/wait", "lambda:InvokeFunction", NULL, wait_for_the_end, 0 },
};
static const struct service test_service = { .name = "lambda",
                                             .family = FAMILY_REST_JSON,
                                             .operations = test_operations,
                                             .operation_count =
                                                 sizeof(test_operations) / sizeof(test_operations[0]) };

static const struct operation table_operations[] = {
    { .name = "ListTables", .action = "dynamodb:ListTables", .handler = read_json },
    { .name = "Echo", .handler = echo },
};
static const struct service table_service = { .name = "dynamodb",
                                              .family = FAMILY_JSON_1_0,
                                              .target_prefix = "DynamoDB_20120810",
                                              .operations = table_operations,
                                              .operation_count = 2 };

static const struct service *const services[] = { &test_service, &table_service, &sts_service, NULL };

/* ---- the server ---- */

static void stopped(void *arg)
{
    struct fixture *f = arg;
    uv_close((uv_handle_t *)&f->stop, NULL);
}

static void stop(uv_async_t *async)
{
    struct fixture *f = async->data;
    http_server_close(f->server, stopped, f);
}

static void run(void *arg)
{
    struct fixture *f = arg;
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void die(const struct error *err)
{
    (void)fprintf(stderr, "%s\n", err->message);
    exit(1);
}

struct fixture *fixture_start(void)
{
    struct fixture *f = memory_new(sizeof(*f));
    struct error err = { 0 };
    handlers_called = waiting_calls = gone_calls = 0;
    f->keyring = keyring_new("000000000000");
    keyring_add_root(f->keyring, TEST_KEY, TEST_SECRET);
    const struct principal *instance =
        keyring_add_instance(f->keyring, SLICE("hearth-basic"), SLICE("hello"), clock_wall_ms() + 3600 * 1000);
    memcpy(f->instance_key, instance->access_key, sizeof(f->instance_key));
    memcpy(f->instance_secret, instance->secret, sizeof(f->instance_secret));
    memcpy(f->instance_token, instance->token, sizeof(f->instance_token));
    (void)uv_loop_init(&f->loop);
    f->stop.data = f;
    (void)uv_async_init(&f->loop, &f->stop, stop);
    const struct api_config config = { .account = "000000000000",
                                       .region = "us-east-1",
                                       .keyring = f->keyring,
                                       .services = services,
                                       .bodies_bytes_max = BODIES_BYTES_MAX,
                                       .instance_bodies_bytes_max = INSTANCE_BODIES_BYTES_MAX };
    f->api = api_new(&f->loop, &config);
    const struct http_handler handler = { api_request, f->api };
    f->server = http_server_new(&f->loop, NULL, &handler);
    AUTO(fd)
    int fd = -1;
    struct http_listener *listener = NULL;
    if (http_bind("127.0.0.1:0", &fd, &err) != OK || http_listen(f->server, &fd, NULL, &listener, &err) != OK)
        die(&err);
    http_listener_address(listener, f->address);
    f->port = atoi(strrchr(f->address, ':') + 1);
    (void)uv_thread_create(&f->thread, run, f);
    return f;
}

void fixture_stop(struct fixture *f)
{
    (void)uv_async_send(&f->stop);
    (void)uv_thread_join(&f->thread);
    (void)uv_loop_close(&f->loop);
    api_free(f->api);
    keyring_free(f->keyring);
    free(f);
}

/* ---- the client ---- */

int fixture_connect(const struct fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)f->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        perror("connect");
        exit(1);
    }
    return fd;
}

struct buffer fixture_talk(const struct fixture *f, struct slice request)
{
    AUTO(fd)
    int fd = fixture_connect(f);
    struct buffer answer = BUFFER_EMPTY;
    while (request.len >
           0) { /* the server may have refused and stopped reading: then its answer is there to read */
        ssize_t sent = send(fd, request.at, request.len, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        request = slice_sub(request, (size_t)sent, request.len);
    }
    for (;;) {
        buffer_reserve(&answer, 65536);
        ssize_t got = recv(fd, answer.at + answer.len, 65536, 0);
        if (got <= 0)
            break;
        answer.len += (size_t)got;
    }
    (void)buffer_text(&answer);
    return answer;
}
