#include "server/config_paths.h"

#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "server/config.h"

static char *text_join(const char *a, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 1;
    char *text = memory_new(size);
    (void)snprintf(text, size, "%s%s", a, b);
    return text;
}

char *path_absolute(struct slice path)
{
    char here[PATH_MAX];
    if ((path.len > 0 && path.at[0] == '/') || getcwd(here, sizeof(here)) == NULL)
        return slice_dup(path);
    AUTO(text)
    char *directory = text_join(here, "/");
    AUTO(text)
    char *rest = slice_dup(path);
    return text_join(directory, rest);
}

/* The directory that XDG's variable names, or the one below the person's home that stands for it. XDG Base Directory Specification:
 * "All paths set in these environment variables must be absolute. If an implementation encounters a relative path ... it should
 * consider the path invalid and ignore it." */
static char *xdg_dir(const char *variable, const char *below_home, const char *name)
{
    const char *set = getenv(variable);
    const char *home = getenv("HOME");
    if (set != NULL && set[0] == '/')
        return text_join(set, name);
    if (home == NULL || home[0] != '/') {
        const struct passwd *entry = getpwuid(geteuid());
        home = entry != NULL && entry->pw_dir != NULL ? entry->pw_dir : "/tmp";
    }
    AUTO(text)
    char *base = text_join(home, below_home);
    return text_join(base, name);
}

char *config_default_data(void)
{
    if (geteuid() == 0)
        return memory_text("/var/lib/hearth");
    return xdg_dir("XDG_DATA_HOME", "/.local/share", "/hearth");
}

char *config_default_file(void)
{
    char *file = geteuid() == 0 ? memory_text("/etc/hearth/hearth.yaml")
                                : xdg_dir("XDG_CONFIG_HOME", "/.config", "/hearth/hearth.yaml");
    if (access(file, F_OK) != 0)
        text_drop(&file);
    return file;
}

/* A container often has no more than 65,536 ids; setuid to one outside of them is refused (EINVAL). */
uint64_t uid_base_default(void)
{
    FILE *map = fopen("/proc/self/uid_map", "re");
    uint64_t first, outside, count, found = CONFIG_UID_BASE_CONTAINER;
    if (map == NULL)
        return CONFIG_UID_BASE_DEFAULT;
    while (fscanf(map, "%" SCNu64 " %" SCNu64 " %" SCNu64, &first, &outside, &count) == 3) {
        if (first <= CONFIG_UID_BASE_DEFAULT && CONFIG_UID_BASE_DEFAULT + KEEPER_INSTANCES_MAX < first + count)
            found = CONFIG_UID_BASE_DEFAULT;
    }
    (void)fclose(map);
    return found;
}

static bool is_dir(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Does `dir` hold both bootstraps? */
static bool is_share(const char *dir)
{
    AUTO(text)
    char *node = text_join(dir, "/runtimes/node");
    AUTO(text)
    char *python = text_join(dir, "/runtimes/python");
    return is_dir(node) && is_dir(python);
}

/* The directory of this binary, without the name: "/usr/local/bin", "/home/me/hearth/build". */
static char *binary_dir(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return NULL;
    *slash = '\0';
    return memory_text(path);
}

char *config_share_dir(const struct config *config)
{
    if (config != NULL && config->share != NULL)
        return memory_text(config->share);
    AUTO(text)
    char *dir = binary_dir();
    if (dir == NULL)
        return NULL;
    /* PREFIX/bin/hearth -> PREFIX/share/hearth; CHECKOUT/build/hearth -> CHECKOUT. */
    char *slash = strrchr(dir, '/');
    if (slash == NULL)
        return NULL;
    *slash = '\0';
    char *share = text_join(dir, "/share/hearth");
    if (is_share(share))
        return share;
    free(share);
    return is_share(dir) ? memory_text(dir) : NULL;
}

static const char system_runtimes[] = "/usr/local/lib/hearth/runtimes";

char *config_runtime_target(const struct config *config)
{
    if (config != NULL && config->runtimes != NULL)
        return memory_text(config->runtimes);
    if (geteuid() == 0)
        return memory_text(system_runtimes);
    return xdg_dir("XDG_DATA_HOME", "/.local/share", "/hearth/runtimes");
}

size_t config_runtime_dirs(const struct config *config, char *out[KEEPER_RUNTIME_DIRS_MAX])
{
    char *candidates[4] = { config_runtime_target(config), NULL, memory_text(system_runtimes), NULL };
    size_t count = 0;
    if (geteuid() != 0)
        candidates[1] = xdg_dir("XDG_DATA_HOME", "/.local/share", "/hearth/runtimes");
    AUTO(text)
    char *dir = binary_dir();
    if (dir != NULL && strrchr(dir, '/') != NULL) {
        *strrchr(dir, '/') = '\0';
        candidates[3] = text_join(dir, "/lib/hearth/runtimes");
    }
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        bool known = candidates[i] == NULL;
        for (size_t k = 0; k < count && !known; k++)
            known = strcmp(out[k], candidates[i]) == 0;
        if (known)
            free(candidates[i]);
        else
            out[count++] = candidates[i];
    }
    return count;
}
