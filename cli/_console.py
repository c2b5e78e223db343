"""How commands talk: a progress bar on a terminal, plain lines elsewhere, JSON lines on request."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from thalgpu.engine.progress import Event, Progress


def print_json(**fields: Any) -> None:
    """One JSON object a line, on stderr."""
    print(json.dumps(fields, ensure_ascii=False), file=sys.stderr, flush=True)


def print_line(text: str) -> None:
    """A line on stdout that is never wrapped or coloured."""
    print(text, flush=True)


@contextmanager
def show_progress(*, as_json: bool) -> "Iterator[Progress]":
    """A progress callback that suits where the output goes."""
    if as_json:
        yield _json_lines
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield _BarDisplay(bar)
    else:
        yield _plain_lines


def _json_lines(event: "Event") -> None:
    fields = {"event": event.kind, "text": event.text, "done": event.done, "total": event.total}
    print_json(**fields, seconds=round(event.seconds, 3))


def _plain_lines(event: "Event") -> None:
    if event.kind == "stage":
        text = f"{event.text}: {event.total}"
    elif event.kind == "note":
        text = event.text
    else:
        seconds = f"  {event.seconds:.1f} s" if event.seconds else ""
        text = f"  [{event.done}/{event.total}] {event.text}{seconds}"
    print(text, file=sys.stderr, flush=True)


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[subject]}"),
        console=Console(stderr=True),
    )


class _BarDisplay:
    """One bar a stage, with the name of the subject that was finished last."""

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar
        self._stage: TaskID | None = None

    def __call__(self, event: "Event") -> None:
        if event.kind == "note":
            self._bar.console.print(event.text, markup=False, highlight=False)
        elif event.kind == "stage":
            self._stage = self._bar.add_task(event.text, total=event.total, subject="")
        elif self._stage is not None:
            self._bar.update(self._stage, completed=event.done, subject=event.text)


def print_table(title: str, columns: list[str], rows: list[list[str]], *, at_most: int = 40) -> None:
    """A table of text cells; the rows after `at_most` are counted, not shown."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows[:at_most]:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    if len(rows) > at_most:
        print_line(f"… and {len(rows) - at_most} more")
