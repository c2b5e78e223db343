"""A permutation test in blocks: prepare once, `run_block` anywhere and in any order, `merge`, then `finish`.

A block is a stretch of permutation numbers. It leaves behind the maxima of each permutation and how often each feature
was reached; nothing of size permutations × features is kept. Blocks work in batches whose bounds follow from the shapes
alone, so that the bits of a permutation depend neither on the block it was run in nor on who ran it: matrix products
round differently in another shape, and a batch that a block shares with another is computed in both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Neighbours, Part
from thalgpu.engine.inference.null_maxima import NEVER, Measure, Null, earliest
from thalgpu.engine.inference.permutation_set import PermutationSet
from thalgpu.engine.inference.regression import Model, prepare_model
from thalgpu.engine.inference.scales import scaled_statistics
from thalgpu.engine.inference.spatial import cluster_maps, enhance
from thalgpu.errors import NumericsError, UsageError
from thalgpu.kernels._namespace import Array, get_namespace, like, to_host
from thalgpu.kernels.glm import count_exceedances, tie_threshold

COUNTED: tuple[Measure, ...] = ("stat", "tfce")
"""Measures with a p-value of each feature's own; clusters only have corrected ones."""

_LARGEST = 1e100
"""Squares of larger values overflow when they are added up."""

_BATCH_BYTES = 64 * 2**20
_BATCH_SIZES = (100, 50, 25, 20, 10, 5, 4, 2, 1)  # blocks are of hundreds: batches that they need not share


@dataclass(frozen=True)
class Problem:
    """A permutation test before any arithmetic.

    Attributes
    ----------
    values : (n_subjects, n_features) float64, finite: all parts side by side.
    design : the model, one row a subject.
    permutations : one set, shared by all contrasts and parts.
    options : how it is done.
    parts : stretches of features that have maxima of their own; together all features, in order.
    neighbours : a part: those among its features, counted from its first, over which maps are enhanced; None where
        they are not known, and nothing spatial is asked for.
    cluster_neighbours : the same, over which clusters are formed.
    """

    values: NDArray[np.float64]
    design: Design
    permutations: PermutationSet
    options: InferenceOptions
    parts: tuple[Part, ...]
    neighbours: tuple[Neighbours | None, ...]
    cluster_neighbours: tuple[Neighbours | None, ...]

    def __post_init__(self) -> None:
        """Refuse values that have no statistic, and to stop on the way through an ordered list of permutations."""
        if not -_LARGEST <= self.values.min() <= self.values.max() <= _LARGEST:
            raise NumericsError(
                f"maps hold NaN, infinity or numbers beyond {_LARGEST:g}", remedy="leave out or fill these features"
            )
        largest = np.maximum(self.values.max(axis=0), -self.values.min(axis=0))
        if ((largest > 0) & (largest < 1 / _LARGEST)).any():  # their squares are zero, or lose their digits
            raise NumericsError(
                f"maps hold features with all numbers below {1 / _LARGEST:g}", remedy="write them in another unit"
            )
        if self.options.stop_after and self.permutations.source == "exhaustive":
            raise UsageError(
                f"stop_after needs random permutations, and all {self.permutations.n_perm:,} that exist are taken",
                remedy="leave it out, or ask for fewer permutations",
            )


@dataclass(frozen=True)
class Test:
    """A problem made ready: a model a contrast, and what the subjects' own order gives.

    Attributes
    ----------
    observed : a contrast: measure → (n_features,) signed map of the identity permutation.
    """

    __test__ = False  # the name is the field's; pytest must not collect it

    problem: Problem
    models: tuple[Model, ...]
    observed: tuple[dict[Measure, NDArray[np.float64]], ...]

    def magnitudes(self, contrast: int, measure: Measure) -> NDArray[np.float64]:
        """(n_features,) what permutations are compared with: without signs in a two-sided test."""
        observed: NDArray[np.float64] = _magnitudes(self.observed[contrast][measure], self, contrast)
        return observed


def measures_of(options: InferenceOptions) -> tuple[Measure, ...]:
    """What is maximised under these options."""
    tfce: tuple[Measure, ...] = ("tfce",) if options.tfce else ()
    clusters: tuple[Measure, ...] = ("cluster_extent", "cluster_mass")
    return ("stat", *tfce, *(clusters if options.cluster_threshold is not None else ()))


def prepare_test(problem: Problem, place: Callable[[NDArray[np.float64]], Array] | None = None) -> Test:
    """Partition the design for each contrast, project the values, and measure the subjects as they are.

    Parameters
    ----------
    place : brings the values to a device; they stay on the host when left out.
    """
    values = problem.values if place is None else place(problem.values)
    design, options = problem.design, problem.options
    flips = options.sign_flip or problem.permutations.signs is not None
    models = tuple(
        prepare_model(values, design, contrast, options.method, sign_flip=flips) for contrast in design.contrasts
    )
    identity, signs = problem.permutations.rows(0, 1)
    observed = tuple(
        {measure: to_host(maps)[0] for measure, maps in _measure(problem, model, identity, signs, None).items()}
        for model in models
    )
    return Test(problem, models, observed)


def run_block(test: Test, start: int, stop: int) -> Null:
    """The permutations with the numbers start … stop − 1: their maxima, and how often they reach what was observed."""
    null = _empty_null(test, start, stop)
    for c, first, maps in _batches(test, start, stop):
        for measure, batch in maps.items():
            magnitudes = _magnitudes(batch, test, c)
            columns = slice(first - start, first - start + len(batch))
            for p, part in enumerate(test.problem.parts):
                largest = magnitudes[:, part.start : part.stop].max(axis=1)
                null.maxima[measure][c, p, columns] = to_host(largest)
            if measure in COUNTED:
                thresholds = _thresholds(test, c, measure, magnitudes)
                null.counts[measure][c] += to_host(count_exceedances(magnitudes, thresholds))
                if null.first_hits:
                    hits = _numbers_of_hits(to_host(magnitudes >= thresholds), first)
                    null.first_hits[measure][c] = earliest(null.first_hits[measure][c], hits)
    return null


def block_values(
    test: Test, measure: Measure, contrast: int, features: NDArray[np.int64], start: int, stop: int
) -> NDArray[np.float64]:
    """(stop − start, n_chosen) magnitudes of some features under each permutation, for tails that are fitted."""
    needed = replace(
        test.problem.options,
        tfce=measure == "tfce",
        cluster_threshold=None if measure in COUNTED else test.problem.options.cluster_threshold,
    )
    lean = replace(test, problem=replace(test.problem, options=needed))
    chosen = [
        to_host(_magnitudes(maps[measure], lean, c))[:, features]
        for c, _, maps in _batches(lean, start, stop, only=contrast)
    ]
    return np.concatenate(chosen)


def _batches(
    test: Test, start: int, stop: int, only: int | None = None
) -> Iterator[tuple[int, int, dict[Measure, Array]]]:
    """Contrast, first permutation, and measure → (n_in_batch, n_features) maps; in whole batches, always the same."""
    problem = test.problem
    for c, model in enumerate(test.models):
        if only is not None and c != only:
            continue
        size = _batch_size(problem, model)
        for first in range(start // size * size, stop, size):
            permutations, signs = problem.permutations.rows(first, min(first + size, problem.permutations.n_perm))
            maps = _measure(problem, model, permutations, signs, test.observed[c], holds_identity=first == 0)
            asked = slice(max(start - first, 0), stop - first)
            yield c, max(start, first), {measure: batch[asked] for measure, batch in maps.items()}


def _empty_null(test: Test, start: int, stop: int) -> Null:
    n_contrasts, n_features = len(test.models), test.problem.values.shape[1]
    kinds = measures_of(test.problem.options)
    counted = [measure for measure in kinds if measure in COUNTED]
    wanted = test.problem.options.stop_after
    return Null(
        stretches=((start, stop),),
        maxima={measure: np.zeros((n_contrasts, len(test.problem.parts), stop - start)) for measure in kinds},
        counts={measure: np.zeros((n_contrasts, n_features), dtype=np.int64) for measure in counted},
        first_hits={
            measure: np.full((n_contrasts, wanted, n_features), NEVER, dtype=np.int32) for measure in counted if wanted
        },
    )


def _numbers_of_hits(reached: NDArray[np.bool_], first: int) -> NDArray[np.int32]:
    """(n_in_batch, n_features) numbers of the permutations that reached what was observed, else `NEVER`."""
    numbers = np.arange(first, first + len(reached), dtype=np.int32)[:, None]
    return np.where(reached & (numbers > 0), numbers, np.int32(NEVER))  # the identity is no draw


def _batch_size(problem: Problem, model: Model) -> int:
    """Permutations worked on at once: a function of the shapes alone."""
    rows = model.n_rows + 4  # projections, the statistic, its magnitude, and two maps of what is enhanced
    fitting = _BATCH_BYTES // (8 * int(problem.values.shape[1]) * rows)
    return next(size for size in _BATCH_SIZES if size <= max(1, fitting))


def _measure(
    problem: Problem,
    model: Model,
    permutations: NDArray[np.int32],
    signs: NDArray[np.int8] | None,
    observed: dict[Measure, NDArray[np.float64]] | None,
    *,
    holds_identity: bool = False,
) -> dict[Measure, Array]:
    """Every measure's (n_permutations, n_features) maps, signed.

    The identity, first in its batch, gets what was observed to the bit: a product of another shape rounds differently,
    and where a model leaves a billionth of a feature that is more than ties may differ by, so that p would be 0.
    """
    options = _options_of(problem.options, model.contrast)
    scaled = scaled_statistics(model, permutations, signs, options)
    if holds_identity and observed is not None:
        scaled[0] = like(observed["stat"], scaled)
    maps: dict[Measure, Array] = {"stat": scaled}
    kinds = measures_of(options)
    spatial = {measure: get_namespace(scaled).empty_like(scaled) for measure in kinds if measure != "stat"}
    for part, around, touching in zip(problem.parts, problem.neighbours, problem.cluster_neighbours, strict=True):
        columns = slice(part.start, part.stop)
        mine = get_namespace(scaled).ascontiguousarray(scaled[:, columns])
        if "tfce" in spatial and around is not None:
            first = scaled[0] if observed is None else observed["stat"]
            reference = _largest(first[columns], options)
            spatial["tfce"][:, columns] = enhance(mine, around, options, reference_maximum=reference)
        if "cluster_extent" in spatial and touching is not None:
            extent, mass = cluster_maps(mine, touching, options)
            spatial["cluster_extent"][:, columns], spatial["cluster_mass"][:, columns] = extent, mass
    return maps | spatial


def _largest(values: Array, options: InferenceOptions) -> float:
    return float((abs(values) if options.two_sided else values).max())


def _options_of(options: InferenceOptions, contrast: Contrast) -> InferenceOptions:
    """An F statistic has no direction."""
    return options if contrast.kind == "t" else replace(options, two_sided=False)


def _magnitudes(maps: Array, test: Test, contrast: int) -> Array:
    """What is compared: the values themselves, or without their sign in a two-sided test."""
    options = _options_of(test.problem.options, test.models[contrast].contrast)
    return abs(maps) if options.two_sided else maps


def _thresholds(test: Test, contrast: int, measure: Measure, beside: Array) -> Array:
    """What a permutation must reach: the observed magnitude, less rounding."""
    return like(tie_threshold(test.magnitudes(contrast, measure)), beside)
