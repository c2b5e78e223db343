"""Tables of many people's stats, as `asegstats2table` and `aparcstats2table` write them, and CSV exports like them."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.coding import finite_number
from thalgpu.engine.inference.words import listed, quoted, repeated
from thalgpu.engine.inputs.freesurfer_stats import AreaStats, require_thickness
from thalgpu.engine.inputs.gifti import Side
from thalgpu.engine.inputs.list_lines import parse_id
from thalgpu.engine.inputs.s1_names import AREAS, S1, AreaName, Atlas, s1_area
from thalgpu.engine.inputs.text_files import numbered_lines, read_text
from thalgpu.errors import InputError

_AGAIN = "write the table again with asegstats2table or aparcstats2table"
_MISSING = ("", "n/a", "na", "nan")
_TEXT_COLUMNS = ("session", "run", "session_id", "run_id", "ses")
_ENTITY = re.compile(r"(?:^|_)sub-([A-Za-z0-9]+)(?=[_.]|$)")
_CORNER = re.compile(r"(?P<hemi>[lr]h)\.(?P<parcellation>.+)\.(?P<measure>[a-z]+)")
_MEASURES = ("thickness", "area", "volume", "thicknessstd", "meancurv", "gauscurv", "foldind", "curvind")
_SIDES: dict[str, Side] = {"lh": "left", "rh": "right"}


@dataclass(frozen=True)
class StatsTable:
    """One number a person and structure.

    Attributes
    ----------
    path, sha256 : the file.
    labels : first cell of each row, as it is written.
    lines : number of each row's line (of its column, in a transposed table).
    columns : names of structures or areas, as they are written.
    values : (n_rows, n_columns) float64; NaN where a cell is empty or n/a.
    measure : "volume", "thickness", "area" …, or "" where the table does not say.
    side : hemisphere of all columns, or None.
    """

    path: Path
    sha256: str
    labels: tuple[str, ...]
    lines: tuple[int, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    measure: str
    side: Side | None

    def row(self, participant_id: str) -> dict[str, float]:
        """Column → number of one person, whose row is called `01`, `sub-01`, `sub-01_ses-…` or a path that ends so.

        Columns without a number are left out.

        InputError when no row or several are the person's.
        """
        mine = [k for k, label in enumerate(self.labels) if person_of(label) == participant_id]
        if len(mine) == 1:
            numbers = zip(self.columns, self.values[mine[0]].tolist(), strict=True)
            return {name: value for name, value in numbers if not math.isnan(value)}
        if mine:
            found = listed(quoted(self.labels[k], 40) for k in mine)
            reason = f"{len(mine)} rows of sub-{participant_id}: {found}"
            raise InputError(self.path, reason, at=self.lines[mine[1]], remedy="keep one row a person")
        reason = f"no row of sub-{participant_id}; it has {listed(self.labels, 3)}"
        raise InputError(self.path, reason, remedy="take the person out of the list, or add the row")

    def ids(self) -> tuple[str, ...]:
        """Participants that have rows, in their order, without "sub-"; labels that name none are left out."""
        found = (person_of(label) for label in self.labels)
        return tuple(dict.fromkeys(label for label in found if label))


def read_stats_table(path: Path) -> StatsTable:
    """A table of tabs, commas, semicolons or spaces, people in rows or (with `--transpose`) in columns.

    The first cell says what it holds: `Measure:volume` (asegstats2table), `lh.aparc.thickness` (aparcstats2table), or a
    name such as `participant_id` in other exports. Columns called session or run are passed over.

    Raises
    ------
    InputError
        With the line: rows of unequal length, text where a number should be, columns that appear twice.
    """
    text, sha256 = read_text(path)
    lines = numbered_lines(text)
    if len(lines) < 2:
        raise InputError(path, "no row of numbers", remedy=_AGAIN)
    separator = next((sign for sign in "\t,;" if sign in lines[0][1]), None)
    rows = [(at, [cell.strip().strip('"') for cell in line.split(separator)]) for at, line in lines]
    width = len(rows[0][1])
    for at, cells in rows:
        if len(cells) != width or width < 2:
            raise InputError(path, f"{len(cells)} cells under {width} columns", at=at, remedy=_AGAIN)
    numbers = [at for at, _ in rows[1:]]
    table = [cells for _, cells in rows]
    corner = table[0][0]
    if _is_transposed(table):
        table, numbers = [list(column) for column in zip(*table, strict=True)], [rows[0][0]] * (width - 1)
    kept = [k for k, name in enumerate(table[0]) if k and name.lower() not in _TEXT_COLUMNS]
    values = [[_number(path, at, cells[k]) for k in kept] for at, cells in zip(numbers, table[1:], strict=True)]
    measure, side = _corner(corner)
    columns = [table[0][k] for k in kept]
    if twice := repeated(columns):
        raise InputError(path, f"column {quoted(twice[0], 40)} appears twice", at=rows[0][0], remedy=_AGAIN)
    if not columns:
        raise InputError(path, "no column of numbers", at=rows[0][0], remedy=_AGAIN)
    return StatsTable(
        path,
        sha256,
        tuple(cells[0] for cells in table[1:]),
        tuple(numbers),
        tuple(columns),
        np.array(values, dtype=np.float64),
        measure,
        side,
    )


def volumes_of_tables(tables: Sequence[StatsTable], participant_id: str) -> dict[str, float]:
    """Structure → mm³ of one person in all tables that hold volumes, for `thalamus_of` and `icv_of`.

    InputError when a table has no row of the person, and when two tables give one structure different volumes.
    """
    found: dict[str, float] = {}
    for table in tables:
        if table.measure not in ("volume", ""):
            continue
        for name, value in table.row(participant_id).items():
            if found.setdefault(name, value) != value:
                reason = f"{value:g} mm³ for sub-{participant_id} where another table says {found[name]:g}"
                raise InputError(table.path, reason, at=name, remedy="give each structure in one table")
    return found


def s1_of_tables(tables: Sequence[StatsTable], participant_id: str, atlas: Atlas) -> dict[Side, dict[str, AreaStats]]:
    """Side → area of S1 → what the tables together say of one person.

    `area` is given where a table of surface areas is among them. S1 of the Brodmann areas is their mean weighted by
    surface area, and is left out without such a table: tables hold no numbers of vertices.

    Raises
    ------
    InputError
        When the tables of thickness lack one of the atlas's areas on a side that they have, disagree, or have no row of
        the person, and when a thickness is not between 0 and 10 mm.
    """
    found: dict[Side, dict[str, dict[str, float]]] = {}
    for table in tables:
        names = {name: _s1_column(table, name) for name in table.columns}
        wanted = {name: of for name, of in names.items() if of is not None and of[0].atlas == atlas}
        row = table.row(participant_id) if wanted else {}
        for name, (area, side, measure) in wanted.items():
            if name not in row:
                continue
            if measure == "thickness":
                require_thickness(table.path, name, row[name])
            measures = found.setdefault(side, {}).setdefault(area.area, {})
            if measures.setdefault(measure, row[name]) != row[name]:
                reason = (
                    f"{measure} of {row[name]:g} for sub-{participant_id} where {measures[measure]:g} is given already"
                )
                raise InputError(table.path, reason, at=name, remedy="give each area in one table")
    sides = {side: _areas(tables, atlas, side, areas) for side, areas in found.items()}
    return {side: areas for side, areas in sides.items() if areas}


def _areas(
    tables: Sequence[StatsTable], atlas: Atlas, side: Side, found: Mapping[str, Mapping[str, float]]
) -> dict[str, AreaStats]:
    """Areas of one side that have a thickness, all of the atlas or none."""
    thick = {area for area, measures in found.items() if "thickness" in measures}
    wanted = AREAS[atlas] or (S1,)
    missing = [area for area in wanted if area not in thick]
    if thick and missing:
        remedy = f"write the table again with all areas of {atlas}"
        raise InputError(tables[0].path, f"no thickness of {missing[0]} in the {side} hemisphere", remedy=remedy)
    areas = {area: AreaStats(found[area]["thickness"], found[area].get("area")) for area in wanted if area in thick}
    if areas and S1 not in areas and all((part.area or 0) > 0 for part in areas.values()):
        parts = list(areas.values())
        total = sum(part.area or 0 for part in parts)
        areas = {S1: AreaStats(sum(part.mean * (part.area or 0) for part in parts) / total, total), **areas}
    return areas


def person_of(label: str) -> str | None:
    """The participant that a first cell names, without "sub-": `01`, `sub-01`, `sub-01_ses-1`, `/data/sub-01/`."""
    name = label.rstrip("/").rpartition("/")[2]
    entity = _ENTITY.search(name.split(".long.")[0])
    return entity[1] if entity else parse_id(name)


def _s1_column(table: StatsTable, name: str) -> tuple[AreaName, Side, str] | None:
    """Area, side and measure of a column such as `lh_postcentral_thickness`; None for all that are not of S1."""
    core, _, measure = name.rpartition("_")
    if measure not in _MEASURES:
        core, measure = name, table.measure
    area = s1_area(core)
    side = None if area is None else area.side or table.side
    return None if area is None or side is None else (area, side, measure)


def _corner(text: str) -> tuple[str, Side | None]:
    """Measure and hemisphere that the table's first cell says."""
    if text.startswith("Measure:"):
        return text.removeprefix("Measure:").strip().lower(), None
    match = _CORNER.fullmatch(text)
    return (match["measure"], _SIDES[match["hemi"]]) if match else ("", None)


def _is_transposed(table: Sequence[Sequence[str]]) -> bool:
    """Whether structures are the rows: `--transpose` keeps the first cell, so that only their names tell."""
    down = {cells[0] for cells in table[1:]}
    across = set(table[0][1:])
    return _n_structures(down) > _n_structures(across)


def _n_structures(names: Iterable[str]) -> int:
    known = ("Left-Thalamus", "Left-Thalamus-Proper", "EstimatedTotalIntraCranialVol", "eTIV", "BrainSegVolNotVent")
    return sum(name in known or s1_area(name.rpartition("_")[0] or name) is not None for name in names)


def _number(path: Path, at: int, cell: str) -> float:
    value = math.nan if cell.lower() in _MISSING else finite_number(cell)
    if value is None:
        raise InputError(path, f"{quoted(cell, 30)} is not a finite number", at=at, remedy=_AGAIN)
    return value
