"""A whole permutation test of device arrays: the host's answers, on the device."""

from dataclasses import fields

import numpy as np
import pytest
from scipy.sparse import diags_array

from thalgpu.engine.inference import permutation_test as module
from thalgpu.engine.inference.blocks import prepare_test
from thalgpu.engine.inference.permutation_test import PermutationTest, permutation_test
from thalgpu.kernels._namespace import is_device, to_host

N_SUBJECTS, N_FEATURES = 14, 20
CHAIN = diags_array([np.ones(N_FEATURES - 1)] * 2, offsets=[-1, 1])


@pytest.fixture
def study(rng):
    """Values, and all else that a test is given: two groups and a nuisance variable, t and F."""
    group = np.repeat([1.0, 0.0], 7)
    design = np.column_stack([group, 1 - group, rng.normal(size=N_SUBJECTS)])
    values = rng.normal(size=(N_SUBJECTS, N_FEATURES)) + (np.arange(N_FEATURES) < 5) * group[:, None]
    values[:, 9] = 3.0  # nothing to be explained
    asked = {"X": design, "contrasts": [1, -1, 0], "f_tests": [[[1, -1, 0], [0, 0, 1]]]}
    spatial = {"adjacency": CHAIN, "tfce": True, "cluster_threshold": 1.0}
    return values, {**asked, **spatial, "n_perm": 120}


def require_same(on_device, on_host):
    """Everything that is an array lies on the device, with the host's numbers up to the order of sums."""
    for field in fields(PermutationTest):
        found, expected = getattr(on_device, field.name), getattr(on_host, field.name)
        if isinstance(expected, np.ndarray):
            assert is_device(found), field.name
            np.testing.assert_allclose(to_host(found), expected, rtol=1e-10, atol=1e-12, err_msg=field.name)
    assert on_device.null_max.keys() == on_host.null_max.keys()
    for measure, expected in on_host.null_max.items():
        assert is_device(on_device.null_max[measure])
        np.testing.assert_allclose(to_host(on_device.null_max[measure]), expected, rtol=1e-10, err_msg=measure)


OPTIONS = {
    "one-sided": {},
    "two-sided": {"two_sided": True},
    "z": {"statistic_scale": "z", "two_sided": True},
    "palm": {"tfce_grid": "palm"},
    "randomise": {"tfce_grid": "randomise"},
    "correlations": {"pearson": True, "cluster_threshold": 0.3},
    "ter Braak": {"method": "ter-braak", "two_sided": True},
    "Manly": {"method": "manly"},
    "Dekker": {"method": "dekker"},
    "variance groups": {"variance_groups": np.repeat([0, 1], 7), "two_sided": True},
    "sign flips": {"sign_flip": True},
    "stopping early": {"stop_after": 5},
    "fitted tails": {"tail": "gpd"},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_device_arrays_give_the_hosts_answers_on_the_device(emulated, study, kind):
    values, given = study
    given = given | OPTIONS[kind]
    on_host = permutation_test(values, **given)
    assert np.isfinite(on_host.stat).all()
    require_same(permutation_test(emulated.asarray(values), **given), on_host)


def test_values_are_worked_on_where_they_are(emulated, study, monkeypatch):
    values, given = study
    prepared = []

    def prepare(*arguments):
        prepared.append(prepare_test(*arguments))
        return prepared[-1]

    monkeypatch.setattr(module, "prepare_test", prepare)
    permutation_test(emulated.asarray(values), **given)
    permutation_test(values, **given)
    assert [[is_device(model.values) for model in test.models] for test in prepared] == [[True] * 2, [False] * 2]


def test_threads_share_a_device(emulated, study):
    values, given = study
    placed = emulated.asarray(values)
    one, three = (permutation_test(placed, **given, n_jobs=n_jobs) for n_jobs in (1, 3))
    np.testing.assert_array_equal(to_host(three.null_max["tfce"]), to_host(one.null_max["tfce"]))
    np.testing.assert_array_equal(to_host(three.p_fwe_joint), to_host(one.p_fwe_joint))


def test_t_and_f_are_rows_of_the_statistic(emulated, study):
    values, given = study
    found = permutation_test(emulated.asarray(values), **given)
    assert is_device(found.t)
    np.testing.assert_array_equal(to_host(found.t), to_host(found.stat)[:1])
    np.testing.assert_array_equal(to_host(found.f), to_host(found.stat)[1:])
