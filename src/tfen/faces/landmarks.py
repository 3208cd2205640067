"""68 landmarks of a face (the iBUG scheme; points 17 to 67 without the inner mouth's corners are the SDM's 49).

A small network of our own, trained on synthetic faces alone, whose landmarks are known exactly (`tfen train-landmarks`).
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tfen.errors import InputError

Array = np.ndarray
POINTS = 68
SIDE = 64
"""Pixels along each side of what the network sees, grey."""
AROUND_BOX = 1.45
"""Side of the first look in sides of a detector's box."""
AROUND_POINTS = 1.3
"""Side of the second look in sides of the square around the landmarks that the first one found."""
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
    """Grey squares (B, 1, 64, 64), zero mean and unit deviation each, to points (B, 68, 2) in sides of the square."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        w = width
        self.features = nn.Sequential(
            nn.Conv2d(1, w, 5, 2, 2, bias=False),
            nn.BatchNorm2d(w),
            nn.ReLU(),
            _Block(w, w, 1),
            _Block(w, 2 * w, 2),
            _Block(2 * w, 4 * w, 2),
            _Block(4 * w, 5 * w, 2),
        )
        self.points = nn.Linear(5 * w * (SIDE // 16) ** 2, 2 * POINTS)

    def forward(self, x_B1HW: Tensor) -> Tensor:
        return 0.5 + self.points(self.features(x_B1HW).flatten(1)).unflatten(1, (POINTS, 2))


def standardised(squares_BHW: Array | Tensor) -> Tensor:
    """Return grey squares as the network wants them, (B, 1, H, W)."""
    x = torch.as_tensor(squares_BHW).float()
    x = (x - x.mean((1, 2), keepdim=True)) / (x.std((1, 2), keepdim=True) + 1e-3)
    return x.unsqueeze(1)


class Landmarker:
    """Finds the landmarks of faces whose boxes are known."""

    def __init__(self, weights: Path | None = None) -> None:
        weights = weights or PACKAGED
        if not weights.is_file():
            raise InputError(
                f"{weights} does not exist; train landmarks with `tfen train-landmarks`, or give their file"
            )
        try:
            found = {name: value.float() for name, value in load_file(weights).items()}
            width = found["features.0.weight"].shape[0]
            self._network = LandmarkNetwork(width)
            self._network.load_state_dict(found)
        except (SafetensorError, KeyError, RuntimeError) as error:
            raise InputError(f"{weights} holds no landmark network: {str(error).splitlines()[0]}") from None
        self._network.eval()

    def locate(self, image: Array, box: tuple[float, float, float, float]) -> Array:
        """Return the landmarks of one face, (68, 2) in pixels, x to the right and y down.

        Args:
            image: (height, width, 3) uint8 RGB.
            box: left, top, width, height of the face as a detector gives it.
        """
        left, top, width, height = box
        centre, side = np.array([left + width / 2, top + height * 0.53]), AROUND_BOX * max(width, height)
        for _ in range(2):
            square = look(image, centre, side)
            with torch.inference_mode():
                found = self._network(standardised(square[None]))[0].numpy()
            points = centre + (found - 0.5) * side
            low, high = points.min(0), points.max(0)
            centre, side = (low + high) / 2, AROUND_POINTS * float((high - low).max())
        return points


def look(image: Array, centre: Array, side: float, angle: float = 0.0) -> Array:
    """Return the grey square around a centre, (64, 64) uint8; `angle` (radians) turns it, edges are continued."""
    scale = SIDE / side
    if scale < 0.5:  # average first, or fine patterns would turn into noise
        factor = 2 * scale
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        centre, scale = (np.asarray(centre) + 0.5) * factor - 0.5, 0.5
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    middle = SIDE / 2 - 0.5
    matrix = np.array(
        [
            [cos, sin, middle - cos * centre[0] - sin * centre[1]],
            [-sin, cos, middle + sin * centre[0] - cos * centre[1]],
        ]
    )
    grey = image if image.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return cv2.warpAffine(grey, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@cache
def packaged_landmarker() -> Landmarker:
    """Return the process's landmarker with the package's own weights."""
    return Landmarker()
