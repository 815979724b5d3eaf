#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "json/json.h"

static void a_document_is_read_and_walked(void **state)
{
    (void)state;
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    struct error err = { 0 };
    assert_int_equal(json_parse(SLICE("{\"name\":\"hello\",\"n\":3}"), &doc, &err), OK);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_true(slice_is(json_slice(yyjson_obj_get(root, "name")), "hello"));
    assert_int_equal(yyjson_get_int(yyjson_obj_get(root, "n")), 3);
}

static void what_is_no_string_is_the_empty_slice(void **state)
{
    (void)state;
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    assert_int_equal(json_parse(SLICE("[1]"), &doc, NULL), OK);
    assert_int_equal(json_slice(yyjson_doc_get_root(doc)).len, 0);
    assert_int_equal(json_slice(NULL).len, 0);
}

static void a_string_with_a_NUL_keeps_its_length(void **state)
{
    (void)state;
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    assert_int_equal(json_parse(SLICE("\"a\\u0000b\""), &doc, NULL), OK);
    assert_int_equal(json_slice(yyjson_doc_get_root(doc)).len, 3);
}

static void what_RFC_8259_does_not_allow_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{'a':1}",
        "{a:1}",
        "[1 2]",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "NaN",
        "Infinity",
        "-",
        "tru",
        "// x\n1",
        "1 /* x */",
        "1 2",
        "\"a",
        "\"\n\"",
        "\"\\x41\"",
        "\"\\ud800\"",
        "\"\xff\"",
        "\"\xc0\xaf\"",
        "\"\xed\xa0\x80\"",
        "\xef\xbb\xbf{}",
        "[1]]",
        "{}x",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        AUTO(json_doc)
        yyjson_doc *doc = NULL;
        struct error err = { 0 };
        if (json_parse(slice_of(wrong[i]), &doc, &err) == OK)
            fail_msg("accepted: %s", wrong[i]);
        assert_null(doc);
        assert_int_equal(err.kind, ERROR_INVALID);
        assert_true(err.message[0] != '\0' && err.hint[0] != '\0');
        assert_false(json_is_valid(slice_of(wrong[i])));
    }
}

static void any_JSON_value_is_a_document(void **state)
{
    (void)state;
    static const char *const right[] = { "null",
                                         "true",
                                         "0",
                                         "-0.5e+3",
                                         "\"\"",
                                         "[]",
                                         "{}",
                                         " {\"a\":[1,2,{\"b\":null}]} \n",
                                         "\"\xf0\x9f\x98\x80\"",
                                         "123456789012345678901234567890",
                                         "\"\\ud83d\\ude00\"" };
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        if (!json_is_valid(slice_of(right[i])))
            fail_msg("refused: %s", right[i]);
}

static void bytes_behind_the_slice_are_not_read(void **state)
{
    (void)state;
    struct slice whole = SLICE("{\"a\":1}garbage");
    assert_true(json_is_valid(slice_sub(whole, 0, 7)));
    char *tight = malloc(7); /* the sanitizer sees a read behind its end */
    memcpy(tight, whole.at, 7);
    assert_true(json_is_valid(slice_from(tight, 7)));
    free(tight);
}

static struct buffer nested(unsigned depth, char open, char close)
{
    struct buffer b = BUFFER_EMPTY;
    for (unsigned i = 0; i < depth; i++)
        buffer_append_text(&b, open == '{' ? "{\"a\":" : "[");
    buffer_append_text(&b, "0");
    for (unsigned i = 0; i < depth; i++)
        buffer_append_byte(&b, close);
    return b;
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (int object = 0; object < 2; object++) {
        AUTO(buffer)
        struct buffer most = nested(JSON_DEPTH_MAX, object ? '{' : '[', object ? '}' : ']');
        assert_true(json_is_valid(buffer_slice(&most)));
        AUTO(buffer)
        struct buffer deeper = nested(JSON_DEPTH_MAX + 1, object ? '{' : '[', object ? '}' : ']');
        AUTO(json_doc)
        yyjson_doc *doc = NULL;
        struct error err = { 0 };
        assert_int_equal(json_parse(buffer_slice(&deeper), &doc, &err), FAILED);
        assert_int_equal(err.kind, ERROR_TOO_LARGE);
    }
}

static void brackets_in_strings_do_not_count_as_depth(void **state)
{
    (void)state;
    struct buffer b = BUFFER_EMPTY;
    buffer_append_text(&b, "[\"\\\"");
    for (int i = 0; i < 1000; i++)
        buffer_append_byte(&b, '[');
    buffer_append_text(&b, "\\\\\",\"{{\"]");
    assert_true(json_is_valid(buffer_slice(&b)));
    buffer_drop(&b);
}

static void a_closing_bracket_too_many_does_not_reset_the_depth(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer b = BUFFER_EMPTY;
    buffer_append_text(&b, "]]]]");
    for (int i = 0; i < 1000; i++)
        buffer_append_byte(&b, '[');
    assert_false(json_is_valid(buffer_slice(&b)));
}

static void writing_is_compact_and_leaves_slashes_alone(void **state)
{
    (void)state;
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add(root, yyjson_mut_str(doc, "path"), json_from_slice(doc, SLICE("/aws/lambda\xff")));
    yyjson_mut_obj_add_real(doc, root, "bad", INFINITY);
    AUTO(buffer)
    struct buffer out = BUFFER_EMPTY;
    json_write(&out, doc);
    assert_true(slice_is(buffer_slice(&out), "{\"path\":\"/aws/lambda\xef\xbf\xbd\",\"bad\":null}"));
}

static void a_string_that_is_no_UTF_8_does_not_cost_the_document(void **state)
{
    (void)state;
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_str(doc, "a\xff")); /* past json_from_slice */
    AUTO(buffer)
    struct buffer out = BUFFER_EMPTY;
    json_write(&out, doc);
    assert_true(slice_is(buffer_slice(&out), "\"a\xef\xbf\xbd\""));
}

static void a_string_is_appended_with_its_escapes(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer out = BUFFER_EMPTY;
    json_append_string(&out, SLICE("a/b\"c\\d\n\t\x01\x7f\xc3\xa9"));
    assert_true(slice_is(buffer_slice(&out), "\"a/b\\\"c\\\\d\\n\\t\\u0001\x7f\xc3\xa9\""));
}

static void bytes_that_are_no_UTF_8_become_replacement_characters(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *json;
    } cases[] = {
        { "\xff", "\"\xef\xbf\xbd\"" },
        { "a\xc3", "\"a\xef\xbf\xbd\"" },
        { "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
        { "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(buffer)
        struct buffer out = BUFFER_EMPTY;
        json_append_string(&out, slice_of(cases[i].raw));
        assert_true(slice_is(buffer_slice(&out), cases[i].json));
        assert_true(json_is_valid(buffer_slice(&out)));
    }
}

static void every_byte_pair_appended_reads_back(void **state)
{
    (void)state;
    AUTO(buffer)
    struct buffer out = BUFFER_EMPTY;
    for (unsigned i = 0; i < 65536; i++) {
        char pair[2] = { (char)(i >> 8), (char)i };
        buffer_reset(&out);
        json_append_string(&out, slice_from(pair, 2));
        AUTO(json_doc)
        yyjson_doc *doc = NULL;
        assert_int_equal(json_parse(buffer_slice(&out), &doc, NULL), OK);
        if (i < 0x8000 && !(i & 0x80)) /* ASCII comes back as it was */
            assert_true(slice_equal(json_slice(yyjson_doc_get_root(doc)), slice_from(pair, 2)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_read_and_walked),
        cmocka_unit_test(what_is_no_string_is_the_empty_slice),
        cmocka_unit_test(a_string_with_a_NUL_keeps_its_length),
        cmocka_unit_test(what_RFC_8259_does_not_allow_is_refused),
        cmocka_unit_test(any_JSON_value_is_a_document),
        cmocka_unit_test(bytes_behind_the_slice_are_not_read),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(brackets_in_strings_do_not_count_as_depth),
        cmocka_unit_test(a_closing_bracket_too_many_does_not_reset_the_depth),
        cmocka_unit_test(writing_is_compact_and_leaves_slashes_alone),
        cmocka_unit_test(a_string_that_is_no_UTF_8_does_not_cost_the_document),
        cmocka_unit_test(a_string_is_appended_with_its_escapes),
        cmocka_unit_test(bytes_that_are_no_UTF_8_become_replacement_characters),
        cmocka_unit_test(every_byte_pair_appended_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
