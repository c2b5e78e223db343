"""Regions named by the user or found: elements, hemispheres, parcels, and what is refused."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel import cifti2
from numpy.typing import NDArray

from thalgpu.engine.inputs.gifti import read_gifti, read_gifti_shape
from thalgpu.engine.inputs.model import LEFT, MIDLINE, RIGHT, CiftiGrid, Region, Run, Subject, SurfaceGrid, VolumeGrid
from thalgpu.engine.inputs.regions import check_grids, find_regions, read_region, region_key, subset
from thalgpu.errors import InputError, ThalgpuWarning

SHAPE = (9, 8, 7)
AFFINE = np.array([[2.0, 0, 0, -8], [0, 2, 0, -8], [0, 0, 2, -6], [0, 0, 0, 1]])
"""x of voxel i is 2 i − 8 mm: 0–3 left, 4 the midline, 5–8 right."""

Write = Callable[..., Path]


@pytest.fixture
def volume(tmp_path: Path) -> Write:
    def write(name: str, values: NDArray[Any], affine: NDArray[Any] = AFFINE) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(values, affine), path)
        return path

    return write


@pytest.fixture
def cohort(volume: Write, rng: np.random.Generator) -> Callable[..., tuple[Subject, ...]]:
    """Subjects with a noise scan each, and the files that are asked for."""

    def make(n: int = 3, name: str = "sub-{}_bold.nii.gz", affine: NDArray[Any] = AFFINE, **files: Any) -> Any:
        subjects = []
        for i in range(n):
            bold = volume(name.format(i), rng.normal(size=(*SHAPE, 12)).astype("f4"), affine)
            own = {key: value[i] if isinstance(value, list) else value for key, value in files.items()}
            subjects.append(Subject(str(i), (Run(bold),), i + 1, **own))
        return tuple(subjects)

    return make


def block(*places: tuple[slice, int]) -> NDArray[np.int16]:
    """An image that is the label on the given slabs of x and 0 elsewhere."""
    values = np.zeros(SHAPE, np.int16)
    for x, label in places:
        values[x, 2:5, 2:5] = label
    return values


THALAMUS = block((slice(3, 6), 1))


@pytest.fixture
def masks(volume: Write) -> dict[str, str]:
    cortex = np.zeros(SHAPE, np.uint8)
    cortex[:, 0], cortex[:, -1] = 1, 1
    return {"thalamus": str(volume("thalamus.nii.gz", THALAMUS)), "cortex": str(volume("cortex.nii.gz", cortex))}


def test_a_mask_gives_voxels_in_c_order_with_places_and_hemispheres(cohort: Any, masks: dict[str, str]) -> None:
    thalamus, cortex = find_regions(cohort(), **masks)
    np.testing.assert_array_equal(thalamus.flat, np.flatnonzero(THALAMUS))
    np.testing.assert_array_equal(thalamus.ijk, np.argwhere(THALAMUS))
    np.testing.assert_allclose(thalamus.xyz, nib.affines.apply_affine(AFFINE, np.argwhere(THALAMUS)), atol=1e-6)
    np.testing.assert_array_equal(thalamus.hemisphere, np.repeat([LEFT, MIDLINE, RIGHT], 9))
    assert (thalamus.parcel, cortex.parcel, cortex.n_units) == (None, None, 2 * 9 * 7)


def test_hemispheres_follow_the_affine_not_the_index(cohort: Any, volume: Write) -> None:
    flipped = AFFINE.copy()
    flipped[0] = [-2, 0, 0, 8]
    thalamus = str(volume("t.nii.gz", THALAMUS, flipped))
    cortex = str(volume("c.nii.gz", block((slice(0, 2), 1)), flipped))
    found, _ = find_regions(cohort(affine=flipped), thalamus=thalamus, cortex=cortex)
    np.testing.assert_array_equal(found.hemisphere, np.repeat([RIGHT, MIDLINE, LEFT], 9))


def test_a_label_image_gives_parcels_in_label_order(cohort: Any, volume: Write, masks: dict[str, str]) -> None:
    atlas = volume("atlas.nii.gz", block((slice(0, 1), 30), (slice(1, 3), 7), (slice(6, 9), 12)))
    with pytest.warns(ThalgpuWarning, match="only 3 parcels"):
        _, cortex = find_regions(cohort(), thalamus=masks["thalamus"], cortex=str(atlas))
    assert cortex.names == ("7", "12", "30")
    np.testing.assert_array_equal(cortex.parcel, np.repeat([2, 0, 1], [9, 18, 27]))
    np.testing.assert_array_equal(cortex.parcel_hemisphere, [LEFT, RIGHT, LEFT])


def test_a_label_image_of_the_thalamus_is_one_mask(cohort: Any, volume: Write, masks: dict[str, str]) -> None:
    nuclei = volume("nuclei.nii.gz", block((slice(3, 4), 5), (slice(4, 6), 8)))
    thalamus, _ = find_regions(cohort(), thalamus=str(nuclei), cortex=masks["cortex"])
    assert (thalamus.parcel, thalamus.n_units) == (None, 27)


@pytest.mark.parametrize(
    ("labels", "n_voxels"),
    [("7", 18), ("7,12", 45), ("7-30", 54), ("7-7", 18), ("Front", 18), ("front,30", 27), (" 12 , 7-7", 45)],
)
def test_labels_are_chosen_by_number_range_or_name(
    cohort: Any, volume: Write, masks: dict[str, str], labels: str, n_voxels: int
) -> None:
    atlas = volume("x_res-2_dseg.nii.gz", block((slice(0, 1), 30), (slice(1, 3), 7), (slice(6, 9), 12)))
    (atlas.parent / "x_dseg.tsv").write_text("index\tname\n7\tFront\n12\tBack\n")
    thalamus, _ = find_regions(cohort(), thalamus=f"{atlas}:{labels}", cortex=masks["cortex"])
    assert thalamus.n_units == n_voxels


def test_parcels_take_their_names_from_the_table_beside_the_image(volume: Write) -> None:
    atlas = volume("a.nii.gz", block((slice(0, 1), 2), (slice(1, 3), 7)))
    atlas.with_name("a.tsv").write_text("index\tname\tcolor\n7\tFront\t#fff\nnonsense\n0\tBackground\t\n")
    assert read_region(str(atlas), VolumeGrid(SHAPE, tuple(map(tuple, AFFINE)))).names == ("2", "Front")


def test_one_label_of_an_atlas_is_a_mask(cohort: Any, volume: Write, masks: dict[str, str]) -> None:
    atlas = volume("atlas.nii.gz", block((slice(0, 1), 30), (slice(6, 9), 12)))
    _, cortex = find_regions(cohort(), thalamus=masks["thalamus"], cortex=f"{atlas}:12")
    assert (cortex.parcel, cortex.n_units) == (None, 27)


def test_freesurfer_labels_say_the_hemisphere_across_the_midline(
    cohort: Any, volume: Write, masks: dict[str, str]
) -> None:
    aseg = volume("aseg.nii.gz", block((slice(3, 5), 10), (slice(5, 6), 49)))
    thalamus, _ = find_regions(cohort(), thalamus=f"{aseg}:10,49", cortex=masks["cortex"])
    np.testing.assert_array_equal(thalamus.hemisphere, np.repeat([LEFT, LEFT, RIGHT], 9))


def test_labels_10_and_49_of_another_atlas_say_nothing_about_the_hemisphere(
    cohort: Any, volume: Write, masks: dict[str, str]
) -> None:
    schaefer = volume("s.nii.gz", block((slice(0, 1), 1), (slice(3, 4), 49), (slice(5, 6), 10)))
    thalamus, _ = find_regions(cohort(), thalamus=f"{schaefer}:10,49", cortex=masks["cortex"])
    np.testing.assert_array_equal(thalamus.hemisphere, np.repeat([LEFT, RIGHT], 9))


def test_thalamic_voxels_are_taken_out_of_the_targets_with_a_warning(cohort: Any, volume: Write, masks: Any) -> None:
    everywhere = volume("brain.nii.gz", np.ones(SHAPE, np.uint8))
    with pytest.warns(ThalgpuWarning, match="27 elements of .*brain.nii.gz belong to .*thalamus.nii.gz"):
        thalamus, cortex = find_regions(cohort(), thalamus=masks["thalamus"], cortex=str(everywhere))
    assert not np.isin(cortex.flat, thalamus.flat).any()
    assert cortex.n_units == np.prod(SHAPE) - 27


def test_group_mask_holds_the_voxels_of_at_least_half_of_the_segmentations(cohort: Any, volume: Write) -> None:
    thick = block((slice(2, 4), 10), (slice(5, 7), 49), (slice(0, 1), 1005), (slice(8, 9), 2005), (slice(1, 2), 1004))
    thin = block((slice(3, 4), 10), (slice(5, 6), 49), (slice(0, 1), 3), (slice(8, 9), 42))
    files = [volume(f"{i}_dseg.nii.gz", image) for i, image in enumerate([thick, thin, thin, thick])]
    thalamus, cortex = find_regions(cohort(4, aseg=files), thalamus=None, cortex=None)
    np.testing.assert_array_equal(np.unique(thalamus.ijk[:, 0]), [2, 3, 5, 6])
    np.testing.assert_array_equal(np.unique(cortex.ijk[:, 0]), [0, 8])
    thalamus, _ = find_regions(cohort(3, aseg=files[:3]), thalamus=None, cortex=None)
    np.testing.assert_array_equal(np.unique(thalamus.ijk[:, 0]), [3, 5])


def test_group_hemisphere_is_that_of_most_labels(cohort: Any, volume: Write) -> None:
    left, right = (block((slice(4, 5), label), (slice(0, 1), 3), (slice(8, 9), 42)) for label in (10, 49))
    files = [volume(f"{i}_dseg.nii.gz", image) for i, image in enumerate([left, right, left])]
    thalamus, _ = find_regions(cohort(3, aseg=files), thalamus=None, cortex=None)
    assert set(thalamus.hemisphere.tolist()) == {LEFT}


def test_a_segmentation_that_cannot_vote_is_named_and_does_not_stop_the_others(cohort: Any, volume: Write) -> None:
    good = block((slice(3, 4), 10), (slice(5, 6), 49), (slice(0, 1), 3), (slice(8, 9), 42))
    files = [volume("0.nii.gz", good), volume("1.nii.gz", good), volume("2.nii.gz", good, np.eye(4)), None]
    files[0].write_bytes(b"damaged")
    with pytest.warns(
        ThalgpuWarning, match=r"3 of 4 subjects have no vote .*1 have none; sub-0: .*; sub-2: its grid differs"
    ):
        thalamus, _ = find_regions(cohort(4, aseg=files), thalamus=None, cortex=None)
    assert thalamus.n_units == 18


def test_the_grid_of_most_scans_decides_about_a_vote(cohort: Any, volume: Write) -> None:
    good = volume("s.nii.gz", block((slice(3, 4), 10), (slice(5, 6), 49), (slice(0, 1), 3), (slice(8, 9), 42)))
    (odd,) = cohort(1, name="sub-odd{}_bold.nii.gz", affine=np.eye(4))
    subjects = (odd, *cohort(2, aseg=good))
    with pytest.warns(ThalgpuWarning, match="1 have none"):
        thalamus, _ = find_regions(subjects, thalamus=None, cortex=None)
    check_grids(subjects[1], [thalamus])
    with pytest.raises(InputError, match=r"voxels of 1 × 1 × 1 mm, not 2 × 2 × 2 mm .*sub-odd0_bold"):
        check_grids(odd, [thalamus])


def test_one_damaged_scan_does_not_stop_the_search(cohort: Any, masks: dict[str, str]) -> None:
    subjects = cohort()
    subjects[0].runs[0].bold.write_bytes(b"damaged")
    assert find_regions(subjects, **masks)[0].n_units == 27
    for subject in subjects[1:]:
        subject.runs[0].bold.write_bytes(b"damaged")
    with pytest.raises(InputError, match="sub-0_bold"):
        find_regions(subjects, **masks)


def test_columns_of_the_list_come_before_segmentations(cohort: Any, volume: Write, masks: dict[str, str]) -> None:
    files = [volume(f"t{i}.nii.gz", block((slice(3, 5 + i), 1))) for i in range(3)]
    aseg = volume("a.nii.gz", block((slice(0, 8), 10)))
    thalamus, _ = find_regions(cohort(thalamus=files, aseg=aseg), thalamus=None, cortex=masks["cortex"])
    np.testing.assert_array_equal(np.unique(thalamus.ijk[:, 0]), [3, 4, 5])  # in 3, 3 and 2 of 3 files


def test_one_parcellation_in_the_column_cortex_gives_parcels(cohort: Any, volume: Write, masks: Any) -> None:
    atlas = volume("atlas.nii.gz", np.arange(1, 9, dtype=np.int16)[None, :, None] * np.ones(SHAPE, np.int16))
    with pytest.warns(ThalgpuWarning) as remarks:
        _, cortex = find_regions(cohort(cortex=atlas), thalamus=masks["thalamus"], cortex=None)
    assert cortex.n_units == 8
    assert ["only 8 parcels" in str(remark.message) for remark in remarks] == [False, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(SHAPE, "u1"), "the mask is empty"),
        (np.full(SHAPE, 0.37, "f4"), "neither mask nor label image: it holds values such as 0.37"),
        (np.full(SHAPE, -1, "i2"), "they must not be negative"),
        (np.full(SHAPE, np.inf, "f4"), "infinite values"),
        (np.ones((*SHAPE, 3), "u1"), "4 dimensions where a mask or label image has 3"),
        (block((slice(4, 5), 1)) * (np.arange(7) == 3), "the thalamus has 3 voxels"),
    ],
)
def test_an_unusable_mask_is_refused(
    cohort: Any, volume: Write, masks: dict[str, str], values: NDArray[Any], message: str
) -> None:
    path = volume("bad.nii.gz", values)
    with pytest.raises(InputError, match=message):
        find_regions(cohort(), thalamus=str(path), cortex=masks["cortex"])


def test_nan_outside_a_mask_counts_as_outside(cohort: Any, volume: Write, masks: dict[str, str]) -> None:
    path = volume("nan.nii.gz", np.where(THALAMUS == 1, 1, np.nan).astype("f4"))
    assert find_regions(cohort(), thalamus=str(path), cortex=masks["cortex"])[0].n_units == 27


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (":99", "label '99' does not occur .* it has 1"),
        (":1-3", "label '3' does not occur .* it has 1"),
        (":0-1", "label '0' does not occur"),
        (":3-1", "label '3' does not occur"),
        (":Pulvinar", "label 'Pulvinar' does not occur"),
        (":", "no label after the colon"),
        (":1,", "label '' does not occur"),
        ("x", "cannot be opened"),
    ],
)
def test_a_bad_region_argument_is_refused(cohort: Any, masks: dict[str, str], suffix: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_regions(cohort(), thalamus=masks["thalamus"] + suffix, cortex=masks["cortex"])


def test_regions_on_different_grids_are_refused_naming_both(cohort: Any, volume: Write, masks: dict[str, str]) -> None:
    other = volume("other.nii.gz", np.ones((4, 4, 4), "u1"))
    with pytest.raises(InputError, match=r"thalamus.nii.gz: shape \(4, 4, 4\), not \(9, 8, 7\) .*other.nii"):
        find_regions(cohort(), thalamus=masks["thalamus"], cortex=str(other))


@pytest.mark.parametrize(("shift", "fits"), [(0.0009, True), (0.0012, False)])
def test_affines_may_differ_by_a_thousandth_of_a_millimetre(
    cohort: Any, masks: dict[str, str], shift: float, fits: bool
) -> None:
    thalamus, _ = find_regions(cohort(), **masks)
    moved = AFFINE.copy()
    moved[0, 3] += shift
    (subject,) = cohort(1, name="sub-moved{}_bold.nii.gz", affine=moved)
    if fits:
        check_grids(subject, [thalamus])
    else:
        with pytest.raises(InputError, match="resample one to the other's space"):
            check_grids(subject, [thalamus])


# CIFTI ----------------------------------------------------------------------------------------------------------------


def brain_models(n_vertices: int = 12, medial: int = 3) -> Any:
    """Cortex of both hemispheres without the first `medial` vertices, and both thalami."""
    thalamus = np.zeros(SHAPE, bool)
    thalamus[1:4, 2:4, 2:4] = True
    other = thalamus[::-1]
    parts = [
        cifti2.BrainModelAxis.from_surface(np.arange(medial, n_vertices), n_vertices, name=f"cortex_{side}")
        for side in ("left", "right")
    ]
    parts += [
        cifti2.BrainModelAxis.from_mask(mask, name=f"thalamus_{side}", affine=AFFINE)
        for mask, side in ((thalamus, "left"), (other, "right"))
    ]
    return parts[0] + parts[1] + parts[2] + parts[3]


@pytest.fixture
def grayordinates(tmp_path: Path, rng: np.random.Generator) -> tuple[Subject, ...]:
    axis = brain_models()
    bold = tmp_path / "sub-1_bold.dtseries.nii"
    values = rng.normal(size=(12, len(axis))).astype("f4")
    nib.save(nib.Cifti2Image(values, (cifti2.SeriesAxis(0, 2, 12), axis)), bold)
    return (Subject("1", (Run(bold),), 1),)


def save_labels(path: Path, axis: Any, values: list[int], table: dict[int, str]) -> str:
    names = {key: (name, (0.0, 0.0, 0.0, 1.0)) for key, name in {0: "???", **table}.items()}
    image = nib.Cifti2Image(np.array([values], "f4"), (cifti2.LabelAxis(["map"], [names]), axis))
    nib.save(image, path)
    return str(path)


def test_cifti_brings_its_own_thalamus_and_cortex(grayordinates: tuple[Subject, ...]) -> None:
    thalamus, cortex = find_regions(grayordinates, thalamus=None, cortex=None)
    assert isinstance(thalamus.grid, CiftiGrid)
    np.testing.assert_array_equal(cortex.flat, np.arange(18))
    np.testing.assert_array_equal(thalamus.flat, np.arange(18, 42))
    np.testing.assert_array_equal(thalamus.hemisphere, np.repeat([LEFT, RIGHT], 12))
    np.testing.assert_array_equal(cortex.hemisphere, np.repeat([LEFT, RIGHT], 9))
    assert cortex.xyz is None
    np.testing.assert_allclose(thalamus.xyz, nib.affines.apply_affine(AFFINE, thalamus.ijk), atol=1e-6)
    check_grids(grayordinates[0], [thalamus])


def test_a_dlabel_of_whole_surfaces_is_matched_vertex_by_vertex(
    grayordinates: tuple[Subject, ...], tmp_path: Path
) -> None:
    whole = cifti2.BrainModelAxis.from_surface(np.arange(12), 12, name="cortex_left")
    whole += cifti2.BrainModelAxis.from_surface(np.arange(12), 12, name="cortex_right")
    labels = [*[9] * 3, *[1] * 4, *[2] * 5, *[9] * 3, *[3] * 9]
    atlas = save_labels(tmp_path / "a.dlabel.nii", whole, labels, {1: "L_A", 2: "L_B", 3: "R_A", 9: "medial"})
    with pytest.warns(ThalgpuWarning, match="only 3 parcels"):
        _, cortex = find_regions(grayordinates, thalamus=None, cortex=atlas)
    assert cortex.names == ("L_A", "L_B", "R_A")
    np.testing.assert_array_equal(cortex.parcel, np.repeat([0, 1, 2], [4, 5, 9]))
    np.testing.assert_array_equal(cortex.parcel_hemisphere, [LEFT, LEFT, RIGHT])


def test_a_cifti_mask_of_thalamic_voxels_is_matched_voxel_by_voxel(
    grayordinates: tuple[Subject, ...], tmp_path: Path
) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[1:3] = True
    inside = np.zeros(SHAPE, bool)
    inside[:, 2:4, 2:4] = True
    axis = cifti2.BrainModelAxis.from_mask(mask, name="thalamus_left", affine=AFFINE)
    path = tmp_path / "mask.dscalar.nii"
    nib.save(nib.Cifti2Image(np.ones((1, len(axis)), "f4"), (cifti2.ScalarAxis(["m"]), axis)), path)
    thalamus, _ = find_regions(grayordinates, thalamus=str(path), cortex=None)
    np.testing.assert_array_equal(np.unique(thalamus.ijk, axis=0), np.argwhere(mask & inside))


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        (
            cifti2.BrainModelAxis.from_surface(np.arange(5), 40, name="cortex_left"),
            "40 vertices of .*CORTEX_LEFT .* 12",
        ),
        (
            cifti2.BrainModelAxis.from_mask(np.ones((3, 3, 3)), name="thalamus_left", affine=AFFINE),
            r"that of the scans: shape \(3, 3, 3\), not \(9, 8, 7\)",
        ),
        (cifti2.BrainModelAxis.from_surface(np.arange(3), 12, name="cortex_left"), "none of its elements is among"),
    ],
)
def test_a_dlabel_of_another_space_is_refused(
    grayordinates: tuple[Subject, ...], tmp_path: Path, axis: Any, message: str
) -> None:
    atlas = save_labels(tmp_path / "a.dlabel.nii", axis, [1] * len(axis), {1: "A"})
    with pytest.raises(InputError, match=message):
        find_regions(grayordinates, thalamus=None, cortex=atlas)


def test_a_volume_for_cifti_scans_is_refused_naming_both(
    grayordinates: tuple[Subject, ...], masks: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=r"CIFTI with 42 grayordinates, not a volume \(9, 8, 7\)"):
        find_regions(grayordinates, thalamus=masks["thalamus"], cortex=None)


# Surfaces -------------------------------------------------------------------------------------------------------------


def save_gifti(
    path: Path, arrays: list[NDArray[Any]], intent: str, table: dict[int, str] | None = None, structure: str = ""
) -> Path:
    image = nib.GiftiImage(darrays=[nib.gifti.GiftiDataArray(array, intent=intent) for array in arrays])
    if structure:
        image.meta["AnatomicalStructurePrimary"] = structure
    for key, name in (table or {}).items():
        label = nib.gifti.GiftiLabel(key)
        label.label = name
        image.labeltable.labels.append(label)
    nib.save(image, path)
    return path


@pytest.fixture
def surfaces(cohort: Any, tmp_path: Path, rng: np.random.Generator) -> tuple[Subject, ...]:
    """One subject whose first two vertices of each side are medial wall: constant left, NaN right."""
    (subject,) = cohort(1)
    pair = []
    for side, wall in (("L", 5.0), ("R", np.nan)):
        series = rng.normal(size=(12, 10)).astype("f4")
        series[:, :2] = wall
        pair.append(save_gifti(tmp_path / f"{side}.func.gii", list(series), "NIFTI_INTENT_TIME_SERIES"))
    return (Subject("0", (Run(subject.runs[0].bold, surfaces=(pair[0], pair[1])),), 1),)


def test_surface_targets_are_all_vertices_but_the_medial_wall(
    surfaces: tuple[Subject, ...], masks: dict[str, str]
) -> None:
    _, cortex = find_regions(surfaces, thalamus=masks["thalamus"], cortex=None)
    assert cortex.grid == SurfaceGrid(10, 10)
    np.testing.assert_array_equal(cortex.flat, [*range(2, 10), *range(12, 20)])
    np.testing.assert_array_equal(cortex.hemisphere, np.repeat([LEFT, RIGHT], 8))
    check_grids(surfaces[0], [cortex])


def test_a_pair_of_label_giis_gives_parcels_of_each_side(
    surfaces: tuple[Subject, ...], masks: dict[str, str], tmp_path: Path
) -> None:
    values = np.repeat([0, 4, 7], [2, 4, 4]).astype("i4")
    left, right = (
        save_gifti(tmp_path / f"{side}.label.gii", [values], "NIFTI_INTENT_LABEL", {0: "?", 4: "A", 7: "B"})
        for side in "LR"
    )
    with pytest.warns(ThalgpuWarning, match="only 4 parcels"):
        _, cortex = find_regions(surfaces, thalamus=masks["thalamus"], cortex=f"{left},{right}")
    assert cortex.names == ("L_A", "L_B", "R_A", "R_B")
    np.testing.assert_array_equal(cortex.parcel_hemisphere, [LEFT, LEFT, RIGHT, RIGHT])
    _, cortex = find_regions(surfaces, thalamus=masks["thalamus"], cortex=f"{left},{right}:b")
    np.testing.assert_array_equal(cortex.flat, [6, 7, 8, 9, 16, 17, 18, 19])


@pytest.fixture
def sided(tmp_path: Path, rng: np.random.Generator) -> tuple[Path, Path]:
    """A left and a right func.gii that say which they are."""
    left, right = (
        save_gifti(
            tmp_path / f"sided-{side}.func.gii",
            list(rng.normal(size=(12, 10)).astype("f4")),
            "NIFTI_INTENT_TIME_SERIES",
            structure=f"Cortex{side}",
        )
        for side in ("Left", "Right")
    )
    return left, right


def test_exchanged_surfaces_of_a_scan_are_refused(cohort: Any, masks: dict[str, str], sided: tuple[Path, Path]) -> None:
    bold = cohort(1)[0].runs[0].bold
    right_way, exchanged = (Subject("0", (Run(bold, surfaces=pair),), 1) for pair in (sided, sided[::-1]))
    _, cortex = find_regions([right_way], thalamus=masks["thalamus"], cortex=None)
    check_grids(right_way, [cortex])
    message = r"the left surface is CortexRight by its own metadata .*sided-Right.* exchange the two files"
    with pytest.raises(InputError, match=message):
        check_grids(exchanged, [cortex])
    with pytest.raises(InputError, match=message):
        find_regions([exchanged], thalamus=masks["thalamus"], cortex=None)


def test_exchanged_surfaces_of_a_region_are_refused(cohort: Any, masks: dict[str, str], tmp_path: Path) -> None:
    left, right = (
        save_gifti(tmp_path / f"{side}.shape.gii", [np.ones(10, "f4")], "NIFTI_INTENT_SHAPE", structure=side)
        for side in ("CORTEX_LEFT", "CORTEX_RIGHT")
    )
    assert find_regions(cohort(), thalamus=masks["thalamus"], cortex=f"{left},{right}")[1].n_units == 20
    with pytest.raises(InputError, match="the left surface is CORTEX_RIGHT"):
        find_regions(cohort(), thalamus=masks["thalamus"], cortex=f"{right},{left}")


def test_a_side_named_in_the_array_alone_is_believed(tmp_path: Path) -> None:
    path = save_gifti(tmp_path / "x.func.gii", [np.zeros(4, "f4")] * 12, "NIFTI_INTENT_TIME_SERIES")
    image: Any = nib.load(path)
    image.darrays[0].meta["AnatomicalStructurePrimary"] = "CortexRight"
    nib.save(image, path)
    assert read_gifti_shape(path).structure == read_gifti(path).structure == "CortexRight"


def test_a_subject_without_surfaces_is_refused_alone(
    surfaces: tuple[Subject, ...], cohort: Any, masks: dict[str, str]
) -> None:
    _, cortex = find_regions(surfaces, thalamus=masks["thalamus"], cortex=None)
    with pytest.raises(InputError, match=r"the run has no func.gii pair"):
        check_grids(cohort(1)[0], [cortex])


def test_a_single_surface_is_refused(surfaces: tuple[Subject, ...], masks: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"both hemispheres .* write LEFT.gii,RIGHT.gii"):
        find_regions(surfaces, thalamus=masks["thalamus"], cortex="L.func.gii")


# TemplateFlow ---------------------------------------------------------------------------------------------------------

STANDARD = "sub-{}_space-MNI152NLin6Asym_bold.nii.gz"


@pytest.fixture
def templateflow(monkeypatch: pytest.MonkeyPatch, volume: Write) -> Callable[..., None]:
    """Stands for the package `templateflow.api`, whose `get` returns a path or raises."""

    def install(answer: Any) -> None:
        package, api = ModuleType("templateflow"), ModuleType("templateflow.api")

        def get(space: str, **query: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer[space, query["atlas"], query["resolution"]]

        vars(api)["get"] = get
        monkeypatch.setitem(sys.modules, "templateflow", package)
        monkeypatch.setitem(sys.modules, "templateflow.api", api)

    return install


def test_the_atlas_of_the_scans_space_is_the_last_resort(cohort: Any, volume: Write, templateflow: Any) -> None:
    thalamus = volume("hospa.nii.gz", block((slice(0, 1), 1), (slice(3, 4), 4), (slice(5, 6), 15)))
    parcels = volume("schaefer.nii.gz", np.arange(1, 9, dtype=np.int16)[None, :, None] * np.ones(SHAPE, np.int16))
    space = "MNI152NLin6Asym"
    templateflow({(space, "HOSPA", 2): thalamus, (space, "Schaefer2018", 2): parcels})
    with pytest.warns(ThalgpuWarning):
        found, cortex = find_regions(cohort(name=STANDARD), thalamus=None, cortex=None)
    assert (found.n_units, cortex.n_units) == (18, 8)


def test_without_templateflow_the_error_says_what_to_give(cohort: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "templateflow.api", None)
    with pytest.raises(InputError, match=r"give --thalamus FILE, or install .*pip install 'thalgpu\[templates\]'"):
        find_regions(cohort(name=STANDARD), thalamus=None, cortex=None)


@pytest.mark.parametrize("failure", [ConnectionError("no route to host"), RuntimeError("Could not fetch")])
def test_without_a_network_the_error_says_what_to_give(cohort: Any, templateflow: Any, failure: Exception) -> None:
    templateflow(failure)
    with pytest.raises(
        InputError, match=r"TemplateFlow could not fetch .* give --thalamus FILE, or run once with a net"
    ):
        find_regions(cohort(name=STANDARD), thalamus=None, cortex=None)


def test_a_scan_in_no_known_space_needs_named_regions(cohort: Any) -> None:
    with pytest.raises(InputError, match=r"no thalamus is named, none lies beside the scans, and no atlas is known"):
        find_regions(cohort(), thalamus=None, cortex=None)


# Parts and keys -------------------------------------------------------------------------------------------------------


@pytest.fixture
def atlas(volume: Write) -> Region:
    image = volume("p.nii.gz", block((slice(0, 2), 3), (slice(3, 6), 5), (slice(6, 9), 8)))
    return read_region(str(image), VolumeGrid(SHAPE, tuple(map(tuple, AFFINE))))


def test_a_subset_of_parcels_keeps_their_elements_and_renumbers_them(atlas: Region) -> None:
    part = subset(atlas, np.array([True, False, True]))
    assert (part.names, part.n_units) == (("3", "8"), 2)
    np.testing.assert_array_equal(part.parcel, np.repeat([0, 1], [18, 27]))
    np.testing.assert_array_equal(part.flat, atlas.flat[atlas.parcel != 1])
    np.testing.assert_array_equal(part.parcel_hemisphere, [LEFT, RIGHT])


def test_the_key_depends_on_grid_elements_and_parcels_not_on_the_file(volume: Write, atlas: Region) -> None:
    same = volume("elsewhere/q.nii", block((slice(0, 2), 3), (slice(3, 6), 5), (slice(6, 9), 8)).astype("f4"))
    assert region_key(read_region(str(same), atlas.grid)) == region_key(atlas)
    moved = AFFINE + np.diag([0, 0, 0.5, 0])
    others = [
        read_region(str(volume("m.nii", block((slice(0, 2), 3), (slice(3, 6), 5), (slice(6, 9), 8)), moved)),
                    VolumeGrid(SHAPE, tuple(map(tuple, moved)))),
        read_region(str(volume("l.nii", block((slice(0, 2), 3), (slice(3, 6), 6), (slice(6, 9), 8)))), atlas.grid),
        subset(atlas, np.array([True, True, False])),
    ]  # fmt: skip
    assert len({region_key(region) for region in [atlas, *others]}) == 4


def test_the_key_of_grayordinates_depends_on_their_structures(grayordinates: tuple[Subject, ...]) -> None:
    thalamus, cortex = find_regions(grayordinates, thalamus=None, cortex=None)
    other = CiftiGrid(42, brain_models(n_vertices=13, medial=4))
    keys = [region_key(region) for region in (thalamus, cortex, Region("x", other, thalamus.flat, thalamus.hemisphere))]
    assert len(set(keys)) == 3
