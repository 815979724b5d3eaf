/* One unpacking child: started, watched, heard, reaped. Whatever it says or does is a stranger's: it has read the stranger's zip. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "engine/package_store.h"
#include "json/json.h"

/* How a put goes on after its child is kept beside it, so that the handles' callbacks need no more than the put. */
struct ending {
    struct put *put;
    void (*ended)(struct put *put);
};

static const char zip_hint[] = "Make the zip again, then upload it.";
static const char broken_hint[] = "See the server's log; run `hearth doctor`.";

/* ---- what it said ---- */

static void copy_member(yyjson_val *object, const char *name, char *out, size_t size)
{
    struct slice text = json_slice(yyjson_obj_get(object, name));
    snprintf(out, size, "%.*s", (int)(text.len < size ? text.len : size - 1), text.at);
}

static void answer_error(struct put *put, yyjson_val *object)
{
    static const struct {
        const char *word;
        enum error_kind kind;
    } kinds[] = { { "invalid", ERROR_INVALID }, { "disk-full", ERROR_DISK_FULL } };
    struct error err = { .kind = ERROR_INTERNAL };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (slice_is(json_slice(yyjson_obj_get(object, "error")), kinds[i].word))
            err.kind = kinds[i].kind;
    }
    copy_member(object, "message", err.message, sizeof(err.message));
    copy_member(object, "hint", err.hint, sizeof(err.hint));
    /* The code decides what the caller is told to be at fault: the child may not choose it. */
    if (err.kind == ERROR_INVALID)
        snprintf(err.code, sizeof(err.code), "InvalidParameterValueException");
    put_fail(put, &err);
}

static void answer_read(struct put *put)
{
    struct error err = { 0 };
    char bytes[PACKAGE_ANSWER_BYTES_MAX];
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len<sizeof(bytes); len += n> 0 ? (size_t)n : 0)
        n = read(put->answer_fd, bytes + len, sizeof(bytes) - len);
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    bool parsed = len > 0 && json_parse(slice_from(bytes, len), &doc, &err) == OK;
    yyjson_val *object = parsed ? yyjson_doc_get_root(doc) : NULL;
    yyjson_val *files = yyjson_obj_get(object, "files"), *tree = yyjson_obj_get(object, "bytes");
    if (yyjson_obj_get(object, "error")) {
        answer_error(put, object);
    } else if (yyjson_is_uint(files) && yyjson_is_uint(tree) && yyjson_get_uint(files) <= PACKAGE_FILES_MAX &&
               yyjson_get_uint(tree) < PACKAGE_TREE_BYTES_MAX) {
        put->files = yyjson_get_uint(files);
        put->info.tree_bytes = yyjson_get_uint(tree);
    } else {
        error_set(&err, ERROR_INTERNAL, broken_hint, "the unpacking process answered nonsense");
        put_fail(put, &err);
    }
}

/* It ended without an answer: killed by its limits, by us, or by what it read. */
static void ended_badly(struct put *put)
{
    struct error err = { 0 };
    bool too_long = put->timed_out || put->term_signal == SIGXCPU;
    if (put->store->closing) {
        error_set(&err, ERROR_UNAVAILABLE, "Try again once the server has started anew.", "the server is ending");
    } else if (put->term_signal == 0 || put->term_signal == SIGKILL) {
        if (!too_long)
            error_set(&err, ERROR_INTERNAL, broken_hint, "the unpacking process ended with status %lld, signal %d",
                      (long long)put->exit_status, put->term_signal);
    }
    if (err.kind == ERROR_NONE)
        error_set_code(&err, ERROR_INVALID, "InvalidParameterValueException", zip_hint,
                       "Could not unzip uploaded file. Please check your file, then try to upload again. (%s)",
                       too_long ? "it takes too long to unpack" : "reading it failed");
    if (!too_long && !put->store->closing)
        log_warn("engine", "the process that unpacks a package ended with status %lld, signal %d",
                 (long long)put->exit_status, put->term_signal);
    put_fail(put, &err);
}

/* ---- its life ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct ending *ending = handle->data;
    struct put *put = ending->put;
    if (--put->handles > 0)
        return;
    void (*ended)(struct put * put) = ending->ended;
    free(ending);
    if (put->outcome == OK) { /* it was started */
        if (put->exit_status == 0 && put->term_signal == 0 && !put->timed_out)
            answer_read(put);
        else
            ended_badly(put);
    }
    fd_drop(&put->answer_fd);
    ended(put);
}

static void on_exit_of_child(uv_process_t *process, int64_t exit_status, int term_signal)
{
    struct put *put = ((struct ending *)process->data)->put;
    put->exit_status = exit_status;
    put->term_signal = term_signal;
    uv_close((uv_handle_t *)&put->process, on_handle_closed);
    uv_close((uv_handle_t *)&put->timer, on_handle_closed);
}

static void on_too_long(uv_timer_t *timer)
{
    struct put *put = ((struct ending *)timer->data)->put;
    put->timed_out = true;
    uv_process_kill(&put->process, SIGKILL);
}

static int spawn(struct put *put, int answer)
{
    char *self = put->store->self;
    char mode[] = "unpack-package";
    char *argv[] = { self, mode, NULL };
    char *environment[] = { NULL };
    uv_stdio_container_t stdio[6] = {
        { .flags = UV_IGNORE },
        { .flags = UV_IGNORE },
        { .flags = UV_IGNORE }, /* not our log: a reader that was taken over could flood it */
        { .flags = UV_INHERIT_FD, .data.fd = put->zip_fd },
        { .flags = UV_INHERIT_FD, .data.fd = put->tree_fd },
        { .flags = UV_INHERIT_FD, .data.fd = answer },
    };
    uv_process_options_t options = {
        .file = self,
        .args = argv,
        .env = environment,
        .stdio = stdio,
        .stdio_count = 6,
        .exit_cb = on_exit_of_child,
    };
    return uv_spawn(put->store->loop, &put->process, &options);
}

void put_child_start(struct put *put, void (*ended)(struct put *put))
{
    struct ending *ending = memory_new(sizeof(*ending));
    struct error err = { 0 };
    int ends[2] = { -1, -1 };
    *ending = (struct ending){ put, ended };
    put->handles = 2;
    uv_timer_init(put->store->loop, &put->timer);
    put->timer.data = ending;
    int failed = pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
    put->answer_fd = ends[0];
    if (!failed)
        failed = spawn(put, ends[1]);
    put->process.data = ending;
    fd_drop(&ends[1]);
    fd_drop(&put->zip_fd);
    fd_drop(&put->tree_fd);
    if (!failed) {
        uv_timer_start(&put->timer, on_too_long, PACKAGE_UNPACK_S_MAX * 1000ULL, 0);
        return;
    }
    error_set_sys(&err, -failed, broken_hint, "could not start the process that unpacks packages (\"%s\")",
                  put->store->self);
    put_fail(put, &err);
    put->handles = ends[0] >= 0 ? 2 : 1; /* uv_spawn has made its handle, started or not */
    uv_close((uv_handle_t *)&put->timer, on_handle_closed);
    if (put->handles == 2)
        uv_close((uv_handle_t *)&put->process, on_handle_closed);
}

void put_child_kill(struct put *put)
{
    siginfo_t info;
    if (uv_is_closing((uv_handle_t *)&put->process) || put->process.pid <= 0)
        return;
    uv_process_kill(&put->process, SIGKILL);
    while (waitid(P_PID, (id_t)put->process.pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        continue; /* left for libuv to reap */
}
