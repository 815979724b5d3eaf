/* What the tests of services/lambda hold in their hands: a front that records the one answer of a call, and an engine that keeps
 * functions in an array and answers when it is told. Both stand in for the real ones behind the same headers. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "services/lambda/lambda.h"

enum { WORLD_FUNCTIONS_MAX = 200, WORLD_VERSIONS_MAX = 200, WORLD_ALIASES_MAX = 120, WORLD_HEADERS_MAX = 16 };

struct engine {
    struct function *functions[WORLD_FUNCTIONS_MAX]; /* in order of name */
    size_t count;
    struct function *versions[WORLD_VERSIONS_MAX]; /* of all functions, ascending for each */
    size_t version_count;
    struct setting aliases[WORLD_ALIASES_MAX]; /* of the first function, in order of name */
    size_t alias_count;
    int64_t reserved; /* of the first function; -1: none */
    bool runtime_missing;
    /* what it was asked to do, until world_saved or world_invoked answers */
    enum {
        ASKED_NOTHING,
        ASKED_CREATE,
        ASKED_CODE,
        ASKED_CONFIGURATION,
        ASKED_DELETE,
        ASKED_INVOKE,
        ASKED_PUBLISH,
        ASKED_DELETE_VERSION,
        ASKED_TAGS,
        ASKED_SETTING,
        ASKED_SETTING_DELETE,
        ASKED_RESERVE
    } asked;
    struct function *draft;
    struct buffer zip, payload;
    char name[128], architecture[32], revision[64];
    bool dry_run;
    struct invocation_input invocation;
    engine_saved_fn *saved;
    invocation_done_fn *invoked;
    void *arg;
    char qualifier[256], description[512], sha256[128], document[2048];
    bool has_description;
    uint64_t number, targets[2];
    enum setting_kind kind;
    enum setting_mode mode;
    struct variable *tags;
    size_t tag_count;
    setting_saved_fn *setting_saved;
};

struct http_exchange {
    struct http_header sent[WORLD_HEADERS_MAX]; /* the request's */
    size_t sent_count;
    struct {
        char name[64], value[8192];
    } added[WORLD_HEADERS_MAX]; /* the answer's */
    size_t added_count;
};

struct world {
    struct engine engine;
    struct http_exchange exchange;
    struct call call;
    struct buffer body;
    /* the answer */
    int replies;
    int status;
    struct buffer answer;
    char forgotten[128];   /* the function whose events were to be forgotten */
    const char *answer_at; /* where the answer's bytes lay */
    struct error error;
};

void world_init(struct world *world);
void world_done(struct world *world);
/* A function like CreateFunction's defaults make it. */
struct function *world_add_function(struct world *world, const char *name);
/* A published version of it, and an alias of the first function (of two versions when `other` is not 0). */
struct function *world_add_version(struct world *world, const char *name, uint64_t number);
struct setting *world_add_alias(struct world *world, const char *name, uint64_t version, uint64_t other,
                                double weight);
/* One call; what was before is forgotten, the functions stay. */
void world_call(struct world *world, const char *method, const char *body);
void world_path(struct world *world, const char *function_name);
void world_query(struct world *world, const char *name, const char *value);
void world_header(struct world *world, const char *name, const char *value);
/* The engine answers. */
void world_saved(struct world *world, enum outcome outcome, struct function *f, const struct error *err);
void world_setting_saved(struct world *world, enum outcome outcome, const struct setting *setting,
                         const struct error *err);
void world_invoked(struct world *world, const struct invocation_result *result);
const char *world_added(const struct world *world,
                        const char *name); /* a field of the answer; NULL when there is none */

#define assert_failed(world, wanted_code, wanted_text)                                                             \
    do {                                                                                                           \
        assert_int_equal((world)->replies, 1);                                                                     \
        assert_string_equal((world)->error.code, wanted_code);                                                     \
        assert_text((world)->error.message, wanted_text);                                                          \
        assert_true((world)->error.hint[0] != '\0');                                                               \
    } while (0)
#define assert_text(text, part)                                                                                    \
    do {                                                                                                           \
        if (strstr(text, part) == NULL)                                                                            \
            fail_msg("\"%s\" does not contain \"%s\"", text, part);                                                \
    } while (0)
#define assert_answer(world, wanted_status, part)                                                                  \
    do {                                                                                                           \
        if ((world)->error.kind != ERROR_NONE)                                                                     \
            fail_msg("%s: %s", (world)->error.code, (world)->error.message);                                       \
        assert_int_equal((world)->replies, 1);                                                                     \
        assert_int_equal((world)->status, wanted_status);                                                          \
        assert_text(buffer_text(&(world)->answer), part);                                                          \
    } while (0)
