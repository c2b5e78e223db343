"""The fault table is red wherever something was lost, failed or could not be tried, in one process or in several."""

import re
from pathlib import Path

import fault_table
import pytest
from fault_table import Row

pytest_plugins = ("pytester",)

SURVIVED = """
import pytest
from hypothesis import given, settings, strategies as st

@pytest.mark.fault("kill")
def test_one(): pass

@pytest.mark.fault("kill")
def test_told(injected): injected(5)

@pytest.mark.fault("damage")
@settings(max_examples=20, derandomize=True)
@given(st.floats())
def test_examples(number): pass

@pytest.mark.fault("damage")
@pytest.mark.parametrize("nth", range(4))
def test_each(nth): pass

def test_of_no_fault(): pass
"""
FAILED = """
import pytest

@pytest.fixture
def disk():
    raise OSError

@pytest.mark.fault("kill")
def test_fails(injected):
    injected(3)
    assert False

@pytest.mark.fault("full disk")
def test_never_starts(disk): pass
"""
LOST = """
import pytest

@pytest.mark.fault("damage")
def test_bytes(injected): injected(2, lost=30)
"""
SKIPPED = """
import pytest

@pytest.mark.fault("power cut")
@pytest.mark.skip
def test_left_out(): pass

@pytest.mark.fault("power cut")
def test_leaves_out(): pytest.skip("no power")
"""

IN_ONE_OR_TWO_PROCESSES = pytest.mark.parametrize("processes", ["-n0", "-n2"])


@pytest.fixture
def table(pytester, monkeypatch):
    """Exit status and rows of the table of these test files."""
    monkeypatch.setenv("PYTHONPATH", str(Path(fault_table.__file__).parent))
    pytester.makeini("[pytest]\nmarkers = fault(kind): injects a fault\n")

    def run(processes, **files):
        pytester.makepyfile(**files)
        done = pytester.runpytest_subprocess("-p", "fault_table", "--fault-table", "-p", "no:cacheprovider", processes)
        lines = done.stdout.str().partition(" faults ===")[2].splitlines()
        cells = [re.split(r"\s{2,}", line.strip()) for line in lines[2:]]
        return done.ret, {kind: row for kind, *row in cells if len(row) == 4}

    return run


@pytest.mark.parametrize(
    ("row", "green"),
    [
        (Row(3, 3), True),
        (Row(0, 0), False),
        (Row(3, 2), False),
        (Row(3, 3, lost=1), False),
        (Row(3, 3, failed=["test"]), False),
    ],
    ids=["survived", "not tried", "one not survived", "a byte lost", "a test failed"],
)
def test_only_what_was_tried_and_wholly_survived_is_green(row, green):
    assert row.is_green == green


@IN_ONE_OR_TWO_PROCESSES
def test_tests_examples_and_told_numbers_are_counted(table, processes):
    status, rows = table(processes, test_survived=SURVIVED, test_more=SURVIVED)
    assert status == 0
    assert rows["kill"] == ["12", "12", "0", "green"]
    assert rows["damage"] == ["48", "48", "0", "green"]
    assert rows["total"] == ["60", "60", "0", "green"]


@IN_ONE_OR_TWO_PROCESSES
def test_row_in_which_a_test_or_its_fixture_failed_is_red_and_so_is_the_end(table, processes):
    status, rows = table(processes, test_survived=SURVIVED, test_failed=FAILED)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert rows["kill"] == ["9", "6", "0", "RED"]
    assert rows["full disk"] == ["1", "0", "0", "RED"]
    assert rows["damage"] == ["24", "24", "0", "green"]
    assert rows["total"] == ["34", "30", "0", "RED"]


@IN_ONE_OR_TWO_PROCESSES
def test_lost_bytes_and_kinds_skipped_everywhere_end_in_red_though_no_test_failed(table, processes):
    status, rows = table(processes, test_survived=SURVIVED, test_lost=LOST, test_skipped=SKIPPED)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert rows["damage"] == ["26", "26", "30", "RED"]
    assert rows["power cut"] == ["0", "0", "0", "NOT TRIED"]
    assert rows["kill"][-1] == "green"


def test_end_is_red_where_there_was_no_fault_to_try(table):
    status, _ = table("-n0", test_nothing="def test_of_no_fault(): pass")
    assert status == pytest.ExitCode.TESTS_FAILED
