"""The places of a cohort: voxels of a head on a grid, and vertices of two surfaces."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.simulate.anatomy import (
    CORTEX,
    CSF,
    HEAD_CENTRE,
    N_GRADIENTS,
    THALAMUS,
    VENTRICLE_CENTRE,
    VENTRICLE_HALF_AXES,
    WHITE_MATTER,
    Elements,
    cortex_latent,
    fibonacci_sphere,
    innermost,
    parcel_labels,
    thalamus_coordinates,
    thalamus_latent,
)
from thalgpu.engine.simulate.options import SizePlan

_MEDIAL_WALL = -0.85  # lateral coordinate on a hemisphere's unit sphere below which there is no cortex


@dataclass(frozen=True)
class Head:
    """A head on a voxel grid.

    Attributes
    ----------
    shape, affine : of the grid.
    elements : everything inside the head, in C order of the grid.
    flat : (n_elements,) int64, ascending C-order position of each in the grid.
    parcels : (n_elements,) int32 parcel of each cortical voxel, 0 elsewhere.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    elements: Elements
    flat: NDArray[np.int64]
    parcels: NDArray[np.int32]

    def only(self, tissue: int) -> "Head":
        """The head without everything else."""
        kept = self.elements.tissue == tissue
        return Head(self.shape, self.affine, self.elements.take(kept), self.flat[kept], self.parcels[kept])

    def image(self, values: NDArray[np.generic]) -> NDArray[np.int16]:
        """A label image: one value an element, 0 outside the head."""
        volume = np.zeros(int(np.prod(self.shape)), dtype=np.int16)
        volume[self.flat] = values
        return volume.reshape(self.shape)


@dataclass(frozen=True)
class Surfaces:
    """Cortical vertices of both hemispheres, without the medial wall, the left first.

    Attributes
    ----------
    n_vertices : of one hemisphere, the medial wall among them.
    elements : the cortical ones.
    vertex : (n_elements,) int64, each one's number in its hemisphere.
    is_left : (n_elements,) bool.
    parcels : (n_elements,) int32.
    """

    n_vertices: int
    elements: Elements
    vertex: NDArray[np.int64]
    is_left: NDArray[np.bool_]
    parcels: NDArray[np.int32]

    def full(self, values: NDArray[np.float32], *, left: bool) -> NDArray[np.float32]:
        """(n_timepoints, n_vertices) values of one hemisphere's cortex, 0 on its medial wall."""
        whole = np.zeros((len(values), self.n_vertices), dtype=np.float32)
        side = self.is_left == left
        whole[:, self.vertex[side]] = values[:, side]
        return whole


def head_of(plan: SizePlan) -> Head:
    """Thalami, cortical shell, ventricles, and white matter in between; mirror-symmetric, nothing cortical at x = 0."""
    affine: NDArray[np.float64] = np.diag([-plan.voxel_size, plan.voxel_size, plan.voxel_size, 1.0])
    affine[:3, 3] = plan.origin
    ijk = np.indices(plan.shape).reshape(3, -1).T
    xyz: NDArray[np.float64] = ijk @ affine[:3, :3].T + affine[:3, 3]
    outward = (xyz - HEAD_CENTRE) / plan.half_axes
    radius = np.linalg.norm(outward, axis=1)
    tissue = np.where(radius <= 1.0, WHITE_MATTER, 0).astype(np.int8)
    tissue[np.linalg.norm((xyz - VENTRICLE_CENTRE) / VENTRICLE_HALF_AXES, axis=1) <= 1.0] = CSF
    tissue[(radius <= 1.0) & (radius > 1.0 - plan.shell) & (np.abs(xyz[:, 0]) > 1e-6)] = CORTEX
    depth = np.linalg.norm(thalamus_coordinates(xyz), axis=1)
    for is_side in (xyz[:, 0] < -1e-6, xyz[:, 0] > 1e-6):
        side = np.flatnonzero(is_side)
        tissue[side[innermost(depth[side], plan.n_thalamus // 2)]] = THALAMUS
    flat = np.flatnonzero(tissue)
    direction = outward[flat] / np.maximum(radius[flat], 1e-9)[:, None]
    return _head(plan, affine, xyz[flat], tissue[flat], flat, direction)


def _head(
    plan: SizePlan,
    affine: NDArray[np.float64],
    xyz: NDArray[np.float64],
    tissue: NDArray[np.int8],
    flat: NDArray[np.int64],
    direction: NDArray[np.float64],
) -> Head:
    latent = np.zeros((len(flat), N_GRADIENTS))
    thalamus, cortex = tissue == THALAMUS, tissue == CORTEX
    latent[thalamus] = thalamus_latent(xyz[thalamus])
    latent[cortex] = cortex_latent(direction[cortex])
    parcels = np.zeros(len(flat), dtype=np.int32)
    parcels[cortex] = parcel_labels(direction[cortex], xyz[cortex, 0] < 0)
    return Head(plan.shape, affine, Elements(xyz, tissue, latent), flat, parcels)


def surfaces_of(plan: SizePlan) -> Surfaces:
    """Two spheres of vertices; those that face the other hemisphere are the medial wall."""
    lateral = fibonacci_sphere(plan.n_vertices)
    vertex = np.flatnonzero(lateral[:, 0] > _MEDIAL_WALL)
    direction = np.vstack([lateral[vertex] * [-1, 1, 1], lateral[vertex]])
    is_left = np.repeat([True, False], len(vertex))
    middle = np.column_stack([np.where(is_left, -0.5, 0.5) * plan.half_axes[0], np.zeros((2 * len(vertex), 2))])
    xyz = HEAD_CENTRE + middle + direction * np.asarray(plan.half_axes) * [0.5, 1.0, 1.0]
    tissue = np.full(len(xyz), CORTEX, dtype=np.int8)
    elements = Elements(xyz, tissue, cortex_latent(direction))
    return Surfaces(plan.n_vertices, elements, np.tile(vertex, 2), is_left, parcel_labels(direction, is_left))
