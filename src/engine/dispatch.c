/* Who runs what: each function has a pool of instances, idle ones most recently used first, and a queue of invocations.
 * An invocation takes an idle instance, or waits for the first that is free: one that boots for it, or one that answers
 * before that. The account's limit counts invocations; idle instances of other functions give way when the box is full. */
#include <assert.h>

#include "engine/private.h"

/* ---- finishing ---- */

void invocation_answer(struct invocation *invocation, const struct invocation_result *result)
{
    struct engine *engine = invocation->engine;
    engine->in_flight--;
    tally_leave(invocation);
    if (engine->draining && engine->in_flight == 0)
        (void)uv_timer_start(&engine->drain_timer, engine_drain_step, 0, 0);
    if (invocation->done != NULL)
        invocation->done(result, invocation->arg);
}

void invocation_free(struct invocation *invocation)
{
    buffer_drop(&invocation->payload);
    buffer_drop(&invocation->tail);
    free(invocation->refusal);
    free(invocation->trace);
    free(invocation->client_context);
    free(invocation->invoked_arn);
    free(invocation);
}

void invocation_finish(struct invocation *invocation, const struct invocation_result *result)
{
    invocation_answer(invocation, result);
    invocation_free(invocation);
}

struct slice invocation_tail(const struct invocation *invocation)
{
    struct slice all = buffer_slice(&invocation->tail);
    return all.len <= ENGINE_LOG_TAIL_BYTES ? all : slice_sub(all, all.len - ENGINE_LOG_TAIL_BYTES, all.len);
}

void dispatch_answer_refused(struct engine *engine)
{
    struct invocation *all = engine->refused; /* those alone: who calls again from here is told in another turn */
    engine->refused = NULL;
    while (all != NULL) {
        struct invocation *invocation = all;
        DL_DELETE(all, invocation);
        engine->refused_count--;
        struct invocation_result result = { .status = INVOCATION_REFUSED,
                                            .error = invocation->refusal,
                                            .reason = invocation->reason };
        invocation_finish(invocation, &result);
    }
}

static void on_refuse_timer(uv_timer_t *timer)
{
    dispatch_answer_refused(timer->data);
}

/* One turn of the loop later: `done` is never called from inside engine_invoke. */
void invocation_refuse(struct invocation *invocation, const struct error *err, const char *reason)
{
    struct engine *engine = invocation->engine;
    invocation->pool = NULL;
    tally_leave(invocation);
    invocation->refusal = memory_new(sizeof(*err));
    *invocation->refusal = *err;
    invocation->reason = reason;
    DL_APPEND(engine->refused, invocation);
    engine->refused_count++;
    (void)uv_timer_start(&engine->refuse_timer, on_refuse_timer, 0, 0);
}

void invocation_abandon(struct invocation *invocation)
{
    invocation->done = NULL;
}

/* ---- pools ---- */

static const struct runtime_id *actual_runtime(const struct engine *engine, const struct runtime_id *wanted)
{
    char how[256];
    if (runtime_installed(engine->config.keeper_config, wanted, how) || !engine->config.runtime_fallback)
        return wanted;
    const struct runtime_id *other, *best = wanted;
    for (size_t k = 0; (other = runtime_at(k)) != NULL; k++) /* the newest that is there */
        if (other->family == wanted->family && runtime_installed(engine->config.keeper_config, other, how))
            best = other;
    return best;
}

struct pool *pool_of(struct engine *engine, struct function *function)
{
    if (function->pool != NULL)
        return function->pool;
    struct pool *pool = memory_new(sizeof(*pool));
    pool->engine = engine;
    pool->function = function_hold(function);
    pool->actual = actual_runtime(engine, function->runtime);
    pool->retired = !registry_serves(engine, function); /* replaced since the caller found it */
    pool->tally = tally_of(engine, function);
    function_hold_packages(engine, function);
    function->pool = pool;
    return pool;
}

void pool_maybe_free(struct pool *pool)
{
    if (!pool->retired || pool->instances > 0 || pool->waiting != NULL)
        return;
    if (pool->in_start_queue)
        DL_DELETE(pool->engine->start_queue, pool);
    pool->function->pool = NULL;
    function_release_packages(pool->engine, pool->function);
    function_release(pool->function);
    tally_release(pool->tally);
    free(pool);
}

void pool_retire(struct function *function)
{
    struct pool *pool = function->pool;
    if (pool == NULL)
        return;
    pool->retired = true;
    pool->instances++; /* keeps it while its instances go */
    while (pool->idle != NULL)
        instance_kill(pool->idle);
    pool->instances--;
    pool_maybe_free(pool);
}

void pool_move(struct function *from, struct function *to)
{
    struct pool *pool = from->pool;
    from->pool = NULL;
    to->pool = pool;
    if (pool == NULL)
        return;
    pool->function = function_hold(to);
    function_release(from);
}

/* ---- idle instances ---- */

void dispatch_idle_remove(struct instance *instance)
{
    struct engine *engine = instance->engine;
    DL_DELETE(instance->pool->idle, instance);
    DL_DELETE2(engine->idle, instance, idle_prev, idle_next);
    engine->idle_count--;
}

static void arm_idle_timer(struct engine *engine);

/* Whatever has been quiet for a while is frozen, whatever works between calls at once: computing while nobody pays. */
static bool watch_instance(struct instance *i, uint64_t now_us)
{
    if (now_us - i->idle_since_us < ENGINE_WATCH_MS * 1000ULL / 2)
        return true; /* in use a moment ago: look again */
    uint64_t cpu = keeper_meter_cpu_us(&i->meters);
    /* The first look is where counting begins: after an answer the runtime turns its loop once, collects garbage. */
    bool busy = i->watch_looks > 0 && cpu - i->watch_cpu_us > ENGINE_WATCH_CPU_US;
    bool blind = i->meters.cpu < 0; /* nothing tells whether it works */
    i->watch_looks++;
    i->watch_cpu_us = cpu;
    i->noisy += busy ? 1 : 0;
    if (busy || blind || keeper_meter_tasks(&i->meters) > i->tasks_at_ready ||
        now_us - i->idle_since_us >= ENGINE_FREEZE_IDLE_MS * 1000ULL)
        instance_freeze(i);
    return !i->frozen;
}

static void on_watch(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    uint64_t now_us = clock_mono_us(), next_ms = 0;
    struct instance *i;
    DL_FOREACH2(engine->idle, i, idle_next)
    {
        if (i->frozen || !watch_instance(i, now_us))
            continue;
        if (i->watch_looks < ENGINE_WATCH_LOOKS)
            next_ms = ENGINE_WATCH_MS;
        else if (next_ms == 0)
            next_ms = ENGINE_FREEZE_IDLE_MS;
    }
    if (next_ms > 0)
        (void)uv_timer_start(&engine->watch_timer, on_watch, next_ms, 0);
}

static void on_idle_timer(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    uint64_t now_us = clock_mono_us(), idle_us = (uint64_t)engine->config.idle_ms * 1000;
    while (engine->idle != NULL && now_us - engine->idle->idle_since_us >= idle_us)
        instance_kill(engine->idle);
    arm_idle_timer(engine);
}

/* One timer for all: the list is in order of time. */
static void arm_idle_timer(struct engine *engine)
{
    if (engine->idle == NULL || engine->draining)
        return;
    uint64_t due_us = engine->idle->idle_since_us + (uint64_t)engine->config.idle_ms * 1000;
    uint64_t now_us = clock_mono_us();
    (void)uv_timer_start(&engine->idle_timer, on_idle_timer, due_us > now_us ? (due_us - now_us) / 1000 + 1 : 0, 0);
}

static void on_start_timer(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    struct instance *i, *next;
    HASH_ITER (hh, engine->instances, i, next) {
        if (i->state == INSTANCE_BUSY)
            report_start(i, i->invocation);
    }
}

void dispatch_start_lines_later(struct engine *engine)
{
    if (!uv_is_active((uv_handle_t *)&engine->start_timer))
        (void)uv_timer_start(&engine->start_timer, on_start_timer, ENGINE_START_LINE_MS, 0);
}

void dispatch_timers_init(struct engine *engine)
{
    uv_timer_t *timers[] = { &engine->idle_timer,   &engine->watch_timer, &engine->drain_timer,
                             &engine->refuse_timer, &engine->start_timer, &engine->retry_timer };
    for (size_t k = 0; k < sizeof(timers) / sizeof(timers[0]); k++) {
        (void)uv_timer_init(engine->loop, timers[k]);
        timers[k]->data = engine;
        engine->open_handles++;
    }
}

static void make_idle(struct instance *i)
{
    struct engine *engine = i->engine;
    if (i->state == INSTANCE_STARTING) {
        engine->starting--;
        i->pool->starting--;
    }
    (void)uv_timer_stop(&i->deadline);
    i->state = INSTANCE_IDLE;
    i->idle_since_us = clock_mono_us();
    i->watch_looks = 0;
    DL_PREPEND(i->pool->idle, i);
    DL_APPEND2(engine->idle, i, idle_prev, idle_next);
    engine->idle_count++;
    if (i->noisy >= ENGINE_NOISY_TIMES)
        instance_freeze(i);
    else if (!uv_is_active((uv_handle_t *)&engine->watch_timer) ||
             uv_timer_get_due_in(&engine->watch_timer) > ENGINE_WATCH_MS)
        (void)uv_timer_start(&engine->watch_timer, on_watch, ENGINE_WATCH_MS, 0);
    if (!uv_is_active((uv_handle_t *)&engine->idle_timer))
        arm_idle_timer(engine);
}

/* ---- work for an instance ---- */

static struct invocation *take_oldest(struct pool *pool)
{
    struct invocation *oldest = pool->waiting;
    if (oldest == NULL)
        return NULL;
    DL_DELETE(pool->waiting, oldest);
    pool->waiting_count--;
    pool->engine->waiting_count--;
    return oldest;
}

/* It is still the oldest. */
static void put_back(struct pool *pool, struct invocation *invocation)
{
    DL_PREPEND(pool->waiting, invocation);
    pool->waiting_count++;
    pool->engine->waiting_count++;
}

void dispatch_instance_ready(struct instance *i)
{
    struct engine *engine = i->engine;
    struct pool *pool = i->pool;
    bool worn = i->served && instance_key_ends(i);
    struct invocation *next = worn ? NULL : take_oldest(pool);
    if (next != NULL) {
        if (!instance_invoke(i, next)) {
            put_back(pool, next);
            dispatch_start_over(pool);
        }
    } else if (worn) {
        instance_kill(i);
        dispatch_start_over(pool);
    } else if (pool->retired || engine->draining) {
        instance_kill(i);
    } else {
        make_idle(i);
    }
    dispatch_pump(engine);
}

/* ---- starting ---- */

/* Room for one more: idle instances of others give way, the longest idle first. Room is there when they have gone (their
 * freeing pumps again); until then no more of them go than will be replaced. */
static bool make_room(struct engine *engine)
{
    if (engine->instance_count < engine->instances_max)
        return true;
    size_t may_start = engine->starts_max - engine->starting;
    size_t wanted = engine->waiting_count > engine->starting ? engine->waiting_count - engine->starting : 1;
    if (wanted > may_start)
        wanted = may_start;
    while (engine->idle != NULL && engine->stopping < wanted)
        instance_kill(engine->idle);
    return false;
}

/* false when the pool must wait its turn. */
static bool start_one(struct pool *pool)
{
    struct engine *engine = pool->engine;
    struct error err;
    if (!make_room(engine))
        return false;
    if (instance_start(pool, &err) == OK)
        return true;
    if (err.kind == ERROR_UNAVAILABLE) { /* the keeper is behind */
        engine_retry(engine);
        return false;
    }
    log_error("engine", &err, "could not start an instance");
    dispatch_refuse_oldest(pool, &err);
    return true;
}

void dispatch_pump(struct engine *engine)
{
    while (engine->start_queue != NULL && engine->starting < engine->starts_max && !engine->cutting) {
        struct pool *pool = engine->start_queue;
        if (pool->starting < pool->waiting_count && !start_one(pool))
            return;
        pool = engine->start_queue; /* a refusal may have changed the queue */
        if (pool == NULL)
            return;
        DL_DELETE(engine->start_queue, pool);
        pool->in_start_queue = false;
        if (pool->starting <
            pool->waiting_count) { /* to the back: a burst of one function does not starve the others */
            DL_APPEND(engine->start_queue, pool);
            pool->in_start_queue = true;
        } else {
            pool_maybe_free(pool);
        }
    }
}

static void want_start(struct pool *pool)
{
    if (!pool->in_start_queue && pool->starting < pool->waiting_count) {
        DL_APPEND(pool->engine->start_queue, pool);
        pool->in_start_queue = true;
    }
    dispatch_pump(pool->engine);
}

void dispatch_start_over(struct pool *pool)
{
    want_start(pool);
}

void dispatch_refuse_oldest(struct pool *pool, const struct error *err)
{
    struct invocation *oldest = take_oldest(pool);
    if (oldest != NULL)
        invocation_refuse(oldest, err, NULL);
}

void dispatch_fail_oldest(struct pool *pool, struct slice error_type, struct slice error_json,
                          struct instance *instance)
{
    struct invocation *oldest = take_oldest(pool);
    if (oldest == NULL)
        return;
    char type[128];
    (void)snprintf(type, sizeof(type), "%.*s", SLICE_PRINT(slice_sub(error_type, 0, sizeof(type) - 1)));
    for (char *c = type; *c != '\0'; c++) /* it goes into a log line, and a stranger wrote it */
        if (*c < ' ' || *c == '"' || *c == '\\' || *c == 0x7f)
            *c = '?';
    oldest->cold = true;
    oldest->started_wall_ms = clock_wall_ms();
    report_start(instance, oldest);
    report_end(instance, oldest, instance->init_us, "error", type);
    struct invocation_result result = {
        .status = INVOCATION_FUNCTION_ERROR,
        .payload = error_json,
        .log_tail = invocation_tail(oldest),
        .executed_version = slice_of(pool->function->version),
    };
    invocation_finish(oldest, &result);
}

/* ---- invoking ---- */

static enum outcome may_run(struct engine *engine, const struct tally *tally, const char **reason,
                            struct error *err)
{
    if (engine->draining)
        return error_set_code(err, ERROR_UNAVAILABLE, "ServiceException", "Retry: the server is being restarted.",
                              "the server is stopping and takes no new calls");
    return tally_admit(engine, tally, reason, err);
}

static struct invocation *invocation_new(struct engine *engine, const struct invocation_input *input,
                                         invocation_done_fn *done, void *arg)
{
    struct invocation *invocation = memory_new(sizeof(*invocation));
    (void)snprintf(invocation->request_id, sizeof(invocation->request_id), "%.*s",
                   SLICE_PRINT(slice_sub(input->request_id, 0, UUID_TEXT_BYTES - 1)));
    invocation->payload = buffer_take(input->payload);
    invocation->log_tail = input->log_tail;
    invocation->done = done;
    invocation->arg = arg;
    invocation->engine = engine;
    return invocation;
}

static void take_context(struct invocation *invocation, const struct invocation_input *input)
{
    if (input->trace.len > 0)
        invocation->trace = slice_dup(input->trace);
    if (input->client_context.len > 0)
        invocation->client_context = slice_dup(input->client_context);
    if (input->qualifier.len > 0) {
        struct buffer arn = BUFFER_EMPTY;
        buffer_appendf(&arn, "%s:%.*s", input->function->arn,
                       SLICE_PRINT(slice_sub(input->qualifier, 0, ENGINE_QUALIFIER_BYTES_MAX)));
        invocation->invoked_arn = slice_dup(buffer_slice(&arn));
        buffer_drop(&arn);
    }
}

struct invocation *engine_invoke(struct engine *engine, const struct invocation_input *input,
                                 invocation_done_fn *done, void *arg)
{
    struct error err;
    const char *reason = NULL;
    struct invocation *invocation = invocation_new(engine, input, done, arg);
    struct pool *pool = pool_of(engine, input->function);
    enum outcome may = may_run(engine, pool->tally, &reason, &err);
    engine->in_flight++;
    if (may != OK) {
        invocation_refuse(invocation, &err, reason);
        pool_maybe_free(pool); /* made for this call, when the function was replaced meanwhile */
        return invocation;
    }
    invocation->pool = pool;
    tally_enter(invocation, pool->tally);
    take_context(invocation, input);
    engine->invocations++;
    while (pool->idle != NULL) {
        if (instance_key_ends(pool->idle))
            instance_kill(pool->idle);
        else if (instance_invoke(pool->idle, invocation))
            return invocation;
    }
    DL_APPEND(pool->waiting, invocation);
    pool->waiting_count++;
    engine->waiting_count++;
    want_start(pool);
    return invocation;
}
