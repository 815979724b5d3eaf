/* The cage of the unpacking child (see package_confine.h). Each bar holds without the others:
 *
 *   rlimits            memory, processor time, the size of a file, descriptors, no core dump
 *   no_new_privs       nothing that is executed could gain rights; nothing can be executed
 *   user namespace     only to be allowed chroot; the capabilities in it are dropped at once
 *   chroot, Landlock   no path outside the directory that is filled. Either may be missing: distributions forbid unprivileged user namespaces,
 *                      older kernels lack Landlock. A process that was taken over would then still have to get by the next bar
 *   seccomp            reading, writing, making files and memory, ending. No socket, process, exec, signal, mount, ioctl
 *
 * What is not allowed answers ENOSYS rather than killing: the C library tries other ways then, and an error names itself. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/package.h"
#include "engine/package_confine.h"

#if defined(__SANITIZE_ADDRESS__)
#define CONFINE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONFINE_SANITIZED 1
#endif
#endif
#ifndef CONFINE_SANITIZED
#define CONFINE_SANITIZED 0
#endif

static const char confine_hint[] = "Run `hearth doctor` to see what this machine lacks.";

/* ---- limits ---- */

static enum outcome confine_limits(struct error *err)
{
    static const struct {
        __rlimit_resource_t resource;
        rlim_t value;
        bool sanitized_too; /* AddressSanitizer reserves terabytes of addresses */
    } limits[] = {
        { RLIMIT_AS, CONFINE_MEMORY_BYTES_MAX, false },
        { RLIMIT_DATA, CONFINE_MEMORY_BYTES_MAX, false },
        { RLIMIT_FSIZE, PACKAGE_TREE_BYTES_MAX, true },
        { RLIMIT_CPU, CONFINE_CPU_S_MAX, true },
        { RLIMIT_NOFILE, CONFINE_FILES_MAX, true },
        { RLIMIT_CORE, 0, true },
        { RLIMIT_MEMLOCK, 0, true },
        { RLIMIT_MSGQUEUE, 0, true },
    };
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct rlimit limit = { limits[i].value, limits[i].value }, now;
        if (CONFINE_SANITIZED && !limits[i].sanitized_too)
            continue;
        if (getrlimit(limits[i].resource, &now) == 0 && now.rlim_max < limit.rlim_max)
            limit = (struct rlimit){ now.rlim_max, now.rlim_max }; /* stricter already */
        if (setrlimit(limits[i].resource, &limit) < 0)
            return error_set_sys(err, errno, confine_hint, "could not limit the unpacking process");
    }
    return OK;
}

/* ---- no path outside ---- */

static void confine_root(int dir)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { { 0 } };
    if (unshare(CLONE_NEWUSER) < 0)
        return; /* Landlock is still to come */
    if (dir >= 0 && fchdir(dir) == 0) {
        int ignored = chroot(".");
        (void)ignored;
    }
    (void)syscall(SYS_capset, &head, none);
}

/* linux/landlock.h as it grew; headers may be older than the kernel. */
enum {
    LANDLOCK_ABI_TRUNCATE = 3,
    LANDLOCK_ABI_NET = 4,
    LANDLOCK_ABI_IOCTL = 5,
    LANDLOCK_ABI_SCOPE = 6,
    LANDLOCK_WRITE_FILE = 1 << 1,
    LANDLOCK_MAKE_DIR = 1 << 7,
    LANDLOCK_MAKE_REG = 1 << 8,
    LANDLOCK_MAKE_SYM = 1 << 12,
    LANDLOCK_ALL_1 = (1 << 13) - 1,
    LANDLOCK_REFER = 1 << 13,
    LANDLOCK_TRUNCATE = 1 << 14,
    LANDLOCK_IOCTL = 1 << 15,
};
struct landlock_rules {
    uint64_t files, net, scoped;
};
struct landlock_below {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static enum outcome confine_landlock(int dir, struct error *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
    if (abi < 1)
        return OK; /* not in this kernel, or switched off */
    struct landlock_rules rules = { .files = LANDLOCK_ALL_1 };
    rules.files |= abi >= 2 ? LANDLOCK_REFER : 0;
    rules.files |= abi >= LANDLOCK_ABI_TRUNCATE ? LANDLOCK_TRUNCATE : 0;
    rules.files |= abi >= LANDLOCK_ABI_IOCTL ? LANDLOCK_IOCTL : 0;
    rules.net = abi >= LANDLOCK_ABI_NET ? 3 : 0;      /* bind, connect */
    rules.scoped = abi >= LANDLOCK_ABI_SCOPE ? 3 : 0; /* abstract unix sockets, signals */
    size_t size = abi >= LANDLOCK_ABI_SCOPE ? 24 : abi >= LANDLOCK_ABI_NET ? 16 : 8;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    struct landlock_below below = { LANDLOCK_WRITE_FILE | LANDLOCK_MAKE_DIR | LANDLOCK_MAKE_REG | LANDLOCK_MAKE_SYM,
                                    dir };
    long result = ruleset;
    if (ruleset >= 0 && dir >= 0)
        result = syscall(SYS_landlock_add_rule, ruleset, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &below, 0);
    if (result >= 0)
        result = syscall(SYS_landlock_restrict_self, ruleset, 0);
    int saved = errno;
    if (ruleset >= 0)
        close(ruleset);
    if (result >= 0)
        return OK;
    return error_set_sys(err, saved, confine_hint, "could not confine the unpacking process to its directory");
}

/* ---- system calls ---- */

static const int confine_calls[] = {
    SCMP_SYS(read),         SCMP_SYS(write),           SCMP_SYS(close),       SCMP_SYS(lseek),
    SCMP_SYS(fstat),        SCMP_SYS(newfstatat),      SCMP_SYS(openat),      SCMP_SYS(mkdirat),
    SCMP_SYS(symlinkat),    SCMP_SYS(munmap),          SCMP_SYS(mremap),      SCMP_SYS(madvise),
    SCMP_SYS(brk),          SCMP_SYS(futex),           SCMP_SYS(exit),        SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(getrandom),   SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday), SCMP_SYS(rt_sigprocmask),  SCMP_SYS(sigaltstack), SCMP_SYS(poll),
    SCMP_SYS(ppoll),
};

static enum outcome confine_seccomp(struct error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int failed = filter ? 0 : -ENOMEM;
    for (size_t i = 0; i < sizeof(confine_calls) / sizeof(confine_calls[0]) && !failed; i++) {
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, confine_calls[i], 0);
        if (failed == -EDOM || failed == -EFAULT) /* this machine has no such call */
            failed = 0;
    }
    /* Memory, but none that can be executed. */
    if (!failed)
        failed =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!failed)
        failed = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    if (!failed)
        return OK;
    return error_set_sys(err, -failed, confine_hint, "could not limit the unpacking process's system calls");
}

enum outcome package_confine(int dir, struct error *err)
{
    umask(022);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return error_set_sys(err, errno, confine_hint, "could not give up the unpacking process's rights");
    confine_root(dir);
    /* Behind the change of namespace, which clears it: without the server nobody wants the tree, and the next server removes what lies aside. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return error_set_sys(err, errno, confine_hint, "could not tie the unpacking process to the server");
    TRY(confine_landlock(dir, err));
    TRY(confine_limits(err));
    return confine_seccomp(err);
}
