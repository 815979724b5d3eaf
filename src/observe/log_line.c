#include "observe/log_line.h"

#include <dirent.h>
#include <fcntl.h>

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
static void append_escaped(struct buffer *out, struct slice message)
{
    size_t from = 0;
    for (size_t i = 0; i < message.len; i++) {
        const char *escape = escape_of(message.at[i]);
        if (escape == NULL)
            continue;
        buffer_append(out, message.at + from, i - from);
        buffer_append(out, escape, 2);
        from = i + 1;
    }
    buffer_append(out, message.at + from, message.len - from);
}

void log_group_directory(struct buffer *out, struct slice group)
{
    if (group.len > 0 && group.at[0] == '.') { /* never "." or ".." */
        buffer_append_text(out, "%2E");
        group = slice_sub(group, 1, group.len);
    }
    codec_percent(out, group, false);
}

static bool unescape(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '\\') {
            if (++i == text.len)
                return false;
            c = text.at[i] == 'n' ? '\n' : text.at[i] == 'r' ? '\r' : text.at[i] == 't' ? '\t' : text.at[i];
        }
        buffer_append_byte(out, c);
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

void log_line_write(struct buffer *out, int64_t time_ms, struct slice stream, struct slice message)
{
    char time[24];
    size_t at = sizeof(time);
    time[--at] = '\t';
    for (uint64_t left = (uint64_t)time_ms; left > 0 || at == sizeof(time) - 1; left /= 10)
        time[--at] = (char)('0' + left % 10);
    buffer_append(out, time + at, sizeof(time) - at);
    append_escaped(out, stream);
    buffer_append_byte(out, '\t');
    append_escaped(out, message);
    buffer_append_byte(out, '\n');
}

bool log_line_read(struct slice line, int64_t *time_ms, struct buffer *stream, struct buffer *message)
{
    uint64_t time = 0;
    size_t tab = 0;
    struct slice rest = line;
    if (!slice_find(line, '\t', &tab) || !slice_to_u64(slice_split(&rest, '\t'), INT64_MAX, &time) ||
        !slice_find(rest, '\t', &tab))
        return false;
    if (!unescape(stream, slice_split(&rest, '\t')) || !unescape(message, rest))
        return false;
    *time_ms = (int64_t)time;
    return true;
}
