"""Function URLs: their configuration by boto3, their calls by curl, http.client and botocore's own signer.

Sources: AWS Lambda developer guide ("Lambda function URLs"); LocalStack's recordings of AWS (TestLambdaUrl, TestLambdaURL) for shapes and texts.
"""
import base64
import concurrent.futures
import http.client
import json
import re
import subprocess
import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from helpers import RawConnection, aws_error, make_zip, signed_request, wait_until
from model_check import checked

ECHO = {"index.mjs": """
export const handler = async (event) => ({ statusCode: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(event) });
"""}
# Answers what the body says: {"answer": ANYTHING} or {"fail": true} or {"sleep": MS}.
SAYS = {"index.mjs": """
export const handler = async (event) => {
    const wish = event.body ? JSON.parse(event.isBase64Encoded ? Buffer.from(event.body, "base64").toString() : event.body) : {};
    if (wish.fail) throw new Error("secret detail");
    if (wish.sleep) await new Promise((done) => setTimeout(done, wish.sleep));
    if (wish.log) console.log(wish.log);
    if (wish.big) return { statusCode: 200, body: "x".repeat(wish.big) };
    return wish.answer;
};
"""}
DOMAIN = re.compile(r"^http://([a-z0-9]{32})\.lambda-url\.us-east-1\.on\.localhost:(\d+)/$")
FORBIDDEN = ("Forbidden. For troubleshooting Function URL authorization issues, see: "
             "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html")


class Url:
    """A function with a URL, and ways to call it."""
    def __init__(self, hearth, files, auth="NONE", qualifier=None, function=None, **more):
        self.hearth, self.function = hearth, function or hearth.deploy(files)
        arguments = {"FunctionName": self.function.name, **({"Qualifier": qualifier} if qualifier else {})}
        self.config = hearth.lambda_client.create_function_url_config(AuthType=auth, **arguments, **more)
        self.address = self.config["FunctionUrl"]
        self.id, self.port = DOMAIN.match(self.address).groups()
        self.host = f"{self.id}.lambda-url.us-east-1.on.localhost:{self.port}"

    def call(self, method="GET", target="/", body=None, headers=None, host=None):
        connection = http.client.HTTPConnection(*self.hearth.gateway_at, timeout=60)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            fields = headers if isinstance(headers, list) else list((headers or {}).items())
            for name, value in [("Host", host or self.host), *fields]:
                connection.putheader(name, value)
            if body is not None and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in fields):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            answer.text = answer.read()
            return answer
        finally:
            connection.close()

    def event(self, *arguments, **named):
        answer = self.call(*arguments, **named)
        assert answer.status == 200, answer.text
        return json.loads(answer.text)

    def says(self, wish, **named):
        return self.call("POST", body=json.dumps(wish).encode(), headers={"Content-Type": "application/json", **named})

    def signed(self, method="GET", target="/", body=b"", headers=None, service="lambda", keys=None, region="us-east-1"):
        keys = keys or self.hearth.credentials
        credentials = botocore.credentials.Credentials(keys["aws_access_key_id"], keys["aws_secret_access_key"], keys.get("aws_session_token"))
        request = botocore.awsrequest.AWSRequest(method=method, url=self.address[:-1] + target, data=body, headers=dict(headers or {}))
        botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
        fields = {name: value for name, value in request.prepare().headers.items() if name.lower() not in ("host", "content-length")}
        return fields


@pytest.fixture
def client(hearth):
    """Every answer is walked against AWS's model."""
    return checked(hearth)


@pytest.fixture(scope="module")
def shared():
    return {}


@pytest.fixture
def echo(hearth, shared):
    if shared.get("echo", (None,))[0] is not hearth:
        shared["echo"] = (hearth, Url(hearth, ECHO))
    return shared["echo"][1]


@pytest.fixture
def says(hearth, shared):
    if shared.get("says", (None,))[0] is not hearth:
        shared["says"] = (hearth, Url(hearth, SAYS))
    return shared["says"][1]


def without_metadata(answer):
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


# ---- configuration ----------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
def test_the_life_of_a_configuration_is_as_recorded_on_aws(hearth, client):
    function = hearth.deploy(ECHO)
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function.name}"
    created = client.create_function_url_config(FunctionName=function.name, AuthType="NONE")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert DOMAIN.match(created["FunctionUrl"])
    assert without_metadata(created) == {"FunctionUrl": created["FunctionUrl"], "FunctionArn": arn, "AuthType": "NONE", "CreationTime": created["CreationTime"]}
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", created["CreationTime"])
    twice = aws_error(client.create_function_url_config, FunctionName=function.name, AuthType="NONE")
    assert (twice.code, twice.status) == ("ResourceConflictException", 409)
    assert twice.message == f"Failed to create function url config for [functionArn = {arn}]. Error message:  FunctionUrlConfig exists for this Lambda function"
    got = without_metadata(client.get_function_url_config(FunctionName=function.name))
    assert got == {**without_metadata(created), "LastModifiedTime": created["CreationTime"], **({"InvokeMode": "BUFFERED"} if "InvokeMode" in got else {})}
    updated = client.update_function_url_config(FunctionName=function.name, AuthType="AWS_IAM")
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (updated["AuthType"], updated["FunctionUrl"], updated["CreationTime"]) == ("AWS_IAM", created["FunctionUrl"], created["CreationTime"])
    assert updated["LastModifiedTime"] >= created["CreationTime"] and "InvokeMode" not in updated
    assert [config["AuthType"] for config in client.list_function_url_configs(FunctionName=function.name)["FunctionUrlConfigs"]] == ["AWS_IAM"]
    assert client.delete_function_url_config(FunctionName=function.name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    gone = aws_error(client.get_function_url_config, FunctionName=function.name)
    assert (gone.code, gone.status, gone.message) == ("ResourceNotFoundException", 404, "The resource you requested does not exist.")
    again = client.create_function_url_config(FunctionName=function.name, AuthType="NONE")
    assert again["FunctionUrl"] != created["FunctionUrl"], "a deleted URL never comes back"


def test_what_is_not_there_is_told_as_aws_tells_it(hearth, client):
    name = hearth.deploy(ECHO).name
    for operation, more, here in ((client.create_function_url_config, {"AuthType": "NONE"}, None), (client.update_function_url_config, {}, "The resource you requested does not exist."),
                                  (client.get_function_url_config, {}, "The resource you requested does not exist."),
                                  (client.delete_function_url_config, {}, "The resource you requested does not exist.")):
        missing = "Function does not exist" if operation in (client.create_function_url_config, client.update_function_url_config) else here
        assert aws_error(operation, FunctionName="nobody", **more).message == missing
        assert aws_error(operation, FunctionName=name, Qualifier="nobody", **more).message == missing
        if here:
            assert aws_error(operation, FunctionName=name, **more).message == here
    assert aws_error(client.list_function_url_configs, FunctionName="nobody").message == "Function does not exist"


@pytest.mark.parametrize("qualifier", ["1", "22", "$LATEST", "a.b"])
def test_only_an_alias_can_be_the_qualifier(hearth, client, qualifier):
    name = hearth.deploy(ECHO).name
    for operation, more in ((client.create_function_url_config, {"AuthType": "NONE"}), (client.get_function_url_config, {}), (client.update_function_url_config, {}), (client.delete_function_url_config, {})):
        refusal = aws_error(operation, FunctionName=name, Qualifier=qualifier, **more)
        assert (refusal.code, refusal.status) == ("ValidationException", 400)
        assert refusal.message == (f"1 validation error detected: Value '{qualifier}' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: "
                                   r"((?!^\d+$)^[0-9a-zA-Z-_]+$)")


def test_a_qualifier_in_the_name_must_agree_with_the_query(hearth, client):
    name = hearth.deploy(ECHO).name
    refusal = aws_error(client.get_function_url_config, FunctionName=f"{name}:one", Qualifier="two")
    assert refusal.message == "The derived qualifier from the function name does not match the specified qualifier."


def raw(hearth, method, name, body, suffix="url"):
    """A call past boto3's own validation: (status, headers, JSON)."""
    with RawConnection(hearth.address) as connection:
        answer = connection.send(signed_request(hearth, method, f"/2021-10-31/functions/{name}/{suffix}", json.dumps(body).encode(), headers={"Content-Type": "application/json"})).answer()
        return answer.status, answer, answer.json()


def test_values_are_validated_with_the_messages_of_the_model(hearth):
    name = hearth.deploy(ECHO).name
    cases = [
        ({}, "Value null at 'authType' failed to satisfy constraint: Member must not be null"),
        ({"AuthType": "ME"}, "Value 'ME' at 'authType' failed to satisfy constraint: Member must satisfy enum value set: ["),
        ({"AuthType": "NONE", "InvokeMode": "UNKNOWN"}, "Value 'UNKNOWN' at 'invokeMode' failed to satisfy constraint: Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]"),
        ({"AuthType": "NONE", "Cors": {"AllowMethods": ["GET", "OPTIONS"]}}, "Value '[GET, OPTIONS]' at 'cors.allowMethods' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 6, "),
        ({"AuthType": "NONE", "Cors": {"AllowMethods": ["A"] * 7}}, "at 'cors.allowMethods' failed to satisfy constraint: Member must have length less than or equal to 6"),
        ({"AuthType": "NONE", "Cors": {"AllowOrigins": [""]}}, "at 'cors.allowOrigins' failed to satisfy constraint: "),
        ({"AuthType": "NONE", "Cors": {"AllowOrigins": ["a\r\nSet-Cookie: x"]}}, "at 'cors.allowOrigins' failed to satisfy constraint: "),
        ({"AuthType": "NONE", "Cors": {"ExposeHeaders": ["a"] * 101}}, "at 'cors.exposeHeaders' failed to satisfy constraint: Member must have length less than or equal to 100"),
        ({"AuthType": "NONE", "Cors": {"MaxAge": 86401}}, "Value '86401' at 'cors.maxAge' failed to satisfy constraint: Member must have value less than or equal to 86400"),
        ({"AuthType": "NONE", "Cors": {"MaxAge": -1}}, "Value '-1' at 'cors.maxAge' failed to satisfy constraint: Member must have value greater than or equal to 0"),
    ]
    for body, text in cases:
        status, answer, error = raw(hearth, "POST", name, body)
        assert status == 400 and answer.header("x-amzn-errortype") == "ValidationException" and text in error["message"], (body, error)
    for body in ({"AuthType": 1}, {"AuthType": "NONE", "Cors": []}, {"AuthType": "NONE", "Cors": {"AllowOrigins": "*"}}, {"AuthType": "NONE", "Cors": {"AllowCredentials": "yes"}}):
        assert raw(hearth, "POST", name, body)[1].header("x-amzn-errortype") == "SerializationException", body
    assert aws_error(hearth.lambda_client.get_function_url_config, FunctionName=name).status == 404, "nothing was made"


def test_an_invoke_mode_is_shown_as_recorded_and_streaming_is_refused(hearth):
    name = hearth.deploy(ECHO).name
    status, _, error = raw(hearth, "POST", name, {"AuthType": "NONE", "InvokeMode": "RESPONSE_STREAM"})
    assert status == 400 and "RESPONSE_STREAM" in error["message"] and "not supported" in error["message"]
    status, _, created = raw(hearth, "POST", name, {"AuthType": "NONE", "InvokeMode": "BUFFERED"})
    assert status == 201 and created["InvokeMode"] == "BUFFERED"
    assert raw(hearth, "PUT", name, {})[2]["InvokeMode"] == "BUFFERED"
    assert raw(hearth, "GET", name, {})[2]["InvokeMode"] == "BUFFERED"


def test_cors_is_kept_as_it_was_given_and_taken_away_by_an_empty_one(hearth, client):
    name = hearth.deploy(ECHO).name
    cors = {"AllowCredentials": False, "AllowHeaders": ["x-a"], "AllowMethods": ["GET", "*"], "AllowOrigins": ["https://a.example", "http://localhost:60905"], "ExposeHeaders": ["x-b"], "MaxAge": 0}
    assert client.create_function_url_config(FunctionName=name, AuthType="NONE", Cors=cors)["Cors"] == cors
    assert client.get_function_url_config(FunctionName=name)["Cors"] == cors
    assert client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")["Cors"] == cors, "what is not named stays"
    assert client.update_function_url_config(FunctionName=name, Cors={"AllowOrigins": ["*"]})["Cors"] == {"AllowOrigins": ["*"]}, "what is named is replaced as a whole"
    assert "Cors" not in client.update_function_url_config(FunctionName=name, Cors={})


def test_aliases_have_urls_of_their_own_and_lists_come_in_pages(hearth, client):
    name = hearth.deploy(ECHO).name
    version = client.publish_version(FunctionName=name)["Version"]
    urls = {"": client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]}
    for alias in ("blue", "green"):
        client.create_alias(FunctionName=name, Name=alias, FunctionVersion=version)
        config = client.create_function_url_config(FunctionName=name, Qualifier=alias, AuthType="AWS_IAM")
        assert config["FunctionArn"].endswith(f":{name}:{alias}")
        urls[alias] = config["FunctionUrl"]
    assert len(set(urls.values())) == 3
    listed, marker = [], {}
    while True:
        page = client.list_function_url_configs(FunctionName=name, MaxItems=1, **marker)
        assert len(page["FunctionUrlConfigs"]) == 1
        listed += page["FunctionUrlConfigs"]
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    assert [config["FunctionUrl"] for config in listed] == [urls[""], urls["blue"], urls["green"]]
    client.delete_function_url_config(FunctionName=name)
    assert client.get_function_url_config(FunctionName=name, Qualifier="blue")["FunctionUrl"] == urls["blue"], "an alias's URL is not the function's"


def test_a_configuration_survives_a_restart(new_hearth):
    server = new_hearth()
    url = Url(server, ECHO, Cors={"AllowOrigins": ["https://a.example"]})
    before = without_metadata(server.lambda_client.get_function_url_config(FunctionName=url.function.name))
    server.stop()
    server.start()
    assert without_metadata(server.lambda_client.get_function_url_config(FunctionName=url.function.name)) == before
    assert url.call(headers={"Origin": "https://a.example"}).headers["access-control-allow-origin"] == "https://a.example"


# ---- the event --------------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
def test_a_public_call_gives_the_whole_event(echo):
    answer = echo.call("POST", "/my/path?parameter1=value1&parameter1=value2&parameter2=a%20b", b"Hello from client!",
                       [("Header1", "value1"), ("header2", "value1"), ("HEADER2", "value2"), ("Cookie", "a=1; b=2"), ("Content-Type", "text/plain"), ("User-Agent", "agent"),
                        ("X-Forwarded-For", "6.6.6.6"), ("X-Amzn-Trace-Id", "Root=forged")])
    event = json.loads(answer.text)
    context = event["requestContext"]
    assert re.match(r"^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000$", context["time"]) and abs(context["timeEpoch"] / 1000 - time.time()) < 60
    assert re.match(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", context["requestId"])
    assert answer.headers["x-amzn-RequestId"] == context["requestId"]
    assert answer.headers["X-Amzn-Trace-Id"].startswith(event["headers"]["x-amzn-trace-id"] + ";Parent=")
    assert re.match(r"^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$", event["headers"]["x-amzn-trace-id"])
    assert event == {
        "version": "2.0", "routeKey": "$default", "rawPath": "/my/path", "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=a%20b",
        "cookies": ["a=1", "b=2"],
        "headers": {"host": echo.host, "header1": "value1", "header2": "value1,value2", "content-type": "text/plain", "user-agent": "agent", "content-length": "18",
                    "x-amzn-trace-id": event["headers"]["x-amzn-trace-id"], "x-forwarded-for": "127.0.0.1", "x-forwarded-port": echo.port, "x-forwarded-proto": "http"},
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "a b"},
        "requestContext": {"accountId": "anonymous", "apiId": echo.id, "domainName": echo.host.partition(":")[0], "domainPrefix": echo.id,
                           "http": {"method": "POST", "path": "/my/path", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "agent"},
                           "requestId": context["requestId"], "routeKey": "$default", "stage": "$default", "time": context["time"], "timeEpoch": context["timeEpoch"]},
        "body": "Hello from client!", "isBase64Encoded": False}
    assert list(event) == ["version", "routeKey", "rawPath", "rawQueryString", "cookies", "headers", "queryStringParameters", "requestContext", "body", "isBase64Encoded"]


def test_the_path_form_gives_what_the_name_would_have_given(echo):
    by_name = echo.event(target="/a/b?c=d")
    by_path = echo.event(target=f"/lambda-url/{echo.id}/a/b?c=d", host="127.0.0.1:8080")
    for event in (by_name, by_path):
        assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/a/b"
        assert event["requestContext"]["domainName"] == echo.host.partition(":")[0]
    assert by_path["headers"]["host"] == "127.0.0.1:8080", "headers are the client's"
    assert echo.event(target=f"/lambda-url/{echo.id}", host="x")["rawPath"] == "/"
    assert echo.event(target=f"/lambda-url/{echo.id}/", host="x")["rawPath"] == "/"
    assert echo.event(target=f"/lambda-url/{echo.id}?q=1", host="x")["rawQueryString"] == "q=1"
    assert echo.event(target="/lambda-url/x/y")["rawPath"] == "/lambda-url/x/y", "under its own name a function has all paths"


@pytest.mark.parametrize("path", ["/", "//", "//a//b/", "/a/%2e%2e/b", "/../..", "/a%2Fb", "/%", "/pa2%Fth/1", "/caf%C3%A9", "/%ff%00", "/a;b=c", "/a+b", "/'~!*()"])
def test_paths_reach_the_function_as_they_were_sent(echo, path):
    for target, host in ((path, None), (f"/lambda-url/{echo.id}{path}", "localhost")):
        event = echo.event(target=target, host=host)
        assert event["rawPath"] == event["requestContext"]["http"]["path"] == path


def test_any_host_with_the_id_and_the_label_will_do(echo):
    for host in (echo.host.upper(), echo.host.partition(":")[0], f"{echo.id}.lambda-url.eu-west-9.on.aws", f"{echo.id}.LAMBDA-URL.example.com:443", f"{echo.id}.lambda-url"):
        event = echo.event(host=host)
        assert event["requestContext"]["domainName"] == host.partition(":")[0].lower()
        assert event["requestContext"]["apiId"] == echo.id


def test_hosts_and_paths_that_name_no_url_are_told_apart_from_other_places(hearth, echo):
    other = "0123456789abcdefghijklmnopqrstuv"
    for target, host in (("/", f"{other}.lambda-url.us-east-1.on.localhost"), ("/", "x.lambda-url.us-east-1"), (f"/lambda-url/{other}/", "localhost"), ("/lambda-url/", "localhost"),
                         ("/lambda-url/" + echo.id + "x/", "localhost")):
        answer = echo.call(target=target, host=host)
        assert (answer.status, answer.text) == (403, b'{"Message":null}'), (target, host)
        assert answer.headers["x-amzn-ErrorType"] == "AccessDeniedException" and answer.headers["content-type"] == "application/json"
    for target, host in (("/", "localhost"), ("/", "lambda-url.localhost"), ("/", f"{echo.id}.localhost"), ("/", f"a.{echo.id}.lambda-url.x"), ("/lambda-url", "localhost"), ("/lambda-urlx/a", "localhost")):
        answer = echo.call(target=target, host=host)
        assert (answer.status, json.loads(answer.text)) == (404, {"message": "Not Found"}), (target, host)


def test_curl_finds_the_name_by_itself(echo):
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", f"{echo.address}hello?a=1", "-d", "x=1", "-H", "Cookie: c=1"], capture_output=True, text=True, timeout=60)
    event = json.loads(done.stdout)
    assert (event["rawPath"], event["requestContext"]["http"]["method"], event["cookies"]) == ("/hello", "POST", ["c=1"])
    assert (event["body"], event["isBase64Encoded"]) == (base64.b64encode(b"x=1").decode(), True), "a form is base64, as on AWS"


def test_binary_bodies_arrive_whole_and_strange_bytes_break_nothing(echo):
    every = bytes(range(256))
    event = echo.event("PUT", body=every, headers={"Content-Type": "application/octet-stream"})
    assert event["isBase64Encoded"] and base64.b64decode(event["body"]) == every
    event = echo.event("PUT", body=b"\xff\xfe", headers={"Content-Type": "text/plain"})
    assert event["isBase64Encoded"] and base64.b64decode(event["body"]) == b"\xff\xfe", "a text that is no UTF-8"
    event = echo.event("PUT", body="é\u0000😀".encode(), headers={"Content-Type": "application/json; charset=utf-8"})
    assert (event["body"], event["isBase64Encoded"]) == ("é\u0000😀", False)
    event = echo.event(headers=[("X-Latin", b"caf\xe9"), ("X-Utf8", "café".encode())])
    assert (event["headers"]["x-latin"], event["headers"]["x-utf8"]) == ("café", "café")
    event = echo.event("POST", body=b"5\r\nhello\r\n0\r\n\r\n", headers=[("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")])
    assert event["body"] == "hello" and "transfer-encoding" not in event["headers"]


def test_bodies_up_to_six_megabytes_pass_and_longer_ones_get_413(says):
    text = json.dumps({"answer": {"statusCode": 200, "body": "ok"}, "pad": "x" * (5 * 1024 * 1024)}).encode()
    assert says.call("POST", body=text, headers={"Content-Type": "text/plain"}).text == b"ok"
    for size, fields in ((6 * 1024 * 1024 + 1, {}), (5 * 1024 * 1024, {"Content-Type": "application/octet-stream"})):   # the second: as base64
        answer = says.call("POST", body=b"x" * size, headers=fields)
        assert answer.status == 413 and b"must be smaller than 6291456 bytes" in answer.text
    chunks = b"".join(b"100000\r\n" + b"x" * 0x100000 + b"\r\n" for _ in range(7))
    with RawConnection(says.hearth.gateway_at) as connection:
        head = f"POST / HTTP/1.1\r\nHost: {says.host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        try:
            connection.send(head + chunks)
        except OSError:
            pass
        assert connection.answer().status == 413


# ---- the answer -------------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
@pytest.mark.parametrize("value, text", [({"hello": "world"}, b'{"hello":"world"}'), (["hello", 3, True], b'["hello",3,true]'), ("hello", b"hello"), (3, b"3"), (3.1, b"3.1"), (True, b"true"), (None, b"null")])
def test_a_value_without_a_statusCode_is_the_body(says, value, text):
    answer = says.says({"answer": value})
    assert (answer.status, answer.text, answer.headers["content-type"]) == (200, text, "application/json")
    assert answer.headers["content-length"] == str(len(text))


def test_a_full_answer_becomes_http(says):
    answer = says.says({"answer": {"statusCode": 201, "headers": {"Content-Type": "text/plain", "My-Custom-Header": "Custom Value", "X-N": 5}, "body": "hi",
                                   "cookies": ["Cookie_1=Value1; Max-Age=10", "Cookie_2=Value2"]}})
    assert (answer.status, answer.text) == (201, b"hi")
    assert (answer.headers["content-type"], answer.headers["my-custom-header"], answer.headers["x-n"]) == ("text/plain", "Custom Value", "5")
    assert answer.headers.get_all("set-cookie") == ["Cookie_1=Value1; Max-Age=10", "Cookie_2=Value2"]
    answer = says.says({"answer": {"statusCode": "418", "body": base64.b64encode(bytes(range(256))).decode(), "isBase64Encoded": True}})
    assert (answer.status, answer.text) == (418, bytes(range(256)))


def test_answers_without_a_body_have_none(says):
    for status in (204, 304):
        answer = says.says({"answer": {"statusCode": status, "body": "never sent", "headers": {"x": "y"}}})
        assert (answer.status, answer.text, answer.headers["x"]) == (status, b"", "y")
    with RawConnection(says.hearth.gateway_at) as connection:
        for _ in range(2):
            answer = connection.send(f"HEAD / HTTP/1.1\r\nHost: {says.host}\r\n\r\n").answer(head_request=True)
            assert (answer.status, answer.header("content-length")) == (200, "4"), "the length of null, which is not sent"


HOSTILE = [{"headers": {"a": "b\r\nSet-Cookie: stolen=1"}}, {"headers": {"a": "b\nc"}}, {"headers": {"a\r\nb": "c"}}, {"headers": {"a b": "c"}}, {"headers": {"": "c"}}, {"headers": {"a": "\u0000"}},
           {"cookies": ["a=1\r\nX: y"]}, {"cookies": "a"}, {"headers": []}, {"headers": {"a": ["b"]}}, {"body": "@", "isBase64Encoded": True}, {"statusCode": 99}, {"statusCode": 1000},
           {"statusCode": "ok"}, {"statusCode": None}, {"statusCode": 101}]


@pytest.mark.parametrize("hostile", HOSTILE, ids=json.dumps)
def test_an_answer_that_is_malformed_or_hostile_is_a_502(says, hostile):
    answer = says.says({"answer": {"statusCode": 200, **hostile}})
    assert (answer.status, answer.text) == (502, b"Internal Server Error")
    assert "set-cookie" not in answer.headers and answer.headers["x-amzn-RequestId"]


def test_a_function_cannot_name_lengths_or_end_the_connection(says):
    body = json.dumps({"answer": {"statusCode": 200, "headers": {"Content-Length": "1", "Transfer-Encoding": "chunked", "Connection": "close", "Keep-Alive": "x", "Upgrade": "h2c", "x-amzn-RequestId": "forged"}, "body": "whole"}}).encode()
    with RawConnection(says.hearth.gateway_at) as connection:
        for _ in range(3):
            answer = connection.send(f"POST / HTTP/1.1\r\nHost: {says.host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body).answer()
            assert (answer.status, answer.body, answer.header("content-length")) == (200, b"whole", "5")
            assert answer.header("transfer-encoding") is None and answer.header("upgrade") is None and answer.header("x-amzn-requestid") != "forged"


def test_a_function_that_fails_is_a_502_that_tells_nothing(says):
    answer = says.says({"fail": True})
    assert (answer.status, answer.text) == (502, b"Internal Server Error")


def test_a_function_that_times_out_is_a_502(hearth):
    url = Url(hearth, None, function=hearth.deploy(SAYS, timeout=1))
    answer = url.says({"sleep": 30000})
    assert (answer.status, answer.text) == (502, b"Internal Server Error")


def test_a_throttled_call_is_a_429_as_lambda_tells_it(new_hearth):
    server = new_hearth()
    url = Url(server, SAYS)
    server.lambda_client.put_function_concurrency(FunctionName=url.function.name, ReservedConcurrentExecutions=0)
    answer = url.says({})
    assert answer.status == 429 and answer.headers["x-amzn-ErrorType"] == "TooManyRequestsException"
    assert json.loads(answer.text) == {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "Type": "User", "message": "Rate Exceeded."}
    server.lambda_client.delete_function_concurrency(FunctionName=url.function.name)
    assert url.says({"answer": "back"}).text == b"back"


def test_a_client_that_goes_does_not_end_its_call(hearth):
    url = Url(hearth, SAYS)
    body = json.dumps({"sleep": 300, "log": "it ran on"}).encode()
    connection = RawConnection(hearth.gateway_at)
    connection.send(f"POST / HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    wait_until(lambda: "START" in hearth.logs_of(url.function.name), what="the call runs")
    connection.__exit__(None, None, None)
    wait_until(lambda: "it ran on" in hearth.logs_of(url.function.name), what="the function went on")


# ---- who may call -----------------------------------------------------------------------------------------------------------------

@pytest.fixture
def iam(hearth, shared):
    if shared.get("iam", (None,))[0] is not hearth:
        shared["iam"] = (hearth, Url(hearth, ECHO, auth="AWS_IAM"))
    return shared["iam"][1]


@pytest.mark.fast
def test_a_signed_call_tells_the_function_who_called(iam):
    target = "/my%20path?b=2&a=1&c"
    event = iam.event("POST", target, b"body", headers={**iam.signed("POST", target, b"body", {"Content-Type": "text/plain"}), "Content-Type": "text/plain"})
    key = iam.hearth.credentials["aws_access_key_id"]
    context = event["requestContext"]
    assert context["authorizer"] == {"iam": {"accessKey": key, "accountId": "000000000000", "callerId": "000000000000", "cognitoIdentity": None, "principalOrgId": None,
                                             "userArn": "arn:aws:iam::000000000000:root", "userId": "000000000000"}}
    assert context["accountId"] == "000000000000" and context["authentication"] is None
    assert list(context) == ["accountId", "apiId", "authentication", "authorizer", "domainName", "domainPrefix", "http", "requestId", "routeKey", "stage", "time", "timeEpoch"]
    assert (event["body"], event["pathParameters"], event["stageVariables"]) == ("body", None, None)


def test_an_unsigned_call_of_a_signed_url_is_forbidden(iam):
    for method, body in (("GET", None), ("POST", b"x" * 1000)):
        answer = iam.call(method, body=body)
        assert answer.status == 403 and json.loads(answer.text) == {"Message": FORBIDDEN}
        assert answer.headers["x-amzn-ErrorType"] == "AccessDeniedException"


def test_a_wrong_signature_is_told_as_aws_tells_it(iam):
    wrong = {**iam.hearth.credentials, "aws_secret_access_key": "x" * 40}
    unknown = {**iam.hearth.credentials, "aws_access_key_id": "AKIAAAAAAAAAAAAAAAAA"}
    for fields, code, text in ((iam.signed(keys=wrong), "InvalidSignatureException", "The request signature we calculated does not match the signature you provided."),
                               (iam.signed(target="/other"), "InvalidSignatureException", "The request signature we calculated"),
                               (iam.signed(service="execute-api"), "InvalidSignatureException", "Credential should be scoped to correct service: 'lambda'."),
                               (iam.signed(keys=unknown), "UnrecognizedClientException", "The security token included in the request is invalid.")):
        answer = iam.call(headers=fields)
        assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (403, code)
        assert json.loads(answer.text)["message"].startswith(text)


def test_a_body_is_part_of_the_signature(iam):
    fields = iam.signed("POST", body=b"signed")
    assert iam.call("POST", body=b"signed", headers=fields).status == 200
    assert iam.call("POST", body=b"forged", headers=fields).status == 403
    unsigned = iam.signed("POST", headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert iam.call("POST", body=b"any", headers=unsigned).status in (400, 403), "Lambda supports no unsigned payloads"


def test_a_presigned_address_is_good_for_a_browser(iam):
    keys = iam.hearth.credentials
    credentials = botocore.credentials.Credentials(keys["aws_access_key_id"], keys["aws_secret_access_key"])
    request = botocore.awsrequest.AWSRequest(method="GET", url=iam.address + "file?a=1")
    botocore.auth.SigV4QueryAuth(credentials, "lambda", "us-east-1", expires=60).add_auth(request)
    target = request.url[len(iam.address) - 1:]
    assert iam.event(target=target)["queryStringParameters"]["a"] == "1"
    assert iam.call(target=target.replace("a=1", "a=2")).status == 403


def test_the_path_form_is_signed_as_it_is_sent(iam):
    target = f"/lambda-url/{iam.id}/x"
    keys = iam.hearth.credentials
    request = botocore.awsrequest.AWSRequest(method="GET", url=iam.hearth.gateway + target)
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(keys["aws_access_key_id"], keys["aws_secret_access_key"]), "lambda", "us-east-1").add_auth(request)
    host = iam.hearth.gateway.partition("//")[2]
    assert iam.event(target=target, host=host, headers=dict(request.headers.items()))["rawPath"] == "/x"


def test_a_functions_own_key_may_not_call_a_signed_url(hearth, iam):
    function = hearth.deploy({"index.mjs": "export const handler = async () => ({ id: process.env.AWS_ACCESS_KEY_ID, secret: process.env.AWS_SECRET_ACCESS_KEY, token: process.env.AWS_SESSION_TOKEN });"})
    values = function().ok()
    keys = {"aws_access_key_id": values["id"], "aws_secret_access_key": values["secret"], "aws_session_token": values["token"]}
    answer = iam.call(headers=iam.signed(keys=keys))
    assert answer.status == 403 and json.loads(answer.text) == {"Message": FORBIDDEN}


def test_a_url_can_be_closed_and_opened_again(hearth, client):
    url = Url(hearth, ECHO)
    assert url.call().status == 200
    client.update_function_url_config(FunctionName=url.function.name, AuthType="AWS_IAM")
    assert url.call().status == 403
    assert url.call(headers=url.signed()).status == 200
    client.update_function_url_config(FunctionName=url.function.name, AuthType="NONE")
    assert url.call().status == 200


# ---- CORS -------------------------------------------------------------------------------------------------------------------------

PREFLIGHT = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a"}


@pytest.mark.fast
def test_a_preflight_is_answered_without_the_function(hearth):
    url = Url(hearth, SAYS, Cors={"AllowOrigins": ["https://a.example"], "AllowMethods": ["PUT", "GET"], "AllowHeaders": ["x-a"], "ExposeHeaders": ["x-b"], "MaxAge": 300})
    answer = url.call("OPTIONS", headers=PREFLIGHT)
    assert (answer.status, answer.text) == (200, b"")
    assert {name: answer.headers[name] for name in ("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers", "access-control-max-age")} == {
        "access-control-allow-origin": "https://a.example", "access-control-allow-methods": "PUT,GET", "access-control-allow-headers": "x-a", "access-control-max-age": "300"}
    assert "access-control-allow-credentials" not in answer.headers and "Origin" in answer.headers["vary"]
    other = url.call("OPTIONS", headers={**PREFLIGHT, "Origin": "https://b.example"})
    assert other.status == 200 and not [name for name in other.headers if name.lower().startswith("access-control")]
    assert hearth.logs_of(url.function.name) == "", "the function never ran"
    assert url.call("OPTIONS").text == b"null", "an OPTIONS that is no preflight is the function's"


def test_a_preflight_needs_no_signature(hearth):
    url = Url(hearth, ECHO, auth="AWS_IAM", Cors={"AllowOrigins": ["*"], "AllowMethods": ["*"], "AllowHeaders": ["*"], "AllowCredentials": True})
    answer = url.call("OPTIONS", headers=PREFLIGHT)
    assert (answer.status, answer.headers["access-control-allow-origin"], answer.headers["access-control-allow-credentials"]) == (200, "https://a.example", "true")
    assert (answer.headers["access-control-allow-methods"], answer.headers["access-control-allow-headers"]) == ("PUT", "x-a"), "a star means nothing with credentials"
    refused = url.call(headers={"Origin": "https://a.example"})
    assert refused.status == 403 and refused.headers["access-control-allow-origin"] == "https://a.example", "so that a page can read why"


def test_other_answers_get_the_configured_fields_beside_the_functions_own(hearth):
    url = Url(hearth, SAYS, Cors={"AllowOrigins": ["https://a.example"], "AllowCredentials": True, "ExposeHeaders": ["x-b", "x-c"]})
    own = {"answer": {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}}}
    answer = url.says(own, Origin="https://a.example")
    assert answer.headers.get_all("access-control-allow-origin") == ["https://a.example", "*"], "both, as AWS documents"
    assert (answer.headers["access-control-allow-credentials"], answer.headers["access-control-expose-headers"]) == ("true", "x-b,x-c")
    assert url.says({"fail": True}, Origin="https://a.example").headers["access-control-allow-origin"] == "https://a.example", "a failure too"
    assert "access-control-allow-origin" not in url.says({"answer": 1}, Origin="https://b.example").headers
    assert "access-control-allow-origin" not in url.says({"answer": 1}).headers


def test_without_a_configuration_the_function_does_its_own_cors(echo):
    assert echo.event("OPTIONS", headers=PREFLIGHT)["requestContext"]["http"]["method"] == "OPTIONS"
    assert "access-control-allow-origin" not in echo.call(headers={"Origin": "https://a.example"}).headers


# ---- aliases, and the end of URLs -------------------------------------------------------------------------------------------------

def version_of(hearth, text):
    return {"index.mjs": f"export const handler = async (event, context) => ({{ text: {json.dumps(text)}, arn: context.invokedFunctionArn, version: context.functionVersion }});"}


def test_an_aliass_url_runs_what_the_alias_points_to(hearth, client):
    function = hearth.deploy(version_of(hearth, "one"))
    name = function.name
    first = client.publish_version(FunctionName=name)["Version"]
    client.update_function_code(FunctionName=name, ZipFile=make_zip(version_of(hearth, "two")))
    wait_until(lambda: client.get_function_configuration(FunctionName=name)["LastUpdateStatus"] == "Successful")
    second = client.publish_version(FunctionName=name)["Version"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion=first)
    url, latest = Url(hearth, None, function=function, qualifier="live"), Url(hearth, None, function=function)
    value = json.loads(url.call().text)
    assert (value["text"], value["version"]) == ("one", first) and value["arn"].endswith(f":{name}:live")
    value = json.loads(latest.call().text)
    assert (value["text"], value["version"]) == ("two", "$LATEST") and value["arn"].endswith(f":{name}")
    client.update_alias(FunctionName=name, Name="live", FunctionVersion=second)
    assert json.loads(url.call().text)["text"] == "two"
    client.update_alias(FunctionName=name, Name="live", FunctionVersion=second, RoutingConfig={"AdditionalVersionWeights": {first: 0.5}})
    assert {json.loads(url.call().text)["text"] for _ in range(60)} == {"one", "two"}
    client.delete_alias(FunctionName=name, Name="live")
    assert (url.call().status, latest.call().status) == (403, 200), "the alias took its URL with it"
    assert aws_error(client.get_function_url_config, FunctionName=name, Qualifier="live").status == 404


def test_a_deleted_url_is_gone_at_once_and_with_its_function(hearth, client):
    url = Url(hearth, ECHO)
    assert url.call().status == 200
    client.delete_function_url_config(FunctionName=url.function.name)
    answer = url.call()
    assert (answer.status, answer.text) == (403, b'{"Message":null}')
    again = Url(hearth, None, function=url.function)
    assert again.call().status == 200
    client.delete_function(FunctionName=url.function.name)
    assert again.call().status == 403


def test_a_url_that_is_deleted_while_a_body_comes_in_runs_nothing(hearth, client):
    url = Url(hearth, ECHO)
    with RawConnection(hearth.gateway_at) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: 10\r\n\r\nhello".encode())
        client.delete_function_url_config(FunctionName=url.function.name)
        assert connection.send(b"world").answer().status == 403


def test_a_server_that_ends_answers_the_calls_that_run(new_hearth):
    server = new_hearth()
    url = Url(server, SAYS)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(url.says, {"sleep": 500, "answer": "in the end"})
        wait_until(lambda: "START" in server.logs_of(url.function.name), what="the call runs")
        server.stop()
        assert answer.result().text == b"in the end"


def test_many_clients_at_once_each_get_their_own_answer(says):
    def one(i):
        return says.says({"answer": {"statusCode": 200 + i % 2, "body": f"number {i}"}})
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for i, answer in enumerate(pool.map(one, range(200))):
            assert (answer.status, answer.text) == (200 + i % 2, f"number {i}".encode())


# ---- hearth deploy --url ----------------------------------------------------------------------------------------------------------

def test_deploy_gives_a_url_and_keeps_it(hearth, tmp_path):
    (tmp_path / "index.mjs").write_text('export const handler = async () => "hello";')

    def deploy(*options):
        done = subprocess.run([hearth.binary, "deploy", str(tmp_path), "--name", name, *options], env=hearth.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout
    name = f"deployed-{tmp_path.name[-20:].strip('-_')}".replace("_", "-")
    address = re.search(r"^(http://\S+) \(signed calls only\)$", deploy("--url"), re.M).group(1)
    assert f"{address} (anybody may call it)" in deploy("--url", "NONE")
    assert f"{address} (anybody may call it)" in deploy("--url"), "what nobody named stays"
    assert json.loads(deploy("--url", "--json"))["FunctionUrl"] == address
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", address], capture_output=True, text=True, timeout=60)
    assert done.stdout == "hello"
    assert f"{address} (signed calls only)" in deploy("--url=AWS_IAM")
    assert address not in deploy()
    refused = subprocess.run([hearth.binary, "deploy", str(tmp_path), "--url=open"], env=hearth.env, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2 and "NONE" in refused.stderr
