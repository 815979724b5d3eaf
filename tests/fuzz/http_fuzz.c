/* The HTTP/1.1 parser. Beyond not crashing:
 *   - however the bytes are cut into reads, the same requests, bodies and refusals come out;
 *   - what is accepted is what RFC 9112 allows: names are tokens, values and targets have no controls, the framing is one;
 *   - a head that was accepted, written anew from what the parser said about it, is accepted again and says the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "net/http_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                           \
    do {                                                                                                           \
        if (!(condition)) {                                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                        \
            abort();                                                                                               \
        }                                                                                                          \
    } while (0)

static struct slice field_name(const struct input *in, size_t i)
{
    return input_slice(in, in->work->fields[i].name_at, in->work->fields[i].name_len);
}

static struct slice field_value(const struct input *in, size_t i)
{
    return input_slice(in, in->work->fields[i].value_at, in->work->fields[i].value_len);
}

static size_t times(const struct input *in, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < in->field_count; i++)
        count += slice_equal_nocase(field_name(in, i), slice_of(name));
    return count;
}

static void check_head(const struct input *in)
{
    struct slice target = input_slice(in, in->target_at, in->target_len);
    CHECK(target.len > 0 && target.at[0] == '/' && target.len <= HTTP_TARGET_BYTES_MAX);
    for (size_t i = 0; i < target.len; i++)
        CHECK(target.at[i] > 0x20 && target.at[i] < 0x7f && target.at[i] != '#');
    CHECK(http_name_ok(input_slice(in, in->head_at, in->method_len)));
    CHECK(in->head_end - in->head_at <= HTTP_HEAD_BYTES_MAX && in->field_count <= HTTP_HEADERS_MAX);
    for (size_t i = 0; i < in->field_count; i++) {
        CHECK(http_name_ok(field_name(in, i)));
        CHECK(http_value_ok(field_value(in, i)));
    }
    size_t lengths = times(in, "content-length"), encodings = times(in, "transfer-encoding");
    CHECK(times(in, "host") <= 1 && lengths + encodings <= 1);
    CHECK((in->framing == FRAMING_CHUNKED) == (encodings == 1));
    CHECK((in->content_length >= 0) == (lengths == 1));
}

/* The head as text, and as a request that means the same. */
static void write_head(const struct input *in, struct buffer *out)
{
    buffer_append_slice(out, input_slice(in, in->head_at, in->method_len));
    buffer_append_byte(out, ' ');
    buffer_append_slice(out, input_slice(in, in->target_at, in->target_len));
    buffer_append_text(out, in->parser.http_minor ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
    for (size_t i = 0; i < in->field_count; i++) {
        buffer_append_slice(out, field_name(in, i));
        buffer_append_text(out, ": ");
        buffer_append_slice(out, field_value(in, i));
        buffer_append_text(out, "\r\n");
    }
    buffer_append_text(out, "\r\n");
}

static void check_head_reads_back(const struct input *in)
{
    struct buffer first = BUFFER_EMPTY, second = BUFFER_EMPTY;
    write_head(in, &first);
    if (first.len <= HTTP_HEAD_BYTES_MAX) {
        struct input again;
        char *at;
        input_init(&again);
        again.work = work_new();
        CHECK(input_room(&again, &at) >= first.len);
        memcpy(at, first.at, first.len);
        input_added(&again, first.len);
        CHECK(input_head(&again) == PARSED_DONE);
        write_head(&again, &second);
        CHECK(slice_equal(buffer_slice(&first), buffer_slice(&second)));
        CHECK(again.framing == in->framing && again.content_length == in->content_length &&
              again.keep_alive == in->keep_alive);
        work_free(again.work);
    }
    buffer_drop(&first);
    buffer_drop(&second);
}

/* What a connection does with what it has: requests and their bodies, until more bytes are needed or it is refused.
 * How much of a body was decoded before it is refused may differ: such a body is not told. */
static bool drain(struct input *in, struct buffer *body, struct buffer *transcript)
{
    for (;;) {
        if (!in->head_complete) {
            enum parsed parsed = input_head(in);
            if (parsed == PARSED_MORE)
                return true;
            if (parsed == PARSED_REFUSED)
                break;
            check_head(in);
            check_head_reads_back(in);
            write_head(in, transcript);
            buffer_appendf(transcript, "keep %d continue %d body ", in->keep_alive, in->expect_continue);
        }
        struct slice piece;
        enum parsed parsed = input_body(in, &piece);
        if (parsed == PARSED_REFUSED)
            break;
        buffer_append_slice(body, piece);
        if (parsed == PARSED_MORE && input_unparsed(in) == 0)
            return true;
        if (parsed == PARSED_DONE) {
            buffer_append_slice(transcript, buffer_slice(body));
            buffer_append_text(transcript, "\nend\n");
            buffer_reset(body);
            input_next(in);
            if (input_unparsed(in) == 0 && !in->started)
                return true;
        }
    }
    buffer_reset(body);
    CHECK(in->refusal.status >= 400 && in->refusal.text != NULL && in->refusal.text[0]);
    buffer_appendf(transcript, "refused %d %s\n", in->refusal.status, in->refusal.text);
    return false;
}

static void feed(const uint8_t *data, size_t size, size_t step, struct buffer *transcript)
{
    struct input in;
    struct buffer body = BUFFER_EMPTY;
    input_init(&in);
    in.work = work_new();
    while (size > 0) {
        char *at;
        size_t room = input_room(&in, &at), count = size < step ? size : step;
        CHECK(room > 0); /* a parser that drains what it has is never full */
        count = count < room ? count : room;
        memcpy(at, data, count);
        input_added(&in, count);
        data += count;
        size -= count;
        if (!drain(&in, &body, transcript))
            break;
    }
    buffer_append_slice(transcript, buffer_slice(&body)); /* as far as it came */
    buffer_drop(&body);
    work_free(in.work);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = { 1, 7, 64 };
    struct buffer whole = BUFFER_EMPTY;
    feed(data, size, size, &whole);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct buffer cut = BUFFER_EMPTY;
        feed(data, size, steps[i], &cut);
        if (!slice_equal(buffer_slice(&whole), buffer_slice(&cut))) {
            fprintf(stderr, "--- whole:\n%.*s\n--- in steps of %zu:\n%.*s\n", (int)whole.len, whole.at, steps[i],
                    (int)cut.len, cut.at);
            abort();
        }
        buffer_drop(&cut);
    }
    buffer_drop(&whole);
    return 0;
}
