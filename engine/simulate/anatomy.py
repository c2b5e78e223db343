"""A head of ellipsoids: where thalamic voxels and cortical targets lie, and what each is tuned to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THALAMUS, CORTEX, WHITE_MATTER, CSF = 1, 2, 3, 4
N_GRADIENTS = 2
N_PARCELS = 50  # in each hemisphere
TARGET_EXTENT = 1.8  # targets reach beyond the thalamus' latent range, so that no thalamic voxel is tuned to an edge

HEAD_CENTRE = np.array([0.0, -18.0, 8.0])
THALAMUS_CENTRE = np.array([13.0, -18.0, 8.0])  # of the right one, mm; the left one is its mirror image
THALAMUS_HALF_AXES = np.array([10.5, 16.0, 12.8])
VENTRICLE_CENTRE = np.array([0.0, -6.0, 24.0])
VENTRICLE_HALF_AXES = np.array([9.0, 20.0, 7.0])
HEAD_HALF_AXES = np.array([68.0, 86.0, 62.0])

_GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))


@dataclass(frozen=True)
class Elements:
    """Places that have a signal: voxels, or vertices.

    Attributes
    ----------
    xyz : (n, 3) float64, mm, right-anterior-superior.
    tissue : (n,) int8: THALAMUS, CORTEX, WHITE_MATTER or CSF.
    latent : (n, N_GRADIENTS) float64: what grey matter is tuned to, -1 to 1 over the thalamus; 0 elsewhere.
    """

    xyz: NDArray[np.float64]
    tissue: NDArray[np.int8]
    latent: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.xyz)

    def take(self, index: NDArray[np.bool_] | NDArray[np.int64]) -> "Elements":
        """Some of them, by mask or position."""
        return Elements(self.xyz[index], self.tissue[index], self.latent[index])


def thalamus_latent(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The population's thalamic gradients: first posterior to anterior, second medial to lateral.

    Both grow strictly along their axis, are mirror images between the hemispheres, and are spread evenly over
    -1 … 1: a coordinate u of a uniform ball has the cumulative distribution (2 + 3u - u³) / 4.

    Parameters
    ----------
    xyz : (n, 3) float64, mm: voxels of both thalami, filling their ellipsoids.

    Returns
    -------
    latent : (n, N_GRADIENTS) float64.
    """
    inside = thalamus_coordinates(xyz)
    u = inside[:, [1, 0]] / np.linalg.norm(inside, axis=1).max(initial=1e-9)
    return np.asarray((3.0 * u - u**3) / 2.0)


def thalamus_coordinates(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) lateral, anterior and superior coordinates inside the nearer thalamus; its surface has norm 1."""
    mirrored = np.column_stack([np.abs(xyz[:, 0]), xyz[:, 1:]])
    return np.asarray((mirrored - THALAMUS_CENTRE) / THALAMUS_HALF_AXES)


def cortex_latent(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """What cortical targets are tuned to: first posterior to anterior, second inferior to superior.

    Lambert's equal-area projection along the left-right axis spreads targets evenly over a disc.

    Parameters
    ----------
    direction : (n, 3) float64, unit vectors from the centre of the hemisphere.

    Returns
    -------
    latent : (n, N_GRADIENTS) float64, within a disc of radius TARGET_EXTENT.
    """
    radius = np.hypot(direction[:, 1], direction[:, 2]).clip(1e-9, 1.0)
    spread = np.sqrt(1.0 - np.sqrt(1.0 - radius**2)) / radius
    return np.asarray(TARGET_EXTENT * spread[:, None] * direction[:, 1:])


def parcel_labels(direction: NDArray[np.float64], is_left: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(n,) labels 1 … N_PARCELS on the left, then as many on the right; each element has the nearest centre's."""
    folded = np.column_stack([np.abs(direction[:, 0]), direction[:, 1:]])
    nearest = np.argmax(folded @ fibonacci_dome(N_PARCELS).T, axis=1)
    return np.asarray(nearest + 1 + np.where(is_left, 0, N_PARCELS), dtype=np.int32)


def fibonacci_dome(n: int) -> NDArray[np.float64]:
    """(n, 3) unit vectors spread evenly over the half sphere x > 0."""
    return _fibonacci(1.0 - (np.arange(n) + 0.5) / n)


def fibonacci_sphere(n: int) -> NDArray[np.float64]:
    """(n, 3) unit vectors spread evenly over the sphere."""
    return _fibonacci(1.0 - 2.0 * (np.arange(n) + 0.5) / n)


def _fibonacci(x: NDArray[np.float64]) -> NDArray[np.float64]:
    angle, radius = _GOLDEN_ANGLE * np.arange(len(x)), np.sqrt(1.0 - x**2)
    return np.column_stack([x, radius * np.cos(angle), radius * np.sin(angle)])


def innermost(radius: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Ascending positions of the n smallest radii; equal ones in their order, whatever the last digits say."""
    return np.sort(np.argsort(radius.round(6), kind="stable")[:n])


def thalamus_elements(n: int) -> Elements:
    """n points filling both thalami on a lattice, the left first (it has one more when n is odd)."""
    n_left = (n + 1) // 2
    half_width = np.ceil(n_left ** (1 / 3)) + 1
    axis = np.arange(-half_width, half_width + 1)
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    chosen = lattice[innermost(np.linalg.norm(lattice, axis=1), n_left)]
    right = THALAMUS_CENTRE + THALAMUS_HALF_AXES * chosen / np.linalg.norm(chosen, axis=1).max(initial=1.0)
    xyz = np.vstack([right * [-1, 1, 1], right[: n - n_left]])
    return Elements(xyz, np.full(n, THALAMUS, dtype=np.int8), thalamus_latent(xyz))


def cortex_elements(n: int) -> Elements:
    """n points spread evenly over both cortical domes, the left first (it has one more when n is odd)."""
    n_left = (n + 1) // 2
    direction = np.vstack([fibonacci_dome(n_left) * [-1, 1, 1], fibonacci_dome(max(n - n_left, 1))[: n - n_left]])
    xyz = HEAD_CENTRE + HEAD_HALF_AXES * direction
    return Elements(xyz, np.full(n, CORTEX, dtype=np.int8), cortex_latent(direction))


def nuisance_elements(n: int) -> Elements:
    """n points in white matter and n in the ventricles: what a confounds table is measured from."""
    ring = fibonacci_sphere(n)
    xyz = np.vstack([HEAD_CENTRE + 0.6 * HEAD_HALF_AXES * ring, VENTRICLE_CENTRE + 0.7 * VENTRICLE_HALF_AXES * ring])
    tissue = np.repeat(np.array([WHITE_MATTER, CSF], dtype=np.int8), n)
    return Elements(xyz, tissue, np.zeros((2 * n, N_GRADIENTS)))


def join(*parts: Elements) -> Elements:
    """The elements of several sets, one after another."""
    return Elements(
        np.concatenate([part.xyz for part in parts]),
        np.concatenate([part.tissue for part in parts]),
        np.concatenate([part.latent for part in parts]),
    )
