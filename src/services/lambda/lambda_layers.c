#include "services/lambda/lambda_layers.h"

#include <stdio.h>

#include "base/clock.h"
#include "services/code_link.h"

/* Layers: publishing, reading, listing and deleting their versions, and the Layers of a function. */

static const char INVALID_PARAMETER[] = "InvalidParameterValueException";
static const char NAME_PATTERN[] =
    "(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+";
static const char ARN_PATTERN[] =
    "(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:layer:"
    "[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)";

/* AWS's model, shape Runtime: a layer may be for any of them, also for those that no function can have any more. */
static const char *const runtimes[] = {
    "nodejs",          "nodejs4.3",     "nodejs6.10", "nodejs8.10",   "nodejs10.x",     "nodejs12.x",
    "nodejs14.x",      "nodejs16.x",    "java8",      "java8.al2",    "java11",         "python2.7",
    "python3.6",       "python3.7",     "python3.8",  "python3.9",    "dotnetcore1.0",  "dotnetcore2.0",
    "dotnetcore2.1",   "dotnetcore3.1", "dotnet6",    "dotnet8",      "nodejs4.3-edge", "go1.x",
    "ruby2.5",         "ruby2.7",       "provided",   "provided.al2", "nodejs18.x",     "python3.10",
    "java17",          "ruby3.2",       "ruby3.3",    "ruby3.4",      "python3.11",     "nodejs20.x",
    "provided.al2023", "python3.12",    "java21",     "python3.13",   "nodejs22.x",     "nodejs24.x",
    "python3.14",      "java25",        "dotnet10",   "ruby4.0",
};
static const char *const architectures[] = { "x86_64", "arm64" };
enum { RUNTIMES = sizeof(runtimes) / sizeof(runtimes[0]), ARCHITECTURES = 2 };

static bool one_of(struct slice text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(text, list[i]))
            return true;
    return false;
}

static void append_list(struct buffer *out, const char *const *list, size_t count)
{
    buffer_append_byte(out, '[');
    for (size_t i = 0; i < count; i++)
        buffer_appendf(out, "%s%s", i > 0 ? ", " : "", list[i]);
    buffer_append_byte(out, ']');
}

/* ---- names ---- */

static bool is_word(struct slice text, const char *more)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == '\0' || strchr(more, c) == NULL))
            return false;
    }
    return text.len > 0;
}

static bool is_number(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return text.len > 0;
}

struct layer_arn {
    struct slice partition, region, account, name;
    struct slice version; /* empty: none */
};

/* arn:PARTITION:lambda:REGION:ACCOUNT:layer:NAME[:VERSION] */
static bool arn_parse(struct slice text, struct layer_arn *out)
{
    struct slice rest = text, arn = slice_split(&rest, ':');
    struct layer_arn found = { .partition = slice_split(&rest, ':') };
    struct slice service = slice_split(&rest, ':');
    found.region = slice_split(&rest, ':');
    found.account = slice_split(&rest, ':');
    struct slice layer = slice_split(&rest, ':');
    bool versioned = slice_find(rest, ':', &(size_t){ 0 });
    found.name = slice_split(&rest, ':');
    found.version = rest;
    if (!slice_is(arn, "arn") || !slice_is(service, "lambda") || !slice_is(layer, "layer"))
        return false;
    if (!is_word(found.partition, "-") || !is_word(found.region, "-") || !is_number(found.account) ||
        found.account.len != 12 || !is_word(found.name, "-_") || (versioned && !is_number(found.version)))
        return false;
    *out = found;
    return true;
}

const char *lambda_layer_arn(struct call *call, struct slice name, uint64_t version)
{
    AUTO(buffer)
    struct buffer arn = BUFFER_EMPTY;
    buffer_appendf(&arn, "arn:aws:lambda:%s:%s:layer:%.*s", engine_region(call->engine),
                   engine_account(call->engine), SLICE_PRINT(name));
    if (version > 0)
        buffer_appendf(&arn, ":%llu", (unsigned long long)version);
    return lambda_keep(call, buffer_slice(&arn)).at;
}

static enum outcome not_found(struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                          "List the layers to see what is there.", "The resource you requested does not exist.");
}

/* What is another account's would need its permission, and there is no other account here. */
static enum outcome denied(const struct call *call, const char *action, struct slice arn, struct error *err)
{
    return error_set_code(err, ERROR_DENIED, "AccessDeniedException", "Use a layer of this server's account.",
                          "User: %s is not authorized to perform: %s on resource: %.*s because no resource-based "
                          "policy allows the %s action",
                          call->principal != NULL ? call->principal->arn : "anonymous", action,
                          SLICE_PRINT(lambda_shown(arn, LAMBDA_VALUE_SHOWN_MAX)), action);
}

static enum outcome check_place(const struct call *call, const struct layer_arn *arn, struct slice text,
                                struct error *err)
{
    if (!slice_is(arn->account, engine_account(call->engine)))
        return denied(call, call->operation->action, text, err);
    if (!slice_is(arn->region, engine_region(call->engine)) || !slice_is(arn->partition, "aws"))
        return not_found(err);
    return OK;
}

static enum outcome read_name(struct call *call, struct slice *out, struct error *err)
{
    struct slice text = call_path(call, "LayerName");
    struct layer_arn arn = { .name = text };
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    bool is_arn = slice_starts(text, SLICE("arn:"));
    lambda_check_length(&checks, "layerName", text, 1, LAYER_NAME_BYTES_MAX);
    if (is_arn ? !arn_parse(text, &arn) || arn.version.len > 0 : !is_word(text, "-_"))
        lambda_check_failed(&checks, "layerName", text, "Member must satisfy regular expression pattern: %s",
                            NAME_PATTERN);
    TRY(lambda_checks_result(&checks, err));
    if (is_arn)
        TRY(check_place(call, &arn, text, err));
    *out = arn.name;
    return OK;
}

static enum outcome read_version(struct slice text, uint64_t *out, struct error *err)
{
    bool negative = text.len > 1 && text.at[0] == '-';
    struct slice digits = negative ? slice_sub(text, 1, text.len) : text;
    if (!slice_to_u64(digits, INT64_MAX, out))
        return error_set_code(err, ERROR_INVALID, "SerializationException", "Send a whole number.",
                              "STRING_VALUE can not be converted to a Long");
    if (negative || *out == 0)
        return error_set_code(err, ERROR_INVALID, INVALID_PARAMETER, "Versions count from 1.",
                              "Layer Version Cannot be less than 1");
    return OK;
}

enum outcome lambda_layer_target_of(struct call *call, bool versioned, struct lambda_layer_target *out,
                                    struct error *err)
{
    struct lambda_layer_target target = { SLICE_EMPTY, 0 };
    if (versioned)
        TRY(read_version(call_path(call, "VersionNumber"), &target.version, err));
    TRY(read_name(call, &target.name, err));
    *out = target;
    return OK;
}

/* For the permission check: what cannot be read is kept as it is, no policy names it. */
void lambda_layer_resource(const struct call *call, struct buffer *out)
{
    struct slice name = call_path(call, "LayerName"), version = call_path(call, "VersionNumber");
    struct slice arn = call_query(call, "Arn");
    if (arn.len > 0)
        buffer_append_slice(out, arn);
    else if (slice_starts(name, SLICE("arn:")))
        buffer_append_slice(out, name);
    else
        buffer_appendf(out, "arn:aws:lambda:%s:%s:layer:%.*s", engine_region(call->engine),
                       engine_account(call->engine), SLICE_PRINT(name));
    if (version.len > 0)
        buffer_appendf(out, ":%.*s", SLICE_PRINT(version));
}

/* ---- answers ---- */

static void add_texts(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, char *const *list,
                      size_t count)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, name);
    for (size_t i = 0; i < count; i++)
        yyjson_mut_arr_add_str(doc, array, list[i]);
}

/* What a list tells of a version; texts are borrowed from it until the document is written. */
static void add_version(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct layer_version *v)
{
    char created[CLOCK_TEXT_BYTES];
    clock_lambda_ms(v->created_ms, created);
    yyjson_mut_obj_add_str(doc, object, "LayerVersionArn", v->arn);
    yyjson_mut_obj_add_str(doc, object, "Description", v->description == NULL ? "" : v->description);
    yyjson_mut_obj_add_strcpy(doc, object, "CreatedDate", created);
    yyjson_mut_obj_add_uint(doc, object, "Version", v->version);
    if (v->runtimes_given)
        add_texts(doc, object, "CompatibleRuntimes", v->runtimes, v->runtime_count);
    if (v->architectures_given)
        add_texts(doc, object, "CompatibleArchitectures", v->architectures, v->architecture_count);
    if (v->license != NULL)
        yyjson_mut_obj_add_str(doc, object, "LicenseInfo", v->license);
}

static void reply_version(struct call *call, int status, const struct layer_version *v)
{
    char location[CODE_LINK_ADDRESS_BYTES];
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *content = yyjson_mut_obj_add_obj(doc, root, "Content");
    code_link_address(call, v->digest, location);
    if (location[0] != '\0')
        yyjson_mut_obj_add_str(doc, content, "Location", location);
    yyjson_mut_obj_add_str(doc, content, "CodeSha256", v->code_sha256);
    yyjson_mut_obj_add_uint(doc, content, "CodeSize", v->code_bytes);
    yyjson_mut_obj_add_str(doc, root, "LayerArn", lambda_layer_arn(call, slice_of(v->name), 0));
    add_version(doc, root, v);
    call_reply_json(call, status, doc);
}

/* ---- PublishLayerVersion ---- */

static enum outcome read_text(yyjson_val *body, const char *name, const char *shown, size_t max, char **out,
                              struct lambda_checks *checks, struct error *err)
{
    yyjson_val *value = NULL;
    TRY(lambda_member(body, name, LAMBDA_STRING, &value, err));
    if (value == NULL)
        return OK;
    lambda_check_length(checks, shown, json_slice(value), 0, max);
    *out = slice_dup(json_slice(value));
    return OK;
}

struct enumeration {
    const char *name, *shown;
    const char *const *values;
    size_t count, max;
    bool nested; /* AWS says what is wrong with such a list in two ways */
};

/* A list of values of an enumeration, each taken once, into `out`. */
static enum outcome read_enumeration(yyjson_val *body, const struct enumeration *e, char **out, size_t *count,
                                     bool *given, struct lambda_checks *checks, struct error *err)
{
    yyjson_val *list = NULL, *each = NULL;
    size_t index = 0, max = 0;
    bool known = true;
    TRY(lambda_member(body, e->name, LAMBDA_LIST, &list, err));
    *given = list != NULL;
    if (list == NULL)
        return OK;
    AUTO(buffer)
    struct buffer shown = BUFFER_EMPTY;
    buffer_append_byte(&shown, '[');
    yyjson_arr_foreach(list, index, max, each)
    {
        TRY(lambda_type_check(each, LAMBDA_STRING, err));
        struct slice text = json_slice(each);
        known = known && one_of(text, e->values, e->count);
        if (shown.len < LAMBDA_VALUE_SHOWN_MAX) {
            buffer_append_text(&shown, index > 0 ? ", " : "");
            buffer_append_slice(&shown, lambda_shown(text, LAMBDA_VALUE_SHOWN_MAX));
        }
        if (known && max <= e->max && !one_of(text, (const char *const *)out, *count))
            out[(*count)++] = slice_dup(text);
    }
    buffer_append_byte(&shown, ']');
    if (max > e->max)
        lambda_check_failed(checks, e->shown, buffer_slice(&shown),
                            "Member must have length less than or equal to %zu", e->max);
    if (known)
        return OK;
    AUTO(buffer)
    struct buffer values = BUFFER_EMPTY;
    append_list(&values, e->values, e->count);
    lambda_check_failed(checks, e->shown, buffer_slice(&shown),
                        e->nested
                            ? "Member must satisfy constraint: [Member must satisfy enum value set: %s, Member "
                              "must not be null]"
                            : "Member must satisfy enum value set: %s",
                        buffer_text(&values));
    return OK;
}

static const struct enumeration runtime_list = {
    "CompatibleRuntimes", "compatibleRuntimes", runtimes, RUNTIMES, LAYER_RUNTIMES_MAX, false
};
static const struct enumeration architecture_list = { "CompatibleArchitectures",
                                                      "compatibleArchitectures",
                                                      architectures,
                                                      ARCHITECTURES,
                                                      LAYER_ARCHITECTURES_MAX,
                                                      true };

static enum outcome read_content(yyjson_val *content, struct slice *zip_text, struct error *err)
{
    static const char *const others[] = { "S3Bucket", "S3Key", "S3ObjectVersion" };
    yyjson_val *zip = NULL, *value = NULL;
    bool other = false;
    TRY(lambda_member(content, "ZipFile", LAMBDA_STRING, &zip, err));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        TRY(lambda_member(content, others[i], LAMBDA_STRING, &value, err));
        other = other || yyjson_get_len(value) > 0;
    }
    if (zip != NULL && other)
        return error_set_code(
            err, ERROR_INVALID, INVALID_PARAMETER, "Send one source.",
            "Please do not provide other LayerVersionContent parameters when providing a ZipFile.");
    if (other)
        return error_set_code(err, ERROR_UNSUPPORTED, INVALID_PARAMETER, "Send Content.ZipFile.",
                              "Content from S3 (S3Bucket, S3Key) is not supported by this server yet.");
    if (zip == NULL)
        return error_set_code(err, ERROR_INVALID, INVALID_PARAMETER, "Send Content.ZipFile.",
                              "Please provide a source for layer content.");
    if (yyjson_get_len(zip) == 0)
        return error_set_code(err, ERROR_INVALID, INVALID_PARAMETER, "Zip at least one file.",
                              "Uploaded file must be a non-empty zip");
    *zip_text = json_slice(zip);
    return OK;
}

static enum outcome read_publish(struct call *call, struct layer_version *draft, struct buffer *zip,
                                 struct error *err)
{
    yyjson_val *body = NULL, *content = NULL;
    struct slice zip_text = SLICE_EMPTY;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    TRY(call_json(call, &body, err));
    TRY(read_text(body, "Description", "description", LAYER_DESCRIPTION_BYTES_MAX, &draft->description, &checks,
                  err));
    TRY(read_text(body, "LicenseInfo", "licenseInfo", LAYER_LICENSE_BYTES_MAX, &draft->license, &checks, err));
    TRY(read_enumeration(body, &runtime_list, draft->runtimes, &draft->runtime_count, &draft->runtimes_given,
                         &checks, err));
    TRY(read_enumeration(body, &architecture_list, draft->architectures, &draft->architecture_count,
                         &draft->architectures_given, &checks, err));
    TRY(lambda_member(body, "Content", LAMBDA_STRUCTURE, &content, err));
    if (content == NULL)
        lambda_check_failed(&checks, "content", (struct slice){ NULL, 0 }, "Member must not be null");
    TRY(lambda_checks_result(&checks, err));
    TRY(read_content(content, &zip_text, err));
    return lambda_decode_zip(zip_text, zip, err);
}

static void published(enum outcome outcome, const struct layer_version *version, const struct error *err, void *arg)
{
    if (outcome == OK)
        reply_version(arg, 201, version);
    else
        call_fail(arg, err);
}

void lambda_publish_layer_version(struct call *call)
{
    struct lambda_layer_target target;
    struct error err = { 0 };
    struct buffer zip = BUFFER_EMPTY;
    if (lambda_layer_target_of(call, false, &target, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    struct layer_version *draft = layer_version_new(target.name);
    if (read_publish(call, draft, &zip, &err) != OK) {
        layer_version_free(draft);
        buffer_drop(&zip);
        call_fail(call, &err);
        return;
    }
    /* The body and the document made of it are as large as the package again: they go before it is unpacked. */
    json_doc_drop(&call->json.doc);
    buffer_drop(call->body);
    layer_publish(engine_layers(call->engine), &draft, &zip, published, call);
}

/* ---- GetLayerVersion, GetLayerVersionByArn ---- */

static void reply_found(struct call *call, const struct layer_version *version)
{
    struct error err = { 0 };
    if (version != NULL) {
        reply_version(call, 200, version);
        return;
    }
    (void)not_found(&err);
    call_fail(call, &err);
}

void lambda_get_layer_version(struct call *call)
{
    struct lambda_layer_target target;
    struct error err = { 0 };
    if (lambda_layer_target_of(call, true, &target, &err) != OK)
        call_fail(call, &err);
    else
        reply_found(call, layer_find(engine_layers(call->engine), target.name, target.version));
}

static enum outcome read_arn(struct call *call, struct layer_arn *out, struct error *err)
{
    struct slice text = call_query(call, "Arn");
    struct layer_arn arn = { .name = SLICE_EMPTY };
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    lambda_check_length(&checks, "arn", text, 1, LAMBDA_LAYER_ARN_BYTES_MAX);
    if (!arn_parse(text, &arn) || arn.version.len == 0)
        lambda_check_failed(&checks, "arn", text, "Member must satisfy regular expression pattern: %s",
                            ARN_PATTERN);
    TRY(lambda_checks_result(&checks, err));
    TRY(check_place(call, &arn, text, err));
    *out = arn;
    return OK;
}

void lambda_get_layer_version_by_arn(struct call *call)
{
    struct layer_arn arn;
    struct error err = { 0 };
    uint64_t version = 0;
    if (read_arn(call, &arn, &err) != OK || read_version(arn.version, &version, &err) != OK)
        call_fail(call, &err);
    else
        reply_found(call, layer_find(engine_layers(call->engine), arn.name, version));
}

/* ---- ListLayers, ListLayerVersions ---- */

static void check_filter(struct call *call, const char *name, const char *shown, const char *const *values,
                         size_t count, struct lambda_checks *checks, struct slice *out)
{
    *out = call_query(call, name);
    if (out->len == 0 || one_of(*out, values, count))
        return;
    AUTO(buffer)
    struct buffer list = BUFFER_EMPTY;
    append_list(&list, values, count);
    lambda_check_failed(checks, shown, *out, "Member must satisfy enum value set: %s", buffer_text(&list));
}

struct layer_filter {
    struct slice runtime, architecture;
    struct lambda_page page;
};

static enum outcome read_filter(struct call *call, struct layer_filter *out, struct error *err)
{
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    check_filter(call, "CompatibleRuntime", "compatibleRuntime", runtimes, RUNTIMES, &checks, &out->runtime);
    check_filter(call, "CompatibleArchitecture", "compatibleArchitecture", architectures, ARCHITECTURES, &checks,
                 &out->architecture);
    TRY(lambda_checks_result(&checks, err));
    return lambda_read_page(call, &out->page, err);
}

void lambda_list_layers(struct call *call)
{
    const struct layer_version *versions[LAMBDA_LAYER_LIST_PAGE_MAX];
    struct layer_filter filter;
    struct error err = { 0 };
    bool more = false;
    if (read_filter(call, &filter, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    size_t count = layer_list(engine_layers(call->engine), filter.page.after, filter.runtime, filter.architecture,
                              filter.page.max, versions, &more);
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *layers = yyjson_mut_obj_add_arr(doc, root, "Layers");
    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *layer = yyjson_mut_arr_add_obj(doc, layers);
        yyjson_mut_obj_add_str(doc, layer, "LayerName", versions[i]->name);
        yyjson_mut_obj_add_str(doc, layer, "LayerArn", lambda_layer_arn(call, slice_of(versions[i]->name), 0));
        add_version(doc, yyjson_mut_obj_add_obj(doc, layer, "LatestMatchingVersion"), versions[i]);
    }
    if (more && count > 0)
        lambda_add_marker(doc, root, slice_of(versions[count - 1]->name));
    call_reply_json(call, 200, doc);
}

static void list_versions(struct call *call, struct slice name, uint64_t before, const struct layer_filter *filter)
{
    const struct layer_version *versions[LAMBDA_LAYER_LIST_PAGE_MAX];
    bool more = false;
    size_t count = layer_list_versions(engine_layers(call->engine), name, before, filter->runtime,
                                       filter->architecture, filter->page.max, versions, &more);
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "LayerVersions");
    for (size_t i = 0; i < count; i++)
        add_version(doc, yyjson_mut_arr_add_obj(doc, list), versions[i]);
    if (more && count > 0) {
        char last[24];
        int len = snprintf(last, sizeof(last), "%llu", (unsigned long long)versions[count - 1]->version);
        lambda_add_marker(doc, root, slice_from(last, (size_t)len));
    }
    call_reply_json(call, 200, doc);
}

void lambda_list_layer_versions(struct call *call)
{
    struct lambda_layer_target target;
    struct layer_filter filter;
    struct error err = { 0 };
    uint64_t before = 0;
    if (lambda_layer_target_of(call, false, &target, &err) != OK || read_filter(call, &filter, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    if (filter.page.after.len > 0 && (!slice_to_u64(filter.page.after, INT64_MAX, &before) || before == 0)) {
        (void)error_set_code(&err, ERROR_INVALID, INVALID_PARAMETER, "Start again without a Marker.",
                             "The Marker is not one that ListLayerVersions gave.");
        call_fail(call, &err);
        return;
    }
    list_versions(call, target.name, before, &filter);
}

/* ---- DeleteLayerVersion ---- */

static void deleted(enum outcome outcome, const struct layer_version *version, const struct error *err, void *arg)
{
    (void)version;
    if (outcome == OK)
        call_reply_empty(arg, 204);
    else
        call_fail(arg, err);
}

void lambda_delete_layer_version(struct call *call)
{
    struct lambda_layer_target target;
    struct error err = { 0 };
    if (lambda_layer_target_of(call, true, &target, &err) != OK)
        call_fail(call, &err);
    else
        layer_delete(engine_layers(call->engine), target.name, target.version, deleted, call);
}

/* ---- the Layers of a function ---- */

static enum outcome check_arns(yyjson_val *list, struct error *err)
{
    yyjson_val *each = NULL;
    size_t index = 0, max = 0;
    bool good = true;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    AUTO(buffer)
    struct buffer shown = BUFFER_EMPTY;
    buffer_append_byte(&shown, '[');
    yyjson_arr_foreach(list, index, max, each)
    {
        struct layer_arn arn;
        TRY(lambda_type_check(each, LAMBDA_STRING, err));
        struct slice text = json_slice(each);
        good = good && text.len <= LAMBDA_LAYER_ARN_BYTES_MAX && arn_parse(text, &arn) && arn.version.len > 0;
        if (shown.len < LAMBDA_VALUE_SHOWN_MAX) {
            buffer_append_text(&shown, index > 0 ? ", " : "");
            buffer_append_slice(&shown, lambda_shown(text, LAMBDA_VALUE_SHOWN_MAX));
        }
    }
    buffer_append_byte(&shown, ']');
    if (!good)
        lambda_check_failed(
            &checks, "layers", buffer_slice(&shown),
            "Member must satisfy constraint: [Member must have length less than or equal to %d, Member "
            "must have length greater than or equal to 1, Member must satisfy regular expression "
            "pattern: %s, Member must not be null]",
            LAMBDA_LAYER_ARN_BYTES_MAX, ARN_PATTERN);
    TRY(lambda_checks_result(&checks, err));
    if (max > FUNCTION_LAYERS_MAX)
        return error_set_code(err, ERROR_INVALID, INVALID_PARAMETER, "Put what they hold into fewer layers.",
                              "Cannot reference more than %d layers.", FUNCTION_LAYERS_MAX);
    return OK;
}

static enum outcome find_layer(struct call *call, struct slice text, const struct layer_version **out,
                               struct error *err)
{
    struct layer_arn arn;
    uint64_t number = 0;
    const struct layer_version *version = NULL;
    if (!arn_parse(text, &arn) || !slice_is(arn.account, engine_account(call->engine)))
        return denied(call, "lambda:GetLayerVersion", text, err);
    if (!slice_is(arn.region, engine_region(call->engine)))
        return error_set_code(
            err, ERROR_INVALID, INVALID_PARAMETER, "Publish the layer in this region.",
            "Layers are not in the same region as the function. Layers are expected to be in region "
            "%s.",
            engine_region(call->engine));
    if (slice_to_u64(arn.version, INT64_MAX, &number) && slice_is(arn.partition, "aws"))
        version = layer_find(engine_layers(call->engine), arn.name, number);
    if (version == NULL)
        return error_set_code(err, ERROR_INVALID, INVALID_PARAMETER, "List the layer's versions.",
                              "Layer version %.*s does not exist.",
                              SLICE_PRINT(lambda_shown(text, LAMBDA_VALUE_SHOWN_MAX)));
    if (version->extensions)
        return error_set_code(
            err, ERROR_UNSUPPORTED, INVALID_PARAMETER, "Take the extension out of the layer.",
            "Layer version %s contains extensions (files in extensions/), which is not supported by "
            "this server yet.",
            version->arn);
    *out = version;
    return OK;
}

static enum outcome check_different(const struct function_layer *layers, size_t count, const char *arn,
                                    struct error *err)
{
    size_t len = (size_t)(strrchr(arn, ':') - arn) + 1; /* up to the version */
    for (size_t i = 0; i < count; i++)
        if (strncmp(layers[i].arn, arn, len) == 0)
            return error_set_code(
                err, ERROR_INVALID, INVALID_PARAMETER, "Name one of them.",
                "Two different versions of the same layer are not allowed to be referenced in the "
                "same function. %s and %s are versions of the same layer.",
                layers[i].arn, arn);
    return OK;
}

enum outcome lambda_read_layers(struct call *call, yyjson_val *body, struct function *draft, struct error *err)
{
    yyjson_val *list = NULL, *each = NULL;
    size_t index = 0, max = 0;
    struct function_layer layers[FUNCTION_LAYERS_MAX] = { 0 };
    TRY(lambda_member(body, "Layers", LAMBDA_LIST, &list, err));
    if (list == NULL)
        return OK;
    TRY(check_arns(list, err));
    yyjson_arr_foreach(list, index, max, each)
    {
        const struct layer_version *version = NULL;
        TRY(find_layer(call, json_slice(each), &version, err));
        TRY(check_different(layers, index, version->arn, err));
        memcpy(layers[index].arn, version->arn, sizeof(layers[index].arn));
        memcpy(layers[index].digest, version->digest, sizeof(layers[index].digest));
        layers[index].code_bytes = version->code_bytes;
        layers[index].tree_bytes = version->tree_bytes;
    }
    draft->layers = memory_grow(draft->layers, max + 1, sizeof(*layers));
    memcpy(draft->layers, layers, max * sizeof(*layers));
    draft->layer_count = max;
    return layer_sizes_check(draft, err); /* of a new function the code counts once it is unpacked */
}
