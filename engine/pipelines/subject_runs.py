"""One task a subject: what is done is found and verified, the rest is run, and one failure does not end the others."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupts
from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.inputs.model import Subject
from thalgpu.engine.pipelines.crash_report import crash_report
from thalgpu.engine.pipelines.input_hashes import InputHashes
from thalgpu.engine.pipelines.ledger import Ledger
from thalgpu.engine.progress import Event, Progress
from thalgpu.errors import ResourceError, ThalgpuError, WorkerDiedError


class SubjectTask(Protocol):
    """What a worker is given for one subject."""

    @property
    def subject(self) -> Subject:
        """Whose files are read."""


class SubjectResult(Protocol):
    """What a worker returns: small, so that only files carry arrays."""

    @property
    def participant_id(self) -> str:
        """Without "sub-"."""

    @property
    def seconds(self) -> float:
        """Wall time."""

    @property
    def sha256(self) -> dict[Path, str]:
        """File → SHA-256 (hex) of every input."""


Task = TypeVar("Task", bound=SubjectTask)
Result = TypeVar("Result", bound=SubjectResult)


def run_subjects(
    tasks: Sequence[Task],
    find: Callable[[Task, InputHashes, Ledger], Sequence[Result]],
    run: Callable[[Task], Sequence[Result]],
    note: Callable[[Task, Result, Ledger], None],
    *,
    out: Path,
    ledger: Ledger,
    workers: Workers,
    interrupts: Interrupts,
    progress: Progress,
    failures: dict[str, Exception],
    shard: Shard | None = None,
) -> list[Result]:
    """Results of all subjects, found and verified or computed now, in the order of their ids.

    Parameters
    ----------
    tasks : one a subject.
    find : what is on disk, verified and made from the same inputs and options; nothing where the task must be run.
    run : does the task; runs in a worker.
    note : has the ledger remember what a worker has written.
    ledger : of what was verified; saved when all is done.
    out : the output folder, where SHA-256 of inputs are remembered and crashes are reported.
    failures : participant id → what went wrong; added to.
    shard : only every N-th task is of concern; None for all.

    Raises
    ------
    ThalgpuError
        Why the first one failed, when all subjects of a whole run have; and a full disk, which ends the run.
    """
    hashes = InputHashes(out / "logs" / "input-hashes.json", shard.name if shard else None)
    tasks = shard.mine(tasks) if shard else tasks
    progress(Event("stage", "subjects", total=len(tasks)))
    results: list[Result] = []
    waiting: list[Task] = []
    for number, task in enumerate(tasks, start=1):
        if found := find(task, hashes, ledger):
            results += found
            step = number - len(waiting)
            progress(Event("step", f"sub-{task.subject.participant_id}", step, len(tasks)))
        else:
            waiting.append(task)
    stamps = {path: hashes.stamp(path) for task in waiting for path in task.subject.files}
    first = len(tasks) - len(waiting) + 1
    for number, outcome in enumerate(workers.run(run, waiting), start=first):
        participant_id = outcome.task.subject.participant_id
        if outcome.error is not None:
            note_failure(out, failures, participant_id, outcome.error, outcome.task.subject.files)
        for result in outcome.result or ():
            for path, digest in result.sha256.items():
                hashes.remember(path, digest, stamps[path])
            note(outcome.task, result, ledger)
        results += outcome.result or ()
        seconds = sum(result.seconds for result in outcome.result or ())
        progress(Event("step", f"sub-{participant_id}", number, len(tasks), seconds))
    hashes.save()
    ledger.save()
    if tasks and not results and shard is None and not interrupts.requested:  # of a shard's few, all may well fail
        raise next(iter(failures.values()))
    return sorted(results, key=lambda result: result.participant_id)


def note_failure(
    out: Path, failures: dict[str, Exception], participant_id: str, error: Exception | None, files: Iterable[Path] = ()
) -> None:
    """One subject's error is noted and the others go on; a full disk ends the run. `files` are what was read."""
    if error is None or (isinstance(error, ResourceError) and not isinstance(error, WorkerDiedError)):
        raise error or AssertionError("a task ended without result and error")
    known = isinstance(error, ThalgpuError)
    failures[participant_id] = error if known else crash_report(out, participant_id, error, files)
