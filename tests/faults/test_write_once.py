"""A record is absent or complete, whatever happens to the process or the disk while it is written."""

from collections.abc import Callable
from typing import Any

import pytest
from disk_faults import ROWS, STATUS, run_with_disk_faults

WRITTEN = 0


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What became of one record when a kill, or a full disk, struck at the 1st, 2nd, … disk operation."""
    folder = tmp_path_factory.mktemp("faults")
    return run_with_disk_faults(folder, "write_under_faults.py", str(folder / "out"))


def of_kind(outcomes: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [outcome for outcome in outcomes if outcome["kind"] == kind]


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.fault(ROWS[kind])) for kind in ("killed", "full")]
)
def test_every_fault_strikes_until_the_record_is_written(
    outcomes: list[dict[str, Any]], kind: str, injected: Callable[[int], None]
) -> None:
    *struck, last = [outcome["status"] for outcome in of_kind(outcomes, kind)]
    injected(len(struck))
    # fsync of the new folder's parent; open, write, fsync, rename; fsync of the folder
    assert len(struck) == 6
    assert set(struck) == {STATUS[kind]}
    assert last == WRITTEN


def test_the_final_file_is_absent_or_complete(outcomes: list[dict[str, Any]]) -> None:
    (complete,) = {outcome["after"] for outcome in outcomes if outcome["status"] == WRITTEN}
    assert {outcome["after"] for outcome in outcomes} == {None, complete}


def test_writing_again_gives_the_same_bytes(outcomes: list[dict[str, Any]]) -> None:
    (complete,) = {outcome["after"] for outcome in outcomes if outcome["status"] == WRITTEN}
    assert {outcome["again"] for outcome in outcomes} == {complete}
    assert all(outcome["done"] for outcome in outcomes)


def test_a_full_disk_leaves_no_temporary_file(outcomes: list[dict[str, Any]]) -> None:
    assert [outcome["leftovers"] for outcome in of_kind(outcomes, "full")] == [0] * len(of_kind(outcomes, "full"))


def test_the_sweep_removes_what_a_killed_process_left(outcomes: list[dict[str, Any]]) -> None:
    killed = of_kind(outcomes, "killed")
    assert any(outcome["leftovers"] for outcome in killed)
    assert [outcome["swept"] for outcome in killed] == [outcome["leftovers"] for outcome in killed]
    assert {outcome["files"] for outcome in killed} == {1}
