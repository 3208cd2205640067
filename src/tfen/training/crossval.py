"""Cross-validation over subjects: every fold trained and tested, results written as they come; done folds stay."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tfen import __version__, stopping
from tfen.config import CHECKPOINT_MINUTES, Looks, Settings, plain, settings_in
from tfen.data.clips import FrameStore
from tfen.data.folds import Fold, make_folds, subjects_of, validation_split
from tfen.data.prepared import PreparedSet, SequenceRecord
from tfen.data.protocols import PROTOCOLS, SELECTIONS
from tfen.data.sampling import middle_frames
from tfen.errors import InputError, TfenError
from tfen.evaluation.calibration import fit_temperature, reliability
from tfen.evaluation.metrics import Prediction, confusions, summary
from tfen.evaluation.runs import fold_folder, over_subsets, read_predictions, write_predictions
from tfen.evaluation.subgroups import known_groups, subgroups, write_subgroups
from tfen.files import clear_errors, must_be_new, read_yaml, whole_folder, write_json, write_text
from tfen.inference.engine import Engine
from tfen.models.weights import load, load_torch, save_network, save_weights
from tfen.progress import meter, say
from tfen.spread import Cluster, spread
from tfen.training import processes
from tfen.training.checkpoints import Checkpointer
from tfen.training.fold import make_accelerator, predict_sequences, prediction, train_network

AT_ONCE = 48
"""Sequences that are evaluated between two steps of the progress display."""


@dataclass(frozen=True)
class Run:
    """A cross-validation that has been begun: what is done where. It can be sent to another process."""

    dataset: PreparedSet
    out: Path
    settings: Settings
    wanted: tuple[int, ...]
    """Numbers of the folds that were asked for."""
    init: str | None = None
    tensorboard: bool = False
    minutes: float = CHECKPOINT_MINUTES
    """Between checkpoints."""

    def missing(self) -> list[int]:
        """Return the numbers of the folds that are still to be done."""
        return [number for number in self.wanted if not (fold_folder(self.out, number) / "fold.json").exists()]

    def do(self, number: int) -> str:
        """Train and test one fold; return a line about it."""
        folds = make_folds(self.dataset, self.settings.folds, self.settings.train.seed)
        return _run_fold(_store(self), folds[number], self)

    def collect(self) -> dict[str, Any]:
        """Merge the finished folds and return the summary, which process 0 writes."""
        return collect(self.out, self.dataset, self.settings)

    def checkpoints(self, number: int) -> Path:
        """Return where the checkpoints of a fold are kept while it runs."""
        return fold_folder(self.out, number) / "checkpoint"


_stores: list[FrameStore] = []


def _store(run: Run) -> FrameStore:
    """Return where a run's frames come from; the last one used stays, so that no fold decodes its set again."""
    size, data = run.settings.model.image_size, run.settings.data
    if not _stores or (_stores[0].dataset, _stores[0].image_size, _stores[0].settings) != (run.dataset, size, data):
        _stores[:] = [FrameStore(run.dataset, size, data)]
    return _stores[0]


_start = lru_cache(maxsize=1)(partial(load_torch, to_do="start from"))
"""The weights that a run's folds start from, read once."""


def begin(
    dataset: PreparedSet,
    out: Path,
    settings: Settings,
    init: str | None = None,
    tensorboard: bool = False,
    minutes: float = CHECKPOINT_MINUTES,
) -> Run:
    """Begin a cross-validation: write the run's settings, or check that they are those of the run that is there.

    A fold that is already finished is not run again, and one that was interrupted goes on from its last checkpoint.

    Raises:
        InputError: too few subjects, or `out` holds a run with other settings.
    """
    make_accelerator(settings)  # finds the other processes, where there are any
    folds = make_folds(dataset, settings.folds, settings.train.seed)
    beyond = [number for number in settings.folds.only if not 0 <= number < len(folds)]
    if beyond:
        raise InputError(f"folds.only names fold {beyond[0]}, expected 0 to {len(folds) - 1}")
    wanted = tuple(number for number in range(len(folds)) if not settings.folds.only or number in settings.folds.only)
    run = Run(dataset, out, settings, wanted, init, tensorboard, minutes)
    _start.cache_clear()
    if init:
        _start(init)
    if processes.number() == 0:
        _claim(out, _description(dataset, settings, init))
    processes.wait()
    missing = run.missing()
    for number in wanted:
        if number not in missing:
            Checkpointer(run.checkpoints(number)).clear()  # left there if the fold's end was also that of its process
            say(f"fold {number}: done before")
    return run


def finish(run: Run) -> dict[str, Any]:
    """Do the folds that are still missing, one after the other, and return the summary."""
    missing = run.missing()
    if missing:
        say(f"{run.out}: {len(missing)} folds of {run.settings.model.variant}")
    processes.wait()  # nobody starts, and ends, a fold before all have looked
    for number in missing:
        say(run.do(number))
        stopping.check()
    return run.collect()


def finish_spread(runs: list[Run], cluster: Cluster) -> list[dict[str, Any]]:
    """Do the missing folds of several runs on a Ray cluster, each by a worker, and return the summaries.

    A worker that is lost is replaced, and its fold goes on from its last checkpoint.
    """
    tasks = [partial(_told, run, number) for run in runs for number in run.missing()]
    if tasks:
        spread(tasks, cluster, "folds", "folds", say)
    return [run.collect() for run in runs]


def _told(run: Run, number: int) -> str:
    return f"{run.out}, {run.do(number)}"


def _description(dataset: PreparedSet, settings: Settings, init: str | None) -> dict[str, Any]:
    return {
        "tfen": __version__,
        "set": dataset.name,
        "set_folder": str(dataset.folder.resolve()),
        "init": init,
        "settings": plain(settings),
    }


def _claim(out: Path, description: dict[str, Any]) -> None:
    """Write the run's settings, or check that they are those of the run that is there."""
    path = out / "config.yaml"
    if path.exists():
        before = read_yaml(path, "a run's configuration")
        settings_in(before.get("settings"), path)
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
    must_be_new(out, "holds no run of `tfen crossval`")
    write_text(path, yaml.safe_dump(description, sort_keys=False, allow_unicode=True))


def _run_fold(store: FrameStore, fold: Fold, run: Run) -> str:
    settings, start = run.settings, _start(run.init) if run.init else None
    folder = fold_folder(run.out, fold.number)
    dataset = store.dataset
    training, validation, testing = list(fold.train), list(fold.validation), list(fold.test)
    own = {
        f"{part}_subjects": list(subjects_of(group))
        for part, group in (("train", training), ("validation", validation), ("test", testing))
    }
    missing = sorted(set(dataset.expressions) - {sequence.expression for sequence in training})
    if missing:
        raise InputError(f"fold {fold.number}: no training sequence shows {missing[0]}; use fewer folds or exclude it")
    choosing = SELECTIONS[settings.folds.select].choosing(fold)
    seed = settings.train.seed * 1000 + fold.number
    writes = processes.number() == 0
    with clear_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    checkpointer = Checkpointer(run.checkpoints(fold.number), run.minutes)
    with (
        clear_errors(folder),
        (folder / "metrics.jsonl" if writes else Path(os.devnull)).open("w", encoding="utf-8") as log,
        _board(folder, run.tensorboard and writes) as board,
    ):

        def watch(figures: dict[str, Any]) -> None:
            log.write(json.dumps(figures) + "\n")
            log.flush()
            board(figures)

        everybody = list(dataset.sequences) if settings.face.subjects == "all" else None
        trained = train_network(store, training, choosing, settings, seed, start, watch, everybody, checkpointer)

    def ask(sequences: list[SequenceRecord]) -> list[Prediction]:
        return predict_sequences(trained.network, store, sequences, settings, fold.number)

    predictions = ask(testing)
    temperature = fit_temperature(ask(validation), dataset.expressions) if validation else None
    right = sum(one.true == one.predicted for one in predictions)
    faces = "" if trained.faces is None or trained.faces.accuracy is None else f", faces {trained.faces.accuracy:.3f}"
    result = f"fold {fold.number}: {right} of {len(predictions)} right ({right / len(predictions):.3f}) at epoch {trained.epoch}{faces}"
    if not writes:
        processes.wait()
        return result
    write_predictions(folder / "predictions.csv", predictions, dataset.expressions)
    if trained.faces is not None:
        save_weights(folder / "faces.safetensors", trained.faces.network.state_dict())
    about = {"set": dataset.name, "fold": fold.number, "train_subjects": own["train_subjects"], "epoch": trained.epoch}
    save_network(folder, trained.network, settings, dataset.expressions, about)
    write_json(
        folder / "fold.json",
        {
            "fold": fold.number,
            **own,
            "train_sequences": [one.name for one in training],
            "validation_sequences": [one.name for one in validation],
            "epoch": trained.epoch,
            "accuracy": right / len(predictions),
            "temperature": temperature,
            "face_accuracy": None if trained.faces is None else trained.faces.accuracy,
            "face_history": [] if trained.faces is None else trained.faces.history,
        },
    )
    checkpointer.clear()
    processes.wait()
    return result


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


def collect(out: Path, dataset: PreparedSet, settings: Settings) -> dict[str, Any]:
    """Merge the finished folds of a run into `predictions.csv` and `summary.json`."""
    predictions = []
    for folder in sorted(out.glob("fold-*")):
        if (folder / "fold.json").exists():
            predictions += read_predictions(folder / "predictions.csv", dataset.expressions)
    figures = {
        **summary(predictions, dataset.expressions),
        "expressions": list(dataset.expressions),
        "variant": settings.model.variant,
        "select": settings.folds.select,
        "epoch_chosen_by": SELECTIONS[settings.folds.select].text,
        "optimistic": SELECTIONS[settings.folds.select].optimistic,
        "set": dataset.name,
        "protocol": settings.folds.protocol,
        "ece": reliability(predictions, dataset.expressions).ece,
    }
    if PROTOCOLS[settings.folds.protocol].subsets:
        figures.update(over_subsets(predictions, dataset.expressions, settings.folds.count))
    if processes.number() == 0:
        write_predictions(out / "predictions.csv", predictions, dataset.expressions)
        write_json(out / "summary.json", figures)
    return figures


def evaluate(weights: str, dataset: PreparedSet, out: Path, looks: Looks = 1) -> dict[str, Any]:
    """Test trained weights on a whole set, its labels matched by name, and return the summary that is written to `out`.

    Expressions that only the weights know are left out of the choice; sequences of expressions that the weights do not
    know are left out and counted. Where the set knows its subjects' sex, age or ancestry, their accuracies are written,
    too.

    Args:
        weights: what `tfen.load` takes.
        dataset: the set.
        out: folder of the results.
        looks: how often each sequence is looked at; see `Engine`.

    Raises:
        InputError: the two have fewer than two expressions in common, or `out` exists.
    """
    must_be_new(out)
    loaded = load(weights)
    shared = tuple(name for name in loaded.expressions if name in dataset.expressions)
    if len(shared) < 2:
        raise InputError(
            f"{weights} knows {', '.join(loaded.expressions)} and {dataset.folder} has {', '.join(dataset.expressions)}: "
            "fewer than two in common, nothing to choose between"
        )
    kept = dataset.without(tuple(name for name in dataset.expressions if name not in shared))
    known = known_groups(kept, kept.sequences)
    settings = loaded.settings
    store = FrameStore(kept, settings.model.image_size, settings.data)
    among = [loaded.expressions.index(name) for name in shared]
    engine = None if looks == 1 else Engine(loaded, looks)
    predictions: list[Prediction] = []
    with meter("evaluating", len(kept.sequences), "sequences") as progress:
        for first in range(0, len(kept.sequences), AT_ONCE):
            some = list(kept.sequences[first : first + AT_ONCE])
            if engine is None:
                predictions += predict_sequences(loaded.network, store, some, settings, among=among)
            else:
                predictions += _looked(engine, store, some, among)
            progress.advance(len(some))
    with whole_folder(out) as part:
        write_predictions(part / "predictions.csv", predictions, shared)
        write_subgroups(part / "subgroups.csv", subgroups(known, predictions))
        figures = {
            **summary(predictions, shared),
            "expressions": list(shared),
            "left_out_of_the_choice": [name for name in loaded.expressions if name not in shared],
            "sequences_left_out": len(dataset.sequences) - len(kept.sequences),
            "variant": settings.model.variant,
            "weights": weights,
            "looks": looks,
            "trained_on": loaded.about.get("set"),
            "set": dataset.name,
            "epoch_chosen_by": "none: trained before",
            "ece": reliability(predictions, shared).ece,
            "confusion": confusions(predictions, shared).tolist(),
        }
        write_json(part / "summary.json", figures)
    return figures


def _looked(engine: Engine, store: FrameStore, sequences: list[SequenceRecord], among: list[int]) -> list[Prediction]:
    """Return what an engine says about some sequences of a set, with its looks and its temperature."""
    out = []
    for sequence in sequences:
        frames = store.frames(sequence, middle_frames(sequence.frames, engine.frames))
        likely = engine.scores([engine.encode(list(frames))])[0, among]
        out.append(prediction(sequence, likely / likely.sum(), store.dataset.expressions))
    return out


def held_back(dataset: PreparedSet, settings: Settings) -> frozenset[str]:
    """Return the subjects of a set that `train_on_all` leaves out of the training to choose the epoch by.

    Of a joined set these are the subjects that each of its sets would hold back alone.
    """

    def of(subjects: tuple[str, ...]) -> frozenset[str]:
        rng = np.random.default_rng([settings.train.seed, 2])
        return validation_split(subjects, settings.folds.validation_share, rng)

    return frozenset().union(*(of(subjects) for subjects in dataset.subjects_by_set))


def train_on_all(
    dataset: PreparedSet, out: Path, settings: Settings, init: str | None = None, minutes: float = CHECKPOINT_MINUTES
) -> str:
    """Train one network on all subjects (less the validation split, where one chooses the epoch); write its weights.

    An interrupted training goes on from its last checkpoint, which lies in `out` until it is done.

    Args:
        minutes: between checkpoints.

    Returns:
        one line that says what was trained and how good it is on the validation subjects.
    """
    make_accelerator(settings)  # finds the other processes, where there are any
    selection = SELECTIONS[settings.folds.select]
    if selection.measured_on == "test":
        raise InputError("`tfen train` has no test subjects: --folds.select is last or validation")
    kept = out / "checkpoint"
    if kept.exists() and (out / "config.json").exists():
        Checkpointer(kept).clear()
        return f"{out}: trained before"
    must_be_new(out, but=kept)
    start = load_torch(init, "start from") if init else None
    if processes.number() == 0:
        _claim(kept, _description(dataset, settings, init))
    processes.wait()
    training, validation = list(dataset.sequences), []
    if selection.measured_on == "validation":
        chosen = held_back(dataset, settings)
        training, validation = dataset.of_subjects(set(dataset.subjects) - chosen), dataset.of_subjects(chosen)
    store = FrameStore(dataset, settings.model.image_size, settings.data)
    checkpointer = Checkpointer(kept, minutes)
    try:
        trained = train_network(
            store, training, validation, settings, settings.train.seed, start, checkpointer=checkpointer
        )
    except stopping.Stopped:
        raise
    except TfenError:  # going on would lead there again
        checkpointer.clear()
        if processes.number() == 0:
            out.rmdir()
        raise
    measured = trained.history.epochs[trained.epoch - 1].get("validation_accuracy")
    temperature = None
    if validation:
        predictions = predict_sequences(trained.network, store, validation, settings)
        temperature = fit_temperature(predictions, dataset.expressions)
    about = {
        "set": dataset.name,
        "subjects": len({sequence.subject for sequence in training}),
        "sequences": len(training),
        "epoch": trained.epoch,
        "validation_accuracy": measured,
        "validation_subjects": len({sequence.subject for sequence in validation}),
        "temperature": temperature,
    }
    if processes.number() == 0:
        save_network(out, trained.network, settings, dataset.expressions, about)
        checkpointer.clear()
    processes.wait()
    checked = (
        "" if measured is None else f", {measured:.3f} right on {about['validation_subjects']} validation subjects"
    )
    return f"{out}: {settings.model.variant} trained on {about['subjects']} subjects, epoch {trained.epoch}{checked}"
