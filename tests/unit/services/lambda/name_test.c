/* services/lambda: function names and qualifiers. The outcomes are those recorded from AWS. */
#include "world.h"

static void a_name_is_read_in_every_form_that_AWS_takes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *region, *account, *name, *qualifier;
    } cases[] = {
        { "hello", "", "", "hello", "" },
        { "a-b_C9", "", "", "a-b_C9", "" },
        { "hello:$LATEST", "", "", "hello", "$LATEST" },
        { "hello:42", "", "", "hello", "42" },
        { "function:hello", "", "", "hello", "" },
        { "function:hello:live", "", "", "hello", "live" },
        { "123456789012:function:hello", "", "123456789012", "hello", "" },
        { "123456789012:hello", "", "123456789012", "hello", "" },
        { "us-east-1:123456789012:function:hello", "us-east-1", "123456789012", "hello", "" },
        { "arn:aws:lambda:us-east-1:123456789012:function:hello", "us-east-1", "123456789012", "hello", "" },
        { "arn:aws:lambda:us-east-1:123456789012:function:hello:$LATEST", "us-east-1", "123456789012", "hello",
          "$LATEST" },
        { "arn:aws-cn:lambda:us-gov-west-1:123456789012:function:hello", "us-gov-west-1", "123456789012", "hello",
          "" },
        { "arn:aws:lambda:eusc-de-east-1:123456789012:function:hello", "eusc-de-east-1", "123456789012", "hello",
          "" },
        { "arn:aws:lambda:us-isob-east-1:123456789012:function:hello", "us-isob-east-1", "123456789012", "hello",
          "" },
        /* what a regular expression makes of it: the parts that do not fit become name and qualifier */
        { "arn:aws:lambda:us-east-1:123456789012:function", "us-east-1", "123456789012", "function", "" },
        { "us-east-1", "", "", "us-east-1", "" },
        { "123456789012", "", "", "123456789012", "" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int form = LAMBDA_NAME_FUNCTION; form <= LAMBDA_NAME_NAMESPACED; form++) {
            struct lambda_name name;
            if (!lambda_name_parse(slice_of(cases[i].text), (enum lambda_name_form)form, &name))
                fail_msg("refused: %s", cases[i].text);
            assert_true(slice_is(name.region, cases[i].region));
            assert_true(slice_is(name.account, cases[i].account));
            assert_true(slice_is(name.name, cases[i].name));
            assert_true(slice_is(name.qualifier, cases[i].qualifier));
        }
}

static void what_does_not_match_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "*",
        "my-function!",
        "invalid:function:name",
        "invalid-account:function:my-function",
        "a b",
        "a/b",
        "a:",
        ":a",
        "\xC3\xA9",
        "a:b!",
        "function:my-function:$LATEST:extra",
        "a:$LATES",
        "a:$latest",
        "arn:aws:lambda:invalid-region:123456789012:function:f",
        "arn:aws:ec2:us-east-1:123456789012:instance:i-1",
        "arn:aws:lambda:us-east-1:123456789012:function:f:1:2",
        "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST:1",
        "arn:aws:lambda::123456789012:function:f",
        "arn:aws:lambda:us-east-1::function:f",
        "arn:aws:lambda:us-east-1:123400000000@function:f",
        "arn:aws:lambda:us-east-1:12345678901:function:f",
        "arn:aws:lambda:us-east-12:123456789012:function:f",
        "arn:aw:lambda:us-east-1:123456789012:function:f",
        "arn:aws1:lambda:us-east-1:123456789012:function:f",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        for (int form = LAMBDA_NAME_FUNCTION; form <= LAMBDA_NAME_NAMESPACED; form++) {
            struct lambda_name name;
            if (lambda_name_parse(slice_of(texts[i]), (enum lambda_name_form)form, &name))
                fail_msg("accepted: %s", texts[i]);
        }
}

static void dots_are_for_reading_only(void **state)
{
    (void)state;
    struct lambda_name name;
    assert_true(lambda_name_parse(SLICE("a.b"), LAMBDA_NAME_NAMESPACED, &name));
    assert_false(lambda_name_parse(SLICE("a.b"), LAMBDA_NAME_FUNCTION, &name));
    assert_true(lambda_name_parse(SLICE("a:$LATEST.PUBLISHED"), LAMBDA_NAME_NAMESPACED, &name));
    assert_false(lambda_name_parse(SLICE("a:$LATEST.PUBLISHED"), LAMBDA_NAME_FUNCTION, &name));
}

/* ---- targets: path and query together ---- */

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

static void get(struct world *world, const char *name, const char *qualifier)
{
    world_call(world, "GET", "");
    world_path(world, name);
    if (qualifier != NULL)
        world_query(world, "Qualifier", qualifier);
    lambda_get_function_configuration(&world->call);
}

static void every_form_of_a_name_finds_its_function(void **state)
{
    static const char *const names[] = { "hello", "function:hello", "000000000000:function:hello",
                                         "000000000000:hello",
                                         "arn:aws:lambda:us-east-1:000000000000:function:hello" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        get(*state, names[i], NULL);
        assert_answer((struct world *)*state, 200,
                      "\"FunctionArn\":\"arn:aws:lambda:us-east-1:000000000000:function:hello\"");
    }
}

static void with_LATEST_as_qualifier_the_ARN_of_the_answer_has_it_too(void **state)
{
    static const char wanted[] = "\"FunctionArn\":\"arn:aws:lambda:us-east-1:000000000000:function:hello:$LATEST\"";
    get(*state, "hello", "$LATEST");
    assert_answer((struct world *)*state, 200, wanted);
    get(*state, "hello:$LATEST", NULL);
    assert_answer((struct world *)*state, 200, wanted);
    get(*state, "hello:$LATEST", "$LATEST");
    assert_answer((struct world *)*state, 200, wanted);
}

static void what_is_not_there_is_named_by_its_ARN(void **state)
{
    get(*state, "nobody", NULL);
    assert_failed((struct world *)*state, "ResourceNotFoundException",
                  "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody");
    get(*state, "hello", "42");
    assert_failed((struct world *)*state, "ResourceNotFoundException",
                  "Function not found: arn:aws:lambda:us-east-1:000000000000:function:hello:42");
    get(*state, "hello:live", NULL);
    assert_failed((struct world *)*state, "ResourceNotFoundException", "function:hello:live");
    get(*state, "hello", "$latest");
    assert_failed((struct world *)*state, "ResourceNotFoundException", "function:hello:$latest");
}

static void two_qualifiers_that_differ_are_refused(void **state)
{
    get(*state, "hello:$LATEST", "1");
    assert_failed((struct world *)*state, "InvalidParameterValueException",
                  "The derived qualifier from the function name does not match the specified qualifier.");
}

static void another_region_and_another_account_are_refused(void **state)
{
    get(*state, "arn:aws:lambda:eu-west-1:000000000000:function:hello", NULL);
    assert_failed((struct world *)*state, "ResourceNotFoundException",
                  "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')");
    get(*state, "123456789012:function:hello", NULL);
    assert_failed((struct world *)*state, "AccessDeniedException", "is not authorized to perform: lambda:Test");
}

static void violations_of_the_model_come_together_in_AWSs_words(void **state)
{
    struct world *world = *state;
    get(world, "my-function!", NULL);
    assert_failed(world, "ValidationException",
                  "1 validation error detected: Value 'my-function!' at 'functionName' failed to satisfy "
                  "constraint: Member must "
                  "satisfy regular expression pattern: "
                  "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{"
                  "12}:)?(function:)?"
                  "([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?");
    get(world, "*", "invalid!");
    assert_failed(world, "ValidationException", "2 validation errors detected: Value '*' at 'functionName'");
    assert_text(world->error.message,
                "; Value 'invalid!' at 'qualifier' failed to satisfy constraint: Member must satisfy regular "
                "expression pattern: \\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+");
    char longest[130];
    memset(longest, 'a', sizeof(longest));
    longest[129] = '\0';
    get(world, "hello", longest);
    assert_failed(world, "ValidationException",
                  "at 'qualifier' failed to satisfy constraint: Member must have length less than or "
                  "equal to 128");
}

static void a_hostile_name_makes_a_bounded_message_of_valid_UTF_8(void **state)
{
    struct world *world = *state;
    char name[1000];
    for (size_t i = 0; i + 2 < sizeof(name); i += 2)
        memcpy(name + i, "\xC3\xA9", 2);
    name[998] = '\0';
    get(world, name, NULL);
    assert_string_equal(world->error.code, "ValidationException");
    struct buffer text = BUFFER_EMPTY;
    json_append_string(&text, slice_of(world->error.message));
    assert_null(strstr(buffer_text(&text), "\xEF\xBF\xBD")); /* nothing was cut in two */
    buffer_drop(&text);
}

int main(void)
{
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, make_world, drop_world)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_read_in_every_form_that_AWS_takes),
        cmocka_unit_test(what_does_not_match_is_refused),
        cmocka_unit_test(dots_are_for_reading_only),
        WORLD_TEST(every_form_of_a_name_finds_its_function),
        WORLD_TEST(with_LATEST_as_qualifier_the_ARN_of_the_answer_has_it_too),
        WORLD_TEST(what_is_not_there_is_named_by_its_ARN),
        WORLD_TEST(two_qualifiers_that_differ_are_refused),
        WORLD_TEST(another_region_and_another_account_are_refused),
        WORLD_TEST(violations_of_the_model_come_together_in_AWSs_words),
        WORLD_TEST(a_hostile_name_makes_a_bounded_message_of_valid_UTF_8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
