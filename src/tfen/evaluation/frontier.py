"""Accuracy against identity: what each way of training pays for taking the person out of its features."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from tfen.errors import InputError
from tfen.evaluation.drawing import BLUE, GREY, ORANGE, save_figure
from tfen.files import clear_errors, read_values, write_csv

MEASURED = ("identity_adversary", "identity_linear", "identity_nearest", "verification_auc")
"""Measures of identity in the order in which one is taken that all have."""
WORDS = {
    "identity_adversary": "Unseen people recognised by a fresh adversary",
    "identity_linear": "Unseen people recognised by a linear probe",
    "identity_nearest": "Unseen people recognised by their nearest neighbour",
    "verification_auc": "Same person? Area under the curve",
}


@dataclass(frozen=True)
class Setting:
    """One way of training: its name, accuracy on unseen people, and each measure of identity in what T sees.

    `places` says of each measure where it was taken: TFE, or E's features where nothing is decoupled.
    """

    name: str
    accuracy: float
    identity: dict[str, float]
    low: dict[str, float | None]
    high: dict[str, float | None]
    chance: dict[str, float | None]


def read_setting(folder: Path, name: str = "") -> Setting:
    """Read what `tfen leakage` measured; of TFE, or of E where the network has no TFE.

    Raises:
        InputError: the folder holds no measures, or measures of an earlier version, which lack the accuracy.
    """
    path = folder / "leakage.json"
    if not path.exists():
        raise InputError(f"{folder} has no leakage.json; measure a run with `tfen leakage RUN` and give its folder")
    known = read_values(path, "the measures of `tfen leakage`", {"measures": list, "run": str})
    rows: list[dict[str, Any]] = known["measures"]
    accuracy = known.get("accuracy")
    if not isinstance(accuracy, (int, float)):
        raise InputError(f"{path} does not say how accurate the run is; measure it again with `tfen leakage`")
    place = "TFE" if any(row["place"] == "TFE" for row in rows) else "E"
    own = {row["measure"]: row for row in rows if row["place"] == place and row["measure"] in MEASURED}
    if not own:
        raise InputError(
            f"{path} says nothing of identity in {place}; a network that takes frames as they are has none"
        )
    columns = {key: {name: row[key] for name, row in own.items()} for key in ("value", "low", "high", "chance")}
    return Setting(
        name or Path(known["run"]).name,
        float(accuracy),
        columns["value"],
        columns["low"],
        columns["high"],
        columns["chance"],
    )


def write_frontier(folders: Sequence[Path], out: Path, names: Sequence[str] = ()) -> list[Setting]:
    """Draw accuracy against identity of several measured runs, `out` (PNG, with PDF and CSV beside it).

    Raises:
        InputError: fewer than two folders, other names than folders, or measures that they do not share.
    """
    if len(folders) < 2:
        raise InputError("a frontier needs two measured runs at least; give their `tfen leakage` folders")
    if names and len(names) != len(folders):
        raise InputError(f"there are {len(names)} names for {len(folders)} runs; give one for each, in the same order")
    settings = [read_setting(folder, name) for folder, name in zip(folders, names or [""] * len(folders), strict=True)]
    shared = [name for name in MEASURED if all(name in setting.identity for setting in settings)]
    if not shared:
        raise InputError("the runs share no measure of identity; measure all of them with `tfen leakage`")
    with clear_errors(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    save_figure(_picture(settings, shared[0]), out)
    write_csv(
        out.with_suffix(".csv"),
        ("setting", "accuracy", *shared),
        (
            {"setting": one.name, "accuracy": one.accuracy, **{name: one.identity[name] for name in shared}}
            for one in settings
        ),
    )
    return settings


def beaten(settings: Sequence[Setting], measure: str) -> set[str]:
    """Return the names of the settings than which another is no worse in either respect and better in one."""
    return {
        one.name
        for one in settings
        for other in settings
        if other.accuracy >= one.accuracy
        and other.identity[measure] <= one.identity[measure]
        and (other.accuracy, other.identity[measure]) != (one.accuracy, one.identity[measure])
    }


def _picture(settings: list[Setting], measure: str) -> Figure:
    figure, axes = plt.subplots(figsize=(5.6, 3.8))
    behind = beaten(settings, measure)
    for one in settings:
        x, y, colour = one.identity[measure], 100 * one.accuracy, GREY if one.name in behind else BLUE
        low, high = one.low[measure], one.high[measure]
        if low is not None and high is not None:
            axes.plot([low, high], [y, y], color=colour, lw=0.8, alpha=0.6)
        axes.scatter([x], [y], color=colour, s=22, zorder=3)
        axes.annotate(one.name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7, color=colour)
    best = sorted((one for one in settings if one.name not in behind), key=lambda one: one.identity[measure])
    axes.plot([one.identity[measure] for one in best], [100 * one.accuracy for one in best], color=BLUE, lw=0.8, ls=":")
    chance = settings[0].chance[measure]
    if chance is not None:
        axes.axvline(chance, color=ORANGE, lw=1, ls=":")
        axes.annotate(
            "chance", (chance, axes.get_ylim()[0]), fontsize=7, color=ORANGE, xytext=(3, 3), textcoords="offset points"
        )
    axes.margins(0.12)
    axes.set(xlabel=WORDS[measure], ylabel="Expression, accuracy, %")
    axes.set_title("Left and up is better; blue: nothing is better in both", fontsize=9)
    return figure
