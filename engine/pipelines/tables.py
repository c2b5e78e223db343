"""Tables of all subjects: the summary, and the trend surfaces."""

from pathlib import Path
from typing import Any

from thalgpu.engine.outputs.names import group_paths
from thalgpu.engine.outputs.sidecars import write_table
from thalgpu.engine.pipelines.align_stage import AlignedSubject


def write_tables(out: Path, aligned: list[AlignedSubject]) -> None:
    """`group/summary.tsv` and, with a trend surface, `group/trend_surface.tsv`: one row a subject and embedding."""
    separate = any(one.record.hemisphere for one in aligned)
    for name, field in (("summary", "summary"), ("trend_surface", "trend")):
        rows = [_identity(one, separate) | getattr(one, field) for one in aligned if getattr(one, field)]
        if rows:
            write_table(group_paths(out).summary.with_stem(name), list(rows[0]), rows)


def _identity(one: AlignedSubject, separate: bool) -> dict[str, Any]:
    participant = {"participant_id": f"sub-{one.record.participant_id}"}
    return participant | ({"hemisphere": one.record.hemisphere} if separate else {})
