"""Asynchronous invocations (InvocationType Event) by boto3 and the command line: 202 when the event is on disk, and then it runs, whatever happens to
the server in between.

What has run is seen in the functions' logs: each prints "ran N". Where the server is killed, no run can end before it: the handlers wait for a
time that lies behind the kill."""
import concurrent.futures
import json
import re
import subprocess
import time

import pytest

from helpers import aws_error, wait_until

HANDLER = {"lambda_function.py": """
import time
def handler(event, context):
    if isinstance(event, dict):
        time.sleep(max(0, event.get("until", 0) - time.time()))
        print("ran", event.get("n"), context.aws_request_id, context.invoked_function_arn)
        if event.get("fail"):
            raise ValueError("on purpose")
    else:
        print("ran", len(event))
"""}
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


def deploy(server, **more):
    return server.deploy(HANDLER, runtime="python3.11", handler="lambda_function.handler", timeout=60, **more)


def send(function, client=None, **event):
    answer = (client or function.client).invoke(FunctionName=function.name, InvocationType="Event", Payload=json.dumps(event))
    assert answer["StatusCode"] == 202
    return answer


def runs(function):
    """[(n, request id)] of all that has run, as the log tells."""
    return [(int(n), request_id) for n, request_id in re.findall(r"\bran (\d+) ([0-9a-f-]{36})", function.hearth.logs_of(function.name))]


def wait_for_runs(function, wanted, seconds=60):
    wanted = set(wanted)
    wait_until(lambda: wanted <= {n for n, _ in runs(function)}, seconds, f"all {len(wanted)} events of {function.name} have run")


def test_an_event_is_answered_with_202_and_nothing_else_while_its_function_runs(hearth):
    function = deploy(hearth)
    release = time.time() + 3
    answer = send(function, n=1, until=release)
    assert time.time() < release
    assert answer["Payload"].read() == b""
    assert "ExecutedVersion" not in answer and "FunctionError" not in answer and "LogResult" not in answer
    wait_for_runs(function, [1])
    assert runs(function) == [(1, answer["ResponseMetadata"]["RequestId"])]         # the id that the caller was told


def test_the_old_InvokeAsync_does_the_same_and_says_202(hearth):
    function = deploy(hearth)
    assert function.client.invoke_async(FunctionName=function.name, InvokeArgs=json.dumps({"n": 2}).encode())["Status"] == 202
    wait_for_runs(function, [2])


def test_a_function_that_fails_has_run(hearth):
    function = deploy(hearth)
    send(function, n=1, fail=True)
    send(function, n=2)
    wait_for_runs(function, [1, 2])
    assert sorted(n for n, _ in runs(function)) == [1, 2]


def test_a_payload_may_have_1_MB_and_not_a_byte_more(hearth):
    function = deploy(hearth)
    largest = b'"' + b"x" * (1024 * 1024 - 2) + b'"'
    assert function.client.invoke(FunctionName=function.name, InvocationType="Event", Payload=largest)["StatusCode"] == 202
    refusal = aws_error(function.client.invoke, FunctionName=function.name, InvocationType="Event", Payload=largest + b" ")
    assert (refusal.status, refusal.code) == (413, "RequestEntityTooLargeException")
    assert refusal.message == "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
    wait_until(lambda: "ran 1048574" in hearth.logs_of(function.name), 20, "the largest event has run")


def test_what_is_no_JSON_or_no_function_is_refused_at_once(hearth):
    function = deploy(hearth)
    refusal = aws_error(function.client.invoke, FunctionName=function.name, InvocationType="Event", Payload=b"{")
    assert (refusal.status, refusal.code) == (400, "InvalidRequestContentException")
    for name, qualifier in ((function.name, "nope"), (function.name, "7"), ("nobody-there", "$LATEST")):
        refusal = aws_error(function.client.invoke, FunctionName=name, Qualifier=qualifier, InvocationType="Event", Payload=b"{}")
        assert (refusal.status, refusal.code) == (404, "ResourceNotFoundException")
        assert refusal.message == f"Function not found: {ARN}{name}:{qualifier}"


def test_an_event_for_an_alias_runs_the_version_that_it_points_to(hearth):
    function = deploy(hearth)
    client = function.client
    version = client.publish_version(FunctionName=function.name)["Version"]
    client.create_alias(FunctionName=function.name, Name="live", FunctionVersion=version)
    for qualifier in ("live", version, None):
        client.invoke(FunctionName=function.name, InvocationType="Event", Payload=json.dumps({"n": 1}), **({"Qualifier": qualifier} if qualifier else {}))
    wait_until(lambda: hearth.logs_of(function.name).count("ran 1 ") == 3, 20, "all three have run")
    arns = sorted(re.findall(r"ran 1 \S+ (arn:[\w:$-]+)", hearth.logs_of(function.name)))
    assert arns == sorted([ARN + function.name, f"{ARN}{function.name}:{version}", f"{ARN}{function.name}:live"])


def test_a_thousand_events_in_a_burst_all_run_once(new_hearth):
    server = new_hearth(options=["--concurrency", "10"])
    function = deploy(server)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(lambda n: send(function, n=n)["ResponseMetadata"]["RequestId"], range(1000)))
    wait_for_runs(function, range(1000), 120)
    assert sorted(runs(function)) == sorted(enumerate(ids))


def test_a_function_without_concurrency_keeps_its_events_and_holds_up_nobody(new_hearth):
    server = new_hearth()
    stopped, free = deploy(server), deploy(server)
    client = stopped.client
    client.put_function_concurrency(FunctionName=stopped.name, ReservedConcurrentExecutions=0)
    refusal = aws_error(client.invoke, FunctionName=stopped.name, Payload=b"{}")
    assert (refusal.status, refusal.code) == (429, "TooManyRequestsException")
    assert refusal.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    for n in range(20):
        send(stopped, n=n)
        send(free, n=n)
    wait_for_runs(free, range(20))
    assert runs(stopped) == []
    client.put_function_concurrency(FunctionName=stopped.name, ReservedConcurrentExecutions=1)
    wait_for_runs(stopped, range(20))
    assert [n for n, _ in runs(stopped)] == list(range(20))                         # one at a time, in order of acceptance


def test_events_wait_while_callers_hold_the_reserved_concurrency(new_hearth):
    server = new_hearth()
    function = deploy(server)
    function.client.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        release = time.time() + 2
        holder = pool.submit(function, {"n": 0, "until": release})
        wait_until(lambda: "START" in server.logs_of(function.name), 20, "the caller's run has begun")
        for n in (1, 2, 3):
            send(function, n=n)
        assert holder.result().error is None
    wait_for_runs(function, [0, 1, 2, 3])
    assert [n for n, _ in runs(function)] == [0, 1, 2, 3]


def test_the_events_of_a_deleted_function_vanish_and_those_of_its_successor_run(new_hearth):
    server = new_hearth()
    function = deploy(server, name="reborn")
    function.client.put_function_concurrency(FunctionName="reborn", ReservedConcurrentExecutions=0)
    for n in range(30):
        send(function, n=n)
    function.delete()
    server.restart()
    function = deploy(server, name="reborn")
    send(function, n=100)
    wait_for_runs(function, [100])
    server.restart()
    assert [n for n, _ in runs(function)] == [100]


@pytest.mark.parametrize("end", ["kill -9", "SIGTERM"])
def test_what_was_accepted_runs_after_the_server_was_ended_in_the_middle(new_hearth, end):
    server = new_hearth(options=["--concurrency", "16", "--drain", "100ms"])
    function = deploy(server)
    release = time.time() + 6
    ids = {n: send(function, n=n, until=release)["ResponseMetadata"]["RequestId"] for n in range(50)}
    wait_until(lambda: "START" in server.logs_of(function.name), 20, "some are under way")
    if end == "kill -9":
        server.kill9()
    else:
        server.stop()
    assert time.time() < release and runs(function) == []                           # not one had ended
    server.start()
    function = type(function)(server, function.name, server.lambda_client)
    wait_for_runs(function, range(50), 90)
    assert dict(runs(function)) == ids


def test_the_command_line_sends_an_event_and_tells_its_id(hearth):
    function = deploy(hearth)
    def command(*arguments):
        return subprocess.run([hearth.binary, "invoke", function.name, *arguments], env=hearth.env, capture_output=True, text=True, timeout=60)
    done = command('{"n": 5}', "--event")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"accepted as [0-9a-f-]{36}\n", done.stdout)
    done = command('{"n": 6}', "--event", "--json")
    assert json.loads(done.stdout)["StatusCode"] == 202
    assert re.fullmatch(r"[0-9a-f-]{36}", json.loads(done.stdout)["RequestId"])
    wait_for_runs(function, [5, 6])
    assert command("{}", "--event", "--tail").returncode == 2
