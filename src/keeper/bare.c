#include "keeper/bare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/memory.h"

enum { PLACES = 6 };
struct place {
    const char *inside;
    char outside[PATH_MAX];
};

static void find_places(const struct sandbox_plan *plan, const char *code, const char *layer,
                        struct place places[PLACES])
{
    places[0].inside = "/var/task";
    snprintf(places[0].outside, PATH_MAX, "%s", code);
    places[1].inside = "/var/runtime/hearth";
    snprintf(places[1].outside, PATH_MAX, "%.3000s/runtimes/%.32s", plan->share_dir, plan->family);
    places[2].inside = "/var/runtime/node_modules";
    snprintf(places[2].outside, PATH_MAX, "%.3000s/%.64s", plan->sdk_dir, plan->sdk);
    places[3].inside = "/var/lang";
    snprintf(places[3].outside, PATH_MAX, "%.3000s/%.64s", plan->runtime_dir, plan->lang);
    places[4].inside = "/var/runtime";
    snprintf(places[4].outside, PATH_MAX, "%s", places[1].outside);
    places[5].inside = "/opt"; /* the host's own is none of ours: without a layer there is nothing */
    snprintf(places[5].outside, PATH_MAX, "%s", layer);
}

/* Each element of a list between colons that begins with one of the places, or an equals sign. Owned by the process, which will exec. */
static char *translate(const char *text, bool is_assignment, const struct place places[PLACES])
{
    struct buffer out;
    buffer_init(&out);
    const char *value = is_assignment ? strchr(text, '=') : NULL;
    if (value != NULL)
        buffer_append(&out, text, (size_t)(value + 1 - text));
    const char *at = value != NULL ? value + 1 : text;
    for (bool first = true; first || *at == ':'; first = false) {
        if (!first)
            buffer_append_byte(&out, *at++);
        size_t len = strcspn(at, ":");
        for (int i = 0; i < PLACES; i++) {
            size_t inside = strlen(places[i].inside);
            if (len >= inside && memcmp(at, places[i].inside, inside) == 0 &&
                (len == inside || at[inside] == '/')) {
                buffer_append_text(&out, places[i].outside);
                at += inside;
                len -= inside;
                break;
            }
        }
        buffer_append(&out, at, len);
        at += len;
    }
    buffer_append_byte(&out, '\0');
    return out.at;
}

/* The Runtime API is not where it is inside a sandbox. */
static char *translate_port(const char *text, unsigned port)
{
    static const char name[] = "AWS_LAMBDA_RUNTIME_API=";
    struct buffer out;
    if (port == 0 || strncmp(text, name, sizeof(name) - 1) != 0)
        return NULL;
    buffer_init(&out);
    buffer_appendf(&out, "%s127.0.0.1:%u", name, port);
    buffer_append_byte(&out, '\0');
    return out.at;
}

static char **translate_all(char *const *from, bool are_assignments, unsigned port,
                            const struct place places[PLACES])
{
    size_t count = 0;
    while (from[count] != NULL)
        count++;
    char **to = memory_new_array(count + 1, sizeof(*to));
    for (size_t i = 0; i < count; i++) {
        to[i] = are_assignments ? translate_port(from[i], port) : NULL;
        if (to[i] == NULL)
            to[i] = translate(from[i], are_assignments, places);
    }
    return to;
}

/* Where it lies; makes it the working directory. */
static enum outcome enter_tree(int code_dir, const char *digest, char out[PATH_MAX], struct error *err)
{
    char path[KEEPER_DIGEST_BYTES + 8];
    snprintf(path, sizeof(path), "%s/tree", digest);
    struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
    AUTO(fd)
    int tree = (int)syscall(SYS_openat2, code_dir, path, &how, sizeof(how));
    if (tree < 0 || fchdir(tree) < 0 || getcwd(out, PATH_MAX) == NULL)
        return error_set_sys(err, errno, "Deploy the function again.", "could not enter the code \"%s\"", path);
    return OK;
}

enum outcome bare_enter(const struct sandbox_plan *plan, char ***argv, char ***envp, const char **wrapper,
                        struct error *err)
{
    char code[PATH_MAX], layer[PATH_MAX] = "/dev/null";
    if (plan->layer_count > 1)
        return error_set(err, ERROR_UNSUPPORTED, "Merge the layers into one.",
                         "without a sandbox a function cannot have %zu layers, only one", plan->layer_count);
    AUTO(fd)
    int code_dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (plan->layer_count == 1)
        TRY(enter_tree(code_dir, plan->layers[0], layer, err));
    TRY(enter_tree(code_dir, plan->digest, code, err));
    struct place places[PLACES];
    find_places(plan, code, layer, places);
    *argv = translate_all(plan->argv, false, 0, places);
    *envp = translate_all(plan->envp, true, plan->runtime_port, places);
    *wrapper = translate(plan->wrapper, false, places);
    return OK;
}

enum outcome bare_check(struct error *err)
{
    char code[PATH_MAX];
    if (getcwd(code, sizeof(code)) == NULL || access(code, R_OK | X_OK) < 0)
        return error_set_sys(err, errno,
                             "Without a sandbox the data directory must be open to all (chmod 711), or Hearth run "
                             "as an ordinary user.",
                             "could not enter \"%s\" as user %u", code, (unsigned)getuid());
    return OK;
}

void bare_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* Whose parent it is; 0 when it is gone. "pid (any text) state ppid ..." */
static pid_t parent_of(const char *pid)
{
    char path[300], text[512];
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    AUTO(fd)
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    text[got > 0 ? got : 0] = '\0';
    const char *after = strrchr(text, ')');
    return after != NULL && strlen(after) > 4 ? (pid_t)strtol(after + 4, NULL, 10) : 0;
}

/* Its orphans became our children: kill what is there until nothing is. */
void bare_end_all(void)
{
    for (;;) {
        DIR *list = opendir("/proc");
        for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
            uint64_t pid;
            if (slice_to_u64(slice_of(entry->d_name), INT_MAX, &pid) && parent_of(entry->d_name) == getpid())
                kill((pid_t)pid, SIGKILL);
        }
        if (list != NULL)
            closedir(list);
        if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
            return;
    }
}
