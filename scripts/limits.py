#!/usr/bin/env python3
"""Prints docs/limits.md: every constant of an enum in a header that reads as a limit, with its value and its comment."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
ENUM = re.compile(r"\benum\s*\{(.*?)\};", re.S)
ENTRY = re.compile(r"([A-Z][A-Z0-9_]*)\s*=\s*([^,/]+?)\s*(?:,|$)\s*(?:/\*(.*?)\*/)?", re.S)
LIMIT = re.compile(r"_(MAX|MIN|LEAST|DEFAULT|READERS|ENTRIES|QUEUE|TAIL|TIMEOUT|LINGER|FLUSH|SHARE|FULL|AHEAD|BACKLOG)(_|$)")


def entries(text):
    # Trailing comments belong to the entry (or entries) before them on their line.
    for body in ENUM.findall(text):
        for match in ENTRY.finditer(body.strip()):
            name, value, comment = match.groups()
            if LIMIT.search(name):
                yield name, " ".join(value.split()), " ".join((comment or "").split())


def main():
    print("# Limits\n")
    print("Made by `make docs` from the headers (`scripts/limits.py`): edit those. Whatever a stranger can grow has one of these.\n")
    for header in sorted((ROOT / "src").glob("*/*.h")):
        rows = list(entries(header.read_text()))
        if not rows:
            continue
        print(f"## {header.relative_to(ROOT)}\n\n| name | value | what for |\n| --- | --- | --- |")
        for name, value, comment in rows:
            print(f"| `{name}` | `{value}` | {comment.replace('|', chr(92) + '|')} |")
        print()


if __name__ == "__main__":
    main()
