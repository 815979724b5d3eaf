"""The Lambda contract for Python, as a developer sees it through Invoke.

Sources: the AWS Lambda developer guide ("Building Lambda functions with Python") and aws-lambda-python-runtime-interface-client,
whose error types and texts these are.
"""
import json
import re
import time

import pytest

from helpers import aws_error, python, wait_until
from test_contract_node import REPORT

RUNTIME = "python3.11"      # Debian 12's own


@pytest.fixture
def deploy(hearth):
    import subprocess
    system = subprocess.run(["/usr/bin/python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"], capture_output=True, text=True).stdout.strip()

    def deploy(files, **more):
        return hearth.deploy(python(files) if isinstance(files, str) else files, runtime=system or RUNTIME, **more)
    return deploy


MODULES = {
    "a module": ({"lambda_function.py": "def handler(event, context):\n    return {'got': event['n']}\n"}, "lambda_function.handler"),
    "a module in a folder": ({"src/app.py": "def run(event, context):\n    return {'got': event['n']}\n"}, "src/app.run"),
    "a package": ({"shop/__init__.py": "", "shop/orders.py": "from . import rates\ndef get(event, context):\n    return {'got': event['n'] * rates.ONE}\n", "shop/rates.py": "ONE = 1\n"}, "shop.orders.get"),
    "a package itself": ({"shop/__init__.py": "def get(event, context):\n    return {'got': event['n']}\n"}, "shop.get"),
    "a vendored dependency": ({"lambda_function.py": "import mine\ndef handler(event, context):\n    return {'got': mine.same(event['n'])}\n", "mine/__init__.py": "def same(n):\n    return n\n"}, "lambda_function.handler"),
    "a class with __call__": ({"lambda_function.py": "class H:\n    def __call__(self, event, context):\n        return {'got': event['n']}\nhandler = H()\n"}, "lambda_function.handler"),
}


@pytest.mark.parametrize("style", list(MODULES))
def test_a_module_of_each_style_is_loaded(deploy, style):
    files, handler = MODULES[style]
    function = deploy(files, handler=handler)
    assert function({"n": 42}).ok() == {"got": 42}
    assert function({"n": 43}).ok() == {"got": 43}


@pytest.mark.parametrize("event", [{"deep": {"er": [1, {"x": "ß€😀"}]}}, "text", 12, [1, 2], None, True, {}, ""])
def test_any_json_value_is_an_event_and_an_answer(deploy, event):
    function = deploy("def handler(event, context):\n    return event\n")
    assert function(json.dumps(event).encode()).ok() == event


def test_an_invocation_without_payload_gets_an_empty_dict(deploy):
    assert deploy("def handler(event, context):\n    return repr(event)\n")().ok() == "{}"


def test_text_comes_back_as_utf_8_and_not_escaped_away(deploy):
    function = deploy("def handler(event, context):\n    return 'ü€😀' if event else None\n")
    assert function({"a": 1}).ok() == "ü€😀"


CONTEXT = """
import time
def handler(event, context):
    time.sleep(0.03)
    return {
        'function_name': context.function_name, 'function_version': context.function_version, 'invoked_function_arn': context.invoked_function_arn,
        'memory_limit_in_mb': context.memory_limit_in_mb, 'aws_request_id': context.aws_request_id, 'log_group_name': context.log_group_name,
        'log_stream_name': context.log_stream_name, 'remaining': context.get_remaining_time_in_millis(),
        'identity': [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id],
        'client': context.client_context and {'custom': context.client_context.custom, 'env': context.client_context.env, 'title': context.client_context.client.app_title},
        'text': str(context)}
"""


def test_the_context_object_is_whole(deploy):
    import base64
    function = deploy(CONTEXT, timeout=7, memory=256)
    answer = function({})
    context = answer.ok()
    assert context["function_name"] == function.name and context["function_version"] == "$LATEST"
    assert context["invoked_function_arn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{function.name}"
    assert str(context["memory_limit_in_mb"]) == "256"
    assert context["aws_request_id"] == answer.request_id
    assert context["log_group_name"] == f"/aws/lambda/{function.name}"
    assert re.match(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$", context["log_stream_name"])
    assert 5000 < context["remaining"] < 6990
    assert context["identity"] == [None, None] and context["client"] is None
    client_context = base64.b64encode(json.dumps({"custom": {"a": "b"}, "env": {"locale": "de"}, "client": {"app_title": "t"}}).encode()).decode()
    assert function({}, ClientContext=client_context).ok()["client"] == {"custom": {"a": "b"}, "env": {"locale": "de"}, "title": "t"}


def test_the_environment_is_lambdas(deploy):
    function = deploy("import os, sys, time\ndef handler(event, context):\n    return {'env': dict(os.environ), 'cwd': os.getcwd(), 'file': __file__, 'path': sys.path, 'tz': time.timezone, 'version': '%d.%d' % sys.version_info[:2], 'uid': os.getuid()}\n",
                      memory=192, env={"MINE": "ü = 1", "EMPTY": ""})
    got = function({}).ok()
    env = got["env"]
    expected = {
        "_HANDLER": "lambda_function.handler", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{got['version']}", "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "LANG": "en_US.UTF-8", "TZ": ":UTC", "LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime", "MINE": "ü = 1", "EMPTY": "",
    }
    assert {k: env.get(k) for k in expected} == expected
    assert re.match(r"ASIA[A-Z2-7]{16}$", env["AWS_ACCESS_KEY_ID"])
    assert env["PATH"].split(":")[0] == "/var/lang/bin" and "/opt/bin" in env["PATH"].split(":")
    for directory in ("/var/lang/lib", "/var/task", "/var/task/lib", "/opt/lib", "/var/runtime"):
        assert directory in env["LD_LIBRARY_PATH"].split(":")
    assert got["cwd"] == "/var/task" and got["file"] == "/var/task/lambda_function.py" and got["tz"] == 0
    assert got["path"][0] == "/var/task"
    assert "/opt/python" in got["path"] or f"/opt/python/lib/python{got['version']}/site-packages" in got["path"]
    assert got["uid"] != 0


def test_background_threads_are_frozen_between_calls(deploy):
    function = deploy("import threading, time\nticks = 0\ndef run():\n    global ticks\n    while True:\n        ticks += 1\n        time.sleep(0.001)\nthreading.Thread(target=run, daemon=True).start()\n"
                      "def handler(event, context):\n    time.sleep(event.get('wait', 0))\n    return ticks\n")
    assert function({"wait": 0.3}).ok() > 0
    before = function({}).ok()
    time.sleep(1.0)
    assert function({}).ok() - before < 100, "the thread ran while no call was there"


def test_printing_and_logging_are_lambdas(deploy):
    function = deploy("import logging, sys\nlogger = logging.getLogger()\nlogger.setLevel('INFO')\n"
                      "def handler(event, context):\n    print('printed')\n    print('to stderr', file=sys.stderr)\n    logger.info('informed %d', 7)\n    logger.debug('not this')\n    logging.getLogger('a.b').warning('warned')\n"
                      "    try:\n        1/0\n    except ZeroDivisionError:\n        logger.exception('caught')\n")
    answer = function({})
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.search(r"^printed$", answer.log, re.M) and re.search(r"^to stderr$", answer.log, re.M)
    assert re.search(rf"^\[INFO\]\t{stamp}\t{answer.request_id}\tinformed 7$", answer.log, re.M)
    assert re.search(rf"^\[WARNING\]\t{stamp}\t{answer.request_id}\twarned$", answer.log, re.M)
    assert re.search(rf"^\[ERROR\]\t{stamp}\t{answer.request_id}\tcaught", answer.log, re.M) and "ZeroDivisionError" in answer.log
    assert "not this" not in answer.log
    report = REPORT.search(answer.log)
    assert report["id"] == answer.request_id and report["init"] is not None
    assert f"START RequestId: {answer.request_id} Version: $LATEST" in answer.log and f"END RequestId: {answer.request_id}" in answer.log


def test_the_root_logger_says_warnings_only_by_default(deploy):
    function = deploy("import logging\ndef handler(event, context):\n    logging.info('quiet')\n    logging.warning('loud')\n")
    log = function({}).log
    assert "quiet" not in log and "loud" in log


def test_an_exception_becomes_lambdas_error_payload(deploy):
    function = deploy("class OrderNotFound(Exception):\n    pass\ndef find(n):\n    raise OrderNotFound(f'order {n}')\ndef handler(event, context):\n    return find(event['n'])\n")
    answer = function({"n": 7})
    assert answer.status == 200 and answer.error == "Unhandled" and answer.headers["x-amz-function-error"] == "Unhandled"
    payload = answer.payload
    assert payload["errorType"] == "OrderNotFound" and payload["errorMessage"] == "order 7" and payload["requestId"] == answer.request_id
    assert [re.match(r'  File "/var/task/lambda_function.py", line \d+, in (\w+)\n', line).group(1) for line in payload["stackTrace"]] == ["handler", "find"]
    assert "[ERROR] OrderNotFound: order 7" in answer.log and "Traceback (most recent call last):" in answer.log


def failing_init(deploy, files, handler="lambda_function.handler"):
    function = deploy(files, handler=handler)
    answer = function({})
    assert answer.status == 200 and answer.error == "Unhandled"
    assert function({}).payload["errorType"] == answer.payload["errorType"], "the next call says the same"
    return answer.payload


def test_a_missing_module_is_an_import_error(deploy):
    payload = failing_init(deploy, {"other.py": "x = 1\n"})
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert payload["errorMessage"] == "Unable to import module 'lambda_function': No module named 'lambda_function'"


def test_a_missing_dependency_is_an_import_error_that_names_it(deploy):
    payload = failing_init(deploy, "import not_there\ndef handler(event, context):\n    pass\n")
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert payload["errorMessage"] == "Unable to import module 'lambda_function': No module named 'not_there'"


def test_a_missing_handler_is_named(deploy):
    payload = failing_init(deploy, "def other(event, context):\n    pass\n")
    assert payload["errorType"] == "Runtime.HandlerNotFound"
    assert payload["errorMessage"] == "Handler 'handler' missing on module 'lambda_function'"


def test_a_malformed_handler_name_is_told(deploy):
    payload = failing_init(deploy, "def handler(event, context):\n    pass\n", handler="lambda_function")
    assert payload["errorType"] == "Runtime.MalformedHandlerName"
    assert payload["errorMessage"] == "Bad handler 'lambda_function': not enough values to unpack (expected 2, got 1)"


def test_a_syntax_error_is_told_with_its_line(deploy):
    payload = failing_init(deploy, "def handler(event, context):\n    return = 5\n")
    assert payload["errorType"] == "Runtime.UserCodeSyntaxError"
    assert payload["errorMessage"].startswith("Syntax error in module 'lambda_function': ") and "line 2" in payload["errorMessage"]


def test_an_error_at_load_keeps_its_own_type(deploy):
    payload = failing_init(deploy, "raise RuntimeError('at load')\n")
    assert payload["errorType"] == "RuntimeError" and payload["errorMessage"] == "at load"


def test_an_answer_that_is_no_json_is_a_marshal_error(deploy):
    payload = deploy("def handler(event, context):\n    return {1, 2}\n")({}).payload
    assert payload["errorType"] == "Runtime.MarshalError"
    assert payload["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


def test_warm_state_is_kept_after_a_handlers_error(deploy):
    function = deploy("calls = 0\ndef handler(event, context):\n    global calls\n    calls += 1\n    if event.get('fail'):\n        raise ValueError('x')\n    return calls\n")
    assert function({}).ok() == 1
    assert function({"fail": True}).payload["errorType"] == "ValueError"
    assert function({}).ok() == 3


@pytest.mark.parametrize("how, text", [("import sys; sys.exit(1)", "exit status 1"), ("import os; os._exit(7)", "exit status 7"), ("import os; os.kill(os.getpid(), 9)", "signal: killed"),
                                       ("import os; os.abort()", "signal: aborted")])
def test_a_process_that_ends_in_the_handler_is_told_and_the_next_call_works(deploy, how, text):
    function = deploy(f"def handler(event, context):\n    if event.get('end'):\n        {how}\n    return 'fine'\n")
    answer = function({"end": True})
    assert answer.error == "Unhandled" and answer.payload["errorType"] == "Runtime.ExitError"
    assert answer.payload["errorMessage"] == f"RequestId: {answer.request_id} Error: Runtime exited with error: {text}"
    assert function({}).ok() == "fine"


@pytest.mark.parametrize("how", ["import time; time.sleep(30)", "while True: pass"])
def test_a_timeout_is_told_and_the_next_call_works(deploy, how):
    function = deploy(f"calls = 0\ndef handler(event, context):\n    global calls\n    calls += 1\n    if event.get('slow'):\n        {how}\n    return calls\n", timeout=1)
    assert function({}).ok() == 1
    answer = function({"slow": True})
    assert re.search(rf"{answer.request_id}( Error:)? Task timed out after 1\.00 seconds", answer.payload["errorMessage"])
    assert function({}).ok() == 1


def test_out_of_memory_is_told_and_the_next_call_works(deploy):
    function = deploy("keep = []\ndef handler(event, context):\n    for _ in range(400 if event.get('eat') else 0):\n        keep.append(b'x' * 1048576)\n    return 'fine'\n")
    answer = function({"eat": True})
    assert answer.error == "Unhandled" and answer.payload["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError", "MemoryError")
    assert function({}).ok() == "fine"


def test_a_128_mb_function_writes_512_mb_to_tmp_and_then_gets_no_space_left(deploy):
    function = deploy("""
import os
def handler(event, context):
    written = 0
    try:
        with open('/tmp/big', 'wb', buffering=0) as file:
            while written < (800 << 20):
                written += file.write(b'x' * (1 << 20))
    except OSError as error:
        return {'mb': written >> 20, 'error': error.errno}
    return {'mb': written >> 20, 'error': None}
""", memory=128, timeout=120)
    answer = function({}).ok()
    assert answer["error"] == 28, answer                       # ENOSPC
    assert 440 <= answer["mb"] <= 540        # the file system's own room differs a little


def test_tmp_lives_as_long_as_its_instance_and_no_longer(deploy):
    function = deploy("import os\ndef handler(event, context):\n    there = os.path.exists('/tmp/mark')\n    open('/tmp/mark', 'w').close()\n    if event.get('end'):\n        os._exit(1)\n    return there\n")
    assert function({}).ok() is False
    assert function({}).ok() is True
    function({"end": True})
    assert function({}).ok() is False


def test_multiprocessing_pipes_threads_and_subprocesses_work(deploy):
    function = deploy("""
import subprocess, sys, threading, tempfile, sqlite3, ssl, zoneinfo, datetime
from multiprocessing import Process, Pipe
def child(pipe):
    pipe.send(42)
def handler(event, context):
    here, there = Pipe()
    process = Process(target=child, args=(there,))
    process.start(); got = here.recv(); process.join()
    box = []
    thread = threading.Thread(target=lambda: box.append(1)); thread.start(); thread.join()
    with tempfile.NamedTemporaryFile() as file:
        connection = sqlite3.connect(file.name); connection.execute('create table t (a)'); connection.close()
    return {'process': got, 'thread': box, 'subprocess': subprocess.run(['/bin/sh', '-c', 'echo $((6*7))'], capture_output=True, text=True).stdout.strip(),
            'authorities': len(ssl.create_default_context().get_ca_certs()) > 50,
            'zone': str(datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset())}
""", memory=256)
    assert function({}).ok() == {"process": 42, "thread": [1], "subprocess": "42", "authorities": True, "zone": "2:00:00"}


def test_a_function_calls_another_with_boto3_and_no_settings(deploy):
    callee = deploy("def handler(event, context):\n    return {'twice': event['n'] * 2}\n")
    caller = deploy("import boto3, json\nclient = boto3.client('lambda')\ndef handler(event, context):\n    answer = client.invoke(FunctionName=event['name'], Payload=json.dumps({'n': event['n']}))\n"
                    "    return {'there': json.load(answer['Payload']), 'who': boto3.client('sts').get_caller_identity()['Arn']}\n", memory=256, timeout=30)
    answer = caller({"name": callee.name, "n": 21}).ok()
    assert answer == {"there": {"twice": 42}, "who": f"arn:aws:sts::000000000000:assumed-role/hearth-basic/{caller.name}"}
    assert caller({"name": callee.name, "n": 1}).ok()["there"] == {"twice": 2}


def test_an_instances_key_ends_with_the_instance(hearth, deploy):
    function = deploy("import os\ndef handler(event, context):\n    return {k: os.environ[k] for k in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN')}\n")
    keys = function({}).ok()
    options = dict(aws_access_key_id=keys["AWS_ACCESS_KEY_ID"], aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"], aws_session_token=keys["AWS_SESSION_TOKEN"])
    assert hearth.client("sts", **options).get_caller_identity()["Arn"].endswith("/" + function.name)
    assert aws_error(hearth.client("lambda", **options).list_functions).code == "AccessDeniedException"
    wrong_token = {**options, "aws_session_token": "x" + keys["AWS_SESSION_TOKEN"][1:]}
    assert aws_error(hearth.client("sts", **wrong_token).get_caller_identity).status == 403
    without = {k: v for k, v in options.items() if k != "aws_session_token"}
    assert aws_error(hearth.client("sts", **without).get_caller_identity).status == 403
    function.delete()
    wait_until(lambda: key_is_refused(hearth, options), 30, "the key of a deleted function's instance is refused")


def key_is_refused(hearth, options):
    try:
        hearth.client("sts", **options).get_caller_identity()
    except Exception as refused:                       # noqa: B902
        return "security token" in str(refused) or "InvalidClientTokenId" in str(refused)
    return False


def test_a_python_that_is_not_there_is_refused_with_the_remedy(hearth):
    try:
        function = hearth.deploy(python("import sys\ndef handler(e, c):\n    return '%d.%d' % sys.version_info[:2]\n"), runtime="python3.14")
    except Exception as refused:                       # noqa: B902
        assert "python3.14" in str(refused)
    else:
        assert function({}).ok() == "3.14"


@pytest.mark.fast
def test_the_shortest_way_in_python(deploy):
    function = deploy("def handler(event, context):\n    return 'hello ' + event['who']\n")
    assert function({"who": "you"}).ok() == "hello you"
