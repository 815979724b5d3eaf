/* A folder of the test's own under /tmp, filled by the test and removed after it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/memory.h"

struct scene {
    char path[64];
    int dir;
};

static inline int scene_begin(void **state)
{
    struct scene *scene = memory_new(sizeof(*scene));
    (void)snprintf(scene->path, sizeof(scene->path), "/tmp/hearth-cli-test-XXXXXX");
    assert_non_null(mkdtemp(scene->path));
    scene->dir = open(scene->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(scene->dir >= 0);
    *state = scene;
    return 0;
}

static inline int scene_end(void **state)
{
    struct scene *scene = *state;
    (void)close(scene->dir);
    assert_int_equal(dir_remove(AT_FDCWD, scene->path, NULL), OK);
    free(scene);
    return 0;
}

/* Writes a file, making the directories that it lies in. */
static inline void scene_put(const struct scene *scene, const char *path, const char *text)
{
    char part[256];
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        (void)mkdirat(scene->dir, part, 0755);
    }
    int fd = openat(scene->dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, slice_of(text), NULL), OK);
    (void)close(fd);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_begin, scene_end)
