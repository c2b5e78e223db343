"""The benchmarks of affinity run, name their claims, and do without their peer."""

import sys

import pytest

from thalgpu.bench import affinity_dense, affinity_sparse


@pytest.fixture
def no_brainspace(monkeypatch):
    """An import of BrainSpace fails, installed or not."""
    for name in [name for name in sys.modules if name.split(".")[0] == "brainspace"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "brainspace", None)


@pytest.mark.parametrize(("bench", "claim"), [(affinity_dense, "B1"), (affinity_sparse, "B2")])
@pytest.mark.usefixtures("no_brainspace")
def test_without_its_peer_a_bench_still_measures_ours(bench, claim):
    results = bench.run(threads=1, quick=True)
    assert {result.claim for result in results} == {claim}
    for result in results:
        assert result.ours_seconds > 0
        assert result.ref_seconds is None
        assert result.note == "brainspace not installed (extra [validate])"


@pytest.mark.parametrize("bench", [affinity_dense, affinity_sparse])
def test_with_its_peer_a_bench_gives_both_precisions(bench):
    pytest.importorskip("brainspace", reason="the peer is optional: pip install thalgpu[validate]")
    results = bench.run(threads=1, quick=True)
    assert {result.ref_label.split()[-1] for result in results} == {"float32", "float64"}
    assert all(result.ratio is not None for result in results)
