import numpy as np
import pytest

from thalgpu.engine.inputs.gifti import read_gifti
from thalgpu.engine.inputs.map_neighbours import read_mesh
from thalgpu.engine.inputs.maps_surfaces import side_of
from thalgpu.engine.outputs.structure_names import STRUCTURES, anat_folder, displacement_map
from thalgpu.engine.outputs.surfaces import write_shape, write_surface
from thalgpu.errors import ThalgpuError

VERTICES = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])


def test_a_mesh_is_read_back_with_its_side(tmp_path):
    mesh = read_mesh(write_surface(tmp_path / "a.surf.gii", VERTICES, FACES, STRUCTURES["R"]))
    np.testing.assert_array_equal(mesh.coordinates, VERTICES)
    np.testing.assert_array_equal(mesh.faces, FACES)
    assert side_of(tmp_path / "a.surf.gii") == "right"


def test_the_same_map_gives_the_same_bytes_and_a_name_that_says_its_side(tmp_path):
    paths = [displacement_map(tmp_path / name, "01", "L") for name in "ab"]
    for path in paths:
        write_shape(path, np.arange(4.0), STRUCTURES["L"], "displacement")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert side_of(paths[0]) == "left"
    np.testing.assert_array_equal(read_gifti(paths[0]).arrays[0], np.arange(4))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_nan_leaves_the_engine(tmp_path, bad):
    with pytest.raises(ThalgpuError, match="NaN or Inf"):
        write_shape(tmp_path / "a.shape.gii", np.array([1.0, bad]), "ThalamusLeft", "displacement")
    with pytest.raises(ThalgpuError, match="NaN or Inf"):
        write_surface(tmp_path / "a.surf.gii", np.full((4, 3), bad), FACES, "ThalamusLeft")
    assert not list(tmp_path.iterdir())


def test_an_id_that_would_leave_the_folder_has_no_place(tmp_path):
    with pytest.raises(ValueError, match="letters and digits"):
        anat_folder(tmp_path, "../01")
