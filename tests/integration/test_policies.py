"""Resource policies of functions, their versions and aliases, and of layer versions: kept, told and validated as on AWS."""
import concurrent.futures
import json

import pytest

from helpers import NODE, aws_error, make_zip, node
from model_check import checked

ACCOUNT = "000000000000"
GETS_POLICY = "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id"
DUPLICATE = "The statement id ({}) provided already exists. Please provide a new statement id, or remove the existing statement."


@pytest.fixture
def client(hearth):
    return checked(hearth)


@pytest.fixture
def function(hearth):
    return hearth.deploy(node("exports.handler = async () => 1"), runtime=NODE).name


def arn_of(function, qualifier=None):
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{function}" + (f":{qualifier}" if qualifier else "")


def permit(client, function, sid="s3", **more):
    arguments = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", **more}
    return json.loads(client.add_permission(FunctionName=function, StatementId=sid, **arguments)["Statement"])


def statements(client, function, **more):
    return json.loads(client.get_policy(FunctionName=function, **more)["Policy"])["Statement"]


# ---- functions ----------------------------------------------------------------------------------------------------------------

def test_a_statement_reads_as_aws_writes_it(client, function):
    answer = client.add_permission(FunctionName=function, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                                   SourceArn="arn:aws:s3:::bucket", SourceAccount="123456789012")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    text = ('{"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"'
            + arn_of(function) + '","Condition":{"StringEquals":{"AWS:SourceAccount":"123456789012"},"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::bucket"}}}')
    assert answer["Statement"] == text
    policy = client.get_policy(FunctionName=function)
    assert policy["Policy"] == '{"Version":"2012-10-17","Id":"default","Statement":[' + text + "]}" and policy["RevisionId"]


@pytest.mark.parametrize("principal, rendered", [
    ("*", "*"),
    ("logs.amazonaws.com", {"Service": "logs.amazonaws.com"}),
    ("alexa-appkit.amazon.com", {"Service": "alexa-appkit.amazon.com"}),
    ("123456789012", {"AWS": "arn:aws:iam::123456789012:root"}),
    ("arn:aws:iam::123456789012:user/someone", {"AWS": "arn:aws:iam::123456789012:user/someone"}),
    ("arn:aws:sts::123456789012:assumed-role/role/session", {"AWS": "arn:aws:sts::123456789012:assumed-role/role/session"}),
])
def test_principals_are_services_accounts_identities_or_everybody(client, function, principal, rendered):
    assert permit(client, function, Principal=principal)["Principal"] == rendered


@pytest.mark.parametrize("more, condition", [
    ({"EventSourceToken": "amzn1.ask.skill.x-1"}, {"StringEquals": {"lambda:EventSourceToken": "amzn1.ask.skill.x-1"}}),
    ({"PrincipalOrgID": "o-1234567890"}, {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}),
    ({"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"}, {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}),
    ({"InvokedViaFunctionUrl": True}, {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
    ({"Action": "lambda:*"}, None), ({"Action": "*"}, None),
])
def test_conditions_come_from_the_members(hearth, function, more, condition):
    """The members that Debian's botocore does not know yet are sent by hand."""
    from helpers import RawConnection, signed_request
    body = json.dumps({"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*", **more}).encode()
    with RawConnection(hearth.address) as raw:
        answer = raw.send(signed_request(hearth, "POST", f"/2015-03-31/functions/{function}/policy", body)).answer()
    assert answer.status == 201, answer
    assert json.loads(answer.json()["Statement"]).get("Condition") == condition


def test_each_qualifier_has_a_policy_of_its_own(client, function):
    client.publish_version(FunctionName=function)
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    for qualifier in (None, "1", "live"):
        more = {"Qualifier": qualifier} if qualifier else {}
        assert permit(client, function, **more)["Resource"] == arn_of(function, qualifier)
    permit(client, f"{function}:live", "second")
    assert [len(statements(client, function, **more)) for more in ({}, {"Qualifier": "1"}, {"Qualifier": "live"})] == [1, 1, 2]
    client.delete_alias(FunctionName=function, Name="live")
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    refused = aws_error(client.get_policy, FunctionName=function, Qualifier="live")
    assert refused.code == "ResourceNotFoundException", "the policy went with its alias"
    client.delete_function(FunctionName=function)
    client.create_function(FunctionName=function, Runtime=NODE, Handler="index.handler", Role=f"arn:aws:iam::{ACCOUNT}:role/hearth-basic",
                           Code={"ZipFile": make_zip(node("exports.handler = async () => 1"))})
    assert aws_error(client.get_policy, FunctionName=function).code == "ResourceNotFoundException", "and with the function"


def test_removing_the_last_statement_removes_the_policy(client, function):
    permit(client, function, "one")
    permit(client, function, "two", Principal="sqs.amazonaws.com")
    refused = aws_error(client.remove_permission, FunctionName=function, StatementId="non-existent")
    assert (refused.code, refused.status) == ("ResourceNotFoundException", 404)
    assert refused.message == "Statement non-existent is not found in resource policy."
    assert client.remove_permission(FunctionName=function, StatementId="one")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert [s["Sid"] for s in statements(client, function)] == ["two"]
    client.remove_permission(FunctionName=function, StatementId="two")
    assert aws_error(client.get_policy, FunctionName=function).message == "The resource you requested does not exist."
    assert aws_error(client.remove_permission, FunctionName=function, StatementId="two").message == "No policy is associated with the given resource."


@pytest.mark.parametrize("call, code, text", [
    (lambda c, f: permit(c, f, "example.com"), "ValidationException",
     "1 validation error detected: Value 'example.com' at 'statementId' failed to satisfy constraint: Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"),
    (lambda c, f: permit(c, f, "s" * 101), "ValidationException", "at 'statementId' failed to satisfy constraint: Member must have length less than or equal to 100"),
    (lambda c, f: permit(c, f, Action="s3:Get"), "ValidationException", "Value 's3:Get' at 'action' failed to satisfy constraint: Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])"),
    (lambda c, f: permit(c, f, Principal="a b"), "ValidationException", "at 'principal'"),
    (lambda c, f: permit(c, f, Principal="invalid.nonaws.com"), "InvalidParameterValueException", "The provided principal was invalid. Please check the principal and try again."),
    (lambda c, f: permit(c, f, SourceArn="bucket"), "ValidationException", "Value 'bucket' at 'sourceArn' failed to satisfy constraint"),
    (lambda c, f: permit(c, f, SourceAccount="12"), "ValidationException", "Value '12' at 'sourceAccount' failed to satisfy constraint: Member must satisfy regular expression pattern: \\d{12}"),
    (lambda c, f: permit(c, f, EventSourceToken="a b"), "ValidationException", "at 'eventSourceToken'"),
    (lambda c, f: permit(c, f, PrincipalOrgID="x"), "ValidationException", "at 'principalOrgID'"),
    (lambda c, f: permit(c, f, FunctionUrlAuthType="NONE"), "InvalidParameterValueException", "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"),
    (lambda c, f: permit(c, f, Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="SOME"), "ValidationException", "Member must satisfy enum value set: [NONE, AWS_IAM]"),
    (lambda c, f: permit(c, f, Qualifier="$LATEST"), "InvalidParameterValueException", "We currently do not support adding policies for $LATEST."),
    (lambda c, f: permit(c, f + ":a", Qualifier="b"), "InvalidParameterValueException", "The derived qualifier from the function name does not match the specified qualifier."),
    (lambda c, f: permit(c, f, Qualifier="a?b"), "ValidationException", "at 'qualifier' failed to satisfy constraint"),
    (lambda c, f: permit(c, f, Qualifier="none"), "ResourceNotFoundException", "Cannot find alias arn: arn:aws:lambda:us-east-1:000000000000:function:{}:none"),
    (lambda c, f: permit(c, f, Qualifier="42"), "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:{}:42"),
    (lambda c, f: permit(c, f, Qualifier="with-$"), "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:{}:with-$"),
    (lambda c, f: permit(c, "doesnotexist"), "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:doesnotexist"),
    (lambda c, f: permit(c, f, RevisionId="00000000-0000-0000-0000-000000000000"), "PreconditionFailedException", GETS_POLICY),
    (lambda c, f: c.get_policy(FunctionName="doesnotexist"), "ResourceNotFoundException", "The resource you requested does not exist."),
    (lambda c, f: c.get_policy(FunctionName=f, Qualifier="42"), "ResourceNotFoundException", "The resource you requested does not exist."),
    (lambda c, f: c.remove_permission(FunctionName=f, StatementId="s"), "ResourceNotFoundException", "No policy is associated with the given resource."),
    (lambda c, f: c.remove_permission(FunctionName="doesnotexist", StatementId="s"), "ResourceNotFoundException",
     "No policy found for: arn:aws:lambda:us-east-1:000000000000:function:doesnotexist"),
    (lambda c, f: c.remove_permission(FunctionName=f, StatementId="s", Qualifier="none"), "ResourceNotFoundException", "Cannot find alias arn: "),
    (lambda c, f: c.add_permission(FunctionName=f), "ValidationException", "3 validation errors detected: Value null at 'statementId' failed to satisfy constraint: Member must not be null"),
])
def test_refusals_are_aws_s(client, function, call, code, text):
    refused = aws_error(call, client, function)
    assert refused.code == code and text.replace("{}", function) in refused.message


def test_a_statement_id_is_there_once(client, function):
    permit(client, function)
    refused = aws_error(permit, client, function, Principal="sqs.amazonaws.com")
    assert (refused.code, refused.status, refused.message) == ("ResourceConflictException", 409, DUPLICATE.format("s3"))


def test_a_revision_must_be_the_function_s_or_the_policy_s(client, function):
    permit(client, function, "one", RevisionId=client.get_function_configuration(FunctionName=function)["RevisionId"])
    first = client.get_policy(FunctionName=function)["RevisionId"]
    permit(client, function, "two", RevisionId=first)
    for call, more in ((permit, {"sid": "three"}), ):
        refused = aws_error(call, client, function, RevisionId=first, **more)
        assert (refused.code, refused.status, refused.message) == ("PreconditionFailedException", 412, GETS_POLICY)
    refused = aws_error(client.remove_permission, FunctionName=function, StatementId="two", RevisionId=first)
    assert refused.code == "PreconditionFailedException"
    client.remove_permission(FunctionName=function, StatementId="two", RevisionId=client.get_policy(FunctionName=function)["RevisionId"])
    assert [s["Sid"] for s in statements(client, function)] == ["one"]


def test_a_policy_has_at_most_20480_bytes(client, function):
    refused, count = None, 0
    while refused is None:
        try:
            permit(client, function, f"statement-{count}", SourceArn="arn:aws:s3:::" + "b" * 900)
            count += 1
            assert count < 40
        except client.exceptions.PolicyLengthExceededException as error:
            refused = error.response
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert refused["Error"]["Message"].startswith("The final policy size (") and refused["Error"]["Message"].endswith(") is bigger than the limit (20480).")
    assert len(client.get_policy(FunctionName=function)["Policy"]) <= 20480 and len(statements(client, function)) == count


def test_changes_at_once_are_all_kept(hearth, function):
    client = hearth.lambda_client
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda i: permit(client, function, f"s{i}"), range(30)))
        assert sorted(s["Sid"] for s in statements(client, function)) == sorted(f"s{i}" for i in range(30))
        list(pool.map(lambda i: client.remove_permission(FunctionName=function, StatementId=f"s{i}"), range(30)))
    assert aws_error(client.get_policy, FunctionName=function).code == "ResourceNotFoundException"


def test_policies_survive_kill_9(new_hearth):
    server = new_hearth()
    name = server.deploy(node("exports.handler = async () => 1"), runtime=NODE).name
    permit(checked(server), name, SourceAccount="123456789012")
    before = checked(server).get_policy(FunctionName=name)
    server.kill9()
    server.start()
    after = checked(server).get_policy(FunctionName=name)
    assert (after["Policy"], after["RevisionId"]) == (before["Policy"], before["RevisionId"])


# ---- layer versions -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def layer(client, request):
    name = "policy-" + str(abs(hash(request.node.name)))
    client.publish_layer_version(LayerName=name, Content={"ZipFile": make_zip({"lib/a": "a"})})
    return name


def share(client, layer, sid="s1", version=1, **more):
    arguments = {"Action": "lambda:GetLayerVersion", "Principal": "*", **more}
    return client.add_layer_version_permission(LayerName=layer, VersionNumber=version, StatementId=sid, **arguments)


def test_a_layer_version_s_policy_lives_as_on_aws(client, layer):
    resource = f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:{layer}:1"
    added = share(client, layer)
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    text = '{"Sid":"s1","Effect":"Allow","Principal":"*","Action":"lambda:GetLayerVersion","Resource":"' + resource + '"}'
    assert added["Statement"] == text
    policy = client.get_layer_version_policy(LayerName=layer, VersionNumber=1)
    assert policy["Policy"] == '{"Version":"2012-10-17","Id":"default","Statement":[' + text + "]}" and policy["RevisionId"] == added["RevisionId"]
    second = share(client, layer, "s2", Principal="123456789012", OrganizationId="o-1234567890", RevisionId=added["RevisionId"])
    assert json.loads(second["Statement"])["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert json.loads(second["Statement"])["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}
    removed = client.remove_layer_version_permission(LayerName=layer, VersionNumber=1, StatementId="s2", RevisionId=second["RevisionId"])
    assert removed["ResponseMetadata"]["HTTPStatusCode"] == 204
    client.remove_layer_version_permission(LayerName=layer, VersionNumber=1, StatementId="s1")
    assert aws_error(client.get_layer_version_policy, LayerName=layer, VersionNumber=1).message == "No policy is associated with the given resource."
    share(client, layer)


@pytest.mark.parametrize("call, code, text", [
    (lambda c, n: c.get_layer_version_policy(LayerName=n, VersionNumber=1), "ResourceNotFoundException", "No policy is associated with the given resource."),
    (lambda c, n: share(c, n, Action="*"), "ValidationException",
     "1 validation error detected: Value '*' at 'action' failed to satisfy constraint: Member must satisfy regular expression pattern: lambda:GetLayerVersion"),
    (lambda c, n: share(c, n, Principal="someone"), "ValidationException", "Value 'someone' at 'principal'"),
    (lambda c, n: share(c, n, OrganizationId="x"), "ValidationException", "at 'organizationId'"),
    (lambda c, n: share(c, n, RevisionId="wrong"), "PreconditionFailedException", "Call the GetLayerPolicy API to retrieve the latest Revision Id"),
    (lambda c, n: share(c, n + "-none"), "ResourceNotFoundException", "Layer version arn:aws:lambda:us-east-1:000000000000:layer:{}-none:1 does not exist."),
    (lambda c, n: share(c, n, version=2), "ResourceNotFoundException", "Layer version arn:aws:lambda:us-east-1:000000000000:layer:{}:2 does not exist."),
    (lambda c, n: c.get_layer_version_policy(LayerName=n, VersionNumber=2), "ResourceNotFoundException", "Layer version arn:aws:lambda:us-east-1:000000000000:layer:{}:2 does not exist."),
    (lambda c, n: c.remove_layer_version_permission(LayerName=n, VersionNumber=2, StatementId="s"), "ResourceNotFoundException",
     "Layer version arn:aws:lambda:us-east-1:000000000000:layer:{}:2 does not exist."),
    (lambda c, n: [share(c, n), share(c, n)], "ResourceConflictException", DUPLICATE.format("s1")),
    (lambda c, n: [share(c, n), c.remove_layer_version_permission(LayerName=n, VersionNumber=1, StatementId="none")], "ResourceNotFoundException",
     "Statement none is not found in resource policy."),
])
def test_refusals_for_layers_are_aws_s(client, layer, call, code, text):
    refused = aws_error(call, client, layer)
    assert refused.code == code and text.replace("{}", layer) in refused.message


def test_changes_of_a_layer_s_policy_at_once_are_all_kept(hearth, layer):
    client = hearth.lambda_client
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: share(client, layer, f"s{i}"), range(16)))
    policy = json.loads(client.get_layer_version_policy(LayerName=layer, VersionNumber=1)["Policy"])
    assert sorted(s["Sid"] for s in policy["Statement"]) == sorted(f"s{i}" for i in range(16))
