/* engine/package_store: between the store of packages (package.c) and what is done for one of them off the loop (package_work.c,
 * package_child.c). */
#pragma once

#include <uthash.h>

#include "engine/package.h"

enum {
    PACKAGE_CHILDREN_MAX = 2,            /* unpacking at the same time; the others wait */
    PACKAGE_ANSWER_BYTES_MAX = 8 * 1024, /* what a child may say */
    PACKAGE_ASIDE_BYTES = 32,            /* ".new-" and 16 hex digits */
};

struct put;

/* One digest. It is in the table while somebody holds it, it is on disk, or a put of it is under way. */
struct package {
    char digest[65];
    size_t references;
    bool present; /* DATA/code/<digest> is there, complete */
    bool known;   /* `info` has been read */
    struct package_info info;
    struct put *leader; /* the put that unpacks it; others of the same digest wait in leader->followers */
    UT_hash_handle hh;
};

struct package_store {
    uv_loop_t *loop;
    int code; /* DATA/code */
    char *self;
    struct package *packages; /* uthash by digest */
    struct put *ready;        /* first in, first out: waiting for one of PACKAGE_CHILDREN_MAX */
    struct put *running;      /* with a child */
    size_t children;
    size_t under_way; /* puts and removals: the store is freed when there are none */
    bool closing;
};

/* One package_put or package_check. */
struct put {
    struct package_store *store;
    struct put *next; /* in ready, running or followers */
    struct put *followers;
    bool check;        /* keep nothing */
    struct buffer zip; /* until it has been written aside */
    package_done_fn *done;
    void *arg;
    struct package_info info;
    uint64_t files;
    enum outcome outcome;
    struct error err;
    char aside[PACKAGE_ASIDE_BYTES]; /* the directory that becomes code/<digest>; "" when there is none */
    int zip_fd, tree_fd;             /* for the child */
    int answer_fd;                   /* our end */
    uv_work_t work;
    uv_process_t process;
    uv_timer_t timer; /* PACKAGE_UNPACK_S_MAX */
    int handles;      /* process and timer that are not closed yet */
    bool timed_out;
    int64_t exit_status;
    int term_signal;
};

/* ---- package_work.c: on a thread of libuv's pool; a failure is in put->outcome and put->err ---- */
void put_work_digest(struct put *put);  /* size, SHA-256 */
void put_work_prepare(struct put *put); /* writes the zip aside, opens what the child gets */
void put_work_publish(
    struct put *put); /* after the child: syncs and renames into place, or removes what is aside */
void put_work_read_info(struct put *put); /* figures of a package that is there, into put->info */
void put_fail(struct put *put, const struct error *err);
bool package_has_extensions(int package); /* the open directory of one package */
MUST_CHECK enum outcome package_read_tree_bytes(int code, const char *digest, uint64_t *out, struct error *err);
void package_aside_name(const char *prefix, char out[PACKAGE_ASIDE_BYTES]);

/* ---- package_child.c: on the loop ---- */
/* Starts the child; `ended` is called later, once nothing of it is left; failures are in the put. */
void put_child_start(struct put *put, void (*ended)(struct put *put));
void put_child_kill(struct put *put); /* and waits until it is dead; `ended` still comes, from the loop */
