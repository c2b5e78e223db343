import builtins
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from thalgpu.engine.structure.mesh_geometry import signed_volume
from thalgpu.engine.structure.meshing import mesh_of_average, mesh_of_mask, voxels_of_mask
from thalgpu.engine.structure.registration import register_template
from thalgpu.errors import NumericsError, UsageError

RADII = np.array([5.0, 10.0, 6.0])


def _ellipsoid(radii=RADII, *, turn=None, shift=(0.0, 0.0, 0.0), flip=False):
    """A mask on a 1 mm grid and its affine; with `flip` the first axis runs to the left."""
    axes = [np.arange(-18.0, 19.0)] * 3
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    affine = np.eye(4)
    affine[:3, 3] = -18.0
    if flip:
        places[..., 0] *= -1
        affine[0] *= -1
    local = places - shift if turn is None else (places - shift) @ turn
    return (((local / radii) ** 2).sum(axis=-1) < 1), affine


@pytest.fixture(scope="module", autouse=True)
def _marching_cubes():
    pytest.importorskip("skimage", reason="scikit-image makes surfaces of label images")


@pytest.mark.parametrize("flip", [False, True])
def test_the_surface_of_an_ellipsoid_lies_on_it(flip):
    mask, affine = _ellipsoid(flip=flip)
    vertices, faces = mesh_of_mask(mask, affine)
    away = np.abs(1 - 1 / np.linalg.norm(vertices / RADII, axis=1)) * np.linalg.norm(vertices, axis=1)
    assert away.mean() < 0.15  # mm; a voxel is 1 mm, and its own steps are half of that
    assert signed_volume(vertices, faces) == pytest.approx(mask.sum(), rel=0.02)  # flat triangles cut corners


def test_islands_are_left_out_and_specks_refused():
    mask, affine = _ellipsoid()
    with_island = mask.copy()
    with_island[:2, :2, :2] = True
    np.testing.assert_array_equal(mesh_of_mask(with_island, affine)[0], mesh_of_mask(mask, affine)[0])
    speck = np.zeros_like(mask)
    speck[5:7, 5:7, 5:7] = True
    with pytest.raises(NumericsError, match="8 connected voxels"):
        mesh_of_mask(speck, affine)
    with pytest.raises(NumericsError, match="0 connected voxels"):
        mesh_of_mask(np.zeros_like(mask), affine)


def test_the_average_has_the_mean_volume_and_no_favourite():
    masks = [_ellipsoid(RADII * scale, shift=(scale, 0.0, 0.0)) for scale in (0.9, 1.0, 1.1)]
    places = [voxels_of_mask(mask) @ affine[:3, :3].T + affine[:3, 3] for mask, affine in masks]
    vertices, faces = mesh_of_average(places, [1.0] * 3)
    mean = np.mean([mask.sum() for mask, _ in masks])
    assert signed_volume(vertices, faces) == pytest.approx(mean, rel=0.05)  # flat triangles of 1.5 mm cut corners
    np.testing.assert_allclose(vertices.mean(axis=0), [1.0, 0, 0], atol=0.2)  # mm; a grid of 1.5 mm
    np.testing.assert_allclose(mesh_of_average(places[::-1], [1.0] * 3)[0], vertices, atol=1e-9)


@pytest.mark.parametrize(
    ("radii", "turn", "shift"),
    [
        (RADII, [0.0, 0.0, 0.0], (3.0, -2.0, 2.0)),
        (RADII * 1.15, [0.1, -0.2, 0.3], (0.0, 0.0, 0.0)),
        ([6.0, 9.0, 7.0], [0.2, 0.2, -0.1], (2.0, 2.0, 2.0)),
    ],
)
def test_a_template_is_brought_onto_a_surface(radii, turn, shift):
    template, template_faces = mesh_of_mask(*_ellipsoid())
    mask, affine = _ellipsoid(np.array(radii), turn=Rotation.from_rotvec(turn).as_matrix(), shift=shift)
    registered = register_template(template, template_faces, *mesh_of_mask(mask, affine))
    assert registered.residual_mean < 0.1  # mm; a voxel is 1 mm
    assert registered.residual_mean <= registered.residual_max < 0.6
    assert signed_volume(registered.vertices, template_faces) == pytest.approx(mask.sum(), rel=0.02)
    moved = np.linalg.norm(registered.posed - template, axis=1)
    assert moved.max() < np.abs(np.array(radii) - RADII).max() + 0.6  # mm; position and turn are gone


def test_vertices_of_a_turned_shape_correspond_to_those_of_the_template():
    template, faces = mesh_of_mask(*_ellipsoid())
    turn = Rotation.from_rotvec([0.1, -0.2, 0.3])
    mask, affine = _ellipsoid(1.1 * RADII, turn=turn.as_matrix())
    registered = register_template(template, faces, *mesh_of_mask(mask, affine))
    assert registered.scale == pytest.approx(1.1, rel=0.01)
    slipped = np.linalg.norm(registered.vertices - 1.1 * turn.apply(template), axis=1)
    assert np.median(slipped) < 0.5  # mm; a voxel is 1 mm


def test_registration_is_the_same_every_time():
    template, faces = mesh_of_mask(*_ellipsoid())
    surface = mesh_of_mask(*_ellipsoid([6.0, 9.0, 7.0]))
    first, second = (register_template(template, faces, *surface).vertices for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name.startswith("skimage"):
            raise ImportError(name)
        return real(name, *rest, **named)

    for name in [name for name in sys.modules if name.startswith("skimage.measure")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"thalgpu\[meshing\]"):
        mesh_of_mask(*_ellipsoid())
