"""Face pretraining (Section 3.2, Fig. 3): SE-ResNet-18 learns who is who; its halves become F and A."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from accelerate import Accelerator
from torch import nn

from tfen.config import Settings
from tfen.data.clips import FrameStore, face_of
from tfen.data.prepared import Sequence
from tfen.data.transforms import augmented, centre_crop, to_network
from tfen.models.seresnet import LowerHalf, UpperHalf
from tfen.models.weights import load_imagenet
from tfen.progress import meter
from tfen.training.adversarial import make_optimiser


class FaceNetwork(nn.Module):
    """F followed by A: frames (B, 3, H, W) to face scores (B, N)."""

    def __init__(self, faces: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.lower = LowerHalf(width)
        self.upper = UpperHalf(faces, width, dropout)

    def forward(self, frames_BCHW: torch.Tensor) -> torch.Tensor:
        return self.upper(self.lower(frames_BCHW))


@dataclass(frozen=True)
class FacePretraining:
    """The trained network, its recognition rate on the held-out fifth of the frames, and the epochs' figures."""

    network: FaceNetwork
    accuracy: float | None
    history: list[dict[str, Any]]


def split_frames(sequences: list[Sequence], settings: Settings, seed: int) -> tuple[list, list]:
    """Split each face's frames 4:1 at random; a face with fewer than five frames gives all to training.

    Returns:
        two lists of (sequence, frame number): for training, and held out.
    """
    by_face: dict[str, list[tuple[Sequence, int]]] = {}
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
    sequences: list[Sequence],
    labels: dict[str, int],
    settings: Settings,
    accelerator: Accelerator,
    seed: int,
    start: LowerHalf | None = None,
) -> FacePretraining:
    """Train the face network on the frames of `sequences`; the held-out fifth only reports and picks the epoch.

    Args:
        labels: face label of each face, as `tfen.data.clips.face_labels` numbers them.
        start: F of a trained network to start from.
    """
    face = settings.face
    torch.manual_seed(seed)
    network = FaceNetwork(len(labels), settings.model.width, settings.model.adversary_dropout)
    if face.init == "imagenet":
        load_imagenet(network.lower, network.upper)
    if start is not None and start.layer0["conv1"].weight.shape == network.lower.layer0["conv1"].weight.shape:
        network.lower.load_state_dict(start.state_dict())
    train, held_out = split_frames(sequences, settings, seed)
    network = network.to(accelerator.device)
    if accelerator.device.type == "cpu":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = make_optimiser([network], face.lr, settings.train)
    steps = max(1, -(-len(train) // face.batch_size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, face.epochs * steps))
    best: tuple[float, dict[str, torch.Tensor]] | None = None
    history = []

    def batch(group: list, rng: np.random.Generator | None) -> tuple[torch.Tensor, torch.Tensor]:
        frames = np.stack([store.frames(sequence, np.array([k])) for sequence, k in group])
        clips = torch.from_numpy(frames)
        size, normalise = settings.model.image_size, settings.data.normalise
        if rng is None:
            pixels = to_network(centre_crop(clips, size), normalise)
        else:
            pixels = augmented(clips, size, rng, settings.data.augment, normalise)
        numbers = torch.tensor([labels[face_of(sequence, settings.data)] for sequence, _ in group])
        return pixels[:, 0].to(accelerator.device), numbers.to(accelerator.device)

    with meter("face pretraining", face.epochs * len(train), "frames") as progress:
        for epoch in range(face.epochs):
            network.train()
            order = np.random.default_rng([seed, epoch, 6]).permutation(len(train))
            total, right, seen = 0.0, 0, 0
            for k in range(0, len(order), face.batch_size):
                group = [train[i] for i in order[k : k + face.batch_size]]
                if len(group) < 2:
                    continue
                pixels, numbers = batch(group, np.random.default_rng([seed, epoch, 7, k]))
                with accelerator.autocast():
                    scores = network(pixels)
                    loss = functional.cross_entropy(scores.float(), numbers)
                optimiser.zero_grad()
                accelerator.backward(loss)
                optimiser.step()
                schedule.step()
                total += loss.item() * len(group)
                right += int((scores.argmax(1) == numbers).sum())
                seen += len(group)
                progress.advance(len(group))
            figures: dict[str, Any] = {
                "epoch": epoch + 1,
                "loss": total / max(seen, 1),
                "accuracy": right / max(seen, 1),
            }
            if held_out:
                network.eval()
                hits = 0
                with torch.no_grad(), accelerator.autocast():
                    for k in range(0, len(held_out), 256):
                        pixels, numbers = batch(held_out[k : k + 256], None)
                        hits += int((network(pixels).argmax(1) == numbers).sum())
                figures["held_out_accuracy"] = hits / len(held_out)
                if best is None or figures["held_out_accuracy"] >= best[0]:
                    best = (
                        figures["held_out_accuracy"],
                        {name: value.clone() for name, value in network.state_dict().items()},
                    )
            history.append(figures)
            progress.note(" ".join(f"{name} {value:.3f}" for name, value in figures.items() if name != "epoch"))
    if best is not None:
        network.load_state_dict(best[1])
    return FacePretraining(network, None if best is None else best[0], history)
