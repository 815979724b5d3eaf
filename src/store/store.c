/* The store's threads: one that writes, some that read, and the way back to the loop.
 *
 * The loop thread puts a job on a list and wakes a thread. The writer takes all that waits, up to STORE_BATCH_MAX, and while it waits for the
 * disk the next batch gathers by itself: one fsync then pays for as many as came meanwhile. Finished jobs go on the list of answers, and one
 * uv_async wakes the loop. The async handle holds the loop only while a job is under way, so a store at rest costs nothing.
 *
 * What the threads share is `struct shared`, under its lock. Each connection belongs to its thread; the writer's has a lock of its own, since
 * store_now borrows it before the loop runs. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "store/batch.h"
#include "store/schema.h"

struct job_list {
    struct job *first, *last;
};

struct shared {
    uv_mutex_t lock;
    uv_cond_t write_ready, read_ready;
    struct job_list writes, reads, answers;
    size_t waiting; /* in `writes` and `reads` */
    bool closing;   /* no new jobs; the threads end once nothing waits */
    bool ended;     /* the writer is about to return, after all others: the loop may join it */
    bool silent;    /* there is no async handle (opening failed): nobody is to be told */
};

struct reader {
    struct store *store;
    struct connection *connection;
    uv_thread_t thread;
    bool running;
};

struct store {
    uv_loop_t *loop;
    uv_async_t async;
    int dir;
    int lock_fd; /* holds the flock on FILE.lock */
    struct connection *writer;
    uv_mutex_t writer_lock;
    uv_thread_t writer_thread;
    bool writer_running;
    struct reader readers[STORE_READERS];
    size_t outstanding;        /* loop thread: jobs whose `done` has not been called */
    void (*closed)(void *arg); /* loop thread: set once store_close was called */
    void *closed_arg;
    struct shared shared;
};

static void list_append(struct job_list *list, struct job *job)
{
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    while (job->next)
        job = job->next;
    list->last = job;
}

/* Up to `max` off the front. */
static struct job *list_take(struct job_list *list, size_t max, size_t *count)
{
    struct job *first = list->first;
    struct job *end = first;
    *count = 0;
    if (!first)
        return NULL;
    for (*count = 1; *count < max && end->next; ++*count)
        end = end->next;
    list->first = end->next;
    if (!list->first)
        list->last = NULL;
    end->next = NULL;
    return first;
}

/* ---- the threads ---- */

static void store_answer(struct store *store, struct job *jobs)
{
    uv_mutex_lock(&store->shared.lock);
    list_append(&store->shared.answers, jobs);
    uv_mutex_unlock(&store->shared.lock);
    uv_async_send(&store->async);
}

/* Waits for jobs; NULL when the store closes and none is left. */
static struct job *store_take(struct store *store, struct job_list *list, uv_cond_t *ready, size_t max)
{
    struct shared *shared = &store->shared;
    size_t count = 0;
    uv_mutex_lock(&shared->lock);
    while (!list->first && !shared->closing)
        uv_cond_wait(ready, &shared->lock);
    struct job *jobs = list_take(list, max, &count);
    shared->waiting -= count;
    uv_mutex_unlock(&shared->lock);
    return jobs;
}

static void reader_main(void *arg)
{
    struct reader *reader = arg;
    struct store *store = reader->store;
    struct job *job;
    while ((job = store_take(store, &store->shared.reads, &store->shared.read_ready, 1)) != NULL) {
        batch_read(reader->connection, job);
        store_answer(store, job);
    }
    connection_free(reader->connection);
    reader->connection = NULL;
}

static void writer_main(void *arg)
{
    struct store *store = arg;
    struct job *jobs;
    while ((jobs = store_take(store, &store->shared.writes, &store->shared.write_ready, STORE_BATCH_MAX)) != NULL) {
        uv_mutex_lock(&store->writer_lock);
        batch_write(store->writer, jobs);
        uv_mutex_unlock(&store->writer_lock);
        store_answer(store, jobs);
    }
    for (size_t i = 0; i < STORE_READERS; i++) {
        if (store->readers[i].running)
            uv_thread_join(&store->readers[i].thread);
    }
    connection_checkpoint(store->writer);
    connection_free(store->writer);
    store->writer = NULL;
    uv_mutex_lock(&store->shared.lock);
    store->shared.ended = true;
    bool silent = store->shared.silent;
    uv_mutex_unlock(&store->shared.lock);
    if (!silent)
        uv_async_send(&store->async);
}

/* ---- the loop's side ---- */

static void store_free(struct store *store)
{
    for (size_t i = 0; i < STORE_READERS; i++)
        connection_free(store->readers[i].connection);
    connection_free(store->writer);
    fd_drop(&store->lock_fd); /* after the database is closed: the next one may open it now */
    fd_drop(&store->dir);
    uv_cond_destroy(&store->shared.read_ready);
    uv_cond_destroy(&store->shared.write_ready);
    uv_mutex_destroy(&store->shared.lock);
    uv_mutex_destroy(&store->writer_lock);
    free(store);
}

/* Calls what has been answered; true when the threads have ended. */
static bool store_deliver(struct store *store)
{
    uv_mutex_lock(&store->shared.lock);
    struct job *job = store->shared.answers.first;
    store->shared.answers = (struct job_list){ 0 };
    bool ended = store->shared.ended;
    uv_mutex_unlock(&store->shared.lock);
    while (job) {
        struct job *next = job->next;
        if (--store->outstanding == 0 && !store->closed)
            uv_unref((uv_handle_t *)&store->async);
        job->done(job->outcome, job->err, job->arg); /* may hand in new jobs */
        job_free(job);
        job = next;
    }
    return ended;
}

static void store_on_handle_closed(uv_handle_t *handle)
{
    struct store *store = handle->data;
    while (store->outstanding > 0)
        store_deliver(store); /* handed in, and refused, since uv_close */
    void (*closed)(void *arg) = store->closed;
    void *arg = store->closed_arg;
    store_free(store);
    closed(arg);
}

static void store_on_answers(uv_async_t *async)
{
    struct store *store = async->data;
    bool ended = store_deliver(store);
    if (ended && store->outstanding == 0 && !uv_is_closing((uv_handle_t *)&store->async)) {
        uv_thread_join(&store->writer_thread);
        uv_close((uv_handle_t *)&store->async, store_on_handle_closed);
    }
}

static void store_submit(struct store *store, struct job_list *list, uv_cond_t *ready, struct job *job)
{
    struct shared *shared = &store->shared;
    struct error err = { 0 };
    if (store->outstanding++ == 0)
        uv_ref((uv_handle_t *)&store->async);
    uv_mutex_lock(&shared->lock);
    if (shared->closing)
        error_set(&err, ERROR_UNAVAILABLE, "Try again once the server has started anew.", "the store is closing");
    else if (shared->waiting >= STORE_QUEUE_MAX)
        error_set(&err, ERROR_THROTTLED, "Send less at once, then try again.", "too much waits for the database");
    if (err.kind != ERROR_NONE) {
        job_fail(job, &err);
        list_append(&shared->answers, job);
    } else {
        list_append(list, job);
        shared->waiting++;
        uv_cond_signal(ready);
    }
    uv_mutex_unlock(&shared->lock);
    if (err.kind != ERROR_NONE)
        uv_async_send(&store->async); /* without effect on a handle that closes; its callback delivers then */
}

void store_read(struct store *store, store_job_fn *job, store_done_fn *done, void *arg)
{
    store_submit(store, &store->shared.reads, &store->shared.read_ready, job_new(job, done, arg));
}

void store_write(struct store *store, store_job_fn *job, store_done_fn *done, void *arg)
{
    store_submit(store, &store->shared.writes, &store->shared.write_ready, job_new(job, done, arg));
}

enum outcome store_now(struct store *store, store_job_fn *run, void *arg, struct error *err)
{
    struct job job = { .run = run, .arg = arg };
    uv_mutex_lock(&store->writer_lock);
    batch_write(store->writer, &job);
    uv_mutex_unlock(&store->writer_lock);
    if (job.outcome != OK && err)
        *err = *job.err;
    free(job.err);
    return job.outcome;
}

/* ---- opening and closing ---- */

static void store_end_threads(struct store *store, bool silent)
{
    uv_mutex_lock(&store->shared.lock);
    store->shared.closing = true;
    store->shared.silent = silent;
    uv_cond_broadcast(&store->shared.read_ready);
    uv_cond_broadcast(&store->shared.write_ready);
    uv_mutex_unlock(&store->shared.lock);
}

static int store_create_threads(struct store *store)
{
    for (size_t i = 0; i < STORE_READERS; i++) {
        struct reader *reader = &store->readers[i];
        reader->store = store;
        int failed = uv_thread_create(&reader->thread, reader_main, reader);
        if (failed)
            return failed;
        reader->running = true;
    }
    int failed = uv_thread_create(&store->writer_thread, writer_main, store);
    store->writer_running = !failed;
    return failed;
}

static enum outcome store_start(struct store *store, struct error *err)
{
    /* Signals are the loop's: a thread that took one would swallow SIGTERM. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = store_create_threads(store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) /* last: a handle could not be taken back before the loop turns */
        failed = uv_async_init(store->loop, &store->async, store_on_answers);
    if (!failed) {
        store->async.data = store;
        uv_unref((uv_handle_t *)&store->async);
        return OK;
    }
    store_end_threads(store, true);
    if (store->writer_running) {
        uv_thread_join(&store->writer_thread); /* it joins the readers */
    } else {
        for (size_t i = 0; i < STORE_READERS; i++) {
            if (store->readers[i].running)
                uv_thread_join(&store->readers[i].thread);
        }
    }
    return error_set_sys(err, -failed, "Raise the limits on processes and open files.",
                         "could not start the store's threads");
}

/* SQLite's own locks let a second process in, which would be right for SQLite and wrong for us: memory is loaded once, at start.
 * The lock is on a file beside the database, since closing a second descriptor of the database itself would drop SQLite's locks. */
static enum outcome store_lock(struct store *store, const char *file, struct error *err)
{
    char name[SQLITE_NAME_BYTES];
    if (snprintf(name, sizeof(name), "%s.lock", file) >= (int)sizeof(name))
        return error_set(err, ERROR_INVALID, "Choose a shorter name.", "the database's name \"%s\" is too long",
                         file);
    store->lock_fd = openat(store->dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_fd < 0)
        return error_set_sys(err, errno, "Check who owns the data directory.", "could not open \"%s\"", name);
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return OK;
    if (errno == EWOULDBLOCK)
        return error_set(err, ERROR_CONFLICT, "End the other server first, or choose another data directory.",
                         "another server uses the database \"%s\"", file);
    return error_set_sys(err, errno, "Put the data directory on a local file system.", "could not lock \"%s\"",
                         name);
}

static enum outcome store_open_parts(struct store *store, int dir, const char *file, struct error *err)
{
    store->dir = fcntl(dir, F_DUPFD_CLOEXEC, 3);
    if (store->dir < 0)
        return error_set_sys(err, errno, "Raise the limit on open files.", "could not use the data directory");
    TRY(store_lock(store, file, err));
    TRY(connection_open(store->dir, file, CONNECTION_WRITES, &store->writer, err));
    TRY(schema_migrate(store->writer, err));
    for (size_t i = 0; i < STORE_READERS; i++)
        TRY(connection_open(store->dir, file, CONNECTION_READS, &store->readers[i].connection, err));
    if (fsync(store->dir) < 0) /* the new file's name */
        return error_set_sys(err, errno, "Check the disk that holds the data directory.",
                             "could not write the data directory to disk");
    return store_start(store, err);
}

enum outcome store_open(uv_loop_t *loop, int dir, const char *file, struct store **out, struct error *err)
{
    struct store *store = memory_new(sizeof(*store));
    store->loop = loop;
    store->dir = store->lock_fd = -1;
    if (uv_mutex_init(&store->shared.lock) || uv_mutex_init(&store->writer_lock) ||
        uv_cond_init(&store->shared.write_ready) || uv_cond_init(&store->shared.read_ready))
        abort(); /* no memory for a lock: as memory_new */
    if (store_open_parts(store, dir, file, err) != OK) {
        store_free(store);
        return FAILED;
    }
    *out = store;
    return OK;
}

void store_close(struct store *store, void (*done)(void *arg), void *arg)
{
    store->closed = done;
    store->closed_arg = arg;
    uv_ref((uv_handle_t *)&store->async); /* until the threads have ended */
    store_end_threads(store, false);
}
