/* server/config: what an operator can set. One YAML file, every key also a flag (--key) or HEARTH_KEY; flag over variable over file over default.
 * Unknown keys are refused with the nearest known one. docs/configuration.md is made from the same table (`hearth serve --help`). Thread: at start. */
#pragma once

#include "base/error.h"
#include "keeper/keeper.h"

struct config {
    char *data;             /* --data DIR */
    char *api;              /* --api ADDR:PORT */
    char *gateway;          /* --gateway ADDR:PORT */
    char *file;             /* --config FILE */
    char *region, *account;
    char *share;            /* bootstraps: found beside the binary or in PREFIX/share/hearth */
    char *runtimes;         /* extra runtime directory, searched first */
    uint64_t drain_s;       /* SIGTERM: running invocations get this long (10) */
    uint64_t idle_s;        /* idle instances live this long (300) */
    uint64_t concurrency;   /* account limit; 0 from memory */
    bool runtime_fallback;  /* run nodejs18.x on Node 20 when 18 is missing, say */
    bool no_sandbox;        /* --dangerously-run-functions-without-sandbox */
    char *log_level;
    uint64_t uid_base;
};
/* argv behind the subcommand. err: ERROR_INVALID with what to write instead. */
MUST_CHECK enum outcome config_load(int argc, char **argv, struct config *out, struct error *err);
void config_done(struct config *config);
void config_usage(void);    /* to stdout: every key with its meaning and default, from the table */
char *config_default_data(void); /* /var/lib/hearth for root, else $XDG_DATA_HOME/hearth or ~/.local/share/hearth; owned */
/* The directories where runtimes are searched: HEARTH_RUNTIMES / --runtimes, the person's or system's own, PREFIX/lib/hearth/runtimes. Owned strings. */
size_t config_runtime_dirs(const struct config *config, char *out[KEEPER_RUNTIME_DIRS_MAX]);
/* Where `hearth runtime add` puts one: the first of those that we may write. */
char *config_share_dir(const struct config *config); /* owned; NULL when not found */
