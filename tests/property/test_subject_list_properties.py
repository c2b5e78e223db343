"""What holds for every subject list, well-formed or not."""

import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalgpu.engine.inputs.list_lines import parse_id
from thalgpu.engine.inputs.subject_list import read_subject_list
from thalgpu.errors import InputError, ThalgpuWarning

ids = st.text("ABCxyz0189", min_size=1, max_size=6)
noise = st.sampled_from(["", "   ", "# comment", "  # sub-01"])
fragments = st.sampled_from(
    [
        "participant_id",
        "bold",
        "\t",
        "\n",
        "\r\n",
        "sub-01",
        "a.nii.gz",
        "../a.nii",
        "#",
        " ",
        "n/a",
        "\0",
        "<b>",
        "session",
        "é",
    ]
)


def outcome(content: bytes, *, derivatives: bool = False) -> tuple[str, ...] | None:
    """Participant ids, or None for an InputError; anything else fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        path.write_bytes(content)
        (path.parent / "a.nii.gz").touch()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ThalgpuWarning)
                return tuple(
                    subject.participant_id
                    for subject in read_subject_list(path, derivatives=path.parent if derivatives else None)
                )
        except InputError:
            return None


@pytest.mark.fault("hostile subject list")
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_subjects_or_an_input_error(content: bytes, derivatives: bool) -> None:
    assert outcome(content, derivatives=derivatives) != ()


@pytest.mark.fault("hostile subject list")
@given(st.lists(fragments, max_size=25).map("".join), st.booleans())
def test_any_text_of_list_like_pieces_gives_sound_ids_or_an_input_error(text: str, derivatives: bool) -> None:
    found = outcome(text.encode(), derivatives=derivatives)
    assert found is None or all(parse_id(label) == label for label in found)


@given(
    st.lists(st.tuples(ids, noise), min_size=1, max_size=8, unique_by=lambda pair: pair[0]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_ids_written_into_a_list_come_back_in_order(pairs: list[tuple[str, str]], ends: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for label, _ in pairs:
            (Path(folder) / f"sub-{label}_bold.nii.gz").touch()
        path = Path(folder) / "list.txt"
        path.write_bytes(ends.join(f"{skipped}{ends}sub-{label}_bold.nii.gz" for label, skipped in pairs).encode())
        subjects = read_subject_list(path)
    assert [subject.participant_id for subject in subjects] == [label for label, _ in pairs]
    lines = ends.join(f"{skipped}{ends}x" for _, skipped in pairs).split(ends)
    assert [subject.line for subject in subjects] == [number for number, text in enumerate(lines, 1) if text == "x"]


@given(st.lists(st.tuples(ids, st.integers(1, 3)), min_size=1, max_size=5, unique_by=lambda pair: pair[0]))
def test_a_table_and_its_runs_come_back(people: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [(label, f"{label}r{run}.nii.gz") for label, n_runs in people for run in range(n_runs)]
        for _, name in rows:
            (Path(folder) / name).touch()
        path = Path(folder) / "list.tsv"
        path.write_text("participant_id\tbold\n" + "".join(f"sub-{label}\t{name}\n" for label, name in rows))
        subjects = read_subject_list(path)
    assert [(s.participant_id, run.bold.name) for s in subjects for run in s.runs] == rows
