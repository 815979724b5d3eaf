#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/options.h"

static const struct cli_option options[] = { CLI_JSON_OPTION };

void cli_machine_drop(struct cli_machine *machine)
{
    for (size_t i = 0; i < machine->keeper.runtime_dir_count; i++)
        text_drop(&machine->dirs[i]);
    text_drop(&machine->share);
    config_done(&machine->config);
}

enum outcome cli_machine_read(struct cli_machine *out, struct error *err)
{
    memset(out, 0, sizeof(*out));
    TRY(config_load(0, NULL, &out->config, err));
    out->share = config_share_dir(&out->config);
    out->keeper.data_dir = -1;
    out->keeper.share_dir = out->share;
    out->keeper.runtime_dir_count = config_runtime_dirs(&out->config, out->dirs);
    for (size_t i = 0; i < out->keeper.runtime_dir_count; i++)
        out->keeper.runtime_dirs[i] = out->dirs[i];
    out->keeper.privileged = geteuid() == 0;
    out->keeper.uid_base = (uid_t)out->config.uid_base;
    return OK;
}

/* ---- list ---- */

/* The directory that holds the runtime; NULL for the system's. */
static const char *where_is(const struct cli_machine *machine, const char *id)
{
    for (size_t i = 0; i < machine->keeper.runtime_dir_count; i++) {
        char path[PATH_MAX];
        if ((size_t)snprintf(path, sizeof(path), "%s/%s/lang", machine->dirs[i], id) < sizeof(path) &&
            access(path, F_OK) == 0)
            return machine->dirs[i];
    }
    return NULL;
}

static void list(const struct cli_machine *machine, bool json)
{
    if (!json)
        printf("%-16s %-10s %s\n", "RUNTIME", "INSTALLED", "WHERE, OR HOW TO GET IT");
    for (size_t i = 0; runtime_at(i) != NULL; i++) {
        const struct runtime_id *runtime = runtime_at(i);
        char how[256] = "";
        bool there = runtime_installed(&machine->keeper, runtime, how);
        const char *where = where_is(machine, runtime->id);
        const char *own = runtime->family == RUNTIME_PROVIDED ? "the function's own bootstrap" : "the system's";
        const char *told = !there ? how : where != NULL ? where : own;
        if (json)
            printf("%s{\"id\":\"%s\",\"installed\":%s}", i == 0 ? "[" : ",", runtime->id, there ? "true" : "false");
        else
            printf("%-16s %-10s %s\n", runtime->id, there ? "yes" : "no", told);
    }
    if (json)
        printf("]\n");
}

/* ---- add, rm ---- */

static enum outcome run_script(const char *script, const char *target, const char *id, struct error *err)
{
    char *words[] = { (char *)script, (char *)target, (char *)id, NULL };
    pid_t pid;
    int status;
    int problem = posix_spawn(&pid, script, NULL, NULL, words, environ);
    if (problem != 0)
        return error_set_sys(err, problem, "Install Hearth again: the script belongs beside its bootstraps.",
                             "could not run \"%s\"", script);
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return error_set_sys(err, errno, "Try again.", "could not wait for \"%s\"", script);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return error_set(err, ERROR_INTERNAL, "Its own words above say why.", "could not install \"%s\"", id);
    return OK;
}

static bool id_is_known(const char *id)
{
    return strcmp(id, "sdk") == 0 || runtime_find(slice_of(id)) != NULL;
}

static enum outcome add(const struct cli_machine *machine, const char *id, struct error *err)
{
    char script[PATH_MAX];
    const struct runtime_id *runtime = runtime_find(slice_of(id));
    AUTO(text)
    char *target = config_runtime_target(&machine->config);
    if (machine->share == NULL ||
        (size_t)snprintf(script, sizeof(script), "%s/scripts/runtime-add", machine->share) >= sizeof(script))
        return error_set(err, ERROR_NOT_FOUND, "Name the checkout or PREFIX/share/hearth with HEARTH_SHARE.",
                         "could not find the script that adds runtimes");
    if (runtime != NULL && runtime->family != RUNTIME_NODE) {
        char how[256] = "";
        if (runtime_installed(&machine->keeper, runtime, how))
            return OK;
        return error_set(err, ERROR_UNSUPPORTED, how, "\"%s\" cannot be added: Python is the system's", id);
    }
    TRY(run_script(script, target, id, err));
    printf("added %s to %s\n", id, target);
    return OK;
}

static enum outcome rm(const struct cli_machine *machine, const char *id, struct error *err)
{
    static const char *const sdk[] = { "sdk-node18", "sdk-node20" };
    bool is_sdk = strcmp(id, "sdk") == 0;
    const char *const *names = is_sdk ? sdk : &id;
    AUTO(text)
    char *target = config_runtime_target(&machine->config);
    AUTO(fd)
    int dir = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool any = false;
    for (size_t i = 0; dir >= 0 && i < (is_sdk ? 2U : 1U); i++)
        any = any || faccessat(dir, names[i], F_OK, 0) == 0;
    if (!any)
        return error_set(err, ERROR_NOT_FOUND, "`hearth runtime list` shows what is where.",
                         "\"%s\" is not in \"%s\"", id, target);
    for (size_t i = 0; i < (is_sdk ? 2U : 1U); i++)
        TRY(dir_remove(dir, names[i], err));
    printf("removed %s from %s\n", id, target);
    return OK;
}

static int run(int argc, char **argv)
{
    struct cli_line line;
    struct error err = { 0 };
    struct cli_machine machine;
    int end = cli_read_line(&cli_runtime, argc, argv, &line);
    if (end != CLI_GO)
        return end;
    const char *what = line.rest_count == 0 ? "list" : line.rest[0];
    bool adds = strcmp(what, "add") == 0, lists = strcmp(what, "list") == 0 || strcmp(what, "ls") == 0;
    if (!lists && !adds && strcmp(what, "rm") != 0)
        return cli_refuse(&cli_runtime, "unknown action \"%s\": list, add or rm", what);
    if (!lists && line.rest_count < 2)
        return cli_refuse(&cli_runtime, "name the runtime: nodejs22.x, or sdk");
    for (int i = 1; !lists && i < line.rest_count; i++) {
        if (!id_is_known(line.rest[i]))
            return cli_refuse(&cli_runtime, "unknown runtime \"%s\"; `hearth runtime list` shows which there are",
                              line.rest[i]);
    }
    if (cli_machine_read(&machine, &err) != OK)
        return cli_fail(&err);
    if (lists)
        list(&machine, cli_is_on(&line, "json"));
    end = CLI_DONE;
    for (int i = 1; !lists && i < line.rest_count && end == CLI_DONE; i++) {
        if ((adds ? add : rm)(&machine, line.rest[i], &err) != OK)
            end = cli_fail(&err);
        (void)fflush(stdout);
    }
    cli_machine_drop(&machine);
    return end;
}

const struct cli_command cli_runtime = {
    .name = "runtime",
    .summary = "list, add and remove what functions run on",
    .run = run,
    .usage = "[list | add ID... | rm ID...]",
    .text = "    A Node.js runtime is npm's package \"node\" of that major version, put into "
            "/usr/local/lib/hearth/runtimes (root)\n"
            "    or $XDG_DATA_HOME/hearth/runtimes (a person), or where HEARTH_RUNTIMES says. \"sdk\" is the set "
            "of AWS SDK clients\n"
            "    that functions can import without bringing them. Python is the system's own.\n",
    CLI_OPTIONS(options),
    .examples = "    hearth runtime add nodejs22.x\n"
                "    hearth runtime add sdk\n",
};
