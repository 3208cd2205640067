"""What would end a cross-validation late is found before it begins; matched controls are what they say."""

import copy
import logging
import shutil
from pathlib import Path

import pytest
import torch
from conftest import SMALL, refuses, tfen, write_tiny_set
from test_game import batch

from tfen.config import Settings, TrainSettings, make_settings
from tfen.data.folds import make_folds
from tfen.data.prepared import PreparedSet, SequenceRecord, open_set
from tfen.errors import InputError, TfenError
from tfen.models.tfen import TFEN
from tfen.models.weights import Loaded
from tfen.training import checks
from tfen.training.adversarial import Game
from tfen.training.checks import Estimate, check_folds, check_frames, check_room
from tfen.training.network import people_seen

RUN = [*SMALL, "--folds.count", "2"]


def folds_of(dataset: PreparedSet, count: int = 2, select: str = "last") -> list:
    return make_folds(dataset, make_settings(changes={"folds": {"count": count, "select": select}}).folds, 0)


def test_a_later_fold_whose_training_lacks_an_expression_is_found_before_anything_is_written(tmp_path: Path) -> None:
    folder = write_tiny_set(tmp_path / "set", subjects=4)
    table = (folder / "sequences.csv").read_text().splitlines()
    rest = [row for row in table if "surprise" not in row or "p4-" in row]  # one person alone shows surprise
    (folder / "sequences.csv").write_text("\n".join(rest) + "\n")
    refuses(
        "crossval",
        folder,
        tmp_path / "run",
        *RUN,
        "--folds.select",
        "last",
        says="fold 1: no training sequence shows surprise",
    )
    assert not (tmp_path / "run").exists()


def test_sizes_and_the_rarest_expression_are_said_before_the_first_fold(
    tiny_set: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "tfen"):
        check_folds(folds_of(open_set(tiny_set), 3), open_set(tiny_set))
    text = " ".join(caplog.messages)
    assert "3 folds: 6 to 9 training, 0 validation, 3 to 6 test sequences" in text
    assert "the rarest expression in training is anger, 2 times" in text
    assert "not subject-independent" not in text


def test_a_frame_that_cannot_be_read_is_found_before_the_first_fold(tiny_set: Path, tmp_path: Path) -> None:
    broken = tiny_set / "frames/p4-surprise/03.png"
    broken.write_bytes(b"no picture")
    sentence = refuses("crossval", tiny_set, tmp_path / "run", *RUN)
    assert str(broken) in sentence
    assert not (tmp_path / "run").exists()
    shutil.rmtree(broken.parent)
    with pytest.raises(InputError, match="is missing"):
        check_frames(open_set(tiny_set))


def test_a_disk_without_room_for_the_weights_is_told_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings("paper-ckplus")
    parameters = 33_000_000 + 11_400_000  # TFEN with A, and the pretrained faces
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda place: usage._replace(free=10 * parameters))
    with pytest.raises(TfenError, match=r"MB of free disk and 10 folds need \d\.\d GB; free some"):
        check_room(tmp_path / "a" / "b", settings, 7, 10, 118)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda place: usage._replace(free=10 * 60 * parameters))
    check_room(tmp_path / "a" / "b", settings, 7, 10, 118)


def test_the_first_epochs_tell_how_long_all_folds_take(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr(checks.time, "monotonic", lambda: now[0])
    estimate = Estimate(10, 100)
    for epoch, at in ((1, 1150.0), (2, 1200.0), (3, 1250.0)):  # 100 s of faces, then 50 s an epoch
        now[0] = at
        with caplog.at_level(logging.INFO, "tfen"):
            estimate({"epoch": epoch})
    (line,) = caplog.messages
    assert line == "about 85 min a fold, 14.2 h for 10 of them"


def test_pretraining_on_all_subjects_means_those_of_the_fold_s_own_subset() -> None:
    expressions = ("anger", "fear")
    sequences = tuple(SequenceRecord(f"{k:05d}", f"{k:05d}", expressions[k % 2], 3) for k in range(12 * 10 * 4))
    dataset = PreparedSet(Path("x"), sequences, {"set": "dfew"})
    folds = make_folds(dataset, make_settings("paper-dfew").folds, 0)
    assert len(folds) == 120
    for fold in folds[::17]:
        own = fold.everybody(dataset)
        assert len(own) == 40
        assert {one.name for one in own} == {one.name for part in (fold.train, fold.test) for one in part}


def test_a_matched_control_is_the_five_fold_rate_and_a_fifth_of_the_decay() -> None:
    """Under SGD a loss five times as large is a rate five times as large with a fifth of the weight decay."""
    network = TFEN(3, 0, 8, "without-adversarial", dropout=0.0).train()
    both = []
    for settings in (
        TrainSettings(lr=0.01, weight_decay=0.008, alpha=5.0, matched=True),
        TrainSettings(lr=0.05, weight_decay=0.0016, alpha=5.0),
    ):
        own = copy.deepcopy(network)
        Game(own, settings).network_step(batch())
        both.append(torch.cat([value.flatten() for value in own.parameters()]))
    moved = both[0] - torch.cat([value.flatten() for value in network.parameters()])
    assert (both[0] - both[1]).abs().max() < 1e-4 * moved.abs().max()
    plain = copy.deepcopy(network)
    Game(plain, TrainSettings(lr=0.01, weight_decay=0.008, alpha=5.0)).network_step(batch())
    assert not torch.equal(torch.cat([value.flatten() for value in plain.parameters()]), both[0])


def test_a_matched_control_passes_over_the_adversary_s_turns() -> None:
    alone = TFEN(3, 0, 8, "without-adversarial")
    turns = [Game(alone, TrainSettings(matched=True)).is_adversary_turn(k, 1) for k in range(1, 7)]
    assert turns == [False, False, True, False, False, True]
    assert not any(Game(alone, TrainSettings()).is_adversary_turn(k, 1) for k in range(1, 7))


def test_a_comparison_with_controls_says_which_is_which(tiny_set: Path, tmp_path: Path) -> None:
    done = tfen("compare", tiny_set, tmp_path / "both", *RUN, "--variants", "tfen", "without-adversarial", "--controls")
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "both/comparison/comparison.csv").read_text()
    assert [line.split(",")[0] for line in table.splitlines()[1:]] == [
        "tfen",
        "without-adversarial",
        "without-adversarial-matched",
    ]
    assert "as printed: expression loss alone" in table
    assert "control: expression loss times 5" in table
    assert "How each was trained" in (tmp_path / "both/comparison/index.html").read_text()


def test_alpha_without_an_adversary_is_said_to_have_no_effect(tiny_set: Path, tmp_path: Path) -> None:
    flags = ["--variant", "without-adversarial", "--train.alpha", 9, "--folds.only", 0]
    assert "train.alpha 9 has no effect" in tfen("crossval", tiny_set, tmp_path / "run", *RUN, *flags).stderr


def test_weights_that_learned_from_stills_are_evaluated_on_a_set_without_neutral(tmp_path: Path) -> None:
    folder = write_tiny_set(tmp_path / "set", subjects=2, size=80)
    done = tfen("evaluate", "packaged", folder, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "choice of anger, happiness, surprise" in done.stdout
    assert "do not say from whom they learned" not in done.stdout


def test_weights_that_went_on_from_others_have_seen_their_people_too(tiny_set: Path) -> None:
    dataset = open_set(tiny_set)
    own = sorted({dataset.person(one) for one in dataset.subjects})

    def start(about: dict[str, object]) -> Loaded:
        return Loaded(None, Settings(), dataset.expressions, about)

    assert people_seen(dataset, dataset.sequences, None, "trained_on") == own
    before = start({"trained_on": ["synthetic:7:s0000", own[0]], "chosen_by": ["synthetic:7:s0001"]})
    assert people_seen(dataset, dataset.sequences, before, "trained_on") == sorted([*own, "synthetic:7:s0000"])
    assert people_seen(dataset, [], before, "chosen_by") == ["synthetic:7:s0001"]
    assert people_seen(dataset, dataset.sequences, start({}), "trained_on") is None
