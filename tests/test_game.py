"""Algorithm 1: who changes when, and how."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SMALL, tfen
from safetensors.torch import load_file

from tfen.config import TrainSettings, make_settings
from tfen.data.clips import Batch, Clips, FrameStore
from tfen.data.prepared import SequenceRecord, open_set
from tfen.models.tfen import PARTS, TFEN
from tfen.training import adversarial
from tfen.training.adversarial import Game, Numbers
from tfen.training.devices import make_accelerator
from tfen.training.running_average import running_average


def numbers(figures: Numbers) -> dict[str, float]:
    return {name: value.item() for name, value in figures.items()}


def batch(frames: int = 3) -> Batch:
    torch.manual_seed(1)
    clips = torch.randn(6, frames, 3, 32, 32)
    labels, faces = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 0, 1, 1, 2, 2])
    return Batch(
        clips,
        labels,
        faces,
        torch.tensor([0, 0, 1, 1, -1, -1]),
        tuple(SequenceRecord(str(k), "s", "anger", 3) for k in range(6)),
    )


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
    figures = numbers(game.network_step(given))
    assert figures["expression_loss"] == pytest.approx(expression, rel=1e-4)
    assert figures["confusion_loss"] == pytest.approx(confusion, rel=1e-4)
    assert figures["loss"] == pytest.approx(2.5 * expression + confusion, rel=1e-4)


def players(network: TFEN, letters: str) -> dict[str, torch.Tensor]:
    """The weights of some parts, by name."""
    return {f"{PARTS[p]}.{name}": w for p in letters for name, w in getattr(network, PARTS[p]).named_parameters()}


def both_losses(network: TFEN, given: Batch, alpha: float) -> torch.Tensor:
    """Eqs. 3, 4 and 6, written out; A judges by what it has seen before."""
    typical = network.clip_features(given.clips)
    chosen = network.temporal(typical).log_softmax(1)[torch.arange(6), given.expressions]
    assert network.adversary is not None
    faces = network.adversary.eval()(typical.flatten(0, 1)).softmax(1).view(6, 3, 3).mean(1)
    return -alpha * chosen.mean() + (1 / 3 - faces).square().sum(1).mean()


@pytest.mark.parametrize("alpha", [0.0, 5.0])
def test_step_2_goes_down_both_losses_in_all_its_players_as_sgd_does(alpha: float) -> None:
    """Two steps of SGD with momentum and weight decay, written out; with alpha 0 only A's confusion moves E and D."""
    torch.manual_seed(2)
    network = TFEN(3, 3, 8, dropout=0.0)
    by_hand = copy.deepcopy(network).train()
    game = Game(network, TrainSettings(alpha=alpha, lr=0.02, momentum=0.8, weight_decay=0.05))
    weights = players(by_hand, "EDT")
    speeds = dict.fromkeys(weights, torch.tensor(0.0))
    for _ in range(2):
        game.network_step(batch())
        loss = both_losses(by_hand, batch(), alpha)
        slopes = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        for (name, weight), slope in zip(weights.items(), slopes, strict=True):
            if alpha == 0 and name.startswith(("expression_extractor.", "decoupler.")):
                assert slope.any()
            speeds[name] = 0.8 * speeds[name] + slope + 0.05 * weight.detach()
            weight.data -= 0.02 * speeds[name]
    for name, weight in players(network, "EDT").items():
        torch.testing.assert_close(weight, weights[name], rtol=1e-3, atol=1e-4)


def test_step_2_weighs_and_smooths_the_expressions_as_asked_for() -> None:
    weights = np.array([0.5, 1.0, 1.5])
    network = TFEN(3, 3, 8, dropout=0.0).train()
    game = Game(network, TrainSettings(label_smoothing=0.2), class_weights_K=torch.tensor(weights).float())
    given = batch()
    with torch.no_grad():
        log = copy.deepcopy(network).train()(given.clips).log_softmax(1).numpy()
    wanted = 0.2 / 3 + 0.8 * np.eye(3)[given.expressions.numpy()]  # the true expression's share, and everybody's
    loss = -(wanted * weights * log).sum() / weights[given.expressions.numpy()].sum()
    assert numbers(game.network_step(given))["expression_loss"] == pytest.approx(loss, rel=1e-4)


def test_the_adversary_drops_nothing_while_the_others_learn() -> None:
    network = TFEN(3, 3, 8, dropout=0.0, adversary_dropout=0.9)
    game = Game(network, TrainSettings(lr=1e-12, adversary_statistics="batch"))
    given = batch()
    first, second = (numbers(game.network_step(given))["confusion_loss"] for _ in range(2))
    assert first == pytest.approx(second, rel=1e-4)


def test_step_1_teaches_the_adversary_s_batchnorm_what_it_sees() -> None:
    network = TFEN(3, 3, 8).train()
    assert network.adversary is not None
    with torch.no_grad():
        typical = copy.deepcopy(network).eval().clip_features(batch().clips).flatten(0, 1)
        seen = network.adversary.layer3[0].conv1(typical).numpy()
        recognised = copy.deepcopy(network.adversary).train()(typical).softmax(1).numpy().reshape(6, 3, 3).mean(1)
    figures = numbers(Game(network, TrainSettings()).adversary_step(batch()))
    norm = network.adversary.layer3[0].bn1  # an average with momentum 0.1, from mean 0 and variance 1 on
    np.testing.assert_allclose(norm.running_mean, 0.1 * seen.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(norm.running_var, 0.9 + 0.1 * seen.var((0, 2, 3), ddof=1), rtol=1e-3)
    wanted = np.eye(3)[batch().faces.numpy()]
    assert figures["face_loss"] == pytest.approx(((wanted - recognised) ** 2).sum(1).mean(), rel=1e-4)


def test_the_adversary_has_a_learning_rate_of_its_own_if_it_is_given_one() -> None:
    for own, expected in ((0.03, 0.03), (None, 0.01)):
        game = Game(TFEN(3, 3, 8), TrainSettings(lr=0.01, adversary_lr=own))
        assert game.adversary_optimiser is not None
        for epoch, factor in ((None, 1), (0, 1), (100, 0.1)):
            if epoch is not None:
                game.set_learning_rates(epoch)
            assert game.adversary_optimiser.param_groups[0]["lr"] == pytest.approx(factor * expected)
            assert game.network_optimiser.param_groups[0]["lr"] == pytest.approx(factor * 0.01)


def test_learning_rates_rise_over_the_first_epochs() -> None:
    game = Game(TFEN(3, 3, 8), TrainSettings(lr=0.01, adversary_lr=0.03, warmup=4, lr_step=2, lr_gamma=0.5))
    assert game.adversary_optimiser is not None
    for epoch, factor in ((0, 0), (1, 0.25), (3, 0.75 / 2), (4, 0.25), (5, 0.25)):
        game.set_learning_rates(epoch)
        assert game.network_optimiser.param_groups[0]["lr"] == pytest.approx(factor * 0.01)
        assert game.adversary_optimiser.param_groups[0]["lr"] == pytest.approx(factor * 0.03)


@pytest.mark.parametrize("player", ["network", "adversary"])
def test_long_gradients_are_shortened(player: str) -> None:
    def moved(clip: float) -> torch.Tensor:
        torch.manual_seed(3)
        network = TFEN(3, 3, 8, dropout=0.0)
        game = Game(network, TrainSettings(lr=1.0, momentum=0.0, weight_decay=0.0, clip=clip))
        before = torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()
        getattr(game, f"{player}_step")(batch())
        return torch.nn.utils.parameters_to_vector(network.parameters()).detach() - before

    free, held, wide = moved(0.0), moved(0.01), moved(1e6)
    assert torch.equal(free, wide)
    assert free.norm() > 0.02
    assert held.norm() == pytest.approx(0.01, rel=1e-2)
    assert torch.nn.functional.cosine_similarity(free, held, 0) > 0.99


def test_the_adversary_learns_to_recognise_faces_when_the_others_rest() -> None:
    network = TFEN(3, 3, 8)
    game = Game(network, TrainSettings(lr=0.05))
    losses = [numbers(game.adversary_step(batch()))["face_loss"] for _ in range(12)]
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


@dataclass
class Played:
    """A training in which nobody learns: whose steps they were, at which learning rates, and what was measured."""

    network: TFEN
    turns: str = ""
    rates: list[float] = field(default_factory=list)
    measured: list[float] = field(default_factory=list)
    class_weights: torch.Tensor | None = None


@pytest.fixture
def play(tiny_set: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Played]:
    """Runs trainings of three epochs on eight of the twelve clips of the set: four steps an epoch.

    Every step of the network adds 1 to a weight of the classifier, which is measured.
    """

    def playing(variant: str = "tfen", **changes: Any) -> Played:
        train = {"epochs": 3, "batch_size": 2, "device": "cpu", **changes}
        small = {"variant": variant, "width": 8, "image_size": 32, "frames": 2}
        settings = make_settings(changes={"model": small, "train": train})
        found = open_set(tiny_set)
        some = [one for one in found.sequences if one.expression == "anger" or one.subject in ("p1", "p2")]
        played = Played(TFEN(3, 4, 8, variant))
        with torch.no_grad():
            played.network.temporal.fc.bias.zero_()

        def network_step(game: Game, given: Batch, grown: float) -> dict[str, float]:
            played.turns += "-"
            played.class_weights = game.class_weights_K
            played.rates.append(game.network_optimiser.param_groups[0]["lr"])
            with torch.no_grad():
                game.network.temporal.fc.bias += 1
            return {"loss": 0.0}

        def adversary_step(game: Game, given: Batch) -> dict[str, float]:
            assert game.adversary_optimiser is not None
            played.turns += "A"
            played.rates.append(game.adversary_optimiser.param_groups[0]["lr"])
            return {"face_loss": 0.0}

        def measure(network: TFEN) -> float:
            played.measured.append(network.temporal.fc.bias[0].item())
            return 0.5

        monkeypatch.setattr(Game, "network_step", network_step)
        monkeypatch.setattr(Game, "adversary_step", adversary_step)
        clips = Clips(FrameStore(found, 32, settings.data), some, 2, 32)
        adversarial.train(played.network, clips, settings, make_accelerator(settings), 0, measure)
        return played

    return playing


def test_turns_are_counted_over_all_iterations_of_a_training(play: Callable[..., Played]) -> None:
    assert play().turns == "--A--A--A--A"
    assert play(turns="epochs").turns == "--------AAAA"
    assert play("without-adversarial").turns == 12 * "-"


def test_a_matched_control_passes_over_the_adversary_s_turns_and_multiplies_by_alpha(
    play: Callable[..., Played],
) -> None:
    assert play("without-adversarial", matched=True).turns == 8 * "-"


def test_the_learning_rate_falls_with_the_first_step_of_its_epoch(play: Callable[..., Played]) -> None:
    assert play(lr_step=1).rates == pytest.approx(4 * [0.01] + 4 * [0.001] + 4 * [0.0001])
    assert play(lr_step=2, lr_gamma=0.5).rates == pytest.approx(8 * [0.01] + 4 * [0.005])
    cosine = [0.005 * (1 + np.cos(np.pi * step / 12)) for step in range(12)]
    assert play(schedule="cosine").rates == pytest.approx(cosine)


def test_balanced_class_weights_are_those_of_the_training_clips(play: Callable[..., Played]) -> None:
    weights = play(class_weights="balanced").class_weights
    assert weights is not None
    assert weights.numpy() == pytest.approx([8 / (3 * 4), 8 / (3 * 2), 8 / (3 * 2)])  # anger 4, the others 2 each
    assert play().class_weights is None


def test_the_average_goes_over_epochs_and_is_what_is_measured_and_kept(play: Callable[..., Played]) -> None:
    """Two epochs of four steps: an exponential average with 1/8, from the first step's weights on."""
    played, wanted = play("without-adversarial", average=2.0), [1.0]
    for step in range(2, 13):
        wanted.append(wanted[-1] + (step - wanted[-1]) / 8)
    assert played.measured == pytest.approx([wanted[3], wanted[7], wanted[11]], rel=1e-5)
    assert played.network.temporal.fc.bias[0].item() == pytest.approx(wanted[11], rel=1e-5)
    assert play("without-adversarial").measured == [4, 8, 12]


def test_a_baseline_is_trained_on_the_expression_loss_and_gathers_only_where_its_name_says_so() -> None:
    network = TFEN(3, 3, 8, "r3d18+ec-stfl").train()
    before = snapshot(network)
    with torch.no_grad():
        features = copy.deepcopy(network).temporal.embed(batch().clips).numpy()  # before dropout and classifier
    apart = np.abs(features[:, None] - features).sum(2)
    alike = np.equal.outer(batch().expressions.numpy(), batch().expressions.numpy())
    gathering = (apart * alike).sum(1) / 2 * ((1 / (apart + 1e-6)) * ~alike).sum(1) / 5  # of 6 clips, 2 are alike
    figures = numbers(Game(network, TrainSettings(ec_stfl_weight=2.0)).network_step(batch()))
    assert changed(network, before) == {"T"}
    assert figures["ec_stfl_loss"] == pytest.approx(gathering.mean() / 6, rel=1e-4)
    assert figures["loss"] == pytest.approx(figures["expression_loss"] + 2 * figures["ec_stfl_loss"], rel=1e-5)
    plain = numbers(Game(TFEN(3, 3, 8, "r3d18").train(), TrainSettings()).network_step(batch()))
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
