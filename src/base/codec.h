/* codec: hex, base64, percent-encoding, SHA-free ids. Thread: any. */
#pragma once

#include "base/buffer.h"

void codec_hex(struct buffer *out, struct slice bytes); /* lower case */
MUST_CHECK bool codec_unhex(struct buffer *out, struct slice text);
void codec_base64(struct buffer *out, struct slice bytes);             /* RFC 4648 §4, padded */
MUST_CHECK bool codec_unbase64(struct buffer *out, struct slice text); /* strict: padding and zero tail bits */
/* RFC 3986: all but unreserved characters become %XX, upper case; '/' stays when `keep_slash`. */
void codec_percent(struct buffer *out, struct slice bytes, bool keep_slash);
MUST_CHECK bool codec_unpercent(struct buffer *out, struct slice text, bool plus_is_space);

void random_bytes(void *out, size_t len); /* getrandom; cannot fail */
enum { UUID_TEXT_BYTES = 37 };
void uuid_make(char out[UUID_TEXT_BYTES]); /* version 4, lower case, NUL-terminated */
