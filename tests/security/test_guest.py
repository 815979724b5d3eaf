"""The security tests once more, under cgroup version 2 and systemd: in a virtual machine that boots this release's packages.

Real machines have version 2, those that tests are run on often version 1. guest/ makes the machine (once), boots it, and runs there what
guest/stages.py lists; each of its tests is one here. Without KVM that runs Debian's kernel they are one test that is skipped and says so, unless
HEARTH_GUEST=uml or full asks for user-mode Linux.

HEARTH_GUEST_STAGES names the stages to run, by default all; HEARTH_GUEST_SELECT is pytest's -k for them.
"""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from security.guest import guest as guests, stages  # noqa: E402

NAMES = os.environ.get("HEARTH_GUEST_STAGES", " ".join(stages.STAGES if guests.FULL or guests.kind() == "qemu" else stages.UML_DEFAULT)).split()


def pytest_generate_tests(metafunc):
    why = guests.why_not()
    if why is not None:
        metafunc.parametrize("stage, test", [pytest.param("", "", marks=pytest.mark.skip(reason=why), id="no guest")])
        return
    found = [(stage, test) for stage in NAMES for test in guests.tests_of(stage)]
    metafunc.parametrize("stage, test", found, ids=[f"{stage}: {test.rpartition('/')[2]}" for stage, test in found])


@pytest.fixture(scope="module")
def guest():
    guest = guests.Guest(NAMES)
    yield guest
    guest.close()


def test_in_the_guest(guest, stage, test):
    result = guest.result(stage, test)
    if result["outcome"] == "skipped":
        pytest.skip(result["text"])
    assert result["outcome"] == "passed", result["text"]
