"""Permutation inference on arrays: one call, one frozen record."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.inference.arguments import (
    check_permutations,
    check_values,
    design_of_arrays,
    neighbours_of,
    numbers,
    threads_of,
)
from thalgpu.engine.inference.blocks import Problem, Test, block_values, prepare_test, run_block
from thalgpu.engine.inference.check_options import check_options
from thalgpu.engine.inference.finish import ContrastResult, finish
from thalgpu.engine.inference.model import (
    Contrast,
    Fdr,
    InferenceOptions,
    Method,
    Neighbours,
    Part,
    Scale,
    Tail,
    TfceGrid,
)
from thalgpu.engine.inference.null_maxima import Measure, Null, merge
from thalgpu.engine.inference.permutation_set import PermutationSet, plan_permutations
from thalgpu.engine.inference.stretches import Settling, merge_all, stretches
from thalgpu.kernels._namespace import Array, get_namespace, is_device, like, to_host

_NOT_MAPS = frozenset(
    {*("effect", "effect_low", "effect_high", "effect_names"), *("null_max", "n_perm", "permutations", "contrasts")}
)


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """What `permutation_test` found; every array has a row a contrast (t contrasts first, then F tests).

    Arrays are where the values were: on the host, or on the device.

    Attributes
    ----------
    stat : (n_contrasts, n_features) float64
        t or F; v or G with variance groups; r or R² with `pearson`.
    p, p_fwe, p_fdr : (n_contrasts, n_features) float64
        Uncorrected; corrected for all features by the maximum; by false discovery rate.
    p_fwe_joint : (n_contrasts, n_features) float64, or None
        Corrected for all features and all contrasts of one kind: t with t; F with F of as many degrees of freedom; on
        the z scale F with F, and t with them unless `two_sided`. None for a single contrast.
    tfce, p_tfce, p_fwe_tfce, p_fdr_tfce, p_fwe_joint_tfce : the same of enhanced maps, or None without `tfce`.
    cluster_extent, p_fwe_cluster_extent, p_fwe_joint_cluster_extent : of clusters, or None without `cluster_threshold`.
    cluster_mass, p_fwe_cluster_mass, p_fwe_joint_cluster_mass : likewise.
    effect, effect_low, effect_high : (n_contrasts, n_features) float64
        Effect sizes and their 95 % confidence limits.
    effect_names : (n_contrasts,) of "hedges_g" (t contrasts between groups), "partial_r" (t contrasts that weigh other
        columns, whose g would depend on their unit), "partial_eta_squared" (F tests).
    null_max : measure ("stat", "tfce", "cluster_extent", "cluster_mass") → (n_contrasts, n_perm) float64
        Maxima, the identity first.
    n_perm : permutations done, the identity among them.
    permutations : how many are possible and were taken, in words.
    contrasts : the rows.
    """

    stat: Array
    p: Array
    p_fwe: Array
    p_fdr: Array
    p_fwe_joint: Array | None
    tfce: Array | None
    p_tfce: Array | None
    p_fwe_tfce: Array | None
    p_fdr_tfce: Array | None
    p_fwe_joint_tfce: Array | None
    cluster_extent: Array | None
    p_fwe_cluster_extent: Array | None
    p_fwe_joint_cluster_extent: Array | None
    cluster_mass: Array | None
    p_fwe_cluster_mass: Array | None
    p_fwe_joint_cluster_mass: Array | None
    effect: Array
    effect_low: Array
    effect_high: Array
    effect_names: tuple[str, ...]
    null_max: dict[str, Array]
    n_perm: int
    permutations: str
    contrasts: tuple[Contrast, ...]

    @property
    def t(self) -> Array:
        """(n_t_contrasts, n_features): the statistic of the t contrasts."""
        return self.stat[: sum(contrast.kind == "t" for contrast in self.contrasts)]

    @property
    def f(self) -> Array:
        """(n_f_tests, n_features): the statistic of the F tests."""
        return self.stat[sum(contrast.kind == "t" for contrast in self.contrasts) :]


def permutation_test(
    Y: Array,
    X: ArrayLike,
    contrasts: ArrayLike | Contrast | Sequence[Contrast],
    f_tests: Sequence[ArrayLike] | None = None,
    *,
    n_perm: int = 10_000,
    seed: int = 0,
    permutations: PermutationSet | None = None,
    adjacency: Neighbours | Any | None = None,
    cluster_adjacency: Neighbours | Any | None = None,
    tfce: bool = False,
    cluster_threshold: float | None = None,
    blocks: ArrayLike | None = None,
    variance_groups: ArrayLike | None = None,
    n_jobs: int = 1,
    method: Method = "freedman-lane",
    sign_flip: bool = False,
    two_sided: bool = False,
    pearson: bool = False,
    statistic_scale: Scale = "t",
    tfce_grid: TfceGrid = "exact",
    tfce_h: float | None = None,
    tfce_e: float | None = None,
    tail: Tail = "none",
    fdr: Fdr = "bh",
    stop_after: int = 0,
) -> PermutationTest:
    """Test contrasts of a general linear model at every feature by permutation.

    Parameters
    ----------
    Y : (n_subjects, n_features) array of numbers, finite
        One map a row. CuPy arrays are worked on where they are.
    X : (n_subjects, n_columns)
        Design matrix, used as it is: include the intercept or group columns.
    contrasts : (n_columns,) or (n_contrasts, n_columns), or `Contrast` records; [] for F tests only.
    f_tests : each (n_rows, n_columns) weights, or 0/1 of length n_contrasts which contrasts are tested jointly. Rows
        may depend on each other, as all pairwise differences do: what they test together is counted once.
    n_perm : permutations, the identity included; 0, or no fewer than exist, takes each once.
    seed : permutation i follows from (seed, i) alone.
    permutations : take these, instead of `n_perm` from `seed`.
    adjacency : `Neighbours`, or a symmetric (n_features, n_features) SciPy sparse matrix: who touches whom. Needed for
        `tfce` and `cluster_threshold`. A matrix counts as one of voxels (TFCE's E = 0.5).
    cluster_adjacency : the same for clusters alone; `adjacency` when left out. PALM enhances over 6 neighbours and
        forms clusters over 26.
    tfce, cluster_threshold : whether maps are enhanced; height at which clusters are formed.
    blocks : (n_subjects,) labels within which subjects are exchanged, or (n_subjects, n_levels) PALM's tree.
    variance_groups : (n_subjects,) labels of subjects that share a variance.
    n_jobs : threads; −1 for all cores. The results are the same bits for any number.
    method : how nuisance variables are dealt with: "freedman-lane", "ter-braak", "manly" or "dekker".
    sign_flip : signs are flipped instead of subjects exchanged: errors must be symmetric.
    two_sided : t contrasts are tested in both directions.
    pearson : statistics are (partial) correlations r, and R² for F tests.
    statistic_scale : what is maximised and enhanced: the statistic itself ("t"), or its z equivalent ("z").
    tfce_grid : "exact", or a peer's steps: "palm", "randomise" or "nilearn".
    tfce_h, tfce_e : powers of height and extent; None for H = 2, and E = 0.5 in volumes and 1 on surfaces.
    tail : small p-values from a fitted tail: "gpd" or "gamma"; "none" counts.
    fdr : "bh" (Benjamini and Hochberg), or the adaptive "bky", which is PALM's and can be smaller than p itself.
    stop_after : exceedances after which a feature's p-value counts as settled (Besag and Clifford 1991); 0 for never.

    Returns
    -------
    PermutationTest

    Raises
    ------
    NumericsError
        Values that are not finite, a rank-deficient design (the aliased columns are named), a contrast that cannot be
        estimated, blocks that forbid what is asked for.
    UsageError
        Options that contradict each other, sizes that do not fit.

    Notes
    -----
    Winkler et al. 2014, doi:10.1016/j.neuroimage.2014.01.060. p = #(statistic* ≥ statistic)/n_perm with the identity
    counted; ties up to rounding (1e-9 of the statistic) are ties. Differs from PALM in that all contrasts share one set
    of permutations, in exact TFCE instead of 100 steps unless `tfce_grid="palm"`, and in that positive and negative
    values never form one cluster; from nilearn's `permuted_ols` in that nuisance variables may be part of any contrast.
    """
    host = numbers("Y", to_host(Y))
    design = design_of_arrays(X, contrasts, f_tests, blocks, variance_groups)
    chosen = InferenceOptions(
        n_perm=n_perm,
        seed=seed,
        method=method,
        sign_flip=sign_flip,
        two_sided=two_sided,
        pearson=pearson,
        statistic_scale=statistic_scale,
        tfce=tfce,
        tfce_grid=tfce_grid,
        tfce_h=tfce_h,
        tfce_e=tfce_e,
        cluster_threshold=cluster_threshold,
        tail=tail,
        fdr=fdr,
        stop_after=stop_after,
    )
    check_options(chosen)
    check_values(host, design)
    around, touching = neighbours_of(adjacency, cluster_adjacency, chosen, host.shape[1])
    if permutations is None:
        permutations = plan_permutations(design, chosen)
    problem = Problem(
        host,
        design,
        check_permutations(permutations, design, chosen),
        chosen,
        (Part("", 0, host.shape[1]),),
        (around,),
        (touching,),
    )
    with threadpool_limits(1):
        test = prepare_test(problem, get_namespace(Y).asarray if is_device(Y) else None)
        null = run_all(test, n_jobs)
        results = finish(test, null, lambda *which: _values(test, null, *which))
    return _record(results, problem, Y)


def run_all(test: Test, n_jobs: int = 1) -> Null:
    """All permutations of a test, block by block, on threads (−1: one a core); as many as `stop_after` asks for."""
    n_threads = threads_of(n_jobs)
    cuts = stretches(test.problem.permutations.n_perm)
    if n_threads == 1:
        return _merged(test, (run_block(test, *cut) for cut in cuts))
    with ThreadPoolExecutor(n_threads) as threads:
        return _merged(test, threads.map(lambda cut: run_block(test, *cut), cuts))


def _merged(test: Test, nulls: Iterable[Null]) -> Null:
    if not test.problem.options.stop_after:
        return merge_all(nulls, merge)
    done = Settling()
    for null in nulls:
        done.take(null)
        if done.is_settled:
            break
    return done.null


def _values(
    test: Test, null: Null, measure: Measure, contrast: int, features: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Magnitudes of some features under every permutation."""
    cuts = stretches(null.stretches[0][1])
    return np.concatenate([block_values(test, measure, contrast, features, *cut) for cut in cuts])


def _record(results: Sequence[ContrastResult], problem: Problem, Y: Array) -> PermutationTest:
    def stacked(name: str) -> Array | None:
        rows = [result.maps.get(name) for result in results]
        return None if any(row is None for row in rows) else like(np.stack(cast("list[Array]", rows)), Y)

    def effect(ending: str) -> Array:
        return like(np.stack([result.maps[f"{result.effect}{ending}"] for result in results]), Y)

    maps = {field.name: stacked(field.name) for field in fields(PermutationTest) if field.name not in _NOT_MAPS}
    return PermutationTest(
        **maps,  # type: ignore[arg-type]  # those that every test has are never None
        effect=effect(""),
        effect_low=effect("_low"),
        effect_high=effect("_high"),
        effect_names=tuple(result.effect for result in results),
        null_max={measure: like(np.stack([one.null[measure][0] for one in results]), Y) for measure in results[0].null},
        n_perm=results[0].n_perm,
        permutations=problem.permutations.description,
        contrasts=problem.design.contrasts,
    )
