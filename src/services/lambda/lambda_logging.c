/* LoggingConfig of a function. What an update leaves out stays; a change to JSON brings both levels at INFO, one to Text takes them away. */
#include <stdlib.h>

#include "services/lambda/lambda.h"

static const char INVALID_PARAMETER[] = "InvalidParameterValueException";

static bool log_group_ok(struct slice group) /* [\.\-_/#A-Za-z0-9]+ */
{
    for (size_t i = 0; i < group.len; i++) {
        char c = group.at[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == '\0' || strchr(".-_/#", c) == NULL))
            return false;
    }
    return group.len > 0;
}

static void set_text(char **field, struct slice text)
{
    free(*field);
    *field = slice_dup(text);
}

static void take_log_group(struct slice group, struct function *draft, struct lambda_checks *checks)
{
    lambda_check_length(checks, "loggingConfig.logGroup", group, 1, LAMBDA_LOG_GROUP_BYTES_MAX);
    if (!log_group_ok(group))
        lambda_check_failed(checks, "loggingConfig.logGroup", group,
                            "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+");
    else
        set_text(&draft->log_group, group);
}

/* The member's text if it is there; else empty. */
static enum outcome read_member(yyjson_val *logging, const char *name, struct slice *out, struct error *err)
{
    yyjson_val *value = NULL;
    *out = (struct slice){ NULL, 0 };
    TRY(lambda_member(logging, name, LAMBDA_STRING, &value, err));
    if (value != NULL)
        *out = json_slice(value);
    return OK;
}

static void check_enum(struct lambda_checks *checks, const char *member, struct slice value,
                       const char *const *allowed, const char *set)
{
    if (value.at == NULL)
        return;
    for (size_t i = 0; allowed[i] != NULL; i++)
        if (slice_is(value, allowed[i]))
            return;
    lambda_check_failed(checks, member, value, "Member must satisfy enum value set: [%s]", set);
}

static void take_levels(struct function *draft, bool becomes_json, struct slice application, struct slice system)
{
    if (becomes_json || draft->application_log_level == NULL)
        set_text(&draft->application_log_level, SLICE("INFO"));
    if (becomes_json || draft->system_log_level == NULL)
        set_text(&draft->system_log_level, SLICE("INFO"));
    if (application.at != NULL)
        set_text(&draft->application_log_level, application);
    if (system.at != NULL)
        set_text(&draft->system_log_level, system);
}

enum outcome lambda_read_logging(yyjson_val *body, struct function *draft, struct lambda_checks *checks,
                                 struct error *refused, struct error *err)
{
    static const char *const formats[] = { "JSON", "Text", NULL };
    static const char *const system_levels[] = { "DEBUG", "INFO", "WARN", NULL };
    static const char *const application_levels[] = { "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", NULL };
    yyjson_val *logging = NULL;
    struct slice format, application, system, group;
    TRY(lambda_member(body, "LoggingConfig", LAMBDA_STRUCTURE, &logging, err));
    if (logging == NULL)
        return OK;
    TRY(read_member(logging, "LogFormat", &format, err));
    TRY(read_member(logging, "ApplicationLogLevel", &application, err));
    TRY(read_member(logging, "SystemLogLevel", &system, err));
    TRY(read_member(logging, "LogGroup", &group, err));
    check_enum(checks, "loggingConfig.logFormat", format, formats, "JSON, Text");
    check_enum(checks, "loggingConfig.applicationLogLevel", application, application_levels,
               "TRACE, DEBUG, INFO, WARN, ERROR, FATAL");
    check_enum(checks, "loggingConfig.systemLogLevel", system, system_levels, "DEBUG, INFO, WARN");
    if (group.at != NULL)
        take_log_group(group, draft, checks);
    if (format.at != NULL)
        set_text(&draft->log_format, format);
    if (strcmp(draft->log_format, "JSON") == 0) {
        take_levels(draft, format.at != NULL, application, system);
        return OK;
    }
    text_drop(&draft->application_log_level);
    text_drop(&draft->system_log_level);
    if (application.at != NULL || system.at != NULL)
        (void)error_set_code(
            refused->kind == ERROR_NONE ? refused : NULL, ERROR_INVALID, INVALID_PARAMETER, "Leave the level out.",
            "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your request or "
            "change the LogFormat to \"JSON\" and try again.");
    return OK;
}
