"""What functions can import without bringing it: the JavaScript SDK's pinned sets, and boto3 with Hearth's endpoint."""

import http.server
import json
import pathlib
import re
import subprocess
import threading

import pytest

from instance import ROOT

SETS = {18: "node18", 20: "node20", 22: "node20", 24: "node20"}
CLIENTS = ["client-lambda", "client-s3", "client-dynamodb", "lib-dynamodb", "lib-storage", "client-sqs", "client-sns",
           "client-eventbridge", "client-sts", "client-secrets-manager", "client-ssm", "client-cloudwatch-logs",
           "s3-request-presigner", "credential-providers"]
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
has_boto3 = pytest.mark.skipif(subprocess.run(["/usr/bin/python3", "-c", "import boto3"], capture_output=True).returncode != 0,
                               reason="python3-boto3 is not installed")


@pytest.fixture
def api():
    """Answers what is called with the path that was called."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.dumps({"path": self.path}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


# ---- the pinned sets ----

@pytest.mark.parametrize("name", sorted(set(SETS.values())))
def test_a_set_pins_every_package_exactly_and_names_no_registry(name):
    directory = ROOT / "runtimes" / "sdk" / name
    package, lock = (json.loads((directory / file).read_text()) for file in ("package.json", "package-lock.json"))
    assert sorted(package["dependencies"]) == sorted(f"@aws-sdk/{client}" for client in CLIENTS)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in package["dependencies"].values())
    major = int(name.removeprefix("node"))
    for path, entry in lock["packages"].items():
        assert "resolved" not in entry, path
        assert path == "" or entry["integrity"].startswith("sha512-"), path
        needs = re.search(r"\d+", entry.get("engines", {}).get("node", ""))
        assert not needs or int(needs.group()) <= major, f"{path} does not run on Node {major}"


def sdk_of(node):
    if node.sdk is None:
        pytest.skip(f"the SDK's {SETS[node.major]} set is not installed: scripts/runtime-add DIR sdk")
    return node.sdk


def test_CommonJS_finds_every_client_by_NODE_PATH(node):
    sdk = sdk_of(node)
    names = json.dumps([f"@aws-sdk/{client}" for client in CLIENTS])
    instance = node.start(f"const all = {names}.map((name) => Object.keys(require(name)).length > 0);"
                          "exports.handler = async () => all", NODE_PATH=f"{sdk}:/var/task").ready()
    assert instance.answer() == [True] * len(CLIENTS)


def test_ES_modules_find_every_client_in_a_directory_above(node):
    (node.directory / "node_modules").symlink_to(sdk_of(node))
    node.main_file = "index.mjs"
    imports = "".join(f"import * as m{i} from '@aws-sdk/{client}';\n" for i, client in enumerate(CLIENTS))
    instance = node.start(f"{imports}export const handler = async () => [{','.join(f'm{i}' for i in range(len(CLIENTS)))}]"
                          ".map((module) => Object.keys(module).length > 0)").ready()
    assert instance.answer() == [True] * len(CLIENTS)


def test_the_packages_own_dependency_wins_over_the_SDKs(node):
    sdk = sdk_of(node)
    instance = node.start("exports.handler = async () => require('@aws-sdk/client-s3')", NODE_PATH=str(sdk),
                          files={"node_modules/@aws-sdk/client-s3/index.js": "module.exports = 'mine'"}).ready()
    assert instance.answer() == "mine"


def test_a_client_of_the_JavaScript_SDK_calls_the_endpoint_of_the_environment(node, api):
    sdk = sdk_of(node)
    instance = node.start("const {LambdaClient, InvokeCommand} = require('@aws-sdk/client-lambda'); const client = new LambdaClient({});"
                          "exports.handler = async () => JSON.parse(Buffer.from((await client.send(new InvokeCommand("
                          "{FunctionName: 'other'}))).Payload).toString())",
                          NODE_PATH=str(sdk), AWS_ENDPOINT_URL=api, **KEYS).ready()
    assert instance.answer() == {"path": "/2015-03-31/functions/other/invocations"}


# ---- boto3 ----

def endpoints(names, how="boto3.client(name)"):
    return ("import boto3\ndef handler(event, context):\n"
            f"    return [({how}).meta.endpoint_url for name in {names}]")


@has_boto3
def test_boto3_calls_the_endpoint_of_the_environment_also_where_it_does_not_know_the_variable(system_python, api):
    instance = system_python.start("import boto3, json\nclient = boto3.client('lambda')\ndef handler(event, context):\n"
                                   "    return json.load(client.invoke(FunctionName='other')['Payload'])",
                                   AWS_ENDPOINT_URL=api, **KEYS).ready()
    assert instance.answer() == {"path": "/2015-03-31/functions/other/invocations"}


@has_boto3
def test_every_way_to_a_client_gets_the_endpoint(system_python):
    instance = system_python.start(
        "import boto3, botocore.session\ndef handler(event, context):\n    return [\n"
        "        boto3.client('sts').meta.endpoint_url, boto3.resource('dynamodb').meta.client.meta.endpoint_url,\n"
        "        boto3.session.Session(region_name='eu-west-1').client('sqs').meta.endpoint_url,\n"
        "        botocore.session.get_session().create_client('logs').meta.endpoint_url,\n"
        "        boto3.client('s3', endpoint_url='http://127.0.0.1:9000').meta.endpoint_url]",
        AWS_ENDPOINT_URL="http://127.0.0.1:4566", **KEYS).ready()
    assert instance.answer() == ["http://127.0.0.1:4566"] * 4 + ["http://127.0.0.1:9000"]


@has_boto3
def test_a_service_of_its_own_variable_goes_there(system_python):
    instance = system_python.start(endpoints(["secretsmanager", "logs", "events", "sts"]),
                                   AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_ENDPOINT_URL_SECRETS_MANAGER="http://127.0.0.1:2",
                                   AWS_ENDPOINT_URL_CLOUDWATCH_LOGS="http://127.0.0.1:3",
                                   AWS_ENDPOINT_URL_EVENTBRIDGE="http://127.0.0.1:4", **KEYS).ready()
    assert instance.answer() == [f"http://127.0.0.1:{port}" for port in (2, 3, 4, 1)]


@has_boto3
def test_without_the_variables_or_told_to_ignore_them_boto3_is_as_it_is(system_python):
    for environment in ({}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}):
        instance = system_python.start(endpoints(["sqs"]), **environment, **KEYS).ready()
        assert "amazonaws.com" in instance.answer()[0]


@has_boto3
def test_who_does_not_import_boto3_does_not_pay_for_it(system_python):
    instance = system_python.start("import sys\ndef handler(event, context):\n    return 'botocore' in sys.modules",
                                   AWS_ENDPOINT_URL="http://127.0.0.1:1").ready()
    assert instance.answer() is False


def test_the_set_that_is_installed_is_the_set_that_is_pinned(node):
    installed = pathlib.Path(sdk_of(node)).parent / "package-lock.json"
    assert installed.read_bytes() == (ROOT / "runtimes" / "sdk" / SETS[node.major] / "package-lock.json").read_bytes()
