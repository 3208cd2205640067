"""Whose turn it is in Algorithm 1, by the readings of its "i % S" and of "the number of training steps applied to A"."""

from collections.abc import Callable
from dataclasses import dataclass

from tfen.choices import Choices


@dataclass(frozen=True, kw_only=True)
class Turns:
    """One reading: a line for the help, and whether A learns, given iteration and epoch (from 1 on) and the interval."""

    text: str
    adversary: Callable[[int, int, int], bool]


TURNS = Choices(
    "reading of the turns",
    {
        "iterations": Turns(
            text="A learns in every n-th iteration", adversary=lambda iteration, epoch, n: iteration % n == 0
        ),
        "epochs": Turns(text="A learns in every n-th epoch", adversary=lambda iteration, epoch, n: epoch % n == 0),
        "three-of-adversary": Turns(
            text="n steps of A for each of E, D and T", adversary=lambda iteration, epoch, n: iteration % (n + 1) != 0
        ),
    },
)
