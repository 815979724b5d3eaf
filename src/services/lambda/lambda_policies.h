/* services/lambda/lambda_policies: resource policies of functions and of layer versions, as documents. They are kept and told; who may call is not
 * decided by them until there are identities. This header is for lambda_policy.c and lambda_layer_policy.c alone. */
#pragma once

#include "services/lambda/lambda.h"

enum {
    LAMBDA_POLICY_BYTES_MAX = 20480,     /* AWS Lambda quotas: a resource policy */
    LAMBDA_STATEMENT_ID_CHARS_MAX = 100, /* model: StatementId */
    LAMBDA_POLICY_TRIES_MAX = 32,        /* ours: a change that others overtook is made again so often */
};

/* What one statement says; empty: not given. */
struct lambda_permission {
    struct slice sid, action, principal, resource;
    struct slice source_arn, source_account, token, organization, url_auth_type;
    bool via_url_given, via_url;
};

void lambda_check_statement_id(struct lambda_checks *checks, struct slice sid, bool dots);
/* The policy with one statement more. `policy` may be empty: there is none yet.
 *   out        appended: the policy;  statement  appended: the statement alone
 *   err        InvalidParameterValueException (principal), ResourceConflictException (the id is there), PolicyLengthExceededException */
MUST_CHECK enum outcome lambda_policy_add(struct slice policy, const struct lambda_permission *permission,
                                          struct buffer *out, struct buffer *statement, struct error *err);
/* The policy without it; nothing is appended when no statement is left.
 *   err  ResourceNotFoundException */
MUST_CHECK enum outcome lambda_policy_remove(struct slice policy, struct slice sid, struct buffer *out,
                                             struct error *err);
/* {"Statement":"..."} or {"Policy":"..."}, with RevisionId when it is not empty. */
void lambda_reply_policy(struct call *call, int status, const char *member, struct slice text,
                         struct slice revision);
