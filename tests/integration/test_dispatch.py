"""How calls find instances: reuse, scale-out, limits, retirement, updates and deletes under load, and how a server ends."""
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import threading
import time

import botocore.exceptions
import pytest

from helpers import (Answer, Hearth, Snapshot, assert_nothing_left_of, aws_error, binary, descendants_of, make_zip, node, python, signed_request,
                     wait_until, RawConnection)

WHO = "const id = require('node:crypto').randomUUID();\nlet calls = 0;\nexports.handler = async (e) => { calls += 1; if (e.wait) await new Promise((r) => setTimeout(r, e.wait)); return { id, calls }; };"


def together(count, call):
    """count calls at once, each on a thread of its own; their results in order."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


def insist(call):
    """Repeats a call while it is throttled: the tests' own other calls may have taken its place for a moment."""
    while True:
        try:
            return call()
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "TooManyRequestsException":
                raise
            time.sleep(0.01)


# ---- reuse and scale ------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
def test_calls_one_after_the_other_use_one_warm_instance(hearth):
    function = hearth.deploy(node(WHO))
    answers = [function({}).ok() for _ in range(20)]
    assert len({a["id"] for a in answers}) == 1
    assert [a["calls"] for a in answers] == list(range(1, 21))


def test_calls_at_once_get_an_instance_each(hearth):
    function = hearth.deploy(node(WHO))
    answers = together(6, lambda _: function({"wait": 1500}).ok())
    assert len({a["id"] for a in answers}) == 6, "one call at a time in an instance"


def test_the_most_recently_used_instance_is_taken_first(hearth):
    function = hearth.deploy(node(WHO))
    ids = {a["id"] for a in together(4, lambda _: function({"wait": 1000}).ok())}
    assert len(ids) == 4
    later = [function({}).ok()["id"] for _ in range(10)]
    assert len(set(later)) == 1 and later[0] in ids, "so that the others can be retired"


def test_a_call_that_waits_takes_an_instance_that_becomes_free_while_another_starts(hearth):
    function = hearth.deploy(node("const end = Date.now() + 1500; while (Date.now() < end);\n" + WHO), memory=1769)
    function({})                                                   # one warm instance
    answers = together(2, lambda i: function({"wait": 100 * i}).ok())
    assert all(a["calls"] >= 1 for a in answers)
    began = time.monotonic()
    together(2, lambda i: function({"wait": 300}).ok())
    assert time.monotonic() - began < 10


def test_functions_do_not_share_instances(hearth):
    one, two = hearth.deploy(node(WHO)), hearth.deploy(node(WHO))
    assert one({}).ok()["id"] != two({}).ok()["id"]
    assert one({}).ok()["calls"] == 2 and two({}).ok()["calls"] == 2


# ---- the account's limit ---------------------------------------------------------------------------------------------------------

def test_above_the_accounts_limit_calls_are_throttled_with_a_reason(new_hearth):
    server = new_hearth(options=["--concurrency", "2"])
    function = server.deploy(node(WHO), timeout=30)
    assert server.lambda_client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 2
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = [pool.submit(insist, lambda: function({"wait": 5000}).ok()) for _ in range(2)]

        def refused():
            try:
                function({})
            except server.lambda_client.exceptions.TooManyRequestsException as error:
                return error
            return None
        error = wait_until(refused, 4.5, "the third call is throttled")
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert error.response["Error"]["Code"] == "TooManyRequestsException"
        assert error.response["Reason"] == "ConcurrentInvocationLimitExceeded"
        assert error.response["Error"]["Message"] == "Rate Exceeded."
        assert len([f.result() for f in first]) == 2, "those that ran are not touched"
    assert function({}).ok(), "and then there is room again"


def test_the_limit_counts_over_all_functions(new_hearth):
    server = new_hearth(options=["--concurrency", "1"])
    one, two = server.deploy(node(WHO), timeout=30), server.deploy(node(WHO), timeout=30)
    two({})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(insist, lambda: one({"wait": 4000}).ok())

        def throttled():
            try:
                two({})
                return False
            except server.lambda_client.exceptions.TooManyRequestsException:
                return True
        wait_until(throttled, 3.5, "the other function is throttled")
        slow.result()
    assert two({}).ok(), "and then there is room again"


# ---- retirement -----------------------------------------------------------------------------------------------------------------

def test_an_idle_instance_is_retired_after_the_set_time_and_nothing_of_it_remains(new_hearth):
    server = new_hearth(options=["--idle", "1"])
    function = server.deploy(node(WHO))
    before = Snapshot(server)
    first = function({}).ok()["id"]
    assert len(Snapshot(server).processes) > len(before.processes)
    wait_until(lambda: not before.difference(Snapshot(server)), 30, "the instance and all that belonged to it have gone")
    assert function({}).ok()["id"] != first


def test_an_instance_that_is_used_is_not_retired(new_hearth):
    server = new_hearth(options=["--idle", "2"])
    function = server.deploy(node(WHO))
    end, ids = time.monotonic() + 5, set()
    while time.monotonic() < end:
        ids.add(function({}).ok()["id"])
        time.sleep(0.2)
    assert len(ids) == 1


# ---- updates and deletes under load ------------------------------------------------------------------------------------------------

def test_an_update_drains_the_old_instances_without_a_failed_call(hearth):
    function = hearth.deploy(node("exports.handler = async () => { await new Promise((r) => setTimeout(r, 5)); return 0; };"))
    stop, problems, seen = threading.Event(), [], set()

    def load(_):
        while not stop.is_set():
            try:
                answer = function({}, tail=False)
                seen.add(answer.ok())
            except Exception as problem:                                # noqa: B902
                problems.append(problem)
                return
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(load, i) for i in range(4)]
        try:
            for version in range(1, 9):
                function.update(node(f"exports.handler = async () => {{ await new Promise((r) => setTimeout(r, 5)); return {version}; }};"))
                assert function({}).ok() == version, "an update that was answered holds for every later call"
                function.configure(Environment={"Variables": {"VERSION": str(version)}})
            wait_until(lambda: 8 in seen or problems, 30, "the callers meet the last version")
        finally:
            stop.set()
        [r.result() for r in running]
    assert problems == []
    assert max(seen) == 8


def test_a_call_that_runs_while_its_function_is_updated_ends_with_the_old_code(hearth):
    function = hearth.deploy(node("exports.handler = async () => { await new Promise((r) => setTimeout(r, 2500)); return 'old'; };"))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        old = pool.submit(lambda: function({}).ok())
        time.sleep(0.8)                                                    # it certainly runs now; if not, it answers 'new' and the test fails
        function.update(node("exports.handler = async () => 'new';"))
        assert function({}).ok() == "new"
        assert old.result() == "old"


def test_a_call_that_runs_while_its_function_is_deleted_ends(hearth):
    function = hearth.deploy(node("exports.handler = async () => { await new Promise((r) => setTimeout(r, 2000)); return 'done'; };"))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: function({}).ok())
        time.sleep(0.8)
        function.delete()
        assert running.result() == "done"
    assert aws_error(function, {}).code == "ResourceNotFoundException"


def test_a_name_that_is_used_again_means_the_new_function(hearth):
    function = hearth.deploy(node("exports.handler = async () => 'first';"))
    assert function({}).ok() == "first"
    function.delete()
    again = hearth.deploy(node("exports.handler = async () => 'second';"), name=function.name)
    assert again({}).ok() == "second"


# ---- init ------------------------------------------------------------------------------------------------------------------------

def test_an_init_that_takes_too_long_fails_the_call_clearly(hearth):
    function = hearth.deploy(node("const end = Date.now() + 60000; while (Date.now() < end);\nexports.handler = async () => 1;"), timeout=3, memory=512)
    began = time.monotonic()
    answer = function({})
    assert time.monotonic() - began < 40
    assert answer.error == "Unhandled" and re.search(r"timed out|timeout", json.dumps(answer.payload), re.I)


def test_an_init_of_nine_seconds_is_waited_for_even_when_the_timeout_is_shorter(hearth):
    function = hearth.deploy(node("const end = Date.now() + 5000; while (Date.now() < end);\nexports.handler = async () => 'slow start';"), timeout=2, memory=1769)
    assert function({}).ok() == "slow start"


# ---- sizes -----------------------------------------------------------------------------------------------------------------------

def test_a_six_megabyte_event_and_answer_pass_whole(hearth):
    function = hearth.deploy(node("exports.handler = async (e) => ({ n: e.text.length, back: e.text });"), memory=512, timeout=30)
    text = "x" * (6 * 1024 * 1024 - 100)
    answer = function({"text": text}).ok()
    assert answer["n"] == len(text) and answer["back"] == text


@pytest.mark.parametrize("family", ["node", "python"])
def test_a_larger_answer_is_the_functions_error(hearth, family):
    if family == "node":
        function = hearth.deploy(node("exports.handler = async (e) => e.small ? 'ok' : 'x'.repeat(6291557);"), memory=512)
    else:
        function = hearth.deploy(python("def handler(e, c):\n    return 'ok' if e.get('small') else 'x' * 6291557\n"), runtime="python3.11", memory=512)
    answer = function({})
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Function.ResponseSizeTooLarge"
    assert answer.payload["errorMessage"].startswith("Response payload size exceeded maximum allowed payload size (6291556 bytes)")
    assert function({"small": 1}).ok() == "ok"


def test_a_larger_event_is_refused(hearth):
    function = hearth.deploy(node("exports.handler = async (e) => 1;"))
    refusal = aws_error(function, {"text": "x" * (6 * 1024 * 1024)})
    assert refusal.code == "RequestTooLargeException" or refusal.code == "RequestEntityTooLargeException"
    assert refusal.status == 413
    assert function({}).ok() == 1


# ---- clients that go away ---------------------------------------------------------------------------------------------------------

def test_a_client_that_goes_away_does_not_stop_the_function(hearth):
    function = hearth.deploy(node("let done = 0;\nexports.handler = async (e) => { if (e.wait) { await new Promise((r) => setTimeout(r, e.wait)); done += 1; } return done; };"))
    function({})
    with RawConnection(hearth.address) as connection:
        connection.send(signed_request(hearth, "POST", f"/2015-03-31/functions/{function.name}/invocations", b'{"wait":700}'))
        time.sleep(0.3)
    wait_until(lambda: function({}).ok() == 1, 10, "the abandoned call has run to its end, in the same instance")


# ---- ends and starts ----------------------------------------------------------------------------------------------------------------

def test_sigterm_lets_a_running_invocation_finish(new_hearth):
    server = new_hearth()
    function = server.deploy(node(WHO), timeout=30)
    function({})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: function({"wait": 2500}))
        time.sleep(0.8)
        server.terminate()
        assert running.result().ok()["calls"] == 2
        assert server.wait() == 0


def test_sigterm_cuts_what_takes_longer_than_the_set_time_with_a_clear_5xx(new_hearth):
    server = new_hearth(options=["--drain", "1"])
    function = server.deploy(node(WHO), timeout=60)
    function({})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: aws_error(function, {"wait": 50000}))
        time.sleep(0.8)
        began = time.monotonic()
        server.terminate()
        refusal = running.result()
        assert server.wait() == 0
        assert time.monotonic() - began < 20
    assert refusal.status in (500, 502, 503) and refusal.code in ("ServiceException", "ServiceUnavailableException"), refusal
    assert refusal.message


def test_while_it_drains_no_new_work_is_taken(new_hearth):
    server = new_hearth()
    function = server.deploy(node(WHO), timeout=30)
    function({})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        kept = RawConnection(server.address)
        kept.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.answer().status == 200
        running = pool.submit(lambda: function({"wait": 3000}))
        time.sleep(0.8)
        request = signed_request(server, "POST", f"/2015-03-31/functions/{function.name}/invocations", b"{}")
        server.terminate()

        def not_served():
            try:
                with RawConnection(server.address, timeout=5) as fresh:
                    fresh.send(request)
                    return fresh.answer().status >= 500
            except (OSError, EOFError):
                return True
        wait_until(not_served, 2, "a new call is refused")
        running.result().ok()
        assert server.wait() == 0
        kept.socket.close()


def test_a_second_server_on_the_same_directory_is_refused_and_the_first_does_not_notice(new_hearth):
    server = new_hearth()
    function = server.deploy(node(WHO))
    second = subprocess.run([server.binary, "serve", "--data", str(server.data), "--api", "127.0.0.1:0", "--gateway", "127.0.0.1:0"],
                            capture_output=True, text=True, timeout=60, env=server.environment(), stdin=subprocess.DEVNULL)
    assert second.returncode != 0
    assert str(server.data) in second.stderr
    assert function({}).ok()
    assert json.loads((server.data / "endpoints.json").read_text())["api"] == server.endpoint


def test_a_restart_keeps_functions_and_credentials(new_hearth):
    server = new_hearth()
    function = server.deploy(node("exports.handler = async () => process.env.KEPT;"), env={"KEPT": "sealed and back"}, timeout=9, memory=192)
    before = server.lambda_client.get_function(FunctionName=function.name)["Configuration"]
    keys = server.credentials
    assert function({}).ok() == "sealed and back"
    server.restart()
    assert server.credentials == keys
    after = server.lambda_client.get_function(FunctionName=function.name)["Configuration"]
    assert {k: v for k, v in after.items() if k != "ResponseMetadata"} == {k: v for k, v in before.items() if k != "ResponseMetadata"}
    function.client = server.lambda_client
    assert function({}).ok() == "sealed and back"


def test_environment_variables_are_not_in_any_file_in_the_clear(new_hearth):
    server = new_hearth()
    function = server.deploy(node("exports.handler = async () => 1;"), env={"PASSWORD": "correct-horse-battery-staple-9317"})
    function({})
    server.restart()
    for path in server.data.rglob("*"):
        if path.is_file():
            assert b"correct-horse-battery-staple-9317" not in path.read_bytes(), path


def test_secret_files_are_readable_by_their_owner_alone(new_hearth):
    server = new_hearth()
    assert server.data.stat().st_mode & 0o077 == 0
    for name in ("credentials", "master.key"):
        assert (server.data / name).stat().st_mode & 0o777 == 0o600, name


def test_a_second_sigterm_ends_at_once(new_hearth):
    server = new_hearth(stop_must_be_clean=False)
    function = server.deploy(node(WHO), timeout=60)
    function({})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        def call():
            try:
                return function({"wait": 50000})
            except Exception as cut:                     # noqa: B902
                return cut
        running = pool.submit(call)
        time.sleep(0.8)
        server.terminate()
        time.sleep(0.3)
        began = time.monotonic()
        server.terminate()
        server.wait()
        assert time.monotonic() - began < 6
        running.result()


def test_sigint_ends_as_sigterm_does(new_hearth):
    server = new_hearth()
    server.process.send_signal(signal.SIGINT)
    assert server.wait() == 0


def test_kill_9_of_the_server_leaves_nothing_running(new_hearth):
    server = new_hearth(stop_must_be_clean=False)
    function = server.deploy(node(WHO))
    together(3, lambda _: function({"wait": 500}).ok())
    assert len(descendants_of(server.pid)) >= 4
    server.kill9()
    assert_nothing_left_of(server.data, server.cgroup_parts)
    server.start()
    function.client = server.lambda_client
    assert function({}).ok()["calls"] == 1


def test_kill_9_of_the_keeper_ends_the_server_with_a_word_and_leaves_nothing_running(new_hearth):
    server = new_hearth(stop_must_be_clean=False)
    function = server.deploy(node(WHO))
    together(3, lambda _: function({"wait": 500}).ok())
    Snapshot(server)
    os.kill(server.keeper_pid, signal.SIGKILL)
    assert server.wait() != 0
    assert "keeper" in server.stderr()
    wait_until(lambda: not __import__("helpers").processes_that_mention(str(server.data)), 20, "nothing runs any more")
    server.process = None
    server.start()                                     # the next start cleans what a dead keeper could not
    function.client = server.lambda_client
    assert function({}).ok()["calls"] == 1


# ---- at rest ----------------------------------------------------------------------------------------------------------------------

def test_an_unknown_option_and_a_wrong_value_are_refused_with_a_hint():
    for arguments in (["--no-such-thing"], ["--api", "nonsense"], ["--idle", "soon"]):
        done = subprocess.run([binary(), "serve", *arguments], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        assert done.returncode != 0 and done.stderr.strip(), arguments


def test_a_port_in_use_is_told(hearth, tmp_path):
    done = subprocess.run([binary(), "serve", "--data", str(tmp_path / "d"), "--api", hearth.endpoint.partition("//")[2], "--gateway", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode != 0
    assert hearth.endpoint.rpartition(":")[2] in done.stderr and "in use" in done.stderr


def test_the_server_says_at_start_which_protections_are_in_force(new_hearth):
    server = new_hearth()
    assert re.search(r"sandbox: .*namespaces", server.stderr())


def test_as_an_ordinary_user_functions_run_too(new_hearth):
    server = new_hearth(user="ordinary")
    function = server.deploy(node("exports.handler = async (e) => ({ n: e.n, pid: process.pid });"))
    assert function({"n": 1}).ok()["n"] == 1
    assert function({"n": 2}).ok()["n"] == 2
    py = server.deploy(python("def handler(e, c):\n    return e['n']\n"), runtime="python3.11")
    assert py({"n": 3}).ok() == 3
