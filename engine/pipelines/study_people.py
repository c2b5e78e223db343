"""Who takes part in a study: groups, covariates, and who has every measure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from thalgpu.engine.inference.table_design import MISSING
from thalgpu.engine.inference.words import listed
from thalgpu.engine.inputs.design_table import DesignTable, read_design_table
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.outputs.sidecars import write_table
from thalgpu.engine.pipelines.study_groups import order_of, read_groups, require_columns
from thalgpu.errors import InputError

FEWEST = 2
"""People that a group needs."""


@dataclass(frozen=True)
class People:
    """Who is tested, and who is not.

    Attributes
    ----------
    table : their rows of the table of participants, in its order.
    groups : names, in the study's order.
    group_of : participant → group.
    covariates : columns of `table` that are in the design.
    grouped : how they were put into groups, a line each.
    excluded : participant → why not; people of other groups are not among them.
    others : people of other groups → group.
    remarks : on those whom the tables name and the study has no place for.
    """

    table: DesignTable
    groups: tuple[str, ...]
    group_of: Mapping[str, str]
    covariates: tuple[str, ...]
    grouped: tuple[str, ...]
    excluded: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Participants without "sub-"."""
        return self.table.ids

    @property
    def sizes(self) -> tuple[tuple[str, int], ...]:
        """How many are in each group."""
        members = list(self.group_of.values())
        return tuple((group, members.count(group)) for group in self.groups)


def read_people(study: StudyFile) -> People:
    """Everybody with a group and a value of every covariate.

    Raises
    ------
    InputError
        For columns and groups that do not exist, and, with `missing = "error"`, for a gap.
    """
    table = read_design_table(study.study["participants"])
    require_columns(study, table)
    labels, grouped = read_groups(study, table)
    order = order_of(study, labels)
    excluded = {}
    for participant, label in labels.items():
        if label is not None and label not in order:
            continue
        gaps = [
            name
            for name in (*study.design["covariates"], *study.design["blocks"])
            if table.columns[name][table.ids.index(participant)].lower() in MISSING
        ]
        reasons = ["no clear group"] * (label is None) + [f"no value of {listed(gaps)}"] * bool(gaps)
        if reasons:
            excluded[participant] = ", ".join(reasons)
    if excluded and study.design["missing"] == "error":
        first, reason = next(iter(excluded.items()))
        raise InputError(
            table.path, f"sub-{first} has {reason}", remedy='fill it, or set missing = "drop" in the study file'
        )
    group_of = {one: label for one, label in labels.items() if label and label in order and one not in excluded}
    others = {one: label for one, label in labels.items() if label is not None and label not in order}
    return _large_enough(
        People(
            table=_rows_of(table, group_of),
            groups=order,
            group_of=group_of,
            covariates=study.design["covariates"],
            grouped=grouped,
            excluded=excluded,
            others=others,
            remarks=tuple(
                f"nobody of the group {name!r} is in the study: {_named(one for one in others if others[one] == name)}"
                for name in dict.fromkeys(others.values())
            ),
        )
    )


def with_inputs(
    people: People, path: Path, usable: Mapping[str, Collection[str]], rejected: Mapping[str, str]
) -> People:
    """Those in the subject list whose files can be used, as far as is known before anything is measured.

    Parameters
    ----------
    path : the subject list.
    usable : command → participants of the list that it can measure.
    rejected : participant → why a command cannot.
    """
    known = {one for ids in usable.values() for one in ids} | set(rejected)
    excluded = dict(people.excluded)
    for one in people.ids:
        if one not in known:
            excluded[one] = f"not in {path.name}"
        elif not all(one in ids for ids in usable.values()):
            excluded[one] = rejected[one]
    group_of = {one: group for one, group in people.group_of.items() if one not in excluded}
    found = replace(people, table=_rows_of(people.table, group_of), group_of=group_of, excluded=excluded)
    if strangers := sorted(known - set(people.ids) - set(excluded) - set(people.others)):
        remark = f"in {path.name}, but without a row in {people.table.path.name}: {_named(strangers)}"
        found = replace(found, remarks=(*people.remarks, remark))
    return _large_enough(found)


def _named(ids: Iterable[str]) -> str:
    return listed([f"sub-{one}" for one in ids], 5)


def with_measures(people: People, measured: Mapping[str, Sequence[str]], failures: Mapping[str, str]) -> People:
    """Those of whom there is every measure: one permutation set needs one list of people.

    Parameters
    ----------
    measured : what was measured, in words → participants who have it.
    failures : participant → what went wrong, where it is known.
    """
    excluded = dict(people.excluded)
    for one in people.ids:
        lacking = [words for words, ids in measured.items() if one not in ids]
        if lacking:
            excluded[one] = failures.get(one) or f"not in the results of {listed(lacking)}"
    group_of = {one: group for one, group in people.group_of.items() if one not in excluded}
    return _large_enough(replace(people, table=_rows_of(people.table, group_of), group_of=group_of, excluded=excluded))


def only(people: People, chosen: Collection[str]) -> People:
    """Some of the people; InputError where a group is left with fewer than `FEWEST`."""
    group_of = {one: group for one, group in people.group_of.items() if one in chosen}
    return _large_enough(replace(people, table=_rows_of(people.table, group_of), group_of=group_of))


def write_design(path: Path, people: People, icv: Mapping[str, float] | None, scores: Sequence[str]) -> None:
    """The table that all arms are tested with: group, covariates, icv where it is known, and scores."""
    rows = []
    for position, one in enumerate(people.ids):
        names = dict.fromkeys((*people.covariates, *scores))
        row: dict[str, object] = {"participant_id": f"sub-{one}", "group": people.group_of[one]}
        row |= {name: people.table.columns[name][position] for name in names if name != "group"}
        if icv is not None:
            row.setdefault("icv", icv.get(one))  # the participants' own, where it is a covariate
        rows.append(row)
    write_table(path, list(rows[0]), rows)


def write_excluded(path: Path, people: People) -> None:
    """Who is not tested, and why."""
    rows = [{"participant_id": f"sub-{one}", "reason": reason} for one, reason in people.excluded.items()]
    write_table(path, ["participant_id", "reason"], rows)


def _rows_of(table: DesignTable, chosen: Collection[str]) -> DesignTable:
    return table.rows([row for row, one in enumerate(table.ids) if one in chosen])


def _large_enough(people: People) -> People:
    for name, size in people.sizes:
        if size < FEWEST:
            why = next(iter(people.excluded.items()), None)
            raise InputError(
                people.table.path,
                f"{size or 'nobody'} of group {name!r} has every measure and value",
                remedy=f"sub-{why[0]}: {why[1]}" if why else "leave the group out of [groups] order",
            )
    return people
