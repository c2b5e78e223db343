"""A BIDS folder: who is in it, and which of their preprocessed scans are meant."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from thalgpu.engine.inputs.layouts import EVERY, Only, find_runs
from thalgpu.engine.inputs.list_lines import absent, parse_id
from thalgpu.engine.inputs.model import Run, Subject
from thalgpu.engine.inputs.scan_names import natural_order
from thalgpu.engine.inputs.subject_list import warn_of_joined_sessions
from thalgpu.errors import InputError

_COLUMNS = ("participant_id", "bold", "confounds", "surface_left", "surface_right", "session", "run", "aseg")
_SHOWN = 12
"""Participants that an error names; the others are counted."""


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes
    ----------
    subjects : who has scans, in natural order of the labels; `line` is that of `subject_table`.
    left_out : label → why there are none.
    """

    subjects: tuple[Subject, ...]
    left_out: dict[str, InputError]


def participants_of(folder: Path) -> tuple[str, ...]:
    """Labels of all participants, in natural order: `sub-XX` folders, or HCP's `XX` with MNINonLinear.

    InputError when there is none.
    """
    if reason := absent(folder, folder=True):
        raise InputError(folder, reason, remedy="give the folder that holds the participants' folders")
    named = [path for path in folder.iterdir() if path.is_dir() and path.name.startswith("sub-")]
    named = named or [path for path in folder.iterdir() if (path / "MNINonLinear").is_dir()]
    labels = [label for path in sorted(named, key=natural_order) if (label := parse_id(path.name)) is not None]
    if not labels:
        raise InputError(folder, "holds no participant (sub-…)", remedy=_nearby(folder) or "check the path")
    return tuple(labels)


def require_participants(folder: Path, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels without "sub-", each once; InputError for one that the folder does not hold, with those it does."""
    there = participants_of(folder)
    wanted = tuple(dict.fromkeys(label.removeprefix("sub-") for label in labels))
    unknown = [label for label in wanted if label not in there]
    if unknown:
        shown = ", ".join(there[:_SHOWN]) + (f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else "")
        reason = f"holds no sub-{unknown[0]}" + (f", nor {len(unknown) - 1} more" if len(unknown) > 1 else "")
        raise InputError(folder, reason, remedy=f"--participant-label takes {shown}")
    return wanted


def find_scans(
    bids_dir: Path,
    labels: Sequence[str],
    listed_in: Path,
    *,
    derivatives: Path | None = None,
    input_type: str | None = None,
    only: Only = EVERY,
) -> Found:
    """The scans of participants by the rules of `find_runs`; who has none is left out, with the reason.

    Parameters
    ----------
    bids_dir : folder that holds the participants.
    labels : of whom, without "sub-".
    listed_in : the file that `subject_table` is written to, for messages.
    derivatives : where the preprocessed scans are, or None when in `bids_dir` itself.
    input_type, only : as of `find_runs`.

    Raises
    ------
    UsageError
        For an unknown layout.
    InputError
        When nobody has a scan.
    """
    folder = derivatives or bids_dir
    subjects: list[Subject] = []
    left_out: dict[str, InputError] = {}
    line = 2
    for label in labels:
        try:
            scans = find_runs(folder, label, input_type, only)
        except InputError as error:
            left_out[label] = error
        else:
            subjects.append(Subject(label, tuple(map(_absolute, scans.runs)), line, aseg=_whole(scans.aseg)))
            line += len(scans.runs)
    if not subjects:
        first = next(iter(left_out.values()))
        remedy = _nearby(bids_dir) if derivatives is None else None
        raise InputError(first.path, first.reason, remedy=remedy or first.remedy)
    warn_of_joined_sessions(listed_in, subjects)
    return Found(tuple(subjects), left_out)


def subject_table(subjects: Sequence[Subject]) -> str:
    """A subject list that names every scan, and what belongs to it, with absolute paths.

    InputError for a path with a tab or a line break, which no list can hold.
    """
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for subject in subjects:
        for run in subject.runs:
            left, right = run.surfaces or (None, None)
            cells = (run.bold, run.confounds, left, right, run.session, run.run, subject.aseg)
            rows.append((f"sub-{subject.participant_id}", *("n/a" if cell is None else str(cell) for cell in cells)))
            if any(set(cell) & set("\t\n\r") for cell in rows[-1]):
                raise InputError(run.bold, "a tab or a line break in a file's name", remedy="rename it")
    return "".join("\t".join(row) + "\n" for row in rows)


def _absolute(run: Run) -> Run:
    surfaces = (run.surfaces[0].absolute(), run.surfaces[1].absolute()) if run.surfaces else None
    return replace(run, bold=run.bold.absolute(), surfaces=surfaces, confounds=_whole(run.confounds))


def _whole(path: Path | None) -> Path | None:
    return path.absolute() if path is not None else None


def _nearby(folder: Path) -> str | None:
    """A derivatives folder of this data set that the user may have meant."""
    below = sorted(path.parent for path in folder.glob("derivatives/*/sub-*") if path.is_dir())
    return f"add --derivatives {below[0]}" if below else None
