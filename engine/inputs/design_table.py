"""Tables of phenotypes (`participants.tsv`, `.csv`) as text, and whose maps go with whose row."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thalgpu.engine.inference.words import known_names, listed, quoted, repeated
from thalgpu.engine.inputs.list_lines import Problem, as_error, bad_id, parse_id
from thalgpu.engine.inputs.text_files import numbered_lines, read_text
from thalgpu.errors import InputError

ID_COLUMN = "participant_id"


@dataclass(frozen=True)
class DesignTable:
    """A table with one row a participant, all cells as written.

    Attributes
    ----------
    path : the file.
    ids : participants without "sub-", in the order of the rows; 0012 stays 0012.
    columns : name → (n_rows,) cells without the spaces around them; the column of ids is not among them.
    sha256 : of the file on disk (hex).
    """

    path: Path
    ids: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    sha256: str

    def rows(self, keep: Sequence[int]) -> "DesignTable":
        """The rows with these indices, in this order."""
        columns = {name: tuple(cells[k] for k in keep) for name, cells in self.columns.items()}
        return DesignTable(self.path, tuple(self.ids[k] for k in keep), columns, self.sha256)


@dataclass(frozen=True)
class MatchedSubjects:
    """Subjects with maps and a row.

    Attributes
    ----------
    maps : index into the maps of each subject kept, ascending.
    table : their rows, in the order of the maps.
    remarks : who was left out, if anybody was.
    """

    maps: tuple[int, ...]
    table: DesignTable
    remarks: tuple[str, ...]


def read_design_table(path: Path) -> DesignTable:
    """Read a table separated by tabs, commas or semicolons, with a header that has `participant_id`.

    UTF-8 with or without a byte order mark, any line ends, quotes as spreadsheets write them; blank lines are passed
    over.

    Raises
    ------
    InputError
        With the line: text that is not UTF-8, control characters, more than 16 MiB, rows of another length than the
        header's, columns without a name or with one name, ids that are not letters and digits, and two rows of one
        participant (also `01` and `sub-01`).
    """
    text, sha256 = read_text(path)
    rows = _rows(path, text)
    if not rows:
        raise InputError(path, "the table is empty", remedy=f"give a table with a column {ID_COLUMN}")
    (at, header), *body = rows
    _check_header(path, at, header)
    if not body:
        raise InputError(path, "the table has a header but no row", at=at, remedy="write one row a participant")
    problems = [
        Problem(line, f"{len(cells)} cells under {len(header)} columns", "write n/a where there is no value")
        for line, cells in body
        if len(cells) != len(header)
    ]
    if problems:
        raise as_error(path, problems)
    ids = _ids(path, [(line, cells[header.index(ID_COLUMN)]) for line, cells in body])
    columns = {name: tuple(cells[k] for _, cells in body) for k, name in enumerate(header) if name != ID_COLUMN}
    return DesignTable(path, ids, columns, sha256)


def match_subjects(
    map_ids: Sequence[str], table: DesignTable, missing: Literal["error", "drop"] = "error"
) -> MatchedSubjects:
    """Pair maps with rows by participant, in the order of the maps.

    Parameters
    ----------
    map_ids : (n_maps,) participants of the maps, with or without "sub-".
    table : the design's rows.
    missing : "drop" keeps those who have both and says who has not; "error" refuses.

    Raises
    ------
    InputError
        For subjects with maps but no row and the reverse (both are listed), two maps of one subject, and nobody in
        common.
    """
    names = [name.removeprefix("sub-") for name in map_ids]
    if twice := repeated(names):
        raise InputError(
            table.path, f"more than one map of {_subjects(twice)}", remedy="give one map a participant and component"
        )
    at = {name: row for row, name in enumerate(table.ids)}
    found = set(names)
    no_row = [name for name in names if name not in at]
    no_map = [name for name in table.ids if name not in found]
    parts = [f"maps but no row in the table: {_subjects(no_row)}"] * bool(no_row)
    parts += [f"a row but no maps: {_subjects(no_map)}"] * bool(no_map)
    kept = [k for k, name in enumerate(names) if name in at]
    if parts and (missing == "error" or not kept):
        raise InputError(table.path, "; ".join(parts), remedy=_remedy(no_row, no_map, any_common=bool(kept)))
    return MatchedSubjects(
        tuple(kept), table.rows([at[names[k]] for k in kept]), tuple(f"left out, {part}" for part in parts)
    )


def _rows(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """Rows that are not blank, each with the number of its last line and its cells without spaces around them."""
    first = next((line for _, line in numbered_lines(text)), "")
    separator = next((sign for sign in "\t;," if sign in first), "\t")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        rows = [(reader.line_num, [_one_line(cell) for cell in cells]) for cells in reader]
    except csv.Error as error:
        at = reader.line_num
        raise InputError(path, f"cannot be read as a table: {error}", at=at, remedy="write it again") from error
    return [(line, cells) for line, cells in rows if any(cells)]


def _one_line(cell: str) -> str:
    """A cell without the spaces around it; line breaks between quotes become spaces."""
    return " ".join(part for line in cell.splitlines() if (part := line.strip()))


def _check_header(path: Path, at: int, header: list[str]) -> None:
    if ID_COLUMN not in header:
        remedy = f"call the column of participants {ID_COLUMN}; {known_names(ID_COLUMN, header)}"
        raise InputError(path, f"the table has no column {ID_COLUMN!r}", at=at, remedy=remedy)
    if twice := repeated(header):
        what = f"column {quoted(twice[0])} appears twice" if twice[0] else "two columns have no name"
        raise InputError(path, what, at=at, remedy="rename or remove one of them")
    if "" in header:
        reason = f"column {header.index('') + 1} has no name"
        raise InputError(path, reason, at=at, remedy="name it, or remove the extra separators")


def _ids(path: Path, given: list[tuple[int, str]]) -> tuple[str, ...]:
    problems = []
    lines: dict[str, int] = {}
    for line, text in given:
        label = parse_id(text)
        if label is None:
            problems.append(bad_id(line, text))
        elif label in lines:
            reason = f"participant {label} is in line {lines[label]} already"
            problems.append(Problem(line, reason, "keep one row a participant"))
        else:
            lines[label] = line
    if problems:
        raise as_error(path, problems)
    return tuple(lines)


def _subjects(names: Sequence[str]) -> str:
    return listed(f"sub-{name}" for name in names)


def _remedy(no_row: Sequence[str], no_map: Sequence[str], *, any_common: bool) -> str:
    if {name.lstrip("0").lower() for name in no_row} & {name.lstrip("0").lower() for name in no_map}:
        return "ids are text, 1 is not 01 and A is not a: write them one way"
    if not any_common:
        return "nobody has both: check that maps and table are of one study"
    return "add what is missing, or keep those who have both with --missing drop"
