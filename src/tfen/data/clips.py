"""Clips in batches: decoded once, sampled, augmented and normalised ahead of the network by threads."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from tfen.config import DataSettings
from tfen.data.prepared import PreparedSet, SequenceRecord
from tfen.data.sampling import middle_frames, random_frames
from tfen.data.transforms import CPU, Rngs, augmented, centre_crop, fit_frame, on_device, stored_size, to_network
from tfen.errors import InputError
from tfen.faces.align import Place, cut, place_from_landmarks
from tfen.video.photographs import read_image

CALM = 1 / 6
"""Share of the stills, and of the clips with a reference, that show the calm beginning; with more, faint expressions are told
as neutral."""


class FrameStore:
    """Frames of a set at the size that crops are taken from; kept in memory while they fit into `cache_gb`."""

    def __init__(self, dataset: PreparedSet, image_size: int, settings: DataSettings) -> None:
        self.dataset, self.image_size, self.settings = dataset, image_size, settings
        self.size = stored_size(image_size)
        self._channels = 1 if settings.grey else 3
        self._room = int(settings.cache_gb * 2**30)
        self._kept: dict[str, np.ndarray] = {}
        self._cards: dict[torch.device, CardFrames | None] = {}
        self._lock = threading.Lock()

    def clips(self, shown: list["Shown"], device: torch.device = CPU) -> Tensor:
        """Return clips, (B, S, size, size, 3) uint8: on the accelerator `device` if all frames have room there, else on the
        processor."""
        card = self.card(device)
        if card is not None:
            return card.clips(shown)
        return torch.from_numpy(
            np.stack([np.concatenate([self.frames(sequence, numbers) for sequence, numbers in clip]) for clip in shown])
        )

    def card(self, device: torch.device) -> "CardFrames | None":
        """Return the set's frames on an accelerator; None on a processor, and where they have no room."""
        with self._lock:
            if device not in self._cards:
                bytes_needed = sum(one.frames for one in self.dataset.sequences) * self.size**2 * self._channels
                fits = bytes_needed <= card_room(device)
                self._cards[device] = CardFrames(self, device) if fits else None
            return self._cards[device]

    def frames(self, sequence: SequenceRecord, numbers: np.ndarray) -> np.ndarray:
        """Return some frames of a sequence, (len(numbers), size, size, 3) uint8."""
        stored = self._stored(sequence, numbers)
        return stored if self._channels == 3 else np.repeat(stored, 3, axis=-1)

    def _stored(self, sequence: SequenceRecord, numbers: np.ndarray) -> np.ndarray:
        """Return some frames as they are kept: of grey ones a single channel, since all three are alike."""
        kept = self._kept.get(sequence.name)
        if kept is not None:
            return kept[numbers]
        cost = sequence.frames * self.size**2 * self._channels
        with self._lock:
            fits = cost <= self._room
            self._room -= cost if fits else 0
        if fits:
            self._kept[sequence.name] = kept = self.decoded(sequence)
            return kept[numbers]
        files, places = self.dataset.frame_files(sequence), self._places(sequence)
        read = {int(k): self._read(files[k], places[k]) for k in np.unique(numbers)}
        return np.stack([read[int(k)] for k in numbers])

    def decoded(self, sequence: SequenceRecord) -> np.ndarray:
        """Return all frames of a sequence as they are kept, (n, size, size, 1 or 3) uint8."""
        files, places = self.dataset.frame_files(sequence), self._places(sequence)
        return np.stack([self._read(path, place) for path, place in zip(files, places)])

    def _places(self, sequence: SequenceRecord) -> list[Place | None]:
        """Return where the face is to be cut out of each frame; None: the whole frame."""
        known = self.dataset.truth(sequence, "landmarks", (68, 2)) if self.settings.align == "eyes" else None
        if known is None:
            return [None] * sequence.frames
        return [place_from_landmarks(points, "eyes") for points in known]

    def _read(self, path: Path, place: Place | None) -> np.ndarray:
        image = read_image(path)
        if place is not None:
            image = cut(image, place, self.size)
        return fit_frame(image, self.size, self.settings.grey)[..., : self._channels]


Shown = list[tuple[SequenceRecord, np.ndarray]]
"""What a clip shows: frames of sequences, by their numbers, one after the other."""
CARD_SHARE = 0.4
"""Share of an accelerator's free memory that frames may take; the rest is the network's."""


def card_room(device: torch.device) -> int:
    """Return how many bytes of frames a device takes; none on a processor, which reads them where they are."""
    return int(CARD_SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else 0


class CardFrames:
    """All frames of a set on an accelerator, (N, size, size, 1 or 3) uint8; each goes there when it is first asked for."""

    def __init__(self, store: FrameStore, device: torch.device) -> None:
        self._store, self._there = store, set[str]()
        counts = [sequence.frames for sequence in store.dataset.sequences]
        names = (sequence.name for sequence in store.dataset.sequences)
        self._starts = dict(zip(names, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))
        channels = 1 if store.settings.grey else 3
        self.frames = torch.empty((sum(counts), store.size, store.size, channels), dtype=torch.uint8, device=device)

    def clips(self, shown: list[Shown]) -> Tensor:
        """Return clips, (B, S, size, size, 3) uint8, gathered on the accelerator."""
        places = [np.concatenate([self._place(sequence) + numbers for sequence, numbers in clip]) for clip in shown]
        return self.frames[on_device(torch.from_numpy(np.stack(places)), self.frames.device)].expand(-1, -1, -1, -1, 3)

    def _place(self, sequence: SequenceRecord) -> int:
        """Return where a sequence's frames begin; two threads that bring them at once bring the same."""
        start = self._starts[sequence.name]
        if sequence.name not in self._there:
            decoded = torch.from_numpy(self._store.decoded(sequence))
            self.frames[start : start + sequence.frames] = on_device(decoded, self.frames.device)
            self._there.add(sequence.name)
        return start


AT_ONCE, AT_ONCE_BYTES = 4, 64 * 2**20
"""Batches that an accelerator makes together at most, and bytes of their normalised clips."""


@dataclass(frozen=True)
class Batch:
    """Normalised clips (B, S, 3, H, W), expression and face labels (B,), and the sequences they came from.

    `takes` (B,) says which clips show the same performance by twins: they have the same number; -1: nobody has a twin.
    """

    clips: Tensor
    expressions: Tensor
    faces: Tensor
    takes: Tensor
    sequences: tuple[SequenceRecord, ...]

    def parted(self, sizes: list[int]) -> "list[Batch]":
        """Return the batches of these sizes that it is made of."""
        tensors = (own.split(sizes) for own in (self.clips, self.expressions, self.faces, self.takes))
        ends = np.cumsum(sizes).tolist()
        return [
            Batch(clips, expressions, faces, takes, self.sequences[end - size : end])
            for clips, expressions, faces, takes, end, size in zip(*tensors, ends, sizes, strict=True)
        ]


class Clips:
    """Clips of some sequences as batches.

    Args:
        store: where frames come from.
        sequences: the only sequences that are ever read.
        frames: S.
        image_size: side of the crops.
        face_labels: face label of a subject (or sequence) name; those not in it get -1.
        part: number of this process, from 0 on, and how many share the clips.
        device: where batches lie. On an accelerator clips are cut, changed and normalised there; all frames of the set lie
            there, too, if they have room (`FrameStore.clips`). Random numbers are drawn on the processor: clips are the
            same everywhere, up to rounding.
    """

    def __init__(
        self,
        store: FrameStore,
        sequences: list[SequenceRecord],
        frames: int,
        image_size: int,
        face_labels: dict[str, int] | None = None,
        part: tuple[int, int] = (0, 1),
        device: torch.device = CPU,
    ) -> None:
        self.store, self.sequences, self.frames, self.image_size = store, sequences, frames, image_size
        self.part, self.device = part, device
        self.face_labels = face_labels or {}
        self.expressions = store.dataset.expressions
        self._takes = {name: k for k, name in enumerate(dict.fromkeys(one.take for one in sequences if one.take))}
        self._own: dict[str, list[SequenceRecord]] = {}
        for sequence in sequences:
            self._own.setdefault(sequence.subject, []).append(sequence)

    def __len__(self) -> int:
        return len(self.sequences)

    def counts(self) -> np.ndarray:
        """Return how many sequences each expression has, (K,)."""
        numbers = [self.expressions.index(sequence.expression) for sequence in self.sequences]
        return np.bincount(numbers, minlength=len(self.expressions))

    def training(self, epoch: int, batch_size: int, seed: int, skip: int = 0, together: int = 1) -> Iterator[Batch]:
        """Yield the batches of an epoch (from 1 on) in random order; the last is left out if it holds a single clip.

        Every clip has its own random numbers. Where several processes share the work, each gets its part of every
        batch, and clips that cannot be dealt out evenly, two to each at least, are left out.

        Args:
            skip: so many batches at the beginning are passed over.
            together: so many twins follow each other where they show the same take, and are cut alike: they have the same
                random numbers for everything that moves the face, and their own for everything else.
        """
        for name in ("stills", "reference"):
            if getattr(self.store.settings, name) and "neutral" not in self.expressions:
                raise InputError(
                    f"data.{name} needs sequences of neutral, and {self.store.dataset.folder} has none; set it to 0"
                )
        if self.store.settings.reference and self.frames < 2:
            raise InputError(f"data.reference needs clips of at least 2 frames, and model.frames is {self.frames}")
        rng = np.random.default_rng([seed, epoch, 3])
        order, first = self._order(rng, together)
        places = [np.arange(k, min(k + batch_size, len(order))) for k in range(0, len(order), batch_size)]
        if len(places) > 1 and len(places[-1]) == 1:
            places.pop()
        part, parts = self.part
        if parts > 1:
            if min(batch_size, len(order)) < 2 * parts:
                raise InputError(
                    f"{parts} processes share batches of {min(batch_size, len(order))} clips, expected at least two for "
                    "each; use fewer processes or a larger --train.batch-size"
                )
            even = [group[: len(group) // parts * parts] for group in places]
            places = [np.split(group, parts)[part] for group in even if len(group) >= 2 * parts]
        share = min(1.0, epoch / (self.store.settings.augment_ramp + 1))

        def load(groups: list[np.ndarray]) -> list[Batch]:
            places = np.concatenate(groups)
            rngs = [np.random.default_rng([seed, epoch, 4, place]) for place in first[places]]
            own = [np.random.default_rng([seed, epoch, 6, place]) for place in places] if together > 1 else rngs
            return self._training_batch(order[places], rngs, own, share).parted([len(group) for group in groups])

        several = self._batches_at_once(batch_size)
        chunks = [places[k : k + several] for k in range(skip, len(places), several)]
        return chain.from_iterable(ahead(load, chunks))

    def _batches_at_once(self, batch_size: int) -> int:
        """Return how many batches are made together: on an accelerator several small ones, each step of which takes as long
        to start as that of a large one."""
        if self.device.type == "cpu":
            return 1
        return max(1, min(AT_ONCE, AT_ONCE_BYTES // (batch_size * self.frames * 3 * self.image_size**2 * 4)))

    def _order(self, rng: np.random.Generator, together: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the order of an epoch's sequences, and the place of the first of its twins for each place."""
        units = self._twins(rng, together) if together > 1 else list(np.arange(len(self.sequences))[:, None])
        if self.store.settings.sampling == "balanced":
            counts = self.counts()
            own = np.array([counts[self.expressions.index(self.sequences[unit[0]].expression)] for unit in units])
            drawn = rng.choice(len(units), len(units), p=1 / own / (1 / own).sum())
        else:
            drawn = rng.permutation(len(units))
        chosen = sorted((units[k] for k in drawn), key=len, reverse=True)  # whole ones first: batches do not part them
        lengths = [len(unit) for unit in chosen]
        return np.concatenate(chosen), np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)

    def _twins(self, rng: np.random.Generator, together: int) -> list[np.ndarray]:
        """Return the numbers of all sequences, those of a take in random groups of `together`; the rest are smaller."""
        takes: dict[str, list[int]] = {}
        for k, sequence in enumerate(self.sequences):
            takes.setdefault(sequence.take or f" {k}", []).append(k)
        return [
            part
            for take in takes.values()
            for part in np.split(rng.permutation(take), range(together, len(take), together))
        ]

    def testing(self, batch_size: int) -> Iterator[Batch]:
        """Yield all clips in order: middle frames, centre crops. Several processes get every n-th clip each, n of them."""
        part, parts = self.part
        order = np.arange(part, len(self.sequences), parts)
        return ahead(self._testing_batch, [order[k : k + batch_size] for k in range(0, len(order), batch_size)])

    def _training_batch(self, group: np.ndarray, rngs: Rngs, own: Rngs, share: float) -> Batch:
        data = self.store.settings
        drawn = [self._drawn(self.sequences[k], rng) for k, rng in zip(group, rngs, strict=True)]
        clips = self.store.clips([frames for frames, _ in drawn], self.device)
        shown = [expression for _, expression in drawn]
        pixels = augmented(
            clips, self.image_size, rngs, data.augment, data.normalise, share, data.bend, self.device, own
        )
        return self._batch(pixels, group, shown)

    def _drawn(self, sequence: SequenceRecord, rng: np.random.Generator) -> tuple[Shown, str]:
        """Return which S frames a training clip of a sequence has, and the expression that they show."""
        data = self.store.settings
        if data.stills and rng.random() < data.stills:
            calm = sequence.frames > 1 and rng.random() < CALM
            numbers = np.full(self.frames, 0 if calm else sequence.frames - 1)
            return [(sequence, numbers)], "neutral" if calm else sequence.expression
        if data.reference and rng.random() < data.reference:
            return self._after_reference(sequence, rng)
        numbers = random_frames(sequence.frames, self.frames, rng)
        if data.backwards and rng.random() < data.backwards:
            numbers = numbers[::-1]
        return [(sequence, numbers)], sequence.expression

    def _after_reference(self, sequence: SequenceRecord, rng: np.random.Generator) -> tuple[Shown, str]:
        """Return a calm frame of the person and then what the person shows, as for `_drawn`."""
        own = self._own[sequence.subject]
        calm_one = sequence if rng.random() < 0.5 else own[int(rng.integers(len(own)))]
        calm = sequence.frames > 1 and rng.random() < CALM
        half = sequence.frames // 2
        later = half + random_frames(sequence.frames - half, self.frames - 1, rng)
        numbers = np.zeros(self.frames - 1, np.int64) if calm else later
        shown = [(calm_one, np.zeros(1, np.int64)), (sequence, numbers)]
        return shown, "neutral" if calm else sequence.expression

    def _testing_batch(self, group: np.ndarray) -> Batch:
        chosen = [self.sequences[k] for k in group]
        frames: list[Shown] = [[(one, middle_frames(one.frames, self.frames))] for one in chosen]
        clips = centre_crop(self.store.clips(frames, self.device), self.image_size)
        shown = [sequence.expression for sequence in chosen]
        return self._batch(to_network(clips, self.store.settings.normalise, self.device), group, shown)

    def _batch(self, pixels: Tensor, group: np.ndarray, shown: list[str]) -> Batch:
        chosen = tuple(self.sequences[k] for k in group)
        faces = [self.face_labels.get(face_of(sequence, self.store.settings), -1) for sequence in chosen]
        return Batch(
            pixels,
            on_device(torch.tensor([self.expressions.index(name) for name in shown]), self.device),
            on_device(torch.tensor(faces), self.device),
            on_device(torch.tensor([self._takes.get(sequence.take, -1) for sequence in chosen]), self.device),
            chosen,
        )


Group = TypeVar("Group")
Ready = TypeVar("Ready")
LOADERS = max(1, min(8, (os.cpu_count() or 1) // 4))
"""Threads that load batches ahead; the cores are the network's, where there is no accelerator."""


def ahead(load: Callable[[Group], Ready], groups: Iterable[Group]) -> Iterator[Ready]:
    """Yield the groups' batches in order; threads load the next ones while one is used."""
    # one thread each for the loaders' own tensor work: a second team would take the cores from the network's
    with ThreadPoolExecutor(LOADERS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        coming = iter(groups)
        waiting = deque(pool.submit(load, group) for group in islice(coming, LOADERS))
        while waiting:
            ready = waiting.popleft().result()
            waiting.extend(pool.submit(load, group) for group in islice(coming, 1))
            yield ready


def face_of(sequence: SequenceRecord, data: DataSettings) -> str:
    """Return what names the face of a sequence: its subject, or the sequence itself."""
    return sequence.subject if data.face_label == "subject" else sequence.name


def face_labels(sequences: list[SequenceRecord], data: DataSettings) -> dict[str, int]:
    """Number the faces of some sequences, in order of first appearance."""
    names = dict.fromkeys(face_of(sequence, data) for sequence in sequences)
    return {name: number for number, name in enumerate(names)}
