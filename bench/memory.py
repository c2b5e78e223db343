"""B7: peak memory of one subject's gradients for 100,000 targets, in a process of its own."""

import subprocess
import sys

from thalgpu.bench._result import BenchResult

_SUBJECT = """
import resource, sys
import numpy as np
from thalgpu.engine.config import GradientOptions
from thalgpu.engine.gradients.subject import subject_gradients
n, m, t = map(int, sys.argv[1:])
rng = np.random.default_rng(0)
common = rng.standard_normal((t, 8), dtype=np.float32)
def series(k):
    out = rng.standard_normal((t, k), dtype=np.float32)
    for start in range(0, k, 4096):
        stop = min(k, start + 4096)
        out[:, start:stop] += common @ rng.standard_normal((8, stop - start), dtype=np.float32)
    return out
subject_gradients(series(n), series(m), GradientOptions())
try:  # not getrusage, whose peak begins with that of the process that started this one
    status = open("/proc/self/status").read()
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run(*, threads: int, quick: bool) -> BenchResult:  # noqa: ARG001 - memory, not time; one signature
    """The whole process' peak resident size, interpreter and libraries included."""
    n, m, t = (300, 5_000, 100) if quick else (2_248, 100_000, 300)
    printed = subprocess.run(
        [sys.executable, "-c", _SUBJECT, str(n), str(m), str(t)], check=True, capture_output=True, text=True
    ).stdout
    allowed = 4 * t * (n + m) + 4 * 2 * n**2 + 256 * 2**20
    return BenchResult(
        claim="B7",
        title=f"peak memory, default recipe, n={n} m={m} T={t}",
        ours_label="peak resident size",
        ours_seconds=int(printed) / 2**20,
        ref_label="time series + 2 n² + 256 MB",
        ref_seconds=allowed / 2**20,
        unit="MB",
        target=">= 1x",
        note="float32 throughout; the interpreter and libraries are included",
    )
