"""Tables of all subjects: who has everything, what is adjusted, and where it is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thalgpu.engine.inputs.design_table import ID_COLUMN, read_design_table
from thalgpu.engine.outputs.sidecars import write_table
from thalgpu.engine.pipelines.structure_request import IcvMethod
from thalgpu.engine.structure.volumes import asymmetry, proportion, residual, total
from thalgpu.errors import InputError

Values = Mapping[str, float]

SIDED = ("left", "right")


@dataclass(frozen=True)
class CompleteTable:
    """Rows without a gap.

    Attributes
    ----------
    columns : those that at least half of all subjects have, in their order.
    rows : participant → column → number, by id; only those who have every column.
    lacking : participant → the first column that the participant lacks.
    dropped : columns that too few have.
    """

    columns: tuple[str, ...]
    rows: dict[str, Values]
    lacking: dict[str, str]
    dropped: tuple[str, ...]


def complete(rows: Mapping[str, Values]) -> CompleteTable:
    """Columns that at least half of the subjects have, and the subjects that have all of these."""
    counts: dict[str, int] = {}
    for row in rows.values():
        for name in row:
            counts[name] = counts.get(name, 0) + 1
    columns = tuple(name for name, count in counts.items() if 2 * count >= len(rows))
    lacking = {
        who: missing
        for who, row in rows.items()
        if (missing := next((name for name in columns if name not in row), ""))
    }
    kept = {who: rows[who] for who in sorted(rows) if who not in lacking}
    return CompleteTable(columns, kept, lacking, tuple(name for name in counts if name not in columns))


def write_rows(path: Path, columns: Sequence[str], rows: Mapping[str, Values]) -> Path:
    """A row a participant, by id."""
    named = [{ID_COLUMN: f"sub-{who}", **{name: row[name] for name in columns}} for who, row in rows.items()]
    write_table(path, [ID_COLUMN, *columns], named)
    return path


def adjusted_volumes(table: CompleteTable, icv: Mapping[str, float], method: IcvMethod) -> CompleteTable:
    """Left, right, total and nuclei, adjusted for ICV where that is asked for, and the asymmetry of what was measured.

    Raises
    ------
    NumericsError
        When the intracranial volumes give no slope.
    """
    ids = list(table.rows)
    measured = {name: np.array([table.rows[who][name] for who in ids]) for name in table.columns}
    left, right = (measured[side] for side in SIDED)
    nuclei = {name: values for name, values in measured.items() if name not in SIDED}
    columns = {"left": left, "right": right, "total": total(left, right), **nuclei}
    if method != "covariate":
        adjust = residual if method == "residual" else proportion
        sizes = np.array([icv[who] for who in ids])
        columns = {name: adjust(values, sizes) for name, values in columns.items()}
    ordered = {name: columns[name] for name in (*SIDED, "total")}
    ordered |= {"asymmetry": asymmetry(left, right)} | {name: columns[name] for name in nuclei}
    rows: dict[str, Values] = {
        who: {name: float(values[k]) for name, values in ordered.items()} for k, who in enumerate(ids)
    }
    return CompleteTable(tuple(ordered), rows, table.lacking, table.dropped)


def write_participants(path: Path, table: Path, icv: Mapping[str, float]) -> Path:
    """The participants' own table with a column `icv` behind the others; n/a where it is not known.

    Raises
    ------
    InputError
        When the table cannot be read, or has such a column already.
    """
    found = read_design_table(table)
    if "icv" in found.columns:
        raise InputError(table, "has a column icv already", at="icv", remedy="rename it, or leave out --participants")
    rows: list[dict[str, object]] = [
        {
            ID_COLUMN: f"sub-{who}",
            **{name: cells[k] or "n/a" for name, cells in found.columns.items()},
            "icv": icv.get(who),
        }
        for k, who in enumerate(found.ids)
    ]
    write_table(path, [ID_COLUMN, *found.columns, "icv"], rows)
    return path
