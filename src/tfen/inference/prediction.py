"""What a network says about the sequences of a prepared set."""

import numpy as np
import torch

from tfen import processes
from tfen.config import Settings
from tfen.data.clips import Clips, FrameStore
from tfen.data.prepared import SequenceRecord
from tfen.evaluation.metrics import Prediction
from tfen.models.tfen import TFEN
from tfen.processes import gathered_rows
from tfen.stopping import Stop


def predict_sequences(
    network: TFEN,
    store: FrameStore,
    sequences: list[SequenceRecord],
    settings: Settings,
    fold: int = 0,
    among: list[int] | None = None,
    stop: Stop | None = None,
) -> list[Prediction]:
    """Return what the network says about some sequences of a set; see `predict`."""
    model, device = settings.model, device_of(network)
    clips = Clips(store, sequences, model.frames, model.image_size, part=processes.part(), device=device)
    return predict(network, clips, settings, fold, among, stop)


def predict(
    network: TFEN,
    clips: Clips,
    settings: Settings,
    fold: int = 0,
    among: list[int] | None = None,
    stop: Stop | None = None,
) -> list[Prediction]:
    """Return what the network says about every sequence: middle frames, centre crops.

    Args:
        among: numbers of the network's expressions to choose from, in order, named as the set's; all if not given.
        stop: asked between batches, where one process works alone.
    """
    device = device_of(network)
    network.eval()
    out = []
    with torch.no_grad():
        for batch in clips.testing(settings.train.batch_size):
            if stop is not None and clips.part[1] == 1:
                stop.check()
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
    predicted = expressions[int(probabilities.argmax())]
    values = tuple(round(float(value), 6) for value in probabilities)
    return Prediction(fold, sequence.name, sequence.subject, sequence.expression, predicted, values)


def device_of(network: torch.nn.Module) -> torch.device:
    """Return where a network's weights are; exported graphs have none, and their engine takes what the processor holds."""
    weights = next(network.parameters(), None)
    return torch.device("cpu") if weights is None else weights.device


def accuracy(network: TFEN, clips: Clips, settings: Settings, stop: Stop | None = None) -> float:
    """Return the share of sequences that the network gets right."""
    predictions = predict(network, clips, settings, stop=stop)
    return sum(one.true == one.predicted for one in predictions) / len(predictions)
