/* A look at the central directory before libzip sees it (APPNOTE.TXT 4.3.12 to 4.3.16): how many entries, and is a NUL or another control
 * byte in a name. It must agree with libzip on the number, so a zip that two readers read in two ways is refused. */
#include "engine/package_private.h"

enum {
    END_BYTES = 22,
    END_COMMENT_MAX = 65535,
    END64_BYTES = 56,
    LOCATOR64_BYTES = 20,
    HEADER_BYTES = 46,
};

static uint64_t number(const char *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | (unsigned char)at[i];
    return value;
}

static bool has_mark(struct slice bytes, size_t at, const char *mark)
{
    return at <= bytes.len && bytes.len - at >= 4 && memcmp(bytes.at + at, mark, 4) == 0;
}

struct directory {
    uint64_t entries, size, offset;
    size_t end; /* where it ends: the first end record stands there */
};

static bool find_end(struct slice bytes, size_t *at)
{
    if (bytes.len < END_BYTES)
        return false;
    size_t last = bytes.len - END_BYTES;
    size_t first = last > END_COMMENT_MAX ? last - END_COMMENT_MAX : 0;
    for (size_t i = last + 1; i-- > first;) {
        if (has_mark(bytes, i, "PK\5\6") && number(bytes.at + i + 20, 2) <= bytes.len - i - END_BYTES) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* The 64-bit record stands directly before its locator, or where that says. */
static bool find_end64(struct slice bytes, size_t end, size_t *at)
{
    if (end < LOCATOR64_BYTES || !has_mark(bytes, end - LOCATOR64_BYTES, "PK\6\7"))
        return false;
    size_t locator = end - LOCATOR64_BYTES;
    uint64_t told = number(bytes.at + locator + 8, 8);
    if (locator >= END64_BYTES && has_mark(bytes, locator - END64_BYTES, "PK\6\6")) {
        *at = locator - END64_BYTES;
        return true;
    }
    if (told > locator || locator - told < END64_BYTES || !has_mark(bytes, told, "PK\6\6"))
        return false;
    *at = told;
    return true;
}

static bool find_directory(struct slice bytes, struct directory *out)
{
    size_t end, end64;
    if (!find_end(bytes, &end))
        return false;
    const char *record = bytes.at + end;
    *out = (struct directory){ number(record + 10, 2), number(record + 12, 4), number(record + 16, 4), end };
    if (out->entries != 0xffff && out->size != 0xffffffff && out->offset != 0xffffffff)
        return true;
    if (!find_end64(bytes, end, &end64))
        return true; /* 65,535 entries need no 64-bit record; anything else fails below */
    record = bytes.at + end64;
    *out = (struct directory){ number(record + 32, 8), number(record + 40, 8), number(record + 48, 8), end64 };
    return true;
}

static bool scan_names(struct slice bytes, size_t at, uint64_t entries, bool *control)
{
    for (uint64_t i = 0; i < entries; i++) {
        if (!has_mark(bytes, at, "PK\1\2") || bytes.len - at < HEADER_BYTES)
            return false;
        size_t name = number(bytes.at + at + 28, 2);
        size_t all = HEADER_BYTES + name + number(bytes.at + at + 30, 2) + number(bytes.at + at + 32, 2);
        if (bytes.len - at < all)
            return false;
        for (size_t n = 0; n < name; n++) {
            unsigned char byte = (unsigned char)bytes.at[at + HEADER_BYTES + n];
            if (byte < 0x20 || byte == 0x7f)
                *control = true;
        }
        at += all;
    }
    return true;
}

enum outcome zip_scan(struct slice bytes, uint64_t *entries, struct error *err)
{
    struct directory directory;
    bool control = false;
    if (!find_directory(bytes, &directory))
        return zip_refuse(err, "it is not a zip file");
    if (directory.entries > PACKAGE_FILES_MAX)
        return zip_refuse(err, "it has %llu entries, the limit is %d", (unsigned long long)directory.entries,
                          PACKAGE_FILES_MAX);
    if (directory.size > directory.end)
        return zip_refuse(err, "its directory of entries is damaged");
    /* It ends where the end record begins, also when something stands before the zip (a self-extracting one). */
    bool whole = scan_names(bytes, directory.end - directory.size, directory.entries, &control);
    if (!whole) {
        control = false;
        whole = directory.offset <= bytes.len && scan_names(bytes, directory.offset, directory.entries, &control);
    }
    if (!whole)
        return zip_refuse(err, "its directory of entries is damaged");
    if (control)
        return zip_refuse(err, "an entry's name has a NUL or control character in it");
    *entries = directory.entries;
    return OK;
}
