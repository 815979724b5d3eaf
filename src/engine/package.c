/* The store of packages: who holds which, and the way of one from a zip to its place.
 *
 *   digest (pool) -> there already? -> aside (pool) -> unpacked (child) -> synced and renamed (pool) -> held
 *                 -> under way?     -> follows the one that leads
 *
 * The table lives on the loop; what runs in the pool or the child belongs to one put alone. Invariants:
 *   1. code/<digest> is complete: it appears by a rename, after everything in it has been synced.
 *   2. A package without references, with nobody under way to it, is not in the table: it has been renamed aside, and is being removed.
 *      Except between open and sweep, when those who hold it have not spoken yet. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/package_store.h"

struct removal {
    struct package_store *store;
    char aside[PACKAGE_ASIDE_BYTES];
    uv_work_t work;
};

/* ---- the table ---- */

static bool is_digest(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!(name.at[i] >= '0' && name.at[i] <= '9') && !(name.at[i] >= 'a' && name.at[i] <= 'f'))
            return false;
    }
    return name.len == 64;
}

static struct package *table_find(const struct package_store *store, const char *digest)
{
    struct package *package = NULL;
    HASH_FIND_STR(store->packages, digest, package);
    return package;
}

static struct package *table_need(struct package_store *store, const char *digest)
{
    struct package *package = table_find(store, digest);
    if (package)
        return package;
    package = memory_new(sizeof(*package));
    snprintf(package->digest, sizeof(package->digest), "%s", digest);
    HASH_ADD_STR(store->packages, digest, package);
    return package;
}

static void table_forget(struct package_store *store, struct package *package)
{
    HASH_DEL(store->packages, package);
    free(package);
}

static void store_free(struct package_store *store)
{
    struct package *package, *next;
    HASH_ITER (hh, store->packages, package, next)
        table_forget(store, package);
    fd_drop(&store->code);
    free(store->self);
    free(store);
}

static void store_one_less(struct package_store *store)
{
    if (--store->under_way == 0 && store->closing)
        store_free(store);
}

/* ---- removing ---- */

static void on_remove(uv_work_t *work)
{
    struct removal *removal = work->data;
    struct error err = { 0 };
    if (dir_remove(removal->store->code, removal->aside, &err) != OK)
        log_error("engine", &err, "could not remove an old package; the next start tries again");
}

static void on_removed(uv_work_t *work, int status)
{
    struct removal *removal = work->data;
    (void)status;
    store_one_less(removal->store);
    free(removal);
}

/* A rename is quick; thousands of files are not. */
static void package_remove(struct package_store *store, struct package *package)
{
    struct removal *removal = memory_new(sizeof(*removal));
    removal->store = store;
    removal->work.data = removal;
    package_aside_name(".old-", removal->aside);
    if (renameat(store->code, package->digest, store->code, removal->aside) < 0) {
        log_warn("engine", "could not remove package \"%s\": %s; the next start tries again", package->digest,
                 strerror(errno));
        free(removal);
    } else {
        store->under_way++;
        if (uv_queue_work(store->loop, &removal->work, on_remove, on_removed) != 0)
            abort(); /* only for a bad argument */
    }
    table_forget(store, package);
}

static void package_maybe_remove(struct package_store *store, struct package *package)
{
    if (package->references > 0 || package->leader)
        return;
    if (package->present)
        package_remove(store, package);
    else
        table_forget(store, package);
}

/* ---- one put, step by step ---- */

static void put_start(struct put *put, uv_work_cb work, uv_after_work_cb after)
{
    put->work.data = put;
    if (uv_queue_work(put->store->loop, &put->work, work, after) != 0)
        abort();
}

/* Answers one put and frees it. */
static void put_answer(struct put *put)
{
    struct package_store *store = put->store;
    assert(put->zip_fd < 0 && put->tree_fd < 0 && put->answer_fd < 0 && !put->followers);
    put->done(put->outcome, put->outcome == OK ? &put->info : NULL, put->outcome == OK ? NULL : &put->err,
              put->arg);
    buffer_drop(&put->zip);
    free(put);
    store_one_less(store);
}

/* The one that leads has come to an end: its result is everybody's who waited for the same bytes. */
static void put_finish(struct put *put)
{
    struct package_store *store = put->store;
    struct package *package = put->check ? NULL : table_find(store, put->info.digest);
    if (package && package->leader == put) {
        package->leader = NULL;
        if (put->outcome == OK) {
            package->present = package->known = true;
            package->info = put->info;
        }
    }
    put->next = put->followers;
    put->followers = NULL;
    for (struct put *each = put; each; each = each->next) {
        each->outcome = put->outcome;
        each->err = put->err;
        each->info = put->info;
        if (package && put->outcome == OK)
            package->references++;
    }
    if (package && put->outcome != OK)
        package_maybe_remove(
            store, package); /* nobody holds it; or its figures were unreadable: the next put makes it anew */
    while (put) {
        struct put *next = put->next;
        put_answer(put);
        put = next;
    }
}

static void after_publish(uv_work_t *work, int status)
{
    (void)status;
    put_finish(work->data);
}

static void on_publish(uv_work_t *work)
{
    put_work_publish(work->data);
}

static void put_fail_closing(struct put *put)
{
    struct error err = { 0 };
    error_set(&err, ERROR_UNAVAILABLE, "Try again once the server has started anew.", "the server is ending");
    put_fail(put, &err);
}

/* Also for what failed: it is this step that removes what lies aside. */
static void put_end(struct put *put)
{
    fd_drop(&put->zip_fd);
    fd_drop(&put->tree_fd);
    put_start(put, on_publish, after_publish);
}

static void put_spawn_ready(struct package_store *store);

static void on_child_ended(struct put *put)
{
    struct package_store *store = put->store;
    LL_DELETE(store->running, put);
    store->children--;
    put_end(put);
    put_spawn_ready(store);
}

static void put_spawn_ready(struct package_store *store)
{
    while (store->ready && store->children < PACKAGE_CHILDREN_MAX && !store->closing) {
        struct put *put = store->ready;
        LL_DELETE(store->ready, put);
        LL_PREPEND(store->running, put);
        store->children++;
        put_child_start(put, on_child_ended);
    }
}

static void on_prepare(uv_work_t *work)
{
    put_work_prepare(work->data);
}

static void after_prepare(uv_work_t *work, int status)
{
    struct put *put = work->data;
    (void)status;
    if (put->outcome == OK && put->store->closing)
        put_fail_closing(put);
    if (put->outcome != OK) {
        put_end(put);
        return;
    }
    LL_APPEND(put->store->ready, put);
    put_spawn_ready(put->store);
}

static void on_read_info(uv_work_t *work)
{
    put_work_read_info(work->data);
}

static void put_find(struct put *put)
{
    struct package *package = table_need(put->store, put->info.digest);
    if (package->leader) {
        LL_APPEND(package->leader->followers, put);
    } else if (package->present && package->known) {
        put->info = package->info;
        put_finish(put);
    } else {
        package->leader = put;
        if (package->present)
            put_start(put, on_read_info, after_publish);
        else
            put_start(put, on_prepare, after_prepare);
    }
}

static void on_digest(uv_work_t *work)
{
    put_work_digest(work->data);
}

static void after_digest(uv_work_t *work, int status)
{
    struct put *put = work->data;
    (void)status;
    if (put->outcome == OK && put->store->closing)
        put_fail_closing(put);
    if (put->outcome != OK)
        put_finish(put);
    else if (put->check)
        put_start(put, on_prepare, after_prepare);
    else
        put_find(put);
}

static void put_new(struct package_store *store, bool check, struct buffer *zip, package_done_fn *done, void *arg)
{
    struct put *put = memory_new(sizeof(*put));
    assert(!store->closing);
    put->store = store;
    put->check = check;
    put->zip = buffer_take(zip);
    put->done = done;
    put->arg = arg;
    put->zip_fd = put->tree_fd = put->answer_fd = -1;
    store->under_way++;
    put_start(put, on_digest, after_digest);
}

/* ---- the door ---- */

void package_put(struct package_store *store, struct buffer *zip, package_done_fn *done, void *arg)
{
    put_new(store, false, zip, done, arg);
}

void package_check(struct package_store *store, struct buffer *zip, package_done_fn *done, void *arg)
{
    put_new(store, true, zip, done, arg);
}

void package_hold(struct package_store *store, const char *digest)
{
    table_need(store, digest)->references++;
}

void package_release(struct package_store *store, const char *digest)
{
    struct package *package = table_find(store, digest);
    assert(package && package->references > 0);
    package->references--;
    package_maybe_remove(store, package);
}

bool package_exists(const struct package_store *store, const char *digest)
{
    const struct package *package = table_find(store, digest);
    return package && package->present;
}

uint64_t package_tree_bytes(struct package_store *store, const char *digest)
{
    const struct package *package = table_find(store, digest);
    struct error ignored;
    uint64_t bytes = 0;
    if (package && package->known)
        return package->info.tree_bytes;
    return package_read_tree_bytes(store->code, digest, &bytes, &ignored) == OK ? bytes : 0;
}

/* ---- reading a zip ---- */

struct opening {
    struct package_store *store;
    char digest[65];
    int fd;
    uint64_t bytes;
    struct error err;
    package_opened_fn *done;
    void *arg;
    uv_work_t work;
};

static void on_open_zip(uv_work_t *work)
{
    struct opening *opening = work->data;
    char path[96];
    struct stat st;
    snprintf(path, sizeof(path), "%s/package.zip", opening->digest);
    opening->fd = openat(opening->store->code, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (opening->fd >= 0 && fstat(opening->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        opening->bytes = (uint64_t)st.st_size;
        return;
    }
    if (opening->fd < 0 && errno != ENOENT)
        error_set_sys(&opening->err, errno, "Check the disk that holds the data directory.",
                      "could not open the package \"%s\"", opening->digest);
    else
        error_set(&opening->err, ERROR_NOT_FOUND, "Ask for a new address.", "the package \"%s\" is gone",
                  opening->digest);
    fd_drop(&opening->fd);
}

static void on_opened_zip(uv_work_t *work, int status)
{
    struct opening *opening = work->data;
    struct package_store *store = opening->store;
    (void)status;
    if (store->closing) {
        fd_drop(&opening->fd);
        error_set(&opening->err, ERROR_UNAVAILABLE, "Try again once the server has started anew.",
                  "the server is ending");
    }
    opening->done(opening->fd, opening->bytes, opening->fd < 0 ? &opening->err : NULL, opening->arg);
    free(opening);
    store_one_less(store);
}

void package_open_zip(struct package_store *store, const char *digest, package_opened_fn *done, void *arg)
{
    assert(is_digest(slice_of(digest)));
    struct opening *opening = memory_new(sizeof(*opening));
    opening->store = store;
    snprintf(opening->digest, sizeof(opening->digest), "%s", digest);
    opening->fd = -1;
    opening->done = done;
    opening->arg = arg;
    opening->work.data = opening;
    store->under_way++;
    if (uv_queue_work(store->loop, &opening->work, on_open_zip, on_opened_zip) != 0)
        abort();
}

void package_sweep(struct package_store *store)
{
    struct package *package, *next;
    HASH_ITER (hh, store->packages, package, next) {
        if (package->references > 0 && !package->present && !package->leader)
            log_warn("engine",
                     "the package \"%s\" is missing: functions that use it cannot run; upload their code again",
                     package->digest);
        package_maybe_remove(store, package);
    }
}

/* ---- opening and closing ---- */

static enum outcome store_scan(struct package_store *store, struct error *err)
{
    int fd = openat(store->code, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        error_set_sys(err, errno, "Check who owns the data directory.", "could not read the directory \"code\"");
        fd_drop(&fd);
        return FAILED;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct slice name = slice_of(entry->d_name);
        struct error why = { 0 };
        if (slice_starts(name, SLICE(".new-")) || slice_starts(name, SLICE(".old-"))) {
            if (dir_remove(store->code, entry->d_name, &why) != OK)
                log_error("engine", &why, "could not remove a leftover; the next start tries again");
        } else if (is_digest(name)) {
            table_need(store, entry->d_name)->present = true;
        } else if (!slice_is(name, ".") && !slice_is(name, "..")) {
            log_warn("engine", "the directory \"code\" holds \"%s\", which is not Hearth's", entry->d_name);
        }
    }
    closedir(dir);
    return OK;
}

enum outcome package_store_open(uv_loop_t *loop, int data_dir, const char *self, struct package_store **out,
                                struct error *err)
{
    struct package_store *store = memory_new(sizeof(*store));
    store->loop = loop;
    store->self = memory_text(self);
    store->code = -1;
    if (dir_open(data_dir, "code", true, 0700, &store->code, err) != OK || store_scan(store, err) != OK) {
        store_free(store);
        return FAILED;
    }
    *out = store;
    return OK;
}

void package_store_close(struct package_store *store)
{
    if (!store)
        return;
    store->closing = true;
    for (struct put *put = store->running; put; put = put->next)
        put_child_kill(put);
    while (store->ready) {
        struct put *put = store->ready;
        LL_DELETE(store->ready, put);
        put_fail_closing(put);
        put_end(put);
    }
    if (store->under_way == 0)
        store_free(store);
}
