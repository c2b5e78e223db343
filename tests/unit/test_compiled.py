import os
import pickle
import subprocess
import sys
import textwrap

import numpy as np

from thalgpu.kernels._compiled import compiled


@compiled
def _squared(x: float) -> float:
    return x * x


@compiled
def sum_of_squares(values):
    """Of an array."""
    total = 0.0
    for i in range(values.size):
        total += _squared(values[i])
    return total


@compiled
def _ratio(a, b):
    return a / b


def test_a_loop_gives_what_python_gives():
    assert sum_of_squares(np.arange(5.0)) == 30.0
    assert sum_of_squares.__doc__ == "Of an array."


def test_division_by_zero_is_infinite_as_in_numpy():
    assert _ratio(1.0, 0.0) == np.inf


def test_workers_find_a_compiled_function_by_its_name():
    from thalgpu.kernels import glm

    assert pickle.loads(pickle.dumps(glm._count_rows)) is glm._count_rows


def test_a_full_disk_only_costs_the_cache(monkeypatch):
    import numba.core.caching

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba.core.caching.FunctionCache, "save_overload", full)
    assert _ratio(np.float32(1), np.float32(2)) == 0.5


def run_python(code, **environment):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=120)


def test_works_where_no_cache_can_be_written():
    code = """
        import tempfile
        def refuse(*_, **__):
            raise OSError(30, "Read-only file system")
        tempfile.TemporaryFile = refuse  # how Numba finds out whether it can write to a folder
        import numpy as np
        from thalgpu.kernels.glm import count_exceedances
        print(count_exceedances(np.ones((3, 1)), np.ones(1))[0])
        from thalgpu.kernels.glm import _count_rows
        print(_count_rows._machine_code.stats.cache_path)
    """
    done = run_python(code)
    assert (done.stdout, done.stderr) == ("3\nNone\n", "")


def test_numba_is_not_imported_before_it_is_needed():
    done = run_python("import sys, thalgpu.kernels.glm, thalgpu.engine.inference.scales; print('numba' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")
