import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import SMALL, refuses, rows, tfen, write_tiny_set

from tfen.config import make_settings
from tfen.data import clips as clips_module
from tfen.data.prepared import SequenceRecord, open_set
from tfen.training.crossval import begin, finish

RUN = [*SMALL, "--folds.count", "2"]


def test_a_run_writes_predictions_summary_and_weights(tiny_set: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = tfen("crossval", tiny_set, run, *RUN)
    assert done.returncode == 0, done.stderr
    said = rows(run / "predictions.csv")
    assert list(said[0]) == ["fold", "sequence", "subject", "true", "predicted", "anger", "happiness", "surprise"]
    assert len(said) == 12
    assert {row["sequence"] for row in said} == {sequence.name for sequence in open_set(tiny_set).sequences}
    for row in said:
        probabilities = [float(row[name]) for name in ("anger", "happiness", "surprise")]
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert row["predicted"] == ("anger", "happiness", "surprise")[int(np.argmax(probabilities))]
    figures = json.loads((run / "summary.json").read_text())
    right = np.mean([row["true"] == row["predicted"] for row in said])
    assert figures["accuracy"] == figures["war"] == pytest.approx(right)
    recalls = [
        np.mean([row["predicted"] == name for row in said if row["true"] == name])
        for name in ("anger", "happiness", "surprise")
    ]
    assert figures["uar"] == pytest.approx(np.mean(recalls))
    assert (figures["folds"], figures["sequences"], figures["subjects"]) == (2, 12, 4)
    assert "inner validation split" in figures["epoch_chosen_by"]
    assert f"accuracy {right:.3f}" in done.stdout
    for name in ("model.safetensors", "config.json", "faces.safetensors", "metrics.jsonl", "predictions.csv"):
        assert (run / "fold-00" / name).exists()


def test_the_same_command_gives_the_same_numbers_and_another_seed_others(tiny_set: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert tfen("crossval", tiny_set, tmp_path / name, *RUN, "--seed", seed).returncode == 0
    first, again, other = ((tmp_path / name / "fold-00" / "metrics.jsonl").read_text() for name in "abc")
    assert first == again
    assert first != other
    assert (tmp_path / "a/predictions.csv").read_bytes() == (tmp_path / "b/predictions.csv").read_bytes()
    weights = [(tmp_path / name / "fold-01/model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


def test_a_finished_fold_is_not_run_again(tiny_set: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert tfen("crossval", tiny_set, run, *RUN, "--folds.only", 0).returncode == 0
    assert json.loads((run / "summary.json").read_text())["folds"] == 1
    before = (run / "fold-00/model.safetensors").stat().st_mtime_ns
    done = tfen("crossval", tiny_set, run, *RUN)
    assert done.returncode == 0, done.stderr
    assert "fold 0: done before" in done.stderr
    assert (run / "fold-00/model.safetensors").stat().st_mtime_ns == before
    assert json.loads((run / "summary.json").read_text())["folds"] == 2


def test_a_run_with_other_settings_is_left_alone(tiny_set: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert tfen("crossval", tiny_set, run, *RUN, "--folds.only", 0).returncode == 0
    refuses("crossval", tiny_set, run, *RUN, "--train.alpha", 2, says="train.alpha = 5.0, not 2.0")


def test_no_test_frame_reaches_any_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = open_set(write_tiny_set(tmp_path / "set", subjects=6))
    asked: list[str] = []
    original = clips_module.FrameStore.frames

    def watched(self: clips_module.FrameStore, sequence: SequenceRecord, numbers: np.ndarray) -> np.ndarray:
        asked.append(sequence.subject)
        return original(self, sequence, numbers)

    monkeypatch.setattr(clips_module.FrameStore, "frames", watched)
    seen: list[set[str]] = []

    def tested(*arguments: object, **named: object) -> list:
        if asked:
            seen.append(set(asked))
        said = predict(*arguments, **named)
        asked.clear()
        return said

    from tfen.training import fold as module

    predict = module.predict_sequences
    monkeypatch.setattr(module, "predict_sequences", tested)
    changes = {
        "model": {"width": 8, "image_size": 32, "frames": 2},
        "train": {"epochs": 2, "batch_size": 4, "device": "cpu"},
        "face": {"epochs": 1, "batch_size": 4},
        "folds": {"count": 3, "validation_share": 0.3},
    }
    finish(begin(found, tmp_path / "run", make_settings(changes=changes)))
    for k in range(3):
        fold = json.loads((tmp_path / f"run/fold-{k:02d}/fold.json").read_text())
        assert seen[k] == set(fold["train_subjects"]) | set(fold["validation_subjects"])
        assert fold["test_subjects"]
        assert not seen[k] & set(fold["test_subjects"])


@pytest.mark.parametrize(
    "variant", ["without-adversarial", "without-facial-decoupling", "without-decoupler", "without-3d"]
)
def test_the_ablations_run_by_name(tiny_set: Path, tmp_path: Path, variant: str) -> None:
    run = tmp_path / "run"
    done = tfen("crossval", tiny_set, run, *RUN, "--variant", variant, "--folds.only", 1)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "summary.json").read_text())["variant"] == variant
    log = (run / "fold-01/metrics.jsonl").read_text()
    assert ("confusion_loss" in log) == ("face_loss" in log) == (variant in ("without-decoupler", "without-3d"))


def test_best_on_test_is_flagged_wherever_it_appears(tiny_set: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = tfen("crossval", tiny_set, run, *RUN, "--folds.select", "best-on-test")
    assert done.returncode == 0, done.stderr
    assert "optimistic" in done.stdout
    assert json.loads((run / "summary.json").read_text())["optimistic"] is True
    page = tfen("report", run)
    assert page.returncode == 0, page.stderr
    assert "optimistic" in Path(page.stdout.strip()).read_text()


def test_the_report_is_one_page_with_its_pictures_and_tables(tiny_set: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert tfen("crossval", tiny_set, run, *RUN).returncode == 0
    done = tfen("report", run)
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip())
    text = page.read_text()
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert 'src="data:image/png;base64,' in text
    figures = json.loads((run / "summary.json").read_text())
    assert f"{100 * figures['accuracy']:.2f} %" in text
    assert "adversary interval" in text
    for name in ("confusion.png", "confusion.csv", "confusion.tex", "curves.png", "folds.png", "examples.png"):
        assert (page.parent / name).stat().st_size > 50
    counts = rows(page.parent / "confusion.csv")
    assert sum(int(row[name]) for row in counts for name in ("anger", "happiness", "surprise")) == 12


def test_a_set_of_the_paper_gets_the_paper_figures_beside_it(tiny_set: Path, tmp_path: Path) -> None:
    (tiny_set / "prepared.json").write_text(json.dumps({"set": "ckplus"}))
    run = tmp_path / "run"
    assert tfen("crossval", tiny_set, run, *RUN, "--folds.only", 0).returncode == 0
    text = Path(tfen("report", run).stdout.strip()).read_text()
    assert "98.78" in text
    assert "PHRNN-MSCNN" in text
    assert "96.43" in text


def test_training_starts_from_other_weights_and_keeps_shared_expressions_by_name(tmp_path: Path) -> None:
    first = write_tiny_set(tmp_path / "first")
    second = write_tiny_set(tmp_path / "second", expressions=("happiness", "sadness"))
    run = tmp_path / "run"
    assert tfen("crossval", first, run, *RUN, "--folds.only", 0).returncode == 0
    done = tfen("crossval", second, tmp_path / "other", *RUN, "--folds.only", 0, "--init", run)
    assert done.returncode == 0, done.stderr
    assert "do not know sadness" in done.stderr

    from tfen.models.weights import build, load
    from tfen.training.network import start_from

    start = load(run)
    network = build(start.settings, 2, 0)
    fresh = network.temporal.fc.weight[1].clone()
    start_from(network, ("happiness", "sadness"), start)
    assert (network.temporal.fc.weight[0] == start.network.temporal.fc.weight[1]).all()
    assert (network.temporal.fc.weight[1] == fresh).all()
    assert (
        network.expression_extractor.layer0["conv1"].weight == start.network.expression_extractor.layer0["conv1"].weight
    ).all()


def test_train_writes_weights_that_load(tiny_set: Path, tmp_path: Path) -> None:
    done = tfen("train", tiny_set, tmp_path / "weights", *SMALL, "--folds.select", "last")
    assert done.returncode == 0, done.stderr
    from tfen.models.weights import load

    loaded = load(tmp_path / "weights")
    assert loaded.expressions == ("anger", "happiness", "surprise")
    assert loaded.about["subjects"] == 4


def test_a_settings_file_and_flags_on_top_of_it(tiny_set: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"train": {"alpha": 2.0, "epochs": 7}, "model": {"width": 8}}))
    run = tmp_path / "run"
    done = tfen("crossval", tiny_set, run, *RUN, "--settings", file, "--folds.only", 0)
    assert done.returncode == 0, done.stderr
    used = yaml.safe_load((run / "config.yaml").read_text())["settings"]
    assert (used["train"]["alpha"], used["train"]["epochs"], used["train"]["momentum"]) == (2.0, 3, 0.9)


def test_several_folds_are_chosen_at_once(tiny_set: Path, tmp_path: Path) -> None:
    done = tfen("crossval", tiny_set, tmp_path / "run", *SMALL, "--folds.count", 4, "--folds.only", 0, 2, "--seed", 1)
    assert done.returncode == 0, done.stderr
    assert {row["fold"] for row in rows(tmp_path / "run/predictions.csv")} == {"0", "2"}


@pytest.mark.extra("tensorboard")
def test_tensorboard_logs_are_written(tiny_set: Path, tmp_path: Path) -> None:
    done = tfen("crossval", tiny_set, tmp_path / "run", *RUN, "--folds.only", 0, "--tensorboard")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "run/fold-00/tensorboard").glob("events*"))


def test_a_training_that_diverges_stops_and_says_so(tiny_set: Path, tmp_path: Path) -> None:
    settings = ["1e30" if value == "0.001" else value for value in SMALL]
    said = refuses("train", tiny_set, tmp_path / "out", *settings, code=1, says="diverged")
    assert "--train.lr" in said
    assert not (tmp_path / "out").exists()


def test_a_log_file_gets_lines_of_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    from tfen import progress

    monkeypatch.setattr(progress.Meter, "EVERY", 0.0)
    monkeypatch.setenv("COLUMNS", "200")
    with progress.on_console(), progress.meter("cooking", 10, "eggs") as meter:
        meter.advance(5)
        meter.note("boiling")
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("cooking: 5/10 eggs")
    assert "min left" in line
    assert line.endswith("boiling")


def test_importing_the_package_is_light_and_load_works() -> None:
    code = (
        "import sys, tfen; assert 'torch' not in sys.modules; assert callable(tfen.load); assert 'torch' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
