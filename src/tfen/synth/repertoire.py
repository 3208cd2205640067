"""How differently people show one expression: published forms, written in action units, and a sampler of them.

`FORMS` is the table. The shares of optional units in the forms of Du, Tao and Martinez are theirs; how common each form
is, how strong a unit is and what is added beside are choices of this project (docs/synthetic.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Weights = dict[str, float]

DU = "Du, Tao & Martinez 2014, table 1"
GUIDE = "Ekman, Friesen & Hager 2002, prototypes and major variants"
CK = "Lucey et al. 2010, criteria of CK+"
CORDARO = "Cordaro et al. 2018, core patterns"
KELTNER = "Keltner et al. 2019, table 2"
OURS = "a choice of this project"


def both(name: str, weight: float) -> Weights:
    """Return the weight of an action for both sides of the face."""
    return {f"{name}Left": weight, f"{name}Right": weight}


UNITS: dict[int, Weights] = {
    1: {"browInnerUp": 1.0},
    2: both("browOuterUp", 1.0),
    4: both("browDown", 1.0),
    5: both("eyeWide", 1.0),
    6: both("cheekSquint", 1.0) | both("eyeSquint", 0.4),
    7: both("eyeSquint", 1.0),
    9: both("noseSneer", 1.0) | both("browDown", 0.5) | both("cheekSquint", 0.8) | both("eyeSquint", 0.4),
    10: both("mouthUpperUp", 1.0) | both("noseSneer", 0.3) | both("cheekSquint", 0.3),
    11: both("noseSneer", 0.3) | both("mouthUpperUp", 0.2),
    12: both("mouthSmile", 1.0),
    14: both("mouthDimple", 1.0) | both("mouthPress", 0.5) | both("mouthSmile", 0.12),
    15: both("mouthFrown", 1.0),
    16: both("mouthLowerDown", 1.0),
    17: {"mouthShrugLower": 1.0, "mouthShrugUpper": 0.4},
    20: both("mouthStretch", 1.0),
    22: {"mouthFunnel": 0.8},
    23: {"mouthRollUpper": 0.5, "mouthRollLower": 0.5, "mouthPucker": 0.2} | both("mouthPress", 0.3),
    24: both("mouthPress", 1.0) | {"mouthRollUpper": 0.35, "mouthRollLower": 0.35},
    25: {"jawOpen": 0.05} | both("mouthLowerDown", 0.15) | both("mouthUpperUp", 0.05),
    26: {"jawOpen": 0.4},
    27: {"jawOpen": 0.85},
    43: both("eyeBlink", 0.4),
    64: both("eyeLookDown", 0.7) | both("eyeBlink", 0.15),
}
"""FACS action unit -> the facial actions of the head that show it at full strength."""
BARED = both("mouthLowerDown", 1.0) | both("mouthUpperUp", 1.0) | {"jawOpen": 0.08}
"""What parted lips do where they bare the teeth altogether."""
STRENGTH = (0.6, 1.0)
"""Range of a unit's strength at the apex, where the form says nothing else."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way in which people show an expression."""

    name: str
    share: float
    """How common it is among the forms of its expression."""
    units: tuple[int, ...]
    """Action units that always take part."""
    source: str
    """Where the units come from."""
    optional: Mapping[int, float] = field(default_factory=dict)
    """Action units that some people add, and the share of those people."""
    strength: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Ranges of units that are stronger or weaker than STRENGTH."""
    teeth: tuple[float, float] = (0.0, 0.3)
    """How far parted lips bare the teeth: 0 not, 1 altogether."""
    one_sided: bool = False
    """Whether the mouth moves on one side only, left or right."""


FAINT, MIDDLE, STRONG = (0.2, 0.45), (0.35, 0.75), (0.8, 1.0)

FORMS: dict[str, tuple[Form, ...]] = {
    "neutral": (
        Form(name="calm", share=0.6, units=(), source=OURS),
        Form(name="lips apart", share=0.2, units=(25,), optional={26: 0.4}, strength={26: FAINT}, source=OURS),
        Form(name="lips together", share=0.1, units=(24,), strength={24: FAINT}, source=OURS),
        Form(name="dazzled", share=0.1, units=(7,), optional={4: 0.4}, strength={7: MIDDLE, 4: FAINT}, source=OURS),
    ),
    "anger": (
        Form(name="pressed lips", share=0.4, units=(4, 7, 24), optional={10: 0.26, 17: 0.52, 23: 0.29},
             strength={4: STRONG, 10: FAINT}, source=DU),
        Form(name="glaring, tight lips", share=0.2, units=(4, 5, 7, 23), optional={17: 0.4, 24: 0.4},
             strength={4: STRONG, 5: MIDDLE}, source=f"{GUIDE}; {CK}"),
        Form(name="bared teeth", share=0.2, units=(4, 5, 7, 10, 23, 25), optional={22: 0.3, 26: 0.5},
             strength={4: STRONG, 5: MIDDLE, 10: MIDDLE, 23: FAINT}, teeth=(0.4, 1.0), source=GUIDE),
        Form(name="shouting", share=0.1, units=(4, 5, 7, 25, 26), optional={22: 0.5, 10: 0.5}, source=GUIDE,
             strength={4: STRONG, 5: MIDDLE, 26: (0.7, 1.5)}, teeth=(0.2, 0.8)),
        Form(name="brows and lids", share=0.1, units=(4, 7), optional={17: 0.3}, strength={4: STRONG}, source=CORDARO),
    ),
    "contempt": (
        Form(name="one corner", share=0.4, units=(14,), optional={4: 0.2, 7: 0.3, 17: 0.2}, one_sided=True, source=CK,
             strength={14: STRONG, 4: FAINT, 7: FAINT, 17: FAINT}),
        Form(name="one corner up", share=0.25, units=(12, 14), optional={7: 0.3, 10: 0.2}, one_sided=True, source=GUIDE,
             strength={12: (0.3, 0.65), 14: STRONG, 7: FAINT, 10: FAINT}),
        Form(name="both corners", share=0.25, units=(14,), optional={4: 0.3, 7: 0.3, 17: 0.3}, source=CK,
             strength={14: STRONG, 4: FAINT, 7: FAINT, 17: FAINT}),
        Form(name="lips apart", share=0.1, units=(4, 14, 25), one_sided=True, strength={4: FAINT}, source=CORDARO),
    ),
    "disgust": (
        Form(name="nose, lip and chin", share=0.45, units=(9, 10, 17), optional={4: 0.31, 24: 0.26},
             strength={9: STRONG}, source=DU),
        Form(name="nose", share=0.2, units=(9,), optional={4: 0.4, 6: 0.4, 17: 0.4}, strength={9: STRONG},
             source=f"{GUIDE}; {CK}"),
        Form(name="upper lip", share=0.15, units=(10,), optional={4: 0.4, 7: 0.4, 17: 0.4}, strength={10: STRONG},
             source=f"{GUIDE}; {CK}"),
        Form(name="open mouth", share=0.2, units=(9, 10, 16, 25), optional={15: 0.3, 26: 0.6}, source=GUIDE,
             strength={10: STRONG, 26: (0.4, 1.1)}, teeth=(0.1, 0.7)),
    ),
    "fear": (
        Form(name="stretched lips", share=0.4, units=(1, 4, 20, 25), optional={2: 0.57, 5: 0.63, 26: 0.33},
             strength={1: STRONG, 4: FAINT, 20: STRONG}, teeth=(0.1, 0.8), source=DU),
        Form(name="bared teeth", share=0.25, units=(1, 2, 4, 5, 20, 25), optional={16: 0.6, 26: 0.4},
             strength={1: STRONG, 2: MIDDLE, 4: FAINT, 5: STRONG, 20: STRONG}, teeth=(0.6, 1.0), source=GUIDE),
        Form(name="open mouth", share=0.2, units=(1, 2, 4, 5, 25, 26), strength={1: STRONG, 2: MIDDLE, 4: FAINT,
             5: STRONG, 26: (0.5, 1.3)}, source=GUIDE),
        Form(name="brows and lids", share=0.15, units=(1, 2, 4, 5), optional={20: 0.3},
             strength={1: STRONG, 2: MIDDLE, 4: FAINT, 5: STRONG}, source=f"{GUIDE}; {CK}"),
    ),
    "happiness": (
        Form(name="smile", share=0.45, units=(12, 25), optional={6: 0.51}, strength={12: (0.55, 1.0)}, teeth=(0.4, 1.0),
             source=DU),
        Form(name="closed lips", share=0.25, units=(12,), optional={6: 0.5}, source=GUIDE),
        Form(name="laugh", share=0.15, units=(6, 7, 12, 25, 26), strength={12: STRONG, 7: MIDDLE, 26: (0.3, 1.0)},
             teeth=(0.6, 1.0), source=KELTNER),
        Form(name="faint", share=0.15, units=(12,), optional={25: 0.4}, strength={12: (0.25, 0.5)}, teeth=(0.2, 0.6),
             source=GUIDE),
    ),
    "sadness": (
        Form(name="brows and corners", share=0.45, units=(4, 15), optional={1: 0.60, 6: 0.50, 11: 0.26, 17: 0.67},
             strength={4: MIDDLE, 15: STRONG, 6: MIDDLE}, source=DU),
        Form(name="inner brows", share=0.25, units=(1, 4, 15), optional={11: 0.3, 17: 0.3, 43: 0.3, 64: 0.4},
             strength={1: STRONG, 4: FAINT, 15: STRONG}, source=f"{GUIDE}; {CK}"),
        Form(name="pout", share=0.15, units=(1, 4, 15, 17), optional={43: 0.3, 64: 0.4},
             strength={4: MIDDLE, 15: MIDDLE, 17: STRONG}, source=GUIDE),
        Form(name="crying", share=0.15, units=(6, 15), optional={1: 0.5, 4: 0.5, 17: 0.5, 20: 0.3, 25: 0.4},
             strength={15: STRONG}, teeth=(0.1, 0.6), source=f"{GUIDE}; {CK}"),
    ),
    "surprise": (
        Form(name="open mouth", share=0.5, units=(1, 2, 25, 26), optional={5: 0.66}, teeth=(0.0, 0.2),
             strength={1: STRONG, 2: STRONG, 26: (0.7, 1.5)}, source=DU),
        Form(name="wide open mouth", share=0.25, units=(1, 2, 5, 25, 27), teeth=(0.0, 0.2),
             strength={1: STRONG, 2: STRONG, 5: MIDDLE, 27: (0.7, 1.1)}, source=GUIDE),
        Form(name="brows and lids", share=0.1, units=(1, 2, 5), strength={1: STRONG, 2: STRONG, 5: MIDDLE},
             source=f"{GUIDE}; {CK}"),
        Form(name="lids and mouth", share=0.15, units=(5, 25, 26), optional={1: 0.5},
             strength={5: STRONG, 26: (0.7, 1.6)}, teeth=(0.0, 0.2), source=GUIDE),
    ),
}  # fmt: skip
"""Expression -> the forms in which people show it."""

TRACES = (1, 2, 4, 5, 7)
"""Units of brows and lids that some people add faintly, whatever they show."""
SHARE_OF_TRACES = 0.08
TRACE = (0.08, 0.25)
SHARE_OF_LOPSIDED = 0.15
"""Of performances whose mouth moves less on one side."""
FAITHFUL = 0.65
"""Share of the performances in which somebody shows the usual form, with the usual units."""
UPPER = ("brow", "eye", "cheek")


@dataclass(frozen=True)
class Shown:
    """What somebody shows at the apex: a form, the units of it that take part, and the weights of the facial actions."""

    form: Form
    units: tuple[int, ...]
    weights: Weights


def draw(expression: str, rng: np.random.Generator) -> Shown:
    """Draw one way of showing an expression."""
    forms = FORMS[expression]
    form = forms[int(np.searchsorted(np.cumsum([one.share for one in forms]), rng.random(), side="right"))]
    return of_form(form, rng)


def of_form(form: Form, rng: np.random.Generator) -> Shown:
    """Draw which units take part in a form, and how strongly."""
    units = form.units + tuple(unit for unit, share in form.optional.items() if rng.random() < share)
    weights: Weights = {}
    for unit in units:
        _add(weights, UNITS[unit], rng.uniform(*form.strength.get(unit, STRENGTH)))
    if 25 in units:
        _add(weights, BARED, rng.uniform(*form.teeth))
    for unit in TRACES:
        if rng.random() < SHARE_OF_TRACES and unit not in units:
            _add(weights, UNITS[unit], rng.uniform(*TRACE))
    side = "Left" if rng.random() < 0.5 else "Right"
    if form.one_sided:
        weights = {
            name: weight for name, weight in weights.items() if name.startswith(UPPER) or not name.endswith(side)
        }
    elif rng.random() < SHARE_OF_LOPSIDED:
        less = rng.uniform(0.35, 0.8)
        weights = {
            name: weight * (less if name.endswith(side) and not name.startswith(UPPER) else 1.0)
            for name, weight in weights.items()
        }
    return Shown(form, units, weights)


def shown_by(expression: str, habit: float, rng: np.random.Generator) -> Shown:
    """Draw what somebody shows: mostly the usual form, which `habit` in [0, 1) settles, otherwise any other."""
    usual = np.random.default_rng(int(habit * 2**53))
    return draw(expression, usual if rng.random() < FAITHFUL else rng)


def _add(weights: Weights, actions: Weights, strength: float) -> None:
    """Put actions on top, each as strong as the strongest of the units that it belongs to."""
    for name, weight in actions.items():
        weights[name] = max(weights.get(name, 0.0), float(min(weight * strength, 1.0)))
