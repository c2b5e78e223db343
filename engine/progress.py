"""How the engine tells what it does: events to a callback; it never prints."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes
    ----------
    kind : "stage" (a new stage of `total` steps begins), "step" (one is done) or "note" (a remark).
    text : the stage's name, the subject's id, or the remark.
    done, total : steps done, and their number, in this stage.
    seconds : what the step took.
    """

    kind: Literal["stage", "step", "note"]
    text: str
    done: int = 0
    total: int = 0
    seconds: float = 0.0


Progress: TypeAlias = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Progress that nobody watches."""
