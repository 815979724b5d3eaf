"""Versions and aliases as a specification, with running code: what a version keeps while $LATEST changes, how an alias moves and splits
calls, what is there again after a kill. Texts are those recorded from AWS; every answer is walked against AWS's model."""
import json
import subprocess
import threading
import uuid

import pytest

from helpers import ROLE, aws_error, make_zip, node, wait_until
from model_check import checked

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
# What a function sees of itself.
SOURCE = """exports.handler = async (event, context) => ({ code: %s, stage: process.env.STAGE, version: context.functionVersion,
  variable: process.env.AWS_LAMBDA_FUNCTION_VERSION, arn: context.invokedFunctionArn });"""


def code(text):
    return make_zip(node(SOURCE % json.dumps(text)))


@pytest.fixture
def client(hearth):
    return checked(hearth)


class Function:
    def __init__(self, client, name):
        self.client, self.name, self.arn = client, name, ARN + name

    def call(self, qualifier=None, by_name=False):
        named = {"FunctionName": f"{self.name}:{qualifier}"} if by_name else {"FunctionName": self.name, **({"Qualifier": qualifier} if qualifier else {})}
        answer = self.client.invoke(**named)
        assert "FunctionError" not in answer
        seen = json.loads(answer["Payload"].read())
        assert seen["version"] == seen["variable"] == answer["ExecutedVersion"]
        return seen

    def change(self, text=None, **configuration):
        if text is not None:
            self.client.update_function_code(FunctionName=self.name, ZipFile=code(text))
        if configuration:
            self.client.update_function_configuration(FunctionName=self.name, **configuration)

    def publish(self, **more):
        return self.client.publish_version(FunctionName=self.name, **more)

    def alias(self, name, version, **more):
        return self.client.create_alias(FunctionName=self.name, Name=name, FunctionVersion=version, **more)

    def versions(self):
        pages = self.client.get_paginator("list_versions_by_function").paginate(FunctionName=self.name)
        return [v["Version"] for page in pages for v in page["Versions"]]


def create(client, text="first", **more):
    name = f"versions-{uuid.uuid4().hex[:12]}"
    arguments = dict(FunctionName=name, Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": code(text)},
                     Environment={"Variables": {"STAGE": "one"}})
    answer = client.create_function(**{**arguments, **more})
    return Function(client, name), answer


@pytest.fixture
def function(client):
    made, _ = create(client)
    yield made
    try:
        client.delete_function(FunctionName=made.name)
    except client.exceptions.ResourceNotFoundException:
        pass


def refused(call, code, text, **named):
    refusal = aws_error(call, **named)
    assert refusal.code == code, refusal
    assert text in refusal.message, refusal
    return refusal


# ---- versions ----------------------------------------------------------------------------------------------------------------------

def test_a_version_keeps_its_code_and_configuration_while_LATEST_changes(function):
    published = function.publish(Description="the first")
    assert (published["Version"], published["FunctionArn"], published["Description"]) == ("1", f"{function.arn}:1", "the first")
    assert (published["State"], published["LastUpdateStatus"]) == ("Active", "Successful")
    function.change("second", Environment={"Variables": {"STAGE": "two"}}, Timeout=7)
    assert function.call() == {"code": "second", "stage": "two", "version": "$LATEST", "variable": "$LATEST", "arn": function.arn}
    assert function.call("1") == {"code": "first", "stage": "one", "version": "1", "variable": "1", "arn": f"{function.arn}:1"}
    assert function.call("1", by_name=True)["arn"] == f"{function.arn}:1"
    assert function.call("$LATEST")["arn"] == f"{function.arn}:$LATEST"
    assert function.publish()["Version"] == "2"
    function.change("third")
    assert [function.call(v)["code"] for v in ("1", "2", "$LATEST")] == ["first", "second", "third"]
    one = function.client.get_function_configuration(FunctionName=function.name, Qualifier="1")
    assert (one["Timeout"], one["Environment"], one["Version"]) == (3, {"Variables": {"STAGE": "one"}}, "1")
    assert one["RevisionId"] == published["RevisionId"]


def test_publishing_what_has_not_changed_makes_nothing_new(function):
    first = function.publish(Description="first")
    again = function.publish(Description="another")
    assert (again["Version"], again["RevisionId"], again["Description"]) == ("1", first["RevisionId"], "first")
    function.change(Description="changed")
    assert function.publish()["Version"] == "2"
    assert function.versions() == ["$LATEST", "1", "2"]


def test_a_number_is_never_given_twice(function):
    function.publish()
    function.change("second")
    function.publish()
    function.client.delete_function(FunctionName=function.name, Qualifier="2")
    assert function.publish()["Version"] == "3"
    assert function.versions() == ["$LATEST", "1", "3"]


def test_publishing_gives_LATEST_a_new_revision(client, function):
    before = client.get_function_configuration(FunctionName=function.name)["RevisionId"]
    version = function.publish(RevisionId=before)["RevisionId"]
    after = client.get_function_configuration(FunctionName=function.name)["RevisionId"]
    assert len({before, version, after}) == 3
    refused(client.publish_version, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call "
            "the GetFunction/GetAlias API to retrieve the latest Revision Id", FunctionName=function.name, RevisionId=before)


def test_a_digest_that_is_not_LATESTs_publishes_nothing(client, function):
    digest = client.get_function_configuration(FunctionName=function.name)["CodeSha256"]
    refused(client.publish_version, "InvalidParameterValueException", f"CodeSHA256 (somenonexistentsha256) is different from current "
            f"CodeSHA256 in $LATEST ({digest}). Please try again with the CodeSHA256 in $LATEST.",
            FunctionName=function.name, CodeSha256="somenonexistentsha256")
    assert function.versions() == ["$LATEST"]
    assert function.publish(CodeSha256=digest)["Version"] == "1"


def test_creating_and_updating_can_publish(client):
    function, created = create(client, Publish=True)
    assert (created["Version"], created["FunctionArn"], created["State"]) == ("1", function.arn, "Active")
    updated = client.update_function_code(FunctionName=function.name, ZipFile=code("second"), Publish=True)
    assert (updated["Version"], updated["FunctionArn"]) == ("2", f"{function.arn}:2")
    unchanged = client.update_function_code(FunctionName=function.name, ZipFile=code("second"), Publish=True)
    assert unchanged["Version"] == "2"
    client.update_function_code(FunctionName=function.name, ZipFile=code("third"), Publish=True, DryRun=True)
    assert function.versions() == ["$LATEST", "1", "2"]
    assert [function.call(v)["code"] for v in ("1", "2")] == ["first", "second"]
    client.delete_function(FunctionName=function.name)


def test_versions_are_listed_in_pages_and_with_all_functions(client, function):
    for text in ("a", "b", "c", "d"):
        function.publish()
        function.change(text)
    wanted = ["$LATEST", "1", "2", "3", "4"]
    for size in (1, 2, 50):
        pages = list(client.get_paginator("list_versions_by_function").paginate(FunctionName=function.name, PaginationConfig={"PageSize": size}))
        assert [v["Version"] for page in pages for v in page["Versions"]] == wanted
        assert all(len(page["Versions"]) <= size for page in pages)
        all_pages = client.get_paginator("list_functions").paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": size})
        arns = [f["FunctionArn"] for page in all_pages for f in page["Functions"] if f["FunctionName"] == function.name]
        assert arns == [f"{function.arn}:{v}" for v in wanted]
    refused(client.list_versions_by_function, "InvalidParameterValueException", "Marker", FunctionName=function.name, Marker="bm8=")
    refused(client.list_versions_by_function, "ResourceNotFoundException", f"Function not found: {ARN}nobody", FunctionName="nobody")


def test_a_version_can_be_deleted_and_is_then_not_found(client, function):
    function.publish()
    assert function.call("1")["code"] == "first"
    assert client.delete_function(FunctionName=f"{function.name}:1")["ResponseMetadata"]["HTTPStatusCode"] == 204
    client.delete_function(FunctionName=function.name, Qualifier="1")
    for operation in ("get_function", "get_function_configuration", "invoke"):
        refused(getattr(client, operation), "ResourceNotFoundException", f"Function not found: {function.arn}:1",
                FunctionName=function.name, Qualifier="1")
    assert function.call()["code"] == "first"


def test_deleting_a_function_takes_its_versions_and_aliases_along(client):
    function, _ = create(client, Publish=True)
    function.alias("live", "1")
    client.delete_function(FunctionName=function.name)
    for qualifier in ("1", "live", "$LATEST"):
        refused(client.get_function, "ResourceNotFoundException", f"Function not found: {function.arn}:{qualifier}",
                FunctionName=function.name, Qualifier=qualifier)
    again, _ = create(client, FunctionName=function.name)
    assert Function(client, function.name).versions() == ["$LATEST"]
    assert client.list_aliases(FunctionName=function.name)["Aliases"] == []
    client.delete_function(FunctionName=function.name)


# ---- aliases -----------------------------------------------------------------------------------------------------------------------

def test_an_alias_runs_its_version_under_its_own_ARN(client, function):
    function.publish()
    made = function.alias("live", "1", Description="for all")
    assert {k: v for k, v in made.items() if k not in ("ResponseMetadata", "RevisionId")} == {
        "AliasArn": f"{function.arn}:live", "Name": "live", "FunctionVersion": "1", "Description": "for all"}
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    function.change("second")
    assert function.call("live") == {"code": "first", "stage": "one", "version": "1", "variable": "1", "arn": f"{function.arn}:live"}
    shown = client.get_function(FunctionName=f"{function.arn}:live")["Configuration"]
    assert (shown["FunctionArn"], shown["Version"]) == (f"{function.arn}:live", "1")
    assert client.get_alias(FunctionName=function.name, Name="live")["RevisionId"] == made["RevisionId"]


def test_an_alias_of_LATEST_follows_it(function):
    function.alias("dev", "$LATEST")
    assert function.call("dev")["code"] == "first"
    function.change("second")
    assert function.call("dev") == {"code": "second", "stage": "one", "version": "$LATEST", "variable": "$LATEST", "arn": f"{function.arn}:dev"}


def test_an_alias_moves_at_once_and_no_call_fails_meanwhile(client, function):
    function.publish()
    function.change("second")
    function.publish()
    function.alias("live", "1")
    seen, stop, failed = [], threading.Event(), []

    def caller():
        try:
            while not stop.is_set():
                seen.append(function.call("live")["version"])
        except BaseException as problem:       # told by the test below
            failed.append(problem)
    threads = [threading.Thread(target=caller) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(seen) > 20 or failed, 30, "calls before the move")
        client.update_alias(FunctionName=function.name, Name="live", FunctionVersion="2")
        assert {function.call("live")["code"] for _ in range(10)} == {"second"}      # what begins after the answer runs the new version
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert set(seen) == {"1", "2"}


def test_weights_split_the_calls(client, function):
    function.publish()
    function.change("second")
    function.publish()
    function.alias("canary", "1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    counts = {"1": 0, "2": 0}
    for _ in range(400):
        counts[function.call("canary")["version"]] += 1
    assert 120 <= counts["2"] <= 280           # eight standard deviations: it never fails by chance
    for weight, only in ((0.0, "1"), (1.0, "2")):
        shown = client.update_alias(FunctionName=function.name, Name="canary", RoutingConfig={"AdditionalVersionWeights": {"2": weight}})
        assert shown["RoutingConfig"] == {"AdditionalVersionWeights": {"2": weight}}
        assert {function.call("canary")["version"] for _ in range(30)} == {only}
    shown = client.update_alias(FunctionName=function.name, Name="canary", RoutingConfig={"AdditionalVersionWeights": {}})
    assert "RoutingConfig" not in shown and shown["FunctionVersion"] == "1"


def test_what_an_update_does_not_name_stays(client, function):
    function.publish()
    function.change("second")
    function.publish()
    before = function.alias("live", "1", Description="d", RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}})
    after = client.update_alias(FunctionName=function.name, Name="live", Description="new", RevisionId=before["RevisionId"])
    assert (after["Description"], after["FunctionVersion"], after["RoutingConfig"]) == ("new", "1", before["RoutingConfig"])
    assert after["RevisionId"] != before["RevisionId"]
    refused(client.update_alias, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id", FunctionName=function.name, Name="live", RevisionId=before["RevisionId"])


def test_updates_of_one_alias_at_once_are_all_done_and_none_is_lost(client, function):
    function.publish()
    function.alias("live", "1")
    problems = []

    def update(**change):
        try:
            client.update_alias(FunctionName=function.name, Name="live", **change)
        except Exception as problem:
            problems.append(problem)
    changes = [dict(Description=f"d{i}") if i % 2 else dict(FunctionVersion="$LATEST") for i in range(12)]
    threads = [threading.Thread(target=update, kwargs=change) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    shown = client.get_alias(FunctionName=function.name, Name="live")
    assert shown["FunctionVersion"] == "$LATEST" and shown["Description"].startswith("d")


def weights(**each):
    return {"AdditionalVersionWeights": {name[1:]: value for name, value in each.items()}}


@pytest.mark.parametrize("version, routing, code, text", [
    ("1", weights(v1=0.8, v2=0.2), "InvalidParameterValueException", "Number of items in AdditionalVersionWeights cannot be greater than 1"),
    ("1", weights(v2=2), "ValidationException", "1 validation error detected: Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' "
     "failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have "
     "value greater than or equal to 0.0, Member must not be null]"),
    ("1", weights(v1=0.5), "InvalidParameterValueException", "Invalid function version 1. Function version 1 is already included in routing "
     "configuration."),
    ("10", weights(v2=0.5), "ResourceNotFoundException", ":10"),
    ("1", weights(v10=0.5), "ResourceNotFoundException", ":10"),
    ("$LATEST", weights(v1=0.5), "InvalidParameterValueException", "$LATEST is not supported for an alias pointing to more than 1 version"),
    ("1", {"AdditionalVersionWeights": {"$LATEST": 0.5}}, "ValidationException", "Map keys must satisfy constraint: [Member must have length "
     "less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]"),
])
def test_a_routing_configuration_that_AWS_refuses_is_refused(client, function, version, routing, code, text):
    function.publish()
    function.change("second")
    function.publish()
    refused(client.create_alias, code, text, FunctionName=function.name, Name="custom", FunctionVersion=version, RoutingConfig=routing)
    assert client.list_aliases(FunctionName=function.name)["Aliases"] == []


def test_names_of_aliases(client, function):
    function.publish()
    assert function.alias("2024-01-02", "1")["AliasArn"] == f"{function.arn}:2024-01-02"
    assert function.call("2024-01-02")["version"] == "1"
    refused(client.create_alias, "ValidationException", "Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular "
            "expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)", FunctionName=function.name, Name="2024", FunctionVersion="1")
    refused(client.create_alias, "ResourceConflictException", f"Alias already exists: {function.arn}:2024-01-02",
            FunctionName=function.name, Name="2024-01-02", FunctionVersion="1")
    refused(client.create_alias, "ResourceNotFoundException", f"Function not found: {ARN}nobody:1", FunctionName="nobody", Name="a", FunctionVersion="1")
    refused(client.create_alias, "ValidationException", "at 'name'", FunctionName=function.name, Name="a" * 129, FunctionVersion="1")


def test_an_alias_that_is_not_there(client, function):
    refused(client.get_alias, "ResourceNotFoundException", f"Cannot find alias arn: {function.arn}:non-existent", FunctionName=function.name, Name="non-existent")
    refused(client.update_alias, "ResourceNotFoundException", f"Alias not found: {function.arn}:non-existent", FunctionName=function.name, Name="non-existent")
    assert client.delete_alias(FunctionName=function.name, Name="non-existent")["ResponseMetadata"]["HTTPStatusCode"] == 204
    for operation in ("get_function", "get_function_configuration", "invoke"):
        refused(getattr(client, operation), "ResourceNotFoundException", f"Function not found: {function.arn}:non-existent",
                FunctionName=function.name, Qualifier="non-existent")


def test_a_version_that_an_alias_needs_stays(client, function):
    function.publish()
    function.change("second")
    function.publish()
    function.alias("blue", "1")
    function.alias("canary", "2", RoutingConfig={"AdditionalVersionWeights": {"1": 0.1}})
    refusal = refused(client.delete_function, "ResourceConflictException", "Unable to delete version because the following aliases reference "
                      "it: [blue, canary]", FunctionName=function.name, Qualifier="1")
    assert refusal.status == 409
    client.delete_alias(FunctionName=function.name, Name="blue")
    client.update_alias(FunctionName=function.name, Name="canary", RoutingConfig={})
    client.delete_function(FunctionName=function.name, Qualifier="1")
    assert function.versions() == ["$LATEST", "2"]


def test_aliases_are_listed_in_pages_and_by_version(client, function):
    function.publish()
    function.change("second")
    function.publish()
    for i in range(7):
        function.alias(f"a{i}", "1" if i % 2 else "2")
    for size in (1, 3, 50):
        pages = list(client.get_paginator("list_aliases").paginate(FunctionName=function.name, PaginationConfig={"PageSize": size}))
        assert [a["Name"] for page in pages for a in page["Aliases"]] == [f"a{i}" for i in range(7)]
        pages = client.get_paginator("list_aliases").paginate(FunctionName=function.name, FunctionVersion="1", PaginationConfig={"PageSize": size})
        assert [a["Name"] for page in pages for a in page["Aliases"]] == ["a1", "a3", "a5"]


@pytest.mark.parametrize("call", ["update_function_code", "update_function_configuration", "publish_version", "put_function_concurrency"])
def test_what_is_the_functions_alone_takes_no_qualifier(client, function, call):
    more = {"update_function_code": {"ZipFile": code("x")}, "put_function_concurrency": {"ReservedConcurrentExecutions": 1}}.get(call, {})
    refused(getattr(client, call), "InvalidParameterValueException", "This operation is permitted on Lambda functions only. Aliases and versions "
            "do not support this operation. Please specify either a function name or an unqualified function ARN.",
            FunctionName=f"{function.name}:1", **more)


# ---- what tools ask for after each deployment ------------------------------------------------------------------------------------------

def test_what_nobody_can_configure_is_answered(client, function):
    function.publish()
    answer = client.get_function_code_signing_config(FunctionName=function.name)
    assert "CodeSigningConfigArn" not in answer
    if hasattr(client, "get_runtime_management_config"):
        assert client.get_runtime_management_config(FunctionName=function.name)["UpdateRuntimeOn"] == "Auto"
        assert client.get_runtime_management_config(FunctionName=function.name, Qualifier="1")["FunctionArn"] == f"{function.arn}:1"
    if hasattr(client, "get_function_recursion_config"):
        assert client.get_function_recursion_config(FunctionName=function.name)["RecursiveLoop"] == "Terminate"


# ---- after a kill --------------------------------------------------------------------------------------------------------------------

def test_versions_and_aliases_are_there_after_a_kill(new_hearth):
    server = new_hearth()
    function, _ = create(checked(server), Publish=True)
    function.change("second", Environment={"Variables": {"STAGE": "two"}})
    function.publish(Description="two")
    made = function.alias("live", "1", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}})
    before = [function.client.get_function_configuration(FunctionName=function.name, Qualifier=q) for q in ("1", "2", "$LATEST", "live")]
    server.kill9()
    server.start()
    function.client = checked(server)
    after = [function.client.get_function_configuration(FunctionName=function.name, Qualifier=q) for q in ("1", "2", "$LATEST", "live")]
    strip = lambda answers: [{k: v for k, v in a.items() if k != "ResponseMetadata"} for a in answers]  # noqa: E731
    assert strip(after) == strip(before)
    assert function.client.get_alias(FunctionName=function.name, Name="live")["RevisionId"] == made["RevisionId"]
    assert [(function.call(q)["code"], function.call(q)["stage"]) for q in ("1", "2", "live")] == [("first", "one"), ("second", "two"), ("second", "two")]
    function.change("third")
    assert function.publish()["Version"] == "3"


# ---- the CLI -------------------------------------------------------------------------------------------------------------------------

def test_the_aws_cli_publishes_routes_and_waits(hearth, function):
    def aws(*arguments):
        done = subprocess.run(["/usr/bin/aws", "lambda", *arguments, "--function-name", function.name, "--endpoint-url", hearth.endpoint,
                               "--output", "json"], env=hearth.env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None
    aws("wait", "function-active-v2")
    assert aws("publish-version", "--description", "one")["Version"] == "1"
    function.change("second")
    aws("wait", "function-updated-v2")
    assert aws("publish-version")["Version"] == "2"
    made = aws("create-alias", "--name", "live", "--function-version", "1", "--routing-config", "AdditionalVersionWeights={2=0.25}")
    assert made["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.25}}
    assert aws("update-alias", "--name", "live", "--routing-config", "AdditionalVersionWeights={}").get("RoutingConfig") is None
    assert [a["Name"] for a in aws("list-aliases")["Aliases"]] == ["live"]
    assert [v["Version"] for v in aws("list-versions-by-function")["Versions"]] == ["$LATEST", "1", "2"]
    aws("delete-alias", "--name", "live")
    aws("delete-function", "--qualifier", "1")
    assert function.versions() == ["$LATEST", "2"]
