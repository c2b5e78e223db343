"""The fault table: what tests injected, kind by kind, and what was survived. `python3 dev.py faults` prints it.

A test says which kind of fault it injects by `@pytest.mark.fault("kind")`. It counts as one fault, as one for every
example of hypothesis, or as many as it tells the fixture `injected`. Only what passes was survived; a kind of which
nothing could be tried here is as red as one that failed.

Counts travel with the reports of tests, so that they are the same wherever tests run: here, or in processes of xdist.
"""

import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import pytest

Injected = Callable[..., None]
_COUNT = pytest.StashKey[list[int]]()
_PROPERTY = "fault"
_HEADER = ("fault", "injected", "survived", "bytes lost", "")


@dataclass
class Row:
    """One kind of fault: how often it was injected and survived, bytes lost, and tests that did not pass."""

    injected: int = 0
    survived: int = 0
    lost: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def is_green(self) -> bool:
        return 0 < self.injected == self.survived and not self.lost and not self.failed


@pytest.fixture
def injected(request: pytest.FixtureRequest) -> Injected:
    """`injected(n, lost=…)`: this test has injected n faults, by which so many bytes of results were lost."""

    def tell(number: int, *, lost: int = 0) -> None:
        count = request.node.stash.setdefault(_COUNT, [0, 0])
        count[0] += number
        count[1] += lost

    return tell


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", action="store_true", help="print what faults were injected and survived")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--fault-table"):
        config.pluginmanager.register(FaultCounter(), "the-fault-counter")
        if not hasattr(config, "workerinput"):  # a process of xdist tells, and prints nothing
            config.pluginmanager.register(FaultTable(), "the-fault-table")


class FaultCounter:
    """Counts where a test runs, and tells its report."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Count the examples of hypothesis: each is a fault of its own."""
        handle = getattr(getattr(item, "obj", None), "hypothesis", None)
        if handle is None or item.get_closest_marker("fault") is None:
            return (yield)
        inner, count = handle.inner_test, item.stash.setdefault(_COUNT, [0, 0])

        @functools.wraps(inner)
        def counted(*arguments: object, **named: object) -> object:
            count[0] += 1
            return inner(*arguments, **named)

        handle.inner_test = counted
        try:
            return (yield)
        finally:
            handle.inner_test = inner

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write the kind and the counts of a test that has ended into its report."""
        report = yield
        marker = item.get_closest_marker("fault")
        if marker is not None and (report.when == "call" or not report.passed):
            counts = (0, 0) if report.skipped else item.stash.get(_COUNT, [1, 0])
            report.user_properties.append((_PROPERTY, [marker.args[0], *counts]))
        return report


class FaultTable:
    """Adds up what reports tell, and prints at the end."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a test that has ended, here or in a process of xdist, to the row of its kind."""
        for name, told in report.user_properties:
            if name == _PROPERTY and isinstance(told, list):
                kind, injected, lost = told
                row = self.rows.setdefault(kind, Row())
                row.injected += injected
                row.lost += lost
                row.survived += injected if not report.failed else 0
                row.failed += [report.nodeid] if report.failed else []

    @property
    def total(self) -> Row:
        total = Row()
        for row in self.rows.values():
            total.injected += row.injected
            total.survived += row.survived
            total.lost += row.lost
            total.failed += row.failed
        return total

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        is_green = self.total.is_green and all(row.is_green for row in self.rows.values())
        if session.exitstatus == pytest.ExitCode.OK and not is_green:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One row a kind of fault, and a total."""
        rows = [*sorted(self.rows.items()), ("total", self.total)]
        cells = [_HEADER, *(_cells(kind, row) for kind, row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        terminalreporter.section("faults")
        for kind, *numbers in cells:
            aligned = [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True)]
            terminalreporter.write_line("  ".join([kind.ljust(widths[0]), *aligned]))


def _cells(kind: str, row: Row) -> tuple[str, ...]:
    verdict = "green" if row.is_green else "RED" if row.injected or row.failed else "NOT TRIED"
    return kind, f"{row.injected:,}", f"{row.survived:,}", f"{row.lost:,}", verdict
