"""A comparison in blocks of permutations: each with its own group means and eigenvectors; merged as any test is."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.direct import solve_direct
from thalgpu.engine.comparison.exact import LEAST_SINGLE, SMALL, TOLERANCE, solve_exact
from thalgpu.engine.comparison.labels import Comparison, residual_weights
from thalgpu.engine.comparison.model import Recipe, Solutions
from thalgpu.engine.comparison.pooled import Pooled
from thalgpu.engine.comparison.reduced import solve_reduced
from thalgpu.engine.comparison.statistics import (
    SCALARS,
    GroupGradients,
    align,
    feature_parts,
    omnibus_features,
    pair_features,
)
from thalgpu.engine.inference.model import InferenceOptions, Neighbours, Part
from thalgpu.engine.inference.null_maxima import Measure, Null, merge
from thalgpu.engine.inference.spatial import enhance
from thalgpu.errors import UsageError
from thalgpu.kernels._compiled import compiled

Path: TypeAlias = Literal["reduced", "exact", "direct"]
Floats = NDArray[np.float64]

TIE = 1e-6
"""Statistics that fall short of the observed one by less than this part of it are equal: so exact are solvers."""

EXACT = 0.3
"""Part of `eig_tol` that exact solutions may be off by as estimated: they are off by a fifth of that."""

CLOSE = 0.01
"""Distance to the next eigenvalue, as part of the eigenvalue, below which components of a group may have mixed."""
_CHUNK = 4
"""Permutations whose maps are aligned and compared at a time, so that they stay in the cache."""


@dataclass(frozen=True, eq=False)
class Study:
    """Affinities of all subjects, and what is asked of them.

    Attributes
    ----------
    stack : (n_subjects, n (n + 1) / 2) float32 packed affinities.
    recipe : how a group's mean is embedded.
    pooled : what all means have in common; None on the direct path.
    template : (n_voxels, n_components) float64 gradients of all subjects' mean, which every group is aligned to.
    subspace : (n_voxels, n_components) float64 orthonormal eigenvectors behind it.
    n_align : leading components that are rotated together.
    comparisons : pairs of groups, and all groups.
    covariates : (n_subjects, n_covariates) regressed from the affinities, or None.
    neighbours : of the voxels, for TFCE, or None.
    options : n_perm, seed and TFCE matter.
    path : how eigenvectors are found; "reduced" turns to "exact" for single permutations.
    eig_tol : largest estimated error of a statistic, in its own null SD, that the reduced path may leave.
    spreads : a comparison: (n_components,) null SD of a difference map, root mean square over voxels.
    number_spreads : a comparison: (4 n_components,) null SD of each number, in whose units they are maximised.
    number_centres : a comparison: (4 n_components,) null mean of one-sided numbers, 0 of those with a sign.
    """

    stack: NDArray[np.float32]
    recipe: Recipe
    pooled: Pooled | None
    template: Floats
    subspace: Floats
    n_align: int
    comparisons: tuple[Comparison, ...]
    covariates: Floats | None
    neighbours: Neighbours | None
    options: InferenceOptions
    path: Path
    eig_tol: float
    spreads: tuple[Floats, ...]
    number_spreads: tuple[Floats, ...]
    number_centres: tuple[Floats, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """Stretches of the features."""
        return feature_parts(*self.template.shape)

    def allowed(self, number: int) -> Floats:
        """(n_components,) largest error of a comparison's maps, root mean square over voxels, that may be left.

        It is small beside the null SD of the map, and beside that of the range: the errors of two voxels make 1.4 times
        that of the map, and the estimates are twice too large.
        """
        n_components = self.template.shape[1]
        place = SCALARS.index("range") * n_components
        ranges = self.number_spreads[number][place : place + n_components]
        return np.asarray(self.eig_tol * np.minimum(self.spreads[number], ranges))

    def standardised(self, number: int, part: Part, magnitudes: Floats) -> Floats:
        """What is maximised of a comparison's features of a part: maps as they are, numbers in null SDs.

        The more eigenvectors, the less their distance from 0 says, and the less it varies: one-sided numbers are
        counted from their null mean, or a single component would make all maxima.
        """
        first = self.template.size
        if part.start < first:
            return magnitudes
        own = slice(part.start - first, part.stop - first)
        return (magnitudes - self.number_centres[number][own]) / self.number_spreads[number][own]


@dataclass(frozen=True, eq=False)
class BlockResult:
    """What some permutations of one comparison left behind.

    Attributes
    ----------
    null : maxima and counts, with this comparison as its only contrast.
    n_exact : permutations whose estimated error was too large for the reduced path.
    worst : (n_components,) largest estimated error that was left, in null SDs.
    n_close : (n_components,) group means with an eigenvalue within `CLOSE` of the next.
    """

    null: Null
    n_exact: int
    worst: Floats
    n_close: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """Features of some permutations, and how well they are known.

    Attributes
    ----------
    features : (n_perm, n_features) float64, signed for pairs.
    errors : (n_perm, n_components) estimated error of the difference maps, root mean square over voxels.
    n_exact : permutations that took the exact path instead of the reduced one.
    n_close : as of `BlockResult`.
    """

    features: Floats
    errors: Floats
    n_exact: int
    n_close: NDArray[np.int64]


def observe(study: Study, number: int) -> dict[Measure, Floats]:
    """Features of the groups as they are, by the exact path: measure → (n_features,), signed for pairs."""
    features = solve_features(study, number, range(1), exact=True).features
    return {measure: values[0] for measure, values in _measures(study, number, features).items()}


def run_block(study: Study, number: int, observed: dict[Measure, Floats], start: int, stop: int) -> BlockResult:
    """Permutations start … stop − 1 of a comparison: their maxima, and how often they reach what was observed."""
    batch = solve_features(study, number, range(start, stop))
    measures = _measures(study, number, batch.features)
    same = study.comparisons[number].unchanged(range(start, stop))
    for measure, values in measures.items():  # what is equal in theory is so to the bit, whichever path was taken
        values[same] = observed[measure]
    maxima, counts = {}, {}
    for measure, values in measures.items():
        maps = study.parts[: _n_spatial(study)]
        largest = np.empty((len(maps), len(values)))
        counts[measure] = np.zeros((1, values.shape[1]), dtype=np.int64)
        _count(values, np.abs(observed[measure]) * (1 - TIE), len(study.template), largest, counts[measure][0])
        numbers = study.parts[len(maps) :] if measure == "stat" else ()
        scaled = [study.standardised(number, part, np.abs(values[:, part.start : part.stop])) for part in numbers]
        maxima[measure] = np.stack([*largest, *(values.max(axis=1) for values in scaled)])[None]
    worst = (batch.errors / study.spreads[number]).max(axis=0, initial=0.0)
    return BlockResult(Null(((start, stop),), maxima, counts, {}), batch.n_exact, worst, batch.n_close)


def merge_blocks(one: BlockResult, other: BlockResult) -> BlockResult:
    """Both together; commutative and associative, to the bit."""
    return BlockResult(
        merge(one.null, other.null),
        one.n_exact + other.n_exact,
        np.maximum(one.worst, other.worst),
        one.n_close + other.n_close,
    )


def solve_features(study: Study, number: int, chosen: Sequence[int], *, exact: bool = False) -> Batch:
    """Features of the permutations with these numbers, by the study's path or by the exact one."""
    comparison = study.comparisons[number]
    solved, errors, n_exact = _solved(study, number, chosen, exact=exact)
    return Batch(_features(study, comparison, solved), errors, n_exact, _close(solved))


def _features(study: Study, comparison: Comparison, solved: Solutions) -> Floats:
    """(n_perm, n_features), a few permutations at a time."""
    n_groups = len(comparison.groups)
    features = np.empty((len(solved) // n_groups, study.parts[-1].stop))
    for start in range(0, len(features), _CHUNK):
        rows = slice(start, start + _CHUNK)
        groups = _groups(study, solved[start * n_groups : (start + _CHUNK) * n_groups], n_groups)
        if comparison.is_pair:
            features[rows] = pair_features(groups)
        else:
            features[rows] = omnibus_features(groups, comparison.shares, study.subspace)
    return features


def observed_vectors(study: Study, number: int) -> Floats:
    """(n_groups, n_voxels, n_components) orthonormal eigenvectors of the groups as they are, by the exact path."""
    solved, _, _ = _solved(study, number, range(1), exact=True)
    return np.asarray(solved.vectors, dtype=np.float64)


def _solved(study: Study, number: int, chosen: Sequence[int], *, exact: bool) -> tuple[Solutions, Floats, int]:
    """Groups under some permutations, one after another; their maps' errors; how many were solved exactly instead."""
    comparison = study.comparisons[number]
    weights = residual_weights(comparison.weights(chosen, len(study.stack)), study.covariates)
    n_groups, n_subjects = weights.shape[1:]
    rows = weights.reshape(-1, n_subjects)
    solved = _solve(study, rows, "exact" if exact and study.path == "reduced" else study.path)
    errors = _map_errors(solved, comparison)
    n_exact = 0
    if study.path == "reduced" and not exact:
        again = np.flatnonzero((errors > study.allowed(number)).any(axis=1))
        if len(again):
            members = (again[:, None] * n_groups + np.arange(n_groups)).ravel()
            solved = _replaced(solved, members, _refined(study, rows[members], solved[members]))
            errors = _map_errors(solved, comparison)
            n_exact = len(again)
    return solved, errors, n_exact


def _solve(study: Study, rows: Floats, path: Path) -> Solutions:
    if path == "direct":
        return solve_direct(study.stack, rows, study.recipe)
    if study.pooled is None:
        raise UsageError(f"the {path} path needs what all means have in common")
    start = solve_reduced(study.pooled, rows)
    return start if path == "reduced" else _refined(study, rows, start)


def _refined(study: Study, rows: Floats, start: Solutions) -> Solutions:
    """The exact path from reduced solutions on."""
    if study.pooled is None:
        raise UsageError("the exact path needs what all means have in common")
    tolerance = exact_tolerance(study)
    if tolerance is None:
        return solve_exact(study.stack, study.pooled, rows, start)
    return solve_exact(study.stack, study.pooled, rows, start, tolerance=tolerance)


def exact_tolerance(study: Study) -> Floats | None:
    """(n_components,) angles of vectors that leave no more than `EXACT` of what is allowed; None for few voxels."""
    if len(study.template) <= SMALL:
        return None
    sizes = np.sqrt((study.template**2).mean(axis=0))
    angles = []
    for number, comparison in enumerate(study.comparisons):
        together = 2.0 if comparison.is_pair else (len(comparison.groups) - 1) ** -0.5  # as `_map_errors` has it
        angles.append(EXACT * study.allowed(number) / (together * sizes))
    return np.asarray(np.clip(np.min(angles, axis=0), LEAST_SINGLE, 10 * TOLERANCE))


def _replaced(solved: Solutions, rows: NDArray[np.int64], others: Solutions) -> Solutions:
    """Solutions with some of them replaced."""
    values = {}
    for field in fields(Solutions):
        values[field.name] = getattr(solved, field.name).copy()
        values[field.name][rows] = getattr(others, field.name)
    return Solutions(**values)


def _map_errors(solved: Solutions, comparison: Comparison) -> Floats:
    """(n_perm, n_components) error of a difference, or of the spread of all groups, root mean square over voxels.

    The mean over all members is the same in every permutation, so that groups move against each other, and to first
    order their errors do too. Those of two groups add up. Of G groups, the spread is the length of their G − 1
    independent deviations, and takes from their errors, Σ s_g e_g², what lies along it: one part in G − 1.
    """
    sizes = np.sqrt((solved.gradients.astype(np.float64) ** 2).mean(axis=1))
    errors = (sizes * solved.errors).reshape(-1, len(comparison.groups), solved.errors.shape[1])
    if comparison.is_pair:
        return np.asarray(errors.sum(axis=1))
    shares = comparison.shares
    return np.asarray(np.sqrt(np.einsum("pgk,g->pk", errors**2, shares) / (len(shares) - 1)))


def _groups(study: Study, solved: Solutions, n_groups: int) -> GroupGradients:
    aligned = align(solved.gradients.astype(np.float64), study.template, study.n_align)
    # without self-loops the eigenvalues add up to nothing: components are held against one another
    totals = solved.totals if study.recipe.self_loops else solved.lambdas.sum(axis=1)
    explained = solved.lambdas / totals[:, None]

    def grouped(values: NDArray[np.floating]) -> Floats:
        return values.astype(np.float64, copy=False).reshape(-1, n_groups, *values.shape[1:])

    return GroupGradients(grouped(aligned), grouped(solved.lambdas), grouped(explained), grouped(solved.vectors))


def _close(solved: Solutions) -> NDArray[np.int64]:
    """(n_components,) solutions in which a component's eigenvalue is within `CLOSE` of a neighbour's."""
    lambdas = solved.lambdas
    gaps = np.abs(np.diff(lambdas, axis=1)) / np.maximum(np.abs(lambdas[:, :-1]), np.finfo(np.float64).tiny)
    close = gaps < CLOSE
    nothing = np.zeros((len(lambdas), 1), dtype=bool)
    return np.asarray((np.hstack([close, nothing]) | np.hstack([nothing, close])).sum(axis=0), dtype=np.int64)


@compiled
def _count(values: Floats, reached: Floats, n_voxels: int, largest: Floats, counts: NDArray[np.int64]) -> None:
    """How many rows reach each value in magnitude, added to the counts, and the largest magnitude of each map."""
    for row in range(values.shape[0]):
        for part in range(len(largest)):
            found = 0.0
            for feature in range(part * n_voxels, (part + 1) * n_voxels):
                magnitude = abs(values[row, feature])
                counts[feature] += magnitude >= reached[feature]
                found = max(found, magnitude)
            largest[part, row] = found
        for feature in range(len(largest) * n_voxels, values.shape[1]):
            counts[feature] += abs(values[row, feature]) >= reached[feature]


def _n_spatial(study: Study) -> int:
    """Parts that are maps."""
    return int(study.template.shape[1])


def _measures(study: Study, number: int, features: Floats) -> dict[Measure, Floats]:
    """(n_perm, n_features) statistics, and where asked for enhanced maps."""
    measures: dict[Measure, Floats] = {"stat": features}
    if study.options.tfce and study.neighbours is not None:
        options = replace(study.options, two_sided=study.comparisons[number].is_pair)
        maps = [
            enhance(np.ascontiguousarray(features[:, part.start : part.stop]), study.neighbours, options)
            for part in study.parts[: _n_spatial(study)]
        ]
        measures["tfce"] = np.concatenate(maps, axis=1)
    return measures
