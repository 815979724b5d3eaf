"""Functions that bring their own runtime (provided.al2, provided.al2023), wrapper scripts, and what layers put on /opt.

Bootstraps in C, in POSIX shell with curl, and in Python where a test wants to misuse the Runtime API.
"""
import concurrent.futures
import json
import pathlib
import shutil
import subprocess
import time

import pytest

from helpers import make_zip, node, python, wait_until

PROVIDED = ["provided.al2", "provided.al2023"]

# As AWS's tutorial for custom runtimes has it, but for the words.
SHELL = """#!/bin/sh
set -eu
API="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  EVENT=$(curl -sS -D /tmp/headers "$API/invocation/next")
  ID=$(grep -Fi Lambda-Runtime-Aws-Request-Id /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
  echo "shell was called"
  curl -sS -o /dev/null "$API/invocation/$ID/response" -d "{\\"handler\\":\\"$_HANDLER\\",\\"event\\":$EVENT}"
done
"""

# One connection, kept; answers with how often it was called.
C = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char in[65536];

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        exit(3);
}

/* Reads one answer; its head stays in `in`. */
static void hear(int fd)
{
    size_t len = 0;
    for (;;) {
        ssize_t got = read(fd, in + len, sizeof(in) - 1 - len);
        if (got <= 0)
            exit(4);
        in[len += (size_t)got] = '\0';
        char *end = strstr(in, "\r\n\r\n"), *length = strcasestr(in, "Content-Length:");
        if (end && length && len >= (size_t)(end + 4 - in) + (size_t)atoi(length + 15))
            return;
    }
}

int main(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(9001), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), calls = 0;
    if (strcmp(getenv("AWS_LAMBDA_RUNTIME_API"), "127.0.0.1:9001") != 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        return 2;
    for (;;) {
        char out[512], body[64], *id;
        say(fd, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n");
        hear(fd);
        if ((id = strcasestr(in, "Lambda-Runtime-Aws-Request-Id: ")) == NULL)
            return 5;
        snprintf(body, sizeof(body), "{\"calls\":%d,\"pid\":%d}", ++calls, (int)getpid());
        snprintf(out, sizeof(out), "POST /2018-06-01/runtime/invocation/%.36s/response HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nContent-Length: %zu\r\n\r\n%s", id + 31, strlen(body), body);
        say(fd, out);
        hear(fd);
        if (strncmp(in, "HTTP/1.1 202 ", 13) != 0)
            return 6;
    }
}
"""

# A runtime whose handler is the event: {"python": "..."} is executed with what it needs to misuse the API; its `result` is the answer.
MISUSE = """#!/usr/bin/python3
import http.client, json, os, socket, sys, threading, time
HOST = os.environ["AWS_LAMBDA_RUNTIME_API"]
PREFIX = "/2018-06-01/runtime/"

def call(method, path, body=None, headers={}, prefix=PREFIX):
    connection = http.client.HTTPConnection(HOST, timeout=60)
    try:
        connection.request(method, prefix + path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, (json.loads(data) if data[:1] == b"{" else data.decode()), dict(answer.getheaders())
    finally:
        connection.close()

BEFORE = os.environ.get("BEFORE")
if BEFORE:
    exec(BEFORE)
while True:
    status, event, headers = call("GET", "invocation/next")
    assert status == 200, (status, event)
    request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    scope = dict(globals(), request_id=request_id, headers=headers, result=None, answered=False)
    exec(event.get("python", "") if isinstance(event, dict) else "", scope)
    if not scope["answered"]:
        status, answer, _ = call("POST", "invocation/" + request_id + "/response", json.dumps(scope["result"]))
        assert status == 202 and answer == {"status": "OK"}, (status, answer)
    sys.stdout.flush()
    exec(event.get("after", "") if isinstance(event, dict) else "", scope)
"""


def bootstrap(text, mode=0o755, **files):
    return make_zip({"bootstrap": (text, mode), **files})


def deploy(hearth, package, runtime="provided.al2023", **more):
    return hearth.deploy(package, runtime=runtime, handler="the.handler", **more)


@pytest.fixture(scope="module")
def c_bootstrap(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bootstrap")
    (directory / "bootstrap.c").write_text("#define _GNU_SOURCE\n" + C)
    for how in (["-static"], []):
        built = subprocess.run(["cc", "-O1", *how, "-o", "bootstrap", "bootstrap.c"], cwd=directory, capture_output=True, text=True)
        if built.returncode == 0:
            return (directory / "bootstrap").read_bytes()
    raise AssertionError(built.stderr)


@pytest.fixture
def misuse(hearth):
    """misuse("python statements that set result") on one function, which must live through all of it."""
    function = deploy(hearth, bootstrap(MISUSE), memory=512, timeout=30)

    def run(statements, **event):
        return function({"python": statements, **event})
    run.function = function
    return run


# ---- bootstraps that behave --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("runtime", PROVIDED)
def test_a_bootstrap_in_c_answers_call_after_call_on_one_instance(hearth, c_bootstrap, runtime):
    function = deploy(hearth, bootstrap(c_bootstrap), runtime=runtime)
    answers = [function({}).ok() for _ in range(100)]
    assert [answer["calls"] for answer in answers] == list(range(1, 101)), "whoever calls as soon as he is answered meets the instance that answered"
    configuration = hearth.lambda_client.get_function_configuration(FunctionName=function.name)
    assert configuration["Runtime"] == runtime and configuration["Handler"] == "the.handler"


@pytest.mark.parametrize("runtime", PROVIDED)
def test_a_bootstrap_in_posix_shell_with_curl(hearth, runtime):
    function = deploy(hearth, bootstrap(SHELL), runtime=runtime, memory=512)
    for event in ({"a": "ü"}, [1, 2], "text", None):
        answer = function(b"null" if event is None else event)
        assert answer.ok() == {"handler": "the.handler", "event": event}
        assert "shell was called" in answer.log and answer.log.startswith("START RequestId")


def test_calls_at_once_get_an_instance_each(hearth, c_bootstrap):
    function = deploy(hearth, bootstrap(c_bootstrap))
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: function({}).ok(), range(64)))
    assert len(answers) == 64 and max(answer["calls"] for answer in answers) < 64


def test_an_update_is_answered_by_the_new_bootstrap(hearth, c_bootstrap):
    function = deploy(hearth, bootstrap(c_bootstrap))
    assert function({}).ok()["calls"] == 1
    function.update(bootstrap(SHELL))
    assert function({"b": 2}).ok()["event"] == {"b": 2}


def test_a_runtime_can_be_changed_to_provided_and_back(hearth):
    function = hearth.deploy(make_zip({"index.js": "exports.handler = async () => 'node';", "bootstrap": (SHELL, 0o755)}))
    assert function({}).ok() == "node"
    function.configure(Runtime="provided.al2023")
    assert function({"c": 3}).ok()["event"] == {"c": 3}
    function.configure(Runtime="nodejs20.x")
    assert function({}).ok() == "node"


# ---- what a bootstrap is told ------------------------------------------------------------------------------------------------------

def test_the_headers_of_an_invocation(hearth, misuse):
    before = time.time()
    answer = misuse("result = headers", )
    headers = answer.ok()
    assert headers["Lambda-Runtime-Aws-Request-Id"] == answer.request_id
    assert headers["Lambda-Runtime-Invoked-Function-Arn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{misuse.function.name}"
    assert before + 20 < int(headers["Lambda-Runtime-Deadline-Ms"]) / 1000 < time.time() + 31
    assert headers["Lambda-Runtime-Trace-Id"].startswith("Root=1-") and headers["Content-Type"] == "application/json"
    import base64
    context = {"client": {"app": "ü"}, "custom": {"a": "b"}}
    headers = misuse.function({"python": "result = headers"}, ClientContext=base64.b64encode(json.dumps(context, indent=1).encode()).decode()).ok()
    assert json.loads(headers["Lambda-Runtime-Client-Context"]) == context
    hearth.lambda_client.publish_version(FunctionName=misuse.function.name)
    hearth.lambda_client.create_alias(FunctionName=misuse.function.name, Name="live", FunctionVersion="1")
    for qualifier in ("1", "live", "$LATEST"):
        assert misuse.function({"python": "result = headers"}, Qualifier=qualifier).ok()["Lambda-Runtime-Invoked-Function-Arn"].endswith(f":{misuse.function.name}:{qualifier}")


def test_the_environment_of_a_bootstrap(hearth, misuse):
    environment = misuse("result = dict(os.environ, cwd=os.getcwd(), argv=sys.argv, fds=sorted(int(n) for n in os.listdir('/proc/self/fd')))").ok()
    assert environment["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:9001" and environment["_HANDLER"] == "the.handler"
    assert environment["PATH"] == "/usr/local/bin:/usr/bin/:/bin:/opt/bin"
    assert environment["LD_LIBRARY_PATH"] == "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
    assert environment["LAMBDA_TASK_ROOT"] == environment["cwd"] == "/var/task" and environment["LAMBDA_RUNTIME_DIR"] == "/var/runtime"
    assert environment["argv"] == ["/var/task/bootstrap"]
    assert not {"AWS_EXECUTION_ENV", "NODE_PATH", "PYTHONPATH"} & set(environment)
    assert environment["fds"][:3] == [0, 1, 2] and len(environment["fds"]) <= 4, "nothing but what listing the directory opened"


# ---- bootstraps that cannot start ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("package, message", [
    (make_zip({"other": "x"}), "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
    (bootstrap(SHELL, 0o644), "fork/exec /var/task/bootstrap: permission denied"),
    (bootstrap("no first line\n"), "fork/exec /var/task/bootstrap: exec format error"),
    (bootstrap("#!/usr/bin/none\n"), "fork/exec /var/task/bootstrap: no such file or directory"),
], ids=["absent", "without its bit", "of no format", "without its interpreter"])
def test_a_bootstrap_that_cannot_be_executed_is_an_invalid_entrypoint(hearth, package, message):
    function = deploy(hearth, package)
    for _ in range(2):
        answer = function({})
        assert answer.error == "Unhandled"
        assert answer.payload == {"errorType": "Runtime.InvalidEntrypoint", "errorMessage": f"RequestId: {answer.request_id} Error: {message}"}
        assert f"RequestId: {answer.request_id} Error: {message}\nRuntime.InvalidEntrypoint\n" in answer.log
        assert "Status: error\tError Type: Runtime.InvalidEntrypoint" in answer.log


def test_an_exit_before_the_first_next_is_an_exit_error(hearth):
    function = deploy(hearth, bootstrap("#!/bin/sh\necho going\nexit 7\n"))
    answer = function({})
    assert answer.payload["errorType"] == "Runtime.ExitError" and "exit status 7" in answer.payload["errorMessage"]
    assert "going\n" in answer.log


def test_an_init_error_is_the_answer_to_who_waited(hearth):
    report = ("print('cannot')\nsys.stdout.flush()\n"
              "call('POST', 'init/error', json.dumps({'errorMessage': 'no such handler', 'errorType': 'Runtime.NoSuchHandler', 'stackTrace': []}), "
              "{'Lambda-Runtime-Function-Error-Type': 'Runtime.NoSuchHandler'})\nsys.exit(1)")
    answer = deploy(hearth, bootstrap(MISUSE), env={"BEFORE": report})({})
    assert answer.error == "Unhandled" and answer.payload == {"errorMessage": "no such handler", "errorType": "Runtime.NoSuchHandler", "stackTrace": []}
    assert "cannot\n" in answer.log and "Error Type: Runtime.NoSuchHandler" in answer.log


def test_answers_before_any_call_are_refused(hearth):
    before = ("tries = [call('POST', 'invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response', '1')[:2], call('POST', 'invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/error', '{}')[:2],"
              " call('GET', 'invocation/x')[0], call('GET', 'ping', prefix='/2018-06-01/')[:2]]")
    answer = deploy(hearth, bootstrap(MISUSE), env={"BEFORE": before})({"python": "result = tries"}).ok()
    invalid = {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}
    assert answer == [[400, invalid], [400, invalid], 404, [200, "pong"]]


# ---- misuse while a call runs ---------------------------------------------------------------------------------------------------------

def test_next_while_a_call_runs_gives_the_same_call(misuse):
    assert misuse("again = call('GET', 'invocation/next')\nresult = [again[0], again[2]['Lambda-Runtime-Aws-Request-Id'] == request_id, 'python' in again[1]]").ok() == [200, True, True]


def test_another_calls_id_is_refused(misuse):
    assert misuse("result = [call('POST', 'invocation/' + id + '/response', '1')[:2] for id in ('00000000-0000-4000-8000-000000000000', request_id.upper() + 'x', request_id[:-1])]").ok() == \
        [[400, {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}]] * 3


def test_a_second_answer_is_refused_and_the_first_counts(hearth, misuse):
    answer = misuse("answered = True\nfirst = call('POST', 'invocation/' + request_id + '/response', '\"first\"')\n"
                    "second = call('POST', 'invocation/' + request_id + '/response', '\"second\"')\nthird = call('POST', 'invocation/' + request_id + '/error', '{}')\n"
                    "json.dump([first[:2], second[:2], third[:2]], open('/tmp/seen', 'w'))")
    assert answer.ok() == "first"
    first, second, third = misuse("result = json.load(open('/tmp/seen'))").ok()
    assert first == [202, {"status": "OK"}]
    assert second == [403, {"errorType": "InvalidStateTransition", "errorMessage": "State transition from RuntimeResponseSentState to InvocationResponse failed for runtime. "
                                                                                   "Error: State transition is not allowed"}]
    assert third[0] == 403
    assert misuse(f"result = call('POST', 'invocation/{answer.request_id}/response', '1')[:2]").ok()[0] == 400, "an old id stays unknown"


def test_an_error_report_is_the_answer(misuse):
    body = {"errorMessage": "it failed", "errorType": "MyError", "stackTrace": ["a", "b"]}
    answer = misuse(f"answered = True\ncall('POST', 'invocation/' + request_id + '/error', {json.dumps(json.dumps(body))}, {{'Lambda-Runtime-Function-Error-Type': 'Function.MyError'}})")
    assert answer.error == "Unhandled" and answer.payload == body
    assert misuse("result = 1").ok() == 1


def test_an_answer_of_7_MB_is_refused_and_the_caller_is_told(misuse):
    answer = misuse("answered = True\nstatus = call('POST', 'invocation/' + request_id + '/response', 'x' * (7 << 20))[:2]\njson.dump(status, open('/tmp/seen', 'w'))")
    assert answer.error == "Unhandled" and answer.payload == {
        "errorType": "Function.ResponseSizeTooLarge", "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes)."}
    assert misuse("result = json.load(open('/tmp/seen'))").ok() == [413, {"errorType": "RequestEntityTooLarge", "errorMessage": "Exceeded maximum allowed payload size (6291556 bytes)."}]
    assert len(misuse("result = 'x' * (6 << 20)").ok()) == 6 << 20


def test_a_streamed_answer_is_given_whole(misuse):
    statements = ("answered = True\nconnection = http.client.HTTPConnection(HOST)\n"
                  "connection.request('POST', PREFIX + 'invocation/' + request_id + '/response', (p for p in (b'{\"a\"', b':', b'1}')),"
                  " {'Lambda-Runtime-Function-Response-Mode': 'streaming', 'Transfer-Encoding': 'chunked'}, encode_chunked=True)\nconnection.getresponse().read()")
    assert misuse(statements).ok() == {"a": 1}


def test_an_unknown_response_mode_fails_the_call(misuse):
    answer = misuse("answered = True\ncall('POST', 'invocation/' + request_id + '/response', '1', {'Lambda-Runtime-Function-Response-Mode': 'x'})")
    assert answer.error == "Unhandled" and answer.payload["errorType"] == "Runtime.InvalidResponseModeHeader"


def test_an_answer_that_breaks_off_fails_the_call(misuse):
    answer = misuse("answered = True\ns = socket.create_connection(('127.0.0.1', 9001))\n"
                    "s.sendall(('POST %sinvocation/%s/response HTTP/1.1\\r\\nHost: h\\r\\nContent-Length: 100\\r\\n\\r\\n{' % (PREFIX, request_id)).encode())\ns.close()")
    assert answer.error == "Unhandled" and answer.payload["errorType"] == "Runtime.TruncatedResponse"
    assert misuse("result = 2").ok() == 2


def test_garbage_on_the_port_harms_nobody(misuse):
    garbage = ("def send(data):\n    s = socket.create_connection(('127.0.0.1', 9001), timeout=20)\n    s.sendall(data)\n    got = s.recv(65536)\n    s.close()\n    return got[9:12].decode()\n"
               "result = [send(b'\\x16\\x03\\x01garbage\\r\\n\\r\\n'), send(b'GET / HTTP/1.1\\r\\n\\r\\n'), send(b'GET /2018-06-01/ping HTTP/1.1\\r\\nHost: h\\r\\nX: ' + b'y' * 70000 + b'\\r\\n\\r\\n'),"
               " send(b'PUT /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n')]")
    assert misuse(garbage).ok() == ["400", "400", "431", "405"]


def test_extensions_paths_are_not_there(misuse):
    assert misuse("result = [call('POST', 'extension/register', '{}', prefix='/2020-01-01/')[0], call('PUT', 'telemetry', '{}', prefix='/2022-07-01/')[0]]").ok() == [404, 404]


# ---- time and the end -------------------------------------------------------------------------------------------------------------------

def test_a_call_that_takes_too_long_times_out(hearth):
    function = deploy(hearth, bootstrap(MISUSE), timeout=1)
    answer = function({"python": "time.sleep(60)"})
    assert answer.error == "Unhandled" and answer.payload["errorMessage"].endswith("Task timed out after 1.00 seconds") and "Status: timeout" in answer.log
    assert function({"python": "result = 'next'"}).ok() == "next"


def test_work_after_the_answer_is_not_waited_for_and_ends_with_the_deadline(hearth):
    function = deploy(hearth, bootstrap(MISUSE), timeout=2, memory=512)
    began = time.monotonic()
    first = function({"python": "result = os.getpid()", "after": "time.sleep(60)"})
    assert first.error is None and time.monotonic() - began < 30
    assert function({"python": "result = 'another'"}).ok() == "another", "who calls meanwhile gets another instance"
    assert "timed out" not in hearth.logs_of(function.name)


def test_work_after_the_answer_goes_on_until_the_next_call(hearth, misuse):
    client = hearth.lambda_client
    client.put_function_concurrency(FunctionName=misuse.function.name, ReservedConcurrentExecutions=1)      # so that there is no other instance

    def done():
        try:
            return misuse("result = os.path.exists('/tmp/done')").ok()
        except client.exceptions.TooManyRequestsException:                                                  # it still works, in its call's place
            return False
    assert misuse("result = 1", after="time.sleep(0.3)\nopen('/tmp/done', 'w').write('yes')").ok() == 1
    wait_until(done, 30, "the instance has finished what it did after its answer")


@pytest.mark.parametrize("statements, kind, text", [
    ("os._exit(3)", "Runtime.ExitError", "exit status 3"), ("os._exit(0)", "Runtime.ExitError", "without providing a reason"),
    ("os.kill(os.getpid(), 9)", "Runtime.ExitError", "signal: killed"),
    ("block = bytearray(600 << 20)", "Runtime.OutOfMemory", "signal: killed"),
], ids=["exits", "ends", "is killed", "takes too much memory"])
def test_a_crash_fails_its_own_call_alone(hearth, statements, kind, text):
    function = deploy(hearth, bootstrap(MISUSE))
    answer = function({"python": statements})
    assert answer.error == "Unhandled"
    if kind == "Runtime.OutOfMemory" and answer.payload.get("errorType") == "Runtime.ExitError":
        assert "exit status" in answer.payload["errorMessage"] or "signal" in answer.payload["errorMessage"]  # where memory cannot be limited by a cgroup
    else:
        assert answer.payload["errorType"] == kind and text in answer.payload["errorMessage"]
    assert function({"python": "result = 'alive'"}).ok() == "alive"


def test_an_idle_instance_computes_nothing(hearth, misuse):
    misuse("def count():\n    global counter\n    while True:\n        open('/tmp/count', 'a').write('x')\n        time.sleep(0.01)\nthreading.Thread(target=count, daemon=True).start()")
    first = misuse("result = [os.path.getsize('/tmp/count'), time.time()]").ok()
    time.sleep(2)  # the instance may work in this time; that it hardly does is what is tested
    second = misuse("result = [os.path.getsize('/tmp/count'), time.time()]").ok()
    assert second[0] - first[0] < (second[1] - first[1]) * 100 / 2


# ---- wrapper scripts ----------------------------------------------------------------------------------------------------------------------

WRAPPER = """#!/bin/sh
echo "wrapped $# arguments, the last is $(eval echo \\${$#})"
export FROM_WRAPPER=yes
exec "$@"
"""


def test_a_wrapper_starts_node_with_more_options(hearth):
    wrapper = "#!/bin/bash\nargs=(\"$@\")\nexport FROM_WRAPPER=yes\nexec \"${args[0]}\" --no-deprecation \"${args[@]:1}\"\n"
    files = {**node("exports.handler = async (e) => ({ e, from: process.env.FROM_WRAPPER, options: process.execArgv.includes('--no-deprecation') });"), "wrapper": (wrapper, 0o755)}
    function = hearth.deploy(files, env={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}, memory=256)
    assert function({"a": 1}).ok() == {"e": {"a": 1}, "from": "yes", "options": True}
    assert function({"a": 2}).ok()["e"] == {"a": 2}


def test_a_wrapper_starts_python(hearth):
    files = {**python("import os\ndef handler(e, c): return {'e': e, 'from': os.environ.get('FROM_WRAPPER')}"), "wrapper": (WRAPPER, 0o755)}
    function = hearth.deploy(files, runtime="python3.11", env={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"})
    answer = function({"a": 1})
    assert answer.ok() == {"e": {"a": 1}, "from": "yes"}
    assert "wrapped 3 arguments, the last is /var/runtime/hearth/bootstrap.py" in answer.log


@pytest.mark.parametrize("wrapper, status, words", [("/opt/none", 127, "/opt/none: does not exist"), ("/var/task/plain", 126, "/var/task/plain: is not an executable")])
def test_a_wrapper_that_cannot_run_says_so(hearth, wrapper, status, words):
    function = hearth.deploy({**node("exports.handler = async () => 1;"), "plain": "x"}, env={"AWS_LAMBDA_EXEC_WRAPPER": wrapper})
    answer = function({})
    assert answer.error == "Unhandled" and answer.payload["errorType"] == "Runtime.ExitError" and f"exit status {status}" in answer.payload["errorMessage"]
    assert words in answer.log


def test_a_wrapper_is_ignored_for_provided_runtimes(hearth):
    assert deploy(hearth, bootstrap(SHELL), env={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/none"}, memory=512)({}).ok()["handler"] == "the.handler"


# ---- layers on /opt -------------------------------------------------------------------------------------------------------------------------

def layer(hearth, files, **more):
    return hearth.lambda_client.publish_layer_version(LayerName=f"l-{time.monotonic_ns()}", Content={"ZipFile": make_zip(files)}, **more)["LayerVersionArn"]


def test_a_bootstrap_comes_from_a_layer(hearth):
    runtime = layer(hearth, {"bootstrap": (SHELL, 0o755)}, CompatibleRuntimes=["provided.al2023"])
    function = deploy(hearth, make_zip({"handler.sh": "x"}), Layers=[runtime], memory=512)
    assert function({"a": 1}).ok()["event"] == {"a": 1}


def test_later_layers_lie_over_earlier_ones(hearth, misuse):
    layers = [layer(hearth, {"common": str(n), f"only-{n}": "x", "lib/common": str(n)}) for n in range(5)]
    misuse.function.configure(Layers=layers)
    seen = misuse("result = {f: open('/opt/' + f).read() for f in ('common', 'lib/common')}\nresult['all'] = sorted(os.listdir('/opt'))\n"
                  "try:\n    open('/opt/new', 'w')\nexcept OSError as e:\n    result['error'] = e.strerror").ok()
    assert seen == {"common": "4", "lib/common": "4", "all": ["common", "lib", *(f"only-{n}" for n in range(5))], "error": "Read-only file system"}
    misuse.function.configure(Layers=layers[::-1])
    assert misuse("result = open('/opt/common').read()").ok() == "0"
    misuse.function.configure(Layers=[])
    assert misuse("result = sorted(os.listdir('/opt'))").ok() == ["bin", "lib"]


def test_python_finds_modules_of_layers_behind_the_functions_own(hearth):
    layers = [layer(hearth, {"python/shared.py": "name = 'layer'", "python/own.py": "name = 'layer'"}),
              layer(hearth, {"python/lib/python3.11/site-packages/packaged.py": "name = 'site-packages'", "python/packaged.py": "name = 'python'"})]
    function = hearth.deploy({"lambda_function.py": "import shared, packaged, own\ndef handler(e, c): return [shared.name, packaged.name, own.name]", "own.py": "name = 'function'"},
                             runtime="python3.11", Layers=layers)
    assert function({}).ok() == ["layer", "site-packages", "function"]


def test_node_finds_modules_of_layers(hearth):
    layers = [layer(hearth, {"nodejs/node_modules/shared/index.js": "module.exports = 'any';"}),
              layer(hearth, {"nodejs/node20/node_modules/shared/index.js": "module.exports = 'node20';", "nodejs/node20/node_modules/own/index.js": "module.exports = 'layer';"})]
    files = {"index.js": "exports.handler = async () => [require('shared'), require('own')];", "node_modules/own/index.js": "module.exports = 'function';"}
    assert hearth.deploy(files, Layers=layers)({}).ok() == ["node20", "function"]


def test_programs_and_libraries_of_layers_are_found(hearth, tmp_path):
    (tmp_path / "answer.c").write_text("int answer(void) { return 42; }")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "libanswer.so", "answer.c"], cwd=tmp_path, check=True)
    made = layer(hearth, {"bin/greet": ("#!/bin/sh\necho hello from the layer\n", 0o755), "lib/libanswer.so": (tmp_path / "libanswer.so").read_bytes()})
    function = hearth.deploy({"lambda_function.py": "import ctypes, subprocess\ndef handler(e, c): return [ctypes.CDLL('libanswer.so').answer(), subprocess.check_output(['greet'], text=True)]"},
                             runtime="python3.11", Layers=[made])
    assert function({}).ok() == [42, "hello from the layer\n"]


def test_a_wrapper_may_come_from_a_layer(hearth):
    made = layer(hearth, {"wrap": (WRAPPER, 0o755)})
    function = hearth.deploy(node("exports.handler = async () => process.env.FROM_WRAPPER;"), Layers=[made], env={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"})
    assert function({}).ok() == "yes"


# ---- as others -----------------------------------------------------------------------------------------------------------------------------

def test_all_of_it_as_an_ordinary_user(new_hearth, c_bootstrap):
    server = new_hearth(user="ordinary")
    layers = [layer(server, {"bootstrap": (c_bootstrap, 0o755)}), layer(server, {"second": "x"})]
    function = deploy(server, make_zip({"x": "y"}), Layers=layers)
    assert [function({}).ok()["calls"] for _ in range(5)] == [1, 2, 3, 4, 5]
