#include <stdio.h>
#include <stdlib.h>

#include "services/logs/logs.h"

/* ---- groups ---- */

static struct slice group_name(struct logs_call *l)
{
    return logs_text(l, "logGroupName", true, 1, LOGS_GROUP_NAME_BYTES_MAX, LOGS_TEXT_GROUP);
}

static struct slice group_class(struct logs_call *l)
{
    struct slice class = logs_text(l, "logGroupClass", false, 0, 64, LOGS_TEXT_ANY);
    if (class.len > 0 && !slice_is(class, "STANDARD") && !slice_is(class, "INFREQUENT_ACCESS") &&
        !slice_is(class, "DELIVERY")) {
        logs_check_failed(l, "logGroupClass", class,
                          "Member must satisfy enum value set: [INFREQUENT_ACCESS, STANDARD, DELIVERY]");
        return SLICE_EMPTY;
    }
    return class;
}

static bool is_standard(struct slice class)
{
    return class.len == 0 || slice_is(class, "STANDARD");
}

static enum outcome create_group(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                                 struct error *err)
{
    return log_store_create_group(logs, group, l->tags, l->tag_count, err);
}

void logs_create_log_group(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l == NULL)
        return;
    struct slice name = group_name(l);
    struct slice class = group_class(l);
    struct slice key = logs_text(l, "kmsKeyId", false, 0, 256, LOGS_TEXT_ANY);
    logs_tags_member(l, "tags", false);
    if (!is_standard(class))
        logs_refuse(l, "InvalidParameterException",
                    "Log groups of another class than STANDARD are not supported by "
                    "this server.");
    if (key.len > 0)
        logs_refuse(l, "InvalidParameterException", "kmsKeyId is not supported by this server.");
    if (logs_flag(l, "deletionProtectionEnabled"))
        logs_refuse(l, "InvalidParameterException", "deletionProtectionEnabled is not supported by this server.");
    logs_run(l, name, create_group);
}

static enum outcome delete_group(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                                 struct error *err)
{
    (void)l;
    return log_store_delete_group(logs, group, err);
}

void logs_delete_log_group(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l != NULL)
        logs_run(l, group_name(l), delete_group);
}

static void append_group(struct logs_call *l, const struct log_group_info *info)
{
    struct buffer *out = &l->answer;
    struct slice name = slice_of(info->name);
    AUTO(buffer)
    struct buffer arn = BUFFER_EMPTY;
    buffer_append_text(out, "{\"logGroupName\":");
    json_append_string(out, name);
    logs_append_number(out, "creationTime", info->created_ms);
    if (info->retention_days > 0)
        logs_append_number(out, "retentionInDays", info->retention_days);
    logs_append_number(out, "metricFilterCount", 0);
    logs_append_number(out, "storedBytes", (int64_t)info->stored_bytes);
    logs_append_arn(&arn, l, name);
    logs_append_text(out, "logGroupArn", buffer_slice(&arn));
    buffer_append_text(&arn, ":*");
    logs_append_text(out, "arn", buffer_slice(&arn));
    buffer_append_text(out, ",\"logGroupClass\":\"STANDARD\",\"deletionProtectionEnabled\":false}");
}

static enum outcome list_groups(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                                struct error *err)
{
    struct log_group_info *list = NULL;
    size_t count = 0;
    bool more = false;
    (void)group;
    if (l->flag) {
        buffer_append_text(&l->answer, "{\"logGroups\":[]}");
        return OK;
    }
    TRY(log_store_groups(logs, l->prefix, l->pattern, l->token, (size_t)l->limit, &list, &count, &more, err));
    buffer_append_text(&l->answer, "{\"logGroups\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(&l->answer, ',');
        append_group(l, &list[i]);
    }
    buffer_append_byte(&l->answer, ']');
    if (more && count > 0)
        logs_append_token(&l->answer, "nextToken", slice_of(list[count - 1].name));
    buffer_append_byte(&l->answer, '}');
    for (size_t i = 0; i < count; i++)
        log_group_info_drop(&list[i]);
    free(list);
    return OK;
}

/* Linked accounts (CloudWatch's cross-account observability) are not there: a list of accounts can hold our own alone. */
static void check_accounts(struct logs_call *l)
{
    yyjson_val *list = logs_list(l, "accountIdentifiers", false, LOGS_ACCOUNTS_MAX), *each = NULL;
    size_t index = 0, max = 0;
    (void)logs_flag(l, "includeLinkedAccounts");
    yyjson_arr_foreach(list, index, max, each)
    {
        if (!logs_is_string(l, each))
            return;
        if (!slice_is(json_slice(each), l->account))
            logs_refuse(l, "InvalidParameterException",
                        "accountIdentifiers with another account than %s is not supported by this server.",
                        l->account);
    }
}

void logs_describe_log_groups(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l == NULL)
        return;
    l->prefix = logs_text(l, "logGroupNamePrefix", false, 1, LOGS_GROUP_NAME_BYTES_MAX, LOGS_TEXT_GROUP);
    l->pattern = logs_text(l, "logGroupNamePattern", false, 0, LOGS_GROUP_NAME_BYTES_MAX, LOGS_TEXT_GROUP);
    l->token = logs_text(l, "nextToken", false, 1, LOGS_TOKEN_BYTES_MAX, LOGS_TEXT_ANY);
    l->limit = logs_number(l, "limit", false, 1, LOGS_PAGE_NAMES_MAX, LOGS_PAGE_NAMES_MAX);
    if (l->prefix.len > 0 && l->pattern.len > 0)
        logs_refuse(l, "InvalidParameterException",
                    "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.");
    l->flag = !is_standard(group_class(l)); /* of another class there are none */
    check_accounts(l);
    if (yyjson_obj_get(l->body, "logGroupIdentifiers") != NULL)
        logs_refuse(l, "InvalidParameterException", "logGroupIdentifiers is not supported by this server.");
    struct slice after = SLICE_EMPTY;
    if (logs_read_token(l, &after))
        l->token = after;
    logs_run(l, SLICE_EMPTY, list_groups);
}

/* ---- retention ---- */

static enum outcome set_retention(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                                  struct error *err)
{
    return log_store_set_retention(logs, group, (unsigned)l->days, err);
}

static bool days_ok(int64_t days)
{
    static const short allowed[] = { 1,   3,   5,   7,   14,   30,   60,   90,   120,  150,  180,
                                     365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653 };
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (days == allowed[i])
            return true;
    return false;
}

void logs_put_retention_policy(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l == NULL)
        return;
    struct slice name = group_name(l);
    l->days = logs_number(l, "retentionInDays", true, INT32_MIN, INT32_MAX, 0);
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)l->days);
    if (l->violations == 0 && !l->failed && !days_ok(l->days))
        logs_check_failed(
            l, "retentionInDays", slice_of(text), "%s",
            "Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, "
            "545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]");
    logs_run(l, name, set_retention);
}

void logs_delete_retention_policy(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l != NULL)
        logs_run(l, group_name(l), set_retention);
}

/* ---- tags ---- */

static enum outcome list_tags(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                              struct error *err)
{
    struct log_group_info info = { .name = NULL };
    TRY(log_store_group_info(logs, group, &info, err));
    buffer_append_text(&l->answer, "{\"tags\":{");
    for (size_t i = 0; i < info.tag_count; i++) {
        if (i > 0)
            buffer_append_byte(&l->answer, ',');
        json_append_string(&l->answer, slice_of(info.tags[i].name));
        buffer_append_byte(&l->answer, ':');
        json_append_string(&l->answer, slice_of(info.tags[i].value));
    }
    buffer_append_text(&l->answer, "}}");
    log_group_info_drop(&info);
    return OK;
}

static enum outcome change_tags(struct logs_call *l, struct function_logs *logs, struct log_group *group,
                                struct error *err)
{
    return log_store_change_tags(logs, group, l->tags, l->tag_count, l->names, l->name_count, err);
}

static struct slice group_by_arn(struct logs_call *l)
{
    struct slice arn = logs_text(l, "resourceArn", true, 1, 1011, LOGS_TEXT_ARN);
    struct slice group = logs_own_group_of_arn(l, arn);
    if (arn.len > 0 && group.len == 0)
        logs_refuse(l, "InvalidParameterException", "Unable to parse ARN: %.*s",
                    (int)(arn.len < 256 ? arn.len : 256), arn.at);
    if (group.len > 0)
        logs_check_text(l, "resourceArn", group, 1, LOGS_GROUP_NAME_BYTES_MAX, LOGS_TEXT_GROUP);
    return group;
}

static void take_names(struct logs_call *l, const char *member)
{
    yyjson_val *list = logs_list(l, member, true, LOGS_TAGS_MAX), *each = NULL;
    size_t index = 0, max = 0;
    if (list == NULL)
        return;
    l->names = logs_take(l, yyjson_arr_size(list), sizeof(*l->names));
    yyjson_arr_foreach(list, index, max, each)
    {
        if (!logs_is_string(l, each))
            return;
        l->names[l->name_count++] = json_slice(each);
    }
}

void logs_list_tags_for_resource(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l != NULL)
        logs_run(l, group_by_arn(l), list_tags);
}

void logs_list_tags_log_group(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l != NULL)
        logs_run(l, group_name(l), list_tags);
}

static void tag(struct call *call, bool by_arn)
{
    struct logs_call *l = logs_begin(call);
    if (l == NULL)
        return;
    struct slice group = by_arn ? group_by_arn(l) : group_name(l);
    logs_tags_member(l, "tags", true);
    logs_run(l, group, change_tags);
}

void logs_tag_resource(struct call *call)
{
    tag(call, true);
}

void logs_tag_log_group(struct call *call)
{
    tag(call, false);
}

void logs_untag_resource(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l == NULL)
        return;
    struct slice group = group_by_arn(l);
    take_names(l, "tagKeys");
    logs_run(l, group, change_tags);
}

void logs_untag_log_group(struct call *call)
{
    struct logs_call *l = logs_begin(call);
    if (l == NULL)
        return;
    struct slice group = group_name(l);
    take_names(l, "tags");
    logs_run(l, group, change_tags);
}
