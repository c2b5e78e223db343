"""Fixtures for every test."""

import os
from pathlib import Path

import numpy as np
import pytest

pytest_plugins = ("cuda_emulator.fixtures", "fault_table")


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(20260)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data and reference answers; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("THALGPU_SHARED", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"reference data not found at {folder} (set THALGPU_SHARED)")
    return folder
