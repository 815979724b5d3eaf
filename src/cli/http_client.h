/* cli/http_client: one HTTP/1.1 request and its answer over a connection of their own, blocking. For the room alone.
 * What comes back is a stranger's input: llhttp parses it, strictly, and everything in it is bounded. */
#pragma once

#include <llhttp.h>

#include "base/buffer.h"
#include "base/error.h"

enum {
    CLIENT_HEAD_BYTES_MAX = 64 * 1024,        /* status line and header fields of an answer */
    CLIENT_BODY_BYTES_MAX = 64 * 1024 * 1024, /* an answer; the largest that Hearth gives is 6 MB */
    CLIENT_CONNECT_TIMEOUT_MS = 5 * 1000,
    CLIENT_TIMEOUT_MS = 60 * 1000,                /* without a byte of progress */
    CLIENT_INVOKE_TIMEOUT_MS = (900 + 60) * 1000, /* a function may run 900 s and say nothing meanwhile */
};

/* An answer. Own its buffers with reply_drop. */
struct reply {
    int status;
    struct buffer headers; /* "name\nvalue\n", names in lower case */
    struct buffer body;
};
void reply_drop(struct reply *reply); /* AUTO(reply) */
/* The first field of that (lower-case) name; empty when there is none. */
struct slice reply_header(const struct reply *reply, const char *name);

/* Puts an answer together from the bytes of a connection, however they are cut. 1xx answers are passed over. */
struct reply_reader {
    llhttp_t parser;
    llhttp_settings_t settings;
    struct reply *reply;
    struct buffer name, value;
    size_t head_bytes;
    bool complete;
    const char *problem; /* why we stopped llhttp */
};
void reply_reader_init(struct reply_reader *reader, struct reply *reply);
void reply_reader_drop(struct reply_reader *reader);
MUST_CHECK enum outcome reply_reader_feed(struct reply_reader *reader, struct slice bytes, struct error *err);
/* The other side closed: fine for an answer that ends so. */
MUST_CHECK enum outcome reply_reader_end(struct reply_reader *reader, struct error *err);

/* "http://host:port[/]" in its parts; host without brackets. err: what to write instead. */
struct client_address {
    char host[256];
    char port[8];
    char authority[272]; /* as the Host field has it */
};
MUST_CHECK enum outcome client_address_read(struct slice url, struct client_address *out, struct error *err);

/* Is anybody listening? err: ERROR_UNAVAILABLE. */
MUST_CHECK enum outcome client_connect(const struct client_address *address, int *fd, struct error *err);
/*   head        request line, header fields, the empty line
 *   timeout_ms  how long it may take until anything happens
 *   err         ERROR_UNAVAILABLE nobody listens; ERROR_TIMEOUT; ERROR_UNKNOWN the connection broke off; ERROR_INVALID not HTTP */
MUST_CHECK enum outcome client_exchange(const struct client_address *address, struct slice head, struct slice body,
                                        int timeout_ms, struct reply *out, struct error *err);
