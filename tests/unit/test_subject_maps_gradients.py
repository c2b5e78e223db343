"""Aligned gradients read from an output folder of `thalgpu gradients`."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.cifti2.cifti2_axes import BrainModelAxis
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import CiftiGrid, Grid, Region, VolumeGrid
from thalgpu.engine.inputs.region_parts import region_from_elements
from thalgpu.engine.inputs.subject_maps import settle_all
from thalgpu.engine.outputs.images import write_maps
from thalgpu.engine.outputs.names import Side, subject_paths
from thalgpu.engine.outputs.store import write_record
from thalgpu.engine.pipelines.subject_maps import read_subject_maps
from thalgpu.errors import InputError, ThalgpuWarning

GRID = VolumeGrid((4, 5, 6), ((-2.0, 0, 0, 90), (0, 2.0, 0, -126), (0, 0, 2.0, -72), (0, 0, 0, 1.0)))
FLAT = np.array([10, 11, 40, 41, 42, 99])
N, K = len(FLAT), 3


def region(grid: Grid = GRID) -> Region:
    return region_from_elements("thalamus", grid, FLAT if grid is GRID else np.arange(N))


def write_subject(
    out: Path, label: str, *, side: Side | None = None, place: Region | None = None, **changed: Any
) -> NDArray[np.float32]:
    """One subject's outputs as `thalgpu gradients` writes them; the aligned gradients."""
    place = place or region()
    rng = np.random.default_rng([int(label), ord(side or "B")])
    rotation = np.linalg.qr(rng.normal(size=(K, K)))[0]
    content = {
        "aligned": rng.normal(size=(N, K)).astype(np.float32),
        "rotation": rotation,
        "covered": np.ones(N, dtype=np.uint8),
    } | {name: value for name, value in changed.items() if name != "template"}
    paths = subject_paths(out, label, side, place.grid)
    own = {"gradients": content["aligned"]} | ({} if place.ijk is None else {"voxel_ijk": place.ijk})
    if isinstance(place.grid, CiftiGrid):
        del own["voxel_ijk"]
    write_record(paths.record, own, {}, key="a key")
    write_maps(paths.maps, content["aligned"], place, [f"gradient{k + 1}" for k in range(K)])
    attributes = {"participant_id": label, "template": changed.get("template", "one")}
    write_record(paths.aligned, content, attributes, key="a key")
    aligned: NDArray[np.float32] = content["aligned"]
    return aligned


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for label in ("10", "02", "01"):
        write_subject(tmp_path / "out", label)
    return tmp_path / "out"


def test_the_first_component_of_every_subject_ascending_by_id(out: Path) -> None:
    (found,) = settle_all(read_subject_maps([out]))
    assert found.ids == ("01", "02", "10")
    assert found.name == ""
    expected = [write_subject(out.parent / "again", label)[:, 0] for label in found.ids]
    assert np.array_equal(found.values, np.array(expected, dtype=np.float64))
    assert len(found.sources) == 3


def test_features_lie_where_the_voxels_of_the_thalamus_are(out: Path) -> None:
    (found,) = settle_all(read_subject_maps([out]))
    assert found.space is not None
    assert np.array_equal(found.space.flat, FLAT)
    assert isinstance(found.space.grid, VolumeGrid)
    assert found.space.grid.shape == GRID.shape
    assert np.allclose(found.space.grid.affine, GRID.affine)


def test_several_components_are_several_measures(out: Path) -> None:
    second, first = settle_all(read_subject_maps([out], components=(2, 1, 2)))
    assert (second.name, first.name) == ("component-2", "component-1")
    assert np.array_equal(second.values[0], write_subject(out.parent / "again", "01")[:, 1])


def test_hemispheres_embedded_apart_are_measures_of_their_own(tmp_path: Path) -> None:
    for label in ("01", "02"):
        write_subject(tmp_path, label, side="L")
        write_subject(tmp_path, label, side="R")
    assert [maps.name for maps in settle_all(read_subject_maps([tmp_path]))] == ["hemi-L", "hemi-R"]
    names = [maps.name for maps in settle_all(read_subject_maps([tmp_path], components=(1, 2)))]
    assert names == ["hemi-L_component-1", "hemi-L_component-2", "hemi-R_component-1", "hemi-R_component-2"]


def test_voxels_that_a_subject_does_not_cover_are_left_out_and_counted(out: Path) -> None:
    covered = np.array([1, 1, 0, 1, 1, 1], dtype=np.uint8)
    write_subject(out, "02", covered=covered)
    (found,) = settle_all(read_subject_maps([out]))
    assert np.array_equal(found.kept, [0, 1, 3, 4, 5])
    assert (found.n_source, found.n_left_out) == (N, 1)
    assert found.space is not None
    assert np.array_equal(found.space.flat, FLAT[[0, 1, 3, 4, 5]])


def test_only_the_subjects_chosen_need_to_cover_a_voxel(out: Path) -> None:
    write_subject(out, "02", covered=np.array([1, 1, 0, 1, 1, 1], dtype=np.uint8))
    (found,) = settle_all(read_subject_maps([out]), [2, 0])
    assert (found.ids, found.n_left_out) == (("10", "01"), 0)
    expected = [write_subject(out.parent / "again", label)[:, 0] for label in ("10", "01")]
    assert np.array_equal(found.values, np.array(expected, dtype=np.float64))


def test_a_mask_narrows_the_thalamus(out: Path, tmp_path: Path) -> None:
    write_maps(tmp_path / "mask.nii.gz", np.ones((2, 1)), region_from_elements("m", GRID, np.array([11, 99])), ["m"])
    (found,) = settle_all(read_subject_maps([out], mask=str(tmp_path / "mask.nii.gz")))
    assert np.array_equal(found.kept, [1, 5])
    write_maps(tmp_path / "far.nii.gz", np.ones((1, 1)), region_from_elements("m", GRID, np.array([0])), ["m"])
    with pytest.raises(InputError, match=r"no voxel of the thalamus of .* is inside"):
        settle_all(read_subject_maps([out], mask=str(tmp_path / "far.nii.gz")))


def test_gradients_of_grayordinates_keep_their_axis(tmp_path: Path) -> None:
    axis = BrainModelAxis.from_mask(np.ones((1, 2, 3)), "CIFTI_STRUCTURE_THALAMUS_LEFT", np.diag([2.0, 2, 2, 1]))
    place = region(CiftiGrid(N, axis))
    rows = [write_subject(tmp_path, label, place=place)[:, 0] for label in ("01", "02")]
    (found,) = settle_all(read_subject_maps([tmp_path]))
    assert np.array_equal(found.values, rows)
    assert found.space is not None
    assert isinstance(found.space.grid, CiftiGrid)
    assert found.space.grid.axis == axis
    assert found.space.ijk is not None


def test_gradients_that_were_not_aligned_are_read_with_a_warning(tmp_path: Path) -> None:
    for label in ("01", "02"):
        write_subject(tmp_path, label, rotation=np.eye(K))
    with pytest.warns(ThalgpuWarning, match=r"--alignment none.* — run thalgpu gradients with --alignment procrustes"):
        (found,) = settle_all(read_subject_maps([tmp_path]))
    assert found.values.shape == (2, N)


def test_subjects_of_two_templates_are_refused(out: Path) -> None:
    write_subject(out, "10", template="another")
    with pytest.raises(InputError, match=r"not aligned to the template that .*sub-01.* is aligned to .*sub-10"):
        settle_all(read_subject_maps([out]))


def test_a_component_that_was_not_computed_is_refused(out: Path) -> None:
    with pytest.raises(InputError, match=r"no component 4: the file has 3 maps"):
        settle_all(read_subject_maps([out], components=(4,)))


def test_a_subject_without_one_hemisphere_is_named(tmp_path: Path) -> None:
    write_subject(tmp_path, "01", side="L")
    write_subject(tmp_path, "02", side="L")
    write_subject(tmp_path, "01", side="R")
    with pytest.raises(InputError, match="sub-02 has no gradients of hemisphere R"):
        settle_all(read_subject_maps([tmp_path]))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no aligned gradients in this folder .* — give the --out"):
        settle_all(read_subject_maps([tmp_path]))


def test_a_folder_beside_files_is_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder beside other maps"):
        settle_all(read_subject_maps([tmp_path / "maps.nii", out]))


def test_maps_that_are_missing_beside_a_record_are_named(out: Path) -> None:
    (out / "sub-01/func/sub-01_seg-thalamus_stat-gradients_boldmap.nii.gz").unlink()
    with pytest.raises(InputError, match="the maps beside it are missing"):
        settle_all(read_subject_maps([out]))


def test_maps_of_another_grid_beside_a_record_are_refused(out: Path) -> None:
    path = out / "sub-01/func/sub-01_seg-thalamus_stat-gradients_boldmap.nii.gz"
    small = VolumeGrid((2, 2, 2), GRID.affine)
    write_maps(path, np.ones((1, 1)), region_from_elements("m", small, np.array([0])), ["m"])
    with pytest.raises(InputError, match="voxels outside the maps beside it"):
        settle_all(read_subject_maps([out]))


def test_one_subject_is_not_enough(tmp_path: Path) -> None:
    write_subject(tmp_path, "01")
    with pytest.raises(InputError, match="one subject alone, sub-01"):
        settle_all(read_subject_maps([tmp_path]))


def test_damage_to_any_file_of_the_folder_is_an_input_error_or_no_change(out: Path, tmp_path: Path) -> None:
    (sound,) = settle_all(read_subject_maps([out]))
    rng = np.random.default_rng(11)
    for number in range(int(os.environ.get("THALGPU_FUZZ", "120"))):
        copy = tmp_path / "copy"
        shutil.copytree(out, copy, dirs_exist_ok=True)
        path = rng.choice(sorted(str(p) for p in copy.glob("sub-01/func/*") if p.suffix != ".json"))
        content = bytearray(Path(path).read_bytes())
        if number % 4:
            content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        else:
            del content[int(rng.integers(len(content))) :]
        Path(path).write_bytes(content)
        try:
            (found,) = settle_all(read_subject_maps([copy]))
        except InputError:
            continue
        assert np.array_equal(found.values, sound.values)
