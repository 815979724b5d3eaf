#include "engine/function.h"

#include <assert.h>
#include <stdlib.h>

#include "json/json.h"

/* A row's document is JSON, so that a newer server can add members and an older one still reads what it knows. Everything
 * in it was checked when it came in, and is checked again when it comes from the disk: a damaged row must become a clear
 * error at start, not a function with no handler. */

enum {
    DOCUMENT_FORMAT = 1, /* a reader refuses larger ones: their meaning may have changed */
    DOCUMENT_TEXT_BYTES_MAX = 4096,
};

const char *function_architecture(void)
{
#if defined(__x86_64__)
    return "x86_64";
#elif defined(__aarch64__)
    return "arm64";
#else
#error "Lambda has no name for this architecture"
#endif
}

bool function_version_number(struct slice text, uint64_t *number)
{
    return text.len > 0 && text.at[0] != '0' && slice_to_u64(text, INT64_MAX, number);
}

/* ---- life ---- */

struct function *function_new(void)
{
    struct function *f = memory_new(sizeof(*f));
    f->references = 1;
    f->version = memory_text("$LATEST");
    f->description = memory_text("");
    f->timeout_s = FUNCTION_TIMEOUT_S_DEFAULT;
    f->memory_mb = FUNCTION_MEMORY_MB_DEFAULT;
    f->tmp_mb = FUNCTION_TMP_MB_DEFAULT;
    f->architecture = memory_text(function_architecture());
    f->tracing_mode = memory_text("PassThrough");
    f->log_format = memory_text("Text");
    return f;
}

static struct variable *variables_copy(const struct variable *from, size_t count)
{
    struct variable *copy = memory_new_array(count, sizeof(*copy));
    for (size_t i = 0; i < count; i++) {
        copy[i].name = memory_text(from[i].name);
        copy[i].value = memory_text(from[i].value);
    }
    return copy;
}

struct function *function_copy(const struct function *f)
{
    struct function *copy = memory_new(sizeof(*copy));
    *copy = *f; /* the plain members; the owned ones follow */
    copy->references = 1;
    copy->pool = NULL;
    copy->name = memory_text(f->name);
    copy->version = memory_text(f->version);
    copy->handler = memory_text(f->handler);
    copy->role = memory_text(f->role);
    copy->description = memory_text(f->description);
    copy->architecture = memory_text(f->architecture);
    copy->tracing_mode = memory_text(f->tracing_mode);
    copy->log_group = memory_text(f->log_group);
    copy->log_format = memory_text(f->log_format);
    copy->application_log_level = memory_text(f->application_log_level);
    copy->system_log_level = memory_text(f->system_log_level);
    copy->latest_description = memory_text(f->latest_description);
    copy->kms_key_arn = memory_text(f->kms_key_arn);
    copy->environment = variables_copy(f->environment, f->environment_count);
    copy->tags = variables_copy(f->tags, f->tag_count);
    copy->layers = memory_new_array(f->layer_count, sizeof(*copy->layers));
    if (f->layer_count > 0)
        memcpy(copy->layers, f->layers, f->layer_count * sizeof(*copy->layers));
    return copy;
}

struct function *function_hold(struct function *f)
{
    f->references++;
    return f;
}

void function_release(struct function *f)
{
    if (f == NULL)
        return;
    assert(f->references > 0);
    if (--f->references > 0)
        return;
    free(f->name);
    free(f->version);
    free(f->handler);
    free(f->role);
    free(f->description);
    free(f->architecture);
    free(f->tracing_mode);
    free(f->log_group);
    free(f->log_format);
    free(f->application_log_level);
    free(f->system_log_level);
    free(f->latest_description);
    free(f->kms_key_arn);
    free(f->layers);
    variables_free(f->environment, f->environment_count);
    variables_free(f->tags, f->tag_count);
    free(f);
}

void function_drop(struct function **f)
{
    function_release(*f);
    *f = NULL;
}

/* ---- variables ---- */

static void variable_clear(struct variable *v)
{
    if (v->value != NULL)
        memory_wipe(v->value, strlen(v->value));
    free(v->name);
    free(v->value);
    *v = (struct variable){ NULL, NULL };
}

void variables_free(struct variable *variables, size_t count)
{
    if (variables == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        variable_clear(&variables[i]);
    free(variables);
}

/* qsort is not stable, and "the last stays" needs the order of arrival: so it sorts places, not variables. */
struct place {
    const char *name;
    size_t index;
};

static int place_compare(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    if (order != 0)
        return order;
    return left->index < right->index ? -1 : left->index > right->index;
}

size_t variables_sort(struct variable *variables, size_t count)
{
    if (count < 2)
        return count;
    struct place *places = memory_new_array(count, sizeof(*places));
    struct variable *sorted = memory_new_array(count, sizeof(*sorted));
    for (size_t i = 0; i < count; i++)
        places[i] = (struct place){ variables[i].name, i };
    qsort(places, count, sizeof(*places), place_compare);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct variable *v = &variables[places[i].index];
        if (i + 1 < count && strcmp(places[i].name, places[i + 1].name) == 0)
            variable_clear(v); /* compared already: only the later places' names are looked at again */
        else
            sorted[kept++] = *v;
    }
    memcpy(variables, sorted, kept * sizeof(*variables));
    memset(variables + kept, 0, (count - kept) * sizeof(*variables));
    memory_wipe(sorted, count * sizeof(*sorted));
    free(sorted);
    free(places);
    return kept;
}

/* ---- writing ---- */

static void append_member(struct buffer *out, const char *name, const char *value)
{
    buffer_appendf(out, ",\"%s\":", name);
    json_append_string(out, slice_of(value));
}

static void append_variables(struct buffer *out, const struct variable *variables, size_t count)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        json_append_string(out, slice_of(variables[i].name));
        buffer_append_byte(out, ':');
        json_append_string(out, slice_of(variables[i].value));
    }
    buffer_append_byte(out, '}');
}

static void append_layers(struct buffer *out, const struct function *f)
{
    for (size_t i = 0; i < f->layer_count; i++) {
        const struct function_layer *layer = &f->layers[i];
        buffer_append_text(out, i == 0 ? ",\"layers\":[{\"arn\":" : ",{\"arn\":");
        json_append_string(out, slice_of(layer->arn));
        append_member(out, "digest", layer->digest);
        buffer_appendf(out, ",\"code_bytes\":%llu,\"tree_bytes\":%llu}", (unsigned long long)layer->code_bytes,
                       (unsigned long long)layer->tree_bytes);
    }
    if (f->layer_count > 0)
        buffer_append_byte(out, ']');
}

void function_write_document(const struct function *f, struct buffer *out)
{
    buffer_appendf(out, "{\"format\":%d", DOCUMENT_FORMAT);
    append_member(out, "runtime", f->runtime->id);
    append_member(out, "handler", f->handler);
    append_member(out, "role", f->role);
    append_member(out, "description", f->description);
    buffer_appendf(out, ",\"timeout_s\":%u,\"memory_mb\":%u,\"tmp_mb\":%u", f->timeout_s, f->memory_mb, f->tmp_mb);
    append_member(out, "architecture", f->architecture);
    append_member(out, "tracing_mode", f->tracing_mode);
    append_member(out, "log_group", f->log_group);
    append_member(out, "log_format", f->log_format);
    if (f->application_log_level != NULL)
        append_member(out, "application_log_level", f->application_log_level);
    if (f->system_log_level != NULL)
        append_member(out, "system_log_level", f->system_log_level);
    if (f->kms_key_arn != NULL)
        append_member(out, "kms_key_arn", f->kms_key_arn);
    if (f->latest_description != NULL)
        append_member(out, "latest_description", f->latest_description);
    if (f->tag_count > 0) {
        buffer_append_text(out, ",\"tags\":");
        append_variables(out, f->tags, f->tag_count);
    }
    append_layers(out, f);
    append_member(out, "digest", f->digest);
    append_member(out, "code_sha256", f->code_sha256);
    buffer_appendf(out, ",\"code_bytes\":%llu", (unsigned long long)f->code_bytes);
    if (f->tree_bytes > 0)
        buffer_appendf(out, ",\"tree_bytes\":%llu", (unsigned long long)f->tree_bytes);
    append_member(out, "revision_id", f->revision_id);
    buffer_appendf(out, ",\"modified_ms\":%lld", (long long)f->modified_ms);
    append_member(out, "arn", f->arn);
    buffer_append_byte(out, '}');
}

void function_write_environment(const struct function *f, struct buffer *out)
{
    if (f->environment_count > 0)
        append_variables(out, f->environment, f->environment_count);
}

static bool variables_equal(const struct variable *a, size_t a_count, const struct variable *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (strcmp(a[i].name, b[i].name) != 0 || strcmp(a[i].value, b[i].value) != 0)
            return false;
    return true;
}

static bool text_equal(const char *a, const char *b)
{
    return slice_equal(slice_of(a), slice_of(b));
}

static bool layers_equal(const struct function *a, const struct function *b)
{
    if (a->layer_count != b->layer_count)
        return false;
    for (size_t i = 0; i < a->layer_count; i++)
        if (strcmp(a->layers[i].arn, b->layers[i].arn) != 0 ||
            strcmp(a->layers[i].digest, b->layers[i].digest) != 0)
            return false;
    return true;
}

bool function_unchanged(const struct function *latest, const struct function *version)
{
    const char *frozen = version->latest_description == NULL ? version->description : version->latest_description;
    return strcmp(latest->digest, version->digest) == 0 && latest->runtime == version->runtime &&
           text_equal(latest->handler, version->handler) && text_equal(latest->role, version->role) &&
           text_equal(latest->description, frozen) && latest->timeout_s == version->timeout_s &&
           latest->memory_mb == version->memory_mb && latest->tmp_mb == version->tmp_mb &&
           text_equal(latest->architecture, version->architecture) &&
           text_equal(latest->tracing_mode, version->tracing_mode) &&
           text_equal(latest->log_group, version->log_group) &&
           text_equal(latest->log_format, version->log_format) &&
           text_equal(latest->application_log_level, version->application_log_level) &&
           text_equal(latest->system_log_level, version->system_log_level) &&
           text_equal(latest->kms_key_arn, version->kms_key_arn) && layers_equal(latest, version) &&
           variables_equal(latest->environment, latest->environment_count, version->environment,
                           version->environment_count);
}

/* ---- reading ---- */

/* One place for the sentence, so that a damaged row always tells which function and which member. */
static enum outcome damaged(struct slice name, const char *member, struct error *err)
{
    return error_set(err, ERROR_INVALID,
                     "Restore the data directory from a backup, or delete and deploy the function again.",
                     "the stored row of function \"%.*s\" is damaged at \"%s\"", SLICE_PRINT(name), member);
}

static bool text_ok(struct slice text, size_t max)
{
    return text.len <= max && memchr(text.at, '\0', text.len) == NULL;
}

struct row {
    struct slice name;
    yyjson_val *root;
    struct error *err;
};

static enum outcome read_text(const struct row *row, const char *member, size_t min, size_t max, char **out)
{
    yyjson_val *value = yyjson_obj_get(row->root, member);
    struct slice text = json_slice(value);
    if (!yyjson_is_str(value) || text.len < min || !text_ok(text, max))
        return damaged(row->name, member, row->err);
    free(*out);
    *out = slice_dup(text);
    return OK;
}

/* Into an array of fixed size; `size` counts the NUL. */
static enum outcome read_fixed(const struct row *row, const char *member, char *out, size_t size)
{
    yyjson_val *value = yyjson_obj_get(row->root, member);
    struct slice text = json_slice(value);
    if (!yyjson_is_str(value) || !text_ok(text, size - 1))
        return damaged(row->name, member, row->err);
    memcpy(out, text.at, text.len);
    out[text.len] = '\0';
    return OK;
}

static enum outcome read_number(const struct row *row, const char *member, uint64_t min, uint64_t max,
                                uint64_t *out)
{
    yyjson_val *value = yyjson_obj_get(row->root, member);
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) < min || yyjson_get_uint(value) > max)
        return damaged(row->name, member, row->err);
    *out = yyjson_get_uint(value);
    return OK;
}

static enum outcome read_u32(const struct row *row, const char *member, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t number = 0;
    TRY(read_number(row, member, min, max, &number));
    *out = (uint32_t)number;
    return OK;
}

static enum outcome read_variables(const struct row *row, yyjson_val *object, const char *member, size_t max,
                                   struct variable **out, size_t *count)
{
    if (!yyjson_is_obj(object) || yyjson_obj_size(object) > max)
        return damaged(row->name, member, row->err);
    struct variable *variables = memory_new_array(yyjson_obj_size(object), sizeof(*variables));
    size_t n = 0;
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key = NULL; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        struct slice name = json_slice(key), text = json_slice(value);
        if (name.len == 0 || !yyjson_is_str(value) || !text_ok(name, name.len) || !text_ok(text, text.len)) {
            variables_free(variables, n);
            return damaged(row->name, member, row->err);
        }
        variables[n++] = (struct variable){ slice_dup(name), slice_dup(text) };
    }
    *out = variables;
    *count = variables_sort(variables, n);
    return OK;
}

/* A member that rows of an older server lack. */
static enum outcome read_optional(const struct row *row, const char *member, char **out)
{
    return yyjson_obj_get(row->root, member) == NULL ? OK : read_text(row, member, 0, DOCUMENT_TEXT_BYTES_MAX, out);
}

static enum outcome read_layers(const struct row *row, struct function *f)
{
    yyjson_val *layers = yyjson_obj_get(row->root, "layers"), *layer;
    if (layers == NULL)
        return OK;
    if (!yyjson_is_arr(layers) || yyjson_arr_size(layers) > FUNCTION_LAYERS_MAX)
        return damaged(row->name, "layers", row->err);
    f->layers = memory_new_array(yyjson_arr_size(layers), sizeof(*f->layers));
    yyjson_arr_iter iter = yyjson_arr_iter_with(layers);
    while ((layer = yyjson_arr_iter_next(&iter)) != NULL) {
        struct row inner = { row->name, layer, row->err };
        struct function_layer *to = &f->layers[f->layer_count++];
        TRY(read_fixed(&inner, "arn", to->arn, sizeof(to->arn)));
        TRY(read_fixed(&inner, "digest", to->digest, sizeof(to->digest)));
        TRY(read_number(&inner, "code_bytes", 0, UINT64_MAX, &to->code_bytes));
        TRY(read_number(&inner, "tree_bytes", 0, UINT64_MAX, &to->tree_bytes));
    }
    return OK;
}

static enum outcome read_plain(const struct row *row, struct function *f)
{
    uint64_t format = 0, modified = 0;
    TRY(read_number(row, "format", 1, DOCUMENT_FORMAT, &format));
    yyjson_val *runtime = yyjson_obj_get(row->root, "runtime");
    f->runtime = yyjson_is_str(runtime) ? runtime_find(json_slice(runtime)) : NULL;
    if (f->runtime == NULL)
        return damaged(row->name, "runtime", row->err);
    TRY(read_text(row, "handler", 1, FUNCTION_HANDLER_BYTES_MAX, &f->handler));
    TRY(read_text(row, "role", 1, DOCUMENT_TEXT_BYTES_MAX, &f->role));
    TRY(read_text(row, "description", 0, DOCUMENT_TEXT_BYTES_MAX, &f->description));
    TRY(read_u32(row, "timeout_s", 1, FUNCTION_TIMEOUT_S_MAX, &f->timeout_s));
    TRY(read_u32(row, "memory_mb", KEEPER_MEMORY_MB_MIN, KEEPER_MEMORY_MB_MAX, &f->memory_mb));
    TRY(read_u32(row, "tmp_mb", KEEPER_TMP_MB_MIN, KEEPER_TMP_MB_MAX, &f->tmp_mb));
    TRY(read_text(row, "architecture", 1, DOCUMENT_TEXT_BYTES_MAX, &f->architecture));
    TRY(read_text(row, "tracing_mode", 1, DOCUMENT_TEXT_BYTES_MAX, &f->tracing_mode));
    TRY(read_text(row, "log_group", 1, DOCUMENT_TEXT_BYTES_MAX, &f->log_group));
    TRY(read_text(row, "log_format", 1, DOCUMENT_TEXT_BYTES_MAX, &f->log_format));
    TRY(read_optional(row, "application_log_level", &f->application_log_level));
    TRY(read_optional(row, "system_log_level", &f->system_log_level));
    TRY(read_optional(row, "kms_key_arn", &f->kms_key_arn));
    TRY(read_optional(row, "latest_description", &f->latest_description));
    TRY(read_layers(row, f));
    yyjson_val *tags = yyjson_obj_get(row->root, "tags");
    if (tags != NULL)
        TRY(read_variables(row, tags, "tags", FUNCTION_TAGS_MAX, &f->tags, &f->tag_count));
    TRY(read_fixed(row, "digest", f->digest, sizeof(f->digest)));
    TRY(read_fixed(row, "code_sha256", f->code_sha256, sizeof(f->code_sha256)));
    TRY(read_number(row, "code_bytes", 0, UINT64_MAX, &f->code_bytes));
    if (yyjson_obj_get(row->root, "tree_bytes") != NULL)
        TRY(read_number(row, "tree_bytes", 0, UINT64_MAX, &f->tree_bytes));
    TRY(read_fixed(row, "revision_id", f->revision_id, sizeof(f->revision_id)));
    TRY(read_number(row, "modified_ms", 0, INT64_MAX, &modified));
    f->modified_ms = (int64_t)modified;
    return read_fixed(row, "arn", f->arn, sizeof(f->arn));
}

static enum outcome parse_object(struct slice name, const char *what, struct slice text, yyjson_doc **out,
                                 struct error *err)
{
    struct error why = { 0 };
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    if (json_parse(text, &doc, &why) != OK || !yyjson_is_obj(yyjson_doc_get_root(doc)))
        return damaged(name, what, err);
    *out = doc;
    doc = NULL;
    return OK;
}

enum outcome function_read(struct slice name, struct slice version, struct slice document, struct slice environment,
                           struct function **out, struct error *err)
{
    if (name.len == 0 || !text_ok(name, FUNCTION_NAME_BYTES_MAX))
        return damaged(name, "name", err);
    uint64_t number = 0;
    if (!slice_is(version, "$LATEST") && !function_version_number(version, &number))
        return damaged(name, "version", err);
    AUTO(json_doc)
    yyjson_doc *plain = NULL;
    AUTO(json_doc)
    yyjson_doc *secret = NULL;
    TRY(parse_object(name, "document", document, &plain, err));
    AUTO(function)
    struct function *f = function_new();
    f->name = slice_dup(name);
    free(f->version);
    f->version = slice_dup(version);
    f->version_number = number;
    struct row row = { name, yyjson_doc_get_root(plain), err };
    TRY(read_plain(&row, f));
    if (environment.len > 0) {
        TRY(parse_object(name, "environment", environment, &secret, err));
        TRY(read_variables(&row, yyjson_doc_get_root(secret), "environment", FUNCTION_ENVIRONMENT_BYTES_MAX,
                           &f->environment, &f->environment_count));
    }
    *out = f;
    f = NULL;
    return OK;
}
