"""Clips in batches: decoded once, sampled, augmented and normalised ahead of the network by a thread."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tfen.config import DataSettings
from tfen.data.prepared import PreparedSet, Sequence, read_image
from tfen.data.sampling import middle_frames, played_differently, random_frames
from tfen.data.transforms import augmented, centre_crop, fit_frame, stored_size, to_network
from tfen.errors import InputError


class FrameStore:
    """Frames of a set at the size that crops are taken from; kept in memory while they fit into `cache_gb`."""

    def __init__(self, found: PreparedSet, image_size: int, settings: DataSettings) -> None:
        self.found, self.settings = found, settings
        self.size = stored_size(image_size)
        self._room = int(settings.cache_gb * 2**30)
        self._kept: dict[str, np.ndarray] = {}

    def frames(self, sequence: Sequence, numbers: np.ndarray) -> np.ndarray:
        """Return some frames of a sequence, (len(numbers), size, size, 3) uint8."""
        kept = self._kept.get(sequence.name)
        if kept is not None:
            return kept[numbers]
        files = self.found.frame_files(sequence)
        cost = len(files) * self.size**2 * 3
        if cost <= self._room:
            self._room -= cost
            kept = np.stack([self._read(path) for path in files])
            self._kept[sequence.name] = kept
            return kept[numbers]
        read = {int(k): self._read(files[k]) for k in np.unique(numbers)}
        return np.stack([read[int(k)] for k in numbers])

    def _read(self, path: Path) -> np.ndarray:
        return fit_frame(read_image(path), self.size, self.settings.grey)


@dataclass(frozen=True)
class Batch:
    """Normalised clips (B, S, 3, H, W), expression and face labels (B,), and the sequences they came from."""

    clips: Tensor
    expressions: Tensor
    faces: Tensor
    sequences: tuple[Sequence, ...]


class Clips:
    """Clips of some sequences as batches.

    Args:
        store: where frames come from.
        sequences: the only sequences that are ever read.
        frames: S.
        image_size: side of the crops.
        face_labels: face label of a subject (or sequence) name; those not in it get -1.
    """

    def __init__(
        self,
        store: FrameStore,
        sequences: list[Sequence],
        frames: int,
        image_size: int,
        face_labels: dict[str, int] | None = None,
    ) -> None:
        self.store, self.sequences, self.frames, self.image_size = store, sequences, frames, image_size
        self.face_labels = face_labels or {}
        self.expressions = store.found.expressions
        if store.settings.calm_start and "neutral" not in self.expressions:
            raise InputError(
                f"data.calm-start needs sequences of neutral, and {store.found.folder} has none; set it to 0"
            )

    def __len__(self) -> int:
        return len(self.sequences)

    def counts(self) -> np.ndarray:
        """Return how many sequences each expression has, (K,)."""
        numbers = [self.expressions.index(sequence.expression) for sequence in self.sequences]
        return np.bincount(numbers, minlength=len(self.expressions))

    def training(self, epoch: int, batch_size: int, seed: int) -> Iterator[Batch]:
        """Yield the batches of an epoch (from 1 on) in random order; the last is left out if it holds a single clip."""
        rng = np.random.default_rng([seed, epoch, 3])
        order = rng.permutation(len(self.sequences))
        if self.store.settings.sampling == "balanced":
            counts = self.counts()
            own = np.array([counts[self.expressions.index(sequence.expression)] for sequence in self.sequences])
            order = rng.choice(len(own), len(own), p=1 / own / np.count_nonzero(counts))
        groups = [order[k : k + batch_size] for k in range(0, len(order), batch_size)]
        if len(groups) > 1 and len(groups[-1]) == 1:
            groups.pop()
        ramp = self.store.settings.augment_ramp
        share = min(1.0, epoch / (ramp + 1))
        return self._ahead(groups, [np.random.default_rng([seed, epoch, 4, k]) for k in range(len(groups))], share)

    def testing(self, batch_size: int) -> Iterator[Batch]:
        """Yield all clips in order: middle frames, centre crops."""
        order = np.arange(len(self.sequences))
        groups = [order[k : k + batch_size] for k in range(0, len(order), batch_size)]
        return self._ahead(groups, [None] * len(groups))

    def _ahead(self, groups: list[np.ndarray], rngs: list, share: float = 1.0) -> Iterator[Batch]:
        # one thread for the loader's own tensor work: a second team would take the cores from the network's
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting = pool.submit(self._batch, groups[0], rngs[0], share) if groups else None
            for k in range(len(groups)):
                assert waiting is not None
                ready = waiting.result()
                if k + 1 < len(groups):
                    waiting = pool.submit(self._batch, groups[k + 1], rngs[k + 1], share)
                yield ready

    def _batch(self, group: np.ndarray, rng: np.random.Generator | None, share: float) -> Batch:
        chosen = tuple(self.sequences[k] for k in group)
        data = self.store.settings
        frames, shown = [], [self.expressions.index(sequence.expression) for sequence in chosen]
        for k, sequence in enumerate(chosen):
            if rng is None:
                numbers = middle_frames(sequence.frames, self.frames)
            elif data.calm_start and rng.random() < data.calm_start:
                numbers, shown[k] = np.zeros(self.frames, np.int64), self.expressions.index("neutral")
            else:
                numbers = random_frames(sequence.frames, self.frames, rng)
                if data.augment == "strong":
                    numbers = played_differently(numbers, sequence.frames, rng)
            frames.append(self.store.frames(sequence, numbers))
        clips = torch.from_numpy(np.stack(frames))
        if rng is None:
            pixels = to_network(centre_crop(clips, self.image_size), data.normalise)
        else:
            pixels = augmented(clips, self.image_size, rng, data.augment, data.normalise, share, data.bend)
        faces = torch.tensor([self.face_labels.get(face_of(sequence, data), -1) for sequence in chosen])
        return Batch(pixels, torch.tensor(shown), faces, chosen)


def face_of(sequence: Sequence, data: DataSettings) -> str:
    """Return what names the face of a sequence: its subject, or the sequence itself."""
    return sequence.subject if data.face_label == "subject" else sequence.name


def face_labels(sequences: list[Sequence], data: DataSettings) -> dict[str, int]:
    """Number the faces of some sequences, in order of first appearance."""
    names = dict.fromkeys(face_of(sequence, data) for sequence in sequences)
    return {name: number for number, name in enumerate(names)}
