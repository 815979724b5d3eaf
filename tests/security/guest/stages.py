"""What runs in the guest, in this order: name, user, what pytest is given. Read by the host (which tests will there be?) and in the guest."""
import pathlib

TESTS = pathlib.Path(__file__).resolve().parents[2]
WHOLE = ["security", "--ignore=security/test_guest.py", "--ignore=security/guest"]

STAGES = {
    "unit": ("root", ["security/guest/guest_unit.py"]),               # first: what the boot has started is looked at
    "cgroups-root": ("root", ["security/guest/guest_cgroups.py"]),
    "cgroups-user": ("tester", ["security/guest/guest_cgroups.py"]),
    "root": ("root", WHOLE),                                            # a server as root, and one of an ordinary user without a cgroup
    "user": ("tester", WHOLE),                                          # an ordinary user's server, with a cgroup that systemd delegates
}


def command(stage, select, python="python3"):
    """Run it in TESTS, with HEARTH_GUEST_STAGE set. select: pytest's -k, "" for all."""
    return [python, "-m", "pytest", "-q", "--tb=short", "-p", "security.guest.report", "-p", "no:cacheprovider", "-k", select, *STAGES[stage][1]]
