"""`thalgpu doctor`: will it work on this machine?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from thalgpu.engine.pipelines.doctor import Check

CANNOT_WORK = 5
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    folder: Annotated[Path, typer.Option(help="Where results are going to be written.")] = Path("thalgpu-out"),
) -> None:
    """Check versions, devices, disks and locks, and solve a problem with a known answer.

    Ends with 5 when something will not work, else with 0. A machine without a GPU is fine.
    """
    from thalgpu.engine.pipelines.doctor import run_doctor  # here: --help must not load NumPy

    checks = run_doctor(folder)
    _show(checks)
    failed = [check.name for check in checks if check.status == "fail"]
    print(f"\nThis will not work yet: {', '.join(failed)}." if failed else "\nThis machine is fit for thalgpu.")
    raise typer.Exit(CANNOT_WORK if failed else 0)


def _show(checks: "tuple[Check, ...]") -> None:
    """A table on a terminal; one line a check elsewhere, for logs and grep."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        for check in checks:
            print(f"{check.status:<4}  {check.name}: {check.detail}{f' — {check.remedy}' if check.remedy else ''}")
        return
    table = Table("", "check", "found", "what to do", box=None)
    for check in checks:
        # Text, not markup: a folder's name may hold square brackets
        table.add_row(Text(check.status, COLOURS[check.status]), check.name, Text(check.detail), Text(check.remedy))
    console.print(table)
