"""Every kernel compiles for every architecture, spills nothing, and takes the registers that it is known to take."""

import pytest

from thalgpu.kernels import _cuda
from thalgpu.kernels._declarations import declarations

pytest.importorskip("cuda.bindings.nvrtc", reason="needs NVIDIA's compiler: the dependency group nvrtc, Linux only")
import registers

REGISTERS_OF_A_BLOCK = 65536


def declared_threads():
    """The most threads of a block that each kernel declares."""
    return {
        f"{module}:{kernel}": declaration.max_threads
        for module in registers.module_names()
        for kernel, declaration in declarations(_cuda.source(module)).items()
    }


@pytest.fixture(scope="module")
def version():
    try:
        return registers.compiler_version()
    except RuntimeError as error:
        pytest.skip(f"NVIDIA's compiler cannot be loaded: {error}")


@pytest.fixture(scope="module")
def reports(version):
    return registers.all_reports()


def test_the_compiler_knows_every_architecture(version):
    assert set(registers.ARCHITECTURES) <= registers.known_architectures()


def test_every_kernel_is_compiled_for_every_architecture(reports):
    wanted = {(kernel, architecture) for kernel in declared_threads() for architecture in registers.ARCHITECTURES}
    assert {(report.kernel, report.architecture) for report in reports} == wanted


def test_no_kernel_spills_registers(reports):
    assert [report for report in reports if report.spilled] == []


def test_every_kernel_can_run_with_the_threads_that_it_declares(reports):
    threads = declared_threads()
    assert [report for report in reports if report.registers * threads[report.kernel] > REGISTERS_OF_A_BLOCK] == []


def test_registers_and_shared_memory_are_as_known(reports, version):
    known = registers.TABLE.read_text()
    made_by = known.splitlines()[0].split("NVRTC ")[1].split()[0]
    if made_by != version:
        pytest.skip(f"the table was made by NVRTC {made_by}, this is {version}")
    moved = registers.changes(known, registers.as_table(reports))
    assert not moved, "renew it with `python tests/parity/registers.py` if this is meant:\n" + "\n".join(moved)
