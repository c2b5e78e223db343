"""Each CPU twin gives what the text-book formula gives in float64."""

import pytest
from judging import all_cases, expected, label, require_close, run_on_host


@pytest.mark.parametrize("case", all_cases(), ids=label)
def test_cpu_twin_equals_the_reference(case):
    require_close(case, run_on_host(case), expected(case))
