import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from tfen.models.tfen import TFEN
from tfen.training.losses import (
    balanced_weights,
    confusion_loss,
    ec_stfl_loss,
    expression_loss,
    identification_loss,
    network_loss,
)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def test_expression_loss_is_equation_4(rng: np.random.Generator) -> None:
    scores, labels = rng.normal(size=(5, 7)), np.array([0, 3, 6, 2, 2])
    g, y = softmax(scores), np.eye(7)[labels]
    expected = -(1 / 5) * sum(y[i, k] * np.log(g[i, k]) for i in range(5) for k in range(7))
    assert expression_loss(torch.tensor(scores), torch.tensor(labels)).item() == pytest.approx(expected)


@pytest.mark.parametrize("frames", [1, 7])
@pytest.mark.parametrize("norm", ["squared", "absolute"])
def test_face_losses_are_equations_5_and_6(rng: np.random.Generator, frames: int, norm: str) -> None:
    m, n = 4, 9
    scores, labels = rng.normal(size=(m, frames, n)), np.array([8, 0, 3, 3])
    g = softmax(scores)
    one_hot = np.eye(n)[labels]
    first = second = 0.0
    for i in range(m):
        for k in range(n):
            mean = sum(g[i, j, k] for j in range(frames)) / frames
            size = (lambda x: x**2) if norm == "squared" else abs
            first += size(one_hot[i, k] - mean) / m
            second += size(1 / n - mean) / m
    averaged = torch.tensor(scores).softmax(-1).mean(1)
    assert identification_loss(averaged, torch.tensor(labels), norm).item() == pytest.approx(first)
    assert confusion_loss(averaged, norm).item() == pytest.approx(second)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
def test_the_network_minimises_equation_3(alpha: float) -> None:
    expression, confusion = torch.tensor(1.7), torch.tensor(0.3)
    l_face = -0.3  # Eq. 6 carries a minus sign
    assert network_loss(expression, confusion, alpha).item() == pytest.approx(alpha * 1.7 - l_face)


def test_equal_scores_lose_nothing_in_step_2_and_certainty_loses_most() -> None:
    equal, certain = torch.full((1, 5), 0.2), torch.tensor([[1.0, 0, 0, 0, 0]])
    assert confusion_loss(equal).item() == pytest.approx(0, abs=1e-7)
    assert confusion_loss(certain).item() == pytest.approx(0.8**2 + 4 * 0.2**2)


def test_face_scores_are_softmax_averaged_over_the_frames() -> None:
    network = TFEN(3, 6, 8).eval()
    assert network.adversary is not None
    features = torch.randn(2, 4, 16, 4, 4)
    with torch.no_grad():
        raw = np.stack([network.adversary(features[:, s]).numpy() for s in range(4)], 1)
        got = network.face_scores(features).numpy()
    np.testing.assert_allclose(got, softmax(raw).mean(1), atol=1e-6)


def test_ec_stfl_is_the_formula_of_its_authors_code(rng: np.random.Generator) -> None:
    features, labels = rng.normal(size=(6, 4)), [0, 1, 0, 2, 1, 0]
    total = 0.0
    for i in range(6):
        distances = [np.abs(features[i] - features[j]).sum() for j in range(6)]
        within = [distances[j] for j in range(6) if labels[j] == labels[i]]  # itself, too, at distance 0
        others = [1 / (distances[j] + 1e-6) for j in range(6) if labels[j] != labels[i]]
        total += np.mean(within) * sum(others) / (len(others) + 1)
    loss = ec_stfl_loss(torch.tensor(features), torch.tensor(labels))
    assert loss.item() == pytest.approx(total / 6 / 6, rel=1e-5)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_ec_stfl_of_a_batch_without_pairs_to_compare_is_zero(labels: list[int]) -> None:
    features = torch.randn(3, 4, requires_grad=True)
    loss = ec_stfl_loss(features, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    if len(set(labels)) == 1:
        assert not features.grad.any()


def test_balanced_weights_are_those_of_scikit_learn_and_weigh_the_loss() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    weights = balanced_weights(np.bincount(labels, minlength=4))
    assert weights[:3].numpy() == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=labels))
    assert weights[3] == 0
    scores = np.random.default_rng(0).normal(size=(10, 4))
    w, p = weights.numpy()[labels], softmax(scores)[np.arange(10), labels]
    loss = expression_loss(torch.tensor(scores), torch.tensor(labels), 0.0, weights)
    assert loss.item() == pytest.approx(-(w * np.log(p)).sum() / w.sum(), rel=1e-5)


def test_the_cross_entropy_forms_of_both_face_losses(rng: np.random.Generator) -> None:
    g, labels = softmax(rng.normal(size=(4, 6))), np.array([5, 0, 2, 2])
    step_1 = identification_loss(torch.tensor(g), torch.tensor(labels), "cross-entropy")
    assert step_1.item() == pytest.approx(-np.log(g[np.arange(4), labels]).mean())
    divergence = np.mean([sum(1 / 6 * np.log((1 / 6) / row[k]) for k in range(6)) for row in g])
    assert confusion_loss(torch.tensor(g), "cross-entropy").item() == pytest.approx(divergence)
    assert confusion_loss(torch.full((2, 6), 1 / 6), "cross-entropy").item() == pytest.approx(0, abs=1e-6)
