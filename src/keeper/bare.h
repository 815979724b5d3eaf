/* bare: functions without a sandbox, for machines where none can be had and whose owner said so with
 * --dangerously-run-functions-without-sandbox. A function then sees every file, process and network that its user does; what is left are its
 * uid (as root), limits, no_new_privs and the system call filter. The paths that a sandbox would have are replaced in its environment. */
#pragma once

#include "keeper/sandbox.h"

/* In the runtime's process: enters the code and rewrites arguments, environment and the wrapper's path.
 *   err  ERROR_UNSUPPORTED: several layers, which nothing but a mount can merge */
MUST_CHECK enum outcome bare_enter(const struct sandbox_plan *plan, char ***argv, char ***envp,
                                   const char **wrapper, struct error *err);
/* In the runtime's process, as its own user by now: can the code be reached by its path? */
MUST_CHECK enum outcome bare_check(struct error *err);
/* In the first process: becomes the reaper of all that the function starts; ends them all. */
void bare_adopt(void);
void bare_end_all(void);
