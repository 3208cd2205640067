"""Weights asked about people whom they have not seen, and made as sure as they may be."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import refuses, tfen, write_tiny_set
from scipy.special import softmax

from tfen import load
from tfen.config import DataSettings, ModelSettings, Settings
from tfen.data.clips import Clips, FrameStore
from tfen.data.prepared import open_set
from tfen.evaluation.calibration import LEAST_RIGHT, fit_biases, least_confidence, shifted, tempered, warmed
from tfen.evaluation.judging import KINDS, LOOKS, judge, store_as_analyzed
from tfen.evaluation.metrics import Prediction
from tfen.inference.analyzer import Analyzer
from tfen.inference.engine import Engine
from tfen.models.weights import Loaded, build, save_network

NAMES = ("neutral", "anger", "surprise")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small untrained network that is far too sure."""
    model = ModelSettings(variant="without-facial-decoupling", width=8, image_size=32, frames=3)
    settings = Settings(model=model, data=DataSettings(normalise="local", grey=True))
    torch.manual_seed(4)
    network = build(settings, len(NAMES), 0)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.mul_(0.05)
    save_network(tmp_path / "weights", network.eval(), settings, NAMES, {"set": "none", "temperature": 0.05})
    return tmp_path / "weights"


@pytest.fixture
def other_set(tmp_path: Path) -> Path:
    return write_tiny_set(tmp_path / "others", subjects=5, expressions=NAMES, frames=4)


def test_what_is_judged_is_what_the_engine_says_of_those_frames(weights: Path, other_set: Path) -> None:
    loaded, found = load(weights), open_set(other_set)
    engine, store = Engine(loaded, LOOKS), store_as_analyzed(found, loaded.settings)
    said = [one for (one,) in judge([engine], store, found.sequences)]
    for sequence, own in zip(found.sequences, said, strict=True):
        frames = engine.encode(list(store.frames(sequence, np.arange(4))))
        first, last = frames[0], frames[3]
        windows = {
            "clips": [frames[0], frames[2], frames[3]],  # the middles of three parts of four frames
            "apexes": [last] * 3,
            "calm": [first] * 3,
            "held": [first, last, last],
        }
        assert set(windows) == set(KINDS)
        for kind, window in windows.items():
            assert own[kind].probabilities == pytest.approx(engine.scores([window])[0], abs=1e-5)
            assert own[kind].true == ("neutral" if kind == "calm" else sequence.expression)


def test_calibrated_weights_say_the_same_with_the_confidence_they_may_have(weights: Path, other_set: Path) -> None:
    out = weights.parent / "calibrated"
    shown = tfen("calibrate", weights, other_set, "--out", out)
    assert shown.returncode == 0, shown.stderr
    about = json.loads((out / "config.json").read_text())["about"]
    assert about["temperature"] > 0.5  # 0.05 made all answers certain, and most are wrong
    assert about["calibrated_on"] == [{"set": "others", "temperature": pytest.approx(about["temperature"], abs=1e-3)}]
    before, after = load(weights), load(out)
    for name, value in before.network.state_dict().items():
        assert torch.equal(value, after.network.state_dict()[name])
    frames = np.random.default_rng(0).integers(0, 255, (3, 35, 35, 3), np.uint8)
    scores = [Engine(one, LOOKS).scores([Engine(one, LOOKS).encode(list(frames))])[0] for one in (before, after)]
    assert scores[0].argmax() == scores[1].argmax()
    assert tempered(scores[1][None], 0.05 / about["temperature"])[0] == pytest.approx(scores[0], abs=1e-3)
    errors = [line.split()[-2:] for line in shown.stdout.splitlines() if line.startswith(f"{other_set}, ")]
    assert len(errors) == len(KINDS)
    assert all(float(now) < float(then) for now, then in errors)
    assert f"{about['least_confidence']:.2f}" in shown.stdout.splitlines()[-1]


def test_the_temperature_is_that_of_the_set_that_asks_for_most_doubt(weights: Path, other_set: Path) -> None:
    far = write_tiny_set(weights.parent / "far", subjects=3, expressions=("neutral", "surprise"), frames=5, size=20)
    found = {}
    for name, sets in (("near", [other_set]), ("far", [far]), ("both", [other_set, far])):
        assert tfen("calibrate", weights, *sets, "--out", weights.parent / f"c-{name}").returncode == 0
        found[name] = json.loads((weights.parent / f"c-{name}" / "config.json").read_text())["about"]["temperature"]
    assert found["both"] == max(found["near"], found["far"])
    assert found["near"] != found["far"]


def test_people_of_the_training_calibrate_nothing(weights: Path, other_set: Path) -> None:
    config = json.loads((weights / "config.json").read_text())
    found = open_set(other_set)
    config["about"]["trained_on"] = [found.person("p2")]
    (weights / "config.json").write_text(json.dumps(config))
    refuses("calibrate", weights, other_set, "--out", weights.parent / "out", says="has seen 1 of the people")
    assert not (weights.parent / "out").exists()


def said(sure: float, right: bool) -> Prediction:
    return Prediction(0, "s", "p", "anger", "anger" if right else "fear", (sure, 1 - sure))


def test_the_least_confidence_is_where_answers_are_mostly_wrong() -> None:
    """Of those below 0.7 a quarter is right, of those below 0.75 seven of sixteen."""
    rows = [said(0.6, k == 0) for k in range(4)] + [said(0.68, k == 0) for k in range(4)] + [said(0.72, True)] * 5
    rows += [said(0.9, True)] * 30
    assert LEAST_RIGHT == 1 / 3
    assert least_confidence(rows) == 0.7
    assert least_confidence([said(0.6, True)]) == 0.0
    assert [one.predicted for one in warmed(rows, 3.0)] == [one.predicted for one in rows]


def test_without_a_least_confidence_of_ones_own_that_of_the_weights_counts(weights: Path) -> None:
    config = json.loads((weights / "config.json").read_text())
    config["about"]["least_confidence"] = 0.35
    (weights / "config.json").write_text(json.dumps(config))
    assert Analyzer(weights).engine.least_confidence == 0.35
    labels = {}
    for name, changes in (("own", {}), ("given", {"min_confidence": 0.0}), ("more", {"min_confidence": 1.0})):
        labels[name] = Analyzer(weights, **changes).least_confidence
    assert labels == {"own": 0.35, "given": 0.0, "more": 1.0}
    config["about"]["least_confidence"] = 2
    (weights / "config.json").write_text(json.dumps(config))
    refuses("export", weights, weights.parent / "x", says="least_confidence is '2', expected 0 to 1")


def test_biases_undo_the_shares_of_a_training() -> None:
    """Scores that are right but for what is added to each expression: the negative of that is found."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6000, 3)) * 2
    true = [NAMES[int(rng.choice(3, p=row))] for row in softmax(scores, 1)]
    added = np.array([1.5, 0.0, -0.7])
    likely = softmax(2 * (scores + added), 1)
    own = [Prediction(0, str(k), str(k), name, "anger", tuple(row)) for k, (name, row) in enumerate(zip(true, likely))]
    found = fit_biases([own[:1000], own[1000:]], NAMES)
    assert found == pytest.approx(2 * (added[0] - added), abs=0.2)  # in units of the scores, which were doubled


@pytest.mark.parametrize("variant", ["without-facial-decoupling", "without-3d"])
def test_what_is_shown_of_biases_is_what_the_written_weights_say(tmp_path: Path, other_set: Path, variant: str) -> None:
    model = ModelSettings(variant=variant, width=8, image_size=32, frames=3)
    settings = Settings(model=model, data=DataSettings(normalise="local", grey=True))
    torch.manual_seed(4)
    network, found, biases = build(settings, len(NAMES), 0).eval(), open_set(other_set), np.array([0.0, 1.5, -0.7])
    store = store_as_analyzed(found, settings)

    def said() -> list[Prediction]:
        engine = Engine(Loaded(network, settings, NAMES, {}), LOOKS)
        return [own[kind] for (own,) in judge([engine], store, found.sequences) for kind in KINDS]

    expected = shifted(said(), biases, NAMES)
    with torch.no_grad():
        network.temporal.classifier.bias += torch.from_numpy(biases)
    for one, own in zip(expected, said(), strict=True):
        assert one.predicted == own.predicted
        assert one.probabilities == pytest.approx(own.probabilities, abs=1e-5)


def test_calibration_with_biases_makes_more_answers_right(weights: Path, other_set: Path) -> None:
    loaded = load(weights)
    found = open_set(other_set)
    store = FrameStore(found, 32, loaded.settings.data)
    (batch,) = Clips(store, list(found.sequences), 3, 32).testing(100)
    with torch.no_grad():
        loaded.network.temporal.fc.weight /= loaded.network(batch.clips).std()  # scores of about 1 ...
        loaded.network.temporal.fc.bias[2] += 4  # ... and surprise before all others
    spoilt = weights.parent / "spoilt"
    spoilt.mkdir()
    save_network(spoilt, loaded.network, loaded.settings, NAMES, {})
    out = weights.parent / "mended"
    shown = tfen("calibrate", spoilt, other_set, "--out", out, "--biases")
    assert shown.returncode == 0, shown.stderr
    about = json.loads((out / "config.json").read_text())["about"]
    moved = load(out).network.temporal.fc.bias - loaded.network.temporal.fc.bias
    assert moved.detach().numpy() == pytest.approx(about["biases"], abs=1e-3)
    assert about["biases"][0] == 0
    table = [line.split("%") for line in shown.stdout.splitlines() if line.startswith(f"{other_set}, ")]
    now, before = (sum(float(cells[k].split()[-1]) for cells in table) for k in (0, 1))
    assert now > before
