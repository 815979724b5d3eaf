"""Events: how many a second 16 clients have accepted (each on disk before its 202), until all have begun, s, and from sending to the handler, ms"""
import json
import re
import time

from helpers import signed_request, wait_until
from run import summary

HANDLER = {"index.js": "exports.handler = async (event) => { if (event.sent) console.log('began ' + (Date.now() - event.sent)); };"}


def measure(bench):
    seconds, count = (2, 30) if bench.options.quick else (5, 200)
    server = bench.hearth()
    try:
        function = server.deploy(HANDLER, runtime="nodejs20.x", memory=1769)
        client = function.client
        client.invoke(FunctionName=function.name)
        for _ in range(count):                          # one at a time, warm: nothing waits for anything else
            client.invoke(FunctionName=function.name, InvocationType="Event", Payload=json.dumps({"sent": int(time.time() * 1000)}))
            time.sleep(0.01)
        wait_until(lambda: server.logs_of(function.name).count("began ") >= count, 60, "all have begun")
        began = [float(ms) for ms in re.findall(r"began (-?\d+)", server.logs_of(function.name))]
        request = signed_request(server, "POST", f"/2015-03-31/functions/{function.name}/invocations", b"{}", headers={"X-Amz-Invocation-Type": "Event"})
        start = time.perf_counter()
        load = bench.load(server.endpoint.partition("//")[2], request, 16, seconds, expected="")
        accepted = time.perf_counter() - start
        client.invoke(FunctionName=function.name, InvocationType="Event", Payload=json.dumps({"sent": int(time.time() * 1000)}))
        wait_until(lambda: server.logs_of(function.name).count("began ") > count, 300, "the last one has begun, and so have all before it")
        behind = time.perf_counter() - start - accepted
    finally:
        server.close(check=False)
    return {"sent to handler, ms": {k: float(v) if k != "n" else v for k, v in summary(began).items()},
            "16 clients": {**load, "behind, s": behind}}
