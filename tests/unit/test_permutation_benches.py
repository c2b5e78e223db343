"""The benchmarks of permutations run, name their claims, compare like with like, and do without their peers."""

import sys

import numpy as np
import pytest

from thalgpu.bench import _mrtrix, growth, permutation_glm, permutation_large, permutation_tfce
from thalgpu.bench._maps import agreement, simulated_cohort
from thalgpu.errors import NumericsError


@pytest.fixture
def no_peers(monkeypatch):
    """Neither nilearn nor tfce can be imported, and MRtrix3 is not on the path."""
    for package in ("nilearn", "tfce"):
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(_mrtrix.shutil, "which", lambda _program: None)


@pytest.mark.parametrize(("bench", "claim"), [(permutation_glm, "B4"), (permutation_tfce, "B5")])
@pytest.mark.usefixtures("no_peers")
def test_without_its_peers_a_bench_still_measures_ours(bench, claim):
    results = bench.run(threads=1, quick=True)
    assert {result.claim for result in results} == {claim}
    for result in results:
        assert result.ours_seconds > 0
        assert result.ref_seconds is None
        assert "not installed" in result.note


def test_beside_nilearn_t_is_the_same():
    pytest.importorskip("nilearn", reason="the peer is optional: pip install thalgpu[validate]")
    (result,) = permutation_glm.run(threads=1, quick=True)
    assert result.ratio is not None
    assert "t within" in result.note


def test_the_large_job_says_its_time_and_its_memory():
    results = permutation_large.run(threads=1, quick=True)
    assert [(result.claim, result.unit, result.met) for result in results] == [("B5", "s", True), ("B7", "MB", True)]
    assert results[1].ours_seconds > 20  # an interpreter with NumPy is larger


def test_growth_with_permutations_is_an_exponent():
    assert -1 < growth._permutations(1, quick=True) < 3


def test_the_cohort_has_the_voxels_that_were_asked_for_and_they_hang_together():
    cohort = simulated_cohort(6, 500, 2)
    assert cohort.mask.sum() == 500
    assert cohort.values.shape == (6, 1000)
    assert (np.diff(cohort.neighbours.indptr) > 0).all()


def test_maps_that_differ_are_not_compared():
    assert agreement("t", np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-7]), 1e-6).startswith("t within 5.0e-08")
    with pytest.raises(NumericsError, match=r"t: the two sides differ by 0\.5 of the maximum"):
        agreement("t", np.array([1.0, 3.0]), np.array([1.0, 2.0]), 1e-6)
