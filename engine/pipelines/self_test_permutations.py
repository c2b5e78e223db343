"""A known answer: one small permutation test through the engine, and again in plain float64 NumPy."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.cluster.devices import Place, on_host
from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.blocks import Problem, prepare_test, run_block
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Part
from thalgpu.engine.inference.permutation_set import plan_permutations

N_SUBJECTS, SHAPE, N_PERM = 10, (4, 3, 2), 25
PERMUTATION_TOLERANCE = 1e-9
"""Largest difference allowed, relative to the answer: sums in another order give some 1e-14."""


def permutation_error(place: Place = on_host) -> float:
    """Largest relative difference between the engine's answers and the independent computation's: maxima of t and of
    enhanced t under each permutation, and how many permutations reach what was observed, as a share of all.

    Parameters
    ----------
    place : brings arrays to the device that is tested.
    """
    problem = _problem()
    null = run_block(prepare_test(problem, place), 0, N_PERM)
    errors = []
    for measure, maps in _plain_maps().items():
        largest, counts = maps.max(axis=1), (maps >= maps[0] * (1 - 1e-9)).sum(axis=0)
        found = null.maxima["stat" if measure == "t" else "tfce"][0, 0]
        errors.append(np.abs(found - largest).max() / largest.max())
        if measure == "t":  # enhanced maps are 0 where t is not positive, and there every permutation counts
            errors.append(np.abs(null.counts["stat"][0][maps[0] > 0] - counts[maps[0] > 0]).max() / N_PERM)
    return float(max(errors))


def _problem() -> Problem:
    """Two groups with a nuisance variable, on a small block of voxels."""
    rng = np.random.default_rng(20251)
    group = np.repeat([0.0, 1.0], N_SUBJECTS // 2)
    matrix = np.column_stack([1 - group, group, rng.standard_normal(N_SUBJECTS)])
    ijk = np.argwhere(np.ones(SHAPE))
    values = rng.standard_normal((N_SUBJECTS, len(ijk))) + np.outer(group, ijk[:, 0] > 1)
    options = InferenceOptions(n_perm=N_PERM, tfce=True)
    contrast = Contrast("known", "known", np.array([[-1.0, 1.0, 0.0]]), "t")
    design = Design(matrix, ("a", "b", "nuisance"), (contrast,))
    touching = volume_neighbours(ijk, 6)
    permutations = plan_permutations(design, options)
    return Problem(values, design, permutations, options, (Part("", 0, len(ijk)),), (touching,), (touching,))


@cache
def _plain_maps() -> dict[str, NDArray[np.float64]]:
    """t and enhanced t of each permutation, without any of the engine's short cuts: the permuted data are formed and
    fitted, and clusters are found at every height."""
    problem = _problem()
    matrix, weights = problem.design.matrix, problem.design.contrasts[0].weights[0]
    nuisance = np.column_stack([np.ones(N_SUBJECTS), matrix[:, 2]])
    residuals = problem.values - nuisance @ np.linalg.lstsq(nuisance, problem.values, rcond=None)[0]
    spread = weights @ np.linalg.inv(matrix.T @ matrix) @ weights
    touch = _touching()
    t = []
    for order in problem.permutations.rows(0, N_PERM)[0]:
        permuted = np.empty_like(residuals)
        permuted[order] = residuals  # Freedman and Lane; the fitted part changes no t
        beta, squares = np.linalg.lstsq(matrix, permuted, rcond=None)[:2]
        t.append(weights @ beta / np.sqrt(squares / (N_SUBJECTS - 3) * spread))
    return {"t": np.array(t), "tfce": np.array([_enhanced(one, touch) for one in t])}


def _touching() -> NDArray[np.bool_]:
    """Voxels that share a face, or are the same."""
    ijk = np.argwhere(np.ones(SHAPE))
    touching: NDArray[np.bool_] = np.abs(ijk[:, None] - ijk[None]).sum(axis=2) <= 1
    return touching


def _enhanced(t: NDArray[np.float64], touch: NDArray[np.bool_]) -> NDArray[np.float64]:
    """∫ size^½ h² dh: between two neighbouring values of the map every cluster stays as it is."""
    enhanced, below = np.zeros_like(t), 0.0
    for height in np.sort(t[t > 0]):
        above = t >= height
        joined = touch & above & above[:, None]
        for _ in t:
            joined = joined @ joined
        enhanced += np.sqrt(joined.sum(axis=1)) * (height**3 - below**3) / 3
        below = height
    return enhanced
