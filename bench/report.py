"""Run the benchmarks and lay both sides of each claim beside each other.

A benchmark is a file of this folder whose docstring begins with its claim ("B1: …") and that defines
`run(*, threads: int, quick: bool) -> BenchResult | list[BenchResult]`. Files that begin with `costs_` say what CUDA
kernels cost; `roofline` makes predictions, and benchmarks, of them; `floors` watches over ratios in CI.
"""

import ast
import json
import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

import thalgpu.bench
from thalgpu import __version__
from thalgpu.bench._result import BenchResult
from thalgpu.errors import UsageError

COLUMNS = ("claim", "what", "ours", "reference", "ratio", "target", "met")
PACKAGES = ("numpy", "scipy", "numba", "nibabel", "h5py", "brainspace", "nilearn", "tfce")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark file: its name, the claims that its docstring begins with, and its function."""

    name: str
    claims: tuple[str, ...]
    run: Callable[..., BenchResult | list[BenchResult]]


def find_benchmarks() -> tuple[Benchmark, ...]:
    """Every benchmark of the package, in the order of the claims; read, not imported, so that each stands by itself."""
    found = []
    for path in Path(thalgpu.bench.__file__).parent.glob("*.py"):
        if not path.stem.startswith(("_", "costs_")) and path.stem not in ("report", "roofline", "floors"):
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            claims = tuple(re.findall(r"\bB\d+\b", docstring.split(":")[0]))
            found.append(Benchmark(path.stem, claims, partial(_import_and_run, path.stem)))
    return tuple(sorted(found, key=lambda benchmark: ([int(claim[1:]) for claim in benchmark.claims], benchmark.name)))


def select(benchmarks: Sequence[Benchmark], only: Sequence[str]) -> tuple[Benchmark, ...]:
    """Those with one of the claims or names in `only`, or all when it is empty; UsageError for an unknown one."""
    known = {key for benchmark in benchmarks for key in (*benchmark.claims, benchmark.name)}
    unknown = sorted(set(only) - known)
    if unknown:
        raise UsageError(f"no benchmark {', '.join(unknown)}", remedy=f"choose from {', '.join(sorted(known))}")
    return tuple(b for b in benchmarks if not only or set(only) & {*b.claims, b.name})


def run_benchmarks(benchmarks: Iterable[Benchmark], *, threads: int, quick: bool) -> Iterator[BenchResult]:
    """Run one after the other, with the same number of threads for each side."""
    with threadpool_limits(threads):
        for benchmark in benchmarks:
            results = benchmark.run(threads=threads, quick=quick)
            yield from results if isinstance(results, list) else [results]


def to_table(results: Iterable[BenchResult]) -> str:
    """A Markdown table with aligned columns, to read on a terminal or to paste."""
    rows = [COLUMNS, *map(_row, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write_json(path: Path, results: Iterable[BenchResult], conditions: Mapping[str, Any]) -> None:
    """The results and the conditions they were measured under."""
    record = {"conditions": dict(conditions), "results": [result.to_json() for result in results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def conditions(*, threads: int, quick: bool) -> dict[str, Any]:
    """What a time depends on besides the code."""
    return {
        "thalgpu": __version__,
        "threads": threads,
        "quick": quick,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _import_and_run(name: str, *, threads: int, quick: bool) -> BenchResult | list[BenchResult]:
    measured: BenchResult | list[BenchResult] = import_module(f"thalgpu.bench.{name}").run(threads=threads, quick=quick)
    return measured


def _row(result: BenchResult) -> tuple[str, ...]:
    verdict = {True: "yes", False: "MISSED", None: "no reference"}[result.met]
    return (
        result.claim,
        result.title,
        f"{result.ours_label} {_quantity(result.ours_seconds, result.unit)}",
        f"{result.ref_label} {_quantity(result.ref_seconds, result.unit)}",
        "–" if result.ratio is None else f"{result.ratio:.3g}x",
        result.target,
        verdict,
    )


def _quantity(value: float | None, unit: str) -> str:
    return "(not installed)" if value is None else f"{value:.3g} {unit}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name where Linux tells it."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    except OSError:
        return platform.processor()
    return {key.strip(): value.strip() for key, value in fields.items()}.get("model name", platform.machine())
