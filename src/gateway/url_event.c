#include "gateway/url_event.h"

#include <stdlib.h>
#include <time.h>

#include "base/codec.h"
#include "base/memory.h"
#include "json/json.h"

/* Members come in the order of AWS's example. Everything is written straight into the buffer: an event is made for each call. */

/* ---- texts ---- */

static bool is_utf8(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.at, *end = at + text.len;
    while (at < end) {
        unsigned char c = *at;
        size_t more = c < 0x80                 ? 0
                      : c >= 0xC2 && c <= 0xDF ? 1
                      : (c & 0xF0) == 0xE0     ? 2
                      : c >= 0xF0 && c <= 0xF4 ? 3
                                               : 9;
        if (more == 9 || (size_t)(end - at) <= more)
            return false;
        unsigned char low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
        unsigned char high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        for (size_t i = 1; i <= more; i++, low = 0x80, high = 0xBF)
            if (at[i] < low || at[i] > high)
                return false;
        at += more + 1;
    }
    return true;
}

/* RFC 9110 5.5: fields were Latin-1 once, and bytes above 0x7F are opaque. What is UTF-8 is taken as that; the rest loses nothing as Latin-1. */
static void append_field_text(struct buffer *out, struct slice text)
{
    if (is_utf8(text)) {
        buffer_append_slice(out, text);
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c >= 0x80)
            buffer_append_byte(out, (char)(0xC0 | c >> 6));
        buffer_append_byte(out, (char)(c < 0x80 ? c : 0x80 | (c & 0x3F)));
    }
}

static void append_string(struct buffer *out, struct slice text)
{
    if (is_utf8(text)) {
        json_append_string(out, text);
        return;
    }
    AUTO(buffer)
    struct buffer latin = BUFFER_EMPTY;
    append_field_text(&latin, text);
    json_append_string(out, buffer_slice(&latin));
}

static void append_member(struct buffer *out, const char *name, struct slice value)
{
    buffer_append_text(out, name);
    append_string(out, value);
}

/* ---- cookies and headers ---- */

static void append_cookies(struct buffer *out, const struct url_event *event)
{
    bool any = false;
    for (size_t i = 0; i < event->header_count; i++) {
        struct slice rest = event->headers[i].value;
        if (!slice_equal_nocase(event->headers[i].name, SLICE("cookie")))
            continue;
        while (rest.len > 0) {
            struct slice cookie = slice_trim(slice_split(&rest, ';'));
            if (cookie.len == 0)
                continue;
            buffer_append_text(out, any ? "," : ",\"cookies\":[");
            append_string(out, cookie);
            any = true;
        }
    }
    if (any)
        buffer_append_byte(out, ']');
}

/* What is about one connection says nothing to a function (RFC 9110 7.6.1); cookies have a member of their own; the last four are ours to
 * say, not the client's. */
static bool is_left_out(struct slice name)
{
    static const char *const names[] = {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "cookie",
        "x-amzn-trace-id",
        "x-forwarded-for",
        "x-forwarded-port",
        "x-forwarded-proto",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_equal_nocase(name, slice_of(names[i])))
            return true;
    return false;
}

static bool stood_before(const struct url_event *event, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (slice_equal_nocase(event->headers[i].name, event->headers[index].name))
            return true;
    return false;
}

static void append_lower(struct buffer *out, struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        buffer_append_byte(out, (char)(name.at[i] >= 'A' && name.at[i] <= 'Z' ? name.at[i] + 32 : name.at[i]));
}

/* HTTP_HEADERS_MAX bounds the square. */
static void append_header(struct buffer *out, const struct url_event *event, size_t index)
{
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    struct slice name = event->headers[index].name;
    append_lower(&text, name);
    append_string(out, buffer_slice(&text));
    buffer_append_byte(out, ':');
    buffer_reset(&text);
    buffer_append_slice(&text, event->headers[index].value);
    for (size_t i = index + 1; i < event->header_count; i++)
        if (slice_equal_nocase(event->headers[i].name, name)) {
            buffer_append_byte(&text, ',');
            buffer_append_slice(&text, event->headers[i].value);
        }
    append_string(out, buffer_slice(&text));
    buffer_append_byte(out, ',');
}

static void append_headers(struct buffer *out, const struct url_event *event)
{
    buffer_append_text(out, ",\"headers\":{");
    for (size_t i = 0; i < event->header_count; i++)
        if (!is_left_out(event->headers[i].name) && !stood_before(event, i))
            append_header(out, event, i);
    append_member(out, "\"x-amzn-trace-id\":", event->trace);
    append_member(out, ",\"x-forwarded-for\":", event->source_ip);
    append_member(out, ",\"x-forwarded-port\":", event->port);
    append_member(out, ",\"x-forwarded-proto\":", event->proto);
    buffer_append_byte(out, '}');
}

/* ---- the query ---- */

struct pair {
    struct slice name, value; /* decoded, in one buffer */
    size_t index;
    const struct pair *next; /* the next of that name */
    bool follows;            /* another of that name came before */
};

static int by_name(const void *a, const void *b)
{
    const struct pair *left = *(const struct pair *const *)a, *right = *(const struct pair *const *)b;
    int order = slice_compare(left->name, right->name);
    return order != 0 ? order : left->index < right->index ? -1 : left->index > right->index;
}

/* An escape that cannot be read leaves the text as it was sent. */
static struct slice decode(struct buffer *storage, struct slice text)
{
    size_t from = storage->len;
    if (!codec_unpercent(storage, text, true)) {
        storage->len = from;
        buffer_append_slice(storage, text);
    }
    return slice_from(storage->at + from, storage->len - from);
}

/* Sorted rather than compared each with each: a query has room for thousands of names. */
static void link_pairs(struct pair *pairs, size_t count)
{
    struct pair **sorted = memory_new_array(count, sizeof(struct pair *));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &pairs[i];
    qsort(sorted, count, sizeof(struct pair *), by_name);
    for (size_t i = 1; i < count; i++)
        if (slice_equal(sorted[i - 1]->name, sorted[i]->name)) {
            sorted[i - 1]->next = sorted[i];
            sorted[i]->follows = true;
        }
    free(sorted);
}

static void append_pairs(struct buffer *out, const struct pair *pairs, size_t count)
{
    AUTO(buffer)
    struct buffer value = BUFFER_EMPTY;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (pairs[i].follows)
            continue;
        buffer_append_text(out, any ? "," : ",\"queryStringParameters\":{");
        any = true;
        buffer_reset(&value);
        for (const struct pair *each = &pairs[i]; each != NULL; each = each->next) {
            if (each != &pairs[i])
                buffer_append_byte(&value, ',');
            buffer_append_slice(&value, each->value);
        }
        json_append_string(out, pairs[i].name);
        buffer_append_byte(out, ':');
        json_append_string(out, buffer_slice(&value));
    }
    if (any)
        buffer_append_byte(out, '}');
}

static void append_query(struct buffer *out, struct slice query)
{
    size_t count = 1, n = 0;
    for (size_t i = 0; i < query.len; i++)
        count += query.at[i] == '&';
    if (query.len == 0)
        return;
    AUTO(buffer)
    struct buffer storage = BUFFER_EMPTY;
    buffer_reserve(&storage, query.len + 1); /* decoding never lengthens: slices into it stay valid */
    struct pair *pairs = memory_new_array(count, sizeof(*pairs));
    for (struct slice rest = query; rest.len > 0;) {
        struct slice value = slice_split(&rest, '&');
        if (value.len == 0)
            continue;
        struct slice name = slice_split(&value, '=');
        pairs[n].name = decode(&storage, name);
        pairs[n].value = decode(&storage, value);
        pairs[n].index = n;
        n++;
    }
    link_pairs(pairs, n);
    append_pairs(out, pairs, n);
    free(pairs);
}

/* ---- the context ---- */

static void append_caller(struct buffer *out, const struct url_caller *caller)
{
    append_member(out, "\"authentication\":null,\"authorizer\":{\"iam\":{\"accessKey\":", caller->access_key);
    append_member(out, ",\"accountId\":", caller->account);
    append_member(out, ",\"callerId\":", caller->user_id);
    append_member(out, ",\"cognitoIdentity\":null,\"principalOrgId\":null,\"userArn\":", caller->user_arn);
    append_member(out, ",\"userId\":", caller->user_id);
    buffer_append_text(out, "}},");
}

/* "12/Mar/2020:19:03:58 +0000"; the months' names are never the locale's. */
static void append_time(struct buffer *out, int64_t time_ms)
{
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm = { 0 };
    (void)gmtime_r(&seconds, &tm);
    buffer_appendf(out, ",\"time\":\"%02d/%s/%04d:%02d:%02d:%02d +0000\",\"timeEpoch\":%lld}", tm.tm_mday,
                   months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, (long long)time_ms);
}

static struct slice header_named(const struct url_event *event, const char *name)
{
    for (size_t i = 0; i < event->header_count; i++)
        if (slice_equal_nocase(event->headers[i].name, slice_of(name)))
            return event->headers[i].value;
    return SLICE_EMPTY;
}

static void append_context(struct buffer *out, const struct url_event *event)
{
    struct slice account = event->caller != NULL ? event->caller->account : SLICE("anonymous");
    append_member(out, ",\"requestContext\":{\"accountId\":", account);
    append_member(out, ",\"apiId\":", event->id);
    buffer_append_byte(out, ',');
    if (event->caller != NULL)
        append_caller(out, event->caller);
    append_member(out, "\"domainName\":", event->domain);
    append_member(out, ",\"domainPrefix\":", event->id);
    append_member(out, ",\"http\":{\"method\":", event->method);
    append_member(out, ",\"path\":", event->path);
    append_member(out, ",\"protocol\":\"HTTP/1.1\",\"sourceIp\":", event->source_ip);
    append_member(out, ",\"userAgent\":", header_named(event, "user-agent"));
    append_member(out, "},\"requestId\":", event->request_id);
    buffer_append_text(out, ",\"routeKey\":\"$default\",\"stage\":\"$default\"");
    append_time(out, event->time_ms);
}

/* ---- the body ---- */

bool url_body_is_text(struct slice content_type)
{
    struct slice rest = content_type, type = slice_trim(slice_split(&rest, ';'));
    return slice_equal_nocase(slice_sub(type, 0, 5), SLICE("text/")) ||
           slice_equal_nocase(type, SLICE("application/json")) ||
           slice_equal_nocase(type, SLICE("application/xml")) ||
           slice_equal_nocase(type, SLICE("application/javascript"));
}

/* True when it was written as base64. */
static bool append_body(struct buffer *out, const struct url_event *event)
{
    if (event->body.len == 0)
        return false;
    buffer_append_text(out, ",\"body\":");
    if (url_body_is_text(header_named(event, "content-type")) && is_utf8(event->body)) {
        json_append_string(out, event->body);
        return false;
    }
    buffer_append_byte(out, '"');
    codec_base64(out, event->body);
    buffer_append_byte(out, '"');
    return true;
}

void url_event_write(const struct url_event *event, struct buffer *out)
{
    append_member(out, "{\"version\":\"2.0\",\"routeKey\":\"$default\",\"rawPath\":", event->path);
    append_member(out, ",\"rawQueryString\":", event->query);
    append_cookies(out, event);
    append_headers(out, event);
    append_query(out, event->query);
    append_context(out, event);
    bool encoded = append_body(out, event);
    if (event->caller != NULL)
        buffer_append_text(out, ",\"pathParameters\":null");
    buffer_append_text(out, encoded ? ",\"isBase64Encoded\":true" : ",\"isBase64Encoded\":false");
    buffer_append_text(out, event->caller != NULL ? ",\"stageVariables\":null}" : "}");
}
