"""What a permutation test's report page says of its results."""

import pytest

from thalgpu.engine.inference.peaks import PEAK_COLUMNS
from thalgpu.engine.pipelines.permute_page import peak_cells


@pytest.mark.parametrize(
    ("size", "text"),
    [(8.0, "8"), (123.456, "123"), (999.6, "1,000"), (1000.0, "1,000"), (45678.9, "45,679"), (-1234.5, "-1,234")],
)
def test_large_numbers_of_the_peaks_have_no_exponent(size: float, text: str) -> None:
    row = dict.fromkeys(PEAK_COLUMNS) | {"cluster": 1, "size": size}
    assert peak_cells([row]) == (("cluster", "size"), (("1", text),))
