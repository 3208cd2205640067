"""The twins' loss, which is ours and not the paper's: clips of one performance by different people look alike in TFE.

`tfen synth --twins K` makes people who perform the same takes. What differs between two clips of one take is the person
(and backdrop, noise, light as training changes it); what differs between takes is the expression. So the loss asks for
small distances between twins in proportion to the distances between takes, which is the definition of a feature that
carries the expression and not the person.

Nothing heavy is imported here, since settings and help read the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfen.choices import Choices

if TYPE_CHECKING:
    from torch import Tensor

CELLS = 8
"""Maps are averaged in so many cells along each side, if they have more. Fewer leave the person in what lies between: at 4
cells of 8 a fresh adversary recognised half as many people again as at 8 (docs/evidence.md)."""
TINY = 1e-8
"""Least variance of a feature, in the variance of all: what is the same in the whole batch tells nothing."""


def twins_loss(features_BD: "Tensor", takes_B: "Tensor") -> "Tensor":
    """Return the mean squared distance of twins' clips over that of clips of different takes, in standardised features.

        z'_d = (z_d - mean z_d) / sqrt(var z_d + 1e-8 var z)      over the batch, for each feature d; var z: over all
        L_twins = mean_{i != j, take_i = take_j} |z'_i - z'_j|^2 / mean_{take_i != take_j} |z'_i - z'_j|^2

    It is 0 where twins look the same, about 1 where a twin is no nearer than anybody else, and it does not change with
    the scale of any feature. Without standardising, the few features that vary most decide, and the person stays in the
    others, where a probe finds him.

    Args:
        features_BD: z, one row for each clip of the batch.
        takes_B: number of each clip's take; -1: nobody has a twin. Clips of no take count in the denominator only.

    Returns:
        a scalar; 0, with no gradient, where the batch has no two twins, or no two takes.
    """
    import torch

    features = features_BD.float()
    variance = features.var(0, unbiased=False)
    features = (features - features.mean(0)) / (variance + TINY * features.var() + 1e-24).sqrt()
    squared = features.square().sum(1)
    distance_BB = (squared[:, None] + squared[None] - 2 * features @ features.T).clamp_min(0)
    itself = torch.eye(len(takes_B), dtype=torch.bool, device=takes_B.device)
    same_BB = (takes_B[:, None] == takes_B[None]) & ~itself
    twins_BB, others_BB = same_BB & (takes_B[:, None] >= 0), ~same_BB & ~itself
    if not twins_BB.any() or not others_BB.any():
        return features.new_zeros(())
    return distance_BB[twins_BB].mean() / distance_BB[others_BB].mean().clamp_min(1e-12)


def cells(maps_BSCHW: "Tensor") -> "Tensor":
    """Return maps of every frame averaged in at most `CELLS` x `CELLS` cells, one row for each clip, (B, S * C * cells)."""
    from torch.nn.functional import adaptive_avg_pool2d

    high, wide = maps_BSCHW.shape[-2:]
    sides = min(high, CELLS), min(wide, CELLS)
    return adaptive_avg_pool2d(maps_BSCHW.flatten(0, 1), sides).unflatten(0, maps_BSCHW.shape[:2]).flatten(1)


@dataclass(frozen=True, kw_only=True)
class TwinPlace:
    """Where twins are to look alike.

    Args:
        text: a line for the help.
        features: one row for each clip (B, D), of E's maps and TFE (B, S, C, H, W); None: T's features of the clips.
    """

    text: str
    features: "Callable[[Tensor, Tensor], Tensor] | None"


TWIN_PLACES = Choices(
    "place of the twins' loss",
    {
        "tfe": TwinPlace(text="TFE", features=lambda expression, typical: cells(typical)),
        "tfe-mean": TwinPlace(
            text="TFE averaged over each frame, wherever it lies",
            features=lambda expression, typical: typical.mean((3, 4)).flatten(1),
        ),
        "e": TwinPlace(text="E's features", features=lambda expression, typical: cells(expression)),
        "t": TwinPlace(text="T's features of the clip", features=None),
    },
)
