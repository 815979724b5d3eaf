#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/channel.h"

static void head(struct buffer *out, uint32_t length, uint32_t sequence, uint8_t type, uint8_t version,
                 uint16_t zero)
{
    buffer_append_u32(out, length);
    buffer_append_u32(out, sequence);
    buffer_append_byte(out, (char)type);
    buffer_append_byte(out, (char)version);
    buffer_append_u16(out, zero);
}

static void an_invoke_names_every_field_in_order(void **state)
{
    (void)state;
    struct buffer out = BUFFER_EMPTY;
    struct frame_invoke invoke = { .sequence = 9,
                                   .deadline_ms = 77,
                                   .request_id = SLICE("id"),
                                   .function_arn = SLICE("arn"),
                                   .trace = SLICE("t"),
                                   .client_context = SLICE("{}"),
                                   .payload = SLICE("[1]") };
    frame_write_invoke(&out, &invoke);
    struct cursor c = cursor_of(buffer_slice(&out));
    uint32_t length = 0, sequence = 0, context = 0;
    uint16_t zero = 1, len = 0;
    uint8_t type = 0, version = 0;
    uint64_t deadline = 0;
    struct slice text;
    assert_true(cursor_u32(&c, &length) && cursor_u32(&c, &sequence) && cursor_u8(&c, &type) &&
                cursor_u8(&c, &version) && cursor_u16(&c, &zero) && cursor_u64(&c, &deadline));
    assert_int_equal(length, out.len - CHANNEL_HEAD_BYTES + invoke.payload.len); /* the payload is sent behind it */
    assert_int_equal(sequence, 9);
    assert_int_equal(type, FRAME_INVOKE);
    assert_int_equal(version, CHANNEL_VERSION);
    assert_int_equal(zero, 0);
    assert_int_equal(deadline, 77);
    static const char *const texts[] = { "id", "arn", "t" };
    for (size_t k = 0; k < 3; k++) {
        assert_true(cursor_u16(&c, &len) && cursor_bytes(&c, len, &text));
        assert_true(slice_is(text, texts[k]));
    }
    assert_true(cursor_u32(&c, &context) && cursor_bytes(&c, context, &text));
    assert_true(slice_is(text, "{}"));
    assert_true(cursor_u16(&c, &len));
    assert_int_equal(len, 0);
    assert_int_equal(cursor_rest(&c).len, 0);
    buffer_drop(&out);
}

static void a_frame_is_read_when_its_last_byte_is_there(void **state)
{
    (void)state;
    struct buffer bytes = BUFFER_EMPTY;
    head(&bytes, 3, 5, FRAME_DONE, CHANNEL_VERSION, 0);
    buffer_append_text(&bytes, "{ }next");
    struct frame frame;
    struct error err;
    size_t used = 0, need = 0;
    for (size_t len = 0; len < CHANNEL_HEAD_BYTES + 3; len++) {
        assert_int_equal(frame_read(slice_sub(buffer_slice(&bytes), 0, len), &frame, &used, &need, &err), OK);
        assert_int_equal(used, 0);
        assert_int_equal(need, len < CHANNEL_HEAD_BYTES ? CHANNEL_HEAD_BYTES : CHANNEL_HEAD_BYTES + 3);
    }
    assert_int_equal(frame_read(buffer_slice(&bytes), &frame, &used, &need, &err), OK);
    assert_int_equal(used, CHANNEL_HEAD_BYTES + 3);
    assert_int_equal(frame.sequence, 5);
    assert_true(slice_is(frame.payload, "{ }"));
    buffer_drop(&bytes);
}

static void a_failure_carries_its_type_and_its_json(void **state)
{
    (void)state;
    struct buffer bytes = BUFFER_EMPTY;
    head(&bytes, 2 + 9 + 2, 1, FRAME_FAILED, CHANNEL_VERSION, 0);
    buffer_append_u16(&bytes, 9);
    buffer_append_text(&bytes, "TypeError{}");
    struct frame frame;
    struct error err;
    size_t used = 0, need = 0;
    assert_int_equal(frame_read(buffer_slice(&bytes), &frame, &used, &need, &err), OK);
    assert_true(slice_is(frame.error_type, "TypeError"));
    assert_true(slice_is(frame.payload, "{}"));
    buffer_drop(&bytes);
}

static void nonsense_is_refused_as_soon_as_its_head_is_there(void **state)
{
    (void)state;
    static const struct {
        uint32_t length;
        uint8_t type, version;
        uint16_t zero;
    } bad[] = {
        { CHANNEL_BODY_BYTES_MAX + 1, FRAME_DONE, CHANNEL_VERSION, 0 }, /* too long: nothing is waited for */
        { 0, FRAME_DONE, CHANNEL_VERSION + 1, 0 },
        { 0, FRAME_DONE, CHANNEL_VERSION, 1 },
        { 0, FRAME_INVOKE, CHANNEL_VERSION, 0 },
        { 0, FRAME_STOP, CHANNEL_VERSION, 0 },
        { 0, FRAME_CHUNK, CHANNEL_VERSION, 0 },
        { 0, FRAME_FATAL, CHANNEL_VERSION, 0 }, /* without its type */
        { 0, 0xff, CHANNEL_VERSION, 0 },
        { 0, FRAME_READY, CHANNEL_VERSION, 0 },  /* without its four bytes */
        { 0, FRAME_FAILED, CHANNEL_VERSION, 0 }, /* without its type */
    };
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
        struct buffer bytes = BUFFER_EMPTY;
        struct frame frame;
        struct error err;
        size_t used = 0, need = 0;
        head(&bytes, bad[k].length, 0, bad[k].type, bad[k].version, bad[k].zero);
        assert_int_equal(frame_read(buffer_slice(&bytes), &frame, &used, &need, &err), FAILED);
        assert_int_equal(err.kind, ERROR_INVALID);
        buffer_drop(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_invoke_names_every_field_in_order),
        cmocka_unit_test(a_frame_is_read_when_its_last_byte_is_there),
        cmocka_unit_test(a_failure_carries_its_type_and_its_json),
        cmocka_unit_test(nonsense_is_refused_as_soon_as_its_head_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
