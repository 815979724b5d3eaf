/* log: what the operator reads, on stderr, one line an event: time, level, room, sentence. Never secrets.
 * The room that can act on an error logs it, once. Thread: any (one write a line). */
#pragma once

#include "base/error.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_set_level(enum log_level level); /* before threads start; the one process-wide setting */
void log_line(enum log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_error(const char *room, const struct error *err, const char *what); /* what failed, why, the way out */

#define log_debug(room, ...) log_line(LOG_LEVEL_DEBUG, room, __VA_ARGS__)
#define log_info(room, ...)  log_line(LOG_LEVEL_INFO, room, __VA_ARGS__)
#define log_warn(room, ...)  log_line(LOG_LEVEL_WARN, room, __VA_ARGS__)
