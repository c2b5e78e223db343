"""One simulated person: the signal that is planted can be found again, and the noise is what the table says."""

import numpy as np
import pytest

from thalgpu.engine.simulate.anatomy import N_PARCELS, cortex_elements, parcel_labels, thalamus_elements
from thalgpu.engine.simulate.confounds import to_tsv
from thalgpu.engine.simulate.subject import Person, effect_map, network_centres, simulate_subject
from thalgpu.engine.simulate.timecourses import bold_like, cosine_drifts, motion_trace, network_series

PEOPLE = range(4)


def regress_out(series, confounds, names):
    """Residuals of a least-squares fit of the named columns."""
    table = np.column_stack([np.ones(len(series)), *(np.nan_to_num(confounds[name]) for name in names)])
    table /= np.linalg.norm(table, axis=0)
    return series - table @ np.linalg.lstsq(table, series, rcond=None)[0]


def strategy(confounds, *, tissues):
    """Columns of 24p, or of 36p with the tissues, and the slow cosines."""
    wanted = ("trans", "rot", "cosine") + (("csf", "white_matter", "global_signal") if tissues else ())
    return [name for name in confounds if name.startswith(wanted)]


def diffusion_map(seed_ts, target_ts, *, sparsity):
    """The two leading gradients by the textbook: normalised angle, alpha 0.5, dense eigenvectors."""
    unit = [(series - series.mean(axis=0)) / np.linalg.norm(series - series.mean(axis=0), axis=0)
            for series in (seed_ts.astype(float), target_ts.astype(float))]  # fmt: skip
    profile = np.arctanh(np.clip(unit[0].T @ unit[1], -1 + 1e-7, 1 - 1e-7))
    profile = np.where(profile >= np.quantile(profile, sparsity, axis=1, keepdims=True), profile, 0.0)
    profile /= np.linalg.norm(profile, axis=1, keepdims=True)
    affinity = 1.0 - np.arccos(np.clip(profile @ profile.T, -1.0, 1.0)) / np.pi
    degree = affinity.sum(axis=1)
    affinity /= np.sqrt(np.outer(degree, degree))
    root = np.sqrt(affinity.sum(axis=1))
    vectors = np.linalg.eigh(affinity / np.outer(root, root))[1][:, ::-1] / root[:, None]
    return vectors[:, 1:3] / vectors[:, :1]


def recovery(subject, *, sparsity, cleaned=False):
    """|r| of the first and second gradient with the planted ones."""
    series = [subject.seed_ts, subject.target_ts]
    if cleaned:
        names = strategy(subject.confounds, tissues=False)
        series = [regress_out(one, subject.confounds, names) for one in series]
    found = diffusion_map(*series, sparsity=sparsity)
    return np.abs([np.corrcoef(found[:, k], subject.truth.gradients[:, k])[0, 1] for k in range(2)])


def test_planted_gradients_are_the_gradients_of_noise_free_series():
    # a diffusion map bends a straight coordinate towards a cosine: |r| of a line and a cosine is 0.993
    for index in PEOPLE:
        first, second = recovery(simulate_subject(index, noise=0.0), sparsity=0.0)
        assert first > 0.98
        assert second > 0.94


def test_planted_gradients_survive_realistic_noise_after_cleaning():
    found = np.array([recovery(simulate_subject(index), sparsity=0.9, cleaned=True) for index in PEOPLE])
    assert found[:, 0].min() > 0.85
    assert found[:, 1].min() > 0.7


def test_cleaning_improves_recovery():
    people = [simulate_subject(index, noise=2.0) for index in PEOPLE]
    raw = np.mean([recovery(person, sparsity=0.9) for person in people])
    cleaned = np.mean([recovery(person, sparsity=0.9, cleaned=True) for person in people])
    assert cleaned > raw + 0.2  # measured: .8 against .4


def test_confounds_explain_the_planted_noise():
    person = Person(0, 0)
    elements = cortex_elements(200)
    scan = person.scan(elements, 400, tr=2.0)
    nuisance = scan.sources[:, 12:] @ scan.weights[12:]  # all but networks and thermal noise
    left = regress_out(nuisance, scan.confounds, strategy(scan.confounds, tissues=True))
    # motion and drift are in the table exactly; the three tissue means carry measurement noise
    assert left.var() < 0.1 * nuisance.var()


def test_confounds_leave_noise_free_networks_mostly_alone():
    subject = simulate_subject(noise=0.0, n_timepoints=400)
    left = regress_out(subject.seed_ts, subject.confounds, strategy(subject.confounds, tissues=False))
    assert left.var() > 0.5 * subject.seed_ts.var()


def test_noise_free_connectivity_is_the_product_of_the_tunings():
    subject = simulate_subject(noise=0.0, n_timepoints=300)
    expected = subject.truth.tuning @ subject.truth.target_tuning.T
    found = subject.seed_ts.T @ subject.target_ts / 300
    np.testing.assert_allclose(found, expected, atol=0.02)  # networks are orthonormal but for what is hardly ever there


def test_truth_has_a_row_for_each_voxel_and_target():
    subject = simulate_subject(n_voxels=31, n_targets=45, n_timepoints=50)
    assert subject.seed_ts.shape == (50, 31)
    assert subject.target_ts.shape == (50, 45)
    assert subject.truth.gradients.shape == (31, 2)
    assert subject.truth.tuning.shape == (31, len(network_centres()))
    assert subject.truth.target_tuning.shape == (45, len(network_centres()))
    assert subject.seed_ts.dtype == np.float32


def test_another_run_has_other_time_courses_of_the_same_person():
    first, second = (simulate_subject(n_timepoints=100, run=run) for run in (0, 1))
    np.testing.assert_array_equal(first.truth.gradients, second.truth.gradients)
    assert abs(np.corrcoef(first.seed_ts[:, 0], second.seed_ts[:, 0])[0, 1]) < 0.5


def test_effect_moves_the_first_gradient_in_its_region_only():
    healthy, affected = (simulate_subject(3, effect=effect).truth.gradients for effect in (0.0, 1.5))
    thalamus = thalamus_elements(280)
    difference = affected - healthy
    np.testing.assert_allclose(difference[:, 0], effect_map(thalamus, 1.5), atol=1e-12)
    np.testing.assert_array_equal(difference[:, 1], 0.0)
    assert difference[:, 0].max() == pytest.approx(1.5 / np.sqrt(3.0), rel=0.05)  # no voxel sits at the very centre
    anterior = thalamus.latent[:, 0] > 0.7
    assert difference[anterior, 0].max() < 0.05


def test_population_gradients_grow_along_their_axes_and_mirror():
    thalamus = thalamus_elements(280)
    lateral, anterior = np.abs(thalamus.xyz[:, 0]), thalamus.xyz[:, 1]
    assert (np.diff(thalamus.latent[np.argsort(anterior), 0]) >= -1e-12).all()
    assert (np.diff(thalamus.latent[np.argsort(lateral), 1]) >= -1e-12).all()
    np.testing.assert_allclose(thalamus.latent[:140], thalamus.latent[140:], atol=1e-12)


def test_people_differ_smoothly():
    one, other = (simulate_subject(index).truth.gradients[:, 0] for index in (0, 1))
    thalamus = thalamus_elements(280)
    difference = one - other
    distance = np.linalg.norm(thalamus.xyz[:140, None] - thalamus.xyz[None, :140], axis=2)
    near = (distance > 0) & (distance < 5)
    i, j = np.nonzero(near)
    assert difference.std() > 0.05
    assert np.corrcoef(difference[i], difference[j])[0, 1] > 0.8


def test_series_are_slow_and_autocorrelated(rng):
    series = bold_like(rng, 600, 40, tr=1.0)
    power = (np.abs(np.fft.rfft(series, axis=0)) ** 2).mean(axis=1)
    frequency = np.fft.rfftfreq(600, 1.0)
    assert power[frequency > 0.12].sum() < 0.02 * power.sum()
    assert (
        power[(frequency > 0.01) & (frequency < 0.03)].mean()
        > 1.5 * power[(frequency > 0.05) & (frequency < 0.08)].mean()
    )
    assert (series[1:] * series[:-1]).mean() > 0.8


def test_networks_do_not_correlate_within_a_scan(rng):
    series = network_series(rng, 200, 12, tr=2.0)
    np.testing.assert_allclose(series.T @ series / 200, np.eye(12), atol=0.02)


def test_motion_has_spikes_now_and_then(rng):
    steps = np.abs(np.diff(motion_trace(rng, 2000)[:, :3], axis=0)).sum(axis=1)
    assert np.median(steps) < 0.3
    assert 0 < (steps > 6 * np.median(steps)).mean() < 0.1


def test_cosines_are_fmripreps():
    drifts = cosine_drifts(200, 2.0)
    assert drifts.shape == (200, 6)  # floor(2 · 400 s / 128 s)
    np.testing.assert_allclose(drifts.T @ drifts, np.eye(6), atol=1e-12)
    assert cosine_drifts(20, 2.0).shape == (20, 0)


def test_confounds_have_fmripreps_columns():
    confounds = simulate_subject(n_timepoints=100).confounds
    names = [f"{axis}{suffix}" for axis in ("trans_x", "rot_z", "csf", "white_matter", "global_signal")
             for suffix in ("", "_derivative1", "_power2", "_derivative1_power2")]  # fmt: skip
    assert set(names) <= set(confounds)
    assert {"a_comp_cor_00", "a_comp_cor_05", "cosine00", "framewise_displacement", "dvars"} <= set(confounds)
    first = to_tsv(confounds).splitlines()[1].split("\t")
    unknown = {name for name, cell in zip(confounds, first, strict=True) if cell == "n/a"}
    assert unknown == {name for name in confounds if "derivative1" in name} | {"framewise_displacement", "dvars"}


def test_framewise_displacement_is_powers_sum():
    confounds = simulate_subject(n_timepoints=50).confounds
    moved = sum(
        np.abs(np.diff(confounds[f"trans_{axis}"])) + 50 * np.abs(np.diff(confounds[f"rot_{axis}"])) for axis in "xyz"
    )
    np.testing.assert_allclose(confounds["framewise_displacement"][1:], moved)


def test_parcels_are_numbered_left_then_right():
    cortex = cortex_elements(4000)
    direction = cortex.xyz / np.linalg.norm(cortex.xyz, axis=1, keepdims=True)
    labels = parcel_labels(direction, cortex.xyz[:, 0] < 0)
    assert set(labels[:2000]) == set(range(1, N_PARCELS + 1))
    assert set(labels[2000:]) == set(range(N_PARCELS + 1, 2 * N_PARCELS + 1))
