"""Warm calls by function URL against node:http: one client pinned, p50 (aim 1.1x); 16 clients, calls/s against as many processes (aim 1.2x)"""
import re

from run import EVENT, EXPECTED, FULL_VCPU_MB, HERE, NODE_RUNTIME, Bench

WRAPPED = "exports.handler = async (event) => { const { statusCode, ...rest } = await wrapped(JSON.parse(event.body)); return rest; };"


def request_for(server, function):
    """What a page would send: no signature, the function's own name as Host."""
    url = server.lambda_client.create_function_url_config(FunctionName=function.name, AuthType="NONE")["FunctionUrl"]
    host = re.match(r"http://([^/]+)/", url).group(1)
    return f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(EVENT)}\r\n\r\n".encode() + EVENT


def warm(bench, clients, pinned):
    seconds, rounds = (1, 3) if bench.options.quick else (4, bench.options.rounds)
    source = (HERE / "handler.js").read_text().replace("exports.handler", "const wrapped") + WRAPPED
    server = bench.hearth(pinned=pinned)
    sides = {}
    try:
        function = server.deploy({"index.js": source}, runtime=NODE_RUNTIME, memory=FULL_VCPU_MB, timeout=30)
        request, gateway = request_for(server, function), server.gateway.partition("//")[2]
        process, peer = bench.node_http(processes=1 if clients == 1 else 2, pinned=pinned)
        try:
            for _ in range(rounds):
                for name, address in (("node:http", peer), ("Hearth, URL", gateway)):
                    sides.setdefault(name, []).append(bench.load(address, request, clients, seconds, pinned=pinned, expected=EXPECTED))
        finally:
            bench.end(process)
    finally:
        server.close(check=False)
    return Bench.compare(sides, "node:http", ("p50_us", "per_second"))


def measure(bench):
    rows = {}
    for clients, pinned in ((1, True), (16, False)):
        for name, f in warm(bench, clients, pinned).items():
            rows[f"{name}, {clients}"] = {"p50 us": f["p50_us"], "p50 ratio": f["ratio p50_us"], "calls/s": f["per_second"], "calls/s ratio": f["ratio per_second"], "errors": f["errors"]}
    return rows
