"""Which groups a study has, and who belongs to which: from a column, or from a clinical score."""

from collections.abc import Mapping
from dataclasses import astuple

from thalgpu.engine.clinical.groups import GroupNames, controls, groups_from_score
from thalgpu.engine.clinical.thresholds import SCORES
from thalgpu.engine.inference.table_design import MISSING
from thalgpu.engine.inference.words import repeated
from thalgpu.engine.inputs.design_table import DesignTable
from thalgpu.engine.inputs.study_file import StudyFile


def require_columns(study: StudyFile, table: DesignTable) -> None:
    """InputError where the study file names a column that the table does not have."""
    by_score = study.groups["score"] is not None
    named = {**study.groups, "score_column": study.groups["score_column"] or study.groups["score"]}
    wanted = {
        "groups": ("score_column", "control_column") if by_score else ("column",),
        "design": ("covariates", "blocks"),
        "clinical": ("table", "severity", "sensitivity"),
    }
    for section, settings in wanted.items():
        for setting in settings:
            value = (named if section == "groups" else getattr(study, section))[setting]
            for name in (value,) if isinstance(value, str) else value or ():
                if name == "group" != study.groups["column"] and section != "groups" and setting != "table":
                    remedy = "rename that column: the groups of a study are called so"
                    raise study.error(section, setting, f"the column {name!r} is not the groups", remedy)
                if name not in table.columns:
                    raise study.error(
                        section,
                        setting,
                        f"{table.path.name} has no column {name!r}",
                        f"there are {', '.join(table.columns)}",
                    )


def read_groups(study: StudyFile, table: DesignTable) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Participant → group, None where there is no value; and how it was done."""
    if study.groups["score"] is not None:
        return _graded(study, table)
    column = study.groups["column"]
    cells = table.columns[column]
    labels = {one: None if cell.lower() in MISSING else cell for one, cell in zip(table.ids, cells, strict=True)}
    return labels, (f"the column {column} of {table.path.name}",)


def order_of(study: StudyFile, labels: Mapping[str, str | None]) -> tuple[str, ...]:
    """The groups of the study, in its order; InputError for groups that do not exist, and for fewer than two."""
    found = dict.fromkeys(label for label in labels.values() if label)
    usual = tuple(name for name in astuple(GroupNames()) if name in found) if study.groups["score"] else tuple(found)
    order = study.groups["order"] or usual
    for name in order:
        if name not in labels.values():
            raise study.error("groups", "order", f"nobody is in the group {name!r}", f"there are {_known(labels)}")
    if len(order) < 2:
        reason = f"one group only: {order[0]}" if order else "nobody has a group"
        raise study.error("groups", "order", reason, f"two or more are needed, there are {_known(labels) or 'none'}")
    if twice := repeated(order):
        raise study.error("groups", "order", f"the group {twice[0]!r} is there twice", "name each once")
    return tuple(order)


def _graded(study: StudyFile, table: DesignTable) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Groups from a clinical score and a column that says who has no pain."""
    settings = study.groups
    for name in ("control_column", "control_value"):
        if settings[name] is None:
            raise study.error(
                "groups", "score", f"{name} is missing", "say which column tells who has no pain, and how"
            )
    score = SCORES[settings["score"]]
    names = GroupNames()
    if settings["order"]:
        if len(settings["order"]) != 3:
            remedy = "name three: with a neuropathic component, without one, without pain"
            raise study.error("groups", "order", "groups from a score are three", remedy)
        names = GroupNames(*settings["order"])
    column = settings["score_column"] or score.name
    found = groups_from_score(
        score,
        table.columns[column],
        controls(
            table.columns[settings["control_column"]], table.ids, settings["control_column"], settings["control_value"]
        ),
        table.ids,
        names=names,
        unclear="unclear" if settings["unclear"] == "leave-out" else settings["unclear"],
        missing="drop",
    )
    return dict(zip(table.ids, found.labels, strict=True)), (found.words, *found.remarks)


def _known(labels: Mapping[str, str | None]) -> str:
    return ", ".join(sorted({label for label in labels.values() if label}))
