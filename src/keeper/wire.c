#include "keeper/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WIRE_DESCRIPTORS_MAX = 16 };

ssize_t wire_send(int fd, const void *a, size_t a_len, const void *b, size_t b_len, const int *fds, size_t fd_count)
{
    struct iovec parts[2] = { { (void *)(uintptr_t)a, a_len }, { (void *)(uintptr_t)b, b_len } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = b_len ? 2 : 1 };
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int) * WIRE_DESCRIPTORS_MAX)];
    } control;
    if (fd_count > WIRE_DESCRIPTORS_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (fd_count > 0) {
        memset(&control, 0, sizeof(control));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

static bool take_descriptors(struct msghdr *message, int *fds, size_t fds_max, size_t *fd_count)
{
    bool fits = true;
    *fd_count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (*fd_count < fds_max) {
                fds[(*fd_count)++] = got;
            } else {
                close(got);
                fits = false;
            }
        }
    }
    return fits;
}

ssize_t wire_recv(int fd, void *at, size_t len, int *fds, size_t fds_max, size_t *fd_count)
{
    struct iovec part = { at, len };
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int) * WIRE_DESCRIPTORS_MAX)];
    } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
    };
    ssize_t got;
    do
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    *fd_count = 0;
    if (got < 0)
        return got;
    bool fits = take_descriptors(&message, fds, fds_max, fd_count);
    if (!fits || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        for (size_t i = 0; i < *fd_count; i++)
            close(fds[i]);
        *fd_count = 0;
        errno = EBADMSG;
        return -1;
    }
    return got;
}
