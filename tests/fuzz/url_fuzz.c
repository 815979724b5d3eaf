/* Fuzzes the gateway's two translations. The input is a request's target, a line, header fields, an empty line and a body; or, as a whole, what a
 * function answered. Properties: every event is JSON whose body is the request's; an answer that is taken has fields that HTTP allows, a status
 * from 200 to 599, and the text of plain strings. */
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "gateway/url_answer.h"
#include "gateway/url_event.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "violated: %s\n", what);
    abort();
}

static size_t read_headers(struct slice *rest, struct http_header *headers)
{
    size_t count = 0;
    while (rest->len > 0) {
        struct slice value = slice_split(rest, '\n');
        if (value.len == 0)
            break;
        struct slice name = slice_split(&value, ':');
        if (count < HTTP_HEADERS_MAX && http_name_ok(name))
            headers[count++] = (struct http_header){ name, slice_trim(value) };
    }
    return count;
}

static void check_event(const struct url_event *event, struct slice text)
{
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    AUTO(buffer)
    struct buffer decoded = BUFFER_EMPTY;
    demand(json_parse(text, &doc, NULL) == OK, "an event is JSON");
    yyjson_val *root = yyjson_doc_get_root(doc), *body = yyjson_obj_get(root, "body");
    bool encoded = yyjson_get_bool(yyjson_obj_get(root, "isBase64Encoded"));
    demand((body == NULL) == (event->body.len == 0), "a body is there when the request has one");
    demand(yyjson_is_obj(yyjson_obj_get(root, "headers")), "an event has headers");
    if (body == NULL)
        return;
    if (encoded)
        demand(codec_unbase64(&decoded, json_slice(body)), "a body is base64 when it says so");
    else
        buffer_append_slice(&decoded, json_slice(body));
    demand(slice_equal(buffer_slice(&decoded), event->body), "the body arrives as it was sent");
}

static void an_event(struct slice input)
{
    static const struct url_caller caller = { SLICE("AKIA"), SLICE("000000000000"), SLICE("arn"), SLICE("id") };
    struct http_header headers[HTTP_HEADERS_MAX];
    struct slice rest = input, target = slice_split(&rest, '\n');
    struct url_event event = { .id = SLICE("id"), .domain = SLICE("id.lambda-url.x"), .method = SLICE("POST") };
    event.caller = target.len % 2 == 0 ? &caller : NULL;
    event.query = target;
    event.path = slice_split(&event.query, '?');
    event.headers = headers;
    event.header_count = read_headers(&rest, headers);
    event.body = rest;
    event.source_ip = event.port = event.proto = event.trace = event.request_id = SLICE("x");
    event.time_ms = (int64_t)input.len * 86400000;
    AUTO(buffer)
    struct buffer out = BUFFER_EMPTY;
    url_event_write(&event, &out);
    check_event(&event, buffer_slice(&out));
}

static void an_answer(struct slice payload)
{
    AUTO(url_answer)
    struct url_answer answer = { 0 };
    struct error err = { 0 };
    bool typed = false;
    if (url_answer_read(payload, &answer, &err) != OK) {
        demand(err.message[0] != '\0' && err.hint[0] != '\0', "a refusal says why");
        return;
    }
    demand(answer.status >= 200 && answer.status <= 599, "a status is one that can be answered");
    for (size_t i = 0; i < answer.field_count; i++) {
        struct slice name = slice_of(answer.fields[i].name);
        demand(http_name_ok(name) && http_value_ok(answer.fields[i].value), "no field breaks an answer apart");
        demand(!slice_equal_nocase(name, SLICE("content-length")) &&
                   !slice_equal_nocase(name, SLICE("transfer-encoding")),
               "no function names a length");
        typed = typed || slice_equal_nocase(name, SLICE("content-type"));
    }
    demand(typed, "an answer has a type");
    yyjson_val *root = yyjson_doc_get_root(answer.doc);
    if (yyjson_is_str(root))
        demand(slice_equal(buffer_slice(&answer.body), json_slice(root)), "a string is its text");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    an_event(slice_from(data, size));
    an_answer(slice_from(data, size));
    return 0;
}
