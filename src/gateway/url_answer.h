/* gateway/url_answer: what a function returned, as an HTTP answer. Pure.
 * Source: AWS Lambda developer guide, "Invoking Lambda function URLs", response payload format; LocalStack's recordings of AWS
 *         (test_lambda_url_invocation: JSON without a statusCode goes out compact, a string as its text, both as application/json; a statusCode may
 *         be a text).   Thread: any. */
#pragma once

#include <yyjson.h>

#include "base/buffer.h"

enum { URL_ANSWER_FIELDS_MAX = 1000 }; /* ours: header fields and cookies of one answer */

struct url_field {
    const char *name; /* a token, never one that is the server's to say */
    struct slice value;
};
struct url_answer {
    int status;               /* 200 to 599 */
    struct url_field *fields; /* in order; owned, the texts borrowed from the document */
    size_t field_count;
    struct buffer body; /* owned; may be taken */
    yyjson_doc *doc;
};
void url_answer_drop(struct url_answer *answer); /* AUTO(url_answer); also when half read */

/*   out  to be dropped, also on failure
 *   err  ERROR_INVALID: malformed (a field that could break an answer apart, a status that is none, bad base64, ...): 502 */
MUST_CHECK enum outcome url_answer_read(struct slice payload, struct url_answer *out, struct error *err);
