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
