"""Face pretraining (Section 3.2, Fig. 3): SE-ResNet-18 learns who is who; its halves become F and A."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from accelerate import Accelerator
from torch import nn

from tfen import processes
from tfen.config import Settings
from tfen.data.clips import FrameStore, ahead, face_of
from tfen.data.prepared import SequenceRecord
from tfen.data.transforms import augmented, centre_crop, on_device, to_network
from tfen.models.seresnet import LowerHalf, UpperHalf
from tfen.models.weights import load_imagenet
from tfen.processes import averaged, gathered, gathered_rows, seed_step
from tfen.training.checkpoints import Checkpointer
from tfen.training.devices import prepare_network
from tfen.training.loop import Done, Figures, Loop, Place
from tfen.training.optimisers import make_optimiser


class FaceNetwork(nn.Module):
    """F followed by A: frames (B, 3, H, W) to face scores (B, N)."""

    def __init__(self, faces: int, width: int, dropout: float = 0.0, block: str = "original") -> None:
        super().__init__()
        self.lower = LowerHalf(width, block)
        self.upper = UpperHalf(faces, width, dropout, block)

    def forward(self, frames_BCHW: torch.Tensor) -> torch.Tensor:
        return self.upper(self.lower(frames_BCHW))


@dataclass(frozen=True)
class FacePretraining:
    """The trained network, its recognition rate on the held-out fifth of the frames, and the epochs' figures."""

    network: FaceNetwork
    accuracy: float | None
    history: list[dict[str, Any]]


def split_frames(sequences: list[SequenceRecord], settings: Settings, seed: int) -> tuple[list, list]:
    """Split each face's frames 4:1 at random; a face with fewer than five frames gives all to training.

    Returns:
        two lists of (sequence, frame number): for training, and held out.
    """
    by_face: dict[str, list[tuple[SequenceRecord, int]]] = {}
    for sequence in sequences:
        by_face.setdefault(face_of(sequence, settings.data), []).extend((sequence, k) for k in range(sequence.frames))
    rng = np.random.default_rng([seed, 5])
    train, held_out = [], []
    for frames in by_face.values():
        order = rng.permutation(len(frames))
        fifth = len(frames) // 5
        held_out += [frames[k] for k in order[:fifth]]
        train += [frames[k] for k in order[fifth:]]
    return train, held_out


def pretrain_faces(
    store: FrameStore,
    sequences: list[SequenceRecord],
    labels: dict[str, int],
    settings: Settings,
    accelerator: Accelerator,
    seed: int,
    start: LowerHalf | None = None,
    checkpointer: Checkpointer | None = None,
) -> FacePretraining:
    """Train the face network on the frames of `sequences`; the held-out fifth only reports and picks the epoch.

    Args:
        labels: face label of each face, as `tfen.data.clips.face_labels` numbers them.
        start: F of a trained network to start from.
        checkpointer: keeps checkpoints; a pretraining that was interrupted goes on from the last.
    """
    face = settings.face
    train, held_out = split_frames(sequences, settings, seed)
    torch.manual_seed(seed)
    network = _face_network(len(labels), settings, start)
    prepare_network(network, settings.train, accelerator)
    optimiser = accelerator.prepare_optimizer(make_optimiser([network], face.lr, settings.train))
    frames = _Frames(store, train, labels, settings, accelerator.device, seed)
    tested = _Frames(store, held_out, labels, settings, accelerator.device, seed)

    def step(given: _Given, place: Place) -> Done:
        number = (place.epoch - 1) * frames.steps + place.step
        seed_step(seed, 0, number)
        network.train()
        pixels, numbers = given
        with accelerator.autocast():
            scores, numbers = gathered(network(pixels)), gathered(numbers)
            loss = functional.cross_entropy(scores.float(), numbers)
        for group in optimiser.param_groups:
            group["lr"] = face.lr * (1 + math.cos(math.pi * number / (face.epochs * frames.steps))) / 2
        optimiser.zero_grad()
        accelerator.backward(loss)
        averaged([network])
        optimiser.step()
        right, count = (scores.argmax(1) == numbers).sum(), len(numbers)
        return Done({"loss": loss.detach().double() * count, "accuracy": right}, count, count)

    def measure(epoch: int) -> Figures:
        return {"held_out_accuracy": _recognised(network.eval(), tested, accelerator)} if held_out else {}

    loop = Loop(
        phase="faces",
        title="face pretraining",
        unit="frames",
        epochs=face.epochs,
        items=len(train),
        batch_size=face.batch_size,
        batches=frames.batches,
        step=step,
        measure=measure,
        parts={"network": network, "optimiser": optimiser},
        best_by="held_out_accuracy",
        best_of=network,
        note=lambda figures: " ".join(f"{name} {value:.3f}" for name, value in figures.items() if name != "epoch"),
        advice="a lower --face.lr, or --train.precision no, may help",
    )
    history = loop.run(checkpointer)
    if history.best_weights:
        network.load_state_dict(history.best_weights)
    return FacePretraining(network, history.best if history.best_weights else None, history.epochs)


def _face_network(faces: int, settings: Settings, start: LowerHalf | None) -> FaceNetwork:
    """Return the network to train: random, from ImageNet, its F from another network where that fits."""
    model = settings.model
    network = FaceNetwork(faces, model.width, model.adversary_dropout, model.block)
    if settings.face.init == "imagenet":
        load_imagenet(network.lower, network.upper)
    if start is not None and start.layer0["conv1"].weight.shape == network.lower.layer0["conv1"].weight.shape:
        network.lower.load_state_dict(start.state_dict())
    return network


_Frame = tuple[SequenceRecord, int]
"""A sequence and the number of a frame of it."""
_Picked = list[tuple[int, _Frame]]
"""Frames, and their places in an epoch's random order."""
_Given = tuple[torch.Tensor, torch.Tensor]
"""Frames (B, 3, H, W) and their face labels (B,), on the device."""


class _Frames:
    """Single frames and whose faces they are, this process's part of every batch."""

    def __init__(
        self,
        store: FrameStore,
        frames: list[_Frame],
        labels: dict[str, int],
        settings: Settings,
        device: torch.device,
        seed: int,
    ) -> None:
        self.store, self.frames, self.labels, self.settings = store, frames, labels, settings
        self.device, self.seed, self.size = device, seed, settings.face.batch_size
        self.steps = max(1, -(-len(frames) // self.size))

    def batches(self, epoch: int, skip: int) -> Iterator[_Given]:
        """Yield what each step of an epoch takes, but for so many at its beginning; loaded ahead by threads."""
        return ahead(partial(self._training, epoch), self._picked(epoch, skip))

    def _picked(self, epoch: int, skip: int) -> Iterator[_Picked]:
        part, parts = processes.part()
        order = np.random.default_rng([self.seed, epoch - 1, 6]).permutation(len(self.frames))
        for step in range(skip, self.steps):
            places = np.arange(step * self.size, min((step + 1) * self.size, len(self.frames)))
            if len(places) >= 2 * parts:
                own = np.split(places[: len(places) // parts * parts], parts)[part]
                yield [(int(place), self.frames[order[place]]) for place in own]

    def _training(self, epoch: int, picked: _Picked) -> _Given:
        rngs = [np.random.default_rng([self.seed, epoch - 1, 7, place]) for place, _ in picked]
        chosen, data = [frame for _, frame in picked], self.settings.data
        size = self.settings.model.image_size
        pixels = augmented(self._stored(chosen), size, rngs, data.augment, data.normalise, device=self.device)
        return pixels[:, 0], self._numbers(chosen)

    def testing(self, count: int) -> Iterator[_Given]:
        """Yield this process's frames in order, `count` at a time, their middles."""
        part, parts = processes.part()
        own = self.frames[part::parts]
        return ahead(self._testing, (own[k : k + count] for k in range(0, len(own), count)))

    def _testing(self, chosen: list[_Frame]) -> _Given:
        clips = centre_crop(self._stored(chosen), self.settings.model.image_size)
        return to_network(clips, self.settings.data.normalise, self.device)[:, 0], self._numbers(chosen)

    def _stored(self, chosen: list[_Frame]) -> torch.Tensor:
        return self.store.clips([[(sequence, np.array([k]))] for sequence, k in chosen], self.device)

    def _numbers(self, chosen: list[_Frame]) -> torch.Tensor:
        numbers = [self.labels[face_of(sequence, self.settings.data)] for sequence, _ in chosen]
        return on_device(torch.tensor(numbers), self.device)


@torch.no_grad()
def _recognised(network: FaceNetwork, tested: _Frames, accelerator: Accelerator) -> float:
    """Return the share of frames whose face the network recognises."""
    with accelerator.autocast():
        hits = [(network(pixels).argmax(1) == numbers).sum() for pixels, numbers in tested.testing(256)]
    return sum(gathered_rows([int(hit) for hit in hits])) / len(tested.frames)
