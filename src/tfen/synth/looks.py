"""How strangers' faces look at rest: make-up, brows, beards, lines, freckles, hair in the face, lips, corners, lids.

`draw` gives a person a `Look` and changes of shape; `wear` paints the look over a skin, painted or photographed. None of
it says anything about the expression: calm people have all of it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from tfen.synth import skins
from tfen.synth.head import BROWS_UP, INNER_BROWS_UP
from tfen.synth.skins import SIZE, SkinMaps, blob, curve, grid, noise, smooth

Array = np.ndarray
Colour = tuple[float, float, float]

BEARDS = {"none": 0.34, "stubble": 0.26, "moustache": 0.08, "goatee": 0.1, "chin strap": 0.05, "full": 0.17}
"""What men wear, and how commonly."""
SHARE_OF_LIPSTICK = {"female": 0.5, "male": 0.03}
SHARE_OF_MADE_UP_EYES = {"female": 0.5, "male": 0.02}
SHARE_OF_FRINGES = 0.18
SHARE_OF_SUNGLASSES = 0.03
LIPSTICKS: tuple[Colour, ...] = (
    (0.62, 0.34, 0.30), (0.55, 0.22, 0.21), (0.45, 0.03, 0.05), (0.28, 0.015, 0.03), (0.10, 0.02, 0.03),
    (0.58, 0.10, 0.22), (0.40, 0.05, 0.22), (0.60, 0.16, 0.07), (0.30, 0.12, 0.08), (0.70, 0.42, 0.38),
)  # fmt: skip
"""Linear RGB: nude, rose, red, wine, nearly black, pink, plum, coral, brown, pale."""
SHADOWS: tuple[Colour, ...] = (
    (0.12, 0.08, 0.06), (0.03, 0.03, 0.035), (0.25, 0.14, 0.10), (0.10, 0.12, 0.25), (0.08, 0.17, 0.13),
    (0.22, 0.08, 0.20), (0.45, 0.30, 0.22), (0.35, 0.34, 0.36),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Look:
    """What somebody's face wears and has; every value in [0, 1] unless said otherwise."""

    lipstick: float = 0.0
    lipstick_colour: Colour = (0.5, 0.1, 0.1)
    lip_liner: float = 0.0
    eye_liner: float = 0.0
    wing: bool = False
    eye_shadow: float = 0.0
    eye_shadow_colour: Colour = (0.1, 0.1, 0.1)
    blush: float = 0.0
    contour: float = 0.0
    brow_cover: float = 0.0
    brow_thickness: float = 1.0
    """Around 1."""
    brow_arch: float = 0.0
    """0 straight, 1 strongly arched."""
    joined_brows: float = 0.0
    beard: str = "none"
    """One of BEARDS."""
    beard_cover: float = 0.0
    lines: tuple[float, ...] = (0.0,) * len(skins.FOLDS)
    """How deep each of the skin's folds is at rest, in the order of `skins.FOLDS`."""
    freckles: float = 0.0
    circles: float = 0.0
    """How dark the skin under the eyes is."""
    fringe: float = 0.0
    """How far hair falls over the forehead."""
    sunglasses: float = 0.0
    """How much of the light tinted lenses take away."""


def draw(sex: str, old: float, changes: dict[str, float], far: float, rng: np.random.Generator) -> tuple[Look, dict]:
    """Draw a look and the changes of shape that go with it.

    Args:
        sex: female or male.
        old: 0 at 25 years to 1 at 70.
        changes: the head's local changes so far.
        far: `Variation.looks`: factor on how far shapes go.

    Returns:
        the look, and those of the changes that are other now.
    """
    man = sex == "male"
    made_up = rng.random() < SHARE_OF_LIPSTICK[sex]
    eyes = rng.random() < SHARE_OF_MADE_UP_EYES[sex]
    beard = str(rng.choice(list(BEARDS), p=np.array(list(BEARDS.values())))) if man else "none"
    look = Look(
        lipstick=float(made_up * rng.uniform(0.35, 0.95)),
        lipstick_colour=_tinted(LIPSTICKS, rng),
        lip_liner=float(made_up * (rng.random() < 0.3) * rng.uniform(0.3, 0.8)),
        eye_liner=float(eyes * rng.uniform(0.2, 1.0)),
        wing=bool(rng.random() < 0.4),
        eye_shadow=float(eyes * (rng.random() < 0.6) * rng.uniform(0.2, 0.8)),
        eye_shadow_colour=_tinted(SHADOWS, rng),
        blush=float((made_up or eyes) * (rng.random() < 0.5) * rng.uniform(0.2, 0.8)),
        contour=float((made_up or eyes) * (rng.random() < 0.4) * rng.uniform(0.2, 0.9)),
        brow_cover=float((rng.random() < (0.45 if man else 0.4)) * rng.uniform(0.4, 1.0)),
        brow_thickness=float(rng.uniform(1.0, 2.1) if man else rng.uniform(0.5, 1.5)),
        brow_arch=float(rng.uniform(-0.4, 0.5) if man else rng.uniform(-0.2, 0.9)),
        joined_brows=float((rng.random() < 0.06) * rng.uniform(0.2, 0.7)),
        beard=beard,
        beard_cover=float({"none": 0.0, "stubble": rng.uniform(0.1, 0.5)}.get(beard, rng.uniform(0.55, 1.0))),
        lines=tuple(round(float(x), 4) for x in rng.random(len(skins.FOLDS)) ** 3 * (0.25 + 1.1 * old)),
        freckles=float((rng.random() < 0.12) * rng.uniform(0.2, 1.0)),
        circles=float(rng.random() ** 2),
        fringe=float((rng.random() < SHARE_OF_FRINGES) * rng.uniform(0.3, 1.0)),
        sunglasses=float((rng.random() < SHARE_OF_SUNGLASSES) * rng.uniform(0.5, 0.97)),
    )
    return look, _shape(changes, far, rng)


def _tinted(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    red, green, blue = np.array(colours[int(rng.integers(len(colours)))]) * np.exp(rng.normal(0, 0.12, 3))
    return float(min(red, 1)), float(min(green, 1)), float(min(blue, 1))


def _shape(changes: dict[str, float], far: float, rng: np.random.Generator) -> dict[str, float]:
    """Return the corners of the mouth, lips, brows and lids as far apart as they are among strangers."""
    corners, lips = rng.normal(0, 0.2), rng.normal(0, 0.25)
    low, slant, hood = rng.uniform(0, 1) * (rng.random() < 0.35), rng.normal(0, 0.2), rng.uniform(0, 0.9)
    moved = {
        "mouth-angles-up": corners,
        "mouth-upperlip-volume-incr": lips + rng.normal(0, 0.2),
        "mouth-lowerlip-volume-incr": lips + rng.normal(0, 0.2),
        "mouth-upperlip-height-incr": lips + rng.normal(0, 0.2),
        "mouth-lowerlip-height-incr": lips + rng.normal(0, 0.2),
        "mouth-scale-horiz-incr": rng.normal(0, 0.25),
        "eyebrows-angle-up": slant,
        "l-eye-eyefold-up": -hood * (rng.random() < 0.4),
        "l-eye-bag-incr": rng.uniform(0, 0.6),
    }
    out = {name: _within(changes[name] + far * by, 1.0) for name, by in moved.items()}
    out[BROWS_UP] = _within(changes[BROWS_UP] - far * 0.6 * low, 1.5)
    out[INNER_BROWS_UP] = _within(changes[INNER_BROWS_UP] - far * 0.3 * rng.random() * (rng.random() < 0.35), 1.0)
    return out


def _within(value: float, limit: float) -> float:
    return round(float(np.clip(value, -limit, limit)), 5)


def wear(maps: SkinMaps, look: Look, hair: Colour, rng: np.random.Generator) -> SkinMaps:
    """Return the maps of a skin with the look painted over it; `hair` is the colour of beard and fringe, linear RGB."""
    colour = maps.colour.copy()
    colour *= 1 - 0.3 * look.circles * blob(0.028, 0.849, 0.016, 0.006)[..., None] * np.array([0.8, 1.0, 0.9])
    colour = _freckled(colour, look.freckles, rng)
    colour = _made_up(colour, look, rng)
    cover = maps.hair
    strand = skins.strands(rng)[..., None]
    brows = look.brow_cover * skins.brow_map(rng, look.brow_thickness, look.brow_arch, 1.4)
    brows = np.maximum(brows, look.joined_brows * blob(0, 0.8215, 0.013, 0.0035) * (0.6 + 0.4 * _fine(rng)))
    for mask, darkness in (
        (brows, 0.6),
        (_beard(look, rng), 0.7),
        (_fringe(look.fringe, rng), 1.0),
    ):
        part = np.clip(mask, 0, 1)[..., None]
        colour = colour * (1 - part) + part * np.array(hair) * darkness * strand
        cover = np.maximum(cover, part[..., 0])
    relief = maps.relief - np.tensordot(np.array(look.lines, np.float32), skins.fold_maps(), 1)
    return SkinMaps(np.clip(colour, 0.004, 1).astype(np.float32), relief.astype(np.float32), cover.astype(np.float32))


def _fine(rng: np.random.Generator) -> Array:
    return np.clip(noise(rng, 400), -1.5, 1.5)


def _freckled(colour: Array, freckles: float, rng: np.random.Generator) -> Array:
    spots = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(int(220 * freckles)):
        at = skins.texel(np.array(rng.normal(0, 0.045)), np.array(rng.normal(0.862, 0.022))) * (SIZE - 1)
        place = tuple(np.round(at * 16).astype(int).tolist())
        cv2.circle(spots, place, int(rng.uniform(8, 18)), float(rng.uniform(0.3, 1)), -1, cv2.LINE_AA, 4)
    return colour * (1 - 0.45 * cv2.GaussianBlur(spots, (0, 0), 0.6)[..., None] * np.array([0.6, 0.9, 1.0]))


def _made_up(colour: Array, look: Look, rng: np.random.Generator) -> Array:
    def over(colour: Array, mask: Array, paint: Colour) -> Array:
        part = np.clip(mask, 0, 1)[..., None]
        return colour * (1 - part) + part * np.array(paint)

    light = colour.mean() * 3
    colour = colour * (1 + look.blush * blob(0.054, 0.872, 0.02, 0.012)[..., None] * np.array([0.12, -0.28, -0.2]))
    shade = 0.3 * blob(0.066, 0.888, 0.022, 0.008) + 0.2 * blob(0.0125, 0.862, 0.004, 0.016)
    colour = colour * (1 - look.contour * shade[..., None])
    lips = skins.lips()
    rim = np.clip(cv2.GaussianBlur(lips, (0, 0), 1.2) * 4 * (1 - cv2.GaussianBlur(lips, (0, 0), 1.2)), 0, 1)
    dark: Colour = (look.lipstick_colour[0] * 0.4, look.lipstick_colour[1] * 0.4, look.lipstick_colour[2] * 0.4)
    tone = float(np.clip(0.45 + 0.7 * light, 0.45, 1.1))
    red, green, blue = (value * tone for value in look.lipstick_colour)
    line = curve(skins.MOUTH_LINE, 0.0018)
    stripes = 1 + 0.06 * noise(rng, 200, 0.1)
    colour = over(colour, look.lipstick * lips * stripes * (1 - 0.35 * line), (red, green, blue))
    colour = over(colour, 0.7 * look.lip_liner * rim, dark)
    lid = look.eye_shadow * np.maximum(blob(0.0345, 0.8325, 0.021, 0.007), 0.6 * blob(0.047, 0.8335, 0.012, 0.006))
    colour = over(colour, lid, look.eye_shadow_colour)
    end = ((0.0585, 0.8345),) if look.wing else ()
    upper = ((0.0195, 0.8395), (0.026, 0.8352), (0.034, 0.8338), (0.043, 0.8352), (0.0525, 0.838), *end)
    liner = look.eye_liner * curve(upper, 0.0014 + 0.003 * look.eye_liner)
    lower = ((0.026, 0.8435), (0.034, 0.845), (0.043, 0.8435), (0.0525, 0.8395))
    liner = np.maximum(liner, 0.6 * max(0.0, look.eye_liner - 0.4) * curve(lower, 0.0014))
    return over(colour, liner, (0.012, 0.01, 0.012))


def _beard(look: Look, rng: np.random.Generator) -> Array:
    """Return how much of the skin the beard hides: short hairs let it shine through."""
    if look.beard == "none":
        return np.zeros((SIZE, SIZE), np.float32)
    across, down = grid()
    x = abs(across)
    beard, moustache = skins.beard_area()
    area = {
        "stubble": np.maximum(beard, moustache),
        "moustache": moustache,
        "goatee": np.maximum(moustache, beard * smooth(0.034, 0.024, x)),
        "chin strap": beard
        * smooth(0.0, 0.012, down - np.interp(x, (0, 0.04, 0.08, 0.11), (0.948, 0.935, 0.905, 0.85))),
        "full": np.maximum(beard, moustache),
    }[look.beard]
    area = area * np.clip(1 + 0.25 * noise(rng, 14), 0.5, 1.2)
    return (look.beard_cover * area * (0.75 + 0.25 * _fine(rng))).astype(np.float32)


def _fringe(far: float, rng: np.random.Generator) -> Array:
    """Return where locks fall over the forehead, from the hairline towards the brows."""
    if not far:
        return np.zeros((SIZE, SIZE), np.float32)
    across, down = grid()
    parting = rng.uniform(-0.04, 0.04)
    ends = 0.765 + 0.055 * far * np.exp(-(((across - parting) / rng.uniform(0.025, 0.06)) ** 2))
    ends = ends + 0.006 * noise(rng, 60)[0][None] + 0.004 * noise(rng, 200)[0][None]
    locks = np.clip(1.0 + 0.3 * noise(rng, 120)[0][None], 0.3, 1)
    return smooth(0.003, -0.003, down - ends) * smooth(0.1, 0.085, abs(across)) * locks
