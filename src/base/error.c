#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void copy_text(char *out, size_t cap, const char *text)
{
    (void)snprintf(out, cap, "%s", text == NULL ? "" : text);
}

static void fill(struct error *err, enum error_kind kind, int sys, const char *code, const char *hint,
                 const char *format, va_list args)
{
    err->kind = kind;
    err->sys = sys;
    copy_text(err->code, sizeof(err->code), code);
    copy_text(err->hint, sizeof(err->hint), hint);
    (void)vsnprintf(err->message, sizeof(err->message), format, args);
}

enum outcome error_set(struct error *err, enum error_kind kind, const char *hint, const char *format, ...)
{
    if (err == NULL)
        return FAILED;
    va_list args;
    va_start(args, format);
    fill(err, kind, 0, "", hint, format, args);
    va_end(args);
    return FAILED;
}

enum outcome error_set_code(struct error *err, enum error_kind kind, const char *code, const char *hint,
                            const char *format, ...)
{
    if (err == NULL)
        return FAILED;
    va_list args;
    va_start(args, format);
    fill(err, kind, 0, code, hint, format, args);
    va_end(args);
    return FAILED;
}

enum outcome error_set_sys(struct error *err, int error_number, const char *hint, const char *format, ...)
{
    if (err == NULL)
        return FAILED;
    bool full = error_number == ENOSPC || error_number == EDQUOT;
    va_list args;
    va_start(args, format);
    fill(err, full ? ERROR_DISK_FULL : ERROR_INTERNAL, error_number, "", hint, format, args);
    va_end(args);
    size_t len = strlen(err->message);
    char reason[128];
    (void)snprintf(err->message + len, sizeof(err->message) - len, ": %s",
                   strerror_r(error_number, reason, sizeof(reason)));
    return FAILED;
}

const char *error_kind_name(enum error_kind kind)
{
    static const char *const names[ERROR_KIND_COUNT] = {
        [ERROR_NONE] = "none",
        [ERROR_INVALID] = "invalid",
        [ERROR_NOT_FOUND] = "not found",
        [ERROR_EXISTS] = "exists",
        [ERROR_CONFLICT] = "conflict",
        [ERROR_PRECONDITION] = "precondition",
        [ERROR_TOO_LARGE] = "too large",
        [ERROR_DENIED] = "denied",
        [ERROR_THROTTLED] = "throttled",
        [ERROR_UNSUPPORTED] = "unsupported",
        [ERROR_UNAVAILABLE] = "unavailable",
        [ERROR_DISK_FULL] = "disk full",
        [ERROR_TIMEOUT] = "timeout",
        [ERROR_UNKNOWN] = "unknown",
        [ERROR_INTERNAL] = "internal",
    };
    return (unsigned)kind < ERROR_KIND_COUNT ? names[kind] : "?";
}
