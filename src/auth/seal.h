/* auth/seal: secret material at rest. AES-256-GCM, a fresh data key for each sealed thing, itself sealed under the master key.
 * The master key is DIR/master.key (0600), apart from the database. Thread: any.
 * Form: "HS1" | key id (4) | nonce (12) | sealed data key (32+16) | nonce (12) | ciphertext | tag (16). Anything else is refused. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

struct seal; /* holds the master key in locked memory; wiped when freed */
/* Loads DIR/master.key, or makes it (0600, synced) when the directory has none and `create`. */
MUST_CHECK enum outcome seal_open(int dir, bool create, struct seal **out, struct error *err);
void seal_free(struct seal *seal);
/* `context` binds the sealed bytes to their place (an ARN): opening under another context fails. */
MUST_CHECK enum outcome seal_close(const struct seal *seal, struct slice context, struct slice plain, struct buffer *out, struct error *err);
MUST_CHECK enum outcome seal_unseal(const struct seal *seal, struct slice context, struct slice sealed, struct buffer *out, struct error *err);
