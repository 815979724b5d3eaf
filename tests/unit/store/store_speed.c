/* How many durable writes a second the store does with 1 and with 16 clients, each waiting for its answer before it writes again. Not a test:
 * run it by hand, on the disk that is meant (argv[1]: a directory on it). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "store/store.h"

enum { SECONDS = 3, CLIENTS_MAX = 64, BODY_BYTES = 200 };

struct speed {
    uv_loop_t loop;
    struct store *store;
    int64_t next;
    uint64_t until_us;
    uint64_t answered;
    char body[BODY_BYTES];
};
struct client {
    struct speed *speed;
    int64_t id;
};

static enum outcome job_table(struct store_tx *tx, void *arg, struct error *err)
{
    (void)arg;
    struct store_stmt *stmt;
    TRY(store_sql(tx, "CREATE TABLE IF NOT EXISTS speed (id BIGINT PRIMARY KEY, body BLOB)", &stmt, err));
    return store_run(stmt, NULL, err);
}

static enum outcome job_insert(struct store_tx *tx, void *arg, struct error *err)
{
    struct client *client = arg;
    struct store_stmt *stmt;
    TRY(store_sql(tx, "INSERT INTO speed (id, body) VALUES ($1, $2)", &stmt, err));
    store_bind_int(stmt, 1, client->id);
    store_bind_bytes(stmt, 2, slice_from(client->speed->body, BODY_BYTES));
    return store_run(stmt, NULL, err);
}

static void on_done(enum outcome outcome, const struct error *err, void *arg)
{
    struct client *client = arg;
    struct speed *speed = client->speed;
    if (outcome != OK) {
        fprintf(stderr, "%s\n", err->message);
        exit(1);
    }
    speed->answered++;
    client->id = ++speed->next;
    if (clock_mono_us() < speed->until_us)
        store_write(speed->store, job_insert, on_done, client);
}

static void measure(struct speed *speed, int clients)
{
    struct client all[CLIENTS_MAX];
    uint64_t start = clock_mono_us();
    speed->answered = 0;
    speed->until_us = start + SECONDS * 1000000ULL;
    for (int i = 0; i < clients; i++) {
        all[i] = (struct client){ speed, ++speed->next };
        store_write(speed->store, job_insert, on_done, &all[i]);
    }
    uv_run(&speed->loop, UV_RUN_DEFAULT);
    printf("%2d clients: %7.0f writes/s\n", clients,
           (double)speed->answered * 1e6 / (double)(clock_mono_us() - start));
}

static void on_closed(void *arg)
{
    (void)arg;
}

int main(int argc, char **argv)
{
    static struct speed speed;
    struct error err = { 0 };
    char path[256];
    snprintf(path, sizeof(path), "%s/hearth-speed-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (!mkdtemp(path))
        return 1;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uv_loop_init(&speed.loop);
    if (store_open(&speed.loop, dir, "hearth.db", &speed.store, &err) != OK ||
        store_now(speed.store, job_table, NULL, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    measure(&speed, 1);
    measure(&speed, 16);
    measure(&speed, 64);
    store_close(speed.store, on_closed, NULL);
    uv_run(&speed.loop, UV_RUN_DEFAULT);
    fd_drop(&dir);
    return dir_remove(AT_FDCWD, path, &err) == OK ? 0 : 1;
}
