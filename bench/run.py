#!/usr/bin/env python3
"""bench: the figures of docs/performance.md, each as a ratio to a peer measured in the same run.

    python3 bench/run.py [--quick] [--json FILE] [--rounds N] [--only PART,...] [HEARTH-BINARY]

Parts: warm (one client, pinned), many (16 and 64 clients), start, cold, rest, and each bench/part_NAME.py: a module with a docstring whose first line says what
it measures and `measure(bench)`, which gives {row: {column: number or text}}. `--json -` prints JSON instead of the table.

How it is measured (docs/performance.md says why): the two sides alternate within each round, the figure is the median over the rounds, the
ratio is the median of each round's own ratio, and the noise is how far the rounds' ratios lie apart. For one client the load has core 1 and the
servers core 0. The load generator (load.c) replays one signed request, which Hearth verifies each time, and the peers get the very same bytes.
Everything is bounded in count and time and stays on the loopback.
"""
import argparse
import importlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "integration"))

from helpers import Hearth, children_of, descendants_of, signed_request, wait_until, _read   # noqa: E402

LOAD_CORE, SERVER_CORE = 1, 0
NODE_RUNTIME = "nodejs20.x"
EVENT = json.dumps({"name": "bench", "items": [{"sku": f"item-{i:04d}", "price": 10 + i, "count": i % 3 + 1, "note": "x" * 24} for i in range(10)]}).encode()
EXPECTED = '"hello":"bench"'
EXPECTED_SPACED = '"hello": "bench"'                   # json.dumps of Python writes a space
FULL_VCPU_MB = 1769                                    # so that no CPU limit stands in between


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def build_load(directory):
    binary = directory / "load"
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", "-o", str(binary), str(HERE / "load.c")], check=True)
    return binary


class Bench:
    def __init__(self, options):
        self.options = options
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="hearth-bench-"))
        self.scratch.chmod(0o755)
        self.load_binary = build_load(self.scratch)
        self.results, self.processes = {"machine": machine()}, []

    # -- sides -----------------------------------------------------------------------------------------------------------------
    def peer(self, command, port, pinned):
        process = subprocess.Popen((["taskset", "-c", str(SERVER_CORE)] if pinned else []) + command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   start_new_session=True, cwd=HERE)
        self.processes.append(process)

        def up():
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return True
            except OSError:
                return False
        wait_until(up, 20, f"{command[0]} listens")
        return process

    def end(self, process):
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.processes.remove(process)

    def node_http(self, processes=1, pinned=False):
        port = free_port()
        return self.peer([node_binary(), "peer_node_http.js", str(port), str(processes)], port, pinned), f"127.0.0.1:{port}"

    def nginx(self, pinned=False, workers=1):
        port = free_port()
        answer = json.dumps({"statusCode": 200, "hello": "bench", "sum": 1305}, separators=(",", ":"))
        config = self.scratch / f"nginx-{port}.conf"
        config.write_text(f"""daemon off; worker_processes {workers}; pid {self.scratch}/nginx-{port}.pid; error_log {self.scratch}/nginx.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {self.scratch}/b; proxy_temp_path {self.scratch}/p; fastcgi_temp_path {self.scratch}/f;
  uwsgi_temp_path {self.scratch}/u; scgi_temp_path {self.scratch}/s;
  server {{ listen 127.0.0.1:{port}; default_type application/json; location / {{ return 200 '{answer}'; }} }} }}
""")
        return self.peer([shutil.which("nginx") or "/usr/sbin/nginx", "-e", f"{self.scratch}/nginx.log", "-c", str(config)], port, pinned), f"127.0.0.1:{port}"

    def hearth(self, pinned=False, **more):
        server = Hearth(stop_must_be_clean=False, **more)
        if pinned:
            for pid in [server.pid, *descendants_of(server.pid)]:
                subprocess.run(["taskset", "-a", "-cp", str(SERVER_CORE), str(pid)], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return server

    # -- load --------------------------------------------------------------------------------------------------------------------
    def load(self, address, request, clients, seconds, pinned=False, expected=EXPECTED, calls=2000000, warm_up=200):
        path = self.scratch / "request"
        path.write_bytes(request)
        done = subprocess.run((["taskset", "-c", str(LOAD_CORE)] if pinned else []) + [str(self.load_binary), address, str(path), str(clients), str(warm_up), str(calls),
                              str(seconds), expected], capture_output=True, text=True, timeout=seconds + 120)
        if done.returncode != 0:
            raise SystemExit(f"the load on {address} failed: {done.stderr}{done.stdout}")
        return json.loads(done.stdout)

    def deployed(self, server):
        js = server.deploy({"index.js": (HERE / "handler.js").read_text()}, runtime=NODE_RUNTIME, memory=FULL_VCPU_MB, timeout=30)
        py = server.deploy({"lambda_function.py": (HERE / "handler.py").read_text()}, runtime="python3.11", memory=FULL_VCPU_MB, timeout=30)
        return js, py

    @staticmethod
    def request_for(server, function):
        return signed_request(server, "POST", f"/2015-03-31/functions/{function.name}/invocations", EVENT, headers={"Content-Type": "application/json"})

    # -- parts -------------------------------------------------------------------------------------------------------------------
    def warm(self):
        """One client, pinned: p50 and p99 of a call of a warm function against node:http and nginx."""
        seconds, rounds = (1, 3) if self.options.quick else (4, self.options.rounds)
        server = self.hearth(pinned=True)
        js, py = self.deployed(server)
        sides = {}
        peers = []
        try:
            js(json.loads(EVENT)), py(json.loads(EVENT))
            process, address = self.node_http(pinned=True)
            peers.append(process)
            nginx, nginx_address = self.nginx(pinned=True)
            peers.append(nginx)
            hearth_address = server.endpoint.partition("//")[2]
            for _ in range(rounds):
                request = self.request_for(server, js)
                for name, where, what, expected in (("node:http", address, request, EXPECTED), ("Hearth, Node", hearth_address, request, EXPECTED),
                                                    ("nginx constant", nginx_address, request, EXPECTED),
                                                    ("Hearth, Python", hearth_address, self.request_for(server, py), EXPECTED_SPACED)):
                    sides.setdefault(name, []).append(self.load(where, what, 1, seconds, pinned=True, expected=expected if name != "Hearth, Python" else '"hello"'))
        finally:
            for process in peers:
                self.end(process)
            server.close(check=False)
        self.results["warm"] = self.compare(sides, "node:http", ("p50_us", "p99_us"))

    def many(self):
        """16 and 64 clients, not pinned: calls a second against node:http with as many processes as Hearth had instances."""
        seconds, rounds = (1.5, 3) if self.options.quick else (4, self.options.rounds)
        self.results["many"] = {}
        for clients in (16, 64):
            server = self.hearth(pinned=False)
            js, _ = self.deployed(server)
            peer = None
            sides = {}
            try:
                address = server.endpoint.partition("//")[2]
                instances = 0
                for _ in range(8):                                    # until it has scaled out as far as this load makes it
                    self.load(address, self.request_for(server, js), clients, 2, warm_up=clients * 5)
                    before, instances = instances, len(children_of(server.keeper_pid))
                    if before == instances:
                        break
                peer, peer_address = self.node_http(processes=instances)
                nginx, nginx_address = self.nginx(workers=2)
                time.sleep(1 + instances / 20)                        # cluster workers start one after the other
                try:
                    for _ in range(rounds):
                        request = self.request_for(server, js)
                        for name, where in (("node:http", peer_address), ("Hearth, Node", address), ("nginx constant", nginx_address)):
                            sides.setdefault(name, []).append(self.load(where, request, clients, seconds, warm_up=clients * 5))
                finally:
                    self.end(nginx)
                instances_after = len(children_of(server.keeper_pid))
            finally:
                if peer:
                    self.end(peer)
                server.close(check=False)
            self.results["many"][str(clients)] = {"instances": instances_after, "peer processes": instances, **self.compare(sides, "node:http", ("per_second", "p50_us", "p99_us"))}

    def start(self):
        """From the start of the process to the first answer of a function, with a data directory that has one function."""
        rounds = 3 if self.options.quick else 7
        server = self.hearth()
        js, _ = self.deployed(server)
        js(json.loads(EVENT))
        figures = {"healthz_ms": [], "first_answer_ms": []}
        try:
            for _ in range(rounds):
                server.stop()
                began = time.perf_counter()
                server.spawn()
                host, port = server.api_address.rsplit(":", 1)
                while True:
                    try:
                        with socket.create_connection((host, int(port)), timeout=5) as s:
                            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                            if s.recv(100).startswith(b"HTTP/1.1 200"):
                                break
                    except OSError:
                        time.sleep(0.0005)
                figures["healthz_ms"].append((time.perf_counter() - began) * 1000)
                request = self.request_for(server, js)
                with socket.create_connection((host, int(port)), timeout=30) as s:
                    s.sendall(request)
                    assert s.recv(65536).startswith(b"HTTP/1.1 200")
                figures["first_answer_ms"].append((time.perf_counter() - began) * 1000)
        finally:
            server.close(check=False)
        node_ms = [self.timed([node_binary(), "-e", "0"]) for _ in range(rounds)]
        self.results["start"] = {k: summary(v) for k, v in figures.items()}
        self.results["start"]["node -e 0 (ms)"] = summary(node_ms)

    @staticmethod
    def timed(command):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - began) * 1000

    def cold(self):
        """The first call of a function that never ran, against `node -e 0` and `python3 -c 0`, one after the other."""
        count = 5 if self.options.quick else 20
        server = self.hearth()
        ms = {"Hearth, Node": [], "Hearth, Python": [], "node -e 0": [], "python3 -c 0": []}
        try:
            for _ in range(count):
                js, py = self.deployed(server)
                for name, function in (("Hearth, Node", js), ("Hearth, Python", py)):
                    request = self.request_for(server, function)
                    with socket.create_connection(server.address, timeout=60) as s:
                        began = time.perf_counter()
                        s.sendall(request)
                        first = s.recv(65536)
                        ms[name].append((time.perf_counter() - began) * 1000)
                        assert first.startswith(b"HTTP/1.1 200"), first
                ms["node -e 0"].append(self.timed([node_binary(), "-e", "0"]))
                ms["python3 -c 0"].append(self.timed(["/usr/bin/python3", "-c", "0"]))
                js.delete(), py.delete()
        finally:
            server.close(check=False)
        self.results["cold"] = {name: summary(values) for name, values in ms.items()}
        base = [a / b for a, b in zip(ms["Hearth, Node"], ms["node -e 0"])]
        self.results["cold"]["Node: ratio to node -e 0"] = summary(base)
        self.results["cold"]["Python: ratio to node -e 0"] = summary([a / b for a, b in zip(ms["Hearth, Python"], ms["node -e 0"])])

    def rest(self):
        """Resident memory, CPU and wake-ups of server and keeper with nothing deployed; then memory of one idle instance more."""
        seconds = 3 if self.options.quick else 20
        server = self.hearth()
        try:
            time.sleep(1)
            pids = {"server": server.pid, "keeper": server.keeper_pid}
            before = {name: (cpu_ms(pid), switches(pid)) for name, pid in pids.items()}
            time.sleep(seconds)
            out = {}
            for name, pid in pids.items():
                cpu, wakes = cpu_ms(pid) - before[name][0], switches(pid) - before[name][1]
                out[name] = {"resident_mb": memory_mb(pid, "Rss"), "proportional_mb": memory_mb(pid, "Pss"), "private_mb": memory_mb(pid, "Private_Dirty") + memory_mb(pid, "Private_Clean"),
                             "cpu_ms_per_second": cpu / seconds, "wakeups_per_second": wakes / seconds}
            js, _ = self.deployed(server)
            js(json.loads(EVENT))
            instances = descendants_of(server.keeper_pid)
            out["one idle Node instance"] = {"resident_mb": sum(memory_mb(p, "Rss") for p in instances), "proportional_mb": sum(memory_mb(p, "Pss") for p in instances)}
            alone = subprocess.Popen([node_binary(), "-e", "setTimeout(() => {}, 60000)"], stdin=subprocess.DEVNULL)
            time.sleep(1)
            out["one node process"] = {"resident_mb": memory_mb(alone.pid, "Rss"), "proportional_mb": memory_mb(alone.pid, "Pss")}
            alone.kill()
            alone.wait()
        finally:
            server.close(check=False)
        self.results["rest"] = out

    # -- figures -----------------------------------------------------------------------------------------------------------------
    @staticmethod
    def compare(sides, base, keys):
        """{side: {key: median, "ratio key": median of the rounds' ratios, "noise key": how far they lie apart}}"""
        out = {}
        for name, rounds in sides.items():
            out[name] = {"errors": sum(r["errors"] for r in rounds), "rounds": len(rounds)}
            for key in keys:
                out[name][key] = statistics.median(r[key] for r in rounds)
                ratios = [r[key] / b[key] for r, b in zip(rounds, sides[base]) if b[key]]
                out[name]["ratio " + key] = statistics.median(ratios)
                out[name]["noise " + key] = max(ratios) - min(ratios)
                best = max if key == "per_second" else min        # what the machine gave when it was least disturbed
                out[name]["best ratio " + key] = best(r[key] for r in rounds) / best(b[key] for b in sides[base])
        return out

    def run(self):
        parts = self.options.only.split(",") if self.options.only else ["warm", "many", "start", "cold", "rest", *more_parts()]
        try:
            for part in parts:
                module = importlib.import_module("part_" + part) if part in more_parts() else None
                title = (module or getattr(self, part)).__doc__.splitlines()[0]
                say(f"measuring: {title}")
                if module:
                    self.results.setdefault("parts", {})[part] = {"title": title, "rows": module.measure(self)}
                else:
                    getattr(self, part)()
        finally:
            for process in list(self.processes):
                self.end(process)
            shutil.rmtree(self.scratch, ignore_errors=True)
        return self.results


def more_parts():
    return sorted(path.stem[len("part_"):] for path in HERE.glob("part_*.py"))


def say(text):
    print(text, file=sys.stderr, flush=True)


def node_binary():
    """The very Node that runs the functions, where it is to be found; else the one on PATH."""
    for root in (os.environ.get("HEARTH_RUNTIMES"), "/usr/local/lib/hearth/runtimes", os.path.expanduser("~/.local/share/hearth/runtimes")):
        path = pathlib.Path(root or "/nonexistent", NODE_RUNTIME, "lang", "bin", "node")
        if path.exists():
            return str(path)
    return shutil.which("node") or "node"


def summary(values):
    values = sorted(values)
    return {"p50": statistics.median(values), "min": values[0], "max": values[-1], "n": len(values)}


def cpu_ms(pid):
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        for line in _read(f"/proc/{pid}/task/{task}/status").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def memory_mb(pid, key):
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def machine():
    model = next((line.partition(":")[2].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")), "?")
    return {"cores": os.cpu_count(), "cpu": model, "kernel": os.uname().release, "node": subprocess.run([node_binary(), "--version"], capture_output=True, text=True).stdout.strip()}


def table(results):
    m = results["machine"]
    lines = [f"{m['cores']} cores ({m['cpu']}), Linux {m['kernel']}, Node {m['node']}, event of {len(EVENT)} bytes", ""]

    def row(*cells):
        lines.append("  ".join(str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(cells, (26, 11, 11, 11, 14, 14, 10)))).rstrip())
    if "warm" in results:
        lines.append("One client, load on one core, servers on the other (median of the rounds)")
        row("", "p50 us", "p99 us", "errors", "p50 ratio", "p99 ratio", "p50, best")
        for name, f in results["warm"].items():
            row(name, f"{f['p50_us']:.1f}", f"{f['p99_us']:.1f}", f["errors"], f"{f['ratio p50_us']:.2f} ±{f['noise p50_us'] / 2:.2f}", f"{f['ratio p99_us']:.2f} ±{f['noise p99_us'] / 2:.2f}", f"{f['best ratio p50_us']:.2f}")
        lines.append("")
    for clients, sides in results.get("many", {}).items():
        lines.append(f"{clients} clients, not pinned ({sides['instances']} instances against {sides['peer processes']} processes of node:http)")
        row("", "calls/s", "p50 us", "p99 us", "calls/s ratio", "errors", "best")
        for name, f in sides.items():
            if isinstance(f, dict):
                row(name, f"{f['per_second']:.0f}", f"{f['p50_us']:.0f}", f"{f['p99_us']:.0f}", f"{f['ratio per_second']:.2f} ±{f['noise per_second'] / 2:.2f}", f["errors"], f"{f['best ratio per_second']:.2f}")
        lines.append("")
    for part, title in (("start", "From the start of the process, one function deployed"), ("cold", "The first call of a function that never ran, ms")):
        if part in results:
            lines.append(title)
            row("", "p50", "min", "max", "n")
            for name, f in results[part].items():
                row(name, f"{f['p50']:.2f}", f"{f['min']:.2f}", f"{f['max']:.2f}", f["n"])
            lines.append("")
    if "rest" in results:
        lines.append("At rest")
        row("", "Rss MB", "Pss MB", "CPU ms/s", "wake-ups/s")
        for name, f in results["rest"].items():
            row(name, f"{f['resident_mb']:.1f}", f"{f['proportional_mb']:.1f}", f"{f['cpu_ms_per_second']:.2f}" if "cpu_ms_per_second" in f else "", f"{f['wakeups_per_second']:.2f}" if "wakeups_per_second" in f else "")
        lines.append("")
    for part in results.get("parts", {}).values():
        lines.append(part["title"])
        columns = list(dict.fromkeys(column for f in part["rows"].values() for column in f))
        row("", *columns)
        for name, f in part["rows"].items():
            row(name, *(f"{f[c]:.2f}" if isinstance(f.get(c), float) else f.get(c, "") for c in columns))
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", nargs="?", help="the server to measure (HEARTH_BINARY, else build/hearth)")
    parser.add_argument("--quick", action="store_true", help="shorter and fewer rounds: to see that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="parts, with commas: " + ", ".join(["warm", "many", "start", "cold", "rest", *more_parts()]))
    parser.add_argument("--json", metavar="FILE", help="write the figures there ('-': to standard output instead of the table)")
    options = parser.parse_args()
    if options.binary:
        os.environ["HEARTH_BINARY"] = options.binary
    results = Bench(options).run()
    if options.json == "-":
        print(json.dumps(results, indent=1))
        return
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
