"""B10: how long the command line keeps a user waiting before it does anything."""

import os
import subprocess
import sys
from time import perf_counter

from thalgpu.bench._result import BenchResult

HELP_SECONDS, IMPORT_SECONDS = 0.5, 0.2


def run(*, threads: int, quick: bool) -> list[BenchResult]:  # noqa: ARG001 - start-up has no threads; one signature
    """`thalgpu --help` and `import thalgpu`, best of several, with the bare interpreter beside them."""
    repeats = 2 if quick else 5
    bare = _best(["-c", "pass"], repeats)
    return [
        BenchResult(
            claim="B10",
            title=title,
            ours_label="thalgpu",
            ours_seconds=_best(arguments, repeats),
            ref_label="bare Python",
            ref_seconds=bare,
            target=f"<= {limit}",
            note=f"best of {repeats} processes, byte code cached; the target is on ours, in seconds",
        )
        for title, arguments, limit in (
            ("thalgpu --help", ["-m", "thalgpu", "--help"], HELP_SECONDS),
            ("import thalgpu", ["-c", "import thalgpu"], IMPORT_SECONDS),
        )
    ]


def _best(arguments: list[str], repeats: int) -> float:
    """Least wall time of an interpreter in seconds, after one run that writes the byte code."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    seconds = []
    for _ in range(repeats + 1):
        started = perf_counter()
        subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds.append(perf_counter() - started)
    return min(seconds[1:])
