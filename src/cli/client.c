#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/sigv4.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/fd.h"
#include "server/config.h"

enum { CLIENT_FILE_BYTES_MAX = 64 * 1024, CLIENT_HEADERS_MAX = 16 };

/* ---- which server ---- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

char *client_data_dir(const struct cli_line *line)
{
    const char *named = cli_value(line, "data");
    if (named == NULL)
        named = variable("HEARTH_DATA");
    return named != NULL ? memory_text(named) : config_default_data();
}

struct slice ini_value(struct slice text, const char *section, const char *key)
{
    bool inside = false;
    while (text.len > 0) {
        struct slice row = slice_split(&text, '\n');
        if (row.len > 0 && row.at[row.len - 1] == '\r')
            row.len--;
        row = slice_trim(row);
        if (row.len == 0 || row.at[0] == '#' || row.at[0] == ';')
            continue;
        if (row.at[0] == '[') {
            size_t close;
            inside = slice_find(row, ']', &close) && slice_is(slice_trim(slice_sub(row, 1, close - 1)), section);
        } else if (inside) {
            struct slice rest = row;
            struct slice name = slice_split(&rest, '=');
            if (slice_is(slice_trim(name), key))
                return slice_trim(rest);
        }
    }
    return SLICE_EMPTY;
}

static enum outcome no_server(const char *data, struct error *err, const char *what)
{
    char hint[ERROR_HINT_BYTES];
    AUTO(text)
    char *standard = config_default_data();
    bool is_standard = strcmp(data, standard) == 0;
    (void)snprintf(hint, sizeof(hint),
                   "Start one: hearth serve%s%s   (or name another's directory with --data or HEARTH_DATA)",
                   is_standard ? "" : " --data ", is_standard ? "" : data);
    return error_set_code(err, ERROR_UNAVAILABLE, CLI_CODE_NO_SERVER, hint, "no server runs on \"%s\"%s", data,
                          what);
}

static enum outcome data_file(const char *data, int dir, const char *name, struct buffer *out, struct error *err)
{
    if (file_read(dir, name, CLIENT_FILE_BYTES_MAX, out, err) == OK)
        return OK;
    if (err->sys == ENOENT)
        return no_server(data, err, "");
    return FAILED;
}

static enum outcome endpoint_from(struct client *client, int dir, struct error *err)
{
    struct buffer text = BUFFER_EMPTY;
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    enum outcome outcome = data_file(client->data, dir, "endpoints.json", &text, err);
    if (outcome == OK)
        outcome = json_parse(buffer_slice(&text), &doc, err);
    if (outcome == OK) {
        struct slice api = json_slice(yyjson_obj_get(yyjson_doc_get_root(doc), "api"));
        client->endpoint = slice_dup(api);
        outcome = client_address_read(api, &client->address, err);
    }
    buffer_drop(&text);
    return outcome;
}

static enum outcome keys_from(struct client *client, int dir, struct error *err)
{
    struct buffer text = BUFFER_EMPTY;
    if (data_file(client->data, dir, "credentials", &text, err) != OK) {
        buffer_drop(&text);
        return FAILED;
    }
    struct slice token = ini_value(buffer_slice(&text), "default", "aws_session_token");
    client->access_key = slice_dup(ini_value(buffer_slice(&text), "default", "aws_access_key_id"));
    client->secret = slice_dup(ini_value(buffer_slice(&text), "default", "aws_secret_access_key"));
    client->token = token.len > 0 ? slice_dup(token) : NULL;
    buffer_wipe(&text);
    if (client->access_key[0] == '\0' || client->secret[0] == '\0')
        return error_set(err, ERROR_INVALID, "Restart the server: it writes the file anew.",
                         "\"%s/credentials\" has no keys in its profile [default]", client->data);
    if (file_read(dir, "config", CLIENT_FILE_BYTES_MAX, &text, NULL) == OK) {
        struct slice region = ini_value(buffer_slice(&text), "default", "region");
        if (region.len > 0)
            client->region = slice_dup(region);
    }
    buffer_drop(&text);
    return OK;
}

static enum outcome open_data(struct client *client, struct error *err)
{
    AUTO(fd)
    int dir = open(client->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT)
        return no_server(client->data, err, ": there is no such directory");
    if (dir < 0)
        return error_set_sys(
            err, errno,
            "Run this as the user that the server's data belongs to, or name it with --data or HEARTH_DATA.",
            "could not open \"%s\"", client->data);
    TRY(endpoint_from(client, dir, err));
    return keys_from(client, dir, err);
}

static enum outcome open_environment(struct client *client, struct error *err)
{
    client->endpoint = memory_text(variable("AWS_ENDPOINT_URL"));
    client->access_key = memory_text(variable("AWS_ACCESS_KEY_ID"));
    client->secret = memory_text(variable("AWS_SECRET_ACCESS_KEY"));
    client->token = memory_text(variable("AWS_SESSION_TOKEN"));
    const char *region = variable("AWS_REGION") != NULL ? variable("AWS_REGION") : variable("AWS_DEFAULT_REGION");
    client->region = memory_text(region);
    return client_address_read(slice_of(client->endpoint), &client->address, err);
}

bool client_is_elsewhere(const struct cli_line *line)
{
    bool named = cli_value(line, "data") != NULL || variable("HEARTH_DATA") != NULL;
    return !named && variable("AWS_ENDPOINT_URL") != NULL && variable("AWS_ACCESS_KEY_ID") != NULL &&
           variable("AWS_SECRET_ACCESS_KEY") != NULL;
}

enum outcome client_open(const struct cli_line *line, struct client *out, struct error *err)
{
    struct client client = CLIENT_EMPTY;
    enum outcome outcome;
    if (client_is_elsewhere(line)) {
        outcome = open_environment(&client, err);
    } else {
        client.data = client_data_dir(line);
        outcome = open_data(&client, err);
    }
    if (outcome != OK) {
        client_drop(&client);
        return FAILED;
    }
    if (client.region == NULL)
        client.region = memory_text("us-east-1");
    *out = client;
    return OK;
}

void client_drop(struct client *client)
{
    if (client->secret != NULL)
        memory_wipe(client->secret, strlen(client->secret));
    if (client->token != NULL)
        memory_wipe(client->token, strlen(client->token));
    text_drop(&client->data);
    text_drop(&client->endpoint);
    text_drop(&client->access_key);
    text_drop(&client->secret);
    text_drop(&client->token);
    text_drop(&client->region);
}

/* ---- calls ---- */

static enum outcome request_head(const struct client *client, const struct client_request *request,
                                 struct buffer *head, struct error *err)
{
    struct sigv4_header headers[CLIENT_HEADERS_MAX];
    size_t count = 0;
    struct slice rest = request->target;
    headers[count++] = (struct sigv4_header){ SLICE("Host"), slice_of(client->address.authority) };
    if (request->content_type != NULL)
        headers[count++] = (struct sigv4_header){ SLICE("Content-Type"), slice_of(request->content_type) };
    for (size_t i = 0; i < request->header_count && count < CLIENT_HEADERS_MAX; i++)
        headers[count++] = (struct sigv4_header){ slice_of(request->headers[i].name), request->headers[i].value };
    struct sigv4_request signable = { .method = slice_of(request->method),
                                      .path = slice_split(&rest, '?'),
                                      .query = rest,
                                      .headers = headers,
                                      .header_count = count };
    buffer_appendf(head, "%s %.*s HTTP/1.1\r\n", request->method, SLICE_PRINT(request->target));
    for (size_t i = 0; i < count; i++)
        buffer_appendf(head, "%.*s: %.*s\r\n", SLICE_PRINT(headers[i].name), SLICE_PRINT(headers[i].value));
    TRY(sigv4_sign(&signable, request->body, slice_of(client->access_key), slice_of(client->secret),
                   slice_of(client->token), slice_of(client->region), slice_of(request->service),
                   clock_wall_ms() / 1000, head, err));
    buffer_appendf(head,
                   "Content-Length: %zu\r\nUser-Agent: hearth/" HEARTH_VERSION "\r\nConnection: close\r\n\r\n",
                   request->body.len);
    return OK;
}

enum outcome client_send(const struct client *client, const struct client_request *request, struct reply *out,
                         struct error *err)
{
    struct buffer head = BUFFER_EMPTY;
    enum outcome outcome = request_head(client, request, &head, err);
    if (outcome == OK)
        outcome = client_exchange(&client->address, buffer_slice(&head), request->body,
                                  request->timeout_ms != 0 ? request->timeout_ms : CLIENT_TIMEOUT_MS, out, err);
    buffer_drop(&head);
    if (outcome == OK || err == NULL || err->kind != ERROR_UNAVAILABLE)
        return outcome;
    if (client->data != NULL)
        return no_server(client->data, err, " any more");
    (void)snprintf(err->code, sizeof(err->code), CLI_CODE_NO_SERVER);
    return FAILED;
}

/* "ResourceNotFoundException:http://..." -> the part that says something */
static struct slice error_code_of(const struct reply *reply, yyjson_val *root)
{
    struct slice code = reply_header(reply, "x-amzn-errortype");
    if (code.len == 0 && root != NULL)
        code = json_slice(yyjson_obj_get(root, "__type"));
    if (code.len == 0 && root != NULL)
        code = json_slice(yyjson_obj_get(root, "Code"));
    return slice_split(&code, ':');
}

static enum error_kind error_kind_of(int status)
{
    switch (status) {
    case 403:
        return ERROR_DENIED;
    case 404:
        return ERROR_NOT_FOUND;
    case 409:
        return ERROR_CONFLICT;
    case 412:
        return ERROR_PRECONDITION;
    case 413:
        return ERROR_TOO_LARGE;
    case 429:
        return ERROR_THROTTLED;
    default:
        return status < 500 ? ERROR_INVALID : ERROR_INTERNAL;
    }
}

/* AWS's texts do not say what to do about keys, clocks and limits. */
static const char *hint_for(struct slice code, struct slice message, struct slice reason)
{
    static const char *const codes[] = { "UnrecognizedClientException", "InvalidSignatureException",
                                         "InvalidClientTokenId", "SignatureDoesNotMatch" };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (!slice_is(code, codes[i]))
            continue;
        if (slice_starts(message, SLICE("Signature expired")) || slice_starts(message, SLICE("Signature not yet")))
            return "The clocks of this machine and of the server's differ by more than 5 minutes: set them.";
        return "The keys are not this server's: eval \"$(hearth env)\" again, or name its directory with --data.";
    }
    if (slice_starts(reason, SLICE("ReservedFunction")))
        return "The function's reserved concurrency is in use, or 0: wait, or change it "
               "(aws lambda put-function-concurrency).";
    if (slice_is(code, "TooManyRequestsException"))
        return "As many calls run as the server takes at once (its setting `concurrency`): wait, or raise it.";
    return "";
}

enum outcome client_accept(const struct reply *reply, struct error *err)
{
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    struct slice code, message = SLICE_EMPTY, reason = SLICE_EMPTY;
    if (reply->status >= 200 && reply->status < 300)
        return OK;
    yyjson_val *root = json_parse(buffer_slice(&reply->body), &doc, NULL) == OK ? yyjson_doc_get_root(doc) : NULL;
    code = error_code_of(reply, root);
    if (root != NULL)
        message = json_slice(yyjson_obj_get(root, "Message"));
    if (root != NULL)
        reason = json_slice(yyjson_obj_get(root, "Reason"));
    if (root != NULL && message.len == 0)
        message = json_slice(yyjson_obj_get(root, "message"));
    if (code.len == 0 && message.len == 0)
        return error_set(err, error_kind_of(reply->status), "Look at the server's own output.",
                         "the server answered %d", reply->status);
    char text[ERROR_CODE_BYTES];
    (void)snprintf(text, sizeof(text), "%.*s", (int)(code.len < 60 ? code.len : 60), code.at);
    return error_set_code(err, error_kind_of(reply->status), text, hint_for(code, message, reason), "%s: %.*s",
                          text, (int)(message.len < 900 ? message.len : 900), message.at);
}

enum outcome client_json(const struct client *client, const char *method, const char *target, struct slice body,
                         yyjson_doc **doc, struct error *err)
{
    AUTO(reply)
    struct reply reply = { 0 };
    struct client_request request = {
        .service = "lambda", .method = method, .target = slice_of(target), .body = body
    };
    if (body.len > 0)
        request.content_type = "application/json";
    TRY(client_send(client, &request, &reply, err));
    TRY(client_accept(&reply, err));
    if (doc == NULL)
        return OK;
    return json_parse(buffer_slice(&reply.body), doc, err);
}

char *client_function_target(const char *name, const char *behind)
{
    struct buffer target = BUFFER_EMPTY;
    buffer_append_text(&target, "/2015-03-31/functions/");
    codec_percent(&target, slice_of(name), false);
    buffer_append_text(&target, behind);
    char *text = memory_text(buffer_text(&target));
    buffer_drop(&target);
    return text;
}

enum outcome client_account(const struct client *client, char **out, struct error *err)
{
    static const char open_tag[] = "<Account>";
    AUTO(reply)
    struct reply reply = { 0 };
    struct client_request request = { .service = "sts",
                                      .method = "POST",
                                      .target = SLICE("/"),
                                      .content_type = "application/x-www-form-urlencoded",
                                      .body = SLICE("Action=GetCallerIdentity&Version=2011-06-15") };
    TRY(client_send(client, &request, &reply, err));
    if (reply.status != 200)
        return error_set(err, ERROR_DENIED,
                         "Check the keys: `hearth env` prints those of the server's own directory.",
                         "the server does not know these keys (sts:GetCallerIdentity answered %d)", reply.status);
    struct slice body = buffer_slice(&reply.body);
    const char *at = body.len == 0 ? NULL : memmem(body.at, body.len, open_tag, sizeof(open_tag) - 1);
    struct slice account = SLICE_EMPTY;
    size_t end;
    if (at != NULL) {
        at += sizeof(open_tag) - 1;
        account = slice_from(at, body.len - (size_t)(at - body.at));
        account = slice_find(account, '<', &end) ? slice_sub(account, 0, end) : SLICE_EMPTY;
    }
    if (account.len != 12)
        return error_set(err, ERROR_INVALID, "Is it really Hearth that listens there?",
                         "the server's answer names no account");
    *out = slice_dup(account);
    return OK;
}
