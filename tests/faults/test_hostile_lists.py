"""Lists that are damaged, mistaken for something else, or meant to do harm: one InputError, with the line."""

from pathlib import Path

import pytest

from thalgpu.engine.inputs.subject_list import read_subject_list
from thalgpu.errors import InputError

pytestmark = pytest.mark.fault("hostile subject list")

HOSTILE_IDS = [
    "<script>",
    "../x",
    "/etc/passwd",
    "a/b",
    "..",
    "sub-",
    "sub-sub-01",
    "é1",
    "a b",
    "-rf",
    "٣",
    "01\u202e",
    "*",
    "~",
]


def write(folder: Path, content: bytes) -> Path:
    path = folder / "list.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
def test_a_label_that_is_not_letters_and_digits_is_refused_with_its_line(tmp_path: Path, hostile: str) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError, match=r"is not letters and digits only \(.*:1\)"):
        read_subject_list(write(tmp_path, f"{hostile}\n".encode()), derivatives=tmp_path / "d")


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
def test_an_id_in_a_table_that_is_not_letters_and_digits_is_refused(tmp_path: Path, hostile: str) -> None:
    (tmp_path / "a.nii.gz").touch()
    table = f"participant_id\tbold\n{hostile}\ta.nii.gz\n"
    with pytest.raises(InputError, match=r"is not letters and digits only \(.*:2\)"):
        read_subject_list(write(tmp_path, table.encode()))


@pytest.mark.parametrize("name", ["<script>.nii.gz", "a-b.nii.gz", "sub-é1_bold.nii.gz", ".nii.gz", "sub-_bold.nii"])
def test_a_file_name_without_a_sound_id_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"gives no id of letters and digits \(.*:1\)"):
        read_subject_list(write(tmp_path, name.encode()))


@pytest.mark.parametrize("control", ["\0", "\x07", "\x1b", "\x7f", "\x85", "\x0b", "\x0c"])
def test_control_characters_are_refused_with_their_line(tmp_path: Path, control: str) -> None:
    (tmp_path / "sub-01_bold.nii.gz").touch()
    with pytest.raises(InputError, match=rf"control character U\+{ord(control):04X} \(.*:2\)"):
        read_subject_list(write(tmp_path, f"sub-01_bold.nii.gz\nsub{control}-02.nii.gz\n".encode()))


@pytest.mark.parametrize("empty", [b"", b"\n\n", b"# only a comment\n", b"\xef\xbb\xbf", b" \t \r\n"])
def test_an_empty_list_is_refused(tmp_path: Path, empty: bytes) -> None:
    with pytest.raises(InputError, match="names no subject"):
        read_subject_list(write(tmp_path, empty))


@pytest.mark.parametrize("wrong", ["utf-16", "latin-1"])
def test_a_list_in_another_encoding_is_refused_with_its_line(tmp_path: Path, wrong: str) -> None:
    text = "/data/Zürich/sub-01_bold.nii.gz\n"
    with pytest.raises(InputError, match=r"not UTF-8 text \(.*:1\) — save it as UTF-8"):
        read_subject_list(write(tmp_path, text.encode(wrong)))


def test_a_scan_given_as_the_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_subject_list(write(tmp_path, b"\x1f\x8b\x08\x00\x9c\xff"))


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="more than 16 MiB"):
        read_subject_list(path)


def test_a_missing_list_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        read_subject_list(tmp_path / "absent.txt")
    with pytest.raises(InputError, match="is not a file"):
        read_subject_list(tmp_path)


def test_missing_scans_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "sub-02_bold.nii.gz").touch()
    text = "".join(f"sub-{i:02d}_bold.nii.gz\n" for i in range(1, 7))
    with pytest.raises(
        InputError, match=r"no file .*sub-01.* and 4 more: line 3: .*; line 4: .*; and 2 others \(.*:1\)"
    ):
        read_subject_list(write(tmp_path, text.encode()))


@pytest.mark.parametrize("path", ["x" * 5000 + ".nii.gz", "loop/sub-01_bold.nii.gz", "folder.nii.gz"])
def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder.nii.gz").mkdir()
    with pytest.raises(InputError, match=r":1\)"):
        read_subject_list(write(tmp_path, path.encode()))


@pytest.mark.parametrize("name", ["sub-01.dlabel.nii", "sub-01.dscalar.nii", "sub-01.ptseries.nii"])
def test_cifti_files_that_are_no_dense_series_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"is no scan \(.*:1\) — give a 4-D .nii or .nii.gz, or a CIFTI .dtseries.nii"):
        read_subject_list(write(tmp_path, name.encode()))
