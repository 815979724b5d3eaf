/* engine/package_zip: reads a stranger's zip into a tree. For the unpacking child, its tests and its fuzz target alone.
 * Thread: one, and in production a process of its own, confined before it reads the first byte (package_confine.h). */
#pragma once

#include "base/error.h"
#include "base/slice.h"
#include "engine/package.h"

enum {
    PACKAGE_NAME_BYTES_MAX = 255,             /* of one part of a path: what file systems take */
    PACKAGE_LINKS_MAX = 10 * 1000,            /* ours: npm makes some hundred */
    PACKAGE_LINK_HOPS_MAX = 40,               /* as the kernel: links met on the way to one target */
    PACKAGE_LINK_STEPS_MAX = 2 * 1000 * 1000, /* looking into all links together */
};

struct package_figures {
    uint64_t files; /* files and links */
    uint64_t bytes;
};

/* Two passes. The first reads the names and what the zip declares, and refuses before anything is written: names that lead out or are not
 * plain, two entries for one path, links that lead out, encryption, methods other than stored and deflated, sizes. The second unpacks,
 * counts what really comes out, and makes the links last, so that no path that is written ever goes through one.
 *   dir   an empty directory; -1: everything but the writing
 *   err   ERROR_INVALID    what is wrong with the zip
 *         ERROR_TOO_LARGE  the tree would be PACKAGE_TREE_BYTES_MAX or more
 *         ERROR_DISK_FULL, ERROR_INTERNAL
 * What was written before a failure stays: the caller removes `dir`. */
MUST_CHECK enum outcome package_zip_read(struct slice zip, int dir, struct package_figures *out, struct error *err);
