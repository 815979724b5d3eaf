"""Layers: published, listed, read and deleted as AWS does it, and merged on /opt of the functions that name them."""
import concurrent.futures
import json
import os
import subprocess

import pytest

from helpers import NODE, aws_error, make_zip, wait_until
from model_check import checked

PYTHON = "python3.11"
NODE_READS = "exports.handler = async (event) => require(event.name)"
PYTHON_RUNS = "def handler(event, context):\n    scope = {}\n    exec(event['code'], scope)\n    return scope['out']\n"
ARN = "arn:aws:lambda:us-east-1:000000000000:layer:"


@pytest.fixture
def client(hearth):
    return checked(hearth)


@pytest.fixture
def name(request):
    return request.node.name.replace("[", "-").replace("]", "").replace(".", "-")[:100]


def publish(client, name, files=None, **more):
    return client.publish_layer_version(LayerName=name, Content={"ZipFile": make_zip(files or {"lib/a.txt": "a"})}, **more)


def layer_arns(client, function):
    return [layer["Arn"] for layer in client.get_function_configuration(FunctionName=function).get("Layers", [])]


def result(function, event):
    return function(event, client=function.hearth.lambda_client).ok()


def packages(server):
    return sorted(path.name for path in (server.data / "code").iterdir())


def python_function(server, layers, **more):
    return server.deploy({"lambda_function.py": PYTHON_RUNS}, runtime=PYTHON, handler="lambda_function.handler", Layers=layers, **more)


# ---- the API ------------------------------------------------------------------------------------------------------------------

def test_a_published_version_is_told_as_aws_tells_it(client, name):
    answer = publish(client, name, Description="what it is", LicenseInfo="MIT", CompatibleRuntimes=["nodejs20.x", "python3.14", "go1.x"],
                     CompatibleArchitectures=["x86_64", "arm64"])
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert answer["LayerArn"] == ARN + name and answer["LayerVersionArn"] == f"{ARN}{name}:1" and answer["Version"] == 1
    assert answer["Description"] == "what it is" and answer["LicenseInfo"] == "MIT"
    assert answer["CompatibleRuntimes"] == ["nodejs20.x", "python3.14", "go1.x"]
    assert answer["CompatibleArchitectures"] == ["x86_64", "arm64"]
    assert answer["Content"]["CodeSize"] == len(make_zip({"lib/a.txt": "a"})) and answer["Content"]["Location"].startswith("http://")
    for again in (client.get_layer_version(LayerName=name, VersionNumber=1), client.get_layer_version_by_arn(Arn=f"{ARN}{name}:1"),
                  client.get_layer_version(LayerName=ARN + name, VersionNumber=1)):
        for one in (again, answer):
            one.pop("ResponseMetadata", None)
            one["Content"].pop("Location", None)
        assert again == answer


def test_what_was_not_said_is_left_out_and_an_empty_list_is_one(client, name):
    answer = publish(client, name, CompatibleRuntimes=[])
    assert answer["Description"] == "" and answer["CompatibleRuntimes"] == []
    assert "LicenseInfo" not in answer and "CompatibleArchitectures" not in answer


def test_numbers_never_come_back(client, name):
    assert [publish(client, name)["Version"] for _ in range(2)] == [1, 2]
    for version in (1, 2, 2, 9):
        assert client.delete_layer_version(LayerName=name, VersionNumber=version)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.list_layer_versions(LayerName=name)["LayerVersions"] == []
    assert publish(client, name)["Version"] == 3


def test_names_of_140_characters_are_allowed_and_no_longer_ones(client):
    assert publish(client, "n" * 64)["Version"] >= 1
    refused = aws_error(publish, client, "n" * 141)
    assert refused.code == "ValidationException" and "at 'layerName' failed to satisfy constraint: Member must have length less than or equal to 140" in refused.message
    refused = aws_error(publish, client, "a.b")
    assert refused.code == "ValidationException" and "[a-zA-Z0-9-_]+" in refused.message


def test_lists_give_the_newest_that_fits_in_order_of_name(hearth, new_hearth):
    client = checked(new_hearth())
    assert client.list_layers()["Layers"] == []
    publish(client, "b", CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["x86_64"])
    publish(client, "b", CompatibleRuntimes=["nodejs20.x"], CompatibleArchitectures=["arm64"])
    publish(client, "a")
    publish(client, "c", CompatibleRuntimes=["python3.12", "nodejs20.x"])

    def listed(**filters):
        return [(layer["LayerName"], layer["LatestMatchingVersion"]["Version"]) for layer in client.list_layers(**filters)["Layers"]]
    assert listed() == [("a", 1), ("b", 2), ("c", 1)]
    assert listed(CompatibleRuntime="python3.12") == [("b", 1), ("c", 1)]
    assert listed(CompatibleArchitecture="arm64") == [("b", 2)]
    assert listed(CompatibleArchitecture="arm64", CompatibleRuntime="python3.12") == []
    first = client.list_layers(MaxItems=2)
    assert [layer["LayerName"] for layer in first["Layers"]] == ["a", "b"]
    rest = client.list_layers(MaxItems=2, Marker=first["NextMarker"])
    assert [layer["LayerName"] for layer in rest["Layers"]] == ["c"] and "NextMarker" not in rest
    for _ in range(5):
        publish(client, "a")
    pages = [[v["Version"] for v in page["LayerVersions"]] for page in
             client.get_paginator("list_layer_versions").paginate(LayerName="a", PaginationConfig={"PageSize": 4})]
    assert pages == [[6, 5, 4, 3], [2, 1]]
    assert [v["Version"] for v in client.list_layer_versions(LayerName="b", CompatibleRuntime="python3.12")["LayerVersions"]] == [1]
    assert client.list_layer_versions(LayerName="none")["LayerVersions"] == []


@pytest.mark.parametrize("call, code, text", [
    (lambda c, n: c.get_layer_version(LayerName="none", VersionNumber=1), "ResourceNotFoundException", "The resource you requested does not exist."),
    (lambda c, n: c.get_layer_version(LayerName=n, VersionNumber=9), "ResourceNotFoundException", "The resource you requested does not exist."),
    (lambda c, n: c.get_layer_version(LayerName=n, VersionNumber=0), "InvalidParameterValueException", "Layer Version Cannot be less than 1"),
    (lambda c, n: c.get_layer_version(LayerName=n, VersionNumber=-1), "InvalidParameterValueException", "Layer Version Cannot be less than 1"),
    (lambda c, n: c.delete_layer_version(LayerName=n, VersionNumber=-1), "InvalidParameterValueException", "Layer Version Cannot be less than 1"),
    (lambda c, n: c.get_layer_version_by_arn(Arn=ARN + n), "ValidationException", "at 'arn' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws"),
    (lambda c, n: c.get_layer_version_by_arn(Arn=f"{ARN}{n}:7"), "ResourceNotFoundException", "The resource you requested does not exist."),
    (lambda c, n: c.get_layer_version_by_arn(Arn="arn:aws:lambda:us-east-1:111111111111:layer:x:1"), "AccessDeniedException",
     "is not authorized to perform: lambda:GetLayerVersion on resource: arn:aws:lambda:us-east-1:111111111111:layer:x:1"),
    (lambda c, n: c.list_layers(CompatibleRuntime="cobol"), "ValidationException", "Value 'cobol' at 'compatibleRuntime' failed to satisfy constraint: Member must satisfy enum value set: ["),
    (lambda c, n: c.list_layers(CompatibleArchitecture="mips"), "ValidationException",
     "Value 'mips' at 'compatibleArchitecture' failed to satisfy constraint: Member must satisfy enum value set: [x86_64, arm64]"),
    (lambda c, n: c.list_layers(MaxItems=51), "ValidationException", "at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 50"),
    (lambda c, n: c.list_layer_versions(LayerName=n, Marker="YWJj"), "InvalidParameterValueException", "The Marker is not one that ListLayerVersions gave."),
    (lambda c, n: publish(c, n, CompatibleRuntimes=["cobol", "nodejs20.x"], CompatibleArchitectures=["mips"]), "ValidationException",
     "2 validation errors detected: Value '[cobol, nodejs20.x]' at 'compatibleRuntimes' failed to satisfy constraint: Member must satisfy enum value set: ["),
    (lambda c, n: publish(c, n, Description="d" * 257), "ValidationException", "at 'description' failed to satisfy constraint: Member must have length less than or equal to 256"),
    (lambda c, n: publish(c, n, LicenseInfo="d" * 513), "ValidationException", "at 'licenseInfo'"),
    (lambda c, n: publish(c, n, CompatibleRuntimes=["nodejs20.x"] * 16), "ValidationException", "Member must have length less than or equal to 15"),
    (lambda c, n: c.publish_layer_version(LayerName=n), "ValidationException", "Value null at 'content' failed to satisfy constraint: Member must not be null"),
    (lambda c, n: c.publish_layer_version(LayerName=n, Content={"S3Bucket": "b", "S3Key": "k"}), "InvalidParameterValueException", "Content from S3"),
    (lambda c, n: c.publish_layer_version(LayerName=n, Content={"ZipFile": b""}), "InvalidParameterValueException", "Uploaded file must be a non-empty zip"),
    (lambda c, n: c.publish_layer_version(LayerName=n, Content={"ZipFile": b"no zip"}), "InvalidParameterValueException", "Could not unzip uploaded file"),
])
def test_refusals_are_aws_s(client, call, code, text):
    if not client.list_layer_versions(LayerName="refusals")["LayerVersions"]:
        publish(client, "refusals")
    refused = aws_error(call, client, "refusals")
    assert refused.code == code and text in refused.message


@pytest.mark.skipif(not os.path.exists("/usr/bin/aws"), reason="Debian's awscli is not installed")
def test_the_command_line_works_too(hearth, tmp_path, name):
    zip_at = tmp_path / "layer.zip"
    zip_at.write_bytes(make_zip({"python/tool.py": "x = 1"}))

    def aws(*arguments):
        done = subprocess.run(["/usr/bin/aws", "--endpoint-url", hearth.endpoint, "--profile", "hearth", "lambda", *arguments], env=hearth.env,
                              capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None
    made = aws("publish-layer-version", "--layer-name", name, "--zip-file", f"fileb://{zip_at}", "--compatible-runtimes", "python3.9")
    assert aws("get-layer-version-by-arn", "--arn", made["LayerVersionArn"])["Version"] == 1
    assert [v["Version"] for v in aws("list-layer-versions", "--layer-name", name)["LayerVersions"]] == [1]
    assert name in [layer["LayerName"] for layer in aws("list-layers")["Layers"]]
    aws("add-layer-version-permission", "--layer-name", name, "--version-number", "1", "--statement-id", "all", "--principal", "*", "--action",
        "lambda:GetLayerVersion")
    assert json.loads(aws("get-layer-version-policy", "--layer-name", name, "--version-number", "1")["Policy"])["Statement"][0]["Sid"] == "all"
    aws("remove-layer-version-permission", "--layer-name", name, "--version-number", "1", "--statement-id", "all")
    aws("delete-layer-version", "--layer-name", name, "--version-number", "1")


def test_many_published_at_once_get_a_number_each(hearth, name):
    client = hearth.lambda_client
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda i: publish(client, name, {"lib/a": str(i)})["Version"], range(24)))
    assert sorted(numbers) == list(range(1, 25))


# ---- the Layers of a function -------------------------------------------------------------------------------------------------

def test_es_modules_import_a_layers_packages_and_a_layers_copy_of_the_sdk_wins_over_the_runtimes(hearth, client, name):
    sdk = "nodejs/node_modules/@aws-sdk/client-lambda"
    arn = publish(client, name, {"nodejs/node_modules/shared/package.json": json.dumps({"exports": "./main.mjs"}),
                                 "nodejs/node_modules/shared/main.mjs": "import { S3Client } from '@aws-sdk/client-s3'; export default typeof S3Client",
                                 f"{sdk}/package.json": json.dumps({"type": "module", "exports": "./index.js"}),
                                 f"{sdk}/index.js": "export const origin = 'the layer'"})["LayerVersionArn"]
    function = hearth.deploy({"index.mjs": "import shared from 'shared'; import { origin } from '@aws-sdk/client-lambda';\n"
                                           "export const handler = async () => [shared, origin]"}, runtime=NODE, Layers=[arn])
    assert result(function, {}) == ["function", "the layer"]


def test_a_function_tells_its_layers_and_keeps_them_until_they_are_taken_away(client, hearth, name):
    arns = [publish(client, f"{name}-{i}", {f"lib/{i}": str(i)})["LayerVersionArn"] for i in (1, 2)]
    function = hearth.deploy({"index.js": NODE_READS}, runtime=NODE, Layers=arns)
    told = client.get_function_configuration(FunctionName=function.name)["Layers"]
    assert told == [{"Arn": arn, "CodeSize": len(make_zip({f"lib/{i}": str(i)}))} for i, arn in enumerate(arns, 1)]
    client.update_function_configuration(FunctionName=function.name, Timeout=7)
    assert layer_arns(client, function.name) == arns
    client.update_function_configuration(FunctionName=function.name, Layers=arns[::-1])
    assert layer_arns(client, function.name) == arns[::-1]
    assert "Layers" not in client.update_function_configuration(FunctionName=function.name, Layers=[])


@pytest.mark.parametrize("layers, code, text", [
    (["{0}:1", "{0}:2"], "InvalidParameterValueException", "Two different versions of the same layer are not allowed to be referenced in the same "
     "function. {0}:1 and {0}:2 are versions of the same layer."),
    (["{0}:1", "{0}:1"], "InvalidParameterValueException", "Two different versions of the same layer are not allowed"),
    (["{0}:9"], "InvalidParameterValueException", "Layer version {0}:9 does not exist."),
    ([ARN + "none:1"], "InvalidParameterValueException", f"Layer version {ARN}none:1 does not exist."),
    (["{0}"], "ValidationException", "Value '[{0}]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: [Member must have "
     "length less than or equal to 2048, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: "),
    (["arn:aws:lambda:eu-west-1:000000000000:layer:x:1"], "InvalidParameterValueException",
     "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."),
    (["arn:aws:lambda:us-east-1:111111111111:layer:x:1"], "AccessDeniedException", "is not authorized to perform: lambda:GetLayerVersion on resource"),
    ([f"{ARN}l{i}:1" for i in range(6)], "InvalidParameterValueException", "Cannot reference more than 5 layers."),
    ([f"{ARN}with-extension:1"], "InvalidParameterValueException", "contains extensions"),
])
def test_layers_that_a_function_cannot_have_are_refused(client, hearth, layers, code, text):
    if not client.list_layer_versions(LayerName="two-versions")["LayerVersions"]:
        publish(client, "two-versions")
        publish(client, "two-versions")
        publish(client, "with-extension", {"extensions/agent": ("#!/bin/sh\n", 0o755)})
        client.create_function(FunctionName="wants-layers", Runtime=NODE, Handler="index.handler", Role="arn:aws:iam::000000000000:role/hearth-basic",
                               Code={"ZipFile": make_zip({"index.js": NODE_READS})})
    layers = [arn.replace("{0}", ARN + "two-versions") for arn in layers]
    for call, more in ((client.update_function_configuration, {"FunctionName": "wants-layers"}),
                       (client.create_function, {"FunctionName": "never-made", "Runtime": NODE, "Handler": "index.handler",
                                                 "Role": "arn:aws:iam::000000000000:role/hearth-basic",
                                                 "Code": {"ZipFile": make_zip({"index.js": NODE_READS})}})):
        refused = aws_error(call, Layers=layers, **more)
        assert refused.code == code and text.replace("{0}", ARN + "two-versions") in refused.message
    assert layer_arns(client, "wants-layers") == []


def test_code_and_layers_together_may_have_250_mib(client, new_hearth):
    server = new_hearth()
    client = checked(server)
    mib = 1024 * 1024
    big = publish(client, "big", {"lib/zeros": b"\0" * (200 * mib)})["LayerVersionArn"]
    other = publish(client, "other", {"lib/others": b"\0" * (50 * mib)})["LayerVersionArn"]
    fits, too_large = make_zip({"index.js": NODE_READS, "a": b"\0" * (40 * mib)}), make_zip({"index.js": NODE_READS, "a": b"\0" * (51 * mib)})
    size = 200 * mib + 51 * mib + len(NODE_READS)
    text = f"Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is {size} bytes."
    common = dict(Runtime=NODE, Handler="index.handler", Role="arn:aws:iam::000000000000:role/hearth-basic", Layers=[big])
    refused = aws_error(client.create_function, FunctionName="f", Code={"ZipFile": too_large}, **common)
    assert refused.code == "InvalidParameterValueException" and refused.message == text
    client.create_function(FunctionName="f", Code={"ZipFile": fits}, **common)
    for more in ({}, {"DryRun": True}):
        refused = aws_error(client.update_function_code, FunctionName="f", ZipFile=too_large, **more)
        assert refused.code == "InvalidParameterValueException"
        if not more:
            assert refused.message == text
    refused = aws_error(client.update_function_configuration, FunctionName="f", Layers=[big, other])
    assert refused.code == "InvalidParameterValueException" and "The actual size is" in refused.message
    assert layer_arns(client, "f") == [big]


# ---- on /opt ------------------------------------------------------------------------------------------------------------------

def test_node_finds_modules_of_a_layer(hearth, client, name):
    arn = publish(client, name, {"nodejs/node_modules/greeting/index.js": "module.exports = 'from the layer'"})["LayerVersionArn"]
    function = hearth.deploy({"index.js": NODE_READS}, runtime=NODE, Layers=[arn])
    assert result(function, {"name": "greeting"}) == "from the layer"


def test_python_finds_modules_programs_and_libraries_of_a_layer(hearth, client, name):
    arn = publish(client, name, {
        "python/greeting.py": "text = 'from the layer'",
        f"python/lib/{PYTHON}/site-packages/deeper.py": "text = 'from site-packages'",
        "bin/tool": ("#!/bin/sh\necho the tool\n", 0o755),
        "lib/data.txt": "a library"})["LayerVersionArn"]
    function = python_function(hearth, [arn])
    assert result(function, {"code": "import greeting, deeper; out = [greeting.text, deeper.text]"}) == ["from the layer", "from site-packages"]
    assert result(function, {"code": "import subprocess; out = subprocess.run(['tool'], capture_output=True, text=True).stdout"}) == "the tool\n"
    assert result(function, {"code": "out = open('/opt/lib/data.txt').read()"}) == "a library"
    assert "/opt/lib" in result(function, {"code": "import os; out = os.environ['LD_LIBRARY_PATH']"}).split(":")


def test_nobody_can_write_to_opt(hearth, client, name):
    arns = [publish(client, f"{name}-{i}", {f"lib/{i}": str(i)})["LayerVersionArn"] for i in (1, 2)]
    code = "try:\n    open('/opt/lib/new', 'w'); out = 'written'\nexcept OSError as e:\n    out = 'refused'"
    for layers in ([], arns[:1], arns):
        assert result(python_function(hearth, layers), {"code": code}) == "refused"


def test_later_layers_lie_over_earlier_ones(hearth, client, name):
    arns = [publish(client, f"{name}-{i}", {"lib/same.txt": str(i), f"lib/only-{i}.txt": str(i)})["LayerVersionArn"] for i in range(5)]
    code = "import os; out = [open('/opt/lib/same.txt').read(), sorted(os.listdir('/opt/lib'))]"
    function = python_function(hearth, arns)
    assert result(function, {"code": code}) == ["4", [f"only-{i}.txt" for i in range(5)] + ["same.txt"]]
    client.update_function_configuration(FunctionName=function.name, Layers=arns[::-1])
    assert result(function, {"code": code})[0] == "0"
    client.update_function_configuration(FunctionName=function.name, Layers=[])
    assert result(function, {"code": "import os; out = os.path.exists('/opt/lib/same.txt')"}) is False


def test_a_published_version_keeps_the_layers_it_had(hearth, client, name):
    arns = [publish(client, name, {"lib/a.txt": text})["LayerVersionArn"] for text in ("old", "new")]
    function = python_function(hearth, arns[:1])
    version = client.publish_version(FunctionName=function.name)
    assert [layer["Arn"] for layer in version["Layers"]] == arns[:1]
    client.update_function_configuration(FunctionName=function.name, Layers=arns[1:])
    code = json.dumps({"code": "out = open('/opt/lib/a.txt').read()"})
    for qualifier, text in (("1", "old"), ("$LATEST", "new")):
        answer = client.invoke(FunctionName=function.name, Qualifier=qualifier, Payload=code)
        assert json.load(answer["Payload"]) == text


def test_a_deleted_version_still_works_for_its_functions_also_after_kill_9(new_hearth):
    server = new_hearth()
    client = checked(server)
    before = packages(server)
    arn = publish(client, "gone", {"lib/a.txt": "still here"})["LayerVersionArn"]
    function = python_function(server, [arn])
    client.delete_layer_version(LayerName="gone", VersionNumber=1)
    assert aws_error(client.get_layer_version, LayerName="gone", VersionNumber=1).code == "ResourceNotFoundException"
    code = {"code": "out = open('/opt/lib/a.txt').read()"}
    assert result(function, code) == "still here"
    server.kill9()
    server.start()
    assert layer_arns(checked(server), function.name) == [arn]
    assert result(function, code) == "still here"
    refused = aws_error(checked(server).update_function_configuration, FunctionName=function.name, Layers=[arn])
    assert refused.message == f"Layer version {arn} does not exist."
    checked(server).delete_function(FunctionName=function.name)
    wait_until(lambda: packages(server) == before, 20, "nothing is left of the layer's package")


def test_layers_survive_kill_9_with_their_policies_and_numbers(new_hearth):
    server = new_hearth()
    client = checked(server)
    publish(client, "kept", Description="kept", CompatibleRuntimes=["nodejs20.x"])
    publish(client, "kept", {"lib/b": "b"})
    client.delete_layer_version(LayerName="kept", VersionNumber=2)
    client.add_layer_version_permission(LayerName="kept", VersionNumber=1, StatementId="s1", Action="lambda:GetLayerVersion", Principal="*")
    policy = client.get_layer_version_policy(LayerName="kept", VersionNumber=1)
    server.kill9()
    server.start()
    client = checked(server)
    assert client.get_layer_version(LayerName="kept", VersionNumber=1)["CompatibleRuntimes"] == ["nodejs20.x"]
    again = client.get_layer_version_policy(LayerName="kept", VersionNumber=1)
    assert (again["Policy"], again["RevisionId"]) == (policy["Policy"], policy["RevisionId"])
    assert publish(client, "kept")["Version"] == 3


def test_nothing_is_left_on_disk_when_the_last_user_goes(new_hearth):
    server = new_hearth()
    client = checked(server)
    before, usage = packages(server), client.get_account_settings()["AccountUsage"]["TotalCodeSize"]
    files = {"lib/a.txt": "shared"}
    arns = [publish(client, layer, files)["LayerVersionArn"] for layer in ("one", "two")]
    assert len(packages(server)) == len(before) + 1, "equal zips are kept once"
    assert client.get_account_settings()["AccountUsage"]["TotalCodeSize"] == usage + 2 * len(make_zip(files))
    function = python_function(server, arns)
    assert result(function, {"code": "out = 1"}) == 1
    for layer in ("one", "two"):
        client.delete_layer_version(LayerName=layer, VersionNumber=1)
    client.update_function_configuration(FunctionName=function.name, Layers=[])
    assert result(function, {"code": "out = 2"}) == 2
    wait_until(lambda: len(packages(server)) == len(before) + 1, 20, "the layers' package is gone, the function's is there")
    client.delete_function(FunctionName=function.name)
    wait_until(lambda: packages(server) == before, 20, "nothing is left")


def test_updates_of_layers_under_calls_swap_whole(hearth, client, name):
    arns = [publish(client, name, {"lib/a.txt": str(i), "lib/b.txt": str(i)})["LayerVersionArn"] for i in range(2)]
    function = python_function(hearth, arns[:1])
    code = {"code": "out = open('/opt/lib/a.txt').read() + open('/opt/lib/b.txt').read()"}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(result, function, code) for _ in range(20)]
        for i in range(6):
            client.update_function_configuration(FunctionName=function.name, Layers=[arns[(i + 1) % 2]])
            calls += [pool.submit(result, function, code) for _ in range(5)]
        assert {call.result() for call in calls} <= {"00", "11"}
    assert result(function, code) == "00"
