/* cgroup_find: where on this machine we may make cgroups, and with which controllers. Reads /proc/self/mountinfo and /proc/self/cgroup. */
#include "keeper/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/memory.h"

enum { PROC_TEXT_BYTES_MAX = 4 * 1024 * 1024 };

static const struct {
    const char *name;
    unsigned bit;
} controllers[] = {
    { "memory", CG_MEMORY }, { "cpu", CG_CPU },         { "cpuacct", CG_CPUACCT },
    { "pids", CG_PIDS },     { "freezer", CG_FREEZER },
};
enum { CONTROLLER_COUNT = sizeof(controllers) / sizeof(controllers[0]) };

static bool has_word(struct slice list, const char *word)
{
    while (list.len > 0)
        if (slice_is(slice_split(&list, ','), word))
            return true;
    return false;
}

bool cgroup_own_path(const char *text, const char *controller, char *path, size_t size)
{
    /* "4:memory:/a/b"; version 2: "0::/a/b". The path itself may contain colons. */
    for (struct slice rest = slice_of(text); rest.len > 0;) {
        struct slice line = slice_split(&rest, '\n');
        struct slice number = slice_split(&line, ':');
        struct slice names = slice_split(&line, ':');
        bool it = *controller ? has_word(names, controller) : slice_is(number, "0") && names.len == 0;
        if (it && line.len > 0 && line.len < size) {
            memcpy(path, line.at, line.len);
            path[line.len] = '\0';
            return true;
        }
    }
    return false;
}

/* mountinfo writes blanks, tabs, newlines and backslashes as \040 and the like. */
static bool unescape(struct slice from, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < from.len; i++) {
        char c = from.at[i];
        if (c == '\\' && i + 3 < from.len) {
            c = (char)((from.at[i + 1] - '0') * 64 + (from.at[i + 2] - '0') * 8 + (from.at[i + 3] - '0'));
            i += 3;
        }
        if (n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

bool cgroup_mount_of(const char *mountinfo, const char *controller, struct cgroup_mount *out)
{
    for (struct slice rest = slice_of(mountinfo); rest.len > 0;) {
        struct slice line = slice_split(&rest, '\n');
        /* 36 35 98:0 /root /mount/point rw,noatime shared:1 - cgroup cgroup rw,memory */
        struct slice word[6];
        for (int i = 0; i < 6; i++)
            word[i] = slice_split(&line, ' ');
        while (line.len > 0 && !slice_is(slice_split(&line, ' '), "-"))
            ;
        struct slice type = slice_split(&line, ' ');
        slice_split(&line, ' ');
        bool it = *controller ? slice_is(type, "cgroup") && has_word(line, controller) : slice_is(type, "cgroup2");
        if (it && unescape(word[3], out->root, sizeof(out->root)) && unescape(word[4], out->at, sizeof(out->at)))
            return true;
    }
    return false;
}

bool cgroup_directory(const struct cgroup_mount *mount, const char *own, char *out, size_t size)
{
    /* In a container the mount shows a part of the hierarchy; own paths begin with it unless a cgroup namespace hides it. */
    size_t root = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
    if (strncmp(own, "/..", 3) == 0)
        return false;
    const char *tail = own;
    if (root > 0 && strncmp(own, mount->root, root) == 0 && (own[root] == '/' || own[root] == '\0'))
        tail = own + root;
    else if (root > 0)
        return false;
    int n = snprintf(out, size, "%s%s", mount->at, strcmp(tail, "/") == 0 ? "" : tail);
    return n > 0 && (size_t)n < size;
}

struct texts {
    struct buffer mountinfo, cgroup;
};

static void texts_drop(struct texts *t)
{
    buffer_drop(&t->mountinfo);
    buffer_drop(&t->cgroup);
}

static bool read_texts(struct texts *t)
{
    struct error ignored;
    return file_read(AT_FDCWD, "/proc/self/mountinfo", PROC_TEXT_BYTES_MAX, &t->mountinfo, &ignored) == OK &&
           file_read(AT_FDCWD, "/proc/self/cgroup", PROC_TEXT_BYTES_MAX, &t->cgroup, &ignored) == OK;
}

static bool own_directory(struct texts *t, const char *controller, char *out, size_t size)
{
    struct cgroup_mount *mount = memory_new(sizeof(*mount));
    char own[CGROUP_PATH_BYTES];
    bool found = cgroup_mount_of(buffer_text(&t->mountinfo), controller, mount) &&
                 cgroup_own_path(buffer_text(&t->cgroup), controller, own, sizeof(own)) &&
                 cgroup_directory(mount, own, out, size);
    free(mount);
    return found;
}

/* Makes <dir>/<name> and opens both. A name left by a killed predecessor is taken over. */
static bool open_tree_at(const char *dir, const char *name, struct cgroup_tree *out)
{
    AUTO(fd)
    int above = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (above < 0 || (mkdirat(above, name, 0755) < 0 && errno != EEXIST))
        return false;
    AUTO(fd)
    int own = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (own < 0 || faccessat(own, ".", W_OK, AT_EACCESS) < 0)
        return false;
    out->dir = fd_take(&own);
    out->above = fd_take(&above);
    return true;
}

static void find_version_1(struct cgroup_trees *trees, struct texts *t)
{
    char dir[CGROUP_PATH_BYTES];
    for (int i = 0; i < CONTROLLER_COUNT; i++) {
        struct cgroup_tree tree = { -1, -1, 0 };
        if (trees->controllers & controllers[i].bit || !own_directory(t, controllers[i].name, dir, sizeof(dir)) ||
            !open_tree_at(dir, trees->name, &tree))
            continue;
        /* "cpu,cpuacct" is one hierarchy under two names on most machines. */
        tree.controllers = controllers[i].bit;
        struct stat mine, other;
        for (size_t k = 0; k < trees->count; k++)
            if (fstat(tree.dir, &mine) == 0 && fstat(trees->tree[k].dir, &other) == 0 &&
                mine.st_dev == other.st_dev) {
                trees->tree[k].controllers |= tree.controllers;
                fd_drop(&tree.dir);
                fd_drop(&tree.above);
                break;
            }
        trees->controllers |= controllers[i].bit;
        if (tree.dir >= 0)
            trees->tree[trees->count++] = tree;
    }
    trees->version = trees->count > 0 ? 1 : 0;
}

/* Joining a cgroup waits for an RCU grace period of all CPUs (10 to 20 ms measured) unless one hierarchy is mounted with "favordynmods"; then 2 ms.
 * The switch is one for all hierarchies, and only that of version 2 can be told so while mounted. A reconfiguration replaces all flags, so
 * those that are there are said again. Version 2 itself needs none of it: processes are cloned into their cgroup. */
static bool favor_dynmods(struct texts *t, bool change)
{
    for (struct slice rest = buffer_slice(&t->mountinfo); rest.len > 0;) {
        struct slice line = slice_split(&rest, '\n');
        struct slice word[6];
        for (int i = 0; i < 6; i++)
            word[i] = slice_split(&line, ' ');
        while (line.len > 0 && !slice_is(slice_split(&line, ' '), "-"))
            ;
        char at[CGROUP_PATH_BYTES];
        if (!slice_is(slice_split(&line, ' '), "cgroup2") || !unescape(word[4], at, sizeof(at)))
            continue;
        slice_split(&line, ' ');
        if (has_word(line, "favordynmods"))
            return true;
        AUTO(fd)
        int fs = change ? (int)syscall(SYS_fspick, AT_FDCWD, at, FSPICK_CLOEXEC) : -1;
        if (fs < 0)
            return false;
        while (line.len > 0) {
            char flag[64];
            struct slice option = slice_split(&line, ',');
            snprintf(flag, sizeof(flag), "%.*s", SLICE_PRINT(option));
            if (!slice_is(option, "rw") && syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, flag, NULL, 0) < 0)
                return false;
        }
        return syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "favordynmods", NULL, 0) == 0 &&
               syscall(SYS_fsconfig, fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) == 0;
    }
    return false;
}

/* ---- version 2 ---- */

static bool put(int dir, const char *file, const char *text)
{
    AUTO(fd)
    int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static unsigned listed(int dir, const char *file)
{
    struct buffer text;
    buffer_init(&text);
    struct error ignored;
    unsigned found = 0;
    if (file_read(dir, file, 4096, &text, &ignored) == OK)
        for (struct slice rest = slice_trim(buffer_slice(&text)); rest.len > 0;) {
            struct slice word = slice_split(&rest, ' ');
            for (int i = 0; i < CONTROLLER_COUNT; i++)
                if (slice_starts(word, slice_of(controllers[i].name)) &&
                    (word.len == strlen(controllers[i].name) || word.at[strlen(controllers[i].name)] == '\n'))
                    found |= controllers[i].bit;
        }
    buffer_drop(&text);
    return found;
}

/* Gives the children of `dir` what it has. One by one: a single refused word would refuse all. */
static unsigned enable(int dir)
{
    if (listed(dir, "cgroup.controllers") & CG_MEMORY)
        put(dir, "cgroup.subtree_control", "+memory");
    put(dir, "cgroup.subtree_control", "+cpu");
    put(dir, "cgroup.subtree_control", "+pids");
    return listed(dir, "cgroup.subtree_control");
}

/* Only this process, and for a probe the one that waits for it: then the cgroup is ours to divide. */
static bool only_we_are_in(int dir, bool probe)
{
    struct buffer text;
    buffer_init(&text);
    struct error ignored;
    bool alone = file_read(dir, "cgroup.procs", 64 * 1024, &text, &ignored) == OK;
    for (struct slice rest = buffer_slice(&text); alone && rest.len > 0;) {
        uint64_t pid;
        struct slice line = slice_split(&rest, '\n');
        if (line.len > 0 && (!slice_to_u64(line, INT32_MAX, &pid) ||
                             (pid != (uint64_t)getpid() && !(probe && pid == (uint64_t)getppid()))))
            alone = false;
    }
    buffer_drop(&text);
    return alone;
}

/* "server": where this process, and the keeper it forks, go. Processes may be in leaves alone once controllers are enabled.
 * all: every process of this cgroup goes, not only we (the topmost one of a container is the container's own to divide). */
static bool move_into_leaf(int dir, bool all)
{
    if (mkdirat(dir, "server", 0755) < 0 && errno != EEXIST)
        return false;
    if (!all)
        return put(dir, "server/cgroup.procs", "0");
    struct buffer text;
    buffer_init(&text);
    struct error ignored;
    bool listed = file_read(dir, "cgroup.procs", PROC_TEXT_BYTES_MAX, &text, &ignored) == OK;
    for (struct slice rest = buffer_slice(&text); listed && rest.len > 0;) {
        char pid[16];
        struct slice line = slice_split(&rest, '\n');
        snprintf(pid, sizeof(pid), "%.*s", SLICE_PRINT(line));
        (void)!put(dir, "server/cgroup.procs", pid); /* one that has ended meanwhile cannot be moved */
    }
    buffer_drop(&text);
    return listed;
}

enum divide { DIVIDE_NOT, DIVIDE_OURS, DIVIDE_ALL };

static bool take_version_2(struct cgroup_trees *trees, const char *dir, enum divide divide)
{
    AUTO(fd)
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (divide != DIVIDE_NOT && !move_into_leaf(fd, divide == DIVIDE_ALL)))
        return false;
    unsigned enabled = enable(fd);
    struct cgroup_tree tree = { -1, -1, 0 };
    if (!open_tree_at(dir, trees->name, &tree))
        return false;
    /* Our own children get them from <name>, in which there are no processes. */
    enabled &= enable(tree.dir);
    /* cgroup.freeze and usage_usec in cpu.stat need no controller. */
    tree.controllers = enabled | CG_CPUACCT | (faccessat(tree.dir, "cgroup.freeze", F_OK, 0) == 0 ? CG_FREEZER : 0);
    trees->tree[trees->count++] = tree;
    trees->controllers = tree.controllers;
    trees->version = 2;
    return true;
}

/* systemd marks what it hands over (Delegate=yes): trusted.delegate for root's eyes, user.delegate for everybody's. */
static bool is_delegated(const char *dir)
{
    char value[8];
    return getxattr(dir, "user.delegate", value, sizeof(value)) > 0 ||
           getxattr(dir, "trusted.delegate", value, sizeof(value)) > 0;
}

static void find_version_2(struct cgroup_trees *trees, struct texts *t, bool privileged, bool probe)
{
    struct cgroup_mount *mount = memory_new(sizeof(*mount));
    char own[CGROUP_PATH_BYTES];
    if (!cgroup_mount_of(buffer_text(&t->mountinfo), "", mount) || !own_directory(t, "", own, sizeof(own))) {
        free(mount);
        return;
    }
    /* A server that was started again by hand in its own unit stands in "server" already: divide what lies above. */
    size_t len = strlen(own);
    bool in_leaf = len > 7 && strcmp(own + len - 7, "/server") == 0;
    if (in_leaf)
        own[len - 7] = '\0';
    bool top = strcmp(own, mount->at) == 0;
    AUTO(fd)
    int dir = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ours = dir >= 0 && access(own, W_OK) == 0 && !top && (in_leaf || is_delegated(own) || !privileged) &&
                (in_leaf || only_we_are_in(dir, probe));
    if (ours)
        take_version_2(trees, own, in_leaf ? DIVIDE_NOT : probe ? DIVIDE_ALL : DIVIDE_OURS);
    else if (privileged)
        /* The real topmost cgroup may hold processes and divide; that of a container (which has a type) may not do both. */
        take_version_2(trees, mount->at,
                       dir >= 0 && top && faccessat(dir, "cgroup.type", F_OK, 0) == 0 ? DIVIDE_ALL : DIVIDE_NOT);
    free(mount);
}

static void explain(struct cgroup_trees *trees, bool privileged)
{
    const unsigned wanted = CG_MEMORY | CG_CPU | CG_PIDS;
    if ((trees->controllers & wanted) == wanted)
        return;
    snprintf(trees->why, sizeof(trees->why),
             privileged ? "not all of memory, cpu and pids can be limited by cgroups here: run Hearth as a service "
                          "with Delegate=yes, or a container "
                          "with --cgroupns=private and a writable /sys/fs/cgroup"
                        : "no cgroup is delegated to us: start Hearth by \"systemd-run --user --scope -p "
                          "Delegate=yes hearth serve\", or as a "
                          "user service with Delegate=yes");
}

void cgroup_find(struct cgroup_trees *trees, const char *name, bool privileged, bool change_mounts, bool probe)
{
    *trees = CGROUP_TREES_NONE;
    snprintf(trees->name, sizeof(trees->name), "%s", name);
    AUTO(texts)
    struct texts t = { BUFFER_EMPTY, BUFFER_EMPTY };
    if (!read_texts(&t))
        return;
    /* The version whose controllers are there: version 2 may be mounted beside version 1 and have none. */
    struct cgroup_mount *mount = memory_new(sizeof(*mount));
    bool first_has_memory = cgroup_mount_of(buffer_text(&t.mountinfo), "memory", mount);
    free(mount);
    if (first_has_memory)
        find_version_1(trees, &t);
    else
        find_version_2(trees, &t, privileged, probe);
    if (trees->controllers == 0)
        cgroup_trees_drop(trees);
    if (trees->version == 1)
        trees->favors_dynmods = favor_dynmods(&t, privileged && change_mounts);
    explain(trees, privileged);
    cgroup_clean(trees);
}

void cgroup_trees_drop(struct cgroup_trees *trees)
{
    for (size_t i = 0; i < trees->count; i++) {
        fd_drop(&trees->tree[i].dir);
        fd_drop(&trees->tree[i].above);
    }
    trees->count = 0;
    trees->version = 0;
}

void cgroup_trees_remove(struct cgroup_trees *trees)
{
    for (size_t i = 0; i < trees->count; i++)
        unlinkat(trees->tree[i].above, trees->name, AT_REMOVEDIR);
}
