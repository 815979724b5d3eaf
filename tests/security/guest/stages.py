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


# In user-mode Linux (one slow processor, page faults of a tenth of a millisecond): what runs by default, what is left out then, and what
# cannot be judged there at all.
UML_DEFAULT = ("unit", "cgroups-root", "cgroups-user")
UML_LEFT_OUT = {
    ("cgroups-root", "test_the_kernel_ends_the_whole_instance_that_takes_too_much_memory[eat]"): "takes 100 s in user-mode Linux",
    ("cgroups-user", "test_the_kernel_ends_the_whole_instance_that_takes_too_much_memory[eat]"): "takes 100 s in user-mode Linux",
    ("cgroups-user", "test_the_kernel_ends_the_whole_instance_that_takes_too_much_memory[child]"): "takes 100 s in user-mode Linux",
}
UML_CANNOT = {
    "test_a_flood_of_empty_lines_costs_little_log_and_nobody_else_waits": "measures how long a neighbour waits, on one slow processor",
}


def skipped(stage, test, kind, full):
    """None, or why the test is left out."""
    if kind != "uml":
        return None
    return UML_CANNOT.get(test.partition("[")[0]) or (None if full else UML_LEFT_OUT.get((stage, test)))


def command(stage, select, python="python3"):
    """Run it in TESTS, with HEARTH_GUEST_STAGE set. select: pytest's -k, "" for all."""
    return [python, "-m", "pytest", "-q", "--tb=short", "-p", "security.guest.report", "-p", "no:cacheprovider", "-k", select, *STAGES[stage][1]]
