#include "world.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the invariants ---- */

static void check_pool(const struct pool *pool)
{
    size_t idle = 0, waiting = 0;
    const struct instance *i;
    const struct invocation *w;
    DL_FOREACH (pool->idle, i) {
        assert_int_equal(i->state, INSTANCE_IDLE);
        assert_ptr_equal(i->pool, pool);
        idle++;
    }
    DL_FOREACH (pool->waiting, w) {
        assert_ptr_equal(w->pool, pool);
        assert_null(w->instance);
        waiting++;
    }
    assert_int_equal(waiting, pool->waiting_count);
    assert_true(idle == 0 || waiting == 0); /* nobody waits beside an instance that is free */
    if (waiting > 0)                        /* and nobody is forgotten */
        assert_true(pool->starting >= waiting || pool->in_start_queue);
}

/* Each tally counts its own calls, and its instances that work on after one; together they are those that have not been refused. */
static void check_tallies(const struct engine *engine, size_t refused, size_t working)
{
    size_t unreserved = engine->in_flight - refused + working;
    uint64_t reserved = 0;
    struct function_entry *entry, *following;
    HASH_ITER (hh, engine->functions, entry, following) {
        const struct tally *tally = entry->tally;
        assert_true(tally->claimed >= tally->reserved);
        if (tally->reserved < 0)
            continue;
        reserved += (uint64_t)tally->reserved;
        unreserved -= tally->in_flight;
    }
    assert_int_equal(unreserved, engine->unreserved_in_flight);
    assert_int_equal(reserved, engine->reserved);
    assert_true(engine->claimed >= engine->reserved);
}

void world_check(struct world *world)
{
    struct engine *engine = world->engine;
    if (engine == NULL)
        return;
    size_t count[INSTANCE_STATE_COUNT] = { 0 }, total = 0, refused = 0, idle = 0, working = 0;
    struct instance *i, *next;
    HASH_ITER (hh, engine->instances, i, next) {
        count[i->state]++;
        working += i->settle_works;
        assert_true(!i->settle_works || i->state == INSTANCE_SETTLING);
        total++;
        assert_true((i->state == INSTANCE_BUSY) == (i->invocation != NULL));
        if (i->invocation != NULL)
            assert_ptr_equal(i->invocation->instance, i);
        check_pool(i->pool);
    }
    DL_FOREACH2(engine->idle, i, idle_next)
    idle++;
    const struct invocation *r;
    DL_FOREACH (engine->refused, r)
        refused++;
    struct function_entry *entry, *following;
    HASH_ITER (hh, engine->functions, entry, following) {
        assert_true(entry->latest == NULL || entry->latest->version_number == 0);
        if (entry->latest != NULL && entry->latest->pool != NULL)
            check_pool(entry->latest->pool);
        for (size_t k = 0; k < entry->version_count; k++) {
            assert_true(k == 0 || entry->versions[k - 1]->version_number < entry->versions[k]->version_number);
            if (entry->versions[k]->pool != NULL)
                check_pool(entry->versions[k]->pool);
        }
    }
    check_tallies(engine, refused, working);
    assert_int_equal(total, engine->instance_count);
    assert_int_equal(count[INSTANCE_STARTING], engine->starting);
    assert_int_equal(count[INSTANCE_IDLE], engine->idle_count);
    assert_int_equal(idle, engine->idle_count);
    assert_int_equal(engine->in_flight, count[INSTANCE_BUSY] + engine->waiting_count + refused);
    assert_true(engine->starting <= engine->starts_max);
    assert_true(engine->instance_count <= engine->instances_max);
    struct engine_figures figures;
    engine_figures(engine, &figures);
    assert_int_equal(figures.busy, count[INSTANCE_BUSY]);
}

void world_turn_once(struct world *world, uv_run_mode mode)
{
    uv_run(&world->loop, mode);
    world_check(world);
}

void world_settle(struct world *world)
{
    for (int k = 0; k < 5; k++)
        world_turn_once(world, UV_RUN_NOWAIT);
}

/* ---- a life ---- */

static size_t descriptors_open(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void on_pulse(uv_timer_t *timer)
{
    (void)timer;
}

int world_setup(void **state)
{
    alarm(WORLD_SECONDS_MAX);
    (void)signal(SIGPIPE, SIG_IGN);
    struct world *world = memory_new(sizeof(*world));
    the_world = world;
    uv_loop_t warm; /* libuv keeps a few descriptors of its own from its first loop on */
    (void)uv_loop_init(&warm);
    (void)uv_loop_close(&warm);
    world->descriptors_before = descriptors_open();
    (void)uv_loop_init(&world->loop);
    (void)uv_timer_init(&world->loop, &world->pulse);
    (void)uv_timer_start(&world->pulse, on_pulse, WORLD_PULSE_MS, WORLD_PULSE_MS);
    world->link.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    world->config = (struct engine_config){
        .account = "000000000000",
        .region = "us-east-1",
        .idle_ms = 3600 * 1000,
        .init_timeout_ms = 3600 * 1000,
        .concurrency = 100,
        .keeper_config = &world->keeper_config,
        .link = &world->link,
        .api_open = world_api_open,
        .api_close = world_api_close,
        .keeper_lost = world_keeper_lost,
        .arg = world,
    };
    struct error err;
    assert_int_equal(engine_open(&world->loop, &world->config, &world->engine, &err), OK);
    world->engine->starts_max = 4;
    world->engine->instances_max = 100;
    *state = world;
    return 0;
}

static void on_drained(void *arg)
{
    ((struct world *)arg)->drained = true;
}

void world_drain(struct world *world, uint32_t grace_ms)
{
    engine_drain(world->engine, grace_ms, on_drained, world);
}

static void sandbox_free(struct sandbox *sandbox)
{
    fd_drop(&sandbox->channel);
    fd_drop(&sandbox->out);
    fd_drop(&sandbox->err);
    buffer_drop(&sandbox->in);
    buffer_drop(&sandbox->payload);
    buffer_drop(&sandbox->arn);
    buffer_drop(&sandbox->trace);
    buffer_drop(&sandbox->context);
    free(sandbox->environment);
}

/* What its rows hold beside the package of $LATEST. */
static size_t rows_references(const struct function_entry *entry)
{
    size_t count = entry->latest->layer_count + entry->version_count;
    for (size_t k = 0; k < entry->version_count; k++)
        count += entry->versions[k]->layer_count;
    return count;
}

void world_end(struct world *world)
{
    struct engine *engine = world->engine;
    world_check(world);
    assert_int_equal(engine->in_flight, 0);
    assert_int_equal(engine->instance_count, 0);
    assert_int_equal(engine->starting, 0);
    assert_int_equal(engine->idle_count, 0);
    assert_int_equal(engine->waiting_count, 0);
    assert_int_equal(engine->changes, 0);
    assert_int_equal(engine->unsent_count, 0);
    assert_null(engine->refused);
    assert_null(engine->start_queue);
    size_t functions = engine->function_count, references = 0;
    for (size_t k = 0; k < engine->function_count; k++)
        functions += rows_references(engine->sorted[k]);
    engine_free(engine);
    world->engine = NULL;
    world->packages_closed = true;
    for (size_t k = 0; k < world->package_count; k++)
        references += world->packages[k].references;
    assert_true(world->rows_loaded || references == functions); /* the rows' own; no pool, no change */
}

int world_teardown(void **state)
{
    struct world *world = *state;
    if (world->engine != NULL) {
        world->kills_wait = false;
        for (size_t k = 0; k < world->sandbox_count; k++) /* those that were told already */
            if (world->sandboxes[k].kills > 0 && !world->sandboxes[k].ended)
                world_exits(world, &world->sandboxes[k], SIGKILL, false);
        if (!world->drained)
            world_drain(world, 0);
        world_run_until(world, world->drained);
        world_end(world);
    }
    uv_close((uv_handle_t *)&world->pulse, NULL);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    for (size_t k = 0; k < world->call_count; k++) {
        struct call *call = &world->calls[k];
        assert_int_equal(call->answers, call->abandoned ? 0 : 1);
        buffer_drop(&call->payload);
        buffer_drop(&call->tail);
    }
    assert_int_equal(world->api_open, 0);
    assert_int_equal(world->key_count, 0);
    for (size_t k = 0; k < world->sandbox_count; k++)
        sandbox_free(&world->sandboxes[k]);
    buffer_drop(&world->log);
    fd_drop(&world->link.fd);
    assert_int_equal(descriptors_open(), world->descriptors_before);
    free(world);
    alarm(0);
    return 0;
}

/* ---- functions ---- */

static void on_saved(enum outcome outcome, struct function *function, const struct error *err, void *arg)
{
    struct saved *saved = arg;
    saved->answers++;
    saved->outcome = outcome;
    if (outcome != OK) {
        assert_null(function);
        saved->kind = err->kind;
        (void)snprintf(saved->code, sizeof(saved->code), "%s", err->code);
    }
}

void world_begin_create(struct world *world, const char *name, uint32_t timeout_s, struct saved *saved)
{
    struct function *draft = function_new();
    struct buffer zip = BUFFER_EMPTY;
    char group[128];
    (void)snprintf(group, sizeof(group), "/aws/lambda/%s", name);
    draft->name = memory_text(name);
    draft->handler = memory_text("index.handler");
    draft->role = memory_text("arn:aws:iam::000000000000:role/hearth-basic");
    draft->log_group = memory_text(group);
    draft->runtime = world->provided ? &the_provided : &the_runtime;
    draft->timeout_s = timeout_s;
    *saved = (struct saved){ 0 };
    engine_create(world->engine, &draft, &zip, on_saved, saved);
    assert_int_equal(saved->answers, 0); /* never from inside */
}

struct function *world_function_of(struct world *world, const char *name, uint32_t timeout_s)
{
    struct saved saved;
    world_begin_create(world, name, timeout_s, &saved);
    world_run_until(world, saved.answers > 0);
    assert_int_equal(saved.outcome, OK);
    return engine_find(world->engine, slice_of(name));
}

struct function *world_function(struct world *world, const char *name)
{
    return world_function_of(world, name, FUNCTION_TIMEOUT_S_MAX);
}

void world_begin_update_code(struct world *world, const char *name, struct saved *saved)
{
    struct buffer zip = BUFFER_EMPTY;
    *saved = (struct saved){ 0 };
    engine_update_code(world->engine, slice_of(name), &zip, SLICE_EMPTY, SLICE_EMPTY, false, on_saved, saved);
    assert_int_equal(saved->answers, 0);
}

void world_begin_update_configuration(struct world *world, const char *name, struct saved *saved)
{
    struct function *draft = function_copy(engine_find(world->engine, slice_of(name)));
    *saved = (struct saved){ 0 };
    engine_update_configuration(world->engine, &draft, SLICE_EMPTY, on_saved, saved);
    assert_int_equal(saved->answers, 0);
}

struct saved world_update_code(struct world *world, const char *name)
{
    struct saved saved;
    world_begin_update_code(world, name, &saved);
    world_run_until(world, saved.answers > 0);
    return saved;
}

struct saved world_delete(struct world *world, const char *name)
{
    struct saved saved = { 0 };
    engine_delete(world->engine, slice_of(name), on_saved, &saved);
    assert_int_equal(saved.answers, 0);
    world_run_until(world, saved.answers > 0);
    return saved;
}

/* ---- calls ---- */

static void on_done(const struct invocation_result *result, void *arg)
{
    struct call *call = arg;
    assert_false(call->abandoned);
    call->invocation = NULL;
    call->answers++;
    call->order = ++call->world->answered;
    call->status = result->status;
    buffer_append_slice(&call->payload, result->payload);
    buffer_append_slice(&call->tail, result->log_tail);
    (void)snprintf(call->version, sizeof(call->version), "%.*s", SLICE_PRINT(result->executed_version));
    if (result->status == INVOCATION_REFUSED) {
        call->kind = result->error->kind;
        memcpy(call->code, result->error->code, sizeof(call->code));
        (void)snprintf(call->reason, sizeof(call->reason), "%s", result->reason == NULL ? "" : result->reason);
    }
    if (call->then != NULL)
        call->then(call);
}

struct call *world_invoke_with(struct world *world, const struct invocation_input *input)
{
    assert(world->call_count < WORLD_CALLS_MAX);
    struct call *call = &world->calls[world->call_count++];
    call->world = world;
    call->invocation = engine_invoke(world->engine, input, on_done, call);
    assert_int_equal(call->answers, 0); /* never from inside */
    return call;
}

struct call *world_invoke(struct world *world, struct function *function, const char *payload)
{
    struct buffer bytes = BUFFER_EMPTY;
    char id[UUID_TEXT_BYTES];
    uuid_make(id);
    buffer_append_text(&bytes, payload);
    struct invocation_input input = {
        .function = function, .request_id = slice_of(id), .payload = &bytes, .log_tail = true
    };
    return world_invoke_with(world, &input);
}

void world_wait(struct world *world, struct call *call)
{
    world_run_until(world, call->answers > 0);
}

void world_abandon(struct call *call)
{
    call->abandoned = true;
    invocation_abandon(call->invocation);
}

void world_call_ended(struct call *call, enum invocation_status status, const char *payload)
{
    assert_int_equal(call->answers, 1);
    assert_int_equal(call->status, status);
    assert_string_equal(buffer_text(&call->payload), payload);
    assert_string_equal(call->version, "$LATEST");
}

void world_call_failed(struct call *call, const char *error_type)
{
    char wanted[128];
    (void)snprintf(wanted, sizeof(wanted), "{\"errorType\":\"%s\"", error_type);
    assert_int_equal(call->answers, 1);
    assert_int_equal(call->status, INVOCATION_FUNCTION_ERROR);
    assert_true(slice_starts(buffer_slice(&call->payload), slice_of(wanted)));
}

void world_call_refused(struct call *call, enum error_kind kind)
{
    assert_int_equal(call->answers, 1);
    assert_int_equal(call->status, INVOCATION_REFUSED);
    assert_int_equal(call->kind, kind);
}

/* ---- the keeper's and the sandbox's part ---- */

struct sandbox *world_sandbox(struct world *world, size_t number)
{
    world_run_until(world, world->sandbox_count >= number);
    return &world->sandboxes[number - 1];
}

struct instance *world_instance(struct world *world, const struct sandbox *sandbox)
{
    struct instance *instance = NULL;
    HASH_FIND(hh, world->engine->instances, &sandbox->id, sizeof(sandbox->id), instance);
    return instance;
}

void world_starts(struct world *world, struct sandbox *sandbox)
{
    struct keeper_event event = { .type = KEEPER_STARTED,
                                  .id = sandbox->id,
                                  .meters = { -1, -1, -1, -1, -1, -1, 2 },
                                  .api_listener = open("/dev/null", O_RDONLY | O_CLOEXEC),
                                  .runtime_listener = -1 };
    if (sandbox->provided) {
        struct error err;
        struct sockaddr_in at;
        socklen_t len = sizeof(at);
        assert_int_equal(http_bind("127.0.0.1:0", &event.runtime_listener, &err), OK);
        assert_int_equal(listen(event.runtime_listener, 16), 0); /* as the keeper does: who connects early waits */
        assert_int_equal(getsockname(event.runtime_listener, (struct sockaddr *)&at, &len), 0);
        sandbox->runtime_port = ntohs(at.sin_port);
    }
    event.meters.memory_peak = open("/dev/null", O_RDONLY | O_CLOEXEC);
    event.meters.cpu = open("/dev/null", O_RDONLY | O_CLOEXEC);
    event.meters.freeze = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sandbox->started = true;
    world_says(world, &event);
}

static void sandbox_ends(struct sandbox *sandbox)
{
    assert_false(sandbox->ended);
    sandbox->ended = true;
    fd_drop(&sandbox->channel);
    fd_drop(&sandbox->out);
    fd_drop(&sandbox->err);
}

static void start_fails(struct world *world, struct sandbox *sandbox, const char *message, bool entry_refused)
{
    struct keeper_event event = { .type = KEEPER_START_FAILED,
                                  .id = sandbox->id,
                                  .api_listener = -1,
                                  .runtime_listener = -1,
                                  .entry_refused = entry_refused };
    (void)snprintf(event.message, sizeof(event.message), "%s", message);
    sandbox_ends(sandbox);
    world_says(world, &event);
}

void world_start_fails(struct world *world, struct sandbox *sandbox, const char *message)
{
    start_fails(world, sandbox, message, false);
}

void world_entry_refused(struct world *world, struct sandbox *sandbox, const char *message)
{
    start_fails(world, sandbox, message, true);
}

void world_exits(struct world *world, struct sandbox *sandbox, int wait_status, bool out_of_memory)
{
    struct keeper_event event = { .type = KEEPER_EXITED,
                                  .id = sandbox->id,
                                  .api_listener = -1,
                                  .runtime_listener = -1,
                                  .wait_status = wait_status,
                                  .oom_killed = out_of_memory };
    sandbox_ends(sandbox);
    world_says(world, &event);
}

void world_gone(struct world *world, struct sandbox *sandbox)
{
    world_run_until(world, world_instance(world, sandbox) == NULL);
}

void world_send(struct sandbox *sandbox, struct slice bytes)
{
    struct error err;
    assert_int_equal(fd_write_all(sandbox->channel, bytes, &err), OK);
}

static struct buffer frame_of(enum frame_type type, uint32_t sequence, struct slice body)
{
    struct buffer frame = BUFFER_EMPTY;
    buffer_append_u32(&frame, (uint32_t)body.len);
    buffer_append_u32(&frame, sequence);
    buffer_append_byte(&frame, (char)type);
    buffer_append_byte(&frame, CHANNEL_VERSION);
    buffer_append_u16(&frame, 0);
    buffer_append_slice(&frame, body);
    return frame;
}

void world_frame(struct sandbox *sandbox, enum frame_type type, uint32_t sequence, struct slice body)
{
    struct buffer frame = frame_of(type, sequence, body);
    world_send(sandbox, buffer_slice(&frame));
    buffer_drop(&frame);
}

void world_frame_bytewise(struct world *world, struct sandbox *sandbox, enum frame_type type, uint32_t sequence,
                          struct slice body)
{
    struct buffer frame = frame_of(type, sequence, body);
    for (size_t k = 0; k < frame.len; k++) {
        world_send(sandbox, slice_sub(buffer_slice(&frame), k, 1));
        world_turn_once(world, UV_RUN_NOWAIT);
    }
    buffer_drop(&frame);
}

void world_frame_error(struct sandbox *sandbox, enum frame_type type, uint32_t sequence, const char *error_type,
                       const char *json)
{
    struct buffer body = BUFFER_EMPTY;
    buffer_append_u16(&body, (uint16_t)strlen(error_type));
    buffer_append_text(&body, error_type);
    buffer_append_text(&body, json);
    world_frame(sandbox, type, sequence, buffer_slice(&body));
    buffer_drop(&body);
}

void world_ready(struct sandbox *sandbox)
{
    world_frame(sandbox, FRAME_READY, 0, SLICE("\x10\x27\x00\x00"));
}

void world_boots(struct world *world, struct sandbox *sandbox)
{
    world_starts(world, sandbox);
    world_ready(sandbox);
}

static bool take_text(struct cursor *c, bool wide, struct buffer *out)
{
    uint32_t len = 0;
    uint16_t len16 = 0;
    struct slice text = SLICE_EMPTY;
    if (wide ? !cursor_u32(c, &len) : !cursor_u16(c, &len16))
        return false;
    if (!cursor_bytes(c, wide ? len : len16, &text))
        return false;
    if (out != NULL) {
        buffer_reset(out);
        buffer_append_slice(out, text);
    }
    return true;
}

static void sandbox_reads(struct sandbox *sandbox)
{
    char bytes[64 * 1024];
    ssize_t got;
    while (sandbox->channel >= 0 && (got = recv(sandbox->channel, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        buffer_append(&sandbox->in, bytes, (size_t)got);
}

bool world_has_invoke(struct world *world, struct sandbox *sandbox)
{
    (void)world;
    sandbox_reads(sandbox);
    struct cursor c = cursor_of(buffer_slice(&sandbox->in));
    uint32_t length = 0;
    struct slice rest = SLICE_EMPTY;
    return cursor_u32(&c, &length) && cursor_bytes(&c, CHANNEL_HEAD_BYTES - 4 + (size_t)length, &rest);
}

void world_takes(struct world *world, struct sandbox *sandbox)
{
    world_run_until(world, world_has_invoke(world, sandbox)); /* the engine writes inside its loop; we only look */
    struct cursor c = cursor_of(buffer_slice(&sandbox->in));
    uint32_t length = 0;
    uint8_t type = 0, version = 0;
    uint16_t zero = 1;
    assert_true(cursor_u32(&c, &length) && cursor_u32(&c, &sandbox->sequence) && cursor_u8(&c, &type) &&
                cursor_u8(&c, &version) && cursor_u16(&c, &zero));
    assert_int_equal(type, FRAME_INVOKE);
    assert_int_equal(version, CHANNEL_VERSION);
    assert_int_equal(zero, 0);
    c.end = c.at + length;
    assert_true(cursor_u64(&c, &sandbox->deadline_ms));
    assert_true(take_text(&c, false, NULL) && take_text(&c, false, &sandbox->arn) &&
                take_text(&c, false, &sandbox->trace) && take_text(&c, true, &sandbox->context) &&
                take_text(&c, false, NULL));
    buffer_reset(&sandbox->payload);
    buffer_append_slice(&sandbox->payload, cursor_rest(&c));
    buffer_consume(&sandbox->in, CHANNEL_HEAD_BYTES + (size_t)length);
}

void world_answers(struct sandbox *sandbox, const char *payload)
{
    world_frame(sandbox, FRAME_DONE, sandbox->sequence, slice_of(payload));
}

void world_prints(struct sandbox *sandbox, const char *text)
{
    struct error err;
    assert_int_equal(fd_write_all(sandbox->out, slice_of(text), &err), OK);
}

struct sandbox *world_warm(struct world *world, struct function *function)
{
    struct call *call = world_invoke(world, function, "{}");
    struct sandbox *sandbox = world_sandbox(world, world->sandbox_count);
    world_boots(world, sandbox);
    world_takes(world, sandbox);
    world_answers(sandbox, "\"warm\"");
    world_wait(world, call);
    world_call_ended(call, INVOCATION_SUCCEEDED, "\"warm\"");
    world_run_until(world, world_instance(world, sandbox)->state == INSTANCE_IDLE);
    return sandbox;
}
