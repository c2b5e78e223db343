"""From a study's results to its report page."""

from thalgpu import __version__
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.engine.outputs.sidecars import software_versions
from thalgpu.engine.pipelines.compare_tables import summary_rows
from thalgpu.engine.pipelines.study_arm_pages import arm_page
from thalgpu.engine.pipelines.study_clinical import patient_groups
from thalgpu.engine.pipelines.study_model import StudyPrepared, StudyResult
from thalgpu.engine.pipelines.study_quality import quality_page
from thalgpu.engine.pipelines.study_request import StudyRequest
from thalgpu.engine.report.permute_words import p_text
from thalgpu.engine.report.study import render_study
from thalgpu.engine.report.study_page import (
    GroupGradientsPage,
    SeverityPage,
    SeverityRow,
    StudyPage,
    TextTable,
)

_SIMULATED = "truth.h5"
"""A file that stands beside the participants of a simulated cohort."""


def write_report(request: StudyRequest, prepared: StudyPrepared, result: StudyResult) -> None:
    """`report.html` of this study."""
    write_text(result.out / "report.html", render_study(study_page(request, prepared, result)))


def study_page(request: StudyRequest, prepared: StudyPrepared, result: StudyResult) -> StudyPage:
    """All that the page says."""
    study, people = prepared.study, result.people
    first = result.tested[0]
    least = max(joint.least_p_joint for joint in result.joined.values())
    assert result.clinical is not None
    table = result.clinical.table
    return StudyPage(
        version=__version__,
        title=study.study["title"],
        facts=(
            ("study file", study.path.name),
            ("participants", study.study["participants"].name),
            ("subject list", study.study["subjects"].name),
            ("versions", ", ".join(f"{name} {version}" for name, version in software_versions().items())),
        ),
        groups=people.sizes,
        grouped=people.grouped,
        design=" + ".join(["group", *people.covariates]),
        contrasts=tuple((name, "") for name in result.joined),
        options=first.test.request.options,
        n_perm=first.found[0].result.n_perm,
        table_one=TextTable("Participants", table.header, table.cells, table.notes),
        arms=tuple(arm_page(arm, request, prepared, result, result.numbers) for arm in result.rows),
        exhaustive="exhaustive" in result.permutations,
        possible=result.permutations,
        least_p_joint=least,
        over_contrasts=False,
        excluded=tuple((f"sub-{one}", reason) for one, reason in people.excluded.items()),
        covariates=people.covariates,
        severity=_severity(prepared, result),
        adjusted_for=(study.clinical["sensitivity"],) if result.adjusted else (),
        group_gradients=_group_gradients(prepared, result),
        quality=quality_page(result),
        remarks=tuple(result.warnings),
        simulated=(study.study["participants"].parent / _SIMULATED).exists(),
    )


def _severity(prepared: StudyPrepared, result: StudyResult) -> SeverityPage | None:
    assert result.clinical is not None
    found = result.clinical.severity
    if found is None:
        return None
    rows = tuple(
        SeverityRow(one.measure, one.score, one.n, one.r, one.low, one.high, one.p, one.p_fwe_joint)
        for one in found.correlations
    )
    groups = " and ".join(patient_groups(prepared.study, result.people))
    return SeverityPage(rows, found.covariates, f"{len(found.ids)} participants of {groups}", found.n_perm)


def _component(row: dict[str, object]) -> int:
    return int(str(row["map"]).rpartition("-")[2])


def _group_gradients(prepared: StudyPrepared, result: StudyResult) -> GroupGradientsPage | None:
    """The components that are tested in single people, too; the comparison's own report has all."""
    components = prepared.study.arms["gradients"]["components"] if "gradients" in prepared.study.arms else ()
    found = result.group_gradients
    if found is None:
        return None
    rows = [row for one in found.found for row in summary_rows(one) if _component(row) in components]
    headlines = tuple(_headline(name, rows) for name in dict.fromkeys(row["comparison"] for row in rows))
    cells = tuple(
        (
            row["comparison"],
            f"gradient {_component(row)}",
            f"{row['smallest']:.3g} to {row['largest']:.3g}",
            f"{row['n_significant']} of {row['n_voxels']}",
            p_text(row["smallest_p"]),
        )
        for row in rows
    )
    table = TextTable(
        "Differences of group gradients",
        ("comparison", "map", "difference", "significant voxels", "smallest p_FWE"),
        cells,
    )
    measured = (
        "Gradients of each group's mean affinity were compared; in every one of "
        f"{found.found[0].comparison.permutations.n_perm:,} permutations group means, eigenvectors and alignment were "
        "computed anew."
    )
    return GroupGradientsPage(
        measured, headlines, (table,), reports=(("report of the comparison", "group_gradients/report.html"),)
    )


def _headline(name: str, rows: list[dict[str, object]]) -> str:
    mine = [row for row in rows if row["comparison"] == name]
    found = [str(_component(row)) for row in mine if row["n_significant"]]
    return (
        f"{name}: gradient {' and '.join(found)} differ{'s' * (len(found) == 1)}."
        if found
        else f"{name}: nothing is significant."
    )
