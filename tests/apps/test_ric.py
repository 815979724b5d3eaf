"""AWS's own runtime interface client for Node.js, unmodified from npm, as a `provided` bootstrap: what Amazon wrote against the Runtime API runs here.

Its native part (AWS's C++ client over its own libcurl) is compiled once and kept beside npm's cache; that takes autoconf, automake, libtool,
cmake, make and g++, and the headers of the Node.js that will run it: /usr/bin/node, which a sandbox has.
"""
import base64
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from helpers import LIFE_OF_A_TEST_S, cache_dir, make_zip, npm_ci

HERE = pathlib.Path(__file__).parent
TOOLS = ["autoconf", "automake", "libtoolize", "cmake", "make", "g++"]
BOOTSTRAP = "#!/bin/sh\nexec /usr/bin/node /var/task/node_modules/aws-lambda-ric/bin/index.mjs \"$_HANDLER\"\n"


def missing():
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if not os.access("/usr/bin/node", os.X_OK):
        absent.append("/usr/bin/node")
    if not os.path.exists("/usr/include/node/node.h") and not os.path.exists("/usr/include/nodejs/src/node.h"):
        absent.append("its headers (libnode-dev)")
    return absent


def built():
    """The client's directory, with its native part."""
    installed = npm_ci(HERE / "ric")
    version = subprocess.run(["/usr/bin/node", "-p", "process.version"], capture_output=True, text=True, check=True).stdout
    target = cache_dir() / f"ric-{hashlib.sha256((installed.name + version).encode()).hexdigest()[:16]}"
    if target.exists():
        return target
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=".ric-", dir=cache_dir()))
    shutil.copytree(installed / "node_modules", scratch / "node_modules", symlinks=True)
    package = scratch / "node_modules" / "aws-lambda-ric"
    environment = {**os.environ, "npm_config_nodedir": "/usr" if os.path.exists("/usr/include/node/node.h") else "/usr/include/nodejs",
                   "PATH": f"{scratch}/node_modules/.bin:/usr/bin:/bin", "CMAKE_POLICY_VERSION_MINIMUM": "3.5"}
    for script in ("preinstall.sh", "postinstall.sh"):
        done = subprocess.run(["sh", f"./scripts/{script}"], cwd=package, env=environment, capture_output=True, text=True, timeout=2 * LIFE_OF_A_TEST_S, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{script}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    try:
        package.rename(target)
    except OSError:  # another test process was first
        pass
    shutil.rmtree(scratch, ignore_errors=True)
    return target


@pytest.fixture(scope="module")
def package():
    absent = missing()
    if absent:
        pytest.skip("scripts/setup test installs what is not there: " + ", ".join(absent))
    client = built()
    files = {"bootstrap": (BOOTSTRAP, 0o755), "index.js": (HERE / "ric" / "index.js").read_text()}
    for part in ("bin/index.mjs", "dist/index.mjs", "dist/rapid-client.node", "package.json"):
        files[f"node_modules/aws-lambda-ric/{part}"] = (client / part).read_bytes()
    return make_zip(files)


@pytest.mark.parametrize("runtime", ["provided.al2", "provided.al2023"])
def test_calls_by_awss_own_client(hearth, package, runtime):
    function = hearth.deploy(package, runtime=runtime, handler="index.handler", memory=512, timeout=20)
    context = {"client": {"app": "ü"}, "env": {"a": "b"}}
    for n in range(1, 21):
        answer = function({"n": n, "text": "ä\n"}, ClientContext=base64.b64encode(json.dumps(context).encode()).decode())
        seen = answer.ok()
        assert seen["calls"] == n and seen["event"] == {"n": n, "text": "ä\n"}
        assert seen["requestId"] == answer.request_id and seen["name"] == function.name and seen["arn"].endswith(":" + function.name)
        assert seen["memory"] == "512" and 0 < seen["left"] <= 20000 and seen["client"] == context
        assert seen["trace"].startswith("Root=1-") and seen["handler"] == "index.handler"
        assert f"call {n}" in answer.log and answer.request_id in answer.log


def test_its_errors_are_told_as_it_reports_them(hearth, package):
    function = hearth.deploy(package, runtime="provided.al2023", handler="index.handler", memory=512)
    answer = function({"fail": "too much"})
    assert answer.error == "Unhandled" and answer.payload["errorType"] == "RangeError" and answer.payload["errorMessage"] == "too much"
    assert any("index.js" in line for line in answer.payload["trace"])
    assert function({"n": 1}).ok()["calls"] == 2
    lost = hearth.deploy(package, runtime="provided.al2023", handler="nowhere.handler", memory=512)({})
    assert lost.error == "Unhandled" and lost.payload["errorType"] == "Runtime.ImportModuleError" and "nowhere" in lost.payload["errorMessage"]


def test_it_outlives_long_waits_large_events_and_many_callers(hearth, package):
    function = hearth.deploy(package, runtime="provided.al2023", handler="index.handler", memory=512, timeout=30)
    large = {"text": "x" * (5 << 20)}
    assert function(large).ok()["event"] == large
    assert function({"sleep": 1500}).ok()["event"] == {"sleep": 1500}
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert [answer["event"]["n"] for answer in threads.map(lambda n: function({"n": n}).ok(), range(24))] == list(range(24))
