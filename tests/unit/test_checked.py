"""Files are read whole, hashed, and verified to their last byte."""

import gzip
import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.inputs.checked import CheckedStream, open_nifti, read_bytes, read_nifti
from thalgpu.errors import InputError


@pytest.fixture
def payload(rng) -> bytes:
    return rng.integers(0, 60, 5000, dtype=np.uint8).tobytes()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def nifti_bytes(values: np.ndarray, **fields: object) -> bytes:
    """A NIfTI-1 file whose header fields are overwritten, however absurd."""
    content = bytearray(nib.Nifti1Image(values, np.diag([2.0, 2, 2, 1])).to_bytes())
    for name, value in fields.items():
        dtype, offset = nib.nifti1.header_dtype.fields[name][:2]
        content[offset : offset + dtype.itemsize] = np.array(value, dtype.base).tobytes()
    return bytes(content)


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_content_and_the_hash_of_the_file_on_disk_are_returned(tmp_path, payload, compress):
    on_disk = compress(payload)
    found = read_bytes(write(tmp_path / "x", on_disk))
    assert found.data == payload
    assert found.sha256 == hashlib.sha256(on_disk).hexdigest()


def test_every_member_of_a_gzip_file_is_read(tmp_path, payload):
    content = gzip.compress(payload[:100]) + gzip.compress(b"") + gzip.compress(payload[100:])
    assert read_bytes(write(tmp_path / "x.gz", content)).data == payload


def test_zero_padding_after_a_gzip_stream_is_allowed(tmp_path, payload):
    assert read_bytes(write(tmp_path / "x.gz", gzip.compress(payload) + bytes(2000))).data == payload


def test_garbage_after_a_gzip_stream_is_refused(tmp_path, payload):
    with pytest.raises(InputError, match="damaged gzip"):
        read_bytes(write(tmp_path / "x.gz", gzip.compress(payload) + b"garbage after the end"))


@pytest.mark.parametrize("at", [-1, -3, -5, -8, -100], ids=["length", "length", "crc", "crc", "data"])
def test_a_flipped_bit_in_data_or_trailer_is_refused(tmp_path, payload, at):
    content = bytearray(gzip.compress(payload))
    content[at] ^= 1
    with pytest.raises(InputError, match="gzip"):
        read_bytes(write(tmp_path / "x.gz", bytes(content)))


@pytest.mark.parametrize("keep", [-1, -4, -8, -50, 12, 3])
def test_a_truncated_gzip_stream_is_refused(tmp_path, payload, keep):
    with pytest.raises(InputError, match="cut short"):
        read_bytes(write(tmp_path / "x.gz", gzip.compress(payload)[:keep]))


def test_a_bomb_is_stopped_at_the_limit(tmp_path):
    with pytest.raises(InputError, match="inflates to more than"):
        read_bytes(write(tmp_path / "x.gz", gzip.compress(bytes(50_000_000))), limit=1_000_000)


@pytest.mark.parametrize("name", ["absent", "folder", "nul\0name"])
def test_what_cannot_be_opened_is_an_input_error(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be"):
        read_bytes(tmp_path / name)


def test_peeked_bytes_are_read_again(tmp_path, payload):
    with CheckedStream(write(tmp_path / "x.gz", gzip.compress(payload))) as stream:
        assert stream.peek(10) == payload[:10]
        assert stream.read(4000) == payload[:4000]
        assert stream.read(1000) == payload[4000:]
        assert stream.finish() == hashlib.sha256((tmp_path / "x.gz").read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "i4", "f4", ">f8"])
def test_a_nifti_image_equals_nibabel(tmp_path, rng, suffix, dtype):
    path = tmp_path / f"x{suffix}"
    header = nib.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(np.dtype(dtype))
    nib.Nifti1Image(rng.integers(0, 99, (3, 4, 5)), np.diag([2, 3, 4, 1.0]), header).to_filename(path)
    found, oracle = read_nifti(path), nib.load(path)
    np.testing.assert_array_equal(found.values, np.asanyarray(oracle.dataobj))
    np.testing.assert_array_equal(found.affine, oracle.affine)


def test_nifti_2_is_read(tmp_path, rng):
    values = rng.normal(size=(3, 4, 5)).astype("f4")
    nib.Nifti2Image(values, np.eye(4)).to_filename(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "x.nii.gz").values, values)


def test_slope_and_intercept_are_applied(tmp_path):
    content = nifti_bytes(np.full((2, 2, 2), 7, "i2"), scl_slope=0.5, scl_inter=10)
    assert (read_nifti(write(tmp_path / "x.nii", content)).values == 13.5).all()


@pytest.mark.fault("damaged scan, surface or confounds")
@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_a_slope_of_zero_or_nan_means_no_scaling(tmp_path, slope):
    content = nifti_bytes(np.full((2, 2, 2), 7, "i2"), scl_slope=slope, scl_inter=10)
    assert (read_nifti(write(tmp_path / "x.nii", content)).values == 7).all()


def test_the_qform_is_used_where_there_is_no_sform(tmp_path):
    affine = np.array([[0.0, -2, 0, 5], [2, 0, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1]])
    image = nib.Nifti1Image(np.zeros((2, 2, 2), "f4"), None)
    image.set_qform(affine, 1)
    found = read_nifti(write(tmp_path / "x.nii", image.to_bytes()))
    np.testing.assert_allclose(found.affine, affine, atol=1e-6)  # quaternions are stored as float32


@pytest.mark.fault("damaged scan, surface or confounds")
@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"sizeof_hdr": 100}, "not a NIfTI"),
        ({"magic": b"xyz"}, "magic"),
        ({"magic": b"ni1"}, "pair"),
        ({"dim": [2, 2, 2, 2, 1, 1, 1, 1]}, "dimensions"),
        ({"dim": [9, 2, 2, 2, 1, 1, 1, 1]}, "dimensions"),
        ({"dim": [3, 2, -2, 2, 1, 1, 1, 1]}, "shape"),
        ({"dim": [3, 2, 2, 3, 1, 1, 1, 1]}, "claims"),
        ({"dim": [3, 2, 2, 1, 1, 1, 1, 1]}, "claims"),
        ({"dim": [7] + 7 * [32767]}, "claims"),
        ({"datatype": 32}, "data type"),
        ({"datatype": 999}, "data type"),
        ({"bitpix": 8}, "bits"),
        ({"vox_offset": np.nan}, "offset"),
        ({"vox_offset": 3}, "offset"),
        ({"vox_offset": 1e30}, "offset"),
        ({"scl_slope": np.inf}, "scaling"),
        ({"scl_slope": 2.0, "scl_inter": np.nan}, "scaling"),
        ({"srow_x": [np.nan, 0, 0, 0]}, "affine"),
        ({"srow_x": [0, 0, 0, 0]}, "affine"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 5.0}, "affine"),
    ],
    ids=str,
)
def test_a_lying_header_is_an_input_error(tmp_path, fields, what):
    content = nifti_bytes(np.ones((2, 2, 2), "i2"), **fields)
    with pytest.raises(InputError, match=what):
        read_nifti(write(tmp_path / "x.nii", content))


def test_a_compressed_image_that_goes_on_after_its_claim_is_refused(tmp_path):
    content = nifti_bytes(np.ones((2, 2, 2), "i2")) + bytes(100)
    with pytest.raises(InputError, match="more data than"):
        read_nifti(write(tmp_path / "x.nii.gz", gzip.compress(content)))


def test_a_compressed_image_that_ends_early_says_how_much_is_missing(tmp_path):
    content = nifti_bytes(np.ones((2, 2, 2), "i2"), dim=[4, 2, 2, 2, 1000, 1, 1, 1])
    path = write(tmp_path / "x.nii.gz", gzip.compress(content))
    with CheckedStream(path) as stream:
        stream.read(open_nifti(stream).offset)
        stream.read(16)  # the one volume that is there
        with pytest.raises(InputError, match="ends after 368 of the 16352 bytes"):
            stream.read(16)


def test_a_claim_that_no_compressed_file_can_hold_is_refused_before_reading(tmp_path):
    content = nifti_bytes(np.ones((2, 2, 2), "i2"), dim=[4, 30000, 30000, 1000, 30000, 1, 1, 1])
    with pytest.raises(InputError, match="claims"):
        read_nifti(write(tmp_path / "x.nii.gz", gzip.compress(content)))
