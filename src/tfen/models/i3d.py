"""I3D (Carreira and Zisserman 2017, "Quo Vadis, Action Recognition?", Fig. 3), a baseline of Table 8.

Inception-v1 with every square kernel made a cube; the RGB stream alone. Paddings are TensorFlow's "same".
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from tfen.models.clip_classifier import ClipClassifier
from tfen.models.seresnet import initialise

MODULES = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
"""Channels of each Inception module: 1x1; 1x1 then 3x3; 1x1 then 3x3; pooling then 1x1."""


def same(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """Pad with zeros so that a sliding window gives ceil(size / stride) places, the odd one at the end."""
    pads: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride)):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads)


class Unit(nn.Module):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, channels_in: int, channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv = nn.Conv3d(channels_in, channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(same(x, self.kernel, self.stride))))


class Pool(nn.Module):
    """Max-pooling with "same" padding; features are never negative, so that zeros do not show."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool3d(same(x, self.kernel, self.stride), self.kernel, self.stride)


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, channels_in: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        one, three_in, three, five_in, five, pooled = channels
        self.branches = nn.ModuleList(
            [
                Unit(channels_in, one),
                nn.Sequential(Unit(channels_in, three_in), Unit(three_in, three, 3)),
                nn.Sequential(Unit(channels_in, five_in), Unit(five_in, five, 3)),
                nn.Sequential(Pool((3, 3, 3), (1, 1, 1)), Unit(channels_in, pooled)),
            ]
        )
        self.channels = one + three + five + pooled

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class I3D(ClipClassifier):
    """Frames (B, S, 3, H, W) to scores (B, K); `width` 64 is the publication's, other widths scale all layers."""

    memory_format = torch.channels_last_3d

    def __init__(self, classes: int, width: int = 64, dropout: float = 0.5) -> None:
        def scaled(*channels: int) -> tuple[int, ...]:
            return tuple(max(1, round(c * width / 64)) for c in channels)

        last = sum(scaled(*MODULES["5c"])[k] for k in (0, 2, 4, 5))
        super().__init__(last, classes, dropout)
        (w, w3) = scaled(64, 192)
        layers: list[nn.Module] = [
            Unit(3, w, 7, 2),
            Pool((1, 3, 3), (1, 2, 2)),
            Unit(w, w),
            Unit(w, w3, 3),
            Pool((1, 3, 3), (1, 2, 2)),
        ]
        channels = w3
        for name, sizes in MODULES.items():
            if name == "4b":
                layers.append(Pool((3, 3, 3), (2, 2, 2)))
            if name == "5b":
                layers.append(Pool((2, 2, 2), (2, 2, 2)))
            module = Inception(channels, scaled(*sizes))
            layers.append(module)
            channels = module.channels
        self.layers = nn.Sequential(*layers)
        initialise(self)

    def embed(self, x_BSCHW: Tensor) -> Tensor:
        return self.layers(x_BSCHW.transpose(1, 2)).mean((2, 3, 4))
