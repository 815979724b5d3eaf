"""The guest, from outside: whether this machine can run it, making it, and what it says.

It is a small virtual machine (qemu with KVM or, where KVM runs no ordinary kernel, user-mode Linux: Debian's kernel as a process) that boots the packages of this machine's own release, with systemd and cgroup version 2, which
the machine that tests are run on need not have. Nothing is shared with it: what it is to run goes in on a second disk, what became of each
test comes back over a serial port. It has no network.

In user-mode Linux, where a system call costs ten times what it does elsewhere, it runs when it is asked for: HEARTH_GUEST=uml for the stages and tests
that cgroup version 2 matters to most (stages.py), HEARTH_GUEST=full for every stage.

HEARTH_GUEST_EMULATE=1 lets qemu emulate the processor where there is no KVM for it: twenty times slower, for a single look by hand. The
suite never does so by itself.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

from helpers import REPOSITORY, binary, cache_dir
from security.guest import stages

HERE = pathlib.Path(__file__).resolve().parent
SELECT = os.environ.get("HEARTH_GUEST_SELECT", "")
EMULATE = os.environ.get("HEARTH_GUEST_EMULATE") == "1"
MAKE_S, MEMORY_MB, CPUS = 600, 3072, 2
FULL = os.environ.get("HEARTH_GUEST") == "full"
# KVM inside another virtual machine may offer arch-capabilities and then refuse to have them set.
PROCESSOR = ["-accel", "tcg,thread=multi", "-cpu", "max"] if EMULATE else ["-enable-kvm", "-cpu", "host,arch-capabilities=off"]
RECIPE = ("make-image", "guest-init")
IMAGE_TOOLS = {"mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs"}
TOOLS = {"qemu": {"qemu-system-x86_64": "qemu-system-x86", **IMAGE_TOOLS}, "uml": {"linux.uml": "user-mode-linux", **IMAGE_TOOLS}}
MODULES = pathlib.Path("/usr/lib/uml/modules")


def kind():
    """What the guest runs in: "qemu" or "uml"."""
    if EMULATE:
        return "qemu"
    # Without them /dev/kvm is there for kernels that cooperate (PVM) and no other: Debian's hangs in its first instructions.
    virtual = re.search(r"^flags\s*:.* (svm|vmx)( |$)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return "qemu" if virtual and os.access("/dev/kvm", os.R_OK | os.W_OK) else "uml"


# Until the first result, for a stage, for all.
BOOT_S, STAGE_S, LIFE_S = (900, 7200, 14400) if EMULATE else (90, 420, 900) if kind() == "qemu" else (300, 2400, 5400) if FULL else (240, 420, 900)


def why_not():
    """None, or why there can be no guest here."""
    if platform.machine() != "x86_64":
        return f"the guest is made for x86_64, this machine is {platform.machine()}"
    if kind() == "uml" and os.environ.get("HEARTH_GUEST") not in ("uml", "full"):
        return "no KVM here that runs Debian's kernel; HEARTH_GUEST=uml takes user-mode Linux: nothing was tried under cgroup version 2"
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [package for tool, package in TOOLS[kind()].items() if shutil.which(tool, path=path) is None]
    if missing:
        return f"not installed: {' '.join(missing)} (make setup): nothing was tried under cgroup version 2"
    if not re.search(r"^ID=debian$", pathlib.Path("/etc/os-release").read_text(), re.MULTILINE):
        return "the guest is made of Debian's packages, by a machine with Debian"
    return None


def tests_of(stage):
    """The tests that a stage will run, as pytest names them."""
    listed = subprocess.run([*stages.command(stage, SELECT, sys.executable), "--collect-only"], cwd=stages.TESTS, capture_output=True, text=True, timeout=120,
                            env={**os.environ, "HEARTH_GUEST_STAGE": stage, "HEARTH_GUEST_KIND": kind(), "PYTHONDONTWRITEBYTECODE": "1"})
    names = [line for line in listed.stdout.splitlines() if "::" in line]
    if listed.returncode != 0 or not names:
        raise RuntimeError(f"pytest could not list the guest's tests:\n{listed.stdout[-3000:]}\n{listed.stderr[-3000:]}")
    return names


def image():
    """The directory with root.ext4 (for qemu also vmlinuz and initrd); made when there is none of this recipe, and those of older ones thrown away."""
    recipe = b"".join((HERE / name).read_bytes() for name in RECIPE) + pathlib.Path("/etc/debian_version").read_bytes().partition(b".")[0] + kind().encode()
    place = cache_dir() / f"guest-{hashlib.sha256(recipe).hexdigest()[:16]}"
    with open(cache_dir() / ".guest-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "root.ext4").exists():
            for old in cache_dir().glob("guest-*"):
                shutil.rmtree(old, ignore_errors=True)
            place.mkdir()
            with open(cache_dir() / "guest.log", "w") as log:
                made = subprocess.run([HERE / "make-image", place, kind()], stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=MAKE_S)
            if made.returncode != 0:
                shutil.rmtree(place, ignore_errors=True)
                raise RuntimeError("the guest could not be made:\n" + (cache_dir() / "guest.log").read_text()[-4000:])
    return place


def copy_installation(root):
    """What `make install` puts below /usr/local, with the unit enabled, and the libraries that are not Debian's own in this release."""
    build = pathlib.Path(binary()).parent
    options = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", str(build)], capture_output=True, check=True, timeout=60).stdout)
    prefix = next(option["value"] for option in options if option["name"] == "prefix")
    staging = root / "staging"
    subprocess.run(["meson", "install", "-C", str(build), "--no-rebuild", "--quiet", "--destdir", str(staging)], check=True, timeout=120,
                   stdout=subprocess.DEVNULL)
    local = root / "usr" / "local"
    local.parent.mkdir()
    shutil.move(staging / prefix.lstrip("/"), local)
    shutil.rmtree(staging)
    units = root / "etc" / "systemd" / "system"
    for target in ("multi-user", "graphical"):
        (units / f"{target}.target.wants").mkdir(parents=True)
    (units / "hearth.service").write_text((REPOSITORY / "packaging" / "hearth.service").read_text().replace("@PREFIX@", "/usr/local"))
    (units / "multi-user.target.wants" / "hearth.service").symlink_to("../hearth.service")
    shutil.copy(HERE / "guest.service", units)
    (units / "graphical.target.wants" / "guest.service").symlink_to("../guest.service")
    libraries = local / "lib" / "hearth" / "libraries"
    libraries.mkdir(parents=True)
    for name, path in re.findall(r"(lib(?:llhttp|yyjson)\S*) => (\S+)", subprocess.run(["ldd", binary()], capture_output=True, text=True, check=True).stdout):
        shutil.copy(path, libraries / name)
    (root / "etc" / "ld.so.conf.d").mkdir()
    (root / "etc" / "ld.so.conf.d" / "hearth.conf").write_text("/usr/local/lib/hearth/libraries\n")


def payload(directory, names):
    """A tar of what the guest unpacks over its root."""
    root = directory / "payload"
    root.mkdir()
    copy_installation(root)
    if kind() == "uml":
        copy_modules(root)
    checkout = root / "opt" / "hearth"
    kept = shutil.ignore_patterns("__pycache__", "node_modules", "sdk", ".*")
    for folder in ("runtimes", "tests/security", "tests/integration"):
        shutil.copytree(REPOSITORY / folder, checkout / folder, ignore=kept, symlinks=True)
    for file in ("tests/conftest.py", "tests/pytest.ini"):
        shutil.copy(REPOSITORY / file, checkout / file)
    (checkout / "stages").write_text("\n".join(names))
    (checkout / "select").write_text(SELECT)
    tar = directory / "payload.tar"
    subprocess.run(["tar", "--owner=0", "--group=0", "--mode=u=rwX,go=rX", "--sort=name", "-cf", tar, "-C", root, "."], check=True, timeout=120)
    shutil.rmtree(root)
    return tar


def copy_modules(root):
    """What user-mode Linux loads, with its index: loop and overlay for Hearth, autofs for systemd."""
    for file in MODULES.glob("*/modules.*"):
        (root / "usr" / "lib" / "modules" / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / "usr" / "lib" / "modules" / file.parent.name)
    for name in ("drivers/block/loop.ko", "fs/overlayfs/overlay.ko", "fs/autofs/autofs4.ko"):
        for file in MODULES.glob(f"*/kernel/{name}"):
            target = root / "usr" / "lib" / "modules" / file.relative_to(MODULES)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


class Guest:
    """One that boots, runs the stages named, and ends."""

    def __init__(self, names):
        self.names, self.process = list(names), None
        machine = image()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="hearth-guest-", dir="/var/tmp"))
        self.console, self.results = self.directory / "console", self.directory / "results"
        self.results.touch()
        self.at, self.rest, self.found, self.ended, self.told = 0, b"", {}, {}, False
        try:
            disk = payload(self.directory, self.names)
            parameters = ["init=/sbin/guest-init", "rw", "quiet", "panic=-1", "systemd.show_status=0", f"hearth.kind={kind()}", f"hearth.full={int(FULL)}",
                          f"hearth.stage_seconds={STAGE_S}"]
            command, environment = (self._qemu if kind() == "qemu" else self._uml)(machine, disk, parameters)
            # It must not outlive us, however we end.
            with open(self.directory / "monitor", "w") as said, open(self.results, "ab") as results:
                self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)], cwd=self.directory, stdin=results if kind() == "uml" else subprocess.DEVNULL,
                                                stdout=said, stderr=subprocess.STDOUT, env={**os.environ, **environment})
            self.began = time.monotonic()
        except BaseException:
            self.close()
            raise

    def _qemu(self, machine, disk, parameters):
        return ["qemu-system-x86_64", *PROCESSOR, "-machine", "q35", "-smp", str(CPUS), "-m", str(MEMORY_MB), "-nodefaults", "-display", "none",
                       "-no-reboot", "-device", "virtio-rng-pci", "-serial", f"file:{self.console}", "-serial", f"file:{self.results}",
                       "-kernel", machine / "vmlinuz", "-initrd", machine / "initrd",
                       "-append", " ".join(["root=/dev/vda", "console=ttyS0", *parameters]),
                       "-drive", f"file={machine / 'root.ext4'},format=raw,if=virtio,snapshot=on,cache=unsafe",
                       "-drive", f"file={disk},format=raw,if=virtio,readonly=on"], {"TMPDIR": "/var/tmp"}

    def _uml(self, machine, disk, parameters):
        """One processor; its second serial line is our file of results, handed over as descriptor 0. It is a process that traces others, which
        only a pid namespace ends for certain: they die with its first process, the shell (as the first process, linux.uml could not abort)."""
        namespace = ["unshare", "--pid", "--fork", "--kill-child=KILL", "sh", "-c", '"$@"; exit $?', "sh"]
        if os.geteuid() != 0:                                           # a change of rights forgets the signal that setpriv has asked for
            namespace = ["unshare", "--user", "--map-root-user", "setpriv", "--pdeathsig", "KILL", "--", *namespace]
        # Its memory is a file without a name, in memory where there is room for it.
        room = shutil.disk_usage("/dev/shm").free if os.path.isdir("/dev/shm") else 0
        return [*namespace, "linux.uml", f"mem={MEMORY_MB}M", "umid=guest", f"uml_dir={self.directory}/", f"ubd0={self.directory / 'changes'},{machine / 'root.ext4'}",
                f"ubd1r={disk}", "root=/dev/ubda", "con0=null,fd:1", "con=null", "ssl1=null,fd:0", "ssl=null", *parameters], {
                    "TMPDIR": "/dev/shm" if room > (MEMORY_MB << 20) + (512 << 20) else "/var/tmp"}

    def _read(self):
        with open(self.results, "rb") as file:
            file.seek(self.at)
            more = file.read()
        self.at += len(more)
        *lines, self.rest = (self.rest + more).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if "test" in event:
                self.found[event["stage"], event["test"]] = event
            else:
                self.ended[event["stage"]] = event

    def result(self, stage, test):
        """What became of one test: {"outcome", "text", "seconds"}, once the guest has said so; an AssertionError when it never will."""
        while True:
            gone = self.process.poll() is not None               # asked before the last look, so that nothing said in between is lost
            self._read()
            if (stage, test) in self.found:
                return self.found[stage, test]
            if stage in self.ended:
                raise AssertionError(f"the guest's stage {stage} ended ({self.ended[stage]}) without a result\n{self.said()}")
            if gone:
                raise AssertionError(f"the guest ended (status {self.process.returncode}) without a result\n{self.said()}")
            seconds = time.monotonic() - self.began
            if seconds > LIFE_S or (seconds > BOOT_S and not self.found):
                self.process.kill()
                raise AssertionError(f"the guest said too little in {seconds:.0f} s\n{self.said()}")
            time.sleep(0.1)

    def said(self, lines=60):
        """What it printed last; once is enough for all its tests."""
        if self.told:
            return "(what it printed stands with an earlier test)"
        self.told, text = True, ""
        for file in (self.directory / "monitor", self.console):
            with contextlib.suppress(OSError):
                text += f"---- {file.name} ----\n" + "\n".join(file.read_text("utf-8", "replace").splitlines()[-lines:]) + "\n"
        return text

    def close(self):
        if self.process is not None and self.process.poll() is None:
            # Nothing in it is worth a clean end. --kill-child: what is in the namespace goes with unshare.
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
