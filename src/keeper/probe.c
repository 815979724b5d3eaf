/* probe: what can be had on this machine, by trying it. */
#include "keeper/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/memory.h"

static const char hint[] = "Run \"hearth doctor\".";
enum { LOCK_WAIT_MS = 20 * 1000, LOCK_PAUSE_MS = 10 };

/* Builds a whole sandbox without code in it, and ends it. */
static enum outcome try_sandbox(struct parts_of_keeper *parts, struct error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_sys(err, errno, hint, "could not make a socket");
    AUTO(fd)
    int ours = pair[0];
    AUTO(fd)
    int theirs = pair[1];
    struct sandbox_plan plan = {
        .own_users = !parts->config.privileged,
        .trial = true,
        .uid = SANDBOX_USER_INSIDE,
        .gid = SANDBOX_GROUP_INSIDE,
        .digest = "",
        .share_dir = "",
        .family = "",
        .runtime_dir = "",
        .lang = "",
        .sdk_dir = "",
        .sdk = "",
        .tmp_mb = KEEPER_TMP_MB_MIN,
        .scratch_dir = -1,
        .template_fd = -1,
        .cgroups = &parts->cgroups,
        .filters = &parts->filters,
        .kept = &parts->kept,
        .channel = -1,
        .out = -1,
        .err = -1,
        .report = theirs,
    };
    pid_t pid;
    AUTO(fd)
    int pidfd = -1;
    TRY(sandbox_spawn(&plan, &pid, &pidfd, err));
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status == 0)
        return OK;
    struct sandbox_report report = { .type = 0 };
    size_t fd_count;
    int fds[REPORT_DESCRIPTORS_MAX];
    ssize_t got = wire_recv(ours, &report, sizeof(report), fds, REPORT_DESCRIPTORS_MAX, &fd_count);
    report.message[sizeof(report.message) - 1] = '\0';
    return error_set(err, ERROR_UNSUPPORTED, hint, "a trial sandbox failed: %s",
                     got > 0 ? report.message : "its first process died");
}

static void add(struct keeper_report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct keeper_report *r, const char *format, ...)
{
    size_t len = strlen(r->line);
    va_list list;
    va_start(list, format);
    vsnprintf(r->line + len, sizeof(r->line) - len, format, list);
    va_end(list);
}

static void write_line(struct keeper_report *r)
{
    if (!r->sandbox) {
        add(r, "NO SANDBOX: functions run with %s and see what it sees",
            r->own_uids ? "a uid each" : "the rights of this user");
        return;
    }
    add(r, "sandbox: pid, mount, net, ipc, uts%s namespaces", r->user_namespace ? ", user" : "");
    add(r, "; %s", r->own_uids ? "own uid each" : "one uid for all (ordinary user)");
    if (r->cgroup_version > 0)
        add(r, "; cgroup v%d (%s%s%s%s)", r->cgroup_version, r->cgroup_memory ? "memory" : "no memory",
            r->cgroup_cpu ? ", cpu" : ", no cpu", r->cgroup_pids ? ", pids" : ", no pids",
            r->cgroup_freezer ? ", freezer" : "");
    else
        add(r, "; no cgroups (memory watched, CPU not limited)");
    add(r, "; %s", r->seccomp ? "seccomp" : "no seccomp");
    add(r, "; /tmp %s", r->tmp_on_disk ? "on disk" : "in memory");
}

static void fill_report(const struct parts_of_keeper *parts, struct keeper_report *r)
{
    const struct cgroup_trees *c = &parts->cgroups;
    *r = (struct keeper_report){
        .sandbox = !parts->bare,
        .user_namespace = !parts->config.privileged && !parts->bare,
        .own_uids = parts->config.privileged,
        .cgroup_version = c->version,
        .cgroup_memory = c->controllers & CG_MEMORY,
        .cgroup_cpu = c->controllers & CG_CPU,
        .cgroup_pids = c->controllers & CG_PIDS,
        .cgroup_freezer = c->controllers & CG_FREEZER,
        .cgroup_favordynmods = c->favors_dynmods,
        .seccomp = true,
        .tmp_on_disk = parts->scratch.on_disk && !parts->bare,
    };
    write_line(r);
    snprintf(r->missing, sizeof(r->missing), "%.250s%s%.250s", c->why, *c->why && *parts->scratch.why ? "; " : "",
             parts->scratch.why);
}

static void copy_config(struct parts_of_keeper *parts, const struct keeper_config *config)
{
    parts->config = *config;
    /* Absolute, since the keeper's working directory becomes DATA/code. */
    if (config->share_dir == NULL || realpath(config->share_dir, parts->share_dir) == NULL)
        snprintf(parts->share_dir, sizeof(parts->share_dir), "%s", config->share_dir ? config->share_dir : "");
    if (parts->config.runtime_dir_count > KEEPER_RUNTIME_DIRS_MAX)
        parts->config.runtime_dir_count = KEEPER_RUNTIME_DIRS_MAX;
    for (size_t i = 0; i < parts->config.runtime_dir_count; i++)
        if (realpath(config->runtime_dirs[i], parts->runtime_dirs[i]) == NULL)
            snprintf(parts->runtime_dirs[i], sizeof(parts->runtime_dirs[i]), "%s", config->runtime_dirs[i]);
}

/* The lock lies on DATA/sandbox, and the keeper holds it to its end: after kill -9 of a server its keeper still cleans for a moment, and must
 * not take away the cgroups that the next one has just found. */
static enum outcome wait_for_predecessor(int sandbox_dir, struct error *err)
{
    for (int waited_ms = 0; flock(sandbox_dir, LOCK_EX | LOCK_NB) < 0; waited_ms += LOCK_PAUSE_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set_sys(err, errno, "Check the file system of the data directory.",
                                 "could not lock \"sandbox\"");
        if (waited_ms > LOCK_WAIT_MS)
            return error_set(err, ERROR_CONFLICT, "End the other server of this data directory.",
                             "another keeper works in this data directory");
        nanosleep(&(struct timespec){ .tv_nsec = LOCK_PAUSE_MS * 1000000L }, NULL);
    }
    return OK;
}

/* trial: for doctor; nothing is locked, and no directory for code is made. */
static enum outcome make(const struct keeper_config *config, bool trial, struct parts_of_keeper *parts,
                         struct error *err)
{
    copy_config(parts, config);
    TRY(dir_open(config->data_dir, "sandbox", true, 0700, &parts->scratch.dir, err));
    if (!trial) {
        TRY(dir_open(config->data_dir, "code", true, 0700, &parts->code_dir, err));
        TRY(wait_for_predecessor(parts->scratch.dir, err));
    }
    cgroup_find(&parts->cgroups, config->name, config->privileged, !config->leave_cgroup_mounts, trial);
    TRY(filters_init(&parts->filters, parts->cgroups.controllers & CG_MEMORY, err));
    scratch_init(&parts->scratch, config->privileged);
    kept_files_read(&parts->kept);
    if (try_sandbox(parts, err) != OK) {
        if (!config->unsafe_no_sandbox)
            return FAILED;
        parts->bare = true;
    }
    fill_report(parts, &parts->report);
    return OK;
}

enum outcome parts_make(const struct keeper_config *config, bool trial, struct parts_of_keeper **out,
                        struct error *err)
{
    struct parts_of_keeper *parts = memory_new(sizeof(*parts));
    parts->code_dir = parts->scratch.dir = -1;
    for (int i = 0; i < SCRATCH_TEMPLATES_MAX; i++)
        parts->scratch.templates[i].fd = -1;
    if (make(config, trial, parts, err) != OK) {
        cgroup_trees_remove(&parts->cgroups);
        parts_free(parts);
        return FAILED;
    }
    *out = parts;
    return OK;
}

void parts_free(struct parts_of_keeper *parts)
{
    if (parts == NULL)
        return;
    fd_drop(&parts->code_dir);
    cgroup_trees_drop(&parts->cgroups);
    scratch_done(&parts->scratch);
    filters_done(&parts->filters);
    kept_files_done(&parts->kept);
    free(parts);
}

/* The first process of every sandbox is a fork of the keeper, and /proc/1/cmdline of a sandbox would show how the server was called; `ps` on the
 * host should tell the two apart too. The environment goes with it. */
static void rename_process(void)
{
    prctl(PR_SET_NAME, "hearth-keeper", 0, 0, 0);
    struct buffer text;
    buffer_init(&text);
    struct error ignored;
    unsigned long at[4] = { 0, 0, 0, 0 }; /* arg_start, arg_end, env_start, env_end: fields 48 to 51 */
    const char *after = NULL;
    if (file_read(AT_FDCWD, "/proc/self/stat", 4096, &text, &ignored) == OK)
        after = strrchr(buffer_text(&text), ')');
    for (int field = 2; after != NULL && field < 51; field++) {
        after = strchr(after + 1, ' ');
        if (after != NULL && field >= 46 + 1)
            at[field - 47] = strtoul(after + 1, NULL, 10);
    }
    buffer_drop(&text);
    static const char name[] = "hearth keeper";
    if (after == NULL || at[0] == 0 || at[1] <= at[0] || at[3] < at[2])
        return;
    memory_wipe((void *)at[0], at[1] - at[0]);
    memory_wipe((void *)at[2], at[3] - at[2]);
    size_t room = at[1] - at[0];
    memcpy((void *)at[0], name, sizeof(name) < room ? sizeof(name) : room - 1);
}

enum outcome keeper_fork(const struct keeper_config *config, struct keeper_link *out, struct keeper_report *report,
                         struct error *err)
{
    struct parts_of_keeper *parts = NULL;
    if (parts_make(config, false, &parts, err) != OK) {
        if (err != NULL)
            err->kind = ERROR_UNSUPPORTED;
        return FAILED;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        parts_free(parts);
        return error_set_sys(err, errno, hint, "could not make the keeper's socket");
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        rename_process();
        keeper_run(parts, pair[1]);
    }
    int fork_errno = errno;
    *report = parts->report;
    close(pair[1]);
    parts_free(parts);
    if (pid < 0) {
        close(pair[0]);
        return error_set_sys(err, fork_errno, hint, "could not fork the keeper");
    }
    *out = (struct keeper_link){ .fd = pair[0], .pid = pid };
    return OK;
}

/* In a child: the probe may move its process between cgroups. */
void keeper_probe(const struct keeper_config *config, struct keeper_report *report)
{
    *report = (struct keeper_report){ .sandbox = false };
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        /* A name of its own: what is found under the server's name would be taken for a predecessor's and killed. */
        char name[CGROUP_NAME_BYTES];
        snprintf(name, sizeof(name), "hearth-probe-%d", (int)getpid());
        struct keeper_config own = *config;
        own.name = name;
        own.leave_cgroup_mounts = true;
        struct parts_of_keeper *parts = NULL;
        struct error err;
        struct keeper_report found = { .sandbox = false };
        if (parts_make(&own, true, &parts, &err) == OK) {
            found = parts->report;
            cgroup_trees_remove(&parts->cgroups);
        } else {
            snprintf(found.line, sizeof(found.line), "no sandbox: %.300s", err.message);
            snprintf(found.missing, sizeof(found.missing), "%.250s. %.250s", err.message, err.hint);
        }
        (void)!write(pipe_fds[1], &found, sizeof(found));
        _exit(0);
    }
    close(pipe_fds[1]);
    struct keeper_report found;
    if (pid > 0 && read(pipe_fds[0], &found, sizeof(found)) == (ssize_t)sizeof(found))
        *report = found;
    close(pipe_fds[0]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
