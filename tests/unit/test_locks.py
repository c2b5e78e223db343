"""One run an output folder."""

import errno
import fcntl
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from thalgpu.engine.outputs.atomic import LOCK_NAME
from thalgpu.engine.outputs.locks import hold
from thalgpu.errors import ResourceError

HOLDER = """
import sys
from pathlib import Path
from thalgpu.engine.outputs.locks import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold_elsewhere(out: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder until it is killed or its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, out], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.fault("two runs in one folder")
def test_a_second_run_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    with hold_elsewhere(tmp_path) as holder:
        with pytest.raises(ResourceError, match=rf"another run .* process {holder.pid} on "), hold(tmp_path):
            pytest.fail("two runs in one folder")
        holder.kill()


@pytest.mark.fault("two runs in one folder")
def test_a_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    with hold_elsewhere(tmp_path) as holder:
        holder.kill()
    assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == holder.pid
    with hold(tmp_path):
        pass


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path):
        raise ZeroDivisionError
    with hold(tmp_path):
        pass


def test_the_folder_is_made_and_the_lock_file_left_empty(tmp_path: Path) -> None:
    with hold(tmp_path / "new" / "out"):
        assert json.loads((tmp_path / "new" / "out" / LOCK_NAME).read_text()).keys() == {"pid", "host", "since"}
    assert (tmp_path / "new" / "out" / LOCK_NAME).read_bytes() == b""


@pytest.mark.fault("link or path that leads out of the folder")
def test_a_linked_lock_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "precious")
    with pytest.raises(ResourceError), hold(tmp_path):
        pytest.fail("a link was followed")
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with caplog.at_level(logging.WARNING), hold(tmp_path):
        assert "cannot be locked" in caplog.text
