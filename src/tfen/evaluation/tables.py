"""Tables as the paper prints them: confusion matrices (3, 5, 7, 9) and rivals with our row below (2, 4, 6, 8)."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tfen.evaluation.drawing import latex_table, save_figure
from tfen.evaluation.published import PUBLISHED, PublishedSet
from tfen.files import write_csv, write_text
from tfen.labels import ABBREVIATIONS


def short(expression: str) -> str:
    """Return an expression as the paper's tables print it: An, Co, Di ..."""
    return ABBREVIATIONS.get(expression, expression[:2].capitalize())


def write_confusion(out: Path, counts: np.ndarray, expressions: tuple[str, ...]) -> Path:
    """Write a confusion matrix as picture (percent), CSV (counts) and LaTeX (percent); return the picture."""
    rows = ({"true": name, **dict(zip(expressions, row))} for name, row in zip(expressions, counts.tolist()))
    write_csv(out / "confusion.csv", ("true", *expressions), rows)
    names = [short(name) for name in expressions]
    table = [[name, *(f"{value:g}" for value in row)] for name, row in zip(names, in_percent(counts))]
    write_text(out / "confusion.tex", latex_table(["", *names], table))
    return save_figure(_confusion(counts, expressions), out / "confusion.png")


def write_beside_published(out: Path, figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Write the paper's table of rivals with this run's row below as CSV and LaTeX; return its rows (may be none).

    What keeps the run from standing beside the others is said in the column `marks`; such a run is not in the LaTeX
    table.
    """
    rows = comparison_rows(figures, PUBLISHED.get(figures["set"]))
    listed = [[row["method"], row["descriptor"], f"{row['accuracy']:.2f}%"] for row in rows if not row["marks"]]
    beside = latex_table(["Method", "Descriptor", "Accuracy"], listed, left=2)
    if rows and rows[-1]["marks"]:
        beside = f"% This run is left out: {rows[-1]['marks']}.\n{beside}"
    write_text(out / "comparison.tex", beside if rows else "% The paper has no figure for this set.\n")
    write_csv(out / "comparison.csv", ("method", "descriptor", "uar", "accuracy", "marks"), rows)
    return rows


def comparison_rows(figures: dict[str, Any], published: PublishedSet | None) -> list[dict[str, Any]]:
    """Return the paper's rivals, the paper's TFEN and this run, percent; empty where the set has no published figure."""
    if published is None:
        return []
    rows: list[dict[str, Any]] = []
    for rival in published.rivals:
        uar = rival[2] if len(rival) == 4 else ""
        rows.append({"method": rival[0], "descriptor": rival[1], "uar": uar, "accuracy": rival[-1], "marks": ""})
    rows.append(
        {
            "method": "Teng et al.",
            "descriptor": "TFEN",
            "uar": published.uar or "",
            "accuracy": published.accuracy,
            "marks": "",
        }
    )
    rows.append(
        {
            "method": "this run",
            "descriptor": figures["variant"],
            "uar": round(100 * figures.get("subset_uar_mean", figures["uar"]), 2),
            "accuracy": round(100 * figures.get("subset_accuracy_mean", figures["accuracy"]), 2),
            "marks": "; ".join(figures["marks"]),
        }
    )
    return rows


def in_percent(counts: np.ndarray) -> list[list[float]]:
    """Return counts (K, K) as percent of each row."""
    totals = np.maximum(counts.sum(1, keepdims=True), 1)
    return (100 * counts / totals).round(2).tolist()


def _confusion(counts: np.ndarray, expressions: tuple[str, ...]) -> Figure:
    percent = np.array(in_percent(counts))
    size = 0.62 * len(expressions) + 1.4
    figure, axes = plt.subplots(figsize=(size, size))
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    for i, row in enumerate(percent):
        for j, value in enumerate(row):
            axes.text(
                j,
                i,
                f"{value:.1f}" if value else "0",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if value > 55 else "#333",
            )
    axes.set_xticks(range(len(expressions)), expressions, rotation=40, ha="right")
    axes.set_yticks(range(len(expressions)), expressions)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title("Confusion matrix, % of each true expression", fontsize=9)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure
