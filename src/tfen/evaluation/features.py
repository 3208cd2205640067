"""What each part of a trained network makes of sequences: the raw material of figures and leakage measures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional

from tfen.config import Settings
from tfen.data.clips import Clips, FrameStore
from tfen.data.prepared import PreparedSet, SequenceRecord
from tfen.data.transforms import CPU
from tfen.errors import InputError
from tfen.evaluation.runs import fold_folder, read_predictions, read_run, run_set
from tfen.models.tfen import TFEN
from tfen.models.weights import load

POOLED = 4
"""Feature maps are averaged down to POOLED x POOLED places before they are measured."""


@dataclass(frozen=True)
class RunFold:
    """A finished fold, opened: its network and the sequences that it was trained and tested on."""

    number: int
    network: TFEN
    store: FrameStore
    settings: Settings
    training: list[SequenceRecord]
    testing: list[SequenceRecord]
    accuracy: float
    device: torch.device = CPU

    def clips(self, sequences: list[SequenceRecord]) -> Clips:
        model = self.settings.model
        return Clips(self.store, sequences, model.frames, model.image_size, device=self.device)


def open_folds(run: Path, place: Path | None = None, device: torch.device = CPU) -> tuple[PreparedSet, list[RunFold]]:
    """Open the finished folds of a run, with the set that it ran on.

    Args:
        place: where the set lies now, if it was moved.
        device: where the networks run.

    Raises:
        InputError: the run or its set is not there any more.
    """
    read = read_run(run)
    settings = read.settings
    dataset = run_set(read.config, settings, place)
    store = FrameStore(dataset, settings.model.image_size, settings.data)
    by_name = {sequence.name: sequence for sequence in dataset.sequences}

    def named(names: list[str], place: Path) -> list[SequenceRecord]:
        unknown = [name for name in names if name not in by_name]
        if unknown:
            raise InputError(
                f"{place} names the sequence {unknown[0]!r}, which {dataset.folder} does not have any more"
            )
        return [by_name[name] for name in names]

    folds = []
    for about in read.folds:
        folder = fold_folder(run, about["fold"])
        tested = [one.sequence for one in read_predictions(folder / "predictions.csv", dataset.expressions)]
        folds.append(
            RunFold(
                about["fold"],
                load(folder).network.to(device),
                store,
                settings,
                named(about["train_sequences"], folder / "fold.json"),
                named(tested, folder / "predictions.csv"),
                about["accuracy"],
                device,
            )
        )
    return dataset, folds


def feature_maps(network: TFEN, frames_BCHW: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the maps of F, E and TFE, each (B, C, H, W); only E where nothing is decoupled, none in baselines."""
    if network.face_extractor is None or network.decoupler is None:
        one_map = network.features(frames_BCHW)
        return {} if one_map is frames_BCHW else {"E": one_map}
    face, expression = network.face_extractor(frames_BCHW), network.expression_extractor(frames_BCHW)
    return {"F": face, "E": expression, "TFE": network.decoupler(expression, face)}


@dataclass(frozen=True)
class Features:
    """Features of n sequences: `clips` (n, dims) for F, E, TFE and T, `frames` (n, S, dims) for F, E and TFE."""

    sequences: list[SequenceRecord]
    clips: dict[str, np.ndarray]
    frames: dict[str, np.ndarray]


@torch.no_grad()
def extract(fold: RunFold, sequences: list[SequenceRecord]) -> Features:
    """Return pooled features of sequences (middle frames, centre crops)."""
    network = fold.network.eval()
    pooled: dict[str, list[np.ndarray]] = {}
    last: list[np.ndarray] = []
    for batch in fold.clips(sequences).testing(fold.settings.train.batch_size):
        count, length = batch.clips.shape[:2]
        maps = feature_maps(network, batch.clips.flatten(0, 1))
        for name, own in maps.items():
            small = functional.adaptive_avg_pool2d(own.float(), POOLED).flatten(1)
            pooled.setdefault(name, []).append(small.unflatten(0, (count, length)).cpu().numpy())
        into_t = maps.get("TFE", maps.get("E"))
        into_t = batch.clips if into_t is None else into_t.unflatten(0, (count, length))
        last.append(network.temporal.embed(into_t).float().cpu().numpy())
    frames = {name: np.concatenate(parts) for name, parts in pooled.items()}
    clips = {name: values.mean(1) for name, values in frames.items()}
    return Features(sequences, {**clips, "T": np.concatenate(last)}, frames)
