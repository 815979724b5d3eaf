"""scripts/runtime-add, as far as it goes without a registry: nothing here leaves the machine."""

import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import version_of
from instance import ROOT

RUNTIME_ADD = ROOT / "scripts" / "runtime-add"
SYSTEM = version_of("/usr/bin/node")
TOOLS = ["sh", "mkdir", "mktemp", "mv", "rm", "ls", "cat", "uname", "dirname", "readlink", "chmod", "tar", "cmp", "cp", "ln", "find",
         "head", "env"]


def run(*arguments, **environment):
    return subprocess.run([str(RUNTIME_ADD), *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "npm_config_registry": "http://127.0.0.1:9/", "npm_config_fetch_retries": "0",
                               **environment})


@pytest.fixture
def without_npm(tmp_path):
    """A PATH of the few tools that the script needs, and no npm."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in TOOLS:
        (directory / tool).symlink_to(shutil.which(tool))
    return str(directory)


def test_it_says_how_it_is_used():
    ended = run()
    assert ended.returncode == 2 and "usage: runtime-add DIR WHAT..." in ended.stderr


def test_an_id_that_does_not_exist_is_refused_with_those_that_do(tmp_path):
    ended = run(tmp_path, "nodejs26.x")
    assert ended.returncode == 1
    assert 'there is no runtime "nodejs26.x": one of nodejs18.x nodejs20.x nodejs22.x nodejs24.x sdk' in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["sdk", f"nodejs{18 if SYSTEM and SYSTEM[0] != 18 else 24}.x"])
def test_without_npm_it_names_the_remedy_and_leaves_nothing(tmp_path, without_npm, what):
    directory = tmp_path / "runtimes"
    ended = run(directory, what, PATH=without_npm)
    assert ended.returncode == 1 and "apt-get install npm" in ended.stderr
    assert list(directory.iterdir()) == []


def test_without_a_registry_it_says_so_and_leaves_nothing(tmp_path):
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    ended = run(tmp_path / "runtimes", f"nodejs{18 if SYSTEM and SYSTEM[0] != 18 else 24}.x")
    assert ended.returncode == 1 and "is npm's registry reachable?" in ended.stderr
    assert list((tmp_path / "runtimes").iterdir()) == []


@pytest.mark.skipif(SYSTEM is None or SYSTEM[0] not in (18, 20, 22, 24), reason="the system has no Node of a runtime's major")
def test_the_systems_own_node_stands_in_is_listed_is_left_alone_and_goes(tmp_path, without_npm):
    directory, name = tmp_path / "runtimes", f"nodejs{SYSTEM[0]}.x"
    assert run(directory, name, PATH=without_npm).returncode == 0
    node = directory / name / "lang" / "bin" / "node"
    assert version_of(node)[0] == SYSTEM[0]
    assert pathlib.Path(os.readlink(node)).parts[:2] == ("/", "usr")  # sandboxes see /usr/bin and /usr/lib only
    made = node.lstat().st_ino
    assert "is installed" in run(directory, name, PATH=without_npm).stdout
    assert node.lstat().st_ino == made
    assert run(directory).stdout.startswith(f"{name}\tv{SYSTEM[0]}.")
    assert run("-r", directory, name).returncode == 0
    assert list(directory.iterdir()) == []


def test_an_empty_or_absent_directory_lists_nothing(tmp_path):
    ended = run(tmp_path / "new")
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_directory_that_is_not_ours_is_named(tmp_path):
    tmp_path.chmod(0o500)
    ended = run(tmp_path, "sdk")
    assert ended.returncode == 1 and "cannot write to" in ended.stderr
