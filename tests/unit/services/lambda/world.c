#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#include "events/async_queue.h"
#include "services/code_link.h"

/* ---- the world ---- */

static void forget_answer(struct world *world)
{
    world->replies = 0;
    world->status = 0;
    buffer_reset(&world->answer);
    world->error = (struct error){ 0 };
    world->exchange.added_count = 0;
}

static void forget_request(struct world *world)
{
    struct engine *engine = &world->engine;
    function_drop(&engine->draft);
    buffer_drop(&engine->zip);
    buffer_drop(&engine->payload);
    variables_free(engine->tags, engine->tag_count);
    engine->tags = NULL;
    engine->tag_count = 0;
    engine->asked = ASKED_NOTHING;
    json_doc_drop(&world->call.json.doc);
    buffer_drop(&world->body);
    arena_drop(&world->call.arena);
    world->exchange.sent_count = 0;
}

void world_init(struct world *world)
{
    memset(world, 0, sizeof(*world));
    world->engine.reserved = -1;
    world_call(world, "GET", "");
}

void world_done(struct world *world)
{
    forget_request(world);
    buffer_drop(&world->answer);
    for (size_t i = 0; i < world->engine.count; i++)
        function_release(world->engine.functions[i]);
    for (size_t i = 0; i < world->engine.version_count; i++)
        function_release(world->engine.versions[i]);
    for (size_t i = 0; i < world->engine.alias_count; i++) {
        free(world->engine.aliases[i].qualifier);
        alias_free(world->engine.aliases[i].alias);
    }
}

static char *replace(char *old, const char *text)
{
    free(old);
    return memory_text(text);
}

struct function *world_add_function(struct world *world, const char *name)
{
    char group[128];
    struct function *f = function_new();
    f->name = replace(f->name, name);
    f->runtime = runtime_find(SLICE("nodejs20.x"));
    f->handler = replace(f->handler, "index.handler");
    f->role = replace(f->role, "arn:aws:iam::000000000000:role/hearth-basic");
    snprintf(group, sizeof(group), "/aws/lambda/%s", name);
    f->log_group = replace(f->log_group, group);
    snprintf(f->code_sha256, sizeof(f->code_sha256), "%s", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    f->code_bytes = 276;
    snprintf(f->revision_id, sizeof(f->revision_id), "%s", "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    f->modified_ms = 1706702400123;
    snprintf(f->arn, sizeof(f->arn), "arn:aws:lambda:us-east-1:000000000000:function:%s", name);
    world->engine.functions[world->engine.count++] = f;
    return f;
}

struct function *world_add_version(struct world *world, const char *name, uint64_t number)
{
    char text[24];
    struct function *f = function_copy(engine_find(&world->engine, slice_of(name)));
    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    f->version = replace(f->version, text);
    f->version_number = number;
    snprintf(f->revision_id, sizeof(f->revision_id), "00000000-0000-4000-8000-%012llu", (unsigned long long)number);
    world->engine.versions[world->engine.version_count++] = f;
    return f;
}

struct setting *world_add_alias(struct world *world, const char *name, uint64_t version, uint64_t other,
                                double weight)
{
    struct setting *setting = &world->engine.aliases[world->engine.alias_count++];
    *setting = (struct setting){ .kind = SETTING_ALIAS, .qualifier = memory_text(name) };
    snprintf(setting->revision_id, sizeof(setting->revision_id), "aaaaaaaa-0000-4000-8000-%012llu",
             (unsigned long long)world->engine.alias_count);
    setting->alias = memory_new(sizeof(*setting->alias));
    *setting->alias = (struct alias){ memory_text("points somewhere"), version, other, weight };
    return setting;
}

void world_call(struct world *world, const char *method, const char *body)
{
    (void)method;
    forget_answer(world);
    forget_request(world);
    static const struct operation operation = { .name = "Test", .action = "lambda:Test" };
    world->call = (struct call){ .engine = &world->engine,
                                 .async_queue = (void *)world,
                                 .exchange = &world->exchange,
                                 .operation = &operation };
    memcpy(world->call.request_id, "11111111-2222-4333-8444-555555555555", sizeof(world->call.request_id));
    arena_init(&world->call.arena);
    buffer_append_text(&world->body, body);
    world->call.body = &world->body;
}

void world_path(struct world *world, const char *function_name)
{
    world->call.path[world->call.path_count++] =
        (struct parameter){ SLICE("FunctionName"), slice_of(function_name) };
}

void world_query(struct world *world, const char *name, const char *value)
{
    world->call.query[world->call.query_count++] = (struct parameter){ slice_of(name), slice_of(value) };
}

void world_header(struct world *world, const char *name, const char *value)
{
    struct http_exchange *x = &world->exchange;
    x->sent[x->sent_count++] = (struct http_header){ slice_of(name), slice_of(value) };
}

void world_saved(struct world *world, enum outcome outcome, struct function *f, const struct error *err)
{
    world->engine.asked = ASKED_NOTHING;
    world->engine.saved(outcome, f, err, world->engine.arg);
}

void world_setting_saved(struct world *world, enum outcome outcome, const struct setting *setting,
                         const struct error *err)
{
    world->engine.asked = ASKED_NOTHING;
    world->engine.setting_saved(outcome, setting, err, world->engine.arg);
}

void world_invoked(struct world *world, const struct invocation_result *result)
{
    world->engine.invoked(result, world->engine.arg);
}

const char *world_added(const struct world *world, const char *name)
{
    for (size_t i = 0; i < world->exchange.added_count; i++)
        if (strcmp(world->exchange.added[i].name, name) == 0)
            return world->exchange.added[i].value;
    return NULL;
}

static struct world *world_of(struct call *call)
{
    return (struct world *)(void *)((char *)call - offsetof(struct world, call));
}

/* ---- the front ---- */

static struct slice find(const struct parameter *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(list[i].name, name))
            return list[i].value;
    return SLICE_EMPTY;
}

struct slice call_path(const struct call *call, const char *name)
{
    return find(call->path, call->path_count, name);
}

struct slice call_query(const struct call *call, const char *name)
{
    return find(call->query, call->query_count, name);
}

enum outcome call_json(struct call *call, yyjson_val **root, struct error *err)
{
    if (call->json.doc == NULL &&
        json_parse(call->body->len == 0 ? SLICE("{}") : buffer_slice(call->body), &call->json.doc, err) != OK)
        return FAILED;
    *root = yyjson_doc_get_root(call->json.doc);
    return OK;
}

void call_reply_json(struct call *call, int status, const yyjson_mut_doc *doc)
{
    struct world *world = world_of(call);
    world->replies++;
    world->status = status;
    json_write(&world->answer, doc);
}

void call_reply_empty(struct call *call, int status)
{
    world_of(call)->replies++;
    world_of(call)->status = status;
}

void call_reply_bytes(struct call *call, int status, const char *content_type, struct buffer *body)
{
    struct world *world = world_of(call);
    world->replies++;
    world->status = status;
    world->answer_at = body->at;
    http_add_header(call->exchange, "Content-Type", slice_of(content_type));
    buffer_append_slice(&world->answer, buffer_slice(body));
    buffer_drop(body);
}

void call_add_header(struct call *call, const char *name, struct slice value)
{
    if (!call->client_gone)
        http_add_header(call->exchange, name, value);
}

void call_fail(struct call *call, const struct error *err)
{
    world_of(call)->replies++;
    world_of(call)->error = *err;
}

size_t http_header_count(const struct http_exchange *x)
{
    return x->sent_count;
}

struct http_header http_header_at(const struct http_exchange *x, size_t index)
{
    return x->sent[index];
}

void http_add_header(struct http_exchange *x, const char *name, struct slice value)
{
    assert_true(x->added_count < WORLD_HEADERS_MAX);
    snprintf(x->added[x->added_count].name, sizeof(x->added[0].name), "%s", name);
    snprintf(x->added[x->added_count].value, sizeof(x->added[0].value), "%.*s", SLICE_PRINT(value));
    x->added_count++;
}

/* ---- the engine ---- */

const char *engine_account(const struct engine *engine)
{
    (void)engine;
    return "000000000000";
}

const char *engine_region(const struct engine *engine)
{
    (void)engine;
    return "us-east-1";
}

uint32_t engine_concurrency_limit(const struct engine *engine)
{
    (void)engine;
    return 375;
}

uint64_t engine_code_bytes(const struct engine *engine)
{
    return 276 * engine->count;
}

size_t engine_function_count(const struct engine *engine)
{
    return engine->count;
}

struct function *engine_find(const struct engine *engine, struct slice name)
{
    for (size_t i = 0; i < engine->count; i++)
        if (slice_is(name, engine->functions[i]->name))
            return engine->functions[i];
    return NULL;
}

size_t engine_list(const struct engine *engine, struct slice after, size_t max, struct function **out, bool *more)
{
    size_t n = 0;
    *more = false;
    for (size_t i = 0; i < engine->count; i++) {
        if (slice_compare(slice_of(engine->functions[i]->name), after) <= 0)
            continue;
        if (n == max) {
            *more = true;
            break;
        }
        out[n++] = engine->functions[i];
    }
    return n;
}

enum outcome engine_runtime_check(const struct engine *engine, const struct runtime_id *runtime, struct error *err)
{
    if (!engine->runtime_missing)
        return OK;
    return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException", "Install it.",
                          "runtime \"%s\" is not installed: hearth runtime add %s", runtime->id, runtime->id);
}

static void asked(struct engine *engine, int what, engine_saved_fn *done, void *arg)
{
    assert_int_equal(engine->asked, ASKED_NOTHING);
    engine->asked = what;
    engine->saved = done;
    engine->arg = arg;
}

static void keep_text(char *out, size_t size, struct slice text)
{
    assert_true(text.len < size);
    memcpy(out, text.at, text.len);
    out[text.len] = '\0';
}

void engine_create(struct engine *engine, struct function **draft, struct buffer *zip, engine_saved_fn *done,
                   void *arg)
{
    asked(engine, ASKED_CREATE, done, arg);
    engine->draft = *draft;
    *draft = NULL;
    engine->zip = buffer_take(zip);
}

void engine_update_code(struct engine *engine, struct slice name, struct buffer *zip, struct slice architecture,
                        struct slice expected_revision, bool dry_run, engine_saved_fn *done, void *arg)
{
    asked(engine, ASKED_CODE, done, arg);
    keep_text(engine->name, sizeof(engine->name), name);
    keep_text(engine->architecture, sizeof(engine->architecture), architecture);
    keep_text(engine->revision, sizeof(engine->revision), expected_revision);
    engine->zip = buffer_take(zip);
    engine->dry_run = dry_run;
}

void engine_update_configuration(struct engine *engine, struct function **draft, struct slice expected_revision,
                                 engine_saved_fn *done, void *arg)
{
    asked(engine, ASKED_CONFIGURATION, done, arg);
    engine->draft = *draft;
    *draft = NULL;
    keep_text(engine->revision, sizeof(engine->revision), expected_revision);
}

void engine_delete(struct engine *engine, struct slice name, engine_saved_fn *done, void *arg)
{
    asked(engine, ASKED_DELETE, done, arg);
    keep_text(engine->name, sizeof(engine->name), name);
}

struct invocation *engine_invoke(struct engine *engine, const struct invocation_input *input,
                                 invocation_done_fn *done, void *arg)
{
    asked(engine, ASKED_INVOKE, NULL, arg);
    engine->invocation = *input;
    engine->payload = buffer_take(input->payload);
    engine->invoked = done;
    return NULL;
}

/* ---- the engine: versions, settings, tags ---- */

struct function *engine_find_version(const struct engine *engine, struct slice name, uint64_t number)
{
    for (size_t i = 0; i < engine->version_count; i++)
        if (slice_is(name, engine->versions[i]->name) && engine->versions[i]->version_number == number)
            return engine->versions[i];
    return number == 0 ? engine_find(engine, name) : NULL;
}

size_t engine_list_versions(const struct engine *engine, struct slice name, uint64_t after, size_t max,
                            struct function **out, bool *more)
{
    struct function *all[WORLD_VERSIONS_MAX + 1];
    size_t count = 0, n = 0;
    *more = false;
    if (after == UINT64_MAX && engine_find(engine, name) != NULL)
        all[count++] = engine_find(engine, name);
    for (size_t i = 0; i < engine->version_count; i++)
        if (slice_is(name, engine->versions[i]->name) &&
            (after == UINT64_MAX || engine->versions[i]->version_number > after))
            all[count++] = engine->versions[i];
    for (; n < count && n < max; n++)
        out[n] = all[n];
    *more = n < count;
    return n;
}

void engine_publish(struct engine *engine, struct slice name, const char *description, struct slice code_sha256,
                    struct slice expected_revision, engine_saved_fn *done, void *arg)
{
    asked(engine, ASKED_PUBLISH, done, arg);
    keep_text(engine->name, sizeof(engine->name), name);
    engine->has_description = description != NULL;
    keep_text(engine->description, sizeof(engine->description), slice_of(description));
    keep_text(engine->sha256, sizeof(engine->sha256), code_sha256);
    keep_text(engine->revision, sizeof(engine->revision), expected_revision);
}

void engine_delete_version(struct engine *engine, struct slice name, uint64_t number, engine_saved_fn *done,
                           void *arg)
{
    asked(engine, ASKED_DELETE_VERSION, done, arg);
    keep_text(engine->name, sizeof(engine->name), name);
    engine->number = number;
}

void engine_put_tags(struct engine *engine, struct slice name, struct variable *tags, size_t count,
                     engine_saved_fn *done, void *arg)
{
    asked(engine, ASKED_TAGS, done, arg);
    keep_text(engine->name, sizeof(engine->name), name);
    engine->tags = tags;
    engine->tag_count = count;
}

static bool is_first(const struct engine *engine, struct slice name)
{
    return engine->count > 0 && slice_is(name, engine->functions[0]->name);
}

const struct setting *engine_setting(const struct engine *engine, struct slice name, enum setting_kind kind,
                                     struct slice qualifier)
{
    for (size_t i = 0; kind == SETTING_ALIAS && is_first(engine, name) && i < engine->alias_count; i++)
        if (slice_is(qualifier, engine->aliases[i].qualifier))
            return &engine->aliases[i];
    return NULL;
}

size_t engine_settings(const struct engine *engine, struct slice name, enum setting_kind kind, struct slice after,
                       size_t max, const struct setting **out, bool *more)
{
    size_t n = 0;
    *more = false;
    for (size_t i = 0; kind == SETTING_ALIAS && is_first(engine, name) && i < engine->alias_count; i++) {
        if (slice_compare(slice_of(engine->aliases[i].qualifier), after) <= 0)
            continue;
        if (n == max) {
            *more = true;
            break;
        }
        out[n++] = &engine->aliases[i];
    }
    return n;
}

void engine_setting_put(struct engine *engine, const struct setting_change *change, setting_saved_fn *done,
                        void *arg)
{
    asked(engine, ASKED_SETTING, NULL, arg);
    keep_text(engine->name, sizeof(engine->name), change->name);
    keep_text(engine->qualifier, sizeof(engine->qualifier), change->qualifier);
    keep_text(engine->document, sizeof(engine->document), change->document);
    keep_text(engine->revision, sizeof(engine->revision), change->expected_revision);
    engine->kind = change->kind;
    engine->mode = change->mode;
    memcpy(engine->targets, change->versions, sizeof(engine->targets));
    engine->setting_saved = done;
}

void engine_setting_delete(struct engine *engine, struct slice name, enum setting_kind kind, struct slice qualifier,
                           struct slice expected_revision, setting_saved_fn *done, void *arg)
{
    asked(engine, ASKED_SETTING_DELETE, NULL, arg);
    keep_text(engine->name, sizeof(engine->name), name);
    keep_text(engine->qualifier, sizeof(engine->qualifier), qualifier);
    keep_text(engine->revision, sizeof(engine->revision), expected_revision);
    engine->kind = kind;
    engine->setting_saved = done;
}

void engine_reserve(struct engine *engine, struct slice name, uint32_t reserved, setting_saved_fn *done, void *arg)
{
    asked(engine, ASKED_RESERVE, NULL, arg);
    keep_text(engine->name, sizeof(engine->name), name);
    engine->number = reserved;
    engine->setting_saved = done;
}

int64_t engine_reserved(const struct engine *engine, struct slice name)
{
    return is_first(engine, name) ? engine->reserved : -1;
}

uint32_t engine_unreserved(const struct engine *engine)
{
    return 375 - (uint32_t)(engine->reserved > 0 ? engine->reserved : 0);
}

uint32_t engine_unreserved_min(const struct engine *engine)
{
    (void)engine;
    return 37;
}

/* ---- layers: there are none; code: it can be had at an address that has its digest ---- */

struct layers *engine_layers(struct engine *engine)
{
    (void)engine;
    return NULL;
}

const struct layer_version *layer_find(const struct layers *layers, struct slice name, uint64_t version)
{
    (void)layers, (void)name, (void)version;
    return NULL;
}

enum outcome layer_sizes_check(const struct function *function, struct error *err)
{
    (void)function, (void)err;
    return OK;
}

void code_link_address(struct call *call, const char *digest, char out[CODE_LINK_ADDRESS_BYTES])
{
    (void)call;
    snprintf(out, CODE_LINK_ADDRESS_BYTES, "http://hearth.example/code/%s", digest);
}

/* ---- events: nobody waits in a queue here ---- */

void async_queue_forget(struct async_queue *queue, struct slice name)
{
    struct world *world = (struct world *)(void *)queue;
    if (world != NULL)
        keep_text(world->forgotten, sizeof(world->forgotten), name);
}
