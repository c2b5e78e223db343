"""`thalgpu report`: the same page again, from what is on the disk, and nothing else touched."""

import shutil
from pathlib import Path

import pytest


def files(out: Path) -> dict[str, tuple[bytes, int]]:
    """Content of every file, and when it was written if it is a result and no page."""
    return {
        str(path.relative_to(out)): (path.read_bytes(), path.stat().st_mtime_ns * (path.name != "report.html"))
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".thalgpu.lock" and path.parent.name != "logs"
    }


@pytest.mark.parametrize("command", ["gradients", "connectivity", "structure", "permute", "compare", "study"])
def test_page_is_the_commands_own_to_the_byte_and_nothing_else_is_written(folders, thalgpu, command):
    out = folders / command
    before = files(out)
    (out / "report.html").unlink()
    done = thalgpu("report", out)
    assert done.exit_code == 0, done.err
    assert files(out) == before


def test_missing_result_is_named_and_not_made_again(folders, tmp_path, thalgpu):
    out = shutil.copytree(folders / "gradients", tmp_path / "out")
    record = out / "sub-03/func/sub-03_seg-thalamus_gradients.h5"
    record.unlink()
    done = thalgpu("report", out)
    assert done.exit_code == 4
    assert f"a file is missing ({record})" in done.err
    assert "run thalgpu gradients again" in done.err
    assert not record.exists()


def test_changed_result_is_refused_and_left_alone(folders, tmp_path, thalgpu):
    out = shutil.copytree(folders / "permute", tmp_path / "out")
    (out / "peaks.tsv").write_text("edited\n")
    done = thalgpu("report", out)
    assert done.exit_code == 4
    assert f"a file would change ({out / 'peaks.tsv'})" in done.err
    assert (out / "peaks.tsv").read_text() == "edited\n"


def test_inputs_that_are_gone_are_named(folders, tmp_path, thalgpu):
    out = shutil.copytree(folders / "gradients", tmp_path / "out")
    config = out / "config.toml"
    config.write_text(config.read_text().replace("cohort/list.txt", "cohort/gone.txt"))
    done = thalgpu("report", out)
    assert done.exit_code == 4
    assert "no file" in done.err
    assert "cohort/gone.txt" in done.err


def test_subject_that_failed_fails_again_in_the_page(tmp_path, thalgpu, inputs, cohort):
    copy = shutil.copytree(cohort, tmp_path / "cohort")
    scan = next((copy / "sub-02" / "func").glob("*_bold.nii.gz"))
    scan.write_bytes(scan.read_bytes()[:-2000])
    out = tmp_path / "out"
    assert thalgpu("gradients", *inputs, "--subjects", copy / "list.txt", "--out", out, "--workers", 1).exit_code == 3
    before = (out / "report.html").read_bytes()
    done = thalgpu("report", out)
    assert done.exit_code == 0, done.err
    assert (out / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("study = 5", "does not name the study file"),
        ("[study]\nn_perm = 5\nseed = 0", "does not name the study file"),
        ("[study]\nn_perm = 5\n[test]\nfile = '/study.toml'", "does not name the study file"),
        ("[study]\nn_perm = 5\nseed = 0\n[test]\nfile = 3", "does not name the study file"),
        ("[study]\nn_perm = 5\nseed = 0\n[test]\nfile = '--init'", "does not name the study file"),
        ("[study]\nn_perm = 'x'\nseed = 0\n[test]\nfile = '/study.toml'", "--n-perm"),
        ("[study]\nn_perm = 5\nseed = -1\n[test]\nfile = '/study.toml'", "--seed"),
        ("[gradients]", "--subjects"),
    ],
)
def test_damaged_settings_are_told_of_the_file_that_holds_them(tmp_path, thalgpu, damage, reason):
    (tmp_path / "config.toml").write_text(damage)
    done = thalgpu("report", tmp_path)
    assert done.exit_code == 4
    assert reason in done.err
    assert f"({tmp_path / 'config.toml'})" in done.err
    assert len(done.err.splitlines()) == 1


def test_folder_of_nothing_is_refused(tmp_path, thalgpu):
    done = thalgpu("report", tmp_path)
    assert done.exit_code == 4
    assert "is not there" in done.err
