/* See package_world.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "package_world.h"

void world_open(struct world *world)
{
    struct error err = { 0 };
    assert_int_equal(uv_loop_init(&world->loop), 0);
    if (package_store_open(&world->loop, world->dir, "/proc/self/exe", &world->store, &err) != OK)
        fail_msg("%s", err.message);
}

void world_run(struct world *world)
{
    assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
}

void world_close(struct world *world)
{
    package_store_close(world->store);
    world->store = NULL;
    world_run(world);
    assert_int_equal(uv_loop_close(&world->loop), 0);
}

int set_up(void **state)
{
    struct world *world = memory_new(sizeof(*world));
    strcpy(world->path, "/tmp/hearth-package-XXXXXX");
    assert_non_null(mkdtemp(world->path));
    world->dir = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    world_open(world);
    *state = world;
    return 0;
}

int tear_down(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    if (world->store)
        world_close(world);
    fd_drop(&world->dir);
    assert_int_equal(dir_remove(AT_FDCWD, world->path, &err), OK);
    free(world);
    return 0;
}

void on_done(enum outcome outcome, const struct package_info *info, const struct error *err, void *arg)
{
    struct world *world = arg;
    world->answers++;
    if (outcome == OK) {
        world->info = *info;
    } else {
        world->failures++;
        world->err = *err;
    }
}

/* How many entries the directory of packages has. */
size_t count_left(struct world *world)
{
    size_t count = 0;
    DIR *dir = fdopendir(openat(world->dir, "code", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(dir);
    return count;
}

void put(struct world *world, struct buffer zip)
{
    world->answers = 0;
    package_put(world->store, &zip, on_done, world);
    assert_null(zip.at); /* taken */
    assert_int_equal(world->answers, 0);
    world_run(world);
    assert_int_equal(world->answers, 1);
}

void accepted(struct world *world, struct buffer zip)
{
    size_t failures = world->failures;
    put(world, zip);
    if (world->failures != failures)
        fail_msg("%s", world->err.message);
}

/* Refused as InvalidParameterValueException with `why` in its message, and nothing is left behind. */
void refused_zip(struct world *world, struct buffer zip, const char *why)
{
    size_t failures = world->failures, left = count_left(world);
    world->err = (struct error){ 0 };
    put(world, zip);
    if (world->failures != failures + 1)
        fail_msg("accepted, but should be refused: %s", why);
    if (!strstr(world->err.message, why))
        fail_msg("\"%s\" does not say \"%s\"", world->err.message, why);
    assert_string_equal(world->err.code, "InvalidParameterValueException");
    assert_true(strlen(world->err.hint) > 0);
    assert_int_equal(count_left(world), left);
}

struct buffer zip_of(const struct zip_item *items, size_t count)
{
    struct zip_maker maker = { 0 };
    for (size_t i = 0; i < count; i++)
        zip_add(&maker, &items[i]);
    return zip_end(&maker, 0);
}
struct stat stat_in_tree(struct world *world, const char *path)
{
    char full[512];
    struct stat st;
    snprintf(full, sizeof(full), "code/%s/%s", world->info.digest, path);
    if (fstatat(world->dir, full, &st, AT_SYMLINK_NOFOLLOW) < 0)
        fail_msg("%s: %s", full, strerror(errno));
    return st;
}

/* Runs a script in the world's directory that makes "out.zip" there. False: the tool is not on this machine. */
bool made_by(struct world *world, const char *tool, const char *script, struct buffer *zip)
{
    char command[2048];
    struct error err;
    snprintf(command, sizeof(command), "command -v %s >/dev/null", tool);
    if (system(command) != 0) { /* NOLINT: a fixed text */
        print_message("(no \"%s\" here)\n", tool);
        return false;
    }
    snprintf(command, sizeof(command), "cd %s && rm -f out.zip && %s", world->path, script);
    if (system(command) != 0) /* NOLINT */
        fail_msg("%s", command);
    if (file_read(world->dir, "out.zip", 512 * 1024 * 1024, zip, &err) != OK)
        fail_msg("%s", err.message);
    return true;
}
