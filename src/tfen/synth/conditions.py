"""Light and cameras that are far from a studio's: backlight, flash, soft and coloured light; phones, grain, few pixels.

Everything here is a share of sequences or a range in `Variation`; where it is off, no random number is drawn.
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from tfen.synth.renderer import Light
from tfen.synth.settings import Variation

Array = np.ndarray


@dataclass(frozen=True)
class Setting:
    """What a kind of light changes besides the lights: factors on the backdrop and on the exposure."""

    kind: str
    behind: float = 1.0
    exposure: float = 1.0


def relight(light: Light, rng: np.random.Generator, variation: Variation) -> tuple[Light, Setting]:
    """Return the light of a sequence, or one of another kind in the shares that the variation states."""
    kinds = {"studio": _studio, "backlight": _backlight, "flash": _flash, "coloured": _coloured}
    shares = [getattr(variation, kind) for kind in kinds]
    if not any(shares):
        return light, Setting("plain")
    number = int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))
    if number == len(kinds):
        return light, Setting("plain")
    return list(kinds.values())[number](light, rng)


def _studio(light: Light, rng: np.random.Generator) -> tuple[Light, Setting]:
    """Large lamps on both sides: hardly a shadow."""
    softer = replace(
        light,
        key_colour=rng.uniform(0.3, 0.6) * light.key_colour / light.key_colour.max(),
        fill_colour=rng.uniform(0.25, 0.5) * light.fill_colour / light.fill_colour.max(),
        sky=light.sky / light.sky.max() * rng.uniform(0.45, 0.8),
        ground=light.ground / light.ground.max() * rng.uniform(0.3, 0.6),
        shadow=float(rng.uniform(0, 0.25)),
    )
    return softer, Setting("studio", behind=rng.uniform(0.8, 1.6))


def _backlight(light: Light, rng: np.random.Generator) -> tuple[Light, Setting]:
    """The strongest light stands behind the head, and what is behind is bright."""
    across, height = rng.uniform(-1.0, 1.0), rng.uniform(0.1, 0.9)
    direction = np.array([across, rng.uniform(0.3, 1.0), height])
    strength = rng.uniform(1.0, 2.2)
    turned = replace(
        light,
        key=direction / np.linalg.norm(direction),
        key_colour=strength * light.key_colour / light.key_colour.max(),
    )
    return turned, Setting("backlight", behind=rng.uniform(1.5, 3.0), exposure=rng.uniform(1.1, 1.9))


def _flash(light: Light, rng: np.random.Generator) -> tuple[Light, Setting]:
    """A lamp beside the lens in a dim room: a flat, bright face before something dark."""
    direction = np.array([rng.uniform(-0.12, 0.12), -1.0, rng.uniform(0.0, 0.2)])
    flashed = replace(
        light,
        key=direction / np.linalg.norm(direction),
        key_colour=rng.uniform(0.8, 1.4) * np.array([1.0, 1.0, rng.uniform(0.95, 1.1)]),
        fill_colour=light.fill_colour * 0.3,
        sky=light.sky * rng.uniform(0.2, 0.6),
        ground=light.ground * rng.uniform(0.2, 0.6),
    )
    return flashed, Setting("flash", behind=rng.uniform(0.15, 0.7))


def _coloured(light: Light, rng: np.random.Generator) -> tuple[Light, Setting]:
    """Lamps of two colours, as at a concert or before a screen."""

    def tint() -> Array:
        colour = np.exp(rng.normal(0, 0.4, 3))
        return colour / colour.mean()

    key, around = tint(), tint()
    coloured = replace(
        light,
        key_colour=light.key_colour * key,
        fill_colour=light.fill_colour * around * rng.uniform(1, 2.5),
        sky=light.sky * around,
        ground=light.ground * around,
    )
    return coloured, Setting("coloured")


@dataclass(frozen=True)
class Device:
    """What a cheap or old camera does to a picture: `pixels` along a side, smoothing, sharpening, film grain."""

    pixels: int
    smoothing: float
    sharpening: float
    grain: float
    coarseness: float
    """Size of the grain in pixels."""

    @classmethod
    def draw(cls, size: int, rng: np.random.Generator, variation: Variation) -> "Device | None":
        """Draw one; None where the variation has only the plain camera."""
        if variation.pixels is None and not variation.phone and not variation.grain:
            return None
        low, high = variation.pixels or (size, size)
        pixels = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
        phone, film = rng.random() < variation.phone, rng.random() < variation.grain
        return cls(
            min(pixels, size),
            float(phone * rng.uniform(0, 1)),
            float(phone * rng.uniform(0, 1.2)),
            float(film * rng.uniform(0.015, 0.06)),
            float(rng.uniform(0.4, 1.0)),
        )

    def take(self, picture: Array, rng: np.random.Generator) -> Array:
        """Return the picture (n, n, 3) in [0, 1] as this camera has it, with `pixels` along each side."""
        out: Array = picture.astype(np.float32)
        if self.pixels < len(out):
            out = cv2.resize(out, (self.pixels, self.pixels), interpolation=cv2.INTER_AREA)
        if self.smoothing:
            smooth = cv2.bilateralFilter(out, 0, 0.08, 1.6 * max(len(out) / 112, 0.5))
            out = out + self.smoothing * (smooth - out)
        if self.sharpening:
            out = out + self.sharpening * (out - cv2.GaussianBlur(out, (0, 0), 1.0))
        if self.grain:
            coarse = cv2.GaussianBlur(rng.standard_normal(out.shape[:2]).astype(np.float32), (0, 0), self.coarseness)
            out = out + (self.grain * coarse / (coarse.std() + 1e-6))[..., None]
        return np.clip(out, 0, 1)

    def record(self) -> dict[str, Any]:
        """Return what is written of it, as plain values."""
        return {"pixels": self.pixels, "smoothing": round(self.smoothing, 3), "sharpening": round(self.sharpening, 3),
                "grain": round(self.grain, 4)}  # fmt: skip
