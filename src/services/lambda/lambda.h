/* services/lambda: AWS Lambda's API (2015-03-31). This header is for the files of this folder and their tests alone.
 *   lambda.c            the table, resources (ARNs) for the permission check, how an error with members of its own is answered
 *   lambda_name.c       function names: plain, partial ARN, full ARN, qualifiers
 *   lambda_checks.c     the constraints of AWS's model, with AWS's messages; typed access to a body's members
 *   lambda_configuration.c  bodies to drafts: CreateFunction, UpdateFunctionConfiguration, UpdateFunctionCode
 *   lambda_environment.c    environment variables and tags
 *   lambda_render.c     functions to FunctionConfiguration
 *   lambda_functions.c  functions: create, update, read, delete, list
 *   lambda_versions.c   PublishVersion, ListVersionsByFunction;  lambda_aliases.c  aliases and their weights
 *   lambda_tags.c       TagResource, UntagResource, ListTags;  lambda_concurrency.c  reserved concurrency
 *   lambda_layers.c     layers, and the Layers of a function;  lambda_layer_policy.c  their policies
 *   lambda_policy.c     AddPermission, RemovePermission, GetPolicy
 *   lambda_misc.c       what is only read: account settings, and what nobody can configure here
 *   lambda_url.c        function URLs' configuration
 *   lambda_invoke.c     Invoke, the hot path;  lambda_payload.c  is this JSON?
 * Truth for shapes: botocore's model. Truth for texts: what AWS answers (recorded snapshots in LocalStack's tests, issues of SDK users).
 * Thread: the loop's. */
#pragma once

#include "engine/engine.h"
#include "services/service.h"

enum {
    LAMBDA_NAME_CREATE_BYTES_MAX = 140, /* model: FunctionName */
    LAMBDA_NAME_BYTES_MAX = 256,        /* model: NamespacedFunctionName */
    LAMBDA_QUALIFIER_BYTES_MAX = 128,   /* model: Qualifier */
    LAMBDA_ROLE_BYTES_MAX = 2048,       /* IAM: the longest ARN */
    LAMBDA_TIMEOUT_S_MIN = 1,
    LAMBDA_LOG_GROUP_BYTES_MAX = 512, /* model: LogGroup */
    LAMBDA_TAG_KEY_CHARS_MAX = 128,   /* AWS tagging: key and value */
    LAMBDA_TAG_VALUE_CHARS_MAX = 256,
    LAMBDA_CLIENT_CONTEXT_BYTES_MAX = 3583, /* Invoke: "up to 3,583 bytes of base64-encoded data" */
    LAMBDA_TRACE_BYTES_MAX = 512,           /* ours: a longer X-Amzn-Trace-Id is replaced */
    LAMBDA_PAYLOAD_DEPTH_MAX = 1000,        /* Jackson's limit, which AWS Lambda has */
    LAMBDA_LIST_MAX = 10000,                /* model: MaxItems */
    LAMBDA_LIST_PAGE_MAX = 50,              /* "Lambda returns a maximum of 50 items in each response" */
    LAMBDA_ALIAS_NAME_CHARS_MAX = 128,      /* model: Alias */
    LAMBDA_VERSION_CHARS_MAX = 1024,        /* model: VersionWithLatestPublished, AdditionalVersion */
    LAMBDA_RESOURCE_CHARS_MAX = 256,        /* model: TaggableResource */
    LAMBDA_REQUEST_BYTES_MAX =
        70167211, /* AWS: "Request must be smaller than 70167211 bytes for the CreateFunction operation" */
    LAMBDA_CONFIGURATION_BYTES_MAX = 1024 * 1024, /* ours: a body without a package */
    LAMBDA_VALUE_SHOWN_MAX = 200,                 /* bytes of a value that an error message repeats */
    LAMBDA_VARIABLES_MAX = 4096,                  /* ours: members of one map in a body; 4 KB hold fewer */
};
#define LAMBDA_TOTAL_CODE_BYTES 80530636800ULL /* AWS Lambda quotas: 75 GB of packages */

/* ---- names ---- */

/* What a FunctionName says; absent parts are empty. All borrowed from the text. */
struct lambda_name {
    struct slice region, account, name, qualifier;
};
enum lambda_name_form {
    LAMBDA_NAME_FUNCTION,   /* model shape FunctionName: CreateFunction, UpdateFunction* */
    LAMBDA_NAME_NAMESPACED, /* model shape NamespacedFunctionName: a dot and $LATEST.PUBLISHED are allowed */
};
MUST_CHECK bool lambda_name_parse(struct slice text, enum lambda_name_form form, struct lambda_name *out);
MUST_CHECK bool lambda_qualifier_ok(struct slice qualifier);
extern const char *const lambda_name_pattern[2]; /* by form, as AWS prints it */
extern const char *const lambda_qualifier_pattern;

/* Which function a call is about, from its path and its query's Qualifier. */
struct lambda_target {
    struct slice name;
    struct slice qualifier; /* empty: none was given */
};
/*   err  ValidationException; ResourceNotFoundException for another region; AccessDeniedException for another account;
 *        InvalidParameterValueException when name and query disagree */
MUST_CHECK enum outcome lambda_target_of(struct call *call, enum lambda_name_form form, struct lambda_target *out,
                                         struct error *err);
/* What a name and its qualifier stand for, borrowed until the loop turns. */
struct lambda_found {
    struct function *function;   /* $LATEST, the version, or the one that an alias points to (of two the first) */
    const struct setting *alias; /* when the qualifier is an alias's name; else NULL */
};
/* err: ResourceNotFoundException "Function not found: arn:...[:QUALIFIER]" */
MUST_CHECK enum outcome lambda_find_qualified(struct call *call, const struct lambda_target *target,
                                              struct lambda_found *out, struct error *err);
/* The same when nobody asks for the alias. An invocation draws by an alias's weights instead: engine_route. */
MUST_CHECK enum outcome lambda_find(struct call *call, const struct lambda_target *target, struct function **out,
                                    struct error *err);
/* For operations on functions alone: lambda_target_of without a qualifier ($LATEST counts as none).
 *   err  as there; InvalidParameterValueException "This operation is permitted on Lambda functions only. ..." */
MUST_CHECK enum outcome lambda_unqualified(struct call *call, enum lambda_name_form form, struct slice *name,
                                           struct error *err);
enum outcome lambda_functions_only(struct error *err); /* that error */
/* The same, and the function is there. err: also ResourceNotFoundException */
MUST_CHECK enum outcome lambda_find_unqualified(struct call *call, enum lambda_name_form form,
                                                struct function **out, struct error *err);
/* "$LATEST" (0) or a version's number as AWS writes it: "7", never "07" or "0". */
MUST_CHECK bool lambda_version_number(struct slice text, uint64_t *number);
/* err: ResourceNotFoundException for another region, AccessDeniedException for another account */
MUST_CHECK enum outcome lambda_check_place(struct call *call, const struct lambda_name *name, struct error *err);
/* `qualifier` may be empty. */
enum outcome lambda_not_found(const struct call *call, struct slice name, struct slice qualifier,
                              struct error *err);

/* ---- checks: what AWS's model demands, all violations in one answer ---- */

struct lambda_checks {
    unsigned count;
    struct buffer text; /* "Value 'x' at 'role' failed to satisfy constraint: ...; Value ..." */
};
#define LAMBDA_CHECKS_EMPTY ((struct lambda_checks){ 0, BUFFER_EMPTY })
void lambda_checks_drop(struct lambda_checks *checks); /* AUTO(lambda_checks) */
/* Notes one violation: Value 'VALUE' at 'MEMBER' failed to satisfy constraint: CONSTRAINT. `value.at` NULL: "Value null". */
void lambda_check_failed(struct lambda_checks *checks, const char *member, struct slice value,
                         const char *constraint, ...) __attribute__((format(printf, 4, 5)));
/* Length in UTF-16 units, as AWS counts. */
void lambda_check_length(struct lambda_checks *checks, const char *member, struct slice value, size_t min,
                         size_t max);
void lambda_check_range(struct lambda_checks *checks, const char *member, int64_t value, int64_t min, int64_t max);
/* err: ValidationException "2 validation errors detected: ..." */
MUST_CHECK enum outcome lambda_checks_result(const struct lambda_checks *checks, struct error *err);
size_t lambda_text_length(struct slice text);              /* UTF-16 units */
struct slice lambda_shown(struct slice value, size_t max); /* a prefix, never cut inside of a UTF-8 sequence */

enum lambda_type { LAMBDA_STRING, LAMBDA_INTEGER, LAMBDA_BOOLEAN, LAMBDA_LIST, LAMBDA_STRUCTURE, LAMBDA_MAP };
/* The member if it is there and not null (else NULL in `out`).  err: SerializationException for another type */
MUST_CHECK enum outcome lambda_member(yyjson_val *object, const char *name, enum lambda_type type, yyjson_val **out,
                                      struct error *err);
MUST_CHECK enum outcome lambda_type_check(yyjson_val *value, enum lambda_type type, struct error *err);

/* ---- bodies to drafts ---- */

struct lambda_place { /* where this server is */
    const char *account, *region;
    const char *architecture;
};

/* CreateFunction. On success `draft` has all that the body decides (name, log group, defaults too) and `zip` the decoded package; both the caller's.
 *   err  SerializationException, ValidationException, InvalidParameterValueException, RequestEntityTooLargeException, ... */
MUST_CHECK enum outcome lambda_read_create(const struct lambda_place *place, yyjson_val *body,
                                           struct function **draft, struct buffer *zip, struct error *err);
/* UpdateFunctionConfiguration: changes `draft`, a copy of what there is. `revision_id` is borrowed from the body; empty: none. */
MUST_CHECK enum outcome lambda_read_configuration(const struct lambda_place *place, yyjson_val *body,
                                                  struct function *draft, struct slice *revision_id,
                                                  struct error *err);
struct lambda_code_update {
    struct buffer zip;         /* the caller's: drop it */
    struct slice architecture; /* these two borrowed from the body; empty: not given */
    struct slice revision_id;
    bool dry_run, publish;
};
MUST_CHECK enum outcome lambda_read_code(const struct lambda_place *place, yyjson_val *body,
                                         struct lambda_code_update *out, struct error *err);
/* Base64 of a package.  err: SerializationException, RequestEntityTooLargeException */
MUST_CHECK enum outcome lambda_decode_zip(struct slice text, struct buffer *zip, struct error *err);
/* Layers of a body, into `draft`; unchanged when there are none in it, taken away when the list is empty.
 *   err  ValidationException; InvalidParameterValueException: too many, not there, two of one layer, too large together; AccessDeniedException */
MUST_CHECK enum outcome lambda_read_layers(struct call *call, yyjson_val *body, struct function *draft,
                                           struct error *err);

/* Environment.Variables and Tags of a body; sorted, owned by the caller (variables_free).
 * Constraints of the model go to `checks`; the first other failure is kept in `refused` (kind ERROR_NONE: none yet). */
MUST_CHECK enum outcome lambda_read_variables(yyjson_val *map, struct lambda_checks *checks, struct error *refused,
                                              struct variable **out, size_t *count, struct error *err);
/* LoggingConfig of a body, into `draft`, which has what it had before; the same for `checks` and `refused`. */
MUST_CHECK enum outcome lambda_read_logging(yyjson_val *body, struct function *draft, struct lambda_checks *checks,
                                            struct error *refused, struct error *err);
MUST_CHECK enum outcome lambda_read_tags(yyjson_val *map, struct error *refused, struct variable **out,
                                         size_t *count, struct error *err);
/* err: InvalidParameterValueException when they are longer than 4 KB as JSON */
MUST_CHECK enum outcome lambda_environment_fits(const struct function *f, struct error *err);

/* ---- answers ---- */

/* For a page of a list: MaxItems within the model's bounds, Marker decoded. The marker is opaque to clients: base64 of the last name given.
 *   err  ValidationException; InvalidParameterValueException for a marker that is none of ours */
struct lambda_page {
    size_t max;         /* at least 1, at most LAMBDA_LIST_PAGE_MAX */
    struct slice after; /* empty: from the beginning; in the call's arena */
};
MUST_CHECK enum outcome lambda_read_page(struct call *call, struct lambda_page *out, struct error *err);
/* NextMarker of an answer whose page ended with `last`. */
void lambda_add_marker(yyjson_mut_doc *doc, yyjson_mut_val *root, struct slice last);

enum lambda_view {
    LAMBDA_VIEW_FULL, /* with State and LastUpdateStatus */
    LAMBDA_VIEW_LIST, /* ListFunctions leaves those out */
};
/* FunctionConfiguration. Texts are borrowed from `f`: the document must be written before the loop turns.
 * `qualifier`: what FunctionArn ends in: what the caller asked with, be it a version or an alias; empty: nothing. */
yyjson_mut_val *lambda_render_configuration(yyjson_mut_doc *doc, const struct function *f, enum lambda_view view,
                                            struct slice qualifier);
/* Answers with the configuration alone. */
void lambda_reply_configuration(struct call *call, int status, const struct function *f, struct slice qualifier);
/* "arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]" of this server; NUL-terminated, in the call's arena. */
const char *lambda_function_arn(struct call *call, struct slice name, struct slice qualifier);
/* A NUL-terminated copy in the call's arena: it outlives the body. */
struct slice lambda_keep(struct call *call, struct slice text);

/* Is RevisionId, when one was given, the one that there is?  err: PreconditionFailedException */
MUST_CHECK enum outcome lambda_check_revision(const char *current, struct slice given, struct error *err);
/* "The operation cannot be performed at this time. ...": another change of the function came between. */
enum outcome lambda_update_in_progress(struct call *call, struct slice name, struct error *err);

/* Is `payload` JSON (RFC 8259) or empty?  err: InvalidRequestContentException with the position, in Jackson's words as AWS has them.
 * Allocates nothing: this stands on the way of every invocation. */
MUST_CHECK enum outcome lambda_payload_check(struct slice payload, struct error *err);

/* The trace header of an invocation: what came in when it can be passed on, completed; else a new one. NUL-terminated. */
void lambda_trace(struct slice given, struct slice request_id, bool sampled, char out[LAMBDA_TRACE_BYTES_MAX]);

/* ---- handlers (rows of lambda.c's table) ---- */
void lambda_create_function(struct call *call);
void lambda_get_function(struct call *call);
void lambda_get_function_configuration(struct call *call);
void lambda_update_function_code(struct call *call);
void lambda_update_function_configuration(struct call *call);
void lambda_delete_function(struct call *call);
void lambda_list_functions(struct call *call);
void lambda_get_account_settings(struct call *call);
void lambda_publish_version(struct call *call);
void lambda_list_versions_by_function(struct call *call);
void lambda_create_alias(struct call *call);
void lambda_update_alias(struct call *call);
void lambda_get_alias(struct call *call);
void lambda_list_aliases(struct call *call);
void lambda_delete_alias(struct call *call);
void lambda_tag_resource(struct call *call);
void lambda_untag_resource(struct call *call);
void lambda_list_tags(struct call *call);
void lambda_put_function_concurrency(struct call *call);
void lambda_get_function_concurrency(struct call *call);
void lambda_delete_function_concurrency(struct call *call);
void lambda_get_function_code_signing_config(struct call *call);
void lambda_get_runtime_management_config(struct call *call);
void lambda_get_function_recursion_config(struct call *call);
void lambda_create_function_url_config(struct call *call);
void lambda_update_function_url_config(struct call *call);
void lambda_get_function_url_config(struct call *call);
void lambda_delete_function_url_config(struct call *call);
void lambda_list_function_url_configs(struct call *call);
void lambda_publish_layer_version(struct call *call);
void lambda_get_layer_version(struct call *call);
void lambda_get_layer_version_by_arn(struct call *call);
void lambda_list_layers(struct call *call);
void lambda_list_layer_versions(struct call *call);
void lambda_delete_layer_version(struct call *call);
void lambda_add_layer_version_permission(struct call *call);
void lambda_remove_layer_version_permission(struct call *call);
void lambda_get_layer_version_policy(struct call *call);
void lambda_layer_resource(const struct call *call, struct buffer *out); /* for the rows of those */
void lambda_add_permission(struct call *call);
void lambda_remove_permission(struct call *call);
void lambda_get_policy(struct call *call);
void lambda_invoke(struct call *call);
void lambda_invoke_async(struct call *call);
