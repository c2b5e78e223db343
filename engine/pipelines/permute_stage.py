"""The task a worker runs for one block of permutations: read the problem from disk, run, write one record."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.cluster.devices import use_gpu, worker_gpu
from thalgpu.engine.config import config_key
from thalgpu.engine.inference.blocks import Test, block_values, prepare_test, run_block
from thalgpu.engine.inference.null_maxima import Measure
from thalgpu.engine.pipelines.permute_records import read_problem, write_null
from thalgpu.engine.pipelines.self_test import prove_device
from thalgpu.errors import ResourceError

RESULT_VERSION = 1
"""Part of every key: raised when the same problem would give other numbers."""


@dataclass(frozen=True)
class BlockTask:
    """A stretch of permutations: the record of the problem and its content's SHA-256, and where the answer goes."""

    problem: Path
    content: str
    start: int
    stop: int
    record: Path

    @property
    def key(self) -> str:
        """Identity of the block's record."""
        return config_key(RESULT_VERSION, self.content, self.start, self.stop)


@dataclass(frozen=True)
class ValuesTask:
    """The same stretch once more, for the values of some features of one contrast."""

    problem: Path
    content: str
    start: int
    stop: int
    measure: Measure
    contrast: int
    features: NDArray[np.int64]


def run_block_task(task: BlockTask) -> Path:
    """Run a block and write its record; one BLAS thread, so that bits do not depend on the workers."""
    with threadpool_limits(1), use_gpu(worker_gpu()):
        test = _test(task.problem, task.content, worker_gpu())
        write_null(task.record, run_block(test, task.start, task.stop), task.key)
    return task.record


def run_values_task(task: ValuesTask) -> NDArray[np.float64]:
    """(stop − start, n_chosen) magnitudes."""
    with threadpool_limits(1), use_gpu(worker_gpu()):
        test = _test(task.problem, task.content, worker_gpu())
        return block_values(test, task.measure, task.contrast, task.features, task.start, task.stop)


def forget_problem() -> None:
    """Let go of the problem that this process has been at work on."""
    _test.cache_clear()


@lru_cache(maxsize=1)
def _test(path: Path, content: str, gpu: int | None) -> Test:
    """The problem made ready, once a worker."""
    prove_device(gpu, "permutations")
    problem, found = read_problem(path)
    if found != content:
        raise ResourceError(
            "the problem has changed under the run",
            where=str(path),
            remedy="let no other run write there, and run again",
        )
    with use_gpu(gpu) as place:
        return prepare_test(problem, place)
