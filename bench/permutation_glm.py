"""B4: permutations of a general linear model without TFCE, against nilearn's permuted_ols."""

from thalgpu.bench._maps import CONTRAST, Cohort, agreement, best_seconds, best_seconds_of, simulated_cohort
from thalgpu.bench._nilearn import NOT_INSTALLED, permuted_ols
from thalgpu.bench._result import BenchResult
from thalgpu.engine.inference.permutation_test import PermutationTest, permutation_test

_SAME_T = 1e-9
"""Both compute t in float64; nilearn from a normalised design."""


def run(*, threads: int, quick: bool) -> list[BenchResult]:
    """Two-sided, from arrays to all p-values, on as many threads as asked for and on one."""
    n_subjects, n_voxels, n_perm, repeats = (20, 200, 50, 1) if quick else (84, 2_248, 1_000, 7)
    cohort = simulated_cohort(n_subjects, n_voxels)
    return [_against_nilearn(cohort, n_perm, n_jobs, repeats) for n_jobs in sorted({threads, 1}, reverse=True)]


def _against_nilearn(cohort: Cohort, n_perm: int, n_jobs: int, repeats: int) -> BenchResult:
    def ours() -> PermutationTest:
        return permutation_test(cohort.values, cohort.matrix, CONTRAST, n_perm=n_perm, n_jobs=n_jobs, two_sided=True)

    n_subjects, n_voxels = cohort.values.shape
    reference = permuted_ols(cohort, n_perm, n_jobs, tfce=False)
    if reference is None:
        seconds, theirs, note = best_seconds(ours, repeats), None, NOT_INSTALLED
    else:
        seconds, theirs = best_seconds_of([ours, reference], repeats)
        same = agreement("t", ours().stat, reference()["t"], _SAME_T)
        note = f"best of {repeats} by turns, after a call that compiles and starts processes; {same}"
    return BenchResult(
        claim="B4",
        title=f"{n_perm} permutations, S={n_subjects} V={n_voxels}, 3 nuisance columns, {n_jobs} threads",
        ours_label="permutation_test",
        ours_seconds=seconds,
        ref_label=f"nilearn, n_jobs={n_jobs}",
        ref_seconds=theirs,
        target=">= 100x",
        note=note,
    )
