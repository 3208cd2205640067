"""C3D (Tran et al. 2015, "Learning Spatiotemporal Features with 3D Convolutional Networks"), a baseline of Table 8.

Eight convolutions of 3x3x3 kernels, five max-poolings, two layers of 4096. The publication's clips are 16 frames of
112x112; here any clip goes: poolings round up, and the last one ends at 1x4x4 whatever came before.
"""

import torch
from torch import Tensor, nn

from tfen.models.clip_classifier import ClipClassifier
from tfen.models.seresnet import initialise


class C3D(ClipClassifier):
    """Frames (B, S, 3, H, W) to scores (B, K); `width` 64 is the publication's, other widths scale all layers."""

    memory_format = torch.channels_last_3d

    def __init__(self, classes: int, width: int = 64, dropout: float = 0.5) -> None:
        super().__init__(64 * width, classes, dropout)
        w = width
        stages = [(3, [w]), (w, [2 * w]), (2 * w, [4 * w, 4 * w]), (4 * w, [8 * w, 8 * w]), (8 * w, [8 * w, 8 * w])]
        layers: list[nn.Module] = []
        for number, (channels, outs) in enumerate(stages):
            for out in outs:
                layers += [nn.Conv3d(channels, out, 3, padding=1), nn.ReLU()]
                channels = out
            if number < len(stages) - 1:
                size = (1, 2, 2) if number == 0 else (2, 2, 2)
                layers.append(nn.MaxPool3d(size, size, ceil_mode=True))
        self.convolutions = nn.Sequential(*layers, nn.AdaptiveMaxPool3d((1, 4, 4)))
        self.fc6 = nn.Linear(8 * w * 16, 64 * w)
        self.fc7 = nn.Linear(64 * w, 64 * w)
        initialise(self)

    def embed(self, x_BSCHW: Tensor) -> Tensor:
        x = self.convolutions(x_BSCHW.transpose(1, 2)).flatten(1)
        x = self.dropout(torch.relu(self.fc6(x)))
        return torch.relu(self.fc7(x))
