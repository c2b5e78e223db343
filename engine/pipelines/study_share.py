"""A shard of a study: its share of all that is a subject's own, and nothing of what needs everybody."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from thalgpu.engine.cluster.interrupts import Interrupts
from thalgpu.engine.cluster.shards import ShardDone
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.pipelines.connectivity import run_connectivity
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.structure import run_structure
from thalgpu.engine.pipelines.study_measures import named
from thalgpu.engine.pipelines.study_request import (
    StudyRequest,
    connectivity_request,
    gradients_request,
    structure_request,
)
from thalgpu.engine.progress import Progress

_COMMANDS: Mapping[str, tuple[Callable[[StudyRequest, StudyFile], Any], Callable[..., Any]]] = {
    "gradients": (gradients_request, run_gradients),
    "structure": (structure_request, run_structure),
    "connectivity": (connectivity_request, run_connectivity),
}
"""Command → what is asked of it, and who does it."""


@dataclass
class Share:
    """What a shard has done.

    Attributes
    ----------
    done : command → how much of its share.
    failures : participant → what went wrong first, as far as this shard knows.
    warnings : remarks of the commands.
    interrupted : exit code of the signal that stopped it (130 or 143), or None.
    """

    done: dict[str, ShardDone] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    interrupted: int | None = None


def measure_share(
    request: StudyRequest, study: StudyFile, prepared: Mapping[str, Any], progress: Progress, interrupts: Interrupts
) -> Share:
    """Run this shard's share of every command, one after the other; what is done is verified and skipped.

    Parameters
    ----------
    request : of a shard.
    prepared : command → what it prepared.
    interrupts : of the whole study; a signal may come while a command's last record is written.
    """
    share = Share()
    for name, one in prepared.items():
        ask, run = _COMMANDS[name]
        result = run(ask(request, study), named(progress, name), prepared=one)
        share.failures = {who: f"{name}: {error}" for who, error in result.failures.items()} | share.failures
        share.warnings += [f"{name}: {remark}" for remark in result.warnings]
        if interrupts.requested:
            share.interrupted = interrupts.exit_code
            break
        share.done[name] = result.shard
    return share
