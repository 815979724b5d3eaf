#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "auth/seal.h"
#include "base/memory.h"
#include "base/fd.h"

struct place {
    char path[64];
    int dir;
};

static int make(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    (void)snprintf(place->path, sizeof(place->path), "/tmp/hearth-seal-XXXXXX");
    if (mkdtemp(place->path) == NULL)
        return -1;
    place->dir = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = place;
    return place->dir < 0 ? -1 : 0;
}

static int drop(void **state)
{
    struct place *place = *state;
    (void)close(place->dir);
    if (dir_remove(AT_FDCWD, place->path, NULL) != OK)
        return -1;
    free(place);
    return 0;
}

static struct seal *opened(const struct place *place)
{
    struct seal *seal = NULL;
    struct error err = { 0 };
    if (seal_open(place->dir, true, &seal, &err) != OK)
        fail_msg("%s", err.message);
    return seal;
}

static void what_was_sealed_opens_also_after_a_restart(void **state)
{
    static const char *const plains[] = { "", "s", "a secret\n", "0123456789012345678901234567890123456789" };
    for (size_t i = 0; i < 4; i++) {
        AUTO(buffer)
        struct buffer sealed = BUFFER_EMPTY, plain = BUFFER_EMPTY;
        struct seal *seal = opened(*state);
        assert_int_equal(seal_close(seal, SLICE("arn:1"), slice_of(plains[i]), &sealed, NULL), OK);
        seal_free(seal);
        if (strlen(plains[i]) > 4)
            assert_null(memmem(sealed.at, sealed.len, plains[i], strlen(plains[i])));
        seal = opened(*state);
        buffer_append_text(&plain, "before:");
        assert_int_equal(seal_unseal(seal, SLICE("arn:1"), buffer_slice(&sealed), &plain, NULL), OK);
        assert_true(slice_is(slice_sub(buffer_slice(&plain), 7, 100), plains[i]));
        seal_free(seal);
    }
}

static void the_same_secret_is_sealed_differently_each_time(void **state)
{
    struct seal *seal = opened(*state);
    AUTO(buffer)
    struct buffer a = BUFFER_EMPTY, b = BUFFER_EMPTY;
    assert_int_equal(seal_close(seal, SLICE("x"), SLICE("secret"), &a, NULL), OK);
    assert_int_equal(seal_close(seal, SLICE("x"), SLICE("secret"), &b, NULL), OK);
    assert_int_equal(a.len, b.len);
    for (size_t i = 7; i + 8 <= a.len; i++) /* no eight bytes alike behind the head */
        assert_memory_not_equal(a.at + i, b.at + i, 8);
    seal_free(seal);
}

static void in_another_place_it_does_not_open(void **state)
{
    struct seal *seal = opened(*state);
    AUTO(buffer)
    struct buffer sealed = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    assert_int_equal(seal_close(seal, SLICE("arn:1"), SLICE("secret"), &sealed, NULL), OK);
    struct error err = { 0 };
    assert_int_equal(seal_unseal(seal, SLICE("arn:2"), buffer_slice(&sealed), &plain, &err), FAILED);
    assert_int_equal(err.kind, ERROR_INVALID);
    assert_int_equal(seal_unseal(seal, SLICE_EMPTY, buffer_slice(&sealed), &plain, &err), FAILED);
    assert_int_equal(plain.len, 0);
    seal_free(seal);
}

static void with_any_bit_changed_or_byte_missing_it_does_not_open(void **state)
{
    struct seal *seal = opened(*state);
    AUTO(buffer)
    struct buffer sealed = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    assert_int_equal(seal_close(seal, SLICE("arn:1"), SLICE("secret"), &sealed, NULL), OK);
    for (size_t i = 0; i < sealed.len * 8; i++) {
        sealed.at[i / 8] = (char)(sealed.at[i / 8] ^ (1 << i % 8));
        assert_int_equal(seal_unseal(seal, SLICE("arn:1"), buffer_slice(&sealed), &plain, NULL), FAILED);
        sealed.at[i / 8] = (char)(sealed.at[i / 8] ^ (1 << i % 8));
    }
    for (size_t len = 0; len < sealed.len; len++)
        assert_int_equal(seal_unseal(seal, SLICE("arn:1"), slice_from(sealed.at, len), &plain, NULL), FAILED);
    buffer_append_byte(&sealed, 'x');
    assert_int_equal(seal_unseal(seal, SLICE("arn:1"), buffer_slice(&sealed), &plain, NULL), FAILED);
    assert_int_equal(plain.len, 0);
    seal_free(seal);
}

static void under_another_master_key_the_error_says_so(void **state)
{
    struct place *place = *state;
    AUTO(buffer)
    struct buffer sealed = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    struct seal *seal = opened(place);
    assert_int_equal(seal_close(seal, SLICE("x"), SLICE("secret"), &sealed, NULL), OK);
    seal_free(seal);
    assert_int_equal(unlinkat(place->dir, "master.key", 0), 0);
    seal = opened(place);
    struct error err = { 0 };
    assert_int_equal(seal_unseal(seal, SLICE("x"), buffer_slice(&sealed), &plain, &err), FAILED);
    assert_non_null(strstr(err.message, "another master key"));
    seal_free(seal);
}

static void the_key_file_is_made_once_for_its_owner_alone(void **state)
{
    struct place *place = *state;
    mode_t mask = umask(0);
    seal_free(opened(place));
    (void)umask(mask);
    struct stat first, second;
    assert_int_equal(fstatat(place->dir, "master.key", &first, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(first.st_mode & 07777, 0600);
    seal_free(opened(place));
    assert_int_equal(fstatat(place->dir, "master.key", &second, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(first.st_ino, second.st_ino);
    assert_int_equal(faccessat(place->dir, "master.key.new", F_OK, 0), -1);
}

static void without_create_a_missing_key_is_an_error(void **state)
{
    struct place *place = *state;
    struct seal *seal = NULL;
    struct error err = { 0 };
    assert_int_equal(seal_open(place->dir, false, &seal, &err), FAILED);
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    assert_null(seal);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    struct place *place = *state;
    seal_free(opened(place));
    static const mode_t modes[] = { 0640, 0604, 0620, 0644, 0666 };
    for (size_t i = 0; i < 5; i++) {
        struct seal *seal = NULL;
        struct error err = { 0 };
        assert_int_equal(fchmodat(place->dir, "master.key", modes[i], 0), 0);
        assert_int_equal(seal_open(place->dir, true, &seal, &err), FAILED);
        assert_int_equal(err.kind, ERROR_INVALID);
    }
}

static void a_link_or_a_fifo_or_nonsense_is_no_key(void **state)
{
    struct place *place = *state;
    struct seal *seal = NULL;
    struct error err = { 0 };
    assert_int_equal(symlinkat("/etc/hostname", place->dir, "master.key"), 0);
    assert_int_equal(seal_open(place->dir, true, &seal, &err), FAILED);
    assert_int_equal(unlinkat(place->dir, "master.key", 0), 0);
    assert_int_equal(mkfifoat(place->dir, "master.key", 0600), 0);
    assert_int_equal(seal_open(place->dir, true, &seal, &err), FAILED);
    assert_int_equal(unlinkat(place->dir, "master.key", 0), 0);
    static const char *const texts[] = { "", "abc\n",
                                         "zz23456789012345678901234567890123456789012345678901234567890123\n",
                                         "00000000000000000000000000000000000000000000000000000000000000000000\n" };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(file_replace(place->dir, "master.key", slice_of(texts[i]), 0600, &err), OK);
        assert_int_equal(seal_open(place->dir, true, &seal, &err), FAILED);
        assert_int_equal(err.kind, ERROR_INVALID);
    }
}

static void what_a_crash_left_over_is_replaced(void **state)
{
    struct place *place = *state;
    assert_int_equal(file_replace(place->dir, "master.key.new", SLICE("half"), 0600, NULL), OK);
    seal_free(opened(place));
    assert_int_equal(faccessat(place->dir, "master.key.new", F_OK, 0), -1);
}

static void too_much_is_refused(void **state)
{
    struct seal *seal = opened(*state);
    AUTO(buffer)
    struct buffer out = BUFFER_EMPTY;
    struct error err = { 0 };
    assert_int_equal(seal_close(seal, SLICE("x"), slice_from("x", (size_t)SEAL_PLAIN_BYTES_MAX + 1), &out, &err),
                     FAILED);
    assert_int_equal(err.kind, ERROR_TOO_LARGE);
    seal_free(seal);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make, drop)
int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(what_was_sealed_opens_also_after_a_restart),
        IN_PLACE(the_same_secret_is_sealed_differently_each_time),
        IN_PLACE(in_another_place_it_does_not_open),
        IN_PLACE(with_any_bit_changed_or_byte_missing_it_does_not_open),
        IN_PLACE(under_another_master_key_the_error_says_so),
        IN_PLACE(the_key_file_is_made_once_for_its_owner_alone),
        IN_PLACE(without_create_a_missing_key_is_an_error),
        IN_PLACE(a_key_that_others_can_read_is_refused),
        IN_PLACE(a_link_or_a_fifo_or_nonsense_is_no_key),
        IN_PLACE(what_a_crash_left_over_is_replaced),
        IN_PLACE(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
