/* keeper: the process. One thread, one epoll: the server's socket, and of each instance a socket to its first process and a pidfd.
 *   1. No message ends the keeper; a wrong one is answered by START_FAILED where it has an id, and dropped.
 *   2. Nothing grows: an instance is a slot, and while an answer cannot be sent no further message is read.
 *   3. A slot, hence its uid, is free only when its processes, cgroup and loop device are gone; EXITED says so.
 *   4. The server's end closed means: kill all, clean, exit. */
#include "keeper/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "keeper/watch.h"

enum slot_state {
    SLOT_FREE,     /* in the free list */
    SLOT_STARTING, /* cloned; no report yet                                     -> RUNNING, KILLED, CLEANING */
    SLOT_RUNNING,  /* STARTED reported                                          -> KILLED, CLEANING */
    SLOT_KILLED,   /* SIGKILL sent, not reaped yet                              -> CLEANING */
    SLOT_CLEANING, /* reaped; cgroup or loop device are still there             -> TELLING */
    SLOT_TELLING,  /* nothing is left of it; EXITED or START_FAILED to be sent  -> FREE */
};

struct slot {
    enum slot_state state;
    uint64_t id;
    pid_t pid;         /* first process */
    int pidfd, report; /* owned; -1 */
    int proc;          /* the sandbox's /proc, where the watch needs it; owned */
    struct scratch_loop loop;
    bool start_failed, started_waits; /* `started_waits`: STARTED is still to be sent, with started_fds */
    bool entry_refused;
    bool runtime_api; /* it has the Runtime API's listener */
    bool was_killed, watch_struck;
    bool end_waits; /* EXITED or START_FAILED is still to be sent */
    bool told;      /* it was sent before all was gone: see slot_clean */
    bool ended;     /* wait_status is the runtime's own */
    int wait_status;
    uint64_t memory_limit, memory_peak, cpu_us;
    uint32_t memory_mb; /* decides its share of CPU */
    bool settled;       /* has that share: the init phase is over */
    bool oom_killed;
    uint64_t clean_since_us;
    int started_fds[METER_COUNT]; /* owned; -1 */
    pid_t runtime_pid;
    char message[256];
};

enum { NO_SLOT = KEEPER_INSTANCES_MAX, EVENTS_AT_ONCE = 64, CLEAN_RETRY_MS = 2, CLEAN_SLOW_MS = 250 };
enum { COMPLAINTS_A_SECOND = 5 };
enum { CLEAN_TELL_US = 2 * 1000 * 1000, CLOSE_US_MAX = 15 * 1000 * 1000 };
enum watched { WATCHED_CONTROL, WATCHED_REPORT, WATCHED_PIDFD };

struct keeper {
    struct parts_of_keeper *parts;
    int control, poll;
    bool closing, blocked;
    uint64_t closing_since_us;
    struct slot *slots;
    unsigned *free_list; /* a ring: the longest unused uid first */
    unsigned free_head, free_count, used_top;
    unsigned waiting; /* slots with something to send */
    unsigned cleaning, busy;
    struct wire_event refusal; /* for a START that got no slot */
    bool refusal_waits;
    uint64_t next_watch_us;
    uint64_t
        complaint_second; /* at most COMPLAINTS_A_SECOND log lines about what the server sends: its log is not ours to fill */
    unsigned complaints;
    struct start_request *request;
    struct start_plan *plan;
    char *packet;
};

static void watch_fd(struct keeper *k, int fd, enum watched what, unsigned slot)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)what << 32 | slot };
    epoll_ctl(k->poll, EPOLL_CTL_ADD, fd, &event);
}

static void unwatch(struct keeper *k, int *fd)
{
    if (*fd >= 0)
        epoll_ctl(k->poll, EPOLL_CTL_DEL, *fd, NULL);
    fd_drop(fd);
}

/* ---- sending ---- */

/* False when the server does not read: then we wait for it, and read nothing ourselves. */
static bool send_event(struct keeper *k, const struct wire_event *event, const int *fds, size_t fd_count)
{
    if (wire_send(k->control, event, sizeof(*event), NULL, 0, fds, fd_count) >= 0)
        return true;
    k->blocked =
        errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS;
    return !k->blocked; /* else the server is gone: the loop sees its end */
}

static bool send_started(struct keeper *k, struct slot *s)
{
    struct wire_event event = { .head = { KEEPER_STARTED, WIRE_VERSION, s->id },
                                .cgroup_version = k->parts->cgroups.version,
                                .pid = s->runtime_pid };
    int fds[METER_COUNT];
    size_t n = 0;
    for (int i = 0; i < METER_COUNT; i++)
        if (s->started_fds[i] >= 0) {
            event.meters |= 1u << i;
            fds[n++] = s->started_fds[i];
        }
    if (!send_event(k, &event, fds, n))
        return false;
    for (int i = 0; i < METER_COUNT; i++)
        fd_drop(&s->started_fds[i]);
    s->started_waits = false;
    return true;
}

static bool send_end(struct keeper *k, struct slot *s)
{
    struct wire_event event = { .head = { s->start_failed ? KEEPER_START_FAILED : KEEPER_EXITED, WIRE_VERSION,
                                          s->id },
                                .wait_status = s->wait_status,
                                .oom_killed = s->oom_killed,
                                .was_killed = s->was_killed,
                                .entry_refused = s->entry_refused,
                                .memory_peak = s->memory_peak,
                                .cpu_us = s->cpu_us };
    snprintf(event.message, sizeof(event.message), "%s", s->message);
    return send_event(k, &event, NULL, 0);
}

static void slot_release(struct keeper *k, unsigned number)
{
    struct slot *s = &k->slots[number];
    s->state = SLOT_FREE;
    k->free_list[(k->free_head + k->free_count++) % KEEPER_INSTANCES_MAX] = number;
    k->busy--;
}

static void flush(struct keeper *k)
{
    k->blocked = false;
    if (k->refusal_waits)
        k->refusal_waits = !send_event(k, &k->refusal, NULL, 0);
    for (unsigned i = 0; i < k->used_top && k->waiting > 0 && !k->blocked; i++) {
        struct slot *s = &k->slots[i];
        if (s->started_waits && (k->closing || send_started(k, s)))
            k->waiting--;
        if (s->end_waits && !s->started_waits && !k->blocked && (k->closing || send_end(k, s))) {
            s->end_waits = false;
            k->waiting--;
            if (s->state == SLOT_TELLING)
                slot_release(k, i);
        }
    }
    struct epoll_event event = { .events = k->blocked ? EPOLLOUT : EPOLLIN,
                                 .data.u64 = (uint64_t)WATCHED_CONTROL << 32 };
    if (!k->closing)
        epoll_ctl(k->poll, EPOLL_CTL_MOD, k->control, &event);
}

/* ---- ending ---- */

static void slot_kill(struct keeper *k, unsigned number)
{
    struct slot *s = &k->slots[number];
    if (s->state != SLOT_STARTING && s->state != SLOT_RUNNING)
        return;
    s->state = SLOT_KILLED;
    /* Its first process is init of the pid namespace: the kernel kills all others with it. A frozen one of version 1 only once thawed,
     * so the signal is pending when it thaws, and it runs not one instruction more. */
    if (k->parts->bare) /* there it ends the function's processes itself, when it sees our end close */
        unwatch(k, &s->report);
    else
        syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
    cgroup_thaw_and_kill(&k->parts->cgroups, number);
}

static void last_figures(struct keeper *k, unsigned number, struct slot *s, const struct rusage *usage)
{
    s->cpu_us = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
                (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
    s->oom_killed = s->watch_struck;
    if (k->parts->cgroups.version == 0)
        return;
    struct keeper_meters meters;
    cgroup_open_meters(&k->parts->cgroups, number, &meters);
    uint64_t peak = keeper_meter_memory_peak(&meters), cpu = keeper_meter_cpu_us(&meters);
    s->memory_peak = peak > 0 ? peak : s->memory_peak;
    s->cpu_us = cpu > 0 ? cpu : s->cpu_us;
    s->oom_killed = s->oom_killed || cgroup_oom_kills(&meters) > 0;
    keeper_meters_drop(&meters);
}

static void slot_reaped(struct keeper *k, unsigned number)
{
    struct slot *s = &k->slots[number];
    struct rusage usage = { .ru_maxrss = 0 };
    int status;
    if (wait4(s->pid, &status, WNOHANG, &usage) != s->pid)
        return;
    if (s->state == SLOT_STARTING) {
        s->start_failed = true;
        if (*s->message == '\0')
            snprintf(s->message, sizeof(s->message), "the sandbox's first process ended with status 0x%x",
                     (unsigned)status);
    }
    if (s->start_failed == false && !s->ended)
        s->wait_status = SIGKILL; /* as waitpid says it: ended by signal 9 */
    last_figures(k, number, s, &usage);
    unwatch(k, &s->pidfd);
    unwatch(k, &s->report);
    fd_drop(&s->proc);
    s->state = SLOT_CLEANING;
    s->clean_since_us = clock_mono_us();
    k->cleaning++;
}

static void slot_clean(struct keeper *k, unsigned number)
{
    struct slot *s = &k->slots[number];
    if (cgroup_remove(&k->parts->cgroups, number) && scratch_loop_free(&s->loop)) {
        k->cleaning--;
        s->state = SLOT_TELLING;
        if (s->told && !s->end_waits) {
            slot_release(k, number);
        } else if (!s->told) {
            s->end_waits = true;
            k->waiting++;
        }
        return;
    }
    /* A function can send a descriptor of its /tmp into its channel: as long as the server neither reads nor closes that, the image stays.
     * Then the server must hear of the end to close it; the place, and the uid, stay taken all the same. */
    if (!s->told && clock_mono_us() - s->clean_since_us > CLEAN_TELL_US) {
        log_warn("keeper", "what is left of instance %llu cannot be removed yet; its place stays taken",
                 (unsigned long long)s->id);
        s->told = s->end_waits = true;
        k->waiting++;
    }
}

/* ---- starting ---- */

static bool may_complain(struct keeper *k)
{
    uint64_t second = clock_mono_us() / 1000000;
    if (second != k->complaint_second)
        k->complaints = 0;
    k->complaint_second = second;
    return k->complaints++ < COMPLAINTS_A_SECOND;
}

static void refuse(struct keeper *k, uint64_t id, const struct error *err)
{
    k->refusal = (struct wire_event){ .head = { KEEPER_START_FAILED, WIRE_VERSION, id } };
    snprintf(k->refusal.message, sizeof(k->refusal.message), "%.250s", err->message);
    k->refusal_waits = true;
}

static bool id_in_use(const struct keeper *k, uint64_t id, unsigned *number)
{
    for (unsigned i = 0; i < k->used_top; i++)
        if (k->slots[i].state != SLOT_FREE && k->slots[i].id == id) {
            *number = i;
            return true;
        }
    return false;
}

static enum outcome spawn(struct keeper *k, unsigned number, struct error *err)
{
    struct slot *s = &k->slots[number];
    int pair[2];
    TRY(start_plan_make(k->parts, k->request, number, k->plan, err));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_sys(err, errno, "Raise the limit of open files.", "could not make a socket for a sandbox");
    AUTO(fd)
    int ours = pair[0];
    AUTO(fd)
    int theirs = pair[1];
    TRY(cgroup_make(&k->parts->cgroups, number, &k->plan->limits, err));
    k->plan->plan.report = theirs;
    if (sandbox_spawn(&k->plan->plan, &s->pid, &s->pidfd, err) != OK) {
        cgroup_remove(&k->parts->cgroups, number);
        return FAILED;
    }
    s->report = fd_take(&ours);
    s->runtime_api = k->plan->plan.runtime_api;
    s->memory_limit = k->plan->limits.memory_bytes;
    s->memory_mb = k->plan->limits.memory_mb;
    watch_fd(k, s->report, WATCHED_REPORT, number);
    watch_fd(k, s->pidfd, WATCHED_PIDFD, number);
    return OK;
}

static void on_start(struct keeper *k, uint64_t id, size_t len, int *fds, size_t fd_count)
{
    struct error err;
    unsigned number;
    if (start_check(k->packet, len, fds, fd_count, k->request, &err) != OK) {
        if (may_complain(k))
            log_error("keeper", &err, "refused a message");
        refuse(k, id, &err);
        return;
    }
    enum outcome outcome = OK;
    if (id_in_use(k, id, &number))
        outcome = error_set(&err, ERROR_INVALID, "Use each id once.", "instance %llu is there already",
                            (unsigned long long)id);
    else if (k->free_count == 0)
        outcome = error_set(&err, ERROR_UNAVAILABLE, "Retry.", "all %d places for instances are in use",
                            (int)KEEPER_INSTANCES_MAX);
    if (outcome == OK) {
        number = k->free_list[k->free_head];
        struct slot *s = &k->slots[number];
        *s = (struct slot){
            .state = SLOT_FREE, .id = id, .pidfd = -1, .report = -1, .proc = -1, .loop = SCRATCH_LOOP_NONE
        };
        for (int i = 0; i < METER_COUNT; i++)
            s->started_fds[i] = -1;
        outcome = spawn(k, number, &err);
        if (outcome == OK) {
            s->state = SLOT_STARTING;
            k->free_head = (k->free_head + 1) % KEEPER_INSTANCES_MAX;
            k->free_count--;
            k->busy++;
            k->used_top = number >= k->used_top ? number + 1 : k->used_top;
        }
    }
    start_request_done(k->request);
    if (outcome != OK) {
        if (may_complain(k))
            log_error("keeper", &err, "could not start an instance");
        refuse(k, id, &err);
    }
}

/* The runtime's pid as the host numbers it, out of the pidfd's own description. */
static pid_t host_pid(int pidfd)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    AUTO(fd)
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    text[got > 0 ? got : 0] = '\0';
    const char *line = strstr(text, "\nPid:");
    return line != NULL ? (pid_t)strtol(line + 5, NULL, 10) : 0;
}

static void on_started(struct keeper *k, unsigned number, int *fds)
{
    struct slot *s = &k->slots[number];
    struct keeper_meters m;
    cgroup_open_meters(&k->parts->cgroups, number, &m);
    int listener = k->parts->bare ? -1 : fds[1];
    int runtime_listener =
        !s->runtime_api ? -1 : fds[k->parts->bare ? REPORT_DESCRIPTORS_BARE : REPORT_DESCRIPTORS];
    s->runtime_pid = host_pid(fds[0]);
    close(fds[0]);
    if (!k->parts->bare && k->parts->cgroups.controllers & CG_MEMORY)
        close(fds[2]);
    else if (!k->parts->bare)
        s->proc = fds[2];
    const int all[METER_COUNT] = { m.memory_peak, m.memory_now, m.cpu,    m.tasks,
                                   m.freeze,      m.oom,        listener, runtime_listener };
    memcpy(s->started_fds, all, sizeof(all));
    s->state = SLOT_RUNNING;
    s->started_waits = true;
    k->waiting++;
}

static void on_report(struct keeper *k, unsigned number)
{
    struct slot *s = &k->slots[number];
    if (s->report < 0)
        return;
    struct sandbox_report report;
    int fds[REPORT_DESCRIPTORS_MAX];
    size_t fd_count = 0;
    ssize_t got = wire_recv(s->report, &report, sizeof(report), fds, REPORT_DESCRIPTORS_MAX, &fd_count);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    bool whole = got == (ssize_t)sizeof(report);
    if (whole && report.type == REPORT_STARTED && s->state == SLOT_STARTING &&
        fd_count == (size_t)(k->parts->bare ? REPORT_DESCRIPTORS_BARE : REPORT_DESCRIPTORS) + s->runtime_api) {
        s->loop = report.loop;
        on_started(k, number, fds);
        return;
    }
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
    if (whole && report.type == REPORT_ENDED) {
        s->ended = true;
        s->wait_status = report.wait_status;
        return;
    }
    if (whole && report.type == REPORT_FAILED) {
        s->start_failed = true;
        s->entry_refused = report.entry_refused != 0;
        s->loop = report.loop;
        snprintf(s->message, sizeof(s->message), "%.*s", (int)sizeof(report.message) - 1, report.message);
        return;
    }
    /* Its end, or nonsense: either way it is over. */
    if (s->state == SLOT_STARTING)
        s->start_failed = true;
    unwatch(k, &s->report);
    slot_kill(k, number);
}

/* ---- messages ---- */

/* Once: a server that was taken over cannot have it back. */
static void end_init(struct keeper *k, unsigned number)
{
    struct slot *s = &k->slots[number];
    struct error err;
    if (s->settled || (s->state != SLOT_STARTING && s->state != SLOT_RUNNING))
        return;
    s->settled = true;
    if (cgroup_settle(&k->parts->cgroups, number, s->memory_mb, &err) != OK && may_complain(k))
        log_warn("keeper", "instance %llu keeps its CPU share of the init phase: %s", (unsigned long long)s->id,
                 err.message);
}

static void on_control(struct keeper *k)
{
    int fds[WIRE_START_DESCRIPTORS];
    size_t fd_count = 0;
    ssize_t got = wire_recv(k->control, k->packet, WIRE_BYTES_MAX, fds, WIRE_START_DESCRIPTORS, &fd_count);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EBADMSG || errno == ENOMEM ||
                    errno == ENOBUFS || errno == EMFILE))
        return;
    if (got <= 0) {
        k->closing = true;
        k->closing_since_us = clock_mono_us();
        unwatch(k, &k->control);
        for (unsigned i = 0; i < k->used_top; i++)
            slot_kill(k, i);
        return;
    }
    struct wire_head head = { .type = 0 };
    if ((size_t)got >= sizeof(head))
        memcpy(&head, k->packet, sizeof(head));
    if (head.type == WIRE_START && head.version == WIRE_VERSION) {
        on_start(k, head.id, (size_t)got, fds, fd_count);
        return;
    }
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
    unsigned number;
    if (head.type == WIRE_KILL && head.version == WIRE_VERSION && (size_t)got == sizeof(head)) {
        if (id_in_use(k, head.id, &number) && k->slots[number].state < SLOT_KILLED) {
            k->slots[number].was_killed = true;
            slot_kill(k, number);
        }
    } else if (head.type == WIRE_READY && head.version == WIRE_VERSION && (size_t)got == sizeof(head)) {
        if (id_in_use(k, head.id, &number))
            end_init(k, number);
    } else if ((head.type == WIRE_STOP || head.type == WIRE_CONTINUE) && head.version == WIRE_VERSION &&
               (size_t)got == sizeof(head)) {
        char word = head.type == WIRE_STOP ? SANDBOX_STOP : SANDBOX_CONTINUE;
        if (id_in_use(k, head.id, &number) && k->slots[number].state == SLOT_RUNNING && !k->parts->bare)
            (void)!send(k->slots[number].report, &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (may_complain(k)) {
        log_warn("keeper", "dropped a message of %zd bytes that is none", got);
    }
}

static void watch_all(struct keeper *k)
{
    if (k->parts->cgroups.controllers & CG_MEMORY || clock_mono_us() < k->next_watch_us)
        return;
    for (unsigned i = 0; i < k->used_top; i++) {
        struct slot *s = &k->slots[i];
        struct watch_figures figures;
        if (s->state != SLOT_RUNNING || s->proc < 0 || !watch_read(s->proc, &figures))
            continue;
        if (figures.resident_bytes > s->memory_peak)
            s->memory_peak = figures.resident_bytes;
        if (figures.resident_bytes > s->memory_limit) {
            s->watch_struck = true;
            slot_kill(k, i);
        }
    }
    k->next_watch_us = clock_mono_us() + WATCH_INTERVAL_MS * 1000;
}

static int next_wait_ms(const struct keeper *k)
{
    if (k->cleaning > 0) /* a slot that cannot be cleaned for long must not keep us busy */
        for (unsigned i = 0; i < k->used_top; i++)
            if (k->slots[i].state == SLOT_CLEANING)
                return k->slots[i].told ? CLEAN_SLOW_MS : CLEAN_RETRY_MS;
    if (k->closing)
        return CLEAN_SLOW_MS;
    bool watching = !(k->parts->cgroups.controllers & CG_MEMORY) && k->busy > 0;
    return watching ? WATCH_INTERVAL_MS : -1;
}

static void turn(struct keeper *k)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int n = epoll_wait(k->poll, events, EVENTS_AT_ONCE, next_wait_ms(k));
    for (int i = 0; i < n; i++) {
        enum watched what = (enum watched)(events[i].data.u64 >> 32);
        unsigned number = (unsigned)(events[i].data.u64 & 0xffffffff);
        if (what == WATCHED_CONTROL && !k->blocked && k->control >= 0)
            on_control(k);
        else if (what == WATCHED_REPORT)
            on_report(k, number);
        else if (what == WATCHED_PIDFD && k->slots[number].pidfd >= 0) {
            on_report(k, number); /* its last words, before it is forgotten */
            on_report(k, number);
            slot_reaped(k, number);
        }
    }
    for (unsigned i = 0; i < k->used_top && k->cleaning > 0; i++)
        if (k->slots[i].state == SLOT_CLEANING)
            slot_clean(k, i);
    watch_all(k);
    if (k->waiting > 0 || k->refusal_waits || k->blocked)
        flush(k);
}

static void settle(struct keeper *k)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    /* Ctrl-C reaches everybody of a terminal: the server decides when it is over. */
    const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2 };
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    struct rlimit files = { 4 * KEEPER_INSTANCES_MAX, 4 * KEEPER_INSTANCES_MAX };
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct error err;
    if (k->parts->config.privileged && confine_keeper(&err) != OK) {
        log_error("keeper", &err, "could not give up rights");
        _exit(1);
    }
}

static void keep_own_descriptors(struct keeper *k)
{
    int keep[4 + SCRATCH_TEMPLATES_MAX + 2 * CGROUP_TREES_MAX];
    size_t n = 0;
    keep[n++] = k->control;
    keep[n++] = k->parts->scratch.dir;
    for (int i = 0; i < SCRATCH_TEMPLATES_MAX; i++)
        keep[n++] = k->parts->scratch.templates[i].fd;
    for (size_t i = 0; i < k->parts->cgroups.count; i++) {
        keep[n++] = k->parts->cgroups.tree[i].dir;
        keep[n++] = k->parts->cgroups.tree[i].above;
    }
    if (fchdir(k->parts->code_dir) <
        0) /* see sandbox.h: a working directory follows into a new mount namespace, a descriptor does not */
        _exit(1);
    k->parts->code_dir = -1;
    descriptors_keep(keep, n, 3);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(null, 1);
    fd_drop(&null);
}

_Noreturn void keeper_run(struct parts_of_keeper *parts, int control)
{
    struct keeper k = { .parts = parts, .control = control };
    keep_own_descriptors(&k);
    settle(&k);
    k.poll = epoll_create1(EPOLL_CLOEXEC);
    k.slots = memory_new_array(KEEPER_INSTANCES_MAX, sizeof(struct slot));
    k.free_list = memory_new_array(KEEPER_INSTANCES_MAX, sizeof(unsigned));
    k.request = memory_new(sizeof(*k.request));
    k.plan = memory_new(sizeof(*k.plan));
    k.packet = memory_new(WIRE_BYTES_MAX);
    for (unsigned i = 0; i < KEEPER_INSTANCES_MAX; i++)
        k.free_list[i] = i;
    k.free_count = KEEPER_INSTANCES_MAX;
    watch_fd(&k, control, WATCHED_CONTROL, 0);
    while (!(k.closing && (k.busy == 0 || clock_mono_us() - k.closing_since_us > CLOSE_US_MAX)))
        turn(&k);
    cgroup_trees_remove(&parts->cgroups);
    _exit(k.busy == 0 ? 0 : 1);
}
