#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/fd.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "observe/function_logs.h"

enum { LOGS_LOOK_MS = 200 }; /* between two looks for the first line */

static const struct cli_option options[] = {
    { "follow", 'f', NULL, "go on printing what comes, until Ctrl-C" },
    { "since", 's', "TIME", "only what is younger: 30s, 10m, 2h, 1d" },
    { "json", 0, NULL, "a JSON object a line: timestamp, logStreamName, message" },
    CLI_DATA_OPTION,
};

struct printing {
    bool json;
    bool failed; /* nobody reads on */
    struct slice
        own; /* "/NAME[", in every stream of the function's; empty: the group is the function's alone, all of it */
};

static bool print_event(const struct log_event *event, void *arg)
{
    struct printing *printing = arg;
    struct buffer out = BUFFER_EMPTY;
    if (printing->own.len > 0 &&
        memmem(event->stream.at, event->stream.len, printing->own.at, printing->own.len) == NULL)
        return true;
    if (printing->json) {
        buffer_appendf(&out, "{\"timestamp\":%lld,\"logStreamName\":", (long long)event->time_ms);
        json_append_string(&out, event->stream);
        buffer_append_text(&out, ",\"message\":");
        json_append_string(&out, event->message);
        buffer_append_byte(&out, '}');
    } else {
        char time[CLOCK_TEXT_BYTES];
        clock_iso_ms(event->time_ms, time);
        buffer_appendf(&out, "%s  ", time);
        buffer_append_slice(&out, event->message);
        while (out.len > 0 && out.at[out.len - 1] == '\n')
            out.len--;
    }
    buffer_append_byte(&out, '\n');
    printing->failed = fwrite(out.at, 1, out.len, stdout) != out.len || fflush(stdout) != 0;
    buffer_drop(&out);
    return !printing->failed;
}

/* NAME, NAME:QUALIFIER or an ARN: the name. All versions of a function write into one group. */
static char *function_name(const char *given)
{
    const char *behind = strncmp(given, "arn:", 4) == 0 ? strstr(given, ":function:") : NULL;
    struct slice rest = slice_of(behind != NULL ? behind + strlen(":function:") : given);
    return slice_dup(slice_split(&rest, ':'));
}

/* A function may print into another group than its own (LoggingConfig), beside others: then its streams have its name. */
static void find_group(const struct client *client, const char *name, struct buffer *group, struct buffer *own)
{
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    AUTO(text)
    char *target = client_function_target(name, "/configuration");
    if (client_json(client, "GET", target, SLICE_EMPTY, &doc, NULL) != OK)
        return;
    struct slice named =
        json_slice(yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "LoggingConfig"), "LogGroup"));
    if (named.len == 0 || slice_equal(named, buffer_slice(group)))
        return;
    group->len = 0;
    buffer_append_slice(group, named);
    buffer_appendf(own, "/%s[", name);
}

/* The server writes lines within LOGS_FLUSH_MS; asked about a group it does so at once: what printed a call that has been answered is
 * there. */
static void let_server_write(const struct client *client, struct slice group)
{
    AUTO(reply)
    struct reply reply = { 0 };
    struct buffer body = BUFFER_EMPTY;
    struct client_header header = { "X-Amz-Target", SLICE("Logs_20140328.DescribeLogStreams") };
    buffer_append_text(&body, "{\"limit\":1,\"logGroupName\":");
    json_append_string(&body, group);
    buffer_append_byte(&body, '}');
    struct client_request request = { .service = "logs",
                                      .method = "POST",
                                      .target = SLICE("/"),
                                      .content_type = "application/x-amz-json-1.1",
                                      .headers = &header,
                                      .header_count = 1,
                                      .body = buffer_slice(&body) };
    if (client_send(client, &request, &reply, NULL) != OK)
        (void)fputs("note: the server did not answer; its last lines may be missing\n", stderr);
    buffer_drop(&body);
}

/* Where no server runs the files are all there is. */
static void ask_server(const struct cli_line *line, const char *name, struct buffer *group, struct buffer *own)
{
    AUTO(client)
    struct client client = CLIENT_EMPTY;
    struct error err = { 0 };
    if (client_open(line, &client, &err) != OK)
        return;
    if (name[0] != '/')
        find_group(&client, name, group, own);
    let_server_write(&client, buffer_slice(group));
}

/* Does the server know a function of that name? What it does not know cannot have logs to wait for. */
static enum outcome function_is_known(const struct cli_line *line, const char *name, struct error *err)
{
    AUTO(client)
    struct client client = CLIENT_EMPTY;
    AUTO(text)
    char *target = client_function_target(name, "/configuration");
    TRY(client_open(line, &client, err));
    return client_json(&client, "GET", target, SLICE_EMPTY, NULL, err);
}

static enum outcome no_logs_yet(const struct cli_line *line, const char *name, struct error *err)
{
    TRY(function_is_known(line, name, err));
    char hint[ERROR_HINT_BYTES];
    (void)snprintf(hint, sizeof(hint), "Call it: hearth invoke %.64s '{}'", name);
    return error_set(err, ERROR_NOT_FOUND, hint, "\"%s\" has printed nothing yet", name);
}

/* --follow also waits for the first line: one begins to follow before one calls. */
static enum outcome wait_for_logs(const struct cli_line *line, const char *name, bool *told, struct error *err)
{
    if (!*told) {
        TRY(function_is_known(line, name, err));
        (void)fprintf(stderr, "\"%s\" has printed nothing yet; waiting, until Ctrl-C\n", name);
        *told = true;
    }
    (void)nanosleep(&(struct timespec){ 0, LOGS_LOOK_MS * 1000000L }, NULL);
    return OK;
}

static enum outcome read_logs(const struct cli_line *line, int64_t since_ms, struct error *err)
{
    AUTO(text)
    char *data = client_data_dir(line);
    AUTO(fd)
    int dir = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct printing printing = { .json = cli_is_on(line, "json") };
    AUTO(buffer)
    struct buffer group = BUFFER_EMPTY;
    AUTO(buffer)
    struct buffer own = BUFFER_EMPTY;
    AUTO(text)
    char *name = function_name(line->rest[0]);
    if (client_is_elsewhere(line))
        return error_set(err, ERROR_INVALID, "Run this on the server's machine, with --data or HEARTH_DATA.",
                         "AWS_ENDPOINT_URL names a server and no data directory, where the logs are");
    if (dir < 0 && errno == ENOENT)
        return error_set_code(err, ERROR_UNAVAILABLE, CLI_CODE_NO_SERVER,
                              "Name the server's directory with --data or HEARTH_DATA.",
                              "there is no data directory \"%s\"", data);
    if (dir < 0)
        return error_set_sys(
            err, errno,
            "Run this as the user that the server's data belongs to, or name it with --data or HEARTH_DATA.",
            "could not open \"%s\"", data);
    if (name[0] == '/') /* a log group by its full name */
        buffer_append_text(&group, name);
    else
        buffer_appendf(&group, "/aws/lambda/%s", name);
    ask_server(line, name, &group, &own);
    printing.own = buffer_slice(&own);
    bool follow = cli_is_on(line, "follow"), told = false, waits = false;
    enum outcome outcome;
    do {
        outcome = function_logs_read(dir, buffer_slice(&group), since_ms, follow, print_event, &printing, err);
        waits = outcome != OK && err->kind == ERROR_NOT_FOUND;
        if (waits)
            outcome = follow ? wait_for_logs(line, name, &told, err) : no_logs_yet(line, name, err);
    } while (waits && outcome == OK);
    return outcome;
}

static int run(int argc, char **argv)
{
    struct cli_line line;
    struct error err = { 0 };
    int64_t since_ms = 0;
    int end = cli_read_line(&cli_logs, argc, argv, &line);
    if (end != CLI_GO)
        return end;
    if (line.rest_count != 1)
        return cli_refuse(&cli_logs, "name one function");
    if (cli_is_on(&line, "since")) {
        if (!cli_duration_ms(cli_value(&line, "since"), &since_ms))
            return cli_refuse(&cli_logs, "--since \"%s\": write a time such as 10m", cli_value(&line, "since"));
        since_ms = clock_wall_ms() - since_ms;
    }
    return read_logs(&line, since_ms, &err) == OK ? CLI_DONE : cli_fail(&err);
}

const struct cli_command cli_logs = {
    .name = "logs",
    .summary = "print what a function has printed",
    .run = run,
    .usage = "NAME [-f] [--since TIME]",
    .text = "    Prints the lines of the function's log with their times: its own output, and START, END and "
            "REPORT of each\n"
            "    call. It reads the files in the data directory, so it works on the server's machine, also when no "
            "server runs.\n"
            "    NAME may also be a log group's: /aws/lambda/hello, /shop/orders.\n",
    CLI_OPTIONS(options),
    .examples = "    hearth logs hello --since 10m\n"
                "    hearth logs hello -f\n",
};
