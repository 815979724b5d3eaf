"""What whole-system tests work with: a real server in a process of its own, and the real clients.

    Hearth      one `hearth serve` with its own data directory, ports and options; ends what it started
    make_zip    a package from a dict of files
    deploy      a function that is ready to be called
    Snapshot    what a server holds (processes, descriptors, mounts, ...), to compare before and after

The binary is $HEARTH_BINARY, or build/hearth of this checkout. It may be built with sanitizers: their reports fail the test that
was running. Nothing here needs more than Debian's python3-pytest, python3-boto3 and awscli.
"""
import base64
import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid
import zipfile

import boto3
import botocore.config
import botocore.exceptions
import botocore.session

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::000000000000:role/hearth-basic"
READY_S = 60          # a server must be ready by then, also under AddressSanitizer on a busy machine
STOP_S = 60
ORDINARY_USER = 65534  # uid and gid for user="ordinary"
NODE = os.environ.get("HEARTH_TEST_NODE", "nodejs20.x")             # what functions run on where the version does not matter
LAUNCHER = shlex.split(os.environ.get("HEARTH_TEST_LAUNCHER", ""))  # before `hearth serve` of an ordinary user: systemd-run --user ...
SANITIZER_REPORT = re.compile(r"ERROR: (Address|Leak|Memory|Thread)Sanitizer|runtime error:|Assertion .* failed")
LIFE_OF_A_TEST_S = 600


def binary():
    path = pathlib.Path(os.environ.get("HEARTH_BINARY") or REPOSITORY / "build" / "hearth").resolve()
    if not path.exists():
        raise RuntimeError(f"there is no {path}: run `make` first, or set HEARTH_BINARY")
    return str(path)


def cache_dir():
    """Where tests keep what npm installed, a directory a lock file."""
    path = pathlib.Path(os.environ.get("HEARTH_TEST_CACHE") or REPOSITORY / "build" / "apps-cache")
    path.mkdir(parents=True, exist_ok=True)
    return path


def wait_until(condition, seconds=20, what="the condition"):
    """Polls until condition() is true, and gives what it answered. Tests wait for facts, never for a time."""
    end = time.monotonic() + seconds
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


# ---- packages -----------------------------------------------------------------------------------------------------------------

def make_zip(files):
    """files: path -> str, bytes, or (str or bytes, mode). Directories come by themselves."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            mode = 0o644
            if isinstance(content, tuple):
                content, mode = content
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.external_attr = (0o100000 | mode) << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out.getvalue()


def zip_tree(directory, skip=()):
    """The files below a directory, as a developer would zip them (links kept as links)."""
    out = io.BytesIO()
    directory = pathlib.Path(directory)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(directory.rglob("*")):
            name = path.relative_to(directory).as_posix()
            if any(name == s or name.startswith(s + "/") for s in skip):
                continue
            if path.is_symlink():
                info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
                info.create_system = 3
                info.external_attr = 0o120777 << 16
                archive.writestr(info, os.readlink(path))
            elif path.is_file():
                info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
                info.create_system = 3
                info.external_attr = (0o100000 | (path.stat().st_mode & 0o777)) << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, path.read_bytes(), compresslevel=1)
    return out.getvalue()


def compile_static(source, *flags):
    """A C program (source text, or a path) as one static executable's bytes, to be put into a package."""
    with tempfile.TemporaryDirectory() as directory:
        if isinstance(source, pathlib.Path):
            file = source
        else:
            file = pathlib.Path(directory, "program.c")
            file.write_text(source)
        out = pathlib.Path(directory, "program")
        subprocess.run([os.environ.get("CC", "cc"), "-static", "-O1", "-D_GNU_SOURCE", "-pthread", *flags, "-o", str(out), str(file)],
                       check=True, timeout=120)
        return out.read_bytes()


def npm_ci(package_dir):
    """Installs a folder's package-lock.json into the cache (once a lock file) and gives the folder that then holds node_modules."""
    package_dir = pathlib.Path(package_dir)
    lock = (package_dir / "package-lock.json").read_bytes() + (package_dir / "package.json").read_bytes()
    import hashlib
    target = cache_dir() / f"{package_dir.name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (target / ".complete").exists():
        scratch = pathlib.Path(tempfile.mkdtemp(prefix=f".{package_dir.name}-", dir=cache_dir()))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(package_dir / name, scratch / name)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress"],
                              cwd=scratch, capture_output=True, text=True, timeout=LIFE_OF_A_TEST_S, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            shutil.rmtree(scratch, ignore_errors=True)
            raise RuntimeError(f"npm ci in {package_dir} failed:\n{done.stdout}\n{done.stderr}")
        (scratch / ".complete").touch()
        try:
            scratch.rename(target)
        except OSError:                       # another test process was first
            shutil.rmtree(scratch, ignore_errors=True)
    return target


# ---- processes, as /proc shows them ----------------------------------------------------------------------------------------------

def _read(path, default=""):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return default


def process_started(pid):
    """The start time in ticks: with the pid it names a process for ever. None when there is none (a zombie counts as none)."""
    stat = _read(f"/proc/{pid}/stat")
    if not stat:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def children_of(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += [int(p) for p in _read(f"/proc/{pid}/task/{task}/children").split()]
    return found


def descendants_of(pid):
    """{pid: start time} of everything below pid, itself not counted."""
    found, waiting = {}, [pid]
    while waiting:
        for child in children_of(waiting.pop()):
            if child not in found:
                started = process_started(child)
                if started is not None:
                    found[child] = started
                waiting.append(child)
    return found


def descriptors_of(pid):
    """{fd: what it is}; empty when the process is gone or not ours."""
    found = {}
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


def processes_that_mention(text):
    """Processes whose mount table holds `text` (a data directory): what runs in a sandbox of that server."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and text in _read(f"/proc/{name}/mountinfo"):
            started = process_started(int(name))
            if started is not None:
                found[int(name)] = _read(f"/proc/{name}/cmdline").replace("\0", " ").strip()
    return found


def mounts_that_mention(text):
    return [line for line in _read("/proc/self/mountinfo").splitlines() if text in line]


def loop_devices_of(text):
    found = []
    with contextlib.suppress(OSError):
        for device in os.listdir("/sys/block"):
            if device.startswith("loop") and text in _read(f"/sys/block/{device}/loop/backing_file"):
                found.append(device)
    return found


def cgroups_named(part):
    """Every cgroup directory whose path holds `part`, in all hierarchies."""
    found = []
    for root, directories, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(root, d) for d in directories if part in d]
    return found


def cgroup_parts_of(keeper):
    """The names of a server's own cgroup directories: its keeper holds them open."""
    return {match.group(1) for link in descriptors_of(keeper).values() for match in [re.match(r"/sys/fs/cgroup/(?:.*/)?(hearth-[0-9a-f]+)", link)] if match}


def orphaned_network_namespaces():
    """How many network namespaces the kernel holds that no process is in: what was leaked, whoever else works on this machine.
    None where the kernel does not tell. They are freed late: compare by waiting."""
    try:
        with open("/sys/kernel/slab/net_namespace/shrink", "w") as file:      # else its caches count too
            file.write("1")
    except OSError:
        return None
    for line in _read("/proc/slabinfo").splitlines():
        if line.startswith("net_namespace"):
            live = set()
            for name in os.listdir("/proc"):
                if name.isdigit():
                    with contextlib.suppress(OSError):
                        live.add(os.readlink(f"/proc/{name}/ns/net"))
            return int(line.split()[1]) - len(live)
    return None


class Snapshot:
    """What one server holds at a moment: two of them are compared after a load."""

    def __init__(self, hearth):
        data = str(hearth.data)
        self.processes = descendants_of(hearth.pid)
        self.keeper = hearth.keeper_pid
        self.server_fds = descriptors_of(hearth.pid)
        self.keeper_fds = descriptors_of(self.keeper) if self.keeper else {}
        self.mounts = mounts_that_mention(data)
        self.keeper_mounts = len(_read(f"/proc/{self.keeper}/mountinfo").splitlines()) if self.keeper else 0
        self.loops = loop_devices_of(data)
        self.namespaces = set()
        for pid in [hearth.pid, *self.processes]:
            with contextlib.suppress(OSError):
                for kind in os.listdir(f"/proc/{pid}/ns"):
                    with contextlib.suppress(OSError):
                        self.namespaces.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
        hearth._note_cgroups()
        names = hearth.cgroup_parts
        self.cgroups = sorted(path for name in names for path in cgroups_named(name))
        # os.walk and not rglob: trees of code may be on their way out meanwhile
        names = [os.path.relpath(os.path.join(folder, name), data) for folder, below, files in os.walk(data) for name in below + files]
        self.files = sorted(name for name in names if not name.startswith(("logs/", "hearth.db", "code/")))
        self.code = sorted(p.name for p in (hearth.data / "code").glob("*")) if (hearth.data / "code").is_dir() else []

    def counts(self):
        return {"processes": len(self.processes), "server descriptors": len(self.server_fds),
                "keeper descriptors": len(self.keeper_fds), "mounts": len(self.mounts), "keeper's mounts": self.keeper_mounts,
                "loop devices": len(self.loops), "namespaces": len(self.namespaces), "cgroups": len(self.cgroups),
                "files": len(self.files), "code packages": len(self.code)}

    def difference(self, later):
        """What `later` has more of, readable; empty when nothing remained."""
        more = []
        for name, before in self.counts().items():
            after = later.counts()[name]
            if after > before:
                more.append(f"{name}: {before} before, {after} after")
        if len(later.server_fds) > len(self.server_fds):
            more.append("server descriptors now: " + ", ".join(sorted(later.server_fds.values())))
        if len(later.keeper_fds) > len(self.keeper_fds):
            more.append("keeper descriptors now: " + ", ".join(sorted(later.keeper_fds.values())))
        if len(later.files) > len(self.files):
            more.append("new files: " + ", ".join(sorted(set(later.files) - set(self.files))[:20]))
        if len(later.cgroups) > len(self.cgroups):
            more.append("new cgroups: " + ", ".join(sorted(set(later.cgroups) - set(self.cgroups))[:20]))
        return more


def assert_nothing_more(hearth, before, seconds=60):
    """Waits until the server holds no more than `before` held."""
    difference = ["not looked yet"]

    def nothing():
        nonlocal difference
        difference = before.difference(Snapshot(hearth))
        return not difference
    try:
        wait_until(nothing, seconds)
    except AssertionError:
        raise AssertionError("something remained:\n  " + "\n  ".join(difference)) from None


def assert_nothing_left_of(data, cgroup_parts=(), seconds=30):
    """Waits until neither process, mount, loop device nor cgroup of a dead server is there."""
    left = {}

    def nothing():
        nonlocal left
        left = {"processes": processes_that_mention(str(data)), "mounts": mounts_that_mention(str(data)),
                "loop devices": loop_devices_of(str(data)), "cgroups": [p for part in cgroup_parts for p in cgroups_named(part)]}
        return not any(left.values())
    try:
        wait_until(nothing, seconds)
    except AssertionError:
        raise AssertionError("left behind by a server that has ended: " + json.dumps(left, indent=1)) from None


# ---- answers ------------------------------------------------------------------------------------------------------------------

class Answer:
    """What Invoke gave: payload (decoded JSON), raw, status, error (X-Amz-Function-Error or None), log (the tail as text), version."""

    def __init__(self, response):
        self.status = response["StatusCode"]
        self.error = response.get("FunctionError")
        self.version = response.get("ExecutedVersion")
        self.headers = response["ResponseMetadata"]["HTTPHeaders"]
        self.request_id = response["ResponseMetadata"]["RequestId"]
        self.raw = response["Payload"].read()
        self.log = base64.b64decode(response["LogResult"]).decode("utf-8", "replace") if "LogResult" in response else None

    @property
    def payload(self):
        return json.loads(self.raw) if self.raw else None

    def ok(self):
        """The payload of an answer that must not be a function's error."""
        assert self.error is None, f"the function failed: {self.raw[:2000]!r}\nlog: {self.log}"
        return self.payload

    def __repr__(self):
        return f"Answer(status={self.status}, error={self.error}, raw={self.raw[:500]!r}, log={self.log!r})"


class Function:
    """A deployed function; calling it invokes it."""

    def __init__(self, hearth, name, client):
        self.hearth, self.name, self.client = hearth, name, client

    def __call__(self, event=None, tail=True, client=None, **more):
        arguments = dict(FunctionName=self.name, LogType="Tail" if tail else "None", **more)
        if event is not None:
            arguments["Payload"] = event if isinstance(event, (bytes, bytearray)) else json.dumps(event).encode()
        return Answer((client or self.client).invoke(**arguments))

    def update(self, files, wait=True):
        answer = self.client.update_function_code(FunctionName=self.name, ZipFile=files if isinstance(files, bytes) else make_zip(files))
        if wait:
            self.wait_updated()
        return answer

    def configure(self, wait=True, **changes):
        answer = self.client.update_function_configuration(FunctionName=self.name, **changes)
        if wait:
            self.wait_updated()
        return answer

    def wait_updated(self):
        wait_until(lambda: self.client.get_function_configuration(FunctionName=self.name).get("LastUpdateStatus") == "Successful",
                   60, f"the update of {self.name} is done")

    def delete(self):
        self.client.delete_function(FunctionName=self.name)


def node(body, **files):
    """Files of a Node package: index.js with `body`; keyword names become files (name_js -> name.js)."""
    return {"index.js": body, **{name.replace("_", "."): text for name, text in files.items()}}


def python(body):
    return {"lambda_function.py": body}


DEFAULT_HANDLER = {"nodejs": "index.handler", "python": "lambda_function.handler"}


# ---- the server ---------------------------------------------------------------------------------------------------------------

class Hearth:
    """One server. start() waits until it is ready; close() ends it and removes its directory."""

    def __init__(self, options=(), user=None, env=None, data=None, start=True, stop_must_be_clean=True):
        self.binary = binary()
        self.options = list(options)
        self.user = user if os.geteuid() == 0 else None
        self.stop_must_be_clean = stop_must_be_clean
        self.cgroup_parts = set()
        self.api_address = self.gateway_address = "127.0.0.1:0"
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="hearth-test-"))
        self.data = pathlib.Path(data) if data else self.home / "data"
        self.more_env = dict(env or {})
        self.process = None
        self.stderr_at = self.home / "stderr"
        self._clients, self._lock = {}, threading.Lock()
        self.home.chmod(0o755)
        if not self.data.exists():
            self.data.mkdir(mode=0o700, parents=True)
            if self.user:
                os.chown(self.data, ORDINARY_USER, ORDINARY_USER)
        if self.user:
            os.chown(self.home, ORDINARY_USER, ORDINARY_USER)
        if start:
            try:
                self.start()
            except BaseException:
                self.close(check=False)
                raise

    # -- life
    def command(self):
        command = [self.binary, "serve", "--data", str(self.data), "--api", self.api_address, "--gateway", self.gateway_address,
                   *self.options]
        if os.geteuid() != 0:
            command = [*LAUNCHER, *command]
        if self.user:
            command = ["setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--clear-groups", "--inh-caps=-all", *command]
        return command

    def environment(self):
        """A clean environment for server and clients: nothing of the person's own AWS or Hearth settings."""
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("AWS_", "HEARTH_", "BOTO_", "NODE_", "PYTHON", "XDG_")) or k in ("HEARTH_RUNTIMES", "HEARTH_SHARE") or LAUNCHER and k == "XDG_RUNTIME_DIR"}
        env.update(HOME=str(self.home), LC_ALL="C.UTF-8", TZ="UTC", PYTHONDONTWRITEBYTECODE="1")
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        env.update(self.more_env)
        return env

    def spawn(self):
        """Starts the process without waiting for it."""
        with contextlib.suppress(FileNotFoundError):
            (self.data / "endpoints.json").unlink()
        with open(self.stderr_at, "ab") as err:
            self.process = subprocess.Popen(self.command(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                            cwd="/", start_new_session=True)
        return self

    def start(self):
        self.spawn()
        try:
            wait_until(self._ready, READY_S, "the server is ready")
        except AssertionError as failed:
            raise AssertionError(f"{failed}\n{self.dump()}") from None
        self.api_address = self.endpoint.partition("//")[2]          # a restart keeps the ports
        self.gateway_address = self.gateway.partition("//")[2]
        self._clients = {}
        return self

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with status {self.process.returncode} before it was ready")
        try:
            self.endpoints = json.loads((self.data / "endpoints.json").read_text())
            with urllib.request.urlopen(self.endpoint + "/healthz", timeout=5) as answer:
                return answer.status == 200
        except (OSError, ValueError):
            return False

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=STOP_S):
        return self.process.wait(seconds)

    def stop(self):
        """SIGTERM; gives the exit status, which must be 0."""
        if self.process is None:
            return None
        self._note_cgroups()
        if self.process.poll() is None:
            self.terminate()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                threads = _read(f"/proc/{self.pid}/wchan")
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the server did not end within {STOP_S} s of SIGTERM (it waited in {threads})\n{self.dump()}") from None
        status, self.process = self.process.returncode, None
        self._clients = {}
        return status

    def kill9(self):
        """The server process alone is killed; what it started has to notice."""
        self._note_cgroups()
        self.process.kill()
        self.process.wait()
        self.process = None
        self._clients = {}

    def restart(self):
        status = self.stop()
        assert status == 0, f"the server ended with status {status}\n{self.dump()}"
        return self.start()

    def close(self, check=True):
        """Ends all, removes the directory. check: a bad exit status, a sanitizer's report or something left over is an AssertionError."""
        problem = None
        try:
            status = self.stop()
            if check and status not in (0, None) and self.stop_must_be_clean:
                problem = f"the server ended with status {status}"
            if check and self.sanitizer_reports():
                problem = "a sanitizer complained"
        except AssertionError as failed:
            problem = str(failed) if check else None
        if problem:
            problem += "\n" + self.dump()
        if check and problem is None:
            try:
                assert_nothing_left_of(self.data, self.cgroup_parts)
            except AssertionError as failed:
                problem = str(failed)
        shutil.rmtree(self.home, ignore_errors=True)
        if problem:
            raise AssertionError(problem)

    def _note_cgroups(self):
        with contextlib.suppress(Exception):
            self.cgroup_parts |= cgroup_parts_of(self.keeper_pid)

    # -- what it said
    def dump(self, lines=80):
        text = self.stderr()
        tail = "\n".join(text.splitlines()[-lines:])
        return f"---- {self.binary} {' '.join(self.options)}: the last lines it printed ----\n{tail}\n----"

    def stderr(self):
        return _read(self.stderr_at)

    def sanitizer_reports(self):
        return bool(SANITIZER_REPORT.search(self.stderr()))

    # -- where it is
    @property
    def pid(self):
        return self.process.pid

    @property
    def keeper_pid(self):
        children = children_of(self.pid)
        return children[0] if children else None

    @property
    def endpoint(self):
        return self.endpoints["api"]

    @property
    def gateway(self):
        return self.endpoints["gateway"]

    @property
    def address(self):
        """(host, port) of the API."""
        host, _, port = self.endpoint.partition("//")[2].rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def gateway_at(self):
        host, _, port = self.gateway.partition("//")[2].rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def credentials(self):
        """{"aws_access_key_id": ..., "aws_secret_access_key": ...} of the profile `hearth`."""
        import configparser
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(self.data / "credentials")
        return dict(parser["hearth"])

    @property
    def env(self):
        """For /usr/bin/aws and other SDKs in a process of their own."""
        return {**self.environment(), "AWS_SHARED_CREDENTIALS_FILE": str(self.data / "credentials"),
                "AWS_CONFIG_FILE": str(self.data / "config"), "AWS_ENDPOINT_URL": self.endpoint, "AWS_EC2_METADATA_DISABLED": "true",
                "HEARTH_DATA": str(self.data)}

    # -- clients
    def client(self, service, **options):
        """A boto3 client; without options one shared client a service."""
        with self._lock:
            if not options and service in self._clients:
                return self._clients[service]
            keys = self.credentials
            arguments = dict(endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id=keys["aws_access_key_id"],
                             aws_secret_access_key=keys["aws_secret_access_key"],
                             config=botocore.config.Config(retries={"total_max_attempts": 1}, max_pool_connections=80,
                                                           connect_timeout=10, read_timeout=120))
            arguments.update(options)
            client = boto3.session.Session().client(service, **arguments)
            if not options:
                self._clients[service] = client
            return client

    @property
    def lambda_client(self):
        return self.client("lambda")

    def deploy(self, files, runtime=NODE, handler=None, name=None, timeout=10, memory=128, env=None, **more):
        """Creates a function from files (dict, or the bytes of a zip), waits until it is active."""
        name = name or f"f-{uuid.uuid4().hex[:12]}"
        family = re.match(r"[a-z]+", runtime).group(0)
        client = self.lambda_client
        client.create_function(
            FunctionName=name, Runtime=runtime, Handler=handler or DEFAULT_HANDLER[family], Role=ROLE, Timeout=timeout, MemorySize=memory,
            Code={"ZipFile": files if isinstance(files, bytes) else make_zip(files)},
            **({"Environment": {"Variables": env}} if env else {}), **more)
        wait_until(lambda: client.get_function_configuration(FunctionName=name)["State"] == "Active", 60, f"{name} is active")
        return Function(self, name, client)

    def logs_of(self, name):
        """Everything in the function's log files, as stored."""
        group = self.data / "logs"
        text = ""
        for directory in sorted(group.glob("*")):
            if directory.name.replace("%2F", "/").endswith("/" + name) or directory.name.endswith(name):
                for file in sorted(directory.glob("*.log")):
                    text += _read(file)
        return text


def deploy(hearth, name, files, runtime=NODE, handler=None, **more):
    return hearth.deploy(files, runtime=runtime, handler=handler, name=name, **more)


# ---- raw HTTP -----------------------------------------------------------------------------------------------------------------

class RawAnswer:
    def __init__(self, status, headers, body, rest):
        self.status, self.headers, self.body, self.rest = status, headers, body, rest

    def header(self, name):
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"RawAnswer({self.status}, {self.headers}, {self.body[:300]!r})"


class RawConnection:
    """A TCP connection that says exactly what a test wants, and reads answers one by one."""

    def __init__(self, address, timeout=20):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def send_slowly(self, data, size=1):
        for at in range(0, len(data), size):
            self.socket.sendall(data[at:at + size])
        return self

    def _more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError("the server closed the connection")
        self.buffer += piece

    def _line(self):
        while b"\n" not in self.buffer:
            self._more()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def _take(self, count):
        while len(self.buffer) < count:
            self._more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def answer(self, head_request=False):
        """The next answer, whole; 1xx answers are given as they come."""
        line = self._line().decode("latin-1")
        assert re.match(r"HTTP/1\.[01] \d{3}( .*)?$", line), f"not a status line: {line!r}"
        status, headers = int(line.split()[1]), []
        while True:
            field = self._line().decode("latin-1")
            if not field:
                break
            name, _, value = field.partition(":")
            headers.append((name, value.strip()))
        lowered = {n.lower(): v for n, v in headers}
        if head_request or status < 200 or status in (204, 304):
            return RawAnswer(status, headers, b"", self.buffer)
        if lowered.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(self._line().split(b";")[0], 16)
                piece = self._take(size)
                if size == 0:
                    while self._line():
                        pass
                    break
                body += piece
                assert self._line() == b""
        elif "content-length" in lowered:
            body = self._take(int(lowered["content-length"]))
        else:
            body = b""
            with contextlib.suppress(EOFError):
                while True:
                    self._more()
            body, self.buffer = self.buffer, b""
        return RawAnswer(status, headers, body, self.buffer)

    def is_closed(self):
        """Waits for the server's close; False when it sends more, or stays silent until the time-out."""
        try:
            while True:
                piece = self.socket.recv(65536)
                if not piece:
                    return True
                self.buffer += piece
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False


def signed_request(hearth, method, path, body=b"", service="lambda", headers=None, keys=None, region="us-east-1"):
    """The bytes of a SigV4-signed request, made by botocore's signer: (head and body) to be replayed over a raw socket."""
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials
    keys = keys or hearth.credentials
    credentials = botocore.credentials.Credentials(keys["aws_access_key_id"], keys["aws_secret_access_key"], keys.get("aws_session_token"))
    request = botocore.awsrequest.AWSRequest(method=method, url=hearth.endpoint + path, data=body, headers=dict(headers or {}))
    botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
    prepared = request.prepare()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {hearth.endpoint.partition('//')[2]}"]
    for name, value in prepared.headers.items():
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if name.lower() not in ("host", "content-length"):
            lines.append(f"{name}: {value}")
    lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def aws_error(call, *arguments, **named):
    """Calls and gives (code, HTTP status, message, whole response) of the ClientError that must come."""
    try:
        answer = call(*arguments, **named)
    except botocore.exceptions.ClientError as error:
        return Refusal(error.response)
    raise AssertionError(f"this should have been refused, but answered {answer!r}")


class Refusal:
    def __init__(self, response):
        self.response = response
        self.code = response["Error"]["Code"]
        self.message = response["Error"].get("Message", "")
        self.status = response["ResponseMetadata"]["HTTPStatusCode"]
        self.headers = response["ResponseMetadata"]["HTTPHeaders"]

    def __repr__(self):
        return f"Refusal({self.status} {self.code}: {self.message})"
