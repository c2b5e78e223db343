"""B9: two workers against one, sixteen subjects from list to report."""

import tempfile
from pathlib import Path
from time import perf_counter

from thalgpu.bench._maps import best_seconds_of
from thalgpu.bench._result import BenchResult
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.prepare import GradientsRequest
from thalgpu.engine.progress import Event
from thalgpu.engine.simulate.cohort import Cohort, simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions


def run(*, threads: int, quick: bool) -> list[BenchResult]:  # noqa: ARG001 - a worker has one thread, on both sides
    """The subjects' own work, and the whole command with the start of workers, template and report."""
    options = CohortOptions(
        subjects=4 if quick else 16,
        groups=("HC",),
        size="small" if quick else "mni2mm",
        timepoints=60 if quick else 150,
    )
    with tempfile.TemporaryDirectory() as folder:
        cohort = simulate_cohort(Path(folder) / "cohort", options=options)
        stages: dict[int, list[float]] = {1: [], 2: []}

        def command(workers: int) -> None:
            stages[workers].append(_subjects_seconds(cohort, Path(tempfile.mkdtemp(dir=folder)), workers))

        seconds = best_seconds_of([lambda: command(1), lambda: command(2)], 1 if quick else 2)
    whole, subjects = seconds, [min(stages[workers][1:]) for workers in (1, 2)]
    n = options.subjects
    return [
        BenchResult(
            claim="B9",
            title=f"{n} subjects, {what}",
            ours_label="two workers",
            ours_seconds=two,
            ref_label="one worker",
            ref_seconds=one,
            target=">= 1.8x",
            note=note,
        )
        for what, (one, two), note in (
            (
                "one after the other",
                subjects,
                "from the end of each worker's first subject to that of the last, extended to all of them",
            ),
            (
                "list to report",
                whole,
                "with the start of workers, the template and the report, which are nobody's share",
            ),
        )
    ]


def _subjects_seconds(cohort: Cohort, out: Path, workers: int) -> float:
    """Seconds from the end of each worker's first subject to that of the last one, extended to all subjects."""
    ends: list[float] = []
    seen = {"stage": ""}

    def note(event: Event) -> None:
        if event.kind == "stage":
            seen["stage"] = event.text
        elif event.kind == "step" and seen["stage"] == "subjects":
            ends.append(perf_counter())

    request = GradientsRequest(
        subjects=cohort.list_file,
        out=out,
        thalamus=str(cohort.thalamus[0]),
        cortex=str(cohort.cortex[0]),
        workers=workers,
    )
    run_gradients(request, note)
    return (ends[-1] - ends[workers - 1]) * len(ends) / (len(ends) - workers)
