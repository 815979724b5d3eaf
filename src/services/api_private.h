/* services/api_private: what api.c, api_route.c and api_reply.c share. For them alone.
 *   api.c        the life of a call
 *   api_route.c  which service, which operation, its parameters
 *   api_reply.c  answers and errors, in each family's form */
#pragma once

#include <assert.h>
#include <uthash.h>

#include "auth/sigv4.h"
#include "services/service.h"

/* Whoever knows an access key's id, but not its secret, can have bodies read until their signature turns out to be wrong. So large ones never
 * take the room that ordinary requests need. */
enum {
    API_SMALL_BODY_BYTES = 64 * 1024, /* bodies up to here may use all of the budget of bodies */
    API_SMALL_BODIES_SHARE = 8,       /* larger ones leave one of so many parts of it to them */
};

/* What one instance's key has in bodies now; there while it has any. */
struct api_share {
    char access_key[ACCESS_KEY_BYTES];
    size_t bytes, calls;
    UT_hash_handle hh;
};

struct api {
    struct api_config config; /* texts borrowed from the server, which outlives us */
    struct sigv4_cache *cache;
    size_t bodies_bytes; /* of all calls now */
    struct api_share *shares;
    size_t calls;
    bool freed; /* api_free was called; the last call frees us */
};

enum call_state {
    CALL_READING, /* the body comes in; the exchange may go away           -> HANDLING, freed */
    CALL_HANDLING /* a handler has it, or an answer is being written         -> freed by the answer */
};

struct api_call {
    struct call call; /* first: a struct call is where its api_call is */
    enum call_state state;
    enum protocol_family family; /* in which form errors are told; the service's once it is known */
    struct sigv4_request request;
    struct sigv4_claim claim;
    struct principal principal;
    struct buffer body;
    size_t body_max;
    struct api_share *share;    /* NULL for other keys, and before the first piece */
    size_t body_counted;        /* our part of api->bodies_bytes */
    struct sha256_stream *hash; /* NULL while the body is small */
};

static inline struct api_call *api_call_of(struct call *call)
{
    return (struct api_call *)(void *)call;
}
static_assert(offsetof(struct api_call, call) == 0, "a struct call is where its api_call is");

/* ---- api.c ---- */
void api_call_free(struct api_call *c);

/* ---- api_route.c ---- */
/* The form in which whoever speaks like this expects an error, before a service is known. */
enum protocol_family api_guess_family(const struct http_exchange *x, struct slice signing_name);
/* The service that was signed for. err: UnknownOperationException, a service that Hearth does not have. */
MUST_CHECK enum outcome api_find_service(struct api_call *c, struct error *err);
/* Query string and, where the family has it there, path or target. Query-family operations may stand in the body: then
 * call.operation stays NULL until api_find_action. */
MUST_CHECK enum outcome api_find_operation(struct api_call *c, struct error *err);
/* Query family, once the body is there: reads the form, finds Action. */
MUST_CHECK enum outcome api_find_action(struct api_call *c, struct error *err);

/* ---- api_reply.c ---- */
struct slice call_copy(struct call *call, struct slice text); /* into the call's arena */
