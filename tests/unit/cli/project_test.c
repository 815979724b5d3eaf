#include "scene.h"

#include "cli/project.h"

static void the_usual_ways_to_export_a_handler_are_recognised(void **state)
{
    static const char *const sources[] = {
        "exports.handler = async () => 1",
        "module.exports.handler=function(){}",
        "export const handler = async (event) => {}",
        "export async function handler(event) {}",
        "export function* handler() {}",
        "const handler = async () => {};\nexport { handler };",
        "export { a, main as handler, b }",
        "module.exports = { handler }",
        "module.exports = {\n  other,\n  handler: async () => 1,\n}",
        "0 && (module.exports = {\n  handler\n});",
        "Object.defineProperty(exports, \"handler\", { get() {} })",
        "exports['handler'] = f",
        "let handlers; let xhandler; export let handler",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        if (!project_js_exports(slice_of(sources[i]), "handler"))
            fail_msg("%s", sources[i]);
    }
}

static void what_only_mentions_a_handler_is_not_taken_for_one(void **state)
{
    static const char *const sources[] = {
        "",
        "const handler = async () => 1",
        "exports.handlers = 1",
        "exports.myhandler = 1",
        "if (exports.handler == 1) {}",
        "export default handler",
        "import { handler } from './other'",
        "module.exports = { a: 1 }; const x = { handler }",
        "server.on('handler', exports)",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        if (project_js_exports(slice_of(sources[i]), "handler"))
            fail_msg("%s", sources[i]);
    }
}

static void python_handlers_stand_at_the_margin(void **state)
{
    (void)state;
    assert_true(project_python_defines(SLICE("import os\n\ndef lambda_handler(event, context):\n    pass\n"),
                                       "lambda_handler"));
    assert_true(project_python_defines(SLICE("async def handler(e, c): ..."), "handler"));
    assert_true(project_python_defines(SLICE("handler = make(app)\n"), "handler"));
    assert_true(project_python_defines(SLICE("handler: Callable = make(app)\n"), "handler"));
    assert_true(project_python_defines(SLICE("from app import handler\n"), "handler"));
    assert_false(project_python_defines(SLICE("class A:\n    def handler(self): pass\n"), "handler"));
    assert_false(project_python_defines(SLICE("print(handler)\n"), "handler"));
    assert_false(project_python_defines(SLICE("handler == 1\n"), "handler"));
    assert_false(project_python_defines(SLICE("def handlers(): pass\n"), "handler"));
}

static void expect(struct scene *scene, enum project_language language, const char *handler)
{
    AUTO(project)
    struct project project = { 0 };
    struct error err = { 0 };
    if (project_read(scene->dir, NULL, NULL, &project, &err) != OK)
        fail_msg("%s / %s", err.message, err.hint);
    assert_int_equal(project.language, language);
    assert_string_equal(project.handler, handler);
}

static void expect_refusal(struct scene *scene, const char *message, const char *hint)
{
    struct project project = { 0 };
    struct error err = { 0 };
    assert_int_equal(project_read(scene->dir, NULL, NULL, &project, &err), FAILED);
    if (strstr(err.message, message) == NULL || strstr(err.hint, hint) == NULL)
        fail_msg("%s / %s", err.message, err.hint);
    assert_null(project.handler);
}

static void index_mjs_is_found(void **state)
{
    scene_put(*state, "index.mjs", "export const handler = () => 1");
    expect(*state, PROJECT_NODE, "index.handler");
}

static void the_main_of_package_json_comes_first(void **state)
{
    scene_put(*state, "index.js", "exports.handler = 1");
    scene_put(*state, "dist/server.js", "exports.handler = 1");
    scene_put(*state, "package.json", "{\"main\":\"./dist/server.js\"}");
    expect(*state, PROJECT_NODE, "dist/server.handler");
    scene_put(*state, "package.json", "{\"main\":\"dist/server\"}");
    expect(*state, PROJECT_NODE, "dist/server.handler");
    scene_put(*state, "dist/index.js", "exports.handler = 1");
    scene_put(*state, "package.json", "{\"main\":\"dist/\"}");
    expect(*state, PROJECT_NODE, "dist/index.handler");
}

static void a_main_that_exports_nothing_gives_way_to_what_does(void **state)
{
    scene_put(*state, "package.json", "{\"main\":\"app.js\"}");
    scene_put(*state, "app.js", "require('express')().listen(3000)");
    scene_put(*state, "lambda_function.js", "exports.lambda_handler = 1");
    expect(*state, PROJECT_NODE, "lambda_function.lambda_handler");
}

static void a_python_function_is_found(void **state)
{
    scene_put(*state, "lambda_function.py", "def lambda_handler(event, context):\n    return 1\n");
    scene_put(*state, "app.py", "def handler(event, context):\n    return 1\n");
    expect(*state, PROJECT_PYTHON, "lambda_function.lambda_handler");
}

static void a_named_runtime_decides_the_language(void **state)
{
    struct scene *scene = *state;
    AUTO(project)
    struct project project = { 0 };
    enum project_language python = PROJECT_PYTHON;
    scene_put(scene, "index.js", "exports.handler = 1");
    scene_put(scene, "main.py", "def handler(e, c): pass\n");
    assert_int_equal(project_read(scene->dir, &python, NULL, &project, NULL), OK);
    assert_string_equal(project.handler, "main.handler");
}

static void a_named_handler_is_taken_as_it_is_when_its_file_is_there(void **state)
{
    struct scene *scene = *state;
    AUTO(project)
    struct project project = { 0 };
    struct error err = { 0 };
    scene_put(scene, "src/jobs/nightly.py", "def run(e, c): pass\n");
    assert_int_equal(project_read(scene->dir, NULL, "src.jobs.nightly.run", &project, &err), OK);
    assert_int_equal(project.language, PROJECT_PYTHON);
    struct project none = { 0 };
    assert_int_equal(project_read(scene->dir, NULL, "nothing.run", &none, &err), FAILED);
    assert_non_null(strstr(err.message, "\"nothing.run\""));
}

static void a_folder_with_a_bootstrap_alone_brings_its_own_runtime(void **state)
{
    struct scene *scene = *state;
    AUTO(project)
    struct project project = { 0 };
    scene_put(scene, "bootstrap", "#!/bin/sh\n");
    expect_refusal(scene, "\"bootstrap\" is not executable", "chmod +x bootstrap");
    assert_int_equal(fchmodat(scene->dir, "bootstrap", 0755, 0), 0);
    expect(scene, PROJECT_PROVIDED, "bootstrap");
    assert_int_equal(project_read(scene->dir, NULL, "function.handler", &project, NULL), OK);
    assert_int_equal(project.language, PROJECT_PROVIDED);
    assert_string_equal(project.handler, "function.handler");
    scene_put(scene, "index.mjs", "export const handler = () => 1");
    expect(scene, PROJECT_NODE, "index.handler");
}

static void a_provided_runtime_needs_a_bootstrap_or_the_name_of_what_a_layer_s_is_to_call(void **state)
{
    struct scene *scene = *state;
    enum project_language provided = PROJECT_PROVIDED;
    AUTO(project)
    struct project project = { 0 };
    struct error err = { 0 };
    scene_put(scene, "index.mjs", "export const handler = () => 1");
    assert_int_equal(project_read(scene->dir, &provided, NULL, &project, &err), FAILED);
    assert_non_null(strstr(err.message, "\"bootstrap\""));
    assert_int_equal(project_read(scene->dir, &provided, "index.handler", &project, &err), OK);
    assert_int_equal(project.language, PROJECT_PROVIDED);
}

static void typescript_alone_is_refused_with_the_command_that_bundles_it(void **state)
{
    scene_put(*state, "util.ts", "export const x = 1");
    scene_put(*state, "index.ts", "export const handler = async () => 1");
    expect_refusal(*state, "\"index.ts\" is TypeScript", "npx esbuild index.ts --bundle --platform=node");
    scene_put(*state, "package.json", "{\"main\":\"dist/index.js\",\"scripts\":{\"build\":\"tsc\"}}");
    expect_refusal(*state, "\"index.ts\" is TypeScript", "npm run build");
    scene_put(*state, "dist/index.js", "exports.handler = 1");
    expect(*state, PROJECT_NODE, "dist/index.handler");
}

static void declarations_are_no_typescript_to_bundle(void **state)
{
    scene_put(*state, "types.d.ts", "export {}");
    expect_refusal(*state, "there is no index", "--handler");
}

static void dependencies_that_are_not_installed_are_refused_with_the_command_that_does(void **state)
{
    scene_put(*state, "index.js", "exports.handler = 1");
    scene_put(*state, "package.json", "{\"dependencies\":{\"@scope/a\":\"1\",\"b\":\"2\"}}");
    expect_refusal(*state, "\"@scope/a\"", "npm install --omit=dev");
    scene_put(*state, "node_modules/@scope/a/package.json", "{}");
    expect_refusal(*state, "\"b\"", "npm install --omit=dev");
    scene_put(*state, "node_modules/b/package.json", "{}");
    expect(*state, PROJECT_NODE, "index.handler");
}

static void a_folder_without_a_handler_says_what_to_do(void **state)
{
    expect_refusal(*state, "there is no index", "--handler FILE.FUNCTION");
    scene_put(*state, "index.js", "console.log('hello')");
    expect_refusal(*state, "\"index.js\" exports no handler", "--handler FILE.FUNCTION");
    scene_put(*state, "package.json", "{ not json");
    expect_refusal(*state, "package.json", "Correct");
}

static void a_name_is_made_of_the_folder_s(void **state)
{
    (void)state;
    AUTO(text)
    char *plain = project_name("/nowhere/hello-node");
    AUTO(text)
    char *odd = project_name("/nowhere/my app (2).v1");
    AUTO(text)
    char *root = project_name("/");
    assert_string_equal(plain, "hello-node");
    assert_string_equal(odd, "my-app--2--v1");
    assert_string_equal(root, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_ways_to_export_a_handler_are_recognised),
        cmocka_unit_test(what_only_mentions_a_handler_is_not_taken_for_one),
        cmocka_unit_test(python_handlers_stand_at_the_margin),
        SCENE_TEST(index_mjs_is_found),
        SCENE_TEST(the_main_of_package_json_comes_first),
        SCENE_TEST(a_main_that_exports_nothing_gives_way_to_what_does),
        SCENE_TEST(a_python_function_is_found),
        SCENE_TEST(a_named_runtime_decides_the_language),
        SCENE_TEST(a_named_handler_is_taken_as_it_is_when_its_file_is_there),
        SCENE_TEST(a_folder_with_a_bootstrap_alone_brings_its_own_runtime),
        SCENE_TEST(a_provided_runtime_needs_a_bootstrap_or_the_name_of_what_a_layer_s_is_to_call),
        SCENE_TEST(typescript_alone_is_refused_with_the_command_that_bundles_it),
        SCENE_TEST(declarations_are_no_typescript_to_bundle),
        SCENE_TEST(dependencies_that_are_not_installed_are_refused_with_the_command_that_does),
        SCENE_TEST(a_folder_without_a_handler_says_what_to_do),
        cmocka_unit_test(a_name_is_made_of_the_folder_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
