/* observe/log_line: what the writer and the readers of function logs share: how lines, directories and files are called and written.
 * The room's own.
 * A line: "<Unix ms>[+|-<ms until it was ingested>]\t<stream>\t<message>\n", stream and message with \\ \n \r \t escaped. Without the second
 * number (all lines of the first format, and all that functions print) it was ingested at its time. */
#pragma once

#include "base/buffer.h"

enum { LOG_FILE_NAME_BYTES = 32, LOG_DIRECTORY_BYTES_MAX = 255 };

struct log_line {
    int64_t time_ms, ingested_ms;
    struct slice stream, message; /* still escaped */
};
/* The parts of a line without its newline; false when it is torn or not one of ours. */
MUST_CHECK bool log_line_split(struct slice line, struct log_line *out);
/* The same, unescaped: appends to the buffers. */
MUST_CHECK bool log_line_read(struct slice line, int64_t *time_ms, struct buffer *stream, struct buffer *message);
void log_line_write(struct buffer *out, int64_t time_ms, int64_t ingested_ms, struct slice stream,
                    struct slice message); /* with its newline */
void log_escape(struct buffer *out, struct slice text);
MUST_CHECK bool log_unescape(struct buffer *out, struct slice text); /* false: ends inside of an escape */

/* How a group's directory is called: its name, percent-encoded, "/" too. A name that is too long for one is cut and told from others by its
 * hash: then only the group's own file knows it whole. */
void log_group_directory(struct buffer *out, struct slice group);
/* And back; false: that name is in its file, or this is no group. */
MUST_CHECK bool log_group_of_directory(struct slice directory, struct buffer *group);
void log_file_name(unsigned long serial, char out[LOG_FILE_NAME_BYTES]);
/* The lowest and highest serial of "<serial>.log" in the directory; 0 and 0 when there is none. */
void log_files_scan(int dir, unsigned long *first, unsigned long *last);
