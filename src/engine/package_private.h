/* engine/package_private: between the zip's reader and its plan. */
#pragma once

#include <zip.h>

#include "engine/package_zip.h"

enum zip_kind { ZIP_DIRECTORY, ZIP_FILE, ZIP_LINK };

struct zip_entry {
    char *path;         /* owned; "a/b", without ".", "..", empty parts or a slash at either end */
    zip_uint64_t index; /* in the zip */
    uint64_t size;
    enum zip_kind kind;
    bool executable;
    char *target; /* of a link; owned */
};

/* Sorted by path with '/' before every other byte: what lies below a directory follows it directly. */
struct zip_plan {
    zip_t *zip;
    struct zip_entry *entries;
    size_t count, links;
    uint64_t declared_bytes;
};

/* "Could not unzip uploaded file. ...": Lambda's sentence, and behind it what we know. */
enum outcome zip_refuse(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum outcome zip_refuse_size(struct error *err);
/* A name of theirs for a message of ours: printable ASCII, cut. */
enum { ZIP_SHOWN_BYTES = 120 };
const char *zip_shown(const char *name, char out[ZIP_SHOWN_BYTES]);

/* `entries` is what zip_scan counted. Afterwards, failed or not, zip_plan_done. */
MUST_CHECK enum outcome zip_plan_make(zip_t *zip, uint64_t entries, struct zip_plan *plan, struct error *err);
void zip_plan_done(struct zip_plan *plan);

int zip_compare_paths(const char *a, const char *b);
/* How much of `path` is directories that are there once `before`, which sorts before it, has been made: "a/b/c" and "a/b/d" give 4. */
size_t zip_shared_path(const char *before, const char *path);

/* Does each link stay inside the tree, seen as the kernel would follow it? */
MUST_CHECK enum outcome zip_links_check(const struct zip_plan *plan, struct error *err);

/* libzip turns a NUL in a name into a space and tells nobody: the names are looked at once before. Also bounds the number of entries
 * before anything is allocated for them. */
MUST_CHECK enum outcome zip_scan(struct slice bytes, uint64_t *entries, struct error *err);
