/* Whatever happens, in whatever order: thousands of steps that a fixed seed chooses, the invariants after each, and at the
 * end everybody has been answered once and nothing is left. The seeds are numbers, so that a failure can be run again. */
#include "world.h"

enum { SEEDS = 40, STEPS = 400, FUNCTIONS = 3 };

static uint32_t chance_state;

static uint32_t chance(uint32_t below) /* xorshift: the same everywhere */
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 17;
    chance_state ^= chance_state << 5;
    return chance_state % below;
}

/* $LATEST, or one of its versions. */
static struct function *some_function(struct world *world)
{
    char name[2] = { (char)('a' + chance(FUNCTIONS)), '\0' };
    struct function *all[16];
    bool more;
    size_t count = engine_list_versions(world->engine, slice_of(name), UINT64_MAX, 16, all, &more);
    return all[chance(2) == 0 ? 0 : chance((uint32_t)count)];
}

static void on_version(enum outcome outcome, struct function *function, const struct error *err, void *arg)
{
    (void)outcome, (void)function, (void)err;
    ++*(size_t *)arg;
}

static void on_setting(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    (void)outcome, (void)setting, (void)err;
    ++*(size_t *)arg;
}

/* Publishes, deletes a version, reserves, takes a reservation back, or gives new tags. */
static void a_function_changes(struct world *world, size_t *answers)
{
    struct function *some = some_function(world);
    struct slice name = slice_of(some->name);
    switch (chance(5)) {
    case 0:
        engine_publish(world->engine, name, NULL, SLICE_EMPTY, SLICE_EMPTY, on_version, answers);
        break;
    case 1:
        engine_delete_version(world->engine, name, some->version_number, on_version, answers);
        break;
    case 2:
        engine_reserve(world->engine, name, chance(8), on_setting, answers);
        break;
    case 3:
        engine_setting_delete(world->engine, name, SETTING_CONCURRENCY, SLICE_EMPTY, SLICE_EMPTY, on_setting,
                              answers);
        break;
    default:
        engine_put_tags(world->engine, name, NULL, 0, on_version, answers);
    }
}

static void calls_sometimes_again(struct call *call)
{
    struct world *world = call->world;
    if (world->engine != NULL && world->call_count < WORLD_CALLS_MAX - 8 && chance(4) == 0)
        world_invoke(world, some_function(world), "{}")->then = calls_sometimes_again;
}

/* One sandbox does something: mostly what it should. */
static void sandbox_acts(struct world *world, struct sandbox *sandbox)
{
    bool ready = world_instance(world, sandbox) != NULL && world_instance(world, sandbox)->ready;
    uint32_t what = chance(100);
    if (sandbox->ended)
        return;
    if (what < 3) {
        world_exits(world, sandbox, (int)chance(2) * 9, chance(2) == 0);
    } else if (what < 5 && sandbox->channel >= 0) {
        world_send(sandbox, SLICE("nonsense, whole sentences of it"));
    } else if (what < 7) {
        fd_drop(&sandbox->channel);
        sandbox->in.len = 0;
    } else if (!sandbox->started && what < 12) {
        world_start_fails(world, sandbox, "by chance");
    } else if (!sandbox->started) {
        world_starts(world, sandbox);
    } else if (sandbox->channel < 0) {
        return; /* it hides */
    } else if (!ready && what < 20) {
        world_frame_error(sandbox, FRAME_INIT_FAILED, 0, "E", "{}");
    } else if (!ready) {
        world_ready(sandbox);
    } else if (world_has_invoke(world, sandbox)) {
        world_takes(world, sandbox);
        world_prints(sandbox, "half ");
        if (what < 85)
            world_answers(sandbox, "1");
        else
            world_frame_error(sandbox, what < 95 ? FRAME_FAILED : FRAME_FATAL, sandbox->sequence, "E", "{}");
        if (what > 90 && !sandbox->ended)
            world_exits(world, sandbox, 0, false); /* both are there before the engine looks */
    }
}

struct kin { /* changes of versions, reservations and tags */
    size_t begun, answers;
};

static void something_happens(struct world *world, struct saved *saved, size_t *changes, struct kin *kin)
{
    uint32_t what = chance(100);
    if (what < 25 && world->call_count < WORLD_CALLS_MAX - 8) {
        struct call *call = world_invoke(world, some_function(world), "{}");
        call->then = calls_sometimes_again;
        if (chance(10) == 0)
            world_abandon(call);
    } else if (what < 75 && world->sandbox_count > 0) {
        size_t recent = world->sandbox_count < 12 ? world->sandbox_count : 12;
        struct sandbox *sandbox = &world->sandboxes[world->sandbox_count - 1 - chance((uint32_t)recent)];
        /* EPIPE: the engine has closed its end already */
        if (sandbox->ended || world_instance(world, sandbox) == NULL ||
            world_instance(world, sandbox)->channel_open)
            sandbox_acts(world, sandbox);
    } else if (what < 78 && *changes < 20) {
        char name[2] = { (char)('a' + chance(FUNCTIONS)), '\0' };
        if (chance(2) == 0)
            world_begin_update_code(world, name, &saved[(*changes)++]);
        else
            world_begin_update_configuration(world, name, &saved[(*changes)++]);
    } else if (what >= 95) {
        kin->begun++;
        a_function_changes(world, &kin->answers);
    } else if (what < 80) {
        world->starts_behind = chance(3);
        world->kills_behind = chance(3);
        world->readies_behind = chance(3);
        world->starts_broken = chance(2);
    } else if (what < 82) {
        world->engine->config.idle_ms = chance(2) == 0 ? 0 : 3600 * 1000;
    } else {
        world_turn_once(world, UV_RUN_NOWAIT);
    }
    if (what % 3 == 0)
        world_turn_once(world, UV_RUN_NOWAIT);
}

static void one_life(uint32_t seed)
{
    void *state = NULL;
    world_setup(&state);
    struct world *world = state;
    struct saved saved[20] = { 0 };
    size_t changes = 0;
    struct kin kin = { 0 };
    chance_state = seed * 2654435761u + 1;
    for (size_t k = 0; k < FUNCTIONS; k++)
        (void)world_function_of(world, (char[]){ (char)('a' + k), '\0' }, chance(2) * FUNCTION_TIMEOUT_S_MAX);
    world->engine->instances_max = 3 + chance(6);
    world->engine->limit = 5 + chance(20);
    for (size_t step = 0; step < STEPS && world->sandbox_count < WORLD_SANDBOXES_MAX - 32; step++)
        something_happens(world, saved, &changes, &kin);
    world->starts_broken = 0;
    world_drain(world, chance(3));
    world_run_until(world, world->drained);
    for (size_t k = 0; k < changes; k++)
        assert_int_equal(saved[k].answers, 1);
    assert_int_equal(kin.answers, kin.begun);
    world_teardown(&state);
}

static void whatever_happens_everybody_is_answered_once_and_nothing_is_left(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        print_message("seed %u\n", seed);
        one_life(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_everybody_is_answered_once_and_nothing_is_left),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
