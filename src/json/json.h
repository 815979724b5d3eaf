/* json: reading and writing over yyjson, with Hearth's bounds and errors.
 * Callers include yyjson.h themselves for walking; what stands here is parsing with limits, typed access with AWS's
 * messages left to the caller, and writing into a buffer. Thread: any. */
#pragma once

#include <yyjson.h>

#include "base/buffer.h"
#include "base/memory.h"

enum { JSON_DEPTH_MAX = 128 }; /* deeper documents are refused: nothing we read needs more */

void json_doc_drop(yyjson_doc **doc); /* AUTO(json_doc) yyjson_doc *doc = NULL; */
void json_mut_doc_drop(yyjson_mut_doc **doc);

/* Strict RFC 8259 (UTF-8 checked, no comments, no trailing bytes, depth bounded). Owned by the caller.
 *   err  ERROR_INVALID with the position, ERROR_TOO_LARGE for depth */
MUST_CHECK enum outcome json_parse(struct slice text, yyjson_doc **out, struct error *err);
/* True when `text` is one JSON value by the same rules; builds nothing that outlives the call. */
MUST_CHECK bool json_is_valid(struct slice text);

struct slice json_slice(yyjson_val *string); /* SLICE_EMPTY when it is not a string; borrowed from the document */
yyjson_mut_val *json_from_slice(yyjson_mut_doc *doc, struct slice text); /* copies */

/* Compact JSON, "/" not escaped. */
void json_write(struct buffer *out, const yyjson_mut_doc *doc);
/* Appends `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void json_append_string(struct buffer *out, struct slice text);
/* Appends `text` as UTF-8: bytes that are none become U+FFFD. */
void json_append_utf8(struct buffer *out, struct slice text);
