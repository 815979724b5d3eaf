/* cli/commands: the commands' rows, one a file or two. For the room alone. */
#pragma once

#include "cli/cli.h"
#include "keeper/keeper.h"
#include "server/config.h"

extern const struct cli_command cli_deploy, cli_invoke, cli_logs, cli_ls, cli_rm, cli_env, cli_aws, cli_runtime,
    cli_doctor;

/* Where this machine's runtimes and bootstraps are, for keeper's questions; drop with cli_machine_drop. */
struct cli_machine {
    struct config config;
    char *dirs[KEEPER_RUNTIME_DIRS_MAX];
    char *share; /* NULL when it was not found */
    struct keeper_config keeper;
};
MUST_CHECK enum outcome cli_machine_read(struct cli_machine *out, struct error *err);
void cli_machine_drop(struct cli_machine *machine); /* AUTO(cli_machine) */
