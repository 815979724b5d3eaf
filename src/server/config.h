/* server/config: what an operator can set. One YAML file, every key also a flag (--key) or HEARTH_KEY; flag over variable over file over default.
 * Unknown keys are refused with the nearest known one. docs/configuration.md is made from the same table (`hearth serve --help`). Thread: at start. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "keeper/keeper.h"

enum {
    CONFIG_FILE_BYTES_MAX = 64 * 1024, /* the configuration file */
    CONFIG_DURATION_S_MAX = 24 * 3600, /* any duration that can be set */
    CONFIG_DRAIN_MS_DEFAULT = 10 * 1000,
    CONFIG_IDLE_MS_DEFAULT = 300 * 1000,
    CONFIG_UID_BASE_DEFAULT = 1900000000, /* above every range that systemd's UIDS-GIDS gives away */
    CONFIG_UID_BASE_CONTAINER = 50000,    /* where that is not mapped: a container of 65,536 ids */
};

struct config {
    char *data;    /* --data DIR; absolute */
    char *api;     /* --api ADDR:PORT */
    char *gateway; /* --gateway ADDR:PORT */
    char *file;    /* --config FILE; NULL when none was read */
    char *region, *account;
    char
        *share; /* bootstraps: found beside the binary or in PREFIX/share/hearth; NULL: config_share_dir finds it */
    char *runtimes;           /* extra runtime directory, searched first; NULL none */
    uint64_t drain_ms;        /* SIGTERM: running invocations get this long (10 s) */
    uint64_t idle_ms;         /* idle instances live this long (300 s) */
    uint64_t concurrency;     /* account limit; 0 from memory */
    bool leave_cgroup_mounts; /* cgroup v1, root: the keeper does not set favordynmods */
    bool runtime_fallback;    /* run nodejs18.x on Node 20 when 18 is missing, say */
    bool no_sandbox;          /* --dangerously-run-functions-without-sandbox */
    char *log_level;          /* debug, info, warn, error */
    uint64_t uid_base;
};
/* argv behind the subcommand. err: ERROR_INVALID with what to write instead. On success the caller owns `out` (config_done). */
MUST_CHECK enum outcome config_load(int argc, char **argv, struct config *out, struct error *err);
void config_done(struct config *config);
void config_drop(struct config *config); /* AUTO(config); the same */
void config_usage(void);                 /* to stdout: every key with its meaning and default, from the table */
void config_usage_markdown(void);        /* the same as docs/configuration.md */
char *config_default_data(
    void); /* /var/lib/hearth for root, else $XDG_DATA_HOME/hearth or ~/.local/share/hearth; owned */
/* The directories where runtimes are searched: HEARTH_RUNTIMES / --runtimes, the person's or system's own, PREFIX/lib/hearth/runtimes. Owned strings. */
size_t config_runtime_dirs(const struct config *config, char *out[KEEPER_RUNTIME_DIRS_MAX]);
/* Where `hearth runtime add` puts one: what HEARTH_RUNTIMES names, else the system's for root, else the person's own. Owned. */
char *config_runtime_target(const struct config *config);
/* What lies beside the binary: a checkout (build/hearth) or PREFIX/share/hearth (PREFIX/bin/hearth). Owned; NULL when not found. */
char *config_share_dir(const struct config *config);

/* ---- for the room and its tests ---- */
void config_init(struct config *config); /* all defaults */
/* Sets one key as it is written in the file ("log_level"). `where` begins the message: "hearth.yaml line 3". */
MUST_CHECK enum outcome config_set(struct config *config, const char *where, struct slice key, struct slice value,
                                   struct error *err);
MUST_CHECK enum outcome config_read_yaml(struct config *config, const char *where, struct slice text,
                                         struct error *err);
/* Every key that the file may hold with its value, as YAML that config_read_yaml reads back to the same. */
void config_write_yaml(const struct config *config, struct buffer *out);
/* The name out of `names` that `word` most likely meant; NULL when none is near. */
const char *config_nearest(struct slice word, const char *const *names, size_t count);
