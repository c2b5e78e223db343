"""Statistics written in the kind of the maps they were made of."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2.cifti2_axes import BrainModelAxis
from numpy.typing import NDArray

from thalgpu.engine.inputs.map_files import read_map_files
from thalgpu.engine.inputs.model import CiftiGrid, Region, SurfaceGrid, VolumeGrid
from thalgpu.engine.inputs.region_parts import region_from_elements
from thalgpu.engine.inputs.subject_maps import settle_all
from thalgpu.engine.outputs.stat_maps import stat_map_stem, write_result_table, write_stat_map
from thalgpu.errors import ThalgpuError

SHAPE = (3, 4, 5)
AFFINE = ((-2.0, 0.0, 0.0, 90.0), (0.0, 2.0, 0.0, -126.0), (0.0, 0.0, 2.0, -72.0), (0.0, 0.0, 0.0, 1.0))
FLAT = np.array([3, 7, 20, 41])
VALUES = np.array([1.5, -2.25, 0.5, 3.0])
ABOUT = {"Description": "t of age"}


def load(path: Path) -> Any:
    return nib.load(path)


@pytest.fixture
def volume() -> Region:
    return region_from_elements("mask", VolumeGrid(SHAPE, AFFINE), FLAT)


@pytest.fixture
def dense() -> Region:
    axis = BrainModelAxis.from_surface(np.arange(50), 60, "CIFTI_STRUCTURE_CORTEX_LEFT")
    return region_from_elements("mask", CiftiGrid(50, axis), FLAT)


def test_names_are_those_of_the_interface(tmp_path: Path) -> None:
    assert stat_map_stem(tmp_path, "age", "tfcepfwe") == tmp_path / "contrast-age_stat-tfcepfwe_statmap"
    separate = stat_map_stem(tmp_path, "age", "t", "hemi-L_component-2")
    assert separate.name == "hemi-L_component-2_contrast-age_stat-t_statmap"


def test_a_volume_has_three_dimensions_and_says_what_it_is(volume: Region, tmp_path: Path) -> None:
    written = write_stat_map(stat_map_stem(tmp_path, "age", "t"), VALUES, volume, "t", degrees=[12], about=ABOUT)
    assert written == tuple(tmp_path / f"contrast-age_stat-t_statmap{end}" for end in (".nii.gz", ".json"))
    image = load(written[0])
    assert image.shape == SHAPE
    assert np.array_equal(image.affine, AFFINE)
    assert image.header.get_intent() == ("t test", (12.0,), "t")
    found = np.asarray(image.dataobj).ravel()
    assert np.array_equal(found[FLAT], VALUES)
    assert np.count_nonzero(found) == len(FLAT)


@pytest.mark.parametrize(
    ("stat", "degrees", "intent"),
    [
        ("f", (2, 80), ("f test", (2.0, 80.0))),
        ("t", (), ("t test", (0.0,))),
        ("z", (), ("z score", ())),
        ("pfwe", (), ("p value", ())),
        ("tfce", (12,), ("estimate", ())),
    ],
)
def test_statistics_carry_their_intents(
    stat: str, degrees: tuple[float, ...], intent: tuple[object, ...], volume: Region, tmp_path: Path
) -> None:
    path, _ = write_stat_map(tmp_path / "map", np.full(4, 0.5), volume, stat, degrees=degrees, about=ABOUT)
    assert load(path).header.get_intent()[:2] == intent


@pytest.mark.parametrize("stat", ["p", "pfwe", "pfdr", "tfcep", "tfcepfwe", "tfcepfdr", "clusterextentpfwejoint"])
def test_what_was_not_tested_has_a_p_of_one(stat: str, volume: Region, tmp_path: Path) -> None:
    path, _ = write_stat_map(tmp_path / "map", np.full(4, 0.01), volume, stat, about=ABOUT)
    found = np.asarray(load(path).dataobj).ravel()
    assert np.array_equal(np.flatnonzero(found < 1), FLAT)
    assert found.max() == 1


@pytest.mark.parametrize("p", [0.05, 0.0001, 1 / 3, 1.0])
def test_a_threshold_keeps_a_p_that_equals_it(p: float, volume: Region, tmp_path: Path) -> None:
    path, _ = write_stat_map(tmp_path / "map", np.full(4, p), volume, "pfwe", about=ABOUT)
    found = load(path).get_fdata().ravel()[FLAT]
    assert (found <= p).all()
    assert (found > p * (1 - 2**-23)).all()  # by no more than the last bit of a float32


@pytest.mark.parametrize("stat", ["t", "tfce", "clusterextent", "clustermass", "hedgesg", "partialetasq", "estimate"])
def test_what_was_not_tested_has_a_statistic_of_zero(stat: str, volume: Region, tmp_path: Path) -> None:
    path, _ = write_stat_map(tmp_path / "map", VALUES, volume, stat, about=ABOUT)
    assert np.count_nonzero(np.asarray(load(path).dataobj)) == 4


def test_a_dscalar_has_all_grayordinates_of_the_maps(dense: Region, tmp_path: Path) -> None:
    path, _ = write_stat_map(tmp_path / "map", VALUES, dense, "t", about=ABOUT)
    assert path.name == "map.dscalar.nii"
    image, grid = load(path), dense.grid
    assert isinstance(grid, CiftiGrid)
    assert image.header.get_axis(1) == grid.axis
    assert list(image.header.get_axis(0).name) == ["t"]
    expected = np.zeros((1, 50))
    expected[0, FLAT] = VALUES
    assert np.array_equal(image.get_fdata(), expected)


@pytest.mark.parametrize(
    ("grid", "names"),
    [
        (SurfaceGrid(20, 30), ["hemi-L_map.func.gii", "hemi-R_map.func.gii"]),
        (SurfaceGrid(50, 0), ["hemi-L_map.func.gii"]),
        (SurfaceGrid(0, 50), ["hemi-R_map.func.gii"]),
    ],
)
def test_every_hemisphere_of_the_maps_has_a_file(grid: SurfaceGrid, names: list[str], tmp_path: Path) -> None:
    space = region_from_elements("maps", grid, FLAT)
    *paths, sidecar = write_stat_map(tmp_path / "map", VALUES, space, "t", degrees=(12,), about=ABOUT)
    assert [path.name for path in paths] == names
    assert sidecar.name == "map.json"
    whole = np.zeros(50)
    whole[FLAT] = VALUES
    assert np.array_equal(np.concatenate([load(path).darrays[0].data for path in paths]), whole)
    for path in paths:
        image = load(path)
        assert image.darrays[0].intent == 3  # NIFTI_INTENT_TTEST
        assert image.meta["AnatomicalStructurePrimary"] == f"Cortex{'Left' if '-L_' in path.name else 'Right'}"


def test_the_sidecar_says_what_it_was_told(volume: Region, tmp_path: Path) -> None:
    *_, sidecar = write_stat_map(tmp_path / "map", VALUES, volume, "t", about=ABOUT)
    content = json.loads(sidecar.read_text())
    assert content["Description"] == "t of age"
    assert "thalgpu" in content["SoftwareVersions"]


def test_the_same_statistics_have_the_same_bytes(volume: Region, dense: Region, tmp_path: Path) -> None:
    for space in (volume, dense):
        first = write_stat_map(tmp_path / "a", VALUES, space, "t", about=ABOUT)
        second = write_stat_map(tmp_path / "b", VALUES, space, "t", about=ABOUT)
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_written_maps_are_maps_of_subjects_again(volume: Region, tmp_path: Path) -> None:
    maps = [write_stat_map(tmp_path / f"sub-{n}_map", VALUES + n, volume, "t", about=ABOUT)[0] for n in (1, 2)]
    (found,) = settle_all(read_map_files(maps))
    assert np.array_equal(found.values, [VALUES + 1, VALUES + 2])
    assert found.space is not None
    assert np.array_equal(found.space.flat, volume.flat)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_no_such_number_leaves_the_engine(bad: float, volume: Region, tmp_path: Path) -> None:
    values: NDArray[np.float64] = np.array([1.0, 2.0, bad, 4.0])
    with pytest.raises(ThalgpuError, match="map of t holds NaN, Inf or huge"):
        write_stat_map(tmp_path / "map", values, volume, "t", about=ABOUT)
    assert list(tmp_path.iterdir()) == []


def test_a_map_of_another_length_is_a_mistake_of_the_call(volume: Region, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a map of 4 features"):
        write_stat_map(tmp_path / "map", VALUES[:3], volume, "t", about=ABOUT)


def test_a_table_has_a_row_a_feature_and_a_column_a_statistic(tmp_path: Path) -> None:
    columns = {"age_t": np.array([1.5, -2.0]), "age_pfwe": np.array([0.01, 1.0])}
    write_result_table(tmp_path / "results.tsv", ["left", "right"], columns)
    text = (tmp_path / "results.tsv").read_text()
    assert text == "feature\tage_t\tage_pfwe\nleft\t1.5\t0.01\nright\t-2\t1\n"
