"""Maps written and read as NIfTI, CIFTI and GIFTI."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2.cifti2_axes import BrainModelAxis
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import CiftiGrid, Region, SurfaceGrid, VolumeGrid
from thalgpu.engine.outputs.images import read_maps, write_maps
from thalgpu.engine.outputs.store import write_record
from thalgpu.errors import InputError, ThalgpuError

SHAPE = (5, 6, 7)
AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
FLAT = np.array([3, 40, 41, 100, 209])
NAMES = ("gradient1", "gradient2")


def nested(affine: NDArray[np.float64]) -> Any:
    return tuple(tuple(row) for row in affine.tolist())


def volume(affine: NDArray[np.float64] = AFFINE, parcel: NDArray[np.int32] | None = None) -> Region:
    ijk = np.column_stack(np.unravel_index(FLAT, SHAPE)).astype(np.int32)
    names = () if parcel is None else ("a", "b")
    grid = VolumeGrid(SHAPE, nested(affine))
    return Region("mask", grid, FLAT, np.zeros(len(FLAT), dtype=np.int8), ijk=ijk, parcel=parcel, names=names)


def cifti() -> Region:
    axis = BrainModelAxis.from_surface(np.arange(9), 12, "CIFTI_STRUCTURE_CORTEX_LEFT")
    axis += BrainModelAxis.from_mask(np.ones(SHAPE), "CIFTI_STRUCTURE_THALAMUS_LEFT", AFFINE)
    return Region("scan", CiftiGrid(len(axis), axis), FLAT + 9, np.full(len(FLAT), -1, dtype=np.int8))


def surface() -> Region:
    hemisphere = np.array([-1, -1, -1, 1, 1], dtype=np.int8)
    return Region("cortex", SurfaceGrid(100, 120), FLAT, hemisphere)


def load(path: Path) -> Any:
    """An image as nibabel reads it."""
    return nib.load(path)


@pytest.fixture
def values(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.normal(size=(len(FLAT), 2)).astype(np.float32)


def test_a_volume_has_the_values_at_the_voxels_and_zero_elsewhere(values: NDArray[np.float32], tmp_path: Path) -> None:
    assert write_maps(tmp_path / "maps.nii.gz", values, volume(), NAMES) == (tmp_path / "maps.nii.gz",)
    found = np.asarray(load(tmp_path / "maps.nii.gz").dataobj).reshape(-1, 2)
    assert np.array_equal(found[FLAT], values)
    assert np.count_nonzero(found) == values.size


def test_a_volume_says_where_and_what_it_is(values: NDArray[np.float32], tmp_path: Path) -> None:
    write_maps(tmp_path / "maps.nii.gz", values, volume(), NAMES)
    image = load(tmp_path / "maps.nii.gz")
    header = image.header
    assert image.shape == (*SHAPE, 2)
    assert np.array_equal(image.affine, AFFINE)
    assert np.allclose(image.get_qform(), AFFINE, atol=1e-5)  # the header's quaternion is float32
    assert (int(header["sform_code"]), int(header["qform_code"])) == (2, 2)
    assert header.get_intent()[0] == "estimate"
    assert header.get_xyzt_units()[0] == "mm"
    assert header.get_data_dtype() == np.float32
    assert bytes(header["descrip"].item()) == b"thalgpu"


def test_a_sheared_affine_has_no_quaternion(values: NDArray[np.float32], tmp_path: Path) -> None:
    sheared = AFFINE.copy()
    sheared[0, 1] = 0.5
    write_maps(tmp_path / "maps.nii.gz", values, volume(sheared), NAMES)
    image = load(tmp_path / "maps.nii.gz")
    assert np.array_equal(image.affine, sheared)
    assert int(image.header["qform_code"]) == 0


def test_one_map_is_a_volume_of_four_dimensions(values: NDArray[np.float32], tmp_path: Path) -> None:
    write_maps(tmp_path / "maps.nii.gz", values[:, :1], volume(), NAMES[:1])
    assert load(tmp_path / "maps.nii.gz").shape == (*SHAPE, 1)
    assert np.array_equal(read_maps(tmp_path / "maps.nii.gz", volume()), values[:, :1])


def test_gzip_carries_neither_time_nor_name(values: NDArray[np.float32], tmp_path: Path) -> None:
    write_maps(tmp_path / "maps.nii.gz", values, volume(), NAMES)
    raw = (tmp_path / "maps.nii.gz").read_bytes()
    assert raw[3:8] == bytes(5)  # flags: no name; time: 0
    assert len(gzip.decompress(raw)) == 352 + 4 * np.prod(SHAPE) * 2


def test_cifti_holds_the_grayordinates_of_the_region_only(values: NDArray[np.float32], tmp_path: Path) -> None:
    region = cifti()
    write_maps(tmp_path / "maps.dscalar.nii", values, region, NAMES)
    image = load(tmp_path / "maps.dscalar.nii")
    scalars, models = (image.header.get_axis(index) for index in (0, 1))
    assert list(scalars.name) == list(NAMES)
    grid: Any = region.grid
    assert models == grid.axis[region.flat]
    assert np.array_equal(image.get_fdata(dtype=np.float32), values.T)
    assert image.get_data_dtype() == np.float32
    assert image.nifti_header.get_intent()[0] == "ConnDenseScalar"


def test_surfaces_are_a_pair_of_all_vertices(values: NDArray[np.float32], tmp_path: Path) -> None:
    pair = (tmp_path / "hemi-L.func.gii", tmp_path / "hemi-R.func.gii")
    assert write_maps(pair, values, surface(), NAMES) == pair
    left, right = (load(path) for path in pair)
    assert [array.metadata["Name"] for array in left.darrays] == list(NAMES)
    assert left.meta["AnatomicalStructurePrimary"] == "CortexLeft"
    assert right.meta["AnatomicalStructurePrimary"] == "CortexRight"
    both = np.hstack([np.array(left.agg_data()), np.array(right.agg_data())])
    assert both.shape == (2, 220)
    assert np.array_equal(both[:, FLAT], values.T)
    assert np.count_nonzero(both) == values.size


@pytest.mark.parametrize(("region", "name"), [(volume, "maps.nii.gz"), (cifti, "maps.dscalar.nii")])
def test_what_is_written_is_read(
    region: Callable[[], Region], name: str, values: NDArray[np.float32], tmp_path: Path
) -> None:
    write_maps(tmp_path / name, values, region(), NAMES)
    assert np.array_equal(read_maps(tmp_path / name, region()), values)


@pytest.mark.parametrize(
    ("region", "names"),
    [
        (volume, ("maps.nii.gz",)),
        (cifti, ("maps.dscalar.nii",)),
        (surface, ("L.func.gii", "R.func.gii")),
    ],
)
def test_the_same_maps_have_the_same_bytes(
    region: Callable[[], Region], names: tuple[str, ...], values: NDArray[np.float32], tmp_path: Path
) -> None:
    first = write_maps([tmp_path / "a" / name for name in names], values, region(), NAMES)
    second = write_maps([tmp_path / "b" / name for name in names], values, region(), NAMES)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_parcel_gives_its_value_to_all_its_voxels_and_back(tmp_path: Path) -> None:
    region = volume(parcel=np.array([0, 1, 1, 0, 1], dtype=np.int32))
    values = np.array([[0.1, 0.2], [0.3, 0.4]], dtype=np.float32)
    write_maps(tmp_path / "maps.nii.gz", values, region, NAMES)
    found = np.asarray(load(tmp_path / "maps.nii.gz").dataobj).reshape(-1, 2)
    assert np.array_equal(found[FLAT], values[[0, 1, 1, 0, 1]])
    assert np.array_equal(read_maps(tmp_path / "maps.nii.gz", region), values)


def test_a_dscalar_of_the_whole_grid_is_read_at_the_region(values: NDArray[np.float32], tmp_path: Path) -> None:
    region = cifti()
    grid = region.grid
    assert isinstance(grid, CiftiGrid)
    n = grid.n_grayordinates
    everything = Region("all", grid, np.arange(n), np.zeros(n, dtype=np.int8))
    whole = np.zeros((n, 2), dtype=np.float32)
    whole[region.flat] = values
    write_maps(tmp_path / "whole.dscalar.nii", whole, everything, NAMES)
    assert np.array_equal(read_maps(tmp_path / "whole.dscalar.nii", region), values)


def test_a_groups_record_is_read(values: NDArray[np.float32], tmp_path: Path) -> None:
    region = volume()
    assert region.ijk is not None
    write_record(tmp_path / "gradients.h5", {"template": values, "voxel_ijk": region.ijk}, {}, key="a key")
    assert np.array_equal(read_maps(tmp_path / "gradients.h5", region), values)


def test_a_groups_record_of_other_voxels_is_refused(values: NDArray[np.float32], tmp_path: Path) -> None:
    region = volume()
    assert region.ijk is not None
    write_record(tmp_path / "gradients.h5", {"template": values, "voxel_ijk": region.ijk + 1}, {}, key="a key")
    with pytest.raises(InputError, match="other voxels"):
        read_maps(tmp_path / "gradients.h5", region)


def test_a_template_on_another_grid_is_refused(values: NDArray[np.float32], tmp_path: Path) -> None:
    write_maps(tmp_path / "maps.nii.gz", values, volume(), NAMES)
    shifted = AFFINE.copy()
    shifted[0, 3] += 2
    with pytest.raises(InputError, match=r"first voxel at \(90, -126, -72\) mm, not \(92, .* give maps on the grid"):
        read_maps(tmp_path / "maps.nii.gz", volume(shifted))
    with pytest.raises(InputError, match="not maps on the grid"):
        read_maps(tmp_path / "maps.nii.gz", cifti())


def test_a_template_with_nan_in_the_region_is_refused(tmp_path: Path) -> None:
    broken = np.zeros(SHAPE, dtype=np.float32)
    broken.flat[FLAT[0]] = np.nan
    nib.save(nib.Nifti1Image(broken, AFFINE), tmp_path / "maps.nii")
    with pytest.raises(InputError, match="NaN or Inf"):
        read_maps(tmp_path / "maps.nii", volume())


def test_a_template_of_zeros_in_the_region_is_refused(tmp_path: Path) -> None:
    elsewhere = np.ones(SHAPE, dtype=np.float32)
    elsewhere.flat[FLAT] = 0
    nib.save(nib.Nifti1Image(elsewhere, AFFINE), tmp_path / "maps.nii")
    with pytest.raises(InputError, match="0 everywhere in the region"):
        read_maps(tmp_path / "maps.nii", volume())


@pytest.mark.parametrize("kind", ["own", "damaged", "attributes", "other", "text"])
def test_to_remove_a_file_of_the_users_own_is_never_advised(
    values: NDArray[np.float32], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "truth.h5"
    match kind:
        case "own":
            with h5py.File(path, "w") as file:
                file["gradients"] = values
        case "attributes":
            with h5py.File(path, "w") as file:
                file.attrs["numbers"] = np.arange(3)
        case "other":
            write_record(path, {"gradients": values}, {}, key="a key")
        case "damaged":
            write_record(path, {"template": values}, {}, key="a key")
            path.write_bytes(path.read_bytes()[:-300])
        case "text":
            path.write_text("no HDF5")
    with pytest.raises(InputError, match=r"truth\.h5") as caught:
        read_maps(path, volume())
    assert "remove the file" not in str(caught.value)
    assert str(caught.value).endswith("or a group's gradients.h5")


def test_a_template_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a kind of file"):
        read_maps(tmp_path / "maps.txt", volume())


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_no_such_number_leaves_the_engine(bad: float, values: NDArray[np.float32], tmp_path: Path) -> None:
    values[2, 1] = bad
    with pytest.raises(ThalgpuError, match="NaN or Inf") as raised:
        write_maps(tmp_path / "maps.nii.gz", values, volume(), NAMES)
    assert raised.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_another_kind_is_refused(values: NDArray[np.float32], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no name for maps on a CiftiGrid"):
        write_maps(tmp_path / "maps.nii.gz", values, cifti(), NAMES)
