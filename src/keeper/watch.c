#include "keeper/watch.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"

/* Private pages and shared memory, not the files of the runtime: those are the same pages in every instance. */
static uint64_t resident(int proc, const char *pid)
{
    char path[300], text[128];
    snprintf(path, sizeof(path), "%s/statm", pid);
    AUTO(fd)
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    unsigned long long size = 0, all = 0, shared = 0;
    text[got > 0 ? got : 0] = '\0';
    if (sscanf(text, "%llu %llu %llu", &size, &all, &shared) != 3 || all < shared)
        return 0;
    return (all - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* RssShmem is not in statm. Read only for what has much shared. */
static uint64_t shared_memory(int proc, const char *pid)
{
    char path[300], text[4096];
    snprintf(path, sizeof(path), "%s/status", pid);
    AUTO(fd)
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    text[got > 0 ? got : 0] = '\0';
    const char *line = strstr(text, "\nRssShmem:");
    return line != NULL ? strtoull(line + 10, NULL, 10) * 1024 : 0;
}

_Bool watch_read(int proc, struct watch_figures *out)
{
    *out = (struct watch_figures){ 0, 0 };
    AUTO(fd)
    int copy = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (list == NULL)
        return 0;
    fd_take(&copy);
    uint64_t largest_shared = 0;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        out->processes++;
        out->resident_bytes += resident(proc, entry->d_name);
        uint64_t shared = shared_memory(proc, entry->d_name);
        if (shared > largest_shared) /* usually the same pages in each: the largest stands for all */
            largest_shared = shared;
    }
    closedir(list);
    out->resident_bytes += largest_shared;
    return 1;
}
