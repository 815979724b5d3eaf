"""Between Lambda's HTTP API event (payload format 2.0) and WSGI (PEP 3333)."""
import base64
import io
import sys

from app import app


def environ_of(event):
    http = event["requestContext"]["http"]
    body = event.get("body") or ""
    body = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    environ = {
        "REQUEST_METHOD": http["method"], "SCRIPT_NAME": "", "PATH_INFO": event["rawPath"], "QUERY_STRING": event.get("rawQueryString", ""),
        "SERVER_NAME": event["requestContext"].get("domainName", "localhost"), "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": http.get("sourceIp", ""), "wsgi.version": (1, 0), "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr, "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }
    for name, value in event.get("headers", {}).items():
        name = name.upper().replace("-", "_")
        environ[name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + name] = value
    return environ


def handler(event, context):
    answer = {}

    def start_response(status, headers, exc_info=None):
        answer.update(statusCode=int(status.split()[0]), headers=dict(headers))
        return lambda data: None
    pieces = app(environ_of(event), start_response)
    try:
        body = b"".join(pieces)
    finally:
        if hasattr(pieces, "close"):
            pieces.close()
    try:
        return {**answer, "body": body.decode("utf-8"), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {**answer, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
