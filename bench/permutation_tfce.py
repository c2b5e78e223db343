"""B5: permutations with TFCE, against nilearn's permuted_ols, MRtrix3's mrclusterstats and the tfce package's loop."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from thalgpu.bench import _mrtrix, _nilearn, _tfce_package
from thalgpu.bench._maps import CONTRAST, Cohort, agreement, best_seconds, simulated_cohort
from thalgpu.bench._result import BenchResult
from thalgpu.engine.inference.permutation_test import PermutationTest, permutation_test

_SAME, _SAME_FLOAT32 = 1e-9, 1e-5
"""What peers that compute in float64, or in float32, may differ by, as part of the maximum."""
_SAME_BUT_STEPS = 0.05
"""A sum over steps of 0.1 up to z = 4 against the integral."""


def run(*, threads: int, quick: bool) -> list[BenchResult]:
    """From arrays to all p-values, each time as the peer does it: two-sided t, or one-sided z."""
    n_subjects, n_voxels, n_perm, repeats = (20, 200, 50, 1) if quick else (84, 2_248, 1_000, 5)
    cohort = simulated_cohort(n_subjects, n_voxels)

    def test(n_permutations: int = n_perm, **options: Any) -> PermutationTest:
        neighbours = cohort.neighbours
        given = dict(n_perm=n_permutations, adjacency=neighbours, tfce=True, n_jobs=threads, **options)
        return permutation_test(cohort.values, cohort.matrix, CONTRAST, **given)

    two_sided = best_seconds(partial(test, two_sided=True), repeats)
    of_z = best_seconds(partial(test, statistic_scale="z"), repeats)
    shape = f"{n_perm} permutations with TFCE, S={n_subjects} V={n_voxels}, {threads} threads"
    sides = (
        ("two-sided t", two_sided, "nilearn", ">= 50x", _against_nilearn),
        ("one-sided z", of_z, "mrclusterstats", ">= 20x", _against_mrtrix),
        ("two-sided t", two_sided, "tfce package", ">= 1x", _against_tfce_package),
    )
    results = []
    for ours_label, ours, ref_label, target, measure in sides:
        seconds, note = measure(cohort, test, n_perm, threads, 1 if quick else 2)
        results.append(
            BenchResult(
                claim="B5",
                title=shape,
                ours_label=ours_label,
                ours_seconds=ours,
                ref_label=ref_label,
                ref_seconds=seconds,
                target=target,
                note=note,
            )
        )
    return results


Test = Callable[..., PermutationTest]
Side = tuple[float | None, str]


def _against_nilearn(cohort: Cohort, test: Test, n_perm: int, threads: int, repeats: int) -> Side:
    """Two short runs, and the line through them: a thousand permutations take it half a minute on two cores."""
    few, more = n_perm // 20, n_perm // 5
    short = _nilearn.permuted_ols(cohort, few, threads, tfce=True)
    longer = _nilearn.permuted_ols(cohort, more, threads, tfce=True)
    if short is None or longer is None:
        return None, _nilearn.NOT_INSTALLED
    theirs, ours = short(), test(2, two_sided=True, tfce_grid="nilearn")
    same = f"{agreement('t', ours.stat, theirs['t'], _SAME)}, {_same_tfce(ours.tfce, theirs['tfce'], _SAME)}"
    seconds, at_more = best_seconds(short, repeats), best_seconds(longer, repeats)
    a_permutation = (at_more - seconds) / (more - few)
    note = f"its {few} and {more} permutations, extended to {n_perm}; with its own steps ours has the same {same}"
    return at_more + (n_perm - more) * a_permutation, note


def _against_mrtrix(cohort: Cohort, test: Test, n_perm: int, threads: int, repeats: int) -> Side:
    if not _mrtrix.is_installed():
        return None, _mrtrix.NOT_INSTALLED
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _mrtrix.write_inputs(cohort, folder)
        seconds = best_seconds(lambda: _mrtrix.mrclusterstats(folder, n_perm, threads), repeats)
        t, enhanced = (_mrtrix.map_of(folder, kind, cohort.mask) for kind in ("tvalue", "tfce"))
    ours = test(2, statistic_scale="z")
    same_t = agreement("t", test(2).stat[0], t, _SAME_FLOAT32)
    same = _same_tfce(ours.tfce, enhanced * _mrtrix.STEP, _SAME_BUT_STEPS)
    return seconds, f"the whole program, which reads {len(cohort.values)} small images; same {same_t}, {same}"


def _against_tfce_package(cohort: Cohort, test: Test, n_perm: int, threads: int, repeats: int) -> Side:
    loop = _tfce_package.permuted_tfce(cohort, n_perm, threads)
    if loop is None:
        return None, _tfce_package.NOT_INSTALLED
    (t, enhanced), ours = _tfce_package.own_maps(cohort), test(2, two_sided=True)
    same = f"{agreement('t', ours.stat[0], t, _SAME)}, {_same_tfce(ours.tfce, enhanced, _SAME_FLOAT32)}"
    seconds = _tfce_package.fastest_seconds(loop, repeats + 1)
    return seconds, f"its best batch of 100, 250 or 1000 maps, maxima only, float32; same {same}"


def _same_tfce(ours: Any, theirs: Any, tolerance: float) -> str:
    return agreement("TFCE", ours.reshape(-1), theirs.reshape(-1), tolerance)
