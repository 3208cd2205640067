"""3D-ResNet-18 (Hara et al. 2018), its upper half as T (Section 3.6) and whole as a baseline of Table 8.

Shortcut "A" has no parameters (stride, then zero-padded channels), as Hara's ResNet-18; "B" is a 1x1x1 convolution
with BatchNorm, as torchvision's `r3d_18`.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from tfen.config import Shortcut
from tfen.models.clip_classifier import ClipClassifier
from tfen.models.seresnet import initialise


class Block3D(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(channels)
        self.conv2 = nn.Conv3d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(channels)
        self.stride, self.extra = stride, channels - channels_in
        self.downsample: nn.Module | None = None
        if shortcut == "B" and (stride != 1 or self.extra):
            self.downsample = nn.Sequential(
                nn.Conv3d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm3d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        if self.downsample is not None:
            shortcut = self.downsample(x)
        else:
            s = self.stride
            shortcut = functional.pad(x[:, :, ::s, ::s, ::s], (0, 0, 0, 0, 0, 0, 0, self.extra))
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + shortcut)


def stage(channels_in: int, channels: int, stride: int, shortcut: Shortcut) -> nn.Sequential:
    """Two blocks, the first of which changes the size."""
    return nn.Sequential(Block3D(channels_in, channels, stride, shortcut), Block3D(channels, channels, 1, shortcut))


class Temporal3D(ClipClassifier):
    """T: features (B, S, 2 * width, H, W) of a clip to scores (B, K): conv4_x, conv5_x, pooling, dropout, classifier.

    30,971,904 parameters and the classifier at width 64 with shortcut A; 165,376 more with B.
    """

    memory_format = torch.channels_last_3d

    def __init__(self, classes: int, width: int = 64, shortcut: Shortcut = "A", dropout: float = 0.2) -> None:
        super().__init__(8 * width, classes, dropout)
        self.layer3 = stage(2 * width, 4 * width, 2, shortcut)
        self.layer4 = stage(4 * width, 8 * width, 2, shortcut)
        initialise(self)

    def embed(self, x_BSCHW: Tensor) -> Tensor:
        """Return the clip's features before the classifier, (B, 8 * width).

        On the CPU always in float32: there, gradients of 3D convolutions in bfloat16 now and then hold infinite
        values (seen with torch 2.13 and oneDNN, in one step of some hundred).
        """
        x = x_BSCHW.transpose(1, 2)
        if x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return self.layer4(self.layer3(x.float())).mean((2, 3, 4))
        return self.layer4(self.layer3(x)).mean((2, 3, 4))


class ResNet3D(ClipClassifier):
    """Frames (B, S, 3, H, W) to scores (B, K): all of 3D-ResNet-18.

    Shortcut "A" is Hara's network: a stem of 7x7x7 kernels and max-pooling. "B" is torchvision's `r3d_18`: a stem of
    3x7x7 kernels, no pooling; 33,371,472 parameters with 400 classes.
    """

    memory_format = torch.channels_last_3d

    def __init__(self, classes: int, width: int = 64, shortcut: Shortcut = "A", dropout: float = 0.2) -> None:
        super().__init__(8 * width, classes, dropout)
        depth = 7 if shortcut == "A" else 3
        self.conv1 = nn.Conv3d(3, width, (depth, 7, 7), (1, 2, 2), (depth // 2, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.pool: nn.Module = nn.MaxPool3d(3, 2, 1) if shortcut == "A" else nn.Identity()
        self.layer1 = stage(width, width, 1, shortcut)
        self.layer2 = stage(width, 2 * width, 2, shortcut)
        self.layer3 = stage(2 * width, 4 * width, 2, shortcut)
        self.layer4 = stage(4 * width, 8 * width, 2, shortcut)
        initialise(self)

    def embed(self, x_BSCHW: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.bn1(self.conv1(x_BSCHW.transpose(1, 2)))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3, 4))
