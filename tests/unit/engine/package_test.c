/* Code packages: what becomes of an honest zip, and the life of the store that holds them. The unpacking child is this program itself. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "package_world.h"

/* ---- honest zips ---- */

static void a_zip_becomes_a_tree_with_plain_rights(void **state)
{
    struct world *world = *state;
    mode_t before = umask(0077); /* instances have other users: the server's umask must not reach the tree */
    accepted(world, ZIP({ .name = SLICE("index.js"), .content = SLICE("exports"), .mode = S_IFREG | 0600 },
                        { .name = SLICE("bin/run"), .content = SLICE("#!"), .mode = S_IFREG | 04711 },
                        { .name = SLICE("empty/"), .mode = S_IFDIR | 0700 },
                        { .name = SLICE("dos.txt"), .content = SLICE("d") },
                        { .name = SLICE("./a//b.txt"), .content = SLICE("ab") }, LINK("bin/link", "../index.js")));
    umask(before);
    assert_int_equal(stat_in_tree(world, "tree").st_mode, S_IFDIR | 0755);
    assert_int_equal(stat_in_tree(world, "tree/index.js").st_mode, S_IFREG | 0644);
    assert_int_equal(stat_in_tree(world, "tree/bin").st_mode, S_IFDIR | 0755);
    assert_int_equal(stat_in_tree(world, "tree/bin/run").st_mode, S_IFREG | 0755);
    assert_int_equal(stat_in_tree(world, "tree/empty").st_mode, S_IFDIR | 0755);
    assert_int_equal(stat_in_tree(world, "tree/dos.txt").st_mode, S_IFREG | 0644);
    assert_int_equal(stat_in_tree(world, "tree/a/b.txt").st_size, 2);
    assert_int_equal(stat_in_tree(world, "tree/bin/link").st_mode & S_IFMT, S_IFLNK);
    assert_int_equal(stat_in_tree(world, "tree/index.js").st_uid, geteuid());
    assert_int_equal(stat_in_tree(world, "package.zip").st_mode, S_IFREG | 0600);
    assert_int_equal(stat_in_tree(world, "package.json").st_mode, S_IFREG | 0600);
    assert_int_equal(stat_in_tree(world, "package.zip").st_size, world->info.zip_bytes);
    assert_int_equal(world->info.tree_bytes, 7 + 2 + 1 + 2);
    assert_true(package_exists(world->store, world->info.digest));
}

static void its_digest_is_the_zips_sha256_as_lambda_writes_it(void **state)
{
    struct world *world = *state;
    struct buffer zip = ZIP(FILE_NAMED("a"));
    char command[256], expected[80] = "";
    snprintf(command, sizeof(command), "sha256sum < %s/zip", world->path);
    struct error err;
    assert_int_equal(file_replace(world->dir, "zip", buffer_slice(&zip), 0600, &err), OK);
    accepted(world, zip);
    FILE *sum = popen(command, "r");
    assert_non_null(sum);
    assert_int_equal(fread(expected, 1, 64, sum), 64);
    pclose(sum);
    assert_string_equal(world->info.digest, expected);
    assert_int_equal(strlen(world->info.sha256_base64), 44);
}

static void the_same_zip_again_is_found_not_unpacked(void **state)
{
    struct world *world = *state;
    accepted(world, ZIP(FILE_NAMED("a")));
    ino_t inode = stat_in_tree(world, "tree").st_ino;
    struct package_info first = world->info;
    accepted(world, ZIP(FILE_NAMED("a")));
    assert_int_equal(stat_in_tree(world, "tree").st_ino, inode);
    assert_memory_equal(&first, &world->info, sizeof(first));
    package_hold(world->store, first.digest);
    world_close(world); /* and after a restart, from what is on disk */
    world_open(world);
    package_hold(world->store, first.digest);
    package_sweep(world->store);
    accepted(world, ZIP(FILE_NAMED("a")));
    assert_int_equal(stat_in_tree(world, "tree").st_ino, inode);
    assert_memory_equal(&first, &world->info, sizeof(first));
}

static void the_same_zip_many_times_at_once_is_unpacked_once_and_held_by_each(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 8; i++) {
        struct buffer zip = ZIP(FILE_NAMED("a"));
        package_put(world->store, &zip, on_done, world);
    }
    world_run(world);
    assert_int_equal(world->answers, 8);
    assert_int_equal(world->failures, 0);
    assert_int_equal(count_left(world), 1);
    for (int i = 0; i < 7; i++)
        package_release(world->store, world->info.digest);
    assert_true(package_exists(world->store, world->info.digest));
    package_release(world->store, world->info.digest);
    assert_false(package_exists(world->store, world->info.digest));
    accepted(world, ZIP(FILE_NAMED("a"))); /* made anew while the old one is removed */
    assert_true(package_exists(world->store, world->info.digest));
    assert_int_equal(count_left(world), 1);
    package_release(world->store, world->info.digest);
    world_run(world);
    assert_int_equal(count_left(world), 0);
}

static void many_different_zips_at_once_each_become_their_own_tree(void **state)
{
    struct world *world = *state;
    char name[] = "a";
    for (int i = 0; i < 12; i++, name[0]++) {
        struct buffer zip = ZIP({ .name = slice_of(name), .content = SLICE("x"), .mode = S_IFREG | 0644 });
        package_put(world->store, &zip, on_done, world);
    }
    world_run(world);
    assert_int_equal(world->answers, 12);
    assert_int_equal(world->failures, 0);
    assert_int_equal(count_left(world), 12);
}

static void a_check_gives_the_figures_and_keeps_nothing(void **state)
{
    struct world *world = *state;
    struct buffer zip = ZIP(FILE_NAMED("a"), FILE_NAMED("b/c"));
    package_check(world->store, &zip, on_done, world);
    world_run(world);
    assert_int_equal(world->failures, 0);
    assert_int_equal(world->info.tree_bytes, 2);
    assert_int_equal(strlen(world->info.digest), 64);
    assert_int_equal(count_left(world), 0);
    zip = ZIP(FILE_NAMED("../a"));
    package_check(world->store, &zip, on_done, world);
    world_run(world);
    assert_int_equal(world->failures, 1);
    assert_string_equal(world->err.code, "InvalidParameterValueException");
}

static void links_that_stay_inside_are_made(void **state)
{
    struct world *world = *state;
    accepted(world, ZIP(FILE_NAMED("node_modules/x/cli.js"), LINK("node_modules/.bin/x", "../x/cli.js"),
                        LINK("node_modules/.bin/y", "x"), LINK("here", "."), LINK("nowhere", "not/there"),
                        LINK("round", "here/here/node_modules/../node_modules")));
    assert_int_equal(stat_in_tree(world, "tree/node_modules/.bin/x").st_mode & S_IFMT, S_IFLNK);
}

static void directories_named_twice_are_one(void **state)
{
    struct world *world = *state;
    accepted(world, ZIP({ .name = SLICE("META-INF/"), .mode = S_IFDIR | 0755 }, FILE_NAMED("META-INF/m"),
                        { .name = SLICE("META-INF/"), .mode = S_IFDIR | 0755 },
                        { .name = SLICE("./"), .mode = S_IFDIR | 0755 }));
}

/* ---- zips of real tools ---- */

static const char make_source[] =
    "rm -rf src && mkdir -p src/node_modules/.bin src/lib/empty && echo one > src/index.js && head -c 300000 "
    "/dev/urandom > src/lib/data"
    " && echo '#!/bin/sh' > src/lib/run && chmod 755 src/lib/run && echo caf > 'src/lib/caf\303\251 bar.txt'"
    " && ln -s ../../index.js src/node_modules/.bin/i";

static void zips_of_real_tools_unpack_to_what_was_packed(void **state)
{
    static const struct {
        const char *tool, *script;
        bool keeps_links;
    } tools[] = {
        { "zip", "cd src && zip -qry ../out.zip .", true },
        { "zip", "cd src && zip -qr9 - . -x node_modules/\\* | cat > ../out.zip",
          false }, /* streamed: sizes follow the data */
        { "zip", "cd src && zip -q0r ../out.zip index.js lib", false },
        { "bsdtar", "bsdtar -c --format zip -f out.zip -C src .", true },
        { "jar", "jar -c -f out.zip -C src index.js -C src lib", false },
        { "7z", "cd src && 7z a -tzip ../out.zip index.js lib >/dev/null", false },
        { "python3", "cd src && python3 -m zipfile -c ../out.zip index.js lib", false },
        { "python3", "python3 -c \"import shutil; shutil.make_archive('out', 'zip', 'src/lib')\"", false },
    };
    struct world *world = *state;
    char command[1024];
    snprintf(command, sizeof(command), "cd %s && %s", world->path, make_source);
    assert_int_equal(system(command), 0); /* NOLINT */
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
        struct buffer zip = BUFFER_EMPTY;
        if (!made_by(world, tools[i].tool, tools[i].script, &zip))
            continue;
        accepted(world, buffer_take(&zip));
        bool lib_alone = strstr(tools[i].script, "src/lib") != NULL;
        const char *of = lib_alone ? "lib" : ".";
        /* Whatever is in the tree is as it was in the source; what a tool leaves out (links, a manifest added) is its own. */
        snprintf(command, sizeof(command),
                 "cd %s && diff -r --no-dereference src/%s code/%s/tree > diff.out; ! grep -v '^Only in "
                 "src\\|META-INF' diff.out",
                 world->path, of, world->info.digest);
        if (system(command) != 0) /* NOLINT */
            fail_msg("%s: %s", tools[i].script, command);
        struct stat st = stat_in_tree(world, lib_alone ? "tree/data" : "tree/lib/data");
        assert_int_equal(st.st_size, 300000);
        if (tools[i].keeps_links)
            assert_int_equal(stat_in_tree(world, "tree/node_modules/.bin/i").st_mode & S_IFMT, S_IFLNK);
    }
}

static void a_zip_behind_something_else_is_read_too(void **state)
{
    struct world *world = *state;
    struct buffer zip = BUFFER_EMPTY;
    if (made_by(world, "python3",
                "python3 -c \"import zipfile; open('out.zip','wb').write(b'#!/bin/sh\\\\n'); "
                "zipfile.ZipFile('out.zip','a').writestr('a','b')\"",
                &zip))
        accepted(world, buffer_take(&zip));
}

/* ---- the store's life ---- */

static void leftovers_go_at_the_start_and_what_nobody_holds_at_the_sweep(void **state)
{
    struct world *world = *state;
    accepted(world, ZIP(FILE_NAMED("kept")));
    struct package_info kept = world->info;
    accepted(world, ZIP(FILE_NAMED("forgotten")));
    world_close(world);
    assert_int_equal(mkdirat(world->dir, "code/.new-0123456789abcdef", 0700), 0);
    assert_int_equal(mkdirat(world->dir, "code/.new-0123456789abcdef/tree", 0700), 0);
    assert_int_equal(mkdirat(world->dir, "code/.old-0123456789abcdef", 0700), 0);
    world_open(world);
    assert_int_equal(count_left(world), 2);
    package_hold(world->store, kept.digest);
    package_sweep(world->store);
    world_run(world);
    assert_int_equal(count_left(world), 1);
    assert_true(package_exists(world->store, kept.digest));
    assert_false(package_exists(world->store, world->info.digest));
}

static void on_started(uv_timer_t *timer)
{
    struct world *world = timer->data;
    if (count_left(world) == 0)
        return; /* not aside yet */
    uv_close((uv_handle_t *)timer, NULL);
    package_store_close(world->store);
    world->store = NULL;
}

static void closing_in_the_middle_answers_everybody_and_leaves_no_process(void **state)
{
    struct world *world = *state;
    struct buffer zip = BUFFER_EMPTY;
    uv_timer_t timer = { .data = world };
    assert_true(made_by(world, "python3",
                        "python3 -c \"import zipfile; z = zipfile.ZipFile('out.zip', 'w', 8); "
                        "[z.writestr('z%d' % i, bytes(40000000)) for i in range(6)]; z.close()\"",
                        &zip));
    uv_timer_init(&world->loop, &timer);
    uv_timer_start(&timer, on_started, 1, 1);
    for (int i = 0; i < 5; i++) {
        struct buffer copy = BUFFER_EMPTY;
        buffer_append_slice(&copy, buffer_slice(&zip));
        buffer_append_byte(&copy, (char)i); /* five different digests: some wait for a child */
        copy.at[zip.len - 2] = 1;           /* as a comment of one byte */
        package_put(world->store, &copy, on_done, world);
    }
    buffer_drop(&zip);
    world_run(world);
    assert_null(world->store);
    assert_int_equal(world->answers, 5);
    assert_int_equal(world->failures, 5);
    assert_int_equal(world->err.kind, ERROR_UNAVAILABLE);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(count_left(world), 0);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    world_open(world);
}

static void a_child_that_cannot_be_started_fails_the_put_alone(void **state)
{
    struct world *world = *state;
    struct error err = { 0 };
    world_close(world);
    uv_loop_init(&world->loop);
    assert_int_equal(package_store_open(&world->loop, world->dir, "/not/there", &world->store, &err), OK);
    put(world, ZIP(FILE_NAMED("a")));
    assert_int_equal(world->failures, 1);
    assert_int_equal(world->err.kind, ERROR_INTERNAL);
    assert_int_equal(count_left(world), 0);
}

/* ---- blows ---- */

/* A server that is killed while its child unpacks. */
static int server_to_be_killed(struct world *world, struct buffer *zip)
{
    struct world inner = { .dir = world->dir };
    struct error err = { 0 };
    uv_loop_init(&inner.loop);
    if (package_store_open(&inner.loop, inner.dir, "/proc/self/exe", &inner.store, &err) != OK)
        return 1;
    package_put(inner.store, zip, on_done, &inner);
    uv_run(&inner.loop, UV_RUN_DEFAULT);
    return 0;
}

static bool unpacking_has_begun(struct world *world)
{
    char command[256];
    snprintf(command, sizeof(command), "test -n \"$(find %s/code -name z0 -size +0 2>/dev/null)\"", world->path);
    return system(command) == 0; /* NOLINT */
}

static void when_the_server_is_killed_its_child_dies_and_the_next_start_cleans_up(void **state)
{
    struct world *world = *state;
    struct buffer zip = BUFFER_EMPTY;
    int status = 0, dead = 0;
    world_close(world);
    assert_true(made_by(world, "python3",
                        "python3 -c \"import zipfile; z = zipfile.ZipFile('out.zip', 'w', 8); "
                        "[z.writestr('z%d' % i, bytes(40000000)) for i in range(6)]; z.close()\"",
                        &zip));
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0),
                     0); /* the orphan comes to us: so its end can be awaited */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(server_to_be_killed(world, &zip));
    buffer_drop(&zip);
    while (!unpacking_has_begun(world) && waitpid(pid, &status, WNOHANG) == 0)
        continue;
    kill(pid, SIGKILL);
    while (waitpid(-1, &status, 0) > 0) {
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
        dead++;
    }
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
    assert_int_equal(dead, 2); /* the server and its child */
    assert_int_equal(count_left(world), 1);
    world_open(world);
    assert_int_equal(count_left(world), 0);
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    fd_drop(&fd);
    return ok;
}

/* A file system of 1 MB that only this process sees. */
static bool mount_small(const char *path)
{
    char map[64];
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    snprintf(map, sizeof(map), "0 %u 1", uid);
    if (uid != 0 && (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", map)))
        return false;
    snprintf(map, sizeof(map), "0 %u 1", gid);
    if (uid != 0 && !write_text("/proc/self/gid_map", map))
        return false;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", path, "tmpfs", 0, "size=1m") == 0;
}

static int put_on_full_disk(struct world *world)
{
    struct world inner = { .dir = -1 };
    struct error err = { 0 };
    struct buffer large = BUFFER_EMPTY;
    for (int i = 0; i < 1500000; i++)
        buffer_append_byte(&large, 'x');
    if (!mount_small(world->path) || uv_loop_init(&inner.loop))
        return 1;
    inner.dir = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (package_store_open(&inner.loop, inner.dir, "/proc/self/exe", &inner.store, &err) != OK)
        return 2;
    put(&inner, ZIP({ .name = SLICE("large"),
                      .content = buffer_slice(&large),
                      .mode = S_IFREG | 0644 })); /* the zip itself */
    if (inner.err.kind != ERROR_DISK_FULL || count_left(&inner) != 0)
        return 3;
    inner.err = (struct error){ 0 };
    large.len = 700000;
    put(&inner,
        ZIP({ .name = SLICE("large"), .content = buffer_slice(&large), .mode = S_IFREG | 0644 })); /* its tree */
    if (inner.err.kind != ERROR_DISK_FULL || count_left(&inner) != 0)
        return 4;
    put(&inner, ZIP(FILE_NAMED("small"))); /* and then it goes on */
    buffer_drop(&large);
    return inner.failures == 2 && count_left(&inner) == 1 ? 0 : 5;
}

static void a_full_disk_is_told_and_leaves_nothing_behind(void **state)
{
    struct world *world = *state;
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(put_on_full_disk(world));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* As the server does: it gives up root, and its data lies where only root may go. */
static int child_without_rights(int dir)
{
    struct world inner = { .dir = dir };
    struct error err = { 0 };
    if (setgid(65534) || setuid(65534) || chdir("/") || uv_loop_init(&inner.loop))
        return 10;
    if (package_store_open(&inner.loop, dir, "/proc/self/exe", &inner.store, &err) != OK)
        return 11;
    struct buffer zip = ZIP(FILE_NAMED("a/b"), LINK("l", "a"));
    package_put(inner.store, &zip, on_done, &inner);
    uv_run(&inner.loop, UV_RUN_DEFAULT);
    if (inner.failures)
        fprintf(stderr, "%s\n", inner.err.message);
    char path[128];
    snprintf(path, sizeof(path), "code/%s/tree/a/b", inner.info.digest);
    return inner.failures ? 12 : faccessat(dir, path, F_OK, 0) ? 13 : 0;
}

static void it_works_below_a_parent_that_it_may_not_enter(void **state)
{
    struct world *world = *state;
    char hidden[128];
    int status = 0;
    if (getuid() != 0) {
        print_message("[  SKIPPED ] needs root to give root up\n");
        skip();
    }
    snprintf(hidden, sizeof(hidden), "%s/hidden", world->path);
    assert_int_equal(mkdir(hidden, 0700), 0);
    strcat(hidden, "/data");
    assert_int_equal(mkdir(hidden, 0700), 0);
    assert_int_equal(chown(hidden, 65534, 65534), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(child_without_rights(open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "unpack-package"))
        return package_unpack_main();
    const struct CMUnitTest tests[] = {
        TEST(a_zip_becomes_a_tree_with_plain_rights),
        TEST(its_digest_is_the_zips_sha256_as_lambda_writes_it),
        TEST(the_same_zip_again_is_found_not_unpacked),
        TEST(the_same_zip_many_times_at_once_is_unpacked_once_and_held_by_each),
        TEST(many_different_zips_at_once_each_become_their_own_tree),
        TEST(a_check_gives_the_figures_and_keeps_nothing),
        TEST(links_that_stay_inside_are_made),
        TEST(directories_named_twice_are_one),
        TEST(zips_of_real_tools_unpack_to_what_was_packed),
        TEST(a_zip_behind_something_else_is_read_too),
        TEST(leftovers_go_at_the_start_and_what_nobody_holds_at_the_sweep),
        TEST(closing_in_the_middle_answers_everybody_and_leaves_no_process),
        TEST(a_child_that_cannot_be_started_fails_the_put_alone),
        TEST(when_the_server_is_killed_its_child_dies_and_the_next_start_cleans_up),
        TEST(a_full_disk_is_told_and_leaves_nothing_behind),
        TEST(it_works_below_a_parent_that_it_may_not_enter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
