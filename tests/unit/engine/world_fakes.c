/* What is below the engine, as the test holds it: see world.h. */
#include "world.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "store/functions.h"
#include "store/settings.h"

struct world *the_world;
const struct function_row *world_function_rows;
const struct setting_row *world_setting_rows;

/* ---- the keeper ---- */

const struct runtime_id the_runtime = { "nodejs20.x", RUNTIME_NODE, 20, 0, false };
const struct runtime_id the_provided = { "provided.al2023", RUNTIME_PROVIDED, 0, 0, false };

const struct runtime_id *runtime_find(struct slice id)
{
    return slice_is(id, the_runtime.id) ? &the_runtime : slice_is(id, the_provided.id) ? &the_provided : NULL;
}

const struct runtime_id *runtime_at(size_t index)
{
    return index == 0 ? &the_runtime : NULL;
}

bool runtime_installed(const struct keeper_config *config, const struct runtime_id *runtime, char how[256])
{
    (void)config, (void)runtime, (void)how;
    return true;
}

static bool fails(size_t *left)
{
    if (*left == 0)
        return false;
    --*left;
    return true;
}

enum outcome keeper_send_start(struct keeper_link *link, struct keeper_start *start, struct error *err)
{
    struct world *world = the_world;
    assert(link == &world->link && world->sandbox_count < WORLD_SANDBOXES_MAX);
    bool behind = fails(&world->starts_behind);
    if (behind || fails(&world->starts_broken)) {
        fd_drop(&start->channel);
        fd_drop(&start->out);
        fd_drop(&start->err);
        return error_set(err, behind ? ERROR_UNAVAILABLE : ERROR_INTERNAL, "hint", "the fake keeper does not");
    }
    struct sandbox *sandbox = &world->sandboxes[world->sandbox_count++];
    *sandbox = (struct sandbox){ .id = start->id,
                                 .channel = fd_take(&start->channel),
                                 .out = fd_take(&start->out),
                                 .err = fd_take(&start->err) };
    sandbox->provided = strcmp(start->actual, the_provided.id) == 0;
    memcpy(sandbox->digest, start->digest, sizeof(sandbox->digest));
    sandbox->environment = memory_new(start->environment.len + 1);
    memcpy(sandbox->environment, start->environment.at, start->environment.len);
    for (size_t k = 0; k < start->environment.len; k++)
        if (sandbox->environment[k] == '\0')
            sandbox->environment[k] = '\n';
    return OK;
}

static struct sandbox *sandbox_of(struct world *world, uint64_t id)
{
    for (size_t k = 0; k < world->sandbox_count; k++)
        if (world->sandboxes[k].id == id)
            return &world->sandboxes[k];
    return NULL;
}

enum outcome keeper_send_ready(struct keeper_link *link, uint64_t id, struct error *err)
{
    (void)link;
    if (fails(&the_world->readies_behind))
        return error_set(err, ERROR_UNAVAILABLE, "hint", "the fake keeper is behind");
    sandbox_of(the_world, id)->readies++;
    return OK;
}

enum outcome keeper_send_stop(struct keeper_link *link, uint64_t id, bool stopped, struct error *err)
{
    (void)link;
    if (fails(&the_world->stops_behind))
        return error_set(err, ERROR_UNAVAILABLE, "hint", "the fake keeper is behind");
    sandbox_of(the_world, id)->stopped = stopped;
    return OK;
}

enum outcome keeper_send_kill(struct keeper_link *link, uint64_t id, struct error *err)
{
    (void)link;
    if (fails(&the_world->kills_behind))
        return error_set(err, ERROR_UNAVAILABLE, "hint", "the fake keeper is behind");
    struct sandbox *sandbox = sandbox_of(the_world, id);
    sandbox->kills++;
    if (!the_world->kills_wait && !sandbox->ended) /* the keeper knows no kill of who is gone */
        world_exits(the_world, sandbox, SIGKILL, false);
    return OK;
}

void world_says(struct world *world, const struct keeper_event *event)
{
    assert(world->event_count < WORLD_EVENTS_MAX);
    world->events[(world->event_first + world->event_count++) % WORLD_EVENTS_MAX] = *event;
    uint64_t one = 1;
    assert(write(world->link.fd, &one, sizeof(one)) == sizeof(one));
}

enum outcome keeper_receive(struct keeper_link *link, struct keeper_event *event, bool *got, struct error *err)
{
    struct world *world = the_world;
    (void)err;
    uint64_t count;
    while (read(link->fd, &count, sizeof(count)) > 0)
        ;
    *got = world->event_count > 0;
    if (!*got)
        return OK;
    *event = world->events[world->event_first];
    world->event_first = (world->event_first + 1) % WORLD_EVENTS_MAX;
    world->event_count--;
    return OK;
}

uint64_t keeper_meter_memory_peak(const struct keeper_meters *m)
{
    (void)m;
    return 42 << 20;
}

uint64_t keeper_meter_cpu_us(const struct keeper_meters *m)
{
    (void)m;
    return 0;
}

uint32_t keeper_meter_tasks(const struct keeper_meters *m)
{
    (void)m;
    return 1;
}

bool keeper_freeze(const struct keeper_meters *m, bool frozen)
{
    (void)frozen;
    return m->freeze >= 0;
}

void keeper_meters_drop(struct keeper_meters *m)
{
    fd_drop(&m->memory_peak);
    fd_drop(&m->cpu);
    fd_drop(&m->freeze);
}

/* ---- what else is below the engine ---- */

struct job { /* an answer of the store or of the packages */
    struct job *prev, *next;
    bool row, check;
    enum outcome outcome;
    struct error err;
    struct package_info info;
    store_done_fn *row_done;
    package_done_fn *package_done;
    void *arg;
    uv_timer_t turn;
};

static void on_job(uv_handle_t *handle)
{
    struct job *job = handle->data;
    if (job->row)
        job->row_done(job->outcome, job->outcome == OK ? NULL : &job->err, job->arg);
    else
        job->package_done(job->outcome, job->outcome == OK ? &job->info : NULL,
                          job->outcome == OK ? NULL : &job->err, job->arg);
    free(job);
}

static void job_go(struct job *job)
{
    (void)uv_timer_init(&the_world->loop, &job->turn);
    job->turn.data = job;
    uv_close((uv_handle_t *)&job->turn, on_job);
}

static void job_add(struct job *job, bool waits)
{
    if (waits)
        DL_APPEND(the_world->jobs, job);
    else
        job_go(job);
}

static void jobs_answer(struct world *world, bool row)
{
    struct job *job, *next;
    DL_FOREACH_SAFE (world->jobs, job, next) {
        if (job->row != row)
            continue;
        DL_DELETE(world->jobs, job);
        job_go(job);
    }
}

void world_packages_answer(struct world *world)
{
    jobs_answer(world, false);
}

void world_rows_answer(struct world *world)
{
    jobs_answer(world, true);
}

static struct package *package_of(const char *digest)
{
    for (size_t k = 0; k < the_world->package_count; k++)
        if (strcmp(the_world->packages[k].digest, digest) == 0)
            return &the_world->packages[k];
    return NULL;
}

void package_hold(struct package_store *store, const char *digest)
{
    (void)store;
    assert(!the_world->packages_closed);
    if (the_world->engine == NULL && package_of(digest) == NULL) { /* at start: of a row, it is on disk */
        struct package *package = &the_world->packages[the_world->package_count++];
        (void)snprintf(package->digest, sizeof(package->digest), "%s", digest);
        package->references = 1;
        return;
    }
    assert(package_of(digest) != NULL && package_of(digest)->references > 0); /* nobody holds what may be gone */
    package_of(digest)->references++;
}

void package_release(struct package_store *store, const char *digest)
{
    (void)store;
    assert(!the_world->packages_closed);
    assert(package_of(digest)->references > 0);
    package_of(digest)->references--;
}

size_t world_package_references(const struct world *world, const char *digest)
{
    (void)world;
    return package_of(digest)->references;
}

void package_put(struct package_store *store, struct buffer *zip, package_done_fn *done, void *arg)
{
    (void)store;
    buffer_drop(zip);
    struct job *job = memory_new(sizeof(*job));
    job->package_done = done;
    job->arg = arg;
    struct package *package = &the_world->packages[the_world->package_count++];
    (void)snprintf(package->digest, sizeof(package->digest), "%064zx", ++the_world->package_serial);
    package->references = 1;
    memcpy(job->info.digest, package->digest, sizeof(job->info.digest));
    job->info.zip_bytes = 1000;
    job_add(job, the_world->packages_wait);
}

void package_check(struct package_store *store, struct buffer *zip, package_done_fn *done, void *arg)
{
    package_put(store, zip, done, arg);
    the_world->package_count--;
}

void package_sweep(struct package_store *store)
{
    (void)store;
}

static void row_job(store_done_fn *done, void *arg)
{
    struct job *job = memory_new(sizeof(*job));
    job->row = true;
    job->row_done = done;
    job->arg = arg;
    if (the_world->row_error != ERROR_NONE)
        job->outcome = error_set(&job->err, the_world->row_error, "hint", "the fake store does not");
    the_world->row_error = ERROR_NONE;
    job_add(job, the_world->rows_wait);
}

void store_function_create(struct store *store, const struct function_row *row, store_done_fn *done, void *arg)
{
    (void)store, (void)row;
    row_job(done, arg);
}

void store_function_update(struct store *store, const struct function_row *row, struct slice expected_revision,
                           store_done_fn *done, void *arg)
{
    (void)store, (void)row, (void)expected_revision;
    row_job(done, arg);
}

void store_function_delete(struct store *store, struct slice name, store_done_fn *done, void *arg)
{
    (void)store, (void)name;
    row_job(done, arg);
}

void store_function_publish(struct store *store, const struct function_row *row, struct slice expected_revision,
                            struct slice latest_revision, uint64_t *number, store_done_fn *done, void *arg)
{
    (void)store, (void)row, (void)expected_revision, (void)latest_revision;
    *number = ++the_world->version_serial; /* across all functions: nobody may count on what comes next */
    row_job(done, arg);
}

void store_version_delete(struct store *store, struct slice name, struct slice version, store_done_fn *done,
                          void *arg)
{
    (void)store, (void)name, (void)version;
    row_job(done, arg);
}

void store_setting_put(struct store *store, const struct setting_row *row, enum store_setting_mode mode,
                       struct slice expected_revision, bool qualifier_must_exist, store_done_fn *done, void *arg)
{
    (void)store, (void)mode, (void)expected_revision, (void)qualifier_must_exist;
    the_world->pointed_to[0] = row->versions[0];
    the_world->pointed_to[1] = row->versions[1];
    row_job(done, arg);
}

void store_setting_delete(struct store *store, struct slice name, struct slice kind, struct slice qualifier,
                          struct slice expected_revision, store_done_fn *done, void *arg)
{
    (void)store, (void)name, (void)kind, (void)qualifier, (void)expected_revision;
    row_job(done, arg);
}

enum outcome store_settings_load(struct store *store, store_setting_each_fn *each, void *arg, struct error *err)
{
    (void)store;
    for (const struct setting_row *row = world_setting_rows; row != NULL && row->name.len > 0; row++)
        TRY(each(row, arg, err));
    return OK;
}

uint64_t package_tree_bytes(struct package_store *store, const char *digest)
{
    (void)store, (void)digest;
    return 0;
}

enum outcome layers_open(uv_loop_t *loop, const struct layers_config *config, struct layers **out,
                         struct error *err)
{
    (void)loop, (void)config, (void)err;
    *out = NULL;
    return OK;
}

void layers_free(struct layers *layers)
{
    (void)layers;
}

size_t layers_changes(const struct layers *layers)
{
    (void)layers;
    return 0;
}

uint64_t layers_code_bytes(const struct layers *layers)
{
    (void)layers;
    return 0;
}

enum outcome layer_sizes_check(const struct function *function, struct error *err)
{
    (void)function, (void)err;
    return OK;
}

enum outcome store_functions_load(struct store *store, store_function_each_fn *each, void *arg, struct error *err)
{
    (void)store;
    for (const struct function_row *row = world_function_rows; row != NULL && row->name.len > 0; row++)
        TRY(each(row, arg, err));
    return OK;
}

enum outcome seal_close(const struct seal *seal, struct slice context, struct slice plain, struct buffer *out,
                        struct error *err)
{
    (void)seal, (void)context, (void)err;
    buffer_append_slice(out, plain);
    return OK;
}

enum outcome seal_unseal(const struct seal *seal, struct slice context, struct slice sealed, struct buffer *out,
                         struct error *err)
{
    return seal_close(seal, context, sealed, out, err);
}

const struct principal *keyring_add_instance(struct keyring *keyring, struct slice role_name, struct slice session,
                                             int64_t expires_ms)
{
    (void)keyring, (void)role_name, (void)session;
    assert(the_world->key_count < WORLD_KEYS_MAX);
    static unsigned serial;
    struct principal *key = &the_world->keys[the_world->key_count++];
    *key = (struct principal){ .kind = PRINCIPAL_INSTANCE, .expires_ms = expires_ms };
    if (the_world->key_life_ms > 0)
        key->expires_ms = clock_wall_ms() + the_world->key_life_ms;
    (void)snprintf(key->access_key, sizeof(key->access_key), "ASIA%016u", ++serial);
    return key;
}

void keyring_remove(struct keyring *keyring, const char *access_key)
{
    (void)keyring;
    for (size_t k = 0; k < the_world->key_count; k++)
        if (strcmp(the_world->keys[k].access_key, access_key) == 0) {
            the_world->keys[k] = the_world->keys[--the_world->key_count];
            return;
        }
    assert(!"a key is removed once");
}

void function_logs_put(struct function_logs *logs, struct slice group, struct slice stream, int64_t time_ms,
                       struct slice message)
{
    (void)logs, (void)group, (void)stream, (void)time_ms;
    buffer_append_slice(&the_world->log, message);
}

void *world_api_open(int *fd, const struct principal *principal, void *arg)
{
    struct world *world = arg;
    (void)principal;
    world->api_open++;
    int *handle = memory_new(sizeof(int));
    *handle = fd_take(fd);
    return handle;
}

void world_api_close(void *handle, void *arg)
{
    struct world *world = arg;
    world->api_open--;
    fd_drop(handle);
    free(handle);
}

void world_keeper_lost(const struct error *err, void *arg)
{
    (void)err;
    ((struct world *)arg)->keeper_lost = true;
}
