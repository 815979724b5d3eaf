/* Code packages: that nothing becomes of a hostile zip, and that what reads it is caged. The unpacking child is this program itself. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/package_confine.h"
#include "package_world.h"

/* ---- refused ---- */

static void names_that_lead_out_or_are_not_plain_are_refused(void **state)
{
    struct world *world = *state;
    refused_zip(world, ZIP(FILE_NAMED("../evil")), "leads out");
    refused_zip(world, ZIP(FILE_NAMED("a/../../evil")), "leads out");
    refused_zip(world, ZIP(FILE_NAMED("a/..")), "leads out"); /* would stay inside, but no honest tool writes it */
    refused_zip(world, ZIP(FILE_NAMED("fine"), FILE_NAMED("/etc/evil")), "absolute");
    refused_zip(world, ZIP(FILE_NAMED("a\\..\\evil")), "backslash");
    refused_zip(world, ZIP(FILE_NAMED("a\nb")), "control character");
    refused_zip(world, ZIP(FILE_NAMED("a\x7f")), "control character");
    refused_zip(world, ZIP(FILE_NAMED("a\0b")), "NUL");
    refused_zip(world, ZIP(FILE_NAMED("")), UNZIP_TEXT);
    refused_zip(world, ZIP(FILE_NAMED(".")), UNZIP_TEXT);
    struct buffer name = BUFFER_EMPTY;
    for (int i = 0; i < 256; i++)
        buffer_append_byte(&name, 'n');
    refused_zip(world, ZIP({ .name = buffer_slice(&name), .mode = S_IFREG | 0644 }), "too long");
    for (int i = 0; i < 400; i++)
        buffer_append_text(&name, "/nn");
    refused_zip(world, ZIP({ .name = buffer_slice(&name), .mode = S_IFREG | 0644 }), "longer than");
    buffer_drop(&name);
}

static void two_entries_for_one_path_are_refused(void **state)
{
    struct world *world = *state;
    refused_zip(world, ZIP(FILE_NAMED("a"), FILE_NAMED("b"), FILE_NAMED("a")), "two entries");
    refused_zip(world, ZIP(FILE_NAMED("x/a"), FILE_NAMED("./x//a")), "two entries");
    refused_zip(world, ZIP(FILE_NAMED("a"), LINK("a", "b")), "two entries");
    refused_zip(world, ZIP(FILE_NAMED("a"), { .name = SLICE("a/"), .mode = S_IFDIR | 0755 }), "two entries");
    refused_zip(world, ZIP(FILE_NAMED("a"), FILE_NAMED("a/b")), "no directory");
    refused_zip(world, ZIP(FILE_NAMED("a/b/c"), FILE_NAMED("a.b"), FILE_NAMED("a!"), FILE_NAMED("a")),
                "no directory");
    refused_zip(world, ZIP(LINK("l", "."), FILE_NAMED("l/b")),
                "no directory"); /* would be written through the link */
}

static void links_that_lead_out_are_refused(void **state)
{
    struct world *world = *state;
    refused_zip(world, ZIP(LINK("l", "..")), "leads out");
    refused_zip(world, ZIP(LINK("a/l", "../../etc")), "leads out");
    refused_zip(world, ZIP(LINK("l", "/etc/passwd")), "absolute");
    refused_zip(world, ZIP(LINK("l", "a/../../b")), "leads out");
    refused_zip(world, ZIP(FILE_NAMED("a/b/c/f"), LINK("a/b/c/up", "../../.."), LINK("x", "a/b/c/up/../secret")),
                "leads out"); /* harmless by its text alone */
    refused_zip(world, ZIP(LINK("a", "b"), LINK("b", "a")), "circle");
    refused_zip(world, ZIP({ .name = SLICE("l"), .mode = S_IFLNK | 0777 }), "no target");
    refused_zip(world, ZIP(LINK("l", "a\0b")), "cannot be read");
}

static void special_files_are_refused(void **state)
{
    struct world *world = *state;
    static const unsigned types[] = { S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK };
    for (size_t i = 0; i < 4; i++)
        refused_zip(world, ZIP({ .name = SLICE("dev"), .mode = types[i] | 0644 }), "special");
    refused_zip(world, ZIP({ .name = SLICE("d/"), .content = SLICE("x"), .mode = S_IFDIR | 0755 }), "directory");
}

static void what_cannot_be_read_is_refused(void **state)
{
    struct world *world = *state;
    struct buffer text = BUFFER_EMPTY;
    struct zip_maker maker = { 0 };
    refused_zip(world, ZIP({ .name = SLICE("a"), .content = SLICE("x"), .flags = 1 }), "encrypted");
    refused_zip(world, ZIP({ .name = SLICE("a"), .content = SLICE("x"), .method = 12 }), "method 12");
    refused_zip(world, ZIP({ .name = SLICE("a"), .content = SLICE("x"), .wrong_sum = true }), UNZIP_TEXT);
    refused_zip(world, ZIP({ .name = SLICE("a"), .content = SLICE("nonsense"), .method = 8, .declared = 9 }),
                UNZIP_TEXT);
    buffer_append_text(&text, "this is no zip at all, however long one looks at it");
    refused_zip(world, buffer_take(&text), "not a zip");
    struct zip_item item = FILE_NAMED("a");
    zip_add(&maker, &item);
    refused_zip(world, zip_end(&maker, 1), UNZIP_TEXT); /* it claims one entry more */
    maker = (struct zip_maker){ 0 };
    zip_add(&maker, &item);
    refused_zip(world, zip_end(&maker, -1), ""); /* it claims none */
    struct buffer cut = ZIP(FILE_NAMED("a"), FILE_NAMED("b"));
    buffer_consume(&cut, 20);
    refused_zip(world, buffer_take(&cut), UNZIP_TEXT);
    refused_zip(world, zip_of(NULL, 0), "non-empty");
    struct buffer nothing = BUFFER_EMPTY;
    refused_zip(world, buffer_take(&nothing), "non-empty");
}

/* ---- bombs ---- */

static void what_declares_too_much_is_refused_before_anything_is_written(void **state)
{
    struct world *world = *state;
    refused_zip(world,
                ZIP({ .name = SLICE("a"), .content = SLICE("x"), .method = 8, .declared = PACKAGE_TREE_BYTES_MAX }),
                "Unzipped size must be smaller than 262144000 bytes");
    refused_zip(world,
                ZIP({ .name = SLICE("a"), .content = SLICE("x"), .method = 8, .declared = 200000000 },
                    { .name = SLICE("b"), .content = SLICE("x"), .method = 8, .declared = 200000000 }),
                "Unzipped size must be smaller than 262144000 bytes");
    assert_int_equal(world->err.kind, ERROR_INVALID);
}

static void what_declares_little_and_unpacks_to_much_is_refused(void **state)
{
    struct world *world = *state;
    struct buffer zip = BUFFER_EMPTY;
    /* 400 MB of zeros that call themselves 1,000 bytes, in both headers. */
    assert_true(
        made_by(world, "python3",
                "python3 -c \"\n"
                "import zipfile, struct\n"
                "z = zipfile.ZipFile('out.zip', 'w', zipfile.ZIP_DEFLATED)\n"
                "f = z.open('bomb', 'w', force_zip64=False)\n"
                "[f.write(bytes(1000000)) for i in range(400)]\n"
                "f.close(); z.close()\n"
                "b = open('out.zip', 'rb').read().replace(struct.pack('<I', 400000000), struct.pack('<I', 1000))\n"
                "open('out.zip', 'wb').write(b)\"",
                &zip));
    assert_true(zip.len < 1000000);
    refused_zip(world, buffer_take(&zip), UNZIP_TEXT);
}

static void too_many_entries_or_directories_are_refused(void **state)
{
    struct world *world = *state;
    struct buffer zip = BUFFER_EMPTY;
    assert_true(made_by(world, "python3",
                        "python3 -c \"\n"
                        "import zipfile\n"
                        "z = zipfile.ZipFile('out.zip', 'w')\n"
                        "[z.writestr('f%d' % i, '') for i in range(100001)]\n"
                        "z.close()\"",
                        &zip));
    refused_zip(world, buffer_take(&zip), "100001 entries");
    struct zip_maker maker = { 0 };
    for (int i = 0; i < 300; i++) { /* few entries, each at the end of a way of its own */
        char name[PACKAGE_PATH_BYTES_MAX + 1];
        int len = snprintf(name, sizeof(name), "d%03d", i);
        for (; len < 900; len += 2)
            memcpy(name + len, "/d", 2);
        zip_add(&maker, &(struct zip_item){ .name = slice_from(name, (size_t)len), .mode = S_IFREG | 0644 });
    }
    refused_zip(world, zip_end(&maker, 0), "files and directories");
}

static void links_made_to_be_followed_for_ever_are_refused_in_bounded_time(void **state)
{
    struct world *world = *state;
    struct zip_maker maker = { 0 };
    for (int i = 0; i < 30; i++) { /* each goes twice through the next: 2^30 ways */
        char name[16], target[32];
        snprintf(name, sizeof(name), "l%02d", i);
        snprintf(target, sizeof(target), i < 29 ? "l%02d/l%02d" : ".", i + 1, i + 1);
        zip_add(&maker,
                &(struct zip_item){ .name = slice_of(name), .content = slice_of(target), .mode = S_IFLNK | 0777 });
    }
    refused_zip(world, zip_end(&maker, 0), "the link");
}

static void a_zip_that_is_too_large_is_refused_at_once(void **state)
{
    struct world *world = *state;
    struct buffer zip = BUFFER_EMPTY;
    buffer_reserve(&zip, PACKAGE_ZIP_BYTES_MAX + 1);
    memset(zip.at, 0, PACKAGE_ZIP_BYTES_MAX + 1);
    zip.len = PACKAGE_ZIP_BYTES_MAX + 1;
    put(world, buffer_take(&zip));
    assert_int_equal(world->failures, 1);
    assert_int_equal(world->err.kind, ERROR_TOO_LARGE);
    assert_string_equal(world->err.code, "RequestEntityTooLargeException");
    assert_int_equal(count_left(world), 0);
}

/* ---- the cage ---- */

/* Answers the number of the first bar that was missing. */
static int try_the_cage(int dir, const char *outside)
{
    struct error err = { 0 };
    pid_t parent = getppid();
    char path[128];
    snprintf(path, sizeof(path), "%s/made-by-the-child", outside);
    if (package_confine(dir, &err) != OK)
        return 99;
    int in = openat(dir, "inside", O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (in < 0 || write(in, "x", 1) != 1 || close(in) < 0 || mkdirat(dir, "d", 0755) < 0 ||
        symlinkat("x", dir, "l") < 0)
        return 1;
    if (open("/etc/passwd", O_RDONLY) >= 0 || openat(dir, "../../../etc/passwd", O_RDONLY) >= 0)
        return 2;
    if (open(path, O_WRONLY | O_CREAT, 0600) >= 0 || mkdir(path, 0700) == 0)
        return 3;
    (void)!openat(dir, "../made-by-the-child", O_WRONLY | O_CREAT,
                  0600); /* where ".." is `dir` itself it lands inside */
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
        return 4;
    pid_t pid = fork();
    if (pid >= 0)
        return 5;
    if (kill(parent, 0) == 0)
        return 6;
    execl("/bin/true", "true", (char *)NULL);
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        return 7;
    if (unlinkat(dir, "inside", 0) == 0 || renameat(dir, "inside", dir, "moved") == 0)
        return 8;
    return 42;
}

static void the_cage_lets_nothing_out(void **state)
{
    struct world *world = *state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int dir = openat(world->dir, "code", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _exit(try_the_cage(dir, world->path));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    assert_int_equal(faccessat(world->dir, "made-by-the-child", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "unpack-package"))
        return package_unpack_main();
    const struct CMUnitTest tests[] = {
        TEST(names_that_lead_out_or_are_not_plain_are_refused),
        TEST(two_entries_for_one_path_are_refused),
        TEST(links_that_lead_out_are_refused),
        TEST(special_files_are_refused),
        TEST(what_cannot_be_read_is_refused),
        TEST(what_declares_too_much_is_refused_before_anything_is_written),
        TEST(what_declares_little_and_unpacks_to_much_is_refused),
        TEST(too_many_entries_or_directories_are_refused),
        TEST(links_made_to_be_followed_for_ever_are_refused_in_bounded_time),
        TEST(a_zip_that_is_too_large_is_refused_at_once),
        TEST(the_cage_lets_nothing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
