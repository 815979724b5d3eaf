/* See zip_maker.h. APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16. */
#include "zip_maker.h"

uint32_t zip_sum(struct slice bytes)
{
    uint32_t sum = 0xffffffff;
    for (size_t i = 0; i < bytes.len; i++) {
        sum ^= (unsigned char)bytes.at[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
    }
    return ~sum;
}

/* What the local header and the directory have in common. */
static void append_common(struct buffer *out, const struct zip_item *item)
{
    buffer_append_u16(out, 20); /* version needed */
    buffer_append_u16(out, (uint16_t)item->flags);
    buffer_append_u16(out, (uint16_t)item->method);
    buffer_append_u32(out, 0x58210000); /* time, date */
    buffer_append_u32(out, zip_sum(item->content) + item->wrong_sum);
    buffer_append_u32(out, (uint32_t)item->content.len);
    buffer_append_u32(out, item->declared ? item->declared : (uint32_t)item->content.len);
    buffer_append_u16(out, (uint16_t)item->name.len);
    buffer_append_u16(out, 0); /* extra */
}

void zip_add(struct zip_maker *maker, const struct zip_item *item)
{
    uint32_t offset = (uint32_t)maker->bytes.len;
    buffer_append(&maker->bytes, "PK\3\4", 4);
    append_common(&maker->bytes, item);
    buffer_append_slice(&maker->bytes, item->name);
    buffer_append_slice(&maker->bytes, item->content);
    buffer_append(&maker->directory, "PK\1\2", 4);
    buffer_append_u16(&maker->directory, (uint16_t)((item->mode ? ZIP_MADE_BY_UNIX << 8 : 0) | 20));
    append_common(&maker->directory, item);
    buffer_append_u16(&maker->directory, 0); /* comment */
    buffer_append_u16(&maker->directory, 0); /* disk */
    buffer_append_u16(&maker->directory, 0); /* internal attributes */
    buffer_append_u32(&maker->directory, item->mode << 16);
    buffer_append_u32(&maker->directory, offset);
    buffer_append_slice(&maker->directory, item->name);
    maker->count++;
}

struct buffer zip_end(struct zip_maker *maker, int extra_count)
{
    uint32_t offset = (uint32_t)maker->bytes.len;
    uint16_t count = (uint16_t)(maker->count + (unsigned)extra_count);
    buffer_append_slice(&maker->bytes, buffer_slice(&maker->directory));
    buffer_append(&maker->bytes, "PK\5\6\0\0\0\0", 8);
    buffer_append_u16(&maker->bytes, count);
    buffer_append_u16(&maker->bytes, count);
    buffer_append_u32(&maker->bytes, (uint32_t)maker->directory.len);
    buffer_append_u32(&maker->bytes, offset);
    buffer_append_u16(&maker->bytes, 0);
    buffer_drop(&maker->directory);
    return buffer_take(&maker->bytes);
}
