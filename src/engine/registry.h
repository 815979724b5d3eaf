/* engine/registry: what registry.c, changes.c, versions.c, settings.c and concurrency.c share. Nobody else includes it. */
#pragma once

#include "engine/private.h"
#include "store/functions.h"
#include "store/settings.h"

/* What is not there for the store is not here either: a delete that ends with ERROR_NOT_FOUND takes away what memory still has. That happens after
 * one whose commit ended with ERROR_UNKNOWN; without this nobody could delete it again, nor make it anew, before the next start. */

/* ---- registry.c: memory. Nothing here touches the disk ---- */
void registry_error_function(const struct engine *engine, struct slice name, struct slice qualifier,
                             struct error *err);
/* Puts `function` (its reference and its packages' are taken) where its name and version say; what was there goes. */
void registry_put(struct engine *engine, struct function *function);
/* The same for a $LATEST of which nothing changed that an instance sees: it keeps its instances, and what was there gives its packages over. */
void registry_put_alike(struct engine *engine, struct function *function);
void registry_remove_version(struct engine *engine, struct function_entry *entry, uint64_t number);
void registry_remove(struct engine *engine, struct function_entry *entry);
struct function *entry_version(const struct function_entry *entry, uint64_t number); /* 0: $LATEST */

/* ---- changes.c ---- */
/* What ends after engine_free is told as ERROR_UNKNOWN, though it be on disk: what callers do on success (look things up here, tell the queue of events)
 * reaches into rooms that are gone by then. Nobody waits for the answer any more. */
void error_ended(struct error *err);

enum change_kind {
    CHANGE_CREATE,
    CHANGE_CODE,
    CHANGE_CONFIGURATION,
    CHANGE_DELETE,
    CHANGE_PUBLISH,
    CHANGE_TAGS,
    CHANGE_DELETE_VERSION
};
struct change {
    struct engine *engine;
    enum change_kind kind;
    struct function *draft;  /* owned; what will be published */
    struct function *answer; /* held: nothing is to be done, this is it */
    char *name;
    char *architecture; /* CHANGE_CODE: NULL when it stays */
    char expected[UUID_TEXT_BYTES];
    char latest_revision[UUID_TEXT_BYTES]; /* CHANGE_PUBLISH: what $LATEST gets by it */
    uint64_t number;                       /* CHANGE_PUBLISH: told by the store; CHANGE_DELETE_VERSION: which */
    bool dry_run;
    bool marked;                  /* entry->changing is ours */
    bool has_package, has_layers; /* of the draft: we hold one reference each */
    struct error early;           /* what was wrong before anything was started */
    uv_timer_t later;             /* `done` is never called from inside */
    engine_saved_fn *done;
    void *arg;
};
struct change *change_new(struct engine *engine, enum change_kind kind, struct slice name, engine_saved_fn *done,
                          void *arg);
/* Is the function there, and free to be changed? Marks it as changing, but for CHANGE_CREATE and CHANGE_DELETE_VERSION. Fails with `early` set. */
MUST_CHECK enum outcome change_begin(struct change *change, struct slice expected);
MUST_CHECK enum outcome change_expect_revision(struct change *change);
void change_answer_later(struct change *change); /* `early` or `answer`, one turn of the loop later */
void change_save_later(struct change *change);   /* the draft is complete; from inside a call */
void change_end(struct change *change, enum outcome outcome, struct function *function, const struct error *err);

/* ---- concurrency.c ---- */
/* The account keeps free for it the larger of what it has and `reserved`, until tally_set_reserved. */
void tally_claim(struct engine *engine, struct tally *tally, int64_t reserved);

/* ---- settings.c: memory ---- */
extern const char *const setting_kind_names[SETTING_KIND_COUNT];
const struct setting *entry_setting(const struct function_entry *entry, enum setting_kind kind,
                                    struct slice qualifier);
size_t settings_of_kind(const struct function_entry *entry, enum setting_kind kind);
/* Fills the parsed forms; *reserved only of a SETTING_CONCURRENCY. */
MUST_CHECK enum outcome setting_parse(struct setting *setting, int64_t *reserved, struct error *err);
void setting_put(struct engine *engine, struct function_entry *function, struct setting_entry *new); /* taken */
void setting_free(struct setting_entry *entry);
void settings_remove_one(struct engine *engine, struct function_entry *entry, enum setting_kind kind,
                         struct slice qualifier);
MUST_CHECK enum outcome settings_load(struct engine *engine, struct error *err);
void settings_free(struct engine *engine, struct function_entry *entry);
void settings_remove_qualifier(struct engine *engine, struct function_entry *entry, struct slice qualifier);
/* ---- setting_changes.c ---- */
/* Writes a reservation, which has been looked at; `refusal`: what was wrong with it, told one turn later. */
void settings_put_reserved(struct engine *engine, struct slice name, int64_t reserved, const struct error *refusal,
                           setting_saved_fn *done, void *arg);
