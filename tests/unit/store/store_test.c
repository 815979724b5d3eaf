/* The store as its callers see it: what is promised of writes, batches, readers, a second opener, and of a parent directory that the
 * server may not enter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "store/functions.h"
#include "store/schema.h"

/* SQLite syncs by these names: the test may take the disk away. */
static atomic_bool sync_fails;

static int sync_or_fail(long call, int fd)
{
    if (!atomic_load(&sync_fails))
        return (int)syscall(call, fd);
    errno = EIO;
    return -1;
}

int fsync(int fd)
{
    return sync_or_fail(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_or_fail(SYS_fdatasync, fd);
}

struct world {
    uv_loop_t loop;
    char path[64];
    int dir;
    struct store *store;
    size_t answers; /* how many `done` have come */
    size_t failures;
    struct error last;
    char order[4096]; /* tags of answers in their order */
};

static void world_open(struct world *world)
{
    struct error err = { 0 };
    assert_int_equal(uv_loop_init(&world->loop), 0);
    if (store_open(&world->loop, world->dir, "hearth.db", &world->store, &err) != OK)
        fail_msg("%s", err.message);
}

static void world_closed(void *arg)
{
    ((struct world *)arg)->store = NULL;
}

static void world_close(struct world *world)
{
    store_close(world->store, world_closed, world);
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
    assert_null(world->store);
    assert_int_equal(uv_loop_close(&world->loop), 0);
}

static int set_up(void **state)
{
    struct world *world = memory_new(sizeof(*world));
    strcpy(world->path, "/tmp/hearth-store-XXXXXX");
    assert_non_null(mkdtemp(world->path));
    world->dir = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    world_open(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    if (world->store)
        world_close(world);
    fd_drop(&world->dir);
    assert_int_equal(dir_remove(AT_FDCWD, world->path, &err), OK);
    free(world);
    return 0;
}

/* Jobs that are under way hold the loop, so it returns when all have been answered. */
static void world_run(struct world *world)
{
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
}

/* ---- jobs of these tests ---- */

static enum outcome job_make_table(struct store_tx *tx, void *arg, struct error *err)
{
    (void)arg;
    struct store_stmt *stmt;
    TRY(store_sql(tx, "CREATE TABLE IF NOT EXISTS item (id BIGINT PRIMARY KEY, body BLOB)", &stmt, err));
    return store_run(stmt, NULL, err);
}

static void world_make_table(struct world *world)
{
    struct error err = { 0 };
    assert_int_equal(store_now(world->store, job_make_table, NULL, &err), OK);
}

struct item {
    struct world *world;
    int64_t id;
    struct slice body;
    bool fails_after_insert;
    bool found;
    enum outcome outcome;
    enum error_kind kind;
    char tag;
    int runs;
};

static void on_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct item *item = arg;
    struct world *world = item->world;
    item->outcome = outcome;
    item->kind = outcome == OK ? ERROR_NONE : err->kind;
    world->answers++;
    if (strlen(world->order) < sizeof(world->order) - 1)
        world->order[strlen(world->order)] = item->tag;
    if (outcome != OK) {
        world->failures++;
        world->last = *err;
    }
}

static enum outcome job_insert(struct store_tx *tx, void *arg, struct error *err)
{
    struct item *item = arg;
    struct store_stmt *stmt;
    item->runs++;
    TRY(store_sql(tx, "INSERT INTO item (body, id) VALUES ($2, $1)", &stmt, err)); /* $2 appears first */
    store_bind_int(stmt, 1, item->id);
    store_bind_bytes(stmt, 2, item->body);
    TRY(store_run(stmt, NULL, err));
    if (item->fails_after_insert)
        return error_set(err, ERROR_PRECONDITION, "None.", "refused by the job itself");
    return OK;
}

static enum outcome job_find(struct store_tx *tx, void *arg, struct error *err)
{
    struct item *item = arg;
    struct store_stmt *stmt;
    TRY(store_sql(tx, "SELECT body FROM item WHERE id = $1", &stmt, err));
    store_bind_int(stmt, 1, item->id);
    TRY(store_step(stmt, &item->found, err));
    if (item->found && !slice_equal(store_bytes(stmt, 0), item->body))
        return error_set(err, ERROR_INTERNAL, "None.", "another body came back");
    return OK;
}

static enum outcome job_count(struct store_tx *tx, void *arg, struct error *err)
{
    struct store_stmt *stmt;
    bool row;
    TRY(store_sql(tx, "SELECT count(*) FROM item", &stmt, err));
    TRY(store_step(stmt, &row, err));
    *(int64_t *)arg = store_int(stmt, 0);
    return OK;
}

static int64_t world_count(struct world *world)
{
    int64_t count = -1;
    struct error err = { 0 };
    assert_int_equal(store_now(world->store, job_count, &count, &err), OK);
    return count;
}

/* Holds the writer until the test lets it go, so that what is handed in meanwhile becomes one batch. */
struct gate {
    struct item item; /* first: `done` takes it for one */
    uv_sem_t entered, leave;
};

static enum outcome job_gate(struct store_tx *tx, void *arg, struct error *err)
{
    struct gate *gate = arg;
    (void)tx;
    (void)err;
    uv_sem_post(&gate->entered);
    uv_sem_wait(&gate->leave);
    return OK;
}

static void gate_shut(struct gate *gate, struct world *world)
{
    *gate = (struct gate){ .item = { .world = world, .tag = '(' } };
    assert_int_equal(uv_sem_init(&gate->entered, 0), 0);
    assert_int_equal(uv_sem_init(&gate->leave, 0), 0);
    store_write(world->store, job_gate, on_done, gate);
    uv_sem_wait(&gate->entered);
}

static void gate_open(struct gate *gate, struct world *world)
{
    uv_sem_post(&gate->leave);
    world_run(world);
    uv_sem_destroy(&gate->entered);
    uv_sem_destroy(&gate->leave);
}

/* ---- writes ---- */

static void a_write_is_answered_later_on_the_loop_and_then_readers_see_it(void **state)
{
    struct world *world = *state;
    world_make_table(world);
    struct item item = { .world = world, .id = 7, .body = SLICE("hello") };
    store_write(world->store, job_insert, on_done, &item);
    assert_int_equal(world->answers, 0); /* never from inside the call */
    world_run(world);
    assert_int_equal(world->answers, 1);
    assert_int_equal(item.outcome, OK);
    store_read(world->store, job_find, on_done, &item);
    world_run(world);
    assert_int_equal(item.outcome, OK);
    assert_true(item.found);
}

static void a_failing_job_leaves_its_neighbours_in_the_batch_alone(void **state)
{
    struct world *world = *state;
    struct gate gate;
    struct item items[30];
    world_make_table(world);
    gate_shut(&gate, world);
    for (int i = 0; i < 30; i++) {
        items[i] = (struct item){
            .world = world, .id = i, .body = SLICE("x"), .fails_after_insert = i % 3 == 0, .tag = (char)('A' + i)
        };
        store_write(world->store, job_insert, on_done, &items[i]);
    }
    gate_open(&gate, world);
    assert_int_equal(world->answers, 31);
    assert_int_equal(world->failures, 10);
    assert_int_equal(world->last.kind, ERROR_PRECONDITION);
    assert_int_equal(world_count(world), 20);
    for (int i = 0; i < 30; i++) { /* answered in the order they came in, run once */
        assert_int_equal(world->order[i + 1], 'A' + i);
        assert_int_equal(items[i].runs, 1);
    }
}

static void a_broken_rule_of_the_table_fails_one_job_alone(void **state)
{
    struct world *world = *state;
    struct item items[3] = { { .id = 1 }, { .id = 1 }, { .id = 2 } };
    world_make_table(world);
    for (int i = 0; i < 3; i++) {
        items[i].world = world;
        store_write(world->store, job_insert, on_done, &items[i]);
    }
    world_run(world);
    assert_int_equal(items[0].outcome, OK);
    assert_int_equal(items[1].kind, ERROR_CONFLICT);
    assert_int_equal(items[2].outcome, OK);
    assert_int_equal(world_count(world), 2);
}

/* "OR ROLLBACK" ends the whole transaction from inside, exactly as a full disk does. */
static enum outcome job_lose_the_transaction(struct store_tx *tx, void *arg, struct error *err)
{
    struct item *item = arg;
    struct store_stmt *stmt;
    item->runs++;
    TRY(store_sql(tx, "INSERT OR ROLLBACK INTO item (id) VALUES ($1)", &stmt, err));
    store_bind_int(stmt, 1, item->id);
    return store_run(stmt, NULL, err);
}

static enum outcome job_lose_it_and_go_on(struct store_tx *tx, void *arg, struct error *err)
{
    struct item more = { .id = 1000 };
    struct error ignored;
    if (job_lose_the_transaction(tx, arg, &ignored) == OK)
        return error_set(err, ERROR_INTERNAL, "None.", "the transaction was to be lost");
    if (job_insert(tx, &more, &ignored) == OK) /* as a careless job would go on */
        return error_set(err, ERROR_INTERNAL, "None.", "an insert after the loss was let through");
    return OK;
}

static void when_the_whole_transaction_is_lost_its_other_jobs_are_run_again_alone(void **state)
{
    struct world *world = *state;
    struct gate gate;
    struct item items[5];
    world_make_table(world);
    gate_shut(&gate, world);
    for (int i = 0; i < 5; i++) {
        items[i] = (struct item){ .world = world, .id = i == 2 ? 1 : i };
        store_write(world->store, i == 2 ? job_lose_the_transaction : job_insert, on_done, &items[i]);
    }
    gate_open(&gate, world);
    for (int i = 0; i < 5; i++)
        assert_int_equal(items[i].outcome, i == 2 ? FAILED : OK);
    assert_int_equal(items[2].kind, ERROR_CONFLICT);
    assert_int_equal(items[0].runs, 2);
    assert_int_equal(items[4].runs, 1);
    assert_int_equal(world_count(world), 4);
}

static void a_job_that_ignores_the_loss_commits_nothing_by_itself(void **state)
{
    struct world *world = *state;
    struct item first = { .world = world, .id = 1 }, second = { .world = world, .id = 1 };
    world_make_table(world);
    store_write(world->store, job_insert, on_done, &first);
    world_run(world);
    store_write(world->store, job_lose_it_and_go_on, on_done, &second);
    world_run(world);
    assert_int_equal(second.outcome, FAILED);
    assert_int_equal(world_count(world), 1);
}

static void a_commit_that_may_or_may_not_be_on_disk_is_unknown_and_not_run_again(void **state)
{
    struct world *world = *state;
    struct gate gate;
    struct item items[3] = { { .id = 1 }, { .id = 2, .fails_after_insert = true }, { .id = 3 } };
    world_make_table(world);
    gate_shut(&gate, world);
    for (int i = 0; i < 3; i++) {
        items[i].world = world;
        store_write(world->store, job_insert, on_done, &items[i]);
    }
    atomic_store(&sync_fails, true);
    gate_open(&gate, world);
    atomic_store(&sync_fails, false);
    assert_int_equal(items[0].kind, ERROR_UNKNOWN);
    assert_int_equal(items[1].kind, ERROR_PRECONDITION); /* that it had no effect is known */
    assert_int_equal(items[2].kind, ERROR_UNKNOWN);
    assert_int_equal(items[0].runs, 1);
    assert_true(strlen(world->last.hint) > 0);
    struct item later = { .world = world, .id = 4 };
    store_write(world->store, job_insert, on_done, &later); /* and it goes on */
    world_run(world);
    assert_int_equal(later.outcome, OK);
}

static void whatever_bytes_are_stored_come_back_the_same(void **state)
{
    struct world *world = *state;
    struct item items[] = { { .id = 1, .body = SLICE("0123") },
                            { .id = 2, .body = SLICE("a\0b\0") },
                            { .id = 3, .body = SLICE("") },
                            { .id = 4, .body = { NULL, 0 } },
                            { .id = 5, .body = SLICE("\xff\xfe\x00\x80") } };
    world_make_table(world);
    for (size_t i = 0; i < 5; i++) {
        items[i].world = world;
        store_write(world->store, job_insert, on_done, &items[i]);
        world_run(world);
        store_read(world->store, job_find, on_done, &items[i]);
        world_run(world);
        assert_int_equal(items[i].outcome, OK);
        assert_true(items[i].found);
    }
}

static void a_reader_cannot_write(void **state)
{
    struct world *world = *state;
    struct item item = { .world = world, .id = 1 };
    world_make_table(world);
    store_read(world->store, job_insert, on_done, &item);
    world_run(world);
    assert_int_equal(item.outcome, FAILED);
    assert_int_equal(world_count(world), 0);
}

static enum outcome job_nothing(struct store_tx *tx, void *arg, struct error *err)
{
    (void)tx;
    (void)arg;
    (void)err;
    return OK;
}

static void more_than_the_queue_holds_is_throttled_and_the_rest_is_done(void **state)
{
    struct world *world = *state;
    struct gate gate;
    struct item item = { .world = world };
    gate_shut(&gate, world);
    for (int i = 0; i < STORE_QUEUE_MAX + 3; i++)
        store_write(world->store, job_nothing, on_done, &item);
    gate_open(&gate, world);
    assert_int_equal(world->answers, STORE_QUEUE_MAX + 3 + 1);
    assert_int_equal(world->failures, 3);
    assert_int_equal(world->last.kind, ERROR_THROTTLED);
}

static void a_store_at_rest_does_not_hold_the_loop(void **state)
{
    struct world *world = *state;
    assert_int_equal(uv_loop_alive(&world->loop), 0);
    world_run(world);
}

static void closing_does_what_waits_and_refuses_what_comes_later(void **state)
{
    struct world *world = *state;
    struct gate gate;
    struct item waits = { .world = world, .id = 1 }, late = { .world = world, .id = 2 };
    world_make_table(world);
    gate_shut(&gate, world);
    store_write(world->store, job_insert, on_done, &waits);
    store_close(world->store, world_closed, world);
    store_write(world->store, job_insert, on_done, &late);
    gate_open(&gate, world);
    assert_null(world->store);
    assert_int_equal(waits.outcome, OK);
    assert_int_equal(late.kind, ERROR_UNAVAILABLE);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    world_open(world);
    assert_int_equal(world_count(world), 1);
}

/* ---- opening ---- */

static void a_second_opener_of_the_same_file_is_refused_until_the_first_has_closed(void **state)
{
    struct world *world = *state;
    struct store *second = NULL;
    struct error err = { 0 };
    assert_int_equal(store_open(&world->loop, world->dir, "hearth.db", &second, &err), FAILED);
    assert_int_equal(err.kind, ERROR_CONFLICT);
    world_make_table(world); /* the first did not lose its locks */
    world_close(world);
    world_open(world);
}

static void its_files_are_the_servers_alone(void **state)
{
    struct world *world = *state;
    mode_t before = umask(0);
    world_close(world);
    assert_int_equal(unlinkat(world->dir, "hearth.db", 0), 0);
    world_open(world);
    world_make_table(world);
    umask(before);
    static const char *const names[] = { "hearth.db", "hearth.db-wal", "hearth.db-shm", "hearth.db.lock" };
    for (size_t i = 0; i < 4; i++) {
        struct stat st;
        assert_int_equal(fstatat(world->dir, names[i], &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
}

static enum outcome job_future(struct store_tx *tx, void *arg, struct error *err)
{
    (void)arg;
    struct store_stmt *stmt;
    TRY(store_sql(tx, "UPDATE hearth_schema SET version = version + 1", &stmt, err));
    return store_run(stmt, NULL, err);
}

static void a_newer_schema_is_refused_and_left_as_it_is(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    assert_int_equal(store_now(world->store, job_future, NULL, &err), OK);
    world_close(world);
    uv_loop_init(&world->loop);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_open(&world->loop, world->dir, "hearth.db", &world->store, &err), FAILED);
        assert_int_equal(err.kind, ERROR_UNSUPPORTED);
        assert_true(strlen(err.hint) > 0);
    }
    assert_int_equal(uv_loop_close(&world->loop), 0);
}

static void a_database_that_is_not_ours_is_refused(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    char path[128];
    sqlite3 *db = NULL;
    struct store *store = NULL;
    snprintf(path, sizeof(path), "%s/other.db", world->path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK); /* names of others still open as they always did */
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE theirs (a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(store_open(&world->loop, world->dir, "other.db", &store, &err), FAILED);
    assert_int_equal(err.kind, ERROR_INVALID);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    struct store *store = NULL;
    char noise[8192];
    memset(noise, 'n', sizeof(noise));
    assert_int_equal(file_replace(world->dir, "noise.db", slice_from(noise, sizeof(noise)), 0600, &err), OK);
    assert_int_equal(store_open(&world->loop, world->dir, "noise.db", &store, &err), FAILED);
    assert_int_equal(err.kind, ERROR_INTERNAL);
}

/* The server gives up root, but its data may lie below a directory that only root may enter. It holds the data directory open; nothing else
 * leads there: not a path, not the working directory, and not /proc/self/fd, which is root's once the uid has changed. */
static int child_without_rights(struct world *world, int dir)
{
    struct error err = { 0 };
    if (setgid(65534) || setuid(65534) || chdir("/"))
        return 10;
    world->dir = dir;
    uv_loop_init(&world->loop);
    if (store_open(&world->loop, dir, "hearth.db", &world->store, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        return 11;
    }
    struct item item = { .world = world, .id = 1, .body = SLICE("kept") };
    if (store_now(world->store, job_make_table, NULL, &err) != OK)
        return 12;
    store_write(world->store, job_insert, on_done, &item);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    if (item.outcome != OK || faccessat(dir, "hearth.db-wal", F_OK, 0) || faccessat(dir, "hearth.db-shm", F_OK, 0))
        return 13;
    /* The fsync of the directory behind a new -wal must find the directory, or power loss could take the file's name away. */
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    int (*open_directory)(const char *, int *) =
        (int (*)(const char *, int *))vfs->xGetSystemCall(vfs, "openDirectory");
    char name[SQLITE_NAME_BYTES];
    struct stat ours, theirs;
    int fd = -1;
    if (sqlite_name(dir, "hearth.db-wal", name, &err) != OK || open_directory(name, &fd) != SQLITE_OK ||
        fstat(fd, &theirs) || fstat(dir, &ours) || ours.st_ino != theirs.st_ino || fsync(fd))
        return 14;
    close(fd);
    store_read(world->store, job_find, on_done, &item);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    if (item.outcome != OK || !item.found)
        return 15;
    world_close(world);
    return faccessat(dir, "hearth.db-wal", F_OK, 0) == 0 ? 16 : 0; /* checkpointed and gone */
}

static void it_opens_below_a_parent_that_it_may_not_enter(void **state)
{
    struct world *world = *state;
    if (getuid() != 0) {
        print_message("[  SKIPPED ] needs root to give root up\n");
        skip();
    }
    char hidden[128];
    snprintf(hidden, sizeof(hidden), "%s/hidden", world->path);
    assert_int_equal(mkdir(hidden, 0700), 0);
    strcat(hidden, "/data");
    assert_int_equal(mkdir(hidden, 0700), 0);
    assert_int_equal(chown(hidden, 65534, 65534), 0);
    world_close(world);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct world inner = { 0 };
        _exit(child_without_rights(&inner, open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the typed doors ---- */

static struct function_row row_of(const char *name, const char *revision)
{
    return (struct function_row){ .name = slice_of(name),
                                  .version = SLICE("$LATEST"),
                                  .revision_id = slice_of(revision),
                                  .digest = SLICE("d1"),
                                  .document = SLICE("{\"a\":1}"),
                                  .environment = SLICE("\0sealed"),
                                  .modified_ms = 1700000000123 };
}

static enum outcome note_row(const struct function_row *row, void *arg, struct error *err)
{
    struct buffer *seen = arg;
    (void)err;
    buffer_appendf(seen, "%.*s %.*s %lld;", SLICE_PRINT(row->name), SLICE_PRINT(row->revision_id),
                   (long long)row->modified_ms);
    assert_true(slice_equal(row->environment, SLICE("\0sealed")));
    assert_true(slice_is(row->document, "{\"a\":1}"));
    return OK;
}

static void functions_are_created_updated_deleted_and_loaded_in_order_of_name(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    struct item b = { .world = world }, a = { .world = world }, c = { .world = world }, gone = { .world = world };
    char name[] = "b";
    struct function_row row = row_of(name, "r1");
    store_function_create(world->store, &row, on_done, &b);
    name[0] = 'X'; /* arguments are copied */
    row = row_of("a", "r1");
    store_function_create(world->store, &row, on_done, &a);
    row = row_of("c", "r1");
    store_function_create(world->store, &row, on_done, &c);
    store_function_delete(world->store, SLICE("c"), on_done, &gone);
    row = row_of("b", "r2");
    row.modified_ms = 5;
    store_function_update(world->store, &row, SLICE("r1"), on_done, &b);
    world_run(world);
    assert_int_equal(world->failures, 0);
    struct buffer seen = BUFFER_EMPTY;
    assert_int_equal(store_functions_load(world->store, note_row, &seen, &err), OK);
    assert_string_equal(buffer_text(&seen), "a r1 1700000000123;b r2 5;");
    buffer_drop(&seen);
}

static void each_refusal_of_a_function_has_awss_own_code(void **state)
{
    struct world *world = *state;
    struct item item = { .world = world };
    struct function_row row = row_of("f", "r1");
    store_function_update(world->store, &row, SLICE_EMPTY, on_done, &item);
    world_run(world);
    assert_int_equal(item.kind, ERROR_NOT_FOUND);
    assert_string_equal(world->last.code, "ResourceNotFoundException");
    store_function_delete(world->store, SLICE("f"), on_done, &item);
    world_run(world);
    assert_int_equal(item.kind, ERROR_NOT_FOUND);
    store_function_create(world->store, &row, on_done, &item);
    world_run(world);
    assert_int_equal(item.outcome, OK);
    store_function_create(world->store, &row, on_done, &item);
    world_run(world);
    assert_int_equal(item.kind, ERROR_EXISTS);
    assert_string_equal(world->last.code, "ResourceConflictException");
    assert_string_equal(world->last.message, "Function already exist: f");
    store_function_update(world->store, &row, SLICE("another"), on_done, &item);
    world_run(world);
    assert_int_equal(item.kind, ERROR_PRECONDITION);
    assert_string_equal(world->last.code, "PreconditionFailedException");
    store_function_update(world->store, &row, SLICE_EMPTY, on_done, &item);
    world_run(world);
    assert_int_equal(item.outcome, OK);
}

static void the_newest_access_key_of_an_owner_is_found(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    struct buffer key = BUFFER_EMPTY, secret = BUFFER_EMPTY;
    bool found = true;
    assert_int_equal(store_access_key_find(world->store, SLICE("root"), &found, &key, &secret, &err), OK);
    assert_false(found);
    assert_int_equal(store_access_key_put(world->store, SLICE("AKZ"), SLICE("root"), SLICE("\0one"), &err), OK);
    assert_int_equal(store_access_key_put(world->store, SLICE("AKA"), SLICE("root"), SLICE("\0two"), &err), OK);
    assert_int_equal(store_access_key_put(world->store, SLICE("AKB"), SLICE("other"), SLICE("x"), &err), OK);
    assert_int_equal(store_access_key_find(world->store, SLICE("root"), &found, &key, &secret, &err), OK);
    assert_true(found);
    assert_true(slice_is(buffer_slice(&key), "AKA"));
    assert_true(slice_equal(buffer_slice(&secret), SLICE("\0two")));
    assert_int_equal(store_role_put(world->store, SLICE("hearth-basic"), SLICE("{}"), &err), OK);
    assert_int_equal(store_role_put(world->store, SLICE("hearth-basic"), SLICE("{1}"), &err), OK);
    buffer_drop(&key);
    buffer_drop(&secret);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_is_answered_later_on_the_loop_and_then_readers_see_it),
        TEST(a_failing_job_leaves_its_neighbours_in_the_batch_alone),
        TEST(a_broken_rule_of_the_table_fails_one_job_alone),
        TEST(when_the_whole_transaction_is_lost_its_other_jobs_are_run_again_alone),
        TEST(a_job_that_ignores_the_loss_commits_nothing_by_itself),
        TEST(a_commit_that_may_or_may_not_be_on_disk_is_unknown_and_not_run_again),
        TEST(whatever_bytes_are_stored_come_back_the_same),
        TEST(a_reader_cannot_write),
        TEST(more_than_the_queue_holds_is_throttled_and_the_rest_is_done),
        TEST(a_store_at_rest_does_not_hold_the_loop),
        TEST(closing_does_what_waits_and_refuses_what_comes_later),
        TEST(a_second_opener_of_the_same_file_is_refused_until_the_first_has_closed),
        TEST(its_files_are_the_servers_alone),
        TEST(a_newer_schema_is_refused_and_left_as_it_is),
        TEST(a_database_that_is_not_ours_is_refused),
        TEST(a_file_that_is_no_database_is_refused),
        TEST(it_opens_below_a_parent_that_it_may_not_enter),
        TEST(functions_are_created_updated_deleted_and_loaded_in_order_of_name),
        TEST(each_refusal_of_a_function_has_awss_own_code),
        TEST(the_newest_access_key_of_an_owner_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
