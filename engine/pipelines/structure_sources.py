"""Where each measure comes from: one source for all, so that no difference between sources is one between people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from thalgpu.engine.inputs.freesurfer_folder import FreeSurferFolder
from thalgpu.engine.inputs.gifti import Side as Hemisphere
from thalgpu.engine.inputs.s1_names import Atlas
from thalgpu.engine.inputs.structure_list import StructureSubject
from thalgpu.engine.outputs.structure_names import Measure, Side

Source: TypeAlias = Literal["tables", "stats", "labels", "aseg", "surfaces", "maps", "meshes"]

HEMISPHERES: dict[Side, Hemisphere] = {"L": "left", "R": "right"}

WORDS: dict[tuple[Measure, Source], str] = {
    ("volumes", "tables"): "tables of asegstats2table",
    ("volumes", "stats"): "FreeSurfer's aseg.stats",
    ("volumes", "labels"): "voxels of the list's label images",
    ("volumes", "aseg"): "voxels of FreeSurfer's aseg.mgz",
    ("thickness", "tables"): "tables of aparcstats2table",
    ("thickness", "maps"): "the list's thickness maps",
    ("thickness", "surfaces"): "FreeSurfer's surfaces",
    ("thickness", "stats"): "FreeSurfer's stats files",
    ("shape", "meshes"): "meshes",
    ("shape", "labels"): "surfaces of the list's label images",
    ("shape", "aseg"): "surfaces of FreeSurfer's aseg.mgz",
}
"""Every source of every measure, the better one first."""


@dataclass(frozen=True)
class CommonSurface:
    """fsaverage, as far as vertex-wise thickness needs it.

    Attributes
    ----------
    folder : its FreeSurfer folder.
    key : SHA-256 of what is read of it.
    """

    folder: FreeSurferFolder
    key: str


@dataclass(frozen=True)
class Person:
    """One person of the list, and what the person's FreeSurfer folder offers, where there is one."""

    subject: StructureSubject
    folder: FreeSurferFolder | None


@dataclass(frozen=True)
class MeasureTask:
    """One measure of one person: what is read, and how.

    Attributes
    ----------
    person : whose.
    measure, source : what, and from where.
    files : all that is read of the person, in a fixed order.
    s1 : atlas of S1.
    s1_labels : parcellation that the maps lie on, left and right; empty for fsaverage's own.
    common : fsaverage, or None.
    group_key : SHA-256 of what is read besides and is the same for all.
    out : the output folder.
    """

    person: Person
    measure: Measure
    source: Source
    files: tuple[Path, ...]
    s1: Atlas
    s1_labels: tuple[Path, ...]
    common: CommonSurface | None
    group_key: str
    out: Path

    @property
    def participant_id(self) -> str:
        """Without "sub-"."""
        return self.person.subject.participant_id

    @property
    def words(self) -> str:
        """What to call it in the progress."""
        return f"sub-{self.participant_id} {self.measure}"


def choose_source(people: Sequence[Person], measure: Measure, atlas: Atlas) -> Source | None:
    """The source of a measure that most people have; of equals the better one; None where nobody has any."""
    found: Source | None = None
    most = 0
    for of, source in WORDS:
        if of != measure or source == "tables":
            continue
        n_people = sum(bool(files_of(person, measure, source, atlas)) for person in people)
        if n_people > most:
            found, most = source, n_people
    return found


def files_of(person: Person, measure: Measure, source: Source, atlas: Atlas) -> tuple[Path, ...]:
    """What would be read of a person; nothing where the person lacks this source."""
    finders: dict[tuple[Measure, Source], Callable[[], tuple[Path | None, ...]]] = {
        ("volumes", "stats"): lambda: _stats_files(person.folder),
        ("volumes", "labels"): lambda: (person.subject.aseg,),
        ("volumes", "aseg"): lambda: (person.folder.aseg if person.folder else None,),
        ("thickness", "maps"): lambda: tuple(person.subject.thickness.values()),
        ("thickness", "surfaces"): lambda: _surface_files(person.folder, atlas),
        ("thickness", "stats"): lambda: tuple(person.folder.stats[atlas].values()) if person.folder else (),
        ("shape", "meshes"): lambda: tuple(person.subject.meshes.values()),
        ("shape", "labels"): lambda: (person.subject.aseg,),
        ("shape", "aseg"): lambda: (person.folder.aseg if person.folder else None,),
    }
    return tuple(path for path in finders[measure, source]() if path is not None)


def common_files(folder: FreeSurferFolder, atlas: Atlas) -> tuple[Path, ...]:
    """What is read of fsaverage: spheres and parcels of both sides; nothing where something lacks."""
    sides = HEMISPHERES.values()
    if not all(side in folder.sphere for side in sides):
        return ()
    parcels = [_parcel_files(folder, side, atlas) for side in sides]
    return (
        (*(folder.sphere[side] for side in sides), *(path for files in parcels for path in files))
        if all(parcels)
        else ()
    )


def _stats_files(folder: FreeSurferFolder | None) -> tuple[Path, ...]:
    return (folder.aseg_stats, *folder.nuclei) if folder and folder.aseg_stats else ()


def _surface_files(folder: FreeSurferFolder | None, atlas: Atlas) -> tuple[Path, ...]:
    """Thickness and parcels of both sides, with areas and spheres as far as they are there."""
    if folder is None:
        return ()
    sides = HEMISPHERES.values()
    parcels = [_parcel_files(folder, side, atlas) for side in sides]
    if not all(side in folder.thickness for side in sides) or not all(parcels):
        return ()
    areas, spheres = ([found[side] for side in sides if side in found] for found in (folder.area, folder.sphere))
    flat = [path for files in parcels for path in files]
    return (*(folder.thickness[side] for side in sides), *areas, *flat, *spheres)


def _parcel_files(folder: FreeSurferFolder, side: Hemisphere, atlas: Atlas) -> tuple[Path, ...]:
    if atlas == "ba":
        return tuple(folder.ba_labels.get(side, {}).values())
    found = folder.annotations[atlas].get(side)
    return (found,) if found else ()
