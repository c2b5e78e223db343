"""Volumes and thicknesses of a simulated person: head size, age and sex count, the group does not."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.simulate.random_streams import Purpose, stream

# Means at 46 years and an intracranial volume of 1.5 l, mm³: left; the right one is larger by the factor beside it.
PAIRED_VOLUMES: Final = {
    "Lateral-Ventricle": (8600.0, 0.92),
    "Cerebellum-White-Matter": (14800.0, 0.98),
    "Cerebellum-Cortex": (54500.0, 1.01),
    "Thalamus": (7600.0, 0.97),
    "Caudate": (3500.0, 1.03),
    "Putamen": (4900.0, 1.01),
    "Pallidum": (2000.0, 0.97),
    "Hippocampus": (4050.0, 1.03),
    "Amygdala": (1620.0, 1.07),
    "Accumbens-area": (520.0, 1.06),
    "VentralDC": (4050.0, 0.99),
}
SINGLE_VOLUMES: Final = {"3rd-Ventricle": 1150.0, "4th-Ventricle": 1750.0, "Brain-Stem": 21200.0}

# Mean thickness, mm, and area, mm², of one hemisphere.
APARC: Final = {
    "bankssts": (2.45, 1010.0), "caudalanteriorcingulate": (2.55, 660.0), "caudalmiddlefrontal": (2.50, 2200.0),
    "cuneus": (1.80, 1480.0), "entorhinal": (3.30, 420.0), "fusiform": (2.70, 3250.0),
    "inferiorparietal": (2.42, 4700.0), "inferiortemporal": (2.78, 3350.0), "isthmuscingulate": (2.40, 1020.0),
    "lateraloccipital": (2.15, 4800.0), "lateralorbitofrontal": (2.60, 2600.0), "lingual": (1.95, 3050.0),
    "medialorbitofrontal": (2.45, 1850.0), "middletemporal": (2.85, 3250.0), "parahippocampal": (2.70, 690.0),
    "paracentral": (2.32, 1380.0), "parsopercularis": (2.55, 1560.0), "parsorbitalis": (2.62, 700.0),
    "parstriangularis": (2.44, 1380.0), "pericalcarine": (1.56, 1400.0), "postcentral": (2.02, 4100.0),
    "posteriorcingulate": (2.48, 1180.0), "precentral": (2.48, 4850.0), "precuneus": (2.35, 3800.0),
    "rostralanteriorcingulate": (2.80, 740.0), "rostralmiddlefrontal": (2.34, 5750.0),
    "superiorfrontal": (2.66, 7200.0), "superiorparietal": (2.15, 5350.0), "superiortemporal": (2.75, 3800.0),
    "supramarginal": (2.50, 3900.0), "frontalpole": (2.70, 250.0), "temporalpole": (3.60, 470.0),
    "transversetemporal": (2.30, 420.0), "insula": (2.98, 2250.0),
}  # fmt: skip
BRODMANN: Final = {
    "BA1_exvivo": (2.22, 560.0), "BA2_exvivo": (2.05, 1480.0), "BA3a_exvivo": (1.64, 640.0),
    "BA3b_exvivo": (1.48, 1250.0), "BA4a_exvivo": (2.50, 1100.0), "BA4p_exvivo": (2.28, 760.0),
    "BA6_exvivo": (2.62, 3900.0), "BA44_exvivo": (2.60, 1250.0), "BA45_exvivo": (2.50, 1080.0),
    "V1_exvivo": (1.58, 2600.0), "V2_exvivo": (1.80, 3100.0), "MT_exvivo": (2.25, 430.0),
    "perirhinal_exvivo": (3.20, 190.0), "entorhinal_exvivo": (3.30, 270.0),
}  # fmt: skip
S1: Final = ("postcentral", "BA1_exvivo", "BA2_exvivo", "BA3a_exvivo", "BA3b_exvivo")

ICV_FEMALE, ICV_MALE, ICV_SD = 1.42e6, 1.60e6, 1.2e5  # mm³
_MEAN_ICV, _MEAN_AGE = 1.5e6, 46.0
_ALLOMETRY: Final = 0.6  # volumes grow with the power 0.6 of the head
_VOLUME_A_YEAR, _THICKNESS_A_YEAR = -0.0035, -0.0018  # relative


@dataclass(frozen=True)
class Brain:
    """A person's structure.

    Attributes
    ----------
    icv : intracranial volume, mm³.
    volumes : FreeSurfer's name (version 7) → mm³.
    thickness, area : "lh" and "rh" → region of APARC or BRODMANN → mm, mm².
    """

    icv: float
    volumes: dict[str, float]
    thickness: dict[str, dict[str, float]]
    area: dict[str, dict[str, float]]


def brain_of(seed: int, index: int, *, age: float, is_female: bool) -> Brain:
    """A person's volumes and thicknesses, by what FreeSurfer reports of healthy adults.

    Both thalami correlate at .9 and have an SD of a tenth of their mean: half of the variance is the person's own,
    the rest is head size and age. Thicknesses vary by about 5 %, most of it in common between hemispheres, and
    those within S1 go together.

    Parameters
    ----------
    seed, index : of the cohort, of the person.
    age : years.
    is_female : heads are smaller; given the head's size, nothing else depends on it.
    """
    rng = stream(seed, index, Purpose.BRAIN)
    icv = (ICV_FEMALE if is_female else ICV_MALE) + ICV_SD * float(np.clip(rng.normal(), -3.0, 3.0))
    return Brain(icv, _volumes(rng, icv, age), *_cortex(rng, icv, age))


def _volumes(rng: np.random.Generator, icv: float, age: float) -> dict[str, float]:
    common = _ALLOMETRY * np.log(icv / _MEAN_ICV)
    volumes = {}
    for name, (mean, ratio) in PAIRED_VOLUMES.items():
        shared, left, right = rng.standard_normal(3).clip(-3.0, 3.0)
        is_fluid = name.endswith("Ventricle")
        spread = 0.35 if is_fluid else 0.065
        years = (-4.0 if is_fluid else 1.0) * _VOLUME_A_YEAR * (age - _MEAN_AGE)
        for side, factor, own in (("Left", 1.0, left), ("Right", ratio, right)):
            volumes[f"{side}-{name}"] = float(mean * factor * np.exp(common + years + spread * shared + 0.03 * own))
    for name, mean in SINGLE_VOLUMES.items():
        volumes[name] = float(mean * np.exp(common + 0.1 * rng.standard_normal()))
    return volumes


def _cortex(
    rng: np.random.Generator, icv: float, age: float
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    regions = APARC | BRODMANN
    mean: NDArray[np.float64] = np.array(list(regions.values()))
    everywhere, somatosensory = rng.standard_normal(2).clip(-3.0, 3.0)
    here = rng.standard_normal((3, len(regions))).clip(-3.0, 3.0)  # shared, then each hemisphere's own
    growth = rng.standard_normal((3, len(regions))).clip(-3.0, 3.0)
    in_s1 = np.array([name in S1 for name in regions])
    relative = 0.02 * everywhere + _THICKNESS_A_YEAR * (age - _MEAN_AGE)
    relative = relative + np.where(in_s1, 0.035 * somatosensory + 0.02 * here[0], 0.04 * here[0])
    thickness, area = {}, {}
    for hemi, side in (("lh", 1), ("rh", 2)):
        of_region = mean[:, 0] * np.exp(relative + 0.02 * here[side])
        surface = mean[:, 1] * (icv / _MEAN_ICV) ** (2 / 3) * np.exp(0.08 * growth[0] + 0.05 * growth[side])
        thickness[hemi] = dict(zip(regions, map(float, of_region), strict=True))
        area[hemi] = dict(zip(regions, map(float, surface), strict=True))
    return thickness, area
