"""How commands talk: a progress bar on a terminal, plain lines elsewhere, JSON lines on request."""

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from thalgpu.engine.progress import Event, Progress


def print_json(**fields: Any) -> None:
    """One JSON object a line, on stderr."""
    print_error(json.dumps(fields, ensure_ascii=False))


def print_line(text: str) -> None:
    """Text on stdout that is never wrapped or coloured."""
    _say(text, sys.stdout)


def print_error(text: str) -> None:
    """The same on stderr."""
    _say(text, sys.stderr)


def _say(text: str, stream: TextIO | None) -> None:
    """A reader who has gone away, a full disk or a closed stream must not end hours of work."""
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            encoding = stream.encoding or "utf-8"
            print(text.encode(encoding, errors="replace").decode(encoding), file=stream, flush=True)


@contextmanager
def show_progress(*, as_json: bool) -> "Iterator[Progress]":
    """A progress callback that suits where the output goes."""
    if as_json:
        yield _json_lines
    elif sys.stderr is not None and sys.stderr.isatty():
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
    print_error(text)


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
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    drawn = io.StringIO()
    width = shutil.get_terminal_size().columns if on_terminal else 160
    Console(file=drawn, width=width, force_terminal=on_terminal).print(table)
    print_line(drawn.getvalue().rstrip())
    if len(rows) > at_most:
        print_line(f"… and {len(rows) - at_most} more")
