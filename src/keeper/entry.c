#include "keeper/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"

enum { SCRIPT_HEAD_BYTES = 256, SCRIPT_DEPTH_MAX = 8 };   /* Linux: BINPRM_BUF_SIZE; five interpreters in a row */
enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 }; /* POSIX shell: exit statuses for commands */

static const char hint[] = "Put an executable file named \"bootstrap\" at the top of the package or of a layer.";
const char *const entry_places[ENTRY_PLACES] = { "/var/task/bootstrap", "/opt/bootstrap" };

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* Until the exec /proc/self/exe is our own executable, which lies outside: a function that runs as that could open it, and change its mode
 * where both belong to the same user. Who has chosen the file, or the "#!" in it, does not get there. Nothing that it brought runs
 * yet and nothing here can be written to: what is looked at is what will be executed. */
static bool leads_to_us(const char *path)
{
    char head[SCRIPT_HEAD_BYTES + 1], next[SCRIPT_HEAD_BYTES + 1];
    struct stat us, it;
    if (stat("/proc/self/exe", &us) < 0)
        return true;
    for (int depth = 0; depth < SCRIPT_DEPTH_MAX; depth++) {
        AUTO(fd)
        int fd = -1;
        if (stat(path, &it) < 0 || !S_ISREG(it.st_mode))
            return false; /* nor can the kernel execute it */
        if (it.st_dev == us.st_dev && it.st_ino == us.st_ino)
            return true;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        ssize_t got = fd < 0 ? -1 : read(fd, head, SCRIPT_HEAD_BYTES);
        if (got < 0)
            return true; /* the kernel could read it all the same */
        head[got] = '\0';
        if (strncmp(head, "#!", 2) != 0)
            return false;
        char *from = head + 2 + strspn(head + 2, " \t");
        size_t len = strcspn(from, " \t\n");
        memcpy(next, from, len);
        next[len] = '\0';
        path = next;
    }
    return true; /* the kernel follows fewer */
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
        errno = EACCES;
        if (!leads_to_us(argv[0]))
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
    if (leads_to_us(wrapper))
        give_up(wrapper, "is not an executable", EXIT_NOT_EXECUTABLE);
    execve(wrapper, wrapped + 1, envp);
    if (errno ==
        ENOEXEC) /* a script without "#!": a shell takes it for its own (POSIX, command search and execution) */
        execve(wrapped[0], wrapped, envp);
    give_up(wrapper, strerror(errno), EXIT_NOT_EXECUTABLE);
}
