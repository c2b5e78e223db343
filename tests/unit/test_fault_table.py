"""The fault table is red wherever something was lost, failed or could not be tried."""

import pytest
from fault_table import Row


@pytest.mark.parametrize(
    ("row", "green"),
    [
        (Row(3, 3), True),
        (Row(0, 0), False),
        (Row(3, 2), False),
        (Row(3, 3, lost=1), False),
        (Row(3, 3, failed=["test"]), False),
    ],
    ids=["survived", "not tried", "one not survived", "a byte lost", "a test failed"],
)
def test_only_what_was_tried_and_wholly_survived_is_green(row, green):
    assert row.is_green == green
