"""Update of code under load: failed calls (aim 0), and ms from UpdateFunctionCode's answer until new code answers (aim 100)"""
import json
import threading
import time

from helpers import make_zip
from run import summary

SOURCE = "exports.handler = async () => ({{ version: {} }});"


def measure(bench):
    rounds = 3 if bench.options.quick else 20
    server = bench.hearth()
    function = server.deploy({"index.js": SOURCE.format(0)}, runtime="nodejs20.x", memory=1769, timeout=30)
    stop, failed, calls, answers = threading.Event(), [], [0], {}
    lock = threading.Lock()

    def call():
        client = server.new_client("lambda") if hasattr(server, "new_client") else server.lambda_client
        while not stop.is_set():
            try:
                answer = client.invoke(FunctionName=function.name, Payload=b"{}")
                body = json.load(answer["Payload"])
                now = time.perf_counter()
                with lock:
                    calls[0] += 1
                    if "FunctionError" in answer:
                        failed.append(body)
                    else:
                        answers.setdefault(body["version"], now)
            except Exception as error:                       # every failure counts, whatever it is
                with lock:
                    failed.append(str(error))
    threads = [threading.Thread(target=call, daemon=True) for _ in range(4)]
    until = []
    try:
        for thread in threads:
            thread.start()
        for n in range(1, rounds + 1):
            server.lambda_client.update_function_code(FunctionName=function.name, ZipFile=make_zip({"index.js": SOURCE.format(n)}))
            updated = time.perf_counter()
            end = updated + 20
            while n not in answers and time.perf_counter() < end:
                time.sleep(0.0005)
            until.append((answers[n] - updated) * 1000)
            time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join(30)
    finally:
        stop.set()
        server.close(check=False)
    row = {k: float(v) if k != "n" else v for k, v in summary(until).items()}
    return {"until new code answers": {**row, "calls": calls[0], "failed": len(failed)}}
