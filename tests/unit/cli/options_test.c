#include "scene.h"

#include "base/slice.h"
#include "cli/options.h"

static const struct cli_option options[] = {
    { "name", 'n', "NAME", "a name" }, { "env", 'e', "K=V", "a variable" },     { "json", 0, NULL, "json" },
    { "follow", 'f', NULL, "follow" }, { "url", 0, "[NONE|AWS_IAM]", "a URL" },
};
static const struct cli_command command = { .name = "test", .summary = "for the test", CLI_OPTIONS(options) };

static int read_line(struct cli_line *line, int argc, ...)
{
    static char *argv[16];
    va_list list;
    va_start(list, argc);
    argv[0] = (char *)(uintptr_t) "test";
    for (int i = 1; i <= argc; i++)
        argv[i] = va_arg(list, char *);
    va_end(list);
    return cli_read_line(&command, argc + 1, argv, line);
}

static void options_and_arguments_may_be_mixed(void **state)
{
    struct cli_line line;
    (void)state;
    assert_int_equal(read_line(&line, 7, "a", "--name", "x", "b", "--json", "-e", "K=V"), CLI_GO);
    assert_int_equal(line.rest_count, 2);
    assert_string_equal(line.rest[0], "a");
    assert_string_equal(line.rest[1], "b");
    assert_string_equal(cli_value(&line, "name"), "x");
    assert_string_equal(cli_value(&line, "env"), "K=V");
    assert_true(cli_is_on(&line, "json"));
    assert_false(cli_is_on(&line, "follow"));
}

static void a_value_may_stand_behind_an_equals_sign_or_close_to_its_letter(void **state)
{
    struct cli_line line;
    (void)state;
    assert_int_equal(read_line(&line, 2, "--name=x=y", "-eK=V"), CLI_GO);
    assert_string_equal(cli_value(&line, "name"), "x=y");
    assert_string_equal(cli_value(&line, "env"), "K=V");
}

static void a_value_in_brackets_may_be_left_out(void **state)
{
    struct cli_line line;
    (void)state;
    assert_int_equal(read_line(&line, 2, "--url", "folder"), CLI_GO);
    assert_string_equal(cli_value(&line, "url"), "");
    assert_string_equal(line.rest[0], "folder");
    assert_int_equal(read_line(&line, 3, "--url", "NONE", "folder"), CLI_GO);
    assert_string_equal(cli_value(&line, "url"), "NONE");
    assert_int_equal(line.rest_count, 1);
    assert_int_equal(read_line(&line, 1, "--url"), CLI_GO);
    assert_string_equal(cli_value(&line, "url"), "");
    assert_int_equal(read_line(&line, 1, "--url=other"), CLI_GO);
    assert_string_equal(cli_value(&line, "url"), "other");
}

static void the_last_of_an_option_wins_and_all_are_kept(void **state)
{
    struct cli_line line;
    (void)state;
    assert_int_equal(read_line(&line, 4, "-e", "A=1", "-e", "B=2"), CLI_GO);
    assert_int_equal(line.given_count, 2);
    assert_string_equal(cli_value(&line, "env"), "B=2");
}

static void two_dashes_end_the_options_and_one_is_an_argument(void **state)
{
    struct cli_line line;
    (void)state;
    assert_int_equal(read_line(&line, 3, "-", "--", "--json"), CLI_GO);
    assert_int_equal(line.rest_count, 2);
    assert_string_equal(line.rest[0], "-");
    assert_string_equal(line.rest[1], "--json");
}

static void what_is_wrong_ends_with_the_usage_code(void **state)
{
    struct cli_line line;
    (void)state;
    assert_int_equal(read_line(&line, 1, "--nam"), CLI_USAGE);
    assert_int_equal(read_line(&line, 1, "-x"), CLI_USAGE);
    assert_int_equal(read_line(&line, 1, "--name"), CLI_USAGE);
    assert_int_equal(read_line(&line, 1, "--json=1"), CLI_USAGE);
    assert_int_equal(read_line(&line, 1, "-fn"), CLI_USAGE);
}

static void times_and_sizes(void **state)
{
    int64_t ms;
    char size[CLI_SIZE_BYTES];
    (void)state;
    assert_true(cli_duration_ms("10m", &ms) && ms == 600000);
    assert_true(cli_duration_ms("1d", &ms) && ms == 86400000);
    assert_true(cli_duration_ms("5", &ms) && ms == 5000);
    assert_false(cli_duration_ms("", &ms));
    assert_false(cli_duration_ms("m", &ms));
    assert_false(cli_duration_ms("-5m", &ms));
    cli_size(0, size);
    assert_string_equal(size, "0 B");
    cli_size(1536, size);
    assert_string_equal(size, "1.5 KB");
    cli_size(1024 * 1024 - 1, size);
    assert_string_equal(size, "1.0 MB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_may_be_mixed),
        cmocka_unit_test(a_value_may_stand_behind_an_equals_sign_or_close_to_its_letter),
        cmocka_unit_test(a_value_in_brackets_may_be_left_out),
        cmocka_unit_test(the_last_of_an_option_wins_and_all_are_kept),
        cmocka_unit_test(two_dashes_end_the_options_and_one_is_an_argument),
        cmocka_unit_test(what_is_wrong_ends_with_the_usage_code),
        cmocka_unit_test(times_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
