"""How bright tissues are: Hounsfield units by contrast phase."""

from dataclasses import dataclass

import numpy as np

# (low, high) in HU, by phase.
Range = tuple[float, float]
PHASES: dict[str, dict[str, Range]] = {
    "unenhanced": {
        "cortex": (22, 40),
        "medulla": (22, 40),
        "spleen": (38, 58),
        "liver": (25, 68),
        "artery": (30, 50),
        "vein": (28, 48),
        "heart": (30, 48),
        "pancreas": (20, 48),
    },
    "arterial": {
        "cortex": (120, 240),
        "medulla": (40, 110),
        "spleen": (80, 190),
        "liver": (55, 95),
        "artery": (180, 400),
        "vein": (40, 150),
        "heart": (120, 320),
        "pancreas": (70, 130),
    },
    "portal": {
        "cortex": (130, 230),
        "medulla": (110, 210),
        "spleen": (95, 150),
        "liver": (85, 140),
        "artery": (110, 200),
        "vein": (110, 190),
        "heart": (110, 190),
        "pancreas": (70, 120),
    },
    "delayed": {
        "cortex": (90, 170),
        "medulla": (90, 190),
        "spleen": (70, 110),
        "liver": (65, 105),
        "artery": (80, 140),
        "vein": (80, 140),
        "heart": (80, 140),
        "pancreas": (50, 90),
    },
}
PHASE_SHARES = {"unenhanced": 0.3, "arterial": 0.3, "portal": 0.25, "delayed": 0.15}
# In every phase.
ANY_PHASE: dict[str, Range] = {
    "gallbladder": (-5, 25),
    "adrenal": (10, 95),
    "prostate": (30, 90),
    "muscle": (38, 75),
    "cartilage": (70, 140),
    "nerves": (20, 60),
    "lung": (-900, -750),
    "fat": (-118, -85),
}
# One scan in three has contrasts that do not exist, so that a network learns to do without them: Billot et al. 2023,
# SynthSeg, Medical Image Analysis 86.
UNREAL_SHARE = 0.35
_UNREAL = ("spleen", "liver", "artery", "vein", "heart", "pancreas", "adrenal", "prostate", "muscle")


@dataclass(frozen=True, kw_only=True)
class Tissues:
    """How bright the tissues of a scan are.

    Attributes:
        phase: key of PHASES.
        is_unreal: whether contrasts were drawn that do not exist.
        hu: mean of each tissue in HU: those of PHASES and ANY_PHASE, "bladder" and "urine".
    """

    phase: str
    is_unreal: bool
    hu: dict[str, float]


def draw_tissues(rng: np.random.Generator) -> Tissues:
    """Returns tissues of a phase at random."""
    phase = str(rng.choice(list(PHASE_SHARES), p=list(PHASE_SHARES.values())))
    hu = {name: float(rng.uniform(*bounds)) for name, bounds in (PHASES[phase] | ANY_PHASE).items()}
    hu["bladder"] = float(rng.uniform(-5, 20) if rng.random() < 0.75 else rng.uniform(100, 500))
    hu["urine"] = float(rng.uniform(50, 600) if phase == "delayed" else rng.uniform(0, 30))
    is_unreal = bool(rng.random() < UNREAL_SHARE)
    if is_unreal:
        hu |= {name: float(rng.uniform(-10, 230)) for name in _UNREAL}
        hu["cortex"] = hu["medulla"] = float(rng.uniform(0, 220))
        if rng.random() < 0.6:
            hu["medulla"] -= float(rng.uniform(0, 130))
    return Tissues(phase=phase, is_unreal=is_unreal, hu=hu)
