/* Published versions, aliases and what else belongs to a function, and reserved concurrency, in the engine between the fakes of world.h. */
#include "world.h"

/* ---- what the tests do ---- */

struct change { /* how a publication or another change ended */
    size_t answers;
    enum outcome outcome;
    struct error err;
    uint64_t number;
    char revision[37];
    struct function *function; /* held */
};

static void on_change(enum outcome outcome, struct function *function, const struct error *err, void *arg)
{
    struct change *change = arg;
    change->answers++;
    change->outcome = outcome;
    change->err = outcome == OK ? (struct error){ 0 } : *err;
    if (function != NULL)
        change->number = function->version_number;
}

static void begin_publish(struct world *world, const char *name, const char *description, struct change *change)
{
    *change = (struct change){ 0 };
    engine_publish(world->engine, slice_of(name), description, SLICE_EMPTY, SLICE_EMPTY, on_change, change);
    assert_int_equal(change->answers, 0); /* never from inside */
}

static struct change publish_with(struct world *world, const char *name, const char *description)
{
    struct change change;
    begin_publish(world, name, description, &change);
    world_run_until(world, change.answers > 0);
    assert_int_equal(change.answers, 1);
    return change;
}

static struct function *publish(struct world *world, const char *name)
{
    struct change change = publish_with(world, name, NULL);
    assert_int_equal(change.outcome, OK);
    return engine_find_version(world->engine, slice_of(name), change.number);
}

static struct change delete_version(struct world *world, const char *name, uint64_t number)
{
    struct change change = { 0 };
    engine_delete_version(world->engine, slice_of(name), number, on_change, &change);
    assert_int_equal(change.answers, 0);
    world_run_until(world, change.answers > 0);
    return change;
}

struct set { /* how a change of a setting ended */
    size_t answers;
    enum outcome outcome;
    struct error err;
    bool there; /* `done` got it */
};

static void on_set(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    struct set *set = arg;
    set->answers++;
    set->outcome = outcome;
    set->err = outcome == OK ? (struct error){ 0 } : *err;
    set->there = setting != NULL;
}

static void begin_put(struct world *world, const struct setting_change *change, struct set *set)
{
    *set = (struct set){ 0 };
    engine_setting_put(world->engine, change, on_set, set);
    assert_int_equal(set->answers, 0);
}

static struct set put(struct world *world, const struct setting_change *change)
{
    struct set set;
    begin_put(world, change, &set);
    world_run_until(world, set.answers > 0);
    assert_true(set.there == (set.outcome == OK));
    return set;
}

static struct set put_document(struct world *world, const char *name, enum setting_kind kind, const char *qualifier,
                               enum setting_mode mode, const char *document)
{
    struct setting_change change = { .name = slice_of(name),
                                     .qualifier = slice_of(qualifier),
                                     .kind = kind,
                                     .mode = mode,
                                     .document = slice_of(document),
                                     .qualifier_must_exist = kind != SETTING_ALIAS };
    return put(world, &change);
}

static struct set put_alias(struct world *world, const char *name, const char *alias, uint64_t version,
                            uint64_t other, double weight)
{
    struct alias document = { .version = version, .other_version = other, .other_weight = weight };
    struct buffer text = BUFFER_EMPTY;
    alias_write(&document, &text);
    struct set set = put_document(world, name, SETTING_ALIAS, alias, SETTING_PUT, buffer_text(&text));
    buffer_drop(&text);
    return set;
}

static struct set put_url(struct world *world, const char *name, const char *qualifier, struct function_url *url)
{
    struct buffer text = BUFFER_EMPTY;
    function_url_write(url, &text);
    struct set set = put_document(world, name, SETTING_URL, qualifier, SETTING_PUT, buffer_text(&text));
    buffer_drop(&text);
    return set;
}

static struct set delete_setting(struct world *world, const char *name, enum setting_kind kind,
                                 const char *qualifier)
{
    struct set set = { 0 };
    engine_setting_delete(world->engine, slice_of(name), kind, slice_of(qualifier), SLICE_EMPTY, on_set, &set);
    assert_int_equal(set.answers, 0);
    world_run_until(world, set.answers > 0);
    assert_false(set.there);
    return set;
}

static void begin_reserve(struct world *world, const char *name, uint32_t reserved, struct set *set)
{
    *set = (struct set){ 0 };
    engine_reserve(world->engine, slice_of(name), reserved, on_set, set);
    assert_int_equal(set->answers, 0);
}

static struct set reserve(struct world *world, const char *name, uint32_t reserved)
{
    struct set set;
    begin_reserve(world, name, reserved, &set);
    world_run_until(world, set.answers > 0);
    return set;
}

static struct call *invoke_qualified(struct world *world, const char *name, const char *qualifier)
{
    struct buffer bytes = BUFFER_EMPTY;
    buffer_append_text(&bytes, "{}");
    struct invocation_input input = { .function = engine_route(world->engine, slice_of(name), slice_of(qualifier)),
                                      .qualifier = slice_of(qualifier),
                                      .request_id = SLICE("6f1cbb58-5f5a-4b54-8f36-2d1c4b3d8b5e"),
                                      .payload = &bytes };
    assert_non_null(input.function);
    return world_invoke_with(world, &input);
}

static const struct setting *alias_of(struct world *world, const char *name, const char *alias)
{
    return engine_setting(world->engine, slice_of(name), SETTING_ALIAS, slice_of(alias));
}

/* ---- versions ---- */

static void a_version_is_a_frozen_copy_of_latest_with_its_own_number_and_revision(void **state)
{
    struct world *world = *state;
    struct function *latest = world_function(world, "hello");
    char revision[37];
    memcpy(revision, latest->revision_id, sizeof(revision));
    struct function *version = publish(world, "hello");
    latest = engine_find(world->engine, SLICE("hello"));
    assert_string_equal(version->version, "1");
    assert_string_equal(version->digest, latest->digest);
    assert_string_not_equal(version->revision_id, latest->revision_id);
    assert_string_not_equal(latest->revision_id, revision); /* as on AWS: $LATEST gets a new one by it */
    assert_int_equal(engine_function_count(world->engine), 1);
    assert_int_equal(engine_code_bytes(world->engine), 2000);
    struct saved saved = world_update_code(world, "hello");
    assert_int_equal(saved.outcome, OK);
    assert_string_not_equal(version->digest, engine_find(world->engine, SLICE("hello"))->digest);
    assert_ptr_equal(engine_find_version(world->engine, SLICE("hello"), 1), version);
}

static void publishing_what_has_not_changed_answers_the_version_that_is_there(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    assert_int_equal(publish_with(world, "hello", "described").number, 1);
    struct change again = publish_with(world, "hello", "described otherwise");
    assert_int_equal(again.outcome, OK);
    assert_int_equal(again.number, 1);
    assert_string_equal(engine_find_version(world->engine, SLICE("hello"), 1)->description, "described");
    assert_string_equal(engine_find(world->engine, SLICE("hello"))->description, "");
    (void)world_update_code(world, "hello");
    assert_int_equal(publish_with(world, "hello", NULL).number, 2);
    assert_int_equal(delete_version(world, "hello", 2).outcome, OK);
    assert_int_equal(publish_with(world, "hello", NULL).number,
                     3); /* the newest that is still there is of other code */
}

static void publishing_checks_the_revision_and_the_code_that_the_caller_means(void **state)
{
    struct world *world = *state;
    struct change change = { 0 };
    assert_int_equal(publish_with(world, "none", NULL).err.kind, ERROR_NOT_FOUND);
    (void)world_function(world, "hello");
    engine_publish(world->engine, SLICE("hello"), NULL, SLICE("other"), SLICE_EMPTY, on_change, &change);
    world_run_until(world, change.answers > 0);
    assert_string_equal(change.err.code, "InvalidParameterValueException");
    assert_non_null(
        strstr(change.err.message, "CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ("));
    change = (struct change){ 0 };
    engine_publish(world->engine, SLICE("hello"), NULL, SLICE_EMPTY, SLICE("other"), on_change, &change);
    world_run_until(world, change.answers > 0);
    assert_int_equal(change.err.kind, ERROR_PRECONDITION);
    assert_int_equal(publish_with(world, "hello", NULL).outcome, OK); /* nothing was left marked as changing */
}

static void a_publication_and_another_change_of_one_function_exclude_each_other(void **state)
{
    struct world *world = *state;
    struct change first, second;
    (void)world_function(world, "hello");
    world->rows_wait = true;
    begin_publish(world, "hello", NULL, &first);
    begin_publish(world, "hello", NULL, &second);
    world_run_until(world, second.answers > 0);
    assert_int_equal(second.err.kind, ERROR_CONFLICT);
    assert_string_equal(second.err.code, "ResourceConflictException");
    world_settle(world);
    world_rows_answer(world);
    world_run_until(world, first.answers > 0);
    assert_int_equal(first.outcome, OK);
}

static void a_publication_that_the_store_refuses_leaves_all_as_it_was(void **state)
{
    struct world *world = *state;
    struct function *latest = world_function(world, "hello");
    world->row_error = ERROR_DISK_FULL;
    assert_int_equal(publish_with(world, "hello", NULL).err.kind, ERROR_DISK_FULL);
    assert_ptr_equal(engine_find(world->engine, SLICE("hello")), latest);
    assert_null(engine_find_version(world->engine, SLICE("hello"), 1));
    assert_int_equal(world_package_references(world, latest->digest), 1);
}

static void publishing_takes_no_instance_from_latest(void **state)
{
    struct world *world = *state;
    struct sandbox *sandbox = world_warm(world, world_function(world, "hello"));
    (void)publish(world, "hello");
    world_settle(world);
    assert_int_equal(sandbox->kills, 0);
    struct call *call = world_invoke(world, engine_find(world->engine, SLICE("hello")), "{}");
    world_takes(world, sandbox);
    world_answers(sandbox, "1");
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "1");
}

static void new_tags_take_no_instance_and_no_revision(void **state)
{
    struct world *world = *state;
    struct function *latest = world_function(world, "hello");
    struct sandbox *sandbox = world_warm(world, latest);
    char revision[37];
    memcpy(revision, latest->revision_id, sizeof(revision));
    struct variable *tags = memory_new_array(2, sizeof(*tags));
    tags[0] = (struct variable){ memory_text("b"), memory_text("2") };
    tags[1] = (struct variable){ memory_text("a"), memory_text("1") };
    struct change change = { 0 };
    engine_put_tags(world->engine, SLICE("hello"), tags, 2, on_change, &change);
    world_run_until(world, change.answers > 0);
    assert_int_equal(change.outcome, OK);
    latest = engine_find(world->engine, SLICE("hello"));
    assert_int_equal(latest->tag_count, 2);
    assert_string_equal(latest->tags[0].name, "a");
    assert_string_equal(latest->revision_id, revision);
    assert_int_equal(sandbox->kills, 0);
    assert_ptr_equal(world_instance(world, sandbox)->pool->function, latest);
    assert_int_equal(publish(world, "hello")->tag_count, 0); /* they are the function's */
}

static void versions_are_listed_latest_first_then_by_number(void **state)
{
    struct world *world = *state;
    struct function *out[3];
    bool more;
    (void)world_function(world, "hello");
    for (int k = 0; k < 11; k++) {
        (void)world_update_code(world, "hello");
        (void)publish(world, "hello");
    }
    assert_int_equal(engine_list_versions(world->engine, SLICE("hello"), UINT64_MAX, 3, out, &more), 3);
    assert_string_equal(out[0]->version, "$LATEST");
    assert_string_equal(out[1]->version, "1");
    assert_true(more);
    assert_int_equal(engine_list_versions(world->engine, SLICE("hello"), 8, 3, out, &more), 3);
    assert_string_equal(out[0]->version, "9");
    assert_string_equal(out[2]->version, "11"); /* as a number, not as a text */
    assert_false(more);
    assert_int_equal(engine_list_versions(world->engine, SLICE("none"), UINT64_MAX, 3, out, &more), 0);
    assert_false(more);
}

static void a_version_runs_on_instances_of_its_own_and_tells_which_it_is(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    struct function *version = publish(world, "hello");
    struct call *call = invoke_qualified(world, "hello", "1");
    struct sandbox *of_version = world_sandbox(world, 1);
    world_boots(world, of_version);
    world_takes(world, of_version);
    assert_string_equal(buffer_text(&of_version->arn), "arn:aws:lambda:us-east-1:000000000000:function:hello:1");
    world_answers(of_version, "1");
    world_wait(world, call);
    assert_string_equal(call->version, "1");
    struct sandbox *of_latest = world_warm(world, engine_find(world->engine, SLICE("hello")));
    assert_string_equal(buffer_text(&of_latest->arn), "arn:aws:lambda:us-east-1:000000000000:function:hello");
    assert_ptr_not_equal(of_latest, of_version);
    assert_ptr_equal(world_instance(world, of_version)->pool, version->pool);
}

static void an_update_of_latest_leaves_a_versions_instances_alone(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    (void)publish(world, "hello");
    struct call *call = invoke_qualified(world, "hello", "1");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_boots(world, sandbox);
    world_takes(world, sandbox);
    world_answers(sandbox, "1");
    world_wait(world, call);
    (void)world_update_code(world, "hello");
    world_settle(world);
    assert_int_equal(sandbox->kills, 0);
}

static void the_instances_of_a_deleted_version_end_and_its_package_is_given_back(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    struct function *version = publish(world, "hello");
    char digest[65];
    memcpy(digest, version->digest, sizeof(digest));
    (void)world_update_code(world, "hello");
    struct call *call = invoke_qualified(world, "hello", "1");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_boots(world, sandbox);
    world_takes(world, sandbox);
    world_answers(sandbox, "1");
    world_wait(world, call);
    assert_int_equal(delete_version(world, "hello", 1).outcome, OK);
    world_gone(world, sandbox);
    assert_int_equal(world_package_references(world, digest), 0);
    assert_null(engine_find_version(world->engine, SLICE("hello"), 1));
    assert_int_equal(delete_version(world, "hello", 1).err.kind, ERROR_NOT_FOUND);
    assert_int_equal(delete_version(world, "hello", 0).err.kind, ERROR_NOT_FOUND); /* $LATEST is no version */
}

static void with_a_function_go_its_versions_and_all_their_instances(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    (void)publish(world, "hello");
    struct call *call = invoke_qualified(world, "hello", "1");
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_boots(world, sandbox);
    world_takes(world, sandbox);
    assert_int_equal(put_alias(world, "hello", "live", 1, 0, 0).outcome, OK);
    assert_int_equal(world_delete(world, "hello").outcome, OK);
    assert_null(engine_find_version(world->engine, SLICE("hello"), 1));
    assert_null(engine_route(world->engine, SLICE("hello"), SLICE("live")));
    world_answers(sandbox, "1"); /* who runs, ends */
    world_wait(world, call);
    assert_string_equal(call->version, "1");
    world_gone(world, sandbox);
    assert_int_equal(engine_code_bytes(world->engine), 0);
}

static void waiters_of_versions_are_told_when_the_server_stops(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    (void)publish(world, "hello");
    world->engine->starts_max = 0; /* nothing boots */
    struct call *call = invoke_qualified(world, "hello", "1");
    world_drain(world, 0);
    world_run_until(world, world->drained);
    world_call_refused(call, ERROR_UNAVAILABLE);
    world_end(world);
}

/* ---- layers ---- */

/* A package that something else holds, as a layer version does. */
static const char *a_layers_package(struct world *world)
{
    return world_function(world, "somewhere")->digest;
}

static void begin_create_with_layer(struct world *world, const char *digest, struct change *change)
{
    struct function *draft = function_new();
    struct buffer zip = BUFFER_EMPTY;
    draft->name = memory_text("layered");
    draft->handler = memory_text("index.handler");
    draft->role = memory_text("r");
    draft->log_group = memory_text("g");
    draft->runtime = &the_runtime;
    draft->layers = memory_new_array(1, sizeof(*draft->layers));
    draft->layer_count = 1;
    (void)snprintf(draft->layers[0].digest, sizeof(draft->layers[0].digest), "%s", digest);
    *change = (struct change){ 0 };
    engine_create(world->engine, &draft, &zip, on_change, change);
}

static void a_function_holds_the_packages_of_its_layers_from_the_first_moment_to_its_end(void **state)
{
    struct world *world = *state;
    struct change change;
    char digest[65];
    (void)snprintf(digest, sizeof(digest), "%s", a_layers_package(world));
    world->packages_wait = true;
    begin_create_with_layer(world, digest, &change);
    assert_int_equal(world_package_references(world, digest), 2); /* the layer version may be deleted now */
    world_packages_answer(world);
    world->packages_wait = false;
    world_run_until(world, change.answers > 0);
    assert_int_equal(change.outcome, OK);
    (void)publish(world, "layered");
    assert_int_equal(world_package_references(world, digest), 3);
    struct sandbox *sandbox = world_warm(world, engine_find(world->engine, SLICE("layered")));
    assert_int_equal(world_package_references(world, digest),
                     4); /* its pool: an update leaves who runs its files */
    (void)world_update_code(world, "layered");
    world_gone(world, sandbox);
    assert_int_equal(world_package_references(world, digest), 3);
    assert_int_equal(world_delete(world, "layered").outcome, OK);
    assert_int_equal(world_package_references(world, digest), 1);
}

static void a_function_that_could_not_be_saved_gives_its_layers_back(void **state)
{
    struct world *world = *state;
    struct change change;
    char digest[65];
    (void)snprintf(digest, sizeof(digest), "%s", a_layers_package(world));
    world->row_error = ERROR_DISK_FULL;
    begin_create_with_layer(world, digest, &change);
    world_run_until(world, change.answers > 0);
    assert_int_equal(change.err.kind, ERROR_DISK_FULL);
    assert_int_equal(world_package_references(world, digest), 1);
}

/* ---- aliases and routing ---- */

static void a_qualifier_means_latest_a_version_or_what_an_alias_points_to(void **state)
{
    struct world *world = *state;
    struct function *latest = world_function(world, "hello");
    (void)latest;
    struct function *version = publish(world, "hello");
    latest = engine_find(world->engine, SLICE("hello"));
    assert_int_equal(put_alias(world, "hello", "live", 1, 0, 0).outcome, OK);
    assert_int_equal(put_alias(world, "hello", "edge", 0, 0, 0).outcome, OK);
    struct engine *engine = world->engine;
    assert_ptr_equal(engine_route(engine, SLICE("hello"), SLICE_EMPTY), latest);
    assert_ptr_equal(engine_route(engine, SLICE("hello"), SLICE("$LATEST")), latest);
    assert_ptr_equal(engine_route(engine, SLICE("hello"), SLICE("1")), version);
    assert_ptr_equal(engine_route(engine, SLICE("hello"), SLICE("live")), version);
    assert_ptr_equal(engine_route(engine, SLICE("hello"), SLICE("edge")), latest);
    assert_null(engine_route(engine, SLICE("hello"), SLICE("2")));
    assert_null(engine_route(engine, SLICE("hello"), SLICE("01")));
    assert_null(engine_route(engine, SLICE("hello"), SLICE("none")));
    assert_null(engine_route(engine, SLICE("none"), SLICE_EMPTY));
}

static void an_alias_of_two_versions_gives_each_its_part_of_the_calls(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    (void)publish(world, "hello");
    (void)world_update_code(world, "hello");
    struct function *second = publish(world, "hello");
    assert_int_equal(put_alias(world, "hello", "live", 1, 2, 0.25).outcome, OK);
    world->engine->random_state = 88172645463325252ULL; /* the same draws each time */
    size_t of_second = 0;
    for (int k = 0; k < 10000; k++)
        of_second += engine_route(world->engine, SLICE("hello"), SLICE("live")) == second ? 1 : 0;
    assert_in_range(of_second, 2350, 2650);
    assert_int_equal(put_alias(world, "hello", "live", 1, 2, 0).outcome, OK);
    for (int k = 0; k < 1000; k++)
        assert_ptr_not_equal(engine_route(world->engine, SLICE("hello"), SLICE("live")), second);
    assert_int_equal(put_alias(world, "hello", "live", 1, 2, 1).outcome, OK);
    for (int k = 0; k < 1000; k++)
        assert_ptr_equal(engine_route(world->engine, SLICE("hello"), SLICE("live")), second);
}

static void what_an_alias_points_to_must_be_there_and_the_store_is_told_of_it(void **state)
{
    struct world *world = *state;
    assert_int_equal(put_alias(world, "none", "live", 1, 0, 0).err.kind, ERROR_NOT_FOUND);
    (void)world_function(world, "hello");
    (void)publish(world, "hello");
    struct set set = put_alias(world, "hello", "live", 2, 0, 0);
    assert_string_equal(set.err.code, "ResourceNotFoundException");
    assert_string_equal(set.err.message,
                        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:hello:2");
    assert_int_equal(put_alias(world, "hello", "live", 1, 2, 0.5).err.kind, ERROR_NOT_FOUND);
    (void)world_update_code(world, "hello");
    (void)publish(world, "hello");
    assert_int_equal(put_alias(world, "hello", "live", 1, 2, 0.5).outcome, OK);
    assert_int_equal(world->pointed_to[0], 1);
    assert_int_equal(world->pointed_to[1], 2);
}

static void an_alias_is_refused_in_awss_own_words(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    static const char document[] = "{\"description\":\"\",\"version\":0}";
    struct set set = put_document(world, "hello", SETTING_ALIAS, "live", SETTING_UPDATE, document);
    assert_string_equal(set.err.message,
                        "Alias not found: arn:aws:lambda:us-east-1:000000000000:function:hello:live");
    assert_int_equal(put_document(world, "hello", SETTING_ALIAS, "live", SETTING_CREATE, document).outcome, OK);
    set = put_document(world, "hello", SETTING_ALIAS, "live", SETTING_CREATE, document);
    assert_string_equal(set.err.code, "ResourceConflictException");
    assert_string_equal(set.err.message,
                        "Alias already exists: arn:aws:lambda:us-east-1:000000000000:function:hello:live");
    struct setting_change change = { .name = SLICE("hello"),
                                     .qualifier = SLICE("live"),
                                     .kind = SETTING_ALIAS,
                                     .mode = SETTING_UPDATE,
                                     .document = SLICE("{\"description\":\"\",\"version\":0}"),
                                     .expected_revision = SLICE("another") };
    assert_int_equal(put(world, &change).err.kind, ERROR_PRECONDITION);
    change.expected_revision = slice_of(alias_of(world, "hello", "live")->revision_id);
    assert_int_equal(put(world, &change).outcome, OK);
    assert_int_equal(put_document(world, "hello", SETTING_ALIAS, "live", SETTING_PUT, "no json").err.kind,
                     ERROR_INVALID);
}

/* ---- settings ---- */

static void an_update_keeps_the_time_of_creation_and_gives_a_new_revision(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    assert_int_equal(put_alias(world, "hello", "live", 0, 0, 0).outcome, OK);
    struct setting *setting = (struct setting *)alias_of(world, "hello", "live");
    setting->created_ms = 5;
    char revision[37];
    memcpy(revision, setting->revision_id, sizeof(revision));
    assert_int_equal(put_alias(world, "hello", "live", 0, 0, 0).outcome, OK);
    assert_int_equal(alias_of(world, "hello", "live")->created_ms, 5);
    assert_string_not_equal(alias_of(world, "hello", "live")->revision_id, revision);
}

static void settings_are_listed_by_kind_in_order_of_qualifier(void **state)
{
    struct world *world = *state;
    const struct setting *out[2];
    bool more;
    (void)world_function(world, "b");
    (void)world_function(world, "a");
    assert_int_equal(put_alias(world, "b", "three", 0, 0, 0).outcome, OK);
    assert_int_equal(put_alias(world, "b", "one", 0, 0, 0).outcome, OK);
    assert_int_equal(put_alias(world, "b", "two", 0, 0, 0).outcome, OK);
    assert_int_equal(put_document(world, "b", SETTING_POLICY, "one", SETTING_PUT, "{}").outcome, OK);
    assert_int_equal(put_alias(world, "a", "zero", 0, 0, 0).outcome, OK);
    assert_int_equal(engine_settings(world->engine, SLICE("b"), SETTING_ALIAS, SLICE_EMPTY, 2, out, &more), 2);
    assert_string_equal(out[0]->qualifier, "one");
    assert_string_equal(out[1]->qualifier, "three");
    assert_true(more);
    assert_int_equal(engine_settings(world->engine, SLICE("b"), SETTING_ALIAS, SLICE("three"), 2, out, &more), 1);
    assert_string_equal(out[0]->qualifier, "two");
    assert_false(more);
    assert_int_equal(engine_settings(world->engine, SLICE_EMPTY, SETTING_ALIAS, SLICE_EMPTY, 2, out, &more), 2);
    assert_string_equal(out[0]->qualifier, "zero"); /* a's */
    assert_true(more);
    assert_int_equal(engine_settings(world->engine, SLICE_EMPTY, SETTING_POLICY, SLICE_EMPTY, 2, out, &more), 1);
    assert_false(more);
}

static void with_an_alias_go_its_policy_and_url_and_with_a_version_too(void **state)
{
    struct world *world = *state;
    struct slice name;
    (void)world_function(world, "hello");
    (void)publish(world, "hello");
    struct function_url *url = function_url_new();
    assert_int_equal(put_url(world, "hello", "live", url).err.kind, ERROR_NOT_FOUND);
    assert_int_equal(put_alias(world, "hello", "live", 0, 0, 0).outcome, OK);
    assert_int_equal(put_url(world, "hello", "live", url).outcome, OK);
    assert_int_equal(put_document(world, "hello", SETTING_POLICY, "live", SETTING_PUT, "{}").outcome, OK);
    assert_int_equal(put_document(world, "hello", SETTING_POLICY, "1", SETTING_PUT, "{}").outcome, OK);
    assert_non_null(engine_url_find(world->engine, slice_of(url->id), &name));
    assert_true(slice_is(name, "hello"));
    assert_int_equal(delete_setting(world, "hello", SETTING_ALIAS, "live").outcome, OK);
    assert_null(engine_url_find(world->engine, slice_of(url->id), &name));
    assert_null(engine_setting(world->engine, SLICE("hello"), SETTING_POLICY, SLICE("live")));
    assert_int_equal(delete_setting(world, "hello", SETTING_ALIAS, "live").err.kind, ERROR_NOT_FOUND);
    assert_int_equal(delete_version(world, "hello", 1).outcome, OK);
    assert_null(engine_setting(world->engine, SLICE("hello"), SETTING_POLICY, SLICE("1")));
    function_url_free(url);
}

static void a_url_is_found_by_its_id_until_it_is_deleted_or_another(void **state)
{
    struct world *world = *state;
    struct slice name;
    (void)world_function(world, "hello");
    struct function_url *first = function_url_new(), *second = function_url_new();
    assert_int_equal(put_url(world, "hello", "$LATEST", first).outcome, OK);
    assert_int_equal(put_url(world, "hello", "$LATEST", first).outcome, OK);
    assert_non_null(engine_url_find(world->engine, slice_of(first->id), &name));
    assert_int_equal(put_url(world, "hello", "$LATEST", second).outcome, OK);
    assert_null(engine_url_find(world->engine, slice_of(first->id), &name));
    assert_non_null(engine_url_find(world->engine, slice_of(second->id), &name));
    assert_int_equal(world_delete(world, "hello").outcome, OK);
    assert_null(engine_url_find(world->engine, slice_of(second->id), &name));
    function_url_free(first);
    function_url_free(second);
}

static void while_a_function_is_being_deleted_nothing_is_put_to_it(void **state)
{
    struct world *world = *state;
    struct change gone = { 0 };
    (void)world_function(world, "hello");
    world->rows_wait = true;
    engine_delete(world->engine, SLICE("hello"), on_change, &gone);
    assert_int_equal(put_alias(world, "hello", "live", 0, 0, 0).err.kind, ERROR_CONFLICT);
    assert_int_equal(delete_version(world, "hello", 1).err.kind, ERROR_CONFLICT);
    world_rows_answer(world);
    world_run_until(world, gone.answers > 0);
    assert_int_equal(gone.outcome, OK);
}

static void a_setting_that_the_store_refuses_is_not_there(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    world->row_error = ERROR_DISK_FULL;
    assert_int_equal(put_alias(world, "hello", "live", 0, 0, 0).err.kind, ERROR_DISK_FULL);
    assert_null(alias_of(world, "hello", "live"));
}

/* ---- reserved concurrency ---- */

static void calls_up_to_the_reservation_run_and_the_next_is_throttled_with_awss_reason(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    struct function *other = world_function(world, "other");
    assert_int_equal(reserve(world, "hello", 2).outcome, OK);
    assert_int_equal(engine_reserved(world->engine, SLICE("hello")), 2);
    assert_int_equal(engine_unreserved(world->engine), 98);
    world->engine->starts_max = 0;
    struct call *first = world_invoke(world, hello, "{}"), *second = world_invoke(world, hello, "{}");
    struct call *third = world_invoke(world, hello, "{}");
    world_wait(world, third);
    world_call_refused(third, ERROR_THROTTLED);
    assert_string_equal(third->code, "TooManyRequestsException");
    assert_string_equal(third->reason, "ReservedFunctionConcurrentInvocationLimitExceeded");
    struct call *fourth = world_invoke(world, other, "{}"); /* others have room */
    world_settle(world);
    assert_int_equal(fourth->answers, 0);
    world_drain(world, 0);
    world_run_until(world, world->drained);
    world_call_refused(first, ERROR_UNAVAILABLE);
    world_call_refused(second, ERROR_UNAVAILABLE);
    world_call_refused(fourth, ERROR_UNAVAILABLE);
    world_end(world);
}

static void all_versions_of_a_function_share_its_reservation(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "hello");
    (void)publish(world, "hello");
    assert_int_equal(reserve(world, "hello", 1).outcome, OK);
    struct call *first = invoke_qualified(world, "hello", "1");
    struct call *second = invoke_qualified(world, "hello", "$LATEST");
    world_wait(world, second);
    world_call_refused(second, ERROR_THROTTLED);
    struct sandbox *sandbox = world_sandbox(world, 1);
    world_boots(world, sandbox);
    world_takes(world, sandbox);
    world_answers(sandbox, "1");
    world_wait(world, first);
    struct call *third = invoke_qualified(world, "hello", "1"); /* its place is free again */
    world_takes(world, sandbox);
    world_answers(sandbox, "3");
    world_wait(world, third);
    assert_int_equal(third->status, INVOCATION_SUCCEEDED);
}

static void a_reservation_of_none_throttles_every_call(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    assert_int_equal(reserve(world, "hello", 0).outcome, OK);
    struct call *call = world_invoke(world, hello, "{}");
    world_wait(world, call);
    world_call_refused(call, ERROR_THROTTLED);
    assert_string_equal(call->reason, "ReservedFunctionConcurrentInvocationLimitExceeded");
    assert_int_equal(delete_setting(world, "hello", SETTING_CONCURRENCY, "$LATEST").outcome, OK);
    assert_int_equal(engine_reserved(world->engine, SLICE("hello")), -1);
    (void)world_warm(world, hello);
}

static void a_full_account_does_not_throttle_who_has_a_reservation_nor_the_other_way_round(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello"), *other = world_function(world, "other");
    world->engine->limit = 10;
    assert_int_equal(reserve(world, "hello", 8).outcome, OK);
    world->engine->starts_max = 0;
    struct call *calls[11];
    for (int k = 0; k < 2; k++)
        calls[k] = world_invoke(world, other, "{}");
    struct call *throttled = world_invoke(world, other, "{}");
    world_wait(world, throttled);
    assert_string_equal(throttled->reason, "ConcurrentInvocationLimitExceeded");
    for (int k = 2; k < 10; k++)
        calls[k] = world_invoke(world, hello, "{}");
    world_settle(world);
    for (int k = 0; k < 10; k++)
        assert_int_equal(calls[k]->answers, 0);
    world_drain(world, 0);
    world_run_until(world, world->drained);
    world_end(world);
}

static void a_reservation_counts_calls_that_ran_before_it_and_leaves_them_to_the_rest_when_it_goes(void **state)
{
    struct world *world = *state;
    struct function *hello = world_function(world, "hello");
    world->engine->starts_max = 0;
    (void)world_invoke(world, hello, "{}");
    (void)world_invoke(world, hello, "{}");
    assert_int_equal(world->engine->unreserved_in_flight, 2);
    assert_int_equal(reserve(world, "hello", 2).outcome, OK);
    assert_int_equal(world->engine->unreserved_in_flight, 0);
    struct call *third = world_invoke(world, hello, "{}");
    world_wait(world, third);
    world_call_refused(third, ERROR_THROTTLED);
    assert_int_equal(delete_setting(world, "hello", SETTING_CONCURRENCY, "").outcome, OK);
    assert_int_equal(world->engine->unreserved_in_flight, 2);
    assert_int_equal(reserve(world, "hello", 5).outcome, OK);
    assert_int_equal(world_delete(world, "hello").outcome, OK); /* while two of its calls wait */
    assert_int_equal(world->engine->unreserved_in_flight, 2);
    assert_int_equal(engine_unreserved(world->engine), 100);
    world_drain(world, 0);
    world_run_until(world, world->drained);
    world_end(world);
}

static void reservations_leave_the_others_their_minimum_also_while_several_are_being_written(void **state)
{
    struct world *world = *state;
    struct set first, second, again;
    (void)world_function(world, "a");
    (void)world_function(world, "b");
    assert_int_equal(engine_unreserved_min(world->engine), 10);
    struct set refused = reserve(world, "a", 91);
    assert_string_equal(refused.err.code, "InvalidParameterValueException");
    assert_string_equal(refused.err.message,
                        "Specified ReservedConcurrentExecutions for function decreases account's "
                        "UnreservedConcurrentExecution below its minimum value of [10].");
    world->rows_wait = true;
    begin_reserve(world, "a", 60, &first);
    begin_reserve(world, "b", 40, &second); /* 60 is not written yet, but counts */
    begin_reserve(world, "a", 10, &again);  /* one at a time for a function */
    world_run_until(world, second.answers > 0 && again.answers > 0);
    assert_string_equal(second.err.code, "InvalidParameterValueException");
    assert_int_equal(again.err.kind, ERROR_CONFLICT);
    world_rows_answer(world);
    world_run_until(world, first.answers > 0);
    assert_int_equal(first.outcome, OK);
    world->rows_wait = false;
    assert_int_equal(reserve(world, "b", 31).err.kind, ERROR_INVALID);
    assert_int_equal(reserve(world, "b", 30).outcome, OK);
    assert_int_equal(engine_unreserved(world->engine), 10);
    assert_int_equal(reserve(world, "a", 50).outcome, OK);
    assert_int_equal(reserve(world, "b", 40).outcome, OK);
    assert_int_equal(reserve(world, "none", 1).err.kind, ERROR_NOT_FOUND);
}

static void a_reservation_that_the_store_refuses_claims_nothing(void **state)
{
    struct world *world = *state;
    (void)world_function(world, "a");
    world->row_error = ERROR_DISK_FULL;
    assert_int_equal(reserve(world, "a", 90).err.kind, ERROR_DISK_FULL);
    assert_int_equal(engine_reserved(world->engine, SLICE("a")), -1);
    assert_int_equal(world->engine->claimed, 0);
    assert_int_equal(reserve(world, "a", 90).outcome, OK);
}

/* ---- opening ---- */

#define DOCUMENT                                                                                                   \
    "{\"format\":1,\"runtime\":\"nodejs20.x\",\"handler\":\"index.handler\",\"role\":\"r\",\"description\":\"\","  \
    "\"timeout_s\":3,\"memory_mb\":128,\"tmp_mb\":512,\"architecture\":\"x86_64\",\"tracing_mode\":"               \
    "\"PassThrough\",\"log_group\":\"g\",\"log_format\":\"Text\",\"digest\":\"d\",\"code_sha256\":\"s\","          \
    "\"code_bytes\":7,\"revision_id\":\"v\",\"modified_ms\":1,\"arn\":\"a\"}"
#define ROW(n, v, doc)                                                                                             \
    {                                                                                                              \
        .name = SLICE(n), .version = SLICE(v), .revision_id = SLICE("r" v), .digest = SLICE("d"),                  \
        .document = SLICE(doc), .environment = SLICE_EMPTY, .modified_ms = 9                                       \
    }

static int setup_rows(void **state)
{
    static const struct function_row functions[] = {
        ROW("good", "10", DOCUMENT),
        ROW("good", "2", DOCUMENT),
        ROW("good", "$LATEST", DOCUMENT),
        ROW("good", "3", "damaged"),
        ROW("good", "x", DOCUMENT),
        ROW("headless", "1", DOCUMENT),
        ROW("headless", "$LATEST", "damaged"),
        ROW("", "", ""),
    };
    static const struct setting_row settings[] = {
        { .name = SLICE("gone"), .kind = SLICE("alias"), .qualifier = SLICE("live"), .document = SLICE("{}") },
        { .name = SLICE("good"),
          .kind = SLICE("alias"),
          .qualifier = SLICE("live"),
          .document = SLICE("{\"description\":\"\",\"version\":10}"),
          .created_ms = 4 },
        { .name = SLICE("good"), .kind = SLICE("alias"), .qualifier = SLICE("bad"), .document = SLICE("damaged") },
        { .name = SLICE("good"), .kind = SLICE("url"), .qualifier = SLICE("live"), .document = SLICE("damaged") },
        { .name = SLICE("good"),
          .kind = SLICE("concurrency"),
          .qualifier = SLICE("$LATEST"),
          .document = SLICE("{\"reserved\":7}") },
        { .name = SLICE("good"), .kind = SLICE("of-the-future"), .qualifier = SLICE("x"), .document = SLICE("{}") },
        { .name = SLICE_EMPTY },
    };
    world_function_rows = functions;
    world_setting_rows = settings;
    int failed = world_setup(state);
    world_function_rows = NULL;
    world_setting_rows = NULL;
    return failed;
}

static void rows_are_served_in_any_order_and_a_damaged_one_takes_no_other_with_it(void **state)
{
    struct world *world = *state;
    struct function *out[8];
    bool more;
    assert_int_equal(engine_list_versions(world->engine, SLICE("good"), UINT64_MAX, 8, out, &more), 3);
    assert_string_equal(out[0]->version, "$LATEST");
    assert_int_equal(out[1]->version_number, 2);
    assert_int_equal(out[2]->version_number, 10);
    assert_string_equal(out[2]->revision_id, "r10");
    assert_ptr_equal(engine_route(world->engine, SLICE("good"), SLICE("live")), out[2]);
    assert_int_equal(alias_of(world, "good", "live")->created_ms, 4);
    assert_null(alias_of(world, "good", "bad"));
    assert_int_equal(engine_reserved(world->engine, SLICE("good")), 7);
    assert_int_equal(engine_unreserved(world->engine), 93);
    assert_int_equal(engine_function_count(world->engine), 1);
}

static void a_function_whose_row_is_damaged_is_in_no_list_keeps_its_name_and_can_be_deleted(void **state)
{
    struct world *world = *state;
    struct function *out[8];
    struct saved saved;
    bool more;
    assert_int_equal(engine_list(world->engine, SLICE_EMPTY, 8, out, &more), 1);
    assert_null(engine_find(world->engine, SLICE("headless")));
    world_begin_create(world, "headless", 3, &saved);
    world_run_until(world, saved.answers > 0);
    assert_int_equal(saved.kind, ERROR_EXISTS);
    assert_int_equal(publish_with(world, "headless", NULL).err.kind, ERROR_NOT_FOUND);
    assert_int_equal(put_alias(world, "headless", "live", 0, 0, 0).err.kind, ERROR_NOT_FOUND);
    assert_int_equal(reserve(world, "headless", 1).err.kind, ERROR_NOT_FOUND);
    assert_int_equal(world_delete(world, "headless").outcome, OK);
    (void)world_function(world, "headless");
}

static int teardown_rows(void **state)
{
    struct world *world = *state;
    /* The packages of rows that are not served stay held: nothing may sweep them away. */
    for (size_t k = 0; k < world->package_count; k++)
        if (strcmp(world->packages[k].digest, "d") == 0)
            world->packages[k].references = 0;
    world->rows_loaded = true;
    return world_teardown(state);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
#define TEST_ROWS(name) cmocka_unit_test_setup_teardown(name, setup_rows, teardown_rows)

/* A commit that ended with ERROR_UNKNOWN had happened: the next delete hears it from the store. */
static void what_the_store_does_not_have_any_more_can_be_forgotten_by_deleting_it_again(void **state)
{
    struct world *world = *state;
    struct function *f = world_function(world, "hello");
    char digest[65];
    (void)snprintf(digest, sizeof(digest), "%s", f->digest);
    assert_int_equal(publish(world, "hello")->version_number, 1);
    assert_int_equal(put_alias(world, "hello", "live", 1, 0, 0).outcome, OK);
    assert_int_equal(reserve(world, "hello", 5).outcome, OK);

    world->row_error = ERROR_NOT_FOUND;
    assert_int_equal(delete_setting(world, "hello", SETTING_ALIAS, "live").err.kind, ERROR_NOT_FOUND);
    assert_null(engine_setting(world->engine, SLICE("hello"), SETTING_ALIAS, SLICE("live")));
    world->row_error = ERROR_NOT_FOUND;
    assert_int_equal(delete_setting(world, "hello", SETTING_CONCURRENCY, "").err.kind, ERROR_NOT_FOUND);
    assert_int_equal(engine_reserved(world->engine, SLICE("hello")), -1);
    world->row_error = ERROR_NOT_FOUND;
    assert_int_equal(delete_version(world, "hello", 1).err.kind, ERROR_NOT_FOUND);
    assert_null(engine_find_version(world->engine, SLICE("hello"), 1));
    world->row_error = ERROR_UNKNOWN;
    assert_int_equal(world_delete(world, "hello").kind, ERROR_UNKNOWN);
    assert_non_null(engine_find(world->engine, SLICE("hello"))); /* it may be there */
    world->row_error = ERROR_NOT_FOUND;
    assert_int_equal(world_delete(world, "hello").kind, ERROR_NOT_FOUND);
    assert_null(engine_find(world->engine, SLICE("hello")));
    assert_int_equal(world_package_references(world, digest), 0);
    assert_non_null(world_function(world, "hello"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_version_is_a_frozen_copy_of_latest_with_its_own_number_and_revision),
        TEST(publishing_what_has_not_changed_answers_the_version_that_is_there),
        TEST(publishing_checks_the_revision_and_the_code_that_the_caller_means),
        TEST(a_publication_and_another_change_of_one_function_exclude_each_other),
        TEST(a_publication_that_the_store_refuses_leaves_all_as_it_was),
        TEST(publishing_takes_no_instance_from_latest),
        TEST(new_tags_take_no_instance_and_no_revision),
        TEST(versions_are_listed_latest_first_then_by_number),
        TEST(a_version_runs_on_instances_of_its_own_and_tells_which_it_is),
        TEST(an_update_of_latest_leaves_a_versions_instances_alone),
        TEST(the_instances_of_a_deleted_version_end_and_its_package_is_given_back),
        TEST(with_a_function_go_its_versions_and_all_their_instances),
        TEST(waiters_of_versions_are_told_when_the_server_stops),
        TEST(a_function_holds_the_packages_of_its_layers_from_the_first_moment_to_its_end),
        TEST(a_function_that_could_not_be_saved_gives_its_layers_back),
        TEST(a_qualifier_means_latest_a_version_or_what_an_alias_points_to),
        TEST(an_alias_of_two_versions_gives_each_its_part_of_the_calls),
        TEST(what_an_alias_points_to_must_be_there_and_the_store_is_told_of_it),
        TEST(an_alias_is_refused_in_awss_own_words),
        TEST(an_update_keeps_the_time_of_creation_and_gives_a_new_revision),
        TEST(settings_are_listed_by_kind_in_order_of_qualifier),
        TEST(with_an_alias_go_its_policy_and_url_and_with_a_version_too),
        TEST(a_url_is_found_by_its_id_until_it_is_deleted_or_another),
        TEST(while_a_function_is_being_deleted_nothing_is_put_to_it),
        TEST(a_setting_that_the_store_refuses_is_not_there),
        TEST(calls_up_to_the_reservation_run_and_the_next_is_throttled_with_awss_reason),
        TEST(all_versions_of_a_function_share_its_reservation),
        TEST(a_reservation_of_none_throttles_every_call),
        TEST(a_full_account_does_not_throttle_who_has_a_reservation_nor_the_other_way_round),
        TEST(a_reservation_counts_calls_that_ran_before_it_and_leaves_them_to_the_rest_when_it_goes),
        TEST(reservations_leave_the_others_their_minimum_also_while_several_are_being_written),
        TEST(a_reservation_that_the_store_refuses_claims_nothing),
        TEST(what_the_store_does_not_have_any_more_can_be_forgotten_by_deleting_it_again),
        TEST_ROWS(rows_are_served_in_any_order_and_a_damaged_one_takes_no_other_with_it),
        TEST_ROWS(a_function_whose_row_is_damaged_is_in_no_list_keeps_its_name_and_can_be_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
