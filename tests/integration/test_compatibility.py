"""docs/compatibility.md tells the truth: of AWS's models each operation that it calls none is unknown to the server, and each other is not."""
import json
import pathlib
import re
import subprocess

import pytest

import model_check
from helpers import RawConnection, binary, signed_request

compatibility = model_check._compatibility()
BOTOCORE = compatibility.newest_botocore()
SERVED = {(row["service"], row["operation"])
          for row in json.loads(subprocess.run([binary(), "operations"], check=True, capture_output=True, text=True).stdout)}
MODELS = {service: compatibility.model_of(BOTOCORE, service) for service in ("lambda", "logs", "sts")}
OPERATIONS = [(service, name) for service, model in MODELS.items() for name in sorted(model["operations"])]
# Where there is nothing to be found, a word that each path takes.
WORDS = {"VersionNumber": "1", "Resource": "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Anone"}


def request_of(hearth, service, name):
    """The operation as its protocol sends it, with the least in it."""
    model = MODELS[service]
    metadata, http = model["metadata"], model["operations"][name]["http"]
    if metadata["protocol"] == "json":
        headers = {"X-Amz-Target": f"{metadata['targetPrefix']}.{name}", "Content-Type": "application/x-amz-json-1.1"}
        return signed_request(hearth, "POST", "/", b"{}", service=service, headers=headers)
    if metadata["protocol"] == "query":
        body = f"Action={name}&Version={metadata['apiVersion']}".encode()
        return signed_request(hearth, "POST", "/", body, service=service, headers={"Content-Type": "application/x-www-form-urlencoded"})
    path = re.sub(r"\{(\w+)\+?\}", lambda match: WORDS.get(match.group(1), "none"), http["requestUri"])
    body = b"" if http["method"] in ("GET", "DELETE") else b"{}"
    return signed_request(hearth, http["method"], path, body, service=service)


def code_of(answer):
    return (answer.header("x-amzn-errortype") or "").split(":")[0] or (re.findall(rb"<Code>(\w+)</Code>", answer.body) or [b""])[0].decode() \
        or (json.loads(answer.body or b"{}").get("__type", "") if answer.body.startswith(b"{") else "")


@pytest.mark.parametrize("service, name", OPERATIONS, ids=[f"{service}-{name}" for service, name in OPERATIONS])
def test_an_operation_is_unknown_exactly_when_it_is_none(hearth, service, name):
    with RawConnection(hearth.address) as raw:
        answer = raw.send(request_of(hearth, service, name)).answer()
    code = code_of(answer)
    unknown = {"rest-json": (404, "UnknownOperationException"), "json": (400, "UnknownOperationException"), "query": (400, "InvalidAction")}
    if (service, name) in SERVED:
        assert code not in ("UnknownOperationException", "InvalidAction") and answer.status < 500, answer
    else:
        assert (answer.status, code) == unknown[MODELS[service]["metadata"]["protocol"]], answer


def test_the_page_has_a_line_for_each_operation():
    lines = re.findall(r"^\| (\w+) \| (full|partial|none) \|", compatibility.PAGE.read_text(encoding="utf-8"), re.M)
    assert sorted(name for name, _ in lines) == sorted(name for _, name in OPERATIONS)
    assert {name for name, support in lines if support == "none"} == {name for service, name in OPERATIONS if (service, name) not in SERVED}


def test_an_older_botocore_than_the_page_s_finds_nothing_wrong_with_it(monkeypatch):
    directories = sorted(compatibility.botocore_directories(), key=compatibility.version_of)
    if compatibility.version_of(directories[0]) == compatibility.version_of(directories[-1]):
        pytest.skip("there is one botocore on this machine")
    monkeypatch.setattr(compatibility, "newest_botocore", lambda: directories[0])
    monkeypatch.setattr("sys.argv", ["compatibility.py", "--binary", str(pathlib.Path(binary())), "--check"])
    assert compatibility.main() == 0
