"""What Node.js functions print, line for line."""

import json
import re

import pytest

from instance import REQUEST_ID

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.mark.parametrize("method,level", [("log", "INFO"), ("info", "INFO"), ("debug", "DEBUG"), ("warn", "WARN"),
                                          ("error", "ERROR"), ("trace", "TRACE"), ("fatal", "FATAL")])
def test_each_method_prints_time_request_id_level_and_message(node, method, level):
    instance = node.start(f"exports.handler = async () => console.{method}('n is %d', 7, {{a: [1]}})").ready()
    instance.answer()
    assert re.fullmatch(rf"{TIME}\t{REQUEST_ID}\t{level}\tn is 7 {{ a: \[ 1 \] }}\n", instance.stdout())
    assert instance.stderr() == ""


def test_a_newline_in_a_message_does_not_end_the_entry(node):
    instance = node.start("exports.handler = async () => console.log('one\\ntwo')").ready()
    instance.answer()
    assert instance.stdout().endswith("\tone\rtwo\n")


def test_before_the_first_invocation_there_is_no_request_id(node):
    instance = node.start("console.log('loading'); exports.handler = async () => 1").ready()
    assert re.fullmatch(rf"{TIME}\tundefined\tINFO\tloading\n", instance.stdout())


def test_what_is_printed_is_there_before_the_answer_however_much(node):
    instance = node.start("exports.handler = async (event) => { process.stdout.write('a'.repeat(1e6)); "
                          "process.stderr.write('b'.repeat(1e6)); console.log('c'.repeat(1e6)); process.stdout.write('end') }").ready()
    instance.answer()
    assert len(instance.stderr()) == 1000000
    out = instance.stdout()
    assert out.startswith("a" * 1000000) and out.endswith("c" * 1000000 + "\nend")


def test_the_level_decides_what_is_printed(node):
    instance = node.start("exports.handler = async () => { for (const level of ['trace', 'debug', 'log', 'info', 'warn', 'error', "
                          "'fatal']) console[level](level) }", AWS_LAMBDA_LOG_LEVEL="WARN").ready()
    instance.answer()
    assert re.findall(r"\t([A-Z]+)\t", instance.stdout()) == ["WARN", "ERROR", "FATAL"]


def json_lines(instance):
    return [json.loads(line) for line in instance.stdout().splitlines()]


def test_as_JSON_an_entry_is_an_object_with_the_message_as_it_is(node):
    instance = node.start("exports.handler = async () => { console.log('text'); console.warn({a: 1}); console.info('n', 7); "
                          "console.log(1n) }", AWS_LAMBDA_LOG_FORMAT="JSON").ready()
    instance.answer()
    lines = json_lines(instance)
    assert list(lines[0]) == ["timestamp", "level", "requestId", "message"]
    assert re.fullmatch(TIME, lines[0]["timestamp"])
    assert [(line["level"], line["requestId"], line["message"]) for line in lines] == [
        ("INFO", REQUEST_ID, "text"), ("WARN", REQUEST_ID, {"a": 1}), ("INFO", REQUEST_ID, "n 7"), ("INFO", REQUEST_ID, "1n")]


def test_as_JSON_an_error_is_taken_apart(node):
    instance = node.start("exports.handler = async () => { console.error(new TypeError('alone')); "
                          "console.error('with', new RangeError('text')); throw new SyntaxError('thrown') }",
                          AWS_LAMBDA_LOG_FORMAT="JSON").ready()
    instance.failure()
    alone, beside, thrown = json_lines(instance)
    assert (alone["message"]["errorType"], alone["message"]["errorMessage"]) == ("TypeError", "alone")
    assert alone["message"]["stackTrace"][0] == "TypeError: alone"
    assert (beside["errorType"], beside["errorMessage"]) == ("RangeError", "text")
    assert beside["message"].startswith("with RangeError: text")
    assert (thrown["level"], thrown["message"]["errorType"], thrown["message"]["errorMessage"]) == ("ERROR", "SyntaxError", "thrown")


def test_output_that_nobody_reads_any_more_is_no_error(node):
    instance = node.start("exports.handler = async () => { console.log('x'.repeat(100000)); return 'on' }").ready()
    import os
    os.close(instance._out)
    instance._outputs.pop(instance._out)
    assert instance.answer() == "on"
