"""The logging module in Python functions, set up as on Lambda when it is first imported."""

import json
import re

import pytest

from instance import REQUEST_ID

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
LOGS = "import logging\ndef handler(event, context):\n    "


def test_an_entry_has_level_time_request_id_and_message(python):
    instance = python.start(LOGS + "logging.getLogger().warning('n is %d', 7)").ready()
    instance.answer()
    assert re.fullmatch(rf"\[WARNING\]\t{TIME}\.\d{{3}}Z\t{REQUEST_ID}\tn is 7\n", instance.stdout())
    assert instance.stderr() == ""


def test_the_level_is_WARNING_until_the_function_sets_another(python):
    instance = python.start("import logging\nlog = logging.getLogger()\ndef handler(level, context):\n    if level:\n"
                            "        log.setLevel(level)\n    log.info('info')").ready()
    instance.answer()
    assert instance.stdout() == ""
    instance.answer("INFO")
    assert instance.stdout().startswith("[INFO]\t") and instance.stdout().endswith("\tinfo\n")


def test_there_is_one_handler_so_basicConfig_changes_nothing(python):
    instance = python.start("import logging\nlogging.basicConfig(level='DEBUG')\ndef handler(event, context):\n"
                            "    return [type(handler).__name__ for handler in logging.getLogger().handlers]").ready()
    assert instance.answer() == ["LambdaLoggerHandler"]


def test_an_import_inside_the_handler_is_in_time(python):
    instance = python.start("def handler(event, context):\n    import logging\n    logging.error('now')").ready()
    instance.answer()
    assert re.fullmatch(rf"\[ERROR\]\t{TIME}\.\d{{3}}Z\t{REQUEST_ID}\tnow\n", instance.stdout())


def test_an_exception_is_logged_with_its_traceback(python):
    instance = python.start(LOGS + "try:\n        1 / 0\n    except ZeroDivisionError:\n        logging.exception('caught')").ready()
    instance.answer()
    assert "\tcaught\nTraceback (most recent call last):\n" in instance.stdout()
    assert instance.stdout().endswith("\nZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("level,shown", [("TRACE", ["DEBUG", "INFO", "ERROR"]), ("INFO", ["INFO", "ERROR"]), ("ERROR", ["ERROR"])])
def test_the_environment_sets_the_level(python, level, shown):
    instance = python.start(LOGS + "for name in ('debug', 'info', 'error'):\n        getattr(logging, name)(name)",
                            AWS_LAMBDA_LOG_LEVEL=level).ready()
    instance.answer()
    assert re.findall(r"\[([A-Z]+)\]", instance.stdout()) == shown


def test_as_JSON_an_entry_is_an_object_with_the_extra_fields(python):
    instance = python.start(LOGS + "logging.getLogger('mine').warning('é\\n%s', 7, extra={'order': {'id': 1}})\n    try:\n"
                            "        {}['k']\n    except KeyError:\n        logging.exception('caught')",
                            AWS_LAMBDA_LOG_FORMAT="JSON").ready()
    instance.answer()
    plain, caught = [json.loads(line) for line in instance.stdout().splitlines()]
    assert re.fullmatch(TIME + "Z", plain.pop("timestamp"))
    assert plain == {"level": "WARNING", "message": "é\n7", "logger": "mine", "requestId": REQUEST_ID, "order": {"id": 1}}
    assert (caught["errorType"], caught["errorMessage"]) == ("KeyError", "'k'")
    assert caught["location"].endswith("/index.py:handler:7") and "in handler" in caught["stackTrace"][0]
