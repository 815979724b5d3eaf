#include "services/lambda/lambda_layers.h"
#include "services/lambda/lambda_policies.h"

/* AddLayerVersionPermission, RemoveLayerVersionPermission, GetLayerVersionPolicy: as lambda_policy.c, over the policy that a layer version carries. */

struct layer_policy_change {
    struct call *call;
    struct lambda_layer_target target;
    struct slice revision; /* that the client read; empty: any */
    bool remove;
    struct lambda_permission permission; /* of a removal the sid alone */
    struct buffer statement;
    unsigned tries;
};

static void change_try(struct layer_policy_change *change);

static enum outcome no_version(struct call *call, const struct lambda_layer_target *target, struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException", "List the layer's versions.",
                          "Layer version %s does not exist.",
                          lambda_layer_arn(call, target->name, target->version));
}

static enum outcome no_policy(struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException", "Add a permission first.",
                          "No policy is associated with the given resource.");
}

static void change_done(enum outcome outcome, const struct layer_version *version, const struct error *err,
                        void *arg)
{
    struct layer_policy_change *change = arg;
    struct call *call = change->call;
    struct buffer statement = buffer_take(&change->statement);
    if (outcome == OK && change->remove)
        call_reply_empty(call, 204);
    else if (outcome == OK)
        lambda_reply_policy(call, 201, "Statement", buffer_slice(&statement), slice_of(version->policy_revision));
    else if (err->kind == ERROR_PRECONDITION && change->revision.len == 0 &&
             change->tries < LAMBDA_POLICY_TRIES_MAX) /* another change came between */
        change_try(change);
    else
        call_fail(call, err);
    buffer_drop(&statement);
}

static enum outcome change_begin(struct layer_policy_change *change, struct error *err)
{
    struct call *call = change->call;
    struct layers *layers = engine_layers(call->engine);
    const struct layer_version *version = layer_find(layers, change->target.name, change->target.version);
    if (version == NULL)
        return no_version(call, &change->target, err);
    if (change->remove && version->policy == NULL)
        return no_policy(err);
    if (change->revision.len > 0 && !slice_is(change->revision, version->policy_revision))
        return error_set_code(err, ERROR_PRECONDITION, "PreconditionFailedException",
                              "Read the policy again, then retry.",
                              "The Revision Id provided does not match the latest Revision Id. Call the "
                              "GetLayerPolicy API to retrieve the latest Revision Id");
    struct slice policy = slice_of(version->policy);
    AUTO(buffer)
    struct buffer next = BUFFER_EMPTY;
    if (change->remove)
        TRY(lambda_policy_remove(policy, change->permission.sid, &next, err));
    else
        TRY(lambda_policy_add(policy, &change->permission, &next, &change->statement, err));
    layer_put_policy(layers, change->target.name, change->target.version, buffer_slice(&next),
                     slice_of(version->policy_revision), change_done, change);
    return OK;
}

static void change_try(struct layer_policy_change *change)
{
    struct error err = { 0 };
    change->tries++;
    if (change_begin(change, &err) != OK) {
        buffer_drop(&change->statement);
        call_fail(change->call, &err);
    }
}

static struct layer_policy_change *change_new(struct call *call, const struct lambda_layer_target *target)
{
    struct layer_policy_change *change = arena_take(&call->arena, sizeof(*change));
    change->call = call;
    change->target = (struct lambda_layer_target){ lambda_keep(call, target->name), target->version };
    change->revision = lambda_keep(call, call_query(call, "RevisionId"));
    change->permission.resource = slice_of(lambda_layer_arn(call, change->target.name, target->version));
    return change;
}

/* ---- AddLayerVersionPermission ---- */

static bool digits(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return text.len == 12;
}

/* \d{12}|\*|arn:(aws[a-zA-Z-]*):iam::\d{12}:root */
static bool principal_ok(struct slice text)
{
    struct slice rest = text, arn = slice_split(&rest, ':'), partition = slice_split(&rest, ':');
    struct slice service = slice_split(&rest, ':'), region = slice_split(&rest, ':');
    struct slice account = slice_split(&rest, ':');
    if (digits(text) || slice_is(text, "*"))
        return true;
    return slice_is(arn, "arn") && slice_starts(partition, SLICE("aws")) && slice_is(service, "iam") &&
           region.len == 0 && digits(account) && slice_is(rest, "root");
}

static bool organization_ok(struct slice text) /* o-[a-z0-9]{10,32} */
{
    struct slice rest = slice_sub(text, 2, text.len);
    for (size_t i = 0; i < rest.len; i++)
        if (!(rest.at[i] >= 'a' && rest.at[i] <= 'z') && !(rest.at[i] >= '0' && rest.at[i] <= '9'))
            return false;
    return slice_starts(text, SLICE("o-")) && rest.len >= 10 && rest.len <= 32;
}

static enum outcome read_text(struct call *call, yyjson_val *body, const char *name, const char *shown,
                              bool required, struct slice *out, struct lambda_checks *checks, struct error *err)
{
    yyjson_val *value = NULL;
    TRY(lambda_member(body, name, LAMBDA_STRING, &value, err));
    if (value == NULL && required)
        lambda_check_failed(checks, shown, (struct slice){ NULL, 0 }, "Member must not be null");
    *out = value == NULL ? (struct slice){ NULL, 0 } : lambda_keep(call, json_slice(value));
    return OK;
}

static enum outcome read_add(struct call *call, struct lambda_permission *p, struct error *err)
{
    yyjson_val *body = NULL;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    TRY(call_json(call, &body, err));
    TRY(read_text(call, body, "StatementId", "statementId", true, &p->sid, &checks, err));
    TRY(read_text(call, body, "Action", "action", true, &p->action, &checks, err));
    TRY(read_text(call, body, "Principal", "principal", true, &p->principal, &checks, err));
    TRY(read_text(call, body, "OrganizationId", "organizationId", false, &p->organization, &checks, err));
    if (p->sid.at != NULL)
        lambda_check_statement_id(&checks, p->sid, false);
    if (p->action.at != NULL && !slice_is(p->action, "lambda:GetLayerVersion"))
        lambda_check_failed(&checks, "action", p->action,
                            "Member must satisfy regular expression pattern: lambda:GetLayerVersion");
    if (p->principal.at != NULL && !principal_ok(p->principal))
        lambda_check_failed(&checks, "principal", p->principal, "%s",
                            "Member must satisfy regular expression pattern: "
                            "\\d{12}|\\*|arn:(aws[a-zA-Z-]*):iam::\\d{12}:root");
    if (p->organization.at != NULL && !organization_ok(p->organization))
        lambda_check_failed(&checks, "organizationId", p->organization,
                            "Member must satisfy regular expression pattern: o-[a-z0-9]{10,32}");
    return lambda_checks_result(&checks, err);
}

void lambda_add_layer_version_permission(struct call *call)
{
    struct lambda_layer_target target;
    struct error err = { 0 };
    if (lambda_layer_target_of(call, true, &target, &err) != OK) {
        call_fail(call, &err);
        return;
    }
    struct layer_policy_change *change = change_new(call, &target);
    if (read_add(call, &change->permission, &err) != OK)
        call_fail(call, &err);
    else
        change_try(change);
}

/* ---- RemoveLayerVersionPermission ---- */

static enum outcome remove_permission(struct call *call, struct error *err)
{
    struct lambda_layer_target target;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    struct slice sid = call_path(call, "StatementId");
    lambda_check_statement_id(&checks, sid, false);
    TRY(lambda_checks_result(&checks, err));
    TRY(lambda_layer_target_of(call, true, &target, err));
    struct layer_policy_change *change = change_new(call, &target);
    change->remove = true;
    change->permission.sid = lambda_keep(call, sid);
    change_try(change);
    return OK;
}

void lambda_remove_layer_version_permission(struct call *call)
{
    struct error err = { 0 };
    if (remove_permission(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- GetLayerVersionPolicy ---- */

static enum outcome find_policy(struct call *call, const struct layer_version **out, struct error *err)
{
    struct lambda_layer_target target;
    TRY(lambda_layer_target_of(call, true, &target, err));
    const struct layer_version *version = layer_find(engine_layers(call->engine), target.name, target.version);
    if (version == NULL)
        return no_version(call, &target, err);
    if (version->policy == NULL)
        return no_policy(err);
    *out = version;
    return OK;
}

void lambda_get_layer_version_policy(struct call *call)
{
    const struct layer_version *version = NULL;
    struct error err = { 0 };
    if (find_policy(call, &version, &err) != OK)
        call_fail(call, &err);
    else
        lambda_reply_policy(call, 200, "Policy", slice_of(version->policy), slice_of(version->policy_revision));
}
