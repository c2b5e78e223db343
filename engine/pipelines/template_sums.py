"""Sums over all subjects, as a tree with fixed branches: the same additions in the same order, whoever does them.

Subjects stand in the order of their ids. A branch adds up a fixed number of them, the next level as many of these
sums, and so on to one. Workers write each sum once into a scratch folder, so that nobody holds more than two of them,
and what a killed run left there is used; in one process the same tree is climbed without files.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.config import config_key
from thalgpu.engine.outputs.atomic import disk_errors
from thalgpu.engine.outputs.store import DatasetSpec, is_done, read_record, write_record
from thalgpu.engine.plan import SUBJECTS_A_SUM

_FOLDER = Path("group", "template-sums")


class SumStoppedError(Exception):
    """A signal came before all subjects were added up."""


@dataclass(frozen=True)
class Summand:
    """What is added up of every subject's record.

    Attributes
    ----------
    dataset : its name, a float32 array that is 0 where nothing was measured.
    shape : of the array.
    n_voxels : whose coverage is counted.
    counted : whether the entries that are not 0 are counted, one by one.
    """

    dataset: str
    shape: tuple[int, ...]
    n_voxels: int
    counted: bool = False

    @property
    def of_subject(self) -> dict[str, DatasetSpec]:
        """Of a subject's record."""
        return {self.dataset: DatasetSpec("float32", self.shape), "covered": DatasetSpec("uint8", (self.n_voxels,))}

    @property
    def of_sum(self) -> dict[str, DatasetSpec]:
        """Of a sum's record."""
        measured = {"measured": DatasetSpec("int32", self.shape)} if self.counted else {}
        return {"total": DatasetSpec("float64", self.shape), **measured}


@dataclass
class Coverage:
    """In how many subjects voxels lack a signal, alone and in pairs: whole numbers, exact in any order.

    Attributes
    ----------
    missing_both : (n_voxels, n_voxels) int32: subjects that lack both voxels of a pair; on the diagonal, one voxel.
    n_subjects : that were counted.
    """

    missing_both: NDArray[np.int32]
    n_subjects: int = 0

    @classmethod
    def of_nobody(cls, n_voxels: int) -> "Coverage":
        """Before anybody is counted."""
        return cls(np.zeros((n_voxels, n_voxels), dtype=np.int32))

    def count(self, covered: NDArray[np.uint8]) -> None:
        """Count the subjects in the rows of `covered`, (n_subjects, n_voxels)."""
        self.n_subjects += len(covered)
        lacking = np.flatnonzero(~covered.all(axis=0))  # of voxels that nobody lacks there is nothing to add
        missing = (covered[:, lacking] == 0).astype(np.float32)
        self.missing_both[np.ix_(lacking, lacking)] += (missing.T @ missing).astype(np.int32)

    @property
    def having(self) -> NDArray[np.int32]:
        """(n_voxels,): subjects that have a signal in each voxel."""
        return self.n_subjects - np.diagonal(self.missing_both)

    def pairs(self) -> NDArray[np.int32]:
        """(n_voxels, n_voxels): subjects that have a signal in both voxels of each pair."""
        having = self.having
        return having[:, None] + having[None, :] - self.n_subjects + self.missing_both


@dataclass
class Sums:
    """What has been added up so far.

    Attributes
    ----------
    total : float64, of the summand's shape.
    measured : int32, of the same shape: subjects whose entry is not 0; None where that is not counted.
    covered : (n_subjects, n_voxels) uint8 of the subjects that were added; empty for a sum of sums.
    """

    total: NDArray[np.float64]
    measured: NDArray[np.int32] | None
    covered: NDArray[np.uint8]


@dataclass(frozen=True)
class BranchTask:
    """Subjects, or sums of subjects, that are added up in this order, and where their sum goes."""

    summand: Summand
    are_subjects: bool
    members: tuple[Path, ...]
    record: Path
    key: str


@dataclass
class _Tree:
    """The sum at work, and what it has seen of coverage."""

    summand: Summand
    coverage: Coverage = field(init=False)

    def __post_init__(self) -> None:
        self.coverage = Coverage.of_nobody(self.summand.n_voxels)

    def here(self, records: Sequence[Path]) -> Sums:
        """The sum, in this process."""
        if len(records) <= SUBJECTS_A_SUM:
            sums = _of_subjects(records, self.summand)
            self.coverage.count(sums.covered)
            return sums
        span = SUBJECTS_A_SUM
        while span * SUBJECTS_A_SUM < len(records):
            span *= SUBJECTS_A_SUM
        return _added(
            (self.here(records[start : start + span]) for start in range(0, len(records), span)), self.summand
        )

    def by_workers(self, workers: Workers, folder: Path, records: Sequence[tuple[Path, str]]) -> Sums:
        """The sum, its branches by workers, the last level here; `records` with their keys."""
        members, level = list(records), 0
        while len(members) > SUBJECTS_A_SUM:
            tasks = [
                self._task(members[start : start + SUBJECTS_A_SUM], level, folder / f"{level}-{start:06}.h5")
                for start in range(0, len(members), SUBJECTS_A_SUM)
            ]
            n_done = 0
            for outcome in workers.run(run_branch, tasks):
                if outcome.result is None:
                    raise outcome.error or AssertionError("a task ended without result and error")
                self.coverage.count(outcome.result)
                n_done += 1
            if n_done < len(tasks):
                raise SumStoppedError
            members, level = [(task.record, task.key) for task in tasks], level + 1
        return _added((_read_sums(path, self.summand) for path, _ in members), self.summand)

    def _task(self, members: Sequence[tuple[Path, str]], level: int, record: Path) -> BranchTask:
        key = config_key(self.summand.dataset, level, [key for _, key in members])
        return BranchTask(self.summand, level == 0, tuple(path for path, _ in members), record, key)


def sum_subjects(
    out: Path, records: Sequence[tuple[Path, str]], summand: Summand, workers: Workers | None
) -> tuple[Sums, Coverage]:
    """Add up all subjects.

    Parameters
    ----------
    out : the output folder, which has the scratch folder.
    records : each subject's record and its key, in the order of the tree.
    summand : of each.
    workers : who adds up the branches, where there is more than one; None for this process. The bits are the same.

    Raises
    ------
    SumStoppedError
        When a signal came first.
    InputError
        For a record that is damaged.
    """
    tree = _Tree(summand)
    if workers is None or len(records) <= SUBJECTS_A_SUM:
        return tree.here([path for path, _ in records]), tree.coverage
    return tree.by_workers(workers, out / _FOLDER, records), tree.coverage


def run_branch(task: BranchTask) -> NDArray[np.uint8]:
    """Add up one branch and write its sum, unless it is there; who was covered is returned, as of `Sums`."""
    if is_done(task.record, task.key):
        covered = {"covered": DatasetSpec("uint8", (None, task.summand.n_voxels))}
        return read_record(task.record, covered).datasets["covered"]
    if task.are_subjects:
        sums = _of_subjects(task.members, task.summand)
    else:
        sums = _added((_read_sums(path, task.summand) for path in task.members), task.summand)
    datasets: dict[str, NDArray[Any]] = {"total": sums.total, "covered": sums.covered}
    if sums.measured is not None:
        datasets["measured"] = sums.measured
    write_record(task.record, datasets, {}, key=task.key)
    return sums.covered


def remove_sums(out: Path) -> None:
    """Remove what is left of sums, of this run and of killed ones."""
    if (folder := out / _FOLDER).exists():
        with disk_errors(folder):
            shutil.rmtree(folder)


def _of_subjects(records: Sequence[Path], summand: Summand) -> Sums:
    sums = _nothing(summand)
    sums.covered = np.empty((len(records), summand.n_voxels), dtype=np.uint8)
    for row, path in enumerate(records):
        stored = read_record(path, summand.of_subject).datasets
        values = stored[summand.dataset]
        sums.total += values
        if sums.measured is not None:
            sums.measured += values != 0
        sums.covered[row] = stored["covered"]
    return sums


def _added(branches: Iterable[Sums], summand: Summand) -> Sums:
    sums = _nothing(summand)
    for one in branches:
        sums.total += one.total
        if sums.measured is not None and one.measured is not None:
            sums.measured += one.measured
    return sums


def _read_sums(path: Path, summand: Summand) -> Sums:
    stored = read_record(path, summand.of_sum).datasets
    return Sums(stored["total"], stored.get("measured"), _nobody(summand))


def _nothing(summand: Summand) -> Sums:
    measured = np.zeros(summand.shape, dtype=np.int32) if summand.counted else None
    return Sums(np.zeros(summand.shape), measured, _nobody(summand))


def _nobody(summand: Summand) -> NDArray[np.uint8]:
    return np.zeros((0, summand.n_voxels), dtype=np.uint8)
