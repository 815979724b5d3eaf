"""A mixed load with updates and deletes: every answer is the right one, and afterwards nothing remains. Counted, not hoped."""
import concurrent.futures
import json
import os
import random
import threading

import pytest

from helpers import Snapshot, assert_nothing_more, children_of, make_zip, orphaned_network_namespaces, processes_that_mention, wait_until

# The whole of it (500 functions, 10,000 calls) takes minutes: HEARTH_MIX=full; otherwise the same with fewer.
FULL = os.environ.get("HEARTH_MIX") == "full"
FUNCTIONS, CALLS, CLIENTS = (500, 10000, 16) if FULL else (100, 2000, 16)
UPDATES, PUBLISHES, DELETED_VERSIONS, DELETES = (CALLS * part // 1000 for part in (50, 50, 10, 10))

NODE = "exports.handler = async (e, c) => ({{ f: '{name}', v: {version}, n: e.n, double: e.n * 2, number: c.functionVersion, arn: c.invokedFunctionArn }});"
MODULE = "export const handler = async (e, c) => ({{ f: '{name}', v: {version}, n: e.n, double: e.n * 2, number: c.functionVersion, arn: c.invokedFunctionArn }});"
PYTHON = ("def handler(e, c):\n    return {{'f': '{name}', 'v': {version}, 'n': e['n'], 'double': e['n'] * 2, 'number': c.function_version, 'arn': c.invoked_function_arn}}\n")
SHELL = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
  event=$(curl -sS -D /tmp/head "$api/next")
  id=$(sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p' /tmp/head | tr -d '\\r')
  arn=$(sed -n 's/^[Ll]ambda-[Rr]untime-[Ii]nvoked-[Ff]unction-[Aa]rn: *//p' /tmp/head | tr -d '\\r')
  n=${{event#*:}}; n=${{n%\\}}}}; n=$((n))
  curl -sS -o /dev/null -d "{{\\"f\\":\\"{name}\\",\\"v\\":{version},\\"n\\":$n,\\"double\\":$((n * 2)),\\"number\\":\\"$AWS_LAMBDA_FUNCTION_VERSION\\",\\"arn\\":\\"$arn\\"}}" "$api/$id/response"
done
"""
KINDS = [("nodejs20.x", "index.js", NODE), ("nodejs22.x", "index.mjs", MODULE), ("python3.11", "lambda_function.py", PYTHON), ("provided.al2023", "bootstrap", SHELL)]


def package(name, kind, version):
    runtime, file, source = KINDS[kind]
    return make_zip({file: (source.format(name=name, version=version), 0o755)})


class Function:
    """What one function may answer at the moment. `code` is the version of its source; `published` maps each number to the code that was frozen."""

    def __init__(self):
        self.lock = threading.Lock()             # changes one after the other, as one team makes them
        self.acknowledged = self.sent = 0        # code of $LATEST
        self.published, self.gone = {}, set()    # numbers; those whose delete was begun
        self.live = [1, 1]                       # numbers that the alias may be at: acknowledged, sent
        self.deleted = False                     # None: under way, both answers are right


class World:
    def __init__(self, server):
        self.server, self.client = server, server.lambda_client
        self.functions = [Function() for _ in range(FUNCTIONS)]
        self.wrong, self.calls, self.refused = [], 0, 0
        self.count_lock = threading.Lock()

    def name(self, i):
        return f"mixed-{i:03d}"

    def create(self, i):
        runtime, file, _ = KINDS[i % len(KINDS)]
        self.server.deploy(package(self.name(i), i % len(KINDS), 0), runtime=runtime, name=self.name(i), handler=f"{file.split('.')[0]}.handler", timeout=60)
        self.publish(i)
        self.client.create_alias(FunctionName=self.name(i), Name="live", FunctionVersion="1")

    def note(self, what):
        with self.count_lock:
            self.wrong.append(what)

    def call(self, i, n):
        f, chance = self.functions[i], random.Random(n)
        numbers = sorted(set(f.published) - f.gone)
        kind = chance.choice(["", "", "live", "version"]) if numbers else ""
        qualifier = str(chance.choice(numbers)) if kind == "version" else kind
        lowest, was_deleted, live = f.acknowledged, f.deleted, f.live[0]
        try:
            answer = self.client.invoke(FunctionName=self.name(i), Payload=json.dumps({"n": n}).encode(), **({"Qualifier": qualifier} if qualifier else {}))
        except self.client.exceptions.ResourceNotFoundException:
            with self.count_lock:
                self.refused += 1
            if f.deleted is False and not (kind == "version" and int(qualifier) in f.gone):
                self.note(f"{self.name(i)}:{qualifier} is there, but the call said it is not")
            return
        payload = json.load(answer["Payload"])
        with self.count_lock:
            self.calls += 1
        if was_deleted:
            self.note(f"{self.name(i)} answered after its delete was acknowledged: {payload}")
        elif "FunctionError" in answer:
            self.note(f"{self.name(i)} failed: {payload}")
        elif (payload["f"], payload["n"], payload["double"]) != (self.name(i), n, 2 * n):
            self.note(f"{self.name(i)} called with {n} answered {payload}")
        elif not payload["arn"].endswith(self.name(i) + (":" + qualifier if qualifier else "")):
            self.note(f"{self.name(i)}:{qualifier} was told it is {payload['arn']}")
        elif payload["number"] != answer["ExecutedVersion"]:
            self.note(f"{self.name(i)}:{qualifier} ran {payload['number']}, the answer says {answer['ExecutedVersion']}")
        elif kind == "" and not (payload["number"] == "$LATEST" and lowest <= payload["v"] <= f.sent):
            self.note(f"{self.name(i)} answered code {payload['v']}; {lowest} was acknowledged, {f.sent} sent")
        elif kind == "live" and not (live <= int(payload["number"]) <= f.live[1] and payload["v"] == f.published[int(payload["number"])]):
            self.note(f"{self.name(i)}:live answered {payload}; it may be at {f.live}")
        elif kind == "version" and (payload["number"], payload["v"]) != (qualifier, f.published[int(qualifier)]):
            self.note(f"{self.name(i)}:{qualifier} answered {payload}, frozen with code {f.published[int(qualifier)]}")

    def update(self, i):
        f = self.functions[i]
        with f.lock:
            if f.deleted is not False:
                return
            f.sent += 1
            self.client.update_function_code(FunctionName=self.name(i), ZipFile=package(self.name(i), i % len(KINDS), f.sent))
            wait_until(lambda: self.client.get_function_configuration(FunctionName=self.name(i))["LastUpdateStatus"] == "Successful", 60)
            f.acknowledged = f.sent

    def publish(self, i):
        """A new version, and the alias moves on to it."""
        f = self.functions[i]
        with f.lock:
            if f.deleted is not False:
                return
            number = int(self.client.publish_version(FunctionName=self.name(i))["Version"])
            if number in f.published:            # nothing had changed
                return
            f.published[number] = f.sent
            if number > 1:
                f.live[1] = number
                self.client.update_alias(FunctionName=self.name(i), Name="live", FunctionVersion=str(number))
                f.live[0] = number

    def delete_version(self, i):
        f = self.functions[i]
        with f.lock:
            old = sorted(set(f.published) - f.gone - set(f.live))
            if f.deleted is not False or not old:
                return
            f.gone.add(old[0])
            self.client.delete_function(FunctionName=self.name(i), Qualifier=str(old[0]))

    def delete(self, i):
        f = self.functions[i]
        with f.lock:
            if f.deleted is False:
                f.deleted = None
                self.client.delete_function(FunctionName=self.name(i))
                f.deleted = True


@pytest.mark.slow
def test_many_functions_versions_and_aliases_sixteen_clients_and_nothing_remains(new_hearth):
    server = new_hearth(options=["--idle", "2s"])
    warm = server.deploy({"index.js": "exports.handler = async () => 1;"})        # what is made once and kept is made now
    warm({})
    wait_until(lambda: not [p for p in children_of(server.keeper_pid)], 60, "the first instance has retired")
    warm.delete()
    orphans = orphaned_network_namespaces()
    before = Snapshot(server)
    world = World(server)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(world.create, range(FUNCTIONS)))

    # The same order of things each time; some functions get most of the calls, as in life.
    chance = random.Random(20240131)
    plan = [("call", min(int(chance.paretovariate(0.6)) - 1, FUNCTIONS - 1) if chance.random() < 0.7 else chance.randrange(FUNCTIONS), n) for n in range(CALLS)]
    for kind, count, lowest, first in (("update", UPDATES, 0, 0), ("publish", PUBLISHES, 0, 0), ("delete_version", DELETED_VERSIONS, 0, CALLS // 3), ("delete", DELETES, 20, CALLS // 2)):
        for at in sorted(chance.sample(range(first, CALLS), count), reverse=True):
            plan.insert(at, (kind, chance.randrange(lowest, FUNCTIONS) if chance.random() < 0.5 or lowest else chance.randrange(5), 0))

    def work(step):
        kind, i, n = step
        world.call(i, n) if kind == "call" else getattr(world, kind)(i)
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, plan))
    assert world.wrong == []
    assert world.calls + world.refused == CALLS and world.calls > CALLS * 0.8
    assert sum(len(f.gone) for f in world.functions) > 0 and max(len(f.published) for f in world.functions) > 2

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(world.delete, range(FUNCTIONS)))
    server._clients = {}                               # its connections are descriptors of the server too
    world.client = None
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
