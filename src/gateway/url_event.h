/* gateway/url_event: the event that a function URL's function gets: API Gateway's payload format 2.0 as function URLs fill it. Pure.
 * Source: AWS Lambda developer guide, "Invoking Lambda function URLs", request payload format. Where the guide says "null or excluded": a signed
 *         call has the nulls of its example, a public one leaves them out, as recorded events do.   Thread: any. */
#pragma once

#include "base/buffer.h"
#include "net/http.h"

struct url_caller { /* who signed */
    struct slice access_key, account, user_arn, user_id;
};
struct url_event {
    struct slice id, domain; /* "<id>", "<id>.lambda-url.<region>.on.localhost" */
    struct slice method;
    struct slice path;  /* as sent, undecoded; begins with '/' */
    struct slice query; /* as sent, without '?' */
    const struct http_header *headers;
    size_t header_count;
    struct slice body;
    const struct url_caller *caller; /* NULL: nobody signed */
    struct slice source_ip, port, proto;
    struct slice trace; /* "Root=1-..." */
    struct slice request_id;
    int64_t time_ms;
};

/* Appends the event as JSON. Whatever bytes the client sent, it is valid: header values that are no UTF-8 are read as Latin-1, undecodable
 * escapes of the query stay as they are, a text body that is no UTF-8 goes as base64. */
void url_event_write(const struct url_event *event, struct buffer *out);

/* Is a body of this Content-Type given as text? text/..., application/json, application/xml, application/javascript; all others, a form too,
 * are base64 (as measured on AWS: ministackorg/ministack#766). */
bool url_body_is_text(struct slice content_type);
