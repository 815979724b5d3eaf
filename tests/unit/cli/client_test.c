#include "scene.h"

#include "cli/client.h"

static void ini_files_are_read_by_section(void **state)
{
    static const char text[] =
        "# c\n[default]\r\naws_access_key_id = AKIA1\r\naws_secret_access_key=a=b/c+d\n\n[ hearth ]\n"
        "aws_access_key_id=AKIA2\nregion\n";
    (void)state;
    assert_true(slice_is(ini_value(slice_of(text), "default", "aws_access_key_id"), "AKIA1"));
    assert_true(slice_is(ini_value(slice_of(text), "default", "aws_secret_access_key"), "a=b/c+d"));
    assert_true(slice_is(ini_value(slice_of(text), "hearth", "aws_access_key_id"), "AKIA2"));
    assert_int_equal(ini_value(slice_of(text), "hearth", "region").len, 0);
    assert_int_equal(ini_value(slice_of(text), "other", "aws_access_key_id").len, 0);
    assert_int_equal(ini_value(SLICE_EMPTY, "default", "x").len, 0);
}

static void a_clean_environment(void)
{
    static const char *const names[] = { "HEARTH_DATA",           "AWS_ENDPOINT_URL",  "AWS_ACCESS_KEY_ID",
                                         "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
                                         "AWS_DEFAULT_REGION" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(unsetenv(names[i]), 0);
}

static void a_server_s_files(struct scene *scene)
{
    scene_put(scene, "endpoints.json",
              "{\"api\": \"http://127.0.0.1:41234\", \"gateway\": \"http://127.0.0.1:41235\"}");
    scene_put(scene, "credentials", "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = secret\n");
    scene_put(scene, "config", "[default]\nregion = eu-west-1\n");
}

static void the_data_directory_tells_endpoint_and_keys(void **state)
{
    struct scene *scene = *state;
    struct cli_line line = { 0 };
    AUTO(client)
    struct client client = CLIENT_EMPTY;
    a_clean_environment();
    a_server_s_files(scene);
    assert_int_equal(setenv("HEARTH_DATA", scene->path, 1), 0);
    assert_int_equal(client_open(&line, &client, NULL), OK);
    assert_string_equal(client.endpoint, "http://127.0.0.1:41234");
    assert_string_equal(client.access_key, "AKIAFILE");
    assert_string_equal(client.region, "eu-west-1");
    assert_null(client.token);
}

static void a_named_directory_wins_over_an_endpoint_in_the_environment(void **state)
{
    struct scene *scene = *state;
    struct cli_line line = { 0 };
    a_clean_environment();
    a_server_s_files(scene);
    assert_int_equal(setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "AKIAENV", 1), 0);
    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "s", 1), 0);
    AUTO(client)
    struct client elsewhere = CLIENT_EMPTY;
    assert_int_equal(client_open(&line, &elsewhere, NULL), OK);
    assert_string_equal(elsewhere.access_key, "AKIAENV");
    assert_null(elsewhere.data);
    assert_int_equal(setenv("HEARTH_DATA", scene->path, 1), 0);
    AUTO(client)
    struct client here = CLIENT_EMPTY;
    assert_int_equal(client_open(&line, &here, NULL), OK);
    assert_string_equal(here.access_key, "AKIAFILE");
}

static void a_directory_without_a_server_says_how_to_start_one(void **state)
{
    struct scene *scene = *state;
    struct cli_line line = { 0 };
    AUTO(client)
    struct client client = CLIENT_EMPTY;
    struct error err = { 0 };
    a_clean_environment();
    assert_int_equal(setenv("HEARTH_DATA", scene->path, 1), 0);
    assert_int_equal(client_open(&line, &client, &err), FAILED);
    assert_string_equal(err.code, CLI_CODE_NO_SERVER);
    assert_non_null(strstr(err.hint, "hearth serve --data"));
    assert_int_equal(setenv("HEARTH_DATA", "/nowhere/at/all", 1), 0);
    assert_int_equal(client_open(&line, &client, &err), FAILED);
    assert_string_equal(err.code, CLI_CODE_NO_SERVER);
}

static void damaged_files_are_refused(void **state)
{
    struct scene *scene = *state;
    struct cli_line line = { 0 };
    AUTO(client)
    struct client client = CLIENT_EMPTY;
    struct error err = { 0 };
    a_clean_environment();
    a_server_s_files(scene);
    assert_int_equal(setenv("HEARTH_DATA", scene->path, 1), 0);
    scene_put(scene, "credentials", "[other]\naws_access_key_id = x\n");
    assert_int_equal(client_open(&line, &client, &err), FAILED);
    assert_non_null(strstr(err.message, "no keys"));
    a_server_s_files(scene);
    scene_put(scene, "endpoints.json", "{\"api\": 7}");
    assert_int_equal(client_open(&line, &client, &err), FAILED);
    scene_put(scene, "endpoints.json", "nothing");
    assert_int_equal(client_open(&line, &client, &err), FAILED);
}

static void an_error_answer_keeps_the_server_s_words(void **state)
{
    struct reply reply = { .status = 404 };
    struct error err = { 0 };
    (void)state;
    buffer_append_text(&reply.headers, "x-amzn-errortype\nResourceNotFoundException:http://internal\n");
    buffer_append_text(&reply.body, "{\"Type\":\"User\",\"Message\":\"Function not found: hello\"}");
    assert_int_equal(client_accept(&reply, &err), FAILED);
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    assert_string_equal(err.code, "ResourceNotFoundException");
    assert_string_equal(err.message, "ResourceNotFoundException: Function not found: hello");
    reply_drop(&reply);
    reply.status = 502;
    buffer_append_text(&reply.body, "<html>");
    assert_int_equal(client_accept(&reply, &err), FAILED);
    assert_string_equal(err.message, "the server answered 502");
    reply_drop(&reply);
}

static void a_function_s_name_is_encoded_into_the_path(void **state)
{
    (void)state;
    AUTO(text)
    char *target = client_function_target("a/b c", "/invocations");
    assert_string_equal(target, "/2015-03-31/functions/a%2Fb%20c/invocations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ini_files_are_read_by_section),
        SCENE_TEST(the_data_directory_tells_endpoint_and_keys),
        SCENE_TEST(a_named_directory_wins_over_an_endpoint_in_the_environment),
        SCENE_TEST(a_directory_without_a_server_says_how_to_start_one),
        SCENE_TEST(damaged_files_are_refused),
        cmocka_unit_test(an_error_answer_keeps_the_server_s_words),
        cmocka_unit_test(a_function_s_name_is_encoded_into_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
