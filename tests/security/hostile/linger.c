/* Leaves as much behind as it can: children in other sessions that ignore every signal, threads of execution, files held open in a socket's
 * queue; then does what its argument says: end, or wait to be killed, or spin. Prints "ready" first. */
#include "attempt.h"

#include <sys/socket.h>

static void queue_a_file(void)
{
    int pair[2], fd = open("/tmp/held", O_RDWR | O_CREAT, 0600);
    if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return;
    char byte = 'x', room[CMSG_SPACE(2 * sizeof(int))] = { 0 };
    struct iovec part = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(2 * sizeof(int));
    int fds[2] = { fd, pair[1] }; /* the socket in its own queue: only the kernel's garbage collector ends that */
    memcpy(CMSG_DATA(c), fds, sizeof(fds));
    sendmsg(pair[0], &message, 0);
}

/* Into the channel's queue, where only the server can end it. */
static void queue_in_channel(void)
{
    int fd = open("/tmp/held2", O_RDWR | O_CREAT, 0600);
    char byte = 'x', room[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec part = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    sendmsg(3, &message, 0);
}

int main(int argc, char **argv)
{
    queue_a_file();
    if (argc > 1 && strcmp(argv[1], "channel") == 0) {
        queue_in_channel();
        return 4;
    }
    for (int i = 0; i < 5; i++)
        if (fork() == 0) {
            setsid();
            for (int s = 1; s < 32; s++)
                signal(s, SIG_IGN);
            close(1);
            close(2);
            for (;;)
                pause();
        }
    printf("ready\n");
    fflush(stdout);
    if (argc > 1 && strcmp(argv[1], "end") == 0)
        return 3;
    for (volatile uint64_t n = 0;; n++)
        if (argc <= 1 || strcmp(argv[1], "spin") != 0)
            pause();
}
