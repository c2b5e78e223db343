"""A known answer: one small problem through the engine's own functions, and again in plain float64 NumPy."""

from functools import cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.cluster.devices import Place, on_host, use_gpu
from thalgpu.engine.gradients.affinity import affinity_from_timeseries
from thalgpu.engine.gradients.embedding import diffusion_map
from thalgpu.errors import ResourceError
from thalgpu.kernels._namespace import to_host

Known: TypeAlias = Literal["gradients", "permutations"]
"""Which problem: what a process is going to be trusted with."""

N_TIMEPOINTS, N_VOXELS, N_TARGETS, N_COMPONENTS = 120, 60, 80, 3
SPARSITY, ALPHA = 0.9, 0.5
TOLERANCE = 1e-3
"""Largest difference allowed in a gradient scaled to unit norm: float32 series give some 1e-6."""


@cache
def prove_device(number: int | None, known: Known = "gradients") -> None:
    """Solve a known problem on a GPU before a process trusts it with subjects; the CPU (None) needs no proof.

    Parameters
    ----------
    number : of the GPU.
    known : which problem; the other's kernels need not be compiled.

    Raises
    ------
    ResourceError
        When the GPU's answer is not the known one.
    """
    if number is None:
        return
    with use_gpu(number) as place:
        error, most = known_error(known, place)
    if not error < most:
        raise ResourceError(
            f"GPU {number} gives wrong {known} for a known problem, off by {error:.1e}",
            remedy="use the CPU with --gpus 0, and please report it with the output of thalgpu doctor",
        )


def known_error(known: Known, place: Place = on_host) -> tuple[float, float]:
    """How far the engine's answer to a known problem is off, and how far it may be."""
    if known == "gradients":
        return self_test_error(place), TOLERANCE
    from thalgpu.engine.pipelines.self_test_permutations import PERMUTATION_TOLERANCE, permutation_error

    return permutation_error(place), PERMUTATION_TOLERANCE


def self_test_error(place: Place = on_host) -> float:
    """Largest difference between the engine's gradients, of unit norm, and the independent computation's.

    Parameters
    ----------
    place : brings arrays to the device that is tested.
    """
    seed, target = _series()
    affinity = affinity_from_timeseries(
        place(seed), place(target), kernel="normalized_angle", sparsity=SPARSITY, fisher_z=True
    )
    found = to_host(diffusion_map(affinity, N_COMPONENTS, alpha=ALPHA).gradients).astype(np.float64)
    expected = _dense_gradients(seed.astype(np.float64), target.astype(np.float64))
    found, expected = found / np.linalg.norm(found, axis=0), expected / np.linalg.norm(expected, axis=0)
    signs = np.sign((found * expected).sum(axis=0))
    return float(np.abs(found * signs - expected).max())


def _series() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Voxels along a line, each coupled most to the targets at its own place: gradients that are far apart."""
    rng = np.random.default_rng(20250)
    sources = rng.standard_normal((N_TIMEPOINTS, 12))
    seed = sources @ _bumps(N_VOXELS) + 0.3 * rng.standard_normal((N_TIMEPOINTS, N_VOXELS))
    target = sources @ _bumps(N_TARGETS) + 0.3 * rng.standard_normal((N_TIMEPOINTS, N_TARGETS))
    return seed.astype(np.float32), target.astype(np.float32)


def _bumps(n_places: int) -> NDArray[np.float64]:
    """(12, n_places) weights of twelve sources along a line of unit length."""
    distance = np.linspace(0, 1, 12)[:, None] - np.linspace(0, 1, n_places)[None, :]
    weights: NDArray[np.float64] = np.exp(-((distance / 0.12) ** 2))
    return weights


def _dense_gradients(seed: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same definitions without any of the engine's short cuts: every matrix formed, every eigenvector solved."""
    r = np.corrcoef(seed.T, target.T)[:N_VOXELS, N_VOXELS:]
    z = np.arctanh(np.clip(r, -1 + 1e-7, 1 - 1e-7))
    for row in z:
        row[np.argsort(row)[: -int(N_TARGETS * (1 - SPARSITY))]] = 0
    norms = np.linalg.norm(z, axis=1)
    affinity = 1 - np.arccos(np.clip(z @ z.T / np.outer(norms, norms), -1, 1)) / np.pi
    degree = affinity.sum(axis=1) ** ALPHA
    weights = affinity / np.outer(degree, degree)
    root = np.sqrt(weights.sum(axis=1))
    eigenvalues, vectors = np.linalg.eigh(weights / np.outer(root, root))
    maps = vectors[:, ::-1] / root[:, None]
    scale = eigenvalues[::-1] / (1 - np.minimum(eigenvalues[::-1], 1 - 1e-9))
    gradients: NDArray[np.float64] = (maps[:, 1:] / maps[:, :1] * scale[1:])[:, :N_COMPONENTS]
    return gradients
