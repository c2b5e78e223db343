"""Published thresholds of painDETECT, DN4 and NeuPSIG, and the grade of each score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from thalgpu.engine.inference.coding import finite_number
from thalgpu.engine.inference.table_design import MISSING
from thalgpu.engine.inference.words import listed, quoted
from thalgpu.errors import NumericsError

Component: TypeAlias = Literal["neuropathic", "non-neuropathic", "unclear"]
"""What a grade says of a neuropathic component of pain."""

_CORRECT = "correct the cell, or write n/a"


@dataclass(frozen=True)
class Grade:
    """A band of a score.

    Attributes
    ----------
    name : as the authors of the score call it.
    lowest : smallest score of the band; None where the table holds the grade's name.
    component : what it says of a neuropathic component.
    """

    name: str
    lowest: int | None
    component: Component


@dataclass(frozen=True)
class Score:
    """A questionnaire or grading system.

    Attributes
    ----------
    name : as `study.toml` has it, and the usual name of its column.
    limits : smallest and largest score there can be; None where the table holds grades.
    grades : ascending.
    words : its thresholds, for a report.
    citation : who found them.
    doi : of that.
    """

    name: str
    limits: tuple[int, int] | None
    grades: tuple[Grade, ...]
    words: str
    citation: str
    doi: str


SCORES: Mapping[str, Score] = MappingProxyType(
    {
        score.name: score
        for score in (
            Score(
                "painDETECT",
                (-1, 38),
                (
                    Grade("unlikely", -1, "non-neuropathic"),
                    Grade("unclear", 13, "unclear"),
                    Grade("likely", 19, "neuropathic"),
                ),
                "painDETECT (−1 to 38): a neuropathic component is unlikely up to 12, unclear from 13 to 18, likely "
                "from 19 on",
                "Freynhagen et al. 2006",
                "10.1185/030079906X132488",
            ),
            Score(
                "DN4",
                (0, 10),
                (Grade("negative", 0, "non-neuropathic"), Grade("positive", 4, "neuropathic")),
                "DN4 (0 to 10, interview and examination): positive from 4 on",
                "Bouhassira et al. 2005",
                "10.1016/j.pain.2004.12.010",
            ),
            Score(
                "DN4-interview",
                (0, 7),
                (Grade("negative", 0, "non-neuropathic"), Grade("positive", 3, "neuropathic")),
                "DN4, interview only (0 to 7): positive from 3 on",
                "Bouhassira et al. 2005",
                "10.1016/j.pain.2004.12.010",
            ),
            Score(
                "NeuPSIG",
                None,
                (
                    Grade("unlikely", None, "non-neuropathic"),
                    Grade("possible", None, "unclear"),
                    Grade("probable", None, "neuropathic"),
                    Grade("definite", None, "neuropathic"),
                ),
                "NeuPSIG grades: neuropathic pain is taken as present if probable (sensory signs in the painful area) "
                "or definite (also a test that shows the lesion); possible (history and distribution alone) is unclear",
                "Finnerup et al. 2016",
                "10.1097/j.pain.0000000000000492",
            ),
        )
    }
)
"""Scores by name."""


def is_missing(cell: str) -> bool:
    """Whether a cell of a table holds no value."""
    return cell.strip().lower() in MISSING


def grades(score: Score, cells: Sequence[str], ids: Sequence[str]) -> tuple[Grade | None, ...]:
    """The grade of each score.

    Parameters
    ----------
    score : one of `SCORES`.
    cells : (n_subjects,) as the table has them: whole numbers, or names of grades in any case.
    ids : (n_subjects,) participants without "sub-", for the errors.

    Returns
    -------
    (n_subjects,) of Grade, None where the cell is empty, n/a or NaN.

    Raises
    ------
    NumericsError
        Cells that are no whole number, out of the score's range, or no grade: the first subjects are named.
    """
    find = _grade_by_name if score.limits is None else _grade_by_number
    found = [None if is_missing(cell) else find(score, cell) for cell in cells]
    wrong = [k for k, cell in enumerate(cells) if found[k] is None and not is_missing(cell)]
    if wrong:
        who = listed([f"{quoted(cells[k], 20)} for sub-{ids[k]}" for k in wrong], 3)
        raise NumericsError(f"{score.name} must be {_range(score)}, but is {who}", remedy=_CORRECT)
    return tuple(found)


def _grade_by_name(score: Score, cell: str) -> Grade | None:
    return next((grade for grade in score.grades if grade.name == cell.strip().casefold()), None)


def _grade_by_number(score: Score, cell: str) -> Grade | None:
    number = finite_number(cell.strip())
    low, high = score.limits or (0, 0)
    if number is None or not number.is_integer() or not low <= number <= high:
        return None
    return next(grade for grade in reversed(score.grades) if grade.lowest is not None and number >= grade.lowest)


def _range(score: Score) -> str:
    if score.limits is None:
        return f"one of {listed(grade.name for grade in score.grades)}"
    return f"a whole number from {score.limits[0]} to {score.limits[1]}"
