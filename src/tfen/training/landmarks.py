"""Training of the landmark network on a synthetic set whose frames show the whole head (`tfen synth --framing 1.6`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from tfen.config import CHECKPOINT_MINUTES
from tfen.data.folds import validation_split
from tfen.data.prepared import PreparedSet, SequenceRecord
from tfen.data.transforms import on_device
from tfen.device import DeviceName, device_named
from tfen.errors import InputError
from tfen.faces.landmarks import SIDE, LandmarkNetwork, around, look, standardised
from tfen.files import must_be_new, write_json
from tfen.folders import Format, claim
from tfen.inference.prediction import device_of
from tfen.models.weights import save_weights
from tfen.progress import say
from tfen.stopping import Stop
from tfen.training.checkpoints import Checkpointer
from tfen.training.loop import Done, Loop, Place
from tfen.training.occluders import neighbour, no_face, occluded
from tfen.video.photographs import read_image

Array = np.ndarray
TRAINING = Format("a training of the landmark network", "training.json")
RIGHT = 0.1
"""Mean distance of the points, in distances of the outer eye corners, below which landmarks are right."""
SURE, LEFT_OUT = 0.95, 0.005
"""Share of what the network is sure of that is right; share of the right landmarks that are more doubtful than possible."""
FLIPPED = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36]
    + [41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]
)
"""Which landmark each one becomes in a mirror."""


def train_landmarks(
    dataset: PreparedSet,
    out: Path,
    epochs: int = 30,
    batch_size: int = 64,
    lr: float = 2e-3,
    width: int = 24,
    seed: int = 0,
    minutes: float = CHECKPOINT_MINUTES,
    stop: Stop | None = None,
    device: DeviceName = "cpu",
) -> dict[str, Any]:
    """Train on a synthetic set, write `landmarks.safetensors` (half precision) and `config.json`; return the figures.

    A twelfth of the subjects is held out; the error on them is the mean distance of the 68 points over the distance of
    the outer eye corners. How doubtful landmarks may be is found on them, too (`_gate`). An interrupted training goes on
    from its last checkpoint, which lies in `out` until it is done.

    Args:
        minutes: between checkpoints.
        stop: whether somebody asks for the end.
        device: where the network learns.

    Raises:
        InputError: the set has no landmarks, or `out` holds something else, or a training with other settings.
    """
    checkpoints = Checkpointer(out / "checkpoint", minutes, stop)
    must_be_new(out, but=checkpoints.folder)
    begun = {"set": dataset.content, "epochs": epochs, "batch_size": batch_size, "lr": lr, "width": width, "seed": seed}
    held_out = validation_split(dataset.groups, 1 / 12, np.random.default_rng([seed, 2]))
    train = _load(dataset, dataset.of_subjects(set(dataset.subjects) - held_out))
    test = _load(dataset, dataset.of_subjects(held_out))
    torch.manual_seed(seed)
    network = LandmarkNetwork(width).to(device_named(device)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    claim(out / "checkpoint", TRAINING, begun)
    history = _loop(network, train, test, epochs, batch_size, lr, seed).run(checkpoints)
    gate = _gate(network.eval(), test, np.random.default_rng([seed, 11]))
    network.limits.copy_(torch.tensor(gate[:2]))
    save_weights(out / "landmarks.safetensors", {name: value.half() for name, value in network.state_dict().items()})
    figures = {
        "faces": len(train),
        "subjects": len(dataset.subjects) - len(held_out),
        "held_out_subjects": len(held_out),
        "held_out_error": history.epochs[-1]["error"],
        **dict(zip(("sure", "possible", "recall", "precision"), gate, strict=True)),
        "epochs": epochs,
        "width": width,
        "seed": seed,
    }
    write_json(out / "config.json", figures)
    checkpoints.clear()
    return figures


_Face = tuple[Array, Array]
"""A grey frame and its landmarks."""


def _loop(
    network: LandmarkNetwork,
    train: list[_Face],
    test: list[_Face],
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
) -> Loop[list[_Face]]:
    """Return the training of a network: AdamW under one rise and fall of the learning rate.

    Every epoch and every step has its own random numbers, so that a training goes on as if nothing had stopped it.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.02)
    steps = -(-len(train) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=epochs * steps)

    def batches(epoch: int, skip: int) -> Iterator[list[_Face]]:
        network.train()
        order = np.random.default_rng([seed, 9, epoch]).permutation(len(train))
        for k in range(skip * batch_size, len(order), batch_size):
            yield [train[i] for i in order[k : k + batch_size]]

    def step(faces: list[_Face], place: Place) -> Done:
        rng = np.random.default_rng([seed, 10, place.iteration])
        squares, points = zip(*(_jittered(image, own, rng) for image, own in faces))
        covered = [_covered(own, squares[j - 1], points[j], rng) for j, own in enumerate(squares)]
        nothing = [no_face(*own, rng) for own in faces[: len(faces) // 5]]
        x = disturbed(torch.from_numpy(np.stack([*covered, *nothing])), rng)
        device, target = device_of(network), torch.from_numpy(np.stack(points)).float()
        loss = landmark_loss(network, on_device(x, device), on_device(target, device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.last_epoch = place.iteration - 1  # its state is not kept: it follows from the step
        schedule.step()
        return Done({"loss": loss.detach().double() * len(faces)}, len(faces), len(faces))

    return Loop(
        phase="landmarks",
        title="landmarks",
        unit="faces",
        epochs=epochs,
        items=len(train),
        batch_size=batch_size,
        batches=batches,
        step=step,
        measure=lambda epoch: {"error": _error(network.eval(), test)},
        parts={"network": network, "optimiser": optimiser},
        note=lambda one: f"epoch {one['epoch']}: loss {one['loss']:.5f}, error on held-out subjects {one['error']:.4f}",
    )


def landmark_loss(network: LandmarkNetwork, x_B1HW: Tensor, target_BP2: Tensor) -> Tensor:
    """Return the loss: distance of the points, and cross-entropy of each heat map with a blob of one cell at its point.

    Squares after those that have a target show no face: their heat maps shall be even, so that doubt is learned.

    Without the second part a map may spread over the whole face and still have its centre of mass in the right place;
    then points follow the mean face instead of what is seen (regularisation as in Nibali et al. 2018).
    """
    everything = network.heat_maps(x_B1HW)
    heat, nothing = everything[: len(target_BP2)], everything[len(target_BP2) :]
    points = network.points_and_spreads(heat)[0]
    middles: Tensor = network.middles  # type: ignore[assignment]
    cell = middles[1] - middles[0]
    x, y = (torch.exp(-0.5 * ((target_BP2[..., k, None] - middles) / cell) ** 2) for k in (0, 1))
    blob = (y[..., :, None] * x[..., None, :]).flatten(2)
    blob = blob / blob.sum(2, keepdim=True).clamp_min(1e-6)
    crossed = -(blob * heat.flatten(2).log_softmax(2)).sum(2).mean()
    even = -nothing.flatten(2).log_softmax(2).mean() if len(nothing) else 0.0
    return 10 * functional.smooth_l1_loss(points, target_BP2, beta=0.01) + 0.1 * crossed + 0.02 * even


def _load(dataset: PreparedSet, sequences: list[SequenceRecord]) -> list[tuple[Array, Array]]:
    """Return grey frames and their landmarks."""
    out = []
    for one in sequences:
        points = dataset.truth(one, "landmarks", (68, 2))
        if points is None:
            raise InputError(
                f"{dataset.folder} does not know the landmarks of {one.name}; sets made by `tfen synth` alone do"
            )
        for path, own in zip(dataset.frame_files(one), points):
            out.append((cv2.cvtColor(np.ascontiguousarray(read_image(path)), cv2.COLOR_RGB2GRAY), own))
    return out


def _jittered(image: Array, points: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return a look at a face as a detector might give it, and its points in sides of the square; half are mirrored."""
    if rng.random() < 0.5:
        image = image[:, ::-1]
        points = (points * [-1, 1] + [image.shape[1] - 1, 0])[FLIPPED]
    middle, side = around(points)
    side *= float(np.exp(rng.normal(0, 0.13)))
    centre = middle + rng.normal(0, 0.06, 2) * side
    angle = float(rng.normal(0, 0.22))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return _warped(look(image, centre, side, angle), (points - centre) @ turn.T / side + 0.5, rng)


def _covered(square: Array, other: Array, points: Array, rng: np.random.Generator) -> Array:
    """Return a face as it is met outside: beside another one now and then, and with something before it in half."""
    if rng.random() < 0.15:
        square = neighbour(square, points, other, rng)
    return occluded(square, points, rng)


def _warped(square: Array, points: Array, rng: np.random.Generator, size: float = 0.03) -> tuple[Array, Array]:
    """Return a face with other proportions: stretched along one axis, and bent by a smooth random field.

    Args:
        square: (64, 64).
        points: (68, 2) in sides of the square.
        size: standard deviation of the field at its knots, in sides of the square.
    """
    knots = rng.normal(0, size, (2, 5, 5)) * rng.random()
    knots[0] += np.linspace(-0.5, 0.5, 5) * rng.normal(0, 0.07)
    knots[1] += np.linspace(-0.5, 0.5, 5)[:, None] * rng.normal(0, 0.07)
    field = np.stack([cv2.resize(own, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for own in knots]).astype(np.float32)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    bent = cv2.remap(
        square, x + field[0] * SIDE, y + field[1] * SIDE, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    there = points.copy()
    for _ in range(4):  # the place whose field leads back to the point
        at = np.clip(np.round(there * SIDE - 0.5).astype(int), 0, SIDE - 1)
        there = points - field[:, at[:, 1], at[:, 0]].T
    return bent, there.astype(np.float32)


def disturbed(squares_BHW: Tensor, rng: np.random.Generator) -> Tensor:
    """Return squares as another camera might have seen them: gamma, gradient of light, blur, noise, cut-outs."""
    count = len(squares_BHW)

    def draw(spread: float) -> Tensor:
        return torch.from_numpy(rng.uniform(-spread, spread, count).astype(np.float32)).view(count, 1, 1)

    x = (squares_BHW.float() / 255).clamp(1e-3, 1) ** torch.exp(draw(0.7))
    ramp = torch.linspace(-0.5, 0.5, SIDE)
    x = x * (1 + draw(0.8) * ramp.view(1, SIDE) + draw(0.8) * ramp.view(SIDE, 1)).clamp_min(0.15)
    if rng.random() < 0.4:
        low = int(SIDE * rng.uniform(0.3, 0.9))
        small = functional.interpolate(x.unsqueeze(1), size=low, mode="area")
        x = functional.interpolate(small, size=SIDE, mode="bilinear").squeeze(1)
    out = standardised(x)
    out = out * torch.where(torch.from_numpy(rng.random(count) < 0.03), -1.0, 1.0).view(count, 1, 1, 1)
    out = out + torch.from_numpy(rng.standard_normal(out.shape, np.float32)) * rng.uniform(0, 0.25)
    for k in range(count):
        if rng.random() < 0.3:
            height, width = (int(SIDE * share) for share in rng.uniform(0.1, 0.4, 2))
            top, left = int(rng.integers(0, SIDE - height)), int(rng.integers(0, SIDE - width))
            out[k, :, top : top + height, left : left + width] = float(rng.normal())
    return out


def _error(network: LandmarkNetwork, test: list[tuple[Array, Array]]) -> float:
    total = 0.0
    with torch.inference_mode():
        for k in range(0, len(test), 256):
            group = test[k : k + 256]
            squares, sides = [], []
            for image, points in group:
                centre, side = around(points)
                squares.append(look(image, centre, side))
                sides.append((centre, side))
            predicted = network(on_device(standardised(np.stack(squares)), device_of(network))).cpu().numpy()
            for (_, points), own, (centre, side) in zip(group, predicted, sides):
                eyes = float(np.linalg.norm(points[36] - points[45]))
                total += float(np.linalg.norm(centre + (own - 0.5) * side - points, axis=1).mean()) / eyes
    return total / len(test)


def _gate(network: LandmarkNetwork, test: list[_Face], rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Return how doubtful landmarks may be, from people held out, and how well that tells right ones from wrong ones.

    Half of the faces have something before them, and there are as many squares without a face. Landmarks are right if they
    lie near the true ones (`RIGHT`).

    Returns:
        the largest doubt up to which `SURE` of the landmarks are right; the doubt that no more than `LEFT_OUT` of the right
        ones exceed; and, at the first, the share of the right ones that are kept (recall) and of the kept ones that are
        right (precision).
    """
    squares: list[Array] = []
    targets: list[Array] = []
    for image, points in test:
        square, own = _jittered(image, points, rng)
        squares.append(_covered(square, squares[-1] if squares else square, own, rng))
        targets.append(own)
    squares += [no_face(image, points, rng) for image, points in test]
    found, doubts = [], []
    with torch.inference_mode():
        for k in range(0, len(squares), 256):
            seen = disturbed(torch.from_numpy(np.stack(squares[k : k + 256])), rng)
            points_BP2, spreads = network.points_and_spreads(network.heat_maps(on_device(seen, device_of(network))))
            found.append(points_BP2.cpu().numpy())
            doubts.append(spreads.mean(1).cpu().numpy())
    doubt, truth = np.concatenate(doubts), np.stack(targets)
    apart = np.linalg.norm(np.concatenate(found)[: len(truth)] - truth, axis=2).mean(1)
    right = np.zeros(len(squares), bool)
    right[: len(truth)] = apart / np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1) < RIGHT
    if not right.any():
        say("none of the landmarks of the people held out are right yet, so all are kept; train longer")
        return np.inf, np.inf, 0.0, 0.0
    order = np.argsort(doubt)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    within = np.flatnonzero(share >= SURE)
    sure = float(doubt[order[within[-1]]]) if len(within) else 0.0
    kept = doubt <= sure
    possible = max(sure, float(np.quantile(doubt[right], 1 - LEFT_OUT)))
    return sure, possible, float((kept & right).sum() / right.sum()), float((kept & right).sum() / max(1, kept.sum()))
