"""Expressions as facial actions.

Prototypes follow EMFACS (Ekman & Friesen): happiness is AU6 + AU12, surprise AU1 + AU2 + AU5 + AU26, and so
on, each written with the 52 facial actions of Anny's head. Several variants an expression, since people differ; the
wider repertoire of published forms is in tfen.synth.repertoire.
"""

from collections.abc import Callable

import numpy as np

from tfen.choices import Choices
from tfen.synth.dynamics import DYNAMICS, intensity
from tfen.synth.repertoire import Weights, both, shown_by

PROTOTYPES: dict[str, list[Weights]] = {
    "neutral": [{}],
    "anger": [
        {
            **both("browDown", 1.0),
            **both("eyeSquint", 0.5),
            **both("eyeWide", 0.25),
            **both("mouthPress", 0.9),
            "mouthRollUpper": 0.5,
            "mouthRollLower": 0.5,
            **both("noseSneer", 0.2),
        },
        {
            **both("browDown", 1.0),
            **both("eyeWide", 0.5),
            **both("noseSneer", 0.2),
            **both("mouthUpperUp", 0.25),
            **both("mouthLowerDown", 0.7),
            "jawOpen": 0.12,
            "mouthFunnel": 0.35,
        },
        {
            **both("browDown", 1.0),
            **both("eyeSquint", 0.6),
            "mouthShrugLower": 0.6,
            **both("mouthPress", 0.8),
            **both("mouthFrown", 0.2),
        },
    ],
    "contempt": [
        {"mouthSmileLeft": 0.65, "mouthDimpleLeft": 0.9, "mouthPressLeft": 0.4, "cheekSquintLeft": 0.3},
        {"mouthSmileRight": 0.65, "mouthDimpleRight": 0.9, "mouthPressRight": 0.4, "cheekSquintRight": 0.3},
    ],
    "disgust": [
        {
            **both("noseSneer", 1.0),
            **both("browDown", 0.6),
            **both("mouthUpperUp", 0.7),
            **both("cheekSquint", 0.8),
            **both("eyeSquint", 0.7),
        },
        {
            **both("noseSneer", 1.0),
            **both("browDown", 0.6),
            **both("cheekSquint", 0.9),
            **both("eyeSquint", 0.8),
            "mouthShrugLower": 0.7,
            "mouthShrugUpper": 0.4,
            **both("mouthFrown", 0.4),
        },
        {
            **both("noseSneer", 0.9),
            **both("browDown", 0.5),
            **both("mouthUpperUp", 0.9),
            "jawOpen": 0.16,
            **both("cheekSquint", 0.7),
            **both("eyeSquint", 0.6),
            **both("mouthLowerDown", 0.3),
        },
    ],
    "fear": [
        {
            "browInnerUp": 1.0,
            **both("browOuterUp", 0.35),
            **both("browDown", 0.3),
            **both("eyeWide", 1.0),
            **both("mouthStretch", 1.0),
            "jawOpen": 0.14,
        },
        {
            "browInnerUp": 1.0,
            **both("browDown", 0.3),
            **both("eyeWide", 0.9),
            **both("mouthStretch", 1.0),
            **both("mouthLowerDown", 0.6),
            "jawOpen": 0.06,
        },
    ],
    "happiness": [
        {
            **both("mouthSmile", 1.0),
            **both("cheekSquint", 0.8),
            **both("eyeSquint", 0.4),
            **both("mouthUpperUp", 0.7),
            "jawOpen": 0.05,
            **both("mouthLowerDown", 0.5),
        },
        {**both("mouthSmile", 0.95), **both("cheekSquint", 0.6), **both("eyeSquint", 0.3)},
        {
            **both("mouthSmile", 1.0),
            **both("cheekSquint", 1.0),
            **both("eyeSquint", 0.5),
            **both("mouthUpperUp", 0.9),
            "jawOpen": 0.2,
            **both("mouthLowerDown", 0.7),
        },
        {
            **both("mouthSmile", 0.7),
            **both("mouthStretch", 0.5),
            **both("cheekSquint", 0.5),
            **both("eyeSquint", 0.3),
            **both("mouthUpperUp", 0.8),
            "jawOpen": 0.05,
            **both("mouthLowerDown", 0.6),
        },
    ],
    "sadness": [
        {
            "browInnerUp": 1.0,
            **both("browDown", 0.3),
            **both("mouthFrown", 1.0),
            "mouthShrugLower": 0.7,
            **both("eyeBlink", 0.15),
        },
        {
            "browInnerUp": 0.9,
            **both("mouthFrown", 0.9),
            "mouthShrugLower": 0.9,
            **both("mouthPress", 0.2),
            **both("eyeLookDown", 0.5),
            **both("eyeBlink", 0.2),
        },
    ],
    "surprise": [
        {"browInnerUp": 1.0, **both("browOuterUp", 1.0), **both("eyeWide", 0.8), "jawOpen": 0.6},
        {
            "browInnerUp": 1.0,
            **both("browOuterUp", 1.0),
            **both("eyeWide", 0.9),
            "jawOpen": 0.75,
            "mouthFunnel": 0.3,
        },
        {"browInnerUp": 0.9, **both("browOuterUp", 1.0), **both("eyeWide", 1.0), "jawOpen": 0.35},
    ],
}

FAINT_SMILES: list[Weights] = [
    {**both("mouthSmile", 0.3), **both("cheekSquint", 0.15)},
    {**both("mouthSmile", 0.5), **both("cheekSquint", 0.2), **both("mouthPress", 0.15)},
    {
        **both("mouthSmile", 0.5),
        **both("cheekSquint", 0.25),
        **both("mouthUpperUp", 0.6),
        **both("mouthLowerDown", 0.4),
    },
    {
        **both("mouthSmile", 0.4),
        **both("mouthStretch", 0.35),
        **both("cheekSquint", 0.15),
        **both("mouthUpperUp", 0.5),
        "jawOpen": 0.04,
        **both("mouthLowerDown", 0.5),
    },
]
"""Smiles for company and the camera: faint, and the eyes take little part in them; among happiness where faces are wild."""

ACTION_UNITS: dict[str, tuple[str, ...]] = {
    "AU1": ("browInnerUp",),
    "AU2": ("browOuterUpLeft", "browOuterUpRight"),
    "AU4": ("browDownLeft", "browDownRight"),
    "AU5": ("eyeWideLeft", "eyeWideRight"),
    "AU6": ("cheekSquintLeft", "cheekSquintRight"),
    "AU7": ("eyeSquintLeft", "eyeSquintRight"),
    "AU9": ("noseSneerLeft", "noseSneerRight"),
    "AU10": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "AU12": ("mouthSmileLeft", "mouthSmileRight"),
    "AU14": ("mouthDimpleLeft", "mouthDimpleRight"),
    "AU15": ("mouthFrownLeft", "mouthFrownRight"),
    "AU16": ("mouthLowerDownLeft", "mouthLowerDownRight"),
    "AU17": ("mouthShrugLower",),
    "AU18": ("mouthPucker",),
    "AU20": ("mouthStretchLeft", "mouthStretchRight"),
    "AU22": ("mouthFunnel",),
    "AU24": ("mouthPressLeft", "mouthPressRight"),
    "AU26": ("jawOpen",),
    "AU28": ("mouthRollUpper", "mouthRollLower"),
    "AU45": ("eyeBlinkLeft", "eyeBlinkRight"),
}
"""FACS action unit -> the facial actions of the head that show it (a unit's weight is their mean)."""


def speech(frames: int, actions: list[str], rng: np.random.Generator) -> np.ndarray:
    """Return mouth movement as in talking, shape (frames, 52): jaw, funnel, pucker and lips over time."""
    time = np.arange(frames) / 25.0
    out = np.zeros((frames, len(actions)), np.float32)
    for name, size in (
        ("jawOpen", 0.25),
        ("mouthFunnel", 0.35),
        ("mouthPucker", 0.35),
        ("mouthLowerDownLeft", 0.3),
        ("mouthLowerDownRight", 0.3),
        ("mouthClose", 0.15),
    ):
        wave = sum(np.sin(2 * np.pi * rng.uniform(1.5, 5.0) * time + rng.uniform(0, 7)) for _ in range(3))
        out[:, actions.index(name)] = size * np.clip(wave / 2, 0, 1)
    return out


LAUGH = PROTOTYPES["happiness"][2]
"""A smile that opens the mouth and shows the teeth."""
SMALLER_AT_REST = dict.fromkeys(
    ("mouthSmile", "mouthUpperUp", "mouthLowerDown", "mouthFunnel", "mouthStretch", "noseSneer"), 0.2
) | dict.fromkeys(("jaw", "jawOpen", "jawForward"), 0.22)
"""Factors on what a face shows at rest: few people show their teeth or smile when they are calm."""


def resting(actions: list[str], rng: np.random.Generator) -> np.ndarray:
    """Return what a subject's face shows at rest, shape (52,), in standard deviations of `Variation.rest`.

    Nobody's neutral face is the prototype: lids droop, corners of the mouth fall or (less) rise, brows lie low. Four actions
    in ten take part, both sides nearly alike; the gaze and the tongue do not, and what would part the lips hardly does.
    """
    out = np.zeros(len(actions))
    pairs: dict[str, float] = {}
    for column, name in enumerate(actions):
        if name.startswith(("tongue", "eyeLook")):
            continue
        pair = name.removesuffix("Left").removesuffix("Right")
        if pair not in pairs:
            pairs[pair] = abs(float(rng.normal())) * float(rng.random() < 0.4)
        out[column] = SMALLER_AT_REST.get(pair, 1.0) * pairs[pair] * rng.normal(1, 0.15)
    return out.clip(0)


def _prototype(expression: str, habit: float, rng: np.random.Generator, faint_smiles: bool) -> Weights:
    """Draw one of a few prototypes, mostly the one of the habit."""
    variants = PROTOTYPES[expression]
    if expression == "happiness" and faint_smiles:
        variants = [*variants, *FAINT_SMILES]
    return variants[int(habit * len(variants)) if rng.random() < 0.6 else int(rng.integers(len(variants)))]


def _published(expression: str, habit: float, rng: np.random.Generator, faint_smiles: bool) -> Weights:
    return shown_by(expression, habit, rng).weights


REPERTOIRES: Choices[Callable[[str, float, np.random.Generator, bool], Weights]] = Choices(
    "repertoire", {"prototypes": _prototype, "published": _published}
)
"""Where the apex of an expression comes from: `draw(expression, habit, rng, faint_smiles)` gives weights of actions."""


def actions_over_time(
    expression: str,
    dynamics: str,
    frames: int,
    actions: list[str],
    style: np.ndarray,
    habit: float,
    rng: np.random.Generator,
    strength: tuple[float, float],
    rest: np.ndarray,
    faint_smiles: bool = True,
    repertoire: str = "prototypes",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the facial actions of a sequence and the strength of its expression.

    Args:
        expression: one of `PROTOTYPES`.
        dynamics: one of `DYNAMICS`.
        frames: number of frames.
        actions: names of the head's 52 facial actions.
        style: how strongly this subject shows each action, shape (52,), around 1.
        habit: in [0, 1), which variant of the expression this subject mostly shows.
        rng: the sequence's own random numbers.
        strength: range of the apex's strength.
        rest: what this subject's face shows at rest, shape (52,); the expression comes on top of it.
        faint_smiles: whether happiness may be a smile of `FAINT_SMILES`, too; the published repertoire has its own.
        repertoire: one of `REPERTOIRES`.

    Returns:
        weights of shape (frames, 52) in [0, 1.15], and the expression's intensity of shape (frames,).
    """
    apex = REPERTOIRES[repertoire](expression, habit, rng, faint_smiles)
    level = rng.uniform(*strength)
    curve = intensity(dynamics, frames, rng)
    out = np.tile(rest.astype(np.float32), (frames, 1))
    for name, weight in apex.items():
        column = actions.index(name)
        out[:, column] += curve * level * weight * style[column] * rng.uniform(0.75, 1.25)
    still = [i for i, name in enumerate(actions) if not name.startswith(("tongue", "jaw", "eyeBlink", "eyeLook"))]
    for column in rng.choice(still, 4, replace=False):
        out[:, column] += abs(rng.normal(0, 0.04))
    if DYNAMICS[dynamics].speaking:
        out += speech(frames, actions, rng) * (1 - 0.5 * curve[:, None])
    gaze = rng.normal(0, 0.12, 2)
    for names, amount in (
        (("eyeLookInLeft", "eyeLookOutRight"), gaze[0]),
        (("eyeLookOutLeft", "eyeLookInRight"), -gaze[0]),
        (("eyeLookUpLeft", "eyeLookUpRight"), gaze[1]),
        (("eyeLookDownLeft", "eyeLookDownRight"), -gaze[1]),
    ):
        for name in names:
            out[:, actions.index(name)] += max(amount, 0)
    if frames > 2 and rng.random() < 0.2:
        blink = int(rng.integers(1, frames - 1))
        for name in ("eyeBlinkLeft", "eyeBlinkRight"):
            out[blink, actions.index(name)] = 0.9
    return np.clip(out, 0, 1.15), curve


def action_units(weights: np.ndarray, actions: list[str]) -> np.ndarray:
    """Return FACS action units of shape (frames, len(ACTION_UNITS)) from facial actions (frames, 52)."""
    return np.stack([weights[:, [actions.index(name) for name in names]].mean(1) for names in ACTION_UNITS.values()], 1)
