"""Python functions, as Lambda calls them: modules, context, answers, errors."""

import json
import time

import pytest

from instance import ARN, REQUEST_ID

HANDLER = "def handler(event, context):\n    "


# ---- modules ----

@pytest.mark.parametrize("file,handler", [
    ("index.py", "index.handler"), ("src/app.py", "src.app.handler"), ("src/app.py", "src/app.handler"),
    ("package/__init__.py", "package.handler"),
])
def test_a_module_may_lie_in_packages_and_directories(python, file, handler):
    python.main_file = file
    assert python.start(HANDLER + "return __name__", handler=handler).ready().answer() == handler.replace("/", ".")[:-8]


def test_the_package_comes_first_in_the_path_and_nothing_of_ours_is_in_it(python):
    instance = python.start("import sys, part\n" + HANDLER + "return [part.NAME, sys.path]", files={"part.py": "NAME = 'part'"})
    name, path = instance.ready().answer()
    version = f"python3.{python.minor}"
    assert name == "part"
    assert path[:4] == [str(instance.task), f"/opt/python/lib/{version}/site-packages", "/opt/python", "/var/runtime"]
    assert not [entry for entry in path if "runtimes/python" in entry]
    assert len(set(path)) == len(path)


def test_importing_writes_nothing_into_the_package(python):
    instance = python.start("import part\n" + HANDLER + "return 1", files={"part.py": ""}).ready()
    instance.answer()
    assert sorted(path.name for path in instance.task.iterdir()) == ["index.py", "part.py"]


def test_the_bootstrap_starts_where_python_keeps_the_scripts_directory_out_of_the_path(python):
    assert python.start(HANDLER + "return 1", PYTHONSAFEPATH="1").ready().answer() == 1


def test_a_cold_start_imports_none_of_what_it_may_not_need(python):
    instance = python.start("import sys\nloaded = set(sys.modules)\n" + HANDLER +
                            "return sorted(loaded & {'logging', 'traceback', 'socket', 'decimal', 'threading', 'botocore', 'ssl'})")
    assert instance.ready().answer() == []


def test_a_module_that_shares_a_name_with_ours_is_the_users(python):
    instance = python.start("import main, channel, answers\n" + HANDLER + "return [main.WHOSE, channel.WHOSE, answers.WHOSE]",
                            files={f"{name}.py": "WHOSE = 'mine'" for name in ("main", "channel", "answers")})
    assert instance.ready().answer() == ["mine"] * 3


def test_what_is_kept_outside_the_handler_stays_warm_also_after_an_error(python):
    instance = python.start("calls = 0\ndef handler(fail, context):\n    global calls\n    calls += 1\n    if fail:\n"
                            "        raise Exception('x')\n    return calls").ready()
    assert instance.answer(False) == 1
    instance.failure(True)
    assert instance.answer(False) == 3


# ---- the context object ----

def test_the_whole_context_object(python):
    instance = python.start(HANDLER + "return {**{k: v for k, v in vars(context).items() if not k.startswith('_')},"
                            "'identity': repr(context.identity)}").ready()
    assert instance.answer() == {
        "aws_request_id": REQUEST_ID, "log_group_name": "/aws/lambda/hello",
        "log_stream_name": "2026/11/23/[$LATEST]0123456789abcdef", "function_name": "hello", "function_version": "$LATEST",
        "memory_limit_in_mb": "256", "invoked_function_arn": ARN, "client_context": None, "tenant_id": None,
        "identity": "CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None])"}


def test_the_time_that_is_left_is_that_until_the_deadline_and_never_below_zero(python):
    instance = python.start(HANDLER + "return context.get_remaining_time_in_millis()").ready()
    assert 590_000 < instance.answer(deadline_ms=int(time.time() * 1000) + 600_000) <= 600_000
    assert instance.answer(deadline_ms=int(time.time() * 1000) - 1000) == 0


def test_client_context_and_identity_are_objects_with_lambdas_attributes(python):
    instance = python.start(HANDLER + "c, i = context.client_context, context.identity\n"
                            "    return [c.client.app_title, c.client.app_version_name, c.custom, c.env, i.cognito_identity_id, "
                            "i.cognito_identity_pool_id]").ready()
    client = {"client": {"app_title": "ä"}, "custom": {"a": "1"}}
    assert instance.answer(client_context=json.dumps(client), identity='{"cognitoIdentityId": "us-east-1:1"}') == [
        "ä", None, {"a": "1"}, None, "us-east-1:1", None]
    failure = instance.failure(client_context="{")
    assert failure["errorType"] == "Runtime.LambdaContextUnmarshalError"
    assert failure["errorMessage"].startswith("Unable to parse Client Context JSON: ")


def test_the_context_prints_and_logs(python):
    instance = python.start(HANDLER + "context.log('as it is\\n')\n    return repr(context)").ready()
    assert instance.answer().startswith(f"LambdaContext([aws_request_id={REQUEST_ID},log_group_name=/aws/lambda/hello,")
    assert instance.stdout() == "as it is\n"


def test_the_trace_is_in_the_environment_of_its_own_invocation_only(python):
    instance = python.start("import os\n" + HANDLER + "return os.environ.get('_X_AMZN_TRACE_ID')").ready()
    assert instance.answer(trace="Root=1-5759e988-bd862e3fe1be46a994272793").startswith("Root=1-5759e988")
    assert instance.answer() is None


# ---- answers ----

@pytest.mark.parametrize("result,text", [
    ("None", "null"), ("True", "true"), ("1.5", "1.5"), ("(1, 'a')", '[1, "a"]'), ("{'a': {'b': [None]}}", '{"a": {"b": [null]}}'),
    ("{1: 1, 1.5: 2, None: 3, True: 4}", '{"1": 4, "1.5": 2, "null": 3}'), ("float('nan')", "NaN"),
    ("[float('inf'), -float('inf')]", "[Infinity, -Infinity]"),
    ("decimal.Decimal('1.10')", "1.10"), ("{'d': decimal.Decimal('1E+3'), 'n': decimal.Decimal('NaN')}", '{"d": 1E+3, "n": NaN}'),
    ("Point(1, Point(2, 'x'))", '{"x": 1, "y": {"x": 2, "y": "x"}}'), ("{'b': b'bytes'}", '{"b": "bytes"}'),
    ("{b'key': 1}", '{"key": 1}'), ("collections.OrderedDict(a=1)", '{"a": 1}'), ("Colour.RED", "1"), ("Text('sub')", '"sub"'),
    ("b'{\"raw\": 1}'", '{"raw": 1}'), ("[Point(True, 1.5), float('nan'), b'\"']", '[{"x": true, "y": 1.5}, NaN, "\\""]'),
])
def test_a_result_is_written_as_lambda_writes_it(python, result, text):
    instance = python.start("import collections, decimal, enum\nPoint = collections.namedtuple('Point', 'x y')\n"
                            "Colour = enum.IntEnum('Colour', 'RED')\nclass Text(str): pass\n" + HANDLER + f"return {result}").ready()
    assert instance.call().json_text.decode() == text


@pytest.mark.parametrize("runtime,text", [("python3.11", '"\\u00e9\\ud83d\\ude00"'), ("python3.12", '"é😀"')])
@pytest.mark.parametrize("wrapped", ["{}", "Text({})"], ids=["plain", "derived"])
def test_text_is_ASCII_up_to_python_3_11_and_UTF_8_after_it(python, runtime, text, wrapped):
    instance = python.start("class Text(str): pass\n" + HANDLER + "return " + wrapped.format("'é😀'"),
                            AWS_EXECUTION_ENV=f"AWS_Lambda_{runtime}").ready()
    assert instance.call().json_text.decode() == text


def test_half_of_a_surrogate_pair_survives(python):
    assert python.start(HANDLER + "return '\\ud800'").ready().call().json_text == b'"\\ud800"'


@pytest.mark.parametrize("result,message", [
    ("object()", "Object of type object is not JSON serializable"), ("{1, 2}", "Object of type set is not JSON serializable"),
    ("[lambda: 1]", "Object of type function is not JSON serializable"), ("circle", "Circular reference detected"),
    ("{(1, 2): 3}", "keys must be str, int, float, bool or None, not tuple"),
    ("datetime.datetime.now()", "Object of type datetime is not JSON serializable"),
])
def test_a_result_that_JSON_cannot_hold_is_an_error_and_the_instance_stays(python, result, message):
    instance = python.start("import datetime\ncircle = []\ncircle.append(circle)\ndef handler(fail, context):\n"
                            f"    return {result} if fail else 'on'").ready()
    assert instance.failure(True) == {"errorMessage": f"Unable to marshal response: {message}", "errorType": "Runtime.MarshalError",
                                      "requestId": REQUEST_ID, "stackTrace": []}
    assert instance.answer(False) == "on"


def test_an_event_that_is_no_JSON_is_named(python):
    failure = python.start(HANDLER + "return 1").ready().failure(payload=b"{")
    assert failure["errorType"] == "Runtime.UnmarshalError"
    assert failure["errorMessage"].startswith("Unable to unmarshal input: ")


# ---- errors ----

def test_an_error_is_told_with_its_type_message_and_frames_and_ours_are_not_among_them(python):
    instance = python.start("class Missing(Exception): pass\ndef inner():\n    raise Missing('no such thing')\n" + HANDLER + "inner()")
    failure = instance.ready().failure()
    file = instance.task / "index.py"
    frames = [f'  File "{file}", line 5, in handler\n    inner()\n',
              f'  File "{file}", line 3, in inner\n    raise Missing(\'no such thing\')\n']
    assert failure == {"errorMessage": "no such thing", "errorType": "Missing", "requestId": REQUEST_ID, "stackTrace": frames}
    assert list(failure) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    indent = "\u00a0"
    assert instance.stdout() == "\r".join([
        "[ERROR] Missing: no such thing", "Traceback (most recent call last):",
        f'{indent * 2}File "{file}", line 5, in handler', f"{indent * 4}inner()",
        f'{indent * 2}File "{file}", line 3, in inner', f"{indent * 4}raise Missing('no such thing')"]) + "\n"


def test_an_error_without_a_message_is_told_without_one(python):
    instance = python.start(HANDLER + "raise KeyError()").ready()
    assert instance.failure()["errorMessage"] == ""
    assert instance.stdout().startswith("[ERROR] KeyError\rTraceback")


def test_as_JSON_an_error_is_an_object_in_the_log(python):
    instance = python.start(HANDLER + "raise ValueError('é')", AWS_LAMBDA_LOG_FORMAT="JSON").ready()
    failure = instance.failure()
    entry = json.loads(instance.stdout())
    assert list(entry) == ["timestamp", "log_level", "errorMessage", "errorType", "requestId", "stackTrace"]
    assert entry["log_level"] == "ERROR" and {**entry, **failure} == entry


@pytest.mark.parametrize("source,handler,error_type,message", [
    ("", "index", "Runtime.MalformedHandlerName", "Bad handler 'index': not enough values to unpack (expected 2, got 1)"),
    ("", "absent.handler", "Runtime.ImportModuleError", "Unable to import module 'absent': No module named 'absent'"),
    ("import left_out", "index.handler", "Runtime.ImportModuleError", "Unable to import module 'index': No module named 'left_out'"),
    ("other = 1", "index.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'"),
    ("", "sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
])
def test_a_handler_that_cannot_be_loaded_is_named(python, source, handler, error_type, message):
    instance = python.start(source, handler=handler)
    assert instance.init_failure() == {"errorMessage": message, "errorType": error_type, "requestId": "", "stackTrace": []}
    assert instance.stdout() == f"[ERROR] {error_type}: {message}\rTraceback (most recent call last):\n"


def test_a_syntax_error_is_one_and_says_where(python):
    instance = python.start("a = 1\nb = (\n")
    failure = instance.init_failure()
    assert failure["errorType"] == "Runtime.UserCodeSyntaxError"
    assert failure["errorMessage"].startswith("Syntax error in module 'index': ")
    assert f'File "{instance.task}/index.py" Line 2' in failure["stackTrace"][0]


def test_an_error_while_loading_is_told_as_it_is(python):
    instance = python.start("raise ValueError('while loading')")
    failure = instance.init_failure()
    assert (failure["errorType"], failure["errorMessage"], failure["requestId"]) == ("ValueError", "while loading", "")
    assert failure["stackTrace"][-1] == f'  File "{instance.task}/index.py", line 1, in <module>\n    raise ValueError(\'while loading\')\n'
    assert not [frame for frame in failure["stackTrace"] if "hearth_runtime" in frame]


@pytest.mark.parametrize("how,status", [("sys.exit(3)", 3), ("sys.exit(0)", 0), ("os._exit(5)", 5)])
def test_an_exit_in_a_handler_ends_the_instance_without_an_answer(python, how, status):
    instance = python.start("import os, sys\n" + HANDLER + f"print('last', end='')\n    sys.stdout.flush()\n    {how}").ready()
    instance.send_invoke()
    assert instance.exit_status() == status
    assert instance.stdout() == "last"


def test_an_exit_while_loading_ends_it_with_that_status(python):
    assert python.start("import sys\nsys.exit(4)").exit_status() == 4


# ---- output ----

def test_what_is_printed_is_there_before_the_answer_however_much(python):
    instance = python.start("import sys\n" + HANDLER + "print('a' * 1000000, end='')\n    sys.stderr.write('b' * 1000000)\n"
                            "    print('é', end='')").ready()
    instance.answer()
    assert instance.stdout() == "a" * 1000000 + "é"
    assert instance.stderr() == "b" * 1000000


def test_a_line_is_out_as_soon_as_it_is_printed(python):
    instance = python.start("import os\n" + HANDLER + "print('line')\n    os._exit(1)").ready()
    instance.send_invoke()
    instance.exit_status()
    assert instance.stdout() == "line\n"


def test_a_function_that_replaces_or_closes_its_output_goes_on(python):
    instance = python.start("import io, sys\n" + HANDLER + "sys.stdout = io.StringIO()\n    print('away')\n    sys.stderr.close()\n"
                            "    return 'on'").ready()
    assert instance.answer() == "on"
    assert instance.answer() == "on"


def test_many_answers_in_a_row_are_each_the_right_one(python):
    instance = python.start(HANDLER + "return {'id': event['id'], 'twice': event['id'] * 2}").ready()
    for number in range(2000):
        assert instance.answer({"id": number}) == {"id": number, "twice": number * 2}


def test_what_lambda_functions_use_of_python_works(python):
    instance = python.start("""
import asyncio, concurrent.futures, subprocess, tempfile, threading
async def later():
    await asyncio.sleep(0.001)
    return 'later'
def handler(event, context):
    seen = []
    thread = threading.Thread(target=seen.append, args=('thread',))
    thread.start()
    thread.join()
    with concurrent.futures.ThreadPoolExecutor(4) as pool, tempfile.TemporaryFile() as file:
        file.write(b'x')
        return [seen, asyncio.run(later()), list(pool.map(str, [1, 2])),
                subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout]
""").ready()
    expected = [["thread"], "later", ["1", "2"], "child\n"]
    assert instance.answer() == expected
    assert instance.answer() == expected


def test_a_forked_child_does_not_speak_for_the_instance(python):
    instance = python.start("import os\n" + HANDLER + "child = os.fork()\n    if child:\n        os.waitpid(child, 0)\n"
                            "    return 'child' if child == 0 else 'parent'").ready()
    assert instance.answer() == "parent"
    assert instance.answer() == "parent"
