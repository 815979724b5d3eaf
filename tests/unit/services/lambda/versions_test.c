/* services/lambda: versions and aliases. Codes and texts are those recorded from AWS. */
#include "world.h"

static int make_world(void **state)
{
    struct world *world = memory_new(sizeof(*world));
    world_init(world);
    world_add_function(world, "hello");
    world_add_version(world, "hello", 1);
    world_add_version(world, "hello", 2);
    *state = world;
    return 0;
}

static int drop_world(void **state)
{
    world_done(*state);
    free(*state);
    return 0;
}

typedef void handler(struct call *call);

static void call(struct world *world, handler *handle, const char *name, const char *body)
{
    world_call(world, "", body);
    world_path(world, name);
    handle(&world->call);
}

/* One on an alias: its name is in the path too. */
static void alias_call(struct world *world, handler *handle, const char *alias, const char *body)
{
    world_call(world, "", body);
    world_path(world, "hello");
    world->call.path[world->call.path_count++] = (struct parameter){ SLICE("Name"), slice_of(alias) };
    handle(&world->call);
}

static const char INVALID[] = "InvalidParameterValueException", VALIDATION[] = "ValidationException";
static const char NOT_FOUND[] = "ResourceNotFoundException", CONFLICT[] = "ResourceConflictException";
static const char PRECONDITION[] = "PreconditionFailedException";
#define ARN      "arn:aws:lambda:us-east-1:000000000000:function:hello"
#define REVISION "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

/* ---- PublishVersion ---- */

static void publishing_answers_201_with_the_version_and_its_own_ARN(void **state)
{
    struct world *world = *state;
    call(world, lambda_publish_version, "hello", "{\"Description\":\"first\",\"RevisionId\":\"" REVISION "\"}");
    assert_int_equal(world->engine.asked, ASKED_PUBLISH);
    assert_string_equal(world->engine.name, "hello");
    assert_string_equal(world->engine.description, "first");
    assert_string_equal(world->engine.revision, REVISION);
    assert_string_equal(world->engine.sha256, "");
    world_saved(world, OK, engine_find_version(&world->engine, SLICE("hello"), 2), NULL);
    assert_answer(world, 201, "\"FunctionArn\":\"" ARN ":2\"");
    assert_answer(world, 201, "\"Version\":\"2\"");
    assert_answer(world, 201, "\"State\":\"Active\",\"LastUpdateStatus\":\"Successful\"");
}

static void without_a_description_the_version_has_that_of_LATEST(void **state)
{
    struct world *world = *state;
    call(world, lambda_publish_version, "hello", "");
    assert_int_equal(world->engine.asked, ASKED_PUBLISH);
    assert_false(world->engine.has_description);
    call(world, lambda_publish_version, "hello", "{\"Description\":\"\"}");
    assert_false(world->engine.has_description);
}

static void what_was_expected_of_LATEST_is_checked_before_publishing(void **state)
{
    struct world *world = *state;
    call(world, lambda_publish_version, "hello", "{\"CodeSha256\":\"somenonexistentsha256\"}");
    assert_failed(
        world, INVALID,
        "CodeSHA256 (somenonexistentsha256) is different from current CodeSHA256 in $LATEST "
        "(47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=). Please try again with the CodeSHA256 in $LATEST.");
    call(world, lambda_publish_version, "hello", "{\"RevisionId\":\"wrong\"}");
    assert_failed(
        world, PRECONDITION,
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API "
        "to retrieve the latest Revision Id");
    call(world, lambda_publish_version, "hello",
         "{\"CodeSha256\":\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"}");
    assert_int_equal(world->engine.asked, ASKED_PUBLISH);
}

static void publishing_needs_a_function_and_no_qualifier(void **state)
{
    struct world *world = *state;
    call(world, lambda_publish_version, "nobody", "");
    assert_failed(world, NOT_FOUND, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody");
    call(world, lambda_publish_version, "hello:1", "");
    assert_failed(world, INVALID,
                  "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
                  "operation. Please specify either a function name or an unqualified function ARN.");
    call(world, lambda_publish_version, "hello", "{\"PublishTo\":\"LATEST_PUBLISHED\"}");
    assert_failed(world, INVALID, "PublishTo is not supported");
    call(world, lambda_publish_version, "hello", "{\"Description\":7}");
    assert_failed(world, "SerializationException", "NUMBER_VALUE can not be converted to a String");
}

/* ---- Publish of an update ---- */

#define ZIP "\"ZipFile\":\"UEs=\""

static void an_update_that_publishes_answers_with_the_version(void **state)
{
    struct world *world = *state;
    call(world, lambda_update_function_code, "hello", "{" ZIP ",\"Publish\":true}");
    assert_int_equal(world->engine.asked, ASKED_CODE);
    world_saved(world, OK, world->engine.functions[0], NULL);
    assert_int_equal(world->replies, 0);
    assert_int_equal(world->engine.asked, ASKED_PUBLISH);
    assert_string_equal(world->engine.revision, REVISION); /* what this call has made, and nothing else */
    world_saved(world, OK, world->engine.versions[1], NULL);
    assert_answer(world, 200, "\"FunctionArn\":\"" ARN ":2\"");
}

static void another_change_between_an_update_and_its_publishing_is_a_conflict(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    call(world, lambda_update_function_code, "hello", "{" ZIP ",\"Publish\":true}");
    world_saved(world, OK, world->engine.functions[0], NULL);
    assert_int_equal(lambda_check_revision("a", SLICE("b"), &err), FAILED);
    world_saved(world, FAILED, NULL, &err);
    assert_failed(world, CONFLICT, "An update is in progress for resource: " ARN);
}

static void a_dry_run_publishes_nothing(void **state)
{
    struct world *world = *state;
    call(world, lambda_update_function_code, "hello", "{" ZIP ",\"Publish\":true,\"DryRun\":true}");
    world_saved(world, OK, world->engine.functions[0], NULL);
    assert_answer(world, 200, "\"Version\":\"$LATEST\"");
}

/* ---- reading with qualifiers ---- */

static void get(struct world *world, const char *name, const char *qualifier)
{
    world_call(world, "GET", "");
    world_path(world, name);
    if (qualifier != NULL)
        world_query(world, "Qualifier", qualifier);
    lambda_get_function_configuration(&world->call);
}

static void a_version_or_an_alias_is_read_under_the_name_it_was_asked_by(void **state)
{
    struct world *world = *state;
    world_add_alias(world, "live", 2, 1, 0.5);
    get(world, "hello", "1");
    assert_answer(world, 200, "\"FunctionArn\":\"" ARN ":1\"");
    assert_answer(world, 200, "\"Version\":\"1\"");
    get(world, "hello:live", NULL);
    assert_answer(world, 200, "\"FunctionArn\":\"" ARN ":live\"");
    assert_answer(world, 200, "\"Version\":\"2\"");
    get(world, ARN ":live", "live");
    assert_answer(world, 200, "\"Version\":\"2\"");
}

static void a_version_or_an_alias_that_is_not_there_is_a_function_that_is_not_found(void **state)
{
    struct world *world = *state;
    static const char *const missing[] = { "3", "dead", "01", "0", "18446744073709551616", "$latest" };
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "Function not found: " ARN ":%s", missing[i]);
        get(*state, "hello", missing[i]);
        assert_failed(world, NOT_FOUND, text);
    }
}

/* ---- DeleteFunction of a version ---- */

static void delete_version(struct world *world, const char *version)
{
    world_call(world, "DELETE", "");
    world_path(world, "hello");
    world_query(world, "Qualifier", version);
    lambda_delete_function(&world->call);
}

static void a_version_is_deleted_unless_an_alias_points_to_it(void **state)
{
    struct world *world = *state;
    delete_version(world, "1");
    assert_int_equal(world->engine.asked, ASKED_DELETE_VERSION);
    assert_int_equal(world->engine.number, 1);
    world_saved(world, OK, NULL, NULL);
    assert_int_equal(world->status, 204);
    world_add_alias(world, "blue", 1, 0, 0);
    world_add_alias(world, "live", 2, 1, 0.5);
    delete_version(world, "1");
    assert_failed(world, CONFLICT,
                  "Unable to delete version because the following aliases reference it: [blue, live]");
    assert_int_equal(world->engine.asked, ASKED_NOTHING);
}

static void deleting_a_version_that_is_not_there_is_no_error(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    delete_version(world, "1233");
    assert_int_equal(world->status, 204);
    delete_version(world, "1"); /* gone meanwhile */
    (void)error_set(&err, ERROR_NOT_FOUND, "hint", "gone");
    world_saved(world, FAILED, NULL, &err);
    assert_int_equal(world->replies, 1);
    assert_int_equal(world->status, 204);
}

/* ---- ListVersionsByFunction ---- */

static void versions_are_listed_LATEST_first_with_qualified_ARNs(void **state)
{
    struct world *world = *state;
    call(world, lambda_list_versions_by_function, "hello", "");
    assert_answer(world, 200, "{\"Versions\":[{");
    const char *text = buffer_text(&world->answer);
    const char *latest = strstr(text, ARN ":$LATEST"), *one = strstr(text, ARN ":1"), *two = strstr(text, ARN ":2");
    assert_true(latest != NULL && one != NULL && two != NULL && latest < one && one < two);
    assert_null(strstr(text, "NextMarker"));
    assert_null(strstr(text, "\"State\""));
}

static void versions_are_listed_in_pages(void **state)
{
    struct world *world = *state;
    static const char *const markers[] = { NULL, "JExBVEVTVA==", "MQ==" };
    static const char *const versions[] = { "\"Version\":\"$LATEST\"", "\"Version\":\"1\"", "\"Version\":\"2\"" };
    for (size_t i = 0; i < 3; i++) {
        world_call(world, "GET", "");
        world_path(world, "hello");
        world_query(world, "MaxItems", "1");
        if (markers[i] != NULL)
            world_query(world, "Marker", markers[i]);
        lambda_list_versions_by_function(&world->call);
        assert_answer(world, 200, versions[i]);
        if (i < 2)
            assert_answer(world, 200, markers[i + 1]);
        else
            assert_null(strstr(buffer_text(&world->answer), "NextMarker"));
    }
}

static void all_versions_of_all_functions_are_pages_of_one_list(void **state)
{
    struct world *world = *state;
    static const char *const wanted[] = { "function:hello:$LATEST\"", "function:hello:1\"", "function:hello:2\"",
                                          "function:other:$LATEST\"", "function:other:7\"" };
    char marker[256] = "";
    world_add_function(world, "other");
    world_add_version(world, "other", 7);
    for (size_t i = 0; i < 5; i++) {
        world_call(world, "GET", "");
        world_query(world, "MaxItems", "1");
        world_query(world, "FunctionVersion", "ALL");
        if (i > 0)
            world_query(world, "Marker", marker);
        lambda_list_functions(&world->call);
        assert_answer(world, 200, wanted[i]);
        const char *next = strstr(buffer_text(&world->answer), "\"NextMarker\":\"");
        assert_true((next != NULL) == (i < 4));
        if (next != NULL)
            sscanf(next, "\"NextMarker\":\"%255[^\"]", marker);
    }
}

/* ---- CreateAlias ---- */

static void an_alias_is_made_as_it_was_asked_for(void **state)
{
    struct world *world = *state;
    call(world, lambda_create_alias, "hello",
         "{\"Name\":\"live\",\"FunctionVersion\":\"1\",\"Description\":\"for all\",\"RoutingConfig\":"
         "{\"AdditionalVersionWeights\":{\"2\":0.2}}}");
    assert_int_equal(world->engine.asked, ASKED_SETTING);
    assert_int_equal(world->engine.kind, SETTING_ALIAS);
    assert_int_equal(world->engine.mode, SETTING_CREATE);
    assert_string_equal(world->engine.qualifier, "live");
    assert_string_equal(world->engine.document,
                        "{\"description\":\"for all\",\"version\":1,\"other_version\":2,\"other_weight\":0.2}");
    assert_int_equal(world->engine.targets[0], 1);
    assert_int_equal(world->engine.targets[1], 2);
    world_setting_saved(world, OK, world_add_alias(world, "live", 1, 2, 0.2), NULL);
    assert_answer(
        world, 201,
        "{\"AliasArn\":\"" ARN ":live\",\"Name\":\"live\",\"FunctionVersion\":\"1\",\"Description\":"
        "\"points somewhere\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":0.2}},\"RevisionId\":"
        "\"aaaaaaaa-0000-4000-8000-000000000001\"}");
}

static void an_alias_may_point_to_LATEST_alone(void **state)
{
    struct world *world = *state;
    call(world, lambda_create_alias, "hello",
         "{\"Name\":\"dev\",\"FunctionVersion\":\"$LATEST\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{}}}");
    assert_string_equal(world->engine.document, "{\"description\":\"\",\"version\":0}");
    world_setting_saved(world, OK, world_add_alias(world, "dev", 0, 0, 0), NULL);
    assert_answer(world, 201, "\"FunctionVersion\":\"$LATEST\"");
    assert_null(strstr(buffer_text(&world->answer), "RoutingConfig"));
}

static void what_AWS_refuses_of_an_alias_is_refused(void **state)
{
    struct world *world = *state;
    world_add_alias(world, "custom", 1, 0, 0);
#define WEIGHTS(w) "\"RoutingConfig\":{\"AdditionalVersionWeights\":{" w "}}}"
#define NEW(v)     "{\"Name\":\"new\",\"FunctionVersion\":\"" v "\","
    static const struct {
        const char *body, *code, *text;
    } cases[] = {
        { NEW("1") WEIGHTS("\"1\":0.8,\"2\":0.2"), INVALID,
          "Number of items in AdditionalVersionWeights cannot be greater than 1" },
        { NEW("1") WEIGHTS("\"2\":2"), VALIDATION,
          "1 validation error detected: Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to "
          "satisfy "
          "constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
          "Member "
          "must have value greater than or equal to 0.0, Member must not be null]" },
        { NEW("1") WEIGHTS("\"2\":-1"), VALIDATION,
          "Value '{2=-1.0}' at 'routingConfig.additionalVersionWeights'" },
        { NEW("1") WEIGHTS("\"1\":0.5"), INVALID,
          "Invalid function version 1. Function version 1 is already included in routing configuration." },
        { NEW("10") WEIGHTS("\"2\":0.5"), NOT_FOUND, "Function not found: " ARN ":10" },
        { NEW("1") WEIGHTS("\"10\":0.5"), NOT_FOUND, "Function not found: " ARN ":10" },
        { NEW("$LATEST") WEIGHTS("\"1\":0.5"), INVALID,
          "$LATEST is not supported for an alias pointing to more than 1 version" },
        { NEW("1") WEIGHTS("\"$LATEST\":0.5"), VALIDATION,
          "Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map "
          "keys "
          "must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length "
          "greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]" },
        { "{\"Name\":\"custom\",\"FunctionVersion\":\"1\"}", CONFLICT, "Alias already exists: " ARN ":custom" },
        { "{\"Name\":\"2024\",\"FunctionVersion\":\"1\"}", VALIDATION,
          "1 validation error detected: Value '2024' at 'name' failed to satisfy constraint: Member must satisfy "
          "regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)" },
        { "{\"Name\":\"a.b\",\"FunctionVersion\":\"1\"}", VALIDATION, "Value 'a.b' at 'name'" },
        { "{}", VALIDATION, "2 validation errors detected: Value null at 'name' failed" },
        { "{\"Name\":\"new\",\"FunctionVersion\":\"one\"}", VALIDATION,
          "Value 'one' at 'functionVersion' failed to satisfy constraint: Member must satisfy regular expression "
          "pattern: (\\$LATEST(\\.PUBLISHED)?|[0-9]+)" },
        { NEW("1") WEIGHTS("\"2\":\"0.5\""), "SerializationException", "can not be converted to a Double" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        call(world, lambda_create_alias, "hello", cases[i].body);
        assert_failed(world, cases[i].code, cases[i].text);
        assert_int_equal(world->engine.asked, ASKED_NOTHING);
    }
    call(world, lambda_create_alias, "hello-unknown", NEW("1") WEIGHTS("\"2\":0.5"));
    assert_failed(world, NOT_FOUND, "function:hello-unknown:1");
}

static void of_two_that_make_the_same_alias_one_is_told_that_it_exists(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    call(world, lambda_create_alias, "hello", "{\"Name\":\"2024-01-02\",\"FunctionVersion\":\"1\"}");
    (void)error_set(&err, ERROR_EXISTS, "hint", "exists");
    world_setting_saved(world, FAILED, NULL, &err);
    assert_failed(world, CONFLICT, "Alias already exists: " ARN ":2024-01-02");
}

/* ---- UpdateAlias ---- */

static void what_an_update_does_not_name_stays(void **state)
{
    struct world *world = *state;
    struct setting *live = world_add_alias(world, "live", 1, 2, 0.2);
    alias_call(world, lambda_update_alias, "live", "{\"Description\":\"new\"}");
    assert_int_equal(world->engine.mode, SETTING_UPDATE);
    assert_string_equal(world->engine.revision, live->revision_id);
    assert_string_equal(world->engine.document,
                        "{\"description\":\"new\",\"version\":1,\"other_version\":2,\"other_weight\":0.2}");
    world_setting_saved(world, OK, live, NULL);
    assert_answer(world, 200, "\"Name\":\"live\"");
    alias_call(world, lambda_update_alias, "live", "{\"RoutingConfig\":{}}");
    assert_string_equal(world->engine.document, "{\"description\":\"points somewhere\",\"version\":1}");
    alias_call(world, lambda_update_alias, "live", "{\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":1}}}");
    assert_string_equal(
        world->engine.document,
        "{\"description\":\"points somewhere\",\"version\":1,\"other_version\":2,\"other_weight\":1.0}");
}

static void an_update_must_fit_what_stays(void **state)
{
    struct world *world = *state;
    world_add_alias(world, "live", 1, 2, 0.2);
    alias_call(world, lambda_update_alias, "live", "{\"FunctionVersion\":\"2\"}");
    assert_failed(world, INVALID, "Function version 2 is already included in routing configuration.");
    alias_call(world, lambda_update_alias, "live", "{\"FunctionVersion\":\"$LATEST\"}");
    assert_failed(world, INVALID, "$LATEST is not supported for an alias pointing to more than 1 version");
    alias_call(world, lambda_update_alias, "live", "{\"RevisionId\":\"wrong\"}");
    assert_failed(world, PRECONDITION, "does not match the latest Revision Id");
    alias_call(world, lambda_update_alias, "dead", "{}");
    assert_failed(world, NOT_FOUND, "Alias not found: " ARN ":dead");
}

static void an_update_that_another_one_overtook_starts_again_from_what_is_there(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    struct setting *live = world_add_alias(world, "live", 1, 0, 0);
    assert_int_equal(lambda_check_revision("a", SLICE("b"), &err), FAILED);
    alias_call(world, lambda_update_alias, "live", "{\"Description\":\"new\"}");
    live->alias->version = 2; /* the other one */
    snprintf(live->revision_id, sizeof(live->revision_id), "%s", "bbbbbbbb-0000-4000-8000-000000000000");
    world_setting_saved(world, FAILED, NULL, &err);
    assert_int_equal(world->replies, 0);
    assert_string_equal(world->engine.document, "{\"description\":\"new\",\"version\":2}");
    assert_string_equal(world->engine.revision, live->revision_id);
    world_setting_saved(world, OK, live, NULL);
    assert_answer(world, 200, "\"FunctionVersion\":\"2\"");
    /* With a RevisionId it is the caller who starts again. */
    alias_call(world, lambda_update_alias, "live", "{\"RevisionId\":\"bbbbbbbb-0000-4000-8000-000000000000\"}");
    world_setting_saved(world, FAILED, NULL, &err);
    assert_failed(world, PRECONDITION, "does not match");
}

/* ---- GetAlias, DeleteAlias, ListAliases ---- */

static void an_alias_is_read_and_deleted_by_name(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    world_add_alias(world, "live", 1, 0, 0);
    alias_call(world, lambda_get_alias, "live", "");
    assert_answer(world, 200, "\"AliasArn\":\"" ARN ":live\"");
    alias_call(world, lambda_get_alias, "non-existent", "");
    assert_failed(world, NOT_FOUND, "Cannot find alias arn: " ARN ":non-existent");
    alias_call(world, lambda_delete_alias, "live", "");
    assert_int_equal(world->engine.asked, ASKED_SETTING_DELETE);
    assert_int_equal(world->engine.kind, SETTING_ALIAS);
    assert_string_equal(world->engine.qualifier, "live");
    world_setting_saved(world, OK, NULL, NULL);
    assert_int_equal(world->status, 204);
    alias_call(world, lambda_delete_alias, "non-existent", ""); /* recorded: no error */
    (void)error_set(&err, ERROR_NOT_FOUND, "hint", "Alias not found");
    world_setting_saved(world, FAILED, NULL, &err);
    assert_int_equal(world->status, 204);
}

static void aliases_are_listed_in_pages_of_those_that_point_to_a_version(void **state)
{
    struct world *world = *state;
    char name[16], marker[64] = "";
    for (unsigned i = 0; i < 120; i++) {
        snprintf(name, sizeof(name), "a%03u", i);
        world_add_alias(world, name, 1 + i % 2, 0, 0);
    }
    size_t seen = 0, pages = 0;
    do {
        world_call(world, "GET", "");
        world_path(world, "hello");
        world_query(world, "FunctionVersion", "2");
        world_query(world, "MaxItems", "25");
        if (marker[0] != '\0')
            world_query(world, "Marker", marker);
        lambda_list_aliases(&world->call);
        assert_answer(world, 200, "{\"Aliases\":[");
        const char *text = buffer_text(&world->answer);
        assert_null(strstr(text, "\"FunctionVersion\":\"1\""));
        for (const char *at = text; (at = strstr(at, "AliasArn")) != NULL; at++)
            seen++;
        const char *next = strstr(text, "\"NextMarker\":\"");
        marker[0] = '\0';
        if (next != NULL)
            sscanf(next, "\"NextMarker\":\"%63[^\"]", marker);
        pages++;
    } while (marker[0] != '\0');
    assert_int_equal(seen, 60);
    assert_int_equal(pages, 3);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, make_world, drop_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(publishing_answers_201_with_the_version_and_its_own_ARN),
        WORLD_TEST(without_a_description_the_version_has_that_of_LATEST),
        WORLD_TEST(what_was_expected_of_LATEST_is_checked_before_publishing),
        WORLD_TEST(publishing_needs_a_function_and_no_qualifier),
        WORLD_TEST(an_update_that_publishes_answers_with_the_version),
        WORLD_TEST(another_change_between_an_update_and_its_publishing_is_a_conflict),
        WORLD_TEST(a_dry_run_publishes_nothing),
        WORLD_TEST(a_version_or_an_alias_is_read_under_the_name_it_was_asked_by),
        WORLD_TEST(a_version_or_an_alias_that_is_not_there_is_a_function_that_is_not_found),
        WORLD_TEST(a_version_is_deleted_unless_an_alias_points_to_it),
        WORLD_TEST(deleting_a_version_that_is_not_there_is_no_error),
        WORLD_TEST(versions_are_listed_LATEST_first_with_qualified_ARNs),
        WORLD_TEST(versions_are_listed_in_pages),
        WORLD_TEST(all_versions_of_all_functions_are_pages_of_one_list),
        WORLD_TEST(an_alias_is_made_as_it_was_asked_for),
        WORLD_TEST(an_alias_may_point_to_LATEST_alone),
        WORLD_TEST(what_AWS_refuses_of_an_alias_is_refused),
        WORLD_TEST(of_two_that_make_the_same_alias_one_is_told_that_it_exists),
        WORLD_TEST(what_an_update_does_not_name_stays),
        WORLD_TEST(an_update_must_fit_what_stays),
        WORLD_TEST(an_update_that_another_one_overtook_starts_again_from_what_is_there),
        WORLD_TEST(an_alias_is_read_and_deleted_by_name),
        WORLD_TEST(aliases_are_listed_in_pages_of_those_that_point_to_a_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
