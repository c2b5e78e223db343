"""What holds for every region, and for every damaged file or odd argument that is meant to be one."""

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import Region, VolumeGrid
from thalgpu.engine.inputs.region_files import read_label_image
from thalgpu.engine.inputs.region_parts import region_from_labels, region_key, subset
from thalgpu.errors import InputError

SHAPE = (5, 4, 3)
images = arrays(np.int16, SHAPE, elements=st.integers(0, 6)).filter(np.any)


def region_of(image: NDArray[np.int16], *, parcels: bool = True) -> Region:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii"
        nib.save(nib.Nifti1Image(image, np.diag([2.0, 2, 2, 1]) + np.array([[0, 0, 0, -4]] + [[0] * 4] * 3)), path)
        return region_from_labels(read_label_image(str(path)), parcels=parcels)


@given(images)
def test_elements_and_parcels_give_the_image_back(image: NDArray[np.int16]) -> None:
    region = region_of(image)
    back = np.zeros(image.size, dtype=np.int64)
    labels = np.unique(image[image > 0])
    back[region.flat] = labels[0] if region.parcel is None else labels[region.parcel]
    np.testing.assert_array_equal(back.reshape(SHAPE), image)
    assert (np.diff(region.flat) > 0).all()


@given(images, st.data())
def test_a_subset_of_a_subset_is_the_subset_of_both(image: NDArray[np.int16], data: st.DataObject) -> None:
    region = region_of(image)
    first = np.array(data.draw(st.lists(st.booleans(), min_size=region.n_units, max_size=region.n_units)))
    part = subset(region, first)
    second = np.array(data.draw(st.lists(st.booleans(), min_size=part.n_units, max_size=part.n_units)), dtype=bool)
    both = first.copy()
    both[first] = second
    assert region_key(subset(part, second)) == region_key(subset(region, both))
    assert subset(region, both).n_units == both.sum()


@given(images)
def test_a_parcel_lies_where_most_of_its_sided_elements_do(image: NDArray[np.int16]) -> None:
    region = region_of(image)
    if region.parcel is None:
        return
    assert region.parcel_hemisphere is not None
    for parcel, side in enumerate(region.parcel_hemisphere):
        sides = region.hemisphere[region.parcel == parcel]
        assert side == np.sign((sides == 1).sum() - (sides == -1).sum())


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
def test_a_damaged_mask_gives_a_region_or_an_input_error(flips: list[tuple[int, int]], compressed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("m.nii.gz" if compressed else "m.nii")
        nib.save(nib.Nifti1Image(np.ones(SHAPE, np.int16), np.eye(4)), path)
        raw = bytearray(path.read_bytes())
        for place, value in flips:
            raw[place % len(raw)] = value
        path.write_bytes(raw)
        try:
            region = region_from_labels(read_label_image(str(path)), parcels=True)
        except InputError:
            return
    assert isinstance(region.grid, VolumeGrid)
    assert region.flat.size
    assert np.isfinite(region.grid.affine).all()


@given(st.text(max_size=30), st.sampled_from(["", "{}:", "{},{}:", "x.gii,y.gii:"]))
def test_any_region_argument_gives_an_image_or_an_input_error(text: str, before: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.nii"
        nib.save(nib.Nifti1Image(np.ones(SHAPE, np.int16), np.eye(4)), path)
        try:
            image = read_label_image(before.format(path, path) + text)
        except InputError:
            return
    assert image.values.any()
