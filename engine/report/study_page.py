"""What the page of a whole study is filled with."""

from dataclasses import dataclass

from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.report.permute_page import Unit

Rows = tuple[tuple[str, ...], ...]
Links = tuple[tuple[str, str], ...]
"""Words and the address they lead to, relative to the page."""


@dataclass(frozen=True)
class Picture:
    """A figure for the page.

    Attributes
    ----------
    png : the file.
    caption : what a reader should know to read it; "p_FWE" is set as a subscript.
    alt : what is to be seen, for those who cannot see it; not the caption again.
    """

    png: bytes
    caption: str
    alt: str


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are text already; the first cell of a row names the row.

    Attributes
    ----------
    caption : what the table holds.
    columns : headers, the first above the rows' names.
    rows : cells, as many as there are columns.
    notes : lines below it.
    """

    caption: str
    columns: tuple[str, ...]
    rows: Rows
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResultRow:
    """What one contrast found in one part of an arm.

    Attributes
    ----------
    contrast, part : names; `part` is "" where the arm has only one.
    statistic : "t", "F", … as papers write it.
    df : degrees of freedom, as text: "79" or "2, 79".
    peak : the statistic where it is largest (for t in absolute value; signed).
    where : what or where the peak is: "S1_left", "x −8, y −22, z 6", "vertex 311".
    effect_name : "Hedges g", "partial r", "partial η²".
    effect : at the peak; `low` and `high` are its 95 % confidence limits, or None where they are not known.
    p_fwe : the smallest p corrected over the part's features.
    p_arm : the smallest p corrected over all parts of the arm, too.
    p_joint : the smallest p corrected over all arms, too.
    n_significant, n_features : features with `p_fwe` ≤ .05, of so many.
    """

    contrast: str
    part: str
    statistic: str
    df: str
    peak: float
    where: str
    effect_name: str
    effect: float
    low: float | None
    high: float | None
    p_fwe: float
    p_arm: float
    p_joint: float
    n_significant: int
    n_features: int


@dataclass(frozen=True)
class ArmPage:
    """One arm of the study: one kind of measure, tested for every contrast.

    Attributes
    ----------
    key : letters, digits and hyphens; unique, for links within the page.
    title : e.g. "Thalamic shape".
    measured : what was measured, in sentences that may stand in a methods section; citations such as "Coifman and
        Lafon 2006" put the paper among the references. `study_method` has functions that write them.
    unit : what a feature is.
    rows : one a contrast and part; all parts of a contrast together.
    pictures : its figures, the most telling first.
    reports : pages of its own commands.
    adjusted : `rows` once more with the study's `adjusted_for` among the covariates, or nothing.
    tfce : whether its maps were enhanced, and `p` values are those of TFCE.
    remarks : what the user should know.
    """

    key: str
    title: str
    measured: str
    unit: Unit
    rows: tuple[ResultRow, ...]
    pictures: tuple[Picture, ...] = ()
    reports: Links = ()
    adjusted: tuple[ResultRow, ...] = ()
    tfce: bool = False
    remarks: tuple[str, ...] = ()

    def of(self, contrast: str) -> tuple[ResultRow, ...]:
        """The rows of a contrast."""
        return tuple(row for row in self.rows if row.contrast == contrast)


@dataclass(frozen=True)
class SeverityRow:
    """How a brain measure goes with a severity score.

    Attributes
    ----------
    measure, score : their names.
    n : participants with both.
    r : correlation, partial where there are covariates; `low` and `high` are its 95 % limits, or None.
    p : by permutation; `p_fwe` is corrected over all rows.
    """

    measure: str
    score: str
    n: int
    r: float
    low: float | None
    high: float | None
    p: float
    p_fwe: float


@dataclass(frozen=True)
class SeverityPage:
    """Correlations of brain measures with severity.

    Attributes
    ----------
    rows : one a measure and score.
    covariates : what the correlations are partial on.
    of : whose they are, in words: "all patients", "all 84 participants".
    n_perm : permutations behind the p-values.
    """

    rows: tuple[SeverityRow, ...]
    covariates: tuple[str, ...]
    of: str
    n_perm: int


@dataclass(frozen=True)
class GroupGradientsPage:
    """Gradients of groups, estimated anew in every permutation (`thalgpu compare`).

    Attributes
    ----------
    measured : as an arm's.
    headlines : what was found, a sentence a comparison.
    tables : e.g. one row a comparison and component.
    pictures, reports : as an arm's.
    """

    measured: str
    headlines: tuple[str, ...]
    tables: tuple[TextTable, ...]
    pictures: tuple[Picture, ...] = ()
    reports: Links = ()


@dataclass(frozen=True)
class SubjectQuality:
    """One participant's quality.

    Attributes
    ----------
    participant : e.g. "sub-01".
    cells : as many as the table has columns after the participant's.
    flags : what stands out, in words; nothing for most.
    """

    participant: str
    cells: tuple[str, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class QualityPage:
    """Quality of every participant's measures.

    Attributes
    ----------
    columns : headers after the participant's: group, mean FD (mm), volumes kept, coverage, r with the template …
    rows : one a participant.
    criteria : what makes somebody stand out, in words, a line each.
    pictures : e.g. motion by group.
    """

    columns: tuple[str, ...]
    rows: tuple[SubjectQuality, ...]
    criteria: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class StudyPage:
    """All that the page says; text is escaped when it is rendered.

    Attributes
    ----------
    version : thalgpu's.
    title : of the study.
    facts : rows of the table of facts: inputs, versions, when, how long.
    groups : name and number of tested participants of each; their order gives them their colours.
    grouped : how participants were put into groups, thresholds included, a line each.
    design : the formula in words or symbols: "group + age + sex".
    contrasts : name, and what it asks in words; in the order of the page.
    options : of all permutation tests.
    n_perm : permutations that were done, the identity included; one set for all arms.
    exhaustive : these were all there are.
    possible : how many there are, in words.
    least_p_joint : the smallest `p_joint` that so many permutations and arms allow, or None where it is not known.
    over_contrasts : `p_arm` and `p_joint` are corrected over contrasts, too.
    table_one : the participants.
    arms : in the order of the page.
    excluded : participant and reason, for everyone who is not tested.
    covariates : nuisance variables of every test.
    severity : correlations with severity, or None.
    adjusted_for : severity scores that `ArmPage.adjusted` adds to the covariates.
    group_gradients, quality : or None.
    remarks : what the user should know.
    simulated : the participants are not real: the page says so at its top.
    """

    version: str
    title: str
    facts: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, int], ...]
    grouped: tuple[str, ...]
    design: str
    contrasts: tuple[tuple[str, str], ...]
    options: InferenceOptions
    n_perm: int
    table_one: TextTable
    arms: tuple[ArmPage, ...]
    exhaustive: bool = False
    possible: str = ""
    least_p_joint: float | None = None
    over_contrasts: bool = True
    excluded: tuple[tuple[str, str], ...] = ()
    covariates: tuple[str, ...] = ()
    severity: SeverityPage | None = None
    adjusted_for: tuple[str, ...] = ()
    group_gradients: GroupGradientsPage | None = None
    quality: QualityPage | None = None
    remarks: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def n_subjects(self) -> int:
        """Participants who are tested."""
        return sum(size for _, size in self.groups)
