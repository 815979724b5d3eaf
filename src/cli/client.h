/* cli/client: which server, with which keys, and signed calls to it. For the room alone. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "cli/http_client.h"
#include "cli/options.h"
#include "json/json.h"

struct client {
    char *data;     /* the data directory; NULL when the server is named by AWS_ENDPOINT_URL */
    char *endpoint; /* "http://127.0.0.1:4566" */
    struct client_address address;
    char *access_key, *secret, *token; /* token NULL when none */
    char *region;
};
#define CLIENT_EMPTY ((struct client){ 0 })

/* Order: --data, HEARTH_DATA, AWS_ENDPOINT_URL with keys, the default directory.
 *   err  code CLI_CODE_NO_SERVER when the directory has no running server's files */
MUST_CHECK enum outcome client_open(const struct cli_line *line, struct client *out, struct error *err);
void client_drop(struct client *client); /* AUTO(client); wipes */
/* Is it AWS_ENDPOINT_URL that names the server, and so no directory that could be read? */
bool client_is_elsewhere(const struct cli_line *line);
/* The directory alone, for commands that read files there; owned. */
char *client_data_dir(const struct cli_line *line);

struct client_header {
    const char *name;
    struct slice value;
};

struct client_request {
    const char *service; /* "lambda" */
    const char *method;
    struct slice target; /* path and query, encoded */
    const char *content_type;
    const struct client_header *headers;
    size_t header_count;
    struct slice body;
    int timeout_ms; /* 0: CLIENT_TIMEOUT_MS */
};

/* Signs and sends; OK with any status. err: as client_exchange, CLI_CODE_NO_SERVER when nobody listens */
MUST_CHECK enum outcome client_send(const struct client *client, const struct client_request *request,
                                    struct reply *out, struct error *err);
/* OK for 2xx; else the server's own code and message. */
MUST_CHECK enum outcome client_accept(const struct reply *reply, struct error *err);
/* A call that answers JSON: both of the above and the parse. `doc` may be NULL. */
MUST_CHECK enum outcome client_json(const struct client *client, const char *method, const char *target,
                                    struct slice body, yyjson_doc **doc, struct error *err);

/* "/2015-03-31/functions/NAME" + `behind`, the name encoded; owned. */
char *client_function_target(const char *name, const char *behind);
/* The account that the keys belong to (sts:GetCallerIdentity); owned. */
MUST_CHECK enum outcome client_account(const struct client *client, char **out, struct error *err);

/* `key` of `section` in an INI file such as AWS's; empty when it is not there. */
struct slice ini_value(struct slice text, const char *section, const char *key);
