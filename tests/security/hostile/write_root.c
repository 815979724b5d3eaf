/* Writes where only /tmp may be written, and checks what came with the process. */
#include "attempt.h"

#include <sys/mount.h>
#include <sys/socket.h>

static const char *const places[] = {
    "/x",           "/var/task/x",     "/usr/bin/x", "/usr/lib/x", "/etc/passwd",
    "/etc/x",       "/opt/x",          "/opt/lib/x", "/var/x",     "/var/runtime/hearth/x",
    "/var/lang/x",  "/dev/x",          "/run/x",     "/mnt/x",     "/proc/x",
    "/var/empty/x", "/etc/ssl/certs/x"
};
static const char *const kernel[] = { "/proc/sys/kernel/hostname",
                                      "/proc/sys/kernel/core_pattern",
                                      "/proc/sys/vm/drop_caches",
                                      "/proc/sys/net/ipv4/ip_forward",
                                      "/proc/sysrq-trigger",
                                      "/proc/self/oom_score_adj",
                                      "/proc/self/uid_map",
                                      "/proc/sys/kernel/ns_last_pid",
                                      "/proc/sys/vm/overcommit_memory" };

/* What the sandbox hides is /dev/null under that name, and that may be written. */
static int opened(const char *path)
{
    struct stat st;
    int fd = open(path, O_WRONLY);
    return fd >= 0 && (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != ((1 << 8) | 3));
}

static void descriptors(void)
{
    int extra = 0;
    for (int fd = 4; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            extra++;
    attempt("a descriptor beyond 0, 1, 2 and 3", extra > 0);
    struct stat st;
    attempt("descriptor 3 is not a socket", fstat(3, &st) < 0 || !S_ISSOCK(st.st_mode));
    attempt("descriptor 1 is not a pipe", fstat(1, &st) < 0 || !S_ISFIFO(st.st_mode));
    attempt("descriptor 1 does not belong to the function", st.st_uid != getuid());
    attempt("/dev/stdout cannot be opened", open("/dev/stdout", O_WRONLY) < 0);
    attempt("descriptor 0 can be written", write(0, "x", 1) > 0 && fstat(0, &st) == 0 && !S_ISCHR(st.st_mode));
    int fd = open("/proc/self/fd/3", O_RDWR);
    attempt("opening the channel's socket again", fd >= 0);
}

int main(void)
{
    descriptors();
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        attempt(places[i], open(places[i], O_WRONLY | O_CREAT, 0644) >= 0);
    for (size_t i = 0; i < sizeof(kernel) / sizeof(kernel[0]); i++)
        attempt(kernel[i], opened(kernel[i]));
    attempt("removing from the code", unlink("/var/task/hostile") == 0);
    attempt("renaming the code", rename("/var/task/hostile", "/var/task/other") == 0);
    attempt("changing the mode of the code", chmod("/var/task/hostile", 0777) == 0);
    attempt("changing the times of /dev/null", chmod("/dev/null", 0600) == 0);
    attempt("a device node in /tmp", mknod("/tmp/null", S_IFCHR | 0666, (1 << 8) | 3) == 0);
    int fd = open("/tmp/mine", O_WRONLY | O_CREAT | O_TRUNC, 0755);
    attempt("/tmp cannot be written", fd < 0 || write(fd, "#!/bin/sh\nexit 7\n", 17) != 17);
    close(fd);
    attempt("a script in /tmp does not run", WEXITSTATUS(system("/tmp/mine")) != 7);
    /* A set-uid program gains nothing. */
    chmod("/tmp/mine", 04755);
    attempt("/usr/bin/su gives root",
            WEXITSTATUS(system("/usr/bin/su -c 'exit 9' </dev/null >/dev/null 2>&1")) == 9);
    return broken;
}
