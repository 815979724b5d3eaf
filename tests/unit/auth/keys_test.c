#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "auth/keys.h"

#define ACCOUNT "000000000000"

static int make(void **state)
{
    struct keyring *keyring = keyring_new(ACCOUNT);
    keyring_add_root(keyring, "AKIAROOTROOTROOTROOT", "0123456789012345678901234567890123456789");
    *state = keyring;
    return 0;
}

static int drop(void **state)
{
    keyring_free(*state);
    return 0;
}

static void keys_have_AWSs_form_and_do_not_repeat(void **state)
{
    (void)state;
    char before[ACCESS_KEY_BYTES] = "", secret_before[SECRET_KEY_BYTES] = "";
    unsigned letters[256] = { 0 };
    for (int i = 0; i < 2000; i++) {
        char key[ACCESS_KEY_BYTES], secret[SECRET_KEY_BYTES];
        access_key_make("AKIA", key);
        secret_key_make(secret);
        assert_int_equal(strlen(key), 20);
        assert_int_equal(strlen(secret), 40);
        assert_int_equal(strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), 20);
        assert_int_equal(strncmp(key, "AKIA", 4), 0);
        assert_string_not_equal(key, before);
        assert_string_not_equal(secret, secret_before);
        memcpy(before, key, sizeof(key));
        memcpy(secret_before, secret, sizeof(secret));
        for (int k = 4; k < 20; k++)
            letters[(unsigned char)key[k]]++;
    }
    /* 32,000 letters of 32: each about 1,000 times. 700 and 1,300 are nine standard deviations away. */
    for (const char *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; *c != '\0'; c++)
        assert_in_range(letters[(unsigned char)*c], 700, 1300);
}

static void the_roots_key_is_found_and_may_do_all(void **state)
{
    const struct principal *root = keyring_find(*state, SLICE("AKIAROOTROOTROOTROOT"));
    assert_non_null(root);
    assert_string_equal(root->arn, "arn:aws:iam::" ACCOUNT ":root");
    assert_string_equal(root->user_id, ACCOUNT);
    assert_int_equal(keyring_check_token(root, SLICE_EMPTY, INT64_MAX, NULL), OK);
    assert_int_equal(authorize(root, "lambda:DeleteFunction", SLICE("arn:x"), NULL), OK);
}

static void an_unknown_key_is_not_found(void **state)
{
    assert_null(keyring_find(*state, SLICE("AKIAROOTROOTROOTROO")));
    assert_null(keyring_find(*state, SLICE("AKIAROOTROOTROOTROOTT")));
    assert_null(keyring_find(*state, SLICE_EMPTY));
    assert_null(keyring_find(*state, SLICE("akiarootrootrootroot")));
}

static void an_instances_key_has_a_token_and_an_end(void **state)
{
    const struct principal *p = keyring_add_instance(*state, SLICE("hearth-basic"), SLICE("hello"), 1000);
    assert_int_equal(strncmp(p->access_key, "ASIA", 4), 0);
    assert_int_equal(strlen(p->token), SESSION_TOKEN_BYTES - 1);
    assert_string_equal(p->arn, "arn:aws:sts::" ACCOUNT ":assumed-role/hearth-basic/hello");
    assert_int_equal(strncmp(p->user_id, "AROA", 4), 0);
    assert_string_equal(p->user_id + 20, ":hello");
    assert_ptr_equal(keyring_find(*state, slice_of(p->access_key)), p);
    assert_int_equal(keyring_check_token(p, slice_of(p->token), 999, NULL), OK);
    struct error err = { 0 };
    assert_int_equal(keyring_check_token(p, slice_of(p->token), 1000, &err), FAILED);
    assert_string_equal(err.code, "ExpiredTokenException");
    static const char *const wrong[] = { "", "x",
                                         "0000000000000000000000000000000000000000000000000000000000000000" };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(keyring_check_token(p, slice_of(wrong[i]), 5000, &err), FAILED);
        assert_string_equal(err.code, "UnrecognizedClientException");
        assert_string_equal(err.message, "The security token included in the request is invalid.");
    }
}

static void a_role_has_one_id_for_all_its_sessions(void **state)
{
    const struct principal *a = keyring_add_instance(*state, SLICE("hearth-basic"), SLICE("a"), 0);
    const struct principal *b = keyring_add_instance(*state, SLICE("hearth-basic"), SLICE("b"), 0);
    const struct principal *c = keyring_add_instance(*state, SLICE("other"), SLICE("a"), 0);
    assert_memory_equal(a->user_id, b->user_id, 20);
    assert_memory_not_equal(a->user_id, c->user_id, 20);
}

static void a_token_with_the_roots_key_is_refused(void **state)
{
    const struct principal *root = keyring_find(*state, SLICE("AKIAROOTROOTROOTROOT"));
    assert_int_equal(keyring_check_token(root, SLICE("x"), 0, NULL), FAILED);
}

static void an_ended_instances_key_is_gone(void **state)
{
    const struct principal *p = keyring_add_instance(*state, SLICE("r"), SLICE("s"), 0);
    char key[ACCESS_KEY_BYTES];
    memcpy(key, p->access_key, sizeof(key));
    keyring_remove(*state, key);
    assert_null(keyring_find(*state, slice_of(key)));
    keyring_remove(*state, key); /* twice does no harm */
}

static void an_instance_may_invoke_and_ask_who_it_is_and_nothing_else(void **state)
{
    const struct principal *p = keyring_add_instance(*state, SLICE("r"), SLICE("s"), 0);
    assert_int_equal(authorize(p, "lambda:InvokeFunction", SLICE("arn:x"), NULL), OK);
    assert_int_equal(authorize(p, "sts:GetCallerIdentity", SLICE("*"), NULL), OK);
    assert_int_equal(authorize(p, NULL, SLICE("*"), NULL), OK);
    struct error err = { 0 };
    assert_int_equal(authorize(p, "lambda:GetFunction", SLICE("arn:aws:lambda:us-east-1:0:function:f"), &err),
                     FAILED);
    assert_int_equal(err.kind, ERROR_DENIED);
    assert_string_equal(err.code, "AccessDeniedException");
    assert_string_equal(
        err.message,
        "User: arn:aws:sts::" ACCOUNT ":assumed-role/r/s is not authorized to perform: lambda:GetFunction "
        "on resource: arn:aws:lambda:us-east-1:0:function:f because no identity-based policy allows the "
        "lambda:GetFunction action");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_AWSs_form_and_do_not_repeat),
        cmocka_unit_test_setup_teardown(the_roots_key_is_found_and_may_do_all, make, drop),
        cmocka_unit_test_setup_teardown(an_unknown_key_is_not_found, make, drop),
        cmocka_unit_test_setup_teardown(an_instances_key_has_a_token_and_an_end, make, drop),
        cmocka_unit_test_setup_teardown(a_role_has_one_id_for_all_its_sessions, make, drop),
        cmocka_unit_test_setup_teardown(a_token_with_the_roots_key_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(an_ended_instances_key_is_gone, make, drop),
        cmocka_unit_test_setup_teardown(an_instance_may_invoke_and_ask_who_it_is_and_nothing_else, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
