/* cli/options: reading a command line by its command's table, and helping whoever wrote it. For the room alone. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "cli/cli.h"

enum { CLI_GIVEN_MAX = 256, CLI_GO = -1 };

struct cli_given {
    const struct cli_option *option;
    const char *value; /* "" for a switch */
};

/* A command line, borrowed from argv. */
struct cli_line {
    struct cli_given given[CLI_GIVEN_MAX];
    size_t given_count;
    char **rest; /* what is no option, in order; argv's own array, shifted */
    int rest_count;
};

#define CLI_DATA_OPTION                                                                                            \
    {                                                                                                              \
        "data", 0, "DIR",                                                                                          \
            "the server's data directory (else HEARTH_DATA, else AWS_ENDPOINT_URL with AWS keys, else the "        \
            "default one)"                                                                                         \
    }
#define CLI_JSON_OPTION                                                                                            \
    {                                                                                                              \
        "json", 0, NULL, "print JSON, for programs"                                                                \
    }
#define CLI_OPTIONS(table) .options = (table), .option_count = sizeof(table) / sizeof((table)[0])

/* CLI_GO, or the exit code with which the command is to end: after --help, or when the line was wrong (told on stderr). */
int cli_read_line(const struct cli_command *command, int argc, char **argv, struct cli_line *out);
const char *cli_value(const struct cli_line *line, const char *name); /* the last one given; NULL when none was */
bool cli_is_on(const struct cli_line *line, const char *name);

void cli_print_help(const struct cli_command *command);
/* "hearth: ..." and the way out on stderr; CLI_USAGE */
int cli_refuse(const struct cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for an error; its exit code. */
int cli_fail(const struct error *err);

/* What marks an error as "nobody listens": cli_fail makes CLI_NO_SERVER of it. */
#define CLI_CODE_NO_SERVER "NoServer"

/* All commands, in the order of `hearth help`; NULL behind the last. */
const struct cli_command *cli_command_at(size_t index);

/* "10s", "5m", "2h", "1d"; a plain number is seconds. */
MUST_CHECK bool cli_duration_ms(const char *text, int64_t *ms);
/* "12.3 MB" */
enum { CLI_SIZE_BYTES = 32 };
void cli_size(uint64_t bytes, char out[CLI_SIZE_BYTES]);
