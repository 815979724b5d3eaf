"""A plugin of pytest: says each test's result as soon as it is known, a line of JSON each, into $HEARTH_GUEST_EVENTS (a pipe)."""
import json
import os
import subprocess

import pytest

from security.guest import stages

STAGE = os.environ.get("HEARTH_GUEST_STAGE", "")
TEXT_MAX = 20000


class NO_PARAMETERS:
    params = {}


def pytest_collection_modifyitems(config, items):
    """Where nobody is root, what is only for root would be skipped test by test: it is another stage's."""
    for item in items:
        why = stages.skipped(STAGE, item.name, os.environ.get("HEARTH_GUEST_KIND"), os.environ.get("HEARTH_GUEST") == "full")
        if why is not None:
            item.add_marker(pytest.mark.skip(reason=why))
    if STAGE.endswith("user"):
        kept = [item for item in items if "root" not in getattr(item, "callspec", NO_PARAMETERS).params.values()]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


class Events:
    def __init__(self):
        self.pipe, self.parts = open(os.environ["HEARTH_GUEST_EVENTS"], "w", buffering=1), {}

    def pytest_runtest_logreport(self, report):
        part = self.parts.setdefault(report.nodeid, {"outcome": "passed", "text": "", "seconds": 0})
        part["seconds"] += report.duration
        if report.outcome != "passed" and part["outcome"] != "failed":
            part["outcome"] = report.outcome
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            part["text"] = report.longrepr[2]
        elif report.outcome == "failed":
            part["text"] += f"in {report.when}:\n{report.longreprtext}\n" + "".join(f"---- {title}\n{text}\n" for title, text in report.sections)
            if STAGE == "unit":
                part["text"] += "---- journal\n" + subprocess.run(["journalctl", "-u", "hearth", "-n", "40", "-o", "short-monotonic", "--no-pager"], capture_output=True, text=True, timeout=60).stdout
        if report.when == "teardown":
            del self.parts[report.nodeid]
            part["text"] = part["text"][:TEXT_MAX] + ("\n...\n" + part["text"][-TEXT_MAX:] if len(part["text"]) > TEXT_MAX else "")
            print(json.dumps({"stage": STAGE, "test": report.nodeid, **part}), file=self.pipe)


def pytest_configure(config):
    if os.environ.get("HEARTH_GUEST_EVENTS"):
        config.pluginmanager.register(Events())
