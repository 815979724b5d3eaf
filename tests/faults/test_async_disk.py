"""Asynchronous invocations on a disk that is full: an event is accepted whole or refused clearly, and those that were accepted run once there is room."""
import json
import re

import botocore.exceptions

from helpers import Hearth, wait_until
from test_server import fill, small_disk   # noqa: F401 (a fixture)

HANDLER = {"lambda_function.py": "def handler(event, context):\n    print('ran', event['n'], len(event['filler']))\n"}
FILLER = "x" * 200_000


def test_a_full_disk_refuses_events_clearly_and_loses_none_that_it_accepted(small_disk):   # noqa: F811
    server = Hearth(data=small_disk / "data")
    try:
        function = server.deploy(HANDLER, runtime="python3.11", timeout=60)
        client = server.lambda_client
        client.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
        accepted, refused = [], []

        def send(n):
            try:
                client.invoke(FunctionName=function.name, InvocationType="Event", Payload=json.dumps({"n": n, "filler": FILLER}))
                accepted.append(n)
            except botocore.exceptions.ClientError as error:
                refused.append(error.response)
        for n in range(5):
            send(n)
        assert accepted == list(range(5))
        ballast = fill(small_disk, leave=1 << 20)
        for n in range(5, 45):
            send(n)
        assert refused, "8 MB do not fit into 1 MB"
        for response in refused:
            assert response["ResponseMetadata"]["HTTPStatusCode"] >= 500
            assert "disk" in response["Error"]["Message"].lower() or "space" in response["Error"]["Message"].lower(), response
        ballast.unlink()
        wait_until(lambda: send(100 + len(refused)) or len(accepted) > 5 and accepted[-1] >= 100, 20, "once there is room, it accepts again")
        server.kill9()
        server.start()
        server.lambda_client.delete_function_concurrency(FunctionName=function.name)

        def ran():
            return [int(n) for n in re.findall(rf"ran (\d+) {len(FILLER)}\b", server.logs_of(function.name))]
        wait_until(lambda: set(ran()) >= set(accepted), 60, "all that was accepted has run")
        assert sorted(ran()) == sorted(accepted), "what was refused has left nothing"
    finally:
        server.close()
