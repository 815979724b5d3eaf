/* A CreateFunction body to a draft. Properties beyond not crashing, for what is accepted:
 *   1. written as a row (document and environment) and read back it gives the same row: nothing that was acknowledged changes by a restart;
 *   2. it can be answered: its configuration is valid JSON whatever the texts are;
 *   3. it keeps the limits that the engine and the keeper rely on.
 * And for every input, read as a payload: what yyjson calls JSON our own scanner calls JSON, and the other way round but for the two
 * things that it is meant to be looser in (numbers beyond a double, lone surrogates). */
#include <assert.h>
#include <stdlib.h>

#include "services/lambda/lambda.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct row {
    struct buffer document, environment;
};

static void row_of(const struct function *f, struct row *row)
{
    function_write_document(f, &row->document);
    function_write_environment(f, &row->environment);
}

static void row_drop(struct row *row)
{
    buffer_drop(&row->document);
    buffer_drop(&row->environment);
}

static void check_limits(const struct function *f)
{
    assert(strlen(f->name) >= 1 && strlen(f->name) <= FUNCTION_NAME_BYTES_MAX);
    assert(strlen(f->handler) >= 1 && strlen(f->handler) <= FUNCTION_HANDLER_BYTES_MAX);
    assert(f->runtime != NULL && f->role[0] != '\0');
    assert(f->timeout_s >= 1 && f->timeout_s <= FUNCTION_TIMEOUT_S_MAX);
    assert(f->memory_mb >= KEEPER_MEMORY_MB_MIN && f->memory_mb <= KEEPER_MEMORY_MB_MAX);
    assert(f->tmp_mb >= KEEPER_TMP_MB_MIN && f->tmp_mb <= KEEPER_TMP_MB_MAX);
    assert(f->tag_count <= FUNCTION_TAGS_MAX);
    assert(f->log_group[0] != '\0' && strlen(f->log_group) <= LAMBDA_LOG_GROUP_BYTES_MAX);
    bool json = strcmp(f->log_format, "JSON") == 0;
    assert((f->application_log_level != NULL) == json && (f->system_log_level != NULL) == json);
    for (size_t i = 0; i < f->environment_count; i++)
        assert(strchr(f->environment[i].name, '=') == NULL);
}

static void check_answer(const struct function *f)
{
    struct buffer text = BUFFER_EMPTY;
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, lambda_render_configuration(doc, f, LAMBDA_VIEW_FULL, SLICE("live")));
    json_write(&text, doc);
    assert(json_is_valid(buffer_slice(&text)));
    buffer_drop(&text);
}

static void check_draft(const struct function *f)
{
    AUTO(row)
    struct row row = { BUFFER_EMPTY, BUFFER_EMPTY };
    AUTO(row)
    struct row again = { BUFFER_EMPTY, BUFFER_EMPTY };
    AUTO(function)
    struct function *back = NULL;
    struct error err = { 0 };
    check_limits(f);
    row_of(f, &row);
    assert(row.environment.len <= FUNCTION_ENVIRONMENT_BYTES_MAX);
    assert(function_read(slice_of(f->name), slice_of(f->version), buffer_slice(&row.document),
                         buffer_slice(&row.environment), &back, &err) == OK);
    row_of(back, &again);
    assert(slice_equal(buffer_slice(&row.document), buffer_slice(&again.document)));
    assert(slice_equal(buffer_slice(&row.environment), buffer_slice(&again.environment)));
    check_answer(f);
}

static void check_body(struct slice text)
{
    static const struct lambda_place place = { "000000000000", "us-east-1", "x86_64" };
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    AUTO(function)
    struct function *draft = NULL;
    AUTO(buffer)
    struct buffer zip = BUFFER_EMPTY;
    struct error err = { 0 };
    if (json_parse(text, &doc, NULL) != OK || !yyjson_is_obj(yyjson_doc_get_root(doc)))
        return;
    if (lambda_read_create(&place, yyjson_doc_get_root(doc), &draft, &zip, &err) == OK) {
        assert(zip.len > 0);
        check_draft(draft);
    } else {
        assert(draft == NULL && zip.at == NULL);
        assert(err.kind != ERROR_NONE && err.code[0] != '\0' && err.message[0] != '\0' && err.hint[0] != '\0');
    }
}

static void check_payload(struct slice text)
{
    if (text.len == 0)
        return;
    struct error err = { 0 };
    bool ours = lambda_payload_check(text, &err) == OK;
    yyjson_read_err why;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.at, text.len, YYJSON_READ_NUMBER_AS_RAW, NULL, &why);
    bool theirs = doc != NULL;
    yyjson_doc_free(doc);
    if (ours && !theirs)
        assert(why.code == YYJSON_READ_ERROR_INVALID_STRING && strstr(why.msg, "surrogate") != NULL);
    else if (!ours && theirs)
        assert(strstr(err.message, "Document nesting depth") != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_from(data, size);
    check_body(text);
    check_payload(text);
    return 0;
}
