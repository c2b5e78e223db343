"""`thalgpu study` from files to report, on a small simulated study."""

import csv
import hashlib
import re
import shutil
from pathlib import Path

import pytest

_SAY_WHERE = ("config.toml", "report.html", "group_gradients/blocks/study.h5")
"""Files that name the output folder, or say how long something took."""
ARMS = ("gradients", "volumes", "thickness", "shape", "connectivity")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory, thalgpu):
    """Twelve people with everything, and few permutations; group gradients have tests of their own."""
    folder = tmp_path_factory.mktemp("study") / "cohort"
    done = thalgpu("simulate", "--study", folder, "--subjects", 12, "--timepoints", 80)
    assert done.exit_code == 0, done.err
    text = (folder / "study.toml").read_text()
    text = re.sub(r"(?m)^sensitivity = .*\n", "", text)
    text = text[: text.index("[arms.group_gradients]")].replace("components = [1, 2]", "components = [1]")
    (folder / "study.toml").write_text(re.sub(r"(?m)^n_perm = 2000", "n_perm = 60", text))
    return folder


@pytest.fixture(scope="module")
def finished(simulated, thalgpu):
    """The study's folder, after one run."""
    done = thalgpu("study", simulated / "study.toml", "--workers", 1)
    assert done.exit_code == 0, done.err
    return simulated / "study-out"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def digests(folder: Path) -> dict[str, str]:
    """Of all files but logs, which say when they were written."""
    files = (path for path in folder.rglob("*") if path.is_file() and "logs" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def only(simulated: Path, tmp_path: Path, arms: str, *, gradients: bool = False) -> Path:
    """A study file of some arms, beside the same inputs, and an output folder of its own."""
    text = (simulated / "study.toml").read_text().replace('out = "study-out"', f'out = "{tmp_path / "out"}"')
    first, rest = text[: text.index("[arms.gradients]")], text[text.index("[arms.gradients]") :]
    kept = rest[: rest.index("[arms.volumes]")] if gradients else ""
    path = simulated / f"only-{tmp_path.name}.toml"
    path.write_text(first + kept + arms)
    return path


def changed(simulated: Path, tmp_path: Path, old: str, new: str) -> Path:
    """The study file with a change, beside the same inputs, and an output folder of its own."""
    path = simulated / f"{tmp_path.name}.toml"
    text = (simulated / "study.toml").read_text().replace('out = "study-out"', f'out = "{tmp_path / "out"}"')
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_every_arm_is_tested_with_every_contrast(finished):
    rows = rows_of(finished / "results.tsv")
    contrasts = {"neuCLBP - HC", "nonneuCLBP - HC", "neuCLBP - nonneuCLBP", "group"}
    assert {row["contrast"] for row in rows} == contrasts
    assert len({row["arm"] for row in rows}) == len(ARMS)


def test_corrections_reach_further_and_further(finished):
    for row in rows_of(finished / "results.tsv"):
        assert float(row["p_fwe"]) <= float(row["p_arm"]) <= float(row["p_joint"]) <= 1


def test_all_arms_have_one_permutation_set(finished):
    said = {
        line
        for arm in ARMS
        for line in (finished / "tests" / arm / "config.toml").read_text().splitlines()
        if line.startswith(("n_perm", "seed"))
    }
    assert said == {"n_perm = 60", "seed = 0"}


def test_the_report_needs_no_network_and_names_every_arm(finished):
    page = (finished / "report.html").read_text()
    assert not re.search(r'(src|href)="(https?:)?//', page.replace('href="https://doi.org', ""))
    for arm in ARMS:
        assert f'id="arm-{arm}"' in page
    assert "simulated" in page


def test_runs_again_and_on_other_workers_change_no_byte(simulated, tmp_path, thalgpu):
    study = only(simulated, tmp_path, "[arms.volumes]\n[arms.group_gradients]\nn_perm = 10\n", gradients=True)
    outs = [tmp_path / name for name in ("alone", "together")]
    for out, workers in zip(outs, (1, 2), strict=True):
        done = thalgpu("study", study, "--out", out, "--workers", workers)
        assert done.exit_code == 0, done.err
    alone = digests(outs[0])
    assert thalgpu("study", study, "--out", outs[0], "--workers", 2).exit_code == 0
    again = digests(outs[0])
    assert {name for name in alone if again[name] != alone[name]} <= {"group_gradients/report.html"}  # says how long
    together = digests(outs[1])
    differing = {name for name in alone.keys() | together.keys() if alone.get(name) != together.get(name)}
    assert {name for name in differing if not name.endswith(_SAY_WHERE)} == set()


def test_who_lacks_a_measure_is_named_and_nobody_else_is_lost(simulated, tmp_path, thalgpu):
    copy = tmp_path / "cohort"
    shutil.copytree(simulated, copy, ignore=shutil.ignore_patterns("study-out", "*.toml"))
    (copy / "meshes" / "sub-02-L_Thal_first.vtk").write_text("# vtk DataFile Version 3.0\nnothing\n")
    text = (simulated / "study.toml").read_text()
    arms = text.index("[arms.gradients]")
    text = text[:arms] + "[arms.volumes]\n[arms.shape]\n"
    (copy / "study.toml").write_text(text)
    done = thalgpu("study", copy / "study.toml", "--workers", 1)
    assert done.exit_code == 3, done.err
    excluded = rows_of(copy / "study-out" / "excluded.tsv")
    assert [row["participant_id"] for row in excluded] == ["sub-02"]
    assert "left out: sub-02" in done.out
    assert len(rows_of(copy / "study-out" / "design.tsv")) == 11


def test_settings_that_changed_are_refused_and_overwritten_on_request(simulated, tmp_path, thalgpu):
    study = only(simulated, tmp_path, "[arms.volumes]\n[arms.thickness]\n")
    assert thalgpu("study", study).exit_code == 0
    study.write_text(study.read_text().replace("[arms.thickness]\n", 'icv = "residual"\n'))
    refused = thalgpu("study", study)
    assert refused.exit_code == 2
    assert "a study of other settings" in refused.err
    done = thalgpu("study", study, "--overwrite")
    assert done.exit_code == 0
    assert "tests of an earlier run were removed: tests/thickness" in done.out
    assert [path.name for path in (tmp_path / "out" / "tests").iterdir()] == ["volumes"]


def test_patients_are_tested_once_more_with_severity_as_a_covariate(simulated, tmp_path, thalgpu):
    study = only(simulated, tmp_path, "[arms.volumes]\n")
    study.write_text(study.read_text().replace("patients = ", 'sensitivity = "pain_intensity"\npatients = '))
    assert thalgpu("study", study, "--workers", 1).exit_code == 0
    config = (tmp_path / "out" / "tests-adjusted" / "volumes" / "config.toml").read_text()
    assert 'formula = "group + age + sex + icv + pain_intensity"' in config
    assert 'contrast = ["neuCLBP - nonneuCLBP"]' in config
    assert len(rows_of(tmp_path / "out" / "design_patients.tsv")) == 8
    assert "pain_intensity" in (tmp_path / "out" / "report.html").read_text()


@pytest.fixture(scope="module")
def odd(simulated, tmp_path_factory, thalgpu):
    """A study of groups 1, 2 and 3, of whom all patients are women, one has no ICV, and one is not in the table."""
    folder = tmp_path_factory.mktemp("odd") / "cohort"
    shutil.copytree(simulated, folder, ignore=shutil.ignore_patterns("study-out", "only-*", "func"))
    for number, name in enumerate(("nonneuCLBP", "neuCLBP", "HC")):
        for file in ("study.toml", "participants.tsv"):
            path = folder / file
            path.write_text(path.read_text().replace(name, str((2, 1, 3)[number])))
    rows = [line.split("\t") for line in (folder / "participants.tsv").read_text().splitlines()]
    for row in rows[1:]:
        row[3] = row[3] if row[1] == "3" else "F"
    (folder / "participants.tsv").write_text("".join("\t".join(row) + "\n" for row in rows if row[0] != "sub-11"))
    stats = folder / "freesurfer" / "sub-02" / "stats" / "aseg.stats"
    stats.write_text(re.sub(r"(?m)^# Measure EstimatedTotalIntraCranialVol.*\n", "", stats.read_text()))
    text = re.sub(r"(?m)^contrasts = .*\n", "", (folder / "study.toml").read_text())
    text = text[: text.index("[arms.gradients]")].replace("patients = ", 'sensitivity = "pain_intensity"\npatients = ')
    (folder / "study.toml").write_text(text + "[arms.volumes]\n")
    done = thalgpu("study", folder / "study.toml", "--workers", 1)
    assert done.exit_code == 3, done.err  # of the one without ICV
    return done.out, folder / "study-out"


def test_groups_of_numbers_are_names(odd):
    assert {row["contrast"] for row in rows_of(odd[1] / "results.tsv")} == {
        "`1` - `2`",
        "`1` - `3`",
        "`2` - `3`",
        "group",
    }


def test_a_covariate_that_is_the_same_in_all_patients_is_left_out_with_a_remark(odd):
    said, out = odd
    assert "sex is F for all patients" in said
    assert (
        'formula = "C(group) + age + icv + pain_intensity"' in (out / "tests-adjusted/volumes/config.toml").read_text()
    )
    assert {row["n"] for row in rows_of(out / "severity.tsv")} == {"6"}


def test_who_has_no_icv_is_named_where_volumes_are_adjusted_for_it(odd):
    excluded = rows_of(odd[1] / "excluded.tsv")
    assert [(row["participant_id"], "icv" in row["reason"]) for row in excluded] == [("sub-02", True)]


def test_who_is_in_the_list_but_not_in_the_table_is_named(odd):
    assert "without a row in participants.tsv: sub-11" in odd[0]


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ('covariates = ["age", "sex"]', 'covariates = ["aeg"]', 4, "no column 'aeg'"),
        ('order = ["neuCLBP", "nonneuCLBP", "HC"]', 'order = ["neuCLBP", "nobody"]', 4, "nobody is in the group"),
        ('column = "group"', 'column = "groups"', 4, "no column 'groups'"),
        ('thalamus = "thalamus.nii.gz"', 'thalamus = "thalamus.nii.gz:7"', 4, "7"),
        ('"neuCLBP - HC"', '"neuCLBP - HD"', 4, "HD"),
        ("[arms.volumes]", 'test = ["thalamusX"]\n[arms.volumes]', 4, "unknown setting 'test'"),
        ('atlas = "cortex_parcels.nii.gz"', 'test = ["thalamusX"]', 4, "no 'thalamusX' to test"),
        ('atlas = "cortex_parcels.nii.gz"', 'cortex = "cortex_parcels.nii.gz"\ntest = ["thalamus"]', 4, "no maps of"),
        ('severity = ["painDETECT"', 'severity = ["age"', 4, "age is a covariate, too"),
        ('severity = ["painDETECT"', 'severity = ["NeuPSIG"', 4, "must be numbers"),
        ("[clinical]", "whole = true\n[clinical]", 4, "whole speaks of blocks"),
        ("[clinical]", 'blocks = ["group"]\n[clinical]', 4, "1 possible permutation"),
        ("n_perm = 60", "n_perm = 1", 2, "n_perm 1 is not possible"),
        ('order = ["neuCLBP", "nonneuCLBP", "HC"]', 'order = ["HC"]', 4, "one group only"),
    ],
)
def test_wrong_settings_end_in_one_line(simulated, tmp_path, thalgpu, old, new, code, words):
    done = thalgpu("study", changed(simulated, tmp_path, old, new), "--dry-run")
    assert done.exit_code == code
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_participants_without_any_group_end_in_one_line(simulated, tmp_path, thalgpu):
    copy = shutil.copytree(simulated, tmp_path / "cohort", ignore=shutil.ignore_patterns("study-out", "only-*", "func"))
    table = copy / "participants.tsv"
    table.write_text(re.sub(r"\b(non)?neuCLBP\b|\bHC\b", "n/a", table.read_text()))
    study = copy / "study.toml"
    study.write_text(re.sub(r"(?m)^(order|contrasts|patients) = .*\n", "", study.read_text()))
    done = thalgpu("study", study, "--dry-run")
    assert done.exit_code == 4
    assert "nobody has a group" in done.err


def test_a_dry_run_writes_nothing(simulated, tmp_path, thalgpu):
    study = changed(simulated, tmp_path, "seed = 0", "seed = 1")
    done = thalgpu("study", study, "--dry-run")
    assert done.exit_code == 0, done.err
    assert "28" not in done.out.splitlines()[1]
    assert not (tmp_path / "out").exists()


def test_init_writes_a_file_that_explains_itself(tmp_path, thalgpu):
    path = tmp_path / "study.toml"
    assert thalgpu("study", path, "--init").exit_code == 0
    assert "[arms.gradients]" in path.read_text()
    assert thalgpu("study", path, "--init").exit_code == 2
