"""A patient's disease, as numbers in the chest's own coordinates, without pixels.

COVID-19: several subpleural foci in both lungs, ground glass with some consolidation.
CAP: one lobe consolidated up to the fissure, or patches in one lung; often an effusion beside it.
Mild, one-sided and spotted cases, which make the two hard to distinguish, are drawn too.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Focus:
    """A lesion shaped like a lens along the pleura or like a ball inside the lung."""

    side: int  # -1: image left (the patient's right lung), 1: image right
    angle: float  # radians around the lung: 0 lateral, pi/2 at the back
    distance: float  # of the centre from the lung's middle, 1 at the pleura
    level: float
    height: float  # half height, in levels
    breadth: float  # half extent along the pleura, mm
    depth: float  # half extent across, mm
    haze: float  # HU added to the lung (ground glass)
    solid: float  # share of the focus that is consolidated, 0..1
    grain: float  # 0 smooth haze .. 1 crazy paving


@dataclass(frozen=True)
class Lobe:
    """A consolidated lobe: behind (lower) or before (upper) the oblique fissure."""

    side: int
    behind: bool
    level: float
    height: float  # half height, in levels
    fill: float  # 0: a part of the lobe .. 1: all of it
    haze: float  # HU added at the margin that is not yet solid


@dataclass(frozen=True)
class Effusion:
    """Fluid between lung and chest wall, lying at the back."""

    side: int
    thickness: float  # mm at the bases
    top: float  # level above which there is none


@dataclass(frozen=True)
class Disease:
    """All lesions of one patient; none in the healthy."""

    foci: tuple[Focus, ...] = ()
    spots: tuple[Focus, ...] = ()  # small, on the other side; no slice is taken because of them
    lobe: Lobe | None = None
    effusion: Effusion | None = None

    def nearest_level(self, level: float) -> float:
        """The level nearest to `level` at which a lesion is well inside the slice."""
        spans = [(f.level, 0.5 * f.height) for f in self.foci]
        if self.lobe is not None:
            spans.append((self.lobe.level, 0.6 * self.lobe.height))
        if not spans:
            return level
        candidates = [float(np.clip(level, middle - half, middle + half)) for middle, half in spans]
        return min(candidates, key=lambda candidate: abs(candidate - level))


def subdue(disease: Disease, *, rng: np.random.Generator) -> Disease:
    """The same disease with fewer, smaller and fainter foci, as annotated slices of the archives have.

    A patient keeps one focus on each side at least. The draws are this function's own, so everything
    else about the patient stays as it is.
    """
    scale, share = float(rng.lognormal(-0.45, 0.3)), float(rng.uniform(0.4, 1.0))
    fade, firmness = float(rng.uniform(0.55, 0.95)), float(rng.uniform(0.3, 1.0))
    kept = disease.foci[: max(2, round(share * len(disease.foci)))]
    foci = [
        replace(
            focus,
            breadth=scale * focus.breadth,
            depth=scale * focus.depth,
            haze=fade * focus.haze,
            solid=firmness * focus.solid,
        )
        for focus in kept
    ]
    return replace(disease, foci=tuple(foci))


def draw_disease(rng: np.random.Generator, *, label: int, severity: float) -> Disease:
    """Draw the lesions of a patient of class `label` (index in CLASS_NAMES); none for Normal.

    `severity` in [0, 1] scales how large and dense the lesions of all patients are.
    """
    if label == 0:
        return Disease()
    return (_draw_covid if label == 1 else _draw_cap)(rng, severity=severity)


def _draw_covid(rng: np.random.Generator, *, severity: float) -> Disease:
    """Foci in both lungs, most of them behind, below and under the pleura."""
    extent = float(rng.beta(1.3, 1.6)) * (0.5 + severity)  # this patient's, mild to severe
    tilt = float(rng.uniform(0.28, 0.72))  # the share of foci on the image's right
    count = 5 + int(rng.poisson(3 + 8 * extent))
    consolidating = rng.random() < 0.5
    foci = []
    for index in range(count):
        # The first two foci make the disease bilateral.
        side = (-1, 1)[index] if index < 2 else (1 if rng.random() < tilt else -1)
        central = rng.random() < 0.12
        size = rng.lognormal(0.0, 0.28) * (0.80 + 0.75 * extent)
        solid = rng.beta(1.5, 2.5) if consolidating and rng.random() < 0.6 else 0.0
        foci.append(
            Focus(
                side=side,
                angle=float(np.clip(rng.normal(0.7, 0.65), -1.2, 1.5)),
                distance=float(rng.uniform(0.3, 0.7) if central else rng.uniform(0.85, 1.0)),
                level=float(0.26 + 0.62 * rng.beta(1.6, 1.3)),
                height=float(rng.uniform(0.14, 0.26) * size**0.5),
                breadth=float(rng.uniform(15, 34) * size),
                depth=float(rng.uniform(9, 19) * size),
                haze=float(rng.uniform(170, 420) * (0.8 + 0.4 * severity)),
                solid=float(solid),
                grain=float(rng.random() ** 2),
            )
        )
    effusion = _draw_effusion(rng, side=int(rng.choice((-1, 1)))) if rng.random() < 0.06 else None
    return Disease(foci=tuple(foci), effusion=effusion)


def _draw_cap(rng: np.random.Generator, *, severity: float) -> Disease:
    """One consolidated lobe or patches in one lung, now and then a few spots in the other."""
    side = int(rng.choice((-1, 1)))
    lobar = rng.random() < 0.68
    lobe = None
    if lobar:
        behind = bool(rng.random() < 0.65)
        lobe = Lobe(
            side=side,
            behind=behind,
            level=float(rng.uniform(0.52, 0.75) if behind else rng.uniform(0.34, 0.60)),
            height=float(rng.uniform(0.26, 0.48)),
            fill=float(np.clip(rng.beta(2.2, 1.3) * (0.7 + 0.6 * severity), 0, 1)),
            haze=float(rng.uniform(200, 480)),
        )
    patches = int(rng.poisson(1.5)) if lobar else 5 + int(rng.poisson(3 + 3 * severity))
    scale = 0.85 + 0.4 * severity
    foci = [_draw_patch(rng, side=side, scale=scale) for _ in range(patches)]
    spotted = 1 + int(rng.poisson(1.2)) if rng.random() < 0.3 else 0
    spots = [_draw_patch(rng, side=-side, scale=0.45) for _ in range(spotted)]
    effusion = _draw_effusion(rng, side=side) if rng.random() < 0.55 else None
    return Disease(foci=tuple(foci), spots=tuple(spots), lobe=lobe, effusion=effusion)


def _draw_patch(rng: np.random.Generator, *, side: int, scale: float) -> Focus:
    """A bronchopneumonic patch, anywhere in the lung."""
    return Focus(
        side=side,
        angle=float(rng.uniform(-1.2, 1.5)),
        distance=float(rng.uniform(0.35, 0.98)),
        level=float(rng.uniform(0.28, 0.88)),
        height=float(rng.uniform(0.14, 0.24) * scale**0.5),
        breadth=float(rng.uniform(16, 36) * scale),
        depth=float(rng.uniform(13, 28) * scale),
        haze=float(rng.uniform(220, 480)),
        solid=float(rng.beta(2.4, 1.4)) if rng.random() < 0.8 else 0.0,
        grain=float(rng.random() ** 3),
    )


def _draw_effusion(rng: np.random.Generator, *, side: int) -> Effusion:
    return Effusion(
        side=side,
        thickness=float(rng.gamma(2.4, 10.0) + 5.0),
        top=float(rng.uniform(0.25, 0.6)),
    )
