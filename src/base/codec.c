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

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool codec_unbase64(struct buffer *out, struct slice text)
{
    if (text.len % 4 != 0 || !buffer_try_reserve(out, text.len / 4 * 3))
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        bool last = i + 4 == text.len;
        int padding = !last ? 0 : text.at[i + 3] != '=' ? 0 : text.at[i + 2] != '=' ? 1 : 2;
        uint32_t group = 0;
        for (int k = 0; k < 4; k++) {
            int value = k >= 4 - padding ? 0 : base64_value(text.at[i + (size_t)k]);
            if (value < 0)
                return false;
            group = group << 6 | (uint32_t)value;
        }
        if ((padding == 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0))
            return false; /* two spellings of the same bytes are one too many */
        out->at[out->len++] = (char)(group >> 16);
        if (padding < 2)
            out->at[out->len++] = (char)(group >> 8);
        if (padding < 1)
            out->at[out->len++] = (char)group;
    }
    return true;
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
