"""Errors of Node.js functions: what the caller gets, what the log shows, and what happens to the process."""

import json

import pytest

from instance import FATAL

REJECTED = "Runtime.UnhandledPromiseRejection"


def logged_error(instance, what):
    """The JSON behind `what` in the log."""
    line = next(line for line in instance.stdout().split("\n") if f"\tERROR\t{what} \t" in line)
    return json.loads(line.partition(f"\tERROR\t{what} \t")[2])


def test_an_error_is_told_with_its_type_message_and_trace(node):
    instance = node.start("class Missing extends Error { constructor(m) { super(m); this.name = 'Missing'; this.code = 'E7'; "
                          "this.detail = {a: 1} } }\nexports.handler = async () => { throw new Missing('no such thing') }").ready()
    failure = instance.failure()
    assert (failure["errorType"], failure["errorMessage"]) == ("Missing", "no such thing")
    assert failure["trace"][0] == "Missing: no such thing" or failure["trace"][0] == "Error: no such thing"
    assert any("index.js:2" in line for line in failure["trace"])
    assert list(failure) == ["errorType", "errorMessage", "trace"]
    logged = logged_error(instance, "Invoke Error")
    assert list(logged) == ["errorType", "errorMessage", "code", "name", "detail", "stack"]
    assert (logged["code"], logged["detail"], logged["stack"]) == ("E7", {"a": 1}, failure["trace"])


def test_a_synchronous_throw_is_an_error_too(node):
    failure = node.start("exports.handler = (event) => { throw new TypeError('at once') }").ready().failure()
    assert (failure["errorType"], failure["errorMessage"]) == ("TypeError", "at once")


@pytest.mark.parametrize("thrown,error_type,message", [
    ("'text'", "string", "text"), ("42", "number", "42"), ("{a: 1}", "object", "[object Object]"),
    ("{name: 'Like', message: 'an error', stack: 'Like: an error'}", "Like", "an error"),
])
def test_what_is_thrown_need_not_be_an_error(node, thrown, error_type, message):
    failure = node.start(f"exports.handler = async () => {{ throw {thrown} }}").ready().failure()
    assert (failure["errorType"], failure["errorMessage"]) == (error_type, message)


@pytest.mark.parametrize("thrown", ["Object.create(null)", "Object.assign(new Error('x'), {self: 1n})",
                                    "Object.assign(new Error(), {get message() { throw 1 }})", "null", "undefined", "Symbol('s')"])
def test_an_error_that_cannot_be_shown_does_not_end_the_instance(node, thrown):
    instance = node.start(f"exports.handler = async (fail) => {{ if (fail) throw {thrown}; return 'on' }}").ready()
    instance.failure(True)
    assert instance.answer(False) == "on"


def test_a_circular_error_is_logged_without_what_is_circular(node):
    instance = node.start("exports.handler = async () => { const e = new Error('round'); e.self = {e}; throw e }").ready()
    assert instance.failure()["errorMessage"] == "round"
    assert logged_error(instance, "Invoke Error")["errorMessage"] == "round"


# ---- loading ----

@pytest.mark.parametrize("handler,error_type,message", [
    ("index.absent", "Runtime.HandlerNotFound", "index.absent is undefined or not exported"),
    ("index.number", "Runtime.HandlerNotFound", "index.number is not a function"),
    ("index.number.deeper", "Runtime.HandlerNotFound", "index.number.deeper is undefined or not exported"),
    ("index", "Runtime.MalformedHandlerName", "Bad handler"),
    ("../index.handler", "Runtime.MalformedHandlerName", "'../index.handler' is not a valid handler name. Use absolute paths "
                                                         "when specifying root directories in handler names."),
])
def test_a_handler_that_is_not_there_is_named(node, handler, error_type, message):
    failure = node.start("exports.number = 7", handler=handler).init_failure()
    assert (failure["errorType"], failure["errorMessage"]) == (error_type, message)
    assert failure["trace"][0] == f"{error_type}: {message}"


def test_a_module_that_is_not_there_is_named(node):
    instance = node.start("", handler="absent.handler")
    failure = instance.init_failure()
    assert failure["errorType"] == "Runtime.ImportModuleError"
    assert failure["errorMessage"].startswith("Error: Cannot find module 'absent'\nRequire stack:\n- ")
    what = "Init Error" if node.major >= 24 else "Uncaught Exception"
    assert logged_error(instance, what)["errorType"] == "Runtime.ImportModuleError"


def test_a_dependency_that_is_not_there_is_named(node):
    failure = node.start("require('left-out'); exports.handler = async () => 1").init_failure()
    assert failure["errorType"] == "Runtime.ImportModuleError"
    assert failure["errorMessage"].startswith("Error: Cannot find module 'left-out'\nRequire stack:\n- ")
    assert "/index.js" in failure["errorMessage"]


def test_a_dependency_of_an_ES_module_that_is_not_there_is_named(node):
    node.main_file = "index.mjs"
    failure = node.start("import 'left-out'; export const handler = async () => 1").init_failure()
    assert failure["errorType"] == "Error"
    assert failure["errorMessage"].startswith("Cannot find package 'left-out' imported from ")


@pytest.mark.parametrize("file", ["index.js", "index.mjs"])
def test_a_syntax_error_is_one_and_says_where(node, file):
    node.main_file = file
    failure = node.start("const a = 1;\nconst b = ;\n").init_failure()
    assert failure["errorType"] == "Runtime.UserCodeSyntaxError"
    assert failure["errorMessage"] == "SyntaxError: Unexpected token ';'"
    if file == "index.js":
        assert failure["trace"][0].endswith("/index.js:2")


def test_an_error_while_loading_is_told_as_it_is(node):
    failure = node.start("throw new RangeError('while loading')").init_failure()
    assert (failure["errorType"], failure["errorMessage"]) == ("RangeError", "while loading")
    assert any("/index.js:1" in line for line in failure["trace"])


def test_a_rejection_while_loading_is_told(node):
    node.main_file = "index.mjs"
    failure = node.start("Promise.reject(new Error('nobody')); await new Promise((done) => setTimeout(done, 60000));").init_failure()
    assert (failure["errorType"], failure["errorMessage"]) == (REJECTED, "Error: nobody")


def test_an_await_that_never_ends_while_loading_ends_with_nodes_own_status(node):
    node.main_file = "index.mjs"
    instance = node.start("await new Promise(() => {}); export const handler = async () => 1")
    assert instance.exit_status() == 13


# ---- what nobody catches ----

def dies(instance, event=None):
    """What the instance's last invocation came to, and its exit status. It says itself that it ends with it."""
    sequence = instance.send_invoke(event)
    frame = instance.receive()
    assert (frame.type, frame.sequence) == (FATAL, sequence)
    with pytest.raises(BrokenPipeError):  # it has refused before it answered: the server cannot lose a call to it
        instance.channel.sendall(b"\0" * 12)
    return frame.json, instance.exit_status()


def test_an_exception_that_nobody_catches_fails_the_invocation_and_ends_the_instance(node):
    instance = node.start("exports.handler = () => new Promise(() => setTimeout(() => { throw new Error('late') }, 1))").ready()
    failure, status = dies(instance)
    assert (failure["errorType"], failure["errorMessage"], status) == ("Error", "late", 129)
    assert logged_error(instance, "Uncaught Exception")["errorMessage"] == "late"


def test_a_rejection_that_nobody_handles_fails_the_invocation_and_ends_the_instance(node):
    instance = node.start("exports.handler = () => { Promise.reject(new Error('nobody')); "
                          "return new Promise((done) => setTimeout(done, 60000)) }").ready()
    failure, status = dies(instance)
    assert (failure["errorType"], failure["errorMessage"], status) == (REJECTED, "Error: nobody", 128)
    logged = logged_error(instance, "Unhandled Promise Rejection")
    assert (logged["reason"]["errorMessage"], logged["promise"]) == ("nobody", {})


def test_a_rejection_beside_a_result_comes_after_the_answer_up_to_node_22(node):
    instance = node.start("exports.handler = async () => { Promise.reject(new Error('beside')); return 'answered' }").ready()
    if node.major >= 24:  # there the answer waits a turn of the loop
        assert dies(instance)[1] == 128
        return
    assert instance.answer() == "answered"
    assert instance.exit_status() == 128


def test_process_exit_in_a_handler_ends_the_instance_with_its_output(node):
    instance = node.start("exports.handler = async () => { process.stdout.write('x'.repeat(300000)); console.log('last'); "
                          "process.exit(3) }").ready()
    instance.send_invoke()
    assert instance.exit_status() == 3
    assert len(instance.stdout()) > 300000 and instance.stdout().endswith("\tlast\n")


def test_a_handler_of_the_users_for_uncaught_exceptions_sees_it_but_saves_nothing(node):
    instance = node.start("process.on('uncaughtException', () => {}); exports.handler = () => new Promise(() => "
                          "setTimeout(() => { throw new Error('late') }, 1))").ready()
    assert dies(instance)[1] == 129
