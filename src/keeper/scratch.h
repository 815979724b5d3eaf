/* scratch: /tmp of an instance. On disk where loop devices exist: a sparse ext4 image without a name, copied from a template a size that is
 * made once and kept open, also without a name: a killed keeper leaves no file. Elsewhere a tmpfs, whose size is added to the memory limit.
 * Why not a tmpfs at once: its pages are charged to the instance's memory, and Lambda's /tmp is not. */
#pragma once

#include "keeper/keeper.h"

enum { SCRATCH_TEMPLATES_MAX = 8, SCRATCH_INODE_BYTES = 16 * 1024 };

struct scratch_template {
    uint32_t mb;
    int fd;           /* owned */
    uint64_t used_at; /* for the oldest to give way */
};
struct scratch {
    int dir; /* DATA/sandbox; owned */
    bool on_disk;
    char why[256]; /* not on disk: why, and the remedy */
    uint64_t uses;
    struct scratch_template templates[SCRATCH_TEMPLATES_MAX];
};

/* `s->dir` is set. When `privileged`, tries whether images work here, by making and attaching one. */
void scratch_init(struct scratch *s, bool privileged);
void scratch_done(struct scratch *s);
/* The template of that size, made now if need be; borrowed. Blocks for some 10 ms when it must be made. */
MUST_CHECK enum outcome scratch_template(struct scratch *s, uint32_t mb, int *fd, struct error *err);
/* Which use of which loop device: another keeper on this machine may get the number a moment after us, so the number alone says nothing. */
struct scratch_loop {
    int32_t number;    /* -1 none */
    uint64_t sequence; /* the kernel counts one up at each attach and detach (BLKGETDISKSEQ, Linux 5.15) */
};
#define SCRATCH_LOOP_NONE ((struct scratch_loop){ .number = -1 })

/* In the sandbox's first process, still privileged: a detached mount with the fresh file system, to be moved to its place. */
MUST_CHECK enum outcome scratch_mount(int dir, int template_fd, int *mount, struct scratch_loop *loop,
                                      struct error *err);
MUST_CHECK enum outcome scratch_mount_tmpfs(uint32_t mb, int *mount, struct error *err);
bool scratch_loop_free(const struct scratch_loop *loop); /* our image is attached to it no more */
