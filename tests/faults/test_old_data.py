"""A data directory that the first schema left opens in this server: nothing of it is lost, and what is new works on what is old."""
import json
import pathlib
import tarfile

import pytest

from helpers import Hearth, make_zip, node

KEPT = pathlib.Path(__file__).parent / "old-data" / "schema-1.tar.gz"


@pytest.fixture
def old(tmp_path):
    """A server on a copy of the directory that a server of the first schema wrote."""
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path)                              # noqa: S202 (our own file)
    data = tmp_path / "data"
    assert b"last_version" not in (data / "hearth.db").read_bytes()
    server = Hearth(data=data)
    yield server
    server.close()


def payload(client, name, event, **more):
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), **more)
    assert "FunctionError" not in answer
    return json.load(answer["Payload"]), answer["ExecutedVersion"]


def test_both_functions_answer_with_their_old_code_and_environment(old):
    client = old.lambda_client
    greeting = client.get_function_configuration(FunctionName="old-node")["Environment"]["Variables"]["GREETING"]
    assert greeting
    assert payload(client, "old-node", {"n": 1}) == ({"greeting": greeting, "event": {"n": 1}}, "$LATEST")
    assert payload(client, "old-python", [2]) == ({"name": "old-python", "event": [2]}, "$LATEST")


def test_configuration_revisions_and_tags_are_what_they_were(old):
    client = old.lambda_client
    function = client.get_function(FunctionName="old-node")
    assert function["Tags"] == {"cost": "low", "team": "first"}
    configuration = function["Configuration"]
    assert configuration["RevisionId"] == "cace5e6f-32b8-4b9e-81d7-a29de65f4f8c"
    assert (configuration["Timeout"], configuration["MemorySize"], configuration["Runtime"]) == (7, 256, "nodejs20.x")
    assert client.get_function_configuration(FunctionName="old-python")["Description"] == "from the first schema"
    assert [f["FunctionName"] for f in client.list_functions()["Functions"]] == ["old-node", "old-python"]


def test_an_old_function_can_be_published_aliased_and_updated_and_all_that_survives_a_restart(old):
    client = old.lambda_client
    first = client.publish_version(FunctionName="old-node")
    assert first["Version"] == "1"
    client.create_alias(FunctionName="old-node", Name="live", FunctionVersion="1")
    client.put_function_concurrency(FunctionName="old-node", ReservedConcurrentExecutions=2)
    client.update_function_code(FunctionName="old-node", ZipFile=make_zip(node("exports.handler = async () => 'new'")))
    client.get_waiter("function_updated_v2").wait(FunctionName="old-node")
    for _ in range(2):
        was, version = payload(client, "old-node", 3, Qualifier="live")
        assert (was["event"], version) == (3, "1")
        assert payload(client, "old-node", 3) == ("new", "$LATEST")
        assert client.get_function(FunctionName="old-node")["Concurrency"]["ReservedConcurrentExecutions"] == 2
        old.restart()
        client = old.lambda_client
