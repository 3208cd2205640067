"""Face pretraining (Section 3.2, Fig. 3): SE-ResNet-18 learns who is who; its halves become F and A."""

import math
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from accelerate import Accelerator
from torch import nn

from tfen.config import Settings
from tfen.data.clips import FrameStore, face_of
from tfen.data.prepared import SequenceRecord
from tfen.data.transforms import augmented, centre_crop, to_network
from tfen.models.seresnet import LowerHalf, UpperHalf
from tfen.models.weights import load_imagenet
from tfen.progress import meter
from tfen.training import processes
from tfen.training.adversarial import prepare_network
from tfen.training.checkpoints import Checkpointer, Part
from tfen.training.optimisers import make_optimiser
from tfen.training.processes import averaged, gathered, gathered_rows, seed_step


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


@dataclass
class FaceHistory:
    """How the pretraining has gone so far: sums over the epoch at hand, figures of those that are done, the best."""

    loss: float = 0.0
    right: int = 0
    seen: int = 0
    best: float = -1.0
    epochs: list[dict[str, Any]] = field(default_factory=list)

    def add(self, loss: float, right: int, seen: int) -> None:
        self.loss, self.right, self.seen = self.loss + loss * seen, self.right + right, self.seen + seen

    def means(self) -> dict[str, float]:
        return {"loss": self.loss / max(self.seen, 1), "accuracy": self.right / max(self.seen, 1)}

    def end_epoch(self, figures: dict[str, Any]) -> None:
        self.epochs.append(figures)
        self.loss, self.right, self.seen = 0.0, 0, 0


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
    face, checkpointer = settings.face, checkpointer or Checkpointer()
    torch.manual_seed(seed)
    model = settings.model
    network = FaceNetwork(len(labels), model.width, model.adversary_dropout, model.block)
    if face.init == "imagenet":
        load_imagenet(network.lower, network.upper)
    if start is not None and start.layer0["conv1"].weight.shape == network.lower.layer0["conv1"].weight.shape:
        network.lower.load_state_dict(start.state_dict())
    train, held_out = split_frames(sequences, settings, seed)
    network = network.to(accelerator.device)
    prepare_network(network, settings.train, accelerator)
    optimiser = accelerator.prepare_optimizer(make_optimiser([network], face.lr, settings.train))
    size, part, parts = face.batch_size, processes.number(), processes.count()
    steps = max(1, -(-len(train) // size))
    history, best, first, skip = FaceHistory(), dict[str, torch.Tensor](), 0, 0
    keeping: dict[str, Part] = {"network": network, "optimiser": optimiser, "best": best}
    kept = checkpointer.restore("faces", keeping)
    if kept is not None:
        first, skip, history = kept["epoch"], kept["step"], FaceHistory(**kept["course"])

    def batch(group: list, rngs: list[np.random.Generator] | None) -> tuple[torch.Tensor, torch.Tensor]:
        frames = np.stack([store.frames(sequence, np.array([k])) for sequence, k in group])
        clips = torch.from_numpy(frames)
        pixels_side, normalise = settings.model.image_size, settings.data.normalise
        if rngs is None:
            pixels = to_network(centre_crop(clips, pixels_side), normalise)
        else:
            pixels = augmented(clips, pixels_side, rngs, settings.data.augment, normalise)
        numbers = torch.tensor([labels[face_of(sequence, settings.data)] for sequence, _ in group])
        return pixels[:, 0].to(accelerator.device), numbers.to(accelerator.device)

    def standing(epoch: int, step: int) -> dict[str, Any]:
        return {"epoch": epoch, "step": step, "course": asdict(history)}

    done = first * len(train) + skip * size
    with meter("face pretraining", face.epochs * len(train), "frames", done) as progress:
        for epoch in range(first, face.epochs):
            network.train()
            order = np.random.default_rng([seed, epoch, 6]).permutation(len(train))
            for step in range(skip, steps):
                places = np.arange(step * size, min((step + 1) * size, len(order)))
                if len(places) < 2 * parts:
                    continue
                places = np.split(places[: len(places) // parts * parts], parts)[part]
                seed_step(seed, 0, epoch * steps + step)
                rngs = [np.random.default_rng([seed, epoch, 7, int(place)]) for place in places]
                pixels, numbers = batch([train[order[place]] for place in places], rngs)
                with accelerator.autocast():
                    scores, numbers = gathered(network(pixels)), gathered(numbers)
                    loss = functional.cross_entropy(scores.float(), numbers)
                for group in optimiser.param_groups:
                    group["lr"] = face.lr * (1 + math.cos(math.pi * (epoch * steps + step) / (face.epochs * steps))) / 2
                optimiser.zero_grad()
                accelerator.backward(loss)
                averaged([network])
                optimiser.step()
                history.add(loss.item(), int((scores.argmax(1) == numbers).sum()), len(numbers))
                progress.advance(len(numbers))
                checkpointer.step_done("faces", keeping, partial(standing, epoch, step + 1))
            figures = {"epoch": epoch + 1, **history.means()}
            if held_out:
                network.eval()
                own = held_out[part::parts]
                hits = []
                with torch.no_grad(), accelerator.autocast():
                    for k in range(0, len(own), 256):
                        pixels, numbers = batch(own[k : k + 256], None)
                        hits += (network(pixels).argmax(1) == numbers).tolist()
                figures["held_out_accuracy"] = share = sum(gathered_rows(hits)) / len(held_out)
                if share >= history.best:
                    history.best = share
                    best.update({name: value.clone() for name, value in network.state_dict().items()})
            history.end_epoch(figures)
            skip = 0
            progress.note(" ".join(f"{name} {value:.3f}" for name, value in figures.items() if name != "epoch"))
            checkpointer.step_done("faces", keeping, partial(standing, epoch + 1, 0))
    checkpointer.save("faces", keeping, standing(face.epochs, 0))
    if best:
        network.load_state_dict(best)
    return FacePretraining(network, history.best if best else None, history.epochs)
