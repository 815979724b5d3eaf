/* engine/alias: an alias's document and back, and which version a draw gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/memory.h"
#include "engine/alias.h"

static void what_is_written_is_read_back_and_written_the_same(void **state)
{
    (void)state;
    static const double weights[] = { 0, 0.1, 0.30000000000000004, 1 };
    for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
        struct alias alias = { .description = memory_text("says \"\xC3\xA9\"\n"),
                               .version = 1,
                               .other_version = 2,
                               .other_weight = weights[i] };
        struct alias *back = NULL;
        struct buffer once = BUFFER_EMPTY, twice = BUFFER_EMPTY;
        alias_write(&alias, &once);
        assert_int_equal(alias_read(buffer_slice(&once), &back, NULL), OK);
        assert_string_equal(back->description, alias.description);
        assert_true(back->other_weight == weights[i]);
        assert_int_equal(back->version, 1);
        assert_int_equal(back->other_version, 2);
        alias_write(back, &twice);
        assert_true(slice_equal(buffer_slice(&once), buffer_slice(&twice)));
        alias_free(back);
        free(alias.description);
        buffer_drop(&once);
        buffer_drop(&twice);
    }
}

static void one_without_a_second_version_points_to_one_alone(void **state)
{
    (void)state;
    struct alias alias = { .version = 0 }, *back = NULL;
    struct buffer text = BUFFER_EMPTY;
    alias_write(&alias, &text);
    assert_string_equal(buffer_text(&text), "{\"description\":\"\",\"version\":0}");
    assert_int_equal(alias_read(buffer_slice(&text), &back, NULL), OK);
    assert_int_equal(back->other_version, 0);
    alias_free(back);
    alias_free(NULL);
    buffer_drop(&text);
}

static void what_is_no_document_of_ours_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"description\":\"\"}",
        "{\"version\":1}",
        "{\"description\":1,\"version\":1}",
        "{\"description\":\"a\\u0000b\",\"version\":1}",
        "{\"description\":\"\",\"version\":-1}",
        "{\"description\":\"\",\"version\":\"1\"}",
        "{\"description\":\"\",\"version\":9223372036854775808}",
        "{\"description\":\"\",\"version\":1,\"other_version\":2}",
        "{\"description\":\"\",\"version\":1,\"other_version\":0,\"other_weight\":0.5}",
        "{\"description\":\"\",\"version\":1,\"other_version\":2,\"other_weight\":1.5}",
        "{\"description\":\"\",\"version\":1,\"other_version\":2,\"other_weight\":-0.5}",
        "{\"description\":\"\",\"version\":1,\"other_version\":2,\"other_weight\":\"0.5\"}",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct alias *alias = NULL;
        struct error err = { 0 };
        assert_int_equal(alias_read(slice_of(wrong[i]), &alias, &err), FAILED);
        assert_null(alias);
        assert_int_equal(err.kind, ERROR_INVALID);
    }
}

static void a_draw_below_the_weight_is_the_second_versions(void **state)
{
    (void)state;
    struct alias alias = { .version = 1, .other_version = 2, .other_weight = 0.25 };
    assert_int_equal(alias_choose(&alias, 0), 2);
    assert_int_equal(alias_choose(&alias, 0.2499), 2);
    assert_int_equal(alias_choose(&alias, 0.25), 1);
    assert_int_equal(alias_choose(&alias, 0.9999), 1);
    alias.other_weight = 0;
    assert_int_equal(alias_choose(&alias, 0), 1);
    alias.other_weight = 1;
    assert_int_equal(alias_choose(&alias, 0.9999), 2);
    alias.other_version = 0;
    assert_int_equal(alias_choose(&alias, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back_and_written_the_same),
        cmocka_unit_test(one_without_a_second_version_points_to_one_alone),
        cmocka_unit_test(what_is_no_document_of_ours_is_refused),
        cmocka_unit_test(a_draw_below_the_weight_is_the_second_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
