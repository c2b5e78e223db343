"""`thalgpu compare` with what users get wrong: one line with the remedy, the right exit code, and nothing written."""

import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.outputs.packing import pack_upper
from thalgpu.engine.outputs.sidecars import write_toml
from thalgpu.engine.outputs.store import write_record

N, SHAPE = 12, (4, 4, 4)
IDS = [f"{n:02d}" for n in range(1, N + 1)]
OPTIONS = {"approach": "dm", "graph": "dense", "n_components": 3, "alpha": 0.5, "diffusion_time": 0.0, "n_align": 3}


def write_gradients(out, options=OPTIONS, shape=SHAPE, ids=IDS):
    """What the command reads of an output folder of `thalgpu gradients`: affinities of smooth random profiles."""
    ijk = np.argwhere(np.ones(shape)).astype(np.int32)
    shared = np.random.default_rng(0).standard_normal((3, 30))
    for number, one in enumerate(ids):
        profiles = np.cos(ijk @ shared / 4) + 0.3 * np.random.default_rng(number + 1).standard_normal((len(ijk), 30))
        affinity = 1 - np.arccos(np.clip(np.corrcoef(profiles), -1, 1)) / np.pi
        folder = out / f"sub-{one}" / "func"
        folder.mkdir(parents=True)
        write_record(
            folder / f"sub-{one}_seg-thalamus_gradients.h5",
            {
                "affinity": pack_upper(affinity.astype(np.float32)),
                "covered": np.ones(len(ijk), np.uint8),
                "voxel_ijk": ijk,
            },
            {"participant_id": one},
            key=one,
        )
        image = nib.Nifti1Image(np.ones((*shape, 1), np.float32), np.diag([2.0, 2, 2, 1]))
        nib.save(image, folder / f"sub-{one}_seg-thalamus_stat-gradients_boldmap.nii.gz")
    write_toml(out / "config.toml", {"gradients": options})
    return out


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Twelve people in two groups of 64 voxels, their participants.tsv."""
    folder = tmp_path_factory.mktemp("study")
    write_gradients(folder / "out")
    rows = ["participant_id\tgroup\tage\tsite\tsame\tscanner\tcode"]
    for k, one in enumerate(IDS):
        group = "aaaaaabbbbbb"[k]
        rows.append(f"sub-{one}\t{group}\t{20 + 3 * k % 17}\ts{k % 2}\tx\t{1 + k % 3}\t{'ab'.index(group)}")
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def compare(thalgpu, study, tmp_path, monkeypatch):
    """The command on the study, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*options, gradients=study / "out", design=study / "participants.tsv"):
        return thalgpu("compare", gradients, "--design", design, "--n-perm", 30, "--workers", 1, *options)

    return run


def is_refused(done, exit_code, *words):
    """One line that says so, and nothing written."""
    assert done.exit_code == exit_code, done.err
    (line,) = done.err.strip().splitlines()
    for word in words:
        assert word in line
    return True


def test_a_dry_run_names_path_and_comparison_and_writes_nothing(compare, tmp_path):
    done = compare("--dry-run")
    assert done.exit_code == 0, done.err
    assert "direct" in done.out
    assert "a - b" in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def epsilon(tmp_path_factory):
    """Gradients of ε-graphs."""
    return write_gradients(tmp_path_factory.mktemp("epsilon"), options={**OPTIONS, "graph": "epsilon"})


def test_a_path_that_is_asked_for_and_cannot_be_had_is_named_with_what_is_done_instead(compare, epsilon):
    done = compare("--path", "exact", "--dry-run")
    assert "direct: exact was asked for; 64 voxels need no basis, so each mean is embedded from scratch" in done.out
    done = compare("--path", "exact", "--dry-run", gradients=epsilon)
    assert "direct: exact was asked for; the edges of an ε-graph change with the labels" in done.out


def test_the_reduced_path_of_epsilon_graphs_is_refused(compare, epsilon):
    assert is_refused(compare("--path", "reduced", gradients=epsilon), 2, "no reduced path", "leave --path out")


def test_a_dry_run_says_what_observed_groups_cost_besides(compare):
    done = compare("--dry-run")
    assert "minutes for 30 permutations:" in done.out
    assert "s for observed groups" in done.out


def test_few_degrees_of_freedom_are_warned_of(compare):
    done = compare("--covariates", "age,C(scanner)", "--dry-run")
    assert "warning: 12 subjects in 2 groups with 3 covariates leave 7 degrees of freedom" in done.out


def test_what_the_plan_warned_of_is_not_said_again_at_the_end(compare, monkeypatch):
    monkeypatch.setattr("thalgpu.engine.pipelines.compare_page.render_compare", lambda page: "a page")
    done = compare("--covariates", "age,C(scanner)", "--out", "compared")
    assert done.exit_code == 0, done.err
    assert done.out.count("leave 7 degrees of freedom") == 1


def test_errors_above_the_tolerance_are_warned_of_at_the_end(compare, monkeypatch):
    monkeypatch.setattr("thalgpu.engine.pipelines.compare_page.render_compare", lambda page: "a page")
    monkeypatch.setattr("thalgpu.engine.pipelines.compare_page.exceeded", lambda page: iter(["errors of maps"]))
    done = compare("--out", "compared")
    assert "warning: errors of maps\n" in done.out


def test_a_folder_of_something_else_is_not_compared(compare, study):
    assert is_refused(compare(gradients=study), 4, "config.toml", "--out of thalgpu gradients")


def test_an_unknown_column_is_named_beside_those_that_exist(compare):
    assert is_refused(compare("--group", "diagnosis"), 4, "'diagnosis'", "group, age, site")


def test_a_group_that_is_a_covariate_too_is_refused(compare):
    assert is_refused(compare("--covariates", "age,group"), 2, "leave it out of --covariates")
    assert is_refused(compare("--covariates", "C(group)"), 2, "leave it out of --covariates")


def test_a_covariate_that_tells_the_groups_apart_is_refused(compare):
    assert is_refused(compare("--covariates", "code"), 4, "rank deficient", "code")


@pytest.mark.parametrize(("option", "column"), [("--group", "same"), ("--covariates", "same")])
def test_a_column_with_one_value_is_refused_by_the_option_that_named_it(compare, option, column):
    assert is_refused(compare(option, column), 4, "all subjects have the same same, x", option)


def test_numbers_are_categories_where_they_are_said_to_be(compare):
    assert "covariates    scanner[2], scanner[3]" in compare("--covariates", "C(scanner)", "--dry-run").out
    assert "covariates    scanner\n" in compare("--covariates", "scanner", "--dry-run").out


def test_blocks_of_one_group_each_leave_nothing_to_exchange(compare):
    done = compare("--blocks", "group")
    assert is_refused(done, 4, "1 possible permutation", "--blocks that hold members of several groups")
    assert "sign-flip" not in done.err


@pytest.mark.parametrize("tolerance", ["0", "-1", "1.5", "nan"])
def test_an_impossible_tolerance_is_refused(compare, tolerance):
    assert is_refused(compare("--eig-tol", tolerance), 2, "eig_tol", "more than 0, at most 1")


def test_results_are_not_written_into_the_gradients(compare, study):
    assert is_refused(compare("--out", study / "out"), 2, "choose another --out")
