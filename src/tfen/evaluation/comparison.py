"""Several networks on the same folds: one table with paired tests, beside the paper's Table 10 or 8."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tfen.config import Settings
from tfen.errors import InputError
from tfen.evaluation.drawing import BLUE, GREY, ORANGE, inline, latex_table, render, save_figure
from tfen.evaluation.metrics import Prediction, summary
from tfen.evaluation.published import PUBLISHED, PublishedSet
from tfen.evaluation.runs import FinishedRun, read_run
from tfen.evaluation.statistics import corrected_t_test, mcnemar, subject_bootstrap
from tfen.files import clear_errors, write_csv, write_json, write_text
from tfen.models.describe import describe
from tfen.models.variants import VARIANTS
from tfen.training.turns import TURNS


def run_folder(out: Path, variant: str, seed: int, first_seed: int) -> Path:
    """Return where a comparison keeps the run of a variant; repeats with other seeds say theirs."""
    return out / (variant if seed == first_seed else f"{variant}-seed-{seed}")


def write_comparison(out: Path, variants: tuple[str, ...], seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """Write `comparison/` of a folder of runs: table (HTML, CSV, LaTeX, JSON) and picture; return the rows.

    The first variant is the one the others are tested against. Accuracies are means over the seeds; the paired test
    over sequences takes the first seed, the one over folds all folds of all seeds.

    Raises:
        InputError: a run is missing, or the runs are not on the same folds.
    """
    runs = {variant: [read_run(run_folder(out, variant, seed, seeds[0])) for seed in seeds] for variant in variants}
    reference = runs[variants[0]]
    published = PUBLISHED.get(reference[0].figures["set"])
    rows = [_row(variant, runs[variant], reference, published) for variant in variants]
    folder = out / "comparison"
    with clear_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "comparison.csv", tuple(rows[0]), rows)
    write_json(folder / "comparison.json", {"set": reference[0].figures["set"], "seeds": list(seeds), "rows": rows})
    write_text(folder / "comparison.tex", _latex(rows))
    picture = save_figure(_intervals(rows), folder / "comparison.png")
    first = reference[0].figures
    page = render(
        "comparison.html.j2",
        rows=rows,
        summary=first,
        seeds=seeds,
        picture=inline(picture),
        published=published,
        settings=reference[0].config["settings"],
    )
    write_text(folder / "index.html", page)
    return rows


def write_sweep(out: Path, setting: str, values: tuple[str, ...]) -> list[dict[str, Any]]:
    """Write `sweep/` of a folder of runs that differ in one setting: table (CSV, LaTeX) and picture; return the rows.

    Args:
        setting: its name, such as train.alpha.
        values: in the order of the runs' folders.
    """
    rows = []
    for value in values:
        run = read_run(sweep_folder(out, setting, value))
        low, high = subject_bootstrap(run.predictions)
        figures = summary(run.predictions, run.expressions)
        percent = {
            "accuracy": figures["accuracy"],
            "accuracy_low": low,
            "accuracy_high": high,
            "uar": figures["uar"],
        }
        rounded = {name: round(100 * number, 2) for name, number in percent.items()}
        spread = {"fold_std": _percent(figures["std"])}
        rows.append({setting: value, **rounded, **spread, "epoch_chosen_by": run.figures["epoch_chosen_by"]})
    folder = out / "sweep"
    with clear_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "sweep.csv", tuple(rows[0]), rows)
    write_text(folder / "sweep.tex", latex_table(tuple(rows[0]), [tuple(row.values()) for row in rows]))
    figure, axes = plt.subplots(figsize=(0.7 * len(rows) + 1.8, 2.8))
    at = range(len(rows))
    axes.vlines(at, [row["accuracy_low"] for row in rows], [row["accuracy_high"] for row in rows], color=BLUE, lw=1.5)
    axes.plot(at, [row["accuracy"] for row in rows], "o-", color=BLUE)
    axes.set_xticks(at, values)
    axes.set(xlabel=setting, ylabel="accuracy, % (line: 95 % interval)")
    save_figure(figure, folder / "sweep.png")
    return rows


def sweep_folder(out: Path, setting: str, value: str) -> Path:
    """Return where a sweep keeps the run with one value of a setting."""
    return out / f"{setting.split('.')[-1]}-{value}"


def _row(
    variant: str, runs: list[FinishedRun], reference: list[FinishedRun], published: PublishedSet | None
) -> dict[str, Any]:
    expressions = runs[0].expressions
    figures = [summary(run.predictions, expressions) for run in runs]
    per_fold = np.concatenate([one["per_fold"] for one in figures])
    low, high = subject_bootstrap(_all(runs))
    network = describe(runs[0].settings, len(expressions), 100)
    row: dict[str, Any] = {
        "variant": variant,
        "accuracy": round(100 * float(np.mean([one["accuracy"] for one in figures])), 2),
        "accuracy_low": round(100 * low, 2),
        "accuracy_high": round(100 * high, 2),
        "fold_mean": round(100 * float(per_fold.mean()), 2),
        "fold_std": _percent(float(per_fold.std(ddof=1)) if len(per_fold) > 1 else None),
        "uar": round(100 * float(np.mean([one["uar"] for one in figures])), 2),
        "difference": "",
        "difference_low": "",
        "difference_high": "",
        "t_test_p": "",
        "only_reference_right": "",
        "only_this_right": "",
        "mcnemar_p": "",
        "parameters": network["total_parameters"],
        "gflop": round(network["total_operations"] / 1e9, 2),
        "training": _training(runs[0].settings),
        "marks": "; ".join(runs[0].figures["marks"]),
        "published": _published(variant, published),
        "epoch_chosen_by": runs[0].figures["epoch_chosen_by"],
    }
    if runs is reference:
        return row
    if {one.sequence for one in runs[0].predictions} != {one.sequence for one in reference[0].predictions}:
        raise InputError(
            f"{runs[0].folder} and {reference[0].folder} were not tested on the same sequences; finish both with the "
            "same folds"
        )
    theirs = np.concatenate([summary(run.predictions, expressions)["per_fold"] for run in reference])
    tested = [sum(one.fold == fold["fold"] for one in runs[0].predictions) for fold in runs[0].folds]
    sizes = [(count, len(fold["train_sequences"])) for count, fold in zip(tested, runs[0].folds)]
    share = float(np.mean([test / train for test, train in sizes]))
    folds, sequences = corrected_t_test(per_fold, theirs, share), mcnemar(reference[0].predictions, runs[0].predictions)
    row.update(
        difference=round(100 * folds.difference, 2),
        difference_low=_percent(folds.low),
        difference_high=_percent(folds.high),
        t_test_p="" if folds.p is None else float(f"{folds.p:.3g}"),
        only_reference_right=sequences.only_first,
        only_this_right=sequences.only_second,
        mcnemar_p=float(f"{sequences.p:.3g}"),
    )
    return row


def _percent(value: float | None) -> float | str:
    """Return a share in percent; "" where there is none."""
    return "" if value is None else round(100 * value, 2)


def _training(settings: Settings) -> str:
    """Return how a network was trained, as far as ablations differ in it: what the expression loss weighs, who learned."""
    train, adversary = settings.train, VARIANTS[settings.model.variant].adversary
    turns = TURNS[train.turns].text
    if adversary:
        return f"expression loss times {train.alpha:g}; {turns} (n = {train.adversary_interval})"
    if train.matched:
        return f"control: expression loss times {train.alpha:g}, A's turns passed over"
    return "as printed: expression loss alone, all iterations"


def _all(runs: list[FinishedRun]) -> list[Prediction]:
    return [one for run in runs for one in run.predictions]


def _published(variant: str, published: PublishedSet | None) -> float | str:
    if published is None:
        return ""
    return published.accuracy if variant == "tfen" else published.ablations.get(variant, "")


def _latex(rows: list[dict[str, Any]]) -> str:
    columns = ["Network", "Accuracy", "95 % interval", "Mean (std) of folds", "UAR", "Difference", "p", "Paper"]
    table = [
        [
            row["variant"],
            f"{row['accuracy']:.2f}",
            f"{row['accuracy_low']:.1f}--{row['accuracy_high']:.1f}",
            f"{row['fold_mean']:.2f}" + (f" ({row['fold_std']:.2f})" if row["fold_std"] != "" else ""),
            f"{row['uar']:.2f}",
            "" if row["difference"] == "" else f"{row['difference']:+.2f}",
            row["t_test_p"],
            row["published"],
        ]
        for row in rows
    ]
    return latex_table(columns, table)


def _intervals(rows: list[dict[str, Any]]) -> Figure:
    figure, axes = plt.subplots(figsize=(6.4, 0.38 * len(rows) + 0.9))
    for k, row in enumerate(rows):
        colour = BLUE if k == 0 else GREY
        axes.plot([row["accuracy_low"], row["accuracy_high"]], [k, k], color=colour, lw=2)
        axes.plot(row["accuracy"], k, "o", color=colour, ms=6)
        if row["published"] != "":
            axes.plot(row["published"], k, "D", color=ORANGE, ms=5, mfc="none")
    axes.axvline(rows[0]["accuracy"], color=BLUE, lw=0.8, ls=":")
    axes.set_yticks(range(len(rows)), [row["variant"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    paper = "; diamond: the paper" if any(row["published"] != "" for row in rows) else ""
    axes.set_xlabel(f"accuracy, % (line: 95 % interval over subjects{paper})")
    return figure
