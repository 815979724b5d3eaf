"""Power loss: the disk as it surely was at each moment of a busy server's life, and a server started on it.

power_shim.c, preloaded, notes what each fsync, fdatasync and syncfs made sure of. For every such moment the directory is made anew from the notes: a file that was
not synced is empty, a name whose directory was not synced is missing. A server that starts there must have everything that had been acknowledged before
the next moment, nothing by halves, and it must run."""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import botocore.exceptions
import pytest

from helpers import ROLE, Hearth, make_zip

CUTS_MAX = int(os.environ.get("HEARTH_POWER_CUTS", "30"))      # servers started; the moments are spread evenly over all of them


def source(text):
    return make_zip({"index.js": f"exports.handler = async () => '{text}';", "lib/data.txt": text * 500})


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    library = tmp_path_factory.mktemp("shim") / "power_shim.so"
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-O1", "-o", str(library),
                    str(pathlib.Path(__file__).parent / "power_shim.c"), "-ldl"], check=True, timeout=60)
    library.parent.chmod(0o755)
    for parent in library.parents:                     # the server reads it after it has given up its rights
        if parent.stat().st_mode & 0o005 != 0o005 and parent.is_relative_to(tempfile.gettempdir()) and parent != pathlib.Path(tempfile.gettempdir()):
            parent.chmod(0o755)
    return library


class Life:
    """What a client did: each step's acknowledgement has a time, and says what must be true from then on."""

    def __init__(self, server):
        self.server, self.client, self.facts = server, server.lambda_client, []

    def done(self, name, **fact):
        self.facts.append((time.monotonic_ns(), name, fact))

    def create(self, name, text):
        self.client.create_function(FunctionName=name, Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": source(text)},
                                    Environment={"Variables": {"TEXT": text}})
        self.done(name, latest=text)

    def update(self, name, text):
        self.client.update_function_code(FunctionName=name, ZipFile=source(text))
        self.done(name, latest=text)

    def publish(self, name, text):
        number = self.client.publish_version(FunctionName=name)["Version"]
        self.done(name, version=(number, text))
        return number

    def alias(self, name, number, make):
        (self.client.create_alias if make else self.client.update_alias)(FunctionName=name, Name="live", FunctionVersion=number)
        self.done(name, alias=number)

    def layer(self, name, text):
        version = self.client.publish_layer_version(LayerName=name, Content={"ZipFile": make_zip({"data.txt": text})})["Version"]
        self.done(name, layer=(version, text))

    def event(self, name):
        self.client.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")

    def delete(self, name):
        self.client.delete_function(FunctionName=name)
        self.done(name, deleted=True)

    def run(self):
        for n in range(4):
            self.create(f"f{n}", f"f{n}-0")
        for n in range(4):
            self.update(f"f{n}", f"f{n}-1")
            number = self.publish(f"f{n}", f"f{n}-1")
            self.alias(f"f{n}", number, make=True)
        self.layer("shared", "first")
        for n in range(2):
            self.update(f"f{n}", f"f{n}-2")
            self.alias(f"f{n}", self.publish(f"f{n}", f"f{n}-2"), make=False)
        self.layer("shared", "second")
        self.client.put_function_concurrency(FunctionName="f1", ReservedConcurrentExecutions=3)
        self.done("f1", reserved=3)
        self.client.tag_resource(Resource=self.client.get_function_configuration(FunctionName="f2")["FunctionArn"], Tags={"kept": "yes"})
        self.done("f2", tag="yes")
        self.delete("f3")
        self.create("f3", "f3-again")


class Disk:
    """The notes in order of time, and the directory that each moment leaves."""

    def __init__(self, notes, root):
        self.root = self.key(os.stat(root).st_ino, self.born(root))
        self.notes = []
        for path in sorted(p for p in pathlib.Path(notes).iterdir() if not p.name.startswith(".")):
            head, _, body = path.read_bytes().partition(b"\n")
            kind, inode, born = head.decode().split()
            self.notes.append((int(path.name[:20]), kind, self.key(inode, born), body))

    @staticmethod
    def key(inode, born):
        return (int(inode), int(born))

    @staticmethod
    def born(path):
        whole, _, rest = subprocess.run(["stat", "-c", "%.9W", str(path)], capture_output=True, text=True, check=True).stdout.strip().partition(".")
        return int(whole) * 1000000000 + int(rest)

    def restore(self, count, into):
        """The disk after the first `count` notes."""
        bytes_of, names_of = {}, {}
        for _, kind, key, body in self.notes[:count]:
            if kind == "f":
                bytes_of[key] = body
            else:
                names_of[key] = self.entries(body)
        self.fill(self.root, into, bytes_of, names_of)

    @staticmethod
    def entries(body):
        found = []
        for line in body.split(b"\n")[:-1]:
            name, _, rest = line.partition(b"\0")
            kind, inode, born, mode, target = rest.decode().split(" ", 4)
            found.append((name.decode(), kind, (int(inode), int(born)), int(mode, 8), target))
        return found

    def fill(self, key, into, bytes_of, names_of):
        for name, kind, below, mode, target in names_of.get(key, []):
            path = pathlib.Path(into, name)
            if kind == "d":
                path.mkdir()
                self.fill(below, path, bytes_of, names_of)
                path.chmod(mode)
            elif kind == "l":
                path.symlink_to(target)
            else:
                path.write_bytes(bytes_of.get(below, b""))
                path.chmod(mode)


def expected(facts, before_ns):
    """What had been acknowledged by then, folded: {name: {...}}; and the names that the step under way then was about."""
    state = {}
    for at, name, fact in facts:
        if at > before_ns:
            return state, {name}
        if fact.get("deleted") or ("latest" in fact and state.get(name) == {"deleted": True}):
            state[name] = {}
        state.setdefault(name, {}).update(fact)
        if "version" in fact:
            state[name].setdefault("versions", []).append(fact["version"])
    return state, set()


def sha(zipped):
    return base64.b64encode(hashlib.sha256(zipped).digest()).decode()


def check(server, state, under_way):
    client = server.lambda_client
    for name, fact in state.items():
        if name in under_way:                       # between two states: it must only be whole
            continue
        if fact == {"deleted": True}:
            with pytest.raises(client.exceptions.ResourceNotFoundException):
                client.get_function(FunctionName=name)
            continue
        if "layer" in fact:
            for version, text in [fact["layer"]]:
                assert client.get_layer_version(LayerName=name, VersionNumber=version)["Content"]["CodeSha256"] == sha(make_zip({"data.txt": text}))
            continue
        assert client.get_function_configuration(FunctionName=name)["CodeSha256"] == sha(source(fact["latest"])), (name, fact)
        for number, text in fact.get("versions", []):
            assert client.get_function_configuration(FunctionName=name, Qualifier=number)["CodeSha256"] == sha(source(text)), (name, number)
        if "alias" in fact:
            assert client.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == fact["alias"]
        if "reserved" in fact:
            assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == fact["reserved"]
        if "tag" in fact:
            assert client.get_function(FunctionName=name)["Tags"] == {"kept": fact["tag"]}
    # Whatever is there is whole: its code can be read, and runs.
    for function in client.list_functions()["Functions"]:
        answer = client.invoke(FunctionName=function["FunctionName"])
        text = json.load(answer["Payload"])
        assert "FunctionError" not in answer and sha(source(text)) == function["CodeSha256"], (function["FunctionName"], text)


def test_whatever_was_acknowledged_survives_a_power_cut_at_every_moment(shim, tmp_path):
    notes, data = tmp_path / "notes", tmp_path / "data"
    notes.mkdir()
    notes.chmod(0o777)
    data.mkdir(mode=0o700)
    for parent in (tmp_path, *tmp_path.parents):
        if parent != pathlib.Path(tempfile.gettempdir()) and parent.is_relative_to(tempfile.gettempdir()):
            parent.chmod(0o755)
    server = Hearth(data=data, env={"LD_PRELOAD": str(shim), "POWER_DIR": str(data), "POWER_NOTES": str(notes)})
    ready_ns = time.monotonic_ns()
    life = Life(server)
    try:
        life.run()
        server.kill9()                              # an end in good order would sync once more
    finally:
        server.close(check=False)
    disk = Disk(notes, data)
    assert len(disk.notes) > 60, "the shim saw the server's syncs"
    # Before it was ready nobody had been told anything; a first start that broke off must still not stand in the way of the next.
    moments = list(range(1, len(disk.notes) + 1))
    chosen = sorted({moments[int(i * (len(moments) - 1) / (CUTS_MAX - 1))] for i in range(CUTS_MAX)}) if len(moments) > CUTS_MAX else moments
    for count in chosen:
        cut_ns = disk.notes[count][0] if count < len(disk.notes) else time.monotonic_ns()
        state, under_way = expected(life.facts, cut_ns) if cut_ns > ready_ns else ({}, set())
        where = tmp_path / f"cut-{count}"
        where.mkdir(mode=0o700)
        disk.restore(count, where)
        try:
            again = Hearth(data=where, stop_must_be_clean=False)
        except AssertionError as failed:
            raise AssertionError(f"after {count} of {len(disk.notes)} syncs no server starts: {failed}") from None
        try:
            check(again, state, under_way)
        except (AssertionError, botocore.exceptions.ClientError) as failed:
            raise AssertionError(f"after {count} of {len(disk.notes)} syncs: {failed}\n{again.dump()}") from None
        finally:
            again.close(check=False)
            shutil.rmtree(where, ignore_errors=True)
