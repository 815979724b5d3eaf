/* Whose call is whose. The account's limit is split: each reservation is its function's alone, what is left is everybody else's. So the sum of all
 * that runs stays within the limit, and a function with a reservation neither waits for the others nor crowds them out.
 * Calls are counted by function, not by version, and in an object of their own: they may outlive the function. */
#include <assert.h>

#include "engine/registry.h"

/* ---- tallies ---- */

struct tally *tally_new(void)
{
    struct tally *tally = memory_new(sizeof(*tally));
    *tally = (struct tally){ .references = 1, .reserved = -1 };
    return tally;
}

struct tally *tally_hold(struct tally *tally)
{
    tally->references++;
    return tally;
}

void tally_release(struct tally *tally)
{
    assert(tally->references > 0);
    if (--tally->references == 0)
        free(tally);
}

struct tally *tally_of(const struct engine *engine, const struct function *function)
{
    struct function_entry *entry = registry_find(engine, slice_of(function->name));
    return entry == NULL ? tally_new() : tally_hold(entry->tally); /* deleted since the caller found it */
}

enum outcome tally_admit(struct engine *engine, const struct tally *tally, const char **reason, struct error *err)
{
    bool reserved = tally->reserved >= 0;
    if (reserved ? tally->in_flight < (uint64_t)tally->reserved
                 : engine->unreserved_in_flight < engine_unreserved(engine))
        return OK;
    engine->throttles++;
    *reason = reserved ? "ReservedFunctionConcurrentInvocationLimitExceeded" : "ConcurrentInvocationLimitExceeded";
    return error_set_code(err, ERROR_THROTTLED, "TooManyRequestsException",
                          reserved ? "Retry later, or raise the function's reserved concurrency."
                                   : "Retry later, or raise `concurrency`.",
                          "Rate Exceeded.");
}

void tally_take_place(struct engine *engine, struct tally *tally)
{
    tally->in_flight++;
    if (tally->reserved < 0)
        engine->unreserved_in_flight++;
}

void tally_give_place(struct engine *engine, struct tally *tally)
{
    tally->in_flight--;
    if (tally->reserved < 0)
        engine->unreserved_in_flight--;
}

void tally_enter(struct invocation *invocation, struct tally *tally)
{
    invocation->tally = tally_hold(tally);
    tally_take_place(invocation->engine, tally);
}

void tally_leave(struct invocation *invocation)
{
    struct tally *tally = invocation->tally;
    if (tally == NULL)
        return;
    invocation->tally = NULL;
    tally_give_place(invocation->engine, tally);
    tally_release(tally);
}

/* What the account keeps free for it: the larger of what is and what is being written. */
void tally_claim(struct engine *engine, struct tally *tally, int64_t reserved)
{
    int64_t wanted = tally->reserved > reserved ? tally->reserved : reserved;
    if (wanted < 0)
        wanted = 0;
    engine->claimed += (uint64_t)wanted - (uint64_t)tally->claimed;
    tally->claimed = wanted;
}

void tally_set_reserved(struct engine *engine, struct tally *tally, int64_t reserved)
{
    if (tally->reserved < 0 && reserved >= 0)
        engine->unreserved_in_flight -= tally->in_flight;
    else if (tally->reserved >= 0 && reserved < 0)
        engine->unreserved_in_flight += tally->in_flight;
    engine->reserved -= tally->reserved > 0 ? (uint64_t)tally->reserved : 0;
    engine->reserved += reserved > 0 ? (uint64_t)reserved : 0;
    tally->reserved = reserved;
    tally_claim(engine, tally, reserved);
}

/* ---- reservations ---- */

int64_t engine_reserved(const struct engine *engine, struct slice name)
{
    const struct function_entry *entry = registry_find(engine, name);
    return entry == NULL ? -1 : entry->tally->reserved;
}

uint32_t engine_unreserved_min(const struct engine *engine)
{
    uint32_t tenth = engine->limit / 10;
    if (tenth == 0 && engine->limit > 0)
        tenth = 1;
    return tenth < ENGINE_UNRESERVED_MIN ? tenth : ENGINE_UNRESERVED_MIN;
}

/* A limit that was lowered since may be below what was reserved: the others keep their minimum then. */
uint32_t engine_unreserved(const struct engine *engine)
{
    uint32_t least = engine_unreserved_min(engine);
    return engine->reserved + least > engine->limit ? least : engine->limit - (uint32_t)engine->reserved;
}

static enum outcome may_reserve(struct engine *engine, const struct function_entry *entry, uint32_t reserved,
                                struct error *err)
{
    const struct tally *tally = entry->tally;
    uint64_t others = engine->claimed - (uint64_t)tally->claimed;
    if (tally->changing)
        return error_set_code(
            err, ERROR_CONFLICT, "ResourceConflictException", "Retry when it has ended.",
            "The operation cannot be performed at this time. An update is in progress for resource: "
            "%s",
            entry->latest->arn);
    if (others + reserved + engine_unreserved_min(engine) > engine->limit)
        return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException",
                              "Reserve less, or raise the server's `concurrency`.",
                              "Specified ReservedConcurrentExecutions for function decreases account's "
                              "UnreservedConcurrentExecution below its minimum value of [%u].",
                              engine_unreserved_min(engine));
    return OK;
}

void engine_reserve(struct engine *engine, struct slice name, uint32_t reserved, setting_saved_fn *done, void *arg)
{
    struct error err = { 0 };
    struct function_entry *entry = registry_find(engine, name);
    bool may = false;
    if (entry == NULL || entry->latest == NULL)
        registry_error_function(engine, name, SLICE("$LATEST"), &err);
    else
        may = may_reserve(engine, entry, reserved, &err) == OK;
    settings_put_reserved(engine, name, reserved, may ? NULL : &err, done, arg);
}
