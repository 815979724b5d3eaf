/* The configuration file: a flat YAML mapping of keys to plain values. libyaml's events are read one by one and nothing else of YAML
 * is let in (anchors, aliases, tags, lists, a second document): what a person cannot have meant is an error with its line. */
#include <stdio.h>
#include <yaml.h>

#include "base/memory.h"
#include "server/config.h"

struct reading {
    struct config *config;
    const char *where; /* the file's name */
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; live while `has_event` */
    bool has_event;
    struct buffer seen; /* "key\0key\0" */
    char place[192];    /* "hearth.yaml line 3" */
};

static void reading_drop(struct reading *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
    buffer_drop(&r->seen);
}

static void reading_set_place(struct reading *r, size_t line)
{
    /* The end of a long path is what tells files apart. */
    size_t length = strlen(r->where);
    (void)snprintf(r->place, sizeof(r->place), "%s line %zu", length > 120 ? r->where + length - 120 : r->where,
                   line + 1);
}

static enum outcome reading_next(struct reading *r, struct error *err)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        reading_set_place(r, r->parser.problem_mark.line);
        return error_set(err, ERROR_INVALID, "Write one `key: value` a line.", "%s: %s", r->place,
                         r->parser.problem != NULL ? r->parser.problem : "not YAML");
    }
    r->has_event = true;
    reading_set_place(r, r->event.start_mark.line);
    return OK;
}

static enum outcome reading_refuse(struct reading *r, const char *what, struct error *err)
{
    return error_set(err, ERROR_INVALID, "Write one `key: value` a line; docs/configuration.md has an example.",
                     "%s: %s", r->place, what);
}

/* The current event must be a plain or quoted scalar. */
static enum outcome reading_scalar(struct reading *r, struct slice *out, struct error *err)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return reading_refuse(r,
                              r->event.type == YAML_ALIAS_EVENT ? "aliases are not understood here"
                                                                : "lists and nested keys are not understood here",
                              err);
    if (r->event.data.scalar.anchor != NULL || r->event.data.scalar.tag != NULL)
        return reading_refuse(r, "anchors and tags are not understood here", err);
    *out = slice_from(r->event.data.scalar.value, r->event.data.scalar.length);
    return OK;
}

static bool reading_has_seen(struct reading *r, struct slice key)
{
    struct slice rest = buffer_slice(&r->seen);
    while (rest.len > 0) {
        if (slice_equal(slice_split(&rest, '\0'), key))
            return true;
    }
    buffer_append_slice(&r->seen, key);
    buffer_append_byte(&r->seen, '\0');
    return false;
}

static enum outcome reading_pair(struct reading *r, struct error *err)
{
    struct slice key = SLICE_EMPTY, value = SLICE_EMPTY;
    char place[sizeof(r->place)];
    TRY(reading_scalar(r, &key, err));
    if (reading_has_seen(r, key))
        return error_set(err, ERROR_INVALID, "Remove one of the two.", "%s: the key \"%.*s\" is there twice",
                         r->place, (int)(key.len < 64 ? key.len : 64), key.at);
    memcpy(place, r->place, sizeof(place));
    AUTO(text)
    char *kept = memory_new(key.len + 1);
    memcpy(kept, key.at, key.len);
    key.at = kept; /* the event that holds it goes away with the next one */
    TRY(reading_next(r, err));
    TRY(reading_scalar(r, &value, err));
    return config_set(r->config, place, key, value, err);
}

static enum outcome reading_document(struct reading *r, struct error *err)
{
    TRY(reading_next(r, err));
    if (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0 &&
        r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return reading_next(r, err); /* only comments behind "---" */
    if (r->event.type != YAML_MAPPING_START_EVENT || r->event.data.mapping_start.anchor != NULL ||
        r->event.data.mapping_start.tag != NULL)
        return reading_refuse(r, "this is not a list of `key: value` lines", err);
    TRY(reading_next(r, err));
    while (r->event.type != YAML_MAPPING_END_EVENT) {
        TRY(reading_pair(r, err));
        TRY(reading_next(r, err));
    }
    return reading_next(r, err);
}

static enum outcome reading_stream(struct reading *r, struct error *err)
{
    TRY(reading_next(r, err)); /* STREAM-START */
    TRY(reading_next(r, err));
    if (r->event.type == YAML_STREAM_END_EVENT)
        return OK; /* an empty file sets nothing */
    TRY(reading_document(r, err));
    TRY(reading_next(r, err)); /* behind DOCUMENT-END */
    if (r->event.type != YAML_STREAM_END_EVENT)
        return reading_refuse(r, "a second document begins here", err);
    return OK;
}

enum outcome config_read_yaml(struct config *config, const char *where, struct slice text, struct error *err)
{
    struct reading r = { .config = config, .where = where };
    if (!yaml_parser_initialize(&r.parser))
        return error_set(err, ERROR_INTERNAL, "Free some memory.", "%s: no memory for reading it", where);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.at, text.len);
    enum outcome outcome = reading_stream(&r, err);
    reading_drop(&r);
    return outcome;
}
