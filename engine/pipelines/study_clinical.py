"""The clinical side of a study: Table 1, who is a patient, and how measures go with severity."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from thalgpu.engine.clinical.severity import COLUMNS, Severity, correlate_severity
from thalgpu.engine.clinical.table_one import TableOne, table_one
from thalgpu.engine.clinical.thresholds import SCORES, is_missing
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.outputs.sidecars import write_table
from thalgpu.engine.pipelines.study_design import check_design, contrasts_among
from thalgpu.engine.pipelines.study_people import People, only
from thalgpu.engine.pipelines.study_summaries import Summary
from thalgpu.errors import NumericsError

_USUAL = ("age", "sex", *SCORES)
"""Columns of Table 1 where the study file names none, as far as there are any."""


@dataclass(frozen=True)
class Clinical:
    """What the clinical table says.

    Attributes
    ----------
    table : Table 1, of the tested people.
    severity : correlations of measures with severity among the patients, or None.
    remarks : on the correlations.
    """

    table: TableOne
    severity: Severity | None
    remarks: tuple[str, ...] = ()

    def write(self, out: Path) -> None:
        """`table_one.tsv` and `severity.tsv`."""
        write_table(out / "table_one.tsv", list(self.table.columns), self.table.records)
        rows = [one.record for one in self.severity.correlations] if self.severity else []
        write_table(out / "severity.tsv", COLUMNS, rows)


def check_clinical(study: StudyFile, people: People) -> None:
    """What Table 1, severity and the sensitivity run would refuse, before anything is measured.

    Raises
    ------
    InputError
        What the tests would refuse, with the line of the study file that asks for them.
    """
    for setting in ("severity", "sensitivity"):
        scores = study.clinical[setting] or ()
        for name in (scores,) if isinstance(scores, str) else scores:
            if name in people.covariates:
                raise study.error(
                    "clinical", setting, f"{name} is a covariate, too", "name another score, or drop the covariate"
                )
    with _asked_by(study, "table"):
        _table_one(study, people)
    position = {one: float(number) for number, one in enumerate(people.ids)}
    with _asked_by(study, "severity"):
        _severity(study, people, [Summary("", "anything", position)], n_perm=1, seed=0)
    if (score := study.clinical["sensitivity"]) is None:
        return
    with _asked_by(study, "sensitivity"):
        patients = patients_of(study, people, with_score=score)
        if contrasts := contrasts_among(study, people, patients.groups):
            alike = alike_in(patients, patients.ids)
            check_design(study, patients, [*(one for one in people.covariates if one not in alike), score], contrasts)


@contextmanager
def _asked_by(study: StudyFile, setting: str) -> Iterator[None]:
    """What goes wrong, said of the setting that asks for it."""
    try:
        yield
    except NumericsError as error:
        raise study.error("clinical", setting, f"{setting}: {error.what}", error.remedy) from error


def clinical_of(study: StudyFile, people: People, numbers: Sequence[Summary], *, n_perm: int, seed: int) -> Clinical:
    """Table 1 of everybody, and correlations of `numbers` with the study's severity scores among the patients.

    Correlations that too few people are left for are left out with a remark: everything else is there by now.
    """
    table = _table_one(study, people)
    try:
        severity, remarks = _severity(study, people, numbers, n_perm=n_perm, seed=seed)
    except NumericsError as error:
        return Clinical(table, None, (f"no correlations with severity: {error}",))
    return Clinical(table, severity, tuple(f"correlations with severity: {remark}" for remark in remarks))


def alike_in(people: People, chosen: Collection[str]) -> dict[str, str]:
    """Covariates that are the same in all of some people, who cannot be adjusted for them: name → value."""
    rows = [position for position, one in enumerate(people.ids) if one in chosen]
    found = {name: {people.table.columns[name][row].strip() for row in rows} for name in people.covariates}
    return {name: values.pop() for name, values in found.items() if len(values) == 1 and name != "group"}


def alike_words(alike: Mapping[str, str]) -> tuple[str, ...]:
    """A remark a covariate."""
    return tuple(f"{name} is {value} for all patients, and not among the covariates" for name, value in alike.items())


def _table_one(study: StudyFile, people: People) -> TableOne:
    variables = study.clinical["table"] or [name for name in _USUAL if name in people.table.columns]
    labels = [people.group_of[one] for one in people.ids]
    return table_one(people.table.columns, labels, people.ids, variables, order=people.groups)


def _severity(
    study: StudyFile, people: People, numbers: Sequence[Summary], *, n_perm: int, seed: int
) -> tuple[Severity | None, tuple[str, ...]]:
    scores = study.clinical["severity"]
    if not scores or not numbers:
        return None, ()
    patients = patient_groups(study, people)
    labels = [people.group_of[one] for one in people.ids]
    columns: Mapping[str, Sequence[str]] = {
        **people.table.columns,
        "group": [f"group {label}" for label in labels],  # a category, though the groups be 1 and 2
    }
    who = [
        label in patients and not any(is_missing(people.table.columns[score][row]) for score in scores)
        for row, label in enumerate(labels)
    ]
    alike = alike_in(people, [one for one, is_in in zip(people.ids, who, strict=True) if is_in])
    several = len({label for label, is_in in zip(labels, who, strict=True) if is_in}) > 1
    severity = correlate_severity(
        {one.name: [one.values[participant] for participant in people.ids] for one in numbers},
        columns,
        people.ids,
        scores,
        covariates=(*(one for one in people.covariates if one not in alike), *(("group",) if several else ())),
        who=[label in patients for label in labels],
        blocks=study.design["blocks"],
        whole=study.design["whole"],
        n_perm=n_perm,
        seed=seed,
    )
    return severity, (*severity.remarks, *alike_words(alike))


def patient_groups(study: StudyFile, people: People) -> tuple[str, ...]:
    """Groups of patients: those that the study names, else all but the last."""
    named = study.clinical["patients"]
    is_told = named or study.groups["order"] or study.groups["score"]
    if not is_told and (study.clinical["severity"] or study.clinical["sensitivity"]):
        known = ", ".join(people.groups)
        raise study.error("clinical", "patients", "patients is missing", f"name the groups of patients among {known}")
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
