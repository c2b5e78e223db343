"""What the names of map files say: their kind, whose they are, and text files that list them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from thalgpu.engine.inputs.list_lines import Line, Problem, absent, as_error, before_comment, read_lines, resolve
from thalgpu.errors import InputError

Kind: TypeAlias = Literal["image", "surface", "hdf5", "npy", "table", "list"]

_ENDINGS: tuple[tuple[str, Kind], ...] = (
    (r"\.nii(\.gz)?", "image"),
    (r"\.gii(\.gz)?", "surface"),
    (r"\.npy", "npy"),
    (r"\.(tsv|csv)", "table"),
    (r"(\.txt|\.list|^[^.]+)", "list"),
)
_HDF5 = re.compile(r"\.(h5|hdf5)(:.*)?$", re.IGNORECASE | re.DOTALL)
_KINDS = "a gradients folder, NIfTI, GIFTI or CIFTI images, a .txt that lists them, .h5, .npy, .tsv or .csv"
_IN_NAME = re.compile(r"(?:^|_)sub-([A-Za-z0-9]+)(?=[_.]|$)")
_IN_FOLDER = re.compile(r"sub-([A-Za-z0-9]+)")


def kind_of(path: Path) -> Kind:
    """The kind that a name's ending stands for; InputError where it stands for none that maps are read from."""
    if _HDF5.search(str(path)):
        return "hdf5"
    for ending, kind in _ENDINGS:
        if re.search(f"{ending}$", path.name, re.IGNORECASE):
            return kind
    raise InputError(path, "not a kind of file that maps are read from", remedy=f"give {_KINDS}")


def listed_files(path: Path) -> tuple[Path, ...]:
    """The files that a text file lists, one a line; relative paths start at its folder.

    InputError for files that are not there, all of them counted, with the first line.
    """
    found: list[Path] = []
    problems: list[Problem] = []
    for line in read_lines(path):
        file = _file_of(path, line)
        if reason := absent(file):
            problems.append(Problem(line.number, reason, "correct the path; relative paths start at the list's folder"))
        found.append(file)
    if problems:
        raise as_error(path, problems)
    return tuple(found)


def require_one_kind(paths: Sequence[Path]) -> Kind:
    """The kind of all files; InputError that names two of different kinds."""
    first = kind_of(paths[0])
    for path in paths[1:]:
        if kind_of(path) != first:
            raise InputError(path, f"not the kind of file that {paths[0]} is", remedy="give maps of one kind")
    return first


def participant_of(path: Path) -> str | None:
    """The XX of `sub-XX` in the file's name, else in that of the nearest folder; None without one."""
    if entity := _IN_NAME.search(path.name):
        return entity.group(1)
    folders = (_IN_FOLDER.fullmatch(folder.name) for folder in path.parents)
    return next((found.group(1) for found in folders if found), None)


def participants_of(paths: Sequence[Path]) -> tuple[str, ...] | None:
    """Participants of files with one subject each; None where no name has one.

    InputError where only some have one, and where two files are of one participant.
    """
    labels = [participant_of(path) for path in paths]
    if not any(labels):
        return None
    owner: dict[str, Path] = {}
    for path, label in zip(paths, labels, strict=True):
        if label is None:
            raise InputError(path, "its name has no sub-XX, as others have", remedy="rename it to sub-XX_…")
        if label in owner:
            raise InputError(path, f"sub-{label} has {owner[label]} already", remedy="give one map a participant")
        owner[label] = path
    return tuple(owner)


def words_for(paths: Sequence[Path], ids: tuple[str, ...] | None) -> tuple[str, ...]:
    """What to call each subject in a message."""
    return tuple(path.name for path in paths) if ids is None else tuple(f"sub-{label}" for label in ids)


def _file_of(listed_in: Path, line: Line) -> Path:
    """The longest part of a line before a comment that is a file, else all of it before the first."""
    choices = [resolve(listed_in, text) for text in before_comment(line.text.strip())]
    return next((path for path in choices if absent(path) is None), choices[-1])
