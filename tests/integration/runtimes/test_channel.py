"""The channel as every runtime keeps it: docs/channel.md."""

import os
import signal
import struct
import subprocess
import time

import pytest

from conftest import NODES, PYTHONS
from instance import DONE, HEAD, INVOKE, READY, STOP, text16, text32

SIX_MB = 6 * 1024 * 1024
CAN_SIGTERM = {
    "node": "process.on('SIGTERM', () => { console.log('bye'); setTimeout(() => process.exit(7), 10) }); "
            "exports.handler = async (event) => event",
    "python": "import signal, sys\ndef bye(*_):\n    print('bye')\n    sys.exit(7)\nsignal.signal(signal.SIGTERM, bye)\n"
              "def handler(event, context):\n    return event",
}
ASKS_A_CHILD = "test -S /proc/$$/fd/3 && echo open || echo closed"
CHILD_LOOKS = {
    "node": f"exports.handler = async () => require('child_process').execFileSync('/bin/sh', ['-c', '{ASKS_A_CHILD}'], "
            "{stdio: ['ignore', 'pipe', 'inherit']}).toString()",
    "python": "import subprocess\ndef handler(event, context):\n"
              f"    return subprocess.run(['/bin/sh', '-c', '{ASKS_A_CHILD}'], stdout=subprocess.PIPE, text=True, "
              "close_fds=False).stdout",
}


def wait_until_it_waits(instance):
    """Until the main thread sleeps in its read."""
    for _ in range(3000):
        with open(f"/proc/{instance.process.pid}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] == "S":
                return
        time.sleep(0.01)
    raise AssertionError("the instance never waits")


def cpu_ticks(instance):
    with open(f"/proc/{instance.process.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[11:13]


def test_there_is_something_to_test():
    assert NODES, "no Node is installed: scripts/runtime-add"
    assert PYTHONS


def test_READY_comes_once_with_the_time_that_loading_took_and_then_each_answer_with_its_sequence(echo):
    instance = echo.start(echo.source)
    ready = instance.receive()
    assert (ready.type, ready.sequence, len(ready.body)) == (READY, 0, 4)
    assert 0 < ready.ready_us < 30_000_000
    for event in ({"a": [1, 2.5, None, True]}, "text", 7, None, []):
        assert instance.answer(event) == event


def test_a_frame_may_come_byte_by_byte(echo):
    instance = echo.start(echo.source).ready()
    instance._sequence = 1
    body = struct.pack("<Q", 1) + text16("id") + text16("arn") + text16("") + text32("") + text16("") + b'{"slow": "\xc3\xa9"}'
    for byte in HEAD.pack(len(body), 1, INVOKE, 1, 0) + body:
        instance.channel.send(bytes([byte]))
    frame = instance.receive()
    assert (frame.type, frame.sequence, frame.json) == (DONE, 1, {"slow": "é"})


def test_two_frames_may_come_at_once(echo):
    instance = echo.start(echo.source).ready()
    body = struct.pack("<Q", 1) + text16("id") + text16("arn") + text16("") + text32("") + text16("") + b"1"
    instance.channel.sendall(HEAD.pack(len(body), 9, INVOKE, 1, 0) + body + HEAD.pack(0, 0, STOP, 1, 0))
    assert instance.receive().sequence == 9
    assert instance.exit_status() == 0


@pytest.mark.parametrize("text", ["x", "é", "\U0001f600", "\x00\"\\"], ids=["ascii", "latin", "astral", "escapes"])
def test_six_megabytes_go_in_and_out_and_small_ones_after_them(echo, text):
    instance = echo.start(echo.source).ready()
    event = text * (SIX_MB // (4 * len(text.encode())) if text != "x" else SIX_MB - 2)
    assert instance.answer(event) == event
    assert instance.answer("small") == "small"


def test_an_answer_of_more_than_six_megabytes_fails_as_on_lambda_and_the_instance_stays(echo):
    sources = {"node": "exports.handler = async (length) => 'x'.repeat(length)",
               "python": "def handler(length, context):\n    return 'x' * length"}
    instance = echo.start(sources[echo.language]).ready()
    assert len(instance.answer(6291556 - 2)) == 6291554
    assert instance.failure(6291556 - 1) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    assert instance.answer(3) == "xxx"


def test_an_error_of_more_than_six_megabytes_fails_in_the_same_way(echo):
    sources = {"node": "exports.handler = async (length) => { throw new Error('x'.repeat(length)) }",
               "python": "def handler(length, context):\n    raise Exception('x' * length)"}
    instance = echo.start(sources[echo.language]).ready()
    assert instance.failure(7_000_000)["errorType"] == "Function.ResponseSizeTooLarge"
    assert instance.failure(3)["errorMessage"] == "xxx"


def test_an_empty_payload_is_an_empty_object(echo):
    instance = echo.start(echo.source).ready()
    assert instance.answer(payload=b"") == {}


def test_a_payload_that_is_no_JSON_fails_its_own_invocation(echo):
    instance = echo.start(echo.source).ready()
    assert instance.failure(payload=b"{nonsense")["errorType"] in ("SyntaxError", "Runtime.UnmarshalError")
    assert instance.answer(1) == 1


def test_STOP_ends_it_in_order(echo):
    instance = echo.start(echo.source).ready()
    instance.answer(1)
    assert instance.stop() == 0
    assert instance.stderr() == ""


def test_the_end_of_the_channel_ends_it(echo):
    instance = echo.start(echo.source).ready()
    instance.channel.close()
    assert instance.exit_status() == 0
    assert instance.stderr() == ""


def test_SIGTERM_ends_it_while_it_waits(echo):
    instance = echo.start(echo.source).ready()
    wait_until_it_waits(instance)
    os.kill(instance.process.pid, signal.SIGTERM)
    assert instance.exit_status() == -signal.SIGTERM


def test_a_handler_of_the_users_for_SIGTERM_runs_while_it_waits_and_has_its_time(echo):
    instance = echo.start(CAN_SIGTERM[echo.language]).ready()
    wait_until_it_waits(instance)
    os.kill(instance.process.pid, signal.SIGTERM)
    assert instance.exit_status() == 7
    assert "bye" in instance.stdout()


def test_a_handler_of_the_users_for_SIGTERM_runs_on_STOP(echo):
    instance = echo.start(CAN_SIGTERM[echo.language]).ready()
    instance.answer(1)
    assert instance.stop() == 7
    assert "bye" in instance.stdout()


def test_a_signal_that_the_user_handles_does_not_lose_the_next_invocation(echo):
    sources = {
        "node": "let seen = 0; process.on('SIGUSR2', () => { seen++ }); exports.handler = async () => seen",
        "python": "import signal\nseen = 0\ndef usr(*_):\n    global seen\n    seen += 1\nsignal.signal(signal.SIGUSR2, usr)\n"
                  "def handler(event, context):\n    return seen",
    }
    instance = echo.start(sources[echo.language]).ready()
    wait_until_it_waits(instance)
    os.kill(instance.process.pid, signal.SIGUSR2)
    wait_until_it_waits(instance)
    assert instance.answer() == 1


def test_children_of_the_users_do_not_inherit_the_channel(echo):
    instance = echo.start(CHILD_LOOKS[echo.language]).ready()
    assert instance.answer() == "closed\n"


@pytest.mark.parametrize("frame", [
    HEAD.pack(0, 0, STOP, 2, 0), HEAD.pack(0, 0, STOP, 1, 1), HEAD.pack(9 * 1024 * 1024, 1, INVOKE, 1, 0),
    HEAD.pack(0, 1, INVOKE, 1, 0), HEAD.pack(0, 1, 0x77, 1, 0), HEAD.pack(1, 0, STOP, 1, 0) + b"x",
    HEAD.pack(10, 1, INVOKE, 1, 0) + struct.pack("<Q", 1) + b"\xff\xff",
], ids=["version", "reserved", "too long", "empty invoke", "unknown type", "stop with a body", "field beyond the end"])
def test_nonsense_from_the_server_ends_it_and_is_told(echo, frame):
    instance = echo.start(echo.source).ready()
    instance.channel.sendall(frame)
    assert instance.exit_status() != 0
    assert "the server sent" in instance.stdout() + instance.stderr()


def test_a_bootstrap_started_by_hand_says_so(echo):
    ended = subprocess.run(echo.argv(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                           env={"PATH": os.environ["PATH"], "LAMBDA_TASK_ROOT": "/tmp", "_HANDLER": "index.handler"})
    assert ended.returncode != 0
    assert "descriptor" in ended.stderr


def test_an_end_that_is_non_blocking_is_made_to_block(echo):
    instance = echo.start(echo.source, nonblocking=True).ready()
    wait_until_it_waits(instance)
    assert instance.answer("x" * (SIX_MB - 2)) == "x" * (SIX_MB - 2)
    wait_until_it_waits(instance)
    before = cpu_ticks(instance)
    time.sleep(0.1)
    assert cpu_ticks(instance) == before  # it does not poll
