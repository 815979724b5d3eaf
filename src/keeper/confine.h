/* confine: what takes rights away from a process, for good. Runs in the sandbox's own processes after the root is built.
 * What the keeper keeps of root's capabilities (keeper_capabilities in confine.c says what for): the rest is gone from its bounding set too. */
#pragma once

#include <linux/filter.h>

#include "keeper/keeper.h"

struct filter {
    struct sock_filter *at; /* owned */
    unsigned short len;
};
struct filters {
    struct filter refuse; /* what a function may not ask for, by its arguments; everything else passes to `allow` */
    struct filter allow;  /* the calls a function may make; the rest does not exist (ENOSYS) */
    struct filter first;  /* the few calls of a sandbox's first process */
};

/* Compiles the filters once. `shared_memory` false (no memory limit by cgroup): memfd_create is refused, since what it holds is in no figure. */
MUST_CHECK enum outcome filters_init(struct filters *f, bool shared_memory, struct error *err);
void filters_done(struct filters *f);
MUST_CHECK enum outcome filter_load(const struct filter *f, struct error *err);

struct confine_limits {
    uint64_t data_bytes; /* RLIMIT_DATA; 0: none */
    uint32_t files, processes;
};
MUST_CHECK enum outcome confine_limits(const struct confine_limits *l, struct error *err);
/* Groups, gid, uid, capabilities (all sets), securebits, no_new_privs; checks afterwards that they are gone.
 *   mapped  true in a user namespace of our own, where setgroups is switched off */
MUST_CHECK enum outcome confine_drop(uid_t uid, gid_t gid, bool mapped, struct error *err);
MUST_CHECK enum outcome confine_bare(
    struct error *err); /* an ordinary user without a sandbox: all that can be given up */
MUST_CHECK enum outcome confine_keeper(struct error *err); /* the keeper itself, privileged mode */
