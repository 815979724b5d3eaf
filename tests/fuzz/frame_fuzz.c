/* The channel's frames: read whole and read a byte at a time they are the same, and what is accepted never reaches beyond its bytes. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct slice part, struct slice whole)
{
    assert(part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_from(data, size);
    struct frame frame = { 0 }, again = { 0 };
    struct error err;
    size_t used = 0, need = 0;
    enum outcome outcome = frame_read(all, &frame, &used, &need, &err);
    if (outcome == OK && used > 0) {
        assert(used == need && used <= size);
        inside(frame.body, all);
        inside(frame.payload, all);
        inside(frame.error_type, all);
    }
    for (size_t len = 0; len <= size; len++) { /* the same decision, at the first byte that allows one */
        size_t used_now = 0, need_now = 0;
        enum outcome now = frame_read(slice_sub(all, 0, len), &again, &used_now, &need_now, &err);
        if (now == OK && used_now == 0) {
            assert(need_now > len);
            continue;
        }
        assert(now == outcome && used_now == used);
        break;
    }
    return 0;
}
