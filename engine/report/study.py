"""The page of a whole study: who took part, what was found in each arm and across all, and how good the data are."""

from thalgpu.engine.report import study_words as words
from thalgpu.engine.report.permute_page import ALPHA
from thalgpu.engine.report.permute_words import p_text
from thalgpu.engine.report.rendering import data_uri, render
from thalgpu.engine.report.study_method import methods_paragraph
from thalgpu.engine.report.study_page import (
    ArmPage,
    Picture,
    ResultRow,
    SeverityPage,
    StudyPage,
    SubjectQuality,
    TextTable,
)
from thalgpu.engine.report.study_papers import references
from thalgpu.engine.report.study_pictures import forest_picture


def render_study(page: StudyPage) -> str:
    """The page as one self-contained HTML text: no scripts, no network, figures inside."""
    said = methods_paragraph(page)
    contrasts = [name for name, _ in page.contrasts]
    effects = forest_picture(page.arms, contrasts)
    return render(
        "study.html",
        page=page,
        facts=words.facts(page),
        arms=[_arm(arm, page) for arm in page.arms],
        contrasts=contrasts,
        joint=[(arm.title, arm.key, [words.joint_cell(arm, name) for name in contrasts]) for arm in page.arms],
        effects=effects and _picture(effects),
        severity=page.severity and _severity(page.severity),
        adjusted=[row for arm in page.arms for row in _adjusted(arm)],
        table_one=_table(page.table_one),
        excluded=_table(
            TextTable("Participants who are not tested, and why", ("participant", "reason"), page.excluded)
        ),
        group_tables=[_table(one) for one in page.group_gradients.tables] if page.group_gradients else [],
        group_pictures=[_picture(one) for one in page.group_gradients.pictures] if page.group_gradients else [],
        quality_pictures=[_picture(one) for one in page.quality.pictures] if page.quality else [],
        quality=[_quality(row) for row in page.quality.rows] if page.quality else [],
        n_flagged=sum(bool(row.flags) for row in page.quality.rows) if page.quality else 0,
        methods=said.split("\n\n"),
        references=references(said),
        limits=list(words.limits(page)),
    )


def _picture(one: Picture) -> dict[str, object]:
    return {"uri": data_uri(one.png), "caption": one.caption, "alt": one.alt, "width": _width(one.png)}


def _width(png: bytes) -> int:
    """CSS pixels, of which an inch has 96, that a picture is wide on paper."""
    pixels = int.from_bytes(png[16:20])
    density = png.find(b"pHYs") + 4  # pixels a metre
    return round(pixels / (int.from_bytes(png[density : density + 4]) * 0.0254) * 96)


def _arm(arm: ArmPage, page: StudyPage) -> dict[str, object]:
    has_parts = any(row.part for row in arm.rows)
    return {
        "key": arm.key,
        "title": arm.title,
        "measured": arm.measured,
        "headline": words.headline(arm, page),
        "found": any(row.p_arm <= ALPHA for row in arm.rows),
        "rows": [(_result(row, with_part=has_parts), f"reach-{words.reach(row)}") for row in arm.rows],
        "has_parts": has_parts,
        "effects": words.effects_named(arm),
        "pictures": [_picture(one) for one in arm.pictures],
        "reports": arm.reports,
        "remarks": arm.remarks,
    }


def _result(row: ResultRow, *, with_part: bool) -> tuple[str, ...]:
    """Cells of a row of an arm's table."""
    return (
        row.contrast,
        *((row.part or "–",) if with_part else ()),
        words.statistic(row),
        words.minus(row.where) or "–",
        words.effect(row),
        f"{row.n_significant:,} of {row.n_features:,}",
        p_text(row.p_fwe),
        p_text(row.p_arm),
        p_text(row.p_joint),
        words.REACHES[words.reach(row)],
    )


def _table(table: TextTable) -> dict[str, object]:
    """A table whose rows are all alike."""
    return {
        "caption": table.caption,
        "columns": table.columns,
        "rows": [(tuple(words.minus(cell) for cell in cells), "") for cells in table.rows],
        "notes": table.notes,
    }


def _quality(one: SubjectQuality) -> tuple[tuple[str, ...], str]:
    """Cells of a participant, and "flagged" for somebody who stands out."""
    return (one.participant, *one.cells, "; ".join(one.flags) or "–"), "flagged" if one.flags else ""


def _severity(page: SeverityPage) -> list[tuple[tuple[str, ...], str]]:
    """Cells of each correlation, and "yes" where it is significant."""
    return [
        (
            (
                row.measure,
                row.score,
                str(row.n),
                words.fixed(row.r),
                "–" if row.low is None or row.high is None else f"{words.fixed(row.low)} to {words.fixed(row.high)}",
                p_text(row.p),
                p_text(row.p_fwe),
                "yes" if row.p_fwe <= ALPHA else "no",
            ),
            "yes" if row.p_fwe <= ALPHA else "",
        )
        for row in page.rows
    ]


def _adjusted(arm: ArmPage) -> list[tuple[tuple[str, ...], str]]:
    """Cells of each result beside the same with severity among the covariates, and "yes" where it holds."""
    before = {(row.contrast, row.part): row for row in arm.rows}
    rows: list[tuple[tuple[str, ...], str]] = []
    for after in arm.adjusted:
        main = before.get((after.contrast, after.part))
        if main is None:
            continue
        cells = (
            arm.title,
            after.contrast,
            after.part or "–",
            words.fixed(main.effect),
            p_text(main.p_arm),
            words.fixed(after.effect),
            p_text(after.p_arm),
            words.robust(main, after),
        )
        rows.append((cells, "yes" if main.p_arm <= ALPHA and after.p_arm <= ALPHA else ""))
    return rows
