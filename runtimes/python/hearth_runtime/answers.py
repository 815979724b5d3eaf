"""Results to JSON and events from it, as Lambda's Python runtime has it.

Lambda's runtime uses simplejson, which knows three things that json does not: a namedtuple is an object, bytes are text, and
a Decimal is written digit by digit. json's C encoder stays the fast way: marshal accepts the plain built-in types and
nothing derived from them, and looks in C as well, so what it accepts is written straight away; the rest is written here.
Source: behaviour of aws/aws-lambda-python-runtime-interface-client, lambda_runtime_marshaller; simplejson.encoder.
"""

import json
import marshal
import os
import sys
from json.encoder import encode_basestring, encode_basestring_ascii


def _is_ascii_runtime():
    """Up to Python 3.11 the answer is ASCII with escapes, from 3.12 on it is UTF-8."""
    version = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python3.")[2]
    return int(version if version.isdigit() else sys.version_info[1]) < 12


def _unknown(value):
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _text_of_bytes(value):
    return str(value, "utf-8") if isinstance(value, bytes) else _unknown(value)


def _float(value):
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return float.__repr__(value)


class _Writer:
    """The slow way, for what json would write differently or not at all."""

    def __init__(self, string):
        self._string = string
        self._open = set()  # ids of the containers that we are inside of

    def write(self, value):
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, bytes):
            return self._string(str(value, "utf-8"))
        if value is None:
            return "null"
        if value is True or value is False:
            return "true" if value else "false"
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, float):
            return _float(value)
        if isinstance(value, list):
            return self._inside(value, self._array)
        if callable(getattr(value, "_asdict", None)):
            return self._inside(value, lambda named: self._object(named._asdict()))
        if isinstance(value, tuple):
            return self._inside(value, self._array)
        if isinstance(value, dict):
            return self._inside(value, self._object)
        decimal = sys.modules.get("decimal")  # nobody can have a Decimal without it
        if decimal and isinstance(value, decimal.Decimal):
            return "NaN" if value.is_nan() else str(value)
        return _unknown(value)

    def _inside(self, container, write):
        if id(container) in self._open:
            raise ValueError("Circular reference detected")
        self._open.add(id(container))
        text = write(container)
        self._open.discard(id(container))
        return text

    def _array(self, values):
        return "[" + ", ".join([self.write(value) for value in values]) + "]"

    def _object(self, values):
        return "{" + ", ".join([f"{self._key(key)}: {self.write(value)}" for key, value in values.items()]) + "}"

    def _key(self, key):
        if isinstance(key, (str, bytes)):
            return self.write(key)
        if isinstance(key, (int, float)) or key is None:  # bool is an int
            return self._string(self.write(key))
        raise TypeError(f"keys must be str, int, float, bool or None, not {type(key).__name__}")


def _encode(value, encoder, string):
    try:
        marshal.dumps(value)
        return encoder.encode(value)
    except (TypeError, ValueError):
        return _Writer(string).write(value)


_ASCII = json.JSONEncoder(default=_text_of_bytes), encode_basestring_ascii
_UNICODE = json.JSONEncoder(default=_text_of_bytes, ensure_ascii=False), encode_basestring
_PREFERRED = _ASCII if _is_ascii_runtime() else _UNICODE


def to_json(value):
    """UTF-8."""
    try:
        return _encode(value, *_PREFERRED).encode()
    except UnicodeEncodeError:  # half of a surrogate pair: it has no UTF-8, but an escape
        return _encode(value, *_ASCII).encode()


def from_json(payload):
    return json.loads(str(payload, "utf-8")) if payload else {}
