#include "keeper/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char hint[] = "Run \"hearth doctor\".";

static enum outcome limit(int which, uint64_t value, const char *what, struct error *err)
{
    struct rlimit now, wanted = { value, value };
    if (getrlimit((__rlimit_resource_t)which, &now) < 0)
        return error_set_sys(err, errno, hint, "could not read the limit of %s", what);
    if (now.rlim_max < wanted.rlim_max) /* the person who started us has less: then so has a function */
        wanted.rlim_cur = wanted.rlim_max = now.rlim_max;
    if (setrlimit((__rlimit_resource_t)which, &wanted) < 0)
        return error_set_sys(err, errno, hint, "could not limit %s", what);
    return OK;
}

enum outcome confine_limits(const struct confine_limits *l, struct error *err)
{
    /* Not 0: where core dumps are piped to a program of the host, which runs there as root, the kernel does so for a limit of 0 as well.
     * 1 is its own mark for "never" (core(5), fs/coredump.c); the filter keeps it so. */
    TRY(limit(RLIMIT_CORE, 1, "core files", err));
    TRY(limit(RLIMIT_NOFILE, l->files, "files", err));
    /* Counted a user: that is one instance, by its own uid or by its own user namespace (Linux 5.14 counts those apart). */
    TRY(limit(RLIMIT_NPROC, l->processes, "processes", err));
    TRY(limit(RLIMIT_MEMLOCK, 64 * 1024, "locked memory", err));
    TRY(limit(RLIMIT_NICE, 0, "priority", err));
    TRY(limit(RLIMIT_RTPRIO, 0, "real-time priority", err));
    TRY(limit(RLIMIT_MSGQUEUE, 819200, "message queues", err));
    TRY(limit(RLIMIT_SIGPENDING, 4096, "waiting signals", err));
    if (l->data_bytes > 0)
        TRY(limit(RLIMIT_DATA, l->data_bytes, "memory", err));
    return OK;
}

static int set_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
        { .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
    };
    return (int)syscall(SYS_capset, &head, data);
}

static enum outcome drop_bounding(uint64_t keep, struct error *err)
{
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return error_set_sys(err, errno, hint, "could not give up capability %lu", cap);
    return OK;
}

static enum outcome check_gone(uid_t uid, gid_t gid, struct error *err)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    uid_t u[3];
    gid_t g[3];
    if (syscall(SYS_capget, &head, data) < 0 || getresuid(&u[0], &u[1], &u[2]) < 0 ||
        getresgid(&g[0], &g[1], &g[2]) < 0)
        return error_set_sys(err, errno, hint, "could not read what rights are left");
    for (int i = 0; i < 3; i++)
        if (u[i] != uid || g[i] != gid)
            return error_set(err, ERROR_INTERNAL, hint, "the change to uid %u has not happened", uid);
    for (int i = 0; i < 2; i++)
        if (data[i].effective || data[i].permitted || data[i].inheritable)
            return error_set(err, ERROR_INTERNAL, hint, "capabilities are left after the drop");
    return OK;
}

enum outcome confine_drop(uid_t uid, gid_t gid, bool mapped, struct error *err)
{
    enum {
        BITS = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
               SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED
    };
    TRY(drop_bounding(0, err));
    if (prctl(PR_SET_SECUREBITS, BITS, 0, 0, 0) < 0)
        return error_set_sys(err, errno, hint, "could not set securebits");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return error_set_sys(err, errno, hint, "could not clear the ambient capabilities");
    /* In a user namespace of our own setgroups stays forbidden (else a group could be left that a file denies). */
    if (!mapped && setgroups(0, NULL) < 0)
        return error_set_sys(err, errno, hint, "could not leave all groups");
    if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return error_set_sys(err, errno, hint, "could not become uid %u", uid);
    if (set_capabilities(0) < 0)
        return error_set_sys(err, errno, hint, "could not give up capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set_sys(err, errno, hint, "could not set no_new_privs");
    return check_gone(uid, gid, err);
}

enum outcome confine_bare(struct error *err)
{
    if (set_capabilities(0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set_sys(err, errno, hint, "could not set no_new_privs");
    return OK;
}

/* What the keeper keeps of root, and what for. */
static const int keeper_capabilities[] = {
    CAP_SYS_ADMIN,    /* namespaces, mounts, loop devices, seccomp before no_new_privs */
    CAP_SETUID,       /* the drop to an instance's uid */
    CAP_SETGID,       /* and gid; leaving all groups */
    CAP_SETPCAP,      /* emptying the bounding set, securebits */
    CAP_NET_ADMIN,    /* the loopback interface of a sandbox */
    CAP_CHOWN,        /* giving an instance its output pipes, so that /dev/stdout can be opened */
    CAP_DAC_OVERRIDE, /* DATA/code belongs to the server's uid; the top of a cgroup hierarchy is writable for nobody */
    CAP_KILL,         /* ending processes of other uids */
};

enum outcome confine_keeper(struct error *err)
{
    uint64_t keep = 0;
    for (size_t i = 0; i < sizeof(keeper_capabilities) / sizeof(keeper_capabilities[0]); i++)
        keep |= 1ull << keeper_capabilities[i];
    TRY(drop_bounding(keep, err));
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (set_capabilities(keep) < 0)
        return error_set_sys(err, errno, hint, "could not give up capabilities");
    return OK;
}
