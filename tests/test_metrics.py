import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from tfen.errors import InputError
from tfen.evaluation.metrics import Prediction, confusions, summary
from tfen.evaluation.published import PUBLISHED
from tfen.labels import EXPRESSIONS, canonical, in_order

NAMES = ("anger", "fear", "sadness")


def predictions(true: list[str], predicted: list[str], folds: list[int]) -> list[Prediction]:
    return [
        Prediction(fold, f"q{k}", f"s{k}", a, b, (1.0, 0.0, 0.0))
        for k, (a, b, fold) in enumerate(zip(true, predicted, folds))
    ]


def test_a_hand_worked_example() -> None:
    said = predictions(
        ["anger", "anger", "anger", "fear", "fear", "sadness"],
        ["anger", "anger", "fear", "fear", "anger", "sadness"],
        [0, 0, 0, 0, 1, 1],
    )
    assert confusions(said, NAMES).tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    figures = summary(said, NAMES)
    assert figures["accuracy"] == figures["war"] == pytest.approx(4 / 6)
    assert figures["uar"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert figures["per_fold"] == [0.75, 0.5]
    assert figures["fold_accuracy_mean"] == pytest.approx(0.625)
    assert figures["std"] == pytest.approx(0.125 * 2**0.5)
    assert figures["f1"]["anger"] == pytest.approx(2 / 3)


def test_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    true, predicted = (rng.choice(NAMES, 200).tolist() for _ in range(2))
    figures = summary(predictions(true, predicted, rng.integers(0, 5, 200).tolist()), NAMES)
    assert figures["accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert figures["uar"] == pytest.approx(balanced_accuracy_score(true, predicted))


def test_an_expression_that_was_not_tested_has_no_recall() -> None:
    figures = summary(predictions(["anger", "fear"], ["anger", "anger"], [0, 0]), NAMES)
    assert figures["recall"] == {"anger": 1.0, "fear": 0.0, "sadness": None}
    assert figures["uar"] == 0.5


def test_the_published_tables_add_up_where_the_print_is_right() -> None:
    for name, published in PUBLISHED.items():
        sums = [sum(row) for row in published.confusion]
        wrong = [k for k, total in enumerate(sums) if abs(total - 100) > 0.06]
        assert [published.order[k] for k in wrong] == {"ckplus": ["sadness"], "mmi": ["surprise"]}.get(name, [])
        assert len(published.confusion) == len(published.order)


def test_the_published_accuracies_are_pooled_counts() -> None:
    assert [PUBLISHED[name].accuracy for name in ("ckplus", "mmi", "oulu-casia")] == [
        round(100 * right / total, 2) for right, total in ((323, 327), (170, 208), (440, 480))
    ]


def test_one_canonical_order() -> None:
    assert in_order(["surprise", "anger", "neutral"]) == ("neutral", "anger", "surprise")
    assert in_order({"zeal", "fear", "awe"}) == ("fear", "awe", "zeal")
    assert in_order(EXPRESSIONS[::-1]) == EXPRESSIONS
    assert canonical(" Smiling ") == "happiness"
    assert canonical("Scared") == "fear"
    with pytest.raises(
        InputError, match=r"'hungry' is no expression; expected one of neutral, anger, .* \(did you mean"
    ):
        canonical("hungry")
    with pytest.raises(InputError, match="at least two"):
        in_order(["fear"])


def test_published_distances_are_those_of_tables_11_and_12() -> None:
    dfew, oulu = PUBLISHED["dfew"], PUBLISHED["oulu-casia"]
    for one, network, first, second, value in (
        (dfew, "without-facial-decoupling", "anger", "happiness", 36.62),
        (dfew, "tfen", "anger", "happiness", 71.99),
        (dfew, "tfen", "sadness", "surprise", 46.92),
        (oulu, "without-facial-decoupling", "disgust", "fear", 19.19),
        (oulu, "tfen", "sadness", "surprise", 34.48),
    ):
        table = one.distances[network].between
        i, j = one.distance_order.index(first), one.distance_order.index(second)
        assert table[i][j] == table[j][i] == value
    assert dfew.distances["tfen"].mean[1] == 0.78
    assert dfew.distances["without-facial-decoupling"].variance[2] == 63.26
    assert oulu.distances["tfen"].variance[-1] == 0.91


def test_printed_accuracies_are_counts_of_the_sequences_unless_the_errata_say_so() -> None:
    for name, sequences in (("ckplus", 327), ("mmi", 208), ("oulu-casia", 480)):
        published = PUBLISHED[name]
        possible = {round(100 * right / sequences, 2) for right in range(sequences + 1)}
        for value in (published.accuracy, *published.ablations.values()):
            close = min(abs(value - one) for one in possible)
            assert close < 0.0051 or f"{value:.2f}" in " ".join(published.errata), (name, value)
