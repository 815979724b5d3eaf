#include "services/lambda/lambda.h"

#include <stdio.h>

/* Aliases: names that point to one version, or share the calls between two by weight. The document is engine/alias.h's; here are
 * AWS's checks, in its order: the model, then Lambda's own rules about two versions, then whether those are there. */

static const char alias_pattern[] = "(?!^[0-9]+$)([a-zA-Z0-9-_]+)";
static const char version_pattern[] = "(\\$LATEST(\\.PUBLISHED)?|[0-9]+)";

struct alias_request {
    struct slice function, name; /* borrowed from the path or the body, which live as long as the call */
    struct slice version, description, revision_id;
    bool has_version, has_description, has_routing;
    size_t weights; /* of a RoutingConfig */
    struct slice other;
    double weight;
};

static bool is_digits(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return text.len > 0;
}

static bool alias_name_ok(struct slice name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] == '\0' || strchr(allowed, name.at[i]) == NULL)
            return false;
    return name.len > 0 && !is_digits(name);
}

static void check_name(struct lambda_checks *checks, struct slice name)
{
    lambda_check_length(checks, "name", name, 1, LAMBDA_ALIAS_NAME_CHARS_MAX);
    if (!alias_name_ok(name))
        lambda_check_failed(checks, "name", name, "Member must satisfy regular expression pattern: %s",
                            alias_pattern);
}

static void check_version(struct lambda_checks *checks, struct slice version)
{
    lambda_check_length(checks, "functionVersion", version, 1, LAMBDA_VERSION_CHARS_MAX);
    if (!is_digits(version) && !slice_is(version, "$LATEST") && !slice_is(version, "$LATEST.PUBLISHED"))
        lambda_check_failed(checks, "functionVersion", version,
                            "Member must satisfy regular expression pattern: %s", version_pattern);
}

/* ---- AdditionalVersionWeights ---- */

/* As Java prints a map of Doubles: {2=0.5, 3=1.0} */
static void show_weights(yyjson_val *map, struct buffer *out)
{
    yyjson_obj_iter iter = yyjson_obj_iter_with(map);
    buffer_append_byte(out, '{');
    for (yyjson_val *key = NULL;
         (key = yyjson_obj_iter_next(&iter)) != NULL && out->len < LAMBDA_VALUE_SHOWN_MAX;) {
        char number[32];
        snprintf(number, sizeof(number), "%.15g", yyjson_get_num(yyjson_obj_iter_get_val(key)));
        struct slice shown = lambda_shown(json_slice(key), LAMBDA_VALUE_SHOWN_MAX);
        buffer_appendf(out, "%s%.*s=%s%s", out->len > 1 ? ", " : "", SLICE_PRINT(shown), number,
                       strpbrk(number, ".en") == NULL ? ".0" : "");
    }
    buffer_append_byte(out, '}');
}

static enum outcome read_weights(struct lambda_checks *checks, yyjson_val *map, struct alias_request *out,
                                 struct error *err)
{
    bool keys_ok = true, values_ok = true;
    yyjson_obj_iter iter = yyjson_obj_iter_with(map);
    for (yyjson_val *key = NULL; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (!yyjson_is_num(value) && !yyjson_is_null(value))
            return error_set_code(err, ERROR_INVALID, "SerializationException",
                                  "Send the type that the API's model has.",
                                  "A weight can not be converted to a Double");
        out->other = json_slice(key);
        out->weight = yyjson_get_num(value);
        out->weights++;
        keys_ok = keys_ok && is_digits(out->other) && out->other.len <= LAMBDA_VERSION_CHARS_MAX;
        values_ok = values_ok && yyjson_is_num(value) && out->weight >= 0 && out->weight <= 1;
    }
    AUTO(buffer)
    struct buffer shown = BUFFER_EMPTY;
    show_weights(map, &shown);
    if (!keys_ok)
        lambda_check_failed(
            checks, "routingConfig.additionalVersionWeights", buffer_slice(&shown),
            "Map keys must satisfy constraint: [Member must have length less than or equal to %d, Member must have "
            "length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]",
            LAMBDA_VERSION_CHARS_MAX);
    if (!values_ok)
        lambda_check_failed(checks, "routingConfig.additionalVersionWeights", buffer_slice(&shown),
                            "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
                            "Member must have "
                            "value greater than or equal to 0.0, Member must not be null]");
    return OK;
}

static enum outcome read_body(yyjson_val *body, struct lambda_checks *checks, struct alias_request *out,
                              struct error *err)
{
    yyjson_val *version = NULL, *description = NULL, *routing = NULL, *weights = NULL, *revision = NULL;
    TRY(lambda_member(body, "FunctionVersion", LAMBDA_STRING, &version, err));
    TRY(lambda_member(body, "Description", LAMBDA_STRING, &description, err));
    TRY(lambda_member(body, "RoutingConfig", LAMBDA_STRUCTURE, &routing, err));
    TRY(lambda_member(body, "RevisionId", LAMBDA_STRING, &revision, err));
    if (routing != NULL)
        TRY(lambda_member(routing, "AdditionalVersionWeights", LAMBDA_MAP, &weights, err));
    out->has_version = version != NULL;
    out->has_description = description != NULL;
    out->has_routing = routing != NULL;
    out->version = json_slice(version);
    out->description = json_slice(description);
    out->revision_id = json_slice(revision);
    if (version != NULL)
        check_version(checks, out->version);
    if (description != NULL)
        lambda_check_length(checks, "description", out->description, 0, FUNCTION_DESCRIPTION_BYTES_MAX);
    return weights == NULL ? OK : read_weights(checks, weights, out, err);
}

/* ---- from a request to a document ---- */

/* Lambda's own rules, then whether the versions are there; `out` then has the numbers. `version` and `other` (empty: none) are as
 * the caller wrote them. */
static enum outcome check_versions(struct call *call, const struct alias_request *request, struct slice version,
                                   struct slice other, struct alias *out, struct error *err)
{
    static const char code[] = "InvalidParameterValueException";
    if (request->weights > 1)
        return error_set_code(err, ERROR_INVALID, code, "Name one other version.",
                              "Number of items in AdditionalVersionWeights cannot be greater than 1");
    if (other.len > 0 && slice_starts(version, SLICE("$LATEST")))
        return error_set_code(err, ERROR_INVALID, code, "Publish a version first.",
                              "$LATEST is not supported for an alias pointing to more than 1 version");
    if (other.len > 0 && slice_equal(version, other))
        return error_set_code(
            err, ERROR_INVALID, code, "Name two different versions.",
            "Invalid function version %.*s. Function version %.*s is already included in routing configuration.",
            SLICE_PRINT(lambda_shown(other, 20)), SLICE_PRINT(lambda_shown(other, 20)));
    if (!lambda_version_number(version, &out->version) ||
        engine_find_version(call->engine, request->function, out->version) == NULL)
        return lambda_not_found(call, request->function, lambda_shown(version, LAMBDA_VALUE_SHOWN_MAX), err);
    out->other_version = 0;
    if (other.len > 0 && (!lambda_version_number(other, &out->other_version) ||
                          engine_find_version(call->engine, request->function, out->other_version) == NULL))
        return lambda_not_found(call, request->function, lambda_shown(other, LAMBDA_VALUE_SHOWN_MAX), err);
    return OK;
}

static void put_alias(struct call *call, const struct alias_request *request, enum setting_mode mode,
                      const struct alias *alias, struct slice expected_revision, setting_saved_fn *done)
{
    AUTO(buffer)
    struct buffer document = BUFFER_EMPTY;
    alias_write(alias, &document);
    const struct setting_change change = {
        .name = request->function,
        .qualifier = request->name,
        .kind = SETTING_ALIAS,
        .mode = mode,
        .document = buffer_slice(&document),
        .expected_revision = expected_revision,
        .versions = { alias->version, alias->other_version },
    };
    engine_setting_put(call->engine, &change, done, call);
}

/* ---- AliasConfiguration ---- */

static const char *version_text(uint64_t number, char out[24])
{
    if (number == 0)
        return "$LATEST";
    snprintf(out, 24, "%llu", (unsigned long long)number);
    return out;
}

static yyjson_mut_val *render(struct call *call, yyjson_mut_doc *doc, struct slice function,
                              const struct setting *setting)
{
    char number[24];
    const struct alias *alias = setting->alias;
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_str(doc, object, "AliasArn",
                           lambda_function_arn(call, function, slice_of(setting->qualifier)));
    yyjson_mut_obj_add_str(doc, object, "Name", setting->qualifier);
    yyjson_mut_obj_add_strcpy(doc, object, "FunctionVersion", version_text(alias->version, number));
    yyjson_mut_obj_add_str(doc, object, "Description", alias->description);
    if (alias->other_version != 0) {
        yyjson_mut_val *weights = yyjson_mut_obj_add_obj(doc, yyjson_mut_obj_add_obj(doc, object, "RoutingConfig"),
                                                         "AdditionalVersionWeights");
        yyjson_mut_obj_add(weights, yyjson_mut_strcpy(doc, version_text(alias->other_version, number)),
                           yyjson_mut_real(doc, alias->other_weight));
    }
    yyjson_mut_obj_add_str(doc, object, "RevisionId", setting->revision_id);
    return object;
}

static void reply_alias(struct call *call, int status, struct slice function, const struct setting *setting)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, render(call, doc, function, setting));
    call_reply_json(call, status, doc);
}

static enum outcome fail_with_arn(struct call *call, enum error_kind kind, const char *code, const char *hint,
                                  const char *text, const struct alias_request *request, struct error *err)
{
    return error_set_code(err, kind, code, hint, "%s%s", text,
                          lambda_function_arn(call, request->function, request->name));
}

/* ---- CreateAlias ---- */

static enum outcome exists(struct call *call, const struct alias_request *request, struct error *err)
{
    return fail_with_arn(call, ERROR_EXISTS, "ResourceConflictException",
                         "Update the alias, or choose another name.", "Alias already exists: ", request, err);
}

static void created(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    struct call *call = arg;
    const struct alias_request *request = call->data;
    struct error failed = { 0 };
    if (outcome == OK) {
        reply_alias(call, 201, request->function, setting);
        return;
    }
    failed = *err;
    if (err->kind == ERROR_EXISTS)
        (void)exists(call, request, &failed);
    call_fail(call, &failed);
}

static enum outcome create(struct call *call, struct error *err)
{
    struct alias_request *request = arena_take(&call->arena, sizeof(*request));
    *request = (struct alias_request){ .weights = 0 };
    yyjson_val *body = NULL, *name = NULL;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    TRY(lambda_unqualified(call, LAMBDA_NAME_FUNCTION, &request->function, err));
    TRY(call_json(call, &body, err));
    TRY(lambda_member(body, "Name", LAMBDA_STRING, &name, err));
    TRY(read_body(body, &checks, request, err));
    request->name = json_slice(name);
    if (name == NULL)
        lambda_check_failed(&checks, "name", (struct slice){ NULL, 0 }, "Member must not be null");
    else
        check_name(&checks, request->name);
    if (!request->has_version)
        lambda_check_failed(&checks, "functionVersion", (struct slice){ NULL, 0 }, "Member must not be null");
    TRY(lambda_checks_result(&checks, err));
    struct alias alias = { .other_weight = request->weight };
    TRY(check_versions(call, request, request->version, request->other, &alias, err));
    if (engine_setting(call->engine, request->function, SETTING_ALIAS, request->name) != NULL)
        return exists(call, request, err);
    alias.description = lambda_keep(call, request->description).len > 0
                            ? (char *)(uintptr_t)lambda_keep(call, request->description).at
                            : (char *)(uintptr_t) "";
    call->data = request;
    put_alias(call, request, SETTING_CREATE, &alias, SLICE_EMPTY, created);
    return OK;
}

void lambda_create_alias(struct call *call)
{
    struct error err = { 0 };
    if (create(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- UpdateAlias ---- */

static enum outcome update(struct call *call, struct alias_request *request, struct error *err);

static void updated(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    struct call *call = arg;
    struct alias_request *request = call->data;
    struct error again = { 0 };
    if (outcome == OK)
        reply_alias(call, 200, request->function, setting);
    else if (err->kind != ERROR_PRECONDITION || request->revision_id.len > 0)
        call_fail(call, err);
    /* What is not named keeps its value: when another update came between, that value is a new one. Each time round one of the
     * others has got through, so this ends. */
    else if (update(call, request, &again) != OK)
        call_fail(call, &again);
}

static enum outcome update(struct call *call, struct alias_request *request, struct error *err)
{
    char versions[2][24];
    if (engine_find(call->engine, request->function) == NULL)
        return lambda_not_found(call, request->function, SLICE_EMPTY, err);
    const struct setting *setting = engine_setting(call->engine, request->function, SETTING_ALIAS, request->name);
    if (setting == NULL)
        return fail_with_arn(call, ERROR_NOT_FOUND, "ResourceNotFoundException", "List the aliases.",
                             "Alias not found: ", request, err);
    TRY(lambda_check_revision(setting->revision_id, request->revision_id, err));
    struct alias alias = *setting->alias;
    struct slice version = slice_of(version_text(alias.version, versions[0]));
    struct slice other =
        alias.other_version != 0 ? slice_of(version_text(alias.other_version, versions[1])) : SLICE_EMPTY;
    if (request->has_version)
        version = request->version;
    if (request->has_routing) {
        other = request->other;
        alias.other_weight = request->weight;
    }
    if (request->has_description)
        alias.description = (char *)(uintptr_t)lambda_keep(call, request->description).at;
    TRY(check_versions(call, request, version, other, &alias, err));
    put_alias(call, request, SETTING_UPDATE, &alias, slice_of(setting->revision_id), updated);
    return OK;
}

static enum outcome read_update(struct call *call, struct alias_request *request, struct error *err)
{
    yyjson_val *body = NULL;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    TRY(lambda_unqualified(call, LAMBDA_NAME_FUNCTION, &request->function, err));
    TRY(call_json(call, &body, err));
    TRY(read_body(body, &checks, request, err));
    request->name = call_path(call, "Name");
    check_name(&checks, request->name);
    return lambda_checks_result(&checks, err);
}

void lambda_update_alias(struct call *call)
{
    struct error err = { 0 };
    struct alias_request *request = arena_take(&call->arena, sizeof(*request));
    *request = (struct alias_request){ .weights = 0 };
    call->data = request;
    if (read_update(call, request, &err) != OK || update(call, request, &err) != OK)
        call_fail(call, &err);
}

/* ---- GetAlias, DeleteAlias ---- */

static enum outcome read_path(struct call *call, struct alias_request *out, struct error *err)
{
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    *out = (struct alias_request){ .name = call_path(call, "Name") };
    TRY(lambda_unqualified(call, LAMBDA_NAME_FUNCTION, &out->function, err));
    check_name(&checks, out->name);
    return lambda_checks_result(&checks, err);
}

void lambda_get_alias(struct call *call)
{
    struct error err = { 0 };
    struct alias_request request;
    if (read_path(call, &request, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    const struct setting *setting = engine_setting(call->engine, request.function, SETTING_ALIAS, request.name);
    if (setting != NULL)
        reply_alias(call, 200, request.function, setting);
    else {
        (void)fail_with_arn(call, ERROR_NOT_FOUND, "ResourceNotFoundException", "List the aliases.",
                            "Cannot find alias arn: ", &request, &err);
        call_fail(call, &err);
    }
}

static void deleted(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    (void)setting;
    if (outcome == OK || err->kind == ERROR_NOT_FOUND) /* recorded: deleting what is not there is no error */
        call_reply_empty(arg, 204);
    else
        call_fail(arg, err);
}

static enum outcome delete_alias(struct call *call, struct error *err)
{
    struct alias_request request;
    TRY(read_path(call, &request, err));
    if (engine_find(call->engine, request.function) == NULL)
        return lambda_not_found(call, request.function, SLICE_EMPTY, err);
    engine_setting_delete(call->engine, request.function, SETTING_ALIAS, request.name, SLICE_EMPTY, deleted, call);
    return OK;
}

void lambda_delete_alias(struct call *call)
{
    struct error err = { 0 };
    if (delete_alias(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- ListAliases ---- */

/* Those that point to `only` (empty: all) from behind page->after. Fills at most page->max; `more` when there is another. */
static size_t collect(struct call *call, struct slice function, struct slice only, const struct lambda_page *page,
                      const struct setting **out, bool *more)
{
    uint64_t number = 0;
    const struct setting *found[LAMBDA_LIST_PAGE_MAX];
    size_t count = 0;
    bool rest = only.len == 0 || lambda_version_number(only, &number);
    *more = false;
    for (struct slice after = page->after; rest;) {
        size_t got =
            engine_settings(call->engine, function, SETTING_ALIAS, after, LAMBDA_LIST_PAGE_MAX, found, &rest);
        for (size_t i = 0; i < got; i++) {
            after = slice_of(found[i]->qualifier);
            if (only.len > 0 && found[i]->alias->version != number)
                continue;
            if (count == page->max) {
                *more = true;
                return count;
            }
            out[count++] = found[i];
        }
    }
    return count;
}

static enum outcome list(struct call *call, struct error *err)
{
    struct function *f = NULL;
    struct lambda_page page;
    struct slice only = call_query(call, "FunctionVersion");
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    TRY(lambda_find_unqualified(call, LAMBDA_NAME_FUNCTION, &f, err));
    if (only.len > 0)
        check_version(&checks, only);
    TRY(lambda_checks_result(&checks, err));
    TRY(lambda_read_page(call, &page, err));
    const struct setting *aliases[LAMBDA_LIST_PAGE_MAX];
    bool more = false;
    struct slice function = slice_of(f->name);
    size_t count = collect(call, function, only, &page, aliases, &more);
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, root, "Aliases");
    for (size_t i = 0; i < count; i++)
        yyjson_mut_arr_append(array, render(call, doc, function, aliases[i]));
    if (more)
        lambda_add_marker(doc, root, slice_of(aliases[count - 1]->qualifier));
    call_reply_json(call, 200, doc);
    return OK;
}

void lambda_list_aliases(struct call *call)
{
    struct error err = { 0 };
    if (list(call, &err) != OK)
        call_fail(call, &err);
}
