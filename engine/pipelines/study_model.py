"""A study that is checked, and what a run of it did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thalgpu.engine.inference.joint_arms import JointArms
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.pipelines.compare import CompareResult
from thalgpu.engine.pipelines.study_clinical import Clinical
from thalgpu.engine.pipelines.study_measures import Measured
from thalgpu.engine.pipelines.study_people import People
from thalgpu.engine.pipelines.study_results import Tested
from thalgpu.engine.pipelines.study_share import Share
from thalgpu.engine.pipelines.study_summaries import Summary
from thalgpu.engine.report.study_page import ResultRow


@dataclass(frozen=True)
class StudyPrepared:
    """A checked request.

    Attributes
    ----------
    study : the study file.
    people : who takes part, as far as the table of participants tells.
    commands : command → what it prepared.
    out : where everything is written.
    """

    study: StudyFile
    people: People
    commands: Mapping[str, Any]
    out: Path


@dataclass
class StudyResult:
    """What a run did; a shard has nothing but its `share`.

    Attributes
    ----------
    out : the output folder.
    people : who was tested, and who was not.
    measured : where the measures are.
    tested, adjusted : the tests of the arms, and those with a severity score as a covariate.
    joined : contrast → how the arms are corrected together.
    rows, adjusted_rows : arm → a row a contrast and part.
    group_gradients : the comparison of group gradients, or None.
    numbers : what every arm comes down to, a number a person.
    clinical : Table 1 and correlations with severity.
    permutations : what they were, in words.
    warnings : remarks on the whole.
    seconds : wall time.
    interrupted : exit code of the signal that stopped the run (130 or 143), or None.
    share : what a shard has done; None for a whole run.
    """

    out: Path
    people: People
    measured: Measured = field(default_factory=Measured)
    tested: Sequence[Tested] = ()
    adjusted: Sequence[Tested] = ()
    joined: Mapping[str, JointArms] = field(default_factory=dict)
    rows: Mapping[str, Sequence[ResultRow]] = field(default_factory=dict)
    adjusted_rows: Mapping[str, Sequence[ResultRow]] = field(default_factory=dict)
    group_gradients: CompareResult | None = None
    numbers: Sequence[Summary] = ()
    clinical: Clinical | None = None
    permutations: str = ""
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: int | None = None
    share: Share | None = None
