"""FreeSurfer's stats files, versions 5 to 8: volumes, intracranial volume, thickness of S1, thalamic nuclei."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from thalgpu.engine.inference.coding import finite_number
from thalgpu.engine.inference.words import quoted
from thalgpu.engine.inputs.gifti import Side
from thalgpu.engine.inputs.s1_names import AREAS, S1, Atlas, s1_area
from thalgpu.engine.inputs.text_files import numbered_lines, read_text
from thalgpu.errors import InputError

_AGAIN = "copy the file again, or run FreeSurfer's stats again"
_ICV = ("EstimatedTotalIntraCranialVol", "eTIV", "IntraCranialVol", "ICV")
_THALAMUS = ("{side}-Thalamus", "{side}-Thalamus-Proper")
_SIDES: tuple[Side, Side] = ("left", "right")
_NUCLEUS = re.compile(r"(?P<side>left|right)[-_](?P<name>[A-Za-z][A-Za-z0-9()_-]*)", re.IGNORECASE)
_SMALLEST_ICV, _LARGEST_ICV = 3e5, 4e6
LARGEST_THALAMUS = 5e4
"""mm³ of one side; some seven times what people have."""

_THICKEST = 10.0


@dataclass(frozen=True)
class StatsFile:
    """What a stats file says.

    Attributes
    ----------
    path, sha256 : the file.
    measures : name → value of the header's `# Measure` lines, under their short and their long name.
    rows : structure → column → number; a column that is NaN or infinite, as curvatures may be, is left out of its row.
    side : hemisphere by the header (`# hemi lh`), or None.
    subject : `# subjectname`, or "".
    """

    path: Path
    sha256: str
    measures: Mapping[str, float]
    rows: Mapping[str, Mapping[str, float]]
    side: Side | None
    subject: str

    @property
    def volumes(self) -> dict[str, float]:
        """Structure → mm³, the header's measures included."""
        volumes = {name: row["Volume_mm3"] for name, row in self.rows.items() if "Volume_mm3" in row}
        return {**self.measures, **volumes}


@dataclass(frozen=True)
class AreaStats:
    """Thickness of one area of S1 as a stats file or table gives it; None for what it does not give.

    `mean` is in mm, over vertices without weights (FreeSurfer's ThickAvg); `area` is in mm².
    """

    mean: float
    area: float | None = None
    n_vertices: float | None = None


def read_stats(path: Path) -> StatsFile:
    """A stats file: `aseg.stats`, `?h.aparc.stats`, `?h.BA_exvivo[.thresh].stats`, `thalamic-nuclei.?h.….stats`.

    Raises
    ------
    InputError
        With the line: rows that do not fit the columns that the file names, text where a number should be, structures
        that appear twice, and other files.
    """
    text, sha256 = read_text(path)
    header: list[str] = []
    measures: dict[str, float] = {}
    rows: dict[str, dict[str, float]] = {}
    said: dict[str, str] = {}
    for at, line in numbered_lines(text):
        if not line.startswith("#"):
            name, row = _row(path, at, line.split(), header)
            if name in rows:
                raise InputError(path, f"{quoted(name, 40)} appears twice", at=at, remedy=_AGAIN)
            rows[name] = row
            continue
        keyword, _, rest = line.lstrip("# ").partition(" ")
        if keyword == "Measure":
            measures |= _measure(path, at, rest)
        elif keyword == "ColHeaders":
            header = rest.split()
        elif keyword in ("hemi", "subjectname", "NRows"):
            said[keyword] = rest.strip()
    if not rows and not measures:
        raise InputError(path, "no table of structures", remedy="give a stats file of FreeSurfer")
    if "NRows" in said and said["NRows"] != str(len(rows)):
        raise InputError(path, f"{len(rows)} rows where its header says {quoted(said['NRows'], 20)}", remedy=_AGAIN)
    sides: dict[str, Side] = {"lh": "left", "rh": "right"}
    return StatsFile(path, sha256, measures, rows, sides.get(said.get("hemi", "")), said.get("subjectname", ""))


def read_nuclei(path: Path) -> tuple[dict[str, float], str]:
    """Volumes of thalamic nuclei, and the SHA-256 of their file.

    Parameters
    ----------
    path : `ThalamicNuclei….volumes.txt` (lines such as `Left-MDm 812.3`), or a `thalamic-nuclei.lh.….stats` file, whose
        side is in its name.

    Returns
    -------
    volumes : `MDm_left` → mm³; the whole thalamus of the same method is `Whole_thalamus_left`.
    sha256 : hex.
    """
    text, sha256 = read_text(path)
    lines = numbered_lines(text)
    if any(line.startswith("#") for _, line in lines):
        stats = read_stats(path)
        volumes = {name: row["Volume_mm3"] for name, row in stats.rows.items() if "Volume_mm3" in row}
        return nuclei_of(path, volumes, _side_in_name(path) or stats.side), stats.sha256
    volumes = {}
    for at, line in lines:
        name, _, number = line.rpartition(" ")
        value = finite_number(number)
        if not name or value is None:
            raise InputError(path, f"{quoted(line, 40)} is not a name and a volume", at=at, remedy=_AGAIN)
        if name.strip() in volumes:
            raise InputError(path, f"{quoted(name, 40)} appears twice", at=at, remedy=_AGAIN)
        volumes[name.strip()] = value
    return nuclei_of(path, volumes), sha256


def thalamus_of(path: Path, volumes: Mapping[str, float]) -> dict[Side, float]:
    """Side → mm³ of the thalamus, by the names of FreeSurfer 5 and 6 (`Left-Thalamus-Proper`) or 7 (`Left-Thalamus`).

    InputError, in the name of the file at `path`, when either is missing, 0 or no volume of a thalamus.
    """
    found: dict[Side, float] = {}
    for side in _SIDES:
        names = [name.format(side=side.capitalize()) for name in _THALAMUS]
        value = next((volumes[name] for name in names if name in volumes), None)
        if value is None:
            raise InputError(path, f"no volume of the {side} thalamus", at=names[0], remedy="give aseg.stats")
        if not 0 < value < LARGEST_THALAMUS:
            reason = f"{value:g} mm³ is no volume of a thalamus"
            raise InputError(path, reason, at=names[0], remedy="check the segmentation of this person")
        found[side] = value
    return found


def icv_of(path: Path, volumes: Mapping[str, float]) -> float | None:
    """The intracranial volume in mm³ (eTIV), None where there is none; InputError when it cannot be believed."""
    name = next((name for name in _ICV if name in volumes), None)
    if name is None:
        return None
    if not _SMALLEST_ICV <= volumes[name] <= _LARGEST_ICV:
        reason = f"an intracranial volume of {volumes[name]:g} mm³ is not credible"
        raise InputError(path, reason, at=name, remedy="check the person's Talairach registration, or the unit")
    return volumes[name]


def nuclei_of(path: Path, volumes: Mapping[str, float], side: Side | None = None) -> dict[str, float]:
    """`MDm_left` → mm³ from names such as `Left-MDm`, or from bare ones, all of which are then of `side`."""
    found: dict[str, float] = {}
    for name, value in volumes.items():
        match = _NUCLEUS.fullmatch(name)
        if match is None and side is None:
            raise InputError(
                path, f"{quoted(name, 40)} does not say its side", remedy="give ThalamicNuclei….volumes.txt"
            )
        if value < 0:
            raise InputError(path, f"a volume of {value:g} mm³", at=name, remedy="check the segmentation")
        found[f"{match['name']}_{match['side'].lower()}" if match else f"{name}_{side}"] = value
    if not found:
        raise InputError(path, "no nucleus", remedy="give ThalamicNuclei….volumes.txt")
    return found


def s1_stats(stats: StatsFile, atlas: Atlas) -> dict[str, AreaStats]:
    """Areas of S1 in an `?h.aparc.stats` or `?h.BA_exvivo[.thresh].stats`: "S1", and the atlas's own.

    With the Brodmann areas, S1 is their mean weighted by their numbers of vertices: the mean over all their vertices,
    since FreeSurfer makes these stats with an annotation, in which no vertex is of two areas.

    Raises
    ------
    InputError
        When the file lacks an area or a column, or a thickness is not between 0 and 10 mm.
    """
    found = {}
    for name, row in stats.rows.items():
        area = s1_area(name)
        if area is not None and area.atlas == atlas:
            found[area.area] = _area_stats(stats, name, row)
    wanted = AREAS[atlas] or (S1,)
    missing = [area for area in wanted if area not in found]
    if missing:
        raise InputError(stats.path, f"no {missing[0]} among its structures", remedy=f"give the stats of {atlas}")
    if S1 not in found:
        found[S1] = joined([found[area] for area in wanted])
    return {area: found[area] for area in (S1, *AREAS[atlas])}


def joined(parts: list[AreaStats]) -> AreaStats:
    """The union of areas that do not overlap and whose numbers of vertices are known."""
    n_vertices = sum(part.n_vertices or 0 for part in parts)
    mean = sum(part.mean * (part.n_vertices or 0) for part in parts) / n_vertices
    return AreaStats(mean, sum(part.area or 0 for part in parts), n_vertices)


def require_thickness(path: Path, name: str, value: float) -> float:
    """A thickness in mm; InputError when it is not between 0 and 10."""
    if not 0 < value < _THICKEST:
        raise InputError(path, f"a thickness of {value:g} mm", at=name, remedy="check the surfaces of this person")
    return value


def _area_stats(stats: StatsFile, name: str, row: Mapping[str, float]) -> AreaStats:
    missing = [column for column in ("ThickAvg", "SurfArea", "NumVert") if column not in row]
    if missing:
        raise InputError(stats.path, f"no {missing[0]}", at=name, remedy="check the surfaces of this person")
    if row["NumVert"] <= 0 or row["SurfArea"] <= 0:
        raise InputError(stats.path, "an area without vertices", at=name, remedy="check the surfaces of this person")
    return AreaStats(require_thickness(stats.path, name, row["ThickAvg"]), row["SurfArea"], row["NumVert"])


def _measure(path: Path, at: int, text: str) -> dict[str, float]:
    """`BrainSeg, BrainSegVol, Brain Segmentation Volume, 1169408.0, mm^3` under both of its names."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) < 4:
        raise InputError(path, f"{quoted(text, 40)} is not a measure", at=at, remedy=_AGAIN)
    value = _number(path, at, parts[-2])
    return {} if value is None else {parts[0]: value, parts[1]: value}


def _row(path: Path, at: int, cells: list[str], header: list[str]) -> tuple[str, dict[str, float]]:
    if "StructName" not in header or len(cells) != len(header):
        reason = f"{len(cells)} cells under {len(header)} columns" if header else "a row before the line # ColHeaders"
        raise InputError(path, reason, at=at, remedy=_AGAIN)
    row = dict(zip(header, cells, strict=True))
    name = row.pop("StructName")
    numbers = {column: _number(path, at, cell) for column, cell in row.items()}
    return name, {column: number for column, number in numbers.items() if number is not None}


def _number(path: Path, at: int, text: str) -> float | None:
    """A number, None for NaN and infinity; InputError for text."""
    value = finite_number(text)
    if value is None and text.lower().lstrip("+-") not in ("nan", "inf"):
        raise InputError(path, f"{quoted(text, 20)} is not a number", at=at, remedy=_AGAIN)
    return value


def _side_in_name(path: Path) -> Side | None:
    match = re.search(r"(?:^|[._-])([lr])h(?:[._-])", path.name)
    return None if match is None else "left" if match[1] == "l" else "right"
