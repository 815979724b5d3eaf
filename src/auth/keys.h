/* auth/keys: who is who. Access keys in memory: the root's (from the store, sealed there) and each instance's own short-lived one.
 * Thread: the loop's. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

enum {
    ACCESS_KEY_BYTES = 21, /* "AKIA" or "ASIA" and 16 of A-Z2-7, NUL */
    SECRET_KEY_BYTES = 41, /* 40 of base64's alphabet, NUL */
    SESSION_TOKEN_BYTES = 65,
};

enum principal_kind { PRINCIPAL_ROOT, PRINCIPAL_INSTANCE };

/* Who signed. Borrowed from the keyring until the key is removed: copy what must live longer. */
struct principal {
    enum principal_kind kind;
    char access_key[ACCESS_KEY_BYTES];
    char secret[SECRET_KEY_BYTES];
    char token[SESSION_TOKEN_BYTES]; /* "" when the key needs none */
    char arn[256];      /* arn:aws:iam::ACCOUNT:root | arn:aws:sts::ACCOUNT:assumed-role/ROLE/FUNCTION */
    char user_id[128];  /* ACCOUNT | AROA...:FUNCTION */
    int64_t expires_ms; /* wall; 0 never */
};

struct keyring;
struct keyring *keyring_new(const char *account);
void keyring_free(struct keyring *keyring); /* wipes */
void keyring_add_root(struct keyring *keyring, const char *access_key, const char *secret);
/* A fresh key for one instance: ASIA..., a token, `role_name` and `session` in the ARN. The caller removes it when the instance ends. */
const struct principal *keyring_add_instance(struct keyring *keyring, struct slice role_name, struct slice session,
                                             int64_t expires_ms);
void keyring_remove(struct keyring *keyring, const char *access_key);
/* NULL when unknown. The caller checks expiry and token (keyring_check_token). */
const struct principal *keyring_find(const struct keyring *keyring, struct slice access_key);
/* ERROR_DENIED with AWS's code: UnrecognizedClientException / InvalidClientTokenId "The security token included in the request is invalid." or ExpiredTokenException. */
MUST_CHECK enum outcome keyring_check_token(const struct principal *principal, struct slice token, int64_t now_ms,
                                            struct error *err);

void access_key_make(const char prefix[4], char out[ACCESS_KEY_BYTES]);
void secret_key_make(char out[SECRET_KEY_BYTES]);

/* May this principal do `action` ("lambda:InvokeFunction") on `resource` (an ARN)? Root: all. Instance: lambda:InvokeFunction and
 * sts:GetCallerIdentity until roles decide. The one place where IAM's decision will stand.
 *   err  ERROR_DENIED, AccessDeniedException, "User: ARN is not authorized to perform: ACTION on resource: RESOURCE because no identity-based policy allows the ACTION action" */
MUST_CHECK enum outcome authorize(const struct principal *principal, const char *action, struct slice resource,
                                  struct error *err);
