"""Linear concept erasure (LEACE): the yardstick for what training takes away.

Belrose, Schneider-Joren, Ravfogel, Cotterell, Raff & Biderman 2023, "LEACE: Perfect linear concept erasure in closed
form", Theorem 4.3.
"""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
NOTHING = 1e-9
"""Share of the largest singular value below which a direction counts as none."""


@dataclass(frozen=True)
class Eraser:
    """r(x) = x - W^+ P W (x - mean): among the affine maps after which no linear classifier finds the concept, the one
    that changes x least.

    W whitens x, P projects on what W x has in common with the concept.
    """

    mean_D: Array
    taken_DD: Array

    def __call__(self, x_nD: Array) -> Array:
        """Return features without the concept, (n, D)."""
        return x_nD - (x_nD - self.mean_D) @ self.taken_DD.T


def fit_eraser(x_nD: Array, concept_n: Array) -> Eraser:
    """Return the eraser of a concept (a label for each row, such as the subject), fitted on features (n, D).

    Where features have hardly more dimensions than the concept has labels, nothing is left of them.
    """
    labels = (concept_n[:, None] == np.unique(concept_n)[None]).astype(float)
    mean = x_nD.mean(0)
    x, z = x_nD - mean, labels - labels.mean(0)
    values, axes = np.linalg.eigh(x.T @ x / len(x))
    kept = values > NOTHING * values.max()
    values, axes = values[kept], axes[:, kept]
    whiten, unwhiten = axes / np.sqrt(values) @ axes.T, axes * np.sqrt(values) @ axes.T
    common, strength, _ = np.linalg.svd(whiten @ (x.T @ z) / len(x), full_matrices=False)
    common = common[:, strength > NOTHING * strength.max()]
    return Eraser(mean, unwhiten @ common @ common.T @ whiten)
