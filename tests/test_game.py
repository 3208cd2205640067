"""Algorithm 1: who changes when."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL, tfen
from safetensors.torch import load_file

from tfen.config import TrainSettings
from tfen.data.clips import Batch
from tfen.data.prepared import SequenceRecord
from tfen.models.tfen import PARTS, TFEN
from tfen.training.adversarial import Game
from tfen.training.running_average import running_average


def batch(frames: int = 3) -> Batch:
    torch.manual_seed(1)
    clips = torch.randn(6, frames, 3, 32, 32)
    labels, faces = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 0, 1, 1, 2, 2])
    return Batch(clips, labels, faces, tuple(SequenceRecord(str(k), "s", "anger", 3) for k in range(6)))


def changed(network: TFEN, before: dict[str, torch.Tensor]) -> set[str]:
    """Letters of the parts of which any tensor, BatchNorm statistics included, is another than before."""
    letters = {name: letter for letter, name in PARTS.items()}
    now = network.state_dict()
    return {letters[name.split(".")[0]] for name, value in now.items() if not torch.equal(value, before[name])}


def snapshot(network: TFEN) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("norm", ["squared", "absolute"])
@pytest.mark.parametrize("variant", ["tfen", "without-decoupler", "without-3d"])
def test_step_1_changes_the_adversary_alone(variant: str, norm: str) -> None:
    network = TFEN(3, 3, 8, variant).train()
    game = Game(network, TrainSettings(norm=norm))
    before = snapshot(network)
    game.adversary_step(batch())
    assert changed(network, before) == {"A"}


@pytest.mark.parametrize("statistics", ["running", "batch"])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("variant", ["tfen", "without-decoupler", "without-3d", "without-adversarial"])
def test_step_2_changes_expression_extractor_decoupler_and_temporal_network_alone(
    variant: str, optimiser: str, statistics: str
) -> None:
    network = TFEN(3, 3, 8, variant).train()
    game = Game(network, TrainSettings(optimiser=optimiser, adversary_statistics=statistics))
    before = snapshot(network)
    game.network_step(batch())
    assert changed(network, before) == {"E", "D", "T"}


def test_step_2_changes_every_weight_of_its_players() -> None:
    network = TFEN(3, 3, 16).train()
    before = snapshot(network)
    game = Game(network, TrainSettings())
    for _ in range(2):
        game.network_step(batch())
    ours = ("expression_extractor.", "decoupler.", "temporal.")
    same = [name for name, value in network.state_dict().items() if torch.equal(value, before[name])]
    assert not [name for name in same if name.startswith(ours)]


def test_the_face_extractor_never_changes_over_many_steps_of_both_players() -> None:
    network = TFEN(3, 3, 8).train()
    game = Game(network, TrainSettings(lr=0.1))
    before = snapshot(network)
    for _ in range(3):
        game.adversary_step(batch())
        game.network_step(batch())
    assert changed(network, before) == {"E", "D", "A", "T"}


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_step_2_reports_the_losses_of_equations_3_4_and_6(statistics: str) -> None:
    network = TFEN(3, 3, 8, dropout=0.0)
    game = Game(network, TrainSettings(alpha=2.5, adversary_statistics=statistics))
    given = batch()
    network.train()
    assert network.adversary is not None
    adversary = copy.deepcopy(network.adversary).train(statistics == "batch")
    with torch.no_grad():
        typical = network.clip_features(given.clips)
        scores = network.temporal(typical).softmax(1).numpy()
        faces = adversary(typical.flatten(0, 1)).softmax(1).numpy().reshape(6, 3, 3).mean(1)
    expression = -np.log(scores[np.arange(6), given.expressions.numpy()]).mean()
    confusion = ((1 / 3 - faces) ** 2).sum(1).mean()
    figures = game.network_step(given)
    assert figures["expression_loss"] == pytest.approx(expression, rel=1e-4)
    assert figures["confusion_loss"] == pytest.approx(confusion, rel=1e-4)
    assert figures["loss"] == pytest.approx(2.5 * expression + confusion, rel=1e-4)


def test_the_adversary_learns_to_recognise_faces_when_the_others_rest() -> None:
    network = TFEN(3, 3, 8)
    game = Game(network, TrainSettings(lr=0.05))
    losses = [game.adversary_step(batch())["face_loss"] for _ in range(12)]
    assert losses[-1] < 0.7 * losses[0]


def test_the_three_readings_of_the_three_steps() -> None:
    def turns(reading: str) -> str:
        game = Game(TFEN(3, 3, 8), TrainSettings(turns=reading))
        steps = [(epoch * 2 + k + 1, epoch + 1) for epoch in range(6) for k in range(2)]
        return "".join("A" if game.is_adversary_turn(iteration, epoch) else "-" for iteration, epoch in steps)

    assert turns("iterations") == "--A--A--A--A"
    assert turns("epochs") == "----AA----AA"
    assert turns("three-of-adversary") == "AAA-AAA-AAA-"


def test_the_learning_rate_falls_as_the_paper_says() -> None:
    game = Game(TFEN(3, 3, 8), TrainSettings())

    def rate(epoch: float) -> float:
        game.set_learning_rates(epoch)
        return game.network_optimiser.param_groups[0]["lr"]

    assert [rate(epoch) for epoch in (0, 99, 100, 200, 299)] == pytest.approx([0.01, 0.01, 0.001, 1e-4, 1e-4])


def test_a_baseline_is_trained_on_the_expression_loss_and_gathers_only_where_its_name_says_so() -> None:
    network = TFEN(3, 3, 8, "r3d18+ec-stfl").train()
    before = snapshot(network)
    figures = Game(network, TrainSettings(ec_stfl_weight=2.0)).network_step(batch())
    assert changed(network, before) == {"T"}
    assert figures["loss"] == pytest.approx(figures["expression_loss"] + 2 * figures["ec_stfl_loss"], rel=1e-5)
    plain = Game(TFEN(3, 3, 8, "r3d18").train(), TrainSettings()).network_step(batch())
    assert plain["loss"] == plain["expression_loss"]
    assert "ec_stfl_loss" not in plain


def test_a_running_average_follows_weights_and_statistics_as_in_numpy() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    average, wanted = running_average(network, 4.0), {}
    torch.manual_seed(0)
    for step in range(5):
        for weight in network.parameters():
            weight.data.add_(torch.randn_like(weight))
        network(torch.randn(8, 3) + step)
        average.update_parameters(network)
        for name, value in network.state_dict().items():
            now = value.numpy().astype(np.float64)
            wanted[name] = now if step == 0 else wanted[name] + (now - wanted[name]) / 4
    for name, value in average.module.state_dict().items():
        if value.is_floating_point():
            np.testing.assert_allclose(value.numpy(), wanted[name], rtol=1e-5, atol=1e-6)


def test_a_training_keeps_the_average_of_its_weights_if_it_is_asked_to(tiny_set: Path, tmp_path: Path) -> None:
    kept = {}
    for average in ("0", "0.0001", "2"):
        done = tfen("train", tiny_set, tmp_path / average, *SMALL, "--train.average", average)
        assert done.returncode == 0, done.stderr
        kept[average] = load_file(tmp_path / average / "model.safetensors")
    # over less than a step, the average is the weights
    assert all(torch.equal(value, kept["0.0001"][name]) for name, value in kept["0"].items())
    temporal = [name for name in kept["0"] if name.startswith("temporal.") and name.endswith("weight")]
    assert temporal
    assert not any(torch.equal(kept["0"][name], kept["2"][name]) for name in temporal)
