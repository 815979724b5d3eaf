"""The unmodified clients: boto3, /usr/bin/aws, the JavaScript SDK v3 and curl; and who is refused."""
import base64
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
import uuid

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from helpers import REPOSITORY, ROLE, Answer, aws_error, make_zip, node, npm_ci, RawConnection, signed_request, wait_until

ECHO = node("exports.handler = async (event) => ({ echo: event });")


# ---- boto3 ----------------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
def test_boto3_creates_waits_invokes_updates_lists_and_deletes(hearth):
    client, name = hearth.lambda_client, f"b-{uuid.uuid4().hex[:8]}"
    created = client.create_function(FunctionName=name, Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": make_zip(ECHO)})
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    client.get_waiter("function_exists").wait(FunctionName=name)
    answer = client.invoke(FunctionName=name, Payload=b'{"a": 1}', LogType="Tail")
    assert json.load(answer["Payload"]) == {"echo": {"a": 1}}
    client.update_function_code(FunctionName=name, ZipFile=make_zip(node("exports.handler = async () => 'new';")))
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert json.load(client.invoke(FunctionName=name)["Payload"]) == "new"
    assert name in [f["FunctionName"] for page in client.get_paginator("list_functions").paginate() for f in page["Functions"]]
    assert client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    client.delete_function(FunctionName=name)
    assert aws_error(client.get_function, FunctionName=name).code == "ResourceNotFoundException"


def test_names_arns_and_partial_arns_all_mean_the_function(hearth):
    function = hearth.deploy(ECHO)
    for name in (function.name, f"arn:aws:lambda:us-east-1:000000000000:function:{function.name}", f"000000000000:function:{function.name}",
                 f"{function.name}:$LATEST", f"arn:aws:lambda:us-east-1:000000000000:function:{function.name}:$LATEST"):
        answer = Answer(hearth.lambda_client.invoke(FunctionName=name, Payload=b'{"a":1}'))
        assert answer.ok() == {"echo": {"a": 1}}, name


NEWER = """
import sys
try:
    import boto3, botocore
except ImportError:
    sys.exit(77)
import json
print(json.dumps({"version": boto3.__version__, "who": boto3.client("sts").get_caller_identity()["Arn"],
      "answer": json.load(boto3.client("lambda").invoke(FunctionName=sys.argv[1], Payload=b'{"a":1}')["Payload"])}))
"""


def test_a_newer_boto3_needs_only_the_environment(hearth):
    other = shutil.which("python3", path=os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if p not in ("/usr/bin", "/bin")))
    if not other:
        pytest.skip("only the system's python3 is on PATH")
    function = hearth.deploy(ECHO)
    env = {**hearth.env, "HOME": os.environ.get("HOME", "/root"), "PATH": os.environ["PATH"]}
    done = subprocess.run([other, "-c", NEWER, function.name], capture_output=True, text=True, env=env, timeout=120)
    if done.returncode == 77:
        pytest.skip(f"{other} has no boto3")
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    if tuple(int(p) for p in got["version"].split(".")[:2]) < (1, 28):
        pytest.skip("an older boto3")
    assert got["answer"] == {"echo": {"a": 1}} and got["who"] == "arn:aws:iam::000000000000:root"


# ---- the aws command ----------------------------------------------------------------------------------------------------------------

AWS = "/usr/bin/aws"
needs_aws = pytest.mark.skipif(not os.path.exists(AWS), reason="Debian's awscli is not installed")


def aws(hearth, *arguments, status=0, cwd=None):
    done = subprocess.run([AWS, "--endpoint-url", hearth.endpoint, "--profile", "hearth", *arguments], env=hearth.env, capture_output=True, text=True,
                          timeout=120, stdin=subprocess.DEVNULL, cwd=cwd)
    assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if status == 0 and done.stdout.strip().startswith(("{", "[")) else done.stdout + done.stderr


@needs_aws
def test_the_aws_command_creates_invokes_updates_and_deletes(hearth, tmp_path):
    name = f"c-{uuid.uuid4().hex[:8]}"
    (tmp_path / "f.zip").write_bytes(make_zip(ECHO))
    created = aws(hearth, "lambda", "create-function", "--function-name", name, "--runtime", "nodejs20.x", "--handler", "index.handler", "--role", ROLE,
                  "--zip-file", f"fileb://{tmp_path}/f.zip", "--environment", "Variables={AB=b}", "--timeout", "5")
    assert created["FunctionName"] == name and created["State"] in ("Pending", "Active") and created["Environment"] == {"Variables": {"AB": "b"}}
    aws(hearth, "lambda", "wait", "function-active-v2", "--function-name", name)
    answer = aws(hearth, "lambda", "invoke", "--function-name", name, "--payload", '{"a": "ü"}', "--log-type", "Tail", str(tmp_path / "out.json"))
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    assert json.loads((tmp_path / "out.json").read_text()) == {"echo": {"a": "ü"}}
    assert "REPORT RequestId" in base64.b64decode(answer["LogResult"]).decode()
    aws(hearth, "lambda", "update-function-configuration", "--function-name", name, "--memory-size", "256")
    aws(hearth, "lambda", "wait", "function-updated-v2", "--function-name", name)
    assert aws(hearth, "lambda", "get-function-configuration", "--function-name", name)["MemorySize"] == 256
    (tmp_path / "g.zip").write_bytes(make_zip(node("exports.handler = async () => 'two';")))
    aws(hearth, "lambda", "update-function-code", "--function-name", name, "--zip-file", f"fileb://{tmp_path}/g.zip")
    aws(hearth, "lambda", "wait", "function-updated-v2", "--function-name", name)
    aws(hearth, "lambda", "invoke", "--function-name", name, str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text()) == "two"
    assert name in json.dumps(aws(hearth, "lambda", "list-functions"))
    aws(hearth, "lambda", "delete-function", "--function-name", name)
    assert "ResourceNotFoundException" in aws(hearth, "lambda", "get-function", "--function-name", name, status=254)


@needs_aws
def test_the_aws_command_says_who_calls(hearth):
    assert aws(hearth, "sts", "get-caller-identity") == {"UserId": "000000000000", "Account": "000000000000", "Arn": "arn:aws:iam::000000000000:root"}


@needs_aws
def test_the_aws_command_asks_for_account_settings(hearth):
    limits = aws(hearth, "lambda", "get-account-settings")
    assert limits["AccountLimit"]["ConcurrentExecutions"] >= 10 and limits["AccountUsage"]["FunctionCount"] >= 0


# ---- JavaScript SDK v3 ----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def javascript():
    directory = npm_ci(REPOSITORY / "tests" / "js")
    for name in (REPOSITORY / "tests" / "js").glob("*.mjs"):
        shutil.copy(name, directory / name.name)
    return directory


def run_javascript(hearth, directory, script, *arguments):
    done = subprocess.run(["node", str(directory / script), *arguments], env=hearth.env, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{script} failed:\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def test_the_javascript_sdk_v3_creates_waits_invokes_updates_and_deletes(hearth, javascript):
    got = run_javascript(hearth, javascript, "lifecycle.mjs")
    assert got["created"] == 201 and got["waited"] == "SUCCESS" and got["updated"] == "SUCCESS"
    assert got["first"] == {"echo": {"a": "ü"}} and got["second"] == "two"
    assert got["listed"] is True and got["deleted"] == 204 and got["afterwards"] == "ResourceNotFoundException"
    assert got["identity"] == "arn:aws:iam::000000000000:root"
    assert got["functionError"] == {"FunctionError": "Unhandled", "errorType": "TypeError"}


def test_the_javascript_sdk_v3_reads_errors_by_their_class(hearth, javascript):
    got = run_javascript(hearth, javascript, "errors.mjs")
    assert got == {"missing": ["ResourceNotFoundException", 404, True], "exists": ["ResourceConflictException", 409, True],
                   "invalid": ["InvalidParameterValueException", 400, True], "revision": ["PreconditionFailedException", 412, True],
                   "broken": ["InvalidRequestContentException", 400, True], "event": [202, 0, None]}


def test_sixteen_calls_at_once_on_one_javascript_client(hearth, javascript):
    function = hearth.deploy(node("exports.handler = async (e) => e.n * e.n;"))
    got = run_javascript(hearth, javascript, "parallel.mjs", function.name, "160")
    assert got == {"right": 160, "wrong": 0}


# ---- curl ---------------------------------------------------------------------------------------------------------------------------

def curl(hearth, *arguments, keys=None, service="lambda"):
    keys = keys or hearth.credentials
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", "--max-time", "60", "--user", f"{keys['aws_access_key_id']}:{keys['aws_secret_access_key']}",
                           "--aws-sigv4", f"aws:amz:us-east-1:{service}", *arguments], capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_curl_signs_and_invokes(hearth):
    function = hearth.deploy(ECHO)
    url = f"{hearth.endpoint}/2015-03-31/functions/{function.name}/invocations"
    assert curl(hearth, "-d", '{"a":1}', "-H", "content-type: application/json", url) == (200, '{"echo":{"a":1}}')
    status, body = curl(hearth, f"{hearth.endpoint}/2015-03-31/functions/{function.name}")
    assert status == 200 and json.loads(body)["Configuration"]["FunctionName"] == function.name


def test_curl_asks_sts_in_the_query_protocol(hearth):
    status, body = curl(hearth, "-d", "Action=GetCallerIdentity&Version=2011-06-15", hearth.endpoint + "/", service="sts")
    assert status == 200
    assert "<GetCallerIdentityResponse" in body and "https://sts.amazonaws.com/doc/2011-06-15/" in body and "<Account>000000000000</Account>" in body


# ---- signatures ---------------------------------------------------------------------------------------------------------------------

def presign(hearth, method, path, service="lambda", expires=60, shift_s=0, body=b""):
    keys = hearth.credentials
    request = botocore.awsrequest.AWSRequest(method=method, url=hearth.endpoint + path, data=body or None)
    signer = botocore.auth.SigV4QueryAuth(botocore.credentials.Credentials(keys["aws_access_key_id"], keys["aws_secret_access_key"]), service, "us-east-1", expires=expires)
    real = datetime.datetime

    class Shifted(real):
        @classmethod
        def utcnow(cls):
            return real.utcnow() + datetime.timedelta(seconds=shift_s)
    botocore.auth.datetime.datetime, kept = Shifted, botocore.auth.datetime.datetime
    try:
        signer.add_auth(request)
    finally:
        botocore.auth.datetime.datetime = kept
    return request.url


def get(url, method="GET", data=None, headers=None):
    request = urllib.request.Request(url, method=method, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_presigned_url_answers_until_it_expires(hearth):
    function = hearth.deploy(ECHO)
    path = f"/2015-03-31/functions/{function.name}"
    assert get(presign(hearth, "GET", path))[0] == 200
    status, body = get(presign(hearth, "GET", path, expires=60, shift_s=-120))
    assert status == 403 and "expired" in body.lower()
    status, _ = get(presign(hearth, "GET", path) + "&extra=1")
    assert status == 403, "what was not signed is not accepted"
    status, _ = get(presign(hearth, "GET", path, expires=8 * 24 * 3600))
    assert status in (400, 403), "seven days at most"


def test_a_presigned_sts_url_says_who_signed(hearth):
    url = presign(hearth, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", service="sts")
    status, body = get(url)
    assert status == 200 and "arn:aws:iam::000000000000:root" in body


def test_an_unsigned_call_is_refused(hearth):
    status, body = get(hearth.endpoint + "/2015-03-31/functions/")
    assert status == 403 and "Missing Authentication Token" in body


def test_a_wrong_secret_and_an_unknown_key_are_refused(hearth):
    keys = hearth.credentials
    wrong = aws_error(hearth.client("lambda", aws_secret_access_key="x" * 40).list_functions)
    assert (wrong.status, wrong.code) == (403, "InvalidSignatureException") or wrong.code == "SignatureDoesNotMatch"
    assert "does not match" in wrong.message and keys["aws_secret_access_key"] not in wrong.message
    unknown = aws_error(hearth.client("lambda", aws_access_key_id="AKIAAAAAAAAAAAAAAAAA").list_functions)
    assert (unknown.status, unknown.code) == (403, "UnrecognizedClientException")
    sts = aws_error(hearth.client("sts", aws_access_key_id="AKIAAAAAAAAAAAAAAAAA").get_caller_identity)
    assert (sts.status, sts.code) == (403, "InvalidClientTokenId")
    mismatch = aws_error(hearth.client("sts", aws_secret_access_key="x" * 40).get_caller_identity)
    assert (mismatch.status, mismatch.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("minutes, good", [(-4.5, True), (4.5, True), (-6, False), (6, False), (-60 * 24, False)])
def test_a_clock_may_be_five_minutes_off(hearth, monkeypatch, minutes, good):
    real = datetime.datetime

    class Shifted(real):
        @classmethod
        def utcnow(cls):
            return real.utcnow() + datetime.timedelta(minutes=minutes)
    client = hearth.client("lambda", config=None)
    monkeypatch.setattr(botocore.auth.datetime, "datetime", Shifted)
    if good:
        client.list_functions()
        return
    refusal = aws_error(client.list_functions)
    assert refusal.status == 403 and refusal.code in ("InvalidSignatureException", "RequestExpired", "SignatureDoesNotMatch")
    assert "expired" in refusal.message.lower() or "not yet current" in refusal.message.lower()


def test_a_changed_body_path_query_method_or_signed_header_is_refused(hearth):
    function = hearth.deploy(ECHO)
    path = f"/2015-03-31/functions/{function.name}/invocations"
    good = signed_request(hearth, "POST", path, b'{"a":1}')
    changed = [good.replace(b'{"a":1}', b'{"a":2}'), good.replace(b"POST ", b"PUT ", 1), good.replace(b"/invocations HTTP", b"/invocations?x=1 HTTP"),
               good.replace(b"X-Amz-Date: 2", b"X-Amz-Date: 3"), good.replace(b"Signature=", b"Signature=0", 1), good.replace(b"SignedHeaders=host;", b"SignedHeaders=", 1),
               good.replace(b"\r\nHost: ", b"\r\nHost: x", 1), good.replace(b"/us-east-1/lambda/", b"/us-east-1/sts/", 1)]
    for request in changed:
        assert request != good
        with RawConnection(hearth.address) as connection:
            answer = connection.send(request).answer()
        assert answer.status in ((404,) if request.startswith(b"PUT") else (400, 403)), (request, answer)
        assert b"echo" not in answer.body
    with RawConnection(hearth.address) as connection:
        connection.send(good)
        assert connection.answer().json() == {"echo": {"a": 1}}
        connection.send(good)                        # a request may be replayed while its date is good
        assert connection.answer().json() == {"echo": {"a": 1}}


def test_an_x_amz_header_that_was_not_signed_is_refused(hearth):
    function = hearth.deploy(ECHO)
    good = signed_request(hearth, "POST", f"/2015-03-31/functions/{function.name}/invocations", b"{}")
    with RawConnection(hearth.address) as connection:
        answer = connection.send(good.replace(b"\r\nContent-Length", b"\r\nX-Amz-Invocation-Type: DryRun\r\nContent-Length", 1)).answer()
    assert answer.status == 403, answer


def test_a_payload_hash_that_is_not_the_bodys_is_refused(hearth):
    function = hearth.deploy(ECHO)
    wrong = {"X-Amz-Content-SHA256": hashlib.sha256(b"something else").hexdigest()}
    request = signed_request(hearth, "POST", f"/2015-03-31/functions/{function.name}/invocations", b'{"a":1}', headers=wrong)
    with RawConnection(hearth.address) as connection:
        assert connection.send(request).answer().status in (400, 403)


def test_a_service_that_is_not_there_gets_its_familys_own_error(hearth):
    refusal = aws_error(hearth.client("dynamodb").list_tables)
    assert refusal.code == "UnknownOperationException" and refusal.status == 400
    refusal = aws_error(hearth.client("iam").list_users)
    assert refusal.code == "InvalidAction" and refusal.status == 400
    refusal = aws_error(hearth.client("sqs").list_queues)
    assert refusal.status == 400 and refusal.code in ("InvalidAction", "UnknownOperationException")


def test_every_answer_has_a_request_id(hearth):
    assert hearth.lambda_client.list_functions()["ResponseMetadata"]["RequestId"]
    assert hearth.client("sts").get_caller_identity()["ResponseMetadata"]["RequestId"]
    assert aws_error(hearth.lambda_client.get_function, FunctionName="not-there").headers.get("x-amzn-requestid")
