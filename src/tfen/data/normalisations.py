"""How pixels in [0, 1] become the network's input, by name; nothing heavy is imported until one is applied."""

from collections.abc import Callable
from dataclasses import dataclass
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
    from torch.nn.functional import avg_pool2d

    flat = clips_BSCHW.flatten(0, 1).mean(1, keepdim=True)
    around = flat.shape[-1] // 16 * 2 + 1

    def mean_near(x: "Tensor") -> "Tensor":
        for size in ((1, around), (around, 1)) * 2:
            x = avg_pool2d(x, size, 1, (size[0] // 2, size[1] // 2), count_include_pad=False)
        return x

    apart = flat - mean_near(flat)
    local = apart / (mean_near(apart**2).clamp_min(0).sqrt() + 0.03)
    return local.expand(-1, 3, -1, -1).unflatten(0, clips_BSCHW.shape[:2])


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
