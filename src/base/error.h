/* error: how things fail. What can fail returns `enum outcome` and fills its last parameter.
 * On success `err` is untouched; on failure the outputs are. Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))

enum outcome { OK = 0, FAILED = 1 };

/* The kinds are what a caller can act on; a table in services/ turns them into HTTP statuses and AWS codes. */
enum error_kind {
    ERROR_NONE = 0,
    ERROR_INVALID, /* the input is wrong and stays wrong */
    ERROR_NOT_FOUND,
    ERROR_EXISTS,       /* what should be created is there already */
    ERROR_CONFLICT,     /* another change is under way: read again, then retry */
    ERROR_PRECONDITION, /* RevisionId or a like condition does not hold */
    ERROR_TOO_LARGE,
    ERROR_DENIED,
    ERROR_THROTTLED,
    ERROR_UNSUPPORTED, /* a valid wish that Hearth does not fulfil (docs/compatibility.md) */
    ERROR_UNAVAILABLE, /* not now: retry later */
    ERROR_DISK_FULL,
    ERROR_TIMEOUT,
    ERROR_UNKNOWN,  /* it may have happened: a commit whose result was lost */
    ERROR_INTERNAL, /* our own bug or a broken machine */
    ERROR_KIND_COUNT
};

enum { ERROR_CODE_BYTES = 64, ERROR_MESSAGE_BYTES = 1024, ERROR_HINT_BYTES = 256 };

struct error {
    enum error_kind kind;
    int sys;                           /* errno, where there was one */
    char code[ERROR_CODE_BYTES];       /* the AWS error code when the kind alone does not decide it; else "" */
    char message[ERROR_MESSAGE_BYTES]; /* lower case: what was tried, the value complained of in quotes */
    char hint[ERROR_HINT_BYTES];       /* the way out, a sentence; required */
};

/* Fills `err` (NULL allowed) and returns FAILED, so that a failure is one statement. */
enum outcome error_set(struct error *err, enum error_kind kind, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with AWS's own code, where a kind has several ("CodeStorageExceededException"). */
enum outcome error_set_code(struct error *err, enum error_kind kind, const char *code, const char *hint,
                            const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same for a failed system call: appends strerror, and ENOSPC and EDQUOT become ERROR_DISK_FULL. */
enum outcome error_set_sys(struct error *err, int error_number, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
const char *error_kind_name(enum error_kind kind);

#define TRY(call)                                                                                                  \
    do {                                                                                                           \
        if ((call) != OK)                                                                                          \
            return FAILED;                                                                                         \
    } while (0)
