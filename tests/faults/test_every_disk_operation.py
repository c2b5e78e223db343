"""Every disk operation of every command is struck; whole files remain, and a later run ends in the same bytes."""

import pytest
from disk_faults import ROWS, check_sweep, sweep_command

pytestmark = [pytest.mark.faults_long, pytest.mark.timeout(900)]

STRUCK = [
    pytest.param(name, kind, marks=pytest.mark.fault(row))
    for name in ("gradients", "structure", "connectivity", "compare")
    for kind, row in ROWS.items()
]


@pytest.fixture(scope="module")
def sweeps(commands_and_compare, tmp_path_factory):
    """What became of a command, swept once for all kinds of faults."""
    done = {}

    def once(name):
        if name not in done:
            done[name] = sweep_command(tmp_path_factory.mktemp(name), commands_and_compare[name], tuple(ROWS))
        return done[name]

    return once


@pytest.mark.parametrize(("name", "kind"), STRUCK)
def test_disk_faults_leave_whole_files_and_are_resumed_to_the_same_bytes(sweeps, name, kind, injected):
    check_sweep(sweeps(name), kind, injected)
