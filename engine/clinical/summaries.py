"""Numbers and counts of Table 1 in words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.words import listed

Floats = NDArray[np.float64]

NONE = "–"
"""A cell of which there is nothing to say."""

_SKEWED = 1.0
_FEWEST_FOR_SKEW = 8
_DIGITS = 3
_MOST_DECIMALS = 6


def means(samples: Sequence[Floats]) -> tuple[str, ...]:
    """Such as "46.1 ± 11.0": mean and SD of each group, all to three digits of the largest SD.

    Parameters
    ----------
    samples : each (n_g,) float64; a group of one has no SD, and one of nobody no mean.
    """
    spreads = [float(sample.std(ddof=1)) if len(sample) > 1 and np.ptp(sample) > 0 else 0.0 for sample in samples]
    largest = max(spreads)
    cells = []
    for sample, spread in zip(samples, spreads, strict=True):
        mean = _rounded(float(sample.mean()), largest) if len(sample) else NONE
        cells.append(f"{mean} ± {_rounded(spread, largest)}" if len(sample) > 1 else mean)
    return tuple(cells)


def medians_of(samples: Sequence[Floats]) -> tuple[str, ...]:
    """Such as "6.0 [4.0 to 9.0]": median and quartiles of each group, to three digits of the largest range."""
    largest = max(float(np.ptp(sample)) if len(sample) else 0.0 for sample in samples)
    cells = []
    for sample in samples:
        if not len(sample):
            cells.append(NONE)
            continue
        low, middle, high = (_rounded(float(value), largest) for value in np.percentile(sample, [25, 50, 75]))
        cells.append(f"{middle} [{low} to {high}]")
    return tuple(cells)


def share(count: int, of: int) -> str:
    """Such as "15 (54 %)"; "–" of nobody."""
    return f"{count} ({100 * count / of:.0f} %)" if of else NONE


def p_in_words(p: float) -> str:
    """Such as ".031", "<.001", "1.000"."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def skewed(name: str, groups: Sequence[str], samples: Sequence[Floats]) -> list[str]:
    """A note on groups of eight or more in which a variable's skewness is beyond 1; none if there is no such group.

    Notes
    -----
    With z the values in standard deviations: sqrt(n (n − 1)) / (n − 2) · mean z³, as SAS, SPSS and Excel have it.
    """
    found = []
    for group, sample in zip(groups, samples, strict=True):
        n = len(sample)
        if n >= _FEWEST_FOR_SKEW and np.ptp(sample) > 0:
            z = (sample - sample.mean()) / sample.std()
            skew = float(np.sqrt(n * (n - 1)) / (n - 2) * (z**3).mean())
            found += [f"{group} ({skew:+.1f})"] if abs(skew) > _SKEWED else []
    return [f"{name} is skewed in {listed(found)}: median and quartiles would describe it better."] if found else []


def _rounded(value: float, spread: float) -> str:
    """With as many decimals as give the spread three digits."""
    if spread == 0:
        return f"{value:.{_DIGITS + 1}g}"
    decimals = max(0, _DIGITS - 1 - int(np.floor(np.log10(spread))))
    return f"{value:.{decimals}f}" if decimals <= _MOST_DECIMALS and spread < 1e6 else f"{value:.{_DIGITS}g}"
