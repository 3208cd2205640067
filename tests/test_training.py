"""One training from beginning to end: what starts from what, who is trained on, which epoch counts."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import write_tiny_set

from tfen.config import Settings, make_settings
from tfen.data.clips import Clips, FrameStore, face_labels
from tfen.data.folds import Fold, make_folds
from tfen.data.prepared import PreparedSet, SequenceRecord, open_set
from tfen.evaluation.calibration import fit_temperature
from tfen.inference.prediction import predict_sequences
from tfen.models.tfen import TFEN
from tfen.models.weights import Loaded, build
from tfen.training import faces as faces_module
from tfen.training import fold as fold_module
from tfen.training import network as network_module
from tfen.training.devices import make_accelerator
from tfen.training.faces import FaceNetwork, pretrain_faces, split_frames
from tfen.training.fold import FoldWorker
from tfen.training.loop import History
from tfen.training.network import Trained, train_network

State = dict[str, torch.Tensor]


def small(**changes: dict) -> Settings:
    parts: dict[str, dict] = {
        "model": {"width": 8, "image_size": 32, "frames": 2},
        "train": {"epochs": 4, "batch_size": 6, "device": "cpu"},
        "face": {"epochs": 2, "batch_size": 16},
    }
    for name, own in changes.items():
        parts[name] = {**parts.get(name, {}), **own}
    return make_settings(changes=parts)


def state(module: torch.nn.Module) -> State:
    return {name: value.clone() for name, value in module.state_dict().items()}


def alike(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.fixture
def found(tiny_set: Path) -> PreparedSet:
    return open_set(tiny_set)


def sequences(frames: dict[str, list[int]]) -> list[SequenceRecord]:
    """Sequences of so many frames each, by subject."""
    return [
        SequenceRecord(f"{subject}-{k}", subject, "anger", count)
        for subject, counts in frames.items()
        for k, count in enumerate(counts)
    ]


def test_a_fifth_of_each_face_s_frames_is_held_out_and_never_trained_on() -> None:
    own = sequences({"a": [10, 13], "b": [4], "c": [5], "d": [30, 30, 40]})
    train, held_out = split_frames(own, small(), 0)
    everything = {(one, k) for one in own for k in range(one.frames)}
    assert len(train) + len(held_out) == len(everything)
    assert set(train) | set(held_out) == everything
    assert not set(train) & set(held_out)
    assert Counter(one.subject for one, _ in held_out) == {"a": 4, "c": 1, "d": 20}  # of 23, 5 and 100; of 4 none
    other = split_frames(own, small(), 1)[1]
    assert set(other) != set(held_out)
    by_sequence = split_frames(own, small(data={"face_label": "sequence"}), 0)[1]
    assert Counter(one.name for one, _ in by_sequence) == {"a-0": 2, "a-1": 2, "c-0": 1, "d-0": 6, "d-1": 6, "d-2": 8}


def test_the_face_pretraining_sees_its_part_of_the_frames_and_keeps_the_epoch_that_recognises_best(
    found: PreparedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, own = small(face={"epochs": 3}), list(found.sequences)
    trained_on, kept = [], []
    training, recognised = faces_module._Frames._training, iter((0.2, 0.9, 0.5))

    def watched(self, epoch, picked):  # type: ignore[no-untyped-def]
        trained_on.extend((epoch, *frame) for _, frame in picked)
        return training(self, epoch, picked)

    def measured(network, tested, accelerator) -> float:  # type: ignore[no-untyped-def]
        kept.append((state(network), list(tested.frames)))
        return next(recognised)

    monkeypatch.setattr(faces_module._Frames, "_training", watched)
    monkeypatch.setattr(faces_module, "_recognised", measured)
    store, labels = FrameStore(found, 32, settings.data), face_labels(own, settings.data)
    result = pretrain_faces(store, own, labels, settings, make_accelerator(settings), 7)
    train, held_out = split_frames(own, settings, 7)
    for epoch in (1, 2, 3):
        assert Counter((one, k) for number, one, k in trained_on if number == epoch) == Counter(train)
    assert all(tested == held_out for _, tested in kept)
    assert result.accuracy == 0.9
    assert alike(state(result.network), kept[1][0])
    assert not alike(kept[1][0], kept[2][0])


@pytest.mark.parametrize("variant", ["tfen", "without-decoupler", "without-3d", "without-adversarial"])
def test_f_and_a_start_from_the_face_pretraining(
    found: PreparedSet, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[TFEN] = []

    def game(network, *arguments, **named) -> History:  # type: ignore[no-untyped-def]
        started.append(network)
        return History()

    monkeypatch.setattr(network_module, "train", game)
    settings = small(model={"variant": variant}, face={"epochs": 1})
    trained = train_network(FrameStore(found, 32, settings.data), list(found.sequences), [], settings, 0)
    network = started[0]
    assert trained.faces is not None
    assert network.face_extractor is not None
    assert alike(state(network.face_extractor), state(trained.faces.network.lower))
    assert not alike(state(network.face_extractor), state(network.expression_extractor))
    if network.adversary is not None:
        assert alike(state(network.adversary), state(trained.faces.network.upper))
    assert (network.adversary is None) == (variant == "without-adversarial")


def test_a_face_has_the_same_label_in_the_pretraining_and_in_the_game(
    found: PreparedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels: list[dict[str, int]] = []

    def pretrained(store, own, given, settings, *rest):  # type: ignore[no-untyped-def]
        labels.append(given)
        return faces_module.FacePretraining(FaceNetwork(len(given), 8), None, [])

    def game(network, clips: Clips, *rest) -> History:  # type: ignore[no-untyped-def]
        labels.append(clips.face_labels)
        for batch in clips.training(1, 6, seed=0):
            assert batch.faces.tolist() == [int(one.subject[1:]) - 1 for one in batch.sequences]
        return History()

    monkeypatch.setattr(network_module, "pretrain_faces", pretrained)
    monkeypatch.setattr(network_module, "train", game)
    settings = small()
    train_network(FrameStore(found, 32, settings.data), list(found.sequences), [], settings, 0)
    assert labels[0] == labels[1] == {"p1": 0, "p2": 1, "p3": 2, "p4": 3}


@pytest.mark.parametrize(
    ("measured", "best"), [((0.2, 0.9, 0.5, 0.1), 2), ((0.2, 0.9, 0.9, 0.1), 3), ((0.4, 0.3, 0.2, 0.1), 1)]
)
def test_the_epoch_that_does_best_on_the_choosing_people_counts_the_later_of_two_alike(
    found: PreparedSet, measured: tuple[float, ...], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[State] = []

    def accuracy(network, clips: Clips, *rest) -> float:  # type: ignore[no-untyped-def]
        assert {one.subject for one in clips.sequences} == {"p4"}
        states.append(state(network))
        return measured[len(states) - 1]

    monkeypatch.setattr(network_module, "accuracy", accuracy)
    settings = small(model={"variant": "without-facial-decoupling"})
    training, choosing = found.of_subjects({"p1", "p2"}), found.of_subjects({"p4"})
    trained = train_network(FrameStore(found, 32, settings.data), training, choosing, settings, 0)
    assert trained.epoch == best
    assert [alike(state(trained.network), one) for one in states] == [k == best for k in (1, 2, 3, 4)]
    assert not trained.network.training


def test_without_choosing_people_the_last_epoch_counts(found: PreparedSet) -> None:
    settings = small(model={"variant": "without-facial-decoupling"}, train={"epochs": 2})
    trained = train_network(FrameStore(found, 32, settings.data), found.of_subjects({"p1"}), [], settings, 0)
    assert trained.epoch == 2
    assert trained.history.best_epoch is None


@pytest.fixture
def fold_of_six(tmp_path: Path) -> tuple[PreparedSet, Fold]:
    dataset = open_set(write_tiny_set(tmp_path / "six", subjects=6))
    return dataset, make_folds(dataset, small(folds={"count": 3, "validation_share": 0.5}).folds, 0)[0]


def test_a_fold_s_temperature_is_that_of_its_validation_people(
    fold_of_six: tuple[PreparedSet, Fold], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, fold = fold_of_six
    settings = small(folds={"count": 3, "validation_share": 0.5})
    torch.manual_seed(1)
    network = build(settings, 3, 0).eval()
    torch.nn.init.normal_(network.temporal.fc.weight, std=3.0)
    monkeypatch.setattr(fold_module, "train_network", lambda *_, **__: Trained(network, None, History(), 1))
    FoldWorker().do(fold, dataset, settings, tmp_path / "fold")
    said = json.loads((tmp_path / "fold/fold.json").read_text())
    store = FrameStore(dataset, 32, settings.data)
    wanted, others = (
        fit_temperature(predict_sequences(network, store, list(part), settings), dataset.expressions)
        for part in (fold.validation, fold.test)
    )
    assert said["temperature"] == pytest.approx(wanted, rel=1e-4)
    assert abs(np.log(wanted / others)) > 0.01


@pytest.mark.parametrize("subjects", ["train", "all"])
def test_a_fold_trains_on_its_part_and_takes_test_faces_only_where_all_are_asked_for(
    fold_of_six: tuple[PreparedSet, Fold], subjects: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, fold = fold_of_six
    settings = small(folds={"count": 3, "validation_share": 0.5}, face={"subjects": subjects})
    given: list[list[SequenceRecord]] = []

    def training(store, train, choosing, *rest) -> Trained:  # type: ignore[no-untyped-def]
        given.extend((train, choosing, rest[4] or train))
        return Trained(build(settings, 3, 0).eval(), None, History(), 1)

    monkeypatch.setattr(fold_module, "train_network", training)
    FoldWorker().do(fold, dataset, settings, tmp_path / "fold")
    train, choosing, faces = ({one.subject for one in part} for part in given)
    assert len(train) == len(choosing) == 2
    assert train | choosing == {"p3", "p4", "p5", "p6"}
    assert faces == (set(dataset.subjects) if subjects == "all" else train)


@pytest.mark.parametrize(
    ("changes", "start", "variant", "expected"),
    [
        ({}, None, "tfen", (0.01, None)),
        ({"lr_at_random": "over-alpha"}, None, "tfen", (0.002, 0.01)),
        ({"lr_at_random": "over-alpha", "adversary_lr": 0.03}, None, "tfen", (0.002, 0.03)),
        ({"lr_at_random": "over-alpha"}, "weights", "tfen", (0.002, 0.01)),
        ({}, "weights", "tfen", (0.01, None)),
        ({"lr_at_random": "over-alpha"}, None, "without-adversarial", (0.01, None)),  # nothing is multiplied there
        ({"lr_at_random": "over-alpha", "matched": True}, None, "without-adversarial", (0.002, 0.01)),
    ],
)
def test_a_random_start_has_the_rate_that_it_bears(
    found: PreparedSet,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    start: str | None,
    variant: str,
    expected: tuple[float, float | None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    rates: list[tuple[float, float | None]] = []

    def game(network, clips, settings, *rest) -> History:  # type: ignore[no-untyped-def]
        rates.append((settings.train.lr, settings.train.adversary_lr))
        return History()

    monkeypatch.setattr(network_module, "train", game)
    settings = small(model={"variant": variant}, face={"epochs": 0}, train={"lr": 0.01, "alpha": 5.0, **changes})
    own = None
    if start is not None:
        own = Loaded(build(settings, 3, 4), settings, found.expressions, {})
    with caplog.at_level("INFO", "tfen"):
        train_network(FrameStore(found, 32, settings.data), list(found.sequences), [], settings, 0, own)
    assert rates == [pytest.approx(expected)] if expected[1] is not None else rates == [expected]
    whence = "random weights" if start is None else "weights of this program"
    assert (f"E and T start from {whence}: the learning rate" in caplog.text) == (expected[0] < 0.01)
