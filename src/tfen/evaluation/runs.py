"""What a run's folder holds: settings, summary, predictions, folds; read and written in one place."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from tfen.errors import InputError
from tfen.evaluation.metrics import Prediction
from tfen.files import read_csv, read_json, write_csv


def write_predictions(path: Path, said: list[Prediction], expressions: tuple[str, ...]) -> None:
    rows = []
    for one in said:
        row = asdict(one)
        row.pop("probabilities")
        rows.append({**row, **dict(zip(expressions, one.probabilities))})
    write_csv(path, ("fold", "sequence", "subject", "true", "predicted", *expressions), rows)


def read_predictions(path: Path, expressions: tuple[str, ...]) -> list[Prediction]:
    """Read what `write_predictions` wrote."""
    rows = read_csv(path, ("fold", "sequence", "subject", "true", "predicted", *expressions), "a table of predictions")
    return [
        Prediction(
            int(row["fold"]),
            row["sequence"],
            row["subject"],
            row["true"],
            row["predicted"],
            tuple(float(row[name]) for name in expressions),
        )
        for row in rows
    ]


def run_settings(run: Path) -> dict[str, Any]:
    """Return `config.yaml` of a run."""
    path = run / "config.yaml"
    if not (run / "summary.json").exists() or not path.exists():
        raise InputError(
            f"{run} holds no finished run: expected config.yaml and summary.json as `tfen crossval` writes them"
        )
    read_json(run / "summary.json", "a run's summary")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def summaries(folder: Path) -> list[dict[str, Any]]:
    """Return the finished runs below a folder: their figures, and where they and their reports lie, relative to it."""
    found = []
    for path in sorted(folder.rglob("summary.json")):
        run = path.parent
        if not (run / "config.yaml").exists():
            continue
        try:
            figures = read_json(path, "a run's summary")
            wanted = ("set", "variant", "accuracy", "uar", "std", "folds", "sequences", "subjects", "epoch_chosen_by")
            values = {name: figures[name] for name in wanted}
        except (InputError, KeyError, TypeError):
            continue
        place = run.relative_to(folder)
        report = place / "report" / "index.html"
        there = (folder / report).exists()
        found.append({"run": place.as_posix(), **values, "report": report.as_posix() if there else None})
    return found
