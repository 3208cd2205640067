"""TFEN (Fig. 2), its ablations (Figs. 5 to 8) and the baselines: one network made of the parts that a variant has.

A baseline (Table 8) is a T that takes the frames as they are; its E passes them on.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tfen.choices import Choices
from tfen.config import Shortcut
from tfen.errors import InputError
from tfen.models.c3d import C3D
from tfen.models.clip_classifier import ClipClassifier
from tfen.models.decoupler import FUSIONS
from tfen.models.i3d import I3D
from tfen.models.p3d import P3D
from tfen.models.resnet3d import ResNet3D, Temporal3D
from tfen.models.resnet_lstm import ResNetLSTM
from tfen.models.seresnet import LowerHalf, UpperHalf
from tfen.models.variants import VARIANTS

PARTS = {
    "F": "face_extractor",
    "E": "expression_extractor",
    "D": "decoupler",
    "A": "adversary",
    "T": "temporal",
}
"""The paper's letters and the attributes of `TFEN`."""


class FramewiseScores(nn.Module):
    """SE-ResNet-18's upper half on each frame, scores averaged over the frames (without-3d, Fig. 8)."""

    memory_format: torch.memory_format | None = None

    def __init__(self, classes: int, width: int, dropout: float, block: str) -> None:
        super().__init__()
        self.frame = UpperHalf(classes, width, dropout, block)

    @property
    def classifier(self) -> nn.Linear:
        """The last layer, whose bias is added to the scores."""
        return self.frame.last_linear

    def embed(self, x_BSCHW: Tensor) -> Tensor:
        """Return the clip's mean features before the classifier, (B, 8 * width)."""
        return self.frame.embed(x_BSCHW.flatten(0, 1)).unflatten(0, x_BSCHW.shape[:2]).mean(1)

    def judge(self, x_BSCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (B, K) and the clip's mean features before the classifier, (B, 8 * width)."""
        frames = self.frame.embed(x_BSCHW.flatten(0, 1))
        scores = self.frame.last_linear(self.frame.dropout(frames))
        return scores.unflatten(0, x_BSCHW.shape[:2]).mean(1), frames.unflatten(0, x_BSCHW.shape[:2]).mean(1)

    def forward(self, x_BSCHW: Tensor) -> Tensor:
        return self.frame(x_BSCHW.flatten(0, 1)).unflatten(0, x_BSCHW.shape[:2]).mean(1)


TEMPORAL_NETWORKS: Choices[Callable[[int, int, Shortcut, float, str], ClipClassifier | FramewiseScores]] = Choices(
    "temporal network",
    {
        "3d": lambda classes, width, shortcut, dropout, block: Temporal3D(classes, width, shortcut, dropout),
        "framewise": lambda classes, width, shortcut, dropout, block: FramewiseScores(classes, width, dropout, block),
        "resnet18-lstm": lambda classes, width, *_: ResNetLSTM(classes, width),
        "3d-resnet18": lambda classes, width, *_: ResNet3D(classes, width),
        "r3d18": lambda classes, width, *_: ResNet3D(classes, width, "B"),
        "c3d": lambda classes, width, *_: C3D(classes, width),
        "i3d": lambda classes, width, *_: I3D(classes, width),
        "p3d": lambda classes, width, *_: P3D(classes, width),
    },
)
"""What T may be, made for a number of expressions, a width, a shortcut, a dropout and a form of block; the last six take the frames as they
are, and shortcut and dropout are those of their papers."""


class TFEN(nn.Module):
    """The whole network; parts that a variant lacks are None.

    Args:
        expressions: number of expressions K.
        faces: number of face labels N (0: no adversary is built, as for inference).
        width: channels of the stem; 64 in the paper.
        variant: a name in `tfen.models.variants`.
        shortcut: of the 3D network, "A" (Hara) or "B" (torchvision).
        dropout: before the classifier of T.
        adversary_dropout: before the classifier of A.
        block: form of the 2D blocks, a name in `tfen.models.blocks`.

    Raises:
        InputError: a variant whose parts do not exist, or that gathers features where T has none of a whole clip.
    """

    face_extractor: LowerHalf | None
    decoupler: nn.Module | None
    adversary: UpperHalf | None
    expression_extractor: LowerHalf | nn.Identity
    temporal: ClipClassifier | FramewiseScores

    def __init__(
        self,
        expressions: int,
        faces: int = 0,
        width: int = 64,
        variant: str = "tfen",
        shortcut: Shortcut = "A",
        dropout: float = 0.2,
        adversary_dropout: float = 0.0,
        block: str = "original",
    ) -> None:
        super().__init__()
        self.variant = VARIANTS[variant]
        self.expression_extractor = LowerHalf(width, block) if self.variant.extracts else nn.Identity()
        self.face_extractor = self.decoupler = self.adversary = None
        if self.variant.fusion is not None:
            self.face_extractor = LowerHalf(width, block).requires_grad_(False)
            self.decoupler = FUSIONS[self.variant.fusion](2 * width)
        self.temporal = TEMPORAL_NETWORKS[self.variant.temporal](expressions, width, shortcut, dropout, block)
        if self.variant.adversary and faces:
            self.adversary = UpperHalf(faces, width, adversary_dropout, block)
        if self.variant.gathers and not isinstance(self.temporal, ClipClassifier):
            raise InputError(f"the network {variant} gathers clips, but its T has no features of a whole clip")

    def train(self, mode: bool = True) -> "TFEN":
        """Set training mode; F stays in evaluation mode, since its BatchNorm statistics are frozen too."""
        super().train(mode)
        if self.face_extractor is not None:
            self.face_extractor.eval()
        return self

    def channels_last(self) -> "TFEN":
        """Lay the weights out with channels last, the faster order on CPUs; same results up to rounding."""
        for part in (self.expression_extractor, self.face_extractor, self.decoupler, self.adversary):
            if part is not None:
                part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.temporal.memory_format is not None:
            self.temporal.to(memory_format=self.temporal.memory_format)  # type: ignore[call-overload]
        return self

    def expression_and_typical(self, frames_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return E's features of single frames, and their TFE (Eq. 1); the former twice where nothing is decoupled."""
        expression = self.expression_extractor(frames_BCHW)
        if self.decoupler is None or self.face_extractor is None:
            return expression, expression
        return expression, self.decoupler(expression, self.face_extractor(frames_BCHW))

    def features(self, frames_BCHW: Tensor) -> Tensor:
        """Return TFE (Eq. 1) of single frames (or E's features where nothing is decoupled)."""
        return self.expression_and_typical(frames_BCHW)[1]

    def clip_features(self, clip_BSCHW: Tensor) -> Tensor:
        """Return TFE of every frame of the clips, (B, S, C, H/8, W/8)."""
        return self.features(clip_BSCHW.flatten(0, 1)).unflatten(0, clip_BSCHW.shape[:2])

    def face_scores(self, features_BSCHW: Tensor) -> Tensor:
        """Return A's softmax score averaged over the frames, G of Eqs. 5 and 6, (B, N)."""
        assert self.adversary is not None
        scores = self.adversary(features_BSCHW.flatten(0, 1)).float().softmax(1)
        return scores.unflatten(0, features_BSCHW.shape[:2]).mean(1)

    def forward(self, clip_BSCHW: Tensor) -> Tensor:
        """Return expression scores before the softmax, (B, K)."""
        return self.temporal(self.clip_features(clip_BSCHW))
