"""The paper's figures and tables from a run (or two of them side by side): Figs. 9, 10, Tables 2 to 9, 11, 12."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from tfen.data.prepared import SequenceRecord
from tfen.data.sampling import middle_frames
from tfen.data.transforms import centre_crop
from tfen.errors import InputError
from tfen.evaluation.drawing import latex_table, save_figure
from tfen.evaluation.features import RunFold, extract, feature_maps, open_folds
from tfen.evaluation.metrics import confusions
from tfen.evaluation.published import PUBLISHED, PublishedSet
from tfen.evaluation.runs import read_run, run_config
from tfen.evaluation.tables import short, write_beside_published, write_confusion
from tfen.files import clear_errors, write_csv, write_text

Array = np.ndarray
ROWS = {"input": "input", "E": "expression features", "F": "facial features", "TFE": "typical expression"}


@dataclass(frozen=True)
class Panel:
    """One run's part of Fig. 10: a fold's features of T in the plane of t-SNE and as they are."""

    title: str
    fold: int
    expressions: tuple[str, ...]
    labels: Array
    plane: Array
    features: Array


def write_figures(
    run: Path, out: Path, beside: Path | None = None, expression: str | None = None, place: Path | None = None
) -> list[Path]:
    """Write Figs. 9 and 10, the confusion matrix, the table of rivals and Tables 11/12 of a run into `out`.

    Returns:
        what was written.

    Args:
        beside: another run on the same folds, whose t-SNE and distances stand left of this one's.
        place: where the runs' set lies now, if it was moved.
        expression: of Fig. 9's three subjects; the one that the best fold recognises in most if not given.

    Raises:
        InputError: a run is not there, or the two were not tested on the same subjects.
    """
    _, folds = open_folds(run, place)
    best = max(folds, key=lambda fold: fold.accuracy)
    panels = [_panel(run, best)]
    if beside is not None:
        _, others = open_folds(beside, place)
        other = next((fold for fold in others if fold.number == best.number), None)
        if other is None or [one.name for one in other.testing] != [one.name for one in best.testing]:
            raise InputError(f"{beside} has no fold {best.number} tested on the same subjects as that of {run}")
        panels.insert(0, _panel(beside, other))
    with clear_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    written = [save_figure(_tsne_figure(panels), out / "figure-10-tsne.png")]
    maps = _maps_figure(best, expression)
    if maps is not None:
        written.append(save_figure(maps, out / "figure-9-maps.png"))
    read = read_run(run)
    figures, expressions = read.figures, read.expressions
    counts = confusions(read.predictions, expressions)
    written.append(write_confusion(out, counts, expressions))
    if write_beside_published(out, figures):
        written += [out / "comparison.csv", out / "comparison.tex"]
    for space in ("plane", "features"):
        written += _distance_table(panels, space, out)
    if figures["set"] in PUBLISHED:
        written += _published_distances(PUBLISHED[figures["set"]], out)
    return written


def tsne(features: Array, seed: int = 0) -> Array:
    """Return features (n, dims) in the plane of t-SNE (van der Maaten and Hinton 2008), (n, 2); seeded."""
    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)


def class_distances(points: Array, labels: Array, classes: tuple[str, ...]) -> tuple[Array, Array, Array]:
    """Return Tables 11 and 12's distances.

    Args:
        points: (n, dims).
        labels: names, (n,).

    Returns:
        distances between the classes' centres (K, K), mean and variance of the distances of each class's points to its
        centre, (K,) each; NaN for a class without points.
    """
    centres = np.stack(
        [
            points[labels == name].mean(0) if (labels == name).any() else np.full(points.shape[1], np.nan)
            for name in classes
        ]
    )
    between = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    within = [np.linalg.norm(points[labels == name] - centre, axis=1) for name, centre in zip(classes, centres)]
    mean = np.array([inner.mean() if len(inner) else np.nan for inner in within])
    variance = np.array([inner.var() if len(inner) else np.nan for inner in within])
    return between, mean, variance


def _panel(run: Path, fold: RunFold) -> Panel:
    features = extract(fold, fold.testing).clips["T"]
    labels = np.array([sequence.expression for sequence in fold.testing])
    variant = run_config(run)[1].model.variant
    return Panel(variant, fold.number, fold.store.dataset.expressions, labels, tsne(features), features)


def _tsne_figure(panels: list[Panel]) -> Figure:
    figure, grid = plt.subplots(1, len(panels), figsize=(3.6 * len(panels) + 1.2, 3.5), squeeze=False)
    colours = plt.get_cmap("tab10").colors  # type: ignore[attr-defined]
    markers = "osD^vP*X"
    for axes, panel in zip(grid[0], panels):
        for k, name in enumerate(panel.expressions):
            chosen = panel.plane[panel.labels == name]
            axes.scatter(*chosen.T, s=22, color=colours[k % 10], marker=markers[k % 8], label=name, alpha=0.85, lw=0)
        axes.set_title(f"{panel.title}, fold {panel.fold}: T's features in the plane of t-SNE", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    grid[0][-1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _maps_figure(fold: RunFold, expression: str | None) -> Figure | None:
    """Draw Fig. 9: three subjects showing one expression; input and mean maps of E, F and TFE of the apex frame."""
    if fold.network.face_extractor is None:
        return None
    expressions = fold.store.dataset.expressions
    if expression is not None and expression not in expressions:
        raise InputError(f"the set has no expression {expression!r}; it has {', '.join(expressions)}")
    by_expression = {name: [one for one in fold.testing if one.expression == name] for name in expressions}
    chosen = by_expression[expression] if expression else max(by_expression.values(), key=_subjects)
    people: dict[str, SequenceRecord] = {}
    for sequence in chosen:
        people.setdefault(sequence.subject, sequence)
    three = list(people.values())[:3]
    if not three:
        return None
    figure, grid = plt.subplots(len(ROWS), len(three), figsize=(1.5 * len(three) + 1.2, 6.0), squeeze=False)
    for column, sequence in enumerate(three):
        for row, (name, picture) in enumerate(_apex_maps(fold, sequence).items()):
            axes = grid[row][column]
            axes.imshow(picture, cmap=None if name == "input" else "viridis")
            axes.set_xticks([])
            axes.set_yticks([])
            for side in axes.spines.values():
                side.set_visible(False)
            if column == 0:
                axes.set_ylabel(ROWS[name], fontsize=8)
        grid[0][column].set_title(f"{sequence.subject}, {sequence.expression}", fontsize=8)
    figure.subplots_adjust(wspace=0.05, hspace=0.05)
    return figure


def _subjects(sequences: list[SequenceRecord]) -> int:
    return len({sequence.subject for sequence in sequences})


def _apex_maps(fold: RunFold, sequence: SequenceRecord) -> dict[str, Any]:
    """Return the clip's last frame and the mean over the channels of each map of it."""
    settings = fold.settings
    batch = next(iter(fold.clips([sequence]).testing(1)))
    numbers = middle_frames(sequence.frames, settings.model.frames)[-1:]
    stored = torch.from_numpy(fold.store.frames(sequence, numbers))[None]
    out: dict[str, Any] = {"input": centre_crop(stored, settings.model.image_size)[0, 0].numpy()}
    with torch.no_grad():
        maps = feature_maps(fold.network, batch.clips[0, -1:])
    for name in ("E", "F", "TFE"):
        out[name] = maps[name][0].mean(0).numpy()
    return out


Distances = tuple[Array, Array, Array]
"""Between the classes' centres (K, K); mean and variance of each class's distances from its centre, (K,) each."""


def _distance_table(panels: list[Panel], space: str, out: Path) -> list[Path]:
    """Write Table 11/12 in the t-SNE plane (as printed) or in T's features; two runs are parted by "/"."""
    classes = panels[0].expressions
    tables = [class_distances(getattr(panel, space), panel.labels, classes) for panel in panels]
    title = " / ".join(panel.title for panel in panels) + f", fold {panels[0].fold}"
    return _write_distances(out / f"table-11-distances-{space}", tables, classes, title)


def _published_distances(published: PublishedSet, out: Path) -> list[Path]:
    """Write Table 11 or 12 as the paper prints it; nothing where it has none for the set."""
    halves = published.distances.values()
    tables = [(np.array(half.between), np.array(half.mean), np.array(half.variance)) for half in halves]
    if not tables:
        return []
    title = " / ".join(published.distances) + f", {published.title}, as published"
    return _write_distances(out / "table-11-published", tables, published.distance_order, title)


def _write_distances(stem: Path, tables: list[Distances], classes: tuple[str, ...], title: str) -> list[Path]:
    names = [short(name) for name in classes]
    columns = ["", *names, "intra mean", "intra variance"]
    rows = []
    for i, name in enumerate(names):
        between = [
            "-" if i == j else "/".join(_number(table[0][i, j]) for table in tables) for j in range(len(classes))
        ]
        inner = ["/".join(_number(table[k][i]) for table in tables) for k in (1, 2)]
        rows.append([name, *between, *inner])
    write_csv(stem.with_suffix(".csv"), columns, (dict(zip(columns, row)) for row in rows))
    write_text(stem.with_suffix(".tex"), f"% {title}\n" + latex_table(columns, rows))
    return [stem.with_suffix(".csv"), stem.with_suffix(".tex")]


def _number(value: float) -> str:
    """Return a distance with two digits; "-" where a class had no points."""
    return "-" if np.isnan(value) else f"{value:.2f}"
