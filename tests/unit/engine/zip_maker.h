/* unit/engine/zip_maker: zips as no honest tool would write them, byte by byte. */
#pragma once

#include "base/buffer.h"

enum { ZIP_MADE_BY_UNIX = 3 };

struct zip_item {
    struct slice name;
    struct slice content; /* as it is to stand in the zip */
    unsigned mode;        /* st_mode; 0: made by DOS */
    unsigned method;      /* 0 stored, 8 deflated */
    unsigned flags;       /* bit 0: encrypted */
    uint32_t declared;    /* uncompressed size; 0: that of `content` */
    bool wrong_sum;
};

struct zip_maker {
    struct buffer bytes, directory;
    unsigned count;
};

void zip_add(struct zip_maker *maker, const struct zip_item *item);
/* Ends the zip and gives its bytes; `extra_count` is added to the number of entries that it claims. */
struct buffer zip_end(struct zip_maker *maker, int extra_count);
uint32_t zip_sum(struct slice bytes); /* CRC-32 */
