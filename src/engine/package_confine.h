/* engine/package_confine: what the unpacking child gives up before it reads the first byte of a stranger's zip.
 * Thread: the only one of its process. */
#pragma once

#include "base/error.h"

enum {
    CONFINE_MEMORY_BYTES_MAX = 512 * 1024 * 1024,
    CONFINE_CPU_S_MAX = 60, /* 250 MB of the slowest deflate take about 2 s */
    CONFINE_FILES_MAX = 16, /* descriptors: 0 to 5, and the file that is written */
};

/* The process dies with its parent from here on. Limits, no new privileges, not dumpable, root directory = `dir` (where the kernel lets us), Landlock (where the kernel has it), seccomp.
 *   dir   the only place that may be written; -1: none */
MUST_CHECK enum outcome package_confine(int dir, struct error *err);
