"""From corresponding meshes of a group to displacement maps: alignment, mean shape, displacement, quality."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.structure.alignment import ShapeAlignment, align_shapes
from thalgpu.engine.structure.displacement import displacements, smooth_on_mesh
from thalgpu.engine.structure.mesh_geometry import outward_faces
from thalgpu.engine.structure.quality import outliers, procrustes_distances


@dataclass(frozen=True)
class GroupShape:
    """A group's shapes relative to their mean.

    Attributes
    ----------
    mean : (n_vertices, 3) mm.
    faces : (n_faces, 3), normals outwards.
    displacement : (n_subjects, n_vertices) mm, outward positive, smoothed where that was asked for.
    distances : (n_subjects,) mm, see `quality.procrustes_distances`.
    outlying : (n_subjects,) bool.
    converged : whether the alignment settled.
    """

    mean: NDArray[np.float64]
    faces: NDArray[np.int64]
    displacement: NDArray[np.float64]
    distances: NDArray[np.float64]
    outlying: NDArray[np.bool_]
    converged: bool


def group_shape(
    shapes: NDArray[np.float64], faces: NDArray[np.int64], *, alignment: ShapeAlignment = "rigid", fwhm: float = 0.0
) -> GroupShape:
    """Align shapes, and measure each vertex's displacement from the mean shape.

    Parameters
    ----------
    shapes : (n_subjects, n_vertices, 3) mm; vertices correspond.
    faces : (n_faces, 3) of all of them.
    alignment : as of `align_shapes`.
    fwhm : mm; of the smoothing of displacement along the mean surface.

    Raises
    ------
    NumericsError
        For shapes that cannot be aligned, and a mean shape without volume.
    """
    aligned = align_shapes(shapes, alignment)
    away = displacements(aligned.shapes, aligned.mean, faces)
    distances = procrustes_distances(aligned.shapes, aligned.mean)
    return GroupShape(
        mean=aligned.mean,
        faces=outward_faces(aligned.mean, faces),
        displacement=smooth_on_mesh(away, aligned.mean, faces, fwhm),
        distances=distances,
        outlying=outliers(distances),
        converged=aligned.converged,
    )
