/* services/code_link: addresses from which a package's zip can be had for some minutes by a plain GET, as AWS gives presigned ones of S3 in
 * GetFunction's Code.Location. They stand on the API endpoint; whoever has one needs no key: the address is the permission.
 *
 *   SCHEME://HOST/.hearth/code/<sha256 hex>.zip?Expires=<Unix seconds>&Signature=<64 hex>
 *
 * The signature is an HMAC-SHA256 over digest and time with a key that is made anew at each start: a restart ends all addresses.
 * Callers: services/lambda (addresses), services/api.c through api_config.direct (downloads), server.
 * Thread:  the loop's; files are opened and read in libuv's pool. */
#pragma once

#include <uv.h>

#include "engine/package.h"
#include "services/service.h"

enum {
    CODE_LINK_VALID_S = 10 * 60,        /* AWS: "The presigned URL expires after 10 minutes" */
    CODE_LINK_CHUNK_BYTES = 64 * 1024,  /* of a package in memory, a download */
    CODE_LINK_DOWNLOADS_MAX = 64,       /* ours: at once; above: 503 SlowDown */
    CODE_LINK_HOST_BYTES_MAX = 255 + 6, /* a name and a port; a longer Host is not repeated */
    CODE_LINK_ADDRESS_BYTES = 512,
};

struct code_links;
/* `own_url` ("http://127.0.0.1:4566", borrowed, read when it is needed): for clients that say no Host. */
struct code_links *code_links_new(uv_loop_t *loop, struct package_store *packages, const char *own_url);
/* Before the package store is closed; downloads that still run end while the loop turns on. */
void code_links_free(struct code_links *links);

/* The address of a package for the client of this call. Empty when its server has no downloads. */
void code_link_address(struct call *call, const char *digest, char out[CODE_LINK_ADDRESS_BYTES]);
/* An api_config.direct: true when the exchange is one for such an address, and is taken. `arg` is the struct code_links. */
bool code_link_request(struct http_exchange *x, void *arg);
