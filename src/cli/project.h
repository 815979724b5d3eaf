/* cli/project: what is in a folder: its language, the file that holds the handler, and what stands in the way of deploying it.
 * It reads source text and guesses; whoever knows better says so with --handler and --runtime. For the room alone. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

enum { PROJECT_SOURCE_BYTES_MAX = 64 * 1024 * 1024 }; /* a bundle that is read to find its handler */

enum project_language {
    PROJECT_NODE,
    PROJECT_PYTHON,
    PROJECT_PROVIDED
}; /* PROVIDED: a program called bootstrap, in whatever language */

struct project {
    enum project_language language;
    char *handler; /* "index.handler"; owned */
};
void project_drop(struct project *project); /* AUTO(project) */

/*   language  NULL: whichever is found
 *   handler   NULL: found; else only what stands in the way is looked at
 *   err       ERROR_INVALID with the command to run: TypeScript without JavaScript, dependencies that are not installed, no handler,
 *             a bootstrap that is not executable */
MUST_CHECK enum outcome project_read(int dir, const enum project_language *language, const char *handler,
                                     struct project *out, struct error *err);

/* Does this source export a function of that name? */
bool project_js_exports(struct slice source, const char *name);
bool project_python_defines(struct slice source, const char *name);
/* Is the module of "dir/file.function" in the folder? With PROJECT_PROVIDED: is the bootstrap there, whatever it makes of its handler? */
bool project_has_handler(int dir, enum project_language language, const char *handler);

/* Does requirements.txt ask for packages, and is none in the folder? What comes with the runtime (boto3) does not count. */
bool project_lacks_requirements(int dir);

/* A function's name made of a folder's: what AWS does not allow becomes '-'. Owned. */
char *project_name(const char *folder);
