"""The tasks a worker runs for a comparison: one block of permutations, or the verification of a sample."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.comparison.blocks import Study, observe, run_block
from thalgpu.engine.comparison.verification import Verified, verify
from thalgpu.engine.config import config_key
from thalgpu.engine.inference.null_maxima import Measure
from thalgpu.engine.pipelines.compare_records import read_study, write_block

RESULT_VERSION = 4
"""Part of every key: raised when the same study would give other numbers."""


@dataclass(frozen=True)
class CompareTask:
    """A stretch of one comparison's permutations: the study's record and key, and where the answer goes."""

    study: Path
    study_key: str
    number: int
    start: int
    stop: int
    record: Path

    @property
    def key(self) -> str:
        """Identity of the block's record."""
        return config_key(RESULT_VERSION, self.study_key, self.number, self.start, self.stop)


@dataclass(frozen=True)
class VerifyTask:
    """A comparison whose reduced answers are held against exact ones."""

    study: Path
    study_key: str
    number: int


def run_compare_task(task: CompareTask) -> Path:
    """Run a block and write its record; one BLAS thread, so that bits do not depend on the workers."""
    with threadpool_limits(1):
        study = _study(task.study, task.study_key)
        observed = _observed(task.study, task.study_key, task.number)
        write_block(task.record, run_block(study, task.number, observed, task.start, task.stop), task.key)
    return task.record


def run_verify_task(task: VerifyTask) -> Verified:
    """Errors in a sample of the permutations, in null SDs."""
    with threadpool_limits(1):
        study = _study(task.study, task.study_key)
        return verify(study, task.number, study.options.seed)


@lru_cache(maxsize=1)
def _study(path: Path, key: str) -> Study:  # noqa: ARG001 -- the key says when it is another
    """The study and all affinities, once a worker."""
    return read_study(path)


@lru_cache(maxsize=8)
def _observed(path: Path, key: str, number: int) -> dict[Measure, NDArray[np.float64]]:
    return observe(_study(path, key), number)
