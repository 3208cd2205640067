"""What every network that judges a whole clip has in common: features, dropout, a linear classifier."""

import torch
from torch import Tensor, nn


class ClipClassifier(nn.Module):
    """A clip (B, S, C, H, W) to scores (B, K): `embed`, then dropout and `fc`.

    Args:
        features: length of what `embed` returns.
        classes: number of expressions K.
        dropout: before the classifier.
    """

    memory_format: torch.memory_format | None = None
    """The order of weights in memory that is fastest on processors; None: as it is."""

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(features, classes)

    @property
    def classifier(self) -> nn.Linear:
        """The last layer, whose bias is added to the scores."""
        return self.fc

    def embed(self, x_BSCHW: Tensor) -> Tensor:
        """Return the clip's features before the classifier, (B, features)."""
        raise AssertionError("every clip classifier has its own features")

    def classify(self, features_BC: Tensor) -> Tensor:
        """Return scores (B, K) of features."""
        return self.fc(self.dropout(features_BC))

    def judge(self, x_BSCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (B, K) and the features that they come from, (B, features)."""
        features = self.embed(x_BSCHW)
        return self.classify(features), features

    def forward(self, x_BSCHW: Tensor) -> Tensor:
        return self.classify(self.embed(x_BSCHW))
