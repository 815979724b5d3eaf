/* engine/alias: an alias's document. Pure functions over JSON; the registry keeps the parsed form beside the row.
 * Source: AWS Lambda API, AliasConfiguration; "Lambda alias routing" (at most two versions, the second with a weight of 0 to 1).
 * Thread: any. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

enum { ALIAS_NAME_BYTES_MAX = 128, ALIAS_DESCRIPTION_BYTES_MAX = 1024 };

struct alias {
    char *description;      /* "" when none */
    uint64_t version;       /* 0: $LATEST */
    uint64_t other_version; /* 0: no second one */
    double other_weight;    /* the part of calls that it gets, 0 to 1 */
};

void alias_free(struct alias *alias); /* NULL allowed */
void alias_write(const struct alias *alias, struct buffer *out);
/*   err  ERROR_INVALID: not a document of ours */
MUST_CHECK enum outcome alias_read(struct slice document, struct alias **out, struct error *err);
/* `draw` is a number in [0, 1). */
uint64_t alias_choose(const struct alias *alias, double draw);
