"""The commands of README.md and of the guides, run in their order, as they stand there, with Debian's own aws."""
import os
import pathlib
import re
import subprocess

import pytest

from helpers import REPOSITORY, binary

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)


def blocks(path):
    text = (REPOSITORY / path).read_text()
    found = BLOCK.findall(text)
    # Another fence with commands in it would be one that nobody runs.
    assert len(re.findall(r"^```", text, re.M)) == 2 * len(found), f"{path}: every fenced block is ```sh and is run"
    return found


@pytest.mark.skipif(not pathlib.Path("/usr/bin/aws").exists(), reason="Debian's awscli is not installed")
@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md", "docs/function-urls.md", "docs/logs.md", "docs/versions.md", "docs/layers.md", "docs/runtimes.md", "docs/async.md"])
def test_every_command_works_as_written(new_hearth, tmp_path, page):
    server = new_hearth()
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "hearth").symlink_to(binary())
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "HEARTH_")) or k in ("HEARTH_SHARE", "HEARTH_RUNTIMES")}
    environment |= {"HEARTH_DATA": str(server.data), "PATH": f"{tools}:/usr/bin:/bin", "HOME": str(tmp_path)}
    work = tmp_path / "work"
    work.mkdir()
    pages = blocks(page)
    assert pages
    # One shell for the page: an `eval` in one block holds in the next. -x tells which command failed.
    script = "\n".join(pages)
    done = subprocess.run(["/bin/bash", "-euxo", "pipefail", "-c", script], cwd=work, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    said = "".join(line for line in done.stdout.splitlines(True) if not line.startswith("+"))
    for part in EXPECTED[page]:
        assert part in said, f"{part!r} is not in what the commands printed:\n{done.stdout}"


# What a reader would look for on the screen.
EXPECTED = {
    "README.md": ["created greet: nodejs", '{"greeting":"Hello, Ada!"}', '{"greeting":"Hello, Grace!"}', '"greet2"', "{'greeting': 'Hello, boto3!'}",
                  "updated greet: ", "256 MB", '{"greeting":"Good evening, Ada!"}', "somebody came by", "REPORT RequestId", "removed greet"],
    "docs/quickstart.md": ["created words: python3", '"words": 4', '"memory": "192"', "counting for quickstart", '"from":"words"',
                           '"errorType":"RangeError"', '"Unhandled"', "call 2 went wrong", "hello from a program in the package",
                           "AccountLimit", ":root", "removed tools"],
    "docs/versions.md": ["function:shop:1", "Hello, I am 1", "Good evening, I am $LATEST", "$LATEST\t1\t2", "function:shop:live", '"2": 0.1',
                         "Good evening, I am 2", "Unable to delete version because the following aliases reference it: [live]", "web",
                         '"ReservedConcurrentExecutions": 2', "UnreservedConcurrentExecutions", "Rate Exceeded.", "removed shop"],
    "docs/function-urls.md": ["(anybody may call it)", "GET /hello, Ada", "POST /a%2Fb, stranger", "GET /hello, Host", "GET /hello, path", "403 without a signature", "GET /signed, stranger",
                              "https://www.example.com", "GET,PUT", "GET /, live", ":page:live", "403 once it is deleted"],
    "docs/async.md": ['"StatusCode": 202', "accepted as ", "resizing 7 as ", "resizing 8 as ", "removed resize"],
    "docs/runtimes.md": ["created shell: provided.al2023", '{"from": "sh"}', 'called with {"a": 1}', "removed shell"],
    "docs/layers.md": ["Hello, Ada", ":layer:greeting:2"],
    "docs/logs.md": ["START RequestId", "number 3", "ERROR: too large 3", "[$LATEST]", "order-1-paid", "/shop/orders\t7", '"LogFormat":"JSON","ApplicationLogLevel":"WARN"',
                     '"type":"platform.report"', "removed chatty"],
}
