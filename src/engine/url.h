/* engine/url: a function URL's document. Pure functions over JSON; the registry keeps the parsed form and finds it by its id.
 * Source: AWS Lambda API, FunctionUrlConfig, Cors.   Thread: any. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

enum {
    URL_ID_BYTES = 33,        /* 32 of a-z0-9, NUL, drawn at random: whoever does not know it cannot guess it */
    URL_CORS_ITEMS_MAX = 100, /* model: AllowOriginsList, HeadersList */
    URL_CORS_METHODS_MAX = 6,
    URL_CORS_MAX_AGE_S_MAX = 86400,
    URL_ORIGIN_CHARS_MAX = 253,  /* model: Origin */
    URL_HEADER_CHARS_MAX = 1024, /* model: Header */
    URL_METHOD_CHARS_MAX = 6,    /* model: Method; so OPTIONS is none */
};

struct url_list {
    char **items;
    size_t count;
};
struct url_cors { /* absent lists are empty */
    struct url_list origins, methods, headers, exposed;
    bool credentials, credentials_given;
    int64_t max_age_s; /* -1: not given */
};
struct function_url {
    char id[URL_ID_BYTES];
    bool iam;      /* AuthType AWS_IAM; else NONE */
    bool has_cors; /* `cors` was given */
    struct url_cors cors;
    char invoke_mode[24]; /* "BUFFERED", or "" when nobody said so: AWS leaves it out of some answers then */
};

struct function_url *function_url_new(void); /* a fresh id, AWS_IAM */
struct function_url *function_url_copy(const struct function_url *url);
void function_url_free(struct function_url *url); /* NULL allowed */
/* For those who fill and show a `cors`: a copy of `item` at the end; empties and frees; Cors as AWS shows it, a JSON object. */
void url_list_add(struct url_list *list, struct slice item);
void url_cors_done(struct url_cors *cors);
void url_cors_write(const struct url_cors *cors, struct buffer *out);
bool url_id_ok(struct slice id); /* has it the form of one? */
void function_url_write(const struct function_url *url, struct buffer *out);
/*   err  ERROR_INVALID: not a document of ours */
MUST_CHECK enum outcome function_url_read(struct slice document, struct function_url **out, struct error *err);
