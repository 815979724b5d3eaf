#include "base/codec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static const char hex_digits[] = "0123456789abcdef";

void codec_hex(struct buffer *out, struct slice bytes)
{
    buffer_reserve(out, bytes.len * 2);
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.at[i];
        out->at[out->len++] = hex_digits[byte >> 4];
        out->at[out->len++] = hex_digits[byte & 15];
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool codec_unhex(struct buffer *out, struct slice text)
{
    if (text.len % 2 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.at[i]), low = hex_value(text.at[i + 1]);
        if (high < 0 || low < 0)
            return false;
        buffer_append_byte(out, (char)(high << 4 | low));
    }
    return true;
}

void codec_base64(struct buffer *out, struct slice bytes)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buffer_reserve(out, (bytes.len + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)(unsigned char)bytes.at[i] << 16;
        if (left > 1)
            group |= (uint32_t)(unsigned char)bytes.at[i + 1] << 8;
        if (left > 2)
            group |= (uint32_t)(unsigned char)bytes.at[i + 2];
        out->at[out->len++] = alphabet[group >> 18];
        out->at[out->len++] = alphabet[group >> 12 & 63];
        out->at[out->len++] = left > 1 ? alphabet[group >> 6 & 63] : '=';
        out->at[out->len++] = left > 2 ? alphabet[group & 63] : '=';
    }
}

/* The value of each character of base64's alphabet and one more; 0 for any other. A package of 50 MB is decoded on the loop's thread. */
static const uint8_t base64_places[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64
};

static int32_t base64_value(char c)
{
    return (int32_t)base64_places[(unsigned char)c] - 1;
}

/* Four characters as 24 bits; negative when one of them is none of the alphabet's. */
static int32_t base64_group(const char *at)
{
    int32_t a = base64_value(at[0]), b = base64_value(at[1]), c = base64_value(at[2]), d = base64_value(at[3]);
    return (a | b | c | d) < 0 ? -1 : a << 18 | b << 12 | c << 6 | d;
}

/* The last group, which may be padded. Two spellings of the same bytes are one too many: what padding leaves unused is 0. */
static bool base64_end(struct buffer *out, const char *at)
{
    int padding = at[3] != '=' ? 0 : at[2] != '=' ? 1 : 2;
    char whole[4] = { at[0], at[1], padding == 2 ? 'A' : at[2], padding > 0 ? 'A' : at[3] };
    int32_t group = base64_group(whole);
    if (group < 0 || (padding == 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0))
        return false;
    for (int k = 0; k < 3 - padding; k++)
        out->at[out->len++] = (char)(group >> (16 - 8 * k));
    return true;
}

bool codec_unbase64(struct buffer *out, struct slice text)
{
    if (text.len % 4 != 0 || !buffer_try_reserve(out, text.len / 4 * 3))
        return false;
    if (text.len == 0)
        return true;
    const char *at = text.at, *last = text.at + text.len - 4;
    for (char *to = out->at + out->len; at < last; at += 4, to += 3, out->len += 3) {
        int32_t group = base64_group(at);
        if (group < 0)
            return false;
        to[0] = (char)(group >> 16);
        to[1] = (char)(group >> 8);
        to[2] = (char)group;
    }
    return base64_end(out, last);
}

void codec_percent(struct buffer *out, struct slice bytes, bool keep_slash)
{
    static const char upper[] = "0123456789ABCDEF";
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.at[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
        if (plain) {
            buffer_append_byte(out, c);
            continue;
        }
        char escaped[3] = { '%', upper[(unsigned char)c >> 4], upper[(unsigned char)c & 15] };
        buffer_append(out, escaped, sizeof(escaped));
    }
}

bool codec_unpercent(struct buffer *out, struct slice text, bool plus_is_space)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '+' && plus_is_space)
            c = ' ';
        if (c == '%') {
            if (text.len - i < 3)
                return false;
            int high = hex_value(text.at[i + 1]), low = hex_value(text.at[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        buffer_append_byte(out, c);
    }
    return true;
}

void random_bytes(void *out, size_t len)
{
    unsigned char *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            abort();
        at += got;
        len -= (size_t)got;
    }
}

void uuid_make(char out[UUID_TEXT_BYTES])
{
    unsigned char b[16];
    random_bytes(b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char *at = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex_digits[b[i] >> 4];
        *at++ = hex_digits[b[i] & 15];
    }
    *at = '\0';
}
