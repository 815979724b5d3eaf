#include "services/lambda/lambda.h"

#include <stdlib.h>

/* Tags of functions. The other things that AWS lets be tagged by ARN (event source mappings, code signing configurations, capacity
 * providers) are not there: each answers as AWS does for one that does not exist. */

static const char resource_pattern[] =
    "arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-"
    "9-_]+"
    "(:(\\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-"
    "mapping:"
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)";

struct resource {
    struct lambda_name place; /* of a function: all of it */
    struct slice type, name;
};

static bool all_of(struct slice text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '\0' || strchr(allowed, text.at[i]) == NULL)
            return false;
    return text.len > 0;
}

static bool is_uuid(struct slice text)
{
    static const size_t lengths[] = { 8, 4, 4, 4, 12 };
    struct slice rest = text;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct slice part = slice_split(&rest, '-');
        if (part.len != lengths[i] || !all_of(part, "0123456789abcdefABCDEF"))
            return false;
    }
    return rest.len == 0 && text.len == 36;
}

static bool name_ok(const struct resource *resource)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    struct slice name = resource->name;
    if (slice_is(resource->type, "layer") || slice_is(resource->type, "capacity-provider"))
        return all_of(name, word);
    if (slice_is(resource->type, "event-source-mapping"))
        return is_uuid(name);
    if (slice_is(resource->type, "code-signing-config"))
        return name.len == 21 && slice_starts(name, SLICE("csc-")) && all_of(slice_sub(name, 4, name.len), lower);
    return false;
}

/* The five parts in front are what a function's ARN has too, so that its reader checks them, for whatever follows. */
static bool parse(struct slice text, struct resource *out)
{
    size_t end = 0;
    for (unsigned colons = 0; end < text.len; end++)
        if (text.at[end] == ':' && ++colons == 5)
            break;
    struct slice rest = slice_sub(text, end + 1, text.len);
    if (!slice_starts(text, SLICE("arn:aws")) || end >= text.len)
        return false;
    out->type = slice_split(&rest, ':');
    out->name = rest;
    bool function = slice_is(out->type, "function");
    AUTO(buffer)
    struct buffer arn = BUFFER_EMPTY;
    buffer_append_slice(&arn, slice_sub(text, 0, end));
    buffer_append_text(&arn, ":function:x");
    struct lambda_name head = { SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY };
    if (!lambda_name_parse(buffer_slice(&arn), LAMBDA_NAME_FUNCTION, &head) || head.region.len == 0 ||
        head.account.len == 0)
        return false;
    if (function)
        return lambda_name_parse(text, LAMBDA_NAME_FUNCTION, &out->place);
    struct slice parts = text;
    (void)slice_split(&parts, ':');
    (void)slice_split(&parts, ':');
    (void)slice_split(&parts, ':');
    out->place.region = slice_split(&parts, ':');
    out->place.account = slice_split(&parts, ':');
    return name_ok(out);
}

static enum outcome refuse_other(const struct resource *resource, struct slice arn, struct error *err)
{
    static const char code[] = "ResourceNotFoundException", hint[] = "Name a function.";
    if (slice_is(resource->type, "event-source-mapping"))
        return error_set_code(err, ERROR_NOT_FOUND, code, hint, "Event source mapping not found: %.*s",
                              SLICE_PRINT(arn));
    if (slice_is(resource->type, "capacity-provider"))
        return error_set_code(err, ERROR_NOT_FOUND, code, hint, "Capacity provider not found: %.*s",
                              SLICE_PRINT(arn));
    if (slice_is(resource->type, "code-signing-config"))
        return error_set_code(err, ERROR_NOT_FOUND, code, hint,
                              "The Lambda code signing configuration %.*s can not be found.", SLICE_PRINT(arn));
    return error_set_code(err, ERROR_UNSUPPORTED, "InvalidParameterValueException", hint,
                          "Tags on layers are not supported by this server yet.");
}

/* The function that the path's Resource names. `checks` has what else the caller found wrong with the request. */
static enum outcome find(struct call *call, struct lambda_checks *checks, struct function **out, struct error *err)
{
    struct slice arn = call_path(call, "Resource");
    struct resource resource = { .type = SLICE_EMPTY };
    bool parsed = parse(arn, &resource);
    lambda_check_length(checks, "resource", arn, 1, LAMBDA_RESOURCE_CHARS_MAX);
    if (!parsed)
        lambda_check_failed(checks, "resource", arn, "Member must satisfy regular expression pattern: %s",
                            resource_pattern);
    TRY(lambda_checks_result(checks, err));
    TRY(lambda_check_place(call, &resource.place, err));
    if (!slice_is(resource.type, "function"))
        return refuse_other(&resource, arn, err);
    if (resource.place.qualifier.len > 0)
        return error_set_code(
            err, ERROR_INVALID, "InvalidParameterValueException", "Leave the qualifier out.",
            "Tags on function aliases and versions are not supported. Please specify a function ARN.");
    struct function *f = engine_find(call->engine, resource.place.name);
    if (f == NULL)
        return lambda_not_found(call, resource.place.name, SLICE_EMPTY, err);
    *out = f;
    return OK;
}

static void changed(enum outcome outcome, struct function *f, const struct error *err, void *arg)
{
    (void)f;
    if (outcome == OK)
        call_reply_empty(arg, 204);
    else
        call_fail(arg, err);
}

static void put(struct call *call, const struct function *f, struct variable *tags, size_t count)
{
    engine_put_tags(call->engine, lambda_keep(call, slice_of(f->name)), tags, count, changed, call);
}

/* ---- TagResource ---- */

/* The function's tags and the new ones behind them: of two with one name variables_sort keeps the last. Takes `added`. */
static struct variable *merge(const struct function *f, struct variable *added, size_t added_count, size_t *count)
{
    struct variable *all = memory_new_array(f->tag_count + added_count, sizeof(*all));
    for (size_t i = 0; i < f->tag_count; i++)
        all[i] = (struct variable){ memory_text(f->tags[i].name), memory_text(f->tags[i].value) };
    memcpy(all + f->tag_count, added, added_count * sizeof(*all));
    free(added);
    *count = variables_sort(all, f->tag_count + added_count);
    return all;
}

static enum outcome tag(struct call *call, struct error *err)
{
    yyjson_val *body = NULL, *map = NULL;
    struct function *f = NULL;
    struct variable *added = NULL;
    size_t added_count = 0, count = 0;
    struct error refused = { 0 };
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    TRY(call_json(call, &body, err));
    TRY(lambda_member(body, "Tags", LAMBDA_MAP, &map, err));
    if (map == NULL)
        lambda_check_failed(&checks, "tags", (struct slice){ NULL, 0 }, "Member must not be null");
    TRY(find(call, &checks, &f, err));
    if (yyjson_obj_size(map) == 0) /* recorded, however little it says */
        return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException", "Send at least one tag.",
                              "An error occurred and the request cannot be processed.");
    TRY(lambda_read_tags(map, &refused, &added, &added_count, err));
    if (refused.kind != ERROR_NONE) {
        variables_free(added, added_count);
        if (err != NULL)
            *err = refused;
        return FAILED;
    }
    struct variable *tags = merge(f, added, added_count, &count);
    if (count > FUNCTION_TAGS_MAX) {
        variables_free(tags, count);
        return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException", "Remove some first.",
                              "Number of tags exceeds resource tag limit.");
    }
    put(call, f, tags, count);
    return OK;
}

void lambda_tag_resource(struct call *call)
{
    struct error err = { 0 };
    if (tag(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- UntagResource ---- */

static bool is_untagged(const struct call *call, const char *name)
{
    for (size_t i = 0; i < call->query_count; i++)
        if (slice_is(call->query[i].name, "tagKeys") && slice_is(call->query[i].value, name))
            return true;
    return false;
}

static enum outcome untag(struct call *call, struct error *err)
{
    struct function *f = NULL;
    bool given = false;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    for (size_t i = 0; i < call->query_count; i++)
        given = given || slice_is(call->query[i].name, "tagKeys");
    if (!given)
        lambda_check_failed(&checks, "tagKeys", (struct slice){ NULL, 0 }, "Member must not be null");
    TRY(find(call, &checks, &f, err));
    struct variable *tags = memory_new_array(f->tag_count, sizeof(*tags));
    size_t count = 0;
    for (size_t i = 0; i < f->tag_count; i++)
        if (!is_untagged(call, f->tags[i].name))
            tags[count++] = (struct variable){ memory_text(f->tags[i].name), memory_text(f->tags[i].value) };
    if (count == f->tag_count) { /* none of them was there: nothing to write */
        variables_free(tags, count);
        call_reply_empty(call, 204);
        return OK;
    }
    put(call, f, tags, count);
    return OK;
}

void lambda_untag_resource(struct call *call)
{
    struct error err = { 0 };
    if (untag(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- ListTags ---- */

void lambda_list_tags(struct call *call)
{
    struct error err = { 0 };
    struct function *f = NULL;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    if (find(call, &checks, &f, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *tags = yyjson_mut_obj_add_obj(doc, root, "Tags");
    for (size_t i = 0; i < f->tag_count; i++)
        yyjson_mut_obj_add_str(doc, tags, f->tags[i].name, f->tags[i].value);
    call_reply_json(call, 200, doc);
}
