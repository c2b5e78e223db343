"""What the parity tests share: results that several of them look at are computed once."""

from collections.abc import Callable
from types import ModuleType

import pytest
from cuda_emulator import ASCENDING, DESCENDING, using
from judging import Outcome, run_on_device
from registry import Case

SEEDED = 7
_outcomes: dict[Case, Outcome] = {}


@pytest.fixture
def emulate(emulated: ModuleType) -> Callable[[Case], Outcome]:
    """Runs a case on the emulated device, once a session: every launch in three orders of threads, to the same bits."""

    def run(case: Case) -> Outcome:
        if case not in _outcomes:
            with using(orders=(ASCENDING, DESCENDING, SEEDED)):
                _outcomes[case] = run_on_device(case, emulated)
        return _outcomes[case]

    return run
