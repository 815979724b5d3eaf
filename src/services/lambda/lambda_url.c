#include <stdio.h>

#include "base/clock.h"
#include "services/lambda/lambda.h"

/* Function URLs: their configuration. The calls themselves are the gateway's.
 *
 * Texts and shapes are those of LocalStack's recordings of AWS (test_url_config_exceptions, _lifecycle, _list_paging,
 * test_lambda_update_function_url_config): InvokeMode stands in the answers to Create and Update only when somebody said it, in those to Get and
 * List always. Cors stands there as it was given; an empty one takes it away. */

static const char qualifier_pattern[] = "((?!^\\d+$)^[0-9a-zA-Z-_]+$)"; /* model: FunctionUrlQualifier */

struct url_change { /* what a handler's callback needs; in the call's arena */
    struct slice name, qualifier;
};

/* ---- which function ---- */

/* FunctionUrlQualifier: the name of an alias; neither $LATEST nor a number. */
static bool is_alias_name(struct slice text)
{
    bool digits = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '-' && c != '_')
            return false;
        digits = digits && digit;
    }
    return text.len > 0 && !digits;
}

/* `out->qualifier` is that of the setting: "$LATEST" when no alias was named. */
static enum outcome read_target(struct call *call, struct lambda_target *out, struct error *err)
{
    struct slice qualifier = call_query(call, "Qualifier");
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    struct lambda_name name = { SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY };
    if (qualifier.len == 0 && lambda_name_parse(call_path(call, "FunctionName"), LAMBDA_NAME_FUNCTION, &name))
        qualifier = name.qualifier;
    if (qualifier.len > 0) {
        lambda_check_length(&checks, "qualifier", qualifier, 1, LAMBDA_QUALIFIER_BYTES_MAX);
        if (!is_alias_name(qualifier))
            lambda_check_failed(&checks, "qualifier", qualifier,
                                "Member must satisfy regular expression pattern: %s", qualifier_pattern);
    }
    TRY(lambda_checks_result(&checks, err));
    TRY(lambda_target_of(call, LAMBDA_NAME_FUNCTION, out, err));
    if (out->qualifier.len == 0)
        out->qualifier = SLICE("$LATEST");
    return OK;
}

static enum outcome no_function(struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                          "List the functions to see what is there.", "Function does not exist");
}

static enum outcome no_url(struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                          "List the function's URLs to see what is there.",
                          "The resource you requested does not exist.");
}

/* Is the function there, and the alias where one was named? */
static enum outcome check_function(struct call *call, const struct lambda_target *target, struct error *err)
{
    if (engine_find(call->engine, target->name) == NULL)
        return no_function(err);
    if (!slice_is(target->qualifier, "$LATEST") &&
        engine_setting(call->engine, target->name, SETTING_ALIAS, target->qualifier) == NULL)
        return no_function(err);
    return OK;
}

static enum outcome find_url(struct call *call, const struct lambda_target *target, const struct setting **out,
                             struct error *err)
{
    *out = engine_setting(call->engine, target->name, SETTING_URL, target->qualifier);
    return *out == NULL ? no_url(err) : OK;
}

static struct slice without_latest(struct slice qualifier)
{
    return slice_is(qualifier, "$LATEST") ? SLICE_EMPTY : qualifier;
}

/* ---- bodies ---- */

/* The values of a list as AWS's messages show it: [a, b]. */
static void append_shown(struct buffer *out, yyjson_val *list)
{
    size_t i = 0, count = 0;
    yyjson_val *item = NULL;
    buffer_append_byte(out, '[');
    yyjson_arr_foreach(list, i, count, item)
    {
        if (i > 0)
            buffer_append_text(out, ", ");
        buffer_append_slice(out, json_slice(item));
    }
    buffer_append_byte(out, ']');
}

/* Java's pattern ".*" matches no line's end; no header that we make of it may hold one, nor any other control character. */
static bool item_ok(struct slice item, size_t min, size_t max)
{
    size_t length = lambda_text_length(item);
    for (size_t i = 0; i < item.len; i++)
        if ((unsigned char)item.at[i] < 0x20 || item.at[i] == 0x7F)
            return false;
    return length >= min && length <= max;
}

struct list_rule {
    const char *member, *path;
    size_t items_max, chars_min, chars_max;
};

static enum outcome read_list(yyjson_val *cors, const struct list_rule *rule, struct lambda_checks *checks,
                              struct url_list *out, struct error *err)
{
    yyjson_val *list = NULL, *item = NULL;
    size_t i = 0, count = 0;
    bool items_ok = true;
    TRY(lambda_member(cors, rule->member, LAMBDA_LIST, &list, err));
    if (list == NULL)
        return OK;
    yyjson_arr_foreach(list, i, count, item)
    {
        TRY(lambda_type_check(item, LAMBDA_STRING, err));
        items_ok = items_ok && item_ok(json_slice(item), rule->chars_min, rule->chars_max);
    }
    AUTO(buffer)
    struct buffer shown = BUFFER_EMPTY;
    append_shown(&shown, list);
    struct slice value = lambda_shown(buffer_slice(&shown), LAMBDA_VALUE_SHOWN_MAX);
    if (yyjson_arr_size(list) > rule->items_max)
        lambda_check_failed(checks, rule->path, value, "Member must have length less than or equal to %zu",
                            rule->items_max);
    else if (!items_ok)
        lambda_check_failed(
            checks, rule->path, value,
            "Member must satisfy constraint: [Member must have length less than or equal to %zu, Member "
            "must have length greater than or equal to %zu, Member must satisfy regular expression "
            "pattern: .*]",
            rule->chars_max, rule->chars_min);
    else
        yyjson_arr_foreach(list, i, count, item) url_list_add(out, json_slice(item));
    return OK;
}

static enum outcome read_cors(yyjson_val *body, struct lambda_checks *checks, struct function_url *url,
                              struct error *err)
{
    static const struct list_rule headers = { "AllowHeaders", "cors.allowHeaders", URL_CORS_ITEMS_MAX, 0,
                                              URL_HEADER_CHARS_MAX };
    static const struct list_rule methods = { "AllowMethods", "cors.allowMethods", URL_CORS_METHODS_MAX, 0,
                                              URL_METHOD_CHARS_MAX };
    static const struct list_rule origins = { "AllowOrigins", "cors.allowOrigins", URL_CORS_ITEMS_MAX, 1,
                                              URL_ORIGIN_CHARS_MAX };
    static const struct list_rule exposed = { "ExposeHeaders", "cors.exposeHeaders", URL_CORS_ITEMS_MAX, 0,
                                              URL_HEADER_CHARS_MAX };
    yyjson_val *cors = NULL, *credentials = NULL, *age = NULL;
    TRY(lambda_member(body, "Cors", LAMBDA_STRUCTURE, &cors, err));
    if (cors == NULL)
        return OK;
    url_cors_done(&url->cors);
    TRY(lambda_member(cors, "AllowCredentials", LAMBDA_BOOLEAN, &credentials, err));
    TRY(read_list(cors, &headers, checks, &url->cors.headers, err));
    TRY(read_list(cors, &methods, checks, &url->cors.methods, err));
    TRY(read_list(cors, &origins, checks, &url->cors.origins, err));
    TRY(read_list(cors, &exposed, checks, &url->cors.exposed, err));
    TRY(lambda_member(cors, "MaxAge", LAMBDA_INTEGER, &age, err));
    if (age != NULL) {
        int64_t seconds = yyjson_get_sint(age);
        lambda_check_range(checks, "cors.maxAge", seconds, 0, URL_CORS_MAX_AGE_S_MAX);
        url->cors.max_age_s = seconds;
    }
    url->cors.credentials_given = credentials != NULL;
    url->cors.credentials = yyjson_get_bool(credentials);
    url->has_cors = yyjson_obj_size(cors) > 0;
    return OK;
}

static enum outcome read_mode(struct slice mode, struct function_url *url, struct error *err)
{
    if (slice_is(mode, "RESPONSE_STREAM"))
        return error_set_code(
            err, ERROR_UNSUPPORTED, "InvalidParameterValueException", "Use InvokeMode BUFFERED, or leave it out.",
            "InvokeMode RESPONSE_STREAM (response streaming) is not supported by this server yet.");
    if (mode.len > 0)
        (void)snprintf(url->invoke_mode, sizeof(url->invoke_mode), "BUFFERED");
    return OK;
}

/* Changes `url` as the body says. */
static enum outcome read_body(struct call *call, bool create, struct function_url *url, struct error *err)
{
    yyjson_val *body = NULL, *auth = NULL, *mode = NULL;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    TRY(call_json(call, &body, err));
    TRY(lambda_member(body, "AuthType", LAMBDA_STRING, &auth, err));
    TRY(lambda_member(body, "InvokeMode", LAMBDA_STRING, &mode, err));
    TRY(read_cors(body, &checks, url, err));
    struct slice auth_text = json_slice(auth), mode_text = json_slice(mode);
    if (create && auth == NULL)
        lambda_check_failed(&checks, "authType", (struct slice){ NULL, 0 }, "Member must not be null");
    if (auth != NULL && !slice_is(auth_text, "NONE") && !slice_is(auth_text, "AWS_IAM"))
        lambda_check_failed(&checks, "authType", auth_text, "Member must satisfy enum value set: [AWS_IAM, NONE]");
    if (mode != NULL && !slice_is(mode_text, "BUFFERED") && !slice_is(mode_text, "RESPONSE_STREAM"))
        lambda_check_failed(&checks, "invokeMode", mode_text,
                            "Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]");
    TRY(lambda_checks_result(&checks, err));
    if (auth != NULL)
        url->iam = slice_is(auth_text, "AWS_IAM");
    return read_mode(mode_text, url, err);
}

/* ---- answers ---- */

/* "http://127.0.0.1:8080" gives the scheme and the port. */
static void append_url(struct buffer *out, const struct call *call, const char *id)
{
    struct slice address = slice_of(call->gateway_url), rest = address;
    struct slice scheme = slice_split(&rest, ':');
    size_t colon = address.len;
    while (colon > scheme.len + 1 && address.at[colon - 1] != ':')
        colon--;
    buffer_appendf(out, "%.*s://%s.lambda-url.%s.on.localhost:%.*s/", SLICE_PRINT(scheme), id,
                   engine_region(call->engine), (int)(address.len - colon), address.at + colon);
}

static void add_buffer(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, const struct buffer *text)
{
    yyjson_mut_obj_add_strncpy(doc, object, name, text->at, text->len);
}

static void add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, int64_t wall_ms)
{
    char text[CLOCK_TEXT_BYTES];
    clock_iso_ms(wall_ms, text);
    yyjson_mut_obj_add_strcpy(doc, object, name, text);
}

static void add_cors(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct url_cors *cors)
{
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    AUTO(json_doc)
    yyjson_doc *parsed = NULL;
    url_cors_write(cors, &text);
    if (json_parse(buffer_slice(&text), &parsed, NULL) == OK)
        yyjson_mut_obj_add_val(doc, object, "Cors", yyjson_val_mut_copy(doc, yyjson_doc_get_root(parsed)));
}

enum url_view { URL_VIEW_CREATED, URL_VIEW_UPDATED, URL_VIEW_READ };

static yyjson_mut_val *render(struct call *call, yyjson_mut_doc *doc, struct slice name,
                              const struct setting *setting, enum url_view view)
{
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    const struct function_url *url = setting->url;
    struct slice qualifier = without_latest(slice_of(setting->qualifier));
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    append_url(&text, call, url->id);
    add_buffer(doc, object, "FunctionUrl", &text);
    yyjson_mut_obj_add_strcpy(doc, object, "FunctionArn", lambda_function_arn(call, name, qualifier));
    yyjson_mut_obj_add_str(doc, object, "AuthType", url->iam ? "AWS_IAM" : "NONE");
    if (url->has_cors)
        add_cors(doc, object, &url->cors);
    add_time(doc, object, "CreationTime", setting->created_ms);
    if (view != URL_VIEW_CREATED)
        add_time(doc, object, "LastModifiedTime", setting->modified_ms);
    if (view == URL_VIEW_READ || url->invoke_mode[0] != '\0')
        yyjson_mut_obj_add_str(doc, object, "InvokeMode", "BUFFERED");
    return object;
}

static void reply(struct call *call, int status, struct slice name, const struct setting *setting,
                  enum url_view view)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, render(call, doc, name, setting, view));
    call_reply_json(call, status, doc);
}

/* ---- changes ---- */

static enum outcome exists(struct call *call, const struct url_change *change, struct error *err)
{
    return error_set_code(err, ERROR_EXISTS, "ResourceConflictException", "Update the URL that is there.",
                          "Failed to create function url config for [functionArn = %s]. Error message:  "
                          "FunctionUrlConfig exists for this Lambda function",
                          lambda_function_arn(call, change->name, without_latest(change->qualifier)));
}

static void created(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    struct call *call = arg;
    const struct url_change *change = call->data;
    struct error own = { 0 };
    if (outcome == OK) {
        reply(call, 201, change->name, setting, URL_VIEW_CREATED);
        return;
    }
    if (err->kind == ERROR_EXISTS)
        (void)exists(call, change, &own);
    else if (err->kind == ERROR_NOT_FOUND)
        (void)no_function(&own);
    else
        own = *err;
    call_fail(call, &own);
}

static void updated(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    struct call *call = arg;
    const struct url_change *change = call->data;
    struct error own = { 0 };
    if (outcome == OK) {
        reply(call, 200, change->name, setting, URL_VIEW_UPDATED);
        return;
    }
    if (err->kind == ERROR_NOT_FOUND)
        (void)no_url(&own);
    else if (err->kind == ERROR_PRECONDITION) /* another update came between what we read and what we wrote */
        (void)error_set_code(
            &own, ERROR_CONFLICT, "ResourceConflictException", "Try again.",
            "The operation cannot be performed at this time. Another update of this function URL is in "
            "progress.");
    else
        own = *err;
    call_fail(call, &own);
}

static void deleted(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    struct call *call = arg;
    struct error own = { 0 };
    (void)setting;
    if (outcome == OK) {
        call_reply_empty(call, 204);
        return;
    }
    if (err->kind == ERROR_NOT_FOUND)
        (void)no_url(&own);
    else
        own = *err;
    call_fail(call, &own);
}

/* Keeps for the callback what borrows from the body or the path. */
static const struct url_change *keep(struct call *call, const struct lambda_target *target)
{
    struct url_change *change = arena_take(&call->arena, sizeof(*change));
    *change = (struct url_change){ lambda_keep(call, target->name), lambda_keep(call, target->qualifier) };
    call->data = change;
    return change;
}

static void put(struct call *call, const struct lambda_target *target, const struct function_url *url,
                enum setting_mode mode, const char *expected, setting_saved_fn *done)
{
    const struct url_change *kept = keep(call, target);
    AUTO(buffer)
    struct buffer document = BUFFER_EMPTY;
    function_url_write(url, &document);
    struct setting_change change = {
        .name = kept->name,
        .qualifier = kept->qualifier,
        .kind = SETTING_URL,
        .mode = mode,
        .document = buffer_slice(&document),
        .expected_revision = slice_of(expected),
        .qualifier_must_exist = true,
    };
    engine_setting_put(call->engine, &change, done, call);
}

static enum outcome create(struct call *call, struct function_url *url, struct error *err)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    TRY(read_target(call, &target, err));
    TRY(read_body(call, true, url, err));
    TRY(check_function(call, &target, err));
    put(call, &target, url, SETTING_CREATE, NULL, created);
    return OK;
}

void lambda_create_function_url_config(struct call *call)
{
    struct error err = { 0 };
    struct function_url *url = function_url_new();
    if (create(call, url, &err) != OK)
        call_fail(call, &err);
    function_url_free(url);
}

static enum outcome update(struct call *call, struct function_url **url, struct error *err)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    const struct setting *setting = NULL;
    TRY(read_target(call, &target, err));
    struct function_url *scratch =
        function_url_new(); /* what is wrong with the body is told before what is not there */
    enum outcome outcome = read_body(call, false, scratch, err);
    function_url_free(scratch);
    TRY(outcome);
    TRY(check_function(call, &target, err));
    TRY(find_url(call, &target, &setting, err));
    *url = function_url_copy(setting->url);
    TRY(read_body(call, false, *url, err));
    put(call, &target, *url, SETTING_UPDATE, setting->revision_id, updated);
    return OK;
}

void lambda_update_function_url_config(struct call *call)
{
    struct error err = { 0 };
    struct function_url *url = NULL;
    if (update(call, &url, &err) != OK)
        call_fail(call, &err);
    function_url_free(url);
}

/* ---- reading and deleting ---- */

static enum outcome find(struct call *call, struct lambda_target *target, const struct setting **setting,
                         struct error *err)
{
    TRY(read_target(call, target, err));
    return find_url(call, target, setting, err);
}

void lambda_get_function_url_config(struct call *call)
{
    struct error err = { 0 };
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    const struct setting *setting = NULL;
    if (find(call, &target, &setting, &err) != OK)
        call_fail(call, &err);
    else
        reply(call, 200, target.name, setting, URL_VIEW_READ);
}

void lambda_delete_function_url_config(struct call *call)
{
    struct error err = { 0 };
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    const struct setting *setting = NULL;
    if (find(call, &target, &setting, &err) != OK)
        call_fail(call, &err);
    else
        engine_setting_delete(call->engine, target.name, SETTING_URL, target.qualifier, SLICE_EMPTY, deleted, call);
}

static enum outcome list(struct call *call, yyjson_mut_doc *doc, struct error *err)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    struct lambda_page page = { 0, SLICE_EMPTY };
    const struct setting *settings[LAMBDA_LIST_PAGE_MAX];
    bool more = false;
    TRY(lambda_target_of(call, LAMBDA_NAME_FUNCTION, &target, err));
    TRY(lambda_read_page(call, &page, err));
    if (engine_find(call->engine, target.name) == NULL)
        return no_function(err);
    size_t count = engine_settings(call->engine, target.name, SETTING_URL, page.after, page.max, settings, &more);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *configs = yyjson_mut_obj_add_arr(doc, root, "FunctionUrlConfigs");
    for (size_t i = 0; i < count; i++)
        yyjson_mut_arr_append(configs, render(call, doc, target.name, settings[i], URL_VIEW_READ));
    if (more && count > 0)
        lambda_add_marker(doc, root, slice_of(settings[count - 1]->qualifier));
    return OK;
}

void lambda_list_function_url_configs(struct call *call)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    struct error err = { 0 };
    if (list(call, doc, &err) != OK)
        call_fail(call, &err);
    else
        call_reply_json(call, 200, doc);
}
