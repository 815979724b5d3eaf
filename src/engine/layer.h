/* engine/layer: layers and their versions. A layer version's zip is a package as a function's is (engine/package.h), merged on /opt.
 * Callers: services/lambda; engine (what a function names).   Thread: the loop's.
 * Promise: as the engine's: on disk, then in memory, then answered. A version that a function uses may be deleted; the function keeps it.
 * Source: AWS Lambda API, PublishLayerVersion and its relatives. */
#pragma once

#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"
#include "engine/function.h"
#include "engine/package.h"
#include "store/store.h"

enum {
    LAYER_NAME_BYTES_MAX = 140, /* model: LayerName */
    LAYER_DESCRIPTION_BYTES_MAX = 256,
    LAYER_LICENSE_BYTES_MAX = 512,
    LAYER_RUNTIMES_MAX = 15,
    LAYER_ARCHITECTURES_MAX = 2,
};

struct layer_version { /* immutable */
    char *name;
    uint64_t version;
    char arn[FUNCTION_ARN_BYTES]; /* with the version */
    char *description, *license;  /* NULL: not given */
    char *runtimes[LAYER_RUNTIMES_MAX], *architectures[LAYER_ARCHITECTURES_MAX];
    size_t runtime_count, architecture_count;
    bool runtimes_given, architectures_given; /* an empty list that was given is told as one */
    bool extensions;                          /* it has files below extensions/ */
    char digest[65], code_sha256[45];
    uint64_t code_bytes, tree_bytes;
    int64_t created_ms;
    char *policy;             /* JSON of its resource policy; NULL none */
    char policy_revision[37]; /* "": there never was one */
};

struct layers;
struct layers_config {
    const char *account, *region; /* borrowed */
    struct store *store;
    struct package_store *packages;
};
/* Loads all (blocking: at start), and holds their packages. */
MUST_CHECK enum outcome layers_open(uv_loop_t *loop, const struct layers_config *config, struct layers **out,
                                    struct error *err);
/* What is under way still answers while the loop turns on (ERROR_UNKNOWN, whatever it comes to), then it is freed. */
void layers_free(struct layers *layers);
size_t layers_changes(const struct layers *layers); /* under way */

/* Borrowed until the loop turns. NULL: none. */
const struct layer_version *layer_find(const struct layers *layers, struct slice name, uint64_t version);
/* "arn:aws:lambda:REGION:ACCOUNT:layer:NAME:7" of this account and region; NULL when it is none, or not there. */
const struct layer_version *layer_find_arn(const struct layers *layers, struct slice arn);
/* The newest of each layer that fits, in order of name, from behind `after`. `runtime`, `architecture` empty: any (a layer that names none fits no
 * runtime but "any", as AWS has it). */
size_t layer_list(const struct layers *layers, struct slice after, struct slice runtime, struct slice architecture,
                  size_t max, const struct layer_version **out, bool *more);
/* Newest first, from below `before` (0: the newest). */
size_t layer_list_versions(const struct layers *layers, struct slice name, uint64_t before, struct slice runtime,
                           struct slice architecture, size_t max, const struct layer_version **out, bool *more);

typedef void layer_saved_fn(enum outcome outcome, const struct layer_version *version, const struct error *err,
                            void *arg);
/* `draft` (without version, arn, digest, sizes; malloc'ed members) and `zip` are taken.  err: as package_put's, for a layer's */
void layer_publish(struct layers *layers, struct layer_version **draft, struct buffer *zip, layer_saved_fn *done,
                   void *arg);
struct layer_version *layer_version_new(struct slice name);
void layer_version_free(struct layer_version *version);
/* A version that is not there is no error, as on AWS. `version` is NULL in `done`. Numbers never return. */
void layer_delete(struct layers *layers, struct slice name, uint64_t version, layer_saved_fn *done, void *arg);
/* Replaces its resource policy; empty: none. `expected_revision`: what policy_revision must still be when it is this one's turn ("" too: whoever
 * changes a policy has read it).  err: ERROR_NOT_FOUND, ERROR_PRECONDITION */
void layer_put_policy(struct layers *layers, struct slice name, uint64_t version, struct slice policy,
                      struct slice expected_revision, layer_saved_fn *done, void *arg);

uint64_t layers_code_bytes(
    const struct layers *layers); /* the zips of all versions, each as often as it is named */
/* Do the code of `function` and its layers fit, unpacked, into Lambda's limit together? To be asked whenever one of them changes, once tree_bytes is
 * known.  err: InvalidParameterValueException with AWS's text */
MUST_CHECK enum outcome layer_sizes_check(const struct function *function, struct error *err);
