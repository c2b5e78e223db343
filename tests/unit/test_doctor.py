"""Every check of the doctor, on this machine and on imitations of broken ones."""

import fcntl
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from thalgpu.cli import doctor as command
from thalgpu.cli.main import main
from thalgpu.engine.machine import Gpu
from thalgpu.engine.pipelines import doctor, self_test, self_test_permutations
from thalgpu.engine.pipelines.doctor import Check, run_doctor


@pytest.fixture(scope="module")
def checks(tmp_path_factory):
    return {check.name: check for check in run_doctor(tmp_path_factory.mktemp("out"))}


def test_a_sound_machine_has_no_failure(checks):
    assert [check for check in checks.values() if check.status == "fail"] == []


def test_versions_of_what_the_engine_stands_on_are_told(checks):
    assert f"numpy {np.__version__}" in checks["packages"].detail
    assert "HDF5" in checks["packages"].detail
    assert f"Python {sys.version.split()[0]}" in checks["thalgpu"].detail


def test_it_leaves_nothing_behind(tmp_path):
    run_doctor(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_cannot_be_imported_fails_with_a_remedy(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no_such_package"))
    failed, summary = doctor._packages()
    assert (failed.name, failed.status) == ("no_such_package", "fail")
    assert "pip install" in failed.remedy
    assert summary.detail.startswith("numpy")


def test_no_gpu_is_no_failure(monkeypatch):
    def none():
        raise RuntimeError("no NVIDIA driver")

    monkeypatch.setattr(doctor, "find_gpus", none)
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: False)
    assert doctor._devices() == Check("GPUs", "ok", "none: no NVIDIA driver; the CPU computes")


def test_a_driver_without_a_working_cupy_names_the_extra(monkeypatch):
    def none():
        raise RuntimeError("an NVIDIA driver, but no CuPy")

    monkeypatch.setattr(doctor, "find_gpus", none)
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: True)
    assert doctor._devices().status == "warn"
    assert "thalgpu[cuda12]" in doctor._devices().remedy


def test_gpus_are_listed_with_their_memory(monkeypatch):
    monkeypatch.setattr(doctor, "find_gpus", lambda: (Gpu(0, "Model A", 8 * 2**30, 6 * 2**30),))
    assert doctor._devices().detail == "0: Model A, 6.0 GB of 8.0 GB"


def test_a_share_of_the_cores_smaller_than_their_number_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor, "usable_cores", lambda: 8)
    monkeypatch.setattr(doctor, "cgroup_cores", lambda: 2.5)
    assert doctor._processor().status == "warn"
    assert doctor._processor().remedy == "--workers 2"


def test_the_memory_of_a_container_counts(monkeypatch):
    monkeypatch.setattr(doctor, "available_memory", lambda: 64 * 2**30)
    monkeypatch.setattr(doctor, "cgroup_memory", lambda: 2**30)
    assert doctor._memory() == Check(
        "memory",
        "warn",
        "1.0 GB left to this container or job",
        "close other programs, ask for more, or keep to small regions",
    )


@pytest.mark.parametrize(("free", "status"), [(2**20, "fail"), (2**30, "warn"), (2**40, "ok")])
def test_free_space_is_judged(monkeypatch, tmp_path, free, status):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    assert doctor._space("space", tmp_path).status == status


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails_while_writing_is_a_failure(monkeypatch, tmp_path, step):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, refuse)
    check = doctor._writing("writing", tmp_path)
    assert check.status == "fail"
    assert "No space left" in check.detail
    assert list(tmp_path.iterdir()) == []


def test_locks_that_do_not_hold_are_a_failure(monkeypatch, tmp_path):
    monkeypatch.setattr(fcntl, "flock", lambda file, operation: None)
    check = doctor._writing("writing", tmp_path)
    assert check.status == "fail"
    assert "locks do not hold" in check.detail


def test_wrong_gradients_fail_the_self_test(monkeypatch):
    right = self_test.diffusion_map

    def wrong(affinity, n_components, *, alpha):
        return SimpleNamespace(gradients=right(affinity, n_components, alpha=alpha).gradients[::-1])

    monkeypatch.setattr(self_test, "diffusion_map", wrong)
    assert doctor._known_answer("gradients").status == "fail"


def test_wrong_statistics_or_maps_fail_the_self_test(monkeypatch):
    right = self_test_permutations.run_block

    def wrong(test, start, stop):
        null = right(test, start, stop)
        null.maxima["tfce"][0, 0, 7] *= 1 + 1e-6
        return null

    monkeypatch.setattr(self_test_permutations, "run_block", wrong)
    assert doctor._known_answer("permutations").status == "fail"


def test_wrong_counts_fail_the_self_test(monkeypatch):
    right = self_test_permutations.run_block

    def wrong(test, start, stop):
        null = right(test, start, stop)
        null.counts["stat"][0] += 1
        return null

    monkeypatch.setattr(self_test_permutations, "run_block", wrong)
    assert doctor._known_answer("permutations").status == "fail"


def test_self_test_has_room_below_its_tolerance():
    for known in ("gradients", "permutations"):
        error, most = self_test.known_error(known)
        assert error < 0.1 * most, known  # what is left is rounding


def test_command_ends_with_0_and_one_line_a_check(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--folder", str(tmp_path)])
    assert ended.value.code in (0, None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok    thalgpu: ")
    assert lines[-1] == "This machine is fit for thalgpu."


def test_command_ends_with_5_when_something_will_not_work(monkeypatch, capsys):
    broken = (Check("disk", "fail", "full", "free some"), Check("rest", "ok", "fine"))
    monkeypatch.setattr(doctor, "run_doctor", lambda folder: broken)
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 5
    assert "fail  disk: full — free some" in capsys.readouterr().out


def test_a_table_shows_names_with_brackets_as_they_are(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    command._show((Check("space", "ok", "in /data/[red]set"),))
    assert "/data/[red]set" in capsys.readouterr().out
