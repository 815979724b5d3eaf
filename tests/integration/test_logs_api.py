"""CloudWatch Logs' API over what functions print: groups, streams, events, filters, retention, tags, `aws logs tail`, and LoggingConfig."""
import http.client
import json
import os
import pathlib
import queue
import re
import shutil
import socket
import subprocess
import threading
import time
import uuid

import pytest
from botocore.exceptions import ClientError

from helpers import node, python, signed_request, wait_until

PRINTS = node("exports.handler = async (event) => { console.log('said ' + event.word); return event.word; };")
DAY_MS = 24 * 60 * 60 * 1000


@pytest.fixture
def logs(hearth):
    return hearth.client("logs")


@pytest.fixture
def group(logs):
    name = f"/test/{uuid.uuid4().hex[:12]}"
    logs.create_log_group(logGroupName=name)
    yield name
    try:
        logs.delete_log_group(logGroupName=name)
    except logs.exceptions.ResourceNotFoundException:
        pass


def now_ms():
    return int(time.time() * 1000)


def put(logs, group, stream, *messages, at=None):
    at = at or now_ms()
    return logs.put_log_events(logGroupName=group, logStreamName=stream,
                               logEvents=[{"timestamp": at + i, "message": text} for i, text in enumerate(messages)])


def stream_of(logs, group, name="s"):
    logs.create_log_stream(logGroupName=group, logStreamName=name)
    return name


def found(logs, group, pattern=None, **more):
    if pattern is not None:
        more["filterPattern"] = pattern
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **more)
    return [event["message"] for page in pages for event in page["events"]]


def refused(call, code, text, **arguments):
    with pytest.raises(ClientError) as told:
        call(**arguments)
    error = told.value.response["Error"]
    assert (error["Code"], text in error["Message"]) == (code, True), error
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


# ---- what functions print --------------------------------------------------------------------------------------------------------

def test_a_functions_lines_are_there_as_soon_as_it_has_answered(hearth, logs):
    function = hearth.deploy(PRINTS)
    answer = function({"word": "hello"})
    group = f"/aws/lambda/{function.name}"
    messages = found(logs, group)
    assert messages[0].startswith(f"START RequestId: {answer.request_id} Version: $LATEST")
    assert any("said hello" in m for m in messages)
    assert messages[-1].startswith(f"REPORT RequestId: {answer.request_id}\tDuration: ")
    listed = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [g["logGroupName"] for g in listed] == [group]
    assert listed[0]["arn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:*"
    assert listed[0]["storedBytes"] > 0 and "retentionInDays" not in listed[0]
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]
    assert "[$LATEST]" in stream["logStreamName"]
    assert stream["firstEventTimestamp"] <= stream["lastEventTimestamp"] <= now_ms() + 1
    got = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)["events"]
    assert [e["message"] for e in got] == messages


def test_a_deleted_function_leaves_its_group(hearth, logs):
    function = hearth.deploy(PRINTS)
    function({"word": "before"})
    function.delete()
    assert any("said before" in m for m in found(logs, f"/aws/lambda/{function.name}"))


def test_a_deleted_group_comes_back_with_its_functions_next_line(hearth, logs):
    function = hearth.deploy(PRINTS)
    group = f"/aws/lambda/{function.name}"
    function({"word": "old"})
    created = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["creationTime"]
    logs.delete_log_group(logGroupName=group)
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    refused(logs.filter_log_events, "ResourceNotFoundException", "The specified log group does not exist.", logGroupName=group)
    function({"word": "new"})
    said = [m for m in found(logs, group) if "said" in m]
    assert len(said) == 1 and "said new" in said[0]
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["creationTime"] >= created


def test_a_deleted_stream_is_empty_until_its_instance_prints_again(hearth, logs):
    function = hearth.deploy(PRINTS)
    group = f"/aws/lambda/{function.name}"
    function({"word": "old"})
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    logs.delete_log_stream(logGroupName=group, logStreamName=stream)
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []
    assert found(logs, group) == []
    function({"word": "new"})
    assert [m.split("said ")[1].strip() for m in found(logs, group) if "said" in m] == ["new"]


def test_an_instances_key_may_not_read_logs(hearth, logs, group):
    function = hearth.deploy(python(
        "import boto3\ndef handler(event, context):\n"
        "    try:\n        boto3.client('logs').describe_log_groups()\n"
        "    except Exception as e:\n        return str(e)\n"), runtime="python3.11", timeout=30, memory=512)
    assert "AccessDeniedException" in function({}).ok()


# ---- groups, streams, tags -------------------------------------------------------------------------------------------------------

def test_groups_are_made_listed_by_prefix_and_pattern_and_deleted(logs):
    base = f"/list/{uuid.uuid4().hex[:8]}"
    names = [f"{base}/{i:02d}" for i in range(7)]
    for name in reversed(names):
        logs.create_log_group(logGroupName=name)
    refused(logs.create_log_group, "ResourceAlreadyExistsException", "The specified log group already exists", logGroupName=names[0])
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=base, PaginationConfig={"PageSize": 3})
    assert [g["logGroupName"] for page in pages for g in page["logGroups"]] == names
    assert [g["logGroupName"] for g in logs.describe_log_groups(logGroupNamePrefix=base + "/03")["logGroups"]] == names[3:4]
    for name in names:
        logs.delete_log_group(logGroupName=name)
    assert logs.describe_log_groups(logGroupNamePrefix=base)["logGroups"] == []
    refused(logs.delete_log_group, "ResourceNotFoundException", "The specified log group does not exist.", logGroupName=names[0])


def test_names_are_checked_as_AWS_checks_them(logs, group):
    refused(logs.create_log_group, "InvalidParameterException",
            "Invalid LogGroup or LogStream, both must have length less than or equal to 512.", logGroupName="x" * 513)
    refused(logs.create_log_group, "InvalidParameterException",
            "Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
            logGroupName="a b")
    refused(logs.create_log_stream, "InvalidParameterException", "Member must satisfy regular expression pattern: [^:*]*",
            logGroupName=group, logStreamName="a:b")


def test_the_longest_names_and_names_of_dots_work(logs):
    for name in ("x#" * 256, "y" * 512, ".", "..", "../x"):
        logs.create_log_group(logGroupName=name)
        try:
            stream_of(logs, name, "é\\" * 100)
            put(logs, name, "é\\" * 100, "line")
            assert found(logs, name) == ["line"]
            assert name in [g["logGroupName"] for page in logs.get_paginator("describe_log_groups").paginate() for g in page["logGroups"]]
        finally:
            logs.delete_log_group(logGroupName=name)


def test_streams_are_listed_by_name_and_by_time(logs, group):
    at = now_ms() - 60000
    for i, name in enumerate(["b", "a", "c", "prefix-1", "prefix-2"]):
        stream_of(logs, group, name)
        if name != "c":
            put(logs, group, name, "x", at=at + i * 1000)
    refused(logs.create_log_stream, "ResourceAlreadyExistsException", "The specified log stream already exists", logGroupName=group, logStreamName="a")

    def names(**query):
        pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=group, PaginationConfig={"PageSize": 2}, **query)
        return [s["logStreamName"] for page in pages for s in page["logStreams"]]
    assert names() == ["a", "b", "c", "prefix-1", "prefix-2"]
    assert names(descending=True) == ["prefix-2", "prefix-1", "c", "b", "a"]
    assert names(logStreamNamePrefix="prefix") == ["prefix-1", "prefix-2"]
    assert names(orderBy="LastEventTime", descending=True) == ["prefix-2", "prefix-1", "a", "b", "c"]
    refused(logs.describe_log_streams, "InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.",
            logGroupName=group, orderBy="LastEventTime", logStreamNamePrefix="p")
    b = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="b")["logStreams"][0]
    assert (b["firstEventTimestamp"], b["lastEventTimestamp"], b["storedBytes"]) == (at, at, 0)
    assert b["arn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:log-stream:b"
    logs.delete_log_stream(logGroupName=group, logStreamName="b")
    assert names() == ["a", "c", "prefix-1", "prefix-2"]
    refused(logs.delete_log_stream, "ResourceNotFoundException", "The specified log stream does not exist.", logGroupName=group, logStreamName="b")


def test_tags_by_name_and_by_ARN(hearth, logs):
    name = f"/tags/{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=name, tags={"env": "one"})
    logs.tag_log_group(logGroupName=name, tags={"test": "two"})
    assert logs.list_tags_log_group(logGroupName=name)["tags"] == {"env": "one", "test": "two"}
    logs.untag_log_group(logGroupName=name, tags=["env"])
    if hasattr(logs, "list_tags_for_resource"):                     # the old botocore does not know it
        arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{name}"
        logs.tag_resource(resourceArn=arn, tags={"more": "3"})
        assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"test": "two", "more": "3"}
        logs.untag_resource(resourceArn=arn, tagKeys=["more"])
    assert logs.list_tags_log_group(logGroupName=name)["tags"] == {"test": "two"}
    logs.delete_log_group(logGroupName=name)


def ask(hearth, operation, **members):
    """An operation with members that Debian's botocore does not know yet: (status, answer)."""
    name, _, port = hearth.endpoint.removeprefix("http://").partition(":")
    wire = signed_request(hearth, "POST", "/", json.dumps(members).encode(), service="logs",
                          headers={"X-Amz-Target": "Logs_20140328." + operation, "Content-Type": "application/x-amz-json-1.1"})
    with socket.create_connection((name, int(port))) as connection:
        connection.sendall(wire)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read() or b"{}")


def test_an_ARN_of_another_account_or_region_names_no_group_here(hearth, logs, group):
    for place in ("us-east-1:999999999999", "eu-west-1:000000000000"):
        arn = f"arn:aws:logs:{place}:log-group:{group}"
        for operation, members in (("ListTagsForResource", {"resourceArn": arn}), ("TagResource", {"resourceArn": arn, "tags": {"a": "b"}}),
                                   ("UntagResource", {"resourceArn": arn, "tagKeys": ["a"]}), ("FilterLogEvents", {"logGroupIdentifier": arn}),
                                   ("DescribeLogStreams", {"logGroupIdentifier": arn})):
            status, answer = ask(hearth, operation, **members)
            assert (status, answer["__type"]) == (400, "ResourceNotFoundException"), (operation, answer)
    assert ask(hearth, "ListTagsForResource", resourceArn=f"arn:aws:logs:us-east-1:000000000000:log-group:{group}") == (200, {"tags": {}})
    assert ask(hearth, "FilterLogEvents", logGroupIdentifier=f"arn:aws:logs:us-east-1:000000000000:log-group:{group}")[0] == 200


def test_groups_are_listed_by_class_and_of_this_account_alone(hearth, logs, group):
    def names(**members):
        status, answer = ask(hearth, "DescribeLogGroups", logGroupNamePrefix=group, **members)
        return [each["logGroupName"] for each in answer["logGroups"]] if status == 200 else answer["__type"]

    assert names(logGroupClass="STANDARD") == [group]
    assert names(logGroupClass="INFREQUENT_ACCESS") == []
    assert names(logGroupClass="FAST") == "InvalidParameterException"
    assert names(includeLinkedAccounts=True, accountIdentifiers=["000000000000"]) == [group]
    assert names(includeLinkedAccounts=True, accountIdentifiers=["999999999999"]) == "InvalidParameterException"
    assert names(includeLinkedAccounts="yes") == "SerializationException"
    assert names(accountIdentifiers=[7]) == "SerializationException"


# ---- putting and getting ---------------------------------------------------------------------------------------------------------

def test_events_are_put_and_read_back_to_the_character(logs, group):
    stream = stream_of(logs, group)
    texts = ["plain", "tab\there", "two\nlines\r\n", "back\\slash \\n", "é ü 日本 \U0001f600", "nul \x00 in it", '{"json": true}', " "]
    answer = put(logs, group, stream, *texts)
    assert answer["nextSequenceToken"].isdigit() and "rejectedLogEventsInfo" not in answer
    got = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
    assert [e["message"] for e in got] == texts
    assert all(abs(e["ingestionTime"] - now_ms()) < 60000 for e in got)


def test_what_PutLogEvents_refuses(logs, group):
    stream = stream_of(logs, group)
    arguments = dict(logGroupName=group, logStreamName=stream)
    at = now_ms()
    refused(logs.put_log_events, "ResourceNotFoundException", "The specified log stream does not exist.", logGroupName=group,
            logStreamName="none", logEvents=[{"timestamp": at, "message": "x"}])
    refused(logs.put_log_events, "InvalidParameterException", "Log events in a single PutLogEvents request must be in chronological order.",
            logEvents=[{"timestamp": at, "message": "b"}, {"timestamp": at - 1, "message": "a"}], **arguments)
    refused(logs.put_log_events, "InvalidParameterException", "cannot span more than 24 hours",
            logEvents=[{"timestamp": at - DAY_MS - 1, "message": "a"}, {"timestamp": at, "message": "b"}], **arguments)
    refused(logs.put_log_events, "InvalidParameterException", "Log event too large: 1048577 bytes exceeds limit of 1048576",
            logEvents=[{"timestamp": at, "message": "x" * (1048577 - 26)}], **arguments)
    refused(logs.put_log_events, "InvalidParameterException", "Upload too large",
            logEvents=[{"timestamp": at, "message": "x" * 600000}] * 2, **arguments)
    refused(logs.put_log_events, "InvalidParameterException", "at 'logEvents' failed to satisfy constraint: Member must have length less than or equal to 10000",
            logEvents=[{"timestamp": at, "message": "x"}] * 10001, **arguments)
    assert found(logs, group) == []


def test_an_entity_is_said_to_be_rejected_and_the_events_are_kept(hearth, logs, group):
    stream = stream_of(logs, group)
    members = dict(logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": now_ms(), "message": "kept"}])
    status, answer = ask(hearth, "PutLogEvents", entity={"keyAttributes": {"Type": "Service", "Name": "shop"}}, **members)
    assert (status, answer["rejectedEntityInfo"]) == (200, {"errorType": "UnsupportedLogGroupType"})
    assert "rejectedEntityInfo" not in ask(hearth, "PutLogEvents", **members)[1]
    assert ask(hearth, "PutLogEvents", entity="shop", **members)[1]["__type"] == "SerializationException"
    assert found(logs, group) == ["kept", "kept"]


def test_events_too_old_or_too_new_are_rejected_and_the_others_kept(logs, group):
    stream = stream_of(logs, group)
    old = logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": now_ms() - 15 * DAY_MS, "message": "old"}])
    assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    at = now_ms()
    new = logs.put_log_events(logGroupName=group, logStreamName=stream,
                              logEvents=[{"timestamp": at, "message": "kept"}, {"timestamp": at + 3 * 3600 * 1000, "message": "new"}])
    assert new["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    assert found(logs, group) == ["kept"]


def test_tokens_of_GetLogEvents_are_stable_at_both_ends(logs, group):
    stream = stream_of(logs, group)
    texts = [f"line {i}" for i in range(25)]
    put(logs, group, stream, *texts)
    arguments = dict(logGroupName=group, logStreamName=stream, limit=10)
    seen, answer = [], logs.get_log_events(startFromHead=True, **arguments)
    first = answer["nextBackwardToken"]
    while answer["events"]:
        seen += [e["message"] for e in answer["events"]]
        token = answer["nextForwardToken"]
        answer = logs.get_log_events(startFromHead=True, nextToken=token, **arguments)
    assert seen == texts
    assert answer["nextForwardToken"] == token                       # at the end the same one again
    before = logs.get_log_events(nextToken=first, **arguments)
    assert before["events"] == [] and before["nextBackwardToken"] == first
    put(logs, group, stream, "later", at=now_ms() + 1000)
    assert [e["message"] for e in logs.get_log_events(nextToken=token, **arguments)["events"]] == ["later"]

    last = logs.get_log_events(**arguments)                            # from the tail, as AWS does by default
    assert [e["message"] for e in last["events"]] == [*texts[-9:], "later"]
    back = logs.get_log_events(nextToken=last["nextBackwardToken"], **arguments)
    assert [e["message"] for e in back["events"]] == texts[6:16]
    refused(logs.get_log_events, "InvalidParameterException", "The specified nextToken is invalid.", nextToken="no", **arguments)
    refused(logs.get_log_events, "InvalidParameterException",
            "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000",
            **{**arguments, "limit": 10001})


def test_the_end_of_GetLogEvents_is_exclusive_and_that_of_FilterLogEvents_is_not(logs, group):
    stream, at = stream_of(logs, group), now_ms()
    put(logs, group, stream, "a", "b", "c", at=at)
    got = logs.get_log_events(logGroupName=group, logStreamName=stream, startTime=at, endTime=at + 1)["events"]
    assert [e["message"] for e in got] == ["a"]
    assert found(logs, group, startTime=at, endTime=at + 1) == ["a", "b"]


# ---- filtering -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("pattern, expected", [
    ("hello", ["hello", "hello world", "hello cruela"]),
    ("Hello", []),
    ("goodbye world", ["goodbye world", "goodbye cruel world"]),
    ('"hello cruel"', ["hello cruela"]),
    ('"goodbye world"', ["goodbye world"]),
    ("hello -world", ["hello", "hello cruela"]),
    ("-hello", ["world", "goodbye world", "goodbye cruel world", "[x] a:b \"q\""]),
    ("?cruela ?goodbye", ["goodbye world", "hello cruela", "goodbye cruel world"]),
    ('"[x] a:b"', ["[x] a:b \"q\""]),
    ('"\\"q\\""', ["[x] a:b \"q\""]),
    ("", ["hello", "world", "hello world", "goodbye world", "hello cruela", "goodbye cruel world", "[x] a:b \"q\""]),
])
def test_a_pattern_of_terms(hearth, pattern, expected, _words=[]):
    logs = hearth.client("logs")
    if not _words or _words[0][0] != hearth.endpoint:
        name = f"/words/{uuid.uuid4().hex[:8]}"
        logs.create_log_group(logGroupName=name)
        put(logs, name, stream_of(logs, name), "hello", "world", "hello world", "goodbye world", "hello cruela", "goodbye cruel world", "[x] a:b \"q\"")
        _words[:] = [(hearth.endpoint, name)]
    assert found(logs, _words[0][1], pattern) == expected


@pytest.mark.parametrize("pattern, text", [
    ("{ $.level = \"error\" }", "Filter patterns for JSON"), ("[a, b]", "Filter patterns for space-delimited events"),
    ("%reg.*%", "Filter patterns for regular expressions"), ("a:b", "Invalid character(s) in term ':'"), ('"open', "Invalid filter pattern"),
])
def test_a_pattern_that_is_not_supported_is_named(logs, group, pattern, text):
    refused(logs.filter_log_events, "InvalidParameterException", text, logGroupName=group, filterPattern=pattern)


def test_events_of_all_streams_come_in_order_of_time_whatever_order_they_were_put_in(logs, group):
    at = now_ms() - 10000
    for i in (3, 1, 2):
        stream_of(logs, group, f"s{i}")
        put(logs, group, f"s{i}", f"{i} first", f"{i} second", at=at + i * 100)
    want = [f"{i} {word}" for i in (1, 2, 3) for word in ("first", "second")]
    assert found(logs, group) == want
    assert found(logs, group, PaginationConfig={"PageSize": 1}) == want
    assert found(logs, group, logStreamNames=["s1", "s3"]) == [w for w in want if w[0] in "13"]
    assert found(logs, group, logStreamNamePrefix="s2") == want[2:4]
    answer = logs.filter_log_events(logGroupName=group, limit=4)
    assert answer["searchedLogStreams"] == [] and len({e["eventId"] for e in answer["events"]}) == 4
    again = logs.filter_log_events(logGroupName=group, limit=4)
    assert [e["eventId"] for e in again["events"]] == [e["eventId"] for e in answer["events"]]
    refused(logs.filter_log_events, "InvalidParameterException", "The specified nextToken is invalid.", logGroupName=group, nextToken="invalid-token")


def test_twenty_thousand_events_come_in_pages_each_once(logs, group):
    stream, at = stream_of(logs, group), now_ms() - 100000
    for batch in range(4):
        put(logs, group, stream, *[f"event {batch * 5000 + i}" for i in range(5000)], at=at + batch * 5000)
    assert found(logs, group) == [f"event {i}" for i in range(20000)]
    assert len(logs.filter_log_events(logGroupName=group)["events"]) <= 10000


# ---- retention -------------------------------------------------------------------------------------------------------------------

def test_retention_hides_and_deletes_what_is_older_at_once(hearth, logs, group):
    stream = stream_of(logs, group)
    directory = hearth.data / "logs" / group.replace("/", "%2F")
    put(logs, group, stream, "ten days old", at=now_ms() - 10 * DAY_MS)
    before = sorted(p.name for p in directory.glob("*.log"))
    logs.put_retention_policy(logGroupName=group, retentionInDays=3)
    assert found(logs, group) == []
    assert not (set(before) & {p.name for p in directory.glob("*.log") if p.stat().st_size > 0})
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 3
    put(logs, group, stream_of(logs, group, "new"), "young")
    assert found(logs, group) == ["young"]
    answer = put(logs, group, "new", "expired", at=now_ms() - 4 * DAY_MS)
    assert answer["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    logs.delete_retention_policy(logGroupName=group)
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
    refused(logs.put_retention_policy, "InvalidParameterException", "Value '4' at 'retentionInDays'", logGroupName=group, retentionInDays=4)


# ---- after a restart -------------------------------------------------------------------------------------------------------------

def test_groups_streams_events_and_ids_survive_a_restart_and_a_kill(new_hearth):
    server = new_hearth()
    logs = server.client("logs")
    logs.create_log_group(logGroupName="/kept", tags={"a": "b"})
    logs.create_log_group(logGroupName="/gone")
    logs.put_retention_policy(logGroupName="/kept", retentionInDays=30)
    stream_of(logs, "/kept", "empty")
    stream_of(logs, "/kept", "full")
    stream_of(logs, "/kept", "deleted")
    put(logs, "/kept", "full", "one", "two")
    put(logs, "/kept", "deleted", "not seen")
    logs.delete_log_stream(logGroupName="/kept", logStreamName="deleted")
    logs.delete_log_group(logGroupName="/gone")
    ids = [e["eventId"] for e in logs.filter_log_events(logGroupName="/kept")["events"]]
    for end in (server.kill9, server.stop):
        end()
        server.start()
        logs = server.client("logs")
        group, = logs.describe_log_groups()["logGroups"]
        assert (group["logGroupName"], group["retentionInDays"]) == ("/kept", 30)
        assert [s["logStreamName"] for s in logs.describe_log_streams(logGroupName="/kept")["logStreams"]] == ["empty", "full"]
        events = logs.filter_log_events(logGroupName="/kept")["events"]
        assert [e["message"] for e in events] == ["one", "two"] and [e["eventId"] for e in events] == ids
        assert logs.list_tags_log_group(logGroupName="/kept")["tags"] == {"a": "b"}


# ---- a newer SDK ----------------------------------------------------------------------------------------------------------------

NEWER = """
import boto3, sys, time
logs = boto3.client("logs", endpoint_url=sys.argv[1], region_name="us-east-1")
name = sys.argv[2]
arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{name}"
logs.create_log_group(logGroupName=name, logGroupClass="STANDARD", tags={"a": "b"})
listed, = logs.describe_log_groups(logGroupNamePattern=name[3:])["logGroups"]
assert listed["logGroupArn"] == arn and listed["arn"] == arn + ":*" and listed["logGroupClass"] == "STANDARD", listed
logs.tag_resource(resourceArn=arn, tags={"c": "d"})
logs.untag_resource(resourceArn=arn, tagKeys=["a"])
assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"c": "d"}
logs.create_log_stream(logGroupName=name, logStreamName="s")
logs.put_log_events(logGroupName=name, logStreamName="s", logEvents=[{"timestamp": int(time.time() * 1000), "message": "hello"}])
for identifier in (name, arn):
    assert [e["message"] for e in logs.filter_log_events(logGroupIdentifier=identifier)["events"]] == ["hello"]
    assert len(logs.get_log_events(logGroupIdentifier=identifier, logStreamName="s")["events"]) == 1
    assert len(logs.describe_log_streams(logGroupIdentifier=identifier)["logStreams"]) == 1
try:
    logs.describe_log_streams(logGroupName=name, logGroupIdentifier=name)
except logs.exceptions.ClientError as refused:
    assert refused.response["Error"] == {"Code": "ValidationException", "Message": "LogGroup name and LogGroup ARN are mutually exclusive parameters."}, refused.response
try:
    logs.describe_log_groups(logGroupNamePattern="a", logGroupNamePrefix="b")
except logs.exceptions.InvalidParameterException as refused:
    assert "mutually exclusive parameters" in str(refused)
logs.delete_log_group(logGroupName=name)
print("all of it")
"""


def test_a_newer_botocore_finds_what_it_knows(hearth):
    probe = "import boto3; model = boto3.client('logs', region_name='us-east-1').meta.service_model; assert 'logGroupClass' in model.operation_model('CreateLogGroup').input_shape.members"
    pythons = [str(python) for folder in os.get_exec_path() for python in [pathlib.Path(folder, "python3")] if python.exists()]
    newer = next((python for python in pythons if subprocess.run([python, "-c", probe], capture_output=True).returncode == 0), None)
    if newer is None:
        pytest.skip("no python3 on PATH has a newer boto3")
    done = subprocess.run([newer, "-c", NEWER, hearth.endpoint, f"/newer/{uuid.uuid4().hex}"], env={**hearth.env, "AWS_PROFILE": "hearth"},
                          capture_output=True, text=True, timeout=120)
    assert done.stdout == "all of it\n", done.stderr


# ---- the aws command -------------------------------------------------------------------------------------------------------------

def aws_commands():
    both = ["/usr/bin/aws", shutil.which("aws")]
    return [c for i, c in enumerate(both) if c and os.path.exists(c) and os.path.realpath(c) not in map(os.path.realpath, both[:i])]


def with_tail():
    """The first version of the command, which pip installs, has no `logs tail`."""
    return [c for c in aws_commands() if "aws-cli/2" in subprocess.run([c, "--version"], capture_output=True, text=True).stdout]


@pytest.mark.parametrize("aws", with_tail())
def test_aws_logs_tail_follows_and_shows_each_line_once(hearth, aws):
    function = hearth.deploy(PRINTS)
    group = f"/aws/lambda/{function.name}"
    function({"word": "w0"})
    env = {**hearth.env, "AWS_PROFILE": "hearth", "PYTHONUNBUFFERED": "1"}
    tail = subprocess.Popen([aws, "--endpoint-url", hearth.endpoint, "logs", "tail", group, "--follow", "--since", "1h"], env=env,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines, arrived = [], queue.Queue()
    reader = threading.Thread(target=lambda: [arrived.put(line) for line in tail.stdout], daemon=True)
    reader.start()

    def has(text):
        while not arrived.empty():
            lines.append(arrived.get())
        assert tail.poll() is None, "".join(lines)
        return any(text in line for line in lines)
    try:
        wait_until(lambda: has("said w0"), 60, "the tail shows what was there")
        for word in range(1, 5):
            function({"word": f"w{word}"})
        wait_until(lambda: has("said w4"), 60, "the tail shows what came later")
        time_of_last = len(lines)
        function({"word": "w5"})
        wait_until(lambda: has("said w5"), 60, "and goes on")
        assert len(lines) > time_of_last
    finally:
        tail.terminate()
        tail.wait()
    for word in range(6):
        assert sum(f"said w{word}" in line for line in lines) == 1, "".join(lines)
    assert sum("START RequestId" in line for line in lines) == 6


@pytest.mark.parametrize("aws", aws_commands())
def test_aws_logs_tail_short_and_filter_log_events(hearth, aws):
    function = hearth.deploy(PRINTS)
    group = f"/aws/lambda/{function.name}"
    function({"word": "once"})
    env = {**hearth.env, "AWS_PROFILE": "hearth"}
    run = lambda *words: subprocess.run([aws, "--endpoint-url", hearth.endpoint, "logs", *words], env=env, capture_output=True, text=True, timeout=120)
    if aws in with_tail():
        short = run("tail", group, "--format", "short")
        assert short.returncode == 0 and short.stdout.count("said once") == 1, short.stderr
    filtered = run("filter-log-events", "--log-group-name", group, "--filter-pattern", "said", "--query", "events[].message", "--output", "json")
    assert filtered.returncode == 0 and len(json.loads(filtered.stdout)) == 1, filtered.stderr


# ---- LoggingConfig ---------------------------------------------------------------------------------------------------------------

def configured(hearth, name, **config):
    """With members that the old botocore's model does not know: signed by hand."""
    from helpers import signed_request, RawConnection
    request = signed_request(hearth, "PUT", f"/2015-03-31/functions/{name}/configuration", json.dumps({"LoggingConfig": config}).encode(),
                             headers={"Content-Type": "application/json"})
    with RawConnection(hearth.address) as connection:
        answer = connection.send(request).answer()
    return answer.status, answer.json()


def records(logs, group):
    return [json.loads(m) for m in found(logs, group)]


def test_LoggingConfig_is_kept_and_partly_changed(hearth):
    function = hearth.deploy(PRINTS)
    plain = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.name}"}
    status, answer = configured(hearth, function.name, ApplicationLogLevel="DEBUG")
    assert status == 400 and "LogLevel is not supported when LogFormat is set to \"Text\"" in answer["message"]
    json_now = {**plain, "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
    assert configured(hearth, function.name, LogFormat="JSON")[1]["LoggingConfig"] == json_now
    function.wait_updated()
    assert configured(hearth, function.name, SystemLogLevel="WARN")[1]["LoggingConfig"] == {**json_now, "SystemLogLevel": "WARN"}
    function.wait_updated()
    assert configured(hearth, function.name, LogGroup="mine")[1]["LoggingConfig"] == {**json_now, "SystemLogLevel": "WARN", "LogGroup": "mine"}
    function.wait_updated()
    assert configured(hearth, function.name, LogFormat="Text")[1]["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "mine"}
    assert configured(hearth, function.name, LogFormat="JSON", SystemLogLevel="ERROR")[0] == 400


def test_JSON_system_log_lines_have_the_documented_members(hearth, logs):
    function = hearth.deploy(PRINTS)
    assert configured(hearth, function.name, LogFormat="JSON", SystemLogLevel="DEBUG")[0] == 200
    function.wait_updated()
    answer = function({"word": "json"})
    told = records(logs, f"/aws/lambda/{function.name}")
    kinds = [r["type"] for r in told if "type" in r]
    assert kinds == ["platform.initStart", "platform.initRuntimeDone", "platform.initReport", "platform.start", "platform.runtimeDone", "platform.report"]
    by_kind = {r["type"]: r["record"] for r in told if "type" in r}
    assert by_kind["platform.start"] == {"requestId": answer.request_id, "version": "$LATEST"}
    report = by_kind["platform.report"]
    assert (report["requestId"], report["status"]) == (answer.request_id, "success")
    assert {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"} == set(report["metrics"])
    line, = [r for r in told if "said json" in str(r.get("message"))]
    assert (line["level"], line["requestId"]) == ("INFO", answer.request_id)


def test_SystemLogLevel_WARN_tells_only_of_what_went_wrong(hearth, logs):
    function = hearth.deploy(node("exports.handler = async (e) => { if (e.hang) await new Promise(r => setTimeout(r, 60000)); if (e.die) process.exit(3); };"), timeout=1)
    assert configured(hearth, function.name, LogFormat="JSON", SystemLogLevel="WARN")[0] == 200
    function.wait_updated()
    group = f"/aws/lambda/{function.name}"
    function({})
    assert found(logs, group) == [] if logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] else True
    function({"hang": True})
    told = records(logs, group)
    assert any("Task timed out after 1.00 seconds" == r.get("message") and r["level"] == "ERROR" for r in told)
    assert [(r["type"], r["record"]["status"]) for r in told if "type" in r] == [("platform.runtimeDone", "timeout"), ("platform.report", "timeout")]
    function({"die": True})
    assert any("Runtime exited with error: exit status 3" in str(r.get("message")) for r in records(logs, group))


def test_ApplicationLogLevel_filters_what_the_code_prints(hearth, logs):
    function = hearth.deploy(node("exports.handler = async () => { console.debug('low'); console.warn('high'); };"))
    assert configured(hearth, function.name, LogFormat="JSON", ApplicationLogLevel="WARN")[0] == 200
    function.wait_updated()
    function({})
    told = [r.get("message") for r in records(logs, f"/aws/lambda/{function.name}") if "type" not in r]
    assert told == ["high"]


def test_a_function_prints_to_the_group_that_it_was_given(hearth, logs, group):
    function = hearth.deploy(PRINTS)
    assert configured(hearth, function.name, LogGroup=group)[0] == 200
    function.wait_updated()
    function({"word": "there"})
    assert any("said there" in m for m in found(logs, group))
    assert logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{function.name}")["logGroups"] == []
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]        # who shares a group is told apart by the stream
    assert re.fullmatch(rf"\d{{4}}/\d\d/\d\d/{re.escape(function.name)}\[\$LATEST\][0-9a-f]{{32}}", streams[0]["logStreamName"])
