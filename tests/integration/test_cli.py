"""The `hearth` command as a person uses it, against a real server."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import pytest

from helpers import REPOSITORY, RawConnection, binary, signed_request, wait_until

DONE, FAILED, USAGE, FUNCTION_FAILED, NO_SERVER = 0, 1, 2, 3, 4


class Cli:
    """Runs the binary with the server's directory in HEARTH_DATA and nothing else of AWS's or ours in the environment."""

    def __init__(self, data=None, **environment):
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "HEARTH_"))}
        # Debian's aws is the one that the README promises to work with.
        self.environment["PATH"] = "/usr/bin:" + self.environment.get("PATH", "")
        for name in ("HEARTH_SHARE", "HEARTH_RUNTIMES"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        if data:
            self.environment["HEARTH_DATA"] = str(data)
        self.environment.update(environment)

    def __call__(self, *arguments, status=DONE, stdin=None, cwd=None, binary_output=False):
        done = subprocess.run([binary(), *map(str, arguments)], input=stdin, capture_output=True, env=self.environment, cwd=cwd, timeout=120)
        if not binary_output:
            done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == status, f"hearth {arguments}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture
def cli(hearth):
    return Cli(hearth.data)


@pytest.fixture
def folder(tmp_path, request):
    """A function's folder whose name is unique, so that tests share a server without meeting."""
    path = tmp_path / re.sub(r"[^A-Za-z0-9]", "-", request.node.name)[-40:].strip("-")
    path.mkdir()
    return path


def put(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


ECHO = "export const handler = async (event) => { console.log('got', JSON.stringify(event)); return { event, env: process.env.COLOR }; };\n"


# ---- deploy ---------------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
def test_a_folder_becomes_a_function_that_answers(cli, folder):
    put(folder, index__mjs=ECHO)
    assert cli("deploy", folder).stdout.startswith(f"created {folder.name}: nodejs")
    assert json.loads(cli("invoke", folder.name, '{"n": 1}').stdout)["event"] == {"n": 1}
    assert folder.name in cli("ls").stdout
    assert cli("rm", folder.name).stdout == f"removed {folder.name}\n"
    assert folder.name not in cli("ls").stdout


def test_an_unchanged_folder_is_not_sent_again(cli, folder):
    put(folder, index__mjs=ECHO)
    first = json.loads(cli("deploy", folder, "--json").stdout)
    os.utime(folder / "index.mjs", (0, 0))
    assert cli("deploy", folder).stdout.startswith("unchanged")
    again = json.loads(cli("deploy", folder, "--json").stdout)
    assert again["CodeSha256"] == first["CodeSha256"] and again["LastModified"] == first["LastModified"]
    put(folder, index__mjs=ECHO + "// changed\n")
    assert cli("deploy", folder).stdout.startswith("updated")


def test_a_second_deploy_changes_what_it_names_and_keeps_the_rest(cli, folder):
    put(folder, index__mjs=ECHO)
    cli("deploy", folder, "--env", "COLOR=red", "--env", "SIZE=1", "--timeout", "7", "--memory", "256", "--description", "first")
    now = json.loads(cli("deploy", folder, "--env", "COLOR=it's blue", "--unset-env", "SIZE", "--json").stdout)
    assert now["Environment"]["Variables"] == {"COLOR": "it's blue"}
    assert (now["Timeout"], now["MemorySize"], now["Description"]) == (7, 256, "first")
    assert json.loads(cli("invoke", folder.name).stdout)["env"] == "it's blue"


def test_the_same_deploy_again_changes_nothing(cli, folder):
    put(folder, index__mjs=ECHO)
    options = ["--env", "COLOR=red", "--timeout", "7", "--memory", "256", "--unset-env", "SIZE"]
    cli("deploy", folder, *options)
    assert cli("deploy", folder, *options).stdout.startswith("unchanged"), "its warm instances are kept"
    assert cli("deploy", folder, "--timeout", "8").stdout.startswith("updated")
    assert cli("deploy", folder, "--env", "COLOR=blue").stdout.startswith("updated")
    assert cli("deploy", folder, "--unset-env", "COLOR").stdout.startswith("updated")


def test_requirements_that_are_not_in_the_folder_are_told(cli, folder):
    put(folder, app__py="def handler(event, context):\n    return 1\n", requirements__txt="# comes with the runtime\nboto3>=1.20\n")
    assert cli("deploy", folder).stderr == ""
    put(folder, requirements__txt="boto3\nleftpad==1.0\n")
    assert f"pip install -r {folder}/requirements.txt -t {folder}" in cli("deploy", folder).stderr
    (folder / "leftpad-1.0.dist-info").mkdir()
    assert cli("deploy", folder).stderr == ""


def test_a_main_that_is_not_there_is_named(cli, folder):
    put(folder, package__json='{"main": "dist/index.js"}', other__js="exports.handler = async () => 1;\n")
    assert 'dist/index.js' in cli("deploy", folder, status=FAILED).stderr
    put(folder, package__json='{"main": "dist/index.js", "scripts": {"build": "tsc"}}')
    assert "npm run build" in cli("deploy", folder, status=FAILED).stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named_as_such(cli, folder):
    put(folder, index__mjs=ECHO)
    (folder / "index.mjs").chmod(0)
    assert "Permission denied" in cli("deploy", folder, status=FAILED).stderr


def test_a_python_folder_is_recognised(cli, folder):
    put(folder, app__py="def lambda_handler(event, context):\n    return context.function_name\n")
    assert "python3" in cli("deploy", folder).stdout
    assert json.loads(cli("invoke", folder.name).stdout) == folder.name


def test_a_node_folder_can_become_a_python_one(cli, folder):
    put(folder, index__mjs=ECHO)
    cli("deploy", folder)
    (folder / "index.mjs").unlink()
    put(folder, main__py="def handler(event, context):\n    return 'python now'\n")
    assert "main.handler" in cli("deploy", folder).stdout
    assert cli("invoke", folder.name).stdout == '"python now"\n'


BOOTSTRAP = r"""#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
  curl -sS -D /tmp/head -o /tmp/event "$api/next"
  id=$(sed -n 's/^lambda-runtime-aws-request-id: *//Ip' /tmp/head | tr -d '\r')
  curl -sS -o /dev/null "$api/$id/response" --data "\"$_HANDLER\""
done
"""


def test_a_folder_with_a_bootstrap_runs_on_a_provided_runtime(cli, folder):
    put(folder, bootstrap=BOOTSTRAP)
    assert "chmod +x bootstrap" in cli("deploy", folder, status=FAILED).stderr
    (folder / "bootstrap").chmod(0o755)
    assert "provided.al2023" in cli("deploy", folder).stdout
    assert json.loads(cli("invoke", folder.name).stdout) == "bootstrap"
    assert "provided.al2023" in cli("deploy", folder, "--handler", "orders").stdout
    assert json.loads(cli("invoke", folder.name).stdout) == "orders"
    assert "provided.al2, orders" in cli("deploy", folder, "--runtime", "provided.al2").stdout


def test_executables_and_links_arrive_as_they_are(cli, folder):
    put(folder, index__mjs="import { execFileSync } from 'node:child_process';\n"
                           "export const handler = async () => execFileSync('./link').toString();\n", tool="#!/bin/sh\necho ran\n")
    (folder / "tool").chmod(0o755)
    (folder / "link").symlink_to("tool")
    cli("deploy", folder)
    assert cli("invoke", folder.name).stdout == '"ran\\n"\n'


def test_what_hearthignore_names_stays_at_home(cli, folder):
    put(folder, index__mjs="import { readdirSync } from 'node:fs';\nexport const handler = async () => readdirSync('.').sort();\n",
        secret__txt="x", keep__txt="x")
    (folder / ".hearthignore").write_text("*.txt\n!keep.txt\n")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_text("x")
    cli("deploy", folder)
    assert json.loads(cli("invoke", folder.name).stdout) == ["index.mjs", "keep.txt"]


@pytest.mark.fast
def test_what_cannot_run_is_refused_with_the_command_that_helps(cli, folder):
    put(folder, index__ts="export const handler = async () => 1;\n")
    told = cli("deploy", folder, status=FAILED).stderr
    assert "npx esbuild index.ts" in told and "hearth deploy dist --name" in told
    put(folder, index__js="exports.handler = async () => 1;\n", package__json='{"dependencies": {"left-pad": "1"}}')
    assert "npm install --omit=dev" in cli("deploy", folder, status=FAILED).stderr
    assert "no such file" in cli("deploy", folder / "nowhere", status=FAILED).stderr.lower()
    assert folder.name not in cli("ls").stdout


def test_what_the_server_refuses_is_told_in_its_words(cli, folder):
    put(folder, index__mjs=ECHO)
    done = cli("deploy", folder, "--env", "AWS_REGION=mars", status=FAILED)
    assert "InvalidParameterValueException" in done.stderr and "AWS_REGION" in done.stderr


# ---- invoke ---------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def echo(cli, folder):
    put(folder, index__mjs=ECHO)
    cli("deploy", folder)
    return folder.name


def test_the_payload_comes_from_the_argument_a_file_or_stdin(cli, echo, tmp_path):
    (tmp_path / "event.json").write_text('{"from": "file"}')
    assert json.loads(cli("invoke", echo, "--file", tmp_path / "event.json").stdout)["event"] == {"from": "file"}
    assert json.loads(cli("invoke", echo, "-", stdin=b'{"from": "stdin"}').stdout)["event"] == {"from": "stdin"}
    assert json.loads(cli("invoke", echo, "--file", "-", stdin=b'[1]').stdout)["event"] == [1]
    assert json.loads(cli("invoke", echo).stdout)["event"] == {}


def test_the_tail_of_the_log_goes_to_stderr_and_the_answer_to_stdout(cli, echo):
    done = cli("invoke", echo, '{"x": "y"}', "--tail")
    assert json.loads(done.stdout)["event"] == {"x": "y"}
    assert 'got {"x":"y"}' in done.stderr and "REPORT RequestId" in done.stderr


def test_json_tells_everything_in_one_object(cli, echo):
    answer = json.loads(cli("invoke", echo, "{}", "--json", "--tail").stdout)
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    assert answer["Payload"]["event"] == {} and "REPORT" in answer["LogResult"] and "FunctionError" not in answer


def test_a_function_that_fails_makes_status_3(cli, folder):
    put(folder, index__mjs="export const handler = async () => { throw new TypeError('no good'); };\n")
    cli("deploy", folder)
    done = cli("invoke", folder.name, status=FUNCTION_FAILED)
    assert json.loads(done.stdout)["errorType"] == "TypeError"
    assert "the function failed" in done.stderr
    assert json.loads(cli("invoke", folder.name, "--json", status=FUNCTION_FAILED).stdout)["FunctionError"] == "Unhandled"


def test_who_is_throttled_reads_which_limit_it_was(new_hearth, folder):
    cli = Cli(new_hearth(options=["--concurrency", "1", "--drain", "100ms"]).data)
    put(folder, index__mjs="export const handler = async (event) => { if (event.hold) { console.log('it holds'); await new Promise((r) => setTimeout(r, 60000)); } };\n")
    cli("deploy", folder, "--timeout", "60")
    holder = subprocess.Popen([binary(), "invoke", folder.name, '{"hold": true}'], env=cli.environment, stdout=subprocess.DEVNULL)
    try:
        def printed():
            return subprocess.run([binary(), "logs", folder.name], env=cli.environment, capture_output=True, text=True, timeout=60).stdout
        wait_until(lambda: "it holds" in printed(), what="the one place is taken")
        refused = cli("invoke", folder.name, status=FAILED).stderr
        assert "TooManyRequestsException" in refused and "`concurrency`" in refused
    finally:
        holder.kill()
        holder.wait()


def test_who_meets_a_reservation_reads_that_it_was_one(cli, echo, hearth):
    hearth.lambda_client.put_function_concurrency(FunctionName=echo, ReservedConcurrentExecutions=0)
    refused = cli("invoke", echo, status=FAILED).stderr
    assert "TooManyRequestsException" in refused and "reserved concurrency" in refused and "put-function-concurrency" in refused


def test_a_payload_that_is_no_json_is_refused_before_it_is_sent(cli, echo):
    assert "not JSON" in cli("invoke", echo, "{name: Ada}", status=FAILED).stderr


def test_a_function_that_is_not_there_is_a_failure(cli):
    assert "ResourceNotFoundException" in cli("invoke", "no-such-function", status=FAILED).stderr
    assert "ResourceNotFoundException" in cli("rm", "no-such-function", status=FAILED).stderr
    cli("rm", "-f", "no-such-function")


# ---- logs -----------------------------------------------------------------------------------------------------------------------

def wait_for_report(cli, name):
    """Answered calls are there at once; where no server is asked, within 100 ms."""
    def written():
        done = subprocess.run([binary(), "logs", name], capture_output=True, env=cli.environment, timeout=60)
        return b"REPORT" in done.stdout
    wait_until(written, what="the log is on disk")


def test_logs_show_what_was_printed(cli, echo):
    cli("invoke", echo, '{"call": 1}')
    wait_for_report(cli, echo)
    text = cli("logs", echo, "--since", "10m").stdout
    assert 'got {"call":1}' in text and "START RequestId" in text
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  ", text)
    events = [json.loads(line) for line in cli("logs", echo, "--json").stdout.splitlines()]
    assert {"timestamp", "logStreamName", "message"} == set(events[0])


def test_logs_are_whole_as_soon_as_the_call_is_answered(cli, echo):
    for number in range(5):
        cli("invoke", echo, json.dumps({"call": number}))
        text = cli("logs", echo).stdout
        assert f'got {{"call":{number}}}' in text and text.count("REPORT RequestId") == number + 1


def test_logs_of_a_version_an_alias_and_an_arn_are_the_functions(cli, echo, hearth):
    arn = hearth.lambda_client.publish_version(FunctionName=echo)["FunctionArn"]
    cli("invoke", f"{echo}:1", '{"call": "one"}')
    for name in (echo, f"{echo}:1", f"{echo}:live", arn):
        assert 'got {"call":"one"}' in cli("logs", name).stdout


def test_logs_are_read_from_the_group_that_the_function_prints_into(cli, echo, folder, hearth):
    other = f"{echo[:40]}-2"
    cli("deploy", folder, "--name", other)
    for name in (echo, other):
        body = json.dumps({"LoggingConfig": {"LogGroup": f"shared-{echo}"}}).encode()  # Debian 12's boto3 does not know it
        request = signed_request(hearth, "PUT", f"/2015-03-31/functions/{name}/configuration", body, headers={"Content-Type": "application/json"})
        with RawConnection(hearth.address) as connection:
            assert connection.send(request).answer().status == 200
        cli("invoke", name, json.dumps({"by": name}))
    text = cli("logs", echo).stdout
    assert f'got {{"by":"{echo}"}}' in text and f'"by":"{other}"' not in text


def test_logs_of_a_function_that_never_ran_say_so(cli, echo):
    assert "printed nothing yet" in cli("logs", echo, status=FAILED).stderr
    assert "ResourceNotFoundException" in cli("logs", "no-such-function", status=FAILED).stderr


def follow(cli, name, **streams):
    return subprocess.Popen([binary(), "logs", name, "-f"], env=cli.environment, text=True, **streams,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # background jobs ignore it


def test_followed_logs_come_as_they_are_printed(cli, echo):
    cli("invoke", echo, '{"call": "before"}')
    wait_for_report(cli, echo)
    follower = follow(cli, echo, stdout=subprocess.PIPE)
    seen = []
    reader = threading.Thread(target=lambda: [seen.append(line) for line in follower.stdout])
    reader.start()
    try:
        wait_until(lambda: any("before" in line for line in seen), what="what was there already")
        cli("invoke", echo, '{"call": "after"}')
        wait_until(lambda: any("after" in line for line in seen), what="what came later")
    finally:
        follower.send_signal(signal.SIGINT)
        try:
            follower.wait(30)
        finally:
            follower.kill()  # or the reader below waits for ever
        reader.join(30)


def test_following_begins_before_the_first_call(cli, echo):
    follower = follow(cli, echo, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert "printed nothing yet" in follower.stderr.readline()
        cli("invoke", echo, '{"call": "first"}')
        assert "START RequestId" in follower.stdout.readline()
        assert 'got {"call":"first"}' in follower.stdout.readline()
    finally:
        follower.send_signal(signal.SIGINT)
        follower.communicate(timeout=30)
    assert "ResourceNotFoundException" in cli("logs", "no-such-function", "-f", status=FAILED).stderr


# ---- env, aws -------------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
def test_env_is_for_eval_and_wins_over_foreign_settings(cli, hearth):
    script = 'eval "$("$0" env)"; env; echo "profile=${AWS_PROFILE-unset} token=${AWS_SESSION_TOKEN-unset}"'
    environment = {**cli.environment, "AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "foreign"}
    out = subprocess.run(["/bin/sh", "-eu", "-c", script, binary()], env=environment, capture_output=True, text=True, check=True).stdout
    endpoints = json.loads((hearth.data / "endpoints.json").read_text())
    assert f"AWS_ENDPOINT_URL={endpoints['api']}\n" in out
    assert f"AWS_CONFIG_FILE={hearth.data.resolve()}/config\n" in out
    assert re.search(r"^AWS_ACCESS_KEY_ID=AKIA", out, re.M) and "AWS_DEFAULT_REGION=us-east-1\n" in out
    assert "profile=unset token=unset" in out


@pytest.mark.fast
def test_env_is_whole_also_where_the_quotes_around_it_were_forgotten(cli, hearth):
    script = 'eval $("$0" env); printf "%s %s" "$AWS_ENDPOINT_URL" "$HEARTH_DATA"'
    out = subprocess.run(["/bin/sh", "-eu", "-c", script, binary()], env=cli.environment, capture_output=True, text=True, check=True).stdout
    assert out == f"{json.loads((hearth.data / 'endpoints.json').read_text())['api']} {hearth.data.resolve()}"


@pytest.mark.skipif(not pathlib.Path("/usr/bin/aws").exists(), reason="Debian's awscli is not installed")
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_after_env_the_plain_aws_finds_the_server_even_one_that_knows_no_aws_endpoint_url(cli, shell):
    settings = {**cli.environment, "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    done = subprocess.run([shell, "-eu", "-c", 'eval "$("$0" env)"; aws sts get-caller-identity', binary()], env=settings,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Account"] == "000000000000"


@pytest.mark.skipif(not pathlib.Path("/usr/bin/aws").exists(), reason="Debian's awscli is not installed")
def test_a_proxy_is_not_asked_for_a_server_of_this_machine(cli):
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "no_proxy": "example.com"}
    behind = Cli(cli.environment["HEARTH_DATA"], **proxy)
    assert json.loads(behind("aws", "sts", "get-caller-identity").stdout)["Account"] == "000000000000"
    told = json.loads(behind("env", "--json").stdout)
    assert told["NO_PROXY"] == told["no_proxy"] == "example.com,127.0.0.1"
    assert "NO_PROXY" not in json.loads(cli("env", "--json").stdout), "who has no proxy is left alone"
    # asked twice it does not grow
    assert json.loads(Cli(behind.environment["HEARTH_DATA"], **{**proxy, **told})("env", "--json").stdout)["no_proxy"] == told["no_proxy"]


def test_a_directory_with_a_quote_in_its_name_survives_the_shell(new_hearth, tmp_path):
    server = new_hearth(data=tmp_path / "it's $(touch owned) here")
    cli = Cli(server.data)
    out = subprocess.run(["/bin/sh", "-c", 'eval "$("$0" env)"; printf %s "$HEARTH_DATA"', binary()], env=cli.environment,
                         capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert out == str(server.data.resolve())
    assert not (tmp_path / "owned").exists()


def test_the_endpoint_in_the_environment_is_used_when_no_directory_is_named(cli):
    settings = json.loads(cli("env", "--json").stdout)
    elsewhere = Cli(None, **{k: v for k, v in settings.items() if k != "HEARTH_DATA"})
    elsewhere("ls", "--json")
    assert "--data" in elsewhere("logs", "anything", status=FAILED).stderr, "not the logs of another server"
    elsewhere.environment["AWS_SECRET_ACCESS_KEY"] = "another server's"
    assert 'eval "$(hearth env)"' in elsewhere("ls", status=FAILED).stderr


@pytest.mark.skipif(not pathlib.Path("/usr/bin/aws").exists(), reason="Debian's awscli is not installed")
def test_debian_s_aws_runs_as_hearth_aws(cli, echo, tmp_path):
    functions = json.loads(cli("aws", "lambda", "list-functions").stdout)["Functions"]
    assert echo in [f["FunctionName"] for f in functions]
    cli("aws", "lambda", "invoke", "--function-name", echo, "--payload", '{"plain": "json"}', "answer.json", cwd=tmp_path)
    assert json.loads((tmp_path / "answer.json").read_text())["event"] == {"plain": "json"}
    assert json.loads(cli("aws", "sts", "get-caller-identity").stdout)["Account"] == "000000000000"
    # its own exit status comes through
    cli("aws", "lambda", "get-function", "--function-name", "no-such-function", status=254)


# ---- without a server ------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
@pytest.mark.parametrize("command", [["ls"], ["env"], ["invoke", "x"], ["rm", "x"], ["aws", "sts", "get-caller-identity"], ["logs", "x"]])
def test_without_a_server_the_status_is_4_and_the_way_to_one_is_told(tmp_path, command):
    done = Cli(tmp_path / "nothing")(*command, status=NO_SERVER)
    assert "hearth serve --data" in done.stderr or "--data" in done.stderr


def test_a_server_that_died_is_told_apart_from_one_that_answers(new_hearth):
    server = new_hearth()
    endpoints = (server.data / "endpoints.json").read_text()
    credentials = (server.data / "credentials").read_text()
    server.close()
    data = pathlib.Path(server.home)
    data.mkdir(exist_ok=True)
    try:
        (data / "endpoints.json").write_text(endpoints)
        (data / "credentials").write_text(credentials)
        cli = Cli(data)
        assert "hearth serve" in cli("ls", status=NO_SERVER).stderr
        assert "hearth serve" in cli("aws", "sts", "get-caller-identity", status=NO_SERVER).stderr
    finally:
        for name in ("endpoints.json", "credentials"):
            (data / name).unlink(missing_ok=True)
        data.rmdir()


# ---- help, usage, doctor, runtime ------------------------------------------------------------------------------------------------

@pytest.mark.fast
def test_every_command_explains_itself():
    cli = Cli()
    overview = cli("help").stdout
    commands = re.findall(r"^    ([a-z]+)  ", overview, re.M)
    assert {"serve", "deploy", "invoke", "logs", "ls", "rm", "env", "aws", "runtime", "doctor", "version", "help"} <= set(commands)
    assert "unpack" not in overview
    for command in commands:
        assert len(cli("help", command).stdout.splitlines()) > 4, command
        if command not in ("aws", "help"):
            cli(command, "--help")
    assert cli("version").stdout == cli("--version").stdout
    assert re.match(r"hearth \d+\.\d+\.\d+\n", cli("version").stdout)


@pytest.mark.fast
@pytest.mark.parametrize("command, hint", [
    (["depoly"], "did you mean deploy?"), ([], ""), (["ls", "--jsno"], "did you mean --json?"), (["invoke"], "name the function"),
    (["deploy"], "name the folder"), (["deploy", ".", "--timeout", "1000"], "900"), (["deploy", ".", "--env", "NOVALUE"], "KEY=VALUE"),
    (["deploy", ".", "--runtime", "cobol"], "unknown runtime"), (["logs", "x", "--since", "soon"], "10m"), (["rm"], "name the functions"),
    (["serve", "--apii", "x"], "--api"), (["serve", "--api", "nowhere"], "127.0.0.1:4566"), (["runtime", "paint"], "list, add or rm")])
def test_a_wrong_command_line_is_status_2_and_says_what_to_write(command, hint):
    assert hint in Cli()(*command, status=USAGE).stderr


@pytest.mark.fast
def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w") as full:
        done = subprocess.run([binary(), "help"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == FAILED and b"could not write" in done.stderr


@pytest.mark.fast
def test_doctor_says_what_this_machine_offers(tmp_path):
    cli = Cli(tmp_path)
    told = json.loads(cli("doctor", "--json").stdout)
    assert told["functions_can_run"] is True
    checks = {check["name"]: check for check in told["checks"]}
    assert {"system", "sandbox", "cgroups", "seccomp", "/tmp", "runtimes", "bootstraps", "AWS SDK", "open files", "memory", "disk"} <= set(checks)
    for check in told["checks"]:
        assert ("remedy" in check) == (check["status"] != "ok"), check
    assert "python3" in checks["runtimes"]["detail"]


def test_doctor_fails_where_functions_cannot_run_and_names_the_remedy(tmp_path):
    cli = Cli(tmp_path, HEARTH_SHARE=str(tmp_path / "nowhere"))
    text = cli("doctor", status=FAILED)
    assert "FAIL" in text.stdout and "->" in text.stdout


def test_runtimes_are_listed_with_the_way_to_get_those_that_are_missing(tmp_path):
    cli = Cli(tmp_path, HEARTH_RUNTIMES=str(tmp_path))
    listed = json.loads(cli("runtime", "list", "--json").stdout)
    assert any(r["id"].startswith("python3.") and r["installed"] for r in listed)
    text = cli("runtime").stdout
    for runtime in listed:
        assert runtime["id"] in text
        if not runtime["installed"] and runtime["id"].startswith("nodejs"):
            assert f"hearth runtime add {runtime['id']}" in text
    assert "unknown runtime" in cli("runtime", "add", "nodejs7.x", status=USAGE).stderr
    assert "is not in" in cli("runtime", "rm", "nodejs18.x", status=FAILED).stderr


def test_the_documented_configuration_is_the_one_that_there_is():
    written = (REPOSITORY / "docs" / "configuration.md").read_text()
    assert Cli()("serve", "--help-markdown").stdout == written, "run `make docs`"


def test_the_documented_limits_are_those_of_the_headers():
    done = subprocess.run([sys.executable, REPOSITORY / "scripts" / "limits.py"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == (REPOSITORY / "docs" / "limits.md").read_text(), "run `make docs`"


def test_the_documented_compatibility_is_the_one_that_there_is():
    done = subprocess.run([sys.executable, REPOSITORY / "scripts" / "compatibility.py", "--binary", binary(), "--check"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.fast
def test_the_served_operations_can_be_listed_but_are_not_advertised():
    served = {(row["service"], row["operation"]) for row in json.loads(Cli()("operations").stdout)}
    assert {("lambda", "Invoke"), ("sts", "GetCallerIdentity")} <= served
    assert "operations" not in Cli()("help").stdout


# ---- the first run (make run) ----------------------------------------------------------------------------------------------------

def run_example(tmp_path, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "HEARTH_")) or k in ("HEARTH_SHARE", "HEARTH_RUNTIMES")}
    return subprocess.Popen([REPOSITORY / "scripts" / "run-example", binary()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, env={**kept, "TMPDIR": str(tmp_path), **environment})


def test_the_first_run_ends_with_an_answer_and_what_to_type_next(tmp_path):
    done = run_example(tmp_path, HEARTH_RUN_ONCE="1")
    said, _ = done.communicate(timeout=120)
    assert done.returncode == 0, said
    assert '"message":"Hello, world!"' in said
    assert len(re.findall(r"^next .*HEARTH_DATA=\S+; hearth aws lambda list-functions$", said, re.M)) == 1
    assert list(tmp_path.iterdir()) == [], "its data directory is gone"


def test_what_it_says_to_type_next_works_and_sigterm_ends_it_in_good_order(tmp_path):
    running = run_example(tmp_path)
    try:
        for line in running.stdout:
            if line.startswith("next"):
                break
        command = line.partition("terminal:")[2].strip()
        done = subprocess.run(["/bin/sh", "-c", command], env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True,
                              timeout=60, check=True)
        assert json.loads(done.stdout)["Functions"][0]["FunctionName"] == "hello"
        running.send_signal(signal.SIGTERM)
        rest, _ = running.communicate(timeout=60)
        assert running.returncode == 0, rest
    finally:
        if running.poll() is None:
            running.terminate()  # kill would leave its server behind
            running.wait(60)
    assert [p for p in tmp_path.iterdir() if p.name.startswith("hearth-run-")] == []
