"""PALM's answers on a three-group data set: statistics, and their maxima under PALM's own permutations."""

import itertools

import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions
from thalgpu.engine.inference.regression import prepare_model
from thalgpu.engine.inference.scales import scaled_statistics

CASES = ["t1", "t2", "t3", "t4", "f5"]


@pytest.fixture(scope="module")
def palm(shared_data):
    folder = shared_data / "palm"
    mask = nib.load(folder / "M.nii.gz").get_fdata() > 0
    values = nib.load(folder / "Y.nii.gz").get_fdata()[mask].T
    matrix = np.loadtxt(folder / "design.csv", delimiter=",")
    rows = np.loadtxt(folder / "contrasts.csv", delimiter=",")
    of_f = np.loadtxt(folder / "ftests.csv", delimiter=",").astype(bool)
    contrasts = {f"t{i + 1}": Contrast(f"c{i + 1}", f"c{i + 1}", row[None], "t") for i, row in enumerate(rows)}
    contrasts["f5"] = Contrast("c5", "c5", rows[of_f], "f")
    design = Design(matrix, tuple("abcdef"), tuple(contrasts.values()))
    return np.load(folder / "palm_results.npz"), np.ascontiguousarray(values), design, contrasts


@pytest.mark.parametrize("case", CASES)
def test_statistics_are_palms(palm, case):
    results, values, design, contrasts = palm
    observed = prepare_model(values, design, contrasts[case]).observed
    # PALM's maps are float32
    np.testing.assert_allclose(observed, results[f"vol_vox_{case[0]}stat_c{case[1]}"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_null_maxima_are_palms_for_its_permutations(palm, case):
    results, values, design, contrasts = palm
    model = prepare_model(values, design, contrasts[case], "freedman-lane")
    permutations = (results[f"vol_c{case[1]}_permidx"] - 1).astype(np.int32)
    z = scaled_statistics(model, permutations, None, InferenceOptions(statistic_scale="z"))
    np.testing.assert_allclose(z.max(axis=1), results[f"vol_vox_{case[0]}stat_max_c{case[1]}"], rtol=1e-10)


def test_all_seventy_splits_of_four_against_four_reach_palms_maxima(shared_data):
    folder = shared_data / "palm"
    results = np.load(folder / "palm_results.npz")
    values = np.loadtxt(folder / "ex_Y.csv", delimiter=",")
    matrix = np.loadtxt(folder / "ex_design.csv", delimiter=",")
    contrast = Contrast("c", "c", np.atleast_2d(np.loadtxt(folder / "ex_contrasts.csv", delimiter=",")), "t")
    model = prepare_model(values, Design(matrix, tuple("ab"), (contrast,)), contrast)
    first, second = (np.flatnonzero(column) for column in matrix.T)
    splits = np.empty((70, 8), dtype=np.int32)
    for split, chosen in zip(splits, itertools.combinations(range(8), 4), strict=True):
        split[list(chosen)], split[np.setdiff1d(range(8), chosen)] = first, second
    z = scaled_statistics(model, splits, None, InferenceOptions(statistic_scale="z"))
    # PALM wrote four decimals
    np.testing.assert_allclose(model.observed, results["ex_dat_tstat"], atol=5.1e-5)
    np.testing.assert_allclose(np.sort(z.max(axis=1)), np.sort(results["ex_dat_tstat_max"]), atol=5.1e-5)
