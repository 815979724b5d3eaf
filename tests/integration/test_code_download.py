"""Code.Location and Content.Location: addresses that give the uploaded zip back by a plain GET, and nothing else, for ten minutes."""
import concurrent.futures
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from helpers import NODE, RawConnection, make_zip, node, wait_until
from model_check import checked

CODE = node("exports.handler = async () => 1")


@pytest.fixture
def client(hearth):
    return checked(hearth)


@pytest.fixture
def function(hearth):
    return hearth.deploy(CODE, runtime=NODE).name


def location(client, function, **more):
    return client.get_function(FunctionName=function, **more)["Code"]["Location"]


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def refused(url):
    try:
        get(url)
    except urllib.error.HTTPError as error:
        return error.code, re.search("<Code>(.*)</Code>", error.read().decode()).group(1)
    raise AssertionError(f"{url} was answered")


def changed(url, **changes):
    """The same address with another path (`path`) or other parameters."""
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query))
    path = changes.pop("path", parts.path)
    query.update({name: str(value) for name, value in changes.items()})
    return urllib.parse.urlunsplit(parts._replace(path=path, query=urllib.parse.urlencode({n: v for n, v in query.items() if v != "None"})))


def test_curl_of_location_is_the_uploaded_zip(hearth, client, function, tmp_path):
    code = client.get_function(FunctionName=function)["Code"]
    assert code["RepositoryType"] == "S3" and code["Location"].startswith(hearth.endpoint + "/")
    subprocess.run(["curl", "-sSf", "-o", str(tmp_path / "code.zip"), code["Location"]], check=True, timeout=60)
    assert (tmp_path / "code.zip").read_bytes() == make_zip(CODE)


def test_a_layer_s_content_too(client):
    files = {"lib/a.txt": "a" * 100000}
    published = client.publish_layer_version(LayerName="downloaded", Content={"ZipFile": make_zip(files)})
    found = client.get_layer_version(LayerName="downloaded", VersionNumber=published["Version"])
    for answer in (published, found):
        assert get(answer["Content"]["Location"]) == make_zip(files)


def test_each_version_has_its_own(hearth, client, function):
    client.publish_version(FunctionName=function)
    client.update_function_code(FunctionName=function, ZipFile=make_zip(node("exports.handler = async () => 2")))
    assert get(location(client, function, Qualifier="1")) == make_zip(CODE)
    assert get(location(client, function)) == make_zip(node("exports.handler = async () => 2"))


def test_head_tells_the_length(client, function):
    request = urllib.request.Request(location(client, function), method="HEAD")
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200 and int(answer.headers["Content-Length"]) == len(make_zip(CODE))
        assert answer.headers["Content-Type"] == "application/zip" and answer.read() == b""


def test_nothing_else_opens_it(hearth, client, function):
    url = location(client, function)
    other = location(client, hearth.deploy(node("exports.handler = async () => 'other'"), runtime=NODE).name)
    now = int(time.time())
    signature = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))["Signature"]
    flipped = ("0" if signature[0] != "0" else "1") + signature[1:]
    path = urllib.parse.urlsplit(url).path
    for wrong in (changed(url, Signature=flipped), changed(url, Signature=""), changed(url, Signature=None), changed(url, Signature=signature[:-1]),
                  changed(url, Signature=signature + "0"), changed(url, Expires=now + 10 ** 6), changed(url, Expires=now - 1), changed(url, Expires=None),
                  changed(url, Expires="-1"), changed(url, Expires="99999999999999999999"), changed(url, path=urllib.parse.urlsplit(other).path),
                  changed(url, path="/.hearth/code/" + path.rpartition("/")[2].upper().replace(".ZIP", ".zip")), changed(url, path=path[:-4]), changed(url, path=path + "x"),
                  changed(url, path="/.hearth/code/../../hearth.db"), changed(url, path="/.hearth/code/" + "0" * 64 + ".zip"),
                  changed(url, path="/.hearth/code/")):
        assert refused(wrong) == (403, "AccessDenied"), wrong
    with RawConnection(hearth.address) as raw:
        target = url.partition(hearth.endpoint)[2].replace("/.hearth/code/", "/.hearth/code/%2e%2e/")
        assert raw.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").answer().status == 403
    assert get(url) == make_zip(CODE)


def test_only_get_and_head(client, function):
    for method in ("PUT", "POST", "DELETE"):
        request = urllib.request.Request(location(client, function), method=method, data=b"x" if method != "DELETE" else None)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=20)
        assert error.value.code == 405


def test_an_address_is_valid_for_ten_minutes_and_names_its_end(client, function):
    expires = int(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location(client, function)).query))["Expires"])
    assert 590 <= expires - time.time() <= 600


def test_a_restart_ends_all_addresses(new_hearth):
    server = new_hearth()
    name = server.deploy(CODE, runtime=NODE).name
    url = location(server.lambda_client, name)
    assert get(url) == make_zip(CODE)
    server.restart()
    parts = urllib.parse.urlsplit(url)
    assert refused(parts._replace(netloc=server.endpoint.partition("//")[2]).geturl()) == (403, "AccessDenied")


def test_it_stands_where_the_client_has_found_the_server(hearth, function):
    port = hearth.address[1]
    assert location(hearth.client("lambda", endpoint_url=f"http://localhost:{port}"), function).startswith(f"http://localhost:{port}/")


def test_a_deleted_function_s_download_goes_on_and_then_is_gone(new_hearth):
    server = new_hearth()
    client = checked(server)
    package = make_zip({**CODE, "noise": os.urandom(30 * 1024 * 1024)})
    name = server.deploy(package, runtime=NODE).name
    url = location(client, name)
    with RawConnection(server.address, timeout=60) as raw:
        raw.send(f"GET {url.partition(server.endpoint)[2]} HTTP/1.1\r\nHost: x\r\n\r\n")
        raw._take(1000)  # it has begun, and stands: 30 MB fit into no buffer on the way
        client.delete_function(FunctionName=name)
        wait_until(lambda: not list((server.data / "code").iterdir()), 30, "the package has gone")
        raw._take(len(package) - 1000)
    assert refused(url) == (404, "NoSuchKey")


def test_the_largest_package_comes_whole_to_several_at_once(new_hearth):
    server = new_hearth()
    package = make_zip({**CODE, "noise": os.urandom(49 * 1024 * 1024)})
    url = location(server.lambda_client, server.deploy(package, runtime=NODE).name)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(answer == package for answer in pool.map(lambda _: get(url), range(4)))


def test_clients_that_go_leave_nothing_open(new_hearth):
    server = new_hearth()
    package = make_zip({**CODE, "noise": os.urandom(8 * 1024 * 1024)})
    url = location(server.lambda_client, server.deploy(package, runtime=NODE).name)
    target = url.partition(server.endpoint)[2]
    def zips_open():
        found = 0
        for fd in os.listdir(f"/proc/{server.pid}/fd"):
            try:
                found += os.readlink(f"/proc/{server.pid}/fd/{fd}").endswith("package.zip")
            except FileNotFoundError:
                pass
        return found
    connections = [RawConnection(server.address) for _ in range(20)]
    for raw in connections:
        raw.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: zips_open() == 20, 20, "twenty downloads stand")
    for i, raw in enumerate(connections):
        if i % 2:  # half of them with a reset
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        raw.socket.close()
    wait_until(lambda: zips_open() == 0, 20, "all files are closed")
    assert get(url) == package


def test_downloads_at_once_are_bounded(new_hearth):
    server = new_hearth()
    package = make_zip({**CODE, "noise": os.urandom(8 * 1024 * 1024)})
    url = location(server.lambda_client, server.deploy(package, runtime=NODE).name)
    target = url.partition(server.endpoint)[2]
    connections = [RawConnection(server.address) for _ in range(65)]
    try:
        for raw in connections[:64]:
            raw.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
            raw._line()
        answer = connections[64].send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").answer()
        assert answer.status == 503 and b"SlowDown" in answer.body
    finally:
        for raw in connections:
            raw.socket.close()


def test_a_function_may_download_its_own_code(hearth):
    files = node("""exports.handler = async (event) => {
  const answer = await fetch(event.url);
  return { status: answer.status, bytes: (await answer.arrayBuffer()).byteLength };
}""")
    function = hearth.deploy(files, runtime=NODE)
    url = location(hearth.lambda_client, function.name).replace(hearth.endpoint, "http://127.0.0.1:4566")
    assert function({"url": url}).ok() == {"status": 200, "bytes": len(make_zip(files))}
