#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "scene.h"

#include "cli/http_client.h"

/* ---- answers, whole and a byte at a time ---- */

static enum outcome read_in_pieces(const char *text, size_t piece, struct reply *reply, struct error *err)
{
    struct reply_reader reader;
    enum outcome outcome = OK;
    reply_reader_init(&reader, reply);
    struct slice rest = slice_of(text);
    while (rest.len > 0 && outcome == OK) {
        struct slice now = slice_sub(rest, 0, piece);
        rest = slice_sub(rest, now.len, rest.len);
        outcome = reply_reader_feed(&reader, now, err);
    }
    if (outcome == OK)
        outcome = reply_reader_end(&reader, err);
    reply_reader_drop(&reader);
    return outcome;
}

static void expect(const char *text, int status, const char *body)
{
    for (size_t piece = 1; piece <= strlen(text); piece = piece < 3 ? piece + 1 : piece * 4) {
        AUTO(reply)
        struct reply reply = { 0 };
        struct error err = { 0 };
        if (read_in_pieces(text, piece, &reply, &err) != OK)
            fail_msg("%s: %s", text, err.message);
        assert_int_equal(reply.status, status);
        assert_true(slice_is(buffer_slice(&reply.body), body));
    }
}

static void an_answer_with_a_length_is_read(void **state)
{
    (void)state;
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
    expect("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
}

static void a_chunked_answer_is_read(void **state)
{
    (void)state;
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200, "hello");
}

static void an_answer_that_ends_with_the_connection_is_read(void **state)
{
    (void)state;
    expect("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", 200, "hello");
}

static void interim_answers_are_passed_over(void **state)
{
    (void)state;
    expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 201 "
           "Created\r\nContent-Length: 2\r\n\r\n{}",
           201, "{}");
}

static void what_comes_behind_the_answer_is_not_ours(void **state)
{
    (void)state;
    expect("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 500 No\r\n\r\n", 200, "a");
}

static void header_fields_are_found_in_lower_case(void **state)
{
    AUTO(reply)
    struct reply reply = { 0 };
    (void)state;
    assert_int_equal(
        read_in_pieces(
            "HTTP/1.1 200 OK\r\nX-Amz-Function-Error:  Unhandled \r\nEmpty:\r\nContent-Length: 0\r\n\r\n", 1,
            &reply, NULL),
        OK);
    assert_true(slice_is(reply_header(&reply, "x-amz-function-error"), "Unhandled"));
    assert_int_equal(reply_header(&reply, "empty").len, 0);
    assert_int_equal(reply_header(&reply, "absent").len, 0);
}

static void what_is_no_answer_is_refused(void **state)
{
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", /* cut */
        "HTTP/1.1 200 OK\r\nContent-Len",
        "",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        AUTO(reply)
        struct reply reply = { 0 };
        struct error err = { 0 };
        if (read_in_pieces(answers[i], 4096, &reply, &err) == OK)
            fail_msg("%s", answers[i]);
        assert_true(err.message[0] != '\0' && err.hint[0] != '\0');
    }
}

static void an_endless_head_is_refused(void **state)
{
    AUTO(reply)
    struct reply reply = { 0 };
    struct buffer text = BUFFER_EMPTY;
    struct error err = { 0 };
    (void)state;
    buffer_append_text(&text, "HTTP/1.1 200 OK\r\n");
    while (text.len < CLIENT_HEAD_BYTES_MAX * 2)
        buffer_append_text(&text, "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
    assert_int_equal(read_in_pieces(buffer_text(&text), 4096, &reply, &err), FAILED);
    assert_non_null(strstr(err.message, "head is too long"));
    buffer_drop(&text);
}

/* ---- addresses ---- */

static void endpoints_are_read_in_their_parts(void **state)
{
    static const struct {
        const char *url, *host, *port, *authority;
    } cases[] = {
        { "http://127.0.0.1:4566", "127.0.0.1", "4566", "127.0.0.1:4566" },
        { "http://127.0.0.1:4566/", "127.0.0.1", "4566", "127.0.0.1:4566" },
        { "http://[::1]:80", "::1", "80", "[::1]:80" },
        { "http://localhost", "localhost", "80", "localhost" },
    };
    static const char *const refused[] = { "https://127.0.0.1:1", "127.0.0.1:4566", "http://",
                                           "http://a:b",          "http://a:99999", "http://a/path",
                                           "http://u@a:1",        "http://[::1",    "http://a:" };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client_address address;
        assert_int_equal(client_address_read(slice_of(cases[i].url), &address, NULL), OK);
        assert_string_equal(address.host, cases[i].host);
        assert_string_equal(address.port, cases[i].port);
        assert_string_equal(address.authority, cases[i].authority);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct client_address address;
        if (client_address_read(slice_of(refused[i]), &address, NULL) == OK)
            fail_msg("%s", refused[i]);
    }
}

/* ---- over a socket ---- */

struct peer {
    int listener;
    const char *answer;
    size_t reads; /* bytes of the request it waits for before it answers */
    size_t got;
    pthread_t thread;
    struct client_address address;
};

static void *peer_run(void *arg)
{
    struct peer *peer = arg;
    char bytes[4096];
    int fd = accept(peer->listener, NULL, NULL);
    while (peer->got < peer->reads) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n <= 0)
            break;
        peer->got += (size_t)n;
    }
    (void)send(fd, peer->answer, strlen(peer->answer), MSG_NOSIGNAL);
    (void)close(fd);
    return NULL;
}

static void peer_start(struct peer *peer, const char *answer, size_t reads)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);
    char url[64];
    *peer = (struct peer){ .answer = answer, .reads = reads };
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(peer->listener, 1), 0);
    assert_int_equal(getsockname(peer->listener, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(address.sin_port));
    assert_int_equal(client_address_read(slice_of(url), &peer->address, NULL), OK);
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_run, peer), 0);
}

static void peer_end(struct peer *peer)
{
    assert_int_equal(pthread_join(peer->thread, NULL), 0);
    (void)close(peer->listener);
}

static void a_request_goes_out_whole_and_its_answer_comes_back(void **state)
{
    struct peer peer;
    AUTO(reply)
    struct reply reply = { 0 };
    struct buffer body = BUFFER_EMPTY;
    (void)state;
    buffer_reserve(&body, 4 * 1024 * 1024);
    memset(body.at, 'x', 4 * 1024 * 1024);
    body.len = 4 * 1024 * 1024;
    peer_start(&peer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 4 + body.len);
    assert_int_equal(client_exchange(&peer.address, SLICE("HEAD"), buffer_slice(&body), 10000, &reply, NULL), OK);
    peer_end(&peer);
    assert_int_equal(peer.got, 4 + body.len);
    assert_true(slice_is(buffer_slice(&reply.body), "ok"));
    buffer_drop(&body);
}

static void a_server_that_refuses_a_large_body_early_is_heard(void **state)
{
    struct peer peer;
    AUTO(reply)
    struct reply reply = { 0 };
    (void)state;
    peer_start(&peer, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 4);
    assert_int_equal(client_exchange(&peer.address, SLICE("HEAD"), SLICE_EMPTY, 10000, &reply, NULL), OK);
    peer_end(&peer);
    assert_int_equal(reply.status, 413);
}

static void a_silent_server_is_given_up_on(void **state)
{
    struct peer peer;
    struct reply reply;
    struct error err = { 0 };
    (void)state;
    peer_start(&peer, "", SIZE_MAX); /* reads until we go away */
    assert_int_equal(client_exchange(&peer.address, SLICE("GET"), SLICE_EMPTY, 50, &reply, &err), FAILED);
    assert_int_equal(err.kind, ERROR_TIMEOUT);
    peer_end(&peer);
}

static void nobody_there_is_told_apart(void **state)
{
    struct peer peer;
    struct reply reply;
    struct error err = { 0 };
    (void)state;
    peer_start(&peer, "", 0);
    assert_int_equal(client_exchange(&peer.address, SLICE("GET"), SLICE_EMPTY, 5000, &reply, &err), FAILED);
    assert_int_equal(err.kind, ERROR_UNKNOWN); /* it was there, and closed */
    peer_end(&peer);
    assert_int_equal(client_exchange(&peer.address, SLICE("GET"), SLICE_EMPTY, 5000, &reply, &err), FAILED);
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_with_a_length_is_read),
        cmocka_unit_test(a_chunked_answer_is_read),
        cmocka_unit_test(an_answer_that_ends_with_the_connection_is_read),
        cmocka_unit_test(interim_answers_are_passed_over),
        cmocka_unit_test(what_comes_behind_the_answer_is_not_ours),
        cmocka_unit_test(header_fields_are_found_in_lower_case),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(an_endless_head_is_refused),
        cmocka_unit_test(endpoints_are_read_in_their_parts),
        cmocka_unit_test(a_request_goes_out_whole_and_its_answer_comes_back),
        cmocka_unit_test(a_server_that_refuses_a_large_body_early_is_heard),
        cmocka_unit_test(a_silent_server_is_given_up_on),
        cmocka_unit_test(nobody_there_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
