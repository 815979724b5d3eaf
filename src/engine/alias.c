#include "engine/alias.h"

#include <stdlib.h>

#include "json/json.h"

void alias_free(struct alias *alias)
{
    if (alias == NULL)
        return;
    free(alias->description);
    free(alias);
}

void alias_write(const struct alias *alias, struct buffer *out)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "description", alias->description == NULL ? "" : alias->description);
    yyjson_mut_obj_add_uint(doc, root, "version", alias->version);
    if (alias->other_version != 0) {
        yyjson_mut_obj_add_uint(doc, root, "other_version", alias->other_version);
        yyjson_mut_obj_add_real(doc, root, "other_weight", alias->other_weight);
    }
    json_write(out, doc);
}

static enum outcome damaged(const char *member, struct error *err)
{
    return error_set(err, ERROR_INVALID,
                     "Restore the data directory from a backup, or delete the alias and make it again.",
                     "the stored alias is damaged at \"%s\"", member);
}

enum outcome alias_read(struct slice document, struct alias **out, struct error *err)
{
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    if (json_parse(document, &doc, NULL) != OK || !yyjson_is_obj(yyjson_doc_get_root(doc)))
        return damaged("document", err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *description = yyjson_obj_get(root, "description"), *version = yyjson_obj_get(root, "version");
    yyjson_val *other = yyjson_obj_get(root, "other_version"), *weight = yyjson_obj_get(root, "other_weight");
    struct slice text = json_slice(description);
    if (!yyjson_is_str(description) || memchr(text.at, '\0', text.len) != NULL)
        return damaged("description", err);
    if (!yyjson_is_uint(version) || yyjson_get_uint(version) > INT64_MAX)
        return damaged("version", err);
    if (other != NULL &&
        (!yyjson_is_uint(other) || yyjson_get_uint(other) == 0 || yyjson_get_uint(other) > INT64_MAX))
        return damaged("other_version", err);
    double part = other == NULL ? 0 : yyjson_get_num(weight);
    if (other != NULL && (!yyjson_is_num(weight) || !(part >= 0 && part <= 1)))
        return damaged("other_weight", err);
    struct alias *alias = memory_new(sizeof(*alias));
    alias->description = slice_dup(text);
    alias->version = yyjson_get_uint(version);
    alias->other_version = other == NULL ? 0 : yyjson_get_uint(other);
    alias->other_weight = part;
    *out = alias;
    return OK;
}

uint64_t alias_choose(const struct alias *alias, double draw)
{
    return alias->other_version != 0 && draw < alias->other_weight ? alias->other_version : alias->version;
}
