"""A mixed load with updates and deletes: every answer is the right one, and afterwards nothing remains. Counted, not hoped."""
import concurrent.futures
import json
import random
import threading

import pytest

from helpers import Snapshot, assert_nothing_more, children_of, make_zip, orphaned_network_namespaces, processes_that_mention, wait_until

FUNCTIONS, CALLS, CLIENTS = 100, 2000, 16

NODE = "exports.handler = async (e) => ({{ f: '{name}', v: {version}, n: e.n, double: e.n * 2 }});"
MODULE = "export const handler = async (e) => ({{ f: '{name}', v: {version}, n: e.n, double: e.n * 2 }});"
PYTHON = "def handler(e, c):\n    return {{'f': '{name}', 'v': {version}, 'n': e['n'], 'double': e['n'] * 2}}\n"
KINDS = [("nodejs20.x", "index.js", NODE), ("nodejs22.x", "index.mjs", MODULE), ("python3.11", "lambda_function.py", PYTHON), ("nodejs20.x", "index.mjs", MODULE)]


def package(name, kind, version):
    runtime, file, source = KINDS[kind]
    return make_zip({file: source.format(name=name, version=version)})


class World:
    """What each function may answer: the versions that are right at the moment, under a lock a function."""

    def __init__(self, server):
        self.server = server
        self.locks = [threading.Lock() for _ in range(FUNCTIONS)]
        self.acknowledged = [0] * FUNCTIONS        # the version that the last answered update put in place
        self.sent = [0] * FUNCTIONS                # the newest that was ever sent
        self.deleted = [False] * FUNCTIONS
        self.wrong, self.calls, self.refused = [], 0, 0
        self.count_lock = threading.Lock()

    def name(self, i):
        return f"mixed-{i:03d}"

    def call(self, i, n):
        lowest, was_deleted = self.acknowledged[i], self.deleted[i]
        client = self.server.lambda_client
        try:
            answer = client.invoke(FunctionName=self.name(i), Payload=json.dumps({"n": n}).encode())
        except client.exceptions.ResourceNotFoundException:
            with self.count_lock:
                self.refused += 1
                if self.deleted[i] is False:
                    self.wrong.append(f"{self.name(i)} is there, but the call said it is not")
            return
        payload = json.load(answer["Payload"])
        with self.count_lock:
            self.calls += 1
            if was_deleted:
                self.wrong.append(f"{self.name(i)} answered after its delete was acknowledged: {payload}")
            elif "FunctionError" in answer:
                self.wrong.append(f"{self.name(i)} failed: {payload}")
            elif (payload["f"], payload["n"], payload["double"]) != (self.name(i), n, 2 * n):
                self.wrong.append(f"{self.name(i)} called with {n} answered {payload}")
            elif not lowest <= payload["v"] <= self.sent[i]:
                self.wrong.append(f"{self.name(i)} answered version {payload['v']}; {lowest} was acknowledged, {self.sent[i]} sent")

    def update(self, i):
        with self.locks[i]:
            if self.deleted[i]:
                return
            self.sent[i] += 1
            self.server.lambda_client.update_function_code(FunctionName=self.name(i), ZipFile=package(self.name(i), i % len(KINDS), self.sent[i]))
            wait_until(lambda: self.server.lambda_client.get_function_configuration(FunctionName=self.name(i))["LastUpdateStatus"] == "Successful", 60)
            self.acknowledged[i] = self.sent[i]

    def delete(self, i):
        with self.locks[i]:
            if not self.deleted[i]:
                deleted = self.deleted
                deleted[i] = None                  # under way: both answers are right
                self.server.lambda_client.delete_function(FunctionName=self.name(i))
                deleted[i] = True


@pytest.mark.slow
def test_a_hundred_functions_two_thousand_calls_sixteen_clients_and_nothing_remains(new_hearth):
    server = new_hearth(options=["--idle", "2s"])
    warm = server.deploy({"index.js": "exports.handler = async () => 1;"})        # what is made once and kept is made now
    warm({})
    wait_until(lambda: not [p for p in children_of(server.keeper_pid)], 60, "the first instance has retired")
    warm.delete()
    orphans = orphaned_network_namespaces()
    before = Snapshot(server)
    world = World(server)

    def create(i):
        runtime, file, _ = KINDS[i % len(KINDS)]
        server.deploy(package(world.name(i), i % len(KINDS), 0), runtime=runtime, name=world.name(i), handler=f"{file.split('.')[0]}.handler", timeout=60)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(FUNCTIONS)))

    # The same order of things each time; some functions get most of the calls, as in life.
    chance = random.Random(20240131)
    plan = [("call", min(int(chance.paretovariate(0.6)) - 1, FUNCTIONS - 1) if chance.random() < 0.7 else chance.randrange(FUNCTIONS), n) for n in range(CALLS)]
    for at in sorted(chance.sample(range(CALLS), 120), reverse=True):
        plan.insert(at, ("update", chance.randrange(FUNCTIONS), 0))
    for at in sorted(chance.sample(range(CALLS // 2, CALLS), 20), reverse=True):
        plan.insert(at, ("delete", chance.randrange(20, FUNCTIONS), 0))

    def work(step):
        kind, i, n = step
        {"call": lambda: world.call(i, n), "update": lambda: world.update(i), "delete": lambda: world.delete(i)}[kind]()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, plan))
    assert world.wrong == []
    assert world.calls + world.refused == CALLS and world.calls > CALLS * 0.8

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(world.delete, range(FUNCTIONS)))
    server._clients = {}                               # its connections are descriptors of the server too
    __import__("gc").collect()
    assert_nothing_more(server, before, 120)
    assert not [p for p in processes_that_mention(str(server.data)) if p not in (server.pid, server.keeper_pid)]
    if orphans is not None:            # some hundred came and went; other programs may be just making or ending one
        wait_until(lambda: orphaned_network_namespaces() <= max(orphans, 0) + 10, 60, "the kernel has freed the network namespaces")


def test_failed_creates_and_updates_leave_nothing(new_hearth):
    server = new_hearth(options=["--idle", "1s"])
    function = server.deploy({"index.js": "exports.handler = async () => 1;"})
    before = Snapshot(server)
    client = server.lambda_client
    for broken in (b"no zip at all", make_zip({"../outside": "x"}), make_zip({"/absolute": "x"}), make_zip({"a": "1"})[:-30]):
        with pytest.raises(client.exceptions.InvalidParameterValueException):
            client.update_function_code(FunctionName=function.name, ZipFile=broken)
        with pytest.raises(client.exceptions.InvalidParameterValueException):
            server.deploy(broken)
    with pytest.raises(client.exceptions.ResourceConflictException):
        server.deploy({"index.js": "exports.handler = async () => 'another';"}, name=function.name)
    assert_nothing_more(server, before, 30)
    assert function({}).ok() == 1


def test_instances_that_crash_leave_nothing(new_hearth):
    server = new_hearth(options=["--idle", "1s"])
    function = server.deploy({"index.js": "if (process.env.DIE === 'init') process.exit(2);\nexports.handler = async (e) => { if (e.exit) process.exit(1); if (e.spawn) { require('node:child_process').spawn('/bin/sleep', ['1000'], { detached: true, stdio: 'ignore' }).unref(); } return 1; };"}, timeout=5)
    function({})
    wait_until(lambda: not children_of(server.keeper_pid), 60, "the first instance has retired")
    before = Snapshot(server)
    for event in ({"exit": 1}, {"spawn": 1}, {"exit": 1}, {"spawn": 1}) * 3:
        function(event)
    function.configure(Environment={"Variables": {"DIE": "init"}})
    for _ in range(3):
        assert function({}).error == "Unhandled"
    assert_nothing_more(server, before, 60)
