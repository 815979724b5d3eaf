"""In the guest: Hearth as `make install` and packaging/hearth.service put it there, started by the boot."""
import json
import os
import pathlib
import re
import subprocess
import time
import uuid

import boto3
import botocore.config
import pytest

from helpers import ROLE, _read, make_zip, node, processes_that_mention, python, wait_until

DATA = "/var/lib/hearth"
UNIT_CGROUP = pathlib.Path("/sys/fs/cgroup/system.slice/hearth.service")
MB = 1024 * 1024


def systemctl(*words):
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=120)


def shown(name):
    return systemctl("show", "-p", name, "--value", "hearth").stdout.strip()


def journal():
    return subprocess.run(["journalctl", "-u", "hearth", "-o", "cat", "--no-pager"], capture_output=True, text=True, timeout=60).stdout


def wait_active():
    wait_until(lambda: shown("ActiveState") == "active" and shown("SubState") == "running", 60, f"it is active\n{systemctl('status', 'hearth').stdout}")


@pytest.fixture
def client():
    wait_active()
    keys = json.loads(subprocess.run(["hearth", "env", "--json"], capture_output=True, text=True, check=True, timeout=30).stdout)
    return boto3.client("lambda", endpoint_url=keys["AWS_ENDPOINT_URL"], region_name="us-east-1", aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
                        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"], config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=60))


def deploy(client, files, runtime, **more):
    name = f"f-{uuid.uuid4().hex[:8]}"
    handler = "lambda_function.handler" if runtime.startswith("python") else "index.handler"
    client.create_function(FunctionName=name, Runtime=runtime, Handler=handler, Role=ROLE, Code={"ZipFile": make_zip(files)}, Timeout=20, **more)
    wait_until(lambda: client.get_function_configuration(FunctionName=name)["State"] == "Active", 60, "it is active")
    return name


def call(client, name, event=None):
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event or {}))
    return answer.get("FunctionError"), json.loads(answer["Payload"].read() or "null")


def homes():
    return sorted(path for path in UNIT_CGROUP.glob("hearth-*"))


def loops():
    return [path.parent.parent.name for path in pathlib.Path("/sys/block").glob("loop*/loop/backing_file") if DATA in _read(path)]


def test_the_boot_started_it():
    wait_active()
    assert int(shown("ActiveEnterTimestampMonotonic")) <= int(systemctl("show", "-p", "InactiveExitTimestampMonotonic", "--value", "guest").stdout) + 1000000
    assert shown("NRestarts") == "0"
    assert "hearth" not in systemctl("--failed").stdout


def test_it_lives_in_what_systemd_handed_over(client):
    """Not beside it: what systemd has not handed over is systemd's."""
    assert "cgroup v2 (memory, cpu, pids, freezer)" in journal()
    assert len(homes()) == 1 and not list(pathlib.Path("/sys/fs/cgroup").glob("hearth-*"))
    assert (UNIT_CGROUP / "cgroup.procs").read_text() == ""
    assert len((UNIT_CGROUP / "server" / "cgroup.procs").read_text().split()) >= 2


def test_the_server_has_no_rights(client):
    status = _read(f"/proc/{shown('MainPID')}/status")
    assert not re.search(r"^Uid:\s+0\b", status, re.MULTILINE) and re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)


@pytest.mark.parametrize("runtime", ["python3.11", "nodejs18.x"])
def test_a_function_answers(client, runtime):
    files = python("def handler(event, context):\n    return event['a'] + 1\n") if runtime.startswith("python") else node("exports.handler = async (event) => event.a + 1;")
    name = deploy(client, files, runtime, MemorySize=128)
    assert call(client, name, {"a": 41}) == (None, 42)
    client.delete_function(FunctionName=name)


def test_the_node_of_debian_is_what_functions_get(client):
    name = deploy(client, node("exports.handler = async () => [process.version, process.execPath, require('node:fs').existsSync('/usr/share/nodejs')];"), "nodejs18.x", MemorySize=128)
    error, (version, path, _) = call(client, name)
    installed = subprocess.run(["/usr/bin/node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    assert error is None and version == installed and version.startswith("v18.")
    client.delete_function(FunctionName=name)


def test_memory_is_limited_by_the_kernel(client):
    name = deploy(client, python("def handler(event, context):\n    return len(bytearray(event.get('mb', 1) << 20))\n"), "python3.11", MemorySize=128)
    assert call(client, name) == (None, MB)
    assert [int((path / "memory.max").read_text()) for path in homes()[0].glob("i[0-9]*") if (path / "memory.max").exists()]
    error, said = call(client, name, {"mb": 400})
    assert error == "Unhandled", said
    assert call(client, name) == (None, MB)
    assert shown("ActiveState") == "active" and shown("NRestarts") == "0"       # its death is not the unit's
    client.delete_function(FunctionName=name)


@pytest.mark.parametrize("whom", ["all", "main"])
def test_it_comes_back_after_a_kill_and_has_forgotten_nothing(client, whom):
    name = deploy(client, python("def handler(event, context):\n    return 'kept'\n"), "python3.11", MemorySize=128)
    assert call(client, name) == (None, "kept")
    before, restarts = shown("MainPID"), int(shown("NRestarts"))
    inside = (homes()[0] / next(homes()[0].glob("i[0-9]*")).name / "cgroup.procs").read_text().split()
    assert systemctl("kill", "-s", "KILL", f"--kill-whom={whom}", "hearth").returncode == 0
    wait_until(lambda: int(shown("NRestarts")) == restarts + 1 and shown("MainPID") not in (before, "0"), 60, "systemd starts it again")
    wait_active()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in inside)
    assert call(client, name) == (None, "kept")
    assert len(homes()) == 1 and "no cgroups" not in journal()
    client.delete_function(FunctionName=name)


def test_a_restart_keeps_functions_and_cgroups_in_order(client):
    name = deploy(client, python("def handler(event, context):\n    return 'kept'\n"), "python3.11", MemorySize=128)
    call(client, name)
    assert systemctl("restart", "hearth").returncode == 0
    wait_active()
    assert call(client, name) == (None, "kept") and len(homes()) == 1
    client.delete_function(FunctionName=name)


def test_stop_leaves_nothing(client):
    name = deploy(client, node("exports.handler = async () => 1;"), "nodejs18.x", MemorySize=128)
    call(client, name)
    began = time.monotonic()
    assert systemctl("stop", "hearth").returncode == 0
    assert time.monotonic() - began < 30
    assert shown("Result") == "success" and shown("ExecMainStatus") == "0"
    wait_until(lambda: not UNIT_CGROUP.exists(), 20, "the cgroup is gone")
    assert not processes_that_mention(DATA) and not loops() and DATA + "/" not in _read("/proc/self/mountinfo")
    assert systemctl("start", "hearth").returncode == 0
    wait_active()


def test_systemd_found_nothing_to_complain_of():
    checked = subprocess.run(["systemd-analyze", "verify", "hearth.service"], capture_output=True, text=True, timeout=60)
    assert "hearth" not in re.sub(r".*'man hearth.*", "", checked.stderr), checked.stderr          # there is no man in the guest
