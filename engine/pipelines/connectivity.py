"""`thalgpu connectivity`: subjects' seed maps and matrices, then tables and report, each only where needed."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from thalgpu.engine.cluster.shards import ShardDone
from thalgpu.engine.outputs.names import connectivity_paths
from thalgpu.engine.pipelines.at_work import own_folder, workers_for
from thalgpu.engine.pipelines.connectivity_folder import claim_folder, remove_outdated_maps, write_folder_files
from thalgpu.engine.pipelines.connectivity_prepare import (
    ConnectivityPrepared,
    ConnectivityRequest,
    prepare_connectivity,
)
from thalgpu.engine.pipelines.connectivity_stage import (
    ConnectivityRecord,
    ConnectivityTask,
    find_finished,
    note_subject,
    run_connectivity_subject,
)
from thalgpu.engine.pipelines.connectivity_tables import write_tables
from thalgpu.engine.pipelines.ledger import open_ledger
from thalgpu.engine.pipelines.subject_runs import run_subjects
from thalgpu.engine.progress import Progress, silent

__all__ = ["ConnectivityRequest", "ConnectivityResult", "prepare_connectivity", "run_connectivity"]


@dataclass
class ConnectivityResult:
    """What a run did.

    Attributes
    ----------
    out : the output folder.
    records : finished subjects, in the order of their ids.
    maps : seed → map of each finished subject, in this order, left and right on surfaces; empty without maps.
    tables : "connectivity" and "regions" → file.
    failures : participant id → what went wrong.
    warnings : remarks on the whole run.
    seconds : wall time.
    interrupted : exit code of the signal that stopped the run (130 or 143), or None.
    shard : what a shard has done; None for a whole run.
    """

    out: Path
    records: list[ConnectivityRecord] = field(default_factory=list)
    maps: dict[str, list[Path]] = field(default_factory=dict)
    tables: dict[str, Path] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: int | None = None
    shard: ShardDone | None = None


def run_connectivity(
    request: ConnectivityRequest, progress: Progress = silent, prepared: ConnectivityPrepared | None = None
) -> ConnectivityResult:
    """Seed maps and region matrices of all subjects; what is done already is verified and skipped.

    Parameters
    ----------
    request : what to do.
    progress : told of every stage and step.
    prepared : `prepare_connectivity(request)` where the caller has it already.

    Raises
    ------
    InputError, UsageError
        When nothing can be computed at all; one bad subject only ends in `failures`.
    ResourceError
        Disk, memory, or another run in the same folder.
    """
    started = time.perf_counter()
    prepared = prepared or prepare_connectivity(request)
    result = ConnectivityResult(request.out, failures=dict(prepared.rejected), warnings=list(prepared.warnings))
    tasks = _tasks(request, prepared)
    with (
        own_folder(request, prepared.plan.disk_bytes) as interrupts,
        workers_for(request, prepared.plan, interrupts, progress) as workers,
    ):
        claim_folder(request, prepared)
        write_folder_files(request, prepared)
        result.records = run_subjects(
            tasks,
            find_finished,
            run_connectivity_subject,
            note_subject,
            out=request.out,
            ledger=open_ledger(request.out, request.shard),
            workers=workers,
            interrupts=interrupts,
            progress=progress,
            failures=result.failures,
            shard=request.shard,
        )
        if interrupts.requested:
            result.interrupted = interrupts.exit_code
        elif request.shard is not None:
            n_mine = len(request.shard.mine(tasks))
            result.shard = ShardDone(request.shard, len(result.records), n_mine, len(tasks), "subjects")
        else:
            _finish(request, prepared, tasks, result)
    result.seconds = time.perf_counter() - started
    return result


def _tasks(request: ConnectivityRequest, prepared: ConnectivityPrepared) -> list[ConnectivityTask]:
    return [
        ConnectivityTask(
            subject,
            prepared.seeds,
            prepared.cortex,
            prepared.atlas,
            prepared.regions,
            request.cleaning,
            request.min_coverage,
            prepared.writes_maps,
            request.out,
        )
        for subject in prepared.subjects
    ]


def _finish(
    request: ConnectivityRequest,
    prepared: ConnectivityPrepared,
    tasks: list[ConnectivityTask],
    result: ConnectivityResult,
) -> None:
    """Everything of the group, and nothing that is out of date."""
    out, by_id = request.out, {task.subject.participant_id: task for task in tasks}
    finished = [by_id[record.participant_id] for record in result.records]
    result.warnings += remove_outdated_maps(out, [path for record in result.records for path in record.files])
    if prepared.writes_maps:
        paths = [connectivity_paths(out, record.participant_id) for record in result.records]
        for seed in prepared.seeds.names:
            result.maps[seed] = [file for one in paths for file in one.maps(seed, prepared.cortex.grid)]
    result.tables, remarks = write_tables(out, prepared, finished, matrix=request.matrix)
    result.warnings += remarks
    from thalgpu.engine.pipelines.connectivity_page import write_report  # loads matplotlib, which a worker never needs

    write_report(request, prepared, finished, result.records, result.failures, result.warnings)
