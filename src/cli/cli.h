/* cli: the subcommands. A client of the API endpoint as any other; finds server and keys in DIR/endpoints.json and DIR/credentials
 * (--data, HEARTH_DATA, AWS_ENDPOINT_URL with AWS keys, or the default directory). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Exit codes, the same for every command; sysexits would say nothing about functions. */
enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,           /* the command line was wrong */
    CLI_FUNCTION_FAILED = 3, /* invoke: the call was made and the function's own code failed */
    CLI_NO_SERVER = 4,       /* nobody listens */
};

/* An option: "--name VALUE", "--name=VALUE", "-x VALUE"; `value` NULL makes it a switch. A value in brackets, "[ONE|OTHER]", may be left out: only
 * a next word that is one of those is taken for it. */
struct cli_option {
    const char *name;
    char letter;       /* 0 none */
    const char *value; /* what the help calls its value */
    const char *meaning;
};

struct cli_command {
    const char *name;
    const char *summary;               /* one line, for `hearth help` */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns an enum cli_exit */
    bool hidden;
    const char *usage; /* behind "hearth NAME" */
    const char *text;  /* paragraphs, for `hearth help NAME` */
    const struct cli_option *options;
    size_t option_count;
    const char *examples;
};
int cli_main(int argc, char **argv);
