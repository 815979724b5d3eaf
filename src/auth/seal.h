/* auth/seal: secret material at rest. AES-256-GCM, a fresh data key for each sealed thing, itself sealed under the master key.
 * The master key is DIR/master.key (0600), apart from the database. Thread: any.
 * Form: "HS1" | key id (4) | nonce (12) | sealed data key (32+16) | nonce (12) | ciphertext | tag (16). Anything else is refused. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

enum {
    SEAL_PLAIN_BYTES_MAX = 16 * 1024 * 1024, /* ours: far above any key, secret or environment */
    SEAL_CONTEXT_BYTES_MAX = 4096,
};

struct
    seal; /* holds the master key in locked memory; wiped when freed. A child of fork finds zeroes in its place. */
/* Loads DIR/master.key (64 hex digits), or makes it (0600, synced) when the directory has none and `create`.
 *   err  ERROR_NOT_FOUND, ERROR_INVALID (readable by others, another user's, no key), ERROR_DISK_FULL, ERROR_INTERNAL */
MUST_CHECK enum outcome seal_open(int dir, bool create, struct seal **out, struct error *err);
void seal_free(struct seal *seal);
/* Both append to `out`. `context` binds the sealed bytes to their place (an ARN): opening under another context fails with ERROR_INVALID,
 * as anything does that is not byte for byte what was sealed under this master key. The caller wipes what it unsealed (buffer_wipe). */
MUST_CHECK enum outcome seal_close(const struct seal *seal, struct slice context, struct slice plain,
                                   struct buffer *out, struct error *err);
MUST_CHECK enum outcome seal_unseal(const struct seal *seal, struct slice context, struct slice sealed,
                                    struct buffer *out, struct error *err);
