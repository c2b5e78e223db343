"""SIGINT and SIGTERM as a request to stop: what runs may finish, nothing new starts."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

PATIENCE_SECONDS = 28.0
"""How long after a signal the run may go on before it counts as a second one: schedulers kill after 30 s."""


@dataclass
class Interrupts:
    """The signal that asked for a stop, if any, and when (monotonic seconds)."""

    signal_number: int | None = None
    since: float = 0.0

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self.signal_number is not None

    @property
    def exit_code(self) -> int:
        """128 + signal number, as shells report it: 130 or 143."""
        return 128 + (self.signal_number or 0)


_of_all: Interrupts | None = None
"""Of the `catch_interrupts` that is at work in the main thread."""


class Interrupted(BaseException):
    """A second signal: stop at once."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


@contextlib.contextmanager
def catch_interrupts() -> Iterator[Interrupts]:
    """Note the first signal; raise `Interrupted` on the second, or when patience ends. Old handlers come back.

    Inside another `catch_interrupts` it gives that one's: a signal to one part of a run stops the whole.
    """
    global _of_all
    if threading.current_thread() is not threading.main_thread():
        yield Interrupts()  # Python delivers signals to the main thread only
        return
    if _of_all is not None:
        yield _of_all
        return

    interrupts = _of_all = Interrupts()
    reminders: list[threading.Timer] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if interrupts.requested:
            raise Interrupted(number)
        interrupts.signal_number, interrupts.since = number, time.monotonic()
        reminders.append(threading.Timer(PATIENCE_SECONDS, os.kill, (os.getpid(), number)))
        reminders[0].daemon = True
        reminders[0].start()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        _of_all = None
        for reminder in reminders:
            reminder.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
