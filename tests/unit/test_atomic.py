"""Atomic files: permissions, links, temporaries, space and errors in words."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from thalgpu.engine.outputs.atomic import (
    LOCK_NAME,
    check_space,
    file_sha256,
    sweep_temporaries,
    write_bytes,
    write_text,
)
from thalgpu.errors import ResourceError


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output folder, marked as one."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / LOCK_NAME).touch()
    return folder


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "file.txt", "ü\n")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b", "file.txt"]
    assert (tmp_path / "a" / "b" / "file.txt").read_bytes() == "ü\n".encode()


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"long content")
    write_bytes(tmp_path / "file", memoryview(b"new"))
    assert (tmp_path / "file").read_bytes() == b"new"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.fault("link or path that leads out of the folder")
def test_a_linked_target_that_leads_outside_is_refused(out: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("precious")
    (out / "file").symlink_to(foreign)
    with pytest.raises(ResourceError, match="symbolic link leads out"):
        write_text(out / "file", "text")
    assert foreign.read_text() == "precious"


@pytest.mark.fault("link or path that leads out of the folder")
def test_a_linked_folder_that_leads_outside_is_refused(out: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (out / "sub-01").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResourceError, match="symbolic link leads out"):
        write_text(out / "sub-01" / "func" / "file", "text")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.fault("link or path that leads out of the folder")
def test_a_link_into_another_output_folder_is_refused(out: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / LOCK_NAME).touch()
    (out / "group").symlink_to(tmp_path / "other")
    with pytest.raises(ResourceError, match="symbolic link leads out"):
        write_text(out / "group" / "file", "text")


def test_a_link_that_stays_inside_is_replaced_not_followed(out: Path) -> None:
    (out / "kept").write_text("kept")
    (out / "file").symlink_to(out / "kept")
    write_text(out / "file", "text")
    assert (out / "kept").read_text() == "kept"
    assert not (out / "file").is_symlink()


def test_an_output_folder_may_itself_be_a_link(out: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(out)
    write_text(tmp_path / "link" / "group" / "file", "text")
    assert (out / "group" / "file").read_text() == "text"


def test_a_target_that_is_a_folder_is_an_error_in_words_and_leaves_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "file" / "inside").mkdir(parents=True)
    with pytest.raises(ResourceError, match="check the disk"):
        write_text(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupt_leaves_no_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "file", "text")
    assert list(tmp_path.iterdir()) == []


def test_the_sweep_takes_our_temporaries_only(tmp_path: Path) -> None:
    kept = ["notes.tmp", ".thalgpu-config", "file.h5"]
    (tmp_path / "sub-01").mkdir()
    for name in (*kept, "sub-01/.thalgpu-123-abcd.tmp", ".thalgpu-9-ef.tmp"):
        (tmp_path / name).touch()
    assert sweep_temporaries(tmp_path) == 2
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_the_sweep_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".thalgpu-1-a.tmp").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    assert sweep_temporaries(tmp_path / "out") == 0


def test_enough_space_is_no_error_and_creates_nothing(tmp_path: Path) -> None:
    check_space(tmp_path / "not" / "yet", 1000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("no room, no permission, no folder")
def test_too_little_space_says_how_much_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"1\.15e\+06 TB are needed"):
        check_space(tmp_path, 1 << 60)


@pytest.mark.fault("no room, no permission, no folder")
def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="not a folder"):
        check_space(tmp_path / "file" / "out", 0)


PROBE = """
import os, sys
from pathlib import Path
from thalgpu.engine.outputs.atomic import check_space, write_bytes
from thalgpu.errors import ResourceError
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for attempt in (lambda p: check_space(p, 0), lambda p: write_bytes(p / "file", b"")):
    try:
        attempt(Path(sys.argv[1]))
    except ResourceError as error:
        print(error)
"""


@pytest.mark.fault("no room, no permission, no folder")
@pytest.mark.skipif(sys.platform != "linux", reason="drops privileges as Linux does")
def test_a_folder_without_permission_is_refused_before_and_while_writing() -> None:
    # Not tmp_path: only its owner may enter that, and the refusal would be about its parents.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        run = subprocess.run([sys.executable, "-c", PROBE, folder], check=True, capture_output=True, text=True)
    assert run.stdout.splitlines() == [
        f"the folder cannot be written ({folder}) — choose a folder that you may write to",
        f"Permission denied ({folder}/file) — choose a folder that you may write to",
    ]


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"abc")
    assert file_sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
