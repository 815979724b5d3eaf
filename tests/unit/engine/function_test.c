/* engine/function: a function as a row and back, copies, references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "engine/function.h"

static void set(char **field, const char *text)
{
    free(*field);
    *field = memory_text(text);
}

static struct variable *pairs(size_t count, const char *const *texts)
{
    struct variable *variables = memory_new_array(count, sizeof(*variables));
    for (size_t i = 0; i < count; i++)
        variables[i] = (struct variable){ memory_text(texts[2 * i]), memory_text(texts[2 * i + 1]) };
    return variables;
}

static struct function *a_function(void)
{
    static const char *const environment[] = { "A_URL", "http://x/?a=\"1\"\n", "B_EMPTY", "" };
    static const char *const tags[] = { "team", "\xC3\xA9quipe" };
    struct function *f = function_new();
    set(&f->name, "hello");
    f->runtime = runtime_find(SLICE("nodejs20.x"));
    set(&f->handler, "index.handler");
    set(&f->role, "arn:aws:iam::000000000000:role/hearth-basic");
    set(&f->description, "says \"hello\"");
    set(&f->log_group, "/aws/lambda/hello");
    f->timeout_s = 900;
    f->memory_mb = 10240;
    f->tmp_mb = 1024;
    f->environment = pairs(2, environment);
    f->environment_count = 2;
    f->tags = pairs(1, tags);
    f->tag_count = 1;
    f->layers = memory_new_array(2, sizeof(*f->layers));
    f->layer_count = 2;
    for (size_t i = 0; i < 2; i++) {
        snprintf(f->layers[i].arn, sizeof(f->layers[i].arn), "arn:aws:lambda:us-east-1:000000000000:layer:l:%zu",
                 i + 1);
        memset(f->layers[i].digest, i == 0 ? 'b' : 'c', 64);
        f->layers[i].code_bytes = 7 + i;
        f->layers[i].tree_bytes = 70 + i;
    }
    f->application_log_level = memory_text("DEBUG");
    f->system_log_level = memory_text("WARN");
    f->latest_description = memory_text("of $LATEST");
    f->tree_bytes = 99;
    memset(f->digest, 'a', 64);
    snprintf(f->code_sha256, sizeof(f->code_sha256), "%s", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    f->code_bytes = 12345678901;
    snprintf(f->revision_id, sizeof(f->revision_id), "%s", "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    f->modified_ms = 1706702400123;
    snprintf(f->arn, sizeof(f->arn), "%s", "arn:aws:lambda:us-east-1:000000000000:function:hello");
    return f;
}

struct row {
    struct buffer document, environment;
};

static struct row row_of(const struct function *f)
{
    struct row row = { BUFFER_EMPTY, BUFFER_EMPTY };
    function_write_document(f, &row.document);
    function_write_environment(f, &row.environment);
    return row;
}

static void row_drop(struct row *row)
{
    buffer_drop(&row->document);
    buffer_drop(&row->environment);
}

static void assert_same_row(const struct function *a, const struct function *b)
{
    AUTO(row)
    struct row one = row_of(a);
    AUTO(row)
    struct row two = row_of(b);
    assert_true(slice_equal(buffer_slice(&one.document), buffer_slice(&two.document)));
    assert_true(slice_equal(buffer_slice(&one.environment), buffer_slice(&two.environment)));
}

static enum outcome read_row(struct row *row, struct function **out, struct error *err)
{
    return function_read(SLICE("hello"), SLICE("$LATEST"), buffer_slice(&row->document),
                         buffer_slice(&row->environment), out, err);
}

static void a_function_written_and_read_back_is_the_same(void **state)
{
    (void)state;
    AUTO(function)
    struct function *f = a_function();
    AUTO(row)
    struct row row = row_of(f);
    AUTO(function)
    struct function *back = NULL;
    struct error err = { 0 };
    assert_int_equal(read_row(&row, &back, &err), OK);
    assert_same_row(f, back);
    assert_string_equal(back->name, "hello");
    assert_string_equal(back->version, "$LATEST");
    assert_string_equal(back->environment[0].value, "http://x/?a=\"1\"\n");
    assert_string_equal(back->tags[0].value, "\xC3\xA9quipe");
    assert_int_equal(back->code_bytes, 12345678901);
    assert_ptr_equal(back->runtime, f->runtime);
    assert_int_equal(back->layer_count, 2);
    assert_string_equal(back->layers[1].arn, "arn:aws:lambda:us-east-1:000000000000:layer:l:2");
    assert_int_equal(back->layers[1].tree_bytes, 71);
    assert_string_equal(back->application_log_level, "DEBUG");
    assert_string_equal(back->system_log_level, "WARN");
    assert_int_equal(back->tree_bytes, 99);
}

static void a_row_of_the_first_schema_is_read_without_what_it_did_not_know(void **state)
{
    (void)state;
    static const char document[] =
        "{\"format\":1,\"runtime\":\"nodejs20.x\",\"handler\":\"index.handler\",\"role\":\"r\",\"description\":"
        "\"\","
        "\"timeout_s\":3,\"memory_mb\":128,\"tmp_mb\":512,\"architecture\":\"x86_64\",\"tracing_mode\":"
        "\"PassThrough\",\"log_group\":\"g\",\"log_format\":\"Text\",\"digest\":\"d\",\"code_sha256\":\"s\","
        "\"code_bytes\":7,\"revision_id\":\"v\",\"modified_ms\":1,\"arn\":\"a\"}";
    AUTO(function)
    struct function *f = NULL;
    struct buffer again = BUFFER_EMPTY;
    assert_int_equal(function_read(SLICE("hello"), SLICE("$LATEST"), slice_of(document), SLICE_EMPTY, &f, NULL),
                     OK);
    assert_int_equal(f->layer_count, 0);
    assert_null(f->application_log_level);
    assert_int_equal(f->tree_bytes, 0);
    function_write_document(f, &again);
    assert_string_equal(buffer_text(&again), document);
    buffer_drop(&again);
}

static void a_version_is_latest_or_a_number_as_it_is_written(void **state)
{
    (void)state;
    static const char *const wrong[] = { "", "0", "01", "-1", "1x", "latest", "99999999999999999999" };
    AUTO(function)
    struct function *f = a_function();
    AUTO(row)
    struct row row = row_of(f);
    struct function *back = NULL;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(function_read(SLICE("hello"), slice_of(wrong[i]), buffer_slice(&row.document), SLICE_EMPTY,
                                       &back, NULL),
                         FAILED);
    assert_int_equal(
        function_read(SLICE("hello"), SLICE("42"), buffer_slice(&row.document), SLICE_EMPTY, &back, NULL), OK);
    assert_int_equal(back->version_number, 42);
    function_release(back);
}

static void latest_has_changed_when_its_code_or_configuration_has_and_not_by_tags_or_time(void **state)
{
    (void)state;
    AUTO(function)
    struct function *version = a_function();
    AUTO(function)
    struct function *latest = function_copy(version);
    assert_false(function_unchanged(latest, version)); /* $LATEST's description was another when it was published */
    set(&latest->description, "of $LATEST");
    assert_true(function_unchanged(latest, version));
    variables_free(latest->tags, latest->tag_count);
    latest->tags = NULL;
    latest->tag_count = 0;
    latest->modified_ms++;
    latest->revision_id[0] = 'x';
    assert_true(function_unchanged(latest, version));
    latest->layers[1].arn[0] = 'x';
    assert_false(function_unchanged(latest, version));
    latest->layers[1].arn[0] = 'a';
    set(&latest->environment[1].value, "full");
    assert_false(function_unchanged(latest, version));
    set(&latest->environment[1].value, "");
    latest->digest[0] = 'x';
    assert_false(function_unchanged(latest, version));
}

static void a_function_without_variables_or_tags_has_an_empty_environment(void **state)
{
    (void)state;
    AUTO(function)
    struct function *f = a_function();
    variables_free(f->environment, f->environment_count);
    variables_free(f->tags, f->tag_count);
    f->environment = f->tags = NULL;
    f->environment_count = f->tag_count = 0;
    AUTO(row)
    struct row row = row_of(f);
    assert_int_equal(row.environment.len, 0);
    AUTO(function)
    struct function *back = NULL;
    assert_int_equal(read_row(&row, &back, NULL), OK);
    assert_int_equal(back->environment_count, 0);
    assert_int_equal(back->tag_count, 0);
    assert_same_row(f, back);
}

static void the_plain_document_does_not_hold_the_environment(void **state)
{
    (void)state;
    AUTO(function)
    struct function *f = a_function();
    AUTO(row)
    struct row row = row_of(f);
    assert_null(strstr(buffer_text(&row.document), "A_URL"));
    assert_non_null(strstr(buffer_text(&row.environment), "A_URL"));
}

static void a_copy_is_equal_and_changes_alone(void **state)
{
    (void)state;
    AUTO(function)
    struct function *f = a_function();
    f->pool = (struct pool *)(uintptr_t)1; /* the dispatcher's: never copied */
    AUTO(function)
    struct function *copy = function_copy(f);
    assert_null(copy->pool);
    assert_int_equal(copy->references, 1);
    assert_same_row(f, copy);
    set(&copy->handler, "other.handler");
    copy->environment[0].value[0] = 'X';
    assert_string_equal(f->handler, "index.handler");
    assert_string_equal(f->environment[0].value, "http://x/?a=\"1\"\n");
    f->pool = NULL;
}

static void a_function_lives_until_its_last_holder_lets_go(void **state)
{
    (void)state;
    struct function *f = a_function();
    struct function *held = function_hold(f);
    function_drop(&f);
    assert_null(f);
    assert_string_equal(held->name, "hello"); /* the sanitizer says so if it is not */
    function_release(held);
    function_release(NULL);
}

/* Replaces the first `from` in the document. */
static void damage(struct row *row, const char *from, const char *to)
{
    char *at = strstr((char *)(uintptr_t)buffer_text(&row->document), from);
    assert_non_null(at);
    size_t head = (size_t)(at - row->document.at), tail = head + strlen(from);
    struct buffer changed = BUFFER_EMPTY;
    buffer_append(&changed, row->document.at, head);
    buffer_append_text(&changed, to);
    buffer_append(&changed, row->document.at + tail, row->document.len - tail);
    buffer_drop(&row->document);
    row->document = changed;
}

static void a_damaged_row_is_refused_with_its_name_and_member(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *member;
    } cases[] = {
        { "\"format\":1", "\"format\":2", "format" }, /* of a newer server */
        { "nodejs20.x", "nodejs99.x", "runtime" },
        { "\"runtime\":\"nodejs20.x\"", "\"runtime\":20", "runtime" },
        { "\"index.handler\"", "\"\"", "handler" },
        { "\"timeout_s\":900", "\"timeout_s\":901", "timeout_s" },
        { "\"memory_mb\":10240", "\"memory_mb\":64", "memory_mb" },
        { "\"tmp_mb\":1024", "\"tmp_mb\":-1", "tmp_mb" },
        { "{\"team\":\"\xC3\xA9quipe\"}", "[]", "tags" },
        { "\xC3\xA9quipe", "a\\u0000b", "tags" },
        { "aaaaaaaa", "aaaaaaaaa", "digest" },
        { "bbbbbbbb", "bbbbbbbbb", "digest" },
        { "\"layers\":[", "\"layers\":[1,", "arn" },
        { "\"tree_bytes\":70", "\"tree_bytes\":-70", "tree_bytes" },
        { "\"modified_ms\":1706702400123", "\"modified_ms\":\"now\"", "modified_ms" },
        { "{\"format\"", "[\"format\"", "document" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(function)
        struct function *f = a_function();
        AUTO(row)
        struct row row = row_of(f);
        damage(&row, cases[i].from, cases[i].to);
        struct function *back = NULL;
        struct error err = { 0 };
        assert_int_equal(read_row(&row, &back, &err), FAILED);
        assert_null(back);
        assert_int_equal(err.kind, ERROR_INVALID);
        assert_non_null(strstr(err.message, "\"hello\""));
        assert_non_null(strstr(err.message, cases[i].member));
    }
}

static void a_row_cut_anywhere_is_refused(void **state)
{
    (void)state;
    AUTO(function)
    struct function *f = a_function();
    AUTO(row)
    struct row row = row_of(f);
    for (size_t len = 0; len < row.document.len; len++) {
        struct function *back = NULL;
        assert_int_equal(function_read(SLICE("hello"), SLICE("$LATEST"), slice_from(row.document.at, len),
                                       SLICE_EMPTY, &back, NULL),
                         FAILED);
        assert_null(back);
    }
}

static void variables_are_sorted_and_the_last_of_a_name_stays(void **state)
{
    (void)state;
    static const char *const texts[] = { "B", "1", "A", "2", "B", "3", "C", "4", "A", "5", "B", "6" };
    struct variable *variables = pairs(6, texts);
    size_t count = variables_sort(variables, 6);
    assert_int_equal(count, 3);
    assert_string_equal(variables[0].name, "A");
    assert_string_equal(variables[0].value, "5");
    assert_string_equal(variables[1].name, "B");
    assert_string_equal(variables[1].value, "6");
    assert_string_equal(variables[2].name, "C");
    variables_free(variables, count);
    variables_free(NULL, 0);
    assert_int_equal(variables_sort(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_written_and_read_back_is_the_same),
        cmocka_unit_test(a_row_of_the_first_schema_is_read_without_what_it_did_not_know),
        cmocka_unit_test(a_version_is_latest_or_a_number_as_it_is_written),
        cmocka_unit_test(latest_has_changed_when_its_code_or_configuration_has_and_not_by_tags_or_time),
        cmocka_unit_test(a_function_without_variables_or_tags_has_an_empty_environment),
        cmocka_unit_test(the_plain_document_does_not_hold_the_environment),
        cmocka_unit_test(a_copy_is_equal_and_changes_alone),
        cmocka_unit_test(a_function_lives_until_its_last_holder_lets_go),
        cmocka_unit_test(a_damaged_row_is_refused_with_its_name_and_member),
        cmocka_unit_test(a_row_cut_anywhere_is_refused),
        cmocka_unit_test(variables_are_sorted_and_the_last_of_a_name_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
