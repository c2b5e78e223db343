"""Fixtures for every test folder; loaded by tests/conftest.py."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cuda_emulator import DeviceArray, has_compiler, namespace, using
from cuda_emulator.build import COMPILER
from thalgpu.kernels import _namespace

ORDERS = (0, 1, 2)
"""Ascending, descending and random: what a checked launch runs through."""


@pytest.fixture(scope="session")
def emulator_cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of compiled kernels, kept from run to run where pytest keeps its cache."""
    cache = getattr(request.config, "cache", None)
    return Path(cache.mkdir("cuda_emulator")) if cache else tmp_path_factory.mktemp("cuda_emulator")


@pytest.fixture
def emulated(emulator_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The emulated device's namespace, to which `get_namespace` sends its arrays; kernels run as they are."""
    if not has_compiler():
        pytest.skip(f"{COMPILER} not found: CUDA kernels are executed through it")
    monkeypatch.setitem(_namespace._beside_cupy, DeviceArray, namespace)
    with using(cache=emulator_cache):
        yield namespace


@pytest.fixture
def emulated_checked(emulated: ModuleType) -> Iterator[ModuleType]:
    """The same; every launch is checked, and made in three orders of threads that must leave the same bits."""
    with using(checked=True, orders=ORDERS):
        yield emulated
