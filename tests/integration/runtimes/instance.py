"""One instance, driven over the channel without server and sandbox: a bootstrap, a socket pair as its descriptor 3, pipes
as its output. See docs/channel.md."""

import json
import os
import pathlib
import select
import socket
import struct
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
NODE_BOOTSTRAP = ROOT / "runtimes" / "node" / "bootstrap.js"
PYTHON_BOOTSTRAP = ROOT / "runtimes" / "python" / "bootstrap.py"

INVOKE, STOP, READY, INIT_FAILED, DONE, FAILED, FATAL = 0x01, 0x02, 0x11, 0x12, 0x13, 0x14, 0x16
HEAD = struct.Struct("<IIBBH")
PATIENCE_SECONDS = 30  # a bound for a broken build, not a figure that any test measures
ARN = "arn:aws:lambda:us-east-1:000000000000:function:hello"
REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"


def text16(text):
    data = text.encode()
    return struct.pack("<H", len(data)) + data


def text32(text):
    data = text.encode()
    return struct.pack("<I", len(data)) + data


class Frame:
    def __init__(self, type, sequence, body):
        self.type, self.sequence, self.body = type, sequence, body
        self.error_type = None
        if type in (INIT_FAILED, FAILED, FATAL):
            length = struct.unpack_from("<H", body)[0]
            self.error_type = body[2:2 + length].decode()
            body = body[2 + length:]
        self.json_text = body if type != READY else b""

    @property
    def json(self):
        return json.loads(self.json_text)

    @property
    def ready_us(self):
        return struct.unpack("<I", self.body)[0]


class Ended(Exception):
    """The instance's end of the channel is closed."""


class Instance:
    """A runtime with the given files as its package; `argv` is the runtime and its options."""

    def __init__(self, argv, directory, files, handler, runtime, nonblocking=False, **environment):
        self.task = pathlib.Path(directory) / "task"
        self.task.mkdir(exist_ok=True)
        for name, content in files.items():
            path = self.task / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.channel.settimeout(PATIENCE_SECONDS)
        theirs.setblocking(not nonblocking)
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        self._outputs = {out_read: bytearray(), err_read: bytearray()}
        self._out, self._err = out_read, err_read
        env = {
            "PATH": os.environ["PATH"], "HOME": "/tmp", "LANG": "en_US.UTF-8", "TZ": ":UTC",
            "_HANDLER": handler, "LAMBDA_TASK_ROOT": str(self.task), "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_LAMBDA_FUNCTION_NAME": "hello", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/hello",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/23/[$LATEST]0123456789abcdef",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            **environment,
        }
        env = {name: value for name, value in env.items() if value is not None}

        def into_place():  # in the child: 0 /dev/null, 1 and 2 the pipes, 3 the channel
            high = os.dup(theirs.fileno())
            high = os.dup2(high, 100)
            os.dup2(out_write, 1)
            os.dup2(err_write, 2)
            os.dup2(high, 3)
            os.close(100)

        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, preexec_fn=into_place, pass_fds=(1, 2, 3),
                                        close_fds=True)
        for fd in (out_write, err_write):
            os.close(fd)
        theirs.close()
        self._sequence = 0
        self._buffer = bytearray()

    # -- the server's part --

    def send(self, type, sequence, body=b"", version=1, reserved=0):
        self.channel.sendall(HEAD.pack(len(body), sequence, type, version, reserved) + body)

    def send_invoke(self, event=None, *, payload=None, deadline_ms=None, request_id=REQUEST_ID, arn=ARN, trace="",
                    client_context="", identity=""):
        self._sequence += 1
        payload = json.dumps(event).encode() if payload is None else payload
        if deadline_ms is None:
            deadline_ms = int(time.time() * 1000) + 3000
        body = (struct.pack("<Q", deadline_ms) + text16(request_id) + text16(arn) + text16(trace) + text32(client_context)
                + text16(identity) + payload)
        self.send(INVOKE, self._sequence, body)
        return self._sequence

    def receive(self):
        """The next frame. Output is read meanwhile: a full pipe must not stop the instance."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            if len(self._buffer) >= HEAD.size:
                length, sequence, type, version, reserved = HEAD.unpack_from(self._buffer)
                assert version == 1 and reserved == 0
                if len(self._buffer) >= HEAD.size + length:
                    body = bytes(self._buffer[HEAD.size:HEAD.size + length])
                    del self._buffer[:HEAD.size + length]
                    return Frame(type, sequence, body)
            left = deadline - time.monotonic()
            assert left > 0, "the instance does not answer"
            readable, _, _ = select.select([self.channel, *self._outputs], [], [], left)
            for fd in readable:
                if fd is self.channel:
                    try:
                        data = self.channel.recv(1 << 16)
                    except ConnectionResetError:
                        data = b""
                    if not data:
                        raise Ended()
                    self._buffer += data
                else:
                    self._read_output(fd)

    def _read_output(self, fd):
        data = os.read(fd, 1 << 16)
        if data:
            self._outputs[fd] += data
        else:
            del_bytes = self._outputs.pop(fd)
            os.close(fd)
            setattr(self, "_ended_out" if fd == self._out else "_ended_err", del_bytes)

    def ready(self):
        frame = self.receive()
        assert frame.type == READY, (frame.body, self.stdout())
        assert frame.sequence == 0
        return self

    def call(self, event=None, **fields):
        """One invocation; its DONE or FAILED."""
        sequence = self.send_invoke(event, **fields)
        frame = self.receive()
        assert frame.type in (DONE, FAILED) and frame.sequence == sequence
        return frame

    def answer(self, event=None, **fields):
        frame = self.call(event, **fields)
        assert frame.type == DONE, frame.body
        return frame.json

    def failure(self, event=None, **fields):
        frame = self.call(event, **fields)
        assert frame.type == FAILED, frame.body
        assert frame.error_type == frame.json["errorType"]
        return frame.json

    def init_failure(self):
        frame = self.receive()
        assert frame.type == INIT_FAILED, frame.body
        assert frame.sequence == 0 and frame.error_type == frame.json["errorType"]
        assert self.exit_status() == 1
        return frame.json

    # -- what is seen from outside --

    def _drain(self):
        while self._outputs:
            readable, _, _ = select.select(list(self._outputs), [], [], 0)
            if not readable:
                break
            for fd in readable:
                self._read_output(fd)

    def stdout(self):
        """What has been written so far: complete as soon as the answer is here."""
        self._drain()
        return (getattr(self, "_ended_out", None) or self._outputs.get(self._out, b"")).decode()

    def stderr(self):
        self._drain()
        return (getattr(self, "_ended_err", None) or self._outputs.get(self._err, b"")).decode()

    def exit_status(self):
        """Waits for the end, reading output meanwhile."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._outputs and time.monotonic() < deadline:
            readable, _, _ = select.select(list(self._outputs), [], [], deadline - time.monotonic())
            for fd in readable:
                self._read_output(fd)
        return self.process.wait(PATIENCE_SECONDS)

    def stop(self):
        self.send(STOP, 0)
        return self.exit_status()

    def close(self):
        self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for fd in list(self._outputs):
            os.close(fd)
            self._outputs.pop(fd)
