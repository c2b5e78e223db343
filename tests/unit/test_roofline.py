"""Predictions for the CUDA kernels, and their measurement, on the emulated device and with a clock that is made up."""

from types import SimpleNamespace

import pytest

from thalgpu.bench import roofline
from thalgpu.bench._workloads import WORKLOADS
from thalgpu.cli.main import main
from thalgpu.engine import machine
from thalgpu.kernels import _cuda
from thalgpu.kernels._declarations import declarations

KERNELS = sorted(name for path in _cuda._FOLDER.glob("*.cu") for name in declarations(path.read_text()))


def small(kernel):
    """The sizes of a kernel's workload, scaled down."""
    sizes = {name: min(size, 20) for name, size in WORKLOADS[roofline.split(kernel)[0]].sizes.items()}
    return {**sizes, "m": 4100} if kernel.startswith("rank_sorted_rows") else sizes


class Events:
    """A device whose every launch takes two milliseconds."""

    def __init__(self, device):
        self.device = device
        runtime = {name: value for name, value in vars(device.cuda).items() if name != "Event"}
        self.cuda = SimpleNamespace(**runtime, Event=lambda: SimpleNamespace(record=lambda: None))
        self.cuda.get_elapsed_time = lambda start, stop: 2.0

    def __getattr__(self, name):
        return getattr(self.device, name)


def test_the_page_is_what_the_costs_and_sizes_give():
    assert roofline.PAGE.read_text() == roofline.page(), "renew it with `python -m thalgpu.bench.roofline`"


def test_every_kernel_has_a_cost_and_a_workload():
    assert sorted(roofline.costs()) == KERNELS
    assert {roofline.split(kernel)[0] for kernel in KERNELS} == set(WORKLOADS)


@pytest.mark.parametrize(
    ("kernel", "seconds", "bound"), [("mirror_f32", 2.0, "memory"), ("mirror_f64", 3.0, "compute")]
)
def test_what_takes_longer_is_the_prediction(kernel, seconds, bound, monkeypatch):
    device = roofline.Device("D", bytes_per_second=10.0, single_per_second=100.0, double_per_second=50.0)
    monkeypatch.setattr(roofline, "costs", lambda: dict.fromkeys(["mirror_f32", "mirror_f64"], lambda n: (20, 150)))
    prediction = roofline.predict(kernel, device)
    assert (prediction.seconds, prediction.bound) == (seconds, bound)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_workload_launches_its_kernel_once_a_call(kernel, emulated):
    launches = roofline.measure(Events(emulated), kernel, repeats=1, **small(kernel)) / 2e-3
    assert launches == pytest.approx(1)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_bytes_of_a_cost_are_those_of_the_arrays_that_the_kernel_gets(kernel, emulated):
    stem, dtype = roofline.split(kernel)
    call, handed = WORKLOADS[stem].prepare(emulated, dtype, **small(kernel)), []

    def note(name, grid, run):
        if name.endswith(f":{kernel}"):
            handed.append(sum(argument.nbytes for argument in run.args[2] if hasattr(argument, "device")))
        run()

    with _cuda.watched(note):
        call()
    n_bytes, _ = roofline.costs()[kernel](**small(kernel))
    assert 0.5 <= n_bytes / handed[0] <= 2.1  # what is written over counts twice, and half of it in a triangle


def test_gpus_that_are_not_there_are_a_lack_of_resources(monkeypatch, capsys):
    def none():
        raise RuntimeError("no NVIDIA driver")

    monkeypatch.setattr("thalgpu.engine.cluster.devices.find_gpus", none)
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--gpus", "1"])
    assert ended.value.code == 5
    assert "no NVIDIA driver" in capsys.readouterr().err


def test_kernels_are_benchmarks_of_their_own_on_each_gpu():
    gpus = [machine.Gpu(0, "NVIDIA A100-SXM4-40GB", 2**35, 2**35), machine.Gpu(1, "NVIDIA H100", 2**36, 2**36)]
    found = roofline.benchmarks(gpus)
    assert [benchmark.name for benchmark in found] == 2 * list(roofline.costs())
    assert found[0].claims == ("cosine",)
