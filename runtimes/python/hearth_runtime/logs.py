"""The root logger, as Lambda sets it up: loaded when the user's code first imports logging.

Source: AWS Lambda, "Log and monitor Python Lambda functions"; aws-lambda-python-runtime-interface-client, bootstrap and
lambda_runtime_log_utils.
"""

import json
import logging
import os
import sys
import time

from hearth_runtime import main

_TEXT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
_OWN_FIELDS = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message", "asctime", "taskName", "aws_request_id", "tenant_id"}


class LambdaLoggerHandler(logging.Handler):
    def emit(self, record):
        entry = self.format(record)
        sys.stdout.write(entry if entry.endswith("\n") else entry + "\n")  # a traceback comes behind the format's newline


class LambdaLoggerFilter(logging.Filter):
    def filter(self, record):
        record.aws_request_id = main.request_id or ""
        record.tenant_id = None
        return True


class JsonFormatter(logging.Formatter):
    def __init__(self):
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%SZ")

    def format(self, record):
        record.levelno = min(50, max(0, record.levelno)) // 10 * 10
        record.levelname = logging.getLevelName(record.levelno)
        entry = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            import traceback

            kind, error, trace = record.exc_info
            entry.update(stackTrace=traceback.format_tb(trace), errorType=kind.__name__ if kind else None,
                         errorMessage=str(error))
        entry["requestId"] = getattr(record, "aws_request_id", None)
        if record.exc_info:
            entry["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        for name, value in record.__dict__.items():
            if name not in _OWN_FIELDS and name not in entry:
                entry[name] = value
        return json.dumps({name: value for name, value in entry.items() if value is not None}, ensure_ascii=False) + "\n"


def set_up(_logging):
    """Once, when the module `logging` has been loaded."""
    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter(_TEXT, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = "DEBUG" if level == "TRACE" else level
    if level in logging._nameToLevel:
        root.setLevel(level)
    root.addHandler(handler)
