"""Loops are compiled by a test of a few features just as the real one needs them."""

import os
import subprocess
import sys
import textwrap

import pytest

SIGNATURES = """
    import json, sys
    import numpy as np
    from thalgpu.engine.inference import scales, welch
    from thalgpu.engine.inference.adjacency import volume_neighbours
    from thalgpu.engine.inference.blocks import Problem, prepare_test, run_block
    from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Part
    from thalgpu.engine.inference.permutation_set import plan_permutations
    from thalgpu.engine.pipelines.permute_loops import few_features
    from thalgpu.engine.pipelines.permute_records import read_problem, write_problem
    from thalgpu.kernels import clusters, glm, tfce
    from thalgpu.kernels._compiled import loops_of
    from pathlib import Path

    given = json.loads(sys.argv[2])
    variances = given.pop("variances", False)
    rng = np.random.default_rng(1)
    groups = np.repeat([0.0, 1], 8)
    matrix = np.column_stack([1 - groups, groups, rng.normal(size=16)])
    contrasts = (
        Contrast("a", "a", np.array([[1.0, -1, 0]]), "t"),
        Contrast("b", "b", np.array([[1.0, -1, 0], [0, 0, 1]]), "f"),
    )
    labels = np.tile([1, 2], 8) if variances else None
    design = Design(matrix, ("a", "b", "c"), contrasts, variance_groups=labels)
    options = InferenceOptions(n_perm=20, **given)
    ijk = np.argwhere(np.ones((5, 4, 3)))
    touching = volume_neighbours(ijk, 6)
    parts = (Part("x", 0, 60), Part("y", 60, 120))
    values = rng.normal(size=(16, 120))
    problem = Problem(values, design, plan_permutations(design, options), options, parts, *((touching,) * 2,) * 2)

    def compiled():
        modules = (glm, tfce, clusters, scales, welch)
        return [str(loop._dispatcher().signatures) for module in modules for loop in loops_of(module)]

    run_block(prepare_test(few_features(problem)), 0, 1)
    before = compiled()
    write_problem(Path(sys.argv[1]), problem)
    run_block(prepare_test(read_problem(Path(sys.argv[1]))[0]), 0, 20)
    assert compiled() == before, (before, compiled())
    assert any("Array" in signatures for signatures in before)
"""


def run_python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    "options",
    [
        '{"tfce": true, "cluster_threshold": 1.0, "two_sided": true}',
        '{"tfce": true, "tfce_grid": "palm", "statistic_scale": "z", "variances": true}',
        '{"sign_flip": true, "method": "manly", "stop_after": 3}',
    ],
)
def test_a_few_features_compile_all_that_a_worker_calls(tmp_path, options):
    done = run_python(SIGNATURES, tmp_path / "problem.h5", options)
    assert done.returncode == 0, done.stderr


NOTES = """
    import sys
    import numpy as np
    from thalgpu.engine.inference.blocks import Problem
    from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Part
    from thalgpu.engine.inference.permutation_set import plan_permutations
    from thalgpu.engine.pipelines.permute_loops import compile_loops

    design = Design(np.repeat(np.eye(2), 6, axis=0), ("a", "b"), (Contrast("c", "c", np.array([[1.0, -1]]), "t"),))
    options = InferenceOptions(n_perm=20)
    values = np.random.default_rng(0).normal(size=(12, 5))
    permutations = plan_permutations(design, options)
    problem = Problem(values, design, permutations, options, (Part("", 0, 5),), (None,), (None,))
    compile_loops(problem, lambda event: print(event.kind, event.text))
"""


def test_compiling_is_announced_once_and_kept_for_others(tmp_path):
    first, second = (run_python(NOTES, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == "note compiling loops, once after an installation\n"
    assert second.stdout == ""
