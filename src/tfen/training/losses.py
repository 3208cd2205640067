"""The losses of the game (Eqs. 3 to 6). M is the batch's size, N the number of face labels."""

import torch
import torch.nn.functional as functional
from torch import Tensor

from tfen.training.norms import NORMS


def expression_loss(
    scores_BK: Tensor, labels_B: Tensor, smoothing: float = 0.0, weights_K: Tensor | None = None
) -> Tensor:
    """Return L_exp (Eq. 4): cross-entropy of the softmax of T's scores, mean over the batch (weighted, if asked for)."""
    return functional.cross_entropy(scores_BK.float(), labels_B, weights_K, label_smoothing=smoothing)


def identification_loss(face_scores_BN: Tensor, labels_B: Tensor, norm: str = "squared") -> Tensor:
    """Return L_face of step 1 (Eq. 5): the distance of G from the one-hot face label.

    Args:
        face_scores_BN: G, A's softmax scores averaged over the frames.
        labels_B: face labels, 0 to N - 1.
        norm: a name in `tfen.training.norms`.
    """
    return NORMS[norm].identification(face_scores_BN, labels_B)


def confusion_loss(face_scores_BN: Tensor, norm: str = "squared") -> Tensor:
    """Return the distance of G from equal scores 1/N for all faces: -L_face of step 2 (Eq. 6)."""
    return NORMS[norm].confusion(face_scores_BN)


def network_loss(expression: Tensor, confusion: Tensor, alpha: float) -> Tensor:
    """Return L (Eq. 3) as step 2 minimises it: alpha * L_exp - L_face, where -L_face is `confusion_loss`."""
    return alpha * expression + confusion


def ec_stfl_loss(features_BC: Tensor, labels_B: Tensor) -> Tensor:
    """Return the loss that gathers clips of one expression (EC-STFL; Jiang et al. 2020, as it is read here).

    It is the mean squared distance between features of different clips of the same expression, divided by that between
    clips of different expressions, over the batch. A batch that lacks either kind of pair gives zero.
    """
    distance_BB = (features_BC[:, None] - features_BC[None]).float().square().sum(2)
    same = labels_B[:, None] == labels_B[None]
    other_clip = ~torch.eye(len(labels_B), dtype=torch.bool, device=labels_B.device)
    if not (same & other_clip).any() or same.all():
        return distance_BB.sum() * 0
    return distance_BB[same & other_clip].mean() / distance_BB[~same].mean().clamp_min(1e-12)
