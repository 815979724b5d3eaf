"""HTTP/1.1 as the API and the gateway speak it: strict with what two readers could understand differently, patient with slow clients.

Sources: RFC 9112 and RFC 9110. Raw sockets, byte by byte where that matters.
"""
import concurrent.futures
import json
import socket
import time

import pytest

from helpers import RawConnection, descriptors_of, node, signed_request, wait_until

LISTENERS = ["api", "gateway"]


@pytest.fixture(params=LISTENERS)
def address(request, hearth):
    return hearth.address if request.param == "api" else hearth.gateway_at


def head(line="GET /healthz HTTP/1.1", *fields, host="Host: localhost"):
    return ("\r\n".join([line, *([host] if host else []), *fields]) + "\r\n\r\n").encode("latin-1")


# ---- what must answer -------------------------------------------------------------------------------------------------------------

@pytest.mark.fast
def test_healthz_answers_200_unsigned_and_nothing_else(hearth):
    with RawConnection(hearth.address) as connection:
        answer = connection.send(head()).answer()
        assert answer.status == 200
        assert answer.header("date") and answer.header("content-length") == str(len(answer.body))
        for line in ("GET / HTTP/1.1", "GET /healthz/more HTTP/1.1", "POST /healthz HTTP/1.1", "GET /2015-03-31/functions/ HTTP/1.1"):
            fields = ["Content-Length: 0"] if line.startswith("POST") else []
            assert connection.send(head(line, *fields)).answer().status in (400, 403, 404, 405), line


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "GET /a/b?c=d HTTP/1.1", "DELETE /x HTTP/1.1", "GET /healthz HTTP/1.1"])
def test_the_gateway_answers_404_until_it_has_something_to_serve(hearth, line):
    with RawConnection(hearth.gateway_at) as connection:
        answer = connection.send(head(line)).answer()
        assert answer.status == 404 and answer.json() == {"message": "Not Found"}
        assert answer.header("content-type").startswith("application/json")
        answer = connection.send(head("POST /x HTTP/1.1", "Content-Length: 5") + b"hello").answer()
        assert answer.status == 404, "the connection is kept alive"


def test_a_connection_is_kept_alive_and_closed_when_asked(address):
    with RawConnection(address) as connection:
        for _ in range(5):
            assert connection.send(head()).answer().status in (200, 404)
        answer = connection.send(head("GET /healthz HTTP/1.1", "Connection: close")).answer()
        assert answer.header("connection").lower() == "close"
        assert connection.is_closed()


def test_an_http_1_0_client_is_served_and_closed(address):
    with RawConnection(address) as connection:
        assert connection.send(head("GET /healthz HTTP/1.0")).answer().status in (200, 404)
        assert connection.is_closed()


def test_pipelined_requests_are_answered_in_order(hearth):
    function = hearth.deploy(node("exports.handler = async (e) => { await new Promise((r) => setTimeout(r, e.wait)); return e.n; };"))
    path = f"/2015-03-31/functions/{function.name}/invocations"
    with RawConnection(hearth.address) as connection:
        requests = [signed_request(hearth, "POST", path, json.dumps({"n": n, "wait": 200 if n == 0 else 0}).encode()) for n in range(6)]
        connection.send(b"".join(requests))
        assert [connection.answer().json() for _ in requests] == list(range(6))


def test_a_request_that_comes_one_byte_at_a_time_is_understood(hearth):
    function = hearth.deploy(node("exports.handler = async (e) => e;"))
    request = signed_request(hearth, "POST", f"/2015-03-31/functions/{function.name}/invocations", b'{"slow":1}')
    with RawConnection(hearth.address) as connection:
        assert connection.send_slowly(request).answer().json() == {"slow": 1}


@pytest.mark.parametrize("sizes", [[1] * 10, [3, 7], [10]])
def test_a_chunked_body_is_understood(hearth, sizes):
    function = hearth.deploy(node("exports.handler = async (e) => e;"))
    body = b'{"slow":1}'
    request = signed_request(hearth, "POST", f"/2015-03-31/functions/{function.name}/invocations", body)
    start = request[:-len(body)].replace(b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n")
    chunks, at = b"", 0
    for size in sizes:
        chunks += b"%x;ext=1\r\n" % size + body[at:at + size] + b"\r\n"
        at += size
    with RawConnection(hearth.address) as connection:
        connection.send(start).send_slowly(chunks + b"0\r\nTrailer: x\r\n\r\n", 5)
        assert connection.answer().json() == {"slow": 1}
        assert connection.send(head()).answer().status == 200, "the next request begins where the body ended"


def test_expect_100_continue_is_answered_before_the_body_is_sent(hearth):
    function = hearth.deploy(node("exports.handler = async (e) => e;"))
    request = signed_request(hearth, "POST", f"/2015-03-31/functions/{function.name}/invocations", b'{"a":1}')
    start, body = request[:-7], request[-7:]
    with RawConnection(hearth.address) as connection:
        connection.send(start.replace(b"\r\nContent-Length", b"\r\nExpect: 100-continue\r\nContent-Length"))
        assert connection.answer().status == 100
        assert connection.send(body).answer().json() == {"a": 1}


def test_a_refused_request_with_expect_need_not_send_its_body(hearth):
    with RawConnection(hearth.address) as connection:
        connection.send(head("POST /2015-03-31/functions HTTP/1.1", "Expect: 100-continue", "Content-Length: 1000000"))
        answer = connection.answer()
        assert answer.status in (400, 403), "unsigned: refused without its body"


def test_an_unknown_expectation_is_refused(address):
    with RawConnection(address) as connection:
        connection.send(head("POST /x HTTP/1.1", "Expect: 200-ok", "Content-Length: 0"))
        assert connection.answer().status == 417


def test_head_gets_the_head_alone(hearth):
    with RawConnection(hearth.gateway_at) as connection:
        answer = connection.send(head("HEAD / HTTP/1.1")).answer(head_request=True)
        assert answer.status == 404
        assert connection.send(head("GET / HTTP/1.1")).answer().json() == {"message": "Not Found"}


def test_an_absolute_target_is_understood(address):
    with RawConnection(address) as connection:
        assert connection.send(head("GET http://localhost/healthz HTTP/1.1")).answer().status in (200, 404)


# ---- what must be refused: 400 and close ----------------------------------------------------------------------------------------------

POST = "POST /x HTTP/1.1"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
REFUSED = {
    "two different Content-Lengths": head(POST, "Content-Length: 5", "Content-Length: 6") + b"hello" + SMUGGLED,
    "two equal Content-Lengths": head(POST, "Content-Length: 5", "Content-Length: 5") + b"hello",
    "a list of Content-Lengths": head(POST, "Content-Length: 5, 5") + b"hello",
    "Content-Length with Transfer-Encoding": head(POST, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "Transfer-Encoding with Content-Length": head(POST, "Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n" + SMUGGLED,
    "two Transfer-Encodings": head(POST, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked that is not last": head(POST, "Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "xchunked": head(POST, "Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "identity": head(POST, "Transfer-Encoding: identity") + b"hello",
    "Transfer-Encoding with a tab before the colon": head(POST, "Transfer-Encoding\t: chunked") + b"0\r\n\r\n",
    "a space before the colon": head(POST, "Content-Length : 5") + b"hello",
    "a negative Content-Length": head(POST, "Content-Length: -5") + b"hello",
    "a Content-Length with a plus": head(POST, "Content-Length: +5") + b"hello",
    "a Content-Length in hex": head(POST, "Content-Length: 0x5") + b"hello",
    "an empty Content-Length": head(POST, "Content-Length: ") + b"hello",
    "a Content-Length beyond 64 bits": head(POST, "Content-Length: 99999999999999999999") + b"hello",
    "obs-fold": head("GET /x HTTP/1.1", "X-Folded: one", " two"),
    "a bare CR in a value": head("GET /x HTTP/1.1", "X-A: one\rtwo"),
    "a bare CR as line end": b"GET /x HTTP/1.1\rHost: localhost\r\r",
    "a NUL in a value": head("GET /x HTTP/1.1", "X-A: one\0two"),
    "a NUL in a name": head("GET /x HTTP/1.1", "X-\0A: one"),
    "a NUL in the target": head("GET /\0x HTTP/1.1"),
    "two Hosts": head("GET /x HTTP/1.1", "Host: other"),
    "no Host": head("GET /x HTTP/1.1", host=None),
    "a Host with a space": head("GET /x HTTP/1.1", host="Host: a b"),
    "a Host with a path": head("GET /x HTTP/1.1", host="Host: a/b"),
    "an empty field name": head("GET /x HTTP/1.1", ": value"),
    "a field without a colon": head("GET /x HTTP/1.1", "nonsense"),
    "a name with a slash": head("GET /x HTTP/1.1", "X/A: 1"),
    "a target with a space": b"GET /x y HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target without a slash": head("GET x HTTP/1.1"),
    "a lower-case method": head("get /x HTTP/1.1"),
    "a method that is none": head("GE\x01T /x HTTP/1.1"),
    "HTTP/1.1 misspelt": head("GET /x HTTQ/1.1"),
    "leading garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    "CONNECT": head("CONNECT example.org:443 HTTP/1.1", host="Host: example.org:443"),
}
BAD_CHUNKS = {
    "a size that is none": b"zz\r\n{\"a\":1}\r\n0\r\n\r\n",
    "a size with a sign": b"+7\r\n{\"a\":1}\r\n0\r\n\r\n",
    "a size with 0x": b"0x7\r\n{\"a\":1}\r\n0\r\n\r\n",
    "a size with a space inside": b"0 7\r\n{\"a\":1}\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"fffffffffffffffff\r\n{\"a\":1}\r\n0\r\n\r\n",
    "an empty size": b"\r\n{\"a\":1}\r\n0\r\n\r\n",
    "a chunk that is longer than it says": b"3\r\n{\"a\":1}\r\n0\r\n\r\n",
    "a chunk that is shorter than it says": b"9\r\n{\"a\":1}\r\n0\r\n\r\n",
    "a line that ends with LF alone": b"7\n{\"a\":1}\r\n0\r\n\r\n",
    "a bare CR behind the size": b"7\rx{\"a\":1}\r\n0\r\n\r\n",
    "a trailer that folds": b"7\r\n{\"a\":1}\r\n0\r\nX: a\r\n b\r\n\r\n",
    "a trailer with a NUL": b"7\r\n{\"a\":1}\r\n0\r\nX: a\0b\r\n\r\n",
}
STATUSES = {"HTTP/1.1 misspelt": (400, 505), "a lower-case method": (400, 501), "CONNECT": (400, 404, 403, 405, 501), "xchunked": (400, 501), "identity": (400, 501), "chunked that is not last": (400, 501)}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_two_readers_could_understand_differently_is_refused_and_closed(address, case):
    with RawConnection(address) as connection:
        connection.send(REFUSED[case])
        answer = connection.answer()
        assert answer.status in STATUSES.get(case, (400,)), answer
        assert b"smuggled" not in answer.body
        if case != "CONNECT":
            closes_after(connection, answer)


def closes_after(connection, answer):
    """The answer says so, and nothing that came behind the request is answered."""
    assert answer.header("connection").lower() == "close"
    connection.socket.shutdown(socket.SHUT_WR)          # so that the server need not linger for us
    assert connection.is_closed()
    assert b"HTTP/1.1" not in connection.buffer, f"only one answer: {connection.buffer[:200]!r}"


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("case", list(BAD_CHUNKS))
def test_a_body_in_bad_chunks_is_refused_and_closed(hearth, echo, case, slowly):
    request = signed_request(hearth, "POST", f"/2015-03-31/functions/{echo.name}/invocations", b'{"a":1}')
    body = BAD_CHUNKS[case] + SMUGGLED
    start = request[:-7].replace(b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n")
    with RawConnection(hearth.address) as connection:
        connection.send(start)
        try:
            connection.send_slowly(body, 1 if slowly else len(body))
        except OSError:
            pass                                        # it was refused before all of it was sent
        try:
            answer = connection.answer()
        except (ConnectionResetError, EOFError):
            assert slowly
            return
        assert answer.status == 400, answer
        assert answer.header("connection").lower() == "close"


@pytest.fixture(scope="module")
def echo(_shared):
    return _shared.get().deploy(node("exports.handler = async (e) => e;"))


@pytest.mark.parametrize("case", [c for c in REFUSED if "Length" in c or "CR" in c])
def test_it_is_refused_the_same_when_it_comes_in_small_pieces(hearth, case):
    with RawConnection(hearth.gateway_at) as connection:
        try:
            connection.send_slowly(REFUSED[case], 3)
        except OSError:
            pass                                     # it was refused before all of it was sent
        try:
            assert connection.answer().status in STATUSES.get(case, (400,))
        except (ConnectionResetError, EOFError):
            pass


def test_too_long_a_target_too_large_a_head_and_too_many_fields_are_refused(address):
    for request, statuses in ((head("GET /" + "x" * 20000 + " HTTP/1.1"), (414,)),
                              (head("GET /x HTTP/1.1", *[f"X-{i}: {'v' * 900}" for i in range(100)]), (431,)),
                              (head("GET /x HTTP/1.1", *[f"X-{i}: v" for i in range(300)]), (431,)),
                              (head("GET /x HTTP/1.1", "X: " + "v" * 100000), (431,)),
                              (head("GET /x HTTP/2.0"), (505, 400)), (head("GET /x HTTP/3.7"), (505, 400))):
        with RawConnection(address) as connection:
            try:
                connection.send(request)
            except OSError:
                pass
            answer = connection.answer()
            assert answer.status in statuses, request[:60]
            closes_after(connection, answer)


def test_a_body_above_the_limit_is_refused_before_it_is_read(hearth):
    with RawConnection(hearth.address) as connection:
        request = signed_request(hearth, "POST", "/2015-03-31/functions/none/invocations", b"{}")
        connection.send(request[:-2].replace(b"Content-Length: 2", b"Content-Length: 900000000"))
        assert connection.answer().status in (403, 404, 413)
        assert connection.is_closed()


# ---- time and numbers -----------------------------------------------------------------------------------------------------------------

def test_slow_clients_cost_nobody_else_anything(hearth):
    function = hearth.deploy(node("exports.handler = async () => 1;"))
    function({})
    slow = [RawConnection(hearth.address if i % 2 else hearth.gateway_at, timeout=60) for i in range(200)]
    try:
        for i, connection in enumerate(slow):
            connection.send([b"GET /heal", b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc", b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-"][i % 4])
        durations = []
        for _ in range(30):
            began = time.monotonic()
            assert function({}).ok() == 1
            durations.append(time.monotonic() - began)
        assert sorted(durations)[15] < 1.0
    finally:
        for connection in slow:
            connection.socket.close()


def test_a_head_that_never_ends_is_given_up_after_ten_seconds(hearth):
    with RawConnection(hearth.address, timeout=40) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-")
        began = time.monotonic()
        try:
            assert connection.answer().status == 408
        except EOFError:
            pass                                    # closing without a word is allowed too (RFC 9112, 9.5)
        assert 5 < time.monotonic() - began < 30


def test_a_function_that_runs_longer_than_every_timeout_is_not_cut(hearth):
    function = hearth.deploy(node("exports.handler = async () => { await new Promise((r) => setTimeout(r, 35000)); return 'late'; };"), timeout=60)
    assert function({}).ok() == "late"


def test_a_client_that_reads_slowly_gets_its_large_answer_whole(hearth):
    function = hearth.deploy(node("exports.handler = async () => 'x'.repeat(5000000);"), memory=512, timeout=30)
    function({})
    with RawConnection(hearth.address, timeout=60) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.send(signed_request(hearth, "POST", f"/2015-03-31/functions/{function.name}/invocations", b"{}"))
        time.sleep(0.5)
        answer = connection.answer()
        assert len(answer.body) == 5000002 and answer.status == 200


def test_a_thousand_connections_are_held_at_once_and_given_back(hearth):
    before = len(descriptors_of(hearth.pid))
    many = [RawConnection(hearth.gateway_at) for _ in range(1000)]
    try:
        for connection in many:
            connection.send(head("GET / HTTP/1.1"))
        for connection in many:
            assert connection.answer().status == 404
    finally:
        for connection in many:
            connection.socket.close()
    wait_until(lambda: len(descriptors_of(hearth.pid)) <= before + 8, 20, "the descriptors are given back")


def test_connections_that_break_off_in_a_body_leave_nothing(hearth):
    before = len(descriptors_of(hearth.pid))
    request = signed_request(hearth, "POST", "/2015-03-31/functions/none/invocations", b"x" * 100000)
    for cut in (10, 200, 600, 50000):
        with RawConnection(hearth.address) as connection:
            connection.send(request[:cut])
    wait_until(lambda: len(descriptors_of(hearth.pid)) <= before + 4, 20, "the descriptors are given back")


def test_many_clients_on_both_listeners_at_once_all_get_their_own_answers(hearth):
    functions = [hearth.deploy(node(f"exports.handler = async (e) => ({{ f: {i}, n: e.n }});")) for i in range(4)]

    def client(number):
        with RawConnection(hearth.address) as connection:
            for n in range(25):
                index = (number + n) % 4
                path = f"/2015-03-31/functions/{functions[index].name}/invocations"
                answer = connection.send(signed_request(hearth, "POST", path, json.dumps({"n": number * 100 + n}).encode())).answer()
                assert answer.json() == {"f": index, "n": number * 100 + n}
        return True
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(client, range(16)))
