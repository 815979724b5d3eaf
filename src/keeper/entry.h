/* entry: the exec of what a function brought itself: the bootstrap of a `provided` runtime, a wrapper script. In the runtime's process, with every
 * right already gone. Refusals are worded as Lambda's own: they end in the function's log and in the caller's answer. */
#pragma once

#include "base/error.h"

enum { ENTRY_PLACES = 2 }; /* "/var/task/bootstrap", "/opt/bootstrap" */
extern const char *const entry_places[ENTRY_PLACES];

/* Executes the first of `places` that is there (entry_places, as they are called where there is no sandbox). Returns only when it cannot:
 * *refused, and err->message is what Lambda says. */
enum outcome entry_bootstrap(char *const places[ENTRY_PLACES], char *const *envp, bool *refused, struct error *err);
/* Executes `wrapper` with argv as its arguments. When it cannot, says so on the function's standard output, and exits with a shell's status for it. */
_Noreturn void entry_wrapper(const char *wrapper, char *const *argv, char *const *envp);
