"""The whole server struck in the middle of its work: what was acknowledged is there, nothing is half there, nothing is left running."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import threading
import time

import botocore.exceptions
import pytest

from helpers import ROLE, Hearth, Snapshot, assert_nothing_left_of, children_of, make_zip, wait_until

ROUNDS = int(os.environ.get("HEARTH_FAULT_ROUNDS", "6"))


def package(version, filler=0):
    return make_zip({"index.js": f"exports.handler = async () => {version};", **({"filler": os.urandom(filler)} if filler else {})})


class Writer:
    """Creates, updates and deletes functions of its own until it is cut off; remembers what was acknowledged and what was only sent."""

    def __init__(self, server, number, filler=0):
        self.server, self.number, self.filler = server, number, filler
        self.acknowledged = {}                  # name -> version, or None when its delete was acknowledged
        self.sent = {}                          # name -> what the one unanswered request would have made of it
        self.cut = None
        self.failures = []

    def run(self, stop):
        client = self.server.lambda_client
        chance = random.Random(self.number)
        version = 0
        while not stop.is_set():
            version += 1
            name = f"w{self.number}-{chance.randrange(6)}"
            there = self.acknowledged.get(name)
            kind = "create" if there is None else chance.choice(["update", "update", "configure", "delete"])
            self.sent = {name: None if kind == "delete" else there if kind == "configure" else version}
            try:
                if kind == "create":
                    client.create_function(FunctionName=name, Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": package(version, self.filler)})
                elif kind == "update":
                    client.update_function_code(FunctionName=name, ZipFile=package(version, self.filler))
                elif kind == "configure":
                    client.update_function_configuration(FunctionName=name, Description=f"version {there}")
                else:
                    client.delete_function(FunctionName=name)
            except botocore.exceptions.ClientError as refused:
                if refused.response["Error"]["Code"] in ("ResourceConflictException",):      # an update is still under way: nothing was done
                    time.sleep(0.01)
                    continue
                self.failures.append(refused)
                continue
            except Exception as cut:                              # noqa: B902 (the connection broke)
                self.cut = cut
                return
            self.acknowledged[name] = self.sent[name]
            self.sent = {}


def check(server, writers):
    """Every acknowledged state is there, called and right; of what was only sent, either the old or the new state."""
    client = server.lambda_client
    listed = {f["FunctionName"]: f for page in client.get_paginator("list_functions").paginate() for f in page["Functions"]}
    problems = []
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        payloads = dict(zip(listed, pool.map(lambda name: json.load(client.invoke(FunctionName=name)["Payload"]), listed)))
    for writer in writers:
        for name in set(writer.acknowledged) | set(writer.sent):
            right = {writer.acknowledged.get(name)}
            if name in writer.sent:
                right.add(writer.sent[name])
            if name not in listed:
                if None not in right:
                    problems.append(f"{name} is gone; version {right} was acknowledged")
                continue
            if payloads[name] not in right:
                problems.append(f"{name} answers {payloads[name]}; right would be {right}")
    return problems


def packages_on_disk(server):
    return sorted(p.name for p in (server.data / "code").iterdir())


@pytest.mark.slow
def test_kill_9_under_a_stream_of_changes_loses_nothing_that_was_acknowledged(new_hearth):
    server = new_hearth(stop_must_be_clean=False)
    chance = random.Random(7)
    acknowledged = 0
    for round_ in range(ROUNDS):
        stop, writers = threading.Event(), [Writer(server, round_ * 10 + i) for i in range(4)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(w.run, stop) for w in writers]
            time.sleep(chance.uniform(0.2, 1.5))
            server.kill9()
            stop.set()
            [r.result() for r in running]
        assert [f for w in writers for f in w.failures] == []
        acknowledged += sum(len(w.acknowledged) for w in writers)
        assert_nothing_left_of(server.data, server.cgroup_parts)
        server.start()
        assert check(server, writers) == []
        client = server.lambda_client
        names = [f["FunctionName"] for page in client.get_paginator("list_functions").paginate() for f in page["Functions"]]
        shas = {client.get_function_configuration(FunctionName=n)["CodeSha256"] for n in names}
        wait_until(lambda: len(packages_on_disk(server)) <= len(shas), 20, "start-up removed half-written packages")
        for name in names:
            client.delete_function(FunctionName=name)
        wait_until(lambda: packages_on_disk(server) == [], 20, "deleted functions' packages are gone")
    assert acknowledged > ROUNDS


def test_kill_9_in_the_middle_of_a_large_upload_leaves_nothing_half(new_hearth):
    server = new_hearth(stop_must_be_clean=False)
    before = sorted(str(p.relative_to(server.data)) for p in server.data.rglob("*") if "hearth.db" not in p.name)
    large = make_zip({"index.js": "exports.handler = async () => 1;", "large": os.urandom(20 << 20)})
    for delay in (0.05, 0.15, 0.3, 0.5):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            def upload():
                with contextlib.suppress(Exception):
                    server.lambda_client.create_function(FunctionName="large", Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": large})
                    return True
            running = pool.submit(upload)
            time.sleep(delay)
            server.kill9()
            done = running.result()
        server.start()
        names = [f["FunctionName"] for f in server.lambda_client.list_functions()["Functions"]]
        assert names == ["large"] or not done
        if names:
            assert json.load(server.lambda_client.invoke(FunctionName="large")["Payload"]) == 1
            server.lambda_client.delete_function(FunctionName="large")
        wait_until(lambda: sorted(str(p.relative_to(server.data)) for p in server.data.rglob("*")
                                  if "hearth.db" not in p.name and "logs/" not in str(p)) == [b for b in before if "logs/" not in b], 20, "nothing half is left")


def test_kill_9_while_calls_run_leaves_no_process_and_the_next_start_answers(new_hearth):
    server = new_hearth(stop_must_be_clean=False)
    function = server.deploy({"index.js": "exports.handler = async (e) => { await new Promise((r) => setTimeout(r, e.wait ?? 0)); return 'ok'; };"}, timeout=60)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        def call(_):
            try:
                return function({"wait": 20000}).payload
            except Exception as cut:                              # noqa: B902
                return type(cut).__name__
        running = [pool.submit(call, i) for i in range(6)]
        wait_until(lambda: len(Snapshot(server).processes) >= 6, 20, "calls run")
        server.kill9()
        assert "ok" not in [r.result() for r in running]
    assert_nothing_left_of(server.data, server.cgroup_parts)
    server.start()
    function.client = server.lambda_client
    assert function({}).ok() == "ok"


# ---- a full disk --------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def small_disk():
    """A file system of 64 MB of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="hearth-small-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "none", str(directory)], check=True)
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)
    shutil.rmtree(directory, ignore_errors=True)


def fill(directory, leave=0):
    """Takes all room but `leave` bytes; gives the file to remove again."""
    path = directory / "ballast"
    with open(path, "ab", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                if shutil.disk_usage(directory).free <= leave:
                    break
                file.write(b"\0" * min(1 << 20, max(4096, shutil.disk_usage(directory).free - leave)))
        with contextlib.suppress(OSError):
            while leave == 0:
                file.write(b"\0" * 4096)
    return path


def test_a_full_disk_gives_clear_errors_and_the_server_goes_on(small_disk):
    server = Hearth(data=small_disk / "data", stop_must_be_clean=True)
    try:
        kept = server.deploy({"index.js": "exports.handler = async () => 'kept';"}, env={"AB": "b"})
        assert kept({}).ok() == "kept"
        client = server.lambda_client
        ballast = fill(small_disk, leave=1 << 20)
        refused = []
        for number in range(6):
            try:
                client.create_function(FunctionName=f"large-{number}", Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": package(number, 2 << 20)})
            except botocore.exceptions.ClientError as error:
                refused.append(error.response)
        assert len(refused) == 6
        for response in refused:
            assert response["ResponseMetadata"]["HTTPStatusCode"] >= 500
            assert "disk" in response["Error"]["Message"].lower() or "space" in response["Error"]["Message"].lower(), response
        ballast.unlink()
        ballast = fill(small_disk)
        outcomes = {}
        for number in range(30):
            try:
                client.update_function_configuration(FunctionName=kept.name, Description="x" * 200 + str(number))
                outcomes["done"] = number
            except botocore.exceptions.ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or error.response["Error"]["Code"] == "ResourceConflictException", error
                outcomes["refused"] = number
        assert kept({}).ok() == "kept", "calls go on while the disk is full"
        assert [f["FunctionName"] for f in client.list_functions()["Functions"]] == [kept.name]
        ballast.unlink()
        wait_until(lambda: creates(server, "after"), 20, "once there is room, it works again")
        described = client.get_function_configuration(FunctionName=kept.name).get("Description", "")
        assert server.stop() == 0
        server.start()
        client = server.lambda_client
        assert sorted(f["FunctionName"] for f in client.list_functions()["Functions"]) == sorted([kept.name, "after"])
        assert client.get_function_configuration(FunctionName=kept.name).get("Description", "") == described
        kept.client = client
        assert kept({}).ok() == "kept"
        assert "disk" in server.stderr().lower() or "space" in server.stderr().lower(), "the server said what is wrong"
        leftovers = [p for p in (server.data / "code").iterdir() if len(p.name) != 64]
        assert leftovers == []
    finally:
        server.close()


def creates(server, name):
    try:
        server.lambda_client.create_function(FunctionName=name, Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": package(1)})
        return True
    except botocore.exceptions.ClientError:
        return False


def test_a_start_on_a_full_disk_says_so(small_disk):
    server = Hearth(data=small_disk / "data")
    assert server.stop() == 0
    ballast = fill(small_disk)
    try:
        server.spawn()

        def ready_or_ended():
            return server.process.poll() is not None or (server.data / "endpoints.json").exists()
        wait_until(ready_or_ended, 30, "it starts or says why not")
        if server.process.poll() is not None:
            assert server.process.returncode != 0
            assert "disk" in server.stderr().lower() or "space" in server.stderr().lower()
            server.process = None
    finally:
        ballast.unlink()
    if server.process is not None:
        server.stop()
    server.start()
    assert server.deploy({"index.js": "exports.handler = async () => 1;"})({}).ok() == 1
    server.close()


def test_a_data_directory_of_somebody_else_or_a_file_in_its_place_is_refused(tmp_path):
    from helpers import binary
    (tmp_path / "file").write_text("not a directory")
    done = subprocess.run([binary(), "serve", "--data", str(tmp_path / "file"), "--api", "127.0.0.1:0", "--gateway", "127.0.0.1:0"], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and str(tmp_path / "file") in done.stderr


def test_a_broken_database_is_told_and_not_replaced(new_hearth):
    server = new_hearth(stop_must_be_clean=False)
    server.deploy({"index.js": "exports.handler = async () => 1;"})
    assert server.stop() == 0
    database = server.data / "hearth.db"
    for extra in server.data.glob("hearth.db-*"):
        extra.unlink()
    broken = b"this was a database" * 1000
    database.write_bytes(broken)
    server.spawn()
    assert server.wait(60) != 0
    server.process = None
    assert "database" in server.stderr()
    assert database.read_bytes() == broken


def test_a_lost_master_key_is_told_and_no_new_one_is_made(new_hearth):
    server = new_hearth(stop_must_be_clean=False)
    server.deploy({"index.js": "exports.handler = async () => 1;"}, env={"SECRET": "x"})
    assert server.stop() == 0
    key = server.data / "master.key"
    kept = key.read_bytes()
    key.unlink()
    server.spawn()
    assert server.wait(60) != 0
    server.process = None
    assert "master.key" in server.stderr() and not key.exists()
    key.write_bytes(kept)
    key.chmod(0o600)
    server.start()


def test_however_often_it_is_told_to_end_it_ends_in_good_order(tmp_path):
    """A person who presses Ctrl-C again and again, while calls run."""
    server = Hearth(options=["--drain", "300ms"])
    function = server.deploy(make_zip({"index.js": "exports.handler = async () => new Promise((done) => setTimeout(done, 20000));"}), timeout=30)
    callers = [threading.Thread(target=_quietly, args=(function,), daemon=True) for _ in range(4)]
    try:
        for caller in callers:
            caller.start()
        wait_until(lambda: len(children_of(server.keeper_pid)) >= 4, what="the calls run")
        while server.process.poll() is None:
            server.terminate()
            time.sleep(0.01)
        assert server.process.returncode == 0, server.dump()
        for caller in callers:
            caller.join(30)
        server.process = None
    finally:
        server.close(check=False)


def _quietly(function):
    with contextlib.suppress(Exception):
        function({})
