/* load: sends one fixed HTTP request over and over on kept-alive connections and measures each answer.
 *
 *   load ADDRESS:PORT REQUEST-FILE CLIENTS WARM-UP-CALLS CALLS SECONDS EXPECTED [CALLS-A-SECOND]
 *
 * With CALLS-A-SECOND the calls are due at even times, and a call's time counts from when it was due: a server that stalls cannot hide it.
 * The request's bytes are a file: signed once, replayed while its date is good. Each of CLIENTS connections has one call under way; the run
 * ends after CALLS answers or SECONDS, whichever comes first, so it is bounded in both. An answer counts only when its status is 200 (or
 * 202, accepted) and its body holds EXPECTED. Prints one line of JSON: calls, seconds, calls/s, p50/p90/p99/max in microseconds, errors. Loopback only.
 * One thread, epoll, no allocation while it measures: the generator must cost less than what it measures. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 1024,
    CALLS_MAX = 20 * 1000 * 1000,
    SECONDS_MAX = 600,
    ANSWER_BYTES_MAX = 256 * 1024,
    REQUEST_BYTES_MAX = 1024 * 1024
};

struct client {
    int fd;
    size_t sent;  /* of the request */
    size_t len;   /* of the answer so far */
    size_t whole; /* of the answer in all; 0 while its head is not there */
    size_t head;
    uint64_t began_ns;
    uint64_t due_ns; /* its next call; 0: at once */
    bool waits;      /* for that time */
    char answer[ANSWER_BYTES_MAX];
};

static char request[REQUEST_BYTES_MAX];
static size_t request_len;
static const char *expected;
static uint32_t *latencies_ns;
static size_t calls, warm_up, errors;
static uint64_t interval_ns; /* between the calls of one client; 0: as fast as answers come */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_more(struct client *c)
{
    while (c->sent < request_len) {
        ssize_t n = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN)
                return; /* EPOLLOUT is always asked for, edge-triggered */
            die("could not send");
        }
        c->sent += (size_t)n;
    }
}

static void begin(struct client *c)
{
    c->sent = c->len = c->whole = c->head = 0;
    c->waits = false;
    c->began_ns = c->due_ns != 0 ? c->due_ns : now_ns();
    send_more(c);
}

/* Its next call: at once, or when it is due. */
static void begin_in_time(struct client *c)
{
    c->due_ns += c->due_ns != 0 ? interval_ns : 0;
    if (c->due_ns > now_ns())
        c->waits = true;
    else
        begin(c);
}

/* Begins what is due; how long until the next is, in ms. */
static int begin_due(struct client *clients, int count)
{
    uint64_t now = now_ns(), next = now + 1000000000u;
    for (int i = 0; i < count; i++) {
        if (clients[i].waits && clients[i].due_ns <= now)
            begin(&clients[i]);
        else if (clients[i].waits && clients[i].due_ns < next)
            next = clients[i].due_ns;
    }
    return (int)((next - now + 999999) / 1000000);
}

static void head_is_there(struct client *c)
{
    c->answer[c->len] = '\0';
    char *end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL)
        return;
    c->head = (size_t)(end - c->answer) + 4;
    char *at = strcasestr(c->answer, "\r\ncontent-length:");
    if (at == NULL || at > end) {
        fprintf(stderr, "load: an answer without Content-Length: %.200s\n", c->answer);
        exit(1);
    }
    c->whole = c->head + strtoull(at + 17, NULL, 10);
    if (c->whole >= sizeof(c->answer)) {
        fprintf(stderr, "load: an answer of %zu bytes is too long\n", c->whole);
        exit(1);
    }
}

static void ended(struct client *c)
{
    uint64_t took = now_ns() - c->began_ns;
    c->answer[c->whole] = '\0';
    bool good = strncmp(c->answer, "HTTP/1.1 200", 12) == 0 || strncmp(c->answer, "HTTP/1.1 202", 12) == 0;
    if (!good || strstr(c->answer + c->head, expected) == NULL) {
        if (errors++ == 0)
            fprintf(stderr, "load: a wrong answer: %.400s\n", c->answer);
    }
    if (warm_up > 0) {
        warm_up--;
        return;
    }
    latencies_ns[calls++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

/* Reads what is there; true when an answer was completed. */
static bool receive_more(struct client *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->answer + c->len, sizeof(c->answer) - 1 - c->len, 0);
        if (n < 0) {
            if (errno == EAGAIN)
                return false;
            die("could not receive");
        }
        if (n == 0) {
            fprintf(stderr, "load: the server closed the connection after: %.300s\n", c->answer);
            exit(1);
        }
        c->len += (size_t)n;
        if (c->whole == 0)
            head_is_there(c);
        if (c->whole != 0 && c->len >= c->whole)
            return true;
    }
}

static int connected(const char *address)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon - address >= (long)sizeof(host)) {
        fprintf(stderr, "load: \"%s\" is no ADDRESS:PORT\n", address);
        exit(2);
    }
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1)) };
    if (inet_pton(AF_INET, host, &at.sin_addr) != 1 || (ntohl(at.sin_addr.s_addr) >> 24) != 127) {
        fprintf(stderr, "load: only 127.0.0.0/8, not \"%s\"\n", host);
        exit(2);
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        die("could not connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void read_request(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die(path);
    request_len = fread(request, 1, sizeof(request), file);
    fclose(file);
    if (request_len == 0 || request_len == sizeof(request)) {
        fprintf(stderr, "load: %s is empty or too long\n", path);
        exit(2);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(double share)
{
    size_t at = (size_t)(share * (double)calls);
    return calls == 0 ? 0 : latencies_ns[at < calls ? at : calls - 1] / 1000.0;
}

static void report(double seconds)
{
    qsort(latencies_ns, calls, sizeof(*latencies_ns), by_size);
    printf("{\"calls\": %zu, \"seconds\": %.3f, \"per_second\": %.1f, \"p50_us\": %.1f, \"p90_us\": %.1f, "
           "\"p99_us\": %.1f, \"max_us\": %.1f, "
           "\"errors\": %zu}\n",
           calls, seconds, (double)calls / seconds, percentile_us(0.50), percentile_us(0.90), percentile_us(0.99),
           percentile_us(1.0), errors);
}

int main(int argc, char **argv)
{
    if (argc != 8 && argc != 9) {
        fprintf(stderr, "usage: load ADDRESS:PORT REQUEST-FILE CLIENTS WARM-UP-CALLS CALLS SECONDS EXPECTED "
                        "[CALLS-A-SECOND]\n");
        return 2;
    }
    read_request(argv[2]);
    int count = atoi(argv[3]);
    warm_up = strtoull(argv[4], NULL, 10);
    size_t calls_max = strtoull(argv[5], NULL, 10);
    double seconds_max = atof(argv[6]);
    expected = argv[7];
    if (count < 1 || count > CLIENTS_MAX || calls_max < 1 || calls_max > CALLS_MAX || seconds_max <= 0 ||
        seconds_max > SECONDS_MAX) {
        fprintf(stderr, "load: at most %d clients, %d calls, %d seconds\n", CLIENTS_MAX, CALLS_MAX, SECONDS_MAX);
        return 2;
    }
    latencies_ns = malloc(calls_max * sizeof(*latencies_ns));
    memset(latencies_ns, 1, calls_max * sizeof(*latencies_ns)); /* page faults now, not later */
    struct client *clients = calloc((size_t)count, sizeof(*clients));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++) {
        clients[i].fd = connected(argv[1]);
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &clients[i] };
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event) < 0)
            die("epoll");
    }
    uint64_t limit = now_ns() + (uint64_t)(seconds_max * 1e9), began = now_ns();
    bool warming = warm_up > 0;
    if (argc == 9)
        interval_ns = (uint64_t)(1e9 * count / atof(argv[8]));
    for (int i = 0; i < count; i++) {
        clients[i].due_ns = interval_ns == 0 ? 0 : began + interval_ns * (uint64_t)i / (uint64_t)count;
        begin(&clients[i]);
    }
    while (calls < calls_max && now_ns() < limit) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, begin_due(clients, count));
        for (int i = 0; i < n && calls < calls_max; i++) {
            struct client *c = events[i].data.ptr;
            if (c->waits)
                continue;
            send_more(c);
            if (!receive_more(c))
                continue;
            ended(c);
            if (warming && warm_up == 0) {
                warming = false;
                began = now_ns();
                limit = began + (uint64_t)(seconds_max * 1e9);
            }
            begin_in_time(c);
        }
    }
    report((double)(now_ns() - began) / 1e9);
    return errors > 0 ? 1 : 0;
}
