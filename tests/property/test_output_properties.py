"""Whatever is written comes back."""

import tempfile
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from thalgpu.engine.outputs.packing import pack_upper, unpack_upper
from thalgpu.engine.outputs.sidecars import write_toml
from thalgpu.engine.outputs.store import DatasetSpec, is_done, read_record, write_record

FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FINITE | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
NUMBERS = arrays.arrays(
    dtype=st.sampled_from([np.float32, np.float64, np.int32, np.uint8]),
    shape=arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
    elements={"allow_nan": False, "allow_infinity": False},
)


@settings(max_examples=60, deadline=None)
@given(datasets=st.dictionaries(NAMES, NUMBERS, max_size=3), values=st.lists(JSON, max_size=3))
def test_any_record_comes_back_and_is_done(datasets: dict[str, Any], values: list[Any]) -> None:
    attributes = {f"attribute_{number}": value for number, value in enumerate(values)}
    specs = {name: DatasetSpec(array.dtype.name, array.shape) for name, array in datasets.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "record.h5")
        digest = write_record(path, datasets, attributes, key="a key")
        read = read_record(path, specs)
        assert is_done(path, "a key")
        first = path.read_bytes()
        assert write_record(path, datasets, attributes, key="a key") == digest
        assert path.read_bytes() == first
    assert read.content_sha256 == digest
    assert read.attributes.items() >= attributes.items()
    assert all(read.datasets[name].tobytes() == array.tobytes() for name, array in datasets.items())


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_packed_sums_are_sums_of_packed(n: int, seed: int) -> None:
    first, second = np.random.default_rng(seed).integers(-1000, 1000, size=(2, n, n))
    first, second = first + first.T, second + second.T
    assert np.array_equal(unpack_upper(pack_upper(first) + 3 * pack_upper(second), n), first + 3 * second)


@settings(max_examples=60, deadline=None)
@given(table=st.dictionaries(st.text(max_size=6), st.booleans() | st.integers() | FINITE | st.text(max_size=20)))
def test_any_options_come_back_from_toml(table: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_toml(Path(folder, "config.toml"), {"options": table})
        assert tomllib.loads(Path(folder, "config.toml").read_bytes().decode()) == {"options": table}
