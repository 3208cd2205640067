import numpy as np
import pytest
from scipy.special import softmax

from tfen.evaluation.calibration import fit_temperature, reliability, tempered
from tfen.evaluation.metrics import Prediction

NAMES = ("anger", "fear")


def said(rows: list[tuple[float, str]]) -> list[Prediction]:
    """Predictions from (probability of anger, true expression)."""
    return [Prediction(0, str(k), str(k), true, NAMES[int(p < 0.5)], (p, 1 - p)) for k, (p, true) in enumerate(rows)]


def test_calibration_error_of_a_hand_worked_example() -> None:
    """Four at 0.9, three of them right; two at 0.6, one of them right."""
    rows = [(0.9, "anger")] * 3 + [(0.9, "fear")] + [(0.4, "fear"), (0.4, "anger")]
    found = reliability(said(rows), NAMES)
    assert found.ece == pytest.approx(4 / 6 * abs(0.75 - 0.9) + 2 / 6 * abs(0.5 - 0.6))
    assert found.counts.sum() == 6
    assert found.accuracy[int(0.9 * 15)] == pytest.approx(0.75)


def test_too_sure_and_not_sure_enough_do_not_cancel() -> None:
    """Ten at 0.95, five of them right; ten at 0.55, all of them right."""
    rows = [(0.95, "anger")] * 5 + [(0.95, "fear")] * 5 + [(0.55, "anger")] * 10
    found = reliability(said(rows), NAMES)
    assert found.ece == pytest.approx(0.5 * (0.95 - 0.5) + 0.5 * (1 - 0.55))
    assert (found.confidence[found.counts > 0], found.accuracy[found.counts > 0]) == (
        pytest.approx([0.55, 0.95]),
        pytest.approx([1, 0.5]),
    )


def test_fifteen_bins_of_equal_width_hold_the_confidences() -> None:
    rows = [((k + 0.5) / 15, "anger") for k in range(8, 15)]  # one in the middle of each bin above a half
    found = reliability(said(rows), NAMES)
    assert found.counts.tolist() == [0] * 8 + [1] * 7
    assert found.ece == pytest.approx(np.mean([1 - p for p, _ in rows]))


def test_a_temperature_divides_the_scores_before_the_softmax() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 4))
    assert tempered(softmax(scores, 1), 2.5) == pytest.approx(softmax(scores / 2.5, 1), abs=1e-6)


def test_the_temperature_of_too_sure_scores_is_found() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4000, 2)) * 1.5
    true = [NAMES[int(rng.random() < row[1])] for row in softmax(scores, 1)]
    sure = softmax(scores * 3, 1)
    own = [Prediction(0, str(k), str(k), name, "anger", tuple(row)) for k, (name, row) in enumerate(zip(true, sure))]
    temperature = fit_temperature(own, NAMES)
    assert temperature == pytest.approx(3, rel=0.1)
    assert reliability(own, NAMES, temperature).ece < 0.03 < reliability(own, NAMES).ece
