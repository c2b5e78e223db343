"""`thalgpu structure`: subjects' records, then the group's tables, mean shapes, displacement maps and report."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupts
from thalgpu.engine.cluster.shards import ShardDone
from thalgpu.engine.outputs.structure_names import Measure, Side, measure_record, registered_record
from thalgpu.engine.pipelines.at_work import own_folder, workers_for
from thalgpu.engine.pipelines.input_hashes import InputHashes
from thalgpu.engine.pipelines.ledger import open_ledger
from thalgpu.engine.pipelines.structure_folder import claim_folder, remove_others, write_folder_files
from thalgpu.engine.pipelines.structure_group import GroupTables, write_vertices
from thalgpu.engine.pipelines.structure_prepare import StructurePrepared, prepare_structure
from thalgpu.engine.pipelines.structure_register import (
    Registered,
    RegisterTask,
    find_registered,
    make_templates,
    run_register,
)
from thalgpu.engine.pipelines.structure_request import StructureRequest, StructureResult
from thalgpu.engine.pipelines.structure_shapes import SideGroup, group_shapes, write_shapes
from thalgpu.engine.pipelines.structure_sources import MeasureTask
from thalgpu.engine.pipelines.structure_subject import Measured, find_measured, run_measure
from thalgpu.engine.pipelines.subject_runs import note_failure
from thalgpu.engine.progress import Event, Progress, silent
from thalgpu.errors import InputError

Task = TypeVar("Task", MeasureTask, RegisterTask)
Done = TypeVar("Done", Measured, Registered)


def run_structure(
    request: StructureRequest, progress: Progress = silent, *, prepared: StructurePrepared | None = None
) -> StructureResult:
    """Measure every subject, then write tables, shapes and report; what is done already is verified and skipped.

    Parameters
    ----------
    request : what to do.
    progress : told of every stage and step.
    prepared : `prepare_structure(request)` where the caller has it already.

    Raises
    ------
    InputError, UsageError, NumericsError
        When nothing can be measured at all; one bad subject only ends in `failures`.
    ResourceError
        Disk, memory, or another run in the same folder.
    """
    started = time.perf_counter()
    prepared = prepared or prepare_structure(request)
    with (
        own_folder(request, prepared.disk_bytes) as interrupts,
        workers_for(request, prepared, interrupts, progress) as workers,
    ):
        claim_folder(request, prepared)
        write_folder_files(request, prepared)
        result = _Stages(request, prepared, progress, interrupts, workers).run()
    result.seconds = time.perf_counter() - started
    return result


class _Stages:
    """The stages of one run, and what has come of it so far."""

    def __init__(
        self,
        request: StructureRequest,
        prepared: StructurePrepared,
        progress: Progress,
        interrupts: Interrupts,
        workers: Workers,
    ) -> None:
        self.request, self.prepared = request, prepared
        self.progress, self.interrupts, self.workers = progress, interrupts, workers
        self.ledger = open_ledger(request.out, request.shard)
        self.result = StructureResult(
            request.out,
            failures=dict(prepared.rejected),
            warnings=list(prepared.warnings),
            n_subjects=len(prepared.subjects),
        )

    def run(self) -> StructureResult:
        """Subjects' records, registration where there are label images, then the group."""
        result = self.result
        records = self._records()
        if self.request.shard is not None:
            result.interrupted = self.interrupts.exit_code if self.interrupts.requested else None
            return result
        meshes = {} if self.interrupts.requested else self._meshes(records.get("shape", []))
        if self.interrupts.requested:
            result.interrupted = self.interrupts.exit_code
            return result
        with threadpool_limits(1):  # so that bits do not depend on the number of cores
            groups = self._group(records, meshes)
        from thalgpu.engine.pipelines.structure_page import write_report  # loads matplotlib, which a worker never needs

        write_report(self.request, self.prepared, groups, result)
        return result

    def _records(self) -> dict[Measure, list[Measured]]:
        """Measure → records of all subjects, found and verified or made now, by id."""
        shard, tasks = self.request.shard, self.prepared.tasks
        hashes = InputHashes(self.request.out / "logs" / "input-hashes.json", shard.name if shard else None)
        mine = shard.mine(tasks) if shard else tasks
        found = self._each("subjects", mine, lambda task: find_measured(task, hashes, self.ledger), run_measure)
        hashes.save()
        if shard:
            self.result.shard = ShardDone(shard, len(found), len(mine), len(tasks), "records")
        records: dict[Measure, list[Measured]] = {}
        for one in sorted(found, key=lambda one: one.task.participant_id):
            records.setdefault(one.task.measure, []).append(one)
            self.result.warnings += [f"sub-{one.task.participant_id}: {text}" for text in one.told["warnings"]]
        return records

    def _meshes(self, shapes: Sequence[Measured]) -> dict[str, Path]:
        """Participant → record with meshes whose vertices correspond."""
        out = self.request.out
        if not shapes or shapes[0].task.source == "meshes":
            return {one.task.participant_id: measure_record(out, one.task.participant_id, "shape") for one in shapes}
        self.progress(Event("stage", "template", total=1))
        with threadpool_limits(1):
            templates = make_templates(self.prepared.templates, shapes, out)
        self.progress(Event("step", "group", 1, 1))
        tasks = [
            RegisterTask(one.task.participant_id, one.key, templates, self.request.shape_alignment, out)
            for one in shapes
        ]
        done = self._each("registration", tasks, lambda task: find_registered(task, self.ledger), run_register)
        ids = sorted(one.participant_id for one in done)
        return {who: registered_record(out, who) for who in ids}

    def _group(self, records: dict[Measure, list[Measured]], meshes: dict[str, Path]) -> dict[Side, SideGroup]:
        """Everything of the group, written; what is not of this run is removed."""
        request, result = self.request, self.result
        self.progress(Event("stage", "group", total=1))
        began = time.perf_counter()
        written = GroupTables(request, self.prepared, result).write(records)
        written += write_vertices(request, self.prepared, records.get("thickness", []), result)
        groups = group_shapes(meshes, request, result.failures)
        written += write_shapes(groups, request, result)
        if groups:
            result.measured["shape"] = len({who for group in groups.values() for who in group.ids})
        if not result.measured:
            raise next(iter(result.failures.values()))
        for who in remove_others(request.out, written):
            result.warnings.append(f"{who}: files of an earlier run that are not of this one were removed")
        self.progress(Event("step", "group", 1, 1, time.perf_counter() - began))
        return groups

    def _each(
        self,
        stage: str,
        tasks: Sequence[Task],
        find: Callable[[Task], Done | None],
        run: Callable[[Task], Done],
    ) -> list[Done]:
        """What is there already, verified, and what is made now; one failure does not end the others."""
        self.progress(Event("stage", stage, total=len(tasks)))
        finished: list[Done] = []
        waiting: list[Task] = []
        for task in tasks:
            try:
                found = find(task)
            except InputError as error:  # a file has gone since the list was read
                self._note(task.participant_id, error)
                continue
            if found is None:
                waiting.append(task)
            else:
                finished.append(found)
                self.progress(Event("step", task.words, len(finished), len(tasks)))
        self.result.n_skipped += len(finished)
        first = len(tasks) - len(waiting) + 1
        for number, outcome in enumerate(self.workers.run(run, waiting), start=first):
            who = outcome.task.participant_id
            if outcome.result is None:
                self._note(who, outcome.error, getattr(outcome.task, "files", ()))  # meshes are registered from records
            else:
                finished.append(outcome.result)
                self._remember(outcome.result)
            seconds = outcome.result.seconds if outcome.result else 0.0
            self.progress(Event("step", outcome.task.words, number, len(tasks), seconds))
        self.ledger.save()
        return finished

    def _remember(self, written: Measured | Registered) -> None:
        assert written.stamp is not None
        self.ledger.note(written.record, written.key, {written.record.name: written.stamp}, written.told)

    def _note(self, who: str, error: Exception | None, files: Sequence[Path] = ()) -> None:
        """A person's first error is the person's failure; others of the same person are remarks."""
        noted: dict[str, Exception] = {}
        note_failure(self.request.out, noted, who, error, files)
        if who in self.result.failures:
            self.result.warnings.append(f"sub-{who}: {noted[who]}")
        else:
            self.result.failures[who] = noted[who]
