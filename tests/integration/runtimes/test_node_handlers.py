"""Finding and calling a Node.js function, as Lambda does it."""

import json

import pytest

from instance import DONE

CALLBACKS_REMOVED = (
    "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify "
    "this function to use a supported handler signature to use Node.js 24 or later. For more information see "
    "https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.")
NODE_JS_EXIT = ("The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise "
                "that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes")

# file, source, more files: each answers {"kind": ...}
MODULES = {
    "CommonJS": ("index.js", "exports.handler = async () => ({kind: typeof require})", {}),
    "module.exports": ("index.js", "module.exports = {handler: async () => ({kind: typeof require})}", {}),
    "cjs": ("index.cjs", "exports.handler = async () => ({kind: typeof require})", {}),
    "mjs": ("index.mjs", "export const handler = async () => ({kind: typeof require})", {}),
    "type module": ("index.js", "export const handler = async () => ({kind: typeof require})",
                    {"package.json": '{"type": "module"}'}),
    "top-level await": ("index.mjs", "const kind = await new Promise((done) => setTimeout(done, 5, 'awaited'));\n"
                                     "export const handler = async () => ({kind})", {}),
    "type module above": ("src/deep/index.js", "export const handler = async () => ({kind: typeof require})",
                          {"package.json": '{"type": "module"}'}),
    "type commonjs between": ("src/deep/index.js", "exports.handler = async () => ({kind: typeof require})",
                              {"package.json": '{"type": "module"}', "src/package.json": "{}"}),
    "js before mjs": ("index.js", "exports.handler = async () => ({kind: typeof require})",
                      {"index.mjs": "export const handler = async () => ({kind: 'mjs'})"}),
    "odd name": ("a b#c%20d.mjs", "export const handler = async () => ({kind: typeof require})", {}),
}
KIND = {"mjs": "undefined", "type module": "undefined", "type module above": "undefined", "top-level await": "awaited",
        "odd name": "undefined"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_each_kind_is_loaded(node, name):
    file, source, files = MODULES[name]
    node.main_file = file
    instance = node.start(source, handler=file.rpartition(".")[0] + ".handler", files=files).ready()
    assert instance.answer() == {"kind": KIND.get(name, "function")}


def test_a_handler_may_lie_in_directories_and_in_objects(node):
    node.main_file = "src/api/app.js"
    instance = node.start("exports.v1 = {users: {list: async () => 'found'}}", handler="src/api/app.v1.users.list").ready()
    assert instance.answer() == "found"


def test_a_handler_may_be_a_package(node):
    instance = node.start("", handler="made-by-others.handler",
                          files={"node_modules/made-by-others/index.js": "exports.handler = async () => 'theirs'"}).ready()
    assert instance.answer() == "theirs"


def layer(node, **packages):
    """A directory of packages beside the function's, each with its own answer, as a layer brings them; what NODE_PATH then is."""
    for name, answer in packages.items():
        package = node.directory.parent / f"{node.directory.name}-layer" / "nodejs/node_modules" / name
        package.mkdir(parents=True)
        (package / "package.json").write_text(json.dumps({"name": name, "exports": {"import": "./index.mjs", "require": "./index.cjs"}}))
        (package / "index.mjs").write_text(f"export default {json.dumps(answer + ', imported')}")
        (package / "index.cjs").write_text(f"module.exports = {json.dumps(answer + ', required')}")
    return f"/nowhere/node_modules:{package.parent}"


def test_a_package_of_a_layer_is_found_by_import_and_by_require(node):
    path = layer(node, shared="the layer's")
    node.main_file = "index.mjs"
    instance = node.start("import shared from 'shared'; import { createRequire } from 'node:module'; import './side.mjs';\n"
                          "export const handler = async () => [shared, createRequire(import.meta.url)('shared'), (await import('shared')).default]",
                          files={"side.mjs": "import 'shared'"}, NODE_PATH=path).ready()
    assert instance.answer() == ["the layer's, imported", "the layer's, required", "the layer's, imported"]


def test_the_functions_own_package_wins_over_the_layers_also_by_import(node):
    path = layer(node, shared="the layer's")
    node.main_file = "index.mjs"
    instance = node.start("import shared from 'shared'; export const handler = async () => shared", NODE_PATH=path,
                          files={"node_modules/shared/index.js": "module.exports = 'mine'"}).ready()
    assert instance.answer() == "mine"


def test_a_package_that_nobody_has_is_named_with_its_importer_also_where_there_is_a_layer(node):
    path = layer(node, shared="the layer's")
    node.main_file = "index.mjs"
    failure = node.start("import 'nobody-has-it'; export const handler = async () => 1", NODE_PATH=path).init_failure()
    assert "Cannot find package 'nobody-has-it' imported from" in failure["errorMessage"] and "index.mjs" in failure["errorMessage"]


def test_a_default_export_is_looked_into_from_node_24_on(node):
    node.main_file = "index.mjs"
    instance = node.start("export default {handler: async () => 'default'}")
    if node.major >= 24:
        assert instance.ready().answer() == "default"
    else:
        assert instance.init_failure()["errorType"] == "Runtime.HandlerNotFound"


def test_relative_imports_and_the_packages_own_node_modules_are_found(node):
    files = {"lib/part.js": "exports.part = 'part'", "node_modules/dep/index.js": "module.exports = 'dep'"}
    instance = node.start("const {part} = require('./lib/part'); const dep = require('dep');"
                          "exports.handler = async () => [part, dep, process.cwd() === process.env.LAMBDA_TASK_ROOT]",
                          files=files).ready()
    assert instance.answer() == ["part", "dep", True]


def test_a_broken_package_json_is_named(node):
    failure = node.start("exports.handler = async () => 1", files={"package.json": "{"}).init_failure()
    assert f"{node.directory}/task/package.json" in failure["errorMessage"]


def test_require_main_is_not_the_users_module(node):
    instance = node.start("exports.handler = async () => require.main === module").ready()
    assert instance.answer() is False


def test_nothing_of_ours_is_in_the_users_reach_by_accident(node):
    instance = node.start(
        "const before = Object.keys(globalThis);"
        "exports.handler = async () => ({globals: before, "
        "cached: Object.keys(require.cache).filter((file) => file.endsWith('.node'))})").ready()
    seen = instance.answer()
    assert seen["cached"] == []
    assert not [name for name in seen["globals"] if "hearth" in name.lower() or name == "channel"]


def test_the_channel_cannot_be_loaded_a_second_time(node):
    instance = node.start(
        "exports.handler = async (file) => { try { require(file); return 'loaded' } catch (error) { return error.message } }"
    ).ready()
    from instance import NODE_BOOTSTRAP
    assert instance.answer(str(NODE_BOOTSTRAP.parent / "hearth_channel.node")) == "the channel belongs to the runtime"


# ---- what a handler gives back ----

@pytest.mark.parametrize("source,answer", [
    ("async () => undefined", None), ("async () => () => 1", None), ("async () => Symbol('x')", None),
    ("async () => new Date(0)", "1970-01-01T00:00:00.000Z"), ("async () => ({a: undefined, b: NaN})", {"b": None}),
    ("() => Promise.resolve(1)", 1), ("() => ({then: (done) => done(2)})", 2), ("async () => '\\ud800'", "\ud800"),
])
def test_a_result_is_what_JSON_makes_of_it(node, source, answer):
    assert node.start(f"exports.handler = {source}").ready().answer() == answer


@pytest.mark.parametrize("source", ["async () => 1n", "async () => { const a = {}; a.a = a; return a }"], ids=["bigint", "circle"])
def test_a_result_that_JSON_cannot_hold_is_an_error_and_the_instance_stays(node, source):
    instance = node.start(f"let n = 0; const f = {source}; exports.handler = async () => n++ ? 'well' : f()").ready()
    failure = instance.failure()
    assert failure["errorType"] == ("Runtime.JSONStringifyError" if node.major >= 24 else "Error")
    assert failure["errorMessage"] == "Unable to stringify response body"
    assert instance.answer() == "well"


def test_what_is_kept_outside_the_handler_stays_warm_also_after_an_error(node):
    instance = node.start("let calls = 0; exports.handler = async (fail) => { calls++; if (fail) throw new Error('x'); "
                          "return calls }").ready()
    assert instance.answer(False) == 1
    instance.failure(True)
    assert instance.answer(False) == 3


def test_the_handler_is_called_with_event_context_and_up_to_node_22_a_callback(node):
    instance = node.start("exports.handler = function () { return Promise.resolve([...arguments].map((a) => typeof a)) }").ready()
    assert instance.answer(1) == ["number", "object"] + (["function"] if node.major < 24 else [])


# ---- the event loop ----

def test_nothing_runs_between_two_invocations(node):
    instance = node.start("let turns = 0; const turn = () => { turns++; setImmediate(turn) };"
                          "exports.handler = async () => { if (turns === 0) turn(); return turns }").ready()
    first = instance.answer()
    for _ in range(5):
        second = instance.answer()
    assert first == 1 and second < 30  # some a call; a loop that ran would have made thousands


def test_a_promise_that_never_settles_ends_the_invocation_not_the_instance(node):
    instance = node.start("exports.handler = async (hang) => hang ? new Promise(() => {}) : 'on'").ready()
    failure = instance.failure(True)
    assert (failure["errorType"], failure["errorMessage"]) == ("Runtime.NodeJsExit", NODE_JS_EXIT)
    assert "\tERROR\tInvoke Error \t{\"errorType\":\"Runtime.NodeJsExit\"" in instance.stdout()
    assert instance.answer(False) == "on"


def test_an_async_handler_answers_when_it_settles_with_timers_left(node):
    instance = node.start("exports.handler = async () => { setTimeout(() => {}, 600000); return 1 }").ready()
    assert instance.answer() == 1
    assert instance.answer() == 1


def test_a_handler_that_never_calls_back_gives_null(node_with_callbacks):
    instance = node_with_callbacks.start("exports.handler = (event, context, callback) => {}").ready()
    assert instance.answer() is None
    assert instance.answer() is None


def test_a_callback_is_answered_when_the_event_loop_is_empty(node_with_callbacks):
    instance = node_with_callbacks.start(
        "let late = false; exports.handler = (event, context, callback) => { "
        "setTimeout(() => { late = true; console.log('late') }, 50); callback(null, 'called back') }").ready()
    assert instance.answer() == "called back"
    assert "late" in instance.stdout()


def test_a_callback_is_answered_at_once_when_the_function_says_so(node_with_callbacks):
    instance = node_with_callbacks.start(
        "exports.handler = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; "
        "setTimeout(() => console.log('late'), 600000); callback(null, context.callbackWaitsForEmptyEventLoop) }").ready()
    assert instance.answer() is False
    assert "late" not in instance.stdout()


def test_a_callback_may_come_later(node_with_callbacks):
    instance = node_with_callbacks.start(
        "exports.handler = (event, context, callback) => { setTimeout(callback, 10, null, 'later') }").ready()
    assert instance.answer() == "later"


def test_an_error_called_back_is_answered_at_once(node_with_callbacks):
    instance = node_with_callbacks.start("exports.handler = (event, context, callback) => { "
                                         "setTimeout(() => {}, 600000); callback(new RangeError('no')) }").ready()
    failure = instance.failure()
    assert (failure["errorType"], failure["errorMessage"]) == ("RangeError", "no")


@pytest.mark.parametrize("how,answer", [
    ("context.succeed({a: 1})", {"a": 1}), ("context.done(null, 'done')", "done"), ("context.succeed()", None),
    ("context.done()", None),
])
def test_the_contexts_functions_of_old_answer_at_once(node_with_callbacks, how, answer):
    instance = node_with_callbacks.start(f"exports.handler = (event, context) => {{ setTimeout(() => {{}}, 600000); {how} }}")
    assert instance.ready().answer() == answer


@pytest.mark.parametrize("how,failure", [
    ("context.fail(new TypeError('no'))", ("TypeError", "no")), ("context.fail('text')", ("string", "text")),
    ("context.fail()", ("string", "handled")), ("context.done('text')", ("string", "text")),
])
def test_the_contexts_functions_of_old_fail_at_once(node_with_callbacks, how, failure):
    instance = node_with_callbacks.start(f"exports.handler = (event, context) => {{ {how} }}").ready()
    failed = instance.failure()
    assert (failed["errorType"], failed["errorMessage"]) == failure


def test_only_the_first_answer_counts(node_with_callbacks):
    instance = node_with_callbacks.start(
        "exports.handler = (event, context, callback) => { context.succeed(1); context.fail('x'); callback(null, 2) }").ready()
    assert instance.answer() == 1
    assert instance.answer() == 1


def test_a_late_callback_does_not_answer_the_next_invocation(node_with_callbacks):
    instance = node_with_callbacks.start(
        "let kept; exports.handler = async (event, context, callback) => { if (kept) kept(null, 'old'); kept = callback; "
        "return event }").ready()
    assert instance.answer(1) == 1
    assert instance.answer(2) == 2


def test_node_24_refuses_callbacks_as_lambda_does(node):
    instance = node.start("exports.handler = (event, context, callback) => callback(null, 1)")
    if node.major < 24:
        assert instance.ready().answer() == 1
        return
    failure = instance.init_failure()
    assert (failure["errorType"], failure["errorMessage"]) == ("Runtime.CallbackHandlerDeprecated", CALLBACKS_REMOVED)
    assert "\tundefined\tERROR\tInit Error \t{\"errorType\":\"Runtime.CallbackHandlerDeprecated\"" in instance.stdout()


def test_node_24_takes_a_plain_result_and_has_no_functions_of_old(node_without_callbacks):
    instance = node_without_callbacks.start("exports.handler = (event, context) => Object.keys(context)").ready()
    assert not {"succeed", "fail", "done", "callbackWaitsForEmptyEventLoop"} & set(instance.answer())


def test_the_runtime_id_decides_about_callbacks_not_the_Node_that_runs_it(node):
    instance = node.start("exports.handler = (event, context, callback) => callback(null, 1)",
                          AWS_EXECUTION_ENV="AWS_Lambda_nodejs24.x")
    assert instance.init_failure()["errorType"] == "Runtime.CallbackHandlerDeprecated"


def test_streaming_is_refused_clearly_and_only_where_it_is_used(node):
    source = "exports.stream = awslambda.streamifyResponse(async (event, stream, context) => stream.end()); " \
             "exports.handler = async () => 'plain'"
    assert node.start(source).ready().answer() == "plain"
    failure = node.start(source, handler="index.stream").init_failure()
    assert failure["errorType"] == "Runtime.InvalidStreamingOperation"
    assert "response streaming is not supported" in failure["errorMessage"]


# ---- one that answers 2,000 times ----

def test_many_answers_in_a_row_are_each_the_right_one(node):
    instance = node.start("exports.handler = async (event) => ({id: event.id, twice: event.id * 2})").ready()
    for number in range(2000):
        frame = instance.call({"id": number})
        assert frame.type == DONE and json.loads(frame.json_text) == {"id": number, "twice": number * 2}
