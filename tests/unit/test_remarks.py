"""Warnings of the engine become words; those of others are not swallowed."""

import warnings

from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.errors import EigengapWarning, ThalgpuWarning


def test_our_warnings_are_collected_in_order():
    with collect_remarks() as remarks:
        warnings.warn(ThalgpuWarning("first"), stacklevel=1)
        warnings.warn(EigengapWarning("second"), stacklevel=1)
    assert remarks == ["first", "second"]


def test_the_warnings_of_others_reach_whoever_listens():
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with collect_remarks() as remarks:
            warnings.warn("overflow", RuntimeWarning, stacklevel=1)
    assert [str(warning.message) for warning in heard] == ["overflow"]
    assert remarks == []
