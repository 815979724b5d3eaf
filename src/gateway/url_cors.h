/* gateway/url_cors: which CORS fields an answer of a function URL gets. Pure.
 * Source: AWS Lambda developer guide, "Cross-origin resource sharing (CORS)" of function URLs: a preflight is answered by the configuration alone;
 *         other answers carry the configured fields beside those of the function, even twice. WHATWG Fetch, CORS protocol.
 * Thread: any. */
#pragma once

#include "engine/url.h"

typedef void url_cors_field_fn(const char *name, struct slice value, void *arg);

/* Origin and Access-Control-Request-Method of a request; `at` NULL where it has none. */
bool url_cors_is_preflight(struct slice method, struct slice origin, struct slice request_method);
/* The fields of a preflight's answer. An origin that is not allowed gets none but Vary: the browser decides by that. */
void url_cors_preflight(const struct url_cors *cors, struct slice origin, struct slice request_method,
                        struct slice request_headers, url_cors_field_fn *add, void *arg);
/* The fields of any other answer; none without an Origin. */
void url_cors_answer(const struct url_cors *cors, struct slice origin, url_cors_field_fn *add, void *arg);
