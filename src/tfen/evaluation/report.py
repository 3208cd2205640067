"""The report of a cross-validation: one self-contained HTML page, with PNG, CSV and LaTeX beside it."""

import json
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfen.data.prepared import PreparedSet
from tfen.data.sampling import middle_frames
from tfen.errors import InputError
from tfen.evaluation.calibration import reliability, warmed
from tfen.evaluation.drawing import BLUE, GREEN, GREY, ORANGE, inline, render, save_figure
from tfen.evaluation.metrics import Prediction, confusions, recalls
from tfen.evaluation.published import PUBLISHED
from tfen.evaluation.runs import FinishedRun, read_run, run_set
from tfen.evaluation.subgroups import Subgroup, known_groups, subgroups, write_subgroups
from tfen.evaluation.tables import in_percent, short, write_beside_published, write_confusion
from tfen.files import clear_errors, write_text
from tfen.models.describe import describe
from tfen.progress import say
from tfen.video.photographs import read_image


def write_report(run: Path | str, out: Path | str | None = None, place: Path | None = None) -> Path:
    """Write the report of a run into `out` (`report` in the run if not given) and return the path of its page.

    Args:
        place: where the run's set lies now, if it was moved; without it the report has no examples.

    Raises:
        InputError: `run` holds no finished run.
    """
    run = Path(run)
    out = run / "report" if out is None else Path(out)
    read = read_run(run)
    config, figures, expressions, predictions, folds = (
        read.config,
        read.figures,
        read.expressions,
        read.predictions,
        read.folds,
    )
    counts = confusions(predictions, expressions)
    published = PUBLISHED.get(figures["set"])
    with clear_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    pictures = {"confusion": write_confusion(out, counts, expressions)}
    histories = [_history(path) for path in sorted(run.glob("fold-*/metrics.jsonl"))]
    pictures["folds"] = save_figure(_fold_bars(folds, figures), out / "folds.png")
    pictures["curves"] = save_figure(
        _curves(histories, float(np.mean([_chance(fold) for fold in folds]))), out / "curves.png"
    )
    pictures["calibration"] = save_figure(_calibration(predictions, folds, expressions), out / "calibration.png")
    dataset = _dataset(read, place)
    groups = [] if dataset is None else _subgroups(dataset, predictions)
    write_subgroups(out / "subgroups.csv", groups)
    examples = None if dataset is None else _examples(dataset, predictions, out)
    if examples is not None:
        pictures["examples"] = examples
    rows = write_beside_published(out, figures)
    network = describe(read.settings, len(expressions), max(1, len(folds[0]["train_subjects"])))
    html = render(
        "report.html.j2",
        figures=figures,
        config=config,
        expressions=expressions,
        short=[short(name) for name in expressions],
        percent=in_percent(counts),
        counts=counts.tolist(),
        recall=recalls(counts).tolist(),
        folds=folds,
        pictures={name: inline(path) for name, path in pictures.items()},
        published=published,
        rows=rows,
        network=network,
        groups=groups,
        opponent=dead_opponent(histories, folds),
        trained=how_trained(folds),
    )
    write_text(out / "index.html", html)
    return out / "index.html"


def how_trained(folds: list[dict[str, Any]]) -> str:
    """Return a sentence about device, precision and start of the folds' trainings; "" for runs of earlier versions."""
    ways = dict.fromkeys(
        f"on {how['device']} in {how['precision']}, E from {how['start_of_E']}, T from {how['start_of_T']}"
        for how in (fold.get("trained") for fold in folds)
        if how
    )
    return f"Trained {'; other folds '.join(ways)}." if ways else ""


def dead_opponent(histories: list[list[dict[str, Any]]], folds: list[dict[str, Any]]) -> str:
    """Return a sentence if A stayed below twice chance over whole epochs, "" if it never did or there was none.

    Args:
        histories: every fold's figures of every epoch.
        folds: what the folds' `fold.json` say, in the same order; `faces` is the number of face labels.
    """
    below = counted = 0
    for history, fold in zip(histories, folds):
        chance = _chance(fold)
        rates = [row["face_accuracy"] for row in history if "face_accuracy" in row]
        counted += len(rates)
        below += sum(rate < 2 * chance for rate in rates)
    if not below:
        return ""
    if below == counted:
        return (
            f"The adversary never recognised faces (below twice chance in all {counted} epochs): nothing was removed by "
            "the game."
        )
    return f"In {below} of {counted} epochs the adversary recognised faces less than twice as often as chance."


def _chance(fold: dict[str, Any]) -> float:
    """Return how often A would be right in a fold if it guessed."""
    return 1 / max(1, fold.get("faces") or len(fold["train_subjects"]))


def _history(path: Path) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path} is not a training's log: {error}") from None
    for number, line in enumerate(lines, 1):
        if not isinstance(line, dict) or not all(isinstance(value, (int, float)) for value in line.values()):
            raise InputError(f"{path} is not a training's log: line {number} holds no figures")
    return lines


def _fold_bars(folds: list[dict[str, Any]], figures: dict[str, Any]) -> Figure:
    figure, axes = plt.subplots(figsize=(5.2, 2.4))
    axes.bar([fold["fold"] for fold in folds], [100 * fold["accuracy"] for fold in folds], color=BLUE, width=0.65)
    axes.axhline(100 * figures["accuracy"], color=ORANGE, lw=1.2, label=f"pooled {100 * figures['accuracy']:.1f} %")
    axes.axhline(100 / len(figures["expressions"]), color=GREY, lw=1, ls=":", label="chance")
    last = max(9, max(fold["fold"] for fold in folds))
    axes.set(xlabel="fold", ylabel="accuracy, %", ylim=(0, 105), xlim=(-0.6, last + 0.6))
    axes.set_xticks([fold["fold"] for fold in folds])
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=8)
    return figure


def _curves(histories: list[list[dict[str, Any]]], chance: float) -> Figure:
    """Draw losses and accuracies of both players over the epochs; `chance` is A's."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 2.7), layout="constrained")

    def draw(axes: Axes, key: str, label: str, colour: str, scale: float = 1) -> None:
        lines = [
            ([row["epoch"] for row in history if key in row], [scale * row[key] for row in history if key in row])
            for history in histories
        ]
        lines = [line for line in lines if line[0]]
        for epochs, values in lines:
            axes.plot(epochs, values, color=colour, alpha=0.28, lw=0.8)
        if lines:
            grid = np.arange(1, max(max(epochs) for epochs, _ in lines) + 1)
            mean = np.mean([np.interp(grid, epochs, values) for epochs, values in lines], 0)
            axes.plot(grid, mean, color=colour, lw=1.8, label=label)

    draw(left, "expression_loss", "expression (E, D, T)", BLUE)
    draw(left, "face_loss", "faces (A)", ORANGE)
    draw(right, "expression_accuracy", "expression, training", BLUE, 100)
    draw(right, "validation_accuracy", "expression, validation", GREEN, 100)
    draw(right, "face_accuracy", "faces, adversary", ORANGE, 100)
    if any("face_accuracy" in row for history in histories for row in history):
        right.axhline(100 * chance, color=ORANGE, lw=1, ls=":", label=f"chance of the adversary, {100 * chance:.1f} %")
    left.set(xlabel="epoch", ylabel="loss")
    right.set(xlabel="epoch", ylabel="accuracy, %", ylim=(0, 102))
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8)
    left.set_title("Losses of both players (thin: single folds)", fontsize=9)
    right.set_title("Accuracies of both players", fontsize=9)
    return figure


def _calibration(predictions: list[Prediction], folds: list[dict[str, Any]], expressions: tuple[str, ...]) -> Figure:
    """Draw how confidence and accuracy agree; also after each fold's temperature, where folds have one."""
    temperatures = {fold["fold"]: fold["temperature"] for fold in folds if fold.get("temperature") is not None}
    drawn = [("as it is", ORANGE, predictions)]
    if all(one.fold in temperatures for one in predictions):
        mended = [warmed([one], temperatures[one.fold])[0] for one in predictions]
        drawn.append(("with the temperature fitted on validation", BLUE, mended))
    figure, axes = plt.subplots(figsize=(3.6, 3.2))
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
    for words, colour, own in drawn:
        bins = reliability(own, expressions)
        filled = bins.counts > 0
        label = f"{words}: ECE {100 * bins.ece:.1f} %"
        axes.plot(bins.confidence[filled], bins.accuracy[filled], "o-", color=colour, ms=4, lw=1.2, label=label)
    axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _dataset(read: FinishedRun, place: Path | None) -> PreparedSet | None:
    """Open the run's set; where it is gone, say so, and the report does without it."""
    try:
        return run_set(read.config, read.settings, place)
    except InputError as error:
        if place is not None:
            raise
        say(f"{error}; the report has no examples and no subgroups")
        return None


def _subgroups(dataset: PreparedSet, predictions: list[Prediction]) -> list[Subgroup]:
    """Return the accuracy by subgroup; nothing where the set knows nothing of its subjects."""
    judged = {one.sequence for one in predictions}
    try:
        return subgroups(known_groups(dataset, (one for one in dataset.sequences if one.name in judged)), predictions)
    except InputError as error:
        say(f"{error}; the report has no subgroups")
        return []


def _examples(dataset: PreparedSet, predictions: list[Prediction], out: Path) -> Path | None:
    """Draw sequences that were recognised and sequences that were not; None where the set has lost them."""
    try:
        right = _spread([one for one in predictions if one.true == one.predicted], 6)
        wrong = _spread([one for one in predictions if one.true != one.predicted], 6)
        rows = [(one, _strip(dataset, one)) for one in (*right, *wrong)]
    except InputError as error:
        say(f"{error}; the report has no examples")
        return None
    if not rows:
        return None
    height = max(len(right), len(wrong))
    figure, grid = plt.subplots(height, 2, figsize=(8.8, 1.05 * height + 0.3), squeeze=False, layout="constrained")
    for axes in grid.flat:
        axes.axis("off")
    for k, (one, strip) in enumerate(rows):
        column, row = (0, k) if k < len(right) else (1, k - len(right))
        axes = grid[row][column]
        axes.imshow(strip)
        sure = 100 * max(one.probabilities)
        colour = "#2f7d4f" if column == 0 else ORANGE
        axes.set_title(
            f"{one.subject}: {one.true} → {one.predicted} ({sure:.0f} %)", fontsize=8, color=colour, loc="left"
        )
    return save_figure(figure, out / "examples.png")


def _spread(predictions: list[Prediction], count: int) -> list[Prediction]:
    """Choose examples of different expressions and subjects, always the same ones."""
    ordered = sorted(predictions, key=lambda one: (one.sequence,))
    chosen: list[Prediction] = []
    for k, one in enumerate(ordered):
        new_expression = all(one.true != other.true for other in chosen)
        new_subject = all(one.subject != other.subject for other in chosen)
        if (new_expression and new_subject) or len(ordered) - k <= count - len(chosen):
            chosen.append(one)
        if len(chosen) == count:
            break
    return chosen


def _strip(dataset: PreparedSet, one: Prediction) -> np.ndarray:
    sequence = next((s for s in dataset.sequences if s.name == one.sequence), None)
    if sequence is None:
        raise InputError(f"{dataset.folder} has no sequence {one.sequence}")
    files = dataset.frame_files(sequence)
    frames = [
        cv2.resize(read_image(files[k]), (96, 96), interpolation=cv2.INTER_AREA) for k in middle_frames(len(files), 5)
    ]
    return np.concatenate(frames, 1)
