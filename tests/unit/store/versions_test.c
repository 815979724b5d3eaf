/* Versions of functions and what belongs to a function beside them, as rows: what each job checks by itself, whatever memory believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/memory.h"
#include "store/functions.h"
#include "store/settings.h"

struct world {
    uv_loop_t loop;
    char path[64];
    int dir;
    struct store *store;
    enum outcome outcome;
    struct error err; /* of the last answer */
    size_t answers, closed;
};

static int set_up(void **state)
{
    struct world *world = memory_new(sizeof(*world));
    struct error err;
    strcpy(world->path, "/tmp/hearth-store-XXXXXX");
    assert_non_null(mkdtemp(world->path));
    world->dir = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(store_open(&world->loop, world->dir, "hearth.db", &world->store, &err), OK);
    *state = world;
    return 0;
}

static void on_closed(void *arg)
{
    ((struct world *)arg)->closed++;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    struct error err;
    store_close(world->store, on_closed, world);
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(world->closed, 1);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    fd_drop(&world->dir);
    assert_int_equal(dir_remove(AT_FDCWD, world->path, &err), OK);
    free(world);
    return 0;
}

static void on_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct world *world = arg;
    world->answers++;
    world->outcome = outcome;
    world->err = outcome == OK ? (struct error){ 0 } : *err;
}

/* Until it is answered: how it ended. */
static enum error_kind ended(struct world *world)
{
    size_t before = world->answers;
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    assert_true(world->answers > before);
    return world->outcome == OK ? ERROR_NONE : world->err.kind;
}

static struct function_row row_of(const char *name, const char *revision)
{
    return (struct function_row){ .name = slice_of(name),
                                  .version = SLICE("$LATEST"),
                                  .revision_id = slice_of(revision),
                                  .digest = SLICE("d"),
                                  .document = SLICE("{}"),
                                  .environment = SLICE_EMPTY,
                                  .modified_ms = 1 };
}

static void create(struct world *world, const char *name)
{
    struct function_row row = row_of(name, "first");
    store_function_create(world->store, &row, on_done, world);
    assert_int_equal(ended(world), ERROR_NONE);
}

static uint64_t publish(struct world *world, const char *name)
{
    uint64_t number = 0;
    struct function_row row = row_of(name, "a version's");
    store_function_publish(world->store, &row, SLICE_EMPTY, SLICE("after"), &number, on_done, world);
    assert_int_equal(ended(world), ERROR_NONE);
    return number;
}

static enum error_kind delete_version(struct world *world, const char *name, const char *version)
{
    store_version_delete(world->store, slice_of(name), slice_of(version), on_done, world);
    return ended(world);
}

static struct setting_row setting_of(const char *name, const char *kind, const char *qualifier,
                                     const char *revision)
{
    return (struct setting_row){ .name = slice_of(name),
                                 .kind = slice_of(kind),
                                 .qualifier = slice_of(qualifier),
                                 .revision_id = slice_of(revision),
                                 .document = SLICE("{}"),
                                 .created_ms = 100,
                                 .modified_ms = 100 };
}

static enum error_kind put(struct world *world, const struct setting_row *row, enum store_setting_mode mode,
                           const char *expected, bool qualifier_must_exist)
{
    store_setting_put(world->store, row, mode, slice_of(expected), qualifier_must_exist, on_done, world);
    return ended(world);
}

static enum error_kind put_alias(struct world *world, const char *name, const char *alias, uint64_t first,
                                 uint64_t second)
{
    struct setting_row row = setting_of(name, "alias", alias, "r");
    row.versions[0] = first;
    row.versions[1] = second;
    return put(world, &row, STORE_SETTING_PUT, "", false);
}

static enum outcome note_function(const struct function_row *row, void *arg, struct error *err)
{
    (void)err;
    buffer_appendf(arg, "%.*s:%.*s %.*s;", SLICE_PRINT(row->name), SLICE_PRINT(row->version),
                   SLICE_PRINT(row->revision_id));
    return OK;
}

static enum outcome note_setting(const struct setting_row *row, void *arg, struct error *err)
{
    (void)err;
    buffer_appendf(arg, "%.*s:%.*s %.*s %.*s %llu+%llu %lld/%lld;", SLICE_PRINT(row->name),
                   SLICE_PRINT(row->qualifier), SLICE_PRINT(row->kind), SLICE_PRINT(row->revision_id),
                   (unsigned long long)row->versions[0], (unsigned long long)row->versions[1],
                   (long long)row->created_ms, (long long)row->modified_ms);
    return OK;
}

static void assert_functions(struct world *world, const char *wanted)
{
    struct buffer seen = BUFFER_EMPTY;
    struct error err;
    assert_int_equal(store_functions_load(world->store, note_function, &seen, &err), OK);
    assert_string_equal(buffer_text(&seen), wanted);
    buffer_drop(&seen);
}

static void assert_settings(struct world *world, const char *wanted)
{
    struct buffer seen = BUFFER_EMPTY;
    struct error err;
    assert_int_equal(store_settings_load(world->store, note_setting, &seen, &err), OK);
    assert_string_equal(buffer_text(&seen), wanted);
    buffer_drop(&seen);
}

/* ---- versions ---- */

static void versions_are_numbered_from_one_and_latest_gets_a_new_revision(void **state)
{
    struct world *world = *state;
    create(world, "f");
    assert_int_equal(publish(world, "f"), 1);
    assert_int_equal(publish(world, "f"), 2);
    assert_functions(world, "f:$LATEST after;f:1 a version's;f:2 a version's;");
}

static void the_number_of_a_deleted_version_never_returns(void **state)
{
    struct world *world = *state;
    create(world, "f");
    (void)publish(world, "f");
    assert_int_equal(delete_version(world, "f", "1"), ERROR_NONE);
    assert_int_equal(publish(world, "f"), 2);
    assert_int_equal(delete_version(world, "f", "1"), ERROR_NOT_FOUND);
}

static void an_update_of_latest_does_not_set_the_numbers_back(void **state)
{
    struct world *world = *state;
    create(world, "f");
    (void)publish(world, "f");
    struct function_row row = row_of("f", "updated");
    store_function_update(world->store, &row, SLICE("after"), on_done, world);
    assert_int_equal(ended(world), ERROR_NONE);
    assert_int_equal(publish(world, "f"), 2);
}

static void a_function_that_is_deleted_and_made_anew_starts_at_one_without_what_it_had(void **state)
{
    struct world *world = *state;
    create(world, "f");
    create(world, "other");
    (void)publish(world, "f");
    assert_int_equal(put_alias(world, "f", "live", 1, 0), ERROR_NONE);
    assert_int_equal(put_alias(world, "other", "live", 0, 0), ERROR_NONE);
    store_function_delete(world->store, SLICE("f"), on_done, world);
    assert_int_equal(ended(world), ERROR_NONE);
    assert_functions(world, "other:$LATEST first;");
    assert_settings(world, "other:live alias r 0+0 100/100;");
    create(world, "f");
    assert_int_equal(publish(world, "f"), 1);
}

static void a_publication_of_what_has_changed_meanwhile_is_refused(void **state)
{
    struct world *world = *state;
    struct function_row row = row_of("f", "r");
    uint64_t number = 77;
    store_function_publish(world->store, &row, SLICE_EMPTY, SLICE("after"), &number, on_done, world);
    assert_int_equal(ended(world), ERROR_NOT_FOUND);
    create(world, "f");
    store_function_publish(world->store, &row, SLICE("another"), SLICE("after"), &number, on_done, world);
    assert_int_equal(ended(world), ERROR_PRECONDITION);
    assert_int_equal(number, 77);
    assert_functions(world, "f:$LATEST first;");
}

static void a_version_that_an_alias_names_first_or_second_is_not_deleted(void **state)
{
    struct world *world = *state;
    create(world, "f");
    (void)publish(world, "f");
    (void)publish(world, "f");
    assert_int_equal(put_alias(world, "f", "live", 1, 2), ERROR_NONE);
    assert_int_equal(put_alias(world, "f", "beta", 2, 0), ERROR_NONE);
    assert_int_equal(delete_version(world, "f", "1"), ERROR_CONFLICT);
    assert_string_equal(world->err.code, "ResourceConflictException");
    assert_string_equal(world->err.message,
                        "Unable to delete version because the following aliases reference it: [live]");
    assert_int_equal(delete_version(world, "f", "2"), ERROR_CONFLICT);
    assert_string_equal(world->err.message,
                        "Unable to delete version because the following aliases reference it: [beta, live]");
    assert_int_equal(put_alias(world, "f", "live", 2, 0), ERROR_NONE);
    assert_int_equal(delete_version(world, "f", "1"), ERROR_NONE);
}

static void with_a_version_go_its_policy_and_url_and_no_others(void **state)
{
    struct world *world = *state;
    create(world, "f");
    (void)publish(world, "f");
    (void)publish(world, "f");
    struct setting_row row = setting_of("f", "policy", "1", "r");
    assert_int_equal(put(world, &row, STORE_SETTING_PUT, "", true), ERROR_NONE);
    row = setting_of("f", "policy", "2", "r");
    assert_int_equal(put(world, &row, STORE_SETTING_PUT, "", true), ERROR_NONE);
    assert_int_equal(delete_version(world, "f", "1"), ERROR_NONE);
    assert_settings(world, "f:2 policy r 0+0 100/100;");
}

static void latest_is_no_version_that_can_be_deleted(void **state)
{
    struct world *world = *state;
    create(world, "f");
    assert_int_equal(delete_version(world, "f", "$LATEST"), ERROR_INVALID);
    assert_int_equal(delete_version(world, "f", "0"), ERROR_INVALID);
    assert_functions(world, "f:$LATEST first;");
}

/* ---- settings ---- */

static void a_setting_is_created_once_updated_only_when_there_and_put_either_way(void **state)
{
    struct world *world = *state;
    create(world, "f");
    struct setting_row row = setting_of("f", "alias", "live", "r1");
    assert_int_equal(put(world, &row, STORE_SETTING_UPDATE, "", false), ERROR_NOT_FOUND);
    assert_string_equal(world->err.code, "ResourceNotFoundException");
    assert_int_equal(put(world, &row, STORE_SETTING_CREATE, "", false), ERROR_NONE);
    assert_int_equal(put(world, &row, STORE_SETTING_CREATE, "", false), ERROR_EXISTS);
    assert_string_equal(world->err.code, "ResourceConflictException");
    row = setting_of("f", "alias", "live", "r2");
    row.created_ms = row.modified_ms = 200;
    assert_int_equal(put(world, &row, STORE_SETTING_PUT, "", false), ERROR_NONE);
    assert_settings(world, "f:live alias r2 0+0 100/200;"); /* when it was made stays */
}

static void a_setting_of_a_function_version_or_qualifier_that_is_not_there_is_refused(void **state)
{
    struct world *world = *state;
    assert_int_equal(put_alias(world, "f", "live", 0, 0), ERROR_NOT_FOUND);
    create(world, "f");
    (void)publish(world, "f");
    assert_int_equal(put_alias(world, "f", "live", 2, 0), ERROR_NOT_FOUND);
    assert_int_equal(put_alias(world, "f", "live", 1, 2), ERROR_NOT_FOUND);
    struct setting_row row = setting_of("f", "url", "live", "r");
    assert_int_equal(put(world, &row, STORE_SETTING_CREATE, "", true), ERROR_NOT_FOUND);
    assert_int_equal(put_alias(world, "f", "live", 1, 0), ERROR_NONE);
    assert_int_equal(put(world, &row, STORE_SETTING_CREATE, "", true), ERROR_NONE);
    row = setting_of("f", "url", "$LATEST", "r");
    assert_int_equal(put(world, &row, STORE_SETTING_CREATE, "", true), ERROR_NONE);
    row = setting_of("f", "url", "2", "r");
    assert_int_equal(put(world, &row, STORE_SETTING_CREATE, "", true), ERROR_NOT_FOUND);
}

static void a_setting_of_another_revision_is_neither_changed_nor_deleted(void **state)
{
    struct world *world = *state;
    create(world, "f");
    struct setting_row row = setting_of("f", "policy", "$LATEST", "r1");
    assert_int_equal(put(world, &row, STORE_SETTING_PUT, "none", false), ERROR_PRECONDITION);
    assert_int_equal(put(world, &row, STORE_SETTING_PUT, "", false), ERROR_NONE);
    assert_int_equal(put(world, &row, STORE_SETTING_UPDATE, "r0", false), ERROR_PRECONDITION);
    assert_string_equal(world->err.code, "PreconditionFailedException");
    assert_non_null(strstr(world->err.message, "Call the GetPolicy API"));
    store_setting_delete(world->store, SLICE("f"), SLICE("policy"), SLICE("$LATEST"), SLICE("r0"), on_done, world);
    assert_int_equal(ended(world), ERROR_PRECONDITION);
    store_setting_delete(world->store, SLICE("f"), SLICE("policy"), SLICE("$LATEST"), SLICE("r1"), on_done, world);
    assert_int_equal(ended(world), ERROR_NONE);
    store_setting_delete(world->store, SLICE("f"), SLICE("policy"), SLICE("$LATEST"), SLICE_EMPTY, on_done, world);
    assert_int_equal(ended(world), ERROR_NOT_FOUND);
    assert_settings(world, "");
}

static void with_an_alias_go_the_policy_and_url_of_its_name(void **state)
{
    struct world *world = *state;
    create(world, "f");
    assert_int_equal(put_alias(world, "f", "live", 0, 0), ERROR_NONE);
    struct setting_row row = setting_of("f", "url", "live", "r");
    assert_int_equal(put(world, &row, STORE_SETTING_CREATE, "", true), ERROR_NONE);
    row = setting_of("f", "url", "$LATEST", "r");
    assert_int_equal(put(world, &row, STORE_SETTING_CREATE, "", true), ERROR_NONE);
    store_setting_delete(world->store, SLICE("f"), SLICE("alias"), SLICE("live"), SLICE_EMPTY, on_done, world);
    assert_int_equal(ended(world), ERROR_NONE);
    assert_settings(world, "f:$LATEST url r 0+0 100/100;");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(versions_are_numbered_from_one_and_latest_gets_a_new_revision),
        TEST(the_number_of_a_deleted_version_never_returns),
        TEST(an_update_of_latest_does_not_set_the_numbers_back),
        TEST(a_function_that_is_deleted_and_made_anew_starts_at_one_without_what_it_had),
        TEST(a_publication_of_what_has_changed_meanwhile_is_refused),
        TEST(a_version_that_an_alias_names_first_or_second_is_not_deleted),
        TEST(with_a_version_go_its_policy_and_url_and_no_others),
        TEST(latest_is_no_version_that_can_be_deleted),
        TEST(a_setting_is_created_once_updated_only_when_there_and_put_either_way),
        TEST(a_setting_of_a_function_version_or_qualifier_that_is_not_there_is_refused),
        TEST(a_setting_of_another_revision_is_neither_changed_nor_deleted),
        TEST(with_an_alias_go_the_policy_and_url_of_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
