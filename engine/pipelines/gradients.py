"""`thalgpu gradients`: subjects' records, the template, aligned maps, tables and report, each only where needed."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupts
from thalgpu.engine.cluster.shards import Shard, ShardDone
from thalgpu.engine.outputs.names import group_paths
from thalgpu.engine.pipelines.align_stage import AlignedSubject, AlignTask, find_aligned, note_aligned, run_align
from thalgpu.engine.pipelines.at_work import own_folder, workers_for
from thalgpu.engine.pipelines.group_stage import Template, make_template
from thalgpu.engine.pipelines.ledger import open_ledger
from thalgpu.engine.pipelines.nuclei import match_nuclei
from thalgpu.engine.pipelines.out_folder import (
    check_same_options,
    remove_outdated,
    write_dataset_files,
)
from thalgpu.engine.pipelines.parts import Part
from thalgpu.engine.pipelines.prepare import GradientsRequest, Prepared, prepare
from thalgpu.engine.pipelines.subject_runs import note_failure, run_subjects
from thalgpu.engine.pipelines.subject_stage import SubjectTask, find_finished, note_subject, run_subject
from thalgpu.engine.pipelines.tables import write_tables
from thalgpu.engine.pipelines.template_sums import SumStoppedError
from thalgpu.engine.progress import Event, Progress, silent
from thalgpu.engine.results import SubjectRecord


@dataclass
class GradientsResult:
    """What a run did.

    Attributes
    ----------
    out : the output folder.
    aligned : finished subjects, one an embedding, in the order of their ids.
    templates : one an embedding.
    failures : participant id → what went wrong.
    warnings : remarks on the whole run.
    seconds : wall time.
    interrupted : exit code of the signal that stopped the run (130 or 143), or None.
    shard : what a shard has done; None for a whole run.
    """

    out: Path
    aligned: list[AlignedSubject] = field(default_factory=list)
    templates: list[Template] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: int | None = None
    shard: ShardDone | None = None


def run_gradients(
    request: GradientsRequest, progress: Progress = silent, *, prepared: Prepared | None = None
) -> GradientsResult:
    """Run the main job; what is done already is verified and skipped.

    Parameters
    ----------
    request : what to do.
    progress : told of every stage and step.
    prepared : `prepare(request)` where the caller has it already.

    Raises
    ------
    InputError, UsageError, NumericsError
        When nothing can be computed at all; one bad subject only ends in `failures`.
    ResourceError
        Disk, memory, or another run in the same folder.
    """
    started = time.perf_counter()
    prepared = prepared or prepare(request)
    plan = prepared.plan
    with (
        own_folder(request, plan.disk_bytes) as interrupts,
        workers_for(request, plan, interrupts, progress, gpus=plan.gpus, device_bytes=plan.device_bytes) as workers,
    ):
        check_same_options(request, prepared)
        write_dataset_files(request, prepared)
        result = _Stages(request, prepared, progress, interrupts, workers).run()
    result.seconds = time.perf_counter() - started
    return result


class _Stages:
    """The stages of one run, and what has come of it so far."""

    def __init__(
        self,
        request: GradientsRequest,
        prepared: Prepared,
        progress: Progress,
        interrupts: Interrupts,
        workers: Workers,
    ) -> None:
        self.request, self.prepared = request, prepared
        self.progress, self.interrupts, self.workers = progress, interrupts, workers
        self.ledger = open_ledger(request.out, request.shard)
        self.current: set[Path] = set()  # aligned files and maps that belong to this run
        self.result = GradientsResult(request.out, failures=dict(prepared.rejected), warnings=list(prepared.warnings))

    def run(self) -> GradientsResult:
        """Subjects, then for each embedding the template and the alignment, then tables and report."""
        request, result = self.request, self.result
        records = self._subjects()
        if request.shard is not None:
            result.shard = self._shard_done(request.shard, records)
            result.interrupted = self.interrupts.exit_code if self.interrupts.requested else None
            return result
        left: tuple[Part, Template] | None = None
        for part in self.prepared.parts:
            if self.interrupts.requested:
                break
            mine = [record for record in records if record.hemisphere == part.hemisphere]
            try:
                template = self._template(part, mine, left)
            except SumStoppedError:
                break
            left = left or (part, template)
            self._alignment(part, mine, template)
        if self.interrupts.requested:
            result.interrupted = self.interrupts.exit_code
            return result
        self.workers.dismiss()
        self._remove_outdated()
        write_tables(request.out, result.aligned)
        from thalgpu.engine.pipelines.page import write_report  # loads matplotlib, which a worker never needs

        write_report(request, self.prepared, result.aligned, result.templates, result.failures, result.warnings)
        return result

    @property
    def _is_here(self) -> bool:
        """Whether tasks run in this process."""
        return self.prepared.plan.in_process and self.request.scheduler is None

    def _subjects(self) -> list[SubjectRecord]:
        """Records of all subjects, found and verified or computed now, in the order of their ids."""
        request, prepared = self.request, self.prepared
        tasks = [
            SubjectTask(
                subject,
                prepared.thalamus,
                prepared.cortex,
                prepared.parts,
                request.cleaning,
                request.options,
                request.out,
            )
            for subject in prepared.subjects
        ]
        return run_subjects(
            tasks,
            find_finished,
            run_subject,
            note_subject,
            out=request.out,
            ledger=self.ledger,
            workers=self.workers,
            interrupts=self.interrupts,
            progress=self.progress,
            failures=self.result.failures,
            shard=request.shard,
        )

    def _shard_done(self, shard: Shard, records: Sequence[SubjectRecord]) -> ShardDone:
        subjects = self.prepared.subjects
        n_done = len({record.participant_id for record in records})
        return ShardDone(shard, n_done, len(shard.mine(subjects)), len(subjects), "subjects")

    def _template(self, part: Part, records: Sequence[SubjectRecord], left: tuple[Part, Template] | None) -> Template:
        self.progress(Event("stage", f"template{f' {part.hemisphere}' if part.hemisphere else ''}", total=1))
        began = time.perf_counter()
        workers = None if self._is_here else self.workers
        template = make_template(self.request.out, part, records, self.request.options, left, workers)
        self.result.templates.append(template)
        self.result.warnings += template.warnings
        self.progress(Event("step", "group", 1, 1, time.perf_counter() - began))
        return template

    def _alignment(self, part: Part, records: Sequence[SubjectRecord], template: Template) -> None:
        request = self.request
        self.progress(Event("stage", "alignment", total=len(records)))
        nuclei = match_nuclei(self.prepared.nuclei, part.thalamus) if self.prepared.nuclei else None
        tasks = [
            AlignTask(record, part, template, nuclei, request.cleaning, request.options, request.out)
            for record in records
        ]
        finished: list[AlignedSubject] = []
        todo: list[AlignTask] = []
        for task in tasks:
            found = find_aligned(task, self.ledger)
            if found is None:
                todo.append(task)
            else:
                finished.append(found)
                self.progress(Event("step", f"sub-{task.record.participant_id}", len(finished), len(tasks)))
        if todo and not self._is_here:
            # half a second that this process would only wait
            threading.Thread(target=import_module, args=("thalgpu.engine.pipelines.page",)).start()
        for number, outcome in enumerate(self.workers.run(run_align, todo), start=len(finished) + 1):
            participant_id = outcome.task.record.participant_id
            if outcome.result is None:
                note_failure(request.out, self.result.failures, participant_id, outcome.error)
            else:
                finished.append(outcome.result)
                note_aligned(outcome.task, outcome.result, self.ledger)
            self.progress(Event("step", f"sub-{participant_id}", number, len(tasks)))
        self.ledger.save()
        if not finished and not self.interrupts.requested:
            raise self.result.failures[records[0].participant_id]
        self.current |= {path for one in finished for path in one.files}
        self.result.aligned += sorted(finished, key=lambda one: one.record.participant_id)

    def _remove_outdated(self) -> None:
        """Nothing in the folder may be aligned to another template than the one beside it."""
        out = self.request.out
        for part in self.prepared.parts:
            group = group_paths(out, part.hemisphere, part.thalamus.grid)
            self.current |= {group.maps, group.sidecar, group.record}
        for subject in remove_outdated(out, self.current):
            self.result.warnings.append(
                f"{subject}: maps aligned to an earlier template were removed; its own record stays"
            )
