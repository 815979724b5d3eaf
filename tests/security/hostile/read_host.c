/* Reads what is the host's or another function's: by name, by /proc, by leftover descriptors, by file handle.
 * Arguments: paths that exist on the host and must not exist here. */
#include "attempt.h"

#include <dirent.h>

static const char *const paths[] = {
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/ssh",
    "/etc/machine-id",
    "/root",
    "/home",
    "/var/lib",
    "/var/log",
    "/sys/kernel",
    "/sys/fs/cgroup/memory",
    "/usr/local",
    "/usr/src",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/sda",
    "/dev/vda",
    "/dev/loop0",
    "/dev/loop-control",
    "/dev/kvm",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/fuse",
    "/dev/shm",
    "/run/systemd",
    "/run/dbus/system_bus_socket",
    "/boot",
    "/tmp/../../etc/shadow",
    "/proc/1/root/etc",
    "/proc/1/cwd",
    "/proc/1/environ",
    "/proc/1/mem",
    "/proc/1/maps",
    "/proc/1/fd/0",
    "/proc/1/cmdline",
};

static bool readable(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return false;
    struct stat st;
    bool found = fstat(fd, &st) == 0 && (S_ISDIR(st.st_mode) || read(fd, &byte, 1) > 0);
    close(fd);
    return found;
}

static void masked_files(void)
{
    static const char *const files[] = { "/proc/kcore",      "/proc/keys",    "/proc/kallsyms",  "/proc/cmdline",
                                         "/proc/timer_list", "/proc/modules", "/proc/config.gz", "/proc/interrupts",
                                         "/proc/diskstats",  "/proc/iomem",   "/proc/kmsg" };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        attempt(files[i], readable(files[i]));
}

/* Every directory of the root must be one that the sandbox has on purpose. */
static void unexpected_names(void)
{
    static const char known[] = " . .. bin dev etc lib lib64 mnt opt proc run sbin tmp usr var ";
    DIR *root = opendir("/");
    for (struct dirent *e; root != NULL && (e = readdir(root)) != NULL;) {
        char word[300];
        snprintf(word, sizeof(word), " %s ", e->d_name);
        attempt(e->d_name, strstr(known, word) == NULL);
    }
    if (root != NULL)
        closedir(root);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        attempt(paths[i], readable(paths[i]));
    for (int i = 1; i < argc; i++) {
        struct stat st;
        attempt(argv[i], stat(argv[i], &st) == 0);
    }
    masked_files();
    unexpected_names();
    struct {
        unsigned bytes;
        int type;
        unsigned char handle[64];
    } handle = { 8, 1, { 2 } }; /* inode 2: the root of the host's file system */
    int dir = open("/usr/bin", O_RDONLY | O_DIRECTORY);
    attempt_errno("open_by_handle_at", syscall(SYS_open_by_handle_at, dir, &handle, O_RDONLY), EPERM, EPERM);
    int up = openat(dir, "../../../../../../../../root", O_RDONLY);
    attempt("walking up from a bind", up >= 0);
    return broken;
}
