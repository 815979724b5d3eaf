#include "scene.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <zip.h>

#include "cli/bundle.h"

static zip_t *opened(const struct bundle *bundle)
{
    zip_source_t *source = zip_source_buffer_create(bundle->zip.at, bundle->zip.len, 0, NULL);
    zip_t *zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, NULL);
    assert_non_null(zip);
    return zip;
}

static uint32_t mode_of(zip_t *zip, const char *name)
{
    zip_uint8_t system;
    zip_uint32_t attributes;
    zip_int64_t index = zip_name_locate(zip, name, 0);
    assert_true(index >= 0);
    assert_int_equal(zip_file_get_external_attributes(zip, (zip_uint64_t)index, 0, &system, &attributes), 0);
    assert_int_equal(system, ZIP_OPSYS_UNIX);
    return attributes >> 16;
}

static void what_is_in_the_folder_is_in_the_zip_with_its_modes(void **state)
{
    struct scene *scene = *state;
    AUTO(bundle)
    struct bundle bundle = { 0 };
    char text[32] = "";
    scene_put(scene, "index.js", "exports.handler = 1");
    scene_put(scene, "bin/tool", "#!/bin/sh\n");
    assert_int_equal(fchmodat(scene->dir, "bin/tool", 0700, 0), 0);
    assert_int_equal(fchmodat(scene->dir, "index.js", 0600, 0), 0);
    assert_int_equal(mkdirat(scene->dir, "empty", 0700), 0);
    assert_int_equal(symlinkat("tool", scene->dir, "bin/link"), 0);
    assert_int_equal(bundle_make(scene->path, &bundle, NULL), OK);
    zip_t *zip = opened(&bundle);
    assert_int_equal(zip_get_num_entries(zip, 0), 4);
    assert_string_equal(zip_get_name(zip, 0, 0), "bin/link"); /* in order of name */
    assert_int_equal(mode_of(zip, "index.js"), S_IFREG | 0644);
    assert_int_equal(mode_of(zip, "bin/tool"), S_IFREG | 0755);
    assert_int_equal(mode_of(zip, "empty/"), S_IFDIR | 0755);
    assert_int_equal(mode_of(zip, "bin/link"), S_IFLNK | 0777);
    zip_file_t *file = zip_fopen(zip, "bin/link", 0);
    assert_int_equal(zip_fread(file, text, sizeof(text) - 1), 4);
    assert_string_equal(text, "tool");
    assert_int_equal(zip_fclose(file), 0);
    zip_discard(zip);
    assert_int_equal(bundle.files, 4);
}

static void the_same_folder_gives_the_same_bytes(void **state)
{
    struct scene *scene = *state;
    AUTO(bundle)
    struct bundle first = { 0 };
    AUTO(bundle)
    struct bundle second = { 0 };
    AUTO(bundle)
    struct bundle third = { 0 };
    struct timespec later[2] = { { .tv_sec = 2000000000 }, { .tv_sec = 2000000000 } };
    scene_put(scene, "b.js", "2");
    scene_put(scene, "a.js", "1");
    assert_int_equal(bundle_make(scene->path, &first, NULL), OK);
    /* written again in another order, at another time, by someone with another umask */
    assert_int_equal(unlinkat(scene->dir, "a.js", 0), 0);
    scene_put(scene, "a.js", "1");
    assert_int_equal(utimensat(scene->dir, "b.js", later, 0), 0);
    assert_int_equal(fchmodat(scene->dir, "a.js", 0640, 0), 0);
    assert_int_equal(bundle_make(scene->path, &second, NULL), OK);
    assert_true(slice_equal(buffer_slice(&first.zip), buffer_slice(&second.zip)));
    scene_put(scene, "a.js", "3");
    assert_int_equal(bundle_make(scene->path, &third, NULL), OK);
    assert_false(slice_equal(buffer_slice(&first.zip), buffer_slice(&third.zip)));
}

static void what_no_function_needs_is_left_out(void **state)
{
    struct scene *scene = *state;
    AUTO(bundle)
    struct bundle bundle = { 0 };
    scene_put(scene, ".git/config", "x");
    scene_put(scene, "lib/__pycache__/a.pyc", "x");
    scene_put(scene, "node_modules/.cache/a", "x");
    scene_put(scene, ".hearthignore", "*.md\n# a comment\n/secret/\n!KEEP.md\n");
    scene_put(scene, "README.md", "x");
    scene_put(scene, "docs/deep.md", "x");
    scene_put(scene, "KEEP.md", "x");
    scene_put(scene, "secret/key", "x");
    scene_put(scene, "index.js", "x");
    scene_put(scene, "node_modules/a/index.js", "x");
    assert_int_equal(bundle_make(scene->path, &bundle, NULL), OK);
    zip_t *zip = opened(&bundle);
    static const char *const names[] = { "KEEP.md", "docs/", "index.js", "lib/", "node_modules/a/index.js" };
    assert_int_equal(zip_get_num_entries(zip, 0), sizeof(names) / sizeof(names[0]));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_string_equal(zip_get_name(zip, i, 0), names[i]);
    zip_discard(zip);
}

static void patterns_read_as_in_gitignore(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool is_dir, ignored;
    } cases[] = {
        { "*.log", "a.log", false, true },
        { "*.log", "deep/er/a.log", false, true },
        { "/a.log", "a.log", false, true },
        { "/a.log", "deep/a.log", false, false },
        { "build/", "build", true, true },
        { "build/", "build", false, false },
        { "build/", "x/build", true, true },
        { "docs/*.md", "docs/a.md", false, true },
        { "docs/*.md", "x/docs/a.md", false, false },
        { "docs/*", "docs/a/b", false, false },
        { "**/tmp", "a/b/tmp", true, true },
        { "**/a/*.x", "q/a/1.x", false, true },
        { "a?c", "abc", false, true },
        { "[ab].js", "b.js", false, true },
        { "", "a", false, false },
        { "/", "a", true, false },
        { "*.log\n!a.log", "a.log", false, false },
        { "*.log\r\n", "a.log", false, true },
        { "# a", "# a", false, false },
        { "a  ", "a", false, true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (bundle_ignores(slice_of(cases[i].pattern), cases[i].path, cases[i].is_dir) != cases[i].ignored)
            fail_msg("\"%s\" on \"%s\"", cases[i].pattern, cases[i].path);
    }
}

static void expect_refusal(struct scene *scene, enum error_kind kind, const char *message)
{
    struct bundle bundle = { 0 };
    struct error err = { 0 };
    assert_int_equal(bundle_make(scene->path, &bundle, &err), FAILED);
    assert_int_equal(err.kind, kind);
    if (strstr(err.message, message) == NULL)
        fail_msg("%s", err.message);
    assert_true(err.hint[0] != '\0');
}

static void a_link_out_of_the_folder_is_refused(void **state)
{
    struct scene *scene = *state;
    scene_put(scene, "a/index.js", "x");
    assert_int_equal(symlinkat("../../etc/passwd", scene->dir, "a/link"), 0);
    expect_refusal(scene, ERROR_INVALID, "leads out of the folder");
    assert_int_equal(unlinkat(scene->dir, "a/link", 0), 0);
    assert_int_equal(symlinkat("/etc/passwd", scene->dir, "a/link"), 0);
    expect_refusal(scene, ERROR_INVALID, "leads out of the folder");
}

static void what_is_no_file_is_refused_by_name(void **state)
{
    struct scene *scene = *state;
    scene_put(scene, "index.js", "x");
    assert_int_equal(mkfifoat(scene->dir, "pipe", 0600), 0);
    expect_refusal(scene, ERROR_INVALID, "\"pipe\"");
}

static void an_empty_folder_is_refused(void **state)
{
    expect_refusal(*state, ERROR_INVALID, "nothing to deploy");
}

static void what_is_too_large_unpacked_is_refused_before_it_is_packed(void **state)
{
    struct scene *scene = *state;
    scene_put(scene, "big", "");
    int fd = openat(scene->dir, "big", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, 300L * 1024 * 1024), 0); /* sparse: costs nothing */
    (void)close(fd);
    expect_refusal(scene, ERROR_TOO_LARGE, "more than 250 MB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(what_is_in_the_folder_is_in_the_zip_with_its_modes),
        SCENE_TEST(the_same_folder_gives_the_same_bytes),
        SCENE_TEST(what_no_function_needs_is_left_out),
        cmocka_unit_test(patterns_read_as_in_gitignore),
        SCENE_TEST(a_link_out_of_the_folder_is_refused),
        SCENE_TEST(what_is_no_file_is_refused_by_name),
        SCENE_TEST(an_empty_folder_is_refused),
        SCENE_TEST(what_is_too_large_unpacked_is_refused_before_it_is_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
