#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "services/api_private.h"

/* The ends of a call, and the form that each family gives to a failure:
 *
 *   rest-json   x-amzn-ErrorType: CODE           {"Type":"User","Message":"..."} or "message", as the model of CODE has it
 *   json        x-amzn-RequestId                 {"__type":"CODE","message":"..."}
 *   query       text/xml                         <ErrorResponse><Error><Type>Sender</Type><Code>..<Message>..
 *   rest-xml    application/xml                  <Error><Code>..<Message>..
 *
 * botocore takes a rest-json code from the header and reads "message", else "Message" (parsers.py, BaseJSONParser,
 * _do_error_parse); the JavaScript SDK v3 takes the header too, fills the members of the shape CODE has, and makes
 * error.message from either spelling (smithy-client, decorateServiceException). */

/* ---- kinds and codes ---- */

struct form {
    short status;
    const char *code;
};
struct failure {
    struct form rest, json, query;
};

/* What a kind is called when its maker gave no code of its own. json services answer 400 to all that the client did. */
static const struct failure kinds[ERROR_KIND_COUNT] = {
    [ERROR_INVALID] = { { 400, "InvalidParameterValueException" },
                        { 400, "ValidationException" },
                        { 400, "ValidationError" } },
    [ERROR_NOT_FOUND] = { { 404, "ResourceNotFoundException" },
                          { 400, "ResourceNotFoundException" },
                          { 404, "NoSuchEntity" } },
    [ERROR_EXISTS] = { { 409, "ResourceConflictException" },
                       { 400, "ResourceInUseException" },
                       { 409, "EntityAlreadyExists" } },
    [ERROR_CONFLICT] = { { 409, "ResourceConflictException" },
                         { 400, "ResourceInUseException" },
                         { 409, "ConcurrentModification" } },
    [ERROR_PRECONDITION] = { { 412, "PreconditionFailedException" },
                             { 400, "ConditionalCheckFailedException" },
                             { 412, "PreconditionFailed" } },
    [ERROR_TOO_LARGE] = { { 413, "RequestTooLargeException" },
                          { 413, "RequestEntityTooLargeException" },
                          { 413, "RequestEntityTooLarge" } },
    [ERROR_DENIED] = { { 403, "AccessDeniedException" },
                       { 400, "AccessDeniedException" },
                       { 403, "AccessDenied" } },
    [ERROR_THROTTLED] = { { 429, "TooManyRequestsException" },
                          { 400, "ThrottlingException" },
                          { 400, "Throttling" } },
    [ERROR_UNSUPPORTED] = { { 400, "InvalidParameterValueException" },
                            { 400, "ValidationException" },
                            { 400, "InvalidParameterValue" } },
    [ERROR_UNAVAILABLE] = { { 503, "ServiceException" },
                            { 503, "ServiceUnavailable" },
                            { 503, "ServiceUnavailable" } },
    /* 507 is no status that an SDK retries: a full disk does not empty itself in seconds. */
    [ERROR_DISK_FULL] = { { 507, "ServiceException" }, { 507, "InternalServerError" }, { 507, "InternalFailure" } },
    [ERROR_TIMEOUT] = { { 504, "ServiceException" }, { 504, "InternalServerError" }, { 504, "InternalFailure" } },
    [ERROR_UNKNOWN] = { { 500, "ServiceException" }, { 500, "InternalServerError" }, { 500, "InternalFailure" } },
    [ERROR_INTERNAL] = { { 500, "ServiceException" }, { 500, "InternalServerError" }, { 500, "InternalFailure" } },
};

/* Codes whose name or status is not the same everywhere. Looked up by the name that our rooms use (rest). */
static const struct failure codes[] = {
    { { 403, "MissingAuthenticationTokenException" },
      { 400, "MissingAuthenticationTokenException" },
      { 403, "MissingAuthenticationToken" } },
    { { 403, "IncompleteSignatureException" },
      { 400, "IncompleteSignatureException" },
      { 400, "IncompleteSignature" } },
    { { 403, "InvalidSignatureException" },
      { 400, "InvalidSignatureException" },
      { 403, "SignatureDoesNotMatch" } },
    { { 403, "UnrecognizedClientException" },
      { 400, "UnrecognizedClientException" },
      { 403, "InvalidClientTokenId" } },
    { { 403, "ExpiredTokenException" }, { 400, "ExpiredTokenException" }, { 403, "ExpiredToken" } },
    { { 403, "AccessDeniedException" }, { 400, "AccessDeniedException" }, { 403, "AccessDenied" } },
    { { 400, "XAmzContentSHA256Mismatch" },
      { 400, "XAmzContentSHA256Mismatch" },
      { 400, "XAmzContentSHA256Mismatch" } },
    { { 400, "MalformedQueryString" }, { 400, "MalformedQueryString" }, { 400, "MalformedQueryString" } },
    { { 404, "UnknownOperationException" }, { 400, "UnknownOperationException" }, { 400, "InvalidAction" } },
    { { 413, "RequestEntityTooLargeException" },
      { 413, "RequestEntityTooLargeException" },
      { 413, "RequestEntityTooLarge" } },
    { { 400, "ValidationException" }, { 400, "ValidationException" }, { 400, "ValidationError" } },
};

static const struct form *form_of(const struct failure *failure, enum protocol_family family)
{
    switch (family) {
    case FAMILY_REST_JSON:
    case FAMILY_REST_XML:
        return &failure->rest;
    case FAMILY_JSON_1_0:
    case FAMILY_JSON_1_1:
        return &failure->json;
    case FAMILY_QUERY:
        return &failure->query;
    }
    return &failure->rest;
}

/* The status and code of an error in that family; a code that stands in no table keeps its name. */
static struct form find_form(const struct error *err, enum protocol_family family)
{
    enum error_kind kind = err->kind > ERROR_NONE && err->kind < ERROR_KIND_COUNT ? err->kind : ERROR_INTERNAL;
    struct form form = *form_of(&kinds[kind], family);
    if (err->code[0] == '\0' || kind == ERROR_INTERNAL)
        return form;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(err->code, codes[i].rest.code) == 0)
            return *form_of(&codes[i], family);
    form.code = err->code;
    return form;
}

int error_http_status(const struct error *err)
{
    return find_form(err, FAMILY_REST_JSON).status;
}

static bool stands_in(const char *code, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(code, list[i]) == 0)
            return true;
    return false;
}
#define STANDS_IN(code, list) stands_in(code, list, sizeof(list) / sizeof((list)[0]))

/* AWS Lambda's model spells the member "message" in these shapes and "Message" in all others. */
static const char *const small_message[] = {
    "CodeStorageExceededException",   "InvalidParameterValueException",
    "InvalidRequestContentException", "PolicyLengthExceededException",
    "PreconditionFailedException",    "ProvisionedConcurrencyConfigNotFoundException",
    "RequestTooLargeException",       "ResourceConflictException",
    "ResourceNotReadyException",      "SerializedRequestEntityTooLargeException",
    "TooManyRequestsException",       "UnsupportedMediaTypeException",
};

/* What AWS's front answers, before any service: {"message":"..."} and no more. */
static const char *const front_codes[] = {
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
    "ExpiredTokenException",
    "UnknownOperationException",
    "RequestEntityTooLargeException",
    "ValidationException",
    "SerializationException",
    "MalformedQueryString",
    "XAmzContentSHA256Mismatch",
};

/* What a client is told: never how we work inside. */
static struct slice public_message(const struct error *err)
{
    switch (err->kind) {
    case ERROR_NONE:
    case ERROR_INTERNAL:
        return SLICE("An error occurred and the request cannot be processed.");
    case ERROR_DISK_FULL:
        return SLICE("The disk of the server is full. Nothing was changed.");
    default:
        return slice_of(err->message);
    }
}

/* ---- XML ---- */

void xml_append_text(struct buffer *out, struct slice text)
{
    AUTO(buffer)
    struct buffer utf8 = BUFFER_EMPTY;
    json_append_utf8(&utf8, text);
    for (size_t i = 0; i < utf8.len; i++) {
        char c = utf8.at[i];
        if (c == '&')
            buffer_append_text(out, "&amp;");
        else if (c == '<')
            buffer_append_text(out, "&lt;");
        else if (c == '>')
            buffer_append_text(out, "&gt;");
        else if (c == '"')
            buffer_append_text(out, "&quot;");
        else if (c == '\r')
            buffer_append_text(out, "&#13;"); /* a parser would make it a newline */
        else if ((unsigned char)c < 0x20 && c != '\t' && c != '\n')
            buffer_append_text(out, "\xEF\xBF\xBD");
        else
            buffer_append_byte(out, c);
    }
}

void xml_append_element(struct buffer *out, const char *name, struct slice text)
{
    buffer_appendf(out, "<%s>", name);
    xml_append_text(out, text);
    buffer_appendf(out, "</%s>", name);
}

/* ---- answering ---- */

void call_add_header(struct call *call, const char *name, struct slice value)
{
    if (!call->client_gone && http_value_ok(value))
        http_add_header(call->exchange, name, value);
}

static const char *content_type_of(enum protocol_family family)
{
    switch (family) {
    case FAMILY_REST_JSON:
        return "application/json";
    case FAMILY_JSON_1_0:
        return "application/x-amz-json-1.0";
    case FAMILY_JSON_1_1:
        return "application/x-amz-json-1.1";
    case FAMILY_QUERY:
        return "text/xml";
    case FAMILY_REST_XML:
        return "application/xml";
    }
    return "application/octet-stream";
}

/* The one way out: the exchange is the server's afterwards, the call is no more. */
static void finish(struct call *call, int status, const char *content_type, struct buffer *body)
{
    struct api_call *c = api_call_of(call);
    if (!call->client_gone) {
        struct slice id = slice_of(call->request_id);
        http_add_header(call->exchange, c->family == FAMILY_REST_XML ? "x-amz-request-id" : "x-amzn-RequestId", id);
        if (content_type != NULL)
            http_add_header(call->exchange, "Content-Type", slice_of(content_type));
        http_respond_take(call->exchange, status, body);
    }
    buffer_drop(body);
    api_call_free(c);
}

void call_reply_bytes(struct call *call, int status, const char *content_type, struct buffer *body)
{
    struct buffer taken = buffer_take(body);
    finish(call, status, content_type, &taken);
}

void call_reply_empty(struct call *call, int status)
{
    struct buffer none = BUFFER_EMPTY;
    finish(call, status, NULL, &none);
}

void call_reply_json(struct call *call, int status, const yyjson_mut_doc *doc)
{
    struct buffer body = BUFFER_EMPTY;
    json_write(&body, doc);
    finish(call, status, content_type_of(api_call_of(call)->family), &body);
}

void call_reply_query_xml(struct call *call, struct slice result_xml)
{
    const char *name = call->operation->name;
    struct buffer body = BUFFER_EMPTY;
    buffer_appendf(&body, "<%sResponse xmlns=\"%s\"><%sResult>", name, call->service->xml_namespace, name);
    buffer_append_slice(&body, result_xml);
    buffer_appendf(&body,
                   "</%sResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>\n", name,
                   call->request_id, name);
    finish(call, 200, "text/xml", &body);
}

/* ---- failing ---- */

static void append_json_error(struct buffer *out, enum protocol_family family, const struct form *form,
                              struct slice message)
{
    buffer_append_byte(out, '{');
    if (family != FAMILY_REST_JSON) {
        buffer_append_text(out, "\"__type\":");
        json_append_string(out, slice_of(form->code));
        buffer_append_text(out, ",\"message\":");
    } else if (STANDS_IN(form->code, front_codes)) {
        buffer_append_text(out, "\"message\":");
    } else {
        buffer_append_text(out, form->status >= 500 ? "\"Type\":\"Service\"," : "\"Type\":\"User\",");
        buffer_append_text(out, STANDS_IN(form->code, small_message) ? "\"message\":" : "\"Message\":");
    }
    json_append_string(out, message);
    buffer_append_byte(out, '}');
}

static void append_query_error(struct buffer *out, const struct call *call, const struct form *form,
                               struct slice message)
{
    const char *namespace = call->service != NULL ? call->service->xml_namespace : NULL;
    if (namespace != NULL)
        buffer_appendf(out, "<ErrorResponse xmlns=\"%s\"><Error>", namespace);
    else
        buffer_append_text(out, "<ErrorResponse><Error>");
    xml_append_element(out, "Type", form->status >= 500 ? SLICE("Receiver") : SLICE("Sender"));
    xml_append_element(out, "Code", slice_of(form->code));
    xml_append_element(out, "Message", message);
    buffer_appendf(out, "</Error><RequestId>%s</RequestId></ErrorResponse>\n", call->request_id);
}

static void append_xml_error(struct buffer *out, const struct call *call, const struct form *form,
                             struct slice message)
{
    buffer_append_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    xml_append_element(out, "Code", slice_of(form->code));
    xml_append_element(out, "Message", message);
    xml_append_element(out, "RequestId", slice_of(call->request_id));
    buffer_append_text(out, "</Error>");
}

/* Our own failures are for the operator: the client is told that it was not its fault, and the id to ask with. */
static void log_failure(const struct call *call, const struct error *err)
{
    if (err->kind != ERROR_INTERNAL && err->kind != ERROR_NONE && err->kind != ERROR_DISK_FULL)
        return;
    char what[128];
    (void)snprintf(what, sizeof(what), "%s %s (request %s)", call->service != NULL ? call->service->name : "api",
                   call->operation != NULL ? call->operation->name : "?", call->request_id);
    log_error("services", err, what);
}

void call_fail(struct call *call, const struct error *err)
{
    enum protocol_family family = api_call_of(call)->family;
    struct form form = find_form(err, family);
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    buffer_append_slice(&text, public_message(err));
    if (err->kind == ERROR_UNSUPPORTED && err->hint[0] != '\0')
        buffer_appendf(&text, " %s", err->hint); /* AWS has no text for this; ours should name the way out */
    struct slice message = buffer_slice(&text);
    struct buffer body = BUFFER_EMPTY;
    log_failure(call, err);
    switch (family) {
    case FAMILY_REST_JSON:
        call_add_header(call, "x-amzn-ErrorType", slice_of(form.code));
        append_json_error(&body, family, &form, message);
        break;
    case FAMILY_JSON_1_0:
    case FAMILY_JSON_1_1:
        append_json_error(&body, family, &form, message);
        break;
    case FAMILY_QUERY:
        append_query_error(&body, call, &form, message);
        break;
    case FAMILY_REST_XML:
        append_xml_error(&body, call, &form, message);
        break;
    }
    finish(call, form.status, content_type_of(family), &body);
}
