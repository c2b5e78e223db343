"""Subjects' maps as plain arrays and tables."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from thalgpu.engine.inputs.map_files import read_map_files
from thalgpu.engine.inputs.subject_maps import settle_all
from thalgpu.errors import InputError, UsageError


@pytest.fixture
def values(rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.normal(size=(5, 9))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "i2", "?"])
def test_an_npy_is_read_as_its_numbers(order: str, dtype: str, values: NDArray[np.float64], tmp_path: Path) -> None:
    array = np.asarray(
        np.round(10 * values) if dtype != "?" else values > 0, dtype=dtype, order="F" if order == "F" else "C"
    )
    np.save(tmp_path / "maps.npy", array)
    (found,) = settle_all(read_map_files([tmp_path / "maps.npy"]))
    assert np.array_equal(found.values, array[:, found.kept].astype(np.float64))
    assert found.space is None
    assert found.ids is None
    assert found.feature_names == ()


def test_constant_columns_are_left_out_and_counted(values: NDArray[np.float64], tmp_path: Path) -> None:
    values[:, [0, 4]] = 2.5
    np.save(tmp_path / "maps.npy", values)
    (found,) = settle_all(read_map_files([tmp_path / "maps.npy"]))
    assert (found.n_source, found.n_left_out) == (9, 2)
    assert np.array_equal(found.kept, [1, 2, 3, 5, 6, 7, 8])
    assert np.array_equal(found.values, values[:, found.kept])


def contiguous(file: h5py.File, values: NDArray[np.float64]) -> None:
    file["maps"] = values


def chunked(file: h5py.File, values: NDArray[np.float64]) -> None:
    file.create_dataset("maps", data=values, chunks=(2, 3), fletcher32=True)


def deflated(file: h5py.File, values: NDArray[np.float64]) -> None:
    file.create_dataset("maps", data=values, compression="gzip", shuffle=True)


def beside_others(file: h5py.File, values: NDArray[np.float64]) -> None:
    file["maps"] = values
    file["age"] = values[:, 0]
    file["link"] = h5py.SoftLink("/maps")


@pytest.mark.parametrize("write", [contiguous, chunked, deflated, beside_others])
def test_the_only_matrix_of_an_hdf5_file_is_read(
    write: Callable[[h5py.File, NDArray[np.float64]], None], values: NDArray[np.float64], tmp_path: Path
) -> None:
    path = tmp_path / "maps.h5"
    with h5py.File(path, "w") as file:
        write(file, values)
    (found,) = settle_all(read_map_files([path]))
    assert np.array_equal(found.values, values)
    assert found.sources == {path: hashlib.sha256(path.read_bytes()).hexdigest()}


def test_a_dataset_is_named_after_a_colon(values: NDArray[np.float64], tmp_path: Path) -> None:
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["one"], file["group/two"] = values, -values
    (one,) = settle_all(read_map_files([tmp_path / "maps.h5:one"]))
    (two,) = settle_all(read_map_files([tmp_path / "maps.h5:group/two"]))
    assert np.array_equal(one.values, values)
    assert np.array_equal(two.values, -values)


def soft_linked(file: h5py.File) -> None:
    file["real"] = np.ones((3, 4))
    file["maps"] = h5py.SoftLink("/real")


def externally_linked(file: h5py.File) -> None:
    with h5py.File(Path(file.filename).with_name("other.h5"), "w") as other:
        other["maps"] = np.ones((3, 4))
    file["maps"] = h5py.ExternalLink("other.h5", "/maps")


def stored_outside(file: h5py.File) -> None:
    file.create_dataset("maps", (3, 4), np.uint8, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 4), np.uint8)
    layout[:] = h5py.VirtualSource("/etc/passwd", "maps", (3, 4))
    file.create_virtual_dataset("maps", layout)


def huge(file: h5py.File) -> None:
    file.create_dataset("maps", (40, 1 << 30), np.float32, chunks=(40, 100))


def huge_though_deflated(file: h5py.File) -> None:
    file.create_dataset("maps", (40, 1 << 30), np.float32, chunks=(40, 100), compression="gzip")


def lzf(file: h5py.File) -> None:
    file.create_dataset("maps", data=np.ones((3, 4)), compression="lzf")


def text(file: h5py.File) -> None:
    file["maps"] = np.full((3, 4), b"0.5")


def of_one_axis(file: h5py.File) -> None:
    file["maps"] = np.ones(3)


def a_group(file: h5py.File) -> None:
    file.create_group("maps")


def absent(file: h5py.File) -> None:
    file["others"] = np.ones((3, 4))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (soft_linked, "SoftLink is not followed"),
        (externally_linked, "ExternalLink is not followed"),
        (stored_outside, "other files are not followed"),
        (virtual, "other files are not followed"),
        (huge, "more than the file has"),
        (huge_though_deflated, "more than the file has"),
        (lzf, r"filters \[32000\] are not read"),
        (text, "not plain numbers"),
        (of_one_axis, r"an array of shape \(3,\)"),
        (a_group, "not a dataset"),
        (absent, "no such dataset .* it has others"),
    ],
)
def test_what_does_not_lie_in_the_file_as_plain_numbers_is_refused(
    write: Callable[[h5py.File], None], message: str, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        write(file)
    with pytest.raises(InputError, match=message) as raised:
        settle_all(read_map_files([tmp_path / "maps.h5:maps"]))
    assert "remove the file" not in str(raised.value)


def test_several_matrices_are_a_question(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["a"], file["b"] = np.ones((2, 3)), np.ones((2, 3))
    with pytest.raises(InputError, match=r"2 arrays with two axes in it \(a, b\) .* — write FILE:NAME"):
        settle_all(read_map_files([tmp_path / "maps.h5"]))


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    class Marker:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    np.save(tmp_path / "maps.npy", np.array([[Marker()]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="object are not real numbers"):
        settle_all(read_map_files([tmp_path / "maps.npy"]))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 3, 4)), r"an array of shape \(2, 3, 4\)"),
        (np.ones(4), r"an array of shape \(4,\)"),
        (np.ones((0, 4)), r"an array of shape \(0, 4\)"),
        (np.ones((2, 4), dtype=complex), "complex128 are not real numbers"),
        (np.ones((2, 4), dtype="S3"), "are not real numbers"),
        (np.ones((1, 4)), "one subject alone, row 1"),
        (np.ones((3, 4)), "none of 4 features has values that differ"),
        (np.array([[1.0, 2], [np.nan, 3]]), "row 2 has no usable number .* at 1 of 2 features"),
        (np.array([[1.0, 2], [1e200, 3]]), "row 2 has no usable number .* at 1 of 2 features"),
        (np.array([[np.nan, 2], [np.nan, 3]]), "and 1 other subject at some"),
    ],
)
def test_arrays_that_are_no_maps_of_subjects_are_refused(
    array: NDArray[np.generic], message: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "maps.npy", array)
    with pytest.raises(InputError, match=message):
        settle_all(read_map_files([tmp_path / "maps.npy"]))


def test_an_npy_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "maps.npy", np.ones((2, 4)))
    raw = (tmp_path / "maps.npy").read_bytes()
    (tmp_path / "maps.npy").write_bytes(raw.replace(b"(2, 4), }       ", b"(2, 40000000), }"))
    with pytest.raises(InputError, match="its header claims 640000000 bytes, the file has 64"):
        settle_all(read_map_files([tmp_path / "maps.npy"]))


def test_a_mask_or_a_component_of_an_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "maps.npy", np.ones((2, 4)))
    with pytest.raises(UsageError, match="--mask has no use"):
        settle_all(read_map_files([tmp_path / "maps.npy"], mask="mask.nii"))
    with pytest.raises(InputError, match="not components"):
        settle_all(read_map_files([tmp_path / "maps.npy"], components=(1, 2)))


TABLE = "participant_id\tleft\tright\nsub-01\t1.5\t2\n002\t-1e3\t4\n"


def test_a_table_gives_ids_and_names(tmp_path: Path) -> None:
    (tmp_path / "maps.tsv").write_text("\ufeff" + TABLE.replace("\n", "\r\n") + "\n\n")
    (found,) = settle_all(read_map_files([tmp_path / "maps.tsv"]))
    assert found.ids == ("01", "002")
    assert found.feature_names == ("left", "right")
    assert np.array_equal(found.values, np.array([[1.5, 2], [-1000, 4]]))


def test_a_csv_is_separated_by_commas_and_may_be_quoted(tmp_path: Path) -> None:
    (tmp_path / "maps.csv").write_text('participant_id,"left, ventral",right\n01,1,7\n02,"2",7\n')
    (found,) = settle_all(read_map_files([tmp_path / "maps.csv"]))
    assert found.feature_names == ("left, ventral",)
    assert np.array_equal(found.values, [[1], [2]])
    assert found.n_left_out == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("participant_id", "id", r"first column is 'id', not participant_id .*:1\)"),
        ("1.5", "n/a", r"'n/a' in column 'left' is not a finite number .*:2\) — remove"),
        ("1.5", "inf", "'inf' in column 'left' is not a finite"),
        ("1.5", "1_5", "'1_5' in column 'left' is not a finite"),
        ("1.5", "", "'' in column 'left'"),
        ("\t4", "", r"2 cells under 3 columns .*:3\)"),
        ("002", "sub-01", r"sub-01 is on line 2 already .*:3\)"),
        ("002", "../x", "not letters and digits"),
        ("right", "left", "column 'left' appears twice"),
        ("\tright", "\t", "column '' appears twice or has no name"),
        ("\tleft\tright", "", "no column after participant_id"),
        ("\nsub-01\t1.5\t2\n002\t-1e3\t4\n", "\n", "no row of a subject"),
        (TABLE, "", "no row of a subject"),
        ("left", "l\udcfft", "not UTF-8 text"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in TABLE
    (tmp_path / "maps.tsv").write_bytes(TABLE.replace(old, new, 1).encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        settle_all(read_map_files([tmp_path / "maps.tsv"]))
