"""How far a probability can be trusted: expected calibration error, reliability, and one temperature to mend it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp, softmax

from tfen.evaluation.metrics import Prediction

BINS = 15
LEAST_RIGHT = 1 / 3
"""Share of right answers below which no answer is better."""
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


def warmed(predictions: list[Prediction], temperature: float) -> list[Prediction]:
    """Return predictions with their probabilities under a temperature; no answer changes."""
    probabilities = tempered(np.array([one.probabilities for one in predictions]), temperature)
    return [
        replace(one, probabilities=tuple(map(float, own))) for one, own in zip(predictions, probabilities, strict=True)
    ]


def shifted(predictions: list[Prediction], biases: Array, expressions: tuple[str, ...]) -> list[Prediction]:
    """Return what a network says whose scores have `biases` (K,) added, of what it said without a temperature.

    That is the same for a geometric mean over several looks: what is added to the scores of each is added to their mean.
    """
    scores = np.log(np.maximum(np.array([one.probabilities for one in predictions]), 1e-9)) + biases
    return [
        replace(one, predicted=expressions[int(own.argmax())], probabilities=tuple(map(float, own)))
        for one, own in zip(predictions, softmax(scores, 1), strict=True)
    ]


def fit_biases(groups: Sequence[list[Prediction]], expressions: tuple[str, ...]) -> Array:
    """Return what to add to each expression's score, (K,), so that the true expressions of all groups are likeliest.

    A training has its own shares of expressions, and its network takes them for those of the world. Biases are fitted
    together with a temperature (vector scaling without the scales: Guo et al. 2017, Section 4.2); every group weighs the
    same, whatever its size. The first expression's bias is 0.

    Args:
        groups: predictions without a temperature.
    """
    parts = [_arrays(own, expressions) for own in groups]
    scores = np.log(np.maximum(np.concatenate([probabilities for probabilities, _ in parts]), 1e-9))
    labels = np.concatenate([own for _, own in parts])
    weights = np.concatenate([np.full(len(own), 1 / len(own) / len(parts)) for _, own in parts])

    def surprise(values: Array) -> float:
        sharp = scores * np.exp(values[0]) + np.r_[0, values[1:]]
        return float(weights @ (logsumexp(sharp, 1) - sharp[np.arange(len(labels)), labels]))

    bounds = [(-np.log(10), np.log(10)), *[(-20.0, 20.0)] * (len(expressions) - 1)]
    found = minimize(surprise, np.zeros(len(expressions)), method="L-BFGS-B", bounds=bounds).x
    return np.asarray(np.r_[0, found[1:]] / np.exp(found[0]))


def least_confidence(predictions: list[Prediction]) -> float:
    """Return the highest confidence, in steps of 0.05, below which less than `LEAST_RIGHT` of the answers are right; 0 if
    there is none."""
    sure = np.array([max(one.probabilities) for one in predictions])
    right = np.array([one.predicted == one.true for one in predictions])
    steps = [round(0.05 * k, 2) for k in range(1, 20)]
    return max((step for step in steps if (sure < step).any() and right[sure < step].mean() < LEAST_RIGHT), default=0.0)


def fit_temperature(predictions: list[Prediction], expressions: tuple[str, ...]) -> float:
    """Return the temperature in [0.1, 10] under which the true expressions of `predictions` are likeliest (Guo et al. 2017)."""
    probabilities, labels = _arrays(predictions, expressions)

    def surprise(log_temperature: float) -> float:
        true = tempered(probabilities, float(np.exp(log_temperature)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(true, 1e-12)).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-np.log(10), np.log(10)), method="bounded").x))
