#include "services/lambda/lambda.h"

/* Function names. AWS's pattern is a row of optional parts, each ended by a colon, before the name:
 *
 *   (arn:PARTITION:lambda:)?(REGION:)?(\d{12}:)?(function:)?(NAME)(:QUALIFIER)?
 *
 * It is ambiguous ("function:a" is function a, or version a of the function "function"), and a regular expression settles that by
 * taking as much as it can from the left and giving back only when the rest does not match. name_match does the same over the four
 * optional parts, at most sixteen ways; a text without a colon, the usual one, is looked at once. */

const char *const lambda_name_pattern[2] = {
    [LAMBDA_NAME_FUNCTION] =
        "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?"
        "(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?",
    [LAMBDA_NAME_NAMESPACED] =
        "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?"
        "(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?",
};
const char *const lambda_qualifier_pattern = "\\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+";

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c) /* [a-zA-Z0-9-_] */
{
    return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

static bool all_words(struct slice text, bool dots)
{
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_word(text.at[i]) && !(dots && text.at[i] == '.'))
            return false;
    return true;
}

/* Behind the next colon, in `rest`, when what stands before it is `part`; the part itself is given. */
static bool take_part(struct slice *rest, struct slice *part)
{
    size_t colon = 0;
    if (!slice_find(*rest, ':', &colon))
        return false;
    *part = slice_sub(*rest, 0, colon);
    *rest = slice_sub(*rest, colon + 1, rest->len);
    return true;
}

static bool take_prefix(struct slice *rest) /* arn:(aws[a-zA-Z-]*)?:lambda: */
{
    struct slice arn, partition, service;
    if (!take_part(rest, &arn) || !take_part(rest, &partition) || !take_part(rest, &service))
        return false;
    if (!slice_is(arn, "arn") || !slice_is(service, "lambda"))
        return false;
    if (partition.len == 0)
        return true;
    if (!slice_starts(partition, SLICE("aws")))
        return false;
    for (size_t i = 3; i < partition.len; i++)
        if (!is_word(partition.at[i]) || is_digit(partition.at[i]) || partition.at[i] == '_')
            return false;
    return true;
}

/* (eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d : as dash-separated parts. */
static bool region_ok(struct slice region)
{
    struct slice parts[6];
    size_t count = 0;
    for (struct slice rest = region; count < 6;) {
        size_t dash = 0;
        bool more = slice_find(rest, '-', &dash);
        parts[count++] = more ? slice_sub(rest, 0, dash) : rest;
        if (!more)
            break;
        rest = slice_sub(rest, dash + 1, rest.len);
    }
    size_t at = count > 0 && slice_is(parts[0], "eusc") ? 1 : 0;
    if (count < at + 3 || count > at + 4)
        return false;
    struct slice country = parts[at], word = parts[count - 2], number = parts[count - 1];
    if (country.len != 2 || !is_lower(country.at[0]) || !is_lower(country.at[1]))
        return false;
    if (count == at + 4) {
        struct slice kind = parts[at + 1];
        bool iso = slice_starts(kind, SLICE("iso")) && (kind.len == 3 || (kind.len == 4 && is_lower(kind.at[3])));
        if (!slice_is(kind, "gov") && !iso)
            return false;
    }
    for (size_t i = 0; i < word.len; i++)
        if (!is_lower(word.at[i]))
            return false;
    return word.len > 0 && number.len == 1 && is_digit(number.at[0]);
}

static bool account_ok(struct slice account)
{
    for (size_t i = 0; i < account.len; i++)
        if (!is_digit(account.at[i]))
            return false;
    return account.len == 12;
}

enum part { PART_PREFIX = 8, PART_REGION = 4, PART_ACCOUNT = 2, PART_FUNCTION = 1, PART_ALL = 15 };

static bool name_match(struct slice text, enum lambda_name_form form, unsigned parts, struct lambda_name *out)
{
    struct lambda_name found = { SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY };
    struct slice rest = text, word = SLICE_EMPTY;
    if ((parts & PART_PREFIX) != 0 && !take_prefix(&rest))
        return false;
    if ((parts & PART_REGION) != 0 && !(take_part(&rest, &found.region) && region_ok(found.region)))
        return false;
    if ((parts & PART_ACCOUNT) != 0 && !(take_part(&rest, &found.account) && account_ok(found.account)))
        return false;
    if ((parts & PART_FUNCTION) != 0 && !(take_part(&rest, &word) && slice_is(word, "function")))
        return false;
    bool qualified = slice_find(rest, ':', &(size_t){ 0 });
    found.name = slice_split(&rest, ':');
    found.qualifier = rest;
    bool dots = form == LAMBDA_NAME_NAMESPACED;
    if (!all_words(found.name, dots))
        return false;
    if (qualified && !slice_is(found.qualifier, "$LATEST") &&
        !(dots && slice_is(found.qualifier, "$LATEST.PUBLISHED")) && !all_words(found.qualifier, false))
        return false;
    *out = found;
    return true;
}

bool lambda_name_parse(struct slice text, enum lambda_name_form form, struct lambda_name *out)
{
    if (!slice_find(text, ':', &(size_t){ 0 }))
        return name_match(text, form, 0, out);
    for (unsigned parts = PART_ALL + 1; parts-- > 0;)
        if (name_match(text, form, parts, out))
            return true;
    return false;
}

bool lambda_qualifier_ok(struct slice qualifier)
{
    if (slice_is(qualifier, "$LATEST.PUBLISHED"))
        return true;
    for (size_t i = 0; i < qualifier.len; i++)
        if (!is_word(qualifier.at[i]) && qualifier.at[i] != '$')
            return false;
    return qualifier.len > 0;
}

enum outcome lambda_check_place(struct call *call, const struct lambda_name *name, struct error *err)
{
    const char *region = engine_region(call->engine), *account = engine_account(call->engine);
    if (name->region.len > 0 && !slice_is(name->region, region))
        return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                              "Name the function alone, or use this server's region.",
                              "Functions from '%.*s' are not reachable in this region ('%s')",
                              SLICE_PRINT(name->region), region);
    if (name->account.len > 0 && !slice_is(name->account, account))
        return error_set_code(
            err, ERROR_DENIED, "AccessDeniedException", "Name the function alone, or use this server's account.",
            "User: %s is not authorized to perform: %s on resource: arn:aws:lambda:%s:%.*s:function:%.*s "
            "because no resource-based policy allows the %s action",
            call->principal != NULL ? call->principal->arn : "anonymous", call->operation->action, region,
            SLICE_PRINT(name->account), SLICE_PRINT(lambda_shown(name->name, LAMBDA_VALUE_SHOWN_MAX)),
            call->operation->action);
    return OK;
}

enum outcome lambda_target_of(struct call *call, enum lambda_name_form form, struct lambda_target *out,
                              struct error *err)
{
    struct slice text = call_path(call, "FunctionName");
    struct slice qualifier = call_query(call, "Qualifier");
    struct lambda_name name = { SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY };
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    if (!lambda_name_parse(text, form, &name))
        lambda_check_failed(&checks, "functionName", text, "Member must satisfy regular expression pattern: %s",
                            lambda_name_pattern[form]);
    else
        lambda_check_length(&checks, "functionName", text, 1,
                            form == LAMBDA_NAME_FUNCTION ? LAMBDA_NAME_CREATE_BYTES_MAX : LAMBDA_NAME_BYTES_MAX);
    if (qualifier.len > 0) {
        lambda_check_length(&checks, "qualifier", qualifier, 1, LAMBDA_QUALIFIER_BYTES_MAX);
        if (!lambda_qualifier_ok(qualifier))
            lambda_check_failed(&checks, "qualifier", qualifier,
                                "Member must satisfy regular expression pattern: %s", lambda_qualifier_pattern);
    }
    TRY(lambda_checks_result(&checks, err));
    TRY(lambda_check_place(call, &name, err));
    if (name.qualifier.len > 0 && qualifier.len > 0 && !slice_equal(name.qualifier, qualifier))
        return error_set_code(
            err, ERROR_INVALID, "InvalidParameterValueException", "Give one of the two qualifiers.",
            "The derived qualifier from the function name does not match the specified qualifier.");
    *out = (struct lambda_target){ name.name, qualifier.len > 0 ? qualifier : name.qualifier };
    return OK;
}

enum outcome lambda_not_found(const struct call *call, struct slice name, struct slice qualifier, struct error *err)
{
    return error_set_code(
        err, ERROR_NOT_FOUND, "ResourceNotFoundException", "List the functions to see what is there.",
        "Function not found: arn:aws:lambda:%s:%s:function:%.*s%s%.*s", engine_region(call->engine),
        engine_account(call->engine), SLICE_PRINT(name), qualifier.len > 0 ? ":" : "", SLICE_PRINT(qualifier));
}

bool lambda_version_number(struct slice text, uint64_t *number)
{
    if (slice_is(text, "$LATEST")) {
        *number = 0;
        return true;
    }
    return text.len > 0 && text.at[0] != '0' && slice_to_u64(text, INT64_MAX, number); /* as SQL counts */
}

enum outcome lambda_find_qualified(struct call *call, const struct lambda_target *target, struct lambda_found *out,
                                   struct error *err)
{
    struct lambda_found found = { NULL, NULL };
    uint64_t number = 0;
    if (target->qualifier.len == 0 || lambda_version_number(target->qualifier, &number))
        found.function = number == 0 ? engine_find(call->engine, target->name)
                                     : engine_find_version(call->engine, target->name, number);
    else {
        found.alias = engine_setting(call->engine, target->name, SETTING_ALIAS, target->qualifier);
        if (found.alias != NULL)
            found.function = engine_find_version(call->engine, target->name, found.alias->alias->version);
    }
    if (found.function == NULL)
        return lambda_not_found(call, target->name, target->qualifier, err);
    *out = found;
    return OK;
}

enum outcome lambda_find(struct call *call, const struct lambda_target *target, struct function **out,
                         struct error *err)
{
    struct lambda_found found = { NULL, NULL };
    TRY(lambda_find_qualified(call, target, &found, err));
    *out = found.function;
    return OK;
}

enum outcome lambda_functions_only(struct error *err)
{
    return error_set_code(
        err, ERROR_INVALID, "InvalidParameterValueException", "Leave the qualifier out.",
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN.");
}

enum outcome lambda_unqualified(struct call *call, enum lambda_name_form form, struct slice *name,
                                struct error *err)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    TRY(lambda_target_of(call, form, &target, err));
    if (target.qualifier.len > 0 && !slice_is(target.qualifier, "$LATEST"))
        return lambda_functions_only(err);
    *name = target.name;
    return OK;
}

enum outcome lambda_find_unqualified(struct call *call, enum lambda_name_form form, struct function **out,
                                     struct error *err)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    TRY(lambda_unqualified(call, form, &target.name, err));
    return lambda_find(call, &target, out, err);
}

struct slice lambda_keep(struct call *call, struct slice text)
{
    char *copy = arena_take(&call->arena, text.len + 1);
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return slice_from(copy, text.len);
}

const char *lambda_function_arn(struct call *call, struct slice name, struct slice qualifier)
{
    AUTO(buffer)
    struct buffer arn = BUFFER_EMPTY;
    buffer_appendf(&arn, "arn:aws:lambda:%s:%s:function:%.*s%s%.*s", engine_region(call->engine),
                   engine_account(call->engine), SLICE_PRINT(name), qualifier.len > 0 ? ":" : "",
                   SLICE_PRINT(qualifier));
    return lambda_keep(call, buffer_slice(&arn)).at;
}
