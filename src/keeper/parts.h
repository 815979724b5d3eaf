/* parts: what the keeper works with, made by the process that is still trusted, before the fork; and the probe that tries it. */
#pragma once

#include "keeper/sandbox.h"

enum { PARTS_PATH_BYTES = 4096 };

struct parts_of_keeper {
    struct keeper_config config; /* strings owned, below */
    char share_dir[PARTS_PATH_BYTES];
    char runtime_dirs[KEEPER_RUNTIME_DIRS_MAX][PARTS_PATH_BYTES];
    int code_dir; /* DATA/code; the keeper's working directory */
    struct cgroup_trees cgroups;
    struct scratch scratch;
    struct filters filters;
    struct kept_files kept;
    struct keeper_report report;
    bool bare; /* no sandbox can be had, and the owner said that this is all right */
};

/* Fills it and the report; tries a sandbox. On failure (no sandbox can be had) `err` says why and the parts are dropped.
 *   trial  for doctor: takes no lock and makes no directory for code */
MUST_CHECK enum outcome parts_make(const struct keeper_config *config, bool trial, struct parts_of_keeper **out,
                                   struct error *err);
void parts_free(struct parts_of_keeper *parts);

/* The keeper's process: never returns. */
_Noreturn void keeper_run(struct parts_of_keeper *parts, int control);

/* start.c: what START asks for, checked, and turned into a plan. */
struct start_request {
    struct wire_start head;
    char environment[KEEPER_ENVIRONMENT_BYTES_MAX + 1];
    int channel, out, err; /* owned */
};
/* at: what came. Takes the descriptors whatever happens. */
MUST_CHECK enum outcome start_check(const char *at, size_t len, int *fds, size_t fd_count,
                                    struct start_request *out, struct error *err);
void start_request_done(struct start_request *request);

struct start_plan {
    struct sandbox_plan plan;
    char lang[64], sdk[64], old_space[40], semi_space[40], program[40];
    char *argv[SANDBOX_ARGUMENTS_MAX];
    char *envp[SANDBOX_ENTRIES_MAX + 1];
    struct cgroup_limits limits;
};
MUST_CHECK enum outcome start_plan_make(struct parts_of_keeper *parts, struct start_request *request, unsigned slot,
                                        struct start_plan *out, struct error *err);
