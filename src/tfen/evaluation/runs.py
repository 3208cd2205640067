"""What a run's folder holds: settings, summary, predictions, folds; read and written in one place."""

from dataclasses import asdict, dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from tfen.config import Settings, settings_in
from tfen.data.prepared import PreparedSet, open_set
from tfen.data.protocols import PROTOCOLS
from tfen.errors import InputError
from tfen.evaluation.claims import claims
from tfen.evaluation.metrics import Prediction, summary
from tfen.files import read_csv, read_json, read_values, read_yaml, write_csv


def write_predictions(path: Path, predictions: list[Prediction], expressions: tuple[str, ...]) -> None:
    rows = []
    for one in predictions:
        row = asdict(one)
        row.pop("probabilities")
        rows.append({**row, **dict(zip(expressions, one.probabilities))})
    write_csv(path, ("fold", "sequence", "subject", "true", "predicted", *expressions), rows)


def read_predictions(path: Path, expressions: tuple[str, ...]) -> list[Prediction]:
    """Read what `write_predictions` wrote.

    Raises:
        InputError: a value is no number, or an expression is not one of `expressions`.
    """
    what = "a table of predictions"
    rows = read_csv(path, ("fold", "sequence", "subject", "true", "predicted", *expressions), what)
    out = []
    for number, row in enumerate(rows, 2):
        try:
            fold, probabilities = int(row["fold"]), tuple(float(row[name]) for name in expressions)
        except ValueError as error:
            raise InputError(f"{path} row {number}: {error}") from None
        for name in (row["true"], row["predicted"]):
            if name not in expressions:
                raise InputError(f"{path} row {number}: {name!r} is none of {', '.join(expressions)}")
        if not all(0 <= value <= 1 for value in probabilities):
            raise InputError(f"{path} row {number}: a probability is not between 0 and 1")
        out.append(Prediction(fold, row["sequence"], row["subject"], row["true"], row["predicted"], probabilities))
    if not out:
        raise InputError(f"{path} is not {what}: it has no rows")
    return out


def fold_folder(run: Path, number: int) -> Path:
    """Return where a run keeps a fold."""
    return run / f"fold-{number:02d}"


def run_config(run: Path) -> tuple[dict[str, Any], Settings]:
    """Return `config.yaml` of a run, and its settings.

    Raises:
        InputError: it is missing or damaged.
    """
    path = run / "config.yaml"
    config = read_yaml(path, "a run's configuration")
    settings = settings_in(config.get("settings"), path)
    if not isinstance(config.get("set_folder"), str):
        raise InputError(f"{path} is not a run's configuration: it has no set_folder")
    return config, settings


def run_set(config: dict[str, Any], settings: Settings, place: Path | None = None) -> PreparedSet:
    """Open the set of a run.

    Args:
        config: of the run, as `run_config` returns it.
        place: where the set lies now, if not where it lay.

    Raises:
        InputError: it is not there, or holds something else.
    """
    folder = place or Path(config["set_folder"])
    if not folder.exists():
        raise InputError(f"the run's set is not at {folder} any more; if it was moved, say where to: --set FOLDER")
    dataset = open_set(folder, settings.folds.exclude)
    content = config.get("set_content")
    if content is not None and content != dataset.content:
        raise InputError(f"{folder} does not hold the sequences that the run was made on; give --set the right folder")
    return dataset


@dataclass(frozen=True)
class FinishedRun:
    """What a run has left behind; `figures` as `summary.json` names them, those of the predictions taken from these."""

    folder: Path
    config: dict[str, Any]
    settings: Settings
    expressions: tuple[str, ...]
    figures: dict[str, Any]
    folds: list[dict[str, Any]]
    predictions: list[Prediction]


SUMMARY: dict[str, type | tuple[type, ...]] = {
    "set": str,
    "variant": str,
    "select": str,
    "protocol": str,
    "epoch_chosen_by": str,
    "expressions": list,
}
FOLD: dict[str, type | tuple[type, ...]] = {
    "fold": int,
    "accuracy": (int, float),
    "epoch": int,
    "train_subjects": list,
    "test_subjects": list,
    "train_sequences": list,
    "temperature": (int, float, NoneType),
    "face_accuracy": (int, float, NoneType),
}


def read_run(run: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        InputError: a part of it is missing or damaged.
    """
    if not (run / "summary.json").exists() or not (run / "config.yaml").exists():
        raise InputError(
            f"{run} holds no finished run: expected config.yaml and summary.json as `tfen crossval` writes them"
        )
    config, settings = run_config(run)
    kept = read_values(run / "summary.json", "a run's summary", SUMMARY)
    expressions = tuple(str(name) for name in kept["expressions"])
    predictions = read_predictions(run / "predictions.csv", expressions)
    folds = [read_values(path, "a fold's result", FOLD) for path in sorted(run.glob("fold-*/fold.json"))]
    if not folds:
        raise InputError(f"{run} has no finished fold; run `tfen crossval` to its end first")
    counted = summary(predictions, expressions)
    if PROTOCOLS[settings.folds.protocol].subsets:
        counted.update(over_subsets(predictions, expressions, settings.folds.count))
    known = kept.get("dataset")
    own = claims(folds, settings, known if isinstance(known, dict) else {}, len(predictions), kept["set"])
    optimistic = kept.get("optimistic") is True
    figures = {**{name: kept[name] for name in SUMMARY}, **counted, **own.plain(), "optimistic": optimistic}
    return FinishedRun(run, config, settings, expressions, figures, folds, predictions)


def over_subsets(predictions: list[Prediction], expressions: tuple[str, ...], count: int) -> dict[str, Any]:
    """Return DFEW's figures as the paper gives them: each subset's figures, averaged over the subsets.

    subset_fold_std: standard deviation over the folds within each subset, averaged over the subsets (the paper's).
    subset_std: standard deviation of the subsets' accuracies. None where there are too few folds or subsets for one.
    """
    by_subset: dict[int, list[Prediction]] = {}
    for one in predictions:
        by_subset.setdefault(one.fold // count, []).append(one)
    each = [summary(own, expressions) for own in by_subset.values()]
    accuracies = [one["accuracy"] for one in each]
    within = [one["std"] for one in each if one["std"] is not None]
    return {
        "subsets": len(each),
        "subset_accuracy_mean": float(np.mean(accuracies)),
        "subset_uar_mean": float(np.mean([one["uar"] for one in each])),
        "subset_fold_std": float(np.mean(within)) if within else None,
        "subset_std": float(np.std(accuracies, ddof=1)) if len(each) > 1 else None,
    }


def summaries(folder: Path) -> list[dict[str, Any]]:
    """Return the finished runs below a folder: their figures, and where they and their reports lie, relative to it."""
    runs = []
    for path in sorted(folder.rglob("summary.json")):
        run = path.parent
        if not path.is_file() or not (run / "config.yaml").is_file():
            continue
        try:
            figures = read_json(path, "a run's summary")
            wanted = ("set", "variant", "accuracy", "uar", "std", "folds", "sequences", "subjects", "epoch_chosen_by")
            values = {name: figures[name] for name in wanted}
            values["marks"] = [str(mark) for mark in figures.get("marks", ())]
        except (InputError, KeyError, TypeError):
            continue
        place = run.relative_to(folder)
        report = place / "report" / "index.html"
        there = (folder / report).exists()
        runs.append({"run": place.as_posix(), **values, "report": report.as_posix() if there else None})
    return runs
