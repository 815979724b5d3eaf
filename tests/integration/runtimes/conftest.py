"""Every Node and every Python of this machine that Hearth knows runs every test of its language."""

import glob
import os
import pathlib
import re
import subprocess

import pytest

from instance import NODE_BOOTSTRAP, PYTHON_BOOTSTRAP, Instance

NODE_MAJORS = (18, 20, 22, 24)
PYTHON_MINORS = range(9, 15)
DATA_HOME = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
RUNTIME_DIRS = [directory for directory in (
    os.environ.get("HEARTH_RUNTIMES"), "/usr/local/lib/hearth/runtimes", "/usr/lib/hearth/runtimes", f"{DATA_HOME}/hearth/runtimes",
) if directory]


def version_of(command):
    try:
        said = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=30).stdout
    except OSError:
        return None
    return tuple(int(number) for number in re.findall(r"\d+", said)[:2])


def find_nodes():
    found = {}
    candidates = [f"{directory}/nodejs{major}.x/lang/bin/node" for directory in RUNTIME_DIRS for major in NODE_MAJORS]
    for command in [*candidates, "/usr/bin/node"]:
        version = version_of(command)
        if version and version[0] in NODE_MAJORS:
            found.setdefault(version[0], command)
    return dict(sorted(found.items()))


def find_pythons():
    """The system's; and with HEARTH_TEST_PYENV=1 those of pyenv, since the bootstrap has to run on versions that Debian has not."""
    found, others = {}, []
    if os.environ.get("HEARTH_TEST_PYENV"):
        pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
        others = glob.glob(os.path.join(pyenv, "versions/3.*/bin/python3"))
    for command in ["/usr/bin/python3", *[f"/usr/bin/python3.{minor}" for minor in PYTHON_MINORS], *others]:
        version = version_of(command)
        if version and version[0] == 3 and version[1] in PYTHON_MINORS:
            found.setdefault(version[1], command)
    return dict(sorted(found.items()))


NODES, PYTHONS = find_nodes(), find_pythons()


def find_sdk(name):
    for directory in RUNTIME_DIRS:
        modules = pathlib.Path(directory) / name / "node_modules"
        if modules.is_dir():
            return modules
    return None


class Runtime:
    """One installed runtime; start() gives an instance that is ended with the test."""

    def __init__(self, command, directory):
        self.command, self.directory, self.instances = command, directory, []

    def start(self, source, handler="index.handler", files=None, **environment):
        instance = Instance(self.argv(), self.directory, {self.main_file: source, **(files or {})}, handler, self.id,
                            **{**self.environment(), **environment})
        self.instances.append(instance)
        return instance

    def environment(self):
        return {}


class Node(Runtime):
    main_file = "index.js"

    def __init__(self, major, directory):
        super().__init__(NODES[major], directory)
        self.major, self.id = major, f"nodejs{major}.x"

    def argv(self):
        return [self.command, "--max-old-space-size=230", "--max-semi-space-size=12", str(NODE_BOOTSTRAP)]

    @property
    def sdk(self):
        return find_sdk("sdk-node18" if self.major < 20 else "sdk-node20")


class Python(Runtime):
    main_file = "index.py"

    def __init__(self, minor, directory):
        super().__init__(PYTHONS[minor], directory)
        self.minor, self.id = minor, f"python3.{minor}"

    def argv(self):
        return [self.command, str(PYTHON_BOOTSTRAP)]


def started(runtime):
    yield runtime
    for instance in runtime.instances:
        instance.close()


def started_node(major, directory):
    assert (NODE_BOOTSTRAP.parent / "hearth_channel.node").exists(), "the addon is not built: run make"
    yield from started(Node(major, directory))


@pytest.fixture(params=NODES, ids=lambda major: f"node{major}")
def node(request, tmp_path):
    yield from started_node(request.param, tmp_path)


@pytest.fixture(params=[major for major in NODES if major < 24], ids=lambda major: f"node{major}")
def node_with_callbacks(request, tmp_path):
    yield from started_node(request.param, tmp_path)


@pytest.fixture(params=[major for major in NODES if major >= 24], ids=lambda major: f"node{major}")
def node_without_callbacks(request, tmp_path):
    yield from started_node(request.param, tmp_path)


@pytest.fixture(params=PYTHONS, ids=lambda minor: f"python3.{minor}")
def python(request, tmp_path):
    yield from started(Python(request.param, tmp_path))


@pytest.fixture
def system_python(tmp_path):
    """Debian's, which has Debian's boto3."""
    minor = version_of("/usr/bin/python3")[1]
    runtime = Python(minor, tmp_path)
    runtime.command = "/usr/bin/python3"
    yield from started(runtime)


class Echo:
    """A function that gives back its event, in the runtime's language."""
    NODE = "exports.handler = async (event) => event"
    PYTHON = "def handler(event, context):\n    return event"


@pytest.fixture(params=[*[("node", major) for major in NODES], *[("python", minor) for minor in PYTHONS]],
                ids=lambda which: f"{which[0]}{'3.' if which[0] == 'python' else ''}{which[1]}")
def echo(request, tmp_path):
    """Every runtime of both languages, with `source` for the function that gives back its event."""
    language, version = request.param
    runtime = Node(version, tmp_path) if language == "node" else Python(version, tmp_path)
    runtime.source = Echo.NODE if language == "node" else Echo.PYTHON
    runtime.language = language
    yield from started(runtime)


