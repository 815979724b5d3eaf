/* Layers over a real store and real packages: numbers, lists, policies one after the other, references, restarts. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/memory.h"
#include "engine/layer.h"
#include "package_world.h"

struct scene {
    struct world *world;
    struct store *db;
    struct layers *layers;
    size_t answers, failures;
    uint64_t version; /* of the last answer */
    char revision[37];
    struct error err;
};

static void scene_open(struct scene *scene)
{
    struct error err = { 0 };
    struct layers_config config = { "000000000000", "us-east-1", NULL, scene->world->store };
    if (store_open(&scene->world->loop, scene->world->dir, "hearth.db", &scene->db, &err) != OK)
        fail_msg("%s", err.message);
    config.store = scene->db;
    assert_int_equal(layers_open(&scene->world->loop, &config, &scene->layers, &err), OK);
    package_sweep(scene->world->store);
}

static void on_closed(void *arg)
{
    (void)arg;
}

static void scene_close(struct scene *scene)
{
    layers_free(scene->layers);
    scene->layers = NULL;
    store_close(scene->db, on_closed, NULL);
    world_close(scene->world);
}

static void scene_restart(struct scene *scene)
{
    scene_close(scene);
    world_open(scene->world);
    scene_open(scene);
}

static int scene_set_up(void **state)
{
    struct scene *scene = memory_new(sizeof(*scene));
    void *world = NULL;
    assert_int_equal(set_up(&world), 0);
    scene->world = world;
    scene_open(scene);
    *state = scene;
    return 0;
}

static int scene_tear_down(void **state)
{
    struct scene *scene = *state;
    void *world = scene->world;
    if (scene->layers != NULL)
        scene_close(scene);
    free(scene);
    return tear_down(&world);
}
#define SCENE(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

static void on_saved(enum outcome outcome, const struct layer_version *version, const struct error *err, void *arg)
{
    struct scene *scene = arg;
    scene->answers++;
    if (outcome != OK) {
        scene->failures++;
        scene->err = *err;
    } else if (version != NULL) {
        scene->version = version->version;
        (void)snprintf(scene->revision, sizeof(scene->revision), "%s", version->policy_revision);
    }
}

static void begin_publish(struct scene *scene, const char *name, const char *runtime, struct buffer zip)
{
    struct layer_version *draft = layer_version_new(slice_of(name));
    draft->description = memory_text("what it is");
    if (runtime != NULL) {
        draft->runtimes[draft->runtime_count++] = memory_text(runtime);
        draft->runtimes_given = true;
    }
    layer_publish(scene->layers, &draft, &zip, on_saved, scene);
    assert_null(draft);
}

static void publish(struct scene *scene, const char *name, const char *runtime)
{
    begin_publish(scene, name, runtime, ZIP(FILE_NAMED("lib/a")));
    world_run(scene->world);
}

static void put_policy(struct scene *scene, const char *policy, const char *expected)
{
    layer_put_policy(scene->layers, SLICE("a"), 1, slice_of(policy), slice_of(expected), on_saved, scene);
}

static size_t list(struct scene *scene, const char *after, const char *runtime, size_t max, const char *names)
{
    const struct layer_version *found[8];
    bool more = false;
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    size_t count = layer_list(scene->layers, slice_of(after), slice_of(runtime), SLICE_EMPTY, max, found, &more);
    for (size_t i = 0; i < count; i++)
        buffer_appendf(&text, "%s:%llu ", found[i]->name, (unsigned long long)found[i]->version);
    if (more)
        buffer_append_text(&text, "more");
    assert_string_equal(buffer_text(&text), names);
    return count;
}

static void a_number_never_comes_back_even_after_a_restart(void **state)
{
    struct scene *scene = *state;
    publish(scene, "a", NULL);
    publish(scene, "a", NULL);
    assert_int_equal(scene->version, 2);
    layer_delete(scene->layers, SLICE("a"), 2, on_saved, scene);
    layer_delete(scene->layers, SLICE("a"), 1, on_saved, scene);
    layer_delete(scene->layers, SLICE("a"), 1, on_saved, scene); /* again: no error */
    world_run(scene->world);
    assert_null(layer_find(scene->layers, SLICE("a"), 1));
    scene_restart(scene);
    publish(scene, "a", NULL);
    assert_int_equal(scene->version, 3);
    assert_int_equal(scene->failures, 0);
}

static void lists_give_the_newest_that_fits(void **state)
{
    struct scene *scene = *state;
    publish(scene, "b", "python3.12");
    publish(scene, "b", "nodejs20.x");
    publish(scene, "a", NULL);
    publish(scene, "c", "python3.12");
    list(scene, "", "", 8, "a:1 b:2 c:1 ");
    list(scene, "a", "", 8, "b:2 c:1 ");
    list(scene, "", "", 2, "a:1 b:2 more");
    list(scene, "", "python3.12", 8, "b:1 c:1 ");
    list(scene, "", "python3.12", 1, "b:1 more");
    list(scene, "c", "", 8, "");
}

static void an_arn_of_this_server_finds_its_version(void **state)
{
    struct scene *scene = *state;
    publish(scene, "a", NULL);
    assert_non_null(layer_find_arn(scene->layers, SLICE("arn:aws:lambda:us-east-1:000000000000:layer:a:1")));
    static const char *const others[] = { "arn:aws:lambda:us-east-1:000000000000:layer:a",
                                          "arn:aws:lambda:us-east-1:000000000000:layer:a:01",
                                          "arn:aws:lambda:us-east-1:000000000000:layer:a:2",
                                          "arn:aws:lambda:eu-west-1:000000000000:layer:a:1",
                                          "arn:aws:lambda:us-east-1:000000000001:layer:a:1",
                                          "a:1",
                                          "" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_null(layer_find_arn(scene->layers, slice_of(others[i])));
}

static void what_was_published_is_there_after_a_restart(void **state)
{
    struct scene *scene = *state;
    publish(scene, "a", "python3.12");
    put_policy(scene, "{\"Statement\":[]}", "");
    world_run(scene->world);
    scene_restart(scene);
    const struct layer_version *v = layer_find(scene->layers, SLICE("a"), 1);
    assert_non_null(v);
    assert_string_equal(v->description, "what it is");
    assert_string_equal(v->runtimes[0], "python3.12");
    assert_false(v->architectures_given);
    assert_string_equal(v->arn, "arn:aws:lambda:us-east-1:000000000000:layer:a:1");
    assert_string_equal(v->policy, "{\"Statement\":[]}");
    assert_string_equal(v->policy_revision, scene->revision);
    assert_true(package_exists(scene->world->store, v->digest));
    assert_int_equal(layers_code_bytes(scene->layers), v->code_bytes);
}

static void policies_are_changed_one_after_the_other_by_who_has_read_them(void **state)
{
    struct scene *scene = *state;
    publish(scene, "a", NULL);
    put_policy(scene, "{\"n\":1}", "");
    put_policy(scene, "{\"n\":2}", ""); /* has read what the first has changed since */
    world_run(scene->world);
    assert_int_equal(scene->failures, 1);
    assert_int_equal(scene->err.kind, ERROR_PRECONDITION);
    assert_string_equal(layer_find(scene->layers, SLICE("a"), 1)->policy, "{\"n\":1}");
    put_policy(scene, "", scene->revision);
    world_run(scene->world);
    assert_null(layer_find(scene->layers, SLICE("a"), 1)->policy);
    layer_put_policy(scene->layers, SLICE("none"), 1, SLICE("{}"), SLICE_EMPTY, on_saved, scene);
    world_run(scene->world);
    assert_int_equal(scene->err.kind, ERROR_NOT_FOUND);
}

static void the_package_goes_with_its_last_user(void **state)
{
    struct scene *scene = *state;
    publish(scene, "a", NULL);
    publish(scene, "b", NULL); /* the same zip */
    assert_int_equal(count_left(scene->world), 1);
    char digest[65];
    (void)snprintf(digest, sizeof(digest), "%s", layer_find(scene->layers, SLICE("a"), 1)->digest);
    package_hold(scene->world->store, digest); /* a function */
    layer_delete(scene->layers, SLICE("a"), 1, on_saved, scene);
    layer_delete(scene->layers, SLICE("b"), 1, on_saved, scene);
    world_run(scene->world);
    assert_int_equal(layers_code_bytes(scene->layers), 0);
    assert_int_equal(count_left(scene->world), 1);
    package_release(scene->world->store, digest);
    world_run(scene->world);
    assert_int_equal(count_left(scene->world), 0);
}

static void a_broken_zip_gives_no_version_and_no_number(void **state)
{
    struct scene *scene = *state;
    struct buffer zip = BUFFER_EMPTY;
    buffer_append_text(&zip, "no zip");
    begin_publish(scene, "a", NULL, zip);
    world_run(scene->world);
    assert_int_equal(scene->failures, 1);
    assert_string_equal(scene->err.code, "InvalidParameterValueException");
    assert_int_equal(count_left(scene->world), 0);
    publish(scene, "a", NULL);
    assert_int_equal(scene->version, 1);
}

static void files_below_extensions_are_noticed(void **state)
{
    struct scene *scene = *state;
    begin_publish(scene, "with", NULL, ZIP(FILE_NAMED("extensions/agent")));
    begin_publish(scene, "deeper", NULL, ZIP(FILE_NAMED("extensions/lib/data")));
    begin_publish(scene, "without", NULL, ZIP(FILE_NAMED("lib/extensions/agent")));
    world_run(scene->world);
    assert_true(layer_find(scene->layers, SLICE("with"), 1)->extensions);
    assert_false(layer_find(scene->layers, SLICE("deeper"), 1)->extensions);
    assert_false(layer_find(scene->layers, SLICE("without"), 1)->extensions);
    scene_restart(scene);
    begin_publish(scene, "again", NULL, ZIP(FILE_NAMED("extensions/agent"))); /* found on disk, not unpacked */
    world_run(scene->world);
    assert_true(layer_find(scene->layers, SLICE("again"), 1)->extensions);
}

static void what_is_under_way_when_it_is_closed_still_answers(void **state)
{
    struct scene *scene = *state;
    publish(scene, "a", NULL);
    begin_publish(scene, "b", NULL, ZIP(FILE_NAMED("b")));
    put_policy(scene, "{}", "");
    put_policy(scene, "{\"n\":2}", "");
    assert_int_equal(layers_changes(scene->layers), 3);
    scene_close(scene);
    assert_int_equal(scene->answers, 4);
    assert_int_equal(scene->failures,
                     3); /* whatever became of them: who hears of a success would go on with what is gone */
    assert_int_equal(scene->err.kind, ERROR_UNKNOWN);
    world_open(scene->world);
    scene_open(scene);
    assert_non_null(layer_find(scene->layers, SLICE("a"), 1));
}

static void code_and_layers_must_fit_together(void **state)
{
    struct function_layer layers[2] = { { .tree_bytes = 200 << 20 }, { .tree_bytes = 40 << 20 } };
    struct function f = { .tree_bytes = 10 << 20, .layers = layers, .layer_count = 2 };
    struct error err = { 0 };
    (void)state;
    assert_int_equal(layer_sizes_check(&f, &err), OK);
    f.tree_bytes++;
    assert_int_equal(layer_sizes_check(&f, &err), FAILED);
    assert_string_equal(err.message,
                        "Function code combined with layers exceeds the maximum allowed size of 262144000 "
                        "bytes. The actual size is 262144001 bytes.");
    f.layer_count = 0; /* then the package's own limit counts */
    assert_int_equal(layer_sizes_check(&f, &err), OK);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "unpack-package"))
        return package_unpack_main();
    const struct CMUnitTest tests[] = {
        SCENE(a_number_never_comes_back_even_after_a_restart),
        SCENE(lists_give_the_newest_that_fits),
        SCENE(an_arn_of_this_server_finds_its_version),
        SCENE(what_was_published_is_there_after_a_restart),
        SCENE(policies_are_changed_one_after_the_other_by_who_has_read_them),
        SCENE(the_package_goes_with_its_last_user),
        SCENE(a_broken_zip_gives_no_version_and_no_number),
        SCENE(files_below_extensions_are_noticed),
        SCENE(what_is_under_way_when_it_is_closed_still_answers),
        cmocka_unit_test(code_and_layers_must_fit_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
