/* watch: what an instance uses where no cgroup tells (an ordinary user's machine without delegation): its processes' resident sets, added
 * up from its own /proc. Not in the figure: shared memory that no process has mapped. */
#pragma once

#include <stdint.h>

struct watch_figures {
    uint64_t resident_bytes;
    unsigned processes;
};
enum { WATCH_INTERVAL_MS = 50 };

/* proc: the sandbox's /proc. False when it cannot be read (the sandbox has ended). */
_Bool watch_read(int proc, struct watch_figures *out);
