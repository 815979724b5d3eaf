#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "auth/sigv4.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/fd.h"
#include "cli/bundle.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/project.h"
#include "engine/function.h"

enum { DEPLOY_SETTLE_MS_MAX = 60 * 1000 }; /* until a created or updated function is ready */

static const struct cli_option options[] = {
    { "name", 'n', "NAME", "the function's name (the folder's)" },
    { "runtime", 'r', "ID", "nodejs22.x, python3.11, provided.al2023, ... (what the folder looks like)" },
    { "handler", 0, "FILE.FUNCTION", "what is called (found in the sources)" },
    { "env", 'e', "KEY=VALUE", "an environment variable; may be given often. Those not named stay as they are" },
    { "unset-env", 0, "KEY", "take an environment variable away" },
    { "timeout", 't', "SECONDS", "how long a call may take (3)" },
    { "memory", 'm', "MB", "128 to 10240; processor time grows with it (128)" },
    { "description", 0, "TEXT", "what it is for" },
    { "role", 0, "ARN", "the role it runs with (hearth-basic)" },
    { "url", 0, "[NONE|AWS_IAM]", "give it a URL: for anybody, or for signed calls (AWS_IAM, unless it has one)" },
    CLI_JSON_OPTION,
    CLI_DATA_OPTION,
};

struct deploy {
    const struct cli_command *command;
    const struct cli_line *line;
    struct client client;
    struct bundle bundle;
    struct project project;
    char *name;
    char *runtime;
    char *url; /* its function URL, when one was asked for */
    bool lacks_requirements, url_is_public;
    yyjson_doc *current; /* the function's configuration before; NULL when there is none */
};

static void deploy_drop(struct deploy *d)
{
    client_drop(&d->client);
    bundle_drop(&d->bundle);
    project_drop(&d->project);
    text_drop(&d->name);
    text_drop(&d->runtime);
    text_drop(&d->url);
    json_doc_drop(&d->current);
}

/* ---- what the command line says ---- */

static bool number_given(const struct cli_line *line, const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
    const char *text = cli_value(line, name);
    return text == NULL || (slice_to_u64(slice_of(text), max, out) && *out >= min);
}

static int check_line(const struct deploy *d)
{
    uint64_t number = 0;
    if (!number_given(d->line, "timeout", 1, FUNCTION_TIMEOUT_S_MAX, &number))
        return cli_refuse(d->command, "--timeout is 1 to %d seconds", FUNCTION_TIMEOUT_S_MAX);
    if (!number_given(d->line, "memory", KEEPER_MEMORY_MB_MIN, KEEPER_MEMORY_MB_MAX, &number))
        return cli_refuse(d->command, "--memory is %d to %d MB", KEEPER_MEMORY_MB_MIN, KEEPER_MEMORY_MB_MAX);
    for (size_t i = 0; i < d->line->given_count; i++) {
        const struct cli_given *given = &d->line->given[i];
        if (strcmp(given->option->name, "env") == 0 &&
            (given->value[0] == '=' || strchr(given->value, '=') == NULL))
            return cli_refuse(d->command, "--env \"%s\": write KEY=VALUE", given->value);
    }
    const char *url = cli_value(d->line, "url");
    if (url != NULL && url[0] != '\0' && strcmp(url, "NONE") != 0 && strcmp(url, "AWS_IAM") != 0)
        return cli_refuse(d->command, "--url is NONE (anybody may call) or AWS_IAM (signed calls)");
    const char *runtime = cli_value(d->line, "runtime");
    if (runtime != NULL && runtime_find(slice_of(runtime)) == NULL)
        return cli_refuse(d->command, "unknown runtime \"%s\"; `hearth runtime list` shows which there are",
                          runtime);
    return CLI_GO;
}

/* ---- which runtime ---- */

static enum project_language language_of(const struct runtime_id *runtime)
{
    if (runtime->family == RUNTIME_PROVIDED)
        return PROJECT_PROVIDED;
    return runtime->family == RUNTIME_PYTHON ? PROJECT_PYTHON : PROJECT_NODE;
}

/* nodejs22.x when it is installed here, else the newest that is; the server may be another machine: then its answer tells. */
static const char *default_runtime(enum project_language language)
{
    struct cli_machine machine;
    const char *found = NULL;
    if (language == PROJECT_PROVIDED)
        return "provided.al2023";
    if (cli_machine_read(&machine, NULL) != OK)
        return language == PROJECT_NODE ? "nodejs22.x" : "python3.11";
    for (size_t i = 0;; i++) {
        const struct runtime_id *runtime = runtime_at(i);
        char how[256];
        if (runtime == NULL)
            break;
        if (language_of(runtime) != language || !runtime_installed(&machine.keeper, runtime, how))
            continue;
        const struct runtime_id *best = found != NULL ? runtime_find(slice_of(found)) : NULL;
        bool newer = best == NULL || runtime->major > best->major ||
                     (runtime->major == best->major && runtime->minor > best->minor);
        if (strcmp(runtime->id, "nodejs22.x") == 0 ||
            (newer && (found == NULL || strcmp(found, "nodejs22.x") != 0)))
            found = runtime->id;
    }
    cli_machine_drop(&machine);
    if (found != NULL)
        return found;
    return language == PROJECT_NODE ? "nodejs22.x" : "python3.11";
}

static struct slice current_text(const struct deploy *d, const char *key)
{
    return d->current == NULL ? SLICE_EMPTY : json_slice(yyjson_obj_get(yyjson_doc_get_root(d->current), key));
}

/* A function that exists keeps its runtime and its handler as long as they fit the folder; what is named wins. */
static enum outcome read_folder(struct deploy *d, const char *folder, struct error *err)
{
    const char *runtime = cli_value(d->line, "runtime"), *handler = cli_value(d->line, "handler");
    AUTO(fd)
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO(text)
    char *kept = NULL;
    if (dir < 0)
        return error_set_sys(err, errno, "Name the folder that holds the function's code.",
                             "could not open the folder \"%s\"", folder);
    struct slice current = current_text(d, "Runtime");
    const struct runtime_id *wanted = runtime_find(runtime != NULL ? slice_of(runtime) : current);
    enum project_language language = wanted != NULL ? language_of(wanted) : PROJECT_NODE;
    if (handler == NULL && wanted != NULL && current_text(d, "Handler").len > 0) {
        kept = slice_dup(current_text(d, "Handler"));
        if (project_has_handler(dir, language, kept))
            handler = kept;
    }
    /* Only what the person named decides the language; a function that was Node and whose folder is Python now becomes Python. */
    bool fixed = runtime != NULL || (handler != NULL && handler == kept);
    TRY(project_read(dir, fixed ? &language : NULL, handler, &d->project, err));
    if (wanted != NULL && language_of(wanted) == d->project.language)
        d->runtime = memory_text(wanted->id);
    else
        d->runtime = memory_text(default_runtime(d->project.language));
    d->lacks_requirements = d->project.language == PROJECT_PYTHON && project_lacks_requirements(dir);
    return OK;
}

/* ---- what is sent ---- */

static bool variable_given(const struct deploy *d, struct slice name)
{
    for (size_t i = 0; i < d->line->given_count; i++) {
        const struct cli_given *given = &d->line->given[i];
        struct slice rest = slice_of(given->value);
        if (strcmp(given->option->name, "env") == 0 && slice_equal(slice_split(&rest, '='), name))
            return true;
        if (strcmp(given->option->name, "unset-env") == 0 && slice_is(name, given->value))
            return true;
    }
    return false;
}

/* Would these change `current` (an object, or NULL)? Who deploys the same again keeps the warm instances. */
static bool environment_differs(const struct deploy *d, yyjson_val *current)
{
    for (size_t i = 0; i < d->line->given_count; i++) {
        const struct cli_given *given = &d->line->given[i];
        struct slice rest = slice_of(given->value);
        if (strcmp(given->option->name, "unset-env") == 0 && yyjson_obj_get(current, given->value) != NULL)
            return true;
        if (strcmp(given->option->name, "env") != 0)
            continue;
        struct slice name = slice_split(&rest, '=');
        yyjson_val *now = yyjson_obj_getn(current, name.at, name.len);
        if (now == NULL || !slice_equal(json_slice(now), rest))
            return true;
    }
    return false;
}

/* The current variables without those that the line names, and the line's (the last of a name wins). */
static bool put_environment(struct deploy *d, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
    yyjson_mut_val *variables = yyjson_mut_obj(doc);
    yyjson_val *current =
        d->current == NULL
            ? NULL
            : yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(d->current), "Environment"), "Variables");
    yyjson_obj_iter iter;
    yyjson_val *key;
    if (!environment_differs(d, current))
        return false;
    if (yyjson_is_obj(current)) {
        yyjson_obj_iter_init(current, &iter);
        while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
            if (!variable_given(d, json_slice(key)))
                yyjson_mut_obj_add(variables, json_from_slice(doc, json_slice(key)),
                                   json_from_slice(doc, json_slice(yyjson_obj_iter_get_val(key))));
        }
    }
    for (size_t i = 0; i < d->line->given_count; i++) {
        const struct cli_given *given = &d->line->given[i];
        if (strcmp(given->option->name, "env") != 0)
            continue;
        struct slice rest = slice_of(given->value);
        struct slice name = slice_split(&rest, '=');
        yyjson_mut_obj_put(variables, json_from_slice(doc, name), json_from_slice(doc, rest));
    }
    yyjson_mut_val *environment = yyjson_mut_obj_add_obj(doc, root, "Environment");
    yyjson_mut_obj_add_val(doc, environment, "Variables", variables);
    return true;
}

static bool put_number(const struct deploy *d, yyjson_mut_doc *doc, yyjson_mut_val *root, const char *option,
                       const char *member)
{
    uint64_t number = 0;
    if (cli_value(d->line, option) == NULL ||
        !slice_to_u64(slice_of(cli_value(d->line, option)), UINT32_MAX, &number))
        return false;
    if (d->current != NULL && yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(d->current), member)) == number)
        return false;
    yyjson_mut_obj_add_uint(doc, root, member, number);
    return true;
}

static bool put_text(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *member, const char *value,
                     struct slice current)
{
    if (value == NULL || slice_is(current, value))
        return false;
    yyjson_mut_obj_add_strcpy(doc, root, member, value);
    return true;
}

/* The members that differ from what there is; true when there are any. */
static bool put_configuration(struct deploy *d, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
    bool any = put_text(doc, root, "Runtime", d->runtime, current_text(d, "Runtime"));
    any |= put_text(doc, root, "Handler", d->project.handler, current_text(d, "Handler"));
    any |= put_text(doc, root, "Description", cli_value(d->line, "description"), current_text(d, "Description"));
    any |= put_text(doc, root, "Role", cli_value(d->line, "role"), current_text(d, "Role"));
    any |= put_number(d, doc, root, "timeout", "Timeout");
    any |= put_number(d, doc, root, "memory", "MemorySize");
    any |= put_environment(d, doc, root);
    return any;
}

static void append_zip(const struct deploy *d, struct buffer *body)
{
    buffer_append_text(body, "\"ZipFile\":\"");
    codec_base64(body, buffer_slice(&d->bundle.zip)); /* its alphabet needs no escapes */
    buffer_append_text(body, "\"}");
}

static enum outcome create(struct deploy *d, struct error *err)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct buffer body = BUFFER_EMPTY;
    AUTO(text)
    char *account = NULL;
    yyjson_mut_doc_set_root(doc, root);
    (void)put_configuration(d, doc, root);
    yyjson_mut_obj_add_str(doc, root, "FunctionName", d->name);
    if (cli_value(d->line, "role") == NULL) {
        char role[128];
        TRY(client_account(&d->client, &account, err));
        (void)snprintf(role, sizeof(role), "arn:aws:iam::%s:role/hearth-basic", account);
        yyjson_mut_obj_add_strcpy(doc, root, "Role", role);
    }
    json_write(&body, doc);
    body.len--; /* the closing brace comes behind the code */
    buffer_append_text(&body, ",\"Code\":{");
    append_zip(d, &body);
    buffer_append_byte(&body, '}');
    enum outcome outcome = client_json(&d->client, "POST", "/2015-03-31/functions", buffer_slice(&body), NULL, err);
    buffer_drop(&body);
    return outcome;
}

/* Reads the function's configuration until no change is under way. */
static enum outcome settle(struct deploy *d, yyjson_doc **out, struct error *err)
{
    AUTO(text)
    char *target = client_function_target(d->name, "/configuration");
    int64_t until = clock_wall_ms() + DEPLOY_SETTLE_MS_MAX;
    for (long wait_ms = 10;; wait_ms = wait_ms < 500 ? wait_ms * 2 : wait_ms) {
        json_doc_drop(out);
        TRY(client_json(&d->client, "GET", target, SLICE_EMPTY, out, err));
        yyjson_val *root = yyjson_doc_get_root(*out);
        struct slice state = json_slice(yyjson_obj_get(root, "State"));
        struct slice update = json_slice(yyjson_obj_get(root, "LastUpdateStatus"));
        if (slice_is(state, "Failed") || slice_is(update, "Failed"))
            return error_set(err, ERROR_INVALID, "Look at the server's own output.",
                             "the function \"%s\" could not be made ready: %.*s", d->name,
                             SLICE_PRINT(json_slice(yyjson_obj_get(root, "StateReason"))));
        if (!slice_is(state, "Pending") && !slice_is(update, "InProgress"))
            return OK;
        if (clock_wall_ms() > until)
            return error_set(err, ERROR_TIMEOUT, "Look at it with `hearth ls`.",
                             "the function \"%s\" is not ready after %d s", d->name, DEPLOY_SETTLE_MS_MAX / 1000);
        struct timespec pause = { 0, wait_ms * 1000000 };
        (void)nanosleep(&pause, NULL);
    }
}

static enum outcome update_code(struct deploy *d, bool *changed, struct error *err)
{
    unsigned char digest[32];
    struct buffer text = BUFFER_EMPTY, body = BUFFER_EMPTY;
    sha256_raw(buffer_slice(&d->bundle.zip), digest);
    codec_base64(&text, slice_from(digest, sizeof(digest)));
    bool same = slice_equal(buffer_slice(&text), current_text(d, "CodeSha256"));
    buffer_drop(&text);
    if (same)
        return OK;
    AUTO(text)
    char *target = client_function_target(d->name, "/code");
    AUTO(json_doc)
    yyjson_doc *after = NULL;
    *changed = true;
    buffer_append_byte(&body, '{');
    append_zip(d, &body);
    enum outcome outcome = client_json(&d->client, "PUT", target, buffer_slice(&body), NULL, err);
    buffer_drop(&body);
    TRY(outcome);
    return settle(d, &after, err);
}

static enum outcome update_configuration(struct deploy *d, bool *changed, struct error *err)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct buffer body = BUFFER_EMPTY;
    yyjson_mut_doc_set_root(doc, root);
    if (!put_configuration(d, doc, root))
        return OK;
    AUTO(text)
    char *target = client_function_target(d->name, "/configuration");
    *changed = true;
    json_write(&body, doc);
    enum outcome outcome = client_json(&d->client, "PUT", target, buffer_slice(&body), NULL, err);
    buffer_drop(&body);
    return outcome;
}

/* ---- its URL ---- */

/* Without a word about who may call, a URL that is there stays as it is, and a new one asks for a signature: nothing is made public unasked. */
static enum outcome put_url(struct deploy *d, struct error *err)
{
    const char *auth = cli_value(d->line, "url");
    struct buffer target = BUFFER_EMPTY;
    char body[64];
    struct error why = { 0 };
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    if (auth == NULL)
        return OK;
    buffer_append_text(&target, "/2021-10-31/functions/");
    codec_percent(&target, slice_of(d->name), false);
    buffer_append_text(&target, "/url");
    enum outcome outcome = client_json(&d->client, "GET", buffer_text(&target), SLICE_EMPTY, &doc, &why);
    bool there = outcome == OK;
    bool same = there && (auth[0] == '\0' ||
                          slice_is(json_slice(yyjson_obj_get(yyjson_doc_get_root(doc), "AuthType")), auth));
    if (!there && why.kind != ERROR_NOT_FOUND) {
        *err = why;
    } else if (!same) {
        int len = snprintf(body, sizeof(body), "{\"AuthType\":\"%s\"}", auth[0] != '\0' ? auth : "AWS_IAM");
        json_doc_drop(&doc);
        outcome = client_json(&d->client, there ? "PUT" : "POST", buffer_text(&target),
                              slice_from(body, (size_t)len), &doc, err);
    }
    buffer_drop(&target);
    TRY(outcome);
    d->url = slice_dup(json_slice(yyjson_obj_get(yyjson_doc_get_root(doc), "FunctionUrl")));
    d->url_is_public = slice_is(json_slice(yyjson_obj_get(yyjson_doc_get_root(doc), "AuthType")), "NONE");
    return OK;
}

static void tell_json(const struct deploy *d, yyjson_val *root)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *copy = yyjson_val_mut_copy(doc, root);
    if (d->url != NULL)
        yyjson_mut_obj_add_str(doc, copy, "FunctionUrl", d->url);
    char *text = yyjson_mut_val_write(copy, YYJSON_WRITE_PRETTY, NULL);
    printf("%s\n", text != NULL ? text : "{}");
    free(text);
}

static void tell(const struct deploy *d, yyjson_val *root, const char *what)
{
    char size[CLI_SIZE_BYTES];
    cli_size(d->bundle.zip.len, size);
    printf("%s %s: %s, %s, %llu MB, %llu s, %s in %zu file%s\n", what, d->name,
           yyjson_get_str(yyjson_obj_get(root, "Runtime")), yyjson_get_str(yyjson_obj_get(root, "Handler")),
           (unsigned long long)yyjson_get_uint(yyjson_obj_get(root, "MemorySize")),
           (unsigned long long)yyjson_get_uint(yyjson_obj_get(root, "Timeout")), size, d->bundle.files,
           d->bundle.files == 1 ? "" : "s");
    if (d->url != NULL)
        printf("%s (%s)\n", d->url, d->url_is_public ? "anybody may call it" : "signed calls only");
    if (isatty(STDOUT_FILENO))
        printf("next: hearth invoke %s '{}'\n", d->name);
}

static enum outcome deploy(struct deploy *d, const char *folder, struct error *err)
{
    struct error why = { 0 };
    AUTO(json_doc)
    yyjson_doc *after = NULL;
    const char *what = "created";
    TRY(client_open(d->line, &d->client, err));
    d->name = cli_value(d->line, "name") != NULL ? memory_text(cli_value(d->line, "name")) : project_name(folder);
    AUTO(text)
    char *target = client_function_target(d->name, "/configuration");
    if (client_json(&d->client, "GET", target, SLICE_EMPTY, &d->current, &why) != OK &&
        why.kind != ERROR_NOT_FOUND) {
        *err = why;
        return FAILED;
    }
    TRY(read_folder(d, folder, err));
    TRY(bundle_make(folder, &d->bundle, err));
    if (d->current == NULL) {
        TRY(create(d, err));
    } else {
        bool changed = false;
        TRY(update_code(d, &changed, err));
        TRY(update_configuration(d, &changed, err));
        what = changed ? "updated" : "unchanged";
    }
    TRY(settle(d, &after, err));
    TRY(put_url(d, err));
    if (d->lacks_requirements)
        (void)fprintf(stderr,
                      "note: requirements.txt is in the folder, what it names is not: pip install -r "
                      "%s/requirements.txt -t %s\n",
                      folder, folder);
    yyjson_val *root = yyjson_doc_get_root(after);
    if (cli_is_on(d->line, "json"))
        tell_json(d, root);
    else
        tell(d, root, what);
    return OK;
}

static int run(int argc, char **argv)
{
    struct cli_line line;
    struct error err = { 0 };
    int end = cli_read_line(&cli_deploy, argc, argv, &line);
    if (end != CLI_GO)
        return end;
    if (line.rest_count != 1)
        return cli_refuse(&cli_deploy, line.rest_count == 0 ? "name the folder to deploy" : "name one folder");
    struct deploy d = { .command = &cli_deploy, .line = &line };
    end = check_line(&d);
    if (end == CLI_GO)
        end = deploy(&d, line.rest[0], &err) == OK ? CLI_DONE : cli_fail(&err);
    deploy_drop(&d);
    return end;
}

const struct cli_command cli_deploy = {
    .name = "deploy",
    .summary = "create a function from a folder, or update it",
    .run = run,
    .usage = "DIR [OPTION]...",
    .text = "    Packs the folder and creates the function, or updates its code and configuration. What the "
            "command line does\n"
            "    not name stays as it is; a folder that has not changed is not sent again.\n\n"
            "    The handler is looked for in package.json's \"main\", then in index, app, lambda_function, "
            "handler and main\n"
            "    (.mjs, .js, .cjs), then in lambda_function, app, main, index and handler (.py); a folder without "
            "one that has\n"
            "    an executable bootstrap runs on provided.al2023. TypeScript has to be bundled first, and what "
            "package.json\n"
            "    asks for has to be in node_modules: it says with which command.\n\n"
            "    Left out: .git, .hg, .svn, .venv, __pycache__, node_modules/.cache, .DS_Store and what "
            ".hearthignore names\n"
            "    (a pattern a line, as in .gitignore).\n",
    CLI_OPTIONS(options),
    .examples = "    hearth deploy examples/hello-node\n"
                "    hearth deploy api --name orders --env TABLE=orders --timeout 10 --memory 512\n"
                "    hearth deploy examples/hello-node --url NONE\n",
};
