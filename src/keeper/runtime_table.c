/* runtime_table: the runtime ids of AWS Lambda that Hearth knows, and where each is looked for.
 * Source: AWS Lambda developer guide, "Lambda runtimes". */
#include "keeper/keeper.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static const struct runtime_id runtimes[] = {
    { "nodejs18.x", RUNTIME_NODE, 18, 0, false },      { "nodejs20.x", RUNTIME_NODE, 20, 0, false },
    { "nodejs22.x", RUNTIME_NODE, 22, 0, false },      { "nodejs24.x", RUNTIME_NODE, 24, 0, true },
    { "python3.9", RUNTIME_PYTHON, 3, 9, false },      { "python3.10", RUNTIME_PYTHON, 3, 10, false },
    { "python3.11", RUNTIME_PYTHON, 3, 11, false },    { "python3.12", RUNTIME_PYTHON, 3, 12, false },
    { "python3.13", RUNTIME_PYTHON, 3, 13, false },    { "python3.14", RUNTIME_PYTHON, 3, 14, false },
    { "provided.al2", RUNTIME_PROVIDED, 0, 0, false }, { "provided.al2023", RUNTIME_PROVIDED, 0, 0, false },
};

const struct runtime_id *runtime_find(struct slice id)
{
    for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++)
        if (slice_is(id, runtimes[i].id))
            return &runtimes[i];
    return NULL;
}

const struct runtime_id *runtime_at(size_t index)
{
    return index < sizeof(runtimes) / sizeof(runtimes[0]) ? &runtimes[index] : NULL;
}

bool runtime_installed(const struct keeper_config *config, const struct runtime_id *runtime, char how[256])
{
    char path[PATH_MAX];
    if (runtime->family == RUNTIME_PROVIDED) /* the function brings it */
        return true;
    if (runtime->family == RUNTIME_PYTHON) {
        /* The system's own interpreter alone: /usr/local and version managers are not inside a sandbox. */
        snprintf(path, sizeof(path), "/usr/bin/%s", runtime->id);
        if (access(path, X_OK) == 0)
            return true;
        snprintf(how, 256,
                 "/usr/bin/%s is not there: install that Python from your distribution, or set runtime_fallback: "
                 "true in "
                 "the configuration",
                 runtime->id);
        return false;
    }
    for (size_t i = 0; i < config->runtime_dir_count && i < KEEPER_RUNTIME_DIRS_MAX; i++) {
        snprintf(path, sizeof(path), "%s/%s/lang/bin/node", config->runtime_dirs[i], runtime->id);
        if (access(path, X_OK) == 0)
            return true;
    }
    snprintf(how, 256, "%s is not installed: run \"hearth runtime add %s\"", runtime->id, runtime->id);
    return false;
}
