/* filter: which system calls a function may make. An allow-list: what is not named does not exist (ENOSYS, on which libraries fall back;
 * EPERM is for what they should not even try again). Two programs run one behind the other, because a rule that says "this call, but not
 * with these arguments" needs a default of its own: `refuse` passes everything but those, `allow` passes what is named. The kernel
 * remembers which calls both always pass, so that they cost nothing. */
#include "keeper/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"

static const char hint[] = "Hearth needs libseccomp 2.5 or newer and a kernel with CONFIG_SECCOMP_FILTER.";

/* Names that this machine's architecture does not have are passed over. */
static const char *const allowed[] = {
    /* files */
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "open",
    "openat",
    "openat2",
    "creat",
    "close",
    "close_range",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "fstatat64",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "lseek",
    "_llseek",
    "getdents",
    "getdents64",
    "fcntl",
    "fcntl64",
    "flock",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "pipe2",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "symlink",
    "symlinkat",
    "readlink",
    "readlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "utime",
    "utimes",
    "utimensat",
    "futimesat",
    "truncate",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "sendfile",
    "splice",
    "tee",
    "copy_file_range",
    "readahead",
    "fadvise64",
    "statfs",
    "fstatfs",
    "chdir",
    "fchdir",
    "getcwd",
    "umask",
    "mknod",
    "mknodat",
    "ioctl",
    "getxattr",
    "lgetxattr",
    "fgetxattr",
    "listxattr",
    "llistxattr",
    "flistxattr",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "inotify_init",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    "memfd_create",
    /* memory */
    "brk",
    "mmap",
    "mmap2",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "msync",
    "mincore",
    "mlock",
    "mlock2",
    "munlock",
    "mlockall",
    "munlockall",
    "membarrier",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "mseal",
    "map_shadow_stack",
    "get_mempolicy",
    "set_mempolicy",
    "mbind",
    "shmget",
    "shmat",
    "shmctl",
    "shmdt",
    "semget",
    "semop",
    "semctl",
    "semtimedop",
    "msgget",
    "msgsnd",
    "msgrcv",
    "msgctl",
    "mq_open",
    "mq_unlink",
    "mq_timedsend",
    "mq_timedreceive",
    "mq_notify",
    "mq_getsetattr",
    /* processes, threads, signals */
    "clone",
    "fork",
    "vfork",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "wait4",
    "waitid",
    "waitpid",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_open",
    "pidfd_send_signal",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "sigaltstack",
    "restart_syscall",
    "set_tid_address",
    "set_robust_list",
    "get_robust_list",
    "futex",
    "futex_waitv",
    "futex_wake",
    "futex_wait",
    "futex_requeue",
    "rseq",
    "arch_prctl",
    "prctl",
    "getpid",
    "getppid",
    "gettid",
    "getpgid",
    "setpgid",
    "getpgrp",
    "getsid",
    "setsid",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_setparam",
    "sched_getscheduler",
    "sched_setscheduler",
    "sched_getattr",
    "sched_setattr",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_rr_get_interval",
    "getpriority",
    "setpriority",
    "ioprio_get",
    "ioprio_set",
    "getrusage",
    "getrlimit",
    "ugetrlimit",
    "setrlimit",
    "prlimit64",
    "seccomp",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "getcpu",
    /* who am I */
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "capget",
    "capset",
    "uname",
    "sysinfo",
    "getrandom",
    /* time and waiting */
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "times",
    "getitimer",
    "setitimer",
    "alarm",
    "pause",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_getoverrun",
    "timer_delete",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "select",
    "_newselect",
    "pselect6",
    "poll",
    "ppoll",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd",
    "eventfd2",
    "signalfd",
    "signalfd4",
    /* sockets */
    "socket",
    "socketpair",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "getsockname",
    "getpeername",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendmmsg",
    "recvmmsg",
    "setsockopt",
    "getsockopt",
    "shutdown",
};

/* Answered with EPERM, so that a program says what it may not do instead of "not implemented". The list adds no safety: what is on
 * neither list is refused as well. */
static const char *const forbidden[] = {
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "swapon",
    "swapoff",
    "reboot",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "acct",
    "quotactl",
    "quotactl_fd",
    "bpf",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "unshare",
    "setns",
    "userfaultfd",
    "open_by_handle_at",
    "name_to_handle_at",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "process_mrelease",
    "kcmp",
    "lookup_dcookie",
    "iopl",
    "ioperm",
    "modify_ldt",
    "settimeofday",
    "clock_settime",
    "clock_settime64",
    "clock_adjtime",
    "adjtimex",
    "stime",
    "sethostname",
    "setdomainname",
    "syslog",
    "vhangup",
    "move_pages",
    "migrate_pages",
    "pidfd_getfd",
    "fanotify_init",
    "fanotify_mark",
    "memfd_secret",
    "vmsplice",
    "sync",
    "syncfs",
    "uselib",
    "ustat",
    "sysfs",
};

/* The sandbox's first process, once it has built the sandbox: wait, reap, tell, end. */
static const char *const allowed_first[] = {
    "read",         "write",           "close",          "poll", "ppoll",
    "wait4",        "waitid",          "sendmsg",        "exit", "exit_group",
    "rt_sigreturn", "restart_syscall", "rt_sigprocmask", "kill", /* stopping its own sandbox; nothing else lies in its pid namespace */
};

static int rule(scmp_filter_ctx c, uint32_t action, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);
    return number < 0 ? 0 : seccomp_rule_add_exact(c, action, number, 0);
}

static enum outcome finish(scmp_filter_ctx c, int failed, struct filter *out, struct error *err)
{
    AUTO(fd)
    int memory = memfd_create("filter", MFD_CLOEXEC);
    if (failed == 0)
        failed = memory < 0 ? -errno : seccomp_export_bpf(c, memory);
    seccomp_release(c);
    if (failed < 0)
        return error_set_sys(err, -failed, hint, "could not compile the system call filter");
    off_t bytes = lseek(memory, 0, SEEK_END);
    out->at = memory_new((size_t)bytes);
    out->len = (unsigned short)((size_t)bytes / sizeof(struct sock_filter));
    if (pread(memory, out->at, (size_t)bytes, 0) != bytes)
        return error_set_sys(err, errno, hint, "could not read the system call filter");
    return OK;
}

/* A call of another architecture (i386, x32) ends the process: their tables are another attack surface, and no number there means
 * what it means here. */
static scmp_filter_ctx begin(uint32_t otherwise)
{
    scmp_filter_ctx c = seccomp_init(otherwise);
    if (c != NULL) {
        seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        seccomp_attr_set(c, SCMP_FLTATR_CTL_NNP, 0);
        seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree by number, not a list */
    }
    return c;
}

static enum outcome compile_list(const char *const *names, size_t count, bool shared_memory, struct filter *out,
                                 struct error *err)
{
    scmp_filter_ctx c = begin(SCMP_ACT_ERRNO(ENOSYS));
    if (c == NULL)
        return error_set(err, ERROR_INTERNAL, hint, "could not begin a system call filter");
    int failed = 0;
    for (size_t i = 0; i < count && failed == 0; i++)
        if (shared_memory || (strcmp(names[i], "memfd_create") != 0 && strcmp(names[i], "shmget") != 0))
            failed = rule(c, SCMP_ACT_ALLOW, names[i]);
    /* 0xffffffff asks, 0 is what it already is; anything else weakens the address space or changes what calls mean. */
    for (int i = 0; i < 2 && failed == 0; i++)
        failed = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, i ? 0xffffffff : 0));
    return finish(c, failed, out, err);
}

/* Only what an allowed network can use: unix, TCP, UDP; netlink only for the list of interfaces. Each other family is some kernel module
 * that would be loaded for the asking. */
static int refuse_sockets(scmp_filter_ctx c)
{
    static const int calls[] = { SCMP_SYS(socket), SCMP_SYS(socketpair) };
    static const uint64_t families[] = { AF_INET, AF_INET6 };
    static const uint64_t protocols[] = { 1, 2, 33, 41, 47, 50, 51, 58, 115, 132, 136, 143, 255, 262 };
    enum { FAMILIES_KNOWN = 46, SOCKET_TYPE_MASK = 0xf };
    int failed = 0;
    for (size_t k = 0; k < 2 && failed == 0; k++) {
        for (uint64_t family = 0; family < FAMILIES_KNOWN && failed == 0; family++)
            if (family != AF_UNIX && family != AF_INET && family != AF_INET6 && family != AF_NETLINK)
                failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EAFNOSUPPORT), calls[k], 1,
                                          SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, family));
        if (failed == 0)
            failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EAFNOSUPPORT), calls[k], 1,
                                      SCMP_A0(SCMP_CMP_GE, FAMILIES_KNOWN));
        if (failed == 0)
            failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPROTONOSUPPORT), calls[k], 2,
                                      SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, AF_NETLINK), SCMP_A2(SCMP_CMP_NE, 0));
        for (size_t f = 0; f < 2; f++) {
            for (uint64_t type = 0; type <= SOCKET_TYPE_MASK && failed == 0; type++)
                if (type != SOCK_STREAM && type != SOCK_DGRAM)
                    failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), calls[k], 2,
                                              SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, families[f]),
                                              SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE_MASK, type));
            for (size_t p = 0; p < sizeof(protocols) / sizeof(protocols[0]) && failed == 0; p++)
                failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPROTONOSUPPORT), calls[k], 2,
                                          SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, families[f]),
                                          SCMP_A2(SCMP_CMP_MASKED_EQ, 0xffffffff, protocols[p]));
        }
    }
    return failed;
}

static int refuse_clone(scmp_filter_ctx c)
{
    static const uint64_t flags[] = { CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET };
    int failed = 0;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && failed == 0; i++)
        failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
    return failed;
}

static int refuse_arguments(scmp_filter_ctx c)
{
    /* A lease on a bootstrap would hold up every other instance's open of it; a notification watches the host's directories. */
    static const uint64_t fcntls[] = { F_SETLEASE, F_NOTIFY };
    int failed = 0;
    for (size_t i = 0; i < sizeof(fcntls) / sizeof(fcntls[0]) && failed == 0; i++)
        failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 1,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, fcntls[i]));
    static const uint64_t ioctls[] = { TIOCSTI, 0x541C /* TIOCLINUX */, TIOCCONS, TIOCSETD };
    if (failed == 0)
        failed = refuse_sockets(c);
    if (failed == 0)
        failed = refuse_clone(c);
    for (size_t i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]) && failed == 0;
         i++) /* the kernel looks at 32 bits: so must we */
        failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, ioctls[i]));
    /* Taken and ignored: whoever closes such a socket last waits, and by SCM_RIGHTS that may be made to be another. */
    if (failed == 0)
        failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(0), SCMP_SYS(setsockopt), 2,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, SOL_SOCKET),
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, 0xffffffff, SO_LINGER));
    if (failed == 0) /* see confine_limits */
        failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setrlimit), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, RLIMIT_CORE));
    if (failed == 0)
        failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 2,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, RLIMIT_CORE), SCMP_A2(SCMP_CMP_NE, 0));
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]) && failed == 0; i++)
        failed = rule(c, SCMP_ACT_ERRNO(EPERM), forbidden[i]);
    return failed;
}

enum outcome filters_init(struct filters *f, bool shared_memory, struct error *err)
{
    *f = (struct filters){ .refuse.at = NULL };
    scmp_filter_ctx c = begin(SCMP_ACT_ALLOW);
    if (c == NULL)
        return error_set(err, ERROR_INTERNAL, hint, "could not begin a system call filter");
    TRY(finish(c, refuse_arguments(c), &f->refuse, err));
    TRY(compile_list(allowed, sizeof(allowed) / sizeof(allowed[0]), shared_memory, &f->allow, err));
    return compile_list(allowed_first, sizeof(allowed_first) / sizeof(allowed_first[0]), true, &f->first, err);
}

void filters_done(struct filters *f)
{
    free(f->refuse.at);
    free(f->allow.at);
    free(f->first.at);
    *f = (struct filters){ .refuse.at = NULL };
}

enum outcome filter_load(const struct filter *f, struct error *err)
{
    struct sock_fprog program = { .len = f->len, .filter = f->at };
    if (prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, &program, 0, 0) < 0)
        return error_set_sys(err, errno, hint, "could not load the system call filter");
    return OK;
}
