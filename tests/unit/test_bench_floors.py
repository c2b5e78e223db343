"""Floors under ratios: what is slower than before falls through, and CI fails."""

import json
import time

import pytest
from typer.testing import CliRunner

from thalgpu.bench import floors
from thalgpu.bench.floors import FLOORS, Floor, run_floors
from thalgpu.cli.bench import bench
from thalgpu.engine.gradients.affinity import compute_affinity
from thalgpu.engine.gradients.connectivity import connectivity


def work(seconds):
    def busy():
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    return busy


def floor(ours, reference, *, least=2.0, times=1):
    return Floor("working", "B1", least, "why", "a loop", lambda: (ours, reference, times), repeats=1)


def test_what_does_less_than_its_reference_stays_above_its_floor():
    assert [result.met for result in run_floors([floor(work(0.01), work(0.1))])] == [True]


def test_what_was_slowed_down_falls_through():
    slowed = floor(work(0.1), work(0.1))
    assert [result.met for result in run_floors([slowed])] == [False]


def test_waiting_for_others_is_no_work():
    def delayed():
        work(0.01)()
        time.sleep(0.3)

    assert next(run_floors([floor(delayed, work(0.1))])).met


def test_a_side_that_does_more_of_the_same_is_judged_by_the_piece():
    result = next(run_floors([floor(work(0.1), work(0.05), times=10)]))
    assert result.ratio == pytest.approx(5, rel=0.4)  # a busy machine's clock ticks


def test_forming_the_whole_matrix_again_falls_through_the_real_floor(monkeypatch):
    pytest.importorskip("brainspace", reason="the peer is optional: pip install thalgpu[validate]")

    def formed(seed, target, *, kernel, sparsity, fisher_z):
        return compute_affinity(connectivity(seed, target, fisher_z=fisher_z), kernel=kernel, sparsity=sparsity)

    monkeypatch.setattr(floors, "affinity_from_timeseries", formed)
    assert [result.met for result in run_floors(FLOORS[:1])] == [False]


@pytest.mark.parametrize(("ours", "code"), [(0.01, 0), (0.1, 1)])
def test_the_command_fails_under_a_floor_and_writes_the_ratios(monkeypatch, tmp_path, ours, code):
    monkeypatch.setattr(floors, "run_floors", lambda: run_floors([floor(work(ours), work(0.1))]))
    ended = run_command(tmp_path / "history" / "now.json")
    assert ended.exit_code == code
    record = json.loads((tmp_path / "history" / "now.json").read_text())
    assert record["results"][0]["met"] is (code == 0)


def test_a_reference_that_is_not_installed_fails_too(monkeypatch, tmp_path):
    monkeypatch.setattr(floors, "run_floors", lambda: run_floors([floor(work(0.01), None)]))
    assert run_command(tmp_path / "now.json").exit_code == 1


def run_command(out):
    import typer

    app = typer.Typer()
    app.command()(bench)
    return CliRunner().invoke(app, ["--floors", "--out", str(out)])
