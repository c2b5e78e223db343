"""Templates: against plain means, dense solutions and mirror images, where voxels are missing in some subjects."""

import shutil
from dataclasses import replace

import h5py
import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.config import GradientOptions
from thalgpu.engine.gradients.affinity import compute_affinity
from thalgpu.engine.gradients.alignment import mirror_correspondence
from thalgpu.engine.outputs.packing import unpack_upper
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.group_stage import make_template
from thalgpu.engine.pipelines.prepare import GradientsRequest, prepare
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.errors import InputError, NumericsError, UsageError

OPTIONS = GradientOptions(n_components=3, n_align=3, keep=("connectivity",), min_coverage=0.5)
SOME, RARE = slice(10, 15), slice(40, 43)
"""Voxels without a signal in sub-02, and voxels without one in sub-02 and sub-03."""


def silence(scan, ijk):
    """Make voxels constant."""
    image = nib.load(scan)
    values = np.asanyarray(image.dataobj).copy()
    values[tuple(ijk.T)] = 1000
    nib.save(nib.Nifti1Image(values, image.affine, image.header), scan)


@pytest.fixture(scope="module")
def request_(tmp_path_factory):
    folder = tmp_path_factory.mktemp("group")
    cohort = simulate_cohort(folder / "cohort", options=CohortOptions(subjects=3, timepoints=60, noise=0.5))
    ijk = np.argwhere(nib.load(cohort.thalamus[0]).get_fdata() > 0)
    for subject, missing in (("02", [SOME, RARE]), ("03", [RARE])):
        scan = next((cohort.folder / f"sub-{subject}" / "func").glob("*_bold.nii.gz"))
        silence(scan, np.concatenate([ijk[part] for part in missing]))
    return GradientsRequest(
        cohort.list_file,
        out=folder / "out",
        thalamus=str(cohort.thalamus[0]),
        cortex=str(cohort.folder / "cortex_parcels.nii.gz"),
        options=OPTIONS,
        workers=1,
    )


@pytest.fixture(scope="module")
def run(request_):
    """A finished run of three subjects, two of which miss some voxels; never written to."""
    return run_gradients(request_)


@pytest.fixture(scope="module")
def records(run):
    return [one.record for one in run.aligned]


@pytest.fixture(scope="module")
def part(request_):
    return prepare(request_).parts[0]


def stored(run, subject, name):
    with h5py.File(run.out / f"sub-{subject}/func/sub-{subject}_seg-thalamus_gradients.h5") as file:
        return file[name][:]


@pytest.fixture(scope="module")
def affinities(run):
    """(3, n, n) float64 of the subjects, and (3, n) what is covered."""
    covered = np.array([stored(run, f"0{i}", "covered") for i in (1, 2, 3)]).astype(bool)
    n = covered.shape[1]
    packed = [stored(run, f"0{i}", "affinity") for i in (1, 2, 3)]
    return np.array([unpack_upper(one, n) for one in packed]).astype(float), covered


def dense_diffusion_map(affinity, k, alpha=0.5):
    """λ / (1 − λ) and ψ of the non-trivial components by a full symmetric solution."""
    degree = affinity.sum(axis=0)
    weights = affinity / np.outer(degree, degree) ** alpha
    degree = weights.sum(axis=0)
    lambdas, vectors = np.linalg.eigh(weights / np.sqrt(np.outer(degree, degree)))
    lambdas, maps = lambdas[::-1][1 : k + 1], (vectors / np.sqrt(degree)[:, None])[:, ::-1]
    return lambdas / (1 - lambdas), maps[:, 1 : k + 1] / maps[:, :1]


def correlations(a, b):
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


def test_voxels_without_a_signal_are_zero_in_the_record(run):
    covered = stored(run, "02", "covered").astype(bool)
    assert not covered[SOME].any()
    assert not covered[RARE].any()
    assert covered.sum() == len(covered) - 8
    assert not stored(run, "02", "gradients")[~covered].any()
    assert stored(run, "02", "gradients")[covered].any(axis=1).all()
    assert not stored(run, "02", "connectivity")[~covered].any()


def test_pooled_affinity_is_the_mean_over_subjects_that_have_both_voxels(run, affinities):
    matrices, covered = affinities
    both = covered[:, :, None] & covered[:, None, :]
    # the stored mean is float32: half a unit in the last place of values up to 1
    expected = np.where(both, matrices, 0).sum(axis=0) / both.sum(axis=0)
    with h5py.File(run.out / "group/gradients.h5") as file:
        found = unpack_upper(file["affinity"][:], len(expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=6e-8)


def test_pooled_template_is_the_dense_embedding_of_that_mean(run, affinities):
    matrices, covered = affinities
    both = covered[:, :, None] & covered[:, None, :]
    kept = 2 * covered.sum(axis=0) >= 3
    mean = (np.where(both, matrices, 0).sum(axis=0) / both.sum(axis=0))[np.ix_(kept, kept)]
    lambdas, maps = dense_diffusion_map(mean, 3)
    (template,) = run.templates
    np.testing.assert_allclose(template.lambdas, lambdas, rtol=1e-6)  # the eigensolver's own tolerance
    np.testing.assert_allclose(np.abs(correlations(template.gradients[kept], maps)), 1, atol=1e-6)


def test_voxels_that_fewer_than_half_have_are_left_out_and_told(run):
    (template,) = run.templates
    assert not template.covered[RARE].any()
    assert template.covered[SOME].all()
    assert not template.gradients[RARE].any()
    assert any("3 of" in remark and "fewer than half" in remark for remark in run.warnings)


def test_pooled_connectivity_is_the_affinity_of_the_mean(run, records, part, tmp_path):
    out = shutil.copytree(run.out, tmp_path / "out")
    template = make_template(out, part, records, replace(OPTIONS, template="pooled-connectivity"), None)
    matrices = np.array([stored(run, f"0{i}", "connectivity") for i in (1, 2, 3)]).astype(float)
    kept = template.covered
    mean = (matrices.sum(axis=0) / np.maximum(1, (matrices != 0).sum(axis=0)))[kept]
    affinity = compute_affinity(mean, kernel=OPTIONS.kernel, sparsity=OPTIONS.sparsity)
    lambdas, maps = dense_diffusion_map(np.asarray(affinity, dtype=float), 3)
    np.testing.assert_allclose(template.lambdas, lambdas, rtol=1e-6)
    np.testing.assert_allclose(np.abs(correlations(template.gradients[kept], maps)), 1, atol=1e-6)


def test_generalised_template_is_over_the_voxels_that_all_share(run, records, part, affinities, tmp_path):
    out = shutil.copytree(run.out, tmp_path / "out")
    template = make_template(out, part, records, replace(OPTIONS, template="generalised"), None)
    shared = affinities[1].all(axis=0)
    np.testing.assert_array_equal(template.covered, shared)
    assert not template.gradients[~shared].any()
    assert len(template.lambdas) == 0
    pooled = run.templates[0].gradients[shared]
    assert np.abs(correlations(template.gradients[shared], pooled))[0] > 0.9


@pytest.mark.parametrize("name", ["gradients.h5", "seg-thalamus_desc-template_stat-gradients_boldmap.nii.gz"])
def test_template_file_is_taken_as_it_is(run, records, part, tmp_path, name):
    out = shutil.copytree(run.out, tmp_path / "out")
    given = run.out / "group" / name
    template = make_template(out, part, records, replace(OPTIONS, template=str(given)), None)
    np.testing.assert_array_equal(template.gradients, run.templates[0].gradients)


def test_template_file_with_more_components_is_cut(run, records, part, tmp_path):
    out = shutil.copytree(run.out, tmp_path / "out")
    few = replace(OPTIONS, n_components=2, n_align=2, template=str(run.out / "group/gradients.h5"))
    template = make_template(out, part, records, few, None)
    np.testing.assert_array_equal(template.gradients, run.templates[0].gradients[:, :2])


def test_template_file_with_too_few_components_is_refused_before_any_work(run, request_, tmp_path):
    many = replace(OPTIONS, n_components=5, n_align=5, template=str(run.out / "group/gradients.h5"))
    with pytest.raises(NumericsError, match="the template has 3 components, 5 are asked for"):
        run_gradients(replace(request_, options=many, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_misspelt_template_is_refused_before_any_work(request_, tmp_path):
    with pytest.raises(UsageError, match=r"generalized is no file .* generalised"):
        run_gradients(replace(request_, options=replace(OPTIONS, template="generalized"), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_template_that_is_no_map_is_refused_before_any_work(request_, tmp_path):
    damaged = tmp_path / "template.nii.gz"
    damaged.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"template\.nii\.gz"):
        prepare(replace(request_, options=replace(OPTIONS, template=str(damaged))))


def test_order_of_the_records_does_not_matter(run, records, part, tmp_path):
    out = shutil.copytree(run.out, tmp_path / "out")
    for path in (out / "group").iterdir():
        path.unlink()
    template = make_template(out, part, records[::-1], OPTIONS, None)
    assert not template.skipped
    assert template.key == run.templates[0].key
    assert (out / "group/gradients.h5").read_bytes() == (run.out / "group/gradients.h5").read_bytes()


def test_template_on_disk_is_verified_and_kept(run, records, part):
    template = make_template(run.out, part, records, OPTIONS, None)
    assert template.skipped
    np.testing.assert_array_equal(template.gradients, run.templates[0].gradients)
    assert template.warnings == run.templates[0].warnings


def test_right_template_follows_the_mirrored_left_one(request_, tmp_path):
    separate = replace(OPTIONS, hemisphere="separate", keep=())
    result = run_gradients(replace(request_, out=tmp_path / "out", options=separate))
    left, right = result.templates
    xyz = [part.thalamus.xyz for part in prepare(replace(request_, options=separate)).parts]
    partner = mirror_correspondence(*xyz)
    shared = right.covered & left.covered[partner]
    together = correlations(right.gradients[shared], left.gradients[partner][shared])
    assert (together > 0).all()
    assert together[0] > 0.5, "the planted first gradient is symmetric"
    assert {one.record.hemisphere for one in result.aligned} == {"L", "R"}
    for name in ("hemi-L_gradients.h5", "hemi-R_gradients.h5"):
        assert (tmp_path / "out/group" / name).is_file()
