"""B5: permutations with TFCE, against nilearn's permuted_ols, MRtrix3's mrclusterstats and the tfce package's loop."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from thalgpu.bench import _mrtrix, _nilearn, _tfce_package
from thalgpu.bench._maps import CONTRAST, Cohort, agreement, best_seconds, best_seconds_of, simulated_cohort
from thalgpu.bench._result import BenchResult
from thalgpu.engine.inference.permutation_test import PermutationTest, permutation_test

_SAME, _SAME_FLOAT32 = 1e-9, 1e-5
"""What peers that compute in float64, or in float32, may differ by, as part of the maximum."""
_SAME_BUT_STEPS = 0.05
"""A sum over steps of 0.1 up to z = 4 against the integral."""


def run(*, threads: int, quick: bool) -> list[BenchResult]:
    """From arrays to all p-values, each time as the peer does it: two-sided t, or one-sided z."""
    n_subjects, n_voxels, n_perm = (20, 200, 50) if quick else (84, 2_248, 1_000)
    cohort = simulated_cohort(n_subjects, n_voxels)

    def test(n_permutations: int = n_perm, **options: Any) -> PermutationTest:
        given = dict(n_perm=n_permutations, adjacency=cohort.neighbours, tfce=True, n_jobs=threads, **options)
        return permutation_test(cohort.values, cohort.matrix, CONTRAST, **given)

    sides = (
        ("two-sided t", "nilearn", ">= 50x", _against_nilearn),
        ("one-sided z", "mrclusterstats", ">= 20x", _against_mrtrix),
        ("two-sided t", "tfce package", ">= 1x", _against_tfce_package),
    )
    results = []
    for ours_label, ref_label, target, measure in sides:
        ours, reference, note = measure(cohort, test, n_perm, threads, 1 if quick else 3)
        results.append(
            BenchResult(
                claim="B5",
                title=f"{n_perm} permutations with TFCE, S={n_subjects} V={n_voxels}, {threads} threads",
                ours_label=ours_label,
                ours_seconds=ours,
                ref_label=ref_label,
                ref_seconds=reference,
                target=target,
                note=note,
            )
        )
    return results


Test = Callable[..., PermutationTest]
Sides = tuple[float, float | None, str]
"""Seconds of ours and of the reference, by turns, and what to know of them."""


def _against_nilearn(cohort: Cohort, test: Test, n_perm: int, threads: int, repeats: int) -> Sides:
    """Two short runs, and the line through them: a thousand permutations take it half a minute on two cores."""
    few, more = n_perm // 20, n_perm // 5
    short = _nilearn.permuted_ols(cohort, few, threads, tfce=True)
    longer = _nilearn.permuted_ols(cohort, more, threads, tfce=True)
    whole = partial(test, two_sided=True)
    if short is None or longer is None:
        return best_seconds(whole, repeats), None, _nilearn.NOT_INSTALLED
    theirs, ours = short(), test(2, two_sided=True, tfce_grid="nilearn")
    same = f"{agreement('t', ours.stat, theirs['t'], _SAME)}, {_same_tfce(ours.tfce, theirs['tfce'], _SAME)}"
    seconds, at_few, at_more = best_seconds_of([whole, short, longer], repeats)
    extended = at_more + (n_perm - more) * (at_more - at_few) / (more - few)
    note = f"its {few} and {more} permutations, extended to {n_perm}; with its own steps ours has the same {same}"
    return seconds, extended, note


def _against_mrtrix(cohort: Cohort, test: Test, n_perm: int, threads: int, repeats: int) -> Sides:
    whole = partial(test, statistic_scale="z")
    if not _mrtrix.is_installed():
        return best_seconds(whole, repeats), None, _mrtrix.NOT_INSTALLED
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _mrtrix.write_inputs(cohort, folder)
        program = partial(_mrtrix.mrclusterstats, folder, n_perm, threads)
        seconds, theirs = best_seconds_of([whole, program], repeats)
        t, enhanced = (_mrtrix.map_of(folder, kind, cohort.mask) for kind in ("tvalue", "tfce"))
    same_t = agreement("t", test(2).stat[0], t, _SAME_FLOAT32)
    same = _same_tfce(test(2, statistic_scale="z").tfce, enhanced * _mrtrix.STEP, _SAME_BUT_STEPS)
    return seconds, theirs, f"the whole program, which reads {len(cohort.values)} small images; same {same_t}, {same}"


def _against_tfce_package(cohort: Cohort, test: Test, n_perm: int, threads: int, repeats: int) -> Sides:
    loop = _tfce_package.permuted_tfce(cohort, n_perm, threads)
    whole = partial(test, two_sided=True)
    if loop is None:
        return best_seconds(whole, repeats), None, _tfce_package.NOT_INSTALLED
    (t, enhanced), ours = _tfce_package.own_maps(cohort), test(2, two_sided=True)
    same = f"{agreement('t', ours.stat[0], t, _SAME)}, {_same_tfce(ours.tfce, enhanced, _SAME_FLOAT32)}"
    batches = _tfce_package.BATCHES
    seconds, *theirs = best_seconds_of([whole, *(partial(loop, batch) for batch in batches)], 2 * repeats)
    note = f"its best of batches of {', '.join(map(str, batches))} maps, maxima only, float32; same {same}"
    return seconds, min(theirs), note


def _same_tfce(ours: Any, theirs: Any, tolerance: float) -> str:
    return agreement("TFCE", ours.reshape(-1), theirs.reshape(-1), tolerance)
