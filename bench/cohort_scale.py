"""B12: 1,000 small subjects from scans to p-values, and 40,000 finished ones listed and found unchanged."""

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from thalgpu.bench._commands import Spent, run_python, run_thalgpu
from thalgpu.bench._result import BenchResult
from thalgpu.engine.pipelines.align_stage import AlignTask, find_aligned, note_aligned
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.group_stage import Template, make_template
from thalgpu.engine.pipelines.input_hashes import InputHashes
from thalgpu.engine.pipelines.ledger import Ledger, open_ledger
from thalgpu.engine.pipelines.prepare import GradientsRequest, Prepared, prepare
from thalgpu.engine.pipelines.subject_stage import SubjectTask, find_finished, note_subject
from thalgpu.engine.results import SubjectRecord
from thalgpu.engine.simulate.cohort import Cohort, simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions

_WALL_SECONDS, _PARENT_MB, _WORKER_MB = 300.0, 320.0, 256.0
_FIND_SECONDS = 60.0
_LINKS = "links.txt"


def run(*, threads: int, quick: bool) -> list[BenchResult]:  # noqa: ARG001 - two workers, of one thread each
    """Wall time and peaks of memory from scans to p-values; then how long it takes to find what is done."""
    n_computed, n_perm, n_found = (10, 100, 50) if quick else (1_000, 1_000, 40_000)
    with tempfile.TemporaryDirectory() as folder:
        results = _computed(Path(folder), n_computed, n_perm)
    with tempfile.TemporaryDirectory() as folder:
        return [*results, _found(Path(folder), n_found)]


def _computed(folder: Path, n_subjects: int, n_perm: int) -> list[BenchResult]:
    cohort = _simulated(folder, n_subjects)
    scans = ("--subjects", cohort.list_file, "--thalamus", cohort.thalamus[0], "--cortex", cohort.cortex[0])
    test = ("--design", cohort.participants_file, "--formula", "group", "--contrast", "A - B", "--tfce")
    here = ("--workers", 2, "--gpus", 0)
    gradients = ("gradients", *scans, *here, "--out", folder / "gradients")
    permute = ("permute", folder / "gradients", *test, "--n-perm", n_perm, *here, "--out", folder / "permute")
    first, second, again = (run_thalgpu(*command) for command in (gradients, permute, gradients))
    steps = {"gradients": first, f"permute, {n_perm:,} permutations": second, "gradients, all done": again}
    wall = first.wall_seconds + second.wall_seconds
    parent, worker = max(first.peak_mb, second.peak_mb), max(first.worker_mb, second.worker_mb)
    title = f"{n_subjects:,} small subjects, gradients and permute"
    return [
        _result(f"{title}, wall", wall, _WALL_SECONDS, "s", _told(steps)),
        _result(f"{title}, peak of the parent", parent, _PARENT_MB, "MB"),
        _result(f"{title}, peak of a worker", worker, _WORKER_MB, "MB"),
    ]


def _found(folder: Path, n_subjects: int) -> BenchResult:
    """In a process of its own, so that its memory can be told."""
    _simulated(folder, 2)
    link_subjects(folder, n_subjects)
    spent = run_python(
        "import sys; from thalgpu.bench.cohort_scale import find_links; find_links(*sys.argv[1:])", folder, n_subjects
    )
    wall, cpu = map(float, spent.printed.split())
    note = f"{cpu:.1f} s CPU; peak {spent.peak_mb:.0f} MB"
    return _result(f"{n_subjects:,} finished subjects, listed and found unchanged", wall, _FIND_SECONDS, "s", note)


def link_subjects(folder: Path, n_subjects: int) -> None:
    """One subject's scans and results under other names, hard links all, and what a run of so many would remember."""
    request = _request(folder)
    done, prepared, (hashes, ledger) = run_gradients(request), prepare(request), _memory(request)
    one, record, own = done.aligned[0], done.aligned[0].record, f"sub-{done.aligned[0].record.participant_id}"
    task, align_task = _tasks(request, prepared)[0], _align_task(request, prepared, record, done.templates[0])
    files = [file for top in (folder / "cohort", request.out) for file in (top / own).rglob("*") if file.is_file()]
    scans = []
    for number in range(n_subjects):
        label = f"{number:05d}"
        links = {file: Path(str(file).replace(own, f"sub-{label}")) for file in files}
        for file, link in links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, link)
        scans.append(links[task.subject.runs[0].bold])
        for file, digest in record.sha256.items():
            hashes.remember(links[file], digest, hashes.stamp(file))
        other = replace(record, participant_id=label)
        note_subject(task, other, ledger)
        note_aligned(align_task, replace(one, record=other, files=tuple(links[file] for file in one.files)), ledger)
    (folder / "cohort" / _LINKS).write_text("".join(f"{scan}\n" for scan in scans), encoding="utf-8")
    hashes.save()
    ledger.save()


def find_links(folder: str, n_subjects: str) -> None:
    """List the linked subjects, look at every header, find all results; print seconds of wall time and of CPU."""
    request = _request(Path(folder))
    prepared, (hashes, ledger) = prepare(request), _memory(request)
    own = [record for task in _tasks(request, prepared) for record in find_finished(task, hashes, ledger)]
    template = make_template(request.out, prepared.parts[0], own, request.options, None)
    began, cpu = time.perf_counter(), time.process_time()
    request = _request(Path(folder), _LINKS)
    prepared, (hashes, ledger) = prepare(request), _memory(request)
    records = [record for task in _tasks(request, prepared) for record in find_finished(task, hashes, ledger)]
    tasks = [_align_task(request, prepared, record, template) for record in records]
    found = [find_aligned(task, ledger) for task in tasks]
    if len(found) != int(n_subjects) or None in found:
        raise AssertionError(f"{len(found)} of {n_subjects} were found")
    print(time.perf_counter() - began, time.process_time() - cpu)


def _simulated(folder: Path, n_subjects: int) -> Cohort:
    options = CohortOptions(subjects=n_subjects, groups=("A", "B"), timepoints=40)
    return simulate_cohort(folder / "cohort", options=options)


def _request(folder: Path, subjects: str = "list.txt") -> GradientsRequest:
    """Gradients of a list in the simulated cohort, in one process."""
    cohort = folder / "cohort"
    return GradientsRequest(
        subjects=cohort / subjects,
        out=folder / "out",
        thalamus=str(cohort / "thalamus.nii.gz"),
        cortex=str(cohort / "cortex.nii.gz"),
        workers=1,
        gpus=0,
    )


def _memory(request: GradientsRequest) -> tuple[InputHashes, Ledger]:
    return InputHashes(request.out / "logs" / "input-hashes.json"), open_ledger(request.out, None)


def _tasks(request: GradientsRequest, prepared: Prepared) -> list[SubjectTask]:
    given = (prepared.thalamus, prepared.cortex, prepared.parts, request.cleaning, request.options, request.out)
    return [SubjectTask(subject, *given) for subject in prepared.subjects]


def _align_task(request: GradientsRequest, prepared: Prepared, record: SubjectRecord, template: Template) -> AlignTask:
    return AlignTask(record, prepared.parts[0], template, None, request.cleaning, request.options, request.out)


def _result(title: str, value: float, allowed: float, unit: str, note: str = "") -> BenchResult:
    return BenchResult(
        claim="B12",
        title=title,
        ours_label="measured",
        ours_seconds=value,
        ref_label="allowed",
        ref_seconds=allowed,
        unit=unit,
        target=f"<= {allowed:g}",
        note=note,
    )


def _told(steps: dict[str, Spent]) -> str:
    return "; ".join(
        f"{step}: {spent.wall_seconds:.1f} s wall, {spent.cpu_seconds:.1f} s CPU, peak {spent.peak_mb:.0f} MB, "
        f"of a worker {spent.worker_mb:.0f} MB"
        for step, spent in steps.items()
    )
