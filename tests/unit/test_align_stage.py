"""Aligned records, maps and tables of a small finished run."""

import csv
import json
from dataclasses import replace

import h5py
import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.config import CleaningOptions, GradientOptions
from thalgpu.engine.gradients.projection import project_to_targets
from thalgpu.engine.gradients.trend_surface import fit_trend_surface
from thalgpu.engine.inputs.series import load_series
from thalgpu.engine.pipelines.align_stage import AlignTask, find_aligned, run_align
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.ledger import Ledger
from thalgpu.engine.pipelines.prepare import GradientsRequest, prepare
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.errors import InputError, NumericsError

OPTIONS = GradientOptions(n_components=3, n_align=3, keep=("projections",), trend_surface=2)


def image(path, like, values):
    reference = nib.load(like)
    volume = np.zeros(reference.shape, dtype=np.int16)
    volume[reference.get_fdata() > 0] = values
    nib.save(nib.Nifti1Image(volume, reference.affine), path)


@pytest.fixture(scope="module")
def request_(tmp_path_factory):
    folder = tmp_path_factory.mktemp("align")
    cohort = simulate_cohort(folder / "cohort", options=CohortOptions(subjects=3, timepoints=60, noise=0.5))
    n = int((nib.load(cohort.thalamus[0]).get_fdata() > 0).sum())
    image(folder / "nuclei.nii.gz", cohort.thalamus[0], np.repeat([0, 1, 2], [20, 100, n - 120]))
    ijk = np.argwhere(nib.load(cohort.thalamus[0]).get_fdata() > 0)
    scan = next((cohort.folder / "sub-02/func").glob("*_bold.nii.gz"))
    bold = nib.load(scan)
    values = np.asanyarray(bold.dataobj).copy()
    values[tuple(ijk[50:60].T)] = 7
    nib.save(nib.Nifti1Image(values, bold.affine, bold.header), scan)
    return GradientsRequest(
        cohort.list_file,
        out=folder / "out",
        thalamus=str(cohort.thalamus[0]),
        cortex=str(cohort.folder / "cortex_parcels.nii.gz"),
        nuclei=str(folder / "nuclei.nii.gz"),
        options=OPTIONS,
        workers=1,
    )


@pytest.fixture(scope="module")
def run(request_):
    """A finished run; never written to."""
    return run_gradients(request_)


@pytest.fixture(scope="module")
def prepared(request_):
    return prepare(request_)


def stored(run, subject, name, *, aligned=True):
    middle = "_desc-aligned" if aligned else ""
    with h5py.File(run.out / f"sub-{subject}/func/sub-{subject}_seg-thalamus{middle}_gradients.h5") as file:
        return file[name][:]


def rows(path):
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def task(run, prepared, options, out, subject=0):
    record = run.aligned[subject].record
    return AlignTask(record, prepared.parts[0], run.templates[0], None, CleaningOptions(), options, out)


def copied(run, tmp_path):
    """A folder with the subjects' own records only."""
    for path in run.out.glob("sub-*/func/*seg-thalamus_gradients.h5"):
        target = tmp_path / path.relative_to(run.out)
        target.parent.mkdir(parents=True)
        target.write_bytes(path.read_bytes())
    return tmp_path


def test_rotation_is_orthogonal_and_makes_the_aligned_gradients(run):
    rotation, before = stored(run, "01", "rotation"), stored(run, "01", "gradients", aligned=False)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(stored(run, "01", "aligned"), before @ rotation, atol=1e-6)  # float32 output


def test_alignment_is_the_best_rotation_onto_the_template(run):
    before, target = stored(run, "03", "gradients", aligned=False).astype(float), run.templates[0].gradients
    left, _, right = np.linalg.svd(before.T @ target.astype(float))
    np.testing.assert_allclose(stored(run, "03", "rotation"), left @ right, atol=1e-10)


def test_voxels_without_a_signal_are_zero_in_record_and_map(run, prepared):
    aligned = stored(run, "02", "aligned")
    assert not aligned[50:60].any()
    assert aligned.any(axis=1).sum() == len(aligned) - 10
    np.testing.assert_array_equal(np.flatnonzero(stored(run, "02", "covered") == 0), np.arange(50, 60))
    maps = nib.load(run.out / "sub-02/func/sub-02_seg-thalamus_stat-gradients_boldmap.nii.gz").get_fdata()
    assert not maps[tuple(prepared.parts[0].thalamus.ijk[50:60].T)].any()


def test_no_alignment_leaves_gradients_as_they_are(run, prepared, tmp_path):
    out = copied(run, tmp_path)
    run_align(task(run, prepared, replace(OPTIONS, alignment="none", trend_surface=0), out))
    with h5py.File(out / "sub-01/func/sub-01_seg-thalamus_desc-aligned_gradients.h5") as file:
        np.testing.assert_array_equal(file["aligned"][:], stored(run, "01", "gradients", aligned=False))
        np.testing.assert_array_equal(file["rotation"][:], np.eye(3))


def test_components_beyond_n_align_stay_out_of_the_rotation(run, prepared, tmp_path):
    out = copied(run, tmp_path)
    run_align(task(run, prepared, replace(OPTIONS, n_align=2), out))
    with h5py.File(out / "sub-01/func/sub-01_seg-thalamus_desc-aligned_gradients.h5") as file:
        rotation, aligned = file["rotation"][:], file["aligned"][:]
    np.testing.assert_array_equal(rotation[2, :2], 0)
    np.testing.assert_array_equal(rotation[:2, 2], 0)
    assert abs(rotation[2, 2]) == 1
    before = stored(run, "01", "gradients", aligned=False)
    np.testing.assert_array_equal(np.abs(aligned[:, 2]), np.abs(before[:, 2]))
    assert np.abs(rotation[0, 1]) > 0


def test_template_that_shares_too_few_voxels_is_an_error_in_words(run, prepared, tmp_path):
    few = np.zeros(prepared.parts[0].n_voxels, dtype=bool)
    few[:3] = True
    one = task(run, prepared, OPTIONS, copied(run, tmp_path))
    with pytest.raises(NumericsError, match="3 voxels are shared with the template"):
        run_align(replace(one, template=replace(one.template, covered=few)))


def test_projections_are_those_of_the_aligned_gradients(run, prepared):
    for number, subject in enumerate(("01", "02")):
        who = prepared.subjects[number]
        series = load_series(who, prepared.thalamus, prepared.cortex, CleaningOptions(), min_coverage=0.8)
        covered = series.seed_covered
        aligned = stored(run, subject, "aligned")[covered].astype(float)
        expected = project_to_targets(aligned, series.seed[:, covered], series.target)
        found = stored(run, subject, "projections")
        np.testing.assert_allclose(found, expected, atol=2e-5)  # float32 gradients and projections


def test_trend_table_has_a_column_a_coefficient(run, prepared):
    table = rows(run.out / "group/trend_surface.tsv")
    terms = ["x1", "y1", "z1", "x2", "y2", "z2", "explained"]
    assert list(table[0]) == ["participant_id", *(f"gradient{i}_{term}" for i in (1, 2, 3) for term in terms)]
    assert [row["participant_id"] for row in table] == ["sub-01", "sub-02", "sub-03"]
    covered = stored(run, "02", "covered").astype(bool)
    xyz = prepared.parts[0].thalamus.xyz
    fit = fit_trend_surface(stored(run, "02", "aligned")[covered, 1], xyz[covered], 2)
    found = [float(table[1][f"gradient2_{term}"]) for term in terms]
    np.testing.assert_allclose(found, [*fit.coefficients, fit.explained_variance], rtol=1e-6)  # 8 digits are written


def test_summary_holds_means_of_nuclei_over_voxels_with_a_signal(run):
    row = rows(run.out / "group/summary.tsv")[1]
    aligned, covered = stored(run, "02", "aligned"), stored(run, "02", "covered").astype(bool)
    nucleus = np.repeat([0, 1, 2], [20, 100, len(covered) - 120])
    for label in (1, 2):
        mean = aligned[covered & (nucleus == label), 0].mean(dtype=float)
        names = [name for name in row if name.startswith("gradient1_") and name.endswith(str(label))]
        assert len(names) == 1
        assert float(row[names[0]]) == pytest.approx(mean, rel=1e-6)


def test_summary_is_a_plain_table_without_nan(run):
    table = rows(run.out / "group/summary.tsv")
    assert [row["participant_id"] for row in table] == ["sub-01", "sub-02", "sub-03"]
    assert table[1]["n_covered"] == str(int(table[1]["n_voxels"]) - 10)
    values = [value for row in table for name, value in row.items() if name != "participant_id"]
    assert all(value == "n/a" or np.isfinite(float(value)) for value in values)
    lambdas = [float(table[0][f"gradient{i}_lambda"]) for i in (1, 2, 3)]
    np.testing.assert_allclose(lambdas, run.aligned[0].record.lambdas[:3], rtol=1e-7)


def test_correlation_with_the_template_is_over_shared_voxels(run):
    shared = stored(run, "02", "covered").astype(bool) & run.templates[0].covered
    pair = stored(run, "02", "aligned")[shared, 0], run.templates[0].gradients[shared, 0]
    assert run.aligned[1].summary["gradient1_r_template"] == pytest.approx(np.corrcoef(*pair)[0, 1], abs=1e-6)


def test_finished_subject_is_found_with_the_same_story(run, prepared, request_):
    again = run_gradients(request_)
    assert all(one.skipped and one.record.skipped for one in again.aligned)
    assert [one.summary for one in again.aligned] == [one.summary for one in run.aligned]
    assert [list(one.summary) for one in again.aligned] == [list(one.summary) for one in run.aligned]
    assert [one.trend for one in again.aligned] == [one.trend for one in run.aligned]


@pytest.mark.parametrize("ending", ["boldmap.nii.gz", "boldmap.json"])
def test_changed_or_missing_map_is_not_taken_for_done(run, prepared, tmp_path, ending):
    out = copied(run, tmp_path)
    one = task(run, prepared, OPTIONS, out)
    run_align(one)
    ledger = Ledger(out / "logs/verified.txt")
    assert find_aligned(one, ledger) is not None
    file = next((out / "sub-01/func").glob(f"*stat-gradients_{ending}"))
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"?")
    assert find_aligned(one, ledger) is None
    file.unlink()
    assert find_aligned(one, ledger) is None
    run_align(one)
    assert file.read_bytes() == content


def test_other_template_makes_the_aligned_record_stale(run, prepared, tmp_path):
    one = task(run, prepared, OPTIONS, copied(run, tmp_path))
    run_align(one)
    other = replace(one, template=replace(one.template, key="other"))
    assert find_aligned(other, Ledger(one.out / "logs/verified.txt")) is None


def test_sidecar_says_what_was_done(run):
    sidecar = json.loads((run.out / "sub-02/func/sub-02_seg-thalamus_stat-gradients_boldmap.json").read_text())
    assert sidecar["Alignment"] == {"Method": "procrustes", "Components": 3}
    assert sidecar["TemplateKey"] == run.templates[0].key
    assert sidecar["VoxelsWithSignal"] == run.aligned[1].record.n_covered


def test_nuclei_elsewhere_are_refused_before_any_work(request_, tmp_path):
    far = nib.load(request_.thalamus)
    volume = np.zeros(far.shape, dtype=np.int16)
    volume[0, 0, 0] = 1
    volume[-1, -1, -1] = 2
    nib.save(nib.Nifti1Image(volume, far.affine), tmp_path / "far.nii.gz")
    with pytest.raises(InputError, match="no thalamic voxel lies inside a nucleus"):
        run_gradients(replace(request_, nuclei=str(tmp_path / "far.nii.gz"), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
