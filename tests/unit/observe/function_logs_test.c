#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "observe/function_logs.h"

struct world {
    char path[64];
    int dir;
    struct error err;
};

static int world_make(void **state)
{
    struct world *w = memory_new(sizeof(*w));
    (void)snprintf(w->path, sizeof(w->path), "/tmp/hearth-logs-XXXXXX");
    assert_non_null(mkdtemp(w->path));
    w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = w;
    return 0;
}

static int world_end(void **state)
{
    struct world *w = *state;
    assert_int_equal(dir_remove(w->dir, "logs", &w->err), OK);
    fd_drop(&w->dir);
    assert_int_equal(rmdir(w->path), 0);
    free(w);
    return 0;
}

struct seen {
    size_t count, stop_at;
    int64_t last_ms;
    char stream[64], message[256];
    size_t bytes;
};

static bool note(const struct log_event *event, void *arg)
{
    struct seen *seen = arg;
    seen->count++;
    seen->bytes += event->message.len;
    seen->last_ms = event->time_ms;
    (void)snprintf(seen->stream, sizeof(seen->stream), "%.*s", SLICE_PRINT(event->stream));
    (void)snprintf(seen->message, sizeof(seen->message), "%.*s", SLICE_PRINT(event->message));
    return seen->count != seen->stop_at;
}

static void what_was_put_is_read_back_to_the_byte(void **state)
{
    struct world *w = *state;
    struct function_logs *logs = NULL;
    assert_int_equal(function_logs_open(NULL, w->dir, &logs, &w->err), OK);
    function_logs_put(logs, SLICE("/aws/lambda/a"), SLICE("s"), 5, SLICE("tab\there\\n\r\nend"));
    function_logs_put(logs, SLICE("/aws/lambda/b"), SLICE("other"), 6, SLICE("not mine"));
    function_logs_close(logs);
    struct seen seen = { 0 };
    assert_int_equal(function_logs_read(w->dir, SLICE("/aws/lambda/a"), 0, false, note, &seen, &w->err), OK);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.message, "tab\there\\n\r\nend");
    assert_string_equal(seen.stream, "s");
    assert_int_equal(seen.last_ms, 5);
    assert_int_equal(function_logs_read(w->dir, SLICE("none"), 0, false, note, &seen, &w->err), FAILED);
    assert_int_equal(w->err.kind, ERROR_NOT_FOUND);
}

static void a_group_cannot_name_a_directory_above_its_own(void **state)
{
    struct world *w = *state;
    struct function_logs *logs = NULL;
    static const char *const names[] = { ".", "..", "../x", "./", "/", "a/../b" };
    assert_int_equal(function_logs_open(NULL, w->dir, &logs, &w->err), OK);
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
        function_logs_put(logs, slice_of(names[k]), SLICE("s"), 0, slice_of(names[k]));
    function_logs_close(logs);
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        struct seen seen = { 0 };
        assert_int_equal(function_logs_read(w->dir, slice_of(names[k]), 0, false, note, &seen, &w->err), OK);
        assert_int_equal(seen.count, 1);
        assert_string_equal(seen.message, names[k]);
    }
    assert_int_equal(faccessat(w->dir, "00000001.log", F_OK, 0), -1);
    assert_int_equal(faccessat(w->dir, "logs/00000001.log", F_OK, 0), -1);
}

static void older_lines_are_left_out_and_the_reader_may_stop(void **state)
{
    struct world *w = *state;
    struct function_logs *logs = NULL;
    assert_int_equal(function_logs_open(NULL, w->dir, &logs, &w->err), OK);
    for (int i = 1; i <= 10; i++)
        function_logs_put(logs, SLICE("g"), SLICE("s"), i, SLICE("x"));
    function_logs_close(logs);
    struct seen seen = { .stop_at = 3 };
    assert_int_equal(function_logs_read(w->dir, SLICE("g"), 4, true, note, &seen, &w->err), OK);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.last_ms, 6);
}

static void a_torn_line_is_dropped_and_the_next_one_is_whole(void **state)
{
    struct world *w = *state;
    struct function_logs *logs = NULL;
    assert_int_equal(mkdirat(w->dir, "logs", 0700), 0);
    assert_int_equal(mkdirat(w->dir, "logs/g", 0700), 0);
    assert_int_equal(file_replace(w->dir, "logs/g/00000003.log", SLICE("1\ts\tfirst\n2\ts\\"), 0600, &w->err), OK);
    assert_int_equal(function_logs_open(NULL, w->dir, &logs, &w->err), OK);
    function_logs_put(logs, SLICE("g"), SLICE("s"), 9, SLICE("after the crash"));
    function_logs_close(logs);
    struct seen seen = { 0 };
    assert_int_equal(function_logs_read(w->dir, SLICE("g"), 0, false, note, &seen, &w->err), OK);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.message, "after the crash");
}

static void a_group_never_grows_beyond_its_bound(void **state)
{
    struct world *w = *state;
    struct function_logs *logs = NULL;
    assert_int_equal(function_logs_open(NULL, w->dir, &logs, &w->err), OK);
    size_t line = 200 * 1000;
    char *text = memory_new(line);
    memset(text, 'x', line);
    size_t total = (size_t)LOGS_GROUP_BYTES_MAX + 3 * (size_t)LOGS_FILE_BYTES_MAX;
    for (size_t put = 0; put < total; put += line) {
        function_logs_put(logs, SLICE("g"), SLICE("s"), (int64_t)put, slice_from(text, line));
        if (put % (line * 200) == 0) { /* let the writer keep up: closing writes all, opening goes on behind it */
            function_logs_close(logs);
            assert_int_equal(function_logs_open(NULL, w->dir, &logs, &w->err), OK);
        }
    }
    function_logs_close(logs);
    struct seen seen = { 0 };
    assert_int_equal(function_logs_read(w->dir, SLICE("g"), 0, false, note, &seen, &w->err), OK);
    assert_in_range(seen.bytes, LOGS_GROUP_BYTES_MAX / 2, LOGS_GROUP_BYTES_MAX);
    assert_in_range(seen.last_ms, total - line - 1, total);
    free(text);
}

static void *put_later(void *arg)
{
    struct world *w = arg;
    struct function_logs *logs = NULL;
    struct error err;
    if (function_logs_open(NULL, w->dir, &logs, &err) != OK)
        return NULL;
    function_logs_put(logs, SLICE("g"), SLICE("s"), 2, SLICE("second"));
    function_logs_close(logs);
    return logs;
}

static void following_sees_what_comes_later(void **state)
{
    struct world *w = *state;
    struct function_logs *logs = NULL;
    assert_int_equal(function_logs_open(NULL, w->dir, &logs, &w->err), OK);
    function_logs_put(logs, SLICE("g"), SLICE("s"), 1, SLICE("first"));
    function_logs_close(logs);
    pthread_t later;
    assert_int_equal(pthread_create(&later, NULL, put_later, w), 0);
    struct seen seen = { .stop_at = 2 };
    assert_int_equal(function_logs_read(w->dir, SLICE("g"), 0, true, note, &seen, &w->err), OK);
    assert_string_equal(seen.message, "second");
    void *put = NULL;
    assert_int_equal(pthread_join(later, &put), 0);
    assert_non_null(put);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_put_is_read_back_to_the_byte, world_make, world_end),
        cmocka_unit_test_setup_teardown(a_group_cannot_name_a_directory_above_its_own, world_make, world_end),
        cmocka_unit_test_setup_teardown(older_lines_are_left_out_and_the_reader_may_stop, world_make, world_end),
        cmocka_unit_test_setup_teardown(a_torn_line_is_dropped_and_the_next_one_is_whole, world_make, world_end),
        cmocka_unit_test_setup_teardown(a_group_never_grows_beyond_its_bound, world_make, world_end),
        cmocka_unit_test_setup_teardown(following_sees_what_comes_later, world_make, world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
