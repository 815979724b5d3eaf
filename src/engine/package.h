/* engine/package: code packages. A zip becomes a content-addressed, read-only tree: DATA/code/<sha256 hex>/{tree/,package.zip,package.json}, written aside,
 * synced file by file, renamed into place, the parent synced. The zip is unpacked by a confined child (`hearth unpack-package`: no keys,
 * rlimits, no_new_privs, Landlock where the kernel has it, seccomp), never in the server.
 * Thread: the loop's; work is done by the child and libuv's pool. */
#pragma once

#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"

enum {
    PACKAGE_ZIP_BYTES_MAX = 50 * 1024 * 1024,   /* AWS Lambda quotas: zipped, direct upload */
    PACKAGE_TREE_BYTES_MAX = 250 * 1024 * 1024, /* AWS Lambda quotas: unzipped */
    PACKAGE_FILES_MAX = 100 * 1000,             /* ours: entries in a zip */
    PACKAGE_PATH_BYTES_MAX = 1024,
    PACKAGE_UNPACK_S_MAX = 120, /* the child is killed then */
};

struct package_info {
    char digest[65];        /* SHA-256 of the zip, hex */
    char sha256_base64[45]; /* the same as Lambda's CodeSha256 */
    uint64_t zip_bytes, tree_bytes;
    bool
        extensions; /* files below extensions/: what a layer with Lambda extensions has; not looked for by package_check */
};

struct package_store;
/* Makes code/ (0700), removes half-written leftovers. `self` is the path of this binary (the child): the
 * server must still be able to execute it. `data_dir` is borrowed for the call. */
MUST_CHECK enum outcome package_store_open(uv_loop_t *loop, int data_dir, const char *self,
                                           struct package_store **out, struct error *err);
/* Kills children that run and waits for them. Puts that are under way still answer (ERROR_UNAVAILABLE) while the loop turns on; the store is freed
 * with the last of them. No other call may follow. Packages stay as they are: do not release them first. */
void package_store_close(struct package_store *store);

/* Unpacks (or finds) a package and holds one reference for the caller: package_release gives it back.
 *   zip   taken
 *   err   ERROR_INVALID/InvalidParameterValueException ("Could not unzip uploaded file. Please check your file, then try to upload again."
 *         and what is wrong: zip-slip, absolute path, link out of the tree, duplicate name, encrypted entry, bomb, not a zip),
 *         ERROR_TOO_LARGE: RequestEntityTooLargeException for the zip; ERROR_INVALID: "Unzipped size must be smaller than 262144000 bytes" for the tree, ERROR_DISK_FULL */
typedef void package_done_fn(enum outcome outcome, const struct package_info *info, const struct error *err,
                             void *arg);
void package_put(struct package_store *store, struct buffer *zip, package_done_fn *done, void *arg);
/* The checks and figures without keeping the tree (DryRun). */
void package_check(struct package_store *store, struct buffer *zip, package_done_fn *done, void *arg);
/* References: one a function version and one an instance. The tree goes (renamed aside, removed in the pool) when the last has gone. */
void package_hold(struct package_store *store, const char *digest);
void package_release(struct package_store *store, const char *digest);
/* At start, once all functions are loaded and have called package_hold: trees that nobody holds are removed. A held one that is missing is logged. */
void package_sweep(struct package_store *store);
MUST_CHECK bool package_exists(const struct package_store *store, const char *digest);
/* At start only (it reads): how large the tree is unpacked; 0 when that cannot be told. */
uint64_t package_tree_bytes(struct package_store *store, const char *digest);
/* Opens package.zip for reading, in the pool. A digest that nobody holds any more may still be had while it lies there; what was opened can be read to
 * its end whatever becomes of the package.
 *   done  called once, later; `fd` is the callee's to close, -1 on failure.  err: ERROR_NOT_FOUND; ERROR_UNAVAILABLE while the store closes */
typedef void package_opened_fn(int fd, uint64_t bytes, const struct error *err, void *arg);
void package_open_zip(struct package_store *store, const char *digest, package_opened_fn *done, void *arg);

/* `hearth unpack-package`: the child's main. fd 3 the zip, fd 4 the directory to fill; prints {"files":n,"bytes":n} or an error as JSON on fd 5.
 * When fd 4 is no directory the zip is only checked. Does not return. */
int package_unpack_main(void);
