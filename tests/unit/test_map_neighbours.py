"""Neighbours of subjects' features: voxels by the grid, vertices by meshes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.cifti2.cifti2_axes import BrainModelAxis
from nibabel.gifti.gifti import GiftiDataArray, GiftiImage, GiftiMetaData
from numpy.typing import NDArray

from thalgpu.engine.inference.model import Neighbours
from thalgpu.engine.inputs.map_neighbours import mesh_files, neighbours_of, read_mesh
from thalgpu.engine.inputs.model import CiftiGrid, Region, SurfaceGrid, VolumeGrid
from thalgpu.engine.inputs.region_parts import region_from_elements
from thalgpu.errors import InputError

POINTS = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0]], dtype=np.float32)
TRIANGLES = np.array([[0, 1, 2], [1, 3, 2]], dtype=np.int32)
STRIP = np.array([[0, 1, 2]], dtype=np.int32)


def mesh(
    path: Path,
    points: NDArray[np.float32] = POINTS,
    triangles: NDArray[Any] = TRIANGLES,
    structure: str = "",
) -> Path:
    arrays = [
        GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET", datatype="NIFTI_TYPE_FLOAT32"),
        GiftiDataArray(triangles, intent="NIFTI_INTENT_TRIANGLE", datatype=str(triangles.dtype)),
    ]
    meta = GiftiMetaData(AnatomicalStructurePrimary=structure) if structure else GiftiMetaData()
    GiftiImage(meta=meta, darrays=arrays).to_filename(path)
    return path


def pairs(neighbours: Neighbours | None) -> set[tuple[int, int]]:
    assert neighbours is not None
    rows = np.repeat(np.arange(len(neighbours.sizes)), np.diff(neighbours.indptr))
    return {(int(a), int(b)) for a, b in zip(rows, neighbours.indices, strict=True) if a < b}


def on_surfaces(n_left: int, n_right: int, flat: list[int]) -> Region:
    return region_from_elements("maps", SurfaceGrid(n_left, n_right), np.array(flat))


def dense(axis: Any, flat: list[int] | None = None) -> Region:
    return region_from_elements("maps", CiftiGrid(len(axis), axis), np.array(flat or range(len(axis))))


def cortex(side: str, vertices: list[int], n_vertices: int = 4) -> Any:
    return BrainModelAxis.from_surface(np.array(vertices), n_vertices, f"CIFTI_STRUCTURE_CORTEX_{side}")


def thalamus() -> Any:
    return BrainModelAxis.from_mask(np.ones((1, 1, 3)), "CIFTI_STRUCTURE_THALAMUS_LEFT", np.diag([2.0, 2, 2, 1]))


def test_arrays_and_tables_have_no_neighbours() -> None:
    assert neighbours_of(None) is None


@pytest.mark.parametrize(("connectivity", "expected"), [(6, set()), (18, {(0, 1)}), (26, {(0, 1), (1, 2)})])
def test_voxels_touch_as_asked(connectivity: int, expected: set[tuple[int, int]]) -> None:
    grid = VolumeGrid((3, 3, 3), ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)))
    flat = np.ravel_multi_index(([0, 1, 2], [0, 1, 2], [0, 0, 1]), (3, 3, 3))
    found = neighbours_of(region_from_elements("mask", grid, np.asarray(flat)), connectivity)
    assert found is not None
    assert found.dimensions == 3
    assert pairs(found) == expected


def test_vertices_touch_along_edges_and_hemispheres_never(tmp_path: Path) -> None:
    both = (mesh(tmp_path / "lh.gii"), mesh(tmp_path / "rh.gii", triangles=STRIP))
    found = neighbours_of(on_surfaces(4, 4, list(range(8))), surfaces=both)
    assert found is not None
    assert found.dimensions == 2
    assert pairs(found) == {(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (4, 5), (4, 6), (5, 6)}
    assert np.array_equal(found.sizes, np.ones(8))


def test_only_features_are_neighbours(tmp_path: Path) -> None:
    both = (mesh(tmp_path / "lh.gii"), mesh(tmp_path / "rh.gii"))
    assert pairs(neighbours_of(on_surfaces(4, 4, [1, 3, 4, 7]), surfaces=both)) == {(0, 1)}


def test_vertices_may_count_by_their_area(tmp_path: Path) -> None:
    found = neighbours_of(on_surfaces(4, 0, [0, 1, 3]), surfaces=[mesh(tmp_path / "lh.gii")], areas=True)
    assert found is not None
    assert np.allclose(found.sizes, [2 / 3, 4 / 3, 2 / 3])  # each triangle has 2 mm²


def test_one_hemisphere_takes_its_own_mesh_of_a_pair(tmp_path: Path) -> None:
    both = (mesh(tmp_path / "lh.gii", triangles=STRIP), mesh(tmp_path / "rh.gii"))
    assert (2, 3) in pairs(neighbours_of(on_surfaces(0, 4, [0, 1, 2, 3]), surfaces=both))
    assert (2, 3) in pairs(neighbours_of(on_surfaces(0, 4, [0, 1, 2, 3]), surfaces=both[1:]))


def test_grayordinates_keep_their_order_where_the_right_comes_first(tmp_path: Path) -> None:
    both = (mesh(tmp_path / "lh.gii"), mesh(tmp_path / "rh.gii", triangles=STRIP))
    axis = cortex("RIGHT", [3, 0, 1]) + cortex("LEFT", [1, 3, 0])
    assert pairs(neighbours_of(dense(axis), surfaces=both)) == {(1, 2), (3, 4), (3, 5)}


def test_voxels_of_cifti_touch_by_the_grid() -> None:
    assert pairs(neighbours_of(dense(thalamus()))) == {(0, 1), (1, 2)}
    mixed = cortex("LEFT", [0, 1]) + thalamus()
    assert pairs(neighbours_of(dense(mixed, [2, 3, 4]))) == {(0, 1), (1, 2)}


def test_vertices_and_voxels_in_one_map_are_refused(tmp_path: Path) -> None:
    mixed = dense(cortex("LEFT", [0, 1]) + thalamus())
    with pytest.raises(InputError, match="vertices and voxels in one map"):
        neighbours_of(mixed, surfaces=[mesh(tmp_path / "lh.gii")])


def test_surfaces_that_are_not_cortex_are_refused() -> None:
    cerebellum = BrainModelAxis.from_surface(np.arange(3), 4, "CIFTI_STRUCTURE_CEREBELLUM")
    with pytest.raises(InputError, match="no mesh can be given for CIFTI_STRUCTURE_CEREBELLUM"):
        neighbours_of(dense(cerebellum))


def test_a_missing_a_left_over_and_a_needless_mesh_are_refused(tmp_path: Path) -> None:
    one = mesh(tmp_path / "lh.gii")
    with pytest.raises(InputError, match=r"2 surfaces and 1 meshes .* — give --surface LEFT"):
        neighbours_of(on_surfaces(4, 4, [0, 5]), surfaces=[one])
    with pytest.raises(InputError, match="1 surface and 0 meshes"):
        neighbours_of(on_surfaces(4, 0, [0, 1]))
    with pytest.raises(InputError, match="1 surface and 3 meshes"):
        neighbours_of(on_surfaces(4, 0, [0, 1]), surfaces=[one] * 3)
    with pytest.raises(InputError, match="the maps are made of voxels"):
        neighbours_of(dense(thalamus()), surfaces=[one])


def test_another_number_of_vertices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a mesh of 4 vertices where the left maps of maps have 5"):
        neighbours_of(on_surfaces(5, 0, [0, 1]), surfaces=[mesh(tmp_path / "lh.gii")])


def test_exchanged_meshes_are_refused(tmp_path: Path) -> None:
    pair = [mesh(tmp_path / "a.gii", structure="CortexRight"), mesh(tmp_path / "b.gii", structure="CortexLeft")]
    with pytest.raises(InputError, match="left surface is CortexRight"):
        neighbours_of(on_surfaces(4, 4, [0, 5]), surfaces=pair)


def test_what_is_no_mesh_is_refused(tmp_path: Path) -> None:
    infinite = POINTS.copy()
    infinite[0, 0] = np.inf
    for name, points, triangles, message in (
        ("a", POINTS, TRIANGLES + 1, "triangles of other vertices than its 4"),
        ("b", POINTS, TRIANGLES.astype(np.float32), "triangles of other vertices"),
        ("c", infinite, TRIANGLES, "NaN or Inf"),
        ("d", POINTS[:, :2], TRIANGLES, "of three columns"),
    ):
        with pytest.raises(InputError, match=message):
            read_mesh(mesh(tmp_path / f"{name}.gii", points, triangles))


def test_meshes_are_separated_by_a_comma() -> None:
    assert mesh_files("a/lh.gii,b/rh.gii") == (Path("a/lh.gii"), Path("b/rh.gii"))
    assert mesh_files("a/lh.gii") == (Path("a/lh.gii"),)
    assert mesh_files(None) == ()
