"""Paired tests and intervals for results of cross-validations."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from tfen.evaluation.metrics import Prediction

RESAMPLES = 2000
CONFIDENCE = 0.95


def subject_bootstrap(predictions: list[Prediction], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy, from drawing subjects (not sequences) with replacement.

    Sequences of one person are alike; drawing them one by one would make the interval too narrow.
    """
    subjects, own = np.unique([one.subject for one in predictions], return_inverse=True)
    right = np.bincount(own, [one.true == one.predicted for one in predictions])
    count = np.bincount(own)
    drawn = np.random.default_rng(seed).integers(0, len(subjects), (RESAMPLES, len(subjects)))
    accuracies = right[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.quantile(accuracies, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class McNemar:
    """Sequences that one of two got right and the other did not, and the exact two-sided p of so uneven a split."""

    only_first: int
    only_second: int
    p: float


def mcnemar(first: list[Prediction], second: list[Prediction]) -> McNemar:
    """Compare two networks on the same sequences (McNemar's test, exact binomial form).

    Raises:
        ValueError: the sequences are not the same.
    """
    right_first = {one.sequence: one.true == one.predicted for one in first}
    right_second = {one.sequence: one.true == one.predicted for one in second}
    if right_first.keys() != right_second.keys():
        raise ValueError("the two runs predicted different sequences")
    only_first = sum(right_first[name] and not right_second[name] for name in right_first)
    only_second = sum(right_second[name] and not right_first[name] for name in right_first)
    split = only_first + only_second
    p = float(stats.binomtest(only_first, split).pvalue) if split else 1.0
    return McNemar(only_first, only_second, p)


@dataclass(frozen=True)
class Resampled:
    """Mean difference of accuracy over folds, its 95 % interval and p; a single fold has neither."""

    difference: float
    low: float | None
    high: float | None
    p: float | None


def corrected_t_test(first: np.ndarray, second: np.ndarray, test_share: float) -> Resampled:
    """Compare accuracies fold by fold with the corrected resampled t-test (Nadeau and Bengio 2003).

    Folds share training subjects, so that their differences are not independent; the variance of their mean is
    therefore taken as (1 / J + n_test / n_train) times the sample variance of the J differences.

    Args:
        first, second: accuracies of the same folds (and seeds), each of shape (J,).
        test_share: tested sequences over training sequences of a fold, n_test / n_train.
    """
    differences = np.asarray(first, float) - np.asarray(second, float)
    mean, count = float(differences.mean()), len(differences)
    if count < 2:
        return Resampled(mean, None, None, None)
    spread = float(np.sqrt((1 / count + test_share) * differences.var(ddof=1)))
    if spread == 0:
        return Resampled(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * spread
    p = 2 * float(stats.t.sf(abs(mean) / spread, count - 1))
    return Resampled(mean, mean - reach, mean + reach, p)
