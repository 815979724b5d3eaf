"""A database with a damaged page: the server says what is wrong and what to do, or runs with what is whole; it never serves halves and never dies of a signal."""
import os
import pathlib
import random
import shutil
import subprocess

import botocore.exceptions
import pytest

from helpers import ROLE, Hearth, binary, make_zip, wait_until

PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The data directory of a server that ended in good order, with six functions."""
    server = Hearth()
    try:
        for n in range(6):
            server.lambda_client.create_function(FunctionName=f"f{n:02d}", Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Description="d" * 200,
                                                 Code={"ZipFile": make_zip({"index.js": f"exports.handler = async () => {n};"})}, Environment={"Variables": {"NUMBER": str(n) * 200}})
        assert server.stop() == 0
        kept = tmp_path_factory.mktemp("stopped") / "data"
        shutil.copytree(server.data, kept)
    finally:
        server.close(check=False)
    return kept


def damaged(stopped, tmp_path, page, how):
    data = tmp_path / "data"
    shutil.copytree(stopped, data)
    data.chmod(0o700)
    content = bytearray((data / "hearth.db").read_bytes())
    at = page * PAGE_BYTES
    if how == "zeros":
        content[at:at + PAGE_BYTES] = bytes(PAGE_BYTES)
    elif how == "noise":
        content[at:at + PAGE_BYTES] = random.Random(page).randbytes(PAGE_BYTES)
    else:                                            # one bit in the middle of somebody's row
        content[at + PAGE_BYTES // 2] ^= 0x10
    (data / "hearth.db").write_bytes(content)
    return data


def pages(stopped):
    return (stopped / "hearth.db").stat().st_size // PAGE_BYTES


@pytest.mark.parametrize("how", ["zeros", "noise", "bit"])
def test_a_damaged_page_is_told_or_does_no_harm(stopped, tmp_path, how):
    outcomes = set()
    for page in range(pages(stopped)):
        data = damaged(stopped, tmp_path / str(page), page, how)
        server = Hearth(data=data, start=False, stop_must_be_clean=False)
        try:
            server.spawn()
            wait_until(lambda: server.process.poll() is not None or (data / "endpoints.json").exists(), 30, "the server is ready or has ended")
            said = pathlib.Path(server.stderr_at).read_text()
            if server.process.poll() is not None:
                assert server.process.returncode == 1, f"page {page}: status {server.process.returncode}\n{said}"
                assert "database" in said and "backup" in said, f"page {page}: {said}"
                outcomes.add("refused")
                continue
            wait_until(server._ready, 30, "the server answers")
            client = server.lambda_client
            for function in client.list_functions()["Functions"]:      # whatever it shows it can run
                answer = client.invoke(FunctionName=function["FunctionName"])
                assert answer["Payload"].read() == str(int(function["FunctionName"][1:])).encode(), f"page {page}: {function['FunctionName']}"
            try:                                                        # a write is kept or refused; it does not end the server
                client.update_function_configuration(FunctionName="f03", Description="written afterwards")
                client.create_function(FunctionName="new", Runtime="nodejs20.x", Handler="index.handler", Role=ROLE, Code={"ZipFile": make_zip({"index.js": "exports.handler = async () => 1;"})})
            except botocore.exceptions.ClientError as refused:
                assert refused.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 500), refused
            assert server.process.poll() is None, pathlib.Path(server.stderr_at).read_text()
            outcomes.add("runs")
        finally:
            server.close(check=False)
            shutil.rmtree(tmp_path / str(page), ignore_errors=True)
    assert outcomes, "pages were tried"


def test_a_database_cut_short_is_refused_with_what_to_do(stopped, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(stopped, data)
    os.truncate(data / "hearth.db", PAGE_BYTES + 100)
    done = subprocess.run([binary(), "serve", "--data", str(data), "--api", "127.0.0.1:0", "--gateway", "127.0.0.1:0"], capture_output=True, text=True, timeout=60,
                          env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")})
    assert done.returncode == 1 and "database" in done.stderr and "backup" in done.stderr, done.stderr
