"""One training from beginning to end: face pretraining, the game, predictions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from tfen import stopping
from tfen.config import Settings
from tfen.data.clips import Clips, FrameStore, face_labels
from tfen.data.prepared import SequenceRecord
from tfen.evaluation.metrics import Prediction
from tfen.models.seresnet import LowerHalf
from tfen.models.tfen import TFEN, FramewiseScores
from tfen.models.weights import Loaded, build, load_fitting, load_imagenet, load_kinetics
from tfen.progress import say
from tfen.training import processes
from tfen.training.adversarial import History, train
from tfen.training.checkpoints import Checkpointer
from tfen.training.faces import FacePretraining, pretrain_faces
from tfen.training.processes import gathered_rows


@dataclass(frozen=True)
class Trained:
    """A trained network (the selected epoch's weights), how it came about, and which epoch was taken."""

    network: TFEN
    faces: FacePretraining | None
    history: History
    epoch: int


def make_accelerator(settings: Settings) -> Accelerator:
    """Return the device and precision to train with."""
    return Accelerator(cpu=settings.train.device == "cpu", mixed_precision=settings.train.precision)


def train_network(
    store: FrameStore,
    training: list[SequenceRecord],
    choosing: list[SequenceRecord],
    settings: Settings,
    seed: int,
    start: Loaded | None = None,
    watch: Callable[[dict[str, Any]], None] | None = None,
    face_sequences: list[SequenceRecord] | None = None,
    checkpointer: Checkpointer | None = None,
) -> Trained:
    """Train a network on `training`; `choosing` (may be empty) picks the epoch and nothing else.

    Args:
        start: a trained network to start from; what does not fit starts afresh and is named.
        watch: called with every epoch's figures.
        face_sequences: sequences for the face pretraining if they are not those of `training`.
        checkpointer: keeps checkpoints, and knows where to go on.
    """
    accelerator = make_accelerator(settings)
    data, model = settings.data, settings.model
    expressions = store.dataset.expressions
    for_faces = face_sequences or training
    labels = face_labels(for_faces, data)
    torch.manual_seed(seed)
    network = build(settings, len(expressions), len(labels))
    if model.expression_weights and isinstance(network.expression_extractor, LowerHalf):
        path = None if model.expression_weights == "imagenet" else model.expression_weights
        upper = network.temporal.frame if isinstance(network.temporal, FramewiseScores) else None
        load_imagenet(network.expression_extractor, upper, path)
    if model.temporal_weights:
        load_kinetics(network.temporal, Path(model.temporal_weights))
    if start is not None:
        start_from(network, expressions, start)
    faces = None
    if network.face_extractor is not None and settings.face.epochs > 0:
        first = start.network.face_extractor if start is not None else None
        faces = pretrain_faces(store, for_faces, labels, settings, accelerator, seed, first, checkpointer)
        network.face_extractor.load_state_dict(faces.network.lower.state_dict())
        if network.adversary is not None:
            network.adversary.load_state_dict(faces.network.upper.state_dict())
    part, device = processes.part(), accelerator.device
    clips = Clips(store, training, model.frames, model.image_size, labels, part, device)
    measured = Clips(store, choosing, model.frames, model.image_size, part=part, device=device)
    history = train(
        network,
        clips,
        settings,
        accelerator,
        seed,
        (lambda current: accuracy(current, measured, settings)) if choosing else None,
        watch,
        checkpointer,
    )
    epoch = settings.train.epochs
    if history.best_epoch is not None:
        network.load_state_dict(history.best_weights)
        epoch = history.best_epoch
    return Trained(network.eval(), faces, history, epoch)


def start_from(network: TFEN, expressions: tuple[str, ...], start: Loaded) -> None:
    """Copy what fits from a trained network; classifier rows of expressions that both know are kept by name."""
    weights = {name: value for name, value in start.network.state_dict().items() if not name.startswith("adversary.")}
    own = network.state_dict()
    for name in [name for name in weights if name.endswith(("temporal.fc.weight", "temporal.fc.bias"))]:
        rows = own[name].clone()
        for k, expression in enumerate(expressions):
            if expression in start.expressions and rows.shape[1:] == weights[name].shape[1:]:
                rows[k] = weights[name][start.expressions.index(expression)]
        weights[name] = rows
    load_fitting(network, weights, "the weights to start from", silent="adversary.")
    fresh = [name for name in expressions if name not in start.expressions]
    if fresh:
        say(f"the weights to start from do not know {', '.join(fresh)}: their classifier rows start afresh")


def predict_sequences(
    network: TFEN,
    store: FrameStore,
    sequences: list[SequenceRecord],
    settings: Settings,
    fold: int = 0,
    among: list[int] | None = None,
) -> list[Prediction]:
    """Return what the network says about some sequences of a set; see `predict`."""
    model, device = settings.model, _device(network)
    clips = Clips(store, sequences, model.frames, model.image_size, part=processes.part(), device=device)
    return predict(network, clips, settings, fold, among)


def predict(
    network: TFEN, clips: Clips, settings: Settings, fold: int = 0, among: list[int] | None = None
) -> list[Prediction]:
    """Return what the network says about every sequence: middle frames, centre crops.

    Args:
        among: numbers of the network's expressions to choose from, in order, named as the set's; all if not given.
    """
    device = _device(network)
    network.eval()
    out = []
    with torch.no_grad():
        for batch in clips.testing(settings.train.batch_size):
            if clips.part[1] == 1:
                stopping.check()
            scores = network(batch.clips.to(device)).float()
            probabilities = (scores if among is None else scores[:, among]).softmax(1).cpu()
            out += [
                prediction(sequence, row, clips.expressions, fold)
                for sequence, row in zip(batch.sequences, probabilities.numpy())
            ]
    return gathered_rows(out) if clips.part[1] > 1 else out


def prediction(
    sequence: SequenceRecord, probabilities: np.ndarray, expressions: tuple[str, ...], fold: int = 0
) -> Prediction:
    """Return what probabilities (K,) of the set's expressions say about a sequence."""
    predictions = expressions[int(probabilities.argmax())]
    values = tuple(round(float(value), 6) for value in probabilities)
    return Prediction(fold, sequence.name, sequence.subject, sequence.expression, predictions, values)


def _device(network: torch.nn.Module) -> torch.device:
    """Return where a network's weights are; exported graphs have none, and their engine takes what the processor holds."""
    weights = next(network.parameters(), None)
    return torch.device("cpu") if weights is None else weights.device


def accuracy(network: TFEN, clips: Clips, settings: Settings) -> float:
    """Return the share of sequences that the network gets right."""
    predictions = predict(network, clips, settings)
    return sum(one.true == one.predicted for one in predictions) / len(predictions)
