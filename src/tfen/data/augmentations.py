"""What training does to clips so that no two are alike, by name; nothing heavy is imported until one is applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tfen.choices import Choices

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor


class Augment(Protocol):
    """Turns uint8 clips (B, S, H, W, 3) into normalised ones (B, S, 3, size, size); see `tfen.data.transforms`.

    `rngs` are each clip's random numbers for what moves the face, `own` those for everything else.
    """

    def __call__(
        self,
        clips_BSHWC: "Tensor",
        size: int,
        rngs: "Sequence[np.random.Generator]",
        own: "Sequence[np.random.Generator]",
        normalise: str,
        share: float,
        bend: bool,
        device: "torch.device",
    ) -> "Tensor": ...


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """One augmentation: a line for the help, and what does it."""

    text: str
    apply: Augment


def _crop_and_flip(
    clips_BSHWC: "Tensor",
    size: int,
    rngs: "Sequence[np.random.Generator]",
    own: "Sequence[np.random.Generator]",
    normalise: str,
    share: float,
    bend: bool,
    device: "torch.device",
) -> "Tensor":
    from tfen.data.transforms import crop_and_flip, to_network

    return to_network(crop_and_flip(clips_BSHWC, size, rngs), normalise, device)


@dataclass(frozen=True)
class _AnotherCamera:
    """`tfen.data.transforms.strong` with a part of its strength."""

    strength: float

    def __call__(
        self,
        clips_BSHWC: "Tensor",
        size: int,
        rngs: "Sequence[np.random.Generator]",
        own: "Sequence[np.random.Generator]",
        normalise: str,
        share: float,
        bend: bool,
        device: "torch.device",
    ) -> "Tensor":
        from tfen.data.transforms import on_device, strong

        there = on_device(clips_BSHWC, device)
        return strong(there, size, rngs, normalise, share * self.strength, bend, own)


AUGMENTATIONS = Choices(
    "augmentation",
    {
        "paper": Augmentation(text="random crop and flip", apply=_crop_and_flip),
        "mild": Augmentation(
            text="light, blur, geometry, noise and cut-outs, too, at two fifths of the strength",
            apply=_AnotherCamera(0.4),
        ),
        "strong": Augmentation(text="the same at full strength", apply=_AnotherCamera(1.0)),
    },
)
