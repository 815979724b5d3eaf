#include "engine/url.h"

#include <stdlib.h>

#include "base/codec.h"
#include "json/json.h"

/* The document, members in this order, absent ones left out:
 *
 *   {"Id":"...","AuthType":"AWS_IAM","InvokeMode":"BUFFERED",
 *    "Cors":{"AllowCredentials":true,"AllowHeaders":[...],"AllowMethods":[...],"AllowOrigins":[...],"ExposeHeaders":[...],"MaxAge":0}}
 *
 * It comes from our own database, but is checked as anything else: what it says decides who may call. */

enum { URL_LIST_COUNT = 4 };
static const struct {
    const char *name;
    size_t offset, max;
} lists[URL_LIST_COUNT] = {
    { "AllowHeaders", offsetof(struct url_cors, headers), URL_CORS_ITEMS_MAX },
    { "AllowMethods", offsetof(struct url_cors, methods), URL_CORS_METHODS_MAX },
    { "AllowOrigins", offsetof(struct url_cors, origins), URL_CORS_ITEMS_MAX },
    { "ExposeHeaders", offsetof(struct url_cors, exposed), URL_CORS_ITEMS_MAX },
};

static struct url_list *list_at(struct url_cors *cors, size_t k)
{
    return (struct url_list *)(void *)((char *)cors + lists[k].offset);
}

static const struct url_list *list_of(const struct url_cors *cors, size_t k)
{
    return (const struct url_list *)(const void *)((const char *)cors + lists[k].offset);
}

/* ---- making, copying, freeing ---- */

/* 32 of 36 letters: 165 bits. A byte from 252 on is drawn again, so that no letter is likelier than another. */
static void draw_id(char out[URL_ID_BYTES])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    enum { LETTERS = sizeof(letters) - 1, EVEN = 256 / LETTERS * LETTERS };
    for (size_t n = 0; n < URL_ID_BYTES - 1;) {
        unsigned char bytes[URL_ID_BYTES];
        random_bytes(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes) && n < URL_ID_BYTES - 1; i++)
            if (bytes[i] < EVEN)
                out[n++] = letters[bytes[i] % LETTERS];
    }
    out[URL_ID_BYTES - 1] = '\0';
}

bool url_id_ok(struct slice id)
{
    for (size_t i = 0; i < id.len; i++)
        if ((id.at[i] < 'a' || id.at[i] > 'z') && (id.at[i] < '0' || id.at[i] > '9'))
            return false;
    return id.len == URL_ID_BYTES - 1;
}

struct function_url *function_url_new(void)
{
    struct function_url *url = memory_new(sizeof(*url));
    draw_id(url->id);
    url->iam = true;
    url->cors.max_age_s = -1;
    return url;
}

void url_list_add(struct url_list *list, struct slice item)
{
    list->items = memory_grow(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = slice_dup(item);
}

void url_cors_done(struct url_cors *cors)
{
    for (size_t k = 0; k < URL_LIST_COUNT; k++) {
        struct url_list *list = list_at(cors, k);
        for (size_t i = 0; i < list->count; i++)
            free(list->items[i]);
        free(list->items);
    }
    *cors = (struct url_cors){ .max_age_s = -1 };
}

struct function_url *function_url_copy(const struct function_url *url)
{
    struct function_url *copy = memory_new(sizeof(*copy));
    *copy = *url;
    for (size_t k = 0; k < URL_LIST_COUNT; k++)
        *list_at(&copy->cors, k) = (struct url_list){ NULL, 0 };
    for (size_t k = 0; k < URL_LIST_COUNT; k++) {
        const struct url_list *from = list_of(&url->cors, k);
        for (size_t i = 0; i < from->count; i++)
            url_list_add(list_at(&copy->cors, k), slice_of(from->items[i]));
    }
    return copy;
}

void function_url_free(struct function_url *url)
{
    if (url == NULL)
        return;
    url_cors_done(&url->cors);
    free(url);
}

/* ---- writing ---- */

static void begin_member(struct buffer *out, const char *name)
{
    if (out->at[out->len - 1] != '{')
        buffer_append_byte(out, ',');
    buffer_appendf(out, "\"%s\":", name);
}

static void write_list(struct buffer *out, const char *name, const struct url_list *list)
{
    if (list->count == 0)
        return;
    begin_member(out, name);
    for (size_t i = 0; i < list->count; i++) {
        buffer_append_byte(out, i == 0 ? '[' : ',');
        json_append_string(out, slice_of(list->items[i]));
    }
    buffer_append_byte(out, ']');
}

void url_cors_write(const struct url_cors *cors, struct buffer *out)
{
    buffer_append_byte(out, '{');
    if (cors->credentials_given)
        buffer_appendf(out, "\"AllowCredentials\":%s", cors->credentials ? "true" : "false");
    for (size_t k = 0; k < URL_LIST_COUNT; k++)
        write_list(out, lists[k].name, list_of(cors, k));
    if (cors->max_age_s >= 0) {
        begin_member(out, "MaxAge");
        buffer_appendf(out, "%lld", (long long)cors->max_age_s);
    }
    buffer_append_byte(out, '}');
}

void function_url_write(const struct function_url *url, struct buffer *out)
{
    buffer_appendf(out, "{\"Id\":\"%s\",\"AuthType\":\"%s\"", url->id, url->iam ? "AWS_IAM" : "NONE");
    if (url->invoke_mode[0] != '\0') {
        buffer_append_text(out, ",\"InvokeMode\":");
        json_append_string(out, slice_of(url->invoke_mode));
    }
    if (url->has_cors) {
        buffer_append_text(out, ",\"Cors\":");
        url_cors_write(&url->cors, out);
    }
    buffer_append_byte(out, '}');
}

/* ---- reading ---- */

static bool read_list(yyjson_val *value, size_t max, struct url_list *out)
{
    if (value == NULL)
        return true;
    if (!yyjson_is_arr(value) || yyjson_arr_size(value) > max)
        return false;
    size_t i = 0, count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(value, i, count, item)
    {
        struct slice text = json_slice(item);
        if (!yyjson_is_str(item) || memchr(text.at, '\0', text.len) != NULL)
            return false;
        url_list_add(out, text);
    }
    return true;
}

static bool read_cors(yyjson_val *object, struct url_cors *out)
{
    if (!yyjson_is_obj(object))
        return false;
    for (size_t k = 0; k < URL_LIST_COUNT; k++)
        if (!read_list(yyjson_obj_get(object, lists[k].name), lists[k].max, list_at(out, k)))
            return false;
    yyjson_val *credentials = yyjson_obj_get(object, "AllowCredentials"), *age = yyjson_obj_get(object, "MaxAge");
    if ((credentials != NULL && !yyjson_is_bool(credentials)) || (age != NULL && !yyjson_is_int(age)))
        return false;
    out->credentials_given = credentials != NULL;
    out->credentials = yyjson_get_bool(credentials);
    if (age != NULL)
        out->max_age_s = yyjson_get_sint(age);
    return age == NULL || (out->max_age_s >= 0 && out->max_age_s <= URL_CORS_MAX_AGE_S_MAX);
}

static bool read_url(yyjson_val *root, struct function_url *url)
{
    struct slice id = json_slice(yyjson_obj_get(root, "Id")), auth = json_slice(yyjson_obj_get(root, "AuthType"));
    struct slice mode = json_slice(yyjson_obj_get(root, "InvokeMode"));
    yyjson_val *cors = yyjson_obj_get(root, "Cors");
    if (!url_id_ok(id) || !(slice_is(auth, "NONE") || slice_is(auth, "AWS_IAM")) ||
        !(mode.len == 0 || slice_is(mode, "BUFFERED")))
        return false;
    memcpy(url->id, id.at, id.len);
    url->iam = slice_is(auth, "AWS_IAM");
    memcpy(url->invoke_mode, mode.at, mode.len);
    url->cors.max_age_s = -1;
    url->has_cors = cors != NULL;
    return cors == NULL || read_cors(cors, &url->cors);
}

enum outcome function_url_read(struct slice document, struct function_url **out, struct error *err)
{
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    TRY(json_parse(document, &doc, err));
    struct function_url *url = memory_new(sizeof(*url));
    if (!read_url(yyjson_doc_get_root(doc), url)) {
        function_url_free(url);
        return error_set(err, ERROR_INVALID, "Restore the data directory from a backup.",
                         "the document of a function URL is none of ours");
    }
    *out = url;
    return OK;
}
