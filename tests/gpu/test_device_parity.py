"""The parity registry on a real GPU: `pytest -m gpu`, where CuPy finds one."""

from importlib import import_module

import numpy as np
import pytest
from judging import all_cases, expected, label, require_alike, require_close, run_on_device, run_on_host

from thalgpu.engine.machine import find_gpus

pytestmark = pytest.mark.gpu


def bits(result):
    return np.asarray(result).tobytes()


@pytest.fixture(scope="module")
def cupy():
    """CuPy, once it has computed something."""
    try:
        find_gpus()
    except RuntimeError as reason:
        pytest.skip(str(reason))
    return import_module("cupy")


@pytest.mark.parametrize("case", all_cases(), ids=label)
def test_device_branch_equals_the_reference_and_the_cpu_twin(case, cupy):
    outcome, twin = run_on_device(case, cupy), run_on_host(case)
    require_alike(outcome, twin)
    require_close(case, outcome, expected(case))
    require_close(case, outcome, twin.results)


@pytest.mark.parametrize("case", all_cases(), ids=label)
def test_a_second_run_gives_the_same_bits(case, cupy):
    first, second = run_on_device(case, cupy), run_on_device(case, cupy)
    require_alike(first, second)
    assert [bits(result) for result in first.results] == [bits(result) for result in second.results]
