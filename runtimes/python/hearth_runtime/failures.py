"""Errors as Lambda's Python runtime reports and prints them: loaded when the first one happens.

Source: behaviour of aws/aws-lambda-python-runtime-interface-client, bootstrap.
"""

import os
import sys
import time
import traceback

from hearth_runtime import answers

_OWN = os.path.dirname(os.path.abspath(__file__))
_INDENT = "\u00a0"  # CloudWatch drops plain leading spaces
_TOO_LARGE = {
    "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    "errorType": "Function.ResponseSizeTooLarge",
}


class Fault(Exception):
    """What is wrong with the function as a whole, under Lambda's name for it."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, trace


def too_large():
    return dict(_TOO_LARGE)


def describe(request_id=None):
    """The exception that is being handled, as the caller gets it."""
    kind, error, trace = sys.exc_info()
    if isinstance(error, Fault):
        name, message, lines = error.kind, error.message, error.trace or []
    else:
        frames = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in traceback.extract_tb(trace)]
        theirs = [index for index, frame in enumerate(frames) if os.path.dirname(frame[0]) != _OWN]
        lines = traceback.format_list(frames[theirs[0]:] if theirs else frames)
        name, message = kind.__name__, str(error)
    return {"errorMessage": message, "errorType": name, "requestId": request_id or "", "stackTrace": lines}


def _text(error):
    what = "[ERROR]"
    if error["errorType"]:
        what += " " + error["errorType"]
    if error["errorMessage"]:
        what += (":" if error["errorType"] else "") + " " + error["errorMessage"]
    lines = [what, "Traceback (most recent call last):"]
    for element in error["stackTrace"]:
        for line in element.splitlines() or [""]:
            rest = line.lstrip(" ")
            lines.append(_INDENT * (len(line) - len(rest)) + rest)
    return "\r".join(lines)


def log(error):
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        entry = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "log_level": "ERROR", **error}
        sys.stdout.write(str(answers.to_json(entry), "utf-8") + "\n")
    else:
        sys.stdout.write(_text(error) + "\n")
