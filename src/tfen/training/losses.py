"""The losses of the game (Eqs. 3 to 6). M is the batch's size, N the number of face labels."""

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from tfen.training.norms import NORMS

TINY = 1e-6
"""Keeps distances from zero where they divide, as in the code of EC-STFL's authors."""


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
    """Return EC-STFL (Jiang et al. 2020), which gathers clips of one expression, as its authors' published code has it.

    For each clip: the mean L1 distance to the batch's clips of its expression, itself included, times the sum of
    1 / distance over the clips of other expressions, divided by their number plus one. The sum over the clips is divided
    by the batch's size twice, as their code does; the article's weight of it is 10.
    """
    features = features_BC.float()
    distance_BB = (features[:, None] - features[None]).abs().sum(2)
    same = labels_B[:, None] == labels_B[None]
    within_B = distance_BB.where(same, 0).sum(1) / same.sum(1)
    nearness_B = (1 / (distance_BB + TINY)).where(~same, 0).sum(1) / ((~same).sum(1) + 1)
    return (within_B * nearness_B).mean() / len(labels_B)


def balanced_weights(counts: np.ndarray) -> torch.Tensor:
    """Return a weight for each expression, the inverse of its share of the sequences over their number, (K,)."""
    shares = np.where(counts > 0, counts / counts.sum(), np.inf)
    return torch.tensor(1 / shares / np.count_nonzero(counts), dtype=torch.float32)
