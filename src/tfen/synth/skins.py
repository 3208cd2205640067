"""The skin as pictures over the head map: colour, brows, beard, and the folds that expressions press into it.

Everything is drawn from a subject's traits and random numbers; no photograph is involved. Colours are linear
RGB. A map has `SIZE` x `SIZE` texels over `ACROSS_RANGE` x `DOWN_RANGE` of the head map (see tfen.synth.head).
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from tfen.synth.head import ACROSS_RANGE, DOWN_RANGE

SIZE = 512
Array = np.ndarray

MOUTH_CORNER = (0.0235, 0.909)
EYE_CENTRE = (0.0335, 0.8385)
BROW = ((0.0125, 0.8212), (0.022, 0.8188), (0.034, 0.8170), (0.046, 0.8182), (0.056, 0.8225))
"""The middle line of the left brow, from the inner to the outer end."""
HAIRLINE = (
    (0.0, 0.757),
    (0.04, 0.759),
    (0.062, 0.768),
    (0.082, 0.795),
    (0.092, 0.825),
    (0.098, 0.848),
    (0.106, 0.845),
    (0.118, 0.823),
    (0.155, 0.823),
    (0.17, 0.855),
    (0.20, 0.885),
    (0.36, 0.895),
)


@cache
def grid() -> tuple[Array, Array]:
    """Return `across` and `down` of every texel, each of shape (SIZE, SIZE)."""
    x = np.linspace(*ACROSS_RANGE, SIZE, dtype=np.float32)
    y = np.linspace(*DOWN_RANGE, SIZE, dtype=np.float32)
    across, down = np.meshgrid(x, y)
    return across, down


def texel(across: Array, down: Array) -> Array:
    """Return the texture coordinates (u, v) in [0, 1] of head-map places, shape (..., 2)."""
    u = (across - ACROSS_RANGE[0]) / (ACROSS_RANGE[1] - ACROSS_RANGE[0])
    v = (down - DOWN_RANGE[0]) / (DOWN_RANGE[1] - DOWN_RANGE[0])
    return np.stack([u, v], -1)


def smooth(low: float, high: float, x: Array) -> Array:
    """Return 0 where x <= low, 1 where x >= high and a smooth rise between (a falling one if low > high)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def noise(rng: np.random.Generator, cells: int, stretch: float = 1.0) -> Array:
    """Return smooth noise over the map with zero mean and unit deviation; `cells` of it across the map."""
    rows = max(2, round(cells / stretch))
    coarse = rng.standard_normal((rows, cells)).astype(np.float32)
    fine = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return (fine - fine.mean()) / (fine.std() + 1e-6)


def blob(x: float, y: float, width: float, height: float) -> Array:
    """Return a soft spot on both sides of the midline."""
    across, down = grid()
    return np.exp(-(((abs(across) - x) / width) ** 2) - ((down - y) / height) ** 2)


def curve(points: tuple[tuple[float, float], ...], width: float, both: bool = True) -> Array:
    """Return a soft line through head-map points on both sides (or one side) of the midline, at most 1."""
    canvas = np.zeros((SIZE, SIZE), np.float32)
    thick = max(1, round(width / 0.0014))
    for side in (1, -1) if both else (1,):
        line = texel(np.array([side * x for x, _ in points]), np.array([y for _, y in points])) * (SIZE - 1)
        cv2.polylines(canvas, [np.round(line * 16).astype(np.int32)], False, 1.0, thick, cv2.LINE_AA, 4)
    return np.clip(cv2.GaussianBlur(canvas, (0, 0), 0.8), 0, 1)


MOUTH_LINE = ((0.0, 0.9105), (0.012, 0.9105), (0.0245, 0.9092))
"""Where the lips meet, in the head map: across from the middle, down."""


@cache
def lips() -> Array:
    across, down = grid()
    x = abs(across)
    top = np.interp(x, (0, 0.006, 0.014, 0.0235), (0.8993, 0.8975, 0.9005, 0.9085))
    bottom = np.interp(x, (0, 0.010, 0.018, 0.0235), (0.9230, 0.9215, 0.9165, 0.9095))
    mask = smooth(0.0, 0.0012, down - top) * smooth(0.0, 0.0016, bottom - down)
    return mask * (x < 0.026)


def lip_light(tones: tuple[float, float]) -> Array:
    """Return the factor (SIZE, SIZE, 1) on a skin's colour that gives the upper and the lower lip their tones."""
    across, down = grid()
    upper = down < np.interp(abs(across), *np.array(MOUTH_LINE).T)
    factor = np.where(upper, *tones).astype(np.float32)
    return (1 + lips() * (cv2.GaussianBlur(factor, (0, 0), 1.0) - 1))[..., None]


@cache
def oily() -> Array:
    """Return how oily a skin is, 0.3 to 1: most on forehead, nose, cheeks and chin."""
    most = blob(0, 0.79, 0.05, 0.025) + blob(0, 0.865, 0.012, 0.02) + blob(0.05, 0.868, 0.02, 0.018)
    return 0.3 + 0.7 * np.clip(most + 0.6 * blob(0, 0.945, 0.018, 0.01), 0, 1)


def shine_map(shine: tuple[float, float]) -> Array:
    """Return what the skin (most where it is oily) and the lips mirror of the lights, shape (SIZE, SIZE)."""
    return (shine[0] * oily() * (1 - lips()) + shine[1] * lips()).astype(np.float32)


@cache
def beard_area() -> tuple[Array, Array]:
    """Return where a beard grows and where a moustache grows."""
    across, down = grid()
    x = abs(across)
    top = np.interp(x, (0, 0.03, 0.05, 0.075, 0.095, 0.12), (0.926, 0.915, 0.907, 0.89, 0.845, 0.84))
    beard = smooth(0.0, 0.012, down - top) * smooth(0.975, 0.955, down) * smooth(0.125, 0.105, x)
    soul = blob(0, 0.931, 0.006, 0.004)
    top = np.interp(x, (0, 0.004, 0.010, 0.018, 0.027, 0.034), (0.8895, 0.8875, 0.8875, 0.891, 0.901, 0.914))
    moustache = smooth(0.0, 0.004, down - top) * smooth(0.037, 0.027, x) * smooth(0.925, 0.912, down)
    clear = 1 - lips()
    return np.clip(beard + soul, 0, 1) * clear, moustache * clear


def scalp(height: float, temples: float) -> Array:
    """Return where hair grows on the head; `height` raises the hairline, `temples` lets it recede (map units)."""
    across, down = grid()
    x = abs(across)
    line = np.interp(x, *np.array(HAIRLINE).T) - height * smooth(0.09, 0.05, x)
    line = line - temples * np.exp(-(((x - 0.055) / 0.022) ** 2))
    return smooth(-0.004, 0.006, line - down)


FOLDS = {
    "forehead": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "glabella": ("browDownLeft", "browDownRight", "noseSneerLeft", "noseSneerRight"),
    "crow": ("cheekSquintLeft", "cheekSquintRight", "eyeSquintLeft", "eyeSquintRight"),
    "under_eye": ("cheekSquintLeft", "cheekSquintRight", "eyeSquintLeft", "eyeSquintRight"),
    "nasolabial": (
        "mouthSmileLeft",
        "mouthSmileRight",
        "noseSneerLeft",
        "noseSneerRight",
        "mouthUpperUpLeft",
        "mouthUpperUpRight",
        "mouthDimpleLeft",
        "mouthDimpleRight",
    ),
    "nose": ("noseSneerLeft", "noseSneerRight"),
    "chin": ("mouthShrugLower",),
    "corner": ("mouthFrownLeft", "mouthFrownRight", "mouthStretchLeft", "mouthStretchRight"),
}
"""Fold of the skin -> the facial actions that press it in, with its depth in proportion to the strongest."""

_FOLD_SCALE = {"crow": 0.9, "under_eye": 0.7, "forehead": 1.1, "glabella": 1.2, "nasolabial": 1.0}


@cache
def fold_maps() -> Array:
    """Return the depth of each fold at full strength, shape (folds, SIZE, SIZE), 0 to 1."""
    across, down = grid()
    x = abs(across)
    lines = {
        "forehead": sum(
            curve(tuple((u, y + 0.004 * np.cos(u * 60)) for u in np.linspace(0, 0.045 - 0.006 * k, 9)), 0.0014)
            for k, y in enumerate((0.800, 0.790, 0.779))
        ),
        "glabella": curve(((0.006, 0.833), (0.0052, 0.825), (0.0065, 0.814)), 0.0018),
        "crow": sum(
            curve(((0.0555, 0.8385 + 0.002 * k), (0.066, 0.8385 + 0.0075 * k), (0.073, 0.839 + 0.011 * k)), 0.0014)
            for k in (-1, 0, 1)
        ),
        "under_eye": curve(((0.019, 0.846), (0.027, 0.8515), (0.038, 0.8525), (0.049, 0.848)), 0.0014),
        "nasolabial": curve(((0.0185, 0.8735), (0.0245, 0.885), (0.0305, 0.897), (0.0335, 0.909)), 0.002),
        "nose": sum(curve(((0.0, 0.837 + 0.006 * k), (0.011, 0.8385 + 0.007 * k)), 0.0014) for k in range(3)),
        "chin": curve(((0.0, 0.9305), (0.008, 0.9315), (0.013, 0.935)), 0.0016),
        "corner": curve(((0.0255, 0.911), (0.0275, 0.920), (0.0285, 0.929)), 0.0018),
    }
    fade = {"forehead": smooth(0.055, 0.02, x), "nasolabial": smooth(0.915, 0.902, down)}
    maps = [np.clip(lines[name] * fade.get(name, 1.0), 0, 1) * _FOLD_SCALE.get(name, 0.8) for name in FOLDS]
    return np.stack(maps).astype(np.float32)


def fold_depths(weights: Array, actions: list[str]) -> Array:
    """Return how deep each fold is in every frame on the subject's right and left, shape (frames, folds, 2)."""
    out = np.zeros((len(weights), len(FOLDS), 2), np.float32)
    for k, names in enumerate(FOLDS.values()):
        for name in names:
            weight = weights[:, actions.index(name)]
            for side, other in ((0, "Left"), (1, "Right")):
                if not name.endswith(other):
                    out[:, k, side] = np.maximum(out[:, k, side], weight)
    return out


@dataclass(frozen=True)
class SkinMaps:
    """A subject's skin: `colour` (SIZE, SIZE, 3) linear RGB, `relief` (SIZE, SIZE) height, `hair` (SIZE, SIZE) 0-1.

    `relief` is what stays (pores, the folds of age); `hair` is where brows, beard and scalp hair cover the skin.
    """

    colour: Array
    relief: Array
    hair: Array


def skin_tone(darkness: float, warmth: float) -> Array:
    """Return a linear RGB skin colour; darkness 0 (very light) to 1 (very dark), warmth about -1 to 1."""
    stops = np.log(
        np.array(
            [[0.78, 0.54, 0.44], [0.66, 0.41, 0.29], [0.47, 0.26, 0.16], [0.24, 0.125, 0.075], [0.105, 0.06, 0.042]]
        )
    )
    place = darkness * (len(stops) - 1)
    low = min(int(place), len(stops) - 2)
    colour = np.exp(stops[low] + (place - low) * (stops[low + 1] - stops[low]))
    return colour * np.array([1.0, 1.0 + 0.04 * warmth, 1.0 - 0.10 * warmth])


def strands(rng: np.random.Generator, fineness: int = 220) -> Array:
    """Return the light and dark of hair strands that run down the head, around 1."""
    across, down = grid()
    fine = noise(rng, fineness, 14) * 0.6 + noise(rng, fineness // 3, 9) * 0.4
    shift = (down - 0.76) * np.sign(across) * 0.25 * (SIZE - 1)
    columns = (np.arange(SIZE)[None] + shift * abs(across) / 0.2).astype(np.float32)
    rows = np.repeat(np.arange(SIZE, dtype=np.float32)[:, None], SIZE, 1)
    return np.clip(
        1 + 0.38 * cv2.remap(fine, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), 0.25, 2.2
    )


def brow_map(rng: np.random.Generator, thickness: float, arch: float, density: float) -> Array:
    """Return the brows' cover 0-1: short hairs along the brow's line."""
    canvas = np.zeros((SIZE, SIZE), np.float32)
    line = np.array(BROW)
    line[:, 1] -= arch * np.array([-0.2, 0.4, 1.0, 0.8, 0.0]) * 0.004
    for side in (1, -1):
        for _ in range(int(150 * density)):
            along = rng.random()
            place = np.array([np.interp(along * 4, np.arange(5), line[:, k]) for k in (0, 1)])
            half = thickness * 0.0031 * np.interp(along, (0, 0.15, 0.6, 1), (0.75, 1.0, 0.75, 0.2))
            start = place + [0, rng.uniform(-1, 1) * half]
            turn = np.interp(along, (0, 0.3, 1), (-1.25, -0.5, 0.25)) + rng.normal(0, 0.2)
            end = start + 0.0065 * np.array([np.cos(turn), np.sin(turn) * 0.7])
            ends = texel(np.array([side * start[0], side * end[0]]), np.array([start[1], end[1]])) * (SIZE - 1)
            cv2.polylines(canvas, [np.round(ends * 16).astype(np.int32)], False, 1.0, 1, cv2.LINE_AA, 4)
    return np.clip(cv2.GaussianBlur(canvas, (0, 0), 0.7) * 1.25, 0, 1)


def paint(traits: "SkinTraits", rng: np.random.Generator) -> SkinMaps:
    """Return the maps of a subject's skin."""
    light = 1 - traits.darkness
    colour = np.ones((SIZE, SIZE, 3), np.float32) * skin_tone(traits.darkness, traits.warmth)
    red = np.array([0.10, -0.16, -0.13], np.float32) * (0.35 + 0.65 * light)
    flush = (
        0.75 * blob(0.052, 0.876, 0.022, 0.018)
        + 0.9 * blob(0, 0.874, 0.014, 0.010)
        + 0.5 * blob(0, 0.94, 0.02, 0.01)
        + 0.8 * blob(0.15, 0.845, 0.02, 0.03)
    )
    flush = flush * traits.redness + 0.20 * noise(rng, 24) * 0.6 + 0.12 * noise(rng, 60)
    colour *= 1 + flush[..., None] * red
    sockets = blob(0.031, 0.8385, 0.024, 0.0115) + 0.6 * blob(0.024, 0.8475, 0.014, 0.006)
    colour *= 1 - (0.16 + 0.22 * traits.age) * sockets[..., None] * np.array([0.8, 1.0, 1.0])
    shade = 0.035 * noise(rng, 10) + 0.035 * noise(rng, 40) + 0.03 * noise(rng, 200)
    shade = shade + traits.age * 0.05 * noise(rng, 70)
    colour *= np.exp(shade)[..., None]
    for count, size, dark in (
        (int(rng.poisson(2.0 + 3 * traits.age)), 1.6, 0.45),
        (int(260 * traits.freckles), 0.7, 0.25),
    ):
        spots = np.zeros((SIZE, SIZE), np.float32)
        for _ in range(count):
            at = texel(np.array(rng.normal(0, 0.05)), np.array(rng.normal(0.862, 0.03))) * (SIZE - 1)
            cv2.circle(
                spots,
                tuple(np.round(at * 16).astype(int).tolist()),
                int(16 * size),
                float(rng.uniform(0.4, 1)),
                -1,
                cv2.LINE_AA,
                4,
            )
        colour *= 1 - dark * cv2.GaussianBlur(spots, (0, 0), 0.6)[..., None]
    mouth = lips()[..., None]
    natural = skin_tone(traits.darkness, traits.warmth) * np.array([0.78, 0.50, 0.54])
    lip = natural * (1 - traits.lipstick) + np.array(traits.lipstick_colour) * traits.lipstick
    stripes = 1 + 0.10 * noise(rng, 200, 0.1)
    colour = colour * (1 - 0.92 * mouth) + 0.92 * mouth * lip * stripes[..., None]
    colour *= lip_light(traits.lip_tones)
    colour *= 1 - 0.45 * (curve(MOUTH_LINE, 0.0018))[..., None]
    if traits.eyeshadow > 0:
        lid = traits.eyeshadow * blob(0.0345, 0.833, 0.020, 0.006)[..., None]
        colour = colour * (1 - lid) + lid * np.array(traits.eyeshadow_colour)
    liner = curve(((0.0195, 0.8395), (0.026, 0.8352), (0.034, 0.8338), (0.043, 0.8352), (0.0525, 0.838)), 0.0016)
    colour *= 1 - (0.35 + 0.5 * traits.lipstick) * liner[..., None]

    hair_colour = np.array(traits.hair_colour, np.float32)
    strand = strands(rng)[..., None]
    cover = np.zeros((SIZE, SIZE), np.float32)
    brows = brow_map(rng, traits.brow_thickness, traits.brow_arch, traits.brow_density) * traits.brow_cover
    beard, moustache = beard_area()
    stubble = (0.72 + 0.28 * np.clip(noise(rng, 400), -1.5, 1.5)) * np.clip(
        traits.beard * beard + traits.moustache * moustache, 0, 1
    )
    top = scalp(traits.hairline, traits.temples) * traits.hair_cover
    ragged = np.clip(top * (1 + 0.5 * noise(rng, 260, 3)) * 1.3, 0, 1) * (top > 0.01)
    for mask, darkening in ((brows, 0.75), (stubble, 0.8), (ragged, 1.0)):
        part = mask[..., None]
        colour = colour * (1 - part) + part * hair_colour * darkening * strand
        cover = np.maximum(cover, mask)

    relief = 0.035 * noise(rng, 230) + 0.02 * noise(rng, 110)
    old = max(0.0, traits.age - 0.25) * 1.3
    static = np.array([0.7, 0.6, 0.6, 0.9, 0.9, 0.2, 0.3, 0.8], np.float32)
    relief = relief - old * np.tensordot(static * rng.uniform(0.5, 1.2, len(static)), fold_maps(), 1)
    relief = relief - 0.10 * fold_maps()[4] + 0.3 * cover * (strand[..., 0] - 1)
    return SkinMaps(np.clip(colour, 0.004, 1).astype(np.float32), relief.astype(np.float32), cover)


@dataclass(frozen=True)
class SkinTraits:
    """What a subject's skin looks like; every value in [0, 1] unless said otherwise."""

    darkness: float
    warmth: float
    """-1 rosy to 1 olive."""
    redness: float
    age: float
    """0 young to 1 old."""
    freckles: float
    lipstick: float
    lipstick_colour: tuple[float, float, float]
    eyeshadow: float
    eyeshadow_colour: tuple[float, float, float]
    brow_thickness: float
    """Around 1."""
    brow_arch: float
    """Around 0; 1 is strongly arched."""
    brow_density: float
    """Around 1."""
    brow_cover: float
    """0 where a brow of its own geometry is put on."""
    beard: float
    moustache: float
    hairline: float
    """How far the hairline is raised, in head-map units (0 to 0.02)."""
    temples: float
    """How far it recedes at the temples, in head-map units (0 to 0.03)."""
    hair_cover: float
    """0 bald or hair of its own geometry, 1 hair painted on the scalp."""
    hair_colour: tuple[float, float, float]
    lip_tones: tuple[float, float] = (1.0, 1.0)
    """Factors on the colour of the upper and the lower lip."""
    shine: tuple[float, float] = (0.0, 0.0)
    """Share of the lights that the skin and the lips mirror, besides what all skins do."""
    shine_power: float = 28.0
    """How sharp those highlights are: the power of the cosine."""
