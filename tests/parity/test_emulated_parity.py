"""Each device branch, its CUDA text executed on the CPU, gives what the formula and the CPU twin give."""

import pytest
from cuda_emulator import using
from judging import (
    all_cases,
    expected,
    has_nothing_in_it,
    label,
    require_alike,
    require_close,
    run_on_device,
    run_on_host,
)

from thalgpu.kernels import _cuda
from thalgpu.kernels._declarations import declarations

SHUFFLED = 3
KERNELS = sorted(
    f"{path.stem}:{name}" for path in _cuda._FOLDER.glob("*.cu") for name in declarations(path.read_text())
)


@pytest.mark.parametrize("case", all_cases(), ids=label)
def test_device_branch_equals_the_reference_and_the_cpu_twin(case, emulate):
    outcome, twin = emulate(case), run_on_host(case)
    require_alike(outcome, twin)
    require_close(case, outcome, expected(case))
    require_close(case, outcome, twin.results)


@pytest.mark.parametrize("case", [case for case in all_cases() if case.small], ids=label)
def test_device_branch_stands_every_check(case, emulated):
    with using(checked=True, orders=(SHUFFLED,)):
        run_on_device(case, emulated)


@pytest.mark.parametrize("case", all_cases(), ids=label)
def test_a_case_names_the_kernels_that_it_launches(case, emulate):
    launched = {launch.kernel for launch in emulate(case).launches}
    assert launched == set(case.cuda) or (not launched and has_nothing_in_it(case))


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_has_run_with_more_than_one_block(kernel, emulate):
    naming = [case for case in all_cases() if kernel in case.cuda]
    assert any(launch.n_blocks > 1 for case in naming for launch in emulate(case).launches if launch.kernel == kernel)
