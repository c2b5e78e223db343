"""nilearn and real series as peers of seed connectivity."""

from importlib import resources

import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.connectivity.maps import seed_maps
from thalgpu.engine.connectivity.matrices import region_matrix
from thalgpu.engine.inputs.model import Run, Subject
from thalgpu.engine.inputs.regions import read_region
from thalgpu.engine.inputs.series import load_regions
from thalgpu.engine.pipelines.connectivity_seeds import find_seeds
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_seed_maps_are_those_of_nilearns_tutorial(tmp_path):
    maskers = pytest.importorskip("nilearn.maskers", reason="nilearn is an optional peer (extra [validate])")
    cohort = simulate_cohort(tmp_path / "cohort", options=CohortOptions(subjects=1, timepoints=80))
    scan = next((cohort.folder / "sub-01/func").glob("*_bold.nii.gz"))
    mask = nib.load(cohort.thalamus[0])
    how = {"detrend": True, "standardize": "zscore_sample"}
    labels = nib.Nifti1Image((mask.get_fdata() > 0).astype("i2"), mask.affine)
    own = maskers.NiftiLabelsMasker(labels, **how).fit_transform(scan)
    brain = maskers.NiftiMasker(nib.load(cohort.cortex[0]), **how).fit_transform(scan)
    expected = np.arctanh(own.T @ brain / (len(own) - 1)).ravel()

    grid = read_region(str(cohort.thalamus[0]), _grid(mask)).grid
    thalamus, cortex = (read_region(str(file), grid) for file in (cohort.thalamus[0], cohort.cortex[0]))
    layer = find_seeds(thalamus, cortex, nuclei=None, named=()).layers[0]
    subject = Subject("01", (Run(scan),), line=1)
    loaded = load_regions(subject, (layer, cortex), CleaningOptions(), min_coverage=0.8)
    found = seed_maps(loaded.regions[0].series, loaded.regions[1].series)[0]
    # nilearn's products and ours are of float32 series
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_both_thalami_of_a_real_scan_are_correlated_as_numpy_says():
    pytest.importorskip("nitime", reason="nitime is an optional peer: its real series of 31 regions")
    with resources.as_file(resources.files("nitime") / "data" / "fmri_timeseries.csv") as path:
        if not path.is_file():
            pytest.skip("this version of nitime has no fmri_timeseries.csv")
        names = [name.strip('"') for name in path.read_text().splitlines()[0].strip().split(",")]
        series = np.loadtxt(path, delimiter=",", skiprows=1).astype(np.float32)
    z = region_matrix(series)
    expected = np.arctanh(np.corrcoef(series.T.astype(np.float64)) - np.eye(len(names)))
    np.testing.assert_allclose(z, expected, atol=1e-12)
    thalami = z[names.index("LThal")]
    assert names[int(np.argmax(thalami))] == "RThal"


def _grid(image):
    from thalgpu.engine.inputs.headers import volume_grid

    return volume_grid(image.shape[:3], image.affine)
