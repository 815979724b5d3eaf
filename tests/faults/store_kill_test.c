/* kill -9 in the middle of a stream of writes, 200 times over one database: whatever had been acknowledged is there, nothing is half there.
 * The writer is this program again (argv[1] "write"): it keeps several jobs under way and prints the id of each acknowledged one to its
 * standard output, a pipe that outlives it. */
#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/fd.h"
#include "store_writes.h"

enum {
    ROUNDS = 200,
    WRITES_UNDER_WAY = 8,
    LIFE_US_MAX = 12 * 1000, /* a writer lives up to this long after it is ready */
    ROWS_KEPT = 20000,       /* then the tables are emptied, so that checks stay short */
};

/* ---- the writer ---- */

struct stream {
    struct store *store;
    int64_t next;
    char body[600];
};
struct write {
    struct pair pair; /* first: it is the job's argument */
    struct stream *stream;
};

static void write_next(struct write *write);

static void write_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct write *write = arg;
    if (outcome != OK) {
        fprintf(stderr, "%s\n", err->message);
        _exit(3);
    }
    int64_t id = write->pair.id;
    write_next(write);
    if (dprintf(1, "%" PRId64 "\n", id) < 0) /* one write a line: whole or not at all */
        _exit(4);
}

static void write_next(struct write *write)
{
    struct stream *stream = write->stream;
    write->pair.id = stream->next++;
    write->pair.body = slice_from(stream->body, sizeof(stream->body));
    store_write(stream->store, writes_put_pair, write_done, write);
}

static int writer_main(const char *path)
{
    uv_loop_t loop;
    struct stream stream = { 0 };
    struct write writes[WRITES_UNDER_WAY];
    struct tally tally;
    struct error err = { 0 };
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uv_loop_init(&loop);
    if (store_open(&loop, dir, "hearth.db", &stream.store, &err) != OK ||
        writes_prepare(stream.store, &err) != OK || store_now(stream.store, writes_tally, &tally, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    memset(stream.body, 'b', sizeof(stream.body));
    stream.next = tally.newest + 1;
    dprintf(1, "0\n"); /* ready */
    for (int i = 0; i < WRITES_UNDER_WAY; i++) {
        writes[i].stream = &stream;
        write_next(&writes[i]);
    }
    return uv_run(&loop, UV_RUN_DEFAULT);
}

/* ---- the test ---- */

static int fail(const char *what, const struct error *err)
{
    fprintf(stderr, "%s%s%s\n", what, err ? ": " : "", err ? err->message : "");
    return 1;
}

struct heard {
    struct buffer text;
    bool ready;
};

/* Until the pipe has ended, or the writer is ready (when asked for that). */
static bool listen_to(int pipe, struct heard *heard, bool until_ready)
{
    char bytes[4096];
    while (!until_ready || heard->text.len == 0) {
        ssize_t n = read(pipe, bytes, sizeof(bytes));
        if (n <= 0)
            return n == 0 && !until_ready;
        buffer_append(&heard->text, bytes, (size_t)n);
    }
    return true;
}

static bool spawn_and_kill(const char *self, const char *path, struct heard *heard)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        execl(self, self, "write", path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    bool ok = pid > 0 && listen_to(ends[0], heard, true);
    uint32_t when;
    random_bytes(&when, sizeof(when));
    nanosleep(&(struct timespec){ .tv_nsec = (long)(when % LIFE_US_MAX) * 1000 }, NULL);
    if (pid > 0)
        kill(pid, SIGKILL);
    ok = ok && listen_to(ends[0], heard, false);
    close(ends[0]);
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid && ok && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static int64_t newest_heard(const struct heard *heard, int64_t *count)
{
    int64_t newest = 0;
    struct slice rest = buffer_slice(&heard->text);
    while (rest.len > 0) {
        uint64_t id = 0;
        struct slice line = slice_split(&rest, '\n');
        if (slice_to_u64(line, INT64_MAX, &id) && id > 0) {
            ++*count;
            newest = (int64_t)id > newest ? (int64_t)id : newest;
        }
    }
    return newest;
}

struct presence {
    const struct heard *heard;
    int64_t missing;
};

static enum outcome job_presence(struct store_tx *tx, void *arg, struct error *err)
{
    struct presence *presence = arg;
    struct slice rest = buffer_slice(&presence->heard->text);
    presence->missing = 0;
    while (rest.len > 0) {
        uint64_t id = 0;
        struct slice line = slice_split(&rest, '\n');
        struct store_stmt *stmt;
        bool found;
        if (!slice_to_u64(line, INT64_MAX, &id) || id == 0)
            continue;
        TRY(store_sql(tx, "SELECT 1 FROM left_rows WHERE id = $1", &stmt, err));
        store_bind_int(stmt, 1, (int64_t)id);
        TRY(store_step(stmt, &found, err));
        presence->missing += !found;
    }
    return OK;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

/* `rows` is how many there were before this round, and afterwards how many there are now. */
static int check(int dir, const struct heard *heard, int64_t *acknowledged, int64_t *rows)
{
    int64_t before = *acknowledged;
    uv_loop_t loop;
    struct store *store;
    struct tally tally;
    struct presence presence = { .heard = heard };
    struct error err = { 0 };
    bool closed = false;
    uv_loop_init(&loop);
    if (store_open(&loop, dir, "hearth.db", &store, &err) != OK)
        return fail("could not open after the kill", &err);
    if (store_now(store, writes_tally, &tally, &err) != OK || store_now(store, writes_check, NULL, &err) != OK ||
        store_now(store, job_presence, &presence, &err) != OK)
        return fail("could not check", &err);
    int64_t newest = newest_heard(heard, acknowledged);
    if (presence.missing || tally.halves || tally.newest < newest || tally.count < *rows + *acknowledged - before) {
        fprintf(stderr, "%" PRId64 " acknowledged writes are missing, %" PRId64 " are half there\n",
                presence.missing, tally.halves);
        return 1;
    }
    *rows = tally.count > ROWS_KEPT ? 0 : tally.count;
    if (*rows == 0 && store_now(store, writes_drop_all, NULL, &err) != OK)
        return fail("could not empty the tables", &err);
    store_close(store, on_closed, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) == 0 && closed ? 0 : fail("the store did not close", NULL);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "write"))
        return writer_main(argv[2]);
    char path[] = "/tmp/hearth-kill-XXXXXX";
    if (!mkdtemp(path))
        return fail("no temporary directory", NULL);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = 0;
    int64_t acknowledged = 0, rows = 0;
    for (int round = 0; round < ROUNDS && !failed; round++) {
        struct heard heard = { 0 };
        failed = spawn_and_kill("/proc/self/exe", path, &heard) ? check(dir, &heard, &acknowledged, &rows)
                                                                : fail("the writer failed", NULL);
        buffer_drop(&heard.text);
    }
    close(dir);
    struct error err;
    failed |= dir_remove(AT_FDCWD, path, &err) != OK;
    printf("%d kills, %" PRId64 " acknowledged writes, %s\n", ROUNDS, acknowledged,
           failed ? "FAILED" : "all there");
    return failed || acknowledged == 0;
}
