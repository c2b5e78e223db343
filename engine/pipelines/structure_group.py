"""The group's tables, and S1 vertices on the common surface, from all subjects' records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.freesurfer_binary import read_surface
from thalgpu.engine.inputs.freesurfer_folder import read_folder_parcels
from thalgpu.engine.inputs.s1_names import S1
from thalgpu.engine.inputs.thickness_maps import read_s1_parcels
from thalgpu.engine.outputs.store import DatasetSpec, read_record
from thalgpu.engine.outputs.structure_names import (
    CORTEX,
    SIDES,
    Measure,
    Side,
    common_mesh,
    measure_record,
    thickness_map,
)
from thalgpu.engine.outputs.surfaces import write_shape, write_surface
from thalgpu.engine.pipelines.structure_prepare import StructurePrepared
from thalgpu.engine.pipelines.structure_request import StructureRequest, StructureResult
from thalgpu.engine.pipelines.structure_rows import TableRow
from thalgpu.engine.pipelines.structure_sources import HEMISPHERES
from thalgpu.engine.pipelines.structure_subject import Measured
from thalgpu.engine.pipelines.structure_tables import (
    CompleteTable,
    adjusted_volumes,
    complete,
    write_participants,
    write_rows,
)
from thalgpu.errors import InputError

_MESH = "white"


@dataclass
class GroupTables:
    """Writes tables and notes in the result what was written and who lacks something."""

    request: StructureRequest
    prepared: StructurePrepared
    result: StructureResult

    def write(self, records: Mapping[Measure, Sequence[Measured]]) -> list[Path]:
        """All tables; the files written."""
        written: list[Path] = []
        if "volumes" in self.prepared.sources:
            written += self._volumes(self._rows("volumes", records))
        if "thickness" in self.prepared.sources:
            written += self._thickness(self._rows("thickness", records))
        return written

    def _rows(self, measure: Measure, records: Mapping[Measure, Sequence[Measured]]) -> dict[str, TableRow]:
        rows = dict(self.prepared.rows.get(measure, {}))
        for one in records.get(measure, ()):
            values, weighted = (dict(one.told.get(name, ())) for name in ("values", "weighted"))
            rows[one.task.participant_id] = TableRow(values, weighted, one.told.get("icv"))
        return rows

    def _volumes(self, rows: Mapping[str, TableRow]) -> list[Path]:
        result, out = self.result, self.request.out
        icv = {who: row.icv for who, row in sorted(rows.items()) if row.icv is not None}
        adjusting = self.request.icv != "covariate"
        if not icv:
            result.warnings.append("no intracranial volume: icv.tsv is not written")
        if len(icv) < len(rows) and (adjusting or 2 * len(icv) >= len(rows)):
            self._fail({who: "icv" for who in rows if who not in icv}, "volumes")
        table = self._complete("volumes", {who: row.values for who, row in rows.items() if not adjusting or who in icv})
        written: list[Path] = []
        if table.rows:
            table = adjusted_volumes(table, icv, self.request.icv)
            result.volumes = write_rows(out / "volumes.tsv", table.columns, table.rows)
            result.measured["volumes"] = len(table.rows)
            written.append(result.volumes)
        if icv:
            result.icv = write_rows(out / "icv.tsv", ["icv"], {who: {"icv": value} for who, value in icv.items()})
            written.append(result.icv)
        if self.request.participants is not None and icv:
            result.participants = write_participants(out / "participants.tsv", self.request.participants, icv)
            written.append(result.participants)
        return written

    def _thickness(self, rows: Mapping[str, TableRow]) -> list[Path]:
        result, out = self.result, self.request.out
        written: list[Path] = []
        plain = self._complete("thickness", {who: row.values for who, row in rows.items()})
        if plain.rows:
            result.thickness = write_rows(out / "thickness.tsv", plain.columns, plain.rows)
            result.measured["thickness"] = len(plain.rows)
            written.append(result.thickness)
        if any(row.weighted for row in rows.values()):
            weighted = self._complete("thickness", {who: row.weighted for who, row in rows.items()})
            names = {name: f"{name}_area" for name in weighted.columns}
            named = {who: {names[name]: row[name] for name in names} for who, row in weighted.rows.items()}
            result.thickness_area = write_rows(out / "thickness_area.tsv", list(names.values()), named)
            written.append(result.thickness_area)
        return written

    def _complete(self, measure: Measure, rows: Mapping[str, Mapping[str, float]]) -> CompleteTable:
        table = complete(rows)
        if table.dropped:
            few = ", ".join(table.dropped[:6]) + (" …" if len(table.dropped) > 6 else "")
            self.result.warnings.append(f"{measure}: left out, since less than half of the subjects have it: {few}")
        self._fail(table.lacking, measure)
        return table

    def _fail(self, lacking: Mapping[str, str], measure: Measure) -> None:
        for who, column in lacking.items():
            source = self.prepared.sources[measure]
            where = measure_record(self.request.out, who, measure) if source != "tables" else self.request.subjects
            error = InputError(where, f"sub-{who} has no {column}, where others have it", at=column)
            self.result.failures.setdefault(who, error)


def write_vertices(
    request: StructureRequest, prepared: StructurePrepared, records: Sequence[Measured], result: StructureResult
) -> list[Path]:
    """S1 maps on the common surface, and the surface itself where it is fsaverage; the files written.

    Outside S1 a map is 0, which `thalgpu permute` leaves out as it is the same in all.
    """
    written: list[Path] = []
    for side in SIDES:
        having = [one for one in records if f"{side}/vertices" in one.told["datasets"]]
        if not having or 2 * len(having) < len(records):
            continue
        for one in records:
            if one not in having:
                who = one.task.participant_id
                where, what = measure_record(request.out, who, "thickness"), f"no S1 vertices of hemi-{side}"
                result.failures.setdefault(who, InputError(where, f"{what} of sub-{who}, where others have them"))
        inside = _s1_of(request, prepared, side, having[0])
        if inside is None:
            continue
        maps = []
        for one in having:
            who = one.task.participant_id
            expected = {f"{side}/vertices": DatasetSpec("float32", (int(inside.sum()),))}
            values = np.zeros(len(inside))
            try:
                stored = read_record(measure_record(request.out, who, "thickness"), expected).datasets
            except InputError as error:
                result.failures.setdefault(who, error)
                continue
            values[inside] = stored[f"{side}/vertices"]
            maps.append(write_shape(thickness_map(request.out, who, side), values, CORTEX[side], "thickness"))
        result.thickness_maps[side] = maps
        written += maps
        if prepared.common is not None and prepared.sources["thickness"] == "surfaces":
            written += _write_common(request.out, prepared, side, result)
    return written


def _s1_of(
    request: StructureRequest, prepared: StructurePrepared, side: Side, first: Measured
) -> NDArray[np.bool_] | None:
    """(n_vertices,) bool: S1 on the surface that maps of thickness lie on."""
    task, hemisphere = first.task, HEMISPHERES[side]
    if task.source == "maps" and task.s1_labels:
        path = task.s1_labels[SIDES.index(side) % len(task.s1_labels)]
        return read_s1_parcels(path, hemisphere, request.s1).masks[S1]
    if prepared.common is None:
        return None
    folder = prepared.common.folder
    n_vertices = len(read_surface(folder.sphere[hemisphere]).coordinates)
    return read_folder_parcels(folder, hemisphere, request.s1, n_vertices).masks[S1]


def _write_common(out: Path, prepared: StructurePrepared, side: Side, result: StructureResult) -> list[Path]:
    """fsaverage's white surface, which a vertex test needs as --surface; nothing where it is not there."""
    assert prepared.common is not None
    path = prepared.common.folder.path / "surf" / f"{HEMISPHERES[side][0]}h.{_MESH}"
    if not path.is_file():
        result.warnings.append(f"no {path}: a test of vertices needs it as --surface")
        return []
    mesh = read_surface(path)
    result.common[side] = write_surface(common_mesh(out, side), mesh.coordinates, mesh.faces, CORTEX[side])
    return [result.common[side]]
