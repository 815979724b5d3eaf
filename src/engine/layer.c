/* Layers in memory: by name, each with its versions in order of number. A publication goes as a function's change does: package (a child unpacks
 * it), row (the store gives the number), memory, answer. A version holds one reference to its package; functions hold their own, so that
 * deleting a version takes nothing from them.
 *
 * Policies are changed one after the other, whole: whoever changes one has read it, and says which revision that was. */
#include "engine/layer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/memory.h"
#include "json/json.h"
#include "store/layers.h"

enum { LAYER_FORMAT = 1 }; /* of a row's document; a reader refuses larger ones */

struct layer { /* there while it has a version */
    char *name;
    struct layer_version **versions; /* by number, ascending */
    size_t count, cap;
    UT_hash_handle hh;
};

struct layers {
    uv_loop_t *loop;
    struct layers_config config;
    struct layer *by_name;
    struct layer **sorted;
    size_t count, cap;
    uint64_t code_bytes;
    size_t changes;                /* under way: the last one frees us once we are closed */
    struct layer_change *policies; /* the first one is with the store, the others wait */
    bool closed;                   /* layers_free was called: the rooms below are not to be touched any more */
};

struct layer_change {
    struct layers *layers;
    struct layer_change *next;
    struct layer_version *draft; /* owned; what will be published, or what takes the place of another */
    char *name;
    uint64_t version;
    char *policy; /* what shall be; NULL: none */
    char expected[sizeof(((struct layer_version *)0)->policy_revision)];
    bool has_package; /* we hold one reference */
    struct error err; /* what is told in the next turn */
    uv_timer_t later; /* `done` is never called from inside */
    layer_saved_fn *done;
    void *arg;
};

/* ---- versions ---- */

struct layer_version *layer_version_new(struct slice name)
{
    struct layer_version *v = memory_new(sizeof(*v));
    v->name = slice_dup(name);
    return v;
}

void layer_version_free(struct layer_version *v)
{
    if (v == NULL)
        return;
    for (size_t i = 0; i < v->runtime_count; i++)
        free(v->runtimes[i]);
    for (size_t i = 0; i < v->architecture_count; i++)
        free(v->architectures[i]);
    free(v->name);
    free(v->description);
    free(v->license);
    free(v->policy);
    free(v);
}

static struct layer_version *version_copy(const struct layer_version *v)
{
    struct layer_version *copy = memory_new(sizeof(*copy));
    *copy = *v; /* the plain members; the owned ones follow */
    copy->name = memory_text(v->name);
    copy->description = memory_text(v->description);
    copy->license = memory_text(v->license);
    copy->policy = memory_text(v->policy);
    for (size_t i = 0; i < v->runtime_count; i++)
        copy->runtimes[i] = memory_text(v->runtimes[i]);
    for (size_t i = 0; i < v->architecture_count; i++)
        copy->architectures[i] = memory_text(v->architectures[i]);
    return copy;
}

static void version_name_arn(const struct layers *layers, struct layer_version *v)
{
    (void)snprintf(v->arn, sizeof(v->arn), "arn:aws:lambda:%s:%s:layer:%s:%llu", layers->config.region,
                   layers->config.account, v->name, (unsigned long long)v->version);
}

/* ---- the table ---- */

static struct layer *table_find(const struct layers *layers, struct slice name)
{
    struct layer *layer = NULL;
    HASH_FIND(hh, layers->by_name, name.at, name.len, layer);
    return layer;
}

/* The index of the first layer whose name is not below `name`. */
static size_t lower_bound(const struct layers *layers, struct slice name)
{
    size_t low = 0, high = layers->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(slice_of(layers->sorted[middle]->name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The index of the first version that is not below `number`. */
static size_t version_bound(const struct layer *layer, uint64_t number)
{
    size_t low = 0, high = layer->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (layer->versions[middle]->version < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct layer *table_need(struct layers *layers, const char *name)
{
    struct layer *layer = table_find(layers, slice_of(name));
    if (layer != NULL)
        return layer;
    layer = memory_new(sizeof(*layer));
    layer->name = memory_text(name);
    HASH_ADD_KEYPTR(hh, layers->by_name, layer->name, strlen(layer->name), layer);
    if (layers->count == layers->cap) {
        layers->cap = layers->cap == 0 ? 16 : layers->cap * 2;
        layers->sorted = memory_grow(layers->sorted, layers->cap, sizeof(*layers->sorted));
    }
    size_t at = lower_bound(layers, slice_of(name));
    memmove(layers->sorted + at + 1, layers->sorted + at, (layers->count - at) * sizeof(*layers->sorted));
    layers->sorted[at] = layer;
    layers->count++;
    return layer;
}

static void table_forget(struct layers *layers, struct layer *layer)
{
    size_t at = lower_bound(layers, slice_of(layer->name));
    assert(layers->sorted[at] == layer);
    layers->count--;
    memmove(layers->sorted + at, layers->sorted + at + 1, (layers->count - at) * sizeof(*layers->sorted));
    /* NOLINTBEGIN(clang-analyzer-core.NullDereference): uthash's table is there, since it holds `layer` */
    HASH_DEL(layers->by_name, layer);
    /* NOLINTEND(clang-analyzer-core.NullDereference) */
    free(layer->versions);
    free(layer->name);
    free(layer);
}

/* `v` and its reference to its package are taken. */
static void table_add(struct layers *layers, struct layer_version *v)
{
    struct layer *layer = table_need(layers, v->name);
    if (layer->count == layer->cap) {
        layer->cap = layer->cap == 0 ? 4 : layer->cap * 2;
        layer->versions = memory_grow(layer->versions, layer->cap, sizeof(*layer->versions));
    }
    size_t at = version_bound(layer, v->version);
    memmove(layer->versions + at + 1, layer->versions + at, (layer->count - at) * sizeof(*layer->versions));
    layer->versions[at] = v;
    layer->count++;
    layers->code_bytes += v->code_bytes;
}

static struct layer_version **table_slot(const struct layers *layers, struct slice name, uint64_t version)
{
    struct layer *layer = table_find(layers, name);
    size_t at = layer == NULL ? 0 : version_bound(layer, version);
    if (layer == NULL || at == layer->count || layer->versions[at]->version != version)
        return NULL;
    return &layer->versions[at];
}

/* Gives it back; the layer goes with the last. */
static struct layer_version *table_remove(struct layers *layers, struct slice name, uint64_t version)
{
    struct layer_version **slot = table_slot(layers, name, version);
    if (slot == NULL)
        return NULL;
    struct layer *layer = table_find(layers, name);
    struct layer_version *v = *slot;
    size_t at = (size_t)(slot - layer->versions);
    layer->count--;
    memmove(slot, slot + 1, (layer->count - at) * sizeof(struct layer_version *));
    layers->code_bytes -= v->code_bytes;
    if (layer->count == 0)
        table_forget(layers, layer);
    return v;
}

/* ---- rows ---- */

static void write_document(const struct layer_version *v, struct buffer *out)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_uint(doc, root, "format", LAYER_FORMAT);
    if (v->description != NULL)
        yyjson_mut_obj_add_str(doc, root, "description", v->description);
    if (v->license != NULL)
        yyjson_mut_obj_add_str(doc, root, "license", v->license);
    if (v->runtimes_given) {
        yyjson_mut_val *runtimes = yyjson_mut_obj_add_arr(doc, root, "runtimes");
        for (size_t i = 0; i < v->runtime_count; i++)
            yyjson_mut_arr_add_str(doc, runtimes, v->runtimes[i]);
    }
    if (v->architectures_given) {
        yyjson_mut_val *architectures = yyjson_mut_obj_add_arr(doc, root, "architectures");
        for (size_t i = 0; i < v->architecture_count; i++)
            yyjson_mut_arr_add_str(doc, architectures, v->architectures[i]);
    }
    yyjson_mut_obj_add_bool(doc, root, "extensions", v->extensions);
    yyjson_mut_obj_add_str(doc, root, "code_sha256", v->code_sha256);
    yyjson_mut_obj_add_uint(doc, root, "code_bytes", v->code_bytes);
    yyjson_mut_obj_add_uint(doc, root, "tree_bytes", v->tree_bytes);
    if (v->policy != NULL)
        yyjson_mut_obj_add_str(doc, root, "policy", v->policy);
    if (v->policy_revision[0] != '\0')
        yyjson_mut_obj_add_str(doc, root, "policy_revision", v->policy_revision);
    json_write(out, doc);
}

static enum outcome damaged(const struct layer_row *row, const char *member, struct error *err)
{
    return error_set(err, ERROR_INVALID,
                     "Restore the data directory from a backup, or delete the version and publish it again.",
                     "the stored row of layer \"%.*s\", version %llu, is damaged at \"%s\"", SLICE_PRINT(row->name),
                     (unsigned long long)row->version, member);
}

/* An absent text stays NULL. */
static bool read_text(yyjson_val *root, const char *member, char **out)
{
    yyjson_val *value = yyjson_obj_get(root, member);
    struct slice text = json_slice(value);
    if (value == NULL)
        return true;
    if (!yyjson_is_str(value) || memchr(text.at, '\0', text.len) != NULL)
        return false;
    *out = slice_dup(text);
    return true;
}

/* Into an array of fixed size; `size` counts the NUL. */
static bool read_fixed(yyjson_val *root, const char *member, char *out, size_t size)
{
    struct slice text = json_slice(yyjson_obj_get(root, member));
    if (text.len >= size || memchr(text.at, '\0', text.len) != NULL)
        return false;
    (void)snprintf(out, size, "%.*s", SLICE_PRINT(text));
    return true;
}

static bool read_list(yyjson_val *root, const char *member, char **out, size_t max, size_t *count, bool *given)
{
    yyjson_val *list = yyjson_obj_get(root, member), *each = NULL;
    size_t index = 0, size = 0;
    *given = list != NULL;
    if (list == NULL)
        return true;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > max)
        return false;
    yyjson_arr_foreach(list, index, size, each)
    {
        struct slice text = json_slice(each);
        if (!yyjson_is_str(each) || memchr(text.at, '\0', text.len) != NULL)
            return false;
        out[(*count)++] = slice_dup(text);
    }
    return true;
}

static enum outcome read_row(const struct layer_row *row, struct layer_version *v, struct error *err)
{
    struct error why;
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    if (json_parse(row->document, &doc, &why) != OK)
        return damaged(row, "document", err);
    yyjson_val *root = yyjson_doc_get_root(doc), *format = yyjson_obj_get(root, "format");
    yyjson_val *code = yyjson_obj_get(root, "code_bytes"), *tree = yyjson_obj_get(root, "tree_bytes");
    if (!yyjson_is_uint(format) || yyjson_get_uint(format) == 0 || yyjson_get_uint(format) > LAYER_FORMAT)
        return damaged(row, "format", err);
    if (!read_text(root, "description", &v->description) || !read_text(root, "license", &v->license) ||
        !read_text(root, "policy", &v->policy))
        return damaged(row, "description, license or policy", err);
    if (!read_list(root, "runtimes", v->runtimes, LAYER_RUNTIMES_MAX, &v->runtime_count, &v->runtimes_given) ||
        !read_list(root, "architectures", v->architectures, LAYER_ARCHITECTURES_MAX, &v->architecture_count,
                   &v->architectures_given))
        return damaged(row, "runtimes or architectures", err);
    if (!read_fixed(root, "code_sha256", v->code_sha256, sizeof(v->code_sha256)) ||
        !read_fixed(root, "policy_revision", v->policy_revision, sizeof(v->policy_revision)))
        return damaged(row, "code_sha256 or policy_revision", err);
    if (!yyjson_is_uint(code) || !yyjson_is_uint(tree))
        return damaged(row, "code_bytes or tree_bytes", err);
    v->code_bytes = yyjson_get_uint(code);
    v->tree_bytes = yyjson_get_uint(tree);
    v->extensions = yyjson_is_true(yyjson_obj_get(root, "extensions"));
    v->version = row->version;
    v->created_ms = row->created_ms;
    return OK;
}

static enum outcome load_one(const struct layer_row *row, void *arg, struct error *err)
{
    struct layers *layers = arg;
    struct layer_version *v = layer_version_new(row->name);
    (void)snprintf(v->digest, sizeof(v->digest), "%.*s", SLICE_PRINT(row->digest));
    package_hold(layers->config.packages, v->digest); /* that of a row that we cannot read is kept too */
    if (read_row(row, v, err) != OK) {                /* one damaged row must not take the others with it */
        log_error("engine", err, "could not read a layer; it stays on disk and is not served");
        layer_version_free(v);
        return OK;
    }
    version_name_arn(layers, v);
    table_add(layers, v);
    return OK;
}

/* ---- opening and closing ---- */

enum outcome layers_open(uv_loop_t *loop, const struct layers_config *config, struct layers **out,
                         struct error *err)
{
    struct layers *layers = memory_new(sizeof(*layers));
    layers->loop = loop;
    layers->config = *config;
    if (store_layers_load(config->store, load_one, layers, err) != OK) {
        layers_free(layers);
        return FAILED;
    }
    *out = layers;
    return OK;
}

static void layers_maybe_free(struct layers *layers)
{
    if (layers->closed && layers->changes == 0)
        free(layers);
}

void layers_free(struct layers *layers)
{
    if (layers == NULL)
        return;
    while (layers->count > 0) {
        struct layer *layer = layers->sorted[layers->count - 1];
        for (size_t i = 0; i < layer->count; i++)
            layer_version_free(layer->versions[i]);
        table_forget(layers, layer);
    }
    free(layers->sorted);
    layers->sorted = NULL;
    layers->closed = true;
    layers_maybe_free(layers);
}

/* ---- looking ---- */

const struct layer_version *layer_find(const struct layers *layers, struct slice name, uint64_t version)
{
    struct layer_version **slot = table_slot(layers, name, version);
    return slot == NULL ? NULL : *slot;
}

const struct layer_version *layer_find_arn(const struct layers *layers, struct slice arn)
{
    char prefix[FUNCTION_ARN_BYTES];
    int len = snprintf(prefix, sizeof(prefix), "arn:aws:lambda:%s:%s:layer:", layers->config.region,
                       layers->config.account);
    uint64_t version = 0;
    if (len <= 0 || !slice_starts(arn, slice_from(prefix, (size_t)len)))
        return NULL;
    struct slice rest = slice_sub(arn, (size_t)len, arn.len), name = slice_split(&rest, ':');
    if (rest.len > 1 && rest.at[0] == '0') /* one version, one name */
        return NULL;
    return slice_to_u64(rest, INT64_MAX, &version) ? layer_find(layers, name, version) : NULL;
}

static bool names(char *const *list, size_t count, struct slice wanted)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(wanted, list[i]))
            return true;
    return wanted.len == 0;
}

static bool fits(const struct layer_version *v, struct slice runtime, struct slice architecture)
{
    return names(v->runtimes, v->runtime_count, runtime) &&
           names(v->architectures, v->architecture_count, architecture);
}

size_t layer_list(const struct layers *layers, struct slice after, struct slice runtime, struct slice architecture,
                  size_t max, const struct layer_version **out, bool *more)
{
    size_t count = 0, at = lower_bound(layers, after);
    if (after.len > 0 && at < layers->count && slice_is(after, layers->sorted[at]->name))
        at++;
    *more = false;
    for (; at < layers->count; at++) {
        const struct layer *layer = layers->sorted[at];
        size_t left = layer->count;
        while (left > 0 && !fits(layer->versions[left - 1], runtime, architecture))
            left--;
        if (left == 0)
            continue;
        if (count == max) {
            *more = true;
            break;
        }
        out[count++] = layer->versions[left - 1];
    }
    return count;
}

size_t layer_list_versions(const struct layers *layers, struct slice name, uint64_t before, struct slice runtime,
                           struct slice architecture, size_t max, const struct layer_version **out, bool *more)
{
    const struct layer *layer = table_find(layers, name);
    size_t count = 0, left = 0;
    *more = false;
    if (layer == NULL)
        return 0;
    left = before == 0 ? layer->count : version_bound(layer, before);
    for (; left > 0; left--) {
        if (!fits(layer->versions[left - 1], runtime, architecture))
            continue;
        if (count == max) {
            *more = true;
            break;
        }
        out[count++] = layer->versions[left - 1];
    }
    return count;
}

size_t layers_changes(const struct layers *layers)
{
    return layers->changes;
}

uint64_t layers_code_bytes(const struct layers *layers)
{
    return layers->code_bytes;
}

enum outcome layer_sizes_check(const struct function *function, struct error *err)
{
    uint64_t bytes = function->tree_bytes;
    for (size_t i = 0; i < function->layer_count; i++)
        bytes += function->layers[i].tree_bytes;
    if (function->layer_count == 0 || bytes <= PACKAGE_TREE_BYTES_MAX)
        return OK;
    return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException",
                          "Leave out what the function does not need at run time.",
                          "Function code combined with layers exceeds the maximum allowed size of %d bytes. The "
                          "actual size is %llu bytes.",
                          PACKAGE_TREE_BYTES_MAX, (unsigned long long)bytes);
}

/* ---- changes ---- */

static struct layer_change *change_new(struct layers *layers, struct slice name, uint64_t version,
                                       layer_saved_fn *done, void *arg)
{
    struct layer_change *change = memory_new(sizeof(*change));
    assert(!layers->closed);
    change->layers = layers;
    change->name = slice_dup(name);
    change->version = version;
    change->done = done;
    change->arg = arg;
    layers->changes++;
    return change;
}

static void change_free(struct layer_change *change)
{
    struct layers *layers = change->layers;
    if (change->has_package && !layers->closed)
        package_release(layers->config.packages, change->draft->digest);
    layer_version_free(change->draft);
    free(change->policy);
    free(change->name);
    free(change);
    layers->changes--;
    layers_maybe_free(layers);
}

static void change_end(struct layer_change *change, enum outcome outcome, const struct layer_version *version,
                       const struct error *err)
{
    struct error ended;
    if (change->layers->closed) { /* whatever it came to: callers would go on in rooms that are gone by now */
        (void)error_set_code(&ended, ERROR_UNKNOWN, "ServiceException",
                             "Look whether the change is there before you retry.",
                             "the server stopped while the change was made");
        change->done(FAILED, NULL, &ended, change->arg);
    } else {
        change->done(outcome, version, err, change->arg);
    }
    change_free(change);
}

/* Was it closed meanwhile? Then nothing more is begun for it. */
static bool change_too_late(struct layer_change *change)
{
    struct error err;
    if (!change->layers->closed)
        return false;
    (void)error_set_code(&err, ERROR_UNAVAILABLE, "ServiceException", "Retry: the server is being restarted.",
                         "the server stopped before the change was made");
    change_end(change, FAILED, NULL, &err);
    return true;
}

/* ---- publishing ---- */

static void on_published(enum outcome outcome, const struct error *err, void *arg)
{
    struct layer_change *change = arg;
    struct layers *layers = change->layers;
    struct layer_version *v = change->draft;
    if (outcome != OK) {
        if (err->kind == ERROR_UNKNOWN) /* the row may be there: the sweep of the next start decides */
            change->has_package = false;
        change_end(change, outcome, NULL, err);
        return;
    }
    v->version = change->version;
    if (!layers->closed)
        version_name_arn(layers, v);
    if (layers->closed) { /* it is on disk, and there is no table any more */
        change_end(change, OK, v, NULL);
        return;
    }
    change->draft = NULL; /* the table has it now, and its package */
    change->has_package = false;
    table_add(layers, v);
    change_end(change, OK, v, NULL);
}

static void on_package(enum outcome outcome, const struct package_info *info, const struct error *err, void *arg)
{
    struct layer_change *change = arg;
    struct layer_version *v = change->draft;
    if (outcome != OK) {
        change_end(change, outcome, NULL, err);
        return;
    }
    if (change_too_late(change))
        return;
    change->has_package = true;
    (void)snprintf(v->digest, sizeof(v->digest), "%s", info->digest);
    (void)snprintf(v->code_sha256, sizeof(v->code_sha256), "%s", info->sha256_base64);
    v->code_bytes = info->zip_bytes;
    v->tree_bytes = info->tree_bytes;
    v->extensions = info->extensions;
    v->created_ms = clock_wall_ms();
    struct buffer document = BUFFER_EMPTY;
    write_document(v, &document);
    struct layer_row row = { slice_of(v->name), 0, slice_of(v->digest), buffer_slice(&document), v->created_ms };
    store_layer_publish(change->layers->config.store, &row, &change->version, on_published, change);
    buffer_drop(&document);
}

void layer_publish(struct layers *layers, struct layer_version **draft, struct buffer *zip, layer_saved_fn *done,
                   void *arg)
{
    struct layer_change *change = change_new(layers, slice_of((*draft)->name), 0, done, arg);
    change->draft = *draft;
    *draft = NULL;
    package_put(layers->config.packages, zip, on_package, change);
}

/* ---- deleting ---- */

static void on_deleted(enum outcome outcome, const struct error *err, void *arg)
{
    struct layer_change *change = arg;
    struct layers *layers = change->layers;
    if (outcome == OK && !layers->closed) {
        struct layer_version *v = table_remove(layers, slice_of(change->name), change->version);
        if (v != NULL)
            package_release(layers->config.packages, v->digest);
        layer_version_free(v);
    }
    change_end(change, outcome, NULL, err);
}

void layer_delete(struct layers *layers, struct slice name, uint64_t version, layer_saved_fn *done, void *arg)
{
    struct layer_change *change = change_new(layers, name, version, done, arg);
    store_layer_delete(layers->config.store, name, version, on_deleted, change);
}

/* ---- policies ---- */

static void policy_begin(struct layers *layers);

/* The next one begins before `done`, which may start another. */
static void policy_end(struct layer_change *change, enum outcome outcome, const struct layer_version *version,
                       const struct error *err)
{
    struct layers *layers = change->layers;
    assert(layers->policies == change);
    LL_DELETE(layers->policies, change);
    policy_begin(layers);
    change_end(change, outcome, version, err);
}

static void on_policy_refused(uv_handle_t *handle)
{
    struct layer_change *change = handle->data;
    policy_end(change, FAILED, NULL, &change->err);
}

static void on_policy_saved(enum outcome outcome, const struct error *err, void *arg)
{
    struct layer_change *change = arg;
    struct layers *layers = change->layers;
    struct layer_version **slot =
        layers->closed ? NULL : table_slot(layers, slice_of(change->name), change->version);
    const struct layer_version *saved = change->draft;
    if (outcome == OK && slot != NULL) {
        struct layer_version *old = *slot;
        *slot = change->draft;
        change->draft = old; /* freed with the change */
    }
    policy_end(change, outcome, outcome == OK ? saved : NULL, err);
}

static enum outcome policy_check(struct layer_change *change, const struct layer_version *v)
{
    if (change->layers->closed)
        return error_set_code(&change->err, ERROR_UNAVAILABLE, "ServiceException",
                              "Retry: the server is being restarted.",
                              "the server stopped before the change was made");
    if (v == NULL)
        return error_set_code(&change->err, ERROR_NOT_FOUND, "ResourceNotFoundException",
                              "List the layer's versions to see which there are.",
                              "The resource you requested does not exist.");
    if (strcmp(change->expected, v->policy_revision) != 0)
        return error_set_code(&change->err, ERROR_PRECONDITION, "PreconditionFailedException",
                              "Read the policy again, then retry.",
                              "The Revision Id provided does not match the latest Revision Id. Call the "
                              "GetLayerPolicy API to retrieve the latest Revision Id");
    return OK;
}

/* The one whose turn it is: memory holds what all before it have done. */
static void policy_begin(struct layers *layers)
{
    struct layer_change *change = layers->policies;
    if (change == NULL)
        return;
    const struct layer_version *v =
        layers->closed ? NULL : layer_find(layers, slice_of(change->name), change->version);
    if (policy_check(change, v) != OK) {
        (void)uv_timer_init(layers->loop, &change->later);
        change->later.data = change;
        uv_close((uv_handle_t *)&change->later, on_policy_refused);
        return;
    }
    assert(v != NULL); /* policy_check has looked */
    change->draft = version_copy(v);
    free(change->draft->policy);
    change->draft->policy = memory_text(change->policy);
    uuid_make(change->draft->policy_revision);
    struct buffer document = BUFFER_EMPTY;
    write_document(change->draft, &document);
    struct layer_row row = { slice_of(v->name), v->version, slice_of(v->digest), buffer_slice(&document),
                             v->created_ms };
    store_layer_update(layers->config.store, &row, on_policy_saved, change);
    buffer_drop(&document);
}

void layer_put_policy(struct layers *layers, struct slice name, uint64_t version, struct slice policy,
                      struct slice expected_revision, layer_saved_fn *done, void *arg)
{
    struct layer_change *change = change_new(layers, name, version, done, arg);
    change->policy = policy.len == 0 ? NULL : slice_dup(policy);
    (void)snprintf(change->expected, sizeof(change->expected), "%.*s", SLICE_PRINT(expected_revision));
    bool first = layers->policies == NULL;
    LL_APPEND(layers->policies, change);
    if (first)
        policy_begin(layers);
}
