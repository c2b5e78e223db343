"""Kernels of the emulator's own tests."""

from pathlib import Path
from types import ModuleType

import pytest

from thalgpu.kernels import _cuda

COMMON = Path(_cuda.__file__).parent / "cuda" / "common.cuh"


@pytest.fixture(params=["plain", "checked"])
def device(request: pytest.FixtureRequest) -> ModuleType:
    """The emulated device, plain and checked."""
    return request.getfixturevalue("emulated" if request.param == "plain" else "emulated_checked")


@pytest.fixture(scope="session")
def cuda_text():
    """The text of a kernel file beside this one, after what is common to all."""

    def read(name: str) -> str:
        path = Path(__file__).parent / "cuda" / name
        return f'#line 1 "common.cuh"\n{COMMON.read_text()}\n#line 1 "{name}"\n{path.read_text()}'

    return read
