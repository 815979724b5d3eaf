#include "services/lambda/lambda.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"

/* Bodies to drafts. One reader carries the three kinds of refusals in AWS's order: a wrong type ends it at once, violations of the
 * model are collected, and of what Lambda itself refuses the first is kept; reader_result gives the one that AWS would give.
 *
 * What Hearth does not have yet is refused by name (unsupported_members), never dropped: a function that believes it has a
 * dead-letter queue is worse than one that could not be deployed. Empty and default values are accepted, as tools send them. */

static const char INVALID_PARAMETER[] = "InvalidParameterValueException";

struct reader {
    const struct lambda_place *place;
    yyjson_val *body;
    struct function *draft;
    struct lambda_checks checks;
    struct error refused; /* the first refusal of Lambda's own */
    struct error *err;    /* the caller's: for wrong types */
};

static void reader_drop(struct reader *r)
{
    lambda_checks_drop(&r->checks);
}

static enum outcome reader_result(const struct reader *r)
{
    TRY(lambda_checks_result(&r->checks, r->err));
    if (r->refused.kind == ERROR_NONE)
        return OK;
    if (r->err != NULL)
        *r->err = r->refused;
    return FAILED;
}

/* Where a refusal goes: into `refused` when it is the first one. NULL is a valid error that nobody reads. */
static struct error *reader_refuses(struct reader *r)
{
    return r->refused.kind == ERROR_NONE ? &r->refused : NULL;
}

static void refuse_unsupported(struct reader *r, const char *what)
{
    (void)error_set_code(reader_refuses(r), ERROR_UNSUPPORTED, INVALID_PARAMETER,
                         "Leave it out; docs/compatibility.md tells what is there.",
                         "%s is not supported by this server yet.", what);
}

/* ---- members ---- */

static void set_text(char **field, struct slice text)
{
    free(*field);
    *field = slice_dup(text);
}

static enum outcome read_string(struct reader *r, yyjson_val *object, const char *name, struct slice *out,
                                bool *given)
{
    yyjson_val *value = NULL;
    TRY(lambda_member(object, name, LAMBDA_STRING, &value, r->err));
    *given = value != NULL;
    *out = json_slice(value);
    return OK;
}

static enum outcome read_integer(struct reader *r, yyjson_val *object, const char *name, int64_t *out, bool *given)
{
    yyjson_val *value = NULL;
    TRY(lambda_member(object, name, LAMBDA_INTEGER, &value, r->err));
    *given = value != NULL;
    if (value == NULL)
        return OK;
    bool huge = yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX;
    *out = huge ? INT64_MAX : yyjson_get_sint(value);
    return OK;
}

static enum outcome read_flag(struct reader *r, const char *name, bool *out)
{
    yyjson_val *value = NULL;
    TRY(lambda_member(r->body, name, LAMBDA_BOOLEAN, &value, r->err));
    *out = yyjson_is_true(value);
    return OK;
}

/* null, "", false, [], {} and objects of nothing else: what a tool writes that has nothing to say. */
static bool says_nothing(yyjson_val *value, unsigned depth)
{
    if (value == NULL || yyjson_is_null(value) || yyjson_is_false(value) ||
        (yyjson_is_str(value) && yyjson_get_len(value) == 0))
        return true;
    if (yyjson_is_arr(value))
        return yyjson_arr_size(value) == 0;
    if (!yyjson_is_obj(value) || depth == 0)
        return false;
    yyjson_obj_iter iter = yyjson_obj_iter_with(value);
    for (yyjson_val *key = NULL; (key = yyjson_obj_iter_next(&iter)) != NULL;)
        if (!says_nothing(yyjson_obj_iter_get_val(key), depth - 1))
            return false;
    return true;
}

/* Which shape of the model has the member: in another one it is unknown, and what is unknown is ignored, as AWS does. */
enum shape { CREATE = 1, CONFIGURATION = 2, UPDATE_CODE = 4, CODE = 8 };

static const struct unsupported {
    const char *name;
    enum lambda_type type;
    unsigned shapes;
} unsupported_members[] = {
    { "CapacityProviderConfig", LAMBDA_STRUCTURE, CREATE | CONFIGURATION },
    { "CodeSigningConfigArn", LAMBDA_STRING, CREATE },
    { "DeadLetterConfig", LAMBDA_STRUCTURE, CREATE | CONFIGURATION },
    { "DurableConfig", LAMBDA_STRUCTURE, CREATE | CONFIGURATION },
    { "FileSystemConfigs", LAMBDA_LIST, CREATE | CONFIGURATION },
    { "ImageConfig", LAMBDA_STRUCTURE, CREATE | CONFIGURATION },
    { "KMSKeyArn", LAMBDA_STRING, CREATE | CONFIGURATION },
    { "PublishTo", LAMBDA_STRING, CREATE | UPDATE_CODE },
    { "SourceKMSKeyArn", LAMBDA_STRING, CODE | UPDATE_CODE },
    { "TenancyConfig", LAMBDA_STRUCTURE, CREATE },
    { "VpcConfig", LAMBDA_STRUCTURE, CREATE | CONFIGURATION },
};

static enum outcome read_unsupported(struct reader *r, yyjson_val *object, enum shape shape)
{
    for (size_t i = 0; i < sizeof(unsupported_members) / sizeof(unsupported_members[0]); i++) {
        const struct unsupported *member = &unsupported_members[i];
        yyjson_val *value = NULL;
        if ((member->shapes & (unsigned)shape) == 0)
            continue;
        TRY(lambda_member(object, member->name, member->type, &value, r->err));
        if (!says_nothing(value, 2))
            refuse_unsupported(r, member->name);
    }
    return OK;
}

/* ---- what a function is ---- */

/* arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+ ; gives the account. */
static bool role_ok(struct slice role, struct slice *account)
{
    struct slice rest = role;
    struct slice arn = slice_split(&rest, ':'), partition = slice_split(&rest, ':'),
                 service = slice_split(&rest, ':');
    struct slice region = slice_split(&rest, ':');
    *account = slice_split(&rest, ':');
    if (!slice_is(arn, "arn") || !slice_is(service, "iam") || region.len > 0 || account->len != 12)
        return false;
    if (partition.len > 0 && !slice_starts(partition, SLICE("aws")))
        return false;
    for (size_t i = 3; i < partition.len; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-", partition.at[i]) == NULL)
            return false;
    for (size_t i = 0; i < account->len; i++)
        if (account->at[i] < '0' || account->at[i] > '9')
            return false;
    if (!slice_starts(rest, SLICE("role")) || rest.len < 5)
        return false;
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-/";
    for (size_t i = 4; i < rest.len; i++)
        if (strchr(allowed, rest.at[i]) == NULL)
            return false;
    return true;
}

static void take_role(struct reader *r, struct slice role)
{
    struct slice account = SLICE_EMPTY;
    lambda_check_length(&r->checks, "role", role, 0, LAMBDA_ROLE_BYTES_MAX);
    if (!role_ok(role, &account)) {
        lambda_check_failed(&r->checks, "role", role, "Member must satisfy regular expression pattern: %s",
                            "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+");
        return;
    }
    if (!slice_is(account, r->place->account))
        (void)error_set_code(reader_refuses(r), ERROR_DENIED, "AccessDeniedException",
                             "Name a role of this account.", "Cross-account pass role is not allowed.");
    set_text(&r->draft->role, role);
}

static void take_handler(struct reader *r, struct slice handler)
{
    lambda_check_length(&r->checks, "handler", handler, 0, FUNCTION_HANDLER_BYTES_MAX);
    bool blank = handler.len == 0;
    for (size_t i = 0; i < handler.len; i++)
        blank = blank || strchr(" \t\n\r\f\v", handler.at[i]) != NULL;
    if (blank)
        lambda_check_failed(&r->checks, "handler", handler,
                            "Member must satisfy regular expression pattern: [^\\s]+");
    else if (handler.len > FUNCTION_HANDLER_BYTES_MAX && lambda_text_length(handler) <= FUNCTION_HANDLER_BYTES_MAX)
        lambda_check_failed(&r->checks, "handler", handler,
                            "Member must have length less than or equal to %d bytes",
                            FUNCTION_HANDLER_BYTES_MAX); /* ours: a row's handler is counted in bytes */
    set_text(&r->draft->handler, handler);
}

/* Runtimes that AWS has or had and Hearth does not run: the answer should say which of the two it is. */
static const char *const aws_runtimes[] = { "provided.al2", "provided.al2023", "java8.al2", "java11",  "java17",
                                            "java21",       "java25",          "dotnet6",   "dotnet8", "dotnet10",
                                            "ruby3.2",      "ruby3.3",         "ruby3.4",   "ruby4.0" };
static const char *const old_runtimes[] = { "nodejs",        "nodejs4.3",     "nodejs4.3-edge", "nodejs6.10",
                                            "nodejs8.10",    "nodejs10.x",    "nodejs12.x",     "nodejs14.x",
                                            "nodejs16.x",    "python2.7",     "python3.6",      "python3.7",
                                            "python3.8",     "java8",         "dotnetcore1.0",  "dotnetcore2.0",
                                            "dotnetcore2.1", "dotnetcore3.1", "go1.x",          "ruby2.5",
                                            "ruby2.7",       "provided" };

static bool is_one_of(struct slice text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(text, list[i]))
            return true;
    return false;
}

static void take_runtime(struct reader *r, struct slice id)
{
    const struct runtime_id *runtime = runtime_find(id);
    if (runtime != NULL) {
        r->draft->runtime = runtime;
        return;
    }
    if (is_one_of(id, old_runtimes, sizeof(old_runtimes) / sizeof(old_runtimes[0]))) {
        (void)error_set_code(
            reader_refuses(r), ERROR_INVALID, INVALID_PARAMETER, "Use a newer runtime.",
            "The runtime parameter of %.*s is no longer supported for creating or updating AWS Lambda "
            "functions. We recommend you use a supported runtime while creating or updating functions.",
            SLICE_PRINT(id));
        return;
    }
    if (is_one_of(id, aws_runtimes, sizeof(aws_runtimes) / sizeof(aws_runtimes[0]))) {
        (void)error_set_code(reader_refuses(r), ERROR_UNSUPPORTED, INVALID_PARAMETER,
                             "Use a nodejs, python or provided runtime; docs/runtimes.md lists them.",
                             "The runtime %.*s is not supported by this server yet.", SLICE_PRINT(id));
        return;
    }
    struct buffer known = BUFFER_EMPTY;
    const struct runtime_id *each = NULL;
    for (size_t i = 0; (each = runtime_at(i)) != NULL; i++)
        buffer_appendf(&known, "%s%s", i > 0 ? ", " : "", each->id);
    struct slice shown = lambda_shown(id, LAMBDA_VALUE_SHOWN_MAX);
    (void)error_set_code(
        reader_refuses(r), ERROR_INVALID, INVALID_PARAMETER, "Use one of those.",
        "Value %.*s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s] or be "
        "a valid ARN",
        SLICE_PRINT(shown), buffer_text(&known));
    buffer_drop(&known);
}

static void take_memory(struct reader *r, int64_t mb)
{
    /* The model allows 32,768 (functions on managed instances); beyond Lambda's own limit it is the account that refuses. */
    enum { MODEL_MEMORY_MB_MAX = 32768 };
    lambda_check_range(&r->checks, "memorySize", mb, KEEPER_MEMORY_MB_MIN, MODEL_MEMORY_MB_MAX);
    if (mb > KEEPER_MEMORY_MB_MAX)
        (void)error_set_code(
            reader_refuses(r), ERROR_INVALID, INVALID_PARAMETER, "Choose less memory.",
            "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to %d",
            KEEPER_MEMORY_MB_MAX);
    else
        r->draft->memory_mb = (uint32_t)(mb < 0 ? 0 : mb);
}

static enum outcome read_numbers(struct reader *r)
{
    int64_t number = 0;
    bool given = false;
    TRY(read_integer(r, r->body, "Timeout", &number, &given));
    if (given) {
        lambda_check_range(&r->checks, "timeout", number, LAMBDA_TIMEOUT_S_MIN, FUNCTION_TIMEOUT_S_MAX);
        r->draft->timeout_s = (uint32_t)number;
    }
    TRY(read_integer(r, r->body, "MemorySize", &number, &given));
    if (given)
        take_memory(r, number);
    yyjson_val *storage = NULL;
    TRY(lambda_member(r->body, "EphemeralStorage", LAMBDA_STRUCTURE, &storage, r->err));
    if (storage == NULL)
        return OK;
    TRY(read_integer(r, storage, "Size", &number, &given));
    if (given) {
        lambda_check_range(&r->checks, "ephemeralStorage.size", number, KEEPER_TMP_MB_MIN, KEEPER_TMP_MB_MAX);
        r->draft->tmp_mb = (uint32_t)number;
    } else
        lambda_check_failed(&r->checks, "ephemeralStorage.size", (struct slice){ NULL, 0 },
                            "Member must not be null");
    return OK;
}

static enum outcome read_texts(struct reader *r)
{
    struct slice text = SLICE_EMPTY;
    bool given = false;
    TRY(read_string(r, r->body, "Role", &text, &given));
    if (given)
        take_role(r, text);
    TRY(read_string(r, r->body, "Handler", &text, &given));
    if (given)
        take_handler(r, text);
    TRY(read_string(r, r->body, "Runtime", &text, &given));
    if (given)
        take_runtime(r, text);
    TRY(read_string(r, r->body, "Description", &text, &given));
    if (given) {
        lambda_check_length(&r->checks, "description", text, 0, FUNCTION_DESCRIPTION_BYTES_MAX);
        set_text(&r->draft->description, text);
    }
    return OK;
}

static enum outcome read_tracing(struct reader *r)
{
    yyjson_val *tracing = NULL;
    TRY(lambda_member(r->body, "TracingConfig", LAMBDA_STRUCTURE, &tracing, r->err));
    struct slice mode = SLICE_EMPTY;
    bool given = false;
    if (tracing != NULL)
        TRY(read_string(r, tracing, "Mode", &mode, &given));
    if (!given)
        return OK;
    if (!slice_is(mode, "Active") && !slice_is(mode, "PassThrough"))
        lambda_check_failed(&r->checks, "tracingConfig.mode", mode,
                            "Member must satisfy enum value set: [Active, PassThrough]");
    set_text(&r->draft->tracing_mode, mode);
    return OK;
}

static enum outcome read_snap_start(struct reader *r)
{
    yyjson_val *snap = NULL;
    TRY(lambda_member(r->body, "SnapStart", LAMBDA_STRUCTURE, &snap, r->err));
    struct slice apply = SLICE_EMPTY;
    bool given = false;
    if (snap != NULL)
        TRY(read_string(r, snap, "ApplyOn", &apply, &given));
    if (!given || slice_is(apply, "None"))
        return OK;
    if (slice_is(apply, "PublishedVersions"))
        refuse_unsupported(r, "SnapStart");
    else
        lambda_check_failed(&r->checks, "snapStart.applyOn", apply,
                            "Member must satisfy enum value set: [PublishedVersions, None]");
    return OK;
}

/* ---- environment ---- */

static enum outcome read_environment(struct reader *r)
{
    yyjson_val *environment = NULL, *variables = NULL;
    TRY(lambda_member(r->body, "Environment", LAMBDA_STRUCTURE, &environment, r->err));
    if (environment == NULL)
        return OK;
    TRY(lambda_member(environment, "Variables", LAMBDA_MAP, &variables, r->err));
    struct function *draft = r->draft;
    variables_free(draft->environment, draft->environment_count);
    draft->environment = NULL;
    draft->environment_count = 0;
    if (variables == NULL) /* an Environment without Variables takes them all away */
        return OK;
    TRY(lambda_read_variables(variables, &r->checks, &r->refused, &draft->environment, &draft->environment_count,
                              r->err));
    if (lambda_environment_fits(draft, reader_refuses(r)) != OK)
        return OK; /* kept as the refusal: violations of the model go first */
    return OK;
}

/* What CreateFunction and UpdateFunctionConfiguration have in common. */
static enum outcome read_common(struct reader *r, enum shape shape)
{
    TRY(read_texts(r));
    TRY(read_numbers(r));
    TRY(read_tracing(r));
    TRY(read_snap_start(r));
    TRY(lambda_read_logging(r->body, r->draft, &r->checks, &r->refused, r->err));
    TRY(read_environment(r));
    return read_unsupported(r, r->body, shape);
}

/* ---- code ---- */

static enum outcome read_architectures(struct reader *r, struct slice *out)
{
    yyjson_val *list = NULL, *each = NULL;
    TRY(lambda_member(r->body, "Architectures", LAMBDA_LIST, &list, r->err));
    *out = SLICE_EMPTY;
    if (list == NULL)
        return OK;
    AUTO(buffer)
    struct buffer shown = BUFFER_EMPTY;
    size_t index = 0, max = 0;
    bool known = true;
    buffer_append_byte(&shown, '[');
    yyjson_arr_foreach(list, index, max, each)
    {
        TRY(lambda_type_check(each, LAMBDA_STRING, r->err));
        *out = json_slice(each);
        known = known && (slice_is(*out, "x86_64") || slice_is(*out, "arm64"));
        if (shown.len < LAMBDA_VALUE_SHOWN_MAX) {
            buffer_append_text(&shown, index > 0 ? ", " : "");
            buffer_append_slice(&shown, lambda_shown(*out, LAMBDA_VALUE_SHOWN_MAX));
        }
    }
    buffer_append_byte(&shown, ']');
    if (max != 1)
        lambda_check_failed(&r->checks, "architectures", buffer_slice(&shown),
                            "Member must have length %s than or equal to 1", max == 0 ? "greater" : "less");
    else if (!known)
        lambda_check_failed(
            &r->checks, "architectures", buffer_slice(&shown), "%s",
            "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must "
            "not be null]");
    else if (!slice_is(*out, r->place->architecture))
        (void)error_set_code(reader_refuses(r), ERROR_UNSUPPORTED, INVALID_PARAMETER,
                             "Build the package for this machine.",
                             "Architecture %.*s is not supported by this server: it runs on %s.", SLICE_PRINT(*out),
                             r->place->architecture);
    return OK;
}

enum outcome lambda_decode_zip(struct slice text, struct buffer *zip, struct error *err)
{
    if (text.len / 4 * 3 > (size_t)PACKAGE_ZIP_BYTES_MAX + 2) /* two bytes may be padding */
        return error_set_code(err, ERROR_TOO_LARGE, "RequestEntityTooLargeException", "Make the package smaller.",
                              "Zipped size must be smaller than %d bytes", PACKAGE_ZIP_BYTES_MAX);
    if (!buffer_try_reserve(zip, text.len / 4 * 3))
        return error_set_code(err, ERROR_UNAVAILABLE, "ServiceException", "Try again later.",
                              "could not allocate memory for a package of %zu bytes", text.len / 4 * 3);
    if (!codec_unbase64(zip, text)) {
        buffer_drop(zip);
        return error_set_code(err, ERROR_INVALID, "SerializationException",
                              "Send the zip file in base64 (RFC 4648).",
                              "ZipFile can not be converted to a Blob: it is not base64");
    }
    return OK;
}

/* `code` is CreateFunction's Code, or UpdateFunctionCode's body: the same members. */
static enum outcome read_code(struct reader *r, yyjson_val *code, struct slice *zip_text)
{
    static const char *const others[] = { "S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri" };
    bool given = false, other = false, image = false, has_zip = false;
    struct slice text = SLICE_EMPTY;
    TRY(read_string(r, code, "ZipFile", zip_text, &has_zip));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        TRY(read_string(r, code, others[i], &text, &given));
        other = other || (given && text.len > 0);
        image = image || (given && text.len > 0 && i == 3);
    }
    if (has_zip && other)
        (void)error_set_code(reader_refuses(r), ERROR_INVALID, INVALID_PARAMETER, "Send one source.",
                             "Please do not provide other FunctionCode parameters when providing a ZipFile.");
    else if (image)
        refuse_unsupported(r, "Code with an ImageUri (PackageType Image)");
    else if (other)
        refuse_unsupported(r, "Code from S3 (S3Bucket, S3Key)");
    else if (!has_zip)
        (void)error_set_code(reader_refuses(r), ERROR_INVALID, INVALID_PARAMETER, "Send Code.ZipFile.",
                             "Please provide a source for function code.");
    else if (zip_text->len == 0)
        (void)error_set_code(reader_refuses(r), ERROR_INVALID, INVALID_PARAMETER,
                             "Zip at least the handler's file.", "Uploaded file must be a non-empty zip");
    return OK;
}

/* ---- CreateFunction ---- */

static void require(struct reader *r, const char *name, const char *shown)
{
    yyjson_val *value = yyjson_obj_get(r->body, name);
    if (value == NULL || yyjson_is_null(value))
        lambda_check_failed(&r->checks, shown, (struct slice){ NULL, 0 }, "Member must not be null");
}

static void check_create_place(struct reader *r, const struct lambda_name *name)
{
    if (name->region.len > 0 && !slice_is(name->region, r->place->region))
        (void)error_set_code(reader_refuses(r), ERROR_NOT_FOUND, "ResourceNotFoundException",
                             "Use this server's region.",
                             "Functions from '%.*s' are not reachable in this region ('%s')",
                             SLICE_PRINT(name->region), r->place->region);
    else if (name->account.len > 0 && !slice_is(name->account, r->place->account))
        (void)error_set_code(reader_refuses(r), ERROR_DENIED, "AccessDeniedException", "Use this server's account.",
                             "Functions of account %.*s can not be created in account %s",
                             SLICE_PRINT(name->account), r->place->account);
    else if (name->qualifier.len > 0)
        (void)error_set_code(
            reader_refuses(r), ERROR_INVALID, INVALID_PARAMETER, "Leave the qualifier out.",
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
            "operation. Please specify either a function name or an unqualified function ARN.");
}

static enum outcome read_name(struct reader *r)
{
    struct slice text = SLICE_EMPTY;
    bool given = false;
    TRY(read_string(r, r->body, "FunctionName", &text, &given));
    if (!given) {
        require(r, "FunctionName", "functionName");
        return OK;
    }
    struct lambda_name name = { SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY };
    bool parsed = lambda_name_parse(text, LAMBDA_NAME_FUNCTION, &name);
    if (!parsed)
        lambda_check_failed(&r->checks, "functionName", text, "Member must satisfy regular expression pattern: %s",
                            lambda_name_pattern[LAMBDA_NAME_FUNCTION]);
    lambda_check_length(&r->checks, "functionName", text, 1, LAMBDA_NAME_CREATE_BYTES_MAX);
    if (!parsed)
        return OK;
    if (name.name.len > FUNCTION_NAME_BYTES_MAX) /* recorded: this one is Lambda's own, not the model's */
        (void)error_set_code(
            reader_refuses(r), ERROR_INVALID, INVALID_PARAMETER, "Choose a shorter name.",
            "1 validation error detected: Value '%.*s' at 'functionName' failed to satisfy constraint: Member "
            "must have length less than or equal to %d",
            SLICE_PRINT(name.name), FUNCTION_NAME_BYTES_MAX);
    check_create_place(r, &name);
    set_text(&r->draft->name, name.name);
    AUTO(buffer)
    struct buffer group = BUFFER_EMPTY;
    buffer_appendf(&group, "/aws/lambda/%.*s", SLICE_PRINT(name.name));
    set_text(&r->draft->log_group, buffer_slice(&group));
    return OK;
}

static enum outcome read_package_type(struct reader *r)
{
    struct slice type = SLICE_EMPTY;
    bool given = false;
    TRY(read_string(r, r->body, "PackageType", &type, &given));
    if (!given || slice_is(type, "Zip"))
        return OK;
    if (slice_is(type, "Image"))
        refuse_unsupported(r, "PackageType Image");
    else
        lambda_check_failed(&r->checks, "packageType", type, "Member must satisfy enum value set: [Zip, Image]");
    return OK;
}

static enum outcome read_create(struct reader *r, struct slice *zip_text)
{
    yyjson_val *code = NULL, *tags = NULL;
    struct slice architecture = SLICE_EMPTY;
    TRY(read_name(r)); /* before LoggingConfig, which may name another log group */
    TRY(lambda_member(r->body, "Code", LAMBDA_STRUCTURE, &code, r->err));
    TRY(read_package_type(r));
    TRY(read_architectures(r, &architecture));
    TRY(read_common(r, CREATE));
    require(r, "Role", "role");
    require(r, "Code", "code");
    if (r->draft->runtime == NULL || r->draft->handler == NULL)
        (void)error_set_code(
            reader_refuses(r), ERROR_INVALID, INVALID_PARAMETER, "Send Runtime and Handler.",
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.");
    TRY(lambda_member(r->body, "Tags", LAMBDA_MAP, &tags, r->err));
    if (tags != NULL)
        TRY(lambda_read_tags(tags, &r->refused, &r->draft->tags, &r->draft->tag_count, r->err));
    if (code == NULL)
        return OK;
    TRY(read_unsupported(r, code, CODE));
    return read_code(r, code, zip_text);
}

enum outcome lambda_read_create(const struct lambda_place *place, yyjson_val *body, struct function **draft,
                                struct buffer *zip, struct error *err)
{
    AUTO(function)
    struct function *f = function_new();
    AUTO(reader)
    struct reader r = { .place = place, .body = body, .draft = f, .err = err };
    struct slice zip_text = SLICE_EMPTY;
    TRY(read_create(&r, &zip_text));
    TRY(reader_result(&r));
    TRY(lambda_decode_zip(zip_text, zip, r.err));
    *draft = f;
    f = NULL;
    return OK;
}

/* ---- updates ---- */

enum outcome lambda_read_configuration(const struct lambda_place *place, yyjson_val *body, struct function *draft,
                                       struct slice *revision_id, struct error *err)
{
    AUTO(reader)
    struct reader r = { .place = place, .body = body, .draft = draft, .err = err };
    bool given = false;
    struct slice revision = SLICE_EMPTY;
    TRY(read_common(&r, CONFIGURATION));
    TRY(read_string(&r, body, "RevisionId", &revision, &given));
    TRY(reader_result(&r));
    *revision_id = revision;
    return OK;
}

enum outcome lambda_read_code(const struct lambda_place *place, yyjson_val *body, struct lambda_code_update *out,
                              struct error *err)
{
    AUTO(reader)
    struct reader r = { .place = place, .body = body, .err = err };
    struct lambda_code_update update = { BUFFER_EMPTY, SLICE_EMPTY, SLICE_EMPTY, false, false };
    struct slice zip_text = SLICE_EMPTY;
    bool given = false;
    TRY(read_flag(&r, "DryRun", &update.dry_run));
    TRY(read_flag(&r, "Publish", &update.publish));
    TRY(read_string(&r, body, "RevisionId", &update.revision_id, &given));
    TRY(read_architectures(&r, &update.architecture));
    TRY(read_unsupported(&r, body, UPDATE_CODE));
    TRY(read_code(&r, body, &zip_text));
    TRY(reader_result(&r));
    TRY(lambda_decode_zip(zip_text, &update.zip, r.err));
    *out = update;
    return OK;
}
