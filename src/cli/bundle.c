#include "cli/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/fd.h"
#include "base/memory.h"
#include "engine/package.h"

/* Reproducible: entries in order of name, every time 1980-01-01 (the first that a zip can say), modes only 0755 and 0644, no extra
 * fields. Symbolic links stay links (node_modules/.bin has many). */
enum { BUNDLE_IGNORE_BYTES_MAX = 64 * 1024, BUNDLE_DOS_DATE = 0x0021 /* 1980-01-01 */, BUNDLE_DEPTH_MAX = 64 };

static const char standard_patterns[] =
    ".git/\n.git\n.hg/\n.svn/\n.venv/\n__pycache__/\nnode_modules/.cache/\n.DS_Store\n/.hearthignore\n";

struct entry {
    char *path; /* owned; relative to the folder */
    mode_t mode;
    uint64_t size;
};

struct walk {
    const char *folder;
    struct slice ignore;
    struct entry *entries; /* owned */
    size_t count, room;
    uint64_t bytes;
};

void bundle_drop(struct bundle *bundle)
{
    buffer_drop(&bundle->zip);
}

static void walk_drop(struct walk *walk)
{
    for (size_t i = 0; i < walk->count; i++)
        free(walk->entries[i].path);
    free(walk->entries);
}

/* ---- what is left out ---- */

static bool pattern_matches(struct slice pattern, const char *path, bool is_dir)
{
    size_t inner;
    bool directories = slice_ends(pattern, SLICE("/"));
    if (directories)
        pattern.len--;
    if (directories && !is_dir)
        return false;
    bool anchored = slice_find(pattern, '/', &inner);
    if (slice_starts(pattern, SLICE("**/"))) {
        pattern = slice_sub(pattern, 3, pattern.len - 3);
        /* at any depth: try every start of a component */
        AUTO(text)
        char *deep = slice_dup(pattern);
        for (const char *at = path; at != NULL; at = strchr(at, '/') != NULL ? strchr(at, '/') + 1 : NULL) {
            if (fnmatch(deep, at, FNM_PATHNAME) == 0)
                return true;
        }
        return false;
    }
    if (slice_starts(pattern, SLICE("/")))
        pattern = slice_sub(pattern, 1, pattern.len - 1);
    if (pattern.len == 0)
        return false;
    AUTO(text)
    char *text = slice_dup(pattern);
    const char *base = strrchr(path, '/');
    return fnmatch(text, anchored || base == NULL ? path : base + 1, FNM_PATHNAME) == 0;
}

bool bundle_ignores(struct slice patterns, const char *path, bool is_dir)
{
    bool ignored = false;
    while (patterns.len > 0) {
        struct slice line = slice_split(&patterns, '\n');
        while (line.len > 0 && (line.at[line.len - 1] == '\r' || line.at[line.len - 1] == ' '))
            line.len--;
        if (line.len == 0 || line.at[0] == '#')
            continue;
        bool takes_back = line.at[0] == '!';
        if (takes_back)
            line = slice_sub(line, 1, line.len - 1);
        if (pattern_matches(line, path, is_dir))
            ignored = !takes_back;
    }
    return ignored;
}

/* ---- what is in the folder ---- */

static enum outcome walk_add(struct walk *walk, const char *path, const struct stat *status, struct error *err)
{
    if (walk->count == PACKAGE_FILES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "Name what is not needed in .hearthignore.",
                         "the folder has more than %d files", PACKAGE_FILES_MAX);
    if (walk->count == walk->room) {
        walk->room = walk->room == 0 ? 256 : walk->room * 2;
        walk->entries = memory_grow(walk->entries, walk->room, sizeof(*walk->entries));
    }
    walk->entries[walk->count++] =
        (struct entry){ .path = memory_text(path), .mode = status->st_mode, .size = (uint64_t)status->st_size };
    if (S_ISREG(status->st_mode))
        walk->bytes += (uint64_t)status->st_size;
    if (walk->bytes > PACKAGE_TREE_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE,
                         "Name what is not needed in .hearthignore, or install with npm install --omit=dev.",
                         "the folder holds more than %d MB", PACKAGE_TREE_BYTES_MAX / (1024 * 1024));
    return OK;
}

static enum outcome walk_dir(struct walk *walk, int dir, const char *below, int depth, struct error *err);

static enum outcome walk_entry(struct walk *walk, int dir, const char *below, const char *name, int depth,
                               struct error *err)
{
    char path[PACKAGE_PATH_BYTES_MAX + 1];
    struct stat status;
    if ((size_t)snprintf(path, sizeof(path), "%s%s%s", below, below[0] != '\0' ? "/" : "", name) >= sizeof(path))
        return error_set(err, ERROR_TOO_LARGE, "Shorten it.", "the path \"%.100s...\" is longer than %d bytes",
                         path, PACKAGE_PATH_BYTES_MAX);
    if (fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return error_set_sys(err, errno, "Deploy again.", "could not look at \"%s\"", path);
    bool is_dir = S_ISDIR(status.st_mode);
    if (bundle_ignores(slice_of(standard_patterns), path, is_dir) || bundle_ignores(walk->ignore, path, is_dir))
        return OK;
    if (!is_dir && !S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
        return error_set(err, ERROR_INVALID, "Name it in .hearthignore.",
                         "\"%s\" is neither a file, a directory nor a link", path);
    if (!is_dir)
        return walk_add(walk, path, &status, err);
    AUTO(fd)
    int child = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0)
        return error_set_sys(err, errno, "Make it readable, or name it in .hearthignore.", "could not open \"%s\"",
                             path);
    size_t before = walk->count;
    TRY(walk_dir(walk, child, path, depth + 1, err));
    return walk->count == before ? walk_add(walk, path, &status, err) : OK; /* an empty one has to be named */
}

static enum outcome walk_dir(struct walk *walk, int dir, const char *below, int depth, struct error *err)
{
    if (depth > BUNDLE_DEPTH_MAX)
        return error_set(err, ERROR_TOO_LARGE, "Name it in .hearthignore.", "\"%s\" is too deep", below);
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    enum outcome outcome = OK;
    if (stream == NULL) {
        enum outcome failed =
            error_set_sys(err, errno, "Make it readable.", "could not read the directory \"%s\"", below);
        fd_drop(&fd);
        return failed;
    }
    while (outcome == OK && (entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            outcome = walk_entry(walk, dir, below, entry->d_name, depth, err);
    }
    (void)closedir(stream);
    return outcome;
}

static int entry_order(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

/* ---- the zip ---- */

static enum outcome zip_refuse(zip_t *zip, const char *path, struct error *err)
{
    return error_set(err, ERROR_INVALID, "Rename it, or name it in .hearthignore.", "could not pack \"%s\": %s",
                     path, zip_strerror(zip));
}

/* A link that leaves the folder would be refused by the server, and on another machine it would lead elsewhere. */
static bool link_leaves(const char *path, const char *target)
{
    int depth = 0;
    if (target[0] == '/')
        return true;
    for (const char *at = strchr(path, '/'); at != NULL; at = strchr(at + 1, '/'))
        depth++;
    struct slice rest = slice_of(target);
    while (rest.len > 0) {
        struct slice part = slice_split(&rest, '/');
        if (slice_is(part, ".."))
            depth--;
        else if (part.len > 0 && !slice_is(part, "."))
            depth++;
        if (depth < 0)
            return true;
    }
    return false;
}

static enum outcome entry_source(struct walk *walk, const struct entry *entry, zip_t *zip, zip_source_t **out,
                                 struct error *err)
{
    char full[PATH_MAX], target[PATH_MAX];
    if ((size_t)snprintf(full, sizeof(full), "%s/%s", walk->folder, entry->path) >= sizeof(full))
        return error_set(err, ERROR_TOO_LARGE, "Move the folder.", "the path of \"%s\" is too long", entry->path);
    if (S_ISLNK(entry->mode)) {
        ssize_t length = readlink(full, target, sizeof(target) - 1);
        if (length < 0)
            return error_set_sys(err, errno, "Deploy again.", "could not read the link \"%s\"", entry->path);
        target[length] = '\0';
        if (link_leaves(entry->path, target))
            return error_set(err, ERROR_INVALID,
                             "Copy what it points to into the folder, or name it in .hearthignore.",
                             "the link \"%s\" leads out of the folder, to \"%s\"", entry->path, target);
        char *copy = memory_text(target);
        *out = zip_source_buffer(zip, copy, (zip_uint64_t)length, 1);
        if (*out == NULL)
            free(copy);
    } else {
        if (access(full, R_OK) != 0)
            return error_set_sys(err, errno, "Make it readable, or name it in .hearthignore.",
                                 "could not read \"%s\"", entry->path);
        *out = zip_source_file(zip, full, 0, (zip_int64_t)entry->size);
    }
    return *out != NULL ? OK : zip_refuse(zip, entry->path, err);
}

static enum outcome zip_entry(struct walk *walk, const struct entry *entry, zip_t *zip, struct error *err)
{
    zip_int64_t index;
    uint32_t mode = S_ISLNK(entry->mode)        ? S_IFLNK | 0777
                    : (entry->mode & 0111) != 0 ? S_IFREG | 0755
                                                : S_IFREG | 0644;
    if (S_ISDIR(entry->mode)) {
        mode = S_IFDIR | 0755;
        index = zip_dir_add(zip, entry->path, ZIP_FL_ENC_UTF_8);
    } else {
        zip_source_t *source = NULL;
        TRY(entry_source(walk, entry, zip, &source, err));
        index = zip_file_add(zip, entry->path, source, ZIP_FL_ENC_UTF_8);
        if (index < 0)
            zip_source_free(source);
    }
    if (index < 0 ||
        zip_file_set_external_attributes(zip, (zip_uint64_t)index, 0, ZIP_OPSYS_UNIX, mode << 16) != 0 ||
        zip_file_set_dostime(zip, (zip_uint64_t)index, 0, BUNDLE_DOS_DATE, 0) != 0)
        return zip_refuse(zip, entry->path, err);
    return OK;
}

/* What libzip has written, out of its memory. */
static enum outcome source_read(zip_source_t *source, struct buffer *out, struct error *err)
{
    zip_stat_t status;
    if (zip_source_open(source) != 0)
        return error_set(err, ERROR_INTERNAL, "Free some memory.", "could not read the package back");
    enum outcome outcome = FAILED;
    if (zip_source_stat(source, &status) == 0 && buffer_try_reserve(out, status.size) &&
        zip_source_read(source, out->at, status.size) == (zip_int64_t)status.size) {
        out->len = status.size;
        outcome = OK;
    } else {
        (void)error_set(err, ERROR_INTERNAL, "Free some memory.", "could not read the package back");
    }
    (void)zip_source_close(source);
    return outcome;
}

static enum outcome zip_walk(struct walk *walk, struct buffer *out, struct error *err)
{
    zip_source_t *target = zip_source_buffer_create(NULL, 0, 0, NULL);
    zip_t *zip = target != NULL ? zip_open_from_source(target, ZIP_TRUNCATE, NULL) : NULL;
    enum outcome outcome = OK;
    if (zip == NULL) {
        zip_source_free(target);
        return error_set(err, ERROR_INTERNAL, "Free some memory.", "could not begin a package");
    }
    zip_source_keep(target);
    for (size_t i = 0; i < walk->count && outcome == OK; i++)
        outcome = zip_entry(walk, &walk->entries[i], zip, err);
    if (outcome == OK && zip_close(zip) != 0)
        outcome = error_set(err, ERROR_INVALID, "Deploy again: files must not change meanwhile.",
                            "could not pack the folder: %s", zip_strerror(zip));
    else if (outcome == OK)
        zip = NULL;
    if (zip != NULL)
        zip_discard(zip);
    if (outcome == OK)
        outcome = source_read(target, out, err);
    zip_source_free(target);
    return outcome;
}

static enum outcome bundle_walked(struct walk *walk, struct bundle *out, struct error *err)
{
    if (walk->count == 0)
        return error_set(err, ERROR_INVALID, "Name another folder.", "there is nothing to deploy in \"%s\"",
                         walk->folder);
    qsort(walk->entries, walk->count, sizeof(*walk->entries), entry_order);
    TRY(zip_walk(walk, &out->zip, err));
    if (out->zip.len > PACKAGE_ZIP_BYTES_MAX) {
        size_t size = out->zip.len;
        bundle_drop(out);
        return error_set(err, ERROR_TOO_LARGE,
                         "Name what is not needed in .hearthignore, or install with npm install --omit=dev.",
                         "the package has %zu MB, the limit is %d MB", size / (1024 * 1024),
                         PACKAGE_ZIP_BYTES_MAX / (1024 * 1024));
    }
    out->files = walk->count;
    out->bytes = walk->bytes;
    return OK;
}

enum outcome bundle_make(const char *folder, struct bundle *out, struct error *err)
{
    struct buffer ignore = BUFFER_EMPTY;
    struct walk walk = { .folder = folder };
    AUTO(fd)
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memset(out, 0, sizeof(*out));
    if (dir < 0)
        return error_set_sys(err, errno, "Name a folder that is there.", "could not open \"%s\"", folder);
    enum outcome outcome = OK;
    if (faccessat(dir, ".hearthignore", F_OK, 0) == 0)
        outcome = file_read(dir, ".hearthignore", BUNDLE_IGNORE_BYTES_MAX, &ignore, err);
    walk.ignore = buffer_slice(&ignore);
    if (outcome == OK)
        outcome = walk_dir(&walk, dir, "", 0, err);
    if (outcome == OK)
        outcome = bundle_walked(&walk, out, err);
    walk_drop(&walk);
    buffer_drop(&ignore);
    return outcome;
}
