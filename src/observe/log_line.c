#include "observe/log_line.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/fd.h"

static const char *escape_of(char c)
{
    switch (c) {
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

/* In runs: nearly all of a message needs no escape, and this stands on the path of every call. */
void log_escape(struct buffer *out, struct slice text)
{
    if (text.len == 0)
        return;
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *escape = escape_of(text.at[i]);
        if (escape == NULL)
            continue;
        buffer_append(out, text.at + from, i - from);
        buffer_append(out, escape, 2);
        from = i + 1;
    }
    buffer_append(out, text.at + from, text.len - from);
}

#define LONG_NAME "%~"
enum { HASH_TEXT_BYTES = 2 + 32 };

void log_group_directory(struct buffer *out, struct slice group)
{
    struct slice whole = group;
    size_t from = out->len;
    if (group.len > 0 && group.at[0] == '.') { /* never "." or ".." */
        buffer_append_text(out, "%2E");
        group = slice_sub(group, 1, group.len);
    }
    codec_percent(out, group, false);
    if (out->len - from <= LOG_DIRECTORY_BYTES_MAX)
        return;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    if (EVP_Digest(whole.at, whole.len, digest, &len, EVP_sha256(), NULL) != 1)
        abort(); /* an OpenSSL without SHA-256: nothing else works either */
    out->len = from + LOG_DIRECTORY_BYTES_MAX - HASH_TEXT_BYTES;
    buffer_append_text(out, LONG_NAME); /* never made by percent-encoding */
    codec_hex(out, slice_from(digest, 16));
}

bool log_group_of_directory(struct slice directory, struct buffer *group)
{
    if (directory.len == 0 || directory.at[0] == '.' ||
        (directory.len == LOG_DIRECTORY_BYTES_MAX &&
         slice_starts(slice_sub(directory, LOG_DIRECTORY_BYTES_MAX - HASH_TEXT_BYTES, 2), SLICE(LONG_NAME))))
        return false;
    return codec_unpercent(group, directory, false);
}

bool log_unescape(struct buffer *out, struct slice text)
{
    while (text.len > 0) {
        const char *escape = memchr(text.at, '\\', text.len);
        size_t plain = escape == NULL ? text.len : (size_t)(escape - text.at);
        buffer_append(out, text.at, plain);
        if (escape == NULL)
            return true;
        if (plain + 1 == text.len)
            return false;
        char c = escape[1];
        buffer_append_byte(out, (char)(c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c));
        text = slice_sub(text, plain + 2, text.len);
    }
    return true;
}

/* "00000012.log" -> 12; 0 for anything else. */
static unsigned long file_serial(const char *name)
{
    uint64_t serial = 0;
    struct slice s = slice_of(name);
    if (!slice_ends(s, SLICE(".log")) || !slice_to_u64(slice_sub(s, 0, s.len - 4), 99999999, &serial))
        return 0;
    return (unsigned long)serial;
}

void log_files_scan(int dir, unsigned long *first, unsigned long *last)
{
    *first = *last = 0;
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        fd_drop(&fd);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        unsigned long serial = file_serial(entry->d_name);
        if (serial == 0)
            continue;
        if (*first == 0 || serial < *first)
            *first = serial;
        if (serial > *last)
            *last = serial;
    }
    (void)closedir(stream);
}

void log_file_name(unsigned long serial, char out[LOG_FILE_NAME_BYTES])
{
    (void)snprintf(out, LOG_FILE_NAME_BYTES, "%08lu.log", serial);
}

static void append_number(struct buffer *out, uint64_t number)
{
    char text[24];
    size_t at = sizeof(text);
    do
        text[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    buffer_append(out, text + at, sizeof(text) - at);
}

void log_line_write(struct buffer *out, int64_t time_ms, int64_t ingested_ms, struct slice stream,
                    struct slice message)
{
    append_number(out, time_ms < 0 ? 0 : (uint64_t)time_ms);
    if (ingested_ms > time_ms) {
        buffer_append_byte(out, '+');
        append_number(out, (uint64_t)ingested_ms - (uint64_t)time_ms);
    } else if (ingested_ms < time_ms) {
        buffer_append_byte(out, '-');
        append_number(out, (uint64_t)time_ms - (uint64_t)ingested_ms);
    }
    buffer_append_byte(out, '\t');
    log_escape(out, stream);
    buffer_append_byte(out, '\t');
    log_escape(out, message);
    buffer_append_byte(out, '\n');
}

enum { TIME_DIGITS_MAX = 15 }; /* until the year 33658: sums of two such never overflow */

/* Digits from *at on; false when there are none, or more than a time has. */
static bool take_number(const char **at, const char *end, int64_t *out)
{
    const char *from = *at;
    int64_t number = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *at - from < TIME_DIGITS_MAX)
        number = number * 10 + (*(*at)++ - '0');
    *out = number;
    return *at > from;
}

static bool ends_inside_of_an_escape(struct slice text)
{
    size_t escapes = 0;
    while (escapes < text.len && text.at[text.len - 1 - escapes] == '\\')
        escapes++;
    return escapes % 2 == 1;
}

bool log_line_split(struct slice line, struct log_line *out)
{
    const char *at = line.at, *end = line.at + line.len;
    int64_t delta = 0;
    if (line.len == 0 || !take_number(&at, end, &out->time_ms) || at == end)
        return false;
    out->ingested_ms = out->time_ms;
    if (*at == '+' || *at == '-') {
        bool later = *at++ == '+';
        if (!take_number(&at, end, &delta) || at == end || delta == 0)
            return false;
        out->ingested_ms += later ? delta : -delta;
    }
    if (*at++ != '\t')
        return false;
    const char *tab = memchr(at, '\t', (size_t)(end - at));
    if (tab == NULL)
        return false;
    out->stream = slice_from(at, (size_t)(tab - at));
    out->message = slice_from(tab + 1, (size_t)(end - tab - 1));
    return !ends_inside_of_an_escape(out->message);
}

bool log_line_read(struct slice line, int64_t *time_ms, struct buffer *stream, struct buffer *message)
{
    struct log_line parts;
    if (!log_line_split(line, &parts) || !log_unescape(stream, parts.stream) ||
        !log_unescape(message, parts.message))
        return false;
    *time_ms = parts.time_ms;
    return true;
}
