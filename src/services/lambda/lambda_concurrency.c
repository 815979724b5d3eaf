#include "services/lambda/lambda.h"

/* Reserved concurrency: a part of the account's limit that a function has for itself and never exceeds. */

static void reply_reserved(struct call *call, int64_t reserved)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    if (reserved >= 0)
        yyjson_mut_obj_add_sint(doc, root, "ReservedConcurrentExecutions", reserved);
    call_reply_json(call, 200, doc);
}

/* ---- PutFunctionConcurrency ---- */

struct reservation {
    uint32_t reserved;
};

static void reserved(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    struct call *call = arg;
    const struct reservation *wanted = call->data;
    (void)setting;
    if (outcome == OK)
        reply_reserved(call, wanted->reserved);
    else
        call_fail(call, err);
}

static enum outcome read_reserved(struct call *call, int64_t *out, struct error *err)
{
    static const char shown[] = "reservedConcurrentExecutions";
    yyjson_val *body = NULL, *value = NULL;
    AUTO(lambda_checks)
    struct lambda_checks checks = LAMBDA_CHECKS_EMPTY;
    TRY(call_json(call, &body, err));
    TRY(lambda_member(body, "ReservedConcurrentExecutions", LAMBDA_INTEGER, &value, err));
    int64_t number = 0;
    if (value == NULL)
        lambda_check_failed(&checks, shown, (struct slice){ NULL, 0 }, "Member must not be null");
    else {
        number = yyjson_is_uint(value) && yyjson_get_uint(value) > INT32_MAX ? INT32_MAX : yyjson_get_sint(value);
        lambda_check_range(&checks, shown, number, 0, INT32_MAX);
    }
    TRY(lambda_checks_result(&checks, err));
    *out = number;
    return OK;
}

static enum outcome put(struct call *call, struct error *err)
{
    struct lambda_target target = { SLICE_EMPTY, SLICE_EMPTY };
    int64_t wanted = 0;
    TRY(lambda_target_of(call, LAMBDA_NAME_FUNCTION, &target, err));
    if (target.qualifier.len > 0) /* recorded: here $LATEST is a qualifier as any other */
        return lambda_functions_only(err);
    TRY(read_reserved(call, &wanted, err));
    struct slice name = target.name;
    if (engine_find(call->engine, name) == NULL) /* recorded: here, and not when it is read, AWS names $LATEST */
        return lambda_not_found(call, name, SLICE("$LATEST"), err);
    int64_t before = engine_reserved(call->engine, name);
    int64_t left = (int64_t)engine_unreserved(call->engine) + (before > 0 ? before : 0) - wanted;
    if (left < (int64_t)engine_unreserved_min(call->engine))
        return error_set_code(
            err, ERROR_INVALID, "InvalidParameterValueException",
            "Reserve less, or take from another function first.",
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            "below its minimum value of [%u].",
            engine_unreserved_min(call->engine));
    struct reservation *reservation = arena_take(&call->arena, sizeof(*reservation));
    reservation->reserved = (uint32_t)wanted;
    call->data = reservation;
    engine_reserve(call->engine, lambda_keep(call, name), (uint32_t)wanted, reserved, call);
    return OK;
}

void lambda_put_function_concurrency(struct call *call)
{
    struct error err = { 0 };
    if (put(call, &err) != OK)
        call_fail(call, &err);
}

/* ---- GetFunctionConcurrency, DeleteFunctionConcurrency ---- */

void lambda_get_function_concurrency(struct call *call)
{
    struct error err = { 0 };
    struct function *f = NULL;
    if (lambda_find_unqualified(call, LAMBDA_NAME_FUNCTION, &f, &err) != OK)
        call_fail(call, &err);
    else
        reply_reserved(call, engine_reserved(call->engine, slice_of(f->name)));
}

static void freed(enum outcome outcome, const struct setting *setting, const struct error *err, void *arg)
{
    (void)setting;
    if (outcome == OK || err->kind == ERROR_NOT_FOUND) /* none was reserved: that is what was asked for */
        call_reply_empty(arg, 204);
    else
        call_fail(arg, err);
}

void lambda_delete_function_concurrency(struct call *call)
{
    struct error err = { 0 };
    struct function *f = NULL;
    if (lambda_find_unqualified(call, LAMBDA_NAME_FUNCTION, &f, &err) != OK)
        call_fail(call, &err);
    else if (engine_reserved(call->engine, slice_of(f->name)) < 0)
        call_reply_empty(call, 204);
    else
        engine_setting_delete(call->engine, lambda_keep(call, slice_of(f->name)), SETTING_CONCURRENCY,
                              SLICE("$LATEST"), SLICE_EMPTY, freed, call);
}
