"""Age, sex and clinical scores of simulated participants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from thalgpu.engine.simulate.random_streams import Purpose, stream


@dataclass(frozen=True)
class _Profile:
    """A group: ranges of painDETECT and DN4 (inclusive), NeuPSIG grades, and means of the other scores."""

    pain_detect: tuple[int, int]
    dn4: tuple[int, int]
    grades: tuple[str, ...]
    intensity: float
    disability: float
    duration: float


# painDETECT -1 … 38: at most 12 means a neuropathic component is unlikely, at least 19 likely (Freynhagen et al. 2006).
# DN4 0 … 10: at least 4 is positive (Bouhassira et al. 2005). Pain-free controls have neither pain nor disability.
_PROFILES: Final = {
    "neuCLBP": _Profile((19, 34), (4, 9), ("probable", "definite"), intensity=6.3, disability=44.0, duration=9.0),
    "nonneuCLBP": _Profile((3, 12), (0, 3), ("unlikely", "possible"), intensity=4.3, disability=27.0, duration=7.0),
}
_PAIN_FREE: Final = _Profile((-1, 2), (0, 1), ("unlikely",), intensity=0.3, disability=2.0, duration=0.0)

COLUMNS: Final = (
    *("participant_id", "group", "age", "sex", "painDETECT", "DN4", "NeuPSIG"),
    *("pain_intensity", "disability", "pain_duration"),
)


def participant(seed: int, index: int, participant_id: str, group: str) -> dict[str, str]:
    """One row of participants.tsv; groups other than neuCLBP and nonneuCLBP are pain-free.

    Age in years (no group difference), sex F or M, painDETECT -1 … 38, DN4 0 … 10, NeuPSIG's grade, pain intensity
    0 … 10, disability (Oswestry) 0 … 100 %, pain duration in years.
    """
    rng = stream(seed, index, Purpose.PHENOTYPE)
    profile = _PROFILES.get(group, _PAIN_FREE)
    is_female = rng.random() < 0.55
    severity = rng.normal()  # shared, so that the scores of one person go together
    scores = {
        "age": f"{np.clip(rng.normal(46.0, 11.0), 20.0, 72.0):.0f}",
        "sex": "F" if is_female else "M",
        "painDETECT": str(_within(profile.pain_detect, severity + 0.5 * rng.normal())),
        "DN4": str(_within(profile.dn4, severity + 0.7 * rng.normal())),
        "NeuPSIG": profile.grades[int(rng.random() * len(profile.grades))],
        "pain_intensity": _score(profile.intensity * (1 + 0.15 * severity + 0.15 * rng.normal()), 10.0),
        "disability": _score(profile.disability * (1 + 0.2 * severity + 0.2 * rng.normal()), 100.0),
        "pain_duration": _score(profile.duration * rng.lognormal(0.0, 0.5), 60.0),
    }
    return {"participant_id": participant_id, "group": group, **scores}


def participants_tsv(rows: Sequence[dict[str, str]]) -> str:
    """A BIDS participants table."""
    return "\n".join("\t".join(row) for row in (COLUMNS, *([row[name] for name in COLUMNS] for row in rows))) + "\n"


def _within(limits: tuple[int, int], z: float) -> int:
    """A whole number inside the limits, their middle at z = 0 and their ends at z = ±2."""
    low, high = limits
    return int(np.clip(round((low + high) / 2 + z * (high - low) / 4), low, high))


def _score(value: float, maximum: float) -> str:
    return f"{np.clip(value, 0.0, maximum):.1f}"
