"""The Lambda contract for Node.js, as a developer sees it through Invoke.

Sources: the AWS Lambda developer guide ("Building Lambda functions with Node.js", "Defined runtime environment variables",
"Using the Lambda context object") and aws-lambda-nodejs-runtime-interface-client, whose error types and texts these are.
"""
import json
import re
import time

import pytest

from helpers import Function, aws_error, make_zip, node, wait_until

RUNTIMES = ["nodejs20.x", "nodejs22.x"]
REQUEST_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
REPORT = re.compile(
    r"^REPORT RequestId: (?P<id>" + REQUEST_ID + r")\tDuration: (?P<duration>\d+\.\d\d) ms\tBilled Duration: (?P<billed>\d+) ms\t"
    r"Memory Size: (?P<size>\d+) MB\tMax Memory Used: (?P<used>\d+) MB\t(Init Duration: (?P<init>\d+\.\d\d) ms\t)?(?P<more>.*)$", re.M)


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    return request.param


# ---- module styles --------------------------------------------------------------------------------------------------------------

MODULES = {
    "a CommonJS module": ({"index.js": "exports.handler = async (e) => ({ got: e.n });"}, "index.handler"),
    "module.exports": ({"index.js": "module.exports = { handler: async (e) => ({ got: e.n }) };"}, "index.handler"),
    "index.cjs": ({"index.cjs": "exports.handler = async (e) => ({ got: e.n });"}, "index.handler"),
    "an ES module": ({"index.mjs": "export const handler = async (e) => ({ got: e.n });"}, "index.handler"),
    "type module": ({"index.js": "export async function handler(e) { return { got: e.n }; }", "package.json": '{"type":"module"}'}, "index.handler"),
    "type commonjs": ({"index.js": "exports.handler = async (e) => ({ got: e.n });", "package.json": '{"type":"commonjs"}'}, "index.handler"),
    "top-level await": ({"index.mjs": "const add = await new Promise((r) => setTimeout(() => r(0), 20));\nexport const handler = async (e) => ({ got: e.n + add });"}, "index.handler"),
    "a handler in a folder": ({"src/deep/app.js": "exports.run = async (e) => ({ got: e.n });"}, "src/deep/app.run"),
    "a handler inside an object": ({"index.js": "exports.api = { v1: { get: async (e) => ({ got: e.n }) } };"}, "index.api.v1.get"),
    "a relative require": ({"index.js": "const { twice } = require('./lib/twice');\nexports.handler = async (e) => ({ got: twice(e.n) / 2 });",
                            "lib/twice.js": "exports.twice = (n) => 2 * n;"}, "index.handler"),
    "its own node_modules": ({"index.js": "exports.handler = async (e) => ({ got: require('mine')(e.n) });",
                              "node_modules/mine/package.json": '{"name":"mine","main":"m.js"}', "node_modules/mine/m.js": "module.exports = (n) => n;"}, "index.handler"),
    "its own node_modules from an ES module": ({"index.mjs": "import mine from 'mine';\nexport const handler = async (e) => ({ got: mine(e.n) });",
                              "node_modules/mine/package.json": '{"name":"mine","main":"m.js"}', "node_modules/mine/m.js": "module.exports = (n) => n;"}, "index.handler"),
}


@pytest.mark.parametrize("style", list(MODULES))
def test_a_module_of_each_style_is_loaded(hearth, runtime, style):
    files, handler = MODULES[style]
    function = hearth.deploy(files, runtime=runtime, handler=handler)
    assert function({"n": 42}).ok() == {"got": 42}
    function.delete()


# ---- handler styles -------------------------------------------------------------------------------------------------------------

HANDLERS = {
    "async": "exports.handler = async (event) => ({ ok: event.n });",
    "returning a promise": "exports.handler = (event) => Promise.resolve({ ok: event.n });",
    "a thenable": "exports.handler = (event) => ({ then(f) { f({ ok: event.n }); } });",
    "callback": "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, { ok: event.n }), 5); };",
    "callback at once": "exports.handler = (event, context, callback) => { callback(null, { ok: event.n }); };",
    "context.done": "exports.handler = (event, context) => { context.done(null, { ok: event.n }); };",
    "context.succeed": "exports.handler = (event, context) => { context.succeed({ ok: event.n }); };",
}


@pytest.mark.parametrize("style", list(HANDLERS))
def test_a_handler_of_each_style_answers_twice(hearth, runtime, style):
    function = hearth.deploy(node(HANDLERS[style]), runtime=runtime)
    assert function({"n": 1}).ok() == {"ok": 1}
    assert function({"n": 2}).ok() == {"ok": 2}


FAILURES = {
    "callback(error)": "exports.handler = (event, context, callback) => callback(new TypeError('no good'));",
    "context.fail": "exports.handler = (event, context) => context.fail(new TypeError('no good'));",
    "context.done(error)": "exports.handler = (event, context) => context.done(new TypeError('no good'));",
    "async throw": "exports.handler = async () => { throw new TypeError('no good'); };",
    "sync throw": "exports.handler = () => { throw new TypeError('no good'); };",
    "rejected promise": "exports.handler = () => Promise.reject(new TypeError('no good'));",
}


@pytest.mark.parametrize("style", list(FAILURES))
def test_a_handler_of_each_style_fails_with_lambdas_error_payload(hearth, runtime, style):
    function = hearth.deploy(node(FAILURES[style]), runtime=runtime)
    answer = function({})
    assert answer.status == 200
    assert answer.error == "Unhandled"
    assert answer.headers["x-amz-function-error"] == "Unhandled"
    assert answer.payload["errorType"] == "TypeError"
    assert answer.payload["errorMessage"] == "no good"
    assert answer.payload["trace"][0] == "TypeError: no good"
    assert any("/var/task/index.js" in line for line in answer.payload["trace"])


def test_a_function_that_returns_nothing_answers_null(hearth, runtime):
    function = hearth.deploy(node("exports.handler = async () => {};"), runtime=runtime)
    assert function({}).raw == b"null"


@pytest.mark.parametrize("value", ["{ a: [1, 2.5, 'ü', null, true] }", "'text'", "7", "true", "[]", "{}", "''"])
def test_any_json_value_is_an_answer(hearth, value):
    function = hearth.deploy(node(f"exports.handler = async () => ({value});"))
    expected = {"{ a: [1, 2.5, 'ü', null, true] }": {"a": [1, 2.5, "ü", None, True]}, "'text'": "text", "7": 7, "true": True, "[]": [], "{}": {}, "''": ""}
    assert function({}).ok() == expected[value]


@pytest.mark.parametrize("event", [{"deep": {"er": [1, {"x": "ß€😀"}]}}, "text", 12, [1, 2], None, True, {}, ""])
def test_any_json_value_is_an_event_and_comes_back_unchanged(hearth, event):
    function = hearth.deploy(node("exports.handler = async (event) => event;"))
    assert json.loads(function(json.dumps(event).encode()).raw) == event


def test_an_invocation_without_payload_gets_an_empty_object(hearth, runtime):
    function = hearth.deploy(node("exports.handler = async (event) => ({ type: typeof event, text: JSON.stringify(event) });"), runtime=runtime)
    assert function().ok() == {"type": "object", "text": "{}"}


def test_a_payload_that_is_no_json_is_refused(hearth):
    function = hearth.deploy(node("exports.handler = async (event) => event;"))
    refusal = aws_error(function, b'{"broken": ')
    assert refusal.code == "InvalidRequestContentException"
    assert refusal.status == 400


def test_numbers_and_text_survive_to_the_last_digit(hearth):
    function = hearth.deploy(node("exports.handler = async (event) => event;"))
    raw = b'{"big":9007199254740991,"small":1e-7,"text":"\\u0000\\ud83d\\ude00\\"\\\\"}'
    assert json.loads(function(raw).raw) == json.loads(raw)


# ---- waiting for the event loop ------------------------------------------------------------------------------------------------

def test_a_callback_waits_for_the_empty_event_loop(hearth, runtime):
    function = hearth.deploy(node(
        "let late = 0;\nexports.handler = (event, context, callback) => { setTimeout(() => { late += 1; }, 150); callback(null, late); };"), runtime=runtime)
    assert function({}).ok() == 0
    assert function({}).ok() == 1


def test_callbackWaitsForEmptyEventLoop_false_answers_at_once_and_the_rest_runs_in_the_next_call(hearth, runtime):
    function = hearth.deploy(node(
        "let late = 0;\nexports.handler = (event, context, callback) => {\n"
        "  context.callbackWaitsForEmptyEventLoop = false;\n"
        "  if (event.start) { setTimeout(() => { late += 1; }, 100); return callback(null, late); }\n"
        "  const look = () => late ? callback(null, late) : setTimeout(look, 5); look();\n};"), runtime=runtime)
    assert function({"start": True}).ok() == 0
    assert function({}).ok() == 1


def test_a_promise_that_never_settles_answers_null_and_the_next_call_works(hearth, runtime):
    function = hearth.deploy(node("exports.handler = (event) => event.hang ? new Promise(() => {}) : Promise.resolve('fine');"), runtime=runtime)
    answer = function({"hang": True})
    assert answer.error is not None or answer.raw == b"null"
    assert function({}).ok() == "fine"


def test_background_work_is_frozen_between_calls(hearth, runtime):
    function = hearth.deploy(node(
        "let ticks = 0;\nsetInterval(() => { ticks += 1; }, 1).unref();\n"
        "exports.handler = async (event) => { if (event.wait) await new Promise((r) => setTimeout(r, event.wait)); return ticks; };"), runtime=runtime)
    function({"wait": 50})
    before = function({}).ok()
    time.sleep(1.0)                                # a thousand ticks, if it ran
    after = function({}).ok()
    assert after - before < 50, "the interval ran while no call was there"


def test_a_worker_thread_that_computes_is_frozen_between_calls(hearth, runtime):
    function = hearth.deploy(node(
        "const { Worker } = require('node:worker_threads');\n"
        "const shared = new SharedArrayBuffer(8); const count = new BigInt64Array(shared);\n"
        "const worker = new Worker('const { workerData } = require(\"node:worker_threads\"); const c = new BigInt64Array(workerData); for (;;) Atomics.add(c, 0, 1n);', { eval: true, workerData: shared });\n"
        "worker.unref();\n"
        "exports.handler = async (event) => { await new Promise((r) => setTimeout(r, event.wait ?? 0)); return Number(Atomics.load(count, 0)); };"),
        runtime=runtime, memory=512)
    running = function({"wait": 400}).ok()
    assert running > 0
    before = function({}).ok()
    time.sleep(1.0)
    after = function({}).ok()
    assert after - before < running / 2, "a moment to notice it is allowed; unfrozen it would be more than twice as much"


# ---- context and environment ---------------------------------------------------------------------------------------------------

CONTEXT = """
exports.handler = async (event, context) => {
  await new Promise((r) => setTimeout(r, 30));
  return {
    ...context, remaining: context.getRemainingTimeInMillis(), keys: Object.keys(context),
    functions: ['getRemainingTimeInMillis', 'done', 'fail', 'succeed'].filter((k) => typeof context[k] === 'function'),
  };
};"""


def test_the_context_object_is_whole(hearth, runtime):
    function = hearth.deploy(node(CONTEXT), runtime=runtime, timeout=7, memory=256)
    answer = function({})
    context = answer.ok()
    assert context["functionName"] == function.name
    assert context["functionVersion"] == "$LATEST"
    assert context["invokedFunctionArn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{function.name}"
    assert context["memoryLimitInMB"] == "256"
    assert context["awsRequestId"] == answer.request_id
    assert context["logGroupName"] == f"/aws/lambda/{function.name}"
    assert re.match(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$", context["logStreamName"])
    assert context["callbackWaitsForEmptyEventLoop"] is True
    assert "getRemainingTimeInMillis" in context["functions"]
    assert {"done", "fail", "succeed"} <= set(context["functions"])
    assert 5000 < context["remaining"] < 6990


def test_the_client_context_and_the_qualifier_reach_the_handler(hearth):
    import base64
    function = hearth.deploy(node("exports.handler = async (e, c) => ({ client: c.clientContext, arn: c.invokedFunctionArn, identity: c.identity ?? null });"))
    client_context = base64.b64encode(json.dumps({"custom": {"a": "b"}, "env": {"locale": "de"}}).encode()).decode()
    answer = function({}, ClientContext=client_context, Qualifier="$LATEST")
    assert answer.ok()["client"]["custom"] == {"a": "b"}
    assert answer.ok()["arn"].endswith(":function:" + function.name + ":$LATEST") or answer.ok()["arn"].endswith(":function:" + function.name)
    assert answer.version == "$LATEST"


def test_the_environment_is_lambdas(hearth, runtime):
    function = hearth.deploy(node("exports.handler = async () => ({ env: process.env, cwd: process.cwd(), dir: __dirname, file: __filename, tz: new Date(2024, 6, 1).getTimezoneOffset(), version: process.versions.node, argv0: process.argv0 });"),
                             runtime=runtime, memory=192, env={"MINE": "ja, \"quoted\" ü = 1", "EMPTY": ""})
    got = function({}).ok()
    env = got["env"]
    major = runtime[len("nodejs"):-len(".x")]
    expected = {
        "_HANDLER": "index.handler", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}", "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "LANG": "en_US.UTF-8", "TZ": ":UTC", "LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "MINE": "ja, \"quoted\" ü = 1", "EMPTY": "",
    }
    assert {k: env.get(k) for k in expected} == expected
    assert re.match(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$", env["AWS_LAMBDA_LOG_STREAM_NAME"])
    assert re.match(r"ASIA[A-Z2-7]{16}$", env["AWS_ACCESS_KEY_ID"])
    assert env["AWS_SECRET_ACCESS_KEY"] and env["AWS_SESSION_TOKEN"]
    assert env["PATH"].split(":")[0] == "/var/lang/bin" and "/opt/bin" in env["PATH"].split(":")
    for directory in ("/var/lang/lib", "/var/task", "/var/task/lib", "/opt/lib", "/var/runtime"):
        assert directory in env["LD_LIBRARY_PATH"].split(":")
    for directory in (f"/opt/nodejs/node{major}/node_modules", "/opt/nodejs/node_modules", "/var/runtime/node_modules"):
        assert directory in env["NODE_PATH"].split(":")
    assert got["cwd"] == "/var/task" and got["dir"] == "/var/task" and got["file"] == "/var/task/index.js"
    assert got["tz"] == 0
    assert got["version"].split(".")[0] == major


def test_nothing_of_the_servers_own_environment_is_visible(new_hearth):
    server = new_hearth(env={"A_SECRET_OF_THE_HOST": "hush"})
    function = server.deploy(node("exports.handler = async () => ({ env: process.env, user: require('os').userInfo() });"))
    got = function({}).ok()
    assert "A_SECRET_OF_THE_HOST" not in got["env"] and "hush" not in json.dumps(got)
    assert not any(key.startswith("HEARTH_") for key in got["env"])
    assert server.credentials["aws_access_key_id"] not in json.dumps(got)
    assert got["user"]["username"], "the uid has a passwd entry"


def test_the_trace_header_is_set_for_each_call(hearth):
    function = hearth.deploy(node("exports.handler = async () => process.env._X_AMZN_TRACE_ID;"))
    first, second = function({}).ok(), function({}).ok()
    assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;.*)?$", first)
    assert first != second


def test_tmp_is_writable_and_the_rest_is_not(hearth, runtime):
    function = hearth.deploy(node("""
const fs = require('node:fs');
const attempt = (f) => { try { f(); return 'written'; } catch (e) { return e.code; } };
exports.handler = async () => ({
  tmp: attempt(() => fs.writeFileSync('/tmp/a', 'x')), kept: fs.readdirSync('/tmp'),
  task: attempt(() => fs.writeFileSync('/var/task/a', 'x')), etc: attempt(() => fs.writeFileSync('/etc/a', 'x')), usr: attempt(() => fs.writeFileSync('/usr/bin/a', 'x')),
  runtime: attempt(() => fs.writeFileSync('/var/runtime/a', 'x')), root: attempt(() => fs.writeFileSync('/a', 'x')),
  size: Math.round(fs.statfsSync('/tmp').blocks * fs.statfsSync('/tmp').bsize / 1048576),
});"""), runtime=runtime)
    got = function({}).ok()
    assert got["tmp"] == "written" and "a" in got["kept"]
    for place in ("task", "etc", "usr", "runtime", "root"):
        assert got[place] in ("EROFS", "EACCES", "EPERM", "ENOENT"), place
    assert 400 <= got["size"] <= 560


def test_time_zones_certificates_and_names_are_there(hearth):
    function = hearth.deploy(node("""
const fs = require('node:fs');
exports.handler = async () => ({
  zone: new Intl.DateTimeFormat('en', { timeZone: 'Europe/Berlin', timeStyle: 'short', hour12: false }).format(new Date(Date.UTC(2024, 6, 1, 10))),
  zoneinfo: fs.existsSync('/usr/share/zoneinfo/Europe/Berlin'), certificates: fs.existsSync('/etc/ssl/certs/ca-certificates.crt'),
  hosts: fs.readFileSync('/etc/hosts', 'utf8'), nsswitch: fs.existsSync('/etc/nsswitch.conf'),
  localhost: (await require('node:dns').promises.lookup('localhost')).address,
});"""))
    got = function({}).ok()
    assert got["zone"] == "12:00" and got["zoneinfo"] and got["certificates"] and got["nsswitch"]
    assert "localhost" in got["hosts"] and got["localhost"] in ("127.0.0.1", "::1")


def test_a_child_process_and_a_worker_thread_work(hearth, runtime):
    function = hearth.deploy(node("""
const { execFileSync } = require('node:child_process'); const { Worker } = require('node:worker_threads');
exports.handler = async () => ({
  child: execFileSync(process.execPath, ['-p', '6*7']).toString().trim(), shell: execFileSync('/bin/sh', ['-c', 'echo $((6*7))']).toString().trim(),
  worker: await new Promise((r) => new Worker('require("worker_threads").parentPort.postMessage(42)', { eval: true }).on('message', r)),
});"""), runtime=runtime, memory=512)
    assert function({}).ok() == {"child": "42", "shell": "42", "worker": 42}


# ---- logs ------------------------------------------------------------------------------------------------------------------------

def test_start_end_and_report_stand_around_what_the_handler_printed(hearth, runtime):
    function = hearth.deploy(node("exports.handler = async () => { console.log('hello %s', 'there', { a: 1 }); console.error('bad'); console.warn('hm'); console.debug('dbg'); process.stdout.write('plain\\n'); };"), runtime=runtime)
    answer = function({})
    lines = answer.log.splitlines()
    identity = answer.request_id
    start, end = lines.index(f"START RequestId: {identity} Version: $LATEST"), lines.index(f"END RequestId: {identity}")
    assert start < end
    printed = "\n".join(lines[start + 1:end])
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.search(rf"^{stamp}\t{identity}\tINFO\thello there {{ a: 1 }}$", printed, re.M)
    assert re.search(rf"^{stamp}\t{identity}\tERROR\tbad$", printed, re.M)
    assert re.search(rf"^{stamp}\t{identity}\tWARN\thm$", printed, re.M)
    assert re.search(rf"^{stamp}\t{identity}\tDEBUG\tdbg$", printed, re.M)
    assert re.search(r"^plain$", printed, re.M)
    report = REPORT.search(answer.log)
    assert report and report["id"] == identity and report["size"] == "128"
    assert int(report["billed"]) >= float(report["duration"]) // 1
    assert 5 <= int(report["used"]) <= 128
    assert report["init"] is not None, "the first call of an instance tells how long its init took"


def test_only_the_first_report_of_an_instance_has_an_init_duration(hearth):
    function = hearth.deploy(node("exports.handler = async () => 1;"))
    first, second = function({}), function({})
    assert REPORT.search(first.log)["init"] is not None
    assert REPORT.search(second.log)["init"] is None


def test_the_duration_is_the_handlers_and_the_init_duration_the_modules(hearth):
    function = hearth.deploy(node("const end = Date.now() + 300; while (Date.now() < end);\nexports.handler = async (e) => { const until = Date.now() + 200; while (Date.now() < until); };"), memory=1769)
    first, second = REPORT.search(function({}).log), REPORT.search(function({}).log)
    assert float(first["init"]) >= 300
    assert float(second["duration"]) >= 195
    assert 200 <= int(second["billed"]) <= float(second["duration"]) + 1


def test_max_memory_used_follows_what_the_function_uses(hearth):
    function = hearth.deploy(node("const keep = [];\nexports.handler = async (e) => { if (e.mb) keep.push(Buffer.alloc(e.mb * 1048576, 1)); };"), memory=512)
    small = int(REPORT.search(function({}).log)["used"])
    large = int(REPORT.search(function({"mb": 200}).log)["used"])
    assert large >= small + 150 and large <= 512


def test_the_log_tail_is_the_last_four_kilobytes(hearth):
    function = hearth.deploy(node("exports.handler = async () => { for (let i = 0; i < 500; i++) console.log('line ' + i); };"))
    answer = function({})
    assert 3000 < len(answer.log.encode()) <= 4096
    assert "line 499" in answer.log and "line 0\n" not in answer.log and "REPORT" in answer.log
    assert function({}, tail=False).log is None


def test_a_line_written_just_before_the_answer_is_never_lost(hearth):
    function = hearth.deploy(node("exports.handler = async (e) => { process.stdout.write('out ' + e.i + '\\n'); process.stderr.write('err ' + e.i + '\\n'); console.log('log', e.i); };"))
    for i in range(60):
        log = function({"i": i}).log
        assert f"out {i}\n" in log and f"err {i}\n" in log and f"log {i}" in log


def test_what_functions_print_is_kept_in_their_log_group(hearth):
    function = hearth.deploy(node("exports.handler = async () => { console.log('needle-7731'); };"))
    function({})
    wait_until(lambda: "needle-7731" in hearth.logs_of(function.name), 10, "the line is in the log file")


def test_an_uncaught_error_is_logged_with_its_stack(hearth):
    function = hearth.deploy(node("exports.handler = async () => { throw new RangeError('out of it'); };"))
    log = function({}).log
    assert re.search(r"\tERROR\tInvoke Error ?\t?.*RangeError", log) and "out of it" in log


# ---- how functions fail --------------------------------------------------------------------------------------------------------

def failing_init(hearth, files, handler="index.handler", **more):
    function = hearth.deploy(files, handler=handler, **more)
    answer = function({})
    assert answer.status == 200 and answer.error == "Unhandled"
    again = function({})
    assert again.error == "Unhandled" and again.payload["errorType"] == answer.payload["errorType"], "the next call says the same"
    return answer


def test_a_missing_module_is_an_import_error(hearth, runtime):
    payload = failing_init(hearth, {"other.js": "exports.handler = async () => 1;"}, runtime=runtime).payload
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert payload["errorMessage"].startswith("Error: Cannot find module 'index'")


def test_a_missing_dependency_is_an_import_error_that_names_it(hearth, runtime):
    payload = failing_init(hearth, node("require('not-there');\nexports.handler = async () => 1;"), runtime=runtime).payload
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert "Cannot find module 'not-there'" in payload["errorMessage"]


def test_a_missing_handler_is_named(hearth, runtime):
    payload = failing_init(hearth, node("exports.other = async () => 1;"), runtime=runtime).payload
    assert payload["errorType"] == "Runtime.HandlerNotFound"
    assert payload["errorMessage"] == "index.handler is undefined or not exported"


def test_a_handler_that_is_no_function_is_named(hearth):
    payload = failing_init(hearth, node("exports.handler = 7;")).payload
    assert payload["errorType"] == "Runtime.HandlerNotFound"
    assert payload["errorMessage"] == "index.handler is not a function"


def test_a_malformed_handler_name_is_told(hearth):
    payload = failing_init(hearth, node("exports.handler = async () => 1;"), handler="index").payload
    assert payload["errorType"] == "Runtime.MalformedHandlerName"
    assert payload["errorMessage"] == "Bad handler"


def test_a_handler_with_dots_upwards_is_refused(hearth):
    payload = failing_init(hearth, node("exports.handler = async () => 1;"), handler="../index.handler").payload
    assert payload["errorType"] == "Runtime.MalformedHandlerName"


def test_a_syntax_error_is_told(hearth, runtime):
    payload = failing_init(hearth, node("exports.handler = async () => { this is wrong };"), runtime=runtime).payload
    assert payload["errorType"] == "Runtime.UserCodeSyntaxError"
    assert payload["errorMessage"].startswith("SyntaxError: ")


def test_an_error_at_load_keeps_its_own_type(hearth, runtime):
    payload = failing_init(hearth, node("throw new RangeError('at load');"), runtime=runtime).payload
    assert payload["errorType"] == "RangeError"
    assert payload["errorMessage"] == "at load"


def test_an_exit_at_load_is_told_and_the_next_call_tries_again(hearth):
    payload = failing_init(hearth, node("process.exit(3);")).payload
    assert payload["errorType"] == "Runtime.ExitError"
    assert re.search(r"Runtime exited with error: exit status 3", payload["errorMessage"])


def test_what_is_thrown_need_not_be_an_error(hearth):
    function = hearth.deploy(node("exports.handler = async (e) => { throw e.what; };"))
    assert function({"what": "just text"}).payload == {"errorType": "string", "errorMessage": "just text", "trace": []}
    assert function({"what": 5}).payload["errorType"] == "number"
    assert function({"what": None}).error == "Unhandled"
    assert function({"what": {"a": 1}}).payload["errorType"] in ("object", "Object")


def test_an_error_of_ones_own_class_keeps_its_name(hearth):
    function = hearth.deploy(node("class OrderNotFound extends Error { constructor(m) { super(m); this.name = 'OrderNotFound'; } }\nexports.handler = async () => { throw new OrderNotFound('7'); };"))
    payload = function({}).payload
    assert payload["errorType"] == "OrderNotFound" and payload["errorMessage"] == "7"


def test_warm_state_is_kept_after_a_handlers_error(hearth, runtime):
    function = hearth.deploy(node("let calls = 0;\nexports.handler = async (e) => { calls += 1; if (e.fail) throw new Error('x'); return { calls, pid: process.pid }; };"), runtime=runtime)
    assert function({}).ok()["calls"] == 1
    assert function({"fail": True}).error == "Unhandled"
    assert function({}).ok()["calls"] == 3


@pytest.mark.parametrize("code, text", [(0, "Runtime exited without providing a reason"), (1, "exit status 1"), (42, "exit status 42")])
def test_an_exit_in_the_handler_is_told_and_the_next_call_works(hearth, code, text):
    function = hearth.deploy(node("let calls = 0;\nexports.handler = async (e) => { calls += 1; if (e.exit !== undefined) process.exit(e.exit); return calls; };"))
    assert function({}).ok() == 1
    answer = function({"exit": code})
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert re.match(rf"RequestId: {answer.request_id} Error: Runtime exited .*", answer.payload["errorMessage"]) and text in answer.payload["errorMessage"]
    assert function({}).ok() == 1, "a fresh instance"


def test_a_process_that_kills_itself_is_told_with_its_signal(hearth):
    function = hearth.deploy(node("exports.handler = async (e) => { if (e.die) { process.kill(process.pid, e.die); await new Promise((r) => setTimeout(r, 5000)); } return 'alive'; };"))
    answer = function({"die": "SIGKILL"})
    assert answer.payload["errorType"] == "Runtime.ExitError" and "signal: killed" in answer.payload["errorMessage"]
    assert function({}).ok() == "alive"
    answer = function({"die": "SIGABRT"})
    assert "signal: aborted" in answer.payload["errorMessage"]
    assert function({}).ok() == "alive"


def test_an_uncaught_exception_beside_the_handler_fails_the_call_and_the_next_works(hearth, runtime):
    function = hearth.deploy(node("exports.handler = (e) => new Promise((r) => { if (e.boom) setTimeout(() => { throw new EvalError('beside'); }, 5); else r('fine'); });"), runtime=runtime)
    answer = function({"boom": True})
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "EvalError" and answer.payload["errorMessage"] == "beside"
    assert function({}).ok() == "fine"


def test_an_unhandled_rejection_fails_the_call_and_the_next_works(hearth, runtime):
    function = hearth.deploy(node("exports.handler = (e) => new Promise((r) => { if (e.boom) Promise.reject(new Error('nobody listens')); else r('fine'); });"), runtime=runtime)
    answer = function({"boom": True})
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Runtime.UnhandledPromiseRejection"
    assert answer.payload["errorMessage"] == "Error: nobody listens"
    assert function({}).ok() == "fine"


@pytest.mark.parametrize("how", ["await new Promise((r) => setTimeout(r, 30000))", "for (;;);"])
def test_a_timeout_is_told_and_the_next_call_works(hearth, runtime, how):
    function = hearth.deploy(node(f"let calls = 0;\nexports.handler = async (e) => {{ calls += 1; if (e.slow) {{ {how} }} return calls; }};"), runtime=runtime, timeout=1)
    assert function({}).ok() == 1
    began = time.monotonic()
    answer = function({"slow": True})
    assert 0.95 <= time.monotonic() - began < 10
    assert answer.status == 200 and answer.error == "Unhandled"
    assert re.search(rf"{answer.request_id}( Error:)? Task timed out after 1\.00 seconds", answer.payload["errorMessage"])
    assert "Task timed out after 1.00 seconds" in answer.log
    report = REPORT.search(answer.log)
    assert float(report["duration"]) >= 1000 and "Status: timeout" in report["more"]
    assert function({}).ok() == 1, "the instance that timed out is not used again"


def test_out_of_memory_is_told_and_the_next_call_works(hearth, runtime):
    function = hearth.deploy(node("const keep = [];\nexports.handler = async (e) => { if (e.eat) for (let i = 0; i < 400; i++) keep.push(Buffer.alloc(1048576, 1)); return 'fine'; };"), runtime=runtime, memory=128)
    assert function({}).ok() == "fine"
    answer = function({"eat": True})
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError")
    assert "signal: killed" in answer.payload["errorMessage"]
    assert function({}).ok() == "fine"


def test_a_javascript_heap_that_overflows_is_told_and_the_next_call_works(hearth, runtime):
    function = hearth.deploy(node("const keep = [];\nexports.handler = async (e) => { if (e.eat) for (;;) keep.push(new Array(10000).fill({})); return 'fine'; };"), runtime=runtime, memory=128, timeout=60)
    answer = function({"eat": True})
    assert answer.error == "Unhandled" and answer.payload["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError")
    assert function({}).ok() == "fine"


def test_an_answer_that_cannot_be_json_is_an_error(hearth, runtime):
    function = hearth.deploy(node("exports.handler = async (e) => { if (e.loop) { const a = {}; a.a = a; return a; } return 10n; };"), runtime=runtime)
    assert function({}).error == "Unhandled"
    answer = function({"loop": True})
    assert answer.error == "Unhandled" and answer.payload["errorMessage"] == "Unable to stringify response body"


# ---- the SDK ---------------------------------------------------------------------------------------------------------------------

CLIENTS = ["client-lambda", "client-s3", "client-dynamodb", "lib-dynamodb", "lib-storage", "client-sqs", "client-sns", "client-eventbridge", "client-sts",
           "client-secrets-manager", "client-ssm", "client-cloudwatch-logs", "s3-request-presigner", "credential-providers"]


def test_the_sdk_can_be_required_without_being_in_the_package(hearth, runtime):
    function = hearth.deploy(node("exports.handler = async (names) => names.filter((n) => Object.keys(require('@aws-sdk/' + n)).length === 0);"), runtime=runtime, memory=1024, timeout=60)
    assert function(CLIENTS).ok() == []


def test_the_sdk_can_be_imported_without_being_in_the_package(hearth, runtime):
    function = hearth.deploy({"index.mjs": "import { LambdaClient } from '@aws-sdk/client-lambda';\nexport const handler = async (names) => { const bad = []; for (const n of names) if (!Object.keys(await import('@aws-sdk/' + n)).length) bad.push(n); return typeof LambdaClient === 'function' ? bad : 'no LambdaClient'; };"},
                             runtime=runtime, memory=1024, timeout=60)
    assert function(CLIENTS).ok() == []


CALLER = {
    "require": {"index.js": "const { LambdaClient, InvokeCommand } = require('@aws-sdk/client-lambda');\nconst client = new LambdaClient({});\n"
                "exports.handler = async (e) => { const r = await client.send(new InvokeCommand({ FunctionName: e.name, Payload: JSON.stringify({ n: e.n }) })); return { there: JSON.parse(Buffer.from(r.Payload).toString()), status: r.StatusCode }; };"},
    "import": {"index.mjs": "import { LambdaClient, InvokeCommand } from '@aws-sdk/client-lambda';\nconst client = new LambdaClient({});\n"
               "export const handler = async (e) => { const r = await client.send(new InvokeCommand({ FunctionName: e.name, Payload: JSON.stringify({ n: e.n }) })); return { there: JSON.parse(Buffer.from(r.Payload).toString()), status: r.StatusCode }; };"},
}


@pytest.mark.parametrize("style", list(CALLER))
def test_a_function_calls_another_with_the_sdk_and_no_settings(hearth, runtime, style):
    callee = hearth.deploy(node("exports.handler = async (e) => ({ twice: e.n * 2 });"), runtime=runtime)
    caller = hearth.deploy(CALLER[style], runtime=runtime, memory=512, timeout=30)
    assert caller({"name": callee.name, "n": 21}).ok() == {"there": {"twice": 42}, "status": 200}
    assert caller({"name": callee.name, "n": 4}).ok() == {"there": {"twice": 8}, "status": 200}


def test_an_instance_is_its_role_and_may_do_no_more_than_call(hearth):
    function = hearth.deploy(node("""
const { STSClient, GetCallerIdentityCommand } = require('@aws-sdk/client-sts'); const { LambdaClient, ListFunctionsCommand, DeleteFunctionCommand } = require('@aws-sdk/client-lambda');
const name = async (f) => { try { await f(); return 'allowed'; } catch (e) { return e.name; } };
exports.handler = async (e) => ({ who: (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn,
  list: await name(() => new LambdaClient({}).send(new ListFunctionsCommand({}))),
  drop: await name(() => new LambdaClient({}).send(new DeleteFunctionCommand({ FunctionName: e.name }))) });"""), memory=512, timeout=30)
    got = function({"name": function.name}).ok()
    assert got["who"] == f"arn:aws:sts::000000000000:assumed-role/hearth-basic/{function.name}"
    assert got["list"] == "AccessDeniedException" and got["drop"] == "AccessDeniedException"


# ---- a runtime id means that runtime ---------------------------------------------------------------------------------------------

def test_each_runtime_id_runs_on_its_own_major_version_or_is_refused_with_the_remedy(hearth):
    for major in (18, 20, 22, 24):
        try:
            function = hearth.deploy(node("exports.handler = async () => process.versions.node;"), runtime=f"nodejs{major}.x")
        except Exception as refused:                   # noqa: B902 (whatever boto3 makes of it)
            assert f"hearth runtime add nodejs{major}.x" in str(refused), refused
            assert major not in (20, 22), "make setup makes sure of these"
            continue
        assert function({}).ok().split(".")[0] == str(major)


def test_nodejs24_refuses_callback_handlers_as_lambda_does(hearth):
    try:
        function = hearth.deploy(node(HANDLERS["callback"]), runtime="nodejs24.x")
    except Exception as refused:                       # noqa: B902
        if "hearth runtime add nodejs24.x" in str(refused):
            pytest.skip("nodejs24.x is not installed")
        raise
    payload = function({"n": 1}).payload
    assert payload["errorType"] == "Runtime.CallbackHandlerDeprecated"


@pytest.mark.fast
def test_the_shortest_way_create_call_update_call_delete(hearth):
    function = hearth.deploy(node("exports.handler = async (e) => 'one ' + e.who;"))
    assert isinstance(function, Function)
    assert function({"who": "me"}).ok() == "one me"
    function.update(make_zip(node("exports.handler = async (e) => 'two ' + e.who;")))
    assert function({"who": "me"}).ok() == "two me"
    function.configure(Environment={"Variables": {"XY": "y"}}, Timeout=4)
    assert function({"who": "me"}).ok() == "two me"
    function.delete()
    assert aws_error(function, {}).code == "ResourceNotFoundException"
