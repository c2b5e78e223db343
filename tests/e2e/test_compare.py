"""`thalgpu compare` from gradients and a table of groups to maps and numbers, as a user meets it."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest

from thalgpu import __version__
from thalgpu.engine.gradients.alignment import procrustes
from thalgpu.engine.gradients.embedding import embed
from thalgpu.engine.outputs.packing import unpack_upper
from thalgpu.engine.pipelines import compare as compare_pipeline
from thalgpu.engine.pipelines import compare_page

K, N_PERM = 2, 120
PAIRS = ("controlsMinusPatients", "controlsMinusRelatives", "patientsMinusRelatives")
NAMES = ("controls - patients", "controls - relatives", "patients - relatives", "all groups")
MAPS = ("p", "pfwe", "pfdr", "pfwejoint", "tfce", "tfcep", "tfcepfwe", "tfcepfdr", "tfcepfwejoint")
NUMBERS = ("eigenvalue", "explained", "range", "subspace")
TEST = ("--n-perm", N_PERM, "--tfce", "--seed", 3)
N_BLOCKS = 5
"""70 ways to divide a pair of four and four, in a block each, and 120 of all groups in two."""


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every file but the lock and the page."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in (".thalgpu.lock", "report.html")
    }


def contents(path: Path) -> dict[str, np.ndarray]:
    """Every dataset of a record."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[:]}) if isinstance(item, h5py.Dataset) else None)
    return found


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t"))


@pytest.fixture(scope="module")
def people(tmp_path_factory, thalgpu):
    """Twelve simulated people in three groups that differ strongly; never written to."""

    def of(kind: str) -> Path:
        folder = tmp_path_factory.mktemp("people") / "cohort"
        options = ("--subjects", 12, "--groups", "patients,controls,relatives", "--timepoints", 60, "--kind", kind)
        done = thalgpu("simulate", folder, *options, "--effect", 3, "--noise", 0.5)
        assert done.exit_code == 0, done.err
        return folder

    return of


@pytest.fixture(scope="module")
def cohort(people) -> Path:
    return people("volume")


@pytest.fixture(scope="module")
def gradients(tmp_path_factory, thalgpu, cohort):
    """Their gradients, of both hemispheres together or apart."""

    def of(hemisphere: str) -> Path:
        out = tmp_path_factory.mktemp("gradients") / "out"
        regions = ("--thalamus", cohort / "thalamus.nii.gz", "--cortex", cohort / "cortex_parcels.nii.gz")
        inputs = ("--subjects", cohort / "list.txt", *regions, "--n-components", K, "--workers", 1)
        done = thalgpu("gradients", *inputs, "--hemisphere", hemisphere, "--out", out)
        assert done.exit_code == 0, done.err
        return out

    return of


@pytest.fixture(scope="module")
def source(gradients) -> Path:
    return gradients("both")


@pytest.fixture(scope="module")
def compare(thalgpu, cohort):
    """The command without the page's figures, which take longer than all else."""

    def run(source: Path, out: Path, *options: object, design: Path = cohort / "participants.tsv"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compare_page, "render_compare", lambda page: "a page")
            return thalgpu("compare", source, "--design", design, *TEST, "--out", out, "--workers", 1, *options)

    return run


@pytest.fixture(scope="module")
def out(tmp_path_factory, thalgpu, source, cohort) -> Path:
    """The comparison, all of it, its page included."""
    folder = tmp_path_factory.mktemp("compare") / "out"
    design = ("--design", cohort / "participants.tsv")
    done = thalgpu("compare", source, *design, *TEST, "--out", folder, "--workers", 1)
    assert done.exit_code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def groups(source, cohort) -> dict[str, np.ndarray]:
    """Mean affinity of each group, and of everybody under ""."""
    labels = {row["participant_id"]: row["group"] for row in table(cohort / "participants.tsv")}
    members: dict[str, list[np.ndarray]] = {}
    for label, group in labels.items():
        with h5py.File(source / f"{label}/func/{label}_seg-thalamus_gradients.h5") as file:
            affinity = unpack_upper(file["affinity"][:], len(file["covered"])).astype(np.float64)
        members.setdefault(group, []).append(affinity)
        members.setdefault("", []).append(affinity)
    return {name: np.mean(found, axis=0) for name, found in members.items()}


def test_the_maps_are_differences_of_group_gradients_aligned_to_everybodys(out, groups):
    template = embed(groups[""], n_components=K).gradients
    aligned = {
        name: procrustes(embed(mean, n_components=K).gradients, template).aligned for name, mean in groups.items()
    }
    found = contents(out / "results.h5")
    for label, pair in zip(PAIRS, NAMES, strict=False):
        one, other = (aligned[name] for name in pair.split(" - "))
        for i in range(K):
            difference = found[f"contrasts/{label}-component-{i + 1}/stat"]
            np.testing.assert_allclose(
                difference, (one - other)[:, i], atol=3e-5 * np.abs(template).max()
            )  # exact.TOLERANCE
        ranges = np.ptp(one, axis=0) - np.ptp(other, axis=0)
        np.testing.assert_allclose(found[f"contrasts/{label}-range/stat"], ranges, atol=1e-4 * np.abs(template).max())


def test_results_are_laid_out_part_by_part(out):
    found = contents(out / "results.h5")
    spatial = ("stat", "p", "p_fwe", "p_fdr", "p_fwe_joint")
    spatial += ("tfce", "p_tfce", "p_fwe_tfce", "p_fdr_tfce", "p_fwe_joint_tfce")
    expected = {"features/kept", "features/voxel_ijk"}
    for label in (*PAIRS, "allGroups"):
        for part in (f"component-{i + 1}" for i in range(K)):
            expected |= {f"contrasts/{label}-{part}/{name}" for name in spatial}
            expected |= {f"null/{label}-{part}/{name}" for name in ("stat", "tfce")}
        for part in NUMBERS:
            expected |= {f"contrasts/{label}-{part}/{name}" for name in spatial[:4]}
            expected |= {f"null/{label}-{part}/stat"}
        expected |= {f"contrasts/{label}-subspace/angles"} if label in PAIRS else set()
    assert set(found) == expected
    for name, array in found.items():
        if name.startswith("null"):
            assert array.shape == ((N_PERM if "allGroups" in name else 70),)
        if name.split("/")[-1].startswith("p"):
            assert ((array > 0) & (array <= 1)).all()


def test_every_map_holds_a_volume_a_component_on_the_grid_of_the_gradients(out, cohort):
    mask = nib.load(cohort / "thalamus.nii.gz")
    inside, found = mask.get_fdata() > 0, contents(out / "results.h5")
    names = {"p": "p", "pfwe": "p_fwe", "tfcepfwejoint": "p_fwe_joint_tfce", "tfce": "tfce"}
    for label in (*PAIRS, "allGroups"):
        statistic = "spread" if label == "allGroups" else "difference"
        written = {path.name for path in out.glob(f"contrast-{label}_*.nii.gz")}
        assert written == {f"contrast-{label}_stat-{stat}_statmap.nii.gz" for stat in (statistic, *MAPS)}
        for stat, dataset in ({statistic: "stat"} | names).items():
            image = nib.load(out / f"contrast-{label}_stat-{stat}_statmap.nii.gz")
            np.testing.assert_allclose(image.affine, mask.affine)
            assert image.shape == (*mask.shape, K)
            for i in range(K):
                expected = found[f"contrasts/{label}-component-{i + 1}/{dataset}"]
                values = image.get_fdata(dtype=np.float32)[inside, i]
                np.testing.assert_allclose(values, expected, rtol=2**-23)  # the last bit of a float32


def test_every_map_has_a_sidecar_with_its_comparison_and_the_versions(out):
    for image in out.glob("*_statmap.nii.gz"):
        sidecar = json.loads(Path(str(image).replace(".nii.gz", ".json")).read_text())
        assert f"_stat-{sidecar['StatisticName']}_" in image.name
        assert sidecar["Comparison"] in NAMES
        assert sidecar["Subjects"] == (12 if sidecar["Comparison"] == "all groups" else 8)
        assert sidecar["Maps"] == ["component-1", "component-2"]
        assert sidecar["Options"]["seed"] == 3
        assert sidecar["SoftwareVersions"]["thalgpu"] == __version__


def test_the_tables_have_a_line_for_all_that_is_compared(out):
    found, summary, numbers = contents(out / "results.h5"), table(out / "summary.tsv"), table(out / "numbers.tsv")
    assert [(row["comparison"], row["map"]) for row in summary] == [
        (name, f"component-{i + 1}") for name in NAMES for i in range(K)
    ]
    assert [(row["comparison"], row["number"], row["component"]) for row in numbers] == [
        (name, number, str(i + 1)) for name in NAMES for number in NUMBERS for i in range(K)
    ]
    for row in numbers:
        label = (*PAIRS, "allGroups")[NAMES.index(row["comparison"])]
        for name, dataset in (("value", "stat"), ("p", "p"), ("p_fwe", "p_fwe"), ("p_fdr", "p_fdr")):
            value = found[f"contrasts/{label}-{row['number']}/{dataset}"][int(row["component"]) - 1]
            assert float(row[name]) == pytest.approx(value, rel=1e-7)  # 8 digits
    for row in summary:
        label = (*PAIRS, "allGroups")[NAMES.index(row["comparison"])]
        p = found[f"contrasts/{label}-{row['map']}/p_fwe_tfce"]
        assert (row["by"], float(row["smallest_p"])) == ("p_fwe_tfce", pytest.approx(p.min(), rel=1e-7))
        assert int(row["n_significant"]) == (p <= 0.05).sum()
        assert float(row["error_verified"]) <= 0.01
        assert float(row["error_estimated"]) <= 0.01
    assert all(0 <= float(row["error_verified"]) <= min(0.01, float(row["error_largest"])) for row in numbers)


def test_the_chordal_distances_are_those_of_the_principal_angles(out):
    found, rows = contents(out / "results.h5"), table(out / "angles.tsv")
    assert [(row["comparison"], row["n_components"], row["angle"]) for row in rows] == [
        (name, str(i + 1), str(j + 1)) for name in NAMES[:-1] for i in range(K) for j in range(i + 1)
    ]
    for label, name in zip(PAIRS, NAMES, strict=False):
        angles, distances = (found[f"contrasts/{label}-subspace/{of}"] for of in ("angles", "stat"))
        np.testing.assert_allclose(np.sqrt((np.sin(np.radians(angles)) ** 2).sum(axis=1)), distances, rtol=1e-4)
        written = [float(row["degrees"]) for row in rows if row["comparison"] == name]
        np.testing.assert_allclose(written, angles[np.tril_indices(K)], rtol=1e-7)  # 8 digits


def test_a_pair_of_one_size_is_never_more_significant_than_its_two_ties(out):
    for name, values in contents(out / "results.h5").items():
        if name.split("/")[-1].startswith("p") and "Minus" in name:
            assert values.min() >= 2 / 70 - 1e-12, name


def test_peaks_are_of_maps_with_significant_voxels(out):
    found = {(row["comparison"], row["map"]) for row in table(out / "summary.tsv") if int(row["n_significant"])}
    peaks = table(out / "peaks.tsv")
    assert found
    assert {(row["contrast"], row["map"]) for row in peaks} == found


def test_the_page_names_groups_and_path(out):
    page = (out / "report.html").read_text()
    for words in ("controls - patients", "all groups", "participants.tsv", "data:image/png;base64"):
        assert words in page
    assert "<script" not in page


def test_the_folder_is_a_derivative_whose_options_can_be_given_again(out, source, thalgpu, tmp_path):
    description = json.loads((out / "dataset_description.json").read_text())
    assert (description["DatasetType"], description["GeneratedBy"][0]["Name"]) == ("derivative", "thalgpu")
    done = thalgpu("compare", source, "--config", out / "config.toml", "--out", out, "--workers", 1)
    assert done.exit_code == 0, done.err
    assert f"({N_BLOCKS} verified, not computed again)" in done.out
    dry = thalgpu("compare", source, "--config", out / "config.toml", "--out", tmp_path / "dry", "--dry-run")
    assert dry.exit_code == 0, dry.err
    assert f"{N_PERM} taken at random" in dry.out
    assert not (tmp_path / "dry").exists()


def test_a_second_run_verifies_everything_and_changes_no_byte(out, source, compare, tmp_path):
    copy = shutil.copytree(out, tmp_path / "copy")
    before = digests(copy)
    done = compare(source, copy)
    assert done.exit_code == 0, done.err
    assert f"({N_BLOCKS} verified, not computed again)" in done.out
    assert digests(copy) == before


def test_two_workers_write_the_same_bytes(out, source, compare, tmp_path):
    done = compare(source, tmp_path / "out", "--workers", 2)
    assert done.exit_code == 0, done.err
    assert digests(tmp_path / "out") == digests(out)


def test_another_comparison_in_the_folder_is_refused_until_it_may_be_overwritten(out, source, compare, tmp_path):
    copy = shutil.copytree(out, tmp_path / "copy")
    done = compare(source, copy, "--seed", 4)
    assert done.exit_code == 2
    assert "--overwrite" in done.err
    assert digests(copy) == digests(out)
    assert compare(source, copy, "--n-perm", 60, "--overwrite").exit_code == 0
    assert compare(source, tmp_path / "new", "--n-perm", 60).exit_code == 0
    assert digests(copy) == digests(tmp_path / "new")


def test_hemispheres_apart_are_compared_apart(gradients, compare, tmp_path):
    done = compare(gradients("separate"), tmp_path, "--n-perm", 40)
    assert done.exit_code == 0, done.err
    assert {path.name for path in tmp_path.glob("*results.h5")} == {"hemi-L_results.h5", "hemi-R_results.h5"}
    assert {row["map"][:6] for row in table(tmp_path / "summary.tsv")} == {"hemi-L", "hemi-R"}
    assert {row["hemisphere"] for row in table(tmp_path / "numbers.tsv")} == {"L", "R"}
    assert len(list(tmp_path.glob("*hemi-L*_stat-difference_statmap.nii.gz"))) == 3


def test_covariates_and_strata_change_what_is_compared(out, source, compare, cohort, tmp_path):
    rows = table(cohort / "participants.tsv")
    for i, row in enumerate(rows):
        row["site"] = f"s{(i // 3) % 2}"
    lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
    design = tmp_path / "participants.tsv"
    design.write_text("\n".join(lines) + "\n")
    done = compare(source, tmp_path / "age", "--covariates", "age,sex", "--n-perm", 40, design=design)
    assert done.exit_code == 0, done.err
    assert "covariates    age, sex" in done.out
    plain, adjusted = (contents(folder / "results.h5") for folder in (out, tmp_path / "age"))
    name = f"contrasts/{PAIRS[0]}-component-1/stat"
    assert np.abs(plain[name] - adjusted[name]).max() > 1e-3 * np.abs(plain[name]).max()
    done = compare(source, tmp_path / "site", "--blocks", "site", design=design)
    assert done.exit_code == 0, done.err
    strata = contents(tmp_path / "site" / "results.h5")
    assert strata[f"null/{PAIRS[0]}-range/stat"].shape == (36,)  # (2 of 4) in each of two sites
    np.testing.assert_array_equal(strata[name], plain[name])


def test_thalami_of_grayordinates_are_compared(people, thalgpu, compare, tmp_path):
    folder = people("cifti")
    inputs = ("--subjects", folder / "list.txt", "--n-components", K, "--workers", 1)
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "gradients")
    assert done.exit_code == 0, done.err
    done = compare(tmp_path / "gradients", tmp_path / "out", "--n-perm", 40, design=folder / "participants.tsv")
    assert done.exit_code == 0, done.err
    found = contents(tmp_path / "out" / "results.h5")
    (path,) = (tmp_path / "out").glob(f"contrast-{PAIRS[0]}_stat-difference_statmap.*.nii")
    values = nib.load(path).get_fdata(dtype=np.float32)
    assert values.shape == (K, len(found["features/kept"]))
    np.testing.assert_allclose(values[1], found[f"contrasts/{PAIRS[0]}-component-2/stat"], rtol=2**-23)


@pytest.mark.fault("kill -9 of the parent, a worker or all")
def test_a_killed_run_is_resumed_to_the_same_bytes(out, source, cohort, compare, tmp_path):
    command = ("compare", source, "--design", cohort / "participants.tsv", *TEST, "--out", tmp_path, "--workers", 2)
    process = subprocess.Popen(
        [sys.executable, "-m", "thalgpu", *map(str, command)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    for line in process.stderr:
        if re.search(r"\[1/\d\].* s$", line.rstrip()):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "results.h5").exists()
    done = compare(source, tmp_path)
    assert done.exit_code == 0, done.err
    assert re.search(r"\([1-9] verified", done.out)
    assert digests(tmp_path) == digests(out)


@pytest.mark.fault("kill -9 of the parent, a worker or all")
def test_blocks_that_a_run_killed_after_their_merge_left_behind_are_removed(out, source, compare, tmp_path):
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    whole = next((tmp_path / "blocks").glob("*-null.h5"))
    shutil.copy(whole, whole.with_name(whole.name.replace("-null.h5", "-block-0000000000.h5")))
    done = compare(source, tmp_path)
    assert done.exit_code == 0, done.err
    assert digests(tmp_path) == digests(out)


@pytest.mark.fault("SIGINT or SIGTERM")
def test_a_signal_stops_between_blocks_and_a_later_run_goes_on(out, source, compare, tmp_path, monkeypatch):
    real = compare_pipeline.run_compare_task

    def stopped(task):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(task)

    with monkeypatch.context() as patch:
        patch.setattr(compare_pipeline, "run_compare_task", stopped)
        done = compare(source, tmp_path)
    assert done.exit_code == 143, done.err
    assert "run the same command to go on" in done.out
    assert not (tmp_path / "results.h5").exists()
    again = compare(source, tmp_path)
    assert "(1 verified, not computed again)" in again.out
    assert digests(tmp_path) == digests(out)


def test_a_missing_record_is_an_error_or_left_out(source, compare, tmp_path):
    copy = shutil.copytree(source, tmp_path / "gradients")
    shutil.rmtree(copy / "sub-05")
    refused = compare(copy, tmp_path / "out")
    assert refused.exit_code == 4
    assert "05" in refused.err
    dropped = compare(copy, tmp_path / "out", "--missing", "drop", "--dry-run")
    assert dropped.exit_code == 0, dropped.err
    assert "subjects      11" in dropped.out


@pytest.mark.fault("damaged or hostile HDF5 record")
def test_a_damaged_record_is_named(source, compare, tmp_path):
    copy = shutil.copytree(source, tmp_path / "gradients")
    path = copy / "sub-05/func/sub-05_seg-thalamus_gradients.h5"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    done = compare(copy, tmp_path / "out")
    assert done.exit_code == 4, done.err
    assert path.name in done.err


def test_the_grid_of_randomise_is_refused(source, compare, tmp_path):
    done = compare(source, tmp_path / "out", "--tfce-grid", "randomise")
    assert done.exit_code == 2
    assert "exact, palm or nilearn" in done.err
