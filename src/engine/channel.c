#include "engine/channel.h"

#include <assert.h>

static_assert((int)CHANNEL_BODY_BYTES_MAX >= (int)INVOKE_PAYLOAD_BYTES_MAX + 64 * 1024,
              "the largest payload and its fields fit one frame");

static void write_head(struct buffer *out, enum frame_type type, uint32_t sequence, size_t body)
{
    assert(body <= CHANNEL_BODY_BYTES_MAX);
    buffer_append_u32(out, (uint32_t)body);
    buffer_append_u32(out, sequence);
    buffer_append_byte(out, (char)type);
    buffer_append_byte(out, CHANNEL_VERSION);
    buffer_append_u16(out, 0);
}

static void write_text16(struct buffer *out, struct slice text)
{
    assert(text.len <= UINT16_MAX);
    buffer_append_u16(out, (uint16_t)text.len);
    buffer_append_slice(out, text);
}

void frame_write_invoke(struct buffer *out, const struct frame_invoke *i)
{
    size_t fields = sizeof(uint64_t) + 4 * sizeof(uint16_t) + sizeof(uint32_t) + i->request_id.len +
                    i->function_arn.len + i->trace.len + i->client_context.len + i->identity.len;
    write_head(out, FRAME_INVOKE, i->sequence, fields + i->payload.len);
    buffer_append_u64(out, i->deadline_ms);
    write_text16(out, i->request_id);
    write_text16(out, i->function_arn);
    write_text16(out, i->trace);
    buffer_append_u32(out, (uint32_t)i->client_context.len);
    buffer_append_slice(out, i->client_context);
    write_text16(out, i->identity);
}

void frame_write_stop(struct buffer *out)
{
    write_head(out, FRAME_STOP, 0, 0);
}

static enum outcome nonsense(struct error *err, const char *what)
{
    return error_set(err, ERROR_INVALID, "The instance is stopped; its next call gets a fresh one.",
                     "the instance sent nonsense on its channel: %s", what);
}

static enum outcome decode_failure(struct frame *frame, struct cursor *c, struct error *err)
{
    uint16_t len = 0;
    if (!cursor_u16(c, &len) || !cursor_bytes(c, len, &frame->error_type))
        return nonsense(err, "an error without its type");
    frame->payload = cursor_rest(c);
    return OK;
}

static enum outcome decode_body(struct frame *frame, struct error *err)
{
    struct cursor c = cursor_of(frame->body);
    switch (frame->type) {
    case FRAME_READY:
        if (!cursor_u32(&c, &frame->init_us) || cursor_rest(&c).len != 0)
            return nonsense(err, "a READY of the wrong length");
        return OK;
    case FRAME_INIT_FAILED:
    case FRAME_FAILED:
    case FRAME_FATAL:
        return decode_failure(frame, &c, err);
    case FRAME_DONE:
        frame->payload = frame->body;
        return OK;
    case FRAME_INVOKE:
    case FRAME_STOP:
    case FRAME_CHUNK:
        break;
    }
    return nonsense(err, "a type that an instance may not send");
}

enum outcome frame_read(struct slice bytes, struct frame *out, size_t *used, size_t *need, struct error *err)
{
    *used = 0;
    *need = CHANNEL_HEAD_BYTES;
    struct cursor c = cursor_of(bytes);
    uint32_t length = 0, sequence = 0;
    uint8_t type = 0, version = 0;
    uint16_t reserved = 0;
    if (!cursor_u32(&c, &length) || !cursor_u32(&c, &sequence) || !cursor_u8(&c, &type) ||
        !cursor_u8(&c, &version) || !cursor_u16(&c, &reserved))
        return OK;
    if (length > CHANNEL_BODY_BYTES_MAX)
        return nonsense(err, "a frame that is too long");
    if (version != CHANNEL_VERSION || reserved != 0)
        return nonsense(err, "another version");
    if (type != FRAME_READY && type != FRAME_INIT_FAILED && type != FRAME_DONE && type != FRAME_FAILED &&
        type != FRAME_FATAL)
        return nonsense(err, "a type that an instance may not send");
    *need = CHANNEL_HEAD_BYTES + (size_t)length;
    struct frame frame = { .type = (enum frame_type)type, .sequence = sequence };
    if (!cursor_bytes(&c, length, &frame.body))
        return OK;
    TRY(decode_body(&frame, err));
    *out = frame;
    *used = *need;
    return OK;
}
