"""P3D-199 (Qiu et al. 2017, "Learning Spatio-Temporal Representation with Pseudo-3D Residual Networks"), of Table 8.

ResNet-152 whose 3x3 convolutions are split into one over space (S, 1x3x3) and one over time (T, 3x1x1), joined in
three ways that take turns: A, T after S; B, both side by side; C, T after S with S added. The last stage has one
frame left and is two-dimensional, as in the authors' network.
"""

from itertools import cycle

import torch
from torch import Tensor, nn

from tfen.models.clip_classifier import ClipClassifier
from tfen.models.seresnet import initialise

BLOCKS = (3, 8, 36, 3)
"""Blocks of the four stages."""


def conv_norm(channels_in: int, channels: int, kernel: tuple[int, int, int], stride: int = 1) -> nn.Sequential:
    """Convolution that keeps the size (`stride` is over space alone) and BatchNorm."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Sequential(
        nn.Conv3d(channels_in, channels, kernel, (1, stride, stride), padding, bias=False), nn.BatchNorm3d(channels)
    )


class Block(nn.Module):
    """A bottleneck; `way` is A, B or C, or "2D" for one without T."""

    def __init__(self, channels_in: int, channels: int, stride: int, way: str) -> None:
        super().__init__()
        self.way = way
        self.reduce = conv_norm(channels_in, channels, (1, 1, 1), stride)
        self.space = conv_norm(channels, channels, (1, 3, 3))
        self.time = None if way == "2D" else conv_norm(channels, channels, (3, 1, 1))
        self.expand = conv_norm(channels, 4 * channels, (1, 1, 1))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != 4 * channels:
            self.shortcut = conv_norm(channels_in, 4 * channels, (1, 1, 1), stride)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.reduce(x))
        space = torch.relu(self.space(y))
        if self.time is None:
            y = space
        elif self.way == "A":
            y = torch.relu(self.time(space))
        elif self.way == "B":
            y = space + torch.relu(self.time(y))
        else:
            y = space + torch.relu(self.time(space))
        return torch.relu(self.expand(y) + self.shortcut(x))


class P3D(ClipClassifier):
    """Frames (B, S, 3, H, W) to scores (B, K); `width` 64 is the publication's, other widths scale all layers."""

    memory_format = torch.channels_last_3d

    def __init__(self, classes: int, width: int = 64, dropout: float = 0.5) -> None:
        super().__init__(32 * width, classes, dropout)
        self.stem = conv_norm(3, width, (1, 7, 7), 2)
        self.pool = nn.MaxPool3d((2, 3, 3), 2, (0, 1, 1), ceil_mode=True)
        self.pool_time = nn.MaxPool3d((2, 1, 1), (2, 1, 1), ceil_mode=True)
        ways, channels, stages = cycle("ABC"), width, []
        for number, count in enumerate(BLOCKS):
            size, blocks = width * 2**number, []
            for k in range(count):
                way = "2D" if number == 3 else next(ways)
                blocks.append(Block(channels, size, 2 if k == 0 and number > 0 else 1, way))
                channels = 4 * size
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        initialise(self)

    def embed(self, x_BSCHW: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.stem(x_BSCHW.transpose(1, 2))))
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number < 3:
                x = self.pool_time(x)
        return x.mean((2, 3, 4))
