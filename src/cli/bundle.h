/* cli/bundle: a folder as a zip. The same folder always gives the same bytes (order, times and modes are fixed), so that deploying
 * what has not changed gives the same CodeSha256. For the room alone. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

struct bundle {
    struct buffer zip;
    size_t files;
    uint64_t bytes; /* unpacked */
};
void bundle_drop(struct bundle *bundle); /* AUTO(bundle) */

/* Leaves out .git, .hg, .svn, .venv, __pycache__, node_modules/.cache, .DS_Store and what .hearthignore says.
 *   err  ERROR_TOO_LARGE, ERROR_INVALID (a socket, a link out of the folder), what reading failed with */
MUST_CHECK enum outcome bundle_make(const char *folder, struct bundle *out, struct error *err);

/* .hearthignore, in the manner of .gitignore: a pattern a line; # comments; ! takes back; a leading or inner / anchors at the folder,
 * a trailing / means directories only; * and ? and [..] do not match /. The last line that matches decides. */
bool bundle_ignores(struct slice patterns, const char *path, bool is_dir);
