/* services/lambda: tags, reserved concurrency, and what is only read. Codes and texts are those recorded from AWS. */
#include "world.h"

static int make_world(void **state)
{
    struct world *world = memory_new(sizeof(*world));
    world_init(world);
    struct function *f = world_add_function(world, "hello");
    f->tags = memory_new_array(2, sizeof(*f->tags));
    f->tags[0] = (struct variable){ memory_text("stage"), memory_text("test") };
    f->tags[1] = (struct variable){ memory_text("team"), memory_text("blue") };
    f->tag_count = variables_sort(f->tags, 2);
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

static const char INVALID[] = "InvalidParameterValueException", VALIDATION[] = "ValidationException";
static const char NOT_FOUND[] = "ResourceNotFoundException";
#define ARN "arn:aws:lambda:us-east-1:000000000000:function:hello"

static void tags_call(struct world *world, handler *handle, const char *resource, const char *body)
{
    world_call(world, "", body);
    world->call.path[world->call.path_count++] = (struct parameter){ SLICE("Resource"), slice_of(resource) };
    handle(&world->call);
}

static void call(struct world *world, handler *handle, const char *name, const char *body)
{
    world_call(world, "", body);
    world_path(world, name);
    handle(&world->call);
}

/* ---- tags ---- */

static void tags_are_added_and_replaced(void **state)
{
    struct world *world = *state;
    tags_call(world, lambda_tag_resource, ARN, "{\"Tags\":{\"stage\":\"live\",\"new\":\"\"}}");
    assert_int_equal(world->engine.asked, ASKED_TAGS);
    assert_string_equal(world->engine.name, "hello");
    assert_int_equal(world->engine.tag_count, 3);
    assert_string_equal(world->engine.tags[0].name, "new");
    assert_string_equal(world->engine.tags[1].name, "stage");
    assert_string_equal(world->engine.tags[1].value, "live");
    assert_string_equal(world->engine.tags[2].value, "blue");
    world_saved(world, OK, world->engine.functions[0], NULL);
    assert_int_equal(world->status, 204);
}

static void tags_are_taken_away_by_name(void **state)
{
    struct world *world = *state;
    world_call(world, "DELETE", "");
    world->call.path[world->call.path_count++] = (struct parameter){ SLICE("Resource"), SLICE(ARN) };
    world_query(world, "tagKeys", "stage");
    world_query(world, "tagKeys", "never-there");
    lambda_untag_resource(&world->call);
    assert_int_equal(world->engine.tag_count, 1);
    assert_string_equal(world->engine.tags[0].name, "team");
    world_saved(world, OK, world->engine.functions[0], NULL);
    assert_int_equal(world->status, 204);
}

static void taking_away_what_is_not_there_changes_nothing(void **state)
{
    struct world *world = *state;
    world_call(world, "DELETE", "");
    world->call.path[world->call.path_count++] = (struct parameter){ SLICE("Resource"), SLICE(ARN) };
    world_query(world, "tagKeys", "never-there");
    lambda_untag_resource(&world->call);
    assert_int_equal(world->engine.asked, ASKED_NOTHING);
    assert_int_equal(world->status, 204);
}

static void tags_are_listed(void **state)
{
    struct world *world = *state;
    tags_call(world, lambda_list_tags, ARN, "");
    assert_answer(world, 200, "{\"Tags\":{\"stage\":\"test\",\"team\":\"blue\"}}");
    world_add_function(world, "other");
    tags_call(world, lambda_list_tags, "arn:aws:lambda:us-east-1:000000000000:function:other", "");
    assert_answer(world, 200, "{\"Tags\":{}}");
}

static void only_a_function_without_qualifier_has_tags(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *resource, *code, *text;
    } cases[] = {
        { ARN ":1", INVALID,
          "Tags on function aliases and versions are not supported. Please specify a function ARN." },
        { ARN ":$LATEST", INVALID, "Tags on function aliases and versions are not supported." },
        { "arn:aws:lambda:us-east-1:000000000000:function:nobody", NOT_FOUND,
          "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody" },
        { "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:6ba7b810-9dad-11d1-80b4-00c04fd430c8",
          NOT_FOUND, "Event source mapping not found: arn:aws:lambda:" },
        { "arn:aws:lambda:us-east-1:000000000000:capacity-provider:x", NOT_FOUND, "Capacity provider not found: " },
        { "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdefg", NOT_FOUND,
          "can not be found" },
        { "arn:aws:lambda:us-east-1:000000000000:layer:x", INVALID, "Tags on layers are not supported" },
        { "arn:aws:something", VALIDATION,
          "1 validation error detected: Value 'arn:aws:something' at 'resource' failed to satisfy constraint: "
          "Member "
          "must satisfy regular expression pattern: "
          "arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:" },
        { "hello", VALIDATION, "Value 'hello' at 'resource'" },
        { "arn:aws:lambda:us-east-1:000000000000:foobar:x", VALIDATION, "at 'resource'" },
        { "arn:aws:lambda:us-east-1:000000000000:hello", VALIDATION, "at 'resource'" },
        { "arn:aws:lambda:us-east-1:00000000000:function:hello", VALIDATION, "at 'resource'" },
        { "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:x", VALIDATION, "at 'resource'" },
        { "arn:aws:lambda:us-east-1:000000000000:", VALIDATION, "at 'resource'" },
        { "arn:aws:lambda:us-east-1:000000000000", VALIDATION, "at 'resource'" },
        { "arn:aws:lambda:eu-west-1:000000000000:function:hello", NOT_FOUND, "are not reachable in this region" },
        { "arn:aws:lambda:us-east-1:111111111111:function:hello", "AccessDeniedException", "is not authorized" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tags_call(world, lambda_list_tags, cases[i].resource, "");
        assert_failed(world, cases[i].code, cases[i].text);
    }
}

static void what_AWS_refuses_of_tags_is_refused(void **state)
{
    struct world *world = *state;
    AUTO(buffer)
    struct buffer many = BUFFER_EMPTY;
    buffer_append_text(&many, "{\"Tags\":{");
    for (int i = 0; i < 49; i++) /* with the two that are there: 51 */
        buffer_appendf(&many, "%s\"k%d\":\"v\"", i > 0 ? "," : "", i);
    buffer_append_text(&many, "}}");
    const struct {
        const char *body, *code, *text;
    } cases[] = {
        { "{}", VALIDATION,
          "1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member must not be "
          "null" },
        { "{\"Tags\":{}}", INVALID, "An error occurred and the request cannot be processed." },
        { "{\"Tags\":{\"aws:x\":\"1\"}}", INVALID, "aws:" },
        { "{\"Tags\":[]}", "SerializationException", "Start of list found" },
        { buffer_text(&many), INVALID, "Number of tags exceeds resource tag limit." },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tags_call(world, lambda_tag_resource, ARN, cases[i].body);
        assert_failed(world, cases[i].code, cases[i].text);
        assert_int_equal(world->engine.asked, ASKED_NOTHING);
    }
    tags_call(world, lambda_untag_resource, ARN, "");
    assert_failed(
        world, VALIDATION,
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not "
        "be null");
}

/* ---- reserved concurrency ---- */

static void concurrency_is_reserved_read_and_given_back(void **state)
{
    struct world *world = *state;
    call(world, lambda_get_function_concurrency, "hello", "");
    assert_answer(world, 200, "{}");
    call(world, lambda_put_function_concurrency, "hello", "{\"ReservedConcurrentExecutions\":7}");
    assert_int_equal(world->engine.asked, ASKED_RESERVE);
    assert_int_equal(world->engine.number, 7);
    world_setting_saved(world, OK, NULL, NULL);
    assert_answer(world, 200, "{\"ReservedConcurrentExecutions\":7}");
    world->engine.reserved = 0;
    call(world, lambda_get_function_concurrency, "hello", "");
    assert_answer(world, 200, "{\"ReservedConcurrentExecutions\":0}");
    call(world, lambda_get_function, "hello", "");
    assert_answer(world, 200, "\"Concurrency\":{\"ReservedConcurrentExecutions\":0}");
    call(world, lambda_delete_function_concurrency, "hello", "");
    assert_int_equal(world->engine.asked, ASKED_SETTING_DELETE);
    assert_int_equal(world->engine.kind, SETTING_CONCURRENCY);
    world_setting_saved(world, OK, NULL, NULL);
    assert_int_equal(world->status, 204);
    world->engine.reserved = -1;
    call(world, lambda_delete_function_concurrency, "hello", "");
    assert_int_equal(world->status, 204);
}

static void the_others_keep_their_minimum(void **state)
{
    struct world *world = *state;
    call(world, lambda_put_function_concurrency, "hello", "{\"ReservedConcurrentExecutions\":339}");
    assert_failed(world, INVALID,
                  "Specified ReservedConcurrentExecutions for function decreases account's "
                  "UnreservedConcurrentExecution below its minimum value of [37].");
    call(world, lambda_put_function_concurrency, "hello", "{\"ReservedConcurrentExecutions\":338}");
    assert_int_equal(world->engine.asked, ASKED_RESERVE);
    world->engine.reserved = 338; /* its own reservation does not stand in its way */
    call(world, lambda_put_function_concurrency, "hello", "{\"ReservedConcurrentExecutions\":338}");
    assert_int_equal(world->engine.asked, ASKED_RESERVE);
}

static void what_AWS_refuses_of_a_reservation_is_refused(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *name, *body, *code, *text;
    } cases[] = {
        { "nobody", "{\"ReservedConcurrentExecutions\":1}", NOT_FOUND, "function:nobody:$LATEST" },
        { "hello:1", "{\"ReservedConcurrentExecutions\":1}", INVALID, "permitted on Lambda functions only" },
        { "hello", "{\"ReservedConcurrentExecutions\":-1}", VALIDATION,
          "Value '-1' at 'reservedConcurrentExecutions' failed to satisfy constraint: Member must have value "
          "greater "
          "than or equal to 0" },
        { "hello", "{}", VALIDATION, "Value null at 'reservedConcurrentExecutions'" },
        { "hello", "{\"ReservedConcurrentExecutions\":18446744073709551615}", INVALID, "below its minimum value" },
        { "hello", "{\"ReservedConcurrentExecutions\":\"1\"}", "SerializationException",
          "STRING_VALUE can not be converted to an Integer" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        call(world, lambda_put_function_concurrency, cases[i].name, cases[i].body);
        assert_failed(world, cases[i].code, cases[i].text);
    }
    call(world, lambda_get_function_concurrency, "nobody", "");
    assert_failed(world, NOT_FOUND, "function:nobody");
}

/* ---- what is only read ---- */

static void what_nobody_can_configure_is_answered_truthfully(void **state)
{
    struct world *world = *state;
    world_add_version(world, "hello", 1);
    call(world, lambda_get_function_code_signing_config, "hello", "");
    assert_answer(world, 200, "{}");
    call(world, lambda_get_function_recursion_config, "hello", "");
    assert_answer(world, 200, "{\"RecursiveLoop\":\"Terminate\"}");
    call(world, lambda_get_runtime_management_config, "hello", "");
    assert_answer(world, 200, "{\"UpdateRuntimeOn\":\"Auto\",\"FunctionArn\":\"" ARN ":$LATEST\"}");
    call(world, lambda_get_runtime_management_config, "hello:1", "");
    assert_answer(world, 200, "\"FunctionArn\":\"" ARN ":1\"");
    static handler *const all[] = { lambda_get_function_code_signing_config, lambda_get_function_recursion_config,
                                    lambda_get_runtime_management_config };
    for (size_t i = 0; i < 3; i++) {
        call(world, all[i], "nobody", "");
        assert_failed(world, NOT_FOUND, "Function not found: ");
    }
}

static void the_account_shows_what_is_left_unreserved(void **state)
{
    struct world *world = *state;
    world->engine.reserved = 75;
    world_call(world, "GET", "");
    lambda_get_account_settings(&world->call);
    assert_answer(world, 200, "\"ConcurrentExecutions\":375,\"UnreservedConcurrentExecutions\":300");
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, make_world, drop_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(tags_are_added_and_replaced),
        WORLD_TEST(tags_are_taken_away_by_name),
        WORLD_TEST(taking_away_what_is_not_there_changes_nothing),
        WORLD_TEST(tags_are_listed),
        WORLD_TEST(only_a_function_without_qualifier_has_tags),
        WORLD_TEST(what_AWS_refuses_of_tags_is_refused),
        WORLD_TEST(concurrency_is_reserved_read_and_given_back),
        WORLD_TEST(the_others_keep_their_minimum),
        WORLD_TEST(what_AWS_refuses_of_a_reservation_is_refused),
        WORLD_TEST(what_nobody_can_configure_is_answered_truthfully),
        WORLD_TEST(the_account_shows_what_is_left_unreserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
