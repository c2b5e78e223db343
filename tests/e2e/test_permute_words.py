"""What `thalgpu permute` says before it computes."""

import re
import subprocess
import sys

import pytest


def test_help_cuts_no_option_at_80_columns():
    command = [sys.executable, "-m", "thalgpu", "permute", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, env={"COLUMNS": "80"}, check=True).stdout
    assert "--cluster-connectivity" in said
    assert re.findall(r"--[\w-]*…", said) == []


@pytest.mark.parametrize(
    ("options", "direction"),
    [
        (["--contrast", "a - b"], "contrast > 0 only; --two-sided tests both"),
        (["--contrast", "a - b", "--two-sided"], "either: two-sided"),
        (["--f-test", "group"], None),
    ],
)
def test_the_plan_says_in_which_direction_contrasts_are_tested(thalgpu, tmp_path, options, direction):
    people = [(f"sub-{n:02d}", "ab"[n % 2], n**2 % 7) for n in range(12)]
    maps, design = tmp_path / "maps.tsv", tmp_path / "people.tsv"
    maps.write_text("participant_id\tvolume\n" + "".join(f"{name}\t{value}\n" for name, _, value in people))
    design.write_text("participant_id\tgroup\n" + "".join(f"{name}\t{group}\n" for name, group, _ in people))
    where = ("--design", design, "--out", tmp_path / "out", "--gpus", 0)
    planned = thalgpu("permute", maps, *where, "--formula", "group", *options, "--dry-run")
    assert planned.exit_code == 0, planned.err
    said = re.findall(r"^direction +(.*)$", planned.out, re.MULTILINE)
    assert said == ([direction] if direction else [])


@pytest.fixture
def falling(thalgpu, tmp_path):
    """A test of 12 people of two groups and one measure, which is larger in b."""

    def run(*options):
        people = [(f"sub-{n:02d}", "ab"[n % 2], n**2 % 7 + 20 * (n % 2)) for n in range(12)]
        maps, design = tmp_path / "maps.tsv", tmp_path / "people.tsv"
        maps.write_text("participant_id\tvolume\n" + "".join(f"{name}\t{value}\n" for name, _, value in people))
        design.write_text("participant_id\tgroup\n" + "".join(f"{name}\t{group}\n" for name, group, _ in people))
        where = ("--design", design, "--out", tmp_path / "out", "--gpus", 0, "--n-perm", 200, "--workers", 1)
        done = thalgpu("permute", maps, *where, "--formula", "group", *options)
        assert done.exit_code == 0, done.err
        return done.out

    return run


@pytest.mark.parametrize(
    ("options", "means"),
    [(["--contrast", "a"], ["a"]), (["--contrast", "a", "--sign-flip"], []), (["--contrast", "a - b"], [])],
)
def test_the_plan_remarks_on_a_mean_that_is_compared_with_zero(falling, options, means):
    assert re.findall(r"^warning: (.*) compares a mean with 0", falling(*options, "--dry-run"), re.MULTILINE) == means


@pytest.mark.parametrize("scale", ["t", "z"])
def test_an_effect_in_the_direction_that_was_not_tested_is_pointed_out(falling, tmp_path, scale):
    remark = r"a - b: t goes down to −\d+\.\d\d, and only contrast (>|&gt;) 0 was tested; --two-sided tests both"
    assert re.search(remark, falling("--contrast", "a - b", "--statistic-scale", scale))
    assert re.search(remark, (tmp_path / "out/report.html").read_text())


@pytest.mark.parametrize("options", [["--contrast", "b - a"], ["--contrast", "a - b", "--two-sided"]])
def test_nothing_is_pointed_out_where_the_direction_was_tested(falling, options):
    assert "goes down" not in falling(*options)
