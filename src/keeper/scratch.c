#include "keeper/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"

/* Room for ext4's own needs, so that all that was asked for can be written: inode tables (256 bytes for each 16 KB), the clusters that the
 * kernel holds back (2 %, at most 16 MB), bitmaps and extent blocks. Measured: 512 MB asked, 513 MB could be written. */
enum { SCRATCH_INODE_SIZE = 256, SCRATCH_HELD_PERCENT = 2, SCRATCH_HELD_MB_MAX = 16, SCRATCH_SLACK_MB = 4 };
enum { SCRATCH_BLOCK = 4096, LOOP_TRIES_MAX = 64 };

static uint64_t image_mb(uint32_t mb)
{
    uint64_t tables = (uint64_t)mb * SCRATCH_INODE_SIZE / SCRATCH_INODE_BYTES,
             held = (uint64_t)mb * SCRATCH_HELD_PERCENT / 100 + 1;
    return mb + tables + (held < SCRATCH_HELD_MB_MAX ? held : SCRATCH_HELD_MB_MAX) + SCRATCH_SLACK_MB + mb / 1024;
}

#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, uint64_t)
#endif

static const char hint_disk[] = "Check the disk that holds the data directory.";

/* A file that has no name, so that a killed keeper leaves none. */
static int nameless(int dir)
{
    int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    char name[48];
    snprintf(name, sizeof(name), "scratch-%d", (int)getpid());
    fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        unlinkat(dir, name, 0);
    return fd;
}

static enum outcome run_mkfs(int fd, uint32_t mb, struct error *err)
{
    char path[32], inodes[24];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", 3);
    snprintf(inodes, sizeof(inodes), "%llu", (unsigned long long)mb * 1024 * 1024 / SCRATCH_INODE_BYTES);
    /* No journal: nobody reads it after a crash. Tables stay holes in the file: an instance costs what it writes. */
    const char *const argv[] = { "mkfs.ext4",
                                 "-q",
                                 "-F",
                                 "-O",
                                 "none,extents,sparse_super,filetype,large_file,huge_file,extra_isize,"
                                 "uninit_bg,flex_bg,dir_index",
                                 "-I",
                                 "256",
                                 "-b",
                                 "4096",
                                 "-m",
                                 "0",
                                 "-N",
                                 inodes,
                                 "-E",
                                 "lazy_itable_init=1,nodiscard,packed_meta_blocks=1,root_owner=0:0",
                                 path,
                                 NULL };
    const char *const envp[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "MKE2FS_CONFIG=/dev/null", "LC_ALL=C",
                                 NULL };
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    AUTO(fd)
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    posix_spawn_file_actions_adddup2(&actions, high, 3);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    posix_spawn_file_actions_adddup2(&actions, 0, 2); /* it complains about the empty configuration file */
    pid_t pid;
    int failed =
        posix_spawn(&pid, access("/usr/sbin/mkfs.ext4", X_OK) == 0 ? "/usr/sbin/mkfs.ext4" : "/sbin/mkfs.ext4",
                    &actions, NULL, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)envp);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0)
        return error_set_sys(err, failed, "Install e2fsprogs.", "could not run mkfs.ext4");
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        return error_set(err, ERROR_INTERNAL, hint_disk, "mkfs.ext4 failed with status 0x%x", (unsigned)status);
    return OK;
}

static enum outcome make_template(struct scratch *s, uint32_t mb, int *out, struct error *err)
{
    AUTO(fd)
    int fd = nameless(s->dir);
    uint64_t bytes = image_mb(mb) * 1024 * 1024;
    if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
        return error_set_sys(err, errno, hint_disk, "could not make an image of %u MB for /tmp", mb);
    TRY(run_mkfs(fd, mb, err));
    *out = fd_take(&fd);
    return OK;
}

enum outcome scratch_template(struct scratch *s, uint32_t mb, int *fd, struct error *err)
{
    struct scratch_template *oldest = &s->templates[0];
    for (int i = 0; i < SCRATCH_TEMPLATES_MAX; i++) {
        struct scratch_template *t = &s->templates[i];
        if (t->fd >= 0 && t->mb == mb) {
            t->used_at = ++s->uses;
            *fd = t->fd;
            return OK;
        }
        if (t->used_at < oldest->used_at)
            oldest = t;
    }
    int made = -1;
    TRY(make_template(s, mb, &made, err));
    fd_drop(&oldest->fd);
    *oldest = (struct scratch_template){ .mb = mb, .fd = made, .used_at = ++s->uses };
    *fd = made;
    return OK;
}

/* Copies only what is data; some 60 KB of a 512 MB image. */
static enum outcome copy_sparse(int from, int to, struct error *err)
{
    struct stat st;
    if (fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
        return error_set_sys(err, errno, hint_disk, "could not make an image for /tmp");
    char block[16 * 1024];
    for (off_t at = 0; at < st.st_size;) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0)
            break; /* ENXIO: only a hole is left */
        off_t hole = lseek(from, data, SEEK_HOLE);
        for (at = data; at < hole;) {
            size_t want = hole - at < (off_t)sizeof(block) ? (size_t)(hole - at) : sizeof(block);
            ssize_t got = pread(from, block, want, at);
            if (got <= 0 || pwrite(to, block, (size_t)got, at) != got)
                return error_set_sys(err, got < 0 ? errno : EIO, hint_disk, "could not copy the image for /tmp");
            at += got;
        }
    }
    return OK;
}

static enum outcome attach_loop(int image, int *device, struct scratch_loop *out, struct error *err)
{
    AUTO(fd)
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return error_set_sys(err, errno, "Load the kernel module \"loop\".", "could not open /dev/loop-control");
    for (int i = 0; i < LOOP_TRIES_MAX; i++) {
        int free_number = ioctl(control, LOOP_CTL_GET_FREE);
        char path[32];
        snprintf(path, sizeof(path), "/dev/loop%d", free_number);
        AUTO(fd)
        int loop = free_number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
        if (loop < 0)
            return error_set_sys(err, errno, "Raise the kernel's max_loop, or make its device nodes visible.",
                                 "could not get a loop device");
        struct loop_config config = { .fd = (uint32_t)image, .block_size = SCRATCH_BLOCK };
        /* AUTOCLEAR: it goes with its last user. DIRECT_IO: or every page written would lie twice in memory, the second time
         * charged to nobody who could be asked to give it back; not every disk can, so it is tried first only. */
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
        int done = ioctl(loop, LOOP_CONFIGURE, &config);
        if (done < 0 && errno == EINVAL) {
            config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
            done = ioctl(loop, LOOP_CONFIGURE, &config);
        }
        if (done == 0 && ioctl(loop, BLKGETDISKSEQ, &out->sequence) < 0)
            out->sequence = 0;
        if (done == 0) {
            *device = fd_take(&loop);
            out->number = free_number;
            return OK;
        }
        if (errno != EBUSY) /* EBUSY: another took it between the two calls */
            return error_set_sys(err, errno, "Run \"hearth doctor\".", "could not attach /dev/loop%d", free_number);
    }
    return error_set(err, ERROR_UNAVAILABLE, "Retry.", "could not get a loop device in %d tries",
                     (int)LOOP_TRIES_MAX);
}

enum outcome scratch_mount(int dir, int template_fd, int *mount_fd, struct scratch_loop *used, struct error *err)
{
    AUTO(fd)
    int image = nameless(dir);
    if (image < 0)
        return error_set_sys(err, errno, hint_disk, "could not make an image for /tmp");
    TRY(copy_sparse(template_fd, image, err));
    AUTO(fd)
    int loop = -1;
    TRY(attach_loop(image, &loop, used, err));
    char path[32];
    snprintf(path, sizeof(path), "/dev/loop%d", used->number);
    AUTO(fd)
    int fs = (int)syscall(SYS_fsopen, "ext4", FSOPEN_CLOEXEC);
    AUTO(fd)
    int made = -1;
    if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", path, 0) < 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "noinit_itable", NULL, 0) < 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "nobarrier", NULL, 0) < 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ||
        (made = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
                             MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME)) < 0)
        return error_set_sys(err, errno, "Run \"hearth doctor\".", "could not mount the image for /tmp");
    unlinkat(made, "lost+found", AT_REMOVEDIR);
    if (fchmodat(made, ".", 01777, 0) < 0)
        return error_set_sys(err, errno, hint_disk, "could not open /tmp to its user");
    *mount_fd = fd_take(&made);
    return OK;
}

enum outcome scratch_mount_tmpfs(uint32_t mb, int *mount_fd, struct error *err)
{
    char size[24], inodes[24];
    snprintf(size, sizeof(size), "%um", mb);
    snprintf(inodes, sizeof(inodes), "%llu", (unsigned long long)mb * 1024 * 1024 / SCRATCH_INODE_BYTES);
    AUTO(fd)
    int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", size, 0) < 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "nr_inodes", inodes, 0) < 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "1777", 0) < 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ||
        (*mount_fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)) < 0)
        return error_set_sys(err, errno, "Run \"hearth doctor\".", "could not mount a tmpfs for /tmp");
    return OK;
}

bool scratch_loop_free(const struct scratch_loop *loop)
{
    char path[64], text[32];
    if (loop->number < 0)
        return true;
    snprintf(path, sizeof(path), "/sys/block/loop%d/loop/backing_file", loop->number);
    if (access(path, F_OK) < 0)
        return true;
    snprintf(path, sizeof(path), "/sys/block/loop%d/diskseq", loop->number);
    AUTO(fd)
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    text[got > 0 ? got : 0] = '\0';
    return got > 0 && strtoull(text, NULL, 10) != loop->sequence; /* somebody else's by now */
}

/* Can images be had here at all? Tried once, in a child with a mount namespace of its own. */
static bool images_work(struct scratch *s)
{
    int template_fd, words[2];
    struct error err;
    if (scratch_template(s, KEEPER_TMP_MB_MIN, &template_fd, &err) != OK) {
        snprintf(s->why, sizeof(s->why), "/tmp is in memory: %.120s. %.100s", err.message, err.hint);
        return false;
    }
    if (pipe2(words, O_CLOEXEC) < 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        int mount_fd = -1;
        struct scratch_loop loop = SCRATCH_LOOP_NONE;
        if (unshare(CLONE_NEWNS) == 0 && scratch_mount(s->dir, template_fd, &mount_fd, &loop, &err) == OK)
            _exit(0);
        (void)!dprintf(words[1], "/tmp is in memory: %.120s. %.100s", err.message, err.hint);
        _exit(1);
    }
    close(words[1]);
    ssize_t got = read(words[0], s->why, sizeof(s->why) - 1);
    s->why[got > 0 ? got : 0] = '\0';
    close(words[0]);
    int status = 1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && status == 0;
}

void scratch_init(struct scratch *s, bool privileged)
{
    for (int i = 0; i < SCRATCH_TEMPLATES_MAX; i++)
        s->templates[i] = (struct scratch_template){ .fd = -1 };
    s->on_disk = privileged && images_work(s);
    if (!privileged)
        snprintf(s->why, sizeof(s->why), "/tmp is in memory, and added to the limit: loop devices are root's");
}

void scratch_done(struct scratch *s)
{
    for (int i = 0; i < SCRATCH_TEMPLATES_MAX; i++)
        fd_drop(&s->templates[i].fd);
    fd_drop(&s->dir);
}
