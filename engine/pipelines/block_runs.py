"""Blocks of permutations on workers: those on disk are verified and kept, the others run."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from thalgpu.engine.cluster.executor import Outcome, Result, Task, Workers
from thalgpu.engine.cluster.interrupts import Interrupts
from thalgpu.engine.cluster.shards import ShardDone
from thalgpu.engine.outputs.store import is_done
from thalgpu.engine.progress import Event, Progress
from thalgpu.errors import ResourceError


class BlockTask(Protocol):
    """A stretch of permutations, and where its record goes."""

    @property
    def start(self) -> int:
        """Number of the first."""
        ...

    @property
    def stop(self) -> int:
        """Number after the last."""
        ...

    @property
    def record(self) -> Path:
        """The file."""
        ...

    @property
    def key(self) -> str:
        """Identity of what it holds."""
        ...


Block = TypeVar("Block", bound=BlockTask)
Request = TypeVar("Request")
Prepared = TypeVar("Prepared")
Found = TypeVar("Found")


@dataclass
class RunResult(Generic[Found]):
    """What a run did.

    Attributes
    ----------
    out : the output folder.
    found : what was tested, each with its p-values.
    warnings : remarks on the whole run.
    n_skipped : blocks that were found on disk, verified.
    n_blocks : all blocks.
    seconds : wall time.
    interrupted : exit code of the signal that stopped the run (130 or 143), or None.
    shard : what a shard has done, which finds nothing; None for a whole run.
    """

    out: Path
    found: list[Found] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    n_skipped: int = 0
    n_blocks: int = 0
    seconds: float = 0.0
    interrupted: int | None = None
    shard: ShardDone | None = None


@dataclass
class BlockRun(Generic[Request, Prepared, Found]):
    """A run at work: what was asked for, who works and who is told, and what has come of it so far."""

    request: Request
    prepared: Prepared
    progress: Progress
    interrupts: Interrupts
    workers: Workers
    result: RunResult[Found]


def found_and_left(tasks: Sequence[Block]) -> tuple[list[Block], list[Block]]:
    """Those with a record on disk, verified, and those that are to be run."""
    done = [is_done(task.record, task.key) for task in tasks]
    found = [task for task, is_found in zip(tasks, done, strict=True) if is_found]
    return found, [task for task, is_found in zip(tasks, done, strict=True) if not is_found]


def block_records(
    run: Callable[[Block], Path], found: Sequence[Block], left: Sequence[Block], workers: Workers, progress: Progress
) -> Iterator[Path]:
    """Records of the blocks as they are found or done; fewer than all after a signal.

    Parameters
    ----------
    run : does a block and writes its record.
    found, left : from `found_and_left`.
    progress : told of every block; those that were found took no time.
    """
    n_blocks = len(found) + len(left)

    def tell(task: Block, number: int, seconds: float) -> None:
        progress(Event("step", f"{task.start + 1:,}–{task.stop:,}", number, n_blocks, seconds))

    for number, task in enumerate(found, start=1):
        tell(task, number, 0.0)
        yield task.record
    began = time.perf_counter()
    for number, outcome in enumerate(workers.run(run, left), start=len(found) + 1):
        record = result_of(outcome)
        tell(outcome.task, number, time.perf_counter() - began)
        began = time.perf_counter()
        yield record


def result_of(outcome: Outcome[Task, Result]) -> Result:
    """What came of a task; its error otherwise."""
    if isinstance(outcome.error, MemoryError):
        raise ResourceError("out of memory", remedy="use fewer --workers, or test fewer components at once")
    if outcome.result is None:
        raise outcome.error or AssertionError("a task ended without result and error")
    return outcome.result
