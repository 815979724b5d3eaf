#include "keeper/entry.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 }; /* POSIX shell: exit statuses for commands */

static const char hint[] = "Put an executable file named \"bootstrap\" at the top of the package or of a layer.";
const char *const entry_places[ENTRY_PLACES] = { "/var/task/bootstrap", "/opt/bootstrap" };

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* As Go's errors read, which Lambda passes on. */
static const char *words_of(int error)
{
    switch (error) {
    case EACCES:
        return "permission denied";
    case ENOEXEC:
        return "exec format error";
    case ENOENT:
        return "no such file or directory"; /* it is there: its interpreter is not */
    default:
        return strerror(error);
    }
}

enum outcome entry_bootstrap(char *const places[ENTRY_PLACES], char *const *envp, bool *refused, struct error *err)
{
    *refused = true;
    for (size_t i = 0; i < ENTRY_PLACES; i++) {
        if (!is_file(places[i]))
            continue;
        char *const argv[] = { places[i], NULL };
        execve(argv[0], argv, envp);
        return error_set(err, ERROR_INVALID, hint, "fork/exec %s: %s", entry_places[i], words_of(errno));
    }
    return error_set(err, ERROR_INVALID, hint, "Couldn't find valid bootstrap(s): [%s %s]", entry_places[0],
                     entry_places[1]);
}

/* AWS's own runtimes are started by a shell script whose words these are. */
static _Noreturn void give_up(const char *wrapper, const char *why, int status)
{
    dprintf(STDOUT_FILENO, "%s: %s\n", wrapper, why);
    _exit(status);
}

_Noreturn void entry_wrapper(const char *wrapper, char *const *argv, char *const *envp)
{
    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    char **wrapped = memory_new_array(count + 3, sizeof(*wrapped));
    wrapped[0] = (char *)(uintptr_t) "/bin/sh";
    wrapped[1] = (char *)(uintptr_t)wrapper;
    memcpy(wrapped + 2, argv, count * sizeof(*wrapped));
    if (!is_file(wrapper))
        give_up(wrapper, "does not exist", EXIT_NOT_FOUND);
    if (access(wrapper, X_OK) < 0)
        give_up(wrapper, "is not an executable", EXIT_NOT_EXECUTABLE);
    execve(wrapper, wrapped + 1, envp);
    if (errno ==
        ENOEXEC) /* a script without "#!": a shell takes it for its own (POSIX, command search and execution) */
        execve(wrapped[0], wrapped, envp);
    give_up(wrapper, strerror(errno), EXIT_NOT_EXECUTABLE);
}
