"""The guide to clinical scores: its example runs, and its thresholds and columns are the program's."""

import re
from pathlib import Path

import pytest

from thalgpu.engine.clinical.groups import groups_from_score
from thalgpu.engine.clinical.severity import COLUMNS
from thalgpu.engine.clinical.table_one import table_one
from thalgpu.engine.clinical.thresholds import SCORES

PAGE = (Path(__file__).parents[2] / "docs" / "clinical.md").read_text()


def test_the_example_runs(rng):
    n = 12
    score = [*range(20, 26), *range(3, 6), *range(3)]
    columns = {
        "pain": ["yes"] * 9 + ["no"] * 3,
        "painDETECT": [str(one) for one in score],
        "age": [str(one) for one in rng.integers(20, 70, n)],
        "sex": ["F", "M"] * 6,
    }
    names = {"columns": columns, "ids": [f"{k:02d}" for k in range(n)], "volumes": {"left": rng.normal(size=n)}}
    exec(compile(re.findall(r"```python\n(.*?)```", PAGE, re.S)[0], "clinical.md", "exec"), names)
    assert names["table"].sizes == (6, 3, 3)
    assert names["severity"].correlations[0].n == 9


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_sources_are_those_of_the_program(score):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{score.name}`"))
    assert score.name == "DN4-interview" or score.doi in row
    for grade in score.grades:
        assert grade.lowest is None or grade.component != "neuropathic" or f"from {grade.lowest} on" in row


def test_the_rule_is_quoted_as_the_program_states_it():
    made = groups_from_score(SCORES["painDETECT"], ["25", "3", "0"], [False, False, True], ["01", "02", "03"])
    assert made.words in PAGE.replace("\n", " ")


def test_columns_of_the_tables_are_explained():
    table = table_one({"age": ["1", "2"]}, ["A", "B"], ["01", "02"], ["age"])
    for column in (*table.columns, *COLUMNS):
        assert f"`{re.sub('_[AB]$', '_NAME', column)}`" in PAGE
