/* link: the server's side of the socketpair. Never blocks. */
#include "keeper/wire.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

static enum outcome send_packet(struct keeper_link *link, const void *a, size_t a_len, const void *b, size_t b_len,
                                const int *fds, size_t n, struct error *err)
{
    if (wire_send(link->fd, a, a_len, b, b_len, fds, n) >= 0)
        return OK;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ETOOMANYREFS)
        return error_set(err, ERROR_UNAVAILABLE, "Retry after the next event.", "the keeper is behind");
    return error_set_sys(err, errno, "The server must end: nothing looks after its instances.",
                         "could not send to the keeper");
}

enum outcome keeper_send_start(struct keeper_link *link, struct keeper_start *start, struct error *err)
{
    struct wire_start s = { .head = { WIRE_START, WIRE_VERSION, start->id },
                            .memory_mb = start->memory_mb,
                            .tmp_mb = start->tmp_mb,
                            .environment_bytes = (uint32_t)start->environment.len };
    memcpy(s.runtime, start->runtime, sizeof(s.runtime));
    memcpy(s.actual, start->actual, sizeof(s.actual));
    memcpy(s.digest, start->digest, sizeof(s.digest));
    memcpy(s.layers, start->layers, sizeof(s.layers));
    memcpy(s.wrapper, start->wrapper, sizeof(s.wrapper));
    int fds[WIRE_START_DESCRIPTORS] = { start->channel, start->out, start->err };
    enum outcome outcome;
    if (start->environment.len > KEEPER_ENVIRONMENT_BYTES_MAX)
        outcome = error_set(err, ERROR_TOO_LARGE, "Make the environment variables shorter.",
                            "an environment of %zu bytes, the limit is %d", start->environment.len,
                            (int)KEEPER_ENVIRONMENT_BYTES_MAX);
    else
        outcome = send_packet(link, &s, sizeof(s), start->environment.at, start->environment.len, fds,
                              WIRE_START_DESCRIPTORS, err);
    fd_drop(&start->channel);
    fd_drop(&start->out);
    fd_drop(&start->err);
    return outcome;
}

enum outcome keeper_send_kill(struct keeper_link *link, uint64_t id, struct error *err)
{
    struct wire_head head = { WIRE_KILL, WIRE_VERSION, id };
    return send_packet(link, &head, sizeof(head), NULL, 0, NULL, 0, err);
}

enum outcome keeper_send_ready(struct keeper_link *link, uint64_t id, struct error *err)
{
    struct wire_head head = { WIRE_READY, WIRE_VERSION, id };
    return send_packet(link, &head, sizeof(head), NULL, 0, NULL, 0, err);
}

enum outcome keeper_send_stop(struct keeper_link *link, uint64_t id, bool stop, struct error *err)
{
    struct wire_head head = { stop ? WIRE_STOP : WIRE_CONTINUE, WIRE_VERSION, id };
    return send_packet(link, &head, sizeof(head), NULL, 0, NULL, 0, err);
}

static int take(const int *fds, size_t count, uint32_t present, enum wire_meter which)
{
    if (!(present >> which & 1))
        return -1;
    size_t at = (size_t)__builtin_popcount(present & ((1u << which) - 1));
    return at < count ? fds[at] : -1;
}

enum outcome keeper_receive(struct keeper_link *link, struct keeper_event *event, bool *got, struct error *err)
{
    struct wire_event w;
    int fds[METER_COUNT];
    size_t count = 0;
    ssize_t size = wire_recv(link->fd, &w, sizeof(w), fds, METER_COUNT, &count);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        *got = false;
        return OK;
    }
    if (size != (ssize_t)sizeof(w) || w.head.version != WIRE_VERSION) {
        for (size_t i = 0; i < count; i++)
            close(fds[i]);
        return error_set(err, ERROR_INTERNAL, "Start Hearth again; its log says what ended the keeper.",
                         "the keeper is gone");
    }
    *event = (struct keeper_event){
        .type = (enum keeper_event_type)w.head.type,
        .id = w.head.id,
        .pid = w.pid,
        .wait_status = w.wait_status,
        .oom_killed = w.oom_killed,
        .was_killed = w.was_killed,
        .entry_refused = w.entry_refused,
        .memory_peak = w.memory_peak,
        .cpu_us = w.cpu_us,
        .api_listener = take(fds, count, w.meters, METER_LISTENER),
        .runtime_listener = take(fds, count, w.meters, METER_RUNTIME_LISTENER),
        .meters = { .memory_peak = take(fds, count, w.meters, METER_PEAK),
                    .memory_now = take(fds, count, w.meters, METER_NOW),
                    .cpu = take(fds, count, w.meters, METER_CPU),
                    .tasks = take(fds, count, w.meters, METER_TASKS),
                    .freeze = take(fds, count, w.meters, METER_FREEZE),
                    .oom = take(fds, count, w.meters, METER_OOM),
                    .cgroup_version = w.cgroup_version },
    };
    memcpy(event->message, w.message, sizeof(event->message));
    event->message[sizeof(event->message) - 1] = '\0';
    *got = true;
    return OK;
}

void keeper_close(struct keeper_link *link, int wait_ms)
{
    fd_drop(&link->fd);
    if (link->pid <= 0)
        return;
    int pidfd = (int)syscall(SYS_pidfd_open, link->pid, 0);
    struct pollfd ended = { pidfd, POLLIN, 0 };
    if (pidfd >= 0)
        poll(&ended, 1, wait_ms);
    waitpid(link->pid, NULL, WNOHANG);
    fd_drop(&pidfd);
    link->pid = 0;
}
