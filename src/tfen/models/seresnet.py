"""SE-ResNet-18 in two halves (Hu et al. 2018; Table 1 of the paper).

The lower half (stem, conv2_x, conv3_x) is the facial feature extractor F and the expression feature extractor E;
the upper half (conv4_x, conv5_x, pool, fc) is the adversarial network A. Parameter names are those of timm's
`legacy_seresnet18`, so that its ImageNet weights fit as they are; they belong to blocks of the form "timm".
"""

import torch
from torch import Tensor, nn

from tfen.models.blocks import BLOCKS

REDUCTION = 16


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the channels' means. (B,C,H,W) -> (B,C,H,W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // REDUCTION, 1)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        mean_BC11 = x_BCHW.mean((2, 3), keepdim=True)
        return x_BCHW * torch.sigmoid(self.fc2(torch.relu(self.fc1(mean_BC11))))


class Block(nn.Module):
    """Two 3x3 convolutions with squeeze-and-excitation (if asked for) beside a shortcut; `form` is one of `BLOCKS`."""

    def __init__(
        self, channels_in: int, channels: int, stride: int, squeeze: bool = True, form: str = "original"
    ) -> None:
        super().__init__()
        self.relu_before_squeeze = BLOCKS[form].relu_before_squeeze
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.se_module: nn.Module = SqueezeExcite(channels) if squeeze else nn.Identity()
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        if self.relu_before_squeeze:
            x = torch.relu(x)
        return torch.relu(self.se_module(x) + shortcut)


class LowerHalf(nn.Module):
    """F and E: images (B,3,H,W) to features (B, 2 * width, H/8, W/8); 688,600 parameters at width 64."""

    def __init__(self, width: int = 64, form: str = "original") -> None:
        super().__init__()
        self.layer0 = nn.ModuleDict({"conv1": nn.Conv2d(3, width, 7, 2, 3, bias=False), "bn1": nn.BatchNorm2d(width)})
        self.pool0 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.layer1 = nn.Sequential(Block(width, width, 1, form=form), Block(width, width, 1, form=form))
        self.layer2 = nn.Sequential(Block(width, 2 * width, 2, form=form), Block(2 * width, 2 * width, 1, form=form))
        initialise(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x = self.pool0(torch.relu(self.layer0["bn1"](self.layer0["conv1"](x_BCHW))))
        return self.layer2(self.layer1(x))


class UpperHalf(nn.Module):
    """A: features (B, 2 * width, H, W) to scores (B, classes), before the softmax."""

    def __init__(self, classes: int, width: int = 64, dropout: float = 0.0, form: str = "original") -> None:
        super().__init__()
        self.layer3 = nn.Sequential(
            Block(2 * width, 4 * width, 2, form=form), Block(4 * width, 4 * width, 1, form=form)
        )
        self.layer4 = nn.Sequential(
            Block(4 * width, 8 * width, 2, form=form), Block(8 * width, 8 * width, 1, form=form)
        )
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(8 * width, classes)
        initialise(self)

    def embed(self, x_BCHW: Tensor) -> Tensor:
        """Return the pooled features before the classifier, (B, 8 * width)."""
        return self.layer4(self.layer3(x_BCHW)).mean((2, 3))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.last_linear(self.dropout(self.embed(x_BCHW)))


def initialise(module: nn.Module) -> None:
    """Draw convolutions as He et al. (2015) do, for random starts."""
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Conv3d)):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
