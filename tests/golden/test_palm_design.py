"""The design of the PALM reference data, as PALM reads it."""

from pathlib import Path

import numpy as np

from thalgpu.engine.inputs.fsl_design import design_from_files


def test_palm_reference_design_is_read(shared_data: Path) -> None:
    folder = shared_data / "palm"
    design = design_from_files(folder / "design.csv", folder / "contrasts.csv", folder / "ftests.csv")
    assert design.matrix.shape == (24, 6)
    np.testing.assert_array_equal(design.matrix[:, :3].sum(axis=0), [8, 9, 7])
    np.testing.assert_allclose(design.matrix[:, 3:].mean(axis=0), 0, atol=1e-9)  # written with ten decimals
    assert [(c.label, c.kind) for c in design.contrasts] == [
        ("c1", "t"), ("c2", "t"), ("c3", "t"), ("c4", "t"), ("c5", "f"),
    ]  # fmt: skip
    np.testing.assert_array_equal(design.contrasts[4].weights, [[1, -1, 0, 0, 0, 0], [0, 1, -1, 0, 0, 0]])


def test_palm_exhaustive_design_is_read(shared_data: Path) -> None:
    design = design_from_files(shared_data / "palm" / "ex_design.csv", shared_data / "palm" / "ex_contrasts.csv")
    np.testing.assert_array_equal(design.matrix, np.repeat(np.eye(2), 4, axis=0))
