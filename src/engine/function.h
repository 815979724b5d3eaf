/* engine/function: what a function is, in memory and as a row. Immutable once published: an update makes a new one; instances hold the one that they
 * were started for. Thread: the loop's. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "keeper/keeper.h"

enum { /* AWS Lambda quotas and API model */
       FUNCTION_NAME_BYTES_MAX = 64,
       FUNCTION_HANDLER_BYTES_MAX = 128,
       FUNCTION_DESCRIPTION_BYTES_MAX = 256,
       FUNCTION_TIMEOUT_S_MAX = 900,
       FUNCTION_TIMEOUT_S_DEFAULT = 3,
       FUNCTION_MEMORY_MB_DEFAULT = 128,
       FUNCTION_TMP_MB_DEFAULT = 512,
       FUNCTION_ENVIRONMENT_BYTES_MAX = 4096, /* names, values and JSON around them */
       FUNCTION_TAGS_MAX = 50,
       FUNCTION_LAYERS_MAX = 5,
       FUNCTION_ARN_BYTES = 256,
};

struct variable {
    char *name, *value;
};

/* One of its layers, as it was when it was named: the layer version may be deleted, the function keeps it. */
struct function_layer {
    char arn[FUNCTION_ARN_BYTES]; /* "arn:aws:lambda:REGION:ACCOUNT:layer:NAME:7" */
    char digest[65];              /* of its package; the function holds a reference to it, as to its own */
    uint64_t code_bytes, tree_bytes;
};

struct function {
    unsigned references; /* function_hold / function_release */
    char *name;
    char *version;           /* "$LATEST" or "7" */
    uint64_t version_number; /* 0: $LATEST */
    const struct runtime_id *runtime;
    char *handler, *role, *description;
    uint32_t timeout_s, memory_mb, tmp_mb;
    char *architecture;          /* "x86_64" | "arm64" */
    char *tracing_mode;          /* "PassThrough" | "Active" */
    char *log_group;             /* "/aws/lambda/NAME" */
    char *log_format;            /* "Text" | "JSON" */
    char *application_log_level; /* JSON only: "TRACE" .. "FATAL"; NULL with Text */
    char *system_log_level;      /* JSON only: "DEBUG" | "INFO" | "WARN"; NULL with Text */
    char *latest_description; /* of a version published with one of its own: what $LATEST's was then; else NULL */
    char *kms_key_arn;        /* NULL when none */
    struct variable *environment; /* sorted by name */
    size_t environment_count;
    struct variable *tags;
    size_t tag_count;              /* of the function; a version has none */
    struct function_layer *layers; /* merged on /opt in this order, later ones over earlier ones */
    size_t layer_count;
    char digest[65]; /* of its package */
    char code_sha256[45];
    uint64_t code_bytes;
    uint64_t tree_bytes; /* unpacked; 0 in rows of the first schema: package_tree_bytes tells */
    char revision_id[37];
    int64_t modified_ms;
    char arn[FUNCTION_ARN_BYTES]; /* unqualified, of a version too */
    struct pool *pool;            /* the dispatcher's, one a published function object; NULL until it is used */
};

/* One reference, all defaults; name, handler, role, log_group and runtime are NULL until the caller sets them (owned strings). */
struct function *function_new(void);
struct function *function_copy(const struct function *f); /* to change and publish; no pool, one reference */
struct function *function_hold(struct function *f);
void function_release(struct function *f);
void function_drop(struct function **f); /* AUTO(function) */

/* The box's own: "x86_64" or "arm64", the only one that functions can have here. */
const char *function_architecture(void);

/* The number of a published version as it is written: "7", not "07" or "0". */
bool function_version_number(struct slice text, uint64_t *number);
/* Has `latest` the code and configuration that it had when `version` was published from it? Tags, revisions and times are not looked at. */
bool function_unchanged(const struct function *latest, const struct function *version);

/* Sorts by name; of several with one name the last stays, as JSON's readers do it. Returns how many are left. */
size_t variables_sort(struct variable *variables, size_t count);
void variables_free(struct variable *variables, size_t count); /* wiped: values may be secrets; NULL allowed */

/* As a row and back: the plain part as JSON, the environment as JSON to be sealed: {"NAME":"value"}, compact, what the 4 KB limit measures.
 * What function_read accepts it writes back to the same bytes, when it was written by these functions.
 *   err  ERROR_INVALID: not a row of ours, or of a newer server (a runtime that this one does not know) */
void function_write_document(const struct function *f, struct buffer *out);
void function_write_environment(const struct function *f, struct buffer *out); /* empty when there are none */
MUST_CHECK enum outcome function_read(struct slice name, struct slice version, struct slice document,
                                      struct slice environment, struct function **out, struct error *err);
