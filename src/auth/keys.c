#include "auth/keys.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <uthash.h>

#include "auth/sigv4.h"
#include "base/codec.h"
#include "base/memory.h"

enum { ACCOUNT_BYTES = 16, ID_RANDOM_BYTES = 10, SECRET_RANDOM_BYTES = 30, TOKEN_RANDOM_BYTES = 48 };

struct key {
    struct principal principal;
    UT_hash_handle hh;
};

struct keyring {
    char account[ACCOUNT_BYTES];
    struct key *keys;
};

struct keyring *keyring_new(const char *account)
{
    struct keyring *keyring = memory_new(sizeof(*keyring));
    assert(strlen(account) < sizeof(keyring->account));
    (void)snprintf(keyring->account, sizeof(keyring->account), "%s", account);
    return keyring;
}

static void key_free(struct keyring *keyring, struct key *key)
{
    HASH_DEL(keyring->keys, key);
    memory_wipe(key, sizeof(*key));
    free(key);
}

void keyring_free(struct keyring *keyring)
{
    if (keyring == NULL)
        return;
    struct key *key, *next;
    HASH_ITER (hh, keyring->keys, key, next)
        key_free(keyring, key);
    free(keyring);
}

void keyring_remove(struct keyring *keyring, const char *access_key)
{
    struct key *key = NULL;
    HASH_FIND_STR(keyring->keys, access_key, key);
    if (key != NULL)
        key_free(keyring, key);
}

const struct principal *keyring_find(const struct keyring *keyring, struct slice access_key)
{
    struct key *key = NULL;
    if (access_key.len == 0 || access_key.len >= ACCESS_KEY_BYTES)
        return NULL;
    HASH_FIND(hh, keyring->keys, access_key.at, access_key.len, key);
    return key == NULL ? NULL : &key->principal;
}

static void copy_text(char *out, size_t cap, const char *text)
{
    assert(strlen(text) < cap);
    memcpy(out, text, strlen(text) + 1);
}

void keyring_add_root(struct keyring *keyring, const char *access_key, const char *secret)
{
    keyring_remove(keyring, access_key); /* a new secret for the same key */
    struct key *key = memory_new(sizeof(*key));
    struct principal *root = &key->principal;
    root->kind = PRINCIPAL_ROOT;
    copy_text(root->access_key, sizeof(root->access_key), access_key);
    copy_text(root->secret, sizeof(root->secret), secret);
    (void)snprintf(root->arn, sizeof(root->arn), "arn:aws:iam::%s:root", keyring->account);
    (void)snprintf(root->user_id, sizeof(root->user_id), "%s", keyring->account);
    HASH_ADD_STR(keyring->keys, principal.access_key, key);
}

/* RFC 4648 section 6's alphabet, as AWS's ids have it. 10 bytes are 16 letters of 5 bits: no remainder, so no bias. */
static void id_text(const unsigned char bytes[ID_RANDOM_BYTES], char out[16])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint32_t bits = 0;
    unsigned have = 0;
    for (int i = 0, at = 0; i < ID_RANDOM_BYTES; i++) {
        bits = bits << 8 | bytes[i];
        for (have += 8; have >= 5; have -= 5)
            out[at++] = alphabet[bits >> (have - 5) & 31];
    }
}

void access_key_make(const char prefix[4], char out[ACCESS_KEY_BYTES])
{
    unsigned char bytes[ID_RANDOM_BYTES];
    random_bytes(bytes, sizeof(bytes));
    memcpy(out, prefix, 4);
    id_text(bytes, out + 4);
    out[ACCESS_KEY_BYTES - 1] = '\0';
}

/* Whole groups of three bytes are base64 without padding: each letter carries six random bits. */
static void random_base64(char *out, size_t random_len)
{
    unsigned char bytes[TOKEN_RANDOM_BYTES];
    assert(random_len <= sizeof(bytes) && random_len % 3 == 0);
    random_bytes(bytes, random_len);
    struct buffer text = BUFFER_EMPTY;
    buffer_reserve(&text, random_len / 3 * 4); /* once: a grown buffer would leave secrets behind in freed memory */
    codec_base64(&text, slice_from(bytes, random_len));
    memcpy(out, text.at, text.len);
    out[text.len] = '\0';
    buffer_wipe(&text);
    memory_wipe(bytes, sizeof(bytes));
}

void secret_key_make(char out[SECRET_KEY_BYTES])
{
    static_assert(SECRET_RANDOM_BYTES / 3 * 4 == SECRET_KEY_BYTES - 1, "whole groups fill a secret key");
    random_base64(out, SECRET_RANDOM_BYTES);
}

/* A role's unique id: AWS makes it at random when the role is made. Until roles are kept somewhere it comes from the
 * names, so that it is the same on each start. */
static void role_id(const struct keyring *keyring, struct slice role_name, char out[21])
{
    AUTO(buffer)
    struct buffer name = BUFFER_EMPTY;
    buffer_appendf(&name, "role/%s/%.*s", keyring->account, SLICE_PRINT(role_name));
    unsigned char digest[32];
    sha256_raw(buffer_slice(&name), digest);
    memcpy(out, "AROA", 4);
    id_text(digest, out + 4);
    out[20] = '\0';
}

const struct principal *keyring_add_instance(struct keyring *keyring, struct slice role_name, struct slice session,
                                             int64_t expires_ms)
{
    static_assert(TOKEN_RANDOM_BYTES / 3 * 4 == SESSION_TOKEN_BYTES - 1, "whole groups fill a session token");
    struct key *key = memory_new(sizeof(*key));
    struct principal *instance = &key->principal;
    instance->kind = PRINCIPAL_INSTANCE;
    do /* 80 random bits do not repeat; but if they did, one instance would end another's key */
        access_key_make("ASIA", instance->access_key);
    while (keyring_find(keyring, slice_of(instance->access_key)) != NULL);
    secret_key_make(instance->secret);
    random_base64(instance->token, TOKEN_RANDOM_BYTES);
    char id[21];
    role_id(keyring, role_name, id);
    int arn = snprintf(instance->arn, sizeof(instance->arn), "arn:aws:sts::%s:assumed-role/%.*s/%.*s",
                       keyring->account, SLICE_PRINT(role_name), SLICE_PRINT(session));
    int user = snprintf(instance->user_id, sizeof(instance->user_id), "%s:%.*s", id, SLICE_PRINT(session));
    /* AWS: a role's name and a session's have 64 characters at most; our callers check both. */
    assert(arn > 0 && (size_t)arn < sizeof(instance->arn));
    assert(user > 0 && (size_t)user < sizeof(instance->user_id));
    instance->expires_ms = expires_ms;
    HASH_ADD_STR(keyring->keys, principal.access_key, key);
    return instance;
}

enum outcome keyring_check_token(const struct principal *principal, struct slice token, int64_t now_ms,
                                 struct error *err)
{
    /* The token first: whoever does not hold it learns nothing of the key, not even that it has expired. */
    if (!slice_equal_secret(token, slice_of(principal->token)))
        return error_set_code(err, ERROR_DENIED, "UnrecognizedClientException",
                              "Use access key, secret and session token of the same credentials.",
                              "The security token included in the request is invalid.");
    if (principal->expires_ms != 0 && now_ms >= principal->expires_ms)
        return error_set_code(err, ERROR_DENIED, "ExpiredTokenException", "Get new credentials.",
                              "The security token included in the request is expired");
    return OK;
}

/* What an instance's key is good for until roles decide (docs/security.md). */
static const char *const instance_actions[] = { "lambda:InvokeFunction", "sts:GetCallerIdentity" };

enum outcome authorize(const struct principal *principal, const char *action, struct slice resource,
                       struct error *err)
{
    if (action == NULL)
        return OK; /* an operation that needs no permission */
    switch (principal->kind) {
    case PRINCIPAL_ROOT:
        return OK;
    case PRINCIPAL_INSTANCE:
        for (size_t i = 0; i < sizeof(instance_actions) / sizeof(instance_actions[0]); i++)
            if (strcmp(action, instance_actions[i]) == 0)
                return OK;
        break;
    }
    return error_set_code(
        err, ERROR_DENIED, "AccessDeniedException",
        "A function's own key may call lambda:InvokeFunction and sts:GetCallerIdentity.",
        "User: %s is not authorized to perform: %s on resource: %.*s because no identity-based policy "
        "allows the %s action",
        principal->arn, action, SLICE_PRINT(resource), action);
}
