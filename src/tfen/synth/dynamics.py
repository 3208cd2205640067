"""How strong an expression is over the time of a sequence."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfen.choices import Choices

Array = np.ndarray


@dataclass(frozen=True)
class Dynamics:
    """A course of strength: `curve(time, rise, speed, rng)` for times (frames,) from 0 to 1; whether the mouth talks.

    `rise` goes smoothly from 0 at 0 to 1 at 1 and stays there; `speed` is the subject's, 1 to 1.6.
    """

    curve: Callable[[Array, Callable[[Array], Array], float, np.random.Generator], Array]
    speaking: bool = False


def _held(time: Array, rise: Callable[[Array], Array], speed: float, rng: np.random.Generator) -> Array:
    return np.clip(1 - 0.15 * rng.random() + 0.05 * np.sin(6 * time + rng.uniform(0, 6)), 0, 1)


DYNAMICS = Choices(
    "dynamics",
    {
        "onset-apex": Dynamics(lambda time, rise, speed, rng: rise(speed * time)),
        "onset-apex-offset": Dynamics(
            lambda time, rise, speed, rng: np.minimum(rise(2.6 * speed * time), rise(2.6 * speed * (1 - time)))
        ),
        "apex-neutral": Dynamics(lambda time, rise, speed, rng: rise(speed * (1 - time))),
        "held": Dynamics(_held),
        "speaking": Dynamics(lambda time, rise, speed, rng: rise(speed * time), speaking=True),
    },
)
"""onset-apex rises and stays; onset-apex-offset rises, stays and falls; apex-neutral falls; held stays at the apex;
speaking rises while the mouth talks. Their order numbers the sequences of a set: new ones go to the end."""


def intensity(dynamics: str, frames: int, rng: np.random.Generator) -> Array:
    """Return the strength of the expression in every frame, shape (frames,), 0 (neutral) to 1 (apex)."""
    time = np.linspace(0, 1, frames) if frames > 1 else np.ones(1)
    speed, bend = rng.uniform(1.0, 1.6), rng.uniform(0.7, 1.5)

    def rise(x: Array) -> Array:
        x = np.clip(x, 0, 1) ** bend
        return x * x * (3 - 2 * x)

    return DYNAMICS[dynamics].curve(time, rise, speed, rng)
