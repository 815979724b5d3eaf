#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/memory.h"
#include "server/config.h"

static char home[] = "/tmp/hearth-config-test-XXXXXX";

/* Each test starts without variables and without a person's own file. */
static int a_clean_environment(void **state)
{
    static const char *const names[] = {
        "HEARTH_DATA",     "HEARTH_API",       "HEARTH_CONFIG",          "HEARTH_IDLE",
        "HEARTH_RUNTIMES", "HEARTH_LOG_LEVEL", "HEARTH_RUNTIME_FALLBACK"
    };
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(unsetenv(names[i]), 0);
    assert_int_equal(setenv("HEARTH_CONFIG", "/dev/null", 1), 0);
    return 0;
}

static char *a_file(const char *text)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/hearth.yaml", home);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

static enum outcome load(struct config *config, struct error *err, int argc, ...)
{
    char *argv[16];
    va_list list;
    va_start(list, argc);
    for (int i = 0; i < argc; i++)
        argv[i] = va_arg(list, char *);
    va_end(list);
    return config_load(argc, argv, config, err);
}

static void without_anything_the_defaults_hold(void **state)
{
    AUTO(config)
    struct config config = { 0 };
    (void)state;
    assert_int_equal(load(&config, NULL, 0), OK);
    assert_string_equal(config.api, "127.0.0.1:4566");
    assert_string_equal(config.gateway, "127.0.0.1:8080");
    assert_string_equal(config.region, "us-east-1");
    assert_string_equal(config.account, "000000000000");
    assert_string_equal(config.log_level, "info");
    assert_int_equal(config.drain_ms, 10000);
    assert_int_equal(config.idle_ms, 300000);
    assert_int_equal(config.concurrency, 0);
    assert_false(config.runtime_fallback);
    assert_false(config.no_sandbox);
    assert_true(config.uid_base >= 1000);
    assert_null(config.runtimes);
}

static void a_flag_wins_over_a_variable_and_that_over_the_file(void **state)
{
    AUTO(config)
    struct config config = { 0 };
    (void)state;
    char *file = a_file("api: 127.0.0.1:1\ngateway: 127.0.0.1:2\nlog_level: warn\nidle: 1m\n");
    assert_int_equal(setenv("HEARTH_API", "127.0.0.1:3", 1), 0);
    assert_int_equal(setenv("HEARTH_IDLE", "2m", 1), 0);
    assert_int_equal(load(&config, NULL, 4, "--config", file, "--api", "127.0.0.1:4"), OK);
    assert_string_equal(config.api, "127.0.0.1:4");     /* flag */
    assert_int_equal(config.idle_ms, 120000);           /* variable */
    assert_string_equal(config.gateway, "127.0.0.1:2"); /* file */
    assert_string_equal(config.file, file);
}

static void a_flag_takes_its_value_behind_a_space_or_an_equals_sign(void **state)
{
    AUTO(config)
    struct config config = { 0 };
    (void)state;
    assert_int_equal(load(&config, NULL, 4, "--api=[::1]:0", "--runtime-fallback", "--log-level", "debug"), OK);
    assert_string_equal(config.api, "[::1]:0");
    assert_string_equal(config.log_level, "debug");
    assert_true(config.runtime_fallback);
}

static void a_switch_can_be_set_to_false(void **state)
{
    AUTO(config)
    struct config config = { 0 };
    (void)state;
    assert_int_equal(setenv("HEARTH_RUNTIME_FALLBACK", "yes", 1), 0);
    assert_int_equal(load(&config, NULL, 1, "--runtime-fallback=false"), OK);
    assert_false(config.runtime_fallback);
}

static void an_empty_variable_counts_as_not_set(void **state)
{
    AUTO(config)
    struct config config = { 0 };
    (void)state;
    assert_int_equal(setenv("HEARTH_API", "", 1), 0);
    assert_int_equal(load(&config, NULL, 0), OK);
    assert_string_equal(config.api, "127.0.0.1:4566");
}

static void the_configuration_file_may_come_from_a_variable(void **state)
{
    AUTO(config)
    struct config config = { 0 };
    (void)state;
    assert_int_equal(setenv("HEARTH_CONFIG", a_file("region: eu-west-1\n"), 1), 0);
    assert_int_equal(load(&config, NULL, 0), OK);
    assert_string_equal(config.region, "eu-west-1");
}

static void a_relative_directory_becomes_absolute(void **state)
{
    AUTO(config)
    struct config config = { 0 };
    (void)state;
    assert_int_equal(load(&config, NULL, 2, "--data", "some/where"), OK);
    assert_int_equal(config.data[0], '/');
    assert_true(slice_ends(slice_of(config.data), SLICE("/some/where")));
}

struct refusal {
    const char *option, *message, *hint; /* parts of them */
};

static void what_cannot_be_meant_is_refused_with_what_to_write(void **state)
{
    static const struct refusal refusals[] = {
        { "--gatway=1.2.3.4:5", "unknown option \"gatway\"", "\"--gateway\"" },
        { "--log_levl=info", "unknown option", "\"--log-level\"" },
        { "--runtime-fallbak", "unknown option", "\"--runtime-fallback\"" },
        { "--zzzzzzzz=1", "unknown option \"zzzzzzzz\"", "hearth serve --help" },
        { "api", "unexpected argument \"api\"", "two dashes" },
        { "--", "unexpected argument", "two dashes" },
        { "--api", "has no value", "behind it" },
        { "--api=localhost:4566", "--api: \"localhost:4566\"", "127.0.0.1:4566" },
        { "--api=127.0.0.1", "cannot be used", "a port" },
        { "--api=127.0.0.1:65536", "cannot be used", "a port" },
        { "--api=127.0.0.1:-1", "cannot be used", "a port" },
        { "--api=::1:80", "cannot be used", "[::1]" },
        { "--api=[]:80", "cannot be used", "[::1]" },
        { "--api=", "cannot be used", "leave the key out" },
        { "--idle=ten", "cannot be used", "5m" },
        { "--idle=", "cannot be used", "5m" },
        { "--idle=s", "cannot be used", "5m" },
        { "--idle=-1s", "cannot be used", "5m" },
        { "--idle=1.5s", "cannot be used", "5m" },
        { "--idle=25h", "cannot be used", "86400000ms" },
        { "--idle=99999999999999999999h", "cannot be used", "5m" },
        { "--idle=9999999999999h", "cannot be used", "" },
        { "--idle=50ms", "cannot be used", "100ms" },
        { "--concurrency=many", "cannot be used", "whole number" },
        { "--concurrency=1000000", "cannot be used", "4096" },
        { "--account=12", "cannot be used", "twelve digits" },
        { "--account=12345678901x", "cannot be used", "twelve digits" },
        { "--region=Mars Base", "cannot be used", "us-east-1" },
        { "--log-level=loud", "cannot be used", "debug|info|warn|error" },
        { "--runtime-fallback=perhaps", "cannot be used", "true or false" },
        { "--config=/nowhere/hearth.yaml", "/nowhere/hearth.yaml", "--config" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct config config = { 0 };
        struct error err = { 0 };
        assert_int_equal(load(&config, &err, 1, refusals[i].option), FAILED);
        assert_int_equal(err.kind, ERROR_INVALID);
        if (strstr(err.message, refusals[i].message) == NULL || strstr(err.hint, refusals[i].hint) == NULL)
            fail_msg("%s: \"%s\" / \"%s\"", refusals[i].option, err.message, err.hint);
        assert_null(config.data); /* nothing is handed out */
    }
}

static void times_are_written_with_their_unit(void **state)
{
    static const struct {
        const char *option;
        uint64_t ms;
    } times[] = { { "--idle=500ms", 500 },  { "--idle=10s", 10000 }, { "--idle=5m", 300000 },
                  { "--idle=2h", 7200000 }, { "--idle=7", 7000 },    { "--idle=1001ms", 1001 } };
    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        AUTO(config)
        struct config config = { 0 };
        assert_int_equal(load(&config, NULL, 1, times[i].option), OK);
        assert_int_equal(config.idle_ms, times[i].ms);
    }
}

static void a_file_that_cannot_be_meant_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *message;
    } files[] = {
        { "api: 127.0.0.1:1\n\napi: 127.0.0.1:2\n", "line 3: the key \"api\" is there twice" },
        { "log_level: info\nlog-level: info\n", "line 2: unknown key \"log-level\"" },
        { "gatewy: 127.0.0.1:1\n", "unknown key \"gatewy\"" },
        { "config: /etc/x.yaml\n", "cannot name itself" },
        { "api: [127.0.0.1:1]\n", "lists and nested keys" },
        { "api:\n  port: 1\n", "lists and nested keys" },
        { "- api\n", "not a list of `key: value`" },
        { "just words\n", "not a list of `key: value`" },
        { "api: &a 127.0.0.1:1\ngateway: *a\n", "anchors and tags" },
        { "api: !!str 127.0.0.1:1\n", "anchors and tags" },
        { "? [api]\n: 1\n", "lists and nested keys" },
        { "region: a\n---\nregion: b\n", "a second document" },
        { "api: \"127.0.0.1\n", "line" },
        { "api: 127.0.0.1:1\n\tgateway: x\n", "line 2" },
        { "region: \"us\\0east\"\n", "NUL" },
        { "idle:\n", "cannot be used" },
        { "region: ''\n", "cannot be used" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct config config = { 0 };
        struct error err = { 0 };
        assert_int_equal(load(&config, &err, 2, "--config", a_file(files[i].text)), FAILED);
        if (strstr(err.message, files[i].message) == NULL)
            fail_msg("%s: \"%s\"", files[i].text, err.message);
        assert_true(err.hint[0] != '\0');
    }
}

static void a_file_that_says_nothing_is_fine(void **state)
{
    static const char *const files[] = { "", "# only a comment\n", "---\n", "{}\n", "---\n# nothing\n...\n" };
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        AUTO(config)
        struct config config = { 0 };
        assert_int_equal(load(&config, NULL, 2, "--config", a_file(files[i])), OK);
        assert_string_equal(config.region, "us-east-1");
    }
}

static void what_is_written_is_read_back_the_same(void **state)
{
    AUTO(config)
    struct config config = { 0 };
    AUTO(config)
    struct config again = { 0 };
    struct buffer first = BUFFER_EMPTY, second = BUFFER_EMPTY;
    (void)state;
    assert_int_equal(
        load(&config, NULL, 3, "--data=/tmp/with \"quotes\", \\ and\ttabs", "--drain=1500ms", "--runtimes=/r"), OK);
    config_write_yaml(&config, &first);
    config_init(&again);
    assert_int_equal(config_read_yaml(&again, "written", buffer_slice(&first), NULL), OK);
    config_write_yaml(&again, &second);
    assert_true(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    assert_string_equal(again.data, "/tmp/with \"quotes\", \\ and\ttabs");
    assert_int_equal(again.drain_ms, 1500);
    buffer_drop(&first);
    buffer_drop(&second);
}

static void a_named_runtimes_directory_is_searched_first(void **state)
{
    AUTO(config)
    struct config config = { 0 };
    char *dirs[KEEPER_RUNTIME_DIRS_MAX];
    (void)state;
    assert_int_equal(load(&config, NULL, 1, "--runtimes=/elsewhere"), OK);
    size_t count = config_runtime_dirs(&config, dirs);
    assert_true(count >= 2 && count <= KEEPER_RUNTIME_DIRS_MAX);
    assert_string_equal(dirs[0], "/elsewhere");
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(dirs[i], dirs[k]);
    }
    for (size_t i = 0; i < count; i++)
        free(dirs[i]);
    AUTO(text)
    char *target = config_runtime_target(&config);
    assert_string_equal(target, "/elsewhere");
}

static void done_accepts_what_was_never_filled(void **state)
{
    struct config config = { 0 };
    (void)state;
    config_done(NULL);
    config_done(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_anything_the_defaults_hold, a_clean_environment),
        cmocka_unit_test_setup(a_flag_wins_over_a_variable_and_that_over_the_file, a_clean_environment),
        cmocka_unit_test_setup(a_flag_takes_its_value_behind_a_space_or_an_equals_sign, a_clean_environment),
        cmocka_unit_test_setup(a_switch_can_be_set_to_false, a_clean_environment),
        cmocka_unit_test_setup(an_empty_variable_counts_as_not_set, a_clean_environment),
        cmocka_unit_test_setup(the_configuration_file_may_come_from_a_variable, a_clean_environment),
        cmocka_unit_test_setup(a_relative_directory_becomes_absolute, a_clean_environment),
        cmocka_unit_test_setup(what_cannot_be_meant_is_refused_with_what_to_write, a_clean_environment),
        cmocka_unit_test_setup(times_are_written_with_their_unit, a_clean_environment),
        cmocka_unit_test_setup(a_file_that_cannot_be_meant_is_refused_with_its_line, a_clean_environment),
        cmocka_unit_test_setup(a_file_that_says_nothing_is_fine, a_clean_environment),
        cmocka_unit_test_setup(what_is_written_is_read_back_the_same, a_clean_environment),
        cmocka_unit_test_setup(a_named_runtimes_directory_is_searched_first, a_clean_environment),
        cmocka_unit_test(done_accepts_what_was_never_filled),
    };
    if (mkdtemp(home) == NULL)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(a_file(""));
    (void)rmdir(home);
    return failed;
}
