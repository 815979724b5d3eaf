#include <assert.h>
#include <unistd.h>

#include "engine/private.h"

static const uint64_t mebibyte = 1024 * 1024;

/* ---- the keeper's events ---- */

static void send_unsent(struct engine *engine)
{
    while (engine->unsent_count > 0) {
        struct instance *i = engine->unsent[engine->unsent_count - 1];
        if (!instance_tell_keeper(i)) {
            engine_retry(engine);
            return;
        }
        i->unsent = false;
        engine->unsent_count--;
    }
}

static void on_retry(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    send_unsent(engine);
    dispatch_pump(engine);
}

/* By time and not by the keeper's next event: what stands before us in its socket need not be answered by one. */
void engine_retry(struct engine *engine)
{
    if (!uv_is_active((uv_handle_t *)&engine->retry_timer))
        (void)uv_timer_start(&engine->retry_timer, on_retry, ENGINE_RETRY_MS, 0);
}

static void drop_event(struct keeper_event *event)
{
    if (event->type != KEEPER_STARTED)
        return;
    keeper_meters_drop(&event->meters);
    fd_drop(&event->api_listener);
    fd_drop(&event->runtime_listener);
}

static void on_keeper(uv_poll_t *poll, int status, int events)
{
    struct engine *engine = poll->data;
    struct error err;
    (void)status;
    (void)events;
    for (;;) {
        struct keeper_event event = { 0 };
        bool got = false;
        if (keeper_receive(engine->config.link, &event, &got, &err) != OK) {
            (void)uv_poll_stop(&engine->keeper_poll);
            if (!engine->ended)
                engine->config.keeper_lost(&err, engine->config.arg);
            return;
        }
        if (!got)
            break;
        struct instance *i = NULL;
        HASH_FIND(hh, engine->instances, &event.id, sizeof(event.id), i);
        if (i == NULL || i->exited || (event.type == KEEPER_STARTED && i->keeper_started))
            drop_event(&event);
        else
            instance_event(i, &event);
    }
    send_unsent(engine);
    dispatch_pump(engine);
}

/* ---- opening ---- */

/* How many calls this box's memory carries. */
static uint32_t calls_of_memory(void)
{
    uint64_t memory_mb = uv_get_total_memory() / mebibyte, held = uv_get_constrained_memory() / mebibyte;
    if (held > 0 && held < memory_mb)
        memory_mb = held;
    uint64_t calls = memory_mb / ENGINE_MEMORY_MB_A_CALL;
    if (calls < ENGINE_CONCURRENCY_MIN)
        calls = ENGINE_CONCURRENCY_MIN;
    return (uint32_t)(calls > ENGINE_CONCURRENCY_MAX ? ENGINE_CONCURRENCY_MAX : calls);
}

/* Layers first: once the functions are there too, packages that nobody holds are swept away. */
static enum outcome load_all(struct engine *engine, struct error *err)
{
    const struct layers_config config = { .account = engine->config.account,
                                          .region = engine->config.region,
                                          .store = engine->config.store,
                                          .packages = engine->config.packages };
    TRY(layers_open(engine->loop, &config, &engine->layers, err));
    return registry_load(engine, err);
}

enum outcome engine_open(uv_loop_t *loop, const struct engine_config *config, struct engine **out,
                         struct error *err)
{
    struct engine *engine = memory_new(sizeof(*engine));
    engine->loop = loop;
    engine->config = *config;
    engine->limit = config->concurrency > 0 ? config->concurrency : calls_of_memory();
    /* Idle instances do not count as calls, but the box must hold them: beyond this an idle one gives way to a new one. */
    engine->instances_max = engine->limit > calls_of_memory() ? engine->limit : calls_of_memory();
    if (engine->instances_max > KEEPER_INSTANCES_MAX / 2)
        engine->instances_max = KEEPER_INSTANCES_MAX / 2;
    engine->starts_max = (size_t)uv_available_parallelism() * ENGINE_STARTS_A_CORE;
    do /* xorshift stands still at 0 */
        random_bytes(&engine->random_state, sizeof(engine->random_state));
    while (engine->random_state == 0);
    if (load_all(engine, err) != OK) {
        engine->closed = true; /* the packages stay as they are */
        registry_free(engine);
        layers_free(engine->layers);
        free(engine);
        return FAILED;
    }
    dispatch_timers_init(engine);
    engine->runtime_api = runtime_api_new(loop);
    engine->open_handles++;
    int failure = uv_poll_init(loop, &engine->keeper_poll, config->link->fd);
    assert(failure == 0); /* a socket of ours */
    engine->keeper_poll.data = engine;
    engine->keeper_open = true;
    engine->open_handles++;
    (void)uv_poll_start(&engine->keeper_poll, UV_READABLE, on_keeper);
    *out = engine;
    return OK;
}

/* ---- ending ----
 * drain: no new calls; wait for those that run, at most the grace; cut the rest; kill all instances; wait until they are gone. */

/* Those whose pool has no instance yet. */
static void cut_waiters(struct function *function, const struct error *err)
{
    while (function != NULL && function->pool != NULL && function->pool->waiting != NULL)
        dispatch_refuse_oldest(function->pool, err);
}

static void cut_all(struct engine *engine)
{
    struct error err;
    struct instance *i, *next;
    (void)error_set_code(&err, ERROR_UNAVAILABLE, "ServiceException", "Retry: the server is being restarted.",
                         "the server stopped before the function had answered");
    engine->cutting = true;
    HASH_ITER (hh, engine->instances, i, next) {
        while (i->pool->waiting != NULL)
            dispatch_refuse_oldest(i->pool, &err);
        instance_cut(i, &err);
    }
    while (engine->start_queue != NULL) {
        struct pool *pool = engine->start_queue;
        while (pool->waiting != NULL)
            dispatch_refuse_oldest(pool, &err);
        DL_DELETE(engine->start_queue, pool);
        pool->in_start_queue = false;
        pool_maybe_free(pool);
    }
    struct function_entry *entry, *following;
    HASH_ITER (hh, engine->functions, entry, following) {
        cut_waiters(entry->latest, &err);
        for (size_t k = 0; k < entry->version_count; k++)
            cut_waiters(entry->versions[k], &err);
    }
}

void engine_drain_step(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    if (engine->ended)
        return;
    bool late = uv_now(engine->loop) >= engine->drain_due_ms;
    if (!engine->cutting && engine->in_flight > 0 && !late) {
        (void)uv_timer_start(timer, engine_drain_step, engine->drain_due_ms - uv_now(engine->loop), 0);
        return;
    }
    if (!engine->cutting) {
        cut_all(engine);
        engine->drain_due_ms = uv_now(engine->loop) + ENGINE_END_MS;
        late = false;
    }
    size_t changes = engine->changes + layers_changes(engine->layers);
    if (!late && (engine->instance_count > 0 || changes > 0 || engine->in_flight > 0)) {
        (void)uv_timer_start(timer, engine_drain_step, ENGINE_DRAIN_LOOK_MS, 0);
        return;
    }
    engine->ended = true;
    engine->drained(engine->drained_arg);
}

void engine_drain(struct engine *engine, uint32_t grace_ms, void (*done)(void *arg), void *arg)
{
    if (engine->draining) { /* a second signal: at once */
        engine->drain_due_ms = 0;
        (void)uv_timer_start(&engine->drain_timer, engine_drain_step, 0, 0);
        return;
    }
    engine->draining = true;
    engine->drained = done;
    engine->drained_arg = arg;
    engine->drain_due_ms = uv_now(engine->loop) + grace_ms;
    (void)uv_timer_stop(&engine->idle_timer);
    (void)uv_timer_start(&engine->drain_timer, engine_drain_step, 0, 0);
}

static void on_engine_handle_closed(uv_handle_t *handle)
{
    struct engine *engine = handle->data;
    engine->open_handles--;
    engine_maybe_free(engine);
}

static void on_runtime_api_closed(void *arg)
{
    struct engine *engine = arg;
    engine->open_handles--;
    engine_maybe_free(engine);
}

/* Handles that close, changes that the packages or the store still have to answer: each of them names the engine. */
void engine_maybe_free(struct engine *engine)
{
    if (!engine->closed || engine->open_handles > 0 || engine->instance_count > 0 || engine->changes > 0)
        return;
    free(engine->unsent);
    free(engine);
}

void engine_free(struct engine *engine)
{
    if (engine == NULL)
        return;
    struct instance *i, *next;
    dispatch_answer_refused(engine);
    engine->closed = true;
    HASH_ITER (hh, engine->instances, i, next)
        instance_abandon(i);
    runtime_api_close(engine->runtime_api, on_runtime_api_closed, engine);
    registry_free(engine); /* at once: the rooms below close after this call */
    layers_free(engine->layers);
    uv_handle_t *handles[] = { (uv_handle_t *)&engine->idle_timer,  (uv_handle_t *)&engine->watch_timer,
                               (uv_handle_t *)&engine->drain_timer, (uv_handle_t *)&engine->refuse_timer,
                               (uv_handle_t *)&engine->start_timer, (uv_handle_t *)&engine->retry_timer,
                               (uv_handle_t *)&engine->keeper_poll };
    for (size_t k = 0; k < sizeof(handles) / sizeof(handles[0]); k++)
        uv_close(handles[k], on_engine_handle_closed);
}

/* ---- what it knows ---- */

const char *engine_account(const struct engine *engine)
{
    return engine->config.account;
}

const char *engine_region(const struct engine *engine)
{
    return engine->config.region;
}

uint32_t engine_concurrency_limit(const struct engine *engine)
{
    return engine->limit;
}

/* AWS's TotalCodeSize: each version and each layer version with its own zip, though equal ones are stored once. */
uint64_t engine_code_bytes(const struct engine *engine)
{
    return engine->code_bytes + layers_code_bytes(engine->layers);
}

struct layers *engine_layers(struct engine *engine)
{
    return engine->layers;
}

size_t engine_function_count(const struct engine *engine)
{
    return engine->function_count;
}

enum outcome engine_runtime_check(const struct engine *engine, const struct runtime_id *runtime, struct error *err)
{
    char how[256];
    if (runtime_installed(engine->config.keeper_config, runtime, how))
        return OK;
    const struct runtime_id *other;
    char ignored[256];
    for (size_t k = 0; engine->config.runtime_fallback && (other = runtime_at(k)) != NULL; k++)
        if (other->family == runtime->family && runtime_installed(engine->config.keeper_config, other, ignored))
            return OK;
    return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException", "",
                          "The runtime %s is not installed on this server. %s", runtime->id, how);
}

void engine_figures(const struct engine *engine, struct engine_figures *out)
{
    *out = (struct engine_figures){
        .functions = engine->function_count,
        .instances = engine->instance_count,
        .starting = engine->starting,
        .idle = engine->idle_count,
        .busy = engine->in_flight - engine->waiting_count - engine->refused_count,
        .waiting = engine->waiting_count,
        .invocations = engine->invocations,
        .cold_starts = engine->cold_starts,
        .throttles = engine->throttles,
    };
}
