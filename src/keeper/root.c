/* root: what an instance sees as "/". A small tmpfs holds the skeleton and a handful of files; everything big is a read-only bind of the
 * host's. Nothing is bound that is not named here, so a new directory on the host stays invisible.
 *   1. Every bind is cloned first, as a detached mount, while the old root is still there, and gets its attributes before it is attached.
 *   2. The new root is attached, filled, entered by pivot_root, and the old one detached: no path leads back.
 *   3. Only /tmp is writable. */
#include "keeper/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/memory.h"

#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#endif

static const char hint_kernel[] = "Hearth needs Linux 5.15 or newer and the right to mount; run \"hearth doctor\".";

enum { ATTR_SYSTEM = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };
/* Device nodes must work through their bind, so NODEV is not among theirs. */
enum { ATTR_DEVICE = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC };

struct bind {
    const char *from, *to;
    bool file, required;
    unsigned attributes;
};

/* /usr/local, /usr/src and /usr/include stay outside: they hold what people put there for themselves. */
static const struct bind binds[] = {
    { "/usr/bin", "usr/bin", false, true, ATTR_SYSTEM },
    { "/usr/sbin", "usr/sbin", false, false, ATTR_SYSTEM }, /* ldconfig: Python's find_library asks it */
    { "/usr/lib", "usr/lib", false, true, ATTR_SYSTEM },
    { "/usr/lib64", "usr/lib64", false, false, ATTR_SYSTEM },
    { "/usr/libexec", "usr/libexec", false, false, ATTR_SYSTEM },
    { "/usr/share", "usr/share", false, true, ATTR_SYSTEM },
    { "/etc/ssl/certs", "etc/ssl/certs", false, false,
      ATTR_SYSTEM }, /* its links lead to /usr/share/ca-certificates */
    { "/etc/alternatives", "etc/alternatives", false, false, ATTR_SYSTEM },
    { "/etc/ld.so.cache", "etc/ld.so.cache", true, false, ATTR_SYSTEM },
    { "/dev/null", "dev/null", true, true, ATTR_DEVICE },
    { "/dev/zero", "dev/zero", true, true, ATTR_DEVICE },
    { "/dev/full", "dev/full", true, true, ATTR_DEVICE },
    { "/dev/random", "dev/random", true, true, ATTR_DEVICE },
    { "/dev/urandom", "dev/urandom", true, true, ATTR_DEVICE },
};
enum { BIND_COUNT = sizeof(binds) / sizeof(binds[0]) };

static const char *const directories[] = {
    "usr",
    "usr/bin",
    "usr/sbin",
    "usr/lib",
    "usr/lib64",
    "usr/libexec",
    "usr/share",
    "etc",
    "etc/ssl",
    "etc/ssl/certs",
    "etc/alternatives",
    "dev",
    "proc",
    "tmp",
    "opt",
    "opt/lib",
    "opt/bin",
    "var",
    "var/task",
    "var/lang",
    "var/runtime",
    "var/runtime/hearth",
    "var/runtime/node_modules",
    "var/empty",
    "run",
    "mnt",
};

static const struct {
    const char *at, *to;
} links[] = {
    { "bin", "usr/bin" },
    { "sbin", "usr/sbin" },
    { "lib", "usr/lib" },
    { "lib64", "usr/lib64" },
    { "dev/fd", "/proc/self/fd" },
    { "dev/stdin", "/proc/self/fd/0" },
    { "dev/stdout", "/proc/self/fd/1" },
    { "dev/stderr", "/proc/self/fd/2" },
    { "etc/localtime", "/usr/share/zoneinfo/UTC" },
    { "etc/os-release", "/usr/lib/os-release" },
    { "etc/mtab", "/proc/self/mounts" },
    { "var/node_modules",
      "runtime/node_modules" }, /* ES modules look upwards from /var/task and know no NODE_PATH */
    { "var/tmp", "/tmp" },
};

/* What the kernel shows in any /proc about the whole machine and no function needs: secrets of the boot command line, addresses, modules,
 * keys, other tenants' interrupts, disks and locks. Files become /dev/null, directories an empty one. /proc/sys, bus, irq and fs
 * are read-only with all of /proc. */
static const char *const masked_files[] = {
    "kcore",      "keys",          "key-users",   "kallsyms",    "kmsg",          "modules",    "cmdline",
    "config.gz",  "sysrq-trigger", "timer_list",  "sched_debug", "interrupts",    "softirqs",   "diskstats",
    "partitions", "locks",         "iomem",       "ioports",     "latency_stats", "slabinfo",   "vmallocinfo",
    "kpagecount", "kpageflags",    "kpagecgroup", "swaps",       "mdstat",        "bootconfig",
};
static const char *const masked_directories[] = { "acpi", "asound", "scsi",   "fs",
                                                  "bus",  "irq",    "driver", "dynamic_debug" };

static int sys_open_tree(int dir, const char *path, unsigned flags)
{
    return (int)syscall(SYS_open_tree, dir, path, flags);
}

static int sys_move_mount(int from, int to, const char *path)
{
    return (int)syscall(SYS_move_mount, from, "", to, path, MOVE_MOUNT_F_EMPTY_PATH);
}

static int set_attributes(int mount_fd, unsigned attributes, unsigned flags)
{
    struct mount_attr attr = { .attr_set = attributes };
    return (int)syscall(SYS_mount_setattr, mount_fd, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr));
}

/* A detached copy of what lies at `path`, with its attributes already set. -1 and errno when it cannot be had. Recursive, since in a user
 * namespace of one's own a directory cannot be copied without what is mounted below it. */
static int clone_mount(int dir, const char *path, unsigned attributes)
{
    int copy =
        sys_open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | (*path ? 0 : AT_EMPTY_PATH));
    if (copy >= 0 && set_attributes(copy, attributes, AT_RECURSIVE) < 0)
        fd_drop(&copy);
    return copy;
}

static enum outcome clone_beneath(const char *base, const char *path, unsigned long long resolve, const char *what,
                                  int *out, struct error *err)
{
    AUTO(fd)
    int dir = *base ? open(base, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = resolve };
    AUTO(fd)
    int found = *base && dir < 0 ? -1 : (int)syscall(SYS_openat2, *base ? dir : AT_FDCWD, path, &how, sizeof(how));
    if (found < 0 || (*out = clone_mount(found, "", ATTR_SYSTEM)) < 0)
        return error_set_sys(err, errno, "Check that it is there and readable.", "could not bind %s \"%s%s%s\"",
                             what, base, *base ? "/" : "", path);
    return OK;
}

/* The server owns that directory, and it may have been taken over: no link in it may lead out. */
enum { RESOLVE_CODE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };

static enum outcome clone_code(const char *digest, const char *what, int *out, struct error *err)
{
    char path[KEEPER_DIGEST_BYTES + 8];
    snprintf(path, sizeof(path), "%s/tree", digest);
    return clone_beneath("", path, RESOLVE_CODE, what, out, err);
}

static int fs_set(int fs, const char *key, const char *value)
{
    return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

static int fs_mount(int fs, unsigned attributes)
{
    if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
}

static void drop_all(int fds[KEEPER_LAYERS_MAX])
{
    for (int i = 0; i < KEEPER_LAYERS_MAX; i++)
        fd_drop(&fds[i]);
}

/* Several layers are one overlay of directories that nobody writes to. Its directories are named by descriptors that were opened without
 * following a link: overlayfs itself would follow one. */
static enum outcome merge_layers(const struct sandbox_plan *plan, int *out, struct error *err)
{
    int trees[KEEPER_LAYERS_MAX];
    char lower[KEEPER_LAYERS_MAX * 32] = "";
    struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_CODE };
    enum outcome outcome = OK;
    memset(trees, -1, sizeof(trees));
    for (size_t i = plan->layer_count; i > 0 && outcome == OK; i--) { /* the first that is named is the uppermost */
        char path[KEEPER_DIGEST_BYTES + 8];
        size_t len = strlen(lower);
        snprintf(path, sizeof(path), "%s/tree", plan->layers[i - 1]);
        trees[i - 1] = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
        if (trees[i - 1] < 0)
            outcome = error_set_sys(err, errno, "Check that it is there and readable.",
                                    "could not open the layer \"%s\"", path);
        snprintf(lower + len, sizeof(lower) - len, "%s/proc/self/fd/%d", len > 0 ? ":" : "", trees[i - 1]);
    }
    AUTO(fd)
    int fs = outcome == OK ? (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC) : -1;
    /* userxattr: what a user namespace may have; it also forbids the redirections that an attribute in a layer could ask for. */
    if (outcome == OK && (fs < 0 || fs_set(fs, "lowerdir", lower) < 0 ||
                          syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0 ||
                          (*out = fs_mount(fs, ATTR_SYSTEM)) < 0))
        outcome = error_set_sys(
            err, errno,
            "Load the kernel's overlay module (modprobe overlay), keep the data directory on a plain file "
            "system such as ext4, or merge the layers into one.",
            "could not merge %zu layers on /opt with overlayfs", plan->layer_count);
    drop_all(trees);
    return outcome;
}

static enum outcome clone_layers(const struct sandbox_plan *plan, int *out, struct error *err)
{
    if (plan->layer_count == 0)
        return OK;
    if (plan->layer_count == 1)
        return clone_code(plan->layers[0], "the layer", out, err);
    return merge_layers(plan, out, err);
}

static enum outcome make_root(int *out, struct error *err)
{
    AUTO(fd)
    int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0 || fs_set(fs, "size", "1m") < 0 || fs_set(fs, "nr_inodes", "256") < 0 ||
        fs_set(fs, "mode", "0755") < 0 || (*out = fs_mount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)) < 0)
        return error_set_sys(err, errno, hint_kernel, "could not make the sandbox's root");
    return OK;
}

static enum outcome make_proc(int *out, struct error *err)
{
    AUTO(fd)
    int fs = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
    /* hidepid: the first process is nobody's business. Read-only: that covers /proc/sys and sysrq-trigger too. */
    if (fs < 0 || fs_set(fs, "hidepid", "2") < 0 ||
        (*out = fs_mount(fs, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)) < 0)
        return error_set_sys(err, errno, "In a container /proc must not be masked; run \"hearth doctor\".",
                             "could not mount the sandbox's /proc");
    return OK;
}

static enum outcome write_file(int root, const char *path, const char *at, size_t len, struct error *err)
{
    AUTO(fd)
    int fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set_sys(err, errno, hint_kernel, "could not write \"/%s\" of the sandbox", path);
    return fd_write_all(fd, slice_from(at, len), err);
}

static enum outcome write_text(int root, const char *path, struct error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static enum outcome write_text(int root, const char *path, struct error *err, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    int len = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    return write_file(root, path, text, (size_t)len, err);
}

static enum outcome write_skeleton(int root, const struct sandbox_plan *plan, struct error *err)
{
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
        if (mkdirat(root, directories[i], 0755) < 0)
            return error_set_sys(err, errno, hint_kernel, "could not make \"/%s\" of the sandbox", directories[i]);
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        if (symlinkat(links[i].to, root, links[i].at) < 0)
            return error_set_sys(err, errno, hint_kernel, "could not make \"/%s\" of the sandbox", links[i].at);
    /* The names are Lambda's: some programs look themselves up. */
    TRY(write_text(root, "etc/passwd", err,
                   "root:x:0:0:root:/root:/usr/sbin/nologin\n"
                   "sbx_user1051:x:%u:%u::/tmp:/usr/sbin/nologin\n"
                   "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
                   plan->uid, plan->gid));
    TRY(write_text(root, "etc/group", err, "root:x:0:\nsbx_group:x:%u:\nnogroup:x:65534:\n", plan->gid));
    TRY(write_text(root, "etc/hosts", err, "127.0.0.1 localhost sandbox\n::1 localhost\n"));
    TRY(write_text(root, "etc/nsswitch.conf", err,
                   "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"));
    TRY(write_text(root, "etc/resolv.conf", err, "# no network\n"));
    TRY(write_text(root, "etc/ld.so.conf", err, "/usr/lib\n"));
    for (size_t i = 0; i < plan->kept->count; i++) {
        const struct kept_file *f = &plan->kept->file[i];
        const char *slash = strrchr(f->path, '/');
        char parent[sizeof(f->path)];
        snprintf(parent, sizeof(parent), "%.*s", (int)(slash - f->path), f->path);
        if (mkdirat(root, parent, 0755) < 0 && errno != EEXIST)
            return error_set_sys(err, errno, hint_kernel, "could not make \"/%s\" of the sandbox", parent);
        TRY(write_file(root, f->path, f->at, f->len, err));
    }
    return OK;
}

static enum outcome attach(int mount_fd, int root, const char *path, struct error *err)
{
    if (sys_move_mount(mount_fd, root, path) < 0)
        return error_set_sys(err, errno, hint_kernel, "could not attach \"/%s\" of the sandbox", path);
    return OK;
}

static enum outcome attach_binds(int root, int copies[BIND_COUNT], struct error *err)
{
    for (int i = 0; i < BIND_COUNT; i++) {
        if (copies[i] < 0)
            continue;
        if (binds[i].file)
            TRY(write_file(root, binds[i].to, "", 0, err));
        TRY(attach(copies[i], root, binds[i].to, err));
    }
    return OK;
}

/* Runs inside the new root. */
static enum outcome mask_proc(struct error *err)
{
    for (size_t i = 0; i < sizeof(masked_files) / sizeof(masked_files[0]) +
                               sizeof(masked_directories) / sizeof(masked_directories[0]);
         i++) {
        size_t files = sizeof(masked_files) / sizeof(masked_files[0]);
        const char *name = i < files ? masked_files[i] : masked_directories[i - files];
        char path[64];
        snprintf(path, sizeof(path), "/proc/%s", name);
        if (access(path, F_OK) < 0)
            continue;
        AUTO(fd)
        int cover = i < files ? clone_mount(AT_FDCWD, "/dev/null", ATTR_DEVICE)
                              : clone_mount(AT_FDCWD, "/var/empty", ATTR_SYSTEM | MOUNT_ATTR_NOEXEC);
        if (cover < 0 || sys_move_mount(cover, AT_FDCWD, path) < 0)
            return error_set_sys(err, errno, hint_kernel, "could not cover \"%s\" of the sandbox", path);
    }
    return OK;
}

struct parts {
    int copies[BIND_COUNT];
    int task, layers, runtime, lang, sdk, scratch, root;
};

static void parts_drop(struct parts *p)
{
    for (int i = 0; i < BIND_COUNT; i++)
        fd_drop(&p->copies[i]);
    fd_drop(&p->task);
    fd_drop(&p->layers);
    fd_drop(&p->runtime);
    fd_drop(&p->lang);
    fd_drop(&p->sdk);
    fd_drop(&p->scratch);
    fd_drop(&p->root);
}

/* Everything that needs the old root. */
static enum outcome collect(const struct sandbox_plan *plan, struct parts *p, int *proc, struct scratch_loop *loop,
                            struct error *err)
{
    for (int i = 0; i < BIND_COUNT; i++) {
        p->copies[i] = clone_mount(AT_FDCWD, binds[i].from, binds[i].attributes);
        if (p->copies[i] < 0 && (binds[i].required || errno != ENOENT))
            return error_set_sys(err, errno, hint_kernel, "could not bind \"%s\" into the sandbox", binds[i].from);
    }
    if (!plan->trial) {
        TRY(clone_code(plan->digest, "the code", &p->task, err));
        TRY(clone_layers(plan, &p->layers, err));
    }
    if (!plan->trial && *plan->family) {
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "runtimes/%s", plan->family);
        TRY(clone_beneath(plan->share_dir, path, RESOLVE_NO_MAGICLINKS, "the bootstrap", &p->runtime, err));
    }
    if (*plan->runtime_dir)
        TRY(clone_beneath(plan->runtime_dir, plan->lang, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, "the runtime",
                          &p->lang, err));
    if (*plan->sdk_dir)
        TRY(clone_beneath(plan->sdk_dir, plan->sdk, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, "the SDK", &p->sdk,
                          err));
    TRY(make_proc(proc, err));
    if (plan->template_fd >= 0)
        TRY(scratch_mount(plan->scratch_dir, plan->template_fd, &p->scratch, loop, err));
    else
        TRY(scratch_mount_tmpfs(plan->tmp_mb, &p->scratch, err));
    return make_root(&p->root, err);
}

static enum outcome fill(const struct sandbox_plan *plan, struct parts *p, int proc, struct error *err)
{
    TRY(write_skeleton(p->root, plan, err));
    TRY(attach_binds(p->root, p->copies, err));
    TRY(attach(proc, p->root, "proc", err));
    TRY(attach(p->scratch, p->root, "tmp", err));
    if (p->task >= 0)
        TRY(attach(p->task, p->root, "var/task", err));
    if (p->layers >= 0)
        TRY(attach(p->layers, p->root, "opt", err));
    if (p->runtime >= 0)
        TRY(attach(p->runtime, p->root, "var/runtime/hearth", err));
    if (p->lang >= 0)
        TRY(attach(p->lang, p->root, "var/lang", err));
    if (p->sdk >= 0)
        TRY(attach(p->sdk, p->root, "var/runtime/node_modules", err));
    return OK;
}

enum outcome root_build(const struct sandbox_plan *plan, int *proc, struct scratch_loop *loop, struct error *err)
{
    /* Nothing we mount may show outside, nor anything that is mounted outside later show here. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return error_set_sys(err, errno, hint_kernel, "could not make the sandbox's mounts private");
    AUTO(parts)
    struct parts p = { .task = -1, .layers = -1, .runtime = -1, .lang = -1, .sdk = -1, .scratch = -1, .root = -1 };
    memset(p.copies, -1, sizeof(p.copies));
    TRY(collect(plan, &p, proc, loop, err));
    /* pivot_root wants the new root to be attached somewhere; what lies below /usr was copied by now. */
    if (sys_move_mount(p.root, AT_FDCWD, "/usr") < 0)
        return error_set_sys(err, errno, hint_kernel, "could not attach the sandbox's root");
    TRY(fill(plan, &p, *proc, err));
    if (fchdir(p.root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return error_set_sys(err, errno, hint_kernel, "could not enter the sandbox's root");
    TRY(mask_proc(err));
    if (set_attributes(p.root, ATTR_SYSTEM | MOUNT_ATTR_NOEXEC, 0) < 0)
        return error_set_sys(err, errno, hint_kernel, "could not make the sandbox's root read-only");
    return OK;
}

/* ---- small files, read once ---- */

static void keep(struct kept_files *k, const char *path)
{
    if (k->count == SANDBOX_KEPT_FILES_MAX)
        return;
    char absolute[80];
    snprintf(absolute, sizeof(absolute), "/%s", path);
    struct buffer content;
    buffer_init(&content);
    struct error ignored;
    AUTO(fd)
    int fd = open(absolute, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fd_read_all(fd, SANDBOX_KEPT_BYTES_MAX, &content, &ignored) == OK) {
        struct kept_file *f = &k->file[k->count++];
        snprintf(f->path, sizeof(f->path), "%s", path);
        f->len = content.len;
        f->at = buffer_take(&content).at;
    }
    buffer_drop(&content);
}

void kept_files_read(struct kept_files *k)
{
    k->count = 0;
    keep(k, "etc/services");
    keep(k, "etc/protocols");
    keep(k, "etc/ssl/openssl.cnf");
    for (size_t i = 0; runtime_at(i) != NULL; i++) {
        if (runtime_at(i)->family != RUNTIME_PYTHON)
            continue;
        char path[64]; /* Debian's site-packages link there */
        snprintf(path, sizeof(path), "etc/%s/sitecustomize.py", runtime_at(i)->id);
        keep(k, path);
    }
}

void kept_files_done(struct kept_files *k)
{
    for (size_t i = 0; i < k->count; i++)
        free(k->file[i].at);
    k->count = 0;
}
