#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/fd.h"
#include "base/memory.h"

static void a_slice_splits_at_the_first_separator(void **state)
{
    (void)state;
    struct slice rest = SLICE("a/b/c");
    assert_true(slice_is(slice_split(&rest, '/'), "a"));
    assert_true(slice_is(rest, "b/c"));
    rest = SLICE("abc");
    assert_true(slice_is(slice_split(&rest, '/'), "abc"));
    assert_int_equal(rest.len, 0);
}

static void a_number_is_read_only_when_it_is_one_and_fits(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_true(slice_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_true(slice_to_u64(SLICE("0010"), 10, &value));
    assert_int_equal(value, 10);
    static const char *const refused[] = { "", "+1", "-1", " 1", "1 ", "1a", "18446744073709551616", "11" };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_false(slice_to_u64(slice_of(refused[i]), 10, &value));
    assert_int_equal(value, 10); /* untouched by a refusal */
}

static void slices_compare_bytewise_and_prefixes_sort_first(void **state)
{
    (void)state;
    assert_true(slice_compare(SLICE("a"), SLICE("ab")) < 0);
    assert_true(slice_compare(SLICE("b"), SLICE("ab")) > 0);
    assert_int_equal(slice_compare(SLICE("ab"), SLICE("ab")), 0);
    assert_true(slice_equal_nocase(SLICE("Content-Type"), SLICE("content-type")));
    assert_false(slice_equal_nocase(SLICE("a["), SLICE("a{"))); /* letters only */
    assert_true(slice_equal_secret(SLICE("x"), SLICE("x")));
    assert_false(slice_equal_secret(SLICE("x"), SLICE("y")));
    assert_true(slice_is(slice_trim(SLICE(" \ta b\t ")), "a b"));
    assert_true(slice_starts(SLICE("abc"), SLICE("ab")));
    assert_true(slice_ends(SLICE("abc"), SLICE("bc")));
    assert_false(slice_ends(SLICE("bc"), SLICE("abc")));
}

static void a_cursor_gives_nothing_beyond_its_end(void **state)
{
    (void)state;
    struct buffer b = BUFFER_EMPTY;
    buffer_append_u16(&b, 0x1234);
    buffer_append_u32(&b, 0xdeadbeef);
    buffer_append_u64(&b, 0x0102030405060708ULL);
    struct cursor c = cursor_of(buffer_slice(&b));
    uint16_t u16 = 0;
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    assert_true(cursor_u16(&c, &u16) && cursor_u32(&c, &u32) && cursor_u64(&c, &u64));
    assert_int_equal(u16, 0x1234);
    assert_int_equal(u32, 0xdeadbeef);
    assert_true(u64 == 0x0102030405060708ULL);
    uint8_t u8 = 0;
    struct slice bytes;
    assert_false(cursor_u8(&c, &u8));
    assert_false(cursor_bytes(&c, SIZE_MAX, &bytes));
    buffer_drop(&b);
}

static void base64_has_one_spelling_for_each_value(void **state)
{
    (void)state;
    for (size_t len = 0; len < 64; len++) {
        unsigned char bytes[64];
        random_bytes(bytes, sizeof(bytes));
        struct buffer text = BUFFER_EMPTY, back = BUFFER_EMPTY;
        codec_base64(&text, slice_from(bytes, len));
        assert_true(codec_unbase64(&back, buffer_slice(&text)));
        assert_true(slice_equal(buffer_slice(&back), slice_from(bytes, len)));
        buffer_drop(&text);
        buffer_drop(&back);
    }
    static const char *const refused[] = {
        "QQ", "QQ=", "QR==", "QQ==QQ==", "Q===", "====", "QUJ=", "QU-_", "QQ==\n"
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct buffer back = BUFFER_EMPTY;
        assert_false(codec_unbase64(&back, slice_of(refused[i])));
        buffer_drop(&back);
    }
}

static void hex_and_percent_encoding_come_back_to_the_same_bytes(void **state)
{
    (void)state;
    unsigned char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (unsigned char)i;
    struct slice bytes = slice_from(all, sizeof(all));
    struct buffer text = BUFFER_EMPTY, back = BUFFER_EMPTY;
    codec_hex(&text, bytes);
    assert_true(codec_unhex(&back, buffer_slice(&text)));
    assert_true(slice_equal(buffer_slice(&back), bytes));
    buffer_reset(&text);
    buffer_reset(&back);
    codec_percent(&text, bytes, false);
    assert_true(codec_unpercent(&back, buffer_slice(&text), false));
    assert_true(slice_equal(buffer_slice(&back), bytes));
    buffer_reset(&back);
    assert_false(codec_unpercent(&back, SLICE("%4"), false));
    assert_false(codec_unpercent(&back, SLICE("%zz"), false));
    assert_false(codec_unhex(&back, SLICE("abc")));
    buffer_drop(&text);
    buffer_drop(&back);
}

static void times_are_written_as_logs_and_lambda_write_them(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_BYTES];
    clock_iso_ms(1706702400123, text);
    assert_string_equal(text, "2024-01-31T12:00:00.123Z");
    clock_lambda_ms(1706702400007, text);
    assert_string_equal(text, "2024-01-31T12:00:00.007+0000");
}

static void a_uuid_is_of_version_4(void **state)
{
    (void)state;
    char a[UUID_TEXT_BYTES], b[UUID_TEXT_BYTES];
    uuid_make(a);
    uuid_make(b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '4');
    assert_true(strchr("89ab", a[19]) != NULL);
    assert_string_not_equal(a, b);
}

static void a_failed_system_call_says_why_and_a_full_disk_is_its_own_kind(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(error_set_sys(&err, ENOSPC, "Make room.", "could not write \"%s\"", "x"), FAILED);
    assert_int_equal(err.kind, ERROR_DISK_FULL);
    assert_string_equal(err.message, "could not write \"x\": No space left on device");
    assert_int_equal(error_set_sys(&err, EIO, "Look.", "could not read"), FAILED);
    assert_int_equal(err.kind, ERROR_INTERNAL);
}

static void a_file_is_replaced_whole_and_nothing_is_left_beside_it(void **state)
{
    (void)state;
    char path[] = "/tmp/hearth-base-XXXXXX";
    assert_non_null(mkdtemp(path));
    AUTO(fd)
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct error err;
    assert_int_equal(file_replace(dir, "a", SLICE("one"), 0600, &err), OK);
    assert_int_equal(file_replace(dir, "a", SLICE("two"), 0600, &err), OK);
    struct buffer back = BUFFER_EMPTY;
    assert_int_equal(file_read(dir, "a", 100, &back, &err), OK);
    assert_true(slice_is(buffer_slice(&back), "two"));
    struct stat info;
    assert_int_equal(fstatat(dir, "a", &info, 0), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(file_replace(dir, "missing/a", SLICE("x"), 0600, &err), FAILED);
    assert_int_equal(file_read(dir, "a", 2, &back, &err), FAILED);
    assert_int_equal(err.kind, ERROR_TOO_LARGE);
    assert_int_equal(file_read(dir, "none", 2, &back, &err), FAILED);
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    buffer_drop(&back);
    assert_int_equal(unlinkat(dir, "a", 0), 0);
    assert_int_equal(rmdir(path), 0); /* empty: no temporary file remained */
}

static void a_tree_is_removed_without_following_links(void **state)
{
    (void)state;
    char path[] = "/tmp/hearth-base-XXXXXX";
    assert_non_null(mkdtemp(path));
    AUTO(fd)
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct error err;
    assert_int_equal(mkdirat(dir, "tree", 0700), 0);
    assert_int_equal(mkdirat(dir, "kept", 0700), 0);
    assert_int_equal(file_replace(dir, "kept/file", SLICE("x"), 0600, &err), OK);
    assert_int_equal(symlinkat("../kept", dir, "tree/link"), 0);
    assert_int_equal(mkdirat(dir, "tree/deep", 0700), 0);
    assert_int_equal(file_replace(dir, "tree/deep/file", SLICE("x"), 0400, &err), OK);
    assert_int_equal(fchmodat(dir, "tree/deep", 0500, 0), 0);
    assert_int_equal(dir_remove(dir, "tree", &err), OK);
    assert_int_equal(faccessat(dir, "tree", F_OK, 0), -1);
    assert_int_equal(faccessat(dir, "kept/file", F_OK, 0), 0);
    assert_int_equal(dir_remove(dir, "kept", &err), OK);
    assert_int_equal(dir_remove(dir, "kept", &err), OK); /* not there: done */
    assert_int_equal(rmdir(path), 0);
}

static void an_arena_gives_zeroed_aligned_memory_of_any_size(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    for (size_t size = 0; size < 20000; size += 777) {
        unsigned char *at = arena_take(&arena, size);
        assert_int_equal((uintptr_t)at % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(at[i], 0);
        memset(at, 0xff, size);
    }
    arena_drop(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_splits_at_the_first_separator),
        cmocka_unit_test(a_number_is_read_only_when_it_is_one_and_fits),
        cmocka_unit_test(slices_compare_bytewise_and_prefixes_sort_first),
        cmocka_unit_test(a_cursor_gives_nothing_beyond_its_end),
        cmocka_unit_test(base64_has_one_spelling_for_each_value),
        cmocka_unit_test(hex_and_percent_encoding_come_back_to_the_same_bytes),
        cmocka_unit_test(times_are_written_as_logs_and_lambda_write_them),
        cmocka_unit_test(a_uuid_is_of_version_4),
        cmocka_unit_test(a_failed_system_call_says_why_and_a_full_disk_is_its_own_kind),
        cmocka_unit_test(a_file_is_replaced_whole_and_nothing_is_left_beside_it),
        cmocka_unit_test(a_tree_is_removed_without_following_links),
        cmocka_unit_test(an_arena_gives_zeroed_aligned_memory_of_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
