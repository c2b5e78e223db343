"""What NVIDIA's own compiler makes of the kernels on each architecture; no device and no driver are needed.

    python tests/parity/registers.py

renews the table beside this file, which a test holds the kernels to. It needs the packages of the dependency group
`nvrtc`. CUDA 12.8 was the first to know sm_100 and sm_120; CUDA 13 knows nothing before sm_75.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cuda.bindings import nvrtc

from thalgpu.kernels import _cuda

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
OPTIONS = (*_cuda.OPTIONS, "-ftz=true", "--ptxas-options=-v")
"""As kernels are compiled for use: CuPy adds that subnormal numbers of single precision become 0."""
TABLE = Path(__file__).with_name("registers.tsv")
_REPORT = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)' for '(?P<architecture>\w+)'.*?"
    r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)
_SHARED = re.compile(r"(\d+) bytes smem")


class CompilerError(RuntimeError):
    """The compiler's own words."""


@dataclass(frozen=True)
class Report:
    """What one kernel takes on one architecture: registers a thread, and bytes."""

    kernel: str
    architecture: str
    registers: int
    shared: int
    stack: int
    spilled: int


def compiler_version() -> str:
    """As "13.5"."""
    return ".".join(map(str, _checked(nvrtc.nvrtcVersion())))


def known_architectures() -> set[str]:
    """What this compiler can compile for."""
    return {f"sm_{number}" for number in _checked(nvrtc.nvrtcGetSupportedArchs())}


def module_names() -> list[str]:
    """Every module of kernels."""
    return sorted(path.stem for path in _cuda._FOLDER.glob("*.cu"))


def all_reports() -> list[Report]:
    """Compile every module for every architecture; CompilerError for errors and for warnings."""
    tasks = [(module, architecture) for module in module_names() for architecture in ARCHITECTURES]
    with ThreadPoolExecutor() as threads:
        return [report for reports in threads.map(lambda task: list(_compiled(*task)), tasks) for report in reports]


def as_table(reports: list[Report]) -> str:
    """One line a kernel: its shared memory and stack, the largest of all architectures, and its registers on each."""
    kernels: dict[str, dict[str, Report]] = {}
    for report in reports:
        kernels.setdefault(report.kernel, {})[report.architecture] = report
    lines = [f"# registers a thread, and bytes, as NVRTC {compiler_version()} reports them"]
    lines.append("\t".join(("kernel", "shared", "stack", *ARCHITECTURES)))
    for kernel, on in sorted(kernels.items()):
        sizes = max(report.shared for report in on.values()), max(report.stack for report in on.values())
        lines.append("\t".join(map(str, (kernel, *sizes, *(on[name].registers for name in ARCHITECTURES)))))
    return "\n".join(lines) + "\n"


def changes(before: str, after: str) -> list[str]:
    """In words, how one table differs from another, a line each."""
    old, new = _cells(before), _cells(after)
    lines = [f"{kernel}: {'new' if kernel in new else 'gone'}" for kernel in sorted(old.keys() ^ new.keys())]
    for kernel in sorted(old.keys() & new.keys()):
        pairs = [(what, old[kernel].get(what), cell) for what, cell in new[kernel].items()]
        lines += [f"{kernel}, {what}: {known} → {cell}" for what, known, cell in pairs if known != cell]
    return lines


def _cells(table: str) -> dict[str, dict[str, str]]:
    header, *rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def _compiled(module: str, architecture: str) -> Iterator[Report]:
    program = _checked(nvrtc.nvrtcCreateProgram(_cuda.source(module).encode(), f"{module}.cu".encode(), 0, [], []))
    options = [option.encode() for option in (f"--gpu-architecture={architecture}", *OPTIONS)]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    log = b" " * _checked(nvrtc.nvrtcGetProgramLogSize(program))
    _checked(nvrtc.nvrtcGetProgramLog(program, log))
    _checked(nvrtc.nvrtcDestroyProgram(program))
    words = log.decode()
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS or "warning" in words:
        raise CompilerError(f"{module} for {architecture}: {words}")
    for found in _REPORT.finditer(words):
        shared = _SHARED.search(found["rest"])
        yield Report(
            f"{module}:{found['kernel']}",
            found["architecture"],
            registers=int(found["registers"]),
            shared=int(shared[1]) if shared else 0,
            stack=int(found["stack"]),
            spilled=int(found["stores"]) + int(found["loads"]),
        )


def _checked(answer):
    status, *values = answer
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise CompilerError(str(status))
    return values[0] if len(values) == 1 else values


if __name__ == "__main__":
    renewed = as_table(all_reports())
    for change in changes(TABLE.read_text(), renewed) if TABLE.exists() else ():
        print(change)
    TABLE.write_text(renewed)
    print(f"written to {TABLE.name}")
