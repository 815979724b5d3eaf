#include "cli/project.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/memory.h"
#include "engine/function.h"
#include "json/json.h"

enum { PROJECT_PACKAGE_BYTES_MAX = 1024 * 1024, PROJECT_PATH_BYTES = 512, PROJECT_LOOK_BACK = 4096 };

static const char BOOTSTRAP[] = "bootstrap"; /* what a provided runtime executes */

void project_drop(struct project *project)
{
    text_drop(&project->handler);
}

static bool is_file(int dir, const char *path)
{
    struct stat status;
    return fstatat(dir, path, &status, 0) == 0 && S_ISREG(status.st_mode);
}

static bool is_dir(int dir, const char *path)
{
    struct stat status;
    return fstatat(dir, path, &status, 0) == 0 && S_ISDIR(status.st_mode);
}

/* ---- reading source text ---- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct slice trim_end(struct slice s)
{
    while (s.len > 0 && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

/* Takes `word` off the end of `s` where it stands as a word of its own. */
static bool take_end(struct slice *s, const char *word)
{
    struct slice w = slice_of(word), t = trim_end(*s);
    if (!slice_ends(t, w))
        return false;
    if (t.len > w.len && is_word(w.at[0]) && is_word(t.at[t.len - w.len - 1]))
        return false;
    *s = trim_end(slice_sub(t, 0, t.len - w.len));
    return true;
}

/* The next place from *from on where `name` stands as a word. */
static bool next_word(struct slice source, struct slice name, size_t *from)
{
    while (*from < source.len) {
        const char *at = memmem(source.at + *from, source.len - *from, name.at, name.len);
        if (at == NULL)
            return false;
        size_t index = (size_t)(at - source.at);
        *from = index;
        bool begins = index == 0 || !is_word(source.at[index - 1]);
        bool ends = index + name.len == source.len || !is_word(source.at[index + name.len]);
        if (begins && ends)
            return true;
        *from = index + 1;
    }
    return false;
}

/* Is this place inside the braces of `export {` or `module.exports = {`? */
static bool js_in_export_list(struct slice before)
{
    size_t look = before.len > PROJECT_LOOK_BACK ? before.len - PROJECT_LOOK_BACK : 0;
    for (size_t i = before.len; i > look; i--) {
        if (before.at[i - 1] == '}')
            return false;
        if (before.at[i - 1] != '{')
            continue;
        struct slice head = slice_sub(before, 0, i - 1);
        return take_end(&head, "export") || (take_end(&head, "=") && take_end(&head, "exports"));
    }
    return false;
}

static bool js_is_export(struct slice before, struct slice after)
{
    static const char *const kinds[] = { "function*", "function", "const", "let", "var", "class" };
    struct slice head = before;
    size_t skip = 0;
    while (skip < after.len && is_space(after.at[skip]))
        skip++;
    after = slice_sub(after, skip, after.len - skip);
    /* exports.handler = ..., module.exports.handler = ... */
    if (take_end(&head, ".") && take_end(&head, "exports"))
        return after.len > 1 && after.at[0] == '=' && after.at[1] != '=';
    /* Object.defineProperty(exports, "handler", ...), exports["handler"] = ... */
    head = before;
    if ((take_end(&head, "\"") || take_end(&head, "'")) && ((take_end(&head, ",") && take_end(&head, "exports")) ||
                                                            (take_end(&head, "[") && take_end(&head, "exports"))))
        return true;
    /* export [default] [async] function handler, export const handler */
    head = before;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!take_end(&head, kinds[i]))
            continue;
        (void)take_end(&head, "async");
        return take_end(&head, "export"); /* a default export has no name that Lambda could call */
    }
    return js_in_export_list(before);
}

bool project_js_exports(struct slice source, const char *name)
{
    struct slice word = slice_of(name);
    for (size_t from = 0; next_word(source, word, &from); from++) {
        if (js_is_export(slice_sub(source, 0, from), slice_sub(source, from + word.len, source.len)))
            return true;
    }
    return false;
}

bool project_python_defines(struct slice source, const char *name)
{
    struct slice word = slice_of(name);
    for (size_t from = 0; next_word(source, word, &from); from++) {
        size_t line = from;
        while (line > 0 && source.at[line - 1] != '\n')
            line--;
        struct slice before = trim_end(slice_sub(source, line, from - line));
        struct slice after = slice_trim(slice_sub(source, from + word.len, source.len));
        char next = after.len > 0 ? after.at[0] : '\0';
        bool at_margin = !is_space(source.at[line]);
        if (at_margin && (slice_is(before, "def") || slice_is(before, "async def")))
            return true;
        if (at_margin && before.len == 0 && ((next == '=' && !slice_starts(after, SLICE("=="))) || next == ':'))
            return true;
        if (at_margin && slice_starts(before, SLICE("from ")) &&
            memmem(before.at, before.len, " import", 7) != NULL)
            return true;
    }
    return false;
}

/* ---- which file ---- */

static const char *const node_extensions[] = { ".mjs", ".js", ".cjs" };
static const char *const node_modules[] = { "index", "app", "lambda_function", "handler", "main" };
static const char *const python_modules[] = { "lambda_function", "app", "main", "index", "handler" };
static const char *const handler_names[] = { "handler", "lambda_handler", "lambdaHandler" };
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The name in `file` that is a handler; NULL when there is none. */
static const char *handler_in(int dir, const char *file, enum project_language language)
{
    struct buffer text = BUFFER_EMPTY;
    const char *found = NULL;
    if (file_read(dir, file, PROJECT_SOURCE_BYTES_MAX, &text, NULL) == OK) {
        for (size_t i = 0; i < COUNT(handler_names) && found == NULL; i++) {
            /* Python people write lambda_handler first. */
            const char *name = handler_names[language == PROJECT_PYTHON && i < 2 ? 1 - i : i];
            bool is = language == PROJECT_NODE ? project_js_exports(buffer_slice(&text), name)
                                               : project_python_defines(buffer_slice(&text), name);
            found = is ? name : NULL;
        }
    }
    buffer_drop(&text);
    return found;
}

static char *handler_text(struct slice module, const char *name)
{
    struct buffer text = BUFFER_EMPTY;
    if (slice_starts(module, SLICE("./")))
        module = slice_sub(module, 2, module.len - 2);
    buffer_append_slice(&text, module);
    buffer_append_byte(&text, '.');
    buffer_append_text(&text, name);
    char *handler = memory_text(buffer_text(&text));
    buffer_drop(&text);
    return handler;
}

struct search {
    int dir;
    char *handler;                 /* the first that was found; owned */
    char seen[PROJECT_PATH_BYTES]; /* a file that was there, without a handler */
};

/* Tries `module` with each extension; true when a file was there (with a handler or not). */
static bool search_node(struct search *search, struct slice module)
{
    for (size_t i = 0; i < COUNT(node_extensions); i++) {
        char path[PROJECT_PATH_BYTES];
        (void)snprintf(path, sizeof(path), "%.*s%s", SLICE_PRINT(module), node_extensions[i]);
        if (!is_file(search->dir, path))
            continue;
        const char *name = handler_in(search->dir, path, PROJECT_NODE);
        if (name != NULL) {
            search->handler = handler_text(module, name);
            return true;
        }
        if (search->seen[0] == '\0')
            (void)snprintf(search->seen, sizeof(search->seen), "%s", path);
    }
    return false;
}

/* package.json's main: "dist/index.js", "dist/index", "dist" */
static bool search_main(struct search *search, struct slice main_field)
{
    char path[PROJECT_PATH_BYTES];
    if (slice_starts(main_field, SLICE("./")))
        main_field = slice_sub(main_field, 2, main_field.len - 2);
    while (slice_ends(main_field, SLICE("/")))
        main_field.len--;
    (void)snprintf(path, sizeof(path), "%.*s", SLICE_PRINT(main_field));
    if (is_dir(search->dir, path)) {
        (void)snprintf(path, sizeof(path), "%.*s/index", SLICE_PRINT(main_field));
        return search_node(search, slice_of(path));
    }
    for (size_t i = 0; i < COUNT(node_extensions); i++) {
        struct slice extension = slice_of(node_extensions[i]);
        if (slice_ends(main_field, extension))
            return search_node(search, slice_sub(main_field, 0, main_field.len - extension.len));
    }
    return search_node(search, main_field);
}

static bool search_python(struct search *search)
{
    for (size_t i = 0; i < COUNT(python_modules); i++) {
        char path[PROJECT_PATH_BYTES];
        (void)snprintf(path, sizeof(path), "%s.py", python_modules[i]);
        if (!is_file(search->dir, path))
            continue;
        const char *name = handler_in(search->dir, path, PROJECT_PYTHON);
        if (name != NULL) {
            search->handler = handler_text(slice_of(python_modules[i]), name);
            return true;
        }
        if (search->seen[0] == '\0')
            (void)snprintf(search->seen, sizeof(search->seen), "%s", path);
    }
    return false;
}

bool project_has_handler(int dir, enum project_language language, const char *handler)
{
    const char *dot = strrchr(handler, '.');
    char path[PROJECT_PATH_BYTES];
    if (language == PROJECT_PROVIDED)
        return is_file(dir, BOOTSTRAP);
    if (dot == NULL)
        return false;
    if (language == PROJECT_PYTHON) {
        int n = snprintf(path, sizeof(path), "%.*s.py", (int)(dot - handler), handler);
        for (int i = 0; i < n - 3 && i < (int)sizeof(path); i++)
            path[i] = path[i] == '.' ? '/' : path[i];
        return is_file(dir, path);
    }
    for (size_t i = 0; i < COUNT(node_extensions); i++) {
        (void)snprintf(path, sizeof(path), "%.*s%s", (int)(dot - handler), handler, node_extensions[i]);
        if (is_file(dir, path))
            return true;
    }
    return false;
}

/* ---- what stands in the way ---- */

/* The first *.ts of the folder or of src/, that is no declaration. */
static bool find_typescript(int dir, char out[PROJECT_PATH_BYTES])
{
    static const char *const places[] = { ".", "src" };
    bool found = false;
    for (size_t i = 0; i < COUNT(places) && !found; i++) {
        int fd = openat(dir, places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *stream = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;
        if (stream == NULL) {
            fd_drop(&fd);
            continue;
        }
        while ((entry = readdir(stream)) != NULL) {
            struct slice name = slice_of(entry->d_name);
            bool source = slice_ends(name, SLICE(".ts")) || slice_ends(name, SLICE(".mts")) ||
                          slice_ends(name, SLICE(".tsx"));
            if (!source || slice_ends(name, SLICE(".d.ts")) || slice_ends(name, SLICE(".d.mts")))
                continue;
            /* The first by name, so that the same folder always gets the same answer; index before all others. */
            const char *base = strrchr(out, '/');
            base = base != NULL ? base + 1 : out;
            if (!found || strcmp(entry->d_name, "index.ts") == 0 ||
                (strcmp(base, "index.ts") != 0 && strcmp(entry->d_name, base) < 0))
                (void)snprintf(out, PROJECT_PATH_BYTES, "%s%s", i == 0 ? "" : "src/", entry->d_name);
            found = true;
        }
        (void)closedir(stream);
    }
    return found;
}

static enum outcome refuse_typescript(const char *file, yyjson_val *package, struct error *err)
{
    char hint[ERROR_HINT_BYTES];
    if (yyjson_is_str(yyjson_obj_get(yyjson_obj_get(package, "scripts"), "build")))
        (void)snprintf(hint, sizeof(hint),
                       "Build it first: npm run build   (and let \"main\" in package.json name what comes out)");
    else
        (void)snprintf(hint, sizeof(hint),
                       "Bundle it first: npx esbuild %s --bundle --platform=node --outfile=dist/index.js   then: "
                       "hearth deploy dist --name NAME",
                       file);
    return error_set(err, ERROR_INVALID, hint, "\"%s\" is TypeScript and there is no JavaScript made of it", file);
}

static enum outcome check_dependencies(int dir, yyjson_val *package, struct error *err)
{
    yyjson_val *dependencies = yyjson_obj_get(package, "dependencies"), *name;
    yyjson_obj_iter iter;
    if (!yyjson_is_obj(dependencies))
        return OK;
    yyjson_obj_iter_init(dependencies, &iter);
    while ((name = yyjson_obj_iter_next(&iter)) != NULL) {
        char path[PROJECT_PATH_BYTES];
        (void)snprintf(path, sizeof(path), "node_modules/%s", yyjson_get_str(name));
        if (!is_dir(dir, path))
            return error_set(err, ERROR_INVALID, "Install what it needs: npm install --omit=dev",
                             "package.json asks for \"%s\", which is not in node_modules", yyjson_get_str(name));
    }
    return OK;
}

static bool asks_for_packages(struct slice requirements)
{
    while (requirements.len > 0) {
        struct slice line = slice_trim(slice_split(&requirements, '\n'));
        bool is_package = line.len > 0 && line.at[0] != '#' && line.at[0] != '-';
        if (is_package && !slice_starts(line, SLICE("boto3")) && !slice_starts(line, SLICE("botocore")))
            return true;
    }
    return false;
}

/* pip leaves a NAME.dist-info for each package. */
static bool has_packages(int dir)
{
    bool found = false;
    const struct dirent *entry;
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        fd_drop(&fd);
        return false;
    }
    while (!found && (entry = readdir(stream)) != NULL)
        found = slice_ends(slice_of(entry->d_name), SLICE(".dist-info"));
    (void)closedir(stream);
    return found;
}

bool project_lacks_requirements(int dir)
{
    struct buffer text = BUFFER_EMPTY;
    bool lacks = is_file(dir, "requirements.txt") &&
                 file_read(dir, "requirements.txt", PROJECT_PACKAGE_BYTES_MAX, &text, NULL) == OK &&
                 asks_for_packages(buffer_slice(&text)) && !has_packages(dir);
    buffer_drop(&text);
    return lacks;
}

static enum outcome read_package(int dir, yyjson_doc **doc, struct error *err)
{
    struct buffer text = BUFFER_EMPTY;
    struct error why = { 0 };
    if (!is_file(dir, "package.json"))
        return OK;
    enum outcome outcome = file_read(dir, "package.json", PROJECT_PACKAGE_BYTES_MAX, &text, &why);
    if (outcome == OK)
        outcome = json_parse(buffer_slice(&text), doc, &why);
    buffer_drop(&text);
    if (outcome != OK)
        return error_set(err, ERROR_INVALID, "Correct package.json.", "could not read package.json: %s",
                         why.message);
    return OK;
}

static void search_all(struct search *search, const enum project_language *language, yyjson_val *package,
                       enum project_language *found)
{
    struct slice main_field = json_slice(yyjson_obj_get(package, "main"));
    *found = PROJECT_NODE;
    if (language == NULL || *language == PROJECT_NODE) {
        if (main_field.len > 0 && main_field.len < PROJECT_PATH_BYTES / 2 && search_main(search, main_field))
            return;
        for (size_t i = 0; i < COUNT(node_modules); i++) {
            if (search_node(search, slice_of(node_modules[i])))
                return;
        }
    }
    if ((language == NULL || *language == PROJECT_PYTHON) && search_python(search)) {
        *found = PROJECT_PYTHON;
        return;
    }
    if ((language == NULL || *language == PROJECT_PROVIDED) && is_file(search->dir, BOOTSTRAP)) {
        *found = PROJECT_PROVIDED;
        search->handler = memory_text(BOOTSTRAP);
    }
}

static enum project_language language_of_handler(int dir, const char *handler)
{
    if (project_has_handler(dir, PROJECT_NODE, handler))
        return PROJECT_NODE;
    if (project_has_handler(dir, PROJECT_PYTHON, handler))
        return PROJECT_PYTHON;
    return project_has_handler(dir, PROJECT_PROVIDED, handler) ? PROJECT_PROVIDED : PROJECT_NODE;
}

/* A zip keeps the mode; without the bit every call would fail. */
static enum outcome check_bootstrap(int dir, struct error *err)
{
    struct stat about;
    if (fstatat(dir, BOOTSTRAP, &about, 0) < 0 || (about.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0)
        return OK; /* one that is not there can be in a layer */
    return error_set(err, ERROR_INVALID, "Make it so: chmod +x bootstrap", "\"bootstrap\" is not executable");
}

static enum outcome refuse_no_handler(const enum project_language *language, yyjson_val *package, struct error *err)
{
    if (language != NULL && *language == PROJECT_PROVIDED)
        return error_set(
            err, ERROR_INVALID,
            "Build the program as \"bootstrap\" into the folder; if a layer brings it, name what it is "
            "to call: --handler NAME",
            "there is no file \"bootstrap\" in this folder");
    const char *main_field = yyjson_get_str(yyjson_obj_get(package, "main"));
    if (main_field != NULL && main_field[0] != '\0')
        return error_set(err, ERROR_INVALID,
                         yyjson_is_str(yyjson_obj_get(yyjson_obj_get(package, "scripts"), "build"))
                             ? "Build it first: npm run build"
                             : "Correct it, or name the handler: --handler FILE.FUNCTION",
                         "\"main\" in package.json names \"%s\", which is not in this folder", main_field);
    return error_set(
        err, ERROR_INVALID, "Name it: --handler FILE.FUNCTION",
        "there is no index, app, lambda_function, handler or main (.mjs, .js, .cjs, .py) with a handler "
        "in this folder, and no bootstrap");
}

enum outcome project_read(int dir, const enum project_language *language, const char *handler, struct project *out,
                          struct error *err)
{
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    struct search search = { .dir = dir };
    enum project_language found = PROJECT_NODE;
    char typescript[PROJECT_PATH_BYTES] = "";
    TRY(read_package(dir, &doc, err));
    yyjson_val *package = doc != NULL ? yyjson_doc_get_root(doc) : NULL;
    if (handler != NULL)
        found = language != NULL ? *language : language_of_handler(dir, handler);
    else
        search_all(&search, language, package, &found);
    if (handler == NULL && search.handler == NULL) {
        if (search.seen[0] == '\0' && find_typescript(dir, typescript))
            return refuse_typescript(typescript, package, err);
        if (search.seen[0] != '\0' && faccessat(dir, search.seen, R_OK, AT_EACCESS) < 0)
            return error_set_sys(err, errno, "Make it readable for whoever deploys.", "could not read \"%s\"",
                                 search.seen);
        if (search.seen[0] != '\0')
            return error_set(err, ERROR_INVALID,
                             "Export a function named handler, or name it: --handler FILE.FUNCTION",
                             "\"%s\" exports no handler", search.seen);
        return refuse_no_handler(language, package, err);
    }
    bool named = handler != NULL && found != PROJECT_PROVIDED;
    if (named && !project_has_handler(dir, found, handler) && find_typescript(dir, typescript))
        return refuse_typescript(typescript, package, err);
    if (named && !project_has_handler(dir, found, handler))
        return error_set(err, ERROR_INVALID, "Write FILE.FUNCTION without the extension: --handler index.handler",
                         "there is no file for the handler \"%s\" in this folder", handler);
    enum outcome fits = found == PROJECT_NODE       ? check_dependencies(dir, package, err)
                        : found == PROJECT_PROVIDED ? check_bootstrap(dir, err)
                                                    : OK;
    if (fits != OK) {
        text_drop(&search.handler);
        return FAILED;
    }
    out->language = found;
    out->handler = handler != NULL ? memory_text(handler) : search.handler;
    return OK;
}

char *project_name(const char *folder)
{
    char real[PATH_MAX];
    const char *base = realpath(folder, real) != NULL ? real : folder;
    const char *slash = strrchr(base, '/');
    char *name = memory_text(slash != NULL ? slash + 1 : base);
    if (strlen(name) > FUNCTION_NAME_BYTES_MAX)
        name[FUNCTION_NAME_BYTES_MAX] = '\0';
    for (size_t i = 0; name[i] != '\0'; i++) {
        if (!is_word(name[i]) || name[i] == '$')
            name[i] = '-';
    }
    return name;
}
