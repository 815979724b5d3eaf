/* world: a real keeper over a temporary data directory, and functions that are hostile programs. The Python bootstrap of its share_dir
 * does nothing but exec /var/task/hostile with the words of HOSTILE_ARGS; everything else is what production has. */
#pragma once

#include "keeper/keeper.h"

enum {
    WORLD_OUTPUT_BYTES = 64 * 1024,
    WORLD_USER = 65534,
    WORLD_UID_BASE = 790000,
    WORLD_WAIT_MS = 30000,
    WORLD_INSTANCES_MAX = 256
};

struct world {
    char dir[64]; /* the temporary directory */
    int data_dir;
    struct keeper_config config;
    struct keeper_link link;
    struct keeper_report report;
    const char *runtime; /* an installed Python */
    uint64_t last_id;
};

struct instance {
    uint64_t id;
    int channel, out; /* our ends */
    bool started, ended, failed;
    struct keeper_event start, end;
    char output[WORLD_OUTPUT_BYTES];
    size_t output_len;
};

/* main of every test program: "ordinary" as first argument makes it an ordinary user, "version-2" hides cgroups of version 1. False: the test cannot run here (exit 77). */
bool world_become(int argc, char **argv);

struct world *world_new(void); /* asserts that a keeper can be had */
struct world *world_new_without_keeper(void);
void world_free(struct world *w);        /* closes the keeper, checks that nothing is left, removes the directory */
void world_drop_keeper(struct world *w); /* closes the keeper alone */

/* Unpacked code: a tree with "hostile" in it, which is that program. */
void world_code(struct world *w, const char *program, char digest[KEEPER_DIGEST_BYTES]);
/* Adds a file to the tree of that name (a function's code or a layer), and says its digest. */
void world_put(struct world *w, const char *tree, const char *file, const char *text, mode_t mode,
               char digest[KEEPER_DIGEST_BYTES]);
struct keeper_start world_start_of(struct world *w, const char *program, const char *arguments, struct instance *i);
struct instance *world_start(struct world *w, const char *program, const char *arguments, uint32_t memory_mb);
void world_kill(struct world *w, struct instance *i);
/* What world_start_of made, perhaps changed by the test. */
struct instance *world_send(struct world *w, struct keeper_start *start, struct instance *i);
/* Each returns once it is so; fails the test after WORLD_WAIT_MS. */
void world_wait_started(struct world *w, struct instance *i);
void world_wait_output(struct world *w, struct instance *i, const char *text);
void world_wait_refused(struct world *w, struct instance *i); /* START_FAILED */
void world_wait_ended(struct world *w, struct instance *i);
void instance_free(struct instance *i);
/* Start, end, and the exit status must be 0: the program found no way. */
void world_holds(struct world *w, const char *program, const char *arguments, uint32_t memory_mb);

/* Of this world, by its name and directory. */
int world_count_cgroups(const struct world *w);
int world_count_loops(const struct world *w);
int count_entries(const char *dir);
int count_descriptors(pid_t pid);
int count_mounts(void);
