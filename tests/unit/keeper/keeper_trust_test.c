/* The keeper trusts nobody: messages of a server that has been taken over, and its own sudden end. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/memory.h"
#include "keeper/wire.h"

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

static void refused(struct world *w, struct keeper_start *start, struct instance *i)
{
    struct error err;
    assert_int_equal(keeper_send_start(&w->link, start, &err), OK);
    world_wait_ended(w, i);
    assert_true(i->failed);
    assert_true(strlen(i->end.message) > 0);
    fd_drop(&i->channel);
    fd_drop(&i->out);
}

static void a_start_with_wrong_fields_is_refused(void **state)
{
    struct world *w = *state;
    struct instance *i = memory_new(sizeof(*i));
    static const char *const digests[] = { "../../../../etc", "",
                                           "ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789",
                                           "00000000000000000000000000000000000000000000000000000000000000/." };
    for (size_t k = 0; k < sizeof(digests) / sizeof(digests[0]); k++) {
        struct keeper_start start = world_start_of(w, "crash", "", i);
        memset(start.digest, 0, sizeof(start.digest));
        memcpy(start.digest, digests[k], strlen(digests[k]));
        refused(w, &start, i);
    }
    static const char *const runtimes[] = { "", "python3.99", "nodejs20.x", "/bin/sh", "ruby3.3" };
    for (size_t k = 0; k < sizeof(runtimes) / sizeof(runtimes[0]); k++) {
        struct keeper_start start = world_start_of(w, "crash", "", i);
        snprintf(start.actual, sizeof(start.actual), "%s", runtimes[k]);
        refused(w, &start, i);
    }
    static const uint32_t sizes[] = { 0, 127, 10241, UINT32_MAX };
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        struct keeper_start start = world_start_of(w, "crash", "", i);
        start.memory_mb = sizes[k];
        refused(w, &start, i);
        start = world_start_of(w, "crash", "", i);
        start.tmp_mb = sizes[k] == 127 ? 511 : sizes[k];
        refused(w, &start, i);
    }
    static const struct slice environments[] = { { "A=b", 3 },     { "=b\0", 3 },   { "novalue\0", 8 },
                                                 { "A B=c\0", 6 }, { "1A=b\0", 5 }, { "\0", 1 } };
    for (size_t k = 0; k < sizeof(environments) / sizeof(environments[0]); k++) {
        struct keeper_start start = world_start_of(w, "crash", "", i);
        start.environment = environments[k];
        refused(w, &start, i);
    }
    struct keeper_start start = world_start_of(w, "crash", "", i);
    memset(start.digest, '1', KEEPER_DIGEST_BYTES - 1); /* right in form, but there is no such code */
    refused(w, &start, i);
    free(i);
    world_holds(w, "rights", "", 256);
}

static void code_that_is_a_link_out_of_the_directory_is_not_followed(void **state)
{
    struct world *w = *state;
    char digest[KEEPER_DIGEST_BYTES], path[256];
    memset(digest, 'a', sizeof(digest) - 1);
    digest[sizeof(digest) - 1] = '\0';
    snprintf(path, sizeof(path), "%s/data/code/%s", w->dir, digest);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/data/code/%s/tree", w->dir, digest);
    assert_int_equal(symlink("/etc", path), 0);
    struct instance *i = memory_new(sizeof(*i));
    struct keeper_start start = world_start_of(w, "crash", "", i);
    memcpy(start.digest, digest, sizeof(digest));
    refused(w, &start, i);
    free(i);
}

static void descriptors_of_the_wrong_kind_are_refused(void **state)
{
    struct world *w = *state;
    struct instance *i = memory_new(sizeof(*i));
    char path[128];
    snprintf(path, sizeof(path), "%s/fifo", w->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    for (int which = 0; which < 5; which++) {
        struct keeper_start start = world_start_of(w, "crash", "", i);
        int wrong = which == 0   ? open("/etc/passwd", O_RDONLY | O_CLOEXEC)
                    : which == 1 ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)
                    : which == 2 ? open(path, O_RDWR | O_CLOEXEC) /* has a name: must not be given away by fchown */
                    : which == 3 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
                                 : open("/dev/null", O_RDWR | O_CLOEXEC);
        assert_true(wrong >= 0);
        int *at = which == 1 || which == 3 ? &start.channel : which == 2 ? &start.err : &start.out;
        close(*at);
        *at = wrong;
        refused(w, &start, i);
    }
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, geteuid());
    free(i);
}

static void noise_on_the_socket_does_not_end_the_keeper(void **state)
{
    struct world *w = *state;
    world_holds(w, "rights", "", 256); /* it has settled: what is open now stays open */
    int before = count_descriptors(w->link.pid);
    char noise[WIRE_BYTES_MAX + 4096];
    unsigned seed = 12345; /* the same noise each time */
    for (size_t k = 0; k < sizeof(noise); k++)
        noise[k] = (char)((seed = seed * 1103515245u + 12345u) >> 16);
    static const size_t lengths[] = {
        1, 4, 15, 16, 17, 100, sizeof(struct wire_start), WIRE_BYTES_MAX, sizeof(noise)
    };
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int many[16];
    for (int k = 0; k < 16; k++)
        many[k] = null;
    for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++)
        for (size_t fds = 0; fds <= 16; fds += 4)
            for (uint32_t type = 0; type < 4; type++) {
                struct wire_head head = { type, WIRE_VERSION, 4000000000ull };
                memcpy(noise, &head, lengths[k] < sizeof(head) ? lengths[k] : sizeof(head));
                struct pollfd writable = { w->link.fd, POLLOUT, 0 };
                while (wire_send(w->link.fd, noise, lengths[k], NULL, 0, many, fds) < 0) {
                    assert_int_equal(errno, EAGAIN);
                    poll(&writable, 1, WORLD_WAIT_MS);
                }
                /* Refusals come back; a server that does not read them only stops being read. */
                struct keeper_event e;
                bool got = true;
                struct error err;
                while (got)
                    assert_int_equal(keeper_receive(&w->link, &e, &got, &err), OK);
            }
    close(null);
    world_holds(w, "rights", "", 256);
    if (geteuid() == 0) /* an ordinary user cannot look into the keeper, which is not dumpable */
        assert_int_equal(count_descriptors(w->link.pid), before);
}

static void a_server_that_never_reads_stops_being_read_and_nothing_grows(void **state)
{
    struct world *w = *state;
    struct error err;
    struct instance *i = memory_new(sizeof(*i));
    int sent = 0;
    for (int quiet = 0; quiet < 50 && sent < 20000;) {
        struct keeper_start start = world_start_of(w, "crash", "", i);
        start.memory_mb = 1; /* refused at once: an answer each */
        if (keeper_send_start(&w->link, &start, &err) == OK) {
            sent++;
            quiet = 0;
        } else {
            assert_int_equal(err.kind, ERROR_UNAVAILABLE);
            struct pollfd writable = { w->link.fd, POLLOUT, 0 };
            poll(&writable, 1, 10);
            quiet++;
        }
        fd_drop(&i->channel);
        fd_drop(&i->out);
    }
    assert_true(sent < 20000);
    int answers = 0;
    for (uint64_t give_up = clock_mono_us() + WORLD_WAIT_MS * 1000ull;
         answers < sent && clock_mono_us() < give_up;) {
        struct keeper_event e;
        bool got;
        assert_int_equal(keeper_receive(&w->link, &e, &got, &err), OK);
        answers += got;
        struct pollfd readable = { w->link.fd, POLLIN, 0 };
        if (!got)
            poll(&readable, 1, 100);
    }
    assert_int_equal(answers, sent);
    free(i);
    world_holds(w, "rights", "", 256);
}

static void an_id_that_is_in_use_is_refused_and_one_that_is_not_cannot_be_killed(void **state)
{
    struct world *w = *state;
    struct error err;
    struct instance *first = world_start(w, "linger", "", 256);
    world_wait_output(w, first, "ready");
    struct instance *second = memory_new(sizeof(*second));
    struct keeper_start start = world_start_of(w, "linger", "", second);
    start.id = second->id = first->id;
    refused(w, &start, second);
    free(second);
    assert_int_equal(keeper_send_kill(&w->link, 987654321, &err), OK);
    world_kill(w, first);
    world_wait_ended(w, first);
    instance_free(first);
}

/* Waits until none of the processes is there; they are not our children. */
static void wait_gone(const pid_t *pids, size_t count)
{
    for (uint64_t give_up = clock_mono_us() + WORLD_WAIT_MS * 1000ull;; usleep(2000)) {
        size_t left = 0;
        for (size_t k = 0; k < count; k++) {
            char path[64];
            snprintf(path, sizeof(path), "/proc/%d/stat", (int)pids[k]);
            left += access(path, F_OK) == 0;
        }
        if (left == 0)
            return;
        if (clock_mono_us() > give_up)
            fail_msg("%zu of %zu processes are still there", left, count);
    }
}

/* Several instances, one of them frozen where that can be: the hardest to kill. */
static size_t start_some(struct world *w, struct instance **all, pid_t *pids, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        all[k] = world_start(w, "linger", k % 2 ? "spin" : "", 256);
        world_wait_output(w, all[k], "ready");
        pids[k] = all[k]->start.pid;
    }
    if (w->report.cgroup_freezer)
        assert_true(keeper_freeze(&all[0]->start.meters, true));
    return count;
}

static void kill_9_of_the_keeper_leaves_no_process_and_the_next_start_no_cgroup(void **state)
{
    struct world *w = *state;
    struct instance *all[4];
    pid_t pids[4];
    start_some(w, all, pids, 4);
    pid_t keeper = w->link.pid;
    assert_int_equal(kill(keeper, SIGKILL), 0);
    waitpid(keeper, NULL, 0);
    wait_gone(pids, 4);
    struct keeper_event e;
    bool got = true;
    struct error err;
    enum outcome outcome = OK;
    while (outcome == OK && got)
        outcome = keeper_receive(&w->link, &e, &got, &err);
    assert_int_equal(outcome, FAILED); /* the server is told, and must end */
    for (uint64_t give_up = clock_mono_us() + WORLD_WAIT_MS * 1000ull;
         world_count_loops(w) > 0 && clock_mono_us() < give_up;)
        usleep(2000);
    assert_int_equal(world_count_loops(w), 0);
    fd_drop(&w->link.fd);
    w->link.pid = 0;
    /* The next server of this data directory cleans what only directories are. */
    assert_int_equal(keeper_fork(&w->config, &w->link, &w->report, &err), OK);
    for (int k = 0; k < 4; k++)
        instance_free(all[k]);
    world_holds(w, "rights", "", 256);
}

static void kill_9_of_the_server_leaves_nothing_at_all(void **state)
{
    struct world *w = *state;
    world_drop_keeper(w);
    int told[2];
    assert_int_equal(pipe(told), 0);
    pid_t server = fork();
    if (server == 0) {
        struct error err;
        if (keeper_fork(&w->config, &w->link, &w->report, &err) != OK)
            _exit(1);
        struct instance *all[3];
        pid_t pids[4];
        start_some(w, all, pids, 3);
        pids[3] = w->link.pid;
        (void)!write(told[1], pids, sizeof(pids));
        for (;;)
            pause();
    }
    pid_t pids[4];
    assert_int_equal(read(told[0], pids, sizeof(pids)), (ssize_t)sizeof(pids));
    close(told[0]);
    close(told[1]);
    assert_int_equal(kill(server, SIGKILL), 0);
    waitpid(server, NULL, 0);
    wait_gone(pids, 4); /* the keeper too */
    assert_int_equal(world_count_cgroups(w), 0);
    assert_int_equal(world_count_loops(w), 0);
}

/* Its keeper still cleans for a moment: the next must wait for it. */
static void a_server_that_starts_right_after_kill_9_of_another_waits_for_its_keeper(void **state)
{
    struct world *w = *state;
    world_drop_keeper(w);
    for (int round = 0; round < 3; round++) {
        int told[2];
        assert_int_equal(pipe(told), 0);
        pid_t server = fork();
        if (server == 0) {
            struct error err;
            if (keeper_fork(&w->config, &w->link, &w->report, &err) != OK)
                _exit(1);
            struct instance *all[2];
            pid_t pids[2];
            start_some(w, all, pids, 2);
            (void)!write(told[1], pids, sizeof(pids));
            for (;;)
                pause();
        }
        pid_t pids[2];
        assert_int_equal(read(told[0], pids, sizeof(pids)), (ssize_t)sizeof(pids));
        close(told[0]);
        close(told[1]);
        assert_int_equal(kill(server, SIGKILL), 0);
        waitpid(server, NULL, 0);
        struct error err;
        assert_int_equal(keeper_fork(&w->config, &w->link, &w->report, &err), OK);
        world_holds(w, "rights", "", 256);
        wait_gone(pids, 2);
        world_drop_keeper(w);
    }
}

/* A machine without sandboxes: here one that refuses pivot_root. In a process of its own, since a filter stays. */
static void without_a_sandbox_only_who_asks_for_the_danger_gets_a_keeper(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(pivot_root), 0);
        if (seccomp_load(filter) < 0)
            _exit(10);
        struct world *w = world_new_without_keeper();
        struct error err = { .kind = ERROR_NONE };
        if (keeper_fork(&w->config, &w->link, &w->report, &err) == OK || err.kind != ERROR_UNSUPPORTED ||
            *err.hint == '\0')
            _exit(11);
        w->config.unsafe_no_sandbox = true;
        if (keeper_fork(&w->config, &w->link, &w->report, &err) != OK || w->report.sandbox ||
            strstr(w->report.line, "NO SANDBOX") == NULL)
            _exit(12);
        struct instance *i = world_start(w, "linger", "end", 256);
        world_wait_ended(w, i);
        if (WEXITSTATUS(i->end.wait_status) != 3 || strstr(i->output, "ready") == NULL)
            _exit(13);
        instance_free(i);
        i = world_start(w, "linger", "", 256);
        world_wait_output(w, i, "ready");
        if (i->start.api_listener != -1)
            _exit(14);
        world_kill(w, i);
        world_wait_ended(w, i);
        pid_t ended = i->start.pid;
        wait_gone(&ended, 1);
        instance_free(i);
        world_free(w);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void closing_ends_the_instances_that_run(void **state)
{
    struct world *w = *state;
    struct instance *all[3];
    pid_t pids[3];
    start_some(w, all, pids, 3);
    world_drop_keeper(w);
    wait_gone(pids, 3);
    for (int k = 0; k < 3; k++)
        instance_free(all[k]);
}

static void the_probe_says_the_same_as_the_fork(void **state)
{
    struct world *w = *state;
    struct keeper_config other = w->config;
    other.name = "hearth-keeper-probe-test";
    struct keeper_report report;
    keeper_probe(&other, &report);
    assert_string_equal(report.line, w->report.line);
    assert_true(report.sandbox);
    print_message("%s\n", report.line);
}

int main(int argc, char **argv)
{
    if (!world_become(argc, argv))
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_start_with_wrong_fields_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(code_that_is_a_link_out_of_the_directory_is_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_of_the_wrong_kind_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(noise_on_the_socket_does_not_end_the_keeper, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_never_reads_stops_being_read_and_nothing_grows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_id_that_is_in_use_is_refused_and_one_that_is_not_cannot_be_killed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(kill_9_of_the_keeper_leaves_no_process_and_the_next_start_no_cgroup, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(kill_9_of_the_server_leaves_nothing_at_all, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_starts_right_after_kill_9_of_another_waits_for_its_keeper,
                                        setup, teardown),
        cmocka_unit_test(without_a_sandbox_only_who_asks_for_the_danger_gets_a_keeper),
        cmocka_unit_test_setup_teardown(closing_ends_the_instances_that_run, setup, teardown),
        cmocka_unit_test_setup_teardown(the_probe_says_the_same_as_the_fork, setup, teardown),
    };
    if (argc > 2) /* one of them, by a pattern */
        cmocka_set_test_filter(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
