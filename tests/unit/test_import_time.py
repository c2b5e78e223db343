"""`import thalgpu` and `--help` answer at once: guarded by what they load, since times depend on the machine."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

HEAVY = {"cupy", "dask", "distributed", "h5py", "jinja2", "matplotlib", "nibabel", "nilearn", "numba", "numpy", "scipy"}


def modules_after(code):
    """Top-level packages that a fresh interpreter has loaded after running `code`."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('\\n' + ' '.join(sys.modules))"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in finished.stdout.splitlines()[-1].split()}


def test_importing_the_package_loads_nothing_heavy():
    assert modules_after("import thalgpu") & HEAVY == set()


@pytest.mark.parametrize("command", ["", "gradients", "simulate", "doctor", "bench"])
def test_help_loads_nothing_heavy(command):
    arguments = [command, "--help"] if command else ["--help"]
    assert modules_after(f"from thalgpu.cli.main import main; main({arguments})") & HEAVY == set()


def test_public_names_are_listed_without_loading_them():
    assert modules_after("import thalgpu; assert 'GradientMaps' in dir(thalgpu)") & HEAVY == set()


@pytest.mark.parametrize("package", ["thalgpu.kernels", "thalgpu.engine.inference"])
def test_numba_waits_for_the_first_call_of_a_loop(package):
    names = [module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}.")]
    assert "numba" not in modules_after(f"import {', '.join(names)}")
