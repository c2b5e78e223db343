"""Results of permutation tests in one record, with groups."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from thalgpu.engine.outputs.inference_results import group_name, write_results
from thalgpu.engine.outputs.store import DatasetSpec, is_done, read_record, write_record
from thalgpu.errors import InputError, ThalgpuError

STAT = np.array([1.5, -2.0, 0.25])
MAXIMA = np.array([1.5, 0.5, 1.0, 0.75])
PERMUTATIONS = np.array([[0, 1, 2, 3], [1, 0, 2, 3]])


def write(path: Path, **changed: Any) -> str:
    content: dict[str, Any] = {
        "contrasts": {"age": {"stat": STAT, "p_fwe": np.full(3, 0.5)}, "patients - controls": {"stat": -STAT}},
        "null": {"age": {"stat": MAXIMA}},
        "permutations": {"age": PERMUTATIONS},
        "features": {"kept": np.array([0, 2, 5])},
        "attributes": {"seed": 0},
        "key": "a key",
    }
    return write_results(path, **(content | changed))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write(tmp_path / "results.h5")
    return tmp_path / "results.h5"


def test_results_lie_where_the_interface_says(results: Path) -> None:
    with h5py.File(results) as file:
        assert np.array_equal(file["contrasts/age/stat"][:], STAT)
        assert np.array_equal(file["contrasts/patients - controls/stat"][:], -STAT)
        assert np.array_equal(file["null/age/stat"][:], MAXIMA)
        assert np.array_equal(file["permutations/age"][:], PERMUTATIONS)
        assert file["permutations/age"].dtype == np.int32
        assert np.array_equal(file["features/kept"][:], [0, 2, 5])


def test_results_are_read_and_verified_by_their_names(results: Path) -> None:
    read = read_record(results, {"null/age/stat": DatasetSpec("float64", (None,))})
    assert np.array_equal(read.datasets["null/age/stat"], MAXIMA)
    assert read.attributes["seed"] == 0
    assert is_done(results, "a key")


def test_the_same_results_have_the_same_bytes_a_second_later(results: Path, tmp_path: Path) -> None:
    time.sleep(1.1)  # HDF5 would note times in whole seconds
    write(tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == results.read_bytes()


def test_what_is_not_given_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "results.h5", permutations=None, features=None)
    with h5py.File(tmp_path / "results.h5") as file:
        assert sorted(file) == ["contrasts", "null"]


@pytest.mark.parametrize(
    ("name", "stored"),
    [("a/2 - b", "a%2F2 - b"), ("50%", "50%25"), ("..", "%2E%2E"), ("age:group", "age:group"), ("Größe", "Größe")],
)
def test_every_contrast_has_a_name_in_the_file(name: str, stored: str, tmp_path: Path) -> None:
    write(tmp_path / "results.h5", contrasts={name: {"stat": STAT}})
    assert group_name(name) == stored
    spec = {f"contrasts/{stored}/stat": DatasetSpec("float64", (3,))}
    assert np.array_equal(read_record(tmp_path / "results.h5", spec).datasets[f"contrasts/{stored}/stat"], STAT)


def test_hundreds_of_results_are_one_record(tmp_path: Path) -> None:
    many = {f"c{number}": {f"s{kind}": STAT for kind in range(15)} for number in range(40)}
    write(tmp_path / "results.h5", contrasts=many)
    assert is_done(tmp_path / "results.h5", "a key")


def test_nan_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ThalgpuError, match="contrasts/age/stat holds NaN or Inf"):
        write(tmp_path / "results.h5", contrasts={"age": {"stat": np.array([np.nan])}})


@pytest.mark.parametrize("name", ["a/b/c/d", "a//b", "/a", "a/../b", "."])
def test_a_name_that_could_not_be_read_again_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no name for a dataset"):
        write_record(tmp_path / "record.h5", {name: STAT}, {}, key="a key")


def by_a_soft_linked_group(file: h5py.File) -> None:
    file["null2"] = h5py.SoftLink("/null")


def by_an_external_group(file: h5py.File) -> None:
    file["null2"] = h5py.ExternalLink("/etc/passwd", "/null")


def by_a_group_in_itself(file: h5py.File) -> None:
    file["null/again"] = file["null"]


def by_deep_groups(file: h5py.File) -> None:
    file.create_group("null/a/b/c/d")


def by_a_second_name(file: h5py.File) -> None:
    file["null2"] = file["null"]


def by_a_dataset_less(file: h5py.File) -> None:
    del file["contrasts/age/p_fwe"]


def by_a_named_type(file: h5py.File) -> None:
    file["null/type"] = np.dtype("f8")


def by_too_many_groups(file: h5py.File) -> None:
    for number in range(5000):
        file.create_group(f"null/{number}")


CHANGES = [
    by_a_soft_linked_group,
    by_an_external_group,
    by_a_group_in_itself,
    by_deep_groups,
    by_a_second_name,
    by_a_dataset_less,
    by_a_named_type,
    by_too_many_groups,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_groups_changed_behind_our_back_are_refused(change: Callable[[h5py.File], None], results: Path) -> None:
    with h5py.File(results, "r+") as file:
        change(file)
    with pytest.raises(InputError):
        read_record(results, {})
    assert not is_done(results, "a key")


def test_flipped_bits_never_change_a_result(results: Path, tmp_path: Path) -> None:
    sound, spec = results.read_bytes(), {"null/age/stat": DatasetSpec("float64", (None,))}
    bits = np.random.default_rng(3).integers(8 * len(sound), size=int(os.environ.get("THALGPU_FUZZ", "300")))
    for bit in bits.tolist():
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "damaged.h5").write_bytes(damaged)
        try:
            found = read_record(tmp_path / "damaged.h5", spec).datasets["null/age/stat"]
        except InputError:
            continue
        assert np.array_equal(found, MAXIMA)
