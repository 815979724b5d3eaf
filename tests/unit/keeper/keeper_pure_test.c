/* What can be said without a kernel: paths of cgroups, the CPU's share, the table of runtimes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "keeper/cgroup.h"

static const char version_1[] =
    "9:name=systemd:/\n8:pids:/a\n4:memory:/outer/inner:with:colons\n2:cpu,cpuacct:/c\n0::/unified/path\n";
static const char mountinfo[] =
    "24 18 0:21 / /proc rw,nosuid - proc proc rw\n"
    "30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "31 24 0:27 /docker/abc /sys/fs/cgroup/with\\040blank rw shared:10 master:2 - cgroup cgroup rw,memory\n"
    "32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";

static void the_own_path_is_found_by_controller_and_may_hold_colons(void **state)
{
    (void)state;
    char path[128];
    assert_true(cgroup_own_path(version_1, "memory", path, sizeof(path)));
    assert_string_equal(path, "/outer/inner:with:colons");
    assert_true(cgroup_own_path(version_1, "cpuacct", path, sizeof(path)));
    assert_string_equal(path, "/c");
    assert_true(cgroup_own_path(version_1, "", path, sizeof(path)));
    assert_string_equal(path, "/unified/path");
    assert_false(cgroup_own_path(version_1, "freezer", path, sizeof(path)));
    assert_false(cgroup_own_path(version_1, "cp", path, sizeof(path)));
    assert_false(cgroup_own_path(version_1, "memory", path, 5));
    assert_false(cgroup_own_path("", "", path, sizeof(path)));
    assert_false(cgroup_own_path("0", "", path, sizeof(path)));
}

static void the_mount_of_a_controller_is_found_with_its_root_and_escapes(void **state)
{
    (void)state;
    struct cgroup_mount mount;
    assert_true(cgroup_mount_of(mountinfo, "memory", &mount));
    assert_string_equal(mount.at, "/sys/fs/cgroup/with blank");
    assert_string_equal(mount.root, "/docker/abc");
    assert_true(cgroup_mount_of(mountinfo, "cpuacct", &mount));
    assert_string_equal(mount.at, "/sys/fs/cgroup/cpu,cpuacct");
    assert_true(cgroup_mount_of(mountinfo, "", &mount));
    assert_string_equal(mount.at, "/sys/fs/cgroup/unified");
    assert_false(cgroup_mount_of(mountinfo, "pids", &mount));
    assert_false(cgroup_mount_of("", "", &mount));
    assert_false(cgroup_mount_of("1 2 3", "", &mount));
}

static void the_own_directory_lies_below_what_is_mounted_or_is_none(void **state)
{
    (void)state;
    char path[256];
    struct cgroup_mount whole = { "/sys/fs/cgroup", "/" }, part = { "/cg", "/docker/abc" };
    assert_true(cgroup_directory(&whole, "/user.slice/x", path, sizeof(path)));
    assert_string_equal(path, "/sys/fs/cgroup/user.slice/x");
    assert_true(cgroup_directory(&whole, "/", path, sizeof(path)));
    assert_string_equal(path, "/sys/fs/cgroup");
    assert_true(cgroup_directory(&part, "/docker/abc/y", path, sizeof(path)));
    assert_string_equal(path, "/cg/y");
    assert_true(cgroup_directory(&part, "/docker/abc", path, sizeof(path)));
    assert_string_equal(path, "/cg");
    assert_false(cgroup_directory(&part, "/docker/abcd", path, sizeof(path)));
    assert_false(cgroup_directory(&part, "/elsewhere", path, sizeof(path)));
    assert_false(cgroup_directory(&whole, "/../escaped", path, sizeof(path)));
    assert_false(cgroup_directory(&whole, "/long", path, 8));
}

static void the_cpu_is_in_proportion_to_memory(void **state)
{
    (void)state;
    assert_int_equal(cgroup_quota_us(1769), 100000);
    assert_int_equal(cgroup_quota_us(128), 7235);
    assert_int_equal(cgroup_quota_us(10240), 578858);
    assert_int_equal(cgroup_quota_us(1), CGROUP_QUOTA_US_MIN);
}

static void runtime_ids_are_aws_own_and_nothing_else(void **state)
{
    (void)state;
    const struct runtime_id *r = runtime_find(SLICE("nodejs24.x"));
    assert_non_null(r);
    assert_int_equal(r->major, 24);
    assert_true(r->callbacks_refused);
    assert_false(runtime_find(SLICE("nodejs22.x"))->callbacks_refused);
    r = runtime_find(SLICE("python3.14"));
    assert_int_equal(r->major, 3);
    assert_int_equal(r->minor, 14);
    assert_null(runtime_find(SLICE("nodejs20.")));
    assert_null(runtime_find(SLICE("nodejs20.xx")));
    assert_null(runtime_find(SLICE("")));
    assert_null(runtime_find(SLICE("python2.7")));
    size_t count = 0;
    while (runtime_at(count) != NULL)
        count++;
    assert_int_equal(count, 12);
    assert_int_equal(runtime_find(SLICE("provided.al2023"))->family, RUNTIME_PROVIDED);
    assert_null(runtime_find(SLICE("provided")));
}

static void a_runtime_that_is_not_there_names_its_remedy(void **state)
{
    (void)state;
    struct keeper_config config = { .runtime_dirs = { "/nonexistent" }, .runtime_dir_count = 1 };
    char how[256];
    assert_false(runtime_installed(&config, runtime_find(SLICE("nodejs22.x")), how));
    assert_non_null(strstr(how, "hearth runtime add nodejs22.x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_own_path_is_found_by_controller_and_may_hold_colons),
        cmocka_unit_test(the_mount_of_a_controller_is_found_with_its_root_and_escapes),
        cmocka_unit_test(the_own_directory_lies_below_what_is_mounted_or_is_none),
        cmocka_unit_test(the_cpu_is_in_proportion_to_memory),
        cmocka_unit_test(runtime_ids_are_aws_own_and_nothing_else),
        cmocka_unit_test(a_runtime_that_is_not_there_names_its_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
