"""Write-once records."""

import hashlib
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from thalgpu.engine.outputs.store import DatasetSpec, is_done, read_attributes, read_record, write_record
from thalgpu.errors import InputError, ThalgpuError

DATASETS = {"gradients": np.arange(12, dtype=np.float32).reshape(4, 3), "lambdas": np.array([0.5, 0.25, 0.125])}
ATTRIBUTES = {"config": {"alpha": 0.5, "keep": []}, "participant_id": "01"}
EXPECTED = {"gradients": DatasetSpec("float32", (4, None)), "lambdas": DatasetSpec("float64", (3,))}


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.h5"
    write_record(path, DATASETS, ATTRIBUTES, key="a key")
    return path


def test_what_is_written_is_read(record: Path) -> None:
    read = read_record(record, EXPECTED)
    assert {name: array.dtype for name, array in read.datasets.items()} == {
        name: array.dtype for name, array in DATASETS.items()
    }
    assert all(np.array_equal(read.datasets[name], DATASETS[name]) for name in DATASETS)
    assert read.attributes.items() >= ATTRIBUTES.items()


VALUES = ["plain", "", "12", "null", "NaN", "true", '{"a": 1}', '"quoted"', "ü — 中", "two\nlines", "nul\0", "\ud800",
          12, 1.5, True, None, [], ["01", "02"], {"nested": {"x": [1.25]}}, "x" * 200_000]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20].encode("ascii", "replace").decode())
def test_an_attribute_comes_back_as_it_was(value: Any, tmp_path: Path) -> None:
    write_record(tmp_path / "record.h5", {}, {"value": value}, key="a key")
    read = read_attributes(tmp_path / "record.h5")["value"]
    assert read == value
    assert type(read) is type(value)


def test_bytes_do_not_depend_on_who_watches_the_program(tmp_path: Path) -> None:
    """A profiler's thread, such as every Dask worker has, keeps frames and with them HDF5's objects open for longer."""
    rng = np.random.default_rng(0)
    datasets = {f"number{i}": rng.standard_normal((300, 200)) for i in range(4)}
    write_record(tmp_path / "alone.h5", datasets, ATTRIBUTES, key="a key")
    watched: list[Any] = []
    sys.setprofile(lambda frame, event, argument: watched.append(frame))
    try:
        write_record(tmp_path / "watched.h5", datasets, ATTRIBUTES, key="a key")
    finally:
        sys.setprofile(None)
    assert watched
    assert (tmp_path / "watched.h5").read_bytes() == (tmp_path / "alone.h5").read_bytes()


def test_plain_text_attributes_are_plain_in_the_file(record: Path) -> None:
    with h5py.File(record) as file:
        assert file.attrs["config_key"] == b"a key"
        assert file.attrs["config"] == b'{"alpha":0.5,"keep":[]}'


def test_the_same_record_has_the_same_bytes_in_another_process(record: Path, tmp_path: Path) -> None:
    again = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from thalgpu.engine.outputs.store import write_record
from test_store import ATTRIBUTES, DATASETS
write_record(Path({str(tmp_path / "again.h5")!r}), dict(reversed(DATASETS.items())), ATTRIBUTES, key="a key")
"""
    subprocess.run([sys.executable, "-c", again], check=True)
    assert (tmp_path / "again.h5").read_bytes() == record.read_bytes()


def test_every_dataset_carries_a_checksum_and_no_time(record: Path) -> None:
    with h5py.File(record) as file:
        assert all(dataset.fletcher32 for dataset in file.values())
        assert all(h5py.h5o.get_info(dataset.id).mtime == 0 for dataset in file.values())


def test_the_content_digest_covers_datasets_and_attributes(tmp_path: Path) -> None:
    def digest(datasets: dict[str, Any], attributes: dict[str, Any], key: str = "a key") -> str:
        return write_record(tmp_path / "record.h5", datasets, attributes, key=key)

    other = {**DATASETS, "lambdas": DATASETS["lambdas"] + 1e-12}
    reshaped = {**DATASETS, "gradients": DATASETS["gradients"].reshape(3, 4)}
    renamed = {"maps": DATASETS["gradients"], "lambdas": DATASETS["lambdas"]}
    digests = [
        digest(DATASETS, ATTRIBUTES),
        digest(other, ATTRIBUTES),
        digest(reshaped, ATTRIBUTES),
        digest(renamed, ATTRIBUTES),
        digest(DATASETS, {**ATTRIBUTES, "participant_id": "02"}),
        digest(DATASETS, ATTRIBUTES, key="b key"),
    ]
    assert len(set(digests)) == len(digests)


def test_the_listing_states_the_digest_of_the_numbers(record: Path) -> None:
    read = read_record(record, {})
    assert read.datasets == {}
    assert read.attributes["datasets"]["lambdas"] == {
        "dtype": "float64", "shape": [3], "sha256": hashlib.sha256(DATASETS["lambdas"].tobytes()).hexdigest(),
    }  # fmt: skip


def test_other_datasets_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "record.h5"
    write_record(path, {**DATASETS, "affinity": np.full(5000, 0.1, dtype=np.float32)}, {}, key="a key")
    damaged = path.read_bytes().replace(np.float32(0.1).tobytes() * 100, np.float32(0.2).tobytes() * 100)
    path.write_bytes(damaged)
    assert np.array_equal(read_record(path, EXPECTED).datasets["lambdas"], DATASETS["lambdas"])
    with pytest.raises(InputError):
        read_record(path, {"affinity": DatasetSpec("float32", (5000,))})


def test_an_empty_dataset_is_kept(tmp_path: Path) -> None:
    write_record(tmp_path / "record.h5", {"lambdas": np.zeros(0), "maps": np.zeros((0, 3))}, {}, key="a key")
    spec = {"lambdas": DatasetSpec("float64", (None,)), "maps": DatasetSpec("float64", (0, 3))}
    read = read_record(tmp_path / "record.h5", spec).datasets
    assert (read["lambdas"].shape, read["maps"].shape) == ((0,), (0, 3))


def test_strided_and_read_only_arrays_are_stored_as_they_look(tmp_path: Path) -> None:
    array = np.arange(24.0).reshape(4, 6)[::2, ::-3]
    array.flags.writeable = False
    write_record(tmp_path / "record.h5", {"maps": array}, {}, key="a key")
    read = read_record(tmp_path / "record.h5", {"maps": DatasetSpec("float64", (2, 2))})
    assert np.array_equal(read.datasets["maps"], array)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_such_number_leaves_the_engine(bad: float, tmp_path: Path) -> None:
    with pytest.raises(ThalgpuError, match="lambdas holds NaN or Inf") as raised:
        write_record(tmp_path / "record.h5", {"lambdas": np.array([1.0, bad])}, {}, key="a key")
    assert raised.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_no_such_number_leaves_the_engine_in_an_attribute(tmp_path: Path) -> None:
    with pytest.raises(ThalgpuError, match="attribute holds NaN or Inf"):
        write_record(tmp_path / "record.h5", {}, {"summary": {"r": float("nan")}}, key="a key")


@pytest.mark.parametrize(
    "array", [np.array(["text"]), np.array(1.0), np.ones(2, dtype=bool), np.ones(2, dtype=complex)]
)
def test_what_is_no_array_of_plain_numbers_is_refused(array: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be stored"):
        write_record(tmp_path / "record.h5", {"array": array}, {}, key="a key")


def test_done_means_present_verified_and_of_this_key(record: Path) -> None:
    assert is_done(record, "a key")
    assert not is_done(record, "b key")
    assert not is_done(record.with_name("missing.h5"), "a key")


def test_a_damaged_record_is_not_done_and_is_logged(record: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged = record.read_bytes().replace(DATASETS["lambdas"].tobytes(), (DATASETS["lambdas"] * 2).tobytes())
    record.write_bytes(damaged)
    with caplog.at_level(logging.WARNING):
        assert not is_done(record, "a key")
    assert "damaged result" in caplog.text
    assert str(record) in caplog.text


def test_a_missing_dataset_is_named(record: Path) -> None:
    with pytest.raises(InputError, match="affinity"):
        read_record(record, {"affinity": DatasetSpec("float32", (None,))})


def test_an_unexpected_shape_names_both(record: Path) -> None:
    with pytest.raises(InputError, match=r"float32 \(4, 3\), not float32 \(5, any\)"):
        read_record(record, {"gradients": DatasetSpec("float32", (5, None))})
