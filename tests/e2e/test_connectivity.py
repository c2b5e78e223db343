"""`thalgpu connectivity` from the command line to files, as a user meets it."""

import hashlib
import json
import shutil

import h5py
import nibabel as nib
import numpy as np
import pytest
from scipy.signal import detrend

SEEDS = ("thalamus", "thalamusL", "thalamusR", "VPL", "MD", "VPLL", "VPLR", "S1", "S1L", "S1R")


def digests(out):
    """SHA-256 of every result; logs and the lock are not results."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.parent.name != "logs" and path.name != ".thalgpu.lock"
    }


def voxels(path):
    return nib.load(path).get_fdata(dtype=np.float32)


def table(path):
    """Columns by name and the participants of a written table."""
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    values = np.array([[float(cell) for cell in row[1:]] for row in rows])
    return dict(zip(header[1:], values.T, strict=True)), [row[0] for row in rows]


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory, cohort):
    """VPL in both hemispheres, MD in the left one only."""
    image = nib.load(cohort / "thalamus.nii.gz")
    inside = image.get_fdata() > 0
    x = (np.indices(inside.shape)[0] * image.affine[0, 0]) + image.affine[0, 3]
    z = np.indices(inside.shape)[2]
    upper = z > np.median(z[inside])
    labels = np.where(inside & upper, 1, 0) + np.where(inside & ~upper & (x < 0), 2, 0)
    folder = tmp_path_factory.mktemp("nuclei")
    nib.save(nib.Nifti1Image(labels.astype("i2"), image.affine), folder / "nuclei.nii.gz")
    (folder / "nuclei.tsv").write_text("index\tname\n1\tVPL\n2\tM.D.\n")
    return folder / "nuclei.nii.gz"


@pytest.fixture(scope="module")
def wanted(cohort, nuclei):
    parcels = cohort / "cortex_parcels.nii.gz"
    return [
        *("--subjects", cohort / "list.txt", "--thalamus", cohort / "thalamus.nii.gz"),
        *("--cortex", cohort / "cortex.nii.gz", "--atlas", parcels),
        *("--nuclei", nuclei, "--seed", f"S1={parcels}:1,2,51"),
    ]


@pytest.fixture(scope="module")
def out(tmp_path_factory, thalgpu, wanted):
    folder = tmp_path_factory.mktemp("run") / "out"
    done = thalgpu("connectivity", *wanted, "--out", folder, "--workers", 1)
    assert done.exit_code == 0, done.err
    return folder


def series(cohort, label, inside):
    """The detrended series of some voxels of one scan, by SciPy."""
    scan = next((cohort / f"sub-{label}/func").glob("*_bold.nii.gz"))
    return detrend(nib.load(scan).get_fdata(), axis=3)[inside]


def test_every_promised_file_is_written(out):
    func = out / "sub-01/func"
    maps = {f"sub-01_seed-{seed}_stat-fisherz_boldmap.nii.gz" for seed in SEEDS}
    beside = {"sub-01_stat-fisherz_boldmap.json", "sub-01_connectivity.h5"}
    assert {path.name for path in func.iterdir()} == maps | beside
    for name in ("dataset_description.json", ".bidsignore", "config.toml", "report.html", "connectivity.tsv"):
        assert (out / name).is_file()
    assert (out / "regions.tsv").is_file()


@pytest.mark.parametrize("seed", ["thalamus", "thalamusR", "VPLL", "S1"])
def test_map_is_the_correlation_of_the_mean_series_with_every_voxel(out, cohort, nuclei, seed):
    thalamus, parcels = voxels(cohort / "thalamus.nii.gz") > 0, voxels(cohort / "cortex_parcels.nii.gz")
    affine = nib.load(cohort / "thalamus.nii.gz").affine
    x = np.indices(thalamus.shape)[0] * affine[0, 0] + affine[0, 3]
    inside = {
        "thalamus": thalamus,
        "thalamusR": thalamus & (x > 0),
        "VPLL": (voxels(nuclei) == 1) & (x < 0),
        "S1": np.isin(parcels, [1, 2, 51]),
    }[seed]
    cortex = voxels(cohort / "cortex.nii.gz") > 0
    found = voxels(out / f"sub-02/func/sub-02_seed-{seed}_stat-fisherz_boldmap.nii.gz")
    own, targets = series(cohort, "02", inside).mean(axis=0), series(cohort, "02", cortex)
    expected = np.arctanh(np.corrcoef(own, targets)[0, 1:])
    np.testing.assert_allclose(found[cortex], expected, atol=1e-6)  # float32 series and maps
    assert not found[~cortex].any()


def test_tables_hold_seeds_and_parcels_and_all_pairs(out, cohort):
    columns, ids = table(out / "connectivity.tsv")
    parcels = voxels(cohort / "cortex_parcels.nii.gz")
    thalamus = series(cohort, "03", voxels(cohort / "thalamus.nii.gz") > 0).mean(axis=0)
    third, ninth = (series(cohort, "03", parcels == label).mean(axis=0) for label in (3, 9))
    assert ids == ["sub-01", "sub-02", "sub-03", "sub-04"]
    assert columns["thalamus__L_03"][2] == pytest.approx(np.arctanh(np.corrcoef(thalamus, third)[0, 1]), abs=1e-6)
    pairs, _ = table(out / "regions.tsv")
    assert pairs["L_03__L_09"][2] == pytest.approx(np.arctanh(np.corrcoef(third, ninth)[0, 1]), abs=1e-6)
    np.testing.assert_array_equal(pairs["thalamus__L_03"], columns["thalamus__L_03"])


def test_regions_that_share_voxels_are_in_no_table(out):
    columns = {*table(out / "connectivity.tsv")[0], *table(out / "regions.tsv")[0]}
    shared = {"thalamus__thalamusL", "thalamusL__VPLL", "S1__L_01", "S1L__L_02", "S1__S1L"}
    assert not columns & shared
    assert {"thalamusL__thalamusR", "thalamus__S1", "S1__L_03", "S1L__S1R"} <= columns


def test_record_holds_what_the_maps_hold(out, cohort):
    cortex = voxels(cohort / "cortex.nii.gz") > 0
    with h5py.File(out / "sub-01/func/sub-01_connectivity.h5") as file:
        assert json.loads(file.attrs["seeds"]) == list(SEEDS)
        image = voxels(out / "sub-01/func/sub-01_seed-MD_stat-fisherz_boldmap.nii.gz")
        np.testing.assert_array_equal(file["z"][SEEDS.index("MD")], image[cortex])
        assert file["targets_covered"][:].all()
        assert not file["regions"][:].diagonal().any()


def test_three_workers_give_the_same_bytes_as_one(out, tmp_path, thalgpu, wanted):
    done = thalgpu("connectivity", *wanted, "--out", tmp_path / "three", "--workers", 3)
    assert done.exit_code == 0, done.err
    assert digests(tmp_path / "three") == digests(out)


def test_written_configuration_repeats_the_run_and_repairs_only_what_is_damaged(out, tmp_path, thalgpu):
    copy = shutil.copytree(out, tmp_path / "copy")
    for name in ("sub-02_seed-S1_stat-fisherz_boldmap.nii.gz", "sub-03_connectivity.h5"):
        damaged = copy / name[:6] / "func" / name
        damaged.write_bytes(damaged.read_bytes()[:-20])
    done = thalgpu("connectivity", "--config", out / "config.toml", "--out", copy, "--workers", 1)
    assert done.exit_code == 0, done.err
    assert "2 verified" in done.out
    assert digests(copy) == digests(out)


def test_maps_of_a_subject_that_left_the_list_are_removed_and_its_record_stays(out, tmp_path, thalgpu, wanted, cohort):
    copy = shutil.copytree(out, tmp_path / "copy")
    lines = [str(cohort / line) for line in (cohort / "list.txt").read_text().split() if not line.startswith("#")]
    (tmp_path / "list.txt").write_text("\n".join(lines[:3]))
    done = thalgpu("connectivity", *wanted, "--subjects", tmp_path / "list.txt", "--out", copy)
    assert done.exit_code == 0, done.err
    assert "3 verified" in done.out
    assert [path.name for path in (copy / "sub-04/func").iterdir()] == ["sub-04_connectivity.h5"]
    assert table(copy / "connectivity.tsv")[1] == ["sub-01", "sub-02", "sub-03"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--low-pass", "0.1"], "low_pass none → 0.1"),
        (["--no-maps"], "maps True → False"),
        (["--seed", "M1=PARCELS:4"], "other seeds"),
        (["--atlas", "CORTEX"], "a mask, not a parcellation"),
    ],
)
def test_results_of_other_options_are_refused(out, thalgpu, wanted, cohort, arguments, words):
    before = digests(out)
    files = {"PARCELS": str(cohort / "cortex_parcels.nii.gz"), "CORTEX": str(cohort / "cortex.nii.gz")}
    for name, path in files.items():
        arguments = [text.replace(name, path) for text in arguments]
    done = thalgpu("connectivity", *wanted, *arguments, "--out", out)
    assert done.exit_code in (2, 4)
    assert words in done.err
    assert digests(out) == before


def test_folder_of_another_command_is_refused(out, thalgpu, inputs):
    done = thalgpu("gradients", *inputs, "--out", out)
    assert done.exit_code == 2
    assert "results of another command" in done.err


def test_parcels_as_targets_give_tables_and_no_images(tmp_path, thalgpu, cohort):
    done = thalgpu(
        *("connectivity", "--subjects", cohort / "list.txt", "--thalamus", cohort / "thalamus.nii.gz"),
        *("--cortex", cohort / "cortex_parcels.nii.gz", "--out", tmp_path, "--no-matrix", "--workers", 1),
    )
    assert done.exit_code == 0, done.err
    assert [path.name for path in (tmp_path / "sub-01/func").iterdir()] == ["sub-01_connectivity.h5"]
    assert not (tmp_path / "regions.tsv").exists()
    columns, _ = table(tmp_path / "connectivity.tsv")
    assert len(columns) == 300


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path, thalgpu, wanted):
    done = thalgpu("connectivity", *wanted, "--out", tmp_path / "out", "--dry-run")
    assert done.exit_code == 0, done.err
    assert "seeds       thalamus, thalamusL, thalamusR, VPL, MD, VPLL, VPLR, S1, S1L, S1R" in done.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--seed", "S1"], 2, "NAME=FILE"),
        (["--seed", "S_1=x.nii"], 2, "letters and digits"),
        (["--seed", "M1=nowhere.nii.gz"], 4, "nowhere.nii.gz"),
        (["--seed", "thalamusL=THALAMUS"], 2, "two seeds are called thalamusL"),
        (["--seed", "M1=THALAMUS:7"], 4, "label '7' does not occur"),
        (["--nuclei", "THALAMUS"], 4, "not a label image of nuclei"),
        (["--min-coverage", "0"], 2, "--min-coverage 0"),
        (["--memory", "1MB"], 5, "--memory"),
        (["--subjects", "missing.txt"], 4, "missing.txt"),
    ],
)
def test_wrong_input_is_one_line_with_the_right_code(tmp_path, thalgpu, wanted, cohort, arguments, code, words):
    arguments = [text.replace("THALAMUS", str(cohort / "thalamus.nii.gz")) for text in arguments]
    done = thalgpu("connectivity", *wanted[:6], *arguments, "--out", tmp_path / "out")
    assert done.exit_code == code, done.err
    assert words in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()
