"""Accuracy, UAR, WAR and confusion matrices, from predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score


@dataclass(frozen=True)
class Prediction:
    """What was said about one sequence; `probabilities` in the order of the set's expressions."""

    fold: int
    sequence: str
    subject: str
    true: str
    predicted: str
    probabilities: tuple[float, ...]


def confusions(predictions: list[Prediction], expressions: tuple[str, ...]) -> np.ndarray:
    """Return counts, shape (K, K): rows are the true expression, columns the predicted one."""
    return confusion_matrix(
        [one.true for one in predictions], [one.predicted for one in predictions], labels=list(expressions)
    )


def recalls(counts: np.ndarray) -> np.ndarray:
    """Return the recall of each expression; NaN where none was tested."""
    totals = counts.sum(1).astype(float)
    return np.divide(np.diag(counts), totals, out=np.full(len(counts), np.nan), where=totals > 0)


def summary(predictions: list[Prediction], expressions: tuple[str, ...]) -> dict[str, Any]:
    """Return the headline figures.

    accuracy: share of all sequences that is right, pooled over the folds (equal to WAR).
    uar, war: unweighted and weighted average recall.
    fold_accuracy_mean, std: over the folds (sample standard deviation; None for a single fold); per_fold lists them.
    """
    counts = confusions(predictions, expressions)
    recall = recalls(counts)
    folds = sorted({one.fold for one in predictions})
    per_fold = [
        float(np.mean([one.true == one.predicted for one in predictions if one.fold == fold])) for fold in folds
    ]
    f1 = f1_score(
        [one.true for one in predictions],
        [one.predicted for one in predictions],
        labels=list(expressions),
        average=None,
        zero_division=0.0,
    )
    return {
        "accuracy": float(np.trace(counts) / counts.sum()),
        "uar": float(np.nanmean(recall)),
        "war": float(np.trace(counts) / counts.sum()),
        "fold_accuracy_mean": float(np.mean(per_fold)),
        "std": float(np.std(per_fold, ddof=1)) if len(per_fold) > 1 else None,
        "per_fold": per_fold,
        "recall": {name: None if np.isnan(value) else float(value) for name, value in zip(expressions, recall)},
        "f1": {name: float(value) for name, value in zip(expressions, f1)},
        "folds": len(folds),
        "sequences": len(predictions),
        "subjects": len({one.subject for one in predictions}),
    }
