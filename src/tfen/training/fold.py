"""One fold of a cross-validation: trained, tested, written."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfen import processes
from tfen.config import CHECKPOINT_MINUTES, Settings
from tfen.data.clips import FrameStore
from tfen.data.folds import Fold, subjects_of
from tfen.data.prepared import PreparedSet, SequenceRecord
from tfen.data.protocols import SELECTIONS
from tfen.errors import needs_extra
from tfen.evaluation.calibration import fit_temperature
from tfen.evaluation.metrics import Prediction
from tfen.evaluation.runs import write_predictions
from tfen.files import clear_errors, write_json
from tfen.inference.prediction import device_of, predict_sequences
from tfen.models.weights import Loaded, load_torch, save_network, save_weights
from tfen.stopping import Stop
from tfen.training.checkpoints import Checkpointer
from tfen.training.devices import how_trained
from tfen.training.loop import Figures
from tfen.training.network import Trained, people_seen, train_network


class FoldWorker:
    """Does folds, one after the other; frames and starting weights that the next one needs, too, are kept.

    Args:
        stop: whether somebody asks for the end.
        minutes: between checkpoints.
        tensorboard: also log for TensorBoard.
    """

    def __init__(
        self, stop: Stop | None = None, minutes: float = CHECKPOINT_MINUTES, tensorboard: bool = False
    ) -> None:
        self.stop, self.minutes, self.tensorboard = stop or Stop(), minutes, tensorboard
        self._store: FrameStore | None = None
        self._start: tuple[str, Loaded] | None = None

    def store(self, dataset: PreparedSet, settings: Settings) -> FrameStore:
        """Return where a set's frames come from: the one before if it is the same."""
        size, data = settings.model.image_size, settings.data
        kept = self._store
        if kept is None or (kept.dataset, kept.image_size, kept.settings) != (dataset, size, data):
            kept = self._store = FrameStore(dataset, size, data)
        return kept

    def start(self, init: str | None) -> Loaded | None:
        """Return the weights to start from, read once."""
        if init is None:
            return None
        if self._start is None or self._start[0] != init:
            self._start = init, load_torch(init, "start from")
        return self._start[1]

    def do(
        self,
        fold: Fold,
        dataset: PreparedSet,
        settings: Settings,
        folder: Path,
        init: str | None = None,
        watch: Callable[[Figures], None] = lambda figures: None,
    ) -> str:
        """Train and test one fold and write it into a folder; return a line about it.

        Args:
            watch: is told every epoch's figures, besides the logs.
        """
        with clear_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        checkpointer = Checkpointer(folder / "checkpoint", self.minutes, self.stop)
        store = self.store(dataset, settings)
        with clear_errors(folder), _log(folder, self.tensorboard) as log:

            def both(figures: Figures) -> None:
                log(figures)
                watch(figures)

            trained = train_network(
                store,
                list(fold.train),
                SELECTIONS[settings.folds.select].choosing(fold),
                settings,
                settings.train.seed * 1000 + fold.number,
                self.start(init),
                both,
                fold.everybody(dataset) if settings.face.subjects == "all" else None,
                checkpointer,
            )
        line = self._finish(fold, trained, store, settings, folder, init)
        if processes.number() == 0:
            checkpointer.clear()
        processes.wait()
        return line

    def _finish(
        self, fold: Fold, trained: Trained, store: FrameStore, settings: Settings, folder: Path, init: str | None
    ) -> str:
        """Test a trained network, write what came of it (process 0 does), and return a line about it."""
        expressions, start = store.dataset.expressions, self.start(init)

        def ask(sequences: tuple[SequenceRecord, ...]) -> list[Prediction]:
            return predict_sequences(trained.network, store, list(sequences), settings, fold.number, stop=self.stop)

        predictions = ask(fold.test)
        temperature = fit_temperature(ask(fold.validation), expressions) if fold.validation else None
        right = sum(one.true == one.predicted for one in predictions)
        faces = trained.faces
        if processes.number() == 0:
            write_predictions(folder / "predictions.csv", predictions, expressions)
            if faces is not None:
                save_weights(folder / "faces.safetensors", faces.network.state_dict())
            about = {
                "set": store.dataset.name,
                "fold": fold.number,
                "trained_on": people_seen(store.dataset, fold.train, start, "trained_on"),
                "chosen_by": people_seen(store.dataset, fold.validation, start, "chosen_by"),
                "epoch": trained.epoch,
            }
            save_network(folder, trained.network, settings, expressions, about)
            figures = _description(fold, trained, right / len(predictions), temperature)
            figures["trained"] = how_trained(settings, device_of(trained.network), init)
            write_json(folder / "fold.json", figures)  # last: it says that the fold is done
        faces_right = "" if faces is None or faces.accuracy is None else f", faces {faces.accuracy:.3f}"
        return (
            f"fold {fold.number}: {right} of {len(predictions)} right ({right / len(predictions):.3f}) at epoch "
            f"{trained.epoch}{faces_right}"
        )


def _description(fold: Fold, trained: Trained, accuracy: float, temperature: float | None) -> dict[str, Any]:
    """Return what `fold.json` says."""
    faces = trained.faces
    return {
        "fold": fold.number,
        "train_subjects": list(subjects_of(fold.train)),
        "validation_subjects": list(subjects_of(fold.validation)),
        "test_subjects": list(subjects_of(fold.test)),
        **({"twins_apart": apart} if (apart := fold.twins_apart()) else {}),
        "train_sequences": [one.name for one in fold.train],
        "validation_sequences": [one.name for one in fold.validation],
        "epoch": trained.epoch,
        "accuracy": accuracy,
        "temperature": temperature,
        "face_accuracy": None if faces is None else faces.accuracy,
        "faces": 0 if trained.network.adversary is None else trained.network.adversary.last_linear.out_features,
        "face_history": [] if faces is None else faces.history,
    }


@contextmanager
def _log(folder: Path, tensorboard: bool) -> Iterator[Callable[[Figures], None]]:
    """Give a function that logs an epoch's figures, in `metrics.jsonl` and for TensorBoard; process 0 writes."""
    writes = processes.number() == 0
    board = _board(folder) if tensorboard and writes else None
    try:
        with (folder / "metrics.jsonl" if writes else Path(os.devnull)).open("w", encoding="utf-8") as file:

            def write(figures: Figures) -> None:
                file.write(json.dumps(figures) + "\n")
                file.flush()
                for name, value in figures.items():
                    if board is not None and name != "epoch":
                        board.add_scalar(name, value, figures["epoch"])

            yield write
    finally:
        if board is not None:
            board.close()


def _board(folder: Path) -> Any:
    """Return a writer of TensorBoard's logs."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise needs_extra("--tensorboard", "tensorboard") from None
    return SummaryWriter(str(folder / "tensorboard"))
