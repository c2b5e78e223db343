"""Correlations with severity against partial correlations by residuals and all permutations, one by one."""

from itertools import permutations

import numpy as np
import pytest

from thalgpu.engine.clinical.severity import COLUMNS, correlate_severity
from thalgpu.engine.inference.permutation_test import permutation_test
from thalgpu.errors import NumericsError, UsageError

N = 30
IDS = [f"{k:02d}" for k in range(N)]


@pytest.fixture
def study(rng):
    """Columns of text, and measures of which the first goes with pain."""
    age, pain = rng.integers(20, 70, N), rng.normal(5, 2, N)
    columns = {
        "age": [str(one) for one in age],
        "sex": [*"FM" * (N // 2)],
        "pain (0-10)": [repr(float(one)) for one in pain],
        "disability": [repr(float(one)) for one in pain + rng.normal(0, 1, N)],
    }
    measures = {"left": pain + 0.1 * age + rng.normal(0, 2, N), "right": rng.normal(0, 1, N), "S1": rng.normal(9, 4, N)}
    return measures, columns


def run(study, scores=("pain (0-10)",), **options):
    measures, columns = study
    return correlate_severity(measures, columns, IDS, scores, **{"n_perm": 200, **options})


def residuals(values, nuisance):
    return values - nuisance @ np.linalg.lstsq(nuisance, values, rcond=None)[0]


def test_r_is_the_correlation_of_residuals(study):
    measures, columns = study
    nuisance = np.column_stack([np.ones(N), np.array(columns["age"], float), np.array(columns["sex"]) == "F"])
    pain = residuals(np.array(columns["pain (0-10)"], float), nuisance)
    expected = [np.corrcoef(residuals(values, nuisance), pain)[0, 1] for values in measures.values()]
    found = run(study, covariates=["age", "sex"]).correlations
    np.testing.assert_allclose([one.r for one in found], expected, atol=1e-12)
    z, error = np.arctanh(expected), 1 / np.sqrt(N - 3 - 2)
    np.testing.assert_allclose([one.high for one in found], np.tanh(z + 1.959963984540054 * error), rtol=1e-9)


def test_p_counts_all_permutations():
    rng = np.random.default_rng(3)
    values, pain = rng.normal(size=(6, 3)), rng.normal(size=6)
    columns = {"pain": [repr(float(one)) for one in pain], "mood": [repr(float(one)) for one in rng.normal(size=6)]}
    measures = {str(k): column for k, column in enumerate(values.T)}
    found = correlate_severity(measures, columns, IDS[:6], ["pain", "mood"], n_perm=0)
    scores = np.array([columns["pain"], columns["mood"]], float)
    orders = [list(order) for order in permutations(range(6))]
    r = np.array([abs(np.corrcoef(np.vstack([values[order].T, scores]))[:3, 3:]) for order in orders])
    slack = 1e-9  # ties up to rounding are ties
    for s in range(2):
        mine = found.correlations[3 * s : 3 * s + 3]
        observed = r[0, :, s] - slack
        np.testing.assert_allclose([one.p for one in mine], (r[:, :, s] >= observed).mean(axis=0), rtol=1e-12)
        largest, everything = r[:, :, s].max(axis=1), r.max(axis=(1, 2))
        np.testing.assert_allclose([one.p_fwe for one in mine], (largest[:, None] >= observed).mean(axis=0), rtol=1e-12)
        joint = (everything[:, None] >= observed).mean(axis=0)
        np.testing.assert_allclose([one.p_fwe_joint for one in mine], joint, rtol=1e-12)
    assert found.n_perm == 720


def test_it_is_the_permutation_test_of_partial_correlations(study):
    measures, columns = study
    pain, age = (np.array(columns[name], float) for name in ("pain (0-10)", "age"))
    design = np.column_stack([np.ones(N), pain, age])
    expected = permutation_test(
        np.column_stack(list(measures.values())), design, [0, 1, 0], n_perm=200, seed=5, two_sided=True, pearson=True
    )
    found = run(study, covariates=["age"], seed=5).correlations
    np.testing.assert_allclose([one.r for one in found], expected.stat[0], atol=1e-12)
    np.testing.assert_array_equal([one.p for one in found], expected.p[0])
    np.testing.assert_array_equal([one.p_fwe for one in found], expected.p_fwe[0])


def test_units_change_nothing_and_a_reversed_score_only_the_sign(study):
    measures, columns = study
    scaled = {name: 3 - 1e4 * values for name, values in measures.items()}
    before, after = run(study).correlations, run((scaled, columns)).correlations
    for one, other in zip(before, after, strict=True):
        assert (other.p, other.p_fwe) == (one.p, one.p_fwe)
        assert (other.r, other.low, other.high) == pytest.approx((-one.r, -one.high, -one.low), rel=1e-9)


def test_results_do_not_depend_on_threads(study):
    assert run(study, n_perm=300, n_jobs=2) == run(study, n_perm=300)


def test_people_without_a_value_and_those_not_asked_for_are_left_out(study):
    measures, columns = study
    columns = {**columns, "disability": ["n/a", "", *columns["disability"][2:]]}
    found = run((measures, columns), ("pain (0-10)", "disability"), who=[k < 20 for k in range(N)])
    assert found.ids == tuple(IDS[2:20])
    assert {one.n for one in found.correlations} == {18}
    assert found.remarks == (
        "2 of 20 people left out of the correlations for missing values: disability of sub-00, sub-01",
    )


def test_a_group_as_covariate_takes_its_difference_away(rng):
    """Two groups that differ in measure and score, and no correlation inside: all of r is the groups'."""
    group = np.repeat([0, 1], N // 2)
    columns = {"group": [*"a" * (N // 2), *"b" * (N // 2)]}
    columns["pain"] = [repr(float(one)) for one in 5 * group + rng.normal(size=N)]
    measures = {"left": 5 * group + rng.normal(size=N)}
    across = correlate_severity(measures, columns, IDS, ["pain"], n_perm=200).correlations[0]
    within = correlate_severity(measures, columns, IDS, ["pain"], covariates=["group"], n_perm=200).correlations[0]
    assert across.r > 0.7
    assert abs(within.r) < 0.4


def test_a_measure_that_does_not_vary_has_no_correlation_and_is_named(study):
    measures, columns = study
    found = run(({**measures, "flat": np.full(N, 2.0)}, columns))
    flat = found.correlations[-1]
    assert (flat.r, flat.p, flat.p_fwe) == (0, 1, 1)
    assert found.remarks == ("the same in all, so that r is 0: flat",)


def test_records_have_the_columns_of_the_table(study):
    record = run(study).correlations[0].record
    assert tuple(record) == COLUMNS
    assert record["score"] == "pain (0-10)"


BAD = {
    "no such score": ({"scores": ["pian"]}, NumericsError, "no column 'pian'"),
    "no such covariate": ({"covariates": ["ages"]}, NumericsError, "did you mean 'age'"),
    "text": ({"scores": ["sex"]}, NumericsError, "sex must be numbers, but is 'F' for sub-00"),
    "both": ({"covariates": ["pain (0-10)"]}, UsageError, "is a score and a covariate"),
    "no scores": ({"scores": []}, UsageError, "no scores"),
    "nobody": ({"who": [False] * N}, NumericsError, "nobody can be correlated"),
    "constant": ({"scores": ["same"]}, NumericsError, "same is 1 for every analysed subject"),
    "covariates that say it all": ({"covariates": ["age", "twice"]}, NumericsError, "twice"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_correlated_is_refused(study, case):
    measures, columns = study
    options, error, message = BAD[case]
    columns = {**columns, "same": ["1"] * N, "twice": [str(2 * int(age)) for age in columns["age"]]}
    with pytest.raises(error, match=message):
        run((measures, columns), **options)


@pytest.mark.parametrize(
    ("measures", "error", "message"),
    [
        ({}, UsageError, "no measures"),
        ({"left": np.ones(N - 1)}, UsageError, "there are 30 people"),
        ({"left": np.full(N, np.nan)}, NumericsError, "measure 'left' holds NaN"),
    ],
)
def test_measures_that_are_no_numbers_of_all_people_are_refused(study, measures, error, message):
    with pytest.raises(error, match=message):
        run((measures, study[1]))
