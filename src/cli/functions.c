/* ls and rm: what there is, and away with it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "cli/client.h"
#include "cli/commands.h"

/* ---- ls ---- */

static const struct cli_option ls_options[] = { CLI_JSON_OPTION, CLI_DATA_OPTION };

struct listing {
    bool json;
    size_t count;
};

static void print_function(struct listing *listing, yyjson_val *function)
{
    if (listing->json) {
        char *text = yyjson_val_write(function, YYJSON_WRITE_NOFLAG, NULL);
        printf("%s%s", listing->count == 0 ? "[" : ",\n ", text != NULL ? text : "null");
        free(text);
    } else {
        char size[CLI_SIZE_BYTES];
        cli_size(yyjson_get_uint(yyjson_obj_get(function, "CodeSize")), size);
        if (listing->count == 0)
            printf("%-32s %-12s %-32s %7s %8s %10s  %s\n", "NAME", "RUNTIME", "HANDLER", "MEMORY", "TIMEOUT",
                   "CODE", "MODIFIED");
        printf("%-32.*s %-12.*s %-32.*s %4llu MB %6llu s %10s  %.*sZ\n",
               SLICE_PRINT(json_slice(yyjson_obj_get(function, "FunctionName"))),
               SLICE_PRINT(json_slice(yyjson_obj_get(function, "Runtime"))),
               SLICE_PRINT(json_slice(yyjson_obj_get(function, "Handler"))),
               (unsigned long long)yyjson_get_uint(yyjson_obj_get(function, "MemorySize")),
               (unsigned long long)yyjson_get_uint(yyjson_obj_get(function, "Timeout")), size,
               SLICE_PRINT(slice_sub(json_slice(yyjson_obj_get(function, "LastModified")), 0, 19)));
    }
    listing->count++;
}

/* One page; *marker becomes the next one's, or NULL. */
static enum outcome list_page(const struct client *client, struct listing *listing, char **marker,
                              struct error *err)
{
    struct buffer target = BUFFER_EMPTY;
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    buffer_append_text(&target, "/2015-03-31/functions/");
    if (*marker != NULL) {
        buffer_append_text(&target, "?Marker=");
        codec_percent(&target, slice_of(*marker), false);
    }
    enum outcome outcome = client_json(client, "GET", buffer_text(&target), SLICE_EMPTY, &doc, err);
    buffer_drop(&target);
    TRY(outcome);
    yyjson_val *root = yyjson_doc_get_root(doc), *function;
    yyjson_arr_iter iter;
    yyjson_arr_iter_init(yyjson_obj_get(root, "Functions"), &iter);
    while ((function = yyjson_arr_iter_next(&iter)) != NULL)
        print_function(listing, function);
    struct slice next = json_slice(yyjson_obj_get(root, "NextMarker"));
    text_drop(marker);
    *marker = next.len > 0 ? slice_dup(next) : NULL;
    return OK;
}

static enum outcome list(const struct cli_line *line, struct listing *listing, struct error *err)
{
    AUTO(client)
    struct client client = CLIENT_EMPTY;
    AUTO(text)
    char *marker = NULL;
    TRY(client_open(line, &client, err));
    do
        TRY(list_page(&client, listing, &marker, err));
    while (marker != NULL);
    return OK;
}

static int ls_run(int argc, char **argv)
{
    struct cli_line line;
    struct error err = { 0 };
    int end = cli_read_line(&cli_ls, argc, argv, &line);
    if (end != CLI_GO)
        return end;
    if (line.rest_count > 0)
        return cli_refuse(&cli_ls, "unexpected argument \"%s\"", line.rest[0]);
    struct listing listing = { .json = cli_is_on(&line, "json") };
    if (list(&line, &listing, &err) != OK)
        return cli_fail(&err);
    if (listing.json)
        printf("%s]\n", listing.count == 0 ? "[" : "");
    else if (listing.count == 0)
        (void)fprintf(stderr, "there are no functions yet: hearth deploy DIR makes one\n");
    return CLI_DONE;
}

const struct cli_command cli_ls = {
    .name = "ls",
    .summary = "list the functions",
    .run = ls_run,
    .usage = "[--json]",
    .text = "    Prints the functions in order of name. --json prints their configurations as one array.\n",
    CLI_OPTIONS(ls_options),
};

/* ---- rm ---- */

static const struct cli_option rm_options[] = {
    { "force", 'f', NULL, "a function that is not there is no failure" },
    CLI_DATA_OPTION,
};

static int rm_run(int argc, char **argv)
{
    struct cli_line line;
    struct error err = { 0 };
    AUTO(client)
    struct client client = CLIENT_EMPTY;
    int end = cli_read_line(&cli_rm, argc, argv, &line);
    if (end != CLI_GO)
        return end;
    if (line.rest_count == 0)
        return cli_refuse(&cli_rm, "name the functions to remove");
    if (client_open(&line, &client, &err) != OK)
        return cli_fail(&err);
    end = CLI_DONE;
    for (int i = 0; i < line.rest_count; i++) {
        AUTO(text)
        char *target = client_function_target(line.rest[i], "");
        struct error why = { 0 };
        if (client_json(&client, "DELETE", target, SLICE_EMPTY, NULL, &why) == OK)
            printf("removed %s\n", line.rest[i]);
        else if (why.kind != ERROR_NOT_FOUND || !cli_is_on(&line, "force"))
            end = cli_fail(&why);
    }
    return end;
}

const struct cli_command cli_rm = {
    .name = "rm",
    .summary = "remove functions",
    .run = rm_run,
    .usage = "NAME...",
    .text = "    Removes the functions and their code. Their logs stay.\n",
    CLI_OPTIONS(rm_options),
};
