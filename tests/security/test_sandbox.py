"""Hostile functions through the whole server, as root and as an ordinary user.

Each attempt must fail; the server must not notice (same process, no more memory or descriptors than before), and a neighbour function that
is called all the while must go on answering right. hostile/*.c are programs that try one thing each and print "BROKEN: ..." when it worked;
the rest is Node.js and Python, as an attacker would write it.
"""
import contextlib
import json
import os
import pathlib
import re
import socket
import threading
import time
import uuid

import pytest

from helpers import NODE, Hearth, _read, aws_error, children_of, compile_static, descendants_of, descriptors_of, node, processes_that_mention, python, wait_until

HOSTILE = pathlib.Path(__file__).parent / "hostile"
MARK = "mark-" + uuid.uuid4().hex             # what attackers look for: it is in the neighbour's code, environment, /tmp and memory


def resident_kb(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", _read(f"/proc/{pid}/status") or "VmRSS: 0 kB").group(1))


def cpu_ticks(pid):
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


class Neighbour:
    """Calls its function without pause while an attack runs, and checks each answer."""

    def __init__(self, server):
        self.function = server.deploy(node(
            f"const mark = '{MARK}'; const fs = require('node:fs'); fs.writeFileSync('/tmp/{MARK}', mark); let calls = 0;\n"
            f"exports.handler = async (e) => ({{ sum: e.a + e.b, kept: fs.readFileSync('/tmp/{MARK}', 'utf8') === mark && process.env.MARK === mark, calls: ++calls, files: fs.readdirSync('/tmp').length }});"),
            env={"MARK": MARK}, timeout=30, name=f"neighbour-{uuid.uuid4().hex[:6]}")
        self.stop, self.problems, self.answers = threading.Event(), [], 0
        self.function({"a": 0, "b": 0})

    def _run(self):
        n, last = 0, 0
        while not self.stop.is_set():
            n += 1
            try:
                answer = self.function({"a": n, "b": 1000}, tail=False).ok()
                if answer["sum"] != n + 1000 or not answer["kept"] or answer["calls"] != last + 1 and last:
                    self.problems.append(answer)
                last = answer["calls"]
                self.answers += 1
            except Exception as problem:                                   # noqa: B902
                self.problems.append(problem)
            self.stop.wait(0.02)

    def __enter__(self):
        self.stop.clear()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


@pytest.fixture(scope="module", params=["root", "ordinary"])
def world(request):
    """A server as root (with a cgroup and a uid an instance) and one as an ordinary user (a user namespace an instance)."""
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("these tests do not run as root")
    server = Hearth(user=None if request.param == "root" else "ordinary", options=["--idle", "60s"])
    server.kind = request.param
    try:
        server.neighbour = Neighbour(server)
        yield server
    except BaseException:
        server.close(check=False)
        raise
    server.close()


@pytest.fixture
def attack(world, request):
    """Deploys hostile code; the neighbour is called meanwhile and both are looked at afterwards."""
    pid, keeper, problems_before = world.pid, world.keeper_pid, len(world.neighbour.problems)
    answers_before, memory_before, fds_before = world.neighbour.answers, resident_kb(world.pid), len(descriptors_of(world.pid))
    request.node.hearths = [world]
    functions = []

    def deploy(files, **more):
        more.setdefault("timeout", 20)
        function = world.deploy(files, **more)
        functions.append(function)
        return function
    with world.neighbour:
        yield deploy
        wait_until(lambda: world.neighbour.answers > answers_before, 30, "the neighbour has answered")
    for function in functions:
        function.delete()
    assert world.neighbour.problems[problems_before:] == [], "the neighbour noticed"
    assert world.process.poll() is None and world.pid == pid and world.keeper_pid == keeper, "server or keeper died"
    wait_until(lambda: len(children_of(world.keeper_pid)) <= 2, 40, "the attackers' sandboxes are gone")
    assert resident_kb(world.pid) < memory_before + 100 * 1024, "the server grew"
    wait_until(lambda: len(descriptors_of(world.pid)) <= fds_before + 12, 20, "the server holds no more descriptors")


# ---- the hostile programs -----------------------------------------------------------------------------------------------------------

RUN = ("import subprocess, os\ndef handler(event, context):\n"
       "    done = subprocess.run(['/var/task/hostile', *event.get('arguments', [])], timeout=event.get('timeout', 15))\n    return done.returncode\n")
# Below a runtime these hold by themselves: its own process is to be seen, the channel is close-on-exec.
OF_THE_RUNTIME = re.compile(r"BROKEN: (another process is to be seen in /proc|descriptor 3 is not a socket|opening the channel's socket again)$")


def broken_lines(log):
    return [line for line in log.splitlines() if line.startswith("BROKEN:") and not OF_THE_RUNTIME.match(line)]


def run_hostile(attack, name, arguments=(), **more):
    function = attack({"lambda_function.py": RUN, "hostile": (compile_static(HOSTILE / f"{name}.c"), 0o755)}, runtime="python3.11", **more)
    return function({"arguments": list(arguments)})


@pytest.mark.parametrize("name", ["rights", "write_root"])
def test_a_hostile_program_gets_nothing(attack, name):
    answer = run_hostile(attack, name)
    assert broken_lines(answer.log) == []
    assert answer.error is None, answer


def test_the_hosts_files_are_not_there(attack, world, tmp_path):
    (tmp_path / "secret").write_text(MARK)
    answer = run_hostile(attack, "read_host", [str(tmp_path / "secret"), str(world.data), str(world.data / "credentials"), __file__])
    assert broken_lines(answer.log) == []


def test_the_hosts_processes_are_not_there_and_cannot_be_signalled(attack, world):
    answer = run_hostile(attack, "processes", [str(os.getpid()), str(world.pid), str(world.keeper_pid), *map(str, list(descendants_of(world.pid))[:5])])
    assert broken_lines(answer.log) == []


def test_there_is_no_network_but_loopback(attack):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        name = "hearth-test-" + uuid.uuid4().hex
        abstract.bind("\0" + name)
        abstract.listen()
        answer = run_hostile(attack, "network", [str(listener.getsockname()[1]), name])
        assert broken_lines(answer.log) == []
        for s in (listener, abstract):
            s.settimeout(0)
            with pytest.raises(BlockingIOError):
                s.accept()


@pytest.mark.parametrize("way", ["plain", "shared", "memfd", "children"])
def test_a_memory_bomb_hits_itself_alone(attack, way):
    answer = run_hostile(attack, "memory_bomb", [way, "1024"], memory=128)
    assert broken_lines(answer.log) == []


def test_a_fork_bomb_hits_itself_alone_and_the_next_call_works(attack):
    function = attack({"index.js": "const { spawn } = require('node:child_process');\nexports.handler = async (e) => { if (e.bomb) { spawn('/bin/sh', ['-c', 'f() { f | f & }; f'], { stdio: 'ignore' }).on('error', () => {}); await new Promise((r) => setTimeout(r, 1500)); } return 'fine'; };"}, timeout=5, memory=256)
    assert function({}).ok() == "fine"
    function({"bomb": 1})
    wait_until(lambda: answers(function, "fine"), 30, "the function works again")


def answers(function, expected):
    try:
        return function({}).payload == expected
    except Exception:                                  # noqa: B902
        return False


def test_no_more_than_the_allowed_processes_can_be_made(attack):
    answer = run_hostile(attack, "fork_bomb", memory=512)
    assert broken_lines(answer.log) == []


def test_a_full_tmp_is_its_own(attack):
    answer = run_hostile(attack, "disk_fill", ["500"], timeout=120)
    assert answer.error is None and broken_lines(answer.log) == [], answer


def test_an_output_flood_is_cut_and_costs_the_server_nothing(attack, world):
    before = resident_kb(world.pid)
    logs = sum(p.stat().st_size for p in (world.data / "logs").rglob("*") if p.is_file())
    answer = run_hostile(attack, "output_flood", timeout=4)
    assert answer.error == "Unhandled"
    assert resident_kb(world.pid) < before + 64 * 1024
    assert sum(p.stat().st_size for p in (world.data / "logs").rglob("*") if p.is_file()) < logs + 64 * 1024 * 1024


def test_one_endless_line_is_cut(attack, world):
    function = attack(node("exports.handler = async () => { const b = Buffer.alloc(1 << 20, 120); for (let i = 0; i < 200; i++) require('node:fs').writeSync(1, b); return 'done'; };"), memory=256)
    before = resident_kb(world.pid)
    assert function({}).payload is not None
    assert resident_kb(world.pid) < before + 64 * 1024


# ---- other functions ----------------------------------------------------------------------------------------------------------------

SEARCH = """
import os, stat
MARK = ('mark' + '-' + 'HALF1' + 'HALF2').encode()          # put together here, so that the searcher does not find itself
def files(root):
    for directory, names, files in os.walk(root, onerror=lambda e: None):
        if directory.startswith(('/usr', '/proc/self', '/proc/thread-self', '/var/lang', '/var/runtime')):
            names[:] = []
            continue
        for name in files:
            yield os.path.join(directory, name)
def readable(pid):
    try:
        return MARK in open('/proc/%s/environ' % pid, 'rb').read()
    except OSError:
        return False
def handler(event, context):
    found, looked = [], 0
    for path in files('/'):
        if MARK.decode() in path:
            found.append(path)
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode) or path.startswith('/proc/') and not path.endswith(('environ', 'maps', 'cmdline')):
                continue
            with open(path, 'rb') as file:
                looked += 1
                if MARK in file.read(1 << 20):
                    found.append(path)
        except OSError:
            pass
    pids = [p for p in os.listdir('/proc') if p.isdigit()]
    return {'found': found, 'looked': looked, 'pids': len(pids), 'environ': [p for p in pids if readable(p)]}
"""


def test_no_other_functions_files_environment_or_processes_are_to_be_found(attack):
    half = MARK[len("mark-"):]
    source = SEARCH.replace("HALF1", half[:16]).replace("HALF2", half[16:])
    assert MARK not in source
    answer = attack(python(source), runtime="python3.11", timeout=60)({}).ok()
    assert answer["looked"] > 5, "it did look"
    assert answer["found"] == [] and answer["environ"] == []
    assert answer["pids"] <= 4


def test_instances_differ_in_uid_where_the_server_is_root(attack, world):
    source = "import os\ndef handler(e, c):\n    return [os.getuid(), os.getgid(), os.getgroups(), os.geteuid()]\n"
    one, two = attack(python(source), runtime="python3.11")({}).ok(), attack(python(source), runtime="python3.11")({}).ok()
    for uid, gid, groups, euid in (one, two):
        assert uid == euid != 0 and gid != 0 and groups in ([], [gid]) or world.kind == "ordinary"
    if world.kind == "root":
        assert one[0] != two[0] and one[1] != two[1]


def test_a_file_in_tmp_is_not_seen_by_the_next_instance(attack):
    function = attack(node("const fs = require('node:fs');\nexports.handler = async (e) => { const kept = fs.readdirSync('/tmp'); fs.writeFileSync('/tmp/mine', 'x'); if (e.exit) process.exit(1); return kept; };"))
    first = function({}).ok()
    assert "mine" not in first
    function({"exit": 1})
    assert "mine" not in function({}).ok()


def test_no_more_than_the_channel_and_the_outputs_is_inherited(attack):
    source = "import os\ndef handler(e, c):\n    found = {}\n    for fd in range(3, 1024):\n        try:\n            found[fd] = os.readlink('/proc/self/fd/%d' % fd)\n        except OSError:\n            pass\n    return found\n"
    found = attack(python(source), runtime="python3.11")({}).ok()
    assert set(found) <= {"3"}, found


# ---- the channel -------------------------------------------------------------------------------------------------------------------

def frame(kind, sequence, body, version=1, reserved=0, length=None):
    import struct
    return struct.pack("<IIBBH", len(body) if length is None else length, sequence, kind, version, reserved) + body


CHANNEL_ABUSE = {
    "random bytes": os.urandom(64),
    "a frame that never ends": frame(0x13, 1, b"", length=8 * 1024 * 1024)[:12] + b"x" * 100,
    "a frame of 4 GB": frame(0x13, 1, b"", length=0xffffffff),
    "an INVOKE": frame(0x01, 1, b"\0" * 40),
    "a second READY": frame(0x11, 0, b"\1\0\0\0"),
    "an INIT_FAILED": frame(0x12, 0, b"\x04\0Evil{}"),
    "a CHUNK": frame(0x15, 1, b"x"),
    "another version": frame(0x13, 1, b"{}", version=9),
    "reserved bits": frame(0x13, 1, b"{}", reserved=7),
    "a DONE of another call": frame(0x13, 4000000, b'"forged"'),
    "a DONE of call 0": frame(0x13, 0, b'"forged"'),
    "a DONE that is no JSON": frame(0x13, 1, b'{"half'),
    "a FAILED with a length that lies": frame(0x14, 1, b"\xff\xffab"),
    "a FAILED that is empty": frame(0x14, 1, b""),
    "a thousand DONEs": frame(0x13, 1, b'"forged"') * 1000,
}


@pytest.mark.parametrize("case", list(CHANNEL_ABUSE))
def test_nonsense_on_the_channel_costs_its_own_call_alone(attack, case):
    function = attack(python("import os\nJUNK = bytes.fromhex(open('/var/task/junk').read())\ndef handler(event, context):\n    if event.get('junk'):\n        os.write(3, JUNK)\n    return 'mine'\n")
                      | {"junk": CHANNEL_ABUSE[case].hex()}, runtime="python3.11", timeout=4)
    assert function({}).ok() == "mine"
    answer = function({"junk": 1})
    assert answer.error == "Unhandled" or answer.payload in ("mine", "forged"), answer
    wait_until(lambda: answers(function, "mine"), 15, "the next call gets a right answer")
    assert function({}).ok() == "mine"


def test_a_call_cannot_answer_for_the_next_one(attack):
    """Frames written after the own answer, or by a process that stays behind, never become somebody else's answer."""
    function = attack(python("""
import os, struct, threading, time
def late():
    time.sleep(0.05)
    for sequence in range(0, 200):
        try:
            os.write(3, struct.pack('<IIBBH', 8, sequence, 0x13, 1, 0) + b'"forged"')
        except OSError:
            return
def handler(event, context):
    if event.get('junk'):
        threading.Thread(target=late, daemon=True).start()
    return event.get('n')
"""), runtime="python3.11", timeout=5)
    assert function({"n": 1}).ok() == 1
    function({"n": 2, "junk": 1})
    time.sleep(0.3)
    for n in range(10, 30):
        answer = function({"n": n})
        assert answer.error is not None or answer.payload == n


def test_a_child_that_keeps_the_channel_and_the_outputs_is_ended_with_its_instance(attack, world):
    function = attack(python("""
import os, time
def handler(event, context):
    if event.get('keep'):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True:
                    time.sleep(0.05)
                    try:
                        os.write(3, b'nonsense from the past')
                    except OSError:
                        time.sleep(1000)
            os._exit(0)
        os._exit(1)
    return 'fine'
"""), runtime="python3.11", timeout=5)
    before = len(processes_that_mention(str(world.data)))
    assert function({"keep": 1}).error == "Unhandled"
    assert function({}).ok() == "fine"
    wait_until(lambda: len(processes_that_mention(str(world.data))) <= before + 3, 15, "the child is gone")


def test_closing_the_channel_ends_its_own_call_alone(attack):
    function = attack(python("import os\ndef handler(event, context):\n    if event.get('close'):\n        os.close(3)\n    return 'fine'\n"), runtime="python3.11", timeout=4)
    assert function({"close": 1}).error == "Unhandled"
    assert function({}).ok() == "fine"


def test_closing_the_outputs_harms_nobody(attack):
    function = attack(python("import os\ndef handler(event, context):\n    if event.get('close'):\n        os.close(1); os.close(2)\n    return 'fine'\n"), runtime="python3.11", timeout=4)
    assert function({}).ok() == "fine"
    answer = function({"close": 1})
    assert answer.error == "Unhandled" or answer.payload == "fine"
    wait_until(lambda: answers(function, "fine"), 15)


# ---- between calls ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["a child process", "a thread", "a worker thread of Node"])
def test_what_computes_between_calls_gets_no_cpu(attack, world, how):
    if how == "a child process":
        files, runtime = python("import os, time\ndef handler(e, c):\n    if e.get('start') and os.fork() == 0:\n        os.closerange(0, 3)\n        while True:\n            pass\n    time.sleep(0.2)\n    return 1\n"), "python3.11"
    elif how == "a thread":
        files, runtime = python("import threading, time\ndef spin():\n    while True:\n        pass\ndef handler(e, c):\n    if e.get('start'):\n        threading.Thread(target=spin, daemon=True).start()\n    time.sleep(0.2)\n    return 1\n"), "python3.11"
    else:
        files, runtime = node("const { Worker } = require('node:worker_threads');\nexports.handler = async (e) => { if (e.start) new Worker('for (;;);', { eval: true }).unref(); await new Promise((r) => setTimeout(r, 200)); return 1; };"), NODE
    before = set(descendants_of(world.pid))
    function = attack(files, runtime=runtime, memory=512)
    function({"start": 1})
    function({})
    mine = set(descendants_of(world.pid)) - before
    assert mine
    time.sleep(0.5)                                       # it may be given a moment to be frozen
    used = sum(cpu_ticks(p) for p in mine)
    time.sleep(2)
    used = sum(cpu_ticks(p) for p in mine) - used
    assert used <= 0.2 * os.sysconf("SC_CLK_TCK"), f"{used} ticks in two seconds without a call"
    assert function({}).ok() == 1, "and then it goes on"


# ---- the API, with an instance's key ---------------------------------------------------------------------------------------------------

CALLS = """
import boto3, botocore.exceptions
def outcome(call, **arguments):
    try:
        call(**arguments)
        return 'ALLOWED'
    except botocore.exceptions.ClientError as error:
        return error.response['Error']['Code']
def handler(event, context):
    client = boto3.client('lambda')
    mine, other = context.function_name, event['other']
    return {
        'create': outcome(client.create_function, FunctionName='evil', Runtime='python3.11', Handler='a.b', Role='arn:aws:iam::000000000000:role/hearth-basic', Code={'ZipFile': b'PK'}),
        'update other': outcome(client.update_function_code, FunctionName=other, ZipFile=b'PK'),
        'update mine': outcome(client.update_function_code, FunctionName=mine, ZipFile=b'PK'),
        'configure': outcome(client.update_function_configuration, FunctionName=other, Timeout=1),
        'delete': outcome(client.delete_function, FunctionName=other),
        'get': outcome(client.get_function, FunctionName=other),
        'configuration': outcome(client.get_function_configuration, FunctionName=other),
        'list': outcome(client.list_functions),
        'settings': outcome(client.get_account_settings),
        'nobody': outcome(boto3.client('lambda', aws_access_key_id='AKIAAAAAAAAAAAAAAAAA', aws_secret_access_key='x').list_functions),
    }
"""


def test_an_instances_key_allows_no_more_than_calling(attack, world):
    answer = attack(python(CALLS), runtime="python3.11", memory=256, timeout=30)({"other": world.neighbour.function.name}).ok()
    nobody = answer.pop("nobody")
    assert nobody == "UnrecognizedClientException"
    assert set(answer.values()) == {"AccessDeniedException"}, answer


def test_many_connections_to_the_api_from_inside_harm_nobody(attack):
    function = attack(python("""
import socket
def handler(event, context):
    kept = []
    try:
        for _ in range(900):
            s = socket.create_connection(('127.0.0.1', 4566), timeout=1)
            s.sendall(b'POST /x HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 100000000\\r\\n\\r\\nxxx')
            kept.append(s)
    except OSError:
        pass
    return len(kept)
"""), runtime="python3.11", memory=256)
    assert function({}).payload is not None


# ---- packages ----------------------------------------------------------------------------------------------------------------------

def zip_with(*entries):
    """A zip of (name, content, mode type bits) as hostile tools make them."""
    import io
    import warnings
    import zipfile
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return out.getvalue()


def bomb():
    import io
    import zipfile
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("big", "w", force_zip64=True) as file:
            for _ in range(300):
                file.write(b"\0" * (1 << 20))
    return out.getvalue()


FILE, LINK, DEVICE = 0o100644, 0o120777, 0o020666
PACKAGES = {
    "a path upwards": lambda: zip_with(("index.js", "x", FILE), ("../../evil", "x", FILE)),
    "a path upwards in the middle": lambda: zip_with(("a/../../evil", "x", FILE)),
    "an absolute path": lambda: zip_with(("/tmp/evil", "x", FILE)),
    "one path upwards": lambda: zip_with(("../evil", "x", FILE)),
    "a link out": lambda: zip_with(("index.js", "x", FILE), ("out", "/etc/passwd", LINK)),
    "a link upwards": lambda: zip_with(("index.js", "x", FILE), ("out", "../../../master.key", LINK)),
    "a file through a link": lambda: zip_with(("d", "/tmp", LINK), ("d/evil", "x", FILE)),
    "a device": lambda: zip_with(("index.js", "x", FILE), ("null", "", DEVICE)),
    "the same name twice": lambda: zip_with(("index.js", "1", FILE), ("index.js", "2", FILE)),
    "a bomb": bomb,
    "no zip": lambda: b"this is no zip at all" * 10,
    "a zip cut short": lambda: zip_with(("index.js", "x" * 1000, FILE))[:200],
    "an empty zip": lambda: zip_with(),
    "a NUL in a name": lambda: zip_with(("aXb", "x", FILE)).replace(b"aXb", b"a\0b"),
    "a name that is too long": lambda: zip_with(("d/" * 600 + "x", "x", FILE)),
    "a wrong checksum": lambda: zip_with(("index.js", "hello hello", FILE)).replace(b"hello hello", b"hullo hello"),
}


@pytest.mark.parametrize("case", list(PACKAGES))
def test_a_hostile_package_is_refused_and_leaves_nothing(world, case):
    def files():
        return {str(p) for p in world.data.rglob("*") if "logs" not in p.parts and "hearth.db" not in p.name}
    before = files()
    refusal = aws_error(world.deploy, PACKAGES[case]())
    assert refusal.code == "InvalidParameterValueException" and refusal.status == 400, refusal
    wait_until(lambda: files() <= before, 10, "nothing is left behind")
    assert not os.path.exists("/tmp/evil")


def test_an_encrypted_package_is_refused(world):
    plain = bytearray(zip_with(("index.js", "x" * 50, FILE)))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = plain.index(signature) + offset
        plain[at] |= 1
    refusal = aws_error(world.deploy, bytes(plain))
    assert refusal.code == "InvalidParameterValueException"


def test_a_link_inside_the_package_is_kept(world):
    function = world.deploy(zip_with(("real.js", "exports.handler = async () => 'through the link';", FILE), ("index.js", "real.js", LINK)))
    assert function({}).ok() == "through the link"
    function.delete()


# ---- how the server was started -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["root", "ordinary"])
def test_a_strict_umask_of_the_server_keeps_no_function_from_its_own_files(new_hearth, kind, monkeypatch):
    """packaging/hearth.service sets one, so that what the server writes is its own; what an instance sees must be passable all the same."""
    if kind == "root" and os.geteuid() != 0:
        pytest.skip("these tests do not run as root")
    server = new_hearth(user=None if kind == "root" else "ordinary", start=False)
    plain = server.command
    monkeypatch.setattr(server, "command", lambda: ["/bin/sh", "-c", 'umask 0077; exec "$@"', "sh", *plain()])
    server.start()
    function = server.deploy(python("import os\ndef handler(event, context):\n    open('/tmp/a', 'w').close()\n    old = os.umask(0)\n    return [oct(old), oct(os.stat('/tmp/a').st_mode & 0o777), os.listdir('/var/task')]\n"), runtime="python3.11")
    assert function({}).ok() == ["0o22", "0o644", ["lambda_function.py"]]
    assert not any(path.stat().st_mode & 0o077 for path in (server.data, server.data / "hearth.db", server.data / "credentials"))
