#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/fd.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "engine/channel.h"

static const struct cli_option options[] = {
    { "file", 'f', "FILE", "read the payload from a file; - is standard input" },
    { "event", 0, NULL, "do not wait: the server keeps the event on disk and runs it once (InvocationType Event)" },
    { "tail", 't', NULL, "print the last 4 KB of the function's log on standard error" },
    { "json", 0, NULL, "print one JSON object: StatusCode, FunctionError, ExecutedVersion, Payload, LogResult" },
    CLI_DATA_OPTION,
};

static enum outcome read_payload(const struct cli_line *line, struct buffer *out, struct error *err)
{
    const char *file = cli_value(line, "file");
    const char *argument = line->rest_count > 1 ? line->rest[1] : NULL;
    if (file == NULL && argument != NULL && strcmp(argument, "-") == 0)
        file = "-";
    if (file != NULL) {
        AUTO(fd)
        int opened = strcmp(file, "-") == 0 ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC);
        if (opened < 0)
            return error_set_sys(err, errno, "Name a file that is there.", "could not open \"%s\"", file);
        TRY(fd_read_all(opened, INVOKE_PAYLOAD_BYTES_MAX, out, err));
    } else if (argument != NULL) {
        buffer_append_text(out, argument);
    }
    if (out->len > 0 && !json_is_valid(buffer_slice(out)))
        return error_set(
            err, ERROR_INVALID,
            "Quote it for the shell: hearth invoke NAME '{\"key\":\"value\"}', and a text as '\"text\"'.",
            "the payload is not JSON");
    return OK;
}

/* The log's tail comes in base64. */
static void log_tail(const struct reply *reply, struct buffer *out)
{
    if (!codec_unbase64(out, reply_header(reply, "x-amz-log-result")))
        buffer_reset(out);
}

static void print_bytes(FILE *to, struct slice bytes)
{
    (void)fwrite(bytes.at, 1, bytes.len, to);
    if (bytes.len > 0 && bytes.at[bytes.len - 1] != '\n')
        (void)fputc('\n', to);
}

static void print_json(const struct reply *reply)
{
    struct buffer out = BUFFER_EMPTY, tail = BUFFER_EMPTY;
    struct slice failed = reply_header(reply, "x-amz-function-error"),
                 version = reply_header(reply, "x-amz-executed-version");
    log_tail(reply, &tail);
    buffer_appendf(&out, "{\"StatusCode\":%d", reply->status);
    if (reply->body.len == 0) { /* an event: nobody has run yet */
        buffer_append_text(&out, ",\"RequestId\":");
        json_append_string(&out, reply_header(reply, "x-amzn-requestid"));
        buffer_append_text(&out, "}\n");
        (void)fwrite(out.at, 1, out.len, stdout);
        buffer_drop(&out);
        return;
    }
    if (failed.len > 0) {
        buffer_append_text(&out, ",\"FunctionError\":");
        json_append_string(&out, failed);
    }
    if (version.len > 0) {
        buffer_append_text(&out, ",\"ExecutedVersion\":");
        json_append_string(&out, version);
    }
    if (tail.len > 0) {
        buffer_append_text(&out, ",\"LogResult\":");
        json_append_string(&out, buffer_slice(&tail));
    }
    buffer_append_text(&out, ",\"Payload\":");
    if (json_is_valid(buffer_slice(&reply->body)))
        buffer_append_slice(&out, buffer_slice(&reply->body));
    else
        json_append_string(&out, buffer_slice(&reply->body));
    buffer_append_text(&out, "}\n");
    (void)fwrite(out.at, 1, out.len, stdout);
    buffer_drop(&out);
    buffer_drop(&tail);
}

static int print_reply(const struct cli_line *line, const struct reply *reply)
{
    bool failed = reply_header(reply, "x-amz-function-error").len > 0;
    if (cli_is_on(line, "json")) {
        print_json(reply);
    } else if (cli_is_on(line, "event")) {
        (void)printf("accepted as %.*s\n", SLICE_PRINT(reply_header(reply, "x-amzn-requestid")));
    } else {
        struct buffer tail = BUFFER_EMPTY;
        print_bytes(stdout, buffer_slice(&reply->body));
        (void)fflush(stdout);
        log_tail(reply, &tail);
        print_bytes(stderr, buffer_slice(&tail));
        buffer_drop(&tail);
    }
    if (fflush(stdout) != 0)
        return CLI_FAILED;
    if (failed && !cli_is_on(line, "json"))
        (void)fprintf(stderr, "hearth: the function failed; `hearth logs %s` shows what it printed\n",
                      line->rest[0]);
    return failed ? CLI_FUNCTION_FAILED : CLI_DONE;
}

static enum outcome invoke(const struct cli_line *line, struct reply *reply, struct error *err)
{
    AUTO(client)
    struct client client = CLIENT_EMPTY;
    struct buffer payload = BUFFER_EMPTY;
    struct client_header headers[2];
    size_t header_count = 0;
    if (cli_is_on(line, "tail"))
        headers[header_count++] = (struct client_header){ "X-Amz-Log-Type", SLICE("Tail") };
    if (cli_is_on(line, "event"))
        headers[header_count++] = (struct client_header){ "X-Amz-Invocation-Type", SLICE("Event") };
    TRY(client_open(line, &client, err));
    enum outcome outcome = read_payload(line, &payload, err);
    if (outcome == OK) {
        AUTO(text)
        char *target = client_function_target(line->rest[0], "/invocations");
        struct client_request request = { .service = "lambda",
                                          .method = "POST",
                                          .target = slice_of(target),
                                          .content_type = "application/json",
                                          .headers = headers,
                                          .header_count = header_count,
                                          .body = buffer_slice(&payload),
                                          .timeout_ms = CLIENT_INVOKE_TIMEOUT_MS };
        outcome = client_send(&client, &request, reply, err);
    }
    buffer_drop(&payload);
    TRY(outcome);
    return client_accept(reply, err);
}

static int run(int argc, char **argv)
{
    struct cli_line line;
    struct error err = { 0 };
    AUTO(reply)
    struct reply reply = { 0 };
    int end = cli_read_line(&cli_invoke, argc, argv, &line);
    if (end != CLI_GO)
        return end;
    if (line.rest_count == 0)
        return cli_refuse(&cli_invoke, "name the function to invoke");
    if (line.rest_count > 2 || (line.rest_count == 2 && cli_is_on(&line, "file")))
        return cli_refuse(&cli_invoke, "give one payload; quote it for the shell");
    if (cli_is_on(&line, "event") && cli_is_on(&line, "tail"))
        return cli_refuse(&cli_invoke, "an event has no log yet; `hearth logs NAME --follow` shows it");
    if (invoke(&line, &reply, &err) != OK)
        return cli_fail(&err);
    return print_reply(&line, &reply);
}

const struct cli_command cli_invoke = {
    .name = "invoke",
    .summary = "call a function and print its answer",
    .run = run,
    .usage = "NAME [PAYLOAD | - | --file FILE] [--tail | --event] [--json]",
    .text = "    Calls the function with the payload (JSON; {} when there is none) and waits for its answer, which "
            "goes to\n"
            "    standard output. When the function's own code fails its error is printed there and the exit "
            "status is 3.\n"
            "    With --event it answers as soon as the event is on the server's disk, and prints its request "
            "id.\n",
    CLI_OPTIONS(options),
    .examples = "    hearth invoke hello '{\"name\":\"Ada\"}'\n"
                "    hearth invoke hello --file event.json --tail\n"
                "    echo '{}' | hearth invoke hello -\n"
                "    hearth invoke resize '{\"picture\":7}' --event\n",
};
