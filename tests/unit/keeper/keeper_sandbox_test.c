/* What a function can and cannot do: real sandboxes, hostile programs in them. */
#include "world.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/memory.h"

static int setup(void **state)
{
    *state = world_new();
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static void the_hosts_files_and_other_functions_code_are_not_to_be_seen(void **state)
{
    struct world *w = *state;
    char other[KEEPER_DIGEST_BYTES], arguments[512];
    world_code(w, "crash", other);
    snprintf(arguments, sizeof(arguments), "%s %s/data/code/%s/tree /var/task/../%s /home /srv", w->dir, w->dir,
             other, other);
    world_holds(w, "read_host", arguments, 512);
}

static void only_tmp_can_be_written_and_only_four_descriptors_came_with_the_process(void **state)
{
    world_holds(*state, "write_root", "", 512);
}

static void no_right_can_be_had_from_the_kernel(void **state)
{
    world_holds(*state, "rights", "", 512);
}

static void processes_of_host_and_neighbours_are_out_of_reach(void **state)
{
    struct world *w = *state;
    struct instance *neighbour = world_start(w, "linger", "", 256);
    world_wait_started(w, neighbour);
    world_wait_output(w, neighbour, "ready");
    char arguments[128];
    snprintf(arguments, sizeof(arguments), "%d %d %d", (int)getpid(), (int)w->link.pid, (int)neighbour->start.pid);
    world_holds(w, "processes", arguments, 512);
    assert_false(neighbour->ended);
    assert_int_equal(kill(w->link.pid, 0) == 0 || errno == EPERM, 1);
    world_kill(w, neighbour);
    world_wait_ended(w, neighbour);
    assert_true(neighbour->end.was_killed);
    instance_free(neighbour);
}

static void there_is_no_network_but_the_apis_socket(void **state)
{
    struct world *w = *state;
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
        local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(at);
    assert_int_equal(bind(tcp, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(tcp, 4), 0);
    getsockname(tcp, (struct sockaddr *)&at, &size);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "%s", w->config.name);
    assert_int_equal(bind(local, (struct sockaddr *)&un,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(w->config.name))),
                     0);
    assert_int_equal(listen(local, 4), 0);
    char arguments[128];
    snprintf(arguments, sizeof(arguments), "%d %s", ntohs(at.sin_port), w->config.name);
    world_holds(w, "network", arguments, 512);
    close(tcp);
    close(local);
}

static void the_api_listener_accepts_what_connects_inside(void **state)
{
    struct world *w = *state;
    struct instance *i = world_start(w, "network", "", 512);
    world_wait_started(w, i);
    assert_true(i->start.api_listener >= 0);
    assert_true(i->start.pid > 1);
    struct pollfd listener = { i->start.api_listener, POLLIN, 0 };
    assert_int_equal(poll(&listener, 1, WORLD_WAIT_MS), 1);
    int connection = accept4(i->start.api_listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(connection >= 0);
    close(connection);
    world_wait_ended(w, i);
    instance_free(i);
}

static void a_fork_bomb_stops_at_1024_processes(void **state)
{
    world_holds(*state, "fork_bomb", "", 1024);
}

static void memory_beyond_memory_size_cannot_be_had(void **state)
{
    struct world *w = *state;
    /* Without a memory cgroup only what processes have mapped can be watched: the figure of `shared` counts while it is mapped. */
    static const char *const ways[] = { "plain 1536", "shared 1536", "memfd 1536", "children 1536" };
    for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
        struct instance *i = world_start(w, "memory_bomb", ways[k], 128);
        world_wait_ended(w, i);
        assert_null(strstr(i->output, "BROKEN"));
        if (strstr(i->output, "refused") == NULL) {
            if (!i->end.oom_killed || WTERMSIG(i->end.wait_status) != SIGKILL)
                fail_msg("%s ended with 0x%x", ways[k], (unsigned)i->end.wait_status);
        }
        instance_free(i);
    }
}

static void tmp_takes_what_was_asked_for_and_then_is_full_without_counting_as_memory(void **state)
{
    struct world *w = *state;
    struct instance *i = world_start(w, "disk_fill", "512", 128);
    world_wait_ended(w, i);
    print_message("%s", i->output);
    assert_int_equal(i->end.wait_status, 0);
    assert_false(i->end.oom_killed);
    instance_free(i);
}

static void tmp_is_empty_for_the_next_instance(void **state)
{
    struct world *w = *state;
    world_holds(w, "disk_fill", "512", 256);
    world_holds(w, "disk_fill", "512", 256);
}

static void the_end_of_the_runtime_ends_everything_it_left_behind(void **state)
{
    struct world *w = *state;
    struct instance *i = world_start(w, "linger", "end", 256);
    world_wait_ended(w, i);
    assert_int_equal(WEXITSTATUS(i->end.wait_status), 3);
    assert_false(i->end.was_killed);
    assert_false(i->end.oom_killed);
    assert_int_equal(world_count_loops(w), 0);
    instance_free(i);
}

static void a_file_of_tmp_in_the_channels_queue_does_not_hide_the_end(void **state)
{
    struct world *w = *state;
    struct instance *i = world_start(w, "linger", "channel", 256);
    world_wait_ended(w, i);
    assert_int_equal(WEXITSTATUS(i->end.wait_status), 4);
    instance_free(i); /* closes the channel, and with it goes the rest: teardown counts */
    for (uint64_t give_up = clock_mono_us() + WORLD_WAIT_MS * 1000ull;
         world_count_loops(w) > 0 && clock_mono_us() < give_up;)
        usleep(2000);
}

static void a_signal_that_ends_the_runtime_is_told(void **state)
{
    struct world *w = *state;
    struct instance *i = world_start(w, "crash", "11", 256);
    world_wait_ended(w, i);
    assert_true(WIFSIGNALED(i->end.wait_status));
    assert_int_equal(WTERMSIG(i->end.wait_status), SIGSEGV);
    instance_free(i);
}

static void a_kill_ends_it_whatever_it_does(void **state)
{
    struct world *w = *state;
    struct instance *i = world_start(w, "linger", "spin", 256);
    world_wait_output(w, i, "ready");
    world_kill(w, i);
    world_wait_ended(w, i);
    assert_true(i->end.was_killed);
    assert_int_equal(WTERMSIG(i->end.wait_status), SIGKILL);
    assert_true(i->end.cpu_us > 0);
    assert_true(i->end.memory_peak > 0 || !w->report.cgroup_memory);
    instance_free(i);
}

static void a_frozen_instance_computes_nothing_and_can_be_killed(void **state)
{
    struct world *w = *state;
    if (!w->report.cgroup_freezer)
        skip();
    struct instance *i = world_start(w, "linger", "spin", 256);
    world_wait_output(w, i, "ready");
    assert_true(keeper_freeze(&i->start.meters, true));
    uint64_t before = 0, after = keeper_meter_cpu_us(&i->start.meters);
    for (int tries = 0; tries < 200 && before != after;
         tries++) { /* freezing takes as long as the processes need to come to rest */
        before = after;
        usleep(10000);
        after = keeper_meter_cpu_us(&i->start.meters);
    }
    assert_int_equal(before, after);
    assert_true(keeper_meter_tasks(&i->start.meters) >= 6 || !w->report.cgroup_pids);
    assert_true(keeper_freeze(&i->start.meters, false));
    while (keeper_meter_cpu_us(&i->start.meters) == after)
        usleep(1000);
    assert_true(keeper_freeze(&i->start.meters, true));
    world_kill(w, i);
    world_wait_ended(w, i);
    instance_free(i);
}

static void meters_say_what_is_used_and_the_peak_can_be_reset(void **state)
{
    struct world *w = *state;
    if (!w->report.cgroup_memory)
        skip();
    struct instance *i = world_start(w, "linger", "spin", 256);
    world_wait_output(w, i, "ready");
    assert_true(keeper_meter_memory_peak(&i->start.meters) > 100 * 1024);
    keeper_meter_peak_reset(&i->start.meters);
    assert_true(keeper_meter_memory_peak(&i->start.meters) > 0);
    uint64_t cpu = keeper_meter_cpu_us(&i->start.meters);
    while (keeper_meter_cpu_us(&i->start.meters) <= cpu)
        usleep(1000);
    world_kill(w, i);
    world_wait_ended(w, i);
    instance_free(i);
}

static void a_flood_of_output_waits_for_its_reader(void **state)
{
    struct world *w = *state;
    struct instance *i = world_start(w, "output_flood", "", 128);
    world_wait_output(w, i, "xxxxxxxx");
    for (int k = 0; k < 100; k++) { /* a pipe holds 64 KB: the rest waits inside */
        char block[65536];
        struct pollfd p = { i->out, POLLIN, 0 };
        poll(&p, 1, WORLD_WAIT_MS);
        assert_true(read(i->out, block, sizeof(block)) > 0);
    }
    world_kill(w, i);
    world_wait_ended(w, i);
    instance_free(i);
}

static void a_hundred_starts_and_ends_leave_no_descriptor_mount_cgroup_or_loop_device(void **state)
{
    struct world *w = *state;
    world_holds(w, "rights", "", 256); /* what is opened once is open now */
    int ours = count_descriptors(getpid()), keepers = count_descriptors(w->link.pid), mounts = count_mounts();
    uint64_t started_us[100], begun;
    for (int n = 0; n < 100; n++) {
        begun = clock_mono_us();
        struct instance *i = world_start(w, "linger", "end", 256);
        world_wait_started(w, i);
        started_us[n] = clock_mono_us() - begun;
        world_wait_ended(w, i);
        assert_int_equal(WEXITSTATUS(i->end.wait_status), 3);
        instance_free(i);
    }
    for (int a = 0; a < 100; a++) /* for people: the median */
        for (int b = a + 1; b < 100; b++)
            if (started_us[b] < started_us[a]) {
                uint64_t swap = started_us[a];
                started_us[a] = started_us[b];
                started_us[b] = swap;
            }
    print_message("start to STARTED: p50 %llu us, p99 %llu us\n", (unsigned long long)started_us[50],
                  (unsigned long long)started_us[98]);
    assert_int_equal(count_descriptors(getpid()), ours);
    assert_int_equal(count_descriptors(w->link.pid), keepers);
    assert_int_equal(count_mounts(), mounts);
    assert_int_equal(world_count_loops(w), 0);
}

static void twenty_at_once_are_strangers_to_each_other(void **state)
{
    struct world *w = *state;
    struct instance *all[20];
    for (int n = 0; n < 20; n++)
        all[n] = world_start(w, "linger", "", 128);
    for (int n = 0; n < 20; n++)
        world_wait_output(w, all[n], "ready");
    world_holds(w, "processes", "", 256);
    for (int n = 0; n < 20; n++)
        world_kill(w, all[n]);
    for (int n = 0; n < 20; n++) {
        world_wait_ended(w, all[n]);
        assert_true(all[n]->end.was_killed);
        instance_free(all[n]);
    }
}

int main(int argc, char **argv)
{
    if (!world_become(argc, argv))
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_hosts_files_and_other_functions_code_are_not_to_be_seen, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(only_tmp_can_be_written_and_only_four_descriptors_came_with_the_process,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(no_right_can_be_had_from_the_kernel, setup, teardown),
        cmocka_unit_test_setup_teardown(processes_of_host_and_neighbours_are_out_of_reach, setup, teardown),
        cmocka_unit_test_setup_teardown(there_is_no_network_but_the_apis_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(the_api_listener_accepts_what_connects_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fork_bomb_stops_at_1024_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_beyond_memory_size_cannot_be_had, setup, teardown),
        cmocka_unit_test_setup_teardown(tmp_takes_what_was_asked_for_and_then_is_full_without_counting_as_memory,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(tmp_is_empty_for_the_next_instance, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_of_the_runtime_ends_everything_it_left_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_of_tmp_in_the_channels_queue_does_not_hide_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_signal_that_ends_the_runtime_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kill_ends_it_whatever_it_does, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frozen_instance_computes_nothing_and_can_be_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(meters_say_what_is_used_and_the_peak_can_be_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flood_of_output_waits_for_its_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hundred_starts_and_ends_leave_no_descriptor_mount_cgroup_or_loop_device,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(twenty_at_once_are_strangers_to_each_other, setup, teardown),
    };
    if (argc > 2) /* one of them, by a pattern */
        cmocka_set_test_filter(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
