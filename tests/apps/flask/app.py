"""A Flask application, as it would also run under any WSGI server."""
from flask import Flask, jsonify, render_template_string, request

app = Flask(__name__)


@app.get("/")
def index():
    return render_template_string("<h1>Hello, {{ who }}</h1>", who=request.args.get("who", "<you>"))


@app.post("/orders/<int:order>")
def orders(order):
    return jsonify(order=order, got=request.get_json(), agent=request.headers.get("User-Agent")), 201, {"X-Order": str(order)}


@app.get("/bytes")
def some_bytes():
    return bytes(range(256)), 200, {"Content-Type": "application/octet-stream"}


@app.get("/fails")
def fails():
    raise RuntimeError("inside a view")
