#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "engine/package.h"
#include "server/server.h"
#include "services/operations.h"

static int serve_run(int argc, char **argv);
static int version_run(int argc, char **argv);
static int help_run(int argc, char **argv);
static int unpack_run(int argc, char **argv);
static int operations_run(int argc, char **argv);

static const struct cli_command cli_serve = {
    .name = "serve",
    .summary = "run the server, in the foreground",
    .run = serve_run,
};

static const struct cli_command cli_version = {
    .name = "version",
    .summary = "print the version",
    .run = version_run,
    .usage = "",
};

static const struct cli_command cli_help = {
    .name = "help",
    .summary = "tell about a command",
    .run = help_run,
    .usage = "[COMMAND]",
};

/* The server starts itself so, to unpack a package in a process that holds nothing (engine/package.h). */
static const struct cli_command cli_unpack = {
    .name = "unpack-package",
    .summary = "unpack a package; the server's own use",
    .run = unpack_run,
    .hidden = true,
};

/* docs/compatibility.md is made of it (scripts/compatibility.py). */
static const struct cli_command cli_operations = {
    .name = "operations",
    .summary = "print what of AWS's APIs is served, as JSON",
    .run = operations_run,
    .usage = "",
    .hidden = true,
};

static const struct cli_command *const commands[] = {
    &cli_serve, &cli_deploy,  &cli_invoke, &cli_logs,    &cli_ls,   &cli_rm,     &cli_env,
    &cli_aws,   &cli_runtime, &cli_doctor, &cli_version, &cli_help, &cli_unpack, &cli_operations,
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

const struct cli_command *cli_command_at(size_t index)
{
    return index < COMMAND_COUNT ? commands[index] : NULL;
}

static const struct cli_command *command_named(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static void print_overview(void)
{
    printf("hearth - run AWS Lambda functions on a machine of your own\n\nUSAGE\n    hearth COMMAND "
           "[ARGUMENT]...\n\nCOMMANDS\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (!commands[i]->hidden)
            printf("    %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    printf("\n`hearth help COMMAND` tells more. Commands find the server by its data directory: --data DIR, "
           "HEARTH_DATA, or the\n"
           "default one; or by AWS_ENDPOINT_URL with AWS keys.\n\n"
           "EXIT STATUS\n    0 done, 1 failed, 2 wrong command line, 3 the function failed, 4 no server\n");
}

static int serve_run(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            config_usage();
            return CLI_DONE;
        }
        if (strcmp(argv[i], "--help-markdown") == 0) {
            config_usage_markdown();
            return CLI_DONE;
        }
    }
    return server_main(argc - 1, argv + 1);
}

static int version_run(int argc, char **argv)
{
    struct cli_line line;
    int end = cli_read_line(&cli_version, argc, argv, &line);
    if (end != CLI_GO)
        return end;
    printf("hearth %s\n", HEARTH_VERSION);
    return CLI_DONE;
}

static int unknown_command(const char *name)
{
    const char *names[COMMAND_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (!commands[i]->hidden)
            names[count++] = commands[i]->name;
    }
    const char *nearest = config_nearest(slice_of(name), names, count);
    if (nearest != NULL)
        return cli_refuse(NULL, "unknown command \"%s\"; did you mean %s?", name, nearest);
    return cli_refuse(NULL, "unknown command \"%s\"", name);
}

static int help_run(int argc, char **argv)
{
    if (argc < 2) {
        print_overview();
        return CLI_DONE;
    }
    const struct cli_command *command = command_named(argv[1]);
    if (command == NULL)
        return unknown_command(argv[1]);
    if (command == &cli_serve)
        config_usage();
    else
        cli_print_help(command);
    return CLI_DONE;
}

static int unpack_run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return package_unpack_main();
}

static int operations_run(int argc, char **argv)
{
    struct cli_line line;
    int end = cli_read_line(&cli_operations, argc, argv, &line);
    if (end != CLI_GO)
        return end;
    services_print_operations();
    return CLI_DONE;
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        print_overview();
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help_run(1, argv);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return version_run(1, argv);
    const struct cli_command *command = command_named(argv[1]);
    if (command == NULL)
        return unknown_command(argv[1]);
    int end = command->run(argc - 1, argv + 1);
    /* What could not be written must not pass as done: `hearth ls >/dev/full`. */
    if (fflush(stdout) != 0 && end == CLI_DONE) {
        (void)fprintf(stderr, "hearth: could not write the output\n");
        return CLI_FAILED;
    }
    return end;
}
