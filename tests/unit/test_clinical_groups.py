"""Thresholds of clinical scores at their edges, and the groups made of them."""

import pytest

from thalgpu.engine.clinical.groups import GroupNames, controls, groups_from_score
from thalgpu.engine.clinical.thresholds import SCORES, grades
from thalgpu.errors import NumericsError

PATIENTS = ["01", "02", "03"]


def grade(name, cell):
    found = grades(SCORES[name], [cell], ["01"])[0]
    return found and found.name


@pytest.mark.parametrize(
    ("score", "edges"),
    [
        ("painDETECT", {"-1": "unlikely", "12": "unlikely", "13": "unclear", "18": "unclear", "19": "likely"}),
        ("painDETECT", {"38": "likely", " 19.0 ": "likely", "0": "unlikely"}),
        ("DN4", {"0": "negative", "3": "negative", "4": "positive", "10": "positive"}),
        ("DN4-interview", {"0": "negative", "2": "negative", "3": "positive", "7": "positive"}),
        ("NeuPSIG", {"unlikely": "unlikely", "Possible": "possible", "PROBABLE": "probable", "definite": "definite"}),
    ],
)
def test_grades_at_the_edges_are_the_published_ones(score, edges):
    assert {cell: grade(score, cell) for cell in edges} == edges


@pytest.mark.parametrize("cell", ["", "n/a", "N/A", "NaN", " na "])
@pytest.mark.parametrize("score", SCORES)
def test_missing_cells_have_no_grade(score, cell):
    assert grade(score, cell) is None


@pytest.mark.parametrize(
    ("score", "cell"),
    [
        *(("painDETECT", cell) for cell in ("-2", "39", "12.5", "12,5", "high", "inf", "1_9", "１９")),
        *(("DN4", cell) for cell in ("-1", "11", "4/10")),
        ("DN4-interview", "8"),
        ("NeuPSIG", "likely"),
        ("NeuPSIG", "2"),
    ],
)
def test_scores_that_cannot_be_are_refused_with_their_subject(score, cell):
    with pytest.raises(NumericsError, match=f"^{score} must be .*for sub-07"):
        grades(SCORES[score], [SCORES[score].grades[0].name if score == "NeuPSIG" else "1", cell], ["01", "07"])


def test_groups_follow_from_score_and_controls():
    made = groups_from_score(
        SCORES["painDETECT"], ["25", "4", "15", "n/a", "1"], [False, False, False, True, True], [*PATIENTS, "04", "05"]
    )
    assert made.labels == ("neuCLBP", "nonneuCLBP", None, "HC", "HC")
    assert made.order == ("neuCLBP", "nonneuCLBP", "HC")
    assert made.left_out == (("03", "painDETECT 15: unclear"),)
    assert made.remarks == ()


@pytest.mark.parametrize(("unclear", "label"), [("neuropathic", "A"), ("non-neuropathic", "B"), ("unclear", None)])
def test_unclear_patients_go_where_they_are_sent(unclear, label):
    names = GroupNames("A", "B", "C")
    cells = ["definite", "unlikely", "possible"]
    made = groups_from_score(SCORES["NeuPSIG"], cells, [False] * 3, PATIENTS, names=names, unclear=unclear)
    assert made.labels == ("A", "B", label)
    assert ("possible: left out" in made.words) == (label is None)


def test_the_rule_is_stated_with_thresholds_groups_and_source():
    made = groups_from_score(SCORES["DN4"], ["5", "1", "0"], [False, False, True], PATIENTS)
    assert made.words == (
        "DN4 (0 to 10, interview and examination): positive from 4 on (Bouhassira et al. 2005, "
        "doi:10.1016/j.pain.2004.12.010). neuCLBP: positive; nonneuCLBP: negative; HC: no pain, whatever the score"
    )


def test_patients_without_a_score_are_an_error_or_left_out():
    arguments = SCORES["DN4"], ["5", "", "0"], [False, False, True], PATIENTS
    with pytest.raises(NumericsError, match="DN4 of the patients sub-02 is missing"):
        groups_from_score(*arguments)
    made = groups_from_score(*arguments, missing="drop")
    assert made.labels == ("neuCLBP", None, "HC")
    assert made.left_out == (("02", "DN4 is missing"),)


def test_controls_with_scores_of_patients_are_named():
    made = groups_from_score(SCORES["painDETECT"], ["25", "20", "0"], [False, True, True], PATIENTS)
    assert made.remarks == ("controls whose painDETECT is not that of people without pain: sub-02 (likely)",)


def test_a_score_that_makes_no_group_is_refused():
    with pytest.raises(NumericsError, match="puts no patient into a group"):
        groups_from_score(SCORES["painDETECT"], ["15", "14", "0"], [False, False, True], PATIENTS)


def test_controls_are_those_whose_cell_says_so():
    assert controls(["No", "yes", " no "], PATIENTS, "pain", "no") == (True, False, True)


@pytest.mark.parametrize(
    ("cells", "message"),
    [(["no", "", "n/a"], "no value for sub-02, sub-03"), (["0", "1", "1"], "nobody has 'no' in pain")],
)
def test_a_column_of_controls_that_does_not_say_is_refused(cells, message):
    with pytest.raises(NumericsError, match=message):
        controls(cells, PATIENTS, "pain", "no")
