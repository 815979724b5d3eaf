#include "cli/options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "server/config.h"

static const struct cli_option help_option = { "help", 'h', NULL, "this text" };

/* ---- reading ---- */

static const struct cli_option *option_named(const struct cli_command *command, struct slice name)
{
    for (size_t i = 0; i < command->option_count; i++) {
        if (slice_is(name, command->options[i].name))
            return &command->options[i];
    }
    return slice_is(name, help_option.name) ? &help_option : NULL;
}

static const struct cli_option *option_lettered(const struct cli_command *command, char letter)
{
    for (size_t i = 0; i < command->option_count; i++) {
        if (command->options[i].letter == letter)
            return &command->options[i];
    }
    return letter == help_option.letter ? &help_option : NULL;
}

static int unknown_option(const struct cli_command *command, const char *word, struct slice name)
{
    const char *names[32];
    size_t count = 0;
    for (; count < command->option_count && count < sizeof(names) / sizeof(names[0]); count++)
        names[count] = command->options[count].name;
    const char *nearest = config_nearest(name, names, count);
    if (nearest != NULL)
        return cli_refuse(command, "unknown option \"%s\"; did you mean --%s?", word, nearest);
    return cli_refuse(command, "unknown option \"%s\"", word);
}

/* Is `word` the value of an option that may stand without one, "[ONE|OTHER]"? */
static bool is_one_of(const char *choices, const char *word)
{
    struct slice rest = slice_sub(slice_of(choices), 1, strlen(choices) - 2);
    while (rest.len > 0)
        if (slice_is(slice_split(&rest, '|'), word))
            return true;
    return false;
}

/* Reads the option at argv[*i]; CLI_GO, or the exit code. */
static int line_option(const struct cli_command *command, int argc, char **argv, int *i, struct cli_line *out)
{
    const char *word = argv[*i];
    const struct cli_option *option;
    const char *value = NULL;
    if (word[1] == '-') {
        struct slice name = slice_of(word + 2);
        size_t equals;
        if (slice_find(name, '=', &equals)) {
            value = word + 2 + equals + 1;
            name.len = equals;
        }
        option = option_named(command, name);
        if (option == NULL)
            return unknown_option(command, word, name);
        if (option->value == NULL && value != NULL)
            return cli_refuse(command, "option --%s takes no value", option->name);
    } else {
        option = option_lettered(command, word[1]);
        if (option == NULL)
            return unknown_option(command, word, slice_of(word + 1));
        if (word[2] != '\0') {
            if (option->value == NULL)
                return cli_refuse(command, "write the options of \"%s\" apart", word);
            value = word + 2;
        }
    }
    if (option == &help_option) {
        cli_print_help(command);
        return CLI_DONE;
    }
    bool optional = option->value != NULL && option->value[0] == '[';
    if (optional && value == NULL && *i + 1 < argc && is_one_of(option->value, argv[*i + 1]))
        value = argv[++*i];
    if (option->value != NULL && value == NULL && !optional) {
        if (*i + 1 >= argc)
            return cli_refuse(command, "option --%s needs %s behind it", option->name, option->value);
        value = argv[++*i];
    }
    if (out->given_count == CLI_GIVEN_MAX)
        return cli_refuse(command, "too many options");
    out->given[out->given_count++] = (struct cli_given){ option, value != NULL ? value : "" };
    return CLI_GO;
}

int cli_read_line(const struct cli_command *command, int argc, char **argv, struct cli_line *out)
{
    bool options_over = false;
    out->given_count = 0;
    out->rest = argv + 1;
    out->rest_count = 0;
    for (int i = 1; i < argc; i++) {
        char *word = argv[i];
        if (!options_over && strcmp(word, "--") == 0) {
            options_over = true;
        } else if (!options_over && word[0] == '-' && word[1] != '\0') {
            int end = line_option(command, argc, argv, &i, out);
            if (end != CLI_GO)
                return end;
        } else {
            out->rest[out->rest_count++] = word; /* never ahead of what is still to be read */
        }
    }
    return CLI_GO;
}

const char *cli_value(const struct cli_line *line, const char *name)
{
    for (size_t i = line->given_count; i > 0; i--) {
        if (strcmp(line->given[i - 1].option->name, name) == 0)
            return line->given[i - 1].value;
    }
    return NULL;
}

bool cli_is_on(const struct cli_line *line, const char *name)
{
    return cli_value(line, name) != NULL;
}

bool cli_duration_ms(const char *text, int64_t *ms)
{
    static const struct {
        const char *suffix;
        int64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { "", 1000 } };
    struct slice value = slice_of(text);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct slice suffix = slice_of(units[i].suffix);
        uint64_t number;
        if (!slice_ends(value, suffix))
            continue;
        if (!slice_to_u64(slice_sub(value, 0, value.len - suffix.len), 1000ULL * 1000 * 1000, &number))
            return false;
        *ms = (int64_t)number * units[i].ms;
        return true;
    }
    return false;
}

void cli_size(uint64_t bytes, char out[CLI_SIZE_BYTES])
{
    static const char *const units[] = { "B", "KB", "MB", "GB" };
    double size = (double)bytes;
    size_t unit = 0;
    for (; size >= 1000 && unit < 3; unit++)
        size /= 1024;
    (void)snprintf(out, CLI_SIZE_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
}

/* ---- help and refusals ---- */

/* The path to the command as a person types it. */
void cli_print_help(const struct cli_command *command)
{
    const char *usage = command->usage != NULL ? command->usage : "";
    printf("NAME\n    hearth %s - %s\n\nUSAGE\n    hearth %s%s%s\n", command->name, command->summary, command->name,
           usage[0] != '\0' ? " " : "", usage);
    if (command->text != NULL)
        printf("\nDESCRIPTION\n%s", command->text);
    if (command->option_count > 0)
        printf("\nOPTIONS\n");
    for (size_t i = 0; i < command->option_count; i++) {
        const struct cli_option *o = &command->options[i];
        char letter[8] = "";
        if (o->letter != 0)
            (void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        printf("    %s--%s%s%s\n        %s\n", letter, o->name, o->value != NULL ? " " : "",
               o->value != NULL ? o->value : "", o->meaning);
    }
    if (command->examples != NULL)
        printf("\nEXAMPLES\n%s", command->examples);
    printf("\nEXIT STATUS\n    0 done, 1 failed, 2 wrong command line, 3 the function failed, 4 no server\n");
}

int cli_refuse(const struct cli_command *command, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)fprintf(stderr, "hearth: ");
    (void)vfprintf(stderr, format, list);
    (void)fprintf(stderr, "\n  `hearth help%s%s` tells how.\n", command != NULL ? " " : "",
                  command != NULL ? command->name : "");
    va_end(list);
    return CLI_USAGE;
}

int cli_fail(const struct error *err)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "hearth: %s\n", err->message);
    if (err->hint[0] != '\0')
        (void)fprintf(stderr, "  %s\n", err->hint);
    return strcmp(err->code, CLI_CODE_NO_SERVER) == 0 ? CLI_NO_SERVER : CLI_FAILED;
}
