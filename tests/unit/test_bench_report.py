"""The frame of the benchmarks, on a claim that takes no time."""

import inspect
import json
from importlib import import_module

import pytest
from threadpoolctl import threadpool_info

from thalgpu.bench import report, startup
from thalgpu.bench._result import BenchResult
from thalgpu.errors import UsageError


def result(**changes):
    values = {"claim": "B1", "title": "adding", "ours_label": "ours", "ours_seconds": 2.0, "ref_label": "theirs"}
    return BenchResult(**{**values, "ref_seconds": 10.0, "target": ">= 5x", **changes})


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({"target": ">= 5x"}, True),
        ({"target": ">= 5.1x"}, False),
        ({"target": "<= 2"}, True),
        ({"target": "<= 1.9"}, False),
        ({"ref_seconds": None}, None),
        ({"ref_seconds": None, "target": "<= 2"}, True),
    ],
)
def test_target_is_on_the_ratio_or_on_ours(changes, met):
    assert result(**changes).met is met


def test_a_target_of_another_form_is_refused():
    with pytest.raises(ValueError, match="not of the form"):
        _ = result(target="fast").met


def test_table_shows_both_sides_the_ratio_and_the_verdict():
    lines = report.to_table([result(), result(claim="B2", target=">= 6x"), result(claim="B3", ref_seconds=None)])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()]
    assert rows[2] == ["B1", "adding", "ours 2 s", "theirs 10 s", "5x", ">= 5x", "yes"]
    assert rows[3][-1] == "MISSED"
    assert rows[4][3:] == ["theirs (not installed)", "–", ">= 5x", "no reference"]


@pytest.mark.parametrize("benchmark", report.find_benchmarks(), ids=lambda benchmark: benchmark.name)
def test_every_benchmark_names_its_claim_and_can_be_run(benchmark):
    assert benchmark.claims, f"the docstring of bench/{benchmark.name}.py does not begin with its claim"
    run = import_module(f"thalgpu.bench.{benchmark.name}").run
    assert set(inspect.signature(run).parameters) == {"threads", "quick"}


def test_benchmarks_are_selected_by_claim_or_by_name():
    benchmarks = report.find_benchmarks()
    assert [benchmark.name for benchmark in report.select(benchmarks, ["B10"])] == ["startup"]
    assert [benchmark.name for benchmark in report.select(benchmarks, ["startup"])] == ["startup"]
    assert report.select(benchmarks, []) == benchmarks


def test_an_unknown_claim_is_a_usage_error():
    with pytest.raises(UsageError, match="no benchmark B99"):
        report.select(report.find_benchmarks(), ["B10", "B99"])


def test_both_sides_run_with_the_threads_asked_for():
    seen = []

    def run(*, threads, quick):
        seen.append((threads, quick, {pool["num_threads"] for pool in threadpool_info()}))
        return result()

    assert list(report.run_benchmarks([report.Benchmark("adding", ("B1",), run)], threads=1, quick=True)) == [result()]
    assert seen == [(1, True, {1})]


def test_json_holds_results_and_conditions(tmp_path):
    report.write_json(tmp_path / "new" / "bench.json", [result()], report.conditions(threads=1, quick=True))
    record = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert record["results"][0]["ratio"] == 5.0
    assert record["results"][0]["met"] is True
    assert record["conditions"]["threads"] == 1
    assert record["conditions"]["packages"]["numpy"]


def test_start_up_is_measured_beside_the_bare_interpreter():
    for measured in startup.run(threads=1, quick=True):
        assert measured.ours_seconds > 0
        assert measured.ref_seconds is not None
        assert measured.ref_label == "bare Python"
