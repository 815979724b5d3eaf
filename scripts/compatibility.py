#!/usr/bin/env python3
"""Writes docs/compatibility.md: which operations of AWS's APIs this server has, whole or in part, and which it has not.

    scripts/compatibility.py [--binary build/hearth | --operations FILE] [--check]

What is served is read from the server itself (`hearth operations` prints every row of every service's table), what AWS has from the
newest botocore on this machine, and what a served operation lacks from docs/compatibility.notes.json, which is kept by hand.
--check writes nothing and fails when docs/compatibility.md is not what would be written, or when the notes name what does not exist.
"""
import argparse
import glob
import gzip
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTES = ROOT / "docs" / "compatibility.notes.json"
PAGE = ROOT / "docs" / "compatibility.md"


class Complaint(Exception):
    pass


# ---- AWS's models -------------------------------------------------------------------------------------------------------------

def botocore_directories():
    """Every botocore that a Python on this machine could import."""
    found = set()
    spec = importlib.util.find_spec("botocore")
    if spec is not None and spec.origin:
        found.add(pathlib.Path(spec.origin).parent)
    for pattern in ("/usr/lib/python3*/dist-packages/botocore", "/usr/local/lib/python3*/*-packages/botocore",
                    os.path.expanduser("~/.local/lib/python3*/site-packages/botocore"),
                    os.path.expanduser("~/.pyenv/versions/*/lib/python3*/site-packages/botocore")):
        found.update(pathlib.Path(path) for path in glob.glob(pattern))
    return [path for path in found if (path / "data").is_dir()]


def version_of(directory):
    text = (directory / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r"__version__ = ['\"]([0-9.]+)['\"]", text)
    return tuple(int(part) for part in match.group(1).split(".")) if match else (0,)


def newest_botocore():
    directories = sorted(botocore_directories(), key=version_of)
    if not directories:
        raise Complaint("no botocore is installed: apt-get install python3-boto3")
    return directories[-1]


def model_of(botocore, service):
    versions = sorted((botocore / "data" / service).glob("*/service-2.json*"))
    if not versions:
        raise Complaint(f"botocore has no model of {service}")
    path = versions[-1]
    opened = gzip.open(path) if path.suffix == ".gz" else open(path, "rb")
    with opened as file:
        return json.load(file)


# ---- what is served -------------------------------------------------------------------------------------------------------------

def served_operations(arguments):
    if arguments.operations:
        text = pathlib.Path(arguments.operations).read_text(encoding="utf-8")
    else:
        binary = pathlib.Path(arguments.binary)
        if not binary.exists():
            raise Complaint(f"there is no {binary}: run `make` first, or name it with --binary")
        text = subprocess.run([str(binary.resolve()), "operations"], check=True, capture_output=True, text=True).stdout
    return json.loads(text)


def shape_of(path):
    """Without what a model may call a parameter: botocore has renamed some."""
    return re.sub(r"\{\w+\+?\}", "{}", path.split("?")[0].rstrip("/"))


def check_rows(rows, models):
    """A row that AWS's model does not have, or has elsewhere, is our mistake."""
    for row in rows:
        operations = models[row["service"]]["operations"]
        name = row["operation"]
        if name not in operations:
            raise Complaint(f"{row['service']} serves {name}, which its model does not have")
        if row["path"] is None:
            continue
        wanted = operations[name]["http"]
        if row["method"] != wanted["method"] or shape_of(row["path"]) != shape_of(wanted["requestUri"]):
            raise Complaint(f"{row['service']} serves {name} as {row['method']} {row['path']}, "
                            f"the model has {wanted['method']} {wanted['requestUri']}")


def check_notes(notes, served, models):
    for service, entry in notes.items():
        for name in entry.get("operations", {}):
            if name not in models.get(service, {}).get("operations", {}):
                raise Complaint(f"{NOTES.name} names {service} {name}, which its model does not have")
            if (service, name) not in served:
                raise Complaint(f"{NOTES.name} says what {service} {name} lacks, but it is not served at all")


# ---- the page ------------------------------------------------------------------------------------------------------------------

def operation_line(name, served, missing):
    if not served:
        return f"| {name} | none | |"
    if missing:
        return f"| {name} | partial | {'; '.join(missing)} |"
    return f"| {name} | full | |"


def service_part(service, model, notes, served):
    entry = notes.get(service, {})
    lacks = entry.get("operations", {})
    names = sorted(model["operations"])
    there = [name for name in names if (service, name) in served]
    whole = [name for name in there if not lacks.get(name)]
    out = [f"## {model['metadata']['serviceFullName']} (`{service}`)", "",
           f"{len(names)} operations: {len(whole)} full, {len(there) - len(whole)} partial, {len(names) - len(there)} none.", ""]
    for text in entry.get("about", []):
        out += [f"- {text}"]
    if entry.get("about"):
        out.append("")
    out += ["| operation | support | missing or different |", "| --- | --- | --- |"]
    return out + [operation_line(name, name in there, lacks.get(name, [])) for name in names]


def forget_unknown(rows, notes, models):
    """What a botocore older than the page does not know yet cannot be compared with it."""
    known = {service: models[service]["operations"] for service in models}
    rows = [row for row in rows if row["operation"] in known[row["service"]]]
    notes = {service: {**entry, "operations": {name: lacks for name, lacks in entry.get("operations", {}).items() if name in known.get(service, {})}}
             for service, entry in notes.items()}
    return rows, notes


def page(rows, notes, botocore, older=False):
    services = sorted({row["service"] for row in rows})
    models = {service: model_of(botocore, service) for service in services}
    if older:
        rows, notes = forget_unknown(rows, notes, models)
    served = {(row["service"], row["operation"]) for row in rows}
    check_rows(rows, models)
    check_notes(notes, served, models)
    version = ".".join(str(part) for part in version_of(botocore))
    lines = ["# Compatibility with AWS, operation by operation", "",
             "Written by `scripts/compatibility.py` from the server's own tables, AWS's models (botocore " + version + ") and "
             "`docs/compatibility.notes.json`: change those, not this page.", "",
             "**full**: every member of the request has its effect, every member of the answer that applies is there. **partial**: served, with what",
             "is named missing; it is refused with a clear error, never ignored, unless the line says so. **none**: answered with",
             "`UnknownOperationException` (`InvalidAction` where the protocol has that).", ""]
    for service in services:
        lines += service_part(service, models[service], notes, served) + [""]
    return "\n".join(lines)


def is_up_to_date(written, text, older):
    """Another botocore knows other operations: only what is served must be the same everywhere, and of that what this one knows."""
    def served_part(page_text):
        return [line for line in page_text.splitlines() if line.startswith(("|", "- ")) and " | none | " not in line]
    have, want = served_part(written), served_part(text)
    return set(want) <= set(have) if older else want == have


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build" / "hearth"))
    parser.add_argument("--operations", help="what `hearth operations` printed")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    written_with = re.search(r"\(botocore ([0-9.]+)\)", written)
    try:
        botocore = newest_botocore()
        older = bool(written_with) and tuple(int(n) for n in written_with.group(1).split(".")) > version_of(botocore)
        notes = json.loads(NOTES.read_text(encoding="utf-8"))
        text = page(served_operations(arguments), notes, botocore, older and arguments.check)
        if older and not arguments.check:
            raise Complaint(f"the page was written with botocore {written_with.group(1)}, this machine's is older: operations would be forgotten")
    except Complaint as complaint:
        print(f"compatibility: {complaint}", file=sys.stderr)
        return 1
    if not arguments.check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not is_up_to_date(written, text, older):
        print("compatibility: docs/compatibility.md is not up to date: run scripts/compatibility.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
