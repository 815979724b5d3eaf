/* Reaches for a network. Arguments: PORT of a listener on the host's 127.0.0.1, NAME of an abstract unix socket of the host. */
#include "attempt.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static void no_socket(const char *what, int domain, int type, int protocol)
{
    attempt(what, socket(domain, type, protocol) >= 0);
}

static bool connects(const char *address, int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    inet_pton(AF_INET, address, &at.sin_addr);
    bool done = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 || errno == EINPROGRESS;
    if (done) {
        usleep(20 * 1000);
        int failed = 0;
        socklen_t size = sizeof(failed);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size);
        done = failed == 0;
    }
    close(fd);
    return done;
}

int main(int argc, char **argv)
{
    no_socket("a raw socket", AF_INET, SOCK_RAW, IPPROTO_ICMP);
    no_socket("a raw IPv6 socket", AF_INET6, SOCK_RAW, 58);
    no_socket("a packet socket", AF_PACKET, SOCK_RAW, 0);
    no_socket("a packet socket for datagrams", AF_PACKET, SOCK_DGRAM, 0);
    no_socket("vsock", AF_VSOCK, SOCK_STREAM, 0);
    no_socket("alg", AF_ALG, SOCK_SEQPACKET, 0);
    no_socket("bluetooth", 31, SOCK_RAW, 0);
    no_socket("can", 29, SOCK_RAW, 1);
    no_socket("tipc", 30, SOCK_SEQPACKET, 0);
    no_socket("xdp", 44, SOCK_RAW, 0);
    no_socket("smc", 43, SOCK_STREAM, 0);
    no_socket("sctp", AF_INET, SOCK_STREAM, 132);
    no_socket("mptcp", AF_INET, SOCK_STREAM, 262);
    no_socket("udplite", AF_INET, SOCK_DGRAM, 136);
    no_socket("netlink audit", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
    no_socket("netlink netfilter", AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
    no_socket("netlink xfrm", AF_NETLINK, SOCK_RAW, NETLINK_XFRM);
    no_socket("netlink kobject", AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
    attempt("the list of interfaces cannot be read",
            socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) < 0);
    if (argc > 1)
        attempt("the host's loopback", connects("127.0.0.1", atoi(argv[1])));
    attempt("an address of the cloud's metadata", connects("169.254.169.254", 80));
    attempt("an address of the world", connects("1.1.1.1", 53));
    attempt("the API's socket does not listen", !connects("127.0.0.1", 4566));
    if (argc > 2) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        struct sockaddr_un at = { .sun_family = AF_UNIX };
        snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "%s", argv[2]);
        attempt("an abstract socket of the host",
                connect(fd, (struct sockaddr *)&at,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[2]))) == 0);
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq lo = { .ifr_name = "lo" };
    attempt("the interface cannot be read", ioctl(fd, SIOCGIFFLAGS, &lo) < 0);
    lo.ifr_flags &= (short)~IFF_UP;
    attempt("the interface can be changed", ioctl(fd, SIOCSIFFLAGS, &lo) == 0);
    return broken;
}
