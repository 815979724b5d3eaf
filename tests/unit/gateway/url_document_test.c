/* engine/url: a function URL's document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "engine/url.h"

#define ID "abcdefghijklmnopqrstuvwxyz012345"

static struct function_url *read_ok(const char *text)
{
    struct function_url *url = NULL;
    struct error err = { 0 };
    assert_int_equal(function_url_read(slice_of(text), &url, &err), OK);
    return url;
}

static void assert_refused(const char *text)
{
    struct function_url *url = NULL;
    struct error err = { 0 };
    assert_int_equal(function_url_read(slice_of(text), &url, &err), FAILED);
    assert_null(url);
    assert_int_not_equal(err.hint[0], '\0');
}

static void assert_written(const struct function_url *url, const char *text)
{
    struct buffer out = BUFFER_EMPTY;
    function_url_write(url, &out);
    assert_string_equal(buffer_text(&out), text);
    buffer_drop(&out);
}

static void a_new_one_has_an_id_that_nobody_guesses_and_asks_for_a_signature(void **state)
{
    (void)state;
    struct function_url *one = function_url_new(), *other = function_url_new();
    assert_true(url_id_ok(slice_of(one->id)));
    assert_string_not_equal(one->id, other->id);
    assert_true(one->iam);
    assert_false(one->has_cors);
    assert_int_equal(one->cors.max_age_s, -1);
    function_url_free(one);
    function_url_free(other);
}

static void what_is_written_is_read_again(void **state)
{
    static const char *const documents[] = {
        "{\"Id\":\"" ID "\",\"AuthType\":\"NONE\"}",
        "{\"Id\":\"" ID "\",\"AuthType\":\"AWS_IAM\",\"InvokeMode\":\"BUFFERED\",\"Cors\":{}}",
        "{\"Id\":\"" ID "\",\"AuthType\":\"NONE\",\"Cors\":{\"AllowCredentials\":false,\"MaxAge\":0}}",
        "{\"Id\":\"" ID
        "\",\"AuthType\":\"NONE\",\"Cors\":{\"AllowCredentials\":true,\"AllowHeaders\":[\"a\",\"B\"],"
        "\"AllowMethods\":[\"GET\"],\"AllowOrigins\":[\"https://a.example\",\"*\"],\"ExposeHeaders\":[\"x-\\\"y\"],"
        "\"MaxAge\":86400}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        struct function_url *url = read_ok(documents[i]), *copy = function_url_copy(url);
        assert_written(url, documents[i]);
        function_url_free(url); /* a copy has nothing of its model */
        assert_written(copy, documents[i]);
        function_url_free(copy);
    }
    function_url_free(NULL);
}

static void what_is_none_of_ours_is_refused(void **state)
{
    (void)state;
    assert_refused("");
    assert_refused("[]");
    assert_refused("{}");
    assert_refused("{\"Id\":\"short\",\"AuthType\":\"NONE\"}");
    assert_refused("{\"Id\":\"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345\",\"AuthType\":\"NONE\"}");
    assert_refused("{\"Id\":\"" ID "\"}");
    assert_refused("{\"Id\":\"" ID "\",\"AuthType\":\"none\"}");
    assert_refused("{\"Id\":\"" ID "\",\"AuthType\":\"NONE\",\"InvokeMode\":\"RESPONSE_STREAM\"}");
    assert_refused("{\"Id\":\"" ID "\",\"AuthType\":\"NONE\",\"Cors\":[]}");
    assert_refused("{\"Id\":\"" ID "\",\"AuthType\":\"NONE\",\"Cors\":{\"MaxAge\":86401}}");
    assert_refused("{\"Id\":\"" ID "\",\"AuthType\":\"NONE\",\"Cors\":{\"MaxAge\":-1}}");
    assert_refused("{\"Id\":\"" ID "\",\"AuthType\":\"NONE\",\"Cors\":{\"AllowCredentials\":1}}");
    assert_refused("{\"Id\":\"" ID "\",\"AuthType\":\"NONE\",\"Cors\":{\"AllowOrigins\":\"*\"}}");
    assert_refused("{\"Id\":\"" ID "\",\"AuthType\":\"NONE\",\"Cors\":{\"AllowOrigins\":[\"a\\u0000b\"]}}");
    assert_refused("{\"Id\":\"" ID "\",\"AuthType\":\"NONE\",\"Cors\":{\"AllowMethods\":[1,2]}}");
    assert_refused("{\"Id\":\"" ID "\",\"AuthType\":\"NONE\",\"Cors\":{\"AllowMethods\":"
                   "[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_one_has_an_id_that_nobody_guesses_and_asks_for_a_signature),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(what_is_none_of_ours_is_refused),
    };
    return cmocka_run_group_tests_name("engine/url", tests, NULL, NULL);
}
