"""The decoupler D (Section 3.4, Fig. 4, Eq. 1), and the fusion that replaces it in one ablation (Fig. 5)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tfen.choices import Choices
from tfen.models.seresnet import initialise


def group(channels: int) -> nn.Sequential:
    """Three 1x1 convolutions of `channels`, `channels` / 2 and `channels` kernels; 33,088 parameters at 128.

    ReLU stands between the convolutions; the last one is linear, so that f_FACE can take away as well as add (with a
    ReLU at the end the network learned more slowly on synthetic faces).
    """
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(),
        nn.Conv2d(channels, channels // 2, 1),
        nn.ReLU(),
        nn.Conv2d(channels // 2, channels, 1),
    )


class Decoupler(nn.Module):
    """TFE = f_TFE(f_EXP(E) + f_FACE(F)) (Eq. 1); all of shape (B, channels, H, W)."""

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        self.f_exp = group(channels)
        self.f_face = group(channels)
        self.f_tfe = group(channels)
        initialise(self)

    def forward(self, expression_BCHW: Tensor, face_BCHW: Tensor) -> Tensor:
        return self.f_tfe(self.f_exp(expression_BCHW) + self.f_face(face_BCHW))


class Concatenation(nn.Module):
    """E and F side by side, then one 1x1 convolution and BatchNorm to match the channels (without-decoupler)."""

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, channels, 1)
        self.bn = nn.BatchNorm2d(channels)
        initialise(self)

    def forward(self, expression_BCHW: Tensor, face_BCHW: Tensor) -> Tensor:
        return self.bn(self.conv(torch.cat([expression_BCHW, face_BCHW], 1)))


FUSIONS: Choices[Callable[[int], nn.Module]] = Choices(
    "fusion", {"decoupler": Decoupler, "concatenation": Concatenation}
)
"""How E's and F's features become one, made for a number of channels: `forward(expression_BCHW, face_BCHW)`."""
