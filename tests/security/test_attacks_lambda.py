"""What an attack once achieved, or was worth trying, through function URLs, runtimes of one's own, wrapper scripts and layers.

    strangers    unsigned bytes on the gateway; a signature that was meant for another URL
    bootstraps   what a function may execute, and what it does after its answer
    layers       zips that would reach out of /opt once they are merged
"""
import http.client
import io
import json
import os
import shutil
import socket
import stat
import zipfile

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import pytest

from helpers import ORDINARY_USER, binary, compile_static, descendants_of, make_zip, python, wait_until
from test_attacks import KINDS, Neighbour, resident_kb, server_of

# ---- strangers ----------------------------------------------------------------------------------------------------------------------


def url_of(server, files, auth="NONE", runtime="python3.11"):
    function = server.deploy(files, runtime=runtime, memory=512)
    return server.lambda_client.create_function_url_config(FunctionName=function.name, AuthType=auth)["FunctionUrl"].split("/")[2].split(".")[0]


def test_who_asks_and_does_not_read_costs_a_bounded_part_of_memory(new_hearth):
    """120 answers of 6 MB that nobody takes once cost 700 MB of the server, for ever more with more connections."""
    server = new_hearth(options=["--idle", "60s"])
    url = url_of(server, python("def handler(event, context):\n    return {'statusCode': 200, 'body': 'x' * 5900000}"))
    before, most, many = resident_kb(server.pid), 0, []
    with Neighbour(server) as neighbour:
        try:
            for _ in range(120):
                client = socket.socket()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.settimeout(60)
                client.connect(server.gateway_at)
                client.sendall(f"GET /lambda-url/{url}/ HTTP/1.1\r\nHost: h\r\n\r\n".encode())
                many.append(client)
            for client in many:
                assert client.recv(16) in (b"HTTP/1.1 200 OK\r", b"")     # the answer's beginning; nothing when it was cut
                most = max(most, resident_kb(server.pid))
        except ConnectionResetError:
            pass
        most = max(most, resident_kb(server.pid))
        connection = http.client.HTTPConnection(*server.gateway_at, timeout=60)
        connection.request("GET", f"/lambda-url/{url}/")
        assert len(connection.getresponse().read()) == 5900000, "who reads gets all of it"
        connection.close()
    for client in many:
        client.close()
    assert most - before < 450 * 1024 and neighbour.problems == []


def test_bodies_that_come_slowly_give_way_to_those_that_come(new_hearth):
    """45 strangers that stopped before the last bytes of 6 MB once kept everybody's larger bodies out for as long as they liked."""
    server = new_hearth(options=["--idle", "60s"])
    url = url_of(server, python("def handler(event, context):\n    return str(len(event.get('body', '')))"))
    head = f"POST /lambda-url/{url}/ HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 6000000\r\n\r\n".encode()
    many = []
    for _ in range(45):
        client = socket.create_connection(server.gateway_at, timeout=60)
        try:
            client.sendall(head + b"x" * 5900000)
        except OSError:
            pass                                                       # there was no room for it
        many.append(client)

    def taken():
        connection = http.client.HTTPConnection(*server.gateway_at, timeout=60)
        try:
            connection.request("POST", f"/lambda-url/{url}/", b"y" * 5500000, {"Content-Type": "text/plain"})
            answer = connection.getresponse()
            return answer.status == 200 and answer.read() == b"5500000"
        except OSError:                                                # refused while we still sent
            return False
        finally:
            connection.close()
    wait_until(taken, 20, "there is room again")                       # the connections' own timeout is 30 s, and starts anew with each byte
    for client in many:
        client.close()


def test_a_signature_for_one_url_is_none_for_another(hearth):
    """SigV4 signs a path without its dot segments: "/lambda-url/A/../B/x" once was A's for the gateway, and B's for the signature."""
    a, b = (url_of(hearth, python("def handler(event, context):\n    return event['requestContext']['apiId']"), auth="AWS_IAM") for _ in range(2))
    keys = hearth.credentials
    credentials = botocore.credentials.Credentials(keys["aws_access_key_id"], keys["aws_secret_access_key"])
    request = botocore.awsrequest.AWSRequest(method="GET", url=f"{hearth.gateway}/lambda-url/{b}/x")
    botocore.auth.SigV4Auth(credentials, "lambda", "us-east-1").add_auth(request)
    fields = dict(request.prepare().headers)

    def call(path, host=None):
        connection = http.client.HTTPConnection(*hearth.gateway_at, timeout=60)
        connection.putrequest("GET", path, skip_host=True)
        for name, value in [("Host", host or hearth.gateway.partition("//")[2]), *fields.items()]:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body
    assert call(f"/lambda-url/{b}/x") == (200, b)
    for path in (f"/lambda-url/{a}/../{b}/x", f"/lambda-url/{a}/./../{b}/x", f"/lambda-url/{a}/%2e%2e/{b}/x", f"/lambda-url/{a}/x", f"/lambda-url/{b}/y/../x"):
        status, body = call(path)
        assert status == 403 and a not in body, (path, body)
    assert call(f"/lambda-url/{b}/x", host=f"{a}.lambda-url.us-east-1.on.localhost")[0] == 403


# ---- bootstraps ---------------------------------------------------------------------------------------------------------------------

NEVER_ASKS_AGAIN = """#!/usr/bin/python3
import http.client, time
def call(method, path, body=None):
    connection = http.client.HTTPConnection('127.0.0.1', 9001, timeout=900)
    connection.request(method, '/2018-06-01/runtime/' + path, body)
    answer = connection.getresponse()
    answer.read()
    return dict(answer.getheaders())
request_id = call('GET', 'invocation/next')['Lambda-Runtime-Aws-Request-Id']
call('POST', 'invocation/' + request_id + '/response', '1')
time.sleep(800)
"""


def test_who_answers_and_works_on_keeps_its_place(new_hearth):
    """Each call once left an instance behind until its deadline that nothing counted: 40 of them where 4 calls may run."""
    server = new_hearth(options=["--idle", "60s", "--concurrency", "4"])
    attacker = server.deploy(make_zip({"bootstrap": (NEVER_ASKS_AGAIN, 0o755)}), runtime="provided.al2023", handler="x", timeout=8)
    empty, answered, most = len(descendants_of(server.pid)), 0, 0

    def throttled():
        nonlocal answered, most
        try:
            assert attacker({}).ok() == 1
            answered += 1
        except botocore.exceptions.ClientError as refused:
            assert refused.response["Error"]["Code"] == "TooManyRequestsException"
            return True
        finally:
            most = max(most, len(descendants_of(server.pid)))
        assert answered < 30
        return False
    wait_until(throttled, 30, "its calls are throttled")
    assert most - empty <= 2 * (4 + 1), "two processes an instance"
    wait_until(lambda: not throttled(), 60, "their time is over, and it may run again")


# A function that runs as the server's own executable has that file in /proc/self/exe.
PRELOADED = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
__attribute__((constructor)) static void go(void)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    dprintf(1, "INSIDE %d\\n", fchmod(fd, 04777));
    _exit(3);
}
"""


@KINDS
@pytest.mark.parametrize("way", ["bootstrap", "script of a script", "wrapper", "wrapper script", "thread"])
def test_a_function_cannot_run_as_the_servers_own_executable(new_hearth, monkeypatch, tmp_path_factory, kind, way):
    """An ordinary user's server: its functions once could change the mode of the `hearth` that runs them, which is the same user's."""
    directory = tmp_path_factory.mktemp("own")
    for parent in (directory, *directory.parents[:3]):
        if str(parent).startswith("/tmp/pytest"):
            parent.chmod(0o755)
    own = directory / "hearth"
    shutil.copy(binary(), own)
    if kind == "ordinary" and os.geteuid() == 0:
        os.chown(own, ORDINARY_USER, ORDINARY_USER)
    own.chmod(0o755)
    monkeypatch.setenv("HEARTH_BINARY", str(own))
    server = server_of(new_hearth, kind)
    library = compile_static(PRELOADED, "-shared", "-fPIC", "-nostartfiles", "-Wl,-Bdynamic")
    files = {"preloaded.so": library, "lambda_function.py": "", "second": ("#! /proc/self/exe x\n", 0o755), "third": ("#!/proc/thread-self/exe", 0o755)}
    env = {"LD_PRELOAD": "/var/task/preloaded.so"}
    bootstraps = {"bootstrap": "#!/proc/self/exe\n", "script of a script": "#!/var/task/second\n"}
    wrappers = {"wrapper": "/proc/self/exe", "wrapper script": "/var/task/second", "thread": "/var/task/third"}
    if way in bootstraps:
        answer = server.deploy(make_zip({**files, "bootstrap": (bootstraps[way], 0o755)}), runtime="provided.al2023", handler="x", env=env)({})
    else:
        answer = server.deploy(files, runtime="python3.11", env={**env, "AWS_LAMBDA_EXEC_WRAPPER": wrappers[way]})({})
    assert answer.error == "Unhandled" and "INSIDE" not in answer.log, answer.log
    assert "permission denied" in answer.payload["errorMessage"] or "is not an executable" in answer.log
    assert stat.S_IMODE(own.stat().st_mode) == 0o755


@KINDS
def test_the_keepers_descriptors_are_no_way_out_for_what_is_executed(new_hearth, kind):
    """They once were open until the exec: /proc/self/fd/15/../../etc/shadow was the host's, there or not, executable or not."""
    server = server_of(new_hearth, kind)
    up = "/.." * 12
    for number in range(3, 24):
        function = server.deploy({"lambda_function.py": ""}, runtime="python3.11", env={"AWS_LAMBDA_EXEC_WRAPPER": f"/proc/self/fd/{number}{up}/etc/passwd"})
        assert "does not exist" in function({}).log, number
        function.delete()


# ---- layers -------------------------------------------------------------------------------------------------------------------------

LOOKS = """
import os
def handler(event, context):
    seen = {}
    for path in event:
        try:
            with open(path, 'rb') as file:
                seen[path] = file.read(64).decode('latin-1')
        except OSError as problem:
            seen[path] = type(problem).__name__
    return seen, sorted(os.listdir('/opt')), oct(os.stat('/opt/suid').st_mode), os.listxattr('/opt')
"""


def zip_of(entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, mode, content in entries:
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return out.getvalue()


@KINDS
def test_layers_that_lead_elsewhere_once_they_are_merged_stay_within_the_sandbox(new_hearth, kind):
    server = server_of(new_hearth, kind)
    client = server.lambda_client

    def publish(name, entries):
        return client.publish_layer_version(LayerName=name, Content={"ZipFile": zip_of(entries)})["LayerVersionArn"]
    layers = [publish("one", [("a/b/c/up", 0o120777, "../../.."), ("host", 0o120777, "a/b/x/../../../marker"), ("suid", 0o106755, "x"),
                              (".wh.kept", 0o100644, ""), ("d/.wh..wh..opq", 0o100644, "")]),
              publish("two", [("a/b", 0o120777, ".."), ("kept", 0o100644, "kept")]),
              publish("three", [("x:y,lowerdir=", 0o100644, ""), ("d/kept", 0o100644, "kept")])]
    marker = server.data / "marker"
    marker.write_text("the host's")
    function = server.deploy(python(LOOKS), runtime="python3.11", Layers=layers)
    seen, names, mode, attributes = function(["/opt/host", "/opt/a/b/c/up/marker", "/opt/kept", "/opt/d/kept"]).ok()
    assert "the host's" not in json.dumps(seen)
    assert seen["/opt/kept"] == "kept" and seen["/opt/d/kept"] == "kept", "such names mean nothing to overlayfs"
    assert ".wh.kept" in names and mode == "0o100755" and attributes == []
    for name, entries in {"device": [("null", 0o020666, "")], "fifo": [("f", 0o010666, "")], "socket": [("s", 0o140666, "")], "absolute": [("f", 0o120777, "/etc/passwd")],
                          "out": [("a/f", 0o120777, "../../x")], "by name": [("../x", 0o100644, "")]}.items():
        with pytest.raises(client.exceptions.InvalidParameterValueException):
            publish(name.replace(" ", ""), entries)
