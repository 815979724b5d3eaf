/* services/lambda: reading, updating, deleting and listing functions; the table itself. */
#include "world.h"

static int make_world(void **state)
{
    struct world *world = memory_new(sizeof(*world));
    world_init(world);
    world_add_function(world, "hello");
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

static const char INVALID[] = "InvalidParameterValueException";

/* ---- reading ---- */

static void a_configuration_is_exactly_what_AWS_gives(void **state)
{
    struct world *world = *state;
    char wanted[2048];
    call(world, lambda_get_function_configuration, "hello", "");
    snprintf(
        wanted, sizeof(wanted),
        "{\"FunctionName\":\"hello\",\"FunctionArn\":\"arn:aws:lambda:us-east-1:000000000000:function:hello\","
        "\"Runtime\":\"nodejs20.x\",\"Role\":\"arn:aws:iam::000000000000:role/"
        "hearth-basic\",\"Handler\":\"index.handler\","
        "\"CodeSize\":276,\"Description\":\"\",\"Timeout\":3,\"MemorySize\":128,"
        "\"LastModified\":\"2024-01-31T12:00:00.123+0000\",\"CodeSha256\":\"47DEQpj8HBSa+/"
        "TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\","
        "\"Version\":\"$LATEST\",\"RevisionId\":\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\",\"PackageType\":\"Zip\","
        "\"State\":\"Active\",\"LastUpdateStatus\":\"Successful\",\"TracingConfig\":{\"Mode\":\"PassThrough\"},"
        "\"Architectures\":[\"%s\"],\"EphemeralStorage\":{\"Size\":512},"
        "\"SnapStart\":{\"ApplyOn\":\"None\",\"OptimizationStatus\":\"Off\"},"
        "\"LoggingConfig\":{\"LogFormat\":\"Text\",\"LogGroup\":\"/aws/lambda/hello\"}}",
        function_architecture());
    assert_answer(world, 200, "{");
    assert_string_equal(buffer_text(&world->answer), wanted);
}

static void the_environment_is_there_when_there_is_one(void **state)
{
    struct world *world = *state;
    call(world, lambda_get_function_configuration, "hello", "");
    assert_null(strstr(buffer_text(&world->answer), "Environment"));
    struct function *f = world->engine.functions[0];
    f->environment = memory_new_array(1, sizeof(*f->environment));
    f->environment[0] = (struct variable){ memory_text("KEY_1"), memory_text("\"v\"") };
    f->environment_count = 1;
    call(world, lambda_get_function_configuration, "hello", "");
    assert_answer(world, 200, "\"Environment\":{\"Variables\":{\"KEY_1\":\"\\\"v\\\"\"}}");
}

static void GetFunction_adds_code_and_tags(void **state)
{
    struct world *world = *state;
    call(world, lambda_get_function, "hello", "");
    assert_answer(world, 200, "{\"Configuration\":{\"FunctionName\":\"hello\"");
    assert_text(buffer_text(&world->answer),
                "\"Code\":{\"RepositoryType\":\"S3\",\"Location\":\"http://hearth.example/code/\"}}");
    struct function *f = world->engine.functions[0];
    f->tags = memory_new_array(1, sizeof(*f->tags));
    f->tags[0] = (struct variable){ memory_text("team"), memory_text("a") };
    f->tag_count = 1;
    call(world, lambda_get_function, "hello", "");
    assert_answer(world, 200, "\"Tags\":{\"team\":\"a\"}}");
    call(world, lambda_get_function, "nobody", "");
    assert_failed(world, "ResourceNotFoundException", "function:nobody");
}

/* ---- UpdateFunctionConfiguration ---- */

static struct function *changed(struct world *world, const char *body)
{
    call(world, lambda_update_function_configuration, "hello", body);
    if (world->engine.asked != ASKED_CONFIGURATION)
        fail_msg("%s: %s", world->error.code, world->error.message);
    return world->engine.draft;
}

static void an_update_changes_what_it_names_and_nothing_else(void **state)
{
    struct world *world = *state;
    const struct function *f =
        changed(world, "{\"Timeout\":10,\"Runtime\":\"python3.11\",\"Handler\":\"app.handler\"}");
    assert_int_equal(f->timeout_s, 10);
    assert_string_equal(f->runtime->id, "python3.11");
    assert_string_equal(f->handler, "app.handler");
    assert_int_equal(f->memory_mb, 128);
    assert_string_equal(f->log_group, "/aws/lambda/hello");
    assert_int_equal(world->engine.functions[0]->timeout_s, 3); /* the published one is immutable */
    f = changed(world, "{}");
    assert_int_equal(f->timeout_s, 3);
}

static void an_update_is_answered_200_once_it_is_saved(void **state)
{
    struct world *world = *state;
    changed(world, "{\"Timeout\":10}");
    assert_int_equal(world->replies, 0);
    world_saved(world, OK, world->engine.functions[0], NULL);
    assert_answer(world, 200, "\"LastUpdateStatus\":\"Successful\"");
}

static void an_environment_is_replaced_kept_or_taken_away(void **state)
{
    struct world *world = *state;
    struct function *f = world->engine.functions[0];
    f->environment = memory_new_array(1, sizeof(*f->environment));
    f->environment[0] = (struct variable){ memory_text("OLD"), memory_text("1") };
    f->environment_count = 1;
    assert_int_equal(changed(world, "{\"Timeout\":4}")->environment_count, 1);
    const struct function *draft = changed(world, "{\"Environment\":{\"Variables\":{\"NEW\":\"2\"}}}");
    assert_int_equal(draft->environment_count, 1);
    assert_string_equal(draft->environment[0].name, "NEW");
    assert_int_equal(changed(world, "{\"Environment\":{\"Variables\":{}}}")->environment_count, 0);
    assert_int_equal(changed(world, "{\"Environment\":{}}")->environment_count, 0);
    assert_int_equal(changed(world, "{\"Environment\":null}")->environment_count, 1);
}

static void a_revision_that_is_not_the_latest_is_refused(void **state)
{
    struct world *world = *state;
    changed(world, "{\"RevisionId\":\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\",\"Timeout\":4}");
    assert_string_equal(world->engine.revision, "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    call(world, lambda_update_function_configuration, "hello", "{\"RevisionId\":\"another\",\"Timeout\":4}");
    assert_failed(world, "PreconditionFailedException",
                  "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias "
                  "API to retrieve the "
                  "latest Revision Id");
    assert_int_equal(world->error.kind, ERROR_PRECONDITION);
}

static void an_update_refuses_what_creation_refuses(void **state)
{
    struct world *world = *state;
    call(world, lambda_update_function_configuration, "hello", "{\"Role\":\"r1\"}");
    assert_failed(world, "ValidationException", "Value 'r1' at 'role'");
    call(world, lambda_update_function_configuration, "hello", "{\"Runtime\":\"non-existent-runtime\"}");
    assert_failed(world, INVALID, "Value non-existent-runtime at 'runtime'");
    call(world, lambda_update_function_configuration, "hello",
         "{\"Layers\":[\"arn:aws:lambda:us-east-1:000000000000:layer:l:1\"]}");
    assert_failed(world, INVALID, "Layer version arn:aws:lambda:us-east-1:000000000000:layer:l:1 does not exist.");
    call(world, lambda_update_function_configuration, "hello",
         "{\"Publish\":true}"); /* not a member of this shape */
    assert_int_equal(world->engine.asked, ASKED_CONFIGURATION);
    call(world, lambda_update_function_configuration, "nobody", "{\"Timeout\":4}");
    assert_failed(world, "ResourceNotFoundException", "function:nobody");
    call(world, lambda_update_function_configuration, "hello:1", "{\"Timeout\":4}");
    assert_failed(world, INVALID, "Aliases and versions do not support this operation.");
    world->engine.runtime_missing = true;
    call(world, lambda_update_function_configuration, "hello", "{\"Runtime\":\"python3.11\"}");
    assert_failed(world, INVALID, "hearth runtime add python3.11");
    changed(world, "{\"Runtime\":\"nodejs20.x\"}"); /* unchanged: what runs may go on */
}

/* ---- UpdateFunctionCode ---- */

#define ZIP "\"ZipFile\":\"UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==\""

static void new_code_reaches_the_engine_decoded(void **state)
{
    struct world *world = *state;
    char body[256];
    snprintf(
        body, sizeof(body),
        "{" ZIP
        ",\"RevisionId\":\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\",\"Architectures\":[\"%s\"],\"Publish\":false}",
        function_architecture());
    call(world, lambda_update_function_code, "function:hello", body);
    assert_int_equal(world->engine.asked, ASKED_CODE);
    assert_string_equal(world->engine.name, "hello");
    assert_string_equal(world->engine.architecture, function_architecture());
    assert_string_equal(world->engine.revision, "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    assert_int_equal(world->engine.zip.len, 22);
    assert_false(world->engine.dry_run);
    assert_int_equal(world->body.len, 0);
    world_saved(world, OK, world->engine.functions[0], NULL);
    assert_answer(world, 200, "\"FunctionName\":\"hello\"");
}

static void a_dry_run_says_so_to_the_engine(void **state)
{
    struct world *world = *state;
    call(world, lambda_update_function_code, "hello", "{" ZIP ",\"DryRun\":true}");
    assert_true(world->engine.dry_run);
    assert_string_equal(world->engine.architecture, "");
    assert_string_equal(world->engine.revision, "");
}

static void bad_code_updates_are_refused(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *body, *code, *text;
    } cases[] = {
        { "{}", INVALID, "Please provide a source for function code." },
        { "{\"S3Bucket\":\"b\",\"S3Key\":\"k\"}", INVALID, "Code from S3" },
        { "{\"ImageUri\":\"i\"}", INVALID, "ImageUri" },
        { "{" ZIP ",\"DryRun\":\"yes\"}", "SerializationException",
          "STRING_VALUE can not be converted to a Boolean" },
        { "{" ZIP ",\"RevisionId\":\"old\"}", "PreconditionFailedException",
          "The Revision Id provided does not match" },
        { "{" ZIP ",\"Architectures\":[\"sparc\"]}", "ValidationException", "Value '[sparc]' at 'architectures'" },
        { "{\"ZipFile\":\"!\"}", "SerializationException", "ZipFile" },
        { "{\"ZipFile\"", "", "" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        call(world, lambda_update_function_code, "hello", cases[i].body);
        assert_int_equal(world->engine.asked, ASKED_NOTHING);
        assert_failed(world, cases[i].code, cases[i].text);
    }
}

/* ---- DeleteFunction ---- */

static void deleting_answers_204_once_it_is_done(void **state)
{
    struct world *world = *state;
    call(world, lambda_delete_function, "arn:aws:lambda:us-east-1:000000000000:function:hello", "");
    assert_int_equal(world->engine.asked, ASKED_DELETE);
    assert_string_equal(world->engine.name, "hello");
    assert_int_equal(world->replies, 0);
    world_saved(world, OK, NULL, NULL);
    assert_answer(world, 204, "");
    assert_int_equal(world->answer.len, 0);
    assert_string_equal(world->forgotten, "hello"); /* with its events */
}

static void deleting_takes_qualifiers_as_AWS_does(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *name, *qualifier, *code, *text;
    } cases[] = {
        { "nobody", NULL, "ResourceNotFoundException",
          "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody" },
        { "hello", "$LATEST", INVALID, "$LATEST version cannot be deleted without deleting the function." },
        { "hello:$LATEST", NULL, INVALID, "$LATEST version cannot be deleted without deleting the function." },
        { "hello", "live", INVALID, "Deletion of aliases is not currently supported." },
        { "hello:$LATEST", "1", INVALID, "The derived qualifier from the function name does not match" },
        { "nobody", "1233", "ResourceNotFoundException", "function:nobody" },
        { "nobody", "$latest", "ResourceNotFoundException", "function:nobody" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world_call(world, "DELETE", "");
        world_path(world, cases[i].name);
        if (cases[i].qualifier != NULL)
            world_query(world, "Qualifier", cases[i].qualifier);
        lambda_delete_function(&world->call);
        assert_int_equal(world->engine.asked, ASKED_NOTHING);
        assert_failed(world, cases[i].code, cases[i].text);
    }
    world_call(world, "DELETE", "");
    world_path(world, "hello");
    world_query(world, "Qualifier", "1233");
    lambda_delete_function(&world->call);
    assert_int_equal(world->engine.asked,
                     ASKED_NOTHING); /* a version that is not there: nothing happens, and that is success */
    assert_answer(world, 204, "");
}

/* ---- ListFunctions ---- */

static size_t occurrences(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        n++;
    return n;
}

static void list(struct world *world, const char *max, const char *marker)
{
    world_call(world, "GET", "");
    if (max != NULL)
        world_query(world, "MaxItems", max);
    if (marker != NULL)
        world_query(world, "Marker", marker);
    lambda_list_functions(&world->call);
}

static void fill(struct world *world)
{
    char name[32];
    for (int i = 0; i < 119; i++) {
        snprintf(name, sizeof(name), "list-%03d", i);
        world_add_function(world, name);
    }
}

static void a_list_has_no_state_and_no_more_than_its_functions(void **state)
{
    struct world *world = *state;
    list(world, NULL, NULL);
    assert_answer(world, 200, "{\"Functions\":[{\"FunctionName\":\"hello\"");
    assert_null(strstr(buffer_text(&world->answer), "NextMarker"));
    assert_null(strstr(buffer_text(&world->answer), "State"));
    assert_null(strstr(buffer_text(&world->answer), "LastUpdateStatus"));
}

static void pages_go_through_every_function_once_in_order(void **state)
{
    struct world *world = *state;
    fill(world);
    char marker[512] = "";
    size_t seen = 0, pages = 0;
    do {
        list(world, "10000", marker[0] == '\0' ? NULL : marker);
        assert_answer(world, 200, "\"Functions\":[");
        const char *text = buffer_text(&world->answer);
        size_t here = occurrences(text, "\"FunctionName\":");
        assert_true(here <= 50); /* whatever is asked for */
        seen += here;
        pages++;
        const char *next = strstr(text, "\"NextMarker\":\"");
        marker[0] = '\0';
        if (next != NULL)
            sscanf(next, "\"NextMarker\":\"%511[^\"]", marker);
    } while (marker[0] != '\0');
    assert_int_equal(seen, 120);
    assert_int_equal(pages, 3);
}

static void a_page_is_as_small_as_it_is_asked_for(void **state)
{
    struct world *world = *state;
    fill(world);
    list(world, "1", NULL);
    assert_answer(world, 200, "\"NextMarker\":\"aGVsbG8=\"");
    assert_int_equal(occurrences(buffer_text(&world->answer), "\"FunctionName\":"), 1);
    list(world, "2", "aGVsbG8=");
    assert_answer(world, 200, "\"FunctionName\":\"list-000\"");
    assert_int_equal(occurrences(buffer_text(&world->answer), "\"FunctionName\":"), 2);
}

static void bad_list_parameters_are_refused(void **state)
{
    struct world *world = *state;
    list(world, "0", NULL);
    assert_failed(world, "ValidationException",
                  "Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater "
                  "than or equal to 1");
    list(world, "10001", NULL);
    assert_failed(world, "ValidationException", "Member must have value less than or equal to 10000");
    list(world, "-5", NULL);
    assert_failed(world, "ValidationException", "Value '-5' at 'maxItems'");
    list(world, "ten", NULL);
    assert_failed(world, "SerializationException", "STRING_VALUE can not be converted to an Integer");
    list(world, NULL, "nonsense!");
    assert_failed(world, INVALID, "Marker");
    list(world, NULL, "AAAA"); /* base64 of what is no name */
    assert_failed(world, INVALID, "Marker");
    world_call(world, "GET", "");
    world_query(world, "FunctionVersion", "invalid");
    lambda_list_functions(&world->call);
    assert_failed(world, "ValidationException",
                  "1 validation error detected: Value 'invalid' at 'functionVersion' failed to satisfy "
                  "constraint: Member must satisfy enum value set: [ALL]");
}

static void all_versions_are_listed_with_qualified_ARNs(void **state)
{
    struct world *world = *state;
    world_call(world, "GET", "");
    world_query(world, "FunctionVersion", "ALL");
    lambda_list_functions(&world->call);
    assert_answer(world, 200, "function:hello:$LATEST\"");
}

static void there_are_no_replicas_of_another_region(void **state)
{
    struct world *world = *state;
    world_call(world, "GET", "");
    world_query(world, "MasterRegion", "us-east-1");
    world_query(world, "FunctionVersion", "ALL");
    lambda_list_functions(&world->call);
    assert_answer(world, 200, "{\"Functions\":[]}");
}

static void account_settings_tell_limits_and_use(void **state)
{
    struct world *world = *state;
    world_call(world, "GET", "");
    lambda_get_account_settings(&world->call);
    assert_answer(world, 200, "{");
    assert_string_equal(buffer_text(&world->answer),
                        "{\"AccountLimit\":{\"TotalCodeSize\":80530636800,\"CodeSizeUnzipped\":262144000,"
                        "\"CodeSizeZipped\":52428800,"
                        "\"ConcurrentExecutions\":375,\"UnreservedConcurrentExecutions\":375},"
                        "\"AccountUsage\":{\"TotalCodeSize\":276,\"FunctionCount\":1}}");
}

/* ---- the table ---- */

static const struct operation *row(const char *name)
{
    for (size_t i = 0; i < lambda_service.operation_count; i++)
        if (strcmp(lambda_service.operations[i].name, name) == 0)
            return &lambda_service.operations[i];
    return NULL;
}

static void every_row_is_complete_and_bounded(void **state)
{
    (void)state;
    assert_string_equal(lambda_service.name, "lambda");
    for (size_t i = 0; i < lambda_service.operation_count; i++) {
        const struct operation *operation = &lambda_service.operations[i];
        assert_non_null(operation->handler);
        assert_non_null(operation->resource);
        assert_int_equal(strncmp(operation->action, "lambda:", 7), 0);
        assert_int_equal(operation->path[0], '/');
        assert_true(operation->body_max > 0 && operation->body_max <= API_BODY_BYTES_MAX);
    }
}

static void assert_resource(struct world *world, const char *operation, const char *wanted)
{
    AUTO(buffer)
    struct buffer arn = BUFFER_EMPTY;
    row(operation)->resource(&world->call, &arn);
    assert_string_equal(buffer_text(&arn), wanted);
}

static void a_permission_is_asked_for_the_function_that_is_meant(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *name, *qualifier, *arn;
    } cases[] = {
        { "hello", NULL, "arn:aws:lambda:us-east-1:000000000000:function:hello" },
        { "hello", "live", "arn:aws:lambda:us-east-1:000000000000:function:hello:live" },
        { "hello:live", NULL, "arn:aws:lambda:us-east-1:000000000000:function:hello:live" },
        { "arn:aws:lambda:eu-west-1:123456789012:function:hello", NULL,
          "arn:aws:lambda:eu-west-1:123456789012:function:hello" },
        { "../*", NULL, "arn:aws:lambda:us-east-1:000000000000:function:../*" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world_call(world, "POST", "");
        world_path(world, cases[i].name);
        if (cases[i].qualifier != NULL)
            world_query(world, "Qualifier", cases[i].qualifier);
        assert_resource(world, "Invoke", cases[i].arn);
    }
    world_call(world, "POST", "{\"FunctionName\":\"function:new\"}");
    assert_resource(world, "CreateFunction", "arn:aws:lambda:us-east-1:000000000000:function:new");
    world_call(world, "POST", "not json");
    assert_resource(world, "CreateFunction", "arn:aws:lambda:us-east-1:000000000000:function:");
    assert_resource(world, "ListFunctions", "*");
}

int main(void)
{
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, make_world, drop_world)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_configuration_is_exactly_what_AWS_gives),
        WORLD_TEST(the_environment_is_there_when_there_is_one),
        WORLD_TEST(GetFunction_adds_code_and_tags),
        WORLD_TEST(an_update_changes_what_it_names_and_nothing_else),
        WORLD_TEST(an_update_is_answered_200_once_it_is_saved),
        WORLD_TEST(an_environment_is_replaced_kept_or_taken_away),
        WORLD_TEST(a_revision_that_is_not_the_latest_is_refused),
        WORLD_TEST(an_update_refuses_what_creation_refuses),
        WORLD_TEST(new_code_reaches_the_engine_decoded),
        WORLD_TEST(a_dry_run_says_so_to_the_engine),
        WORLD_TEST(bad_code_updates_are_refused),
        WORLD_TEST(deleting_answers_204_once_it_is_done),
        WORLD_TEST(deleting_takes_qualifiers_as_AWS_does),
        WORLD_TEST(a_list_has_no_state_and_no_more_than_its_functions),
        WORLD_TEST(pages_go_through_every_function_once_in_order),
        WORLD_TEST(a_page_is_as_small_as_it_is_asked_for),
        WORLD_TEST(bad_list_parameters_are_refused),
        WORLD_TEST(all_versions_are_listed_with_qualified_ARNs),
        WORLD_TEST(there_are_no_replicas_of_another_region),
        WORLD_TEST(account_settings_tell_limits_and_use),
        WORLD_TEST(every_row_is_complete_and_bounded),
        WORLD_TEST(a_permission_is_asked_for_the_function_that_is_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
