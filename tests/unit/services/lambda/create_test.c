/* services/lambda: what CreateFunction accepts and what it refuses, in AWS's words. */
#include "world.h"

#define ROLE       "\"Role\":\"arn:aws:iam::000000000000:role/hearth-basic\""
#define ZIP        "\"ZipFile\":\"UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==\""
#define REST       "\"Runtime\":\"nodejs20.x\",\"Handler\":\"index.handler\"," ROLE ",\"Code\":{" ZIP "}"
#define BODY(more) "{\"FunctionName\":\"hello\"," REST more "}"

static int make_world(void **state)
{
    struct world *world = memory_new(sizeof(*world));
    world_init(world);
    *state = world;
    return 0;
}

static int drop_world(void **state)
{
    world_done(*state);
    free(*state);
    return 0;
}

static void create(struct world *world, const char *body)
{
    world_call(world, "POST", body);
    lambda_create_function(&world->call);
}

static struct function *created(struct world *world, const char *body)
{
    create(world, body);
    if (world->engine.asked != ASKED_CREATE)
        fail_msg("%s: %s", world->error.code, world->error.message);
    assert_int_equal(world->replies, 0); /* not before it is on disk */
    return world->engine.draft;
}

static void refused(struct world *world, const char *body, const char *code, const char *text)
{
    create(world, body);
    assert_int_equal(world->engine.asked, ASKED_NOTHING);
    assert_failed(world, code, text);
}

static const char INVALID[] = "InvalidParameterValueException", VALIDATION[] = "ValidationException",
                  SERIALIZATION[] = "SerializationException";

/* ---- accepted ---- */

static void the_least_that_makes_a_function_gets_Lambdas_defaults(void **state)
{
    const struct function *f = created(*state, BODY(""));
    assert_string_equal(f->name, "hello");
    assert_string_equal(f->version, "$LATEST");
    assert_string_equal(f->runtime->id, "nodejs20.x");
    assert_string_equal(f->handler, "index.handler");
    assert_string_equal(f->description, "");
    assert_int_equal(f->timeout_s, 3);
    assert_int_equal(f->memory_mb, 128);
    assert_int_equal(f->tmp_mb, 512);
    assert_string_equal(f->architecture, function_architecture());
    assert_string_equal(f->tracing_mode, "PassThrough");
    assert_string_equal(f->log_group, "/aws/lambda/hello");
    assert_string_equal(f->log_format, "Text");
    assert_int_equal(f->environment_count, 0);
    assert_int_equal(f->tag_count, 0);
}

static void the_package_is_decoded_and_the_body_let_go(void **state)
{
    struct world *world = *state;
    created(world, BODY(""));
    assert_int_equal(world->engine.zip.len, 22);
    assert_memory_equal(world->engine.zip.at, "PK\x05\x06", 4);
    assert_null(world->call.json.doc);
    assert_int_equal(world->body.len, 0);
}

static void the_answer_is_201_with_the_configuration_once_it_is_saved(void **state)
{
    struct world *world = *state;
    created(world, BODY(""));
    struct function *saved = world_add_function(world, "hello");
    world_saved(world, OK, saved, NULL);
    assert_answer(world, 201, "\"State\":\"Active\",\"LastUpdateStatus\":\"Successful\"");
}

static void what_the_engine_refuses_is_passed_on(void **state)
{
    struct world *world = *state;
    created(world, BODY(""));
    struct error err = { 0 };
    (void)error_set_code(&err, ERROR_INVALID, INVALID, "Check the file.", "Could not unzip uploaded file.");
    world_saved(world, FAILED, NULL, &err);
    assert_failed(world, INVALID, "Could not unzip uploaded file.");
}

static void every_field_is_taken(void **state)
{
    const struct function *f = created(
        *state, BODY(",\"Description\":\"d\\u00e9\",\"Timeout\":900,\"MemorySize\":10240,\"EphemeralStorage\":{"
                     "\"Size\":10240},"
                     "\"Environment\":{\"Variables\":{\"ZED\":\"1\",\"ALPHA\":\"x=y\"}},\"Tags\":{\"team\":\"a\"},"
                     "\"TracingConfig\":{\"Mode\":\"Active\"},\"LoggingConfig\":{\"LogFormat\":\"Text\","
                     "\"LogGroup\":\"mine/1\"},"
                     "\"PackageType\":\"Zip\""));
    assert_string_equal(f->description, "d\xC3\xA9");
    assert_int_equal(f->timeout_s, 900);
    assert_int_equal(f->memory_mb, 10240);
    assert_int_equal(f->tmp_mb, 10240);
    assert_string_equal(f->environment[0].name, "ALPHA");
    assert_string_equal(f->environment[1].value, "1");
    assert_string_equal(f->tags[0].name, "team");
    assert_string_equal(f->tracing_mode, "Active");
    assert_string_equal(f->log_group, "mine/1");
}

static void a_name_may_be_an_ARN_of_this_account_and_region(void **state)
{
    static const char *const names[] = { "000000000000:function:hello", "function:hello",
                                         "arn:aws:lambda:us-east-1:000000000000:function:hello" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char body[1024];
        snprintf(body, sizeof(body), "{\"FunctionName\":\"%s\"," REST "}", names[i]);
        const struct function *f = created(*state, body);
        assert_string_equal(f->name, "hello");
        assert_string_equal(f->log_group, "/aws/lambda/hello");
    }
}

static void empty_and_default_values_of_what_is_not_there_are_accepted(void **state)
{
    created(
        *state,
        BODY(",\"VpcConfig\":{\"SubnetIds\":[],\"SecurityGroupIds\":[],\"Ipv6AllowedForDualStack\":false},"
             "\"DeadLetterConfig\":{\"TargetArn\":\"\"},\"Layers\":[],\"FileSystemConfigs\":[],\"KMSKeyArn\":\"\","
             "\"ImageConfig\":{},\"SnapStart\":{\"ApplyOn\":\"None\"},\"Publish\":false,\"CodeSigningConfigArn\":"
             "\"\","
             "\"Description\":null,\"Environment\":{\"Variables\":{}},\"TracingConfig\":{},\"Tags\":{}"));
}

static void members_that_the_model_does_not_have_are_ignored(void **state)
{
    created(*state, BODY(",\"Surprise\":{\"a\":[1,2]},\"timeout\":\"lower case\""));
}

static void variables_that_the_developer_guide_does_not_reserve_may_be_set(void **state)
{
    const struct function *f =
        created(*state, BODY(",\"Environment\":{\"Variables\":{\"TZ\":\"Europe/Berlin\",\"PATH\":\"/opt\","
                             "\"NODE_OPTIONS\":\"\",\"AWS_LAMBDA_EXEC_WRAPPER\":\"/opt/w\"}}"));
    assert_int_equal(f->environment_count, 4);
}

/* ---- refused: types ---- */

static void a_wrong_type_is_a_SerializationException(void **state)
{
    refused(*state, BODY(",\"Timeout\":\"3\""), SERIALIZATION, "STRING_VALUE can not be converted to an Integer");
    refused(*state, BODY(",\"MemorySize\":128.5"), SERIALIZATION,
            "NUMBER_VALUE can not be converted to an Integer");
    refused(*state, BODY(",\"Description\":7"), SERIALIZATION, "NUMBER_VALUE can not be converted to a String");
    refused(*state, BODY(",\"Description\":true"), SERIALIZATION, "TRUE_VALUE can not be converted to a String");
    refused(*state, BODY(",\"Description\":[]"), SERIALIZATION, "Start of list found where not expected");
    refused(*state, BODY(",\"Description\":{}"), SERIALIZATION,
            "Start of structure or map found where not expected.");
    refused(*state, BODY(",\"Environment\":\"A=1\""), SERIALIZATION,
            "STRING_VALUE can not be converted to a Structure");
    refused(*state, BODY(",\"Environment\":{\"Variables\":{\"AB\":1}}"), SERIALIZATION, "NUMBER_VALUE");
    refused(*state, BODY(",\"Environment\":{\"Variables\":{\"AB\":null}}"), SERIALIZATION, "NULL_VALUE");
    refused(*state, BODY(",\"Tags\":[\"a\"]"), SERIALIZATION, "Start of list");
    refused(*state, BODY(",\"Layers\":\"arn\""), SERIALIZATION, "STRING_VALUE can not be converted to a List");
    refused(*state, BODY(",\"Publish\":\"true\""), SERIALIZATION, "STRING_VALUE can not be converted to a Boolean");
    refused(*state, BODY(",\"Description\":\"a\\u0000b\""), SERIALIZATION, "U+0000");
}

static void a_package_that_is_not_strict_base64_is_a_SerializationException(void **state)
{
    static const char *const texts[] = {
        "UEsF", "UEsFBg", "UEsFBg=", "UEsFBh==", "UEsF Bg==", "UEsFBg==\\n", "U-_F"
    };
    for (size_t i = 1; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char body[1024];
        snprintf(body, sizeof(body),
                 "{\"FunctionName\":\"hello\",\"Runtime\":\"nodejs20.x\",\"Handler\":\"i.h\"," ROLE
                 ",\"Code\":{\"ZipFile\":\"%s\"}}",
                 texts[i]);
        refused(*state, body, SERIALIZATION, "ZipFile can not be converted to a Blob");
    }
}

/* ---- refused: the model ---- */

static void what_is_required_is_named_all_at_once(void **state)
{
    struct world *world = *state;
    refused(world, "{}", VALIDATION,
            "3 validation errors detected: Value null at 'functionName' failed to satisfy constraint: "
            "Member must not be null; Value null at 'role' failed");
    assert_text(world->error.message, "Value null at 'code' failed to satisfy constraint: Member must not be null");
    refused(world, "{\"FunctionName\":null," REST "}", VALIDATION,
            "1 validation error detected: Value null at 'functionName'");
}

static void a_role_is_a_role_ARN_of_this_account(void **state)
{
    static const char form[] =
        "{\"FunctionName\":\"hello\",\"Runtime\":\"nodejs20.x\",\"Handler\":\"i.h\",\"Role\":\"%s\","
        "\"Code\":{" ZIP "}}";
    char body[1024];
    static const char *const good[] = { "arn:aws:iam::000000000000:role/a",
                                        "arn:aws:iam::000000000000:role/service-role/x+=,.@_-",
                                        "arn:aws-cn:iam::000000000000:role/a", "arn::iam::000000000000:rolea" };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(body, sizeof(body), form, good[i]);
        created(*state, body);
    }
    static const char *const bad[] = { "r1",
                                       "",
                                       "arn:aws:iam::000000000000:role",
                                       "arn:aws:iam::00000000000:role/a",
                                       "arn:aws:iam:us-east-1:000000000000:role/a",
                                       "arn:aws:iam::000000000000:user/a",
                                       "arn:aws:iam::000000000000:role/a b",
                                       "arn:aws:iam::000000000000:role/a:b",
                                       "arn:gcp:iam::000000000000:role/a" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(body, sizeof(body), form, bad[i]);
        refused(*state, body, VALIDATION,
                "at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: "
                "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+");
    }
    snprintf(body, sizeof(body), form, "arn:aws:iam::123456789012:role/a");
    refused(*state, body, "AccessDeniedException", "Cross-account pass role is not allowed.");
}

static void numbers_have_Lambdas_ranges(void **state)
{
    created(*state, BODY(",\"Timeout\":1,\"MemorySize\":128,\"EphemeralStorage\":{\"Size\":512}"));
    refused(
        *state, BODY(",\"Timeout\":0"), VALIDATION,
        "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1");
    refused(
        *state, BODY(",\"Timeout\":901"), VALIDATION,
        "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900");
    refused(*state, BODY(",\"MemorySize\":127"), VALIDATION, "Value '127' at 'memorySize'");
    refused(*state, BODY(",\"MemorySize\":32769"), VALIDATION,
            "Member must have value less than or equal to 32768");
    refused(*state, BODY(",\"MemorySize\":10241"), INVALID,
            "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240");
    refused(*state, BODY(",\"MemorySize\":-1"), VALIDATION, "Value '-1' at 'memorySize'");
    refused(*state, BODY(",\"MemorySize\":18446744073709551615"), VALIDATION, "at 'memorySize'");
    refused(*state, BODY(",\"EphemeralStorage\":{\"Size\":511}"), VALIDATION,
            "Value '511' at 'ephemeralStorage.size'");
    refused(*state, BODY(",\"EphemeralStorage\":{\"Size\":10241}"), VALIDATION, "less than or equal to 10240");
    refused(*state, BODY(",\"EphemeralStorage\":{}"), VALIDATION, "Value null at 'ephemeralStorage.size'");
    refused(*state, BODY(",\"Timeout\":0,\"MemorySize\":1"), VALIDATION, "2 validation errors detected: ");
}

static void texts_have_the_models_lengths_and_patterns(void **state)
{
    char body[2048], text[600];
    memset(text, 'd', 256);
    text[256] = '\0';
    snprintf(body, sizeof(body), BODY(",\"Description\":\"%s\""), text);
    created(*state, body);
    snprintf(body, sizeof(body), BODY(",\"Description\":\"%sd\""), text);
    refused(*state, body, VALIDATION,
            "at 'description' failed to satisfy constraint: Member must have length less than or equal to 256");
    static const char form[] =
        "{\"FunctionName\":\"hello\",\"Runtime\":\"nodejs20.x\",\"Handler\":\"%s\"," ROLE ",\"Code\":{" ZIP "}}";
    snprintf(body, sizeof(body), form, "a/b/index.handler");
    created(*state, body);
    text[129] = '\0';
    snprintf(body, sizeof(body), form, text);
    refused(*state, body, VALIDATION,
            "at 'handler' failed to satisfy constraint: Member must have length less than or equal to 128");
    snprintf(body, sizeof(body), form, "index handler");
    refused(*state, body, VALIDATION,
            "Value 'index handler' at 'handler' failed to satisfy constraint: Member must satisfy regular "
            "expression pattern: [^\\s]+");
    snprintf(body, sizeof(body), form, "");
    refused(*state, body, VALIDATION, "Value '' at 'handler'");
}

static void descriptions_are_counted_as_AWS_counts_them(void **state)
{
    (void)state;
    assert_int_equal(lambda_text_length(SLICE("abc")), 3);
    assert_int_equal(lambda_text_length(SLICE("\xC3\xA9")), 1);
    assert_int_equal(lambda_text_length(SLICE("\xE2\x82\xAC")), 1);
    assert_int_equal(lambda_text_length(SLICE("\xF0\x9F\x94\xA5")), 2); /* a surrogate pair */
}

static void enumerations_are_exact(void **state)
{
    refused(*state, BODY(",\"TracingConfig\":{\"Mode\":\"active\"}"), VALIDATION, "at 'tracingConfig.mode'");
    refused(*state, BODY(",\"PackageType\":\"Tar\""), VALIDATION,
            "Value 'Tar' at 'packageType' failed to satisfy constraint: Member must satisfy enum value set: [Zip, "
            "Image]");
    refused(*state, BODY(",\"SnapStart\":{\"ApplyOn\":\"invalidOption\"}"), VALIDATION,
            "1 validation error detected: Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy "
            "constraint: Member must "
            "satisfy enum value set: [PublishedVersions, None]");
    refused(*state, BODY(",\"LoggingConfig\":{\"LogFormat\":\"XML\"}"), VALIDATION, "at 'loggingConfig.logFormat'");
}

static void a_log_group_is_a_name_of_letters_digits_and_a_few_signs(void **state)
{
    created(*state, BODY(",\"LoggingConfig\":{\"LogGroup\":\"/my/group.#1\"}"));
    refused(*state, BODY(",\"LoggingConfig\":{\"LogGroup\":\"a b\"}"), VALIDATION,
            "pattern: [\\.\\-_/#A-Za-z0-9]+");
    refused(*state, BODY(",\"LoggingConfig\":{\"LogGroup\":\"\"}"), VALIDATION, "at 'loggingConfig.logGroup'");
    created(*state, BODY(",\"LoggingConfig\":{\"LogGroup\":\"..\"}")); /* its directory is called otherwise */
    char body[1024], group[514];
    memset(group, '#', sizeof(group));
    group[513] = '\0';
    snprintf(body, sizeof(body), BODY(",\"LoggingConfig\":{\"LogGroup\":\"%s\"}"), group);
    refused(*state, body, VALIDATION, "Member must have length less than or equal to 512");
    group[512] = '\0';
    snprintf(body, sizeof(body), BODY(",\"LoggingConfig\":{\"LogGroup\":\"%s\"}"), group);
    created(*state, body);
}

static void names_too_long_are_refused_in_two_ways_as_on_AWS(void **state)
{
    char body[2048], name[200];
    memset(name, 'a', sizeof(name));
    name[64] = '\0';
    snprintf(body, sizeof(body), "{\"FunctionName\":\"%s\"," REST "}", name);
    created(*state, body);
    name[64] = 'a';
    name[65] = '\0';
    snprintf(body, sizeof(body), "{\"FunctionName\":\"%s\"," REST "}", name);
    refused(*state, body, INVALID,
            "at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64");
    name[65] = 'a';
    name[141] = '\0';
    snprintf(body, sizeof(body), "{\"FunctionName\":\"%s\"," REST "}", name);
    refused(*state, body, VALIDATION, "Member must have length less than or equal to 140");
    refused(*state, "{\"FunctionName\":\"hello:1\"," REST "}", INVALID,
            "Please specify either a function name or an unqualified");
    refused(*state, "{\"FunctionName\":\"invalid:function:name\"," REST "}", VALIDATION,
            "([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?");
    refused(*state, "{\"FunctionName\":\"arn:aws:lambda:ap-southeast-1:000000000000:function:f\"," REST "}",
            "ResourceNotFoundException",
            "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')");
    refused(*state, "{\"FunctionName\":\"123456789012:function:f\"," REST "}", "AccessDeniedException",
            "123456789012");
}

static void architectures_are_one_and_the_boxs_own(void **state)
{
    char body[1024];
    bool x86 = strcmp(function_architecture(), "x86_64") == 0;
    snprintf(body, sizeof(body), BODY(",\"Architectures\":[\"%s\"]"), function_architecture());
    created(*state, body);
    snprintf(body, sizeof(body), BODY(",\"Architectures\":[\"%s\"]"), x86 ? "arm64" : "x86_64");
    refused(*state, body, INVALID, "is not supported by this server: it runs on");
    refused(*state, BODY(",\"Architectures\":[\"x86_64\",\"arm64\"]"), VALIDATION,
            "1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: "
            "Member must have "
            "length less than or equal to 1");
    refused(*state, BODY(",\"Architectures\":[\"X86_64\"]"), VALIDATION,
            "Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: "
            "[Member must satisfy "
            "enum value set: [x86_64, arm64], Member must not be null]");
    refused(*state, BODY(",\"Architectures\":[]"), VALIDATION, "Value '[]' at 'architectures'");
    refused(*state, BODY(",\"Architectures\":[7]"), SERIALIZATION, "NUMBER_VALUE");
}

/* ---- refused: Lambda itself ---- */

static void runtimes_are_known_or_said_what_they_are(void **state)
{
    static const char form[] =
        "{\"FunctionName\":\"hello\",\"Runtime\":\"%s\",\"Handler\":\"i.h\"," ROLE ",\"Code\":{" ZIP "}}";
    char body[1024];
    static const char *const good[] = { "nodejs18.x", "nodejs24.x", "python3.9", "python3.14" };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(body, sizeof(body), form, good[i]);
        created(*state, body);
    }
    snprintf(body, sizeof(body), form, "non-existent-runtime");
    refused(*state, body, INVALID,
            "Value non-existent-runtime at 'runtime' failed to satisfy constraint: Member must satisfy enum "
            "value set: [nodejs18.x, ");
    snprintf(body, sizeof(body), form, "PYTHON3.9");
    refused(*state, body, INVALID, "or be a valid ARN");
    snprintf(body, sizeof(body), form, "nodejs14.x");
    refused(*state, body, INVALID,
            "The runtime parameter of nodejs14.x is no longer supported for creating or updating AWS Lambda "
            "functions. We recommend you use a supported runtime while creating or updating functions.");
    snprintf(body, sizeof(body), form, "java21");
    refused(*state, body, INVALID, "The runtime java21 is not supported by this server yet.");
    refused(*state, "{\"FunctionName\":\"hello\",\"Handler\":\"i.h\"," ROLE ",\"Code\":{" ZIP "}}", INVALID,
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.");
    refused(*state, "{\"FunctionName\":\"hello\",\"Runtime\":\"nodejs20.x\"," ROLE ",\"Code\":{" ZIP "}}", INVALID,
            "Runtime and Handler");
}

static void a_runtime_that_is_not_installed_is_refused_with_the_remedy(void **state)
{
    struct world *world = *state;
    world->engine.runtime_missing = true;
    refused(world, BODY(""), INVALID, "hearth runtime add nodejs20.x");
}

static void a_name_that_is_taken_is_a_conflict(void **state)
{
    world_add_function(*state, "hello");
    refused(*state, BODY(""), "ResourceConflictException", "Function already exist: hello");
}

static void code_has_exactly_one_source_that_is_there(void **state)
{
#define WITH_CODE(code)                                                                                            \
    "{\"FunctionName\":\"hello\",\"Runtime\":\"nodejs20.x\",\"Handler\":\"i.h\"," ROLE ",\"Code\":{" code "}}"
    refused(*state, WITH_CODE(""), INVALID, "Please provide a source for function code.");
    refused(*state, WITH_CODE("\"ZipFile\":\"\""), INVALID, "Uploaded file must be a non-empty zip");
    refused(*state, WITH_CODE(ZIP ",\"S3Bucket\":\"b\""), INVALID,
            "Please do not provide other FunctionCode parameters when providing a ZipFile.");
    refused(*state, WITH_CODE("\"S3Bucket\":\"bucket\",\"S3Key\":\"k\""), INVALID,
            "Code from S3 (S3Bucket, S3Key) is not supported by this server yet.");
    refused(*state, WITH_CODE("\"ImageUri\":\"x\""), INVALID, "ImageUri");
    refused(*state, WITH_CODE(ZIP ",\"SourceKMSKeyArn\":\"arn:aws:kms:a:b\""), INVALID,
            "SourceKMSKeyArn is not supported");
    refused(*state, "{\"FunctionName\":\"hello\"," ROLE ",\"PackageType\":\"Image\",\"Code\":{\"ImageUri\":\"x\"}}",
            INVALID, "PackageType Image is not supported by this server yet.");
}

static void what_Hearth_does_not_have_yet_is_refused_by_name(void **state)
{
    static const struct {
        const char *more, *name;
    } cases[] = {
        { ",\"VpcConfig\":{\"SubnetIds\":[\"subnet-1\"],\"SecurityGroupIds\":[]}", "VpcConfig" },
        { ",\"DeadLetterConfig\":{\"TargetArn\":\"arn:aws:sqs:us-east-1:000000000000:q\"}", "DeadLetterConfig" },
        { ",\"KMSKeyArn\":\"arn:aws:kms:us-east-1:000000000000:key/1\"", "KMSKeyArn" },
        { ",\"FileSystemConfigs\":[{\"Arn\":\"a\",\"LocalMountPath\":\"/mnt/a\"}]", "FileSystemConfigs" },
        { ",\"ImageConfig\":{\"Command\":[\"a\"]}", "ImageConfig" },
        { ",\"CodeSigningConfigArn\":\"arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0\"",
          "CodeSigningConfigArn" },
        { ",\"SnapStart\":{\"ApplyOn\":\"PublishedVersions\"}", "SnapStart" },
        { ",\"DurableConfig\":{\"ExecutionTimeout\":5}", "DurableConfig" },
        { ",\"TenancyConfig\":{\"TenantIsolationMode\":\"PER_TENANT\"}", "TenancyConfig" },
        { ",\"CapacityProviderConfig\":{\"LambdaManagedInstancesCapacityProviderConfig\":{\"CapacityProviderArn\":"
          "\"a\"}}",
          "CapacityProviderConfig" },
        { ",\"PublishTo\":\"LATEST_PUBLISHED\"", "PublishTo" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world *world = *state;
        char body[1024];
        snprintf(body, sizeof(body), "{\"FunctionName\":\"hello\"," REST "%s}", cases[i].more);
        refused(world, body, INVALID, "is not supported by this server yet");
        assert_text(world->error.message, cases[i].name);
        assert_int_equal(world->error.kind, ERROR_UNSUPPORTED);
    }
}

static void log_levels_need_the_JSON_format_as_on_AWS(void **state)
{
    refused(*state, BODY(",\"LoggingConfig\":{\"ApplicationLogLevel\":\"DEBUG\"}"), INVALID,
            "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your request or "
            "change the LogFormat to "
            "\"JSON\" and try again.");
}

static void environment_names_follow_the_pattern(void **state)
{
    static const char *const bad[] = { "A", "1A", "_A", "A-B", "A B", "A.B", "\\u00c9A", "" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char body[1024];
        snprintf(body, sizeof(body), BODY(",\"Environment\":{\"Variables\":{\"OK_1\":\"\",\"%s\":\"x\"}}"), bad[i]);
        refused(*state, body, VALIDATION,
                "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map "
                "keys must satisfy "
                "constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]");
    }
}

static void reserved_names_are_refused_all_at_once(void **state)
{
    refused(
        *state,
        BODY(",\"Environment\":{\"Variables\":{\"AWS_REGION\":\"x\",\"MINE\":\"y\",\"AWS_ACCESS_KEY_ID\":\"z\"}}"),
        INVALID,
        "Lambda was unable to configure your environment variables because the environment variables you have "
        "provided contains "
        "reserved keys that are currently not supported for modification. Reserved keys used in this request: "
        "AWS_ACCESS_KEY_ID, AWS_REGION");
}

static void an_environment_has_4_KB_as_JSON(void **state)
{
    struct world *world = *state;
    static const size_t around = sizeof("{\"AB\":\"\"}") - 1;
    char value[4200], body[6000];
    memset(value, 's', sizeof(value));
    value[4096 - around] = '\0';
    snprintf(body, sizeof(body), BODY(",\"Environment\":{\"Variables\":{\"AB\":\"%s\"}}"), value);
    created(world, body);
    value[4096 - around] = 's';
    value[4097 - around] = '\0';
    snprintf(body, sizeof(body), BODY(",\"Environment\":{\"Variables\":{\"AB\":\"%s\"}}"), value);
    refused(world, body, INVALID, "exceeded the 4KB limit. String measured: 4097 bytes");
    assert_null(strstr(world->error.message, "sss")); /* it may be a secret, and errors may be logged */
}

static void tags_have_AWSs_limits(void **state)
{
    struct buffer body = BUFFER_EMPTY;
    for (int count = 50; count <= 51; count++) {
        buffer_reset(&body);
        buffer_append_text(&body, "{\"FunctionName\":\"hello\"," REST ",\"Tags\":{");
        for (int i = 0; i < count; i++)
            buffer_appendf(&body, "%s\"%d_key\":\"%d_value\"", i > 0 ? "," : "", i, i);
        buffer_append_text(&body, "}}");
        if (count == 50)
            assert_int_equal(created(*state, buffer_text(&body))->tag_count, 50);
        else
            refused(*state, buffer_text(&body), INVALID, "Number of tags exceeds resource tag limit.");
    }
    buffer_drop(&body);
    refused(*state, BODY(",\"Tags\":{\"\":\"x\"}"), INVALID, "Tag keys have 1 to 128 characters");
    refused(*state, BODY(",\"Tags\":{\"AWS:a\":\"x\"}"), INVALID, "reserved for system use");
}

static void a_package_over_50_MB_is_too_large(void **state)
{
    struct world *world = *state;
    struct buffer body = BUFFER_EMPTY;
    size_t len = ((size_t)PACKAGE_ZIP_BYTES_MAX + 4) / 3 * 4 + 4;
    buffer_append_text(&body, "{\"FunctionName\":\"hello\",\"Runtime\":\"nodejs20.x\",\"Handler\":\"i.h\"," ROLE
                              ",\"Code\":{\"ZipFile\":\"");
    buffer_reserve(&body, len + 8);
    memset(body.at + body.len, 'A', len);
    body.len += len;
    buffer_append_text(&body, "\"}}");
    refused(world, buffer_text(&body), "RequestEntityTooLargeException",
            "Zipped size must be smaller than 52428800 bytes");
    assert_int_equal(world->error.kind, ERROR_TOO_LARGE);
    buffer_drop(&body);
}

int main(void)
{
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, make_world, drop_world)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(the_least_that_makes_a_function_gets_Lambdas_defaults),
        WORLD_TEST(the_package_is_decoded_and_the_body_let_go),
        WORLD_TEST(the_answer_is_201_with_the_configuration_once_it_is_saved),
        WORLD_TEST(what_the_engine_refuses_is_passed_on),
        WORLD_TEST(every_field_is_taken),
        WORLD_TEST(a_name_may_be_an_ARN_of_this_account_and_region),
        WORLD_TEST(empty_and_default_values_of_what_is_not_there_are_accepted),
        WORLD_TEST(members_that_the_model_does_not_have_are_ignored),
        WORLD_TEST(variables_that_the_developer_guide_does_not_reserve_may_be_set),
        WORLD_TEST(a_wrong_type_is_a_SerializationException),
        WORLD_TEST(a_package_that_is_not_strict_base64_is_a_SerializationException),
        WORLD_TEST(what_is_required_is_named_all_at_once),
        WORLD_TEST(a_role_is_a_role_ARN_of_this_account),
        WORLD_TEST(numbers_have_Lambdas_ranges),
        WORLD_TEST(texts_have_the_models_lengths_and_patterns),
        WORLD_TEST(descriptions_are_counted_as_AWS_counts_them),
        WORLD_TEST(enumerations_are_exact),
        WORLD_TEST(a_log_group_is_a_name_of_letters_digits_and_a_few_signs),
        WORLD_TEST(names_too_long_are_refused_in_two_ways_as_on_AWS),
        WORLD_TEST(architectures_are_one_and_the_boxs_own),
        WORLD_TEST(runtimes_are_known_or_said_what_they_are),
        WORLD_TEST(a_runtime_that_is_not_installed_is_refused_with_the_remedy),
        WORLD_TEST(a_name_that_is_taken_is_a_conflict),
        WORLD_TEST(code_has_exactly_one_source_that_is_there),
        WORLD_TEST(what_Hearth_does_not_have_yet_is_refused_by_name),
        WORLD_TEST(log_levels_need_the_JSON_format_as_on_AWS),
        WORLD_TEST(environment_names_follow_the_pattern),
        WORLD_TEST(reserved_names_are_refused_all_at_once),
        WORLD_TEST(an_environment_has_4_KB_as_JSON),
        WORLD_TEST(tags_have_AWSs_limits),
        WORLD_TEST(a_package_over_50_MB_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
