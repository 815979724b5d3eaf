"""numpy as people bring it to Lambda: as a layer, with the libraries that it needs in another. Both are made from Debian's packages."""
import pathlib
import re
import subprocess

import pytest

from helpers import make_zip

WHERE = pathlib.Path("/usr/lib/python3/dist-packages/numpy")
EXTENSIONS = ["core/_multiarray_umath", "linalg/_umath_linalg"]

HANDLER = """
import numpy
import numpy.linalg

def handler(event, context):
    a = numpy.array(event["a"], dtype=float)
    b = numpy.array(event["b"], dtype=float)
    maps = open("/proc/self/maps").read()
    libraries = sorted({line.split()[-1] for line in maps.splitlines() if "blas" in line or "lapack" in line})
    return {"x": numpy.linalg.solve(a, b).tolist(), "product": (a @ a).tolist(), "mean": numpy.arange(1_000_000).mean(),
            "file": numpy.__file__, "libraries": libraries, "version": numpy.__version__}
"""


def libraries():
    """Those of its libraries that are not the C library's: name -> path."""
    found = {}
    for extension in EXTENSIONS:
        for file in WHERE.glob(extension + "*.so"):
            for name, path in re.findall(r"(\S+) => (/\S+)", subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=True).stdout):
                if not re.match(r"lib(c|m|dl|pthread|rt|gcc_s)\.so", name):
                    found[name] = pathlib.Path(path).resolve()
    return found


@pytest.fixture(scope="module")
def zips():
    if not WHERE.is_dir():
        pytest.skip("Debian's python3-numpy is not installed (scripts/setup test)")
    numpy = {f"python/numpy/{path.relative_to(WHERE).as_posix()}": path.read_bytes() for path in WHERE.rglob("*")
             if path.is_file() and path.suffix in (".py", ".so") and "tests" not in path.relative_to(WHERE).parts}
    libs = {f"lib/{name}": (path.read_bytes(), 0o755) for name, path in libraries().items()}
    assert any("blas" in name for name in libs) and any("lapack" in name for name in libs)
    return make_zip(numpy), make_zip(libs)


def test_numpy_solves_equations_out_of_two_layers(hearth, zips):
    client = hearth.lambda_client
    interpreter = subprocess.run(["/usr/bin/python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True).stdout.strip()
    layers = [client.publish_layer_version(LayerName=name, Content={"ZipFile": content}, CompatibleRuntimes=[interpreter])["LayerVersionArn"]
              for name, content in zip(("numpy", "numpy-libraries"), zips)]
    function = hearth.deploy({"lambda_function.py": HANDLER}, runtime=interpreter, memory=512, timeout=60, Layers=layers)
    for _ in range(2):
        answer = function({"a": [[3, 1], [1, 2]], "b": [9, 8]}).ok()
        assert answer["x"] == pytest.approx([2, 3]) and answer["product"] == [[10, 5], [5, 5]] and answer["mean"] == 499999.5
        assert answer["file"] == "/opt/python/numpy/__init__.py", "the layer's, not the system's"
        assert answer["libraries"] and all(path.startswith(("/opt/lib/", "/opt/python/")) for path in answer["libraries"])
    described = client.get_function_configuration(FunctionName=function.name)["Layers"]
    assert [layer["Arn"] for layer in described] == layers
    # The order does not matter where nothing lies over anything.
    function.configure(Layers=layers[::-1])
    assert function({"a": [[1, 0], [0, 1]], "b": [4, 2]}).ok()["x"] == [4, 2]
