/* Asks the kernel for what only root may, or for what only kernel bugs are made of. */
#include "attempt.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timex.h>

static void refused(const char *name, long number)
{
    errno = 0;
    attempt_errno(name, syscall(number, 0, 0, 0, 0, 0, 0), EPERM, ENOSYS);
}

static void namespaces(void)
{
    static const struct {
        const char *name;
        int flag;
    } all[] = { { "user", CLONE_NEWUSER },    { "mount", CLONE_NEWNS }, { "net", CLONE_NEWNET },
                { "pid", CLONE_NEWPID },      { "ipc", CLONE_NEWIPC },  { "uts", CLONE_NEWUTS },
                { "cgroup", CLONE_NEWCGROUP } };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        attempt_errno(all[i].name, unshare(all[i].flag), EPERM, EPERM);
        long pid = syscall(SYS_clone, all[i].flag | SIGCHLD, 0, 0, 0, 0);
        if (pid == 0)
            _exit(0);
        attempt_errno(all[i].name, pid, EPERM, EPERM);
    }
    int fd = open("/proc/self/ns/user", O_RDONLY);
    attempt_errno("setns", setns(fd, 0), EPERM, EPERM);
    uint64_t args[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };
    attempt_errno("clone3", syscall(SYS_clone3, args, sizeof(args)), ENOSYS,
                  ENOSYS); /* ENOSYS, or libc would not fall back */
}

static void mounts(void)
{
    attempt_errno("mount", mount("none", "/tmp", "tmpfs", 0, NULL), EPERM, EPERM);
    attempt_errno("bind mount", mount("/", "/tmp", NULL, MS_BIND, NULL), EPERM, EPERM);
    attempt_errno("remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL), EPERM, EPERM);
    attempt_errno("umount", umount2("/proc/keys", MNT_DETACH), EPERM, EPERM);
    attempt_errno("chroot", chroot("/tmp"), EPERM, EPERM);
    attempt_errno("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"), EPERM, EPERM);
    attempt_errno("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1), EPERM, EPERM);
    attempt_errno("move_mount", syscall(SYS_move_mount, 0, "", 0, "", 0), EPERM, EPERM);
    attempt_errno("fsopen", syscall(SYS_fsopen, "tmpfs", 0), EPERM, EPERM);
    attempt_errno("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, NULL, 0), EPERM, EPERM);
}

static void limits(void)
{
    struct rlimit core, more = { 4096, 4096 }, none = { 0, 0 };
    attempt("the limit of core files is not 1",
            getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_cur != 1 || core.rlim_max != 1);
    attempt_errno("another limit of core files", setrlimit(RLIMIT_CORE, &none), EPERM,
                  EPERM); /* 0 would wake the host's handler */
    attempt_errno("more files", setrlimit(RLIMIT_NOFILE, &more), EPERM, EPERM);
    attempt_errno("more processes", setrlimit(RLIMIT_NPROC, &more), EPERM, EPERM);
}

static void calls(void)
{
    refused("keyctl", SYS_keyctl);
    refused("add_key", SYS_add_key);
    refused("request_key", SYS_request_key);
    refused("io_uring_setup", SYS_io_uring_setup);
    refused("io_uring_enter", SYS_io_uring_enter);
    refused("io_uring_register", SYS_io_uring_register);
    refused("bpf", SYS_bpf);
    refused("perf_event_open", SYS_perf_event_open);
    refused("userfaultfd", SYS_userfaultfd);
    refused("init_module", SYS_init_module);
    refused("finit_module", SYS_finit_module);
    refused("delete_module", SYS_delete_module);
    refused("kexec_load", SYS_kexec_load);
    refused("swapon", SYS_swapon);
    refused("reboot", SYS_reboot);
    refused("acct", SYS_acct);
    refused("quotactl", SYS_quotactl);
    refused("syslog", SYS_syslog);
    refused("settimeofday", SYS_settimeofday);
    refused("clock_settime", SYS_clock_settime);
    refused("adjtimex", SYS_adjtimex);
    refused("kcmp", SYS_kcmp);
    refused("move_pages", SYS_move_pages);
    refused("migrate_pages", SYS_migrate_pages);
    refused("fanotify_init", SYS_fanotify_init);
    refused("io_setup", SYS_io_setup);
    refused("vmsplice", SYS_vmsplice);
    refused("sethostname", SYS_sethostname);
    refused("a call of the future", 1000);
    attempt_errno("personality", syscall(SYS_personality, 0x0040000), EPERM, ENOSYS);
    attempt_errno("personality, with the top bit", syscall(SYS_personality, 0x80040000), EPERM, ENOSYS);
    attempt("asking for the personality", syscall(SYS_personality, 0xffffffff) != 0);
    char byte = 'x';
    attempt_errno("TIOCSTI", ioctl(0, TIOCSTI, &byte), EPERM, EPERM);
    attempt_errno("TIOCSTI with high bits", syscall(SYS_ioctl, 0, 0x100000000ull | TIOCSTI, &byte), EPERM, EPERM);
}

static void identity(void)
{
    attempt_errno("setuid 0", setuid(0), EPERM, EINVAL);
    attempt_errno("setresgid 0", setresgid(0, 0, 0), EPERM, EINVAL);
    gid_t group = 0;
    attempt_errno("setgroups", syscall(SYS_setgroups, 1, &group), EPERM, EPERM);
    attempt("uid is 0", getuid() == 0 || geteuid() == 0 || getgid() == 0);
    attempt("there are groups", getgroups(0, NULL) > 1);
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };
    attempt("capabilities are left",
            syscall(SYS_capget, &head, data) == 0 && (data[0].permitted || data[1].permitted || data[0].effective));
    data[0].effective = data[0].permitted = 1u << CAP_SYS_ADMIN;
    attempt_errno("capset", syscall(SYS_capset, &head, data), EPERM, EPERM);
    attempt("no_new_privs is not set", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1);
    attempt("a capability is in the bounding set", prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 1);
    attempt("seccomp is off", prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2);
}

#if defined(__x86_64__)
/* Numbers of another architecture mean other calls: the attempt must end the process. */
static void architectures(void)
{
    pid_t pid = fork();
    int status = 0;
    if (pid == 0) {
        long result;
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory"); /* getpid of i386 */
        _exit(result > 0 ? 1 : 2);
    }
    waitpid(pid, &status, 0);
    attempt("a call of i386", !WIFSIGNALED(status) && !(WIFEXITED(status) && WEXITSTATUS(status) == 2));
    pid = fork();
    if (pid == 0)
        _exit(syscall(0x40000000 + SYS_getpid) > 0 ? 1 : 2); /* x32 */
    waitpid(pid, &status, 0);
    attempt("a call of x32", WIFEXITED(status) && WEXITSTATUS(status) == 1);
}
#else
static void architectures(void)
{
}
#endif

int main(void)
{
    identity();
    namespaces();
    mounts();
    limits();
    calls();
    architectures();
    return broken;
}
