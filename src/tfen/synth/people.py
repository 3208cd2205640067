"""Who the synthetic subjects are: sex, age, ancestry, the shape of the head, skin, hair, beard, glasses, habits."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tfen.synth.expressions import PROTOTYPES
from tfen.synth.head import BROWS_UP, INNER_BROWS_UP, LOCAL_CHANGES
from tfen.synth.looks import Look
from tfen.synth.looks import draw as draw_look
from tfen.synth.skins import SkinTraits

Array = np.ndarray
ANCESTRIES = ("african", "asian", "european")
HAIRSTYLES = ("bald", "short", "medium", "long")

_HAIR_COLOURS = {
    "black": (0.016, 0.013, 0.012),
    "dark brown": (0.045, 0.026, 0.017),
    "brown": (0.11, 0.060, 0.034),
    "fair": (0.36, 0.235, 0.11),
    "red": (0.24, 0.075, 0.025),
    "grey": (0.33, 0.32, 0.31),
}
_IRIS = {
    "brown": (0.105, 0.045, 0.018),
    "dark": (0.045, 0.022, 0.012),
    "blue": (0.16, 0.27, 0.40),
    "green": (0.15, 0.22, 0.10),
    "grey": (0.22, 0.24, 0.25),
}
FULL_LIPS = tuple(f"mouth-{lip}lip-{what}-incr" for lip in ("upper", "lower") for what in ("volume", "height"))
FULLER_LIPS = {"african": (0.0, 0.8), "asian": (-0.1, 0.45), "european": (-0.2, 0.4)}
"""What is added to the changes of FULL_LIPS, by ancestry: Anny's lips are thin, above all its African people's."""


@dataclass(frozen=True)
class Subject:
    """One synthetic person; everything that stays the same over this person's sequences."""

    name: str
    sex: str
    age: int
    """Years."""
    ancestry: str
    hairstyle: str
    hair_colour: str
    beard: str
    glasses: bool
    phenotype: dict[str, float]
    changes: dict[str, float]
    skin: SkinTraits
    iris: tuple[float, float, float]
    hair_volume: float
    """How far hair stands off the skull, metres."""
    hair_length: float
    """How far long hair falls below the eyes, metres."""
    glasses_shape: tuple[float, float, float, float]
    """Half width and half height of a lens and the frame's radius in metres; squareness (1 round)."""
    glasses_colour: tuple[float, float, float]
    teeth: float
    style: tuple[float, ...]
    """How strongly this subject shows each of the 52 facial actions, around 1."""
    habits: dict[str, float]
    """Which variant of each expression this subject mostly shows, in [0, 1)."""
    look: Look | None = None
    """What this subject's face wears besides; None: nothing."""

    def identity(self) -> dict[str, float]:
        """Return the parameters that make this person's shape: phenotype and local changes."""
        return {**self.phenotype, **self.changes}

    def record(self) -> dict[str, Any]:
        """Return everything about the subject as plain values, for JSON."""
        out = asdict(self)
        out["style"] = [round(value, 4) for value in self.style]
        if self.look is None:
            del out["look"]
        return out


def _choose(rng: np.random.Generator, chances: dict[str, float]) -> str:
    names = list(chances)
    weights = np.array([chances[name] for name in names])
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _rgb(colour: Array) -> tuple[float, float, float]:
    red, green, blue = (float(c) for c in colour)
    return red, green, blue


def _with_other_lips(subject: Subject, lips: float, rng: np.random.Generator) -> Subject:
    """Return a subject with fuller (or thinner) lips of other tones; see `Variation.lips`."""
    fuller = lips * rng.uniform(*FULLER_LIPS[subject.ancestry])
    full = {name: round(float(np.clip(subject.changes[name] + fuller, -1, 1)), 5) for name in FULL_LIPS}
    upper, lower = (float(x) for x in np.exp(lips * (rng.normal(0, 0.2) + rng.normal(0, 0.2, 2))).clip(0.5, 2))
    return replace(subject, changes={**subject.changes, **full}, skin=replace(subject.skin, lip_tones=(upper, lower)))


def _with_shine(subject: Subject, shine: float, rng: np.random.Generator) -> Subject:
    """Return a subject with sweaty skin and moist lips, few of them much; see `Variation.shine`."""
    skin, moist = (round(float(x), 4) for x in shine * np.array([0.5, 0.9]) * rng.random(2) ** 2)
    power = round(float(np.exp(rng.uniform(np.log(8), np.log(60)))), 2)
    return replace(subject, skin=replace(subject.skin, shine=(skin, moist), shine_power=power))


def _as_stranger(subject: Subject, far: float, rng: np.random.Generator) -> Subject:
    """Return a subject who looks as differently at rest as strangers do; see `Variation.looks`."""
    look, moved = draw_look(subject.sex, subject.skin.age, subject.changes, far, rng)
    skin = replace(subject.skin, beard=0.0, moustache=0.0)
    glasses = subject.glasses or look.sunglasses > 0
    changes = {**subject.changes, **moved}
    return replace(subject, look=look, changes=changes, skin=skin, beard=look.beard, glasses=glasses)


@dataclass(frozen=True)
class _Person:
    """What the rest of a person is drawn from; `old` grows from 0 at 25 years to 1 at 70."""

    male: bool
    ancestry: str
    age: int
    old: float


@dataclass(frozen=True)
class _Hair:
    colour: str
    style: str
    beard: str


def make_subject(
    index: int, rng: np.random.Generator, lips: float = 0.0, shine: float = 0.0, looks: float = 0.0
) -> Subject:
    """Return subject number `index`; sexes and ancestries take turns so that any few are mixed.

    The order in which things are drawn is part of the result: another order makes other people.

    Args:
        lips: see `Variation.lips`; the person is the same with all, lips apart.
        shine: see `Variation.shine`; likewise.
        looks: see `Variation.looks`; likewise.
    """
    person = _person(index, rng)
    phenotype = _phenotype(person, rng)
    changes = {name: float(np.clip(rng.normal(0, 0.24), -0.65, 0.65)) for name in LOCAL_CHANGES}
    hair = _hair(person, rng)
    skin = _skin(person, hair, rng)
    iris = _iris(person, rng)
    style = np.clip(rng.normal(1, 0.15, 52), 0.55, 1.45)
    habits = {name: float(rng.random()) for name in PROTOTYPES}
    changes.update(_places(rng))
    subject = Subject(
        name=f"s{index:04d}",
        sex="male" if person.male else "female",
        age=person.age,
        ancestry=person.ancestry,
        hairstyle=hair.style,
        hair_colour=hair.colour,
        beard=hair.beard,
        glasses=bool(rng.random() < 0.16 + 0.2 * person.old),
        phenotype={name: round(float(value), 5) for name, value in phenotype.items()},
        changes={name: round(value, 5) for name, value in changes.items()},
        skin=skin,
        iris=_rgb(np.array(_IRIS[iris]) * rng.uniform(0.8, 1.2)),
        hair_volume=_hair_volume(hair, rng),
        hair_length=float(rng.uniform(0.09, 0.24)),
        glasses_shape=_glasses_shape(rng),
        glasses_colour=_rgb(rng.uniform(0.005, 0.05, 3) if rng.random() < 0.75 else rng.uniform(0.05, 0.4, 3)),
        teeth=float(rng.uniform(0.75, 1.1)),
        style=tuple(float(value) for value in style),
        habits=habits,
    )
    if lips:
        subject = _with_other_lips(subject, lips, rng)
    if shine:
        subject = _with_shine(subject, shine, rng)
    return _as_stranger(subject, looks, rng) if looks else subject


def _person(index: int, rng: np.random.Generator) -> _Person:
    male = bool((index + rng.integers(2)) % 2) if index % 4 == 3 else bool(index % 2)
    years = {"young": (18, 36), "middle": (36, 56), "old": (56, 76)}
    age = int(rng.integers(*years[_choose(rng, {"young": 5, "middle": 3, "old": 2})]))
    ancestry = ANCESTRIES[(index // 2 + (index // 6)) % 3]
    return _Person(male, ancestry, age, float(np.clip((age - 25) / 45, 0, 1)))


def _phenotype(person: _Person, rng: np.random.Generator) -> dict[str, float]:
    """Draw Anny's parameters of the whole body."""
    mix = {**dict.fromkeys(ANCESTRIES, 0.06), person.ancestry: 0.88}
    african, asian, caucasian = rng.dirichlet(np.array(list(mix.values())) * 12)
    return {
        "gender": rng.uniform(0.84, 1.0) if person.male else rng.uniform(0.0, 0.16),
        "age": float(np.clip(0.5 + (person.age - 25) / 130, 0.44, 1.0)),
        "weight": rng.uniform(0.25, 0.85),
        "muscle": rng.uniform(0.35, 0.7),
        "african": african,
        "asian": asian,
        "caucasian": caucasian,
    }


def _hair(person: _Person, rng: np.random.Generator) -> _Hair:
    fair = {"black": 1.5, "dark brown": 3, "brown": 3, "fair": 2, "red": 0.7}
    colour = _choose(rng, fair if person.ancestry == "european" else {"black": 8, "dark brown": 2})
    if rng.random() < np.clip((person.age - 42) / 25, 0, 0.85):
        colour = "grey"
    if not person.male:
        return _Hair(colour, _choose(rng, {"bald": 0.05, "short": 1.2, "medium": 2, "long": 6}), "none")
    style = _choose(rng, {"bald": 0.6 + 2.0 * person.old, "short": 6, "medium": 2, "long": 0.4})
    return _Hair(colour, style, _choose(rng, {"none": 5, "stubble": 3, "moustache": 0.8, "full": 1.8}))


def _skin(person: _Person, hair: _Hair, rng: np.random.Generator) -> SkinTraits:
    male, ancestry, beard = person.male, person.ancestry, hair.beard
    darkness = {
        "african": rng.uniform(0.52, 1.0),
        "asian": rng.uniform(0.10, 0.48),
        "european": rng.uniform(0.0, 0.34),
    }[ancestry]
    made_up = 0.0 if male or rng.random() < 0.45 else rng.uniform(0.3, 0.9)
    light = np.array([0.55, 0.10, 0.12]) if rng.random() < 0.6 else np.array([0.42, 0.13, 0.18])
    receding = male and rng.random() < 0.25 + 0.5 * person.old
    return SkinTraits(
        darkness=float(darkness),
        warmth={"african": 0.3, "asian": 0.75, "european": -0.2}[ancestry] + rng.normal(0, 0.3),
        redness=float(rng.uniform(0.2, 1.0)),
        age=person.old,
        freckles=float(rng.uniform(0.2, 1)) if ancestry == "european" and rng.random() < 0.18 else 0.0,
        lipstick=made_up,
        lipstick_colour=_rgb(light * rng.uniform(0.7, 1.1) * (1 - 0.72 * darkness)),
        eyeshadow=0.6 * made_up * float(rng.random() < 0.5),
        eyeshadow_colour=_rgb(rng.uniform(0.08, 0.3, 3)),
        brow_thickness=float(rng.uniform(0.95, 1.5) if male else rng.uniform(0.6, 1.05)),
        brow_arch=float(rng.normal(0.0 if male else 0.45, 0.3)),
        brow_density=float(rng.uniform(0.8, 1.3)),
        brow_cover=float(rng.uniform(0.75, 1.0)),
        beard={"none": 0.0, "stubble": rng.uniform(0.12, 0.4), "moustache": 0.0, "full": rng.uniform(0.7, 1.0)}[beard]
        if beard != "none" or not male
        else rng.uniform(0.0, 0.07),
        moustache={"none": 0.0, "stubble": rng.uniform(0.12, 0.4), "moustache": 0.9, "full": 0.9}[beard],
        hairline=float(rng.uniform(0.008, 0.026)) if receding else float(rng.uniform(-0.004, 0.008)),
        temples=float(rng.uniform(0.008, 0.028)) if receding else float(rng.uniform(0.0, 0.006)),
        hair_cover=float(rng.uniform(0.0, 0.25)) if hair.style == "bald" else 1.0,
        hair_colour=_rgb(np.array(_HAIR_COLOURS[hair.colour]) * rng.uniform(0.75, 1.3)),
    )


def _iris(person: _Person, rng: np.random.Generator) -> str:
    fair = {"brown": 3, "dark": 1, "blue": 3, "green": 1.2, "grey": 1.2}
    return _choose(rng, fair if person.ancestry == "european" else {"dark": 5, "brown": 3})


def _places(rng: np.random.Generator) -> dict[str, float]:
    """Draw where brows, nose and mouth sit, farther apart than other changes."""
    brows = rng.uniform(-0.3, 1.5)
    middle = rng.uniform(-0.4, 1.6)
    return {
        BROWS_UP: brows,
        "mouth-trans-up": middle + rng.normal(0, 0.3),
        "nose-trans-up": 1.5 * middle + rng.normal(0, 0.3),
        INNER_BROWS_UP: rng.uniform(-0.3, 0.9),
    }


def _hair_volume(hair: _Hair, rng: np.random.Generator) -> float:
    return {
        "bald": 0.0,
        "short": rng.uniform(0.003, 0.009),
        "medium": rng.uniform(0.010, 0.020),
        "long": rng.uniform(0.008, 0.016),
    }[hair.style]


def _glasses_shape(rng: np.random.Generator) -> tuple[float, float, float, float]:
    return (
        float(rng.uniform(0.024, 0.029)),
        float(rng.uniform(0.016, 0.024)),
        float(rng.uniform(0.0008, 0.0018)),
        float(rng.uniform(0.45, 1.0)),
    )
