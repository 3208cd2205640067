"""Cross-validation over subjects: every fold trained and tested, results written as they come; done folds stay."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tfen import __version__
from tfen.config import Settings, plain
from tfen.data.clips import Clips, FrameStore
from tfen.data.folds import Fold, make_folds, subjects_of, validation_split
from tfen.data.prepared import PreparedSet, Sequence
from tfen.errors import InputError
from tfen.evaluation.calibration import fit_temperature, reliability
from tfen.evaluation.metrics import Prediction, confusions, summary
from tfen.evaluation.runs import read_predictions, write_predictions
from tfen.files import told, whole_folder, write_json, write_text
from tfen.models.weights import load, save_network, save_weights
from tfen.progress import say
from tfen.training.fold import predict, train_network

HOW_CHOSEN = {
    "last": "the last epoch",
    "validation": "the best epoch on an inner validation split of the training subjects",
    "best-on-test": "the best epoch ON THE TEST SUBJECTS: optimistic, not comparable with honest protocols",
}


def cross_validate(
    found: PreparedSet, out: Path, settings: Settings, init: str | None = None, tensorboard: bool = False
) -> dict[str, Any]:
    """Cross-validate a network on a set and return the summary that is written to `out`.

    A fold that is already finished is not run again, so the same command goes on where it was stopped.

    Raises:
        InputError: too few subjects, or `out` holds a run with other settings.
    """
    folds = make_folds(found, settings.folds, settings.train.seed)
    beyond = [number for number in settings.folds.only if not 0 <= number < len(folds)]
    if beyond:
        raise InputError(f"folds.only names fold {beyond[0]}, expected 0 to {len(folds) - 1}")
    start = load(init) if init else None
    description = {
        "tfen": __version__,
        "set": found.name,
        "set_folder": str(found.folder.resolve()),
        "init": init,
        "settings": plain(settings),
    }
    _claim(out, description)
    store = FrameStore(found, settings.model.image_size, settings.data)
    chosen = [fold for fold in folds if not settings.folds.only or fold.number in settings.folds.only]
    for fold in chosen:
        folder = out / f"fold-{fold.number:02d}"
        if (folder / "fold.json").exists():
            say(f"fold {fold.number}: done before")
            continue
        _run_fold(store, fold, folder, settings, start, init, tensorboard)
    return collect(out, found, settings)


def _claim(out: Path, description: dict[str, Any]) -> None:
    """Write the run's settings, or check that they are those of the run that is there."""
    path = out / "config.yaml"
    if path.exists():
        try:
            before = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise InputError(f"{path} is not a run's configuration: {error}") from None
        for now in (description, before):
            now["settings"]["folds"]["only"] = []
        for part, items in description["settings"].items():
            for name, value in items.items():
                there = before.get("settings", {}).get(part, {}).get(name)
                if there != value:
                    raise InputError(
                        f"{out} holds a run with {part}.{name} = {there}, not {value}; choose another folder"
                    )
        if before.get("set_folder") != description["set_folder"] or before.get("init") != description["init"]:
            raise InputError(f"{out} holds a run on another set or from other weights; choose another folder")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and holds no run of `tfen crossval`; choose a new folder")
    write_text(path, yaml.safe_dump(description, sort_keys=False, allow_unicode=True))


def _run_fold(
    store: FrameStore, fold: Fold, folder: Path, settings: Settings, start: Any, init: str | None, tensorboard: bool
) -> None:
    found = store.found
    training, validation, testing = list(fold.train), list(fold.validation), list(fold.test)
    own = {
        f"{part}_subjects": list(subjects_of(group))
        for part, group in (("train", training), ("validation", validation), ("test", testing))
    }
    missing = sorted(set(found.expressions) - {sequence.expression for sequence in training})
    if missing:
        raise InputError(f"fold {fold.number}: no training sequence shows {missing[0]}; use fewer folds or exclude it")
    choosing = {"last": [], "validation": validation, "best-on-test": testing}[settings.folds.select]
    seed = settings.train.seed * 1000 + fold.number
    folder.mkdir(parents=True, exist_ok=True)
    with (
        told(folder),
        (folder / "metrics.jsonl").open("w", encoding="utf-8") as log,
        _board(folder, tensorboard) as board,
    ):

        def watch(figures: dict[str, Any]) -> None:
            log.write(json.dumps(figures) + "\n")
            log.flush()
            board(figures)

        everybody = list(found.sequences) if settings.face.subjects == "all" else None
        trained = train_network(store, training, choosing, settings, seed, start, watch, everybody)

    def ask(sequences: list[Sequence]) -> list[Prediction]:
        clips = Clips(store, sequences, settings.model.frames, settings.model.image_size)
        return predict(trained.network, clips, settings, fold.number)

    said = ask(testing)
    write_predictions(folder / "predictions.csv", said, found.expressions)
    temperature = fit_temperature(ask(validation), found.expressions) if validation else None
    if trained.faces is not None:
        save_weights(folder / "faces.safetensors", trained.faces.network.state_dict())
    about = {"set": found.name, "fold": fold.number, "train_subjects": own["train_subjects"], "epoch": trained.epoch}
    save_network(folder, trained.network, settings, found.expressions, about)
    right = sum(one.true == one.predicted for one in said)
    write_json(
        folder / "fold.json",
        {
            "fold": fold.number,
            **own,
            "train_sequences": [one.name for one in training],
            "validation_sequences": [one.name for one in validation],
            "epoch": trained.epoch,
            "accuracy": right / len(said),
            "temperature": temperature,
            "face_accuracy": None if trained.faces is None else trained.faces.accuracy,
            "face_history": [] if trained.faces is None else trained.faces.history,
        },
    )
    faces = "" if trained.faces is None or trained.faces.accuracy is None else f", faces {trained.faces.accuracy:.3f}"
    say(f"fold {fold.number}: {right} of {len(said)} right ({right / len(said):.3f}) at epoch {trained.epoch}{faces}")


class _board:
    """TensorBoard's log of a fold, or nothing."""

    def __init__(self, folder: Path, wanted: bool) -> None:
        self._writer: Any = None
        if wanted:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise InputError(
                    "--tensorboard needs the package tensorboard: pip install 'tfen[tensorboard]'"
                ) from None
            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def __enter__(self) -> Callable[[dict[str, Any]], None]:
        return self._write

    def _write(self, figures: dict[str, Any]) -> None:
        for name, value in figures.items():
            if self._writer is not None and name != "epoch":
                self._writer.add_scalar(name, value, figures["epoch"])

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()


def collect(out: Path, found: PreparedSet, settings: Settings) -> dict[str, Any]:
    """Merge the finished folds of a run into `predictions.csv` and `summary.json`."""
    said = []
    for folder in sorted(out.glob("fold-*")):
        if (folder / "fold.json").exists():
            said += read_predictions(folder / "predictions.csv", found.expressions)
    write_predictions(out / "predictions.csv", said, found.expressions)
    figures = {
        **summary(said, found.expressions),
        "expressions": list(found.expressions),
        "variant": settings.model.variant,
        "select": settings.folds.select,
        "epoch_chosen_by": HOW_CHOSEN[settings.folds.select],
        "optimistic": settings.folds.select == "best-on-test",
        "set": found.name,
        "protocol": settings.folds.protocol,
        "ece": reliability(said, found.expressions).ece,
    }
    if settings.folds.protocol == "dfew-12x10":
        figures.update(over_subsets(said, found.expressions, settings.folds.count))
    write_json(out / "summary.json", figures)
    return figures


def over_subsets(said: list[Prediction], expressions: tuple[str, ...], count: int) -> dict[str, Any]:
    """Return DFEW's figures as the paper gives them: accuracy and UAR of each subset, averaged over the subsets."""
    by_subset: dict[int, list[Prediction]] = {}
    for one in said:
        by_subset.setdefault(one.fold // count, []).append(one)
    each = [summary(own, expressions) for own in by_subset.values()]
    accuracies = [one["accuracy"] for one in each]
    return {
        "subsets": len(each),
        "subset_accuracy_mean": float(np.mean(accuracies)),
        "subset_uar_mean": float(np.mean([one["uar"] for one in each])),
        "subset_std": float(np.std(accuracies, ddof=1)) if len(each) > 1 else 0.0,
    }


def evaluate(weights: str, found: PreparedSet, out: Path) -> dict[str, Any]:
    """Test trained weights on a whole set, its labels matched by name, and return the summary that is written to `out`.

    Expressions that only the weights know are left out of the choice; sequences of expressions that the weights do not
    know are left out and counted.

    Raises:
        InputError: the two have fewer than two expressions in common, or `out` exists.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not empty; choose a new folder")
    loaded = load(weights)
    shared = tuple(name for name in loaded.expressions if name in found.expressions)
    if len(shared) < 2:
        raise InputError(
            f"{weights} knows {', '.join(loaded.expressions)} and {found.folder} has {', '.join(found.expressions)}: "
            "fewer than two in common, nothing to choose between"
        )
    kept = found.without(tuple(name for name in found.expressions if name not in shared))
    settings = loaded.settings
    store = FrameStore(kept, settings.model.image_size, settings.data)
    clips = Clips(store, list(kept.sequences), settings.model.frames, settings.model.image_size)
    among = [loaded.expressions.index(name) for name in shared]
    said = predict(loaded.network, clips, settings, among=among)
    with whole_folder(out) as part:
        write_predictions(part / "predictions.csv", said, shared)
        figures = {
            **summary(said, shared),
            "expressions": list(shared),
            "left_out_of_the_choice": [name for name in loaded.expressions if name not in shared],
            "sequences_left_out": len(found.sequences) - len(kept.sequences),
            "variant": settings.model.variant,
            "weights": weights,
            "trained_on": loaded.about.get("set"),
            "set": found.name,
            "epoch_chosen_by": "none: trained before",
            "ece": reliability(said, shared).ece,
            "confusion": confusions(said, shared).tolist(),
        }
        write_json(part / "summary.json", figures)
    return figures


def train_on_all(found: PreparedSet, out: Path, settings: Settings, init: str | None = None) -> str:
    """Train one network on all subjects (less the validation split, where one chooses the epoch); write its weights.

    Returns:
        one line that says what was trained and how good it is on the validation subjects.
    """
    if settings.folds.select == "best-on-test":
        raise InputError("`tfen train` has no test subjects: --folds.select is last or validation")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not empty; choose a new folder")
    start = load(init) if init else None
    training, validation = list(found.sequences), []
    if settings.folds.select == "validation":
        rng = np.random.default_rng([settings.train.seed, 2])
        chosen = validation_split(found.subjects, settings.folds.validation_share, rng)
        training, validation = found.of_subjects(set(found.subjects) - chosen), found.of_subjects(chosen)
    store = FrameStore(found, settings.model.image_size, settings.data)
    trained = train_network(store, training, validation, settings, settings.train.seed, start)
    measured = trained.course.history[trained.epoch - 1].get("validation_accuracy")
    temperature = None
    if validation:
        clips = Clips(store, validation, settings.model.frames, settings.model.image_size)
        temperature = fit_temperature(predict(trained.network, clips, settings), found.expressions)
    about = {
        "set": found.name,
        "subjects": len({sequence.subject for sequence in training}),
        "sequences": len(training),
        "epoch": trained.epoch,
        "validation_accuracy": measured,
        "validation_subjects": len({sequence.subject for sequence in validation}),
        "temperature": temperature,
    }
    save_network(out, trained.network, settings, found.expressions, about)
    checked = (
        "" if measured is None else f", {measured:.3f} right on {about['validation_subjects']} validation subjects"
    )
    return f"{out}: {settings.model.variant} trained on {about['subjects']} subjects, epoch {trained.epoch}{checked}"
