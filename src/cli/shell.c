/* env and aws: AWS's own tools, pointed at this server. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "cli/client.h"
#include "cli/commands.h"

/* What must not leak in from the person's own AWS settings: a profile or a session token would win over our keys, a
 * service's own endpoint over ours. */
static const char *const foreign[] = { "AWS_PROFILE",           "AWS_DEFAULT_PROFILE",
                                       "AWS_SESSION_TOKEN",     "AWS_SECURITY_TOKEN",
                                       "AWS_ROLE_ARN",          "AWS_WEB_IDENTITY_TOKEN_FILE",
                                       "AWS_CA_BUNDLE",         "AWS_ENDPOINT_URL_LAMBDA",
                                       "AWS_ENDPOINT_URL_STS",  "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
                                       "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT" };
static const char *const proxies[] = { "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY" };
enum { FOREIGN_COUNT = sizeof(foreign) / sizeof(foreign[0]), VARIABLES_MAX = 12 };

struct environment_variable {
    const char *name;
    char *value; /* owned */
};
struct environment {
    struct environment_variable variables[VARIABLES_MAX];
    size_t count;
};

static void environment_drop(struct environment *environment)
{
    for (size_t i = 0; i < environment->count; i++)
        text_drop(&environment->variables[i].value);
    environment->count = 0;
}

static void environment_put(struct environment *environment, const char *name, const char *value)
{
    if (value != NULL && environment->count < VARIABLES_MAX)
        environment->variables[environment->count++] = (struct environment_variable){ name, memory_text(value) };
}

static void environment_put_file(struct environment *environment, const char *name, const char *dir,
                                 const char *file)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file) < sizeof(path))
        environment_put(environment, name, path);
}

static const char *variable_set(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return value;
    }
    return NULL;
}

static bool list_has(struct slice list, struct slice name)
{
    while (list.len > 0) {
        if (slice_equal(slice_trim(slice_split(&list, ',')), name))
            return true;
    }
    return false;
}

/* AWS's tools would ask the person's proxy for 127.0.0.1, too. */
static void environment_put_no_proxy(struct environment *environment, const char *host)
{
    static const char *const names[] = { "no_proxy", "NO_PROXY" };
    struct buffer list = BUFFER_EMPTY;
    if (variable_set(proxies, sizeof(proxies) / sizeof(proxies[0])) == NULL)
        return;
    const char *before = variable_set(names, 2);
    buffer_append_text(&list, before != NULL ? before : "");
    if (!list_has(buffer_slice(&list), slice_of(host)))
        buffer_appendf(&list, "%s%s", list.len > 0 ? "," : "", host);
    environment_put(environment, names[0], buffer_text(&list));
    environment_put(environment, names[1], buffer_text(&list));
    buffer_drop(&list);
}

static void environment_of(const struct client *client, struct environment *out)
{
    char real[PATH_MAX];
    environment_put(out, "AWS_ACCESS_KEY_ID", client->access_key);
    environment_put(out, "AWS_SECRET_ACCESS_KEY", client->secret);
    environment_put(out, "AWS_SESSION_TOKEN", client->token);
    environment_put(out, "AWS_REGION", client->region);
    environment_put(out, "AWS_DEFAULT_REGION", client->region);
    environment_put(out, "AWS_ENDPOINT_URL", client->endpoint);
    if (client->data != NULL && realpath(client->data, real) != NULL) {
        environment_put_file(out, "AWS_CONFIG_FILE", real, "config");
        environment_put_file(out, "AWS_SHARED_CREDENTIALS_FILE", real, "credentials");
        environment_put(out, "HEARTH_DATA", real);
        environment_put_no_proxy(out, client->address.host);
    }
}

/* ---- env ---- */

static const struct cli_option env_options[] = { CLI_JSON_OPTION, CLI_DATA_OPTION };

/* Inside single quotes a POSIX shell leaves every byte alone but the quote itself. */
static void print_quoted(const char *text)
{
    (void)putchar('\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            (void)fputs("'\\''", stdout);
        else
            (void)putchar(*text);
    }
    (void)putchar('\'');
}

/* For sh, bash and zsh. Each command ends with a semicolon, so that eval $(hearth env), without quotes, means the same. */
static void print_shell(const struct environment *environment, bool has_token)
{
    (void)fputs("unset", stdout);
    for (size_t i = 0; i < FOREIGN_COUNT; i++) {
        if (!has_token || strcmp(foreign[i], "AWS_SESSION_TOKEN") != 0)
            printf(" %s", foreign[i]);
    }
    (void)fputs(";\n", stdout);
    for (size_t i = 0; i < environment->count; i++) {
        printf("export %s=", environment->variables[i].name);
        print_quoted(environment->variables[i].value);
        (void)fputs(";\n", stdout);
    }
    /* An aws before 2.13 knows no AWS_ENDPOINT_URL: it would take our keys to Amazon. */
    (void)fputs(
        "aws() { if [ -n \"${AWS_ENDPOINT_URL-}\" ]; then command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"; "
        "else command aws \"$@\"; fi; };\n",
        stdout);
}

static void print_object(const struct environment *environment)
{
    struct buffer out = BUFFER_EMPTY;
    for (size_t i = 0; i < environment->count; i++) {
        buffer_append_text(&out, i == 0 ? "{" : ",");
        json_append_string(&out, slice_of(environment->variables[i].name));
        buffer_append_byte(&out, ':');
        json_append_string(&out, slice_of(environment->variables[i].value));
    }
    buffer_append_text(&out, "}\n");
    (void)fwrite(out.at, 1, out.len, stdout);
    buffer_wipe(&out);
}

static int env_run(int argc, char **argv)
{
    struct cli_line line;
    struct error err = { 0 };
    AUTO(client)
    struct client client = CLIENT_EMPTY;
    AUTO(environment)
    struct environment environment = { 0 };
    int end = cli_read_line(&cli_env, argc, argv, &line);
    if (end != CLI_GO)
        return end;
    if (line.rest_count > 0)
        return cli_refuse(&cli_env, "unexpected argument \"%s\"", line.rest[0]);
    if (client_open(&line, &client, &err) != OK)
        return cli_fail(&err);
    environment_of(&client, &environment);
    if (cli_is_on(&line, "json"))
        print_object(&environment);
    else
        print_shell(&environment, client.token != NULL);
    return CLI_DONE;
}

const struct cli_command cli_env = {
    .name = "env",
    .summary = "print what points AWS's tools at this server, for eval",
    .run = env_run,
    .usage = "[--data DIR]",
    .text =
        "    Prints commands for sh, bash and zsh that export the server's keys, region and endpoint, and "
        "AWS_CONFIG_FILE with\n"
        "    the settings that the aws CLI needs. The keys are the root keys: what they are given to may do "
        "everything on\n"
        "    this server. For programs and other shells: --json.\n\n"
        "    An aws CLI before 2.13 and a boto3 before 1.28 do not know AWS_ENDPOINT_URL and would call Amazon. "
        "For `aws` typed\n"
        "    in this shell a function of that name hands it on; where another program starts an old one, use "
        "`hearth aws`\n"
        "    or --endpoint-url, and with boto3 endpoint_url=os.environ[\"AWS_ENDPOINT_URL\"].\n",
    CLI_OPTIONS(env_options),
    .examples = "    eval \"$(hearth env)\"\n",
};

/* ---- aws ---- */

static int aws_exec(int argc, char **argv, const struct client *client, const struct environment *environment)
{
    char **words = memory_new_array((size_t)argc + 4, sizeof(*words));
    char name[] = "aws", flag[] = "--endpoint-url";
    size_t n = 0;
    words[n++] = name;
    words[n++] = flag;
    words[n++] = client->endpoint;
    for (int i = 0; i < argc; i++)
        words[n++] = argv[i];
    for (size_t i = 0; i < FOREIGN_COUNT; i++)
        (void)unsetenv(foreign[i]);
    for (size_t i = 0; i < environment->count; i++)
        (void)setenv(environment->variables[i].name, environment->variables[i].value, 1);
    (void)fflush(stdout);
    (void)execvp(words[0], words);
    int problem = errno;
    free(words);
    if (problem == ENOENT)
        (void)fprintf(stderr, "hearth: there is no aws on the PATH\n  Install it: apt-get install awscli\n");
    else
        (void)fprintf(stderr, "hearth: could not start aws: %s\n", strerror(problem));
    return CLI_FAILED;
}

static int aws_run(int argc, char **argv)
{
    /* Everything belongs to aws, but a --data that stands first. */
    struct cli_line line = { 0 };
    struct error err = { 0 };
    AUTO(client)
    struct client client = CLIENT_EMPTY;
    AUTO(environment)
    struct environment environment = { 0 };
    int first = 1;
    char *none[] = { argv[0] }, *data[] = { argv[0], argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL };
    int end = CLI_GO;
    if (argc > 2 && strcmp(argv[1], "--data") == 0) {
        end = cli_read_line(&cli_aws, 3, data, &line);
        first = 3;
    } else if (argc > 1 && strncmp(argv[1], "--data=", 7) == 0) {
        end = cli_read_line(&cli_aws, 2, data, &line);
        first = 2;
    } else {
        end = cli_read_line(&cli_aws, 1, none, &line);
    }
    if (end != CLI_GO)
        return end;
    if (client_open(&line, &client, &err) != OK)
        return cli_fail(&err);
    AUTO(fd)
    int probe = -1;
    if (client_connect(&client.address, &probe, &err) != OK) {
        (void)snprintf(err.code, sizeof(err.code), CLI_CODE_NO_SERVER);
        return cli_fail(&err);
    }
    environment_of(&client, &environment);
    return aws_exec(argc - first, argv + first, &client, &environment);
}

static const struct cli_option aws_options[] = { CLI_DATA_OPTION };

const struct cli_command cli_aws = {
    .name = "aws",
    .summary = "run the aws CLI on this server",
    .run = aws_run,
    .usage = "[--data DIR] ARGS...",
    .text = "    Runs the `aws` that is on the PATH with this server's endpoint, keys and settings. Everything but "
            "a --data that\n"
            "    stands first is handed on as it is; so is the exit status.\n",
    CLI_OPTIONS(aws_options),
    .examples = "    hearth aws lambda list-functions\n"
                "    hearth aws lambda invoke --function-name hello --payload '{\"name\":\"Ada\"}' answer.json\n",
};
