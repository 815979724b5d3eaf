/* From a zip in memory to a tree on disk (see package_zip.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "engine/package_private.h"

enum { COPY_BYTES = 64 * 1024 };

struct unpack {
    const struct zip_plan *plan;
    int dir;            /* -1: only counted */
    const char *before; /* the path that was made last: its directories are there */
    struct package_figures figures;
    char *bytes; /* COPY_BYTES */
};

static enum outcome unpack_error(const char *path, int error_number, struct error *err)
{
    char shown[ZIP_SHOWN_BYTES];
    return error_set_sys(err, error_number, "Check the disk that holds the data directory.",
                         "could not write \"%s\"", zip_shown(path, shown));
}

/* Makes what of the directories on the way to `path` was not on the way to the entry before: sorted as they are, no other can be missing. */
static enum outcome make_parents(struct unpack *unpack, const char *path, struct error *err)
{
    char part[PACKAGE_PATH_BYTES_MAX + 1];
    for (const char *at = path + zip_shared_path(unpack->before, path); (at = strchr(at, '/')) != NULL; at++) {
        snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
        if (mkdirat(unpack->dir, part, 0755) < 0)
            return unpack_error(path, errno, err);
    }
    return OK;
}

static enum outcome copy_out(struct unpack *unpack, const struct zip_entry *entry, zip_file_t *file, int fd,
                             struct error *err)
{
    char shown[ZIP_SHOWN_BYTES];
    uint64_t bytes = 0;
    for (;;) {
        zip_int64_t len = zip_fread(file, unpack->bytes, COPY_BYTES);
        if (len < 0)
            return zip_refuse(err, "\"%s\" is damaged", zip_shown(entry->path, shown));
        if (len == 0)
            break;
        bytes += (uint64_t)len;
        unpack->figures.bytes += (uint64_t)len;
        if (unpack->figures.bytes >= PACKAGE_TREE_BYTES_MAX)
            return zip_refuse_size(err);
        if (bytes > entry->size)
            return zip_refuse(err, "\"%s\" is larger than it says", zip_shown(entry->path, shown));
        if (fd >= 0)
            TRY(fd_write_all(fd, slice_from(unpack->bytes, (size_t)len), err));
    }
    if (bytes != entry->size)
        return zip_refuse(err, "\"%s\" is smaller than it says", zip_shown(entry->path, shown));
    return OK;
}

static enum outcome unpack_file(struct unpack *unpack, const struct zip_entry *entry, struct error *err)
{
    char shown[ZIP_SHOWN_BYTES];
    AUTO(fd)
    int fd = -1;
    if (unpack->dir >= 0) {
        fd = openat(unpack->dir, entry->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    entry->executable ? 0755 : 0644);
        if (fd < 0)
            return unpack_error(entry->path, errno, err);
    }
    zip_file_t *file = zip_fopen_index(unpack->plan->zip, entry->index, 0);
    if (!file)
        return zip_refuse(err, "\"%s\" cannot be read", zip_shown(entry->path, shown));
    enum outcome outcome = copy_out(unpack, entry, file, fd, err);
    int closed = zip_fclose(file);
    if (outcome == OK && closed != 0)
        return zip_refuse(err, "\"%s\" is damaged", zip_shown(entry->path, shown));
    unpack->figures.files++;
    return outcome;
}

static enum outcome unpack_all(struct unpack *unpack, struct error *err)
{
    const struct zip_plan *plan = unpack->plan;
    for (size_t i = 0; i < plan->count; i++) {
        const struct zip_entry *entry = &plan->entries[i];
        if (unpack->dir >= 0)
            TRY(make_parents(unpack, entry->path, err));
        if (entry->kind == ZIP_FILE)
            TRY(unpack_file(unpack, entry, err));
        else if (entry->kind == ZIP_DIRECTORY && unpack->dir >= 0 && mkdirat(unpack->dir, entry->path, 0755) < 0)
            return unpack_error(entry->path, errno, err);
        unpack->before = entry->path;
    }
    for (size_t i = 0; i < plan->count; i++) { /* last: nothing that is written goes through a link */
        const struct zip_entry *entry = &plan->entries[i];
        if (entry->kind != ZIP_LINK)
            continue;
        if (unpack->dir >= 0 && symlinkat(entry->target, unpack->dir, entry->path) < 0)
            return unpack_error(entry->path, errno, err);
        unpack->figures.files++;
    }
    return OK;
}

static enum outcome read_opened(zip_t *zip, uint64_t entries, int dir, struct package_figures *out,
                                struct error *err)
{
    struct zip_plan plan;
    struct unpack unpack = { .plan = &plan, .dir = dir, .before = "" };
    enum outcome outcome = zip_plan_make(zip, entries, &plan, err);
    if (outcome == OK) {
        unpack.bytes = memory_new(COPY_BYTES);
        outcome = unpack_all(&unpack, err);
        free(unpack.bytes);
    }
    if (outcome == OK)
        *out = unpack.figures;
    zip_plan_done(&plan);
    return outcome;
}

enum outcome package_zip_read(struct slice bytes, int dir, struct package_figures *out, struct error *err)
{
    uint64_t entries;
    zip_error_t why;
    TRY(zip_scan(bytes, &entries, err));
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(bytes.at, bytes.len, 0, &why);
    /* Without ZIP_CHECKCONS: it refuses zips that streaming tools make (local headers without sizes). What counts is checked by us, from
     * the central directory alone, and by libzip's checksums. */
    zip_t *zip = source ? zip_open_from_source(source, ZIP_RDONLY, &why) : NULL;
    if (!zip) {
        enum outcome outcome = zip_refuse(err, "%s", zip_error_strerror(&why));
        zip_source_free(source);
        zip_error_fini(&why);
        return outcome;
    }
    enum outcome outcome = read_opened(zip, entries, dir, out, err);
    zip_discard(zip); /* frees the source */
    zip_error_fini(&why);
    return outcome;
}
