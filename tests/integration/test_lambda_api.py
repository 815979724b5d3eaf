"""The Lambda API as a specification: what each operation answers and refuses, in AWS's own words. Every answer in this file is also
walked against AWS's model (model_check.py)."""
import base64
import json
import re
import uuid

import pytest

from helpers import ROLE, RawConnection, aws_error, make_zip, node, signed_request
from model_check import check_answer, checked

ECHO = make_zip(node("exports.handler = async (event) => event;"))
OTHER = make_zip(node("exports.handler = async () => 'other';"))
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
NAME_PATTERN = ("(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?"
                "([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?")


def new_name():
    return f"api-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def client(hearth):
    return checked(hearth)


@pytest.fixture
def create(client):
    """Creates functions with the least that is needed, or with more; deletes them afterwards."""
    made = []

    def make(**more):
        arguments = dict(FunctionName=new_name(), Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": ECHO})
        arguments.update(more)
        answer = client.create_function(**{name: value for name, value in arguments.items() if value is not None})
        made.append(answer["FunctionName"])
        return answer
    yield make
    for name in made:
        try:
            client.delete_function(FunctionName=name)
        except client.exceptions.ResourceNotFoundException:
            pass


@pytest.fixture
def function(create):
    return create()["FunctionName"]


def refused(call, code, text, **named):
    refusal = aws_error(call, **named)
    assert refusal.code == code, refusal
    assert text in refusal.message, refusal
    return refusal


def raw(hearth, method, path, body=b"", headers=None):
    with RawConnection(hearth.address) as connection:
        connection.send(signed_request(hearth, method, path, body, headers=headers))
        return connection.answer()


# ---- CreateFunction -------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
def test_a_created_function_is_answered_whole(create):
    answer = create(Description="says back", Timeout=5, MemorySize=256, Environment={"Variables": {"KEY": "value"}})
    name = answer["FunctionName"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert answer["FunctionArn"] == ARN + name
    assert (answer["Runtime"], answer["Handler"], answer["Role"]) == ("nodejs20.x", "index.handler", ROLE)
    assert (answer["Description"], answer["Timeout"], answer["MemorySize"]) == ("says back", 5, 256)
    assert answer["CodeSize"] == len(ECHO)
    assert len(base64.b64decode(answer["CodeSha256"])) == 32
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", answer["LastModified"])
    assert UUID.fullmatch(answer["RevisionId"])
    assert (answer["Version"], answer["State"], answer["LastUpdateStatus"]) == ("$LATEST", "Active", "Successful")
    assert answer["Environment"] == {"Variables": {"KEY": "value"}}
    assert (answer["PackageType"], answer["TracingConfig"]) == ("Zip", {"Mode": "PassThrough"})
    assert answer["EphemeralStorage"] == {"Size": 512}
    assert answer["Architectures"] in (["x86_64"], ["arm64"])


def test_the_waiters_of_every_SDK_are_content_at_once(client, function):
    for name in ("function_exists", "function_active", "function_active_v2", "function_updated", "function_updated_v2"):
        client.get_waiter(name).wait(FunctionName=function, WaiterConfig={"Delay": 1, "MaxAttempts": 1})


def test_a_name_can_be_created_once(create, function):
    refused(create, "ResourceConflictException", f"Function already exist: {function}", FunctionName=function)


@pytest.mark.parametrize("form", ["{}", "function:{}", "000000000000:function:{}", ARN + "{}"])
def test_a_name_may_be_an_arn(create, form):
    name = new_name()
    assert create(FunctionName=form.format(name))["FunctionArn"] == ARN + name


@pytest.mark.parametrize("change, code, text", [
    (dict(FunctionName="my-function!"), "ValidationException", "Value 'my-function!' at 'functionName' failed to satisfy constraint"),
    (dict(FunctionName="invalid:function:name"), "ValidationException", "Member must satisfy regular expression pattern"),
    (dict(FunctionName="a" * 65), "InvalidParameterValueException", "Member must have length less than or equal to 64"),
    (dict(FunctionName="a" * 141), "ValidationException", "Member must have length less than or equal to 140"),
    (dict(FunctionName="arn:aws:lambda:eu-west-1:000000000000:function:f"), "ResourceNotFoundException",
     "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"),
    (dict(FunctionName="123456789012:function:f"), "AccessDeniedException", ""),
    (dict(Role="r1"), "ValidationException", "Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression "
                                             "pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"),
    (dict(Role="arn:aws:iam::123456789012:role/other"), "AccessDeniedException", "Cross-account pass role is not allowed."),
    (dict(Role=None), "ValidationException", "Value null at 'role' failed to satisfy constraint: Member must not be null"),
    (dict(Runtime="non-existent-runtime"), "InvalidParameterValueException",
     "Value non-existent-runtime at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["),
    (dict(Runtime="nodejs14.x"), "InvalidParameterValueException", "The runtime parameter of nodejs14.x is no longer supported"),
    (dict(Runtime="java21"), "InvalidParameterValueException", "is not supported by this server yet"),
    (dict(Runtime=None), "InvalidParameterValueException", "Runtime and Handler are mandatory parameters"),
    (dict(Handler=None), "InvalidParameterValueException", "Runtime and Handler are mandatory parameters"),
    (dict(Handler="a b"), "ValidationException", "Value 'a b' at 'handler'"),
    (dict(Handler="h" * 129), "ValidationException", "Member must have length less than or equal to 128"),
    (dict(Description="d" * 257), "ValidationException", "at 'description' failed to satisfy constraint"),
    (dict(MemorySize=127), "ValidationException", "Value '127' at 'memorySize' failed to satisfy constraint: Member must have value "
                                                  "greater than or equal to 128"),
    (dict(MemorySize=10241), "InvalidParameterValueException", "'MemorySize' value failed to satisfy constraint"),
    (dict(Timeout=0), "ValidationException", "Value '0' at 'timeout'"),
    (dict(Timeout=901), "ValidationException", "less than or equal to 900"),
    (dict(EphemeralStorage={"Size": 511}), "ValidationException", "at 'ephemeralStorage.size'"),
    (dict(EphemeralStorage={"Size": 10241}), "ValidationException", "at 'ephemeralStorage.size'"),
    (dict(Environment={"Variables": {"A": "one letter"}}), "ValidationException",
     "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular "
     "expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"),
    (dict(Environment={"Variables": {"AWS_REGION": "x"}}), "InvalidParameterValueException",
     "reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION"),
    (dict(Environment={"Variables": {"LARGE_VAR": "x" * 4096}}), "InvalidParameterValueException", "exceeded the 4KB limit."),
    (dict(Architectures=["x86_64", "arm64"]), "ValidationException", "Value '[x86_64, arm64]' at 'architectures'"),
    (dict(Architectures=["X86_64"]), "ValidationException", "Member must satisfy enum value set: [x86_64, arm64]"),
    (dict(Tags={f"{i}_key": "v" for i in range(51)}), "InvalidParameterValueException", "Number of tags exceeds resource tag limit."),
    (dict(TracingConfig={"Mode": "On"}), "ValidationException", "at 'tracingConfig.mode'"),
    (dict(PackageType="Tar"), "ValidationException", "Member must satisfy enum value set: [Zip, Image]"),
    (dict(Code={}), "InvalidParameterValueException", "Please provide a source for function code."),
    (dict(Code={"ZipFile": b""}), "InvalidParameterValueException", "Uploaded file must be a non-empty zip"),
    (dict(Code={"ZipFile": b"no zip"}), "InvalidParameterValueException",
     "Could not unzip uploaded file. Please check your file, then try to upload again."),
    (dict(Timeout="3"), "SerializationException", "STRING_VALUE can not be converted to an Integer"),
    (dict(Description=3), "SerializationException", "NUMBER_VALUE can not be converted to a String"),
])
def test_what_is_wrong_is_refused_in_AWSs_words_and_nothing_is_made(create, client, change, code, text):
    name = new_name()
    refused(create, code, text, **{"FunctionName": name, **change})
    assert aws_error(client.get_function, FunctionName=name).code == "ResourceNotFoundException"


def test_violations_are_told_together(create):
    refused(create, "ValidationException", "3 validation errors detected: ", FunctionName="a!", Timeout=0, MemorySize=1)


@pytest.mark.parametrize("change", [
    dict(Code={"S3Bucket": "bucket", "S3Key": "key"}),
    dict(PackageType="Image", Code={"ImageUri": "image"}),
    dict(VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}),
    dict(DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"}),
    dict(FileSystemConfigs=[{"Arn": "arn", "LocalMountPath": "/mnt/a"}]),
    dict(KMSKeyArn="arn:aws:kms:us-east-1:000000000000:key/1"),
    dict(CodeSigningConfigArn="arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000"),
    dict(SnapStart={"ApplyOn": "PublishedVersions"}),
])
def test_what_is_not_there_yet_is_refused_by_name(create, change):
    refused(create, "InvalidParameterValueException", "is not supported by this server yet", **change)


def test_empty_values_of_what_is_not_there_yet_are_accepted(create):
    create(VpcConfig={"SubnetIds": [], "SecurityGroupIds": []}, DeadLetterConfig={"TargetArn": ""}, Layers=[], FileSystemConfigs=[],
           KMSKeyArn="", SnapStart={"ApplyOn": "None"}, Publish=False, Environment={"Variables": {}}, Tags={})


def test_a_body_that_is_no_JSON_and_a_package_that_is_no_base64_are_refused(hearth):
    answer = raw(hearth, "POST", "/2015-03-31/functions", b'{"FunctionName":')
    check_answer("lambda", "CreateFunction", answer.status, dict(answer.headers), answer.body)
    assert (answer.status, answer.header("x-amzn-ErrorType")) == (400, "InvalidRequestContentException")
    assert "Could not parse request body into json" in answer.json()["message"]
    body = {"FunctionName": new_name(), "Runtime": "nodejs20.x", "Handler": "index.handler", "Role": ROLE, "Code": {"ZipFile": "UEsF*"}}
    answer = raw(hearth, "POST", "/2015-03-31/functions", json.dumps(body).encode())
    check_answer("lambda", "CreateFunction", answer.status, dict(answer.headers), answer.body)
    assert answer.header("x-amzn-ErrorType") == "SerializationException"


def test_members_that_the_model_does_not_have_are_ignored(hearth, client):
    name = new_name()
    body = {"FunctionName": name, "Runtime": "nodejs20.x", "Handler": "index.handler", "Role": ROLE, "Surprise": [1],
            "Code": {"ZipFile": base64.b64encode(ECHO).decode()}}
    assert raw(hearth, "POST", "/2015-03-31/functions/", json.dumps(body).encode()).status == 201
    client.delete_function(FunctionName=name)


# ---- GetFunction, GetFunctionConfiguration ---------------------------------------------------------------------------------------

def test_a_function_is_read_with_code_and_tags(client, create):
    created = create(Tags={"team": "a"})
    name = created["FunctionName"]
    answer = client.get_function(FunctionName=name)
    assert answer["Configuration"]["RevisionId"] == created["RevisionId"]
    assert answer["Code"]["RepositoryType"] == "S3" and answer["Code"]["Location"].startswith("http")
    assert answer["Tags"] == {"team": "a"}
    configuration = client.get_function_configuration(FunctionName=name)
    configuration.pop("ResponseMetadata")
    assert configuration == answer["Configuration"]


def test_tags_and_environment_are_left_out_when_there_are_none(client, function):
    answer = client.get_function(FunctionName=function)
    assert "Tags" not in answer
    assert "Environment" not in answer["Configuration"]


def test_with_LATEST_the_arn_is_qualified(client, function):
    wanted = ARN + function + ":$LATEST"
    assert client.get_function(FunctionName=function, Qualifier="$LATEST")["Configuration"]["FunctionArn"] == wanted
    assert client.get_function_configuration(FunctionName=wanted)["FunctionArn"] == wanted


@pytest.mark.parametrize("operation", ["get_function", "get_function_configuration"])
def test_what_is_not_there_is_not_found(client, function, operation):
    read = getattr(client, operation)
    refused(read, "ResourceNotFoundException", f"Function not found: {ARN}nobody", FunctionName="nobody")
    refused(read, "ResourceNotFoundException", f"Function not found: {ARN}{function}:1221", FunctionName=function, Qualifier="1221")
    refused(read, "ResourceNotFoundException", f"Function not found: {ARN}{function}:live", FunctionName=f"{function}:live")
    refused(read, "ResourceNotFoundException", "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
            FunctionName="arn:aws:lambda:eu-west-1:000000000000:function:f")
    refused(read, "InvalidParameterValueException", "The derived qualifier from the function name does not match the specified qualifier.",
            FunctionName=f"{function}:$LATEST", Qualifier="1")
    refused(read, "AccessDeniedException", "is not authorized to perform: lambda:G", FunctionName="123456789012:function:f")


@pytest.mark.parametrize("name", ["*", "my-function!", "arn:aws:ec2:us-east-1:000000000000:instance:i-1", ARN + "f:1:2"])
def test_a_name_that_is_none_fails_the_pattern(client, name):
    refused(client.get_function, "ValidationException",
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: Member must satisfy regular "
            f"expression pattern: {NAME_PATTERN}", FunctionName=name)


def test_a_bad_qualifier_fails_its_own_pattern_and_length(client, function):
    refused(client.get_function, "ValidationException", "pattern: \\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+", FunctionName=function,
            Qualifier="invalid!")
    refused(client.get_function, "ValidationException", "at 'qualifier' failed to satisfy constraint: Member must have length less than "
                                                        "or equal to 128", FunctionName=function, Qualifier="a" * 129)


# ---- updates ---------------------------------------------------------------------------------------------------------------------

def test_a_configuration_update_changes_what_it_names(client, create):
    created = create(Environment={"Variables": {"OLD": "1"}}, Tags={"team": "a"})
    name = created["FunctionName"]
    answer = client.update_function_configuration(FunctionName=name, Timeout=10, Description="new", Handler="other.handler",
                                                  MemorySize=512, EphemeralStorage={"Size": 1024}, TracingConfig={"Mode": "Active"},
                                                  Environment={"Variables": {"NEW": "2"}})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (answer["Timeout"], answer["Description"], answer["Handler"], answer["MemorySize"]) == (10, "new", "other.handler", 512)
    assert answer["Environment"]["Variables"] == {"NEW": "2"}
    assert (answer["EphemeralStorage"], answer["TracingConfig"]) == ({"Size": 1024}, {"Mode": "Active"})
    assert (answer["Runtime"], answer["CodeSha256"]) == (created["Runtime"], created["CodeSha256"])
    assert answer["RevisionId"] != created["RevisionId"]
    assert answer["LastModified"] >= created["LastModified"]
    again = client.get_function(FunctionName=name)
    assert again["Configuration"]["RevisionId"] == answer["RevisionId"]
    assert again["Tags"] == {"team": "a"}


def test_an_environment_can_be_taken_away(client, create):
    name = create(Environment={"Variables": {"OLD": "1"}})["FunctionName"]
    assert "Environment" in client.update_function_configuration(FunctionName=name, Timeout=4)
    assert "Environment" not in client.update_function_configuration(FunctionName=name, Environment={"Variables": {}})


def test_code_is_replaced(client, function):
    before = client.get_function_configuration(FunctionName=function)
    answer = client.update_function_code(FunctionName=function, ZipFile=OTHER)
    assert answer["CodeSize"] == len(OTHER)
    assert answer["CodeSha256"] != before["CodeSha256"]
    assert answer["RevisionId"] != before["RevisionId"]
    assert json.load(client.invoke(FunctionName=function)["Payload"]) == "other"


def test_a_dry_run_changes_nothing(client, function):
    before = client.get_function_configuration(FunctionName=function)
    answer = client.update_function_code(FunctionName=function, ZipFile=OTHER, DryRun=True)
    assert answer["FunctionName"] == function
    after = client.get_function_configuration(FunctionName=function)
    assert (after["CodeSha256"], after["RevisionId"]) == (before["CodeSha256"], before["RevisionId"])
    refused(client.update_function_code, "InvalidParameterValueException", "Could not unzip uploaded file", FunctionName=function,
            ZipFile=b"no zip", DryRun=True)


def test_the_same_code_keeps_its_hash(client, function):
    before = client.get_function_configuration(FunctionName=function)
    assert client.update_function_code(FunctionName=function, ZipFile=ECHO)["CodeSha256"] == before["CodeSha256"]


def test_a_revision_guards_an_update(client, function):
    revision = client.get_function_configuration(FunctionName=function)["RevisionId"]
    for update, change in ((client.update_function_configuration, dict(Timeout=7)), (client.update_function_code, dict(ZipFile=OTHER))):
        refusal = refused(update, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the "
                          "GetFunction/GetAlias API to retrieve the latest Revision Id", FunctionName=function, RevisionId="wrong", **change)
        assert refusal.status == 412
        revision = update(FunctionName=function, RevisionId=revision, **change)["RevisionId"]


@pytest.mark.parametrize("change, code, text", [
    (dict(Role="r1"), "ValidationException", "Value 'r1' at 'role'"),
    (dict(Runtime="non-existent-runtime"), "InvalidParameterValueException", "Value non-existent-runtime at 'runtime'"),
    (dict(Timeout=901), "ValidationException", "Value '901' at 'timeout'"),
    (dict(Environment={"Variables": {"_HANDLER": "x"}}), "ValidationException", "Map keys must satisfy constraint"),
    (dict(Environment={"Variables": {"LAMBDA_TASK_ROOT": "x"}}), "InvalidParameterValueException", "LAMBDA_TASK_ROOT"),
    (dict(Layers=["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]), "InvalidParameterValueException",
     "Layer version arn:aws:lambda:us-east-1:000000000000:layer:l:1 does not exist."),
])
def test_an_update_refuses_what_creation_refuses_and_changes_nothing(client, function, change, code, text):
    before = client.get_function_configuration(FunctionName=function)["RevisionId"]
    refused(client.update_function_configuration, code, text, FunctionName=function, Description="changed", **change)
    assert client.get_function_configuration(FunctionName=function)["RevisionId"] == before


def test_updates_of_what_is_not_there_are_not_found(client, function):
    refused(client.update_function_configuration, "ResourceNotFoundException", f"Function not found: {ARN}nobody", FunctionName="nobody")
    refused(client.update_function_code, "ResourceNotFoundException", f"Function not found: {ARN}nobody", FunctionName="nobody",
            ZipFile=ECHO)
    refused(client.update_function_configuration, "InvalidParameterValueException", "Aliases and versions do not support this operation.",
            FunctionName=f"{function}:1", Timeout=4)


# ---- DeleteFunction --------------------------------------------------------------------------------------------------------------

def test_a_deleted_function_is_gone(client, create):
    name = create()["FunctionName"]
    assert client.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    for operation in ("get_function", "get_function_configuration", "delete_function"):
        refused(getattr(client, operation), "ResourceNotFoundException", f"Function not found: {ARN}{name}", FunctionName=name)
    refused(client.invoke, "ResourceNotFoundException", f"Function not found: {ARN}{name}:$LATEST", FunctionName=name)
    create(FunctionName=name)


def test_versions_and_aliases_cannot_be_deleted_and_the_function_stays(client, function):
    refused(client.delete_function, "InvalidParameterValueException", "$LATEST version cannot be deleted without deleting the function.",
            FunctionName=function, Qualifier="$LATEST")
    refused(client.delete_function, "InvalidParameterValueException", "Deletion of aliases is not currently supported.",
            FunctionName=function, Qualifier="live")
    client.delete_function(FunctionName=function, Qualifier="1233")     # on AWS too: a version that is not there
    client.get_function(FunctionName=function)


# ---- ListFunctions ---------------------------------------------------------------------------------------------------------------

def test_pages_hold_every_function_once(client, create):
    names = {create()["FunctionName"] for _ in range(5)}
    for size in (1, 2, 50, 10000):
        pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": size}))
        seen = [f["FunctionName"] for page in pages for f in page["Functions"]]
        assert len(seen) == len(set(seen))
        assert names <= set(seen)
        assert all(len(page["Functions"]) <= min(size, 50) for page in pages)
        assert all("NextMarker" not in page for page in pages[-1:])


def test_a_list_leaves_states_out_as_AWS_does(client, create):
    create()
    for each in client.list_functions()["Functions"]:
        assert not {"State", "LastUpdateStatus", "StateReason"} & set(each)


def test_all_versions_have_qualified_arns(client, function):
    arns = [f["FunctionArn"] for page in client.get_paginator("list_functions").paginate(FunctionVersion="ALL") for f in page["Functions"]]
    assert f"{ARN}{function}:$LATEST" in arns


def test_bad_list_parameters_are_refused(client):
    refused(client.list_functions, "ValidationException", "Value 'invalid' at 'functionVersion' failed to satisfy constraint: Member must "
                                                          "satisfy enum value set: [ALL]", FunctionVersion="invalid")
    refused(client.list_functions, "ValidationException", "Value '0' at 'maxItems'", MaxItems=0)
    refused(client.list_functions, "ValidationException", "Value '10001' at 'maxItems'", MaxItems=10001)
    refused(client.list_functions, "InvalidParameterValueException", "Marker", Marker="nonsense!")


# ---- Invoke ----------------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
def test_an_invocation_gives_payload_version_and_headers(client, function):
    answer = client.invoke(FunctionName=function, Payload=b'{"a": [1, "\xc3\xa9"]}')
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer and "LogResult" not in answer
    assert json.load(answer["Payload"]) == {"a": [1, "é"]}
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/json"
    assert headers["x-amzn-remapped-content-length"] == "0"
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", headers["x-amzn-trace-id"])
    assert UUID.fullmatch(answer["ResponseMetadata"]["RequestId"])


def test_no_payload_is_an_empty_object_for_the_handler(client, function):
    assert json.load(client.invoke(FunctionName=function)["Payload"]) == {}


def test_the_tail_of_the_log_is_there_when_it_is_asked_for(client, function):
    tail = base64.b64decode(client.invoke(FunctionName=function, LogType="Tail")["LogResult"]).decode()
    assert "START RequestId: " in tail and "REPORT RequestId: " in tail


def test_an_error_of_the_handler_is_Unhandled(client, create):
    name = create(Code={"ZipFile": make_zip(node("exports.handler = async () => { throw new TypeError('no'); };"))})["FunctionName"]
    answer = client.invoke(FunctionName=name)
    assert (answer["StatusCode"], answer["FunctionError"], answer["ExecutedVersion"]) == (200, "Unhandled", "$LATEST")
    assert json.load(answer["Payload"])["errorType"] == "TypeError"


@pytest.mark.parametrize("form", ["{}", "{}:$LATEST", "function:{}", "000000000000:function:{}", ARN + "{}", ARN + "{}:$LATEST"])
def test_every_form_of_a_name_is_invoked(client, function, form):
    assert json.load(client.invoke(FunctionName=form.format(function), Payload=b"1")["Payload"]) == 1


def test_a_qualifier_of_LATEST_is_invoked_and_others_are_not_found(client, function):
    assert client.invoke(FunctionName=function, Qualifier="$LATEST")["StatusCode"] == 200
    refused(client.invoke, "ResourceNotFoundException", f"Function not found: {ARN}{function}:live", FunctionName=function, Qualifier="live")
    refused(client.invoke, "ResourceNotFoundException", f"Function not found: {ARN}doesnotexist:$LATEST", FunctionName="doesnotexist")


def test_a_dry_run_answers_204(client, function):
    answer = client.invoke(FunctionName=function, InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert answer["Payload"].read() == b""
    refused(client.invoke, "ResourceNotFoundException", "doesnotexist", FunctionName="doesnotexist", InvocationType="DryRun")


def test_unknown_invocation_and_log_types_are_refused(client, function):
    refused(client.invoke, "ValidationException", "Value 'Later' at 'invocationType'", FunctionName=function, InvocationType="Later")
    refused(client.invoke, "ValidationException", "Value 'All' at 'logType'", FunctionName=function, LogType="All")


@pytest.mark.parametrize("payload, text", [
    (b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt", "Invalid UTF-8 start byte 0x87\n at [Source: REDACTED "
     "(`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 3]"),          # recorded from AWS
    (b"\x99\xeb,j\x07\xa1zYh", "Unexpected character ((CTRL-CHAR, code 153)): expected a valid value (JSON String, Number, Array, Object or "
     "token 'null', 'true' or 'false')\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, "
     "column: 1]"),                                                                               # recorded from AWS
    (b"hello", "Unrecognized token 'hello'"),
    (b'{"a":1', "Unexpected end-of-input"),
    (b"{'a': 1}", "was expecting double-quote to start field name"),
])
def test_a_payload_that_is_no_JSON_is_refused(client, function, payload, text):
    refusal = refused(client.invoke, "InvalidRequestContentException", text, FunctionName=function, Payload=payload)
    assert refusal.message.startswith("Could not parse request body into json: Could not parse payload into json: ")
    assert refusal.status == 400


def test_a_payload_over_6_MB_is_refused(client, function):
    refusal = refused(client.invoke, "RequestEntityTooLargeException",
                      "Request must be smaller than 6291456 bytes for the InvokeFunction operation", FunctionName=function,
                      Payload=b'"' + b"x" * 6291455 + b'"')
    assert refusal.status == 413


def test_a_client_context_reaches_the_handler(client, create):
    name = create(Code={"ZipFile": make_zip(node("exports.handler = async (e, c) => c.clientContext;"))})["FunctionName"]
    context = {"custom": {"a": "b"}, "client": {"app_title": "t"}}
    answer = client.invoke(FunctionName=name, ClientContext=base64.b64encode(json.dumps(context).encode()).decode())
    assert json.load(answer["Payload"]) == context


@pytest.mark.parametrize("context, text", [
    ("bm8=", "Client context must be a valid Base64-encoded JSON object."),
    ("%%%", "Client context must be a valid Base64-encoded JSON object."),
    ("e30=" + "A" * 3583, "Client context must be no more than 3583 bytes."),
])
def test_a_bad_client_context_is_refused(client, function, context, text):
    refused(client.invoke, "InvalidRequestContentException", text, FunctionName=function, ClientContext=context)


def test_a_trace_header_is_passed_on_to_the_handler_and_back(hearth, client, create):
    name = create(Code={"ZipFile": make_zip(node("exports.handler = async () => process.env._X_AMZN_TRACE_ID;"))})["FunctionName"]
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    answer = raw(hearth, "POST", f"/2015-03-31/functions/{name}/invocations", b"{}", headers={"X-Amzn-Trace-Id": trace})
    assert answer.status == 200
    assert answer.header("X-Amzn-Trace-Id") == trace
    assert answer.json() == trace


# ---- GetAccountSettings ----------------------------------------------------------------------------------------------------------

def test_account_settings_tell_AWSs_limits_and_what_is_used(client, create):
    before = client.get_account_settings()["AccountUsage"]
    create()
    answer = client.get_account_settings()
    limit = answer["AccountLimit"]
    assert (limit["TotalCodeSize"], limit["CodeSizeUnzipped"], limit["CodeSizeZipped"]) == (80530636800, 262144000, 52428800)
    assert 10 <= limit["ConcurrentExecutions"] <= 1000
    assert limit["UnreservedConcurrentExecutions"] == limit["ConcurrentExecutions"]
    assert answer["AccountUsage"]["FunctionCount"] == before["FunctionCount"] + 1
    assert answer["AccountUsage"]["TotalCodeSize"] >= len(ECHO)


# ---- what is not there -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("operation, arguments", [
    ("list_event_source_mappings", {}), ("list_code_signing_configs", {}), ("list_provisioned_concurrency_configs", {"FunctionName": "f"}),
])
def test_operations_that_are_not_there_yet_say_so_and_never_succeed(client, operation, arguments):
    assert aws_error(getattr(client, operation), **arguments).code == "UnknownOperationException"
