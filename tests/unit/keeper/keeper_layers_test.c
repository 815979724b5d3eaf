/* What a function brings beside its code: a bootstrap of its own, layers on /opt, a wrapper script. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* START of a `provided` function whose tree is `tree`. */
static struct keeper_start provided(struct world *w, const char *tree, struct instance **i)
{
    char digest[KEEPER_DIGEST_BYTES];
    *i = memory_new(sizeof(**i));
    struct keeper_start start = world_start_of(w, NULL, "", *i);
    strcpy(start.runtime, "provided.al2023");
    strcpy(start.actual, "provided.al2023");
    world_put(w, tree, "some.txt", "text", 0644, digest);
    memcpy(start.digest, digest, sizeof(digest));
    return start;
}

/* Runs to its end, which must be 0, and gives what it printed; freed with instance_free. */
static struct instance *runs(struct world *w, struct keeper_start *start, struct instance *i)
{
    world_send(w, start, i);
    world_wait_ended(w, i);
    if (i->failed)
        fail_msg("it did not start: %s", i->end.message);
    assert_int_equal(i->end.wait_status, 0);
    return i;
}

static void is_refused(struct world *w, const char *tree, const char *message)
{
    struct instance *i;
    struct keeper_start start = provided(w, tree, &i);
    world_send(w, &start, i);
    world_wait_refused(w, i);
    assert_true(i->end.entry_refused);
    assert_string_equal(i->end.message, message);
    instance_free(i);
}

static void a_bootstrap_runs_in_var_task_with_nothing_but_its_three_descriptors(void **state)
{
    struct world *w = *state;
    char digest[KEEPER_DIGEST_BYTES];
    struct instance *i;
    world_put(
        w, "plain", "bootstrap",
        "#!/bin/sh\npwd\necho name $0 count $#\nls /opt\ntest -e /var/runtime/hearth/bootstrap.js && echo ours\n"
        "for n in 3 4 5 6 7 8 9; do test -e /proc/$$/fd/$n && readlink /proc/$$/fd/$n; done\nexit 0\n",
        0755, digest);
    struct keeper_start start = provided(w, "plain", &i);
    runs(w, &start, i);
    /* A shell keeps its script open above 9. */
    assert_string_equal(i->output, "/var/task\nname /var/task/bootstrap count 0\nbin\nlib\n");
    instance_free(i);
}

static void the_runtime_api_listens_inside_before_the_bootstrap_runs(void **state)
{
    struct world *w = *state;
    char digest[KEEPER_DIGEST_BYTES];
    struct instance *i;
    world_put(w, "caller", "bootstrap", "#!/bin/sh\nexec /usr/bin/curl -sS -m 20 http://127.0.0.1:9001/hello\n",
              0755, digest);
    struct keeper_start start = provided(w, "caller", &i);
    world_send(w, &start, i);
    world_wait_started(w, i);
    assert_true(i->start.api_listener >= 0);
    struct pollfd listener = { i->start.runtime_listener, POLLIN, 0 };
    assert_int_equal(poll(&listener, 1, WORLD_WAIT_MS), 1);
    int connection = accept4(i->start.runtime_listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(connection >= 0);
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nheard";
    assert_int_equal(write(connection, answer, strlen(answer)), (ssize_t)strlen(answer));
    world_wait_ended(w, i);
    assert_string_equal(i->output, "heard");
    close(connection);
    instance_free(i);
}

static void other_runtimes_have_no_runtime_api(void **state)
{
    struct world *w = *state;
    struct instance *i = world_start(w, "linger", "", 256);
    world_wait_started(w, i);
    assert_int_equal(i->start.runtime_listener, -1);
    world_kill(w, i);
    world_wait_ended(w, i);
    instance_free(i);
}

static void a_bootstrap_that_cannot_run_is_refused_in_lambdas_words(void **state)
{
    struct world *w = *state;
    char digest[KEEPER_DIGEST_BYTES];
    is_refused(w, "absent", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
    world_put(w, "directory", "bootstrap/x", "", 0644, digest);
    is_refused(w, "directory", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
    world_put(w, "bits", "bootstrap", "#!/bin/sh\n", 0644, digest);
    is_refused(w, "bits", "fork/exec /var/task/bootstrap: permission denied");
    world_put(w, "format", "bootstrap", "echo no interpreter\n", 0755, digest);
    is_refused(w, "format", "fork/exec /var/task/bootstrap: exec format error");
    world_put(w, "interpreter", "bootstrap", "#!/usr/bin/no-such-shell\n", 0755, digest);
    is_refused(w, "interpreter", "fork/exec /var/task/bootstrap: no such file or directory");
}

static void a_layers_bootstrap_serves_a_function_without_one(void **state)
{
    struct world *w = *state;
    char digest[KEEPER_DIGEST_BYTES];
    struct instance *i;
    struct keeper_start start = provided(w, "empty", &i);
    world_put(w, "runtime-layer", "bootstrap", "#!/bin/sh\necho from $0 in $(pwd)\n", 0755, start.layers[0]);
    runs(w, &start, i);
    assert_string_equal(i->output, "from /opt/bootstrap in /var/task\n");
    instance_free(i);

    world_put(w, "own", "bootstrap", "#!/bin/sh\necho from $0\n", 0755, digest);
    start = provided(w, "own", &i);
    world_put(w, "runtime-layer", "bootstrap", "#!/bin/sh\nexit 1\n", 0755, start.layers[0]);
    runs(w, &start, i);
    assert_string_equal(i->output, "from /var/task/bootstrap\n");
    instance_free(i);
}

static void layers_are_merged_on_opt_and_the_later_one_wins(void **state)
{
    struct world *w = *state;
    char digest[KEEPER_DIGEST_BYTES];
    struct instance *i;
    world_put(
        w, "reader", "bootstrap",
        "#!/bin/sh\ncd /opt && cat lib/first lib/second both lib/both\n"
        "for f in both new lib/new; do ( : >$f ) 2>/dev/null && echo written $f; done\n"
        "chmod u+w both 2>/dev/null && echo changed\ngrep ' /opt ' /proc/mounts | grep -c 'ro,nosuid,nodev'\n",
        0755, digest);
    for (size_t count = 2; count <= KEEPER_LAYERS_MAX; count++) {
        struct keeper_start start = provided(w, "reader", &i);
        world_put(w, "layer-first", "lib/first", "1", 0644, start.layers[0]);
        world_put(w, "layer-first", "both", "first", 0644, start.layers[0]);
        world_put(w, "layer-first", "lib/both", "first", 0644, start.layers[0]);
        for (size_t k = 1; k + 1 < count; k++) {
            char name[16];
            snprintf(name, sizeof(name), "middle-%zu", k);
            world_put(w, name, "both", name, 0644, start.layers[k]);
        }
        world_put(w, "layer-last", "lib/second", "2", 0644, start.layers[count - 1]);
        world_put(w, "layer-last", "both", "last", 0644, start.layers[count - 1]);
        world_put(w, "layer-last", "lib/both", "last", 0644, start.layers[count - 1]);
        runs(w, &start, i);
        assert_string_equal(i->output, "12lastlast1\n");
        instance_free(i);
    }
}

/* Two layers with the same zip are one tree, which overlayfs would not take twice. */
static void a_layer_that_is_named_again_counts_where_it_stands_last(void **state)
{
    struct world *w = *state;
    static const char orders[][4] = { "aa", "aba", "aab", "abab", "abb" };
    static const char *const shown[] = { "a", "a", "b", "b", "b" };
    char digest[KEEPER_DIGEST_BYTES], expected[8];
    struct instance *i;
    world_put(w, "again", "bootstrap", "#!/bin/sh\ncat /opt/name\n", 0755, digest);
    for (size_t k = 0; k < sizeof(shown) / sizeof(shown[0]); k++) {
        struct keeper_start start = provided(w, "again", &i);
        for (size_t l = 0; l < sizeof(orders[k]) && orders[k][l] != '\0'; l++)
            world_put(w, orders[k][l] == 'a' ? "again-a" : "again-b", "name", orders[k][l] == 'a' ? "a\n" : "b\n",
                      0644, start.layers[l]);
        runs(w, &start, i);
        snprintf(expected, sizeof(expected), "%s\n", shown[k]);
        assert_string_equal(i->output, expected);
        instance_free(i);
    }
}

static void one_layer_alone_is_there_and_read_only(void **state)
{
    struct world *w = *state;
    char digest[KEEPER_DIGEST_BYTES];
    struct instance *i;
    world_put(w, "lister", "bootstrap",
              "#!/bin/sh\ncat /opt/python/x.py\n( : >/opt/new ) 2>/dev/null && echo written\nexit 0\n", 0755,
              digest);
    struct keeper_start start = provided(w, "lister", &i);
    world_put(w, "one", "python/x.py", "x = 1\n", 0644, start.layers[0]);
    runs(w, &start, i);
    assert_string_equal(i->output, "x = 1\n");
    instance_free(i);
}

static void layers_that_are_none_are_refused(void **state)
{
    struct world *w = *state;
    for (int k = 0; k < 4; k++) {
        struct instance *i;
        struct keeper_start start = provided(w, "refused", &i);
        if (k == 0)
            strcpy(start.layers[0], "../../../etc");
        else if (k == 1)
            memcpy(start.layers[1], start.digest, sizeof(start.digest)); /* a gap */
        else if (k == 2)
            memset(start.wrapper, 'x', sizeof(start.wrapper)); /* no end */
        else
            memset(start.layers[0], 'a', KEEPER_DIGEST_BYTES - 1); /* of the right form; not there */
        world_send(w, &start, i);
        world_wait_refused(w, i);
        assert_false(i->end.entry_refused);
        instance_free(i);
    }
}

/* A link in the place of a layer's tree leads nowhere, alone or among others. */
static void a_layer_that_is_a_link_is_refused(void **state)
{
    struct world *w = *state;
    for (size_t count = 1; count <= 2; count++) {
        struct instance *i;
        char path[256], moved[300];
        struct keeper_start start = provided(w, "follows", &i);
        world_put(w, count == 1 ? "linked-1" : "linked-2", "x", "", 0644, start.layers[0]);
        if (count == 2)
            world_put(w, "sound", "x", "", 0644, start.layers[1]);
        snprintf(path, sizeof(path), "%s/data/code/%s/tree", w->dir, start.layers[0]);
        snprintf(moved, sizeof(moved), "%s-moved", path);
        assert_int_equal(rename(path, moved), 0);
        assert_int_equal(symlink("/etc", path), 0);
        world_send(w, &start, i);
        world_wait_refused(w, i);
        assert_false(i->end.entry_refused);
        instance_free(i);
    }
}

static struct keeper_start wrapped(struct world *w, const char *wrapper, struct instance **i)
{
    *i = memory_new(sizeof(**i));
    struct keeper_start start = world_start_of(w, "crash", "exit", *i);
    snprintf(start.wrapper, sizeof(start.wrapper), "%s", wrapper);
    return start;
}

static void a_wrapper_is_given_the_runtimes_command_line_and_its_descriptors(void **state)
{
    struct world *w = *state;
    static const char *const first_lines[] = { "#!/bin/sh\n", "" }; /* without "#!" a shell takes it all the same */
    for (size_t k = 0; k < 2; k++) {
        struct instance *i;
        char text[512], name[16];
        struct keeper_start start = wrapped(w, "/opt/wrapper", &i);
        snprintf(text, sizeof(text),
                 "%sfor last; do :; done\necho $0 $# ${1##*/} $last\ntest -S /proc/self/fd/3 && echo channel\n"
                 "exec \"$1\" -c 'import stat, os; print(stat.S_ISSOCK(os.fstat(3).st_mode))'\n",
                 first_lines[k]);
        snprintf(name, sizeof(name), "wrapper-%zu", k);
        world_put(w, name, "wrapper", text, 0755, start.layers[0]);
        runs(w, &start, i);
        char expected[256];
        snprintf(expected, sizeof(expected), "/opt/wrapper 3 %s /var/runtime/hearth/bootstrap.py\nchannel\nTrue\n",
                 w->runtime);
        assert_string_equal(i->output, expected);
        instance_free(i);
    }
}

static void a_wrapper_that_cannot_run_ends_as_in_a_shell_and_says_so(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *wrapper, *says;
        int status;
    } cases[] = {
        { "/opt/none", "/opt/none: does not exist\n", 127 },
        { "/opt/lib", "/opt/lib: does not exist\n", 127 },
        { "/opt/lib/plain", "/opt/lib/plain: is not an executable\n", 126 },
    };
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        struct instance *i;
        struct keeper_start start = wrapped(w, cases[k].wrapper, &i);
        world_put(w, "not-executable", "lib/plain", "#!/bin/sh\n", 0644, start.layers[0]);
        world_send(w, &start, i);
        world_wait_ended(w, i);
        assert_false(i->failed);
        assert_int_equal(WEXITSTATUS(i->end.wait_status), cases[k].status);
        assert_string_equal(i->output, cases[k].says);
        instance_free(i);
    }
}

static void a_wrapper_is_not_for_provided_runtimes(void **state)
{
    struct world *w = *state;
    char digest[KEEPER_DIGEST_BYTES];
    struct instance *i;
    world_put(w, "unwrapped", "bootstrap", "#!/bin/sh\necho plain\n", 0755, digest);
    struct keeper_start start = provided(w, "unwrapped", &i);
    strcpy(start.wrapper, "/opt/none");
    runs(w, &start, i);
    assert_string_equal(i->output, "plain\n");
    instance_free(i);
}

/* ---- without a sandbox: a machine that refuses pivot_root; in a process of its own, since a filter stays ---- */

static bool contains(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static int bare_run(struct world *w)
{
    char digest[KEEPER_DIGEST_BYTES];
    struct instance *i;
    world_put(w, "bare", "bootstrap",
              "#!/bin/sh\ncat $LAYER/x\necho api $AWS_LAMBDA_RUNTIME_API\n"
              "exec curl -sS -m 20 http://$AWS_LAMBDA_RUNTIME_API/\n",
              0755, digest);
    struct keeper_start start = provided(w, "bare", &i);
    static const char environment[] = "PATH=/usr/bin:/bin\0LAYER=/opt\0AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001";
    start.environment = slice_from(environment, sizeof(environment));
    world_put(w, "bare-layer", "x", "of the layer\n", 0644, start.layers[0]);
    world_send(w, &start, i);
    world_wait_started(w, i);
    if (i->start.api_listener != -1 || i->start.runtime_listener < 0)
        return 20;
    struct pollfd listener = { i->start.runtime_listener, POLLIN, 0 };
    if (poll(&listener, 1, WORLD_WAIT_MS) != 1)
        return 21;
    int connection = accept4(i->start.runtime_listener, NULL, NULL, SOCK_CLOEXEC);
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nheard";
    if (write(connection, answer, strlen(answer)) != (ssize_t)strlen(answer))
        return 22;
    world_wait_ended(w, i);
    close(connection);
    if (!contains(i->output, "of the layer\napi 127.0.0.1:") || contains(i->output, ":9001\n") ||
        !contains(i->output, "heard"))
        return 23;
    instance_free(i);

    start = provided(w, "bare-none", &i);
    world_send(w, &start, i);
    world_wait_refused(w, i);
    if (!i->end.entry_refused || !contains(i->end.message, "[/var/task/bootstrap /opt/bootstrap]"))
        return 24;
    instance_free(i);

    start = provided(w, "bare", &i);
    memcpy(start.layers[0], start.digest, sizeof(start.digest));
    world_put(w, "bare-layer", "x", "of the layer\n", 0644, start.layers[1]);
    world_send(w, &start, i);
    world_wait_refused(w, i);
    if (i->end.entry_refused || !contains(i->end.message, "without a sandbox a function cannot have 2 layers"))
        return 25;
    instance_free(i);
    return 0;
}

static void without_a_sandbox_there_is_a_port_of_its_own_and_one_layer(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct error err;
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(pivot_root), 0);
        if (seccomp_load(filter) < 0)
            _exit(10);
        struct world *w = world_new_without_keeper();
        w->config.unsafe_no_sandbox = true;
        if (keeper_fork(&w->config, &w->link, &w->report, &err) != OK || w->report.sandbox)
            _exit(11);
        int status = bare_run(w);
        world_free(w);
        _exit(status);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
    if (!world_become(argc, argv))
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bootstrap_runs_in_var_task_with_nothing_but_its_three_descriptors),
        cmocka_unit_test(the_runtime_api_listens_inside_before_the_bootstrap_runs),
        cmocka_unit_test(other_runtimes_have_no_runtime_api),
        cmocka_unit_test(a_bootstrap_that_cannot_run_is_refused_in_lambdas_words),
        cmocka_unit_test(a_layers_bootstrap_serves_a_function_without_one),
        cmocka_unit_test(layers_are_merged_on_opt_and_the_later_one_wins),
        cmocka_unit_test(a_layer_that_is_named_again_counts_where_it_stands_last),
        cmocka_unit_test(one_layer_alone_is_there_and_read_only),
        cmocka_unit_test(layers_that_are_none_are_refused),
        cmocka_unit_test(a_layer_that_is_a_link_is_refused),
        cmocka_unit_test(a_wrapper_is_given_the_runtimes_command_line_and_its_descriptors),
        cmocka_unit_test(a_wrapper_that_cannot_run_ends_as_in_a_shell_and_says_so),
        cmocka_unit_test(a_wrapper_is_not_for_provided_runtimes),
        cmocka_unit_test(without_a_sandbox_there_is_a_port_of_its_own_and_one_layer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
