/* fd: descriptors, close-on-exec from birth. Thread: any. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

void fd_drop(int *fd); /* AUTO(fd) int f = -1; closes, keeps errno, leaves -1 */
int fd_take(int *fd);  /* hands it over, leaves -1 */

/* Whole reads and writes, EINTR and short counts handled. fd_read_all stops at `max` with ERROR_TOO_LARGE. */
struct buffer;
MUST_CHECK enum outcome fd_write_all(int fd, struct slice bytes, struct error *err);
MUST_CHECK enum outcome fd_read_all(int fd, size_t max, struct buffer *out, struct error *err);

/* Files below a directory that is already open. file_replace writes aside, fsyncs, renames, fsyncs the directory:
 * afterwards the old or the new content is there, also after power loss. */
MUST_CHECK enum outcome file_read(int dir, const char *path, size_t max, struct buffer *out, struct error *err);
MUST_CHECK enum outcome file_replace(int dir, const char *path, struct slice bytes, unsigned mode,
                                     struct error *err);
MUST_CHECK enum outcome dir_open(int dir, const char *path, bool create, unsigned mode, int *out,
                                 struct error *err);
/* Removes a tree without following links; a path that is not there is success. */
MUST_CHECK enum outcome dir_remove(int dir, const char *path, struct error *err);
