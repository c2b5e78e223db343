"""Floors: ratios to references that no change may fall under, at sizes that a minute is enough for.

A floor is no target. The targets are for large problems on an idle machine; a floor is for CI, on whatever machine runs
it: it lies far below what is measured there, so that only a change that lost an idea of the method falls through it.
Both sides work on one thread, by turns, and their CPU seconds are compared, not the clock's: who else is at work on the
machine delays both sides, but gives neither more to do.
"""

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from time import process_time
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.bench import _nilearn, _tfce_package
from thalgpu.bench._affinities import smooth_affinities
from thalgpu.bench._brainspace import N_COMPONENTS, brainspace_gradients
from thalgpu.bench._maps import CONTRAST, best_seconds_of, simulated_cohort
from thalgpu.bench._naive_gradients import naive_gradients
from thalgpu.bench._result import BenchResult
from thalgpu.bench._series import simulated_series
from thalgpu.engine.comparison.exact import solve_exact
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.pooled import Pooled, pool
from thalgpu.engine.comparison.reduced import solve_reduced
from thalgpu.engine.config import Kernel
from thalgpu.engine.gradients.affinity import affinity_from_timeseries
from thalgpu.engine.gradients.connectivity import connectivity
from thalgpu.engine.gradients.embedding import diffusion_map
from thalgpu.engine.inference.permutation_test import permutation_test
from thalgpu.engine.outputs.packing import unpack_upper

_VOXELS, _RANK = 800, 100
"""Of the eigenproblems, and of their basis."""

Side: TypeAlias = Callable[[], object]
Sides: TypeAlias = tuple[Side, Side | None, float]
"""Ours, the reference (None where it is not installed), and how many times more of the same ours does."""


@dataclass(frozen=True)
class Floor:
    """A ratio that is watched.

    Attributes
    ----------
    name : what is done.
    claim : of which it is the small form.
    least : the ratio, reference over ours, that fails.
    why : what is lost when it is not reached, and what was measured on a busy machine.
    reference : what ours stands beside.
    prepare : makes both sides.
    repeats : calls of each, after one that warms up.
    """

    name: str
    claim: str
    least: float
    why: str
    reference: str
    prepare: Callable[[], Sides]
    repeats: int = 3

    def measure(self) -> BenchResult:
        """Best CPU seconds of both sides."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the peers' own and their dependencies' future changes
            ours, reference, times = self.prepare()
            sides = [ours] if reference is None else [ours, reference]
            seconds, *theirs = best_seconds_of(sides, self.repeats, process_time)
        return BenchResult(
            claim=self.claim,
            title=self.name,
            ours_label="thalgpu",
            ours_seconds=seconds / times,
            ref_label=self.reference,
            ref_seconds=theirs[0] if theirs else None,
            unit="CPU s",
            target=f">= {self.least:g}x",
            note=self.why if theirs else "not installed (extra [validate])",
        )


def _affinity(kernel: Kernel, sparsity: float, **options: Any) -> Sides:
    seed, target = simulated_series(100, 1_000, 8_000)
    formed = connectivity(seed, target, **options)

    def ours() -> None:
        diffusion_map(affinity_from_timeseries(seed, target, kernel=kernel, sparsity=sparsity, **options), N_COMPONENTS)

    return ours, brainspace_gradients(formed, kernel=kernel, sparsity=sparsity), 1


def _permutations(n_perm: int, *, tfce: bool, reference: str) -> Sides:
    cohort = simulated_cohort(40, 1_000)
    options: dict[str, Any] = {"adjacency": cohort.neighbours, "tfce": True} if tfce else {}
    if reference == "tfce":
        loop = _tfce_package.permuted_tfce(cohort, n_perm, 1)
        theirs: Side | None = partial(loop, 100) if loop else None
        times = 1
    else:  # it takes 2 ms a permutation with TFCE: a tenth of ours is enough of it
        times = 10 if tfce else 1
        theirs = _nilearn.permuted_ols(cohort, n_perm // times, 1, tfce=tfce)

    def ours() -> None:
        permutation_test(cohort.values, cohort.matrix, CONTRAST, n_perm=n_perm, n_jobs=1, two_sided=True, **options)

    return ours, theirs, times


def _reduced() -> Sides:
    stack, pooled, weights = _groups()
    return partial(solve_reduced, pooled, weights), _loop(stack, weights[:4]), len(weights) // 4


def _exact() -> Sides:
    stack, pooled, weights = _groups()
    return partial(solve_exact, stack, pooled, weights), _loop(stack, weights[:4]), len(weights) // 4


def _groups() -> tuple[NDArray[np.float32], Pooled, NDArray[np.float64]]:
    """24 subjects' affinities, their basis, and 32 halves of them."""
    stack = smooth_affinities(24, _VOXELS)
    rng = np.random.default_rng(1)
    weights = rng.permuted(np.tile(np.repeat([1 / 12, 0], 12), (32, 1)), axis=1)
    return stack, pool(stack, Recipe(), _RANK), weights


def _loop(stack: NDArray[np.float32], weights: NDArray[np.float64]) -> Side:
    """The mean and ARPACK for a few of them."""
    matrices = np.stack([unpack_upper(packed, _VOXELS) for packed in stack])

    def loop() -> None:
        for row in weights:
            naive_gradients(matrices, np.flatnonzero(row), np.float32)

    return loop


FLOORS = (
    Floor(
        "affinity, unsparsified, and diffusion map from time series",
        "B1",
        1.4,
        "the connectivity matrix would be formed again (busy 2.8 to 3.1)",
        "BrainSpace on the formed matrix",
        partial(_affinity, "cosine", 0.0, fisher_z=False),
    ),
    Floor(
        "affinity, 90 % sparse, and diffusion map from time series",
        "B2",
        0.6,
        "rows would be sorted, or multiplied in full (busy 1.1 to 1.6: at this size correlating, which BrainSpace is "
        "spared, is a third of ours)",
        "BrainSpace on the formed matrix",
        partial(_affinity, "normalized_angle", 0.9),
    ),
    Floor(
        "300 permutations",
        "B4",
        1.0,
        "permutations would be regressed one by one (busy 2.0 to 2.2; the claim's 1,000 of 84 subjects gain much more)",
        "nilearn",
        partial(_permutations, 300, tfce=False, reference="nilearn"),
    ),
    Floor(
        "100 permutations with TFCE",
        "B5",
        40.0,
        "clusters would be labelled anew at every height (busy 185 to 197)",
        "nilearn",
        partial(_permutations, 100, tfce=True, reference="nilearn"),
        repeats=1,
    ),
    Floor(
        "eigenproblems of group means, reduced path",
        "B6",
        4.0,
        "means would be formed, or the small problems left to LAPACK (busy 11.0 to 12.3)",
        "mean + eigsh",
        _reduced,
    ),
    Floor(
        "eigenproblems of group means, exact path",
        "B6",
        0.7,
        "means would be formed one by one (busy 1.5 to 1.6)",
        "mean + eigsh",
        _exact,
        repeats=1,
    ),
    *(
        (
            Floor(
                "200 permutations with TFCE",
                "B5",
                0.9,
                "the compiled forest of voxels would be gone (busy 2.1 to 2.2)",
                "tfce package",
                partial(_permutations, 200, tfce=True, reference="tfce"),
            ),
        )
        if sys.version_info < (3, 14)  # as the extra has it
        else ()
    ),
)
"""All floors; the numbers in brackets are ratios on two cores, busy with a load of 6 to 10."""


def run_floors(floors: Iterable[Floor] = FLOORS) -> Iterator[BenchResult]:
    """Measure one after the other, on one thread."""
    with threadpool_limits(1):
        for floor in floors:
            yield floor.measure()
