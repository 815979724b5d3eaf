/* The server: listeners, limits, timers, the pool of work blocks, drain and close. Idea and invariants: http_private.h. */
#include "net/http_private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"

/* A client that vanished without a FIN while a handler works is found by the kernel: 60 s, then 4 probes of 15 s. */
enum { KEEPALIVE_IDLE_S = 60, KEEPALIVE_INTERVAL_S = 15, KEEPALIVE_PROBES = 4 };

/* ---- the pool ---- */

struct work *server_take_work(struct http_server *server)
{
    struct work *work = server->pool;
    if (!work)
        return work_new();
    server->pool = work->next;
    server->pool_count--;
    return work;
}

void server_give_work(struct http_server *server, struct work *work)
{
    if (!work)
        return;
    if (!server || server->pool_count == WORK_POOL_MAX) {
        work_free(work);
        return;
    }
    work_reset(work);
    work->next = server->pool; /* last in, first out: the warm one is taken next */
    server->pool = work;
    server->pool_count++;
}

/* ---- time ---- */

const char *server_date(struct http_server *server)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec == server->date_second)
        return server->date;
    struct tm t;
    gmtime_r(&now.tv_sec, &t);
    char text[64];
    snprintf(text, sizeof text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * t.tm_wday, t.tm_mday,
             months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    memcpy(server->date, text, DATE_BYTES - 1); /* RFC 9110 5.6.7: IMF-fixdate is always 29 characters */
    server->date[DATE_BYTES - 1] = '\0';
    server->date_second = now.tv_sec;
    return server->date;
}

static void on_timer(uv_timer_t *timer);

/* Sets the timer so that it fires no later than `due`. Deadlines mostly move away from it: then it fires once for
 * nothing and is set anew, which is cheaper than moving it at each request. */
static void timer_before(struct http_server *server, uint64_t due)
{
    if (server->closing || (uv_is_active((uv_handle_t *)&server->timer) && server->timer_due <= due))
        return;
    uint64_t now = uv_now(server->loop);
    server->timer_due = due;
    uv_timer_start(&server->timer, on_timer, due > now ? due - now : 0, 0);
}

/* While others wait for a place nobody keeps one for long without a request. */
static uint64_t due_of(const struct http_server *server, const struct connection *c)
{
    uint32_t idle_ms = server->wait_ms[WAIT_IDLE];
    bool hurry = c->wait == WAIT_IDLE && idle_ms > HTTP_IDLE_FULL_MS && server_is_full(server);
    return hurry ? c->deadline - (idle_ms - HTTP_IDLE_FULL_MS) : c->deadline;
}

static void on_timer(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uint64_t now = uv_now(server->loop);
    uint64_t due = UINT64_MAX;
    for (int wait = WAIT_NONE + 1; wait < WAIT_COUNT; wait++) {
        while (server->waiting[wait] && due_of(server, server->waiting[wait]) <= now)
            connection_timeout(server->waiting[wait]); /* takes it out of this list, or to its end */
        if (server->waiting[wait] && due_of(server, server->waiting[wait]) < due)
            due = due_of(server, server->waiting[wait]);
    }
    if (due != UINT64_MAX)
        timer_before(server, due);
}

void server_wait(struct connection *c, enum wait wait, bool restart)
{
    struct http_server *server = c->server;
    if (c->wait == wait && !restart)
        return;
    if (c->wait != WAIT_NONE)
        DL_DELETE2(server->waiting[c->wait], c, wait_prev, wait_next);
    c->wait = wait;
    if (wait == WAIT_NONE)
        return;
    c->deadline = uv_now(server->loop) + server->wait_ms[wait];
    DL_APPEND2(server->waiting[wait], c, wait_prev, wait_next);
    timer_before(server, due_of(server, c));
}

/* ---- later ---- */

static void on_later(uv_idle_t *idle)
{
    struct http_server *server = idle->data;
    struct connection *c;
    while ((c = server->later_list)) {
        DL_DELETE2(server->later_list, c, later_prev, later_next);
        c->in_later = false;
        connection_advance(c);
    }
    uv_idle_stop(idle);
    server_check(server);
}

void connection_later(struct connection *c)
{
    if (c->in_later || c->state == CONNECTION_CLOSED)
        return;
    c->in_later = true;
    DL_APPEND2(c->server->later_list, c, later_prev, later_next);
    uv_idle_start(&c->server->later, on_later);
}

/* ---- making and ending ---- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

/* A process without descriptors cannot start an instance nor write a log line: connections take no more than their share. */
static size_t share_of_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    size_t share = (size_t)files.rlim_cur / HTTP_DESCRIPTORS_SHARE;
    return share > 0 ? share : 1;
}

struct http_server *http_server_new(uv_loop_t *loop, const struct http_limits *limits,
                                    const struct http_handler *handler)
{
    struct http_limits l = limits ? *limits : (struct http_limits){ 0 };
    struct http_server *server = memory_new(sizeof *server);
    server->loop = loop;
    server->handler = *handler;
    server->connections_max = l.connections_max ? l.connections_max : HTTP_CONNECTIONS_MAX;
    server->connections_all_max = l.connections_all_max ? l.connections_all_max : share_of_descriptors();
    server->unsent_bytes_max = l.unsent_bytes_max ? l.unsent_bytes_max : HTTP_UNSENT_BYTES_MAX;
    server->wait_ms[WAIT_IDLE] = or_default(l.idle_timeout_ms, HTTP_IDLE_TIMEOUT_MS);
    server->wait_ms[WAIT_HEAD] = or_default(l.head_timeout_ms, HTTP_HEAD_TIMEOUT_MS);
    server->wait_ms[WAIT_BODY] = or_default(l.body_stall_timeout_ms, HTTP_BODY_STALL_TIMEOUT_MS);
    server->wait_ms[WAIT_WRITE] = or_default(l.write_stall_timeout_ms, HTTP_WRITE_STALL_TIMEOUT_MS);
    server->wait_ms[WAIT_LINGER] = HTTP_LINGER_MS;
    server->date_second = -1;
    uv_timer_init(loop, &server->timer);
    server->timer.data = server;
    uv_idle_init(loop, &server->later);
    server->later.data = server;
    server->handles = 2;

    /* libuv writes with write(2): a client that has gone would end the process. Whoever set a handler keeps it. */
    struct sigaction old;
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
    return server;
}

static void server_free(struct http_server *server)
{
    struct connection *c, *next;
    DL_FOREACH_SAFE (server->orphans, c, next)
        c->server = NULL; /* freed by whoever holds its exchange */
    while (server->pool) {
        struct work *work = server->pool;
        server->pool = work->next;
        work_free(work);
    }
    void (*done)(void *arg) = server->done;
    void *arg = server->done_arg;
    free(server);
    if (done)
        done(arg);
}

void server_check(struct http_server *server)
{
    if (server->drained && server->connection_count == 0) {
        void (*drained)(void *arg) = server->drained;
        server->drained = NULL;
        drained(server->drained_arg);
    }
}

/* The last thing a handle's close callback does: it may free the server. */
static void handle_gone(struct http_server *server)
{
    if (--server->handles == 0 && server->closing)
        server_free(server);
}

static void on_own_handle_closed(uv_handle_t *handle)
{
    handle_gone(handle->data);
}

static void listener_free_if_unused(struct http_listener *listener)
{
    if (!listener->closed || listener->connections > 0)
        return;
    DL_DELETE(listener->server->listeners, listener);
    free(listener);
}

static bool may_accept(const struct http_listener *listener)
{
    const struct http_server *server = listener->server;
    return listener->connections < server->connections_max &&
           server->connection_count < server->connections_all_max;
}

static void listener_pause(struct http_listener *listener, bool paused)
{
    if (listener->paused != paused)
        listener->server->paused_count += paused ? 1 : (size_t)-1;
    listener->paused = paused;
}

bool server_is_full(const struct http_server *server)
{
    return server->paused_count > 0 && server->connection_count >= server->connections_all_max;
}

/* A place is free: to the listener that has waited longest since its last turn. */
static void resume_one(struct http_server *server)
{
    struct http_listener *listener = server->listeners;
    while (server->paused_count > 0 && listener && !(listener->paused && may_accept(listener)))
        listener = listener->next;
    if (server->paused_count == 0 || !listener)
        return;
    DL_DELETE(server->listeners, listener);
    DL_APPEND(server->listeners, listener);
    listener_pause(listener, false);
    connection_accept(listener);
}

void server_connection_closed(struct http_server *server, struct http_listener *listener)
{
    server->connection_count--;
    listener->connections--;
    if (server->connection_count == 0 && !server->closing)
        uv_timer_stop(&server->timer); /* a server at rest does not wake up */
    resume_one(server);
    listener_free_if_unused(listener);
    server_check(server);
    handle_gone(server);
}

/* ---- listeners ---- */

static enum outcome parse_address(const char *address, struct sockaddr_storage *out, struct error *err)
{
    const char *hint = "Write it as 127.0.0.1:4566 or [::1]:4566.";
    const char *colon = strrchr(address, ':');
    char host[INET6_ADDRSTRLEN + 2];
    uint64_t port;
    if (!colon || (size_t)(colon - address) >= sizeof host || !slice_to_u64(slice_of(colon + 1), 65535, &port))
        return error_set(err, ERROR_INVALID, hint, "\"%s\" is not an address with a port", address);
    size_t len = (size_t)(colon - address);
    memcpy(host, address, len);
    host[len] = '\0';
    if (host[0] == '[' && len > 2 && host[len - 1] == ']') {
        host[len - 1] = '\0';
        if (uv_ip6_addr(host + 1, (int)port, (struct sockaddr_in6 *)out) == 0)
            return OK;
    } else if (uv_ip4_addr(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, (int)port,
                           (struct sockaddr_in *)out) == 0) {
        return OK;
    }
    return error_set(err, ERROR_INVALID, hint, "\"%s\" has no numeric IP address", address);
}

enum outcome http_bind(const char *address, int *fd_out, struct error *err)
{
    struct sockaddr_storage addr = { 0 };
    TRY(parse_address(address, &addr, err));
    AUTO(fd)
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set_sys(err, errno, "Look at the limit of open files.", "could not make a socket for \"%s\"",
                             address);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* a restart need not wait for TIME_WAIT to end */
    socklen_t len = addr.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (bind(fd, (struct sockaddr *)&addr, len) < 0)
        return error_set_sys(err, errno,
                             errno == EADDRINUSE ? "Another program listens there: stop it, or choose another port."
                             : errno == EACCES   ? "Ports below 1024 need root or CAP_NET_BIND_SERVICE."
                                                 : "Choose an address of this machine (ip addr).",
                             "could not listen on \"%s\"", address);
    *fd_out = fd_take(&fd);
    return OK;
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct http_listener *listener = stream->data;
    if (status < 0) {
        log_warn("net", "could not accept a connection: %s", uv_strerror(status));
        return;
    }
    if (may_accept(listener)) {
        connection_accept(listener);
        return;
    }
    listener_pause(listener, true); /* the others wait in the backlog */
    struct http_server *server = listener->server;
    if (server->waiting[WAIT_IDLE])
        timer_before(server, due_of(server, server->waiting[WAIT_IDLE]));
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct http_listener *listener = handle->data;
    struct http_server *server = listener->server;
    listener->closed = true;
    listener_free_if_unused(listener);
    handle_gone(server);
}

enum outcome http_listen(struct http_server *server, int *fd, void *tag, struct http_listener **out,
                         struct error *err)
{
    const char *hint = "Pass a bound TCP socket that nobody else serves.";
    assert(!server->closing && !server->draining);
    struct http_listener *listener = memory_new(sizeof *listener);
    listener->server = server;
    listener->tag = tag;
    listener->tcp.data = listener;
    DL_APPEND(server->listeners, listener);
    int code = uv_tcp_init(server->loop, &listener->tcp);
    assert(code == 0);
    server->handles++;
    code = uv_tcp_open(&listener->tcp, *fd);
    if (code == 0) {
        /* Accepted sockets inherit these from the listening one: no call for each connection. */
        int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S, probes = KEEPALIVE_PROBES;
        setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(*fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        setsockopt(*fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        setsockopt(*fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
        setsockopt(*fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
        *fd = -1; /* libuv's from here */
        code = uv_listen((uv_stream_t *)&listener->tcp, HTTP_LISTEN_BACKLOG, on_connection);
    }
    if (code < 0) {
        listener->closing = true;
        uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
        return error_set_sys(err, -code, hint, "could not listen");
    }
    *out = listener;
    return OK;
}

void http_listener_close(struct http_listener *listener)
{
    if (!listener || listener->closing)
        return;
    listener->closing = true;
    listener_pause(listener, false);
    listener->tag = NULL;
    uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
    struct connection *c, *next;
    DL_FOREACH_SAFE (listener->server->connections, c, next)
        if (c->listener == listener && c->state == CONNECTION_HEAD && !c->input.started)
            connection_close(c, false);
}

void http_listener_address(const struct http_listener *listener, char out[128])
{
    struct sockaddr_storage addr;
    int len = sizeof addr;
    char ip[INET6_ADDRSTRLEN] = "";
    snprintf(out, 128, "unknown");
    if (uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&addr, &len) < 0)
        return;
    if (addr.ss_family == AF_INET6 && uv_ip6_name((struct sockaddr_in6 *)&addr, ip, sizeof ip) == 0)
        snprintf(out, 128, "[%s]:%d", ip, ntohs(((struct sockaddr_in6 *)&addr)->sin6_port));
    else if (addr.ss_family == AF_INET && uv_ip4_name((struct sockaddr_in *)&addr, ip, sizeof ip) == 0)
        snprintf(out, 128, "%s:%d", ip, ntohs(((struct sockaddr_in *)&addr)->sin_port));
}

static void close_listeners(struct http_server *server)
{
    struct http_listener *listener, *next;
    DL_FOREACH_SAFE (server->listeners, listener, next)
        http_listener_close(listener);
}

void http_server_drain(struct http_server *server, void (*done)(void *arg), void *arg)
{
    assert(!server->drained && !server->closing);
    server->draining = true;
    server->drained = done;
    server->drained_arg = arg;
    close_listeners(server);
    struct connection *c, *next;
    DL_FOREACH_SAFE (server->connections, c, next)
        if (c->state == CONNECTION_HEAD && !c->input.started)
            connection_close(c, false);
    uv_idle_start(&server->later,
                  on_later); /* there may be no connection at all; `done` is called later in any case */
}

void http_server_close(struct http_server *server, void (*done)(void *arg), void *arg)
{
    assert(!server->closing);
    server->closing = true;
    server->done = done;
    server->done_arg = arg;
    close_listeners(server);
    struct connection *c, *next;
    DL_FOREACH_SAFE (server->connections, c, next)
        connection_close(c, c->state != CONNECTION_HEAD);
    uv_close((uv_handle_t *)&server->timer, on_own_handle_closed);
    uv_close((uv_handle_t *)&server->later, on_own_handle_closed);
}

size_t http_server_connections(const struct http_server *server)
{
    return server->connection_count;
}
