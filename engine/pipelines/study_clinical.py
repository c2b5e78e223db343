"""The clinical side of a study: Table 1, who is a patient, and how measures go with severity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from thalgpu.engine.clinical.severity import COLUMNS, Severity, correlate_severity
from thalgpu.engine.clinical.table_one import TableOne, table_one
from thalgpu.engine.clinical.thresholds import SCORES, is_missing
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.outputs.sidecars import write_table
from thalgpu.engine.pipelines.study_people import People, only
from thalgpu.engine.pipelines.study_summaries import Summary

_USUAL = ("age", "sex", *SCORES)
"""Columns of Table 1 where the study file names none, as far as there are any."""


@dataclass(frozen=True)
class Clinical:
    """What the clinical table says.

    Attributes
    ----------
    table : Table 1, of the tested people.
    severity : correlations of measures with severity among the patients, or None.
    """

    table: TableOne
    severity: Severity | None

    def write(self, out: Path) -> None:
        """`table_one.tsv` and `severity.tsv`."""
        write_table(out / "table_one.tsv", list(self.table.columns), self.table.records)
        rows = [one.record for one in self.severity.correlations] if self.severity else []
        write_table(out / "severity.tsv", COLUMNS, rows)


def clinical_of(study: StudyFile, people: People, numbers: Sequence[Summary], *, n_perm: int, seed: int) -> Clinical:
    """Table 1 of everybody, and correlations of `numbers` with the study's severity scores among the patients."""
    variables = study.clinical["table"] or [name for name in _USUAL if name in people.table.columns]
    labels = [people.group_of[one] for one in people.ids]
    table = table_one(people.table.columns, labels, people.ids, variables, order=people.groups)
    scores = study.clinical["severity"]
    if not scores or not numbers:
        return Clinical(table, None)
    patients = patient_groups(study, people)
    columns: Mapping[str, Sequence[str]] = {**people.table.columns, "group": labels}
    severity = correlate_severity(
        {one.name: [one.values[participant] for participant in people.ids] for one in numbers},
        columns,
        people.ids,
        scores,
        covariates=(*people.covariates, *(("group",) if len(patients) > 1 else ())),
        who=[label in patients for label in labels],
        blocks=study.design["blocks"],
        whole=study.design["whole"],
        n_perm=n_perm,
        seed=seed,
    )
    return Clinical(table, severity)


def patient_groups(study: StudyFile, people: People) -> tuple[str, ...]:
    """Groups of patients: those that the study names, else all but the last."""
    named = study.clinical["patients"]
    for name in named:
        if name not in people.groups:
            raise study.error(
                "clinical", "patients", f"there is no group {name!r}", f"there are {', '.join(people.groups)}"
            )
    return tuple(group for group in people.groups if group in named) if named else people.groups[:-1]


def patients_of(study: StudyFile, people: People, *, with_score: str) -> People:
    """The patients who have a score."""
    groups = patient_groups(study, people)
    cells = dict(zip(people.ids, people.table.columns[with_score], strict=True))
    chosen = [one for one in people.ids if people.group_of[one] in groups and not is_missing(cells[one])]
    return only(replace(people, groups=groups), chosen)
