"""Made-up cohorts for comparisons of group gradients."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from thalgpu.engine.comparison.blocks import Study
from thalgpu.engine.comparison.direct import solve_direct
from thalgpu.engine.comparison.labels import comparisons
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.pooled import pool
from thalgpu.engine.gradients.signs import fix_signs
from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.model import InferenceOptions


def grid(*sides: int) -> NDArray[np.int64]:
    """Voxels of a box."""
    return np.indices(sides).reshape(3, -1).T


@pytest.fixture(scope="session")
def affinities() -> Callable[..., NDArray[np.float32]]:
    """(n_subjects, n (n + 1) / 2) packed normalised angles between noisy profiles of voxels in a box.

    Profiles vary over the box by a length scale, the same for everybody but for each subject's own variation; `rough`
    noise has none.
    """

    def make(
        ijk: NDArray[np.int64], n_subjects: int, *, rough: float = 0.05, own: float = 0.3, length: float = 2.0, seed=0
    ) -> NDArray[np.float32]:
        rng = np.random.default_rng([seed, 5])
        squares = ((ijk[:, None] - ijk[None]) ** 2).sum(axis=2)
        smooth = np.linalg.cholesky(np.exp(-squares / (2 * length**2)) + 1e-6 * np.eye(len(ijk)))
        common = smooth @ rng.normal(size=(len(ijk), 40))
        upper = np.triu_indices(len(ijk))
        stack = np.empty((n_subjects, len(upper[0])), dtype=np.float32)
        for row in stack:
            profiles = common + own * smooth @ rng.normal(size=common.shape) + rough * rng.normal(size=common.shape)
            angles = np.arccos(np.clip(np.corrcoef(profiles), -1, 1))
            np.fill_diagonal(angles, 0)
            row[:] = (1 - angles / np.pi)[upper]
        return stack

    return make


@pytest.fixture(scope="session")
def study_of() -> Callable[..., Study]:
    """A study on any path, as the pipeline makes it, with spreads that no pilot has found."""

    def make(stack, labels, ijk, *, recipe=None, rank=0, n_perm=0, tfce=False, **changes: Any) -> Study:
        recipe = recipe or Recipe(n_components=3)
        options = InferenceOptions(n_perm=n_perm, seed=7, two_sided=True, tfce=tfce)
        everybody = solve_direct(stack, np.full((1, len(stack)), 1 / len(stack)), recipe)
        chosen = comparisons(labels, options)
        study = Study(
            stack=stack,
            recipe=recipe,
            pooled=pool(stack, recipe, rank) if rank else None,
            template=fix_signs(everybody.gradients[0].astype(np.float64)),
            subspace=everybody.vectors[0].astype(np.float64),
            n_align=recipe.n_components,
            comparisons=chosen,
            covariates=None,
            neighbours=volume_neighbours(ijk, 6),
            options=options,
            path="exact" if rank else "direct",
            eig_tol=0.01,
            spreads=(np.linspace(0.5, 2, recipe.n_components),) * len(chosen),
            number_spreads=(np.linspace(1, 3, 4 * recipe.n_components),) * len(chosen),
            number_centres=(np.linspace(0, 0.2, 4 * recipe.n_components),) * len(chosen),
        )
        return replace(study, **changes)

    return make
