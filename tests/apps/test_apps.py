"""Real applications, unmodified: what people run on Lambda today must run here.

Each folder beside this file is a package as its developer would write it. Node's dependencies come from npm by the folder's lock file,
Flask and its libraries from Debian's python3-flask.
"""
import base64
import json
import pathlib
import re
import shutil
import subprocess

import pytest

from helpers import make_zip, node, npm_ci, zip_tree

HERE = pathlib.Path(__file__).parent
NODES = ["nodejs20.x", "nodejs22.x"]


def assemble(name):
    """The folder's files with its node_modules: the directory that a developer would zip."""
    directory = npm_ci(HERE / name)
    for file in (HERE / name).glob("*.*js"):
        shutil.copy(file, directory / file.name)
    return directory


@pytest.fixture(scope="module")
def packages():
    made = {}

    def package(name):
        if name not in made:
            made[name] = zip_tree(assemble(name), skip=(".complete", "node_modules/.bin"))
        return made[name]
    return package


def http_event(method, path, query="", headers=None, body=None, binary=False):
    """What an HTTP API (payload format 2.0) passes to its function."""
    return {"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": {"host": "example.org", "user-agent": "tests", **(headers or {})},
            "requestContext": {"accountId": "000000000000", "apiId": "api", "domainName": "example.org", "stage": "$default", "requestId": "r", "time": "01/Jan/2024:00:00:00 +0000", "timeEpoch": 1704067200000,
                               "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "tests"}},
            **({"queryStringParameters": dict(p.split("=") for p in query.split("&"))} if query else {}), "body": body, "isBase64Encoded": binary}


@pytest.mark.parametrize("runtime", NODES)
def test_an_express_application_wrapped_with_serverless_http(hearth, packages, runtime):
    function = hearth.deploy(packages("express"), runtime=runtime, memory=256)
    answer = function(http_event("GET", "/")).ok()
    assert answer["statusCode"] == 200 and answer["body"] == "Hello from Express"
    answer = function(http_event("GET", "/orders/42", "a=1&b=2")).ok()
    assert json.loads(answer["body"]) == {"id": "42", "query": {"a": "1", "b": "2"}, "agent": "tests"} and answer["headers"]["x-order"] == "42"
    answer = function(http_event("POST", "/orders", headers={"content-type": "application/json"}, body='{"item":"ü"}')).ok()
    assert answer["statusCode"] == 201 and json.loads(answer["body"]) == {"got": {"item": "ü"}}
    assert [json.loads(function(http_event("GET", "/visits")).ok()["body"])["visits"] for _ in range(3)] == [1, 2, 3]
    answer = function(http_event("GET", "/image")).ok()
    assert answer["isBase64Encoded"] and base64.b64decode(answer["body"]) == bytes([0x89, 0x50, 0x4E, 0x47, 0, 255])
    assert function(http_event("GET", "/fails")).ok()["statusCode"] == 500
    assert function(http_event("GET", "/nowhere")).ok()["statusCode"] == 404
    cookies = function(http_event("GET", "/cookies")).ok()
    assert "a=1" in json.dumps(cookies) and "b=2" in json.dumps(cookies)


@pytest.mark.parametrize("runtime", NODES)
def test_a_function_with_middy_middleware(hearth, packages, runtime):
    function = hearth.deploy(packages("middy"), runtime=runtime)
    event = http_event("POST", "/", headers={"Content-Type": "application/json"}, body='{"numbers":[1,2,39]}')
    answer = function(event).ok()
    assert answer["sum"] == 42 and answer["function"] == function.name
    assert answer["trail"] == ["before a", "before b", "after b", "after a"]
    failed = function(http_event("POST", "/", headers={"Content-Type": "application/json"}, body='{"fail":true}'))
    assert failed.error is None and failed.payload["statusCode"] == 500 or failed.payload.get("errorType") == "TypeError"
    malformed = function(http_event("POST", "/", headers={"Content-Type": "application/json"}, body='{"numbers"')).ok()
    assert malformed["statusCode"] in (415, 422, 400)


@pytest.mark.parametrize("runtime", NODES)
def test_the_powertools_logger_writes_its_json_lines(hearth, packages, runtime):
    function = hearth.deploy(packages("powertools"), runtime=runtime)
    answer = function({"order": 7, "items": 3})
    assert answer.ok() == {"logged": 2}
    lines = [json.loads(line) for line in answer.log.splitlines() if line.startswith("{")]
    assert len(lines) == 2, "one to stdout, one to stderr: two pipes, whose order is not promised"
    info, error = sorted(lines, key=lambda line: line["level"], reverse=True)
    assert [info["level"], error["level"]] == ["INFO", "ERROR"]
    assert info["message"] == "an order came" and info["service"] == "orders" and info["items"] == 3 and info["order"] == 7
    assert info["function_name"] == function.name and info["function_request_id"] == answer.request_id and info["cold_start"] is True
    assert str(info["function_memory_size"]) == "128" and info["function_arn"].endswith(":" + function.name)
    assert error["error"]["name"] == "RangeError"
    assert [json.loads(line) for line in function({}).log.splitlines() if line.startswith("{")][0]["cold_start"] is False


def jpeg():
    """A JPEG of 640 x 480, made by the same libvips outside of Hearth."""
    directory = assemble("sharp")
    script = "require('sharp')({ create: { width: 640, height: 480, channels: 3, background: { r: 200, g: 80, b: 20 } } }).jpeg().toBuffer().then((b) => process.stdout.write(b));"
    return subprocess.run(["node", "-e", script], cwd=directory, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("runtime", NODES)
def test_sharp_makes_a_thumbnail_of_the_jpeg_in_the_event(hearth, packages, runtime):
    picture = jpeg()
    assert picture[:2] == b"\xff\xd8"
    function = hearth.deploy(packages("sharp"), runtime=runtime, memory=512, timeout=30)
    for width in (160, 64):
        answer = function({"jpeg": base64.b64encode(picture).decode(), "width": width}).ok()
        assert answer["from"] == {"width": 640, "height": 480, "format": "jpeg"}
        thumbnail = base64.b64decode(answer["jpeg"])
        assert thumbnail[:2] == b"\xff\xd8" and len(thumbnail) == answer["to"]["bytes"]
        assert (answer["to"]["width"], answer["to"]["height"]) == (width, width * 3 // 4)


@pytest.mark.parametrize("runtime", NODES)
def test_a_bundled_function_calls_another_with_its_own_copy_of_the_sdk(hearth, runtime):
    directory = assemble("bundled")
    subprocess.run(["npm", "run", "--silent", "build"], cwd=directory, check=True, capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
    bundle = (directory / "dist" / "index.js").read_text()
    callee = hearth.deploy(node("exports.handler = async (e) => ({ sum: e.a + e.b });"), runtime=runtime)
    caller = hearth.deploy(make_zip({"index.js": bundle}), runtime=runtime, memory=256, timeout=30)
    answer = caller({"callee": callee.name, "pass": {"a": 40, "b": 2}}).ok()
    assert answer == {"status": 200, "version": "$LATEST", "payload": {"sum": 42}, "tail": True}


def flask_package():
    """The application with Flask vendored beside it, as `pip install -t` would have put it there."""
    try:
        listed = subprocess.run(["/usr/bin/python3", "-c", "import flask, werkzeug, jinja2, markupsafe, itsdangerous, click, json; print(json.dumps([m.__path__[0] for m in (flask, werkzeug, jinja2, markupsafe, itsdangerous, click)]))"],
                                capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError:
        pytest.skip("Debian's python3-flask is not installed")
    files = {name: (HERE / "flask" / name).read_text() for name in ("app.py", "lambda_function.py")}
    for directory in map(pathlib.Path, json.loads(listed.stdout)):
        for path in directory.rglob("*"):
            if path.is_file() and path.suffix in (".py", ".so", ".html", ".css", ".js", ".png"):
                files[(pathlib.Path(directory.name) / path.relative_to(directory)).as_posix()] = path.read_bytes()
    # Flask asks for its own version through importlib.metadata; Debian's egg-info is what pip would have left as dist-info.
    for name in ("Flask", "Werkzeug"):
        for info in pathlib.Path("/usr/lib/python3/dist-packages").glob(f"{name}-*.egg-info"):
            for path in info.iterdir() if info.is_dir() else []:
                files[f"{info.name}/{path.name}"] = path.read_bytes()
    return make_zip(files)


def test_a_flask_application_behind_a_small_wsgi_adapter(hearth):
    function = hearth.deploy(flask_package(), runtime="python3.11", memory=256)
    answer = function(http_event("GET", "/", "who=me")).ok()
    assert answer["statusCode"] == 200 and answer["body"] == "<h1>Hello, me</h1>" and answer["headers"]["Content-Type"].startswith("text/html")
    assert function(http_event("GET", "/")).ok()["body"] == "<h1>Hello, &lt;you&gt;</h1>"
    answer = function(http_event("POST", "/orders/7", headers={"content-type": "application/json"}, body='{"item":"ü"}')).ok()
    assert answer["statusCode"] == 201 and json.loads(answer["body"]) == {"order": 7, "got": {"item": "ü"}, "agent": "tests"} and answer["headers"]["X-Order"] == "7"
    answer = function(http_event("GET", "/bytes")).ok()
    assert answer["isBase64Encoded"] and base64.b64decode(answer["body"]) == bytes(range(256))
    failed = function(http_event("GET", "/fails"))
    assert failed.ok()["statusCode"] == 500 and "inside a view" in failed.log
    assert function(http_event("GET", "/nowhere")).ok()["statusCode"] == 404


def test_a_python_function_with_boto3_calls_another(hearth):
    callee = hearth.deploy(node("exports.handler = async (e) => ({ sum: e.a + e.b });"))
    caller = hearth.deploy({"lambda_function.py": (HERE / "python-boto3" / "lambda_function.py").read_text()}, runtime="python3.11", memory=256, timeout=30)
    answer = caller({"callee": callee.name, "pass": {"a": 40, "b": 2}}).ok()
    assert answer["status"] == 200 and answer["version"] == "$LATEST" and answer["payload"] == {"sum": 42} and re.match(r"1\.\d+", answer["boto3"])
