"""nilearn as a peer: cleaning without scrubbing, and fMRIPrep's strategies."""

from pathlib import Path

import numpy as np
import pytest

from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.inputs.cleaning import clean, make_projection
from thalgpu.engine.inputs.confounds import confound_regressors, read_confounds

pytest.importorskip("nilearn", reason="nilearn is an optional peer (extra [validate])")

N, TR = 150, 2.0


def ours(series: np.ndarray, options: CleaningOptions, confounds: np.ndarray | None = None) -> np.ndarray:
    return clean(series, make_projection(Path("x"), len(series), TR, options, confounds=confounds))[0]


@pytest.fixture
def series(rng) -> np.ndarray:
    return (rng.normal(size=(N, 5)).cumsum(axis=0) + 100).astype("f4")


def test_confounds_and_trend_equal_nilearn_clean(series, rng):
    from nilearn.signal import clean as nilearn_clean

    confounds = rng.normal(size=(N, 8)).cumsum(axis=0)
    # nilearn detrends signal and confounds first and then regresses, which is one projection (Frisch and Waugh)
    oracle = nilearn_clean(series.astype("f8"), confounds=confounds, detrend=True, standardize=None)
    found = ours(series, CleaningOptions(), confounds)
    np.testing.assert_allclose(found, oracle, atol=1e-4)  # float32 input of order 100


def test_a_cosine_high_pass_equals_nilearn_clean(series, rng):
    from nilearn.signal import clean as nilearn_clean

    confounds = rng.normal(size=(N, 8))
    oracle = nilearn_clean(
        series.astype("f8"),
        confounds=confounds,
        detrend=False,
        standardize=None,
        filter="cosine",
        high_pass=0.01,
        t_r=TR,
    )
    found = ours(series, CleaningOptions(detrend=False, high_pass=0.01), confounds)
    np.testing.assert_allclose(found, oracle - oracle.mean(axis=0), atol=1e-4)


@pytest.fixture
def fmriprep_table() -> Path:
    import nilearn

    name = "interfaces/fmriprep/data/test-v21_desc-confounds_timeseries.tsv"
    path = Path(nilearn.__file__).parent / name
    if not path.is_file():
        pytest.skip(f"this version of nilearn has no {name}")
    return path


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ("24p", {"strategy": ("motion",), "motion": "full"}),
        (
            "36p",
            {
                "strategy": ("motion", "wm_csf", "global_signal"),
                "motion": "full",
                "wm_csf": "full",
                "global_signal": "full",
            },
        ),
    ],
)
def test_a_real_fmriprep_table_gives_the_span_of_nilearn_load_confounds(fmriprep_table, tmp_path, strategy, wanted):
    from nilearn.interfaces.fmriprep import load_confounds

    stem = "sub-01_task-rest"
    copied = tmp_path / f"{stem}_desc-confounds_timeseries.tsv"
    copied.write_bytes(fmriprep_table.read_bytes())
    copied.with_suffix(".json").write_bytes(fmriprep_table.with_suffix(".json").read_bytes())
    bold = tmp_path / f"{stem}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    bold.touch()
    theirs, _ = load_confounds(str(bold), demean=False, **wanted)
    found = confound_regressors(read_confounds(copied), strategy)
    # In the first row fMRIPrep has n/a for a difference, we 0, nilearn another filling: the other rows are compared,
    # with the columns of both sorted by one row, as their orders differ.
    theirs_later, ours_later = theirs.to_numpy()[1:], found[1:]
    assert theirs_later.shape == ours_later.shape
    in_order = [columns[:, np.argsort(columns[10])] for columns in (ours_later, theirs_later)]
    np.testing.assert_allclose(*in_order, rtol=1e-6, atol=1e-9)  # the table holds about ten digits
