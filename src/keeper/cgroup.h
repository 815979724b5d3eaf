/* cgroup: limits and meters of instances, on version 2 or version 1, whichever has its controllers here.
 * Thread: the keeper's; cgroup_find also in the process that forks it.
 * Layout: <where we may>/<name>/i<slot>. Only the runtime's processes are inside; a sandbox's first process stays outside, so that neither
 * a freeze nor the out-of-memory killer can stop it from cleaning up. */
#pragma once

#include "keeper/keeper.h"

enum { CGROUP_TREES_MAX = 5, CGROUP_NAME_BYTES = 64, CGROUP_PATH_BYTES = 4096 };
enum cgroup_controller { CG_MEMORY = 1, CG_CPU = 2, CG_CPUACCT = 4, CG_PIDS = 8, CG_FREEZER = 16, CG_ALL = 31 };

struct cgroup_tree {
    int dir;              /* <where we may>/<name>; owned */
    int above;            /* its parent, for the removal at the end; owned */
    unsigned controllers; /* what this hierarchy brings; version 2 has one tree */
};
struct cgroup_trees {
    int version; /* 0 none */
    size_t count;
    struct cgroup_tree tree[CGROUP_TREES_MAX];
    unsigned controllers; /* of all trees */
    char name[CGROUP_NAME_BYTES];
    bool favors_dynmods;
    char why[256]; /* what is missing and the remedy, "" when nothing is */
};
#define CGROUP_TREES_NONE ((struct cgroup_trees){ .version = 0 })

/* Finds where we may make cgroups and makes <name> there; empty trees (version 0) when nowhere. On version 2 it may move this process (the
 * server, before the fork) into a leaf, since processes and enabled controllers cannot share a cgroup. `change_mounts`: version 1 may be made
 * fast by "favordynmods". `probe`: this process was forked by one that waits for it, in the same cgroup, which goes into the leaf too. Removes what
 * a killed predecessor left. */
void cgroup_find(struct cgroup_trees *trees, const char *name, bool privileged, bool change_mounts, bool probe);
void cgroup_trees_drop(struct cgroup_trees *trees); /* closes; removes nothing */
void cgroup_trees_remove(struct cgroup_trees *trees);
void cgroup_clean(const struct cgroup_trees *trees); /* kills and removes every i<slot> that is there */

struct cgroup_limits {
    uint64_t memory_bytes;
    uint32_t memory_mb; /* for the CPU's share */
    uint32_t pids;
};
/* A new instance begins with a whole CPU at least: AWS lends that to the init phase. cgroup_settle ends it. */
MUST_CHECK enum outcome cgroup_make(const struct cgroup_trees *trees, unsigned slot,
                                    const struct cgroup_limits *limits, struct error *err);
/* From now on its own share of CPU: the init phase is over. */
MUST_CHECK enum outcome cgroup_settle(const struct cgroup_trees *trees, unsigned slot, uint32_t memory_mb,
                                      struct error *err);
/* Version 1: the calling process joins every tree. Version 2: processes are cloned into cgroup_open_dir instead. */
MUST_CHECK enum outcome cgroup_join(const struct cgroup_trees *trees, unsigned slot, struct error *err);
int cgroup_open_dir(const struct cgroup_trees *trees, unsigned slot); /* version 2; -1 otherwise */
void cgroup_open_meters(const struct cgroup_trees *trees, unsigned slot, struct keeper_meters *out);
void cgroup_thaw_and_kill(const struct cgroup_trees *trees, unsigned slot);
int cgroup_open_thaw(const struct cgroup_trees *trees,
                     unsigned slot); /* write "THAWED" / "0" to it; -1 when there is none */
/* False while something is still inside: try again later. */
bool cgroup_remove(const struct cgroup_trees *trees, unsigned slot);
uint64_t cgroup_oom_kills(const struct keeper_meters *m);

/* For tests: parsing without a kernel. `path` gets this process's own path of one hierarchy ("/a/b") from the text of /proc/self/cgroup. */
bool cgroup_own_path(const char *text, const char *controller, char *path, size_t size);
struct cgroup_mount {
    char at[CGROUP_PATH_BYTES];   /* mount point */
    char root[CGROUP_PATH_BYTES]; /* which part of the hierarchy is mounted there */
};
/* controller "" means version 2. */
bool cgroup_mount_of(const char *mountinfo, const char *controller, struct cgroup_mount *out);
/* The directory of the own cgroup below the mount point; false when it lies outside of what is mounted. */
bool cgroup_directory(const struct cgroup_mount *mount, const char *own, char *out, size_t size);

/* CPU: AWS Lambda gives 1,769 MB one vCPU and the rest in proportion. */
enum { CGROUP_MB_PER_CPU = 1769, CGROUP_PERIOD_US = 100000, CGROUP_QUOTA_US_MIN = 1000 };
uint64_t cgroup_quota_us(uint32_t memory_mb);
