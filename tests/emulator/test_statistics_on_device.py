"""Permuted statistics of values on a device: the host's, where the values live."""

import numpy as np
import pytest

from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions
from thalgpu.engine.inference.regression import prepare_model, statistics
from thalgpu.engine.inference.scales import scaled_statistics
from thalgpu.kernels._namespace import is_device, to_host


@pytest.mark.parametrize("kind", ["t", "f"])
@pytest.mark.parametrize(
    ("method", "variances"),
    [
        *((method, None) for method in ("freedman-lane", "ter-braak", "manly", "dekker")),
        *((method, np.repeat([1, 2], 6)) for method in ("freedman-lane", "ter-braak", "manly")),
    ],
)
def test_a_device_gives_the_hosts_statistics(emulated, rng, method, kind, variances):
    matrix, values = np.column_stack([np.ones(12), rng.standard_normal((12, 3))]), rng.standard_normal((12, 40))
    contrast = Contrast("c", "c", np.eye(4)[1 : 2 if kind == "t" else 3], kind)
    design = Design(matrix, tuple("abcd"), (contrast,), variance_groups=variances)
    permutations = np.array([np.arange(12), rng.permutation(12), rng.permutation(12)], dtype=np.int32)
    on_host = prepare_model(values, design, contrast, method)
    on_device = prepare_model(emulated.asarray(values), design, contrast, method)
    for options in (InferenceOptions(), InferenceOptions(statistic_scale="z")):
        found = scaled_statistics(on_device, permutations, None, options)
        assert is_device(found)
        # sums in another order
        expected = scaled_statistics(on_host, permutations, None, options)
        np.testing.assert_allclose(to_host(found), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ["freedman-lane", "manly", "dekker"])
def test_a_device_flips_signs_as_the_host_does(emulated, rng, method):
    matrix, values = np.column_stack([np.ones(10), rng.standard_normal(10)]), rng.standard_normal((10, 20))
    contrast = Contrast("mean", "mean", np.array([[1.0, 0]]), "t")
    design = Design(matrix, ("mean", "age"), (contrast,))
    signs = rng.choice(np.array([-1, 1], dtype=np.int8), (3, 10))
    unmoved = np.tile(np.arange(10, dtype=np.int32), (3, 1))
    on_host = prepare_model(values, design, contrast, method, sign_flip=True)
    on_device = prepare_model(emulated.asarray(values), design, contrast, method, sign_flip=True)
    found = statistics(on_device, unmoved, signs)
    np.testing.assert_allclose(to_host(found), statistics(on_host, unmoved, signs), rtol=1e-9, atol=1e-12)


def test_correlations_stay_on_the_device(emulated, rng):
    matrix = np.column_stack([np.ones(10), rng.standard_normal(10)])
    contrast = Contrast("age", "age", np.array([[0.0, 1]]), "t")
    model = prepare_model(emulated.asarray(rng.standard_normal((10, 8))), Design(matrix, ("a", "b"), ()), contrast)
    r = scaled_statistics(model, np.arange(10, dtype=np.int32)[None], None, InferenceOptions(pearson=True))
    assert is_device(r)
    assert (np.abs(to_host(r)) <= 1).all()
