/* observe/log_line: what the writer and the reader of function logs share. The room's own. */
#pragma once

#include "base/buffer.h"

/* "<ms>\t<stream>\t<message>" without its newline; false when it is torn or not one of ours. Appends to the buffers. */
MUST_CHECK bool log_line_read(struct slice line, int64_t *time_ms, struct buffer *stream, struct buffer *message);
void log_line_write(struct buffer *out, int64_t time_ms, struct slice stream,
                    struct slice message); /* with its newline */
/* How a group's directory is called: its name, percent-encoded, "/" too. */
void log_group_directory(struct buffer *out, struct slice group);
/* The lowest and highest serial of "<serial>.log" in the directory; 0 and 0 when there is none. */
void log_files_scan(int dir, unsigned long *first, unsigned long *last);
