"""Cross-validation: every fold trained and tested, results written as they come; finished folds stay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tfen import processes
from tfen.config import CHECKPOINT_MINUTES, Settings, TrainSettings
from tfen.data.folds import make_folds
from tfen.data.prepared import PreparedSet, open_set
from tfen.data.protocols import PROTOCOLS, SELECTIONS
from tfen.errors import InputError
from tfen.evaluation.calibration import reliability
from tfen.evaluation.claims import claims, facts
from tfen.evaluation.metrics import summary
from tfen.evaluation.runs import fold_folder, over_subsets, read_predictions, write_predictions
from tfen.files import read_json, write_json
from tfen.models.variants import VARIANTS
from tfen.models.weights import load_torch
from tfen.progress import say
from tfen.spread import Cluster, spread
from tfen.stopping import Stop
from tfen.training.checkpoints import Checkpointer
from tfen.training.checks import Estimate, check_folds, check_frames, check_room, check_start, check_twins
from tfen.training.claim import claim_run
from tfen.training.devices import make_accelerator
from tfen.training.fold import FoldWorker
from tfen.training.loop import Figures

Watch = Callable[[Figures], None]


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

    def do(self, number: int, worker: FoldWorker, watch: Watch = lambda figures: None) -> str:
        """Train and test one fold; return a line about it. `watch` is told every epoch's figures."""
        folds = make_folds(self.dataset, self.settings.folds, self.settings.train.seed)
        return worker.do(folds[number], self.dataset, self.settings, fold_folder(self.out, number), self.init, watch)

    def worker(self, stop: Stop | None = None) -> FoldWorker:
        """Return a worker that does folds as this run wants it."""
        return FoldWorker(stop, self.minutes, self.tensorboard)

    def collect(self) -> dict[str, Any]:
        """Merge the finished folds and return the summary, which process 0 writes."""
        return collect(self.out, self.dataset, self.settings)


def crossval(
    dataset: PreparedSet | Path | str, out: Path | str, settings: Settings | None = None, init: str | None = None
) -> dict[str, Any]:
    """Train and test a network on a prepared set, fold by fold, and return the summary.

    A run that was interrupted goes on where it was: finished folds are not run again.

    Args:
        dataset: a prepared set, or its folder; the settings' expressions are left out of it.
        out: folder of the run; see `docs/experiments.md` for what is in it.
        settings: everything else, as `tfen.make_settings` makes them; the paper's if not given.
        init: weights to start from, as `tfen.load` takes them.

    Raises:
        InputError: too few subjects, or `out` holds something else.
    """
    settings = settings or Settings()
    dataset = dataset if isinstance(dataset, PreparedSet) else open_set(Path(dataset))
    return finish(begin(dataset.without(settings.folds.exclude), Path(out), settings, init))


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
    missing = run.missing()
    if missing:  # an error here is better than one after hours of other folds
        check_folds([folds[number] for number in missing], dataset)
        check_twins(dataset, settings)
        check_frames(dataset)
        check_room(out, settings, len(dataset.expressions), len(missing), len(dataset.subjects))
        check_start(settings, dataset.expressions)
        if init:
            load_torch(init, "start from")
        _say_what_has_no_effect(settings)
    if processes.number() == 0:
        claim_run(out, dataset, settings, init)
    processes.wait()
    for number in wanted:
        if number not in missing:
            # left there if the fold's end was also that of its process
            Checkpointer(fold_folder(out, number) / "checkpoint").clear()
            say(f"fold {number}: done before")
    return run


def finish(run: Run, worker: FoldWorker | None = None) -> dict[str, Any]:
    """Do the folds that are still missing, one after the other, and return the summary.

    Args:
        worker: does them; one that did those of another run may have the same frames in memory.
    """
    worker = worker or run.worker()
    missing = run.missing()
    if missing:
        say(f"{run.out}: {len(missing)} folds of {run.settings.model.variant}")
    processes.wait()  # nobody starts, and ends, a fold before all have looked
    watch: Watch = Estimate(len(missing), run.settings.train.epochs)
    for number in missing:
        say(run.do(number, worker, watch))
        watch = _ignore
        worker.stop.check()
    return run.collect()


def finish_spread(runs: Sequence[Run], cluster: Cluster, stop: Stop | None = None) -> list[dict[str, Any]]:
    """Do the missing folds of several runs on a Ray cluster, each by a worker, and return the summaries.

    A worker that is lost is replaced, and its fold goes on from its last checkpoint.
    """
    tasks = [partial(_do_alone, run, number) for run in runs for number in run.missing()]
    if tasks:
        spread(tasks, cluster, "folds", "folds", say, stop)
    return [run.collect() for run in runs]


def _ignore(figures: Figures) -> None:
    """Take an epoch's figures and do nothing."""


def _say_what_has_no_effect(settings: Settings) -> None:
    train = settings.train
    if not VARIANTS[settings.model.variant].adversary and not train.matched and train.alpha != TrainSettings().alpha:
        say(
            f"train.alpha {train.alpha:g} has no effect on {settings.model.variant}, which has no adversary to weigh the "
            "expression loss against; --train.matched multiplies it all the same"
        )


def _do_alone(run: Run, number: int) -> str:
    return f"{run.out}, {run.do(number, run.worker())}"


def collect(out: Path, dataset: PreparedSet, settings: Settings) -> dict[str, Any]:
    """Merge the finished folds of a run into `predictions.csv` and `summary.json`."""
    predictions, done = [], []
    for path in sorted(out.glob("fold-*/fold.json")):
        predictions += read_predictions(path.with_name("predictions.csv"), dataset.expressions)
        done.append(read_json(path, "a fold's result"))
    known = facts(dataset, len(make_folds(dataset, settings.folds, settings.train.seed)))
    selection = SELECTIONS[settings.folds.select]
    figures = {
        **summary(predictions, dataset.expressions),
        "expressions": list(dataset.expressions),
        "variant": settings.model.variant,
        "select": settings.folds.select,
        "epoch_chosen_by": selection.text,
        "optimistic": selection.optimistic,
        "set": dataset.name,
        "protocol": settings.folds.protocol,
        "ece": reliability(predictions, dataset.expressions).ece,
        "dataset": known,
        **claims(done, settings, known, len(predictions), dataset.name).plain(),
    }
    if PROTOCOLS[settings.folds.protocol].subsets:
        figures.update(over_subsets(predictions, dataset.expressions, settings.folds.count))
    if processes.number() == 0:
        write_predictions(out / "predictions.csv", predictions, dataset.expressions)
        write_json(out / "summary.json", figures)
    return figures
