/* sandbox: from the keeper's clone to the runtime's exec. Three processes play:
 *   keeper ---- clone3 with all namespaces ----> first process ---- clone3 ----> runtime
 *   1. The runtime process is cloned at once and joins its cgroups (on version 1 that waits some 10 ms for an RCU grace period), while the
 *      first process builds the root; then it is told to go on, gives up its rights and becomes the runtime by exec.
 *   2. The first process is in no cgroup of the instance: neither a freeze nor an out-of-memory kill stops it. It holds a socket to the
 *      keeper; at its end (the keeper died, or says so) it thaws and exits, and the kernel kills all that is in its pid namespace.
 *   3. What runs here until confine_drop is trusted code on trusted input: nothing that the function wrote is looked at.
 * No process but the runtime ever becomes dumpable again; the exec makes the runtime so, and /proc/self/fd works for it. */
#include "keeper/sandbox.h"

#include "keeper/bare.h"
#include "keeper/entry.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

static const char hint[] = "Run \"hearth doctor\".";
enum { FIRST_LOW_DESCRIPTOR = 10, LISTENER_BACKLOG = 128 };
enum {
    WORDS_BROKEN = '-',
    WORDS_REFUSED = 'e'
}; /* the first byte of what the runtime's process says when it cannot exec */

struct first {
    struct sandbox_plan plan; /* own copy: its descriptors move */
    pid_t runtime;
    int runtime_pidfd;
    int go;     /* write end: tells the runtime process that the root is built */
    int failed; /* read end: its words when it cannot exec; its end when it could */
    int thaw, proc, listener, runtime_listener, signals;
    bool entry_refused;
    struct scratch_loop loop;
};

static pid_t clone_process(uint64_t flags, int *pidfd, int cgroup)
{
    struct clone_args args = { .flags = flags | CLONE_PIDFD,
                               .pidfd = (uint64_t)(uintptr_t)pidfd,
                               .exit_signal = SIGCHLD };
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)cgroup;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* ---- descriptors ---- */

static void lift(int *fd)
{
    if (*fd < 0)
        return;
    int high = fcntl(*fd, F_DUPFD_CLOEXEC, FIRST_LOW_DESCRIPTOR);
    *fd = high;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

void descriptors_keep(int *keep, size_t count, unsigned from)
{
    qsort(keep, count, sizeof(keep[0]), by_number);
    for (size_t i = 0; i < count; i++) {
        if (keep[i] < 0 || (unsigned)keep[i] < from)
            continue;
        if ((unsigned)keep[i] > from)
            close_range(from, (unsigned)keep[i] - 1, 0);
        from = (unsigned)keep[i] + 1;
    }
    close_range(from, ~0U, 0);
}

/* What came with the fork and is not in the plan is the keeper's business (other instances' sockets above all). */
static void close_others(struct sandbox_plan *p, struct cgroup_trees *trees)
{
    int keep[8 + CGROUP_TREES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < trees->count; i++) {
        lift(&trees->tree[i].dir);
        keep[n++] = trees->tree[i].dir;
    }
    int *mine[] = { &p->channel, &p->out, &p->err, &p->report, &p->scratch_dir, &p->template_fd };
    for (size_t i = 0; i < sizeof(mine) / sizeof(mine[0]); i++) {
        lift(mine[i]);
        keep[n++] = *mine[i];
    }
    descriptors_keep(keep, n, 3);
}

static void reset_signals(void)
{
    struct sigaction standard = { .sa_handler = SIG_DFL };
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---- the runtime process ---- */

static enum outcome drop_rights(const struct sandbox_plan *p, struct error *err)
{
    return p->bare && p->own_users ? confine_bare(err) : confine_drop(p->uid, p->gid, p->own_users, err);
}

static enum outcome become_runtime(const struct sandbox_plan *p, int failed, bool *entry_refused, struct error *err)
{
    AUTO(fd)
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(p->out, 1) < 0 || dup2(p->err, 2) < 0 ||
        (!p->runtime_api && dup2(p->channel, 3) < 0))
        return error_set_sys(err, errno, hint, "could not arrange the function's descriptors");
    /* Closed now, not with the exec: what it executes may be named /proc/self/fd/7/../.., and some are directories of the host. */
    fd_drop(&null);
    descriptors_keep(&failed, 1, p->runtime_api ? 3 : 4);
    char **argv = NULL, **envp = NULL;
    const char *wrapper = p->wrapper;
    if (p->bare)
        TRY(bare_enter(p, &argv, &envp, &wrapper, err));
    else if (chdir("/var/task") < 0)
        return error_set_sys(err, errno, "Make the package's folders readable for everybody, as AWS Lambda asks.",
                             "could not enter /var/task");
    umask(022);
    setsid();
    TRY(confine_limits(&p->limits, err));
    TRY(drop_rights(p, err));
    TRY(p->bare ? bare_check(err) : OK);
    /* In this order: of two that refuse a call, the one loaded last says with which error. */
    TRY(filter_load(&p->filters->allow, err));
    TRY(filter_load(&p->filters->refuse, err));
    /* From here the environment counts (LD_PRELOAD, LD_LIBRARY_PATH): only this exec sees it, with every right already gone. */
    if (!p->bare) {
        argv = (char **)(uintptr_t)p->argv;
        envp = (char **)(uintptr_t)p->envp;
    }
    if (p->runtime_api)
        return entry_bootstrap(argv, envp, entry_refused, err);
    if (*wrapper)
        entry_wrapper(wrapper, argv, envp);
    execve(argv[0], argv, envp);
    return error_set_sys(err, errno, "Check that the runtime is installed: \"hearth doctor\".",
                         "could not start \"%s\"", p->argv[0]);
}

static _Noreturn void runtime_process(const struct sandbox_plan *p, int go, int failed)
{
    struct error err = { .kind = ERROR_NONE };
    char byte;
    bool entry_refused = false;
    enum outcome outcome = cgroup_join(p->cgroups, p->slot, &err);
    if (outcome == OK && read(go, &byte, 1) != 1)
        _exit(1); /* the first process failed, and says so itself */
    unshare(
        CLONE_NEWCGROUP); /* so that /proc/self/cgroup says "/", not where on the host; no matter where the kernel has none */
    if (outcome == OK)
        outcome = become_runtime(p, failed, &entry_refused, &err);
    (void)outcome;
    /* One write: our rights are gone, and what reads it goes on at once. */
    char words[1 + sizeof(err.message)];
    words[0] = entry_refused ? WORDS_REFUSED : WORDS_BROKEN;
    memcpy(words + 1, err.message, sizeof(err.message));
    (void)!write(failed, words, 1 + strlen(err.message));
    _exit(1);
}

static enum outcome clone_runtime(struct first *f, struct error *err)
{
    int go[2], failed[2];
    if (pipe2(go, O_CLOEXEC) < 0)
        return error_set_sys(err, errno, hint, "could not make a pipe");
    if (pipe2(failed, O_CLOEXEC) < 0) {
        close(go[0]);
        close(go[1]);
        return error_set_sys(err, errno, hint, "could not make a pipe");
    }
    AUTO(fd)
    int cgroup = f->plan.trial ? -1 : cgroup_open_dir(f->plan.cgroups, f->plan.slot);
    f->runtime = clone_process(0, &f->runtime_pidfd, cgroup);
    if (f->runtime == 0) {
        close(go[1]);
        close(f->plan.report);
        runtime_process(&f->plan, go[0], failed[1]);
    }
    close(go[0]);
    close(failed[1]);
    f->go = go[1];
    f->failed = failed[0];
    if (f->runtime < 0)
        return error_set_sys(err, errno, hint, "could not clone the runtime's process");
    return OK;
}

/* ---- the first process ---- */

static enum outcome write_proc(const char *path, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static enum outcome write_proc(const char *path, struct error *err, const char *format, ...)
{
    char text[64];
    va_list list;
    va_start(list, format);
    int len = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    AUTO(fd)
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)len) != len)
        return error_set_sys(err, errno, "Allow user namespaces: \"hearth doctor\" tells how.",
                             "could not write \"%s\" to %s", text, path);
    return OK;
}

/* One uid and gid of ours inside, nothing else. setgroups first: the kernel asks for that before it takes a gid map. */
static enum outcome map_users(const struct sandbox_plan *p, uid_t uid, gid_t gid, struct error *err)
{
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* or /proc/self belongs to root */
    enum outcome outcome = write_proc("/proc/self/setgroups", err, "deny");
    if (outcome == OK)
        outcome = write_proc("/proc/self/uid_map", err, "%u %u 1", p->uid, uid);
    if (outcome == OK)
        outcome = write_proc("/proc/self/gid_map", err, "%u %u 1", p->gid, gid);
    return outcome;
}

static enum outcome raise_loopback(struct error *err)
{
    AUTO(fd)
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct ifreq lo = { .ifr_name = "lo" };
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &lo) < 0)
        return error_set_sys(err, errno, hint, "could not read the sandbox's loopback interface");
    lo.ifr_flags |= IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
        return error_set_sys(err, errno, hint, "could not raise the sandbox's loopback interface");
    return OK;
}

/* port 0: any that is free; *port_out says which. */
static enum outcome open_listener(unsigned port, int *listener, unsigned *port_out, struct error *err)
{
    AUTO(fd)
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, LISTENER_BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return error_set_sys(err, errno, hint, "could not listen on 127.0.0.1:%u for the sandbox", port);
    *port_out = ntohs(at.sin_port);
    *listener = fd_take(&fd);
    return OK;
}

static enum outcome open_network(struct first *f, struct error *err)
{
    unsigned port;
    TRY(raise_loopback(err));
    TRY(open_listener(KEEPER_API_PORT, &f->listener, &port, err));
    return f->plan.runtime_api ? open_listener(KEEPER_RUNTIME_API_PORT, &f->runtime_listener, &port, err) : OK;
}

/* Waits for the exec: the pipe ends without a word when it has happened. */
static enum outcome start_runtime(struct first *f, struct error *err)
{
    if (write(f->go, "g", 1) != 1)
        return error_set_sys(err, errno, hint, "the runtime's process ended early");
    fd_drop(&f->go);
    char words[1 + 256];
    ssize_t got;
    do
        got = read(f->failed, words, sizeof(words) - 1);
    while (got < 0 && errno == EINTR);
    if (got != 0) {
        words[got > 0 ? got : 0] = '\0';
        f->entry_refused = got > 0 && words[0] == WORDS_REFUSED;
        return error_set(err, ERROR_INTERNAL, hint, "%s", got > 1 ? words + 1 : "the runtime's process is gone");
    }
    fd_drop(&f->failed);
    return OK;
}

static enum outcome build(struct first *f, uid_t outer_uid, gid_t outer_gid, struct error *err)
{
    struct sandbox_plan *p = &f->plan;
    if (p->own_users && !p->bare)
        TRY(map_users(p, outer_uid, outer_gid, err));
    AUTO(fd)
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) /* when the whole machine is short of memory functions go first, the server last */
        (void)!dprintf(score, "%d", (int)SANDBOX_OOM_SCORE);
    fd_drop(&score);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NAME, "sandbox", 0, 0, 0);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (p->bare && p->runtime_api) /* before the clone: its environment must say where */
        TRY(open_listener(0, &f->runtime_listener, &p->runtime_port, err));
    TRY(p->trial ? OK : clone_runtime(f, err));
    sigprocmask(SIG_BLOCK, &child, NULL);
    if ((f->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return error_set_sys(err, errno, hint, "could not watch for ended processes");
    if (p->bare) {
        bare_adopt();
        return start_runtime(f, err);
    }
    if (sethostname("sandbox", 7) < 0)
        return error_set_sys(err, errno, hint, "could not name the sandbox");
    TRY(open_network(f, err));
    TRY(root_build(p, &f->proc, &f->loop, err));
    if (p->trial)
        return OK;
    f->thaw = cgroup_open_thaw(p->cgroups, p->slot);
    return start_runtime(f, err);
}

static void tell(const struct first *f, enum report_type type, int wait_status, const char *message, const int *fds,
                 size_t fd_count)
{
    struct sandbox_report report = {
        .type = type, .wait_status = wait_status, .entry_refused = f->entry_refused, .loop = f->loop
    };
    if (message != NULL)
        snprintf(report.message, sizeof(report.message), "%s", message);
    (void)!wire_send(f->plan.report, &report, sizeof(report), NULL, 0, fds, fd_count);
}

/* True once the runtime process itself is gone. Orphans of the function are reaped on the way. */
static bool reap(const struct first *f, int *status)
{
    struct signalfd_siginfo ignored;
    while (read(f->signals, &ignored, sizeof(ignored)) > 0)
        ;
    int one;
    for (pid_t pid; (pid = waitpid(-1, &one, WNOHANG)) > 0;)
        if (pid == f->runtime) {
            *status = one;
            return true;
        }
    return false;
}

/* Where no cgroup freezes: one word of the keeper stops all processes of the sandbox but us, another lets them go on.
 * kill(-1) reaches our pid namespace and nothing else; without one (bare) it would reach everybody. */
static bool obey(const struct first *f)
{
    char word = 0;
    ssize_t got = read(f->plan.report, &word, 1);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got != 1 || f->plan.bare || (word != SANDBOX_STOP && word != SANDBOX_CONTINUE))
        return false;
    kill(-1, word == SANDBOX_STOP ? SIGSTOP : SIGCONT);
    return true;
}

static void stay(const struct first *f)
{
    struct pollfd polls[2] = { { f->plan.report, POLLIN, 0 }, { f->signals, POLLIN, 0 } };
    int status;
    if (reap(f, &status)) {
        tell(f, REPORT_ENDED, status, NULL, NULL, 0);
        return;
    }
    for (;;) {
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            return;
        if (polls[1].revents && reap(f, &status)) {
            tell(f, REPORT_ENDED, status, NULL, NULL, 0);
            return;
        }
        if (polls[0].revents && !obey(f)) /* the keeper is gone, or has closed */
            return;
    }
}

static _Noreturn void first_process(const struct sandbox_plan *plan, uid_t outer_uid, gid_t outer_gid)
{
    reset_signals();
    umask(
        022); /* the unit's is 077: directories of the root made with that would keep the instance's own uid out */
    struct first f = { .plan = *plan,
                       .runtime = -1,
                       .runtime_pidfd = -1,
                       .go = -1,
                       .failed = -1,
                       .thaw = -1,
                       .proc = -1,
                       .listener = -1,
                       .runtime_listener = -1,
                       .signals = -1,
                       .loop = SCRATCH_LOOP_NONE };
    struct cgroup_trees trees = *plan->cgroups;
    f.plan.cgroups = &trees;
    close_others(&f.plan, &trees);
    struct error err;
    if (build(&f, outer_uid, outer_gid, &err) != OK) {
        tell(&f, REPORT_FAILED, 0, err.message, NULL, 0);
        _exit(1);
    }
    if (f.plan.trial)
        _exit(0);
    int fds[REPORT_DESCRIPTORS_MAX] = { f.runtime_pidfd, f.listener, f.proc, -1 };
    size_t count = f.plan.bare ? REPORT_DESCRIPTORS_BARE : REPORT_DESCRIPTORS;
    if (f.plan.runtime_api)
        fds[count++] = f.runtime_listener;
    tell(&f, REPORT_STARTED, 0, NULL, fds, count);
    /* Keep nothing that is not needed: the socket to the keeper, the signals, the thaw. Then give up what rights are left. */
    int keep[] = { f.plan.report, f.signals, f.thaw };
    descriptors_keep(keep, 3, 0);
    if (drop_rights(plan, &err) == OK && (plan->bare || filter_load(&plan->filters->first, &err) == OK))
        stay(&f);
    if (f.thaw >= 0) { /* version 1: a frozen process cannot even be killed */
        const char *text = trees.version == 2 ? "0" : "THAWED";
        (void)!write(f.thaw, text, strlen(text));
    }
    if (plan->bare) /* no pid namespace ends with us */
        bare_end_all();
    _exit(0);
}

enum outcome sandbox_spawn(const struct sandbox_plan *plan, pid_t *pid, int *pidfd, struct error *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    uint64_t flags = plan->bare ? 0
                                : CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                                      (plan->own_users ? CLONE_NEWUSER : 0);
    pid_t child = clone_process(flags, pidfd, -1);
    if (child == 0)
        first_process(plan, uid, gid);
    if (child < 0)
        return error_set_sys(err, errno,
                             plan->own_users
                                 ? "Allow user namespaces for ordinary users: \"hearth doctor\" tells how."
                                 : "Run as root with the right to make namespaces: \"hearth doctor\".",
                             "could not clone into new namespaces");
    *pid = child;
    return OK;
}
