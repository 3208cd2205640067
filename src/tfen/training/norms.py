"""The distances of Eqs. 5 and 6, by name: what the adversary makes small, and what the network makes small.

Nothing heavy is imported here, since settings and help read the table; G are A's softmax scores averaged over the
frames, (B, N).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfen.choices import Choices

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Norm:
    """One reading of the norm.

    Args:
        text: a line for the help.
        identification: L_face of step 1 (Eq. 5) of G and the face labels (B,).
        confusion: -L_face of step 2 (Eq. 6) of G: how far it is from equal scores for all faces.
    """

    text: str
    identification: "Callable[[Tensor, Tensor], Tensor]"
    confusion: "Callable[[Tensor], Tensor]"


def _from_distance(text: str, distance: "Callable[[Tensor], Tensor]") -> Norm:
    """Return the norm that sums a distance over the faces."""

    def mean(difference_BN: "Tensor") -> "Tensor":
        return distance(difference_BN).sum(1).mean()

    def identification(scores_BN: "Tensor", labels_B: "Tensor") -> "Tensor":
        from torch.nn.functional import one_hot

        return mean(one_hot(labels_B, scores_BN.shape[1]).to(scores_BN) - scores_BN)

    def confusion(scores_BN: "Tensor") -> "Tensor":
        return mean(1 / scores_BN.shape[1] - scores_BN)

    return Norm(text=text, identification=identification, confusion=confusion)


def _log(scores_BN: "Tensor") -> "Tensor":
    return scores_BN.clamp_min(1e-12).log()


def _negative_log(scores_BN: "Tensor", labels_B: "Tensor") -> "Tensor":
    """Return the mean of -log G of the true face."""
    from torch.nn.functional import nll_loss

    return nll_loss(_log(scores_BN), labels_B)


def _divergence(scores_BN: "Tensor") -> "Tensor":
    """Return the Kullback-Leibler divergence of G from equal scores."""
    return (-_log(scores_BN).mean(1)).mean() - math.log(scores_BN.shape[1])


NORMS = Choices(
    "norm",
    {
        "squared": _from_distance('"MSE-based", as the paper says', lambda x: x.square()),
        "absolute": _from_distance("the 2-norm of a number, as the paper prints", lambda x: x.abs()),
        "cross-entropy": Norm(
            text="not the paper's; its gradient does not vanish where A's scores are nearly equal or nearly certain",
            identification=_negative_log,
            confusion=_divergence,
        ),
    },
)
