"""Loads the user's handler, then takes one invocation after the other off the channel.

Between two invocations the main thread blocks in read(): nothing of the user's runs but threads, which the server freezes.
"""

import importlib
import os
import sys
import time

from hearth_runtime import after_import, answers, channel
from hearth_runtime.context import LambdaContext

EXIT_INIT = 1

request_id = None  # of the current invocation; the log formatters read it


# Loaded on demand: each costs a cold start more than all of ours.

def _fault(kind, message, trace=None):
    from hearth_runtime.failures import Fault

    return Fault("Runtime." + kind, message, trace)


def _set_up_logging(module):
    from hearth_runtime import logs

    logs.set_up(module)


def _give_endpoint(module):
    from hearth_runtime import endpoints

    endpoints.give_default(module)


# ---- before the user's code ----

def _set_up_output():
    """Each line at once; what has no newline yet goes out before the answer (see _flush)."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _set_up_path(task_root):
    """The user's code first, our own directory nowhere, else as Lambda orders it."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    first = [task_root, f"/opt/python/lib/{version}/site-packages", "/opt/python",
             os.environ.get("LAMBDA_RUNTIME_DIR", "/var/runtime")]
    sys.path[:] = first + [entry for entry in sys.path if entry not in first and os.path.abspath(entry) != own]


def _load_handler(name):
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise _fault("MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise _fault("BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise _fault("ImportModuleError", f"Unable to import module '{module_name}': {error}") from None
    except SyntaxError as error:
        raise _fault("UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}",
                     [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise _fault("HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'") from None


# ---- one invocation ----

def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # replaced or closed by the user's code
            pass


def _parse_context(text, name):
    if not text:
        return None
    try:
        return answers.json.loads(text)
    except ValueError as error:
        raise _fault("LambdaContextUnmarshalError", f"Unable to parse {name} JSON: {error}") from None


def _parse_event(payload):
    try:
        return answers.from_json(payload)
    except ValueError as error:
        raise _fault("UnmarshalError", f"Unable to unmarshal input: {error}") from None


def _to_answer(result):
    if isinstance(result, bytes):  # already what the caller shall get
        return result
    try:
        return answers.to_json(result)
    except Exception as error:
        raise _fault("MarshalError", f"Unable to marshal response: {error}") from None


def _report(type, sequence):
    """The exception that is being handled: to the log, and to the caller."""
    from hearth_runtime import failures

    error = failures.describe(request_id)
    failures.log(error)
    _flush()
    _send_failure(type, sequence, error)


def _send_failure(type, sequence, error):
    if not channel.send_failure(type, sequence, error["errorType"], answers.to_json(error)):
        from hearth_runtime import failures

        error = failures.too_large()
        channel.send_failure(type, sequence, error["errorType"], answers.to_json(error))


def _invoke(handler, invocation):
    try:
        context = LambdaContext(invocation, _parse_context(invocation.client_context, "Client Context"),
                                _parse_context(invocation.identity, "Cognito Identity"))
        answer = _to_answer(handler(_parse_event(invocation.payload), context))
    except Exception:  # not BaseException: sys.exit() in a handler ends the process, as on Lambda
        _report(channel.FAILED, invocation.sequence)
        return
    _flush()
    if not channel.send_done(invocation.sequence, answer):
        from hearth_runtime import failures

        _send_failure(channel.FAILED, invocation.sequence, failures.too_large())


# ---- the process ----

def _stop():
    """STOP has come: the user's own handler of SIGTERM runs first, where there is one."""
    import signal

    if callable(signal.getsignal(signal.SIGTERM)):
        os.kill(os.getpid(), signal.SIGTERM)
    sys.exit(0)


def _serve(handler):
    global request_id
    while True:
        invocation = channel.receive()
        if invocation is None:
            _stop()
        request_id = invocation.request_id
        if invocation.trace:
            os.environ["_X_AMZN_TRACE_ID"] = invocation.trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        _invoke(handler, invocation)
        del invocation


def run():
    channel.take()
    task_root = os.environ["LAMBDA_TASK_ROOT"]
    os.chdir(task_root)
    _set_up_output()
    _set_up_path(task_root)
    after_import.watch({"logging": _set_up_logging, "botocore.session": _give_endpoint})
    started = time.monotonic_ns()
    try:
        try:
            handler = _load_handler(os.environ["_HANDLER"])
        except Exception:
            _report(channel.INIT_FAILED, 0)
            sys.exit(EXIT_INIT)
        channel.send_ready((time.monotonic_ns() - started) // 1000)
        _serve(handler)
    except channel.Gone:
        sys.exit(0)
