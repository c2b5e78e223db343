"""How far each vertex of a shape lies from the mean shape, and smoothing on the mesh."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from thalgpu.engine.structure.mesh_geometry import cotangent_laplacian, outward_normals, vertex_areas
from thalgpu.errors import NumericsError

_STEPS = 24
"""Steps of the diffusion: the kernel's width is then within 2 % of what is asked."""


def displacements(
    shapes: NDArray[np.float64], mean: NDArray[np.float64], faces: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Signed distance of aligned shapes from the mean shape: d = (v − mean) · n, positive outwards.

    Parameters
    ----------
    shapes : (n_subjects, n_vertices, 3) mm, in one position.
    mean : (n_vertices, 3) mm.
    faces : (n_faces, 3) vertex numbers, wound either way.

    Returns
    -------
    (n_subjects, n_vertices) mm.

    Raises
    ------
    NumericsError
        When the mean shape encloses no volume, or shapes do not fit.

    Notes
    -----
    The measure of FSL FIRST's vertex analysis (Patenaude et al. 2011, doi:10.1016/j.neuroimage.2011.02.046), with the
    normals of the sample's mean shape in place of those of FIRST's own model. Motion along the surface is not seen.
    """
    if shapes.ndim != 3 or shapes.shape[1:] != mean.shape:
        raise NumericsError(f"shapes {shapes.shape} and a mean shape {mean.shape} do not fit")
    away: NDArray[np.float64] = np.einsum("svi,vi->sv", shapes - mean, outward_normals(mean, faces))
    return away


def smooth_on_mesh(
    maps: NDArray[np.float64], vertices: NDArray[np.float64], faces: NDArray[np.integer], fwhm: float
) -> NDArray[np.float64]:
    """Heat kernel smoothing of maps on a mesh.

    Parameters
    ----------
    maps : (n_maps, n_vertices)
        Not modified.
    vertices, faces : the mesh, mm.
    fwhm : mm, along the surface; 0 changes nothing.

    Returns
    -------
    (n_maps, n_vertices) : constants stay as they are, and so does every map's area-weighted mean.

    Notes
    -----
    Diffusion for a time σ²/2, σ = fwhm / √(8 ln 2), with the cotangent Laplacian and lumped areas, by implicit steps
    (Chung et al. 2005, doi:10.1016/j.neuroimage.2004.11.052). FreeSurfer's `mri_surf2surf --fwhm` averages neighbours a
    number of times, which depends on how regular the mesh is.
    """
    if fwhm < 0 or not np.isfinite(fwhm):
        raise NumericsError(f"a kernel of {fwhm} mm", remedy="give a width of 0 or more")
    if fwhm == 0:
        return maps.astype(np.float64)
    time = fwhm**2 / (8.0 * np.log(2.0)) / 2.0
    areas = vertex_areas(vertices, faces)
    areas = np.maximum(areas, 1e-9 * areas.mean())  # a vertex of no triangle keeps its value
    stiffness = cotangent_laplacian(vertices, faces)
    step = splu(sparse.csc_array(sparse.diags_array(areas) + time / _STEPS * stiffness))
    values = maps.T.astype(np.float64)
    for _ in range(_STEPS):
        values = step.solve(areas[:, None] * values)
    return np.ascontiguousarray(values.T)
