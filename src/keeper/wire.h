/* wire: what goes over the socketpair between server and keeper, and between keeper and a sandbox's first process.
 * Both ends are the same binary, so plain structs in one packet each (SOCK_SEQPACKET) do; the receiver still checks
 * every size, type and value, because the server's end may have been taken over. */
#pragma once

#include "keeper/keeper.h"
#include "keeper/scratch.h"

enum { WIRE_VERSION = 1 };
enum wire_type { WIRE_START = 1, WIRE_KILL = 2, WIRE_READY = 3, WIRE_STOP = 4, WIRE_CONTINUE = 5 };

struct wire_head {
    uint32_t type;
    uint32_t version;
    uint64_t id;
};

/* With it: three descriptors, channel, stdout, stderr; then `environment_bytes` bytes. */
struct wire_start {
    struct wire_head head;
    char runtime[KEEPER_RUNTIME_BYTES];
    char actual[KEEPER_RUNTIME_BYTES];
    char digest[KEEPER_DIGEST_BYTES];
    char layers[KEEPER_LAYERS_MAX][KEEPER_DIGEST_BYTES];
    char wrapper[KEEPER_WRAPPER_BYTES];
    uint32_t memory_mb, tmp_mb;
    uint32_t environment_bytes;
};
enum { WIRE_START_DESCRIPTORS = 3, WIRE_BYTES_MAX = sizeof(struct wire_start) + KEEPER_ENVIRONMENT_BYTES_MAX };

enum wire_meter {
    METER_PEAK,
    METER_NOW,
    METER_CPU,
    METER_TASKS,
    METER_FREEZE,
    METER_OOM,
    METER_LISTENER,
    METER_RUNTIME_LISTENER,
    METER_COUNT
};

/* Keeper to server. Descriptors follow in the order of the bits of `meters`. */
struct wire_event {
    struct wire_head head; /* type: enum keeper_event_type */
    uint32_t meters;       /* bit n: descriptor n of enum wire_meter is with it */
    int32_t cgroup_version;
    int32_t pid;
    int32_t wait_status;
    uint32_t oom_killed, was_killed, entry_refused;
    uint64_t memory_peak, cpu_us;
    char message[256];
};

/* The keeper to a sandbox's first process: one byte. */
enum { SANDBOX_STOP = 's', SANDBOX_CONTINUE = 'c' };

/* A sandbox's first process to the keeper. */
enum report_type { REPORT_STARTED = 1, REPORT_FAILED, REPORT_ENDED };
/* STARTED: pidfd of the runtime; with a sandbox its listener and its /proc too; behind them the Runtime API's listener, where there is one */
enum { REPORT_DESCRIPTORS_BARE = 1, REPORT_DESCRIPTORS = 3, REPORT_DESCRIPTORS_MAX = 4 };
struct sandbox_report {
    uint32_t type;
    int32_t wait_status;      /* ENDED */
    uint32_t entry_refused;   /* FAILED: what the function brought to be executed cannot be */
    struct scratch_loop loop; /* STARTED, FAILED: what is behind /tmp */
    char message[256];        /* FAILED */
};

/* One packet with descriptors. Returns what sendmsg and recvmsg give; recv never leaves a descriptor behind:
 * those beyond `fds_max` are closed and make it fail with EBADMSG, as a truncated packet does. */
ssize_t wire_send(int fd, const void *a, size_t a_len, const void *b, size_t b_len, const int *fds,
                  size_t fd_count);
ssize_t wire_recv(int fd, void *at, size_t len, int *fds, size_t fds_max, size_t *fd_count);
