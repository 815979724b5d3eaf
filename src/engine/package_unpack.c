/* `hearth unpack-package`: a process of its own, without keys, that unpacks one zip and ends.
 * Descriptors: 3 the zip (a file that nobody changes any more), 4 the directory to fill (anything else: only check), 5 the answer: one JSON
 * object, {"files":n,"bytes":n} or {"error":"invalid|too-large|disk-full|internal","code":"...","message":"...","hint":"..."}. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/package_confine.h"
#include "engine/package_zip.h"

enum { ZIP_FD = 3, TREE_FD = 4, ANSWER_FD = 5 };

static const char *error_word(enum error_kind kind)
{
    switch (kind) {
    case ERROR_INVALID:
        return "invalid";
    case ERROR_DISK_FULL:
        return "disk-full";
    default:
        return "internal";
    }
}

/* Names in messages are printable ASCII already; the rest is ours. What is left to escape are our own quotes. */
static void append_text(struct buffer *out, const char *name, const char *text)
{
    buffer_appendf(out, ",\"%s\":\"", name);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, *text >= 0x20 && *text < 0x7f ? *text : '?');
    }
    buffer_append_byte(out, '"');
}

/* The other end of the answer's pipe is the server's alone. */
static bool server_is_gone(void)
{
    struct pollfd answer = { .fd = ANSWER_FD, .events = POLLOUT };
    return poll(&answer, 1, 0) == 1 && (answer.revents & POLLERR);
}

static enum outcome unpack(int dir, struct package_figures *figures, struct error *err)
{
    struct stat st;
    TRY(package_confine(dir, err));
    if (server_is_gone()) /* it may have ended before we were tied to it */
        _exit(1);
    if (fstat(ZIP_FD, &st) < 0 || st.st_size <= 0 || st.st_size > PACKAGE_ZIP_BYTES_MAX)
        return error_set(err, ERROR_INTERNAL, "Report this: it is a bug.", "the zip to unpack is not there");
    void *zip = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, ZIP_FD, 0);
    if (zip == MAP_FAILED)
        return error_set_sys(err, errno, "Free memory, then try again.", "could not map the zip");
    enum outcome outcome = package_zip_read(slice_from(zip, (size_t)st.st_size), dir, figures, err);
    (void)munmap(zip, (size_t)st.st_size);
    return outcome;
}

int package_unpack_main(void)
{
    struct package_figures figures = { 0 };
    struct buffer answer = BUFFER_EMPTY;
    struct error err = { 0 };
    struct stat st;
    (void)syscall(SYS_close_range, ANSWER_FD + 1, ~0U, 0);
    bool has_tree = fstat(TREE_FD, &st) == 0 && S_ISDIR(st.st_mode);
    enum outcome outcome = unpack(has_tree ? TREE_FD : -1, &figures, &err);
    if (outcome == OK) {
        buffer_appendf(&answer, "{\"files\":%llu,\"bytes\":%llu}", (unsigned long long)figures.files,
                       (unsigned long long)figures.bytes);
    } else {
        buffer_appendf(&answer, "{\"error\":\"%s\"", error_word(err.kind));
        append_text(&answer, "code", err.code);
        append_text(&answer, "message", err.message);
        append_text(&answer, "hint", err.hint);
        buffer_append_byte(&answer, '}');
    }
    struct error ignored;
    bool told = fd_write_all(ANSWER_FD, buffer_slice(&answer), &ignored) == OK;
    buffer_drop(&answer);
    _exit(told ? 0 : 1); /* what runs at a normal exit needs calls that the filter refuses */
}
