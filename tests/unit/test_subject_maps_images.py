"""Subjects' maps in NIfTI and CIFTI files, and lists of them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2.cifti2 import Cifti2Image
from nibabel.cifti2.cifti2_axes import BrainModelAxis, ScalarAxis, SeriesAxis
from numpy.typing import NDArray

from thalgpu.engine.inputs.map_files import read_map_files
from thalgpu.engine.inputs.model import VolumeGrid
from thalgpu.engine.inputs.subject_maps import settle_all
from thalgpu.errors import InputError, UsageError

SHAPE, N = (4, 5, 6), 7
AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])


@pytest.fixture
def maps(rng: np.random.Generator) -> NDArray[np.float32]:
    """(*SHAPE, N): the first plane is 0 and the second NaN in everybody, as outside a brain."""
    values = rng.normal(size=(*SHAPE, N)).astype(np.float32)
    values[0], values[1] = 0, np.nan
    return values


def save(path: Path, values: NDArray[Any], affine: NDArray[np.float64] = AFFINE) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def one_a_subject(folder: Path, maps: NDArray[Any], names: str = "sub-{:02d}_stat.nii.gz") -> list[Path]:
    return [save(folder / names.format(number + 1), maps[..., number]) for number in range(maps.shape[-1])]


def expected(maps: NDArray[Any]) -> NDArray[np.float64]:
    return maps[2:].reshape(-1, maps.shape[-1]).T.astype(np.float64)


def test_volumes_of_one_file_are_the_subjects(maps: NDArray[np.float32], tmp_path: Path) -> None:
    path = save(tmp_path / "all.nii.gz", maps)
    (found,) = settle_all(read_map_files([path]))
    assert np.array_equal(found.values, expected(maps))
    assert found.values.dtype == np.float64
    assert (found.ids, found.name) == (None, "")
    assert found.sources == {path: hashlib.sha256(path.read_bytes()).hexdigest()}


def test_what_is_the_same_or_nan_in_everybody_is_left_out_and_counted(
    maps: NDArray[np.float32], tmp_path: Path
) -> None:
    (found,) = settle_all(read_map_files([save(tmp_path / "all.nii.gz", maps)]))
    assert (found.n_source, found.n_left_out) == (120, 60)
    assert np.array_equal(found.kept, np.arange(60, 120))


def test_features_know_where_they_lie(maps: NDArray[np.float32], tmp_path: Path) -> None:
    (found,) = settle_all(read_map_files([save(tmp_path / "all.nii.gz", maps)]))
    space = found.space
    assert space is not None
    assert space.grid == VolumeGrid(SHAPE, tuple(tuple(row) for row in AFFINE.tolist()))
    assert space.ijk is not None
    assert space.xyz is not None
    assert np.array_equal(maps[tuple(space.ijk.T)].T, found.values)
    assert np.allclose(space.xyz, nib.affines.apply_affine(AFFINE, space.ijk))


def test_scaled_integers_are_read_as_their_values(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(120 * 2).reshape(*SHAPE, 2).astype(np.int16), AFFINE)
    raw = bytearray(image.to_bytes())
    raw[112:120] = np.array([0.5, 10], dtype="<f4").tobytes()  # scl_slope and scl_inter
    (tmp_path / "all.nii").write_bytes(raw)
    (found,) = settle_all(read_map_files([tmp_path / "all.nii"]))
    assert np.array_equal(found.values, np.arange(120 * 2).reshape(-1, 2).T * 0.5 + 10)


def test_files_of_one_subject_each_give_the_same_maps_with_ids(maps: NDArray[np.float32], tmp_path: Path) -> None:
    (found,) = settle_all(read_map_files(one_a_subject(tmp_path, maps)))
    assert np.array_equal(found.values, expected(maps))
    assert found.ids == ("01", "02", "03", "04", "05", "06", "07")
    assert len(found.sources) == N


def test_ids_stand_in_the_folder_where_the_names_have_none(maps: NDArray[np.float32], tmp_path: Path) -> None:
    (found,) = settle_all(read_map_files(one_a_subject(tmp_path, maps[..., :2], "sub-{:02d}/anat/thickness.nii")))
    assert found.ids == ("01", "02")


def test_maps_without_any_id_have_none(maps: NDArray[np.float32], tmp_path: Path) -> None:
    (found,) = settle_all(read_map_files(one_a_subject(tmp_path, maps, "person{}.nii")))
    assert found.ids is None


def test_a_text_file_lists_maps_in_its_order(maps: NDArray[np.float32], tmp_path: Path) -> None:
    names = [path.name for path in one_a_subject(tmp_path, maps)]
    (tmp_path / "list.txt").write_text("\ufeff# maps\r\n" + "\r\n".join(reversed(names)) + "  # the last\r\n")
    (found,) = settle_all(read_map_files([tmp_path / "list.txt"]))
    assert np.array_equal(found.values, expected(maps)[::-1])
    assert found.ids == ("07", "06", "05", "04", "03", "02", "01")


def test_components_of_every_subjects_file_are_measures(rng: np.random.Generator, tmp_path: Path) -> None:
    values = rng.normal(size=(3, *SHAPE, 4))
    paths = [save(tmp_path / f"sub-{number}.nii.gz", one) for number, one in enumerate(values)]
    first, third = settle_all(read_map_files(paths, components=(1, 3)))
    assert (first.name, third.name) == ("component-1", "component-3")
    assert np.array_equal(first.values, values[..., 0].reshape(3, -1))
    assert np.array_equal(third.values, values[..., 2].reshape(3, -1))
    (alone,) = settle_all(read_map_files(paths, components=(3,)))
    assert alone.name == ""


def test_a_mask_says_which_voxels_are_tested(maps: NDArray[np.float32], tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[2, :2] = 10
    mask[3, 0] = 49
    save(tmp_path / "mask.nii.gz", mask)
    path = save(tmp_path / "all.nii.gz", maps)
    (found,) = settle_all(read_map_files([path], mask=str(tmp_path / "mask.nii.gz")))
    assert np.array_equal(found.values, maps[mask > 0].T)
    assert (found.n_source, found.n_left_out) == (18, 0)
    (labelled,) = settle_all(read_map_files([path], mask=f"{tmp_path / 'mask.nii.gz'}:49"))
    assert np.array_equal(labelled.values, maps[mask == 49].T)


def dense(path: Path, matrix: NDArray[Any], names: list[str], axis: Any = None) -> Path:
    Cifti2Image(matrix, (ScalarAxis(names), grayordinates() if axis is None else axis)).to_filename(path)
    return path


def grayordinates() -> Any:
    axis = BrainModelAxis.from_surface(np.arange(9), 12, "CIFTI_STRUCTURE_CORTEX_LEFT")
    return axis + BrainModelAxis.from_mask(np.ones((2, 2, 2)), "CIFTI_STRUCTURE_THALAMUS_LEFT", AFFINE)


def test_maps_of_a_dscalar_are_the_subjects_and_their_names_the_ids(rng: np.random.Generator, tmp_path: Path) -> None:
    matrix = rng.normal(size=(3, 17)).astype(np.float32)
    (found,) = settle_all(
        read_map_files([dense(tmp_path / "all.dscalar.nii", matrix, ["sub-9_a", "sub-07_a", "sub-x1_a"])])
    )
    assert np.array_equal(found.values, matrix)
    assert found.ids == ("9", "07", "x1")
    (nameless,) = settle_all(read_map_files([dense(tmp_path / "all.dscalar.nii", matrix, ["sub-9", "average", "c"])]))
    assert nameless.ids is None


def test_dscalars_of_one_subject_each_are_joined(rng: np.random.Generator, tmp_path: Path) -> None:
    matrix = rng.normal(size=(3, 17)).astype(np.float32)
    paths = [dense(tmp_path / f"sub-{n}.dscalar.nii", row[None], ["map"]) for n, row in enumerate(matrix)]
    (found,) = settle_all(read_map_files(paths))
    assert np.array_equal(found.values, matrix)
    assert found.ids == ("0", "1", "2")


def test_a_dense_mask_is_brought_onto_the_maps_grayordinates(rng: np.random.Generator, tmp_path: Path) -> None:
    matrix = rng.normal(size=(3, 17)).astype(np.float32)
    path = dense(tmp_path / "all.dscalar.nii", matrix, ["a", "b", "c"])
    thalamus = BrainModelAxis.from_mask(np.ones((2, 2, 2)), "CIFTI_STRUCTURE_THALAMUS_LEFT", AFFINE)
    mask = dense(tmp_path / "mask.dscalar.nii", np.ones((1, 8), dtype=np.float32), ["m"], thalamus)
    (found,) = settle_all(read_map_files([path], mask=str(mask)))
    assert np.array_equal(found.values, matrix[:, 9:])
    assert found.space is not None
    assert np.array_equal(found.space.flat, np.arange(9, 17))


def moved(path: Path, maps: NDArray[Any]) -> None:
    affine = AFFINE.copy()
    affine[0, 3] += 2
    save(path, maps[..., 2], affine)


def with_nan(path: Path, maps: NDArray[Any]) -> None:
    values = maps[..., 2].copy()
    values[3, :, 0] = np.nan
    save(path, values)


def with_infinity(path: Path, maps: NDArray[Any]) -> None:
    values = maps[..., 2].copy()
    values[3, 0, 0] = np.inf
    save(path, values)


def not_a_nifti(path: Path, maps: NDArray[Any]) -> None:
    path.write_bytes(b"nothing of the kind")


def missing(path: Path, maps: NDArray[Any]) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (moved, r"grid differs from that of .*sub-01_stat.nii.gz.* \(.*sub-03_stat"),
        (with_nan, r"sub-03 has no usable number .* at 5 of 90 features .*sub-03_stat.nii.gz\) — give a --mask"),
        (with_infinity, "sub-03 has no usable number .* at 1 of 90 features"),
        (not_a_nifti, "not a NIfTI file"),
        (missing, "cannot be opened"),
    ],
)
def test_the_file_that_cannot_be_used_is_named(
    damage: Callable[[Path, NDArray[Any]], None], message: str, maps: NDArray[np.float32], tmp_path: Path
) -> None:
    paths = one_a_subject(tmp_path, maps)
    damage(paths[2], maps)
    with pytest.raises(InputError, match=message):
        settle_all(read_map_files(paths))


def test_several_subjects_with_gaps_are_counted(maps: NDArray[np.float32], tmp_path: Path) -> None:
    maps[3, 0, 0, 1:4] = np.nan
    with pytest.raises(InputError, match="and 2 other subjects at some"):
        settle_all(read_map_files([save(tmp_path / "all.nii.gz", maps)]))


def test_one_subject_is_not_enough(maps: NDArray[np.float32], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="maps of one subject alone"):
        settle_all(read_map_files([save(tmp_path / "sub-01.nii.gz", maps[..., 0])]))


def test_maps_that_do_not_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of 120 features has values that differ between the 3 subjects"):
        settle_all(read_map_files([save(tmp_path / "all.nii.gz", np.ones((*SHAPE, 3)))]))


def test_a_subject_given_twice_is_refused(maps: NDArray[np.float32], tmp_path: Path) -> None:
    paths = [save(tmp_path / f"sub-01_ses-{n}.nii", maps[..., n]) for n in (1, 2)]
    with pytest.raises(InputError, match=r"sub-01 has .*ses-1.nii already .*ses-2.nii"):
        settle_all(read_map_files(paths))


def test_a_file_without_an_id_among_others_is_refused(maps: NDArray[np.float32], tmp_path: Path) -> None:
    paths = [save(tmp_path / name, maps[..., 0]) for name in ("sub-01.nii", "average.nii")]
    with pytest.raises(InputError, match=r"no sub-XX, as others have .*average.nii"):
        settle_all(read_map_files(paths))


def test_a_component_that_a_file_does_not_have_is_refused(maps: NDArray[np.float32], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no component 2: the file has one map .*sub-01"):
        settle_all(read_map_files(one_a_subject(tmp_path, maps), components=(2,)))


def test_the_maps_of_one_file_are_no_components(maps: NDArray[np.float32], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are the subjects, not components"):
        settle_all(read_map_files([save(tmp_path / "all.nii", maps)], components=(2,)))


def test_an_empty_mask_and_one_of_another_grid_are_refused(maps: NDArray[np.float32], tmp_path: Path) -> None:
    path = save(tmp_path / "all.nii", maps)
    with pytest.raises(InputError, match="mask is empty"):
        settle_all(read_map_files([path], mask=str(save(tmp_path / "empty.nii", np.zeros(SHAPE, dtype=np.uint8)))))
    with pytest.raises(InputError, match=r"grid differs from that of .*all.nii: shape \(3, 5, 6\)"):
        settle_all(read_map_files([path], mask=str(save(tmp_path / "other.nii", np.ones((3, 5, 6), dtype=np.uint8)))))


def test_cifti_among_nifti_is_refused(maps: NDArray[np.float32], rng: np.random.Generator, tmp_path: Path) -> None:
    paths = [
        save(tmp_path / "sub-01.nii", maps[..., 0]),
        dense(tmp_path / "sub-02.dscalar.nii", rng.normal(size=(1, 17)), ["m"]),
    ]
    with pytest.raises(InputError, match=r"differs from that of .*sub-01.nii: CIFTI with 17 grayordinates"):
        settle_all(read_map_files(paths))


def test_a_dense_time_series_is_no_set_of_maps(rng: np.random.Generator, tmp_path: Path) -> None:
    path = tmp_path / "bold.dtseries.nii"
    Cifti2Image(rng.normal(size=(3, 17)), (SeriesAxis(0, 2, 3), grayordinates())).to_filename(path)
    with pytest.raises(InputError, match="not maps of grayordinates"):
        settle_all(read_map_files([path]))


def test_maps_of_a_subject_twice_in_one_dscalar_are_refused(rng: np.random.Generator, tmp_path: Path) -> None:
    path = dense(tmp_path / "all.dscalar.nii", rng.normal(size=(3, 17)), ["sub-1_a", "sub-1_b", "sub-2_a"])
    with pytest.raises(InputError, match="2 maps of sub-1"):
        settle_all(read_map_files([path]))


def test_five_dimensions_are_refused(rng: np.random.Generator, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="5 dimensions"):
        settle_all(read_map_files([save(tmp_path / "all.nii", rng.normal(size=(*SHAPE, 2, 3)))]))


def test_missing_files_of_a_list_are_named_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# maps\nsub-01.nii\n\nsub-02.nii\n")
    with pytest.raises(InputError, match=r"no file .*sub-01.nii .* and 1 more: line 4: .*list.txt:2"):
        settle_all(read_map_files([tmp_path / "list.txt"]))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["sub-01.nii", "sub-02.func.gii"], r"not the kind of file that .*sub-01.nii is"),
        (["picture.png"], "not a kind of file that maps are read from"),
        (["a.npy", "b.npy"], "only one file of this kind"),
        (["a.txt", "b.txt"], "only one file of this kind"),
        (["missing.txt"], "no file"),
        (["x" * 300 + ".nii"], "cannot be opened"),
        (["x" * 300 + ".h5"], "no such file"),
    ],
)
def test_names_that_cannot_be_meant_are_refused(names: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        settle_all(read_map_files([tmp_path / name for name in names]))


def test_a_list_of_arrays_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    (tmp_path / "list.txt").write_text("a.npy\n")
    with pytest.raises(InputError, match="only images can be listed"):
        settle_all(read_map_files([tmp_path / "list.txt"]))


def test_no_maps_at_all_are_a_mistake_of_the_call() -> None:
    with pytest.raises(UsageError, match="no maps"):
        settle_all(read_map_files([]))
