#include "services/logs/logs.h"

#include "engine/engine.h"

/* Resources. The body is parsed for them already: IAM is asked about what the call names. */

static struct slice member(const struct call *call, const char *name)
{
    struct error ignored;
    yyjson_val *body = NULL;
    if (call_json((struct call *)call, &body, &ignored) !=
        OK) /* kept in the call: the handler tells what is wrong */
        return SLICE_EMPTY;
    return json_slice(yyjson_obj_get(body, name));
}

static void append_group(const struct call *call, struct buffer *out)
{
    struct slice group = member(call, "logGroupName"), identifier = member(call, "logGroupIdentifier");
    struct slice arn = member(call, "resourceArn");
    if (group.len == 0)
        group = slice_starts(identifier, SLICE("arn:")) ? logs_group_of_arn(identifier) : identifier;
    if (group.len == 0)
        group = logs_group_of_arn(arn);
    buffer_appendf(out, "arn:aws:logs:%s:%s:log-group:%.*s", engine_region(call->engine),
                   engine_account(call->engine), SLICE_PRINT(group));
}

static void r_group(const struct call *call, struct buffer *out)
{
    append_group(call, out);
    buffer_append_text(out, ":*");
}

static void r_bare_group(const struct call *call, struct buffer *out)
{
    append_group(call, out);
}

static void r_all_groups(const struct call *call, struct buffer *out)
{
    buffer_appendf(out, "arn:aws:logs:%s:%s:log-group:*", engine_region(call->engine),
                   engine_account(call->engine));
}

static void r_stream(const struct call *call, struct buffer *out)
{
    append_group(call, out);
    buffer_appendf(out, ":log-stream:%.*s", SLICE_PRINT(member(call, "logStreamName")));
}

#define SMALL .body_max = LOGS_SMALL_REQUEST_BYTES_MAX
static const struct operation logs_operations[] = {
    { "CreateLogGroup", .action = "logs:CreateLogGroup", .resource = r_group, .handler = logs_create_log_group,
      SMALL },
    { "DeleteLogGroup", .action = "logs:DeleteLogGroup", .resource = r_group, .handler = logs_delete_log_group,
      SMALL },
    { "DescribeLogGroups", .action = "logs:DescribeLogGroups", .resource = r_all_groups,
      .handler = logs_describe_log_groups, SMALL },
    { "PutRetentionPolicy", .action = "logs:PutRetentionPolicy", .resource = r_group,
      .handler = logs_put_retention_policy, SMALL },
    { "DeleteRetentionPolicy", .action = "logs:DeleteRetentionPolicy", .resource = r_group,
      .handler = logs_delete_retention_policy, SMALL },
    { "ListTagsForResource", .action = "logs:ListTagsForResource", .resource = r_bare_group,
      .handler = logs_list_tags_for_resource, SMALL },
    { "TagResource", .action = "logs:TagResource", .resource = r_bare_group, .handler = logs_tag_resource, SMALL },
    { "UntagResource", .action = "logs:UntagResource", .resource = r_bare_group, .handler = logs_untag_resource,
      SMALL },
    { "ListTagsLogGroup", .action = "logs:ListTagsLogGroup", .resource = r_group,
      .handler = logs_list_tags_log_group, SMALL },
    { "TagLogGroup", .action = "logs:TagLogGroup", .resource = r_group, .handler = logs_tag_log_group, SMALL },
    { "UntagLogGroup", .action = "logs:UntagLogGroup", .resource = r_group, .handler = logs_untag_log_group,
      SMALL },
    { "CreateLogStream", .action = "logs:CreateLogStream", .resource = r_stream, .handler = logs_create_log_stream,
      SMALL },
    { "DeleteLogStream", .action = "logs:DeleteLogStream", .resource = r_stream, .handler = logs_delete_log_stream,
      SMALL },
    { "DescribeLogStreams", .action = "logs:DescribeLogStreams", .resource = r_group,
      .handler = logs_describe_log_streams, SMALL },
    { "PutLogEvents", .action = "logs:PutLogEvents", .resource = r_stream, .handler = logs_put_log_events,
      .body_max = LOGS_REQUEST_BYTES_MAX },
    { "GetLogEvents", .action = "logs:GetLogEvents", .resource = r_stream, .handler = logs_get_log_events, SMALL },
    { "FilterLogEvents", .action = "logs:FilterLogEvents", .resource = r_group, .handler = logs_filter_log_events,
      SMALL },
};

const struct service logs_service = {
    .name = "logs",
    .family = FAMILY_JSON_1_1,
    .target_prefix = "Logs_20140328",
    .operations = logs_operations,
    .operation_count = sizeof(logs_operations) / sizeof(logs_operations[0]),
};
