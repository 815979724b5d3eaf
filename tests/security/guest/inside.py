"""The guest's own part: runs the stages and says over the second serial port, a line of JSON each, what became of each test."""
import json
import os
import pwd
import re
import subprocess
import sys
import threading
import time
import tty

import stages

PARAMETERS = open("/proc/cmdline").read()
PORT = "/dev/ttyS1"
TESTER = "tester"
STAGE_S = int(re.search(r"hearth\.stage_seconds=(\d+)", PARAMETERS)[1])


def lines_of(fifo, port, lock):
    """Hands on what a stage says, until the empty line that ends it."""
    for line in fifo:
        if line == "\n":
            return
        with lock:
            port.write(line)
            port.flush()


def run_stage(name, port, lock):
    user = stages.STAGES[name][0]
    path = f"/run/hearth-guest-{name}"
    os.mkfifo(path)
    os.chmod(path, 0o666)
    fifo = os.fdopen(os.open(path, os.O_RDWR), "r")     # both ways: it shall not end with its first writer
    reader = threading.Thread(target=lines_of, args=(fifo, port, lock))
    reader.start()
    environment = {
        "HEARTH_GUEST_STAGE": name, "HEARTH_GUEST_KIND": re.search(r"hearth\.kind=(\w+)", PARAMETERS)[1],
        "HEARTH_GUEST": "full" if "hearth.full=1" in PARAMETERS else "", "HEARTH_GUEST_EVENTS": path, "HEARTH_BINARY": "/usr/local/bin/hearth", "HEARTH_SHARE": "/usr/local/share/hearth",
        "HEARTH_TEST_NODE": "nodejs18.x", "HEARTH_CONFIG": "/dev/null", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    command = stages.command(name, open("/opt/hearth/select").read())
    if user == TESTER:
        # As docs/operations.md tells an ordinary user: each server in a scope that systemd hands over. pytest itself is a service of his.
        entry = pwd.getpwnam(TESTER)
        session = {"XDG_RUNTIME_DIR": f"/run/user/{entry.pw_uid}", "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{entry.pw_uid}/bus"}
        environment |= session | {"HEARTH_TEST_LAUNCHER": "systemd-run --user --scope --quiet -p Delegate=yes --", "HOME": entry.pw_dir}
        command = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups", "env", *(f"{k}={v}" for k, v in session.items()),
                   "systemd-run", "--user", "--pipe", "--wait", "--collect", "--quiet", f"--working-directory={stages.TESTS}",
                   *(f"--setenv={k}={v}" for k, v in environment.items()), *command]
    began = time.monotonic()
    try:
        status = subprocess.run(command, cwd=stages.TESTS, env={"HOME": "/root", **environment}, timeout=STAGE_S, stdin=subprocess.DEVNULL).returncode
    except subprocess.TimeoutExpired:
        status = -1
    with open(path, "w") as end:
        end.write("\n")
    reader.join()
    with lock:
        port.write(json.dumps({"stage": name, "status": status, "seconds": round(time.monotonic() - began, 1)}) + "\n")
        port.flush()


def main():
    with open(PORT, "w") as port:
        tty.setraw(port)                                    # bytes as they are
        lock = threading.Lock()
        subprocess.run(["/usr/local/bin/hearth", "runtime", "add", "nodejs18.x"], check=True, timeout=300)      # Debian's own: there is no npm here
        for name in open("/opt/hearth/stages").read().split():
            print("stage", name, flush=True)
            run_stage(name, port, lock)


if __name__ == "__main__":
    sys.exit(main())
