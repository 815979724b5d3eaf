#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "observe/log_filter.h"
#include "observe/log_line.h"

static bool matches(const char *pattern, const char *message)
{
    struct log_filter filter;
    struct error err;
    assert_int_equal(log_filter_parse(slice_of(pattern), &filter, &err), OK);
    bool result = log_filter_matches(&filter, slice_of(message));
    log_filter_drop(&filter);
    return result;
}

static void refused(const char *pattern, const char *text)
{
    struct log_filter filter;
    struct error err;
    assert_int_equal(log_filter_parse(slice_of(pattern), &filter, &err), FAILED);
    assert_string_equal(err.code, "InvalidParameterException");
    assert_non_null(strstr(err.message, text));
}

static void terms_must_all_be_there_in_their_case(void **state)
{
    (void)state;
    assert_true(matches("", "anything"));
    assert_true(matches("ERROR", "an ERROR here"));
    assert_true(matches("Exception", "NullPointerException"));
    assert_false(matches("error", "an ERROR here"));
    assert_true(matches("a  \t b", "b and a"));
    assert_false(matches("a z", "b and a"));
}

static void a_phrase_is_taken_to_the_letter(void **state)
{
    (void)state;
    assert_true(matches("\"time: 5 ms\"", "in time: 5 ms."));
    assert_false(matches("\"a b\"", "a  b"));
    assert_true(matches("\"say \\\"hi\\\"\"", "they say \"hi\""));
    assert_true(matches("\"back\\\\slash\"", "back\\slash"));
}

static void what_is_excluded_must_not_be_there(void **state)
{
    (void)state;
    assert_true(matches("-ERROR", "fine"));
    assert_false(matches("-ERROR", "an ERROR"));
    assert_false(matches("ERROR -\"known bug\"", "ERROR: a known bug"));
}

static void one_of_the_alternatives_is_enough_and_beside_other_terms_the_sign_is_ignored(void **state)
{
    (void)state;
    assert_true(matches("?ERROR ?WARN", "a WARN"));
    assert_false(matches("?ERROR ?WARN", "fine"));
    assert_true(matches("?ERROR", "an ERROR"));
    assert_false(matches("?ERROR", "fine"));
    assert_false(matches("?ERROR request", "request without"));
    assert_true(matches("?ERROR request", "request with ERROR"));
}

static void what_is_not_supported_is_refused_by_name(void **state)
{
    (void)state;
    refused("{ $.x = 1 }", "JSON");
    refused("  [a, b]", "space-delimited");
    refused("%a.*b%", "regular expressions");
    refused("a:b", "Invalid character(s) in term ':'");
    refused("\"open", "Invalid filter pattern");
    refused("\"\"", "Invalid filter pattern");
    refused("-", "Invalid filter pattern");
    refused("\"a\"b", "Invalid character(s) in term 'b'");
}

static void a_line_is_found_by_its_needle_whatever_is_escaped_in_it(void **state)
{
    (void)state;
    struct log_filter filter;
    struct error err;
    struct buffer line = BUFFER_EMPTY;
    assert_int_equal(log_filter_parse(SLICE("\"a\tb\\\\\" x"), &filter, &err), OK);
    log_line_write(&line, 1, 1, SLICE("s"), SLICE("x a\tb\\"));
    assert_non_null(memmem(line.at, line.len, filter.needle.at, filter.needle.len));
    buffer_drop(&line);
    log_filter_drop(&filter);
}

static void a_line_tells_when_it_was_ingested_only_where_that_was_another_time(void **state)
{
    (void)state;
    static const struct {
        int64_t time, ingested;
        const char *text;
    } lines[] = {
        { 5, 5, "5\ts\tm\n" }, { 5, 12, "5+7\ts\tm\n" }, { 12, 5, "12-7\ts\tm\n" }, { 0, 0, "0\ts\tm\n" }
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct buffer line = BUFFER_EMPTY;
        struct log_line parts;
        log_line_write(&line, lines[i].time, lines[i].ingested, SLICE("s"), SLICE("m"));
        assert_true(slice_is(buffer_slice(&line), lines[i].text));
        assert_true(log_line_split(slice_sub(buffer_slice(&line), 0, line.len - 1), &parts));
        assert_int_equal(parts.time_ms, lines[i].time);
        assert_int_equal(parts.ingested_ms, lines[i].ingested);
        buffer_drop(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_must_all_be_there_in_their_case),
        cmocka_unit_test(a_phrase_is_taken_to_the_letter),
        cmocka_unit_test(what_is_excluded_must_not_be_there),
        cmocka_unit_test(one_of_the_alternatives_is_enough_and_beside_other_terms_the_sign_is_ignored),
        cmocka_unit_test(what_is_not_supported_is_refused_by_name),
        cmocka_unit_test(a_line_is_found_by_its_needle_whatever_is_escaped_in_it),
        cmocka_unit_test(a_line_tells_when_it_was_ingested_only_where_that_was_another_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
