"""Logs struck in the middle of their work: a full disk, kill -9 while lines are written, torn files. What was acknowledged is there, nothing is half there."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

import botocore.exceptions
import pytest

from helpers import Hearth, node, wait_until

ROUNDS = int(os.environ.get("HEARTH_FAULT_ROUNDS", "6"))


def read_all(logs, group, **query):
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **query)
    return [event["message"] for page in pages for event in page["events"]]


def test_kill_9_while_events_are_put_loses_none_that_was_acknowledged(new_hearth):
    server = new_hearth()
    logs = server.client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    acknowledged, batch = [], 0
    for _ in range(ROUNDS):
        stop = threading.Event()
        sent = []

        def write():
            nonlocal batch
            client = server.client("logs")
            while not stop.is_set():
                batch += 1
                texts = [f"{batch}-{i} " + "x" * 500 for i in range(50)]
                sent[:] = texts
                try:
                    client.put_log_events(logGroupName="g", logStreamName="s",
                                          logEvents=[{"timestamp": int(time.time() * 1000), "message": t} for t in texts])
                except botocore.exceptions.BotoCoreError:
                    return
                acknowledged.extend(texts)
                sent[:] = []
        before = len(acknowledged)
        writer = threading.Thread(target=write)
        writer.start()
        wait_until(lambda: len(acknowledged) >= before + 1000, 60, "some batches are there")
        server.kill9()
        stop.set()
        writer.join()
        server.start()
        logs = server.client("logs")
        there = read_all(logs, "g")
        assert len(there) == len(set(there)), "an event is there twice"
        unknown = set(there) - set(acknowledged)
        assert set(acknowledged) <= set(there)
        assert unknown <= set(sent) and len(unknown) in (0, *range(1, 51))
        acknowledged.extend(unknown)                     # what was cut off in its answer, or torn, stays as it is from now on


def test_a_torn_last_line_is_dropped_and_the_next_one_is_whole(new_hearth):
    server = new_hearth()
    logs = server.client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    put = lambda text: server.client("logs").put_log_events(logGroupName="g", logStreamName="s", logEvents=[{"timestamp": int(time.time() * 1000), "message": text}])
    put("whole")
    put("torn in the middle")
    server.kill9()
    file, = (server.data / "logs" / "g").glob("*.log")
    for cut in (1, 8, 19):
        with open(file, "r+b") as f:
            f.truncate(file.stat().st_size - cut)
        server.start()
        assert "torn in the middle" not in read_all(server.client("logs"), "g")
        put(f"after {cut}")
        assert f"after {cut}" in read_all(server.client("logs"), "g") and "whole" in read_all(server.client("logs"), "g")
        server.kill9()
    for name in ("group", "streams"):                    # what tells of the group: half of it
        path = server.data / "logs" / "g" / name
        os.truncate(path, path.stat().st_size - 3)
    server.start()
    assert "whole" in read_all(server.client("logs"), "g")


@pytest.fixture
def small_disk():
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="hearth-small-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "none", str(directory)], check=True)
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)
    shutil.rmtree(directory, ignore_errors=True)


def test_a_disk_that_is_full_for_logs_is_told_and_nothing_is_half_there(small_disk):
    server = Hearth(data=small_disk / "data")
    try:
        logs = server.client("logs")
        logs.create_log_group(logGroupName="g")
        logs.create_log_stream(logGroupName="g", logStreamName="s")
        function = server.deploy(node("exports.handler = async (e) => { console.log('said ' + e.word + ' ' + 'x'.repeat(50000)); return e.word; };"))
        assert function({"word": "before"}).ok() == "before"
        count, batch = 0, ["y" * 1000 for _ in range(500)]
        with pytest.raises(botocore.exceptions.ClientError) as full:
            while count < 100:
                logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[{"timestamp": int(time.time() * 1000), "message": f"{count} {t}"} for t in batch])
                count += 1
        assert "The disk of the server is full" in full.value.response["Error"]["Message"]
        assert len(read_all(logs, "g")) == count * 500    # whole batches only
        filler = small_disk / "filler"
        with open(filler, "wb", buffering=0) as f, pytest.raises(OSError):
            while True:
                f.write(b"z" * 4096)
        assert function({"word": "full"}).ok() == "full"  # calls go on; their lines are lost, and that is told
        wait_until(lambda: "could not keep a function's log lines" in server.stderr(), 30, "it is told")
        filler.unlink()
        logs.delete_log_group(logGroupName="g")
        assert function({"word": "after"}).ok() == "after"
        said = read_all(logs, f"/aws/lambda/{function.name}")
        assert any("said before" in m for m in said) and any("said after" in m for m in said)
    finally:
        server.close()
