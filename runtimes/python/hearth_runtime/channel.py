"""The instance's end of the channel: frames on descriptor 3. See docs/channel.md.

Plain blocking reads: an instance that waits for work sits in read(), which is the freeze between two invocations.
"""

import os
import stat
import struct

FD = 3
VERSION = 1
HEAD = struct.Struct("<IIBBH")  # length of the body, sequence, type, version, zero
BODY_BYTES_MAX = 8 * 1024 * 1024
ANSWER_BYTES_MAX = 6291556  # AWS Lambda: 6 MB and 100 bytes; its error message names the number
ERROR_TYPE_BYTES_MAX = 256
READ_BYTES = 64 * 1024

INVOKE, STOP = 0x01, 0x02
READY, INIT_FAILED, DONE, FAILED = 0x11, 0x12, 0x13, 0x14


class Gone(Exception):
    """The server has closed its end, or is gone."""


class Nonsense(Exception):
    """The server sent something that is no frame of ours."""


class Invocation:
    __slots__ = ("sequence", "deadline_ms", "request_id", "arn", "trace", "client_context", "identity", "payload")


def take():
    """Makes descriptor 3 ours: no child of the user's inherits it, and reads block."""
    if not stat.S_ISSOCK(os.fstat(FD).st_mode):
        raise Nonsense("descriptor 3 is not Hearth's channel: a bootstrap is started by the server, not by hand")
    os.set_inheritable(FD, False)
    os.set_blocking(FD, True)
    os.register_at_fork(after_in_child=_close)


def _close():
    """In a child of the user's that goes on in Python (multiprocessing): it must not speak for the instance."""
    os.close(FD)


_buffer = bytearray()  # read and not yet handed out


def _fill(wanted):
    while len(_buffer) < wanted:
        try:
            data = os.read(FD, max(READ_BYTES, wanted - len(_buffer)))
        except ConnectionResetError:
            raise Gone() from None
        if not data:
            raise Gone()
        _buffer.extend(data)


def receive():
    """Blocks for the next frame: an Invocation, or None for STOP."""
    _fill(HEAD.size)
    length, sequence, type, version, reserved = HEAD.unpack_from(_buffer)
    if length > BODY_BYTES_MAX or version != VERSION or reserved != 0:
        raise Nonsense("the server sent a frame that is none of protocol version 1")
    _fill(HEAD.size + length)
    body = bytes(memoryview(_buffer)[HEAD.size:HEAD.size + length])
    del _buffer[:HEAD.size + length]
    if type == STOP and length == 0:
        return None
    if type != INVOKE:
        raise Nonsense("the server sent a frame that makes no sense here")
    return _invocation(sequence, body)


_DEADLINE_BYTES = 8
_TEXT_WIDTHS = (2, 2, 2, 4, 2)  # of the lengths of request id, ARN, trace, client context and identity


def _invocation(sequence, body):
    texts = []
    at = _DEADLINE_BYTES
    for width in _TEXT_WIDTHS:
        start = at + width
        at = start + int.from_bytes(body[at:start], "little")
        texts.append(str(body[start:at], "utf-8", "replace"))
    if at > len(body):  # it only grows, so this is enough: what was cut short lies behind the end
        raise Nonsense("the server sent an invocation that is cut short")
    invocation = Invocation()
    invocation.sequence = sequence
    invocation.deadline_ms = int.from_bytes(body[:_DEADLINE_BYTES], "little")
    (invocation.request_id, invocation.arn, invocation.trace, invocation.client_context, invocation.identity) = texts
    invocation.payload = body[at:]
    return invocation


def _send(type, sequence, body):
    left = memoryview(HEAD.pack(len(body), sequence, type, VERSION, 0) + body)
    try:
        while left:
            left = left[os.write(FD, left):]
    except (BrokenPipeError, ConnectionResetError):
        raise Gone() from None


def send_ready(init_us):
    _send(READY, 0, struct.pack("<I", min(init_us, 0xFFFFFFFF)))


def send_done(sequence, answer):
    """False, and nothing sent, when the answer is larger than one may be."""
    if len(answer) > ANSWER_BYTES_MAX:
        return False
    _send(DONE, sequence, answer)
    return True


def send_failure(type, sequence, error_type, error):
    """INIT_FAILED or FAILED. False, and nothing sent, when the error is larger than an answer may be."""
    if len(error) > ANSWER_BYTES_MAX:
        return False
    name = error_type.encode("utf-8", "replace")[:ERROR_TYPE_BYTES_MAX]
    _send(type, sequence, struct.pack("<H", len(name)) + name + error)
    return True
