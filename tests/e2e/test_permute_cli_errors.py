"""`thalgpu permute` with what users get wrong: one line with the remedy, the right exit code, and nothing written."""

import os
from pathlib import Path

import numpy as np
import pytest

from thalgpu.engine.pipelines.permute_folder import resolved_options
from thalgpu.engine.pipelines.permute_request import PermuteRequest

N = 12
IDS = [f"sub-{n:02d}" for n in range(1, N + 1)]
MODEL = ("--formula", "group + age", "--contrast", "a - b")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A table of six features of twelve people in two groups, and their participants.tsv."""
    folder = tmp_path_factory.mktemp("study")
    values = np.random.default_rng(1).standard_normal((N, 6))
    header = "\t".join(["participant_id", *(f"f{k}" for k in range(6))])
    rows = ["\t".join([one, *map(str, row)]) for one, row in zip(IDS, values, strict=True)]
    (folder / "maps.tsv").write_text("\n".join([header, *rows]))
    people = [f"{one}\t{'aaaaaabbbbbb'[k]}\t{20 + 3 * k % 17}\tb{k // 3}\t1" for k, one in enumerate(IDS)]
    (folder / "participants.tsv").write_text("\n".join(["participant_id\tgroup\tage\tfamily\tall", *people]))
    np.save(folder / "maps.npy", values)
    return folder


@pytest.fixture
def permute(thalgpu, study, tmp_path, monkeypatch):
    """The command on the study's table, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*options, maps=study / "maps.tsv", model=MODEL):
        design = ("--design", study / "participants.tsv")
        return thalgpu("permute", maps, *design, *model, "--n-perm", 40, "--gpus", 0, "--workers", 1, *options)

    return run


def refused(done, code, *words):
    """Whether a command ended with one readable line, its remedy behind the dash."""
    lines = done.err.strip().splitlines()
    return (
        done.exit_code == code
        and len(lines) == 1
        and lines[0].startswith("error: ")
        and " — " in lines[0]
        and all(word in lines[0] for word in words)
    )


@pytest.mark.parametrize("option", ["--formula", "--mask", "--surface", "--atlas", "--blocks", "--variance-groups"])
def test_an_empty_value_is_refused_and_not_taken_for_none(permute, option):
    done = permute(option, "")
    assert refused(done, 2, f"{option} is empty"), done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--whole",), ("--whole speaks of --blocks",)),
        (("--surface", "lh.surf.gii"), ("--surface", "arrays and tables")),
        (("--atlas", "a.nii"), ("--atlas", "arrays and tables")),
        (("--mask", "m.nii"), ("--mask",)),
        (("--tfce",), ("--tfce", "images")),
        (("--cluster-threshold", 2), ("--cluster-threshold", "images")),
        (("--tfce-connectivity", 7), ("--tfce-connectivity 7", "6, 18 or 26")),
        (("--permutations", "p.csv", "--sign-flip"), ("--sign-flip",)),
        (("--variance-groups", "group", "--pearson"), ("--pearson",)),
        (("--statistic-scale", "z", "--pearson"), ("pearson",)),
        (("--tfce-grid", "palm"), ("tfce_grid", "tfce")),
        (("--variance-groups", "group", "--method", "dekker"), ("Dekker",)),
    ],
)
def test_options_that_cannot_be_meant_are_usage_errors(permute, options, words):
    done = permute(*options)
    assert refused(done, 2, *words), done.err
    assert not Path("thalgpu-permute").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--permutations", "absent.csv"), ("absent.csv", "cannot be opened")),
        (("--permutations", "."), ("it is a folder",)),
        (("--permutations", "/dev/null"), ("a pipe or device",)),
        (("--blocks", "family", "--whole", "--formula", "group"), ("3 in 'b0'",)),
        (("--blocks", "all,family", "--whole"), ("tree", "--whole")),
        (("--permutations", "ones.csv"), ("no permutation but the identity",)),
        (("--config", "absent.toml"), ("absent.toml",)),
    ],
)
def test_files_and_columns_that_cannot_be_used_say_what_to_do(permute, study, options, words):
    if "'b0'" in words[0]:
        table = (study / "participants.tsv").read_text().replace("\tb3\t", "\tb2\t", 1)
        Path("people.tsv").write_text(table)
        options = (*options, "--design", "people.tsv")
    Path("ones.csv").write_text(3 * (" ".join(map(str, range(1, N + 1))) + "\n"))
    done = permute(*options)
    assert refused(done, 4, *words), done.err
    assert not Path("thalgpu-permute").exists()


def test_an_error_is_one_line_whatever_the_name_of_the_file(permute):
    done = permute(maps="no\nsuch.tsv")
    assert refused(done, 4, "no such.tsv"), done.err


def test_a_path_that_is_no_text_is_read_and_written_about(permute, study):
    odd = Path(os.fsdecode(b"maps-\xff.tsv"))
    odd.write_bytes((study / "maps.tsv").read_bytes())
    done = permute(maps=odd)
    assert done.exit_code == 0, done.err
    assert "maps-?.tsv" in Path("thalgpu-permute", "config.toml").read_text()


def test_subjects_of_the_design_that_are_all_alike_are_refused(permute, study):
    alike = [f"{one}\t{int(k == N - 1)}" for k, one in enumerate(IDS)]
    Path("alike.tsv").write_text("\n".join(["participant_id\tf", *alike]))
    people = (study / "participants.tsv").read_text().splitlines()[:-1]
    Path("people.tsv").write_text("\n".join(people))
    done = permute("--design", "people.tsv", "--missing", "drop", maps="alike.tsv")
    assert refused(done, 4, "none of 1 features has values that differ between the 11 subjects"), done.err


def test_maps_of_nobody_in_the_design_do_not_matter(permute, study):
    """The last participant, in no row, has no number at one feature and alone differs at another."""
    header, *rows = (study / "maps.tsv").read_text().splitlines()
    cells = [row.split("\t") for row in rows]
    for row in cells:
        row[2] = "7"
    cells[-1][1:3] = ["nan", "8"]
    Path("maps.tsv").write_text("\n".join([header, *map("\t".join, cells)]))
    people = (study / "participants.tsv").read_text().splitlines()[:-1]
    Path("people.tsv").write_text("\n".join(people))
    done = permute("--design", "people.tsv", "--missing", "drop", maps="maps.tsv")
    assert done.exit_code == 0, done.err
    assert "1 of 6 features are constant, and are not tested" in done.out
    refusal = permute(maps="maps.tsv")
    assert refused(refusal, 4, "'nan' in column 'f0' is not a finite number (", "maps.tsv:13)"), refusal.err


def test_a_tail_fitted_to_few_permutations_is_remarked_on(permute):
    done = permute("--tail", "gamma", "--n-perm", 30, "--dry-run")
    assert "warning: a tail is fitted to 30 permutations" in done.out
    assert "no p-value can be below" not in done.out.split("warning")[1]


def test_a_folder_whose_name_is_too_long_is_a_resource_error(permute):
    done = permute("--out", "x" * 300)
    assert refused(done, 5, "File name too long"), done.err


def test_a_configuration_file_may_begin_with_a_byte_order_mark_and_spell_names_as_the_command_line(permute):
    Path("options.toml").write_bytes("\ufeff[permute]\nn-perm = 30\ntfce-H = 3.0\n".encode())
    done = permute("--config", "options.toml")
    assert refused(done, 2, "tfce_h is given, but not tfce"), done.err


def test_the_configuration_of_a_run_does_the_same_test_from_anywhere(thalgpu, study, tmp_path, monkeypatch):
    monkeypatch.chdir(study)
    out = tmp_path / "out"
    design = ("--design", "participants.tsv", *MODEL)
    first = thalgpu("permute", "maps.tsv", *design, "--n-perm", 40, "--gpus", 0, "--workers", 1, "--out", out)
    assert first.exit_code == 0, first.err
    monkeypatch.chdir(tmp_path)
    again = thalgpu("permute", "--config", out / "config.toml", "--out", out, "--gpus", 0, "--workers", 1)
    assert again.exit_code == 0, again.err
    assert "(1 verified, not computed again)" in again.out
    other = ("--config", out / "config.toml", "--out", out, "--gpus", 0, "--seed", 5, "--dry-run")
    assert refused(thalgpu("permute", *other), 2, "holds another test")
    assert thalgpu("permute", *other, "--overwrite").exit_code == 0
    assert (out / "results.h5").exists()


def test_the_configuration_holds_absolute_paths_of_every_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = PermuteRequest(
        (Path("a.gii"), Path("b.gii")),
        Path("d.mat"),
        contrasts=Path("t.con"),
        f_tests=Path("f.fts"),
        permutations=Path("p.csv"),
        blocks="b.grp",
        variance_groups="v.grp",
        surface="L.surf.gii,R.surf.gii",
        mask="m.nii:1",
        atlas="n.nii",
    )
    options = resolved_options(request)
    given = [*options["maps"], *(options[name] for name in ("blocks", "variance_groups", "surface", "mask", "atlas"))]
    given += [options[name] for name in ("design", "contrasts", "f_tests", "permutations")]
    paths = [path for text in given for path in text.split(",")]
    assert all(path.startswith(str(tmp_path)) for path in paths), paths
