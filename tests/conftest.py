"""Fixtures of all whole-system tests.

    hearth       one server, shared by all tests of the run: for what does not disturb others
    new_hearth   makes servers of one's own: new_hearth(options=["--concurrency", "2"], user="ordinary", env={...})

Each server is ended with its test (the shared one with the run), and a test that failed shows what its server printed last.
"""
import faulthandler
import signal

import pytest

from helpers import Hearth, LIFE_OF_A_TEST_S


def pytest_configure(config):
    """A run that is cut off (timeout, a stage's limit) ends its servers too, as after Ctrl-C."""
    def interrupted(*_):
        raise KeyboardInterrupt("SIGTERM")
    signal.signal(signal.SIGTERM, interrupted)


@pytest.fixture(scope="session")
def _shared():
    """Holds the shared server; a test that broke it does not take the rest down: the next one gets a fresh server."""
    class Shared:
        server = None

        def get(self):
            if self.server is None or self.server.process is None or self.server.process.poll() is not None:
                if self.server is not None:
                    self.server.close(check=False)
                self.server = Hearth()
            return self.server
    shared = Shared()
    yield shared
    if shared.server is not None:
        shared.server.close()


@pytest.fixture
def hearth(_shared, request):
    server = _shared.get()
    request.node.hearths = getattr(request.node, "hearths", []) + [server]
    yield server
    if server.process is None or server.process.poll() is not None:
        pytest.fail(f"the shared server died in this test\n{server.dump()}")


@pytest.fixture
def new_hearth(request):
    made = []

    def make(**options):
        server = Hearth(**options)
        made.append(server)
        request.node.hearths = getattr(request.node, "hearths", []) + [server]
        return server
    yield make
    problems = []
    for server in made:
        try:
            server.close()
        except AssertionError as problem:
            problems.append(str(problem))
    if problems:
        pytest.fail("\n".join(problems))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for server in getattr(item, "hearths", []):
            report.sections.append((f"server {server.data}", server.dump()))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """No test may hang for ever: the whole run is cut with all stacks shown."""
    faulthandler.dump_traceback_later(LIFE_OF_A_TEST_S * 2, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
