"""B8: how time grows with voxels, targets, time points, subjects and permutations: fitted exponents."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from thalgpu.bench._maps import CONTRAST, best_seconds, simulated_cohort
from thalgpu.bench._result import BenchResult
from thalgpu.engine.config import GradientOptions
from thalgpu.engine.gradients.subject import subject_gradients
from thalgpu.engine.inference.permutation_test import permutation_test
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.prepare import GradientsRequest
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.engine.simulate.subject import simulate_subject
from thalgpu.errors import ThalgpuWarning


def run(*, threads: int, quick: bool) -> list[BenchResult]:
    """Exponents of time against one size, the others fixed; a target only where growth must stay linear."""
    n, m, t = (200, 1_000, 100) if quick else (1_000, 8_000, 200)
    with threadpool_limits(threads):
        exponents = {
            "targets m": (_exponent(lambda size: _subject(n, size, t), _sizes(m, quick)), "<= 1.05"),
            "voxels n": (_exponent(lambda size: _subject(size, m, t), _sizes(n, quick)), "<= 3"),
            "time points T": (_exponent(lambda size: _subject(n, m, size), _sizes(t, quick)), "<= 1.05"),
        }
    exponents["subjects S"] = (_subjects(quick), "<= 1.05")
    shape = f"n={n} m={m} T={t} but for the size that grows"
    notes = dict.fromkeys(exponents, shape)
    exponents["permutations P"] = (_permutations(threads, quick), "<= 1.05")
    notes["permutations P"] = "with TFCE, of 2,248 voxels of 84 subjects" if not quick else "with TFCE"
    return [
        BenchResult(
            claim="B8",
            title=f"time against {name}",
            ours_label="fitted exponent",
            ours_seconds=exponent,
            ref_label="",
            ref_seconds=None,
            unit="exponent",
            target=target,
            note=notes[name],
        )
        for name, (exponent, target) in exponents.items()
    ]


def _sizes(smallest: int, quick: bool) -> list[int]:
    return [smallest * factor for factor in ((1, 2) if quick else (1, 2, 4))]


def _exponent(measure: Callable[[int], float], sizes: Sequence[int]) -> float:
    """Slope of log time against log size."""
    measure(sizes[0])
    seconds = [measure(size) for size in sizes]
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _subject(n_voxels: int, n_targets: int, n_timepoints: int) -> float:
    subject = simulate_subject(n_voxels=n_voxels, n_targets=n_targets, n_timepoints=n_timepoints)
    best = np.inf
    for _ in range(2):
        began = perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ThalgpuWarning)
            subject_gradients(subject.seed_ts, subject.target_ts, GradientOptions())
        best = min(best, perf_counter() - began)
    return best


def _permutations(threads: int, quick: bool) -> float:
    cohort = simulated_cohort(20, 200) if quick else simulated_cohort(84, 2_248)
    matrix, neighbours = cohort.matrix, cohort.neighbours
    test = partial(permutation_test, cohort.values, matrix, CONTRAST, adjacency=neighbours, tfce=True, n_jobs=threads)

    def measure(n_perm: int) -> float:
        return best_seconds(lambda: test(n_perm=n_perm), 2)

    return _exponent(measure, [100, 200] if quick else [500, 1_000, 2_000, 4_000, 8_000])


def _subjects(quick: bool) -> float:
    """The whole command in this process, from list to report."""
    sizes = [2, 4] if quick else [4, 8, 16]
    with tempfile.TemporaryDirectory() as folder:
        cohort = simulate_cohort(Path(folder) / "cohort", options=CohortOptions(subjects=sizes[-1]))
        scans = [line for line in cohort.list_file.read_text().splitlines() if line and not line.startswith("#")]

        def measure(size: int) -> float:
            chosen = cohort.folder / f"first{size}.txt"
            chosen.write_text("\n".join(scans[:size]))
            request = GradientsRequest(
                subjects=chosen,
                out=Path(tempfile.mkdtemp(dir=folder)),
                thalamus=str(cohort.thalamus[0]),
                cortex=str(cohort.cortex[0]),
                workers=1,
            )
            return run_gradients(request).seconds

        return _exponent(measure, sizes)
