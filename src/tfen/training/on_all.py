"""One network trained on all subjects of a set, for people who are in no set."""

from pathlib import Path

import numpy as np

from tfen import processes
from tfen.config import CHECKPOINT_MINUTES, Settings
from tfen.data.clips import FrameStore
from tfen.data.folds import groups_of, validation_split
from tfen.data.prepared import PreparedSet, SequenceRecord
from tfen.data.protocols import SELECTIONS
from tfen.errors import InputError, TfenError
from tfen.evaluation.calibration import fit_temperature
from tfen.files import must_be_new
from tfen.inference.prediction import predict_sequences
from tfen.models.weights import Loaded, load_torch, save_network
from tfen.stopping import Stop, Stopped
from tfen.training.checkpoints import Checkpointer
from tfen.training.checks import check_start, check_twins
from tfen.training.claim import claim_run
from tfen.training.devices import make_accelerator
from tfen.training.network import Trained, people_seen, train_network


def held_back(dataset: PreparedSet, settings: Settings) -> frozenset[str]:
    """Return the subjects of a set that `train_on_all` leaves out of the training to choose the epoch by.

    Of a joined set these are the subjects that each of its sets would hold back alone. Twins stay together.
    """

    def of(subjects: tuple[str, ...]) -> frozenset[str]:
        rng = np.random.default_rng([settings.train.seed, 2])
        own = groups_of(dataset.of_subjects(frozenset(subjects)))
        return validation_split(own, settings.folds.validation_share, rng)

    return frozenset().union(*(of(subjects) for subjects in dataset.subjects_by_set))


def train_on_all(
    dataset: PreparedSet,
    out: Path,
    settings: Settings,
    init: str | None = None,
    minutes: float = CHECKPOINT_MINUTES,
    stop: Stop | None = None,
) -> str:
    """Train one network on all subjects (less the validation split, where one chooses the epoch); write its weights.

    An interrupted training goes on from its last checkpoint, which lies in `out` until it is done.

    Args:
        minutes: between checkpoints.
        stop: whether somebody asks for the end.

    Returns:
        one line that says what was trained and how good it is on the validation subjects.
    """
    make_accelerator(settings)  # finds the other processes, where there are any
    selection = SELECTIONS[settings.folds.select]
    if selection.measured_on == "test":
        raise InputError("`tfen train` has no test subjects: --folds.select is last or validation")
    checkpointer = Checkpointer(out / "checkpoint", minutes, stop)
    if (out / "checkpoint").exists() and (out / "config.json").exists():
        checkpointer.clear()
        return f"{out}: trained before"
    must_be_new(out, but=checkpointer.folder)
    check_twins(dataset, settings)
    check_start(settings, dataset.expressions)
    start = load_torch(init, "start from") if init else None
    if processes.number() == 0:
        claim_run(out / "checkpoint", dataset, settings, init)
    processes.wait()
    training, validation = list(dataset.sequences), list[SequenceRecord]()
    if selection.measured_on == "validation":
        chosen = held_back(dataset, settings)
        training, validation = dataset.of_subjects(set(dataset.subjects) - chosen), dataset.of_subjects(chosen)
    store = FrameStore(dataset, settings.model.image_size, settings.data)
    try:
        trained = train_network(
            store, training, validation, settings, settings.train.seed, start, checkpointer=checkpointer
        )
    except Stopped:
        raise
    except TfenError:  # going on would lead there again
        checkpointer.clear()
        if processes.number() == 0:
            out.rmdir()
        raise
    return _write(out, store, trained, training, validation, settings, checkpointer, start)


def _write(
    out: Path,
    store: FrameStore,
    trained: Trained,
    training: list[SequenceRecord],
    validation: list[SequenceRecord],
    settings: Settings,
    checkpointer: Checkpointer,
    start: Loaded | None,
) -> str:
    """Write the weights and what is known about them; return a line about them."""
    dataset = store.dataset
    measured = trained.history.epochs[trained.epoch - 1].get("validation_accuracy")
    temperature = None
    if validation:
        predictions = predict_sequences(trained.network, store, validation, settings, stop=checkpointer.stop)
        temperature = fit_temperature(predictions, dataset.expressions)
    about = {
        "set": dataset.name,
        "trained_on": people_seen(dataset, training, start, "trained_on"),
        "chosen_by": people_seen(dataset, validation, start, "chosen_by"),
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
