/* services: AWS's APIs. A service is one table of operations and one handler an operation: routing, the IAM check, the list of what is
 * supported and the model test read the same row, so nothing is served that is not authorised and tested.
 * Life of a call (services/api.c): http request -> which service (credential scope, X-Amz-Target, path) -> claim read, key found, skew -> operation matched
 * -> body read (bounded by the row) -> signature checked -> authorize(row's action, resource) -> handler -> answer in the family's form.
 * Thread: the loop's. */
#pragma once

#include "auth/keys.h"
#include "base/memory.h"
#include "json/json.h"
#include "net/http.h"

struct engine;
struct async_queue;
struct function_logs;
struct code_links;
struct api;
struct call;

enum {
    CALL_PARAMETERS_MAX = 8,
    CALL_QUERY_MAX = 64,                   /* UntagResource: 50 tagKeys */
    API_FORM_BYTES_MAX = 1024 * 1024,      /* ours: a form of the query family; AWS's largest is below 512 KB */
    API_HASH_AT_ONCE_BYTES = 64 * 1024,    /* larger bodies are hashed piece by piece as they come */
    API_BODY_BYTES_MAX = 70 * 1024 * 1024, /* AWS Lambda: a 50 MB zip in base64 and its JSON */
    API_BODIES_BYTES_MAX =
        512 * 1024 * 1024, /* ours: all bodies that calls are reading or hold; above: 503 ServiceException */
    API_INSTANCE_BODIES_BYTES_MAX =
        32 * 1024 * 1024, /* ours: those of one instance's key, so that no function takes all of it (429) */
    API_DENIED_BODY_BYTES_MAX = 64 * 1024
}; /* ours: the body of a call that will be refused is read only to check its signature */

enum protocol_family { FAMILY_REST_JSON, FAMILY_QUERY, FAMILY_JSON_1_0, FAMILY_JSON_1_1, FAMILY_REST_XML };

typedef void call_handler_fn(struct call *call);
/* Appends the ARN that the IAM check is about; may use path parameters; "*" when the operation has none. */
typedef void call_resource_fn(const struct call *call, struct buffer *out);

struct operation {
    const char *name;   /* "GetFunction", as botocore's model has it */
    const char *method; /* rest families */
    /* "/2015-03-31/functions/{FunctionName}"; a trailing '/' is optional when matching. A "?name=value" behind it must be in the query; such a row
     * stands before the one with the path alone. */
    const char *path;
    const char *action; /* "lambda:GetFunction"; NULL: no permission is needed (sts:GetCallerIdentity) */
    call_resource_fn *resource;
    call_handler_fn *handler;
    size_t body_max; /* bytes; 0: API_BODY_BYTES_MAX */
};

struct service {
    const char *name; /* signing name: "lambda" */
    enum protocol_family family;
    const char *version;       /* query family: "2011-06-15" */
    const char *xml_namespace; /* query family */
    const struct operation *operations;
    size_t operation_count;
    const char *target_prefix; /* json families: "DynamoDB_20120810", what stands before the '.' of X-Amz-Target */
};

/* What a handler works with. All slices live as long as the call. */
struct parameter {
    struct slice name, value;
};
struct call {
    struct api *api;
    struct engine *engine;
    struct async_queue *async_queue;
    struct function_logs *logs;
    struct code_links *code_links;  /* NULL: packages cannot be downloaded */
    const char *gateway_url;        /* "http://127.0.0.1:8080" */
    struct http_exchange *exchange; /* NULL once the client is gone */
    const struct service *service;
    const struct operation *operation;
    const struct principal *principal; /* a copy that lives as long as the call; without its secret */
    char request_id[37];
    struct arena arena;
    struct parameter path[CALL_PARAMETERS_MAX]; /* decoded: {"FunctionName", "hello"} */
    size_t path_count;
    struct parameter query[CALL_QUERY_MAX]; /* decoded query string, or the form of the query family */
    size_t query_count;
    struct buffer *body;                /* raw; a handler may take it with buffer_take */
    void *data;                         /* the handler's own */
    bool client_gone;                   /* call_reply_* and call_fail then only free the call */
    void (*on_gone)(struct call *call); /* set by a handler that must know; the call stays until it replies */
    struct {
        yyjson_doc *doc;
    } json; /* set by call_json */
};

struct slice call_path(const struct call *call, const char *name);
struct slice call_query(const struct call *call, const char *name); /* empty when absent */
struct slice call_header(struct call *call, const char *name); /* empty when absent, or when the client is gone */
/* Adds a field to the answer; does nothing when the client is gone, or for a value that no header can carry. */
void call_add_header(struct call *call, const char *name, struct slice value);
/* Parses the body as a JSON object once; an empty body gives an empty object.
 *   err  ERROR_INVALID SerializationException-like code of the family (lambda: InvalidRequestContentException "Could not parse request body into json: ...") */
MUST_CHECK enum outcome call_json(struct call *call, yyjson_val **root, struct error *err);

/* The ends of a call: exactly one of these, from the handler or later; the call is freed. Header x-amzn-RequestId (x-amz-request-id) is added. */
void call_reply_json(struct call *call, int status, const yyjson_mut_doc *doc);
void call_reply_empty(struct call *call, int status);
void call_reply_bytes(struct call *call, int status, const char *content_type, struct buffer *body /* taken */);
void xml_append_text(struct buffer *out, struct slice text); /* escaped; what XML 1.0 cannot hold becomes U+FFFD */
void xml_append_element(struct buffer *out, const char *name, struct slice text); /* <name>text</name> */
void call_reply_query_xml(
    struct call *call,
    struct slice result_xml); /* wraps <{Op}Response xmlns><{Op}Result>...</..><ResponseMetadata> */
void call_fail(struct call *call, const struct error *err);

/* One table turns kinds into status and code; err->code wins over the kind's default. What a client is told: err->message, and behind it the
 * hint of an ERROR_UNSUPPORTED; of ERROR_INTERNAL and ERROR_DISK_FULL only that it was one (they are logged).
 * lambda bodies: {"Type":"User"|"Service","Message":...} (or "message" as the model of that shape has it) with x-amzn-ErrorType; query: <ErrorResponse>. */
int error_http_status(const struct error *err);

struct api_config {
    const char *account, *region;
    struct engine *engine;
    struct async_queue *async_queue;
    struct function_logs *logs;
    struct code_links *code_links;
    /* Asked first, for requests that need no key; true: it has taken the exchange. NULL: there are none. */
    bool (*direct)(struct http_exchange *x, void *arg);
    void *direct_arg;
    const char *gateway_url; /* borrowed; filled before the first call */
    struct keyring *keyring;
    const struct service *const *services; /* NULL-terminated: server/ names them */
    size_t bodies_bytes_max;               /* 0: API_BODIES_BYTES_MAX */
    size_t instance_bodies_bytes_max;      /* 0: API_INSTANCE_BODIES_BYTES_MAX */
};
struct api *api_new(uv_loop_t *loop, const struct api_config *config);
void api_free(struct api *api); /* calls that are still with a handler keep what they need until they reply */
/* The http_handler's request: `arg` is the api. GET /healthz answers 200 unsigned. */
void api_request(struct http_exchange *x, void *arg);

extern const struct service lambda_service; /* services/lambda/lambda.c */
extern const struct service sts_service;    /* services/sts/sts.c */
extern const struct service logs_service;   /* services/logs/logs.c */
