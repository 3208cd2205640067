"""How far a probability can be trusted: expected calibration error, reliability, and one temperature to mend it."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from tfen.evaluation.metrics import Prediction

BINS = 15
Array = np.ndarray


def _arrays(predictions: list[Prediction], expressions: tuple[str, ...]) -> tuple[Array, Array]:
    """Return probabilities (n, K) and the true expressions' numbers (n,)."""
    probabilities = np.array([one.probabilities for one in predictions])
    return probabilities, np.array([expressions.index(one.true) for one in predictions])


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width over the confidence: how many sequences, their mean confidence, their accuracy; and the ECE."""

    counts: Array
    confidence: Array
    accuracy: Array
    ece: float


def reliability(predictions: list[Prediction], expressions: tuple[str, ...], temperature: float = 1.0) -> Reliability:
    """Return how confidence and accuracy agree (expected calibration error: Guo et al. 2017, Eq. 3)."""
    probabilities, labels = _arrays(predictions, expressions)
    probabilities = tempered(probabilities, temperature)
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled = np.maximum(counts, 1)
    mean_confidence = np.bincount(bins, confidence, BINS) / filled
    accuracy = np.bincount(bins, right, BINS) / filled
    ece = float((counts / len(predictions) * np.abs(accuracy - mean_confidence)).sum())
    return Reliability(counts, mean_confidence, accuracy, ece)


def tempered(probabilities: Array, temperature: float) -> Array:
    """Return softmax(log p / temperature): the same as dividing the scores before the softmax, (n, K)."""
    scores = np.log(np.maximum(probabilities, 1e-9)) / temperature
    scores -= scores.max(1, keepdims=True)
    odds = np.exp(scores)
    return odds / odds.sum(1, keepdims=True)


def fit_temperature(predictions: list[Prediction], expressions: tuple[str, ...]) -> float:
    """Return the temperature in [0.1, 10] under which the true expressions of `predictions` are likeliest (Guo et al. 2017)."""
    probabilities, labels = _arrays(predictions, expressions)

    def surprise(log_temperature: float) -> float:
        true = tempered(probabilities, float(np.exp(log_temperature)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(true, 1e-12)).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-np.log(10), np.log(10)), method="bounded").x))
