/* keeper: the privileged side. A small process, forked before the server drops its rights, that makes sandboxes, kills, reaps and cleans.
 * Callers: server (forks it), engine (sends and receives). Depends on base alone.
 * Thread:  keeper_* with a `link` are called on the loop thread; the keeper itself is one thread in a process of its own.
 * Promise: each message is checked as if the server had been taken over. When EXITED has been sent nothing is left of that instance: no process,
 *          mount, namespace, cgroup, loop device or file. When the server's end closes (kill -9 too) the keeper kills all and exits;
 *          when the keeper dies each sandbox's first process sees its pipe end and exits, and with it all in its pid namespace.
 *
 * What an instance sees: /var/task (its code), /opt (its layers, merged: later ones over earlier ones), /var/lang (the Node of its runtime id), /var/runtime/hearth (bootstrap),
 * /var/runtime/node_modules (SDK; also /var/node_modules for ES modules), /usr of the host (bin, lib*, libexec, share; never /usr/local), a small /etc,
 * /dev (null zero full random urandom fd stdin stdout stderr), /proc of its own pids, /tmp of its own; all but /tmp read-only, nosuid, nodev.
 * Network: loopback alone; 127.0.0.1:4566 is a listening socket that the server accepts on, for `provided` runtimes 127.0.0.1:9001 too.
 * Descriptors: 0 /dev/null, 1 stdout pipe, 2 stderr pipe, 3 channel (not for `provided`: it asks on 9001); nothing else.
 * Without a sandbox there is neither /opt of several layers (refused) nor a network of its own: the Runtime API listens on a free port of the host's
 * loopback, AWS_LAMBDA_RUNTIME_API says which, and anybody on the machine can reach it. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    KEEPER_RUNTIME_BYTES = 24,
    KEEPER_WRAPPER_BYTES = 256,
    KEEPER_DIGEST_BYTES = 65,                 /* 64 hex digits, NUL */
    KEEPER_ENVIRONMENT_BYTES_MAX = 16 * 1024, /* "NAME=value\0..." : 4 KB of the user's and ours */
    KEEPER_RUNTIME_DIRS_MAX = 4,
    KEEPER_INSTANCES_MAX = 4096,
    KEEPER_MEMORY_MB_MIN = 128,
    KEEPER_MEMORY_MB_MAX = 10240,
    KEEPER_TMP_MB_MIN = 512,
    KEEPER_TMP_MB_MAX = 10240,
    KEEPER_PIDS_MAX = 1024,  /* AWS Lambda quotas: processes and threads */
    KEEPER_FILES_MAX = 1024, /* AWS Lambda quotas: file descriptors */
    KEEPER_API_PORT = 4566,
    KEEPER_RUNTIME_API_PORT = 9001,
    KEEPER_LAYERS_MAX = 5, /* AWS Lambda quotas */
};

/* Set by the process that is still trusted, before the fork; copied by keeper_fork. */
struct keeper_config {
    int data_dir;          /* borrowed; the keeper opens "code" and "sandbox" below it by itself */
    const char *share_dir; /* where runtimes/node and runtimes/python lie (a checkout or PREFIX/share/hearth) */
    const char *runtime_dirs
        [KEEPER_RUNTIME_DIRS_MAX]; /* searched in order for "<id>/lang/bin/node", "sdk-node18|sdk-node20/node_modules" */
    size_t runtime_dir_count;
    bool privileged; /* root with what is needed: uids, cgroups; else a user namespace each */
    uid_t
        uid_base; /* privileged: instances get uid_base+1 .. uid_base+KEEPER_INSTANCES_MAX, gid alike; the server has uid_base */
    const char *name;       /* cgroup name part: unique a server ("hearth-<hash of data dir>") */
    bool unsafe_no_sandbox; /* --dangerously-run-functions-without-sandbox */
    bool
        leave_cgroup_mounts; /* as root on cgroup v1 the keeper sets "favordynmods" on the cgroup2 mount (a cold start is 10 ms less) unless this */
};

struct keeper_link {
    int fd;
    pid_t pid;
}; /* SOCK_SEQPACKET, non-blocking on our side */

/* What protections are in force, as start-up says it in one line and doctor explains it. */
struct keeper_report {
    bool sandbox;        /* namespaces work at all; false: keeper_fork fails unless unsafe_no_sandbox */
    bool user_namespace; /* one a sandbox (ordinary user) */
    bool own_uids;
    int cgroup_version; /* 0 none, 1, 2 */
    bool cgroup_memory, cgroup_cpu, cgroup_pids, cgroup_freezer;
    bool cgroup_favordynmods; /* v1: joining a cgroup does not wait for an RCU grace period */
    bool seccomp;
    bool tmp_on_disk;  /* loop images; false: tmpfs whose size is added to the memory limit */
    char missing[512]; /* for doctor: what is not there and the remedy, "" when all is */
    char line
        [512]; /* "sandbox: pid,mount,net,ipc,uts namespaces; own uid each; cgroup v1 (memory, cpu, pids, freezer); seccomp; /tmp on disk" */
};

/* Probes, forks the keeper (single-threaded caller only), returns our end. Cleans what a killed predecessor of the same `name` left.
 *   err  ERROR_UNSUPPORTED with the remedy when no sandbox can be made */
MUST_CHECK enum outcome keeper_fork(const struct keeper_config *config, struct keeper_link *out,
                                    struct keeper_report *report, struct error *err);
/* The probe alone, for `hearth doctor`; forks and reaps a trial sandbox. */
void keeper_probe(const struct keeper_config *config, struct keeper_report *report);

struct keeper_start {
    uint64_t id;                        /* never used before on this link */
    char runtime[KEEPER_RUNTIME_BYTES]; /* an id of runtime_table: "nodejs20.x" */
    char actual
        [KEEPER_RUNTIME_BYTES]; /* which installed runtime runs it; differs only where the configuration says so */
    char digest[KEEPER_DIGEST_BYTES];                    /* "code/<digest>/tree" below data_dir */
    char layers[KEEPER_LAYERS_MAX][KEEPER_DIGEST_BYTES]; /* the same, in order; unused ones "" */
    char wrapper
        [KEEPER_WRAPPER_BYTES]; /* AWS_LAMBDA_EXEC_WRAPPER: the program inside that is given the runtime's command line; "" none */
    uint32_t memory_mb, tmp_mb;
    struct slice environment; /* "NAME=value\0NAME=value\0" */
    int channel, out, err;    /* taken: the sandbox's ends; closed by keeper_send_start whatever happens */
};
/* Never blocks; ERROR_UNAVAILABLE when the keeper is behind (retry after the next event). */
MUST_CHECK enum outcome keeper_send_start(struct keeper_link *link, struct keeper_start *start, struct error *err);
/* Its init phase is over: the whole CPU that AWS lends to that ends, and its own share (memory_mb / 1769) begins. */
MUST_CHECK enum outcome keeper_send_ready(struct keeper_link *link, uint64_t id, struct error *err);
/* The freeze of machines without a freezer (keeper_freeze answered false): SIGSTOP to all its processes, SIGCONT before its next
 * call. Without a sandbox (unsafe_no_sandbox) nothing happens. */
MUST_CHECK enum outcome keeper_send_stop(struct keeper_link *link, uint64_t id, bool stop, struct error *err);
MUST_CHECK enum outcome keeper_send_kill(struct keeper_link *link, uint64_t id, struct error *err);

/* Descriptors for an instance's figures, pread by us; -1 where this machine has none. Owned by the receiver. */
struct keeper_meters {
    int memory_peak, memory_now, cpu, tasks, freeze, oom;
    int cgroup_version;
};
uint64_t keeper_meter_memory_peak(const struct keeper_meters *m); /* bytes; 0 unknown */
uint64_t keeper_meter_cpu_us(const struct keeper_meters *m);
uint32_t keeper_meter_tasks(const struct keeper_meters *m);
void keeper_meter_peak_reset(const struct keeper_meters *m);
bool keeper_freeze(const struct keeper_meters *m, bool frozen); /* false where it cannot */
void keeper_meters_drop(struct keeper_meters *m);

enum keeper_event_type {
    KEEPER_STARTED = 1,
    KEEPER_START_FAILED,
    KEEPER_EXITED,
};
struct keeper_event {
    enum keeper_event_type type;
    uint64_t id;
    struct keeper_meters meters; /* STARTED: owned by the receiver */
    int api_listener;            /* STARTED: 127.0.0.1:4566 inside, bound and listening; owned by the receiver */
    int runtime_listener; /* STARTED: 127.0.0.1:9001 inside for RUNTIME_PROVIDED, else -1; owned by the receiver */
    pid_t pid;       /* STARTED: the runtime process, as the host numbers it (for people; never signalled by it) */
    int wait_status; /* EXITED: of the runtime process, as waitpid gives it */
    bool oom_killed; /* EXITED: the cgroup's out-of-memory killer (or the watch) struck */
    bool was_killed; /* EXITED: by keeper_send_kill */
    uint64_t memory_peak, cpu_us; /* EXITED: last figures */
    char message[256];            /* START_FAILED */
    bool
        entry_refused; /* START_FAILED: by the function's own fault: its bootstrap is not there or cannot be executed; `message` is what Lambda says */
};
/* *got false when nothing waits. err: the keeper is gone (ERROR_INTERNAL): the server must end. */
MUST_CHECK enum outcome keeper_receive(struct keeper_link *link, struct keeper_event *event, bool *got,
                                       struct error *err);
/* Closes our end; the keeper kills all, cleans and exits; waits for that at most `wait_ms`. */
void keeper_close(struct keeper_link *link, int wait_ms);

/* ---- runtime ids ---- */
enum runtime_family { RUNTIME_NODE, RUNTIME_PYTHON, RUNTIME_PROVIDED };
struct runtime_id {
    const char *id; /* "nodejs20.x" */
    enum runtime_family family;
    int major, minor;       /* Node 20, 0; Python 3, 11; provided 0, 0 */
    bool callbacks_refused; /* nodejs24.x */
};
const struct runtime_id *runtime_find(struct slice id); /* NULL when it is none of ours */
const struct runtime_id *runtime_at(size_t index);      /* NULL behind the last */
/* Is it installed? Fills `how` with the remedy when not ("hearth runtime add nodejs22.x"). Blocking, some stat calls and for Python none else. */
MUST_CHECK bool runtime_installed(const struct keeper_config *config, const struct runtime_id *runtime,
                                  char how[256]);
