"""`thalgpu bids`: `thalgpu gradients` as a BIDS App, participants apart from the group."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeAlias

from thalgpu.engine.cluster.shards import Shard, Task
from thalgpu.engine.inputs.bids_folder import find_scans, participants_of, require_participants, subject_table
from thalgpu.engine.inputs.layouts import Only
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.engine.outputs.locks import check_is_ours, hold
from thalgpu.engine.outputs.names import subject_paths
from thalgpu.engine.pipelines.gradients import GradientsResult, run_gradients
from thalgpu.engine.pipelines.prepare import GradientsRequest, Prepared, prepare
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.progress import Progress, silent
from thalgpu.errors import InputError, ThalgpuError

Level: TypeAlias = Literal["participant", "group"]
LIST, EXCLUDED = "subjects.tsv", "excluded.tsv"


@dataclass(frozen=True)
class BidsRequest:
    """Everything that a user asks of `thalgpu bids`.

    Attributes
    ----------
    bids_dir : folder that holds the participants.
    level : "participant" makes each one's own records; "group" all that needs more than one.
    gradients : options and the output folder; its list is OUT/subjects.tsv.
    labels : participants, with or without "sub-"; none for all.
    derivatives : where the preprocessed scans are, or None when in `bids_dir`.
    input_type, only : which of them, as of `find_runs`.
    """

    bids_dir: Path
    level: Level
    gradients: GradientsRequest
    labels: tuple[str, ...] = ()
    derivatives: Path | None = None
    input_type: str | None = None
    only: Only = field(default_factory=dict)


@dataclass(frozen=True)
class BidsPrepared:
    """A checked request.

    Attributes
    ----------
    request : to the main job.
    prepared : of it; at group level without those whom participant level has not finished.
    listed : the subject list.
    excluded : label → why the person is not in the list, or not in the group.
    chosen : labels that this run is asked for.
    """

    request: GradientsRequest
    prepared: Prepared
    listed: str
    excluded: dict[str, ThalgpuError]
    chosen: tuple[str, ...]


@dataclass(frozen=True)
class Picked(Shard):
    """Participants by name, where a shard takes every N-th: `places` in the list of all."""

    labels: tuple[str, ...] = ()
    places: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """That of the only participant; otherwise one that only the same participants have."""
        few = "-".join(self.labels)
        return f"sub-{few}" if len(self.labels) == 1 else sha256(few.encode()).hexdigest()[:16]

    def mine(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Those of the participants."""
        return [tasks[place] for place in self.places]


def prepare_bids(request: BidsRequest) -> BidsPrepared:
    """Find the participants and check all that can be checked without reading a scan; nothing is written.

    Raises
    ------
    InputError, UsageError, NumericsError
        A label that does not exist, no participant with a scan, and as `prepare`.
    ResourceError
        When one subject does not fit into memory.
    """
    out = request.gradients.out
    check_is_ours(out)
    there = participants_of(request.bids_dir)
    chosen = require_participants(request.bids_dir, request.labels) or there
    with collect_remarks() as remarks:
        found = find_scans(
            request.bids_dir,
            chosen if request.level == "group" else there,
            out / LIST,
            derivatives=request.derivatives,
            input_type=request.input_type,
            only=request.only,
        )
    gradients = replace(request.gradients, subjects=out / LIST, derivatives=None, input_type=None, shard=None)
    prepared = prepare(gradients, found.subjects)
    prepared = replace(prepared, warnings=(*remarks, *prepared.warnings))
    excluded: dict[str, ThalgpuError] = dict(found.left_out)
    if request.level == "group":
        excluded |= _unfinished(gradients, prepared)
        prepared = without(prepared, excluded)
    else:
        gradients = replace(gradients, shard=_picked(prepared, chosen, excluded))
    return BidsPrepared(gradients, prepared, subject_table(found.subjects), excluded, chosen)


def run_bids(
    request: BidsRequest, progress: Progress = silent, *, prepared: BidsPrepared | None = None
) -> GradientsResult:
    """Run one level; what is done already is verified and skipped.

    Participant level may run many times at once in one output folder, group level once it is done.

    Parameters
    ----------
    request : what to do.
    progress : told of every stage and step.
    prepared : `prepare_bids(request)` where the caller has it already.

    Returns
    -------
    As `run_gradients`; `failures` are those of the participants that were asked for.

    Raises
    ------
    InputError, UsageError, NumericsError, ResourceError
        As `prepare_bids` and `run_gradients`.
    """
    ready = prepared or prepare_bids(request)
    out, shard = ready.request.out, ready.request.shard
    with hold(out, shard.name if shard else None):
        _write_if_new(out / LIST, ready.listed)
        if shard is None:
            _write_excluded(out / EXCLUDED, ready.excluded)
    result = run_gradients(ready.request, progress, prepared=ready.prepared)
    failures = result.failures | (ready.excluded if shard else {})
    result.failures = {label: error for label, error in failures.items() if label in ready.chosen}
    return result


def without(prepared: Prepared, excluded: dict[str, ThalgpuError]) -> Prepared:
    """The same without some subjects, who count as rejected; InputError when nobody is left."""
    subjects = tuple(subject for subject in prepared.subjects if subject.participant_id not in excluded)
    if not subjects:
        raise next(iter(excluded.values()))
    plan = replace(prepared.plan, n_subjects=len(subjects))
    return replace(prepared, subjects=subjects, rejected={**excluded, **prepared.rejected}, plan=plan)


def read_excluded(out: Path) -> dict[str, ThalgpuError]:
    """Whom the group level in this folder has left out, and why; empty where there is no such table."""
    path = out / EXCLUDED
    if not path.is_file():
        return {}
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    if any(len(row) != 2 for row in rows):
        raise InputError(path, "is not the table that was written", remedy="run group level again")
    return {name.removeprefix("sub-"): ThalgpuError(reason) for name, reason in rows}


def _write_excluded(path: Path, excluded: dict[str, ThalgpuError]) -> None:
    rows = [("participant_id", "reason"), *((f"sub-{label}", str(error)) for label, error in excluded.items())]
    if excluded:
        write_text(path, "".join(f"{name}\t{' '.join(reason.splitlines())}\n" for name, reason in rows))
    else:
        path.unlink(missing_ok=True)


def _write_if_new(path: Path, text: str) -> None:
    """Not for its own sake: others may be reading it."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _picked(prepared: Prepared, chosen: Sequence[str], excluded: dict[str, ThalgpuError]) -> Picked:
    """The chosen among the usable; the reason why the first one is not, when none is."""
    places = [place for place, one in enumerate(prepared.subjects) if one.participant_id in chosen]
    if not places:
        raise ({**excluded, **prepared.rejected})[chosen[0]]
    labels = tuple(prepared.subjects[place].participant_id for place in places)
    return Picked(1, len(prepared.subjects), labels, tuple(places))


def _unfinished(request: GradientsRequest, prepared: Prepared) -> dict[str, ThalgpuError]:
    """Who has no record yet."""
    missing: dict[str, ThalgpuError] = {}
    for subject in prepared.subjects:
        label = subject.participant_id
        paths = [subject_paths(request.out, label, part.hemisphere).record for part in prepared.parts]
        if not all(path.is_file() for path in paths):
            remedy = f"run participant level with --participant-label {label}, which says why if it fails"
            missing[label] = InputError(paths[0].parent, "not finished at participant level", remedy=remedy)
    return missing
