"""Reserved concurrency as a specification: a function's own part of the account's limit, never more and never less."""
import concurrent.futures
import contextlib
import json
import threading
import uuid

import pytest

from helpers import ROLE, aws_error, make_zip, node, wait_until
from model_check import checked

ECHO = make_zip(node("exports.handler = async (event) => event;"))
SLOW = make_zip(node("exports.handler = (event) => new Promise((done) => setTimeout(() => done(event), event.ms || 0));"))
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


@pytest.fixture
def server(new_hearth):
    return new_hearth(options=["--concurrency", "20"])


def create(client, zip_file=ECHO, **more):
    name = f"reserved-{uuid.uuid4().hex[:12]}"
    client.create_function(FunctionName=name, Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": zip_file}, Timeout=60, **more)
    return name


def refused(call, code, text, **named):
    refusal = aws_error(call, **named)
    assert refusal.code == code, refusal
    assert text in refusal.message, refusal
    return refusal


def test_a_reservation_is_put_read_changed_and_given_back(server):
    client = checked(server)
    name = create(client)
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    assert "Concurrency" not in client.get_function(FunctionName=name)
    for n in (5, 0, 18):
        assert client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=n)["ReservedConcurrentExecutions"] == n
        assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == n
        assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": n}
        limit = client.get_account_settings()["AccountLimit"]
        assert (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]) == (20, 20 - n)
    for _ in range(2):
        assert client.delete_function_concurrency(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 20


def test_a_reservation_is_the_functions_and_not_one_versions(server):
    client = checked(server)
    name = create(client)
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for qualifier in ("$LATEST", "1", "live"):                # recorded from AWS for $LATEST, too
        refused(client.put_function_concurrency, "InvalidParameterValueException", "This operation is permitted on Lambda functions only. ",
                FunctionName=f"{ARN}{name}:{qualifier}", ReservedConcurrentExecutions=1)
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)


def test_the_other_functions_keep_their_minimum(server):
    client = checked(server)
    one, other = create(client), create(client)
    text = ("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of "
            "[2].")
    for n in (19, 20, 21, 2**31 - 1):
        refused(client.put_function_concurrency, "InvalidParameterValueException", text, FunctionName=one, ReservedConcurrentExecutions=n)
    client.put_function_concurrency(FunctionName=one, ReservedConcurrentExecutions=10)
    refused(client.put_function_concurrency, "InvalidParameterValueException", text, FunctionName=other, ReservedConcurrentExecutions=9)
    client.put_function_concurrency(FunctionName=other, ReservedConcurrentExecutions=8)
    client.delete_function(FunctionName=one)                             # what it had is free again
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 12


def test_what_AWS_refuses_is_refused(server):
    client = checked(server)
    name = create(client)
    refused(client.put_function_concurrency, "ResourceNotFoundException", f"Function not found: {ARN}doesnotexist:$LATEST",
            FunctionName="doesnotexist", ReservedConcurrentExecutions=1)
    refused(client.put_function_concurrency, "InvalidParameterValueException", "This operation is permitted on Lambda functions only.",
            FunctionName=f"{name}:1", ReservedConcurrentExecutions=1)
    refused(client.put_function_concurrency, "ValidationException", "Value '-1' at 'reservedConcurrentExecutions' failed to satisfy constraint: "
            "Member must have value greater than or equal to 0", FunctionName=name, ReservedConcurrentExecutions=-1)
    refused(client.put_function_concurrency, "ValidationException", "Value null at 'reservedConcurrentExecutions'", FunctionName=name)
    refused(client.get_function_concurrency, "ResourceNotFoundException", f"Function not found: {ARN}doesnotexist", FunctionName="doesnotexist")


def test_a_function_with_nothing_reserved_for_it_runs_nothing(server):
    client = checked(server)
    name = create(client)
    client.publish_version(FunctionName=name)
    assert json.loads(client.invoke(FunctionName=name, Payload=b"1")["Payload"].read()) == 1
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    for qualifier in ({}, {"Qualifier": "1"}):
        refusal = refused(client.invoke, "TooManyRequestsException", "Rate Exceeded.", FunctionName=name, **qualifier)
        assert refusal.status == 429
        assert refusal.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    client.delete_function_concurrency(FunctionName=name)
    assert json.loads(client.invoke(FunctionName=name, Payload=b"2")["Payload"].read()) == 2


@contextlib.contextmanager
def held(client, name, count, **named):
    """`count` calls that run for a while. The test's own other calls may take their place for a moment: they try until they run."""
    def hold():
        while True:
            try:
                return client.invoke(FunctionName=name, Payload=b'{"ms":8000}', **named)
            except client.exceptions.TooManyRequestsException:
                continue
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        calls = [pool.submit(hold) for _ in range(count)]
        yield
        for call in calls:
            assert "FunctionError" not in call.result()


def test_calls_beyond_the_reservation_are_throttled_at_exactly_that_number(server):
    client, quick = checked(server), checked(server)
    name, other = create(client, SLOW), create(client)
    client.publish_version(FunctionName=name)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)

    def one_more(**named):
        try:
            quick.invoke(FunctionName=name, Payload=b"{}", **named)
        except quick.exceptions.TooManyRequestsException as refusal:
            return refusal.response["Reason"]
        return None
    with held(client, name, 2), held(client, name, 1, Qualifier="1"):     # all versions together
        assert wait_until(one_more, 6, "the fourth call is throttled") == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert one_more(Qualifier="1") == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert quick.invoke(FunctionName=other, Payload=b"{}")["StatusCode"] == 200       # the others do not feel it
    assert one_more() is None


def test_a_reservation_is_there_for_its_function_when_the_others_take_all_the_rest(server):
    client, quick = checked(server), checked(server)
    mine, busy = create(client), create(client, SLOW)
    client.put_function_concurrency(FunctionName=mine, ReservedConcurrentExecutions=17)
    reasons = []

    def others_throttled():
        try:
            quick.invoke(FunctionName=busy, Payload=b"{}")
        except quick.exceptions.TooManyRequestsException as refusal:
            reasons.append(refusal.response["Reason"])
        return reasons
    with held(client, busy, 3):
        wait_until(others_throttled, 6, "the rest is used up")
        assert set(reasons) == {"ConcurrentInvocationLimitExceeded"}
        assert quick.invoke(FunctionName=mine, Payload=b"{}")["StatusCode"] == 200


def test_reservations_at_once_never_give_away_more_than_there_is(server):
    client = checked(server)
    names = [create(client) for _ in range(6)]
    outcomes = []

    def reserve(name):
        try:
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
            outcomes.append(5)
        except client.exceptions.InvalidParameterValueException:
            outcomes.append(0)
    threads = [threading.Thread(target=reserve, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 6 and sum(outcomes) == 15
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 5


def test_a_reservation_is_there_after_a_kill(server):
    client = checked(server)
    name = create(client)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    server.kill9()
    server.start()
    client = checked(server)
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0
    refused(client.invoke, "TooManyRequestsException", "Rate Exceeded.", FunctionName=name)
