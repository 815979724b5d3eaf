/* Bytes in, requests out: the buffer and llhttp's callbacks. See http_input.h for the idea; what is refused beyond
 * llhttp's own strictness stands in http_refuse.c. */
#include "net/http_input.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct work *work_new(void)
{
    /* Not zeroed on purpose: 64 KB of input would become resident for a request of 200 bytes. */
    struct work *work = malloc(sizeof *work);
    if (!work)
        abort();
    work->next = NULL;
    buffer_init(&work->body);
    buffer_init(&work->added);
    buffer_init(&work->out);
    return work;
}

void work_free(struct work *work)
{
    if (!work)
        return;
    buffer_drop(&work->body);
    buffer_drop(&work->added);
    buffer_drop(&work->out);
    free(work);
}

static void keep_small(struct buffer *b)
{
    if (b->cap > INPUT_KEPT_BYTES)
        buffer_drop(b);
    else
        buffer_reset(b);
}

void work_reset(struct work *work)
{
    keep_small(&work->body);
    keep_small(&work->added);
    keep_small(&work->out);
}

/* ---- llhttp's callbacks ---- */

static struct input *input_of(llhttp_t *parser)
{
    return parser->data;
}

static uint32_t offset_of(const struct input *in, const char *at)
{
    return (uint32_t)(at - in->work->input);
}

static int on_method(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    input_of(parser)->method_len += (uint32_t)len;
    return 0;
}

static int on_method_complete(llhttp_t *parser)
{
    struct input *in = input_of(parser);
    /* RFC 9110 9.3.6: an origin server may refuse CONNECT; we are nobody's tunnel. */
    if (parser->method == HTTP_CONNECT)
        return input_refuse(in, HTTP_NOT_IMPLEMENTED, "CONNECT is not supported") ? 0 : HPE_USER;
    if (parser->method == HTTP_PRI)
        return input_refuse(in, HTTP_VERSION_NOT_SUPPORTED, "this port speaks HTTP/1.1") ? 0 : HPE_USER;
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct input *in = input_of(parser);
    if (in->target_len == 0)
        in->target_at = offset_of(in, at);
    in->target_len += (uint32_t)len;
    if (in->target_len > HTTP_TARGET_BYTES_MAX)
        return input_refuse(in, HTTP_URI_TOO_LONG, "the request target is too long") ? 0 : HPE_USER;
    return 0;
}

static int on_url_complete(llhttp_t *parser)
{
    struct input *in = input_of(parser);
    in->target_complete = true;
    /* llhttp takes "GET /x" + CRLF, the HTTP/0.9 of 1991. */
    if (in->work->input[in->target_at + in->target_len] != ' ')
        return input_refuse(in, HTTP_VERSION_NOT_SUPPORTED, "the request line has no version") ? 0 : HPE_USER;
    return 0;
}

static int on_version_complete(llhttp_t *parser)
{
    struct input *in = input_of(parser);
    in->version_complete = true;
    if (parser->http_major != 1 || parser->http_minor > 1)
        return input_refuse(in, HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
                   ? 0
                   : HPE_USER;
    return 0;
}

/* Trailer fields are counted and forgotten: merging them into the head is how requests get smuggled (RFC 9110 6.5.1). */
static int count_trailer(struct input *in, size_t len)
{
    in->trailer_bytes += (uint32_t)len + 1;
    if (in->trailer_bytes > HTTP_TRAILER_BYTES_MAX)
        return input_refuse(in, HTTP_BAD_REQUEST, "the trailer section is too large") ? 0 : HPE_USER;
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct input *in = input_of(parser);
    if (in->head_complete)
        return count_trailer(in, len);
    if (in->field_count == 0 || in->in_value) {
        if (in->field_count == HTTP_HEADERS_MAX)
            return input_refuse(in, HTTP_HEAD_TOO_LARGE, "too many header fields") ? 0 : HPE_USER;
        in->work->fields[in->field_count++] = (struct field){ .name_at = offset_of(in, at) };
        in->in_value = false;
    }
    in->work->fields[in->field_count - 1].name_len += (uint32_t)len;
    return 0;
}

static int on_field_complete(llhttp_t *parser)
{
    struct input *in = input_of(parser);
    in->in_value = true;
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct input *in = input_of(parser);
    if (in->head_complete)
        return count_trailer(in, len);
    struct field *field = &in->work->fields[in->field_count - 1];
    if (field->value_at == 0)
        field->value_at = offset_of(in, at);
    field->value_len += (uint32_t)len;
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct input *in = input_of(parser);
    if (in->head_complete)
        return 0;
    struct field *field = &in->work->fields[in->field_count - 1];
    const char *value = in->work->input + field->value_at;
    while (field->value_len > 0 && (value[field->value_len - 1] == ' ' || value[field->value_len - 1] == '\t'))
        field->value_len--;
    return input_judge_field(in, input_slice(in, field->name_at, field->name_len),
                             input_slice(in, field->value_at, field->value_len))
               ? 0
               : HPE_USER;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct input *in = input_of(parser);
    in->head_complete = true;
    in->keep_alive = llhttp_should_keep_alive(parser) != 0;
    parser->upgrade = 0; /* RFC 9110 7.8: a server may ignore Upgrade */
    if (parser->flags & F_CHUNKED) {
        in->framing = FRAMING_CHUNKED;
        return HPE_PAUSED; /* the body waits until somebody wants it */
    }
    if (parser->flags & F_CONTENT_LENGTH) {
        if (parser->content_length > INT64_MAX)
            return input_refuse(in, HTTP_BAD_REQUEST, "Content-Length is too large") ? 0 : HPE_USER;
        in->content_length = (int64_t)parser->content_length;
    }
    if (in->content_length > 0) {
        in->framing = FRAMING_LENGTH;
        in->body_left = (uint64_t)in->content_length;
        return 1; /* to llhttp the message ends here: we count the body ourselves */
    }
    in->body_complete = true;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct input *in = input_of(parser);
    memmove(in->work->input + in->decoded_end, at, len);
    in->decoded_end += (uint32_t)len;
    in->body_bytes += len;
    return 0;
}

static int on_extension(llhttp_t *parser, const char *at, size_t len)
{
    struct input *in = input_of(parser);
    (void)at;
    in->extension_bytes += (uint32_t)len;
    if (in->extension_bytes > HTTP_CHUNK_EXTENSION_BYTES_MAX)
        return input_refuse(in, HTTP_BAD_REQUEST, "too many chunk extensions") ? 0 : HPE_USER;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct input *in = input_of(parser);
    if (in->framing == FRAMING_CHUNKED)
        in->body_complete = true;
    return HPE_PAUSED; /* the next request waits until this one is answered */
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_method_complete = on_method_complete,
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_version_complete = on_version_complete,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- driving it ---- */

/* Forgets the request, keeps the bytes behind it. */
static void forget(struct input *in)
{
    struct work *work = in->work;
    uint32_t pos = in->pos, len = in->len;
    memset(in, 0, sizeof *in);
    in->work = work;
    in->pos = pos;
    in->len = len;
    in->content_length = -1;
    llhttp_init(&in->parser, HTTP_REQUEST, &settings);
    in->parser.data = in;
}

void input_init(struct input *in)
{
    memset(in, 0, sizeof *in);
    forget(in);
}

size_t input_room(struct input *in, char **at)
{
    if (in->pos == in->len && !in->started)
        in->pos = in->len = 0;
    else if (in->pos == in->len && in->head_complete)
        in->pos = in->len = in->head_end; /* a piece of the body was only lent: its room is free again */
    *at = in->work->input + in->len;
    return INPUT_BYTES - in->len;
}

void input_added(struct input *in, size_t count)
{
    assert(count <= INPUT_BYTES - in->len);
    in->len += (uint32_t)count;
}

/* RFC 9112 2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line
 * (CRLF) received prior to the request-line". One it is; llhttp would take any number of CR and LF in any order. */
static enum parsed skip_empty_line(struct input *in)
{
    const char *at = in->work->input + in->pos;
    size_t len = input_unparsed(in);
    if (len > 0 && *at != '\r' && *at != '\n')
        return PARSED_DONE;
    if (len == 0 || (len == 1 && *at == '\r' && !in->empty_line))
        return PARSED_MORE;
    if (*at == '\n' || at[1] != '\n' || in->empty_line) {
        input_refuse(in, HTTP_BAD_REQUEST, "the request line is missing");
        return PARSED_REFUSED;
    }
    in->empty_line = true;
    in->pos += 2;
    return skip_empty_line(in);
}

/* "GET /x" and the line's end, the HTTP/0.9 of 1991: llhttp would wait for one byte more, or complain of that one. */
static bool line_without_version(const struct input *in, size_t seen)
{
    const char *line = in->work->input;
    uint32_t end = in->target_at + in->target_len;
    if (in->target_complete || in->target_len == 0 || line[in->target_at] != '/' || end >= seen)
        return false; /* in other forms it may be the line's end that llhttp complains of */
    return line[end] == '\n' || (line[end] == '\r' && end + 1 < seen && line[end + 1] == '\n');
}

enum parsed input_head(struct input *in)
{
    assert(!in->head_complete && in->refusal.status == 0);
    if (!in->started) {
        enum parsed first = skip_empty_line(in);
        if (first != PARSED_DONE)
            return first;
        in->started = true;
        in->head_at = in->pos;
    }
    size_t room = HTTP_HEAD_BYTES_MAX - (in->pos - in->head_at); /* llhttp sees no byte more than a head may have */
    size_t count = input_unparsed(in) < room ? input_unparsed(in) : room;
    const char *at = in->work->input + in->pos;
    llhttp_errno_t code = llhttp_execute(&in->parser, at, count);
    if (in->refusal.status)
        return PARSED_REFUSED;
    if (code == HPE_PAUSED && in->head_complete) {
        in->pos += (uint32_t)(llhttp_get_error_pos(&in->parser) - at);
        in->head_end = in->pos;
        llhttp_resume(&in->parser);
        return input_judge(in) ? PARSED_DONE : PARSED_REFUSED;
    }
    if (line_without_version(in, in->pos + count)) {
        input_refuse(in, HTTP_VERSION_NOT_SUPPORTED, "the request line has no version");
        return PARSED_REFUSED;
    }
    if (code != HPE_OK) {
        input_refuse_llhttp(in, code);
        return PARSED_REFUSED;
    }
    in->pos += (uint32_t)count;
    if (count == room) {
        input_refuse(in, HTTP_HEAD_TOO_LARGE, "the head is too large");
        return PARSED_REFUSED;
    }
    return PARSED_MORE;
}

static enum parsed body_counted(struct input *in, struct slice *piece)
{
    size_t count = input_unparsed(in);
    if (count > in->body_left)
        count = (size_t)in->body_left;
    *piece = input_slice(in, in->pos, (uint32_t)count);
    in->pos += (uint32_t)count;
    in->body_left -= count;
    in->body_complete = in->body_left == 0;
    return in->body_complete ? PARSED_DONE : PARSED_MORE;
}

static enum parsed body_chunked(struct input *in, struct slice *piece)
{
    const char *at = in->work->input + in->pos;
    size_t count = input_unparsed(in);
    in->decoded_at = in->decoded_end = in->pos;
    llhttp_errno_t code = llhttp_execute(&in->parser, at, count);
    if (code == HPE_PAUSED && in->body_complete)
        count = (size_t)(llhttp_get_error_pos(&in->parser) - at);
    else if (code != HPE_OK && !in->refusal.status)
        input_refuse_llhttp(in, code);
    in->pos += (uint32_t)count;
    in->raw_bytes += count;
    /* A megabyte of zeros before a chunk's size, or a chunk a byte, is work for us and no body. */
    if (in->raw_bytes > HTTP_CHUNK_OVERHEAD_BYTES_MAX + 16 * in->body_bytes)
        input_refuse(in, HTTP_BAD_REQUEST, "too little body in too many chunks");
    if (in->refusal.status) {
        in->body_complete = false;
        return PARSED_REFUSED;
    }
    *piece = input_slice(in, in->decoded_at, in->decoded_end - in->decoded_at);
    return in->body_complete ? PARSED_DONE : PARSED_MORE;
}

enum parsed input_body(struct input *in, struct slice *piece)
{
    assert(in->head_complete);
    *piece = SLICE_EMPTY;
    if (in->refusal.status)
        return PARSED_REFUSED;
    if (in->body_complete)
        return PARSED_DONE;
    if (in->pos == in->len)
        return PARSED_MORE;
    return in->framing == FRAMING_LENGTH ? body_counted(in, piece) : body_chunked(in, piece);
}

void input_body_bypassed(struct input *in, size_t count)
{
    assert(in->framing == FRAMING_LENGTH && count <= in->body_left && input_unparsed(in) == 0);
    in->body_left -= count;
    in->body_complete = in->body_left == 0;
}

void input_next(struct input *in)
{
    assert(in->body_complete && in->refusal.status == 0);
    if (in->pos == in->len) {
        in->pos = in->len = 0;
    } else if (in->pos > INPUT_SHIFT_BYTES) {
        memmove(in->work->input, in->work->input + in->pos, input_unparsed(in));
        in->len -= in->pos;
        in->pos = 0;
    }
    forget(in);
}
