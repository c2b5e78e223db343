"""Subjects' maps in GIFTI files."""

from pathlib import Path

import numpy as np
import pytest
from nibabel.gifti.gifti import GiftiDataArray, GiftiImage, GiftiMetaData
from numpy.typing import NDArray

from thalgpu.engine.inputs.map_files import read_map_files
from thalgpu.engine.inputs.maps_surfaces import side_of
from thalgpu.engine.inputs.model import SurfaceGrid
from thalgpu.engine.inputs.subject_maps import settle_all
from thalgpu.errors import InputError

N_LEFT, N_RIGHT, N = 12, 15, 4


@pytest.fixture
def left(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.normal(size=(N, N_LEFT)).astype(np.float32)


@pytest.fixture
def right(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.normal(size=(N, N_RIGHT)).astype(np.float32)


def save(path: Path, *rows: NDArray[np.float32], structure: str = "", intent: str = "NIFTI_INTENT_SHAPE") -> Path:
    meta = GiftiMetaData(AnatomicalStructurePrimary=structure) if structure else GiftiMetaData()
    arrays = [GiftiDataArray(row, intent=intent, datatype="NIFTI_TYPE_FLOAT32") for row in rows]
    GiftiImage(meta=meta, darrays=arrays).to_filename(path)
    return path


def one_a_subject(folder: Path, rows: NDArray[np.float32], side: str) -> list[Path]:
    return [
        save(folder / f"sub-{n:02d}_hemi-{side}_thickness.shape.gii", row) for n, row in enumerate(rows.copy(), start=1)
    ]


def test_one_hemisphere_of_every_subject(left: NDArray[np.float32], tmp_path: Path) -> None:
    (found,) = settle_all(read_map_files(one_a_subject(tmp_path, left, "L")))
    assert np.array_equal(found.values, left)
    assert found.ids == ("01", "02", "03", "04")
    assert found.space is not None
    assert found.space.grid == SurfaceGrid(N_LEFT, 0)


def test_pairs_are_joined_left_first_in_any_order(
    left: NDArray[np.float32], right: NDArray[np.float32], tmp_path: Path
) -> None:
    lefts, rights = one_a_subject(tmp_path, left, "L"), one_a_subject(tmp_path, right, "R")
    (found,) = settle_all(read_map_files([*reversed(rights), *lefts]))
    assert np.array_equal(found.values, np.hstack([left, right]))
    assert found.space is not None
    assert found.space.grid == SurfaceGrid(N_LEFT, N_RIGHT)
    assert np.array_equal(found.space.hemisphere, [-1] * N_LEFT + [1] * N_RIGHT)
    assert set(found.sources) == {*lefts, *rights}


def test_arrays_of_one_file_or_one_pair_are_the_subjects(
    left: NDArray[np.float32], right: NDArray[np.float32], tmp_path: Path
) -> None:
    pair = [save(tmp_path / "lh.thickness.gii", *left), save(tmp_path / "rh.thickness.gii", *right)]
    (both,) = settle_all(read_map_files(pair))
    (alone,) = settle_all(read_map_files(pair[1:]))
    assert np.array_equal(both.values, np.hstack([left, right]))
    assert np.array_equal(alone.values, right)
    assert both.ids is None


def test_components_are_arrays_of_every_subjects_file(left: NDArray[np.float32], tmp_path: Path) -> None:
    paths = [save(tmp_path / f"sub-{n}_hemi-L.func.gii", row, row + n) for n, row in enumerate(left)]
    first, second = settle_all(read_map_files(paths, components=(1, 2)))
    assert np.array_equal(first.values, left)
    assert np.array_equal(second.values, left + np.arange(N, dtype=np.float32)[:, None])
    assert (first.name, second.name) == ("component-1", "component-2")


@pytest.mark.parametrize(
    ("name", "structure", "side"),
    [
        ("sub-01_hemi-L_thickness.shape.gii", "", "left"),
        ("sub-01_hemi-R.func.gii", "", "right"),
        ("lh.thickness.gii", "", "left"),
        ("rh.thickness.shape.gii", "", "right"),
        ("100307.L.thickness.32k_fs_LR.shape.gii", "", "left"),
        ("100307.R.thickness.32k_fs_LR.shape.gii", "", "right"),
        ("thickness.shape.gii", "CortexRight", "right"),
    ],
)
def test_name_or_metadata_say_the_hemisphere(
    name: str, structure: str, side: str, left: NDArray[np.float32], tmp_path: Path
) -> None:
    assert side_of(save(tmp_path / name, left[0], structure=structure)) == side


def test_a_mask_of_one_hemisphere_is_one_file_or_its_half_of_a_pair(
    left: NDArray[np.float32], right: NDArray[np.float32], tmp_path: Path
) -> None:
    paths = one_a_subject(tmp_path, right, "R")
    inside = np.arange(N_RIGHT) % 2 == 0
    masks = [
        save(tmp_path / "mask.L.gii", np.ones(N_LEFT, dtype=np.float32)),
        save(tmp_path / "mask.R.gii", inside.astype(np.float32)),
    ]
    for mask in (str(masks[1]), f"{masks[0]},{masks[1]}"):
        (found,) = settle_all(read_map_files(paths, mask=mask))
        assert np.array_equal(found.values, right[:, inside])
        assert found.n_source == 8
    (both,) = settle_all(read_map_files([*one_a_subject(tmp_path, left, "L"), *paths], mask=f"{masks[0]},{masks[1]}"))
    assert np.array_equal(both.values, np.hstack([left, right[:, inside]]))


def test_a_hemisphere_that_nothing_says_is_refused(left: NDArray[np.float32], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither its name nor its metadata say the hemisphere .* — name it"):
        settle_all(read_map_files([save(tmp_path / "thickness.shape.gii", *left)]))


def test_a_name_that_contradicts_the_metadata_is_refused(left: NDArray[np.float32], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="left surface is CortexRight by its own metadata"):
        settle_all(read_map_files([save(tmp_path / "lh.shape.gii", *left, structure="CortexRight")]))


def test_a_subject_without_one_hemisphere_is_named(
    left: NDArray[np.float32], right: NDArray[np.float32], tmp_path: Path
) -> None:
    lefts, rights = one_a_subject(tmp_path, left, "L"), one_a_subject(tmp_path, right, "R")
    with pytest.raises(InputError, match=r"sub-03 has no file of the right hemisphere .*sub-03_hemi-L"):
        settle_all(read_map_files([*lefts, *rights[:2], rights[3]]))


def test_unequal_numbers_of_nameless_files_are_refused(
    left: NDArray[np.float32], right: NDArray[np.float32], tmp_path: Path
) -> None:
    lefts = [save(tmp_path / f"a{n}.L.gii", row) for n, row in enumerate(left)]
    rights = [save(tmp_path / f"a{n}.R.gii", row) for n, row in enumerate(right[:3])]
    with pytest.raises(InputError, match="4 files of the left hemisphere and 3 of the right"):
        settle_all(read_map_files([*lefts, *rights]))
    (found,) = settle_all(read_map_files([*lefts[:3], *rights]))
    assert found.values.shape == (3, N_LEFT + N_RIGHT)


def test_another_number_of_vertices_names_both_files(
    left: NDArray[np.float32], right: NDArray[np.float32], tmp_path: Path
) -> None:
    paths = [*one_a_subject(tmp_path, left, "L"), save(tmp_path / "sub-09_hemi-L.shape.gii", right[0])]
    with pytest.raises(InputError, match=r"15 vertices where .*sub-01_hemi-L.* has 12 .*sub-09"):
        settle_all(read_map_files(paths))


def test_a_pair_with_different_numbers_of_subjects_is_refused(
    left: NDArray[np.float32], right: NDArray[np.float32], tmp_path: Path
) -> None:
    pair = [save(tmp_path / "lh.gii", *left), save(tmp_path / "rh.gii", *right[:3])]
    with pytest.raises(InputError, match=r"3 maps where .*lh\.gii has 4"):
        settle_all(read_map_files(pair))


def test_a_mesh_is_no_map(rng: np.random.Generator, tmp_path: Path) -> None:
    points = rng.normal(size=(N_LEFT, 3)).astype(np.float32)
    path = save(tmp_path / "lh.surf.gii", points, intent="NIFTI_INTENT_POINTSET")
    with pytest.raises(InputError, match=r"a mesh, not a map .* as --surface"):
        settle_all(read_map_files([path]))


def test_arrays_of_different_lengths_in_one_file_are_refused(
    left: NDArray[np.float32], right: NDArray[np.float32], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="arrays of different lengths"):
        settle_all(read_map_files([save(tmp_path / "lh.gii", left[0], right[0])]))


def test_a_mask_of_another_surface_is_refused(
    left: NDArray[np.float32], right: NDArray[np.float32], tmp_path: Path
) -> None:
    mask = save(tmp_path / "mask.R.gii", np.ones(N_RIGHT, dtype=np.float32))
    with pytest.raises(InputError, match=r"15 vertices where .* has 12"):
        settle_all(read_map_files(one_a_subject(tmp_path, left, "L"), mask=str(mask)))


def test_vertices_that_are_nan_in_everybody_are_left_out(left: NDArray[np.float32], tmp_path: Path) -> None:
    left[:, 3:5] = np.nan  # the medial wall
    (found,) = settle_all(read_map_files(one_a_subject(tmp_path, left, "L")))
    assert found.n_left_out == 2
    assert np.array_equal(found.kept, np.delete(np.arange(N_LEFT), [3, 4]))
    assert found.space is not None
    assert np.array_equal(found.space.flat, found.kept)
