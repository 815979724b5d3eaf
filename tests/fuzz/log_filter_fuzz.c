/* Filter patterns and log lines: the first line of the input is a pattern, the rest a log file. Properties beyond not crashing:
 *   1. a line that is read writes back to a line that reads the same, and its own parts are what was escaped;
 *   2. a pattern that is accepted agrees with itself: what stands in every match (its needle) stands in each line that it matches, so that
 *      searching the bytes of a file loses none; an empty pattern matches all; an excluded term is in no match. */
#include <assert.h>
#include <stdlib.h>

#include "observe/log_filter.h"
#include "observe/log_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const struct log_filter *filter, struct slice line)
{
    struct log_line parts, again;
    struct buffer stream = BUFFER_EMPTY, message = BUFFER_EMPTY, text = BUFFER_EMPTY;
    if (log_line_split(line, &parts) && parts.ingested_ms >= 0 && log_unescape(&stream, parts.stream) &&
        log_unescape(&message, parts.message)) {
        log_line_write(&text, parts.time_ms, parts.ingested_ms, buffer_slice(&stream), buffer_slice(&message));
        assert(text.len > 0 && text.at[text.len - 1] == '\n');
        assert(memchr(text.at, '\n', text.len) == text.at + text.len - 1);
        assert(log_line_split(slice_sub(buffer_slice(&text), 0, text.len - 1), &again));
        assert(again.time_ms == parts.time_ms && again.ingested_ms == parts.ingested_ms);
        if (filter != NULL && log_filter_matches(filter, buffer_slice(&message))) {
            struct slice needle = filter->needle;
            assert(needle.len == 0 || memmem(again.message.at, again.message.len, needle.at, needle.len) != NULL);
            for (size_t i = 0; i < filter->count; i++)
                assert(filter->terms[i].kind != LOG_TERM_NONE || message.len == 0 ||
                       memmem(message.at, message.len, filter->terms[i].text.at, filter->terms[i].text.len) ==
                           NULL);
        } else
            assert(filter == NULL || filter->count > 0);
    }
    buffer_drop(&stream);
    buffer_drop(&message);
    buffer_drop(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_from(data, size), pattern = slice_split(&rest, '\n');
    struct log_filter filter;
    struct error err;
    bool good = log_filter_parse(pattern, &filter, &err) == OK;
    while (rest.len > 0)
        check_line(good ? &filter : NULL, slice_split(&rest, '\n'));
    struct buffer group = BUFFER_EMPTY, directory = BUFFER_EMPTY;
    log_group_directory(&directory, pattern); /* never leaves its place, whatever the name is */
    assert(directory.len <= LOG_DIRECTORY_BYTES_MAX &&
           memchr(directory.len == 0 ? "" : directory.at, '/', directory.len) == NULL);
    assert(directory.len == 0 || directory.at[0] != '.');
    if (log_group_of_directory(buffer_slice(&directory), &group))
        assert(slice_equal(buffer_slice(&group), pattern));
    buffer_drop(&group);
    buffer_drop(&directory);
    if (good)
        log_filter_drop(&filter);
    return 0;
}
