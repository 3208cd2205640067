"""People who perform the same takes: how they are made, kept together, cut, and learned from."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL, contents, refuses, rows, tfen
from test_game import batch, numbers

from tfen.config import DataSettings, FoldSettings, TrainSettings
from tfen.data.clips import Clips, FrameStore
from tfen.data.folds import make_folds
from tfen.data.prepared import PreparedSet, SequenceRecord, open_set
from tfen.evaluation.claims import leaks_of
from tfen.models.tfen import TFEN
from tfen.synth.generate import make_set
from tfen.synth.settings import SynthSettings
from tfen.training.adversarial import Game
from tfen.training.twins import TWIN_PLACES, cells, twins_loss
from tfen.video.photographs import read_image

TWO = SynthSettings(subjects=4, twins=2, frames=3, size=48, expressions=("happiness", "surprise"), variation="wild")


@pytest.fixture(scope="session")
def twin_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("twins") / "set"
    make_set(out, TWO, jobs=1)
    return out


def groups(subjects: int = 12, size: int = 3) -> PreparedSet:
    """A set in memory: groups of twins, three expressions each."""
    records = tuple(
        SequenceRecord(f"p{s}-{e}", f"p{s}", e, 4, "", f"g{s // size}", f"g{s // size}-{e}")
        for s in range(subjects)
        for e in ("anger", "fear", "happiness")
    )
    return PreparedSet(Path("nowhere"), records)


def test_the_loss_is_the_ratio_of_mean_squared_distances() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=(7, 5)) * [1, 30, 0.02, 5, 1] + [0, 4, -2, 0, 1]
    own = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-8 * z.var(ddof=1))
    takes = [0, 0, 1, 1, 1, -1, -1]
    twins, others = [], []
    for i in range(7):
        for j in range(7):
            if i == j:
                continue
            distance = ((own[i] - own[j]) ** 2).sum()
            if takes[i] != takes[j]:
                others.append(distance)
            elif takes[i] >= 0:
                twins.append(distance)
    loss = twins_loss(torch.tensor(z), torch.tensor(takes))
    assert float(loss) == pytest.approx(np.mean(twins) / np.mean(others), rel=1e-5)
    assert float(twins_loss(torch.tensor(z * 100), torch.tensor(takes))) == pytest.approx(float(loss), rel=1e-5)


def test_a_feature_that_is_always_the_same_counts_for_nothing() -> None:
    z, takes = torch.randn(6, 4, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 0, 1, 1, 2, 2])
    dead = torch.cat([z, torch.full((6, 3), 0.7)], 1).requires_grad_()
    loss = twins_loss(dead, takes)
    assert float(loss.detach()) == pytest.approx(float(twins_loss(z, takes)), rel=1e-5)
    nothing = torch.zeros(6, 4, requires_grad=True)
    (loss + twins_loss(nothing, takes)).backward()
    assert torch.isfinite(dead.grad).all()
    assert torch.isfinite(nothing.grad).all()


def test_twins_who_look_the_same_lose_nothing_and_strangers_lose_one() -> None:
    z = torch.randn(3, 8).repeat_interleave(2, 0)
    assert float(twins_loss(z, torch.tensor([0, 0, 1, 1, 2, 2]))) == pytest.approx(0, abs=1e-5)
    many = torch.randn(400, 50, generator=torch.Generator().manual_seed(0))
    assert float(twins_loss(many, torch.arange(400) // 2)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("takes", [[-1, -1, -1], [0, 1, 2], [4, 4, 4]])
def test_a_batch_with_nothing_to_compare_loses_nothing(takes: list[int]) -> None:
    z = torch.randn(3, 4, requires_grad=True)
    assert float(twins_loss(z, torch.tensor(takes))) == 0


def test_large_maps_are_averaged_in_eight_by_eight_cells_and_small_ones_are_kept() -> None:
    rng = np.random.default_rng(3)
    maps = rng.normal(size=(2, 3, 5, 16, 16)).astype(np.float32)
    expected = maps.reshape(2, 3, 5, 8, 2, 8, 2).mean((4, 6)).reshape(2, -1)
    np.testing.assert_allclose(cells(torch.tensor(maps)), expected, atol=1e-6)
    small = maps[..., :4, :4]
    np.testing.assert_array_equal(cells(torch.tensor(small)), small.reshape(2, -1))


def test_twins_move_alike_and_look_different(twin_set: Path) -> None:
    truth = {path.stem: json.loads(path.read_text()) for path in (twin_set / "truth").iterdir()}
    a, b, other = (truth[f"s000{k}-surprise"] for k in (0, 1, 2))
    for same in ("intensity", "pose", "light", "camera"):
        assert a[same] == b[same]
    assert a["pose"] != other["pose"]
    moved = [np.subtract(one["action_units"], one["action_units"][0]) for one in (a, b, other)]
    np.testing.assert_allclose(
        moved[0], moved[1], atol=0.16
    )  # what is clipped at a resting face's own level may differ
    assert np.abs(moved[0] - moved[2]).max() > 0.05
    shapes = [np.subtract(one["landmarks"][0], np.mean(one["landmarks"][0], 0)) for one in (a, b)]
    assert np.abs(shapes[0] - shapes[1]).max() > 0.5
    first = [read_image(twin_set / "frames" / f"s000{k}-surprise" / "0001.jpg").astype(int) for k in (0, 1)]
    assert np.abs(first[0][:4, :4] - first[1][:4, :4]).max() > 10, "the backdrops are each twin's own"


def test_a_set_says_who_are_twins_and_the_same_seed_gives_the_same_bytes(twin_set: Path, tmp_path: Path) -> None:
    make_set(tmp_path / "again", TWO, jobs=1)
    assert contents(tmp_path / "again") == contents(twin_set)
    dataset = open_set(twin_set)
    assert dataset.groups == (("s0000", "s0001"), ("s0002", "s0003"))
    assert Counter(one.take for one in dataset.sequences) == dict.fromkeys(
        ["g0000-happiness", "g0000-surprise", "g0001-happiness", "g0001-surprise"], 2
    )
    make_set(tmp_path / "more", replace(TWO, subjects=2), jobs=1)
    make_set(tmp_path / "more", TWO, jobs=1)
    assert contents(tmp_path / "more") == contents(twin_set)


def test_sets_without_twins_are_as_they_were(synthetic_set: Path) -> None:
    assert set(rows(synthetic_set / "sequences.csv")[0]) == {"sequence", "subject", "expression", "frames", "source"}
    assert all(len(group) == 1 for group in open_set(synthetic_set).groups)


def test_a_joined_set_keeps_them(twin_set: Path, tiny_set: Path, tmp_path: Path) -> None:
    done = tfen("join", twin_set, tiny_set, "--out", tmp_path / "both", "--names", "twins", "tiny")
    assert done.returncode == 0, done.stderr
    both = open_set(tmp_path / "both")
    assert ("twins/s0000", "twins/s0001") in both.groups
    assert ("tiny/p1",) in both.groups
    assert {one.take for one in both.sequences if one.subject.startswith("tiny")} == {""}
    assert sum(one.take == "twins/g0001-surprise" for one in both.sequences) == 2


@pytest.mark.parametrize("protocol", ["subjects", "leave-one-subject-out", "dfew-12x10"])
def test_no_fold_splits_a_group(protocol: str) -> None:
    dataset = groups(240, 3) if protocol == "dfew-12x10" else groups()
    count = 2 if protocol == "dfew-12x10" else 4
    for fold in make_folds(dataset, FoldSettings(protocol=protocol, count=count, validation_share=0.3), seed=1):
        parts = [{one.group for one in part} for part in (fold.train, fold.validation, fold.test)]
        assert all(parts)
        assert not parts[0] & parts[1]
        assert not (parts[0] | parts[1]) & parts[2]
        assert fold.twins_apart() == []


def test_a_fold_file_that_splits_twins_is_said_to_leak(twin_set: Path, tmp_path: Path) -> None:
    table = tmp_path / "folds.csv"
    table.write_text("fold,subject,part\n0,s0001,test\n1,s0002,test\n1,s0003,test\n")
    folds = make_folds(open_set(twin_set), FoldSettings(protocol="file", file=str(table), select="last"), seed=0)
    assert folds[0].twins_apart() == ["s0001"]
    assert len(leaks_of(folds)) == 1
    run = tmp_path / "run"
    done = tfen("crossval", twin_set, run, *SMALL, "--folds.protocol", "file", "--folds.file", table,
                "--folds.select", "last", "--variant", "3d-resnet18")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 of its test subjects have a twin in training" in done.stderr
    claims = json.loads((run / "summary.json").read_text())
    assert "twin" in json.dumps(claims)


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(Exception, match="4 groups of twins, fewer than the 5 folds"):
        make_folds(groups(), FoldSettings(count=5), seed=0)


def test_twins_are_in_a_batch_together_cut_alike_under_their_own_light(twin_set: Path) -> None:
    dataset = open_set(twin_set)
    for augment in ("paper", "strong"):
        store = FrameStore(dataset, 32, DataSettings(augment=augment))
        clips = Clips(store, list(dataset.sequences), 2, 32)
        seen = [one.name for given in clips.training(3, 4, 5, together=2) for one in given.sequences]
        assert sorted(seen) == sorted(one.name for one in dataset.sequences)
        for given in clips.training(3, 4, 5, together=2):
            takes = given.takes.tolist()
            assert takes[0::2] == takes[1::2]
            assert all(a.subject != b.subject for a, b in zip(given.sequences[0::2], given.sequences[1::2]))
    # the same picture twice: what is left between the two is what training changes for each by itself
    twice = tuple(replace(one, name="s0000-surprise") for one in dataset.sequences if one.take == "g0000-surprise")
    for augment, alike in (("paper", True), ("strong", False)):
        store = FrameStore(PreparedSet(twin_set, (*twice, *dataset.sequences)), 32, DataSettings(augment=augment))
        given = next(Clips(store, list(twice), 2, 32).training(1, 2, 5, together=2))
        a, b = given.clips
        assert torch.equal(a, b) == alike

        def blurred(x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(x.mean(1), 4).flatten()

        assert torch.corrcoef(torch.stack([blurred(a), blurred(b)]))[0, 1] > 0.6


def test_a_third_twin_without_a_partner_comes_last() -> None:
    dataset = groups(6, 3)
    clips = Clips(FrameStore(dataset, 32, DataSettings()), list(dataset.sequences), 2, 32)
    order, first = clips._order(np.random.default_rng(0), 2)
    takes = [dataset.sequences[k].take for k in order]
    assert sorted(order) == list(range(18))
    assert takes[0:12:2] == takes[1:12:2]
    assert list(first[:12]) == [k // 2 * 2 for k in range(12)]
    assert list(first[12:]) == list(range(12, 18))


@pytest.mark.parametrize("place", list(TWIN_PLACES))
@pytest.mark.parametrize("variant", ["tfen", "without-facial-decoupling", "without-3d"])
def test_the_twins_loss_is_added_with_its_weight_and_reaches_the_extractor(variant: str, place: str) -> None:
    def step(weight: float) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
        torch.manual_seed(0)
        network = TFEN(3, 3, 8, variant, dropout=0.0)
        game = Game(network, TrainSettings(twins=weight, twins_at=place, lr=0.1, momentum=0, weight_decay=0))
        figures = numbers(game.network_step(batch()))
        return figures, {name: value.clone() for name, value in network.expression_extractor.named_parameters()}

    (without, e0), (with_two, e2), (_, e4) = step(0.0), step(2.0), step(4.0)
    assert "twins_loss" not in without
    assert with_two["loss"] == pytest.approx(without["loss"] + 2 * with_two["twins_loss"], rel=1e-5)
    moved = [max(float((a[name] - e0[name]).detach().abs().max()) for name in e0) for a in (e2, e4)]
    assert moved[0] > 1e-4
    assert moved[1] == pytest.approx(2 * moved[0], rel=0.05)


def test_the_weight_grows_over_the_ramp(twin_set: Path, tmp_path: Path) -> None:
    losses = {}
    for ramp in (0, 2):
        run = tmp_path / str(ramp)
        done = tfen("crossval", twin_set, run, *SMALL, "--variant", "without-facial-decoupling", "--train.twins", 8,
                    "--train.twins-ramp", ramp, "--folds.count", 2, "--folds.select", "last", "--folds.only", 0)  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in (run / "fold-00" / "metrics.jsonl").read_text().splitlines()]
        losses[ramp] = [(row["loss"] - row["expression_loss"], row["twins_loss"]) for row in lines]
    extra, twins = losses[0][0]
    assert extra == pytest.approx(8 * twins, rel=1e-4)
    extra, twins = losses[2][0]
    assert extra < 8 * twins * 0.6
    extra, twins = losses[2][2]
    assert extra == pytest.approx(8 * twins, rel=1e-4)


def test_an_own_optimiser_an_own_norm_a_warm_up_and_a_restart_of_the_adversary() -> None:
    network = TFEN(3, 3, 8)
    plan = TrainSettings(
        adversary_optimiser="adamw", adversary_norm="cross-entropy", adversary_warmup=2, adversary_restart=3
    )
    game = Game(network, plan)
    assert type(game.adversary_optimiser.optimizer).__name__ == "AdamW"
    assert type(game.network_optimiser.optimizer).__name__ == "SGD"
    given = batch()
    with torch.no_grad():
        network.eval()
        scores = network.face_scores(network.clip_features(given.clips))
        expected = -scores[torch.arange(6), given.faces].log().mean()
    network.adversary.train()
    first = numbers(game.adversary_step(replace(given)))
    assert first["face_loss"] == pytest.approx(float(expected), rel=0.5)
    assert all(game.is_adversary_turn(k, 1) and game.is_adversary_turn(k, 2) for k in range(1, 7))
    assert not game.is_adversary_turn(1, 3)


def test_an_adversary_that_starts_anew_forgets_what_it_knew() -> None:
    from tfen.training.loop import Place

    network = TFEN(3, 3, 8)
    game = Game(network, TrainSettings(adversary_restart=3))
    game.adversary_step(batch())
    learned = network.adversary.last_linear.weight.clone()
    for place in (Place(1, 0, 1), Place(3, 0, 9), Place(4, 1, 11)):
        game.restart_adversary(place, 0)
        assert torch.equal(network.adversary.last_linear.weight, learned)
    before = torch.random.get_rng_state()
    game.restart_adversary(Place(4, 0, 10), 0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.equal(network.adversary.last_linear.weight, learned)
    assert not game.adversary_optimiser.state


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--train.twins", "2"], "has no twins"),
        (["--train.twins", "2", "--train.twins-together", "3"], "expected a multiple of train.twins-together"),
        (["--train.twins", "-1"], "train.twins is -1.0, expected at least 0"),
        (["--train.adversary-norm", "cubed"], "cubed"),
    ],
)
def test_what_cannot_be_trained_is_told_before(tiny_set: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    refuses("crossval", tiny_set, tmp_path / "run", *SMALL, "--folds.count", "2", *arguments, says=says)
    assert not (tmp_path / "run").exists()


def test_a_network_without_tfe_takes_twins_at_t_alone(twin_set: Path, tmp_path: Path) -> None:
    common = ["crossval", twin_set, tmp_path / "run", *SMALL, "--variant", "3d-resnet18", "--train.twins", "2",
              "--folds.count", "2", "--folds.select", "last", "--folds.only", "0"]  # fmt: skip
    refuses(*common, says="--train.twins-at t")
    done = tfen(*common, "--train.twins-at", "t")
    assert done.returncode == 0, done.stderr
