"""Whatever is asked for, simulated series are finite, and a person does not depend on the others."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.engine.simulate.anatomy import thalamus_elements
from thalgpu.engine.simulate.confounds import to_tsv
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.engine.simulate.phenotype import participant
from thalgpu.engine.simulate.random_streams import Purpose, smooth_fields, stream
from thalgpu.engine.simulate.subject import simulate_subject


@settings(max_examples=30, deadline=None)
@given(
    n_voxels=st.integers(1, 60),
    n_targets=st.integers(1, 80),
    n_timepoints=st.integers(10, 90),
    tr=st.floats(0.4, 20.0),
    noise=st.sampled_from([0.0, 0.3, 10.0]),
    effect=st.floats(-5.0, 5.0),
    index=st.integers(0, 2**31),
)
def test_series_and_confounds_are_finite(n_voxels, n_targets, n_timepoints, tr, noise, effect, index):
    subject = simulate_subject(
        index, n_voxels=n_voxels, n_targets=n_targets, n_timepoints=n_timepoints, tr=tr, noise=noise, effect=effect
    )
    assert np.isfinite(subject.seed_ts).all()
    assert np.isfinite(subject.target_ts).all()
    assert (subject.seed_ts.std(axis=0) > 0).all()
    assert len({line.count("\t") for line in to_tsv(subject.confounds).splitlines()}) == 1
    assert "nan" not in to_tsv(subject.confounds)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**64), index=st.integers(0, 10_000))
def test_same_address_gives_the_same_person(seed, index):
    once, again = (simulate_subject(index, seed=seed, n_voxels=10, n_targets=10, n_timepoints=20) for _ in range(2))
    np.testing.assert_array_equal(once.seed_ts, again.seed_ts)
    np.testing.assert_array_equal(once.truth.gradients, again.truth.gradients)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), indices=st.lists(st.integers(0, 1000), min_size=2, max_size=2, unique=True))
def test_different_people_are_different(seed, indices):
    one, other = (stream(seed, index, Purpose.GRADIENTS).random(4) for index in indices)
    assert not np.array_equal(one, other)


@given(n=st.integers(1, 400))
def test_thalami_mirror_each_other(n):
    xyz = thalamus_elements(n).xyz
    left, right = xyz[xyz[:, 0] < 0], xyz[xyz[:, 0] > 0]
    assert len(xyz) == n
    assert len(left) - len(right) in (0, 1)
    np.testing.assert_allclose(left[: len(right)] * [-1, 1, 1], right)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_smooth_fields_are_functions_of_position(seed):
    xyz = np.random.default_rng(seed).uniform(-50, 50, (40, 3))
    whole = smooth_fields(stream(seed, 0, Purpose.WEIGHTS), xyz, 3, length=20.0)
    part = smooth_fields(stream(seed, 0, Purpose.WEIGHTS), xyz[10:20], 3, length=20.0)
    np.testing.assert_allclose(part, whole[:, 10:20], atol=1e-4)  # float32 cosines of phases up to about 100


@given(seed=st.integers(0, 2**32), index=st.integers(0, 10_000), group=st.sampled_from(CohortOptions().groups))
def test_clinical_scores_obey_the_thresholds(seed, index, group):
    row = participant(seed, index, "sub-01", group)
    pain_detect, dn4 = int(row["painDETECT"]), int(row["DN4"])
    assert -1 <= pain_detect <= 38
    assert 0 <= dn4 <= 10
    assert (pain_detect >= 19) == (group == "neuCLBP")
    assert (pain_detect <= 12) == (group != "neuCLBP")
    assert (dn4 >= 4) == (group == "neuCLBP")
    assert (row["NeuPSIG"] in ("probable", "definite")) == (group == "neuCLBP")
    assert 0 <= float(row["pain_intensity"]) <= 10
    assert 0 <= float(row["disability"]) <= 100
    assert 18 <= int(row["age"]) <= 75
    assert row["sex"] in ("F", "M")
