#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic enum log_level lowest = LOG_LEVEL_INFO; /* set once at start; the one process-wide setting */

void log_set_level(enum log_level level)
{
    atomic_store(&lowest, level);
}

/* One write a line, so that lines of several threads never mix. Control bytes of strangers become '?'. */
void log_line(enum log_level level, const char *room, const char *format, ...)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    if (level < atomic_load(&lowest))
        return;
    char now[CLOCK_TEXT_BYTES];
    clock_iso_ms(clock_wall_ms(), now);
    char line[2048];
    int head = snprintf(line, sizeof(line), "%s %-5s %s: ", now, names[level], room);
    va_list args;
    va_start(args, format);
    int rest = vsnprintf(line + head, sizeof(line) - (size_t)head, format, args);
    va_end(args);
    size_t len = (size_t)head + (rest < 0 ? 0 : (size_t)rest);
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, len);
    (void)ignored;
}

void log_error(const char *room, const struct error *err, const char *what)
{
    log_line(LOG_LEVEL_ERROR, room, "%s: %s. %s", what, err->message, err->hint);
}
