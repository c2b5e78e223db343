"""Whatever bytes come as a table or a design: an answer, or an error with the file's name."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.engine.inference.model import Design
from thalgpu.engine.inputs.design_table import DesignTable, read_design_table
from thalgpu.engine.inputs.fsl_design import design_from_files, read_blocks
from thalgpu.errors import InputError, NumericsError

N_EXAMPLES = int(os.environ.get("THALGPU_FUZZ", "100"))
pytestmark = pytest.mark.fault("damaged design, contrasts or participants")

MAT = b"/NumWaves 2\n/NumPoints 4\n/Matrix\n1 0\n1 0\n0 1\n0 1\n"
TSV = b'participant_id\tage\tsex\nsub-01\t30\tF\nsub-02\tn/a\t"M"\n'


def damaged(sound: bytes) -> st.SearchStrategy[bytes]:
    """A sound file with a piece replaced by other bytes."""
    at = st.integers(0, len(sound))
    other = st.one_of(st.binary(max_size=6), st.sampled_from([b"\n", b"\t", b"/Matrix\n", b'"', b"-9e99", b"\x1f\x8b"]))
    return st.builds(lambda i, n, new: sound[:i] + new + sound[i + n :], at, st.integers(0, 9), other)


T = TypeVar("T")


def outcome(read: Callable[..., T], *paths: Path) -> T | InputError | NumericsError:
    """What is read, or the error, which must fill one line and say what to do; one of a file names it."""
    found: InputError | NumericsError
    try:
        return read(*paths)
    except (InputError, NumericsError) as error:
        found = error
    assert found.remedy
    assert "\n" not in str(found)
    assert isinstance(found, NumericsError) or paths[0].name in str(found)
    return found


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(st.one_of(damaged(MAT), st.binary(max_size=80)))
def test_a_damaged_design_is_read_whole_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, contrasts = Path(folder, "d.mat"), Path(folder, "t.csv")
        path.write_bytes(content)
        contrasts.write_text("1,-1\n")
        design = outcome(design_from_files, path, contrasts)
        if isinstance(design, Design):
            assert np.isfinite(design.matrix).all()
            assert len(design.matrix) > design.matrix.shape[1] == 2
        blocks = outcome(read_blocks, path)
        assert isinstance(blocks, InputError) or blocks.dtype == np.int64


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(st.one_of(damaged(TSV), st.binary(max_size=80)))
def test_a_damaged_table_is_read_whole_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "participants.tsv")
        path.write_bytes(content)
        table = outcome(read_design_table, path)
        if isinstance(table, DesignTable):
            assert len(set(table.ids)) == len(table.ids) > 0
            assert all(len(cells) == len(table.ids) for cells in table.columns.values())
