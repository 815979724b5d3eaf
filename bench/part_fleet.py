"""A server with 2,000 functions deployed, none running: resident memory (aim 25 MB), start to /healthz (aim 500 ms)"""
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from helpers import make_zip
from run import memory_mb


def measure(bench):
    count = 200 if bench.options.quick else 2000
    server = bench.hearth()
    client = server.lambda_client
    try:
        empty_mb = memory_mb(server.pid, "Rss")

        def create(i):
            client.create_function(FunctionName=f"fleet-{i:05d}", Runtime="nodejs20.x", Role="arn:aws:iam::000000000000:role/hearth-basic", Handler="index.handler",
                                   Code={"ZipFile": make_zip({"index.js": f"exports.handler = async () => {i};"})},
                                   Environment={"Variables": {"STAGE": "production", "TABLE_NAME": f"table-{i}", "LOG_LEVEL": "info"}}, Tags={"team": f"team-{i % 20}"})
        began = time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(create, range(count)))
        created_s = time.perf_counter() - began
        deployed_mb = memory_mb(server.pid, "Rss")
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
        start_ms = (time.perf_counter() - began) * 1000
        restarted_mb = memory_mb(server.pid, "Rss")
    finally:
        server.close(check=False)
    return {f"{count} functions": {"empty MB": empty_mb, "deployed MB": deployed_mb, "restart MB": restarted_mb, "start ms": start_ms, "creates/s": count / created_s}}
