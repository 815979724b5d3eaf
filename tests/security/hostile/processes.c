/* Reaches for processes: those of the host, of neighbours, the sandbox's own first process. Arguments: pids of the host. */
#include "attempt.h"

#include <ctype.h>
#include <dirent.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>

static void victim(pid_t pid, bool first)
{
    char word[64], byte[64];
    snprintf(word, sizeof(word), "pid %d", (int)pid);
    printf("trying %s\n", word);
    attempt_errno("ptrace attach", ptrace(PTRACE_ATTACH, pid, NULL, NULL), EPERM, EPERM);
    attempt_errno("ptrace seize", ptrace(PTRACE_SEIZE, pid, NULL, NULL), EPERM, EPERM);
    struct iovec mine = { byte, sizeof(byte) }, theirs = { (void *)0x400000, sizeof(byte) };
    attempt_errno("process_vm_readv", process_vm_readv(pid, &mine, 1, &theirs, 1, 0), EPERM, EPERM);
    attempt_errno("process_vm_writev", process_vm_writev(pid, &mine, 1, &theirs, 1, 0), EPERM, EPERM);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    attempt("pidfd_open of a process outside", pidfd >= 0 && !first);
    if (pidfd >= 0)
        attempt_errno("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 0, 0), EPERM, EPERM);
    attempt("a signal", kill(pid, SIGTERM) == 0 && !first);
    attempt("setpriority", setpriority(PRIO_PROCESS, (id_t)pid, 19) == 0 && !first);
    static const char *const files[] = {
        "mem", "maps", "environ", "cwd", "root", "exe", "fd/0", "cmdline", "stat"
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
        attempt(path, open(path, O_RDONLY) >= 0);
    }
}

int main(int argc, char **argv)
{
    /* Nobody else is to be seen: our own pid and those of our children, all small. */
    DIR *proc = opendir("/proc");
    int seen = 0;
    for (struct dirent *e; proc != NULL && (e = readdir(proc)) != NULL;)
        if (isdigit((unsigned char)e->d_name[0]))
            seen += atoi(e->d_name) != getpid();
    attempt("another process is to be seen in /proc", seen > 0);
    attempt("/proc cannot be read", proc == NULL);
    victim(1, true);
    for (int i = 1; i < argc; i++)
        victim(atoi(argv[i]), false);
    /* The first process takes no signal from inside, not even this one: we are still here to say so. */
    kill(1, SIGKILL);
    kill(1, SIGSTOP);
    usleep(20 * 1000);
    attempt("the first process is gone", kill(1, 0) < 0 && errno == ESRCH);
    kill(-1,
         SIGKILL); /* all that we may reach, but not ourselves: of the host's and the neighbours' it must be none */
    return broken;
}
