#!/usr/bin/env python3
"""A soak: a server under half of its load for ten minutes; memory, descriptors and latency must stay flat. Prints a table, writes a plot.

    python3 tests/soak/soak.py [--minutes N] [--plot FILE.svg] [--json FILE] [HEARTH-BINARY]

What runs meanwhile: one Node function by Invoke at half of the calls a second that 8 clients got from it in 10 s; and beside it the life of a small server: calls of
twenty functions that come and go, by version, alias and asynchronously, updates of code, reading of logs. Every WINDOW_S seconds: resident memory and
descriptors of server and keeper, p50 and p99 of that window. The status is 1 when the last third of the run needs more than the second did, beyond SLACK.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from helpers import Hearth, descriptors_of, make_zip, signed_request, _read   # noqa: E402

WINDOW_S, CLIENTS, FUNCTIONS = 10, 8, 20
SLACK = {"server_mb": 1.10, "keeper_mb": 1.10, "descriptors": 1.15, "p50_us": 1.25}   # a machine that others use too is not still
SOURCE = "exports.handler = async (event) => {{ console.log('call', event.n); return {{ f: '{name}', v: {version}, n: event.n }}; }};"


def resident_mb(pid):
    return next((int(line.split()[1]) / 1024 for line in _read(f"/proc/{pid}/status").splitlines() if line.startswith("VmRSS")), 0.0)


class Life:
    """The small server's everyday, on one thread: nothing of it may fail."""

    def __init__(self, server):
        self.server, self.client = server, server.lambda_client
        self.stop, self.wrong, self.steps = threading.Event(), [], 0
        self.version = [0] * FUNCTIONS
        self.random = random.Random(20240131)

    def name(self, i):
        return f"life-{i:02d}"

    def code(self, i):
        return make_zip({"index.js": SOURCE.format(name=self.name(i), version=self.version[i])})

    def create(self, i):
        self.version[i] += 1
        self.client.create_function(FunctionName=self.name(i), Runtime="nodejs20.x", Role="arn:aws:iam::000000000000:role/hearth-basic", Handler="index.handler",
                                    Code={"ZipFile": self.code(i)}, Publish=True)
        self.client.create_alias(FunctionName=self.name(i), Name="live", FunctionVersion="1")

    def check(self, i, answer):
        body = json.load(answer["Payload"])
        if "FunctionError" in answer or body["f"] != self.name(i):
            self.wrong.append(body)

    def step(self):
        i, kind = self.random.randrange(FUNCTIONS), self.random.random()
        event = json.dumps({"n": self.steps}).encode()
        if kind < 0.55:
            self.check(i, self.client.invoke(FunctionName=self.name(i), Payload=event))
        elif kind < 0.75:
            self.check(i, self.client.invoke(FunctionName=self.name(i), Qualifier="live", Payload=event))
        elif kind < 0.90:
            self.client.invoke(FunctionName=self.name(i), InvocationType="Event", Payload=event)
        elif kind < 0.94:
            self.version[i] += 1
            self.client.update_function_code(FunctionName=self.name(i), ZipFile=self.code(i))
        elif kind < 0.96:
            number = self.client.publish_version(FunctionName=self.name(i))["Version"]
            self.client.update_alias(FunctionName=self.name(i), Name="live", FunctionVersion=number)
        elif kind < 0.98:
            self.server.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{self.name(i)}", limit=50)
        else:
            self.client.delete_function(FunctionName=self.name(i))
            self.create(i)

    def run(self):
        while not self.stop.is_set():
            try:
                self.step()
            except self.server.client("logs").exceptions.ResourceNotFoundException:
                pass                                            # nothing was printed yet
            except Exception as error:                          # whatever it is, it is counted
                self.wrong.append(repr(error))
            self.steps += 1
            self.stop.wait(0.02)


def load(binary, server, request, seconds, rate=None):
    with tempfile.NamedTemporaryFile() as file:
        file.write(request)
        file.flush()
        command = [str(binary), server.endpoint.partition("//")[2], file.name, str(CLIENTS), "0", "5000000", str(seconds), '"f":"steady"']
        done = subprocess.run(command + ([str(rate)] if rate else []), capture_output=True, text=True, timeout=seconds + 60)
    if not done.stdout:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def polyline(values, top, x0, y0, width, height, colour):
    points = " ".join(f"{x0 + width * i / max(len(values) - 1, 1):.1f},{y0 + height * (1 - v / top):.1f}" for i, v in enumerate(values))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def plot(samples, path):
    """Four small charts, from zero, under each other."""
    charts = (("resident memory, MB", (("server_mb", "#2563eb", "server"), ("keeper_mb", "#16a34a", "keeper"))), ("descriptors", (("descriptors", "#2563eb", "server and keeper"),)),
              ("latency, us", (("p50_us", "#2563eb", "p50"), ("p99_us", "#dc2626", "p99"))), ("calls a second", (("per_second", "#2563eb", "steady load"),)))
    width, height, gap = 640, 110, 34
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 110}" height="{len(charts) * (height + gap) + 30}" font-family="sans-serif" font-size="11">']
    for n, (title, lines) in enumerate(charts):
        y = 20 + n * (height + gap)
        top = max(max(s[key] for s in samples) for key, _, _ in lines) * 1.15 or 1
        out.append(f'<text x="60" y="{y - 6}" font-weight="bold">{title}</text><rect x="60" y="{y}" width="{width}" height="{height}" fill="none" stroke="#ccc"/>')
        out += [f'<text x="54" y="{y + 8}" text-anchor="end">{top:.4g}</text>', f'<text x="54" y="{y + height}" text-anchor="end">0</text>']
        for k, (key, colour, name) in enumerate(lines):
            out.append(polyline([s[key] for s in samples], top, 60, y, width, height, colour))
            out.append(f'<text x="{190 + 110 * k}" y="{y - 6}" fill="{colour}">{name}</text>')
    out.append(f'<text x="60" y="{len(charts) * (height + gap) + 16}">0 to {samples[-1]["minute"]:.1f} minutes, a point each {WINDOW_S} s</text></svg>')
    pathlib.Path(path).write_text("\n".join(out) + "\n")


def judge(samples):
    """What grew between the second third and the last: [] when all is flat."""
    third = len(samples) // 3
    grown = []
    for key, slack in SLACK.items():
        before, after = (statistics.median(s[key] for s in part) for part in (samples[third:2 * third], samples[2 * third:]))
        if after > before * slack:
            grown.append(f"{key}: {before:.1f}, then {after:.1f}")
    return grown


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", nargs="?")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--plot")
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.binary:
        os.environ["HEARTH_BINARY"] = options.binary
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="hearth-soak-"))
    binary = scratch / "load"
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", "-o", str(binary), str(HERE.parents[1] / "bench" / "load.c")], check=True)
    server = Hearth(options=["--idle", "20s"], stop_must_be_clean=False)
    samples, life = [], Life(server)
    try:
        steady = server.deploy({"index.js": SOURCE.format(name="steady", version=0)}, runtime="nodejs20.x", memory=1769, timeout=30)
        for i in range(FUNCTIONS):
            life.create(i)

        def request():
            return signed_request(server, "POST", f"/2015-03-31/functions/{steady.name}/invocations", b'{"n":1}', headers={"Content-Type": "application/json"})
        load(binary, server, request(), 5)
        full = load(binary, server, request(), 10)["per_second"]
        print(f"full load {full:.0f} calls/s; half of it for {options.minutes:g} minutes", flush=True)
        thread = threading.Thread(target=life.run, daemon=True)
        thread.start()
        began = time.monotonic()
        while time.monotonic() - began < options.minutes * 60:
            window = load(binary, server, request(), WINDOW_S, full / 2)
            samples.append({"minute": (time.monotonic() - began) / 60, "server_mb": resident_mb(server.pid), "keeper_mb": resident_mb(server.keeper_pid),
                            "descriptors": len(descriptors_of(server.pid)) + len(descriptors_of(server.keeper_pid)),
                            **{k: window[k] for k in ("p50_us", "p99_us", "per_second", "errors", "calls")}})
            s = samples[-1]
            print(f"{s['minute']:5.1f} min  server {s['server_mb']:5.1f} MB  keeper {s['keeper_mb']:4.1f} MB  descriptors {s['descriptors']:4d}  "
                  f"p50 {s['p50_us']:6.0f} us  p99 {s['p99_us']:7.0f} us  {s['per_second']:6.0f}/s  errors {s['errors']}", flush=True)
        life.stop.set()
        thread.join(60)
    finally:
        server.close(check=False)
    if options.plot:
        plot(samples, options.plot)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(samples, indent=1) + "\n")
    grown, errors = judge(samples), sum(s["errors"] for s in samples)
    print(f"{sum(s['calls'] for s in samples)} calls and {life.steps} steps of everyday life; wrong: {errors + len(life.wrong)} {life.wrong[:3]}; grown: {grown or 'nothing'}")
    return 1 if grown or errors or life.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
