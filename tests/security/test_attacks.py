"""What an attack once achieved, or was worth trying, against the server as a whole: none of it may work again.

    functions    as root's server and as an ordinary user's: stopping the server's loop, taking what belongs to all
    clients      bytes on the API's port, with and without keys

hostile/*.c and test_sandbox.py try what a sandbox must not give; here are the ways round it.
"""
import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import socket
import threading
import time
import urllib.parse
import uuid

import pytest

from helpers import ORDINARY_USER, REPOSITORY, RawConnection, _read, children_of, compile_static, descriptors_of, node, python, signed_request, wait_until

KINDS = pytest.mark.parametrize("kind", ["root", "ordinary"])


def server_of(new_hearth, kind, **more):
    if kind == "root" and os.geteuid() != 0:
        pytest.skip("these tests do not run as root")
    return new_hearth(user=None if kind == "root" else "ordinary", options=["--idle", "60s"], **more)


def resident_kb(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", _read(f"/proc/{pid}/status")).group(1))


class Neighbour:
    """Calls a function of its own all the while, and knows the longest it waited for an answer."""

    def __init__(self, server):
        self.function = server.deploy(node("exports.handler = async () => 'neighbour'"), memory=256)
        self.function({})

    def __enter__(self):
        self.stop, self.longest, self.problems = threading.Event(), 0, []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def _run(self):
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                assert self.function({}, tail=False).ok() == "neighbour"
            except Exception as problem:                       # noqa: B902
                self.problems.append(problem)
            self.longest = max(self.longest, time.monotonic() - began)
            self.stop.wait(0.01)

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


# ---- the server's one thread --------------------------------------------------------------------------------------------------------

LINGER = r"""
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    for (int i = 0; i < 3; i++) /* whether we are quick enough is luck: so several try */
        if (fork() == 0)
            break;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), full = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&at, len);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&at, &len);
    struct linger linger = { 1, 20 };
    setsockopt(full, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    connect(full, (struct sockaddr *)&at, len); /* nobody takes what is sent */
    fcntl(full, F_SETFL, O_NONBLOCK);
    static char bytes[65536];
    while (write(full, bytes, sizeof bytes) > 0)
        ;
    struct iovec byte = { bytes, 1 };
    char room[CMSG_SPACE(sizeof(int))];
    memset(room, 0, sizeof room);
    struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };
    *CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &full, sizeof full);
    /* The server is to read it after we have closed it: so it gets something to read before, the beginning of a large answer. */
    static char answer[160 * 1024] = { 0, 0, 0x70, 0, 1, 0, 0, 0, 0x13, 1 };
    write(1, "READY\n", 6);
    write(CHANNEL, answer, sizeof answer);
    if (sendmsg(CHANNEL, &message, 0) == 1)
        close(full);
    for (;;) pause();
}
"""


@KINDS
def test_a_socket_that_lingers_sent_to_the_server_does_not_stop_it(new_hearth, kind):
    """The last to close such a socket waits for its peer, if need be for ever: that must not be the server."""
    server = server_of(new_hearth, kind)
    run = "import os, subprocess\ndef handler(event, context):\n    os.dup2(3, 9)\n    subprocess.run(['/var/task/linger'], pass_fds=(9,))\n"
    function = server.deploy({"lambda_function.py": run, "linger": (compile_static(LINGER, "-DCHANNEL=9"), 0o755)}, runtime="python3.11", timeout=3, memory=1769)
    with Neighbour(server) as neighbour:
        began = time.monotonic()
        answer = function({})
        assert time.monotonic() - began < 12
    assert answer.error == "Unhandled" and "READY" in answer.log, answer
    assert neighbour.longest < 5 and neighbour.problems == []


EMPTY_LINES = r"""
#include <pthread.h>
#include <string.h>
#include <unistd.h>
static char lines[65536];
static void *flood(void *fd) { for (;;) if (write((int)(long)fd, lines, sizeof lines) < 0) return 0; }
int main(void) {
    memset(lines, '\n', sizeof lines);
    pthread_t thread;
    for (int k = 0; k < 4; k++)
        pthread_create(&thread, 0, flood, (void *)(long)(1 + k % 2));
    for (;;) pause();
}
"""


@pytest.mark.parametrize("phase", ["call", "init"])
def test_a_flood_of_empty_lines_costs_little_log_and_nobody_else_waits(new_hearth, phase):
    server = new_hearth(options=["--idle", "60s"])
    run = "subprocess.run(['/var/task/flood'])\n"
    code = "import subprocess\n" + (run if phase == "init" else "") + "def handler(event, context):\n    " + (run if phase == "call" else "return 1\n")
    function = server.deploy({"lambda_function.py": code, "flood": (compile_static(EMPTY_LINES), 0o755)}, runtime="python3.11", timeout=4, memory=2048)
    with Neighbour(server) as neighbour:
        assert function({}).error == "Unhandled"
    assert neighbour.problems == [] and neighbour.longest < 3, neighbour.longest
    assert sum(path.stat().st_size for path in (server.data / "logs").rglob("*.log")) < 48 * 1024 * 1024
    assert resident_kb(server.pid) < 200 * 1024


HALF_FRAMES = """
import os, struct, time
def handler(event, context):
    frame = struct.pack('<IIBBH', 8 << 20, 1, 0x13, 1, 0) + b'x' * ((8 << 20) - 100)
    sent = 0
    while sent < len(frame):
        sent += os.write(3, frame[sent:sent + 65536])
    time.sleep(30)
"""


def test_half_frames_go_with_their_call(new_hearth):
    server = new_hearth(options=["--idle", "60s"])
    function = server.deploy(python(HALF_FRAMES), runtime="python3.11", timeout=3)
    before = resident_kb(server.pid)
    with Neighbour(server) as neighbour, concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: function({}), range(6)))
    assert {answer.error for answer in answers} == {"Unhandled"}
    assert neighbour.problems == [] and neighbour.longest < 3
    wait_until(lambda: resident_kb(server.pid) < before + 24 * 1024, 20, "the server has forgotten them")


# ---- what belongs to all ------------------------------------------------------------------------------------------------------------

SHARED_MEMORY = r"""
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>
int main(void) {
    int pieces = 0;
    for (; pieces < 16; pieces++) {
        int id = shmget(IPC_PRIVATE, 32 << 20, 0600 | IPC_CREAT);
        char *at = id < 0 ? (void *)-1 : shmat(id, 0, 0);
        if (at == (void *)-1)
            break;
        memset(at, 1, 32 << 20);
        shmdt(at);
        usleep(20000);
    }
    printf("HELD %d\n", pieces * 32);
}
"""


@KINDS
def test_system_v_shared_memory_is_no_way_round_the_memory_limit(new_hearth, kind):
    server = server_of(new_hearth, kind)
    run = "import subprocess\ndef handler(event, context):\n    return subprocess.run(['/var/task/hold'], capture_output=True, text=True).stdout\n"
    answer = server.deploy({"lambda_function.py": run, "hold": (compile_static(SHARED_MEMORY), 0o755)}, runtime="python3.11", timeout=20, memory=128)({})
    held = re.search(r"HELD (\d+)", answer.raw.decode())
    assert answer.error == "Unhandled" or held is None or int(held.group(1)) <= 128, answer


SOCKET_BUFFERS = """
import os, re, socket
def handler(event, context):
    listener = socket.create_server(('127.0.0.1', 0), backlog=1000)
    kept, sent = [listener], 0
    for _ in range(150):
        one = socket.create_connection(listener.getsockname())
        other = listener.accept()[0]
        one.setblocking(False)
        try:
            while True:
                sent += one.send(b'x' * 65536)
        except OSError:
            pass
        kept += [one, other]
        if sent > 600 << 20:
            break
    return sent >> 20
"""


def test_memory_in_tcp_buffers_is_the_functions_own(new_hearth):
    server = server_of(new_hearth, "root")
    if "cgroup v" not in server.stderr():
        pytest.skip("no cgroups here")
    if not any(os.path.exists(p) for p in ("/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/memory/memory.kmem.tcp.limit_in_bytes")):
        pytest.skip("this kernel counts no socket memory")
    answer = server.deploy(python(SOCKET_BUFFERS), runtime="python3.11", timeout=30, memory=128)({})
    assert answer.error == "Unhandled" or answer.payload <= 256, answer


LEASE = """
import fcntl, os, signal, time
F_SETLEASE = 1024
def handler(event, context):
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    taken = []
    for directory, _, files in os.walk('/var/runtime/hearth'):
        for name in files:
            try:
                fcntl.fcntl(os.open(os.path.join(directory, name), os.O_RDONLY), F_SETLEASE, fcntl.F_WRLCK)
                taken.append(name)
            except OSError:
                pass
    time.sleep(event['seconds'])
    return taken
"""


def test_no_lease_on_a_bootstrap_keeps_other_functions_from_starting(new_hearth, tmp_path):
    """An ordinary user often owns the files that sandboxes share; the owner may take leases, and who opens the file then waits for 45 s."""
    share = tmp_path / "share"
    shutil.copytree(REPOSITORY / "runtimes", share / "runtimes", ignore=shutil.ignore_patterns("sdk", "__pycache__"))
    if os.geteuid() == 0:
        for path in [share, *share.rglob("*")]:
            os.chown(path, ORDINARY_USER, ORDINARY_USER)
        for directory in list(tmp_path.parents)[:2] + [tmp_path]:
            os.chmod(directory, 0o755)
    server = new_hearth(user="ordinary", env={"HEARTH_SHARE": str(share)})
    hostile = server.deploy(python(LEASE), runtime="python3.11", timeout=20)
    other = server.deploy(python("def handler(event, context):\n    return 'fine'\n"), runtime="python3.11")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(hostile, {"seconds": 4})
        time.sleep(1)                                # not waited for a fact: a lease that was never taken would leave none
        assert other({}).ok() == "fine"
        assert running.result().ok() == []


CONNECTIONS = """
import socket, time
def handler(event, context):
    kept = []
    try:
        for _ in range(200):
            kept.append(socket.create_connection(('127.0.0.1', 4566), timeout=0.3))
            kept[-1].send(b'POST /x HTTP/1.1\\r\\nHost: a\\r\\n')
    except OSError:
        pass
    time.sleep(event['seconds'])
    return len(kept)
"""


def test_connections_from_inside_leave_the_server_its_descriptors(new_hearth, monkeypatch):
    server = new_hearth(user="ordinary", start=False)
    spawn = server.command
    monkeypatch.setattr(server, "command", lambda: ["prlimit", "--nofile=1024:1024", *spawn()])
    server.start()
    function = server.deploy(python(CONNECTIONS), runtime="python3.11", timeout=30)
    with Neighbour(server) as neighbour, concurrent.futures.ThreadPoolExecutor(9) as pool:
        calls = [pool.submit(function, {"seconds": 6}) for _ in range(9)]
        wait_until(lambda: len(descriptors_of(server.pid)) > 300, 20, "the connections are there")
        fresh = server.client("lambda", verify=False)
        for _ in range(3):
            assert len(fresh.list_functions()["Functions"]) == 2
        assert len(descriptors_of(server.pid)) < 700
        for call in calls:
            call.result()
    assert neighbour.problems == [] and "Too many open files" not in server.stderr()


# ---- ending what does not want to end -------------------------------------------------------------------------------------------------

STUBBORN = r"""
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int s = 1; s < 65; s++)
        signal(s, SIG_IGN);
    for (int i = 0; i < 100; i++) {
        if (!strcmp(argv[1], "vfork") && fork() == 0)
            for (;;)
                if (vfork() == 0)
                    for (;;) pause();
        if (!strcmp(argv[1], "continue") && fork() == 0) {
            setsid();
            for (;;) { kill(-1, SIGCONT); sched_yield(); }
        }
        if (!strcmp(argv[1], "reborn") && fork() == 0)
            for (;;) { if (fork() == 0) _exit(0); wait(0); }
    }
    if (!strcmp(argv[1], "init")) { /* the first process has our uid */
        struct rlimit none = { 0, 0 };
        prlimit(1, RLIMIT_NOFILE, &none, 0);
        prlimit(1, RLIMIT_CPU, &none, 0);
        for (int s = 1; s < 65; s++)
            kill(1, s);
    }
    return argc - 2;
}
"""


@KINDS
@pytest.mark.parametrize("way", ["vfork", "continue", "reborn", "init"])
def test_whatever_a_function_leaves_behind_ends_with_it(new_hearth, kind, way):
    server = server_of(new_hearth, kind)
    run = "import subprocess, time\ndef handler(event, context):\n    subprocess.Popen(['/var/task/stubborn', event['way']])\n    time.sleep(0.5)\n    return 'left'\n"
    function = server.deploy({"lambda_function.py": run, "stubborn": (compile_static(STUBBORN), 0o755)}, runtime="python3.11", timeout=10, memory=512)
    with Neighbour(server) as neighbour:
        function({"way": way})
        function.delete()
        wait_until(lambda: len(children_of(server.keeper_pid)) <= 1, 30, "nothing is left of it")
    assert neighbour.problems == []


# ---- clients ------------------------------------------------------------------------------------------------------------------------

def say(server, data):
    with RawConnection(server.address) as connection:
        return connection.send(data).answer()


@pytest.fixture
def victim(hearth):
    function = hearth.deploy(node("exports.handler = async (event) => event"), name=f"victim-{uuid.uuid4().hex[:8]}")
    yield function
    function.delete()


PATHS = ["/2015-03-31//functions/NAME", "/2015-03-31/functions/./NAME", "/2015-03-31/functions/x/../NAME", "//2015-03-31/functions/NAME",
         "/x/../2015-03-31/functions/NAME", "/2015-03-31/functions/NAME/../../functions/NAME", "/2015-03-31/functions/NAME%2f",
         "/2015-03-31/functions/%2e%2e/functions/NAME", "/2015-03-31/functions/NAME%00", "/2015-03-31/functions/NAME/", "/2015-03-31/functions/NAME;a"]


@pytest.mark.parametrize("path", PATHS)
def test_a_signed_request_works_at_no_other_path(hearth, victim, path):
    """Several paths have one canonical form: none but the one that was signed may lead to an operation."""
    signed = signed_request(hearth, "GET", f"/2015-03-31/functions/{victim.name}")
    assert say(hearth, signed).status == 200
    moved = signed.replace(f"/2015-03-31/functions/{victim.name}".encode(), path.replace("NAME", victim.name).encode(), 1)
    assert say(hearth, moved).status in (400, 403, 404)


FIELDS = {
    "a second date": (b"X-Amz-Date: 20200101T000000Z", 403),
    "an unsigned instruction": (b"X-Amz-Invocation-Type: Event", 403),
    "an unsigned payload": (b"X-Amz-Content-Sha256: UNSIGNED-PAYLOAD", 403),
    "a second authorization": (b"Authorization: AWS4-HMAC-SHA256 x", 403),
    "a session token": (b"x-amz-security-token: abc", 403),
    "a second host": (b"Host: other", 400),
    "a second length": (b"Content-Length: 5", 400),
    "a chunked body beside a length": (b"Transfer-Encoding: chunked", 400),
    "a space before the colon": (b"Content-Length : 0", 400),
    "a folded line": (b" X: y", 400),
    "a name beyond ASCII": (b"X-\xc3\xa4: 1", 400),
    "a NUL": (b"X: \0", 400),
    "a bare CR": (b"X: a\rb", 400),
}


@pytest.mark.parametrize("case", list(FIELDS))
def test_a_field_added_on_the_way_is_refused(hearth, victim, case):
    field, status = FIELDS[case]
    signed = signed_request(hearth, "GET", f"/2015-03-31/functions/{victim.name}")
    assert say(hearth, signed.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n\r\n", 1)).status == status


BODIES = {
    "deep lists": b"[" * 100000, "deep objects": b'{"a":' * 50000, "no UTF-8": b'{"FunctionName":"\xff\xfe"}', "half a surrogate": b'{"FunctionName":"\\ud800"}',
    "infinity": b'{"Timeout":1e400}', "2^64": b'{"Timeout":18446744073709551616}', "a fraction": b'{"Timeout":1.0}', "NaN": b"NaN", "a byte order mark": b"\xef\xbb\xbf{}",
    "more behind it": b"{}}", "null": b"null", "a NUL in a variable": b'{"Environment":{"Variables":{"A":"x\\u0000LD_PRELOAD=1"}}}',
    "an equals sign in a name": b'{"Environment":{"Variables":{"A=B":"c"}}}', "a log group with a line break": b'{"LoggingConfig":{"LogGroup":"a\\nb"}}',
}


@pytest.mark.parametrize("case", list(BODIES))
def test_a_body_that_could_mean_something_else_is_refused(hearth, victim, case):
    assert say(hearth, signed_request(hearth, "PUT", f"/2015-03-31/functions/{victim.name}/configuration", BODIES[case])).status == 400


@pytest.mark.parametrize("group", ["../../x", "/a/../../b", "a/b", "//x//"])
def test_no_log_group_leads_out_of_the_directory_of_logs(hearth, victim, group):
    outside = set(os.listdir(hearth.data)) | set(os.listdir(hearth.data.parent))
    answer = say(hearth, signed_request(hearth, "PUT", f"/2015-03-31/functions/{victim.name}/configuration",
                                        json.dumps({"LoggingConfig": {"LogGroup": group}}).encode()))
    assert answer.status in (200, 400)
    victim.wait_updated()
    victim({})
    expected = group if answer.status == 200 else "/aws/lambda/" + victim.name
    wait_until(lambda: expected in map(urllib.parse.unquote, os.listdir(hearth.data / "logs")), 10, "its lines are written")
    assert set(os.listdir(hearth.data)) | set(os.listdir(hearth.data.parent)) == outside
    assert all(path.is_dir() and not path.is_symlink() for path in (hearth.data / "logs").iterdir())


def test_no_line_that_a_function_prints_becomes_another_line_of_its_log_file(hearth):
    """The file's own separators are escaped: what is printed can look like START, but not like a line of another stream."""
    function = hearth.deploy(python("import os\ndef handler(event, context):\n    os.write(1, b'9999999999999\\tforged/stream\\tEvil\\rreturn\\\\n9999999999999\\tforged\\tx\\n\\x00\\xff\\n')\n"), runtime="python3.11")
    function({})
    wait_until(lambda: "REPORT" in hearth.logs_of(function.name), 10, "the log is written")
    for line in hearth.logs_of(function.name).splitlines():
        time_ms, stream, _ = line.split("\t", 2)
        assert time_ms != "9999999999999" and re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream), line
    function.delete()


def test_an_instances_key_ends_with_it(hearth, victim):
    function = hearth.deploy(python("import os\ndef handler(event, context):\n    return {k.lower(): os.environ[k] for k in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN')}\n"), runtime="python3.11")
    keys = function({}).ok()
    path = f"/2015-03-31/functions/{victim.name}/invocations"
    assert say(hearth, signed_request(hearth, "POST", path, b"{}", keys=keys)).status == 200
    assert say(hearth, signed_request(hearth, "GET", "/2015-03-31/functions", keys=keys)).status == 403
    without_token = {name: value for name, value in keys.items() if name != "aws_session_token"}
    assert say(hearth, signed_request(hearth, "POST", path, b"{}", keys=without_token)).status == 403
    function.delete()
    wait_until(lambda: say(hearth, signed_request(hearth, "POST", path, b"{}", keys=keys)).status == 403, 20, "the key is gone")


def unsigned_upload(server, access_key, size, body):
    """Begins a CreateFunction of `size` bytes whose signature is wrong, sends `body` of it, and leaves the connection open."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    connection = socket.create_connection(server.address, timeout=20)
    connection.sendall((f"POST /2015-03-31/functions HTTP/1.1\r\nHost: a\r\nX-Amz-Date: {now}\r\nContent-Length: {size}\r\nAuthorization: AWS4-HMAC-SHA256 "
                        f"Credential={access_key}/{now[:8]}/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature={'0' * 64}\r\n\r\n").encode())
    with contextlib.suppress(OSError):
        connection.sendall(body)
    return connection


def test_who_knows_only_an_access_keys_id_cannot_keep_others_from_calling(new_hearth):
    server = new_hearth()
    function = server.deploy(node("exports.handler = async () => 1"))
    body, held = b"x" * (65 << 20), []
    try:
        for size in [66 << 20] * 7 + [16 << 20] * 4 + [1 << 20] * 16:
            held.append(unsigned_upload(server, server.credentials["aws_access_key_id"], size, body[:size - 1024]))
        assert function({"an": "event"}).ok() == 1
        assert resident_kb(server.pid) < 700 * 1024
    finally:
        for connection in held:
            connection.close()
    assert function({}).ok() == 1


def test_strangers_keys_and_dropped_connections_leave_nothing_behind(new_hearth):
    server = new_hearth()
    function = server.deploy(node("exports.handler = async () => 1"))
    function({})

    def strangers(count):
        for n in range(count):
            with unsigned_upload(server, f"AKIA{n:016d}", 1 << 20, b"") as connection:
                if n % 3:
                    connection.recv(1000)
            with socket.create_connection(server.address) as connection:
                connection.sendall(b"POST / HTTP")
    strangers(300)
    wait_until(lambda: len(descriptors_of(server.pid)) < 100, 20, "the connections are gone")
    memory, descriptors, said = resident_kb(server.pid), len(descriptors_of(server.pid)), len(server.stderr())
    strangers(2000)
    assert function({}).ok() == 1
    wait_until(lambda: len(descriptors_of(server.pid)) <= descriptors + 2, 20, "the connections are gone")
    assert resident_kb(server.pid) < memory + 16 * 1024
    assert len(server.stderr()) < said + 4096
