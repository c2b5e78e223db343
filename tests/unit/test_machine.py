"""Limits of containers and batch jobs, and GPUs, read from imitations."""

import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from thalgpu.engine import machine


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """Writes the files of a control group; `cgroup("0::/job", {"job/memory.max": "100"})`."""

    def write(membership, files):
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "self").write_text(membership + "\n")
        monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
        monkeypatch.setattr(machine, "OWN_CGROUP", tmp_path / "self")

    return write


def test_memory_limit_leaves_what_is_not_in_use(cgroup):
    cgroup("0::/job", {"job/memory.max": "1000\n", "job/memory.current": "400\n"})
    assert machine.cgroup_memory() == 600


def test_file_cache_counts_as_free(cgroup):
    files = {"memory.max": "1000", "memory.current": "900", "memory.stat": "anon 500\ninactive_file 300\n"}
    cgroup("0::/", files)
    assert machine.cgroup_memory() == 400


def test_the_tightest_limit_of_all_parents_counts(cgroup):
    files = {"memory.max": "max", "memory.current": "5"}
    files |= {"a/memory.max": "100", "a/memory.current": "50", "a/b/memory.max": "90", "a/b/memory.current": "10"}
    cgroup("0::/a/b", files)
    assert machine.cgroup_memory() == 50


def test_version_1_limits_are_read(cgroup):
    files = {"memory/job/memory.limit_in_bytes": "1000", "memory/job/memory.usage_in_bytes": "100"}
    cgroup("4:memory:/job\n0::/", files)
    assert machine.cgroup_memory() == 900


def test_version_1_says_no_limit_with_a_huge_number(cgroup):
    files = {"memory/memory.limit_in_bytes": str(2**63 - 4096), "memory/memory.usage_in_bytes": "100"}
    cgroup("4:memory:/", files)
    assert machine.cgroup_memory() is None


def test_cpu_share_is_quota_over_period(cgroup):
    cgroup("0::/job", {"job/cpu.max": "150000 100000\n", "cpu.max": "max 100000\n"})
    assert machine.cgroup_cores() == 1.5


def test_no_control_groups_no_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "OWN_CGROUP", tmp_path / "absent")
    assert machine.cgroup_memory() is None
    assert machine.cgroup_cores() is None


class FakeDevice:
    """One of two GPUs, as cupy.cuda.Device."""

    def __init__(self, index):
        self.index = index

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


@pytest.fixture
def fake_cupy(monkeypatch):
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 2,
        memGetInfo=lambda: (3 * 2**30, 4 * 2**30),
        getDeviceProperties=lambda index: {"name": f"GPU model {index}".encode()},
    )
    cupy = SimpleNamespace(
        __spec__=SimpleNamespace(), cuda=SimpleNamespace(runtime=runtime, Device=FakeDevice), arange=range_with_sum
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


def range_with_sum(n):
    return SimpleNamespace(sum=lambda: sum(range(n)))


def test_gpus_are_named_with_their_memory(fake_cupy):
    assert machine.find_gpus()[1] == machine.Gpu(1, "GPU model 1", memory_bytes=4 * 2**30, free_bytes=3 * 2**30)


def test_gpus_beyond_those_that_are_wanted_are_left_alone(fake_cupy, monkeypatch):
    touched = []
    monkeypatch.setattr(fake_cupy.cuda, "Device", lambda number: touched.append(number) or nullcontext())
    assert [gpu.index for gpu in machine.find_gpus(at_most=1)] == [0]
    assert touched == [0]


def test_a_gpu_that_cannot_compile_is_reported_in_words(fake_cupy):
    def arange(n):
        raise RuntimeError("NVRTC: cannot open cuda_fp16.h\nand forty more lines")

    fake_cupy.arange = arange
    with pytest.raises(RuntimeError, match=r"no working GPU: NVRTC: cannot open cuda_fp16\.h$"):
        machine.find_gpus()


def test_without_cupy_and_driver_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(machine, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="no NVIDIA driver"):
        machine.find_gpus()


def test_a_driver_without_cupy_is_said(monkeypatch):
    monkeypatch.setattr(machine, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="but no CuPy"):
        machine.find_gpus()


def test_usable_cores_respect_a_containers_share(monkeypatch):
    monkeypatch.setattr(machine, "cgroup_cores", lambda: 0.5)
    assert machine.usable_cores() == 1
