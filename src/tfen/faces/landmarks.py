"""68 landmarks of a face (the iBUG scheme; points 17 to 67 without the inner mouth's corners are the SDM's 49).

A small network of our own, trained on synthetic faces alone, whose landmarks are known exactly (`tfen train-landmarks`).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tfen.data.transforms import CPU
from tfen.errors import InputError
from tfen.faces.align import square
from tfen.faces.box import Box
from tfen.faces.detection import Face
from tfen.models.folding import folded

Array = np.ndarray
POINTS = 68
SIDE = 64
"""Pixels along each side of what the network sees, grey."""
AROUND_BOX = 1.45
"""Side of the first look in sides of a detector's box."""
AROUND_POINTS = 1.3
"""Side of a further look in sides of the square around the landmarks that the one before found."""
LOOKS = 2
"""Looks at a face, each centred on what the one before found."""
MOST_APART = 0.2
"""Mean distance of eyes, nose and mouth from where the detector sees them, in distances of the outer eye corners, at most."""
ELSEWHERE, MOST_SPREAD = ((0.1, 0.05, 0.88), (-0.1, -0.05, 1.14)), 0.05
"""Boxes to look from again: shifts to the right and down in the box's sides, and its size; and how far apart the landmarks
may lie that are found from there, in distances of the outer eye corners."""
PACKAGED = Path(__file__).parent / "landmarks.safetensors"


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; halves the size if asked for."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class LandmarkNetwork(nn.Module):
    """Grey squares (B, 1, 64, 64), zero mean and unit deviation each, to points (B, 68, 2) in sides of the square.

    Coarse features find the face, fine ones its points: one heat map for each point, whose centre of mass is the
    point (integral regression, Sun et al. 2018). So a point follows what is seen there, not the mean face.
    """

    CELLS = 16
    """Cells along each side of a heat map."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(
            nn.Conv2d(1, w, 5, 2, 2, bias=False), nn.BatchNorm2d(w), nn.ReLU(), _Block(w, w, 1)
        )  # 32 x 32
        self.down4 = _Block(w, 2 * w, 2)  # 16 x 16
        self.down8 = _Block(2 * w, 4 * w, 2)  # 8 x 8
        self.down16 = nn.Sequential(_Block(4 * w, 5 * w, 2), _Block(5 * w, 5 * w, 1))  # 4 x 4
        self.side8 = nn.Conv2d(5 * w, 4 * w, 1)
        self.up8 = _Block(4 * w, 4 * w, 1)
        self.side4 = nn.Conv2d(4 * w, 2 * w, 1)
        self.up4 = _Block(2 * w, 2 * w, 1)
        self.heat = nn.Conv2d(2 * w, POINTS, 1)
        middles = (torch.arange(self.CELLS) + 0.5) / self.CELLS
        # a little wider than the square: points at its edge, and beyond it, can be reached
        self.register_buffer("middles", 0.5 + (middles - 0.5) * 1.3, persistent=False)
        # doubt up to which the network is sure, and up to which landmarks may be right; found at the end of its training
        self.register_buffer("limits", torch.full((2,), torch.inf))

    def heat_maps(self, x_B1HW: Tensor) -> Tensor:
        """Return the scores of each point's cells before the softmax, (B, 68, 16, 16)."""
        fine = self.down4(self.stem(x_B1HW))
        middle = self.down8(fine)
        coarse = self.down16(middle)
        middle = self.up8(middle + functional.interpolate(self.side8(coarse), scale_factor=2.0))
        fine = self.up4(fine + functional.interpolate(self.side4(middle), scale_factor=2.0))
        return self.heat(fine)

    def points_and_spreads(self, heat_BPHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the points (B, 68, 2), and how far each heat map is spread, (B, 68), both in sides of the square."""
        chance = heat_BPHW.flatten(2).softmax(2).unflatten(2, (self.CELLS, self.CELLS))
        middles: Tensor = self.middles  # type: ignore[assignment]
        across, down = chance.sum(2), chance.sum(3)
        x, y = (across * middles).sum(2), (down * middles).sum(2)
        variance = (across * middles**2).sum(2) - x**2 + (down * middles**2).sum(2) - y**2
        return torch.stack([x, y], 2), variance.clamp_min(0).sqrt()

    def forward(self, x_B1HW: Tensor) -> Tensor:
        return self.points_and_spreads(self.heat_maps(x_B1HW))[0]


def standardised(squares_BHW: Array | Tensor) -> Tensor:
    """Return grey squares as the network wants them, (B, 1, H, W)."""
    x = torch.as_tensor(squares_BHW).float()
    x = (x - x.mean((1, 2), keepdim=True)) / (x.std((1, 2), keepdim=True) + 1e-3)
    return x.unsqueeze(1)


class Landmarker:
    """Finds the landmarks of faces whose boxes are known: with the packaged weights, on the processor, if nothing is given.

    Attributes:
        sure: doubt up to which landmarks are taken for right by themselves.
        possible: doubt up to which they are if something else says so, too.
    """

    def __init__(self, weights: Path | None = None, device: torch.device = CPU) -> None:
        weights = weights or PACKAGED
        if not weights.is_file():
            raise InputError(
                f"{weights} does not exist; train landmarks with `tfen train-landmarks`, or give their file"
            )
        try:
            stored = {name: value.float() for name, value in load_file(weights).items()}
            width = stored["stem.0.weight"].shape[0]
            network = LandmarkNetwork(width)
            network.load_state_dict(stored)
        except (SafetensorError, KeyError, RuntimeError) as error:
            reason = "".join(str(error).splitlines()[:2])
            raise InputError(
                f"{weights} holds no landmark network of this version of `tfen train-landmarks`: {reason}"
            ) from None
        self.sure, self.possible = network.limits.tolist()  # type: ignore[operator]
        self._device = device
        self._network = folded(network).to(self._device)

    def locate(self, image: Array, box: Box) -> Array:
        """Return the landmarks of one face, (68, 2) in pixels, x to the right and y down.

        Args:
            image: (height, width, 3) uint8 RGB.
            box: left, top, width, height of the face as a detector gives it.
        """
        return self.judge(image, box)[0]

    def judge(self, image: Array, box: Box) -> tuple[Array, float]:
        """Return the landmarks of one face as `locate` does, and how unsure they are.

        The doubt is the mean spread of the heat maps in sides of the face: a face has little, anything else more.
        """
        return self.judge_all(image, [box])[0]

    def judge_all(self, image: Array, boxes: Sequence[Box]) -> list[tuple[Array, float]]:
        """Return the same for several faces of a picture; quicker than one by one."""
        return self._look(image, [_around_box(box) for box in boxes])

    def follow_all(self, image: Array, before: Sequence[Array]) -> list[tuple[Array, float]]:
        """Return landmarks and doubt of faces whose landmarks in an earlier frame are known; no boxes are needed."""
        return self._look(image, [around(points) for points in before])

    def _look(self, image: Array, places: Sequence[tuple[Array, float]]) -> list[tuple[Array, float]]:
        """Look at squares (centre, side), each time around what was found before."""
        judged: list[tuple[Array, float]] = []
        for _ in range(LOOKS if places else 0):
            squares = np.stack([look(image, *place) for place in places])
            with torch.inference_mode(), _single_precision(self._device):
                heat = self._network.heat_maps(standardised(squares).to(self._device))
                points_BP2, spreads = self._network.points_and_spreads(heat)
            points = [c + (own - 0.5) * side for own, (c, side) in zip(points_BP2.cpu().numpy(), places)]
            judged = [(own, float(doubt)) for own, doubt in zip(points, spreads.mean(1).cpu())]
            places = [around(own) for own in points]
        return judged


def _single_precision(device: torch.device) -> AbstractContextManager[None]:
    """Keep a GPU from TF32, in which landmarks move so far that faces are cut out otherwise than on a processor."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if device.type == "cuda" else nullcontext()


def _around_box(box: Box) -> tuple[Array, float]:
    """Return centre and side of the first look at a face, of its box."""
    left, top, width, height = box
    return np.array([left + width / 2, top + height * 0.53]), AROUND_BOX * max(width, height)


def around(points: Array) -> tuple[Array, float]:
    """Return centre and side of the square in which a further look is taken."""
    low, high = points.min(0), points.max(0)
    return (low + high) / 2, max(AROUND_POINTS * float((high - low).max()), 4.0)


def look(image: Array, centre: Array, side: float, angle: float = 0.0) -> Array:
    """Return the grey square around a centre, (64, 64) uint8; `angle` (radians) turns it, edges are continued."""
    x, y = centre
    cut_out = square(image, (float(x), float(y)), side, angle, SIDE, 0.5, 0.5)
    return cut_out if cut_out.ndim == 2 else cv2.cvtColor(cut_out, cv2.COLOR_RGB2GRAY)


def confirmed(image: Array, faces: Iterable[Face], landmarker: Landmarker) -> Iterator[tuple[Face, Array]]:
    """Yield the faces that a detector found and whose landmarks are right, with their landmarks, in order.

    Landmarks are right where the network is sure of them (`Landmarker.sure`). Where they may be right (`Landmarker.possible`)
    they are if they lie where the detector itself sees eyes, nose and mouth; or, if it does not say, if the network finds
    the same ones when it looks from elsewhere.
    """
    faces = list(faces)
    for face, (points, doubt) in zip(faces, landmarker.judge_all(image, [face.box for face in faces])):
        if doubt <= landmarker.sure or (doubt <= landmarker.possible and _same_again(image, face, points, landmarker)):
            yield face, points


def upright(image: Array, faces: Iterable[Face], landmarker: Landmarker) -> Iterator[tuple[Face, Array]]:
    """Yield the same, but only faces of which the network itself is sure: of one that lies on its side, it is not."""
    faces = list(faces)
    for face, (points, doubt) in zip(faces, landmarker.judge_all(image, [face.box for face in faces])):
        if doubt <= landmarker.sure:
            yield face, points


def _same_again(image: Array, face: Face, points: Array, landmarker: Landmarker) -> bool:
    """Tell whether something else than the landmarks themselves says that they are right."""
    apart = float(np.linalg.norm(points[36] - points[45]))
    if face.eyes_nose_mouth is not None:
        own = np.array([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
        return float(np.linalg.norm(own - face.eyes_nose_mouth, axis=1).mean()) <= MOST_APART * apart
    left, top, width, height = face.box
    others = [
        (left + width * (x + 0.5 - size / 2), top + height * (y + 0.5 - size / 2), width * size, height * size)
        for x, y, size in ELSEWHERE
    ]
    looks = np.stack([points, *(own for own, _ in landmarker.judge_all(image, others))])
    return float(np.linalg.norm(looks - looks.mean(0), axis=2).mean()) <= MOST_SPREAD * apart


def packaged_landmarker(device: torch.device = CPU) -> Landmarker:
    """Return the process's landmarker with the package's own weights on a device."""
    return _packaged_on(device)


@cache
def _packaged_on(device: torch.device) -> Landmarker:
    return Landmarker(PACKAGED, device)
