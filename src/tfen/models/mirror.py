"""A face and its mirror image show the same expression: what a network says about both, averaged."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from tfen.models.weights import Loaded


class Mirrored(nn.Module):
    """A trained network whose probabilities are the mean of those of a clip and of its mirror image; for use only.

    It is cut in two where the network is, so that a stream computes each frame, and its mirror image, once.

    Args:
        network: any that is trained, or its exported graphs.
    """

    adversary = None

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def features(self, frames_BCHW: Tensor) -> Tensor:
        """Return what T takes of single frames and, behind it along the channels, of their mirror images."""
        both = self.network.features(torch.cat([frames_BCHW, frames_BCHW.flip(-1)]))
        return torch.cat(both.chunk(2), dim=1)

    def temporal(self, windows_BSCHW: Tensor) -> Tensor:
        """Return the logarithm of the mean probabilities, (B, K)."""
        return _mean(self.network.temporal(torch.cat(windows_BSCHW.chunk(2, dim=2))))

    def forward(self, clip_BSCHW: Tensor) -> Tensor:
        """Return the logarithm of the mean probabilities, (B, K)."""
        return _mean(self.network(torch.cat([clip_BSCHW, clip_BSCHW.flip(-1)])))

    def channels_last(self) -> "Mirrored":
        self.network = self.network.channels_last()
        return self


def mirrored(loaded: Loaded) -> Loaded:
    """Return weights that look at every face and at its mirror image."""
    return Loaded(Mirrored(loaded.network), loaded.settings, loaded.expressions, loaded.about, loaded.folder)


def _mean(scores: Tensor) -> Tensor:
    """Return log((softmax(a) + softmax(b)) / 2) of scores (2B, K) whose halves are a and b."""
    one, other = scores.float().log_softmax(1).chunk(2)
    return torch.logaddexp(one, other) - math.log(2)
