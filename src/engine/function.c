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
    copy->kms_key_arn = memory_text(f->kms_key_arn);
    copy->environment = variables_copy(f->environment, f->environment_count);
    copy->tags = variables_copy(f->tags, f->tag_count);
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
    free(f->kms_key_arn);
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
    if (f->kms_key_arn != NULL)
        append_member(out, "kms_key_arn", f->kms_key_arn);
    if (f->tag_count > 0) {
        buffer_append_text(out, ",\"tags\":");
        append_variables(out, f->tags, f->tag_count);
    }
    append_member(out, "digest", f->digest);
    append_member(out, "code_sha256", f->code_sha256);
    buffer_appendf(out, ",\"code_bytes\":%llu", (unsigned long long)f->code_bytes);
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
    if (yyjson_obj_get(row->root, "kms_key_arn") != NULL)
        TRY(read_text(row, "kms_key_arn", 1, DOCUMENT_TEXT_BYTES_MAX, &f->kms_key_arn));
    yyjson_val *tags = yyjson_obj_get(row->root, "tags");
    if (tags != NULL)
        TRY(read_variables(row, tags, "tags", FUNCTION_TAGS_MAX, &f->tags, &f->tag_count));
    TRY(read_fixed(row, "digest", f->digest, sizeof(f->digest)));
    TRY(read_fixed(row, "code_sha256", f->code_sha256, sizeof(f->code_sha256)));
    TRY(read_number(row, "code_bytes", 0, UINT64_MAX, &f->code_bytes));
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
    if (version.len == 0 || !text_ok(version, FUNCTION_NAME_BYTES_MAX))
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
