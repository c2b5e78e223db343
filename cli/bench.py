"""`thalgpu bench`: time the engine against its references."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def bench(
    only: Annotated[str, typer.Option(help="Claims or files to run, as in B1,B2; all when left out.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: does it run, not how fast.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of both sides; default: all cores.")] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs to time the CUDA kernels on, beside predictions.")] = 0,
    out: Annotated[Path, typer.Option(help="File that the results are written to.")] = Path("bench.json"),
) -> None:
    """Time the engine against its references, and against peers where they are installed.

    Prints a table with both sides of each claim and writes the same as JSON. With --gpus the claims are the predictions
    of bench/ROOFLINE.md, and --only takes names of kernels.
    """
    from thalgpu.bench import report, roofline  # here: --help must not load NumPy
    from thalgpu.engine.cluster.devices import choose_gpus
    from thalgpu.engine.machine import usable_cores

    threads = threads or usable_cores()
    found = roofline.benchmarks(choose_gpus(gpus)) if gpus else report.find_benchmarks()
    chosen = report.select(found, [name.strip() for name in only.split(",") if name.strip()])
    print(f"{', '.join(benchmark.name for benchmark in chosen)} with {threads} threads", file=sys.stderr)
    results = []
    for result in report.run_benchmarks(chosen, threads=threads, quick=quick):
        print(f"{result.claim} {result.title}: {result.ours_seconds:.3g} {result.unit}", file=sys.stderr, flush=True)
        results.append(result)
    print(report.to_table(results))
    for result in results:
        if result.note:
            print(f"{result.claim} {result.title}: {result.note}")
    report.write_json(out, results, report.conditions(threads=threads, quick=quick))
    print(f"written to {out}")
