"""Deploying: CreateFunction with a 5 MB zip until it is Active, ms (aim 150); UpdateFunctionCode likewise"""
import os
import time

from helpers import make_zip
from run import summary


def package(number):
    """About 5 MB that do not compress, in files as a dependency tree has them."""
    files = {"index.js": f"exports.handler = async () => {number};"}
    files.update({f"node_modules/m{i}/index.js": os.urandom(50 * 1024) for i in range(100)})
    return make_zip(files)


def measure(bench):
    count = 3 if bench.options.quick else 10
    server = bench.hearth()
    client = server.lambda_client
    ms = {"create": [], "update": [], "create, small": []}
    try:
        for i in range(count):
            small, first, second = make_zip({"index.js": f"exports.handler = async () => {i};"}), package(i), package(-i)
            for kind, name, code in (("create, small", f"small-{i}", small), ("create", f"large-{i}", first)):
                began = time.perf_counter()
                client.create_function(FunctionName=name, Runtime="nodejs20.x", Role="arn:aws:iam::000000000000:role/hearth-basic", Handler="index.handler", Code={"ZipFile": code})
                while client.get_function_configuration(FunctionName=name)["State"] != "Active":
                    pass
                ms[kind].append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            client.update_function_code(FunctionName=f"large-{i}", ZipFile=second)
            while client.get_function_configuration(FunctionName=f"large-{i}")["LastUpdateStatus"] != "Successful":
                pass
            ms["update"].append((time.perf_counter() - began) * 1000)
    finally:
        server.close(check=False)
    return {name: {k: float(v) if k != "n" else v for k, v in summary(values).items()} for name, values in ms.items()}
