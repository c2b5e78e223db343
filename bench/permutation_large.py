"""B5, B7: ten thousand permutations of ten components with TFCE: minutes, and memory, in a process of its own."""

import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from thalgpu.bench._maps import CONTRAST, simulated_cohort
from thalgpu.bench._result import BenchResult
from thalgpu.engine.inference.blocks import Problem, prepare_test
from thalgpu.engine.inference.finish import finish
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Part
from thalgpu.engine.inference.permutation_set import plan_permutations
from thalgpu.engine.inference.permutation_test import run_all

_MINUTES, _MB = 10, 1_000


def run(*, threads: int, quick: bool) -> list[BenchResult]:
    """A joint test of all components, two-sided, exact TFCE: the process's time without imports, and its peak size."""
    sizes = (20, 200, 2, 200) if quick else (84, 2_248, 10, 10_000)
    command = [sys.executable, "-m", __name__, *map(str, sizes), str(threads)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, peak = map(float, printed.split())
    n_subjects, n_voxels, n_components, n_perm = sizes
    shape = f"{n_perm} permutations × {n_components} components with TFCE, S={n_subjects} V={n_voxels}"
    note = f"two-sided, all p-values, corrected over components too; {threads} threads of one process"
    limits = (("B5", "test", seconds, _MINUTES * 60, "s"), ("B7", "peak resident size", peak, _MB, "MB"))
    return [
        BenchResult(
            claim=claim,
            title=shape,
            ours_label=label,
            ours_seconds=measured,
            ref_label="allowed",
            ref_seconds=allowed,
            unit=unit,
            target=f"<= {allowed}",
            note=note,
        )
        for claim, label, measured, allowed, unit in limits
    ]


def components_test(n_subjects: int, n_voxels: int, n_components: int, n_perm: int, threads: int) -> None:
    """Components side by side, each a part with neighbours of its own."""
    cohort = simulated_cohort(n_subjects, n_voxels, n_components)
    contrast = Contrast("group", "group", CONTRAST[None], "t")
    design = Design(cohort.matrix, ("intercept", "group", "n1", "n2", "n3"), (contrast,))
    options = InferenceOptions(n_perm=n_perm, two_sided=True, tfce=True)
    parts = tuple(Part(f"G{i + 1}", i * n_voxels, (i + 1) * n_voxels) for i in range(n_components))
    neighbours = (cohort.neighbours,) * n_components
    permutations = plan_permutations(design, options)
    test = prepare_test(Problem(cohort.values, design, permutations, options, parts, neighbours, neighbours))
    finish(test, run_all(test, threads))


def _peak_megabytes() -> float:
    try:  # not getrusage, whose peak begins with that of the process that started this one
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _main() -> None:
    sizes = [int(argument) for argument in sys.argv[1:]]
    began = perf_counter()
    components_test(*sizes)
    print(perf_counter() - began, _peak_megabytes())


if __name__ == "__main__":
    _main()
