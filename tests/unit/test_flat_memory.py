"""Memory does not grow with subjects, but for what is told of each and for the values that are tested."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.pipelines import page, permute_page
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.permute import run_permute
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.engine.pipelines.prepare import GradientsRequest
from thalgpu.engine.progress import Event
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions

FEW, MANY = 4, 20
A_SUBJECT = 50_000
"""Bytes that a subject may add: some 20 kB are told of each. The array of one that matters, the packed affinity of 280
voxels, has 157 kB."""
HALF_A_BLOCK = 112_000
"""Bytes that eight further blocks may add: one's statistics, 100 permutations of 280 voxels, have 224 kB."""


class Peaks(dict):
    """Stage → the most memory in it above what there was at the start, in bytes."""

    def __init__(self):
        self.stage, self.start = "before", tracemalloc.get_traced_memory()[0]

    def watch(self, event: Event) -> None:
        if event.kind == "stage":
            self.end(event.text)

    def end(self, following=""):
        self[self.stage] = tracemalloc.get_traced_memory()[1] - self.start
        tracemalloc.reset_peak()
        self.stage = following


@contextmanager
def traced() -> Iterator[Peaks]:
    """Trace what this process allocates."""
    tracemalloc.start()
    peaks = Peaks()
    try:
        yield peaks
        peaks.end()
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    options = CohortOptions(subjects=MANY, groups=("A", "B"), timepoints=30)
    return simulate_cohort(tmp_path_factory.mktemp("cohort"), options=options)


@pytest.fixture(scope="module")
def gradients(cohort, tmp_path_factory):
    """Run gradients of the first subjects, without the report; the folder, and peaks of memory."""
    patch = pytest.MonkeyPatch()
    patch.setattr(page, "write_report", lambda *_: None)  # shows at most 500 subjects, and takes most of the time
    lines = [line for line in cohort.list_file.read_text().splitlines() if not line.startswith("#")]

    @cache
    def run(n_subjects, workers) -> tuple[Path, Peaks]:
        chosen = cohort.folder / f"first{n_subjects}.txt"
        chosen.write_text("\n".join(lines[:n_subjects]))
        request = GradientsRequest(
            subjects=chosen,
            out=tmp_path_factory.mktemp("gradients") / "out",
            thalamus=str(cohort.thalamus[0]),
            cortex=str(cohort.cortex[0]),
            workers=workers,
        )
        with traced() as peaks:
            run_gradients(request, peaks.watch)
        return request.out, peaks

    run(FEW - 1, 1)  # what is loaded once is loaded
    yield run
    patch.undo()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_subject_adds_nothing_to_gradients_but_what_is_told_of_it(gradients, workers):
    """With one worker all is done in this process; with two this one only hands it out."""
    _, few = gradients(FEW, workers)
    _, many = gradients(MANY, workers)
    assert list(few) == ["before", "subjects", "template", "alignment"]
    for stage, peak in few.items():
        assert many[stage] - peak < A_SUBJECT * (MANY - FEW), stage


@pytest.fixture(scope="module")
def tested(gradients, cohort, tmp_path_factory):
    """Test the groups of the first subjects; peaks of memory."""
    patch = pytest.MonkeyPatch()
    patch.setattr(permute_page, "write_report", lambda *_: None)
    folders = {n_subjects: gradients(n_subjects, 1)[0] for n_subjects in (FEW, MANY)}

    @cache
    def test(n_subjects, n_perm) -> Peaks:
        request = PermuteRequest(
            maps=(folders[n_subjects],),
            design=cohort.participants_file,
            out=tmp_path_factory.mktemp("permute") / "out",
            formula="group",
            contrast=("A - B",),
            missing="drop",
            options=InferenceOptions(n_perm=n_perm, tfce=True),
            workers=1,
        )
        with traced() as peaks:
            run_permute(request, peaks.watch)
        return peaks

    test(FEW, 50)
    yield test
    patch.undo()


def test_blocks_of_permutations_add_nothing(tested):
    """Ten blocks of 100 instead of two: null maxima, of which there are some, have 8 bytes a permutation."""
    few, many = tested(FEW, 200), tested(FEW, 1000)
    assert list(few) == ["before", "permutations", "p-values", "results"]
    for stage, peak in few.items():
        assert many[stage] - peak < HALF_A_BLOCK, stage


def test_a_subject_adds_its_values_and_its_rows_in_the_designs_of_one_block(tested):
    """Of 280 voxels and of 100 permutations: 2 kB, and some 40 kB while a block is at work."""
    few, many = tested(FEW, 200), tested(MANY, 200)
    for stage, peak in few.items():
        assert many[stage] - peak < 2 * A_SUBJECT * (MANY - FEW), stage
