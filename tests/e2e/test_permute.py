"""`thalgpu permute` from gradients and a table of participants to maps, as a user meets it."""

import csv
import hashlib
import json
import shutil
from dataclasses import fields
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest

from thalgpu import __version__, permutation_test
from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.permutation_test import PermutationTest
from thalgpu.engine.inputs.subject_maps import SubjectMaps, settle_all
from thalgpu.engine.pipelines import permute_page
from thalgpu.engine.pipelines.subject_maps import read_subject_maps

T, F = "patientsMinusControls", "group"
N_PERM = 300
MODEL = ("--formula", "group + age", "--contrast", "patients - controls", "--f-test", "group", "--seed", 3)
TESTS = ("--n-perm", N_PERM, "--tfce", "--cluster-threshold", 2)
COUNTED = ("p", "p_fdr", "p_fwe", "p_fwe_joint", "tfce", "p_tfce", "p_fdr_tfce", "p_fwe_tfce", "p_fwe_joint_tfce")
CLUSTERS = tuple(f"{before}cluster_{kind}" for kind in ("extent", "mass") for before in ("", "p_fwe_", "p_fwe_joint_"))
EFFECT = {T: "hedges_g", F: "partial_eta_squared"}
MAPS = {  # what the interface calls each dataset among the files
    "p": "p", "p_fwe": "pfwe", "p_fdr": "pfdr", "p_fwe_joint": "pfwejoint", "tfce": "tfce", "p_tfce": "tfcep",
    "p_fwe_tfce": "tfcepfwe", "p_fdr_tfce": "tfcepfdr", "p_fwe_joint_tfce": "tfcepfwejoint",
    "cluster_extent": "clusterextent", "p_fwe_cluster_extent": "clusterextentpfwe",
    "p_fwe_joint_cluster_extent": "clusterextentpfwejoint", "cluster_mass": "clustermass",
    "p_fwe_cluster_mass": "clustermasspfwe", "p_fwe_joint_cluster_mass": "clustermasspfwejoint",
}  # fmt: skip


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every file but the lock."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != ".thalgpu.lock")
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def contents(path: Path) -> dict[str, np.ndarray]:
    """Every dataset of a record."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[:]}) if isinstance(item, h5py.Dataset) else None)
    return found


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t"))


@pytest.fixture(scope="module")
def people(tmp_path_factory, thalgpu) -> Path:
    """Ten simulated people with a strong difference between their groups; never written to."""
    folder = tmp_path_factory.mktemp("people") / "cohort"
    options = ("--subjects", 10, "--groups", "patients,controls", "--timepoints", 60, "--effect", 3, "--noise", 0.5)
    done = thalgpu("simulate", folder, *options)
    assert done.exit_code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def gradients(tmp_path_factory, thalgpu, people):
    """Their gradients, of both hemispheres together or apart."""

    def of(hemisphere: str) -> Path:
        out = tmp_path_factory.mktemp("gradients") / "out"
        regions = ("--thalamus", people / "thalamus.nii.gz", "--cortex", people / "cortex_parcels.nii.gz")
        inputs = ("--subjects", people / "list.txt", *regions, "--n-components", 2, "--workers", 1)
        done = thalgpu("gradients", *inputs, "--hemisphere", hemisphere, "--out", out)
        assert done.exit_code == 0, done.err
        return out

    return of


@pytest.fixture(scope="module")
def maps(gradients) -> Path:
    return gradients("both")


@pytest.fixture(scope="module")
def bare(thalgpu):
    """The command without the page's figures, which take longer than all else."""

    def run(*arguments: object):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                permute_page,
                "render_permute",
                lambda page: "".join(f"<h2>{one.contrast.name} {one.part}</h2>" for one in page.contrasts),
            )
            return thalgpu("permute", *arguments)

    return run


@pytest.fixture(scope="module")
def permute(bare, people):
    """The test of the groups on one worker, and whatever else is asked for."""

    def run(source: Path, out: Path, *options: object):
        design = ("--design", people / "participants.tsv")
        return bare(source, *design, *MODEL, *TESTS, "--out", out, "--workers", 1, *options)

    return run


@pytest.fixture(scope="module")
def out(tmp_path_factory, thalgpu, people, maps) -> Path:
    """The test of the first component, all of it."""
    folder = tmp_path_factory.mktemp("permute") / "out"
    design = ("--design", people / "participants.tsv")
    done = thalgpu("permute", maps, *design, *MODEL, *TESTS, "--save-permutations", "--out", folder, "--workers", 1)
    assert done.exit_code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def read(maps) -> SubjectMaps:
    (found,) = settle_all(read_subject_maps([maps]))
    return found


@pytest.fixture(scope="module")
def design(people) -> np.ndarray:
    """Columns: controls, patients, age."""
    rows = table(people / "participants.tsv")
    age = np.array([float(row["age"]) for row in rows])
    groups = [[row["group"] == name for row in rows] for name in ("controls", "patients")]
    return np.column_stack([*np.array(groups, dtype=float), age - age.mean()])


@pytest.fixture(scope="module")
def expected(read, design) -> PermutationTest:
    """The same test of the same arrays by one call."""
    touching = (volume_neighbours(read.space.ijk, connectivity) for connectivity in (6, 26))
    weights, options = [-1.0, 1.0, 0.0], {"tfce": True, "cluster_threshold": 2.0, "seed": 3}
    around, clusters = touching
    return permutation_test(
        read.values, design, weights, f_tests=[weights], n_perm=N_PERM, adjacency=around, cluster_adjacency=clusters,
        **options,
    )  # fmt: skip


def test_every_result_is_that_of_the_arrays(out, expected):
    found = contents(out / "results.h5")
    names = {field.name for field in fields(PermutationTest)}
    for row, contrast in enumerate((T, F)):
        for name in ("stat", *COUNTED, *CLUSTERS):
            if name in names and getattr(expected, name) is not None:
                one = getattr(expected, name)[row]
                np.testing.assert_array_equal(found[f"contrasts/{contrast}/{name}"], one, err_msg=name)
        for ending in ("", "_low", "_high"):
            effect = found[f"contrasts/{contrast}/{EFFECT[contrast]}{ending}"]
            np.testing.assert_array_equal(effect, getattr(expected, f"effect{ending}")[row])
        for measure, maxima in expected.null_max.items():
            np.testing.assert_array_equal(found[f"null/{contrast}/{measure}"], maxima[row], err_msg=measure)


def test_results_are_laid_out_as_the_interface_says(out, read):
    found = contents(out / "results.h5")
    n = len(read.kept)
    expected = {f"null/{one}/{m}" for one in (T, F) for m in ("stat", "tfce", "cluster_extent", "cluster_mass")}
    for one, effect in EFFECT.items():
        effects = {f"{effect}{ending}" for ending in ("", "_low", "_high")}
        expected |= {f"contrasts/{one}/{name}" for name in ("stat", *COUNTED, *CLUSTERS, *effects)}
    expected |= {f"contrasts/{T}/estimate", f"permutations/{T}", f"permutations/{F}"}
    assert set(found) == expected | {"features/kept", "features/voxel_ijk"}
    assert {array.shape for name, array in found.items() if name.startswith("contrasts")} == {(n,)}
    assert {array.shape for name, array in found.items() if name.startswith("null")} == {(N_PERM,)}
    np.testing.assert_array_equal(found["features/voxel_ijk"], read.space.ijk)


def test_the_first_maximum_is_that_of_the_subjects_as_they_are(out):
    found = contents(out / "results.h5")
    assert found[f"null/{T}/stat"][0] == found[f"contrasts/{T}/stat"].max()
    assert found[f"null/{F}/tfce"][0] == found[f"contrasts/{F}/tfce"].max()


def test_saved_permutations_are_from_1_and_the_first_is_the_identity(out):
    rows = contents(out / "results.h5")[f"permutations/{T}"]
    assert rows.shape == (N_PERM, 10)
    np.testing.assert_array_equal(rows[0], np.arange(1, 11))
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(1, 11), (N_PERM, 1)))


def test_a_saved_permutation_gives_its_maximum_by_least_squares(out, read, design):
    found = contents(out / "results.h5")
    nuisance = np.column_stack([np.ones(10), design[:, 2]])
    fitted = nuisance @ np.linalg.lstsq(nuisance, read.values, rcond=None)[0]
    for number in (0, 1, 7, N_PERM - 1):
        data = fitted.copy()
        data[found[f"permutations/{T}"][number] - 1] += read.values - fitted  # Freedman and Lane: (P'Rz + Hz) Y
        beta, rss = np.linalg.lstsq(design, data, rcond=None)[:2]
        spread = np.linalg.inv(design.T @ design)[:2, :2] @ [-1, 1] @ [-1, 1]
        t = (beta[1] - beta[0]) / np.sqrt(rss / 7 * spread)
        assert t.max() == pytest.approx(found[f"null/{T}/stat"][number], rel=1e-9)  # other sums of the same terms


def test_every_map_holds_its_dataset_on_the_grid_of_the_gradients(out, people):
    mask = nib.load(people / "thalamus.nii.gz")
    inside, found = mask.get_fdata() > 0, contents(out / "results.h5")
    for contrast, statistic in ((T, "t"), (F, "f")):
        effect = {"hedges_g": "hedgesg", "partial_eta_squared": "partialetasq"}[EFFECT[contrast]]
        names = {
            "stat": statistic,
            EFFECT[contrast]: effect,
            **MAPS,
            **({"estimate": "estimate"} if contrast == T else {}),
        }
        for dataset, stat in names.items():
            image = nib.load(out / f"contrast-{contrast}_stat-{stat}_statmap.nii.gz")
            values = image.get_fdata(dtype=np.float32)
            np.testing.assert_allclose(image.affine, mask.affine)
            expected, is_p = found[f"contrasts/{contrast}/{dataset}"], dataset == "p" or dataset.startswith("p_")
            np.testing.assert_allclose(values[inside], expected, rtol=2**-23)  # the last bit of a float32
            assert not is_p or (values[inside] <= expected).all()
            assert set(values[~inside]) == {1.0 if is_p else 0.0}, stat
        written = {path.name for path in out.glob(f"contrast-{contrast}_stat-*_statmap.nii.gz")}
        assert written == {f"contrast-{contrast}_stat-{stat}_statmap.nii.gz" for stat in names.values()}


def test_every_map_has_a_sidecar_with_its_test_and_the_versions(out):
    for image in out.glob("*_statmap.nii.gz"):
        sidecar = json.loads(Path(str(image).replace(".nii.gz", ".json")).read_text())
        assert f"_stat-{sidecar['StatisticName']}_" in image.name
        assert sidecar["DegreesOfFreedom"] == ([7] if sidecar["Statistic"] == "t" else [1, 7])
        assert sidecar["Permutations"] == N_PERM
        assert sidecar["Options"]["seed"] == 3
        assert sidecar["SoftwareVersions"]["thalgpu"] == __version__
        assert sidecar["SoftwareVersions"]["numpy"] == np.__version__
    t = json.loads((out / f"contrast-{T}_stat-t_statmap.json").read_text())
    assert (t["Name"], t["Statistic"], t["Weights"]) == ("patients - controls", "t", [[-1.0, 1.0, 0.0]])


def test_the_record_says_what_it_was_made_from(out, people, maps, design):
    with h5py.File(out / "results.h5") as file:
        about = {name: file.attrs[name] for name in file.attrs}
    assert json.loads(about["subjects"]) == [f"{n:02d}" for n in range(1, 11)]
    np.testing.assert_array_equal(json.loads(about["design"]), design)
    hashed = {one["File"]: one["SHA256"] for one in json.loads(about["inputs"])}
    record = maps / "sub-04/func/sub-04_seg-thalamus_desc-aligned_gradients.h5"
    for path in (people / "participants.tsv", record):
        assert hashed[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_summary_has_a_line_a_contrast(out):
    found = contents(out / "results.h5")
    lines = table(out / "summary.tsv")
    assert [(line["contrast"], line["statistic"], line["df1"], line["df"]) for line in lines] == [
        ("patients - controls", "t", "n/a", "7"),
        ("group", "f", "1", "7"),
    ]
    for line, contrast in zip(lines, (T, F), strict=True):
        p = found[f"contrasts/{contrast}/p_fwe_tfce"]
        assert (line["by"], line["n_perm"]) == ("p_fwe_tfce", str(N_PERM))
        assert float(line["largest"]) == pytest.approx(found[f"contrasts/{contrast}/stat"].max(), rel=1e-7)  # 8 digits
        assert float(line["smallest_p"]) == pytest.approx(p.min(), rel=1e-7)
        assert float(line["p_low"]) < p.min() < float(line["p_high"])
        assert int(line["n_significant"]) == (p <= 0.05).sum()


def test_the_page_names_contrasts_permutations_and_files(out, people):
    page = (out / "report.html").read_text()
    for words in ("patients - controls", "group + age", f"{N_PERM}", "data:image/png;base64", "participants.tsv"):
        assert words in page
    assert "<script" not in page


def test_the_folder_is_a_derivative_with_its_options(out, thalgpu, maps, tmp_path):
    description = json.loads((out / "dataset_description.json").read_text())
    assert (description["DatasetType"], description["GeneratedBy"][0]["Name"]) == ("derivative", "thalgpu")
    arguments = ("--config", out / "config.toml", "--out", tmp_path / "out")
    again = thalgpu("permute", maps, *arguments, "--dry-run", "-v")
    assert again.exit_code == 0, again.err
    assert "patients - controls (t)" in again.out
    assert "group (f)" in again.out
    assert not (tmp_path / "out").exists()


def test_a_second_run_verifies_everything_and_changes_no_byte(out, people, maps, thalgpu):
    before = digests(out)
    design = ("--design", people / "participants.tsv")
    done = thalgpu("permute", maps, *design, *MODEL, *TESTS, "--save-permutations", "--out", out, "--workers", 2)
    assert done.exit_code == 0, done.err
    assert "(3 verified, not computed again)" in done.out
    assert " t(7) " in done.out
    assert " F(1, 7) " in done.out
    assert digests(out) == before


@pytest.mark.parametrize(
    "options",
    [
        ("--n-perm", 200),
        ("--seed", 4),
        ("--two-sided",),
        ("--tail", "gamma"),
        ("--component", 2),
        ("--formula", "group"),
    ],
)
def test_another_test_in_the_same_folder_is_refused_and_the_folder_stays_as_it_is(out, permute, maps, options):
    before = digests(out)
    done = permute(maps, out, *options)
    assert done.exit_code == 2
    assert "holds another test" in done.err
    assert "--overwrite" in done.err
    assert digests(out) == before


def test_overwriting_leaves_what_a_new_folder_would_hold(out, permute, maps, tmp_path):
    copy = shutil.copytree(out, tmp_path / "copy")
    other = ("--contrast", "controls - patients", "--n-perm", 150, "--component", 2)
    assert permute(maps, copy, *other, "--overwrite").exit_code == 0
    assert permute(maps, tmp_path / "new", *other).exit_code == 0
    assert digests(copy) == digests(tmp_path / "new")


def test_another_tail_is_fitted_to_the_same_permutations_without_doing_them_again(out, permute, maps, tmp_path):
    copy, other = shutil.copytree(out, tmp_path / "copy"), ("--tail", "gamma", "--fdr", "bky")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("thalgpu.engine.pipelines.permute.run_block_task", lambda task: 1 / 0)
        done = permute(maps, copy, *other, "--overwrite")
    assert done.exit_code == 0, done.err
    assert "(3 verified, not computed again)" in done.out
    assert permute(maps, tmp_path / "new", *other).exit_code == 0
    assert digests(copy) == digests(tmp_path / "new")
    assert digests(copy) != digests(out)


def test_an_overwriting_run_that_is_stopped_leaves_no_result_of_the_earlier_test(out, permute, maps, tmp_path):
    copy = shutil.copytree(out, tmp_path / "copy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("thalgpu.engine.pipelines.permute.run_block_task", lambda task: 1 / 0)
        assert permute(maps, copy, "--seed", 5, "--overwrite").exit_code == 1
    assert not [*copy.glob("*_statmap.*"), *copy.glob("*results.h5"), *copy.glob("*.tsv"), *copy.glob("report.html")]


def test_results_that_are_no_longer_asked_for_are_removed(out, permute, maps, tmp_path):
    copy = shutil.copytree(out, tmp_path / "copy")
    (copy / "contrast-older_stat-t_statmap.nii.gz").write_bytes(b"of an earlier version")
    done = permute(maps, copy)  # the permutations are no longer saved
    assert done.exit_code == 0, done.err
    assert not (copy / "contrast-older_stat-t_statmap.nii.gz").exists()
    assert not [name for name in contents(copy / "results.h5") if name.startswith("permutations")]


@pytest.mark.parametrize("extra", [(), ("--overwrite",)])
def test_the_folder_of_another_command_is_refused_and_left_alone(permute, maps, extra):
    before = digests(maps)
    done = permute(maps, maps, *extra)
    assert done.exit_code == 2
    assert "another command" in done.err
    assert digests(maps) == before


def test_hemispheres_and_components_are_parts_with_joint_p_values(gradients, permute, tmp_path):
    source = gradients("separate")
    done = permute(source, tmp_path, "--component", 1, "--component", 2)
    assert done.exit_code == 0, done.err
    names = [f"hemi-{side}_component-{k}" for side in "LR" for k in (1, 2)]
    found = {name: contents(tmp_path / f"{name}_results.h5") for name in names}
    assert not (tmp_path / "results.h5").exists()
    for contrast in (T, F):
        for measure, suffix in (("stat", ""), ("tfce", "_tfce"), ("cluster_mass", "_cluster_mass")):
            null = np.max([found[name][f"null/{contrast}/{measure}"] for name in names], axis=0)
            for name in names:
                value, own = (found[name][f"{group}/{contrast}/{measure}"] for group in ("contrasts", "null"))
                for maxima, p in ((own, f"p_fwe{suffix}"), (null, f"p_fwe_joint{suffix}")):
                    reached = (maxima[:, None] >= value * (1 - 1e-9 * np.sign(value))).mean(axis=0)  # ties are ties
                    np.testing.assert_array_equal(found[name][f"contrasts/{contrast}/{p}"], reached)
    for name in names:
        assert (tmp_path / f"{name}_contrast-{T}_stat-tfcepfwejoint_statmap.nii.gz").is_file()
    assert [line["map"] for line in table(tmp_path / "summary.tsv")] == names * 2
    assert f"<h2>group {names[3]}</h2>" in (tmp_path / "report.html").read_text()


def test_every_number_of_workers_gives_the_same_bytes(out, permute, maps, tmp_path):
    results = {}
    for workers in (1, 2, 3):
        folder = tmp_path / str(workers)
        done = permute(maps, folder, "--workers", workers, "--save-permutations")
        assert done.exit_code == 0, done.err
        results[workers] = digests(folder)
    assert results[1] == results[2] == results[3]
    numbers = [name for name in results[1] if name.endswith((".h5", ".nii.gz", ".json", ".tsv"))]
    assert len(numbers) > 50
    assert {name: results[1][name] for name in numbers} == {name: digests(out)[name] for name in numbers}


def test_saved_permutations_can_be_given_back(out, permute, maps, tmp_path):
    found = contents(out / "results.h5")
    np.savetxt(tmp_path / "permutations.csv", found[f"permutations/{T}"], fmt="%d", delimiter=",")
    done = permute(maps, tmp_path / "out", "--permutations", tmp_path / "permutations.csv", "--save-permutations")
    assert done.exit_code == 0, done.err
    again = contents(tmp_path / "out/results.h5")
    assert set(again) == set(found)
    for name, array in found.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


def test_stopping_early_takes_as_few_with_any_workers_and_leaves_no_block_behind(bare, people, maps, tmp_path):
    model = ("--design", people / "participants.tsv", "--formula", "age", "--contrast", "age", "--stop-after", 1)
    results = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        done = bare(maps, *model, "--n-perm", 5000, "--out", folder, "--workers", workers)
        assert done.exit_code == 0, done.err
        assert sorted(path.name for path in (folder / "blocks").iterdir()) == ["null.h5", "problem.h5"]
        results.append(digests(folder))
    assert results[0] == results[1]
    assert int(table(tmp_path / "1/summary.tsv")[0]["n_perm"]) < 5000


def test_progress_and_results_are_json_lines_on_request(permute, maps, tmp_path):
    done = permute(maps, tmp_path, "--n-perm", 120, "--log-json")
    assert done.exit_code == 0, done.err
    told = [json.loads(line) for line in done.err.splitlines()]
    steps = [(one["done"], one["total"]) for one in told if one["event"] == "step"]
    assert steps[:2] == [(1, 2), (2, 2)]
    results = [one for one in told if one["event"] == "result"]
    assert [one["contrast"] for one in results] == ["patients - controls", "group"]


def test_a_dry_run_prints_the_plan_and_writes_nothing(permute, maps, tmp_path):
    done = permute(maps, tmp_path / "out", "--dry-run")
    assert done.exit_code == 0, done.err
    for line in ("subjects      10", "blocks        3", "300 taken at random"):
        assert line in done.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--design", "missing.tsv"], 4, "missing.tsv"),
        (["--formula", "group + weight"], 4, "weight"),
        (["--contrast", "patients - nobody"], 4, "nobody"),
        (["--component", 9], 4, "9"),
        (["--tfce-connectivity", 7], 2, "6, 18 or 26"),
        (["--contrasts", "c.con"], 2, "--contrasts"),
        (["--memory", "1MB"], 5, "--memory"),
        (["--gpus", 64], 5, "--gpus 64"),
        (["--n-perm", "-1"], 2, "--n-perm"),
        (["--atlas", "nowhere.nii.gz"], 4, "nowhere.nii.gz"),
        (["--surface", "lh.surf.gii"], 4, "no mesh is needed"),
        (["--permutations", "nothing.csv"], 4, "nothing.csv"),
    ],
)
def test_wrong_input_is_one_line_with_the_right_code(tmp_path, permute, maps, arguments, code, words):
    done = permute(maps, tmp_path / "out", *arguments)
    assert done.exit_code == code, done.err
    assert words in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()
