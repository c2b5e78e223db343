"""The general linear model under permutation: prepared once a contrast, then one matrix product a batch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.invariants import invariant_directions
from thalgpu.engine.inference.model import Contrast, Design, Method
from thalgpu.engine.inference.partition import Partition, partition, without
from thalgpu.engine.inference.welch import VarianceGroups, variance_groups, welch
from thalgpu.errors import UsageError
from thalgpu.kernels._namespace import Array, get_namespace, like
from thalgpu.kernels.glm import f_statistics, permuted_rows, t_statistics

_ALONE = 1e-13
"""Norm of what a model leaves of a feature, relative to the feature's, that is nothing but rounding."""

_INSIDE = 1e-9
"""Length of the part outside a space below which a unit vector lies in it."""

_COLLAPSED = 1e-8
"""Length below which a permuted direction lies in the nuisance space, and tests nothing."""


@dataclass(frozen=True, eq=False)
class Model:
    """One contrast of a design, ready for permutations; arrays live where the values do, but for the bases.

    Attributes
    ----------
    contrast : what is tested.
    method : how nuisance variables are dealt with.
    split : orthonormal bases of the tested and of the nuisance space, and degrees of freedom.
    moved : (n_subjects, n_moved) float64
        Orthonormal basis of those nuisance directions that permutations move.
    values : (n_subjects, n_features) float64
        What is permuted (E). The statistic of P E is that of the permuted data, since both differ by something in the
        nuisance space only.
    total : (n_features,) float64
        Sums of squares of `values`; 0 where the model leaves nothing but rounding.
    ordinary : (n_features,) float64
        Student's t, or F, of the data as they are: one variance for all.
    observed, observed_df : (n_features,) float64
        What `statistics_and_df` gives for the identity; no degrees of freedom where all subjects share a variance.
    estimate : (n_features,) float64
        The contrast's estimate; of an F test zeros.
    flips : whether signs may be flipped.
    groups : variance groups; None where all subjects share a variance.
    """

    contrast: Contrast
    method: Method
    split: Partition
    moved: NDArray[np.float64]
    values: Array
    total: Array
    ordinary: Array
    observed: Array
    observed_df: Array | None
    estimate: Array
    flips: bool
    groups: VarianceGroups | None

    @property
    def rank(self) -> int:
        """How many directions are tested."""
        return int(self.split.effect.shape[1])

    @property
    def df(self) -> float:
        """Degrees of freedom of the residual, one variance for all."""
        return float(self.split.df)

    @property
    def n_rows(self) -> int:
        """Rows of the matrix product that a permutation takes: what its memory follows from."""
        n_rows: int = self.rank + self.moved.shape[1]
        if self.groups is not None:
            n_rows = self.groups.n_groups * (self.rank + self.split.nuisance.shape[1] + 1)
        return n_rows


def prepare_model(
    values: Array, design: Design, contrast: Contrast, method: Method = "freedman-lane", *, sign_flip: bool = False
) -> Model:
    """Project the values once, so that a permutation needs no more than a few products with them.

    Parameters
    ----------
    values : (n_subjects, n_features) float64, finite.
    design : its matrix, exchangeability blocks and variance groups matter.
    contrast : one of its contrasts.
    method : "freedman-lane" permutes the residuals of the nuisance model; "ter-braak" those of the full model;
        "manly" the values; "dekker" the tested variables, made orthogonal to nuisance.
    sign_flip : whether permutations come with sign flips.

    Raises
    ------
    NumericsError
        The contrast cannot be estimated; no residual is left, in all or in a variance group.
    UsageError
        Dekker's method with variance groups: groups stay with the values while the design is permuted, which makes it
        far too conservative.

    Notes
    -----
    Freedman and Lane 1983, doi:10.1080/07350015.1983.10509354; ter Braak 1992, doi:10.1007/978-3-642-48850-4_10;
    Manly 1986; Dekker et al. 2007, doi:10.1007/s11336-007-9016-1; compared in Winkler et al. 2014,
    doi:10.1016/j.neuroimage.2014.01.060. Every method gives the same statistic for the identity.

    Nuisance directions that no permutation moves (the constant; constants of blocks that are never mixed) are taken out
    of the values here and need no row in the product. The permutations must therefore keep the design's blocks.
    """
    if method == "dekker" and design.variance_groups is not None:
        raise UsageError("Dekker's method assumes one variance", remedy="use freedman-lane with variance groups")
    xp = get_namespace(values)
    split = partition(design.matrix, contrast)
    fixed = invariant_directions(len(design.matrix), design.blocks, flips=sign_flip)
    still, moved = _still_and_moved(split.nuisance, fixed)
    residuals = _without(values, split.nuisance)
    effects = like(np.ascontiguousarray(split.effect.T), values) @ residuals
    if method == "manly":
        permuted = _without(values, still)
    elif method == "ter-braak":
        permuted = _without(residuals, split.effect)
    else:
        permuted = residuals
    size = (values * values).sum(axis=0)
    total, alone = _sums_of_squares(permuted, size), _sums_of_squares(residuals, size)
    rank = split.effect.shape[1]
    ordinary = _from_projections(contrast, effects[None], alone, float(split.df), rank)[0]
    groups = variance_groups(design.variance_groups, split)
    observed, observed_df = ordinary, None
    if groups is not None:
        itself = like(_unpermuted(split)[None], values)
        found, df = welch(itself, groups.codes[None], residuals, alone, groups, contrast.kind, rank)
        observed, observed_df = found[0], df[0]
    return Model(
        contrast=contrast,
        method=method,
        split=split,
        moved=moved,
        values=xp.ascontiguousarray(permuted),
        total=total,
        ordinary=ordinary,
        observed=observed,
        observed_df=observed_df,
        estimate=effects[0] * (split.estimate_scale if contrast.kind == "t" else 0.0),
        flips=sign_flip,
        groups=groups,
    )


def statistics(model: Model, permutations: NDArray[np.int32], signs: NDArray[np.int8] | None = None) -> Array:
    """Student's t or F of each feature under each permutation; v or G where variance groups differ.

    Parameters
    ----------
    permutations : (n_perm, n_subjects) int32; row i of the permuted design is row p[i] of the design.
    signs : (n_perm, n_subjects) int8, ±1, or None; the model must have been prepared for them.

    Returns
    -------
    (n_perm, n_features) float64, finite, where the model's values live
        0 for features that the model leaves nothing of.

    Notes
    -----
    The permuted data P'E are never formed: with Q an orthonormal basis of the design, Q'P'E = (P Q)'E, one product for
    the whole batch, and the residual sum of squares is |E|² − |Q'P'E|², since permutations keep the total.

    With ter Braak's method the contrast's estimate from the data is taken off that from the permuted data (as PALM
    does), so that the statistic is that of the permuted residuals; permutations that leave the design as it is get the
    statistic of the data.
    """
    return statistics_and_df(model, permutations, signs)[0]


def statistics_and_df(
    model: Model, permutations: NDArray[np.int32], signs: NDArray[np.int8] | None = None
) -> tuple[Array, Array | None]:
    """As `statistics`, and the degrees of freedom of the residual.

    Returns
    -------
    statistics : (n_perm, n_features) float64
    df : (n_perm, n_features) float64 where variance groups differ, since it then depends on the data; else None, and
        the model's `df` holds.
    """
    if signs is not None and not model.flips:
        raise UsageError("the model was prepared for permutations without sign flips")
    df: Array | None
    if model.groups is not None:
        rows, places = _rows_with_groups(model, model.groups, permutations, signs)
        found, df = welch(rows, places, model.values, model.total, model.groups, model.contrast.kind, model.rank)
    else:
        projections = _products(_rows(model, permutations, signs), model.values)
        found, df = _from_projections(model.contrast, projections, model.total, model.df, model.rank), None
    if model.method == "ter-braak":
        for p in np.flatnonzero(_unmoved(model, permutations, signs)):
            found[p] = model.observed
            if df is not None:
                df[p] = model.observed_df
    return found, df


def _rows(model: Model, permutations: NDArray[np.int32], signs: NDArray[np.int8] | None) -> Array:
    """(n_perm, n_rows, n_subjects) bases of the permuted designs, without what permutations leave alone."""
    if model.method == "dekker":
        return _permuted_effect(model, permutations, signs)
    return _permuted(np.hstack([model.split.effect, model.moved]), permutations, signs, model.values)


def _rows_with_groups(
    model: Model, groups: VarianceGroups, permutations: NDArray[np.int32], signs: NDArray[np.int8] | None
) -> tuple[Array, NDArray[np.intp]]:
    """Whole bases of the permuted designs, and the variance group of each of their rows: it stays with the design, but
    for Dekker's method, in which only the tested variables move."""
    if model.method != "dekker":
        basis = np.ascontiguousarray(_unpermuted(model.split).T)
        return _permuted(basis, permutations, signs, model.values), groups.codes[permutations]
    nuisance = like(np.ascontiguousarray(model.split.nuisance.T), model.values)
    xp = get_namespace(nuisance)
    fixed = xp.broadcast_to(nuisance, (len(permutations), *nuisance.shape))
    rows: Array = xp.concatenate([_permuted_effect(model, permutations, signs), fixed], axis=1)
    return rows, np.broadcast_to(groups.codes, permutations.shape)


def _permuted(
    basis: NDArray[np.float64], permutations: NDArray[np.int32], signs: NDArray[np.int8] | None, beside: Array
) -> Array:
    """Rows of a permuted basis, made where the values live."""
    flips = None if signs is None else like(signs, beside)
    return permuted_rows(like(np.ascontiguousarray(basis), beside), like(permutations, beside), flips)


def _permuted_effect(model: Model, permutations: NDArray[np.int32], signs: NDArray[np.int8] | None) -> Array:
    """Permuted tested directions, made orthogonal to the nuisance, which stays, and to each other (Gram and Schmidt,
    twice); 0 where nothing is left of one."""
    rows = _permuted(model.split.effect, permutations, signs, model.values)
    nuisance = like(model.split.nuisance, model.values)
    xp = get_namespace(rows)
    for _ in range(2):
        rows = rows - (rows @ nuisance) @ nuisance.T
    for j in range(rows.shape[1]):
        for _ in range(2):
            for i in range(j):
                rows[:, j] -= (rows[:, j] * rows[:, i]).sum(axis=1)[:, None] * rows[:, i]
        length = xp.sqrt((rows[:, j] * rows[:, j]).sum(axis=1))[:, None]
        rows[:, j] *= xp.where(length > _COLLAPSED, 1 / xp.where(length > _COLLAPSED, length, 1.0), 0.0)
    return rows


def _products(rows: Array, values: Array) -> Array:
    """One matrix product for the whole batch: (n_perm, n_rows, n_features)."""
    n_perm, n_rows, n_subjects = rows.shape
    products: Array = (rows.reshape(n_perm * n_rows, n_subjects) @ values).reshape(n_perm, n_rows, values.shape[1])
    return products


def _from_projections(contrast: Contrast, projections: Array, total: Array, df: float, rank: int) -> Array:
    if contrast.kind == "t":
        return t_statistics(projections, total, df)
    return f_statistics(projections, total, df, rank)


def _unpermuted(split: Partition) -> NDArray[np.float64]:
    """(n_directions, n_subjects) basis of the whole design, what is tested first."""
    return np.ascontiguousarray(np.hstack([split.effect, split.nuisance]).T)


def _unmoved(model: Model, permutations: NDArray[np.int32], signs: NDArray[np.int8] | None) -> NDArray[np.bool_]:
    """Permutations that leave the design, and who shares a variance, as they are."""
    itself = _unpermuted(model.split)
    rows = permuted_rows(np.ascontiguousarray(itself.T), permutations, signs)
    unmoved = (np.abs(rows - itself) < _INSIDE).all(axis=(1, 2))
    if model.groups is not None:
        unmoved = unmoved & (model.groups.codes[permutations] == model.groups.codes).all(axis=1)
    return np.asarray(unmoved)


def _still_and_moved(
    nuisance: NDArray[np.float64], fixed: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orthonormal bases of the nuisance directions inside the fixed space, and of the rest."""
    _, _, rotation = np.linalg.svd(fixed.T @ nuisance)
    turned = nuisance @ rotation.T
    inside = np.linalg.norm(without(turned, fixed), axis=0) < _INSIDE
    return np.ascontiguousarray(turned[:, inside]), np.ascontiguousarray(turned[:, ~inside])


def _without(values: Array, basis: NDArray[np.float64]) -> Array:
    """Values less their projection on an orthonormal basis; a copy."""
    placed = like(np.ascontiguousarray(basis), values)
    left = values
    for _ in range(2):
        left = left - placed @ (placed.T @ left)
    return left


def _sums_of_squares(values: Array, size: Array) -> Array:
    """Of each feature; 0 where it is nothing but the rounding of `size`, its sum of squares before."""
    squares = (values * values).sum(axis=0)
    kept: Array = get_namespace(squares).where(squares > _ALONE**2 * size, squares, 0.0)
    return kept
