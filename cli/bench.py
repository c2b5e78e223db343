"""`thalgpu bench`: time the engine against its references."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from thalgpu.bench._result import BenchResult


def bench(
    only: Annotated[str, typer.Option(help="Claims or files to run, as in B1,B2; all when left out.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: does it run, not how fast.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of both sides; default: all cores.")] = None,
    floors: Annotated[
        bool, typer.Option("--floors", help="Only the ratios of bench/floors.py; exit 1 under one.")
    ] = False,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs to time the CUDA kernels on, beside predictions.")] = 0,
    out: Annotated[Path, typer.Option(help="File that the results are written to.")] = Path("bench.json"),
) -> None:
    """Time the engine against its references, and against peers where they are installed.

    Prints a table with both sides of each claim and writes the same as JSON. With --gpus the claims are the predictions
    of bench/ROOFLINE.md, and --only takes names of kernels. --floors is for CI: CPU seconds on one thread, in a minute.
    """
    from thalgpu.bench import report, roofline  # here: --help must not load NumPy
    from thalgpu.engine.cluster.devices import choose_gpus
    from thalgpu.engine.machine import usable_cores

    if floors:
        raise typer.Exit(_watch(out))
    threads = threads or usable_cores()
    found = roofline.benchmarks(choose_gpus(gpus)) if gpus else report.find_benchmarks()
    chosen = report.select(found, [name.strip() for name in only.split(",") if name.strip()])
    print(f"{', '.join(benchmark.name for benchmark in chosen)} with {threads} threads", file=sys.stderr)
    results = _told(report.run_benchmarks(chosen, threads=threads, quick=quick))
    _show(results, out, threads=threads, quick=quick)


def _watch(out: Path) -> int:
    """Measure what has a floor; 1 when a ratio lies under its own, or could not be had."""
    from thalgpu.bench.floors import run_floors

    results = _told(run_floors())
    _show(results, out, threads=1, quick=True)
    fallen = [f"{result.claim} {result.title}" for result in results if not result.met]
    for name in fallen:
        print(f"under its floor, or without its reference: {name}", file=sys.stderr)
    return 1 if fallen else 0


def _told(results: "Iterable[BenchResult]") -> "list[BenchResult]":
    """All of them, each named as it comes."""
    done = []
    for result in results:
        print(f"{result.claim} {result.title}: {result.ours_seconds:.3g} {result.unit}", file=sys.stderr, flush=True)
        done.append(result)
    return done


def _show(results: "list[BenchResult]", out: Path, *, threads: int, quick: bool) -> None:
    from thalgpu.bench import report

    print(report.to_table(results))
    for result in results:
        if result.note:
            print(f"{result.claim} {result.title}: {result.note}")
    report.write_json(out, results, report.conditions(threads=threads, quick=quick))
    print(f"written to {out}")
