"""Oracles are double loops over pairs of rows, each the definition as written."""

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from thalgpu.engine.gradients import profiles
from thalgpu.engine.gradients.affinity import affinity_from_timeseries, compute_affinity
from thalgpu.engine.gradients.connectivity import connectivity
from thalgpu.errors import NumericsError, UsageError
from thalgpu.kernels.affinity import KERNELS, affinity_from_gram
from thalgpu.kernels.sparsify import sparsify_rows


def cosine(a, b):
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def eta2(a, b):
    within = total = 0.0
    grand = (a.mean() + b.mean()) / 2
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        middle = (x + y) / 2
        within += (x - middle) ** 2 + (y - middle) ** 2
        total += (x - grand) ** 2 + (y - grand) ** 2
    return 1 - within / total


PAIR = {
    "cosine": cosine,
    "normalized_angle": lambda a, b: 1 - math.acos(min(1.0, max(-1.0, cosine(a, b)))) / math.pi,
    "pearson": lambda a, b: cosine(a - a.mean(), b - b.mean()),
    "spearman": lambda a, b: PAIR["pearson"](rankdata(a), rankdata(b)),
    "gaussian": lambda a, b: math.exp(-((a - b) @ (a - b)) / len(a)),
    "eta2": eta2,
}


def by_loop(x, kernel):
    affinity = np.eye(len(x))
    for i in range(len(x)):
        for j in range(i):
            affinity[i, j] = affinity[j, i] = PAIR[kernel](x[i], x[j])
    return affinity


@pytest.fixture
def series(rng):
    """Structured series of 23 voxels and 150 targets over 60 time points."""
    latent = rng.standard_normal((60, 4))
    return tuple(latent @ rng.standard_normal((4, n)) + rng.standard_normal((60, n)) for n in (23, 150))


@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("kernel", KERNELS)
def test_affinity_equals_the_loop_over_pairs(series, kernel, sparsity):
    z = connectivity(*series)
    affinity = compute_affinity(z, kernel=kernel, sparsity=sparsity, non_negative=False)
    np.testing.assert_allclose(affinity, by_loop(sparsify_rows(z, sparsity), kernel), atol=1e-12)


@pytest.mark.parametrize("fisher_z", [False, True])
@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("kernel", KERNELS)
def test_affinity_from_timeseries_equals_that_of_the_formed_matrix(series, kernel, sparsity, fisher_z):
    affinity = affinity_from_timeseries(*series, kernel=kernel, sparsity=sparsity, fisher_z=fisher_z)
    formed = compute_affinity(connectivity(*series, fisher_z=fisher_z), kernel=kernel, sparsity=sparsity)
    np.testing.assert_allclose(affinity, formed, atol=1e-12)


@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("kernel", KERNELS)
def test_float32_is_close_to_float64(series, kernel, sparsity):
    single = affinity_from_timeseries(*(x.astype(np.float32) for x in series), kernel=kernel, sparsity=sparsity)
    assert single.dtype == np.float32
    # 1e-5: a few units in the last place (1e-7) of each product, over the share that a centred row is of the whole.
    np.testing.assert_allclose(single, affinity_from_timeseries(*series, kernel=kernel, sparsity=sparsity), atol=1e-5)


def test_eta2_in_float32_survives_a_large_common_mean(rng):
    x = rng.standard_normal((20, 3000)) * 0.05 + 3
    # 5e-6: float32 stores 3 ± 0.05 to 2e-7, that is the deviations to 5e-6 of their SD.
    np.testing.assert_allclose(
        compute_affinity(x.astype(np.float32), kernel="eta2", sparsity=0), by_loop(x, "eta2"), atol=5e-6
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("kernel", KERNELS)
def test_affinity_is_symmetric_to_the_bit_with_ones_on_its_diagonal(series, kernel, sparsity, dtype):
    seed, target = (x.astype(dtype) for x in series)
    affinity = affinity_from_timeseries(seed, target, kernel=kernel, sparsity=sparsity, fisher_z=False)
    np.testing.assert_array_equal(affinity, affinity.T)
    np.testing.assert_array_equal(np.diag(affinity), 1)


@pytest.mark.fault("degenerate or disconnected graph")
@pytest.mark.parametrize("kernel", KERNELS)
def test_rows_of_constant_series_are_zero(series, kernel):
    seed, target = series
    seed[:, 5] = 1e4
    for sparsity, fisher_z in ((0.0, False), (0.0, True), (0.9, True)):
        affinity = affinity_from_timeseries(seed, target, kernel=kernel, sparsity=sparsity, fisher_z=fisher_z)
        assert not affinity[5].any()
        assert not affinity[:, 5].any()
        assert np.delete(np.diag(affinity), 5).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", ["pearson", "spearman"])
def test_a_constant_row_correlates_with_nothing(rng, kernel, dtype):
    x = rng.standard_normal((6, 3000)).astype(dtype)
    x[2] = 0.1
    affinity = compute_affinity(x, kernel=kernel, sparsity=0)
    assert not affinity[2].any()


def test_equal_constant_rows_are_alike_in_eta2():
    x = np.array([[2.0, 2.0, 2.0], [2.0, 2.0, 2.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(
        compute_affinity(x, kernel="eta2", sparsity=0), [[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]]
    )


def test_negative_affinities_are_kept_on_request(rng):
    x = rng.standard_normal((12, 40))
    raw = compute_affinity(x, kernel="cosine", sparsity=0, non_negative=False)
    assert (raw < 0).any()
    np.testing.assert_array_equal(compute_affinity(x, kernel="cosine", sparsity=0), np.maximum(raw, 0))


def test_gamma_is_the_inverse_width_of_the_gaussian(rng):
    x = rng.standard_normal((5, 8))
    expected = np.exp(-0.3 * ((x[:, None] - x) ** 2).sum(axis=2))
    np.testing.assert_allclose(compute_affinity(x, kernel="gaussian", sparsity=0, gamma=0.3), expected, atol=1e-14)


def test_parallel_rows_have_a_cosine_of_at_most_one(rng):
    x = np.outer(rng.uniform(0.1, 10, 40), rng.standard_normal(500)).astype(np.float32)
    affinity = compute_affinity(x, kernel="normalized_angle", sparsity=0)
    assert affinity.max() == 1
    # acos(1 - ε) = √(2ε): a few units in the last place of 1 become 5e-4 of an angle, the tolerance that is documented.
    np.testing.assert_allclose(affinity, 1, atol=5e-4)


@pytest.mark.parametrize("held", [0, 2**30])
@pytest.mark.parametrize("kernel", ["normalized_angle", "eta2"])
def test_bits_do_not_depend_on_whether_cells_are_held(series, monkeypatch, kernel, held):
    expected = affinity_from_timeseries(*series, kernel=kernel)
    monkeypatch.setattr(profiles, "_HELD_BYTES", held)
    np.testing.assert_array_equal(affinity_from_timeseries(*series, kernel=kernel), expected)


def test_a_product_that_changes_between_the_passes_is_noticed(series, monkeypatch):
    monkeypatch.setattr(profiles, "_HELD_BYTES", 0)
    calls = iter(range(100))
    monkeypatch.setattr(profiles, "correlation", lambda a, b: a.T @ b - 1e-3 * next(calls))
    with pytest.raises(NumericsError, match="different bits"):
        affinity_from_timeseries(*series)


@pytest.mark.fault("degenerate or disconnected graph")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_connectivity_that_is_not_finite_is_refused(bad):
    with pytest.raises(NumericsError, match="NaN or infinity"):
        compute_affinity(np.array([[1.0, bad], [0.0, 1.0]]), sparsity=0)


def test_products_that_overflow_are_refused():
    with pytest.raises(NumericsError, match="overflow"):
        affinity_from_gram(np.full((2, 2), np.inf), np.zeros(2), 3, "cosine")


@pytest.mark.parametrize("kernel", KERNELS)
def test_only_the_lower_triangle_of_products_is_read(rng, kernel):
    gram = np.cov(rng.standard_normal((80, 10)))
    lower = np.where(np.tri(80, dtype=bool), gram, np.nan)
    means = rng.standard_normal(80)
    found = affinity_from_gram(lower, means, 10, kernel)
    np.testing.assert_array_equal(found, affinity_from_gram(gram, means, 10, kernel))
    np.testing.assert_array_equal(found, found.T)


def test_products_too_small_to_divide_by_are_refused():
    with pytest.raises(NumericsError, match="too small"):
        affinity_from_gram(np.full((2, 2), 1e-40, np.float32), np.zeros(2), 3, "cosine")


def exact_power(dtype: type, direction: int) -> float:
    """A power of two whose square is far outside the dtype's range."""
    return 2.0 ** (direction * (90 if dtype is np.float32 else 900))


@pytest.mark.parametrize("direction", [-1, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sparsity", [0, 0.5])
@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel != "gaussian"])
def test_an_affinity_does_not_depend_on_the_unit(rng, kernel, sparsity, dtype, direction):
    x = rng.standard_normal((20, 50)).astype(dtype)
    rescaled = compute_affinity(x * dtype(exact_power(dtype, direction)), kernel=kernel, sparsity=sparsity)
    # powers of two change no digit, so neither may the result
    np.testing.assert_array_equal(rescaled, compute_affinity(x, kernel=kernel, sparsity=sparsity))


@pytest.mark.parametrize("kernel", ["normalized_angle", "cosine", "pearson", "spearman"])
def test_an_angle_does_not_depend_on_the_length_of_each_row(rng, kernel):
    x = rng.standard_normal((20, 50)).astype(np.float32)
    lengths = np.ldexp(np.float32(1), rng.integers(-90, 90, (20, 1)))
    rescaled = compute_affinity(x * lengths, kernel=kernel, sparsity=0.5)
    np.testing.assert_array_equal(rescaled, compute_affinity(x, kernel=kernel, sparsity=0.5))


@pytest.mark.parametrize("smallest", [1e-41, 1e-45])
def test_the_smallest_numbers_there_are_give_an_affinity_in_range(rng, smallest):
    x = (rng.integers(1, 9, (20, 50)) * smallest).astype(np.float32)
    for kernel in ("normalized_angle", "cosine", "pearson", "spearman", "eta2"):
        affinity = compute_affinity(x, kernel=kernel, sparsity=0)
        assert 0 <= affinity.min() <= affinity.max() <= 1
        np.testing.assert_array_equal(np.diagonal(affinity), 1)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
@pytest.mark.parametrize("kernel", ["gaussian", "eta2"])
def test_rows_whose_squares_leave_the_range_are_refused_where_size_matters(rng, kernel, factor):
    x = rng.standard_normal((20, 50)).astype(np.float32)
    x[3] *= np.float32(factor)
    with pytest.raises(NumericsError, match="squares leave the range"):
        compute_affinity(x, kernel=kernel, sparsity=0)
    assert compute_affinity(x.astype(np.float64), kernel=kernel, sparsity=0).max() == 1


@pytest.mark.parametrize("sparsity", [0, 0.9])
@pytest.mark.parametrize("kernel", KERNELS)
def test_layout_and_byte_order_change_no_bit(rng, kernel, sparsity):
    x = rng.standard_normal((30, 100))
    expected = compute_affinity(x, kernel=kernel, sparsity=sparsity)
    unaligned = np.frombuffer(b"." + x.tobytes(), dtype=np.uint8)[1:].view(x.dtype).reshape(x.shape)
    for same in (x.astype(">f8"), np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], unaligned):
        found = compute_affinity(same, kernel=kernel, sparsity=sparsity)
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, expected)


def test_integers_are_taken_as_float64(rng):
    x = rng.integers(-5, 6, (20, 40)).astype(np.int16)
    np.testing.assert_array_equal(compute_affinity(x), compute_affinity(x.astype(np.float64)))


class Frame:
    """What a pandas DataFrame looks like from outside."""

    def to_numpy(self) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([[1.0, 2.0]], "is a list, .* give a NumPy array"),
        (None, "is a NoneType"),
        (Frame(), r"is a Frame, .* give its \.to_numpy\(\)"),
        (np.ma.masked_array(np.eye(3), np.eye(3)), "masked array"),
        (np.eye(3, dtype=np.float16), "not float16"),
        (np.eye(3, dtype=np.longdouble), "not float128|not longdouble"),
        (np.eye(3, dtype=bool), "not bool"),
        (np.eye(3, dtype=complex), "not complex128"),
        (np.eye(3).astype(object), "not object"),
        (np.ones(3), "2 axes"),
        (np.ones((0, 3)), "empty"),
    ],
)
def test_what_is_not_a_matrix_of_floats_is_refused(wrong, message):
    with pytest.raises(NumericsError, match=message):
        compute_affinity(wrong)


def test_an_unknown_kernel_is_refused():
    with pytest.raises(NumericsError, match="unknown kernel 'sine'"):
        affinity_from_gram(np.eye(2), np.zeros(2), 3, "sine")


@pytest.mark.parametrize("gamma", [0.0, -1.0, math.inf, math.nan])
def test_a_gamma_that_is_not_positive_is_refused(gamma):
    with pytest.raises(UsageError, match="gamma"):
        compute_affinity(np.eye(3), kernel="gaussian", sparsity=0, gamma=gamma)


@pytest.mark.parametrize(
    "options", [{"kernel": "sine"}, {"sparsity": None}, {"sparsity": 1.0}, {"sparsity": float("nan")}, {"gamma": "x"}]
)
def test_options_that_do_not_exist_are_named(series, options):
    for compute, arrays in ((compute_affinity, (np.eye(3),)), (affinity_from_timeseries, series)):
        with pytest.raises(UsageError, match=next(iter(options))):
            compute(*arrays, **options)


def test_inputs_are_not_modified(series):
    for x in series:
        x.setflags(write=False)
    z = connectivity(*series)
    z.setflags(write=False)
    for kernel in KERNELS:
        compute_affinity(z, kernel=kernel)
        affinity_from_timeseries(*series, kernel=kernel, sparsity=0, fisher_z=False)
