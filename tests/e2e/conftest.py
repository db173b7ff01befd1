"""Fixtures: a running region with a small sample, and what a failed test shows of its logs."""

import os
import sys

import pytest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "sample")]

import residents                # noqa: E402
from cluster import Run, catch_signals    # noqa: E402
from history import Place       # noqa: E402
from region import Region       # noqa: E402

catch_signals()


class Sample:
    """A region that has loaded its sample, and people nobody has touched yet."""

    def __init__(self, count, seed=7):
        self.people = residents.generate(count, seed)
        self.region = Region()
        self.unused = [person for person in self.people
                       if person.at_dinsos and person.at_dinkes and not person.corrected_nik and not person.dinkes_knows]

    def start(self):
        region = self.region
        region.create_sample(self.people)
        region.configure(fence_interval="250ms")
        region.start()
        region.wait_in_step()
        return self

    def pick(self):
        """Somebody whom both agencies know, and say the same of, and no other test has had."""
        return self.unused.pop()


@pytest.fixture(scope="module")
def sample():
    made = Sample(300)
    try:
        yield made.start()
    finally:
        made.region.end()


@pytest.fixture(scope="module")
def region(sample):
    return sample.region


@pytest.fixture(scope="session")
def made_place():
    place = Place()
    try:
        yield place.make()
    finally:
        place.region.end()


@pytest.fixture
def place(made_place):
    """A region of its own for one test, whose servers may be stopped, copied and restored."""
    made_place.put_back()
    yield made_place
    made_place.clear()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the ends of the daemons' logs: their folder is gone afterwards."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for run in Run.live:
            latest = {process.name: process for process in run.processes if not process.name.endswith("-initdb")}
            for process in latest.values():
                state = "runs" if process.alive() else f"ended with {process.popen.returncode}"
                report.sections.append((f"end of {process.log} ({state})", process.tail(25)))
