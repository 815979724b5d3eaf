#include "auth/sigv4_canon.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include "base/memory.h"

/* ---- the algorithms ---- */

bool sigv4_tools_init(struct sigv4_tools *tools)
{
    *tools = (struct sigv4_tools){ 0 };
    tools->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    tools->digest = EVP_MD_CTX_new();
    tools->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    tools->mac = tools->hmac == NULL ? NULL : EVP_MAC_CTX_new(tools->hmac);
    char name[] = "SHA256";
    const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                                  OSSL_PARAM_construct_end() };
    if (tools->sha256 != NULL && tools->digest != NULL && tools->mac != NULL &&
        EVP_MAC_CTX_set_params(tools->mac, params))
        return true;
    sigv4_tools_done(tools);
    return false;
}

void sigv4_tools_done(struct sigv4_tools *tools)
{
    if (tools == NULL)
        return;
    EVP_MAC_CTX_free(tools->mac);
    EVP_MAC_free(tools->hmac);
    EVP_MD_CTX_free(tools->digest);
    EVP_MD_free(tools->sha256);
    *tools = (struct sigv4_tools){ 0 };
}

/* ---- bytes into the hash, in blocks: each EVP call costs more than what it hashes ---- */

struct sink {
    EVP_MD_CTX *digest;
    size_t len;
    bool failed;
    char block[1024];
};

static void sink_flush(struct sink *sink)
{
    if (sink->len > 0 && !EVP_DigestUpdate(sink->digest, sink->block, sink->len))
        sink->failed = true;
    sink->len = 0;
}

static void sink_byte(struct sink *sink, char byte)
{
    if (sink->len == sizeof(sink->block))
        sink_flush(sink);
    sink->block[sink->len++] = byte;
}

static void sink_slice(struct sink *sink, struct slice bytes)
{
    while (bytes.len > 0) {
        if (sink->len == sizeof(sink->block))
            sink_flush(sink);
        size_t room = sizeof(sink->block) - sink->len;
        size_t now = bytes.len < room ? bytes.len : room;
        memcpy(sink->block + sink->len, bytes.at, now);
        sink->len += now;
        bytes = slice_sub(bytes, now, bytes.len);
    }
}

static void sink_hex(const unsigned char *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
}

/* ---- canonical bytes of a name, a value or a path ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sigv4_percent_ok(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '%') {
            if (text.len - i < 3 || hex_digit(text.at[i + 1]) < 0 || hex_digit(text.at[i + 2]) < 0)
                return false;
            i += 2;
        }
    return true;
}

/* RFC 3986's unreserved characters stay, all else becomes %XX. */
static bool unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '~';
}

enum canon_form {
    CANON_QUERY,     /* decoded ('+' is a space, as our own reading of the query has it), then encoded */
    CANON_PATH_ONCE, /* s3: decoded, then encoded, slashes kept */
    CANON_PATH_TWICE /* all others: what was sent, encoded once more, slashes kept */
};

struct canon {
    struct slice rest;
    enum canon_form form;
    char pending[2]; /* the digits of an escape under way */
    unsigned pending_count;
};

static struct canon canon_of(struct slice text, enum canon_form form)
{
    return (struct canon){ .rest = text, .form = form };
}

/* The next canonical byte, or -1 at the end. */
static int canon_next(struct canon *c)
{
    static const char digits[] = "0123456789ABCDEF";
    if (c->pending_count > 0)
        return c->pending[--c->pending_count];
    if (c->rest.len == 0)
        return -1;
    unsigned char byte = (unsigned char)c->rest.at[0];
    size_t took = 1;
    if (c->form == CANON_QUERY && byte == '+')
        byte = ' ';
    else if (c->form != CANON_PATH_TWICE && byte == '%' && c->rest.len >= 3 && hex_digit(c->rest.at[1]) >= 0 &&
             hex_digit(c->rest.at[2]) >= 0) {
        byte = (unsigned char)(hex_digit(c->rest.at[1]) << 4 | hex_digit(c->rest.at[2]));
        took = 3;
    }
    c->rest = slice_sub(c->rest, took, c->rest.len);
    if (unreserved(byte) || (byte == '/' && c->form != CANON_QUERY))
        return byte;
    c->pending[1] = digits[byte >> 4];
    c->pending[0] = digits[byte & 15];
    c->pending_count = 2;
    return '%';
}

static void sink_canon(struct sink *sink, struct slice text, enum canon_form form)
{
    struct canon c = canon_of(text, form);
    for (int byte = canon_next(&c); byte >= 0; byte = canon_next(&c))
        sink_byte(sink, (char)byte);
}

static int canon_compare(struct slice a, struct slice b)
{
    struct canon left = canon_of(a, CANON_QUERY), right = canon_of(b, CANON_QUERY);
    for (;;) {
        int x = canon_next(&left), y = canon_next(&right);
        if (x != y)
            return x < y ? -1 : 1;
        if (x < 0)
            return 0;
    }
}

/* ---- path ---- */

enum { PATH_SEGMENTS_MAX = 256 };

/* RFC 3986 section 5.2.4, and empty segments go too: "/a//./b/../c/" is "/a/c/". */
static bool sink_path(struct sink *sink, struct slice path, bool normalize)
{
    if (path.len == 0 || path.at[0] != '/')
        return false; /* "*" and absolute forms are nothing that a client signs */
    if (!normalize) {
        sink_canon(sink, path, CANON_PATH_ONCE);
        return true;
    }
    struct slice kept[PATH_SEGMENTS_MAX];
    size_t count = 0;
    bool slash_at_end = path.at[path.len - 1] == '/';
    struct slice rest = path;
    while (rest.len > 0) {
        struct slice segment = slice_split(&rest, '/');
        if (segment.len == 0 || slice_is(segment, "."))
            continue;
        if (slice_is(segment, "..")) {
            count -= count > 0;
            continue;
        }
        if (count == PATH_SEGMENTS_MAX)
            return false;
        kept[count++] = segment;
    }
    for (size_t i = 0; i < count; i++) {
        sink_byte(sink, '/');
        sink_canon(sink, kept[i], CANON_PATH_TWICE);
    }
    if (count == 0 || slash_at_end)
        sink_byte(sink, '/');
    return true;
}

/* ---- query ---- */

bool sigv4_next_parameter(struct slice *rest, struct slice *name, struct slice *value)
{
    while (rest->len > 0) {
        struct slice pair = slice_split(rest, '&');
        if (pair.len == 0)
            continue;
        *value = pair;
        *name = slice_split(value, '=');
        return true;
    }
    return false;
}

struct query_parameter {
    struct slice name, value;
};

static int parameter_compare(const void *a, const void *b)
{
    const struct query_parameter *left = a, *right = b;
    int order = canon_compare(left->name, right->name);
    return order != 0 ? order : canon_compare(left->value, right->value);
}

static bool sink_query(struct sink *sink, struct slice query)
{
    struct query_parameter parameters[SIGV4_QUERY_PARAMETERS_MAX];
    size_t count = 0;
    struct slice rest = query, name, value;
    while (sigv4_next_parameter(&rest, &name, &value)) {
        /* The one parameter that cannot be part of what it signs. */
        if (canon_compare(name, SLICE("X-Amz-Signature")) == 0)
            continue;
        if (count == SIGV4_QUERY_PARAMETERS_MAX)
            return false;
        parameters[count++] = (struct query_parameter){ name, value };
    }
    if (count > 1)
        qsort(parameters, count, sizeof(parameters[0]), parameter_compare);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            sink_byte(sink, '&');
        sink_canon(sink, parameters[i].name, CANON_QUERY);
        sink_byte(sink, '=');
        sink_canon(sink, parameters[i].value, CANON_QUERY);
    }
    return true;
}

/* ---- headers ---- */

size_t sigv4_header_find(const struct sigv4_request *request, struct slice name, struct slice *first)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        if (request->headers[i].name.len == name.len && slice_equal_nocase(request->headers[i].name, name))
            if (count++ == 0 && first != NULL)
                *first = request->headers[i].value;
    return count;
}

bool sigv4_signed_contains(struct slice signed_headers, struct slice name)
{
    while (signed_headers.len > 0)
        if (slice_equal_nocase(slice_split(&signed_headers, ';'), name))
            return true;
    return false;
}

static bool header_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* White space off both ends, runs of it inside become one space; also inside of quotes, whatever older texts say:
 * that is what the test suite and all SDKs do. */
static void sink_header_value(struct sink *sink, struct slice value)
{
    bool gap = false, any = false;
    for (size_t i = 0; i < value.len; i++) {
        if (header_space(value.at[i])) {
            gap = any;
            continue;
        }
        if (gap)
            sink_byte(sink, ' ');
        gap = false;
        any = true;
        sink_byte(sink, value.at[i]);
    }
}

static bool sink_headers(struct sink *sink, const struct sigv4_request *request, struct slice signed_headers)
{
    struct slice rest = signed_headers;
    while (rest.len > 0) {
        struct slice name = slice_split(&rest, ';');
        sink_slice(sink, name);
        sink_byte(sink, ':');
        size_t count = 0;
        for (size_t i = 0; i < request->header_count; i++) {
            if (request->headers[i].name.len != name.len || !slice_equal_nocase(request->headers[i].name, name))
                continue;
            if (count++ > 0)
                sink_byte(sink, ',');
            sink_header_value(sink, request->headers[i].value);
        }
        if (count == 0)
            return false; /* signed, but lost on the way */
        sink_byte(sink, '\n');
    }
    return true;
}

/* ---- the whole ---- */

bool sigv4_canonical_hash(struct sigv4_tools *tools, const struct sigv4_request *request,
                          struct slice signed_headers, struct slice payload_hash, bool normalize_path,
                          char out[SHA256_HEX_BYTES])
{
    struct sink sink;
    sink.digest = tools->digest;
    sink.len = 0;
    sink.failed = false;
    if (!EVP_DigestInit_ex2(tools->digest, tools->sha256, NULL))
        return false;
    sink_slice(&sink, request->method);
    sink_byte(&sink, '\n');
    if (!sink_path(&sink, request->path, normalize_path))
        return false;
    sink_byte(&sink, '\n');
    if (!sink_query(&sink, request->query))
        return false;
    sink_byte(&sink, '\n');
    if (!sink_headers(&sink, request, signed_headers))
        return false;
    sink_byte(&sink, '\n');
    sink_slice(&sink, signed_headers);
    sink_byte(&sink, '\n');
    sink_slice(&sink, payload_hash);
    sink_flush(&sink);
    unsigned char raw[SHA256_BYTES];
    if (sink.failed || !EVP_DigestFinal_ex(tools->digest, raw, NULL))
        return false;
    sink_hex(raw, sizeof(raw), out);
    return true;
}

static bool hmac_step(EVP_MAC_CTX *mac, const unsigned char *key, size_t key_len, struct slice text,
                      unsigned char out[SHA256_BYTES])
{
    size_t len = 0;
    return EVP_MAC_init(mac, key, key_len, NULL) && EVP_MAC_update(mac, (const unsigned char *)text.at, text.len) &&
           EVP_MAC_final(mac, out, &len, SHA256_BYTES);
}

bool sigv4_signing_key(struct sigv4_tools *tools, struct slice secret, const struct sigv4_scope *scope,
                       unsigned char out[SHA256_BYTES])
{
    unsigned char start[4 + SIGV4_SECRET_BYTES_MAX] = "AWS4";
    if (secret.len > SIGV4_SECRET_BYTES_MAX)
        return false;
    memcpy(start + 4, secret.at, secret.len);
    bool ok = hmac_step(tools->mac, start, 4 + secret.len, scope->date, out) &&
              hmac_step(tools->mac, out, SHA256_BYTES, scope->region, out) &&
              hmac_step(tools->mac, out, SHA256_BYTES, scope->service, out) &&
              hmac_step(tools->mac, out, SHA256_BYTES, SLICE("aws4_request"), out);
    OPENSSL_cleanse(start, sizeof(start));
    return ok;
}

bool sigv4_signature(EVP_MAC_CTX *mac, int64_t time_s, const struct sigv4_scope *scope,
                     const char canonical_hash[SHA256_HEX_BYTES], char out[SHA256_HEX_BYTES])
{
    char when[SIGV4_TIME_BYTES], text[512];
    sigv4_time_text(time_s, when);
    int len = snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%.*s/%.*s/%.*s/aws4_request\n%.*s", when,
                       SLICE_PRINT(scope->date), SLICE_PRINT(scope->region), SLICE_PRINT(scope->service),
                       SHA256_HEX_BYTES, canonical_hash);
    if (len < 0 || (size_t)len >= sizeof(text))
        return false;
    unsigned char raw[SHA256_BYTES];
    size_t raw_len = 0;
    /* A NULL key starts again with the one that the context holds: its padded halves stay hashed. */
    if (!EVP_MAC_init(mac, NULL, 0, NULL) || !EVP_MAC_update(mac, (unsigned char *)text, (size_t)len) ||
        !EVP_MAC_final(mac, raw, &raw_len, sizeof(raw)))
        return false;
    sink_hex(raw, sizeof(raw), out);
    return true;
}

void sigv4_time_text(int64_t time_s, char out[SIGV4_TIME_BYTES])
{
    time_t when = (time_t)time_s;
    struct tm tm;
    if (gmtime_r(&when, &tm) == NULL || strftime(out, SIGV4_TIME_BYTES, "%Y%m%dT%H%M%SZ", &tm) == 0)
        memcpy(out, "00000000T000000Z", SIGV4_TIME_BYTES);
}

void sha256_raw(struct slice bytes, unsigned char out[32])
{
    bool ok = EVP_Digest(bytes.at, bytes.len, out, NULL, EVP_sha256(), NULL) == 1;
    assert(ok); /* no memory: nothing that follows could be right */
    (void)ok;
}

void sha256_hex(struct slice bytes, char out[65])
{
    unsigned char raw[SHA256_BYTES];
    sha256_raw(bytes, raw);
    sink_hex(raw, sizeof(raw), out);
    out[SHA256_HEX_BYTES] = '\0';
}

/* ---- a hash in pieces ---- */

struct sha256_stream {
    EVP_MD_CTX *digest;
};

struct sha256_stream *sha256_stream_new(void)
{
    struct sha256_stream *stream = memory_new(sizeof(*stream));
    stream->digest = EVP_MD_CTX_new();
    bool ok = stream->digest != NULL && EVP_DigestInit_ex(stream->digest, EVP_sha256(), NULL);
    assert(ok);
    (void)ok;
    return stream;
}

void sha256_stream_add(struct sha256_stream *stream, struct slice bytes)
{
    bool ok = EVP_DigestUpdate(stream->digest, bytes.at, bytes.len);
    assert(ok);
    (void)ok;
}

void sha256_stream_hex(struct sha256_stream *stream, char out[65])
{
    unsigned char raw[SHA256_BYTES];
    bool ok = EVP_DigestFinal_ex(stream->digest, raw, NULL);
    assert(ok);
    (void)ok;
    sink_hex(raw, sizeof(raw), out);
    out[SHA256_HEX_BYTES] = '\0';
}

void sha256_stream_free(struct sha256_stream *stream)
{
    if (stream == NULL)
        return;
    EVP_MD_CTX_free(stream->digest);
    free(stream);
}
