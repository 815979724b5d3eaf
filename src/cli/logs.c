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
};

static bool print_event(const struct log_event *event, void *arg)
{
    struct printing *printing = arg;
    struct buffer out = BUFFER_EMPTY;
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
    struct buffer group = BUFFER_EMPTY;
    const char *name = line->rest[0];
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
    bool follow = cli_is_on(line, "follow"), told = false, waits = false;
    enum outcome outcome;
    do {
        outcome = function_logs_read(dir, buffer_slice(&group), since_ms, follow, print_event, &printing, err);
        waits = outcome != OK && err->kind == ERROR_NOT_FOUND;
        if (waits)
            outcome = follow ? wait_for_logs(line, name, &told, err) : no_logs_yet(line, name, err);
    } while (waits && outcome == OK);
    buffer_drop(&group);
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
            "server runs.\n",
    CLI_OPTIONS(options),
    .examples = "    hearth logs hello --since 10m\n"
                "    hearth logs hello -f\n",
};
