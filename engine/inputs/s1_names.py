"""Names of the primary somatosensory cortex and its areas, as programs and atlases spell them."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from thalgpu.engine.inputs.gifti import Side

Atlas: TypeAlias = Literal["aparc", "ba", "glasser"]
ATLASES: tuple[Atlas, ...] = ("aparc", "ba", "glasser")

S1 = "S1"
"""The whole of it: the postcentral gyrus of aparc, the union of the areas of the other two."""

AREAS: dict[Atlas, tuple[str, ...]] = {
    "aparc": (),
    "ba": ("BA1", "BA2", "BA3a", "BA3b"),
    "glasser": ("area1", "area2", "area3a", "area3b"),
}
"""Atlas → its areas of S1 as outputs name them, which keeps the two apart; aparc has none below the gyrus."""

_SIDE_WORDS: dict[str, Side] = {
    "lh": "left", "l": "left", "left": "left", "rh": "right", "r": "right", "right": "right",
}  # fmt: skip
_NAME = re.compile(
    r"(?:ctx[-_])?(?:(?P<before>[lr]h|[lr]|left|right)[-_. ])?"
    r"(?:(?P<aparc>postcentral)|BA(?P<ba>1|2|3a|3b)(?:_exvivo)?(?:[._]thresh)?|(?P<glasser>1|2|3a|3b)(?P<roi>_ROI)?)"
    r"(?:[-_. ](?P<after>[lr]h|[lr]|left|right))?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class AreaName:
    """What a name means: `area` is "S1" for aparc, else one of `AREAS`; `side` is None where the name says none."""

    atlas: Atlas
    area: str
    side: Side | None


def s1_area(name: str) -> AreaName | None:
    """The part of S1 that a name of a parcel means, or None.

    Understood are `postcentral`, `ctx-lh-postcentral`, `L_postcentral` (aparc), `BA3b_exvivo`, `lh.BA3b_exvivo.thresh`,
    `BA3b` (Brodmann areas of FreeSurfer) and `L_3b_ROI`, `3b_L` (Glasser); a bare `3b` is none, since many
    atlases number their parcels.
    """
    match = _NAME.fullmatch(name.strip())
    if match is None or (match["glasser"] and not (match["before"] or match["after"] or match["roi"])):
        return None
    word = match["before"] or match["after"]
    side = _SIDE_WORDS[word.lower()] if word else None
    if match["aparc"]:
        return AreaName("aparc", S1, side)
    if match["ba"]:
        return AreaName("ba", f"BA{match['ba'].lower()}", side)
    return AreaName("glasser", f"area{match['glasser'].lower()}", side)
