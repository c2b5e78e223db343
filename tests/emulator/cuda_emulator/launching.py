"""One launch: into the runtime through ctypes, and findings back in words."""

import ctypes
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from cuda_emulator import build, memory
from cuda_emulator.device_array import DeviceArray
from cuda_emulator.settings import settings

_OWN_FILES = ("cuda_runtime.h", "cuda_math.h", "runtime.h")
_one_at_a_time = threading.Lock()


class EmulatorError(RuntimeError):
    """What a kernel did and must not do; one line a finding."""


@dataclass(frozen=True)
class Argument:
    """An argument's name, the bytes that the kernel takes, and the array that they point to, if any."""

    name: str
    value: bytes
    array: DeviceArray | None


class _Region(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("start", ctypes.c_size_t),
        ("size", ctypes.c_size_t),
        ("item", ctypes.c_size_t),
        ("accessible", ctypes.c_int),
    )


class _Launch(ctypes.Structure):
    _fields_ = (
        ("run", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("dynamic_bytes", ctypes.c_size_t),
        ("order", ctypes.c_uint64),
        ("checked", ctypes.c_int),
        ("seconds", ctypes.c_double),
        ("regions", ctypes.c_void_p),
        ("n_regions", ctypes.c_size_t),
    )


class _Report(ctypes.Structure):
    _fields_ = (
        ("what", ctypes.c_char * 64),
        ("where", ctypes.c_char * 192),
        ("who", ctypes.c_char * 128),
        ("site", ctypes.c_uint64),
        ("other_site", ctypes.c_uint64),
    )


def run(
    kernel: str,
    path: Path,
    library: ctypes.CDLL,
    shape: tuple[int, ...],
    arguments: list[Argument],
    dynamic_bytes: int,
    order: int,
) -> None:
    """Launch a kernel once; EmulatorError with all that was found."""
    chosen = settings()
    values = [ctypes.create_string_buffer(argument.value, len(argument.value)) for argument in arguments]
    pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    regions = _regions(arguments) if chosen.checked else (_Region * 0)()
    launch = _Launch(
        ctypes.cast(library[f"emulator_run_{kernel}"], ctypes.c_void_p),
        ctypes.addressof(pointers),
        (ctypes.c_uint * 3)(*shape[:3]),
        (ctypes.c_uint * 3)(*shape[3:]),
        dynamic_bytes,
        order,
        chosen.checked,
        chosen.seconds,
        ctypes.addressof(regions),
        len(regions),
    )
    runtime, message = ctypes.CDLL(str(build.runtime_library())), ctypes.create_string_buffer(2048)
    with _one_at_a_time:
        runtime.emulator_launch(ctypes.byref(launch), message, ctypes.c_size_t(len(message)))
        findings = _findings(runtime, path) if chosen.checked else []
    if message.value and not (findings and message.value.startswith(b"out of bounds")):
        findings.append(message.value.decode())
    for argument in arguments:
        if argument.array is not None and not argument.array.allocation.is_intact():
            findings.append(f"write outside the array of argument {argument.name}: run it checked to see where")
    if findings:
        raise EmulatorError(f"{kernel}: " + "\n".join(findings))


def _regions(arguments: list[Argument]) -> "ctypes.Array[_Region]":
    """What a kernel may touch: arguments, joined where they overlap. To be named: other arrays, and freed ones."""
    extents: list[tuple[int, int, int, str]] = []
    given = [(argument.array, argument.name) for argument in arguments if argument.array is not None]
    for start, size, item, name in sorted((a.data.ptr, a.nbytes, a.itemsize, name) for a, name in given if a.nbytes):
        if extents and start < extents[-1][0] + extents[-1][1]:
            first, length, smallest, names = extents.pop()
            extents.append((first, max(length, start + size - first), min(smallest, item), f"{names}/{name}"))
        else:
            extents.append((start, size, item, name))
    regions = [_Region(name.encode(), start, size, item, 1) for start, size, item, name in extents]
    for start, size in memory.live():
        if not any(start < first + length and first < start + size for first, length, _, _ in extents):
            regions.append(_Region(b"", start, size, 1, 0))
    regions += [_Region(b"", start, size, 1, -1) for start, size in memory.freed()]
    return (_Region * len(regions))(*regions)


def _findings(runtime: ctypes.CDLL, library: Path) -> list[str]:
    """The checker's reports, one line each."""
    count = ctypes.c_size_t()
    runtime.emulator_reports.restype = ctypes.POINTER(_Report)
    reports = runtime.emulator_reports(ctypes.byref(count))[: count.value]
    lines = _source_lines(library, {site for report in reports for site in (report.site, report.other_site) if site})
    return [
        f"{report.what.decode()}: {report.where.decode()}"
        + (f" at {lines[report.site]}" if report.site else "")
        + (f", other access at {lines[report.other_site]}" if report.other_site else "")
        + f" (by {report.who.decode()})"
        for report in reports
    ]


def _source_lines(library: Path, sites: set[int]) -> dict[int, str]:
    """File and line of places in a library: those of the kernel's text where the emulator's own is inlined there."""
    if not sites:
        return {}
    addresses = {f"0x{site - 1:016x}": site for site in sites}  # within the call, not after it
    command = ["addr2line", "-a", "-i", "-e", str(library), *addresses]
    found = dict.fromkeys(sites, "an unknown place")
    site = 0
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        if line in addresses:
            site = addresses[line]
        elif found[site] == "an unknown place" and Path(line.split(":")[0]).name not in _OWN_FILES:
            found[site] = Path(line.split(" ")[0]).name
    return found
