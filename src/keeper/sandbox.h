/* sandbox: makes one. sandbox_spawn clones the first process into its namespaces; that builds the root, starts the runtime and reports. */
#pragma once

#include "keeper/cgroup.h"
#include "keeper/confine.h"
#include "keeper/scratch.h"
#include "keeper/wire.h"

enum {
    SANDBOX_KEPT_FILES_MAX = 16,
    SANDBOX_KEPT_BYTES_MAX = 32 * 1024,
    SANDBOX_USER_INSIDE = 993,
    SANDBOX_GROUP_INSIDE = 990
};
enum { SANDBOX_ARGUMENTS_MAX = 8, SANDBOX_ENTRIES_MAX = KEEPER_ENVIRONMENT_BYTES_MAX / 2, SANDBOX_OOM_SCORE = 900 };

/* Small files of the host's /etc, read once at the keeper's start and written into each root (a mount each would cost more). */
struct kept_file {
    char path[64]; /* relative: "etc/services" */
    char *at;      /* owned */
    size_t len;
};
struct kept_files {
    size_t count;
    struct kept_file file[SANDBOX_KEPT_FILES_MAX];
};
void kept_files_read(struct kept_files *k);
void kept_files_done(struct kept_files *k);

/* All borrowed; read by the first process from its copy of the keeper's memory. */
struct sandbox_plan {
    bool own_users; /* a user namespace each (ordinary user) */
    bool bare;      /* no sandbox at all: see bare.h */
    bool trial;     /* the probe: build the root, then end with 0 */
    uid_t uid;      /* inside */
    gid_t gid;
    const char *digest;                        /* "<digest>/tree" below the working directory, which is DATA/code */
    const char (*layers)[KEEPER_DIGEST_BYTES]; /* the same, in order; KEEPER_LAYERS_MAX of them, unused ones "" */
    size_t layer_count;
    const char *wrapper;     /* executed in the runtime's place, with its command line; "" none */
    bool runtime_api;        /* `provided`: the function's own bootstrap is the program, its listener is ours */
    unsigned runtime_port;   /* without a sandbox: where that one listens */
    const char *share_dir;   /* "" in a trial */
    const char *family;      /* "node" or "python"; "" nothing of ours is inside */
    const char *runtime_dir; /* "" none */
    const char *lang;        /* below runtime_dir: "nodejs20.x/lang"; "" none */
    const char *sdk_dir;     /* where `sdk` is; "" none */
    const char *sdk;         /* below sdk_dir: "sdk-node20/node_modules" */
    char *const *argv;       /* with runtime_api: the places where the bootstrap may be (entry.h) */
    char *const *envp;
    uint32_t tmp_mb;
    int scratch_dir, template_fd; /* template -1: tmpfs */
    const struct cgroup_trees *cgroups;
    unsigned slot;
    const struct filters *filters;
    const struct kept_files *kept;
    struct confine_limits limits;
    int channel, out, err;
    int report; /* SOCK_SEQPACKET to the keeper; its end is ours too */
};

/* pidfd: owned by the caller. The child never returns from this call. */
MUST_CHECK enum outcome sandbox_spawn(const struct sandbox_plan *plan, pid_t *pid, int *pidfd, struct error *err);

/* Closes every descriptor from `from` on but those of `keep` (sorted on the way; -1 entries are passed over). */
void descriptors_keep(int *keep, size_t count, unsigned from);

/* Room-internal (root.c): builds the root in the calling process's own mount namespace and enters it.
 *   proc  a descriptor of the new /proc; owned by the caller
 *   loop  the loop device behind /tmp */
MUST_CHECK enum outcome root_build(const struct sandbox_plan *plan, int *proc, struct scratch_loop *loop,
                                   struct error *err);
