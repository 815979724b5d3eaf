"""Tags as a specification: of functions alone, in AWS's words. Every answer is walked against AWS's model."""
import json
import subprocess
import uuid

import pytest

from helpers import ROLE, aws_error, make_zip, node
from model_check import checked

ECHO = make_zip(node("exports.handler = async (event) => event;"))
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


@pytest.fixture
def client(hearth):
    return checked(hearth)


@pytest.fixture
def arn(client):
    name = f"tags-{uuid.uuid4().hex[:12]}"
    yield client.create_function(FunctionName=name, Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": ECHO},
                                 Tags={"key_a": "value_a"})["FunctionArn"]
    client.delete_function(FunctionName=name)


def refused(call, code, text, **named):
    refusal = aws_error(call, **named)
    assert refusal.code == code, refusal
    assert text in refusal.message, refusal


def tags(client, arn):
    listed = client.list_tags(Resource=arn)["Tags"]
    assert client.get_function(FunctionName=arn).get("Tags", {}) == listed
    return listed


def test_tags_are_set_added_replaced_and_taken_away(client, arn):
    assert tags(client, arn) == {"key_a": "value_a"}
    answer = client.tag_resource(Resource=arn, Tags={"key_b": "value_b", "key_c": "value_c", "key_d": "", "ключ ü": "значение/+-=._:@"})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    client.tag_resource(Resource=arn, Tags={"key_c": "value_x"})
    assert tags(client, arn) == {"key_a": "value_a", "key_b": "value_b", "key_c": "value_x", "key_d": "", "ключ ü": "значение/+-=._:@"}
    assert client.untag_resource(Resource=arn, TagKeys=["key_c", "key_d", "never-there"])["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert tags(client, arn) == {"key_a": "value_a", "key_b": "value_b", "ключ ü": "значение/+-=._:@"}
    client.untag_resource(Resource=arn, TagKeys=["key_a", "key_b", "ключ ü"])
    assert tags(client, arn) == {}
    assert "Tags" not in client.get_function(FunctionName=arn)


def test_tags_change_nothing_else(client, arn):
    before = client.get_function_configuration(FunctionName=arn)
    client.tag_resource(Resource=arn, Tags={"a": "1"})
    after = client.get_function_configuration(FunctionName=arn)
    assert (after["RevisionId"], after["LastModified"]) == (before["RevisionId"], before["LastModified"])
    assert client.publish_version(FunctionName=arn)["Version"] == "1"
    client.tag_resource(Resource=arn, Tags={"a": "2"})
    assert client.publish_version(FunctionName=arn)["Version"] == "1"         # they are no change of the function


def test_fifty_tags_and_no_more(client, arn):
    client.tag_resource(Resource=arn, Tags={f"{i}_key": "v" for i in range(49)})
    assert len(tags(client, arn)) == 50
    refused(client.tag_resource, "InvalidParameterValueException", "Number of tags exceeds resource tag limit.", Resource=arn, Tags={"more": "1"})
    refused(client.tag_resource, "InvalidParameterValueException", "Number of tags exceeds resource tag limit.", Resource=arn,
            Tags={f"k{i}": "v" for i in range(51)})
    client.tag_resource(Resource=arn, Tags={"key_a": "replaced"})
    assert len(tags(client, arn)) == 50


def test_only_functions_have_tags_and_no_versions(client, arn):
    client.publish_version(FunctionName=arn)
    for call, more in ((client.list_tags, {}), (client.tag_resource, {"Tags": {"a": "b"}}), (client.untag_resource, {"TagKeys": ["a"]})):
        for qualifier in ("1", "$LATEST", "live"):
            refused(call, "InvalidParameterValueException", "Tags on function aliases and versions are not supported. Please specify a function ARN.",
                    Resource=f"{arn}:{qualifier}", **more)
        refused(call, "ResourceNotFoundException", f"Function not found: {ARN}nobody", Resource=f"{ARN}nobody", **more)
        refused(call, "ValidationException", "1 validation error detected: Value 'arn:aws:something' at 'resource' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:", Resource="arn:aws:something", **more)
        mapping = f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid.uuid4()}"
        refused(call, "ResourceNotFoundException", f"Event source mapping not found: {mapping}", Resource=mapping, **more)


def test_what_AWS_refuses_of_tags_is_refused(client, arn):
    refused(client.tag_resource, "InvalidParameterValueException", "An error occurred and the request cannot be processed.", Resource=arn, Tags={})
    refused(client.tag_resource, "ValidationException", "Value null at 'tags' failed to satisfy constraint: Member must not be null", Resource=arn)
    refused(client.untag_resource, "ValidationException", "Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
            Resource=arn, TagKeys=[])
    refused(client.tag_resource, "InvalidParameterValueException", "aws:", Resource=arn, Tags={"aws:reserved": "1"})
    refused(client.tag_resource, "InvalidParameterValueException", "", Resource=arn, Tags={"k" * 129: "1"})
    assert tags(client, arn) == {"key_a": "value_a"}


def test_tags_are_there_after_a_kill(new_hearth):
    server = new_hearth()
    client = checked(server)
    arn = client.create_function(FunctionName="tagged", Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": ECHO})["FunctionArn"]
    client.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    server.kill9()
    server.start()
    assert tags(checked(server), arn) == {"b": "2"}


def test_the_aws_cli_tags(hearth, client, arn):
    def aws(*arguments):
        done = subprocess.run(["/usr/bin/aws", "lambda", *arguments, "--resource", arn, "--endpoint-url", hearth.endpoint,
                               "--output", "json"], env=hearth.env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None
    aws("tag-resource", "--tags", "stage=test,team=blue")
    aws("untag-resource", "--tag-keys", "stage", "key_a")
    assert aws("list-tags") == {"Tags": {"team": "blue"}}
