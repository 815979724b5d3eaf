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

#include "base/clock.h"
#include "base/fd.h"
#include "base/memory.h"
#include "observe/log_group.h"

struct world {
    char path[64];
    int dir;
    struct function_logs *logs;
    struct log_group *group; /* "g", pinned */
    struct error err;
};

static void world_reopen(struct world *w)
{
    if (w->logs != NULL) {
        function_logs_unpin(w->logs, w->group);
        function_logs_close(w->logs);
    }
    assert_int_equal(function_logs_open(NULL, w->dir, &w->logs, &w->err), OK);
    w->group = function_logs_pin(w->logs, SLICE("g"));
}

static int world_make(void **state)
{
    struct world *w = memory_new(sizeof(*w));
    (void)snprintf(w->path, sizeof(w->path), "/tmp/hearth-store-XXXXXX");
    assert_non_null(mkdtemp(w->path));
    w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    world_reopen(w);
    *state = w;
    return 0;
}

static int world_end(void **state)
{
    struct world *w = *state;
    function_logs_unpin(w->logs, w->group);
    function_logs_close(w->logs);
    assert_int_equal(dir_remove(w->dir, "logs", &w->err), OK);
    fd_drop(&w->dir);
    assert_int_equal(rmdir(w->path), 0);
    free(w);
    return 0;
}

static void print(struct world *w, const char *stream, int64_t ms, const char *text)
{
    function_logs_put(w->logs, SLICE("g"), slice_of(stream), ms, slice_of(text));
}

static struct log_query all(void)
{
    return (struct log_query){ .to_ms = INT64_MAX, .limit = LOGS_PAGE_EVENTS_MAX };
}

/* The messages of a page, with blanks between. */
static const char *ask(struct world *w, const struct log_query *query, bool *more)
{
    static char text[4096];
    struct log_page page;
    size_t len = 0;
    assert_int_equal(log_store_events(w->logs, w->group, query, &page, &w->err), OK);
    text[0] = '\0';
    for (size_t i = 0; i < page.count && len < sizeof(text); i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s", i > 0 ? " " : "",
                                SLICE_PRINT(page.events[i].message));
    if (more != NULL)
        *more = page.more;
    log_page_drop(&page);
    return text;
}

static const char *everything(struct world *w)
{
    struct log_query query = all();
    return ask(w, &query, NULL);
}

static void write_file(struct world *w, const char *name, const char *text)
{
    char path[128];
    (void)mkdirat(w->dir, "logs/g", 0700);
    (void)snprintf(path, sizeof(path), "logs/g/%s", name);
    assert_int_equal(file_replace(w->dir, path, slice_of(text), 0600, &w->err), OK);
}

/* ---- groups ---- */

static void a_group_is_made_once_and_deleted_once(void **state)
{
    struct world *w = *state;
    struct log_group_info info;
    assert_int_equal(log_store_create_group(w->logs, w->group, NULL, 0, &w->err), OK);
    assert_int_equal(log_store_create_group(w->logs, w->group, NULL, 0, &w->err), FAILED);
    assert_string_equal(w->err.code, "ResourceAlreadyExistsException");
    assert_int_equal(log_store_group_info(w->logs, w->group, &info, &w->err), OK);
    assert_string_equal(info.name, "g");
    log_group_info_drop(&info);
    assert_int_equal(log_store_delete_group(w->logs, w->group, &w->err), OK);
    assert_int_equal(log_store_delete_group(w->logs, w->group, &w->err), FAILED);
    assert_string_equal(w->err.code, "ResourceNotFoundException");
}

static void a_functions_first_line_makes_its_group(void **state)
{
    struct world *w = *state;
    struct log_group_info *list = NULL;
    size_t count = 0;
    bool more = true;
    print(w, "s", 1, "first");
    assert_int_equal(
        log_store_groups(w->logs, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, 50, &list, &count, &more, &w->err), OK);
    assert_int_equal(count, 1);
    assert_false(more);
    assert_string_equal(list[0].name, "g");
    assert_int_equal(list[0].stored_bytes, strlen("1\ts\tfirst\n"));
    assert_in_range(list[0].created_ms, clock_wall_ms() - 60000, clock_wall_ms());
    log_group_info_drop(&list[0]);
    free(list);
}

static void a_deleted_group_comes_back_with_the_next_line_and_without_the_old_ones(void **state)
{
    struct world *w = *state;
    print(w, "s", 1, "old");
    assert_string_equal(everything(w), "old");
    print(w, "s", 2, "waiting");
    assert_int_equal(log_store_delete_group(w->logs, w->group, &w->err), OK);
    struct log_query query = all();
    struct log_page page;
    assert_int_equal(log_store_events(w->logs, w->group, &query, &page, &w->err), FAILED);
    print(w, "s", 3, "new");
    assert_string_equal(everything(w), "new");
}

static void a_half_written_file_of_a_group_is_none_and_its_lines_tell_what_it_was(void **state)
{
    struct world *w = *state;
    write_file(w, "group", "hearth-log-group 1\nname\tg\nid\tab");
    write_file(w, "00000001.log", "1700000000000\ts\tfirst format\n");
    struct log_group_info info;
    assert_int_equal(log_store_group_info(w->logs, w->group, &info, &w->err), OK);
    assert_int_equal(info.created_ms, 1700000000000);
    log_group_info_drop(&info);
    assert_string_equal(everything(w), "first format");
}

static void what_a_group_is_is_written_and_read_to_the_byte(void **state)
{
    (void)state;
    struct log_tag tags[] = { { (char *)"a\tb", (char *)"c\nd\\" }, { (char *)"empty", (char *)"" } };
    struct log_group_info info = {
        .name = (char *)"/aws/lambda/x", .created_ms = 7, .retention_days = 30, .tags = tags, .tag_count = 2
    };
    struct buffer text = BUFFER_EMPTY, again = BUFFER_EMPTY;
    struct log_group_info read;
    log_info_new_id(&info);
    log_info_print(&info, &text);
    assert_true(log_info_parse(buffer_slice(&text), &read));
    log_info_print(&read, &again);
    assert_true(slice_equal(buffer_slice(&text), buffer_slice(&again)));
    for (size_t len = 0; len + 1 < text.len; len++) { /* torn anywhere it is none */
        struct log_group_info torn;
        assert_false(log_info_parse(slice_sub(buffer_slice(&text), 0, len), &torn));
    }
    log_group_info_drop(&read);
    buffer_drop(&text);
    buffer_drop(&again);
}

/* ---- streams ---- */

static const char *stream_names(struct world *w, struct log_stream_query query)
{
    static char text[1024];
    struct log_stream_info *list = NULL;
    size_t count = 0, len = 0;
    bool more = false;
    if (query.max == 0)
        query.max = LOGS_PAGE_NAMES_MAX;
    assert_int_equal(log_store_streams(w->logs, w->group, &query, &list, &count, &more, &w->err), OK);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i > 0 ? " " : "", list[i].name);
    if (more)
        (void)snprintf(text + len, sizeof(text) - len, " ...");
    log_stream_infos_free(list, count);
    return text;
}

static void streams_are_those_that_were_made_and_those_that_print(void **state)
{
    struct world *w = *state;
    print(w, "b", 20, "x");
    print(w, "a", 30, "x");
    assert_int_equal(log_store_create_stream(w->logs, w->group, SLICE("c"), &w->err), OK);
    assert_int_equal(log_store_create_stream(w->logs, w->group, SLICE("a"), &w->err), FAILED);
    assert_string_equal(w->err.code, "ResourceAlreadyExistsException");
    for (int round = 0; round < 2; round++, world_reopen(w)) { /* also when all is read again */
        assert_string_equal(stream_names(w, (struct log_stream_query){ .max = 0 }), "a b c");
        assert_string_equal(stream_names(w, (struct log_stream_query){ .by_time = true, .descending = true }),
                            "a b c");
        assert_string_equal(stream_names(w, (struct log_stream_query){ .max = 2 }), "a b ...");
        assert_string_equal(
            stream_names(w, (struct log_stream_query){ .has_after = true, .after_name = SLICE("b"), .max = 2 }),
            "c");
        assert_string_equal(stream_names(w, (struct log_stream_query){ .prefix = SLICE("b") }), "b");
    }
}

static void a_deleted_stream_stays_deleted_and_comes_back_with_its_next_line(void **state)
{
    struct world *w = *state;
    print(w, "a", 1, "old");
    print(w, "b", 2, "other");
    assert_int_equal(log_store_delete_stream(w->logs, w->group, SLICE("a"), &w->err), OK);
    assert_int_equal(log_store_delete_stream(w->logs, w->group, SLICE("a"), &w->err), FAILED);
    for (int round = 0; round < 2; round++, world_reopen(w)) {
        assert_string_equal(everything(w), "other");
        assert_string_equal(stream_names(w, (struct log_stream_query){ .max = 0 }), "b");
    }
    print(w, "a", 3, "new");
    assert_string_equal(everything(w), "other new");
    world_reopen(w);
    assert_string_equal(everything(w), "other new");
}

static void a_torn_change_of_a_stream_was_not_made_and_the_next_one_is_whole(void **state)
{
    struct world *w = *state;
    assert_int_equal(log_store_create_group(w->logs, w->group, NULL, 0, &w->err), OK);
    write_file(w, "streams", "+\t5\tmade\n+\t6\tto");
    assert_string_equal(stream_names(w, (struct log_stream_query){ .max = 0 }), "made");
    assert_int_equal(log_store_create_stream(w->logs, w->group, SLICE("next"), &w->err), OK);
    assert_string_equal(stream_names(w, (struct log_stream_query){ .max = 0 }), "made next to");
}

/* ---- events ---- */

static void events_come_in_order_of_time_from_either_end_in_pages(void **state)
{
    struct world *w = *state;
    static const char *const texts[] = { "three", "one", "two", "five", "four" };
    static const int times[] = { 30, 10, 20, 50, 40 };
    bool more = false;
    for (int i = 0; i < 5; i++)
        print(w, i % 2 == 0 ? "a" : "b", times[i], texts[i]);
    assert_string_equal(everything(w), "one two three four five");
    struct log_query query = all();
    query.limit = 2;
    assert_string_equal(ask(w, &query, &more), "one two");
    assert_true(more);
    query.latest = true;
    assert_string_equal(ask(w, &query, &more), "four five");
    assert_true(more);
    struct log_position at = { 30, 1, 0 };
    query.latest = false;
    query.after = &at;
    assert_string_equal(ask(w, &query, &more), "four five");
    assert_false(more);
    query.after = NULL;
    query.before = &at;
    query.latest = true;
    assert_string_equal(ask(w, &query, &more), "one two");
    assert_false(more);
    struct slice only = SLICE("b");
    query = all();
    query.streams = &only;
    query.stream_count = 1;
    query.from_ms = 11;
    assert_string_equal(ask(w, &query, NULL), "five");
}

static void any_order_of_writing_gives_the_same_pages(void **state)
{
    struct world *w = *state;
    enum { COUNT = 3000 }; /* a few blocks of it */
    char *text = memory_new(1001);
    uint32_t random = 1;
    memset(text, 'x', 1000);
    for (int i = 0; i < COUNT; i++) {
        random = random * 1664525 + 1013904223;
        function_logs_put(w->logs, SLICE("g"), SLICE("s"), 1 + random % 10000,
                          slice_from(text, 500 + random % 500));
    }
    struct log_query query = all();
    struct log_position last = { 0, 0, 0 };
    size_t seen = 0;
    for (bool more = true; more;) {
        struct log_page page;
        query.limit = 700;
        query.after = &last;
        assert_int_equal(log_store_events(w->logs, w->group, &query, &page, &w->err), OK);
        for (size_t i = 0; i < page.count; i++) {
            assert_true(log_position_compare(&last, &page.events[i].at) < 0);
            last = page.events[i].at;
        }
        seen += page.count;
        more = page.more;
        log_page_drop(&page);
    }
    assert_int_equal(seen, COUNT);
    free(text);
}

static void a_torn_line_is_no_event_and_a_put_after_it_is_whole(void **state)
{
    struct world *w = *state;
    write_file(w, "00000002.log", "1\ts\tfirst\n2\ts\ttor");
    assert_string_equal(everything(w), "first");
    struct log_new_event event = { 3, SLICE("after") };
    assert_int_equal(log_store_put(w->logs, w->group, SLICE("s"), &event, 1, 99, &w->err), OK);
    assert_string_equal(everything(w), "first after");
    world_reopen(w);
    struct log_query query = all();
    struct log_page page;
    assert_int_equal(log_store_events(w->logs, w->group, &query, &page, &w->err), OK);
    assert_int_equal(page.count, 2);
    assert_int_equal(page.events[1].ingested_ms, 99);
    log_page_drop(&page);
}

static void a_line_torn_at_any_byte_is_dropped_by_all_readers(void **state)
{
    struct world *w = *state;
    static const char line[] = "2000\tst\\tr\ttwo\\\\ \\n three";
    char text[128];
    for (size_t len = 1; len < sizeof(line); len++) {
        (void)snprintf(text, sizeof(text), "1\ts\tfirst\n%.*s", (int)len, line);
        write_file(w, "00000001.log", text);
        world_reopen(w);
        print(w, "s", 3, "after");
        assert_string_equal(everything(w), "first after");
    }
}

static void damaged_files_give_what_is_whole_in_them(void **state)
{
    struct world *w = *state;
    write_file(
        w, "00000001.log",
        "\n\t\t\nx\ts\tm\n1\tno tab\n99999999999999999999\ts\tm\n5+\ts\tm\n6-0\ts\tm\n7\ts\tgood\n8\ts\tbad\\\n");
    assert_string_equal(everything(w), "good");
}

static void retention_hides_at_once_and_deletes_files_but_no_number_comes_twice(void **state)
{
    struct world *w = *state;
    enum { DAY = 24 * 60 * 60 * 1000 };
    int64_t now = clock_wall_ms();
    struct log_new_event old = { now - 5LL * DAY, SLICE("old") }, young = { now, SLICE("young") };
    print(w, "s", now - 6LL * DAY, "older");
    assert_int_equal(log_store_put(w->logs, w->group, SLICE("s"), &old, 1, now, &w->err), OK);
    assert_int_equal(log_store_set_retention(w->logs, w->group, 3, &w->err), OK);
    assert_string_equal(everything(w), "");
    assert_int_equal(faccessat(w->dir, "logs/g/00000001.log", F_OK, 0), -1);
    print(w, "s", now, "young");
    assert_string_equal(everything(w), "young");
    assert_int_equal(faccessat(w->dir, "logs/g/00000002.log", F_OK, 0), 0);
    assert_int_equal(log_store_put(w->logs, w->group, SLICE("s"), &young, 1, now, &w->err), OK);
    assert_int_equal(log_store_set_retention(w->logs, w->group, 1, &w->err), OK);
    assert_string_equal(everything(w), "young young");
}

static void files_that_retention_is_over_with_go_by_themselves(void **state)
{
    struct world *w = *state;
    write_file(w, "group", "hearth-log-group 1\nname\tg\nid\tab\ncreated\t5\nretention\t1\nend\n");
    write_file(w, "00000001.log", "5\ts\told\n");
    write_file(w, "00000002.log", "6\ts\tolder than its day, but written now\n");
    struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    assert_int_equal(utimensat(w->dir, "logs/g/00000001.log", times, 0), 0);
    world_reopen(w);
    for (int i = 0; i < 6000 && faccessat(w->dir, "logs/g/00000001.log", F_OK, 0) == 0; i++)
        (void)usleep(10000);
    assert_int_equal(faccessat(w->dir, "logs/g/00000001.log", F_OK, 0), -1);
    assert_int_equal(faccessat(w->dir, "logs/g/00000002.log", F_OK, 0), 0);
    assert_string_equal(everything(w), "");
}

static void positions_are_56_digits_and_read_back(void **state)
{
    (void)state;
    struct log_position at = { 1700000000123, 42, 16777216 }, again;
    char text[LOGS_POSITION_TEXT_BYTES];
    log_position_write(&at, text);
    assert_int_equal(strlen(text), 56);
    assert_true(log_position_read(slice_of(text), &again));
    assert_int_equal(log_position_compare(&at, &again), 0);
    assert_false(log_position_read(slice_sub(slice_of(text), 0, 55), &again));
    text[5] = 'x';
    assert_false(log_position_read(slice_of(text), &again));
}

/* ---- while others write ---- */

static void *write_on(void *arg)
{
    struct world *w = arg;
    char text[32];
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        print(w, "s", 1000 + i, text);
    }
    return NULL;
}

static void a_reader_sees_a_prefix_of_what_is_being_written(void **state)
{
    struct world *w = *state;
    pthread_t writer;
    size_t before = 0;
    print(w, "s", 1, "begin");
    assert_int_equal(pthread_create(&writer, NULL, write_on, w), 0);
    while (before < 20001) {
        struct log_query query = all();
        struct log_page page;
        query.latest = true;
        query.limit = 1;
        assert_int_equal(log_store_events(w->logs, w->group, &query, &page, &w->err), OK);
        assert_int_equal(page.count, 1);
        size_t now = page.events[0].at.ms == 1 ? 1 : (size_t)(page.events[0].at.ms - 1000 + 2);
        assert_true(now >= before);
        before = now;
        log_page_drop(&page);
    }
    (void)pthread_join(writer, NULL);
}

static void groups_that_nobody_has_are_forgotten(void **state)
{
    struct world *w = *state;
    char name[32];
    for (int i = 0; i < 100; i++) {
        struct log_group_info info;
        (void)snprintf(name, sizeof(name), "none-%d", i);
        struct log_group *group = function_logs_pin(w->logs, slice_of(name));
        assert_int_equal(log_store_group_info(w->logs, group, &info, &w->err), FAILED);
        function_logs_unpin(w->logs, group);
    }
    assert_int_equal(HASH_COUNT(w->logs->shared.groups), 1); /* our own, pinned */
}

/* ---- puts beside a deletion ---- */

struct putter {
    struct function_logs *logs;
    struct log_group *group;
    bool began, ends; /* atomic */
};

static void *put_until_it_is_gone(void *arg)
{
    struct putter *p = arg;
    const struct log_new_event event = { 1000, SLICE("x") };
    struct error err;
    while (log_store_put(p->logs, p->group, SLICE("s"), &event, 1, 1000, &err) == OK &&
           !__atomic_load_n(&p->ends, __ATOMIC_ACQUIRE))
        __atomic_store_n(&p->began, true, __ATOMIC_RELEASE);
    return NULL;
}

static void a_put_never_brings_a_deleted_group_back(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 100; round++) {
        struct putter putter = { .logs = w->logs, .group = w->group };
        struct log_group_info info;
        pthread_t thread;
        assert_int_equal(log_store_create_group(w->logs, w->group, NULL, 0, &w->err), OK);
        assert_int_equal(log_store_create_stream(w->logs, w->group, SLICE("s"), &w->err), OK);
        assert_int_equal(pthread_create(&thread, NULL, put_until_it_is_gone, &putter), 0);
        while (!__atomic_load_n(&putter.began, __ATOMIC_ACQUIRE))
            (void)sched_yield();
        assert_int_equal(log_store_delete_group(w->logs, w->group, &w->err), OK);
        __atomic_store_n(&putter.ends, true, __ATOMIC_RELEASE);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(log_store_group_info(w->logs, w->group, &info, &w->err), FAILED);
        assert_int_equal(w->err.kind, ERROR_NOT_FOUND);
    }
}

/* ---- who waits for whom ---- */

static void read_streams(struct function_logs *logs, struct log_group *group, void *arg)
{
    struct log_stream_query query = { .max = LOGS_PAGE_NAMES_MAX };
    struct log_stream_info *list = NULL;
    struct error err;
    size_t count = 0;
    bool more = false;
    (void)arg;
    assert_int_equal(log_store_streams(logs, group, &query, &list, &count, &more, &err), OK);
    log_stream_infos_free(list, count);
}

static void note(void *arg)
{
    *(bool *)arg = true;
}

static unsigned pins_of(struct function_logs *logs, struct log_group *group)
{
    (void)pthread_mutex_lock(&logs->shared.lock);
    unsigned pins = group->pins;
    (void)pthread_mutex_unlock(&logs->shared.lock);
    return pins;
}

/* Giving a group back may free an index of a hundred thousand streams. */
static void a_worker_gives_its_group_back_itself_and_not_on_the_loop(void **state)
{
    struct world *w = *state;
    struct function_logs *logs = NULL;
    bool told = false;
    uv_loop_t loop;
    print(w, "s", 1000, "x");
    function_logs_unpin(w->logs, w->group);
    function_logs_close(w->logs);
    w->logs = NULL;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(function_logs_open(&loop, w->dir, &logs, &w->err), OK);
    struct log_group *group = function_logs_pin(logs, SLICE("g"));
    function_logs_work(logs, SLICE("g"), read_streams, note, &told);
    uint64_t end_us = clock_mono_us() + 20 * 1000000ULL;
    while (pins_of(logs, group) > 1 && clock_mono_us() < end_us)
        (void)usleep(1000);
    assert_int_equal(pins_of(logs, group), 1); /* while nobody runs the loop */
    assert_false(told);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(told);
    function_logs_unpin(logs, group);
    function_logs_close(logs);
    assert_int_equal(uv_loop_close(&loop), 0);
    world_reopen(w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_end)
    const struct CMUnitTest tests[] = {
        TEST(a_group_is_made_once_and_deleted_once),
        TEST(a_functions_first_line_makes_its_group),
        TEST(a_deleted_group_comes_back_with_the_next_line_and_without_the_old_ones),
        TEST(a_half_written_file_of_a_group_is_none_and_its_lines_tell_what_it_was),
        TEST(what_a_group_is_is_written_and_read_to_the_byte),
        TEST(streams_are_those_that_were_made_and_those_that_print),
        TEST(a_deleted_stream_stays_deleted_and_comes_back_with_its_next_line),
        TEST(a_torn_change_of_a_stream_was_not_made_and_the_next_one_is_whole),
        TEST(events_come_in_order_of_time_from_either_end_in_pages),
        TEST(any_order_of_writing_gives_the_same_pages),
        TEST(a_torn_line_is_no_event_and_a_put_after_it_is_whole),
        TEST(a_line_torn_at_any_byte_is_dropped_by_all_readers),
        TEST(damaged_files_give_what_is_whole_in_them),
        TEST(retention_hides_at_once_and_deletes_files_but_no_number_comes_twice),
        TEST(files_that_retention_is_over_with_go_by_themselves),
        TEST(positions_are_56_digits_and_read_back),
        TEST(a_reader_sees_a_prefix_of_what_is_being_written),
        TEST(groups_that_nobody_has_are_forgotten),
        TEST(a_put_never_brings_a_deleted_group_back),
        TEST(a_worker_gives_its_group_back_itself_and_not_on_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
