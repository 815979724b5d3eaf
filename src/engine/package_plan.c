/* What a zip would make, decided before anything is made. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "engine/package_private.h"

enum { UNIX_MODE_SHIFT = 16 }; /* external attributes: the upper half is st_mode when a Unix made the entry */

enum outcome zip_refuse(struct error *err, const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return error_set_code(
        err, ERROR_INVALID, "InvalidParameterValueException", "Make the zip again, then upload it.",
        "Could not unzip uploaded file. Please check your file, then try to upload again. (%s)", what);
}

enum outcome zip_refuse_size(struct error *err)
{
    return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException",
                          "Leave out what the function does not need at run time.",
                          "Unzipped size must be smaller than %d bytes", PACKAGE_TREE_BYTES_MAX);
}

const char *zip_shown(const char *name, char out[ZIP_SHOWN_BYTES])
{
    size_t len = 0;
    for (; name[len] && len < ZIP_SHOWN_BYTES - 1; len++)
        out[len] = name[len] >= 0x20 && name[len] < 0x7f && name[len] != '"' && name[len] != '\\' ? name[len] : '?';
    out[len] = '\0';
    return out;
}

/* ---- one entry ---- */

/* Brings a name into its one form, or says why it has none. */
static enum outcome plan_path(const char *name, char **out, struct error *err)
{
    char shown[ZIP_SHOWN_BYTES];
    struct slice rest = slice_of(name);
    struct buffer path = BUFFER_EMPTY;
    const char *wrong = NULL;
    if (rest.len > PACKAGE_PATH_BYTES_MAX)
        return zip_refuse(err, "the name \"%s...\" is longer than %d bytes", zip_shown(name, shown),
                          PACKAGE_PATH_BYTES_MAX);
    if (rest.len == 0)
        wrong = "an entry without a name";
    else if (name[0] == '/')
        wrong = "an absolute path";
    else if (strchr(name, '\\'))
        wrong = "a backslash in the name";
    for (const char *at = name; *at && !wrong; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            wrong = "a control character in the name";
    }
    while (rest.len > 0 && !wrong) {
        struct slice part = slice_split(&rest, '/');
        if (part.len == 0 || slice_is(part, ".")) /* "./a" and "a//b" are what some tools write */
            continue;
        if (slice_is(part, ".."))
            wrong = "a path that leads out of the package";
        else if (part.len > PACKAGE_NAME_BYTES_MAX)
            wrong = "too long a name";
        if (path.len > 0)
            buffer_append_byte(&path, '/');
        buffer_append_slice(&path, part);
    }
    if (!wrong)
        *out = slice_dup(buffer_slice(&path));
    buffer_drop(&path);
    return wrong ? zip_refuse(err, "%s: \"%s\"", wrong, zip_shown(name, shown)) : OK;
}

static enum outcome plan_kind(zip_t *zip, const char *name, struct zip_entry *entry, struct error *err)
{
    char shown[ZIP_SHOWN_BYTES];
    zip_uint8_t system = ZIP_OPSYS_DOS;
    zip_uint32_t attributes = 0;
    bool slash = name[strlen(name) - 1] == '/';
    if (zip_file_get_external_attributes(zip, entry->index, 0, &system, &attributes) != 0)
        return zip_refuse(err, "no attributes for \"%s\"", zip_shown(name, shown));
    bool has_mode = system == ZIP_OPSYS_UNIX || system == ZIP_OPSYS_OS_X;
    mode_t mode = has_mode ? attributes >> UNIX_MODE_SHIFT : 0;
    switch (mode & S_IFMT) {
    case 0: /* made on a system without modes, or by a tool that sets only the permissions */
    case S_IFREG:
        entry->kind = slash ? ZIP_DIRECTORY : ZIP_FILE;
        break;
    case S_IFDIR:
        entry->kind = ZIP_DIRECTORY;
        break;
    case S_IFLNK:
        entry->kind = ZIP_LINK;
        break;
    default:
        return zip_refuse(err, "\"%s\" is a device or another special file", zip_shown(name, shown));
    }
    entry->executable = (mode & 0111) != 0;
    if ((entry->kind == ZIP_DIRECTORY && entry->size > 0) || (entry->kind == ZIP_LINK && slash))
        return zip_refuse(err, "\"%s\" is a directory by its name, but not by its content", zip_shown(name, shown));
    return OK;
}

static enum outcome plan_target(zip_t *zip, struct zip_entry *entry, struct error *err)
{
    char shown[ZIP_SHOWN_BYTES];
    char target[PACKAGE_PATH_BYTES_MAX + 1];
    zip_shown(entry->path, shown);
    if (entry->size == 0 || entry->size > PACKAGE_PATH_BYTES_MAX)
        return zip_refuse(err, "the link \"%s\" has no target, or too long a one", shown);
    zip_file_t *file = zip_fopen_index(zip, entry->index, 0);
    zip_int64_t len = file ? zip_fread(file, target, sizeof(target)) : -1;
    bool whole = len == (zip_int64_t)entry->size && zip_fread(file, target + len, 1) == 0;
    if (file)
        whole = zip_fclose(file) == 0 && whole;
    if (!whole || memchr(target, '\0', (size_t)len))
        return zip_refuse(err, "the link \"%s\" cannot be read", shown);
    entry->target = slice_dup(slice_from(target, (size_t)len));
    return OK;
}

static enum outcome plan_entry(zip_t *zip, zip_uint64_t index, struct zip_entry *entry, struct error *err)
{
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    char shown[ZIP_SHOWN_BYTES];
    zip_stat_t st;
    /* UTF-8 where the zip says so or it looks like it, else from the old DOS alphabet. */
    const char *name = zip_get_name(zip, index, ZIP_FL_ENC_GUESS);
    if (!name || zip_stat_index(zip, index, 0, &st) != 0 || (st.valid & needed) != needed)
        return zip_refuse(err, "entry %llu cannot be read", (unsigned long long)index);
    TRY(plan_path(name, &entry->path, err));
    entry->index = index;
    entry->size = st.size;
    if (st.encryption_method != ZIP_EM_NONE)
        return zip_refuse(err, "\"%s\" is encrypted", zip_shown(name, shown));
    if (st.comp_method != ZIP_CM_STORE && st.comp_method != ZIP_CM_DEFLATE)
        return zip_refuse(err, "\"%s\" is compressed by method %u; use deflate", zip_shown(name, shown),
                          st.comp_method);
    TRY(plan_kind(zip, name, entry, err));
    return entry->kind == ZIP_LINK ? plan_target(zip, entry, err) : OK;
}

/* ---- all of them ---- */

/* '/' sorts before everything, so that "a/b" comes before "a.b" and right behind "a". */
int zip_compare_paths(const char *a, const char *b)
{
    for (;; a++, b++) {
        unsigned left = *a == '/' ? 1 : (unsigned char)*a + (*a ? 1U : 0U);
        unsigned right = *b == '/' ? 1 : (unsigned char)*b + (*b ? 1U : 0U);
        if (left != right)
            return left < right ? -1 : 1;
        if (!*a)
            return 0;
    }
}

static int compare_entries(const void *a, const void *b)
{
    const struct zip_entry *left = a, *right = b;
    int order = zip_compare_paths(left->path, right->path);
    return order ? order : (left->index > right->index) - (left->index < right->index);
}

size_t zip_shared_path(const char *before, const char *path)
{
    size_t same = 0;
    for (size_t i = 0; path[i] && path[i] == before[i]; i++) {
        if (path[i + 1] == '/' && (before[i + 1] == '/' || before[i + 1] == '\0'))
            same = i + 2;
    }
    return same;
}

/* How many directories lie on the way to `path` that did not on the way to `before`. */
static size_t new_directories(const char *before, const char *path)
{
    size_t count = 0;
    for (const char *at = path + zip_shared_path(before, path); (at = strchr(at, '/')) != NULL; at++)
        count++;
    return count;
}

/* One path, one thing; and nothing below what is no directory. */
static enum outcome plan_check_paths(struct zip_plan *plan, struct error *err)
{
    char shown[ZIP_SHOWN_BYTES];
    size_t kept = 0, nodes = 0;
    for (size_t i = 0; i < plan->count; i++) {
        struct zip_entry *entry = &plan->entries[i];
        struct zip_entry *before = kept > 0 ? &plan->entries[kept - 1] : NULL;
        bool again = before && !strcmp(before->path, entry->path);
        if ((again || !*entry->path) && entry->kind == ZIP_DIRECTORY &&
            (!before || !again || before->kind == ZIP_DIRECTORY)) {
            free(entry->path); /* "./", or a directory that is named twice, as Java's tools do: the same tree */
            entry->path = NULL;
            continue;
        }
        if (!*entry->path)
            return zip_refuse(err, "an entry that is no directory is called \".\"");
        if (again)
            return zip_refuse(err, "two entries are called \"%s\"", zip_shown(entry->path, shown));
        size_t len = before ? strlen(before->path) : 0;
        if (before && before->kind != ZIP_DIRECTORY && !strncmp(entry->path, before->path, len) &&
            entry->path[len] == '/')
            return zip_refuse(err, "\"%s\" lies below something that is no directory",
                              zip_shown(entry->path, shown));
        nodes += 1 + new_directories(before ? before->path : "", entry->path);
        struct zip_entry moved = *entry;
        *entry = (struct zip_entry){ 0 };
        plan->entries[kept++] = moved;
    }
    plan->count = kept;
    if (nodes > PACKAGE_FILES_MAX)
        return zip_refuse(err, "it has more than %d files and directories", PACKAGE_FILES_MAX);
    return OK;
}

enum outcome zip_plan_make(zip_t *zip, uint64_t entries, struct zip_plan *plan, struct error *err)
{
    *plan = (struct zip_plan){ .zip = zip };
    if (zip_get_num_entries(zip, 0) != (zip_int64_t)entries)
        return zip_refuse(err, "it can be read in two ways");
    plan->entries = memory_new_array(entries + 1, sizeof(*plan->entries));
    for (uint64_t i = 0; i < entries; i++) {
        struct zip_entry *entry = &plan->entries[plan->count++];
        TRY(plan_entry(zip, i, entry, err));
        plan->declared_bytes += entry->kind == ZIP_FILE ? entry->size : 0;
        plan->links += entry->kind == ZIP_LINK;
        if (entry->size >= PACKAGE_TREE_BYTES_MAX || plan->declared_bytes >= PACKAGE_TREE_BYTES_MAX)
            return zip_refuse_size(err);
    }
    qsort(plan->entries, plan->count, sizeof(*plan->entries), compare_entries);
    TRY(plan_check_paths(plan, err));
    if (plan->count == 0)
        return error_set_code(err, ERROR_INVALID, "InvalidParameterValueException",
                              "Zip at least the handler's file.", "Uploaded file must be a non-empty zip");
    return zip_links_check(plan, err);
}

void zip_plan_done(struct zip_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->entries[i].path);
        free(plan->entries[i].target);
    }
    free(plan->entries);
    *plan = (struct zip_plan){ 0 };
}
