"""Volumes and thickness that tables of many people hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thalgpu.engine.inputs.freesurfer_stats import icv_of, thalamus_of
from thalgpu.engine.inputs.stats_tables import StatsTable, read_stats_table, s1_of_tables, volumes_of_tables
from thalgpu.engine.outputs.structure_names import Measure
from thalgpu.engine.pipelines.structure_request import StructureRequest
from thalgpu.engine.pipelines.structure_sources import Source
from thalgpu.errors import InputError


@dataclass(frozen=True)
class TableRow:
    """What tables say of one person: a number a column, weighted ones apart, and the intracranial volume."""

    values: Mapping[str, float]
    weighted: Mapping[str, float]
    icv: float | None = None


def table_rows(
    request: StructureRequest, sources: Mapping[Measure, Source], ids: Sequence[str], rejected: dict[str, InputError]
) -> dict[Measure, dict[str, TableRow]]:
    """Measure → participant → row, for the measures that tables give."""
    rows: dict[Measure, dict[str, TableRow]] = {}
    readers = {"volumes": request.aseg_tables, "thickness": request.aparc_tables}
    for measure, source in sources.items():
        if source != "tables":
            continue
        tables = [read_stats_table(path) for path in readers[measure]]
        rows[measure] = {}
        for who in ids:
            try:
                row = _volume_row(tables, who) if measure == "volumes" else _thickness_row(tables, who, request)
                rows[measure][who] = row
            except InputError as error:
                rejected.setdefault(who, error)
    return rows


def _volume_row(tables: Sequence[StatsTable], who: str) -> TableRow:
    path, volumes = tables[0].path, volumes_of_tables(tables, who)
    return TableRow({str(side): mm3 for side, mm3 in thalamus_of(path, volumes).items()}, {}, icv_of(path, volumes))


def _thickness_row(tables: Sequence[StatsTable], who: str, request: StructureRequest) -> TableRow:
    sides = s1_of_tables(tables, who, request.s1)
    if not sides:
        reason = f"no thickness of S1 by the names of {request.s1}"
        raise InputError(tables[0].path, reason, remedy="give --s1 of these tables, or tables of aparcstats2table")
    return TableRow(
        {f"{area}_{side}": stats.mean for side, areas in sides.items() for area, stats in areas.items()}, {}
    )
