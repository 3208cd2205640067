"""How pixels in [0, 1] become the network's input, by name; nothing heavy is imported until one is applied."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tfen.choices import Choices

if TYPE_CHECKING:
    from torch import Tensor

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, RGB in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """One normalisation.

    Args:
        text: a line for the help.
        apply: clips (B, S, 3, H, W) in [0, 1] to the same shape.
        whole_clip: whether a frame's values depend on the other frames of its clip; streams cannot have that.
    """

    text: str
    apply: "Callable[[Tensor], Tensor]"
    whole_clip: bool = False


def _imagenet(clips_BSCHW: "Tensor") -> "Tensor":
    mean, deviation = (clips_BSCHW.new_tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return (clips_BSCHW - mean) / deviation


def _standardised(clips_BSCHW: "Tensor", over: tuple[int, ...]) -> "Tensor":
    mean, deviation = clips_BSCHW.mean(over, keepdim=True), clips_BSCHW.std(over, keepdim=True)
    return (clips_BSCHW - mean) / (deviation + 0.02)


def _local(clips_BSCHW: "Tensor") -> "Tensor":
    import torch

    flat = clips_BSCHW.flatten(0, 1).mean(1, keepdim=True)
    around = flat.shape[-1] // 16 * 2 + 1
    # both give the same up to rounding, products in a fifth of the time; training keeps the bytes of its weights
    near = _near_by_products if torch.is_inference_mode_enabled() and flat.device.type == "cpu" else _near_by_pooling
    apart = flat - near(flat, around)
    local = apart / (near(apart**2, around).clamp_min(0).sqrt() + 0.03)
    return local.expand(-1, 3, -1, -1).unflatten(0, clips_BSCHW.shape[:2])


def _near_by_pooling(x_B1HW: "Tensor", size: int) -> "Tensor":
    """Return the means of the squares around each pixel, averaged twice; squares end at the picture's edges."""
    from torch.nn.functional import avg_pool2d

    for sides in ((1, size), (size, 1)) * 2:
        x_B1HW = avg_pool2d(x_B1HW, sides, 1, (sides[0] // 2, sides[1] // 2), count_include_pad=False)
    return x_B1HW


def _near_by_products(x_B1HW: "Tensor", size: int) -> "Tensor":
    """Return the same: down and across, each value becomes a weighted sum of its row or column."""
    down, across = (_averaging_twice(length, size) for length in x_B1HW.shape[-2:])
    return down @ x_B1HW @ across.T


@cache
def _averaging_twice(length: int, size: int) -> "Tensor":
    """Return the matrix that replaces each of `length` values by the mean of `size` around it, twice, (length, length)."""
    import torch

    places = torch.arange(length)
    near = ((places[:, None] - places).abs() <= size // 2).double()
    once = near / near.sum(1, keepdim=True)
    return (once @ once).float()


NORMALISATIONS = Choices(
    "normalisation",
    {
        "imagenet": Normalisation(text="ImageNet's fixed mean and deviation", apply=_imagenet),
        "clip": Normalisation(
            text="zero mean and unit deviation in each clip",
            apply=lambda clips: _standardised(clips, (1, 2, 3, 4)),
            whole_clip=True,
        ),
        "frame": Normalisation(
            text="zero mean and unit deviation in each frame", apply=lambda clips: _standardised(clips, (2, 3, 4))
        ),
        "local": Normalisation(
            text="the same in the surroundings of each pixel (an eighth of the picture's side, averaged twice), which takes "
            "shading away, and colour",
            apply=_local,
        ),
    },
)
