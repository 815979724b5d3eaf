"""A hostile bootstrap on its Runtime API: it can waste its own time, and nobody else's.

It cannot reach another instance's port, cannot answer another's call, and neither thousands of connections nor heads that never end take more of the
server than its own share.
"""
import concurrent.futures
import os
import re
import time

import pytest

from helpers import _read, descriptors_of, make_zip
from test_attacks import KINDS, Neighbour, server_of

BOOTSTRAP = """#!/usr/bin/python3
import http.client, json, os, socket, time

def call(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection('127.0.0.1', 9001, timeout=60)
    connection.request(method, '/2018-06-01/runtime/' + path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())

def dial(address='127.0.0.1', port=9001, timeout=5):
    return socket.create_connection((address, port), timeout=timeout)

while True:
    status, event, headers = call('GET', 'invocation/next')
    request_id = headers['Lambda-Runtime-Aws-Request-Id']
    scope = dict(globals(), request_id=request_id, event=json.loads(event), result=None)
    exec(scope['event'].get('python', ''), scope)
    call('POST', 'invocation/' + request_id + '/response', json.dumps(scope['result']))
"""


def hostile(server, **more):
    return server.deploy(make_zip({"bootstrap": (BOOTSTRAP, 0o755)}), runtime="provided.al2023", handler="x", memory=512, timeout=60, **more)


@KINDS
def test_no_other_instances_port_is_within_reach(new_hearth, kind):
    server = server_of(new_hearth, kind)
    victim, attacker = hostile(server), hostile(server)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(victim, {"python": "time.sleep(3)\nresult = 'untouched'"})
        tries = ("result = {}\nfor address in ('127.0.0.2', '0.0.0.0', '10.0.0.1', '169.254.169.254'):\n"
                 "    try:\n        s = dial(address, 9001, 1)\n        s.sendall(b'GET /2018-06-01/ping HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n')\n        result[address] = s.getsockname()[0]\n"
                 "    except OSError as problem:\n        result[address] = type(problem).__name__\n")
        seen = attacker({"python": tries}).ok()
        # 0.0.0.0 is one's own loopback: one's own Runtime API.
        assert all(not re.match(r"\d", str(value)) or value.startswith("127.") for value in seen.values()), seen
        for address in ("10.0.0.1", "169.254.169.254"):
            assert not re.match(r"\d", seen[address])
        assert running.result().ok() == "untouched"


def test_another_calls_id_is_of_no_use(new_hearth):
    server = server_of(new_hearth, "ordinary")
    victim, attacker = hostile(server), hostile(server)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        identity = "12345678-1234-4123-8123-123456789abc"
        running = pool.submit(victim, {"python": "time.sleep(2)\nresult = request_id"})
        seen = attacker({"python": f"result = [call('POST', 'invocation/' + id + '/response', '\"stolen\"')[0] for id in ('{identity}', request_id.replace(request_id[0], 'f' if request_id[0] != 'f' else 'e', 1))]"}).ok()
        assert seen == [400, 400]
        answer = running.result()
        assert answer.ok() == answer.request_id


@KINDS
def test_a_thousand_connections_are_the_instances_own_trouble(new_hearth, kind):
    server = server_of(new_hearth, kind)
    attacker = hostile(server)
    assert attacker({}).ok() is None
    before = len(descriptors_of(server.pid))
    flood = ("import resource\nmany = []\ntry:\n    for n in range(1000):\n        s = socket.socket()\n        s.setblocking(False)\n        s.connect_ex(('127.0.0.1', 9001))\n        many.append(s)\n"
             "except OSError:\n    pass\ntime.sleep(2)\nresult = len(many)\nfor s in many:\n    s.close()")
    with Neighbour(server) as neighbour, concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(attacker, {"python": flood})
        most = before
        while not running.done():
            most = max(most, len(descriptors_of(server.pid)))
            time.sleep(0.05)
        assert running.result().ok() > 500
    assert most - before < 16 + 30, "its own share, and what the neighbour's calls need"
    assert neighbour.problems == [] and neighbour.longest < 10
    assert attacker({"python": "result = 'well'"}).ok() == "well"


def test_heads_that_never_end_are_ended(new_hearth):
    server = server_of(new_hearth, "ordinary")
    attacker = hostile(server)
    slow = ("many = [dial() for _ in range(12)]\nfor s in many:\n    s.sendall(b'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: h\\r\\nX: ')\n"
            "began = time.time()\nended = 0\nfor s in many:\n    s.settimeout(40)\n    try:\n        while s.recv(4096):\n            pass\n        ended += 1\n    except OSError:\n        ended += 1\nresult = [ended, time.time() - began]")
    with Neighbour(server) as neighbour:
        ended, took = attacker({"python": slow}).ok()
    assert ended == 12 and took < 40 and neighbour.problems == []


@KINDS
def test_heads_and_bodies_without_end_cost_no_memory(new_hearth, kind):
    server = server_of(new_hearth, kind)
    attacker = hostile(server)
    assert attacker({}).ok() is None

    def resident_kb():
        return int(re.search(r"VmRSS:\s+(\d+) kB", _read(f"/proc/{server.pid}/status")).group(1))
    before = resident_kb()
    floods = ("def flood(head, piece):\n    s = dial(timeout=20)\n    began = time.time()\n    try:\n        s.sendall(head)\n        while time.time() < began + 15:\n            s.send(piece)\n"
              "        return 'all taken'\n    except OSError:\n        return 'cut'\n    finally:\n        s.close()\n"
              "post = ('POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\nHost: h\\r\\n' % ('0' * 36)).encode()\n"
              "result = [flood(b'GET / HTTP/1.1\\r\\nHost: h\\r\\nX: ', b'y' * 65536), flood(post + b'Content-Length: 99999999999\\r\\n\\r\\n', b'z' * 65536),"
              " flood(post + b'Transfer-Encoding: chunked\\r\\n\\r\\n', b'1;' + b'e' * 4000 + b'\\r\\nx\\r\\n')]")
    with Neighbour(server) as neighbour:
        assert attacker({"python": floods}).ok() == ["cut"] * 3, "read on for a moment, so that the refusal is seen, then no more"
    assert resident_kb() - before < 40 * 1024 and neighbour.problems == []
    assert attacker({"python": "result = 1"}).ok() == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="these tests do not run as root")
def test_a_runtime_that_only_asks_is_not_given_time_for_it(new_hearth):
    """Asking for the next call again and again, without ever answering, is the call's own time: it ends with its deadline."""
    server = server_of(new_hearth, "root")
    attacker = hostile(server)
    attacker.configure(Timeout=2)
    with Neighbour(server) as neighbour:
        answer = attacker({"python": "while True:\n    call('GET', 'invocation/next')"})
    assert answer.error == "Unhandled" and "timed out after 2.00 seconds" in answer.payload["errorMessage"]
    assert neighbour.problems == [] and neighbour.longest < 5
