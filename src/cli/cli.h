/* cli: the subcommands. A client of the API endpoint as any other; finds server and keys in DIR/endpoints.json and DIR/credentials
 * (--data, HEARTH_DATA, or the default directory). Exit codes: 0 done; 1 failed; 2 usage; 3 the function failed (invoke); 4 no server. */
#pragma once

struct cli_command {
    const char *name;
    const char *summary;            /* one line, for `hearth help` */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
    bool hidden;
};
int cli_main(int argc, char **argv);
