/* start: the keeper's reading of START. The sender may have been taken over, so nothing in it is believed: runtime ids come from our table,
 * arguments from here, code is named by its digest, and the descriptors must be what they should be. */
#include "keeper/parts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "keeper/entry.h"

static const char hint[] = "This is a bug of Hearth's, or its server process has been taken over.";
static const char hint_start[] = "Run \"hearth doctor\".";

static bool is_text(const char *at, size_t size)
{
    return memchr(at, '\0', size) != NULL;
}

static bool is_digest(const char digest[KEEPER_DIGEST_BYTES])
{
    for (int i = 0; i < KEEPER_DIGEST_BYTES - 1; i++)
        if (!isdigit((unsigned char)digest[i]) && !(digest[i] >= 'a' && digest[i] <= 'f'))
            return false;
    return digest[KEEPER_DIGEST_BYTES - 1] == '\0';
}

/* Digests without a gap, then nothing. */
static bool are_layers(const char layers[KEEPER_LAYERS_MAX][KEEPER_DIGEST_BYTES])
{
    size_t used = 0;
    while (used < KEEPER_LAYERS_MAX && layers[used][0] != '\0')
        if (!is_digest(layers[used++]))
            return false;
    for (; used < KEEPER_LAYERS_MAX; used++)
        if (layers[used][0] != '\0')
            return false;
    return true;
}

/* "NAME=value\0", NAME as a shell takes it. */
static bool is_environment(const char *at, size_t len)
{
    for (size_t i = 0; i < len;) {
        const char *end = memchr(at + i, '\0', len - i);
        if (end == NULL)
            return false;
        size_t name = i;
        while (isalnum((unsigned char)at[i]) || at[i] == '_')
            i++;
        if (i == name || at[i] != '=' || isdigit((unsigned char)at[name]))
            return false;
        i = (size_t)(end - at) + 1;
    }
    return true;
}

/* A pipe's inode will be given to the instance's uid: a named file must never pass here. */
static bool is_output_pipe(int fd)
{
    struct stat st;
    struct statfs fs;
    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type == PIPEFS_MAGIC &&
           (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
}

static bool is_channel(int fd)
{
    int domain = 0, type = 0;
    socklen_t a = sizeof(domain), b = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &a) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &b) == 0 && domain == AF_UNIX && type == SOCK_STREAM;
}

void start_request_done(struct start_request *request)
{
    fd_drop(&request->channel);
    fd_drop(&request->out);
    fd_drop(&request->err);
}

static enum outcome check_fields(const struct start_request *r, struct error *err)
{
    const struct wire_start *s = &r->head;
    if (!is_text(s->runtime, sizeof(s->runtime)) || !is_text(s->actual, sizeof(s->actual)) || !is_digest(s->digest))
        return error_set(err, ERROR_INVALID, hint, "START names its runtime or code wrongly");
    const struct runtime_id *asked = runtime_find(slice_of(s->runtime)),
                            *actual = runtime_find(slice_of(s->actual));
    if (asked == NULL || actual == NULL || asked->family != actual->family)
        return error_set(err, ERROR_INVALID, hint, "START asks for runtime \"%s\" on \"%s\"", s->runtime,
                         s->actual);
    if (!are_layers(s->layers) || !is_text(s->wrapper, sizeof(s->wrapper)))
        return error_set(err, ERROR_INVALID, hint, "START names its layers or its wrapper wrongly");
    if (s->memory_mb < KEEPER_MEMORY_MB_MIN || s->memory_mb > KEEPER_MEMORY_MB_MAX ||
        s->tmp_mb < KEEPER_TMP_MB_MIN || s->tmp_mb > KEEPER_TMP_MB_MAX)
        return error_set(err, ERROR_INVALID, hint, "START asks for %u MB of memory and %u MB of /tmp", s->memory_mb,
                         s->tmp_mb);
    if (!is_environment(r->environment, s->environment_bytes))
        return error_set(err, ERROR_INVALID, hint, "START has an environment that is none");
    if (!is_channel(r->channel) || !is_output_pipe(r->out) || !is_output_pipe(r->err))
        return error_set(err, ERROR_INVALID, hint, "START came with the wrong kind of descriptors");
    return OK;
}

enum outcome start_check(const char *at, size_t len, int *fds, size_t fd_count, struct start_request *out,
                         struct error *err)
{
    out->channel = fd_count > 0 ? fds[0] : -1;
    out->out = fd_count > 1 ? fds[1] : -1;
    out->err = fd_count > 2 ? fds[2] : -1;
    enum outcome outcome = OK;
    if (len < sizeof(out->head) || fd_count != WIRE_START_DESCRIPTORS)
        outcome = error_set(err, ERROR_INVALID, hint, "START has %zu bytes and %zu descriptors", len, fd_count);
    if (outcome == OK) {
        memcpy(&out->head, at, sizeof(out->head));
        if (out->head.environment_bytes > KEEPER_ENVIRONMENT_BYTES_MAX ||
            len != sizeof(out->head) + out->head.environment_bytes)
            outcome = error_set(err, ERROR_INVALID, hint, "START has an environment of %u bytes",
                                out->head.environment_bytes);
    }
    if (outcome == OK) {
        memcpy(out->environment, at + sizeof(out->head), out->head.environment_bytes);
        out->environment[out->head.environment_bytes] = '\0';
        outcome = check_fields(out, err);
    }
    if (outcome != OK)
        start_request_done(out);
    return outcome;
}

/* Which of the directories has "<path>"; NULL when none. */
static const char *find_dir(const struct parts_of_keeper *parts, const char *path)
{
    for (size_t i = 0; i < parts->config.runtime_dir_count; i++) {
        char full[PARTS_PATH_BYTES + 128];
        snprintf(full, sizeof(full), "%s/%s", parts->runtime_dirs[i], path);
        struct stat st;
        if (stat(full, &st) == 0)
            return parts->runtime_dirs[i];
    }
    return NULL;
}

/* Lambda's own flags: a heap that grows to nearly all of MemorySize, a young generation that a small one can afford. */
static enum outcome plan_node(struct parts_of_keeper *parts, const struct runtime_id *actual,
                              struct start_plan *out, struct error *err)
{
    struct sandbox_plan *p = &out->plan;
    uint32_t mb = out->limits.memory_mb, semi = mb * 5 / 100;
    char node[96];
    snprintf(out->lang, sizeof(out->lang), "%s/lang", actual->id);
    snprintf(node, sizeof(node), "%s/bin/node", out->lang);
    snprintf(out->sdk, sizeof(out->sdk), "sdk-node%d/node_modules", actual->major >= 20 ? 20 : 18);
    p->runtime_dir = find_dir(parts, node);
    if (p->runtime_dir == NULL)
        return error_set(err, ERROR_NOT_FOUND, "Run \"hearth runtime add\" for it.",
                         "runtime \"%s\" is not installed", actual->id);
    p->lang = out->lang;
    const char *sdk_dir = find_dir(parts, out->sdk);
    p->sdk_dir = sdk_dir != NULL ? sdk_dir : "";
    p->sdk = out->sdk;
    p->family = "node";
    snprintf(out->old_space, sizeof(out->old_space), "--max-old-space-size=%u", mb * 90 / 100);
    snprintf(out->semi_space, sizeof(out->semi_space), "--max-semi-space-size=%u", semi > 0 ? semi : 1);
    snprintf(out->program, sizeof(out->program), "/var/lang/bin/node");
    char *const argv[] = { out->program, out->old_space, out->semi_space,
                           (char *)(uintptr_t) "/var/runtime/hearth/bootstrap.js", NULL };
    memcpy(out->argv, argv, sizeof(argv));
    return OK;
}

static enum outcome plan_python(const struct runtime_id *actual, struct start_plan *out, struct error *err)
{
    snprintf(out->program, sizeof(out->program), "/usr/bin/python%d.%d", actual->major, actual->minor);
    if (access(out->program, X_OK) < 0)
        return error_set_sys(err, errno, "Install it from your distribution.", "could not find runtime \"%s\"",
                             actual->id);
    out->plan.family = "python";
    /* -B: nothing but /tmp is writable, so no attempt at __pycache__. */
    char *const argv[] = { out->program, (char *)(uintptr_t) "-B",
                           (char *)(uintptr_t) "/var/runtime/hearth/bootstrap.py", NULL };
    memcpy(out->argv, argv, sizeof(argv));
    return OK;
}

/* Which of Lambda's two places its bootstrap is in is seen inside. */
static enum outcome plan_provided(struct start_plan *out)
{
    out->plan.family = "";
    out->plan.runtime_api = true;
    out->plan.wrapper = ""; /* AWS Lambda: wrapper scripts are not for OS-only runtimes */
    for (size_t i = 0; i < ENTRY_PLACES; i++)
        out->argv[i] = (char *)(uintptr_t)entry_places[i];
    out->argv[ENTRY_PLACES] = NULL;
    return OK;
}

static enum outcome plan_runtime(struct parts_of_keeper *parts, const struct runtime_id *actual,
                                 struct start_plan *out, struct error *err)
{
    switch (actual->family) {
    case RUNTIME_NODE:
        return plan_node(parts, actual, out, err);
    case RUNTIME_PYTHON:
        return plan_python(actual, out, err);
    case RUNTIME_PROVIDED:
        break;
    }
    return plan_provided(out);
}

/* How many there are without those that come again further up: two layers may have the same content, and overlayfs takes no directory twice. What
 * lies under itself shows nothing: all that it has stands above. */
static size_t distinct_layers(struct wire_start *s)
{
    size_t count = 0;
    for (size_t i = 0; i < KEEPER_LAYERS_MAX && s->layers[i][0] != '\0'; i++) {
        bool again = false;
        for (size_t k = i + 1; k < KEEPER_LAYERS_MAX && !again; k++)
            again = memcmp(s->layers[i], s->layers[k], sizeof(s->layers[i])) == 0;
        if (!again)
            memmove(s->layers[count++], s->layers[i], sizeof(s->layers[i]));
    }
    return count;
}

static void point_into(struct start_request *request, char **envp)
{
    size_t n = 0;
    for (size_t i = 0; i < request->head.environment_bytes; i += strlen(request->environment + i) + 1)
        envp[n++] = request->environment + i;
    envp[n] = NULL;
}

enum outcome start_plan_make(struct parts_of_keeper *parts, struct start_request *request, unsigned slot,
                             struct start_plan *out, struct error *err)
{
    const struct wire_start *s = &request->head;
    bool privileged = parts->config.privileged;
    bool memory_limited = parts->cgroups.controllers & CG_MEMORY;
    out->plan = (struct sandbox_plan){
        .own_users = !privileged,
        .bare = parts->bare,
        .uid = privileged ? parts->config.uid_base + 1 + slot : SANDBOX_USER_INSIDE,
        .gid = privileged ? parts->config.uid_base + 1 + slot : SANDBOX_GROUP_INSIDE,
        .digest = s->digest,
        .layers = s->layers,
        .layer_count = distinct_layers(&request->head),
        .wrapper = s->wrapper,
        .share_dir = parts->share_dir,
        .runtime_dir = "",
        .lang = "",
        .sdk_dir = "",
        .sdk = "",
        .argv = out->argv,
        .envp = out->envp,
        .tmp_mb = s->tmp_mb,
        .scratch_dir = parts->scratch.dir,
        .template_fd = -1,
        .cgroups = &parts->cgroups,
        .slot = slot,
        .filters = &parts->filters,
        .kept = &parts->kept,
        .channel = request->channel,
        .out = request->out,
        .err = request->err,
        .report = -1,
    };
    out->limits = (struct cgroup_limits){
        .memory_bytes = ((uint64_t)s->memory_mb + (parts->scratch.on_disk ? 0 : s->tmp_mb)) * 1024 * 1024,
        .memory_mb = s->memory_mb,
        .pids = KEEPER_PIDS_MAX,
    };
    /* Without a cgroup: a coarse bound on each process; the watch on the resident set does the rest. Twice, and a gigabyte: thread
     * stacks and heaps that are reserved but not touched count here. */
    out->plan.limits = (struct confine_limits){
        .files = KEEPER_FILES_MAX,
        .processes = KEEPER_PIDS_MAX,
        .data_bytes = memory_limited ? 0 : ((uint64_t)s->memory_mb * 2 + 1024) * 1024 * 1024,
    };
    const struct runtime_id *actual = runtime_find(slice_of(s->actual));
    TRY(plan_runtime(parts, actual, out, err));
    point_into(request, out->envp);
    if (parts->bare && !privileged) {
        out->plan.uid = geteuid();
        out->plan.gid = getegid();
    }
    if (parts->scratch.on_disk && !parts->bare)
        TRY(scratch_template(&parts->scratch, s->tmp_mb, &out->plan.template_fd, err));
    if (privileged && (fchown(request->out, out->plan.uid, out->plan.gid) < 0 ||
                       fchown(request->err, out->plan.uid, out->plan.gid) < 0))
        return error_set_sys(err, errno, hint_start, "could not hand the function its output");
    return OK;
}
