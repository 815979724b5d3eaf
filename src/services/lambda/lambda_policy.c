#include "services/lambda/lambda_policies.h"

#include <stdlib.h>

/* AddPermission, RemovePermission, GetPolicy. A policy is a setting of the function (SETTING_POLICY), one a qualifier; a change reads what memory has,
 * and writes it on condition that nobody came between, or begins again. */

static const char INVALID_PARAMETER[] = "InvalidParameterValueException";

/* ---- statements ---- */

static bool all_of(struct slice text, const char *more)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == '\0' || strchr(more, c) == NULL))
            return false;
    }
    return text.len > 0;
}

static bool is_account(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return text.len == 12;
}

/* "arn:aws:iam::123456789012:role/name", sts's assumed roles, and CloudFront's own users. */
static bool is_identity(struct slice text)
{
    struct slice rest = text, arn = slice_split(&rest, ':'), partition = slice_split(&rest, ':');
    struct slice service = slice_split(&rest, ':'), region = slice_split(&rest, ':');
    struct slice account = slice_split(&rest, ':');
    return slice_is(arn, "arn") && slice_starts(partition, SLICE("aws")) && all_of(partition, "-") &&
           (slice_is(service, "iam") || slice_is(service, "sts")) && region.len == 0 &&
           (is_account(account) || slice_is(account, "cloudfront")) && all_of(rest, "_+=,.@-/:");
}

static bool is_service(struct slice text)
{
    return all_of(text, ".-") &&
           (slice_ends(text, SLICE(".amazonaws.com")) || slice_ends(text, SLICE(".amazon.com")) ||
            slice_ends(text, SLICE(".amazonaws.com.cn")));
}

static void add_slice(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, struct slice text)
{
    yyjson_mut_obj_add_val(doc, object, name, json_from_slice(doc, text));
}

static enum outcome add_principal(yyjson_mut_doc *doc, yyjson_mut_val *statement, struct slice principal,
                                  struct error *err)
{
    if (slice_is(principal, "*")) {
        yyjson_mut_obj_add_str(doc, statement, "Principal", "*");
        return OK;
    }
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(doc, statement, "Principal");
    if (is_account(principal)) {
        AUTO(buffer)
        struct buffer arn = BUFFER_EMPTY;
        buffer_appendf(&arn, "arn:aws:iam::%.*s:root", SLICE_PRINT(principal));
        add_slice(doc, object, "AWS", buffer_slice(&arn));
    } else if (is_identity(principal))
        add_slice(doc, object, "AWS", principal);
    else if (is_service(principal))
        add_slice(doc, object, "Service", principal);
    else
        return error_set_code(err, ERROR_INVALID, INVALID_PARAMETER,
                              "Name a service (s3.amazonaws.com), an account, an ARN of IAM, or *.",
                              "The provided principal was invalid. Please check the principal and try again.");
    return OK;
}

/* The order of the keys is that of AWS's answers. */
static void add_condition(yyjson_mut_doc *doc, yyjson_mut_val *statement, const struct lambda_permission *p)
{
    yyjson_mut_val *condition = yyjson_mut_obj(doc), *equals = yyjson_mut_obj(doc);
    if (p->source_account.len > 0)
        add_slice(doc, equals, "AWS:SourceAccount", p->source_account);
    if (p->token.len > 0)
        add_slice(doc, equals, "lambda:EventSourceToken", p->token);
    if (p->url_auth_type.len > 0)
        add_slice(doc, equals, "lambda:FunctionUrlAuthType", p->url_auth_type);
    if (p->organization.len > 0)
        add_slice(doc, equals, "aws:PrincipalOrgID", p->organization);
    if (yyjson_mut_obj_size(equals) > 0)
        yyjson_mut_obj_add_val(doc, condition, "StringEquals", equals);
    if (p->source_arn.len > 0)
        add_slice(doc, yyjson_mut_obj_add_obj(doc, condition, "ArnLike"), "AWS:SourceArn", p->source_arn);
    if (p->via_url_given)
        yyjson_mut_obj_add_str(doc, yyjson_mut_obj_add_obj(doc, condition, "Bool"), "lambda:InvokedViaFunctionUrl",
                               p->via_url ? "true" : "false");
    if (yyjson_mut_obj_size(condition) > 0)
        yyjson_mut_obj_add_val(doc, statement, "Condition", condition);
}

static enum outcome make_statement(yyjson_mut_doc *doc, const struct lambda_permission *p, yyjson_mut_val **out,
                                   struct error *err)
{
    yyjson_mut_val *statement = yyjson_mut_obj(doc);
    add_slice(doc, statement, "Sid", p->sid);
    yyjson_mut_obj_add_str(doc, statement, "Effect", "Allow");
    TRY(add_principal(doc, statement, p->principal, err));
    add_slice(doc, statement, "Action", p->action);
    add_slice(doc, statement, "Resource", p->resource);
    add_condition(doc, statement, p);
    *out = statement;
    return OK;
}

/* ---- policies ---- */

void lambda_check_statement_id(struct lambda_checks *checks, struct slice sid, bool dots)
{
    lambda_check_length(checks, "statementId", sid, 1, LAMBDA_STATEMENT_ID_CHARS_MAX);
    if (!all_of(sid, dots ? "-_." : "-_"))
        lambda_check_failed(checks, "statementId", sid, "Member must satisfy regular expression pattern: %s",
                            dots ? "([a-zA-Z0-9-_.]+)" : "([a-zA-Z0-9-_]+)");
}

/* A copy to work on, and its list of statements; `policy` is ours, so it reads. */
static enum outcome read_policy(struct slice policy, yyjson_mut_doc **out, yyjson_mut_val **statements,
                                struct error *err)
{
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    TRY(json_parse(policy.len > 0 ? policy
                                  : SLICE("{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[]}"),
                   &doc, err));
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
    *statements = yyjson_mut_obj_get(yyjson_mut_doc_get_root(copy), "Statement");
    if (!yyjson_mut_is_arr(*statements)) {
        yyjson_mut_doc_free(copy);
        return error_set(err, ERROR_INTERNAL, "Restore the data directory from a backup.",
                         "a stored policy has no list of statements");
    }
    *out = copy;
    return OK;
}

/* The index of that statement; the list's length when there is none. */
static size_t find_statement(yyjson_mut_val *statements, struct slice sid)
{
    size_t index = 0, max = 0;
    yyjson_mut_val *each = NULL;
    yyjson_mut_arr_foreach(statements, index, max, each)
    {
        yyjson_mut_val *id = yyjson_mut_obj_get(each, "Sid");
        if (slice_equal(slice_from(yyjson_mut_get_str(id), yyjson_mut_get_len(id)), sid))
            return index;
    }
    return max;
}

enum outcome lambda_policy_add(struct slice policy, const struct lambda_permission *permission, struct buffer *out,
                               struct buffer *statement, struct error *err)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = NULL;
    AUTO(json_mut_doc)
    yyjson_mut_doc *alone = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *statements = NULL, *made = NULL, *root = NULL;
    TRY(read_policy(policy, &doc, &statements, err));
    if (find_statement(statements, permission->sid) < yyjson_mut_arr_size(statements))
        return error_set_code(err, ERROR_EXISTS, "ResourceConflictException", "Choose another StatementId.",
                              "The statement id (%.*s) provided already exists. Please provide a new statement id, "
                              "or remove the existing statement.",
                              SLICE_PRINT(permission->sid));
    TRY(make_statement(doc, permission, &made, err));
    yyjson_mut_arr_append(statements, made);
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    json_write(&text, doc);
    if (text.len > LAMBDA_POLICY_BYTES_MAX)
        return error_set_code(err, ERROR_INVALID, "PolicyLengthExceededException",
                              "Remove statements that are no longer needed, or name more with one.",
                              "The final policy size (%zu) is bigger than the limit (%d).", text.len,
                              LAMBDA_POLICY_BYTES_MAX);
    TRY(make_statement(alone, permission, &root, err));
    yyjson_mut_doc_set_root(alone, root);
    buffer_append_slice(out, buffer_slice(&text));
    json_write(statement, alone);
    return OK;
}

enum outcome lambda_policy_remove(struct slice policy, struct slice sid, struct buffer *out, struct error *err)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = NULL;
    yyjson_mut_val *statements = NULL;
    TRY(read_policy(policy, &doc, &statements, err));
    size_t index = find_statement(statements, sid);
    if (index == yyjson_mut_arr_size(statements))
        return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                              "Read the policy to see which statements there are.",
                              "Statement %.*s is not found in resource policy.", SLICE_PRINT(sid));
    (void)yyjson_mut_arr_remove(statements, index);
    if (yyjson_mut_arr_size(statements) > 0)
        json_write(out, doc);
    return OK;
}

void lambda_reply_policy(struct call *call, int status, const char *member, struct slice text,
                         struct slice revision)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    add_slice(doc, root, member, text);
    if (revision.len > 0)
        add_slice(doc, root, "RevisionId", revision);
    call_reply_json(call, status, doc);
}

/* ---- a change of a function's policy ---- */

struct policy_change {
    struct call *call;
    struct lambda_target target;
    struct slice qualifier; /* of the setting: "$LATEST" when none was given */
    struct slice revision;  /* that the client read; empty: any */
    bool remove;
    struct lambda_permission permission; /* of a removal the sid alone */
    struct buffer statement;
    unsigned tries;
};

static void change_try(struct policy_change *change);

static void change_answer(struct policy_change *change, enum outcome outcome, const struct error *err)
{
    struct call *call = change->call;
    if (outcome != OK)
        call_fail(call, err);
    else if (change->remove)
        call_reply_empty(call, 204);
    else {
        struct buffer statement = buffer_take(&change->statement);
        lambda_reply_policy(call, 201, "Statement", buffer_slice(&statement), SLICE_EMPTY);
        buffer_drop(&statement);
        return; /* the call is gone, and `change` with its arena */
    }
}

/* Somebody else's change came between what was read and what was written: unless the client has said what it read, it is made again. */
static void change_done(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    struct policy_change *change = arg;
    (void)setting;
    bool overtaken = outcome != OK && change->revision.len == 0 && change->tries < LAMBDA_POLICY_TRIES_MAX &&
                     (err->kind == ERROR_PRECONDITION || err->kind == ERROR_EXISTS || err->kind == ERROR_NOT_FOUND);
    if (outcome == OK && !change->remove) {
        change_answer(change, OK, NULL);
        return;
    }
    buffer_drop(&change->statement);
    if (overtaken)
        change_try(change);
    else
        change_answer(change, outcome, err);
}

static enum outcome no_policy(struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException", "Add a permission first.",
                          "No policy is associated with the given resource.");
}

static enum outcome alias_not_found(struct call *call, const struct lambda_target *target, struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException", "List the function's aliases.",
                          "Cannot find alias arn: %s", lambda_function_arn(call, target->name, target->qualifier));
}

/* The version or alias, with AWS's text for an alias that is not there. */
static enum outcome find_resource(struct call *call, const struct lambda_target *target, struct lambda_found *found,
                                  struct error *err)
{
    uint64_t number = 0;
    if (target->qualifier.len > 0 && engine_find(call->engine, target->name) != NULL &&
        !lambda_version_number(target->qualifier, &number) && all_of(target->qualifier, "-_") &&
        engine_setting(call->engine, target->name, SETTING_ALIAS, target->qualifier) == NULL)
        return alias_not_found(call, target, err);
    if (engine_find(call->engine, target->name) == NULL)
        return lambda_not_found(call, target->name, SLICE_EMPTY, err);
    return lambda_find_qualified(call, target, found, err);
}

/* AWS has one revision for a function (or alias) and its policy; here a policy has its own, and either is taken. */
static enum outcome check_revision(const struct policy_change *change, const struct lambda_found *found,
                                   const struct setting *policy, struct error *err)
{
    const char *of_function = found->alias != NULL ? found->alias->revision_id : found->function->revision_id;
    if (change->revision.len == 0 || slice_is(change->revision, of_function) ||
        (policy != NULL && slice_is(change->revision, policy->revision_id)))
        return OK;
    return error_set_code(
        err, ERROR_PRECONDITION, "PreconditionFailedException", "Read the policy again, then retry.",
        "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to "
        "retrieve the latest Revision Id");
}

static enum outcome change_begin(struct policy_change *change, struct error *err)
{
    struct call *call = change->call;
    struct lambda_found found = { NULL, NULL };
    TRY(find_resource(call, &change->target, &found, err));
    const struct setting *policy =
        engine_setting(call->engine, change->target.name, SETTING_POLICY, change->qualifier);
    if (change->remove && policy == NULL)
        return no_policy(err);
    TRY(check_revision(change, &found, policy, err));
    struct slice document = policy == NULL ? SLICE_EMPTY : slice_of(policy->document);
    struct slice expected = policy == NULL ? SLICE_EMPTY : slice_of(policy->revision_id);
    AUTO(buffer)
    struct buffer next = BUFFER_EMPTY;
    if (change->remove)
        TRY(lambda_policy_remove(document, change->permission.sid, &next, err));
    else
        TRY(lambda_policy_add(document, &change->permission, &next, &change->statement, err));
    if (next.len == 0) {
        engine_setting_delete(call->engine, change->target.name, SETTING_POLICY, change->qualifier, expected,
                              change_done, change);
        return OK;
    }
    struct setting_change put = {
        .name = change->target.name,
        .qualifier = change->qualifier,
        .kind = SETTING_POLICY,
        .mode = policy == NULL ? SETTING_CREATE : SETTING_UPDATE,
        .document = buffer_slice(&next),
        .expected_revision = expected,
        .qualifier_must_exist = true,
    };
    engine_setting_put(call->engine, &put, change_done, change);
    return OK;
}

static void change_try(struct policy_change *change)
{
    struct error err = { 0 };
    change->tries++;
    if (change_begin(change, &err) != OK) {
        buffer_drop(&change->statement);
        call_fail(change->call, &err);
    }
}

static struct policy_change *change_new(struct call *call, const struct lambda_target *target)
{
    struct policy_change *change = arena_take(&call->arena, sizeof(*change));
    change->call = call;
    change->target =
        (struct lambda_target){ lambda_keep(call, target->name), lambda_keep(call, target->qualifier) };
    change->qualifier = target->qualifier.len > 0 ? change->target.qualifier : SLICE("$LATEST");
    change->permission.resource =
        slice_of(lambda_function_arn(call, change->target.name, change->target.qualifier));
    return change;
}

/* ---- AddPermission ---- */

static bool action_ok(struct slice action) /* (lambda:[*]|lambda:[a-zA-Z]+|[*]) */
{
    struct slice rest = action;
    if (slice_is(action, "*") || slice_is(action, "lambda:*"))
        return true;
    if (!slice_is(slice_split(&rest, ':'), "lambda") || rest.len == 0)
        return false;
    for (size_t i = 0; i < rest.len; i++)
        if ((rest.at[i] | 0x20) < 'a' || (rest.at[i] | 0x20) > 'z')
            return false;
    return true;
}

static bool arn_ok(struct slice text)
{
    struct slice rest = text, arn = slice_split(&rest, ':'), partition = slice_split(&rest, ':');
    struct slice service = slice_split(&rest, ':'), region = slice_split(&rest, ':');
    size_t colon = 0;
    bool has_resource = slice_find(rest, ':', &colon);
    struct slice account = slice_split(&rest, ':');
    return slice_is(arn, "arn") && slice_starts(partition, SLICE("aws")) && all_of(partition, "-") &&
           all_of(service, "-") && (region.len == 0 || all_of(region, "-")) &&
           (account.len == 0 || is_account(account)) && has_resource && memchr(rest.at, '\n', rest.len) == NULL;
}

static bool organization_ok(struct slice text) /* o-[a-z0-9]{10,32} */
{
    struct slice rest = slice_sub(text, 2, text.len);
    for (size_t i = 0; i < rest.len; i++)
        if (!(rest.at[i] >= 'a' && rest.at[i] <= 'z') && !(rest.at[i] >= '0' && rest.at[i] <= '9'))
            return false;
    return slice_starts(text, SLICE("o-")) && rest.len >= 10 && rest.len <= 32;
}

static bool principal_ok(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr(" \t\n\r\f\v", text.at[i]) != NULL)
            return false;
    return text.len > 0;
}

static bool token_ok(struct slice text)
{
    return all_of(text, "._-");
}

static bool auth_type_ok(struct slice text)
{
    return slice_is(text, "NONE") || slice_is(text, "AWS_IAM");
}

/* The members that are texts: what the model demands of each. */
static const struct member {
    const char *name, *shown;
    size_t offset; /* in struct lambda_permission */
    bool required;
    bool (*ok)(struct slice text);
    const char *constraint;
} add_members[] = {
    { "Action", "action", offsetof(struct lambda_permission, action), true, action_ok,
      "Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])" },
    { "Principal", "principal", offsetof(struct lambda_permission, principal), true, principal_ok,
      "Member must satisfy regular expression pattern: [^\\s]+" },
    { "SourceArn", "sourceArn", offsetof(struct lambda_permission, source_arn), false, arn_ok,
      "Member must satisfy regular expression pattern: "
      "arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:([a-z]{2}(-gov)?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)" },
    { "SourceAccount", "sourceAccount", offsetof(struct lambda_permission, source_account), false, is_account,
      "Member must satisfy regular expression pattern: \\d{12}" },
    { "EventSourceToken", "eventSourceToken", offsetof(struct lambda_permission, token), false, token_ok,
      "Member must satisfy regular expression pattern: [a-zA-Z0-9._\\-]+" },
    { "PrincipalOrgID", "principalOrgID", offsetof(struct lambda_permission, organization), false, organization_ok,
      "Member must satisfy regular expression pattern: o-[a-z0-9]{10,32}" },
    { "FunctionUrlAuthType", "functionUrlAuthType", offsetof(struct lambda_permission, url_auth_type), false,
      auth_type_ok, "Member must satisfy enum value set: [NONE, AWS_IAM]" },
};
enum { EVENT_SOURCE_TOKEN_CHARS_MAX = 256 }; /* model: EventSourceToken */

static enum outcome read_member(struct call *call, yyjson_val *body, const struct member *member,
                                struct lambda_permission *out, struct lambda_checks *checks, struct error *err)
{
    yyjson_val *value = NULL;
    TRY(lambda_member(body, member->name, LAMBDA_STRING, &value, err));
    struct slice text = json_slice(value);
    if (value == NULL) {
        if (member->required)
            lambda_check_failed(checks, member->shown, (struct slice){ NULL, 0 }, "Member must not be null");
        return OK;
    }
    if (!member->ok(text))
        lambda_check_failed(checks, member->shown, text, "%s", member->constraint);
    *(struct slice *)(void *)((char *)out + member->offset) = lambda_keep(call, text);
    return OK;
}

static enum outcome read_add(struct call *call, struct policy_change *change, struct error *err)
{
    yyjson_val *body = NULL, *sid = NULL, *revision = NULL, *via_url = NULL;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    struct lambda_permission *p = &change->permission;
    TRY(call_json(call, &body, err));
    TRY(lambda_member(body, "StatementId", LAMBDA_STRING, &sid, err));
    if (sid == NULL)
        lambda_check_failed(&checks, "statementId", (struct slice){ NULL, 0 }, "Member must not be null");
    else
        lambda_check_statement_id(&checks, json_slice(sid), false);
    p->sid = lambda_keep(call, json_slice(sid));
    for (size_t i = 0; i < sizeof(add_members) / sizeof(add_members[0]); i++)
        TRY(read_member(call, body, &add_members[i], p, &checks, err));
    lambda_check_length(&checks, "eventSourceToken", p->token, 0, EVENT_SOURCE_TOKEN_CHARS_MAX);
    TRY(lambda_member(body, "InvokedViaFunctionUrl", LAMBDA_BOOLEAN, &via_url, err));
    p->via_url_given = via_url != NULL;
    p->via_url = yyjson_is_true(via_url);
    TRY(lambda_member(body, "RevisionId", LAMBDA_STRING, &revision, err));
    change->revision = lambda_keep(call, json_slice(revision));
    TRY(lambda_checks_result(&checks, err));
    if (p->url_auth_type.len > 0 && !slice_is(p->action, "lambda:InvokeFunctionUrl"))
        return error_set_code(err, ERROR_INVALID, INVALID_PARAMETER, "Leave FunctionUrlAuthType out.",
                              "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action");
    return OK;
}

static enum outcome add_permission(struct call *call, struct error *err)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    TRY(lambda_target_of(call, LAMBDA_NAME_NAMESPACED, &target, err));
    if (slice_is(target.qualifier, "$LATEST"))
        return error_set_code(err, ERROR_INVALID, INVALID_PARAMETER, "Leave the qualifier out.",
                              "We currently do not support adding policies for $LATEST.");
    struct policy_change *change = change_new(call, &target);
    TRY(read_add(call, change, err));
    change_try(change);
    return OK;
}

void lambda_add_permission(struct call *call)
{
    struct error err = { 0 };
    if (add_permission(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- RemovePermission ---- */

static enum outcome remove_permission(struct call *call, struct error *err)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    struct slice sid = call_path(call, "StatementId");
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    lambda_check_statement_id(&checks, sid, true);
    TRY(lambda_checks_result(&checks, err));
    TRY(lambda_target_of(call, LAMBDA_NAME_NAMESPACED, &target, err));
    if (engine_find(call->engine, target.name) == NULL)
        return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                              "List the functions to see what is there.", "No policy found for: %s",
                              lambda_function_arn(call, target.name, SLICE_EMPTY));
    if (slice_is(target.qualifier, "$LATEST"))
        target.qualifier = SLICE_EMPTY;
    struct policy_change *change = change_new(call, &target);
    change->remove = true;
    change->permission.sid = lambda_keep(call, sid);
    change->revision = lambda_keep(call, call_query(call, "RevisionId"));
    change_try(change);
    return OK;
}

void lambda_remove_permission(struct call *call)
{
    struct error err = { 0 };
    if (remove_permission(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- GetPolicy ---- */

void lambda_get_policy(struct call *call)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    struct error err = { 0 };
    if (lambda_target_of(call, LAMBDA_NAME_NAMESPACED, &target, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    const struct setting *policy = engine_setting(call->engine, target.name, SETTING_POLICY,
                                                  target.qualifier.len > 0 ? target.qualifier : SLICE("$LATEST"));
    if (policy == NULL) {
        (void)error_set_code(&err, ERROR_NOT_FOUND, "ResourceNotFoundException", "Add a permission first.",
                             "The resource you requested does not exist.");
        call_fail(call, &err);
        return;
    }
    lambda_reply_policy(call, 200, "Policy", slice_of(policy->document), slice_of(policy->revision_id));
}
