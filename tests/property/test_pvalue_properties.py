"""What holds of p-values whatever the statistics are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from thalgpu.engine.inference.corrections import false_discovery, familywise, monte_carlo_interval
from thalgpu.engine.inference.model import Neighbours
from thalgpu.engine.inference.peaks import find_clusters
from thalgpu.engine.inference.stopping import sequential_familywise
from thalgpu.engine.inference.tails import gamma_p, gpd_p

values = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
statistics = hnp.arrays(np.float64, st.integers(1, 40), elements=values)
p_values = hnp.arrays(np.float64, st.integers(1, 60), elements=st.integers(1, 50).map(lambda g: g / 50))


def identity_first(observed, null):
    return np.append(observed.max(), null)


@given(statistics, statistics)
def test_familywise_p_falls_as_the_statistic_grows_and_is_never_zero(observed, null):
    p = familywise(np.sort(observed), identity_first(observed, null))
    assert (np.diff(p) <= 0).all()
    assert p.min() >= 1 / (len(null) + 1)


@given(p_values, st.booleans())
def test_adjusted_p_keep_the_order_and_give_equal_p_equal_values(p, adaptive):
    adjusted = false_discovery(p, adaptive=adaptive)
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert adjusted.max() <= 1
    assert all(len(set(adjusted[p == value])) == 1 for value in p)


@given(p_values)
def test_adjusted_p_are_never_below_p(p):
    assert (false_discovery(p) >= p * (1 - 1e-15)).all()


@given(st.integers(2, 10_000), st.data())
def test_interval_holds_p(n_perm, data):
    count = data.draw(st.integers(1, n_perm))
    low, high = monte_carlo_interval(np.array([count]), n_perm)
    assert 0 <= low[0] <= count / n_perm <= high[0] <= 1


@given(statistics, statistics, st.integers(1, 8))
def test_sequential_familywise_p_falls_as_the_statistic_grows(observed, null, stop_after):
    p = sequential_familywise(np.sort(observed), identity_first(observed, null), stop_after)
    assert (np.diff(p) <= 0).all()
    assert ((p > 0) & (p <= 1)).all()


@settings(deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 120), elements=values), statistics)
def test_tail_p_are_probabilities_and_never_zero(null, observed):
    """Whatever the null is: constant, heavy-tailed, full of ties."""
    sample = identity_first(observed, null)
    for p in (gpd_p(observed, sample)[0], gamma_p(observed, sample)):
        assert ((p > 0) & (p <= 1)).all()


@given(st.data())
def test_clusters_partition_what_is_significant_and_keep_one_sign(data):
    n = data.draw(st.integers(1, 30))
    touches = np.triu(data.draw(hnp.arrays(bool, (n, n), fill=st.just(False))), 1)
    touches |= touches.T
    neighbours = Neighbours(
        indptr=np.append(0, touches.sum(axis=1).cumsum()).astype(np.int32),
        indices=np.nonzero(touches)[1].astype(np.int32),
        sizes=np.ones(n),
        dimensions=2,
    )
    statistic = data.draw(hnp.arrays(np.float64, n, elements=st.sampled_from([-2.0, -1.0, 1.0, 3.0])))
    significant = data.draw(hnp.arrays(bool, n))
    clusters = find_clusters(significant, statistic, neighbours)
    members = np.concatenate([np.empty(0, dtype=int), *(c.features for c in clusters)])
    np.testing.assert_array_equal(np.sort(members), np.flatnonzero(significant))
    label = np.full(n, -1)
    for number, cluster in enumerate(clusters):
        assert (np.sign(statistic[cluster.features]) == cluster.sign).all()
        label[cluster.features] = number
    alike = significant[:, None] & significant & (np.sign(statistic)[:, None] == np.sign(statistic))
    assert (label[:, None] == label)[touches & alike].all()
