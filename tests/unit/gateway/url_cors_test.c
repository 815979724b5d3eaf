/* gateway/url_cors: which CORS fields an answer gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "gateway/url_cors.h"

static const struct slice absent = { NULL, 0 };

static void note(const char *name, struct slice value, void *arg)
{
    buffer_appendf(arg, "%s: %.*s|", name, SLICE_PRINT(value));
}

#define LIST(...)                                                                                                  \
    (struct url_list)                                                                                              \
    {                                                                                                              \
        (char **)(uintptr_t)(const char *[]){ __VA_ARGS__ },                                                       \
            sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)                                               \
    }

static void assert_preflight(const struct url_cors *cors, struct slice origin, const char *expected)
{
    struct buffer out = BUFFER_EMPTY;
    url_cors_preflight(cors, origin, SLICE("PUT"), SLICE("x-a, x-b"), note, &out);
    assert_string_equal(buffer_text(&out), expected);
    buffer_drop(&out);
}

static void assert_fields(const struct url_cors *cors, struct slice origin, const char *expected)
{
    struct buffer out = BUFFER_EMPTY;
    url_cors_answer(cors, origin, note, &out);
    assert_string_equal(buffer_text(&out), expected);
    buffer_drop(&out);
}

#define VARY "Vary: Origin,Access-Control-Request-Method,Access-Control-Request-Headers|"

static void a_preflight_is_OPTIONS_with_an_origin_and_a_method(void **state)
{
    (void)state;
    assert_true(url_cors_is_preflight(SLICE("OPTIONS"), SLICE("https://a"), SLICE("GET")));
    assert_false(url_cors_is_preflight(SLICE("GET"), SLICE("https://a"), SLICE("GET")));
    assert_false(url_cors_is_preflight(SLICE("OPTIONS"), absent, SLICE("GET")));
    assert_false(url_cors_is_preflight(SLICE("OPTIONS"), SLICE("https://a"), absent));
}

static void an_allowed_origin_is_named_back_with_what_is_configured(void **state)
{
    (void)state;
    struct url_cors cors = { .origins = LIST("https://a.example", "http://localhost:60905"),
                             .methods = LIST("GET", "PUT"),
                             .headers = LIST("x-a"),
                             .exposed = LIST("x-c", "x-d"),
                             .max_age_s = 300 };
    assert_preflight(&cors, SLICE("http://localhost:60905"),
                     VARY
                     "Access-Control-Allow-Origin: http://localhost:60905|Access-Control-Allow-Methods: GET,PUT|"
                     "Access-Control-Allow-Headers: x-a|Access-Control-Max-Age: 300|");
    assert_fields(
        &cors, SLICE("https://a.example"),
        "Vary: Origin|Access-Control-Allow-Origin: https://a.example|Access-Control-Expose-Headers: x-c,x-d|");
}

static void another_origin_gets_nothing(void **state)
{
    (void)state;
    struct url_cors cors = { .origins = LIST("https://a.example"), .methods = LIST("*"), .max_age_s = -1 };
    assert_preflight(&cors, SLICE("https://b.example"), VARY);
    assert_preflight(&cors, SLICE("https://a.example.evil"), VARY);
    assert_preflight(&cors, SLICE("null"), VARY);
    assert_fields(&cors, SLICE("https://b.example"), "Vary: Origin|");
    assert_fields(&cors, SLICE(""), "Vary: Origin|");
    assert_fields(&cors, absent, "");
}

static void a_configuration_without_origins_allows_none(void **state)
{
    (void)state;
    struct url_cors cors = { .credentials = true, .max_age_s = -1 };
    assert_preflight(&cors, SLICE("https://a.example"), VARY);
}

static void stars_without_credentials_stay_stars_but_the_origin(void **state)
{
    (void)state;
    struct url_cors cors = { .origins = LIST("*"), .methods = LIST("*"), .headers = LIST("*"), .max_age_s = 0 };
    assert_preflight(&cors, SLICE("https://a.example"),
                     VARY "Access-Control-Allow-Origin: https://a.example|Access-Control-Allow-Methods: *|"
                          "Access-Control-Allow-Headers: *|Access-Control-Max-Age: 0|");
    assert_fields(&cors, SLICE("https://a.example"),
                  "Vary: Origin|Access-Control-Allow-Origin: https://a.example|");
}

static void stars_with_credentials_become_what_was_asked_for(void **state)
{
    (void)state;
    struct url_cors cors = { .origins = LIST("https://a.example"),
                             .methods = LIST("*"),
                             .headers = LIST("*"),
                             .credentials = true,
                             .max_age_s = -1 };
    assert_preflight(&cors, SLICE("https://a.example"),
                     VARY "Access-Control-Allow-Origin: https://a.example|Access-Control-Allow-Credentials: true|"
                          "Access-Control-Allow-Methods: PUT|Access-Control-Allow-Headers: x-a, x-b|");
    assert_fields(
        &cors, SLICE("https://a.example"),
        "Vary: Origin|Access-Control-Allow-Origin: https://a.example|Access-Control-Allow-Credentials: true|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preflight_is_OPTIONS_with_an_origin_and_a_method),
        cmocka_unit_test(an_allowed_origin_is_named_back_with_what_is_configured),
        cmocka_unit_test(another_origin_gets_nothing),
        cmocka_unit_test(a_configuration_without_origins_allows_none),
        cmocka_unit_test(stars_without_credentials_stay_stars_but_the_origin),
        cmocka_unit_test(stars_with_credentials_become_what_was_asked_for),
    };
    return cmocka_run_group_tests_name("gateway/url_cors", tests, NULL, NULL);
}
