"""What is on the disk is vouched for by a ledger, or verified byte by byte."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from thalgpu.engine.outputs.atomic import file_sha256
from thalgpu.engine.outputs.store import is_done, read_attributes
from thalgpu.engine.pipelines.ledger import Ledger, stamps


def find_verified(
    ledger: Ledger, record: Path, key: str, tell: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any] | None:
    """What a finished record tells; None where there is none of this key, or something of it is not as it was written.

    Parameters
    ----------
    ledger : asked first; what had to be verified is noted in it.
    record : its attribute "files", where there is one, says which files beside it belong to it, with their SHA-256.
    key : of what it must be made.
    tell : the verified record's attributes → what is remembered of it, plain values only.
    """
    if (told := ledger.find(record, key)) is not None:
        return told
    (stamp,) = stamps([record])
    if not is_done(record, key):
        return None
    about = read_attributes(record)
    files: dict[str, str] = about.get("files", {})
    before = stamps([record.with_name(name) for name in files])
    if not files_match(record.parent, files):
        return None
    told = tell(about)
    ledger.note(record, key, {**dict(zip(files, before, strict=True)), record.name: stamp}, told)
    return told


def files_match(folder: Path, expected: dict[str, str]) -> bool:
    """Whether each file of the folder is there and has the SHA-256 that its record states."""
    return all((folder / name).is_file() and file_sha256(folder / name) == digest for name, digest in expected.items())
