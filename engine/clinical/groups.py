"""Groups of patients and controls from a clinical score, by published thresholds that are stated in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from thalgpu.engine.clinical.thresholds import Component, Grade, Score, grades, is_missing
from thalgpu.engine.inference.words import known_names, listed, quoted
from thalgpu.errors import NumericsError


@dataclass(frozen=True)
class GroupNames:
    """What the groups are called."""

    neuropathic: str = "neuCLBP"
    non_neuropathic: str = "nonneuCLBP"
    control: str = "HC"


@dataclass(frozen=True)
class Groups:
    """Who belongs to which group, and why.

    Attributes
    ----------
    labels : (n_subjects,) group of each, None of those left out.
    left_out : (participant, reason) of those.
    order : names of the groups that have members: neuropathic, non-neuropathic, controls.
    words : the rule, with its citation.
    remarks : what a reader should know, e.g. controls whose score is that of a patient.
    """

    labels: tuple[str | None, ...]
    left_out: tuple[tuple[str, str], ...]
    order: tuple[str, ...]
    words: str
    remarks: tuple[str, ...]


def controls(cells: Sequence[str], ids: Sequence[str], column: str, value: str) -> tuple[bool, ...]:
    """Who has no pain, by a column that says so.

    Parameters
    ----------
    cells, ids : (n_subjects,) cells and participants without "sub-".
    column : its name, for the errors.
    value : what it says of people without pain, e.g. "no", "HC", "0"; upper and lower case are one.

    Raises
    ------
    NumericsError
        Cells without a value, and a value that nobody has.
    """
    if nobody := [ids[k] for k, cell in enumerate(cells) if is_missing(cell)]:
        who = listed(f"sub-{name}" for name in nobody)
        raise NumericsError(f"{column} does not say who is a control: no value for {who}", remedy="fill it in")
    found = tuple(cell.strip().casefold() == value.strip().casefold() for cell in cells)
    if not any(found):
        raise NumericsError(f"nobody has {quoted(value)} in {column}", remedy=known_names(value, cells))
    return found


def groups_from_score(
    score: Score,
    cells: Sequence[str],
    is_control: Sequence[bool],
    ids: Sequence[str],
    *,
    names: GroupNames = GroupNames(),
    unclear: Component = "unclear",
    missing: Literal["error", "drop"] = "error",
) -> Groups:
    """Patients with and without a neuropathic component, and people without pain.

    Parameters
    ----------
    score : one of `SCORES`.
    cells : (n_subjects,) scores as the table has them; those of controls may be missing.
    is_control : (n_subjects,) people without pain: controls whatever their score.
    ids : (n_subjects,) participants without "sub-".
    names : of the groups.
    unclear : what becomes of patients whose grade is unclear (painDETECT 13 to 18, NeuPSIG possible): "unclear" leaves
        them out, "neuropathic" and "non-neuropathic" put them there. Decide before looking at results.
    missing : whether a patient without a score is an error or is left out.

    Returns
    -------
    Groups

    Raises
    ------
    NumericsError
        As `grades`, patients without a score, and nobody left in a group of patients.
    """
    found = grades(score, cells, ids)
    absent = [ids[k] for k, grade in enumerate(found) if grade is None and not is_control[k]]
    if absent and missing == "error":
        raise NumericsError(
            f"{score.name} of the patients {listed(f'sub-{name}' for name in absent)} is missing",
            remedy="fill it in, or leave them out",
        )
    label: dict[Component, str | None] = {
        "neuropathic": names.neuropathic,
        "non-neuropathic": names.non_neuropathic,
        "unclear": None,
    }
    label["unclear"] = label[unclear]
    labels = tuple(
        names.control if control else None if grade is None else label[grade.component]
        for grade, control in zip(found, is_control, strict=True)
    )
    reasons = tuple(
        (ids[k], f"{score.name} {'is missing' if (grade := found[k]) is None else f'{cells[k]}: {grade.name}'}")
        for k, given in enumerate(labels)
        if given is None
    )
    every = (names.neuropathic, names.non_neuropathic, names.control)
    if not any(name in labels for name in every[:2]):
        raise NumericsError(f"{score.name} puts no patient into a group", remedy="check its column and the controls'")
    order = tuple(name for name in every if name in labels)
    return Groups(labels, reasons, order, _rule(score, names, unclear), _remarks(score, found, is_control, ids))


def _rule(score: Score, names: GroupNames, unclear: Component) -> str:
    """Thresholds and groups in words."""
    fate = {
        "unclear": "left out",
        "neuropathic": f"counted as {names.neuropathic}",
        "non-neuropathic": f"counted as {names.non_neuropathic}",
    }[unclear]
    has_unclear = any(grade.component == "unclear" for grade in score.grades)
    named = {
        component: " or ".join(grade.name for grade in score.grades if grade.component == component)
        for component in ("neuropathic", "non-neuropathic", "unclear")
    }
    rule = f"{names.neuropathic}: {named['neuropathic']}; {names.non_neuropathic}: {named['non-neuropathic']}"
    rest = f"; {named['unclear']}: {fate}" if has_unclear else ""
    return (
        f"{score.words} ({score.citation}, doi:{score.doi}). {rule}{rest}; {names.control}: no pain, whatever the score"
    )


def _remarks(
    score: Score, found: Sequence[Grade | None], is_control: Sequence[bool], ids: Sequence[str]
) -> tuple[str, ...]:
    odd = [
        f"sub-{ids[k]} ({grade.name})"
        for k, grade in enumerate(found)
        if is_control[k] and grade is not None and grade.component != "non-neuropathic"
    ]
    return (f"controls whose {score.name} is not that of people without pain: {listed(odd)}",) if odd else ()
