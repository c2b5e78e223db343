"""What the commands that work subject by subject share: cleaning as options spell it, and how a run is told."""

from typing import TYPE_CHECKING, Any, Protocol, get_type_hints

from thalgpu.cli._console import print_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thalgpu.engine.cluster.scheduler import Scheduler
    from thalgpu.engine.config import CleaningOptions


class Concerns(Protocol):
    """What was found out before a run."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Remarks on list and regions."""

    @property
    def rejected(self) -> "Mapping[str, Exception]":
        """Participant id → why it cannot be used."""


class OnScheduler(Protocol):
    """A request whose tasks may go to a Dask cluster."""

    @property
    def scheduler(self) -> "Scheduler | None":
        """Which, or None for this machine."""


class Result(Protocol):
    """What came of a run."""

    @property
    def failures(self) -> dict[str, Exception]:
        """Participant id → what went wrong."""

    @property
    def interrupted(self) -> int | None:
        """Exit code of the signal that stopped it."""


def read_cleaning(values: dict[str, Any]) -> "CleaningOptions":
    """The options of cleaning; names of confounds are separated by commas."""
    from thalgpu.engine.config import CleaningOptions
    from thalgpu.engine.pipelines.check_options import STRATEGIES

    given = {name: values[name] for name in names_of(CleaningOptions)}
    if given["confounds"] not in STRATEGIES:
        given["confounds"] = tuple(name.strip() for name in given["confounds"].split(",") if name.strip())
    return CleaningOptions(**given)


def names_of(options: type) -> list[str]:
    """The fields of a dataclass of options."""
    return list(get_type_hints(options))


def print_scheduler(request: "OnScheduler") -> None:
    """Who does the work, if it is not processes of our own, for which the plan is made."""
    if request.scheduler is None:
        return
    if request.scheduler.is_local:
        print_line("scheduler   local: a Dask cluster of this machine, for this run, encrypted and on loopback only")
    else:
        print_line(f"scheduler   {request.scheduler.place}: its workers do the work, one task each at a time")


def print_concerns(prepared: Concerns) -> None:
    """What a run would say at its end, for a dry run."""
    for remark in prepared.warnings:
        print_line(f"warning: {remark}")
    for participant_id, error in prepared.rejected.items():
        print_line(f"rejected: sub-{participant_id}: {error}")


def print_failures(result: Result) -> None:
    """Who failed, and why."""
    for participant_id, error in result.failures.items():
        print_line(f"failed: sub-{participant_id}: {error}")


def exit_code(result: Result) -> int:
    """That of the signal, else 3 where subjects failed, else 0."""
    if result.interrupted is not None:
        return result.interrupted
    return 3 if result.failures else 0
