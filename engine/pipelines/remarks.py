"""Warnings of the engine as words for the table, the record and the report."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from thalgpu.errors import ThalgpuWarning


@contextmanager
def collect_remarks() -> Iterator[list[str]]:
    """Yield a list that holds each ThalgpuWarning's text once the block has ended; others are warned of again."""
    remarks: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ThalgpuWarning)
        yield remarks
    for warning in caught:
        if issubclass(warning.category, ThalgpuWarning):
            remarks.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
