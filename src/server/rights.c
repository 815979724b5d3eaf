#include "server/rights.h"

#include <errno.h>
#include <grp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"

enum { SLICE_NS = 100 * 1000 };
enum { FILES_WANTED = 65536 }; /* an instance takes about ten of ours */

void rights_raise_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    struct rlimit more = { .rlim_cur = files.rlim_max, .rlim_max = files.rlim_max };
    if (more.rlim_max < FILES_WANTED) {
        more.rlim_cur = more.rlim_max = FILES_WANTED;
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return;
        more.rlim_cur = more.rlim_max = files.rlim_max;
    }
    (void)setrlimit(RLIMIT_NOFILE, &more);
}

enum outcome rights_drop(uid_t uid, gid_t gid, struct error *err)
{
    static const char hint[] = "Give --uid-base a range that this machine (or container) maps.";
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return error_set_sys(err, errno, hint, "could not become user %u", uid);
    if (setresuid(0, 0, 0) == 0 || geteuid() == 0)
        return error_set(err, ERROR_INTERNAL, hint, "still root after becoming user %u", uid);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set_sys(err, errno, hint, "could not give up new privileges");
    return OK;
}

void rights_short_slice(void)
{
    struct { /* linux/sched/types.h, which glibc's headers clash with */
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = { 0 };
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) < 0)
        return;
    attributes.size = sizeof(attributes);
    attributes.runtime = SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void notify_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(to.sun_path))
        return;
    memcpy(to.sun_path, path, strlen(path));
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* an abstract socket */
    AUTO(fd)
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, len);
}
