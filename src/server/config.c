#include "server/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "server/config_paths.h"

/* The idea: one table. A row is a key of the file, a flag, a variable, a paragraph of the help and of docs/configuration.md. Nothing
 * can be set that is not explained, and nothing is explained that cannot be set.
 * Precedence is the order in which the sources are applied: defaults, file, variables, flags. */

enum setting_type {
    SETTING_TEXT,     /* char *; as it stands */
    SETTING_PATH,     /* char *; made absolute, so that nothing depends on the directory we were started in */
    SETTING_ADDRESS,  /* char *; IP:PORT */
    SETTING_CHOICE,   /* char *; one of `choices` */
    SETTING_DURATION, /* uint64_t, milliseconds */
    SETTING_NUMBER,   /* uint64_t */
    SETTING_SWITCH,   /* bool */
};

struct setting {
    const char *key;   /* as in the file; the flag has '-' for '_', the variable is upper case behind HEARTH_ */
    const char *value; /* what the help calls its value */
    enum setting_type type;
    size_t offset; /* in struct config */
    uint64_t min, max;
    const char *choices;       /* "a|b|c" */
    const char *standard;      /* the default, as a person would write it; "" when it is found out at start */
    const char *meaning;       /* whole sentences; the first says it all */
    const char *standard_told; /* what the help says when `standard` is "" */
};

#define AT(field) offsetof(struct config, field)
static const struct setting settings[] = {
    { "data", "DIR", SETTING_PATH, AT(data), 0, 0, NULL, "",
      "Where everything lives that must not be lost: functions, their code, keys, logs. One server a directory.",
      "/var/lib/hearth for root, else $XDG_DATA_HOME/hearth (~/.local/share/hearth)" },
    { "api", "ADDR:PORT", SETTING_ADDRESS, AT(api), 0, 0, NULL, "127.0.0.1:4566",
      "Where AWS's APIs are served. Port 0 picks a free one; DIR/endpoints.json says which.", NULL },
    { "gateway", "ADDR:PORT", SETTING_ADDRESS, AT(gateway), 0, 0, NULL, "127.0.0.1:8080",
      "Where the HTTP gateway is served. Port 0 picks a free one.", NULL },
    { "config", "FILE", SETTING_PATH, AT(file), 0, 0, NULL, "",
      "The configuration file. It cannot be set in the file itself; an empty file (/dev/null) stands for none.",
      "/etc/hearth/hearth.yaml for root, else $XDG_CONFIG_HOME/hearth/hearth.yaml, when it is there" },
    { "region", "NAME", SETTING_TEXT, AT(region), 0, 0, NULL, "us-east-1",
      "The region that stands in ARNs and that requests are signed for.", NULL },
    { "account", "DIGITS", SETTING_TEXT, AT(account), 0, 0, NULL, "000000000000",
      "The account number that stands in ARNs: twelve digits.", NULL },
    { "drain", "TIME", SETTING_DURATION, AT(drain_ms), 0, CONFIG_DURATION_S_MAX * 1000ULL, NULL, "10s",
      "How long running invocations may go on after SIGTERM. What is cut then answers an error.", NULL },
    { "idle", "TIME", SETTING_DURATION, AT(idle_ms), 100, CONFIG_DURATION_S_MAX * 1000ULL, NULL, "5m",
      "How long an idle instance is kept warm.", NULL },
    { "concurrency", "N", SETTING_NUMBER, AT(concurrency), 0, KEEPER_INSTANCES_MAX, NULL, "0",
      "How many invocations may run at once, over all functions; above that callers get TooManyRequestsException. "
      "0 takes what "
      "the memory of this machine allows.",
      NULL },
    { "runtimes", "DIR", SETTING_PATH, AT(runtimes), 0, 0, NULL, "",
      "A directory of runtimes (`hearth runtime add`) that is searched before the others.",
      "none; $XDG_DATA_HOME/hearth/runtimes and /usr/local/lib/hearth/runtimes are always searched" },
    { "leave_cgroup_mounts", NULL, SETTING_SWITCH, AT(leave_cgroup_mounts), 0, 0, NULL, "false",
      "As root on cgroup version 1 the keeper remounts the hierarchy with favordynmods, which makes joining a "
      "cgroup cheap "
      "(2 ms instead of 14) and forks on this machine a little slower; the setting stays after the server's end. "
      "With this, "
      "the mounts are left as they are. Without effect elsewhere." },
    { "runtime_fallback", NULL, SETTING_SWITCH, AT(runtime_fallback), 0, 0, NULL, "false",
      "Run a function whose runtime is not installed on another major version of the same language, instead of "
      "refusing it.",
      NULL },
    { "share", "DIR", SETTING_PATH, AT(share), 0, 0, NULL, "",
      "Where the bootstraps lie (runtimes/node, runtimes/python).",
      "found beside the binary: the checkout, or PREFIX/share/hearth" },
    { "log_level", "LEVEL", SETTING_CHOICE, AT(log_level), 0, 0, "debug|info|warn|error", "info",
      "What the server says on stderr: debug, info, warn or error.", NULL },
    { "uid_base", "UID", SETTING_NUMBER, AT(uid_base), 1000, 4294900000ULL, NULL, "",
      "As root: the first of the user ids that the server (this one) and its instances (those behind it, one each) "
      "run as. Nobody "
      "else may have them.",
      "1900000000, or 50000 in a container that maps only 65,536 ids" },
    { "dangerously_run_functions_without_sandbox", NULL, SETTING_SWITCH, AT(no_sandbox), 0, 0, NULL, "false",
      "Start although this machine cannot sandbox functions. Each function can then read and change whatever the "
      "server can.",
      NULL },
};
#undef AT
enum { SETTING_COUNT = sizeof(settings) / sizeof(settings[0]), SETTING_NAME_BYTES = 64 };

static void *setting_at(const struct setting *s, const struct config *config)
{
    return (char *)config + s->offset;
}

static bool setting_is_text(const struct setting *s)
{
    return s->type <= SETTING_CHOICE;
}

static bool setting_is_file(const struct setting *s)
{
    return strcmp(s->key, "config") == 0;
}

/* "log_level" -> "log-level" */
static void setting_flag(const struct setting *s, char out[SETTING_NAME_BYTES])
{
    size_t i = 0;
    for (; s->key[i] != '\0' && i + 1 < SETTING_NAME_BYTES; i++)
        out[i] = s->key[i] == '_' ? '-' : s->key[i];
    out[i] = '\0';
}

/* "log_level" -> "HEARTH_LOG_LEVEL" */
static void setting_variable(const struct setting *s, char out[SETTING_NAME_BYTES])
{
    size_t n = (size_t)snprintf(out, SETTING_NAME_BYTES, "HEARTH_");
    for (size_t i = 0; s->key[i] != '\0' && n + 1 < SETTING_NAME_BYTES; i++)
        out[n++] = (char)toupper((unsigned char)s->key[i]);
    out[n] = '\0';
}

/* ---- names ---- */

/* Levenshtein's distance, one row at a time; words longer than the row are as far away as can be. */
static size_t name_distance(struct slice a, struct slice b)
{
    size_t row[SETTING_NAME_BYTES + 1];
    if (a.len > SETTING_NAME_BYTES || b.len > SETTING_NAME_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = (a.at[i - 1] == '-' ? '_' : a.at[i - 1]) == (b.at[j - 1] == '-' ? '_' : b.at[j - 1]);
            size_t best = diagonal + (same ? 0 : 1);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b.len];
}

const char *config_nearest(struct slice word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_of(names[i]);
        size_t distance = name_distance(word, name);
        /* A start of the word is a good guess however much is missing: "run" for "runtimes". */
        if (word.len >= 3 && slice_starts(name, word))
            distance = 1;
        if (distance < least) {
            least = distance;
            nearest = names[i];
        }
    }
    return least <= 1 + word.len / 3 ? nearest : NULL;
}

static enum outcome unknown_key(const char *where, struct slice key, bool flag, struct error *err)
{
    const char *names[SETTING_COUNT];
    char told[SETTING_NAME_BYTES] = "";
    for (size_t i = 0; i < SETTING_COUNT; i++)
        names[i] = settings[i].key;
    const char *nearest = config_nearest(key, names, SETTING_COUNT);
    char hint[ERROR_HINT_BYTES];
    for (size_t i = 0; nearest != NULL && i < SETTING_COUNT; i++) {
        if (settings[i].key == nearest) {
            if (flag)
                setting_flag(&settings[i], told);
            else
                (void)snprintf(told, sizeof(told), "%s", nearest);
        }
    }
    if (nearest != NULL)
        (void)snprintf(hint, sizeof(hint), "Did you mean \"%s%s\"? `hearth serve --help` lists every key.",
                       flag ? "--" : "", told);
    else
        (void)snprintf(hint, sizeof(hint), "`hearth serve --help` lists every key.");
    return error_set(err, ERROR_INVALID, hint, "%s%sunknown %s \"%.*s\"", where, where[0] != '\0' ? ": " : "",
                     flag ? "option" : "key", (int)(key.len < 64 ? key.len : 64), key.at);
}

static const struct setting *setting_find(struct slice key)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (slice_is(key, settings[i].key))
            return &settings[i];
    }
    return NULL;
}

/* ---- values ---- */

static enum outcome value_bad(const char *where, struct slice value, const char *hint, struct error *err)
{
    return error_set(err, ERROR_INVALID, hint, "%s: \"%.*s\" cannot be used", where,
                     (int)(value.len < 128 ? value.len : 128), value.at);
}

/* "10s", "5m", "2h", "500ms", "1.5s" is none; a plain number is seconds. */
static bool value_duration(struct slice value, uint64_t *ms)
{
    static const struct {
        const char *suffix;
        uint64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 }, { "", 1000 } };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct slice suffix = slice_of(units[i].suffix);
        uint64_t number;
        if (!slice_ends(value, suffix))
            continue;
        if (!slice_to_u64(slice_sub(value, 0, value.len - suffix.len), UINT64_MAX / (3600 * 1000), &number))
            return false;
        *ms = number * units[i].ms;
        return true;
    }
    return false;
}

static bool value_switch(struct slice value, bool *out)
{
    static const char *const yes[] = { "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };
    for (size_t i = 0; i < 4; i++) {
        if (slice_equal_nocase(value, slice_of(yes[i])) || slice_equal_nocase(value, slice_of(no[i]))) {
            *out = slice_equal_nocase(value, slice_of(yes[i]));
            return true;
        }
    }
    return false;
}

/* An IP address, IPv6 in brackets, and a port. Names are not looked up: what is listened on must not depend on a resolver. */
static bool value_address(struct slice value)
{
    struct slice host, port;
    unsigned char ip[16];
    char text[INET6_ADDRSTRLEN + 1];
    uint64_t number;
    bool six = value.len > 0 && value.at[0] == '[';
    const char *colon = value.len > 0 ? memrchr(value.at, ':', value.len) : NULL;
    if (colon == NULL)
        return false;
    host = slice_from(value.at, (size_t)(colon - value.at));
    port = slice_from(colon + 1, value.len - host.len - 1);
    if (six) {
        if (host.len < 3 || host.at[host.len - 1] != ']')
            return false;
        host = slice_sub(host, 1, host.len - 2);
    }
    if (host.len > INET6_ADDRSTRLEN || !slice_to_u64(port, 65535, &number))
        return false;
    memcpy(text, host.at, host.len);
    text[host.len] = '\0';
    return inet_pton(six ? AF_INET6 : AF_INET, text, ip) == 1;
}

static bool value_choice(struct slice value, const char *choices)
{
    struct slice rest = slice_of(choices);
    while (rest.len > 0) {
        if (slice_equal(slice_split(&rest, '|'), value))
            return true;
    }
    return false;
}

/* Values that stand in ARNs and signatures have AWS's own form. */
static bool value_text(const struct setting *s, struct slice value)
{
    bool account = strcmp(s->key, "account") == 0, region = strcmp(s->key, "region") == 0;
    if (account && value.len != 12)
        return false;
    if (region && value.len > 32)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        bool digit = c >= '0' && c <= '9';
        if (account && !digit)
            return false;
        if (region && !digit && c != '-' && !(c >= 'a' && c <= 'z'))
            return false;
    }
    return true;
}

static enum outcome setting_text(const struct setting *s, char **at, const char *where, struct slice value,
                                 struct error *err)
{
    if (value.len == 0)
        return value_bad(where, value, "Give it a value, or leave the key out to have the default.", err);
    switch (s->type) {
    case SETTING_ADDRESS:
        if (!value_address(value))
            return value_bad(
                where, value,
                "Write an IP address and a port: 127.0.0.1:4566, or [::1]:4566; port 0 picks a free one.", err);
        break;
    case SETTING_CHOICE:
        if (!value_choice(value, s->choices)) {
            char hint[ERROR_HINT_BYTES];
            (void)snprintf(hint, sizeof(hint), "Write one of %s.", s->choices);
            return value_bad(where, value, hint, err);
        }
        break;
    case SETTING_TEXT:
        if (!value_text(s, value))
            return value_bad(where, value,
                             strcmp(s->key, "account") == 0 ? "Write twelve digits."
                                                            : "Write a region's name, such as us-east-1.",
                             err);
        break;
    default:
        break;
    }
    char *text = s->type == SETTING_PATH ? path_absolute(value) : slice_dup(value);
    free(*at);
    *at = text;
    return OK;
}

static enum outcome setting_number(const struct setting *s, uint64_t *at, const char *where, struct slice value,
                                   struct error *err)
{
    uint64_t number = 0;
    char hint[ERROR_HINT_BYTES];
    bool duration = s->type == SETTING_DURATION;
    if (duration ? !value_duration(value, &number) : !slice_to_u64(value, UINT64_MAX, &number))
        return value_bad(where, value,
                         duration ? "Write a time: 500ms, 10s, 5m, 1h, or seconds." : "Write a whole number.", err);
    if (number < s->min || number > s->max) {
        (void)snprintf(hint, sizeof(hint),
                       duration ? "Write a time from %" PRIu64 "ms to %" PRIu64 "ms."
                                : "Write a number from %" PRIu64 " to %" PRIu64 ".",
                       s->min, s->max);
        return value_bad(where, value, hint, err);
    }
    *at = number;
    return OK;
}

static enum outcome setting_put(const struct setting *s, struct config *config, const char *where,
                                struct slice value, struct error *err)
{
    void *at = setting_at(s, config);
    if (memchr(value.at, '\0', value.len) != NULL)
        return error_set(err, ERROR_INVALID, "Remove the NUL byte.", "%s: the value has a NUL byte", where);
    if (setting_is_text(s))
        return setting_text(s, at, where, value, err);
    if (s->type != SETTING_SWITCH)
        return setting_number(s, at, where, value, err);
    bool on;
    if (!value_switch(value, &on))
        return value_bad(where, value, "Write true or false.", err);
    *(bool *)at = on;
    return OK;
}

enum outcome config_set(struct config *config, const char *where, struct slice key, struct slice value,
                        struct error *err)
{
    const struct setting *s = setting_find(key);
    char place[256];
    if (s == NULL)
        return unknown_key(where, key, false, err);
    if (setting_is_file(s))
        return error_set(err, ERROR_INVALID, "Use --config or HEARTH_CONFIG.", "%s: the file cannot name itself",
                         where);
    (void)snprintf(place, sizeof(place), "%s: %s", where, s->key);
    return setting_put(s, config, place, value, err);
}

/* ---- a configuration ---- */

void config_init(struct config *config)
{
    memset(config, 0, sizeof(*config));
    config->data = config_default_data();
    config->uid_base = uid_base_default();
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &settings[i];
        if (s->standard[0] != '\0' && setting_put(s, config, s->key, slice_of(s->standard), NULL) != OK)
            abort(); /* a default of our own table that our own table refuses: found by the first test that runs */
    }
}

void config_done(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_is_text(&settings[i]))
            free(*(char **)setting_at(&settings[i], config));
    }
    memset(config, 0, sizeof(*config));
}

void config_drop(struct config *config)
{
    config_done(config);
}

static enum outcome config_apply_file(struct config *config, const char *path, bool required, struct error *err)
{
    struct buffer text = BUFFER_EMPTY;
    struct error why = { 0 };
    if (file_read(AT_FDCWD, path, CONFIG_FILE_BYTES_MAX, &text, &why) != OK) {
        buffer_drop(&text);
        if (!required && access(path, F_OK) != 0)
            return OK;
        return error_set(err, ERROR_INVALID, "Name a file that is there and may be read, with --config.",
                         "could not read the configuration \"%s\": %s", path, why.message);
    }
    enum outcome outcome = config_read_yaml(config, path, buffer_slice(&text), err);
    buffer_drop(&text);
    if (outcome == OK) {
        free(config->file);
        config->file = memory_text(path);
    }
    return outcome;
}

static enum outcome config_apply_variables(struct config *config, struct error *err)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        char name[SETTING_NAME_BYTES];
        setting_variable(&settings[i], name);
        const char *value = getenv(name);
        /* An empty variable is one that is not set: `HEARTH_DATA= hearth serve`. */
        if (value != NULL && value[0] != '\0' && !setting_is_file(&settings[i]))
            TRY(setting_put(&settings[i], config, name, slice_of(value), err));
    }
    return OK;
}

/* One flag: "--key=VALUE", "--key VALUE", "--switch". *i moves past its value. */
static enum outcome flag_read(int argc, char **argv, int *i, const struct setting **out, struct slice *value,
                              struct error *err)
{
    const char *word = argv[*i];
    if (strncmp(word, "--", 2) != 0 || word[2] == '\0')
        return error_set(err, ERROR_INVALID, "Options begin with two dashes: `hearth serve --help` lists them.",
                         "unexpected argument \"%s\"", word);
    struct slice rest = slice_of(word + 2);
    struct slice name = rest;
    size_t equals;
    bool has_value = slice_find(rest, '=', &equals);
    if (has_value)
        name = slice_sub(rest, 0, equals);
    const struct setting *found = NULL;
    for (size_t k = 0; k < SETTING_COUNT && found == NULL; k++) {
        char flag[SETTING_NAME_BYTES];
        setting_flag(&settings[k], flag);
        if (slice_is(name, flag))
            found = &settings[k];
    }
    if (found == NULL)
        return unknown_key("", name, true, err);
    *out = found;
    if (has_value) {
        *value = slice_sub(rest, equals + 1, rest.len - equals - 1);
    } else if (found->type == SETTING_SWITCH) {
        *value = SLICE("true");
    } else if (*i + 1 >= argc) {
        return error_set(err, ERROR_INVALID, "Write its value behind it.", "option \"%s\" has no value", word);
    } else {
        *value = slice_of(argv[++*i]);
    }
    return OK;
}

static enum outcome config_apply_flags(int argc, char **argv, struct config *config, bool file_only,
                                       struct error *err)
{
    for (int i = 0; i < argc; i++) {
        const struct setting *s = NULL;
        struct slice value = SLICE_EMPTY;
        char place[SETTING_NAME_BYTES + 2], flag[SETTING_NAME_BYTES];
        TRY(flag_read(argc, argv, &i, &s, &value, err));
        assert(s != NULL);
        setting_flag(s, flag);
        (void)snprintf(place, sizeof(place), "--%s", flag);
        if (setting_is_file(s) == file_only)
            TRY(setting_put(s, config, place, value, err));
    }
    return OK;
}

static enum outcome config_apply_all(int argc, char **argv, struct config *config, struct error *err)
{
    TRY(config_apply_flags(argc, argv, config, true, err));
    const char *variable = getenv("HEARTH_CONFIG");
    if (config->file == NULL && variable != NULL && variable[0] != '\0')
        config->file = path_absolute(slice_of(variable));
    AUTO(text)
    char *file = config->file != NULL ? memory_text(config->file) : config_default_file();
    if (file != NULL)
        TRY(config_apply_file(config, file, config->file != NULL, err));
    TRY(config_apply_variables(config, err));
    TRY(config_apply_flags(argc, argv, config, false, err));
    return OK;
}

enum outcome config_load(int argc, char **argv, struct config *out, struct error *err)
{
    struct config config;
    config_init(&config);
    if (config_apply_all(argc, argv, &config, err) != OK) {
        config_done(&config);
        return FAILED;
    }
    *out = config;
    return OK;
}

/* ---- writing ---- */

/* One UTF-8 character as YAML's \UXXXXXXXX: there are many that libyaml refuses when they stand there raw (U+0081, U+FEFF). Returns
 * how many bytes it took; what is no UTF-8 (a path from a flag may be anything) stays as it is. */
static size_t yaml_quote_wide(struct buffer *out, const unsigned char *at)
{
    static const struct {
        unsigned char mask, mark, bits;
        size_t length;
    } forms[] = { { 0xe0, 0xc0, 0x1f, 2 }, { 0xf0, 0xe0, 0x0f, 3 }, { 0xf8, 0xf0, 0x07, 4 } };
    for (size_t i = 0; i < 3; i++) {
        if ((at[0] & forms[i].mask) != forms[i].mark)
            continue;
        uint32_t code = at[0] & forms[i].bits;
        size_t k = 1;
        for (; k < forms[i].length && (at[k] & 0xc0) == 0x80; k++)
            code = code << 6 | (at[k] & 0x3f);
        if (k == forms[i].length) {
            buffer_appendf(out, "\\U%08x", code);
            return k;
        }
    }
    buffer_append_byte(out, (char)at[0]);
    return 1;
}

static void yaml_quote(struct buffer *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    buffer_append_byte(out, '"');
    while (*at != '\0') {
        if (*at >= 0x80) {
            at += yaml_quote_wide(out, at);
            continue;
        }
        if (*at == '"' || *at == '\\')
            buffer_appendf(out, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            buffer_appendf(out, "\\x%02x", *at);
        else
            buffer_append_byte(out, (char)*at);
        at++;
    }
    buffer_append_byte(out, '"');
}

void config_write_yaml(const struct config *config, struct buffer *out)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &settings[i];
        const void *at = setting_at(s, config);
        if (setting_is_file(s) || (setting_is_text(s) && *(char *const *)at == NULL))
            continue;
        buffer_appendf(out, "%s: ", s->key);
        if (setting_is_text(s))
            yaml_quote(out, *(char *const *)at);
        else if (s->type == SETTING_SWITCH)
            buffer_append_text(out, *(const bool *)at ? "true" : "false");
        else
            buffer_appendf(out, "%" PRIu64 "%s", *(const uint64_t *)at, s->type == SETTING_DURATION ? "ms" : "");
        buffer_append_byte(out, '\n');
    }
}

/* ---- help ---- */

enum { HELP_INDENT = 8, HELP_WIDTH = 100 };

/* Fills lines up to the width; a word longer than a line stands on its own. */
static void print_wrapped(const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > HELP_WIDTH) {
            (void)putchar('\n');
            column = 0;
        }
        if (column == 0)
            column = (size_t)printf("%*s", HELP_INDENT, "");
        else
            column += (size_t)printf(" ");
        column += (size_t)printf("%.*s", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
    (void)putchar('\n');
}

static const char *setting_default(const struct setting *s)
{
    return s->standard[0] != '\0' ? s->standard : s->standard_told;
}

void config_usage(void)
{
    printf("Usage: hearth serve [--KEY VALUE]...\n\n"
           "Serves AWS's APIs and runs functions, in the foreground, until SIGTERM or SIGINT; a second signal ends "
           "it at once.\n"
           "A key can be set in the file (log_level: warn), as a variable (HEARTH_LOG_LEVEL=warn) or as an option\n"
           "(--log-level warn): options win over variables, variables over the file.\n\n"
           "Options:\n");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &settings[i];
        char flag[SETTING_NAME_BYTES], told[256];
        setting_flag(s, flag);
        printf("    --%s%s%s\n", flag, s->value != NULL ? " " : "", s->value != NULL ? s->value : "");
        print_wrapped(s->meaning);
        (void)snprintf(told, sizeof(told), "Default: %s.", setting_default(s));
        print_wrapped(told);
    }
    printf("    --help, --help-markdown\n");
    print_wrapped("This text; the same as docs/configuration.md.");
    printf("\nTimes are written 500ms, 10s, 5m, 1h; a plain number is seconds.\n\n"
           "Files in DIR, once it is ready: endpoints.json (where it listens), credentials and config (for AWS's "
           "tools).\n");
}

void config_usage_markdown(void)
{
    printf("# Configuration\n\n"
           "Made by `make docs` from the table in `src/server/config.c`: edit that.\n\n"
           "A key is set in one YAML file (`log_level: warn`), as an environment variable "
           "(`HEARTH_LOG_LEVEL=warn`) or as an option of\n"
           "`hearth serve` (`--log-level warn`, `--log-level=warn`). Options win over variables, variables over "
           "the file, the file over the\n"
           "defaults. An unknown key, a key twice in the file and a value out of range are refused at the start, "
           "with what to write instead.\n"
           "Times are written `500ms`, `10s`, `5m`, `1h`; a plain number is seconds. Relative paths count from "
           "where the server is started.\n"
           "Variables of other names are ignored, empty ones count as not set.\n\n");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &settings[i];
        char flag[SETTING_NAME_BYTES], variable[SETTING_NAME_BYTES];
        setting_flag(s, flag);
        setting_variable(s, variable);
        printf("## %s\n\n%s\n\n", s->key, s->meaning);
        printf("| in the file | variable | option | default |\n| --- | --- | --- | --- |\n");
        if (setting_is_file(s))
            printf("| - |");
        else
            printf("| `%s: %s` |", s->key, s->value != NULL ? s->value : "true");
        printf(" `%s` | `--%s%s%s` | %s |\n\n", variable, flag, s->value != NULL ? " " : "",
               s->value != NULL ? s->value : "", setting_default(s));
    }
    printf("## An example\n\n```yaml\n# /etc/hearth/hearth.yaml\napi: 127.0.0.1:4566\ngateway: 0.0.0.0:8080\nidle: "
           "10m\ndrain: 30s\n"
           "log_level: warn\n```\n");
}
