/* unit/engine/package_world: a store of packages in a directory of its own, and zips put into it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/stat.h>

#include "engine/package.h"
#include "zip_maker.h"

#define UNZIP_TEXT "Could not unzip uploaded file. Please check your file, then try to upload again."

struct world {
    uv_loop_t loop;
    char path[64];
    int dir;
    struct package_store *store;
    size_t answers, failures;
    struct package_info info;
    struct error err;
};

#define ZIP(...)                                                                                                   \
    zip_of((const struct zip_item[]){ __VA_ARGS__ },                                                               \
           sizeof((const struct zip_item[]){ __VA_ARGS__ }) / sizeof(struct zip_item))
#define FILE_NAMED(n)                                                                                              \
    {                                                                                                              \
        .name = SLICE(n), .content = SLICE("x"), .mode = S_IFREG | 0644                                            \
    }
#define LINK(n, t)                                                                                                 \
    {                                                                                                              \
        .name = SLICE(n), .content = SLICE(t), .mode = S_IFLNK | 0777                                              \
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

void world_open(struct world *world);
void world_run(struct world *world);
void world_close(struct world *world);
int set_up(void **state);
int tear_down(void **state);
void on_done(enum outcome outcome, const struct package_info *info, const struct error *err, void *arg);
/* How many entries the directory of packages has. */
size_t count_left(struct world *world);
void put(struct world *world, struct buffer zip);
void accepted(struct world *world, struct buffer zip);
/* Refused as InvalidParameterValueException with `why` in its message, and nothing is left behind. */
void refused_zip(struct world *world, struct buffer zip, const char *why);
struct buffer zip_of(const struct zip_item *items, size_t count);
struct stat stat_in_tree(struct world *world, const char *path);
/* Runs a script in the world's directory that makes "out.zip" there. False: the tool is not on this machine. */
bool made_by(struct world *world, const char *tool, const char *script, struct buffer *zip);
